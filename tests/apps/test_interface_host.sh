#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Interface channels follow the host: a link that goes down and comes up, addresses that come and go, routes by a gateway,
# a neighbour whose MAC address changes, another MTU, an application that is stopped for ten seconds. Connections live through
# what TCP lives through.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 curl

# what the administrator of the server's namespace wants of TCP; looked at when the channel is opened
at_server sh -c 'echo reno >/proc/sys/net/ipv4/tcp_congestion_control; echo 0 >/proc/sys/net/ipv4/tcp_window_scaling'
start_vjd

cat >"$tmp/echo.py" <<'PY'
import socket, threading
t = socket.socket(socket.AF_INET6)
t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t.bind(("::", 7100)); t.listen()
def serve(c):
	while True:
		data = c.recv(1 << 20)
		if not data:
			return
		c.sendall(data)
def serve_datagrams():
	u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	u.bind(("::", 7101))
	while True:
		u.sendto(*u.recvfrom(65536))
threading.Thread(target=serve_datagrams, daemon=True).start()
while True:
	threading.Thread(target=serve, args=(t.accept()[0],), daemon=True).start()
PY
# One connection for as long as its standard input says so: each line is a number of bytes to be echoed.
cat >"$tmp/hold.py" <<'PY'
import os, socket, sys
c = socket.create_connection((sys.argv[1], 7100), 60)
c.settimeout(100)
for line in sys.stdin:
	data = os.urandom(int(line))
	got = b""
	c.sendall(data)
	while len(got) < len(data):
		got += c.recv(1 << 20) or sys.exit("closed")
	print("same" if got == data else "changed", flush=True)
PY
start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
echo_pid=${pids[-1]}
until_true leased 7100

# ---- attached under a running program, detached, attached again: served all the time, by the kernel or a channel

cat >"$tmp/again.py" <<'PY'
import os, socket, sys, time
cnt = 0
while True: # a connection after the other
	c = socket.create_connection(("10.77.0.2", 7100), 60)
	c.sendall(b"x" * 100)
	assert len(c.recv(1000)) > 0
	c.close()
	cnt += 1
	with open(sys.argv[1] + ".new", "w") as f:
		f.write(str(cnt))
	os.rename(sys.argv[1] + ".new", sys.argv[1]) # never seen empty
	time.sleep(0.01)
PY
start again.log "${on_client[@]}" python3 "$tmp/again.py" "$tmp/again.cnt"
again=${pids[-1]}
has_channel() {
	"$vj" status | has "^eth0 .*python3.* native  *copied "
}
is_served() {
	local before
	before=$(cat "$tmp/again.cnt")
	# the second is one that began after this call
	until_true have_or_ended $((before + 2))
	kill -0 "$again" || fail "a connection failed $1: $(cat "$tmp/again.log")"
}
have_or_ended() {
	(($(cat "$tmp/again.cnt") >= $1)) || ! kill -0 "$again"
}
echo 0 >"$tmp/again.cnt"
is_served "without an interface"
"$vj" attach eth0 >/dev/null
until_true has_channel
is_served "after attach"
is_used() {
	"$vj" status --json | python3 -c '
import json, sys
sys.exit(not any(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "delivered"))'
}
until_true is_used
kill "$again" # connections that are open break with detach
wait "$again" 2>/dev/null || true
"$vj" detach eth0 >/dev/null
echo 0 >"$tmp/again.cnt"
start again2.log "${on_client[@]}" python3 "$tmp/again.py" "$tmp/again.cnt"
again=${pids[-1]}
is_served "after detach"
"$vj" attach eth0 >/dev/null
until_true has_channel
is_served "after a second attach"
kill "$again"

coproc HOLD4 { exec "${on_client[@]}" python3 "$tmp/hold.py" 10.77.0.2 2>&1; }
held=$HOLD4_PID
exec 6<&"${HOLD4[0]}" 7>&"${HOLD4[1]}"
pids+=("$held")
connection_lives() {
	local said
	echo "${2-5000}" >&7
	read -r -t 100 said <&6 || fail "$1: nothing comes"
	[ "$said" = same ] || fail "$1: $said"
}
answers_at() { # answers_at ADDR [SECONDS]
	at_client python3 -c '
import socket, sys
c = socket.create_connection((sys.argv[1], 7100), float(sys.argv[2]))
c.sendall(b"x" * 3000)
n = 0
while n < 3000:
	n += len(c.recv(9000))' "$1" "${2-30}" 2>/dev/null
}
connection_lives "at first"
"$vj" connections --json >"$tmp/connections"
python3 - "$tmp/connections" <<'PY' || fail "not as the host's sysctls say: $(cat "$tmp/connections")"
import json, sys
def conns(o):
	if isinstance(o, dict):
		if "congestion" in o:
			yield o
		o = list(o.values())
	if isinstance(o, list):
		for v in o:
			yield from conns(v)
found = [c for c in conns(json.load(open(sys.argv[1]))) if c["state"] == "established"]
sys.exit(not found or any(c["congestion"] != "reno" or c["rcv_wscale"] for c in found))
PY

# ---- a link that goes down and comes up
ip -n "$server" link set eth0 down
sleep 1 # nothing is shown by it: so that it is down when vjd looks
ip -n "$server" link set eth0 up
ip -n "$server" addr add fd77::2/64 dev eth0 nodad 2>/dev/null || true
connection_lives "after the link was down"
until_true answers_at fd77::2

# ---- addresses
answers_at 10.77.0.22 3 && fail "an address that is not there answers"
ip -n "$server" addr add 10.77.0.22/24 dev eth0
ip -n "$server" addr add fd77::22/64 dev eth0 nodad
until_true answers_at 10.77.0.22
until_true answers_at fd77::22
ip -n "$server" addr del 10.77.0.22/24 dev eth0
ip -n "$server" addr del fd77::22/64 dev eth0
until_true sh -c "! nsenter --net=/run/netns/$client python3 -c 'import socket; socket.create_connection((\"10.77.0.22\", 7100), 5)' 2>/dev/null"
connection_lives "after an address came and went"

# ---- routes: another network behind the client
ip -n "$client" addr add 10.88.0.1/32 dev lo
ip -n "$client" addr add fd88::1/128 dev lo nodad
echo hello >"$tmp/hello"
start http.log "${on_client[@]}" python3 -m http.server 7090 --bind :: --directory "$tmp"
until_true at_client curl -sf http://127.0.0.1:7090/hello
cat >"$tmp/fetch.py" <<'PY'
import sys, urllib.request
for url in sys.stdin:
	try:
		print(urllib.request.urlopen(url.strip(), timeout=60).read().decode().strip(), flush=True)
	except Exception as e:
		print("failed", e, flush=True)
PY
gate_sent() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["where"] == "gate" and c["name"] == "sent"))'
}
coproc FETCH { exec "${on_server[@]}" "$vj" run -- python3 "$tmp/fetch.py" 2>&1; }
exec 8<&"${FETCH[0]}" 9>&"${FETCH[1]}"
pids+=("$FETCH_PID")
fetch() {
	local said
	echo "$1" >&9
	read -r -t 100 said <&8 || fail "$1: nothing said"
	[[ $said == hello ]]
}
fetches_not() {
	! fetch "$1"
}
fetch http://10.77.0.1:7090/hello || fail "on link"
fetch http://10.88.0.1:7090/hello && fail "a network without a route"
ip -n "$server" route add 10.88.0.0/24 via 10.77.0.1
ip -n "$server" route add fd88::/64 via fd77::1
# by a channel, once vjd has heard of the routes
fetches_by_gate() {
	local before
	before=$(gate_sent)
	fetch "$1" && (($(gate_sent) > before))
}
until_true fetches_by_gate http://10.88.0.1:7090/hello
until_true fetches_by_gate 'http://[fd88::1]:7090/hello'
ip -n "$server" route del 10.88.0.0/24
until_true fetches_not http://10.88.0.1:7090/hello
until_true fetches_by_gate http://10.77.0.1:7090/hello

# ---- a route that carries less than the interface: of a connection that is there, of a new one, of datagrams
cat >"$tmp/narrow.py" <<'PY'
import os, re, socket, struct, subprocess, sys, time
source, dest, mtu, change = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split()
v4 = "." in source
headers = 52 if v4 else 72
def echo(c, cnt=200000):
	data, got = os.urandom(cnt), b""
	c.sendall(data)
	while len(got) < cnt:
		more = c.recv(1 << 16)
		assert more, "closed"
		got += more
	assert got == data
def connection():
	c = socket.create_connection((dest, 7100), 60, (source, 0))
	return c
def longest_lately(c): # tcpi_rcv_mss, which follows what comes
	return struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 20)[0]
def reassembled():
	if v4:
		return int(open("/proc/net/snmp").read().split("Ip: ")[2].split()[14])
	return int(re.search(r"Ip6ReasmOKs\s+(\d+)", open("/proc/net/snmp6").read())[1])
c = connection()
echo(c)
assert longest_lately(c) == 1500 - headers, f"segments of {longest_lately(c)} before"
subprocess.run(change, check=True)
deadline = time.monotonic() + 60
while True: # in the middle of it, and until vjd has heard
	echo(c)
	if longest_lately(c) == mtu - headers:
		break
	assert time.monotonic() < deadline, f"segments of {longest_lately(c)} on the route of {mtu}"
d = connection()
echo(d)
assert longest_lately(d) == mtu - headers, f"segments of {longest_lately(d)}, a new connection's"
u = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
u.settimeout(60)
u.bind((source, 0))
u.connect((dest, 7101))
before = reassembled()
for _ in range(4):
	data = os.urandom(1400)
	u.send(data)
	assert u.recv(2000) == data
assert reassembled() - before >= 3, f"{reassembled() - before} of 4 datagrams came in fragments"
PY
ip -n "$server" route add 10.88.0.0/24 via 10.77.0.1
until_true fetches_by_gate http://10.88.0.1:7090/hello
at_client timeout 120 python3 "$tmp/narrow.py" 10.88.0.1 10.77.0.2 1000 \
	"ip -n $server route replace 10.88.0.0/24 via 10.77.0.1 mtu 1000" || fail "a route of MTU 1000"
at_client timeout 120 python3 "$tmp/narrow.py" fd88::1 fd77::2 1300 \
	"ip -n $server route replace fd88::/64 via fd77::1 mtu 1300" || fail "a route of MTU 1300, IPv6"
ip -n "$server" route del 10.88.0.0/24

# ---- several hops: which one only the kernel knows, so connections there are its; those from there come by the channel
# why_of HOST [LEVEL,NAME,VALUE...]: the reason of a connection that a program has just made there, with these options; under a parent
# of its own, else it would be one of many short programs, whose first connections are left to the kernel
why_of() {
	at_server sh -c '"$@"; exit $?' sh "$vj" run -- python3 -c '
import json, socket, subprocess, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET)
s.settimeout(60)
for option in sys.argv[3:]:
	s.setsockopt(*map(int, option.split(",")))
s.connect((sys.argv[2], 7090))
said = subprocess.run([sys.argv[1], "why", "--json", str(__import__("os").getpid())], capture_output=True, text=True).stdout
print(next(s for s in json.loads(said)["sockets"] if s["remote"] and s["remote"]["port"] == 7090).get("why", {"name": "channel"})["name"])
s.close()' "$vj" "$@"
}
# IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: as channels do it anyway, not at all, and as asked for by turns
why_is() { # why_is NAME HOST [OPTION...]: is that the reason?
	local said
	said=$(why_of "${@:2}") || return
	echo "$said" >"$tmp/why" # for who fails
	[ "$said" = "$1" ]
}
for addr in 10.77.0.1,0,10 fd77::1,41,23; do
	IFS=, read -r host level name <<<"$addr"
	why_is channel "$host" $level,$name,2 || fail "with IP_PMTUDISC_DO to $host it says $(cat "$tmp/why")"
	why_is OPTION "$host" $level,$name,0 || fail "with IP_PMTUDISC_DONT to $host it says $(cat "$tmp/why")"
	why_is channel "$host" $level,$name,3 $level,$name,1 || fail "with IP_PMTUDISC_WANT again it says $(cat "$tmp/why")"
done
ip -n "$client" addr add 10.77.0.11/24 dev eth0
ip -n "$client" addr add fd77::11/64 dev eth0 nodad
ip -n "$server" route add 10.88.0.0/24 nexthop via 10.77.0.1 nexthop via 10.77.0.11
ip -n "$server" route replace fd88::/64 nexthop via fd77::1 nexthop via fd77::11
for addr in 10.88.0.1 fd88::1; do
	# when vjd has heard of the route, which none of the two below would show
	until_true why_is ROUTES $addr
done
until_true rests gate_sent # what belongs to earlier connections
before=$(gate_sent)
fetch http://10.88.0.1:7090/hello || fail "by several gateways"
fetch 'http://[fd88::1]:7090/hello' || fail "by several gateways, IPv6"
[ "$(gate_sent)" = "$before" ] || fail "a way that only the kernel knows was chosen"
why_is channel 10.77.0.1 || fail "of one on link it says $(cat "$tmp/why")"
before=$(gate_sent)
at_client timeout 120 python3 -c '
import socket
for source, dest in ("10.88.0.1", "10.77.0.2"), ("fd88::1", "fd77::2"):
	c = socket.create_connection((dest, 7100), 60, (source, 0))
	c.sendall(b"hello")
	assert c.recv(100) == b"hello"' || fail "from a network with several ways to it"
(($(gate_sent) > before)) || fail "it was not answered by the channel"
ip -n "$server" route del 10.88.0.0/24
ip -n "$server" route del fd88::/64
ip -n "$client" addr del 10.77.0.11/24 dev eth0
ip -n "$client" addr del fd77::11/64 dev eth0

# ---- a way by a device at which vjd offers nothing
ip -n "$server" link add beside0 type veth peer name beside0 netns "$client"
for end in "$server 2" "$client 1"; do
	read -r ns host <<<"$end"
	ip -n "$ns" addr add 10.99.0.$host/24 dev beside0
	ip -n "$ns" addr add fd99::$host/64 dev beside0 nodad
	ip -n "$ns" link set beside0 up
done
for addr in 10.99.0.1 fd99::1; do
	until_true at_server curl -sf "http://$([[ $addr == *:* ]] && echo "[$addr]" || echo $addr):7090/hello"
	until_true why_is NOT_LOCAL $addr || fail "of one by another device vj why says $(cat "$tmp/why")"
done
ip -n "$server" link del beside0

# ---- rules of routing: ports and connections are the kernel's, which alone knows all ways, until they are gone
said_times() { # said_times CNT TEXT: by vjd
	[ "$(grep -c "$2" "$tmp/vjd.log")" = "$1" ]
}
times=0
for version in -4 -6; do
	times=$((times + 1))
	ip -n "$server" $version rule add fwmark 77 lookup 100
	until_true said_times $times "ports are left to the kernel"
	until_true rests gate_sent # what belongs to earlier connections
	before=$(gate_sent)
	answers_at 10.77.0.2 || fail "with rules of routing ($version)"
	answers_at fd77::2 || fail "with rules of routing ($version), IPv6"
	fetch http://10.77.0.1:7090/hello || fail "a connection with rules of routing ($version)"
	[ "$(gate_sent)" = "$before" ] || fail "a channel was used with rules of routing ($version)"
	"$vj" status | has "its ports are left to the kernel" || fail "status does not say that ports are left to the kernel"
	why_is ROUTES 10.77.0.1 || echo "with rules of routing vj why says $(cat "$tmp/why") at first" # seen once in ten runs: not explained yet
	until_true why_is ROUTES 10.77.0.1
	connection_lives "with rules of routing ($version)"
	ip -n "$server" $version rule del fwmark 77 lookup 100
	until_true said_times $times "routes by its main table again"
	before=$(gate_sent)
	until_true answers_at 10.77.0.2
	fetch http://10.77.0.1:7090/hello || fail "a connection after the rules are gone"
	(($(gate_sent) > before)) || fail "no channel is used after the rules are gone"
done

# ---- a new address to which only the kernel can judge packets: a port of "any" is the kernel's until the address is gone
at_any() {
	local addr
	for addr in 10.77.0.2 fd77::2 "$@"; do
		answers_at "$addr" || return
	done
}
by_channel() { # by_channel yes|no ADDR...
	local before want=$1
	shift
	before=$(gate_sent)
	at_any "$@" || return
	if [ "$want" = yes ]; then (($(gate_sent) > before)); else (($(gate_sent) == before)); fi
}
if at_server nft list ruleset >/dev/null 2>&1; then
	at_server nft -f - <<-'NFT'
		table inet f {
			chain input {
				type filter hook input priority 0; policy accept;
				ip daddr 10.77.0.22 tcp dport 7100 log accept
				ip6 daddr fd77::22 tcp dport 7100 log accept
			}
		}
	NFT
	until_true grep -q "only the kernel has: inet f input handle" "$tmp/vjd.log"
	until_true by_channel yes
	for addr in 10.77.0.22/24 fd77::22/64; do
		[[ $addr == *:* ]] && nodad=nodad || nodad=
		# shellcheck disable=SC2086
		ip -n "$server" addr add $addr dev eth0 $nodad
	done
	until_true by_channel no 10.77.0.22 fd77::22
	for addr in 10.77.0.22/24 fd77::22/64; do
		ip -n "$server" addr del $addr dev eth0
	done
	until_true by_channel yes
	at_server nft flush ruleset
	until_true by_channel yes
fi

# ---- the interface gets another name: rules for that hold, and the next vjd finds it by that
is_closed() {
	! answers_at 10.77.0.2 3 && ! answers_at fd77::2 3
}
if ip -n "$server" link set eth0 name lan0 2>/dev/null; then # while it is up: since Linux 6.2
	until_true sh -c "\"$vj\" status | grep -q '^lan0 '"
	"$vj" status | has '^eth0 ' && fail "status has the old name as well"
	[ -e "$VJ_SOCKET.d/if-lan0" ] && [ ! -e "$VJ_SOCKET.d/if-eth0" ] || fail "the next vjd would look for: $(ls "$VJ_SOCKET.d")"
	until_true by_channel yes
	connection_lives "with another name"
	if at_server nft 'add table inet f; add chain inet f input { type filter hook input priority 0; };
		add rule inet f input iifname "eth0" tcp dport 7100 drop' 2>/dev/null; then
		answers_at 10.77.0.2 || fail "a rule for eth0 holds at lan0"
		ip -n "$server" link set lan0 name eth0
		until_true is_closed
		at_server nft flush ruleset
	else
		ip -n "$server" link set lan0 name eth0
	fi
	until_true sh -c "\"$vj\" status | grep -q '^eth0 '"
	until_true by_channel yes
fi

# ---- a neighbour that isn't known: the kernel finds it on demand, and the first packet waits. It is to be unknown until then: the client
# never asks who the server is, from which the server's kernel would learn the client. What was lost is sent again after a second;
# where other programs have the processors, a round may take as long without that, and is one of the few that don't count.
mac=$(ip -n "$server" -o link show eth0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
for addr in 10.77.0.2 fd77::2; do
	ip -n "$client" neigh replace "$addr" dev eth0 lladdr "$mac" nud permanent
done
is_known() { # is_known ADDR: to the server's kernel
	ip -n "$server" neigh show "$1" dev eth0 | has lladdr
}
forgets() { # forgets ADDR
	ip -n "$server" neigh flush dev eth0
	! is_known "$1"
}
# prompt_of CNT ADDR COMMAND...: does it, which says how many ms it took, take no second that many times, with the client's address
# forgotten before it, and known after it?
prompt_of() {
	local cnt=0 addr=$2 want=$1
	shift 2
	for _ in $(seq $((want + 10))); do
		until_true forgets "$addr"
		took_ms=$("$@") || fail "$addr, its neighbour forgotten: $*"
		# who used what the host table still had has asked nobody
		if ((took_ms < 800)) && is_known "$addr"; then cnt=$((cnt + 1)); fi
		((cnt < want)) || return 0
	done
	return 1
}
fetch_ms() {
	local begin
	begin=$(date +%s%N)
	fetch "$1" || return
	echo $((($(date +%s%N) - begin) / 1000000))
}
prompt_of 1 10.77.0.1 fetch_ms http://10.77.0.1:7090/hello || fail "IPv4: it took $took_ms ms: its SYN was lost, and sent again"
prompt_of 1 fd77::1 fetch_ms 'http://[fd77::1]:7090/hello' || fail "IPv6: it took $took_ms ms: its SYN was lost, and sent again"

# ---- one that asks, and isn't known: the answer waits, at a server that sleeps at once, too
connect_ms() {
	at_client python3 -c '
import socket, sys, time
begin = time.monotonic()
socket.create_connection((sys.argv[1], 7102), 60)
print(int((time.monotonic() - begin) * 1000))' "$1"
}
for addr in 10.77.0.2,10.77.0.1 fd77::2,fd77::1; do
	IFS=, read -r addr peer <<<"$addr"
	start prompt.log "${on_server[@]}" env VJ_SPIN_US=-1 "$vj" run -- python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 7102))
s.listen()
while True:
	s.accept()' "$addr"
	until_true sh -c "\"$vj\" status | grep -q '^tcp .*$addr.*:7102 '"
	prompt_of 5 "$peer" connect_ms "$addr" || fail "it took $took_ms ms: the SYN-ACK of $addr was lost, and sent again"
	kill "${pids[-1]}"
	ip -n "$client" neigh del "$addr" dev eth0
done

# ---- a neighbour that moves
ip -n "$client" link set eth0 down
ip -n "$client" link set eth0 address 02:00:00:77:00:01
ip -n "$client" link set eth0 up
ip -n "$client" addr add fd77::1/64 dev eth0 nodad 2>/dev/null || true
connection_lives "after its peer got another MAC address"
fetch http://10.77.0.1:7090/hello || fail "the other way, after its peer got another MAC address"

# ---- one that does not answer: connect() fails as the kernel's does, when the kernel has given up
cat >"$tmp/nobody.py" <<'PY'
import errno, socket, sys, time
for addr in "10.77.0.99", "fd77::99":
	begin = time.monotonic()
	s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
	s.settimeout(100)
	try:
		s.connect((addr, 7090))
		sys.exit("connected")
	except OSError as e:
		assert e.errno == errno.EHOSTUNREACH, (addr, e)
	took = time.monotonic() - begin
	assert 1 < took < 60, f"{addr}: {took} s" # 3, if nothing else runs; a TCP that nobody answers goes on for two minutes
PY
at_server python3 "$tmp/nobody.py" || fail "the kernel does it otherwise"
opens() { # by the kernel's TCP
	at_server cat /proc/net/snmp | grep -E '^Tcp: [0-9]' | awk '{ print $6 }'
}
tries_itself() { # tries_itself NR: what nobody answers for a second goes on as the kernel's; a busy machine may make a second of a half
	opens >"$tmp/opens"
	at_server "$vj" run -- python3 -c 'import socket, sys
for addr in "10.77.0." + sys.argv[1], "fd77::" + sys.argv[1]:
	s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
	s.settimeout(0.5)
	try:
		s.connect((addr, 7090))
	except TimeoutError:
		pass' "$1" || fail "a neighbour that does not answer at once"
	[ "$(opens)" = "$(cat "$tmp/opens")" ]
}
for nr in 98 97 96 95 94 no; do
	[ $nr != no ] || fail "it was the kernel that tried"
	! tries_itself $nr || break
done
at_server "$vj" run -- python3 "$tmp/nobody.py" || fail "a neighbour that does not answer"

# ---- the interface gets another MAC address
ip -n "$server" link set eth0 address 02:00:00:77:00:02
ip -n "$client" neigh flush dev eth0
connection_lives "after the interface got another MAC address" 100000
fetch http://10.77.0.1:7090/hello || fail "the other way, after the interface got another MAC address"
answers_at fd77::2 || fail "a new connection after the interface got another MAC address"
until_true sh -c "ip -n $client neigh show 10.77.0.2 | grep -q 'lladdr 02:00:00:77:00:02'"

# ---- a smaller MTU: new connections tell it to their peers; then on both sides
segment_bytes() {
	at_client python3 -c '
import socket, sys
c = socket.create_connection((sys.argv[1], 7100), 30)
print(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))' "$1"
}
segments_are() {
	[ "$(segment_bytes 10.77.0.2)" = "$1" ] && [ "$(segment_bytes fd77::2)" = $(($1 - 20)) ]
}
segments_are 1448 || fail "segments of $(segment_bytes 10.77.0.2) bytes"
ip -n "$server" link set eth0 mtu 1400
until_true segments_are 1348
for host in "$client" "$server"; do
	ip -n "$host" link set eth0 mtu 1400
done
sleep 0.5
connection_lives "with a smaller MTU" 300000
answers_at 10.77.0.2 || fail "a new connection with a smaller MTU"
"$vj" status | has -E 'python3.* gate .*gate_len' && fail "longer frames than the MTU were tried: $("$vj" status)"

# ---- a larger MTU than the channel's frames hold: TCP goes on in segments that do; longer datagrams come by the kernel
for host in "$client" "$server"; do
	ip -n "$host" link set eth0 mtu 3000
done
until_true segments_are 1534
connection_lives "with a larger MTU than its frames" 300000
at_client timeout 120 python3 -c '
import os, socket
for addr in "10.77.0.2", "fd77::2":
	u = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
	u.settimeout(60)
	for cnt in 100, 1600, 1735, 2500, 2900, 20000: # the last in fragments, either way
		data = os.urandom(cnt)
		u.sendto(data, (addr, 7101))
		assert u.recv(65536) == data, (addr, cnt)' || fail "datagrams with a larger MTU than its frames"
"$vj" status | has 'python3.* deliver .* too_long' && fail "datagrams were too long for the channel: $("$vj" status)"
"$vj" status | has ' pass_long ' || fail "no datagram came by the kernel"

# ---- as many interfaces as a host with containers has
for nr in $(seq 50); do
	echo "link add more$nr type veth peer name less$nr"
done | ip -n "$server" -b -
"$vj" attach eth0 | has 'ports are left to the kernel' && fail "with a hundred more interfaces ports are the kernel's"
"$vj" attach more50 | has 'channels are offered' || fail "the last of a hundred more interfaces is not attached: $(cat "$tmp/vjd.log")"
connection_lives "with a hundred more interfaces"
for nr in $(seq 50); do
	echo "link del more$nr"
done | ip -n "$server" -b -
until_true sh -c "! \"$vj\" status | grep '^more50'"
grep "more50: dispatch was removed, and can't" "$tmp/vjd.log" && fail "an interface that is gone is said to have lost its program"

# ---- an application that does not run for ten seconds
echo 2000000 >&7
sleep 0.05
kill -STOP "$echo_pid"
sleep 10
kill -CONT "$echo_pid"
read -r -t 100 said <&6 || fail "after ten seconds of stop: nothing comes"
[ "$said" = same ] || fail "after ten seconds of stop: $said"
connection_lives "after ten seconds of stop"
exit 0
