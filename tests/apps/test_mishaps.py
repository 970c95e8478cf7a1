#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Servers' processes are ended, killed and stopped, vjd too, while clients talk to them: what comes is right, nobody hangs, and only he fails whose server was killed

What is drawn from a seed: the server (how it accepts, how many processes), its clients, and what happens to whom. mishaps_play.py are the
programs. By hand, in a network namespace (tests/own_network.sh):

    test_mishaps.py --seeds 17:18           one seed
    test_mishaps.py --seeds 1:50 --kernel   without vjchan, which shows that what is demanded can be
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from own_vjd import Vjd

BUILD = os.environ["VJ_BUILD_DIR"]
PLAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mishaps_play.py")
DIR = tempfile.TemporaryDirectory(prefix="vj-test-mishaps-")
SOCKET = DIR.name + "/vjd.sock"
SEEDS = "1:31" # in `make check`
HANDS_OVER = 121 # all clients on channels, several processes in accept(), busy
LIMIT_S = 150
KNOWN_S = 0.5 # until the last has noticed who is dead
ENDS_S = 3 # a process takes to end, with vjd away for a while
KINDS = ["calm", "kill", "term", "stop", "client-kill", "term client-kill", "vjd-kill", "vjd-stop", "kill stop", "kill vjd-kill", "term stop", "term vjd-kill vjd-stop"]


def kernel_opens():
    with open("/proc/net/snmp", encoding="ascii") as table:
        names, values = [line.split() for line in table if line.startswith("Tcp:")]
    return int(values[names.index("ActiveOpens")])


def tell(pid, sid, sig):
    """Return: is it still there? Not if its number is somebody else's by now"""
    try:
        if os.getsid(pid) != sid:
            return False
        os.kill(pid, sig)
        return True
    except ProcessLookupError:
        return False


class Program:
    def __init__(self, on_channels, *args):
        self.out = tempfile.TemporaryFile(mode="w+", dir=DIR.name)
        self.err = tempfile.TemporaryFile(mode="w+", dir=DIR.name)
        argv = [sys.executable, "-W", "ignore::DeprecationWarning", PLAY, *map(str, args)] # Python 3.12 and later don't like fork() beside our thread
        if on_channels: # a parent of its own: short programs of one parent are left to the kernel
            argv = ["sh", "-c", '"$@"; exit $?', "sh", BUILD + "/vj", "run", "--socket", SOCKET, "--", *argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err, start_new_session=True)

    def said(self):
        text = os.pread(self.out.fileno(), 1 << 20, 0).decode()
        return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]

    def errors(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode()

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Round:
    """One seed"""

    def __init__(self, seed, vjd, kernel):
        self.chance = random.Random(seed)
        self.vjd = vjd
        self.kind = self.chance.choice(KINDS)
        self.acts = [act for act in self.kind.split() if act != "calm"]
        host = self.chance.choice(["127.0.0.1", "::1"])
        opens = kernel_opens()
        self.server = Program(self.chance.random() < 0.85 and not kernel, "server", seed, host)
        end = time.monotonic() + LIMIT_S
        while len(self.server.said()) < 2: # its port, and a process
            assert time.monotonic() < end and self.server.process.poll() is None, self.server.errors()
            time.sleep(0.01)
        said = self.server.said()[0]
        self.way = said["way"]
        self.told, self.gone, self.without_vjd = set(), set(), []
        self.kills, self.failed, self.cnt, self.slowest = [], [], 0, 0
        self.clients = []
        for i in range(self.chance.randint(1, 5)):
            self.clients.append(Program(self.chance.random() < 0.8 and not kernel, "client", seed * 10 + i, host, said["port"],
                                        self.chance.choice([20, 60, 150]), "greets" if said["greets"] else "silent"))
        self.opens = lambda: kernel_opens() - opens

    def workers(self):
        return [line["worker"] for line in self.server.said() if "worker" in line]

    def act(self):
        act = self.chance.choice(self.acts)
        if act.startswith("vjd") and not self.vjd:
            return
        wait = self.chance.choice([0.005, 0.03, 0.2, 0.5])
        if act.startswith("vjd"):
            self.without_vjd.append(time.monotonic())
        pid = self.chance.choice(self.workers()[-4:])
        if act == "kill":
            at = time.monotonic()
            if tell(pid, self.server.process.pid, signal.SIGKILL):
                self.kills.append(at)
        elif act == "term" and pid not in self.told: # a second one would end it for good
            tell(pid, self.server.process.pid, signal.SIGTERM)
            self.told.add(pid)
        elif act == "stop":
            tell(pid, self.server.process.pid, signal.SIGSTOP)
            time.sleep(wait)
            tell(pid, self.server.process.pid, signal.SIGCONT)
        elif act == "client-kill" and len(self.gone) < len(self.clients) - 1: # one tells how it went
            client = self.chance.choice([c for c in self.clients if c not in self.gone])
            client.end()
            self.gone.add(client)
        elif act == "vjd-kill":
            self.vjd.end()
            time.sleep(wait)
            self.vjd = Vjd(DIR.name)
        elif act == "vjd-stop":
            self.vjd.process.send_signal(signal.SIGSTOP)
            time.sleep(wait)
            self.vjd.process.send_signal(signal.SIGCONT)

    def run(self):
        """What is wrong, if anything"""
        end = time.monotonic() + LIMIT_S
        while any(c.process.poll() is None for c in self.clients):
            if time.monotonic() > end:
                return [f"a client hangs: {[c.errors() for c in self.clients if c.process.poll() is None]}"]
            time.sleep(self.chance.choice([0.01, 0.05, 0.2]))
            if self.acts:
                self.act()
        return self.judge()

    def judge(self):
        bad, failed = [], self.failed
        for c in self.clients:
            if c in self.gone:
                continue
            if c.process.returncode or not c.said():
                bad.append(f"a client ended with {c.process.returncode}: {c.errors()}")
                continue
            said = c.said()[0]
            self.cnt += said["cnt"]
            bad += said["wrong"]
            failed += said["failed"]
            self.slowest = max(self.slowest, said["slowest"])
        bad += [line["wrong"] for line in self.server.said() if "wrong" in line]
        # a process that ends has vjd pass on what it holds
        late = [(at, KNOWN_S) for at in self.kills] + [(at, ENDS_S) for at in self.without_vjd if "term" in self.acts]
        bad += [f"failed, and nobody was killed: {text}, after {end - begun:.3f} s" for begun, end, text in failed
                if not any(begun - before <= at <= end for at, before in late)]
        if not self.without_vjd and self.way in ("accept", "poll") and len(failed) > len(self.kills):
            bad.append(f"{len(failed)} failed, each process served one at a time, and {len(self.kills)} were killed: {failed}")
        if self.server.errors():
            bad.append(f"the server says: {self.server.errors()}")
        return bad + self.left()

    def ticks(self):
        """Of processor time, of the server's processes so far"""
        used = 0
        for pid in self.workers():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                used += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
        return used

    def left(self):
        """The clients have ended, and all that the server knows of them"""
        end, said = time.monotonic() + LIMIT_S / 3, ""
        while self.vjd and time.monotonic() < end:
            said = subprocess.run([BUILD + "/vj", "connections", "--socket", SOCKET, "--json"], capture_output=True, text=True, check=False).stdout
            if said and not any(app["connections"] for app in json.loads(said)["applications"]):
                return []
            time.sleep(0.1)
        return [f"still there: {said}"] if self.vjd else []

    def end(self):
        for program in [*self.clients, self.server]:
            program.end()


def rests(vjd):
    """A server whose processes have handed clients to each other takes no time when nobody comes any more. What is wrong, if anything"""
    r = Round(HANDS_OVER, vjd, False)
    try:
        r.acts = []
        found = r.run()
        time.sleep(6) # what was handed over would be taken back by now
        before = r.ticks()
        time.sleep(2)
        used = r.ticks() - before
        return found + [f"idle processes of a server took {used} ticks in 2 s"] * (used > 20)
    finally:
        r.end()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--seeds", default=SEEDS, help="FIRST:END")
    args.add_argument("--kernel", action="store_true")
    args = args.parse_args()
    vjd = None if args.kernel else Vjd(DIR.name)
    bad = []
    for seed in range(*map(int, args.seeds.split(":"))):
        begun = time.monotonic()
        r = Round(seed, vjd, args.kernel)
        try:
            found = r.run()
        finally:
            r.end()
            vjd = r.vjd
        print(f"seed {seed}: {r.kind}, {r.way}: {len(r.clients)} clients, {r.cnt} connections, {r.opens()} by the kernel, {len(r.kills)} killed, "
              f"{len(r.failed)} failed, {time.monotonic() - begun:.1f} s, the slowest {r.slowest:.3f}{': BAD' if found else ''}", flush=True)
        for text in found:
            print("   ", text, flush=True)
        bad += found
    if vjd:
        bad += rests(vjd)
        print(f"idle: {bad or 'nothing'}", flush=True)
        vjd.end()
    sys.exit(bool(bad))


main()
