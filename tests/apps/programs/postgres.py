# SPDX-License-Identifier: BSD-2-Clause
"""PostgreSQL: a process for each connection; pgbench, a dump and its restoration."""

import glob
import re
import signal

NEEDS = ('initdb', 'postgres', 'pgbench', 'psql', 'pg_dump')
# Debian keeps the server's programs to itself
PATH = sorted(glob.glob('/usr/lib/postgresql/*/bin'))[-1:]
AS_USER = True  # the server refuses to run as root
PORT = 7000


def play(lab):
    lab.tool('initdb', '-D', 'data', '-U', 'lab', '-A', 'trust', '-N', '--no-locale', '-E', 'UTF8')
    # strict: connections that are over at once are not to be left to the kernel, as they would be
    server = lab.server('postgres', 'postgres', '-D', 'data', '-p', PORT, '-k', '', '-c', 'listen_addresses=127.0.0.1,::1', '-c', 'fsync=off',
                        port=PORT, env={'VJ_STRICT': '1'})
    at = ('-h', '127.0.0.1', '-p', PORT, '-U', 'lab')
    psql = ('psql', *at, '-At', '-v', 'ON_ERROR_STOP=1', 'postgres')
    lab.wait_for('answers', lambda: lab.client(*psql, '-c', 'select 1', ok=(0, 2)) == b'1\n')
    lab.client('pgbench', *at, '-i', '-q', '-s', 1, 'postgres')
    said = lab.client('pgbench', *at, '-c', 10, '-j', 2, '-t', 50, 'postgres').decode()
    lab.say('pgbench', re.findall(r'^number of (?:transactions actually|failed).*$', said, re.M))
    said = lab.client('pgbench', *at, '-S', '-M', 'prepared', '-C', '-c', 4, '-t', 10, 'postgres').decode()
    lab.say('reconnecting', re.findall(r'^number of transactions actually.*$', said, re.M))
    said = lab.client('pgbench', '-h', '::1', *at[2:], '-S', '-c', 4, '-t', 10, 'postgres').decode()
    lab.say('IPv6', re.findall(r'^number of transactions actually.*$', said, re.M))
    lab.say(lab.client(*psql, '-c', 'select sum(abalance) - (select sum(delta) from pgbench_history) from pgbench_accounts'))
    lab.client(*psql, stdin=b"create table t as select n, repeat(md5(n::text), n % 40) as x from generate_series(1, 20000) n;")
    dump = lab.client('pg_dump', *at, '-t', 't', 'postgres')
    # a word that is another one each time keeps psql from running more than the dump
    lab.say_data('dump', re.sub(rb'(?m)^\\(un)?restrict .*$', b'', dump))
    lab.client(*psql, stdin=b'drop table t;\n' + dump)
    lab.say(lab.client(*psql, '-c', "select md5(string_agg(x, '' order by n)) from t").decode().strip())
    lab.stop(server, signal.SIGINT)
