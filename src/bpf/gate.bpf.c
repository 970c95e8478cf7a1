// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gate.bpf.c - at the host end of an application's device: what the application may send
 *
 * It wrote the frame in memory of its own, but what is looked at here is the kernel's copy: nobody can change it any
 * more. What may go leaves by the interface, or to another application of this host.
 */
#include "bpf/firewall.h"
#include "bpf/learned_maps.h"
#include "bpf/shared_maps.h"
#include "policy/gate.h"

BPF_MAP(gate_cfg, BPF_MAP_TYPE_HASH, POLICY_APPS_MAX, uint32_t, struct policy_gate_cfg, BPF_F_NO_PREALLOC);
BPF_MAP(gate_counters, BPF_MAP_TYPE_PERCPU_HASH, POLICY_APPS_MAX, uint32_t, struct policy_gate_counters, BPF_F_NO_PREALLOC);
BPF_MAP(hops, BPF_MAP_TYPE_HASH, POLICY_HOPS_MAX, struct policy_mac, uint32_t, BPF_F_NO_PREALLOC);
BPF_MAP(out, BPF_MAP_TYPE_DEVMAP, 1, uint32_t, uint32_t, 0);

VJ_INLINE void count_for(uint32_t app, enum policy_reason reason)
{
	struct policy_gate_counters *counters = bpf_map_lookup_elem(&gate_counters, &app);

	if (counters && (unsigned)reason < POLICY_REASON_CNT)
		counters->of[reason]++;
}

/* Functions of their own: their stack is free again when the rules are asked. Return: enum policy_reason */

static VJ_NOINLINE int look(struct xdp_md *ctx, const struct policy_gate_cfg *cfg, uint32_t *ret_app,
			    struct policy_learned_key *ret_ask)
{
	const struct policy_maps maps = { SHARED_MAPS, .kernel = ctx, .hops = &hops };
	struct policy_frame frame = frame_of(ctx);

	return policy_gate(&maps, &frame, cfg, ret_app, ret_ask);
}

/* To the application that has the port, if its address is known; else to the host, and vjd hears of it. Nothing waits. */
static VJ_NOINLINE int readdress(struct xdp_md *ctx, const struct policy_learned_key *ask)
{
	const struct policy_learned_maps maps = { LEARNED_MAPS };
	struct eth_hdr *eth = (struct eth_hdr *)(uintptr_t)ctx->data;

	if ((const void *)(eth + 1) > (const void *)(uintptr_t)ctx->data_end)
		return POLICY_SENT;
	return policy_learned(&maps, ask, &eth->dst) == POLICY_HOP_APP ? POLICY_SENT_APP : POLICY_SENT;
}

SEC("xdp")
int vj_gate(struct xdp_md *ctx)
{
	uint32_t ifindex = ctx->ingress_ifindex, app = 0;
	const struct policy_gate_cfg *cfg;
	_Alignas(8) struct policy_learned_key ask = { .proto = 0 };
	enum policy_reason reason;
	int verdict;

	cfg = bpf_map_lookup_elem(&gate_cfg, &ifindex);
	if (!cfg)
		return XDP_DROP;
	reason = (enum policy_reason)look(ctx, cfg, &app, &ask);
	if (reason == POLICY_SENT || reason == POLICY_SENT_LOCAL) {
		verdict = filter_judge(ctx, reason == POLICY_SENT ? FILTER_WAY_OUT : FILTER_WAY_LOCAL);
		if (verdict != FILTER_ACCEPT) {
			count_for(cfg->app, verdict == FILTER_REJECT ? POLICY_GATE_REJECT : POLICY_GATE_DROP);
			/* what only the kernel could judge must not go */
			return verdict == FILTER_KERNEL ? XDP_DROP : filter_refuse(ctx, verdict);
		}
	}
	if (reason == POLICY_SENT && ask.port.raw)
		reason = (enum policy_reason)readdress(ctx, &ask);
	count_for(cfg->app, reason);
	if (reason == POLICY_SENT || reason == POLICY_SENT_APP)
		return (int)bpf_redirect_map(&out, 0, XDP_DROP);
	if (reason == POLICY_SENT_LOCAL)
		return (int)bpf_redirect_map(&devs, app, XDP_DROP);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
