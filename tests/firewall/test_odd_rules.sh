#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Rules that are seldom met (rulesets/odd.txt): packets through the kernel and through what is compiled, of which none passes that the kernel refuses; and how
# many ports keep a channel.

set -euo pipefail
differ=$(realpath "$1")
odd=$(cd "$(dirname "$0")/rulesets" && pwd)/odd.txt
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

awk -v dir="$dir" '/^## / { file = dir "/" $2 ".nft"; print $3 >(dir "/" $2 ".ports"); next } file { print >file }' "$odd"
rc=0
timeout -k 5 240 "$differ" -s 1 -p 600 "$dir"/*.nft >"$dir/all" 2>&1 </dev/null || rc=$?
[ $rc != 77 ] || { cat "$dir/all"; exit 77; }
awk '/^== / { file = $2 ".out"; next } file { print >file }' "$dir/all"
checked=0
for file in "$dir"/*.nft; do
	name=$(basename "$file" .nft)
	[ -s "$file.out" ] || { tail -5 "$dir/all"; echo "FAILED: $name: was not run"; exit 1; }
	# an expression that this kernel doesn't have
	if grep -q 'No such file or directory\|not supported' "$file.out"; then
		echo "not tested: $name: not in this kernel"
		continue
	fi
	! grep -qx failed "$file.out" || { tail -5 "$file.out"; echo "FAILED: $name"; exit 1; }
	ports=$(grep -c ': channel$' "$file.out" || true)
	[ "$ports" = "$(cat "$dir/$name.ports")" ] || { cat "$file.out"; echo "FAILED: $name: $ports ports keep a channel"; exit 1; }
	checked=$((checked + 1))
done
echo "$checked rulesets"
[ $checked -ge 40 ]
