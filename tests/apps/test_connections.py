#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vj connections: both ends of each connection, IPv4 and IPv6, told by programs that wait, that compute, and not by one that is stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

VJ = os.environ["VJ_BUILD_DIR"] + "/vj"
DIR = tempfile.TemporaryDirectory(prefix="vj-test-connections-")
SOCKET = DIR.name + "/vjd.sock" # of our own: others may run, too
SERVER = """
import selectors, socket, sys
held = []
waits = selectors.DefaultSelector()
for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    s = socket.socket(family)
    s.bind((host, 0))
    s.listen()
    waits.register(s, selectors.EVENT_READ)
    print(s.getsockname()[1], flush=True)
while len(held) < 3:
    held += [key.fileobj.accept()[0] for key, _ in waits.select()]
print("accepted", flush=True)
sys.stdin.read()
"""
CLIENT = """
import socket, sys
held = []
for i, (host, port) in enumerate((("127.0.0.1", sys.argv[1]), ("127.0.0.1", sys.argv[1]), ("::1", sys.argv[2]))):
    c = socket.create_connection((host, int(port)))
    c.sendall(b"x" * (1000 + i))
    held.append(c)
print("sent", flush=True)
while True:
    pass
"""


def start(program, *args):
    """A program on channels, its standard output read by us"""
    return subprocess.Popen([VJ, "run", "--socket", SOCKET, "--", sys.executable, "-c", program, *args],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(*args, status=0):
    """Return: what `vj connections` printed, and its complaints; it must end with @status"""
    done = subprocess.run([VJ, "connections", "--socket", SOCKET, *args], capture_output=True, text=True, check=False)
    assert done.returncode == status, (args, done)
    return done.stdout, done.stderr


def until(what, look):
    """A program on a slow machine answers too late at times, or hasn't taken yet what it was sent: it is asked again, within 30 s."""
    end = time.monotonic() + 30
    while True:
        try:
            return look()
        except AssertionError:
            if time.monotonic() > end:
                print("never:", what)
                raise
            time.sleep(0.1)


def conns(*args):
    """[(pid, connection)]"""
    apps = json.loads(ask("--json", *args)[0])["applications"]
    return [(app["pid"], c) for app in apps for c in app["connections"]]


def six_conns():
    told = conns()
    assert len(told) == 6, told
    return told


def both_ends(server, client, ports):
    told = six_conns()
    for i, port in enumerate((ports[0], ports[0], ports[1])):
        here = [c for pid, c in told if pid == server.pid and c["unread_bytes"] == 1000 + i]
        assert len(here) == 1, told
        assert here[0]["local"]["port"] == port and here[0]["state"] == "established", here
        assert here[0]["local"]["addr"] == ("::1" if i == 2 else "127.0.0.1"), here
        there = [c for pid, c in told if pid == client.pid and c["local"] == here[0]["remote"]]
        assert len(there) == 1 and there[0]["remote"] == here[0]["local"], told
        # nothing is lost on a channel, so there is no congestion window
        assert "cwnd_bytes" not in here[0] and here[0]["mss"] > 1000, here
    assert {pid for pid, _ in conns(str(server.pid))} == {server.pid}
    text = ask()[0].splitlines()
    assert len(text) == 7 and text[0].startswith("APPLICATION"), text
    assert sum(f"[::1]:{ports[1]}" in line and " established " in line for line in text) == 2, text


def status_in_columns():
    """vj status: what it counts is said as one says it, and numbers of channels, which have up to ten digits, leave its columns straight."""
    text = subprocess.run([VJ, "status", "--socket", SOCKET], capture_output=True, text=True, check=True).stdout.splitlines()
    assert text[1].startswith("2 applications, 2 leases, 1 channel; "), text
    for name in "APPLICATION", "CHANNEL":
        head = next(i for i, line in enumerate(text) if line.startswith(name))
        column = text[head].index("MAC" if name == "APPLICATION" else "BETWEEN")
        assert text[head + 1][column - 1:column + 1].lstrip() == text[head + 1][column] != " ", text[head:head + 2]


def asked_by_many():
    """Who comes at the same time is told, too."""
    six_conns()
    crowd = [subprocess.Popen([VJ, "connections", "--socket", SOCKET, "--json"], stdout=subprocess.PIPE, text=True) for _ in range(5)]
    told = [one.communicate()[0] for one in crowd]
    for one, said in zip(crowd, told):
        assert one.returncode == 0 and sum(len(a["connections"]) for a in json.loads(said)["applications"]) == 6, said


def stopped(server):
    """One that does not answer is said to, and the others are told nevertheless."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        def others_told():
            said, complaint = ask(status=1)
            assert f"[{server.pid}]: it does not come to it: it is stopped (kill -CONT {server.pid})" in complaint, complaint
            assert len(said.splitlines()) == 4, said
        until("the others are told", others_told)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until("it goes on", six_conns)


def main():
    with DIR:
        assert "no vjd runs" in ask(status=3)[1]
        server = start(SERVER)
        ports = [int(server.stdout.readline()) for _ in range(2)]
        client = start(CLIENT, *map(str, ports))
        try:
            assert server.stdout.readline() == "accepted\n" and client.stdout.readline() == "sent\n"
            until("both ends", lambda: both_ends(server, client, ports))
            status_in_columns()
            until("a crowd", asked_by_many)
            stopped(server)
            assert "no application" in ask("1", status=1)[1]
            for wrong in "x", "0", "-1", "1x", "":
                assert "no process number" in ask("--", wrong, status=2)[1]
        finally:
            client.kill()
            server.kill()
            client.wait()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
