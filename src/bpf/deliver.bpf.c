// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * deliver.bpf.c - at the application's end of its device: into the ring while there are free frames, else to vjd
 *
 * A full ring would be a drop: AF_XDP finds out after the program has answered. So the program counts: frames that
 * the application has ever made free (`credit`, which it writes) and frames put in the ring. The device has one
 * queue, so one processor at a time runs this, and the private state needs no atomics. Spilling and its order:
 * struct policy_deliver_state in policy/maps.h.
 */
#include "bpf/counters.h"

BPF_MAP(deliver_cfg, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_deliver_cfg, 0);
BPF_MAP(deliver_state, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_deliver_state, 0);
BPF_MAP(credit, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct policy_credit, BPF_F_MMAPABLE);
BPF_MAP(xsks, BPF_MAP_TYPE_XSKMAP, 1, uint32_t, uint32_t, 0);

struct deliver {
	const struct policy_deliver_cfg *cfg;
	struct policy_deliver_state *state;
	struct policy_credit *credit;
};

/*
 * A free frame? The application's word is read only when what was known is used up; then by an operation with full
 * order, so that its producer index, written before, is seen by the kernel after.
 */
VJ_INLINE bool has_credit(const struct deliver *d)
{
	struct policy_deliver_state *state = d->state;

	if (state->posted - state->given - 1 < d->cfg->rx_frame_cnt)
		return true;
	state->posted = __sync_fetch_and_add(&d->credit->posted, 0);
	/* More than there are frames, or less than was given: no word to rely on. */
	return state->posted - state->given - 1 < d->cfg->rx_frame_cnt;
}

VJ_INLINE int to_ring(const struct deliver *d, enum policy_reason reason)
{
	d->state->given++;
	count(reason);
	return (int)bpf_redirect_map(&xsks, 0, XDP_DROP);
}

/* Is it too slow for what comes, and has shown so lately? */
VJ_INLINE bool is_flooded(struct policy_deliver_state *state)
{
	return !state->sticky && state->flood_ns && (int64_t)(bpf_ktime_get_ns() - state->flood_ns) < (int64_t)POLICY_FLOOD_NS;
}

VJ_INLINE int drop_full(struct policy_deliver_state *state)
{
	if (state->given != state->flood_given || state->sticky) {
		state->flood_given = state->given;
		state->flood_ns = bpf_ktime_get_ns();
	}
	count(POLICY_SPILL_FULL);
	return XDP_DROP;
}

VJ_INLINE int spill(const struct deliver *d)
{
	struct policy_deliver_state *state = d->state;

	/* one that was believed lost may come back late */
	if ((int32_t)(state->spilled - state->returned) >= (int32_t)d->cfg->spill_max)
		state->full = 1;
	if (state->full || is_flooded(state))
		return drop_full(state);
	state->sticky = 1;
	state->spilled++;
	count(POLICY_SPILLED);
	return XDP_PASS;
}

/* Is there credit, and nobody who gives back what was spilled before? Then it goes on without him. */
VJ_INLINE bool is_left_alone(const struct deliver *d)
{
	struct policy_deliver_state *state = d->state;
	uint64_t now_ns = bpf_ktime_get_ns();

	if (!has_credit(d)) {
		state->silent_ns = 0;
		return false;
	}
	if (!state->silent_ns)
		state->silent_ns = now_ns;
	if (now_ns - state->silent_ns < POLICY_SPILL_SILENCE_NS)
		return false;
	state->sticky = 0;
	state->full = 0;
	state->silent_ns = 0;
	return true;
}

/* From vjd: a frame that was spilled, or behind the outer header nothing but a count. */
VJ_INLINE int give_back(struct xdp_md *ctx, const struct deliver *d, const struct policy_frame *frame)
{
	struct policy_deliver_state *state = d->state;
	const uint8_t *mark;

	state->silent_ns = 0;
	if (!policy_at(frame, POLICY_GIVE_BACK_BYTES, ETH_HDR_BYTES)) {
		mark = policy_at(frame, POLICY_GIVE_BACK_BYTES, 4);
		if (mark && load_u32(mark) == state->spilled) {
			state->sticky = 0;
			state->full = 0;
			state->returned = state->spilled; /* what vjd has lost counts no more */
		}
		count(POLICY_DRAINED);
		return XDP_DROP;
	}
	if (!has_credit(d)) {
		count(POLICY_SPILLED);
		return XDP_PASS;
	}
	if (bpf_xdp_adjust_head(ctx, POLICY_GIVE_BACK_BYTES))
		return XDP_DROP;
	state->returned++;
	return to_ring(d, POLICY_GIVEN_BACK);
}

SEC("xdp")
int vj_deliver(struct xdp_md *ctx)
{
	struct policy_frame frame = frame_of(ctx);
	uint32_t zero = 0;
	struct deliver d = {
		.cfg = bpf_map_lookup_elem(&deliver_cfg, &zero),
		.state = bpf_map_lookup_elem(&deliver_state, &zero),
		.credit = bpf_map_lookup_elem(&credit, &zero),
	};
	struct policy_eth eth;

	if (!d.cfg || !d.state || !d.credit)
		return XDP_DROP;
	if (!policy_eth(&frame, &eth))
		return XDP_DROP;
	if (eth.type == POLICY_GIVE_BACK_TYPE)
		return give_back(ctx, &d, &frame);
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6) {
		count(POLICY_NOT_DISPATCHED);
		return XDP_DROP;
	}
	if (frame.data + d.cfg->frame_max < frame.end) {
		count(POLICY_TOO_LONG);
		return XDP_DROP;
	}
	if (d.state->sticky ? !is_left_alone(&d) : !has_credit(&d))
		return spill(&d);
	return to_ring(&d, POLICY_DELIVERED);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
