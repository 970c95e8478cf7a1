# SPDX-License-Identifier: BSD-2-Clause
"""node: an HTTP server and a client with 1,000 kept-alive connections."""

import lab as lab_module

NEEDS = ('node',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'http_node.js'
    server = lab.server('node', 'node', program, 'server', PORT, port=PORT)
    lab.say(lab.client('node', program, 'client', PORT, 1000, 3).decode())
    lab.stop(server)
