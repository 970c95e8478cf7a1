# SPDX-License-Identifier: BSD-2-Clause
"""nc and socat: files both ways, half-closed connections, relays, a program behind a socket, datagrams."""

NEEDS = ('nc', 'socat', 'cat', 'sort')
PORT = 7000


def play(lab):
    data = lab.random_file('data', 3000000).read_bytes()
    for host in '127.0.0.1', '::1':
        with open(lab.tmp / 'got', 'wb') as got:
            server = lab.server('nc', 'nc', '-l', host, PORT, port=PORT, stdout=got)
        lab.client('nc', '-N', host, PORT, stdin=data)
        lab.wait_for('its end', lambda: server.poll() is not None)
        lab.say_data(f'nc {host}', (lab.tmp / 'got').read_bytes())
    # a relay: client, socat, socat, a program that answers only after the end of what it reads
    lab.server('sort', 'socat', f'TCP-LISTEN:{PORT + 1},bind=127.0.0.1,reuseaddr', 'EXEC:sort', port=PORT + 1)
    lab.server('relay', 'socat', f'TCP6-LISTEN:{PORT + 2},bind=[::1],reuseaddr', f'TCP:127.0.0.1:{PORT + 1}', port=PORT + 2)
    lines = data.hex(bytes_per_sep=37, sep='\n').encode()[:400000] + b'\n'
    lab.say_data('sorted', lab.client('socat', '-t', 60, '-', f'TCP:[::1]:{PORT + 2}', stdin=lines))
    # datagrams, one answer for each
    lab.start('server', 'udp', 'socat', f'UDP-LISTEN:{PORT + 3},bind=127.0.0.1', 'EXEC:cat')
    lab.wait_for('udp', lambda: f':{PORT + 3:04X}' in open('/proc/net/udp', encoding='ascii').read())
    # nobody can see an end of datagrams: who speaks with it has what it wants, and goes
    speak = lab.write('speak', f'cat {lab.write("datagrams", "datagram" * 100)}; head -c 800 >{lab.tmp}/answered')
    lab.client('socat', f'UDP:127.0.0.1:{PORT + 3}', f'EXEC:sh {speak}')
    lab.say_data('udp', (lab.tmp / 'answered').read_bytes())
