#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Socket calls drawn from seeds, on the kernel and on channels: the transcripts are equal, line by line

What is drawn, and how chance is kept out: differ_calls.c. By hand, in a network namespace (tests/own_network.sh):

    test_differ.py --seed 17            plays it, and shows the least of it that still differs
    test_differ.py --seed 17 --last 99  these
    test_differ.py --seed 17 --show     its transcript on the kernel
"""

import argparse
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile

BUILD = os.environ["VJ_BUILD_DIR"]
PLAYER = os.environ.get("VJ_DIFFER", BUILD + "/tests/apps/differ_calls")
DIR = tempfile.TemporaryDirectory(prefix="vj-test-differ-")
SOCKET = DIR.name + "/vjd.sock"
BOARD_BYTES = 65536
PLAY_S = 600
SEEDS = 150 # in `make check`
VOIDS = 4 # of one seed, one after the other, that are chance
WAIT_S = 20 # until sockets stand as they do on the kernel
WAYS = {"both": (True, True), "server": (True, False), "client": (False, True)}


class Play:
    """One run of some seeds by two players"""

    def __init__(self, way, out, follow, first, last, steps, dropped=()):
        self.board = tempfile.TemporaryFile(dir=DIR.name)
        self.board.truncate(BOARD_BYTES)
        self.errors = tempfile.TemporaryFile(mode="w+", dir=DIR.name)
        os.makedirs(out, exist_ok=True)
        pipes = [os.pipe(), os.pipe()]  # to A, to B
        hands = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.players = []
        for side in range(2):
            fds = [pipes[side][0], pipes[1 - side][1], hands[side].fileno()]
            command = [PLAYER, str(side), "/proc/self/fd/%d" % self.board.fileno(), *map(str, fds), out, follow or "-", str(first), str(last), str(steps), str(WAIT_S)]
            command += map(str, dropped)
            if follow and WAYS[way][side]:
                command = [BUILD + "/vj", "run", "--", *command]
            self.players.append(
                subprocess.Popen(command, pass_fds=[*fds, self.board.fileno()], stdin=subprocess.DEVNULL, stderr=self.errors, env={**os.environ, "VJ_SOCKET": SOCKET})
            )
        for pipe in pipes:
            for fd in pipe:
                os.close(fd)
        for hand in hands:
            hand.close()

    def wait(self):
        """None, or why a player ended badly"""
        ends = []
        for player in self.players:
            try:
                ends.append(player.wait(PLAY_S))
            except subprocess.TimeoutExpired:
                player.kill()
                ends.append("%d s were not enough" % PLAY_S)
        self.errors.seek(0)
        text = self.errors.read()
        return "ended with %s: %s" % (ends, text) if any(ends) or text else None

    def counts(self):
        """Accepted connections, and those on channels"""
        return struct.unpack_from("II", os.pread(self.board.fileno(), 64, 0), 0)


def lines(path):
    try:
        with open(path) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def difference(kernel, other):
    """The number of the first line that differs; None"""
    for i, (a, b) in enumerate(zip(kernel, other)):
        if a != b:
            return i
    return None if len(kernel) == len(other) else min(len(kernel), len(other))


def is_void(kernel, other):
    """The kernel has chosen a port twice, and that is why they differ: perhaps, for one that was told before the socket had a name by itself looks the same"""
    return difference(kernel, other) is not None and any(t and t[-1].startswith("void") for t in (kernel, other))


def say_difference(kernel, other, at, before=14):
    for line in kernel[max(0, at - before) : at]:
        print("    " + line)
    print("  - " + (kernel[at] if at < len(kernel) else "(end)"))
    print("  + " + (other[at] if at < len(other) else "(end)"))


runs = 0


def play_one(seed, way, steps, dropped=()):
    """Transcripts of the kernel and of @way, and how the latter's players ended"""
    global runs
    for _ in range(1 + VOIDS):
        runs += 1
        out = "%s/%d" % (DIR.name, runs)
        error = Play("kernel", out + "-kernel", None, seed, seed, steps, dropped).wait()
        if error:
            sys.exit("seed %d on the kernel: %s" % (seed, error))
        error = Play(way, out, out + "-kernel", seed, seed, steps, dropped).wait()
        kernel, other = lines("%s-kernel/%d" % (out, seed)), lines("%s/%d" % (out, seed))
        if not is_void(kernel, other):
            break
    return kernel, other, error


def shrink(seed, way, steps):
    """Leaves steps out as long as something differs."""
    kernel, other, error = play_one(seed, way, steps)
    at = difference(kernel, other)
    if at is None and not error:
        print("seed %d, %s: does not differ when it is played alone" % (seed, way))
        return
    numbers = [int(line.split()[0]) for line in other if line.split()[0].isdigit()]
    steps = max(numbers, default=steps) + 1
    dropped = []
    for step in reversed(range(steps)):
        k, o, e = play_one(seed, way, steps, dropped + [step])
        if difference(k, o) is not None or e:
            dropped.append(step)
            kernel, other, error = k, o, e
    print("seed %d, %s, with %d of %d steps left%s:" % (seed, way, steps - len(dropped), steps, " " + error if error else ""))
    at = difference(kernel, other)
    say_difference(kernel, other, at if at is not None else len(kernel), 99)


def play_all(way, kernel_dir, first, last, steps):
    """Plays seeds on a way, and goes on behind one that ends a player. Return: errors by seed, what play() counted"""
    errors, counts = {}, (0, 0)
    while first <= last:
        out = "%s/%s" % (DIR.name, way)
        play = Play(way, out, kernel_dir, first, last, steps)
        error = play.wait()
        counts = tuple(map(sum, zip(counts, play.counts())))
        if not error:
            break
        first = max((seed for seed in range(first, last + 1) if os.path.exists("%s/%d" % (out, seed))), default=first)
        errors[first] = error
        first += 1
    return errors, counts


def check(first, last, steps, ways):
    """Return: (seed, way) of those that differ"""
    kernel_dir = DIR.name + "/kernel"
    error = Play("kernel", kernel_dir, None, first, last, steps).wait()
    if error:
        sys.exit("on the kernel: " + error)
    bad = []
    for way in ways:
        errors, (conns, on_channels) = play_all(way, kernel_dir, first, last, steps)
        total = 0
        for seed in range(first, last + 1):
            error = errors.get(seed)
            kernel, other = lines("%s/%d" % (kernel_dir, seed)), lines("%s/%s/%d" % (DIR.name, way, seed))
            if is_void(kernel, other):
                kernel, other, error = play_one(seed, way, steps)
            total += len(other)
            at = difference(kernel, other)
            if at is not None or error:
                bad.append((seed, way))
                print("seed %d, %s differs: %s" % (seed, way, error or ""))
                say_difference(kernel, other, at if at is not None else len(kernel))
        print("%s: %d lines, %d connections accepted, %d of them on channels" % (way, total, conns, on_channels), flush=True)
        if way == "both" and 2 * on_channels < conns:
            sys.exit("too few on channels")
    return bad


def main():
    global WAIT_S
    args = argparse.ArgumentParser()
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--last", type=int)
    args.add_argument("--steps", type=int, default=60)
    args.add_argument("--way", choices=list(WAYS), action="append")
    args.add_argument("--show", action="store_true")
    args.add_argument("--wait", type=int, default=WAIT_S, help="seconds until sockets must stand as on the kernel")
    args.add_argument("--no-shrink", action="store_true")
    args = args.parse_args()
    WAIT_S = args.wait
    first, last = args.seed or 1, args.last or args.seed or SEEDS
    if args.show:
        out = DIR.name + "/show"
        error = Play("kernel", out, None, first, last, args.steps).wait()
        print("\n".join(lines("%s/%d" % (out, first))), error or "")
        return
    vjd = subprocess.Popen([BUILD + "/vjd", "--socket", SOCKET], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        bad = check(first, last, args.steps, args.way or list(WAYS))
        if bad and not args.no_shrink:
            shrink(*bad[0], args.steps)
    finally:
        vjd.terminate()
        vjd.wait()
    if bad:
        sys.exit("differ: %s" % bad)


main()
