// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reassembly: RFC 791, RFC 815, RFC 8200 section 4.5, RFC 5722, RFC 3168 section 5.3
 *
 * A datagram is known by its link, addresses, identification and, in IPv4, protocol. Its fragments
 * wait in order of their offset, each a copy, since frames of a link must not be held for a
 * stranger's convenience; a channel has no strangers, and its frames stay as long as there are enough.
 * When nothing lacks they are put together in one piece of memory, behind the header of the first, and go
 * on as any packet does; the data of UDP, which may be much, go on in pieces.
 *
 *	fragments	|--0--|	     |----2----|    |-1-|
 *	holes		       ^^^^^^		^^^^	 ^^^ unless 1 said that it is the last
 *
 * Fragments are a favourite of those who want to confuse or exhaust a receiver, so:
 *
 *	overlap		Nobody honest sends one. The same fragment twice is ignored; any other
 *			overlap, two different ends, or data behind the end spoil the datagram, with
 *			all that still comes of it (RFC 5722; Linux does so for IPv4, too): what is
 *			there is dropped, and a spoilt block without data stays until its time is over
 *	tiny		The first must hold the transport header, so that nobody between here and
 *			the sender was shown less than we see (RFC 1858, RFC 3128, RFC 7112). At
 *			most REASS_FRAGS_MAX to a datagram
 *	flood		All together are charged at most REASS_BYTES_MAX, those of one source a
 *			quarter of it (by a keyed hash of the address); past it a new one displaces
 *			the oldest datagram, but those of a source that has its share are refused
 *	time		30 s in IPv4 (as Linux; RFC 1122 wants 60 to 120), 60 s in IPv6. Then the
 *			sender is told, if its first fragment had arrived
 */
#include "stack/ip_reass.h"

#include "base/assert.h"
#include "stack/icmp.h"
#include "stack/stack_priv.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#include <errno.h>
#include <string.h>

#define REASS_SOURCE_MAX (REASS_BYTES_MAX / 4)
#define REASS_DGRAMS_MAX 4096
#define REASS_FRAGS_MAX 256
#define REASS_COST 768 /* of a fragment besides its data: its blocks, and a datagram's */
#define REASS_V4_S 30
#define REASS_V6_S 60

#define WHOLE_ROOM (ETH_HDR_BYTES + IP_PKT_MAX + IP6_HDR_BYTES)

static struct reass_dgram *dgram_at(const struct stack *s, uint32_t id)
{
	return pool_at_sized(&s->reass.dgrams, id, sizeof(struct reass_dgram));
}

static struct reass_frag *frag_at(const struct stack *s, uint32_t idx)
{
	return pool_at_sized(&s->reass.frags, idx, sizeof(struct reass_frag));
}

static uint32_t frag_end(const struct reass_frag *frag)
{
	return frag->off + frag->data.bytes;
}

static struct ref ref_reass(uint32_t id)
{
	return ref_of(REF_REASS, id);
}

int reass_init(struct stack *s)
{
	struct reass *r = &s->reass;
	int ret = pool_init(&r->dgrams, &s->mem, sizeof(struct reass_dgram), 0, REASS_DGRAMS_MAX);

	if (ret == 0)
		ret = pool_init(&r->frags, &s->mem, sizeof(struct reass_frag), 0,
				REASS_BYTES_MAX / REASS_COST);
	ref_space_set(&r->age_nodes, REF_REASS, &r->dgrams, offsetof(struct reass_dgram, age));
	ref_space_set(&s->wheel.nodes, REF_REASS, &r->dgrams, offsetof(struct reass_dgram, wheel));
	return ret;
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static void dgram_drop_data(struct stack *s, struct reass_dgram *d)
{
	while (d->first != 0) {
		uint32_t idx = d->first;

		d->first = frag_at(s, idx)->next;
		bufq_drop(&s->bufs, &frag_at(s, idx)->data);
		pool_put(&s->reass.frags, idx);
	}
	s->reass.bytes -= d->charged;
	s->reass.src_bytes[d->source] -= d->charged;
	d->charged = 0;
}

static void dgram_free(struct stack *s, uint32_t id)
{
	struct reass_dgram *d = dgram_at(s, id);
	uint32_t *link = &s->reass.hash[d->bucket];

	if (s->reass.latest == id)
		s->reass.latest = 0;
	dgram_drop_data(s, d);
	while (*link != id)
		link = &dgram_at(s, *link)->chain;
	*link = d->chain;
	wheel_disarm(&s->wheel, ref_reass(id));
	ref_list_del(&s->reass.age_nodes, &s->reass.age, ref_reass(id));
	pool_put(&s->reass.dgrams, id);
}

void reass_fini(struct stack *s)
{
	while (!ref_list_empty(&s->reass.age))
		dgram_free(s, ref_id(s->reass.age.head));
	pool_fini(&s->reass.frags);
	pool_fini(&s->reass.dgrams);
	mem_put(&s->mem, s->reass.whole, WHOLE_ROOM);
}

void reass_link_gone(struct stack *s, uint32_t link_id)
{
	struct ref ref = s->reass.age.head;

	while (ref.v != 0) {
		struct reass_dgram *d = dgram_at(s, ref_id(ref));
		uint32_t id = ref_id(ref);

		ref = d->age.next;
		if (d->link == link_id)
			dgram_free(s, id);
	}
}

/* What makes a datagram, as hashed: without holes */
struct dgram_key {
	struct ip_addr src;
	struct ip_addr dst;
	uint32_t id;
	uint32_t link_proto;
};

static struct dgram_key dgram_key(const struct pkt *pkt)
{
	return (struct dgram_key){
		.src = pkt->src,
		.dst = pkt->dst,
		.id = pkt->ip.frag_id,
		.link_proto = pkt->link_id << 8 | (pkt->ip.version == 4 ? pkt->ip.proto : 0),
	};
}

static bool dgram_is(const struct reass_dgram *d, const struct pkt *pkt)
{
	return d->id == pkt->ip.frag_id && d->link == pkt->link_id &&
	       d->version == pkt->ip.version &&
	       (d->version == 6 || d->proto == pkt->ip.proto) && ip_addr_eq(&d->src, &pkt->src) &&
	       ip_addr_eq(&d->dst, &pkt->dst);
}

/* 0: no room */
static uint32_t dgram_new(struct stack *s, const struct pkt *pkt, uint32_t bucket, uint32_t source)
{
	uint32_t id = pool_get(&s->reass.dgrams);
	uint32_t secs = pkt->ip.version == 4 ? REASS_V4_S : REASS_V6_S;

	if (id == 0 && !ref_list_empty(&s->reass.age)) {
		stack_drop(s, STACK_DROP_FRAG_MEMORY);
		dgram_free(s, ref_id(s->reass.age.head));
		id = pool_get(&s->reass.dgrams);
	}
	if (id == 0)
		return 0;
	*dgram_at(s, id) = (struct reass_dgram){
		.chain = s->reass.hash[bucket],
		.bucket = bucket,
		.source = source,
		.link = pkt->link_id,
		.src = pkt->src,
		.dst = pkt->dst,
		.id = pkt->ip.frag_id,
		.version = pkt->ip.version,
		.proto = pkt->ip.proto,
	};
	s->reass.hash[bucket] = id;
	ref_list_add(&s->reass.age_nodes, &s->reass.age, ref_reass(id));
	wheel_arm(&s->wheel, ref_reass(id), s->now_us + secs * US_PER_SEC);
	return id;
}

/* The datagram that the fragment is of, made if it isn't there; 0: no room */
static uint32_t dgram_find(struct stack *s, const struct pkt *pkt)
{
	struct dgram_key key = dgram_key(pkt);
	uint32_t bucket = (uint32_t)(stack_siphash(s, &key, sizeof(key)) % REASS_HASH);
	uint32_t source =
		(uint32_t)(stack_siphash(s, &pkt->src, sizeof(pkt->src)) % REASS_SOURCES);

	for (uint32_t id = s->reass.hash[bucket]; id != 0; id = dgram_at(s, id)->chain)
		if (dgram_is(dgram_at(s, id), pkt))
			return id;
	return dgram_new(s, pkt, bucket, source);
}

/* Mostly the one that the last fragment was of: two keyed hashes for each cost more than all else about it. */
static uint32_t dgram_of(struct stack *s, const struct pkt *pkt)
{
	if (s->reass.latest == 0 || !dgram_is(dgram_at(s, s->reass.latest), pkt))
		s->reass.latest = dgram_find(s, pkt);
	return s->reass.latest;
}

/* ---- fragments ------------------------------------------------------------------------------- */

static uint32_t transport_min(uint8_t proto)
{
	switch (proto) {
	case IP_PROTO_TCP:
		return TCP_HDR_BYTES;
	case IP_PROTO_UDP:
		return UDP_HDR_BYTES;
	default:
		return ICMP_HDR_BYTES;
	}
}

static void spoil(struct stack *s, struct reass_dgram *d, enum stack_drop why)
{
	stack_drop(s, why);
	dgram_drop_data(s, d);
	d->spoilt = true;
}

/*
 * Room for @bytes more of @keep's. A source that has its share waits for its own to be over; else
 * the oldest goes.
 */
static bool charge(struct stack *s, uint32_t keep, uint32_t bytes)
{
	struct reass *r = &s->reass;
	struct reass_dgram *d = dgram_at(s, keep);

	if (r->src_bytes[d->source] + bytes > REASS_SOURCE_MAX)
		return false;
	while (r->bytes + bytes > REASS_BYTES_MAX) {
		struct ref oldest = r->age.head;

		if (ref_id(oldest) == keep)
			oldest = d->age.next;
		if (oldest.v == 0)
			return false;
		stack_drop(s, STACK_DROP_FRAG_MEMORY);
		dgram_free(s, ref_id(oldest));
	}
	r->bytes += bytes;
	r->src_bytes[d->source] += bytes;
	d->charged += bytes;
	return true;
}

/*
 * Where the fragment belongs. Return: false: it is one that was there already, or does not fit what
 * was.
 */
static bool find_place(struct stack *s, struct reass_dgram *d, uint32_t off, uint32_t end,
		       bool last, uint32_t **ret_link)
{
	uint32_t *link = &d->first;

	while (*link != 0 && frag_end(frag_at(s, *link)) <= off)
		link = &frag_at(s, *link)->next;
	*ret_link = link;
	if (*link != 0 && frag_at(s, *link)->off < end) {
		const struct reass_frag *there = frag_at(s, *link);

		if (there->off == off && frag_end(there) == end && last == (d->end == end))
			stack_drop(s, STACK_DROP_FRAG_DUP);
		else
			spoil(s, d, STACK_DROP_FRAG_OVERLAP);
		return false;
	}
	if (d->end != 0 && (end > d->end || (last && end != d->end))) {
		spoil(s, d, STACK_DROP_FRAG_OVERLAP);
		return false;
	}
	if (last) {
		const struct reass_frag *frag;

		for (uint32_t idx = d->first; idx != 0; idx = frag->next) {
			frag = frag_at(s, idx);
			if (frag_end(frag) > end) {
				spoil(s, d, STACK_DROP_FRAG_OVERLAP);
				return false;
			}
		}
		d->end = end;
	}
	return true;
}

/* The header of the first, as it will stand before the whole */
static void take_hdr(struct reass_dgram *d, const struct pkt *pkt)
{
	d->hdr_len = (uint8_t)(pkt->ip.version == 4 ? pkt->ip.hdr_len : IP6_HDR_BYTES);
	if (pkt->ip.version == 6)
		d->proto = pkt->ip.hdr[pkt->ip.frag_hdr_off]; /* what follows that header */
	memcpy(d->hdr, pkt->ip.hdr, d->hdr_len);
}

/* The payload of the fragment: in IPv6 from behind the fragment header, whatever was parsed there */
static void payload_of(const struct pkt *pkt, uint32_t *ret_off, uint32_t *ret_len)
{
	uint32_t ip_off = pkt->l4_off - (uint32_t)pkt->ip.hdr_len;
	uint32_t hdr_len = pkt->ip.hdr_len;

	if (pkt->ip.version == 6)
		hdr_len = (uint32_t)pkt->ip.frag_hdr_off + IP6_FRAG_BYTES;
	*ret_off = ip_off + hdr_len;
	*ret_len = (uint32_t)pkt->ip.payload_len + pkt->ip.hdr_len - hdr_len;
}

/* Without one of its fragments a datagram never gets whole: nothing of it is kept. */
static bool frag_no_room(struct stack *s, uint32_t id)
{
	stack_drop(s, STACK_DROP_FRAG_MEMORY);
	dgram_free(s, id);
	return false;
}

/* Return: 0; -ENOMEM. */
static int frag_keep(struct stack *s, struct reass_frag *frag, struct pkt *pkt, uint32_t data, uint32_t len)
{
	if ((pkt->link->flags & LINK_NO_LOSS) != 0)
		return bufq_append_pkt_alone(&s->bufs, &frag->data, pkt, data, len);
	return bufq_append_alone(&s->bufs, &frag->data, pkt->frame.data + data, len);
}

/* Return: false: it was not, and counted; the datagram may be gone, too. */
static bool frag_add(struct stack *s, uint32_t id, struct pkt *pkt)
{
	struct reass_dgram *d = dgram_at(s, id);
	uint32_t data, len, off = pkt->ip.frag_off, idx;
	struct reass_frag *frag;
	uint32_t *link;

	payload_of(pkt, &data, &len);
	if (off == 0 && pkt->ip.payload_len < transport_min(pkt->ip.proto)) {
		spoil(s, d, STACK_DROP_FRAG_TINY);
		return false;
	}
	if (d->frag_cnt == REASS_FRAGS_MAX) {
		spoil(s, d, STACK_DROP_FRAG_TINY);
		return false;
	}
	if (!find_place(s, d, off, off + len, !pkt->ip.more_frags, &link))
		return false;
	/* Displaces others, and so may free what link points into, but never of this datagram. */
	idx = charge(s, id, len + REASS_COST) ? pool_get(&s->reass.frags) : 0;
	if (idx == 0)
		return frag_no_room(s, id);
	frag = frag_at(s, idx);
	*frag = (struct reass_frag){ .next = *link, .off = off };
	if (frag_keep(s, frag, pkt, data, len) != 0) {
		pool_put(&s->reass.frags, idx);
		return frag_no_room(s, id);
	}
	*link = idx;
	d->frag_cnt++;
	d->bytes += len;
	d->ecn |= (uint8_t)(1u << ip_ecn(&pkt->ip));
	if (off == 0)
		take_hdr(d, pkt);
	return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The two ECN bits of the whole; false: it must be dropped (RFC 3168 5.3) */
static bool whole_ecn(const struct reass_dgram *d, uint8_t *tos)
{
	if ((d->ecn & 1u << IP_ECN_CE) == 0)
		return true;
	if ((d->ecn & 1u << IP_ECN_NOT_ECT) != 0)
		return false;
	*tos |= IP_ECN_CE;
	return true;
}

/* Header of the first, with the length of all and no sign of fragments. Return: its length; 0: no */
static uint32_t whole_hdr(const struct reass_dgram *d, uint8_t *p)
{
	uint32_t len = d->end;
	uint8_t tos;

	if (d->version == 4) {
		struct ip4_hdr *hdr = (struct ip4_hdr *)p;

		if (d->hdr_len + len > IP_PKT_MAX)
			return 0;
		memcpy(p, d->hdr, d->hdr_len);
		if (!whole_ecn(d, &hdr->tos))
			return 0;
		hdr->total_len = be16((uint16_t)(d->hdr_len + len));
		hdr->frag = be16(0);
		hdr->csum = be16(0);
		hdr->csum = csum_finish(csum_bytes(p, d->hdr_len));
		return d->hdr_len;
	}
	tos = (uint8_t)(load_be32(d->hdr) >> 20);
	if (len > IP_PKT_MAX || !whole_ecn(d, &tos))
		return 0;
	memcpy(p, d->hdr, IP6_HDR_BYTES);
	store_be32(p, (load_be32(d->hdr) & 0xf00fffff) | (uint32_t)tos << 20);
	store_be16(p + offsetof(struct ip6_hdr, payload_len), (uint16_t)len);
	/* Extension headers before the fragment header were for those on the way, and are gone. */
	p[offsetof(struct ip6_hdr, next)] = d->proto;
	return IP6_HDR_BYTES;
}

/* @pkt becomes the whole. Return: false: it must not. */
static bool whole_make(struct stack *s, struct pkt *pkt, const struct reass_dgram *d)
{
	uint8_t *p = s->reass.whole;
	uint32_t hdr_len = whole_hdr(d, p + ETH_HDR_BYTES);
	uint32_t flat = d->proto == IP_PROTO_UDP ? min_u32(d->end, REASS_FLAT) : d->end;

	if (hdr_len == 0)
		return false;
	memcpy(p, pkt->hdr, ETH_HDR_BYTES);
	store_be16(p + offsetof(struct eth_hdr, type), d->version == 4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
	s->reass.piece_cnt = 0;
	for (uint32_t idx = d->first; idx != 0; idx = frag_at(s, idx)->next) {
		struct reass_frag *frag = frag_at(s, idx);

		s->reass.piece_cnt++;
		if (frag->off < flat)
			bufq_read_at(&s->bufs, &frag->data, 0,
				     p + ETH_HDR_BYTES + hdr_len + frag->off,
				     min_u32(frag->data.bytes, flat - frag->off), NULL);
		if (d->proto == IP_PROTO_UDP)
			bufq_splice(&s->bufs, &s->reass.pieces, &frag->data);
	}
	pkt->frame = (struct link_frame){
		.data = p,
		.len = ETH_HDR_BYTES + hdr_len + d->end,
		.room = WHOLE_ROOM,
	};
	pkt->borrowed = true;
	return true;
}

bool reass_input(struct stack *s, struct pkt *pkt)
{
	uint32_t id;
	bool whole;

	if (s->reass.whole == NULL)
		s->reass.whole = mem_get(&s->mem, WHOLE_ROOM);
	id = s->reass.whole != NULL ? dgram_of(s, pkt) : 0;
	if (id == 0) {
		stack_drop(s, STACK_DROP_FRAG_MEMORY);
		return false;
	}
	if (dgram_at(s, id)->spoilt) {
		stack_drop(s, STACK_DROP_FRAG_OVERLAP);
		return false;
	}
	/* In order and without overlap: as many bytes as there must be are all of them. */
	if (!frag_add(s, id, pkt) || dgram_at(s, id)->end == 0 ||
	    dgram_at(s, id)->bytes != dgram_at(s, id)->end)
		return false;
	whole = whole_make(s, pkt, dgram_at(s, id));
	dgram_free(s, id);
	if (whole)
		s->stats.ip_reassembled++;
	else
		stack_drop(s, STACK_DROP_IP_FRAGMENT);
	return whole;
}

/* ---- time ------------------------------------------------------------------------------------ */

/*
 * "Time exceeded" quotes the first fragment: its header as it came, in IPv6 with a fragment header,
 * and what is there of its data.
 */
static void tell_sender(struct stack *s, const struct reass_dgram *d)
{
	const struct reass_frag *frag = frag_at(s, d->first);
	uint32_t len = min_u32(frag->data.bytes, ICMP6_ERROR_PKT_MAX);
	uint8_t *p = s->reass.whole;
	uint32_t hdr_len = d->hdr_len;

	memcpy(p, d->hdr, d->hdr_len);
	if (d->version == 6) {
		struct ip6_frag_hdr frag_hdr = {
			.next = d->proto,
			.off_more = be16(1),
			.id = be32(d->id),
		};

		p[offsetof(struct ip6_hdr, next)] = IP6_EXT_FRAGMENT;
		memcpy(p + IP6_HDR_BYTES, &frag_hdr, IP6_FRAG_BYTES);
		hdr_len += IP6_FRAG_BYTES;
	}
	bufq_read_at(&s->bufs, &frag->data, 0, p + hdr_len, len, NULL);
	icmp_send_error(s, &(struct icmp_send){
				   .link = d->link,
				   .src = d->dst,
				   .dst = d->src,
				   .type = d->version == 4 ? ICMP4_TIME_EXCEEDED
							   : ICMP6_TIME_EXCEEDED,
				   .code = ICMP_TIME_EXCEEDED_REASSEMBLY,
				   .quote = p,
				   .quote_len = hdr_len + len,
			   });
}

void reass_timer(struct stack *s, uint32_t id)
{
	const struct reass_dgram *d = dgram_at(s, id);

	if (!d->spoilt) {
		stack_drop(s, STACK_DROP_FRAG_TIMEOUT);
		if (d->hdr_len != 0)
			tell_sender(s, d);
	}
	dgram_free(s, id);
}
