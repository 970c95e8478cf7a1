#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Clients that send garbage to a vjd that offers channels at an interface: each is cut off, or refused, alone. Connections over
# the interface go on, other clients are served at once, and no device, descriptor or channel is left.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3 redis-server redis-cli redis-benchmark

start_vjd --attach eth0
start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
until_true leased 7000
[ "$(at_client timeout 60 redis-cli -h fd77::2 -p 7000 ping)" = PONG ] || fail "redis does not serve"

cat >"$tmp/hostile.py" <<'PY'
import fcntl, glob, os, random, re, socket, struct, sys
source, path, what, cnt = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
header = open(source).read()
version = int(re.search(r"CTL_VERSION\s*=?\s*(\d+)", header)[1])
numbers = {name: int(nr) for name, nr in re.findall(r"X\((\w+),\s*(\d+),\s*(?:CLIENT|DAEMON|EVENT),", header)}
rng = random.Random(5)

def connect(hello=True):
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.settimeout(100)
	s.connect(path)
	if hello:
		body = struct.pack("<IIiI", version, 0, os.getpid(), 0) + b"hostile".ljust(32, b"\0") + b"1".ljust(32, b"\0")
		s.send((struct.pack("<II", numbers["HELLO"], 1) + body).ljust(128, b"\0"))
		while True:
			got = s.recv(128)
			assert got, "HELLO was not liked"
			if struct.unpack_from("<I", got)[0] == numbers["WELCOME"]:
				break
	return s

def message(name, body=b"", seq=2):
	return (struct.pack("<II", numbers[name], seq) + body).ljust(128, b"\0")

# struct ctl_interface of a request
def interface(ifindex, name=b"", key=bytes(16)):
	return struct.pack("<10I", ifindex, *[0] * 9) + bytes(16) + bytes(8) + key + name.ljust(32, b"\0")

def ends(s):
	try:
		while s.recv(4096):
			pass
	except ConnectionError:
		pass # closed with something unread; a time-out is another exception

def answer(s):
	while True:
		msg, fds, *_ = socket.recv_fds(s, 128, 8)
		for fd in fds:
			os.close(fd)
		assert msg, "cut off"
		kind = struct.unpack_from("<I", msg)[0]
		if kind != numbers["INTERFACE_NEWS"] and kind != numbers["RESOLVED"]:
			return kind

def send(s, data, fds=()):
	try:
		socket.send_fds(s, [data], fds)
	except (BrokenPipeError, ConnectionResetError):
		pass

def queues(cnt, seal=True):
	fd = os.memfd_create("queues", os.MFD_ALLOW_SEALING)
	os.write(fd, bytes(cnt))
	if seal:
		fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
	return fd

# struct ctl_repair: 10.77.0.2 to port 9 of 10.77.0.1, @unread bytes
def repair(ifindex, port, unread):
	mapped = bytes(10) + b"\xff\xff\x0a\x4d\x00"
	return (mapped + b"\x02" + mapped + b"\x01" + struct.pack("<HHII", port, 9, ifindex, 0) +
		struct.pack("<8IIHBB", 1000, unread, 5000, 0, 0, 1000 + unread, 65535, 65535, 1, 1460, 7, 7))

ifindex = int(sys.argv[5])
held = 0
for i in range(cnt):
	s = connect()
	if what == "bytes":	# of any length, of a message's, and of a known type
		data = bytearray(rng.randbytes(128 if i % 2 else rng.randint(1, 4096)))
		if i % 4 == 3:
			data[:4] = struct.pack("<I", rng.randint(0, 60))
		send(s, data)
		ends(s)
	elif what == "descriptors": # where none belong, and daemon's own messages
		name = ("INTERFACE", "RESOLVE", "ATTACH", "DETACH", "INTERFACE_OPEN", "RESOLVED", "INTERFACE_NEWS")[i % 7]
		send(s, message(name, interface(ifindex)), [0] * rng.randint(1, 8))
		ends(s)
	elif what == "fields":	# well-formed as far as length goes
		name = ("INTERFACE", "RESOLVE")[i % 2]
		send(s, message(name, rng.randbytes(120)))
		ends(s)
	elif what == "keys":	# nobody's channels are had by guessing, of this interface or others
		send(s, message("INTERFACE", interface((ifindex, 0, 1, 0xffffffff)[i % 4], key=rng.randbytes(16))))
		assert answer(s) in (numbers["REFUSED"],), "a channel of somebody else's"
	elif what == "neighbours": # a flood of those that are not there
		for k in range(100):
			send(s, message("RESOLVE", (bytes(10) + b"\xff\xff\x0a\x4d" + rng.randbytes(2)) + struct.pack("<II", ifindex, 0)))
	elif what == "leave":	# in the middle of having a channel made
		send(s, message("INTERFACE", interface(ifindex)))
	elif what == "then":	# with a channel, which ends with its owner
		send(s, message("INTERFACE", interface(ifindex)))
		got = answer(s)
		assert got == numbers["INTERFACE_OPEN"], f"{got}: no channel"
		held += 1
		send(s, rng.randbytes(128))
		ends(s)
	elif what == "repairs": # connections that are another's, or queues that could change: none is made, and who asks is only refused
		send(s, message("INTERFACE", interface(ifindex)))
		assert answer(s) == numbers["INTERFACE_OPEN"], "no channel"
		send(s, message("PORTS", struct.pack("<B3xHH", 6, 0, 32)))
		while True:
			reply = s.recv(128)
			if struct.unpack_from("<I", reply)[0] == numbers["PORTS_LEASED"]:
				break
		mine = struct.unpack_from("<H", reply, 12)[0]
		for port, fd in (7000, queues(10)), (22, queues(10)), (mine, queues(10, seal=False)), (mine, queues(9)), (mine, os.pipe()[0]):
			send(s, message("TO_KERNEL", repair(ifindex, port, 10)), [fd])
			kind = answer(s)
			assert kind == numbers["REFUSED"], f"{kind} for port {port}"
		send(s, message("TO_KERNEL", repair(ifindex, mine, 10)), [queues(10)])
		kind = answer(s)
		assert kind == numbers["IN_KERNEL"], f"{kind} for one that might be its own"
	s.close()
if what == "then":
	assert held == cnt, f"{held} channels, not {cnt}"
print("done")
PY

devices() {
	ip -n "$server" -br link | grep -c '^vjh' || true
}
descriptors() {
	find "/proc/$vjd/fd" -mindepth 1 | wc -l
}
# One that was made under load may do without the socket to poll by (if_poll.h), or have it; what leaks does with each of many clients.
as_before() {
	[ "$(devices)" = "$devices_before" ] && (($(descriptors) <= descriptors_before + 1))
}
ifindex=$(ip -n "$server" -o link show eth0 | cut -d: -f1)
until_true has_pairs 1
devices_before=$(devices)
settled() { # the channel made ahead has all its descriptors
	descriptors_before=$(descriptors)
	sleep 2.5
	[ "$descriptors_before" = "$(descriptors)" ]
}
until_true settled

(while at_client redis-benchmark -h 10.77.0.2 -p 7000 -t get -n 20000 -c 20 -q; do [ ! -e "$tmp/enough" ] || exit 0; done) \
	>"$tmp/load.log" 2>&1 &
load=$!
pids+=("$load")
for what in "bytes 300" "descriptors 140" "fields 200" "keys 40" "neighbours 10" "leave 10" "then 8" "repairs 4"; do
	# shellcheck disable=SC2086
	at_server timeout 300 python3 "$tmp/hostile.py" "$VJ_SOURCE_DIR/src/control/msg.h" "$VJ_SOCKET" $what "$ifindex" \
		>"$tmp/hostile.log" 2>&1 || fail "$what: $(tail -3 "$tmp/hostile.log")"
	until_true "$vj" status # vjd answers others
	[ "$(at_client timeout 60 redis-cli -h 10.77.0.2 -p 7000 ping)" = PONG ] || fail "$what: redis does not serve"
done
touch "$tmp/enough"
wait "$load" || fail "the load suffered: $(tail -2 "$tmp/load.log")"
for _ in $(seq 300); do as_before && break; sleep 0.1; done
as_before || fail "$(devices) devices, not $devices_before; $(descriptors) descriptors, not $descriptors_before"
malformed=$("$vj" status | sed -n 's/.* requests refused, \([0-9]*\) malformed$/\1/p')
((malformed >= 600)) || fail "$malformed messages were found malformed"
exit 0
