// SPDX-License-Identifier: BSD-2-Clause
/*
 * channel_test.h - a channel in plain memory, with both ends in the hands of a test
 *
 * End 0 is what is tested. End 1 is another end of the library, or the test itself: it then writes to the rings by
 * `peer_*`, which point into the shared memory and check nothing.
 */
#ifndef VJ_TEST_CHANNEL_H
#define VJ_TEST_CHANNEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vj/channel.h>

#include "channel/area.h"
#include "channel/ring.h"

struct channel_pair {
	struct vj_area_params params;
	struct area_layout layout;
	uint8_t *area;
	uint32_t start_idx;
	struct vj_channel *ch[2];
	/* The peer's view of the rings of end 0, by their names at end 0. */
	struct ring peer_rx, peer_fill, peer_tx, peer_completion;
};

#define SMALL_PARAMS                                                \
	{                                                           \
		.frame_bytes = 2048, .frame_cnt = 8, .ring_cnt = 16 \
	}

static inline struct vj_channel *pair_attach(struct channel_pair *pair, unsigned int end,
					     int wake_fd)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;
	struct vj_channel *ch = NULL;

	opts.area = pair->area;
	opts.area_bytes = vj_area_bytes(&pair->params);
	opts.params = pair->params;
	opts.end = end;
	opts.wake_fd = wake_fd;
	assert_int_equal(channel_attach_at(&opts, pair->start_idx, &ch), 0);
	return ch;
}

/* Contents as the maker leaves them, and the peer's view of them. */
static inline void pair_reset(struct channel_pair *pair)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	const struct area_layout *l = &pair->layout;
	uint32_t cnt = pair->params.ring_cnt, start = pair->start_idx;

	assert_int_equal(area_init_at(pair->area, &pair->params, start), 0);
	ring_init(&pair->peer_rx, pair->area + l->data_ring[0], &at, cnt, start, start);
	ring_init(&pair->peer_fill, pair->area + l->free_ring[0], &at, cnt, start, start);
	ring_init(&pair->peer_tx, pair->area + l->data_ring[1], &at, cnt, start, start);
	ring_init(&pair->peer_completion, pair->area + l->free_ring[1], &at, cnt,
		  start + pair->params.frame_cnt, start);
}

static inline void pair_open(struct channel_pair *pair, struct vj_area_params params,
			     uint32_t start_idx)
{
	*pair = (struct channel_pair){ .params = params, .start_idx = start_idx };
	area_layout(&params, &pair->layout);
	pair->area = aligned_alloc(AREA_PAGE_BYTES, vj_area_bytes(&params));
	assert_non_null(pair->area);
	memset(pair->area, 0, vj_area_bytes(&params));
	pair_reset(pair);
	pair->ch[0] = pair_attach(pair, 0, -1);
	pair->ch[1] = pair_attach(pair, 1, -1);
}

static inline void pair_close(struct channel_pair *pair)
{
	vj_channel_detach(pair->ch[0]);
	vj_channel_detach(pair->ch[1]);
	free(pair->area);
}

/* As peer: produce a descriptor that end 0 will receive. */
static inline void peer_send(struct channel_pair *pair, uint64_t addr, uint32_t len,
			     uint32_t options)
{
	struct ring *r = &pair->peer_rx;

	ring_desc_set(r, r->next++, (struct ring_desc){ addr, len, options });
	ring_publish(r);
}

/* As peer: produce an entry of the ring in which end 0 finds free frames. */
static inline void peer_give(struct channel_pair *pair, uint64_t addr)
{
	struct ring *r = &pair->peer_completion;

	ring_addr_set(r, r->next++, addr);
	ring_publish(r);
}

#endif
