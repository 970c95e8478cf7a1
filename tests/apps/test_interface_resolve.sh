#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two hosts with vjchan on one bridge: what applications of one send goes to the own MAC addresses of those of the other, and never waits for
# that; keys of the LAN; and a bridge that lets nothing through to addresses that it was not told of, as port security does: vjd finds out,
# says so, and the traffic goes by port. Frames are looked at in the bridge.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gateway_lib.sh"
need python3 tcpdump

# client.py HOST PORT ROUNDS [FILE]: a line each 20 ms; says so when all came back. With a file: the rounds begin anew when it is there
cat >"$tmp/client.py" <<'PY'
import os, socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 60) as s:
    s.settimeout(60)
    left, waits = int(sys.argv[3]), sys.argv[4:]
    while left:
        if waits and os.path.exists(waits[0]):
            left, waits = int(sys.argv[3]), []
        left -= not waits or left > 1
        line = b"%06d\n" % left
        s.sendall(line)
        got = b""
        while len(got) < len(line):
            more = s.recv(100)
            assert more, "closed"
            got += more
        assert got == line
        time.sleep(0.02)
print("fine")
PY
talk() { # HOST PORT ROUNDS: from two, over a channel
	VJ_SOCKET=$(socket_of two) timeout -k 5 120 $(on two) "$vj" run -- python3 "$tmp/client.py" "$@"
}
has_lease() { # PORT
	vj_at one status --json | has "\"port\": $1"
}
serve() { # vjd's options
	start_vjd one --attach eth0 "$@"
	start_vjd two --attach eth0 "$@"
	# shellcheck disable=SC2046
	start server.log env VJ_SOCKET="$(socket_of one)" $(on one) "$vj" run -- python3 "$talk" serve 7000 7001 7002 7003
	server=${pids[-1]}
	until_true has_lease 7003
	VJ_SOCKET=$(socket_of one) at two python3 "$talk" channel "$vj" 10.2.0.11 7000 7001 7002 7003
}
end_all() { # PID...: those that are there
	local pid
	for pid in "$@"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}
stop() {
	end_all "$server"
	# shellcheck disable=SC2154
	end_all "$vjd_one" "$vjd_two"
}
# Of what two sends to port $1: to which address each TCP frame goes, in order
watch() {
	# shellcheck disable=SC2046
	$(on bridge) tcpdump -i two -Q in -n -e -l "tcp dst port $1 or icmp" >"$tmp/seen" 2>"$tmp/tcpdump.log" &
	watcher=$!
	until_true grep -q listening "$tmp/tcpdump.log"
}
caught_up() { # an echo request behind all of it has been seen, too
	mark_seen two 10.2.0.11 'echo request, id 0, seq NR,'
}
seen() {
	until_true caught_up
	kill -INT $watcher
	wait $watcher 2>/dev/null || true
	# SYN and data: when the program has ended, vjd sees to the rest, and asks the peer where it stands (if_reset.h)
	awk '/ICMP/ { next } /Flags \[S\]/ || / length [1-9][0-9]*$/ { sub(",", "", $4); print $4 }' "$tmp/seen"
}
own_mac() { # that of one's server
	vj_at one arp --json | python3 -c '
import json, sys
print(next(m["mac"] for m in json.load(sys.stdin)["claimed"] if m["state"] == "claimed" and m.get("app_id")))'
}
macs() { # what vjd of one knows of its own addresses
	vj_at one status --json | python3 -c '
import json, sys
print(next(i["application_macs"] for i in json.load(sys.stdin)["interfaces"] if "app_id" not in i))'
}
canonical=$(mac_of one eth0)

# ---- applications to applications

serve
has_mac() {
	own_mac >/dev/null
}
until_true has_mac
is_learned() { # ADDRESS PORT: by two
	vj_at two arp --json | python3 -c '
import json, sys
addr, port = sys.argv[1], int(sys.argv[2])
sys.exit(not any(e["state"] == "learned" and e["addr"] == addr and e.get("port_first", 0) <= port <= e.get("port_last", 0)
                 for e in json.load(sys.stdin)["learned"]))' "$@"
}
to_app=0
for to in 10.2.0.11 fd02::11; do
	[ "$to" = fd02::11 ] && port=7001 || port=7002
	watch $port
	talk $to $port 30 "$tmp/enough" >"$tmp/talk.log" &
	talker=$!
	until_true is_learned $to $port
	touch "$tmp/enough"
	wait $talker && [ "$(cat "$tmp/talk.log")" = fine ] || fail "a connection to $to: $(cat "$tmp/talk.log")"
	rm "$tmp/enough"
	seen >"$tmp/where"
	[ "$(head -1 "$tmp/where")" = "$canonical" ] || fail "$to: the first packet went to $(head -1 "$tmp/where"): $(cat "$tmp/seen")"
	[ "$(tail -1 "$tmp/where")" = "$(own_mac)" ] || fail "$to: the last one did not go to the application: $(uniq -c "$tmp/where")"
	[ "$(uniq "$tmp/where" | wc -l)" = 2 ] || fail "$to: it went to and fro: $(uniq -c "$tmp/where")"
	to_app=$((to_app + $(grep -c "$(own_mac)" "$tmp/where")))
	echo "$to: $(grep -c "$canonical" "$tmp/where") packets to the host, then $(grep -c "$(own_mac)" "$tmp/where") to the application"
done
went_by_mac() { # dispatch
	[ "$(counter one dispatch to_mac)" -ge $to_app ]
}
until_true went_by_mac $to_app "$(vj_at one status)"

macs_are() {
	[ "$(macs)" = "$1" ]
}
until_true macs_are reached
is_known_at() { # used again, so that it is asked for again where it is over
	talk "$1" "$2" 1 && is_learned "$@"
}
until_true is_known_at 10.2.0.11 7002
vj_at two arp | has "10.2.0.11:7002/tcp *$(own_mac) *learned" || fail "vj arp: $(vj_at two arp)"
vj_at two resolve 10.2.0.11:7002 | has "$(own_mac)" || fail "vj resolve: $(vj_at two resolve 10.2.0.11:7002)"
said=$(vj_at two resolve 10.2.0.255:7002) && fail "vj resolve of the broadcast address is well: $said"
[[ $said == *"broadcast address of eth0, no one host's"* ]] || fail "vj resolve of the broadcast address: $said"

# ... while the kernel has a connection at the port yet, from when its program was new: the host's own address is right, and when the last
# has ended, who asked meanwhile hears of it
# shellcheck disable=SC2046
start new.log env VJ_SOCKET="$(socket_of one)" $(on one) "$vj" run -- python3 "$talk" serve 7004
new=${pids[-1]}
new_listens() {
	at one ss -Hltn "sport = :7004" | has 7004
}
until_true new_listens
# shellcheck disable=SC2046
start first.log $(on two) python3 "$talk" hold 10.2.0.11 7004
first=${pids[-1]}
until_true test -s "$tmp/first.log"
at two python3 "$talk" trial 10.2.0.11 7004
until_true has_lease 7004
told_none() {
	vj_at two resolve 10.2.0.11:7004 | has "no one application there has the port"
}
until_true told_none
before=$(counter one owner announced)
end_all $first
told() {
	[ "$(counter one owner announced)" -gt "$before" ]
}
until_true told
forgotten() {
	! vj_at two arp | has "10.2.0.11:7004/tcp"
}
until_true forgotten
says() { # says TEXT ENDPOINT: of what two resolves; its questions may come too late on a busy machine
	vj_at two resolve "$2" | has "$1"
}
until_true says "is at [0-9a-f]2:" 10.2.0.11:7004 # the kernel's connection is over
end_all $new

# ... whose vjd dies: what is known is good for its time, and connections neither break nor wait
kill -9 "$vjd_two"
wait "$vjd_two" 2>/dev/null || true
start_vjd two
[ "$(talk 10.2.0.11 7002 5)" = fine ] || fail "after a restart of vjd"

# ... to one that ends: its flows go to the host at once, whose kernel answers
end_all "$server"
gone() {
	! vj_at two arp | has "10.2.0.11:7002/tcp .* learned"
}
until_true gone
watch 7002
talk 10.2.0.11 7002 1 >"$tmp/refused" 2>&1 && fail "somebody answers"
has -i refused <"$tmp/refused" || fail "not refused: $(cat "$tmp/refused")"
[ "$(seen | sort -u)" = "$canonical" ] || fail "went on to a dead application: $(cat "$tmp/seen")"
stop

# ---- keys

umask 077
echo "7 $(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$tmp/key"
echo "8 $(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$tmp/other"
chmod 644 "$tmp/other"
at one "$build/vjd" --socket "$tmp/no.sock" --parp-keys "$tmp/other" 2>"$tmp/why" && fail "took a key that all may read"
has 0600 <"$tmp/why" || fail "and does not say why: $(cat "$tmp/why")"
chmod 600 "$tmp/other"
start_vjd one --attach eth0 --parp-keys "$tmp/key"
start_vjd two --attach eth0 --parp-keys "$tmp/key"
until_true says "speaks PARP" 10.2.0.11:7000 # with one key
end_all "$vjd_two"
start_vjd two --attach eth0 --parp-keys "$tmp/other"
until_true says "does not answer for ports" 10.2.0.11:7000 # with two keys
is_counted() {
	[ "$(counter one parp no_auth)" -gt 0 ]
}
until_true is_counted
end_all "$vjd_one" "$vjd_two"

# ---- nothing gets through to addresses that the bridge was not told of

bridge -n "$(ns bridge)" link set dev one learning off flood off
ip netns exec "$(ns bridge)" bridge fdb flush dev one 2>/dev/null || true
bridge -n "$(ns bridge)" fdb replace "$canonical" dev one master static
serve --parp e2 # nothing but addresses is looked at there: as many questions as may be
until_true has_mac
# Of a port whose application's address two has tried. Soon one answers that it has none: when it has seen that nobody gets there
says_blocked() {
	local port
	port=$(vj_at two arp | sed -n 's/.*10\.2\.0\.11:\([0-9]*\).* blocked.*/\1/p' | head -1)
	[ -n "$port" ] && says "comes through" "10.2.0.11:$port"
}
for port in 7001 7002 7003; do
	watch $port
	[ "$(talk 10.2.0.11 $port 60)" = fine ] || fail "port $port where only one address passes"
	[ "$(seen | sort -u)" = "$canonical" ] || fail "sent into the void: $(cat "$tmp/seen")"
	[ $port != 7001 ] || until_true says_blocked
done
until_true macs_are blocked
vj_at one doctor eth0 | has "applications' MAC addresses arrives" || fail "vj doctor: $(vj_at one doctor eth0)"
until_true says "speaks PARP" 10.2.0.11:7000 # answered all the same
[ "$(counter one dispatch to_mac)" = 0 ] || fail "something came through"
[ "$(counter one dispatch to_flow)" -gt 100 ] || fail "dispatch by port did not carry it"
stop

echo fine
