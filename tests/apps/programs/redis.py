# SPDX-License-Identifier: BSD-2-Clause
"""redis-server with I/O threads: redis-benchmark, redis-cli, pipelining, a child that saves while it is under load."""

import re

NEEDS = ('redis-server', 'redis-cli', 'redis-benchmark')
PORT = 7000


def keys(lab, cli, cnt):
    lab.say('set', lab.client(*cli, stdin=b''.join(b'SET key:%d value-%d\n' % (i, i) for i in range(cnt))).count(b'OK\n'))
    lab.say_data('get', lab.client(*cli, stdin=b''.join(b'GET key:%d\n' % i for i in range(cnt))))


def play(lab):
    server = lab.server('redis', 'redis-server', '--port', PORT, '--bind', '127.0.0.1', '::1', '--save', '', '--io-threads', 2,
                        '--io-threads-do-reads', 'yes', '--dir', lab.tmp, port=PORT)
    cli = ('redis-cli', '-p', PORT)
    load = lab.client_start('redis-benchmark', '-p', PORT, '-c', 50, '-n', 2000, '-r', 1000, '-t', 'set,get,lpush,mset',
                            '--csv')
    keys(lab, cli, 500)
    # a client of the kernel's beside
    lab.say_data('get', lab.tool(*cli, 'mget', *(f'key:{i}' for i in range(500)), connects=1))
    lab.say(lab.client(*cli, 'bgsave').decode().strip())
    lab.say('benchmark', re.findall(rb'^"([A-Z]+)[ "]', lab.finish(load), re.M))
    lab.wait_for('end of bgsave', lambda: b'rdb_bgsave_in_progress:0' in lab.client(*cli, 'info', 'persistence'))
    lab.say(re.search(rb'rdb_last_bgsave_status:\w+', lab.client(*cli, 'info', 'persistence')).group().decode())
    lab.say('pipeline', len(lab.client('redis-benchmark', '-h', '::1', '-p', PORT, '-c', 20, '-n', 10000, '-P', 16, '-t', 'set',
                                       '--csv')) > 0)
    big = lab.random_file('big', 1000000).read_bytes().hex().encode()
    lab.say(lab.client(*cli, '-x', 'set', 'big', stdin=big).decode().strip())
    lab.say_data('big', lab.client(*cli, 'get', 'big'))
    lab.say('sum', lab.client(*cli, 'eval', "return redis.sha1hex(redis.call('get', 'key:77'))", 0).decode().strip())
    lab.stop(server)
