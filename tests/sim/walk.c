// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/walk.h"

#include "stack/tcp.h"
#include "stack/udp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

VJ_PRINTF(3, 4)
static void fail(const struct stack *s, uint32_t id, const char *what, ...)
{
	va_list args;

	fprintf(stderr, "invariant %.6f s, connection %u: ", (double)s->now_us / 1e6, id);
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* ---- buffers --------------------------------------------------------------------------------- */

struct count {
	uint32_t bufs[BUF_KIND_CNT];
};

static const struct buf *buf_at(const struct stack *s, uint32_t handle)
{
	return pool_at(&s->bufs.pool[handle >> 30], handle & ((UINT32_C(1) << 30) - 1));
}

static void count_queue(const struct stack *s, uint32_t id, const struct bufq *q, struct count *cnt)
{
	uint32_t bytes = 0, last = 0;

	for (uint32_t handle = q->head; handle != 0; handle = buf_at(s, handle)->next) {
		bytes += buf_at(s, handle)->len;
		last = handle;
		if (++cnt->bufs[handle >> 30] > s->bufs.pool[handle >> 30].used)
			fail(s, id, "BUFFERS: more in queues than in use");
	}
	if (bytes != q->bytes || last != q->tail)
		fail(s, id, "BUFFERS: a queue says %u bytes and holds %u", q->bytes, bytes);
}

static void count_conn(const struct stack *s, struct conn c, struct count *cnt)
{
	const struct tcp_ext *ext = tcb_ext(s, c.t);

	count_queue(s, c.id, &c.t->rcvq, cnt);
	count_queue(s, c.id, &c.t->sndq, cnt);
	for (uint32_t idx = ext != NULL ? ext->ooo_head : 0; idx != 0;) {
		const struct tcp_ooo *ooo = pool_at_sized(&s->tcp->ooo, idx, sizeof(*ooo));

		count_queue(s, c.id, &ooo->data, cnt);
		idx = ooo->next;
	}
}

static void count_udp(const struct stack *s, struct count *cnt)
{
	for (struct ref ref = s->udp->all.head; ref.v != 0;) {
		const struct udp_sock *sock = pool_at_sized(&s->udp->socks, ref_id(ref), sizeof(*sock));
		uint32_t bytes = 0, last = 0;

		for (uint32_t idx = sock->head; idx != 0;) {
			const struct udp_dgram *d = pool_at_sized(&s->udp->dgrams, idx, sizeof(*d));

			count_queue(s, 0, &d->data, cnt);
			bytes += d->data.bytes;
			last = idx;
			idx = d->next;
		}
		if (last != sock->tail || bytes > sock->queued_bytes)
			fail(s, 0, "UDP: a queue says %u bytes and holds %u", sock->queued_bytes, bytes);
		ref = sock->all.next;
	}
}

/* Fragments that wait: each datagram's in order and disjoint, all together as many bytes as they are charged */
static void count_reass(const struct stack *s, struct count *cnt)
{
	uint32_t charged = 0;

	count_queue(s, 0, &s->reass.pieces, cnt);
	for (struct ref ref = s->reass.age.head; ref.v != 0;) {
		const struct reass_dgram *d = pool_at_sized(&s->reass.dgrams, ref_id(ref), sizeof(*d));
		uint32_t end = 0, frags = 0;

		for (uint32_t idx = d->first; idx != 0;) {
			const struct reass_frag *frag =
				pool_at_sized(&s->reass.frags, idx, sizeof(*frag));

			if (frag->off < end)
				fail(s, 0, "REASSEMBLY: a fragment begins at %u, before %u", frag->off, end);
			end = frag->off + frag->data.bytes;
			frags++;
			count_queue(s, 0, &frag->data, cnt);
			idx = frag->next;
		}
		if ((d->spoilt ? frags != 0 : frags != d->frag_cnt) || !wheel_armed(&d->wheel))
			fail(s, 0, "REASSEMBLY: %u fragments instead of %u, or no timer", frags, d->frag_cnt);
		charged += d->charged;
		ref = d->age.next;
	}
	if (charged != s->reass.bytes || charged > REASS_BYTES_MAX)
		fail(s, 0, "REASSEMBLY: %u bytes are charged, %u said", charged, s->reass.bytes);
}

static void check_buffers(const struct stack *s, const struct count *cnt, uint32_t frames_out)
{
	for (int kind = 0; kind < BUF_KIND_CNT; kind++)
		if (cnt->bufs[kind] != s->bufs.pool[kind].used)
			fail(s, 0, "BUFFERS: %u of kind %d in queues, %u in use", cnt->bufs[kind],
			     kind, s->bufs.pool[kind].used);
	if (cnt->bufs[BUF_FRAME] != frames_out)
		fail(s, 0, "BUFFERS: %u frames kept, %u not given back", cnt->bufs[BUF_FRAME],
		     frames_out);
}

/* ---- connections ----------------------------------------------------------------------------- */

/* The node in the wheel fires no later than what it is there for, and that is not far away. */
static void check_stuck(const struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	int32_t left_ms = (int32_t)(t->rtx_due_ms - tcp_now_ms(s));

	if (tcb_no_loss(t) || t->state == TCP_CLOSED || ref_list_has(&t->output) ||
	    (t->sndq.bytes == 0 && tcb_flight(t) == 0))
		return;
	if (!tcb_has(t, TF_RTX_TIMER) || !wheel_armed(&t->wheel))
		fail(s, c.id, "STUCK: %u bytes to send, %u in flight, and no timer", t->sndq.bytes,
		     tcb_flight(t));
	if (left_ms > (int32_t)TCP_RTO_MAX_MS + 1)
		fail(s, c.id, "STUCK: the timer is due in %d ms", left_ms);
	if (wheel_due_us(&s->wheel, &t->wheel) >
	    s->now_us + ((uint64_t)(left_ms > 0 ? left_ms : 0) + 3) * US_PER_MS)
		fail(s, c.id, "STUCK: a timer due in %d ms fires in %d us", left_ms,
		     (int)(wheel_due_us(&s->wheel, &t->wheel) - s->now_us));
}

void walk_stack(struct stack *s, uint64_t given_bytes, uint32_t frames_out)
{
	uint32_t end = min_u32(s->conns.fresh, s->cfg.conns_max + 1);
	struct stack_stats stats;
	struct count cnt = { 0 };

	tcp_sanity_all(s);
	for (uint32_t id = bitmap_find_set(s->tcp->used, end, 0); id != BITMAP_NONE;
	     id = bitmap_find_set(s->tcp->used, end, id + 1)) {
		struct conn c = conn_at(s, id);

		count_conn(s, c, &cnt);
		check_stuck(s, c);
	}
	count_udp(s, &cnt);
	count_reass(s, &cnt);
	check_buffers(s, &cnt, frames_out);
	stack_stats(s, &stats);
	if (stats.mem_bytes != given_bytes)
		fail(s, 0, "MEMORY: it says %" PRIu64 " bytes, it was given %" PRIu64,
		     stats.mem_bytes, given_bytes);
}
