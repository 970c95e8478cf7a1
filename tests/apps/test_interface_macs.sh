#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Applications with MAC addresses of their own: claimed, answered for, used, defended, given up, exchanged, kept over a restart of vjd,
# in quarantine after the end; a kernel that hears all of it and learns nothing. The other side is parp_peer.py, which was written from
# docs/parp.md. A sender that has resolved the address is played by the client's kernel, told by hand.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 redis-server redis-cli bridge

peer() {
	at_client python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" eth0 "$@"
}
# hark LOG: in the background, until `hush`; what is said from now on is in the file LOG
hark() {
	"${on_client[@]}" python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" eth0 watch 600 >"$tmp/$1" 2>"$tmp/hears.log" </dev/null &
	watcher=$!
	pids+=("$watcher")
	until_true grep -q hears "$tmp/hears.log"
}
hush() {
	kill $watcher
	wait $watcher 2>/dev/null || true
}
# The MAC of TCP port $1, or nothing
mac_at() {
	peer query 10.77.0.2 tcp "$1" >"$tmp/query.log" # for who fails
	awk '$1 == "reply" { print $2 }' "$tmp/query.log"
}
counter() { # WHERE WHAT
	"$vj" status | awk -v where="$1" -v what="$2" '$3 == where && $4 == what { n = $5 } END { print n + 0 }'
}
send_to() { # MAC: the client's kernel sends to the server there
	ip -n "$client" neigh replace 10.77.0.2 lladdr "$1" dev eth0 nud permanent
}
ping_redis() { # PORT
	[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p "$1" ping)" = PONG ]
}
canonical=$(ip -n "$server" -j link show eth0 | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["address"])')

start_vjd --attach eth0
start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
until_true leased 7000
off_trial 7000
for _ in 1 2 3; do at_client timeout 60 redis-cli -h fd77::2 -p 7000 ping >/dev/null; done # the other listener's

# ---- asked and answered, in all encodings

has_mac() {
	mac=$(mac_at "$1")
	[ -n "$mac" ]
}
until_true has_mac 7000
case $mac in ?2:*) ;; *) fail "not of the administratively assigned: $mac" ;; esac
[ "$mac" != "$canonical" ] || fail "its own is the canonical one"
# says WORDS QUERY...: begins the answer so? Who asks waits for 2 s, which is not always enough
says() {
	[[ "$(peer query "${@:2}") " == "$1 "* ]]
}
until_true says "reply $mac" 10.77.0.2 tcp 7000 --e2
until_true says "reply $mac" fd77::2 tcp 7000 --nd
until_true says neg 10.77.0.2 tcp 7999 # a port of nobody's
until_true says neg 10.77.0.2 udp 7000 # a port of the other protocol
[ "$(peer query 10.77.0.77 tcp 7000)" = silence ] || fail "answered for another host"
bridge -n "$server" fdb show dev eth0 | has "^$mac self" || fail "the interface was not told of $mac"

# ---- used: layer 2 alone decides

before=$(counter dispatch to_mac)
send_to "$mac"
ping_redis 7000 || fail "no answer at $mac"
[ "$(counter dispatch to_mac)" -gt "${before:-0}" ] || fail "dispatch did not go by the address"

# ---- a connection begun there outlives it: the address is lost to another host, and packets go to the canonical one again

talks_long 10.77.0.2 "$tmp/go" "$tmp/long.log"
hark exchange
peer claim "$mac" $((0x7fff0000))
until_true grep -q "has lost, to another host, $mac" "$tmp/vjd.log"
send_to "$canonical"
another() {
	has_mac 7000 && [ "$mac" != "$lost" ]
}
lost=$mac
until_true another
announced() {
	grep -q "^announce $canonical $mac 7000 7000 " "$tmp/exchange"
}
until_true announced # who was told "canonical" meanwhile need not wait for the end of that
hush
talked_long "$tmp/go" || fail "a connection did not outlive its address: $(cat "$tmp/long.log")"
bridge -n "$server" fdb show dev eth0 | has "^$lost" && fail "the interface still takes what is another host's"

# ---- defended

is_defended() {
	[ "$(peer probe "$1")" = "defend $1" ]
}
until_true is_defended "$mac"
[ "$(peer probe 02:00:00:00:00:77)" = silence ] || fail "somebody else's was defended"
before=$(counter claims conflicts_won)
peer claim "$mac" 0 # of a lower generation
has_won() {
	[ "$(counter claims conflicts_won)" -gt "$before" ]
}
until_true has_won
until_true says "reply $mac" 10.77.0.2 tcp 7000
for what in claims:conflicts_won claims:conflicts_lost claims:defended owner:replies owner:negs owner:announced parp:ok; do
	[ "$(counter "${what%:*}" "${what#*:}")" -gt 0 ] || fail "vj status does not tell of $what"
done

# ---- kept over a restart of vjd

# An application that a slow machine keeps waiting at the new vjd for two seconds begins anew with it, and gives up its address by that: tried again
for try in 1 2 3 4 5 no; do
	[ $try != no ] || fail "another address after a restart of vjd"
	kill -9 $vjd
	wait $vjd 2>/dev/null || true
	send_to "$mac"
	ping_redis 7000 || fail "no answer while no vjd runs"
	start_vjd
	until_true leased 7000
	off_trial 7000
	lost=$mac
	until_true has_mac 7000
	[ "$mac" != "$lost" ] || break
	until_true says reply 10.77.0.2 tcp 7000
done
send_to "$canonical"

# ---- a port that moves: its old owner's address is exchanged, since whoever has learned it would go on to send there

ip -n "$client" neigh del 10.77.0.2 dev eth0
start two.log "${on_server[@]}" "$vj" run -- redis-server --port 7001 --bind 0.0.0.0 --protected-mode no --save '' --dir "$tmp"
until_true leased 7001
off_trial 7001
until_true has_mac 7001
until_true says reply 10.77.0.2 tcp 7000
[ "$mac" != "$(mac_at 7000)" ] || fail "two applications with one address"
two=$mac

# ---- dead: said to all at once; its address is still ours for a while, and dispatch looks at ports there

send_to "$two"
ping_redis 7001 || fail "no answer at $two"
hark heard
at_client timeout 60 redis-cli -h 10.77.0.2 -p 7001 shutdown nosave >/dev/null 2>&1 || true
no_lease() {
	! leased 7001
}
until_true no_lease
until_true grep -q "^release $canonical $two 0 65535" "$tmp/heard"
hush
until_true is_defended "$two" # in quarantine
until_true says neg 10.77.0.2 tcp 7001
ping_redis 7000 || fail "dispatch by port for an address in quarantine"
# who has heard of it sends to the canonical address, where the kernel answers
send_to "$canonical"
at_client python3 -c '
import socket
try:
    socket.create_connection(("10.77.0.2", 7001), timeout=60)
except ConnectionRefusedError:
    print("refused")
' | has refused || fail "the kernel does not answer for a dead application"

# ---- R1, with a real kernel: whatever is said, the client's neighbour entries stay what they are

ip -n "$client" neigh del 10.77.0.2 dev eth0
for addr in 10.77.0.1 fd77::1; do
	until_true at_server ping -c 1 -W 5 "$addr"
done
entry() {
	ip -n "$server" neigh show "$1" dev eth0 | awk '{ print $1, $2, $3 }'
}
four=$(entry 10.77.0.1) six=$(entry fd77::1)
case $four$six in *lladdr*lladdr*) ;; *) fail "no neighbour entries to spoil: $four, $six" ;; esac
sleep 1.2 # the kernel believes nobody sooner (neigh locktime)
peer poison 10.77.0.1 02:66:66:66:66:66
peer poison fd77::1 02:66:66:66:66:66
sleep 0.3
[ "$(entry 10.77.0.1)" = "$four" ] || fail "poisoned: $(entry 10.77.0.1), was $four"
[ "$(entry fd77::1)" = "$six" ] || fail "poisoned: $(entry fd77::1), was $six"
for addr in 10.77.0.1 fd77::1; do
	until_true at_server ping -c 1 -W 5 "$addr"
done
# nor does vjd's own traffic spoil anybody's: the client has the canonical address, though all of the above was said
until_true at_client ping -c 1 -W 5 10.77.0.2
ip -n "$client" neigh show 10.77.0.2 | has "lladdr $canonical" || fail "the client has $(ip -n "$client" neigh show 10.77.0.2)"

# ---- floods: neither memory nor time past a bound

cpu_of() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}
memory_of() {
	awk '/VmRSS/ { print $2 }' "/proc/$1/status"
}
cpu=$(cpu_of "$vjd") memory=$(memory_of "$vjd") began=$(date +%s%N)
sent=$(peer flood 3 20000)
cpu=$(($(cpu_of "$vjd") - cpu)) memory=$(($(memory_of "$vjd") - memory)) lasted=$((($(date +%s%N) - began) / 1000000))
[ "$((cpu * 10))" -lt "$((lasted / 5))" ] || fail "$sent frames cost vjd ${cpu}0 ms of $lasted"
[ "$memory" -lt 1024 ] || fail "$sent frames cost vjd $memory KiB"
[ "$(counter parp short)" -gt 0 ] || fail "vj status does not tell why the garbage was dropped"
ping_redis 7000 || fail "no answer after a flood"

echo "fine: $sent frames of a flood cost vjd ${cpu}0 ms and $memory KiB"
