// SPDX-License-Identifier: BSD-2-Clause
#include "stack/icmp.h"

#include "stack/ip_frag.h"
#include "stack/ip_out.h"
#include "stack/ip_pmtu.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/udp.h"
#include "wire/icmp.h"

#include <errno.h>

/* Port unreachable: as many a second, and as many at once. */
#define ICMP_RATE_PER_SEC 1000
#define ICMP_BURST 50

/* ---- echo -------------------------------------------------------------------------------------
 */

/* The answer to a request that came in fragments */
static void icmp_echo_large(struct stack *s, const struct pkt *pkt, const struct ip_path *path,
			    const struct icmp_view *icmp)
{
	struct ip_large large = {
		.data = pkt_payload(pkt, ICMP_HDR_BYTES),
		.len = pkt_l4_len(pkt) - ICMP_HDR_BYTES,
	};

	icmp_build(large.hdr, icmp->version == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY, 0,
		   icmp->rest);
	if (ip_send_large(s, pkt->link_id, path, pmtu_get(s, pkt->link_id, &path->dst).mtu,
			  &large) != 0)
		stack_drop(s, STACK_DROP_NO_FRAME);
}

static void icmp_echo_reply(struct stack *s, const struct pkt *pkt, const struct icmp_view *icmp)
{
	bool v4 = icmp->version == 4;
	uint32_t len = pkt_l4_len(pkt);
	struct ip_path path = {
		.src = pkt->dst,
		.dst = pkt->src,
		.proto = pkt->ip.proto,
		.ttl = IP_TTL_DEFAULT,
		.tos = (uint8_t)(pkt->ip.tos & ~IP_ECN_MASK),
	};
	struct ip_tx tx;
	struct csum sum;

	if (ip_tx_get(s, pkt->link_id, v4, &tx) != 0) {
		stack_drop(s, STACK_DROP_NO_FRAME);
		return;
	}
	if (len > tx.l4_room) {
		ip_tx_unget(s, &tx);
		icmp_echo_large(s, pkt, &path, icmp);
		return;
	}
	icmp_build(tx.l4, v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY, 0, icmp->rest);
	/* Read once, so that the sum is that of what goes out. */
	sum = csum_copy(tx.l4 + ICMP_HDR_BYTES, pkt_payload(pkt, ICMP_HDR_BYTES),
			len - ICMP_HDR_BYTES);
	if (!v4)
		sum = csum_add(sum, ip_tx_pseudo(&path, len));
	if (ip_tx_has_csum(&tx))
		icmp_csum_fill(tx.l4, ICMP_HDR_BYTES, sum);
	ip_tx_put(s, &tx, &path, len);
}

/* ---- errors about what we sent ----------------------------------------------------------------
 */

/* What an error means to a socket of the kernel's */
struct icmp_meaning {
	uint8_t err; /* positive errno; 0: not an error for a flow */
	bool hard;
};

static struct icmp_meaning icmp4_meaning(uint8_t type, uint8_t code)
{
	static const struct icmp_meaning unreach[] = {
		{ ENETUNREACH, false },	 { EHOSTUNREACH, false }, { ENOPROTOOPT, true },
		{ ECONNREFUSED, true },	 { EMSGSIZE, false },	  { EOPNOTSUPP, false },
		{ ENETUNREACH, true },	 { EHOSTDOWN, true },	  { ENONET, true },
		{ ENETUNREACH, true },	 { EHOSTUNREACH, true },  { ENETUNREACH, false },
		{ EHOSTUNREACH, false }, { EHOSTUNREACH, true },  { EHOSTUNREACH, true },
		{ EHOSTUNREACH, true },
	};

	switch (type) {
	case ICMP4_UNREACH:
		return code < ARRAY_SIZE(unreach) ? unreach[code] : (struct icmp_meaning){ 0, false };
	case ICMP4_TIME_EXCEEDED:
		return (struct icmp_meaning){ EHOSTUNREACH, false };
	case ICMP4_PARAM_PROBLEM:
		return (struct icmp_meaning){ EPROTO, true };
	default:
		return (struct icmp_meaning){ 0, false };
	}
}

static struct icmp_meaning icmp6_meaning(uint8_t type, uint8_t code)
{
	static const struct icmp_meaning unreach[] = {
		{ ENETUNREACH, false }, { EACCES, true }, { EHOSTUNREACH, false }, { EHOSTUNREACH, false },
		{ ECONNREFUSED, true }, { EACCES, true }, { EACCES, true },
	};

	switch (type) {
	case ICMP6_UNREACH:
		return code < ARRAY_SIZE(unreach) ? unreach[code] : (struct icmp_meaning){ 0, false };
	case ICMP6_PKT_TOO_BIG:
		return (struct icmp_meaning){ EMSGSIZE, false };
	case ICMP6_TIME_EXCEEDED:
		return (struct icmp_meaning){ EHOSTUNREACH, false };
	case ICMP6_PARAM_PROBLEM:
		return (struct icmp_meaning){ EPROTO, true };
	default:
		return (struct icmp_meaning){ 0, false };
	}
}

static void icmp_deliver(struct stack *s, uint8_t proto, const struct icmp_error *error)
{
	if (proto == IP_PROTO_TCP)
		tcp_icmp_error(s, error);
	else if (proto == IP_PROTO_UDP)
		udp_icmp_error(s, error);
	else
		stack_drop(s, STACK_DROP_ICMP_BAD);
}

static void icmp_error_input(struct stack *s, const struct pkt *pkt, const struct icmp_view *icmp)
{
	struct icmp_meaning meaning = icmp->version == 4 ? icmp4_meaning(icmp->type, icmp->code)
							 : icmp6_meaning(icmp->type, icmp->code);
	struct icmp_quote quote;
	struct icmp_error error;
	enum wire_err err;

	err = icmp_parse_quote(icmp, pkt_l4(pkt) + ICMP_HDR_BYTES,
			       pkt_l4_avail(pkt) - ICMP_HDR_BYTES, &quote);
	if (err != WIRE_OK) {
		stack_drop(s, STACK_DROP_ICMP_BAD);
		return;
	}
	error = (struct icmp_error){
		.link = pkt->link_id,
		.local = { .addr = ip_src(&quote.ip), .port = quote.src_port },
		.remote = { .addr = ip_dst(&quote.ip), .port = quote.dst_port },
		.tcp_seq = quote.tcp_seq,
		.err = meaning.err,
		.hard = meaning.hard,
		.mtu = icmp_mtu(icmp),
		.quoted_len = quote.pkt_len,
	};
	/* The error must have come to where the packet had come from. */
	if (error.err == 0 || !ip_addr_eq(&error.local.addr, &pkt->dst)) {
		stack_drop(s, STACK_DROP_ICMP_BAD);
		return;
	}
	icmp_deliver(s, quote.ip.proto, &error);
}

/* Of the host's own, about a packet of ours. */
static void icmp_own_error(struct stack *s, struct link_id link, const void *packet, size_t len, int err, uint32_t mtu)
{
	struct icmp_view icmp = { .version = *(const uint8_t *)packet >> 4 };
	struct icmp_quote quote;
	struct icmp_error error;

	if (icmp_parse_quote(&icmp, packet, len, &quote) != WIRE_OK)
		return; /* a later fragment: its first one tells */
	error = (struct icmp_error){
		.link = link.v,
		.local = { .addr = ip_src(&quote.ip), .port = quote.src_port },
		.remote = { .addr = ip_dst(&quote.ip), .port = quote.dst_port },
		.tcp_seq = quote.tcp_seq,
		.err = err,
		.own = true,
		.mtu = max_u32(mtu, pmtu_min(icmp.version == 4)),
		.quoted_len = quote.pkt_len,
	};
	icmp_deliver(s, quote.ip.proto, &error);
}

void stack_too_big(struct stack *s, struct link_id link, const void *packet, size_t len, uint32_t mtu)
{
	icmp_own_error(s, link, packet, len, EMSGSIZE, mtu);
}

void stack_unreachable(struct stack *s, struct link_id link, const void *packet, size_t len)
{
	icmp_own_error(s, link, packet, len, EHOSTUNREACH, 0);
}

void icmp_input(struct stack *s, struct pkt *pkt)
{
	uint32_t avail = pkt_l4_avail(pkt), len = pkt_l4_len(pkt);
	struct icmp_view icmp;
	enum wire_err err;

	err = icmp_parse_part(pkt_l4(pkt), avail, len, pkt->ip.version, &icmp);
	if (err == WIRE_OK && (pkt->link->flags & LINK_NO_CSUM) == 0 &&
	    !icmp_csum_ok(&pkt->ip, pkt_l4(pkt), avail, pkt_payload(pkt, avail), len - avail))
		err = WIRE_BAD_CSUM;
	if (err != WIRE_OK) {
		stack_drop(s, STACK_DROP_ICMP_BAD);
		return;
	}
	switch (icmp.kind) {
	case ICMP_KIND_ECHO_REQUEST:
		icmp_echo_reply(s, pkt, &icmp);
		return;
	case ICMP_KIND_ERROR:
		icmp_error_input(s, pkt, &icmp);
		return;
	case ICMP_KIND_ECHO_REPLY:
	case ICMP_KIND_OTHER:
	default:
		stack_drop(s, STACK_DROP_IP_PROTO);
		return;
	}
}

/* ---- errors that we send ----------------------------------------------------------------------
 */

static bool rate_limit_take(struct rate_limit *limit, uint64_t now_us)
{
	uint64_t more = (now_us - limit->last_us) * ICMP_RATE_PER_SEC / US_PER_SEC;

	if (more > 0) {
		limit->tokens = (uint32_t)min_u64(ICMP_BURST, limit->tokens + more);
		limit->last_us = now_us;
	}
	if (limit->tokens == 0)
		return false;
	limit->tokens--;
	return true;
}

void icmp_send_error(struct stack *s, const struct icmp_send *error)
{
	bool v4 = ip_addr_is_v4(&error->dst);
	struct ip_path path = {
		.src = error->src,
		.dst = error->dst,
		.proto = v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6,
		.ttl = IP_TTL_DEFAULT,
	};
	struct ip_tx tx;
	uint32_t len;

	if (!rate_limit_take(&s->icmp_limit, s->now_us))
		return;
	if (ip_tx_get(s, error->link, v4, &tx) != 0) {
		stack_drop(s, STACK_DROP_NO_FRAME);
		return;
	}
	len = (uint32_t)icmp_build_error(tx.l4, tx.l4_room, v4 ? 4 : 6, error->type, error->code, 0,
					 error->quote, error->quote_len);
	if (ip_tx_has_csum(&tx))
		icmp_csum_fill(tx.l4, len, v4 ? CSUM_ZERO : ip_tx_pseudo(&path, len));
	ip_tx_put(s, &tx, &path, len);
}

void icmp_port_unreachable(struct stack *s, const struct pkt *pkt)
{
	bool v4 = pkt->ip.version == 4;

	icmp_send_error(s, &(struct icmp_send){
				   .link = pkt->link_id,
				   .src = pkt->dst,
				   .dst = pkt->src,
				   .type = v4 ? ICMP4_UNREACH : ICMP6_UNREACH,
				   .code = v4 ? ICMP4_UNREACH_PORT : ICMP6_UNREACH_PORT,
				   .quote = pkt->frame.data + pkt->l4_off - pkt->ip.hdr_len,
				   .quote_len = (uint32_t)pkt->ip.hdr_len + pkt->ip.payload_len,
			   });
}
