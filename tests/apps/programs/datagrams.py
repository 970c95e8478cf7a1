# SPDX-License-Identifier: BSD-2-Clause
"""A UDP server in python3 that forks; a client as the setting has it, and one of the kernel's at the same time."""

import lab as lab_module

NEEDS = ('python3',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'datagrams.py'
    server = lab.start('server', 'datagrams', 'python3', program, 'server', PORT)
    lab.wait_for('datagrams', lambda: 'bound' in lab.log('datagrams'), server)
    if lab.side['server'] == 'vj':
        lab.wait_for('lease', lambda: lab.leases(PORT, 'udp'))
    sent = lab_module.kernel_counter('Udp', 'OutDatagrams')
    client = lab.client_start('python3', program, 'client', PORT, 10000)
    lab.say(lab.tool('python3', program, 'client', PORT, 3000).decode())
    lab.say(lab.finish(client).decode())
    sent = lab_module.kernel_counter('Udp', 'OutDatagrams') - sent
    # those of the other client, and large ones
    if lab.side['server'] == lab.side['client'] == 'vj' and sent > 7000:
        raise lab_module.Failed(f'{sent} datagrams through the kernel')
    lab.stop(server)
