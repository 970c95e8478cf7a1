#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# An IPv6 address for each application: found by a kernel that knows nothing of vjchan, as plain neighbour discovery has it, at the
# application's own MAC address once all that it serves is served by its channel; the whole of it the application's, every port; kept over a
# restart of vjd, the same again after one of the application; given up to who has it already, and defended against who comes later.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 redis-server redis-cli ping nft

ip -n "$server" link set lo up
canonical=$(ip -n "$server" -j link show eth0 | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["address"])')

# Address $1 is at MAC ..., as vj arp has it
told_at() {
	"$vj" arp --json | python3 -c '
import json, sys
print(*[a["mac"] for a in json.load(sys.stdin)["addresses"] if a["addr"] == sys.argv[1] and a["state"] == "address"])' "$1"
}
# Of the process $1
address_of() {
	"$vj" status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
apps = [a["id"] for a in status["applications"] if a["pid"] == int(sys.argv[1])]
print(*[i["addr"] for i in status["interfaces"] if i.get("app_id") in apps and "addr" in i])' "$1"
}
has_address() { # PID: into $addr
	addr=$(address_of "$1")
	[ -n "$addr" ]
}
is_whole() {
	[ -n "$(told_at "$addr")" ] && [ "$(told_at "$addr")" != "$canonical" ]
}
neighbour() { # as the client's kernel has it
	ip -n "$client" -j neigh show "$addr" dev eth0 | python3 -c 'import json,sys; print(*[n.get("lladdr", "-") for n in json.load(sys.stdin)])'
}
counter() { # WHERE WHAT
	"$vj" status | awk -v where="$1" -v what="$2" '$3 == where && $4 == what { n = $5 } END { print n + 0 }'
}
pong() { # HOST PORT
	[ "$(at_client timeout 60 redis-cli -h "$1" -p "$2" ping)" = PONG ]
}
redis() { # PORT: its process is ${pids[-1]}
	start "redis$1.log" "${on_server[@]}" "$vj" run -- redis-server --port "$1" --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
	until_true leased "$1"
	off_trial "$1"
}

# ---- what is no prefix is refused

start_vjd
for bad in 10.0.0.0/8 ::/0 ::/64 fd77::/63 fd77::/121 fd77::1/128 fe80::/64 ff02::/64 fd77::1/64 fd77:: x; do
	rc=0
	"$vj" attach eth0 --app-prefix "$bad" >/dev/null 2>"$tmp/why" || rc=$?
	[ $rc = 2 ] || fail "$bad was taken for a prefix: $rc"
	has -F "'$bad'" <"$tmp/why" || fail "$bad: not told why: $(cat "$tmp/why")"
done
for bad in ::/0 ::/64 fd77::/63 ff02::/64; do
	at_server timeout 60 "$build/vjd" --socket "$tmp/other.sock" --attach "eth0=$bad" >/dev/null 2>"$tmp/why" &&
		fail "vjd took $bad for a prefix"
	has 'cannot attach eth0=' <"$tmp/why" || fail "vjd doesn't tell why $bad is no prefix: $(cat "$tmp/why")"
done
for bad in --attach==fd77::/64 --attach=,eth0 --attach=eth0,,eth0 --gateway=,eth0; do
	at_server timeout 60 "$build/vjd" --socket "$tmp/other.sock" "$bad" >/dev/null 2>"$tmp/why" && fail "vjd took $bad"
	has 'an interface has no name there' <"$tmp/why" || fail "vjd doesn't tell what is wrong with $bad: $(cat "$tmp/why")"
done
"$vj" status | has '^eth0' && fail "attached with a prefix that is none"
"$vj" attach eth0 --app-prefix fd77::/64 | has 'applications have addresses of fd77::/64' || fail "attach doesn't tell of the prefix"
"$vj" attach eth0 --app-prefix fd78::/64 >/dev/null 2>&1 && fail "a second prefix was taken"
"$vj" attach eth0 || fail "attaching again, without a prefix, is no error"
# a part of it at another interface: refused, and that one is as it was
ip -n "$server" link add other0 type veth peer name other1
"$vj" attach other0 --app-prefix fd77::/72 >/dev/null 2>&1 && fail "a prefix was taken twice"
"$vj" status | has '^other0' && fail "what was refused is attached"
at_server ip -d link show other0 | has xdp && fail "what was refused has a program"
"$vj" attach other0 >/dev/null || fail "an interface that was refused can't be attached any more"
"$vj" detach other0 >/dev/null
ip -n "$server" link del other0

# ---- an address, to which the first clients come by the kernel; then all of it is the application's, at its own MAC address

redis 7000
one=${pids[-1]}
until_true has_address "$one"
pong "$addr" 7000 || fail "no answer at $addr"
for _ in 1 2 3; do pong fd77::2 7000; done # the other listener's trial
until_true is_whole
mac=$(told_at "$addr")
found() {
	pong "$addr" 7000 && [ "$(neighbour)" = "$mac" ]
}
until_true found
before=$(counter dispatch to_mac)
by_mac() { # the neighbour may have been asked for again meanwhile
	pong "$addr" 7000 && [ "$(counter dispatch to_mac)" -gt "$before" ]
}
until_true by_mac

# by the canonical one as well: the address is the application's, whatever the port
before=$(counter dispatch to_addr)
ip -n "$client" neigh replace "$addr" lladdr "$canonical" dev eth0 nud permanent
pong "$addr" 7000 || fail "no answer at the canonical address"
[ "$(counter dispatch to_addr)" -gt "$before" ] || fail "not by the IP address"
until_true at_client ping -c 1 -W 5 "$addr" # the kernel answers it
"${on_server[@]}" python3 -m http.server 7088 --bind :: >/dev/null 2>&1 &
other=$!
pids+=("$other")
until_true at_client python3 -c 'import socket; socket.create_connection(("fd77::2", 7088), 10)'
at_client python3 -c 'import socket,sys; socket.create_connection((sys.argv[1], 7088), 60)' "$addr" 2>"$tmp/refused" &&
	fail "another program's port is to be had at the application's address"
has ConnectionRefused <"$tmp/refused" || fail "a closed port of the application doesn't say so: $(tail -1 "$tmp/refused")"
# likewise of UDP: what its stack says gets out
at_client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect((sys.argv[1], 7089))
for _ in range(60):
	try:
		s.send(b"x")
		s.recv(10)
	except TimeoutError:
		continue
	except ConnectionRefusedError:
		sys.exit(0)
sys.exit(1)' "$addr" || fail "a closed port of UDP doesn't say so"
ip -n "$client" neigh del "$addr" dev eth0

# ---- the host's firewall holds there

at_server nft -f - <<NFT
table inet guard {
	chain in {
		type filter hook input priority 0;
		ip6 daddr fd77::/64 ip6 daddr != fd77::2 tcp dport 7000 counter drop
	}
}
NFT
kept_out() {
	! at_client timeout 3 redis-cli -h "$addr" -p 7000 ping >/dev/null 2>&1
}
until_true kept_out
is_dropped() {
	kept_out
	[ "$(counter dispatch filter_drop)" -gt 0 ]
}
until_true is_dropped # and by the program of the firewall
pong fd77::2 7000 || fail "another address is kept out as well"
at_server nft delete table inet guard
until_true pong "$addr" 7000

# ---- programs of this host reach it, by a direct channel and by the kernel

[ "$(at_server timeout 60 redis-cli -h "$addr" -p 7000 ping)" = PONG ] || fail "the kernel of its host doesn't reach it"
[ "$(at_server timeout 60 "$vj" run -- redis-cli -h "$addr" -p 7000 ping)" = PONG ] || fail "an application of its host doesn't reach it"

# ---- a client that binds to its own address is known by it

start client.log "${on_server[@]}" "$vj" run -- python3 -c '
import socket, subprocess, sys, time
port, marker = int(sys.argv[1]), sys.argv[2]
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # on a channel at once, not from the first datagram on
u.bind(("::", port))
u.settimeout(0.2)
while True:
	try:
		data, peer = u.recvfrom(100)
	except TimeoutError:
		continue
	s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	s.bind((data.decode(), 0))
	s.sendto(s.getsockname()[0].encode(), peer)' 7101 "$tmp/x"
asker=${pids[-1]}
is_leased() {
	"$vj" status | has "^udp .*:$1 "
}
until_true is_leased 7101
until_true has_address "$asker"
told() {
	[ "$(at_client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(20)
s.sendto(sys.argv[1].encode(), (sys.argv[1], 7101))
data, peer = s.recvfrom(100)
assert data.decode() == peer[0], (data, peer)
print(peer[0])' "$addr")" = "$addr" ]
}
until_true told

# ---- not two alike; and not with whom somebody else has it

second=$addr
addr=$(address_of "$one")
[ "$second" != "$addr" ] || fail "two applications with one address"

# who comes later finds it taken
ip -n "$client" addr add "$addr/64" dev eth0
failed() {
	ip -n "$client" addr show dev eth0 | has "$addr.*dadfailed"
}
until_true failed
ip -n "$client" addr del "$addr/64" dev eth0
pong "$addr" 7000 || fail "no answer after another host had wanted the address"

# somebody who says that it is his, twice: it would be given up; but in another VLAN, which is another network
conflicts=$(counter addresses conflicts)
defended=$(counter addresses defended)
at_client python3 - "$addr" <<'PY'
import ipaddress, socket, struct, sys
addr, nodes, mac = ipaddress.ip_address(sys.argv[1]).packed, ipaddress.ip_address("ff02::1").packed, bytes([2, 0, 0, 0, 0, 9])
def csum(b):
    n = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return n ^ 0xffff
def advert(tag):
    icmp = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + addr + b"\2\1" + mac
    sum = csum(addr + nodes + struct.pack("!II", len(icmp), 58) + icmp)
    icmp = icmp[:2] + struct.pack("!H", sum) + icmp[4:]
    ip = struct.pack("!IHBB", 6 << 28, len(icmp), 58, 255) + addr + nodes
    return b"\x33\x33\0\0\0\1" + mac + tag + b"\x86\xdd" + ip + icmp
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
for tag in b"\x81\0\0\5", b"\x81\0\0\5", b"":
    s.send(advert(tag))
PY
was_defended() {
	[ "$(counter addresses defended)" -gt "$defended" ]
}
until_true was_defended # against the last, which has no tag
[ "$(counter addresses conflicts)" = "$conflicts" ] || fail "an address was given up to a host of another VLAN"
[ "$(address_of "$one")" = "$addr" ] || fail "another address, for a host of another VLAN"
pong "$addr" 7000 || fail "no answer after another host had said that the address was its own"

# ---- a restart of vjd: the same addresses, and a connection goes on

talks_long "$addr" "$tmp/go" "$tmp/long.log"
kill -9 $vjd
wait $vjd 2>/dev/null || true
start_vjd
until_true leased 7000
until_true has_address "$one"
[ "$addr" = "$(address_of "$one")" ] || fail "another address after a restart of vjd"
talked_long "$tmp/go" || fail "a connection did not outlive vjd: $(cat "$tmp/long.log")"
"$vj" status | has 'applications have addresses of fd77::/64' || fail "the prefix was forgotten"
until_true is_whole
pong "$addr" 7000 || fail "no answer after a restart of vjd"

# ---- its end: the kernel resets what peers still think of, then the address goes; and comes back with the program

at_client python3 -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 7000), timeout=100)
open(sys.argv[2], "w").close()
try:
	print("read", s.recv(10))
except ConnectionResetError:
	print("reset")' "$addr" "$tmp/open" >"$tmp/end.log" 2>&1 &
ender=$!
until_true test -e "$tmp/open"
kill -9 "$one"
wait $ender || true
has reset <"$tmp/end.log" || fail "not reset: $(cat "$tmp/end.log")"
gone() {
	! ip -n "$server" addr show dev lo | has "$addr"
}
until_true gone
was=$addr
redis 7000
one=${pids[-1]}
until_true has_address "$one"
[ "$addr" = "$was" ] || fail "another address after a restart of the program: $addr, not $was"

# at once as well, however it ends, while the kernel still has the address (5 s)
for signal in TERM KILL TERM; do
	kill -"$signal" "$one"
	wait "$one" 2>/dev/null || true
	redis 7000
	one=${pids[-1]}
	until_true has_address "$one"
	[ "$addr" = "$was" ] || fail "another address after SIG$signal and a restart at once: $addr, not $was"
	until_true pong "$addr" 7000
done
for _ in 1 2 3; do pong fd77::2 7000; done # the other listener's trial
until_true is_whole
until_true pong "$addr" 7000
sleep 6 # the time of the one before is over, and it's not that one's
[ "$(address_of "$one")" = "$was" ] || fail "the address went with the one that had it before"
pong "$addr" 7000 || fail "no answer at $addr, which was another's before"

# ---- somebody has it: the next one

kill "$one"
until_true gone
ip -n "$client" addr add "$was/64" dev eth0 nodad
redis 7000
one=${pids[-1]}
until_true has_address "$one"
[ "$addr" != "$was" ] || fail "an address that another host has"
ip -n "$client" addr del "$was/64" dev eth0
pong "$addr" 7000 || fail "no answer at $addr"
[ "$(counter addresses conflicts)" -gt 0 ] || fail "vj status doesn't tell of it"

# ---- `lo` without IPv6: where the kernel can't have an address nobody is told of one

kill "$one"
until_true gone
at_server sysctl -qw net.ipv6.conf.lo.disable_ipv6=1
redis 7000
until_true grep -q "can't have its address" "$tmp/vjd.log"
has_none() {
	[ -z "$(address_of "${pids[-1]}")" ]
}
until_true has_none
at_server sysctl -qw net.ipv6.conf.lo.disable_ipv6=0

# ---- detached: nothing is left

"$vj" detach eth0
ip -n "$server" addr show dev lo | has 'fd77:' && fail "an address is left"
exit 0
