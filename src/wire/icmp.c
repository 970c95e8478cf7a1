// SPDX-License-Identifier: BSD-2-Clause
#include "wire/icmp.h"

#include "wire/ip4.h"
#include "wire/ip6.h"

#include <string.h>

static enum icmp_kind kind_v4(uint8_t type)
{
	switch (type) {
	case ICMP4_ECHO_REQUEST:
		return ICMP_KIND_ECHO_REQUEST;
	case ICMP4_ECHO_REPLY:
		return ICMP_KIND_ECHO_REPLY;
	case ICMP4_UNREACH:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAM_PROBLEM:
		return ICMP_KIND_ERROR;
	default:
		return ICMP_KIND_OTHER;
	}
}

/* RFC 4443 section 2.1: types under 128 are errors, those not known yet too. */
static enum icmp_kind kind_v6(uint8_t type)
{
	if (type < 128)
		return ICMP_KIND_ERROR;
	switch (type) {
	case ICMP6_ECHO_REQUEST:
		return ICMP_KIND_ECHO_REQUEST;
	case ICMP6_ECHO_REPLY:
		return ICMP_KIND_ECHO_REPLY;
	default:
		return ICMP_KIND_OTHER;
	}
}

enum wire_err icmp_parse_part(const void *p, size_t avail, size_t len, uint8_t version,
			      struct icmp_view *ret_view)
{
	const struct icmp_hdr *hdr = p;

	if (avail < ICMP_HDR_BYTES)
		return avail < len ? WIRE_TOO_DEEP : WIRE_SHORT;
	*ret_view = (struct icmp_view){
		.hdr = hdr,
		.kind = version == 4 ? kind_v4(hdr->type) : kind_v6(hdr->type),
		.version = version,
		.type = hdr->type,
		.code = hdr->code,
		.body_len = (uint16_t)(len - ICMP_HDR_BYTES),
		.rest = be32_get(hdr->rest),
	};
	return WIRE_OK;
}

bool icmp_csum_ok(const struct ip_view *ip, const void *hdr, size_t hdr_len, const void *rest,
		  size_t rest_len)
{
	struct csum sum;

	if (ip->version == 6)
		return ip_csum_ok(ip, hdr, hdr_len, rest, rest_len);
	sum = csum_bytes(hdr, hdr_len);
	if (rest_len > 0)
		sum = csum_add_at(sum, csum_bytes(rest, rest_len), hdr_len);
	return csum_is_ok(sum);
}

uint32_t icmp_mtu(const struct icmp_view *icmp)
{
	if (icmp->version == 4)
		return icmp->type == ICMP4_UNREACH && icmp->code == ICMP4_UNREACH_FRAG_NEEDED
			       ? icmp->rest & UINT16_MAX
			       : 0;
	return icmp->type == ICMP6_PKT_TOO_BIG ? icmp->rest : 0;
}

enum wire_err icmp_parse_quote(const struct icmp_view *icmp, const void *body, size_t len,
			       struct icmp_quote *ret_quote)
{
	struct icmp_quote quote = { .tcp_seq = 0 };
	const uint8_t *upper;

	if (ip_parse_quoted(body, len, &quote.ip) != WIRE_OK)
		return WIRE_BAD_QUOTE;
	if (quote.ip.version != icmp->version || quote.ip.frag_off != 0)
		return WIRE_BAD_QUOTE;
	quote.pkt_len = icmp->version == 4 ? load_be16((const uint8_t *)body + 2)
					   : IP6_HDR_BYTES + load_be16((const uint8_t *)body + 4);
	if (quote.ip.proto == IP_PROTO_TCP || quote.ip.proto == IP_PROTO_UDP) {
		if (quote.ip.payload_len < ICMP_QUOTE_MIN)
			return WIRE_BAD_QUOTE;
		upper = ip_payload(&quote.ip);
		quote.src_port = load_be16(upper);
		quote.dst_port = load_be16(upper + 2);
		if (quote.ip.proto == IP_PROTO_TCP)
			quote.tcp_seq = load_be32(upper + 4);
	}
	*ret_quote = quote;
	return WIRE_OK;
}

size_t icmp_build_error(void *p, size_t room, uint8_t version, uint8_t type, uint8_t code,
			uint32_t rest, const void *orig, size_t orig_len)
{
	size_t max = version == 4 ? ICMP4_ERROR_PKT_MAX - IP4_HDR_BYTES
				  : ICMP6_ERROR_PKT_MAX - IP6_HDR_BYTES;
	size_t len = icmp_build(p, type, code, rest);
	size_t quote_len = min_size(orig_len, min_size(room, max) - len);

	memcpy((uint8_t *)p + len, orig, quote_len);
	return len + quote_len;
}
