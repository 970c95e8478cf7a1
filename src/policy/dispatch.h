// SPDX-License-Identifier: BSD-2-Clause
/* dispatch.h - the order of decisions for a frame from the wire (DESIGN section 5) */
#ifndef VJ_POLICY_DISPATCH_H
#define VJ_POLICY_DISPATCH_H

#include "policy/owner.h"

VJ_INLINE enum policy_reason policy_by_frag(const struct policy_maps *m, const struct policy_view *v, uint32_t *ret_app)
{
	struct policy_frag key = policy_frag_key(v);
	const uint32_t *app = policy_map_find(m->frags, &key);

	if (!app || !policy_alive(m, *app))
		return POLICY_PASS_FRAG;
	*ret_app = *app;
	return POLICY_TO_FRAG;
}

/* Where the later ones of a datagram go. One of the kernel's may have the number of an application's earlier one. */
VJ_INLINE void policy_frag_follows(const struct policy_maps *m, const struct policy_view *v, uint32_t app)
{
	struct policy_frag key = policy_frag_key(v);

	if (app)
		policy_map_set(m->frags, &key, &app);
	else
		policy_map_del(m->frags, &key);
}

VJ_INLINE bool policy_is_long(const struct policy_frame *f, const struct policy_dispatch_cfg *cfg)
{
	uint32_t bytes = f->whole ? f->whole : (uint32_t)(f->end - f->data);

	return cfg->frame_max && bytes > cfg->frame_max;
}

/* TCP has told the other end how long a segment may be; and its connections have one home. */
VJ_INLINE unsigned policy_limits(const struct policy_frame *f, const struct policy_view *v, const struct policy_dispatch_cfg *cfg)
{
	bool is_long = v->flow.proto == IP_PROTO_UDP && !v->icmp_error && policy_is_long(f, cfg);

	return (cfg->ways ? POLICY_LIMIT_WAYS : 0u) | (is_long ? POLICY_LIMIT_LONG : 0u);
}

VJ_INLINE enum policy_reason policy_late(const struct policy_maps *m, const struct policy_frame *f,
					 const struct policy_eth *eth, const struct policy_dispatch_cfg *cfg,
					 uint32_t *ret_app)
{
	const struct policy_owner *exact = NULL;
	uint32_t whole = 0;
	unsigned limits;
	enum policy_reason reason;
	enum policy_ip parsed;
	struct policy_view v;

	parsed = policy_ip(f, eth, false, &v);
	if (parsed == POLICY_IP_BAD)
		return POLICY_PASS_BAD;
	if (parsed == POLICY_IP_PROTO)
		return POLICY_PASS_PROTO;
	if (v.frag == POLICY_FRAG_NONE) {
		*ret_app = policy_goes_on(m, &v.flow, v.syn);
		if (*ret_app)
			return v.icmp_error ? POLICY_TO_ICMP : POLICY_TO_FLOW;
		if (cfg->left && policy_has_left(m, &v.flow, v.syn))
			return POLICY_PASS_FLOW;
	}
	if (v.frag != POLICY_FRAG_LATER)
		exact = policy_owner_at(m, &v.flow);
	if (!(exact && exact->flags & POLICY_OWNER_HERE && !eth->vlan) && !policy_is_ours(m, &v.flow.local, eth->vlan, &whole))
		return POLICY_PASS_ADDR;
	if (v.frag == POLICY_FRAG_LATER)
		return policy_by_frag(m, &v, ret_app);
	limits = policy_limits(f, &v, cfg);
	if (whole && policy_alive(m, whole) && !(limits & POLICY_LIMIT_LONG) &&
	    (!(limits & POLICY_LIMIT_WAYS) || policy_leads_here(m, &v.flow.remote))) {
		*ret_app = whole;
		reason = POLICY_TO_ADDR;
	} else {
		reason = policy_by_port(m, exact, &v.flow, v.syn, limits, cfg->hash_seed, ret_app);
	}
	if ((reason == POLICY_TO_ADDR || reason == POLICY_TO_BLOCK) && policy_is_kernels(m, &v.flow, v.syn)) {
		*ret_app = 0;
		reason = POLICY_PASS_FLOW;
	}
	if (v.frag == POLICY_FRAG_FIRST)
		policy_frag_follows(m, &v, *ret_app);
	return v.icmp_error && *ret_app ? POLICY_TO_ICMP : reason;
}

/*
 * Not to our MAC address, as far as we know: the kernel knows first when the interface gets another one. What it got then of a connection
 * of an application's it would reset; so that is lost, and sent again, when we know too.
 */
VJ_INLINE enum policy_reason policy_other_mac(const struct policy_maps *m, const struct policy_frame *f,
					      const struct policy_eth *eth)
{
	struct policy_view v;

	if (policy_ip(f, eth, true, &v) == POLICY_IP_OK && v.frag == POLICY_FRAG_NONE && policy_goes_on(m, &v.flow, v.syn))
		return POLICY_DROP_MAC;
	return POLICY_PASS_MAC;
}

/* Is what has come to an application's MAC address its own, whatever it is? What does not parse is judged by nobody but itself. */
VJ_INLINE bool policy_mac_takes(const struct policy_maps *m, const struct policy_frame *f, const struct policy_eth *eth,
				const struct policy_dispatch_cfg *cfg)
{
	bool v4 = eth->type == ETH_TYPE_IP4;
	struct policy_view v;
	struct ip_addr remote;
	const uint8_t *ip;

	if (policy_is_long(f, cfg))
		return false;
	if (cfg->left && policy_ip(f, eth, true, &v) == POLICY_IP_OK && v.frag == POLICY_FRAG_NONE && policy_is_kernels(m, &v.flow, v.syn))
		return false;
	if (!cfg->ways)
		return true;
	ip = policy_at(f, eth->ip_off, v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES);
	if (!ip)
		return true;
	remote = v4 ? ip_addr_from_v4(((const struct ip4_hdr *)ip)->src) : ((const struct ip6_hdr *)ip)->src;
	return policy_leads_here(m, &remote);
}

/*
 * Neighbour discovery or ping, which an application could not answer: the one is vjd's, the other the kernel's. Behind extension headers
 * it is not looked for: nobody sends it so, and what an application gets of it, it drops.
 */
VJ_INLINE bool policy_is_asking(const struct policy_frame *f, const struct policy_eth *eth)
{
	const struct ip6_hdr *hdr;

	if (eth->type != ETH_TYPE_IP6)
		return false;
	hdr = policy_at(f, eth->ip_off, sizeof(*hdr) + 1);
	return hdr && hdr->next == IP_PROTO_ICMP6 && *(const uint8_t *)(hdr + 1) & ICMP6_INFO;
}

/**
 * policy_dispatch() - What to do with a frame from the wire
 * @vlan:    id of a tag that is in the frame no more, around those that are; 0: none
 * @ret_app: whose it is; 0: the kernel's, or if the reason is POLICY_DROP_MAC nobody's
 */
VJ_INLINE enum policy_reason policy_dispatch(const struct policy_maps *m, const struct policy_frame *f, uint32_t vlan,
					     const struct policy_dispatch_cfg *cfg, uint32_t *ret_app)
{
	struct policy_mac key = { 0 };
	const uint32_t *app;
	struct policy_eth eth;

	*ret_app = 0;
	if (!policy_eth(f, &eth))
		return POLICY_PASS_BAD;
	if (vlan)
		eth.vlan = eth.vlan ? vlan << 16 | eth.vlan : vlan;
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6)
		return POLICY_PASS_TYPE;
	if (!mac_addr_eq(&eth.dst, &cfg->mac)) {
		if (mac_addr_is_multicast(&eth.dst))
			return POLICY_PASS_GROUP;
		key.mac = eth.dst;
		app = policy_map_find(m->macs, &key);
		if (!app)
			return policy_other_mac(m, f, &eth);
		/* Its own address is one of the network without tags: with one, IP address and VLAN say whose it is. */
		if (!eth.vlan && policy_alive(m, *app) && policy_mac_takes(m, f, &eth, cfg)) {
			if (policy_is_asking(f, &eth))
				return POLICY_PASS_ASKING;
			*ret_app = *app;
			return POLICY_TO_MAC;
		}
		/* In a VLAN, in quarantine, too long, not to be answered here, or its application has just died: whose is the port now? */
	}
	return policy_late(m, f, &eth, cfg, ret_app);
}

#endif
