# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Two hosts for a test of interface channels: $client, the kernel alone, and $server, whose vjd offers channels at eth0. Sourced
# after lib.sh. Everything lies in two network namespaces that go with the script.
#
#	$client  eth0 10.77.0.1 fd77::1  ──────  eth0 10.77.0.2 fd77::2  $server

client=vjc$$
server=vjs$$

[ "$(id -u)" = 0 ] || skip "network namespaces and XDP want root"
need ip ethtool nsenter
. "$(dirname "$0")/netns_lib.sh"

vjd=
hosts_down() {
	"$vj" detach eth0 >/dev/null 2>&1 || true
	[ -z "$vjd" ] || kill $vjd 2>/dev/null || true
	[ -z "$vjd" ] || wait $vjd 2>/dev/null || true
	netns_down "$tmp"
}
trap 'hosts_down; cleanup' EXIT

netns_add "$client" "$server"
ip -n "$server" link add eth0 numtxqueues 1 numrxqueues 1 type veth \
	peer name eth0 netns "$client" numtxqueues 1 numrxqueues 1
for host in "$client" "$server"; do
	ip -n "$host" link set eth0 up
done
ip -n "$client" addr add 10.77.0.1/24 dev eth0
ip -n "$server" addr add 10.77.0.2/24 dev eth0
ip -n "$client" addr add fd77::1/64 dev eth0 nodad
ip -n "$server" addr add fd77::2/64 dev eth0 nodad
# A veth leaves checksums to whoever needs them, which a wire does not.
for host in "$client" "$server"; do
	nsenter --net="/run/netns/$host" ethtool -K eth0 tx off tso off gso off >/dev/null
done

pins="/sys/fs/bpf/vjchan/if*-net$(stat -Lc %i "/run/netns/$server")" # of all its interfaces

# For start, which has to be given a program, not a function: its process is to be ended.
on_client=(nsenter --net="/run/netns/$client")
on_server=(nsenter --net="/run/netns/$server")

at_client() {
	"${on_client[@]}" "$@"
}

at_server() {
	"${on_server[@]}" "$@"
}

# vjd of $server. start_vjd OPTION...
start_vjd() {
	"${on_server[@]}" "$build/vjd" --socket "$VJ_SOCKET" --verbose "$@" >>"$tmp/vjd.log" 2>&1 </dev/null &
	vjd=$!
	until_true serves_or_ended
	kill -0 $vjd || fail "vjd does not start: $(cat "$tmp/vjd.log")"
}
serves_or_ended() {
	"$vj" status || ! kill -0 $vjd
}

# off_trial PORT...: of servers' first clients from beyond their host one or two come by the kernel (src/sock/accept.c). None any more
off_trial() {
	off_trial_at 10.77.0.2 "$@"
}
off_trial_at() { # off_trial_at ADDR PORT...: where a listener has no other than of that family
	at_client python3 "$VJ_SOURCE_DIR/tests/apps/gateway_talk.py" channel "$vj" "$@" || fail "on trial still: $*"
}

# pings HOST CNT GAP: as a program of the client's, see gateway_talk.py
pings() {
	at_client python3 "$VJ_SOURCE_DIR/tests/apps/gateway_talk.py" ping "$@"
}

# talks_long HOST MARKER LOG: in the background with redis at port 7000, until talked_long MARKER; MARKER is there once it is under way
talks_long() {
	"${on_client[@]}" python3 - "$1" "$2" >"$3" 2>&1 <<'PY' &
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], 7000), timeout=60)
done = 0
left = 200 # rounds after it was told
while left:
    s.sendall(b"PING\r\n")
    assert s.recv(100) == b"+PONG\r\n"
    done += 1
    if done == 20:
        open(sys.argv[2], "w").close()
    left -= os.path.exists(sys.argv[2] + ".end")
    time.sleep(0.01)
PY
	long=$!
	until_true test -e "$2"
}
# talked_long MARKER: has it gone on all the time?
talked_long() {
	touch "$1.end"
	wait $long
}

# has_pairs N: pairs of devices of that many channels, and the one that vjd has made ahead
has_pairs() {
	[ "$(ip -n "$server" -br link | grep -c '^vjh')" = $(($1 + 1)) ]
}

no_pairs() {
	! ip -n "$server" -br link | has '^vjh'
}
