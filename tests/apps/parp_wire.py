#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The bytes of port-aware ARP: written from section 3 of docs/parp.md, knows nothing of the code under test.

  parp_wire.py DOCUMENT      reads the frames of the document's appendix, and builds each anew; fails if one bit differs
"""

import re
import socket
import struct
import sys

PROTO_TYPE, SUBTYPE = 0x88B5, 0x50
QUERY, REPLY, NEG, ANNOUNCE, RELEASE, MAC_PROBE, MAC_DEFEND, MAC_CLAIM = range(1, 9)
NAMES = ["", "query", "reply", "neg", "announce", "release", "mac_probe", "mac_defend", "mac_claim"]
ANSWERS = (REPLY, NEG, MAC_DEFEND)
LIFETIME, NONCE, HOST_ID, CANON_MAC, MAC_LIST, AUTH = 1, 2, 3, 5, 7, 254
AUTH_BYTES = 2 + 4 + 16
ALL = b"\xff" * 6
ALL_NODES = bytes.fromhex("ff02") + bytes(13) + b"\x01"


def siphash(key, data):
    """SipHash-2-4 with 128 bits of output."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(x, by):
        return (x << by | x >> (64 - by)) & mask

    def rounds(cnt):
        for _ in range(cnt):
            v[0] = (v[0] + v[1]) & mask
            v[2] = (v[2] + v[3]) & mask
            v[1] = rotated(v[1], 13) ^ v[0]
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[1]) & mask
            v[0] = (v[0] + v[3]) & mask
            v[1] = rotated(v[1], 17) ^ v[2]
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = rotated(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return struct.pack("<QQ", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def tlv(kind, value):
    return bytes([kind, len(value)]) + value


def tlvs_of(data):
    """Return: {type: value}; AUTH has the bytes before it at "signed"."""
    found, at = {}, 0
    while at + 2 <= len(data):
        if data[at] == AUTH:
            found["signed"] = data[:at]
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def endpoint(proto=0, lo=0, hi=0, gen=0, ip="0.0.0.0"):
    return struct.pack(">BBHHHI", 1, proto, lo, hi, 0, gen) + socket.inet_aton(ip)


def signed(keys, covered):
    """@keys: [(id, secret)]; the first is ours. Return: AUTH, or nothing."""
    return tlv(AUTH, struct.pack(">I", keys[0][0]) + siphash(keys[0][1], covered)) if keys else b""


def is_authentic(keys, covered, found):
    """Return: True; False: wrong under a key that is known; None: none, or of another key."""
    auth = found.get(AUTH, b"")
    for number, secret in keys:
        if auth[:4] == struct.pack(">I", number):
            return siphash(secret, covered) == auth[4:]
    return None


# ---- E1, E2


def build(src, dst, msg, sha, spa, tha, tpa, tlvs, e2=False, keys=()):
    op = 25 if msg in ANSWERS else 24
    head = struct.pack(">B5xH", SUBTYPE, op) if e2 else struct.pack(">HHBBH", 1, PROTO_TYPE, 6, 16, op)
    kind = struct.pack(">H", PROTO_TYPE if e2 else 0x0806)
    size = len(tlvs) + (AUTH_BYTES if keys else 0)
    text = head + sha + spa + tha + tpa + b"PARP" + struct.pack(">BBH", 1, msg, size) + tlvs
    return dst + src + kind + text + signed(keys, src + kind + text)


def parse_parp(frame, keys):
    body = frame[14:]
    is_e1 = frame[12:14] == b"\x08\x06" and body[:6] == struct.pack(">HHBB", 1, PROTO_TYPE, 6, 16)
    is_e2 = frame[12:14] == struct.pack(">H", PROTO_TYPE) and body[:6] == bytes([SUBTYPE]) + bytes(5)
    if not (is_e1 or is_e2) or len(body) < 60 or body[52:57] != b"PARP\x01":
        return None
    found = tlvs_of(body[60:60 + struct.unpack(">H", body[58:60])[0]])
    said = {"msg": body[57], "mac": body[8:14], "tha": body[30:36], "tpa": body[36:52], "spa": body[14:30], "tlvs": found,
            "form": "e2" if is_e2 else "e1", "authentic": is_authentic(keys, frame[6:14] + body[:60] + found.get("signed", b""), found)}
    there = said["tpa"] if said["msg"] == QUERY else said["spa"]
    said["proto"], said["lo"], said["hi"], said["gen"] = struct.unpack(">xBHH2xI", there[:12])
    said["ip"] = socket.inet_ntoa(there[12:])
    return said


# ---- ND


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build_nd(src, ip6_src, target, msg, mac, ports, gen, tlvs, to=None, keys=()):
    """@ports: (proto, first, last); @to: (MAC, address), else all that should hear it."""
    query, t = msg == QUERY, socket.inet_pton(socket.AF_INET6, target)
    size = len(tlvs) + (AUTH_BYTES if keys else 0)
    units = (32 + size + 7) // 8
    option = (bytes([253, units, 1, msg]) + b"PARP" + mac + bytes([ports[0], 0]) +
              struct.pack(">HHHHII", ports[1], ports[2], 0, size, gen, 0) + tlvs)
    option += signed(keys, src + b"\x86\xdd" + t + option)
    option += bytes(units * 8 - len(option))
    group = bytes.fromhex("ff0200000000000000000001ff") + t[13:] if query else ALL_NODES
    dst, ip6_dst = to or (b"\x33\x33" + group[12:], group)
    body = bytes([135 if query else 136, 0, 0, 0, 0x40 if to and not query else 0, 0, 0, 0]) + t + option
    body = body[:2] + struct.pack(">H", checksum(ip6_src + ip6_dst + struct.pack(">II", len(body), 58) + body)) + body[4:]
    return dst + src + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + ip6_src + ip6_dst + body


def parse_nd(frame, keys):
    body = frame[14:]
    if frame[12:14] != b"\x86\xdd" or len(body) < 96 or body[6] != 58 or body[40] not in (135, 136) or body[64] != 253:
        return None
    option = body[64:64 + 8 * body[65]]
    if option[2] != 1 or option[4:8] != b"PARP":
        return None
    lo, hi, _, size, gen = struct.unpack(">HHHHI", option[16:28])
    found = tlvs_of(option[32:32 + size])
    covered = frame[6:14] + body[48:64] + option[:32] + found.get("signed", b"")
    return {"msg": option[3], "mac": option[8:14], "proto": option[14], "lo": lo, "hi": hi, "gen": gen, "tlvs": found, "form": "nd",
            "ip": socket.inet_ntop(socket.AF_INET6, body[48:64]), "ip6_src": body[8:24], "ip6_dst": body[24:40], "tha": bytes(6),
            "authentic": is_authentic(keys, covered, found)}


def parse(frame, keys=()):
    """Return: dict, or None if it is something else."""
    said = parse_parp(frame, keys) or parse_nd(frame, keys)
    if said:
        said["src"], said["dst"] = frame[6:12], frame[:6]
    return said


# ---- the document's own frames


def again(frame, keys):
    """What was read from @frame, said once more."""
    said = parse(frame, keys)
    tlvs = b"".join(tlv(k, v) for k, v in said["tlvs"].items() if k not in (AUTH, "signed"))
    keys = keys if AUTH in said["tlvs"] else ()
    if said["form"] == "nd":
        to = None if said["msg"] == QUERY else (said["dst"], said["ip6_dst"])
        return build_nd(said["src"], said["ip6_src"], said["ip"], said["msg"], said["mac"], (said["proto"], said["lo"], said["hi"]),
                        said["gen"], tlvs, to, keys)
    return build(said["src"], said["dst"], said["msg"], said["mac"], said["spa"], said["tha"], said["tpa"], tlvs, said["form"] == "e2", keys)


def main(document):
    with open(document, encoding="utf-8") as f:
        appendix = f.read().split("## Appendix")[1]
    keys = [(7, bytes(range(16)))]
    frames = [bytes.fromhex(block) for block in re.findall(r"```\n([0-9a-f\n]+)```", appendix)]
    with_auth = [frame for frame in frames if AUTH in parse(frame)["tlvs"]]
    for frame in frames:
        if again(frame, keys) != frame:
            sys.exit(f"not as the document has it:\n{frame.hex()}\n{again(frame, keys).hex()}")
    for frame in with_auth:
        if parse(frame, keys)["authentic"] is not True or parse(frame, [(7, bytes(16))])["authentic"] is not False:
            sys.exit(f"AUTH is not understood: {frame.hex()}")
    print(len(frames), "frames,", len(with_auth), "of them authenticated")


if __name__ == "__main__":
    main(*sys.argv[1:])
