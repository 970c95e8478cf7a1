#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vj why: the path of every socket of a process, and the reason of each that is the kernel's; test_why_reasons.py makes the other reasons happen"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from why_ask import PATIENCE_S, VJ, ask, run, start, until, why

CONFINED = os.environ["VJ_BUILD_DIR"] + "/tests/apps/confined"
STATIC = os.environ["VJ_BUILD_DIR"] + "/tests/apps/talk-static"
FIRST_ENDS = os.environ["VJ_BUILD_DIR"] + "/tests/apps/first_ends"
GO_LIKE = os.environ["VJ_BUILD_DIR"] + "/tests/apps/go_like"

SERVER = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
lazy = socket.create_server(("::1", 0), family=socket.AF_INET6)
held = []
def serve():
    while True:
        held.append(listener.accept()[0])
threading.Thread(target=serve, daemon=True).start()
print(listener.getsockname()[1], listener.fileno(), lazy.fileno(), flush=True)
sys.stdin.read()
"""

CLIENT = """
import ctypes, os, signal, socket, sys
port, kernel_port = int(sys.argv[1]), int(sys.argv[2])
IP_RECVTTL = 12
CLONE_VM, CLONE_VFORK = 0x100, 0x4000
libc = ctypes.CDLL(None)
def tcp(*address):
    s = socket.socket()
    if address:
        s.connect(address)
    return s
no_owner = tcp("127.0.0.1", kernel_port)
# a child that shares the memory closes its own
stack = ctypes.create_string_buffer(65536)
close = ctypes.cast(libc.close, ctypes.c_void_p)
top = ctypes.c_void_p(ctypes.addressof(stack) + 65536 - 64 & ~63)
child = libc.clone(close, top, CLONE_VM | CLONE_VFORK | signal.SIGCHLD, ctypes.c_void_p(no_owner.fileno()))
assert os.waitpid(child, 0)[1] == 0
held = {
    "channel": tcp("127.0.0.1", port),
    "NO_OWNER": no_owner,
    "UNDECIDED": tcp(),
    "UNUSED": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "OPTION": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "other": socket.socket(socket.AF_UNIX),
}
far = socket.socket()
far.setblocking(False)
far.connect_ex(("192.0.2.1", 9))
held["NOT_LOCAL"] = far
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::1", 0))
udp.setblocking(False)
try:
    udp.recv(1)
except BlockingIOError:
    held["both"] = udp
held["unread"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held["unread"].bind(("127.0.0.1", 0))
held["OPTION"].bind(("127.0.0.1", 0))
held["OPTION"].setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
gone = tcp("127.0.0.1", kernel_port)
again = gone.detach()
socket.close(again)
reused = open("/dev/null")
# by a call that nobody sees, and then the number is a socket's, but no Internet socket's
gone = tcp("127.0.0.1", kernel_port)
libc.fdopen.restype = ctypes.c_void_p
assert libc.fclose(ctypes.c_void_p(libc.fdopen(gone.detach(), b"r"))) == 0
unseen = socket.socket(socket.AF_UNIX)
# and one that is seen, whose number is then another of the kernel's
gone = tcp("127.0.0.1", kernel_port)
gone.close()
doubled = os.dup(held["NO_OWNER"].fileno())
print({name: s.fileno() for name, s in held.items()} | {"reused": reused.fileno(), "unseen": unseen.fileno(), "doubled": doubled}, flush=True)
sys.stdin.read()
"""


# It talks to the kernel's servers only, so it has no reason to attach to vjd
UNATTACHED = """
import socket, sys
connected, listener = socket.create_connection(("127.0.0.1", int(sys.argv[1]))), socket.create_server(("127.0.0.1", 0))
try:
    mptcp = socket.socket(proto=262)
    mptcp.bind(("127.0.0.1", 0))
    mptcp.listen()
except OSError: # this kernel has none
    mptcp = None
print(connected.fileno(), listener.fileno(), mptcp.fileno() if mptcp else -1, flush=True)
sys.stdin.read()
"""


# A listening socket that an earlier image left at a number
LEFT = """
import os, socket, sys, threading
number = int(sys.argv[1])
if len(sys.argv) == 3:
    listener = socket.create_server(("127.0.0.1", 0))
    os.dup2(listener.fileno(), number)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], str(number)])
listener = socket.socket(fileno=number)
threading.Thread(target=listener.accept, daemon=True).start()
print(flush=True)
sys.stdin.read()
"""


def check_client(client, fds, port):
    paths, said = ask(client.pid)
    want = {"channel": ("channel", None), "both": ("both", None), "NO_OWNER": ("kernel", "NO_OWNER"),
            "NOT_LOCAL": ("kernel", "NOT_LOCAL"), "UNDECIDED": ("undecided", "UNDECIDED"),
            "UNUSED": ("kernel", "UNUSED"), "unread": ("kernel", "UNUSED"), "OPTION": ("kernel", "OPTION")}
    for name, path in want.items():
        assert paths[fds[name]] == path, (name, paths, fds)
    assert paths.pop(fds["doubled"])[1] != "NO_OWNER", (paths, fds)
    assert not {fds["other"], fds["reused"], fds["unseen"]} & set(paths) and len(paths) == len(want), (paths, fds)
    assert said["others"] >= 1, said
    channel = next(s for s in said["sockets"] if s["fd"] == fds["channel"])
    assert channel["remote"] == {"addr": "127.0.0.1", "port": port} and channel["local"]["port"], channel
    text = run(client.pid)
    assert "no program under vj run has that address and port" in text, text
    assert f" 127.0.0.1:{port} " in text and text.startswith("python"), text


def check_server(server, listener, lazy, port):
    """One client on a channel, one that came through the kernel, a listener that nobody waits on"""
    with socket.create_connection(("127.0.0.1", port)):
        until(lambda: len(ask(server.pid)[0]) == 4)
        paths, said = ask(server.pid)
        assert paths[listener] == ("both", None) and paths[lazy] == ("kernel", "NOT_ACCEPTING"), paths
        others = sorted(str(path) for fd, path in paths.items() if fd not in (listener, lazy))
        assert others == sorted(map(str, (("channel", None), ("kernel", "ACCEPTED")))), said


def check_outside():
    """Processes whose sockets are all the kernel's"""
    plain = start("import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(flush=True); sys.stdin.read()", under=False)
    idle = start("import sys; print(flush=True); sys.stdin.read()")
    kernels = socket.create_server(("127.0.0.1", 0))
    unattached = start(UNATTACHED, kernels.getsockname()[1])
    try:
        plain.stdout.readline()
        idle.stdout.readline()
        said = json.loads(run("--json", plain.pid, status=1))
        assert said["reason"] == "it was not started under vj run" and len(said["sockets"]) == 1, said
        assert said["sockets"][0]["listens"] and "why" not in said["sockets"][0], said
        said = run(idle.pid)
        assert "]: under vj run; nothing in it has wanted a channel" in said and "\nno TCP or UDP sockets\n" in said and "PROTO" not in said, said
        assert "no vjd answers" in run("--socket", "/nowhere", idle.pid)
        connected, listener, mptcp = map(int, unattached.stdout.readline().split())
        paths, said = ask(unattached.pid)
        if mptcp >= 0: # of the library's sockets it is none, whoever waits at it
            assert paths.pop(mptcp) == ("kernel", "UNKNOWN"), said
        assert paths == {connected: ("kernel", "NO_OWNER"), listener: ("kernel", "NOT_ACCEPTING")}, said
        assert "nothing in it has wanted a channel" in said["reason"], said
        assert "no program under vj run has that address and port" in run(unattached.pid)
    finally:
        kernels.close()
        for child in plain, idle, unattached:
            child.kill()
            child.wait()


def check_other_user():
    """One that has become another user than the private vjd's"""
    if os.geteuid():
        return
    child = start("import os, sys; os.setuid(65534); print(flush=True); sys.stdin.read()")
    try:
        child.stdout.readline()
        for args in (), ("--socket", "/nowhere"): # whether its vjd runs, or has left since nobody wanted anything of it
            said = run(*args, child.pid)
            assert "it runs as user 65534 now, and its vjd is private to user 0" in said and "have it stay user 0 (nginx: 'user root;')" in said, said
    finally:
        child.kill()
        child.wait()


def check_other_vjd():
    """One of another user, who has a private vjd, too"""
    if os.geteuid():
        return
    where = os.environ["VJ_SOCKET"]
    with tempfile.TemporaryDirectory() as theirs:
        os.environ["VJ_SOCKET"] = theirs + "/vjd.sock"
        child = start("import os, sys; os.setuid(65534); print(flush=True); sys.stdin.read()")
        os.environ["VJ_SOCKET"] = where
        ours = start(SERVER)
        try:
            ours.stdout.readline()
            child.stdout.readline()
            os.chown(theirs, 65534, 65534)
            for other in os.listdir(theirs):
                os.chown(f"{theirs}/{other}", 65534, 65534)
            assert "is private to" not in run("--socket", where, child.pid), run("--socket", where, child.pid)
        finally:
            for process in ours, child:
                process.kill()
                process.wait()


def check_any_address():
    """Without interfaces, programs of this host are all that come to any address: there is nothing to wait for"""
    server = start(SERVER.replace('"127.0.0.1"', '""'))
    try:
        fd = int(server.stdout.readline().split()[1])
        assert until(lambda: ask(server.pid)[0][fd] == ("both", None)), ask(server.pid)
    finally:
        server.kill()
        server.wait()


def check_elsewhere():
    """One whose vjd is another than the one that is asked: it is said which"""
    where = os.environ["VJ_SOCKET"]
    os.environ["VJ_SOCKET"] = where + ".other"
    server = start(SERVER)
    fd = int(server.stdout.readline().split()[1])
    os.environ["VJ_SOCKET"] = where
    try:
        assert until(lambda: ask(server.pid)[0][fd] == ("both", None)), ask(server.pid)
        said = run("--socket", where, server.pid, status=1)
        assert f"it is with another vjd; see: vj why --socket {where}.other {server.pid}\n" in said, said
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def started(program, speaks=True):
    """A program that one under vj run starts. Yields its process number and the first word that it @speaks, or ''"""
    word = "p.stdout.readline().decode().strip()" if speaks else "''"
    parent = start(f"import subprocess, sys; p = subprocess.Popen([{program!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE); "
                   f"print(p.pid, {word}, flush=True); sys.stdin.read()")
    try:
        yield parent.stdout.readline().rstrip("\n").split(" ", 1)
    finally:
        parent.kill()
        parent.wait()


def check_static():
    """A program without the library, started by one that has it"""
    with started(STATIC, speaks=False) as (pid, _):
        said = run(pid, status=1)
        assert "all on the kernel" in said and "statically linked" in said, said


def check_go():
    """A program of Go's: what functions of C connect is the kernel's, too, since Go's own calls may read it"""
    with started(GO_LIKE) as (pid, read):
        assert read == "read", read
        said = run(pid, status=1)
        assert "all on the kernel" in said and "is a Go program" in said, said


def check_first_ended():
    """Of a process whose first thread has ended /proc shows nothing by its own number"""
    with started(FIRST_ENDS) as (pid, port):
        until(lambda: f":{port} " in why(pid).stdout and " both " in why(pid).stdout)


def check_left():
    """Descriptors of an earlier image are found, whatever their numbers"""
    for number in 10, 255, 256, 300, 1000:
        server = start(LEFT, number, LEFT)
        try:
            server.stdout.readline()
            until(lambda: ask(server.pid)[0].get(number) == ("both", None))
            paths = ask(server.pid)[0]
            assert paths == {number: ("both", None)}, (number, paths)
        finally:
            server.kill()
            server.wait()


def check_confined():
    """A program that is built like sshd: it says so itself, and its client comes through the kernel. Unless it waits in a set of epoll"""
    for args, path, client_path in ([], ("kernel", "CONFINES"), ("kernel", "NO_OWNER")), (["epoll"], ("both", None), ("channel", None)):
        server = subprocess.Popen([VJ, "run", "--", CONFINED, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            port, listener = map(int, server.stdout.readline().split())
            paths, said = ask(server.pid)
            assert paths[listener] == path and "reason" not in said, (args, said)
            assert ("confines the processes that serve connections" in run(server.pid)) == (not args), args
            client = start(CLIENT, port, port)
            fds = eval(client.stdout.readline())  # pylint: disable=eval-used
            assert ask(client.pid)[0][fds["channel"]] == client_path, (args, ask(client.pid))
            client.kill()
            client.wait()
        finally:
            server.kill()
            server.wait()


# A UDP socket of each family; a copy of each is a child's, which reads when it is told to.
COPIES = """
import os, select, socket, sys
socks = []
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, 0))
    s.setblocking(False)
    select.select([s], [], [], 0)
    try:
        s.recv(1)
    except BlockingIOError:
        socks.append(s)
child = os.fork()
if not child:
    sys.stdin.readline()
    for s in socks:
        try:
            s.recv(1)
        except BlockingIOError:
            pass
    print("read", flush=True)
    sys.stdin.read()
    os._exit(0)
print(child, [s.fileno() for s in socks], flush=True)
os.waitpid(child, 0)
"""


def check_copies():
    """Who has a UDP socket on channels, and who has a copy of it: before that is used, and after"""
    program = start(COPIES)
    try:
        child, fds = program.stdout.readline().split(maxsplit=1)
        fds = json.loads(fds)

        def are(pid, path):
            return until(lambda: all(ask(pid)[0].get(fd) == path for fd in fds))
        assert are(program.pid, ("both", "COPIED")), ask(program.pid)
        assert are(child, ("kernel", "COPY")), ask(child)
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "read\n"
        assert are(program.pid, ("kernel", "FORKED")), ask(program.pid)
        assert are(child, ("kernel", "NOT_READ")), ask(child)
    finally:
        program.stdin.close()
        program.wait()


# Allows all, but is a filter
FILTERED = """
import ctypes, os, socket, struct, sys
listener, unread = socket.create_server(("::1", 0), family=socket.AF_INET6), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
unread.bind(("127.0.0.1", 0))
libc = ctypes.CDLL(None)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
rules = ctypes.create_string_buffer(struct.pack("HP", 1, ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, rules, 0, 0) == 0
print(listener.fileno(), unread.fileno(), flush=True)
sys.stdin.read()
"""


def check_filtered():
    """One that has put itself under a filter of system calls is the kernel's, and can't be asked"""
    program = start(FILTERED)
    try:
        listener, unread = map(int, program.stdout.readline().split())
        paths, said = ask(program.pid)
        assert paths == {listener: ("kernel", "FILTERED"), unread: ("kernel", "FILTERED")}, said
        assert "seccomp filter" in said["reason"], said
    finally:
        program.kill()
        program.wait()


def check_ended():
    """One that has ended, and whose parent doesn't ask"""
    parent = start("import subprocess, sys; p = subprocess.Popen(['true']); print(p.pid, flush=True); sys.stdin.read()")
    try:
        pid = parent.stdout.readline().strip()
        assert until(lambda: "has ended" in run(pid)), run(pid)
    finally:
        parent.kill()
        parent.wait()


def check_verbose():
    """A listening socket that is left to the kernel is said, with its reason, once"""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen([VJ, "run", "--verbose", "--", CONFINED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            port = server.stdout.readline().split()[0]
            for _ in range(3):
                socket.create_connection(("127.0.0.1", int(port))).close()
            said = until(lambda: log.seek(0) or [line for line in log.read().splitlines() if f"port {port}:" in line])
            assert len(said) == 1 and "the kernel's" in said[0] and "seccomp" in said[0], said
        finally:
            server.kill()
            server.wait()


OPTIONS = """
import errno, socket, struct, sys, threading
IP_MINTTL, IPV6_MINHOPCOUNT, SO_MARK, SO_PEEK_OFF, SO_TIMESTAMPING, TCP_MD5SIG = 21, 73, 36, 42, 37, 14
port, addr = int(sys.argv[1]), {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
key = struct.pack("=H2x4s120xBBHi80s", socket.AF_INET, socket.inet_aton("127.0.0.1"), 0, 0, 6, 0, b"secret")
options = {
    "device": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"),
    "mark": (socket.AF_INET, socket.SOL_SOCKET, SO_MARK, 7),
    "stamps": (socket.AF_INET, socket.SOL_SOCKET, SO_TIMESTAMPING, 16),
    "ttl": (socket.AF_INET, socket.IPPROTO_IP, IP_MINTTL, 2),
    "hops": (socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, 2),
    "md5": (socket.AF_INET, socket.IPPROTO_TCP, TCP_MD5SIG, key),
}
held, late = {}, {}
def has(s, option):
    try:
        s.setsockopt(*option)
    except OSError as e: # not the user's, or not the kernel's
        if e.errno not in (errno.EPERM, errno.ENOPROTOOPT):
            raise
        return False
    return True
def serve(listener):
    while True:
        listener.accept()[0].close()
for name, (family, *option) in options.items():
    client, early = socket.socket(family), socket.socket(family)
    if not has(client, option):
        continue
    has(early, option)
    early.bind((addr[family], 0))
    early.listen()
    late[name] = socket.create_server((addr[family], 0), family=family)
    held["early " + name], held["late " + name] = early, late[name]
    for listener in early, late[name]:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    client.setblocking(False)
    if family == socket.AF_INET: # at the other nobody listens
        client.connect_ex((addr[family], port))
        held["client " + name] = client
channel = socket.create_connection((addr[socket.AF_INET], port))
for option in (socket.IPPROTO_TCP, TCP_MD5SIG, key), (socket.SOL_SOCKET, SO_PEEK_OFF, 0):
    try:
        channel.setsockopt(*option)
    except OSError as e:
        assert e.errno in (errno.EOPNOTSUPP, errno.ENOPROTOOPT)
    else:
        raise AssertionError(option)
print({name: (s.fileno(), s.getsockname()[1]) for name, s in held.items()}, flush=True)
sys.stdin.readline()
for name, listener in late.items():
    has(listener, options[name][1:])
print(flush=True)
sys.stdin.read()
"""


def check_options():
    """Options that no channel knows of: who is to be connected, or to listen, is the kernel's, and who listens already becomes it"""
    server = start(SERVER)
    program = start(OPTIONS, server.stdout.readline().split()[0])

    def are(want):
        def look():
            paths = ask(program.pid)[0]
            return paths if all(paths.get(fd) == want(name) for name, (fd, _) in held.items()) else None
        return until(look)
    try:
        held = eval(program.stdout.readline())  # pylint: disable=eval-used
        assert any(name.startswith("client") for name in held), held
        assert are(lambda name: ("both", None) if name.startswith("late") else ("kernel", "OPTION")), (held, ask(program.pid))
        program.stdin.write("\n")
        program.stdin.flush()
        program.stdout.readline()
        assert are(lambda name: ("kernel", "OPTION")), (held, ask(program.pid))
        for name, (_, port) in held.items(): # those that waited in accept() go on
            if name.startswith("late") and "md5" not in name:
                socket.create_connection(("::1" if "hops" in name else "127.0.0.1", port), PATIENCE_S).recv(1)
    finally:
        for child in server, program:
            child.kill()
            child.wait()


EXHAUSTED = """
import os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
s = socket.socket()
fillers = []
try:
    while True:
        fillers.append(os.dup(0))
except OSError:
    pass
s.connect((sys.argv[1], int(sys.argv[2])))
for fd in fillers:
    os.close(fd)
print(s.fileno(), flush=True)
sys.stdin.read()
"""


def check_exhausted():
    """Who has used up its descriptors reaches programs at any address of this host by channels all the same."""
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    own = [addr for addr in own if ":" not in addr]
    if not own:
        print("no address beside the loopback's: no program without descriptors is tried")
        return
    server = start(SERVER.replace("127.0.0.1", ""))
    try:
        client = start(EXHAUSTED, own[0], server.stdout.readline().split()[0])
        fd = int(client.stdout.readline())
        assert ask(client.pid)[0][fd] == ("channel", None), ask(client.pid)
        client.kill()
        client.wait()
    finally:
        server.kill()
        server.wait()


def check_silent():
    """vjd can't be asked: what may be on channels is unknown, each socket once; and known as soon as there is a vjd again"""
    where = os.environ["VJ_SOCKET"]
    kernels = socket.create_server(("127.0.0.1", 0))
    server = start(SERVER)
    port, listener, _ = map(int, server.stdout.readline().split())
    client = start(CLIENT, port, kernels.getsockname()[1])
    idle = start("import sys; print(flush=True); sys.stdin.read()")
    new = None
    try:
        fds = eval(client.stdout.readline())  # pylint: disable=eval-used
        idle.stdout.readline()
        check_client(client, fds, port)
        vjd = json.loads(subprocess.run([VJ, "status", "--json"], capture_output=True, check=True).stdout)["daemon"]["pid"]
        os.kill(vjd, signal.SIGSTOP)
        paths, said = ask(client.pid, status=1)
        assert f"vjd (process {vjd}) is stopped: kill -CONT {vjd}" in said["reason"], said
        want = {name: ("unknown", None) for name in fds if name not in ("other", "reused", "unseen", "doubled")}
        want["NO_OWNER"] = ("kernel", None)
        want["NOT_LOCAL"] = paths[fds["NOT_LOCAL"]] # the kernel's, if it is still on its way
        assert paths == {fds[name]: path for name, path in want.items()}, (paths, fds)
        assert ask(server.pid, status=1)[0][listener] == ("unknown", None), ask(server.pid, status=1)
        text = run(server.pid, status=1)
        assert "which of its sockets are on channels is not known" in text and text.count(f":{port} ") == 1, text
        assert "all on the kernel: under vj run, but no vjd answers" in run(idle.pid)
        os.kill(vjd, signal.SIGKILL)
        until(lambda: "no vjd answers" in run(idle.pid) and not os.path.exists(f"/proc/{vjd}"))
        new = subprocess.Popen([VJ + "d", "--private", "--foreground", "--socket", where, "--idle-exit", "60", "--first-exit", "60"],
                               stderr=subprocess.DEVNULL)
        until(lambda: subprocess.run([VJ, "status"], capture_output=True, check=False).returncode == 0)
        check_client(client, fds, port)
    finally:
        kernels.close()
        for child in server, client, idle, new:
            if child:
                child.kill()
                child.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="vj-test-why-") as run_dir, \
            socket.create_server(("127.0.0.1", 0)) as kernel:
        os.environ["XDG_RUNTIME_DIR"] = run_dir
        os.environ["VJ_SOCKET"] = run_dir + "/vjd.sock"
        server = start(SERVER)
        port, listener, lazy = map(int, server.stdout.readline().split())
        client = start(CLIENT, port, kernel.getsockname()[1])
        try:
            fds = eval(client.stdout.readline())  # pylint: disable=eval-used
            check_client(client, fds, port)
            check_server(server, listener, lazy, port)
            os.kill(client.pid, signal.SIGSTOP)
            assert f"it is stopped (kill -CONT {client.pid})" in run(client.pid, status=1)
            begun = time.monotonic()
            assert why(*[client.pid] * 30).stderr.count("does not come to it") == 30
            assert time.monotonic() - begun < 25, "asked one after the other, they take 30 s"
            os.kill(client.pid, signal.SIGCONT)
            check_client(client, fds, port)
        finally:
            client.kill()
            server.kill()
            client.wait()
            server.wait()
        check_outside()
        check_other_user()
        check_other_vjd()
        check_any_address()
        check_elsewhere()
        check_static()
        check_go()
        check_first_ended()
        check_confined()
        check_filtered()
        check_copies()
        check_ended()
        check_verbose()
        check_exhausted()
        check_options()
        check_left()
        check_silent()
        assert "there is no process" in run(2 ** 22 + 1, status=1)
        assert "of which process" in run(status=2)
        assert "no process number" in run("x", status=2)
    print("each socket's path and reason, as it is")


main()
