// SPDX-License-Identifier: BSD-2-Clause
/*
 * owner.h - which application does a flow belong to?
 *
 * The order: an application's lease of the exact address, of "any", its block of ephemeral ports; and what began as
 * a flow of an application stays its own (`flows`), though it has closed the listener meanwhile or left the group. A flow
 * begins with a SYN in either direction, or with the first datagram to a group; a SYN to nobody ends it. Likewise a connection that the kernel
 * had before the port was leased is the kernel's until it ends, and so is one that has become the kernel's (daemon/repair.h).
 */
#ifndef VJ_POLICY_OWNER_H
#define VJ_POLICY_OWNER_H

#include "policy/classify.h"
#include "policy/map.h"

VJ_INLINE uint32_t policy_hash(const struct policy_flow *flow, uint32_t seed)
{
	const uint8_t *bytes = (const uint8_t *)flow;
	uint32_t h = seed;

	for (unsigned i = 0; i < sizeof(*flow); i += 4) {
		h = (h ^ load_u32(bytes + i)) * 0x9e3779b1u;
		h ^= h >> 15;
	}
	return h;
}

/* @ret_app: the application that has it as a whole; 0: ports tell. Untouched if it is not this host's */
VJ_INLINE bool policy_is_ours(const struct policy_maps *m, const struct ip_addr *addr, uint32_t vlan, uint32_t *ret_app)
{
	struct policy_addr key = { .addr = *addr, .vlan = vlan };
	const uint32_t *app = policy_map_find(m->addrs, &key);

	if (!app)
		return false;
	*ret_app = *app;
	return true;
}

VJ_INLINE bool policy_alive(const struct policy_maps *m, uint32_t app)
{
	return policy_map_find(m->devs, &app) != NULL;
}

/* The owners of a local port at this very address, or NULL. */
VJ_INLINE const struct policy_owner *policy_owner_at(const struct policy_maps *m, const struct policy_flow *flow)
{
	struct policy_port key = { .addr = flow->local, .port = flow->local_port, .proto = flow->proto };
	const struct policy_owner *owner = policy_map_find(m->ports, &key);

	return owner && owner->cnt ? owner : NULL;
}

/* The owners of a local port, or NULL. @exact: policy_owner_at() */
VJ_INLINE const struct policy_owner *policy_owner_of(const struct policy_maps *m, const struct policy_owner *exact,
						     const struct policy_flow *flow)
{
	struct policy_port key = { .port = flow->local_port, .proto = flow->proto };
	const struct policy_owner *owner;

	if (exact)
		return exact;
	key.addr = ip_addr_is_v4(&flow->local) ? ip_addr_any_v4() : ip_addr_any_v6();
	owner = policy_map_find(m->ports, &key);
	return owner && owner->cnt ? owner : NULL;
}

/* 0: nobody's */
VJ_INLINE uint32_t policy_block_of(const struct policy_maps *m, const struct policy_flow *flow)
{
	uint32_t idx = policy_block_idx(flow->proto == IP_PROTO_UDP, be16_get(flow->local_port));
	const uint32_t *app = policy_map_find(m->blocks, &idx);

	return app ? *app : 0;
}

/* Whom does a flow belong to, by what was written down when it began? 0: nobody who lives */
VJ_INLINE uint32_t policy_flow_of(const struct policy_maps *m, const struct policy_flow *flow)
{
	const uint32_t *app = policy_map_find(m->flows, flow);
	uint32_t id = app ? *app : 0;

	return id && policy_alive(m, id) ? id : 0;
}

VJ_INLINE uint32_t policy_pick(const struct policy_owner *owner, const struct policy_flow *flow, uint32_t seed)
{
	uint32_t cnt = owner->cnt;
	uint32_t i = cnt <= 1 ? 0 : (uint32_t)((uint64_t)policy_hash(flow, seed) * cnt >> 32);

	return i < POLICY_OWNER_APPS_MAX ? owner->apps[i] : 0;
}

/*
 * A TCP flow that began with an application, and goes on. Asked first, and alone: what most packets are is found by one
 * look-up. 0: not known
 */
VJ_INLINE uint32_t policy_goes_on(const struct policy_maps *m, const struct policy_flow *flow, bool begins)
{
	return flow->proto == IP_PROTO_TCP && !begins ? policy_flow_of(m, flow) : 0;
}

/* Was this an application's, which has made it the kernel's? */
VJ_INLINE bool policy_has_left(const struct policy_maps *m, const struct policy_flow *flow, bool begins)
{
	const uint32_t *app = flow->proto == IP_PROTO_TCP && !begins ? policy_map_find(m->flows, flow) : NULL;

	return app && !*app;
}

/*
 * Does the kernel have what looks like an application's? Asks its own table, of what `flows` doesn't know: that forgets what has long been idle,
 * and is another one when maps of another make were left.
 */
VJ_INLINE bool policy_is_kernels(const struct policy_maps *m, const struct policy_flow *flow, bool begins)
{
	const uint32_t *app;

	if (flow->proto != IP_PROTO_TCP || begins)
		return false;
	app = policy_map_find(m->flows, flow);
	return app ? !*app : policy_kernel_has(m, flow);
}

VJ_INLINE enum policy_reason policy_owned(const struct policy_maps *m, const struct policy_owner *owner,
					  const struct policy_flow *flow, bool begins, uint32_t seed, uint32_t *ret_app)
{
	bool group = owner->flags & POLICY_OWNER_GROUP, tcp = flow->proto == IP_PROTO_TCP;
	uint32_t app;

	if (tcp && !begins && policy_kernel_has(m, flow))
		return POLICY_PASS_FLOW;
	app = group && !tcp ? policy_flow_of(m, flow) : 0;
	if (app) {
		*ret_app = app;
		return POLICY_TO_FLOW;
	}
	app = policy_pick(owner, flow, seed);
	if (begins || (group && !tcp))
		policy_map_set(m->flows, flow, &app);
	*ret_app = app;
	return POLICY_TO_PORT;
}

/* Would the kernel answer a remote address by this interface; has this interface one of the host's? */
VJ_INLINE bool policy_leads_here(const struct policy_maps *m, const struct ip_addr *addr)
{
	struct policy_way key = { .prefix_len = 128, .dest = *addr };
	const uint32_t *way = policy_map_find_longest(m->ways, &key);

	return way && *way == POLICY_WAY_HERE;
}

/* What may keep a packet to a leased port off its application, whose socket of the kernel's at that port then gets it */
enum policy_limit {
	/* it has its connections only by the interface at which they began, and there are others: to answer by, or for the next packet to come by */
	POLICY_LIMIT_WAYS = 1,
	POLICY_LIMIT_LONG = 2, /* it is longer than a frame of its channel may be */
};

/* Return: why the kernel has it; POLICY_REASON_CNT: it has not */
VJ_INLINE enum policy_reason policy_kept_off(const struct policy_maps *m, const struct policy_flow *flow, unsigned limits)
{
	if (limits & POLICY_LIMIT_LONG)
		return POLICY_PASS_LONG;
	if (limits & POLICY_LIMIT_WAYS && !(policy_leads_here(m, &flow->remote) && policy_leads_here(m, &flow->local)))
		return POLICY_PASS_WAY;
	return POLICY_REASON_CNT;
}

/*
 * Of what policy_goes_on() does not know. In a block the kernel has no socket but of connections that have become its own (policy_is_kernels()):
 * what comes there stays with its application.
 * @exact:   policy_owner_at()
 * @begins:  of a packet that begins a flow, and not of an ICMP error
 * @limits:  enum policy_limit
 * @ret_app: untouched if it is nobody's
 */
VJ_INLINE enum policy_reason policy_by_port(const struct policy_maps *m, const struct policy_owner *exact,
					    const struct policy_flow *flow, bool begins, unsigned limits, uint32_t seed, uint32_t *ret_app)
{
	const struct policy_owner *owner = policy_owner_of(m, exact, flow);
	enum policy_reason reason = owner ? policy_kept_off(m, flow, limits) : POLICY_PASS_PORT;
	uint32_t app;

	if (reason == POLICY_REASON_CNT)
		return policy_owned(m, owner, flow, begins, seed, ret_app);
	app = owner ? 0 : policy_block_of(m, flow);
	if (app) {
		*ret_app = app;
		return POLICY_TO_BLOCK;
	}
	if (begins)
		policy_map_del(m->flows, flow);
	return reason;
}

#endif
