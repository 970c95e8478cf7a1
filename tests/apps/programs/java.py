# SPDX-License-Identifier: BSD-2-Clause
"""Java: its HTTP server and client (NIO), and blocking sockets with a thread each."""

import lab as lab_module

NEEDS = ('java', 'javac')
PORT = 7000


def play(lab):
    source = lab_module.FILES / 'Echo.java'
    lab.tool('javac', '-d', lab.tmp, source)
    java = ('java', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', lab.tmp, 'Echo')
    server = lab.server('java', *java, 'server', PORT, port=PORT + 1)
    lab.wait_owned(PORT)
    lab.say(lab.client(*java, 'client', PORT).decode())
    lab.stop(server)
