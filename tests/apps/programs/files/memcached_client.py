# SPDX-License-Identifier: BSD-2-Clause
"""memcached_client.py HOST PORT: threads that set and get; prints a sum of all that came back"""

import hashlib
import socket
import struct
import sys
import threading

CONNECTIONS, ROUNDS = 20, 100
answers = [None] * CONNECTIONS


def work(nr):
    got = hashlib.sha256()
    sock = socket.create_connection(sys.argv[1:3], 60)
    stream = sock.makefile('rwb')
    for i in range(ROUNDS):
        value = b'%d/%d ' % (nr, i) * (1 + i * i)
        stream.write(b'set %d:%d 0 0 %d\r\n%s\r\nget %d:%d\r\n' % (nr, i, len(value), value, nr, i))
        stream.flush()
        for _ in range(2):
            got.update(stream.readline())
        got.update(stream.read(len(value) + 2))
        got.update(stream.readline())
    stream.write(b'incr absent 1\r\nquit\r\n')
    stream.flush()
    got.update(stream.read())
    answers[nr] = got.hexdigest()


threads = [threading.Thread(target=work, args=(nr,)) for nr in range(CONNECTIONS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert None not in answers
print(hashlib.sha256(''.join(answers).encode()).hexdigest())

udp = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(60)
udp.connect((sys.argv[1], int(sys.argv[2])))
for i in range(100):
    udp.send(struct.pack('>HHHH', i, 0, 1, 0) + b'get 3:%d\r\n' % (i % 10))
    answer = udp.recv(65536)
    assert answer[:2] == struct.pack('>H', i) and answer.endswith(b'END\r\n'), answer
print('udp', len(answer))
