#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""scripts/check on a project of two suites whose tests fail always, once, by a crash, are skipped or take too long.

What it may run again it does, once and by itself; what it may not, it doesn't; and nobody passes in silence.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "check")

# each test counts its runs in a file; "once" and "slow" fail the first time only
TEST = """#!/bin/sh
echo x >>"$COUNTS/$1-$2"
first=$([ "$(wc -l <"$COUNTS/$1-$2")" = 1 ] && echo yes)
case ${2%%[0-9]*} in
good) ;;
always) echo "$2 is broken"; exit 1 ;;
once) [ -z "$first" ] || { echo "$2 of $1 saw no answer"; echo "said on the other stream" >&2; exit 1; } ;;
slow) [ -z "$first" ] || { echo "waits for ever"; exec sleep 60; } ;;
hang) exec sleep 60 ;;
skip) echo "nothing to try it with"; exit 77 ;;
crash) [ -z "$first" ] || kill -SEGV $$ ;;
race) [ -z "$first" ] || { echo "WARNING: ThreadSanitizer: data race" >&2; exit 66; } ;;
esac
"""
KINDS = {"apps": ["good", "always", "once", "slow", "hang", "skip", "crash", "race"], "unit": ["good", "once", "skip"]}


def project(root, kinds):
    with open(os.path.join(root, "test.sh"), "w", encoding="utf-8") as f:
        f.write(TEST)
    os.chmod(os.path.join(root, "test.sh"), 0o755)
    with open(os.path.join(root, "meson.build"), "w", encoding="utf-8") as f:
        f.write("project('toy')\n")
        for suite, names in kinds.items():
            for name in names:
                f.write(f"test('{suite}_{name}', find_program('test.sh'), args: ['{suite}', '{name}'], suite: '{suite}', "
                        f"timeout: {1 if name in ('slow', 'hang') else 30})\n")
    meson = "/usr/bin/meson" if os.path.exists("/usr/bin/meson") else "meson"
    build = os.path.join(root, "build")
    subprocess.run([meson, "setup", build, root], check=True, stdout=subprocess.DEVNULL)
    return build


def checked(kinds, *args):
    """Status and output of the script, and how often each test ran."""
    with tempfile.TemporaryDirectory(prefix="vj-check-") as root:
        counts = os.path.join(root, "counts")
        os.mkdir(counts)
        ran = subprocess.run([sys.executable, CHECK, project(root, kinds), *args], env={**os.environ, "COUNTS": counts},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        times = {}
        for name in os.listdir(counts):
            with open(os.path.join(counts, name), encoding="ascii") as f:
                times[name] = len(f.readlines())
        return ran.returncode, ran.stdout, times


def expect(what, got, wanted, said):
    if got != wanted:
        print(said)
        sys.exit(f"{what}: {got}, not {wanted}")


def names(pattern, said):
    return sorted(re.findall(pattern, said, re.M))


def all_kinds():
    status, said, times = checked(KINDS)
    expect("status", status, 1, said)
    expect("last line", said.splitlines()[-1], "4 passed, 5 failed, 2 skipped", said)
    expect("unsteady", names(r"^unsteady: .*(apps_\w+|unit_\w+): failed \w+ .*, passed by itself", said), ["apps_once", "apps_slow"], said)
    expect("failed", names(r"^failed: .*((?:apps|unit)_\w+) \(\w+\)$", said),
           ["apps_always", "apps_crash", "apps_hang", "apps_race", "unit_once"], said)
    again = {"apps-always", "apps-once", "apps-slow", "apps-hang"}
    expect("runs", times, {f"{s}-{n}": 2 if f"{s}-{n}" in again else 1 for s, all_of in KINDS.items() for n in all_of}, said)
    end = said[said.index("\nunsteady: "):]
    for line in ("    once of apps saw no answer\n", "    said on the other stream\n", "    waits for ever\n"):
        expect(f"{line!r} at the end", line in end, True, said)


def one_unsteady():
    """Alone in its run: passed, named, and not said to have had company."""
    status, said, times = checked({"net": ["once"], "unit": ["good"]}, "--num-processes", "1")
    expect("status", status, 0, said)
    expect("last line", said.splitlines()[-1], "2 passed, 0 failed, 0 skipped", said)
    expect("unsteady", names(r"^unsteady: .*: failed once, though alone, passed by itself", said) != [], True, said)
    expect("runs", times, {"net-once": 2, "unit-good": 1}, said)


def too_many():
    status, said, times = checked({"vjd": [f"once{i}" for i in range(11)]})
    expect("status", status, 1, said)
    expect("last line", said.splitlines()[-1], "0 passed, 11 failed, 0 skipped", said)
    expect("runs", set(times.values()), {1}, said)


def steady():
    status, said, _ = checked({"apps": ["good"], "unit": ["good"]})
    expect("status", status, 0, said)
    expect("last line", said.splitlines()[-1], "2 passed, 0 failed, 0 skipped", said)
    expect("nobody is unsteady", "unsteady" in said or "again" in said, False, said)


def nothing_ran():
    status, said, _ = checked({"apps": ["good"]}, "no_such_test")
    expect("status", status, 1, said)


for case in (all_kinds, one_unsteady, too_many, steady, nothing_ran):
    case()
print("run again: what a slow machine may have made fail, once and by name")
