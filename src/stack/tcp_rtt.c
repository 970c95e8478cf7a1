// SPDX-License-Identifier: BSD-2-Clause
/*
 * Round-trip time and the retransmission timeout (RFC 6298), from a clock of microseconds
 *
 * Every acknowledgement of something that was sent once is a measurement, and congestion control
 * gets it. The averages take one of them for each round trip, as RFC 6298 means its weights. What
 * was sent twice says nothing (Karn), unless its timestamp does (RFC 7323 4.1). A timeout that was
 * doubled stays so until there is a measurement (RFC 6298 5.7): what came meanwhile may have been
 * answers to what was sent first, and a path that has become slow be slow still.
 */
#include "stack/tcp.h"

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

uint32_t tcp_backed_off_ms(uint32_t ms, uint32_t backoff)
{
	return (uint32_t)min_u64((uint64_t)ms << min_u32(backoff, 20), TCP_RTO_MAX_MS);
}

uint32_t tcp_rto_backed_off_ms(const struct stack *s, struct conn c)
{
	return tcp_backed_off_ms(tcp_rto_ms(s, c), c.t->backoff);
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

uint32_t tcp_rtt_min_us(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);

	return tune != NULL ? min_u32(tune->min_rtt_us, tune->min_rtt_prev_us) : 0;
}

/*
 * A window of five minutes that moves by halves. Return: the shortest round trip in it, with @rtt_us,
 * which is new
 */
static uint32_t rtt_shortest(struct stack *s, struct conn c, uint32_t rtt_us)
{
	struct tcp_tune *tune = tcp_tune_need(s, c);
	uint32_t now_ms = tcp_now_ms(s);

	if (tune == NULL)
		return rtt_us;
	if (tune->min_rtt_us == 0 || now_ms - tune->min_rtt_ms >= TCP_MIN_RTT_MS) {
		tune->min_rtt_us = tune->min_rtt_prev_us = rtt_us;
		tune->min_rtt_ms = now_ms;
	} else if (now_ms - tune->min_rtt_ms >= TCP_MIN_RTT_MS / 2) {
		tune->min_rtt_prev_us = tune->min_rtt_us;
		tune->min_rtt_us = rtt_us;
		tune->min_rtt_ms = now_ms;
	} else {
		tune->min_rtt_us = min_u32(tune->min_rtt_us, rtt_us);
	}
	return tcp_rtt_min_us(s, c);
}

void tcp_rtt_handshake(struct stack *s, struct conn c)
{
	uint32_t rtt_us = tcb_cold(s, c)->srtt_us;

	if (!tcb_no_loss(c.t) && rtt_us != 0)
		(void)rtt_shortest(s, c, rtt_us);
}

void tcp_rtt_update(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	uint32_t shortest, sample;

	if ((news->flags & NEWS_RETRANS) != 0)
		news->rtt_us = news->rtt_old_us = 0;
	sample = news->rtt_old_us;
	shortest = news->rtt_us;
	if (sample == 0)
		sample = shortest = news->rtt_sack_us;
	/* Which of the two transmissions it answers does not matter to a timestamp. */
	if (sample == 0 && (news->flags & NEWS_ADVANCED) != 0)
		sample = rtt_by_timestamp(s, c.t, news->ts_ecr);
	if (shortest != 0)
		rtx->min_rtt_us = rtt_shortest(s, c, shortest);
	news->rate.rtt_us = shortest != 0 ? shortest : sample;
	if (sample == 0)
		return;
	c.t->backoff = 0;
	if (seq_lt(c.t->snd_una, rtx->rtt_seq))
		return;
	tcp_rtt_sample(tcb_cold(s, c), sample);
	rtx->rtt_seq = c.t->snd_nxt;
}
