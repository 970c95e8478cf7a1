#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# vj detach: connections over the interface become the kernel's in the middle of what they do, of clients and servers: each byte arrives once, at both ends, and each
# end is in order. Listeners go on. Who is stopped doesn't hold it up.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

stream="$VJ_SOURCE_DIR/tests/apps/kernel_stream.py"
detach="$VJ_SOURCE_DIR/tests/apps/detach_stream.py"
total=2000000
cnt=8
start_vjd --attach eth0
# under_vj LOG COMMAND...: with a parent of its own, lest they are short programs (board, SHORT)
declare -A process
under_vj() {
	local log=$1
	shift
	start "$log" "${on_server[@]}" env VJ_VERBOSE=1 sh -c '"$@"; exit $?' sh "$vj" run -- "$@"
	process[$log]=${pids[-1]}
}
listens() {
	"$1" ss -Hltn "sport = :$2" | has .
}
start peer.log "${on_client[@]}" python3 "$stream" peer 7300
start sink.log "${on_client[@]}" python3 "$detach" sink 7302
start echo.log "${on_client[@]}" python3 "$detach" echo 7303
for port in 7300 7302 7303; do
	until_true listens at_client $port
done
under_vj server.log python3 "$stream" peer 7301
mkdir "$tmp/user4" "$tmp/user6" "$tmp/asks4" "$tmp/asks6" "$tmp/odd" "$tmp/late"
under_vj late.log python3 "$detach" late 7304 "$tmp/late"
until_true has_lease 7301
until_true has_lease 7304
off_trial 7301
for _ in 1 2 3 4; do
	at_client python3 "$detach" line 10.77.0.2 7304 || fail "a first client"
done
until_true test -e "$tmp/late/ready"

under_vj user4.log python3 "$detach" user 10.77.0.1 7300 $total $cnt "$tmp/user4"
under_vj user6.log python3 "$detach" user fd77::1 7300 $total $cnt "$tmp/user6"
under_vj odd.log python3 "$detach" odd 10.77.0.1 7302 7303 "$tmp/odd"
start asks4.log "${on_client[@]}" python3 "$detach" user 10.77.0.2 7301 $total $cnt "$tmp/asks4"
process[asks4.log]=${pids[-1]}
start asks6.log "${on_client[@]}" python3 "$detach" user fd77::2 7301 $total $cnt "$tmp/asks6"
process[asks6.log]=${pids[-1]}
for who in user4 user6 asks4 asks6 odd; do
	until_true test -e "$tmp/$who/ready"
done
start line.log "${on_client[@]}" python3 "$detach" line 10.77.0.2 7304
process[line.log]=${pids[-1]}
waits_at_late() {
	"$vj" connections | has '10\.77\.0\.2:7304 .*established'
}
until_true waits_at_late

"$vj" detach eth0 >"$tmp/detached" 2>&1 &
sleep 0.2
touch "$tmp/late/late"
wait $! || fail "vj detach: $(cat "$tmp/detached")"
says_detached() { # says_detached WHO
	"$vj" why "$(pgrep -P "${process[$1.log]}")" | has 'its interface was detached .* after vj attach '
}
for who in user4 user6; do
	until_true says_detached "$who"
done
for who in user4 user6 asks4 asks6 odd late; do
	touch "$tmp/$who/gone"
done
# given LOG: how many of its connections have become the kernel's?
given() {
	grep -c 'has become the kernel' "$tmp/$1" || true
}
most=$((cnt * 3 / 4)) # some had ended, but for what was unread
[ "$(given user4.log)" -ge $most ] && [ "$(given user6.log)" -ge $most ] && [ "$(given odd.log)" = 2 ] && [ "$(given late.log)" = 1 ] ||
	fail "not all have become the kernel's: $(cat "$tmp/detached" "$tmp"/{user4,user6,odd,late}.log)"
[ "$(given server.log)" -ge $cnt ] || fail "few of a server's: $(cat "$tmp/server.log")"
sum=0
for log in user4.log user6.log odd.log late.log server.log; do
	sum=$((sum + $(given $log)))
done
grep -q "go on as the kernel's: $sum\$" "$tmp/detached" || fail "another number is said: $(cat "$tmp/detached" "$tmp/vjd.log")"
grep -qE 'ended' "$tmp/detached" && fail "some ended: $(cat "$tmp/detached")"
until_true no_pairs
for log in user4.log user6.log asks4.log asks6.log odd.log late.log line.log; do
	wait "${process[$log]}" || fail "$log: $(cat "$tmp/$log" "$tmp/detached")"
done
whole() {
	[ "$(grep -c "^whole $total\$" "$tmp/$1")" = $((2 * cnt)) ]
}
for log in peer.log server.log; do
	(until_true whole $log) || fail "$log: $(cat "$tmp/$log")"
done
(until_true grep -qx 'sunk 3000000 end' "$tmp/sink.log") || fail "sink.log: $(cat "$tmp/sink.log")"

# listeners go on, and clients begin, both at the kernel
at_client python3 "$detach" user 10.77.0.2 7301 10000 1 "$tmp/asks4" || fail "a client after vj detach"

# again, with one that is stopped: its connection ends
with_one_stopped() {
	rm -f "$tmp/user4/ready" "$tmp/user4/gone"
	under_vj stopped.log python3 "$detach" user 10.77.0.1 7300 $total 1 "$tmp/user4"
	until_true test -e "$tmp/user4/ready"
	"$vj" connections | has '10\.77\.0\.1:7300' || fail "nothing on a channel after vj attach"
	stopped=$(pgrep -P "${process[stopped.log]}")
	kill -STOP "$stopped"
}
"$vj" attach eth0 >/dev/null
with_one_stopped
timeout 60 "$vj" detach eth0 >"$tmp/detached" || fail "vj detach, and one is stopped: $(cat "$tmp/detached")"
grep -q 'did not answer in time, and whose connections have ended: 1$' "$tmp/detached" || fail "nothing is said of one that was stopped: $(cat "$tmp/detached")"
kill -KILL "$stopped"
until_true no_pairs

# who attaches meanwhile ends the wait, and has the interface: whoever runs hears of it, and no other vjd may have it
"$vj" attach eth0 >/dev/null
off_trial 7301
with_one_stopped
before=$(grep -c 'is about to be detached' "$tmp/server.log")
is_told() {
	[ "$(grep -c 'is about to be detached' "$tmp/server.log")" -gt "$before" ]
}
"$vj" detach eth0 >"$tmp/detached" &
detaching=$!
until_true is_told
"$vj" attach eth0 >/dev/null || fail "vj attach in the middle of vj detach"
wait $detaching || fail "vj detach, and somebody attaches: $(cat "$tmp/detached")"
grep -q 'did not answer in time, and whose connections have ended: 1$' "$tmp/detached" || fail "nothing is said of one whose time was cut: $(cat "$tmp/detached")"
start other.log "${on_server[@]}" "$build/vjd" --socket "$tmp/other.sock"
until_true env VJ_SOCKET="$tmp/other.sock" "$vj" status
said=$(VJ_SOCKET=$tmp/other.sock "$vj" attach eth0 2>&1) && fail "attached beside another"
[[ $said == *"another vjd serves"* ]] || fail "vj attach says: $said"
kill -KILL "$stopped"
off_trial 7301
