#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two hosts with vjchan: a server of one begins to listen, and a program of the other connects at once, while the port is still the
# kernel's for clients from beyond the host, and to where its predecessor on that port was. It is never refused, and never waits.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gateway_lib.sh"
need python3

# A line "HOST PORT" is one more connection. With each, all that are there are talked on; "end" closes them.
cat >"$tmp/client.py" <<'PY'
import socket, sys, time
conns = []
def talk(s):
    s.sendall(b"hello")
    assert s.recv(100) == b"hello", "closed"
for line in sys.stdin:
    if line == "end\n":
        while conns:
            conns.pop().close()
        continue
    host, port = line.split()
    begin = time.monotonic()
    try:
        what = "new"
        conns.append(socket.create_connection((host, int(port)), 60))
        conns[-1].settimeout(60)
        talk(conns[-1])
        took = int((time.monotonic() - begin) * 1000)
        for k, s in enumerate(conns):
            what = f"the {k + 1}. again"
            talk(s)
        print("fine", took, flush=True)
    except Exception as e:
        print("failed", what, repr(e), flush=True)
PY

# ---- what vjd says before any context (src/control/board.h): never "no interface" while it comes up, once more after its death either

cat >"$tmp/watch.py" <<'PY'
import os, struct, sys
board, watches, stop = sys.argv[1:]
seen, stops = {}, False
open(watches, "w").close()
while not stops:
    stops = os.path.exists(stop) # and once after that
    try:
        with open(board, "rb") as f:
            cnt = struct.unpack("8sII", f.read(16))[2]
    except FileNotFoundError:
        continue
    seen[cnt] = seen.get(cnt, 0) + 1
print(*seen)
PY
python3 "$tmp/watch.py" "$(socket_of one).board" "$tmp/watches" "$tmp/stop" >"$tmp/seen" 2>&1 &
watch=$!
pids+=("$watch")
until_true test -e "$tmp/watches"
start_vjd one --attach eth0
# shellcheck disable=SC2154
kill -9 "$vjd_one"
wait "$vjd_one" 2>/dev/null || true
start_vjd one
sleep 0.2
touch "$tmp/stop"
wait "$watch" || fail "the board: $(cat "$tmp/seen")"
[ "$(cat "$tmp/seen")" = 1 ] || fail "numbers of interfaces on the board: $(cat "$tmp/seen")"

# ---- connections

start_vjd two --attach eth0
coproc CLIENT { VJ_SOCKET=$(socket_of two) exec $(on two) "$vj" run -- python3 "$tmp/client.py" 2>"$tmp/client.log"; }
exec 6<&"${CLIENT[0]}" 7>&"${CLIENT[1]}"
pids+=("$CLIENT_PID")
connect() { # HOST PORT
	local said
	echo "$1 $2" >&7
	read -r -t 200 said <&6 || fail "round $round, $1: nothing said: $(cat "$tmp/client.log")"
	if [[ $said != fine* ]]; then
		echo "round $round, $3 connection to $1: $said" >&2
		bad=$((bad + 1))
	fi
	[[ $said != fine* ]] || ((${said#fine } < 900)) || { echo "round $round, $3 connection to $1 took ${said#fine} ms at $(date +%T.%N)" >&2; }
	took+=("${said#fine }")
}
listens() {
	at one ss -Hltn "sport = :7000" | has 7000
}
bad=0 took=()
for round in $(seq "${ROUNDS:-50}"); do
	# shellcheck disable=SC2046
	VJ_SOCKET="$(socket_of one)" $(on one) "$vj" run -- python3 "$talk" serve 7000 >"$tmp/server.log" 2>&1 </dev/null &
	server=$!
	begun=$SECONDS
	until listens; do # at once
		((SECONDS < begun + 60)) || fail "round $round: the server does not listen: $(cat "$tmp/server.log")"
	done
	((round % 2)) && hosts2=(10.2.0.11 fd02::11) || hosts2=(fd02::11 10.2.0.11)
	for cnt in 1 2 3 4 5 6; do
		for host in "${hosts2[@]}"; do connect "$host" 7000 "$cnt."; sleep 0.02; done
	done
	echo end >&7
	((round % 3)) || sleep 0.3
	kill -$(((round % 4) ? 15 : 9)) $server
	wait $server 2>/dev/null || true
done
echo "$((12 * round)) connections, the slowest answered after $(printf '%s\n' "${took[@]}" | sort -n | tail -1) ms"
[ $bad = 0 ] || fail "$bad connections of $((12 * round)) failed"
