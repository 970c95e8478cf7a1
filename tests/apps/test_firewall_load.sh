#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A hundred programs, each with its channel at an interface, sixteen ports and clients that talk all the time, under ten thousand rules; one more rule
# forbids one port: what went there stops, within a second where the machine has time to read so many rules, and nobody else loses a connection.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need nft python3

apps=100
# A hundred programs take a while to start on a busy machine.
long_until_true() {
	for _ in 1 2 3 4 5; do
		(until_true "$@") 2>/dev/null && return
	done
	until_true "$@"
}
first_port=2000
nft_do() {
	at_server nft "$@"
}
nft_do list ruleset >/dev/null 2>&1 || skip "no nftables in this kernel"

cells() {
	grep -c 'firewall: [0-9]* cells' "$tmp/vjd.log" || true
}
has_read() {
	[ "$(cells)" -gt "$1" ]
}

# Accepted by the last rule; and a rule that only the kernel has, so that all ports are asked about.
python3 - "$tmp/rules.nft" <<'EOF'
import sys
n = range(10000)
rules = ["ip saddr 10.%d.%d.9 tcp dport %d counter drop" % (i // 250, i % 250, 10000 + i) for i in n]
open(sys.argv[1], "w").write("table inet f {\nchain input {\ntype filter hook input priority 0; policy drop;\niif lo accept\n"
	"meta l4proto { icmp, ipv6-icmp } accept\n" + "\n".join(rules) + "\ntcp dport 9999 log accept\nudp dport 2000-2999 accept\n"
	"tcp dport 2000-2999 counter accept comment \"last\"\n}\n}\n")
EOF
nft_do -f "$tmp/rules.nft"
start_vjd --attach eth0
for i in $(seq 0 $((apps - 1))); do
	start "app$i.log" "${on_server[@]}" "$vj" run -- "$build/tests/apps/echo_ports" $((first_port + 8 * i)) 8
done
all_ready() {
	[ "$(cat "$tmp"/app*.log | grep -c ready)" = $apps ] && return
	for log in $(grep -L ready "$tmp"/app*.log); do # for who fails
		echo "${log##*/}: $(cat "$log")"
	done >"$tmp/not-ready.log"
	"$vj" status >>"$tmp/not-ready.log"
	return 1
}
long_until_true all_ready

# Of each program a connection, IPv4 and IPv6 in turn, and datagrams. SIGUSR1: "again" is said when all have been answered more often after that,
# but one that is forbidden. SIGTERM: what became of each is written
cat >"$tmp/clients.py" <<'EOF'
import json, os, select, signal, socket, sys, time

first, apps, out, forbidden = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
hosts = ("10.77.0.2", "fd77::2")
talks = []

class Talk:
	def __init__(self, nr, udp):
		self.port, self.udp, self.last, self.error, self.answers, self.again = first + 8 * nr, udp, 0, "", 0, 0
		at = (hosts[nr % 2], self.port)
		if udp:
			self.sock = socket.socket(socket.AF_INET6 if nr % 2 else socket.AF_INET, socket.SOCK_DGRAM)
			self.sock.connect(at)
		else:
			self.sock = socket.create_connection(at, 100)
		self.sock.setblocking(False)
	def say(self):
		try:
			self.sock.send(b"x")
		except BlockingIOError:
			pass
		except OSError as e:
			self.error = str(e)
	def hear(self):
		try:
			if not self.sock.recv(2000):
				self.error = "ended"
			self.last = time.time()
			self.answers += 1
			self.again += 1
		except BlockingIOError:
			pass
		except OSError as e:
			self.error = str(e)

def end(*_):
	json.dump([[t.port, t.udp, t.last, t.again, t.error] for t in talks], open(out, "w"))
	sys.exit(0)

# a server's first clients from beyond the host come by the kernel, and a hundred channels take a while to make
while not os.path.exists(sys.argv[5]):
	for c in [socket.create_connection((hosts[nr % 2], first + 8 * nr), 100) for nr in range(apps)]:
		c.send(b"x")
		c.recv(1)
		c.close()
	time.sleep(0.2)
talks = [Talk(nr, udp) for nr in range(apps) for udp in (False, True)]
signal.signal(signal.SIGTERM, end)
counts = False
def count(*_):
	global counts
	counts = True
	for t in talks:
		t.again = 0
signal.signal(signal.SIGUSR1, count)
poll = select.poll()
of = {t.sock.fileno(): t for t in talks}
for fd in of:
	poll.register(fd, select.POLLIN)
told = False
while True:
	for t in talks:
		if not t.error:
			t.say()
	until = time.time() + 0.2
	while time.time() < until:
		for fd, _ in poll.poll(20):
			of[fd].hear()
			if of[fd].error:
				poll.unregister(fd)
	if not told and all(t.answers >= 3 for t in talks):
		told = True
		print("steady", flush=True)
	if counts and all(t.again >= 5 or t.error for t in talks if t.udp or t.port != forbidden):
		counts = False
		print("again", flush=True)
EOF
forbidden=$((first_port + 8 * 50))
start clients.log "${on_client[@]}" python3 "$tmp/clients.py" $first_port $apps "$tmp/talks.json" $forbidden "$tmp/all-on-channels"
clients=${pids[-1]}
is_steady() {
	grep -q steady "$tmp/clients.log"
}
on_channels() {
	"$vj" status | grep -c '^eth0 .*echo_ports.* delivered ' || true
}
all_on_channels() {
	[ "$(on_channels)" = $apps ]
}
long_until_true all_on_channels
touch "$tmp/all-on-channels"
long_until_true is_steady

# what the kernel itself accepts of TCP: nothing, once all are on their channels
kernel_count() {
	nft_do list chain inet f input | sed -n 's/.*packets \([0-9]*\) .*comment "last".*/\1/p'
}
long_until_true rests kernel_count

# how long is nobody served? A program comes each 5 ms
cat >"$tmp/waits.py" <<'EOF'
import signal, socket, struct, sys, time
longest = 0
def end(*_):
	print("vjd kept a program waiting for %.1f ms at most" % (longest * 1e3))
	sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	began = time.monotonic()
	s.connect(sys.argv[1])
	s.send(struct.pack("IIIIiI32s32s", 1, 1, int(sys.argv[2]), 1, 0, 0, b"waits", b"x").ljust(128, b"\0"))
	if struct.unpack("I", s.recv(200)[:4])[0] != 2:
		sys.exit("no WELCOME")
	s.close()
	longest = max(longest, time.monotonic() - began)
	time.sleep(0.005)
EOF
version=$(sed -n 's/^enum { CTL_VERSION = \([0-9]*\),.*/\1/p' "${VJ_SOURCE_DIR:?}/src/control/msg.h")
start waits.log python3 "$tmp/waits.py" "$VJ_SOCKET" "$version"
waits=${pids[-1]}

until_true rests cells
read_before=$(cells)
nft_do insert rule inet f input tcp dport $forbidden drop
changed=$(date +%s.%N)
until_true has_read "$read_before"
kill -USR1 "$clients"
long_until_true grep -q again "$tmp/clients.log"
kill "$waits" && wait "$waits" || fail "waits: $(cat "$tmp/waits.log")"
cat "$tmp/waits.log"
kill "$clients" && wait "$clients" || fail "clients: $(cat "$tmp/clients.log")"
python3 - "$tmp/talks.json" $forbidden "$changed" <<'EOF'
import json, sys
port, changed = int(sys.argv[2]), float(sys.argv[3])
for p, udp, last, again, error in json.load(open(sys.argv[1])):
	if p == port and not udp:
		print("the flow that was forbidden was answered last %.3f s after the rule" % (last - changed))
		if again > 2: # what was on its way when the rule was in force
			sys.exit("it goes on: %d answers more" % again)
	elif error or again < 5:
		sys.exit("%s %d: %s, answered last %.3f s after the rule" % ("udp" if udp else "tcp", p, error or "silent", last - changed))
EOF
[ "$(on_channels)" = $apps ] || fail "$(on_channels) of $apps programs are on channels still"
