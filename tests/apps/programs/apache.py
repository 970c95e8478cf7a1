# SPDX-License-Identifier: BSD-2-Clause
"""apache2 with threads and a process for each connection: keep-alive, a large file, a proxy to itself, a graceful restart."""

NEEDS = ('apache2', 'curl', 'ab')
AS_USER = True
KERNEL = 'its master wakes workers by connections to their port'
MODULES = '/usr/lib/apache2/modules'

CONF = '''
ServerRoot {tmp}
PidFile {tmp}/{mpm}.pid
ServerName localhost
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
TypesConfig {tmp}/types
Listen 127.0.0.1:{port}
Listen [::1]:{port}
Listen {back}
DocumentRoot {tmp}/www
ErrorLog {tmp}/{mpm}.log
MaxKeepAliveRequests 50
KeepAliveTimeout 15
ProxyPass /back http://127.0.0.1:{back}/
'''


def load(lab, *how):
    said = lab.client('ab', '-q', *how).decode()
    lab.say([line for line in said.splitlines() if line.startswith(('Complete', 'Failed', 'Non-2xx'))])


def play_one(lab, mpm, port, back, kept):
    conf = lab.write(f'{mpm}.conf', CONF.format(tmp=lab.tmp, mpm=mpm, port=port, back=back, modules=MODULES))
    server = lab.server(mpm, 'apache2', '-f', conf, '-DFOREGROUND', port=port)
    for host in '127.0.0.1', '[::1]':
        lab.say(host, lab.client('curl', '-sS', *[f'http://{host}:{port}/'] * 10).decode())
        lab.say_data('big', lab.client('curl', '-sS', f'http://{host}:{port}/big'))
    lab.say_data('proxied', lab.client('curl', '-sS', f'http://127.0.0.1:{port}/back/big'))
    load(lab, '-k', '-n', 1000, '-c', kept, f'http://127.0.0.1:{port}/')
    for clients in 4, 20:
        load(lab, '-n', 200, '-c', clients, f'http://127.0.0.1:{port}/')
    before = lab.owners(port)
    lab.tool('apache2', '-f', conf, '-k', 'graceful')
    lab.wait_for('a graceful restart', lambda: lab.log(mpm).count('resuming normal operations') == 2)
    lab.wait_for('the end of those before', lambda: not lab.owners(port) & before)
    lab.say_data('big, after a graceful restart', lab.client('curl', '-sS', f'http://127.0.0.1:{port}/big'))
    lab.stop(server)


def play(lab):
    lab.random_file('www/big', 3000000)
    lab.write('www/index.html', 'hello\n')
    lab.write('types', 'text/html html\n')
    play_one(lab, 'event', 7000, 7001, kept=20)
    # a process for each connection, five to begin with: of more that are kept alive some fail on the kernel, too
    play_one(lab, 'prefork', 7010, 7011, kept=4)
