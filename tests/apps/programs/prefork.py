# SPDX-License-Identifier: BSD-2-Clause
"""python3 multiprocessing: four processes accept from one listening socket."""

import lab as lab_module

NEEDS = ('python3',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'prefork.py'
    for host, rounds in ('127.0.0.1', 40), ('::1', 10):
        server = lab.server('prefork', 'python3', program, 'server', host, PORT, 4, port=PORT)
        lab.wait_for('workers', lambda child=server: len(lab.children(child)) == 4)
        lab.wait_owned(PORT, lab.children(server))
        lab.say(host, lab.client('python3', program, 'client', host, PORT, 8, rounds).decode())
        lab.stop(server)
