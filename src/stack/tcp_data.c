// SPDX-License-Identifier: BSD-2-Clause
/*
 * Steps 7 and 8 of RFC 9293 3.10.7.4: text and FIN, in order and ahead of it
 *
 * What arrives ahead of a hole waits in ranges, at most TCP_OOO_MAX of them and never beyond the
 * window offered, so the memory is bounded by the receive buffer. Where a segment overlaps what is
 * there, what is there stays.
 */
#include "stack/tcp.h"

#include <errno.h>

/* What tcp_delack.c wants to know of a segment */
static struct tcp_arrival data_arrival(const struct tcb *t, const struct tcp_seg *seg)
{
	return (struct tcp_arrival){
		.len = seg->len,
		.hdr_len = seg->view.hdr_len,
		.ts_ecr = tcb_has(t, TF_TS) && (seg->opts.present & TCP_HAS_TS) != 0
				  ? seg->opts.ts_ecr
				  : 0,
		.flags = seg->view.flags,
	};
}

/* ---- when to offer more ---------------------------------------------------------------------- */

/*
 * RFC 9293 3.8.6.2.2, and Linux: an update is worth a segment when it doubles what the peer has
 * left, and is at least a segment or half of the buffer.
 */
static inline bool consumed_direct(const struct stack *s, const struct tcb *t)
{
	uint32_t left = tcb_rcv_wnd(t);
	uint32_t rcvbuf = tcp_rcvbuf_set(s, t);
	uint32_t space = tcp_window_space(t, rcvbuf);

	return space >= 2 * (uint64_t)left && space - left >= min_u32(t->mss, rcvbuf / 2);
}

static bool consumed_lossy(struct stack *s, struct conn c)
{
	tcp_tune_read(s, c);
	return tcp_window_opens(s, c) || tcp_delack_read(s, c);
}

void tcp_data_consumed(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if (tcb_has(t, TF_FIN_RCVD) || !tcb_synchronized(t) || t->state == TCP_TIME_WAIT)
		return;
	if (likely(tcb_no_loss(t)) ? consumed_direct(s, t) : consumed_lossy(s, c)) {
		t->flags |= TF_ACK_OWED | TF_ACK_NOW;
		tcp_output_later(s, c);
	}
}

/* ---- ahead of a hole ------------------------------------------------------------------------- */

static struct tcp_ooo *ooo_at(const struct stack *s, uint32_t idx)
{
	return pool_at_sized(&s->tcp->ooo, idx, sizeof(struct tcp_ooo));
}

static uint32_t ooo_end(const struct tcp_ooo *ooo)
{
	return ooo->seq + ooo->data.bytes;
}

uint32_t tcp_ooo_end(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);
	const struct tcp_ooo *ooo;

	if (ext->ooo_head == 0)
		return t->rcv_nxt;
	for (ooo = ooo_at(s, ext->ooo_head); ooo->next != 0;)
		ooo = ooo_at(s, ooo->next);
	return ooo_end(ooo);
}

/* @idx was extended last. */
static void ooo_latest(struct tcp_ext *ext, uint32_t idx)
{
	uint32_t prev = idx;

	for (unsigned int i = 0; i < TCP_SACK_MAX; i++) {
		uint32_t here = ext->ooo_recent[i];

		ext->ooo_recent[i] = prev;
		if (here == idx || here == 0)
			return;
		prev = here;
	}
}

static void ooo_forget(struct tcp_ext *ext, uint32_t idx)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < TCP_SACK_MAX; i++)
		if (ext->ooo_recent[i] != idx)
			ext->ooo_recent[n++] = ext->ooo_recent[i];
	while (n < TCP_SACK_MAX)
		ext->ooo_recent[n++] = 0;
	/* Those that went were younger than what is left. */
	if (ext->ooo_recent[0] == 0)
		ext->ooo_recent[0] = ext->ooo_head;
}

/* Unlink and free @idx, the one @link points to. */
static void ooo_free(struct stack *s, struct tcp_ext *ext, uint32_t *link)
{
	uint32_t idx = *link;
	struct tcp_ooo *ooo = ooo_at(s, idx);

	*link = ooo->next;
	ext->ooo_bytes -= ooo->data.bytes;
	ext->ooo_cnt--;
	ooo_forget(ext, idx);
	bufq_drop(&s->bufs, &ooo->data);
	pool_put(&s->tcp->ooo, idx);
}

void tcp_ooo_drop(struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	if (ext == NULL)
		return;
	while (ext->ooo_head != 0)
		ooo_free(s, ext, &ext->ooo_head);
	ext->dsack = (struct tcp_sack){ 0 };
	t->flags &= ~(uint32_t)(TF_OOO | TF_FIN_AHEAD);
}

int tcp_ooo_own(struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	for (uint32_t idx = ext != NULL ? ext->ooo_head : 0; idx != 0; idx = ooo_at(s, idx)->next)
		if (bufq_own(&s->bufs, &ooo_at(s, idx)->data) != 0) {
			tcp_ooo_drop(s, t);
			return -ENOMEM;
		}
	return 0;
}

/*
 * Append [seq, seq + len) of the segment to a range. The frame can be kept only once, by the first
 * who wants it.
 */
static int ooo_append(struct stack *s, struct tcp_ext *ext, struct tcp_ooo *ooo,
		      struct tcp_seg *seg, uint32_t seq, uint32_t len)
{
	uint32_t off = seg->off + (seq - seg->seq);
	int err;

	if (seg->pkt->kept)
		err = bufq_append(&s->bufs, &ooo->data, seg->pkt->frame.data + off, len);
	else
		err = bufq_append_pkt(&s->bufs, &ooo->data, seg->pkt, off, len);
	if (err == 0)
		ext->ooo_bytes += len;
	return err;
}

/* A new range before the one that @link points to */
static int ooo_insert(struct stack *s, struct tcp_ext *ext, uint32_t *link, struct tcp_seg *seg,
		      uint32_t seq, uint32_t len)
{
	uint32_t idx = ext->ooo_cnt < TCP_OOO_MAX ? pool_get(&s->tcp->ooo) : 0;
	struct tcp_ooo *ooo;

	if (idx == 0)
		return -ENOMEM;
	ooo = ooo_at(s, idx);
	*ooo = (struct tcp_ooo){ .seq = seq };
	if (ooo_append(s, ext, ooo, seg, seq, len) != 0) {
		pool_put(&s->tcp->ooo, idx);
		return -ENOMEM;
	}
	ooo->next = *link;
	*link = idx;
	ext->ooo_cnt++;
	return 0;
}

/* @ooo reaches its successor: one range from here on */
static void ooo_join(struct stack *s, struct tcp_ext *ext, uint32_t idx)
{
	struct tcp_ooo *ooo = ooo_at(s, idx);
	struct tcp_ooo *next;

	if (ooo->next == 0)
		return;
	next = ooo_at(s, ooo->next);
	if (next->seq != ooo_end(ooo))
		return;
	bufq_splice(&s->bufs, &ooo->data, &next->data);
	ooo_free(s, ext, &ooo->next);
	/* ooo_free() subtracted nothing: the bytes moved */
}

/* What of [seq, end) is in @ooo already: the first such part is reported (RFC 2883 4.2). */
static void ooo_duplicate(struct stack *s, struct tcb *t, const struct tcp_ooo *ooo, uint32_t seq,
			  uint32_t end)
{
	if (!tcp_ext_dsack(tcb_ext(s, t)))
		tcp_sack_duplicate(s, t, seq_max(seq, ooo->seq), seq_min(end, ooo_end(ooo)));
}

/*
 * Put the parts of [seq, end) that are missing into place:
 *
 *	ranges	     |-----|      |---|
 *	segment	  |-------------------------|
 *	new	  |--|     |------|   |-----|
 */
static int ooo_add(struct stack *s, struct tcb *t, struct tcp_ext *ext, struct tcp_seg *seg)
{
	uint32_t seq = seg->seq;
	uint32_t end = seg->seq + seg->len;
	uint32_t *link = &ext->ooo_head;
	uint32_t prev = 0;

	if (ext->ooo_recent[0] != 0 && seq_geq(seq, ooo_at(s, ext->ooo_recent[0])->seq)) {
		prev = ext->ooo_recent[0];
		link = &ooo_at(s, prev)->next;
		ooo_duplicate(s, t, ooo_at(s, prev), seq, end);
		seq = seq_max(seq, ooo_end(ooo_at(s, prev)));
	}
	while (seq_lt(seq, end)) {
		uint32_t next = *link;
		uint32_t stop = next != 0 ? seq_min(end, ooo_at(s, next)->seq) : end;

		if (seq_lt(seq, stop)) {
			int err =
				prev != 0 && ooo_end(ooo_at(s, prev)) == seq
					? ooo_append(s, ext, ooo_at(s, prev), seg, seq, stop - seq)
					: ooo_insert(s, ext, link, seg, seq, stop - seq);

			if (err != 0)
				return err;
			if (*link != next) { /* inserted */
				prev = *link;
				link = &ooo_at(s, prev)->next;
			}
			if (next != 0)
				ooo_duplicate(s, t, ooo_at(s, next), seq, end);
			ooo_join(s, ext, prev);
			ooo_latest(ext, prev);
			seq = seq_max(stop, ooo_end(ooo_at(s, prev)));
			continue;
		}
		if (next == 0)
			break;
		prev = next;
		link = &ooo_at(s, next)->next;
		ooo_duplicate(s, t, ooo_at(s, next), seq, end);
		if (seq_lt(seq, ooo_end(ooo_at(s, next))))
			ooo_latest(ext, next); /* RFC 2883 4: it is the second block */
		seq = seq_max(seq, ooo_end(ooo_at(s, next)));
	}
	return 0;
}

/* The hole before the first range is closed: move all that follows to rcvq. */
static void ooo_pull(struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	while (ext->ooo_head != 0) {
		struct tcp_ooo *ooo = ooo_at(s, ext->ooo_head);
		uint32_t skip;

		if (seq_gt(ooo->seq, t->rcv_nxt))
			return;
		ooo_duplicate(s, t, ooo, ooo->seq, t->rcv_nxt);
		skip = min_u32(t->rcv_nxt - ooo->seq, ooo->data.bytes);
		bufq_consume(&s->bufs, &ooo->data, skip);
		t->rcv_nxt += ooo->data.bytes;
		ext->ooo_bytes -= ooo->data.bytes + skip;
		bufq_splice(&s->bufs, &t->rcvq, &ooo->data);
		ooo_free(s, ext, &ext->ooo_head);
	}
	if (!tcp_ext_dsack(ext))
		t->flags &= ~(uint32_t)TF_OOO;
}

/* ---- text ------------------------------------------------------------------------------------ */

/*
 * No memory for what was offered room. Return: false: the connection is gone. Else the peer will
 * send it again.
 */
static bool data_no_memory(struct stack *s, struct conn c)
{
	tcp_drop(s, c, STACK_DROP_NO_MEMORY);
	if (!tcb_no_loss(c.t))
		return true;
	tcp_conn_reset(s, c, ENOMEM);
	return false;
}

static bool data_in_order(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	bool had_hole = tcb_has(t, TF_OOO);
	uint32_t before = t->rcv_nxt;

	if (bufq_append_pkt(&s->bufs, &t->rcvq, seg->pkt, seg->off, seg->len) != 0)
		return data_no_memory(s, c);
	t->rcv_nxt += seg->len;
	if (had_hole)
		ooo_pull(s, t);
	if (tcb_no_loss(t)) {
		if (t->rcv_nxt < before)
			tcp_isn_round(s, t, true);
		tcp_ack_direct(t);
	} else {
		struct tcp_arrival arrival = data_arrival(t, seg);

		tcp_delack_in_order(s, c, &arrival);
	}
	if (had_hole)
		t->flags |= TF_ACK_NOW; /* RFC 5681 4.2: the sender waits to hear of it */
	tcp_event(s, c, STACK_EV_READABLE);
	return true;
}

static bool data_ahead(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcp_ext *ext = tcp_conn_ext(s, c.t);
	struct tcp_arrival arrival = data_arrival(c.t, seg);

	if (ext == NULL || ooo_add(s, c.t, ext, seg) != 0)
		tcp_drop(s, c, STACK_DROP_NO_MEMORY);
	if (ext != NULL && ext->ooo_head != 0)
		c.t->flags |= TF_OOO;
	if (!tcb_no_loss(c.t))
		tcp_delack_ahead(s, c, &arrival);
	/* RFC 5681 4.2: at once, and one each: the peer counts them. */
	tcp_send_ack(s, c);
	return true;
}

/* The program has closed it, or shut both its sides. */
static bool data_is_unwanted(const struct tcb *t)
{
	return !tcb_has(t, TF_OWNED | TF_EMBRYO) || (t->flags & (TF_FIN_QUEUED | TF_READ_SHUT)) == (TF_FIN_QUEUED | TF_READ_SHUT);
}

/* Return: false: the connection is gone, or closed. */
static bool data_text(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	const struct tcb *t = c.t;

	if (seg->len == 0)
		return true;
	if (unlikely(data_is_unwanted(t))) {
		/* Nobody will ever read it (RFC 9293 3.6.1, RFC 2525 2.17) */
		tcp_drop(s, c, STACK_DROP_TCP_CLOSED_DATA);
		if (tcb_no_loss(t)) {
			tcp_conn_reset(s, c, ECONNRESET);
			return false;
		}
		/* An answer to this segment, as it would get from no connection (Linux) */
		tcp_reply_rst(s, seg->pkt, &seg->view);
		tcp_conn_done(s, c, ECONNRESET);
		return false;
	}
	if (seg->seq == t->rcv_nxt)
		return data_in_order(s, c, seg);
	return data_ahead(s, c, seg);
}

/* ---- FIN ------------------------------------------------------------------------------------- */

/* rcv_nxt is at the peer's FIN. Return: false: the connection is gone, or closed. */
static bool data_fin(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	tcp_ooo_drop(s, t);
	t->rcv_nxt++;
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt);
	/* No more will come: what is still to be acknowledged goes with what we have to say. */
	t->flags |= TF_FIN_RCVD | TF_ACK_OWED | TF_PINGPONG;
	if (t->state != TCP_ESTABLISHED || tcb_no_loss(t) || !tcp_delack_knows(s, c))
		t->flags |= TF_ACK_NOW;
	tcp_event(s, c, STACK_EV_EOF | STACK_EV_READABLE);
	switch ((enum tcp_state)t->state) {
	case TCP_ESTABLISHED:
		t->state = TCP_CLOSE_WAIT;
		return true;
	case TCP_FIN_WAIT_1:
		t->state = TCP_CLOSING;
		return true;
	case TCP_FIN_WAIT_2:
		return tcp_conn_time_wait(s, c);
	default:
		VJ_UNREACHABLE();
	}
}

/* Before the text is acknowledged that came with it, so that the FIN is in the SACK block, too */
static void data_fin_ahead(struct stack *s, struct tcb *t, uint32_t fin_seq)
{
	struct tcp_ext *ext = tcp_conn_ext(s, t);

	if (ext == NULL || tcb_has(t, TF_FIN_AHEAD))
		return;
	ext->fin_seq = fin_seq;
	t->flags |= TF_FIN_AHEAD;
}

bool tcp_data_input(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	bool fin_ahead;

	/* After the peer's FIN there is no text (RFC 9293: "this should not occur"). */
	if (t->state != TCP_ESTABLISHED && t->state != TCP_FIN_WAIT_1 && t->state != TCP_FIN_WAIT_2)
		return true;
	fin_ahead = (seg->flags & TCP_FIN) != 0 && seq_gt(seg->seq, t->rcv_nxt);
	if (fin_ahead)
		data_fin_ahead(s, t, seg->seq + seg->len);
	else if ((seg->flags & TCP_FIN) != 0)
		t->flags |= TF_PINGPONG; /* the last: it need not be hurried (as Linux) */
	if (!data_text(s, c, seg))
		return false;
	if ((seg->flags & TCP_FIN) != 0 && seg->seq + seg->len == t->rcv_nxt) {
		if (tcb_no_loss(t))
			t->peer_closed = (seg->flags & TCP_CLOSED_BY) != 0;
		return data_fin(s, c);
	}
	if (fin_ahead && seg->len == 0)
		tcp_send_ack(s, c);
	if (tcb_has(t, TF_FIN_AHEAD)) {
		uint32_t fin_seq = tcb_ext(s, t)->fin_seq;

		if (fin_seq == t->rcv_nxt)
			return data_fin(s, c);
		if (seq_lt(fin_seq, t->rcv_nxt))
			t->flags &= ~(uint32_t)TF_FIN_AHEAD; /* it lied: there was more text */
	}
	return true;
}
