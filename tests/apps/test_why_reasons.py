#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
vj why: reasons that test_why.py doesn't come to, each made to happen, over IPv4 and IPv6: its name, and that its text says what to do

A case is a program, and what is done to it meanwhile. It says the numbers of the sockets that are asked about.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile

from own_vjd import Vjd
from why_ask import VJ, ask, run, start, until

# What the programs begin with
COMMON = """
import json, os, resource, select, signal, socket, subprocess, sys, time
HOSTS = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
SO_REUSEPORT = 15
def say(what):
    print(json.dumps(what), flush=True)
def hear():
    return json.loads(sys.stdin.readline())
def waits(s):
    s.setblocking(False)
    select.select([s], [], [], 0)
    try:
        s.recv(1) if s.type == socket.SOCK_DGRAM else s.accept()
    except BlockingIOError:
        return s
def listens(ports=(0, 0), kind=socket.SOCK_STREAM, *options):
    socks = []
    for (family, host), port in zip(HOSTS, ports):
        s = socket.socket(family, kind)
        for option in options:
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        s.bind((host, port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        socks.append(s)
    return socks
def connects(ports):
    return [socket.create_connection((host, port)) for (_, host), port in zip(HOSTS, ports)]
def numbers(socks):
    return [s.fileno() for s in socks]
def ports(socks):
    return [s.getsockname()[1] for s in socks]
def end():
    sys.stdin.read()
    os._exit(0)
"""

SERVER = """
socks = [waits(s) for s in listens()]
say(ports(socks))
end()
"""

# A process of the kernel's has its listening sockets, too, which it closes when it is told to
GIVES_UP = """
socks = listens()
env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
keeper = subprocess.Popen(["sleep", "1000"], pass_fds=numbers(socks), env=env)
say(ports(map(waits, socks)))
hear()
for s in socks:
    s.close()
hear()
keeper.kill()
keeper.wait()
"""

# Whoever it calls first, and then
CLIENT = """
first = connects(hear())
say(numbers(first))
more = connects(hear()) + list(map(waits, listens()))
say(numbers(more))
end()
"""

# Two servers at each port. The second one has cleared the option by which the kernel let it in.
SHARES = """
socks = listens(hear(), socket.SOCK_STREAM, SO_REUSEPORT)
if hear():
    for s in socks:
        s.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 0)
for s in socks:
    waits(s)
say([ports(socks), numbers(socks)])
end()
"""

SHARES_DATAGRAMS = """
socks = list(map(waits, listens(hear(), socket.SOCK_DGRAM, socket.SO_REUSEADDR)))
say([ports(socks), numbers(socks)])
end()
"""

EXHAUSTED = """
held = list(map(waits, listens()))
resource.setrlimit(resource.RLIMIT_NOFILE, (130, 130))
socks, fillers = [socket.socket(family) for family, _ in HOSTS], []
try:
    while True:
        fillers.append(os.dup(0))
except OSError:
    pass
for s, (_, host), port in zip(socks, HOSTS, hear()):
    s.connect((host, port))
for fd in fillers:
    os.close(fd)
say(numbers(socks))
end()
"""

# Its limit was larger when it was started
LIMITED = """
resource.setrlimit(resource.RLIMIT_NOFILE, (127, 127))
socks = connects(hear()) + list(map(waits, listens())) + list(map(waits, listens((0, 0), socket.SOCK_DGRAM)))
say(numbers(socks))
end()
"""

# The process that has the connections is killed before its child has used them
KILLED = """
socks = connects(hear())
mine, its = socket.socketpair()
child = os.fork()
if child:
    signal.pause()
its.close()
os.kill(os.getppid(), signal.SIGKILL)
mine.recv(1)
for s in socks:
    try:
        s.recv(1)
    except ConnectionResetError:
        pass
say([os.getpid(), numbers(socks)])
end()
"""

# As inetd: what a child of fork() has accepted becomes another program's standard input
HANDS = """
socks = listens()
say(ports(socks))
for s in socks:
    s.settimeout(0.1)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    for s in socks:
        try:
            conn = s.accept()[0]
        except TimeoutError:
            continue
        conn.setblocking(True)
        if not os.fork():
            os.dup2(conn.fileno(), 0)
            os.dup2(conn.fileno(), 1)
            os.execvp("cat", ["cat"])
        conn.close()
"""

TALKS = """
for _ in range(2):
    for s in connects(hear()):
        s.sendall(b"hello")
        s.shutdown(socket.SHUT_WR)
        assert s.makefile("rb").read() == b"hello"
    say(None)
"""

MOVES = """
import ctypes
CLONE_NEWNET = 0x40000000
held = list(map(waits, listens()))
if ctypes.CDLL(None).unshare(CLONE_NEWNET) or subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    say([])
    end()
socks = list(map(waits, listens())) + list(map(waits, listens((0, 0), socket.SOCK_DGRAM)))
socks += connects(ports(socks))
say(numbers(socks))
end()
"""


class Stage:
    """A vjd and programs, which end with it"""
    def __init__(self, directory, *options):
        self.directory, self.options, self.programs = directory, options, []
        self.vjd = Vjd(directory, *options)

    def start(self, program, *words):
        child = start(COMMON + program)
        self.programs.append(child)
        for word in words:
            self.tell(child, word)
        return child

    @staticmethod
    def tell(child, word=None):
        child.stdin.write(json.dumps(word) + "\n")
        child.stdin.flush()

    @staticmethod
    def hear(child):
        said = child.stdout.readline()
        assert said, "it has ended early"
        return json.loads(said)

    def server(self, program=SERVER):
        child = self.start(program)
        return child, self.hear(child)

    def end(self):
        for child in self.programs:
            child.kill()
            child.wait()
        self.vjd.end()


def check(pid, fds, reason, advice, way="kernel"):
    """Each has that reason, and that is said with what to do"""
    assert fds and until(lambda: all(ask(pid)[0].get(fd) == (way, reason) for fd in fds)), (reason, fds, ask(pid))
    assert run(pid).count(advice) == len(fds), (advice, run(pid))
    print(f"{reason}: {advice}")


def owner_gone(stage):
    server, ports = stage.server(GIVES_UP)
    client = stage.start(CLIENT, ports)
    fds = stage.hear(client)
    assert all(ask(client.pid)[0][fd] == ("channel", None) for fd in fds), ask(client.pid)
    stage.tell(server)
    check(client.pid, fds, "OWNER_GONE", "connect anew")
    stage.tell(server)
    server.wait()


def unanswered(stage):
    server, ports = stage.server()
    server.send_signal(signal.SIGSTOP)
    client = stage.start(CLIENT, ports)
    fds = stage.hear(client)
    check(client.pid, fds, "UNANSWERED", "it was stopped")
    server.send_signal(signal.SIGCONT)


def no_answer(stage, begin, end, reason):
    """Who has a channel, and wants one to another server and to be a server itself while vjd can't be asked"""
    ports, others = (stage.server()[1] for _ in range(2))
    client = stage.start(CLIENT, ports)
    stage.hear(client)
    begin()
    stage.tell(client, others)
    fds = stage.hear(client)
    end()
    said = run("--json", client.pid)
    assert said.count(f'"{reason}"') == len(fds), said # before who listens asks again
    assert said.count("ask again") == len(fds) and said.count("vj status") == len(fds), said
    print(f"{reason}: ask again")


def silent(stage):
    vjd = stage.vjd.process
    no_answer(stage, lambda: vjd.send_signal(signal.SIGSTOP), lambda: vjd.send_signal(signal.SIGCONT), "SILENT")


def no_vjd(stage):
    def again():
        stage.vjd = Vjd(stage.directory, *stage.options)
    no_answer(stage, stage.vjd.end, again, "NO_VJD")


def port_taken(stage):
    first = stage.start(SHARES, (0, 0), False)
    ports, _ = stage.hear(first)
    second = stage.start(SHARES, ports, True)
    check(second.pid, stage.hear(second)[1], "PORT_TAKEN", "both must keep SO_REUSEPORT")


def shared_port(stage):
    first = stage.start(SHARES_DATAGRAMS, (0, 0))
    ports, _ = stage.hear(first)
    second = stage.start(SHARES_DATAGRAMS, ports)
    check(second.pid, stage.hear(second)[1], "SHARED_PORT", "a port of its own")


def descriptors(stage):
    ports = stage.server()[1]
    client = stage.start(EXHAUSTED, ports)
    check(client.pid, stage.hear(client), "DESCRIPTORS", "raise the hard limit (ulimit -Hn)")
    client = stage.start(LIMITED, ports)
    check(client.pid, stage.hear(client), "DESCRIPTORS", "raise the hard limit (ulimit -Hn)")
    assert "its hard limit of descriptors is 127, and channels want 128" in run(client.pid), run(client.pid)


def without_library(stage):
    """One that `vj run` starts without the library, as it may have too few descriptors"""
    limited = subprocess.Popen(["sh", "-c", 'ulimit -n 100; exec "$0" run --quiet -- sleep 1000', VJ])
    stage.programs.append(limited)
    said = until(lambda: next((text for text in [run(limited.pid, status=1)] if text.startswith("sleep")), None))
    assert "its hard limit of descriptors is 100, and channels want 128" in said and "not started under vj run" not in said, said


def quota(stage):
    server = stage.start(CLIENT, [])
    stage.hear(server)
    stage.tell(server, [])
    fds = stage.hear(server)
    paths = ask(server.pid)[0]
    assert paths[fds[0]] == ("both", None), paths
    check(server.pid, fds[1:], "QUOTA", "--leases-max")


def cut_off(stage):
    parent = stage.start(KILLED, stage.server()[1])
    parent.wait()
    child, fds = stage.hear(parent)
    check(child, fds, "CUT_OFF", "connect anew", "undecided")


def handed(stage):
    server, ports = stage.server(HANDS)
    fds = list(ask(server.pid)[0])
    assert until(lambda: all(path == ("both", None) for path in ask(server.pid)[0].values())), ask(server.pid)
    client = stage.start(TALKS, ports, ports)
    for _ in range(2):
        stage.hear(client)
    check(server.pid, fds, "HANDED", "other programs' standard input")


def namespace(stage):
    program = stage.start(MOVES)
    fds = stage.hear(program)
    if fds:
        check(program.pid, fds, "NAMESPACE", "ip netns exec NAME vj run")
    else:
        print("no network namespace can be made here: NAMESPACE is not tried")


CASES = ((owner_gone, ()), (unanswered, ()), (silent, ()), (no_vjd, ()), (port_taken, ()), (shared_port, ()), (descriptors, ()), (without_library, ()),
         (quota, ("--leases-max", "1")), (cut_off, ()), (handed, ()), (namespace, ()))


def main():
    for play, options in CASES:
        with tempfile.TemporaryDirectory(prefix="vj-test-why-reasons-") as directory, contextlib.ExitStack() as at_end:
            os.environ["XDG_RUNTIME_DIR"] = directory
            os.environ["VJ_SOCKET"] = directory + "/vjd.sock"
            stage = Stage(directory, *options)
            at_end.callback(stage.end)
            play(stage)


main()
