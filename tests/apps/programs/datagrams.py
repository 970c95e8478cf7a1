# SPDX-License-Identifier: BSD-2-Clause
"""A UDP server in python3 that forks; a client as the setting has it, and one of the kernel's at the same time."""

import lab as lab_module

NEEDS = ('python3',)
PORT, BESIDE = 7000, 3000


def play(lab):
    program = lab_module.FILES / 'datagrams.py'
    server = lab.start('server', 'datagrams', 'python3', program, 'server', PORT)
    lab.wait_for('datagrams', lambda: 'bound' in lab.log('datagrams'), server)
    if lab.side['server'] == 'vj':
        lab.wait_for('lease', lambda: lab.leases(PORT, 'udp'))
    client = lab.client_start('python3', program, 'client', PORT, 10000)
    lab.say(lab.tool('python3', program, 'client', PORT, BESIDE).decode())
    lab.datagrams_meant += 2 * BESIDE
    lab.say(lab.finish(client).decode())
    lab.stop(server)
