// SPDX-License-Identifier: BSD-2-Clause
#include "stack/buf.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

#define BUF_POOL_MAX (UINT32_C(1) << 26)

static const uint32_t buf_bytes[BUF_KIND_CNT] = {
	[BUF_SMALL] = BUF_SMALL_BYTES,
	[BUF_LARGE] = BUF_LARGE_BYTES,
	[BUF_FRAME] = sizeof(struct buf_frame),
};

int bufs_init(struct bufs *bufs, struct mem *mem, struct links *links)
{
	int ret = 0;

	*bufs = (struct bufs){ .links = links };
	for (int kind = 0; kind < BUF_KIND_CNT && ret == 0; kind++)
		ret = pool_init(&bufs->pool[kind], mem, buf_bytes[kind], 0, BUF_POOL_MAX);
	return ret;
}

void bufs_fini(struct bufs *bufs)
{
	for (int kind = 0; kind < BUF_KIND_CNT; kind++)
		pool_fini(&bufs->pool[kind]);
}

/* ---- buffers ----------------------------------------------------------------------------------
 */

static enum buf_kind buf_kind(uint32_t handle)
{
	return (enum buf_kind)(handle >> BUF_KIND_SHIFT);
}

static struct buf *buf_at(const struct bufs *bufs, uint32_t handle)
{
	return pool_at(&bufs->pool[buf_kind(handle)], handle & BUF_IDX_MASK);
}

static const uint8_t *buf_data(const struct buf *buf, uint32_t handle)
{
	if (buf_kind(handle) == BUF_FRAME)
		return ((const struct buf_frame *)buf)->frame.data + buf->start;
	return (const uint8_t *)(buf + 1) + buf->start;
}

static uint32_t buf_room(enum buf_kind kind)
{
	return buf_bytes[kind] - (uint32_t)sizeof(struct buf);
}

/* An empty one, in no queue; 0: no memory. */
static uint32_t buf_get(struct bufs *bufs, enum buf_kind kind)
{
	uint32_t idx = pool_get(&bufs->pool[kind]);

	if (unlikely(idx == 0))
		return 0;
	*(struct buf *)pool_at(&bufs->pool[kind], idx) = (struct buf){ 0 };
	return (uint32_t)kind << BUF_KIND_SHIFT | idx;
}

static void buf_put(struct bufs *bufs, uint32_t handle)
{
	if (buf_kind(handle) == BUF_FRAME) {
		struct buf_frame *ref = (struct buf_frame *)buf_at(bufs, handle);
		struct link *link = link_at(bufs->links, ref->buf.link);

		VJ_DASSERT_OP(link->held, >, 0u);
		link->held--;
		link_rx_free(link, &ref->frame);
	}
	pool_put(&bufs->pool[buf_kind(handle)], handle & BUF_IDX_MASK);
}

/* ---- appending --------------------------------------------------------------------------------
 */

static void bufq_link(struct bufs *bufs, struct bufq *q, uint32_t handle)
{
	if (q->tail != 0)
		buf_at(bufs, q->tail)->next = handle;
	else
		q->head = handle;
	q->tail = handle;
}

/* Into what is free behind the last byte. Return: bytes. */
static uint32_t bufq_fill_tail(struct bufs *bufs, struct bufq *q, const uint8_t *data, uint32_t len)
{
	enum buf_kind kind = buf_kind(q->tail);
	struct buf *buf;
	uint32_t end, n;

	if (q->tail == 0 || kind == BUF_FRAME)
		return 0;
	buf = buf_at(bufs, q->tail);
	end = buf->start + buf->len;
	n = min_u32(len, buf_room(kind) - end);
	memcpy((uint8_t *)(buf + 1) + end, data, n);
	buf->len += n;
	q->bytes += n;
	return n;
}

/* @alone: nothing comes behind it. Return: bytes appended */
static uint32_t bufq_append_blocks(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len, bool alone)
{
	const uint8_t *src = data;
	uint32_t done = bufq_fill_tail(bufs, q, src, len);
	bool small = alone && len <= BUF_ALONE_MAX;

	while (done < len) {
		/* A queue that has filled small blocks already is one that grows. */
		bool large = !small && (len - done > BUF_SMALL_ROOM || q->bytes >= 2 * BUF_SMALL_ROOM);
		uint32_t handle = buf_get(bufs, large ? BUF_LARGE : BUF_SMALL);

		if (unlikely(handle == 0) && (large || small))
			handle = buf_get(bufs, large ? BUF_SMALL : BUF_LARGE);
		if (unlikely(handle == 0))
			break;
		bufq_link(bufs, q, handle);
		done += bufq_fill_tail(bufs, q, src + done, len - done);
	}
	return done;
}

uint32_t bufq_append_some(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len)
{
	return bufq_append_blocks(bufs, q, data, len, false);
}

static int bufq_append_all(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len, bool alone)
{
	uint32_t before = q->bytes;

	if (likely(bufq_append_first(bufs, q, data, len)))
		return 0;
	if (likely(bufq_append_blocks(bufs, q, data, len, alone) == len))
		return 0;
	bufq_cut(bufs, q, before);
	return -ENOMEM;
}

int bufq_append(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len)
{
	return bufq_append_all(bufs, q, data, len, false);
}

int bufq_append_alone(struct bufs *bufs, struct bufq *q, const void *data, uint32_t len)
{
	return bufq_append_all(bufs, q, data, len, true);
}

/* Return: false: it isn't kept. */
static bool bufq_keep_pkt(struct bufs *bufs, struct bufq *q, struct pkt *pkt, uint32_t off, uint32_t len)
{
	struct link *link = pkt->link;
	struct buf_frame *ref;
	uint32_t handle;

	VJ_ASSERT(off <= pkt->frame.len && len <= pkt->frame.len - off);
	if (len <= BUF_COPY_MAX || link->held >= link->hold_max || pkt->borrowed)
		return false;
	handle = buf_get(bufs, BUF_FRAME);
	if (unlikely(handle == 0))
		return false;
	ref = (struct buf_frame *)buf_at(bufs, handle);
	ref->buf.start = off;
	ref->buf.len = len;
	ref->buf.link = pkt->link_id;
	ref->frame = pkt->frame;
	pkt_keep(pkt);
	link->held++;
	bufq_link(bufs, q, handle);
	q->bytes += len;
	return true;
}

int bufq_append_pkt(struct bufs *bufs, struct bufq *q, struct pkt *pkt, uint32_t off, uint32_t len)
{
	return bufq_keep_pkt(bufs, q, pkt, off, len) ? 0 : bufq_append(bufs, q, pkt->frame.data + off, len);
}

int bufq_append_pkt_alone(struct bufs *bufs, struct bufq *q, struct pkt *pkt, uint32_t off, uint32_t len)
{
	return bufq_keep_pkt(bufs, q, pkt, off, len) ? 0 : bufq_append_alone(bufs, q, pkt->frame.data + off, len);
}

void bufq_splice(struct bufs *bufs, struct bufq *dst, struct bufq *src)
{
	if (src->head == 0)
		return;
	if (dst->tail != 0)
		buf_at(bufs, dst->tail)->next = src->head;
	else
		dst->head = src->head;
	dst->tail = src->tail;
	dst->bytes += src->bytes;
	*src = (struct bufq){ 0 };
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The buffer that byte @off is in; *ret_in: its place there. */
static uint32_t bufq_seek(const struct bufs *bufs, const struct bufq *q, uint32_t off,
			  const struct bufq_pos *pos, uint32_t *ret_in)
{
	uint32_t handle = q->head, base = 0;
	const struct buf *buf;

	if (pos != NULL && pos->handle != 0 && pos->off <= off) {
		handle = pos->handle;
		base = pos->off;
	}
	while (off - base >= (buf = buf_at(bufs, handle))->len) {
		base += buf->len;
		handle = buf->next;
		VJ_ASSERT_OP(handle, !=, 0u);
	}
	*ret_in = off - base;
	return handle;
}

uint32_t bufq_peek_at(const struct bufs *bufs, const struct bufq *q, uint32_t off,
		      const uint8_t **ret_data, struct bufq_pos *pos)
{
	uint32_t in, handle;
	const struct buf *buf;

	VJ_ASSERT_OP(off, <, q->bytes);
	handle = bufq_seek(bufs, q, off, pos, &in);
	buf = buf_at(bufs, handle);
	*ret_data = buf_data(buf, handle) + in;
	if (pos != NULL)
		*pos = (struct bufq_pos){ .handle = handle, .off = off - in };
	return buf->len - in;
}

void bufq_read_at(const struct bufs *bufs, const struct bufq *q, uint32_t off, void *dst,
		  uint32_t len, struct bufq_pos *pos)
{
	struct bufq_pos here = pos != NULL ? *pos : (struct bufq_pos){ 0 };
	uint8_t *out = dst;

	VJ_ASSERT(off <= q->bytes && len <= q->bytes - off);
	if (pos == NULL && q->head != 0) { /* mostly it is one piece, at the front */
		const struct buf *buf = buf_at(bufs, q->head);

		if (likely(off <= buf->len && len <= buf->len - off)) {
			buf_copy(dst, buf_data(buf, q->head) + off, len);
			return;
		}
	}
	while (len > 0) {
		const uint8_t *data;
		uint32_t n = min_u32(len, bufq_peek_at(bufs, q, off, &data, &here));

		memcpy(out, data, n);
		out += n;
		off += n;
		len -= n;
	}
	if (pos != NULL)
		*pos = here;
}

/* ---- removing ---------------------------------------------------------------------------------
 */

static void bufq_put_head(struct bufs *bufs, struct bufq *q, struct buf *buf)
{
	uint32_t handle = q->head;

	q->head = buf->next;
	if (q->head == 0)
		q->tail = 0;
	buf_put(bufs, handle);
}

void bufq_consume(struct bufs *bufs, struct bufq *q, uint32_t len)
{
	VJ_ASSERT_OP(len, <=, q->bytes);
	q->bytes -= len;
	while (len > 0) {
		struct buf *buf = buf_at(bufs, q->head);

		if (len < buf->len) {
			buf->start += len;
			buf->len -= len;
			return;
		}
		len -= buf->len;
		bufq_put_head(bufs, q, buf);
	}
}

uint32_t bufq_pull(struct bufs *bufs, struct bufq *q, void *dst, uint32_t len)
{
	uint8_t *out = dst;
	uint32_t done = 0;

	len = min_u32(len, q->bytes);
	while (done < len) {
		struct buf *buf = buf_at(bufs, q->head);
		uint32_t n = min_u32(len - done, buf->len);

		memcpy(out + done, buf_data(buf, q->head), n);
		bufq_consume(bufs, q, n);
		done += n;
	}
	return done;
}

void bufq_drop(struct bufs *bufs, struct bufq *q)
{
	while (q->head != 0)
		bufq_put_head(bufs, q, buf_at(bufs, q->head));
	q->bytes = 0;
}

void bufq_cut(struct bufs *bufs, struct bufq *q, uint32_t len)
{
	struct bufq rest = { 0 };
	struct buf *buf;
	uint32_t in, handle;

	VJ_ASSERT_OP(len, <=, q->bytes);
	if (len == 0) {
		bufq_drop(bufs, q);
		return;
	}
	handle = bufq_seek(bufs, q, len - 1, NULL, &in);
	buf = buf_at(bufs, handle);
	rest.head = buf->next;
	bufq_drop(bufs, &rest);
	buf->len = in + 1;
	buf->next = 0;
	q->tail = handle;
	q->bytes = len;
}

int bufq_own(struct bufs *bufs, struct bufq *q)
{
	struct bufq copy = { 0 };
	uint32_t handle;

	for (handle = q->head; handle != 0 && buf_kind(handle) != BUF_FRAME;)
		handle = buf_at(bufs, handle)->next;
	if (handle == 0)
		return 0;
	for (handle = q->head; handle != 0;) {
		const struct buf *buf = buf_at(bufs, handle);

		if (bufq_append_all(bufs, &copy, buf_data(buf, handle), buf->len, q->bytes <= BUF_ALONE_MAX) != 0) {
			bufq_drop(bufs, &copy);
			return -ENOMEM;
		}
		handle = buf->next;
	}
	bufq_drop(bufs, q);
	*q = copy;
	return 0;
}
