// SPDX-License-Identifier: BSD-2-Clause
/*
 * CUBIC: RFC 9438
 *
 *	W(t) = C (t - K)^3 + W_max,   K = cbrt((W_max - W(0)) / C),
 *	C = 0.4 segments/s^3, beta = 0.7
 *
 * t runs from the first acknowledgement of a congestion avoidance stage. Beside it runs W_est, what
 * Reno with the same beta would have (4.3); the larger of the two counts. Integers only: windows in
 * bytes, times in milliseconds, so C t^3 is t_ms^3 * mss / 2.5e9.
 */
#include "stack/cc.h"

enum {
	WORD_EPOCH_MS, /* start of this stage; 0: it starts with the next acknowledgement */
	WORD_W_MAX,    /* window before the last reduction, after fast convergence */
	WORD_K_MS,     /* when W(t) reaches W_max again */
	WORD_W_EST,    /* Reno's window */
};

/* Longest time the curve is followed for: far beyond any window that 32 bits can hold. */
#define CUBIC_T_MAX_MS INT64_C(100000)
#define CUBIC_SCALE UINT64_C(2500000000) /* 1e9 ms^3/s^3 / C */

static uint32_t cubic_beta(uint32_t w)
{
	return (uint32_t)((uint64_t)w * 7 / 10);
}

static uint64_t cbrt_u64(uint64_t v)
{
	uint64_t root = 0;

	/* One bit of the root for three of the argument, as in long division */
	for (int shift = 63; shift >= 0; shift -= 3) {
		root *= 2;
		uint64_t step = 3 * root * (root + 1) + 1;

		if (v >> shift >= step) {
			v -= step << shift;
			root++;
		}
	}
	return root;
}

static void cubic_init(struct cc *cc, void *priv, const struct cc_env *env)
{
	(void)cc;
	(void)env;
	*(struct cc_priv *)priv = (struct cc_priv){ 0 };
}

static void cubic_epoch_start(struct cc *cc, struct cc_priv *priv, const struct cc_env *env)
{
	uint32_t *w = priv->words;

	w[WORD_EPOCH_MS] = env->now_ms | 1; /* 0 has a meaning; 1 ms does not matter */
	w[WORD_W_EST] = cc->cwnd;
	if (cc->cwnd >= w[WORD_W_MAX]) {
		/*
		 * After slow start or a timeout there is nothing to come back to: convex from here
		 * (4.8, 4.10).
		 */
		w[WORD_W_MAX] = cc->cwnd;
		w[WORD_K_MS] = 0;
		return;
	}
	w[WORD_K_MS] = (uint32_t)cbrt_u64((w[WORD_W_MAX] - cc->cwnd) * CUBIC_SCALE / env->mss);
}

/* W(t), equation 1, at least 0 */
static uint64_t cubic_window(const struct cc_priv *priv, uint32_t t_ms, uint32_t mss)
{
	const uint32_t *w = priv->words;
	int64_t d = (int64_t)t_ms - w[WORD_K_MS];
	uint64_t d_abs = (uint64_t)(d < 0 ? -d : d);
	uint64_t delta;

	d_abs = min_u64(d_abs, (uint64_t)CUBIC_T_MAX_MS);
	delta = d_abs * d_abs * d_abs / 1000 * mss / (CUBIC_SCALE / 1000);
	if (d < 0)
		return delta < w[WORD_W_MAX] ? w[WORD_W_MAX] - delta : 0;
	return w[WORD_W_MAX] + delta;
}

/*
 * Equation 4: alpha is 3 (1 - beta) / (1 + beta) = 0.529 until the window before the reduction is
 * reached, then 1.
 */
static void cubic_reno_grow(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
			    uint32_t acked)
{
	uint32_t *w = priv->words;
	uint64_t grow = (uint64_t)env->mss * acked / cc->cwnd;

	if (w[WORD_W_EST] < w[WORD_W_MAX])
		grow = grow * 529 / 1000;
	w[WORD_W_EST] = (uint32_t)min_u64(w[WORD_W_EST] + grow, UINT32_MAX);
}

static void cubic_acked(struct cc *cc, void *state, const struct cc_env *env, uint32_t acked)
{
	struct cc_priv *priv = state;
	uint32_t *w = priv->words;
	uint64_t target;

	if (!cc_was_limited(cc, env))
		return;
	if (cc->cwnd < cc->ssthresh) {
		acked = cc_slow_start(cc, priv, env, acked);
		if (acked == 0)
			return;
	}
	if (w[WORD_EPOCH_MS] == 0)
		cubic_epoch_start(cc, priv, env);
	cubic_reno_grow(cc, priv, env, acked);

	/*
	 * 4.2: aim at where the curve is one round trip from now, but no further than half as much
	 * again.
	 */
	target = cubic_window(priv, env->now_ms - w[WORD_EPOCH_MS] + env->srtt_us / 1000, env->mss);
	target = min_u64(max_u64(target, cc->cwnd), cc->cwnd + cc->cwnd / 2);
	if (target < w[WORD_W_EST]) {
		cc->cwnd = max_u32(cc->cwnd, w[WORD_W_EST]);
		return;
	}
	target = cc->cwnd + (target - cc->cwnd) * min_u32(acked, cc->cwnd) / cc->cwnd;
	cc->cwnd = (uint32_t)min_u64(target, UINT32_MAX);
}

/*
 * 4.6 and 4.7; the window is what it was allowed to be, as in Linux, since growth stops when it is
 * not used
 */
static void cubic_reduce(struct cc *cc, struct cc_priv *priv, const struct cc_env *env)
{
	uint32_t *w = priv->words;

	if (cc->ssthresh == UINT32_MAX)
		*priv = (struct cc_priv){ 0 }; /* slow start's until now */
	w[WORD_W_MAX] = cc->cwnd < w[WORD_W_MAX] ? (uint32_t)((uint64_t)cc->cwnd * 85 / 100)
						 : cc->cwnd;
	w[WORD_EPOCH_MS] = 0;
	cc->ssthresh = max_u32(cubic_beta(cc->cwnd), 2 * env->mss);
}

static void cubic_loss(struct cc *cc, void *priv, const struct cc_env *env)
{
	cubic_reduce(cc, priv, env);
	cc->cwnd = cc->ssthresh;
}

static void cubic_rto(struct cc *cc, void *state, const struct cc_env *env)
{
	struct cc_priv *priv = state;

	cubic_reduce(cc, priv, env);
	priv->words[WORD_W_MAX] = 0; /* 4.8: the next stage starts with K = 0 */
	cc->cwnd = env->mss;
}

/* 5.8: time in which nothing was sent is not time on the curve. */
static void cubic_idle(struct cc *cc, void *state, const struct cc_env *env, uint32_t idle_ms)
{
	struct cc_priv *priv = state;

	(void)env;
	if (cc->ssthresh != UINT32_MAX && priv->words[WORD_EPOCH_MS] != 0)
		priv->words[WORD_EPOCH_MS] = (priv->words[WORD_EPOCH_MS] + idle_ms) | 1;
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.loss = cubic_loss,
	.rto = cubic_rto,
	.idle = cubic_idle,
};
