#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# redis-server with benchmark and command line, both on channels, and clients of the kernel beside; BGSAVE forks.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"
need redis-server redis-cli redis-benchmark

port=$(free_port)
start redis "$vj" run -- redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$tmp"
wait_port "$port"
has_lease "$port" || fail "redis-server has no lease: it isn't on channels"

ask() { "$vj" run -- redis-cli -p "$port" "$@"; }
ask_kernel() { redis-cli -p "$port" "$@"; }

[ "$(ask_kernel ping)" = PONG ] || fail "ping from the kernel"
[ "$(ask ping)" = PONG ] || fail "ping over a channel"
[ "$(ask set over-channel 1)" = OK ] || fail "set"
[ "$(ask_kernel get over-channel)" = 1 ] || fail "get from the kernel"

# every key written is read back, by both
"$vj" run -- redis-benchmark -p "$port" -c 50 -n 50000 -r 1000 -t set,get,lpush,mset --csv >"$tmp/bench" 2>&1 || fail "redis-benchmark"
cat "$tmp/bench"
for i in $(seq 1 2000); do echo "SET key:$i value-$i"; done | ask >"$tmp/set"
[ "$(grep -c '^OK$' "$tmp/set")" = 2000 ] || fail "2000 keys set"
for i in $(seq 1 2000); do echo "GET key:$i"; done >"$tmp/gets"
ask <"$tmp/gets" >"$tmp/by-vj"
ask_kernel <"$tmp/gets" >"$tmp/by-kernel"
for i in $(seq 1 2000); do echo "value-$i"; done >"$tmp/want"
cmp "$tmp/want" "$tmp/by-vj" || fail "keys read back over a channel"
cmp "$tmp/want" "$tmp/by-kernel" || fail "keys read back over the kernel"

# a big value, pub/sub, pipelining
head -c 2000000 /dev/urandom | base64 -w0 >"$tmp/big"
ask -x set big <"$tmp/big" >/dev/null
ask get big | tr -d '\n' | cmp - "$tmp/big" || fail "2.6 MB value"
"$vj" run -- redis-benchmark -p "$port" -c 20 -n 50000 -P 16 -t set,get --csv >"$tmp/pipe" 2>&1 || fail "pipelined"
redis-benchmark -p "$port" -c 20 -n 5000 -t set,get --csv >"$tmp/kernel" 2>&1 || fail "benchmark from the kernel"

# fork with connections open and under load
"$vj" run -- redis-benchmark -p "$port" -c 10 -n 30000 -t set --csv >"$tmp/load" 2>&1 &
load=$!
pids+=("$load")
ask bgsave >/dev/null
for _ in $(seq 200); do
	ask info persistence >"$tmp/info"
	grep -q 'rdb_bgsave_in_progress:0' "$tmp/info" && break
	sleep 0.05
done
grep -q 'rdb_last_bgsave_status:ok' "$tmp/info" || fail "bgsave"
wait "$load" || fail "load during bgsave"
[ "$(ask get key:77)" = value-77 ] || fail "after bgsave"
ask_kernel shutdown nosave || true
echo "redis: every key read back"
