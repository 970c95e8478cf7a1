#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`vj run` as ExecStart: sockets that an activator outside of vj run has made, by number from 3 on (sd_listen_fds(3))"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time

VJ = os.environ["VJ_BUILD_DIR"] + "/vj"
ROUNDS = 20
PATIENCE_S = 30

# Answers each client's line until it closes; a datagram likewise
SERVER = """
import os, selectors, socket
ready = selectors.DefaultSelector()
for number in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    ready.register(socket.socket(fileno=number), selectors.EVENT_READ, True)
while True:
    for key, _ in ready.select():
        s = key.fileobj
        if s.type == socket.SOCK_DGRAM:
            data, peer = s.recvfrom(100)
            s.sendto(data.upper(), peer)
        elif key.data:
            ready.register(s.accept()[0], selectors.EVENT_READ, False)
        elif data := s.recv(100):
            s.sendall(data.upper())
        else:
            ready.unregister(s)
            s.close()
"""

CLIENT = """
import socket, sys
family, port, rounds = map(int, sys.argv[1:])
where = ("127.0.0.1" if family == socket.AF_INET else "::1", port)
for i in range(rounds):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(family, kind)
        s.settimeout(20)
        s.connect(where)
        s.send(b"question %d" % i)
        assert s.recv(100) == b"QUESTION %d" % i
        s.close()
held = socket.create_connection(where)
print(flush=True)
sys.stdin.read()
"""


def activated(sockets):
    """`vj run` with @sockets at 3 and behind, as a service of systemd's is started"""
    numbers = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets]
    script = "".join(f"exec {3 + i}<&{n} {n}<&-; " for i, n in enumerate(numbers)) + 'exec "$@"'
    child = subprocess.Popen(["/bin/bash", "-c", script, "bash", VJ, "run", "--", sys.executable, "-c", SERVER],
                             env={**os.environ, "LISTEN_FDS": str(len(sockets))}, pass_fds=numbers)
    for n in numbers:
        os.close(n)
    return child


def why(pid):
    done = subprocess.run([VJ, "why", "--json", str(pid)], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["sockets"] if done.returncode == 0 else []


def is_on_channels(pid):
    """Who listens takes from both sides, and the client that stays is on a channel."""
    sockets = why(pid)
    listens = [s["path"] for s in sockets if s.get("listens")]
    held = [s["path"] for s in sockets if s["proto"] == "tcp" and not s.get("listens")]
    return listens == ["both"] and held == ["channel"], sockets


def play(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        stream.bind((address, 0))
        stream.listen()
        port = stream.getsockname()[1]
        datagrams.bind((address, port))
        server = activated([stream, datagrams])
    client = subprocess.Popen([VJ, "run", "--", sys.executable, "-c", CLIENT, str(int(family)), str(port), str(ROUNDS)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert client.stdout.readline() == b"\n", "the client didn't get all of its answers"
        end = time.monotonic() + PATIENCE_S
        while not (found := is_on_channels(server.pid))[0] and time.monotonic() < end:
            time.sleep(0.05)
        assert found[0], found[1]
    finally:
        for child in server, client:
            child.kill()
            child.wait()


play(socket.AF_INET, "127.0.0.1")
play(socket.AF_INET6, "::1")
