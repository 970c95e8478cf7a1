# SPDX-License-Identifier: BSD-2-Clause
"""iperf3: TCP and UDP, both directions, 1 and 8 streams."""

import json
import re
import time

import lab as lab_module

NEEDS = ('iperf3',)
PORT = 7000


def ask(lab, *args):
    end = time.monotonic() + lab_module.CLIENT_S
    while True:
        lab.wait_owned(PORT)
        opens = lab_module.kernel_counter('Tcp', 'ActiveOpens')
        said = json.loads(lab.client('iperf3', '-J', '-c', '127.0.0.1', '-p', PORT, *args, ok=(0, 1)))
        opens = lab_module.kernel_counter('Tcp', 'ActiveOpens') - opens
        gap = lab.side['server'] == lab.side['client'] == 'vj' and opens
        if time.monotonic() > end or not gap and not re.search('busy|reset|refused|closed unexpectedly', said.get('error', '')):
            break
        # after each test iperf3 listens anew, resets who came before that, and nobody on channels has the port meanwhile
        lab.meant_for_kernel += opens
        time.sleep(0.1)
    if 'error' in said:
        raise lab_module.Failed(f'iperf3 {args}: {said["error"]}')
    return said['end']


def transfer(lab, *args):
    end = ask(lab, *args)
    if '-u' in args:
        lab.say(*args, end['sum']['lost_percent'] < 5)
    else:
        # what is under way when the client has sent all is not read by the server; with --bidir the faster side ends it
        lab.say(*args, '--bidir' in args or end['sum_sent']['bytes'] >= 12000000, len(end['streams']))


def play(lab):
    server = lab.server('iperf3', 'iperf3', '-s', '-p', PORT, port=PORT)
    for way in (), ('-R',):
        for streams in 1, 8:
            transfer(lab, '-P', streams, '-n', '12M', *way)
            # what a socket of the kernel's has room for, should its reader not run meanwhile
            transfer(lab, '-u', '-P', streams, '-n', f'{streams * 60}K', '-l', 1000, '-b', '10M', *way)
    transfer(lab, '-6', '-n', '12M', '--zerocopy', '-c', '::1')
    transfer(lab, '-6', '-u', '-n', '60K', '-l', 1000, '-b', '10M', '-c', '::1')
    transfer(lab, '--bidir', '-n', '12M')
    lab.stop(server, ok=(0, 1, -15, 143))
