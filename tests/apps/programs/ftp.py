# SPDX-License-Identifier: BSD-2-Clause
"""
vsftpd; curl, active and passive, and lftp with four transfers at once: who speaks to a client is a child's child, with another root directory
and no descriptors left
"""

import os
import shutil

NEEDS = ('vsftpd', 'curl', 'lftp')
KERNEL = 'from the second session on, its ports are: the processes that serve them can have no channel (CAGED)'
PORT = 7000
WAYS = {'epsv': [], 'pasv': ['--disable-epsv'], 'eprt': ['-P', '127.0.0.1'], 'port': ['--disable-eprt', '-P', '-']}

CONF = '''
listen=YES
listen_port={port}
listen_address=127.0.0.1
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={tmp}/pub
write_enable=YES
anon_upload_enable=YES
anon_umask=022
pasv_min_port={pasv_min}
pasv_max_port={pasv_max}
secure_chroot_dir={tmp}/empty
seccomp_sandbox=NO
ftp_username=ftp
'''


def play(lab):
    for i in range(8):
        lab.random_file(f'pub/dir/f{i}', 30000 * i)
    lab.random_file('pub/big', 2000000)
    up = lab.random_file('up', 500000)
    (lab.tmp / 'empty').mkdir()
    (lab.tmp / 'pub/in').mkdir()
    shutil.chown(lab.tmp / 'pub/in', 'ftp')
    os.chmod(lab.tmp / 'pub', 0o755)
    conf = CONF.format(tmp=lab.tmp, port=PORT, pasv_min=PORT + 100, pasv_max=PORT + 140)
    server = lab.server('vsftpd', 'vsftpd', lab.write('conf', conf), port=PORT)
    for name, how in WAYS.items():
        url = f'ftp://127.0.0.1:{PORT}'
        lab.say_data(name, lab.client('curl', '-sS', *how, f'{url}/big'))
        lab.client('curl', '-sS', *how, '-T', up, f'{url}/in/{name}')
        lab.say_data(f'{name} upload', (lab.tmp / 'pub/in' / name).read_bytes())
    for passive in 'on', 'off':
        into = lab.tmp / f'mirror-{passive}'
        lab.client('lftp', '-c', f'set ftp:passive-mode {passive}; set net:max-retries 1; open {url}; mirror -P 4 dir {into}')
        for path in sorted(into.iterdir()):
            lab.say_data(path.name, path.read_bytes())
    lab.stop(server)
