// SPDX-License-Identifier: BSD-2-Clause
#include "channel/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "channel/area.h"
#include "channel/channel_priv.h"

static int pool_init(struct pool *pool, uint8_t *mem, uint32_t frame_cnt)
{
	pool->mem = mem;
	pool->place = calloc(frame_cnt, sizeof(*pool->place));
	return pool->place ? 0 : -ENOMEM;
}

/*
 * Indices of an area that nobody has used: rings empty but the two that hold the frames that are free from the start. Of the
 * one of these that we consume, all is taken: which frames it holds is known.
 */
static void channel_rings_init(struct vj_channel *ch, const struct vj_channel_options *opts,
			       const struct area_layout *l, uint32_t start)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	const struct vj_area_params *p = &opts->params;
	uint32_t free_cnt = area_start_frames(p);
	unsigned int me = opts->end, peer = !opts->end;
	uint8_t *area = opts->area;

	ring_init(&ch->rx, area + l->data_ring[me], &at, p->ring_cnt, start, start);
	ring_init(&ch->fill, area + l->free_ring[me], &at, p->ring_cnt, start + free_cnt, start);
	ring_init(&ch->tx, area + l->data_ring[peer], &at, p->ring_cnt, start, start);
	ring_init(&ch->completion, area + l->free_ring[peer], &at, p->ring_cnt, start, start + free_cnt);
	ring_release(&ch->completion, free_cnt);
	ch->rx_fresh = ch->tx_start = free_cnt;
}

int channel_attach_at(const struct vj_channel_options *opts, uint32_t start_idx,
		      struct vj_channel **ret_ch)
{
	const struct vj_area_params *p = &opts->params;
	struct area_layout l;
	struct vj_channel *ch;

	if (opts->sz != sizeof(*opts) || opts->end > 1 || !opts->area ||
	    vj_area_params_check(p) < 0 || opts->area_bytes < vj_area_bytes(p) ||
	    !bits_is_aligned((uintptr_t)opts->area, AREA_PAGE_BYTES))
		return -EINVAL;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return -ENOMEM;
	area_layout(p, &l);
	ch->frame_bytes = p->frame_bytes;
	ch->frame_shift = bits_log2_floor(p->frame_bytes);
	ch->frame_cnt = p->frame_cnt;
	ch->wake_fd = opts->wake_fd;
	ch->stash = malloc(p->frame_cnt * sizeof(*ch->stash)); /* written as it is used: a page less to touch */
	if (pool_init(&ch->rx_pool, (uint8_t *)opts->area + l.pool[opts->end], p->frame_cnt) < 0 ||
	    pool_init(&ch->tx_pool, (uint8_t *)opts->area + l.pool[!opts->end], p->frame_cnt) < 0 ||
	    !ch->stash) {
		vj_channel_detach(ch);
		return -ENOMEM;
	}
	channel_rings_init(ch, opts, &l, start_idx);
	ch->rx_kept = p->frame_cnt - ch->rx_fresh;
	memset(ch->rx_pool.place, FRAME_FRESH, ch->rx_fresh);
	memset(ch->rx_pool.place + ch->rx_fresh, FRAME_KEPT, ch->rx_kept);
	memset(ch->tx_pool.place, FRAME_FRESH, ch->tx_start);
	*ret_ch = ch;
	return 0;
}

int vj_channel_attach(const struct vj_channel_options *opts, struct vj_channel **ret_ch)
{
	return channel_attach_at(opts, 0, ret_ch);
}

/* ---- rings of the kernel ------------------------------------------------------------------------------------------- */

static uint32_t shared_index(const void *mem, uint64_t offset)
{
	const uint8_t *base = mem;

	return atomic_load_explicit((const _Atomic uint32_t *)(const void *)(base + offset), memory_order_acquire);
}

/* A ring that somebody has used holds frames that this end knows nothing of. */
static bool ring_is_fresh(const struct channel_ring *r)
{
	return shared_index(r->mem, r->at.producer) == 0 && shared_index(r->mem, r->at.consumer) == 0;
}

static bool rings_are_usable(const struct channel_rings *rings)
{
	const struct channel_ring *const all[] = { &rings->rx, &rings->fill, &rings->tx, &rings->completion };
	uint32_t frames = rings->rx_frame_cnt + rings->tx_frame_cnt;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!bits_is_pow2(all[i]->cnt) || !ring_is_fresh(all[i]))
			return false;
	return bits_is_pow2(rings->frame_bytes) && rings->frame_bytes >= AREA_FRAME_BYTES_MIN && bits_is_pow2(frames) &&
	       frames <= 2 * AREA_CNT_MAX && rings->rx_frame_cnt != 0 && rings->tx_frame_cnt != 0 &&
	       rings->rx.cnt >= rings->rx_frame_cnt && rings->fill.cnt / 2 >= rings->rx_frame_cnt &&
	       rings->tx.cnt / 2 >= rings->tx_frame_cnt && rings->completion.cnt >= rings->tx_frame_cnt;
}

/* Receive frames are the first ones, all given to the kernel; send frames the rest, all here. */
static void kernel_frames_init(struct vj_channel *ch, const struct channel_rings *rings)
{
	uint32_t rx_cnt = rings->rx_frame_cnt;

	memset(ch->rx_pool.place + rx_cnt, FRAME_OTHER, rings->tx_frame_cnt);
	memset(ch->tx_pool.place, FRAME_OTHER, rx_cnt);
	for (uint32_t i = 0; i < rx_cnt; i++)
		ring_addr_set(&ch->fill, ch->fill.next + i, (uint64_t)i << ch->frame_shift);
	ch->fill.next += rx_cnt;
	for (uint32_t frame = ch->frame_cnt; frame-- > rx_cnt;) {
		ch->tx_pool.place[frame] = FRAME_STASH;
		ch->stash[ch->stash_cnt++] = frame;
	}
}

static void kernel_ring_init(struct ring *ring, const struct channel_ring *r)
{
	ring_init(ring, r->mem, &r->at, r->cnt, 0, 0);
}

int channel_attach_kernel(const struct channel_rings *rings, struct vj_channel **ret_ch)
{
	struct vj_channel *ch;

	if (!rings_are_usable(rings))
		return -EINVAL;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return -ENOMEM;
	kernel_ring_init(&ch->rx, &rings->rx);
	kernel_ring_init(&ch->fill, &rings->fill);
	kernel_ring_init(&ch->tx, &rings->tx);
	kernel_ring_init(&ch->completion, &rings->completion);
	ch->frame_bytes = rings->frame_bytes;
	ch->frame_shift = bits_log2_floor(rings->frame_bytes);
	ch->frame_cnt = rings->rx_frame_cnt + rings->tx_frame_cnt;
	ch->wake_fd = -1;
	ch->wake = rings->wake;
	ch->wake_arg = rings->wake_arg;
	ch->always = RING_NEED_WAKEUP;
	ch->fill.flags = &ch->always;
	ch->stash = calloc(ch->frame_cnt, sizeof(*ch->stash));
	if (pool_init(&ch->rx_pool, rings->frames, ch->frame_cnt) < 0 ||
	    pool_init(&ch->tx_pool, rings->frames, ch->frame_cnt) < 0 || !ch->stash) {
		vj_channel_detach(ch);
		return -ENOMEM;
	}
	kernel_frames_init(ch, rings);
	if (ring_publish(&ch->fill))
		ch->wake(ch->wake_arg, true, ch->fill.next);
	*ret_ch = ch;
	return 0;
}

void vj_channel_detach(struct vj_channel *ch)
{
	if (!ch)
		return;
	free(ch->rx_pool.place);
	free(ch->tx_pool.place);
	free(ch->stash);
	free(ch);
}
