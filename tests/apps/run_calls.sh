#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every call of the sockets layer, on the kernel and on a channel: the transcripts must be equal.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

"$build/tests/apps/calls" kernel >"$tmp/kernel"
"$vj" run -- "$build/tests/apps/calls" channel >"$tmp/channel" || { tail -n 3 "$tmp/channel"; fail "calls ended early"; }
grep -q '^end$' "$tmp/kernel" || fail "calls ended early on the kernel"
diff -u "$tmp/kernel" "$tmp/channel" || fail "a channel behaves in another way than the kernel"
echo "$(wc -l <"$tmp/channel") lines, the same on the kernel and on a channel"
