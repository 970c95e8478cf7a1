#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What one application does or suffers at an interface is not felt beside it, measured: numbered datagrams to another one, and its
# requests over TCP, while one is killed under load, one is stopped, vjd is killed, and one attacks with frames of its own
# making. None is lost, none is refused, no connection breaks; and each attack is counted, and none seen on the wire.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 redis-server redis-cli redis-benchmark
start_vjd --attach eth0

# ---- the one beside: counts datagrams, and answers over TCP

cat >"$tmp/beside.py" <<'PY'
import selectors, socket
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.setsockopt(socket.SOL_SOCKET, 33, 1 << 24) # SO_RCVBUFFORCE
u.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # so it is on channels before it reads
u.bind(("::", 7053))
t = socket.create_server(("::", 7054), family=socket.AF_INET6, dualstack_ipv6=True)
sel = selectors.DefaultSelector()
sel.register(u, selectors.EVENT_READ)
sel.register(t, selectors.EVENT_READ)
seen = lost = last = 0
while True:
	for key, _ in sel.select():
		s = key.fileobj
		if s is u:
			data, peer = u.recvfrom(2048)
			n = int(data[:10])
			if n:
				u.sendto(data[:10], peer)
				lost += n - last - 1
				seen, last = seen + 1, n
			else:
				u.sendto(b"%d %d" % (seen, lost), peer)
				seen = lost = last = 0
		elif s is t:
			c, _ = t.accept()
			sel.register(c, selectors.EVENT_READ)
		else:
			data = s.recv(4096)
			if data:
				s.sendall(data)
			else:
				sel.unregister(s)
				s.close()
PY
# Load for the one beside: a datagram each 2 ms, one connection that asks all the time, a new one each 50 ms; until told to stop. Datagrams that
# were not answered are at most so many that an application that comes late has room for them, also while no vjd holds them for it.
# Prints datagrams sent, those seen, those lost; answers over TCP, the slowest in ms; connections made.
cat >"$tmp/load.py" <<'PY'
import os, select, socket, sys, threading, time
host, stop = sys.argv[1:]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
sent = answered = asked = made = 0
slowest = 0.0
failed = []
def guarded(fn):
	def run():
		try:
			while (not os.path.exists(stop) or asked <= 100 or made <= 5) and not failed:
				fn()
				if sent > 10 and asked > 10 and made > 0 and not os.path.exists(stop + ".under_way"):
					open(stop + ".under_way", "w").close()
		except Exception as e:
			failed.append(f"{fn.__name__}: {e!r}")
	return threading.Thread(target=run)
u = socket.socket(family, socket.SOCK_DGRAM)
u.settimeout(60)
u.connect((host, 7053))
def datagram():
	global sent, answered
	u.send(b"%10d" % (sent + 1) + b"x" * 54)
	sent += 1
	while sent - answered >= 64 or select.select([u], [], [], 0)[0]:
		answered = int(u.recv(100))
	time.sleep(0.002)
c = socket.create_connection((host, 7054), 60)
def ask():
	global asked, slowest
	begin = time.monotonic()
	c.sendall(b"y" * 100)
	got = 0
	while got < 100:
		more = len(c.recv(4096))
		assert more, "closed"
		got += more
	asked += 1
	slowest = max(slowest, time.monotonic() - begin)
	time.sleep(0.002)
def connect():
	global made
	with socket.create_connection((host, 7054), 60) as d:
		d.sendall(b"z")
		assert d.recv(10) == b"z"
	made += 1
	time.sleep(0.05)
threads = [guarded(fn) for fn in (datagram, ask, connect)]
for t in threads: t.start()
for t in threads: t.join()
if failed:
	sys.exit("; ".join(failed))
while answered < sent:
	answered = int(u.recv(100))
u.send(b"%10d" % 0)
seen, lost = u.recv(100).decode().split()
print(sent, seen, lost, asked, round(slowest * 1000), made)
PY
start beside.log "${on_server[@]}" "$vj" run -- python3 "$tmp/beside.py"
until_true leased 7054
off_trial 7054
begin() { # begin HOST
	rm -f "$tmp/stop" "$tmp/stop.under_way"
	at_client timeout 300 python3 "$tmp/load.py" "$1" "$tmp/stop" >"$tmp/load.log" 2>&1 &
	load=$!
	pids+=("$load")
	until_true test -e "$tmp/stop.under_way"
}
# end WHAT: nothing was lost beside it
end() {
	local sent seen lost asked slowest made
	touch "$tmp/stop"
	wait "$load" || fail "$1: beside it: $(cat "$tmp/load.log")"
	read -r sent seen lost asked slowest made <"$tmp/load.log"
	echo "$1: $sent datagrams, $lost lost; $asked answers, the slowest in $slowest ms; $made connections"
	[ "$seen" = "$sent" ] && [ "$lost" = 0 ] || fail "$1: of $sent datagrams to another application $seen came, $lost are missing"
}
counter() { # counter WHERE NAME: of all applications
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if (c["where"], c["name"]) == tuple(sys.argv[1:])))' "$1" "$2"
}

# ---- an application is killed under load: its peers hear of it, its port is closed. (Within a second, where there is time for it.)

cat >"$tmp/victim.py" <<'PY'
import socket, threading
t = socket.create_server(("::", 7060), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(c):
	try:
		while data := c.recv(65536):
			c.sendall(data)
	except OSError:
		pass
while True:
	threading.Thread(target=serve, args=(t.accept()[0],), daemon=True).start()
PY
cat >"$tmp/peers.py" <<'PY'
import socket, sys, threading, time
ends = []
ready = threading.Barrier(21)
def peer(host, idle):
	c = socket.create_connection((host, 7060), 60)
	c.settimeout(100)
	try:
		c.sendall(b"x" * 1000)
		c.recv(4096)
		ready.wait()
		while True:
			if idle: # it only waits
				assert not c.recv(4096), "something came"
				ends.append("closed")
				return
			c.sendall(b"x" * 1000)
			if not c.recv(65536):
				ends.append("closed")
				return
	except ConnectionResetError:
		ends.append(time.monotonic())
	except OSError as e:
		ends.append(repr(e))
threads = [threading.Thread(target=peer, args=(("10.77.0.2", "fd77::2")[i % 2], i % 4 < 2)) for i in range(20)]
for t in threads: t.start()
ready.wait()
print("ready", flush=True)
sys.stdin.readline()
killed = time.monotonic()
for t in threads: t.join(100)
bad = [e for e in ends if not isinstance(e, float) or e - killed > 30]
assert len(ends) == 20 and not bad, f"{len(ends)} of 20 ended, {bad}"
for host in "10.77.0.2", "fd77::2":
	try:
		socket.create_connection((host, 7060), 60)
		sys.exit(f"{host}: the port of a dead application is open")
	except ConnectionRefusedError:
		pass
took = time.monotonic() - killed
print(f"reset after {max(ends) - killed:.3f} s at the latest, closed after {took:.3f} s")
PY
start victim.log "${on_server[@]}" "$vj" run -- python3 "$tmp/victim.py"
victim=${pids[-1]}
until_true leased 7060
off_trial 7060
begin 10.77.0.2
coproc PEERS { exec "${on_client[@]}" timeout 300 python3 "$tmp/peers.py" 2>&1; }
peers=$PEERS_PID
exec 6<&"${PEERS[0]}" 7>&"${PEERS[1]}"
read -r -t 100 said <&6 || fail "no peers"
[ "$said" = ready ] || fail "peers: $said"
sleep 1
kill -9 "$victim"
echo >&7
said=$(cat <&6)
wait "$peers" 2>/dev/null || fail "peers of one that was killed: $said"
echo "killed under load: $said"
end "one was killed under load"

# ---- one is stopped for two seconds, and its frames are held

start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 --protected-mode no --save '' --dir "$tmp"
redis=${pids[-1]}
until_true leased 7000
off_trial 7000
begin fd77::2
at_client timeout 300 redis-benchmark -h 10.77.0.2 -p 7000 -t set -d 1000 -n 100000 -c 50 -q >"$tmp/bench.log" 2>&1 &
bench=$!
sleep 1
kill -STOP "$redis"
sleep 2
kill -CONT "$redis"
wait $bench || fail "one that was stopped: $(tail -2 "$tmp/bench.log")"
end "one was stopped under load"

# ---- vjd is killed, and started again

begin fd77::2
at_client timeout 300 redis-benchmark -h 10.77.0.2 -p 7000 -t get -n 100000 -c 50 -q >"$tmp/bench.log" 2>&1 &
bench=$!
sleep 0.5
kill -9 $vjd
wait $vjd 2>/dev/null || true
sleep 1
start_vjd
until_true leased 7054
wait $bench || fail "vjd was killed: $(tail -2 "$tmp/bench.log")"
end "vjd was killed under load"

# ---- vjd is killed while it holds frames of one that is stopped: whose ring serves again when it runs, without any vjd

beside=$(at_server ss -Hltnp "sport = :7054" | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -1)
at_client timeout 300 python3 -c '
import os, signal, socket, sys, time
beside, vjd = map(int, sys.argv[1:])
conns = [socket.create_connection((host, 7054), 60) for host in ("10.77.0.2", "fd77::2")]
def ask():
	for c in conns:
		c.settimeout(60)
		c.sendall(b"y")
		assert c.recv(10) == b"y"
ask()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect(("10.77.0.2", 7053))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) # without the answers that nobody reads
v.settimeout(60)
v.connect(("10.77.0.2", 7053))
os.kill(beside, signal.SIGSTOP)
for i in range(6000): # more than its ring takes
	u.send(b"%10d" % (i + 1))
	if i % 50 == 0:
		time.sleep(0.001)
time.sleep(0.3)
os.kill(vjd, signal.SIGKILL)
time.sleep(0.2)
os.kill(beside, signal.SIGCONT)
ask()
v.send(b"%10d" % 0) # counts anew
seen, lost = map(int, v.recv(100).split())
assert seen < 6000, "nothing was held"
print(f"{seen} of 6000 datagrams came")' "$beside" "$vjd" || fail "vjd was killed with frames that it held: no answer from their application"
wait $vjd 2>/dev/null || true
start_vjd
until_true leased 7054

# ---- attacks: frames that the attacker has made itself, in its own rings

cat >"$tmp/attack.py" <<'PY'
import mmap, os, re, socket, struct, sys, time
header, path, ifindex, stop = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
text = open(header).read()
version = int(re.search(r"CTL_VERSION\s*=?\s*(\d+)", text)[1])
numbers = {name: int(nr) for name, nr in re.findall(r"X\((\w+),\s*(\d+),\s*(?:CLIENT|DAEMON|EVENT),", text)}
vjd = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
vjd.settimeout(60)
vjd.connect(path)
body = struct.pack("<IIiI", version, 0, os.getpid(), 0) + b"attacker".ljust(32, b"\0") + b"1".ljust(32, b"\0")
vjd.send((struct.pack("<II", numbers["HELLO"], 1) + body).ljust(128, b"\0"))
vjd.send((struct.pack("<II", numbers["INTERFACE"], 2) + struct.pack("<I", ifindex)).ljust(128, b"\0"))
while True:
	msg, fds, *_ = socket.recv_fds(vjd, 128, 8)
	if struct.unpack_from("<I", msg)[0] == numbers["INTERFACE_OPEN"]:
		break
_, xsk_fd, memory_fd, *_ = fds
said = struct.unpack_from("<10I", msg, 8)
frame_bytes, frame_cnt, tx_cnt, comp_cnt = said[4], said[5], said[7], said[9]
mac = msg[48:54]
xsk = socket.socket(44, socket.SOCK_RAW, 0, fileno=xsk_fd) # AF_XDP
memory = mmap.mmap(memory_fd, frame_bytes * frame_cnt)
off = struct.unpack("<16Q", xsk.getsockopt(283, 1, 128)) # SOL_XDP, XDP_MMAP_OFFSETS: rx, tx, fill, completion
def ring(kind, entry_bytes, cnt, pgoff):
	producer, consumer, desc, _ = off[4 * kind:4 * kind + 4]
	return mmap.mmap(xsk.fileno(), desc + entry_bytes * cnt, offset=pgoff), producer, consumer, desc
tx, tx_prod, tx_cons, tx_desc = ring(1, 16, tx_cnt, 0x80000000)
comp, comp_prod, comp_cons, comp_desc = ring(3, 8, comp_cnt, 0x180000000)
u32 = lambda m, at: struct.unpack_from("<I", m, at)[0]
def add(data): # RFC 1071
	total = sum(struct.unpack(f">{len(data) // 2}H", data))
	total = (total >> 16) + (total & 0xffff)
	return ~(total + (total >> 16)) & 0xffff
peer = bytes.fromhex(sys.argv[5].replace(":", ""))
def frame(src_mac=mac, src=(10, 77, 0, 2), port=5555, kind=0x0800, size=100):
	payload = b"ATTACK".ljust(size, b"!")
	udp = struct.pack(">HHHH", port, 9, 8 + len(payload), 0) + payload
	ip = struct.pack(">BBHHHBBH4B4B", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, *src, 10, 77, 0, 1)
	ip = ip[:10] + struct.pack(">H", add(ip)) + ip[12:]
	return peer + src_mac + struct.pack(">H", kind) + ip + udp
arp = peer + mac + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mac + bytes((10, 77, 0, 1)) + peer + bytes((10, 77, 0, 1)) + b"ATTACK"
frames = [
	frame(src_mac=b"\x02\x00\x00\x00\x00\x99"), # not its MAC address
	frame(src=(10, 77, 0, 1)), # nor its address
	frame(port=7054), # nor its port: another application's
	arp, # nobody's business
	frame(size=1473), # longer than the MTU
]
for i, f in enumerate(frames):
	memory[i * frame_bytes:i * frame_bytes + len(f)] = f
def send(descs):
	at = u32(tx, tx_prod)
	for i, (addr, size) in enumerate(descs):
		struct.pack_into("<QII", tx, tx_desc + 16 * ((at + i) % tx_cnt), addr, size, 0)
	struct.pack_into("<I", tx, tx_prod, (at + len(descs)) & 0xffffffff)
	for _ in range(10000):
		try:
			xsk.send(b"", socket.MSG_DONTWAIT)
		except OSError:
			pass
		struct.pack_into("<I", comp, comp_cons, u32(comp, comp_prod))
		if u32(tx, tx_cons) == u32(tx, tx_prod):
			return len(descs)
	return 0
sent = 0
while not os.path.exists(stop):
	sent += send([(i % len(frames) * frame_bytes, len(frames[i % len(frames)])) for i in range(30)])
# descriptors and indices of garbage
send([(frame_bytes * frame_cnt + 4096, 100), (2**63, 100), (0, 0xffffffff), (frame_bytes - 10, 4000)])
struct.pack_into("<I", tx, tx_prod, (u32(tx, tx_prod) + 0x40000000) & 0xffffffff)
struct.pack_into("<I", comp, comp_cons, 0xdeadbeef)
for _ in range(100):
	try:
		xsk.send(b"", socket.MSG_DONTWAIT)
	except OSError:
		pass
print(sent)
PY
# what of it can be seen on the wire
start wire.log "${on_client[@]}" python3 -u -c '
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
print("ready")
while True:
	frame = s.recv(4096)
	if b"ATTACK" in frame:
		print("seen")
	if b"THE END" in frame:
		print("end")'
until_true grep -q ready "$tmp/wire.log"
ifindex=$(ip -n "$server" -o link show eth0 | cut -d: -f1)
peer_mac=$(ip -n "$client" -o link show eth0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
begin 10.77.0.2
at_server timeout 300 python3 "$tmp/attack.py" "$VJ_SOURCE_DIR/src/control/msg.h" "$VJ_SOCKET" "$ifindex" "$tmp/enough" "$peer_mac" \
	>"$tmp/attack.log" 2>&1 &
attack=$!
are_refused() {
	(($(counter gate "$1") > 100))
}
for name in gate_src_mac gate_src_addr gate_src_port gate_type gate_len; do
	until_true are_refused $name
done
sleep 5 # of that
touch "$tmp/enough"
wait $attack || fail "the attack: $(cat "$tmp/attack.log")"
end "one attacked, with $(cat "$tmp/attack.log") frames"
says_end() { # what came before has been looked at
	at_server python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"THE END", ("10.77.0.1", 9))'
	grep -q end "$tmp/wire.log"
}
until_true says_end
grep -q seen "$tmp/wire.log" && fail "$(grep -c seen "$tmp/wire.log") frames of the attack came out"
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "redis does not serve after the attack"
exit 0
