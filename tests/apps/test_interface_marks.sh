#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# TOS and TTL, traffic class and hop limit, as a program sets them on its sockets or for one datagram, are what leaves: the same on a channel
# at an interface as by the kernel, seen at the far end of the wire. Each option alone; both families; of an IPv6 socket over IPv4, too.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need python3

cat >"$tmp/seen.py" <<'PY'
# Per packet of a sender's: family, protocol, its payload, or that it begins a connection, class, limit. One line each, once
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
print("begun", flush=True)
known = set()
while True:
    p = s.recv(2000)[12:]
    v4 = p[:2] == b"\x08\x00" and p[14:18] == bytes((10, 77, 0, 2))
    v6 = p[:2] == b"\x86\xdd" and p[10:26] == socket.inet_pton(socket.AF_INET6, "fd77::2")
    if not v4 and not v6:
        continue
    p = p[2:]
    proto, tos, ttl, l4 = (p[9], p[1], p[8], p[20:struct.unpack(">H", p[2:4])[0]]) if v4 else \
        (p[6], struct.unpack(">H", p[:2])[0] >> 4 & 255, p[7], p[40:40 + struct.unpack(">H", p[4:6])[0]])
    if proto not in (6, 17) or 7099 not in struct.unpack(">HH", l4[:4]):
        continue
    data = l4[8:] if proto == 17 else l4[l4[12] >> 4 << 2:]
    if proto == 6 and l4[13] & 2: # by a port of its own
        data = b"syn%d" % (l4[13] & 16)
    line = "%s %s %s tos %d ttl %d" % ("4" if v4 else "6", "udp" if proto == 17 else "tcp", data.decode(), tos, ttl)
    if data and line not in known:
        known.add(line)
        print(line, flush=True)
PY
cat >"$tmp/sink.py" <<'PY'
import socket
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::", 7099))
tcp = socket.create_server(("::", 7099), family=socket.AF_INET6, dualstack_ipv6=True)
print("begun", flush=True)
kept = []
while True:
    kept.append(tcp.accept()[0])
PY
cat >"$tmp/knock.py" <<'PY'
# Whenever there is somebody who listens
import socket, time
while True:
    for addr in "10.77.0.2", "fd77::2":
        try:
            socket.create_connection((addr, 7099), 1).close()
        except OSError:
            pass
        time.sleep(0.05)
PY
cat >"$tmp/marks.py" <<'PY'
import os, socket, struct, sys, time
IP, IP6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
IP_TOS, IP_TTL, TCLASS, HOPS, HOPLIMIT = 1, 2, 67, 16, 52
how = [("t", IP, IP_TOS, 0xb9), ("l", IP, IP_TTL, 5), ("c", IP6, TCLASS, 0x2e), ("h", IP6, HOPS, 9)]
kept = [] # until all are through
peers = [(socket.AF_INET, "10.77.0.1"), (socket.AF_INET6, "fd77::1"), (socket.AF_INET6, "::ffff:10.77.0.1")]
for family, addr in peers:
    mapped = "m" if addr.startswith("::") else "p"
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for early in (True, False):
            s = socket.socket(family, kind)
            if kind == socket.SOCK_STREAM:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not early:
                s.connect((addr, 7099))
                s.send(b"%s-before." % mapped.encode())
            name = mapped + ("e" if early else "l")
            for letter, level, opt, value in how:
                if level == IP6 and family == socket.AF_INET:
                    continue
                s.setsockopt(level, opt, value)
                name += letter
                if not early:
                    s.send(b"%s." % name.encode())
            if early:
                s.connect((addr, 7099))
                s.send(b"%s." % name.encode())
            if kind == socket.SOCK_DGRAM:
                s.sendmsg([b"%s-seg." % name.encode()] , [(socket.IPPROTO_UDP, 103, struct.pack("H", 100))])
                v6 = addr == "fd77::1"
                for level, opt, value in ((IP6, TCLASS, 0x44), (IP6, HOPLIMIT, 33)) if v6 else ((IP, IP_TOS, 0x44), (IP, IP_TTL, 33)):
                    s.sendmsg([b"%s-by%d." % (name.encode(), opt)], [(level, opt, struct.pack("i", value))])
                    s.send(b"%s-after%d." % (name.encode(), opt))
            for level, opt in ((IP, IP_TTL), (IP6, HOPS)):
                if level == IP or family == socket.AF_INET6: # back to what is the host's
                    s.setsockopt(level, opt, -1)
            if family == socket.AF_INET6:
                s.setsockopt(IP6, TCLASS, -1)
                s.send(b"%s-default." % name.encode())
                s.setsockopt(IP6, HOPS, 0)
            s.send(b"%s-end." % name.encode())
            kept.append(s)
# One of a group is waited for by the network at once; marks that it has before its port is leased, and after
listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.setsockopt(IP, IP_TTL, 77)
listener.setsockopt(IP6, HOPS, 88)
listener.bind(("::", 7099))
listener.listen()
for late in (False, True):
    if late:
        listener.setsockopt(IP, IP_TOS, 0x68)
        listener.setsockopt(IP6, TCLASS, 0x48)
    came = [0, 0]
    while min(came) < 4:
        kept.append(listener.accept()[0])
        came[kept[-1].getpeername()[0].startswith("::ffff:")] += 1
listener.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.77.0.1", 7099))
s.send(b"all.")
while not os.path.exists(sys.argv[1]): # its channel counts as long as it is there
    time.sleep(0.05)
PY

start_vjd --attach eth0
start sink.log "${on_client[@]}" python3 "$tmp/sink.py"
until_true grep begun "$tmp/sink.log"
start knock.log "${on_client[@]}" python3 "$tmp/knock.py"
# seen_of LOG COMMAND...: what leaves when it runs at the server, until ended LOG
seen_of() {
	local log=$1
	shift
	start "$log" "${on_client[@]}" python3 "$tmp/seen.py"
	until_true grep begun "$tmp/$log"
	start "$log.sender" "${on_server[@]}" "$@" "$tmp/$log.end"
	sender=${pids[-1]}
	until_true grep '^4 udp all\.' "$tmp/$log"
	sort "$tmp/$log" >"$tmp/$log.sorted"
}
ended() {
	touch "$tmp/$1.end"
	wait "$sender" || fail "$1: the sender: $(cat "$tmp/$1.sender")"
}
sent() {
	"$vj" status --json | python3 -c '
import json, sys
print(sum(c["value"] for c in json.load(sys.stdin)["counters"] if c["name"] == "sent"))'
}
seen_of kernel python3 "$tmp/marks.py"
ended kernel
# by_channel TRY: did all go by the channel? Of an application that vjd was slow to answer the first are the kernel's.
by_channel() {
	local before went
	before=$(sent)
	seen_of "channel$1" sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/marks.py"
	went=$(($(sent) - before))
	ended "channel$1"
	diff -u "$tmp/kernel.sorted" "$tmp/channel$1.sorted" || fail "a channel's packets say something else than the kernel's"
	# without those that have marks of their own, which the kernel sends
	((went >= $(grep -vc -e '-by' "$tmp/channel$1.sorted")))
}
for try in 1 2 3 4 5; do
	! by_channel $try || break
	((try < 5)) || fail "not all went by the channel"
done
echo "$(wc -l <"$tmp/kernel.sorted") packets, the same by the kernel and by a channel"
