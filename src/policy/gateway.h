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

VJ_INLINE void policy_gateway_ports(const void *l4, uint8_t proto, struct policy_learned_key *ret_key)
{
	ret_key->port.raw = policy_hdr16(l4, 2);
	ret_key->proto = proto;
	ret_key->block = 0;
}

VJ_INLINE bool policy_gateway_usual4(const struct ip4_hdr *ip, struct policy_learned_key *ret_key)
{
	const uint16_t frag = be16(IP4_FRAG_OFF_MASK | IP4_FRAG_MF).raw;

	if (ip->version_words != (4 << 4 | IP4_HDR_BYTES / 4) || (policy_hdr16(ip, offsetof(struct ip4_hdr, frag)) & frag) ||
	    VJ_SWAP_BE16(policy_hdr16(ip, offsetof(struct ip4_hdr, total_len))) < IP4_HDR_BYTES || !policy_has_ports(ip->proto))
		return false;
	store_u64(policy_aligned(ret_key->addr.bytes, 8), 0);
	store_u64(policy_aligned(ret_key->addr.bytes + 8, 8),
		  ip_addr_v4_half((struct be32){ policy_hdr32(ip, offsetof(struct ip4_hdr, dst)) }));
	policy_gateway_ports(ip + 1, ip->proto, ret_key);
	return true;
}

VJ_INLINE bool policy_gateway_usual6(const struct ip6_hdr *ip, struct policy_learned_key *ret_key)
{
	const size_t dst = offsetof(struct ip6_hdr, dst);

	if (*(const uint8_t *)ip >> 4 != 6 || !policy_has_ports(ip->next))
		return false;
	for (unsigned k = 0; k < sizeof(ret_key->addr); k += 8) /* at a multiple of 8 if the header is at one of 4 behind Ethernet's */
		store_u64(policy_aligned(ret_key->addr.bytes + k, 8), load_u64(policy_aligned((const uint8_t *)ip + dst + k, 8)));
	policy_gateway_ports(ip + 1, ip->next, ret_key);
	return true;
}

/**
 * policy_gateway_usual() - The usual packet, in as few comparisons as can be: no tags, options, extension headers or fragments
 * @ret_key: aligned to 8; what policy_gateway_key() says, which need not be asked then; undefined if it isn't the usual one
 */
VJ_INLINE bool policy_gateway_usual(const struct policy_frame *f, struct policy_learned_key *ret_key)
{
	const struct eth_hdr *eth = policy_at(f, 0, ETH_HDR_BYTES + IP4_HDR_BYTES + 8);
	uint16_t type;

	if (!eth || mac_addr_is_multicast(&eth->dst))
		return false;
	type = policy_hdr16(eth, offsetof(struct eth_hdr, type));
	if (type == be16(ETH_TYPE_IP4).raw)
		return policy_gateway_usual4((const void *)(eth + 1), ret_key);
	return type == be16(ETH_TYPE_IP6).raw && policy_at(f, ETH_HDR_BYTES, IP6_HDR_BYTES + 8) &&
	       policy_gateway_usual6((const void *)(eth + 1), ret_key);
}

VJ_INLINE enum policy_reason policy_gateway_ip(const struct policy_frame *f, const struct policy_eth *eth,
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
 * policy_gateway_key() - What is the frame for that is about to leave?
 * @tagged: it will get a tag that is not in the frame
 * Return: POLICY_HOP_APP: @ret_key is to be looked up; else why nothing is
 */
VJ_INLINE enum policy_reason policy_gateway_key(const struct policy_frame *f, bool tagged, struct policy_learned_key *ret_key)
{
	struct policy_eth eth;

	if (!policy_eth(f, &eth))
		return POLICY_PASS_BAD;
	if (tagged || eth.ip_off != ETH_HDR_BYTES)
		return POLICY_HOP_VLAN;
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6)
		return POLICY_PASS_TYPE;
	if (mac_addr_is_multicast(&eth.dst))
		return POLICY_PASS_GROUP;
	return policy_gateway_ip(f, &eth, ret_key);
}

#endif
