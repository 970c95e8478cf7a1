// SPDX-License-Identifier: BSD-2-Clause
/*
 * One acknowledgement through loss recovery: states and the congestion window
 *
 *	RTX_OPEN	what is acknowledged lets the window grow; new data goes for what has left
 *			the network, SACKed included (RFC 3042)
 *	RTX_CWR		nothing is lost, but the network has marked (RFC 3168): the window goes down
 *			as in RECOVERY, until something sent after that is acknowledged
 *	RTX_RECOVERY	from the first segment that is lost until all that was in flight then is
 *			acknowledged (RFC 6675, 6582). The window goes down to ssthresh by
 *			proportional rate reduction
 *	RTX_LOSS	after a timeout: all that the peer does not have is lost, unless it was sent
 *			just now, and is sent again in slow start (RFC 5681 3.1). F-RTO first
 *			(tcp_undo.c)
 *
 *	OPEN --- marked --> CWR --- more is acknowledged ---> OPEN
 *	 |                   | lost
 *	 |                   V
 *	 |----- lost ---> RECOVERY --- acknowledged, or undone ---> OPEN
 *	 |                   |  ^
 *	 `---- timeout ------+--|--> LOSS --- the same ---> OPEN
 *	                        `-----' a retransmission was lost
 *
 * Proportional rate reduction (RFC 6937bis) lets go, for each byte delivered, ssthresh / cwnd
 * before. When the pipe is below ssthresh it lets go what was delivered, and a segment more
 * (slow start) if the acknowledgement moved and showed no further loss: a reduction bound that is
 * as cautious as the path is bad.
 *
 * The order in one acknowledgement is Linux's: SACK blocks, then records that are acknowledged, then
 * round trip, probe, state, window.
 */
#include "stack/tcp_mtu.h"

/* ---- proportional rate reduction ------------------------------------------------------------- */

static bool cwnd_is_ours(const struct tcb *t)
{
	return tcp_cc_ops(t)->main == NULL;
}

static void prr_begin(struct tcp_rtx *rtx, uint32_t cwnd)
{
	rtx->prr_cwnd = max_u32(cwnd, 1);
	rtx->prr_delivered = 0;
	rtx->prr_out = 0;
}

static void prr_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		      const struct tcp_news *news)
{
	struct cc *cc = &tcb_cold(s, c)->cc;
	uint32_t pipe = tcp_rtx_pipe(s, c.t);
	uint32_t delivered = news->rate.acked_sacked;
	int64_t out;

	if (delivered == 0)
		return;
	rtx->prr_delivered += delivered;
	if (pipe > cc->ssthresh) {
		uint64_t share = (uint64_t)cc->ssthresh * rtx->prr_delivered / rtx->prr_cwnd;

		/* Segments are what goes: as Linux, up to the next. */
		out = (int64_t)((share + c.t->mss - 1) / c.t->mss * c.t->mss) - rtx->prr_out;
	} else {
		out = (int64_t)rtx->prr_delivered - rtx->prr_out;
		if (out < delivered)
			out = delivered;
		if ((news->flags & NEWS_ADVANCED) != 0 && news->rate.lost == 0)
			out += c.t->mss;
		if (out > cc->ssthresh - pipe)
			out = cc->ssthresh - pipe;
	}
	/* The first retransmission always goes. */
	if (rtx->prr_out == 0 && out < c.t->mss)
		out = c.t->mss;
	cc->cwnd = max_u32(pipe + (out > 0 ? (uint32_t)out : 0), 1);
}

/* ---- states ---------------------------------------------------------------------------------- */

/*
 * From here on the window goes down to what congestion control says, not at once: what it is now, is
 * where proportional rate reduction begins.
 */
static void reduction_begin(struct stack *s, struct conn c, struct tcp_rtx *rtx, bool marked)
{
	struct cc *cc = &tcb_cold(s, c)->cc;
	uint32_t cwnd = cc->cwnd;

	if (marked)
		tcp_cc_ecn(s, c, tcb_flight(c.t));
	else
		tcp_cc_loss(s, c, tcb_flight(c.t), &rtx->saved);
	rtx->restore = !marked;
	prr_begin(rtx, cwnd);
	if (cwnd_is_ours(c.t))
		cc->cwnd = cwnd;
	rtx->recover = c.t->snd_nxt;
	rtx->probe = PROBE_NONE;
}

static void recovery_enter(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	tcp_undo_begin(rtx, c.t->snd_una);
	if (!tcp_rtx_reducing(rtx))
		reduction_begin(s, c, rtx, false);
	if (rtx->mode != RTX_RECOVERY)
		s->stats.tcp_recoveries++;
	rtx->mode = RTX_RECOVERY;
	tcp_output_later(s, c);
}

/* To OPEN. The window is what its reduction aimed at, unless that was undone. */
static void recovery_leave(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct cc *cc = &tcb_cold(s, c)->cc;
	bool reduced = rtx->mode == RTX_CWR || (rtx->mode == RTX_RECOVERY && rtx->undo);

	if (reduced && cwnd_is_ours(c.t))
		cc->cwnd = cc->ssthresh;
	rtx->mode = RTX_OPEN;
	rtx->dups = 0;
	rtx->undo_end = c.t->snd_nxt;
	tcp_rack_recovered(s, c);
}

/*
 * Without SACK: one segment filled the hole, the others that left are behind us (RFC 6582). Return:
 * bytes that this acknowledgement delivered beyond what duplicates stood for.
 */
static uint32_t newreno_delivered(const struct tcb *t, struct tcp_rtx *rtx,
				  const struct tcp_news *news)
{
	uint32_t segs = (news->acked + t->mss - 1) / t->mss;
	uint64_t counted = (uint64_t)rtx->dups * t->mss;

	rtx->dups -= min_u32(rtx->dups, segs > 0 ? segs - 1 : 0);
	return max_u32(news->acked > counted ? news->acked - (uint32_t)counted : 0,
		       min_u32(t->mss, news->acked));
}

static void newreno_dup(const struct tcb *t, struct tcp_rtx *rtx, struct tcp_news *news)
{
	if ((news->flags & NEWS_DUP) == 0 || tcb_has(t, TF_SACK) ||
	    (uint64_t)(rtx->dups + 1) * t->mss > tcb_flight(t) - rtx->lost_bytes + rtx->resent_bytes)
		return;
	rtx->dups++;
	news->rate.acked_sacked += t->mss;
}

/* Return: true: nothing is to be marked or sent again now. */
static bool recovery_input(struct stack *s, struct conn c, struct tcp_rtx *rtx,
			   struct tcp_news *news)
{
	if ((news->flags & NEWS_ADVANCED) == 0) {
		newreno_dup(c.t, rtx, news);
	} else {
		if (!tcb_has(c.t, TF_SACK))
			news->rate.acked_sacked = newreno_delivered(c.t, rtx, news);
		if (tcp_undo_partial_may(rtx, news)) {
			/* The hole was filled by a late original: it is this path that reorders. */
			tcp_rack_reordered(s, c, c.t->snd_una - news->acked,
					   tcb_has(c.t, TF_SACK) ? seq_max(rtx->fack, c.t->snd_una)
								 : c.t->snd_nxt);
			if (rtx->resent_bytes != 0)
				return true;
			rtx->first_ts_valid = false;
			tcp_undo(s, c, rtx, true);
			recovery_leave(s, c, rtx);
			return false;
		}
	}
	if (tcp_undo_by_dsack(s, c, rtx))
		recovery_leave(s, c, rtx);
	return false;
}

static void loss_input(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	bool advanced = (news->flags & NEWS_ADVANCED) != 0;
	bool frto = tcp_frto_acked(c.t, rtx, news);

	if (frto || (advanced && tcp_undo_may(rtx, news))) {
		tcp_undo(s, c, rtx, true);
		recovery_leave(s, c, rtx);
	} else if (seq_geq(c.t->snd_una, rtx->recover)) {
		recovery_leave(s, c, rtx);
	} else if (advanced) {
		rtx->dups = 0;
	} else if (seq_gt(c.t->snd_nxt, rtx->recover)) {
		newreno_dup(c.t, rtx, news); /* F-RTO's new data is delivered */
	}
}

static void open_input(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	if ((news->flags & NEWS_ADVANCED) != 0)
		rtx->dups = 0;
	newreno_dup(c.t, rtx, news);
	if (seq_gt(c.t->snd_una, rtx->undo_end))
		rtx->undo = false; /* duplicates would have been reported by now */
	tcp_undo_by_dsack(s, c, rtx);
}

static void states_input(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	if (rtx->mode == RTX_OPEN && rtx->resent_bytes == 0)
		rtx->first_ts_valid = false;
	if (rtx->mode == RTX_RECOVERY && seq_geq(c.t->snd_una, rtx->recover)) {
		if (tcp_undo_may(rtx, news))
			tcp_undo(s, c, rtx, false);
		recovery_leave(s, c, rtx);
	}
	if (rtx->mode == RTX_CWR && seq_gt(c.t->snd_una, rtx->recover))
		recovery_leave(s, c, rtx);
	switch ((enum tcp_rtx_mode)rtx->mode) {
	case RTX_RECOVERY:
		if (recovery_input(s, c, rtx, news))
			return;
		break;
	case RTX_LOSS:
		loss_input(s, c, rtx, news);
		break;
	case RTX_OPEN:
	case RTX_CWR:
		open_input(s, c, rtx, news);
		break;
	}
	tcp_rack_detect(s, c, rtx, news);
	if (rtx->lost_bytes == 0 || rtx->mode == RTX_RECOVERY)
		return;
	if (rtx->mode < RTX_RECOVERY && tcp_mtu_lost(s, c))
		return;
	if (rtx->mode != RTX_LOSS || (news->flags & NEWS_LOST_AGAIN) != 0)
		recovery_enter(s, c, rtx);
}

static void window_input(struct stack *s, struct conn c, struct tcp_rtx *rtx, uint8_t prior_mode,
			 struct tcp_news *news)
{
	struct cc_rate *rate = &news->rate;
	uint32_t flight = rate->prior_in_flight;

	rate->in_flight = tcp_rtx_pipe(s, c.t);
	if (!cwnd_is_ours(c.t)) {
		tcp_cc_main(s, c, rate->rtt_us, rate, rtx->mode != RTX_OPEN);
	} else if (tcp_rtx_reducing(rtx)) {
		prr_acked(s, c, rtx, news);
	} else if (news->acked != 0 || tcp_reordering(s, c.t) > TCP_REORDERING) {
		/* After a timeout the window is what limits, whatever is in flight. */
		if (prior_mode == RTX_LOSS)
			flight = max_u32(flight, tcb_cold(s, c)->cc.cwnd);
		tcp_cc_acked(s, c, rate->acked_sacked, flight, rate->rtt_us, rate);
	}
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The handshake's SYN: it gives the first round trip, and that is all. */
static void syn_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	tcp_sent_acked(s, c, rtx, news);
	tcp_rtt_update(s, c, rtx, news);
	tcp_rtx_free(s, c.t);
}

/*
 * Nothing is in flight: an idle connection has no rtx, but for a minute, if news of duplicates may
 * still come. An algorithm that counts in what was delivered needs a tally to find that again.
 */
static void recovery_idle(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	if (rtx->mode == RTX_CWR)
		recovery_leave(s, c, rtx);
	if (!rtx->undo && rtx->probe != PROBE_AGAIN &&
	    (cwnd_is_ours(c.t) || tcb_tally(s, c) != NULL))
		tcp_rtx_free(s, c.t);
}

void tcp_recovery_forget(struct stack *s, struct conn c)
{
	if (tcb_flight(c.t) == 0 && !tcb_has(c.t, TF_PERSIST))
		tcp_rtx_free(s, c.t);
}

void tcp_recovery_ack(struct stack *s, struct conn c, uint32_t prior_una,
		      const struct tcp_ack *ack)
{
	const struct tcp_opts *opts = ack->opts;
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	struct tcp_news news = {
		.ack = ack->ack,
		.acked = t->snd_una - prior_una,
		.ts_ecr = ack->ts_ecr,
		.ts_now = tcp_ts_now(s, t),
	};
	uint8_t prior_mode;

	if (news.acked != 0)
		news.flags |= NEWS_ADVANCED;
	if (rtx == NULL)
		return;
	if (ack->dup)
		news.flags |= NEWS_DUP;
	if (rtx->due == DUE_RENEGED)
		rtx->due = DUE_RTO;
	if (news.acked != 0) {
		rtx->expiries = 0;
		rtx->stuck = false;
		rtx->shut = false;
	}
	if (!tcb_synchronized(t)) {
		syn_acked(s, c, rtx, &news);
		return;
	}
	prior_mode = rtx->mode;
	news.prior_fack = rtx->fack;
	news.rate.prior_in_flight = tcp_rtx_pipe_of(t, rtx, t->snd_nxt - prior_una);
	if (opts != NULL && (opts->present & TCP_HAS_SACK) != 0 && tcb_has(t, TF_SACK))
		tcp_sack_input(s, c, rtx, opts, &news);
	if (news.acked != 0)
		tcp_sent_acked(s, c, rtx, &news);
	tcp_rtt_update(s, c, rtx, &news);
	if ((news.flags & NEWS_REORDERED) != 0)
		tcp_rack_reordered(s, c, news.reordered, seq_max(rtx->fack, news.prior_fack));
	tcp_rack_adapt(s, c, rtx, &news);
	tcp_probe_acked(s, c, rtx, &news);
	if ((news.flags & (NEWS_RENEGED | NEWS_ADVANCED)) == (NEWS_RENEGED | NEWS_ADVANCED))
		tcp_timer_reneged(s, c);
	else
		states_input(s, c, rtx, &news);
	tcp_rate_finish(rtx, &news);
	tcp_meter_acked(s, c, &news, ack);
	window_input(s, c, rtx, prior_mode, &news);
	if (t->snd_una == t->snd_nxt)
		recovery_idle(s, c, rtx);
}

void tcp_recovery_reorder(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct tcp_news news = { .rate.prior_in_flight = tcp_rtx_pipe(s, c.t) };
	bool more = tcp_rack_timeout(s, c, rtx, &news);

	if (news.rate.lost != 0 && (rtx->mode >= RTX_RECOVERY || !tcp_mtu_lost(s, c))) {
		if (rtx->mode != RTX_RECOVERY) {
			recovery_enter(s, c, rtx);
			news.rate.acked_sacked = c.t->mss;
			if (cwnd_is_ours(c.t))
				prr_acked(s, c, rtx, &news);
		}
		tcp_output_later(s, c);
	}
	if (!more)
		tcp_timer_rto(s, c, false);
}

void tcp_recovery_ecn(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	if (rtx->mode == RTX_CWR) /* the last is over, here comes the next */
		recovery_leave(s, c, rtx);
	rtx->undo = false;
	reduction_begin(s, c, rtx, true);
	rtx->mode = RTX_CWR;
}

void tcp_recovery_probe_repaired(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct cc *cc = &tcb_cold(s, c)->cc;

	tcp_cc_loss(s, c, tcb_flight(c.t), &rtx->saved);
	if (cwnd_is_ours(c.t))
		cc->cwnd = cc->ssthresh;
	rtx->undo = false;
}

void tcp_recovery_timeout(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	bool anew = rtx->mode == RTX_OPEN, first = rtx->mode < RTX_RECOVERY;
	uint32_t age_us = 0;

	if (rtx->rack_valid && tcb_has(t, TF_SACK))
		age_us = rtx->rack_rtt_us + tcp_rack_window_us(s, c);
	tcp_sent_mark_all_lost(s, rtx, age_us);
	/*
	 * Once for one loss: a repetition, or a timeout in recovery from one, lowers ssthresh no
	 * further (as Linux).
	 */
	if (anew || (rtx->mode == RTX_LOSS && rtx->expiries == 0)) {
		tcp_cc_rto(s, c, tcb_flight(t), &rtx->saved);
		rtx->restore = true;
		tcp_undo_begin(rtx, t->snd_una);
	}
	/* Many came that overtook the first, and it did not: it was not for being late. */
	if (first && rtx->sacked_segs + rtx->dups >= TCP_REORDERING && tcb_ext(s, t) != NULL)
		tcb_ext(s, t)->reordering = 0;
	rtx->dups = 0;
	rtx->mode = RTX_LOSS;
	rtx->recover = t->snd_nxt;
	rtx->probe = PROBE_NONE;
	rtx->frto = first || rtx->expiries != 0 ? FRTO_WAIT : FRTO_OFF;
	if (cwnd_is_ours(t))
		tcb_cold(s, c)->cc.cwnd = tcp_rtx_pipe(s, t) + t->mss;
}

void tcp_recovery_mtu(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (rtx == NULL || tcp_sent_mark_large(s, rtx, t->mss) == 0)
		return;
	/* Not congestion: cwnd stays (RFC 1191 6.5). */
	rtx->mode = RTX_LOSS;
	rtx->recover = t->snd_nxt;
	rtx->frto = FRTO_OFF;
	rtx->probe = PROBE_NONE;
	rtx->undo = false;
	rtx->dups = 0;
	tcp_output_later(s, c);
}
