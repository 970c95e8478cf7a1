// SPDX-License-Identifier: BSD-2-Clause
/*
 * Receiving: from a frame to the protocol it is for
 *
 * Frames are taken in batches, in three passes, so that a cache miss of one is waited for while
 * others are worked on: copy and check the headers and compute the flow's hash; guess the
 * connection from the table's slot and get it on its way; deliver, in order.
 *
 * Headers are copied out of the frame before anything is decided by them (pkt.h). Every refusal has
 * a reason in enum stack_drop.
 */
#include "base/assert.h"
#include "stack/icmp.h"
#include "stack/pkt.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/udp.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#include <string.h>

#define RX_BATCH 16
#define RX_AHEAD 4 /* frames whose headers are on their way while one is parsed */
#define CONN_LINES 2

/* Bytes from hdr_len up to @want, as far as the frame has them. What is there already is not read
 * again. */
static void pkt_copy_hdr(struct pkt *pkt, uint32_t want)
{
	uint32_t len = min_u32(pkt->frame.len, want);

	if (len <= pkt->hdr_len)
		return;
	memcpy(pkt->hdr + pkt->hdr_len, pkt->frame.data + pkt->hdr_len, len - pkt->hdr_len);
	pkt->hdr_len = (uint16_t)len;
}

/* The first bytes: a fixed number where the frame is long enough, for that is a few instructions.
 */
static void pkt_copy_first(struct pkt *pkt)
{
	if (unlikely(pkt->frame.room < PKT_HDR_FIRST)) {
		pkt->hdr_len = 0;
		pkt_copy_hdr(pkt, PKT_HDR_FIRST);
		return;
	}
	memcpy(pkt->hdr, pkt->frame.data, PKT_HDR_FIRST);
	pkt->hdr_len = (uint16_t)min_u32(pkt->frame.len, PKT_HDR_FIRST);
}

/* ---- first pass: headers ----------------------------------------------------------------------
 */

static bool eth_accept(struct stack *s, const struct pkt *pkt, struct eth_view *ret_eth)
{
	enum wire_err err = eth_parse(pkt->hdr, pkt->hdr_len, ret_eth);

	if (unlikely(err != WIRE_OK)) {
		stack_drop(s, err == WIRE_SHORT ? STACK_DROP_ETH_SHORT : STACK_DROP_ETH_TYPE);
		return false;
	}
	if (unlikely(!mac_addr_eq(&ret_eth->hdr->dst, &pkt->link->mac) && (pkt->link->flags & LINK_ANY_MAC) == 0)) {
		stack_drop(s, STACK_DROP_ETH_DST);
		return false;
	}
	/* A tag with VLAN 0 is a priority and no network of its own. */
	if (unlikely(ret_eth->vlan_cnt > 1 ||
		     (ret_eth->vlan_cnt == 1 && (ret_eth->vlan_tci[0] & 0xfff) != 0))) {
		stack_drop(s, STACK_DROP_ETH_TYPE);
		return false;
	}
	return true;
}

static enum wire_err ip_parse_type(const struct pkt *pkt, const struct eth_view *eth,
				   struct ip_view *ret_ip)
{
	const uint8_t *p = pkt->hdr + eth->hdr_len;
	size_t avail = (size_t)pkt->hdr_len - eth->hdr_len;
	size_t len = (size_t)pkt->frame.len - eth->hdr_len;

	if (eth->type == ETH_TYPE_IP4)
		return ip4_parse_part(p, avail, len, ret_ip);
	if (eth->type == ETH_TYPE_IP6)
		return ip6_parse_part(p, avail, len, ret_ip);
	return WIRE_BAD_TYPE;
}

static enum stack_drop ip_drop_of(enum wire_err err)
{
	switch (err) {
	case WIRE_BAD_TYPE:
		return STACK_DROP_ETH_TYPE;
	case WIRE_SHORT:
	case WIRE_BAD_LEN:
		return STACK_DROP_IP_SHORT;
	case WIRE_BAD_FRAG:
		return STACK_DROP_IP_FRAGMENT;
	default:
		return STACK_DROP_IP_HEADER;
	}
}

/* Addresses that no packet to one host may have (RFC 1122 section 3.2.1.3, RFC 4291 section 2.7) */
static bool ip_addrs_ok(const struct pkt *pkt)
{
	return !ip_addr_is_multicast(&pkt->src) && !ip_addr_is_broadcast(&pkt->src) &&
	       !ip_addr_is_multicast(&pkt->dst) && !ip_addr_is_broadcast(&pkt->dst) &&
	       !ip_addr_is_any(&pkt->src) && !ip_addr_is_any(&pkt->dst);
}

/* In IPv6, ::ffff:0:0/96 would be taken for IPv4 from here on; on the wire it is nobody's address.
 */
static bool ip_family_ok(const struct pkt *pkt)
{
	return pkt->ip.version == 4 || (!ip_addr_is_v4(&pkt->src) && !ip_addr_is_v4(&pkt->dst));
}

/* ip_is_frag(), from where it does not have to wait for what the parser has just stored */
static bool pkt_is_frag(const struct pkt *pkt)
{
	if (likely(pkt->ip.version == 4))
		return (load_be16(pkt->ip.hdr + offsetof(struct ip4_hdr, frag)) &
			(IP4_FRAG_MF | IP4_FRAG_OFF_MASK)) != 0;
	return ip_is_frag(&pkt->ip);
}

static uint64_t v4_half(const void *p)
{
	return ip_addr_v4_half((struct be32){ load_u32(p) });
}

/* In halves, as they are read: see flow_hash_words(). */
static void ip_addr_halves(struct ip_addr *addr, uint64_t first, uint64_t second)
{
	store_u64(addr->bytes, first);
	store_u64(addr->bytes + 8, second);
}

static void pkt_set_addrs(struct pkt *pkt)
{
	const uint8_t *ip = pkt->ip.hdr;

	if (likely(pkt->ip.version == 4)) {
		ip_addr_halves(&pkt->src, 0, v4_half(ip + 12));
		ip_addr_halves(&pkt->dst, 0, v4_half(ip + 16));
	} else {
		ip_addr_halves(&pkt->src, load_u64(ip + 8), load_u64(ip + 16));
		ip_addr_halves(&pkt->dst, load_u64(ip + 24), load_u64(ip + 32));
	}
}

static bool ip_accept(struct stack *s, struct pkt *pkt, const struct eth_view *eth)
{
	enum wire_err err = ip_parse_type(pkt, eth, &pkt->ip);

	if (unlikely(err == WIRE_TOO_DEEP)) {
		pkt_copy_hdr(pkt, PKT_HDR_MAX);
		err = ip_parse_type(pkt, eth, &pkt->ip);
	}
	if (unlikely(err != WIRE_OK)) {
		stack_drop(s, ip_drop_of(err));
		return false;
	}
	if (pkt->ip.version == 4 && (pkt->link->flags & LINK_NO_CSUM) == 0 &&
	    unlikely(!ip4_csum_ok(&pkt->ip))) {
		stack_drop(s, STACK_DROP_IP_CSUM);
		return false;
	}
	pkt_set_addrs(pkt);
	if (unlikely(!ip_addrs_ok(pkt) || !ip_family_ok(pkt))) {
		stack_drop(s, STACK_DROP_IP_HEADER);
		return false;
	}
	pkt->l4_off = (uint16_t)(eth->hdr_len + pkt->ip.hdr_len);
	return true;
}

/* flow_hash() of struct flow_key, as it comes out of the headers */
static uint32_t tcp_hash(const struct stack *s, const struct pkt *pkt, const uint8_t *tcp)
{
	uint64_t w4 = flow_key_word(pkt->link_id, load_be16(tcp + 2), load_be16(tcp));
	const uint8_t *ip = pkt->ip.hdr;

	if (likely(pkt->ip.version == 4))
		return flow_hash_words(&s->flows, 0, v4_half(ip + 16), 0, v4_half(ip + 12), w4);
	return flow_hash_words(&s->flows, load_u64(ip + 24), load_u64(ip + 32), load_u64(ip + 8),
			       load_u64(ip + 16), w4);
}

/* The TCP header complete in the copy; the flow's hash. */
static bool tcp_accept_hdr(struct stack *s, struct pkt *pkt)
{
	const uint8_t *tcp;

	if (unlikely(pkt_l4_avail(pkt) < TCP_HDR_BYTES))
		pkt_copy_hdr(pkt, PKT_HDR_MAX);
	if (unlikely(pkt_l4_avail(pkt) < TCP_HDR_BYTES)) {
		stack_drop(s, STACK_DROP_TCP_BAD);
		return false;
	}
	tcp = pkt_l4(pkt);
	if (unlikely(pkt_l4_avail(pkt) < (uint32_t)(tcp[12] >> 4) * 4)) {
		pkt_copy_hdr(pkt, PKT_HDR_MAX);
		if (pkt_l4_avail(pkt) < (uint32_t)(tcp[12] >> 4) * 4) {
			stack_drop(s, STACK_DROP_TCP_BAD);
			return false;
		}
	}
	pkt->hash = tcp_hash(s, pkt, tcp);
	flow_prefetch(&s->flows, pkt->hash);
	return true;
}

/*
 * The frame that nearly every segment comes in: for us, untagged, IPv4 without options, whole, TCP without options, over
 * a link without checksums. Asks what the general way asks, in fewer words; what isn't plain goes there, to be refused by
 * name. Of a plain packet nothing is written down before somebody asks: pkt_plain_fill().
 */
static inline bool rx_is_plain(const struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES, *tcp = ip + IP4_HDR_BYTES;
	uint32_t ip_len = load_be16(ip + offsetof(struct ip4_hdr, total_len));
	uint32_t frag_ttl_proto = load_be32(ip + offsetof(struct ip4_hdr, frag));

	return pkt->hdr_len >= PKT_PLAIN_BYTES &&
	       /* type, version and header length at once */
	       load_be32(pkt->hdr + offsetof(struct eth_hdr, type)) >> 8 == (ETH_TYPE_IP4 << 8 | 0x45) &&
	       (frag_ttl_proto & ((uint32_t)(IP4_FRAG_MF | IP4_FRAG_OFF_MASK) << 16 | 0xff)) == IP_PROTO_TCP &&
	       tcp[12] == TCP_HDR_BYTES / 4 << 4 &&
	       mac_addr_eq((const struct mac_addr *)pkt->hdr, &pkt->link->mac) &&
	       (pkt->link->flags & LINK_NO_CSUM) != 0 && ip_len >= IP4_HDR_BYTES + TCP_HDR_BYTES &&
	       ip_len <= pkt->frame.len - ETH_HDR_BYTES &&
	       /* 1.0.0.0 to 223.255.255.255 */
	       ip[12] - 1u < 223u && ip[16] - 1u < 223u;
}

/* Likewise the frame that nearly every datagram comes in */
static inline bool rx_is_plain_udp(const struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES, *udp = ip + IP4_HDR_BYTES;
	uint32_t ip_len = load_be16(ip + offsetof(struct ip4_hdr, total_len));
	uint32_t frag_ttl_proto = load_be32(ip + offsetof(struct ip4_hdr, frag));
	uint32_t udp_len = load_be16(udp + offsetof(struct udp_hdr, len));

	return pkt->hdr_len >= ETH_HDR_BYTES + IP4_HDR_BYTES + UDP_HDR_BYTES &&
	       load_be32(pkt->hdr + offsetof(struct eth_hdr, type)) >> 8 == (ETH_TYPE_IP4 << 8 | 0x45) &&
	       (frag_ttl_proto & ((uint32_t)(IP4_FRAG_MF | IP4_FRAG_OFF_MASK) << 16 | 0xff)) == IP_PROTO_UDP &&
	       mac_addr_eq((const struct mac_addr *)pkt->hdr, &pkt->link->mac) &&
	       (pkt->link->flags & LINK_NO_CSUM) != 0 && ip_len >= IP4_HDR_BYTES + UDP_HDR_BYTES &&
	       ip_len <= pkt->frame.len - ETH_HDR_BYTES && udp_len >= UDP_HDR_BYTES &&
	       udp_len <= ip_len - IP4_HDR_BYTES && ip[12] - 1u < 223u && ip[16] - 1u < 223u;
}

void pkt_plain_fill(struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES;

	pkt->ip = (struct ip_view){
		.hdr = ip,
		.version = 4,
		.proto = ip[offsetof(struct ip4_hdr, proto)],
		.ttl = ip[offsetof(struct ip4_hdr, ttl)],
		.tos = ip[1],
		.hdr_len = IP4_HDR_BYTES,
		.payload_len = (uint16_t)(load_be16(ip + offsetof(struct ip4_hdr, total_len)) - IP4_HDR_BYTES),
	};
	pkt->l4_off = ETH_HDR_BYTES + IP4_HDR_BYTES;
	pkt_set_addrs(pkt);
}

static uint32_t plain_hash(const struct stack *s, const struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES, *tcp = ip + IP4_HDR_BYTES;

	return flow_hash_words(&s->flows, 0, v4_half(ip + 16), 0, v4_half(ip + 12),
			       flow_key_word(pkt->link_id, load_be16(tcp + 2), load_be16(tcp)));
}

enum rx_verdict {
	RX_DROP, /* and counted */
	RX_GOOD,
	RX_DGRAM, /* rx_is_plain_udp() */
	RX_FRAGMENT,
	RX_LINK, /* of the two ends of the link, not of IP */
};

/* A whole packet, addresses checked */
static enum rx_verdict rx_accept_l4(struct stack *s, struct pkt *pkt)
{
	switch (pkt->ip.proto) {
	case IP_PROTO_TCP:
		return tcp_accept_hdr(s, pkt) ? RX_GOOD : RX_DROP;
	case IP_PROTO_UDP:
		return RX_GOOD;
	case IP_PROTO_ICMP:
	case IP_PROTO_ICMP6:
		if ((pkt->ip.proto == IP_PROTO_ICMP) == (pkt->ip.version == 4))
			return RX_GOOD;
		break;
	default:
		break;
	}
	stack_drop(s, STACK_DROP_IP_PROTO);
	return RX_DROP;
}

static enum rx_verdict rx_parse(struct stack *s, struct pkt *pkt)
{
	struct eth_view eth;

	pkt->kept = false;
	pkt->borrowed = false;
	pkt_copy_first(pkt);
	pkt->plain = rx_is_plain(pkt);
	if (likely(pkt->plain)) {
		pkt->hash = plain_hash(s, pkt);
		flow_prefetch(&s->flows, pkt->hash);
		return RX_GOOD;
	}
	if (rx_is_plain_udp(pkt))
		return RX_DGRAM;
	if (!eth_accept(s, pkt, &eth))
		return RX_DROP;
	if (eth.type == ETH_TYPE_LINK && pkt->link->ops->rx_link != NULL)
		return RX_LINK;
	if (!ip_accept(s, pkt, &eth))
		return RX_DROP;
	return pkt_is_frag(pkt) ? RX_FRAGMENT : rx_accept_l4(s, pkt);
}

/* ---- third pass: delivery ---------------------------------------------------------------------
 */

/* Over what was copied, and the rest where it is. */
static bool tcp_csum_ok(const struct pkt *pkt)
{
	uint32_t avail = pkt_l4_avail(pkt);

	return ip_csum_ok(&pkt->ip, pkt_l4(pkt), avail, pkt_payload(pkt, avail),
			  pkt_l4_len(pkt) - avail);
}

static void rx_deliver(struct stack *s, struct pkt *pkt)
{
	if (likely(pkt->plain)) {
		tcp_input_plain(s, pkt);
		return;
	}
	switch (pkt->ip.proto) {
	case IP_PROTO_TCP:
		if ((pkt->link->flags & LINK_NO_CSUM) == 0 && unlikely(!tcp_csum_ok(pkt))) {
			stack_drop(s, STACK_DROP_TCP_CSUM);
			return;
		}
		tcp_input(s, pkt);
		return;
	case IP_PROTO_UDP:
		udp_input(s, pkt);
		return;
	default:
		pkt_copy_hdr(pkt, PKT_HDR_MAX);
		icmp_input(s, pkt);
		return;
	}
}

static void rx_dgram(struct stack *s, struct pkt *pkt)
{
	if (likely(udp_input_plain(s, pkt)))
		return;
	pkt_plain_fill(pkt);
	udp_input(s, pkt);
}

/* If it was the last that lacked, the whole is delivered in its place. */
static VJ_COLD void rx_fragment(struct stack *s, struct pkt *pkt)
{
	struct eth_view eth = { .hdr_len = ETH_HDR_BYTES };

	if (!reass_input(s, pkt))
		return;
	eth.type = load_be16(pkt->frame.data + offsetof(struct eth_hdr, type));
	pkt_copy_first(pkt);
	if (ip_accept(s, pkt, &eth) && !pkt_is_frag(pkt) && rx_accept_l4(s, pkt) == RX_GOOD)
		rx_deliver(s, pkt);
	bufq_drop(&s->bufs, &s->reass.pieces);
}

static void rx_batch(struct stack *s, uint32_t link_id, struct link *link,
		     const struct link_frame *frames, unsigned int n)
{
	struct pkt *pkts = (struct pkt *)(void *)s->rx_room;
	uint8_t verdict[RX_BATCH]; /* enum rx_verdict */

	_Static_assert(RX_BATCH * sizeof(struct pkt) <= STACK_RX_ROOM, "a batch fits");
	VJ_ASSERT(!s->rx_room_used);
	s->rx_room_used = true;
	for (unsigned int i = 0; i < n && i < RX_AHEAD; i++)
		__builtin_prefetch(frames[i].data);
	for (unsigned int i = 0; i < n; i++) {
		if (i + RX_AHEAD < n)
			__builtin_prefetch(frames[i + RX_AHEAD].data);
		pkts[i].frame = frames[i];
		pkts[i].link = link;
		pkts[i].link_id = link_id;
		verdict[i] = (uint8_t)rx_parse(s, &pkts[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		if (verdict[i] == RX_GOOD && (pkts[i].plain || pkts[i].ip.proto == IP_PROTO_TCP))
			pool_prefetch(&s->conns, flow_guess(&s->flows, pkts[i].hash),
				      s->conns.obj_bytes, CONN_LINES);
	for (unsigned int i = 0; i < n; i++) {
		if (likely(verdict[i] == RX_GOOD))
			rx_deliver(s, &pkts[i]);
		else if (verdict[i] == RX_DGRAM)
			rx_dgram(s, &pkts[i]);
		else if (verdict[i] == RX_FRAGMENT)
			rx_fragment(s, &pkts[i]);
		else if (unlikely(verdict[i] == RX_LINK))
			link->ops->rx_link(link->drv, &frames[i]);
		if (!pkts[i].kept)
			link_rx_free(link, &frames[i]);
	}
	s->rx_room_used = false;
}

/* Apart from stack_rx(), which has no need of so much stack. */
static VJ_NOINLINE void rx_batches(struct stack *s, uint32_t link_id, struct link *link,
				   const struct link_frame *frames, unsigned int n)
{
	while (n > 0) {
		unsigned int batch = n < RX_BATCH ? n : RX_BATCH;

		rx_batch(s, link_id, link, frames, batch);
		frames += batch;
		n -= batch;
	}
}

/*
 * A frame by itself has nobody to wait for misses together with, so no pass prepares for the next. Return: false: the
 * general way, nothing was done.
 */
VJ_INLINE bool rx_lone(struct stack *s, uint32_t link_id, struct link *link,
		       const struct link_frame *frame)
{
	struct pkt pkt;

	if (unlikely(frame->room < PKT_HDR_FIRST))
		return false;
	pkt.frame = *frame;
	pkt.link = link;
	pkt.link_id = link_id;
	pkt.kept = false;
	pkt.borrowed = false;
	memcpy(pkt.hdr, frame->data, PKT_PLAIN_BYTES);
	pkt.hdr_len = (uint16_t)min_u32(frame->len, PKT_PLAIN_BYTES);
	if (!rx_is_plain(&pkt) || !tcp_input_last(s, &pkt))
		return false;
	if (!pkt.kept)
		link_rx_free(link, frame);
	return true;
}

void stack_rx(struct stack *s, struct link_id link_id, const struct link_frame *frames, unsigned n)
{
	struct link *link = link_find(&s->links, link_id.v);

	VJ_ASSERT(link != NULL);
	s->stats.rx_frames += n;
	if (n != 1 || unlikely(!rx_lone(s, link_id.v, link, frames)))
		rx_batches(s, link_id.v, link, frames, n);
}
