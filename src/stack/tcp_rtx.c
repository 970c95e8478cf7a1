// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sending again: what recovery found lost, as far as the window lets go; and the retransmission
 * timer, whatever it stands for. SYN and persist are here for links that cannot lose, too.
 */
#include "stack/tcp_mtu.h"
#include "stack/tcp_pace.h"

#include <errno.h>

static void rtx_count(struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcp_conn_ext(s, t);

	s->stats.tcp_retransmits++;
	if (ext != NULL)
		ext->retransmits++;
}

/*
 * Where a segment from @seq on that is sent again has its end: it may be smaller than it was (MTU),
 * or take what is lost behind it. The window does not cut: what was sent once was inside.
 */
static uint32_t rtx_end(const struct tcb *t, const struct tcp_sent *rec)
{
	uint32_t data_end = tcb_snd_end(t);
	uint32_t end = rec->seq + t->mss;

	if (seq_geq(end, data_end))
		end = data_end + (tcb_has(t, TF_FIN_SENT) ? 1 : 0);
	if (seq_gt(end, rec->end) && seq_gt(end, t->snd_una + t->snd_wnd))
		end = seq_max(rec->end, t->snd_una + t->snd_wnd);
	return end;
}

int tcp_rtx_send(struct stack *s, struct conn c, uint32_t idx)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	const struct tcp_sent *rec = tcp_sent_at(s, idx);
	uint32_t data_end = tcb_snd_end(t);
	uint8_t flags = TCP_ACK;
	uint32_t len;
	int sent = tcp_sent_resize(s, rtx, idx, rtx_end(t, rec));

	if (sent != 0)
		return sent;
	len = rec->end - rec->seq;
	if ((rec->flags & SENT_PUSH) != 0)
		flags |= TCP_PSH;
	if (seq_gt(rec->end, data_end)) {
		flags |= TCP_FIN;
		len--;
	}
	sent = tcp_xmit(s, c, rec->seq, flags, NULL, len);
	if (sent < 0)
		return sent;
	/* The frame was smaller: mss is, too, now. */
	if ((uint32_t)sent < len && tcp_sent_resize(s, rtx, idx, rec->seq + (uint32_t)sent) != 0)
		return -ENOMEM;
	rtx_count(s, t);
	if (t->ext != 0) {
		tcp_pace_sent(s, c, (uint32_t)sent);
		tcp_mtu_resent(s, t);
	}
	tcp_undo_resent(s, t, rtx, rec->end - rec->seq);
	tcp_sent_again(s, rtx, idx);
	if (idx == rtx->head && rtx->due != DUE_REORDER)
		tcp_timer_rto(s, c, true);
	return 0;
}

int tcp_rtx_output(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	while (rtx->lost.head != 0 && !tcp_frto_holds(rtx)) {
		const struct tcp_sent *rec = tcp_sent_at(s, rtx->lost.head);
		uint32_t cwnd = tcb_cold(s, c)->cc.cwnd, pipe = tcp_rtx_pipe(s, t);
		uint32_t len = min_u32(rec->end - rec->seq, t->mss);
		int err;

		if (pipe != 0 && (cwnd < pipe || cwnd - pipe < len))
			break;
		/* The first always goes: it is the probe of a window that closed, too. */
		if (rec->seq != t->snd_una && seq_gt(rec->seq + len, t->snd_una + t->snd_wnd))
			break;
		if (pipe != 0 && t->ext != 0 && tcp_pace_hold(s, c))
			break;
		err = tcp_rtx_send(s, c, rtx->lost.head);
		/* No memory to split: the timer tries again. */
		if (err != 0)
			return err == -ENOMEM ? 0 : err;
	}
	return 0;
}

/* ---- timeouts -------------------------------------------------------------------------------- */

static int rtx_error(const struct tcp_rtx *rtx)
{
	return rtx != NULL && rtx->soft_err != 0 ? rtx->soft_err : ETIMEDOUT;
}

/*
 * How often is an orphan's data sent again, or its window probed? At the longest interval there has
 * been no answer for minutes, and nobody waits for one.
 */
static uint32_t rtx_orphan_retries(const struct stack *s, struct conn c)
{
	uint32_t retries = s->cfg.tcp.orphan_retries;
	bool alive = tcp_rto_backed_off_ms(s, c) < TCP_RTO_MAX_MS;

	return retries == 0 && alive ? TCP_ORPHAN_RETRIES : retries;
}

static uint32_t rtx_retries(const struct stack *s, struct conn c)
{
	return tcb_has(c.t, TF_OWNED) ? tcp_setting(s->cfg.tcp.retries, TCP_RETRIES)
				      : rtx_orphan_retries(s, c);
}

static uint32_t rtx_user_timeout_ms(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);

	return ext != NULL ? ext->user_timeout_ms : 0;
}

/*
 * A number of retries stands for a time, as in Linux: what they take with the least RTO. So a path with a
 * long one is given up no later (RFC 1122 4.2.3.5 speaks of time, too).
 */
static uint32_t rtx_retries_ms(uint32_t retries)
{
	uint32_t ms = TCP_RTO_MIN_MS, sum = 0;

	for (uint32_t i = 0; i <= retries; i++) {
		sum += ms;
		ms = min_u32(2 * ms, TCP_RTO_MAX_MS);
	}
	return sum;
}

/* How long has something been sent again and not acknowledged? */
static uint32_t rtx_stuck_ms(const struct stack *s, const struct tcp_rtx *rtx)
{
	return rtx->stuck ? tcp_now_ms(s) - rtx->stuck_ms : 0;
}

/* The peer has taken its window back, and somebody waits for it to open. */
static bool rtx_is_shut(const struct tcb *t)
{
	return t->snd_wnd == 0 && tcb_has(t, TF_OWNED);
}

/* ... It lives as long as it says so, once in twice the longest RTO at least (as Linux). */
static bool rtx_window_given_up(const struct stack *s, const struct tcb *t,
				const struct tcp_rtx *rtx, uint32_t stuck_ms)
{
	uint32_t user_ms = rtx_user_timeout_ms(s, t);
	uint32_t most_ms = 2 * TCP_RTO_MAX_MS;

	if (user_ms != 0 && stuck_ms > user_ms)
		return true;
	if (user_ms != 0)
		most_ms = min_u32(most_ms, user_ms);
	return stuck_ms > most_ms && tcp_now_ms(s) - rtx->closed_ms > most_ms;
}

static bool rtx_given_up(const struct stack *s, struct conn c, const struct tcp_rtx *rtx)
{
	uint32_t stuck_ms = rtx_stuck_ms(s, rtx);
	uint32_t user_ms = rtx_user_timeout_ms(s, c.t);

	if (rtx_is_shut(c.t))
		return rtx_window_given_up(s, c.t, rtx, stuck_ms);
	if (rtx->expiries == 0)
		return false;
	return stuck_ms >= (user_ms != 0 ? user_ms : rtx_retries_ms(rtx_retries(s, c)));
}

/* The peer is silent. Return: false: the connection is gone. */
static bool rtx_rto(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	s->stats.tcp_timeouts++;
	if (rtx_given_up(s, c, rtx))
		return tcp_conn_done(s, c, rtx_error(rtx));
	if (rtx_is_shut(c.t)) {
		rtx->shut = true;
		tcp_recovery_timeout(s, c);
	} else {
		tcp_mtu_timeout(s, c);
		tcp_recovery_timeout(s, c);
		rtx->expiries = (uint8_t)min_u32(rtx->expiries + 1u, UINT8_MAX);
	}
	c.t->backoff = (uint8_t)min_u32(c.t->backoff + 1u, UINT8_MAX);
	if (tcp_rtx_output(s, c) != 0)
		tcp_output_later(s, c);
	if (!tcb_has(c.t, TF_RTX_TIMER))
		tcp_timer_rto(s, c, true);
	return true;
}

void tcp_rtx_heard(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (rtx == NULL || !rtx->shut)
		return;
	rtx->closed_ms = tcp_now_ms(s);
	if (t->snd_wnd == 0)
		return;
	/* It is open again: what waited for that goes soon, and the time to give up begins anew. */
	rtx->shut = false;
	rtx->stuck = false;
	rtx->expiries = 0;
	t->backoff = 0;
	tcp_timer_rto(s, c, false);
}

bool tcp_rtx_timeout(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	enum tcp_rtx_due due;

	if (t->snd_una == t->snd_nxt)
		return true;
	if (tcb_no_loss(t))
		return tcp_timer_watched(s, c) || tcp_conn_reset(s, c, ETIMEDOUT); /* the user's */
	if (rtx == NULL)
		return true;
	due = (enum tcp_rtx_due)rtx->due;
	rtx->due = DUE_RTO;
	switch (due) {
	case DUE_PROBE:
		tcp_probe_timeout(s, c, rtx);
		return true;
	case DUE_REORDER:
		tcp_recovery_reorder(s, c, rtx);
		return true;
	case DUE_RTO:
	case DUE_RENEGED:
		break;
	}
	return rtx_rto(s, c, rtx);
}

bool tcp_rtx_syn_timeout(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	uint32_t retries =
		tcb_has(t, TF_ACTIVE)
			? tcp_setting(s->cfg.tcp.syn_retries, TCP_SYN_RETRIES)
			: tcp_setting(s->cfg.tcp.synack_retries, TCP_SYNACK_RETRIES);
	const struct tcp_rtx *rtx = tcb_rtx(s, t);
	const struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t user_ms = rtx_user_timeout_ms(s, t);
	bool deferred = ext != NULL && ext->deferred;

	if (ext != NULL && ext->syncnt != 0 && tcb_has(t, TF_ACTIVE))
		retries = ext->syncnt;
	if (deferred)
		retries = max_u32(retries, ext->defer);
	s->stats.tcp_timeouts++;
	if (t->backoff >= retries ||
	    (user_ms != 0 && rtx != NULL && t->backoff != 0 && rtx_stuck_ms(s, rtx) >= user_ms))
		return tcp_conn_done(s, c, rtx_error(rtx));
	t->backoff++;
	if (tcb_asks(t) || (t->state == TCP_SYN_SENT && t->backoff == 1 && t->sndq.bytes == 0 && !tcb_no_loss(t)))
		tcp_event(s, c, STACK_EV_UNANSWERED);
	/* Deferred: the peer has it. Only the end of the time makes it answer again, or send. */
	if (deferred && t->backoff < ext->defer) {
		tcp_timer_data_sent(s, c);
		return true;
	}
	s->stats.tcp_retransmits++;
	if (tcp_xmit_syn(s, c) != 0)
		tcp_timer_data_sent(s, c);
	return true;
}

/*
 * A window that stays closed for longer than the user waits ends it, whether the peer answers or
 * not (as Linux). On a link that cannot lose nothing else does: the link says when the peer dies.
 */
static bool rtx_closed_too_long(const struct stack *s, const struct tcb *t, bool first,
				uint32_t *probe_ms)
{
	uint32_t user_ms = rtx_user_timeout_ms(s, t);

	if (first)
		*probe_ms = tcp_now_ms(s);
	return user_ms != 0 && tcp_now_ms(s) - *probe_ms >= user_ms;
}

/* Without memory for the counts it goes on. */
static bool rtx_probed_enough(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_ext *ext = tcb_ext(s, t);
	struct tcp_rtx *rtx;

	if (tcb_no_loss(t))
		return ext != NULL && rtx_closed_too_long(s, t, t->backoff == 0, &ext->probe_ms);
	rtx = tcp_rtx_need(s, c);
	if (rtx == NULL)
		return false;
	if (rtx_closed_too_long(s, t, !rtx->probing, &rtx->probe_ms) ||
	    rtx->probes >= rtx_retries(s, c))
		return true;
	rtx->probing = true;
	rtx->probes++;
	return false;
}

/*
 * Data waits, nothing is in flight. The window is closed: ask (RFC 9293 3.8.6.1). It is open and
 * the program corks, or there was no memory: what is there goes.
 */
bool tcp_rtx_persist(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if (!tcb_can_send(t))
		return true;
	if (tcp_out_usable(s, c) != 0 || tcb_unsent(t) == 0)
		return tcp_output(s, c, true);
	if (tcb_no_loss(t) && tcp_sndbuf_grow(s, c)) {
		tcp_timer_persist(s, c);
		return true;
	}
	if (rtx_probed_enough(s, c))
		return tcp_conn_done(s, c, ETIMEDOUT);
	t->backoff = (uint8_t)min_u32(t->backoff + 1u, tcp_setting(s->cfg.tcp.retries, TCP_RETRIES));
	tcp_send_probe(s, c);
	tcp_timer_persist(s, c);
	return true;
}
