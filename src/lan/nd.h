// SPDX-License-Identifier: BSD-2-Clause
/*
 * nd.h - where a message about an IPv6 endpoint goes: to the group of its address when it asks, else to all nodes
 */
#ifndef VJ_LAN_ND_H
#define VJ_LAN_ND_H

#include "lan/host.h"
#include "wire/nd.h"

/**
 * lan_nd_address() - Make of @msg, which is for all, one of neighbour discovery if @addr is IPv6
 * @all_nodes: to ff02::1; else to the solicited-node group of @addr
 * Return: false: we have no IPv6 here, and can't say it
 */
static inline bool lan_nd_address(const struct lan_host *h, struct parp_msg *msg, const struct ip_addr *addr, bool all_nodes)
{
	struct ip_addr group = { .bytes = { 0xff, 0x02, [15] = 1 } };

	if (ip_addr_is_v4(addr))
		return true;
	if (ip_addr_is_any(&h->link_local))
		return false;
	if (!all_nodes)
		group = nd_group(addr);
	msg->encoding = PARP_ND;
	msg->ip6_src = h->link_local;
	msg->ip6_dst = group;
	msg->eth_dst = nd_group_mac(&group);
	return true;
}

#endif
