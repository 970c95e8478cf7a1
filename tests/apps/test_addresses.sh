#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Several addresses of one IPv4 network at this host: servers at each are on channels, and clients come from the address that the kernel would choose
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

need python3 ip strace
[ "$(id -u)" = 0 ] || skip "needs root, to have addresses"
mine=(10.9.9.1 10.9.9.2 10.9.9.3)
for addr in "${mine[@]}"; do
	ip addr add "$addr/24" dev lo 2>/dev/null || skip "no addresses can be had here"
done

cat >"$tmp/server.py" <<'PY'
import selectors, socket, sys
mine, set_ = sys.argv[1:], selectors.DefaultSelector()
for addr in mine:
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET, kind)
        s.bind((addr, 7000))
        if kind == socket.SOCK_STREAM:
            s.listen()
        set_.register(s, selectors.EVENT_READ)
while True:
    for key, _ in set_.select():
        s = key.fileobj
        if s.type == socket.SOCK_DGRAM:
            s.sendto(*s.recvfrom(100))
        else:
            conn, _ = s.accept()
            conn.sendall(conn.recv(100))
            conn.close()
PY
# For each server from where it was asked, and which connections were no channel's
cat >"$tmp/client.py" <<'PY'
import os, socket, subprocess, sys
vj, mine, held = sys.argv[1], sys.argv[2:], []
for addr in mine:
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET, kind)
        s.settimeout(20)
        s.connect((addr, 7000))
        s.sendall(b"x")
        print(addr, kind.name, s.getsockname()[0], s.getpeername()[0], s.recv(100))
        held.append(s)
if vj:
    said = subprocess.run([vj, "why", str(os.getpid())], stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in said.splitlines():
        if "tcp" in line and " channel" not in line:
            print(line)
PY
# To each by turns
cat >"$tmp/turns.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
for turn in range(100):
    for addr in sys.argv[1:]:
        s.sendto(b"x", (addr, 7000))
        s.recv(100)
PY

start server.log "$vj" run -- python3 "$tmp/server.py" "${mine[@]}"
has_all() {
	[ "$("$vj" status | grep -c "^tcp .*:7000 ")" = ${#mine[@]} ]
}
until_true has_all
python3 "$tmp/client.py" '' "${mine[@]}" >"$tmp/kernel"
"$vj" run -- python3 "$tmp/client.py" "$vj" "${mine[@]}" >"$tmp/channel"
diff "$tmp/kernel" "$tmp/channel" || fail "other addresses than the kernel's, or no channel"
strace -f -qq -e trace=socket -o "$tmp/turns" "$vj" run -- python3 "$tmp/turns.py" "${mine[@]}"
[ "$(wc -l <"$tmp/turns")" -lt 250 ] || fail "the kernel is asked for the source of each datagram"
echo "three addresses: a channel to each, from where the kernel would ask"
