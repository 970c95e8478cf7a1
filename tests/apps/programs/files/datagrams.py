# SPDX-License-Identifier: BSD-2-Clause
"""datagrams.py server PORT | client PORT CNT: each datagram comes back"""

import os
import socket
import sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address = ('127.0.0.1', int(sys.argv[2]))
if sys.argv[1] == 'server':
    sock.bind(address)
    print('bound', flush=True)
    sock.sendto(*sock.recvfrom(65536))
    if os.fork() == 0:
        os._exit(0)  # a child that has never used it does no harm
    while True:
        sock.sendto(*sock.recvfrom(65536))
sock.settimeout(60)
for i in range(int(sys.argv[3])):
    data = b'%d of %d' % (i, os.getpid()) * (1 + i % 1500 * (i % 50 == 0))
    sock.sendto(data, address)
    assert sock.recvfrom(65536)[0] == data
print(sys.argv[3], 'came back')
