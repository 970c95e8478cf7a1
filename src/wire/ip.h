// SPDX-License-Identifier: BSD-2-Clause
/*
 * What IPv4 and IPv6 have in common: one view for both, so that the layers above have one case.
 * ip4.h and ip6.h fill it. Addresses stay where they are until somebody asks for them.
 */
#ifndef VJ_WIRE_IP_H
#define VJ_WIRE_IP_H

#include "base/addr.h"
#include "base/types.h"
#include "wire/checksum.h"
#include "wire/err.h"

#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IP_PROTO_ICMP6 58

#define IP_PKT_MAX 65535

/* Low two bits of `tos`: RFC 3168 section 5. */
#define IP_ECN_MASK 3
#define IP_ECN_NOT_ECT 0
#define IP_ECN_ECT1 1
#define IP_ECN_ECT0 2
#define IP_ECN_CE 3

struct ip_view {
	const uint8_t *hdr;
	uint8_t version; /* 4 or 6 */
	uint8_t proto;	 /* of the payload: the last Next Header in IPv6 */
	uint8_t ttl;
	uint8_t tos;	      /* or traffic class; DSCP and ECN */
	uint16_t hdr_len;     /* options and extension headers included: the payload starts here */
	uint16_t payload_len; /* by the header's length field, checked against the bytes */

	/* A fragment if frag_off is not 0 or more_frags is true. */
	uint16_t frag_off; /* bytes */
	bool more_frags;
	bool dont_frag;	  /* IPv4's DF; always true in IPv6 */
	uint32_t frag_id; /* IPv4: the ID field, 16 bits. IPv6: 0 without fragment header */

	/* IPv6 only, for reassembly and ICMP Parameter Problem; 0 in IPv4. */
	uint16_t frag_hdr_off; /* offset of the fragment header, 0 for none */
	uint16_t proto_off;    /* offset of the byte that `proto` was read from */
};

static inline bool ip_is_frag(const struct ip_view *ip)
{
	return ip->frag_off != 0 || ip->more_frags;
}

static inline uint8_t ip_ecn(const struct ip_view *ip)
{
	return ip->tos & IP_ECN_MASK;
}

/*
 * For packets that lie in one piece; else the payload is at hdr_len from the start of the packet.
 */
static inline const uint8_t *ip_payload(const struct ip_view *ip)
{
	return ip->hdr + ip->hdr_len;
}

static inline struct be32 ip_src_v4(const struct ip_view *ip)
{
	return (struct be32){ load_u32(ip->hdr + 12) };
}

static inline struct be32 ip_dst_v4(const struct ip_view *ip)
{
	return (struct be32){ load_u32(ip->hdr + 16) };
}

static inline struct ip_addr ip_src(const struct ip_view *ip)
{
	return ip->version == 4 ? ip_addr_from_v4(ip_src_v4(ip)) : ip_addr_from_v6(ip->hdr + 8);
}

static inline struct ip_addr ip_dst(const struct ip_view *ip)
{
	return ip->version == 4 ? ip_addr_from_v4(ip_dst_v4(ip)) : ip_addr_from_v6(ip->hdr + 24);
}

/*
 * Pseudo-header for `len` bytes of upper layer, which is payload_len unless the packet is a
 * fragment.
 */
static inline struct csum ip_csum_pseudo(const struct ip_view *ip, uint32_t len)
{
	if (ip->version == 4)
		return csum_pseudo_v4(ip_src_v4(ip), ip_dst_v4(ip), ip->proto, len);
	return csum_pseudo_v6(ip->hdr + 8, ip->hdr + 24, ip->proto, len);
}

/*
 * Is the checksum of a TCP, UDP or ICMPv6 message right? `hdr` and `rest` are its two pieces, in
 * case the header was copied out; `hdr_len` may be odd, `rest_len` may be 0. UDP's "no checksum" is
 * the caller's to notice (udp_has_csum()).
 */
bool ip_csum_ok(const struct ip_view *ip, const void *hdr, size_t hdr_len, const void *rest,
		size_t rest_len);

/* By the version in the first byte. Errors of ip4_parse() and ip6_parse(), and WIRE_BAD_VERSION. */
enum wire_err ip_parse_part(const void *p, size_t avail, size_t len, struct ip_view *ret_view);

static inline enum wire_err ip_parse(const void *p, size_t len, struct ip_view *ret_view)
{
	return ip_parse_part(p, len, len, ret_view);
}

/*
 * The packet that an ICMP error quotes: as ip_parse(), but the quote may end anywhere after the
 * headers, so payload_len is what is there, at most `len`.
 */
enum wire_err ip_parse_quoted(const void *p, size_t len, struct ip_view *ret_view);

#endif
