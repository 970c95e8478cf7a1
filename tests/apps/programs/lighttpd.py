# SPDX-License-Identifier: BSD-2-Clause
"""lighttpd with two workers: sends a file in pieces of which none falls short, then waits for room; level-triggered epoll."""

NEEDS = ('lighttpd', 'curl', 'ab')
PORT = 7000

CONF = '''
server.document-root = "{tmp}/www"
server.port = {port}
server.bind = "127.0.0.1"
server.errorlog = "{tmp}/lighttpd.log"
server.max-worker = 2
index-file.names = ( "index.html" )
$SERVER["socket"] == "[::1]:{port}" {{ }}
'''


def play(lab):
    lab.random_file('www/big', 3000000)
    lab.write('www/index.html', 'hello\n')
    server = lab.server('lighttpd', 'lighttpd', '-D', '-f', lab.write('conf', CONF.format(tmp=lab.tmp, port=PORT)), port=PORT)
    for host in '127.0.0.1', '[::1]':
        lab.say(host, lab.client('curl', '-sS', *[f'http://{host}:{PORT}/'] * 20).decode())
        lab.say_data('big', lab.client('curl', '-sS', f'http://{host}:{PORT}/big'))
    said = lab.client('ab', '-q', '-k', '-n', 2000, '-c', 20, f'http://127.0.0.1:{PORT}/').decode()
    lab.say([line for line in said.splitlines() if line.startswith(('Complete', 'Failed', 'Non-2xx'))])
    lab.stop(server)
