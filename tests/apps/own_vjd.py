# SPDX-License-Identifier: BSD-2-Clause
"""A vjd of a test's own, that can be stopped and replaced"""

import os
import signal
import subprocess

BUILD = os.environ["VJ_BUILD_DIR"]


class Vjd:
    def __init__(self, directory, *options):
        ready, its = os.pipe()
        self.process = subprocess.Popen([BUILD + "/vjd", "--private", "--foreground", "--socket", directory + "/vjd.sock", "--idle-exit", "600",
                                         "--first-exit", "600", "--log", directory + "/vjd.log", "--ready-fd", str(its), *options],
                                        pass_fds=[its])
        os.close(its)
        assert os.read(ready, 1), "vjd does not start"
        os.close(ready)

    def end(self):
        """At once, also if it is stopped"""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
