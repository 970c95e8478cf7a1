# SPDX-License-Identifier: BSD-2-Clause
"""What the tidy checks share: the rules file, walking the tree, and the self-test.

A check is a function check(root, args) that returns its findings as strings, "file:line: what is wrong". Its cases
are miniature trees, with what must be found in each: `SCRIPT --self-test` runs the check on all of them, so that a check
that can't fail is itself a failure.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIP = 77

# files: {path: text}; expect: regular expressions, each of which must match one finding; [] is a clean tree
Case = collections.namedtuple("Case", "name files expect args", defaults=({},))


def is_build_dir(path):
    return os.path.exists(os.path.join(path, "build.ninja")) or os.path.exists(os.path.join(path, "meson-private"))


def walk(root, tops, suffixes):
    """Files below root/top for each top, relative to root, sorted; build and hidden directories left out."""
    found = []
    for top in tops:
        for here, dirs, files in os.walk(os.path.join(root, top)):
            dirs[:] = [d for d in dirs if d != "__pycache__" and (top != "." or not d.startswith(".") or d == ".ci")
                       and not is_build_dir(os.path.join(here, d))]
            found += [os.path.relpath(os.path.join(here, f), root) for f in files if f.endswith(suffixes)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def strip_comments(text):
    """C text with comments and literals blanked, every other character where it was."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


class Rules:
    """layers.rules of this tree; a self-test hands its own text."""

    def __init__(self, text=None):
        self.allowed = {}
        if text is None:
            text = read(HERE, "layers.rules")
        for line in text.splitlines():
            line = line.split("#")[0]
            if ":" in line:
                who, what = line.split(":", 1)
                self.allowed[who.strip()] = set(what.split())
        self.pure = self.allowed.pop("pure", set())
        self.inside_preload = self.allowed.pop("inside-preload", set())

    def may_use_dir(self, who, directory):
        return who == directory or directory in self.allowed.get(who, ())

    def may_use_header(self, who, header):
        directory = os.path.dirname(header)
        rules = self.allowed.get(who, ())
        return self.may_use_dir(who, directory) or header in rules or directory + "/*" in rules


def public_prototypes(root):
    """{name: public header} of every prototype marked VJ_API."""
    names = {}
    for path in walk(root, ["include"], (".h",)):
        text = strip_comments(read(root, path))
        for m in re.finditer(r"^VJ_API\b[^;{(]*?\b(\w+)\s*\(", text, re.M):
            names[m.group(1)] = os.path.relpath(path, "include")
    return names


def run_parallel(jobs, work):
    """[work(job)] with two at a time, in order."""
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, jobs))


def compiler(*names):
    """The first of these compilers that is there, or None."""
    for name in names:
        if subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True).returncode == 0:
            return name
    return None


def self_test(check, cases, parser):
    """0 if the check finds in each case what is to be found, and nothing else."""
    bad = 0
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="vj-tidy-") as root:
            for path, text in case.files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
            args = parser.parse_args([])
            for key, value in case.args.items():
                setattr(args, key, value(root) if callable(value) else value)
            found = check(root, args)
        missing = [e for e in case.expect if not any(re.search(e, f) for f in found)]
        extra = [f for f in found if not any(re.search(e, f) for e in case.expect)]
        for what, items in (("not found", missing), ("found without cause", extra)):
            for item in items:
                print(f"self-test {case.name!r}: {what}: {item}")
                bad += 1
    if not any(c.expect for c in cases) or not any(not c.expect for c in cases):
        print("self-test: needs a case that violates and one that does not")
        bad += 1
    print(f"self-test: {len(cases)} cases, {bad} wrong")
    return 1 if bad else 0


def main(check, cases, add_arguments=lambda parser: None, write=None):
    """Entry point of every check. `write(root, args)` regenerates the file that the check compares with."""
    doc = sys.modules["__main__"].__doc__
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=ROOT, help="source tree (default: this one)")
    parser.add_argument("--self-test", action="store_true", help="try the check on trees that violate it")
    if write:
        parser.add_argument("--write", action="store_true", help="accept the present state")
    add_arguments(parser)
    args = parser.parse_args()
    if args.self_test:
        sys.exit(self_test(check, cases, parser))
    if write and args.write:
        write(args.root, args)
        sys.exit(0)
    found = check(args.root, args)
    if isinstance(found, str):
        print(found)
        sys.exit(SKIP)
    for line in found:
        print(line)
    print(f"{len(found)} findings")
    sys.exit(1 if found else 0)
