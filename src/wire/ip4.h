// SPDX-License-Identifier: BSD-2-Clause
/*
 * IPv4: RFC 791, RFC 6864 (ID), RFC 3168 (ECN). See eth.h for the rules.
 *
 * Options are stepped over, not obeyed: a host has no use for them, and source routes are not ours
 * to follow (RFC 7126).
 */
#ifndef VJ_WIRE_IP4_H
#define VJ_WIRE_IP4_H

#include "base/types.h"
#include "wire/checksum.h"
#include "wire/err.h"
#include "wire/ip.h"

#define IP4_HDR_BYTES 20
#define IP4_HDR_MAX 60

/* In the host-order value of `frag`. */
#define IP4_FRAG_DF 0x4000
#define IP4_FRAG_MF 0x2000
#define IP4_FRAG_OFF_MASK 0x1fff /* in units of 8 bytes */

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+-------+---------------+-------------------------------+
 * |   4   | words |      tos      |           total_len           |
 * +-------+-------+---------------+-------------------------------+
 * |              id               |0|D|M|        offset / 8       |
 * +---------------+---------------+-------------------------------+
 * |      ttl      |     proto     |             csum              |
 * +---------------+---------------+-------------------------------+
 * |                              src                              |
 * +---------------------------------------------------------------+
 * |                              dst                              |
 * +---------------------------------------------------------------+
 */
struct ip4_hdr {
	uint8_t version_words;
	uint8_t tos;
	struct be16 total_len;
	struct be16 id;
	struct be16 frag;
	uint8_t ttl;
	uint8_t proto;
	struct be16 csum;
	struct be32 src;
	struct be32 dst;
} VJ_PACKED;

_Static_assert(sizeof(struct ip4_hdr) == IP4_HDR_BYTES, "RFC 791");
_Static_assert(offsetof(struct ip4_hdr, ttl) == 8, "RFC 791");
_Static_assert(offsetof(struct ip4_hdr, src) == 12, "RFC 791");

struct ip4_fields {
	struct be32 src;
	struct be32 dst;
	uint16_t payload_len; /* at most IP_PKT_MAX - IP4_HDR_BYTES */
	uint16_t id;
	uint16_t frag_off; /* bytes, a multiple of 8 */
	bool more_frags;
	bool dont_frag;
	uint8_t ttl;
	uint8_t proto;
	uint8_t tos;
};

/*
 * WIRE_SHORT, WIRE_BAD_VERSION, WIRE_BAD_HLEN (under 20, or past total_len), WIRE_BAD_LEN
 * (total_len past the bytes there), WIRE_BAD_FRAG, WIRE_TOO_DEEP. Bytes after total_len are
 * padding, and ignored. The checksum is not looked at: ip4_csum_ok().
 */
static inline enum wire_err ip4_parse_part(const void *p, size_t avail, size_t len,
					   struct ip_view *ret_view)
{
	const struct ip4_hdr *hdr = p;
	size_t hdr_len, total_len, frag_off;
	uint16_t frag;

	if (unlikely(avail < IP4_HDR_BYTES))
		return avail < len ? WIRE_TOO_DEEP : WIRE_SHORT;
	if (unlikely(hdr->version_words >> 4 != 4))
		return WIRE_BAD_VERSION;
	hdr_len = (size_t)(hdr->version_words & 15) * 4;
	total_len = be16_get(hdr->total_len);
	if (unlikely(hdr_len < IP4_HDR_BYTES || hdr_len > total_len))
		return WIRE_BAD_HLEN;
	if (unlikely(total_len > len))
		return WIRE_BAD_LEN;
	if (unlikely(hdr_len > avail))
		return WIRE_TOO_DEEP;
	frag = be16_get(hdr->frag);
	frag_off = (size_t)(frag & IP4_FRAG_OFF_MASK) * 8;
	if (unlikely((frag & (IP4_FRAG_OFF_MASK | IP4_FRAG_MF)) != 0)) {
		size_t payload_len = total_len - hdr_len;

		/* RFC 791: all but the last are multiples of 8; and no datagram passes 65535. */
		if (payload_len == 0 || frag_off + payload_len > IP_PKT_MAX - IP4_HDR_BYTES ||
		    ((frag & IP4_FRAG_MF) != 0 && payload_len % 8 != 0))
			return WIRE_BAD_FRAG;
	}
	*ret_view = (struct ip_view){
		.hdr = p,
		.version = 4,
		.proto = hdr->proto,
		.ttl = hdr->ttl,
		.tos = hdr->tos,
		.hdr_len = (uint16_t)hdr_len,
		.payload_len = (uint16_t)(total_len - hdr_len),
		.frag_off = (uint16_t)frag_off,
		.more_frags = (frag & IP4_FRAG_MF) != 0,
		.dont_frag = (frag & IP4_FRAG_DF) != 0,
		.frag_id = be16_get(hdr->id),
	};
	return WIRE_OK;
}

static inline enum wire_err ip4_parse(const void *p, size_t len, struct ip_view *ret_view)
{
	return ip4_parse_part(p, len, len, ret_view);
}

/* The header's own checksum. `ip` came from ip4_parse(). */
static inline bool ip4_csum_ok(const struct ip_view *ip)
{
	if (likely(ip->hdr_len == IP4_HDR_BYTES))
		return csum_is_ok(csum_words(ip->hdr, IP4_HDR_BYTES));
	return csum_is_ok(csum_words(ip->hdr, ip->hdr_len));
}

/*
 * Writes IP4_HDR_BYTES, without options. In words, as the checksum will read them: a load that
 * spans two stores waits until both have left the store buffer.
 */
static inline size_t ip4_build(void *p, const struct ip4_fields *fields)
{
	uint32_t total_len = IP4_HDR_BYTES + (uint32_t)fields->payload_len;
	uint32_t frag = fields->frag_off / 8u | (fields->more_frags ? IP4_FRAG_MF : 0) |
			(fields->dont_frag ? IP4_FRAG_DF : 0);
	uint8_t *out = p;

	store_be32(out, UINT32_C(0x45) << 24 | (uint32_t)fields->tos << 16 | total_len);
	store_be32(out + 4, (uint32_t)fields->id << 16 | frag);
	store_be32(out + 8, (uint32_t)fields->ttl << 24 | (uint32_t)fields->proto << 16);
	store_u32(out + 12, fields->src.raw);
	store_u32(out + 16, fields->dst.raw);
	return IP4_HDR_BYTES;
}

/* Computes the checksum of a header of IP4_HDR_BYTES whose checksum field may hold anything. */
static inline void ip4_csum_fill(void *p)
{
	struct ip4_hdr *hdr = p;

	/* Taken out of the sum and not set to 0 first: that store would be one more to wait for. */
	hdr->csum = csum_finish(csum_sub_be16(csum_words(p, IP4_HDR_BYTES), hdr->csum));
}

#endif
