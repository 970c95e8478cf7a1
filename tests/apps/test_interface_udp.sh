#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A UDP server at an interface whose children read on, or have a socket of their own for each peer, with clients of the kernel's beyond the
# host: none of their datagrams is lost when the port becomes the kernel's in the middle of them.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

start_vjd --attach eth0
cat >"$tmp/server.py" <<'PY'
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def opened():
	s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	s.bind(("::", int(sys.argv[1])))
	return s
def serve(s, child):
	while True:
		what, who = s.recvfrom(2000)
		if what == b"child" and not child:
			if os.fork() == 0:
				serve(s, True)
			while True: # it reads no more
				signal.pause()
		if what == b"peer" and not child:
			if os.fork() == 0:
				s.close()
				s = opened()
				s.connect(who)
				s.send(b"%d:ready" % os.getpid())
				serve(s, True)
			continue
		s.sendto(b"%d:%s" % (os.getpid(), what), who)
serve(opened(), False)
PY
cat >"$tmp/ask.py" <<'PY'
import socket, sys, time
port, host, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect((host, port))
if what != "ask":
	s.send(what.encode())
if what == "peer":
	assert s.recv(2000).endswith(b":ready")
who = set()
for i in range(40): # many at a time, so that some are under way whatever happens
	s.send(b"%d" % i)
for i in range(40):
	pid, nr = s.recv(2000).split(b":")
	assert int(nr) == i, (nr, i)
	who.add(int(pid))
assert len(who) == 1, who
print(*who)
PY
delivered() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "delivered"))'
}
port=7200
# asks HOST WHAT: the process that answered 40 times, in order
asks() {
	at_client timeout 60 python3 "$tmp/ask.py" "$port" "$1" "$2"
}
by_channel() {
	local before
	before=$(delivered)
	[ "$(asks "$1" ask)" = "$2" ] && (($(delivered) - before >= 40))
}
kernel_alone() {
	local before
	before=$(delivered)
	[ "$(asks "$1" ask)" = "$2" ] && (($(delivered) == before))
}

for host in 10.77.0.2 fd77::2; do
	for what in child peer; do
		port=$((port + 1))
		start "$port.log" "${on_server[@]}" "$vj" run -- python3 "$tmp/server.py" $port
		holder=${pids[-1]}
		until_true asks "$host" ask
		until_true by_channel "$host" "$holder"
		by_child=$(asks "$host" $what) || fail "$what at $host: not answered, or not by one"
		[ "$by_child" != "$holder" ] || fail "$what: answered by the process that was to leave them to its child"
		if [ $what = child ]; then
			until_true kernel_alone "$host" "$by_child"
		else
			until_true kernel_alone "$host" "$holder"
		fi
		echo "$what at $host: answered, all and in order"
	done
done
