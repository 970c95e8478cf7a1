#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# io_uring on sockets: what a ring and calls do by turns is the same on the kernel and on channels, whoever of the two has them, and `vj why` says
# why such a socket is the kernel's

source "$(dirname "$0")/lib.sh"

talk=$build/tests/apps/ring_talk
[ -x "$talk" ] || skip "liburing is not installed"
port=7801

# play LOG WAY-OF-SERVER WAY-OF-CLIENT: a way is empty or "run"
play() {
	local server=() client=() way how out
	[ -z "$2" ] || server=("$vj" run --)
	[ -z "$3" ] || client=("$vj" run --)
	for way in ring calls; do
		"${server[@]}" "$talk" server "$port" "$way" >"$tmp/server.log" 2>&1 &
		pids+=($!)
		until_true listens "$port"
		for how in 0 1 2 4 14 15 linked datagrams; do
			out=0
			# a parent of its own: short programs one after another under one are left to the kernel
			timeout 60 sh -c '"$@"; exit $?' sh "${client[@]}" "$talk" client "$port" "$how" >>"$tmp/$1" 2>"$tmp/client.log" || out=$?
			[ $out != 77 ] || skip "no io_uring here: $(cat "$tmp/client.log")"
			[ $out = 0 ] || fail "server: $way, ${2:-kernel}; client: $how, ${3:-kernel}: exit $out"
		done
		# what has been accepted from the kernel is no business of the library's
		if [ "$2" ] && { [ "$way" = ring ] || [ "$3" ]; }; then
			"$vj" why "${pids[-1]}" | has io_uring || fail "vj why does not say io_uring: $("$vj" why "${pids[-1]}")"
		fi
		end_started
		port=$((port + 1))
	done
}

play kernel '' ''
play both run run
play server run ''
play client '' run
for log in both server client; do
	diff "$tmp/kernel" "$tmp/$log" || fail "$log: other results than on the kernel"
done
echo "$(wc -l <"$tmp/kernel") talks, the same on the kernel and on channels"
