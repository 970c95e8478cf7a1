#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The dissector says what is in every frame of parp.pcap, as parp.txt has it; that capture is what the builder makes.
# usage: test_parp_lua.sh PARP_CAPTURE [--write]

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
capture=$here/parp.pcap
expected=$here/parp.txt
lua=$here/../../dist/wireshark/parp.lua
tmp=$(mktemp -d /tmp/vj-parp-lua-XXXXXX)
trap 'rm -rf "$tmp"' EXIT

die() {
	printf 'test_parp_lua: %s\n' "$*" >&2
	exit 1
}

# one line for the list of packets, then all fields
dissect() {
	HOME=$tmp tshark -X lua_script:"$lua" -n -r "$1" 2>"$tmp/err" -T fields -E separator='|' -E occurrence=a \
		-e frame.number -e _ws.col.Protocol -e _ws.col.Info -e parp.encoding -e parp.msg -e parp.op -e parp.version \
		-e parp.sender_mac -e parp.target_mac -e parp.proto -e parp.port_lo -e parp.port_hi -e parp.generation -e parp.ip \
		-e parp.tlv -e parp.lifetime -e parp.nonce -e parp.host_id -e parp.mac -e parp.key_id -e parp.auth \
		-e parp.bad
	# tshark itself warns of being root; what else is there is the script's
	! grep -iE 'lua|error' "$tmp/err" >&2
}

"$1" "$tmp/parp.pcap"
if ! command -v tshark >/dev/null; then
	echo "skipped: tshark is not installed"
	cmp "$tmp/parp.pcap" "$capture" || die "parp.pcap is not what the builder makes"
	exit 77
fi
if [ "${2:-}" = --write ]; then
	cp "$tmp/parp.pcap" "$capture"
	dissect "$capture" >"$expected"
	exit 0
fi
if [ "$(printf '\1\0' | od -An -tu2 | tr -d ' ')" = 1 ]; then
	cmp "$tmp/parp.pcap" "$capture" || die "parp.pcap is not what the builder makes (--write renews it)"
fi
dissect "$capture" >"$tmp/parp.txt"
diff -u "$expected" "$tmp/parp.txt" || die "the dissector says something else (--write renews parp.txt)"
