#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Functions stay short, and files too; those that src/preload/layout.ld puts together are there.

A function has at most 70 lines. One that must be longer stands in functions.baseline with its length, which may shrink
but not grow, and never pass 150. A file has at most 1000 lines. `functions.py --write` takes the present lengths over;
a reviewer sees the change of the baseline.
"""

import json
import os
import re
import subprocess

import tidy

FUNCTION_LINES = 70
FUNCTION_LINES_HARD = 150
FILE_LINES = 1000
TOPS = ["src", "include", "tests", "bench", "examples"]
BASELINE = os.path.join(tidy.HERE, "functions.baseline")
LAYOUT = "src/preload/layout.ld"


def functions(root):
    """A tag of ctags for each."""
    sources = tidy.walk(root, TOPS, (".c", ".h"))
    command = ["ctags", "--options=NONE", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne",
               "--output-format=json", "-L", "-", "-f", "-"]
    out = subprocess.run(command, input="\n".join(sources), capture_output=True, text=True, check=True, cwd=root).stdout
    return [json.loads(line) for line in out.splitlines()]


def long_functions(tags):
    """{"path:function": (lines, first line)} of all above the limit."""
    found = {}
    for tag in tags:
        lines = tag.get("end", tag["line"]) - tag["line"] + 1
        if lines > FUNCTION_LINES:
            found[f"{tag['path']}:{tag['name']}"] = (lines, tag["line"])
    return found


def placed(root):
    """Functions that the linker is told to put somewhere."""
    path = os.path.join(root, LAYOUT)
    text = tidy.read(root, LAYOUT) if os.path.exists(path) else ""
    return re.findall(r"\*\(\.text\.(?:unlikely\.)?(\w+)\*?\)", text)


def read_baseline(args):
    text = args.baseline
    if text is None:
        text = tidy.read(os.path.dirname(BASELINE), os.path.basename(BASELINE))
    entries = [line.split("\t") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {key: int(lines) for lines, key in entries}


def check(root, args):
    allowed = read_baseline(args)
    found = []
    tags = functions(root)
    long_ones = long_functions(tags)
    for key, (lines, at) in sorted(long_ones.items()):
        path, name = key.rsplit(":", 1)
        limit = min(allowed.get(key, FUNCTION_LINES), FUNCTION_LINES_HARD)
        if lines > limit:
            found.append(f"{path}:{at}: {name}() has {lines} lines, limit {limit}")
    for key, lines in sorted(allowed.items()):
        now = long_ones.get(key, (FUNCTION_LINES, 0))[0]
        if now < lines:
            found.append(f"functions.baseline: {key} is shorter now than {lines}; run functions.py --write")
    for path in tidy.walk(root, TOPS, (".c", ".h")):
        lines = tidy.read(root, path).count("\n")
        if lines > FILE_LINES:
            found.append(f"{path}:{lines}: file has {lines} lines, limit {FILE_LINES}")
    names = {tag["name"] for tag in tags if tag["path"].startswith("src/")}
    found += [f"{LAYOUT}: {name}() is no function" for name in placed(root) if name not in names]
    return found


def write(root, _args):
    with open(BASELINE, "w", encoding="utf-8") as f:
        f.write("# SPDX-License-Identifier: BSD-2-Clause\n"
                "# Functions over 70 lines, with the length that they may have: functions.py --write\n")
        for key, (lines, _) in sorted(long_functions(functions(root)).items()):
            f.write(f"{lines}\t{key}\n")


def function(name, lines):
    return f"int {name}(void);\nint {name}(void)\n{{\n" + "\t;\n" * (lines - 4) + "\treturn 0;\n}\n"


def case(name, source, baseline, expect):
    return tidy.Case(name, {"src/base/x.c": source}, expect, {"baseline": baseline})


CASES = [
    case("clean", function("f", 70), "", []),
    case("long", function("f", 71), "", [r"x\.c:2: f\(\) has 71 lines, limit 70"]),
    case("allowed", function("f", 80), "80\tsrc/base/x.c:f\n", []),
    case("grew", function("f", 81), "80\tsrc/base/x.c:f\n", [r"f\(\) has 81 lines, limit 80"]),
    case("shrank", function("f", 75), "80\tsrc/base/x.c:f\n", [r"shorter now than 80"]),
    case("gone", "", "80\tsrc/base/x.c:f\n", [r"shorter now than 80"]),
    case("too long for any baseline", function("f", 151), "151\tsrc/base/x.c:f\n", [r"has 151 lines, limit 150"]),
    case("long file", "\n" * 1001, "", [r"file has 1001 lines"]),
    tidy.Case("placed", {"src/base/x.c": function("f", 9), LAYOUT: "*(.text.f) *(.text.unlikely.f) *(.text.f*) *(.text.g) *(.later)"},
              [r"layout\.ld: g\(\) is no function"], {"baseline": ""}),
]

if __name__ == "__main__":
    tidy.main(check, CASES, lambda p: p.set_defaults(baseline=None), write)
