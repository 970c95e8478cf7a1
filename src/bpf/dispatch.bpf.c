// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * dispatch.bpf.c - at the interface: puts a frame in the channel of the application that it is for
 *
 * What is nobody's goes on to the kernel, or to the next XDP program on the interface. Which application: policy/dispatch.h.
 */
#include "bpf/counters.h"
#include "bpf/shared_maps.h"
#include "policy/dispatch.h"
BPF_MAP(dispatch_cfg, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_dispatch_cfg, 0);
BPF_MAP(macs, BPF_MAP_TYPE_HASH, POLICY_APPS_MAX, struct policy_mac, uint32_t, BPF_F_NO_PREALLOC);
BPF_MAP(frags, BPF_MAP_TYPE_LRU_HASH, POLICY_FRAGS_MAX, struct policy_frag, uint32_t, 0);

SEC("xdp")
int vj_dispatch(struct xdp_md *ctx)
{
	struct policy_frame frame = frame_of(ctx);
	const struct policy_dispatch_cfg *cfg;
	const struct policy_maps maps = { SHARED_MAPS, .kernel = ctx, .macs = &macs, .frags = &frags };
	enum policy_reason reason;
	uint32_t zero = 0, app;

	cfg = bpf_map_lookup_elem(&dispatch_cfg, &zero);
	if (!cfg)
		return XDP_PASS;
	reason = policy_dispatch(&maps, &frame, cfg, &app);
	count(reason);
	/* An application that has just gone: the kernel answers as for any closed port. */
	return app ? (int)bpf_redirect_map(&devs, app, XDP_PASS) : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
