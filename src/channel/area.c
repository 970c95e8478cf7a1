// SPDX-License-Identifier: BSD-2-Clause
/* area.c - layout and first contents of an area; see area.h for the picture */
#include "channel/area.h"

#include <errno.h>

#include "base/bits.h"

static bool pow2_in(uint32_t value, uint32_t low, uint32_t high)
{
	return bits_is_pow2(value) && value >= low && value <= high;
}

int vj_area_params_check(const struct vj_area_params *p)
{
	if (!pow2_in(p->frame_bytes, AREA_FRAME_BYTES_MIN, AREA_FRAME_BYTES_MAX) ||
	    !pow2_in(p->frame_cnt, AREA_FRAME_CNT_MIN, AREA_CNT_MAX) ||
	    !pow2_in(p->ring_cnt, p->frame_cnt, AREA_CNT_MAX))
		return -EINVAL;
	return 0;
}

/* Put a part of `bytes` at `*end` and move `*end` behind it, to a whole page. */
static uint64_t area_place(uint64_t *end, uint64_t bytes)
{
	uint64_t at = *end;

	*end = bits_align_up(at + bytes, AREA_PAGE_BYTES);
	return at;
}

void area_layout(const struct vj_area_params *p, struct area_layout *ret_layout)
{
	struct area_layout l = { .pool_bytes = (uint64_t)p->frame_bytes * p->frame_cnt };
	uint64_t end = AREA_PAGE_BYTES;

	for (unsigned int i = 0; i < 2; i++) {
		l.data_ring[i] = area_place(
			&end, AREA_RING_DESC + p->ring_cnt * (uint64_t)sizeof(struct ring_desc));
		l.free_ring[i] =
			area_place(&end, AREA_RING_DESC + p->ring_cnt * (uint64_t)sizeof(uint64_t));
	}
	for (unsigned int i = 0; i < 2; i++)
		l.pool[i] = area_place(&end, l.pool_bytes);
	l.bytes = end;
	*ret_layout = l;
}

size_t vj_area_bytes(const struct vj_area_params *p)
{
	struct area_layout l;

	area_layout(p, &l);
	return (size_t)l.bytes;
}

void area_header_init(struct area_header *header, const struct vj_area_params *p, uint32_t start_idx)
{
	*header = (struct area_header){
		.magic = AREA_MAGIC,
		.abi = AREA_ABI,
		.header_bytes = sizeof(*header),
		.frame_bytes = p->frame_bytes,
		.frame_cnt = p->frame_cnt,
		.ring_cnt = p->ring_cnt,
		.start_idx = start_idx,
	};
	area_layout(p, &header->layout);
}

void area_free_ring_init(void *ring, const struct vj_area_params *p, uint32_t start_idx)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	struct ring fill;

	ring_init(&fill, ring, &at, p->ring_cnt, start_idx, start_idx);
	atomic_store_explicit(fill.consumer, start_idx, memory_order_relaxed);
	for (uint32_t frame = 0; frame < area_start_frames(p); frame++)
		ring_addr_set(&fill, fill.next++, (uint64_t)frame * p->frame_bytes);
	ring_publish(&fill);
}

int area_init_at(void *area, const struct vj_area_params *p, uint32_t start_idx)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	struct area_layout l;

	if (vj_area_params_check(p) < 0 || !bits_is_aligned((uintptr_t)area, AREA_PAGE_BYTES))
		return -EINVAL;
	area_layout(p, &l);
	area_header_init(area, p, start_idx);
	for (unsigned int i = 0; i < 2; i++) {
		struct ring data;

		ring_init(&data, (uint8_t *)area + l.data_ring[i], &at, p->ring_cnt, start_idx,
			  start_idx);
		atomic_store_explicit(data.consumer, start_idx, memory_order_relaxed);
		ring_publish(&data);
		area_free_ring_init((uint8_t *)area + l.free_ring[i], p, start_idx);
	}
	return 0;
}

int vj_area_init(void *area, const struct vj_area_params *p)
{
	return area_init_at(area, p, 0);
}
