#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Layers by symbol: who really calls whom, whatever the headers say; and the purity of the core.

usage: layers_symbol.py --lib LAYER=ARCHIVE... --objects LAYER=DIRECTORY... [--preload-map FILE]

 * a symbol of another layer is used only if layers.rules lets this layer use that one, or the public header that
   declares the symbol;
 * the pure layers use nothing from outside but the short list below (no I/O, clock, randomness, allocation), and have
   no writable data: their whole state is handed to them;
 * what runs inside the preload library calls nothing that it interposes (it would call itself), but for THROUGH.
"""

import glob
import os
import re
import subprocess

import tidy

# What a pure layer may take from the C library, and from libsodium; what compilers and sanitizers put in by themselves.
PURE = re.compile(
    r"^(memcpy|memmove|memset|memcmp|bcmp|memchr|strlen|strnlen|strcmp|strncmp|strchr|strrchr|strspn|snprintf|vsnprintf"
    r"|crypto_shorthash\w*"
    r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(popcount|clz|ctz|ffs|mul|u?div|u?mod|bswap)[dst]i\d?"
    r"|__(asan|ubsan|tsan|sanitizer|gcov|llvm)_\w+)$")
# A failed assertion is the only thing that base prints, and then it aborts.
PURE_OF = {"base": re.compile(r"^(abort|stderr|fprintf|fputs|fflush)$")}
# What libc has no second name for: sock calls the preload library, which goes on to libc and does not call itself.
THROUGH = {"pthread_create"}
# Where a thread can be cancelled, also if it need not wait: it would leave the library's lock taken. See sock/kernel.h.
CANCELS = re.compile(
    r"^(open|openat|creat|fopen|freopen)(64)?$|^(getrandom|sleep|usleep|(clock_)?nanosleep|pause|sigsuspend|sig(timed)?wait(info)?"
    r"|wait(pid|id|3|4)?|system|popen|pclose|pthread_(join|cond_(clock|timed)?wait)|sem_(clock|timed)?wait|f(data)?sync|msync|lockf"
    r"|p(read|write)v?(64)?|fallocate|tcdrain|getaddrinfo|getpass|syslog)$")
WRITABLE = re.compile(r"^(\.data(?!\.rel\.ro)|\.bss|\.tdata|\.tbss|\*COM\*|COMMON)")


def nm(files):
    """[(file, symbol, class, section)] of archives and object files."""
    rows = []
    for path in files:
        out = subprocess.run(["nm", "--format=sysv", path], capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            cells = [c.strip() for c in line.split("|")]
            if len(cells) == 7:
                rows.append((os.path.basename(path), cells[0], cells[2], cells[6]))
    return rows


def collect(args):
    """{layer: rows of nm}"""
    layers = {}
    for spec in args.lib or ():
        layer, path = spec.split("=", 1)
        layers.setdefault(layer, []).append(path)
    for spec in args.objects or ():
        layer, path = spec.split("=", 1)
        layers.setdefault(layer, []).extend(sorted(glob.glob(os.path.join(path, "*.o"))))
    return {layer: nm(paths) for layer, paths in layers.items()}


def interposed(path):
    """The names that a version script exports."""
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return set(re.findall(r"[\w*]+(?=\s*;)", re.sub(r"local:.*", "", text, flags=re.S)))


def check_layer(layer, rows, rules, defined, public, hooks):
    found = []
    own = {symbol for _, symbol, cls, _ in rows if cls.isupper() and cls != "U"}
    for file, symbol, cls, section in rows:
        if layer in rules.pure and WRITABLE.match(section) and not symbol.startswith("__"):
            found.append(f"{layer} ({file}): writable data in a pure layer: {symbol}")
        if cls not in ("U", "w", "v") or symbol in own:
            continue
        owner = defined.get(symbol)
        if owner:
            header = public.get(symbol)
            if not rules.may_use_dir(layer, owner) and not (header and rules.may_use_header(layer, header)):
                found.append(f"{layer} ({file}): uses {symbol} of {owner}")
            continue
        if layer in rules.pure and not PURE.match(symbol) and not (
                layer in PURE_OF and PURE_OF[layer].match(symbol)):
            found.append(f"{layer} ({file}): {symbol} in a pure layer")
        if layer in rules.inside_preload and symbol in hooks - THROUGH:
            found.append(f"{layer} ({file}): calls {symbol}, which the preload library interposes")
        if layer in rules.inside_preload and CANCELS.match(symbol):
            found.append(f"{layer} ({file}): {symbol} is a cancellation point")
    return found


def check(root, args):
    rules = tidy.Rules(args.rules)
    layers = collect(args)
    public = tidy.public_prototypes(root)
    hooks = interposed(args.preload_map) if args.preload_map else set()
    defined = {}
    found = []
    for layer, rows in layers.items():
        if layer not in rules.allowed:
            found.append(f"{layer}: not in layers.rules")
        if layer != "preload":  # its symbols are the C library's names
            defined.update({symbol: layer for _, symbol, cls, _ in rows if cls.isupper() and cls != "U"})
    for layer, rows in layers.items():
        found += check_layer(layer, rows, rules, defined, public, hooks)
    return sorted(set(found))


def add_arguments(parser):
    parser.add_argument("--lib", action="append", metavar="LAYER=ARCHIVE")
    parser.add_argument("--objects", action="append", metavar="LAYER=DIRECTORY")
    parser.add_argument("--preload-map", metavar="FILE")
    parser.set_defaults(rules=None)


RULES = "base:\nwire: base\nsock: base vj/vj.h\npure: base wire\ninside-preload: sock\n"
TREE = {
    "include/vj/vj.h": "#define VJ_API\nVJ_API int vj_thing(int);\n",
    "obj/base/b.c": "#include <string.h>\nint b(const char *s);\nint b(const char *s) { return (int)strlen(s); }\n",
    "obj/wire/w.c": "int b(const char *); int w(void), vj_thing(int), hidden(void);\nint w(void) { return b(0); }\n"
                    "int vj_thing(int x) { return x; }\nint hidden(void) { return 1; }\n"
                    'const char *const names[] = {"a"};\n',
    "obj/sock/s.c": "int vj_thing(int); int s(void);\nint s(void) { return vj_thing(1); }\n",
}


def compile_tree(root):
    """Turns obj/<layer>/*.c into objects; returns --objects."""
    specs = []
    for path in sorted(glob.glob(os.path.join(root, "obj", "*"))):
        for source in glob.glob(os.path.join(path, "*.c")):
            subprocess.run(["cc", "-fPIC", "-O1", "-fno-builtin", "-c", source, "-o", source[:-1] + "o"], check=True)
        specs.append(f"{os.path.basename(path)}={path}")
    return specs


def write_map(root):
    path = os.path.join(root, "preload.map")
    with open(path, "w", encoding="utf-8") as f:
        f.write("{ /* no; comment; */ global: read; close; pthread_create;\nlocal: *; };\n")
    return path


def case(name, files, expect):
    return tidy.Case(name, {**TREE, **files}, expect,
                     {"rules": RULES, "objects": compile_tree, "preload_map": write_map})


CASES = [
    case("clean", {}, []),
    case("upward", {"obj/base/up.c": "int w(void); int up(void);\nint up(void) { return w(); }\n"},
         [r"^base \(up\.o\): uses w of wire"]),
    case("behind the headers", {"obj/sock/x.c": "int hidden(void); int x(void);\nint x(void) { return hidden(); }\n"},
         [r"^sock .*uses hidden of wire"]),
    case("clock", {"obj/wire/t.c": "long time(long *); long t(void);\nlong t(void) { return time(0); }\n"},
         [r"^wire \(t\.o\): time in a pure layer"]),
    case("malloc", {"obj/base/m.c": "void *malloc(unsigned long); void *m(void);\nvoid *m(void) { return malloc(1); }\n"},
         [r"^base .*: malloc in a pure layer"]),
    case("abort outside base", {"obj/wire/a.c": "void abort(void); void a(void);\nvoid a(void) { abort(); }\n"},
         [r"^wire .*: abort in a pure layer"]),
    case("global", {"obj/wire/g.c": "int counter; static int kept = 3; int g(void);\nint g(void) { return kept++; }\n"},
         [r"writable data in a pure layer: counter", r"writable data in a pure layer: kept"]),
    case("interposed", {"obj/sock/r.c": "int close(int); int r(void);\nint r(void) { return close(1); }\n"},
         [r"^sock .*calls close, which"]),
    case("interposed, and led on", {"obj/sock/r.c": "int pthread_create(void); int r(void);\nint r(void) { return pthread_create(); }\n"},
         []),
    case("cancelled", {"obj/sock/n.c": "int nanosleep(void); int n(void);\nint n(void) { return nanosleep(); }\n"},
         [r"^sock .*nanosleep is a cancellation point"]),
    case("unknown layer", {"obj/misc/m.c": ""}, [r"^misc: not in"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES, add_arguments)
