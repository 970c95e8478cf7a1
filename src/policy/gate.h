// SPDX-License-Identifier: BSD-2-Clause
/* gate.h - what an application may send (DESIGN section 9) */
#ifndef VJ_POLICY_GATE_H
#define VJ_POLICY_GATE_H

#include "policy/learned.h"
#include "policy/owner.h"

/* Is `app` one of the owners? Without a branch: the verifier would follow each of them to the end of the program. */
VJ_INLINE bool policy_owns(const struct policy_owner *owner, uint32_t app)
{
	uint64_t found = 0;

	POLICY_UNROLL
	for (uint32_t i = 0; i < POLICY_OWNER_APPS_MAX; i++)
		found |= ((uint64_t)(owner->apps[i] ^ app) - 1) >> 63;
	return found != 0;
}

/* From one of the host's addresses. @flow: as seen from this host. A lease covers what any of its addresses would get. */
VJ_INLINE bool policy_may_send_from(const struct policy_maps *m, const struct policy_flow *flow, uint32_t app)
{
	const struct policy_owner *owner;

	if (policy_block_of(m, flow) == app)
		return true;
	owner = policy_owner_of(m, policy_owner_at(m, flow), flow);
	return owner && policy_owns(owner, app);
}

/* To this host: an application's it may be; the kernel wouldn't take it from outside with its own source address. */
VJ_INLINE enum policy_reason policy_gate_local(const struct policy_maps *m, const struct policy_view *v, uint32_t whole,
					       uint32_t seed, uint32_t *ret_app)
{
	*ret_app = policy_goes_on(m, &v->flow, v->syn);
	if (!*ret_app && whole)
		*ret_app = whole;
	else if (!*ret_app)
		policy_by_port(m, policy_owner_at(m, &v->flow), &v->flow, v->syn, 0, seed, ret_app);
	return *ret_app ? POLICY_SENT_LOCAL : POLICY_GATE_LOCAL;
}

/*
 * Out of the interface: only to where the kernel would send as well, whatever the application has written there. Which application at
 * that address has the port may be asked for of what is whole, and has no tag of another network (docs/parp.md 6).
 */
VJ_INLINE enum policy_reason policy_gate_hop(const struct policy_maps *m, const struct policy_eth *eth,
					     const struct policy_view *v, struct policy_learned_key *ret_ask)
{
	const struct policy_mac key = { .mac = eth->dst };
	const uint32_t *hop = policy_map_find(m->hops, &key);

	if (!hop)
		return POLICY_GATE_DST_MAC;
	if ((*hop & POLICY_HOP_ASKS) && v->frag == POLICY_FRAG_NONE && !eth->vlan)
		*ret_ask = (struct policy_learned_key){ .addr = v->flow.local, .port = v->flow.local_port, .proto = v->flow.proto };
	return POLICY_SENT;
}

/*
 * Is it an ICMPv6 error about what came to an address that is the application's as a whole, and from there? Nobody else says it
 * (RFC 4443 3.1). One about what came to another address could slow down or end what others of this host have.
 */
VJ_INLINE bool policy_gate_is_error(const struct policy_maps *m, const struct policy_frame *f, const struct policy_eth *eth,
				    const struct policy_view *v, uint32_t app)
{
	const uint8_t *icmp = policy_at(f, eth->ip_off + IP6_HDR_BYTES, ICMP_HDR_BYTES + IP6_HDR_BYTES);
	struct ip_addr about;
	uint32_t whole;

	if (!icmp || eth->type != ETH_TYPE_IP6 || v->flow.proto != IP_PROTO_ICMP6 || !policy_icmp_is_error(false, icmp[0]) ||
	    !policy_is_ours(m, &v->flow.remote, eth->vlan, &whole) || whole != app)
		return false;
	about = ip_addr_from_v6(icmp + ICMP_HDR_BYTES + offsetof(struct ip6_hdr, dst));
	return ip_addr_eq(&about, &v->flow.remote) && !policy_is_ours(m, &v->flow.local, eth->vlan, &whole);
}

/*
 * Datagrams may leave in fragments. A later one has no port to be looked at; the receiver does nothing with it but together with a
 * first one of the same source, destination and number, which was looked at. (An application could so spoil datagrams of
 * another one of this host, if it guessed their numbers in time.)
 */
VJ_INLINE enum policy_reason policy_gate_ip(const struct policy_maps *m, const struct policy_frame *f,
					    const struct policy_eth *eth, const struct policy_gate_cfg *cfg, uint32_t *ret_app,
					    struct policy_learned_key *ret_ask)
{
	struct policy_flow flow;
	enum policy_ip parsed;
	struct policy_view v;
	uint32_t whole;

	parsed = policy_ip(f, eth, true, &v);
	if (parsed == POLICY_IP_BAD)
		return POLICY_GATE_BAD;
	if (v.frag != POLICY_FRAG_NONE && v.flow.proto != IP_PROTO_UDP)
		return POLICY_GATE_FRAG;
	if (parsed == POLICY_IP_PROTO)
		return policy_gate_is_error(m, f, eth, &v, cfg->app) ? policy_gate_hop(m, eth, &v, ret_ask) : POLICY_GATE_PROTO;
	/* The view is that of the receiver. */
	flow = policy_flow_reverse(&v.flow);
	/* What came to it at an address and a port it may answer from there. */
	if (policy_goes_on(m, &flow, false) != cfg->app) {
		if (!policy_is_ours(m, &flow.local, eth->vlan, &whole) || (whole && whole != cfg->app))
			return POLICY_GATE_SRC_ADDR;
		if (!whole && v.frag != POLICY_FRAG_LATER && !policy_may_send_from(m, &flow, cfg->app))
			return POLICY_GATE_SRC_PORT;
		/*
		 * The SYN came to the application's own MAC, where dispatch writes nothing down: from here on the flow is known
		 * by port as well, for when that address is no more.
		 */
		if (v.syn_ack)
			policy_map_set(m->flows, &flow, &cfg->app);
	}
	/* It begins a flow: what comes back is found by one look-up. */
	if (v.syn)
		policy_map_set(m->flows, &flow, &cfg->app);
	if (policy_is_ours(m, &flow.remote, eth->vlan, &whole))
		return v.frag != POLICY_FRAG_NONE ? POLICY_GATE_FRAG :
						    policy_gate_local(m, &v, whole, cfg->hash_seed, ret_app);
	return policy_gate_hop(m, eth, &v, ret_ask);
}

/**
 * policy_gate() - May an application send this frame?
 * @ret_app: POLICY_SENT_LOCAL: to whom; else 0
 * @ret_ask: POLICY_SENT, and its port not 0: what to ask policy_learned() about
 * Return: POLICY_SENT: out of the interface; POLICY_SENT_LOCAL; or why not
 */
VJ_INLINE enum policy_reason policy_gate(const struct policy_maps *m, const struct policy_frame *f,
					 const struct policy_gate_cfg *cfg, uint32_t *ret_app, struct policy_learned_key *ret_ask)
{
	struct policy_eth eth;

	*ret_app = 0;
	__builtin_memset(ret_ask, 0, sizeof(*ret_ask));
	if (!policy_eth(f, &eth))
		return POLICY_GATE_BAD;
	if (!mac_addr_eq(&eth.src, &cfg->mac) &&
	    (mac_addr_is_zero(&cfg->app_mac) || !mac_addr_eq(&eth.src, &cfg->app_mac)))
		return POLICY_GATE_SRC_MAC;
	if (mac_addr_is_multicast(&eth.dst))
		return POLICY_GATE_DST_MAC;
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6)
		return POLICY_GATE_TYPE;
	/* The length goes last into the sum: a packet pointer plus a variable is no end that the verifier knows. */
	if (f->end > f->data + eth.ip_off + cfg->mtu)
		return POLICY_GATE_LEN;
	return policy_gate_ip(m, f, &eth, cfg, ret_app, ret_ask);
}

#endif
