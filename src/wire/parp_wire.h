// SPDX-License-Identifier: BSD-2-Clause
/*
 * The bytes of port-aware ARP, as parser and builder share them: parp.c has E1 and E2, parp_nd.c the option of
 * neighbour discovery, parp_tlv.c what stands behind the fixed part of either.
 */
#ifndef VJ_WIRE_PARP_WIRE_H
#define VJ_WIRE_PARP_WIRE_H

#include "wire/parp.h"

#define PARP_MAGIC UINT32_C(0x50415250) /* "PARP" */
#define PARP_VERSION 1

enum {
	PARP_TLV_LIFETIME = 1,
	PARP_TLV_NONCE = 2,
	PARP_TLV_HOST = 3,
	PARP_TLV_TIMESTAMP = 4,
	PARP_TLV_CANON_MAC = 5,
	PARP_TLV_PORTSET = 6,
	PARP_TLV_MAC_LIST = 7,
	PARP_TLV_CAPS = 8,
	PARP_TLV_MUST_KNOW = 128, /* from here on: who doesn't know it refuses the message */
	PARP_TLV_AUTH = 254,

	PARP_TLV_HDR_BYTES = 2,
	PARP_AUTH_BYTES = 4 + 16, /* key id, SipHash-2-4-128 */
	PARP_COVERED_HEAD_MAX = 32,
};

struct parp_wire_endpoint {
	uint8_t version;
	uint8_t proto;
	struct be16 port_lo;
	struct be16 port_hi;
	struct be16 flags;
	struct be32 gen;
	struct be32 ip4; /* last: who takes the first 4 bytes for an address sees 1.x.x.x */
} VJ_PACKED;

/* E1; E2 differs in the first 6 bytes. */
struct parp_wire {
	struct be16 hw_type;
	struct be16 proto_type;
	uint8_t hw_len;
	uint8_t proto_len;
	struct be16 op;
	struct mac_addr sender_mac;
	struct parp_wire_endpoint sender;
	struct mac_addr target_mac;
	struct parp_wire_endpoint target;
	struct be32 magic;
	uint8_t version;
	uint8_t type;
	struct be16 tlv_len;
} VJ_PACKED;

_Static_assert(sizeof(struct parp_wire_endpoint) == 16, "docs/parp.md");
_Static_assert(sizeof(struct parp_wire) == PARP_FIXED_BYTES, "docs/parp.md");
_Static_assert(offsetof(struct parp_wire, sender) == 14, "docs/parp.md");
_Static_assert(offsetof(struct parp_wire, target) == 36, "docs/parp.md");
_Static_assert(offsetof(struct parp_wire, magic) == 52, "docs/parp.md");

/* What AUTH covers: @head, and the message from @from up to AUTH itself. */
struct parp_covered {
	uint8_t head[PARP_COVERED_HEAD_MAX];
	size_t head_len;
	const uint8_t *from;
};

/* Reads @len bytes of TLVs at @p into @msg, whose type is there already. */
enum parp_err parp_tlvs_parse(const struct parp_covered *covered, const uint8_t *p, size_t len,
			      const struct parp_config *cfg, struct parp_msg *msg);

/* What the TLVs of @msg take, AUTH included. */
size_t parp_tlvs_bytes(const struct parp_config *cfg, const struct parp_msg *msg);

/* Writes parp_tlvs_bytes(), after all that AUTH covers has been written. */
void parp_tlvs_build(const struct parp_covered *covered, uint8_t *p, const struct parp_config *cfg,
		     const struct parp_msg *msg);

/* What every message must satisfy, whatever it came in. */
enum parp_err parp_check(const struct parp_msg *msg);

/* As parp_parse() and parp_build(), of frames whose type is IPv6. */
enum parp_err parp_nd_parse(const uint8_t *frame, size_t len, const struct parp_config *cfg, struct parp_msg *msg);
size_t parp_nd_build(uint8_t *buf, const struct parp_config *cfg, const struct parp_msg *msg);

#endif
