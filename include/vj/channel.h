/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * channel.h - network channels: four rings and the frames they point to
 *
 * A channel has two mirrored ends over one shared area. What one end calls tx, the other calls rx; what one calls
 * completion (frames that may be used for sending), the other calls fill (frames given for receiving):
 *
 *        end 0                                        end 1
 *     tx          ──── descriptors of full frames ───►  rx
 *     completion  ◄─── addresses of free frames  ────   fill
 *     rx          ◄─── descriptors of full frames ───   tx
 *     fill        ──── addresses of free frames  ────►  completion
 *
 * A frame belongs to the end that receives in it; the sender composes straight into it. Between two applications
 * each end is a program (a *direct channel*); in tests and behind an interface the other end is held by a driver
 * (<vj/driver.h>). The rings have the layout of AF_XDP (kernel: Documentation/networking/af_xdp.rst).
 *
 * The other end is hostile until checked. Every shared index and descriptor is read once, checked against private
 * truth, and only the checked copy is used. What can't be is a violation: the channel is closed with a reason
 * (vj_channel_error()), every later call on it does nothing, and no other channel notices. The *bytes* of a received
 * frame stay writable by the peer until they are given back: copy what you check.
 *
 * Thread rule for the whole file: a channel end is used by one thread at a time (the caller serialises).
 * No function blocks; only those that say so make a system call.
 */
#ifndef VJ_CHANNEL_H
#define VJ_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef VJ_API
#define VJ_API __attribute__((visibility("default")))
#endif

struct vj_channel;

/** struct vj_area_params - what fixes the layout of an area; agreed by message, never read from shared memory */
struct vj_area_params {
	uint32_t frame_bytes; /* size of a frame; power of two, 2048..65536 */
	uint32_t frame_cnt;   /* frames in each of the two pools; power of two, 2..65536 */
	uint32_t ring_cnt;    /* entries in each ring; power of two, >= frame_cnt (so no ring is ever full), <= 65536 */
};

#define VJ_AREA_PARAMS_DEFAULT { .frame_bytes = 4096, .frame_cnt = 256, .ring_cnt = 256 }

/**
 * struct vj_buf - a frame in the hands of this end
 *
 * From vj_channel_rx(): a received frame, @data/@len say where; give it back with vj_channel_rx_free().
 * From vj_channel_tx_get(): an empty frame with @room usable bytes at @data; set @len and hand it over with
 * vj_channel_tx_put(), or give it back unused with vj_channel_tx_unget().
 */
struct vj_buf {
	uint8_t *data; /* valid while this end holds the frame */
	uint32_t len;  /* bytes */
	uint32_t room; /* bytes from @data to the end of the frame */
	uint64_t addr; /* offset of @data in its pool; identifies the frame */
};

/* Why a channel was closed. One table: enum, and the text of vj_channel_error_text(). */
#define VJ_CHANNEL_ERRORS(X)                                                                  \
	X(NONE, "open")                                                                       \
	X(RX_INDEX, "peer moved the producer of the data ring by more than the ring holds")   \
	X(FREE_INDEX, "peer moved the producer of the free ring by more than the ring holds") \
	X(CONSUMER_INDEX, "peer's consumer index contradicts what was produced and given back")   \
	X(RX_ADDR, "descriptor points outside the receive frames")                            \
	X(RX_LEN, "descriptor's length is 0 or leaves its frame")                                   \
	X(RX_OPTIONS, "descriptor carries unknown options")                                   \
	X(RX_OWNER, "descriptor names a frame that the peer did not hold")                    \
	X(FREE_ADDR, "free-frame entry points outside the send frames")                       \
	X(FREE_OWNER, "free-frame entry names a frame that was not given to the peer")        \
	X(PEER_GONE, "peer is gone")                                                          \
	X(CLOSED, "closed by this end")

enum vj_channel_error {
#define X(name, text) VJ_CHANNEL_ERR_##name,
	VJ_CHANNEL_ERRORS(X)
#undef X
};

/** struct vj_channel_options - how to attach to an end. Initialise with VJ_CHANNEL_OPTIONS_INIT. */
struct vj_channel_options {
	size_t sz;		      /* sizeof(struct vj_channel_options), set by the initialiser */
	void *area;		      /* the mapped area, page-aligned; stays the caller's, must outlive the channel */
	size_t area_bytes;	      /* must be >= vj_area_bytes(&params) */
	struct vj_area_params params; /* from whoever made the area */
	unsigned end;		      /* 0 or 1 */
	int wake_fd;		      /* eventfd that wakes the peer (written), or -1; stays the caller's */
};
#define VJ_CHANNEL_OPTIONS_INIT { .sz = sizeof(struct vj_channel_options), .wake_fd = -1 }

/** struct vj_channel_stats - counters of one end, since it was attached */
struct vj_channel_stats {
	uint64_t rx_frames, rx_bytes;
	uint64_t tx_frames, tx_bytes;
	uint64_t tx_no_frame; /* times vj_channel_tx_get() gave fewer than asked */
	uint64_t wakes_sent;  /* doorbells rung (a system call each) */
	uint64_t sleeps;      /* times vj_channel_arm() found nothing */
};

/**
 * vj_area_params_check() - Are these parameters usable?
 * Return: 0; -EINVAL: a value is not a power of two or out of the range given at struct vj_area_params.
 */
VJ_API int vj_area_params_check(const struct vj_area_params *p);

/**
 * vj_area_bytes() - Size of an area in bytes, a multiple of 4096
 * @p: Checked parameters
 */
VJ_API size_t vj_area_bytes(const struct vj_area_params *p);

/**
 * vj_area_init() - Prepare a zeroed area: both fill rings hold the first 256 frames of their pool, or all that it has
 * @area: Page-aligned, zeroed, vj_area_bytes(@p) long; stays the caller's
 *
 * Called once, by the maker of the area, before any end attaches.
 * Return: 0; -EINVAL: see vj_area_params_check(), or @area is not page-aligned.
 */
VJ_API int vj_area_init(void *area, const struct vj_area_params *p);

/**
 * vj_channel_attach() - Take one end of a channel
 * @opts:   Copied
 * @ret_ch: New channel end; free it with vj_channel_detach()
 *
 * The first 256 frames of each pool start in the fill rings, so either end may send before the other has attached; what more a pool has is
 * with the end that receives in it, until vj_channel_rx_more().
 * Return: 0; -EINVAL: bad parameters, end or area; -ENOMEM: no memory for the private half.
 */
VJ_API int vj_channel_attach(const struct vj_channel_options *opts, struct vj_channel **ret_ch);

/** vj_channel_detach() - Give an end up; NULL is allowed. Area and descriptors stay the caller's. */
VJ_API void vj_channel_detach(struct vj_channel *ch);

/** vj_channel_room() - Largest frame in bytes (Ethernet header included) that fits in a frame of this channel */
VJ_API uint32_t vj_channel_room(const struct vj_channel *ch);

/**
 * vj_channel_rx() - Take received frames
 * @bufs: Filled in; each frame is held until vj_channel_rx_free(), in any order
 * @n:    Room in @bufs, >= 1
 * Return: number of frames, 0 only when there is none or the channel is closed; may be fewer than there are (the shared
 * index is read again only when none is known of), so call again. Frames already taken stay valid when it closes.
 */
VJ_API unsigned vj_channel_rx(struct vj_channel *ch, struct vj_buf *bufs, unsigned n);

/**
 * vj_channel_rx_free() - Give received frames back for new ones (fill ring)
 *
 * Published at once; rings the doorbell (a system call) only when the peer waits for frames.
 */
VJ_API void vj_channel_rx_free(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n);

/**
 * vj_channel_rx_more() - Give the peer more of the frames to send in that it doesn't have from the start
 * @n: At most so many
 *
 * For much data: a line that is written while the reader still has it in its cache takes three times as long as one that was pushed
 * out of there meanwhile, so more frames than a second-level cache holds carry more. For small messages few are better.
 * Published at once; rings the doorbell (a system call) only when the peer waits for frames. They can't be taken back.
 *
 * Return: frames given; 0: it has all, or the channel is closed.
 */
VJ_API unsigned vj_channel_rx_more(struct vj_channel *ch, unsigned n);

/**
 * vj_channel_tx_get() - Take empty frames to send in: such as the peer has given back (completion ring), and if those are not enough, such as
 * were never used
 * Return: number of frames, fewer than @n when the peer hasn't given back enough, 0 when closed.
 */
VJ_API unsigned vj_channel_tx_get(struct vj_channel *ch, struct vj_buf *bufs, unsigned n);

/** vj_channel_tx_unget() - Return frames of vj_channel_tx_get() unused; they are handed out again first. */
VJ_API void vj_channel_tx_unget(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n);

/**
 * vj_channel_tx_put() - Queue filled frames, in order; the peer sees them at vj_channel_tx_publish()
 * @bufs: Frames from vj_channel_tx_get() with @len set, 1..@room, and @data moved forward at will inside the frame
 */
VJ_API void vj_channel_tx_put(struct vj_channel *ch, const struct vj_buf *bufs, unsigned n);

/**
 * vj_channel_tx_publish() - Let the peer see all queued frames; one fence a burst
 *
 * Rings the doorbell (a system call) only when the peer sleeps.
 */
VJ_API void vj_channel_tx_publish(struct vj_channel *ch);

/** vj_channel_tx_show() - The same for frames that nobody waits for: a peer that sleeps sees them when something else has woken it */
VJ_API void vj_channel_tx_show(struct vj_channel *ch);

/**
 * vj_channel_arm() - Announce that this end is going to sleep (NEED_WAKEUP), then look once more
 * @want_tx: Also wake for frames to send in, not only for received ones
 *
 * Before each sleep: the peer withdraws the announcement when it rings.
 *
 * Return: true: go to sleep, the doorbell will ring (on a closed channel it won't); false: there is work, or the
 * channel has just been closed: don't sleep (the announcement is withdrawn).
 */
VJ_API bool vj_channel_arm(struct vj_channel *ch, bool want_tx);

/** vj_channel_disarm() - Awake again: withdraw the announcement of vj_channel_arm() */
VJ_API void vj_channel_disarm(struct vj_channel *ch);

/** vj_channel_rx_ready() - Would vj_channel_rx() return a frame? (Reads the shared index only when the private copy says no.) */
VJ_API bool vj_channel_rx_ready(struct vj_channel *ch);

/** vj_channel_tx_ready() - Would vj_channel_tx_get() return a frame? */
VJ_API bool vj_channel_tx_ready(struct vj_channel *ch);

/** vj_channel_rx_held() - Received frames in this end's hands, not yet given back; 0..frame_cnt */
VJ_API uint32_t vj_channel_rx_held(const struct vj_channel *ch);

/** vj_channel_close() - Close with a reason; the first reason stays. */
VJ_API void vj_channel_close(struct vj_channel *ch, enum vj_channel_error why);

/** vj_channel_error() - Why the channel is closed; VJ_CHANNEL_ERR_NONE while it is open */
VJ_API enum vj_channel_error vj_channel_error(const struct vj_channel *ch);

/** vj_channel_error_text() - Constant sentence for a reason; never NULL */
VJ_API const char *vj_channel_error_text(enum vj_channel_error why);

/** vj_channel_stats() - Copy the counters out */
VJ_API void vj_channel_stats(const struct vj_channel *ch, struct vj_channel_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
