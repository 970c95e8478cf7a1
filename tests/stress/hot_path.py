#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hot_path.py - instructions that a message costs, held to the limits in hot_path.limits

usage: hot_path.py HOT_PATH HOT_SOCKETS VJ LIMITS COMPILER

Runs the program HOT_PATH, or HOT_SOCKETS under `VJ run`, under callgrind for each line of LIMITS and fails when a
message takes 2 % more than its limit. COMPILER names what built it; other compilers make other numbers, so LIMITS says which one its numbers are of.

Renewing: what a message costs more has to be worth it. Write the new number into hot_path.limits and the reason into the
commit. When it costs less, do the same, so that what was gained stays.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# messages to send, and the function inside of which they are counted
NATIVE = {"tcp": (20000, "hot_tcp"), "rpc": (20000, "hot_tcp"), "channel": (64000, "hot_channel")}
SOCKETS = (20000, "hot_sockets")
SLACK = 1.02
TRIES = 3  # time goes by for the library, so a busy machine may add to a count


def limits(path):
    """What the numbers are of, and name: instructions a message."""
    of, found = None, {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            words = line.split("#")[0].split()
            if words[:1] == ["of"]:
                of = " ".join(words[1:])
            elif words:
                found[words[0]] = float(words[1])
    return of, found


def count(start, what, messages, inside, scratch):
    """Instructions a message. start: the command that what it is about completes"""
    out = os.path.join(scratch, what)
    ran = subprocess.run([*start[:-1], "valgrind", "-q", "--tool=callgrind", f"--toggle-collect={inside}",
                          f"--callgrind-out-file={out}", start[-1], what, str(messages)],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                         env={**os.environ, "VJ_SOCKET": os.path.join(scratch, "vjd")})
    if ran.returncode != 0:
        sys.exit(f"hot_path: {what} failed\n{ran.stdout}")
    with open(out, encoding="utf-8") as f:
        total = int(re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M).group(1))
    return total / messages


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    native, sockets, vj, path, compiler = sys.argv[1:]
    of, limit = limits(path)
    if not shutil.which("valgrind"):
        print("valgrind is not installed: run scripts/setup")
        return 77
    if compiler != of:
        print(f"the limits are of {of}, this build is of {compiler}")
        return 77
    bad = False
    with tempfile.TemporaryDirectory() as scratch:
        for what, most in limit.items():
            if what in NATIVE:
                args = [native], what, *NATIVE[what], scratch
            else:
                args = [vj, "run", "--strict", "--", sockets], what, *SOCKETS, scratch
            got = count(*args)
            for _ in range(1, TRIES):
                if got > most * SLACK:
                    got = min(got, count(*args))
            over = got > most * SLACK
            bad |= over
            print(f"{what}: {got:.1f} instructions a message, limit {most:.0f} + 2 %{': TOO MANY' if over else ''}")
            if got < most / SLACK:
                print(f"{what}: lower the limit, so that what was gained stays")
    if bad:
        print(__doc__.strip().split("\n\n")[-1])
    return bad


if __name__ == "__main__":
    sys.exit(main())
