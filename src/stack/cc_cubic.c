// SPDX-License-Identifier: BSD-2-Clause
/*
 * CUBIC: RFC 9438
 *
 *	W(t) = C (t - K)^3 + W_max,   K = cbrt((W_max - cwnd_epoch) / C),
 *	C = 0.4 segments/s^3, beta = 0.7					(4.2)
 *
 * t runs from the first acknowledgement of a congestion avoidance stage, and stands still while the
 * program, not the window, limits what is sent (4.2, 5.8). Beside it runs W_est, what Reno with the
 * same beta would have (4.3); where W(t) is less, W_est is the window.
 *
 *	after a loss	K and W_max from the window before it		(4.2, 4.6, 4.7)
 *	after a timeout, or out of slow start without a loss: K = 0, W_max = cwnd, that is, convex
 *			growth from here					(4.8, 4.10)
 *	a mistake	all state is what it was (4.9): tcp_cc_undo() does that
 *
 * The window before a reduction, up to which W_est grows more slowly (4.3), is ssthresh / beta.
 *
 * Integers only: windows in bytes, times in milliseconds, so C t^3 is t_ms^3 * mss / 2.5e9.
 */
#include "stack/cc.h"

enum {
	WORD_EPOCH_MS, /* start of this stage; FROZEN: t; 0: it starts with the next acknowledgement */
	WORD_W_MAX,    /* 0: nothing was lost yet; W_MAX_NONE */
	WORD_K,	       /* when W(t) reaches W_max, in ms; above it, the bits below */
	WORD_W_EST,    /* Reno's window */
};

#define K_MS_MASK ((UINT32_C(1) << 17) - 1) /* 131 s: more than a window of 2^30 bytes needs */
#define K_FRAC_SHIFT 17			     /* 12 bits: W_est's part below a byte */
#define K_FRAC_MASK ((UINT32_C(1) << 12) - 1)
#define K_FROZEN (UINT32_C(1) << 30)	     /* t stands still */
#define K_ALPHA_1 (UINT32_C(1) << 31)	     /* W_est has reached the window before the reduction */

/* After a timeout: nothing to come back to, but there was a reduction */
#define W_MAX_NONE 1u

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

/* ---- the curve ------------------------------------------------------------------------------- */

static void cubic_epoch_start(const struct cc *cc, uint32_t *w, const struct cc_env *env)
{
	w[WORD_EPOCH_MS] = env->now_ms | 1; /* 0 has a meaning; 1 ms does not matter */
	w[WORD_W_EST] = cc->cwnd;
	w[WORD_K] = w[WORD_W_MAX] == 0 ? K_ALPHA_1 : 0;
	if (cc->cwnd >= w[WORD_W_MAX])
		w[WORD_W_MAX] = cc->cwnd;
	else
		w[WORD_K] |= min_u32((uint32_t)cbrt_u64((w[WORD_W_MAX] - cc->cwnd) * CUBIC_SCALE /
							env->mss),
				     K_MS_MASK);
}

/* Time on the curve; it goes on if it stood still. */
static uint32_t cubic_t_ms(uint32_t *w, const struct cc_env *env)
{
	if ((w[WORD_K] & K_FROZEN) != 0) {
		w[WORD_EPOCH_MS] = (env->now_ms - w[WORD_EPOCH_MS]) | 1;
		w[WORD_K] &= ~K_FROZEN;
	}
	return env->now_ms - w[WORD_EPOCH_MS];
}

static void cubic_freeze(uint32_t *w, uint32_t t_ms)
{
	if (w[WORD_EPOCH_MS] == 0 || (w[WORD_K] & K_FROZEN) != 0)
		return;
	w[WORD_EPOCH_MS] = t_ms | 1;
	w[WORD_K] |= K_FROZEN;
}

/* W(t), figure 1, at least 0 */
static uint64_t cubic_window(const uint32_t *w, uint32_t t_ms, uint32_t mss)
{
	int64_t d = (int64_t)t_ms - (w[WORD_K] & K_MS_MASK);
	uint64_t d_abs = min_u64((uint64_t)(d < 0 ? -d : d), (uint64_t)CUBIC_T_MAX_MS);
	uint64_t delta = d_abs * d_abs * d_abs / 1000 * mss / (CUBIC_SCALE / 1000);

	if (d < 0)
		return delta < w[WORD_W_MAX] ? w[WORD_W_MAX] - delta : 0;
	return w[WORD_W_MAX] + delta;
}

/*
 * Figure 4: alpha is 3 (1 - beta) / (1 + beta) = 0.529 until the window before the reduction is
 * reached, then 1.
 */
static void cubic_reno_grow(const struct cc *cc, uint32_t *w, const struct cc_env *env,
			    uint32_t acked)
{
	uint64_t grow = ((uint64_t)env->mss * acked << 12) / cc->cwnd;

	if (w[WORD_W_EST] >= (uint64_t)cc->ssthresh * 10 / 7)
		w[WORD_K] |= K_ALPHA_1;
	if ((w[WORD_K] & K_ALPHA_1) == 0)
		grow = grow * 9 / 17;
	grow += w[WORD_K] >> K_FRAC_SHIFT & K_FRAC_MASK;
	w[WORD_K] &= ~(K_FRAC_MASK << K_FRAC_SHIFT);
	w[WORD_K] |= (uint32_t)(grow & K_FRAC_MASK) << K_FRAC_SHIFT;
	grow >>= 12;
	w[WORD_W_EST] = (uint32_t)min_u64(w[WORD_W_EST] + grow, UINT32_MAX);
}

static void cubic_acked(struct cc *cc, void *state, const struct cc_env *env, uint32_t acked)
{
	struct cc_priv *priv = state;
	uint32_t *w = priv->words;
	uint64_t target;
	uint32_t t_ms;

	if (!cc_may_grow(cc, env)) {
		if (cc->cwnd >= cc->ssthresh)
			cubic_freeze(w, env->now_ms - w[WORD_EPOCH_MS]);
		return;
	}
	if (cc->cwnd < cc->ssthresh) {
		acked = cc_slow_start(cc, priv, env, acked);
		if (acked == 0)
			return;
	}
	if (w[WORD_EPOCH_MS] == 0)
		cubic_epoch_start(cc, w, env);
	cubic_reno_grow(cc, w, env, acked);
	t_ms = cubic_t_ms(w, env);
	if (cubic_window(w, t_ms, env->mss) < w[WORD_W_EST]) {
		cc->cwnd = max_u32(cc->cwnd, w[WORD_W_EST]);
		return;
	}
	/*
	 * 4.2: aim at where the curve is one round trip from now, but no further than half as much
	 * again.
	 */
	target = cubic_window(w, t_ms + env->srtt_us / 1000, env->mss);
	target = min_u64(max_u64(target, cc->cwnd), cc->cwnd + (uint64_t)cc->cwnd / 2);
	target = cc->cwnd + (target - cc->cwnd) * min_u32(acked, cc->cwnd) / cc->cwnd;
	cc->cwnd = (uint32_t)min_u64(target, UINT32_MAX);
}

/* ---- reductions ------------------------------------------------------------------------------ */

/*
 * 4.6 and 4.7. Of what the window allowed, not of what was in flight: as in Linux, and right
 * because it does not grow unless it is used.
 */
static void cubic_reduce(struct cc *cc, uint32_t *w, const struct cc_env *env)
{
	if (cc->ssthresh == UINT32_MAX)
		w[WORD_W_MAX] = 0; /* slow start's until now */
	w[WORD_W_MAX] = cc->cwnd < w[WORD_W_MAX] ? (uint32_t)((uint64_t)cc->cwnd * 85 / 100)
						 : cc->cwnd;
	w[WORD_EPOCH_MS] = 0;
	w[WORD_K] = 0;
	cc->ssthresh = max_u32(cubic_beta(cc->cwnd), 2 * env->mss);
}

static void cubic_loss(struct cc *cc, void *state, const struct cc_env *env)
{
	struct cc_priv *priv = state;

	cubic_reduce(cc, priv->words, env);
	cc->cwnd = cc->ssthresh;
}

static void cubic_rto(struct cc *cc, void *state, const struct cc_env *env)
{
	struct cc_priv *priv = state;

	cubic_reduce(cc, priv->words, env);
	priv->words[WORD_W_MAX] = W_MAX_NONE;
	cc->cwnd = env->mss;
}

/* 5.8: time in which nothing was sent is not time on the curve. */
static void cubic_idle(struct cc *cc, void *state, const struct cc_env *env, uint32_t idle_ms)
{
	struct cc_priv *priv = state;
	uint32_t *w = priv->words;

	if (cc->ssthresh != UINT32_MAX)
		cubic_freeze(w, env->now_ms - idle_ms - w[WORD_EPOCH_MS]);
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.loss = cubic_loss,
	.rto = cubic_rto,
	.idle = cubic_idle,
};
