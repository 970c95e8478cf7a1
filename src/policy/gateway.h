// SPDX-License-Identifier: BSD-2-Clause
/*
 * gateway.h - where does a packet go that a router, or any host, sends into a LAN whose applications have addresses of their own?
 *
 * Only what surely is for one application is looked up: TCP and UDP, whole. Fragments go to the canonical address, since later ones
 * have no ports and all must meet (docs/parp.md 6); so do errors of ICMP, and what has tags of a VLAN, which is another
 * network: its device has a gateway of its own.
 */
#ifndef VJ_POLICY_GATEWAY_H
#define VJ_POLICY_GATEWAY_H

#include "policy/learned.h"

/* Return: POLICY_HOP_APP: @ret_key is what the packet is for; else why nothing is to be asked */
VJ_INLINE enum policy_reason policy_gateway_key(const struct policy_frame *f, const struct policy_eth *eth,
						struct policy_learned_key *ret_key)
{
	struct policy_view v;
	uint32_t l4;

	__builtin_memset(&v, 0, sizeof(v));
	if (!policy_ip_hdr(f, eth->type == ETH_TYPE_IP4, eth->ip_off, false, &v, &l4))
		return POLICY_PASS_BAD;
	if (v.frag != POLICY_FRAG_NONE)
		return POLICY_HOP_FRAG;
	if (!policy_has_ports(v.flow.proto))
		return POLICY_PASS_PROTO;
	if (!policy_ports(f, l4, &v.flow))
		return POLICY_PASS_BAD;
	*ret_key = (struct policy_learned_key){ .addr = v.flow.local, .port = v.flow.local_port, .proto = v.flow.proto };
	return POLICY_HOP_APP;
}

/**
 * policy_gateway() - A frame about to leave
 * @tagged:  it will get a tag that is not in the frame
 * @ret_mac: where it is to go instead, if the reason is POLICY_HOP_APP; else untouched
 */
VJ_INLINE enum policy_reason policy_gateway(const struct policy_learned_maps *m, const struct policy_frame *f, bool tagged,
					    struct mac_addr *ret_mac)
{
	struct policy_learned_key key;
	enum policy_reason reason;
	struct policy_eth eth;

	if (!policy_eth(f, &eth))
		return POLICY_PASS_BAD;
	if (tagged || eth.ip_off != ETH_HDR_BYTES)
		return POLICY_HOP_VLAN;
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6)
		return POLICY_PASS_TYPE;
	if (mac_addr_is_multicast(&eth.dst))
		return POLICY_PASS_GROUP;
	reason = policy_gateway_key(f, &eth, &key);
	return reason == POLICY_HOP_APP ? policy_learned(m, &key, &eth.dst, ret_mac) : reason;
}

#endif
