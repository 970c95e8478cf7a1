// SPDX-License-Identifier: BSD-2-Clause
/*
 * channel.c - one end of a channel
 *
 * Theory of operation
 *
 * An end holds one side of four rings (ring.h) and a private account of every frame. In each pool a frame is
 * either here or with the peer; it moves only by a descriptor or a free-frame entry that this end has read
 * and checked, or written. What the peer writes anywhere can therefore not make this end use a frame twice,
 * leave the pools, or lose its own count:
 *
 *	pool we receive in           here ─── fill ──► peer ─── rx ──► here
 *	pool we send in              peer ─ completion ► here ─── tx ──► peer
 *
 * Rings cannot run full between honest ends: a ring has at least as many entries as there are frames, and a frame
 * comes back only after its entry has been consumed. So "full" means that the peer gives frames back without
 * consuming, and is a violation like any other.
 *
 * Violations close the channel: `error` is set, and every function returns at its first line from then on.
 * Nothing is written to the area any more, nothing in it is read.
 *
 * Cache sets: frames lie 2^k bytes apart, so the first lines of all frames would share one set of the
 * first-level cache (64 sets of 64 bytes: 4 KiB), and a batch of 64 would not fit in its 8 to 12 ways. Data
 * therefore starts at a different line in each of 8 neighbouring frames (frame_colour()).
 */
#include <vj/channel.h>

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bits.h"
#include "channel/area.h"
#include "channel/bell.h"
#include "channel/prefetch.h"
#include "channel/ring.h"

/* Colours, a power of two, and the most that they take from a frame. */
#define COLOUR_CNT 8u
#define COLOUR_BYTES (COLOUR_CNT * VJ_CACHELINE)

/* Where a frame is. One byte per frame: bits would make each step of a batch wait for the one before. */
enum frame_place {
	FRAME_PEER,  /* the peer may use it: in fill and with the sender, or sent to it */
	FRAME_HERE,  /* in a struct vj_buf of our caller */
	FRAME_STASH, /* send frames only: got and given back unused; in `stash` */
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

	struct ring tx, completion;
	struct pool tx_pool;
	uint32_t stash_cnt;
	uint32_t *stash; /* frame numbers, last in first out */

	uint32_t frame_shift; /* log2 of frame_bytes */
	uint32_t frame_bytes;
	uint32_t frame_cnt;
	enum vj_channel_error error;
	int wake_fd;
	bool armed_rx, armed_tx;
	struct vj_channel_stats stats;
};

const char *vj_channel_error_text(enum vj_channel_error why)
{
	static const char *const texts[] = {
#define X(name, text) text,
		VJ_CHANNEL_ERRORS(X)
#undef X
	};

	return (size_t)why < ARRAY_SIZE(texts) ? texts[why] : "unknown";
}

static int pool_init(struct pool *pool, uint8_t *mem, uint32_t frame_cnt)
{
	pool->mem = mem;
	pool->place = calloc(frame_cnt, sizeof(*pool->place));
	return pool->place ? 0 : -ENOMEM;
}

/* Indices of an area that nobody has used: rings empty but the two that hold all free frames. */
static void channel_rings_init(struct vj_channel *ch, const struct vj_channel_options *opts,
			       const struct area_layout *l, uint32_t start)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	const struct vj_area_params *p = &opts->params;
	unsigned int me = opts->end, peer = !opts->end;
	uint8_t *area = opts->area;

	ring_init(&ch->rx, area + l->data_ring[me], &at, p->ring_cnt, start, start);
	ring_init(&ch->fill, area + l->free_ring[me], &at, p->ring_cnt, start + p->frame_cnt,
		  start);
	ring_init(&ch->tx, area + l->data_ring[peer], &at, p->ring_cnt, start, start);
	ring_init(&ch->completion, area + l->free_ring[peer], &at, p->ring_cnt, start, start);
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
	channel_rings_init(ch, opts, &l, start_idx);
	ch->frame_bytes = p->frame_bytes;
	ch->frame_shift = bits_log2_floor(p->frame_bytes);
	ch->frame_cnt = p->frame_cnt;
	ch->wake_fd = opts->wake_fd;
	ch->stash = calloc(p->frame_cnt, sizeof(*ch->stash));
	if (pool_init(&ch->rx_pool, (uint8_t *)opts->area + l.pool[opts->end], p->frame_cnt) < 0 ||
	    pool_init(&ch->tx_pool, (uint8_t *)opts->area + l.pool[!opts->end], p->frame_cnt) < 0 ||
	    !ch->stash) {
		vj_channel_detach(ch);
		return -ENOMEM;
	}
	*ret_ch = ch;
	return 0;
}

int vj_channel_attach(const struct vj_channel_options *opts, struct vj_channel **ret_ch)
{
	return channel_attach_at(opts, 0, ret_ch);
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

uint32_t vj_channel_room(const struct vj_channel *ch)
{
	return ch->frame_bytes - (COLOUR_BYTES - VJ_CACHELINE);
}

VJ_COLD void vj_channel_close(struct vj_channel *ch, enum vj_channel_error why)
{
	if (ch->error == VJ_CHANNEL_ERR_NONE)
		ch->error = why;
}

enum vj_channel_error vj_channel_error(const struct vj_channel *ch)
{
	return ch->error;
}

void vj_channel_stats(const struct vj_channel *ch, struct vj_channel_stats *ret_stats)
{
	*ret_stats = ch->stats;
}

uint32_t vj_channel_rx_held(const struct vj_channel *ch)
{
	return ch->rx_held;
}

/* The consumer of `ring` sleeps. Of all who see that, one rings. */
static VJ_COLD void channel_wake(struct vj_channel *ch, struct ring *ring)
{
	if (!ring_claim_wake(ring) || ch->wake_fd < 0)
		return;
	bell_ring(ch->wake_fd);
	ch->stats.wakes_sent++;
}

/* Receiving. */

/* What is wrong with a descriptor of the peer? Each bound is checked before what follows relies on it. */
static inline enum vj_channel_error rx_check(const struct vj_channel *ch, struct ring_desc desc)
{
	uint64_t frame = desc.addr >> ch->frame_shift;
	uint64_t offset = desc.addr & (ch->frame_bytes - 1);

	if (unlikely(frame >= ch->frame_cnt))
		return VJ_CHANNEL_ERR_RX_ADDR;
	if (unlikely(desc.len == 0 || offset + desc.len > ch->frame_bytes))
		return VJ_CHANNEL_ERR_RX_LEN;
	if (unlikely(desc.options != 0))
		return VJ_CHANNEL_ERR_RX_OPTIONS;
	if (unlikely(ch->rx_pool.place[frame] != FRAME_PEER))
		return VJ_CHANNEL_ERR_RX_OWNER;
	return VJ_CHANNEL_ERR_NONE;
}

unsigned vj_channel_rx(struct vj_channel *ch, struct vj_buf *bufs, unsigned n)
{
	uint64_t bytes = 0;
	uint32_t ready, i;

	if (unlikely(ch->error))
		return 0;
	ready = ring_ready(&ch->rx);
	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_RX_INDEX);
		return 0;
	}
	n = min_u32(n, ready);
	for (i = 0; i < n; i++) {
		struct ring_desc desc = ring_desc_get(&ch->rx, ch->rx.next + i);
		enum vj_channel_error why = rx_check(ch, desc);
		uint8_t *data;

		if (unlikely(why)) {
			vj_channel_close(ch, why);
			break;
		}
		data = ch->rx_pool.mem + desc.addr;
		prefetch_read(data);
		bufs[i].data = data;
		bufs[i].len = desc.len;
		bufs[i].room = ch->frame_bytes - (uint32_t)(desc.addr & (ch->frame_bytes - 1));
		bufs[i].addr = desc.addr;
		ch->rx_pool.place[desc.addr >> ch->frame_shift] = FRAME_HERE;
		bytes += desc.len;
	}
	if (i == 0)
		return 0;
	ring_release(&ch->rx, i);
	ch->rx_held += i;
	ch->stats.rx_frames += i;
	ch->stats.rx_bytes += bytes;
	return i;
}

void vj_channel_rx_free(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n)
{
	uint32_t room;

	if (unlikely(ch->error || n == 0))
		return;
	VJ_ASSERT_OP(n, <=, ch->rx_held);
	room = ring_room(&ch->fill, n);
	if (unlikely(room == RING_BAD || room < n)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_CONSUMER_INDEX);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t frame = bufs[i].addr >> ch->frame_shift;

		VJ_ASSERT_OP(frame, <, ch->frame_cnt);
		VJ_ASSERT_OP(ch->rx_pool.place[frame], ==, FRAME_HERE);
		ch->rx_pool.place[frame] = FRAME_PEER;
		ring_addr_set(&ch->fill, ch->fill.next + i, frame << ch->frame_shift);
	}
	ch->fill.next += n;
	ch->rx_held -= n;
	if (ring_publish(&ch->fill))
		channel_wake(ch, &ch->fill);
}

bool vj_channel_rx_ready(struct vj_channel *ch)
{
	uint32_t ready;

	if (unlikely(ch->error))
		return false;
	ready = ring_ready(&ch->rx);
	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_RX_INDEX);
		return false;
	}
	return ready != 0;
}

/* Sending. */

/* Where data starts in a frame: see the head of the file. */
static inline uint32_t frame_colour(uint64_t frame)
{
	return (uint32_t)(frame % COLOUR_CNT) * VJ_CACHELINE;
}

static inline void tx_buf_set(struct vj_channel *ch, struct vj_buf *buf, uint64_t frame)
{
	uint32_t colour = frame_colour(frame);

	buf->addr = (frame << ch->frame_shift) + colour;
	buf->data = ch->tx_pool.mem + buf->addr;
	buf->len = 0;
	buf->room = ch->frame_bytes - colour;
	ch->tx_pool.place[frame] = FRAME_HERE;
	prefetch_write(buf->data);
}

/* Frames that came back through the completion ring, at most `n`. */
static uint32_t tx_get_completed(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	uint32_t ready = ring_ready(&ch->completion);
	uint32_t i;

	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_INDEX);
		return 0;
	}
	n = min_u32(n, ready);
	for (i = 0; i < n; i++) {
		uint64_t addr = ring_addr_get(&ch->completion, ch->completion.next + i);
		uint64_t frame = addr >> ch->frame_shift;

		if (unlikely(frame >= ch->frame_cnt)) {
			vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_ADDR);
			break;
		}
		if (unlikely(ch->tx_pool.place[frame] != FRAME_PEER)) {
			vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_OWNER);
			break;
		}
		tx_buf_set(ch, &bufs[i], frame);
	}
	if (i != 0)
		ring_release(&ch->completion, i);
	return i;
}

unsigned vj_channel_tx_get(struct vj_channel *ch, struct vj_buf *bufs, unsigned n)
{
	uint32_t got = 0;

	if (unlikely(ch->error))
		return 0;
	while (got < n && ch->stash_cnt > 0)
		tx_buf_set(ch, &bufs[got++], ch->stash[--ch->stash_cnt]);
	if (got < n)
		got += tx_get_completed(ch, bufs + got, n - got);
	if (got < n)
		ch->stats.tx_no_frame++;
	return got;
}

void vj_channel_tx_unget(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n)
{
	if (unlikely(ch->error))
		return;
	/* Backwards, so that they come out again in the order they had. */
	while (n-- > 0) {
		uint64_t frame = bufs[n].addr >> ch->frame_shift;

		VJ_ASSERT_OP(frame, <, ch->frame_cnt);
		VJ_ASSERT_OP(ch->tx_pool.place[frame], ==, FRAME_HERE);
		ch->tx_pool.place[frame] = FRAME_STASH;
		ch->stash[ch->stash_cnt++] = (uint32_t)frame;
	}
}

void vj_channel_tx_put(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n)
{
	uint64_t bytes = 0;
	uint32_t room;

	if (unlikely(ch->error || n == 0))
		return;
	room = ring_room(&ch->tx, n);
	if (unlikely(room == RING_BAD || room < n)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_CONSUMER_INDEX);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t frame = bufs[i].addr >> ch->frame_shift;
		/* From @data, which may have moved; a pointer outside of the frame shows as a large offset. */
		uint64_t addr = (uint64_t)(bufs[i].data - ch->tx_pool.mem);
		uint64_t offset = addr - (frame << ch->frame_shift);

		VJ_ASSERT_OP(frame, <, ch->frame_cnt);
		VJ_ASSERT_OP(ch->tx_pool.place[frame], ==, FRAME_HERE);
		VJ_ASSERT_OP(bufs[i].len, >, 0u);
		VJ_ASSERT_OP(offset, <, ch->frame_bytes);
		VJ_ASSERT_OP(offset + bufs[i].len, <=, ch->frame_bytes);
		ch->tx_pool.place[frame] = FRAME_PEER;
		ring_desc_set(&ch->tx, ch->tx.next + i,
			      (struct ring_desc){ .addr = addr, .len = bufs[i].len });
		bytes += bufs[i].len;
	}
	ch->tx.next += n;
	ch->stats.tx_frames += n;
	ch->stats.tx_bytes += bytes;
}

void vj_channel_tx_publish(struct vj_channel *ch)
{
	if (unlikely(ch->error))
		return;
	if (ring_publish(&ch->tx))
		channel_wake(ch, &ch->tx);
}

bool vj_channel_tx_ready(struct vj_channel *ch)
{
	uint32_t ready;

	if (unlikely(ch->error))
		return false;
	if (ch->stash_cnt > 0)
		return true;
	ready = ring_ready(&ch->completion);
	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_INDEX);
		return false;
	}
	return ready != 0;
}

/* Sleeping; the hand-shake is drawn in ring.h. */

bool vj_channel_arm(struct vj_channel *ch, bool want_tx)
{
	uint32_t rx_ready, tx_ready = 0;

	if (unlikely(ch->error))
		return true;
	ring_arm(&ch->rx);
	ch->armed_rx = true;
	if (want_tx) {
		ring_arm(&ch->completion);
		ch->armed_tx = true;
		tx_ready = ring_armed_ready(&ch->completion);
	}
	rx_ready = ring_armed_ready(&ch->rx);
	if (unlikely(rx_ready == RING_BAD || tx_ready == RING_BAD)) {
		vj_channel_close(ch, rx_ready == RING_BAD ? VJ_CHANNEL_ERR_RX_INDEX
							  : VJ_CHANNEL_ERR_FREE_INDEX);
		return false;
	}
	if (rx_ready != 0 || tx_ready != 0 || (want_tx && ch->stash_cnt > 0)) {
		vj_channel_disarm(ch);
		return false;
	}
	ch->stats.sleeps++;
	return true;
}

void vj_channel_disarm(struct vj_channel *ch)
{
	if (unlikely(ch->error))
		return;
	if (ch->armed_rx)
		ring_disarm(&ch->rx);
	if (ch->armed_tx)
		ring_disarm(&ch->completion);
	ch->armed_rx = false;
	ch->armed_tx = false;
}
