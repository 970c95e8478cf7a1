#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A vjd that is stopped, or killed and started anew, while servers start, fork, reload and are connected to: nobody is refused, and all are on channels soon after"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from own_vjd import Vjd

BUILD = os.environ["VJ_BUILD_DIR"]
DIR = tempfile.TemporaryDirectory(prefix="vj-test-slow-")
SOCKET = DIR.name + "/vjd.sock"
STOPS_S = [3] + [10] * (len(sys.argv) > 1)
AWAY_S = 4 # killed, before there is another
SOON_S = 40 # on a busy host

# Waits in the way that it is told to, and answers one line of each connection. "workers": a new pair at each SIGHUP, the old ones end.
# "fork": a child for each connection.
SERVER = """
import os, select, signal, socket, sys, time
way, host = sys.argv[1:3]
sys.stdin.readline()
s = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=100)
print(s.getsockname()[1], flush=True)
ending = False
def end(*_):
    global ending
    ending = True
def one():
    try:
        c = s.accept()[0]
    except BlockingIOError:
        return
    c.setblocking(True)
    if way == "fork" and os.fork():
        c.close()
        return
    c.sendall(c.recv(100))
    if way == "fork":
        time.sleep(0.1) # not so short that the port would be the kernel's for that
        os._exit(0)
    c.close()
def serve(how):
    if how in ("accept", "fork"):
        while True:
            one()
    s.setblocking(False)
    if how == "select":
        while True:
            select.select([s], [], [])
            one()
    waits = select.poll() if how == "poll" else select.epoll()
    waits.register(s, select.POLLIN)
    while not ending:
        for _ in waits.poll():
            one()
def fork():
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGTERM, end)
        serve("epoll")
        os._exit(0)
    return pid
def reload(*_):
    global pids
    old, pids = pids, [fork(), fork()]
    for pid in old:
        os.kill(pid, signal.SIGTERM)
if way == "fork":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if way != "workers":
    serve(way)
pids = [fork(), fork()]
signal.signal(signal.SIGHUP, reload)
while True:
    try:
        os.wait()
    except ChildProcessError:
        signal.pause()
"""

# One connection after the other until it is told to end. Says how many there were, how long the slowest took, and how the last ones went.
CLIENT = """
import json, select, socket, sys, time
host, port = sys.argv[1], int(sys.stdin.readline())
def in_kernel(c):
    ends = [f":{a[1]:04X}" for a in (c.getsockname(), c.getpeername())]
    for name in "/proc/net/tcp", "/proc/net/tcp6":
        for line in open(name).read().splitlines()[1:]:
            local, remote = line.split()[1:3]
            if local.endswith(ends[0]) and remote.endswith(ends[1]):
                return True
    return False
cnt, slowest, channels = 0, 0, 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    begun = time.monotonic()
    c = socket.create_connection((host, port), timeout=60)
    c.sendall(b"hello")
    channels = 0 if in_kernel(c) else channels + 1
    assert c.recv(100) == b"hello", "no answer"
    c.close()
    cnt, slowest = cnt + 1, max(slowest, time.monotonic() - begun)
    print(json.dumps({"cnt": cnt, "slowest": slowest, "channels": channels}), flush=True)
"""

# Echoes datagrams. Its port is on channels when it has read some.
ECHO = """
import socket, sys
sys.stdin.readline()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    s.sendto(*s.recvfrom(100))
"""

# Sends to the port that it was told last, without end; an answer that is not there at once may be lost
SENDER = """
import select, socket, sys
s, cnt = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
while True:
    if not cnt or select.select([sys.stdin], [], [], 0.05)[0]:
        port = int(sys.stdin.readline())
    s.sendto(b"hello", ("127.0.0.1", port))
    if select.select([s], [], [], 0.05)[0]:
        s.recv(100)
    cnt += 1
    print(cnt, flush=True)
"""

# Answers one client, whom it has accepted first, and nobody else. So does its child, who only waits.
KEEPER = """
import os, select, socket, sys
sys.stdin.readline()
s = socket.create_server(("127.0.0.1", 0), backlog=100)
print(s.getsockname()[1], flush=True)
c = s.accept()[0]
pid = os.fork()
if not pid:
    c.close()
    waits = select.poll()
    waits.register(s, select.POLLIN)
    while True:
        waits.poll()
print(pid, flush=True)
while data := c.recv(100):
    c.sendall(data)
"""

# Asks, and says how long the slowest answer took since it was last told to
ASKER = """
import select, socket, sys, time
c = socket.create_connection(("127.0.0.1", int(sys.stdin.readline())))
slowest = 0
while True:
    begun = time.monotonic()
    c.sendall(b"x")
    c.recv(1)
    slowest = max(slowest, time.monotonic() - begun)
    if select.select([sys.stdin], [], [], 0.01)[0]:
        sys.stdin.readline()
        print(slowest, flush=True)
        slowest = 0
"""

# Come, and are not accepted; to who stands still they don't come at all
COMERS = """
import socket, sys
port = int(sys.stdin.readline())
conns = [socket.socket() for _ in range(12)]
for c in conns:
    c.setblocking(False)
    c.connect_ex(("127.0.0.1", port))
print(len(conns), flush=True)
sys.stdin.readline()
"""

# Two listeners of one port, on channels; the first one ends in the way that it is told to, and then it says so.
HANDER = """
import os, select, socket, sys
sys.stdin.readline()
def listen(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    select.select([s], [], [], 0)
    return s
old = listen(0)
new = listen(old.getsockname()[1])
print(new.getsockname()[1], flush=True)
sys.stdin.readline()
nr = old.fileno()
{"close": old.close, "dup2": lambda: os.dup2(0, nr), "closerange": lambda: os.closerange(nr, nr + 1),
 "shutdown": lambda: old.shutdown(socket.SHUT_RD)}[sys.argv[1]]()
print("true", flush=True)
sys.stdin.readline()
"""

SERVERS = [("accept", "127.0.0.1"), ("poll", "::1"), ("select", "127.0.0.1"), ("epoll", "::1"), ("workers", "127.0.0.1"), ("workers", "::1"),
           ("fork", "127.0.0.1"), ("fork", "::1")]


class Program:
    """One under `vj run`, that begins at go()"""

    def __init__(self, text, *args):
        self.args = args
        self.out = f"{DIR.name}/{len(os.listdir(DIR.name))}.out" # opened twice: one place in it is the program's alone
        # a parent of its own: short programs of one parent are left to the kernel
        with open(self.out, "w", encoding="ascii") as out:
            self.process = subprocess.Popen(
                ["sh", "-c", '"$@"; exit $?', "sh", BUILD + "/vj", "run", "--socket", SOCKET, "--", sys.executable, "-c", text, *args],
                stdin=subprocess.PIPE, stdout=out, text=True, start_new_session=True)

    def go(self, how="go"):
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()

    def said(self):
        """Its last line; None: nothing yet"""
        with open(self.out, encoding="ascii") as out:
            lines = [line for line in out if line.endswith("\n")]
        return json.loads(lines[-1]) if lines else None

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError: # it has ended, and was waited for
            pass
        self.process.wait()


def until(true, what, seconds=SOON_S):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)


def leases():
    said = subprocess.run([BUILD + "/vj", "status", "--socket", SOCKET], capture_output=True, text=True, check=False).stdout
    return [line.split()[1].rsplit(":", 1)[-1] for line in said.splitlines() if line.startswith("tcp ")]


def listeners(port):
    """The kernel's, of that port"""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table.readlines()[1:])


def way_of(program):
    """What `vj why` says of its processes"""
    pids = subprocess.run(["pgrep", "-s", str(program.process.pid), "-f", "^[^ ]*python"], capture_output=True, text=True, check=False).stdout.split()
    return "\n".join(subprocess.run([BUILD + "/vj", "why", "--socket", SOCKET, pid], capture_output=True, text=True, check=False).stdout for pid in pids)


def waits_in_kernel(server):
    """Is it sent to by the kernel? It is stopped, so that what comes there stays there."""
    os.killpg(server.process.pid, signal.SIGSTOP)
    time.sleep(0.5)
    port = f":{server.said():04X}"
    with open("/proc/net/udp", encoding="ascii") as table:
        waiting = [int(line.split()[4].split(":")[1], 16) for line in table.readlines()[1:] if line.split()[1].endswith(port)]
    os.killpg(server.process.pid, signal.SIGCONT)
    return any(waiting)


class Test:
    """Servers and clients, and what happens to them"""

    def __init__(self):
        self.vjd = Vjd(DIR.name)
        self.servers, self.clients, self.master_pids = [], [], []

    def mishap(self, kind, during):
        """@kind: seconds for which vjd is stopped; 0: killed, and a new one. @during: what happens meanwhile"""
        if kind:
            self.vjd.process.send_signal(signal.SIGSTOP)
        else:
            self.vjd.end()
        # on a busy host it takes longer than vjd may be away: who is handed a connection waits for 12 s
        back = threading.Timer(kind or AWAY_S, self.vjd_back, [kind])
        back.start()
        try:
            during()
        finally:
            back.join()

    def vjd_back(self, kind):
        if kind:
            self.vjd.process.send_signal(signal.SIGCONT)
        else:
            self.vjd = Vjd(DIR.name)

    def servers_start(self):
        for server in self.servers:
            server.go()
        until(lambda: all(s.said() for s in self.servers), "servers don't start")
        self.clients_go()

    def clients_go(self):
        for client, server in zip(self.clients, self.servers):
            client.go(server.said())

    def masters(self):
        """Processes of the servers that are reloaded"""
        sids = [str(s.process.pid) for s in self.servers if s.args[0] == "workers"]
        return [int(subprocess.run(["pgrep", "-o", "-s", sid, "-f", "^[^ ]*python"], capture_output=True, text=True, check=True).stdout) for sid in sids]

    def reload(self):
        for pid in self.master_pids:
            os.kill(pid, signal.SIGHUP)

    def check(self, what, slow_s):
        """All of them on channels, none refused; no connection took longer than @slow_s"""
        ports = [str(s.said()) for s in self.servers]
        until(lambda: all(p in leases() for p in ports), lambda: f"{what}: leases of {[s.args for s in self.servers if str(s.said()) not in leases()]}")
        for client, server in zip(self.clients, self.servers):
            until(lambda: client.process.poll() is not None or (client.said() or {"channels": 0})["channels"] > 3,
                  lambda: f"{what}: {server.args} on channels: {client.said()}\n{way_of(server)}\n{way_of(client)}")
            assert client.process.poll() is None, f"{what}: a client of {server.args} ended"
            assert client.said()["slowest"] < slow_s, f"{what}: {server.args}: {client.said()}"
        print(f"{what}: {sum(c.said()['cnt'] for c in self.clients)} connections, the slowest {max(c.said()['slowest'] for c in self.clients):.3f} s", flush=True)

    def end(self):
        for program in self.clients + self.servers:
            program.end()
        self.clients, self.servers = [], []

    def datagrams(self):
        """Who sends to somebody new while vjd is stopped, and is answered all the time, asks again soon."""
        self.servers, self.clients = [Program(ECHO), Program(ECHO)], [Program(SENDER), Program(SENDER)]
        time.sleep(1)
        for server in self.servers:
            server.go()
        until(lambda: all(s.said() for s in self.servers), "servers don't start")
        for client, server in zip(self.clients, self.servers): # the second one makes its server known to vjd
            client.go(server.said())
            until(lambda: client.said() and not waits_in_kernel(server), "datagrams on channels")
        self.clients[1].end()
        self.mishap(STOPS_S[0], lambda: self.clients[0].go(self.servers[1].said()))
        until(lambda: not waits_in_kernel(self.servers[1]), "datagrams on channels, after vjd was stopped")
        print("datagrams are on channels soon after", flush=True)
        self.end()

    def taken_back(self):
        """Clients that were offered to a process which stands still come back, and nobody else waits for that, though vjd stands still, too."""
        self.servers, self.clients = [Program(KEEPER)], [Program(ASKER), Program(COMERS)]
        keeper, (asker, comers) = self.servers[0], self.clients
        time.sleep(1)
        keeper.go()
        until(keeper.said, "a server")
        port = keeper.said()
        asker.go(port)
        until(lambda: keeper.said() != port, "a child")
        until(lambda: leases().count(str(port)) > 1, leases)
        os.kill(keeper.said(), signal.SIGSTOP)
        comers.go(port)
        until(comers.said, "clients that come")
        time.sleep(1) # they are offered
        asker.go()
        until(asker.said, "answers")
        self.mishap(12, lambda: time.sleep(11))
        before = asker.said()
        asker.go()
        until(lambda: asker.said() != before, "answers")
        assert asker.said() < 5, f"clients come back: nobody was answered for {asker.said():.1f} s"
        print(f"clients come back: the slowest answer took {asker.said():.3f} s", flush=True)
        self.end()

    def handed_over(self):
        """A listener that ends takes nobody in the kernel from there on, whatever vjd is to be asked: whom it takes it would reset."""
        self.servers = [Program(HANDER, way) for way in ("close", "dup2", "closerange", "shutdown")]
        time.sleep(1)
        for server in self.servers:
            server.go()
        until(lambda: all(s.said() for s in self.servers), "servers don't start")
        ports = {server: server.said() for server in self.servers}
        until(lambda: all(leases().count(str(p)) > 1 for p in ports.values()), leases)
        self.vjd.process.send_signal(signal.SIGSTOP) # whoever asks it waits for 2 s
        for server in self.servers:
            server.go()
        until(lambda: all(listeners(p) == 1 for p in ports.values()), "listeners end")
        early = [server.args[0] for server, port in ports.items() if server.said() == port]
        self.vjd.process.send_signal(signal.SIGCONT)
        assert len(early) == len(ports), f"the kernel's listener ends first: only by {early}"
        until(lambda: all(s.said() is True for s in self.servers), "listeners have ended")
        print("the kernel's listener ends first", flush=True)
        self.end()

    def run(self, kind):
        name = f"vjd stopped for {kind} s" if kind else "vjd killed"
        slow_s = 2 * kind + 10
        self.servers = [Program(SERVER, *args) for args in SERVERS]
        self.clients = [Program(CLIENT, args[1]) for args in SERVERS]
        time.sleep(1) # `vj run` finds its vjd
        self.mishap(kind, self.servers_start)
        self.check(name + " while servers start", slow_s)
        self.master_pids = self.masters()
        self.mishap(kind, self.reload)
        self.check(name + " at a reload", slow_s)
        self.reload()
        self.mishap(kind, lambda: None)
        self.check(name + " after a reload", slow_s)
        self.end()


def main():
    test = Test()
    try:
        test.datagrams()
        test.taken_back()
        test.handed_over()
        for kind in [*STOPS_S, 0]:
            test.run(kind)
    finally:
        test.end()
        test.vjd.end()


main()
