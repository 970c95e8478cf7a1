# SPDX-License-Identifier: BSD-2-Clause
#
# Both directions of a connection at once, each byte compared, while the process that has it changes: for test_interface_kernel.sh.
#
#	kernel_stream.py peer PORT [rcvbuf BYTES]	serves each connection in a thread, for ever; says on standard output how each has ended
#	kernel_stream.py user HOST PORT HOW TOTAL	connects, and has the connection go to another process in the middle
#	kernel_stream.py serve PORT HOW TOTAL		accepts one after the other, likewise
#	kernel_stream.py ask HOST PORT			its client, as `peer` is of `user`
#
# HOW is a word of `ways`, perhaps with "+full" (the peer does not read until it has moved: what is sent waits, and the window is full),
# "+unread" (we don't either). One byte says to the peer when.
import os, random, select, signal, socket, sys, threading, time

PERIOD = 1000003
pattern = random.Random(1).randbytes(PERIOD)
pattern += pattern[:1 << 17]

def piece(at, n):
    at %= PERIOD
    return pattern[at:at + n]

class Stream:
    """One end. What is sent and received is the pattern, from wherever this end has come to."""
    def __init__(self, s, total, sent=0, got=0, is_shut=0, ended=0):
        self.s, self.total, self.sent, self.got, self.is_shut, self.ended = s, total, sent, got, is_shut, ended
        s.setblocking(False)

    def state(self):
        return [str(v) for v in (self.total, self.sent, self.got, self.is_shut, self.ended)]

    def send(self, most=65536):
        n = min(most, self.total - self.sent)
        try:
            self.sent += self.s.send(piece(self.sent, n)) if n else 0
        except BlockingIOError:
            pass

    def receive(self, most=65536):
        try:
            data = self.s.recv(most)
        except BlockingIOError:
            return
        if data != piece(self.got, len(data)):
            sys.exit("other bytes than sent, behind %d" % self.got)
        self.got += len(data)
        if not data:
            self.ended = 1

    def run(self, sent, got, sends=True, receives=True):
        """Until so much was sent and received."""
        until = time.time() + 200
        while (sends and self.sent < sent) or (receives and self.got < got):
            r, w, _ = select.select([self.s] if receives and self.got < got else [], [self.s] if sends and self.sent < sent else [], [], 100)
            if time.time() > until or not (r or w):
                sys.exit("stands still: %d sent, %d received of %d" % (self.sent, self.got, self.total))
            if r:
                self.receive()
                if self.ended:
                    sys.exit("ends behind %d of %d" % (self.got, got))
            if w:
                self.send()

    def shut(self):
        self.run(self.total, 0, receives=False)
        if not self.is_shut:
            self.s.shutdown(socket.SHUT_WR)
        self.is_shut = 1

    def finish(self):
        self.run(self.total, self.total)
        self.shut()
        while not self.ended:
            if not select.select([self.s], [], [], 100)[0]:
                sys.exit("no end of file")
            self.receive()
        if self.got != self.total:
            sys.exit("%d received of %d" % (self.got, self.total))

def head(s):
    data = b""
    while len(data) < 32:
        more = s.recv(32 - len(data))
        if not more:
            sys.exit("no head")
        data += more
    total, pause, ends = data.split()
    return int(total), float(pause), ends == b"ends"

def say(line):
    os.write(1, line.encode() + b"\n") # at once: others do so, too

def answer(s):
    try:
        total, pause, ends = head(s)
        st = Stream(s, total)
        until = time.time() + pause
        while time.time() < until: # the other's window is to be full as well
            st.send()
            time.sleep(0.01)
        if ends:
            st.shut()
        st.finish()
        say("whole %d" % total)
    except (SystemExit, OSError) as e:
        say("broken: %s" % e)
        raise

def peer(port, *more):
    l = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    if more:
        l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(more[1]))
    while True:
        threading.Thread(target=answer, args=(l.accept()[0],)).start()

def ask(host, port):
    answer(socket.create_connection((host, int(port)), 10))

def again(how, fd, st, word="go-on"):
    os.execv(sys.executable, [sys.executable, __file__, word, how, str(fd), *st.state()])

def by_exec(how, st):
    os.set_inheritable(st.s.fileno(), True)
    again(how, st.s.fileno(), st)

def by_exec_failed(how, st):
    os.set_inheritable(st.s.fileno(), True)
    try:
        os.execv("/nonexistent", ["nonexistent"])
    except FileNotFoundError:
        pass
    st.finish()

def reap(pid):
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit("the child failed")

def by_child(how, st):
    """fork(); the child goes on, the parent closes."""
    pid = os.fork()
    if pid == 0:
        st.finish()
        os._exit(0)
    st.s.close()
    reap(pid)

def by_orphan(how, st):
    """fork(); the parent exits at once, the child goes on later."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(w)
        os.read(r, 1) # the parent is gone
        time.sleep(0.1)
        st.finish()
        os._exit(0)
    os._exit(0)

def child_shuts(st):
    """A child ends the stream in a moment; calls of the parent block from now on."""
    pid = os.fork()
    if pid == 0:
        time.sleep(0.05)
        st.shut()
        os._exit(0)
    st.s.setblocking(True)
    return pid

def by_both(how, st):
    """The child sends, the parent receives, in a call that blocks from before the child's first."""
    pid = child_shuts(st)
    while not st.ended:
        st.receive()
    if st.got != st.total:
        sys.exit("%d received of %d" % (st.got, st.total))
    reap(pid)

def by_both_peek(how, st):
    """Likewise, and the call looks at the last bytes, in two pieces, and waits for more, which never come."""
    while st.got < st.total - 1000:
        if not select.select([st.s], [], [], 100)[0]:
            sys.exit("stands still: %d received" % st.got)
        st.receive(min(65536, st.total - 1000 - st.got))
    time.sleep(0.05) # the last are there
    pid = child_shuts(st)
    seen = bytearray(500), bytearray(1500)
    cnt = st.s.recvmsg_into(seen, 0, socket.MSG_PEEK | socket.MSG_WAITALL)[0]
    if (seen[0] + seen[1])[:cnt] != piece(st.got, 1000):
        sys.exit("%d other bytes looked at than sent" % cnt)
    while not st.ended:
        st.receive()
    if st.got != st.total:
        sys.exit("%d received of %d" % (st.got, st.total))
    reap(pid)

def by_send(how, st):
    mine, other = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        st.s.close()
        mine.close()
        fd = socket.recv_fds(other, 16, 1)[1][0]
        Stream(socket.socket(fileno=fd), *[int(v) for v in other.recv(99).split()]).finish()
        os._exit(0)
    socket.send_fds(mine, [b"x"], [st.s.fileno()])
    mine.send(" ".join(st.state()).encode())
    st.s.close()
    reap(pid)

def by_program(how, st):
    """A program's standard input and output, as of inetd's: this one again, by exec()."""
    st.run(st.total // 2, st.total // 2)
    pid = os.fork()
    if pid == 0:
        os.dup2(st.s.fileno(), 0)
        os.dup2(st.s.fileno(), 1)
        again(how, 0, st)
    st.s.close()
    reap(pid)

def by_none(how, st):
    st.finish()

ways = {"itself": by_none, "exec": by_exec, "exec-failed": by_exec_failed, "child": by_child, "orphan": by_orphan, "both": by_both, "both-peek": by_both_peek, "send": by_send,
        "program": by_program}

def talk(s, how, total):
    way, *mods = how.split("+")
    total = int(total)
    s.sendall(b"%-15d %-8s%-8s" % (total, b"0.5" if "full" in mods else b"0", b"ends" if "half" in mods else b"both"))
    st = Stream(s, total)
    if "full" in mods:
        until = time.time() + 0.3
        while time.time() < until:
            st.send()
            time.sleep(0.001)
    elif "unread" in mods:
        st.run(total // 4, 0, receives=False)
        time.sleep(0.1)
    elif "half" not in mods:
        st.run(total // 4, total // 4)
    if "half" in mods: # all was received, and FIN; we send on
        st.run(0, total, sends=False)
        while not st.ended:
            if not select.select([s], [], [], 100)[0]:
                sys.exit("no end of file")
            st.receive()
    if "shut" in mods: # all is sent, and FIN; the peer sends on
        st.shut()
    ways[way](how, st)

def user(host, port, how, total):
    talk(socket.create_connection((host, int(port)), 10), how, total)

def serve(port, how, total):
    l = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    for n in range(1 << 30): # a server that does so from the first on has its clients by the kernel
        talk(l.accept()[0], how if n > 3 else "itself", total)

def go_on(how, fd, *state):
    Stream(socket.socket(fileno=int(fd)), *[int(v) for v in state]).finish()

if __name__ == "__main__":
    {"peer": peer, "ask": ask, "user": user, "serve": serve, "go-on": go_on}[sys.argv[1]](*sys.argv[2:])
