#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A million connections at a time between two programs: each is heard of, takes 256 bytes at most, and ends in order.

The benchmark checks every answer itself, and fails if a connection was reset or is left. Speed is not judged.
"""
import json
import os
import subprocess
import sys

BYTES_MAX = 256  # everything counted: tables of pages, the benchmark's own words
CONNECTIONS = 1000000
MEMORY_KIB = 1 << 20  # both sides, and as much to spare


def available_kib():
    with open('/proc/meminfo', encoding='ascii') as f:
        for line in f:
            if line.startswith('MemAvailable:'):
                return int(line.split()[1])
    return 0


def main():
    if available_kib() < MEMORY_KIB:
        print(f'only {available_kib()} KiB of memory are available')
        return 77
    vj = os.path.join(os.environ['VJ_BUILD_DIR'], 'vj')
    run = subprocess.run([vj, 'bench', 'c10m', '--connections', str(CONNECTIONS), '--seconds', '0.5', '--json'],
                         stdout=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 0, run.returncode
    got = json.loads(run.stdout)
    conns = got['vj_connections']
    assert conns['connections'] == CONNECTIONS, conns
    for side in ('server', 'client'):
        assert 100 < conns[side]['bytes_per_connection'] <= BYTES_MAX, (side, conns[side])
        assert conns[side]['resets'] == 0 and conns[side]['left'] == 0, (side, conns[side])
    assert got['vj'] > 0, got['vj']
    print(json.dumps(conns))
    return 0


sys.exit(main())
