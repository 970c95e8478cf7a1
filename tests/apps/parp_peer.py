#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Somebody else on the LAN who speaks port-aware ARP: written from docs/parp.md, knows nothing of the code under test.

  parp_peer.py IF query IP PROTO PORT [--nd] [--e2]   asks, and tries the MAC; prints "reply MAC LO HI
                                                      LIFETIME_MS GEN" and "proved" or "blocked"; "neg" or "silence"
  parp_peer.py IF probe MAC                           prints "defend MAC" or "silence"
  parp_peer.py IF claim MAC GEN                       says that it has MAC
  parp_peer.py IF own SECONDS MAC                     claims MAC as section 4 has it, "fast", defends it, and gives it up for who is
                                                      stronger; prints "claimed", "lost" or "not mine"
  parp_peer.py IF poison IP MAC                       says every message in every encoding, with sender (IP, MAC)
  parp_peer.py IF flood SECONDS CNT                   questions and garbage, as fast as it can, CNT at least; prints how many
  parp_peer.py IF answer SECONDS IP MAC[,MAC] LIFE_MS answers for all ports of IP that they are at MAC (the first), one by one; who tries
                                                      one of them, reaches it
  parp_peer.py IF neg SECONDS IP LIFE_MS              answers that it has none
  parp_peer.py IF announce IP MAC PROTO LO HI GEN     that these ports are there, for a minute
  parp_peer.py IF release IP MAC PROTO LO HI          that they are no more; "all 0 65535": none of them
  parp_peer.py IF replay SECONDS FILE                 says what answer --record=FILE has said before, to each question
  parp_peer.py IF watch SECONDS                       prints what is said, a line each

  --key=ID:HEX        as often as there are keys: says things under the first, and hears only what is authenticated by any of them
  --say-key=ID:HEX    says things under that one
"""

import errno
import fcntl
import os
import random
import socket
import struct
import sys
import time

import parp_wire
from parp_wire import (ALL, ANNOUNCE, HOST_ID, LIFETIME, MAC_CLAIM, MAC_DEFEND, MAC_PROBE, NAMES, NEG, NONCE, QUERY, RELEASE, REPLY,
                       endpoint, tlv)

PROTOS = {"tcp": 6, "udp": 17}
ME = os.urandom(16)
TRIES = 3
GEN = 1 << 16  # of our first start


def mac_of(text):
    return bytes.fromhex(text.replace(":", ""))


def mac_text(mac):
    return ":".join(f"{b:02x}" for b in mac)


class Lan:
    def __init__(self, name, keys, say_keys, record):
        self.keys, self.say_keys, self.record = keys, say_keys, record
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
        print("hears", file=sys.stderr, flush=True)  # for who has started it in the background

    def say(self, frame):
        self.sock.send(frame)

    def build(self, dst, msg, sha, spa, tha, tpa, tlvs, e2=False):
        return parp_wire.build(self.me, dst, msg, sha, spa, tha, tpa, tlvs, e2, self.say_keys)

    def build_nd(self, *args):
        return parp_wire.build_nd(self.me, self.link_local, *args, keys=self.say_keys)

    def hear(self, seconds, wanted):
        """Return: the first message within `seconds` that `wanted` accepts, or None."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                frame, where = self.sock.recvfrom(2000)
            except TimeoutError:
                return None
            said = parp_wire.parse(frame, self.keys) if where[2] != socket.PACKET_OUTGOING else None
            if said and (not self.keys or said["authentic"]) and wanted(said):
                return said
        return None


def query(lan, ip, proto, port, nd=False, e2=False):
    proto, port, nonce = PROTOS[proto], int(port), os.urandom(8)
    tlvs = tlv(NONCE, nonce) + tlv(HOST_ID, ME)
    if nd:
        frame = lan.build_nd(ip, QUERY, lan.me, (proto, port, port), 0, tlvs)
    else:
        frame = lan.build(ALL, QUERY, lan.me, endpoint(), bytes(6), endpoint(proto, port, port, 0, ip), tlvs, e2)
    said = None
    for _ in range(TRIES):
        lan.say(frame)
        said = lan.hear(0.7, lambda m: m["msg"] in (REPLY, NEG) and m["tlvs"].get(NONCE) == nonce)
        if said:
            break
    if not said:
        print("silence")
    elif said["msg"] == NEG:
        print("neg")
    else:
        life = struct.unpack(">I", said["tlvs"][LIFETIME])[0]
        proved = "proved" if defended(lan, said["mac"], said["mac"], e2) else "blocked"
        print("reply", mac_text(said["mac"]), said["lo"], said["hi"], life, said["gen"], proved)


def defended(lan, mac, to, e2=False):
    nonce = os.urandom(8)
    for _ in range(TRIES):  # more patient than it need be: who answers may have said as much as it may for the moment
        lan.say(lan.build(to, MAC_PROBE, lan.me, endpoint(), mac, endpoint(), tlv(NONCE, nonce) + tlv(HOST_ID, ME), e2))
        said = lan.hear(1, lambda m: m["msg"] == MAC_DEFEND and m["tlvs"].get(NONCE) == nonce)
        if said:
            return said
    return None


def probe(lan, mac):
    said = defended(lan, mac_of(mac), ALL)
    print("defend " + mac_text(said["mac"]) if said else "silence")


def claim(lan, mac, gen):
    lan.say(lan.build(ALL, MAC_CLAIM, mac_of(mac), endpoint(gen=int(gen)), bytes(6), endpoint(), tlv(HOST_ID, ME)))


def poison(lan, ip, mac):
    mac = mac_of(mac)
    tlvs = life_tlv(60000) + tlv(NONCE, os.urandom(8)) + tlv(HOST_ID, ME)
    for msg in range(QUERY, MAC_CLAIM + 1):
        if ":" in ip:
            if msg <= RELEASE:
                lan.say(lan.build_nd(ip, msg, mac, (6, 80, 80), 1, tlvs))
            continue
        for e2 in (False, True):
            lan.say(lan.build(ALL, msg, mac, endpoint(6, 80, 80, 1, ip), mac, endpoint(6, 80, 80, 0, ip), tlvs, e2))


def flood(lan, seconds, at_least):
    until, cnt = time.monotonic() + float(seconds), 0
    ask = lan.build(ALL, QUERY, lan.me, endpoint(), bytes(6), endpoint(6, 7000, 7000, 0, "10.77.0.2"),
                    tlv(NONCE, os.urandom(8)) + tlv(HOST_ID, ME))
    claims = lan.build(ALL, MAC_PROBE, lan.me, endpoint(), b"\x12" + os.urandom(5), endpoint(), tlv(NONCE, os.urandom(8)) + tlv(HOST_ID, ME))
    while time.monotonic() < until or cnt < int(at_least):
        for frame in (ask, claims, ask[:22] + os.urandom(80), ask[:60]):
            try:
                lan.say(frame)
                cnt += 1
            except OSError as e:  # faster than the wire
                if e.errno != errno.ENOBUFS:
                    raise
    print(cnt)


def to_asker(lan, said, msg, mac, life, proto, lo, hi):
    """Answer the QUERY @said in its own encoding."""
    tlvs = life_tlv(life) + tlv(NONCE, said["tlvs"].get(NONCE, bytes(8))) + tlv(HOST_ID, ME)
    if said["form"] == "nd":
        frame = lan.build_nd(said["ip"], msg, mac, (proto, lo, hi), GEN, tlvs, (said["src"], said["ip6_src"]))
    else:
        there = endpoint(proto, lo, hi, GEN, said["ip"])
        frame = lan.build(said["src"], msg, mac, there, said["src"], said["tpa"], tlvs, said["form"] == "e2")
    if lan.record:
        with open(lan.record, "a", encoding="ascii") as f:
            print(frame.hex(), file=f)
    lan.say(frame)


def defend(lan, said, mac, to):
    tlvs = tlv(HOST_ID, ME)
    if said["msg"] == MAC_PROBE:
        tlvs += tlv(NONCE, said["tlvs"].get(NONCE, bytes(8)))
    lan.say(lan.build(to, MAC_DEFEND, mac, endpoint(gen=GEN), said["src"], endpoint(), tlvs, said["form"] == "e2"))


def life_tlv(ms):
    return tlv(LIFETIME, struct.pack(">I", int(ms)))


def answer(lan, seconds, ip, mac, life):
    """Right if IP is of this host, and a lie if not."""
    macs, until = [mac_of(m) for m in mac.split(",")], time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: m["msg"] in (QUERY, MAC_PROBE))
        if said and said["msg"] == MAC_PROBE and said["tha"] in macs:
            defend(lan, said, said["tha"], said["src"])
        elif said and said["msg"] == QUERY and said["ip"] == ip:
            to_asker(lan, said, REPLY, macs[0], life, said["proto"], said["lo"], said["lo"])


def neg(lan, seconds, ip, life):
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: m["msg"] == QUERY and m["ip"] == ip)
        if said:
            to_asker(lan, said, NEG, lan.me, life, said["proto"], said["lo"], said["lo"])


def news(lan, msg, ip, mac, proto, lo, hi, gen, tlvs, e2):
    mac, proto, lo, hi, gen = mac_of(mac), PROTOS.get(proto, 0), int(lo), int(hi), int(gen)
    tlvs += tlv(HOST_ID, ME)
    if ":" in ip:
        lan.say(lan.build_nd(ip, msg, mac, (proto, lo, hi), gen, tlvs))
    else:
        lan.say(lan.build(ALL, msg, mac, endpoint(proto, lo, hi, gen, ip), bytes(6), endpoint(), tlvs, e2))


def announce(lan, ip, mac, proto, lo, hi, gen, e2=False):
    news(lan, ANNOUNCE, ip, mac, proto, lo, hi, gen, life_tlv(60000), e2)


def release(lan, ip, mac, proto, lo, hi, e2=False):
    news(lan, RELEASE, ip, mac, proto, lo, hi, 0, b"", e2)


def replay(lan, seconds, file):
    with open(file, encoding="ascii") as f:
        frames = [bytes.fromhex(line) for line in f]
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        if lan.hear(left, lambda m: m["msg"] == QUERY):
            for frame in frames:
                lan.say(frame)


def mine(lan, said, mac):
    """Is it about our MAC, and another host's?"""
    macs = said["tha"] if said["msg"] == MAC_PROBE else said["mac"]
    rest = said["tlvs"].get(parp_wire.MAC_LIST, b"")
    return mac in [macs] + [rest[k:k + 6] for k in range(0, len(rest), 6)] and said["tlvs"].get(HOST_ID) != ME


def claim_begin(lan, mac):
    """Return: nobody objected."""
    def objects(m):
        return mine(lan, m, mac) and (m["msg"] in (MAC_DEFEND, MAC_CLAIM) or (m["msg"] == MAC_PROBE and m["tlvs"][HOST_ID] < ME))

    objection = lan.hear(random.uniform(0, 0.05), objects)
    for _ in range(3):
        if objection:
            return False
        lan.say(lan.build(ALL, MAC_PROBE, lan.me, endpoint(gen=GEN), mac, endpoint(), tlv(NONCE, os.urandom(8)) + tlv(HOST_ID, ME)))
        objection = lan.hear(random.uniform(0.05, 0.1), objects)
    return not objection and not lan.hear(3, objects)  # patient: who objects may be late on a busy machine


def is_stronger(m):
    """In a conflict: the higher generation, then the lower id."""
    return m["gen"] > GEN or (m["gen"] == GEN and m["tlvs"][HOST_ID] < ME)


def own(lan, seconds, mac):
    mac, until = mac_of(mac), time.monotonic() + float(seconds)
    if not claim_begin(lan, mac):
        print("not mine", flush=True)
        return
    print("claimed", flush=True)
    for _ in range(2):
        claim(lan, mac_text(mac), GEN)
        time.sleep(0.1)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: m["msg"] in (MAC_PROBE, MAC_DEFEND, MAC_CLAIM) and mine(lan, m, mac))
        if said and said["msg"] == MAC_PROBE:
            defend(lan, said, mac, said["src"])
        elif said and is_stronger(said):
            print("lost", flush=True)
            return
        elif said:
            defend(lan, said, mac, ALL)


def watch(lan, seconds):
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        said = lan.hear(left, lambda m: True)
        if said:
            print(NAMES[said["msg"]], mac_text(said["src"]), mac_text(said["mac"]), said["lo"], said["hi"], said["gen"], flush=True)


def key_of(option):
    number, secret = option.split("=")[1].split(":")
    return int(number), bytes.fromhex(secret)


def main(argv):
    options = [a[2:] for a in argv if a.startswith("--")]
    words = [a for a in argv if not a.startswith("--")]
    flags = {o: True for o in options if o in ("nd", "e2")}
    keys, say_keys = ([key_of(o) for o in options if o.startswith(kind)] for kind in ("key=", "say-key="))
    record = next((o[7:] for o in options if o.startswith("record=")), None)
    commands = {f.__name__: f for f in (query, probe, claim, own, poison, flood, answer, neg, announce, release, replay, watch)}
    if len(words) < 2 or words[1] not in commands:
        sys.exit(__doc__)
    commands[words[1]](Lan(words[0], keys, say_keys or keys, record), *words[2:], **flags)


main(sys.argv[1:])
