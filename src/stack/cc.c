// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of congestion controls, in the order of the numbers that TCP_OPT_CONGESTION takes (add
 * at the end); and slow start, which they share
 *
 * HyStart++ (RFC 9406): slow start ends when round trips get longer, before the queue overflows and
 * a whole window is lost. First cautiously: at a quarter of the speed, for five round trips, and
 * back if it was a false alarm.
 */
#include "stack/cc.h"
#include "stack/stack.h"

static const struct cc_ops *const cc_table[] = { &cc_cubic, &cc_reno, &cc_bbr };

const struct cc_ops *cc_find(unsigned int idx)
{
	return idx < ARRAY_SIZE(cc_table) ? cc_table[idx] : NULL;
}

const char *tcp_cc_name(unsigned int idx)
{
	return idx < ARRAY_SIZE(cc_table) ? cc_table[idx]->name : NULL;
}

/* ---- slow start ------------------------------------------------------------------------------ */

enum {
	WORD_ROUND_END, /* sequence number: the round trip ends when this is acknowledged */
	WORD_LAST_MIN,	/* shortest of the last round trip, us; in CSS, the baseline. 0: none */
	WORD_THIS_MIN,	/* of the present one; 0: none */
	WORD_COUNTS,	/* samples in this round, low half; state, high half */
};

/* RFC 9406 4.3 */
#define HYSTART_THRESH_MIN_US 4000u
#define HYSTART_THRESH_MAX_US 16000u
#define HYSTART_SAMPLES 8u
#define HYSTART_CSS_GROWTH 4u
#define HYSTART_CSS_ROUNDS 5u

/*
 * High half of WORD_COUNTS: 0: not begun; 1: slow start; 2..: conservative slow start, and its
 * rounds
 */
#define HYSTART_STATE(n) ((uint32_t)(n) << 16)

static void hystart_round(uint32_t *w, const struct cc_env *env)
{
	uint32_t state = w[WORD_COUNTS] >> 16;

	if (state == 0)
		state = 1;
	else if (state >= 2)
		state++;
	if (state <= 1)
		w[WORD_LAST_MIN] = w[WORD_THIS_MIN];
	w[WORD_THIS_MIN] = 0;
	w[WORD_ROUND_END] = env->snd_nxt;
	w[WORD_COUNTS] = HYSTART_STATE(state);
}

static void hystart_sample(uint32_t *w, uint32_t rtt_us)
{
	uint32_t thresh = min_u32(max_u32(w[WORD_LAST_MIN] / 8, HYSTART_THRESH_MIN_US),
				  HYSTART_THRESH_MAX_US);

	if (w[WORD_THIS_MIN] == 0 || rtt_us < w[WORD_THIS_MIN])
		w[WORD_THIS_MIN] = rtt_us;
	w[WORD_COUNTS]++;
	if ((w[WORD_COUNTS] & 0xffff) < HYSTART_SAMPLES || w[WORD_LAST_MIN] == 0)
		return;
	if (w[WORD_COUNTS] >> 16 == 1) {
		if (w[WORD_THIS_MIN] >= w[WORD_LAST_MIN] + thresh) {
			w[WORD_LAST_MIN] = w[WORD_THIS_MIN]; /* the baseline from here on */
			w[WORD_COUNTS] = HYSTART_STATE(2);
		}
	} else if (w[WORD_THIS_MIN] < w[WORD_LAST_MIN]) {
		w[WORD_LAST_MIN] = 0;
		w[WORD_COUNTS] = HYSTART_STATE(1);
	}
}

/* Return: what @acked bytes count for. */
static uint32_t hystart_acked(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
			      uint32_t acked)
{
	uint32_t *w = priv->words;

	if (w[WORD_COUNTS] == 0 || (int32_t)(env->snd_una - w[WORD_ROUND_END]) >= 0)
		hystart_round(w, env);
	if (env->rtt_us != 0 && (w[WORD_COUNTS] & 0xffff) != 0xffff)
		hystart_sample(w, env->rtt_us);
	if (w[WORD_COUNTS] >> 16 < 2)
		return acked;
	if (w[WORD_COUNTS] >> 16 >= 2 + HYSTART_CSS_ROUNDS) {
		cc->ssthresh = cc->cwnd;
		*priv = (struct cc_priv){ 0 };
	}
	return acked / HYSTART_CSS_GROWTH;
}

uint32_t cc_slow_start(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
		       uint32_t acked)
{
	uint32_t used;

	if (cc->ssthresh == UINT32_MAX)
		acked = hystart_acked(cc, priv, env, acked);
	used = min_u32(acked, cc->ssthresh - cc->cwnd);
	cc->cwnd += used;
	return acked - used;
}
