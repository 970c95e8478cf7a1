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
 * Frames that the sender has from the start are fresh until it has used them. It takes one only if none has come back: a page
 * that was never used costs both ends a fault, and there are 512 of them in a channel over which perhaps 20 messages go.
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
 * therefore starts at a different line in each of 8 neighbouring frames (frame_colour()). Measured with 64-byte frames
 * in batches of 64 between two processors: without it a third fewer frames pass; 16 lines bring nothing over 8.
 */
#include <vj/channel.h>

#include "base/assert.h"
#include "channel/bell.h"
#include "channel/channel_priv.h"
#include "channel/prefetch.h"

/* Entries of a data ring and of a free ring in a cache line, and how far ahead those of a data ring are fetched. */
#define DESC_PER_LINE (VJ_CACHELINE / sizeof(struct ring_desc))
#define ADDR_PER_LINE (VJ_CACHELINE / sizeof(uint64_t))
#define RX_FETCH_AHEAD 16u
/* Up to so many frames at once, fetching on a guess pays; in longer batches one frame's work hides the next one's fetch. */
#define RX_GUESS_MAX 2u

const char *vj_channel_error_text(enum vj_channel_error why)
{
	static const char texts[][80] = { /* no pointers: they would be relocated in every process */
#define X(name, text) text,
		VJ_CHANNEL_ERRORS(X)
#undef X
	};

	return (size_t)why < ARRAY_SIZE(texts) ? texts[why] : "unknown";
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
	if (ch->wake) {
		ch->stats.wakes_sent += ch->wake(ch->wake_arg, ring == &ch->fill, ring->next);
		return;
	}
	if (!ring_claim_wake(ring) || ch->wake_fd < 0)
		return;
	bell_ring(ch->wake_fd);
	ch->stats.wakes_sent++;
}

/*
 * The four functions that every frame passes. Each takes what it needs of the channel into locals first: stores to
 * shared memory may, as far as the compiler can know, change any field of the channel, and it would load them
 * all again for every frame.
 *
 * They are compiled twice, for one frame and for many, and apart (VJ_NOINLINE). A message by itself is the commonest case by
 * far; what a loop prepares and saves would be half of what it costs.
 */

/* Receiving. */

/* Which rule does a descriptor break that cannot be used? In the order in which one check relies on another. */
static VJ_COLD enum vj_channel_error rx_reason(const struct vj_channel *ch, struct ring_desc desc)
{
	if (desc.addr >> ch->frame_shift >= ch->frame_cnt)
		return VJ_CHANNEL_ERR_RX_ADDR;
	if (desc.len - 1 >= ch->frame_bytes - (desc.addr & (ch->frame_bytes - 1)))
		return VJ_CHANNEL_ERR_RX_LEN;
	if (desc.options != 0)
		return VJ_CHANNEL_ERR_RX_OPTIONS;
	return VJ_CHANNEL_ERR_RX_OWNER;
}

/*
 * The next descriptor could not be used. Return: true: it is the first of its frame, and can be now; false: the channel is closed. What
 * is there when it is read again is checked again.
 */
static VJ_COLD bool rx_first(struct vj_channel *ch)
{
	struct ring_desc desc = ring_desc_get(&ch->rx, ch->rx.next);
	enum vj_channel_error why = rx_reason(ch, desc);
	uint64_t frame = desc.addr >> ch->frame_shift;

	if (why != VJ_CHANNEL_ERR_RX_OWNER || ch->rx_pool.place[frame] != FRAME_FRESH) {
		vj_channel_close(ch, why);
		return false;
	}
	ch->rx_pool.place[frame] = FRAME_PEER;
	ch->rx_fresh--;
	return true;
}

/* Up to `n` entries of the data ring into `bufs`; fewer if one of them can't be used. */
VJ_INLINE uint32_t rx_take(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	const struct ring ring = ch->rx;
	const struct pool pool = ch->rx_pool;
	const uint32_t shift = ch->frame_shift, frame_cnt = ch->frame_cnt;
	const uint32_t frame_bytes = ch->frame_bytes;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct ring_desc desc = ring_desc_get(&ring, ring.next + i);
		uint64_t frame = desc.addr >> shift;
		uint32_t room = frame_bytes - (uint32_t)(desc.addr & (frame_bytes - 1));

		/* Length 0 wraps to more than any room. */
		if (unlikely(frame >= frame_cnt || desc.len - 1 >= room || desc.options != 0 ||
			     pool.place[frame] != FRAME_PEER))
			break;
		bufs[i].data = pool.mem + desc.addr;
		prefetch_read(bufs[i].data);
		bufs[i].len = desc.len;
		bufs[i].room = room;
		bufs[i].addr = desc.addr;
		pool.place[frame] = FRAME_HERE;
		bytes += desc.len;
	}
	ch->rx_held += i;
	ch->stats.rx_frames += i;
	ch->stats.rx_bytes += bytes;
	if (i != 0)
		ring_release(&ch->rx, i);
	return i;
}

static VJ_NOINLINE uint32_t rx_take_many(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	return rx_take(ch, bufs, n);
}

/*
 * A message by itself: index, descriptor and data are in the peer's cache, and one would be waited for after the other. A
 * sender that uses frames in the order in which they came back sends in the frame whose fill entry has the number of this
 * descriptor, plus that of the fresh ones, so all can be fetched at once: whoever looks in vain has asked for the rest before it
 * looks again, and when the index comes, they come with it. A guess: whatever it fetches, the descriptor decides.
 */
static inline void rx_guess(struct vj_channel *ch)
{
	uint64_t addr = ring_addr_get(&ch->fill, ch->rx.next + ch->rx_fresh) & (((uint64_t)ch->frame_cnt << ch->frame_shift) - 1);
	const uint8_t *data = ch->rx_pool.mem + addr + frame_colour(addr >> ch->frame_shift);

	prefetch_read((const void *)ring_desc_at(&ch->rx, ch->rx.next));
	prefetch_read(data);
	prefetch_read(data + VJ_CACHELINE);
}

void channel_rx_soon(struct vj_channel *ch)
{
	if (unlikely(ch->error))
		return;
	rx_guess(ch);
	ch->rx_guessed = true;
}

unsigned vj_channel_rx(struct vj_channel *ch, struct vj_buf *bufs, unsigned n)
{
	uint32_t ready, took;

	if (unlikely(ch->error))
		return 0;
	ready = ring_ready(&ch->rx);
	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_RX_INDEX);
		return 0;
	}
	if (ready == 0) {
		rx_guess(ch);
		ch->rx_guessed = true;
		return 0;
	}
	if (ready <= RX_GUESS_MAX && !ch->rx_guessed)
		rx_guess(ch);
	ch->rx_guessed = false;
	n = min_u32(n, ready);
	took = n == 1 ? rx_take(ch, bufs, 1) : rx_take_many(ch, bufs, n);
	while (unlikely(took < n) && rx_first(ch))
		took += rx_take_many(ch, bufs + took, n - took);
	return took;
}

/*
 * Frames given back are followed by the next ones: start to fetch what the next vj_channel_rx() will find, while this
 * batch still has work to do. The descriptor is only a hint here, and an address is all that is taken from it.
 */
static inline void rx_fetch(const struct ring *rx, uint32_t idx, const struct pool *pool,
			    uint64_t pool_mask)
{
	if (idx % DESC_PER_LINE == 0)
		prefetch_read((const void *)ring_desc_at(rx, idx + RX_FETCH_AHEAD));
	prefetch_read(pool->mem + (ring_desc_get(rx, idx).addr & pool_mask));
}

VJ_INLINE void rx_give(struct vj_channel *ch, const struct vj_buf *bufs, uint32_t n)
{
	const uint32_t shift = ch->frame_shift, frame_cnt = ch->frame_cnt;
	const struct ring rx = ch->rx;
	const struct pool pool = ch->rx_pool;
	const uint32_t ahead = rx.cached - rx.next;
	uint32_t room;
	struct ring ring;

	VJ_ASSERT_OP(n, <=, ch->rx_held);
	room = ring_room(&ch->fill, n);
	if (unlikely(room == RING_BAD || room < n)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_CONSUMER_INDEX);
		return;
	}
	ring = ch->fill;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t frame = bufs[i].addr >> shift;

		VJ_ASSERT_OP(frame, <, frame_cnt);
		VJ_ASSERT_OP(pool.place[frame], ==, FRAME_HERE);
		if (i < ahead)
			rx_fetch(&rx, rx.next + i, &pool, ((uint64_t)frame_cnt << shift) - 1);
		pool.place[frame] = FRAME_PEER;
		ring_addr_set(&ring, ring.next + i, frame << shift);
	}
	ch->fill.next += n;
	ch->rx_held -= n;
	if (ring_publish(&ch->fill))
		channel_wake(ch, &ch->fill);
}

static VJ_NOINLINE void rx_give_many(struct vj_channel *ch, const struct vj_buf *bufs, uint32_t n)
{
	rx_give(ch, bufs, n);
}

void vj_channel_rx_free(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n)
{
	if (unlikely(ch->error || n == 0))
		return;
	if (n == 1)
		rx_give(ch, bufs, 1);
	else
		rx_give_many(ch, bufs, n);
}

unsigned vj_channel_rx_more(struct vj_channel *ch, unsigned n)
{
	uint32_t room, frame = ch->frame_cnt - ch->rx_kept;

	n = min_u32(n, ch->rx_kept);
	if (unlikely(ch->error) || n == 0)
		return 0;
	room = ring_room(&ch->fill, n);
	if (unlikely(room == RING_BAD || room < n)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_CONSUMER_INDEX);
		return 0;
	}
	ch->rx_kept -= n;
	for (unsigned i = 0; i < n; i++, frame++) {
		VJ_ASSERT_OP(ch->rx_pool.place[frame], ==, FRAME_KEPT);
		ch->rx_pool.place[frame] = FRAME_PEER;
		ring_addr_set(&ch->fill, ch->fill.next++, (uint64_t)frame << ch->frame_shift);
	}
	if (ring_publish(&ch->fill))
		channel_wake(ch, &ch->fill);
	return n;
}

/* What a look at the ring has said. Return: is there something? */
static inline bool rx_seen(struct vj_channel *ch, uint32_t ready)
{
	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_RX_INDEX);
		return false;
	}
	return ready != 0;
}

bool channel_rx_look(struct vj_channel *ch)
{
	return likely(!ch->error) && rx_seen(ch, ring_armed_ready(&ch->rx));
}

bool vj_channel_rx_ready(struct vj_channel *ch)
{
	return likely(!ch->error) && rx_seen(ch, ring_ready(&ch->rx));
}

/* Sending. */

static inline void tx_buf_set(const struct pool *pool, struct vj_buf *buf, uint64_t frame,
			      uint32_t frame_shift)
{
	uint32_t colour = frame_colour(frame);

	buf->addr = (frame << frame_shift) + colour;
	buf->data = pool->mem + buf->addr;
	buf->len = 0;
	buf->room = (1u << frame_shift) - colour;
	pool->place[frame] = FRAME_HERE;
}

/* Frames to send in that nobody has to give back first */
static inline bool tx_has_own(const struct vj_channel *ch)
{
	return ch->stash_cnt > 0 || ch->tx_fresh < ch->tx_start;
}

/* Up to `n` frames that came back through the completion ring; fewer if one of them closes the channel. */
static uint32_t tx_take_completed(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	const struct ring ring = ch->completion;
	const struct pool pool = ch->tx_pool;
	const uint32_t shift = ch->frame_shift, frame_cnt = ch->frame_cnt;
	uint32_t i;

	for (i = 0; i < n; i += ADDR_PER_LINE)
		prefetch_read((const void *)ring_addr_at(&ring, ring.next + i));
	for (i = 0; i < n; i++) {
		uint64_t frame = ring_addr_get(&ring, ring.next + i) >> shift;

		if (unlikely(frame >= frame_cnt)) {
			vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_ADDR);
			break;
		}
		if (unlikely(pool.place[frame] != FRAME_PEER)) {
			vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_OWNER);
			break;
		}
		tx_buf_set(&pool, &bufs[i], frame, shift);
	}
	return i;
}

static uint32_t tx_get_completed(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	uint32_t ready = ring_ready(&ch->completion);

	if (unlikely(ready == RING_BAD)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_FREE_INDEX);
		return 0;
	}
	n = tx_take_completed(ch, bufs, min_u32(n, ready));
	if (n != 0)
		ring_release(&ch->completion, n);
	return n;
}

static uint32_t tx_get_fresh(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	n = min_u32(n, ch->tx_start - ch->tx_fresh);
	for (uint32_t i = 0; i < n; i++)
		tx_buf_set(&ch->tx_pool, &bufs[i], ch->tx_fresh++, ch->frame_shift);
	return n;
}

/* Such as have been used before */
static uint32_t tx_get_used(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n)
{
	uint32_t got = 0;

	while (got < n && ch->stash_cnt > 0)
		tx_buf_set(&ch->tx_pool, &bufs[got++], ch->stash[--ch->stash_cnt], ch->frame_shift);
	if (got < n)
		got += tx_get_completed(ch, bufs + got, n - got);
	return got;
}

/* @least: if fewer have come back, others are taken up to that */
static inline unsigned tx_get(struct vj_channel *ch, struct vj_buf *bufs, uint32_t n, uint32_t least)
{
	uint32_t got;

	if (unlikely(ch->error))
		return 0;
	got = tx_get_used(ch, bufs, n);
	if (unlikely(got < least) && !ch->error)
		got += tx_get_fresh(ch, bufs + got, least - got);
	if (got < least)
		ch->stats.tx_no_frame++;
	return got;
}

unsigned vj_channel_tx_get(struct vj_channel *ch, struct vj_buf *bufs, unsigned n)
{
	return tx_get(ch, bufs, n, n);
}

unsigned channel_tx_get_sparing(struct vj_channel *ch, struct vj_buf *bufs, unsigned n)
{
	return tx_get(ch, bufs, n, min_u32(n, 1));
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

VJ_INLINE void tx_queue(struct vj_channel *ch, const struct vj_buf *bufs, uint32_t n)
{
	const uint32_t shift = ch->frame_shift, frame_cnt = ch->frame_cnt;
	const uint32_t frame_bytes = ch->frame_bytes;
	const struct pool pool = ch->tx_pool;
	uint64_t bytes = 0;
	uint32_t room;
	struct ring ring;

	room = ring_room(&ch->tx, n);
	if (unlikely(room == RING_BAD || room < n)) {
		vj_channel_close(ch, VJ_CHANNEL_ERR_CONSUMER_INDEX);
		return;
	}
	ring = ch->tx;
	for (uint32_t i = 0; i < n; i++) {
		/* From @data, which may have moved, but not out of its frame; and length 0 wraps to too much. */
		uint64_t addr = (uint64_t)(bufs[i].data - pool.mem);
		uint64_t frame = bufs[i].addr >> shift;
		uint32_t len = bufs[i].len;

		VJ_ASSERT_OP(addr >> shift, ==, frame);
		VJ_ASSERT_OP(frame, <, frame_cnt);
		VJ_ASSERT_OP(len - 1, <, frame_bytes - (uint32_t)(addr & (frame_bytes - 1)));
		VJ_ASSERT_OP(pool.place[frame], ==, FRAME_HERE);
		pool.place[frame] = FRAME_PEER;
		ring_desc_set(&ring, ring.next + i, (struct ring_desc){ .addr = addr, .len = len });
		bytes += len;
	}
	ch->tx.next += n;
	ch->stats.tx_frames += n;
	ch->stats.tx_bytes += bytes;
}

static VJ_NOINLINE void tx_queue_many(struct vj_channel *ch, const struct vj_buf *bufs, uint32_t n)
{
	tx_queue(ch, bufs, n);
}

void vj_channel_tx_put(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n)
{
	if (unlikely(ch->error || n == 0))
		return;
	if (n == 1)
		tx_queue(ch, bufs, 1);
	else
		tx_queue_many(ch, bufs, n);
}

void vj_channel_tx_publish(struct vj_channel *ch)
{
	if (unlikely(ch->error))
		return;
	if (ring_publish(&ch->tx))
		channel_wake(ch, &ch->tx);
}

void vj_channel_tx_show(struct vj_channel *ch)
{
	if (likely(!ch->error))
		ring_show(&ch->tx);
}

bool vj_channel_tx_ready(struct vj_channel *ch)
{
	uint32_t ready;

	if (unlikely(ch->error))
		return false;
	if (tx_has_own(ch))
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
	if (rx_ready != 0 || tx_ready != 0 || (want_tx && tx_has_own(ch))) {
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
