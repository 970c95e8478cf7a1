# SPDX-License-Identifier: BSD-2-Clause
"""
watch.py - why connections go through the kernel, asked while they do

A play that counts some fails when all its processes are gone. So, twice a second, if the kernel has made connections since, all processes of the
lab are asked (`vj why`); what they say is kept, with the time, each time that it is something else.
"""

import collections
import json
import os
import pathlib
import subprocess
import threading
import time

EVERY_S, KEPT, ASK_S = 0.5, 40, 5


class Watch(threading.Thread):
    def __init__(self, lab, vj, opens):
        super().__init__(daemon=True)
        self.lab, self.vj, self.opens = lab, vj, opens
        self.begin, self.ends = time.monotonic(), threading.Event()
        self.said = collections.deque(maxlen=KEPT)

    def pids(self):
        """Those that were started with the lab's vjd"""
        sign, found = f'VJ_SOCKET={self.lab.env["VJ_SOCKET"]}'.encode(), []
        for entry in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if sign in (entry / 'environ').read_bytes().split(b'\0') and os.readlink(entry / 'exe') != str(self.vj.with_name('vjd')):
                    found.append(entry.name)
            except OSError:
                continue  # it has ended, or is another user's
        return found

    def ask(self):
        """{(program, path, reason): sockets}"""
        pids = self.pids()
        text = subprocess.run([str(self.vj), 'why', '--json', *pids], env=self.lab.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=ASK_S, check=False).stdout.decode() if pids else ''
        found, decoder = collections.Counter(), json.JSONDecoder()
        while text.strip():
            one, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            who = f'{one["name"]}[{one["pid"]}]'
            if 'reason' in one:
                found[who, '', one['reason']] += 1
            for sock in one['sockets']:
                if 'why' in sock:
                    found[who, sock['path'], sock['why']['name']] += 1
        return found

    def leased(self):
        """{port: how many have leased it}"""
        text = subprocess.run([str(self.vj), 'status', '--json'], env=self.lab.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=ASK_S, check=False).stdout
        return dict(collections.Counter(lease['port'] for lease in json.loads(text)['leases'])) if text else {}

    def look(self):
        try:
            said = [f'{who} {path} {why}' + (f' ({cnt})' if cnt > 1 else '') for (who, path, why), cnt in sorted(self.ask().items())]
            return '; '.join([f'leased {self.leased()}'] + (said or ['nobody says why']))
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            return f'could not be asked: {error!r}'

    def run(self):
        seen = self.opens()
        while not self.ends.wait(EVERY_S):
            now = self.opens()
            if now == seen:
                continue
            self.said.append(f'{time.monotonic() - self.begin:.1f} s, {now - seen} by the kernel since: {self.look()}')
            seen = now

    def stop(self):
        self.ends.set()
        if self.is_alive():
            self.join()
        return list(self.said)
