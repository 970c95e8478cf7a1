# SPDX-License-Identifier: BSD-2-Clause
"""Erlang's gen_tcp: threads that wait in two sets of epoll, connections that one makes and another waits for."""

import lab as lab_module

NEEDS = ('erl', 'erlc')
PORT = 7000


def play(lab):
    lab.tool('erlc', '-o', lab.tmp, lab_module.FILES / 'echo.erl')
    run = ('erl', '-noshell', '-noinput', '-pa', lab.tmp, '-s', 'echo')
    server = lab.server('erlang', *run, 'server', PORT, port=PORT)
    for _ in range(3):
        lab.say(lab.client(*run, 'client', PORT).decode())
    lab.stop(server)
