#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a host does beside channels goes on at the same interface, by the kernel and unmodified programs, with a router between server and
# client: the host's address comes by DHCP and is renewed, its neighbours by ARP and neighbour discovery, ssh serves, ping answers,
# tcpdump and ss see what is the kernel's. Meanwhile redis serves on a channel, to a client behind the router.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need busybox ssh ssh-keygen tcpdump ss redis-server redis-cli redis-benchmark python3
sshd=/usr/sbin/sshd
[ -x $sshd ] || skip "no sshd"

# ---- $client becomes the router; behind it a host of its own, $far: 10.78.0.0/24, fd78::/64

far=vjf$$
netns_add "$far"
ip -n "$client" link add eth1 type veth peer name eth0 netns "$far"
for at in "$client eth1 1" "$far eth0 2"; do
	read -r host dev nr <<<"$at"
	ip -n "$host" link set lo up
	ip -n "$host" link set "$dev" up
	ip -n "$host" addr add "10.78.0.$nr/24" dev "$dev"
	ip -n "$host" addr add "fd78::$nr/64" dev "$dev" nodad
	nsenter --net="/run/netns/$host" ethtool -K "$dev" tx off tso off gso off gro off >/dev/null
done
ip -n "$far" route add default via 10.78.0.1
ip -n "$far" route add default via fd78::1
ip -n "$server" route add fd78::/64 via fd77::1
at_client sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
on_far=(nsenter --net="/run/netns/$far")

# ---- the server's address is leased, by DHCP, while channels are offered

start_vjd --attach eth0
ip -n "$server" addr del 10.77.0.2/24 dev eth0
cat >"$tmp/udhcpd.conf" <<CONF
start 10.77.0.2
end 10.77.0.2
interface eth0
lease_file $tmp/leases
pidfile $tmp/udhcpd.pid
option subnet 255.255.255.0
option router 10.77.0.1
option lease 600
min_lease 60
CONF
touch "$tmp/leases"
cat >"$tmp/bound" <<'SH'
#!/bin/sh
echo "$1 $ip" >>"${0%/*}/dhcp"
[ "$1" = bound ] || exit 0
ip addr replace "$ip/24" dev "$interface" && ip route replace default via "$router"
SH
chmod 755 "$tmp/bound"
start udhcpd.log "${on_client[@]}" busybox udhcpd -f "$tmp/udhcpd.conf"
start udhcpc.log "${on_server[@]}" busybox udhcpc -f -i eth0 -s "$tmp/bound" -t 20 -T 1
udhcpc=${pids[-1]}
until_true grep -q '^bound 10.77.0.2$' "$tmp/dhcp"

# ---- redis on a channel, under load from behind the router; sshd and the rest of the kernel

start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
ssh-keygen -q -t ed25519 -N '' -f "$tmp/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$tmp/user_key"
chmod 711 "$tmp"
cp "$tmp/user_key.pub" "$tmp/authorized"
mkdir -p /run/sshd
start sshd.log "${on_server[@]}" $sshd -D -e -f /dev/null -h "$tmp/host_key" -o Port=2222 -o UsePAM=no -o StrictModes=no \
	-o AuthorizedKeysFile="$tmp/authorized" -o PermitRootLogin=yes -o PidFile=none
sshd_at() { # sshd_at ADDRESS COMMAND: over ssh, from behind the router
	"${on_far[@]}" timeout 100 ssh -p 2222 -i "$tmp/user_key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
		-o IdentitiesOnly=yes "root@$1" "$2"
}
start tcpdump.log "${on_server[@]}" tcpdump -n -l -U -i eth0 -w "$tmp/pcap"
until_true leased 7000
until_true sshd_at 10.77.0.2 true
for addr in 10.77.0.2 fd77::2; do # of the first clients some come by the kernel
	for _ in 1 2 3; do
		[ "$("${on_far[@]}" timeout 60 redis-cli -h $addr -p 7000 ping)" = PONG ] || fail "redis at $addr"
	done
done
until_true sh -c "\"$vj\" status | grep -q '^eth0 .*redis-server.* native '"

delivered() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "delivered"))'
}
before=$(delivered)
(while [ ! -e "$tmp/enough" ]; do "${on_far[@]}" redis-benchmark -h 10.77.0.2 -p 7000 -t get,set -n 20000 -c 20 -q || exit 1; done) \
	>"$tmp/load.log" 2>&1 &
load=$!
pids+=("$load")
until_true sh -c "grep -q 'requests per second' '$tmp/load.log'"

# ---- beside it

"${on_far[@]}" python3 "$VJ_SOURCE_DIR/tests/apps/gateway_talk.py" ping 10.77.0.2 100 0.05 >"$tmp/ping4.log" 2>&1 &
ping4=$!
"${on_far[@]}" python3 "$VJ_SOURCE_DIR/tests/apps/gateway_talk.py" ping fd77::2 100 0.05 >"$tmp/ping6.log" 2>&1 &
ping6=$!
for addr in 10.77.0.2 fd77::2; do
	[ "$(sshd_at $addr 'echo "$SSH_CONNECTION"' | cut -d' ' -f3)" = $addr ] || fail "ssh to $addr"
	sshd_at $addr 'head -c 3000000 /dev/zero' | cmp -n 3000000 - /dev/zero || fail "3 MB over ssh to $addr"
done
kill -USR1 "$udhcpc" # renews
until_true grep -q '^renew 10.77.0.2$' "$tmp/dhcp"
for _ in 1 2 3; do # neighbours are found anew, on both sides, under load
	ip -n "$server" neigh flush dev eth0
	ip -n "$client" neigh flush dev eth0
	sleep 0.2
done
until_true sh -c "ip -n $server neigh show 10.77.0.1 | grep -q lladdr"
sshd_at 10.77.0.2 'sleep 5' &
session=$!
until_true sh -c "nsenter --net=/run/netns/$server ss -tn state established '( sport = :2222 )' | grep -q 10.78.0.2"
at_server ss -tn state established '( sport = :7000 )' | has 10.78.0.2 && fail "redis' clients are the kernel's"
wait $session || fail "a session over ssh was cut off"
wait $ping4 || fail "pings were lost: $(cat "$tmp/ping4.log")"
wait $ping6 || fail "pings were lost: $(cat "$tmp/ping6.log")"
touch "$tmp/enough"
wait "$load" || fail "redis' clients suffered: $(tail -2 "$tmp/load.log")"
(($(delivered) - before > 10000)) || fail "redis was not on a channel: $(($(delivered) - before)) frames"

# ---- a tap sees what is the kernel's: ssh, ARP, DHCP, ICMP

seen() {
	tcpdump -n -r "$tmp/pcap" "$1" 2>/dev/null | has .
}
for what in 'tcp port 2222 and ip' 'tcp port 2222 and ip6' arp 'udp port 67' icmp icmp6; do
	until_true seen "$what"
done
exit 0
