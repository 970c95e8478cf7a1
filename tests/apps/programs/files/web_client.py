# SPDX-License-Identifier: BSD-2-Clause
"""web_client.py URL: urllib, and http.client with one kept-alive connection in each of eight threads"""

import hashlib
import http.client
import ssl
import sys
import threading
import urllib.parse
import urllib.request

url = urllib.parse.urlsplit(sys.argv[1])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
more = {'context': context} if url.scheme == 'https' else {}
kind = http.client.HTTPSConnection if more else http.client.HTTPConnection
sums = []


def work():
    connection = kind(url.hostname, url.port, timeout=60, **more)
    total = hashlib.sha256()
    for path in ['/small'] * 30 + ['/data', '/absent', '/small']:
        connection.request('GET', path)
        answer = connection.getresponse()
        total.update(b'%d' % answer.status)
        total.update(answer.read())
    connection.close()
    sums.append(total.hexdigest())


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print('http.client', len(sums), *sorted(set(sums)))
print('urllib', hashlib.sha256(urllib.request.urlopen(sys.argv[1] + '/data', timeout=60, **more).read()).hexdigest())
