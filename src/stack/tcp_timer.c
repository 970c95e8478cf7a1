// SPDX-License-Identifier: BSD-2-Clause
/*
 * Time: callers report events, only this file decides what they mean for timers
 *
 * One wheel node per connection serves all its deadlines:
 *
 *	rtx_due_ms	RTX_TIMER	SYN_SENT, SYN_RECEIVED: SYN again
 *					FIN_WAIT_2 of an orphan, TIME_WAIT: the end
 *					FASTOPEN: SYN-ACK again; CALLED: none came
 *					with PERSIST: probe, or send what was held back
 *					else: retransmission timeout (NO_LOSS: user timeout)
 *	ack_tick	ACK_TIMER	delayed acknowledgement (NO_LOSS: in tcp_owed.c instead)
 *	ext->seen_ms	KEEPALIVE	keep-alive, while nothing is in flight
 *	tune->ack_*_ms	tune exists	what was learned is forgotten, TCP_TUNE_IDLE_MS later; so is
 *					rtx, if nothing is in flight
 *
 * The node is moved only to an earlier time. A deadline that moves away, or is called off, leaves
 * it where it is: it fires, nothing is due, and it is armed for what is next. So a busy connection
 * touches the wheel once per RTO and not per segment.
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"

#include <errno.h>

#define ACK_TICK_SHIFT 2 /* ack_tick counts 4 ms */

static bool ms_due(uint32_t now_ms, uint32_t due_ms)
{
	return time_after_eq32(now_ms, due_ms);
}

static bool timer_is_keepalive_on(const struct tcb *t)
{
	return tcb_has(t, TF_KEEPALIVE) && tcb_synchronized(t) && t->state != TCP_TIME_WAIT &&
	       !tcb_no_loss(t);
}

static uint32_t keepalive_due_ms(const struct tcp_ext *ext)
{
	return ext->seen_ms + ext->keepidle_s * 1000u + ext->keep_probes * ext->keepintvl_s * 1000u;
}

/* ms until ack_tick, rounded up to its unit; at most 128 units are told from the past */
static uint32_t ack_left_ms(const struct tcb *t, uint32_t now_ms)
{
	int8_t ticks = (int8_t)(uint8_t)(t->ack_tick - (now_ms >> ACK_TICK_SHIFT));

	if (ticks <= 0)
		return 0;
	return ((uint32_t)ticks << ACK_TICK_SHIFT) - (now_ms & ((1u << ACK_TICK_SHIFT) - 1));
}

/* ms until tune goes; UINT32_MAX: there is none */
static uint32_t tune_left_ms(const struct stack *s, struct conn c, uint32_t now_ms)
{
	const struct tcp_tune *tune = tcb_no_loss(c.t) ? NULL : tcb_tune(s, c);
	uint32_t idle_ms;

	if (tune == NULL)
		return UINT32_MAX;
	idle_ms = min_u32(now_ms - tune->ack_in_ms, now_ms - tune->ack_out_ms);
	return idle_ms < TCP_TUNE_IDLE_MS ? TCP_TUNE_IDLE_MS - idle_ms : 0;
}

/* Make sure the node fires when the next deadline comes. */
static void timer_sync(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	uint32_t now_ms = tcp_now_ms(s);
	uint32_t left = UINT32_MAX;
	uint64_t due_us;

	if (tcb_has(t, TF_RTX_TIMER))
		left = ms_due(now_ms, t->rtx_due_ms) ? 0 : t->rtx_due_ms - now_ms;
	if (tcb_has(t, TF_ACK_TIMER))
		left = min_u32(left, ack_left_ms(t, now_ms));
	if (timer_is_keepalive_on(t)) {
		uint32_t due_ms = keepalive_due_ms(tcb_ext(s, t));

		left = min_u32(left, ms_due(now_ms, due_ms) ? 0 : due_ms - now_ms);
	}
	left = min_u32(left, tune_left_ms(s, c, now_ms));
	if (left == UINT32_MAX)
		return;
	/*
	 * From the ms that has begun, so that the deadline has passed by the millisecond clock when
	 * the node fires.
	 */
	due_us = (s->now_us / US_PER_MS + left) * US_PER_MS;
	if (!wheel_armed(&t->wheel) ||
	    wheel_due_us(&s->wheel, &t->wheel) > due_us + (1u << WHEEL_TICK_SHIFT))
		wheel_arm(&s->wheel, ref_tcp(c.id), due_us);
}

static void timer_rtx_set(struct stack *s, struct conn c, uint32_t ms)
{
	c.t->rtx_due_ms = tcp_now_ms_ceil(s) + ms;
	c.t->flags |= TF_RTX_TIMER;
	timer_sync(s, c);
}

/* ... for something in flight */
static void timer_due_set(struct stack *s, struct conn c, uint32_t ms, enum tcp_rtx_due due)
{
	struct tcp_rtx *rtx = tcb_rtx(s, c.t);

	if (rtx != NULL)
		rtx->due = (uint8_t)due;
	timer_rtx_set(s, c, ms);
}

/* @ms, cut to what the user timeout leaves of it, @gone_ms after it began */
static uint32_t timer_user(const struct stack *s, const struct tcb *t, uint32_t ms, uint32_t gone_ms)
{
	const struct tcp_ext *ext = tcb_ext(s, t);

	if (ext == NULL || ext->user_timeout_ms == 0)
		return ms;
	return min_u32(ms, ext->user_timeout_ms > gone_ms ? ext->user_timeout_ms - gone_ms : 1);
}

/* The time that backoff stands for. The user timeout runs from the first retransmission, as in Linux. */
static uint32_t timer_rto(const struct stack *s, struct conn c)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	uint32_t ms = tcp_rto_backed_off_ms(s, c);

	if (rtx == NULL || !rtx->stuck)
		return ms;
	return timer_user(s, c.t, ms, tcp_now_ms(s) - rtx->stuck_ms);
}

/* The same, from when the first in flight was sent last */
static uint32_t timer_rto_left(const struct stack *s, struct conn c)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	uint32_t ms = timer_rto(s, c), age_us;

	if (rtx == NULL || rtx->head == 0)
		return ms;
	age_us = (uint32_t)s->now_us - tcp_sent_at(s, rtx->head)->sent_us;
	return age_us / 1000 < ms ? ms - age_us / 1000 : 1;
}

/*
 * A tail loss probe, before the timeout that would come @rto_ms from now. Return: false: it is no
 * time for one.
 */
static bool timer_probe(struct stack *s, struct conn c, uint32_t rto_ms)
{
	uint32_t ms = tcp_probe_ms(s, c);

	if (ms == 0)
		return false;
	timer_due_set(s, c, min_u32(ms, rto_ms), DUE_PROBE);
	return true;
}

void tcp_timer_rto(struct stack *s, struct conn c, bool fresh)
{
	timer_due_set(s, c, fresh ? timer_rto(s, c) : timer_rto_left(s, c), DUE_RTO);
}

void tcp_timer_reorder(struct stack *s, struct conn c, uint32_t us)
{
	timer_due_set(s, c, us / 1000 + 1, DUE_REORDER);
}

void tcp_timer_reneged(struct stack *s, struct conn c)
{
	timer_due_set(s, c, max_u32(tcb_cold(s, c)->srtt_us / 2000, 10), DUE_RENEGED);
}

/*
 * A link that cannot lose: nothing is repeated, but a user timeout looks now and then, from the last acknowledgement on, whether data wait for the
 * window.
 */
static void timer_watch(struct stack *s, struct conn c)
{
	const struct tcp_ext *ext = tcb_ext(s, c.t);

	if (ext != NULL && ext->user_timeout_ms != 0 && !tcb_has(c.t, TF_RTX_TIMER))
		timer_rtx_set(s, c, max_u32(ext->user_timeout_ms, TCP_RTO_MIN_MS));
}

bool tcp_timer_watched(struct stack *s, struct conn c)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);
	bool waits = tcb_unsent(c.t) != 0 && tcp_out_usable(s, c) == 0;

	if (ext == NULL || ext->user_timeout_ms == 0)
		return true;
	if (waits && ext->kept_back)
		return false;
	ext->kept_back = waits;
	timer_watch(s, c);
	return true;
}

/* The probes are over; what they have learned goes. */
static void timer_persist_stop(struct stack *s, struct tcb *t)
{
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	t->flags &= ~(uint32_t)(TF_PERSIST | TF_RTX_TIMER);
	t->backoff = 0;
	if (rtx != NULL) {
		rtx->probes = 0;
		rtx->probing = false;
	}
}

void tcp_timer_data_sent(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	bool syn = t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED;
	const struct tcp_rtx *rtx;

	if (tcb_is_fastopen(t) || tcb_is_called(t)) /* data have no timer of their own yet */
		return;
	if (tcb_no_loss(t) && !syn) {
		timer_watch(s, c);
		return;
	}
	if (tcb_asks(t) && t->backoff == 0) {
		timer_rtx_set(s, c, TCP_ASKS_MS);
		return;
	}
	if (tcb_has(t, TF_PERSIST))
		timer_persist_stop(s, t);
	rtx = tcb_rtx(s, t);
	if (tcb_has(t, TF_RTX_TIMER) && !syn && (rtx == NULL || rtx->due != DUE_PROBE) &&
	    tcp_probe_ms(s, c) == 0)
		return;
	if (tcb_has(t, TF_RTX_TIMER) && rtx != NULL && rtx->due == DUE_REORDER)
		return;
	if (!timer_probe(s, c, timer_rto_left(s, c)))
		tcp_timer_rto(s, c, true);
}

void tcp_timer_data_acked(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	const struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (unlikely(t->ext != 0))
		tcb_ext(s, t)->kept_back = false;
	if (tcb_has(t, TF_PERSIST))
		return;
	if (t->snd_una != t->snd_nxt && !tcb_no_loss(t)) {
		/* RACK's and reneging's are short, and look at what is there when they fire. */
		if (rtx != NULL && (rtx->due == DUE_REORDER || rtx->due == DUE_RENEGED))
			return;
		if (!timer_probe(s, c, timer_rto(s, c)))
			tcp_timer_rto(s, c, true);
		return;
	}
	t->flags &= ~(uint32_t)TF_RTX_TIMER;
	t->rtx_due_ms = tcp_now_ms(s);
	if (t->snd_una != t->snd_nxt)
		timer_watch(s, c);
}

void tcp_timer_persist(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	const struct tcp_rtx *rtx = tcb_rtx(s, t);
	uint32_t ms = tcb_no_loss(t) ? TCP_RTO_MIN_MS : tcp_rto_ms(s, c);

	t->flags |= TF_PERSIST;
	if (tcp_out_usable(s, c) == 0)
		ms = tcp_rto_backed_off_ms(s, c);
	if (tcb_no_loss(t) && tcb_ext(s, t) != NULL && t->backoff != 0)
		ms = timer_user(s, t, ms, tcp_now_ms(s) - tcb_ext(s, t)->probe_ms);
	else if (rtx != NULL && rtx->probing)
		ms = timer_user(s, t, ms, tcp_now_ms(s) - rtx->probe_ms);
	if (tcp_sndbuf_may_grow(s, c))
		ms = min_u32(ms, TCP_STUCK_MS);
	timer_rtx_set(s, c, ms);
}

void tcp_timer_sndbuf_full(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if ((tcb_has(t, TF_PERSIST) || tcb_is_called(t)) &&
	    (!tcb_has(t, TF_RTX_TIMER) || (int32_t)(t->rtx_due_ms - tcp_now_ms(s)) > (int32_t)TCP_STUCK_MS + 1) && tcp_sndbuf_may_grow(s, c))
		timer_rtx_set(s, c, TCP_STUCK_MS);
}

void tcp_timer_persist_over(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	timer_persist_stop(s, t);
	t->rtx_due_ms = tcp_now_ms(s);
	tcp_output_later(s, c);
}

void tcp_timer_ack_owed(struct stack *s, struct conn c)
{
	uint32_t due_ms;

	if (tcb_no_loss(c.t)) {
		tcp_owed_add(s, c);
		return;
	}
	due_ms = tcp_now_ms_ceil(s) + tcp_delack_ms(s, c);
	c.t->ack_tick = (uint8_t)((due_ms + (1u << ACK_TICK_SHIFT) - 1) >> ACK_TICK_SHIFT);
	c.t->flags |= TF_ACK_TIMER;
	timer_sync(s, c);
}

void tcp_timer_owing(struct stack *s)
{
	struct tcp_global *g = s->tcp;

	for (uint32_t i = 0; i < s->owing_cnt; i++) {
		struct conn c = { .id = g->owing[i] };

		if (!bitmap_test(g->used, c.id))
			continue;
		c = conn_at(s, c.id);
		if ((c.t->flags & (TF_ACK_OWED | TF_ACK_TIMER)) == TF_ACK_OWED &&
		    !ref_list_has(&c.t->output))
			tcp_timer_ack_owed(s, c);
	}
	s->owing_cnt = 0;
}

void stack_put_off(struct stack *s)
{
	tcp_timer_owing(s);
}

void tcp_timer_linger(struct stack *s, struct conn c, uint32_t ms)
{
	c.t->flags &= ~(uint32_t)TF_PERSIST;
	timer_rtx_set(s, c, ms);
}

void tcp_timer_keepalive_seen(struct stack *s, const struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	ext->seen_ms = tcp_now_ms_ceil(s);
	ext->keep_probes = 0;
}

void tcp_timer_keepalive(struct stack *s, struct conn c)
{
	tcp_timer_keepalive_seen(s, c.t);
	timer_sync(s, c);
}

void tcp_timer_synack(struct stack *s, struct conn c)
{
	timer_rtx_set(s, c, tcp_backed_off_ms(TCP_RTO_INIT_MS, c.t->backoff));
}

void tcp_timer_tune(struct stack *s, struct conn c)
{
	timer_sync(s, c);
}

void tcp_timer_stop(struct stack *s, struct conn c)
{
	c.t->flags &= ~(uint32_t)(TF_RTX_TIMER | TF_PERSIST | TF_ACK_TIMER);
	if (wheel_armed(&c.t->wheel))
		wheel_disarm(&s->wheel, ref_tcp(c.id));
}

/* ---- firing ---------------------------------------------------------------------------------- */

/* Return: false: the connection is gone. */
static bool timer_rtx_fire(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	t->flags &= ~(uint32_t)TF_RTX_TIMER;
	if (tcb_is_called(t))
		return tcp_call_timeout(s, c);
	if (tcb_is_fastopen(t))
		return tcp_fastopen_timeout(s, c);
	switch ((enum tcp_state)t->state) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		return tcp_rtx_syn_timeout(s, c);
	case TCP_FIN_WAIT_2:
		return tcp_conn_done(s, c, 0);
	case TCP_TIME_WAIT:
		return tcb_has(t, TF_TW_LAST) ? tcp_conn_done(s, c, 0) : tcp_tw_fold(s, c);
	default:
		break;
	}
	if (tcb_has(t, TF_PERSIST)) {
		t->flags &= ~(uint32_t)TF_PERSIST;
		return tcp_rtx_persist(s, c);
	}
	return tcp_rtx_timeout(s, c);
}

/* As Linux: the user timeout overrides the number of probes, but is not less than one. */
static bool keepalive_is_over(const struct stack *s, const struct tcp_ext *ext)
{
	if (ext->user_timeout_ms == 0)
		return ext->keep_probes >= ext->keepcnt;
	return ext->keep_probes != 0 && tcp_now_ms(s) - ext->seen_ms >= ext->user_timeout_ms;
}

/* RFC 9293 3.8.4. Return: false: the connection is gone. */
static bool timer_keepalive_fire(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_ext *ext = tcb_ext(s, t);

	/* While something waits for an answer anyway, the retransmission timer watches. */
	if (t->snd_una != t->snd_nxt || t->sndq.bytes != 0) {
		ext->seen_ms = tcp_now_ms(s);
		return true;
	}
	if (keepalive_is_over(s, ext))
		return tcp_conn_reset(s, c, ETIMEDOUT);
	ext->keep_probes = (uint8_t)min_u32(ext->keep_probes + 1u, UINT8_MAX);
	tcp_send_probe(s, c);
	return true;
}

void tcp_timer(struct stack *s, uint32_t id)
{
	struct conn c = conn_at(s, id);
	struct tcb *t = c.t;
	uint32_t now_ms = tcp_now_ms(s);

	if (tcb_has(t, TF_ACK_TIMER) && ack_left_ms(t, now_ms) == 0) {
		t->flags &= ~(uint32_t)TF_ACK_TIMER;
		if (tcb_has(t, TF_ACK_OWED)) {
			tcp_delack_expired(s, c);
			tcp_send_ack(s, c);
		}
	}
	if (tcb_has(t, TF_RTX_TIMER) && ms_due(now_ms, t->rtx_due_ms) && !timer_rtx_fire(s, c))
		return;
	if (t->state != TCP_CLOSED && timer_is_keepalive_on(t) &&
	    ms_due(now_ms, keepalive_due_ms(tcb_ext(s, t))) && !timer_keepalive_fire(s, c))
		return;
	if (t->state == TCP_CLOSED)
		return;
	if (tune_left_ms(s, c, now_ms) == 0) {
		tcp_tune_free(s, c);
		tcp_recovery_forget(s, c);
	}
	timer_sync(s, c);
}
