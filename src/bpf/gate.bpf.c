// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gate.bpf.c - at the host end of an application's device: what the application may send
 *
 * It wrote the frame in memory of its own, but what is looked at here is the kernel's copy: nobody can change it any
 * more. What may go leaves by the interface, or to another application of this host.
 */
#include "bpf/shared_maps.h"
#include "policy/gate.h"

BPF_MAP(gate_cfg, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_gate_cfg, 0);
BPF_MAP(out, BPF_MAP_TYPE_DEVMAP, 1, uint32_t, uint32_t, 0);

SEC("xdp")
int vj_gate(struct xdp_md *ctx)
{
	struct policy_frame frame = frame_of(ctx);
	const struct policy_gate_cfg *cfg;
	const struct policy_maps maps = { SHARED_MAPS };
	enum policy_reason reason;
	uint32_t zero = 0, app;

	cfg = bpf_map_lookup_elem(&gate_cfg, &zero);
	if (!cfg)
		return XDP_DROP;
	reason = policy_gate(&maps, &frame, cfg, &app);
	count(reason);
	if (reason == POLICY_SENT)
		return (int)bpf_redirect_map(&out, 0, XDP_DROP);
	if (reason == POLICY_SENT_LOCAL)
		return (int)bpf_redirect_map(&devs, app, XDP_DROP);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
