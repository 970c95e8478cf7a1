// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/router.h"

#include "base/assert.h"
#include "base/time.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What it says about a retransmission that was not needed after all is not in flight any more, and rightly ignored. */
#define IN_VAIN_MAX 5
#define FORGOTTEN_US (590 * US_PER_SEC) /* a little less than what RFC 1191 6.3 allows to be forgotten */

void router_change(struct router *r, uint32_t mtu, enum router_kind kind)
{
	r->mtu = mtu;
	r->kind = kind;
	memset(r->told, 0, sizeof(r->told));
}

/* ---- fragments ------------------------------------------------------------------------------- */

static void fragment(struct router *r, const uint8_t *frame, const struct ip_view *ip,
		     const struct router_exits *exits)
{
	uint32_t each = (r->mtu - IP4_HDR_BYTES) & ~7u;
	struct ip4_fields fields = {
		.id = (uint16_t)ip->frag_id,
		.ttl = (uint8_t)(ip->ttl - 1),
		.proto = ip->proto,
		.tos = ip->tos,
	};
	struct ip_addr src = ip_src(ip), dst = ip_dst(ip);
	uint8_t *out = malloc(ETH_HDR_BYTES + r->mtu);

	VJ_ASSERT(out != NULL);
	fields.src = ip_addr_v4(&src);
	fields.dst = ip_addr_v4(&dst);
	/* We send none with options; a number is what the receiver puts them together by. */
	VJ_ASSERT_OP(ip->hdr_len, ==, IP4_HDR_BYTES);
	memcpy(out, frame, ETH_HDR_BYTES);
	for (uint32_t off = 0; off < ip->payload_len; off += each) {
		uint32_t len = min_u32(each, ip->payload_len - off);

		fields.payload_len = (uint16_t)len;
		fields.frag_off = (uint16_t)(ip->frag_off + off);
		fields.more_frags = ip->more_frags || off + len < ip->payload_len;
		ip4_build(out + ETH_HDR_BYTES, &fields);
		ip4_csum_fill(out + ETH_HDR_BYTES);
		memcpy(out + ETH_HDR_BYTES + IP4_HDR_BYTES, (const uint8_t *)ip_payload(ip) + off, len);
		exits->on(exits->arg, out, ETH_HDR_BYTES + IP4_HDR_BYTES + len);
	}
	free(out);
	r->fragmented++;
}

/* ---- ICMP ------------------------------------------------------------------------------------ */

/* From the router's own address; what is quoted ends after 8 bytes of transport header. */
static void tell(const struct router *r, const uint8_t *frame, const struct ip_view *ip,
		 const struct router_exits *exits)
{
	bool v4 = ip->version == 4;
	uint32_t quote_len = (uint32_t)ip->hdr_len + 8, len = ICMP_HDR_BYTES + quote_len;
	uint32_t mtu = v4 && r->kind == ROUTER_OLD ? 0 : r->mtu;
	struct ip_addr from = ip_dst(ip), to = ip_src(ip);
	uint8_t out[200], *p = out + ETH_HDR_BYTES, *icmp;

	from.bytes[15] = 99;
	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + 12, frame + 12, 2);
	if (v4) {
		struct ip4_fields fields = {
			.src = ip_addr_v4(&from),
			.dst = ip_addr_v4(&to),
			.payload_len = (uint16_t)len,
			.proto = IP_PROTO_ICMP,
			.ttl = 64,
		};

		icmp = p + ip4_build(p, &fields);
		ip4_csum_fill(p);
	} else {
		struct ip6_fields fields = {
			.src = from,
			.dst = to,
			.payload_len = (uint16_t)len,
			.proto = IP_PROTO_ICMP6,
			.hop_limit = 64,
		};

		icmp = p + ip6_build(p, &fields);
	}
	icmp_build(icmp, v4 ? ICMP4_UNREACH : ICMP6_PKT_TOO_BIG, v4 ? ICMP4_UNREACH_FRAG_NEEDED : 0, mtu);
	memcpy(icmp + ICMP_HDR_BYTES, ip->hdr, quote_len);
	icmp_csum_fill(icmp, len,
		       v4 ? CSUM_ZERO : csum_pseudo_addr(&from, &to, IP_PROTO_ICMP6, len));
	exits->back(exits->arg, out, (uint32_t)(icmp - out) + len);
}

/* A connection that was told, and had time to hear it? */
static void check_told(struct router *r, uint64_t now_us, const struct ip_view *ip, unsigned int port)
{
	uint32_t n = load_be16((const uint8_t *)ip_payload(ip) + 2 * port) - 1000u;

	if (ip->proto != IP_PROTO_TCP || n >= ROUTER_FLOWS || r->kind != ROUTER_TELLS)
		return;
	if (r->told[n].mtu != r->mtu || now_us >= r->told[n].at_us + FORGOTTEN_US) {
		r->told[n].mtu = r->mtu;
		r->told[n].at_us = now_us;
		r->told[n].in_vain = 0;
	} else if (now_us > r->told[n].at_us + r->patience_us) {
		r->told[n].at_us = now_us;
		r->told[n].in_vain++;
	}
	if (r->told[n].in_vain > IN_VAIN_MAX) {
		fprintf(stderr, "MTU: flow %u sends %u bytes, and was told %u %u times\n", n + 1000,
			(uint32_t)ip->hdr_len + ip->payload_len, r->mtu, r->told[n].in_vain);
		abort();
	}
}

bool router_forward(struct router *r, uint64_t now_us, const uint8_t *frame, uint32_t len,
		    unsigned int port, const struct router_exits *exits)
{
	struct ip_view ip;

	if (ip_parse(frame + ETH_HDR_BYTES, len - ETH_HDR_BYTES, &ip) != WIRE_OK)
		return false;
	if (ip.version == 4 && !ip.dont_frag) {
		fragment(r, frame, &ip, exits);
		return true;
	}
	r->too_big++;
	if (r->kind == ROUTER_SILENT)
		return false;
	if (ip.frag_off == 0)
		check_told(r, now_us, &ip, port);
	tell(r, frame, &ip, exits);
	return false;
}
