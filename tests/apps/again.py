# SPDX-License-Identifier: BSD-2-Clause
#
# The port of a connection that has become the kernel's: for test_interface_again.sh.
#
#	again.py echo PORT			says back each line; closes first at "bye"
#	again.py user HOST PORT DIRECTORY	makes DIRECTORY/ready, and goes on when DIRECTORY/go is there
import os, socket, sys, threading, time

def serve(s):
    with s, s.makefile("rw") as f:
        for line in f:
            f.write(line)
            f.flush()
            if line == "bye\n":
                return

def echo(port):
    l = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()

def say(s, line):
    s.sendall(line)
    got = b""
    while len(got) < len(line):
        more = s.recv(64)
        if not more:
            sys.exit("closed in the middle of %r" % line)
        got += more
    if got != line:
        sys.exit("%r, not %r" % (got, line))

def ports(host, port, enough):
    """Those of connections one after the other, until `enough` says so of them."""
    used = []
    while not enough(used):
        if len(used) == 4000:
            sys.exit("port not seen again")
        with socket.create_connection((host, port), 10) as s:
            say(s, b"bye\n")
            used.append(s.getsockname()[1])
    return used

def child(s, orders, answers):
    while os.read(orders, 1) == b"s":
        say(s, b"still there\n")
        os.write(answers, b"s")
    say(s, b"bye\n")
    if s.recv(1):
        sys.exit("no end of file")
    os._exit(0)

def user(host, port, directory):
    port = int(port)
    s = socket.create_connection((host, port), 10)
    say(s, b"ours\n")
    mine = s.getsockname()[1]
    orders, give = os.pipe()
    take, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(give)
        child(s, orders, answers)
    os.close(answers)
    s.close()

    def still_there(when):
        os.write(give, b"s")
        if os.read(take, 1) != b"s":
            sys.exit("the child's connection has ended " + when)

    still_there("when it became the kernel's")
    open(directory + "/ready", "w").close()
    while not os.path.exists(directory + "/go"): # what dispatch knew of flows was taken away
        time.sleep(0.01)
    still_there("when it was forgotten")
    time.sleep(2.1) # as long as the stack keeps the port itself
    # once round: the next port of the block is used twice
    used = ports(host, port, lambda used: len(used) > len(set(used)) or len(set(used)) > 300)
    if mine in used:
        sys.exit("the kernel's port was used for another connection")
    still_there("when its block was used up")
    os.write(give, b"e")
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit("the child failed")
    ports(host, port, lambda used: used and used[-1] == mine)

if __name__ == "__main__":
    {"echo": echo, "user": user}[sys.argv[1]](*sys.argv[2:])
