#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Interface channels: unmodified programs under vj serve a kernel client and are clients of it, over IPv4 and IPv6, while the
# rest of the host goes on with the kernel; and what becomes of it all when somebody dies.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need redis-server redis-cli curl nc python3

# ---- policy: the default file may come later; a mistake is told with its line, at the start too

mkdir "$tmp/etc"
cp /etc/passwd /etc/ld.so.cache "$tmp/etc"
start hup.log unshare -m sh -c "mount --bind '$tmp/etc' /etc && exec '$build/vjd' --socket '$tmp/hup.sock'"
late=$!
until_true grep -q serves "$tmp/hup.log"
kill -HUP "$late"
mkdir "$tmp/etc/vjchan"
echo 'user *' >"$tmp/etc/vjchan/policy.conf"
until_true sh -c "kill -HUP $late; grep -q 'policy: 1 rules of /etc/vjchan/policy.conf' '$tmp/hup.log'"
rm "$tmp/etc/vjchan/policy.conf"
until_true sh -c "kill -HUP $late; grep -q 'the policy stays as it was: .*No such file' '$tmp/hup.log'"
kill "$late"
wait "$late" || fail "vjd ends with $?"

printf 'user *\nuser nobody-of-this-name\n' >"$tmp/policy.conf"
said=$("$build/vjd" --socket "$VJ_SOCKET" --policy "$tmp/policy.conf" 2>&1 || true)
[[ $said == *"policy.conf: line 2: no such user"* ]] || fail "a wrong policy: $said"
echo 'user *' >"$tmp/policy.conf"
start_vjd --policy "$tmp/policy.conf"

"$vj" attach nonesuch 2>"$tmp/err" && fail "an interface that is not there was attached"
grep -q "No such device" "$tmp/err" || fail "$(cat "$tmp/err")"
"$vj" attach eth0 | has "eth0: channels are offered, MTU 1500" || fail "not attached: $(cat "$tmp/vjd.log")"
"$vj" attach eth0 >/dev/null || fail "a second attach is no error"
at_server "$vj" doctor eth0 >"$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
for line in 'ok +kernel ' 'ok +af_xdp ' 'ok +memlock ' '(ok|note) +huge pages ' '(ok|note) +eth0 .*several MAC addresses' 'ok +vjd +serves .* 1 interface attached' 'ok +eth0 +driver veth: native XDP' \
	'note +eth0 +a veth: .*checksums' ' +mend: ethtool -K PEER tx off'; do
	grep -Eq "^$line" "$tmp/doctor" || fail "doctor does not say '$line': $(cat "$tmp/doctor")"
done
if setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$vj" 2>/dev/null; then
	at_server setpriv --reuid=65534 --regid=65534 --clear-groups "$vj" doctor eth0 >"$tmp/doctor" ||
		fail "doctor of anybody: $(cat "$tmp/doctor")"
	grep -q "^note  eth0 .*what comes in was not looked at: Operation not permitted" "$tmp/doctor" ||
		fail "doctor of anybody says nothing of what it can't look at: $(cat "$tmp/doctor")"
fi
nsenter --net="/run/netns/$client" "$vj" doctor nonesuch >"$tmp/doctor" && fail "doctor of no interface"
grep -q "^BAD .*no interface 'nonesuch'" "$tmp/doctor" || fail "$(cat "$tmp/doctor")"

# ---- server: a kernel client of a program on a channel

start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
redis=${pids[-1]}
until_true leased 7000
for addr in 10.77.0.2 fd77::2; do
	for _ in 1 2 3; do # the first clients of each listener come by the kernel
		[ "$(at_client timeout 60 redis-cli -h $addr -p 7000 ping)" = PONG ] || fail "redis at $addr"
	done
done
until_true has_pairs 1
head -c 1000000 /dev/urandom | base64 -w 0 >"$tmp/value"
at_client redis-cli -h 10.77.0.2 -p 7000 -x set big <"$tmp/value" >/dev/null
at_client redis-cli -h fd77::2 -p 7000 get big | tr -d '\n' | cmp - "$tmp/value" || fail "a large value came back changed"
# that it was the channel, and not the kernel's listener beside it
at_server cat /proc/net/snmp >"$tmp/snmp"
grep -E '^Tcp: [0-9]' "$tmp/snmp" | awk '{ exit $11 > 300 }' || fail "the kernel's TCP took part: $(cat "$tmp/snmp")"

# ---- the host beside it: ping, and a program of the kernel's own

ping_is_fine() {
	pings "$1" 5 0.2 || fail "ping $1"
}
ping_is_fine 10.77.0.2
ping_is_fine fd77::2
start plain.log "${on_server[@]}" python3 -m http.server 7080 --bind :: --directory "$tmp"
echo hello >"$tmp/hello"
until_true at_client curl -sf http://10.77.0.2:7080/hello
[ "$(at_client curl -s "http://[fd77::2]:7080/hello")" = hello ] || fail "a program beside vjchan does not serve"

# ---- a sender that leaves checksums to its device is named

at_client ethtool -K eth0 tx on >/dev/null
(while :; do at_client curl -s http://10.77.0.2:7080/hello; sleep 0.05; done) >/dev/null 2>&1 &
asking=$!
pids+=($asking)
finds_unfilled() { # in a second, in which there may be no frame
	! at_server "$vj" doctor eth0 >"$tmp/doctor.log" &&
		grep -Eq '^BAD +eth0 +[0-9]+ of [0-9]+ frames in a second came with checksums that their sender has not filled in' "$tmp/doctor.log"
}
finds_filled() {
	at_server "$vj" doctor eth0 | has -E '^ok +eth0 +[0-9]+ frames in a second came with their checksums'
}
until_true finds_unfilled
at_client ethtool -K eth0 tx off >/dev/null
until_true finds_filled
kill $asking
wait $asking 2>/dev/null || true

# ---- client: of a server of the kernel's at the other host

start http.log "${on_client[@]}" python3 -m http.server 7090 --bind :: --directory "$tmp"
until_true at_client curl -sf http://127.0.0.1:7090/hello
for url in http://10.77.0.1:7090 'http://[fd77::1]:7090'; do
	[ "$(at_server timeout 100 "$vj" run -- curl -s "$url/hello")" = hello ] || fail "curl of $url"
	at_server timeout 100 "$vj" run -- curl -s "$url/value" | cmp - "$tmp/value" || fail "curl of a large file from $url"
done
[ "$(grep -c 'info: eth0: channel .* of app' "$tmp/vjd.log")" = 5 ] || fail "curl did not use channels"

# ---- ephemeral ports: the kernel's sockets and the host's owner keep theirs, and the kernel leaves alone what is ours

reserved() {
	at_server cat /proc/sys/net/ipv4/ip_local_reserved_ports
}
nothing_of_ours_is_reserved() {
	[ "$(reserved)" = "$own" ]
}
own=
until_true nothing_of_ours_is_reserved # those of the last curl: vjd writes the list again without them
own=8080
at_server sh -c 'echo 8080 >/proc/sys/net/ipv4/ip_local_reserved_ports'
start holder.log "${on_server[@]}" python3 -c '
import socket, time
s = socket.socket(); s.bind(("", 32770)); s.listen()
t = socket.socket(socket.AF_INET6); t.bind(("::", 32840)); t.listen()
print("ready", flush=True)
time.sleep(1000)'
until_true grep -q ready "$tmp/holder.log"
start slow.log "${on_server[@]}" "$vj" run -- python3 -c '
import socket, time
s = socket.create_connection(("10.77.0.1", 7090))
print(s.getsockname()[1], flush=True)
time.sleep(1000)'
slow=${pids[-1]}
until_true test -s "$tmp/slow.log"
port=$(cat "$tmp/slow.log")
((port >= 32864)) || fail "port $port is in a block with a socket of the kernel's"
[[ $(reserved) =~ ^8080,([0-9]+)-([0-9]+)$ ]] && ((port >= BASH_REMATCH[1] && port <= BASH_REMATCH[2])) ||
	fail "reserved: $(reserved), not port $port"
kill "$slow"
until_true nothing_of_ours_is_reserved

# ---- a datagram there and back

start echo.log "${on_server[@]}" "$vj" run -- python3 -u -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7053))
while True:
	data, peer = s.recvfrom(65536)
	s.sendto(data, peer)'
until_true sh -c "\"$vj\" status | grep -q '^udp .*:7053 '"
for addr in 10.77.0.2 fd77::2; do
	at_client python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], 7053))
for n in 1, 100, 1472 if ":" not in sys.argv[1] else 1452, 1500, 20000:
	s.send(b"x" * n)
	assert len(s.recv(65536)) == n' $addr || fail "UDP echo at $addr"
done

# ---- another policy: a port that may not be dispatched is the kernel's, whose socket of the same program serves it

# has_dispatched: frames for leased ports that went to a channel so far
dispatched() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "to_port"))'
}
at_client redis-cli -h 10.77.0.2 -p 7000 ping >/dev/null
(($(dispatched) > 0)) || fail "nothing was dispatched"
talks_long 10.77.0.2 "$tmp/policy" "$tmp/policy.log"
echo 'user * ports 1-6999' >"$tmp/policy.conf"
kill -HUP $vjd
until_true grep -q 'policy: 1 rules' "$tmp/vjd.log"
until_true rests dispatched
before=$(dispatched)
[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "a port that is not dispatched"
[ "$(dispatched)" = "$before" ] || fail "dispatched, though policy forbids it"
echo 'user * ports 7000-' >"$tmp/policy.conf"
kill -HUP $vjd
until_true grep -q 'the policy stays as it was: .*policy.conf: line 1: ports are' "$tmp/vjd.log"
echo 'user *' >"$tmp/policy.conf"
kill -HUP $vjd
until_true sh -c "[ \$(grep -c 'policy: 1 rules' $tmp/vjd.log) = 2 ]"
at_client redis-cli -h 10.77.0.2 -p 7000 ping >/dev/null
(($(dispatched) > before)) || fail "not dispatched, though policy allows it again"
talked_long "$tmp/policy" || fail "a connection did not outlive the policy's changes: $(cat "$tmp/policy.log")"

# ---- kill -9 of an application: its channel goes, its port answers as closed; nobody else notices

pings 10.77.0.2 40 0.1 >"$tmp/ping.log" 2>&1 &
pinging=$!
kill -9 "$redis"
is_closed() {
	local said
	said=$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping 2>&1 || true)
	[[ $said == *"Connection refused"* ]]
}
until_true is_closed
wait $pinging || fail "pings were lost: $(cat "$tmp/ping.log")"
until_true has_pairs 1

# ---- detach: the kernel's alone again

"$vj" detach eth0 >/dev/null
until_true no_pairs
at_server ip link show eth0 | has xdp && fail "a program is left at eth0"
ping_is_fine 10.77.0.2
"$vj" detach eth0 2>"$tmp/err" && fail "detached twice"
grep -q "detach eth0: it isn't attached" "$tmp/err" || fail "a second detach says: $(cat "$tmp/err")"

kill $vjd
wait $vjd || fail "vjd ends with $?: $(tail -5 "$tmp/vjd.log")"
[ -e "$VJ_SOCKET.d" ] && fail "vjd leaves its directory: $(ls "$VJ_SOCKET.d")"
exit 0
