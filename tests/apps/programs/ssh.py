# SPDX-License-Identifier: BSD-2-Clause
"""OpenSSH: sshd re-executes itself for a connection and forks for its user; ssh, scp both ways, a forwarded port."""

import getpass
import os
import pathlib

NEEDS = ('sshd', 'ssh', 'scp', 'ssh-keygen', 'sha256sum')
KERNEL = 'sshd confines its children by seccomp'
PORT = 7000

CONF = '''
ListenAddress 127.0.0.1
ListenAddress ::1
HostKey {tmp}/host
AuthorizedKeysFile {tmp}/user.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
Subsystem sftp internal-sftp
'''


def play(lab):
    if os.geteuid() == 0:
        pathlib.Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)  # as its service does
    for key in 'host', 'user':
        lab.tool('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', lab.tmp / key)
    conf = lab.write('sshd.conf', CONF.format(tmp=lab.tmp))
    server = lab.server('sshd', '/usr/sbin/sshd', '-D', '-e', '-f', conf, '-p', PORT, port=PORT, leases=False)
    opts = ['-F', 'none', '-i', lab.tmp / 'user', '-o', 'StrictHostKeyChecking=no', '-o', f'UserKnownHostsFile={lab.tmp}/known',
            '-o', 'LogLevel=ERROR', '-o', 'BatchMode=yes', '-o', f'Port={PORT}', '-o', f'User={getpass.getuser()}']
    data = lab.random_file('data', 5000000)
    lab.say(lab.client('ssh', *opts, '127.0.0.1', 'sha256sum; exit 3', stdin=data.read_bytes(), ok=(3,)).decode())
    lab.client('scp', *opts, data, f'127.0.0.1:{lab.tmp}/there')
    lab.client('scp', *opts, f'127.0.0.1:{lab.tmp}/there', lab.tmp / 'back')
    lab.say_data('scp', (lab.tmp / 'back').read_bytes())
    lab.client('scp', *opts, f'[::1]:{lab.tmp}/there', lab.tmp / 'back6')
    lab.say_data('scp, IPv6', (lab.tmp / 'back6').read_bytes())
    lab.say(lab.client('ssh', *opts, '-W', f'127.0.0.1:{PORT}', '127.0.0.1', stdin=b'x\r\n')[:8].decode())
    lab.stop(server)
