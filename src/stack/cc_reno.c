// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reno: RFC 5681, with appropriate byte counting in congestion avoidance (RFC 3465): one segment
 * more for every window of bytes acknowledged, which needs no division.
 */
#include "stack/cc.h"

enum { WORD_BYTES_ACKED };

static void reno_init(struct cc *cc, void *priv, const struct cc_env *env)
{
	(void)cc;
	(void)env;
	*(struct cc_priv *)priv = (struct cc_priv){ 0 };
}

static void reno_acked(struct cc *cc, void *state, const struct cc_env *env, uint32_t acked)
{
	struct cc_priv *priv = state;
	uint32_t *bytes = &priv->words[WORD_BYTES_ACKED];

	if (!cc_may_grow(cc, env))
		return;
	if (cc->cwnd < cc->ssthresh) {
		acked = cc_slow_start(cc, priv, env, acked);
		if (acked == 0)
			return;
	}
	*bytes += min_u32(acked, UINT32_MAX - *bytes);
	if (*bytes >= cc->cwnd && cc->cwnd <= UINT32_MAX - env->mss) {
		*bytes -= cc->cwnd;
		cc->cwnd += env->mss;
	}
}

/* RFC 5681 equation 4 */
static uint32_t reno_ssthresh(const struct cc_env *env)
{
	return max_u32(env->flight / 2, 2 * env->mss);
}

static void reno_loss(struct cc *cc, void *priv, const struct cc_env *env)
{
	cc->ssthresh = reno_ssthresh(env);
	cc->cwnd = cc->ssthresh;
	*(struct cc_priv *)priv = (struct cc_priv){ 0 };
}

static void reno_rto(struct cc *cc, void *priv, const struct cc_env *env)
{
	cc->ssthresh = reno_ssthresh(env);
	cc->cwnd = env->mss;
	*(struct cc_priv *)priv = (struct cc_priv){ 0 };
}

static void reno_idle(struct cc *cc, void *state, const struct cc_env *env, uint32_t idle_ms)
{
	struct cc_priv *priv = state;

	(void)env;
	(void)idle_ms;
	if (cc->ssthresh != UINT32_MAX)
		priv->words[WORD_BYTES_ACKED] = 0;
}

const struct cc_ops cc_reno = {
	.name = "reno",
	.init = reno_init,
	.acked = reno_acked,
	.loss = reno_loss,
	.rto = reno_rto,
	.idle = reno_idle,
};
