#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# nc, curl and python3's http.server: on channels, and each side alone on the kernel, with equal results.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"
need nc curl python3

head -c 3000000 /dev/urandom >"$tmp/data"
sum=$(sha256sum <"$tmp/data")

# nc SIDE...: one file through nc; each side "vj" or "kernel"
side() {
	if [ "$1" = vj ]; then echo "$vj run --"; fi
}

for server in vj kernel; do
	for client in vj kernel; do
		port=$(free_port)
		# shellcheck disable=SC2046
		$(side $server) nc -l 127.0.0.1 "$port" >"$tmp/got" </dev/null &
		pid=$!
		pids+=("$pid")
		wait_port "$port"
		# shellcheck disable=SC2046
		$(side $client) nc -N 127.0.0.1 "$port" <"$tmp/data" || fail "nc client on $client"
		wait "$pid" || fail "nc server on $server"
		[ "$(sha256sum <"$tmp/got")" = "$sum" ] || fail "nc: server on $server, client on $client: other data"
		echo "nc: server on $server, client on $client: same data"
	done
done

mkdir "$tmp/www"
cp "$tmp/data" "$tmp/www/data"
port=$(free_port)
start http "$vj" run -- python3 -m http.server --bind 127.0.0.1 --directory "$tmp/www" "$port"
wait_port "$port"
has_lease "$port" || fail "http.server is not on channels"
for client in vj kernel; do
	for _ in 1 2 3; do
		# shellcheck disable=SC2046
		$(side $client) curl -sS -m 20 -o "$tmp/got" "http://127.0.0.1:$port/data" || fail "curl on $client"
		[ "$(sha256sum <"$tmp/got")" = "$sum" ] || fail "curl on $client: other data"
	done
	# shellcheck disable=SC2046
	code=$($(side $client) curl -s -m 20 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/nothing")
	[ "$code" = 404 ] || fail "curl on $client: $code"
	# shellcheck disable=SC2046
	$(side $client) python3 - "$port" "${sum%% *}" <<-'PY' || fail "python on $client"
		import hashlib, sys, urllib.request
		data = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/data", timeout=20).read()
		sys.exit(hashlib.sha256(data).hexdigest() != sys.argv[2])
	PY
	echo "http.server on vj, curl and urllib on $client: same data"
done
# a client on vj of a server on the kernel
port=$(free_port)
start http2 python3 -m http.server --bind 127.0.0.1 --directory "$tmp/www" "$port"
wait_port "$port"
"$vj" run -- curl -sS -m 20 -o "$tmp/got" "http://127.0.0.1:$port/data" || fail "curl to the kernel"
[ "$(sha256sum <"$tmp/got")" = "$sum" ] || fail "curl to the kernel: other data"
echo "http.server on kernel, curl on vj: same data"

# datagrams: a server that answers, clients on both sides, at the same time
cat >"$tmp/udp.py" <<-'PY'
	import os, socket, sys
	who, port, cnt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.settimeout(20)
	if who == "server":
	    s.bind(("127.0.0.1", port))
	    if os.fork() == 0:
	        os._exit(0)  # a child that has never used it does no harm
	    open(sys.argv[4], "w").close()
	    while True:
	        data, addr = s.recvfrom(60000)
	        if data == b"end":
	            break
	        s.sendto(data, addr)
	else:
	    for i in range(cnt):
	        data = (b"%d of " % i + who.encode()) * (1 + i % 1500 * (i % 50 == 0))
	        s.sendto(data, ("127.0.0.1", port))
	        assert s.recvfrom(60000)[0] == data
PY
for server in vj kernel; do
	port=$(free_port)
	# shellcheck disable=SC2046
	$(side $server) python3 "$tmp/udp.py" server "$port" 0 "$tmp/bound-$server" &
	pids+=($!)
	pid=$!
	for _ in $(seq 200); do [ -e "$tmp/bound-$server" ] || sleep 0.05; done
	"$vj" run -- python3 "$tmp/udp.py" vj "$port" 20000 &
	client=$!
	python3 "$tmp/udp.py" kernel "$port" 5000 || fail "udp: server on $server, client on kernel"
	wait "$client" || fail "udp: server on $server, client on vj"
	python3 -c 'import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("127.0.0.1", int(sys.argv[1])))' "$port"
	wait "$pid" || fail "udp: server on $server"
	echo "udp: server on $server, clients on vj and kernel: same data"
done
