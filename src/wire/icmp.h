// SPDX-License-Identifier: BSD-2-Clause
/*
 * ICMP for IPv4 (RFC 792, RFC 1191, RFC 1122 section 3.2.2) and for IPv6 (RFC 4443): echo, and
 * errors that quote a packet. See eth.h for the rules. The two are one message format with two
 * numberings, so one view serves both; `version` says which numbering applies.
 */
#ifndef VJ_WIRE_ICMP_H
#define VJ_WIRE_ICMP_H

#include "base/types.h"
#include "wire/checksum.h"
#include "wire/err.h"
#include "wire/ip.h"

#define ICMP_HDR_BYTES 8

/* What must be there of the quoted upper layer: ports, and TCP's sequence number (RFC 792). */
#define ICMP_QUOTE_MIN 8

/*
 * Errors we send keep the whole packet below these: RFC 1812 section 4.3.2.3, RFC 4443 section
 * 2.4(c).
 */
#define ICMP4_ERROR_PKT_MAX 576
#define ICMP6_ERROR_PKT_MAX 1280

#define ICMP4_ECHO_REPLY 0
#define ICMP4_UNREACH 3
#define ICMP4_ECHO_REQUEST 8
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAM_PROBLEM 12

#define ICMP4_UNREACH_NET 0
#define ICMP4_UNREACH_HOST 1
#define ICMP4_UNREACH_PROTO 2
#define ICMP4_UNREACH_PORT 3
#define ICMP4_UNREACH_FRAG_NEEDED 4
#define ICMP4_UNREACH_ADMIN 13

#define ICMP6_UNREACH 1
#define ICMP6_PKT_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAM_PROBLEM 4
#define ICMP6_INFO 128 /* a bit of the type: no error */
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129

#define ICMP6_UNREACH_NO_ROUTE 0
#define ICMP6_UNREACH_ADMIN 1
#define ICMP6_UNREACH_ADDR 3
#define ICMP6_UNREACH_PORT 4

#define ICMP_TIME_EXCEEDED_TTL 0
#define ICMP_TIME_EXCEEDED_REASSEMBLY 1

struct icmp_hdr {
	uint8_t type;
	uint8_t code;
	struct be16 csum;
	struct be32 rest; /* echo: id and sequence; errors: MTU, pointer, or unused */
} VJ_PACKED;

_Static_assert(sizeof(struct icmp_hdr) == ICMP_HDR_BYTES, "RFC 792");

/* What a message is for, whichever version. */
enum icmp_kind {
	ICMP_KIND_ECHO_REQUEST,
	ICMP_KIND_ECHO_REPLY,
	ICMP_KIND_ERROR, /* quotes a packet: icmp_parse_quote() */
	ICMP_KIND_OTHER, /* neighbour discovery, redirects, ...: not for us */
};

struct icmp_view {
	const struct icmp_hdr *hdr;
	enum icmp_kind kind;
	uint8_t version; /* 4 or 6 */
	uint8_t type;
	uint8_t code;
	uint16_t body_len; /* behind the 8 bytes: echo data, or the quoted packet */
	uint32_t rest;
};

/*
 * The packet that an error is about, as we had sent it: `src` is ours. Ports are 0 but for TCP,
 * UDP.
 */
struct icmp_quote {
	struct ip_view ip;
	uint16_t src_port;
	uint16_t dst_port;
	uint32_t tcp_seq;
	uint32_t pkt_len; /* of the whole packet, as its header says: the quote may be shorter */
};

/*
 * `version` is that of the IP packet, `len` its payload. WIRE_SHORT, WIRE_TOO_DEEP. Checksum not
 * looked at.
 */
enum wire_err icmp_parse_part(const void *p, size_t avail, size_t len, uint8_t version,
			      struct icmp_view *ret_view);

static inline enum wire_err icmp_parse(const void *p, size_t len, uint8_t version,
				       struct icmp_view *ret_view)
{
	return icmp_parse_part(p, len, len, version, ret_view);
}

/* ICMPv4 has no pseudo-header, ICMPv6 has. `hdr`, `rest`: as in ip_csum_ok(). */
bool icmp_csum_ok(const struct ip_view *ip, const void *hdr, size_t hdr_len, const void *rest,
		  size_t rest_len);

/*
 * The MTU that "fragmentation needed" or "packet too big" tells, 0 for any other message. Old
 * routers send 0 in the former too (RFC 1191 section 5): 0 never is an MTU.
 */
uint32_t icmp_mtu(const struct icmp_view *icmp);

/*
 * `body`, `len`: the bytes behind the ICMP header. WIRE_BAD_QUOTE where the quote is not of the
 * version of the error, has less than ICMP_QUOTE_MIN behind its headers (of TCP and UDP), or is a
 * later fragment, which has no ports.
 */
enum wire_err icmp_parse_quote(const struct icmp_view *icmp, const void *body, size_t len,
			       struct icmp_quote *ret_quote);

/* `rest`: for echo, id << 16 | sequence; for errors, MTU or 0. Writes ICMP_HDR_BYTES. */
static inline size_t icmp_build(void *p, uint8_t type, uint8_t code, uint32_t rest)
{
	struct icmp_hdr hdr = { .type = type, .code = code, .rest = be32(rest) };

	__builtin_memcpy(p, &hdr, sizeof(hdr));
	return ICMP_HDR_BYTES;
}

/*
 * Header and as much of the packet `orig` as an error may quote, which is at most `room` bytes in
 * all and keeps the packet within ICMP4_ERROR_PKT_MAX or ICMP6_ERROR_PKT_MAX. `room` is at least
 * ICMP_HDR_BYTES. Returns the bytes written. The checksum is left 0: icmp_csum_fill().
 */
size_t icmp_build_error(void *p, size_t room, uint8_t version, uint8_t type, uint8_t code,
			uint32_t rest, const void *orig, size_t orig_len);

/* Whole message at `p`, its checksum field 0. `pseudo`: CSUM_ZERO for ICMPv4. */
static inline void icmp_csum_fill(void *p, size_t len, struct csum pseudo)
{
	struct icmp_hdr *hdr = p;

	hdr->csum = csum_finish(csum_add(pseudo, csum_bytes(p, len)));
}

#endif
