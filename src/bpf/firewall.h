/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * firewall.h - the host's rules, for frames that dispatch or gate would let pass
 *
 * Functions of their own, not inlined: the verifier looks at each once, whatever comes before it. The state of a run lies in a map, a value for each processor: it
 * is more than a stack holds.
 */
#ifndef VJ_BPF_FIREWALL_H
#define VJ_BPF_FIREWALL_H

#include "bpf/prog.h"
#include "bpf/reply.h"
#include "policy/filter_packet.h"
#include "policy/filter_track.h"

/* As long as the kernel waits for the rest of a datagram (ipfrag_time) */
#define FILTER_FRAG_NS 30000000000u

/* A datagram in fragments. @way: enum filter_way */
struct filter_frag {
	struct policy_frag frag;
	uint32_t way;
};

/* Verdict, and of a reject what to answer. */
struct filter_scratch {
	struct filter_run run;
	struct filter_tracked tracked;
	struct policy_view view;
	struct filter_frag frag;
	uint64_t frag_until_ns;
	uint32_t base; /* of the image that judges this frame, read once: vjd may say another one at any time, whose cells are others */
};

BPF_MAP(filter_cfg, BPF_MAP_TYPE_ARRAY, 1, uint32_t, struct filter_cfg, 0);
BPF_MAP(filter_cells, BPF_MAP_TYPE_ARRAY, 2 * FILTER_CELLS_MAX, uint32_t, union filter_cell, BPF_F_MMAPABLE);
BPF_MAP(filter_tracks, BPF_MAP_TYPE_LRU_HASH, FILTER_TRACKS_MAX, struct policy_flow, struct filter_track, 0);
BPF_MAP(filter_frags, BPF_MAP_TYPE_LRU_HASH, POLICY_FRAGS_MAX, struct filter_frag, uint64_t, 0); /* accepted until when */
BPF_MAP(filter_scratch, BPF_MAP_TYPE_PERCPU_ARRAY, 1, uint32_t, struct filter_scratch, 0);

struct filter_loop {
	struct filter_run *run;
	uint32_t base;
};

static long filter_loop_step(uint32_t nr, struct filter_loop *loop)
{
	const struct filter_image img = { .cells = &filter_cells, .base = loop->base };

	(void)nr;
	return !filter_step(loop->run, &img);
}

VJ_INLINE enum filter_verdict filter_loop_run(struct filter_scratch *s, const struct filter_head *head, enum filter_dir dir)
{
	struct filter_run *run = &s->run;
	struct filter_loop loop = { run, s->base };

	filter_begin(run, head, dir);
	if (run->verdict == FILTER_RUNNING)
		bpf_loop(FILTER_STEPS_MAX, filter_loop_step, &loop, 0);
	return run->verdict == FILTER_RUNNING ? FILTER_DROP : (enum filter_verdict)run->verdict;
}

/* Inbound from the wire, outbound to it, or both by way of the loopback device. */
enum filter_way { FILTER_WAY_IN, FILTER_WAY_OUT, FILTER_WAY_LOCAL };

VJ_INLINE enum filter_verdict filter_ways(struct filter_scratch *s, const struct filter_cfg *cfg, const struct filter_head *head,
					  enum filter_way way)
{
	struct filter_run *run = &s->run;
	enum filter_verdict v;

	if (way != FILTER_WAY_IN) {
		filter_fill_ifaces(run, NULL, way == FILTER_WAY_OUT ? &cfg->wire : &cfg->loopback);
		v = filter_loop_run(s, head, FILTER_OUTBOUND);
		if (way == FILTER_WAY_OUT || v != FILTER_ACCEPT)
			return v;
	}
	filter_fill_ifaces(run, way == FILTER_WAY_IN ? &cfg->wire : &cfg->loopback, NULL);
	return filter_loop_run(s, head, FILTER_INBOUND);
}

/* Each with a stack of its own: together they would want more than the caller has left of 512 bytes. */

static VJ_NOINLINE bool filter_parse(const struct policy_frame *frame, struct filter_scratch *s)
{
	return filter_fill(&s->run, frame, &s->view);
}

static VJ_NOINLINE struct filter_track *filter_known(struct filter_scratch *s, enum filter_way way)
{
	return filter_track_look(&s->run, &filter_tracks, &s->view, way == FILTER_WAY_IN ? FILTER_INBOUND : FILTER_OUTBOUND,
				 way == FILTER_WAY_LOCAL, bpf_ktime_get_ns(), &s->tracked);
}

/* Key and value lie in the scratch: gate's stack has no room for them. */
static VJ_NOINLINE int filter_frag_first(struct filter_scratch *s, uint32_t way, bool accepted)
{
	s->frag.frag = policy_frag_key(&s->view);
	s->frag.way = way;
	s->frag_until_ns = bpf_ktime_get_ns() + FILTER_FRAG_NS;
	/* an earlier datagram of this number may have been accepted */
	if (accepted)
		return (int)bpf_map_update_elem(&filter_frags, &s->frag, &s->frag_until_ns, BPF_ANY);
	return (int)bpf_map_delete_elem(&filter_frags, &s->frag);
}

/*
 * The first one was not accepted, or has not been seen: what leaves would pass all rules so, and is dropped. Inbound the kernel gets it, which
 * then has the first one as well, or will judge what it puts together.
 */
static VJ_NOINLINE int filter_frag_later(struct filter_scratch *s, uint32_t way)
{
	const uint64_t *until_ns;

	s->frag.frag = policy_frag_key(&s->view);
	s->frag.way = way;
	until_ns = bpf_map_lookup_elem(&filter_frags, &s->frag);
	if (until_ns && *until_ns >= bpf_ktime_get_ns())
		return FILTER_ACCEPT;
	return way == FILTER_WAY_IN ? FILTER_KERNEL : FILTER_DROP;
}

/*
 * Does the kernel judge datagrams, and not their fragments? What is sent it cuts behind all rules; what comes it puts together before them if it
 * follows connections. Else its rules inbound see fragments, but for those of IPv4's input.
 */
VJ_INLINE bool filter_judges_whole(const struct filter_run *run, uint32_t flags, enum filter_way way)
{
	bool v4 = run->word[FILTER_NFPROTO] == FILTER_NFPROTO_IP4;

	return way != FILTER_WAY_IN || flags & (v4 ? FILTER_WHOLE_IP4 : FILTER_WHOLE_IP6);
}

/*
 * Of a datagram that the kernel judges whole, what goes for the first fragment goes for all. Of another one each has to be accepted by itself, and the first
 * one too: so no more is accepted than the kernel does, whichever of them its rules see.
 */
VJ_INLINE enum filter_verdict filter_frame(struct filter_scratch *s, const struct policy_frame *frame, const struct filter_cfg *cfg,
					   const struct filter_head *head, enum filter_way way)
{
	struct filter_track *known = NULL;
	uint32_t flags = head->flags;
	enum filter_verdict v;
	bool whole;

	if (!filter_parse(frame, s))
		return FILTER_KERNEL;
	whole = filter_judges_whole(&s->run, flags, way);
	if (filter_is_part(&s->run, &s->view)) {
		if (flags & FILTER_SIZED || (flags & FILTER_TIMED && !whole))
			return FILTER_KERNEL;
		if (whole && s->view.frag == POLICY_FRAG_LATER)
			return (enum filter_verdict)filter_frag_later(s, way);
		if (whole)
			filter_fill_whole(&s->run, frame);
	}
	s->run.word[FILTER_DADDR_TYPE] = way == FILTER_WAY_OUT ? FILTER_RTN_UNICAST : FILTER_RTN_LOCAL;
	if (flags & FILTER_TRACKS)
		known = filter_known(s, way);
	v = filter_ways(s, cfg, head, way);
	if (flags & FILTER_TRACKS)
		filter_track_keep(&s->run, &filter_tracks, known, &s->tracked);
	if (s->view.frag == POLICY_FRAG_FIRST)
		filter_frag_first(s, way, v == FILTER_ACCEPT);
	else if (s->view.frag == POLICY_FRAG_LATER && v == FILTER_ACCEPT)
		v = (enum filter_verdict)filter_frag_later(s, way);
	return v;
}

VJ_INLINE int filter_judge_frame(const struct policy_frame *frame, uint32_t way)
{
	const union filter_cell *head;
	const struct filter_cfg *cfg;
	struct filter_scratch *s;
	uint32_t zero = 0, base;

	cfg = bpf_map_lookup_elem(&filter_cfg, &zero);
	if (!cfg || cfg->on == FILTER_OFF)
		return FILTER_ACCEPT;
	if (cfg->on == FILTER_BLIND)
		return FILTER_KERNEL;
	base = cfg->base;
	head = bpf_map_lookup_elem(&filter_cells, &base);
	s = bpf_map_lookup_elem(&filter_scratch, &zero);
	if (!head || !s || head->head.magic != FILTER_MAGIC)
		return FILTER_DROP;
	s->base = base;
	return (int)filter_frame(s, frame, cfg, &head->head, (enum filter_way)way);
}

/* Return: enum filter_verdict. Global functions: their arguments are numbers and the context, which is all that the verifier trusts. */
VJ_NOINLINE int filter_judge(struct xdp_md *ctx, uint32_t way)
{
	struct policy_frame frame = frame_of(ctx);

	return filter_judge_frame(&frame, way);
}

#ifdef VJ_BPF_TC
VJ_NOINLINE int filter_judge_tc(struct __sk_buff *skb, uint32_t way)
{
	struct policy_frame frame = { .data = (const uint8_t *)(uintptr_t)skb->data, .end = (const uint8_t *)(uintptr_t)skb->data_end };

	return filter_judge_frame(&frame, way);
}
#endif

/* Of a frame that was not accepted. Return: XDP_DROP, XDP_TX, or (the kernel's to judge) XDP_PASS */
VJ_INLINE int filter_refuse(struct xdp_md *ctx, int verdict)
{
	struct filter_scratch *s;
	uint32_t zero = 0;

	if (verdict == FILTER_KERNEL)
		return XDP_PASS;
	s = verdict == FILTER_REJECT ? bpf_map_lookup_elem(&filter_scratch, &zero) : NULL;
	return s ? reply_reject(ctx, s->run.arg, s->run.a, s->run.b) : XDP_DROP;
}

#endif
