// SPDX-License-Identifier: BSD-2-Clause
/*
 * IPv6: RFC 8200; RFC 5095 (no routing header 0), RFC 6946 (atomic fragments). See eth.h for the
 * rules.
 *
 * Extension headers are walked to the payload, at most IP6_EXT_MAX of them (RFC 8504 section 5.3
 * allows a limit). Jumbograms are refused.
 */
#ifndef VJ_WIRE_IP6_H
#define VJ_WIRE_IP6_H

#include "base/types.h"
#include "wire/err.h"
#include "wire/ip.h"

#define IP6_HDR_BYTES 40
#define IP6_FRAG_BYTES 8
#define IP6_MTU_MIN 1280
#define IP6_EXT_MAX 8

#define IP6_EXT_HOP_BY_HOP 0
#define IP6_EXT_ROUTING 43
#define IP6_EXT_FRAGMENT 44
#define IP6_EXT_NONE 59
#define IP6_EXT_DEST_OPTS 60

struct ip6_hdr {
	struct be32 version_class_flow; /* 4 bits, 8 bits, 20 bits */
	struct be16 payload_len;	/* extension headers included */
	uint8_t next;
	uint8_t hop_limit;
	struct ip_addr src;
	struct ip_addr dst;
} VJ_PACKED;

struct ip6_frag_hdr {
	uint8_t next;
	uint8_t reserved;
	struct be16 off_more; /* offset in units of 8 bytes, 13 bits; 2 reserved; M */
	struct be32 id;
} VJ_PACKED;

_Static_assert(sizeof(struct ip6_hdr) == IP6_HDR_BYTES, "RFC 8200");
_Static_assert(offsetof(struct ip6_hdr, src) == 8, "RFC 8200");
_Static_assert(offsetof(struct ip6_hdr, dst) == 24, "RFC 8200");
_Static_assert(sizeof(struct ip6_frag_hdr) == IP6_FRAG_BYTES, "RFC 8200");

struct ip6_fields {
	struct ip_addr src;
	struct ip_addr dst;
	uint32_t flow_label;  /* 20 bits */
	uint16_t payload_len; /* of what follows this header and the fragment header */
	uint8_t proto;
	uint8_t hop_limit;
	uint8_t tclass;

	/* With has_frag_hdr a fragment header follows; payload_len is at most 65535 - 8 then. */
	bool has_frag_hdr;
	bool more_frags;
	uint16_t frag_off; /* bytes, a multiple of 8 */
	uint32_t frag_id;
};

/* With extension headers. Reached through ip6_parse_part(). */
enum wire_err ip6_parse_ext(const void *p, size_t avail, size_t len, struct ip_view *ret_view);

static inline bool ip6_is_ext(uint8_t proto)
{
	return proto == IP6_EXT_HOP_BY_HOP || proto == IP6_EXT_ROUTING ||
	       proto == IP6_EXT_FRAGMENT || proto == IP6_EXT_DEST_OPTS;
}

/*
 * WIRE_SHORT, WIRE_BAD_VERSION, WIRE_BAD_LEN (payload_len past the bytes there), WIRE_BAD_HLEN
 * (extension header past the payload), WIRE_BAD_EXT, WIRE_BAD_OPTION (an unknown option that says
 * "discard"), WIRE_BAD_FRAG, WIRE_TOO_DEEP. Behind a fragment header with an offset nothing is
 * walked: that is data.
 */
static inline enum wire_err ip6_parse_part(const void *p, size_t avail, size_t len,
					   struct ip_view *ret_view)
{
	const struct ip6_hdr *hdr = p;
	uint32_t version_class_flow;
	uint16_t payload_len;

	if (unlikely(avail < IP6_HDR_BYTES))
		return avail < len ? WIRE_TOO_DEEP : WIRE_SHORT;
	version_class_flow = be32_get(hdr->version_class_flow);
	if (unlikely(version_class_flow >> 28 != 6))
		return WIRE_BAD_VERSION;
	payload_len = be16_get(hdr->payload_len);
	if (unlikely(payload_len > len - IP6_HDR_BYTES))
		return WIRE_BAD_LEN;
	if (unlikely(ip6_is_ext(hdr->next)))
		return ip6_parse_ext(p, avail, len, ret_view);
	*ret_view = (struct ip_view){
		.hdr = p,
		.version = 6,
		.proto = hdr->next,
		.ttl = hdr->hop_limit,
		.tos = (uint8_t)(version_class_flow >> 20),
		.hdr_len = IP6_HDR_BYTES,
		.payload_len = payload_len,
		.dont_frag = true,
		.proto_off = offsetof(struct ip6_hdr, next),
	};
	return WIRE_OK;
}

static inline enum wire_err ip6_parse(const void *p, size_t len, struct ip_view *ret_view)
{
	return ip6_parse_part(p, len, len, ret_view);
}

/* Writes IP6_HDR_BYTES, and IP6_FRAG_BYTES if asked. */
static inline size_t ip6_build(void *p, const struct ip6_fields *fields)
{
	size_t frag_bytes = fields->has_frag_hdr ? IP6_FRAG_BYTES : 0;
	uint32_t payload_len = fields->payload_len + (uint32_t)frag_bytes;
	uint8_t next = fields->has_frag_hdr ? IP6_EXT_FRAGMENT : fields->proto;
	uint8_t *out = p;

	store_be32(out, UINT32_C(6) << 28 | (uint32_t)fields->tclass << 20 |
				(fields->flow_label & 0xfffff));
	store_be32(out + 4, payload_len << 16 | (uint32_t)next << 8 | fields->hop_limit);
	__builtin_memcpy(out + offsetof(struct ip6_hdr, src), &fields->src, sizeof(fields->src));
	__builtin_memcpy(out + offsetof(struct ip6_hdr, dst), &fields->dst, sizeof(fields->dst));
	if (fields->has_frag_hdr) {
		uint32_t off_more = (fields->frag_off & 0xfff8u) | (fields->more_frags ? 1 : 0);

		out += IP6_HDR_BYTES;
		store_be32(out, (uint32_t)fields->proto << 24 | off_more);
		store_be32(out + 4, fields->frag_id);
	}
	return IP6_HDR_BYTES + frag_bytes;
}

#endif
