#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every header compiles alone, and twice in one file: as C with gcc and clang, public ones as C++ too.

usage: headers.py [--build DIRECTORY]     where the generated headers are
"""

import os
import subprocess
import tempfile

import tidy

C_FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wstrict-prototypes", "-Wundef", "-Werror"]
# a public header must live in a program that does not define _GNU_SOURCE
PUBLIC_C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Wundef", "-Werror"]
CXX_FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]


def try_header(job):
    name, compiler, flags, language = job
    with tempfile.NamedTemporaryFile("w", suffix="." + language, prefix="vj-header-") as f:
        f.write(f"#include <{name}>\n#include <{name}>\n")
        f.flush()
        ran = subprocess.run([*compiler.split(), *flags, "-fsyntax-only", f.name], capture_output=True, text=True)
    if ran.returncode == 0:
        return None
    reasons = [line for line in ran.stderr.splitlines() if "error" in line] or [ran.stderr.strip()]
    return f"{name}: not alone with {compiler} ({language}): {reasons[0]}"


def check(root, args):
    include = os.path.join(root, "include")
    internal = ["-I", include, "-I", os.path.join(root, "src")]
    if args.build:
        internal += ["-I", args.build]
    jobs = []
    for compiler, cxx in (("gcc", "g++"), ("clang", "clang++")):
        if not tidy.compiler(compiler):
            continue
        for path in tidy.walk(root, ["include"], (".h",)):
            name = os.path.relpath(path, "include")
            jobs.append((name, compiler, [*PUBLIC_C_FLAGS, "-I", include], "c"))
            if tidy.compiler(cxx):
                jobs.append((name, cxx, [*CXX_FLAGS, "-I", include], "cc"))
        for path in tidy.walk(root, ["src"], (".h",)):
            if not path.startswith("src/bpf/"):
                jobs.append((os.path.relpath(path, "src"), compiler, [*C_FLAGS, *internal], "c"))
    return [found for found in tidy.run_parallel(jobs, try_header) if found]


GUARD = "#ifndef X_H\n#define X_H\n#include <stdint.h>\nstruct x { uint8_t y; };\n#endif\n"
CASES = [
    tidy.Case("clean", {"src/base/x.h": GUARD, "include/vj/x.h": GUARD}, []),
    tidy.Case("needs another", {"src/base/x.h": "struct x { uint8_t y; };\n"}, [r"base/x\.h: not alone with"]),
    tidy.Case("no guard", {"src/base/x.h": "struct x { int y; };\n"}, [r"base/x\.h: not alone with"]),
    tidy.Case("not C++", {"include/vj/x.h": "#ifndef X\n#define X\nstruct x { int class; };\n#endif\n"},
              [r"vj/x\.h: not alone with .*\(cc\)"]),
    tidy.Case("public looks in", {"src/base/x.h": GUARD, "include/vj/y.h": '#include "base/x.h"\n'},
              [r"vj/y\.h: not alone"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES, lambda p: p.add_argument("--build", metavar="DIRECTORY"))
