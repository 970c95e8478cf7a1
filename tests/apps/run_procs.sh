#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Sockets in more than one process, on the kernel and on channels: the transcripts must be equal.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

"$build/tests/apps/procs" kernel >"$tmp/kernel" || fail "ended early on the kernel"
"$vj" run -- "$build/tests/apps/procs" channel >"$tmp/channel" || { tail -n 3 "$tmp/channel"; fail "ended early"; }
diff -u "$tmp/kernel" "$tmp/channel" || fail "channels behave in another way than the kernel"
cat "$tmp/channel"
"$vj" status | grep -q '^tcp ' && fail "a port is left behind: $("$vj" status)"
echo "nothing is left behind"
