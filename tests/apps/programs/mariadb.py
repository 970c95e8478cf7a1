# SPDX-License-Identifier: BSD-2-Clause
"""MariaDB, a thread for each connection: rows in and out, a dump, eight clients at a time."""

NEEDS = ('mariadbd', 'mariadb', 'mariadb-dump', 'mariadb-slap', 'mariadb-install-db')
AS_USER = True
PORT = 7000
TO = ('-h', '127.0.0.1', '-P', PORT, '-u', 'u', '-pp', '--protocol=tcp')


def play(lab):
    lab.tool('mariadb-install-db', '--no-defaults', f'--datadir={lab.tmp}/db', '--auth-root-authentication-method=normal',
             '--skip-test-db')
    server = lab.server('mariadbd', 'mariadbd', '--no-defaults', f'--datadir={lab.tmp}/db', f'--socket={lab.tmp}/sock',
                        f'--port={PORT}', '--bind-address=127.0.0.1', f'--pid-file={lab.tmp}/pid',
                        '--innodb-buffer-pool-size=16M', '--innodb-use-native-aio=0', port=PORT)
    lab.tool('mariadb', '-u', 'root', '-S', lab.tmp / 'sock', '-e',
             "create user u@'127.0.0.1' identified by 'p'; grant all on *.* to u@'127.0.0.1'; create database d")
    rows = ''.join(f"insert into a values({i}, repeat('{i % 10}', 5000));\n" for i in range(200))
    lab.client('mariadb', *TO, 'd', stdin=b'create table a(i int primary key, s longtext);\n' + rows.encode())
    for _ in range(2):
        lab.say_data('rows', lab.client('mariadb', *TO, 'd', '-e', 'select * from a order by i'))
    lab.say_data('dump', lab.client('mariadb-dump', *TO, '--skip-comments', '--skip-dump-date', 'd'))
    said = lab.client('mariadb-slap', *TO, '-a', '-c', 8, '--number-of-queries=400').decode()
    lab.say([line for line in said.splitlines() if 'clients' in line])
    lab.stop(server)
