#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The examples do what their first lines say, and how they are used wrongly is told.

# shellcheck disable=SC2015 # fail is meant for both

set -u
build=${VJ_BUILD_DIR:?}
dir=$(mktemp -d /tmp/vj-test-examples-XXXXXX)
export VJ_SOCKET=$dir/vjd.sock
pids=()
failed=0

cleanup() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$dir"
}
trap cleanup EXIT

fail() {
	echo "FAILED: $*"
	failed=$((failed + 1))
}

example() {
	local name=$1
	shift
	timeout 100 "$build/examples/example-$name" "$@" 2>&1
}

# serve NAME ARG...: starts it and waits for its first line
serve() {
	local name=$1 line
	shift
	exec {out}< <(exec "$build/examples/example-$name" "$@" 2>&1)
	pids+=($!)
	read -r -t 60 -u "$out" line || fail "$name $*: says nothing"
}

for name in tcp_echo udp_echo raw_receiver; do
	said=$(example $name)
	rc=$?
	[ $rc = 2 ] && grep -q "^usage: $name " <<<"$said" || fail "$name without arguments: status $rc: $said"
	serves=server asks=client
	[ $name != raw_receiver ] || serves=receive asks=send
	for wrong in "$serves" "$serves x" "$serves 0" "$serves 65536" "$serves 70x" "$asks 7000 0" "$asks 7000 1e3" "$asks 7000 1 1" \
		"serve 7000" "$asks -1"; do
		# shellcheck disable=SC2086 # words
		said=$(example $name $wrong)
		rc=$?
		[ $rc = 2 ] && grep -q "^usage: $name " <<<"$said" || fail "$name $wrong: status $rc: $said"
	done
	said=$(example $name $serves 7000)
	rc=$?
	[ $rc = 1 ] && grep -q "vjd --private" <<<"$said" || fail "$name without vjd: status $rc: $said"
done

exec {ready}< <(exec "$build/vjd" --private --foreground --socket "$VJ_SOCKET" --ready-fd 1 2>"$dir/vjd.log")
pids+=($!)
read -r -t 60 -N 1 -u "$ready" || fail "vjd does not get ready: $(cat "$dir/vjd.log")"

# nobody listens
said=$(example tcp_echo client 7001)
[ $? = 1 ] && grep -q "connect: " <<<"$said" || fail "tcp_echo with no server: $said"

serve tcp_echo server 7001
for messages in 1 1000 1; do
	said=$(example tcp_echo client 7001 $messages)
	grep -q "^$messages messages came back" <<<"$said" || fail "tcp_echo $messages: $said"
done
said=$(example tcp_echo server 7001)
[ $? = 1 ] && grep -q "listen: Address already in use" <<<"$said" || fail "tcp_echo on a port that is taken: $said"

serve udp_echo server 7002
said=$(example udp_echo client 7002 1000)
[ "$said" = "1000 datagrams came back" ] || fail "udp_echo: $said"

serve raw_receiver receive 9 100000
said=$(example raw_receiver send 9 100000)
[ "$said" = "100000 frames sent" ] || fail "raw_receiver send: $said"
read -r -t 60 -u "$out" line
[ "$line" = "100000 frames, 0 gaps" ] || fail "raw_receiver receive: $line"

[ $failed = 0 ] || echo "$failed failed"
[ $failed = 0 ]
