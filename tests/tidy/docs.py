#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every function in a public header is documented where it is declared.

A prototype (marked VJ_API) or inline function of include/vj has right above it a comment that begins with
"name() - ", and that says what comes back (a "Return:") when its type is int.
"""

import re

import tidy

DECLARATION = re.compile(r"^(VJ_API|static inline)\b([^;{]*?)\b(\w+)\s*\(", re.M)
PROTOTYPE = re.compile(r"^(?!static|VJ_API|typedef|#|\s)[A-Za-z_][\w\s*]*?\b(\w+)\s*\([^;{}]*\)\s*;", re.M)


def comment_above(text, at):
    """The comment that ends on the line before this position, or None."""
    above = text[:at].rstrip(" \t")
    if not above.endswith("*/\n"):
        return None
    return above[above.rindex("/*"):]


def check(root, args):
    del args
    found = []
    for path in tidy.walk(root, ["include"], (".h",)):
        text = tidy.read(root, path)
        code = tidy.strip_comments(text)
        for m in DECLARATION.finditer(code):
            marker, kind, name = m.groups()
            where = f"{path}:{code.count(chr(10), 0, m.start()) + 1}: {name}()"
            comment = comment_above(text, m.start())
            if comment is None:
                found.append(f"{where} has no comment right above it")
            elif not re.match(rf"/\*\*?\s*(\*\s*)?{name}\(\) - ", comment):
                found.append(f'{where}: its comment does not begin with "{name}() - "')
            elif marker == "VJ_API" and kind.strip() == "int" and "Return:" not in comment:
                found.append(f"{where} returns int, and its comment has no \"Return:\"")
        for m in PROTOTYPE.finditer(code):
            found.append(f"{path}:{code.count(chr(10), 0, m.start()) + 1}: {m.group(1)}() is not marked VJ_API")
    return found


def case(name, source, expect):
    return tidy.Case(name, {"include/vj/x.h": source}, expect)


CASES = [
    case("clean", "#define S \"two /* words\"\n/** vj_a() - Do it. Return: 0 */\nVJ_API int vj_a(void);\n\n"
                  "/**\n * vj_b() - Do it\n */\nVJ_API void vj_b(int x,\n\t\t int y);\nstruct s {\n\tint (*f)(int);\n};\n", []),
    case("none", "VJ_API void vj_a(void);\n", [r"x\.h:1: vj_a\(\) has no comment"]),
    case("of another", "/** vj_a() - Do it */\nVJ_API void vj_a(void);\nVJ_API void vj_b(void);\n", [r"x\.h:3: vj_b\(\) has no"]),
    case("apart", "/** vj_a() - Do it */\n\nVJ_API void vj_a(void);\n", [r"vj_a\(\) has no comment"]),
    case("copied", "/** vj_a() - Do it */\nVJ_API void vj_b(void);\n", [r'does not begin with "vj_b']),
    case("no return", "/** vj_a() - Do it */\nVJ_API int vj_a(void);\n", [r'no "Return:"']),
    case("not marked", "/** vj_a() - Do it */\nint vj_a(void);\n", [r"x\.h:2: vj_a\(\) is not marked"]),
    case("inline", "static inline int vj_a(void) { return 0; }\n", [r"vj_a\(\) has no comment"]),
]

if __name__ == "__main__":
    tidy.main(check, CASES)
