// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * dispatch.bpf.c - at the interface: puts a frame in the channel of the application that it is for
 *
 * What is nobody's goes on to the kernel. Which application: policy/dispatch.h. There are two of it over the same maps, of which vjd
 * loads the one that it can attach (daemon/if_hook.h): vj_dispatch takes frames of the driver; vj_dispatch_tc packets that the
 * kernel has made of them, behind whatever XDP program somebody else has at the interface.
 */
#define VJ_BPF_TC /* also for packets that the kernel has made */
#include "bpf/counters.h"
#include "bpf/firewall.h"
#include "bpf/shared_maps.h"
#include "policy/dispatch.h"

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

BPF_MAP(dispatch_cfg, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_dispatch_cfg, 0);
BPF_MAP(macs, BPF_MAP_TYPE_HASH, POLICY_APPS_MAX, struct policy_mac, uint32_t, BPF_F_NO_PREALLOC);
BPF_MAP(frags, BPF_MAP_TYPE_LRU_HASH, POLICY_FRAGS_MAX, struct policy_frag, uint32_t, 0);
BPF_MAP(ways, BPF_MAP_TYPE_LPM_TRIE, POLICY_WAYS_MAX, struct policy_way, uint32_t, BPF_F_NO_PREALLOC);

/* What tc's headers have to be in the packet's linear part for: all but long chains of IPv6 extension headers, which are the kernel's then. */
enum { TC_HEADERS = 256 };

/*
 * The kernel's, to an address of ours that is not the interface's own? The kernel takes nothing but what is for that. What is no IP is
 * vjd's alone, which has to see where it was sent (docs/parp.md 6.1).
 */
VJ_INLINE bool is_orphan(const struct eth_hdr *eth, const void *end, const struct policy_dispatch_cfg *cfg)
{
	struct policy_mac key = { 0 };

	if ((const void *)(eth + 1) > end)
		return false;
	if (be16_get(eth->type) != ETH_TYPE_IP4 && be16_get(eth->type) != ETH_TYPE_IP6)
		return false;
	key.mac = eth->dst;
	return !mac_addr_eq(&key.mac, &cfg->mac) && bpf_map_lookup_elem(&macs, &key);
}

VJ_INLINE enum policy_reason filtered(int verdict)
{
	if (verdict == FILTER_KERNEL)
		return POLICY_PASS_FILTER;
	return verdict == FILTER_REJECT ? POLICY_FILTER_REJECT : POLICY_FILTER_DROP;
}

SEC("xdp")
int vj_dispatch(struct xdp_md *ctx)
{
	struct policy_frame frame = frame_of(ctx);
	const struct policy_dispatch_cfg *cfg;
	const struct policy_maps maps = { SHARED_MAPS, .kernel = ctx, .macs = &macs, .frags = &frags, .ways = &ways };
	enum policy_reason reason;
	uint32_t zero = 0, app;
	struct eth_hdr *eth;
	int verdict;

	cfg = policy_map_find(&dispatch_cfg, &zero);
	if (!cfg)
		return XDP_PASS;
	reason = policy_dispatch(&maps, &frame, 0, cfg, &app);
	verdict = app ? filter_judge(ctx, FILTER_WAY_IN) : FILTER_ACCEPT;
	eth = (struct eth_hdr *)(uintptr_t)ctx->data;
	if (verdict != FILTER_ACCEPT) {
		count(filtered(verdict));
		if (verdict == FILTER_KERNEL && is_orphan(eth, (const void *)(uintptr_t)ctx->data_end, cfg))
			eth->dst = cfg->mac;
		return filter_refuse(ctx, verdict);
	}
	count(reason);
	if (reason == POLICY_DROP_MAC)
		return XDP_DROP;
	if (!app && is_orphan(eth, (const void *)(uintptr_t)ctx->data_end, cfg))
		eth->dst = cfg->mac;
	/* An application that has just gone: the kernel answers as for any closed port. */
	return app ? (int)bpf_redirect_map(&devs, app, XDP_PASS) : XDP_PASS;
}

/*
 * The kernel has taken the outer tag out of the packet; and it may have joined packets (GRO), which the application's device takes apart
 * again on their way in. What is not ours goes on to the filters behind. What the firewall rejects does, too: the kernel's own answers it.
 */
SEC("tc")
int vj_dispatch_tc(struct __sk_buff *skb)
{
	const struct policy_maps maps = { SHARED_MAPS, .kernel = skb, .macs = &macs, .frags = &frags, .ways = &ways };
	const struct policy_dispatch_cfg *cfg;
	uint32_t zero = 0, app, vlan;
	enum policy_reason reason;
	struct policy_frame frame;
	const uint32_t *ifindex;
	int verdict;

	cfg = policy_map_find(&dispatch_cfg, &zero);
	if (!cfg)
		return TC_ACT_UNSPEC;
	if (skb->data_end - skb->data < TC_HEADERS)
		bpf_skb_pull_data(skb, skb->len < TC_HEADERS ? skb->len : TC_HEADERS);
	frame = (struct policy_frame){ .data = (const uint8_t *)(uintptr_t)skb->data, .end = (const uint8_t *)(uintptr_t)skb->data_end,
					.whole = skb->gso_size ? 0 : skb->len };
	vlan = skb->vlan_present ? skb->vlan_tci & 0xfff : 0;
	reason = policy_dispatch(&maps, &frame, vlan, cfg, &app);
	verdict = app ? filter_judge_tc(skb, FILTER_WAY_IN) : FILTER_ACCEPT;
	if (verdict != FILTER_ACCEPT) {
		count(filtered(verdict));
		if (verdict != FILTER_DROP && is_orphan((const struct eth_hdr *)frame.data, frame.end, cfg))
			bpf_skb_change_type(skb, PACKET_HOST);
		return verdict == FILTER_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	}
	count(reason);
	if (reason == POLICY_DROP_MAC)
		return TC_ACT_SHOT;
	if (!app && is_orphan((const struct eth_hdr *)frame.data, frame.end, cfg))
		bpf_skb_change_type(skb, PACKET_HOST);
	ifindex = app ? bpf_map_lookup_elem(&devs, &app) : NULL;
	return ifindex ? (int)bpf_redirect(*ifindex, 0) : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
