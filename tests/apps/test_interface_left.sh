#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What an earlier vjd has left is known by itself, though its pins are lost, and what is of another version goes: in a mount namespace
# of its own, whose BPF file system is lost again and again.

if [ -z "${VJ_OWN_MOUNTS-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: network namespaces and XDP want root"; exit 77; }
	VJ_OWN_MOUNTS=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 bpftool tc mount umount

fresh_bpffs() {
	mount -t bpf -o mode=0700 bpf /sys/fs/bpf
}
lose_bpffs() {
	umount /sys/fs/bpf
	fresh_bpffs
}
kill_vjd() {
	kill -9 $vjd
	wait $vjd || true
}
fresh_bpffs

cat >"$tmp/echo.py" <<'PY'
import socket, threading
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 7071))
s.listen()
def echo(c):
	try:
		while data := c.recv(100):
			c.sendall(data)
	except OSError:
		pass
	c.close()
while True:
	threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
PY
# says what comes back on each of two connections, for each line that it is given; and on a third that only waits how it ended
cat >"$tmp/ask.py" <<'PY'
import os, socket, sys, threading
def say(*words): # whole lines: several threads do
	os.write(1, (" ".join(words) + "\n").encode())
hosts = "10.77.0.2", "fd77::2"
cs = [socket.create_connection((h, 7071), 60) for h in hosts]
def wait(h):
	c = socket.create_connection((h, 7071), 60)
	c.settimeout(None)
	c.sendall(b"first\n")
	c.recv(100)
	try:
		say("waited", h, str(c.recv(1)))
	except OSError as e:
		say("waited", h, e.__class__.__name__)
for h in hosts:
	threading.Thread(target=wait, args=(h,), daemon=True).start()
for line in sys.stdin:
	for c in cs:
		c.sendall(line.encode())
		say(c.recv(100).decode().strip())
PY
serve() {
	start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
	until_true leased 7071
	off_trial 7071
	rm -f "$tmp/lines"
	mkfifo "$tmp/lines"
	"${on_client[@]}" python3 "$tmp/ask.py" <"$tmp/lines" >"$tmp/said" 2>&1 &
	pids+=($!)
	exec 7>"$tmp/lines"
	goes_on before
	until_true has_four
}
has_four() { # connections on channels
	[ "$("$vj" connections | grep -c '10\.77\.0\.1\|fd77::1')" = 4 ]
}
says() {
	[ "$(grep -c "$1" "$tmp/said")" = 2 ]
}
goes_on() { # goes_on WORD
	echo "$1" >&7
	until_true says "$1"
}
ends() {
	exec 7>&-
	end_started
}
is_at() { # is_at native|tc: and nowhere else
	local xdp=0 tc=0
	ip -n "$server" -d link show eth0 | has 'prog/xdp.*name vj_dispatch ' && xdp=1
	at_server tc filter show dev eth0 ingress 2>/dev/null | has vj_dispatch_tc && tc=1
	case $1 in
	native) [ $xdp$tc = 10 ] ;;
	tc) [ $xdp$tc = 01 ] ;;
	none) [ $xdp$tc = 00 ] ;;
	esac
}
all_pins() {
	find /sys/fs/bpf/vjchan 2>/dev/null | sort
}
are_pinned() { # as before they were lost
	[ "$(all_pins)" = "$was_pinned" ]
}

# ---- a vjd that runs pins again what is lost

start_vjd --attach eth0
serve
until_true rests all_pins # those of the channel that is made ahead among them
was_pinned=$(all_pins)
lose_bpffs
are_pinned && fail "the file system is not another one"
ip -n "$server" link set lo mtu 65535
until_true are_pinned
until_true is_at native # and nowhere else, after lost pins
kill_vjd
start_vjd
goes_on first
is_at native || fail "the next vjd attaches elsewhere"

# ---- with none that runs, the next one takes the maps from the program that is there

kill_vjd
lose_bpffs
at_server "$vj" doctor eth0 >"$tmp/doctor" || true
grep -q "^note  eth0 .*a program that an earlier vjd left is there (XDP)" "$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
start_vjd
grep -q "found again" "$tmp/vjd.log" || fail "no channel is found again: $(cat "$tmp/vjd.log")"
until_true leased 7071
goes_on second
is_at native || fail "with lost pins the next vjd attaches elsewhere"
at_server "$vj" doctor eth0 >"$tmp/doctor" || true
grep -q "^ok    eth0 .*vjchan's program is there (XDP)" "$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
# gate is the new one: it knows neighbours that come now
ip -n "$client" link set eth0 address 02:00:00:00:77:01
goes_on third

# ---- likewise at tc

"$vj" attach --tc eth0 >/dev/null
is_at tc || fail "not at tc"
kill_vjd
lose_bpffs
start_vjd
until_true leased 7071
goes_on fourth
is_at tc || fail "with lost pins the next vjd is not at tc alone"
at_server "$vj" doctor eth0 >"$tmp/doctor" || true
grep -q "^ok    eth0 .*vjchan's program is there (tc)" "$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
! grep -q waited "$tmp/said" || fail "a connection that waited has ended: $(cat "$tmp/said")"

# ---- maps of another version: its channels end, and who waits hears of it

kill_vjd
# shellcheck disable=SC2086
for pin in $pins/ports; do
	rm "$pin"
	bpftool map create "$pin" type hash key 20 value 128 entries 65536 name ports flags 1
done
: >"$tmp/vjd.log"
start_vjd
grep -q "ends: it was made by another version of vjd" "$tmp/vjd.log" || fail "nothing is said of channels that end: $(cat "$tmp/vjd.log")"
until_true says "waited .* Connection"
is_at tc || fail "in place of another version's: not at tc alone"
ends
has_pairs_of_none() {
	has_pairs 0
}
until_true has_pairs_of_none
serve
ends

# ---- a record of another version, a pair that was being made, one that is a stranger's

kill_vjd
start_vjd
serve
kill_vjd
for record in "$VJ_SOCKET".d/chan-*; do
	printf '\0' | dd of="$record" bs=1 conv=notrunc status=none
done
ip -n "$server" link add vjh7 type veth peer name there
nsenter --net="$VJ_SOCKET.d/netns" ip link set lo up
nsenter --net="/run/netns/$server" sh -c "exec 9<'$VJ_SOCKET.d/netns'; ip link add vjh8 type veth peer name vja8 netns /proc/\$\$/fd/9"
: >"$tmp/vjd.log"
start_vjd
grep -q "pairs of devices removed that an earlier vjd had left" "$tmp/vjd.log" || fail "nothing is said of pairs: $(cat "$tmp/vjd.log")"
until_true says "waited .* Connection"
ends
is_swept() {
	[ "$(ip -n "$server" -br link | grep -c '^vjh')" = 2 ] && ip -n "$server" link show vjh7 # and the spare one
}
until_true is_swept
ip -n "$server" link del vjh7

# ---- a vjd that has never heard of it takes it away

kill_vjd
lose_bpffs
rm -rf "$VJ_SOCKET.d/if-eth0"
start_vjd
is_at tc || fail "a vjd that knows nothing of it has touched it"
[ "$("$vj" detach eth0)" = "eth0: the kernel's alone again" ] || fail "what an earlier vjd left is not detached: $(cat "$tmp/vjd.log")"
is_at none || fail "after detach there is something left"
"$vj" detach eth0 2>"$tmp/out" && fail "detached twice"
grep -q "it isn't attached" "$tmp/out" || fail "detach says: $(cat "$tmp/out")"
until_true no_pairs

# ---- a stranger's of the same name is not ours

mkdir /sys/fs/bpf/foreign
bpftool prog loadall "$VJ_BUILD_DIR/tests/apps/foreign.bpf.o" /sys/fs/bpf/foreign
at_server bpftool net attach xdpdrv pinned /sys/fs/bpf/foreign/vj_dispatch dev eth0
"$vj" detach eth0 >/dev/null 2>&1 && fail "a stranger's program was detached"
at_server "$vj" doctor eth0 >"$tmp/doctor" || true
grep -q "^note  eth0 .*XDP program vj_dispatch .* is there: it goes first" "$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
"$vj" attach eth0 | has "by tc" || fail "attached in the place of a stranger's program"
"$vj" detach eth0 >/dev/null
ip -n "$server" -d link show eth0 | has 'prog/xdp.*name vj_dispatch ' || fail "a stranger's program is gone"
exit 0
