// SPDX-License-Identifier: BSD-2-Clause
#include "stack/ip_frag.h"

#include "stack/stack_priv.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/udp.h"

#include <errno.h>
#include <string.h>

#define LARGE_HDR 8u /* of UDP and ICMP */

/* Of 65,535 bytes over a path of 552, and more */
#define FRAGS_MAX 128u

/* One packet on its way into its fragments */
struct frags {
	const struct ip_path *path;
	struct link *link;
	struct csum sum; /* of the data so far */
	uint32_t hdrs;	 /* Ethernet and IP, of each */
	uint32_t total;	 /* transport header and data */
	uint32_t each;	 /* of that, in all but the last; a multiple of 8 */
	uint32_t cnt;
	uint32_t id;
	struct link_frame *frame; /* FRAGS_MAX, in the stack's room */
};

/* ---- frames ---------------------------------------------------------------------------------- */

static void frags_unget(struct frags *fr, uint32_t cnt)
{
	while (cnt > 0)
		fr->link->ops->tx_unget(fr->link->drv, &fr->frame[--cnt]);
}

/* How many there are, by what the first frame can hold. Return: 0; -EMSGSIZE. */
static int frags_count(struct frags *fr, uint32_t mtu)
{
	uint32_t room = min_u32(fr->frame[0].room, mtu + ETH_HDR_BYTES);

	VJ_ASSERT_OP(room, >=, fr->hdrs + LARGE_HDR);
	fr->each = (room - fr->hdrs) & ~7u;
	fr->cnt = (fr->total + fr->each - 1) / fr->each;
	return fr->cnt <= FRAGS_MAX ? 0 : -EMSGSIZE;
}

/* All or none. Return: 0; -ENOBUFS; -EMSGSIZE. */
static int frags_get(struct frags *fr, uint32_t mtu)
{
	const struct link *link = fr->link;
	uint32_t got = 0;
	int err = -ENOBUFS;

	fr->cnt = 1;
	while (got < fr->cnt) {
		if (!link->ops->tx_get(link->drv, &fr->frame[got]))
			goto out;
		got++;
		if (got == 1 && frags_count(fr, mtu) != 0) {
			err = -EMSGSIZE;
			goto out;
		}
		if (fr->frame[got - 1].room < fr->hdrs + fr->each)
			goto out;
	}
	return 0;
out:
	frags_unget(fr, got);
	return err;
}

/* ---- contents -------------------------------------------------------------------------------- */

static void frag_hdrs(const struct frags *fr, uint8_t *p, uint32_t off, uint32_t len)
{
	const struct ip_path *path = fr->path;
	bool v4 = ip_addr_is_v4(&path->dst), more = off + len < fr->total;
	struct eth_hdr eth = {
		.dst = fr->link->peer_mac,
		.src = fr->link->mac,
		.type = be16(v4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6),
	};
	struct ip4_fields ip4 = {
		.payload_len = (uint16_t)len,
		.id = (uint16_t)fr->id,
		.frag_off = (uint16_t)off,
		.more_frags = more,
		.ttl = path->ttl,
		.proto = path->proto,
		.tos = path->tos,
	};
	struct ip6_fields ip6 = {
		.src = path->src,
		.dst = path->dst,
		.payload_len = (uint16_t)len,
		.proto = path->proto,
		.hop_limit = path->ttl,
		.tclass = path->tos,
		.has_frag_hdr = true,
		.more_frags = more,
		.frag_off = (uint16_t)off,
		.frag_id = fr->id,
	};

	memcpy(p, &eth, sizeof(eth));
	p += ETH_HDR_BYTES;
	if (!v4) {
		ip6_build(p, &ip6);
		return;
	}
	ip4.src = ip_addr_v4(&path->src);
	ip4.dst = ip_addr_v4(&path->dst);
	ip4_build(p, &ip4);
	if ((fr->link->flags & LINK_NO_CSUM) == 0)
		ip4_csum_fill(p);
}

/* Data into a frame that has its headers. Pieces but the last are even, so sums just add up. */
static void frag_copy(struct frags *fr, uint8_t *dst, const uint8_t *src, uint32_t len)
{
	if ((fr->link->flags & LINK_NO_CSUM) != 0)
		memcpy(dst, src, len);
	else
		fr->sum = csum_add(fr->sum, csum_copy(dst, src, len));
}

/* The checksum is in the first fragment, and of all of them. */
static void frags_csum(const struct frags *fr)
{
	uint8_t *hdr = fr->frame[0].data + fr->hdrs;
	struct csum pseudo = ip_tx_pseudo(fr->path, fr->total);

	if ((fr->link->flags & LINK_NO_CSUM) != 0)
		return;
	if (fr->path->proto == IP_PROTO_UDP)
		udp_csum_fill(hdr, csum_add(fr->sum, pseudo));
	else
		icmp_csum_fill(hdr, LARGE_HDR,
			       fr->path->proto == IP_PROTO_ICMP ? fr->sum : csum_add(fr->sum, pseudo));
}

static void frags_fill(struct frags *fr, const struct ip_large *large)
{
	const uint8_t *src = large->data;

	for (uint32_t i = 0; i < fr->cnt; i++) {
		uint32_t off = i * fr->each, len = min_u32(fr->total - off, fr->each);
		uint32_t skip = i == 0 ? LARGE_HDR : 0;
		uint8_t *p = fr->frame[i].data;

		frag_hdrs(fr, p, off, len);
		if (i == 0)
			memcpy(p + fr->hdrs, large->hdr, LARGE_HDR);
		frag_copy(fr, p + fr->hdrs + skip, src, len - skip);
		src += len - skip;
		fr->frame[i].len = fr->hdrs + len;
	}
	frags_csum(fr);
}

int ip_send_large(struct stack *s, uint32_t link_id, const struct ip_path *path, uint32_t mtu,
		  const struct ip_large *large)
{
	bool v4 = ip_addr_is_v4(&path->dst);
	uint32_t most = IP_PKT_MAX - (v4 ? IP4_HDR_BYTES : 0);
	struct frags fr;
	int err;

	_Static_assert(FRAGS_MAX * sizeof(*fr.frame) <= STACK_TX_ROOM, "they fit");
	fr.frame = (struct link_frame *)(void *)s->tx_room;
	fr.path = path;
	fr.link = link_find(&s->links, link_id);
	fr.sum = CSUM_ZERO;
	fr.hdrs = ETH_HDR_BYTES + (v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES + IP6_FRAG_BYTES);
	fr.total = LARGE_HDR + large->len;
	fr.each = 0;
	if (fr.link == NULL || fr.link->going)
		return -ENETDOWN;
	if (large->len > most - LARGE_HDR)
		return -EMSGSIZE;
	err = frags_get(&fr, mtu);
	if (err != 0)
		return err;
	fr.id = ip_frag_id(s, path);
	frags_fill(&fr, large);
	for (uint32_t i = 0; i < fr.cnt; i++)
		fr.link->ops->tx_put(fr.link->drv, &fr.frame[i]);
	s->stats.tx_frames += fr.cnt;
	s->stats.ip_fragmented++;
	return 0;
}
