# SPDX-License-Identifier: BSD-2-Clause
"""
unbound with two threads (a socket each, by SO_REUSEPORT), asked by dig and kdig: UDP, TCP, an answer too long for UDP; dnsmasq over UDP
(over TCP it forks for each connection, and from the second on they are the kernel's)
"""

NEEDS = ('unbound', 'dnsmasq', 'dig', 'kdig')
AS_USER = True
TEXTS = ['z' * 200 + f' {i}' for i in range(12)]

UNBOUND = '''
server:
 interface: 127.0.0.1
 interface: ::1
 port: {port}
 num-threads: 2
 chroot: ""
 username: ""
 directory: "{tmp}"
 pidfile: "{tmp}/unbound.pid"
 use-syslog: no
 do-daemonize: no
 local-zone: "example.test." static
 local-data: "www.example.test. A 192.0.2.7"
 local-data: "www.example.test. AAAA 2001:db8::7"
'''


def ask(lab, port, *ways):
    for tool in ['dig', '+time=60', '+tries=1'], ['kdig', '+timeout=60', '+retry=0']:
        for host in '127.0.0.1', '::1':
            for how in ways:
                said = lab.client(*tool, *how, '+short', f'@{host}', '-p', port, 'www.example.test', 'A').decode()
                lab.say(tool[0], host, *how, said)


def ask_long(lab, port):
    said = lab.client('dig', '+short', '+time=60', '+tries=1', '@127.0.0.1', '-p', port, 'long.example.test', 'TXT').decode()
    lab.say(*sorted(said.splitlines()))
    names = ['www.example.test', 'www.example.test', 'AAAA', 'www.example.test']
    lab.say(lab.client('dig', '+tcp', '+time=60', '+keepopen', '+short', '@127.0.0.1', '-p', port, *names).decode())


def play(lab):
    texts = '\n'.join(f' local-data: \'long.example.test TXT "{text}"\'' for text in TEXTS)
    conf = lab.write('unbound.conf', UNBOUND.format(tmp=lab.tmp, port=7053) + texts + '\n')
    unbound = lab.server('unbound', 'unbound', '-d', '-c', conf, port=7053)
    ask(lab, 7053, [], ['+tcp'])
    ask_long(lab, 7053)
    lab.stop(unbound)
    dnsmasq = lab.server('dnsmasq', 'dnsmasq', '-k', '-C', '/dev/null', '-p', 7054, '--no-resolv', '--no-hosts',
                         '--listen-address=127.0.0.1', '--listen-address=::1', '--bind-interfaces', '-x', lab.tmp / 'dnsmasq.pid',
                         '--host-record=www.example.test,192.0.2.7,2001:db8::7', port=7054)
    ask(lab, 7054, [])
    lab.stop(dnsmasq)
