# SPDX-License-Identifier: BSD-2-Clause
"""gearmand: threads that hand connections on, and SO_LINGER with 10 s at each; workers that start a program for each job"""

NEEDS = ('gearmand', 'gearman', 'sha256sum')
PORT = 7000


def play(lab):
    at = ('-h', '127.0.0.1', '-p', PORT, '-f', 'sum')
    lab.server('gearmand', 'gearmand', '-L', '127.0.0.1', '-p', PORT, '-l', 'stderr', '-t', 2, port=PORT)
    for i in range(3):
        lab.start('server', f'worker{i}', 'gearman', '-w', *at, '--', 'sha256sum')
    for i in range(10):
        lab.say(lab.client('gearman', *at, *[f'{i} {k} ' * (1 + 300 * k) for k in range(10)]).decode())
