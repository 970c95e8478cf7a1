#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Devices on top of an interface: macvlan, and VLANs with one tag and two, have addresses and channels of their own, while the interface
# below is attached too, or not. And a tagged frame is none of the untagged address's, though it says so.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need curl python3 redis-cli redis-server

start_vjd
echo hello >"$tmp/hello"
head -c 1500000 /dev/urandom >"$tmp/file"
base64 -w 0 <"$tmp/file" >"$tmp/value"
start http.log "${on_server[@]}" "$vj" run -- python3 -m http.server 7091 --bind :: --directory "$tmp"
start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
until_true leased 7091
until_true leased 7000
# the first clients, which come by the kernel
at_client python3 "$VJ_SOURCE_DIR/tests/apps/gateway_talk.py" trial 10.77.0.2 7091 7000

delivered() { # by channels of interface $1
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"]
	if c["name"] == "delivered" and c["ifindex"] == int(sys.argv[1])))' "$(ip -n "$server" -o link show "$1" | cut -d: -f1)"
}
has_channels_at() {
	"$vj" status | has "^$1 .*python3.* $2 " && "$vj" status | has "^$1 .*redis.* $2 "
}
# What comes to the addresses of $1, whose frames are taken at $2, goes by its channels. IPv4 and IPv6: $3, $4.
serves() {
	local before
	until_true has_channels_at "$1" "$2"
	off_trial_at "$3" 7091 7000
	off_trial_at "$4" 7000
	before=$(delivered "$1")
	for addr in "$3" "[$4]"; do
		[ "$(at_client curl -sm 60 "http://$addr:7091/hello")" = hello ] || fail "$1: nothing comes from $addr"
		at_client curl -sm 100 "http://$addr:7091/file" | cmp - "$tmp/file" || fail "$1: a file from $addr"
	done
	at_client timeout 100 redis-cli -h "$3" -p 7000 -x set big <"$tmp/value" >/dev/null || fail "$1: a large value"
	at_client timeout 100 redis-cli -h "$4" -p 7000 get big | tr -d '\n' | cmp - "$tmp/value" || fail "$1: the value changed"
	(($(delivered "$1") - before > 1400)) || fail "$1: $(($(delivered "$1") - before)) frames came by its channels"
}

# ---- macvlan: no XDP in its driver; segments that are joined below (GRO, or never taken apart) are longer than a channel's frame

if ip -n "$server" link add upper0 link eth0 type macvlan mode bridge 2>/dev/null; then
	at_server sh -c 'echo 0 >/proc/sys/net/ipv6/conf/upper0/accept_dad' # its link-local address is there at once
	ip -n "$server" addr add 10.78.0.2/24 dev upper0
	ip -n "$server" addr add fd78::2/64 dev upper0 nodad
	ip -n "$server" link set upper0 up
	ip -n "$client" addr add 10.78.0.1/24 dev eth0
	ip -n "$client" addr add fd78::1/64 dev eth0 nodad
	# eth0 would answer for it as well
	mac=$(ip -n "$server" -o link show upper0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
	ip -n "$client" neigh add 10.78.0.2 dev eth0 lladdr "$mac"
	ip -n "$client" neigh add fd78::2 dev eth0 lladdr "$mac"
	"$vj" attach upper0 | has "; by tc" || fail "where frames of an interface are taken is not said"
	serves upper0 tc 10.78.0.2 fd78::2
	at_server ethtool -K eth0 gro on >/dev/null
	serves upper0 tc 10.78.0.2 fd78::2
	at_client ethtool -K eth0 tx on tso on gso on >/dev/null
	serves upper0 tc 10.78.0.2 fd78::2
	at_client ethtool -K eth0 tx off tso off gso off >/dev/null
	"$vj" attach eth0 >/dev/null
	serves eth0 native 10.77.0.2 fd77::2
	serves upper0 tc 10.78.0.2 fd78::2
	"$vj" detach upper0 >/dev/null
	at_server tc qdisc show dev upper0 | has clsact && fail "clsact is left at upper0"
	"$vj" detach eth0 >/dev/null
	at_server ethtool -K eth0 gro off >/dev/null
fi

# ---- a tagged frame for the address and the port of a channel without a VLAN: the kernel's, to drop, in XDP and at tc

cat >"$tmp/tagged.py" <<'PY'
import socket, struct, sys
mac, tags = bytes.fromhex(sys.argv[1].replace(":", "")), [int(t) for t in sys.argv[2].split(",") if t]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
def add(words): # RFC 1071
	total = sum(words)
	total = (total >> 16) + (total & 0xffff)
	return ~(total + (total >> 16)) & 0xffff
addrs = bytes((10, 77, 0, 1, 10, 77, 0, 2))
udp = struct.pack(">HHHH", 7777, 7092, 8 + 4, 0) + (b"tags" if any(tags) else b"data")
udp = udp[:6] + struct.pack(">H", add(struct.unpack(">12H", addrs + struct.pack(">HH", 17, len(udp)) + udp))) + udp[8:]
ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addrs
ip = ip[:10] + struct.pack(">H", add(struct.unpack(">10H", ip))) + ip[12:]
head = mac + s.getsockname()[4]
for i, tag in enumerate(tags):
	head += struct.pack(">HH", 0x88a8 if i == 0 and len(tags) > 1 else 0x8100, tag)
s.send(head + b"\x08\x00" + ip + udp)
PY
start sink.log "${on_server[@]}" "$vj" run -- python3 -u -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7092))
while True:
	print(s.recv(100), flush=True)'
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7092 '"
mac=$(ip -n "$server" -o link show eth0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
came() { # data, so far
	grep -c data "$tmp/sink.log" || true
}
came_once_more() {
	[ "$(came)" = $((before + 1)) ]
}
sinks() {
	"$vj" status | grep -c '^eth0 .*python3'
}
both_sink() {
	[ "$(sinks)" = 2 ]
}
for how in "" --tc; do
	# shellcheck disable=SC2086
	"$vj" attach $how eth0 >/dev/null
	until_true both_sink
	before=$(came)
	for tags in 5 5,7 100; do
		at_client python3 "$tmp/tagged.py" "$mac" $tags
	done
	at_client python3 "$tmp/tagged.py" "$mac" "" # and behind them one that comes
	until_true came_once_more
	grep tags "$tmp/sink.log" && fail "a tagged frame came into a channel without a VLAN (attach $how)"
	before=$(came)
	at_client python3 "$tmp/tagged.py" "$mac" 0 # a priority, no VLAN
	until_true came_once_more
	"$vj" detach eth0 >/dev/null
done

# ---- VLANs: tags on and off by the kernel's devices, each of which is attached by its own name

ip -n "$server" link add link eth0 name eth0.5 type vlan id 5 2>"$tmp/err" ||
	skip "no VLAN devices here ($(tail -1 "$tmp/err")); all before it passed"
for host in "$client" "$server"; do
	n=$([ "$host" = "$client" ] && echo 1 || echo 2)
	[ "$host" = "$server" ] || ip -n "$host" link add link eth0 name eth0.5 type vlan id 5
	ip -n "$host" link add link eth0.5 name eth0.5.7 type vlan id 7
	for name in eth0.5 eth0.5.7; do
		nsenter --net="/run/netns/$host" sh -c "echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad"
	done
	ip -n "$host" addr add "10.79.5.$n/24" dev eth0.5
	ip -n "$host" addr add "fd79:5::$n/64" dev eth0.5 nodad
	ip -n "$host" addr add "10.79.7.$n/24" dev eth0.5.7
	ip -n "$host" addr add "fd79:7::$n/64" dev eth0.5.7 nodad
	ip -n "$host" link set eth0.5 up
	ip -n "$host" link set eth0.5.7 up
	for name in eth0.5 eth0.5.7; do
		nsenter --net="/run/netns/$host" ethtool -K $name tx off tso off gso off >/dev/null
	done
done
for attached in "eth0.5 eth0.5.7" "eth0 eth0.5 eth0.5.7"; do
	for name in $attached; do
		"$vj" attach "$name" >/dev/null || fail "attach $name: $(tail -3 "$tmp/vjd.log")"
	done
	serves eth0.5 tc 10.79.5.2 fd79:5::2
	serves eth0.5.7 tc 10.79.7.2 fd79:7::2
	[[ $attached != "eth0 "* ]] || serves eth0 native 10.77.0.2 fd77::2
	for name in $attached; do
		"$vj" detach "$name" >/dev/null
	done
done
exit 0
