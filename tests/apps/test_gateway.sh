#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A gateway: what a router sends goes to applications' own MAC addresses as far as they are known, and to canonical ones else. Looked at where
# its frames come in at the bridge. Hosts with vjchan, one without, and one that lies (parp_peer.py).

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gateway_lib.sh"
need redis-server tc

peer() { # HOST COMMAND...
	at "$1" python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" eth0 "${@:2}"
}
ask() {
	at client timeout 90 python3 "$talk" ask "$@" || fail "no answer: $*"
}
say() {
	at client python3 "$talk" say "$@"
}
# start_at HOST LOG COMMAND...
start_at() {
	# shellcheck disable=SC2046
	start "$2" $(on "$1") "${@:3}"
}
echo_at() { # HOST PORT: under vj run, and on a channel
	VJ_SOCKET=$(socket_of "$1") start_at "$1" "echo-$1-$2.log" "$vj" run -- python3 "$talk" echo "$2"
	until_true has_port "$1" "$2"
}
has_port() {
	vj_at "$1" status | has "^[a-z]* .*:$2 "
}
app_mac() { # HOST PORT: that of the application that has it
	vj_at "$1" arp --json >"$tmp/arp.json"
	vj_at "$1" status --json | python3 -c '
import json, sys
app = [l["app_id"] for l in json.load(sys.stdin)["leases"] if l["port"] == int(sys.argv[1])][0]
print([m["mac"] for m in json.load(open(sys.argv[2]))["claimed"] if m.get("app_id") == app and m["state"] == "claimed"][0])' "$2" "$tmp/arp.json"
}
start seen $(on bridge) python3 "$talk" watch router
until_true grep -q ready "$tmp/seen"
# Who watches may be late: what was sent is in the file when a mark is that has gone the same way behind it, to a neighbour that is known for ever
ip -n "$(ns router)" neigh replace 10.2.0.250 lladdr 02:00:00:00:00:fa dev lan nud permanent
caught_up() {
	mark_seen client 10.2.0.250 'mark 10.2.0.250 NR$'
}
from=0
look() { # from here on
	until_true caught_up
	from=$(wc -l <"$tmp/seen")
}
seen() { # ENDPOINT [MAC]: frames to it since look()
	until_true caught_up
	tail -n +$((from + 1)) "$tmp/seen" | grep -c "^${2:-[^ ]*} $1\$" || true
}
learned() { # PORT STATE [PROTO [ADDR]]
	vj_at router arp --json | python3 -c '
import json, sys
port, state, proto, addr = int(sys.argv[1]), *(sys.argv[2:] + ["udp", ""])[:3]
ok = [e for e in json.load(sys.stdin)["learned"] if e["state"] == state and addr in ("", e["addr"])
      and (e["port_first"] <= port <= e["port_last"] and e["proto"] == proto if "proto" in e else port == 0)]
sys.exit(not ok)' "$@"
}
# Learned, or said to have none: what comes next shows it. What is known is forgotten after a minute in which it was not used.
meet() { # HOST PORT ...: as learned
	ask "$1" "$2"
	until_true learned "$2" learned udp "$1"
}

start_vjd one --attach eth0
start_vjd two --attach eth0
start_vjd router --gateway lan
for port in 7000 7001; do echo_at one $port; done
echo_at two 7000
start_at legacy legacy.log python3 "$talk" echo 7000
VJ_SOCKET=$(socket_of one) start_at one redis.log "$vj" run -- redis-server --port 7002 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp/one"
one=$(mac_of one eth0) legacy=$(mac_of legacy eth0)
until_true app_mac one 7000
until_true app_mac one 7001
until_true app_mac two 7000
a=$(app_mac one 7000) b=$(app_mac one 7001) c=$(app_mac two 7000)
[ "$a" != "$b" ] || fail "two applications have one address"

# ---- the first packet goes where the kernel sends it, at once; the ones after the answer to the application

for addr in 10.2.0.11 fd02::11; do
	look
	ask $addr 7000
	[ "$(seen "udp $addr 7000" "$one")" = 1 ] || fail "$addr: the first packet didn't go to the host's address"
	until_true learned 7000 learned udp $addr
	ask $addr 7000 5
	[ "$(seen "udp $addr 7000" "$a") $(seen "udp $addr 7000")" = "5 6" ] || fail "$addr: not to $a: $(tail -6 "$tmp/seen")"
done
listens() {
	at one ss -Hltn "sport = :7002" | has 7002
}
until_true listens
for n in 1 2 3; do at client timeout 90 python3 "$talk" tcp 10.2.0.11 7002 || fail "tcp, $n"; done
until_true has_port one 7002
until_true app_mac one 7002
redis=$(app_mac one 7002)
redis_by_mac() {
	look
	at client timeout 90 python3 "$talk" tcp 10.2.0.11 7002 && [ "$(seen 'tcp 10.2.0.11 7002' "$redis")" -gt 3 ]
}
until_true redis_by_mac
resolves_to_a() {
	vj_at router resolve --udp 10.2.0.11:7000 | has "$a"
}
until_true resolves_to_a

# ---- to a host without vjchan: never anything but its own; asked once, not for each packet or port

look
ask 10.2.0.20 7000 20 0.05
until_true learned 0 silent all 10.2.0.20
ask 10.2.0.20 7000 20
[ "$(seen 'udp 10.2.0.20 7000' "$legacy") $(seen 'udp 10.2.0.20 7000')" = "40 40" ] || fail "legacy: not to $legacy"
[ "$(counter router gateway_resolver silent)" -le 4 ] || fail "legacy: asked $(counter router gateway_resolver silent) times"

# ---- what has no ports, or not all of them, or those of another network

look
ask 10.2.0.11 7000 --long
[ "$(seen 'udp 10.2.0.11 frag' "$one") $(seen 'udp 10.2.0.11 frag')" = "3 3" ] || fail "fragments: $(tail -3 "$tmp/seen")"
ask fd02::11 7000 --long
[ "$(seen 'udp fd02::11 frag' "$one") $(seen 'udp fd02::11 frag')" = "3 3" ] || fail "fragments of IPv6: $(tail -3 "$tmp/seen")"
meet fd02::11 7000
look
ask fd02::11 7000 --options
[ "$(seen 'udp fd02::11 7000' "$a") $(seen 'udp fd02::11 7000')" = "1 1" ] || fail "behind an extension header: $(tail -2 "$tmp/seen")"

# ---- layer 2 alone decides: two applications at one address, and dispatch's tables of ports, blocks and flows are emptied

pins=$(echo /sys/fs/bpf/vjchan/if*-net"$(stat -Lc %i "/run/netns/$(ns one)")")
empty() { # MAP
	bpftool -j map dump pinned "$pins/$1" | python3 -c '
import json, sys
for e in json.load(sys.stdin):
    print("map delete pinned", sys.argv[1], "key hex", *[k[2:] for k in e["key"]])' "$pins/$1" >"$tmp/batch"
	[ ! -s "$tmp/batch" ] || bpftool batch file "$tmp/batch" >/dev/null
	[ "$(bpftool -j map dump pinned "$pins/$1")" = "[]" ] || fail "$1 is not empty"
}
delivered() { # PORT: frames that the application which has it got from deliver
	vj_at one status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
app = [l["app_id"] for l in s["leases"] if l["port"] == int(sys.argv[1])][0]
print(sum(c["value"] for c in s["counters"] if c["where"] == "deliver" and c["app_id"] == app and c["name"] == "delivered"))' "$1"
}
meet 10.2.0.11 7000
meet 10.2.0.11 7001
before=$(counter one dispatch to_mac) by_port=$(($(counter one dispatch to_port) + $(counter one dispatch to_flow)))
got_a=$(delivered 7000) got_b=$(delivered 7001)
for map in ports flows; do empty $map; done # what they answer gate drops: it asks `ports`, too
look
for _ in $(seq 10); do say 10.2.0.11 7000 7001; done
[ "$(seen 'udp 10.2.0.11 7000' "$a") $(seen 'udp 10.2.0.11 7001' "$b")" = "10 10" ] || fail "not to $a and $b: $(tail -4 "$tmp/seen")"
[ "$(seen 'udp 10.2.0.11 7000') $(seen 'udp 10.2.0.11 7001')" = "10 10" ] || fail "frames of the one with the other's address"
all_delivered() {
	[ "$(($(delivered 7000) - got_a)) $(($(delivered 7001) - got_b))" = "10 10" ]
}
until_true all_delivered
[ "$(($(counter one dispatch to_mac) - before))" -ge 20 ] || fail "dispatch did not go by the address"
[ "$(($(counter one dispatch to_port) + $(counter one dispatch to_flow)))" = "$by_port" ] || fail "dispatch looked at ports"
# the tables are vjd's to write: started anew, it does
kill -9 "$vjd_one"
wait "$vjd_one" 2>/dev/null || true
start_vjd one --attach eth0
for port in 7000 7001; do
	until_true has_port one $port
	ask 10.2.0.11 $port 3
done

# ---- who is told "no longer" sends to the host from then on

meet 10.2.0.12 7000
look
ask 10.2.0.12 7000
[ "$(seen 'udp 10.2.0.12 7000' "$c")" = 1 ] || fail "two: not to $c"
pid=$(vj_at two status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["applications"][0]["pid"])')
kill -9 "$pid"
gone() {
	! learned 7000 learned udp 10.2.0.12
}
died=$(date +%s%N)
until_true gone
took=$((($(date +%s%N) - died) / 1000000))
echo_at two 7000
look
ask 10.2.0.12 7000
[ "$(seen 'udp 10.2.0.12 7000' "$c")" = 0 ] || fail "to the address of a dead application"

# ---- who is told nothing sends to the host when what he knows is over; he may be dead himself. Here it is good for 15 s

answer_at() { # HOST DEVICE IP MAC LIFE_MS: until owner_gone
	start_at "$1" "answer-$1.log" python3 "$VJ_SOURCE_DIR/tests/apps/parp_peer.py" "$2" answer 600 "${@:3}"
	owner=${pids[-1]}
	until_true grep -q hears "$tmp/answer-$1.log"
}
owner_gone() {
	kill "$owner" 2>/dev/null || true
	wait "$owner" 2>/dev/null || true
}
own=02:00:00:00:20:01
vj_at router detach --gateway lan >/dev/null
[ -z "$(at router tc filter show dev lan egress)$(at router tc qdisc show dev lan clsact)" ] || fail "detached, and its filter is still there"
gateway_pins=/sys/fs/bpf/vjchan/gw$(ip -n "$(ns router)" -o link show lan | cut -d: -f1)-net$(stat -Lc %i "/run/netns/$(ns router)")
[ ! -e "$gateway_pins" ] || fail "detached, and pins are left: $(ls "$gateway_pins")"
vj_at router attach --gateway lan >/dev/null || fail "vj attach --gateway"

# ---- where it hangs: behind all others. A link of tcx where the kernel has them, and comes before no filter of somebody else's; else a filter

is_link() {
	[ -e "$gateway_pins/gateway_link" ] && ! at router tc filter show dev lan egress | has vj_gateway
}
is_filter() {
	at router tc filter show dev lan egress | has vj_gateway && [ ! -e "$gateway_pins/gateway_link" ]
}
place=is_filter
kernel=$(uname -r)
[ "$(printf '%s\n' 6.6 "$kernel" | sort -V | head -1)" = "$kernel" ] || place=is_link
works() { # WHEN: a hit is a hit
	meet 10.2.0.11 7001
	look
	ask 10.2.0.11 7001
	[ "$(seen 'udp 10.2.0.11 7001' "$b")" = 1 ] || fail "$1: not to the application: $(tail -1 "$tmp/seen")"
}
$place || fail "not $place: $(ls "$gateway_pins") $(at router tc filter show dev lan egress)"
works "attached"
at router tc qdisc show dev lan | has clsact && [ $place = is_link ] && fail "a link, and yet a qdisc"
foreign=/sys/fs/bpf/vjgw-foreign-$$
trap 'rm -rf "$foreign"; all_down; cleanup' EXIT
bpftool prog loadall "$VJ_BUILD_DIR/tests/apps/foreign.bpf.o" "$foreign"
at router tc qdisc add dev lan clsact 2>/dev/null || true
at router tc filter add dev lan egress prio 10 handle 1 protocol all bpf da object-pinned "$foreign/foreign_tc"
until_true is_filter
works "behind somebody's filter"
kill -9 "$vjd_router"
wait "$vjd_router" 2>/dev/null || true
at router tc filter del dev lan egress prio 10
start_vjd router --gateway lan
until_true $place
works "after the other's filter went, without vjd"
kill -9 "$vjd_router"
wait "$vjd_router" 2>/dev/null || true
$place || fail "vjd was killed, and its program is gone"
start_vjd router --gateway lan
$place || fail "the next vjd did not take its place"
works "with another vjd"
at router tc filter add dev lan egress prio 10 handle 1 protocol all bpf da object-pinned "$foreign/foreign_tc"
until_true is_filter
at router tc qdisc del dev lan clsact # with all that hangs on it
until_true $place
works "after clsact was deleted"
answer_at legacy eth0 10.2.0.20 $own 15000
goes_to() { # MAC
	look
	say 10.2.0.20 7010 7010
	[ "$(seen 'udp 10.2.0.20 7010' "$1")" = 1 ]
}
until_true goes_to $own # the owner of the test is believed
# while it is used it is asked for again
refreshed() {
	say 10.2.0.20 7010 7010
	[ "$(counter router gateway_resolver refreshed)" -gt 0 ]
}
until_true refreshed
until_true goes_to $own

# the kernel resolves the host to another address: with the very next packet, whatever was learned
ip -n "$(ns router)" neigh replace 10.2.0.20 lladdr 02:11:22:33:44:55 dev lan nud permanent
goes_to 02:11:22:33:44:55 || fail "another canonical address, and the old application's: $(tail -1 "$tmp/seen")"
ip -n "$(ns router)" neigh replace 10.2.0.20 lladdr "$legacy" dev lan nud permanent
known_again() {
	say 10.2.0.20 7010 7010
	learned 7010 learned udp 10.2.0.20
}
until_true known_again
kill -9 "$vjd_router"
wait "$vjd_router" 2>/dev/null || true
owner_gone
goes_to $own || fail "vjd was killed, and the program has forgotten at once"
until_true goes_to "$legacy" # what it had learned is not used for ever

# ---- table full: what was unused the longest goes, what is new is used

start_vjd router --gateway lan --gateway-entries 256 --gateway-rate 1000
answer_at legacy eth0 10.2.0.20 $own 60000
cnt_learned() {
	vj_at router arp --json | python3 -c 'import json,sys; print(sum(e["state"] == "learned" for e in json.load(sys.stdin)["learned"]))'
}
for first in 10000 10080 10160 10240 10320; do
	say 10.2.0.20 $first $((first + 79)) 0.005
	until_true learned $((first + 79)) learned udp 10.2.0.20
done
fills() {
	cnt=$(cnt_learned)
	((cnt <= 200)) || return 0
	say 10.2.0.20 10144 10399 0.005
	return 1
}
until_true fills
[ "$cnt" -le 256 ] || fail "$cnt learned, of 256 places"
! learned 10000 learned udp 10.2.0.20 || fail "the first was not evicted"
[ "$(counter router gateway_resolver evicted)" -gt 100 ] || fail "nothing was evicted"
look
say 10.2.0.20 10399 10399
say 10.2.0.20 10000 10000
[ "$(seen 'udp 10.2.0.20 10399' $own) $(seen 'udp 10.2.0.20 10000' "$legacy")" = "1 1" ] || fail "table full: the newest is not used, or the oldest is"
owner_gone

# ---- a VLAN is a network of its own: its device is a gateway, and at the device below its frames are left alone

vlan_of_its_own() {
	local host dev
	for host in router legacy; do
		dev=$([ $host = router ] && echo lan || echo eth0)
		ip -n "$(ns $host)" link add link $dev name $dev.5 type vlan id 5 2>/dev/null || return 0 # a kernel without: tests/policy has frames with tags
		ip -n "$(ns $host)" link set $dev.5 up
	done
	ip -n "$(ns router)" addr add 10.5.0.1/24 dev lan.5
	ip -n "$(ns legacy)" addr add 10.5.0.20/24 dev eth0.5
	vj_at router attach --gateway lan.5 >/dev/null
	answer_at legacy eth0.5 10.5.0.20 02:00:00:00:05:01 60000
	look
	say 10.5.0.20 7020 7020
	until_true learned 7020 learned udp 10.5.0.20
	say 10.5.0.20 7020 7020
	[ "$(seen 'udp 10.5.0.20 7020' "vlan5 $legacy") $(seen 'udp 10.5.0.20 7020' 'vlan5 02:00:00:00:05:01')" = "1 1" ] || fail "VLAN: $(tail -2 "$tmp/seen")"
	[ "$(counter router gateway hop_vlan)" -ge 2 ] || fail "tagged frames were not left alone at the device below"
	owner_gone
	vj_at router detach --gateway lan.5 >/dev/null
}
vlan_of_its_own

# ---- a liar: says that a port of host one is at his own address, with the right nonce, before host one does

knows_better() { # PORT
	say 10.2.0.11 "$1" "$1"
	learned "$1" learned udp 10.2.0.11
}
lied() {
	[ "$(counter router gateway_resolver bad_source)" -gt 0 ]
}
answer_at legacy eth0 10.2.0.11 02:66:66:66:66:66 60000
look
kill -STOP "$vjd_one"
say 10.2.0.11 7000 7001
until_true lied
kill -CONT "$vjd_one"
for port in 7000 7001; do
	until_true knows_better $port
	ask 10.2.0.11 $port 5
done
until_true caught_up
[ "$(grep -c 02:66:66:66:66:66 "$tmp/seen")" = 0 ] || fail "the liar got frames"
vj_at router arp | has 02:66:66:66:66:66 && fail "the liar was believed"
owner_gone

# ---- floods: of packets to ports of nobody's, and of garbage; neither memory nor time of vjd past a bound, and who is known stays so

cpu_of() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}
memory_of() {
	awk '/VmRSS/ { print $2 }' "/proc/$1/status"
}
cpu=$(cpu_of "$vjd_router") memory=$(memory_of "$vjd_router") began=$(date +%s%N)
peer legacy flood 3 20000 >"$tmp/flood" &
flood=$!
sprayed=$(at client python3 "$talk" spray 10.2.0.11 3 20000)
wait $flood
cpu=$(($(cpu_of "$vjd_router") - cpu)) memory=$(($(memory_of "$vjd_router") - memory)) lasted=$((($(date +%s%N) - began) / 1000000))
[ "$((cpu * 10))" -lt "$((lasted * 3 / 10))" ] || fail "the floods cost vjd ${cpu}0 ms of $lasted"
[ "$memory" -lt 2048 ] || fail "the floods cost vjd $memory KiB"
[ "$(counter router gateway hop_busy)" -gt 0 ] || fail "each packet was reported"

# ---- a host with channels at an interface may be a gateway there, too: each asks for itself, and the other's answers are no false ones

vj_at one attach --gateway eth0 >/dev/null || fail "no gateway beside channels"
asked_both() { # from the kernel, and on a channel
	at one timeout 90 python3 "$talk" ask 10.2.0.12 7000 &&
		VJ_SOCKET=$(socket_of one) at one timeout 90 "$vj" run -- python3 "$talk" ask 10.2.0.12 7000 &&
		[ "$(counter one resolver replies)" -gt 0 ] && [ "$(counter one gateway_resolver replies)" -gt 0 ] &&
		[ "$(counter one resolver of_others)" -gt 0 ] && [ "$(counter one gateway_resolver of_others)" -gt 0 ]
}
until_true asked_both
vj_at one arp | has 'eth0, gateway *10.2.0.12:7000/udp' || fail "what the gateway has asked for: $(vj_at one arp)"
vj_at one arp | has 'eth0 *10.2.0.12:7000/udp' || fail "what applications have asked for: $(vj_at one arp)"
[ "$(vj_at one arp --json | python3 -c '
import json, sys
print(*sorted(e["asked_by"] for e in json.load(sys.stdin)["learned"] if e.get("port_first") == 7000 and e["addr"] == "10.2.0.12"))')" = "applications gateway" ] ||
	fail "asked by whom: $(vj_at one arp --json)"
for where in resolver gateway_resolver; do
	[ "$(counter one $where bad_nonce)" = 0 ] || fail "$where: an answer to the other is a false one: $(vj_at one status)"
done
for how in '' --gateway; do
	# shellcheck disable=SC2086
	! vj_at one attach $how lo 2>"$tmp/lo" || fail "lo is attached"
	grep -q 'no Ethernet' "$tmp/lo" || fail "attach $how lo says: $(cat "$tmp/lo")"
done
vj_at one detach --gateway eth0 >/dev/null

# ---- two hosts with one address: one gives way, and nothing else breaks, connections to both among it

mac_by_hand() { # the channel of two's application gets, behind its vjd's back, the address that one has
	bpftool -j map dump pinned "$1/macs" | python3 -c '
import json, sys
for e in json.load(sys.stdin):
    if bytes(int(k, 16) for k in e["key"])[:6].hex(":") == sys.argv[2]:
        print("map delete pinned", sys.argv[1] + "/macs", "key hex", *[k[2:] for k in e["key"]])
        print("map update pinned", sys.argv[1] + "/macs", "key hex", sys.argv[3].replace(":", " "), "00 00 value hex", *[v[2:] for v in e["value"]])
' "$1" "$2" "$3" >"$tmp/batch"
	[ "$(wc -l <"$tmp/batch")" = 2 ] || fail "no address to replace"
	bpftool batch file "$tmp/batch" >/dev/null
}
serve_at() { # HOST ADDRESS: and a connection to it over a channel
	VJ_SOCKET=$(socket_of "$1") start_at "$1" "serve-$1.log" "$vj" run -- python3 "$talk" serve 7100
	until_true has_port "$1" 7100
	VJ_SOCKET=$(socket_of "$1") at client python3 "$talk" channel "$vj" "$2" 7100
	until_true app_mac "$1" 7100
	start_at client "hold-$1.log" python3 "$talk" hold "$2" 7100
	until_true goes_on "$1" 20
}
goes_on() { # HOST CNT: so many lines came back over its connection
	[ "$(tail -n1 "$tmp/hold-$1.log")" -ge "$2" ] 2>/dev/null
}
for host in one two; do
	serve_at $host 10.2.0.1$([ $host = one ] && echo 1 || echo 2)
	vj_at $host connections | has '10.1.0.2' || fail "the connection to $host is the kernel's: $(vj_at $host connections)"
done
a=$(app_mac one 7100)
pins2=$(echo /sys/fs/bpf/vjchan/if*-net"$(stat -Lc %i "/run/netns/$(ns two)")")
mine=$(app_mac two 7100)
kill -9 "$vjd_two"
wait "$vjd_two" 2>/dev/null || true
mac_by_hand "$pins2" "$mine" "$a"
start_vjd two --attach eth0
peer two release 10.2.0.12 "$mine" all 0 65535 # which it does not know of any more
one_gave_way() {
	local left right
	left=$(app_mac one 7100) right=$(app_mac two 7100) && [ -n "$left" ] && [ -n "$right" ] && [ "$left" != "$right" ]
}
lost() {
	echo $(($(counter one claims conflicts_lost) + $(counter two claims conflicts_lost)))
}
has_lost() {
	[ "$(lost)" = 1 ]
}
for _ in $(seq 100); do # the next claim of all addresses comes within 32 s
	has_lost && break
	sleep 1
done
[ "$(lost)" = 1 ] || fail "$(lost) gave way: $(vj_at one arp) $(vj_at two arp)"
until_true one_gave_way
is_answered() { # the router need not have heard yet
	at client timeout 10 python3 "$talk" ask "$@"
}
for port in 7000 7001; do until_true is_answered 10.2.0.11 $port 3; done
until_true is_answered 10.2.0.12 7000 3
for host in one two; do
	lines=$(tail -n1 "$tmp/hold-$host.log")
	for _ in $(seq 100); do # whose frames went to the other meanwhile sends them again, later and later
		goes_on $host $((lines + 20)) && break
		sleep 1
	done
	goes_on $host $((lines + 20)) || fail "the connection to $host broke when two had one address: $(tail -n2 "$tmp/hold-$host.log")"
done

echo "fine: after its death an application's flows fell back in $took ms; floods of $sprayed packets and $(cat "$tmp/flood") frames cost vjd ${cpu}0 ms and $memory KiB"
