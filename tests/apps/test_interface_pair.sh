#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Both hosts with vjchan: each has a vjd with its interface attached, and programs under vj on one are clients of programs under vj
# on the other. ssh and scp to a host whose interface is attached stay the kernel's, while a channel beside them is under load.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 curl redis-server redis-cli redis-benchmark ssh-keygen ssh scp

start_vjd --attach eth0
# ... and the other
vjd_socket2=$tmp/second/vjd.sock
mkdir "$tmp/second"
"${on_client[@]}" "$build/vjd" --socket "$vjd_socket2" --verbose --attach eth0 >"$tmp/vjd2.log" 2>&1 </dev/null &
vjd2=$!
second_down() {
	VJ_SOCKET=$vjd_socket2 "$vj" detach eth0 >/dev/null 2>&1 || true
	kill "$vjd2" 2>/dev/null || true
	wait "$vjd2" 2>/dev/null || true
}
trap 'second_down; hosts_down; cleanup' EXIT
vj2() {
	VJ_SOCKET=$vjd_socket2 "$vj" "$@"
}
at_client_vj() {
	VJ_SOCKET=$vjd_socket2 at_client "$vj" run -- "$@"
}
has_interface() {
	"$@" status | has '^eth0 .* native'
}
until_true has_interface "$vj"
until_true has_interface vj2

# ---- programs of one to programs of the other

start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
until_true leased 7000
head -c 3000000 /dev/urandom >"$tmp/file"
echo hello >"$tmp/hello"
start http.log "${on_server[@]}" "$vj" run -- python3 -m http.server 7080 --bind :: --directory "$tmp"
until_true leased 7080
off_trial 7000 7080
off_trial_at fd77::2 7000
for addr in 10.77.0.2 fd77::2; do
	[ "$(at_client_vj timeout 100 redis-cli -h $addr -p 7000 ping)" = PONG ] || fail "redis-cli to redis at $addr"
done
for addr in 10.77.0.2 '[fd77::2]'; do
	[ "$(at_client_vj timeout 100 curl -s "http://$addr:7080/hello")" = hello ] || fail "curl at $addr"
	at_client_vj timeout 100 curl -s "http://$addr:7080/file" | cmp - "$tmp/file" || fail "a file from $addr"
done
[ "$(grep -c 'info: eth0: channel .* of app' "$tmp/vjd2.log")" = 6 ] || fail "the clients did not use channels: $(cat "$tmp/vjd2.log")"
at_client_vj timeout 300 redis-benchmark -h 10.77.0.2 -p 7000 -t set,get -n 20000 -c 20 -q >"$tmp/bench.log" 2>&1 ||
	fail "redis-benchmark: $(tail -3 "$tmp/bench.log")"
# neither kernel had a part in it
for host in "$client" "$server"; do
	nsenter --net="/run/netns/$host" cat /proc/net/snmp | grep -E '^Tcp: [0-9]' | awk '{ exit $11 > 300 }' ||
		fail "the kernel's TCP of $host took part"
done

# ---- the other way round at the same time

start back.log env VJ_SOCKET="$vjd_socket2" "${on_client[@]}" "$vj" run -- \
	redis-server --port 7001 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp/second"
until_true sh -c "VJ_SOCKET=$vjd_socket2 \"$vj\" status | grep -q '^tcp .*:7001 '"
at_client_vj timeout 300 redis-benchmark -h fd77::2 -p 7000 -t get -n 20000 -c 10 -q >"$tmp/there.log" 2>&1 &
there=$!
at_server timeout 300 "$vj" run -- redis-benchmark -h fd77::1 -p 7001 -t get -n 20000 -c 10 -q >"$tmp/back.log" 2>&1 ||
	fail "redis-benchmark back: $(tail -3 "$tmp/back.log")"
wait $there || fail "redis-benchmark there: $(tail -3 "$tmp/there.log")"

# ---- who has which MAC address: each host tells the other, and vj shows it

app_mac() { # PORT: as the server's vj arp has it
	pid=$("$vj" status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
app = [l["app_id"] for l in s["leases"] if l["port"] == int(sys.argv[1])][0]
print(app)' "$1")
	"$vj" arp --json | python3 -c '
import json, sys
print([m["mac"] for m in json.load(sys.stdin)["claimed"] if m.get("app_id") == int(sys.argv[1])][0])' "$pid"
}
resolved() { # ENDPOINT [OPTION]: by the client
	vj2 resolve "$@" | sed -n '1s/.* is at \([0-9a-f:]*\) on eth0$/\1/p'
}
of_redis=$(app_mac 7000) of_http=$(app_mac 7080)
[ "$of_redis" != "$of_http" ] || fail "one address for two"
# what was asked for when a server's first client came, whom the kernel had, is asked for again 10 s later
is_at() { # ENDPOINT MAC
	[ "$(resolved "$1")" = "$2" ]
}
until_true is_at 10.77.0.2:7000 "$of_redis"
until_true is_at '[fd77::2]:7000' "$of_redis"
until_true is_at 10.77.0.2:7080 "$of_http"
says() { # says TEXT ARGUMENT...: of what the client resolves; its questions may come too late on a busy machine
	vj2 resolve "${@:2}" | has "$1"
}
until_true says "the host's own address: it speaks PARP" 10.77.0.2:7999
until_true says "/udp is at .*" --udp 10.77.0.2:7000
vj2 resolve 10.77.0.1:80 | has "this host's own" || fail "its own: $(vj2 resolve 10.77.0.1:80)"
vj2 resolve 10.77.0.99:80 >"$tmp/nobody" && fail "nobody is there: $(cat "$tmp/nobody")"
grep -q "no host on eth0" "$tmp/nobody" || fail "nobody is there: $(cat "$tmp/nobody")"
vj2 resolve 192.0.2.1:80 2>"$tmp/nowhere" && fail "no way leads there"
grep -q "no attached interface leads there" "$tmp/nowhere" || fail "no way leads there: $(cat "$tmp/nowhere")"
is_shown() { # what is not used is forgotten after a minute
	is_at 10.77.0.2:7000 "$of_redis" && vj2 arp | has "10.77.0.2:7000/tcp .* $of_redis  learned"
}
until_true is_shown
is_told() {
	is_at 10.77.0.2:7080 "$of_http" && vj2 arp --json | python3 -c '
import json, sys
learned = [m for m in json.load(sys.stdin)["learned"] if m["state"] == "learned" and m["port_first"] == 7080]
assert learned and 0 < learned[0]["left_s"] <= 60'
}
until_true is_told

# ---- ssh and scp on the side

sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] || skip "sshd is not installed; all before it passed"
ssh-keygen -q -t ed25519 -N '' -f "$tmp/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
chmod 711 "$tmp"
cp "$tmp/key.pub" "$tmp/authorized"
mkdir -p /run/sshd
start sshd.log "${on_server[@]}" "$sshd" -D -e -f /dev/null -p 7022 -h "$tmp/host_key" -o PidFile=none -o StrictModes=no \
	-o AuthorizedKeysFile="$tmp/authorized" -o PasswordAuthentication=no -o UsePAM=no -o PermitRootLogin=yes \
	-o Subsystem='sftp internal-sftp'
options=(-q -i "$tmp/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o ConnectTimeout=60)
ssh_says_hello() {
	[ "$(at_client timeout 100 ssh "${options[@]}" -p 7022 "$1" echo hello </dev/null)" = hello ]
}
until_true ssh_says_hello 10.77.0.2
(while at_client redis-benchmark -h 10.77.0.2 -p 7000 -t get -n 20000 -c 10 -q; do [ ! -e "$tmp/enough" ] || exit 0; done) \
	>"$tmp/load.log" 2>&1 &
load=$!
pids+=("$load")
for addr in 10.77.0.2 fd77::2; do
	ssh_says_hello $addr || fail "ssh to $addr: $(tail -5 "$tmp/sshd.log")"
done
for addr in 10.77.0.2 '[fd77::2]'; do
	at_client timeout 100 scp "${options[@]}" -P 7022 "$tmp/file" "$addr:$tmp/copied" </dev/null || fail "scp to $addr"
	cmp "$tmp/file" "$tmp/copied" || fail "scp to $addr changed the file"
	at_client timeout 100 scp "${options[@]}" -P 7022 "$addr:$tmp/copied" "$tmp/back" </dev/null || fail "scp from $addr"
	cmp "$tmp/file" "$tmp/back" || fail "scp from $addr changed the file"
done
touch "$tmp/enough"
wait "$load" || fail "the load beside ssh: $(tail -3 "$tmp/load.log")"
exit 0
