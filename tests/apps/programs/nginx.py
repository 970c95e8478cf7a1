# SPDX-License-Identifier: BSD-2-Clause
"""nginx: a master and two workers, sendfile, keep-alive, a proxied upstream, a graceful reload under load."""

import getpass
import re
import signal

NEEDS = ('nginx', 'curl', 'wrk', 'ab')
FRONT, BACK = 7000, 7001

CONF = '''
user {user};
worker_processes 2;
daemon off;
pid {tmp}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 100000;
	default_type application/octet-stream;
	client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/f;
	uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;
	upstream back {{ server 127.0.0.1:{back}; keepalive 16; }}
	server {{ listen 127.0.0.1:{back}; root {tmp}/www; }}
	server {{
		listen 127.0.0.1:{front}; listen [::1]:{front};
		root {tmp}/www;
		location /counted/ {{ alias {tmp}/www/; access_log {tmp}/counted; }}
		location /proxy/counted/ {{ proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection ""; access_log {tmp}/counted; }}
		location /proxy/ {{ proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
	}}
}}
'''


def fetch(lab, url):
    lab.say_data(url, lab.client('curl', '-sS', '--fail', url))


def reload_under(lab, server, nginx, path):
    """A connection for each request, while the workers are replaced: none is lost. There are some hundred before, between and after."""
    counted = lab.write('counted', '')
    load = lab.client_start('ab', '-q', '-c', 20, '-t', 1000, '-n', 10000000, f'http://127.0.0.1:{FRONT}/{path}')

    def more():
        begin = counted.stat().st_size
        line = 100  # bytes of it
        lab.wait_for('requests', lambda: counted.stat().st_size > begin + 300 * line, load)
    more()
    for _ in range(4):
        workers = lab.children(server)
        lab.tool(*nginx, '-s', 'reload')
        lab.wait_for('new workers', lambda: len(lab.children(server)) == 2 and not lab.children(server) & workers)
        for port in FRONT, BACK:
            lab.wait_owned(port, lab.children(server))
        more()
    lab.signal(load, signal.SIGINT)
    said = lab.finish(load, ok=(0, 1, 130, -2)).decode()
    lab.say('reload', path, re.findall(r'^(?:Failed|Non-2xx).*?\d+', said, re.M),
            int(re.search(r'^Complete requests: *(\d+)', said, re.M).group(1)) > 1000)


def play(lab):
    conf = lab.write('nginx.conf', CONF.format(tmp=lab.tmp, user=getpass.getuser(), front=FRONT, back=BACK))
    lab.write('www/small', 'small\n' * 20)
    lab.random_file('www/big', 3000000)
    nginx = ('nginx', '-e', 'stderr', '-p', lab.tmp, '-c', conf)
    server = lab.server('nginx', *nginx, port=FRONT)
    lab.wait_for('workers', lambda: len(lab.children(server)) == 2)
    for port in FRONT, BACK:
        lab.wait_owned(port, lab.children(server))
    for host in '127.0.0.1', '[::1]':
        for path in 'small', 'big', 'proxy/small', 'proxy/big':
            fetch(lab, f'http://{host}:{FRONT}/{path}')
    lab.say_data('range', lab.client('curl', '-sS', '-r', '1000000-1999999', f'http://127.0.0.1:{FRONT}/big'))
    lab.say('absent', lab.client('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', f'http://127.0.0.1:{FRONT}/absent'))
    for path, least in ('small', 100), ('big', 10), ('proxy/small', 100):
        lab.wrk(f'http://127.0.0.1:{FRONT}/{path}', 100, least, threads=2)
    said = lab.client('ab', '-q', '-k', '-c', 20, '-n', 4000, f'http://127.0.0.1:{FRONT}/small').decode()
    lab.say('ab -k', re.findall(r'^(?:Complete|Failed|Non-2xx|Keep-Alive req).*?\d+', said, re.M))
    for path in 'counted/small', 'proxy/counted/small':
        reload_under(lab, server, nginx, path)
    fetch(lab, f'http://127.0.0.1:{FRONT}/big')
    lab.stop(server, signal.SIGQUIT)
