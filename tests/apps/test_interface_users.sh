#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Interface channels of many: thirty-two applications of as many users on one interface at once, each its own; and what a
# client of vjd may not have: another's channel, another's port, another network's interface.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need setpriv python3
users=32
python=$(PATH=/usr/bin:/bin command -v python3) || skip "no python3 that every user can run"
chmod 755 "$tmp"
setpriv --reuid 2000 --regid 2000 --clear-groups test -x "$vj" || skip "other users can't reach the build directory"

start_vjd --attach eth0

as_user() { # as_user NUMBER COMMAND...: in $server
	local uid=$((2000 + $1))
	shift
	at_server setpriv --reuid "$uid" --regid "$uid" --clear-groups env VJ_SOCKET="$VJ_SOCKET" "$@"
}

cat >"$tmp/echo.py" <<'PY'
import os, socket, sys
t = socket.socket(socket.AF_INET6); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t.bind(("::", int(sys.argv[1]))); t.listen()
while True:
	c, peer = t.accept()
	while True:
		data = c.recv(65536)
		if not data:
			break
		c.sendall(b"%d:" % os.getuid() + data)
	c.close()
PY
cat >"$tmp/ask.py" <<'PY'
import socket, sys
for n in range(1, int(sys.argv[1]) + 1):
	for host in "10.77.0.2", "fd77::2":
		c = socket.create_connection((host, 7100 + n), 60)
		c.sendall(b"hello")
		said = c.recv(100)
		assert said == b"%d:hello" % (2000 + n), (n, host, said)
		c.close()
PY
echoes=()
for n in $(seq $users); do
	start "echo$n.log" "${on_server[@]}" setpriv --reuid $((2000 + n)) --regid $((2000 + n)) --clear-groups \
		env VJ_SOCKET="$VJ_SOCKET" "$vj" run -- "$python" "$tmp/echo.py" $((7100 + n))
	echoes[n]=${pids[-1]}
done
# the first client of each comes by the kernel: none of them is to fork before the second
for n in $(seq $users); do
	until_true leased $((7100 + n))
done
at_client "$python" "$tmp/ask.py" $users || fail "not everybody was answered by the right user, by the kernel"
all_have_channels() {
	[ "$("$vj" status | grep -c '^eth0 .*python3.* native ')" = $users ]
}
for _ in $(seq 100); do all_have_channels && break; sleep 1; done
all_have_channels || fail "$("$vj" status | grep -c '^eth0 .*python3') of $users have channels: $(tail -3 "$tmp/vjd.log")"
at_client "$python" "$tmp/ask.py" $users || fail "not everybody was answered by the right user"
refused=$("$vj" status --json | "$python" -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["where"] == "gate" and not c["name"].startswith("sent")))')
[ "$refused" = 0 ] || fail "gate refused $refused frames: $("$vj" status | grep ' gate ')"

# a port that another user holds, and one below 1024
expect() { # expect TEXT WHAT COMMAND...: the command says TEXT
	local text=$1 what=$2 said
	shift 2
	said=$("$@" 2>&1 || true)
	[[ $said == *"$text"* ]] || fail "$what: $said"
}
user40=(as_user 40 timeout 60)
expect "Address already in use" "another user's port" "${user40[@]}" "$vj" run -- "$python" "$tmp/echo.py" 7101
expect "Permission denied" "a privileged port" "${user40[@]}" "$vj" run -- "$python" "$tmp/echo.py" 80
expect "Operation not permitted" "attach by anybody" "${user40[@]}" "$vj" attach eth0
expect "Operation not permitted" "detach by anybody" "${user40[@]}" "$vj" detach eth0

# one user sees his own only
[ "$(as_user 1 "$vj" status | grep -c '^eth0 .*python3.* native ')" = 1 ] || fail "a user sees others' channels"

# from another network namespace than the interface's, no channel: the kernel there has the connection
start foreign.log "${on_client[@]}" "$vj" run -- "$python" "$tmp/echo.py" 7300
foreign=${pids[-1]}
has_lease_of() { # has_lease_of PID PORT: it has asked for what it may have
	"$vj" why "$1" | has ":$2 "
}
until_true has_lease_of "$foreign" 7300
sleep 1
[ "$("$vj" status | grep -c '^eth0 .*python3.* native ')" = $users ] || fail "a channel for another namespace's program"

# half of them die at once: the others are served as before
half=()
for n in $(seq 2 2 $users); do
	half+=("${echoes[n]}")
done
kill -9 "${half[@]}"
half_have_channels() {
	[ "$("$vj" status | grep -c '^eth0 .*python3.* native ')" = $((users / 2)) ]
}
until_true half_have_channels
at_client "$python" -c '
import socket, sys
for n in range(1, 33):
	try:
		c = socket.create_connection(("10.77.0.2", 7100 + n), 60)
		assert n % 2 == 1, n
		c.sendall(b"x"); assert c.recv(10) == b"%d:x" % (2000 + n); c.close()
	except ConnectionRefusedError:
		assert n % 2 == 0, n' || fail "after the death of half of them"
exit 0
