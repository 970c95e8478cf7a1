#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Servers at an interface, with clients of the kernel's, that fork: for each connection, or workers before; that send what they accept to a
# worker (SCM_RIGHTS), from the first on or later. And one that does neither: its clients from beyond the host come by a channel from the
# third on at the latest.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

start_vjd --attach eth0
cat >"$tmp/server.py" <<'PY'
import os, signal, socket, sys, time
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
if how.startswith("sends"):
	mine, workers = socket.socketpair()
	if os.fork() == 0:
		mine.close()
		while True:
			_, fds, _, _ = socket.recv_fds(workers, 16, 1)
			try:
				serve(socket.socket(fileno=fds[0]))
			except OSError as e: # what could not come along
				print("worker:", e, flush=True)
	workers.close()
if how == "workers":
	for _ in range(3):
		if os.fork() == 0:
			break
if how == "late":
	first = os.fork()
	second = first and os.fork()
	if second:
		print(first, second, flush=True)
		signal.pause()
	while first and not os.path.exists(sys.argv[3]): # in the second
		time.sleep(0.01)
served, held = 0, []
while True:
	c, _ = s.accept()
	if how == "shares" and served >= 6:
		held.append(c)
		if os.fork() == 0:
			serve(c)
			os._exit(0)
		continue
	if how == "sends" or how == "sends-later" and served >= 6:
		socket.send_fds(mine, [b"x"], [c.fileno()])
		c.close()
		continue
	served += 1
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
times = int(sys.argv[2]) if len(sys.argv) > 2 else 30
for _ in range(times):
	for host in "10.77.0.2", "fd77::2":
		c = socket.create_connection((host, int(sys.argv[1])), 60)
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
for how in "each 7100" "workers 7101" "one 7102" "sends 7103" "sends-later 7104" "shares 7105"; do
	# shellcheck disable=SC2086
	start "$how.log" "${on_server[@]}" "$vj" run -- python3 "$tmp/server.py" $how
	until_true leased "${how#* }"
done
each=${pids[0]} one=${pids[2]} sends=${pids[3]} later=${pids[4]} shares=${pids[5]}
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
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7100)" = 60 ] || fail "not by a process for each connection"
[ "$(delivered)" = "$before" ] || fail "frames went to a process that could not have served them"
case $(why_of "$each") in TRIAL | BRIEF) ;; *) fail "vj why of one that forks for each says $(why_of "$each")" ;; esac # as its children last

# ... also of clients of this host, by channels
[ "$(at_server timeout 300 "$vj" run -- python3 "$tmp/ask.py" 7100)" = 60 ] || fail "not by a process for each connection of this host"

# workers: each holds its own, and several have some; the one that forked them is on trial
until_true sh -c "[ \$(\"$vj\" status | grep -c '^tcp .*:7101 ') -ge 4 ]"
until_true sh -c "[ \$(\"$vj\" status | grep -c '^eth0 .*python3.* native ') -ge 3 ]"
before=$(delivered)
workers=$(at_client timeout 300 python3 "$tmp/ask.py" 7101)
((workers >= 2)) || fail "$workers of 4 workers had connections"
(($(delivered) - before > 300)) || fail "workers were not served by channels: $(($(delivered) - before)) frames"

# one process: at most two of 60 by the kernel
before=$(delivered)
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7102)" = 1 ] || fail "not by one process"
(($(delivered) - before > 58 * 5)) || fail "it was not served by a channel: $(($(delivered) - before)) frames"
[ "$(why_of "$one")" = none ] || fail "vj why of one that serves by itself says $(why_of "$one")"
"$vj" why "$one" | has 'both .*(also at ' || fail "vj why names no interface: $("$vj" why "$one")"
"$vj" why "$each" | has '(also at ' && fail "vj why of one that forks for each names an interface"

# sent to a worker: the kernel's, beyond the host
until_true rests delivered
before=$(delivered)
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7103)" = 1 ] || fail "not by the worker"
[ "$(delivered)" = "$before" ] || fail "frames went to a process that sends its connections on"
[ "$(why_of "$sends")" = HANDS_OVER ] || fail "vj why of one that sends its connections on says $(why_of "$sends")"

# ... after six that it has served itself: what is on a channel by then becomes the kernel's as it is sent, then all are from the first
for _ in 1 2 3; do
	[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7104 1)" = 1 ] || fail "not by the process itself"
done
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7104 1)" = 1 ] || fail "those that were on a channel are not served by the worker"
hands_over() {
	[ "$(why_of "$later")" = HANDS_OVER ]
}
until_true hands_over
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7104)" = 1 ] || fail "not by the worker, once it was seen that they are sent"

# ... or used by a child, of a server that has a copy still: it says why that is the kernel's
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7105 3)" = 1 ] || fail "a server that shares what comes later doesn't serve the first itself"
[ "$(at_client timeout 300 python3 "$tmp/ask.py" 7105 1)" = 2 ] || fail "not by a child for each connection"
used_elsewhere() {
	"$vj" why --json "$shares" | python3 -c '
import json, sys
assert [s["why"]["name"] for s in json.load(sys.stdin)["sockets"] if "why" in s] == ["USED_ELSEWHERE"] * 2'
}
within used_elsewhere || fail "vj why of copies of what a child uses: $("$vj" why "$shares")"

# two workers, of which the second begins to wait when the first has a client, as if they had a mutex: once both are seen to wait both are on channels
start late.log "${on_server[@]}" "$vj" run -- python3 "$tmp/server.py" late 7106 "$tmp/late"
until_true grep -q ' ' "$tmp/late.log"
read -r first second <"$tmp/late.log"
names_interface() {
	"$vj" why "$1" | has 'both .*(also at '
}
until_true names_interface "$first"
coproc CLIENT { exec "${on_client[@]}" python3 -c '
import socket
c = socket.create_connection(("10.77.0.2", 7106), 60)
c.sendall(b"x")
print(c.recv(100), flush=True)
input()' 2>&1; }
pids+=("$CLIENT_PID")
exec 6<&"${CLIENT[0]}" 7>&"${CLIENT[1]}"
read -r -t 100 said <&6 && [ "$said" = "b'$first:x'" ] || fail "not by the only one that waits: $said"
: >"$tmp/late"
rests_as_by_turns() {
	"$vj" why "$first" | has 'by turns'
}
until_true rests_as_by_turns
until_true names_interface "$second" # its rest is over; the first one, which serves its client, has not looked
echo >&7
both_name_interfaces() {
	at_client timeout 300 python3 "$tmp/ask.py" 7106 3 >"$tmp/asked" && names_interface "$first" && names_interface "$second"
}
within both_name_interfaces || fail "workers that were taken for ones with a mutex: $("$vj" why "$first" "$second")"
exit 0
