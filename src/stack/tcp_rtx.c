// SPDX-License-Identifier: BSD-2-Clause
/*
 * Loss: how it is noticed, and what is sent again
 *
 *	RTT, RTO	RFC 6298; samples are of segments sent once (Karn), or by timestamp when
 *			something was sent twice
 *	RTX_OPEN	duplicate acknowledgements are counted; the first two let new data go (RFC
 *			3042), the third starts
 *	RTX_RECOVERY	fast retransmit and NewReno's recovery (RFC 6582): each partial
 *			acknowledgement names the next hole
 *	RTX_LOSS	after a timeout: everything from snd_una on is sent again, in slow start
 *			(RFC 5681 3.1)
 *
 * NewReno is written with an estimate of the pipe instead of an inflated window: each duplicate
 * acknowledgement says that one segment has left the network, so pipe = flight - dups * mss, and
 * what fits between pipe and cwnd may be sent. That is the same arithmetic, and where SACK's better
 * estimate will go in.
 *
 * Nothing of this runs on links that cannot lose, but SYN and persist.
 */
#include "stack/tcp.h"

#include <errno.h>

/* ---- round-trip time ------------------------------------------------------------------------- */

void tcp_rtt_sample(struct tcb_cold *cold, uint32_t rtt_us)
{
	rtt_us = min_u32(max_u32(rtt_us, 1), TCP_RTO_MAX_MS * 1000);
	if (cold->srtt_us == 0) {
		cold->srtt_us = rtt_us;
		cold->rttvar_us = rtt_us / 2;
		return;
	}
	uint32_t diff = rtt_us > cold->srtt_us ? rtt_us - cold->srtt_us : cold->srtt_us - rtt_us;

	cold->rttvar_us = cold->rttvar_us - cold->rttvar_us / 4 + diff / 4;
	cold->srtt_us = max_u32(cold->srtt_us - cold->srtt_us / 8 + rtt_us / 8, 1);
}

/* Linux: the floor is under the variance, not under the sum, so that a long path keeps a margin. */
uint32_t tcp_rto_ms(const struct stack *s, struct conn c)
{
	const struct tcb_cold *cold = tcb_cold(s, c);
	uint32_t rto = TCP_RTO_INIT_MS;

	if (cold->srtt_us != 0)
		rto = cold->srtt_us / 1000 + max_u32(cold->rttvar_us / 250, TCP_RTO_MIN_MS);
	else if (cold->rttvar_us != 0)
		rto = cold->rttvar_us / 1000; /* tcp_conn_syn_lost() */
	return min_u32(rto, TCP_RTO_MAX_MS);
}

/* By timestamp, to 1 ms; 0: says nothing */
static uint32_t rtt_by_timestamp(const struct stack *s, const struct tcb *t, const uint32_t *ts_ecr)
{
	uint32_t rtt_ms;

	if (ts_ecr == NULL || *ts_ecr == 0)
		return 0;
	rtt_ms = tcp_ts_now(s, t) - *ts_ecr;
	return rtt_ms <= TCP_RTO_MAX_MS ? max_u32(rtt_ms * 1000, 1) : 0;
}

/* Return: what this acknowledgement says about the round trip, in us; 0: nothing. */
static uint32_t rtt_measure(struct stack *s, struct conn c, struct tcp_rtx *rtx,
			    const uint32_t *ts_ecr)
{
	struct tcb *t = c.t;
	uint32_t by_ts_us = rtt_by_timestamp(s, t, ts_ecr);

	if (rtx->timing && seq_geq(t->snd_una, rtx->rtt_seq)) {
		uint32_t rtt_us = max_u32((uint32_t)s->now_us - rtx->rtt_us, 1);

		rtx->timing = false;
		tcp_rtt_sample(tcb_cold(s, c), rtt_us);
		return rtt_us;
	}
	/* Which of the two it answers does not matter to a timestamp (RFC 7323 4.1). */
	if (!rtx->timing && rtx->resent && by_ts_us != 0)
		tcp_rtt_sample(tcb_cold(s, c), by_ts_us);
	return by_ts_us;
}

/* ---- state ----------------------------------------------------------------------------------- */

struct tcp_rtx *tcp_rtx_need(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx;

	if (t->rtx != 0)
		return tcb_rtx(s, t);
	t->rtx = pool_get(&s->tcp->rtx);
	if (t->rtx == 0)
		return NULL;
	rtx = tcb_rtx(s, t);
	*rtx = (struct tcp_rtx){
		.recover = t->snd_una,
		.nxt = t->snd_una,
		.small_end = t->snd_una,
		.usage.seq = t->snd_una,
		.stuck_ms = tcp_now_ms(s),
	};
	return rtx;
}

void tcp_rtx_free(struct stack *s, struct tcb *t)
{
	if (t->rtx == 0)
		return;
	pool_put(&s->tcp->rtx, t->rtx);
	t->rtx = 0;
}

uint32_t tcp_rtx_pipe(const struct stack *s, const struct tcb *t)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, t);
	uint32_t flight = tcb_flight(t);
	uint64_t left;

	if (rtx == NULL)
		return flight;
	if (rtx->mode == RTX_LOSS && seq_geq(rtx->nxt, rtx->recover))
		return flight;
	if (rtx->mode == RTX_LOSS)
		return (rtx->nxt - t->snd_una) + (t->snd_nxt - rtx->recover);
	left = (uint64_t)rtx->dups * t->mss;
	return left < flight ? flight - (uint32_t)left : 0;
}

static void rtx_count(struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcp_conn_ext(s, t);

	s->stats.tcp_retransmits++;
	if (ext != NULL)
		ext->retransmits++;
}

/* One segment from @seq on again. Return: sequence space sent; -EAGAIN: no frame. */
static int rtx_resend(struct stack *s, struct conn c, struct tcp_rtx *rtx, uint32_t seq)
{
	struct tcb *t = c.t;
	uint32_t data_end = tcb_snd_end(t);
	uint32_t limit = tcb_has(t, TF_FIN_SENT) ? data_end : t->snd_nxt;
	uint32_t len = min_u32(t->mss, limit - seq);
	uint8_t flags = TCP_ACK;
	int sent;

	if (seq + len == data_end)
		flags |= tcb_has(t, TF_FIN_SENT) ? TCP_PSH | TCP_FIN : TCP_PSH;
	sent = tcp_xmit(s, c, seq, flags, NULL, len);
	if (sent < 0)
		return sent;
	rtx_count(s, t);
	rtx->timing = false;
	rtx->resent = true;
	if ((uint32_t)sent == len && (flags & TCP_FIN) != 0)
		sent++;
	return sent;
}

int tcp_rtx_output(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	int sent;

	if (rtx->mode == RTX_RECOVERY && seq_leq(rtx->nxt, t->snd_una)) {
		sent = rtx_resend(s, c, rtx, t->snd_una);
		if (sent < 0)
			return sent;
		rtx->nxt = t->snd_una + (uint32_t)sent;
		tcp_timer_data_sent(s, c);
	}
	while (rtx->mode == RTX_LOSS && seq_lt(rtx->nxt, rtx->recover)) {
		uint32_t ahead = rtx->nxt - t->snd_una;

		/* The first always goes: it is the probe of a window that closed, too. */
		if (ahead != 0 && (ahead >= tcb_cold(s, c)->cc.cwnd || ahead >= t->snd_wnd))
			break;
		sent = rtx_resend(s, c, rtx, rtx->nxt);
		if (sent < 0)
			return sent;
		rtx->nxt += (uint32_t)sent;
		tcp_timer_data_sent(s, c);
	}
	return 0;
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

/* RFC 6582 3.2 step 3 */
static void rtx_acked_recovery(struct stack *s, struct conn c, struct tcp_rtx *rtx, uint32_t acked)
{
	struct tcb *t = c.t;
	struct tcb_cold *cold = tcb_cold(s, c);
	uint32_t gone = acked / t->mss; /* segments; the first of them was the one sent again */

	if (seq_geq(t->snd_una, rtx->recover)) {
		rtx->mode = RTX_OPEN;
		rtx->dups = 0;
		cold->cc.cwnd = min_u32(cold->cc.ssthresh, max_u32(tcb_flight(t), t->mss) + t->mss);
		return;
	}
	rtx->dups -= min_u32(rtx->dups, gone > 0 ? gone - 1 : 0);
	rtx->nxt = t->snd_una;
	rtx->partials = (uint8_t)min_u32(rtx->partials + 1u, 2);
}

void tcp_rtx_acked(struct stack *s, struct conn c, uint32_t acked, uint32_t flight,
		   const uint32_t *ts_ecr)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	uint32_t rtt_us;

	t->backoff = 0;
	if (rtx == NULL)
		return;
	rtt_us = rtt_measure(s, c, rtx, ts_ecr);
	rtx->stuck_ms = tcp_now_ms(s);
	if (!tcb_synchronized(t)) {
		tcp_rtx_free(s, t);
		return;
	}
	switch ((enum tcp_rtx_mode)rtx->mode) {
	case RTX_RECOVERY:
		rtx_acked_recovery(s, c, rtx, acked);
		break;
	case RTX_LOSS:
		rtx->nxt = seq_max(rtx->nxt, t->snd_una);
		if (seq_geq(t->snd_una, rtx->recover))
			rtx->mode = RTX_OPEN;
		flight = max_u32(flight, tcb_cold(s, c)->cc.cwnd);
		tcp_cc_acked(s, c, acked, flight, rtt_us, NULL);
		break;
	case RTX_OPEN:
		rtx->dups = 0;
		tcp_cc_acked(s, c, acked, flight, rtt_us, NULL);
		break;
	}
	if (t->snd_una == t->snd_nxt)
		tcp_rtx_free(s, t);
}

static void rtx_enter_recovery(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct tcb *t = c.t;

	tcp_cc_loss(s, c, tcb_flight(t), &rtx->saved);
	rtx->mode = RTX_RECOVERY;
	rtx->partials = 0;
	rtx->recover = t->snd_nxt;
	rtx->nxt = t->snd_una;
	if (tcp_rtx_output(s, c) != 0)
		tcp_output_later(s, c);
}

void tcp_rtx_dup(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (rtx == NULL || rtx->mode == RTX_LOSS || (uint64_t)rtx->dups * t->mss >= tcb_flight(t))
		return;
	rtx->dups++;
	/*
	 * RFC 6582 3.2 step 2: duplicates of what was sent twice are not news of a loss. The
	 * acknowledgement must be of more than `recover`.
	 */
	if (rtx->mode == RTX_OPEN && rtx->dups == 3 && !(rtx->resent && t->snd_una == rtx->recover))
		rtx_enter_recovery(s, c, rtx);
	/* RFC 3042: a segment has left, so one may go. */
	tcp_output_later(s, c);
}

void tcp_rtx_mtu(struct stack *s, struct conn c, uint32_t mtu)
{
	struct tcb *t = c.t;
	uint32_t ip_hdr = tcb_v4(t) ? 20 : 40;
	uint32_t hdrs = ip_hdr + tcp_hdr_len(t);
	uint32_t min_mtu = tcb_v4(t) ? 576 : 1280;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	uint32_t mss;

	/*
	 * Routers of before RFC 1191 say 0: assume the least that everybody must carry. Less than
	 * that is an attack.
	 */
	mss = max_u32(mtu, min_mtu) - hdrs;
	if (!tcb_synchronized(t) || mss >= t->mss || tcb_no_loss(t))
		return;
	t->mss = (uint16_t)mss;
	if (rtx == NULL || rtx->mode == RTX_LOSS)
		return;
	/*
	 * What was too large was not lost to congestion: send it again without touching cwnd (RFC
	 * 1191 6.5).
	 */
	rtx->mode = RTX_LOSS;
	rtx->recover = t->snd_nxt;
	rtx->nxt = t->snd_una;
	rtx->dups = 0;
	rtx->timing = false;
	rtx->resent = true;
	tcp_output_later(s, c);
}

/* ---- timeouts -------------------------------------------------------------------------------- */

static int rtx_error(const struct tcp_rtx *rtx)
{
	return rtx != NULL && rtx->soft_err != 0 ? rtx->soft_err : ETIMEDOUT;
}

static uint32_t rtx_retries(const struct stack *s, const struct tcb *t)
{
	return tcb_has(t, TF_OWNED)
		       ? tcp_setting(s->cfg.tcp.retries, TCP_RETRIES)
		       : tcp_setting(s->cfg.tcp.orphan_retries, TCP_ORPHAN_RETRIES);
}

static bool rtx_given_up(const struct stack *s, const struct tcb *t, const struct tcp_rtx *rtx)
{
	const struct tcp_ext *ext = tcb_ext(s, t);

	if (ext != NULL && ext->user_timeout_ms != 0 && rtx != NULL)
		return tcp_now_ms(s) - rtx->stuck_ms >= ext->user_timeout_ms;
	return t->backoff >= rtx_retries(s, t);
}

bool tcp_rtx_timeout(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (t->snd_una == t->snd_nxt)
		return true;
	if (tcb_no_loss(t))
		return tcp_conn_reset(s, c, ETIMEDOUT); /* the user's */
	if (rtx == NULL)
		return true;
	s->stats.tcp_timeouts++;
	if (rtx_given_up(s, t, rtx))
		return tcp_conn_done(s, c, rtx_error(rtx));
	/*
	 * Once for one loss: a repetition, or a timeout in recovery from one, lowers ssthresh no
	 * further (as Linux).
	 */
	if (rtx->mode == RTX_OPEN || (rtx->mode == RTX_LOSS && t->backoff == 0))
		tcp_cc_rto(s, c, tcb_flight(t), &rtx->saved);
	tcb_cold(s, c)->cc.cwnd = t->mss;
	rtx->mode = RTX_LOSS;
	rtx->recover = t->snd_nxt;
	rtx->nxt = t->snd_una;
	rtx->dups = 0;
	rtx->timing = false;
	rtx->resent = true;
	t->backoff++;
	tcp_timer_data_sent(s, c);
	if (tcp_rtx_output(s, c) != 0)
		tcp_output_later(s, c);
	return true;
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
	bool deferred = ext != NULL && ext->deferred;

	if (ext != NULL && ext->syncnt != 0 && tcb_has(t, TF_ACTIVE))
		retries = ext->syncnt;
	if (deferred)
		retries = max_u32(retries, ext->defer);
	s->stats.tcp_timeouts++;
	if (t->backoff >= retries ||
	    (ext != NULL && ext->user_timeout_ms != 0 && rtx_given_up(s, t, rtx)))
		return tcp_conn_done(s, c, rtx_error(rtx));
	t->backoff++;
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
 * not (as Linux).
 */
static bool rtx_probed_enough(const struct stack *s, const struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	if (ext == NULL || ext->user_timeout_ms == 0)
		return !tcb_no_loss(t) && rtx_given_up(s, t, NULL);
	if (t->backoff == 0)
		ext->probe_ms = tcp_now_ms(s);
	return tcp_now_ms(s) - ext->probe_ms >= ext->user_timeout_ms;
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
	if (rtx_probed_enough(s, t))
		return tcp_conn_done(s, c, ETIMEDOUT);
	t->backoff = (uint8_t)min_u32(t->backoff + 1u, 250);
	tcp_send_probe(s, c);
	tcp_timer_persist(s, c);
	return true;
}
