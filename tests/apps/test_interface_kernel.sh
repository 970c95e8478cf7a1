#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A connection over an interface that another process is to use becomes the kernel's, in the middle of a stream in both directions: by exec(),
# fork(), SCM_RIGHTS, as a program's standard input; with data that were sent and not acknowledged, not sent, not read; half-closed; both
# address families, timestamps or not. Each byte arrives once, and no segment with RST is seen.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 tcpdump

stream="$VJ_SOURCE_DIR/tests/apps/kernel_stream.py"
total=2000000
start_vjd --attach eth0
"${on_client[@]}" tcpdump -i eth0 -n -U -s 96 -w "$tmp/capture" 'tcp[tcpflags] & tcp-rst != 0 or (ip6[6] = 6 and ip6[53] & 4 != 0)' >"$tmp/tcpdump.log" 2>&1 &
pids+=($!)
until_true grep -q 'listening on' "$tmp/tcpdump.log"
start peer.log "${on_client[@]}" python3 "$stream" peer 7300
until_true at_client python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7300)).close()'
whole() {
	[ "$(grep -c "^whole $total\$" "$tmp/peer.log")" = "$1" ]
}
expected=0

# moves HOST HOW: a client's; of its connections one each has to have become the kernel's. A parent for each, lest they are short programs (board, SHORT)
moves() {
	local log=$tmp/user.log
	at_server env VJ_VERBOSE=1 sh -c '"$@"; exit $?' sh timeout 300 "$vj" run -- python3 "$stream" user "$1" 7300 "$2" $total >"$log" 2>&1 ||
		fail "$2 to $1: $(cat "$log"; cat "$tmp/peer.log")"
	expected=$((expected + 1))
	until_true whole $expected
	[ "$(grep -c 'has become the kernel' "$log")" = 1 ] || fail "$2 to $1: it has not become the kernel's once: $(cat "$log")"
}
for host in 10.77.0.1 fd77::1; do
	for how in exec exec+full exec+unread exec+shut exec+half exec-failed child child+full child+half orphan both both-peek send program; do
		moves $host $how
	done
done

# a server's: the first clients come by the kernel
start server.log "${on_server[@]}" env VJ_VERBOSE=1 "$vj" run -- python3 "$stream" serve 7301 child $total
until_true leased 7301
for host in 10.77.0.2 10.77.0.2 10.77.0.2 10.77.0.2 10.77.0.2 fd77::2; do
	at_client timeout 300 python3 "$stream" ask $host 7301 || fail "a client of a server whose child goes on: $(cat "$tmp/server.log")"
done
[ "$(grep -c 'has become the kernel' "$tmp/server.log")" = 2 ] || fail "not two of the server's have become the kernel's: $(cat "$tmp/server.log")"

# without timestamps, SACK and scaled windows
at_client sysctl -qw net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0 net.ipv4.tcp_window_scaling=0
for how in exec child both exec+shut; do
	moves 10.77.0.1 $how
	moves fd77::1 $how
done

end_started
tcpdump -n -r "$tmp/capture" >"$tmp/resets" 2>"$tmp/resets-err" || fail "the capture can't be read: $(cat "$tmp/resets-err")"
[ ! -s "$tmp/resets" ] || fail "RST: $(cat "$tmp/resets")"
grep -q 'a connection that another process had is reset' "$tmp"/*.log && fail "one was reset: $(cat "$tmp"/*.log)"
exit 0
