#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Servers that fork, at an interface, with clients of the kernel's: for each connection, or workers before. And one that does not: its clients
# from beyond the host come by a channel from the third on at the latest.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

start_vjd --attach eth0
cat >"$tmp/server.py" <<'PY'
import os, signal, socket, sys
how, port = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", port))
s.listen(64)
def serve(c):
	while data := c.recv(65536):
		c.sendall(b"%d:" % os.getpid() + data)
	c.close()
if how == "workers":
	for _ in range(3):
		if os.fork() == 0:
			break
while True:
	c, _ = s.accept()
	if how != "each":
		serve(c)
		continue
	if os.fork() == 0:
		s.close()
		serve(c)
		os._exit(0)
	c.close()
PY
cat >"$tmp/ask.py" <<'PY'
import socket, sys
who = set()
for _ in range(30):
	for host in "10.77.0.2", "fd77::2":
		c = socket.create_connection((host, int(sys.argv[1])), 10)
		for _ in range(3):
			c.sendall(b"hello" * 200)
			got = b""
			while got.count(b"hello") < 200:
				more = c.recv(65536)
				assert more, "closed"
				got += more
		who.add(got.split(b":")[0])
		c.close()
print(len(who))
PY
for how in "each 7100" "workers 7101" "one 7102"; do
	# shellcheck disable=SC2086
	start "$how.log" "${on_server[@]}" "$vj" run -- python3 "$tmp/server.py" $how
	until_true has_lease "${how#* }"
done
each=${pids[0]} one=${pids[2]}
delivered() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "delivered"))'
}
why_of() { # why_of PID: of its listening socket
	"$vj" why --json "$1" | python3 -c '
import json, sys
print(next(s for s in json.load(sys.stdin)["sockets"] if s["listens"]).get("why", {"name": "none"})["name"])'
}

# a process for each: the kernel's, beyond the host; each is served
before=$(delivered)
[ "$(at_client timeout 60 python3 "$tmp/ask.py" 7100)" = 60 ] || fail "not by a process for each connection"
[ "$(delivered)" = "$before" ] || fail "frames went to a process that could not have served them"
[ "$(why_of "$each")" = TRIAL ] || fail "vj why of one that forks for each says $(why_of "$each")"

# ... also of clients of this host, by channels
[ "$(at_server timeout 60 "$vj" run -- python3 "$tmp/ask.py" 7100)" = 60 ] || fail "not by a process for each connection of this host"

# workers: each holds its own, and several have some
until_true sh -c "[ \$(\"$vj\" status | grep -c '^tcp .*:7101 ') -ge 4 ]"
until_true sh -c "[ \$(\"$vj\" status | grep -c '^eth0 .*python3.* native ') -ge 4 ]"
before=$(delivered)
workers=$(at_client timeout 60 python3 "$tmp/ask.py" 7101)
((workers >= 2)) || fail "$workers of 4 workers had connections"
(($(delivered) - before > 300)) || fail "workers were not served by channels: $(($(delivered) - before)) frames"

# one process: at most two of 60 by the kernel
before=$(delivered)
[ "$(at_client timeout 60 python3 "$tmp/ask.py" 7102)" = 1 ] || fail "not by one process"
(($(delivered) - before > 58 * 5)) || fail "it was not served by a channel: $(($(delivered) - before)) frames"
[ "$(why_of "$one")" = none ] || fail "vj why of one that serves by itself says $(why_of "$one")"
exit 0
