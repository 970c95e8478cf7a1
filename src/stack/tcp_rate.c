// SPDX-License-Identifier: BSD-2-Clause
/*
 * Delivery-rate samples (draft-cheng-iccrg-delivery-rate-estimation)
 *
 * A segment remembers how much the connection had delivered when it left, and when that was. When
 * it is delivered itself, the difference over the time between is a sample of the rate: over the
 * longer of the time in which that data was sent and the time in which it was acknowledged, so that
 * neither a burst of sending nor one of acknowledgements can exaggerate it.
 *
 *	sent	 |<-- send interval -->|
 *	--------+----------------------+-----------------------
 *	   first_sent_us            sent_us
 *	acknowledged    |<------ ack interval ------>|
 *	---------------+-----------------------------+---------
 *	         delivered_us                       now
 *
 * Of several segments that one acknowledgement delivers the one sent last counts.
 */
#include "stack/tcp.h"

void tcp_rate_sent(struct stack *s, struct tcp_rtx *rtx, struct tcp_sent *rec)
{
	/* Nothing in flight: what was delivered before is not of this flight. */
	if (rtx->head == 0) {
		rtx->first_sent_us = (uint32_t)s->now_us;
		rtx->delivered_us = (uint32_t)s->now_us;
	}
	rec->first_sent_us = rtx->first_sent_us;
	rec->delivered_us = rtx->delivered_us;
	rec->delivered = (uint32_t)rtx->delivered;
	rec->flags &= ~(uint32_t)SENT_APP_LIMITED;
	if (rtx->app_limited != 0)
		rec->flags |= SENT_APP_LIMITED;
}

void tcp_rate_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			uint32_t bytes, struct tcp_news *news)
{
	struct cc_rate *rate = &news->rate;
	uint32_t ago = (uint32_t)rtx->delivered - rec->delivered;

	rtx->delivered += bytes;
	rtx->delivered_us = (uint32_t)s->now_us;
	rate->acked_sacked += bytes;
	if (news->sample && time_before32(rec->sent_us, news->sample_sent_us))
		return;
	news->sample = true;
	news->sample_sent_us = rec->sent_us;
	news->sample_send_us = rec->sent_us - rec->first_sent_us;
	news->sample_delivered_us = rec->delivered_us;
	rate->prior_delivered = rtx->delivered - bytes - ago;
	rate->app_limited = (rec->flags & SENT_APP_LIMITED) != 0;
	rtx->first_sent_us = rec->sent_us;
}

void tcp_rate_finish(struct tcp_rtx *rtx, struct tcp_news *news)
{
	struct cc_rate *rate = &news->rate;

	if (rtx->app_limited != 0 && rtx->delivered > rtx->app_limited)
		rtx->app_limited = 0;
	rate->delivered = rtx->delivered;
	rate->min_rtt_us = rtx->min_rtt_us;
	if (!news->sample)
		return;
	rate->delivered_bytes = (uint32_t)(rtx->delivered - rate->prior_delivered);
	rate->interval_us = max_u32(news->sample_send_us,
				    rtx->delivered_us - news->sample_delivered_us);
	/* Less than a round trip cannot be: the acknowledgement is of an earlier transmission. */
	if (rate->interval_us < rtx->min_rtt_us)
		rate->interval_us = rate->delivered_bytes = 0;
}

void tcp_rate_app_limited(const struct stack *s, const struct tcb *t, struct tcp_rtx *rtx)
{
	rtx->app_limited = max_u64(rtx->delivered + tcp_rtx_pipe(s, t), 1);
}
