# SPDX-License-Identifier: BSD-2-Clause
"""nghttpd, nghttp and h2load: HTTP/2, plain and over TLS, many streams in a connection; IPv4 and IPv6"""

NEEDS = ('nghttpd', 'nghttp', 'h2load', 'openssl')
PORT = 7000


def play(lab):
    lab.random_file('www/big', 2000000)
    lab.write('www/small', 'hello\n')
    lab.tool('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'cert', '-days', 2, '-subj', '/CN=localhost')
    for scheme, how, tls in ('http', ['--no-tls'], []), ('https', [], ['key', 'cert']):
        server = lab.server('nghttpd', 'nghttpd', *how, '-d', lab.tmp / 'www', '-n', 2, PORT, *tls, port=PORT)
        for host in '127.0.0.1', '[::1]':
            url = f'{scheme}://{host}:{PORT}'
            lab.say_data(url, lab.client('nghttp', f'{url}/big'))
            for name, cnt in ('small', 3000), ('big', 60):
                said = lab.client('h2load', '-n', cnt, '-c', 10, '-m', 10, '-t', 2, f'{url}/{name}').decode()
                lab.say([line for line in said.splitlines() if line.startswith(('requests:', 'status'))])
        lab.stop(server)
