# SPDX-License-Identifier: BSD-2-Clause
"""haproxy with two threads in front of two servers, as HTTP and as bare TCP, spliced."""

NEEDS = ('haproxy', 'curl', 'wrk', 'python3')
HTTP, TCP, BACKS = 7000, 7001, (7002, 7003)

CONF = f'''
global
	nbthread 2
	maxconn 1000
defaults
	timeout connect 60s
	timeout client 60s
	timeout server 60s
frontend http
	mode http
	bind 127.0.0.1:{HTTP}
	bind [::1]:{HTTP}
	default_backend servers
backend servers
	mode http
	balance roundrobin
	http-reuse always
	server one 127.0.0.1:{BACKS[0]}
	server two 127.0.0.1:{BACKS[1]}
listen tcp
	mode tcp
	option splice-request
	option splice-response
	bind 127.0.0.1:{TCP}
	server one 127.0.0.1:{BACKS[0]}
'''


def play(lab):
    for i, port in enumerate(BACKS):
        lab.random_file(f'www{i}/data', 500000)
        lab.write(f'www{i}/name', f'server {i}\n')
        lab.server(f'back{i}', 'python3', '-m', 'http.server', '-b', '127.0.0.1', '-p', 'HTTP/1.1', '-d', lab.tmp / f'www{i}',
                   port, port=port)
    proxy = lab.server('haproxy', 'haproxy', '-db', '-f', lab.write('haproxy.cfg', CONF), port=TCP)
    lab.wait_owned(HTTP)
    for host in '127.0.0.1', '[::1]':
        said = lab.client('curl', '-sS', *[f'http://{host}:{HTTP}/name'] * 20)
        lab.say(host, said.count(b'server 0\n'), said.count(b'server 1\n'))
    pages = sorted(lab.client('curl', '-sS', f'http://127.0.0.1:{HTTP}/data') for _ in range(2))
    for page in pages:
        lab.say_data('http', page)
    for _ in range(5):
        lab.say_data('tcp, spliced', lab.client('curl', '-sS', f'http://127.0.0.1:{TCP}/data'))
    lab.wrk(f'http://127.0.0.1:{HTTP}/name', 20, 20)
    lab.stop(proxy, ok=(0, 130, 143, -15))
