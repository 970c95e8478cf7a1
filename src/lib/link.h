// SPDX-License-Identifier: BSD-2-Clause
/*
 * link.h - what the kinds of links share: those to a peer (link.c), and those at an interface (link_if.c)
 *
 * The stack's side of both (struct link_ops) moves frames of a channel; the kinds differ in who is at its other end.
 */
#ifndef LIB_LINK_H
#define LIB_LINK_H

#include "lib/iflink.h"
#include "lib/priv.h"

/* forget() and free() end the link's memory. */
struct link_kind {
	/* Of links with @has_news, each time before frames are taken. Return: how much the stack was told */
	unsigned (*before_rx)(struct vj_link *link);
	/* Before sleep. false: something is to be done in a moment, and nobody will say so */
	bool (*may_sleep)(struct vj_link *link);
	/* As iflink_leads_to() */
	enum iflink_way (*leads_to)(const struct vj_link *link, const struct ip_addr *dst, struct ip_addr *ret_source);
	/* Changes whenever leads_to() may answer otherwise; 0: it never does */
	uint64_t (*routes_seq)(const struct vj_link *link);
	/* vjd is back; @same_run: it has taken us for gone. Leaves link->unstated set where vjd is to be told once more */
	void (*restate)(struct vj_link *link, bool same_run);
	/* In a child of fork(): nothing is mapped */
	void (*forget)(struct vj_link *link);
	void (*free)(struct vj_link *link);
};

/* For struct link_ops; @drv is the link. */
bool link_tx_get(void *drv, struct link_frame *ret_frame);
void link_tx_put(void *drv, const struct link_frame *frame);
void link_tx_unget(void *drv, const struct link_frame *frame);
void link_rx_free(void *drv, const struct link_frame *frame);

/* Room for one more in vj->links. Return: 0; -ENOMEM */
int links_grow(struct vj *vj);

#endif
