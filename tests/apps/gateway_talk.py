#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What talks through a gateway, and who looks on.

  gateway_talk.py echo PORT                     UDP server: says everything back
  gateway_talk.py serve PORT...                 TCP server: likewise
  gateway_talk.py ask HOST PORT [N] [GAP]       N datagrams from one socket, GAP s apart; all must come back
  gateway_talk.py ask HOST PORT --long          one of 3000 bytes, which goes in fragments
  gateway_talk.py ask HOST PORT --options       one with a destination option of IPv6
  gateway_talk.py say HOST FIRST LAST [GAP]     a datagram to each of these ports, GAP s apart; nothing need come back
  gateway_talk.py tcp HOST PORT                 a connection; three lines, each answered ("PING", redis)
  gateway_talk.py trial HOST PORT...            three connections to each of these ports, closed at once: a server's first clients from beyond its
                                                host come by the kernel (src/sock/accept.c)
  gateway_talk.py channel VJ HOST PORT...       one connection to each of these ports after the other, until one is on a channel, as VJ has it
  gateway_talk.py hold HOST PORT                a connection; a line each 50 ms, each echoed, however late; prints each time how many
  gateway_talk.py spray HOST SECONDS CNT        datagrams to ports in random order, as fast as it can, CNT at least; prints how many
  gateway_talk.py ping HOST CNT GAP             echo requests, GAP s apart; all must be answered, however late
  gateway_talk.py mark HOST N                   an echo request of that number, behind what was sent that way before
  gateway_talk.py watch DEVICE                  prints what comes in there: MAC PROTO ADDRESS PORT, a line each; port "frag", or VLAN first;
                                                and of echo requests MAC "mark" ADDRESS N
"""

import json
import random
import selectors
import socket
import struct
import subprocess
import sys
import time


def udp(host):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    return s


def echo(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", int(port)))
    while True:
        data, who = s.recvfrom(4000)
        s.sendto(data, who)


def serve(*ports):
    sel = selectors.DefaultSelector()
    for port in ports:
        listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        sel.register(listener, selectors.EVENT_READ, "listens")
    while True:
        for key, _ in sel.select():
            if key.data:
                sel.register(key.fileobj.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(1000)
            if data:
                key.fileobj.sendall(data)
            else:
                sel.unregister(key.fileobj)
                key.fileobj.close()


def ask(host, port, *words):
    flags = [w for w in words if w.startswith("--")]
    cnt, gap = ([w for w in words if w not in flags] + ["1", "0"][len(words) - len(flags):])[:2]
    s = udp(host)
    if "--options" in flags:
        s.setsockopt(socket.IPPROTO_IPV6, 59, bytes([0, 0, 1, 4, 0, 0, 0, 0]))  # IPV6_DSTOPTS: padding
    for i in range(int(cnt)):
        data = b"x" * 3000 if "--long" in flags else b"%d" % i
        s.sendto(data, (host, int(port)))
        if s.recv(4000) != data:
            sys.exit("something else came back")
        time.sleep(float(gap))


def say(host, first, last, gap=0):
    s = udp(host)
    for port in range(int(first), int(last) + 1):
        s.sendto(b"", (host, port))
        time.sleep(float(gap))


def tcp(host, port):
    s = socket.create_connection((host, int(port)), 60)
    for _ in range(3):
        time.sleep(0.3)
        s.sendall(b"PING\r\n")
        if s.recv(100) != b"+PONG\r\n":
            sys.exit("something else came back")


def trial(host, *ports):
    for port in ports:
        for _ in range(3):
            socket.create_connection((host, int(port)), 60).close()


def is_on_channel(vj, s):
    said = json.loads(subprocess.run([vj, "connections", "--json"], stdout=subprocess.PIPE, check=True).stdout)
    todo = [said]
    while todo:
        here = todo.pop()
        if isinstance(here, dict) and here.get("remote", {}).get("port") == s.getsockname()[1]:
            return True
        todo += here.values() if isinstance(here, dict) else here if isinstance(here, list) else []
    return False


def channel(vj, host, *ports):
    until = time.monotonic() + 60
    for port in ports:
        while True:
            with socket.create_connection((host, int(port)), 60) as s:
                if is_on_channel(vj, s):
                    break
            if time.monotonic() > until:
                sys.exit(f"connections to port {port} of {host} are the kernel's")


def hold(host, port):
    s, cnt = socket.create_connection((host, int(port)), 60), 0
    s.settimeout(100)
    while True:
        line = b"%06d\n" % cnt
        s.sendall(line)
        for want in line:
            if s.recv(1) != bytes([want]):
                sys.exit("closed, or something else came back")
        cnt += 1
        print(cnt, flush=True)
        time.sleep(0.05)


def spray(host, seconds, at_least):
    s = udp(host)
    until, cnt = time.monotonic() + float(seconds), 0
    while time.monotonic() < until or cnt < int(at_least):
        for _ in range(64):
            s.sendto(b"", (host, random.randrange(1, 65536)))
            cnt += 1
    print(cnt)


def ping(host, cnt, gap):
    """A ping that is patient: the one of iputils counts as lost what comes later than others did."""
    family, proto, kind = (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128) if ":" in host else (socket.AF_INET, socket.IPPROTO_ICMP, 8)
    s = socket.socket(family, socket.SOCK_RAW, proto)
    s.connect((host, 0))
    nr, open_, sent, until = random.randrange(1, 65536), set(range(int(cnt))), 0, time.monotonic()
    while open_:
        if sent < int(cnt) and time.monotonic() >= until:
            words = struct.pack(">HHH", kind << 8, nr, sent)
            total = sum(struct.unpack(">3H", words))
            total = (total & 0xFFFF) + (total >> 16)
            s.send(words[:2] + struct.pack(">H", ~total & 0xFFFF) + words[2:])  # of ICMPv6 the kernel fills it in
            sent, until = sent + 1, time.monotonic() + (float(gap) if sent + 1 < int(cnt) else 60)
        s.settimeout(max(until - time.monotonic(), 0.001))
        try:
            said = s.recv(2000)
        except TimeoutError:
            if sent == int(cnt):
                sys.exit(f"{len(open_)} of {cnt} were not answered")
            continue
        said = said if family == socket.AF_INET6 else said[(said[0] & 15) * 4:]
        if said[0] in (0, 129) and struct.unpack(">H", said[4:6])[0] == nr:
            open_.discard(struct.unpack(">H", said[6:8])[0])


def mark(host, nr):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    nr = int(nr)
    s.sendto(struct.pack(">BBHI", 8, 0, ~(0x800 + nr) & 0xFFFF, nr), (host, 0))  # the number is below 2^15: nothing to carry


def describe(frame):
    """Return: words, or None if it is neither TCP nor UDP nor a mark."""
    mac = ":".join(f"{b:02x}" for b in frame[:6])
    kind, off, vlan = struct.unpack(">H", frame[12:14])[0], 14, ""
    if kind == 0x8100:
        vlan, kind, off = f"vlan{struct.unpack('>H', frame[14:16])[0] & 4095} ", struct.unpack(">H", frame[16:18])[0], 18
    ip, frag = frame[off:], False
    if kind == 0x0800:
        proto, addr, l4 = ip[9], socket.inet_ntop(socket.AF_INET, ip[16:20]), ip[(ip[0] & 15) * 4:]
        frag = struct.unpack(">H", ip[6:8])[0] & 0x3FFF
    elif kind == 0x86DD:
        proto, addr, l4 = ip[6], socket.inet_ntop(socket.AF_INET6, ip[24:40]), ip[40:]
        while proto in (0, 43, 60):
            proto, l4 = l4[0], l4[8 + l4[1] * 8:]
        if proto == 44:
            proto, frag = l4[0], True
    else:
        return None
    if kind == 0x0800 and proto == 1 and l4[0] == 8:
        return f"{vlan}{mac} mark {addr} {struct.unpack('>I', l4[4:8])[0]}"
    if proto not in (6, 17):
        return None
    port = "frag" if frag else struct.unpack(">H", l4[2:4])[0]
    return f"{vlan}{mac} {'tcp' if proto == 6 else 'udp'} {addr} {port}"


def watch(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((device, 0))
    s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: a tag that the kernel has taken out
    print("ready", flush=True)
    while True:
        frame, aux, _, where = s.recvmsg(2000, 256)
        for level, what, data in aux:
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & 0x10:  # TP_STATUS_VLAN_VALID
                frame = frame[:12] + struct.pack(">HH", tpid or 0x8100, tci) + frame[12:]
        words = describe(frame) if where[2] != socket.PACKET_OUTGOING else None
        if words:
            print(words, flush=True)


def main(argv):
    commands = {"echo": echo, "serve": serve, "ask": ask, "say": say, "tcp": tcp, "trial": trial, "channel": channel, "hold": hold, "spray": spray, "ping": ping, "mark": mark,
                "watch": watch}
    if not argv or argv[0] not in commands:
        sys.exit(__doc__)
    commands[argv[0]](*argv[1:])


main(sys.argv[1:])
