# SPDX-License-Identifier: BSD-2-Clause
"""
lab.py - what the programs of this directory run in

A lab is one setting: a server on channels (`vj run`) or on the kernel's sockets, a client likewise, and a directory,
ports and a vjd of their own. A play (redis.py, nginx.py ...) starts servers and clients in it and tells what they
answered in a transcript. run.py plays each in all four settings; the transcripts must be equal to the last byte.

All happens in a network namespace that has nothing but a loopback interface, so every lab has the same ports, and the
kernel's own counters tell how many TCP connections were not on a channel.
"""

import hashlib
import ipaddress
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

FILES = pathlib.Path(__file__).parent / 'files'
BUILD = pathlib.Path(os.environ['VJ_BUILD_DIR'])
# for a machine that is slow, and has other tests to run
BEGIN_S, END_S, CLIENT_S = 60, 60, 150


class Failed(Exception):
    pass


def kernel_counter(proto, name):
    """A counter of this network namespace: ('Tcp', 'ActiveOpens'), ('Udp', 'OutDatagrams') ..."""
    lines = [line.split() for line in pathlib.Path('/proc/net/snmp').read_text().splitlines()]
    names, values = [line for line in lines if line[0] == proto + ':']
    return int(values[names.index(name)])


def datagrams_sent():
    words = pathlib.Path('/proc/net/snmp6').read_text().split()
    return kernel_counter('Udp', 'OutDatagrams') + int(words[words.index('Udp6OutDatagrams') + 1])


def address_of(what):
    """Of text or bytes; what is IPv4's, in IPv6 or not, is that"""
    address = ipaddress.ip_address(what)
    return getattr(address, 'ipv4_mapped', None) or address


def listens(port):
    """The addresses at which a socket of the kernel's does, in this network namespace. /proc/net/tcp would tell of all that are in TIME_WAIT, too."""
    said = subprocess.run(['ss', '-Hltn', f'sport = :{port}'], stdout=subprocess.PIPE, check=True).stdout.decode()
    found = {line.split()[3].rsplit(':', 1)[0].split('%')[0].strip('[]') for line in said.splitlines()}
    return {address_of('::' if address == '*' else address) for address in found}


class Lab:
    def __init__(self, server, client, tmp):
        self.side = {'server': server, 'client': client}
        self.tmp = pathlib.Path(tmp)
        self.transcript = []
        self.running = []
        self.meant_for_kernel = self.datagrams_meant = 0
        self.env = dict(os.environ, VJ_SOCKET=str(self.tmp / 'vjd.sock'), LC_ALL='C', TZ='UTC', HOME=str(self.tmp))
        self.env.pop('LD_PRELOAD', None)

    # ---- what is compared

    def say(self, *words):
        self.transcript.append(' '.join(str(word) for word in words))

    def say_data(self, what, data):
        self.say(what, len(data), 'bytes', hashlib.sha256(data).hexdigest())

    # ---- files

    def write(self, name, content):
        path = self.tmp / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def random_file(self, name, size):
        """The same bytes in every lab."""
        return self.write(name, hashlib.shake_256(name.encode()).digest(size))

    def log(self, name):
        path = self.tmp / f'{name}.log'
        return path.read_text(errors='replace') if path.exists() else ''

    # ---- processes

    def argv(self, side, args):
        way = [str(BUILD / 'vj'), 'run', '--'] if self.side[side] == 'vj' else []
        return way + [str(arg) for arg in args]

    def start(self, side, name, *args, cwd=None, env=None, stdin=subprocess.DEVNULL, stdout=None):
        """In the background, its output in NAME.log."""
        with open(self.tmp / f'{name}.log', 'ab') as log:
            child = subprocess.Popen(self.argv(side, args), cwd=cwd or self.tmp, env=dict(self.env, **(env or {})),
                                     stdin=stdin, stdout=stdout or log, stderr=log, start_new_session=True)
        child.name = name
        self.running.append(child)
        return child

    def tool(self, *args, connects=0):
        """
        What a play needs prepared, or a client of the kernel's beside the others, that makes CONNECTS connections.
        Returns what it printed.
        """
        self.meant_for_kernel += connects
        done = subprocess.run([str(arg) for arg in args], cwd=self.tmp, env=self.env, stdin=subprocess.DEVNULL, timeout=CLIENT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Failed(f'{args[0]} ended with {done.returncode}: {done.stdout.decode()}')
        return done.stdout

    def server(self, name, *args, port=None, leases=True, **more):
        """Until it listens on PORT, on channels too unless it LEASES none."""
        if port:  # the processes of an earlier server may be about to end
            self.wait_for(f'port {port} of an earlier server', lambda: not listens(port) and not self.owners(port))
        child = self.start('server', name, *args, **more)
        if port:
            self.wait_listen(port, child)
            if leases:
                self.wait_owned(port)
        return child

    def leases(self, port, proto='tcp'):
        """{address: the processes that have leased the port there}"""
        known = subprocess.run([str(BUILD / 'vj'), 'status', '--json'], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               check=False).stdout
        known = json.loads(known) if known else {'applications': [], 'leases': []}
        pids = {app['id']: app['pid'] for app in known['applications']}
        found = {}
        for lease in known['leases']:
            if lease['port'] == port and lease['proto'] == proto:
                found.setdefault(address_of(lease['addr']), set()).add(pids[lease['app_id']])
        return found

    def owners(self, port):
        """The processes that have leased it somewhere."""
        return set().union(*self.leases(port).values())

    def wait_owned(self, port, pids=frozenset()):
        """
        Until one process, or all of PIDS, take clients from channels at each address where somebody listens; with the server on the
        kernel there is nothing to wait for.
        """
        def owned():
            have = self.leases(port)
            return all(have.get(address) and have[address] >= pids for address in listens(port) | set(have))
        if self.side['server'] == 'vj':
            self.wait_for(f'lease of port {port}', owned)

    @staticmethod
    def children(child):
        """The processes that it has started and that run."""
        tasks = pathlib.Path('/proc', str(child.pid), 'task')
        return {int(pid) for task in tasks.iterdir() for pid in (task / 'children').read_text().split()}

    def wait_for(self, what, ready, child=None, limit_s=BEGIN_S):
        end = time.monotonic() + limit_s
        while not ready():
            if child and child.poll() not in (None, 0):
                raise Failed(f'{child.name} ended with {child.returncode}: {self.log(child.name)[-2000:]}')
            if time.monotonic() > end:
                raise Failed(f'{what}: not in {limit_s} s' + (f': {self.log(child.name)[-2000:]}' if child else ''))
            time.sleep(0.02)

    def wait_listen(self, port, child=None):
        self.wait_for(f'listening on port {port}', lambda: listens(port), child)

    def client(self, *args, stdin=b'', ok=(0,), limit_s=CLIENT_S, cwd=None, env=None, errors=False):
        """Runs it to its end. Returns what it printed, with @errors standard error too."""
        return self.finish(self.client_start(*args, cwd=cwd, env=env, errors=errors), stdin, ok, limit_s)

    def client_start(self, *args, cwd=None, env=None, errors=False):
        argv = self.argv('client', args)
        if self.side['client'] == 'vj':  # a parent of its own: short programs one after another under one are left to the kernel
            argv = ['sh', '-c', '"$@"; exit $?', 'sh'] + argv
        child = subprocess.Popen(argv, cwd=cwd or self.tmp, env=dict(self.env, **(env or {})),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT if errors else subprocess.PIPE, start_new_session=True)
        child.name = str(args[0])
        self.running.append(child)
        return child

    def wrk(self, url, connections, least, threads=1):
        """wrk runs for a time and not for a number of requests: as often as it takes for LEAST of them."""
        end, done, bad = time.monotonic() + CLIENT_S, 0, False
        while done < least and time.monotonic() < end:
            said = self.client('wrk', '-t', threads, '-c', connections, '-d', 1, '--timeout', CLIENT_S, url).decode()
            if 'errors' in said or 'Non-2xx' in said:
                bad = True
                print(f'wrk {url}:', said, flush=True)  # seen if the test fails
            done += int(re.search(r'(\d+) requests in', said).group(1))
        self.say('wrk', url, bad, done >= least)

    def finish(self, child, stdin=b'', ok=(0,), limit_s=CLIENT_S):
        try:
            out, err = child.communicate(stdin, timeout=limit_s)
        except subprocess.TimeoutExpired as late:
            self.kill(child)
            raise Failed(f'{child.name}: still running after {limit_s} s; '
                         f'said: {(late.stdout or b"")[-1000:]!r} {(late.stderr or b"")[-1000:]!r}') from None
        self.running.remove(child)
        if err:
            with open(self.tmp / f'client-{pathlib.Path(child.name).name}.log', 'ab') as log:
                log.write(err)
        if child.returncode not in ok:
            raise Failed(f'{child.name} ended with {child.returncode}: {out[-1500:]!r} {(err or b"")[-1500:]!r}')
        return out

    def stop(self, child, sig=signal.SIGTERM, ok=(0, -signal.SIGTERM, 128 + signal.SIGTERM)):
        """Servers end when they are asked to."""
        self.running.remove(child)
        child.send_signal(sig)
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill(child)
            raise Failed(f'{child.name}: still there {END_S} s after {sig!r}') from None
        self.kill(child)  # whatever it left in its session
        if child.returncode not in ok:
            raise Failed(f'{child.name} ended with {child.returncode}: {self.log(child.name)[-1500:]}')

    @staticmethod
    def signal(child, sig):
        """To it and to what it has started"""
        os.killpg(child.pid, sig)

    @staticmethod
    def kill(child):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()

    def close(self):
        for child in self.running:
            self.kill(child)
        self.running = []

    def logs(self):
        """What servers said, and clients on standard error."""
        def ends(text):
            return text if len(text) <= 4000 else f'{text[:2000]}\n[...]\n{text[-2000:]}'
        return ''.join(f'--- {path.name}\n{ends(path.read_text(errors="replace"))}\n' for path in sorted(self.tmp.glob('*.log')))


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            print(f'skipped: {program} is not installed')
            sys.exit(77)
