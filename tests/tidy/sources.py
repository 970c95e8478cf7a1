#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every source says its licence first, and none names a place that only one machine has.

 * the first line (the second, after #!) of sources, scripts and build files carries the SPDX licence: BSD-2-Clause; below
   src/bpf/ also "BSD-2-Clause OR GPL-2.0-only", which the kernel asks of programs that call its GPL helpers;
 * no file holds the path of this tree, of somebody's home, or of the directory around this tree;
 * no trailing blanks, and the last line ends.
"""

import os
import re

import tidy

SPDX = re.compile(r"SPDX-License-Identifier: (.+?)(?:\s*\*/)?\s*$")
LICENCES = {"BSD-2-Clause"}
BPF_LICENCES = LICENCES | {"BSD-2-Clause OR GPL-2.0-only"}
NEED_SPDX = (".c", ".h", ".py", ".sh", ".map", ".rules", "meson.build", "meson_options.txt", "Makefile")
TEXT = NEED_SPDX + (".md", ".txt", ".yml", ".in", ".service", ".conf", ".bash", ".symbols", ".baseline",
                    ".1", ".3", ".5", ".7", ".8")
# directories that anybody may name, though a tree may happen to lie in one
COMMON = {"/", "/tmp", "/var/tmp", "/home", "/root", "/usr", "/usr/src", "/opt", "/srv", "/mnt", "/build", "/var", "/run"}


def private_places(root):
    """Expressions for places of this machine, or of any one user's."""
    places = [re.compile(r"/(?:home|Users)/(?!user\b|USER\b|\.\.\.)\w+/"), re.compile(r"(?<![\w.])/roo[t]/")]
    for path in {root, os.path.dirname(root), os.path.expanduser("~")}:
        if path not in COMMON and path.startswith("/"):
            # a single name, such as "/src", is told from the end of a relative path by what stands around it
            behind = r"(?![\w-])" if path.count("/") > 1 else "/"
            places.append(re.compile(r"(?<![\w.@})\]])" + re.escape(path) + behind))
    return places


def check_licence(path, lines):
    first = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
    m = SPDX.search(first[0]) if first else None
    if not m:
        return [f"{path}:1: no SPDX licence in the first line"]
    allowed = BPF_LICENCES if path.startswith("src/bpf/") else LICENCES
    if m.group(1) not in allowed:
        return [f"{path}:1: licence {m.group(1)} is not one of ours"]
    return []


def check(root, args):
    del args
    root = os.path.abspath(root)
    places = private_places(root)
    found = []
    for path in tidy.walk(root, ["."], ("",)):
        in_scripts = path.startswith(("scripts/", ".ci/"))
        if not in_scripts and not path.endswith(TEXT):
            continue
        text = tidy.read(root, path)
        lines = text.split("\n")
        if path.endswith(NEED_SPDX) or in_scripts or text.startswith("#!"):
            found += check_licence(path, lines)
        for number, line in enumerate(lines, 1):
            for place in places:
                if place.search(line):
                    found.append(f"{path}:{number}: names a place of one machine: {place.search(line).group(0)}")
            if line != line.rstrip():
                found.append(f"{path}:{number}: trailing blanks")
        if text and not text.endswith("\n"):
            found.append(f"{path}:{len(lines)}: last line does not end")
    return found


def put_root(root):
    """Lets docs/x.md name the tree that it stands in."""
    with open(os.path.join(root, "docs/x.md"), "w", encoding="utf-8") as f:
        f.write(f"cd {root}/src\n")


ID = "SPDX-License-" "Identifier: "
HOME = "/ho" "me/"
CASES = [
    tidy.Case("clean", {"src/a.c": f"// {ID}BSD-2-Clause\n", "src/b.h": f"/* {ID}BSD-2-Clause */\n",
                        "scripts/x": f"#!/bin/sh\n# {ID}BSD-2-Clause\n", "docs/x.md": f"see {HOME}user/x and /tmp/x\n",
                        "src/bpf/d.bpf.c": f"// {ID}BSD-2-Clause OR GPL-2.0-only\n", "x.png": " \n"}, []),
    tidy.Case("none", {"src/a.c": "int x;\n"}, [r"a\.c:1: no SPDX"]),
    tidy.Case("empty", {"src/a.c": ""}, [r"a\.c:1: no SPDX"]),
    tidy.Case("late", {"scripts/x": f"#!/bin/sh\n\n# {ID}BSD-2-Clause\n"}, [r"scripts/x:1: no SPDX"]),
    tidy.Case("other", {"src/a.c": f"// {ID}GPL-2.0-only\n"}, [r"GPL-2\.0-only is not one of ours"]),
    tidy.Case("home", {"docs/x.md": f"cd {HOME}joe/src\n"}, [r"x\.md:1: names a place"]),
    tidy.Case("this tree", {"docs/x.md": "cd ROOT/src\n"}, [r"x\.md:1: names a place"], {"place": put_root}),
    tidy.Case("blanks", {"docs/x.md": "a \nb"}, [r"x\.md:1: trailing", r"x\.md:2: last line"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES)
