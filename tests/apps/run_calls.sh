#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every call of the sockets layer, on the kernel and on a channel: the transcripts must be equal.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

calls=$build/tests/apps/calls
preload=$build/libvj-preload.so
kernel_stamps
start kernel "$calls" kernel
start channel "$vj" run -- "$calls" channel
start fortified "$vj" run -- "$calls-fortified" channel
VJ_SOCKET=$tmp/nobody LD_PRELOAD=$preload "$calls" kernel >"$tmp/none" 2>"$tmp/none-err" &
pids+=($!)
start kernel6 env CALLS_IPV6=1 "$calls" kernel
start channel6 env CALLS_IPV6=1 VJ_SOCKET="$tmp/vjd6.sock" "$vj" run -- "$calls" channel
stacks_after 160 # of the 240 that it may take
# ended NUMBER LOG: of those that were started
ended() {
	wait "${pids[$1 + 1]}" && has '^end$' "$tmp/$2" || { tail -n 3 "$tmp/$2"; fail "$2: calls ended early"; }
}

ended 0 kernel
ended 1 channel
diff -u "$tmp/kernel" "$tmp/channel" || fail "a channel behaves in another way than the kernel"
echo "$(wc -l <"$tmp/channel") lines, the same on the kernel and on a channel"
ended 2 fortified
diff -u "$tmp/kernel" "$tmp/fortified" || fail "fortified: a channel behaves in another way than the kernel"
echo "the same by the names that fortified programs call"
ended 4 kernel6
ended 5 channel6
diff -u "$tmp/kernel6" "$tmp/channel6" || fail "IPv6: a channel behaves in another way than the kernel"
echo "the same over IPv6"

# no vjd: all goes to the kernel, as if the library were not there, and silently
ended 3 none
diff -u "$tmp/kernel" "$tmp/none" || fail "without vjd the preload behaves in another way than the kernel"
[ -s "$tmp/none-err" ] && fail "not silent: $(cat "$tmp/none-err")"
echo "the same without vjd"

# a listener that is waited for, yet not for clients, when a lease could be asked for again: no longer than was asked
VJ_SOCKET=$tmp/nobody LD_PRELOAD=$preload timeout 60 python3 -c '
import select, socket, time
s = socket.create_server(("127.0.0.1", 0))
p = select.poll()
p.register(s, select.POLLIN)
assert not p.poll(10) # none is to be had
time.sleep(2.5) # longer than the pause after that
p.modify(s, select.POLLOUT)
assert not p.poll(10)' || fail "poll() for something else than clients does not end"

# ... unless asked to be strict
if VJ_STRICT=1 VJ_SOCKET=$tmp/nobody LD_PRELOAD=$preload "$build/tests/apps/calls" kernel >"$tmp/strict" 2>&1; then
	fail "VJ_STRICT: fell back"
fi
grep -q 'no channels: vjd' "$tmp/strict" || fail "VJ_STRICT: no reason given"
grep -q 'listen: FAILED' "$tmp/strict" || fail "VJ_STRICT: listen() did not fail"
echo "VJ_STRICT: $(grep -m 1 'no channels' "$tmp/strict")"
