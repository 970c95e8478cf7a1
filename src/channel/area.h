// SPDX-License-Identifier: BSD-2-Clause
/*
 * area.h - where things lie in the memory that the two ends of a channel share
 *
 * The layout follows from `struct vj_area_params` alone, which both ends receive by message. The header
 * page repeats it for people with a debugger and for tests; no code takes a decision from that. docs/shm-layout.md
 * says the same in words, for those who write another implementation.
 *
 *	offset 0      struct area_header                 one page
 *	data_ring[0]  ring of struct ring_desc           end 1 produces, end 0 consumes (its rx)
 *	free_ring[0]  ring of frame addresses            end 0 produces (its fill), end 1 consumes
 *	data_ring[1]  ring of struct ring_desc           end 0 produces, end 1 consumes (its rx)
 *	free_ring[1]  ring of frame addresses            end 1 produces (its fill), end 0 consumes
 *	pool[0]       frames that end 0 receives in      end 1 writes, end 0 reads
 *	pool[1]       frames that end 1 receives in      end 0 writes, end 1 reads
 *
 * Every part starts on a page. Addresses in rings are offsets in the pool of the receiving end.
 */
#ifndef VJ_CHANNEL_AREA_H
#define VJ_CHANNEL_AREA_H

#include <vj/channel.h>

#include "base/types.h"
#include "channel/ring.h"

#define AREA_PAGE_BYTES 4096u
#define AREA_HUGE_PAGE_BYTES (2u << 20)

#define AREA_MAGIC UINT64_C(0x0061657261206a76) /* "vj area" in a little-endian dump */
#define AREA_ABI 2u

#define AREA_FRAME_BYTES_MIN 2048u
#define AREA_FRAME_BYTES_MAX 65536u
#define AREA_FRAME_CNT_MIN 2u
#define AREA_CNT_MAX 65536u

/*
 * Frames of a pool that are free from the start. Of a larger pool, the receiving end gives the others to its peer when it
 * finds that it pays (vj_channel_rx_more()): until then they take no memory, and small messages stay in few lines.
 */
#define AREA_START_FRAMES 256u

/* struct xdp_ring of the kernel: each index on its own line, and one more against the adjacent-line prefetcher. */
#define AREA_RING_PRODUCER 0u
#define AREA_RING_CONSUMER 128u
#define AREA_RING_FLAGS 256u
#define AREA_RING_DESC 384u
#define AREA_RING_OFFSETS                                                       \
	{                                                                       \
		.producer = AREA_RING_PRODUCER, .consumer = AREA_RING_CONSUMER, \
		.desc = AREA_RING_DESC, .flags = AREA_RING_FLAGS                \
	}

/* Offsets from the start of the area, by receiving end. */
struct area_layout {
	uint64_t data_ring[2];
	uint64_t free_ring[2];
	uint64_t pool[2];
	uint64_t pool_bytes; /* of one pool */
	uint64_t bytes;	     /* of the whole area */
};

/* At offset 0 of an area. All but the last two: written by the maker before either end attaches, for people and tests only. */
struct area_header {
	uint64_t magic; /* AREA_MAGIC */
	uint32_t abi;	/* AREA_ABI */
	uint32_t header_bytes;
	uint32_t frame_bytes, frame_cnt, ring_cnt;
	uint32_t start_idx; /* what all indices started from; 0 outside of tests */
	struct area_layout layout;
	/* By the ends while they use it: how often end [i] has taken back what it had promised its peer, which decides nothing but how long that waits */
	_Atomic uint32_t taken_back[2];
	/* and how often it has withdrawn its calls that were not answered: stack/tcp_withdraw.c */
	_Atomic uint32_t withdrawn[2];
};

_Static_assert(sizeof(struct vj_area_params) == 12, "sent by message");
_Static_assert(sizeof(struct area_layout) == 64, "part of the header");
_Static_assert(offsetof(struct area_header, layout) == 32, "as in docs/shm-layout.md");
_Static_assert(sizeof(struct area_header) == 112, "as in docs/shm-layout.md");
_Static_assert(sizeof(struct area_header) <= AREA_PAGE_BYTES, "one page");
_Static_assert(AREA_RING_DESC % 128 == 0, "entries start on a line of their own");

static inline uint32_t area_start_frames(const struct vj_area_params *p)
{
	return p->frame_cnt < AREA_START_FRAMES ? p->frame_cnt : AREA_START_FRAMES;
}

/* `p` must have passed vj_area_params_check(). */
void area_layout(const struct vj_area_params *p, struct area_layout *ret_layout);

/* All of a zeroed area that vj_area_init() makes anything but 0: its header, at offset 0, and both free rings, from @start_idx 0 in area_free_ring_head() bytes. */
void area_header_init(struct area_header *header, const struct vj_area_params *p, uint32_t start_idx);
void area_free_ring_init(void *ring, const struct vj_area_params *p, uint32_t start_idx);

static inline size_t area_free_ring_head(const struct vj_area_params *p)
{
	return AREA_RING_DESC + area_start_frames(p) * sizeof(uint64_t);
}

/*
 * vj_area_init() with all indices starting at `start_idx` instead of 0, so that tests see them wrap.
 * Both ends must then be attached with channel_attach_at() and the same number.
 */
int area_init_at(void *area, const struct vj_area_params *p, uint32_t start_idx);

/* vj_channel_attach() for an area of area_init_at(). */
int channel_attach_at(const struct vj_channel_options *opts, uint32_t start_idx,
		      struct vj_channel **ret_ch);

#endif
