// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gateway.bpf.c - at an interface's egress: to the application's own address what the kernel sends to that of its host
 *
 * A filter of tc, behind those of others, whose verdicts it leaves alone. Nothing is dropped, held or changed but the
 * destination in the Ethernet header; what isn't known goes out as the kernel has made it.
 */
#define VJ_BPF_TC
#include "bpf/counters.h"
#include "bpf/learned_maps.h"
#include "policy/gateway.h"

#include <linux/pkt_cls.h>

/* Headers have to be in the packet's linear part, where the kernel that has routed it has looked at no more than IP's. */
enum { LINEAR_BYTES = 128 };

SEC("tc")
int vj_gateway(struct __sk_buff *skb)
{
	const struct policy_learned_maps maps = { LEARNED_MAPS };
	uint32_t linear = skb->data_end - skb->data;
	enum policy_reason reason;
	struct policy_frame frame;
	struct mac_addr mac;
	struct eth_hdr *eth;

	if (linear < LINEAR_BYTES && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < LINEAR_BYTES ? skb->len : LINEAR_BYTES);
	frame = (struct policy_frame){ (const uint8_t *)(uintptr_t)skb->data, (const uint8_t *)(uintptr_t)skb->data_end };
	reason = policy_gateway(&maps, &frame, skb->vlan_present, &mac);
	count(reason);
	eth = (struct eth_hdr *)(uintptr_t)skb->data;
	if (reason == POLICY_HOP_APP && (const void *)(eth + 1) <= (const void *)(uintptr_t)skb->data_end)
		eth->dst = mac;
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
