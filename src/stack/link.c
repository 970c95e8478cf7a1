// SPDX-License-Identifier: BSD-2-Clause
#include "stack/icmp.h"
#include "stack/ip_pmtu.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/udp.h"
#include "wire/eth.h"

#include <errno.h>
#include <string.h>

#define LINK_MTU_MIN 1280
#define LINK_MTU_MAX 65535

int links_init(struct links *links, struct mem *mem)
{
	links->free_head = 0;
	links->direct_cnt = 0;
	return pool_init(&links->pool, mem, sizeof(struct link), 0, LINKS_MAX);
}

void links_fini(struct links *links)
{
	pool_fini(&links->pool);
}

int stack_link_add(struct stack *s, const struct link_config *cfg, struct link_id *ret_link)
{
	struct links *links = &s->links;
	uint32_t id = links->free_head;
	struct link *link;

	if (cfg->mtu < LINK_MTU_MIN || cfg->mtu > LINK_MTU_MAX ||
	    (cfg->rx_frames != 0 && cfg->rx_frames <= cfg->rx_hold_max))
		return -EINVAL;
	if (id == 0) {
		if (links->pool.used == LINKS_MAX)
			return -ENOSPC;
		id = pool_get(&links->pool);
		if (id == 0)
			return -ENOMEM;
	} else {
		links->free_head = ((struct link *)pool_at(&links->pool, id))->next_free;
	}
	link = pool_at(&links->pool, id);
	*link = (struct link){
		.ops = cfg->ops,
		.drv = cfg->drv,
		.mtu = cfg->mtu,
		.mtu_most = cfg->mtu,
		.flags = cfg->flags,
		.hold_max = cfg->rx_hold_max,
		.rx_frames = cfg->rx_frames,
	};
	memcpy(link->mac.bytes, cfg->mac, sizeof(link->mac.bytes));
	memcpy(link->peer_mac.bytes, cfg->peer_mac, sizeof(link->peer_mac.bytes));
	memcpy(link->head4, cfg->peer_mac, 6);
	memcpy(link->head4 + 6, cfg->mac, 6);
	store_be32(link->head4 + ETH_HDR_BYTES - 2, (uint32_t)ETH_TYPE_IP4 << 16 | 0x4500);
	links->direct_cnt += (cfg->flags & LINK_NO_LOSS) != 0;
	ret_link->v = id;
	return 0;
}

int stack_link_mtu_set(struct stack *s, struct link_id link_id, uint32_t mtu)
{
	struct link *link = link_find(&s->links, link_id.v);

	if (link == NULL || mtu < LINK_MTU_MIN || mtu > LINK_MTU_MAX)
		return -EINVAL;
	link->mtu_most = max_u32(link->mtu_most, mtu);
	link->mtu = mtu; /* tcp_xmit() cuts what is longer, and pmtu_get() says no more than this */
	return 0;
}

void stack_link_mac_set(struct stack *s, struct link_id link_id, const uint8_t mac[static 6])
{
	struct link *link = link_find(&s->links, link_id.v);

	if (link == NULL)
		return;
	memcpy(link->mac.bytes, mac, sizeof(link->mac.bytes));
	memcpy(link->head4 + 6, mac, 6);
}

void stack_link_del(struct stack *s, struct link_id link_id, int err)
{
	struct link *link = link_find(&s->links, link_id.v);

	if (link == NULL)
		return;
	link->going = true;
	tcp_link_gone(s, link_id.v, err);
	udp_link_gone(s, link_id.v);
	reass_link_gone(s, link_id.v);
	pmtu_link_gone(s, link_id.v);
	/* What is left in the output queue has lost its link: nothing it owes can be paid. */
	while (!ref_list_empty(&link->output))
		stack_output_done(s, link_id.v, link->output.head);
	VJ_ASSERT_OP(link->held, ==, 0u);
	s->links.direct_cnt -= (link->flags & LINK_NO_LOSS) != 0;
	link->ops = NULL;
	link->next_free = s->links.free_head;
	s->links.free_head = link_id.v;
}

/* ---- output that waits ------------------------------------------------------------------------
 */

static struct ref ref_link(uint32_t id)
{
	return ref_of(REF_LINK, id);
}

/* A link is in output_links if it has output that can go. */
static void link_settle(struct stack *s, uint32_t link_id, struct link *link)
{
	bool want = !link->blocked && !ref_list_empty(&link->output);

	if (want == ref_list_has(&link->with_output))
		return;
	if (want) {
		ref_list_add(&s->output_nodes, &s->output_links, ref_link(link_id));
		s->output_links_cnt++;
	} else {
		ref_list_del(&s->output_nodes, &s->output_links, ref_link(link_id));
		s->output_links_cnt--;
	}
}

void stack_output_later(struct stack *s, uint32_t link_id, struct ref ref)
{
	struct link *link = link_find(&s->links, link_id);

	if (link == NULL || link->going)
		return;
	if (ref_list_has(ref_node(&s->output_nodes, ref)))
		return;
	ref_list_add(&s->output_nodes, &link->output, ref);
	link->output_cnt++;
	s->output_cnt++;
	link_settle(s, link_id, link);
}

void stack_output_done(struct stack *s, uint32_t link_id, struct ref ref)
{
	struct link *link;

	if (!ref_list_has(ref_node(&s->output_nodes, ref)))
		return;
	link = link_at(&s->links, link_id);
	ref_list_del(&s->output_nodes, &link->output, ref);
	link->output_cnt--;
	s->output_cnt--;
	link_settle(s, link_id, link);
}

/* One turn for as many as wait now; who asks again has its next turn in the next call. */
static void link_output(struct stack *s, uint32_t link_id, struct link *link)
{
	for (uint32_t n = link->output_cnt; n > 0 && link->output_cnt > 0 && !link->blocked; n--) {
		struct ref ref = link->output.head;

		stack_output_done(s, link_id, ref);
		if (ref_kind(ref) == REF_TCP)
			tcp_output_resume(s, ref_id(ref));
		else if (ref_kind(ref) == REF_UDP)
			udp_output_resume(s, ref_id(ref));
	}
	link_settle(s, link_id, link);
}

void stack_output_run(struct stack *s)
{
	for (uint32_t n = s->output_links_cnt; n > 0 && s->output_links_cnt > 0; n--) {
		struct ref ref = s->output_links.head;

		/* To the end of the queue, for the turn after this one. */
		ref_list_del(&s->output_nodes, &s->output_links, ref);
		ref_list_add(&s->output_nodes, &s->output_links, ref);
		link_output(s, ref_id(ref), link_at(&s->links, ref_id(ref)));
	}
}

void stack_link_writable(struct stack *s, struct link_id link_id)
{
	struct link *link = link_find(&s->links, link_id.v);

	if (link == NULL || !link->blocked)
		return;
	link->blocked = false;
	link_output(s, link_id.v, link);
}

bool stack_link_blocked(const struct stack *s, struct link_id link_id)
{
	const struct link *link = link_find(&s->links, link_id.v);

	return link != NULL && link->blocked;
}
