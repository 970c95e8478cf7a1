# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Network namespaces that go with the script; if it was killed by force, with the next one that uses this. Sourced after lib.sh.

# netns_end NAME...: programs in these namespaces: workers whose master was ended
netns_end() {
	local name
	disown -a # the shell would tell of each of its own that it was killed
	for name in "$@"; do
		ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
	done
}

# netns_down DIRECTORY: all that the script of that directory has made: programs, mounts, pinned maps and programs, the namespaces. Several who sweep may
# do it at the same time
netns_down() {
	local name names net
	mapfile -t names < <(cat "$1/netns" 2>/dev/null)
	netns_end "${names[@]}"
	umount -l "$1"/vjd.sock.d/netns "$1"/*/vjd.sock.d/netns 2>/dev/null || true
	for name in "${names[@]}"; do
		net=$(stat -Lc %i "/run/netns/$name" 2>/dev/null) || continue
		rm -rf /sys/fs/bpf/vjchan/*-net"$net" 2>/dev/null || true
		ip netns del "$name" 2>/dev/null || true
	done
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
