#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A client of another user than the server's: the kernel's, without a question to vjd; and asked for again as soon as the port is its user's
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

need python3 setpriv unshare
[ "$(id -u)" = 0 ] || skip "needs root, for a second user"
other=(setpriv --reuid=2000 --regid=2000 --clear-groups)
"${other[@]}" test -x "$vj" || skip "other users can't reach the build directory"
chmod 755 "$tmp"
# shellcheck disable=SC2034 # lib.sh and vj read it
"$build/vjd" --socket "$VJ_SOCKET" --verbose --log "$tmp/vjd.log" >"$tmp/vjd.out" 2>&1 </dev/null &
pids+=($!)
until_true test -e "$VJ_SOCKET.board"

cat >"$tmp/server.py" <<'PY'
import socket, sys, threading
kind, family, port = sys.argv[1], socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, int(sys.argv[3])
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[2], port))
def serve(conn):
    with conn:
        while data := conn.recv(4096):
            conn.sendall(data)
if kind == "udp":
    while True:
        data, peer = s.recvfrom(4096)
        s.sendto(data, peer)
s.listen()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
cat >"$tmp/client.py" <<'PY'
import os, socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
print(os.getpid(), flush=True)
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(30)
s.connect((host, port))
s.sendall(b"x" * 1000)
got = s.recv(4096, socket.MSG_WAITALL if kind == "udp" else 0)
while len(got) < 1000:
    got += s.recv(4096)
if got != b"x" * 1000:
    sys.exit("something else came back")
PY

serve() { # KIND HOST PORT [AS...]
	start server.log "${@:4}" env VJ_SOCKET="$VJ_SOCKET" "$vj" run -- python3 "$tmp/server.py" "$1" "$2" "$3"
	server=$!
	until_true lease_of "$1" "$3"
}
lease_of() { # KIND PORT
	"$vj" status | has "^$1 .*:$2 "
}
end_server() { # KIND PORT
	kill "$server"
	wait "$server" 2>/dev/null || true
	until_true no_lease_of "$1" "$2"
}
has_both() {
	[ "$("$vj" status | grep -c "^tcp .*127\.0\.0\.[12]:$port ")" = 2 ]
}
no_lease_of() {
	! lease_of "$@"
}

# Each client has a parent of its own, so that none is taken for one of many short ones. Sets $asked: did it attach?
fetch() { # KIND HOST PORT [AS...]
	local pid
	# shellcheck disable=SC2016
	sh -c '"$@"; exit $?' sh "${@:4}" env VJ_SOCKET="$VJ_SOCKET" "$vj" run -- python3 "$tmp/client.py" "$1" "$2" "$3" >"$tmp/client" 2>"$tmp/client.err" </dev/null ||
		fail "$*: $(cat "$tmp/client.err")"
	pid=$(cat "$tmp/client")
	asked=no
	has "pid $pid, uid [0-9]*\$" <"$tmp/vjd.log" && asked=yes # `vj run`, which looks whether there is a vjd, is an observer
	return 0
}
expect_asked() { # WANTED KIND HOST PORT [AS...]
	fetch "${@:2}"
	[ "$asked" = "$1" ] || fail "attached to vjd: $asked, wanted: $1: ${*:2}"
}

for kind in tcp udp; do
	for host in 127.0.0.1 ::1; do
		port=$(free_port)
		serve $kind $host "$port" "${other[@]}"
		expect_asked no $kind $host "$port"
		expect_asked yes $kind $host "$port" "${other[@]}"
		end_server $kind "$port"
		serve $kind $host "$port"
		expect_asked yes $kind $host "$port"
		expect_asked no $kind $host "$port" "${other[@]}"
		end_server $kind "$port"
	done
done

# two users' at one port, by other addresses: whose it is depends on what is connected to
port=$(free_port)
serve tcp 127.0.0.1 "$port" "${other[@]}"
first=$server
serve tcp 127.0.0.2 "$port"
until_true has_both
expect_asked yes tcp 127.0.0.2 "$port"
expect_asked yes tcp 127.0.0.1 "$port"
kill "$first"
end_server tcp "$port"

# where users' numbers are mapped the board's aren't to be compared with
if "${other[@]}" unshare -U -r true 2>/dev/null; then
	port=$(free_port)
	serve tcp 127.0.0.1 "$port" "${other[@]}"
	expect_asked yes tcp 127.0.0.1 "$port" "${other[@]}" unshare -U -r
fi
echo "what another user has is asked for only where it may be ours"

# Who asks for a copy of a UDP socket is not kept out by another user who connects where he asks, and says nothing.
cat >"$tmp/holder.py" <<'PY'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.set_inheritable(True)
data, peer = s.recvfrom(4096)
s.sendto(data, peer)
env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
sys.exit(subprocess.call([sys.executable, sys.argv[2], str(s.fileno())], pass_fds=[s.fileno()], env=env))
PY
cat >"$tmp/asker.py" <<'PY'
import array, os, socket, struct, sys, time
fd = int(sys.argv[1])
udp = socket.socket(fileno=os.dup(fd))
cookie = struct.unpack("=Q", udp.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("\0vjchan/udp-held/%016x" % cookie)
    return s
asks = connect()
asks.settimeout(30)
if os.fork() == 0:
    os.setuid(2000)
    silent = [connect() for _ in range(50)]
    time.sleep(1)
    os._exit(0)
os.wait()
ask = struct.pack("=IIiIQ", 0x66646A76, 1, 0, 0, cookie)
asks.sendmsg([ask], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
asks.recv(100)
print("answered", flush=True)
PY
port=$(free_port)
start holder "$vj" run -- python3 "$tmp/holder.py" "$port" "$tmp/asker.py"
until_true "$vj" run -- python3 "$tmp/client.py" udp 127.0.0.1 "$port"
within grep -q answered "$tmp/holder" || fail "who asks for a copy is kept out by another user: $(cat "$tmp/holder")"
echo "asked for a copy beside a silent user"
