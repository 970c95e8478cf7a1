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
checked=0
for file in "$dir"/*.nft; do
	name=$(basename "$file" .nft)
	rc=0
	timeout -k 5 60 "$differ" -s 1 -p 600 -f "$file" >"$dir/out" 2>&1 </dev/null || rc=$?
	[ $rc != 77 ] || { cat "$dir/out"; exit 77; }
	# an expression that this kernel doesn't have
	if grep -q 'No such file or directory\|not supported' "$dir/out"; then
		echo "not tested: $name: not in this kernel"
		continue
	fi
	[ $rc = 0 ] || { tail -5 "$dir/out"; echo "FAILED: $name"; exit 1; }
	ports=$(grep -c ': channel$' "$dir/out" || true)
	[ "$ports" = "$(cat "$dir/$name.ports")" ] || { cat "$dir/out"; echo "FAILED: $name: $ports ports keep a channel"; exit 1; }
	checked=$((checked + 1))
done
echo "$checked rulesets"
[ $checked -ge 40 ]
