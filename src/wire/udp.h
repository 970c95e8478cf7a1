// SPDX-License-Identifier: BSD-2-Clause
/* UDP: RFC 768, RFC 8200 section 8.1. See eth.h for the rules. */
#ifndef VJ_WIRE_UDP_H
#define VJ_WIRE_UDP_H

#include "base/types.h"
#include "wire/checksum.h"
#include "wire/err.h"

#define UDP_HDR_BYTES 8

struct udp_hdr {
	struct be16 src_port;
	struct be16 dst_port;
	struct be16 len;
	struct be16 csum;
} VJ_PACKED;

_Static_assert(sizeof(struct udp_hdr) == UDP_HDR_BYTES, "RFC 768");

struct udp_view {
	const struct udp_hdr *hdr;
	uint16_t src_port;
	uint16_t dst_port;
	uint16_t payload_len;
};

struct udp_fields {
	uint16_t src_port;
	uint16_t dst_port;
	uint16_t payload_len;
};

/*
 * `len` is the IP payload. WIRE_SHORT, WIRE_TOO_DEEP; WIRE_BAD_LEN if the length field is under 8
 * (0, a jumbogram, included) or past the bytes there. Bytes after it are ignored.
 */
static inline enum wire_err udp_parse_part(const void *p, size_t avail, size_t len,
					   struct udp_view *ret_view)
{
	const struct udp_hdr *hdr = p;
	uint16_t udp_len;

	if (unlikely(avail < UDP_HDR_BYTES))
		return avail < len ? WIRE_TOO_DEEP : WIRE_SHORT;
	udp_len = be16_get(hdr->len);
	if (unlikely(udp_len < UDP_HDR_BYTES || udp_len > len))
		return WIRE_BAD_LEN;
	*ret_view = (struct udp_view){
		.hdr = hdr,
		.src_port = be16_get(hdr->src_port),
		.dst_port = be16_get(hdr->dst_port),
		.payload_len = (uint16_t)(udp_len - UDP_HDR_BYTES),
	};
	return WIRE_OK;
}

static inline enum wire_err udp_parse(const void *p, size_t len, struct udp_view *ret_view)
{
	return udp_parse_part(p, len, len, ret_view);
}

/*
 * A field of 0 means that the sender computed none: fine over IPv4, and a reason to drop over IPv6
 * (RFC 8200 section 8.1). To check one: ip_csum_ok() over UDP_HDR_BYTES + payload_len.
 */
static inline bool udp_has_csum(const struct udp_view *udp)
{
	return udp->hdr->csum.raw != 0;
}

static inline size_t udp_build(void *p, const struct udp_fields *fields)
{
	uint8_t *out = p;

	store_be32(out, (uint32_t)fields->src_port << 16 | fields->dst_port);
	store_be32(out + 4, (UDP_HDR_BYTES + (uint32_t)fields->payload_len) << 16);
	return UDP_HDR_BYTES;
}

/* `p` is the header with its checksum field 0; `rest` sums up pseudo-header and payload. */
static inline void udp_csum_fill(void *p, struct csum rest)
{
	struct udp_hdr *hdr = p;

	hdr->csum = csum_finish_udp(csum_add(rest, csum_words(p, UDP_HDR_BYTES)));
}

#endif
