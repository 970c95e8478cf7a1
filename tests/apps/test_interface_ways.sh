#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A host with two ways out. Whose question comes by one interface, and whom the host would answer by the other, is served all the same: by the
# kernel, with the program's own sockets. Who is answered where he came is served by the channel, and that follows the routes. At an interface all
# addresses of the host are served, and are sources of what programs begin.
#
#	         eth0     10.77.0.1 fd77::1  ──────  10.77.0.2 fd77::2  eth0
#	$client  beside0  10.99.0.1 fd99::1  ──────  10.99.0.2 fd99::2  beside0  $server
#	         lo       10.88.0.1 fd88::1          10.66.0.2 fd66::2  lo

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

for host in "$client" "$server"; do
	nsenter --net="/run/netns/$host" sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=0
	ip -n "$host" link set lo up
done
ip -n "$server" link add beside0 numtxqueues 1 numrxqueues 1 type veth \
	peer name beside0 netns "$client" numtxqueues 1 numrxqueues 1
for end in "$server 2" "$client 1"; do
	read -r host nr <<<"$end"
	ip -n "$host" addr add "10.99.0.$nr/24" dev beside0
	ip -n "$host" addr add "fd99::$nr/64" dev beside0 nodad
	nsenter --net="/run/netns/$host" ethtool -K beside0 tx off tso off gso off >/dev/null
	ip -n "$host" link set beside0 up
done
ip -n "$client" addr add 10.88.0.1/32 dev lo
ip -n "$client" addr add fd88::1/128 dev lo nodad
ip -n "$server" addr add 10.66.0.2/32 dev lo
ip -n "$server" addr add fd66::2/128 dev lo nodad
ip -n "$client" route add 10.66.0.2/32 via 10.77.0.2
ip -n "$client" -6 route add fd66::2/128 via fd77::2
# way DEVICE: by which the server answers the client's third address
way() {
	local nr=77
	[ "$1" = eth0 ] || nr=99
	ip -n "$server" route replace 10.88.0.0/24 via 10.$nr.0.1 dev "$1"
	ip -n "$server" -6 route flush fd88::/64 2>/dev/null || true
	ip -n "$server" -6 route add fd88::/64 via fd$nr::1 dev "$1"
}

cat >"$tmp/serve.py" <<'PY'
import socket, threading
def tcp():
	t = socket.socket(socket.AF_INET6)
	t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	t.bind(("::", 7100)); t.listen()
	while True:
		threading.Thread(target=echo, args=(t.accept()[0],), daemon=True).start()
def echo(c):
	while data := c.recv(1 << 20):
		c.sendall(data)
def udp(addr):
	u = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
	u.bind((addr, 7101))
	while True:
		u.sendto(*u.recvfrom(65536))
for addr in "10.77.0.2", "fd77::2", "10.66.0.2", "fd66::2":
	threading.Thread(target=udp, args=(addr,), daemon=True).start()
tcp()
PY
# ask.py SOURCE SERVER [tcp]: a stream and a datagram
cat >"$tmp/ask.py" <<'PY'
import os, socket, sys
source, server = sys.argv[1:3]
family = socket.AF_INET6 if ":" in server else socket.AF_INET
c = socket.socket(family)
c.settimeout(60)
c.bind(socket.getaddrinfo(source, 0)[0][4])
c.connect(socket.getaddrinfo(server, 7100)[0][4])
data, got = os.urandom(300000), b""
c.sendall(data[:1000])
while len(got) < 1000:
	got += c.recv(1 << 16)
c.sendall(data[1000:])
while len(got) < len(data):
	got += c.recv(1 << 16) or sys.exit("closed")
assert got == data
if "%" not in server and not sys.argv[3:]:
	u = socket.socket(family, socket.SOCK_DGRAM)
	u.settimeout(60)
	u.bind((source, 0))
	u.sendto(data[:1000], (server, 7101))
	assert u.recvfrom(2000)[0] == data[:1000]
PY
ask() {
	at_client timeout 200 python3 "$tmp/ask.py" "$@" || fail "from $1 to $2 $what"
}
counter() { # counter WHERE NAME
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if (c["where"], c["name"]) == tuple(sys.argv[1:])))' "$@"
}
# served_by channel|kernel SOURCE SERVER [tcp]
served_by() {
	local before after
	until_true rests counter gate sent
	before=$(counter gate sent)
	ask "${@:2}"
	after=$(counter gate sent)
	if [ "$1" = channel ]; then
		((after > before + 100)) || fail "from $2 to $3 $what: not by the channel"
	else
		((after == before)) || fail "from $2 to $3 $what: by the channel"
	fi
}
passes_are() { # the first datagram from there that the kernel gets says that vjd has told dispatch
	local before
	before=$(counter dispatch pass_way)
	at_client python3 -c '
import socket
for source, server in ("10.88.0.1", "10.77.0.2"), ("fd88::1", "fd77::2"):
	u = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
	u.bind((source, 0))
	u.sendto(b"x", (server, 7101))'
	(($(counter dispatch pass_way) == before + $1))
}

what="without vjchan"
way beside0
start plain.log "${on_server[@]}" python3 "$tmp/serve.py"
plain=${pids[-1]}
until_true at_client python3 -c 'import socket; socket.create_connection(("10.77.0.2", 7100), 10)'
ask 10.88.0.1 10.77.0.2
ask fd88::1 fd77::2
kill "$plain"
wait "$plain" 2>/dev/null || true

start_vjd --attach eth0
start serve.log "${on_server[@]}" "$vj" run -- python3 "$tmp/serve.py"
until_true leased 7100
off_trial 7100
local_of() { # the link-local address of $1 at eth0
	ip -n "$1" -6 -o addr show dev eth0 scope link | sed 's/.*inet6 \([^/]*\).*/\1/'
}
until_true sh -c "! ip -n $client -6 addr show tentative | grep -q inet6 && ! ip -n $server -6 addr show tentative | grep -q inet6"

both_ways() {
	what="answered where it came, $1"
	served_by channel 10.77.0.1 10.77.0.2
	served_by channel fd77::1 fd77::2
	served_by channel "$(local_of "$client")%eth0" "$(local_of "$server")%eth0"
	what="answered by the other interface, $1"
	served_by kernel 10.88.0.1 10.77.0.2
	served_by kernel fd88::1 fd77::2
}
both_ways "which is not attached"

# ---- an address of another device, to which packets may come by either: the kernel's, as long as there are two ways

what="to an address of the loopback device"
served_by kernel 10.77.0.1 10.66.0.2
served_by kernel fd77::1 fd66::2

# ---- programs that choose their address, or their routes do: by the channel from any of the host's; from a port that they know by the kernel

cat >"$tmp/begin.py" <<'PY'
import json, os, socket, subprocess, sys
vj = sys.argv[1]
def family(addr):
	return socket.AF_INET6 if ":" in addr else socket.AF_INET
def expect(way, source, server, ask=False, port=0):
	c = socket.socket(family(server))
	c.settimeout(60)
	c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	if source:
		c.bind((source, port))
	told = c.getsockname()[1] if ask else port
	c.connect((server, 7100))
	name = c.getsockname()
	assert not source or name[0] == source, (name, source)
	assert not told or name[1] == told, (name, told)
	assert c.getpeername()[:2] == (server, 7100)
	c.sendall(b"x" * 1000)
	cnt = 1000
	while cnt:
		cnt -= len(c.recv(cnt))
	said = json.loads(subprocess.run([vj, "why", "--json", str(os.getpid())], capture_output=True, text=True).stdout)
	why = next(s for s in said["sockets"] if s["remote"] and s["remote"]["port"] == 7100).get("why", {"name": "channel"})["name"]
	assert why == way, (source, server, ask, port, why)
	c.close()
	return name[0]
for own, lo, peer, chosen in ("10.77.0.2", "10.66.0.2", "10.77.0.1", "10.55.0.1"), ("fd77::2", "fd66::2", "fd77::1", "fd55::1"):
	expect("channel", None, peer)
	assert expect("channel", None, chosen) == lo # the route says so
	for source in own, lo:
		expect("channel", source, peer)
		expect("BOUND", source, peer, ask=True)
		expect("BOUND", source, peer, port=6543)
	u = socket.socket(family(lo), socket.SOCK_DGRAM)
	u.settimeout(60)
	u.bind((lo, 0))
	u.sendto(b"hello", (peer, 7101))
	assert u.recvfrom(100)[0] == b"hello"
c = socket.socket()
c.bind(("127.0.0.1", 0))
try:
	c.connect(("10.77.0.1", 7100))
	sys.exit("connected from a loopback address")
except OSError as e:
	import errno
	assert e.errno == errno.EINVAL, e
PY
sed 's/"10.77.0.2", "fd77::2", "10.66.0.2", "fd66::2"/"10.77.0.1", "fd77::1"/' "$tmp/serve.py" >"$tmp/serve_there.py"
start there.log "${on_client[@]}" python3 "$tmp/serve_there.py"
until_true at_client python3 -c 'import socket; socket.create_connection(("10.77.0.1", 7100), 10)'
ip -n "$client" addr add 10.55.0.1/32 dev lo
ip -n "$client" addr add fd55::1/128 dev lo nodad
ip -n "$server" route add 10.55.0.0/24 via 10.77.0.1 src 10.66.0.2
ip -n "$server" -6 route add fd55::/64 via fd77::1 src fd66::2
begins() { # by routes of which vjd has to hear first
	at_server sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/begin.py" "$vj" >"$tmp/begin.log" 2>&1
}
until_true begins

# ---- what begins here and is answered by another interface: the kernel's after a second, and at once when that is known

cat >"$tmp/begin_back.py" <<'PY'
import json, os, select, socket, subprocess, sys, threading, time
vj, servers, ways = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
def why():
	said = json.loads(subprocess.run([vj, "why", "--json", str(os.getpid())], capture_output=True, text=True).stdout)
	return next(s for s in said["sockets"] if s["remote"] and s["remote"]["port"] == 7100).get("why", {"name": "channel"})["name"]
def talk(c, server):
	c.settimeout(60)
	c.sendall(b"x" * 1000)
	cnt = 1000
	while cnt:
		cnt -= len(c.recv(cnt)) or sys.exit("closed")
	assert c.getpeername()[:2] == (server, 7100)
	said = why()
	assert said in ways, said
	c.close()
# it waits as well, so that another thread may be the one that hears of it
def beside():
	u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	u.bind(("10.77.0.2", 0))
	u.recv(1)
threading.Thread(target=beside, daemon=True).start()
def begin(server, blocks):
	c = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET)
	began = time.monotonic()
	if blocks:
		c.connect((server, 7100))
	else:
		p = select.epoll()
		p.register(c, select.EPOLLOUT)
		c.setblocking(False)
		assert c.connect_ex((server, 7100)) == 115
		assert p.poll(60) == [(c.fileno(), select.EPOLLOUT)]
		assert c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
	took = time.monotonic() - began
	talk(c, server)
	return took
for server in servers:
	took = [begin(server, blocks) for blocks in (False, True, True, False, True)]
	assert "channel" in ways or min(took[2:]) < 0.9, took
PY
begins_by() { # begins_by WAY SITUATION: as vj why names it. The time that it is to take a busy machine may need for itself
	echo "$2" >"$tmp/situation.log"
	until_true has_begun_by "$1"
}
has_begun_by() {
	at_server sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/begin_back.py" "$vj" "10.77.0.1 fd77::1" "$1" >"$tmp/begin.log" 2>&1
}
begins_by channel "with the same way back"
ip -n "$client" route add 10.77.0.2/32 via 10.99.0.2 dev beside0
ip -n "$client" -6 route add fd77::2/128 via fd99::2 dev beside0
begins_by UNANSWERED "answered by another interface"
# the same process afterwards, when the way back is the same again: on channels soon, though more than two were not answered
cat >"$tmp/answered.py" <<'PY'
import json, os, socket, subprocess, sys, time
vj = sys.argv[1]
def begin():
	with socket.create_connection(("10.77.0.1", 7100), 60):
		said = json.loads(subprocess.run([vj, "why", "--json", str(os.getpid())], capture_output=True, text=True).stdout)
		return next(s for s in said["sockets"] if s["remote"] and s["remote"]["port"] == 7100).get("why", {"name": "channel"})["name"]
while [begin() for _ in range(3)] != ["UNANSWERED"] * 3:
	pass
print("unanswered", flush=True)
sys.stdin.readline()
end = time.monotonic() + 30
while begin() != "channel":
	assert time.monotonic() < end, "it stays the kernel's"
	time.sleep(0.2)
print("on a channel", flush=True)
PY
mkfifo "$tmp/answered"
at_server sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/answered.py" "$vj" <"$tmp/answered" >"$tmp/answered.log" 2>&1 &
exec 6>"$tmp/answered"
until_true grep -q unanswered "$tmp/answered.log"
ip -n "$client" route del 10.77.0.2/32
echo >&6
until_true grep -q "on a channel" "$tmp/answered.log"
exec 6>&-
ip -n "$client" route add 10.77.0.2/32 via 10.99.0.2 dev beside0
"$vj" attach beside0 >/dev/null
until_true sh -c "\"$vj\" status | grep '^beside0 '"
begins_by UNANSWERED "answered by another interface that is attached"
"$vj" detach beside0 >/dev/null
ip -n "$client" route del 10.77.0.2/32
ip -n "$client" -6 route del fd77::2/128
begins_by channel "with the same way back again"

# ---- routes that change: what begins goes by them, and what the kernel has begun it goes on with

cat >"$tmp/hold.py" <<'PY'
import socket, sys
cs = [socket.create_connection((server, 7100), 60, (source, 0)) for source, server in (("10.88.0.1", "10.77.0.2"), ("fd88::1", "fd77::2"))]
for line in sys.stdin:
	for c in cs:
		c.settimeout(60)
		c.sendall(b"x" * 1000)
		cnt = 1000
		while cnt > 0:
			cnt -= len(c.recv(cnt)) or sys.exit("closed")
	print("same", flush=True)
PY
coproc HOLD { exec "${on_client[@]}" python3 "$tmp/hold.py" 2>&1; }
exec 6<&"${HOLD[0]}" 7>&"${HOLD[1]}"
pids+=("$HOLD_PID")
goes_on() {
	local said
	echo >&7
	read -r -t 200 said <&6 || fail "$1: nothing comes"
	[ "$said" = same ] || fail "$1: $said"
}
goes_on "a connection of the kernel's"
way eth0
until_true passes_are 0
what="whose way back is the same now"
served_by channel 10.88.0.1 10.77.0.2
served_by channel fd88::1 fd77::2
goes_on "a connection that the kernel began, with the way back by the channel's interface"
way beside0
until_true passes_are 2
what="whose way back is another one again"
served_by kernel 10.88.0.1 10.77.0.2
served_by kernel fd88::1 fd77::2
goes_on "a connection that the kernel began, with its old way"

# ---- a route of a higher metric doesn't count; one of two hops does, whichever it is

ip -n "$server" route add 10.88.0.0/24 via 10.77.0.1 dev eth0 metric 500
ip -n "$server" -6 route add fd88::/64 via fd77::1 dev eth0 metric 5000
sleep 0.3
what="with a worse route by the channel's interface"
served_by kernel 10.88.0.1 10.77.0.2
served_by kernel fd88::1 fd77::2
ip -n "$server" route del 10.88.0.0/24 metric 500
ip -n "$server" route replace 10.88.0.0/24 nexthop via 10.77.0.1 dev eth0 nexthop via 10.99.0.1 dev beside0
ip -n "$server" -6 route flush fd88::/64
ip -n "$server" -6 route add fd88::/64 nexthop via fd77::1 dev eth0 nexthop via fd99::1 dev beside0
until_true passes_are 0
what="with a hop at each interface"
served_by channel 10.88.0.1 10.77.0.2
served_by channel fd88::1 fd77::2
way beside0
until_true passes_are 2

# ---- the next vjd

kill $vjd
wait $vjd 2>/dev/null || true
start_vjd
until_true leased 7100
both_ways "with a new vjd"

# ---- the other interface is attached, too

"$vj" attach beside0 >/dev/null
until_true sh -c "\"$vj\" status | grep '^beside0 ' | grep -q native"
both_ways "which is attached"
"$vj" detach beside0 >/dev/null

# ---- one way again: the loopback device's address is the channel's, too

ip -n "$server" link del beside0
ip -n "$server" route del 10.88.0.0/24 2>/dev/null || true
goes_to_channel() {
	(served_by channel 10.77.0.1 10.66.0.2) 2>/dev/null
}
until_true goes_to_channel
what="to an address of the loopback device, with one way"
served_by channel 10.77.0.1 10.66.0.2
served_by channel fd77::1 fd66::2
exit 0
