// SPDX-License-Identifier: BSD-2-Clause
/*
 * Links: where frames come from and go to. Each object of the stack that belongs to one names it by
 * its number, which is also part of every flow's key, so that a peer can never touch a flow of
 * another.
 */
#ifndef VJ_STACK_LINK_H
#define VJ_STACK_LINK_H

#include "stack/mem.h"
#include "stack/ref.h"
#include "stack/stack.h"

#define LINKS_MAX 65535
#define LINK_PROMISES 4

/* Places in the backlog of somebody who listens behind the link: tcp_call.c */
struct tcp_promise {
	struct ip_addr addr;
	uint16_t port; /* 0: none */
	uint16_t window; /* as its last SYN-ACK had it, not scaled */
	uint16_t mss;
	uint8_t left;
	uint16_t round; /* of the far end's, see TCP_ROUND_SHIFT */
	uint32_t until_ms; /* by the low bits of the clock */
};

struct link {
	const struct link_ops *ops; /* NULL: this number is free */
	void *drv;
	struct mac_addr mac;
	struct mac_addr peer_mac;
	uint32_t mtu;
	uint32_t mtu_most; /* it ever had */
	uint32_t flags; /* enum link_flags */
	uint32_t hold_max;
	uint32_t held; /* received frames kept by buf.c */
	uint32_t last_conn; /* the connection of the last plain segment, mostly that of the next; 0: none */
	uint8_t head4[16];  /* how an IPv4 frame to the peer begins: Ethernet, version, TOS 0 */
	bool blocked;  /* tx_get() said no; stack_link_writable() ends it */
	uint32_t next_free;
	bool going; /* inside stack_link_del(): nothing may be sent or kept */
	uint32_t rx_frames; /* 0: windows are not bounded by them */
	uint32_t output_cnt;
	struct ref_list output;		  /* objects that owe something: stack_output_later() */
	struct ref_list_node with_output; /* in stack.output_links */
	uint32_t withdrawn; /* how often the far end had withdrawn its calls when that was heeded last */
	uint32_t promise_next; /* whose place the next new one takes */
	struct tcp_promise promises[LINK_PROMISES];
};

struct links {
	struct pool
		pool; /* objects never go back to it, so that link_find() can look at a freed one */
	uint32_t free_head; /* numbers to use again, chained through link.next_free */
	uint32_t direct_cnt; /* those that cannot lose */
};

int links_init(struct links *links, struct mem *mem);
void links_fini(struct links *links);

/* Any number may be asked for; NULL: no such link. */
static inline struct link *link_find(const struct links *links, uint32_t id)
{
	struct link *link;

	if (unlikely(id == 0 || id >= links->pool.fresh))
		return NULL;
	link = pool_at_sized(&links->pool, id, sizeof(*link));
	return likely(link->ops != NULL) ? link : NULL;
}

/* The link must exist. */
static inline struct link *link_at(const struct links *links, uint32_t id)
{
	struct link *link = pool_at_sized(&links->pool, id, sizeof(*link));

	VJ_DASSERT(link->ops != NULL);
	return link;
}

static inline void link_unawaited(const struct link *link)
{
	if (link->ops->tx_unawaited != NULL)
		link->ops->tx_unawaited(link->drv);
}

static inline void link_rx_free(const struct link *link, const struct link_frame *frame)
{
	link->ops->rx_free(link->drv, frame);
}

#endif
