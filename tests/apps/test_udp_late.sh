#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A UDP server that has read before there was a vjd is on channels all the same, some time after there is one.

. "$(dirname "$0")/lib.sh"
need python3

cat >"$tmp/server.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("bound", flush=True)
while True:
	s.sendto(*s.recvfrom(2000))
PY
cat >"$tmp/ask.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect((sys.argv[1], int(sys.argv[2])))
for i in range(40):
	s.send(b"%d" % i)
	assert s.recv(2000) == b"%d" % i
PY
port=$(free_port)
hosts=(127.0.0.1 ::1)
for host in "${hosts[@]}"; do
	start "$host" env LD_PRELOAD="$build/libvj-preload.so" python3 "$tmp/server.py" "$host" "$port"
	until_true grep bound "$tmp/$host"
	python3 "$tmp/ask.py" "$host" "$port" || fail "$host: not answered without vjd"
done
start vjd "$build/vjd" --socket "$VJ_SOCKET"
until_true "$vj" status
# on_channel HOST: does the server hold the port there? Its reads ask for it.
on_channel() {
	python3 "$tmp/ask.py" "$1" "$port" && "$vj" status | has -E "^udp +\\[?$1\\]?:$port "
}
for host in "${hosts[@]}"; do
	until_true on_channel "$host"
	"$vj" run -- python3 "$tmp/ask.py" "$host" "$port" || fail "$host: not answered"
	echo "$host: on a channel"
done
