#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The shared libraries export what they promise, no more and no less.

usage: exports.py [--lib libvj.so] [--preload libvj-preload.so]

libvj.so: what libvj.symbols lists, which is what include/vj declares. A line that leaves libvj.symbols breaks programs:
that is a new version of the library. libvj-preload.so: the names in preload.map, where nothing is a wildcard; no large variables that are zero at first, which every process
would have mapped; and what the loader writes to in each process is on one page
(src/preload/layout.ld), and nothing of VJ_LATER.
`exports.py --lib FILE --write` regenerates libvj.symbols.
"""

import os
import re
import subprocess

import tidy
from layers_symbol import interposed

SYMBOLS = os.path.join(tidy.HERE, "libvj.symbols")
ZEROED_MAX, PAGE = 8192, 4096
HEADER = ("# SPDX-License-Identifier: BSD-2-Clause\n"
          "# What libvj.so exports: exports.py --lib LIBRARY --write\n")


def exported(path):
    """Names that a shared library defines for others; the name of a version is none."""
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {row[2].split("@")[0] for row in rows if len(row) == 3 and row[1] != "A"}


def zeroed_bytes(path):
    """How much of its memory isn't in the file; 0 with a sanitizer's run-time, which adds to it."""
    names = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True, check=True).stdout
    out = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
    loads = [line.split() for line in out.splitlines() if line.split()[:1] == ["LOAD"]]
    return 0 if "__asan_" in names or "__tsan_" in names else sum(int(row[5], 16) - int(row[4], 16) for row in loads)


def loader_pages(path):
    """How many pages of what isn't VJ_LATER can be written; 1 where the two aren't told apart, or a sanitizer adds to it."""
    names = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True, check=True).stdout
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split("]", 1)[1].split() for line in out.splitlines() if "]" in line]
    # name, type, address, offset, size, entries' size, flags; those of a thread's variables take no room
    spans = {row[0]: (int(row[2], 16), int(row[4], 16)) for row in rows if len(row) > 6 and "W" in row[6] and row[0] != ".tbss"}
    later = spans.pop(".later", None)
    if later is None or "__asan_" in names or "__tsan_" in names:
        return 1
    first = min(at for at, _ in spans.values())
    last = max(at + size - 1 for at, size in spans.values())
    return last // PAGE - first // PAGE + 1


def loader_copies(path):
    """Where in VJ_LATER the loader writes; nothing where a sanitizer adds to it."""
    names = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, text=True, check=True).stdout
    out = subprocess.run(["readelf", "-SrW", path], capture_output=True, text=True, check=True).stdout
    later = re.search(r" \.later +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", out)
    if later is None or "__asan_" in names or "__tsan_" in names:
        return []
    first, size = (int(n, 16) for n in later.groups())
    # of RELR an address alone, of others what is to be done there
    places = [int(m, 16) for m in re.findall(r"^([0-9a-f]{12,16})(?:$| .* R_)", out, re.M)]
    return sorted(hex(at) for at in places if first <= at < first + size)


def compare(what, have, want, where):
    return ([f"{what}: exports {name}, which is not in {where}" for name in sorted(have - want)] +
            [f"{what}: does not export {name}, which is in {where}" for name in sorted(want - have)])


def check(root, args):
    found = []
    if args.lib:
        have = exported(args.lib)
        with open(args.symbols, encoding="utf-8") as f:
            want = {line.strip() for line in f if line.strip() and not line.startswith("#")}
        found += compare("libvj.so", have, want, "libvj.symbols")
        found += compare("libvj.so", have, set(tidy.public_prototypes(root)), "include/vj (VJ_API)")
    if args.preload:
        names = interposed(args.map or os.path.join(root, "src/preload/preload.map"))
        found += [f"preload.map: {name}: no wildcards" for name in sorted(names) if "*" in name]
        found += compare("libvj-preload.so", exported(args.preload), names, "preload.map")
        zeroed = zeroed_bytes(args.preload)
        if zeroed > ZEROED_MAX:
            found.append(f"libvj-preload.so: {zeroed} bytes are zero at first: take large ones when they are used (pages_get())")
        if loader_pages(args.preload) > 1:
            found.append("libvj-preload.so: the loader writes to more than a page: mark larger variables VJ_LATER")
        found += [f"libvj-preload.so: the loader writes to VJ_LATER, at {at}: no addresses there" for at in loader_copies(args.preload)]
    return found


def write(_root, args):
    with open(SYMBOLS, "w", encoding="utf-8") as f:
        f.write(HEADER + "".join(name + "\n" for name in sorted(exported(args.lib))))


def add_arguments(parser):
    parser.add_argument("--lib", metavar="FILE")
    parser.add_argument("--symbols", default=SYMBOLS, metavar="FILE")
    parser.add_argument("--preload", metavar="FILE")
    parser.add_argument("--map", metavar="FILE")


SOURCE = "int vj_a(void); int vj_b(void);\nint vj_a(void) { return 1; }\nint vj_b(void) { return 2; }\n"


def build(root):
    library = os.path.join(root, "x.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, os.path.join(root, "x.c")], check=True)
    return library


def lib_case(name, symbols, header, expect):
    return tidy.Case(name, {"x.c": SOURCE, "symbols": symbols, "include/vj/x.h": header}, expect,
                     {"lib": build, "symbols": lambda root: os.path.join(root, "symbols")})


def preload_case(name, version_script, expect):
    return tidy.Case(name, {"x.c": SOURCE, "src/preload/preload.map": version_script}, expect, {"preload": build})


BOTH = "VJ_API int vj_a(void);\nVJ_API int\nvj_b(void);\n"
CASES = [
    lib_case("clean", "# list\nvj_a\nvj_b\n", BOTH, []),
    lib_case("unlisted", "vj_a\n", BOTH, [r"exports vj_b, which is not in libvj\.symbols"]),
    lib_case("lost", "vj_a\nvj_b\nvj_c\n", BOTH, [r"does not export vj_c, which is in libvj\.symbols"]),
    lib_case("undeclared", "vj_a\nvj_b\n", "VJ_API int vj_a(void);\n", [r"exports vj_b, which is not in include/vj"]),
    lib_case("undefined", "vj_a\nvj_b\n", BOTH + "VJ_API int vj_d(void);\n", [r"not export vj_d, which is in include/vj"]),
    preload_case("preload clean", "{ global: vj_a; vj_b; local: *; };\n", []),
    preload_case("preload extra", "{ global: vj_a; local: *; };\n", [r"preload\.so: exports vj_b"]),
    preload_case("preload missing", "{ global: vj_a; vj_b; vj_c; local: *; };\n", [r"does not export vj_c"]),
    tidy.Case("preload large", {"x.c": SOURCE + "char vj_c[9000];\n",
                                "src/preload/preload.map": "{ global: vj_a; vj_b; vj_c; local: *; };\n"},
              [r"90\d\d bytes are zero at first"], {"preload": build}),
    tidy.Case("preload pages", {"x.c": SOURCE + "__attribute__((section(\".later\"))) char vj_c[8] = { 1 };\nchar vj_d[5000] = { 1 };\n",
                                "src/preload/preload.map": "{ global: vj_a; vj_b; vj_c; vj_d; local: *; };\n"},
              [r"writes to more than a page"], {"preload": build}),
    tidy.Case("preload address", {"x.c": SOURCE + "char vj_c[8]; __attribute__((section(\".later\"))) char *vj_d = vj_c + 1;\n",
                                  "src/preload/preload.map": "{ global: vj_a; vj_b; vj_c; vj_d; local: *; };\n"},
              [r"writes to more than a page", r"writes to VJ_LATER"], {"preload": build}),
    preload_case("preload wildcard", "{ global: vj_a; vj_b; vj_*; local: *; };\n",
                 [r"vj_\*: no wildcards", r"does not export vj_\*"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES, add_arguments, write)
