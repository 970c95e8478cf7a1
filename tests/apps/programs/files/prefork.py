# SPDX-License-Identifier: BSD-2-Clause
"""prefork.py server HOST PORT PROCESSES | client HOST PORT THREADS ROUNDS"""

import hashlib
import multiprocessing
import os
import signal
import socket
import sys
import threading


def accept_for_ever(listener):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile('rwb') as stream:
            for line in stream:
                stream.write(b'%s %d\n' % (hashlib.sha256(line).hexdigest().encode(), os.getpid()))
                stream.flush()


def server(host, port, processes):
    listener = socket.create_server((host, port), backlog=100, family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    children = [multiprocessing.Process(target=accept_for_ever, args=(listener,)) for _ in range(processes)]
    for child in children:
        child.start()

    def end(*_):
        for child in children:
            child.terminate()
        for child in children:  # they have the listening socket, too
            child.join()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.pause()


def client(host, port, threads, rounds):
    good, servers = [], set()

    def work(nr):
        for i in range(rounds):
            with socket.create_connection((host, port), 60) as sock, sock.makefile('rwb') as stream:
                for j in range(5):
                    line = b'%d/%d/%d\n' % (nr, i, j)
                    stream.write(line)
                    stream.flush()
                    answer, pid = stream.readline().decode().split()
                    assert answer == hashlib.sha256(line).hexdigest()
                    servers.add(pid)
        good.append(nr)

    workers = [threading.Thread(target=work, args=(nr,)) for nr in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sorted(good), 'served by', len(servers))


if sys.argv[1] == 'server':
    multiprocessing.set_start_method('fork')
    server(sys.argv[2], *map(int, sys.argv[3:5]))
else:
    client(sys.argv[2], *map(int, sys.argv[3:6]))
