#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The compiler that did not make this build accepts every source too, with the same warnings as errors.

usage: compilers.py --build DIRECTORY     with its compile_commands.json
"""

import json
import os
import shlex
import subprocess

import tidy

DROP_WITH_VALUE = {"-o", "-MF", "-MQ", "-MT"}
DROP = ("-MD", "-MMD", "-c", "-fsanitize", "-fno-sanitize", "-pipe", "-fdiagnostics", "-fcolor", "-O", "-Wno-tsan")


def own_words(command):
    """The words of a command, from the compiler on: Meson puts a cache before it where there is one."""
    words = shlex.split(command)
    return words[1:] if os.path.basename(words[0]) in ("ccache", "sccache") else words


def other_arguments(command, other):
    """The same compilation by the other compiler, syntax and warnings only."""
    kept = [other]
    arguments = iter(own_words(command)[1:])
    for a in arguments:
        if a in DROP_WITH_VALUE:
            next(arguments)
        elif not a.startswith(DROP):
            kept.append(a)
    return [*kept, "-fsyntax-only", "-Werror"]


def try_source(job):
    directory, arguments, source = job
    ran = subprocess.run(arguments, cwd=directory, capture_output=True, text=True)
    if ran.returncode == 0:
        return None
    reasons = [line for line in ran.stderr.splitlines() if "error" in line] or [ran.stderr.strip()]
    return f"{source}: {arguments[0]}: {reasons[0]}"


def check(_root, args):
    with open(os.path.join(args.build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    first = {}
    for entry in commands:
        if entry["file"].endswith(".c") and not entry["file"].endswith(".bpf.c"):
            first.setdefault(entry["file"], entry)
    if not first:
        return []
    probe = own_words(next(iter(first.values()))["command"])[0]
    version = subprocess.run([probe, "--version"], capture_output=True, text=True, check=True).stdout
    other = tidy.compiler("gcc" if "clang" in version else "clang")
    if not other:
        return "no second compiler here (scripts/setup installs one)"
    jobs = [(e["directory"], other_arguments(e["command"], other), e["file"]) for e in first.values()]
    return [found for found in tidy.run_parallel(jobs, try_source) if found]


def case(name, source, expect):
    command = "ccache gcc -Iinc -O2 -g -fsanitize=address -MD -MQ x.o -MF x.o.d -o x.o -c x.c -Wall -Wconversion"
    entry = {"directory": "", "command": command, "file": "x.c"}

    def write(root):
        with open(os.path.join(root, "compile_commands.json"), "w", encoding="utf-8") as f:
            json.dump([{**entry, "directory": root}], f)
        return root
    return tidy.Case(name, {"x.c": source}, expect, {"build": write})


CASES = [
    case("clean", "int f(int x);\nint f(int x) { return x; }\n", []),
    # gcc lets this pass
    case("only clang warns", "int f(int x);\nint f(int x) { x = x; return x; }\n", [r"^x\.c: clang: .*self-assign"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES, lambda p: p.add_argument("--build", default=os.path.join(tidy.ROOT, "build")))
