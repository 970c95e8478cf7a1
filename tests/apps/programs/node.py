# SPDX-License-Identifier: BSD-2-Clause
"""node: an HTTP server and a client with 1,000 kept-alive connections."""

import lab as lab_module

NEEDS = ('node',)
PORT = 7000


def play(lab):
    program = lab_module.FILES / 'http_node.js'
    server = lab.server('node', 'node', program, 'server', PORT, port=PORT)
    for host, connections in ('127.0.0.1', 1000), ('::1', 100):
        lab.say(host, lab.client('node', program, 'client', host, PORT, connections, 3).decode())
    lab.stop(server)
