#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Limits of whoever started vjd or a program: small files (memory for channels is files, too); and a vjd that has no descriptors left while the host changes
# doesn't take its own dispatch for a stranger's.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 prlimit

again="$VJ_SOURCE_DIR/tests/apps/detach_stream.py"
start echo.log "${on_client[@]}" python3 "$again" echo 7500
# log in a pipe: files are what is limited
mkfifo "$tmp/words"
cat "$tmp/words" >"$tmp/vjd.log" &
pids+=($!)
"${on_server[@]}" sh -c 'ulimit -S -f 0; exec "$@"' sh "$build/vjd" --socket "$VJ_SOCKET" --verbose --attach eth0 >"$tmp/words" 2>&1 </dev/null &
vjd=$!
until_true "$vj" status

# one that can't raise it is short of memory, and lives
(ulimit -f 0 && exec "$build/vjd" --socket "$tmp/small.sock") >/dev/null 2>&1 &
small=$!
pids+=($small)
until_true env VJ_SOCKET="$tmp/small.sock" "$vj" status
VJ_SOCKET="$tmp/small.sock" "$vj" run -- python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 7501))
for n in range(3):
    l.settimeout(0.01)
    try: # who waits has a lease
        l.accept()
    except TimeoutError:
        pass
    l.settimeout(10)
    c, s = socket.create_connection(("127.0.0.1", 7501), 10), l.accept()[0]
    c.sendall(b"x")
    if s.recv(1) != b"x":
        raise SystemExit("no byte")' || fail "a program, and vjd may write no files"
kill -0 $small || fail "vjd has died of a limit for files"
# talk LOG: a connection over the interface; a line each 50 ms
talk() {
	"${on_server[@]}" env VJ_VERBOSE=1 sh -c '"$@"; exit $?' sh "$vj" run -- python3 -c '
import os, socket, sys, time
s = socket.create_connection(("10.77.0.1", 7500), 10)
while not os.path.exists(sys.argv[1]):
    s.sendall(b"line")
    if s.recv(100) != b"line":
        sys.exit("closed")
    time.sleep(0.05)' "$tmp/enough" >"$tmp/$1" 2>&1 &
	talker=$!
	pids+=($talker)
}
on_channel() {
	"$vj" connections | has '10\.77\.0\.1:7500 .*established'
}
talk talk.log
until_true on_channel

prlimit --pid $vjd --nofile=$(ls /proc/$vjd/fd | wc -l):
for n in 1 2 3; do
	ip -n "$server" link set eth0 alias "changed$n"
	ip -n "$server" addr add 10.77.1.$n/32 dev eth0
	sleep 0.3
done
prlimit --pid $vjd --nofile=1024:
until_true "$vj" status
grep -E 'dispatch was removed|another program' "$tmp/vjd.log" && fail "vjd took its own program for a stranger's"
at_server ip -d link show eth0 | has 'prog/xdp' || fail "dispatch is at XDP no more"
on_channel || fail "the connection has ended: $(cat "$tmp/talk.log" "$tmp/vjd.log")"
touch "$tmp/enough"
wait $talker || fail "the connection: $(cat "$tmp/talk.log")"
