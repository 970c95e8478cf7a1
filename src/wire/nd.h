// SPDX-License-Identifier: BSD-2-Clause
/*
 * nd.h - neighbour solicitations and advertisements (RFC 4861 4.3, 4.4), in whole frames
 *
 * Only what address resolution and duplicate address detection need. What has PARP's option as well (parp.h) is read here as what it
 * is to everybody else.
 */
#ifndef VJ_WIRE_ND_H
#define VJ_WIRE_ND_H

#include "base/addr.h"
#include "wire/eth.h"
#include "wire/ip6.h"

#define ND_SOLICIT 135 /* types of ICMPv6 */
#define ND_ADVERT 136

#define ND_FIXED_BYTES 24 /* ICMPv6 header with flags, and the target */
#define ND_HOP_LIMIT 255  /* RFC 4861 7.1: has not been forwarded */
#define ND_NONCE_BYTES 6  /* RFC 3971 5.3.2: at least; and what one unit holds */

#define ND_FLAG_ROUTER UINT32_C(0x80000000) /* of an advertisement */
#define ND_FLAG_SOLICITED UINT32_C(0x40000000)
#define ND_FLAG_OVERRIDE UINT32_C(0x20000000)

/* The longest that nd_build() makes */
#define ND_FRAME_MAX (ETH_HDR_BYTES + IP6_HDR_BYTES + ND_FIXED_BYTES + 8 + 8)

struct nd_hdr {
	uint8_t type, code;
	struct be16 csum;
	struct be32 flags; /* ND_FLAG_*; of a solicitation 0 */
	struct ip_addr target;
} VJ_PACKED;

_Static_assert(sizeof(struct nd_hdr) == ND_FIXED_BYTES, "RFC 4861 4.3, 4.4");

struct nd_msg {
	struct mac_addr eth_dst, eth_src;
	struct ip_addr src, dst, target;
	uint8_t type; /* ND_SOLICIT, ND_ADVERT */
	bool has_mac, has_nonce;
	uint32_t flags;
	struct mac_addr mac; /* if so: of the source, if it is a solicitation; of the target */
	uint8_t nonce[ND_NONCE_BYTES]; /* if so (RFC 7527): the first bytes of it */
};

/** nd_group() - The solicited-node group of @addr (RFC 4291 2.7.1) */
static inline struct ip_addr nd_group(const struct ip_addr *addr)
{
	struct ip_addr group = { .bytes = { 0xff, 0x02, [11] = 1, [12] = 0xff } };

	__builtin_memcpy(group.bytes + 13, addr->bytes + 13, 3);
	return group;
}

/** nd_group_mac() - Where frames to an IPv6 group go (RFC 2464 7) */
static inline struct mac_addr nd_group_mac(const struct ip_addr *group)
{
	const uint8_t *b = group->bytes;

	return (struct mac_addr){ { 0x33, 0x33, b[12], b[13], b[14], b[15] } };
}

/**
 * nd_parse() - Read a frame, as it came from a wire
 * Without VLAN tags and extension headers; checked as RFC 4861 7.1.1 and 7.1.2 want it, checksum included.
 * Return: false: not one of both, or not valid; @ret_msg is untouched
 */
bool nd_parse(const uint8_t *frame, size_t len, struct nd_msg *ret_msg);

/** nd_build() - Write the frame. @buf: ND_FRAME_MAX. Return: its length */
size_t nd_build(uint8_t *buf, const struct nd_msg *msg);

#endif
