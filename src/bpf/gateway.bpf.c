// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gateway.bpf.c - at an interface's egress: to the application's own address what the kernel sends to that of its host
 *
 * A link of tcx or a filter of tc (daemon/tc_hook.h), behind those of others, whose verdicts it leaves alone. Nothing is dropped, held or changed but the
 * destination in the Ethernet header; what isn't known goes out as the kernel has made it.
 */
#define VJ_BPF_TC
#include "bpf/counters.h"
#include "bpf/learned_maps.h"
#include "policy/gateway.h"

#include <linux/pkt_cls.h>

/* Unusual headers have to be in the packet's linear part, where the kernel that has routed it has looked at no more than IP's. */
enum { LINEAR_BYTES = 128 };

VJ_INLINE struct policy_frame frame_of_skb(const struct __sk_buff *skb)
{
	return (struct policy_frame){ .data = (const uint8_t *)(uintptr_t)skb->data, .end = (const uint8_t *)(uintptr_t)skb->data_end };
}

VJ_INLINE enum policy_reason key_of(struct __sk_buff *skb, struct policy_learned_key *ret_key)
{
	struct policy_frame frame = frame_of_skb(skb);
	bool tagged = skb->vlan_present;
	uint32_t linear = skb->data_end - skb->data;

	if (!tagged && policy_gateway_usual(&frame, ret_key))
		return POLICY_HOP_APP;
	if (linear < LINEAR_BYTES && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < LINEAR_BYTES ? skb->len : LINEAR_BYTES);
	frame = frame_of_skb(skb);
	return policy_gateway_key(&frame, tagged, ret_key);
}

SEC("tc")
int vj_gateway(struct __sk_buff *skb)
{
	const struct policy_learned_maps maps = { LEARNED_MAPS };
	_Alignas(8) struct policy_learned_key key = { .proto = 0 };
	enum policy_reason reason = key_of(skb, &key);
	struct eth_hdr *eth = (struct eth_hdr *)(uintptr_t)skb->data;

	if (reason == POLICY_HOP_APP && (const void *)(eth + 1) <= (const void *)(uintptr_t)skb->data_end)
		reason = policy_learned(&maps, &key, &eth->dst);
	count(reason);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
