# SPDX-License-Identifier: BSD-2-Clause
"""python3 asyncio: a server and a client with 1,000 connections at once."""

import lab as lab_module

NEEDS = ('python3',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'asyncio_echo.py'
    server = lab.server('echo', 'python3', program, 'server', PORT, port=PORT)
    for host in '127.0.0.1', '::1':
        lab.say(lab.client('python3', program, 'client', PORT, host, 1000, 5).decode())
    lab.stop(server)
