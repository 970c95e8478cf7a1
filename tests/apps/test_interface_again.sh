#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The port of a connection that has become the kernel's lies in a block of its application's still: frames for it are the kernel's also when `flows`
# has forgotten it, and no other connection is begun there as long as the kernel has it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 bpftool

again="$VJ_SOURCE_DIR/tests/apps/again.py"
start_vjd --attach eth0
start echo.log "${on_client[@]}" python3 "$again" echo 7400
until_true at_client python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7400)).close()'

# forget: all that dispatch knows of flows, as if 2^18 others had come since
forget() {
	local map
	for map in $pins/flows; do
		bpftool -j map dump pinned "$map" | python3 -c '
import json, subprocess, sys
for entry in json.load(sys.stdin):
    subprocess.run(["bpftool", "map", "delete", "pinned", sys.argv[1], "key", *entry["key"]], check=True)
    print("forgotten")' "$map"
	done | has forgotten || fail "there were no flows to be forgotten"
}

for host in 10.77.0.1 fd77::1; do
	dir=$tmp/$host
	mkdir "$dir"
	at_server env VJ_VERBOSE=1 sh -c '"$@"; exit $?' sh timeout 60 "$vj" run -- python3 "$again" user $host 7400 "$dir" >"$dir/log" 2>&1 &
	user=$!
	pids+=($user)
	until_true test -e "$dir/ready"
	forget
	touch "$dir/go"
	wait $user || fail "$host: $(cat "$dir/log")"
	[ "$(grep -c 'has become the kernel' "$dir/log")" = 1 ] || fail "$host: not one connection has become the kernel's: $(cat "$dir/log")"
done
