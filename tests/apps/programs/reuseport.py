# SPDX-License-Identifier: BSD-2-Clause
"""Two programs that share a port by SO_REUSEPORT: each gets some of the clients, and when one ends the other gets all."""

import lab as lab_module

NEEDS = ('python3',)
PORT, CLIENTS = 7000, 100


def play(lab):
    program = lab_module.FILES / 'reuseport.py'
    servers = []
    for name in 'one', 'two':
        servers.append(lab.start('server', name, 'python3', program, 'server', PORT))
        lab.wait_for(name, lambda name=name: 'listens' in lab.log(name), servers[-1])
    if lab.side['server'] == 'vj':
        lab.wait_for('leases of both', lambda: len(lab.owners(PORT)) == 2)
    lab.say(lab.client('python3', program, 'client', PORT, CLIENTS).decode())
    lab.stop(servers[0])
    lab.say(lab.client('python3', program, 'client', PORT, CLIENTS).decode())
    lab.stop(servers[1])
    one, two = (int(lab.log(name).split()[-1]) for name in ('one', 'two'))
    lab.say('served', one + two, 'each some', 0 < one < CLIENTS)
