#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
run.py NAME - an unmodified program under vj run, its results equal to those on the kernel to the last byte

Plays NAME.py four times: all on the kernel, all on channels, and each side alone on channels. A play is:

    NEEDS = ('redis-server', 'redis-cli')    # programs; one that is missing skips the test
    KERNEL = 'why'                           # optional: connections of the second setting are the kernel's, and why
    PATH = ('/usr/lib/...',)                 # optional: more places of programs
    AS_USER = True                           # optional: not as root; then `nobody` plays it
    def play(lab): ...                       # see lab.py

With both sides under vj run no TCP connection may have gone through the kernel; some must have, if the play says why. Nor may more than half of what
is sent in datagrams.
"""

import difflib
import importlib
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

DATAGRAMS_FEW = 10
SETTINGS = (('kernel', 'kernel'), ('vj', 'vj'), ('vj', 'kernel'), ('kernel', 'vj'))


def enter_own_network():
    """Becomes itself again in a network namespace with a loopback interface alone."""
    if os.environ.get('VJ_OWN_NETWORK'):
        return
    how = ['unshare', '-n'] if os.geteuid() == 0 else ['unshare', '-Un', '--map-current-user', '--keep-caps']
    if subprocess.run(how + ['ip', 'link', 'set', 'lo', 'up'], stderr=subprocess.DEVNULL, check=False).returncode:
        print('skipped: no network namespace can be made here')
        sys.exit(77)
    os.environ['VJ_OWN_NETWORK'] = '1'
    os.execvp('unshare', how + ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh', sys.executable] + sys.argv)


def become_user(tmp):
    """Root becomes nobody, with a copy of what it runs, as the build directory may be root's alone."""
    if os.geteuid():
        return
    os.chmod(tmp, 0o755)
    for name in 'vj', 'vj-tools', 'vjd', 'libvj-preload.so':
        shutil.copy(lab_module.BUILD / name, tmp)
    lab_module.BUILD = pathlib.Path(tmp)
    nobody = pwd.getpwnam('nobody')
    os.chown(tmp, nobody.pw_uid, nobody.pw_gid)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    os.chdir('/')


def tcp_opens():
    return lab_module.kernel_counter('Tcp', 'ActiveOpens')


def play_once(module, server, client):
    """
    Returns the transcript, the connections that the kernel made and the datagrams that it sent, what the programs said besides, and why
    connections were the kernel's, as they said while they were.
    """
    with tempfile.TemporaryDirectory(prefix='vj-programs-', ignore_cleanup_errors=True) as tmp:
        os.chmod(tmp, 0o755)
        lab = lab_module.Lab(server, client, tmp)
        opens, sent = tcp_opens(), lab_module.datagrams_sent()
        seen = watch.Watch(lab, lab_module.BUILD / 'vj', tcp_opens)
        if (server, client) == ('vj', 'vj') and not hasattr(module, 'KERNEL'):
            seen.start()
        begin = time.monotonic()
        try:
            module.play(lab)
        except BaseException:
            print(f'server on {server}, client on {client}; so far:', *lab.transcript, sep='\n  ')
            print(lab.logs())
            raise
        finally:
            whys = seen.stop()
            lab.close()
        opens = tcp_opens() - opens - lab.meant_for_kernel
        sent = lab_module.datagrams_sent() - sent - lab.datagrams_meant
        print(f'server on {server}, client on {client}: {len(lab.transcript)} lines, '
              f'{opens} TCP connections and {sent} datagrams by the kernel, {time.monotonic() - begin:.1f} s', flush=True)
        return lab.transcript, (opens, sent), lab.logs(), whys


def check_paths(module, server, client, by_kernel, sent_on_kernel, whys):
    why = getattr(module, 'KERNEL', None)
    opens, sent = by_kernel
    if (server, client) != ('vj', 'vj'):
        return
    # the first ones to a socket that has not read yet, and answers to them, are the kernel's
    if sent_on_kernel > DATAGRAMS_FEW and sent > sent_on_kernel / 2:
        raise lab_module.Failed(f'{sent} datagrams went through the kernel, of {sent_on_kernel} that are sent')
    if opens and not why:
        print('why, as the processes said meanwhile:', *whys or ['it was over before they were asked'], sep='\n  ')
        raise lab_module.Failed(f'{opens} connections went through the kernel')
    if why and not opens:
        raise lab_module.Failed(f'no connection went through the kernel, though the play says: {why}')
    if why:
        print(f'    through the kernel because: {why}')


def main():
    module = importlib.import_module(sys.argv[1])
    os.environ['PATH'] = ':'.join([os.environ['PATH'], '/usr/sbin', '/sbin', *getattr(module, 'PATH', ())])
    lab_module.need(*module.NEEDS, 'unshare', 'ip', 'ss')
    enter_own_network()
    with tempfile.TemporaryDirectory(prefix='vj-programs-', ignore_cleanup_errors=True) as tmp:
        if getattr(module, 'AS_USER', False):
            become_user(tmp)
        play_all(module)


def play_all(module):
    want = None
    for server, client in SETTINGS:
        got, by_kernel, logs, whys = play_once(module, server, client)
        if not got:
            print(logs)
            raise lab_module.Failed('nothing said')
        if want is None:
            want, (_, sent_on_kernel) = got, by_kernel
        if got != want:
            print(*difflib.unified_diff(want, got, 'kernel', f'server on {server}, client on {client}', lineterm=''), logs, sep='\n')
            raise lab_module.Failed('other results than on the kernel')
        check_paths(module, server, client, by_kernel, sent_on_kernel, whys)
    print(*want, sep='\n')


sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab as lab_module  # noqa: E402
import watch  # noqa: E402

if __name__ == '__main__':
    try:
        main()
    except lab_module.Failed as failure:
        print('FAILED:', failure)
        sys.exit(1)
