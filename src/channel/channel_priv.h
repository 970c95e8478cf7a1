// SPDX-License-Identifier: BSD-2-Clause
/* channel_priv.h - the private half of a channel end: channel.c works on it, attach.c makes it */
#ifndef VJ_CHANNEL_CHANNEL_PRIV_H
#define VJ_CHANNEL_CHANNEL_PRIV_H

#include <vj/channel.h>

#include "base/types.h"
#include "channel/attach.h"
#include "channel/ring.h"

/* Colours, a power of two, and the most that they take from a frame. */
#define COLOUR_CNT 8u
#define COLOUR_BYTES (COLOUR_CNT * VJ_CACHELINE)

/* Where data starts in a frame: see the head of channel.c. */
static inline uint32_t frame_colour(uint64_t frame)
{
	return (uint32_t)(frame % COLOUR_CNT) * VJ_CACHELINE;
}

/* Where a frame is. One byte per frame: bits would make each step of a batch wait for the one before. */
enum frame_place {
	FRAME_PEER,  /* the peer may use it: in fill and with the sender, or sent to it */
	FRAME_FRESH, /* the sender has it from the start, and has not used it yet */
	FRAME_HERE,  /* in a struct vj_buf of our caller */
	FRAME_KEPT,  /* receive frames only: ours, and the peer has never had it */
	FRAME_STASH, /* send frames only: got and given back unused; in `stash` */
	FRAME_OTHER, /* of the other pool, where both lie in one memory (attach.h) */
};

/* The frames of one direction. */
struct pool {
	uint8_t *mem;
	uint8_t *place; /* enum frame_place, by frame */
};

struct vj_channel {
	struct ring rx, fill;
	struct pool rx_pool;
	uint32_t rx_held; /* frames of rx_pool that are FRAME_HERE */
	uint32_t rx_kept; /* ... that are FRAME_KEPT: the last ones */
	uint32_t rx_fresh; /* ... that are FRAME_FRESH */
	bool rx_guessed;  /* the last look was in vain, and asked for what comes next */

	struct ring tx, completion;
	struct pool tx_pool;
	uint32_t tx_fresh, tx_start; /* frames of tx_pool from the former to before the latter are FRAME_FRESH */
	uint32_t stash_cnt;
	uint32_t *stash; /* frame numbers, last in first out */

	uint32_t frame_shift; /* log2 of frame_bytes */
	uint32_t frame_bytes;
	uint32_t frame_cnt;
	enum vj_channel_error error;
	int wake_fd;
	channel_wake_fn *wake; /* in place of wake_fd and the flags; NULL on a channel between programs */
	void *wake_arg;
	_Atomic uint32_t always; /* RING_NEED_WAKEUP: the flags of a ring whose every publication is to be told to @wake */
	bool armed_rx, armed_tx;
	struct vj_channel_stats stats;
};

#endif
