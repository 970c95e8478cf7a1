# SPDX-License-Identifier: BSD-2-Clause
#
# Connections in the middle of whatever they do when their interface is detached: for test_interface_detach.sh. DIRECTORY/ready says that they are, and
# DIRECTORY/gone that it was.
#
#	detach_stream.py user HOST PORT TOTAL CNT DIRECTORY	CNT connections to a kernel_stream.py peer, each in a thread
#	detach_stream.py sink PORT				reads slowly; says how much it was, and how it ended
#	detach_stream.py echo PORT				says back each line
#	detach_stream.py odd HOST SINK ECHO DIRECTORY		one that is closed with much to be sent still, and one whose thread sleeps in recv()
#	detach_stream.py late PORT DIRECTORY			accepts four, and a fifth when DIRECTORY/late is there; says back a line of each
#	detach_stream.py line HOST PORT				its client
import os, socket, sys, threading, time
from kernel_stream import Stream

SUNK = 3000000

def wait_for(path):
    until = time.time() + 60
    while not os.path.exists(path):
        if time.time() > until:
            sys.exit("never: " + path)
        time.sleep(0.01)

def go(n, failed, host, port, total, reached, directory):
    try:
        s = socket.create_connection((host, port), 10)
        s.sendall(b"%-15d %-8s%-8s" % (total, b"0", b"both"))
        st = Stream(s, total)
        st.run(total // 4, total // 4)
        if n % 4 == 1: # all is sent, and FIN
            st.shut()
        elif n % 4 == 2: # much is unread
            st.run(total // 2, 0, receives=False)
        reached.release()
        # slowly on, so that there is something in both directions all the time
        while not os.path.exists(directory + "/gone") and st.got < total * 3 // 4:
            st.run(0, st.got + 1000, sends=False)
            if st.sent < total * 3 // 4:
                st.send(1000)
            time.sleep(0.002)
        wait_for(directory + "/gone")
        st.finish()
    except (SystemExit, OSError) as e:
        failed.append("%d: %s" % (n, e))
        reached.release()

def user(host, port, total, cnt, directory):
    failed, reached = [], threading.Semaphore(0)
    threads = [threading.Thread(target=go, args=(n, failed, host, int(port), int(total), reached, directory)) for n in range(int(cnt))]
    for t in threads:
        t.start()
    for t in threads:
        reached.acquire()
    open(directory + "/ready", "w").close()
    for t in threads:
        t.join()
    if failed:
        sys.exit("; ".join(failed))

def listen(port):
    return socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

def sink(port):
    l = listen(port)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    while True:
        s, got, how = l.accept()[0], 0, "end"
        try:
            while data := s.recv(65536):
                got += len(data)
                time.sleep(0.05)
        except OSError as e:
            how = str(e)
        print("sunk", got, how, flush=True)

def echo(port):
    def serve(s):
        while data := s.recv(100):
            s.sendall(data)

    l = listen(port)
    while True:
        threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()

def odd(host, sink, echo, directory):
    got = []
    e = socket.create_connection((host, int(echo)))
    e.sendall(b"one")
    if e.recv(100) != b"one":
        sys.exit("no echo")
    t = threading.Thread(target=lambda: got.append(e.recv(100)))
    t.start()
    s = socket.create_connection((host, int(sink)))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * SUNK)
    s.sendall(bytes(SUNK))
    s.close()
    open(directory + "/ready", "w").close()
    wait_for(directory + "/gone")
    e.sendall(b"two")
    t.join(20)
    if got != [b"two"]:
        sys.exit("who slept in recv() got %r" % got)

def late(port, directory):
    l = listen(port)
    for n in range(5): # the first ones come by the kernel
        if n == 4:
            open(directory + "/ready", "w").close()
            wait_for(directory + "/late")
        with l.accept()[0] as s:
            data = s.recv(100)
            if n == 4:
                wait_for(directory + "/gone")
            s.sendall(data)

def line(host, port):
    s = socket.create_connection((host, int(port)), 10)
    s.sendall(b"line")
    s.settimeout(30)
    if s.recv(100) != b"line" or s.recv(100):
        sys.exit("no echo")

if __name__ == "__main__":
    {"user": user, "sink": sink, "echo": echo, "odd": odd, "late": late, "line": line}[sys.argv[1]](*sys.argv[2:])
