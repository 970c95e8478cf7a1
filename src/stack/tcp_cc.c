// SPDX-License-Identifier: BSD-2-Clause
/*
 * Congestion control of a connection: which algorithm, where its state lies, and what it is told
 *
 * Loss recovery says what happened, in one call each; nothing else of TCP calls an algorithm. State
 * that does not fit into the connection is in tcp_global.cc from tcp_cc_start() to
 * tcp_cc_release(), and cc_priv.words[0] is then not 0.
 */
#include "stack/tcp.h"
#include "stack/tcp_pace.h"

#include <errno.h>

static void *cc_state(const struct stack *s, struct tcb_cold *cold, const struct cc_ops *ops)
{
	if (ops->bytes == 0)
		return &cold->cc_priv;
	return pool_at_sized(&s->tcp->cc, cold->cc_priv.words[0], CC_STATE_MAX);
}

static struct cc_env cc_env(struct stack *s, struct conn c, uint32_t flight)
{
	return (struct cc_env){
		.now_us = s->now_us,
		.now_ms = tcp_now_ms(s),
		.mss = c.t->mss,
		.srtt_us = tcb_cold(s, c)->srtt_us,
		.flight = flight,
		.snd_una = c.t->snd_una,
		.snd_nxt = c.t->snd_nxt,
		.prng = &s->prng,
	};
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/* @idx's, in place of what there is. Return: 0; -ENOMEM: nothing has changed. */
static int cc_start(struct stack *s, struct conn c, unsigned int idx)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = cc_find(idx);
	struct cc_env env = cc_env(s, c, tcb_flight(c.t));
	uint32_t state = 0;

	if (ops->bytes != 0) {
		VJ_ASSERT_OP(ops->bytes, <=, (uint32_t)CC_STATE_MAX);
		state = pool_get(&s->tcp->cc);
		if (state == 0)
			return -ENOMEM;
		__builtin_memset(pool_at_sized(&s->tcp->cc, state, CC_STATE_MAX), 0, CC_STATE_MAX);
	}
	tcp_cc_release(s, c);
	c.t->flags = (c.t->flags & ~TF_CC_MASK) | idx << TF_CC_SHIFT;
	cold->cc_priv.words[0] = state;
	ops->init(&cold->cc, cc_state(s, cold, ops), &env);
	return 0;
}

int tcp_cc_set(struct stack *s, struct conn c, unsigned int idx)
{
	int err;

	if (tcb_no_loss(c.t) || !tcb_synchronized(c.t) || c.t->state == TCP_TIME_WAIT) {
		c.t->flags = (c.t->flags & ~TF_CC_MASK) | idx << TF_CC_SHIFT;
		return 0;
	}
	err = cc_start(s, c, idx);
	if (err == 0) {
		err = tcp_pace_update(s, c);
		if (err != 0)
			(void)cc_start(s, c, CC_DEFAULT);
	}
	return err;
}

void tcp_cc_start(struct stack *s, struct conn c)
{
	if (tcp_cc_set(s, c, tcp_cc_idx(c.t)) != 0)
		(void)cc_start(s, c, CC_DEFAULT); /* which needs no memory */
}

void tcp_cc_release(struct stack *s, struct conn c)
{
	struct cc_priv *priv = &tcb_cold(s, c)->cc_priv;

	if (tcb_no_loss(c.t))
		return;
	if (tcp_cc_ops(c.t)->bytes != 0 && priv->words[0] != 0)
		pool_put(&s->tcp->cc, priv->words[0]);
	*priv = (struct cc_priv){ 0 };
}

uint64_t tcp_cc_pacing(const struct stack *s, struct conn c)
{
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct tcb_cold *cold = tcb_cold(s, c);

	/* not begun: before it is connected, and when it is over */
	return ops->pacing != NULL && cold->cc_priv.words[0] != 0 ? ops->pacing(cc_state(s, cold, ops)) : 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

void tcp_cc_sent(struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	struct cc_usage *u = &tcb_rtx(s, t)->usage;
	uint32_t flight = tcb_flight(t);
	bool full = (uint64_t)tcp_rtx_pipe(s, t) + t->mss > tcb_cold(s, c)->cc.cwnd;

	if (full || seq_geq(t->snd_una, u->seq) || (!u->full && flight > u->max_flight))
		*u = (struct cc_usage){ t->snd_nxt, flight, full };
}

/* What acked() and main() are told besides */
static void cc_env_usage(struct stack *s, struct conn c, struct cc_env *env)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);

	if (rtx == NULL)
		return;
	env->limited = rtx->usage.full;
	env->max_flight = rtx->usage.max_flight;
}

void tcp_cc_acked(struct stack *s, struct conn c, uint32_t acked, uint32_t flight, uint32_t rtt_us,
		  const struct cc_rate *rate)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, flight);

	if (ops->main != NULL)
		return;
	cc_env_usage(s, c, &env);
	env.limited |= flight >= cold->cc.cwnd;
	env.rtt_us = rtt_us;
	env.rate = rate;
	ops->acked(&cold->cc, cc_state(s, cold, ops), &env, acked);
}

void tcp_cc_main(struct stack *s, struct conn c, uint32_t rtt_us, const struct cc_rate *rate,
		 bool in_recovery)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, rate->prior_in_flight);

	if (ops->main == NULL)
		return;
	cc_env_usage(s, c, &env);
	env.rtt_us = rtt_us;
	env.rate = rate;
	env.in_recovery = in_recovery;
	ops->main(&cold->cc, cc_state(s, cold, ops), &env);
}

static void cc_save(const struct tcb_cold *cold, struct cc_saved *ret_saved)
{
	*ret_saved = (struct cc_saved){ cold->cc, cold->cc_priv };
}

void tcp_cc_loss(struct stack *s, struct conn c, uint32_t flight, struct cc_saved *ret_saved)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, flight);

	cc_save(cold, ret_saved);
	tcp_ecn_reduced(c.t);
	ops->loss(&cold->cc, cc_state(s, cold, ops), &env);
}

void tcp_cc_ecn(struct stack *s, struct conn c, uint32_t flight)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, flight);

	tcp_ecn_reduced(c.t);
	if (ops->ecn != NULL)
		ops->ecn(&cold->cc, cc_state(s, cold, ops), &env);
	else
		ops->loss(&cold->cc, cc_state(s, cold, ops), &env);
}

void tcp_cc_rto(struct stack *s, struct conn c, uint32_t flight, struct cc_saved *ret_saved)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, flight);

	cc_save(cold, ret_saved);
	tcp_ecn_reduced(c.t);
	ops->rto(&cold->cc, cc_state(s, cold, ops), &env);
}

void tcp_cc_undo(struct stack *s, struct conn c, const struct cc_saved *saved)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, tcb_flight(c.t));

	if (ops->undo != NULL) {
		ops->undo(&cold->cc, cc_state(s, cold, ops), &env, saved);
		return;
	}
	cold->cc.cwnd = max_u32(cold->cc.cwnd, saved->cc.cwnd);
	cold->cc.ssthresh = max_u32(cold->cc.ssthresh, saved->cc.ssthresh);
	cold->cc_priv = saved->priv;
}

/* RFC 5681 4.1, as Linux does it: the window is halved for every RTO in which nothing was sent. */
static void cc_restart(struct stack *s, struct conn c, struct cc *cc, uint32_t idle_ms)
{
	uint32_t rto_ms = tcp_rto_ms(s, c);
	uint32_t restart = min_u32(cc_initial_window(c.t->mss), cc->cwnd);

	if (idle_ms < rto_ms || s->cfg.tcp.no_idle_restart)
		return;
	cc->ssthresh = max_u32(cc->ssthresh, cc->cwnd / 4 * 3);
	for (uint32_t ms = rto_ms; ms <= idle_ms && cc->cwnd > restart; ms += rto_ms)
		cc->cwnd /= 2;
	cc->cwnd = max_u32(cc->cwnd, restart);
}

void tcp_cc_idle(struct stack *s, struct conn c, uint32_t idle_ms)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	const struct cc_ops *ops = tcp_cc_ops(c.t);
	struct cc_env env = cc_env(s, c, 0);

	if (ops->main == NULL)
		cc_restart(s, c, &cold->cc, idle_ms);
	if (ops->idle != NULL)
		ops->idle(&cold->cc, cc_state(s, cold, ops), &env, idle_ms);
}
