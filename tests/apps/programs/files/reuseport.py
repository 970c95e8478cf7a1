# SPDX-License-Identifier: BSD-2-Clause
"""reuseport.py server PORT | client PORT CONNECTIONS"""

import signal
import socket
import sys

served = 0


def end(*_):
    print(served, flush=True)
    sys.exit(0)


def server(port):
    global served
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(('127.0.0.1', port))
    listener.listen(200)
    signal.signal(signal.SIGTERM, end)
    print('listens', flush=True)
    while True:
        connection, _ = listener.accept()
        served += 1  # before the client can know
        connection.sendall(connection.recv(5)[::-1])
        connection.close()


def client(port, count):
    for _ in range(count):
        with socket.create_connection(('127.0.0.1', port), 60) as connection:
            connection.sendall(b'hello')
            assert connection.recv(5, socket.MSG_WAITALL) == b'olleh'
    print(count, 'answered')


if sys.argv[1] == 'server':
    server(int(sys.argv[2]))
else:
    client(int(sys.argv[2]), int(sys.argv[3]))
