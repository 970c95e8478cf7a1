#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Peers killed, vjd killed, fork, exec, exit, threads, computing and idle programs.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

faults=$build/tests/apps/faults
for part in killed fork prefork exit threads epoll_threads nested sets busy idle closefrom signals; do
	"$vj" run -- "$faults" "$part" || fail "$part"
done

# a thread sleeps in a set, or polls it, and another puts a listening socket there
two_ports() { [ "$(wc -l <"$tmp/later")" = 2 ]; }
start later "$vj" run -- "$faults" later
until_true two_ports
for port in $(cat "$tmp/later"); do
	has_lease "$port" || fail "no lease of $port, of $(tr '\n' ' ' <"$tmp/later")"
done

# a vjd that is there before, so that its pid is known
port=$(free_port)
start holder "$vj" run -- python3 -m http.server -b 127.0.0.1 "$port" # with an application it stays
has_lease "$port" || fail "no vjd"
"$vj" run -- "$faults" vjd "$(vjd_pid)" || fail vjd

# few descriptors: as on the kernel as long as the hard limit leaves room for the library's own; else the kernel, and said
for n in 8 11 20; do
	(ulimit -Sn $n && "$vj" run -- "$faults" closefrom) || fail "closefrom with $n descriptors"
	(ulimit -Sn $n && "$vj" run -- "$faults" prefork) || fail "prefork with $n descriptors"
	said=$(ulimit -n $n && "$vj" run -- "$faults" threads 2>&1) || [ $n -lt 20 ] || fail "threads with $n descriptors: $said"
	grep -q "on the kernel's sockets: the hard limit of descriptors is $n," <<<"$said" || fail "says '$said'"
done
said=$(ulimit -n 20 && "$vj" run --strict -- "$faults" threads 2>&1) && fail "--strict runs with 20 descriptors"
grep -q "hard limit of descriptors is 20" <<<"$said" || fail "--strict says '$said'"
