# SPDX-License-Identifier: BSD-2-Clause
"""memcached with four threads; a client with twenty connections in threads, over TCP and UDP."""

import getpass

import lab as lab_module

NEEDS = ('memcached', 'python3')
PORT = 7000


def play(lab):
    server = lab.server('memcached', 'memcached', '-t', 4, '-p', PORT, '-U', PORT, '-l', '127.0.0.1,::1', '-u', getpass.getuser(), port=PORT)
    for host in '127.0.0.1', '::1':
        lab.say(lab.client('python3', lab_module.FILES / 'memcached_client.py', host, PORT).decode())
    lab.stop(server)
