// SPDX-License-Identifier: BSD-2-Clause
/*
 * attach.h - a channel end whose other side is not an area of ours: the kernel's rings
 *
 * What differs from a channel between programs is all in how it is set up; the code that moves frames is the same:
 *
 *   - Each ring lies in memory of its own, with a size of its own.
 *   - Both pools lie in one memory, and addresses count from its start: receive frames first, then send frames. To
 *     each pool the other's frames are FRAME_OTHER, so a descriptor that names one is a violation as any other.
 *   - No frame is anywhere yet: all receive frames are put in the fill ring, all send frames are here.
 *   - The kernel shows what it has produced before it shows what it has consumed for that (xsk_flush() of net/xdp/xsk.c:
 *     rx, then fill; a sent frame may complete while tx still counts it). A frame can be seen twice, then, in the ring that
 *     it came from: fill and tx have twice the entries of their frames, so that they are never full.
 *   - The kernel is woken by a system call, not by an eventfd; and it isn't asleep in the sense of ring.h, so nobody but
 *     the kernel takes back the request in a ring's flags.
 */
#ifndef VJ_CHANNEL_ATTACH_H
#define VJ_CHANNEL_ATTACH_H

#include <vj/channel.h>

#include "base/types.h"
#include "channel/ring.h"

struct channel_ring {
	void *mem; /* mapped, the caller's, outlives the channel */
	struct ring_offsets at;
	uint32_t cnt; /* entries, a power of two */
};

/*
 * @fill: the fill ring was published up to @next, which happens every time; else the tx ring was, and its flags ask
 * for a call. Return: whether it made a system call.
 */
typedef bool channel_wake_fn(void *arg, bool fill, uint32_t next);

struct channel_rings {
	struct channel_ring rx, fill, tx, completion;
	uint8_t *frames;
	uint32_t frame_bytes; /* power of two, >= 2048 */
	uint32_t rx_frame_cnt; /* at most the entries of rx, half of those of fill */
	uint32_t tx_frame_cnt; /* at most half the entries of tx, those of completion; both together a power of two */
	channel_wake_fn *wake;
	void *wake_arg;
};

/*
 * vj_channel_attach() for rings that the kernel made.
 * Return: 0; -EINVAL: a number is out of its range, or a ring has been used already; -ENOMEM.
 */
int channel_attach_kernel(const struct channel_rings *rings, struct vj_channel **ret_ch);

/*
 * vj_channel_tx_get() for who is content with fewer than @n: of those that have come back, or if none has one that was never used. Who sends a message at
 * a time then needs a few frames, by turns, whose pages and lines are there, and not as many as are taken together.
 */
unsigned channel_tx_get_sparing(struct vj_channel *ch, struct vj_buf *bufs, unsigned n);

/* Something has probably come, and vj_channel_rx() is about to be called: have what it reads come into the cache meanwhile. */
void channel_rx_soon(struct vj_channel *ch);

/* vj_channel_rx_ready(), after all that this thread has written before, in one order for both ends (ring.h) */
bool channel_rx_look(struct vj_channel *ch);

#endif
