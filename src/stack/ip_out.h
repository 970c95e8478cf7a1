// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sending: a frame from the link, a transport segment written into it in place, Ethernet and IP
 * headers put before it
 *
 *	if (!ip_tx_get(s, link_id, v4, &tx))            blocked, or no such link
 *		...
 *	write at most tx.l4_room bytes to tx.l4         checksum: ip_tx_has_csum(), ip_tx_pseudo()
 *	ip_tx_put(s, &tx, &path, len);                  or ip_tx_unget(s, &tx)
 *
 * IPv4 goes out with DF, and ID 0 as RFC 6864 allows then, but for paths that pass only less than we
 * send.
 */
#ifndef VJ_STACK_IP_OUT_H
#define VJ_STACK_IP_OUT_H

#include "base/addr.h"
#include "stack/link.h"
#include "stack/stack.h"
#include "stack/stack_priv.h"
#include "wire/checksum.h"
#include "wire/eth.h"

#include <errno.h>

#define IP_TTL_DEFAULT 64

/* What goes into the IP header. */
struct ip_path {
	struct ip_addr src;
	struct ip_addr dst; /* of the same family */
	uint8_t proto;
	uint8_t ttl;
	uint8_t tos; /* ECN bits included */
	bool frag_ok; /* IPv4: without DF */
};

struct ip_tx {
	struct link *link;
	struct link_frame frame;
	uint8_t *l4;
	uint32_t l4_room; /* by frame and MTU */
};

#define IP_TX_HEAD_MAX (ETH_HDR_BYTES + 40)

/* Ethernet and IP headers of a packet with @l4_len bytes to @p, at most IP_TX_HEAD_MAX. Return: how many they are. */
uint32_t ip_tx_head(struct stack *s, const struct link *link, const struct ip_path *path, uint32_t l4_len, uint8_t *p);

/* Write the headers and send. @l4_len: at most l4_room. */
void ip_tx_put(struct stack *s, const struct ip_tx *tx, const struct ip_path *path,
	       uint32_t l4_len);

/* Give the frame back unused. */
void ip_tx_unget(struct stack *s, const struct ip_tx *tx);

/* A number that no other packet of these addresses and this protocol bears for a while (RFC 6864, RFC 7739) */
uint32_t ip_frag_id(struct stack *s, const struct ip_path *path);

/* Must transport checksums be computed? If not, the field is 0. */
static inline bool ip_tx_has_csum(const struct ip_tx *tx)
{
	return (tx->link->flags & LINK_NO_CSUM) == 0;
}

static inline struct csum ip_tx_pseudo(const struct ip_path *path, uint32_t l4_len)
{
	return csum_pseudo_addr(&path->src, &path->dst, path->proto, l4_len);
}

/* Bytes of transport header and payload that one packet on the link can carry, its frames
 * permitting */
static inline uint32_t ip_l4_max(const struct link *link, bool v4)
{
	return link->mtu - (v4 ? 20 : 40);
}

/*
 * Take a frame. @v4: which header to leave room for.
 * Return: 0 and *@ret_tx; -EAGAIN: no frame, the link is blocked until stack_link_writable();
 * -ENETDOWN: no such link.
 */
static inline int VJ_MUST_CHECK ip_tx_get(struct stack *s, uint32_t link_id, bool v4,
					  struct ip_tx *ret_tx)
{
	struct link *link = link_find(&s->links, link_id);
	uint32_t hdrs = ETH_HDR_BYTES + (v4 ? 20 : 40);

	if (unlikely(link == NULL || link->going))
		return -ENETDOWN;
	if (unlikely(!link->ops->tx_get(link->drv, &ret_tx->frame))) {
		link->blocked = true;
		return -EAGAIN;
	}
	VJ_ASSERT_OP(ret_tx->frame.room, >, hdrs);
	ret_tx->link = link;
	ret_tx->l4 = ret_tx->frame.data + hdrs;
	ret_tx->l4_room = min_u32(ret_tx->frame.room - hdrs, ip_l4_max(link, v4));
	return 0;
}

#endif
