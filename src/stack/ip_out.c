// SPDX-License-Identifier: BSD-2-Clause
#include "stack/ip_out.h"

#include "base/assert.h"
#include "stack/stack_priv.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <errno.h>

static uint32_t ip_hdr_bytes(bool v4)
{
	return v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES;
}

/*
 * RFC 7739 section 5.3: counters, of which a keyed hash of the destination chooses one, from a place
 * that another keyed hash says. So nobody can tell from the numbers that he gets those of others, and
 * who sends to few does not use them up.
 */
uint32_t ip_frag_id(struct stack *s, const struct ip_path *path)
{
	struct {
		struct ip_addr src, dst;
		uint64_t proto;
	} key = { .src = path->src, .dst = path->dst, .proto = path->proto };
	uint64_t hash = stack_siphash(s, &key, sizeof(key));

	return (uint32_t)(hash >> 32) + s->frag_ids[hash % ARRAY_SIZE(s->frag_ids)]++;
}

uint32_t ip_tx_head(struct stack *s, const struct link *link, const struct ip_path *path, uint32_t l4_len, uint8_t *p)
{
	bool v4 = ip_addr_is_v4(&path->dst);
	uint8_t *ip = p + ETH_HDR_BYTES;

	__builtin_memcpy(p, link->head4, sizeof(link->head4));
	if (v4) {
		struct ip4_fields fields = {
			.src = ip_addr_v4(&path->src),
			.dst = ip_addr_v4(&path->dst),
			.payload_len = (uint16_t)l4_len,
			.id = path->frag_ok ? (uint16_t)ip_frag_id(s, path) : 0,
			.dont_frag = !path->frag_ok,
			.ttl = path->ttl,
			.proto = path->proto,
			.tos = path->tos,
		};

		ip4_build(ip, &fields);
		if ((link->flags & LINK_NO_CSUM) == 0)
			ip4_csum_fill(ip);
	} else {
		struct ip6_fields fields = {
			.src = path->src,
			.dst = path->dst,
			.payload_len = (uint16_t)l4_len,
			.proto = path->proto,
			.hop_limit = path->ttl,
			.tclass = path->tos,
		};

		store_be16(p + offsetof(struct eth_hdr, type), ETH_TYPE_IP6);
		ip6_build(ip, &fields);
	}
	return ETH_HDR_BYTES + ip_hdr_bytes(v4);
}

void ip_tx_put(struct stack *s, const struct ip_tx *tx, const struct ip_path *path, uint32_t l4_len)
{
	struct link_frame frame = tx->frame;
	uint32_t hdrs;

	VJ_ASSERT_OP(l4_len, <=, tx->l4_room);
	hdrs = ip_tx_head(s, tx->link, path, l4_len, frame.data);
	VJ_DASSERT(tx->l4 == frame.data + hdrs);
	frame.len = hdrs + l4_len;
	s->stats.tx_frames++;
	tx->link->ops->tx_put(tx->link->drv, &frame);
}

void ip_tx_unget(struct stack *s, const struct ip_tx *tx)
{
	(void)s;
	tx->link->ops->tx_unget(tx->link->drv, &tx->frame);
}
