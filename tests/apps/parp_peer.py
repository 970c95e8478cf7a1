#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Somebody else on the LAN who speaks port-aware ARP: written from docs/parp.md, knows nothing of the code under test.

  parp_peer.py IF query IP PROTO PORT [--nd] [--e2]   asks, and tries the MAC; prints "reply MAC LO HI
                                                      LIFETIME_MS GEN" and "proved" or "blocked"; "neg" or "silence"
  parp_peer.py IF probe MAC                           prints "defend MAC" or "silence"
  parp_peer.py IF claim MAC GEN                       says that it has MAC
  parp_peer.py IF poison IP MAC                       says every message in every encoding, with sender (IP, MAC)
  parp_peer.py IF flood SECONDS                       questions and garbage, as fast as it can; prints how many
  parp_peer.py IF answer SECONDS IP MAC LIFE_MS       answers for all ports of IP that they are at MAC, one by one; who tries MAC, reaches it
  parp_peer.py IF watch SECONDS                       prints what is said, a line each
"""

import errno
import fcntl
import os
import socket
import struct
import sys
import time

PROTO_TYPE, SUBTYPE = 0x88B5, 0x50
QUERY, REPLY, NEG, ANNOUNCE, RELEASE, MAC_PROBE, MAC_DEFEND, MAC_CLAIM = range(1, 9)
NAMES = ["", "query", "reply", "neg", "announce", "release", "mac_probe", "mac_defend", "mac_claim"]
ANSWERS = (REPLY, NEG, MAC_DEFEND)
ALL = b"\xff" * 6
ME = os.urandom(16)
TRIES = 3


def mac_of(text):
    return bytes.fromhex(text.replace(":", ""))


def mac_text(mac):
    return ":".join(f"{b:02x}" for b in mac)


def endpoint(proto=0, lo=0, hi=0, gen=0, ip="0.0.0.0"):
    return struct.pack(">BBHHHI", 1, proto, lo, hi, 0, gen) + socket.inet_aton(ip)


def tlv(kind, value):
    return bytes([kind, len(value)]) + value


def build(me, dst, msg, sha, spa, tha, tpa, tlvs, e2=False):
    op = 25 if msg in ANSWERS else 24
    head = struct.pack(">B5xH", SUBTYPE, op) if e2 else struct.pack(">HHBBH", 1, PROTO_TYPE, 6, 16, op)
    kind = PROTO_TYPE if e2 else 0x0806
    return (dst + me + struct.pack(">H", kind) + head + sha + spa + tha + tpa + b"PARP" +
            struct.pack(">BBH", 1, msg, len(tlvs)) + tlvs)


def build_nd(me, src, target, msg, mac, proto, port, gen, tlvs):
    query = msg == QUERY
    t = socket.inet_pton(socket.AF_INET6, target)
    units = (32 + len(tlvs) + 7) // 8
    option = (bytes([253, units, 1, msg]) + b"PARP" + mac + bytes([proto, 0]) +
              struct.pack(">HHHHII", port, port, 0, len(tlvs), gen, 0) + tlvs)
    option += bytes(units * 8 - len(option))
    to = bytes.fromhex("ff0200000000000000000001ff") + t[13:] if query else bytes.fromhex("ff02") + bytes(13) + b"\x01"
    body = bytes([135 if query else 136, 0, 0, 0, 0, 0, 0, 0]) + t + option
    sum_over = src + to + struct.pack(">II", len(body), 58) + body
    total = sum(struct.unpack(f">{len(sum_over) // 2}H", sum_over))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack(">H", ~total & 0xFFFF) + body[4:]
    return (b"\x33\x33" + to[12:] + me + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + src + to + body)


def tlvs_of(data):
    found, at = {}, 0
    while at + 2 <= len(data):
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def parse(frame):
    """Return: dict, or None if it is something else."""
    kind = struct.unpack(">H", frame[12:14])[0]
    body = frame[14:]
    if kind == 0x86DD and len(body) > 96 and body[6] == 58 and body[40] in (135, 136) and body[64] == 253:
        option = body[64:]
        lo, hi, _, size, gen = struct.unpack(">HHHHI", option[16:28])
        return {"src": frame[6:12], "msg": option[3], "mac": option[8:14], "lo": lo, "hi": hi, "gen": gen,
                "tlvs": tlvs_of(option[32:32 + size]), "tha": b"", "tpa": bytes(16)}
    is_e1 = kind == 0x0806 and body[2:4] == b"\x88\xb5"
    is_e2 = kind == PROTO_TYPE and body[0] == SUBTYPE
    if not (is_e1 or is_e2) or len(body) < 60 or body[52:56] != b"PARP":
        return None
    lo, hi, _, gen = struct.unpack(">HHHI", body[16:26])
    return {"src": frame[6:12], "msg": body[57], "mac": body[8:14], "lo": lo, "hi": hi, "gen": gen,
            "tlvs": tlvs_of(body[60:60 + struct.unpack(">H", body[58:60])[0]]), "tha": body[30:36], "tpa": body[36:52]}


class Lan:
    def __init__(self, name):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((name, 0))
        # /sys shows the interfaces of the namespace that it was mounted in
        asked = fcntl.ioctl(self.sock, 0x8927, struct.pack("256s", name.encode()))  # SIOCGIFHWADDR
        self.me = asked[18:24]
        self.link_local = b""
        with open("/proc/net/if_inet6") as f:
            for line in f:
                words = line.split()
                if words[5] == name and words[0].startswith("fe80"):
                    self.link_local = bytes.fromhex(words[0])

    def say(self, frame):
        self.sock.send(frame)

    def hear(self, seconds, wanted):
        """Return: the first message within `seconds` that `wanted` accepts, or None."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                frame, where = self.sock.recvfrom(2000)
            except TimeoutError:
                return None
            said = parse(frame) if where[2] != socket.PACKET_OUTGOING else None
            if said and wanted(said):
                return said
        return None


def query(lan, ip, proto, port, nd=False, e2=False):
    proto, port, nonce = {"tcp": 6, "udp": 17}[proto], int(port), os.urandom(8)
    tlvs = tlv(2, nonce) + tlv(3, ME)
    if nd:
        frame = build_nd(lan.me, lan.link_local, ip, QUERY, lan.me, proto, port, 0, tlvs)
    else:
        frame = build(lan.me, ALL, QUERY, lan.me, endpoint(), bytes(6), endpoint(proto, port, port, 0, ip), tlvs, e2)
    said = None
    for _ in range(TRIES):
        lan.say(frame)
        said = lan.hear(0.7, lambda m: m["msg"] in (REPLY, NEG) and m["tlvs"].get(2) == nonce)
        if said:
            break
    if not said:
        print("silence")
    elif said["msg"] == NEG:
        print("neg")
    else:
        life = struct.unpack(">I", said["tlvs"][1])[0]
        proved = "proved" if defended(lan, said["mac"], said["mac"], e2) else "blocked"
        print("reply", mac_text(said["mac"]), said["lo"], said["hi"], life, said["gen"], proved)


def defended(lan, mac, to, e2=False):
    nonce = os.urandom(8)
    lan.say(build(lan.me, to, MAC_PROBE, lan.me, endpoint(), mac, endpoint(), tlv(2, nonce) + tlv(3, ME), e2))
    return lan.hear(1, lambda m: m["msg"] == MAC_DEFEND and m["tlvs"].get(2) == nonce)


def probe(lan, mac):
    said = defended(lan, mac_of(mac), ALL)
    print("defend " + mac_text(said["mac"]) if said else "silence")


def claim(lan, mac, gen):
    lan.say(build(lan.me, ALL, MAC_CLAIM, mac_of(mac), endpoint(gen=int(gen)), bytes(6), endpoint(), tlv(3, ME)))


def poison(lan, ip, mac):
    mac = mac_of(mac)
    tlvs = tlv(1, struct.pack(">I", 60000)) + tlv(2, os.urandom(8)) + tlv(3, ME)
    for msg in range(QUERY, MAC_CLAIM + 1):
        if ":" in ip:
            if msg <= RELEASE:
                lan.say(build_nd(lan.me, lan.link_local, ip, msg, mac, 6, 80, 1, tlvs))
            continue
        for e2 in (False, True):
            for dst in (ALL,):
                lan.say(build(lan.me, dst, msg, mac, endpoint(6, 80, 80, 1, ip), mac, endpoint(6, 80, 80, 0, ip), tlvs, e2))


def flood(lan, seconds):
    until, cnt = time.monotonic() + float(seconds), 0
    ask = build(lan.me, ALL, QUERY, lan.me, endpoint(), bytes(6), endpoint(6, 7000, 7000, 0, "10.77.0.2"),
                tlv(2, os.urandom(8)) + tlv(3, ME))
    claims = build(lan.me, ALL, MAC_PROBE, lan.me, endpoint(), b"\x12" + os.urandom(5), endpoint(), tlv(2, os.urandom(8)) + tlv(3, ME))
    while time.monotonic() < until:
        for frame in (ask, claims, ask[:22] + os.urandom(80), ask[:60]):
            try:
                lan.say(frame)
                cnt += 1
            except OSError as e:  # faster than the wire
                if e.errno != errno.ENOBUFS:
                    raise
    print(cnt)


def answer(lan, seconds, ip, mac, life):
    """Right if IP is of this host, and a lie if not."""
    mac, address, gen = mac_of(mac), socket.inet_aton(ip), 1 << 16
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: m["msg"] in (QUERY, MAC_PROBE))
        if not said:
            continue
        tlvs = tlv(2, said["tlvs"].get(2, bytes(8))) + tlv(3, ME)
        if said["msg"] == MAC_PROBE and said["tha"] == mac:
            lan.say(build(lan.me, said["src"], MAC_DEFEND, mac, endpoint(gen=gen), said["src"], endpoint(), tlvs))
        elif said["msg"] == QUERY and said["tpa"][12:] == address:
            tlvs = tlv(1, struct.pack(">I", int(life))) + tlvs
            proto, port = said["tpa"][1], struct.unpack(">H", said["tpa"][2:4])[0]
            there = endpoint(proto, port, port, gen, ip)
            lan.say(build(lan.me, said["src"], REPLY, mac, there, said["src"], said["tpa"], tlvs))


def watch(lan, seconds):
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: True)
        if said:
            print(NAMES[said["msg"]], mac_text(said["src"]), mac_text(said["mac"]), said["lo"], said["hi"], said["gen"], flush=True)


def main(argv):
    flags = {a[2:]: True for a in argv if a in ("--nd", "--e2")}
    words = [a for a in argv if not a.startswith("--")]
    commands = {"query": query, "probe": probe, "claim": claim, "poison": poison, "flood": flood, "answer": answer, "watch": watch}
    if len(words) < 2 or words[1] not in commands:
        sys.exit(__doc__)
    commands[words[1]](Lan(words[0]), *words[2:], **flags)


main(sys.argv[1:])
