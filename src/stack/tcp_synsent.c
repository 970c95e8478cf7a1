// SPDX-License-Identifier: BSD-2-Clause
/*
 * SYN_SENT: RFC 9293 3.10.7.3
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"

#include <errno.h>

/*
 * First step. An ACK must be for our SYN, and its echo (RFC 7323 3.2) of a clock value we have
 * sent.
 */
static bool synsent_ack_ok(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	const struct tcb *t = c.t;

	if (seq_leq(seg->ack, t->snd_una) || seq_gt(seg->ack, t->snd_nxt))
		return false;
	if (tcb_has(t, TF_TS) && (seg->opts.present & TCP_HAS_TS) != 0 && seg->opts.ts_ecr != 0 &&
	    tcp_ts_now(s, t) - seg->opts.ts_ecr > 2 * TCP_RTO_MAX_MS)
		return false;
	return true;
}

/* Fourth step: what SYN brings */
static void synsent_take_syn(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	t->rcv_nxt = seg->seq + 1;
	tcp_isn_theirs(s, t, seg->seq);
	t->rcv_adv += t->rcv_nxt; /* what our SYN said, though the program may have made the buffer smaller since */
	t->rcv_acked = seg->seq;
	t->snd_wnd = seg->view.window; /* never scaled in SYN (RFC 7323 2.2) */
	tcp_opt_agree(s, c, &seg->opts);
	tcp_ecn_syn(s, t, seg);
}

/* Of the data in our SYN, what the peer took is gone; the rest was not sent, as far as we care. */
static void synsent_data(struct stack *s, struct conn c, uint32_t ack)
{
	struct tcb *t = c.t;

	bufq_consume(&s->bufs, &t->sndq, ack - t->snd_una);
	t->snd_una = ack;
	t->snd_nxt = ack;
	if (t->sndq.bytes == 0)
		tcp_event(s, c, STACK_EV_SENT_ALL);
}

static void synsent_established(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	uint32_t retries = t->backoff;
	bool asks = tcb_no_loss(t) && tcb_has(t, TF_ASKS);

	if (asks) {
		t->flags &= ~(uint32_t)TF_ASKS;
		tcp_timer_stop(s, c); /* TCP_ASKS_MS would wake the process */
	}
	tcp_fastopen_synack(s, c, seg, retries);
	synsent_take_syn(s, c, seg);
	tcp_ack_syn(s, c, tcb_has(t, TF_TS) ? &seg->opts.ts_ecr : NULL);
	if (unlikely(t->sndq.bytes != 0))
		synsent_data(s, c, seg->ack);
	tcp_conn_established(s, c);
	tcp_rtt_handshake(s, c);
	tcp_conn_syn_lost(s, c, retries);
	/* The program mostly sends something now, which carries the acknowledgement. On a link that cannot lose nobody waits for it. */
	t->flags |= TF_ACK_OWED;
	if (tcb_no_loss(t)) {
		tcp_promise_keep(s, c, seg);
		if (asks && tcp_seg_is_place(seg))
			t->flags = (t->flags & ~(uint32_t)TF_ACK_OWED) | TF_CALLED;
		else
			tcp_ack_owing(s, c);
		return;
	}
	t->flags |= TF_ACK_NOW;
	tcp_output_later(s, c);
}

/* Both sides called: our SYN is sent again, with the acknowledgement (RFC 9293 figure 7). */
static void synsent_simultaneous(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	t->state = TCP_SYN_RECEIVED;
	if (tcb_no_loss(t))
		t->flags &= ~(uint32_t)TF_ASKS;
	synsent_take_syn(s, c, seg);
	t->snd_nxt = t->snd_una;
	if (tcp_xmit_syn(s, c) != 0)
		tcp_output_later(s, c);
}

void tcp_synsent_input(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	bool has_ack = (seg->flags & TCP_ACK) != 0;

	if (has_ack && !synsent_ack_ok(s, c, seg)) {
		tcp_drop(s, c, STACK_DROP_TCP_ACK);
		if ((seg->flags & TCP_RST) == 0)
			tcp_reply_rst(s, seg->pkt, &seg->view);
		return;
	}
	if ((seg->flags & TCP_RST) != 0) {
		if (!has_ack) {
			tcp_drop(s, c, STACK_DROP_TCP_RST);
			return;
		}
		s->stats.tcp_resets_rx++;
		tcp_conn_done(s, c, ECONNREFUSED);
		return;
	}
	if ((seg->flags & TCP_SYN) == 0) {
		tcp_drop(s, c, STACK_DROP_TCP_NO_ACK);
		return;
	}
	if (has_ack)
		synsent_established(s, c, seg);
	else
		synsent_simultaneous(s, c, seg);
}
