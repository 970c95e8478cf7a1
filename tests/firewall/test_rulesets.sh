#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Rulesets as hosts have them: Debian's examples, where they are installed, and ours in the manner of Docker, firewalld, fail2ban and of a server. Packets
# through the kernel and through what is compiled; and which ports keep a channel.

set -euo pipefail
differ=$(realpath "$1")
rulesets=$(cd "$(dirname "$0")/rulesets" && pwd)
examples=/usr/share/doc/nftables/examples
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# check FILE EXPECTED: lines of which each has to be there; "all", "IPv4": all ports, or those of IPv4 alone, keep a channel
check() {
	local file=$1 line rc=0
	for seed in 1 2 3; do
		(cd "$(dirname "$file")" && timeout -k 5 60 "$differ" -s "$seed" "$file") >"$out" 2>&1 </dev/null || rc=$?
		[ $rc != 77 ] || { cat "$out"; exit 77; }
		[ $rc = 0 ] || { tail -5 "$out"; echo "FAILED: $file"; exit 1; }
	done
	case $2 in
	all) ! grep -q ': kernel$' "$out" ;;
	IPv4) ! grep -q '^[a-z]*4 .*: kernel$' "$out" && ! grep -q '^[a-z]*6 .*: channel$' "$out" ;;
	*) while read -r line; do
		grep -qx "$line" "$out" || { echo "no line: $line"; false; }
	done <<<"$2" ;;
	esac || { cat "$out"; echo "FAILED: $file: other ports keep a channel"; exit 1; }
	echo "$(basename "$file"): $(grep -c ': channel$' "$out") of $(grep -c -E ': (channel|kernel)$' "$out") ports asked about keep a channel"
}

# What is published, inbound, and what goes where containers are has its address translated.
check "$rulesets/docker.nft" "$(printf 'tcp4 8080: kernel\ntcp6 8080: channel\ntcp4 22: channel\nudp4 53: channel\ntcp4 7000: channel')"
# Whether there is a way back (rpfilter) only the kernel knows, and it is asked of IPv6.
check "$rulesets/firewalld.nft" IPv4
check "$rulesets/fail2ban.nft" all
# A set that rules put elements into, be it at another hook; sets that only people change are compiled.
check "$rulesets/dynamic.nft" "$(printf 'tcp4 8080: kernel\ntcp6 8080: channel\ntcp4 22: channel\ntcp6 7000: channel\nudp4 53: channel')"
check "$rulesets/server.nft" "$(printf 'udp4 123: kernel\nudp6 123: kernel\ntcp4 22: channel\ntcp6 7000: channel\nudp4 53: channel')"
if [ -f $examples/workstation.nft ]; then
	check $examples/workstation.nft all
	check $examples/inet-filter.nft all
	check $examples/ipv4-filter.nft all
	check $examples/ipv6-filter.nft all
else
	echo "not tested: Debian's examples, which are not installed"
fi
