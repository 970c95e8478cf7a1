// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data that waits: byte queues made of buffers, which exist only while they hold data
 *
 * A queue (`struct bufq`, 12 bytes, zeroed when empty) is a chain of buffers. A buffer is either a
 * block of the stack's own memory, small (496 bytes of data) or large (8176), or a reference to a
 * received frame, which stays where the driver put it and is given back through the link's
 * rx_free() when its last byte has been consumed.
 *
 * Received payload of up to BUF_COPY_MAX bytes is copied and its frame is free again at once: a
 * frame is too much to hold for a few bytes. More is kept in place, as long as the link's frames
 * held stay below rx_hold_max; from there on it is copied too, so that readers who do not read can
 * never use up the frames of a link.
 *
 * Queues are byte streams: appended at the end, read at any offset, consumed from the front. A
 * block at the end takes more bytes until it is full. Handles name buffers: kind in the top 2 bits,
 * pool index below.
 */
#ifndef VJ_STACK_BUF_H
#define VJ_STACK_BUF_H

#include "base/types.h"
#include "stack/link.h"
#include "stack/mem.h"
#include "stack/pkt.h"

#define BUF_KIND_SHIFT 30
#define BUF_IDX_MASK ((UINT32_C(1) << BUF_KIND_SHIFT) - 1)
#define BUF_SMALL_BYTES 512
#define BUF_LARGE_BYTES 8192
#define BUF_COPY_MAX 256

enum buf_kind { BUF_SMALL, BUF_LARGE, BUF_FRAME, BUF_KIND_CNT };

/* How every buffer begins. */
struct buf {
	uint32_t next;	/* handle; 0: last in the queue */
	uint32_t start; /* offset of the first byte not consumed, in the data behind this, or in the frame */
	uint32_t len;	/* bytes from there */
	uint32_t link;	/* BUF_FRAME: whose frame */
};

struct buf_frame {
	struct buf buf;
	struct link_frame frame;
};

#define BUF_SMALL_ROOM (BUF_SMALL_BYTES - (uint32_t)sizeof(struct buf))
/* Up to here small blocks take less memory than a large one, for a queue that doesn't grow. */
#define BUF_ALONE_MAX ((BUF_LARGE_BYTES / BUF_SMALL_BYTES - 1) * BUF_SMALL_ROOM)

struct bufs {
	struct pool pool[BUF_KIND_CNT];
	struct links *links;
};

int bufs_init(struct bufs *bufs, struct mem *mem, struct links *links);
/* Queues must have been dropped before, or their frames are lost to their links. */
void bufs_fini(struct bufs *bufs);

struct bufq {
	uint32_t head; /* handle; 0: empty */
	uint32_t tail;
	uint32_t bytes;
};

/*
 * A place in a queue, to go on from where the last bufq_read_at() ended instead of from the front:
 * sending from the middle of a long queue would otherwise walk it for each segment. Zeroed: the
 * front. Whoever keeps one calls bufq_pos_consumed() with every bufq_consume(), and zeroes it with
 * every other change but appending.
 */
struct bufq_pos {
	uint32_t handle; /* 0: front */
	uint32_t off;	 /* of that buffer's first byte, from the front of the queue */
};

static inline void bufq_pos_consumed(struct bufq_pos *pos, uint32_t len)
{
	if (pos->off > len)
		pos->off -= len;
	else
		*pos = (struct bufq_pos){ 0 };
}

/*
 * memcpy() whose length looks unbounded: where gcc 12 knows that it is small it makes "rep movsq"
 * of it, which takes some 30 ns to begin.
 */
static inline void buf_copy(void *dst, const void *src, size_t len)
{
	__asm__("" : "+r"(len));
	__builtin_memcpy(dst, src, len);
}

/*
 * The commonest case, in line: a small message into an empty queue. Return: false: not that case,
 * nothing was done.
 */
static inline bool bufq_append_first(struct bufs *bufs, struct bufq *q, const void *data,
				     uint32_t len)
{
	struct buf *buf;
	uint32_t idx;

	if (q->head != 0 || len - 1 >= BUF_SMALL_ROOM)
		return false;
	idx = pool_get_sized(&bufs->pool[BUF_SMALL], BUF_SMALL_BYTES);
	if (unlikely(idx == 0))
		return false;
	buf = pool_at_sized(&bufs->pool[BUF_SMALL], idx, BUF_SMALL_BYTES);
	*buf = (struct buf){ .len = len };
	buf_copy(buf + 1, data, len);
	q->head = q->tail = (uint32_t)BUF_SMALL << BUF_KIND_SHIFT | idx;
	q->bytes = len;
	return true;
}

/* Its counterpart: all of a queue that is one small block. @room: bytes at @dst. Return: as above. */
static inline bool bufq_pull_only(struct bufs *bufs, struct bufq *q, void *dst, size_t room)
{
	const uint32_t kind = (uint32_t)BUF_SMALL << BUF_KIND_SHIFT;
	const struct buf *buf;

	if (q->head != q->tail || (q->head & ~BUF_IDX_MASK) != kind || q->bytes > room)
		return false;
	buf = pool_at_sized(&bufs->pool[BUF_SMALL], q->head & BUF_IDX_MASK, BUF_SMALL_BYTES);
	buf_copy(dst, (const uint8_t *)(buf + 1) + buf->start, q->bytes);
	pool_put_sized(&bufs->pool[BUF_SMALL], q->head & BUF_IDX_MASK, BUF_SMALL_BYTES);
	*q = (struct bufq){ 0 };
	return true;
}

/* Append a copy of @len bytes. Return: 0; -ENOMEM: nothing was appended. */
int bufq_append(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len) VJ_MUST_CHECK;

/* As bufq_append(), of what nothing is to be appended to: in as little memory as it takes */
int bufq_append_alone(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len) VJ_MUST_CHECK;

/* Append as much of @len bytes as there is memory for. Return: bytes appended. */
uint32_t bufq_append_some(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len);

/*
 * Append @len bytes of a received packet's frame, from @off in the frame: by copy or by keeping the
 * frame (pkt_keep()), as said above. @len may be 0. Return: 0; -ENOMEM: nothing was appended,
 * nothing kept.
 */
int bufq_append_pkt(struct bufs *bufs, struct bufq *q, struct pkt *pkt, uint32_t off,
		    uint32_t len) VJ_MUST_CHECK;
/* Likewise, as bufq_append_alone() */
int bufq_append_pkt_alone(struct bufs *bufs, struct bufq *q, struct pkt *pkt, uint32_t off, uint32_t len) VJ_MUST_CHECK;

/* Move all of @src to the end of @dst, in O(1). @src is empty then. */
void bufq_splice(struct bufs *bufs, struct bufq *dst, struct bufq *src);

/*
 * Copy @len bytes out from @off (off + len <= q->bytes), leaving them.
 * @pos: NULL, or a place that is before or at @off or zeroed (it is corrected if it is past it);
 * moved to @off + @len.
 */
void bufq_read_at(const struct bufs *bufs, const struct bufq *q, uint32_t off, void *dst,
		  uint32_t len, struct bufq_pos *pos);

/*
 * The same, where the bytes are: those from @off that lie in one piece, at least 1.
 * @off: below q->bytes. Return: number of bytes at @ret_data, which is valid until they are
 * consumed or dropped.
 */
uint32_t bufq_peek_at(const struct bufs *bufs, const struct bufq *q, uint32_t off,
		      const uint8_t **ret_data, struct bufq_pos *pos);

/* Remove @len bytes, at most q->bytes, from the front; buffers and frames that are empty then are
 * free. */
void bufq_consume(struct bufs *bufs, struct bufq *q, uint32_t len);

/* Copy up to @len bytes out and consume them. Return: bytes. */
uint32_t bufq_pull(struct bufs *bufs, struct bufq *q, void *dst, uint32_t len);

/* Keep the first @len bytes only; @len at most q->bytes. Walks the queue. */
void bufq_cut(struct bufs *bufs, struct bufq *q, uint32_t len);

/* Remove everything. */
void bufq_drop(struct bufs *bufs, struct bufq *q);

/*
 * Replace references to frames by copies. Return: 0; -ENOMEM: the queue is as it was. What has to
 * be called, or bufq_drop(), for each queue that may hold frames of a link that goes.
 */
int bufq_own(struct bufs *bufs, struct bufq *q);

#endif
