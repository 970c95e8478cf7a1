# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# A router between two LANs for tests of the gateway; sourced after lib.sh. Everything lies in network namespaces that go with the script.
#
#	client  10.1.0.2 fd01::2 ── wan  router  lan ── bridge ─┬─ one     10.2.0.11 fd02::11  vjd, eth0 attached
#	                              (vjd, a gateway at lan)   ├─ two     10.2.0.12 fd02::12  vjd, eth0 attached
#	                                                        └─ legacy  10.2.0.20 fd02::20  the kernel alone
#
# Ports of the bridge have the names of who is behind them. Frames are looked at there, as they come in.

hosts=(client router bridge one two legacy)
vjds=() # process ids
talk=$VJ_SOURCE_DIR/tests/apps/gateway_talk.py

[ "$(id -u)" = 0 ] || skip "network namespaces and BPF want root"
need ip bridge ethtool nsenter python3 bpftool
. "$(dirname "$0")/netns_lib.sh"

ns() { # HOST: the name of its namespace
	echo "vjgw-$1-$$"
}
at() { # HOST COMMAND...
	local host
	host=$(ns "$1")
	shift
	nsenter --net="/run/netns/$host" "$@"
}
on() { # HOST: words for start, which has to be given a program
	echo nsenter --net="/run/netns/$(ns "$1")"
}
socket_of() { # HOST
	echo "$tmp/$1/vjd.sock"
}
vj_at() { # HOST COMMAND...: vj, asking the vjd of that host
	VJ_SOCKET=$(socket_of "$1") at "$1" "$vj" "${@:2}"
}

all_down() {
	local pid
	end_started
	for pid in "${vjds[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${vjds[@]}"; do wait "$pid" 2>/dev/null || true; done
	netns_down "$tmp"
}
trap 'all_down; cleanup' EXIT

# wire HOST DEVICE HOST DEVICE: as on a wire, checksums are in what leaves
wire() {
	ip -n "$(ns "$1")" link add "$2" numtxqueues 1 numrxqueues 1 type veth peer name "$4" netns "$(ns "$3")" numtxqueues 1 numrxqueues 1
	local end
	for end in "$1 $2" "$3 $4"; do
		set -- $end
		ip -n "$(ns "$1")" link set "$2" up
		at "$1" ethtool -K "$2" tx off tso off gso off gro on >/dev/null
	done
}
address() { # HOST DEVICE NET HOST_PART
	ip -n "$(ns "$1")" addr add "10.$3.0.$4/24" dev "$2"
	ip -n "$(ns "$1")" addr add "fd0$3::$4/64" dev "$2" nodad
}
for host in "${hosts[@]}"; do
	netns_add "$(ns "$host")"
	mkdir "$tmp/$host"
done
wire client eth0 router wan
wire router lan bridge router
ip -n "$(ns bridge)" link add br0 type bridge
for host in one two legacy; do
	wire "$host" eth0 bridge "$host"
done
for port in router one two legacy; do
	ip -n "$(ns bridge)" link set "$port" master br0
done
ip -n "$(ns bridge)" link set br0 up
address client eth0 1 2
address router wan 1 1
address router lan 2 1
address one eth0 2 11
address two eth0 2 12
address legacy eth0 2 20
at router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for host in client one two legacy; do
	net=$([ $host = client ] && echo 1 || echo 2)
	ip -n "$(ns "$host")" route add default via "10.$net.0.1"
	ip -n "$(ns "$host")" -6 route add default via "fd0$net::1"
done

mac_of() { # HOST DEVICE
	ip -n "$(ns "$1")" -j link show "$2" | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["address"])'
}

# start_vjd HOST OPTION...
start_vjd() {
	local host=$1 socket
	socket=$(socket_of "$host")
	shift
	# shellcheck disable=SC2046
	$(on "$host") "$build/vjd" --socket "$socket" --verbose "$@" >>"$tmp/$host/vjd.log" 2>&1 </dev/null &
	vjds+=($!)
	eval "vjd_$host=$!"
	until_true env VJ_SOCKET="$socket" "$vj" status
}

counter() { # HOST WHERE WHAT
	vj_at "$1" status | awk -v where="$2" -v what="$3" '$3 == where && $4 == what { n = $5 } END { print n + 0 }'
}

# mark_seen HOST ADDRESS PATTERN: what HOST has sent so far is in $tmp/seen, whoever writes that being late, as an echo request to ADDRESS is that goes
# behind it. PATTERN: what is written of one, NR for its number
mark_seen() {
	local nr
	printf x >>"$tmp/marks" # another each time: one may be lost
	nr=$(stat -c %s "$tmp/marks")
	at "$1" python3 "$talk" mark "$2" "$nr"
	for _ in $(seq 50); do
		grep -q "${3/NR/$nr}" "$tmp/seen" && return
		sleep 0.02
	done
	return 1
}
