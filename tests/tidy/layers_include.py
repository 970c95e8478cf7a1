#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Layers by #include: every directory of src/ includes only what layers.rules lets it.

Project headers are named by their path from src/ in quotes, public ones as <vj/...>. Public headers and examples see
public headers only. Tests and benchmarks may look at anything.
"""

import os
import re

import tidy

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
GENERATED = {"vj_version.h", "vj_paths.h"}
SKELETON = re.compile(r"bpf/vj_(\w+)\.skel\.h$") # made by bpftool of src/bpf/NAME.bpf.c, and belongs there
SUFFIXES = (".c", ".h")


def check_src(rules, root, where, layer, quote, name):
    """What is wrong with this #include in a file of src/<layer>, or None."""
    if name in GENERATED:
        return None
    skeleton = SKELETON.match(name)
    if skeleton:
        name = f"bpf/{skeleton[1]}.bpf.c"
    public = os.path.exists(os.path.join(root, "include", name))
    if not public and not os.path.exists(os.path.join(root, "src", name)):
        if quote == "<":
            return None
        return f'{where}: "{name}" is no path from src/'
    if public != (quote == "<"):
        return f"{where}: {name}: public headers go in <>, others in quotes"
    if not rules.may_use_header(layer, name):
        return f"{where}: {layer} may not include {name}"
    return None


def check_public(root, where, quote, name):
    if quote == '"' or os.path.exists(os.path.join(root, "src", name)):
        return f"{where}: {name}: only <vj/...> and system headers here"
    return None


def check(root, args):
    rules = tidy.Rules(args.rules)
    found = []
    for path in tidy.walk(root, ["src", "include", "examples"], SUFFIXES):
        parts = path.split(os.sep)
        if parts[0] == "src" and parts[1] not in rules.allowed:
            found.append(f"{path}:1: directory is not in layers.rules")
            continue
        for number, line in enumerate(tidy.read(root, path).splitlines(), 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            where = f"{path}:{number}"
            if parts[0] == "src":
                found.append(check_src(rules, root, where, parts[1], *m.groups()))
            else:
                found.append(check_public(root, where, *m.groups()))
    return [f for f in found if f]


RULES = "base:\nwire: base\nsock: base wire/x.h vj/vj.h\n"
TREE = {
    "src/base/b.h": "",
    "src/wire/x.h": '#include "base/b.h"\n#include <string.h>\n',
    "src/wire/y.h": "",
    "include/vj/vj.h": "#include <stdint.h>\n",
    "include/vj/other.h": "#include <vj/vj.h>\n",
}


def case(name, files, expect):
    return tidy.Case(name, {**TREE, **files}, expect, {"rules": RULES})


CASES = [
    case("clean", {"src/sock/s.c": '#include "base/b.h"\n#include "wire/x.h"\n#include "vj_version.h"\n'}, []),
    case("upward", {"src/base/up.c": '#include "wire/x.h"\n'}, [r"up\.c:1: base may not include wire/x\.h"]),
    case("only one header", {"src/sock/s.c": '\n # include "wire/y.h"\n'}, [r"s\.c:2: sock may not"]),
    case("public not allowed", {"src/wire/w.c": "#include <vj/vj.h>\n"}, [r"wire may not include vj/vj\.h"]),
    case("wrong public", {"src/sock/s.c": "#include <vj/other.h>\n"}, [r"sock may not include vj/other\.h"]),
    case("relative", {"src/wire/w.c": '#include "../base/b.h"\n#include "x.h"\n'},
         [r"w\.c:1: .*no path", r"w\.c:2: .*no path"]),
    case("wrong quotes", {"src/wire/w.c": "#include <base/b.h>\n"}, [r"others in quotes"]),
    case("unknown directory", {"src/misc/m.c": ""}, [r"not in layers\.rules"]),
    case("public header looks in", {"include/vj/vj.h": '#include "base/b.h"\n'}, [r"only <vj/"]),
    case("example looks in", {"examples/e.c": "#include <base/b.h>\n"}, [r"e\.c:1: .*only <vj/"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES, lambda p: p.set_defaults(rules=None))
