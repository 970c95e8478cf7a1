// SPDX-License-Identifier: BSD-2-Clause
#include "stack/flow.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <string.h>

#define FLOW_LOAD_PERCENT 87

_Static_assert(FLOW_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "what XXH3 asks for");

/* ---- segments ---------------------------------------------------------------------------------
 */

static uint32_t home_of(uint32_t tag, uint32_t depth)
{
	return (uint32_t)((uint64_t)(tag << depth) * FLOW_HOMES >> 32);
}

static uintptr_t dir_entry(struct flow_segment *seg, uint32_t depth)
{
	return (uintptr_t)seg | depth;
}

/* Empty; NULL: no memory. */
static struct flow_segment *segment_get(struct flow *flow)
{
	uint32_t idx = pool_get_zero(&flow->segments);
	struct flow_segment *seg;

	if (idx == 0)
		return NULL;
	seg = pool_at(&flow->segments, idx);
	seg->self = idx;
	return seg;
}

int flow_init(struct flow *flow, struct mem *mem, const uint8_t secret[static FLOW_SECRET_BYTES],
	      unsigned int load_percent)
{
	struct flow_segment *seg;
	int ret;

	if (load_percent == 0)
		load_percent = FLOW_LOAD_PERCENT;
	*flow = (struct flow){ .mem = mem, .split_at = FLOW_HOMES * load_percent / 100 };
	memcpy(flow->secret, secret, FLOW_SECRET_BYTES);
	ret = pool_init(&flow->segments, mem, FLOW_SEGMENT_BYTES, 0, 2 << FLOW_DEPTH_MAX);
	if (ret != 0)
		return ret;
	flow->dir = mem_get(mem, sizeof(*flow->dir) << FLOW_DEPTH_MAX);
	seg = flow->dir != NULL ? segment_get(flow) : NULL;
	if (seg == NULL) {
		flow_fini(flow);
		return -ENOMEM;
	}
	flow->dir[0] = dir_entry(seg, 0);
	return 0;
}

void flow_fini(struct flow *flow)
{
	if (flow->mem == NULL)
		return;
	mem_put(flow->mem, flow->dir, sizeof(*flow->dir) << FLOW_DEPTH_MAX);
	pool_fini(&flow->segments);
	*flow = (struct flow){ 0 };
}

uint32_t flow_hash_words(const struct flow *flow, uint64_t w0, uint64_t w1, uint64_t w2,
			 uint64_t w3, uint64_t w4)
{
	const uint64_t words[] = { w0, w1, w2, w3, w4 };
	uint64_t hash =
		XXH3_64bits_withSecret(words, sizeof(words), flow->secret, FLOW_SECRET_BYTES);

	return (uint32_t)(hash >> 32);
}

/* ---- splitting --------------------------------------------------------------------------------
 */

/* Each segment of the directory stands for twice as many tags from now on... so each has two
 * entries. */
static void dir_double(struct flow *flow)
{
	for (uint32_t i = UINT32_C(1) << flow->depth; i-- > 0;) {
		flow->dir[2 * i + 1] = flow->dir[i];
		flow->dir[2 * i] = flow->dir[i];
	}
	flow->depth++;
}

/*
 * The entries of @old from *pos on whose tag is at most @last, in order, to the empty segment @to.
 * Return: false: one would be too far from its home; *pos is that one.
 */
static bool segment_move(struct flow_segment *to, const struct flow_segment *old, uint32_t depth,
			 uint32_t last, uint32_t *pos)
{
	uint32_t next = 0;

	for (; *pos < FLOW_SLOTS - 1; ++*pos) {
		const struct flow_slot *slot = &old->slot[*pos];
		uint32_t home;

		if (slot->id == 0)
			continue;
		if (slot->tag > last)
			return true;
		home = home_of(slot->tag, depth);
		next = max_u32(next, home);
		if (next - home > FLOW_REACH)
			return false;
		to->slot[next++] = *slot;
		to->used++;
	}
	return true;
}

/*
 * Replace a segment by two, each with half of its tags. Return: 0; -ENOMEM; -ENOSPC: at the
 * greatest depth, or the tags are so unlucky that it does not help. The table is as it was then.
 */
static int flow_split(struct flow *flow, uint32_t tag)
{
	uintptr_t entry = flow->dir[tag >> 1 >> (31 - flow->depth)];
	struct flow_segment *old = (struct flow_segment *)(entry & ~(uintptr_t)31), *half[2];
	uint32_t depth = (uint32_t)(entry & 31) + 1, pos = 0;
	uint32_t first_tag = depth > 1 ? tag & ~(UINT32_MAX >> (depth - 1)) : 0;
	uint32_t mid_tag = first_tag | UINT32_C(1) << (32 - depth);
	uint32_t last_tag = mid_tag | (mid_tag - first_tag - 1);
	uint32_t first, cnt;

	if (depth > FLOW_DEPTH_MAX)
		return -ENOSPC;
	half[0] = segment_get(flow);
	half[1] = half[0] != NULL ? segment_get(flow) : NULL;
	if (half[1] == NULL) {
		if (half[0] != NULL)
			pool_put(&flow->segments, half[0]->self);
		return -ENOMEM;
	}
	if (!segment_move(half[0], old, depth, mid_tag - 1, &pos) ||
	    !segment_move(half[1], old, depth, last_tag, &pos)) {
		pool_put(&flow->segments, half[0]->self);
		pool_put(&flow->segments, half[1]->self);
		return -ENOSPC;
	}
	if (depth > flow->depth)
		dir_double(flow);
	cnt = UINT32_C(1) << (flow->depth - depth);
	first = first_tag >> 1 >> (31 - flow->depth);
	for (uint32_t i = 0; i < 2 * cnt; i++)
		flow->dir[first + i] = dir_entry(half[i / cnt], depth);
	pool_put(&flow->segments, old->self);
	return 0;
}

/* ---- entries ----------------------------------------------------------------------------------
 */

/* Return: false: it, or one that would have to make room, would be too far from its home. */
static bool segment_add(struct flow_segment *seg, uint32_t depth, uint32_t tag, uint32_t id)
{
	uint32_t pos = home_of(tag, depth), home = pos, end;

	while (seg->slot[pos].id != 0 && seg->slot[pos].tag <= tag)
		pos++;
	if (pos - home > FLOW_REACH)
		return false;
	for (end = pos; seg->slot[end].id != 0; end++)
		if (end + 1 - home_of(seg->slot[end].tag, depth) > FLOW_REACH)
			return false;
	memmove(&seg->slot[pos + 1], &seg->slot[pos], (end - pos) * sizeof(seg->slot[0]));
	seg->slot[pos] = (struct flow_slot){ .tag = tag, .id = id };
	seg->used++;
	return true;
}

int flow_add(struct flow *flow, uint32_t tag, uint32_t id)
{
	VJ_DASSERT_OP(id, !=, 0u);
	for (;;) {
		uintptr_t entry = flow->dir[tag >> 1 >> (31 - flow->depth)];
		struct flow_segment *seg = (struct flow_segment *)(entry & ~(uintptr_t)31);
		int ret;

		if (likely(seg->used < flow->split_at) &&
		    likely(segment_add(seg, (uint32_t)(entry & 31), tag, id)))
			break;
		ret = flow_split(flow, tag);
		/* Without memory to split, fill up what is there. */
		if (ret != 0 && !segment_add(seg, (uint32_t)(entry & 31), tag, id))
			return -ENOMEM;
		if (ret != 0)
			break;
	}
	flow->used++;
	return 0;
}

/* Where the pair is, which must be there */
static uint32_t segment_pos(const struct flow_segment *seg, uint32_t depth, uint32_t tag, uint32_t id)
{
	uint32_t pos = home_of(tag, depth);

	while (seg->slot[pos].tag != tag || seg->slot[pos].id != id) {
		VJ_ASSERT(seg->slot[pos].id != 0 && seg->slot[pos].tag <= tag);
		pos++;
	}
	return pos;
}

void flow_replace(struct flow *flow, uint32_t tag, uint32_t id, uint32_t new_id)
{
	uintptr_t entry = flow->dir[tag >> 1 >> (31 - flow->depth)];
	struct flow_segment *seg = (struct flow_segment *)(entry & ~(uintptr_t)31);

	VJ_DASSERT_OP(new_id, !=, 0u);
	seg->slot[segment_pos(seg, (uint32_t)(entry & 31), tag, id)].id = new_id;
}

void flow_del(struct flow *flow, uint32_t tag, uint32_t id)
{
	uintptr_t entry = flow->dir[tag >> 1 >> (31 - flow->depth)];
	struct flow_segment *seg = (struct flow_segment *)(entry & ~(uintptr_t)31);
	uint32_t depth = (uint32_t)(entry & 31);
	uint32_t pos = segment_pos(seg, depth, tag, id), end;

	/* Those behind that are not at their home come one nearer to it. */
	for (end = pos + 1; seg->slot[end].id != 0 && home_of(seg->slot[end].tag, depth) < end;)
		end++;
	memmove(&seg->slot[pos], &seg->slot[pos + 1], (end - pos - 1) * sizeof(seg->slot[0]));
	seg->slot[end - 1] = (struct flow_slot){ 0 };
	seg->used--;
	flow->used--;
}
