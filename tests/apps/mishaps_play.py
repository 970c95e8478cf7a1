# SPDX-License-Identifier: BSD-2-Clause
"""
The two programs of test_mishaps.py, which know nothing of vjchan.

    mishaps_play.py server SEED HOST                   processes that accept from one listening socket. One that gets SIGTERM ends when it has
                                                       served whom it has accepted; each that ends is replaced. Says its port, then each process
    mishaps_play.py client SEED HOST PORT CNT GREETS   that many connections, one after the other. Says what became of them

What is sent follows from a number that both know, so whatever arrives is either a beginning of the right bytes or WRONG.
"""

import array
import faulthandler
import hashlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

HEAD = struct.Struct("!cIII")  # mode, number, bytes or rounds to the server, bytes from it
GREETING = b"hello, whoever you are"
HUNG_S = 90
WAYS = ["accept", "poll", "edge", "threads", "fork", "pass"]
MODES = [b"g", b"t", b"e", b"r"]


class Short(OSError):
    """The end of file before the end"""


def stream(number, cnt):
    return hashlib.shake_256(b"%d" % number).digest(cnt)


def exact(c, cnt):
    got = bytearray()
    while len(got) < cnt:
        more = c.recv(min(cnt - len(got), 65536))
        if not more:
            raise Short(f"{len(got)} of {cnt}")
        got += more
    return bytes(got)


def to_end(c):
    got = bytearray()
    while more := c.recv(65536):
        got += more
    return bytes(got)


# ---- server


def echo(c, cnt):
    while cnt:
        some = c.recv(min(cnt, 30000))
        if not some:
            raise Short("echo")
        c.sendall(some)
        cnt -= len(some)


def serve(c, greets):
    c.setblocking(True)
    try:
        if greets:
            c.sendall(GREETING)
        mode, number, up, down = HEAD.unpack(exact(c, HEAD.size))
        if mode == b"g":
            c.sendall(stream(number, down))
        elif mode == b"t":
            got = to_end(c)
            # the client was killed or gave up, or all of it is there: nothing else
            if got != stream(number, up)[:len(got)]:
                print(json.dumps({"wrong": f"server, {number}: {len(got)} of {up}"}), flush=True)
            c.sendall(hashlib.sha256(got).digest())
        elif mode == b"e":
            echo(c, up)
        else:
            for _ in range(up):
                echo(c, 20)
    except OSError:
        pass  # the client tells
    finally:
        c.close()


def taker(hand, greets):
    """Serves what is passed to it, until who passes is gone"""
    while True:
        _, fds, _, _ = socket.recv_fds(hand, 1, 4)
        if not fds:
            return
        for fd in fds:
            threading.Thread(target=serve, args=(socket.socket(fileno=fd), greets)).start()


class Worker:
    def __init__(self, listener, way, greets):
        self.listener, self.way, self.greets = listener, way, greets

    def take(self):
        try:
            c, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        if self.way in ("threads", "edge"):
            threading.Thread(target=serve, args=(c, self.greets)).start()
        elif self.way == "fork":
            if not os.fork():
                self.listener.close()
                serve(c, self.greets)
                os._exit(0)
            c.close()
        elif self.way == "pass":
            socket.send_fds(self.hand, [b"x"], [c.fileno()])
            c.close()
        else:
            serve(c, self.greets)
        return True

    def run(self):
        self.ends = False

        def end(*_):
            self.ends = True

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if self.way == "pass":
            self.hand, its = socket.socketpair()
            if not os.fork():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                self.listener.close()
                self.hand.close()
                taker(its, self.greets)
                sys.exit()
            its.close()
        if self.way == "accept":
            while not self.ends:
                self.take()
            return
        self.listener.setblocking(False)
        waits = select.poll() if self.way == "poll" else select.epoll()
        waits.register(self.listener, select.EPOLLIN | select.EPOLLET if self.way == "edge" else select.POLLIN)
        while not self.ends:
            if waits.poll(20 if self.way == "poll" else 0.02):
                while self.take() and self.way == "edge":
                    pass


def server(seed, host):
    chance = random.Random(seed)
    way, greets, cnt = chance.choice(WAYS), chance.random() < 0.3, chance.randint(1, 4)
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=100)
    print(json.dumps({"port": listener.getsockname()[1], "way": way, "greets": greets}), flush=True)
    alive = 0
    while True:
        while alive < cnt:
            pid = os.fork()
            if not pid:
                Worker(listener, way, greets).run()
                sys.exit() # when its threads have ended
            print(json.dumps({"worker": pid}), flush=True)
            alive += 1
        os.wait()
        alive -= 1


# ---- client


def in_pieces(c, data, chance):
    if chance.random() < 0.5:
        c.sendall(data)
        return
    at = 0
    while at < len(data):
        step = chance.choice([1, 100, 5000, 70000])
        c.sendall(data[at:at + step])
        at += step
        if step == 1:
            time.sleep(0.001)


def both_ways(c, data):
    """Sends and reads at a time, not blocking"""
    c.setblocking(False)
    sent, got = 0, bytearray()
    while len(got) < len(data):
        ready = select.select([c], [c] if sent < len(data) else [], [], HUNG_S)
        if ready[1]:
            sent += c.send(data[sent:sent + 50000])
        if ready[0]:
            more = c.recv(65536)
            if not more:
                raise Short(f"{len(got)} of {len(data)} echoed")
            got += more
    return bytes(got)


def ask(c, number, chance, greets):
    """Returns what came and what should have come"""
    mode, cnt = chance.choice(MODES), int(2 ** chance.uniform(0, 18))
    if mode == b"r":
        cnt = 1 + cnt % 12
    head = HEAD.pack(mode, number, cnt, cnt)
    greeting = exact(c, len(GREETING)) if greets and chance.random() < 0.5 else b""
    c.sendall(head)
    greeting = greeting or (exact(c, len(GREETING)) if greets else b"")
    data = stream(number, cnt)
    if greets and greeting != GREETING:
        return greeting, GREETING
    if mode == b"g":
        got = to_end(c)
        if len(got) < cnt and got == data[:len(got)]:
            raise Short(f"{len(got)} of {cnt}")
        return got, data
    if mode == b"t":
        in_pieces(c, data, chance)
        c.shutdown(socket.SHUT_WR)
        return exact(c, 32), hashlib.sha256(data).digest()
    if mode == b"e":
        return both_ways(c, data), data
    for i in range(cnt):
        c.sendall(stream(number + i, 20))
        got = exact(c, 20)
        if got != stream(number + i, 20):
            return got, stream(number + i, 20)
        time.sleep(chance.choice([0, 0, 0.003, 0.02]))
    return b"", b""


def in_child(c, work):
    """The work, in a process that has the connection from this one"""
    come, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(come)
        try:
            said = work()
        except OSError as err:
            said = f"{type(err).__name__}: {err}"
        os.write(go, json.dumps(said).encode())
        c.close()
        os._exit(0)
    os.close(go)
    c.close()
    with os.fdopen(come, "rb") as pipe:
        said = json.loads(pipe.read())
    os.waitpid(pid, 0)
    if isinstance(said, str) and not said.startswith("wrong"):
        raise OSError("child: " + said)
    return said


def one(number, chance, host, port, greets):
    """None, or what was wrong"""
    c = socket.create_connection((host, port))

    def work():
        got, right = ask(c, number, chance, greets)
        return None if got == right else f"wrong: {number}: {len(got)} bytes, {len(right)}, alike up to {len(os.path.commonprefix([got, right]))}"

    if chance.random() < 0.1:
        return in_child(c, work)
    try:
        return work()
    finally:
        c.close()


def client(seed, host, port, cnt, greets):
    chance = random.Random(seed)
    failed, wrong, slowest = [], [], 0
    faulthandler.dump_traceback_later(HUNG_S, exit=True)
    for i in range(cnt):
        begun = time.monotonic()
        try:
            if said := one(seed * 100000 + i * 20, chance, host, port, greets):
                wrong.append(said)
        except OSError as err:
            failed.append([begun, time.monotonic(), f"{type(err).__name__}: {err}"])
        slowest = max(slowest, time.monotonic() - begun)
        if chance.random() < 0.3:
            time.sleep(chance.choice([0.001, 0.01, 0.03]))
    print(json.dumps({"cnt": cnt, "failed": failed, "wrong": wrong, "slowest": slowest}), flush=True)


if sys.argv[1] == "server":
    server(int(sys.argv[2]), sys.argv[3])
else:
    client(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6] == "greets")
