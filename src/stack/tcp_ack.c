// SPDX-License-Identifier: BSD-2-Clause
/*
 * Step 5 of RFC 9293 3.10.7.4: what a segment acknowledges, the window it offers, and the states
 * that end with it
 *
 *	  too old | duplicate  |     new      |  not sent
 *	----------+------------+--------------+-----------
 *	 snd_una - max window   snd_una      snd_nxt		(RFC 5961 5.2)
 */
#include "stack/tcp.h"
#include "stack/tcp_fastopen.h"
#include "stack/tcp_mtu.h"

/* ... on a link that can lose */
static void ack_recovery(struct stack *s, struct conn c, uint32_t prior_una,
			 const struct tcp_ack *ack)
{
	struct tcb *t = c.t;
	uint32_t bytes = min_u32(ack->ack - prior_una, t->sndq.bytes); /* the rest is SYN or FIN */
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	struct tcp_tally *tally = tcb_tally(s, c);

	if (tally != NULL)
		tally->bytes_acked += ack->ack - prior_una;
	bufq_consume(&s->bufs, &t->sndq, bytes);
	if (rtx != NULL) {
		bufq_pos_consumed(&rtx->pos, bytes);
		bufq_pos_consumed(&rtx->pos_again, bytes);
	}
	if (t->ext != 0)
		tcp_mtu_acked(s, c);
	tcp_recovery_ack(s, c, prior_una, ack);
	tcp_meter_note(s, c);
}

static void ack_advance(struct stack *s, struct conn c, const struct tcp_ack *ack)
{
	struct tcb *t = c.t;
	uint32_t prior_una = t->snd_una;

	t->snd_una = ack->ack;
	if (!tcb_no_loss(t))
		ack_recovery(s, c, prior_una, ack);
	if (tcb_has(t, TF_RTX_TIMER))
		tcp_timer_data_acked(s, c);
	if (unlikely(tcb_has(t, TF_WANT_WRITE)))
		tcp_writable(s, c);
	if (t->snd_una == t->snd_nxt && t->sndq.bytes == 0 && tcb_synchronized(t))
		tcp_event(s, c, STACK_EV_SENT_ALL);
}

void tcp_ack_advance(struct stack *s, struct conn c, uint32_t ack, const uint32_t *ts_ecr)
{
	const struct tcp_ack news = { .ack = ack, .ts_ecr = ts_ecr };

	ack_advance(s, c, &news);
}

void tcp_ack_syn(struct stack *s, struct conn c, const uint32_t *ts_ecr)
{
	struct tcb *t = c.t;
	struct bufq sndq = t->sndq;

	t->sndq = (struct bufq){ .bytes = 0 };
	t->snd_nxt = t->snd_una + 1;
	tcp_ack_advance(s, c, t->snd_nxt, ts_ecr);
	t->sndq = sndq;
}

/* The window is closed, or was. The peer is alive: the limit on probes counts only those that it does not answer. */
static VJ_COLD void ack_closed(struct stack *s, struct conn c)
{
	struct tcp_rtx *rtx = tcb_rtx(s, c.t);

	if (rtx != NULL && c.t->snd_wnd == 0)
		rtx->closed_ms = tcp_now_ms(s);
	if (!tcb_has(c.t, TF_PERSIST))
		return;
	if (rtx != NULL)
		rtx->probes = 0;
	if (c.t->snd_wnd != 0)
		tcp_timer_persist_over(s, c);
	else if (!tcb_no_loss(c.t))
		tcp_timer_persist(s, c); /* it has just said so: the next probe can wait (as Linux) */
}

/*
 * SND.WND := SEG.WND unless the segment is older than the one the window was last taken from. RFC
 * 9293 keeps SND.WL1 and SND.WL2 for that; two comparisons do without: an acknowledgement of more
 * is newer; with an equal one the next segment in order is, and a larger window is, since receivers
 * do not shrink theirs (RFC 9293 3.8.6).
 */
static void ack_window(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	if (seq_lt(seg->ack, t->snd_una))
		return;
	if (seg->ack == t->snd_una && seg->view.seq != t->rcv_nxt && seg->wnd <= t->snd_wnd)
		return;
	t->snd_wnd = seg->wnd;
	if (unlikely(seg->wnd == 0 || tcb_has(t, TF_PERSIST)))
		ack_closed(s, c);
}

/*
 * DEFER_ACCEPT: a bare ACK is no reason yet to wake the program (as Linux). Its time is the SYN-ACK's timer; what a
 * cookie brought back has none, and is not put off.
 */
static bool ack_deferred(const struct stack *s, struct tcb *t, const struct tcp_seg *seg)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	if (likely(ext == NULL) || t->backoff >= ext->defer || !tcb_has(t, TF_EMBRYO) ||
	    !tcb_has(t, TF_RTX_TIMER) || seg->len != 0 || (seg->flags & TCP_FIN) != 0)
		return false;
	ext->deferred = true;
	return true;
}

/* SYN_RECEIVED, and our SYN is acknowledged. Return: false: not yet established, or gone. */
static bool ack_syn_received(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	if (ack_deferred(s, t, seg))
		return false;
	tcp_listen_synack_acked(s, c);
	if (!tcp_conn_established(s, c) || t->state != TCP_ESTABLISHED)
		return false;
	t->snd_wnd = seg->wnd;
	return true;
}

static bool ack_in_range(const struct stack *s, struct conn c, uint32_t ack)
{
	const struct tcb *t = c.t;

	if (t->state == TCP_SYN_RECEIVED)
		return ack == t->snd_nxt && t->snd_nxt != t->snd_una;
	return seq_leq(ack, t->snd_nxt) && seq_geq(ack, t->snd_una - tcp_snd_wnd_max(s, c));
}

static bool ack_check(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	if ((seg->flags & TCP_ACK) == 0) {
		tcp_drop(s, c, STACK_DROP_TCP_NO_ACK);
		return false;
	}
	if (ack_in_range(s, c, seg->ack))
		return true;
	tcp_drop(s, c, STACK_DROP_TCP_ACK);
	if (c.t->state == TCP_SYN_RECEIVED)
		tcp_reply_rst(s, seg->pkt, &seg->view);
	else
		tcp_challenge(s, c);
	return false;
}

/*
 * RFC 7323 4.3, R3; by now the segment is the peer's as far as can be told. With an acknowledgement
 * of before the last it came late, and has no news (as Linux).
 */
static void ack_timestamp(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	if (seq_leq(seg->view.seq, c.t->rcv_acked) && seq_geq(seg->ack, c.t->snd_una))
		tcp_ts_take(s, c, seg->opts.ts_val);
}

/* RFC 5681 2: a duplicate acknowledgement */
static bool ack_is_dup(const struct tcb *t, const struct tcp_seg *seg, uint32_t old_wnd)
{
	return seg->ack == t->snd_una && t->snd_una != t->snd_nxt && seg->view.payload_len == 0 &&
	       (seg->view.flags & (TCP_SYN | TCP_FIN)) == 0 && seg->wnd == old_wnd;
}

/* Our FIN is acknowledged. Return: false: the connection is gone. */
static bool ack_fin(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	switch ((enum tcp_state)t->state) {
	case TCP_FIN_WAIT_1:
		t->state = TCP_FIN_WAIT_2;
		if (!tcb_has(t, TF_OWNED))
			return tcp_conn_linger2(s, c);
		return true;
	case TCP_CLOSING:
		return tcp_conn_time_wait(s, c) && t->state != TCP_CLOSED;
	case TCP_LAST_ACK:
		tcp_conn_done(s, c, 0);
		return false;
	default:
		return true;
	}
}

bool tcp_ack_input(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	uint32_t old_wnd = t->snd_wnd;
	uint32_t retries = t->backoff;
	bool opening = t->state == TCP_SYN_RECEIVED;
	bool has_ts = tcb_has(t, TF_TS) && (seg->opts.present & TCP_HAS_TS) != 0;
	struct tcp_ack ack = {
		.ack = seg->ack,
		.opts = &seg->opts,
		.ts_ecr = has_ts ? &seg->opts.ts_ecr : NULL,
		.ece = tcb_has(t, TF_ECN) && (seg->view.flags & TCP_ECE) != 0,
		.syn = opening || tcb_is_fastopen(t),
	};

	if (!ack_check(s, c, seg))
		return false;
	if (has_ts)
		ack_timestamp(s, c, seg);
	if (opening && !ack_syn_received(s, c, seg))
		return false;
	if (unlikely(tcb_is_fastopen(t)))
		tcp_fastopen_acked(s, c);
	if (unlikely(opening && t->sndq.bytes != 0)) /* both sides called, we with data */
		tcp_ack_syn(s, c, NULL);
	ack_window(s, c, seg);
	if (tcb_has(t, TF_ECN))
		tcp_ecn_ack(s, c, seg);
	if (seq_gt(seg->ack, t->snd_una)) {
		ack_advance(s, c, &ack);
		if (opening)
			tcp_conn_syn_lost(s, c, retries);
		if (tcb_has(t, TF_FIN_SENT) && t->snd_una == t->snd_nxt)
			return ack_fin(s, c);
	} else if (!tcb_no_loss(t)) {
		tcp_rtx_heard(s, c);
		ack.dup = ack_is_dup(t, seg, old_wnd);
		if (ack.dup || (seg->opts.present & TCP_HAS_SACK) != 0)
			tcp_recovery_ack(s, c, t->snd_una, &ack);
	}
	return true;
}
