#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Peers killed, vjd killed, fork, exec, exit, threads, computing and idle programs.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

faults=$build/tests/apps/faults
for part in killed fork prefork exit threads epoll_threads busy idle closefrom signals; do
	"$vj" run -- "$faults" "$part" || fail "$part"
done

# a vjd that is there before, so that its pid is known
start holder "$vj" run -- sleep 30
for _ in $(seq 100); do
	pid=$(vjd_pid 2>/dev/null) && [ -n "$pid" ] && break
	sleep 0.05
done
[ -n "${pid-}" ] || fail "no vjd"
"$vj" run -- "$faults" vjd "$pid" || fail vjd
