// SPDX-License-Identifier: BSD-2-Clause
/*
 * Counting what is told about a connection; names and meanings are those of Linux's TCP_INFO
 */
#include "stack/tcp.h"

void tcp_tally_begin(struct stack *s, struct conn c)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	bool active = tcb_has(c.t, TF_ACTIVE);

	if (cold->tally == 0)
		cold->tally = pool_get(&s->tcp->tallies);
	if (cold->tally != 0)
		*tcb_tally(s, c) = (struct tcp_tally){
			.bytes_acked = active, /* SYN */
			.segs_in = 1,
			.segs_out = active,
			.ts_recent_s = tcp_now_s(s),
		};
}

static struct tcp_meter *meter_need(struct stack *s, struct conn c)
{
	struct tcp_tally *tally = tcb_tally(s, c);

	if (tally == NULL)
		return NULL;
	if (tally->meter == 0) {
		tally->meter = pool_get(&s->tcp->meters);
		if (tally->meter != 0)
			*tcb_meter(s, c) = (struct tcp_meter){ .since_ms = tcp_now_ms(s) };
	}
	return tcb_meter(s, c);
}

/* ---- time ------------------------------------------------------------------------------------ */

static enum tcp_limit limit_now(const struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	uint32_t flight = tcb_flight(t), unsent, room;

	if (t->sndq.bytes == 0 && flight == 0)
		return LIMIT_NONE;
	if (tcp_rtx_pipe(s, t) >= tcb_cold(s, c)->cc.cwnd)
		return LIMIT_PATH;
	unsent = tcb_unsent(t);
	if (unsent == 0)
		return tcb_has(t, TF_WANT_WRITE) ? LIMIT_SNDBUF : LIMIT_PATH;
	room = t->snd_wnd > flight ? t->snd_wnd - flight : 0;
	return min_u32(unsent, t->mss) > room ? LIMIT_WINDOW : LIMIT_PATH;
}

static void limit_set(struct stack *s, struct tcp_meter *m, enum tcp_limit limit)
{
	uint32_t now_ms = tcp_now_ms(s);

	if (m->limit != LIMIT_NONE)
		m->limited_ms[m->limit - 1] += now_ms - m->since_ms;
	m->since_ms = now_ms;
	m->limit = (uint8_t)limit;
}

void tcp_meter_note(struct stack *s, struct conn c)
{
	enum tcp_limit limit = limit_now(s, c);
	struct tcp_meter *m = limit != LIMIT_NONE ? meter_need(s, c) : tcb_meter(s, c);

	if (m != NULL && m->limit != limit)
		limit_set(s, m, limit);
}

void tcp_meter_stop(struct stack *s, struct conn c)
{
	struct tcp_meter *m = tcb_meter(s, c);

	if (m != NULL)
		limit_set(s, m, LIMIT_NONE);
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

static void take_rate(struct tcp_meter *m, const struct cc_rate *rate)
{
	if (rate->interval_us == 0)
		return;
	if (rate->app_limited && (uint64_t)rate->delivered_bytes * m->rate_us <
					 (uint64_t)m->rate_bytes * rate->interval_us)
		return;
	m->rate_bytes = rate->delivered_bytes;
	m->rate_us = rate->interval_us;
	m->rate_app_limited = rate->app_limited;
}

void tcp_meter_acked(struct stack *s, struct conn c, const struct tcp_news *news,
		     const struct tcp_ack *ack)
{
	struct tcp_meter *m = tcb_meter(s, c);
	uint32_t segs = news->delivered_segs;

	if (m == NULL)
		return;
	/* The SYN-ACK; tcp_meter_info() counts it. It says nothing about the rate. */
	if (ack->syn && segs != 0)
		segs--;
	m->delivered += segs;
	if (ack->ece)
		m->delivered_ce += segs;
	if (!ack->syn)
		take_rate(m, &news->rate);
}

/* ---- drops ----------------------------------------------------------------------------------- */

VJ_COLD void tcp_drop(struct stack *s, struct conn c, enum stack_drop why)
{
	struct tcp_ext *ext = tcp_conn_ext(s, c.t);
	struct tcp_drops *drops;

	VJ_ASSERT_OP((unsigned int)why, >=, (unsigned int)TCP_DROP_FIRST);
	stack_drop(s, why);
	if (ext == NULL)
		return;
	if (ext->drops == 0) {
		ext->drops = pool_get(&s->tcp->drops);
		if (ext->drops == 0)
			return;
		*(struct tcp_drops *)pool_at(&s->tcp->drops, ext->drops) = (struct tcp_drops){ 0 };
	}
	drops = pool_at(&s->tcp->drops, ext->drops);
	drops->cnt[why - TCP_DROP_FIRST]++;
}

/* ---- telling, and the end -------------------------------------------------------------------- */

static void info_drops(const struct stack *s, const struct tcp_ext *ext, struct tcp_info *info)
{
	const struct tcp_drops *drops;

	if (ext->drops == 0)
		return;
	drops = pool_at(&s->tcp->drops, ext->drops);
	for (unsigned int i = 0; i < TCP_DROP_CNT; i++)
		info->drops[TCP_DROP_FIRST + i] = drops->cnt[i];
}

static void info_limits(const struct stack *s, const struct tcp_meter *m, struct tcp_info *info)
{
	uint64_t us[LIMIT_CNT] = { 0 };

	for (unsigned int i = 1; i < LIMIT_CNT; i++) {
		us[i] = m->limited_ms[i - 1] * UINT64_C(1000);
		if (i == m->limit)
			us[i] += (tcp_now_ms(s) - m->since_ms) * UINT64_C(1000);
		info->busy_us += us[i];
	}
	info->rwnd_limited_us = us[LIMIT_WINDOW];
	info->sndbuf_limited_us = us[LIMIT_SNDBUF];
}

void tcp_meter_info(const struct stack *s, struct conn c, struct tcp_info *info)
{
	const struct tcp_meter *m = tcb_meter(s, c);
	const struct tcp_ext *ext = tcb_ext(s, c.t);

	info->reordering = tcp_reordering(s, c.t);
	if (ext != NULL) {
		info->reord_seen = ext->reord_seen;
		info->dsack_dups = ext->dsack_dups;
		info_drops(s, ext, info);
	}
	if (tcb_tally(s, c) != NULL)
		info->delivered = 1; /* SYN */
	if (m == NULL)
		return;
	info->delivered += m->delivered;
	info->delivered_ce = m->delivered_ce;
	if (m->rate_us != 0)
		info->delivery_rate_Bps = (uint64_t)m->rate_bytes * US_PER_SEC / m->rate_us;
	info->delivery_app_limited = m->rate_app_limited;
	info_limits(s, m, info);
}

void tcp_meter_free(struct stack *s, struct conn c)
{
	struct tcp_tally *tally = tcb_tally(s, c);
	struct tcp_ext *ext = tcb_ext(s, c.t);

	if (tally != NULL && tally->meter != 0)
		pool_put(&s->tcp->meters, tally->meter);
	if (tally != NULL)
		pool_put(&s->tcp->tallies, tcb_cold(s, c)->tally);
	if (ext != NULL && ext->drops != 0)
		pool_put(&s->tcp->drops, ext->drops);
}
