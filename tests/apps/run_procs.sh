#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Sockets in more than one process, on the kernel and on channels: the transcripts must be equal.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"

"$build/tests/apps/procs" kernel >"$tmp/kernel" || fail "ended early on the kernel"
VJ_STRICT=1 "$vj" run -- "$build/tests/apps/procs" channel >"$tmp/channel" || { tail -n 3 "$tmp/channel"; fail "ended early"; }
diff -u "$tmp/kernel" "$tmp/channel" || fail "channels behave in another way than the kernel"
cat "$tmp/channel"
for part in brief brief_kernel inetd caged clean mutex blind left turns_exec turns_killed stalls waits_late answers sent mixed; do
	"$vj" run -- "$build/tests/apps/procs" channel $part || fail "$part: not as many connections on channels as should be"
done
for part in called_killed called_closed called_killed_copied called_killed_full called_killed_kernel called_killed_last called_refused called_stopped offered queue_killed queue_copied queue_stopped said_much respawned restarted kept_board few unseen calls_stopped; do
	"$build/tests/apps/procs" kernel $part || fail "$part, on the kernel"
	"$vj" run -- "$build/tests/apps/procs" channel $part || fail "$part: not as on the kernel"
done
if unshare -pf --mount-proc true 2>/dev/null; then # where it knows itself by other numbers than vjd does
	unshare -pf --mount-proc "$vj" run -- "$build/tests/apps/procs" channel mutex || fail "mutex, in a pid namespace"
fi
if unshare -n true 2>/dev/null; then # where sockets of IPv6 are for IPv4 only if they say so
	# shellcheck disable=SC2016 # the inner shell's
	VJ_SOCKET=$tmp/v6only.sock unshare -n sh -c 'ip link set lo up && echo 1 >/proc/sys/net/ipv6/bindv6only && exec "$@"' sh \
		"$vj" run -- "$build/tests/apps/procs" channel blind || fail "blind, with net.ipv6.bindv6only"
fi
nothing_left() {
	! "$vj" status | has '^tcp '
}
within nothing_left || fail "a port is left behind: $("$vj" status)"
echo "nothing is left behind"

# A server that confines the processes which serve its connections stays with the kernel, and works.
sshd=/usr/sbin/sshd
if [ -x $sshd ] && [ "$(id -u)" = 0 ]; then
	mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/host"
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/user"
	port=$(free_port)
	start sshd "$vj" run -- $sshd -D -e -f /dev/null -p "$port" -h "$tmp/host" -o ListenAddress=127.0.0.1 \
		-o AuthorizedKeysFile="$tmp/user.pub" -o StrictModes=no -o PidFile=none -o UsePAM=no
	wait_port "$port"
	for client in "$vj run --" ""; do
		said=$($client ssh -q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
			-i "$tmp/user" -p "$port" root@127.0.0.1 'echo through ssh') || fail "ssh: $(cat "$tmp/sshd")"
		[ "$said" = "through ssh" ] || fail "ssh said '$said'"
	done
	echo "sshd serves over the kernel"
fi

# bash writes by a stream of libc's, with the connection in the place of its standard output.
command -v socat >/dev/null || { echo "no socat: bash is not tried"; exit 0; }
port=$(free_port)
start echo "$vj" run -- socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" PIPE
wait_port "$port"
said=$(timeout 100 "$vj" run -- bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"
	for i in 1 2 3; do echo "line $i" >&3; printf "and %s\n" more >&3; read -r a <&3; read -r b <&3; echo "$a $b"; done' - "$port") ||
	fail "bash: $said"
[ "$said" = $'line 1 and more\nline 2 and more\nline 3 and more' ] || fail "bash read '$said'"
echo "bash writes and reads"

# Programs that read a connection as their standard input, by libc's streams or without the library, beside the shell that has it, too.
printf 'one\ntwo\nthree\n' >"$tmp/three"
port=$(free_port)
start three env VJ_STRICT=1 "$vj" run -- socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "SYSTEM:cat $tmp/three"
wait_port "$port"
for reader in cat "sed s/^/-/" sort "awk {print}" "tail -n 2" "$build/tests/apps/talk-static"; do
	said=$(timeout 100 "$vj" run -- bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"; $2 <&3' - "$port" "$reader") || fail "$reader: $said"
	[ "$said" = "$($reader <"$tmp/three")" ] || fail "$reader read from a channel '$said'"
done
echo "programs read from it"

# A UDP server that somebody of the kernel's wakes, which then leaves reading to its children and never calls again.
cat >"$tmp/readers.py" <<'PY'
import ctypes, os, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
def answer():
	data, who = s.recvfrom(100)
	s.sendto(data, who)
print("ready", flush=True)
answer()
for _ in range(3):
	if not os.fork():
		ctypes.CDLL(None).prctl(1, 9) # PR_SET_PDEATHSIG: the test leaves nothing behind
		while True:
			answer()
os.wait()
PY
cat >"$tmp/asks.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
s.connect((sys.argv[1], int(sys.argv[2])))
for n in range(int(sys.argv[3])):
	s.send(b"%d" % n)
	assert s.recv(100) == b"%d" % n
PY
for addr in 127.0.0.1 ::1; do
	port=$(free_port)
	start "readers-$addr" "$vj" run -- python3 "$tmp/readers.py" "$addr" "$port"
	until_true grep -q ready "$tmp/readers-$addr"
	sleep 0.3 # it sleeps, and so does what works in its place
	python3 "$tmp/asks.py" "$addr" "$port" 1 || fail "$addr: no answer to a client of the kernel's"
	"$vj" run -- python3 "$tmp/asks.py" "$addr" "$port" 20 || fail "$addr: no answer by the children"
	python3 "$tmp/asks.py" "$addr" "$port" 20 || fail "$addr: no answer by the children to a client of the kernel's"
done
echo "children read for a server that waits for them"
