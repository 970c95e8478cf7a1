#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Interface channels when things go wrong: an application that is stopped finds its frames in order, as many as are
# held for it; vjd killed under load breaks nothing, and the next one takes over; who dies meanwhile is cleaned up after.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need redis-server redis-cli redis-benchmark python3

# ---- too few descriptors: an attach is done as a whole, or nothing is left of it

leaves_nothing() {
	kill $vjd
	wait $vjd || fail "vjd ends with $?"
	[ ! -e "$VJ_SOCKET.d" ] || fail "with $1 descriptors there is left behind: $(ls "$VJ_SOCKET.d")"
}

# vjd's descriptors of BPF, and are they CNT?
bpf_fds() {
	find /proc/$vjd/fd -lname '*bpf*' | wc -l
}
has_bpf_fds() {
	[ "$(bpf_fds)" = "$1" ]
}
# The pair of devices that is made ahead is made by a thread, with descriptors of its own meanwhile.
settles() {
	local before
	before=$(bpf_fds)
	sleep 1
	has_pairs 0 && has_bpf_fds "$before"
}

few_descriptors() {
	local have done=0 failed=0 said left room fds=0
	for room in 2 3 4 5 6; do
		start_vjd
		have=$(find /proc/$vjd/fd -type l | wc -l)
		prlimit --pid $vjd --nofile=$((have + room)):1024
		"$vj" attach eth0 >/dev/null 2>&1 && fail "attached with $room descriptors"
		leaves_nothing $room
	done
	start_vjd
	for room in $(seq 1 6 127); do
		prlimit --pid $vjd --nofile=$((have + room)):1024
		said=$("$vj" attach eth0 2>&1) || said="refused: $said"
		prlimit --pid $vjd --nofile=1024:1024
		# shellcheck disable=SC2086
		left=$(ls -d $pins 2>/dev/null || true)
		if [[ $said == refused:* ]]; then
			failed=$((failed + 1))
			[ -z "$left" ] || fail "with $room descriptors $said, but there is $left"
			ip -n "$server" link show eth0 | has prog/xdp && fail "with $room descriptors $said, but it is attached"
			continue
		fi
		done=$((done + 1))
		if ((fds == 0)); then
			until_true settles
			fds=$(bpf_fds)
		fi
		until_true has_bpf_fds $fds
		"$vj" detach eth0 >/dev/null
	done
	((done > 0 && failed > 0)) || fail "attached $done times, refused $failed times"
	leaves_nothing "enough"
}
few_descriptors

# ---- what cannot be pinned does not stay attached: the next vjd would have no maps of it

pin=/sys/fs/bpf/vjchan/if$(ip -n "$server" -o link show eth0 | cut -d: -f1)-net$(stat -Lc %i "/run/netns/$server")/dispatch_cfg
mkdir -p "$pin"
start_vjd
"$vj" attach eth0 >/dev/null 2>&1 && fail "attached without a pin"
ip -n "$server" link show eth0 | has prog/xdp && fail "still attached without a pin"
rmdir "$pin"
"$vj" attach eth0 >/dev/null || fail "not attached after that: $(cat "$tmp/vjd.log")"
leaves_nothing "enough"

start_vjd --attach eth0

# The process that a background `vj run` has become.
program_of() {
	"$vj" status --json | python3 -c '
import json, sys
print(next(a["pid"] for a in json.load(sys.stdin)["applications"] if a["name"].startswith(sys.argv[1])))' "$1"
}

# ---- stopped for a second: numbered datagrams, more than its memory has room for

cat >"$tmp/numbers.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24) # SO_RCVBUFFORCE
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # so it is on channels before it reads
s.bind(("0.0.0.0", 7053))
print("ready", flush=True)
last = seen = 0
while last >= 0:
	data, peer = s.recvfrom(2048)
	n = int(data[:8])
	if n == 0: # how is it?
		s.sendto(b"%d %d" % (seen, last), peer)
		seen = last = 0
		continue
	if n <= last:
		s.sendto(b"%d after %d" % (n, last), peer)
		sys.exit("out of order")
	last, seen = n, seen + 1
PY
cat >"$tmp/send.py" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(("10.77.0.2", 7053))
for n in range(1, int(sys.argv[1]) + 1):
	s.send(b"%8d" % n + b"x" * 56)
	if n % 50 == 0:
		time.sleep(0.001)
PY
cat >"$tmp/ask.py" <<'PY'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(("10.77.0.2", 7053))
for _ in range(6): # for which there was no room, while all the others were held
	s.send(b"%8d" % 0)
	try:
		print(s.recv(100).decode())
		break
	except TimeoutError:
		pass
PY
# stopped CNT: what the application has seen of CNT datagrams sent while it was stopped: how many, and the last one
stopped() {
	kill -STOP "$numbers"
	at_client python3 "$tmp/send.py" "$1"
	sleep 1
	kill -CONT "$numbers"
	sleep 1
	at_client python3 "$tmp/ask.py"
}

start numbers.log "${on_server[@]}" "$vj" run -- python3 "$tmp/numbers.py"
until_true grep -q ready "$tmp/numbers.log"
numbers=$(program_of python3)
[ "$(stopped 500)" = "500 500" ] || fail "500 datagrams while it was stopped: $(cat "$tmp/numbers.log")"
said=$(stopped 2500)
[ "$said" = "2500 2500" ] || fail "2500 datagrams while it was stopped: $said"
"$vj" status | has -E 'spilled +1[0-9]{3}$' || fail "nothing was spilled: $("$vj" status)"
said=$(stopped 5000)
seen=${said% *}
((seen >= 3000 && seen < 5000)) || fail "5000 datagrams while it was stopped: $said"
"$vj" status | has -E "spill_full +$((5000 - seen))\$" || fail "$said seen, but: $("$vj" status)"
[ "$(stopped 2500)" = "2500 2500" ] || fail "the quota was not given back"

# ---- stopped for ten seconds in the middle of two streams, IPv4 and IPv6: both go on, and nothing of them is missing

cat >"$tmp/sink.py" <<'PY'
import hashlib, socket, threading
def serve(c):
	seen = hashlib.sha256()
	while data := c.recv(65536):
		seen.update(data)
	c.sendall(seen.digest())
	c.close()
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 7054))
s.listen()
while True:
	threading.Thread(target=serve, args=(s.accept()[0],)).start()
PY
cat >"$tmp/stream.py" <<'PY'
import hashlib, os, socket, sys, time
c = socket.create_connection((sys.argv[1], 7054), 100)
sent = hashlib.sha256()
block = os.urandom(1 << 16)
end = time.monotonic() + 14
while time.monotonic() < end:
	c.sendall(block)
	sent.update(block)
	time.sleep(0.001)
c.shutdown(socket.SHUT_WR)
assert c.recv(100) == sent.digest(), "it is another stream that arrived"
PY
start sink.log "${on_server[@]}" "$vj" run -- python3 "$tmp/sink.py"
sink=${pids[-1]}
until_true leased 7054
off_trial 7054
streams=()
for addr in 10.77.0.2 fd77::2; do
	"${on_client[@]}" timeout 300 python3 "$tmp/stream.py" $addr >"$tmp/stream-$addr.log" 2>&1 &
	streams+=($!)
done
stream_on_channel() {
	"$vj" connections "$sink" | has "$1"
}
for addr in 10.77.0.2 fd77::2; do until_true stream_on_channel $addr; done
kill -STOP "$sink"
sleep 10
kill -CONT "$sink"
wait "${streams[0]}" || fail "a stream over IPv4 to who was stopped for ten seconds: $(cat "$tmp/stream-10.77.0.2.log")"
wait "${streams[1]}" || fail "a stream over IPv6 to who was stopped for ten seconds: $(cat "$tmp/stream-fd77::2.log")"
kill "$sink"

# ---- vjd killed under load

start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 --protected-mode no --save '' --dir "$tmp"
until_true leased 7000
at_client timeout 300 redis-benchmark -h 10.77.0.2 -p 7000 -t get -n 100000 -c 50 -q >"$tmp/bench.log" 2>&1 &
bench=$!
sleep 1
kill -9 $vjd
wait $vjd || true
kill -0 $bench 2>/dev/null || echo "the load was over before the kill counted"
start_vjd
wait $bench || fail "connections broke when vjd was killed: $(cat "$tmp/bench.log")"
until_true leased 7000
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7053 '"
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "no connections after vjd was killed"
[ "$(stopped 2500)" = "2500 2500" ] || fail "nothing is spilled by the next vjd"
sleep 16 # until whoever was waited for is given up
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "the next vjd has given up a living application"

# ---- vjd ends as it is told to, while applications have channels: they serve on, and the next one has them

kill $vjd
wait $vjd || fail "vjd ends with $?"
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "nothing is served without a vjd"
start_vjd
until_true leased 7000
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7053 '"
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "nothing is served by the next vjd"
[ "$(stopped 2500)" = "2500 2500" ] || fail "nothing is spilled by the vjd after it"

# ---- an application dies while no vjd is there

redis=$(program_of redis)
kill -9 $vjd
wait $vjd || true
kill -9 "$redis"
start_vjd
until_true has_pairs 1
is_closed() {
	local said
	said=$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping 2>&1 || true)
	[[ $said == *"Connection refused"* ]]
}
until_true is_closed
[ "$(stopped 100)" = "100 100" ] || fail "the other application suffers"
exit 0
