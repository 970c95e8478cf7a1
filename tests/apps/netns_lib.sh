# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Network namespaces that go with the script; if it was killed by force, with the next one that uses this. Sourced after lib.sh.

# netns_end DIRECTORY: programs in the namespaces of the script of that directory: workers whose master was ended
netns_end() {
	local name
	disown -a # the shell would tell of each of its own that it was killed
	while read -r name; do
		ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
	done <"$1/netns"
}

# netns_down DIRECTORY: and all else that it has made: mounts, pinned maps and programs, the namespaces
netns_down() {
	local name net
	[ -e "$1/netns" ] || return 0
	netns_end "$1"
	umount -l "$1"/vjd.sock.d/netns "$1"/*/vjd.sock.d/netns 2>/dev/null || true
	while read -r name; do
		net=$(stat -Lc %i "/run/netns/$name" 2>/dev/null) || continue
		rm -rf /sys/fs/bpf/vjchan/*-net"$net"
		ip netns del "$name" 2>/dev/null || true
	done <"$1/netns"
}

netns_sweep() {
	local dir pid
	for dir in "${tmp%/*}"/vj-apps-*; do
		[ -O "$dir" ] && [ ! -L "$dir" ] && pid=$(cat "$dir/owner" 2>/dev/null) || continue
		[[ $pid =~ ^[0-9]+$ && ! -e /proc/$pid ]] || continue
		netns_down "$dir"
		rm -rf "$dir" || true
	done
}

# netns_add NAME...: of names with the script's process id in them
netns_add() {
	local name
	for name in "$@"; do
		echo "$name" >>"$tmp/netns"
		ip netns add "$name" 2>/dev/null || skip "no network namespaces here"
		ip -n "$name" link set lo up
	done
}

netns_sweep
echo $$ >"$tmp/owner"
