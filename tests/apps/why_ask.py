# SPDX-License-Identifier: BSD-2-Clause
"""Programs of python's under `vj run`, and what `vj why` says of them"""

import json
import os
import subprocess
import sys
import time

VJ = os.environ["VJ_BUILD_DIR"] + "/vj"


def start(program, *args, under=True):
    way = [VJ, "run", "--"] if under else []
    return subprocess.Popen([*way, sys.executable, "-c", program, *map(str, args)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


PATIENCE_S = 30


def until(look):
    """What @look returns, when that is no longer False or nothing."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def why(*args):
    return subprocess.run([VJ, "why", *map(str, args)], capture_output=True, text=True, check=False)


def run(*args, status=0):
    """Return: what `vj why` printed; it must end with @status. A program on a slow machine answers too late at times."""
    def look():
        done = why(*args)
        return done if done.returncode == status else None
    done = until(look)
    assert done, (args, why(*args))
    return done.stdout + done.stderr


def ask(pid, status=0):
    """{fd: (path, why)}"""
    said = json.loads(run("--json", pid, status=status))
    return {s["fd"]: (s["path"], s.get("why", {}).get("name")) for s in said["sockets"]}, said
