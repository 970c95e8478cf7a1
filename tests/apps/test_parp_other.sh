#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The other side of port-aware ARP, written from docs/parp.md alone (parp_wire.py, parp_peer.py): owner and resolver, in all encodings, and with keys
# of the LAN. It answers a gateway, asks a vjd, and claims an address. Liars, old answers and wrong keys get nowhere.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gateway_lib.sh"
need python3

python3 "$VJ_SOURCE_DIR/tests/apps/parp_wire.py" "$VJ_SOURCE_DIR/docs/parp.md" || fail "the document's own frames"

peer() { # HOST COMMAND...
	timeout -k 5 100 $(on "$1") python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" eth0 "${@:2}"
}
begin() { # HOST COMMAND...: in the background, until over
	start "peer-$1.log" $(on "$1") python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" eth0 "${@:2}"
	peer_pid=${pids[-1]}
	until_true grep -q hears "$tmp/peer-$1.log"
}
over() {
	kill "$peer_pid" 2>/dev/null || true
	wait "$peer_pid" 2>/dev/null || true
}
restart() { # OPTION...: the gateway's vjd
	[ -z "${vjd_router:-}" ] || kill "$vjd_router"
	[ -z "${vjd_router:-}" ] || wait "$vjd_router" || true
	start_vjd router --gateway lan --gateway-rate 100 "$@"
}
resolve() { # ADDRESS PORT
	case $1 in
	*:*) vj_at router resolve --udp "[$1]:$2" ;;
	*) vj_at router resolve --udp "$1:$2" ;;
	esac
}
is() { # WHAT ADDRESS PORT: a MAC, or a part of the answer; asked again where the other side came too late to be heard
	local said
	for _ in $(seq 30); do
		said=$(resolve "$2" "$3" 2>&1) || true # it may be that the host isn't found yet
		has "$1" <<<"$said" && return
		sleep 1
	done
	fail "$2 port $3, where '$1' was expected: $said"
}
learned() { # ADDRESS PORT MAC
	vj_at router arp --json | python3 -c '
import json, sys
sys.exit(not [e for e in json.load(sys.stdin)["learned"] if e["state"] == "learned" and e["addr"] == sys.argv[1]
              and e["port_first"] <= int(sys.argv[2]) <= e["port_last"] and e["mac"] == sys.argv[3]])' "$@"
}
parp() { # counter of the gateway
	counter router gateway_parp "$1"
}
own=02:00:00:00:20:01 other=02:00:00:00:20:02

# ---- an owner: REPLY, tried and used; ANNOUNCE of another address; RELEASE; NEG. In E1, E2 and ND

owner_in() { # OPTION ADDRESS
	begin legacy answer 600 "$2" $own,$other 60000
	is $own "$2" 7000
	peer legacy announce "$2" $other udp 7000 7000 $((2 << 16)) $1
	until_true learned "$2" 7000 $other
	over
	begin legacy answer 600 "$2" $other 60000
	is $other "$2" 7001
	peer legacy release "$2" $other all 0 65535 $1
	gone() { ! learned "$2" 7001 $other; }
	until_true gone "$@"
	over
	begin legacy neg 60 "$2" 20000
	is "no one application there has the port" "$2" 7002
	over
}
restart
owner_in '' 10.2.0.20
owner_in '' fd02::20
restart --parp e2
owner_in --e2 10.2.0.20
restart

# ---- a host that the kernel finds only when it asks once more, later than anybody waits for an owner: its answer is not taken for silence, nor it for nobody

late_in() { # ADDRESS/LENGTH [nodad]: of legacy's, from a second after the question on
	local addr=${1%/*}
	ip -n "$(ns legacy)" addr del "$1" dev eth0 2>/dev/null || true
	ip -n "$(ns router)" neigh del "$addr" dev lan 2>/dev/null || true
	resolve "$addr" 7000 >"$tmp/late" 2>&1 &
	sleep 1.2
	ip -n "$(ns legacy)" addr add "$1" dev eth0 "${@:2}"
	wait $! && has $own <"$tmp/late"
}
for late in '10.2.0.21/24' 'fd02::21/64 nodad'; do
	begin legacy answer 600 "${late%/*}" $own,$other 60000
	# shellcheck disable=SC2086
	until_true late_in $late
	over
done

# ---- keys of the LAN: what none of them authenticates is refused and counted, and what is known stays

secret() {
	head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'
}
old=7:$(secret) new=8:$(secret)
umask 077
echo "${old/:/ }" >"$tmp/old"
echo "${new/:/ }" >"$tmp/new"
cat "$tmp/new" "$tmp/old" >"$tmp/both"

hear_again() { # who was silent speaks
	before=$(parp ok)
	peer legacy announce 10.2.0.20 $own udp 1 1 $((2 << 16)) "--key=$1"
	until_true counted ok "$before"
}
counted() { # counted WHAT CNT: more than so many
	[ "$(parp "$1")" -gt "$2" ]
}
refused() { # COUNTER PORT OPTION...: an owner with these options is not believed; that is what it is counted as
	local before
	before=$(parp "$1")
	begin legacy answer 600 10.2.0.20 $own 60000 "${@:3}"
	is "does not answer for ports" 10.2.0.20 "$2"
	until_true counted "$1" "$before"
	over
}
believed() { # PORT OPTION...
	begin legacy answer 600 10.2.0.20 $own 60000 "${@:2}"
	is $own 10.2.0.20 "$1"
	over
}
restart --parp-keys "$tmp/old"
refused no_auth 7010
hear_again "$old"
refused no_auth 7011 "--say-key=9:${old#*:}" "--key=$old" # the key is right, and its number isn't
hear_again "$old"
refused bad_auth 7012 "--say-key=7:${new#*:}" "--key=$old"
hear_again "$old"
believed 7013 "--key=$old" "--record=$tmp/said"

# what would have it back on the host's address, or elsewhere, by who has no key
before=$(parp no_auth)
peer legacy release 10.2.0.20 $own all 0 65535
peer legacy announce 10.2.0.20 $other udp 7013 7013 $((3 << 16))
until_true counted no_auth $((before + 1))
learned 10.2.0.20 7013 $own || fail "downgraded by who has no key: $(vj_at router arp)"

# an old answer, with the right key: not to this question. The owner itself is silent
restart --parp-keys "$tmp/old"
ip -n "$(ns router)" neigh replace 10.2.0.20 lladdr "$(mac_of legacy eth0)" dev lan
begin legacy replay 60 "$tmp/said" "--key=$old"
is "does not answer for ports" 10.2.0.20 7013
heard_old() {
	[ "$(counter router gateway_resolver bad_nonce)$(counter router gateway_resolver of_others)" != 00 ]
}
until_true heard_old
over

# who has the key, and not the address
begin two answer 600 10.2.0.20 $own 60000 "--key=$old"
restart --parp-keys "$tmp/old"
is "does not answer for ports" 10.2.0.20 7014
liar_counted() {
	[ "$(counter router gateway_resolver bad_source)" -gt 0 ]
}
until_true liar_counted
over

# keys are changed one host at a time: each takes both, and says things under the new one when all do
restart --parp-keys "$tmp/both"
believed 7015 "--key=$old" "--key=$new"
believed 7016 "--key=$new" "--key=$old"
peer legacy release 10.2.0.20 $own udp 7015 7015 "--key=$old"
gone() { ! learned 10.2.0.20 7015 $own; }
until_true gone
restart --parp-keys "$tmp/new"
refused no_auth 7017 "--say-key=$old" "--key=$new"
hear_again "$new"
believed 7018 "--key=$new"

# IPv6, whose messages are signed as options
begin legacy answer 600 fd02::20 $own 60000 "--say-key=$old" "--key=$new"
is "does not answer for ports" fd02::20 7019
over
peer legacy announce fd02::20 $own udp 1 1 $((2 << 16)) "--key=$new"
begin legacy answer 600 fd02::20 $own 60000 "--key=$new"
is $own fd02::20 7020
over

# ---- a resolver: asks a vjd for an application's port, in all encodings, with the key and without

start_vjd one --attach eth0 --parp-keys "$tmp/both"
# shellcheck disable=SC2046
start echo.log env VJ_SOCKET="$(socket_of one)" $(on one) "$vj" run -- python3 "$talk" echo 7000
answers() { # OPTION...
	[[ "$(peer legacy query "$@")" == reply*proved ]]
}
until_true answers 10.2.0.11 udp 7000 "--key=$new" "--key=$old"
has_mac() { # of who asks with the key
	mac=$(peer legacy query 10.2.0.11 udp 7000 "--key=$new" | sed -n 's/^reply \([^ ]*\) .*/\1/p')
	[ -n "$mac" ]
}
until_true has_mac
says() { # says PATTERN QUERY...: who asks waits for 2 s, which is not always enough
	# shellcheck disable=SC2053 # a pattern
	[[ "$(peer legacy query "${@:2}")" == $1 ]]
}
for how in '10.2.0.11 --e2' 'fd02::11 --nd' '10.2.0.11 '; do
	# shellcheck disable=SC2086
	until_true says "reply $mac *proved" ${how% *} udp 7000 ${how#* } "--key=$new"
	# shellcheck disable=SC2086
	[ "$(peer legacy query ${how% *} udp 7000 ${how#* })" = silence ] || fail "$how: answered who has no key"
done
until_true says neg 10.2.0.11 udp 7001 "--key=$new" # a port of nobody's
until_true says "reply $mac *" 10.2.0.11 udp 7000 "--say-key=$old" "--key=$new" # the old key is still good
[ "$(counter one parp no_auth)" -gt 0 ] || fail "questions without a key are not counted"

# ---- claims: what is somebody's is not mine; what is nobody's is

[ "$(peer legacy own 2 "$mac" "--key=$new")" = "not mine" ] || fail "claimed what vjd has"
[ "$(peer legacy own 2 "$mac")" = claimed ] || fail "was answered without a key"
sleep 1
until_true says "reply $mac *proved" 10.2.0.11 udp 7000 "--key=$new" # its address is not given to who has no key
begin legacy own 60 c2:00:00:00:00:01 "--key=$new"
until_true grep -q claimed "$tmp/peer-legacy.log"
over
echo fine
