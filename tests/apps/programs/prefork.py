# SPDX-License-Identifier: BSD-2-Clause
"""python3 multiprocessing: four processes accept from one listening socket."""

import lab as lab_module

NEEDS = ('python3',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'prefork.py'
    server = lab.server('prefork', 'python3', program, 'server', PORT, 4, port=PORT)
    lab.wait_for('workers', lambda: len(lab.children(server)) == 4)
    lab.wait_owned(PORT, lab.children(server))
    lab.say(lab.client('python3', program, 'client', PORT, 8, 40).decode())
    lab.stop(server)
