#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Somebody else's XDP program at an attached interface keeps working: it was there first, or comes later, with or without force,
# by netlink or by a link; it sees every frame before channels do, and what it drops is in none. And it is left alone.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need redis-server redis-cli python3 bpftool tc

# the programs, pinned: $bpf/foreign_xdp, $bpf/foreign_tc, and the map of counters
bpf=/sys/fs/bpf/vjtest$$
trap 'rm -rf "$bpf"; hosts_down; cleanup' EXIT
mkdir "$bpf"
bpftool prog loadall "$VJ_BUILD_DIR/tests/apps/foreign.bpf.o" "$bpf" pinmaps "$bpf" || fail "the foreign program can't be loaded"

counted() { # counted 0|1: frames seen, dropped
	bpftool -j map lookup pinned "$bpf/foreign_cnt" key "$1" 0 0 0 | python3 -c '
import json, sys
print(int.from_bytes(bytes(int(b, 16) for b in json.load(sys.stdin)["value"]), "little"))'
}
foreign_on() { # foreign_on [overwrite]: by netlink
	at_server bpftool net attach xdpdrv pinned "$bpf/foreign_xdp" dev eth0 "$@"
}
foreign_off() {
	at_server bpftool net detach xdpdrv dev eth0
}
foreign_id=$(bpftool -j prog show pinned "$bpf/foreign_xdp" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
xdp_id() { # of what is there; 0: nothing
	ip -j -n "$server" -d link show eth0 | python3 -c '
import json, sys
print(json.load(sys.stdin)[0].get("xdp", {}).get("prog", {}).get("id", 0))'
}
is_at() { # is_at native|tc
	"$vj" status | has "^eth0 .*redis.* $1 "
}
delivered() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "delivered"))'
}
# what is asked for goes through the channel, and the other program has seen it
serves() { # serves SITUATION [foreign]
	local channel seen
	channel=$(delivered)
	seen=$(counted 0)
	for addr in 10.77.0.2 fd77::2; do
		[ "$(at_client timeout 60 redis-cli -h $addr -p 7000 ping)" = PONG ] || fail "$1: redis at $addr"
		at_client timeout 100 redis-cli -h $addr -p 7000 -x set big <"$tmp/value" >/dev/null
		at_client timeout 100 redis-cli -h $addr -p 7000 get big | tr -d '\n' | cmp - "$tmp/value" || fail "$1: a large value at $addr"
	done
	(($(delivered) - channel > 500)) || fail "$1: $(($(delivered) - channel)) frames came by the channel"
	[ "${2-}" != foreign ] || (($(counted 0) - seen > 500)) || fail "$1: the other program saw $(($(counted 0) - seen)) frames"
	at_client timeout 200 python3 "$tmp/ask.py" 10.77.0.2 7053 answered || fail "$1: datagrams, IPv4"
	at_client timeout 200 python3 "$tmp/ask.py" fd77::2 7053 answered || fail "$1: datagrams, IPv6"
}
cat >"$tmp/echo.py" <<'PY'
import select, socket
socks = []
for port in 7053, 7999:
	s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # so it is on channels before it reads
	s.bind(("::", port))
	socks.append(s)
while True:
	for s in select.select(socks, [], [])[0]:
		s.sendto(*s.recvfrom(65536))
PY
cat >"$tmp/ask.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60 if sys.argv[3] == "answered" else 1)
s.connect((sys.argv[1], int(sys.argv[2])))
for n in 1, 1000, 3000: # the last one in fragments
	s.send(b"x" * n)
	try:
		assert len(s.recv(65536)) == n and sys.argv[3] == "answered"
	except TimeoutError:
		assert sys.argv[3] == "dropped", n
PY
head -c 300000 /dev/urandom | base64 -w 0 >"$tmp/value"

# ---- it was there first

foreign_on
start_vjd
"$vj" attach eth0 >"$tmp/out" || fail "not attached behind another program: $(cat "$tmp/vjd.log")"
grep -q "eth0: channels are offered, MTU 1500; by tc" "$tmp/out" || fail "attach says: $(cat "$tmp/out")"
start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
until_true leased 7000
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7999 '"
off_trial 7000
until_true is_at tc || fail "status does not say tc: $("$vj" status)"
serves "behind a program that was there" foreign
at_server "$vj" doctor eth0 >"$tmp/doctor" || true
grep -q "^note  eth0 .*XDP program foreign_xdp (id $foreign_id) is there: it goes first" "$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"

# what it drops is in no channel, whoever has leased the port
before=$(counted 1)
at_client python3 "$tmp/ask.py" 10.77.0.2 7999 dropped || fail "a datagram that the other program drops was answered"
(($(counted 1) - before == 3)) || fail "$(($(counted 1) - before)) of 3 datagrams were dropped by the other program"
at_client python3 "$tmp/ask.py" fd77::2 7999 answered || fail "what it does not drop was not answered"

# ---- packets that the kernel has joined, and without checksums: taken apart, and filled in, on their way into the channel

at_client ethtool -K eth0 tx on tso on gso on >/dev/null
at_server ethtool -K eth0 gro on >/dev/null
serves "with a sender that leaves segments and checksums to its device" foreign
at_client ethtool -K eth0 tso off gso off tx off >/dev/null

# ---- vjd is killed: the next one knows the place

kill -9 $vjd
wait $vjd || true
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "nothing is served without a vjd"
start_vjd
until_true leased 7000
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7053 '"
serves "by the next vjd" foreign
[ "$(at_server tc filter show dev eth0 ingress | grep -c 'vj_dispatch_tc')" = 1 ] || fail "filters: $(at_server tc filter show dev eth0 ingress)"

# ---- it goes, and comes again: never any of our business

foreign_off
serves "with XDP's place left"
foreign_on
serves "with another program there again" foreign

# ---- somebody takes the filter away, the whole qdisc even

at_server tc qdisc del dev eth0 clsact
until_true sh -c "nsenter --net=/run/netns/$server tc filter show dev eth0 ingress | grep -q vj_dispatch_tc"
serves "after clsact was deleted" foreign

# ---- detach leaves what is not ours: the program, and clsact if it has other filters

at_server tc filter add dev eth0 ingress prio 1 bpf da object-pinned "$bpf/foreign_tc"
serves "behind another filter" foreign
"$vj" detach eth0 >/dev/null
[ "$(xdp_id)" = "$foreign_id" ] || fail "after detach the XDP program is $(xdp_id), not $foreign_id"
at_server tc filter show dev eth0 ingress >"$tmp/filters"
grep -q foreign_tc "$tmp/filters" || fail "after detach another's filter is gone"
grep -q vj_dispatch "$tmp/filters" && fail "after detach our filter is left"
at_server tc qdisc del dev eth0 clsact

# ---- held by a link, which nobody can replace

foreign_off
cat >"$tmp/link.py" <<'PY'
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def bpf(cmd, attr):
	buf = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
	fd = libc.syscall({"x86_64": 321, "aarch64": 280}[os.uname().machine], cmd, buf, 128)
	if fd < 0:
		sys.exit(f"bpf {cmd}: {os.strerror(ctypes.get_errno())}")
	return fd
path = ctypes.create_string_buffer(sys.argv[1].encode())
prog = bpf(7, struct.pack("<Q", ctypes.addressof(path))) # BPF_OBJ_GET
bpf(28, struct.pack("<IIII", prog, int(sys.argv[2]), 37, 1 << 2)) # BPF_LINK_CREATE, BPF_XDP, native
print("linked", flush=True)
time.sleep(1000)
PY
start link.log "${on_server[@]}" python3 "$tmp/link.py" "$bpf/foreign_xdp" "$(ip -n "$server" -o link show eth0 | cut -d: -f1)"
link=${pids[-1]}
until_true grep -q linked "$tmp/link.log"
"$vj" attach eth0 | has "by tc" || fail "not attached behind a link: $(cat "$tmp/vjd.log")"
until_true is_at tc
serves "behind a program held by a link" foreign
"$vj" detach eth0 >/dev/null
at_server tc qdisc show dev eth0 | has clsact && fail "clsact is left behind"
kill "$link"
wait "$link" 2>/dev/null || true

# ---- we were there first: who comes without force is refused, with force has the place, and we go behind

"$vj" attach eth0 | has "MTU 1500\$" || fail "not attached alone"
until_true is_at native
serves "alone"
foreign_on >/dev/null 2>&1 && fail "two programs in one place"
foreign_on overwrite
until_true is_at tc
[ "$(xdp_id)" = "$foreign_id" ] || fail "the other program was put out"
serves "after another program took the place" foreign
"$vj" detach eth0 >/dev/null
foreign_off

# ---- asked to leave the place: who comes later needs no force

"$vj" attach eth0 >/dev/null
until_true is_at native
# the other place is taken: it stays where it was, and is gone from there when it is to go
at_server tc qdisc add dev eth0 clsact
at_server tc filter add dev eth0 ingress prio 65000 handle 1 protocol all bpf da object-pinned "$bpf/foreign_tc"
"$vj" attach --tc eth0 >"$tmp/out" 2>&1 && fail "attach --tc where another filter is: $(cat "$tmp/out")"
grep -q "other programs hold" "$tmp/out" || fail "attach --tc where another filter is: $(cat "$tmp/out")"
is_at native || fail "not where it was: $("$vj" status)"
"$vj" detach eth0 >/dev/null
[ "$(xdp_id)" = 0 ] || fail "after an attach --tc that failed, detach leaves a program at XDP"
at_server tc qdisc del dev eth0 clsact
"$vj" attach eth0 >/dev/null
until_true is_at native
"$vj" attach --tc eth0 | has "by tc" || fail "attach --tc of what is attached"
until_true is_at tc
[ "$(xdp_id)" = 0 ] || fail "with --tc a program is left at XDP"
serves "with --tc"
foreign_on
serves "with --tc and a later program" foreign
kill "${pids[-1]}" 2>/dev/null || true
"$vj" detach eth0 >/dev/null
[ "$(xdp_id)" = "$foreign_id" ] || fail "at the end the XDP program is $(xdp_id), not $foreign_id"
exit 0
