#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two vjds in one network namespace: the second is told who has the interfaces and touches nothing, until the first has gone, in
# whatever way. And a directory of pins that is another user's is not used.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 setpriv unshare

other=$tmp/other.sock
vj_other() {
	VJ_SOCKET=$other "$vj" "$@"
}

# second OPTION...: a vjd beside the first, which is to fail; what it says is in $said
second() {
	local r=0
	said=$(timeout 100 "${on_server[@]}" "$build/vjd" --socket "$other" "$@" 2>&1) || r=$?
	[ $r = 1 ] || fail "a second vjd with $* ends with $r: $said"
	[ ! -e "$other" ] && [ ! -e "$other.d" ] || fail "a second vjd with $* leaves something behind"
}

state() {
	# shellcheck disable=SC2086
	ls -iR $pins
	ip -n "$server" -j -d link show eth0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0].get("xdp"))'
	at_server tc filter show dev eth0 ingress 2>/dev/null
	at_server tc filter show dev eth0 egress 2>/dev/null
}

cat >"$tmp/echo.py" <<'PY'
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 7061))
s.listen()
while True:
	c, _ = s.accept()
	while data := c.recv(100):
		c.sendall(data)
	c.close()
PY
# says what comes back, for each line that it is given
cat >"$tmp/ask.py" <<'PY'
import socket, sys
c = socket.create_connection(("10.77.0.2", 7061), 60)
for line in sys.stdin:
	c.sendall(line.encode())
	print(c.recv(100).decode().strip(), flush=True)
PY

start_vjd --attach eth0
start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
until_true leased 7061
off_trial 7061
mkfifo "$tmp/lines"
"${on_client[@]}" python3 "$tmp/ask.py" <"$tmp/lines" >"$tmp/said" 2>&1 &
pids+=($!)
exec 7>"$tmp/lines"
echo before >&7
until_true grep -q before "$tmp/said"
"$vj" connections | has 10.77.0.1 || fail "the connection is not on a channel: $("$vj" connections)"

# ---- the second is refused

was=$(state)
second --attach eth0,nope
[[ $said == *"vjd of pid $vjd at $VJ_SOCKET serves"* ]] || fail "the second vjd does not say who is there: $said"
second --attach nope
[[ $said == *"pid $vjd "* ]] || fail "the second vjd looks for interfaces: $said"
second --gateway eth0
[[ $said == *"pid $vjd "* ]] || fail "a second vjd may be a gateway: $said"
[ "$(state)" = "$was" ] || fail "a second vjd has changed something: $(diff <(echo "$was") <(state))"
echo after >&7
until_true grep -q after "$tmp/said"

# ---- one without interfaces may serve beside it, and is refused when it wants one

start other.log "${on_server[@]}" "$build/vjd" --socket "$other"
until_true vj_other status
said=$(vj_other attach eth0 2>&1) && fail "attached beside another"
[[ $said == *"another vjd serves"* ]] || fail "vj attach says: $said"
[ "$(state)" = "$was" ] || fail "vj attach has changed something: $(diff <(echo "$was") <(state))"
echo later >&7
until_true grep -q later "$tmp/said"

# ---- a killed one is no obstacle: the next has the connection

kill -9 $vjd
wait $vjd || true
start_vjd
is_attached() {
	"$vj" status | has '^eth0 '
}
until_true is_attached # again, by the next vjd
echo again >&7
until_true grep -q again "$tmp/said"

# ---- nor one that has detached what it had, or that leaves while the other asks

exec 7>&-
kill "${pids[0]}" # the server
"$vj" detach eth0 >/dev/null
vj_other attach eth0 >/dev/null || fail "not attached where nobody is: $(cat "$tmp/other.log")"
"$vj" attach nope 2>/dev/null && fail "attached to nothing"
"$vj" attach eth0 2>/dev/null && fail "attached beside the other"
vj_other detach eth0 >/dev/null
"$vj" attach nope 2>/dev/null && fail "attached to nothing"
vj_other attach eth0 >/dev/null || fail "a claim to nothing stays: $(cat "$tmp/other.log")"
vj_other detach eth0 >/dev/null
"$vj" attach eth0 >/dev/null
kill $vjd
vj_other attach eth0 >/dev/null || fail "not attached while the other leaves: $(cat "$tmp/other.log")"
wait $vjd || fail "vjd ends with $?"
vj_other detach eth0 >/dev/null
lock=/run/vjd-net$(stat -Lc %i "/run/netns/$server").lock
[ ! -e "$lock" ] || fail "left behind: $lock"
end_started

# ---- pins that another user could replace

# foreign_pins COMMAND...: where another user was first in a bpffs that all may write in; in a mount namespace of its own
foreign_pins() {
	# shellcheck disable=SC2016
	"${on_server[@]}" unshare -m sh -c 'mount -t bpf bpf /sys/fs/bpf && setpriv --reuid 65534 --clear-groups mkdir /sys/fs/bpf/vjchan && "$@"' sh "$@" 2>&1
}
said=$(foreign_pins timeout 100 "$build/vjd" --socket "$other" --attach eth0) && fail "another user's pins are used"
[[ $said == *"another user's"* ]] || fail "another user's pins: $said"
said=$(foreign_pins timeout 100 "$build/vjd" --socket "$other" --gateway eth0) && fail "another user's pins are used by a gateway"
[[ $said == *"another user's"* ]] || fail "another user's pins, of a gateway: $said"
said=$(foreign_pins "$vj" doctor lo) && fail "vj doctor finds nothing wrong with another user's pins"
[[ $said == *"BAD   bpffs"* ]] || fail "vj doctor does not name another user's pins: $said"
ip -n "$server" link show eth0 | has prog/xdp && fail "attached with another user's pins"
exit 0
