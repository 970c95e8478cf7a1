# SPDX-License-Identifier: BSD-2-Clause
"""rsync's daemon and its client: two processes at one connection, whose peer is gone before the second has read all."""

NEEDS = ('rsync', 'diff')
AS_USER = True
PORT = 7000

CONF = '''
use chroot = no
port = {port}
address = 127.0.0.1
pid file = {tmp}/rsync.pid
lock file = {tmp}/rsync.lock
[from]
path = {tmp}/from
[to]
path = {tmp}/to
read only = no
'''


def play(lab):
    for i in range(30):
        lab.random_file(f'from/{i % 5}/{i}', 1500 * i * i)
    (lab.tmp / 'to').mkdir()
    conf = lab.write('rsync.conf', CONF.format(tmp=lab.tmp, port=PORT))
    server = lab.server('rsync', 'rsync', '--daemon', '--no-detach', f'--config={conf}', port=PORT)
    for i in range(3):
        lab.client('rsync', '-a', f'rsync://127.0.0.1:{PORT}/from/', lab.tmp / f'got{i}/')
        lab.client('rsync', '-az', f'{lab.tmp}/from/', f'rsync://127.0.0.1:{PORT}/to/{i}/')
        lab.say(lab.tool('diff', '-r', 'from', f'got{i}'), lab.tool('diff', '-r', 'from', f'to/{i}'))
    lab.say(lab.client('rsync', f'rsync://127.0.0.1:{PORT}/').decode())
    lab.stop(server, ok=(0, 20, -15, 143))
