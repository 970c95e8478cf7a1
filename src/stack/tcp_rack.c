// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which segments are lost: RACK and the tail loss probe (RFC 8985); without SACK duplicate
 * acknowledgements (RFC 6582)
 *
 * RACK: a segment is lost when one that was sent later has arrived, and a round trip and the
 * reordering window have passed since it was sent. That holds for retransmissions as for first
 * transmissions, so one that is lost is found without a timeout. The reordering window is
 *
 *	0	until this path was seen to reorder, once three segments are SACKed or recovery runs:
 *		what the third duplicate acknowledgement did
 *	else	a quarter of the shortest round trip, more for each round with a DSACK, at most the
 *		smoothed round trip; back to a quarter after 16 recoveries without
 *
 * What is known of reordering outlasts the flight: it is in struct tcp_ext.
 *
 * `flying` is in the order of sending, so the first segment that has to wait ends the search, and
 * it is for that one that the timer is set.
 *
 * The probe: when nothing is heard for two round trips the last segment, or a new one, is sent
 * again, so that what comes back shows what is missing; a timeout would have reduced the window to
 * one segment. There is one for each tail. It may itself repair the loss of a single segment, and
 * hide it: then the window is reduced when it turns out that no duplicate arrived (RFC 8985 7.4).
 */
#include "stack/tcp.h"

#define PROBE_SLACK_MS 2u
#define PROBE_ACK_DELAY_MS TCP_RTO_MIN_MS /* what the peer may wait with an acknowledgement */

/* ---- RACK ------------------------------------------------------------------------------------ */

/* Was (@us, @end) sent after (@other_us, @other_end)? In one burst the order is that of the bytes. */
static bool sent_after(uint32_t us, uint32_t end, uint32_t other_us, uint32_t other_end)
{
	return time_after32(us, other_us) || (us == other_us && seq_gt(end, other_end));
}

/*
 * RFC 8985 6.2 step 2: does this answer an earlier transmission of @rec, sent again @age_us ago? The
 * echo is older, or it came sooner than possible. The echo tells only of what is acknowledged by
 * number: ahead of a hole receivers go on echoing what was before it (RFC 7323 4.3). A short segment
 * is somewhat faster than the full ones that the minimum may be of.
 */
static bool rack_is_earlier(const struct stack *s, const struct tcp_rtx *rtx,
			    const struct tcp_sent *rec, uint32_t age_us,
			    const struct tcp_news *news)
{
	uint32_t age_ms = tcp_now_ms(s) - (uint32_t)((s->now_us - age_us) / US_PER_MS);

	if (news->ts_ecr != NULL && *news->ts_ecr != 0 && seq_leq(rec->end, news->ack) &&
	    time_before32(*news->ts_ecr, news->ts_now - age_ms))
		return true;
	return age_us < rtx->min_rtt_us - rtx->min_rtt_us / 8;
}

void tcp_rack_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			const struct tcp_news *news)
{
	uint32_t rtt_us = (uint32_t)s->now_us - rec->sent_us;

	if ((rec->flags & SENT_EVER) != 0 && rack_is_earlier(s, rtx, rec, rtt_us, news))
		return;
	rtx->rack_advanced = true;
	if (rtx->rack_valid &&
	    !sent_after(rec->sent_us, rec->end, rtx->rack_sent_us, rtx->rack_end))
		return;
	rtx->rack_valid = true;
	rtx->rack_sent_us = rec->sent_us;
	rtx->rack_end = rec->end;
	rtx->rack_rtt_us = rtt_us;
}

uint32_t tcp_rack_window_us(const struct stack *s, struct conn c)
{
	const struct tcp_ext *ext = tcb_ext(s, c.t);
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	uint32_t srtt_us = tcb_cold(s, c)->srtt_us;
	uint32_t min_us = rtx->min_rtt_us != 0 ? rtx->min_rtt_us : srtt_us;
	uint32_t steps = ext != NULL ? max_u32(ext->rack_steps, 1) : 1;

	if ((ext == NULL || ext->reord_seen == 0) &&
	    (rtx->mode >= RTX_RECOVERY || rtx->sacked_segs >= tcp_reordering(s, c.t)))
		return 0;
	return (uint32_t)min_u64((uint64_t)(min_us / 4) * steps, srtt_us);
}

/* Return: us until the next one that is overdue already may be called lost; 0: there is none. */
static uint32_t rack_mark(struct stack *s, struct conn c, struct tcp_rtx *rtx,
			  struct tcp_news *news)
{
	uint32_t limit_us = rtx->rack_rtt_us + tcp_rack_window_us(s, c);
	uint32_t next;

	for (uint32_t idx = rtx->flying.head; idx != 0; idx = next) {
		const struct tcp_sent *rec = tcp_sent_at(s, idx);
		uint32_t age_us = (uint32_t)s->now_us - rec->sent_us;

		if (!sent_after(rtx->rack_sent_us, rtx->rack_end, rec->sent_us, rec->end))
			return 0;
		if (age_us < limit_us)
			return limit_us - age_us;
		next = rec->later;
		if ((rec->flags & SENT_RETRANS) != 0)
			news->flags |= NEWS_LOST_AGAIN;
		news->rate.lost += rec->end - rec->seq;
		tcp_sent_mark_lost(s, rtx, idx);
	}
	return 0;
}

/*
 * RFC 6582: the third duplicate (more, if this path reorders: RFC 4653 says why) names the first
 * hole, each partial acknowledgement the next.
 * Duplicates of what was sent twice are not news of a loss: the acknowledgement must be of more
 * than `recover` (3.2 step 2).
 */
static void newreno_mark(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	bool first = rtx->mode < RTX_RECOVERY && rtx->dups >= tcp_reordering(s, c.t) &&
		     !(rtx->resent && c.t->snd_una == rtx->recover);
	bool next = rtx->mode == RTX_RECOVERY && (news->flags & NEWS_ADVANCED) != 0;
	const struct tcp_sent *rec;

	if ((!first && !next) || rtx->head == 0)
		return;
	rec = tcp_sent_at(s, rtx->head);
	if ((rec->flags & SENT_LOST) != 0)
		return;
	news->rate.lost += rec->end - rec->seq;
	tcp_sent_mark_lost(s, rtx, rtx->head);
}

void tcp_rack_detect(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	uint32_t wait_us;

	if (!tcb_has(c.t, TF_SACK)) {
		newreno_mark(s, c, rtx, news);
		return;
	}
	if (!rtx->rack_advanced)
		return;
	rtx->rack_advanced = false;
	wait_us = rack_mark(s, c, rtx, news);
	if (wait_us != 0)
		tcp_timer_reorder(s, c, wait_us);
}

bool tcp_rack_timeout(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	uint32_t wait_us = rack_mark(s, c, rtx, news);

	if (wait_us != 0)
		tcp_timer_reorder(s, c, wait_us);
	return wait_us != 0;
}

uint32_t tcp_reordering(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);

	return ext != NULL ? tcp_setting(ext->reordering, TCP_REORDERING) : TCP_REORDERING;
}

void tcp_rack_reordered(struct stack *s, struct conn c, uint32_t seq, uint32_t fack)
{
	struct tcp_ext *ext = tcp_conn_ext(s, c.t);
	uint32_t segs;

	if (ext == NULL || seq_geq(seq, fack))
		return;
	segs = min_u32((fack - seq + c.t->mss - 1) / c.t->mss, TCP_REORDERING_MAX);
	ext->reordering = (uint16_t)max_u32(segs, tcp_reordering(s, c.t));
	ext->reord_seen++;
}

/* RFC 8985 6.2 step 4: once per round trip */
void tcp_rack_adapt(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);

	if (ext == NULL || ext->reord_seen == 0)
		return;
	if ((news->flags & (NEWS_DSACK | NEWS_DSACK_PROBE)) == NEWS_DSACK)
		rtx->rack_dsack = true;
	if (!news->sample || !rtx->rack_dsack)
		return;
	rtx->rack_dsack = false;
	if (news->rate.prior_delivered < rtx->rack_round)
		return;
	rtx->rack_round = rtx->delivered;
	ext->rack_steps = (uint8_t)min_u32(max_u32(ext->rack_steps, 1) + 1, UINT8_MAX);
	ext->rack_persist = TCP_RACK_PERSIST;
}

void tcp_rack_recovered(struct stack *s, struct conn c)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);

	if (ext == NULL || ext->rack_persist == 0)
		return;
	if (--ext->rack_persist == 0)
		ext->rack_steps = 1;
}

/* ---- tail loss probe ------------------------------------------------------------------------- */

uint32_t tcp_probe_ms(const struct stack *s, struct conn c)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	uint32_t srtt_us = tcb_cold(s, c)->srtt_us;
	bool single;

	if (rtx == NULL || !tcb_has(c.t, TF_SACK) || !tcb_synchronized(c.t) || rtx->head == 0 ||
	    rtx->mode > RTX_CWR || rtx->probe != PROBE_NONE ||
	    (rtx->sacked_bytes | rtx->lost_bytes | rtx->resent_bytes) != 0)
		return 0;
	if (srtt_us == 0)
		return TCP_RTO_INIT_MS;
	single = rtx->head == rtx->tail;
	return (srtt_us + 499) / 500 + (single ? PROBE_ACK_DELAY_MS : PROBE_SLACK_MS);
}

void tcp_probe_timeout(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct tcb *t = c.t;

	if (rtx->mode <= RTX_CWR && rtx->probe == PROBE_NONE) {
		if (tcp_out_probe(s, c, min_u32(tcb_unsent(t), t->mss)))
			rtx->probe = PROBE_NEW;
		else if (tcp_rtx_send(s, c, rtx->tail) == 0)
			rtx->probe = PROBE_AGAIN;
	}
	if (rtx->probe != PROBE_NONE) {
		rtx->probe_end = t->snd_nxt;
		s->stats.tcp_probes++;
	}
	tcp_timer_rto(s, c, rtx->probe != PROBE_NONE);
}

void tcp_probe_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		     const struct tcp_news *news)
{
	if (rtx->probe == PROBE_NONE || seq_lt(news->ack, rtx->probe_end))
		return;
	if (rtx->probe == PROBE_AGAIN && (news->flags & NEWS_DSACK_PROBE) == 0) {
		if (seq_gt(news->ack, rtx->probe_end)) {
			/* It went on, and nobody saw a duplicate: the probe repaired a loss. */
			rtx->probe = PROBE_NONE;
			tcp_recovery_probe_repaired(s, c, rtx);
			return;
		}
		/* A pure duplicate: both have arrived. */
		if ((news->flags & (NEWS_ADVANCED | NEWS_SACKED | NEWS_DUP)) != NEWS_DUP)
			return;
	}
	rtx->probe = PROBE_NONE;
}
