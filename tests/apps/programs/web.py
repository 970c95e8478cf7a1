# SPDX-License-Identifier: BSD-2-Clause
"""python3's http.server (threads) with curl, wget, ab, http.client and urllib; then TLS on top of it."""

import re

import lab as lab_module

NEEDS = ('python3', 'curl', 'wget', 'ab', 'openssl')
PORT, TLS = 7000, 7001


def fetch_all(lab, url, *insecure):
    for host in '127.0.0.1', '[::1]':
        lab.say_data('curl', lab.client('curl', '-sS', *insecure, f'{url.format(host=host)}/data'))
    lab.say('curl', lab.client('curl', '-s', *insecure, '-o', '/dev/null', '-w', '%{http_code}', url.format(host='127.0.0.1') + '/absent'))
    lab.say_data('wget', lab.client('wget', '-qO-', *(['--no-check-certificate'] if insecure else []), url.format(host='127.0.0.1') + '/data'))
    lab.say(lab.client('python3', lab_module.FILES / 'web_client.py', url.format(host='127.0.0.1')).decode())


def play(lab):
    lab.random_file('www/data', 2000000)
    lab.write('www/small', 'small\n')
    key, cert = lab.tmp / 'key.pem', lab.tmp / 'cert.pem'
    lab.tool(*'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x'.split(),
             '-keyout', key, '-out', cert)
    plain = lab.server('plain', 'python3', '-m', 'http.server', '-b', '::', '-p', 'HTTP/1.1', '-d', lab.tmp / 'www', PORT, port=PORT)
    tls = lab.server('tls', 'python3', lab_module.FILES / 'tls_server.py', TLS, lab.tmp / 'www', cert, key, port=TLS)
    fetch_all(lab, f'http://{{host}}:{PORT}')
    fetch_all(lab, f'https://{{host}}:{TLS}', '-k')
    said = lab.client('ab', '-q', '-c', 4, '-n', 200, f'http://127.0.0.1:{PORT}/small').decode()
    lab.say('ab', re.findall(r'^(?:Complete|Failed|Non-2xx).*?\d+', said, re.M))
    lab.say(lab.client('openssl', 's_client', '-quiet', '-connect', f'127.0.0.1:{TLS}', stdin=b'GET /small HTTP/1.0\r\n\r\n', ok=(0, 1)).splitlines()[-1])
    for server in plain, tls:
        lab.stop(server)
