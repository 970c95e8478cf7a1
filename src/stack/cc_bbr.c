// SPDX-License-Identifier: BSD-2-Clause
/*
 * BBR, version 3: draft-ietf-ccwg-bbr
 *
 * The path is modelled by two numbers: the highest rate at which it delivered lately (max_bw) and
 * the shortest round trip (min_rtt). Their product is what fits into it without a queue. Sent is at
 * that rate (tcp_pace.c does the pacing), and about twice the product may be in flight; to learn
 * more, it is sent faster for a while, and to learn about min_rtt, hardly at all:
 *
 *	STARTUP -> DRAIN -> PROBE_BW:  DOWN -> CRUISE -> REFILL -> UP -+		(4.3)
 *				        ^			       |
 *				        +------- every 2 to 3 s -------+
 *	PROBE_RTT: 200 ms of half the product, if min_rtt was not seen for 5 s
 *
 * What loss or marks say is kept beside it, as bounds: inflight_hi, what was in flight when probing
 * lost more than LOSS_THRESH; bw_lo and inflight_lo, what got through while much was lost, forgotten
 * when it probes again.
 *
 * Where this differs from the draft
 *
 *	The draft stamps every segment with what was lost and in flight when it left. Here both are
 *	taken from round trips: `lost_round` is what was lost since the round began, and what a
 *	sample delivered and lost was in flight when it left.
 *
 *	Loss without a queue is taken for chance up to 10 %, not 2 (bbr_much_lost()); without a
 *	queue there is no packet conservation either, which would give away what was lost by chance
 *	round after round.
 *
 *	The lower bounds answer to much loss, not to any, and not in PROBE_RTT (bbr_adapt_lower()).
 *
 *	A mark (RFC 3168) counts as a round that lost much.
 *
 * Names are the draft's; bytes and microseconds, rates in bytes per second.
 */
#include "stack/cc.h"

#include "base/time.h"

enum bbr_state {
	BBR_STARTUP,
	BBR_DRAIN,
	BBR_DOWN, /* PROBE_BW from here ... */
	BBR_CRUISE,
	BBR_REFILL,
	BBR_UP, /* ... to here */
	BBR_PROBE_RTT,
};

/* What the acknowledgements that come in say about the last probe */
enum bbr_acks {
	ACKS_INIT,
	ACKS_REFILLING,
	ACKS_PROBE_STARTING,
	ACKS_PROBE_FEEDBACK,
	ACKS_PROBE_STOPPING,
};

/* Gains in hundredths, by enum bbr_state: 4.3 */
static const uint16_t pacing_gain[] = { 277, 50, 90, 100, 100, 125, 100 };
static const uint16_t cwnd_gain[] = { 200, 200, 200, 200, 200, 225, 50 };

#define LOSS_THRESH_PCT 2u
#define LOSS_NO_QUEUE_PCT 10u
#define BETA_PCT 70u
#define HEADROOM_PCT 15u
#define PACING_MARGIN_PCT 1u
#define FULL_BW_GROWTH_PCT 125u
#define FULL_BW_ROUNDS 3u
#define STARTUP_LOSSES 6u /* acknowledgements with losses, in one round */
#define MIN_PIPE_SEGS 4u
#define PROBE_RTT_INTERVAL_US (5 * US_PER_SEC)
#define MIN_RTT_FILTER_US (10 * US_PER_SEC)
#define PROBE_RTT_US (200 * US_PER_MS)
#define PROBE_WAIT_US (2 * US_PER_SEC) /* and up to a second more */
#define RENO_ROUNDS_MAX 63u
#define EXTRA_ACKED_ROUNDS 5u /* each of two slots */
#define QUANTUM_MAX 65536u

struct bbr {
	uint64_t max_bw[2]; /* of the probing cycle before, and of this one */
	uint64_t bw_lo;	    /* UINT64_MAX: none */
	uint64_t bw_latest;
	uint64_t full_bw;
	uint64_t pacing_Bps;
	uint64_t next_round_delivered;
	uint64_t loss_round_delivered;
	uint64_t min_rtt_stamp_us, probe_rtt_stamp_us;
	uint64_t probe_rtt_done_us; /* 0: not yet low enough */
	uint64_t cycle_stamp_us;
	uint64_t extra_start_us;
	uint64_t undo_bw_lo;
	uint32_t min_rtt_us;	   /* UINT32_MAX: none */
	uint32_t probe_rtt_min_us; /* likewise */
	uint32_t inflight_hi;	   /* UINT32_MAX: none */
	uint32_t inflight_lo;	   /* likewise */
	uint32_t inflight_latest;
	uint32_t undo_inflight_hi, undo_inflight_lo;
	uint32_t prior_cwnd;
	uint32_t initial_cwnd;
	uint32_t lost_round, delivered_round;	/* since the round began */
	uint32_t lost_lately, delivered_lately; /* ... that bw_latest is of */
	uint32_t rtt_max_us[2]; /* of the round before, and of this one */
	uint32_t extra_acked[2], extra_delivered;
	uint32_t probe_wait_us;
	uint32_t round_count;
	uint32_t rounds_since_probe;
	uint32_t probe_up_acked;
	uint8_t state;	      /* enum bbr_state */
	uint8_t acks;	      /* enum bbr_acks */
	uint8_t full_bw_count;
	uint8_t probe_up_rounds;
	uint8_t extra_rounds; /* since extra_acked[1] began */
	uint8_t loss_events;  /* in this round, saturating */
	bool full_bw_now, full_bw_reached;
	bool round_start, loss_round_start;
	bool marked; /* ECE in the round that bw_latest is of */
	bool probe_samples; /* acknowledgements are of data sent while probing */
	bool probe_rtt_round_done;
	bool idle_restart;
	bool in_recovery, conservation;
};

_Static_assert(sizeof(struct bbr) <= CC_STATE_MAX, "fits");

static uint32_t pct(uint32_t bytes, uint32_t percent)
{
	return (uint32_t)min_u64((uint64_t)bytes * percent / 100, UINT32_MAX);
}

static bool bbr_in_probe_bw(const struct bbr *b)
{
	return b->state >= BBR_DOWN && b->state <= BBR_UP;
}

/* ---- the model ------------------------------------------------------------------------------- */

static uint64_t bbr_max_bw(const struct bbr *b)
{
	return max_u64(b->max_bw[0], b->max_bw[1]);
}

static uint64_t bbr_bw(const struct bbr *b)
{
	return min_u64(bbr_max_bw(b), b->bw_lo);
}

static uint32_t bbr_quantum(const struct bbr *b, const struct cc_env *env)
{
	uint64_t quantum = min_u64(b->pacing_Bps / 1000, QUANTUM_MAX);

	return max_u32((uint32_t)quantum, (b->pacing_Bps < 150000 ? 1 : 2) * env->mss);
}

/* @gain_pct of what the path holds at @bw */
static uint32_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain_pct)
{
	if (b->min_rtt_us == UINT32_MAX || bw == 0)
		return pct(b->initial_cwnd, max_u32(gain_pct, 100));
	return (uint32_t)min_u64(bw * b->min_rtt_us / US_PER_SEC * gain_pct / 100, 1u << 30);
}

/* 4.6.4.2: room for what is sent and acknowledged in batches */
static uint32_t bbr_with_budget(const struct bbr *b, const struct cc_env *env, uint32_t inflight)
{
	inflight = max_u32(inflight, 3 * bbr_quantum(b, env));
	inflight = max_u32(inflight, MIN_PIPE_SEGS * env->mss);
	return b->state == BBR_UP ? inflight + 2 * env->mss : inflight;
}

static uint32_t bbr_inflight(const struct bbr *b, const struct cc_env *env, uint32_t gain_pct)
{
	return bbr_with_budget(b, env, bbr_bdp(b, bbr_max_bw(b), gain_pct));
}

/* Some room below inflight_hi, for others that come or grow */
static uint32_t bbr_with_headroom(const struct bbr *b, const struct cc_env *env)
{
	uint32_t headroom;

	if (b->inflight_hi == UINT32_MAX)
		return UINT32_MAX;
	headroom = max_u32(env->mss, pct(b->inflight_hi, HEADROOM_PCT));
	return max_u32(b->inflight_hi > headroom ? b->inflight_hi - headroom : 0,
		       MIN_PIPE_SEGS * env->mss);
}

static uint64_t bbr_sample_bw(const struct cc_rate *rate)
{
	if (rate->interval_us == 0)
		return 0;
	return (uint64_t)rate->delivered_bytes * US_PER_SEC / rate->interval_us;
}

/* ---- rounds, filters, signals: 4.5 ----------------------------------------------------------- */

static void bbr_start_round(struct bbr *b, const struct cc_rate *rate)
{
	b->next_round_delivered = rate->delivered;
}

static void bbr_update_round(struct bbr *b, const struct cc_rate *rate)
{
	b->round_start = rate->delivered_bytes != 0 &&
			 rate->prior_delivered >= b->next_round_delivered;
	if (!b->round_start)
		return;
	bbr_start_round(b, rate);
	b->round_count++;
	b->rounds_since_probe++;
}

static void bbr_update_max_bw(struct bbr *b, const struct cc_rate *rate)
{
	uint64_t bw = bbr_sample_bw(rate);

	if (bw >= bbr_max_bw(b) || !rate->app_limited)
		b->max_bw[1] = max_u64(b->max_bw[1], bw);
}

/*
 * Did a round trip of late take longer than it must? A queue that overflows shows in those just
 * before.
 */
static bool bbr_queue_seen(const struct bbr *b)
{
	return max_u32(b->rtt_max_us[0], b->rtt_max_us[1]) >
	       (uint64_t)b->min_rtt_us + b->min_rtt_us / 16 + 1000;
}

/*
 * Loss beyond what is taken for chance; one segment is never more than that. Where no queue is to
 * be seen, more is (the draft does not ask): what a radio loses says nothing of how much may be in
 * flight, and less in flight would not help. What a policer drops is more than that.
 */
static bool bbr_much_lost(const struct bbr *b, const struct cc_env *env, uint32_t lost,
			  uint32_t of)
{
	uint32_t percent = bbr_queue_seen(b) ? LOSS_THRESH_PCT : LOSS_NO_QUEUE_PCT;

	return lost > max_u32(pct(of, percent), env->mss);
}

/*
 * Lower bounds: what got through in a round that lost much. Not while probing for more; nor in
 * PROBE_RTT, since what gets through then is what we sent. The draft does it there, and for any
 * loss: but what gets through is less than what was sent by what was lost, so a loss of one
 * percent by chance would halve the rate between two probes.
 */
static void bbr_adapt_lower(struct bbr *b, const struct cc *cc)
{
	if (b->state != BBR_DRAIN && b->state != BBR_DOWN && b->state != BBR_CRUISE)
		return;
	if (b->bw_lo == UINT64_MAX)
		b->bw_lo = bbr_max_bw(b);
	if (b->inflight_lo == UINT32_MAX)
		b->inflight_lo = cc->cwnd;
	b->bw_lo = max_u64(b->bw_latest, b->bw_lo * BETA_PCT / 100);
	b->inflight_lo = max_u32(b->inflight_latest, pct(b->inflight_lo, BETA_PCT));
}

static void bbr_reset_lower(struct bbr *b)
{
	b->bw_lo = UINT64_MAX;
	b->inflight_lo = UINT32_MAX;
}

static void bbr_update_signals(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;

	b->loss_round_start = false;
	if (rate->delivered_bytes != 0) {
		b->bw_latest = max_u64(b->bw_latest, bbr_sample_bw(rate));
		b->inflight_latest = max_u32(b->inflight_latest, rate->delivered_bytes);
		if (rate->prior_delivered >= b->loss_round_delivered) {
			b->loss_round_delivered = rate->delivered;
			b->loss_round_start = true;
		}
	}
	bbr_update_round(b, rate);
	bbr_update_max_bw(b, rate);
	b->lost_round += rate->lost;
	b->delivered_round += rate->acked_sacked;
	b->lost_lately += rate->lost;
	b->delivered_lately += rate->acked_sacked;
	if (rate->lost != 0)
		b->loss_events = (uint8_t)min_u32(b->loss_events + 1u, UINT8_MAX);
	if (b->loss_round_start &&
	    (b->marked ||
	     bbr_much_lost(b, env, b->lost_lately, b->lost_lately + b->delivered_lately)))
		bbr_adapt_lower(b, cc);
}

/* The signals are of what is delivered from here on, once @inflight bytes more have been. */
static void bbr_reset_signals(struct bbr *b, const struct cc_rate *rate, uint32_t inflight)
{
	b->bw_latest = 0;
	b->inflight_latest = 0;
	b->lost_lately = 0;
	b->delivered_lately = 0;
	b->marked = false;
	b->loss_round_delivered = rate->delivered + inflight;
}

static void bbr_advance_signals(struct bbr *b, const struct cc_rate *rate)
{
	if (b->loss_round_start) {
		bbr_reset_signals(b, rate, 0);
		b->bw_latest = bbr_sample_bw(rate);
		b->inflight_latest = rate->delivered_bytes;
	}
	if (b->round_start) {
		b->rtt_max_us[0] = b->rtt_max_us[1];
		b->rtt_max_us[1] = 0;
		b->lost_round = 0;
		b->delivered_round = 0;
		b->loss_events = 0;
	}
}

/* How far acknowledgements run ahead of the rate when they come in batches: 4.5.9 */
static void bbr_update_extra_acked(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;
	uint64_t expected = bbr_bw(b) * (env->now_us - b->extra_start_us) / US_PER_SEC;
	uint32_t extra;

	if (b->round_start && ++b->extra_rounds >= (b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra_acked[0] = b->extra_acked[1];
		b->extra_acked[1] = 0;
	}
	if (b->extra_delivered <= expected) {
		b->extra_delivered = 0;
		b->extra_start_us = env->now_us;
		expected = 0;
	}
	b->extra_delivered += rate->acked_sacked;
	extra = (uint32_t)(b->extra_delivered - min_u64(expected, b->extra_delivered));
	b->extra_acked[1] = max_u32(b->extra_acked[1], min_u32(extra, cc->cwnd));
}

static void bbr_reset_full_bw(struct bbr *b, const struct cc_rate *rate)
{
	b->full_bw = bbr_sample_bw(rate);
	b->full_bw_count = 0;
	b->full_bw_now = false;
}

/* The rate has stopped growing: 4.3.1.2 */
static void bbr_check_full_bw(struct bbr *b, const struct cc_rate *rate)
{
	if (b->full_bw_now || !b->round_start || rate->app_limited)
		return;
	if (bbr_sample_bw(rate) >= b->full_bw * FULL_BW_GROWTH_PCT / 100) {
		bbr_reset_full_bw(b, rate);
		return;
	}
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	if (b->full_bw_now)
		b->full_bw_reached = true;
}

static void bbr_update_min_rtt(struct bbr *b, const struct cc_env *env, bool *ret_expired)
{
	uint32_t rtt_us = env->rate->rtt_us;

	b->rtt_max_us[1] = max_u32(b->rtt_max_us[1], rtt_us);
	*ret_expired = env->now_us > b->probe_rtt_stamp_us + PROBE_RTT_INTERVAL_US;
	if (rtt_us != 0 && (rtt_us < b->probe_rtt_min_us || *ret_expired)) {
		b->probe_rtt_min_us = rtt_us;
		b->probe_rtt_stamp_us = env->now_us;
	}
	if (b->probe_rtt_min_us < b->min_rtt_us ||
	    env->now_us > b->min_rtt_stamp_us + MIN_RTT_FILTER_US) {
		b->min_rtt_us = b->probe_rtt_min_us;
		b->min_rtt_stamp_us = b->probe_rtt_stamp_us;
	}
}

/* ---- PROBE_BW: 4.3.3 ------------------------------------------------------------------------- */

static void bbr_start_down(struct bbr *b, const struct cc_env *env)
{
	bbr_reset_signals(b, env->rate, 0);
	b->rounds_since_probe = (uint32_t)prng_below(env->prng, 2);
	b->probe_wait_us = (uint32_t)(PROBE_WAIT_US + prng_below(env->prng, US_PER_SEC));
	b->cycle_stamp_us = env->now_us;
	b->acks = ACKS_PROBE_STOPPING;
	bbr_start_round(b, env->rate);
	b->state = BBR_DOWN;
}

static void bbr_start_refill(struct bbr *b, const struct cc_env *env)
{
	bbr_reset_lower(b);
	b->probe_up_rounds = 0;
	b->probe_up_acked = 0;
	b->acks = ACKS_REFILLING;
	bbr_start_round(b, env->rate);
	b->state = BBR_REFILL;
}

static void bbr_start_up(struct bbr *b, const struct cc_env *env)
{
	b->probe_samples = true;
	b->acks = ACKS_PROBE_STARTING;
	bbr_start_round(b, env->rate);
	bbr_reset_full_bw(b, env->rate);
	b->probe_up_rounds = 1;
	b->state = BBR_UP;
}

/* After 2 to 3 s; or as many round trips as Reno would take to lose something, to live beside it */
static bool bbr_time_to_probe(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	uint32_t reno_rounds = min_u32(bbr_bdp(b, bbr_bw(b), 100), cc->cwnd) / env->mss;

	if (env->now_us - b->cycle_stamp_us <= b->probe_wait_us &&
	    b->rounds_since_probe < min_u32(reno_rounds, RENO_ROUNDS_MAX))
		return false;
	bbr_start_refill(b, env);
	return true;
}

/* What was in flight when the data of this sample left */
static uint32_t bbr_tx_in_flight(const struct bbr *b, const struct cc_rate *rate)
{
	return max_u32(rate->delivered_bytes, rate->prior_in_flight) + b->lost_round;
}

static bool bbr_inflight_too_high(const struct bbr *b, const struct cc_env *env)
{
	return bbr_much_lost(b, env, b->lost_round, bbr_tx_in_flight(b, env->rate));
}

static void bbr_handle_too_high(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	uint32_t target = min_u32(bbr_bdp(b, bbr_bw(b), 100), cc->cwnd);

	b->probe_samples = false;
	if (!env->rate->app_limited)
		b->inflight_hi = max_u32(max_u32(env->rate->delivered_bytes,
						 pct(target, BETA_PCT)),
					 MIN_PIPE_SEGS * env->mss);
	if (b->state == BBR_UP)
		bbr_start_down(b, env);
}

/* UP: inflight_hi grows by 1, 2, 4 ... segments for each window that was full. 4.3.3.6 */
static void bbr_raise_inflight_hi(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	uint64_t growth;

	if (b->round_start)
		b->probe_up_rounds = (uint8_t)min_u32(b->probe_up_rounds + 1u, 16);
	if (!env->limited || cc->cwnd < b->inflight_hi)
		return;
	b->probe_up_acked += env->rate->acked_sacked;
	growth = (uint64_t)b->probe_up_acked * env->mss << (b->probe_up_rounds - 1);
	growth /= cc->cwnd;
	if (growth < env->mss)
		return;
	b->inflight_hi = (uint32_t)min_u64(b->inflight_hi + min_u64(growth, b->probe_up_acked),
					   1u << 30);
	b->probe_up_acked = 0;
}

static void bbr_adapt_upper(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;

	if (b->acks == ACKS_PROBE_STARTING && b->round_start)
		b->acks = ACKS_PROBE_FEEDBACK;
	if (b->acks == ACKS_PROBE_STOPPING && b->round_start) {
		b->probe_samples = false;
		b->acks = ACKS_INIT;
		if (bbr_in_probe_bw(b) && !rate->app_limited) {
			b->max_bw[0] = b->max_bw[1];
			b->max_bw[1] = 0;
		}
	}
	if (bbr_inflight_too_high(b, env)) {
		if (b->probe_samples)
			bbr_handle_too_high(b, cc, env);
		return;
	}
	if (b->inflight_hi == UINT32_MAX)
		return;
	if (rate->delivered_bytes > b->inflight_hi)
		b->inflight_hi = rate->delivered_bytes;
	if (b->state == BBR_UP)
		bbr_raise_inflight_hi(b, cc, env);
}

static bool bbr_time_to_go_down(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	if (env->limited && cc->cwnd >= b->inflight_hi)
		bbr_reset_full_bw(b, env->rate); /* held back by the bound, not by the path */
	return b->full_bw_now;
}

static void bbr_update_probe_bw(struct bbr *b, const struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;

	bbr_adapt_upper(b, cc, env);
	switch ((enum bbr_state)b->state) {
	case BBR_DOWN:
		if (!bbr_time_to_probe(b, cc, env) &&
		    rate->in_flight <= bbr_with_headroom(b, env) &&
		    rate->in_flight <= bbr_inflight(b, env, 100))
			b->state = BBR_CRUISE;
		break;
	case BBR_CRUISE:
		bbr_time_to_probe(b, cc, env);
		break;
	case BBR_REFILL:
		/* The pipe is full again: what comes back from here on is of the probe. */
		if (b->round_start)
			bbr_start_up(b, env);
		break;
	case BBR_UP:
		if (bbr_time_to_go_down(b, cc, env))
			bbr_start_down(b, env);
		break;
	default:
		break;
	}
}

/* ---- STARTUP, DRAIN, PROBE_RTT --------------------------------------------------------------- */

/* 4.3.1.3: a round of recovery that lost more than the threshold, in several places */
static void bbr_check_startup_loss(struct bbr *b, const struct cc_env *env)
{
	if (b->full_bw_reached || !b->round_start || !env->in_recovery ||
	    b->loss_events < STARTUP_LOSSES ||
	    !bbr_much_lost(b, env, b->lost_round, b->lost_round + b->delivered_round))
		return;
	b->full_bw_reached = true;
	b->inflight_hi = max_u32(bbr_bdp(b, bbr_max_bw(b), 100), b->inflight_latest);
}

static void bbr_check_startup_drain(struct bbr *b, const struct cc_env *env)
{
	if (b->state == BBR_STARTUP) {
		bbr_check_startup_loss(b, env);
		if (b->full_bw_reached)
			b->state = BBR_DRAIN;
	}
	if (b->state == BBR_DRAIN && env->rate->in_flight <= bbr_inflight(b, env, 100))
		bbr_start_down(b, env);
}

static uint32_t bbr_probe_rtt_cwnd(const struct bbr *b, const struct cc_env *env)
{
	return max_u32(bbr_bdp(b, bbr_bw(b), cwnd_gain[BBR_PROBE_RTT]), MIN_PIPE_SEGS * env->mss);
}

static void bbr_save_cwnd(struct bbr *b, const struct cc *cc)
{
	if (!b->in_recovery && b->state != BBR_PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else
		b->prior_cwnd = max_u32(b->prior_cwnd, cc->cwnd);
}

static void bbr_probe_rtt_check_done(struct bbr *b, struct cc *cc, const struct cc_env *env)
{
	if (b->probe_rtt_done_us == 0 || env->now_us <= b->probe_rtt_done_us)
		return;
	b->probe_rtt_stamp_us = env->now_us;
	cc->cwnd = max_u32(cc->cwnd, b->prior_cwnd);
	bbr_reset_lower(b);
	if (!b->full_bw_reached) {
		b->state = BBR_STARTUP;
		return;
	}
	bbr_start_down(b, env);
	b->state = BBR_CRUISE;
	/* Until it is filled again, less gets through. */
	bbr_reset_signals(b, env->rate, bbr_bdp(b, bbr_max_bw(b), 100));
}

static void bbr_check_probe_rtt(struct bbr *b, struct cc *cc, const struct cc_env *env,
				bool expired)
{
	const struct cc_rate *rate = env->rate;

	if (b->state != BBR_PROBE_RTT && expired && !b->idle_restart) {
		bbr_save_cwnd(b, cc);
		b->state = BBR_PROBE_RTT;
		b->probe_rtt_done_us = 0;
		b->acks = ACKS_PROBE_STOPPING;
		bbr_start_round(b, rate);
	}
	if (rate->delivered_bytes != 0)
		b->idle_restart = false;
	if (b->state != BBR_PROBE_RTT)
		return;
	if (b->probe_rtt_done_us == 0 && rate->in_flight <= bbr_probe_rtt_cwnd(b, env)) {
		b->probe_rtt_done_us = env->now_us + PROBE_RTT_US;
		b->probe_rtt_round_done = false;
		bbr_start_round(b, rate);
	} else if (b->probe_rtt_done_us != 0) {
		b->probe_rtt_round_done |= b->round_start;
		if (b->probe_rtt_round_done)
			bbr_probe_rtt_check_done(b, cc, env);
	}
}

/* ---- what it controls: 4.6 ------------------------------------------------------------------- */

static void bbr_set_pacing(struct bbr *b, uint32_t gain_pct)
{
	uint64_t Bps = bbr_bw(b) * gain_pct / 100 * (100 - PACING_MARGIN_PCT) / 100;

	if (Bps != 0 && (b->full_bw_reached || Bps > b->pacing_Bps))
		b->pacing_Bps = Bps;
}

/*
 * In the first round of recovery no more leaves than arrives (4.6.4.4), if there is a queue that may
 * have overflowed; then cwnd is as before.
 */
static void bbr_recovery(struct bbr *b, struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;

	if (env->in_recovery && !b->in_recovery && bbr_queue_seen(b)) {
		bbr_save_cwnd(b, cc);
		cc->cwnd = rate->in_flight + max_u32(rate->acked_sacked, env->mss);
		b->conservation = true;
		bbr_start_round(b, rate);
	} else if (!env->in_recovery && b->in_recovery && b->prior_cwnd != 0) {
		cc->cwnd = max_u32(cc->cwnd, b->prior_cwnd);
		b->conservation = false;
	} else if (b->conservation && b->round_start) {
		b->conservation = false;
	}
	b->in_recovery = env->in_recovery;
	if (rate->lost != 0)
		cc->cwnd = cc->cwnd > rate->lost ? max_u32(cc->cwnd - rate->lost, env->mss)
						 : env->mss;
	if (b->conservation)
		cc->cwnd = max_u32(cc->cwnd, rate->in_flight + rate->acked_sacked);
}

static uint32_t bbr_cwnd_cap(const struct bbr *b, const struct cc_env *env)
{
	uint32_t cap = UINT32_MAX;

	if (b->state == BBR_PROBE_RTT || b->state == BBR_CRUISE)
		cap = bbr_with_headroom(b, env);
	else if (bbr_in_probe_bw(b))
		cap = b->inflight_hi;
	cap = max_u32(min_u32(cap, b->inflight_lo), MIN_PIPE_SEGS * env->mss);
	if (b->state == BBR_PROBE_RTT)
		cap = min_u32(cap, bbr_probe_rtt_cwnd(b, env));
	return cap;
}

static void bbr_set_cwnd(struct bbr *b, struct cc *cc, const struct cc_env *env)
{
	const struct cc_rate *rate = env->rate;
	uint32_t max_inflight =
		bbr_with_budget(b, env,
				bbr_bdp(b, bbr_bw(b), cwnd_gain[b->state]) +
					max_u32(b->extra_acked[0], b->extra_acked[1]));

	bbr_recovery(b, cc, env);
	if (!b->conservation) {
		uint32_t grown = cc->cwnd + rate->acked_sacked;

		if (b->full_bw_reached)
			cc->cwnd = min_u32(grown, max_inflight);
		else if (cc->cwnd < max_inflight || rate->delivered < b->initial_cwnd)
			cc->cwnd = grown;
		cc->cwnd = max_u32(cc->cwnd, MIN_PIPE_SEGS * env->mss);
	}
	cc->cwnd = min_u32(cc->cwnd, bbr_cwnd_cap(b, env));
}

/* ---- what is called -------------------------------------------------------------------------- */

static void bbr_init(struct cc *cc, void *priv, const struct cc_env *env)
{
	struct bbr *b = priv;
	uint32_t rtt_us = env->srtt_us != 0 ? env->srtt_us : 1000;

	*b = (struct bbr){
		.bw_lo = UINT64_MAX,
		.inflight_hi = UINT32_MAX,
		.inflight_lo = UINT32_MAX,
		.min_rtt_us = env->srtt_us != 0 ? env->srtt_us : UINT32_MAX,
		.min_rtt_stamp_us = env->now_us,
		.probe_rtt_min_us = UINT32_MAX,
		.probe_rtt_stamp_us = env->now_us,
		.extra_start_us = env->now_us,
		.initial_cwnd = cc->cwnd,
		.pacing_Bps = cc->cwnd * (uint64_t)US_PER_SEC / rtt_us * pacing_gain[BBR_STARTUP] /
			      100,
	};
}

static void bbr_main(struct cc *cc, void *priv, const struct cc_env *env)
{
	struct bbr *b = priv;
	bool expired;

	bbr_update_signals(b, cc, env);
	bbr_update_extra_acked(b, cc, env);
	bbr_check_full_bw(b, env->rate);
	bbr_check_startup_drain(b, env);
	if (b->full_bw_reached)
		bbr_update_probe_bw(b, cc, env);
	bbr_update_min_rtt(b, env, &expired);
	bbr_check_probe_rtt(b, cc, env, expired);
	bbr_advance_signals(b, env->rate);
	bbr_set_pacing(b, pacing_gain[b->state]);
	bbr_set_cwnd(b, cc, env);
}

static void bbr_loss(struct cc *cc, void *priv, const struct cc_env *env)
{
	struct bbr *b = priv;

	(void)env;
	bbr_save_cwnd(b, cc);
	b->undo_bw_lo = b->bw_lo;
	b->undo_inflight_lo = b->inflight_lo;
	b->undo_inflight_hi = b->inflight_hi;
}

/* Classic marks (RFC 3168) say as much as a loss: the lower bounds take it in. */
static void bbr_ecn(struct cc *cc, void *priv, const struct cc_env *env)
{
	struct bbr *b = priv;

	(void)cc;
	(void)env;
	b->marked = true;
}

static void bbr_rto(struct cc *cc, void *priv, const struct cc_env *env)
{
	struct bbr *b = priv;

	bbr_loss(cc, priv, env);
	b->in_recovery = true;
	b->conservation = false;
	cc->cwnd = env->mss;
}

static void bbr_undo(struct cc *cc, void *priv, const struct cc_env *env,
		     const struct cc_saved *saved)
{
	struct bbr *b = priv;

	(void)env;
	b->full_bw_count = 0;
	b->lost_lately = 0;
	b->bw_lo = max_u64(b->bw_lo, b->undo_bw_lo);
	b->inflight_lo = max_u32(b->inflight_lo, b->undo_inflight_lo);
	b->inflight_hi = max_u32(b->inflight_hi, b->undo_inflight_hi);
	cc->cwnd = max_u32(cc->cwnd, saved->cc.cwnd);
}

/* 4.4.3 */
static void bbr_idle(struct cc *cc, void *priv, const struct cc_env *env, uint32_t idle_ms)
{
	struct bbr *b = priv;

	(void)cc;
	(void)idle_ms;
	b->idle_restart = true;
	b->extra_start_us = env->now_us;
	b->extra_delivered = 0;
	if (bbr_in_probe_bw(b))
		bbr_set_pacing(b, 100);
}

static uint64_t bbr_pacing(const void *priv)
{
	const struct bbr *b = priv;

	return b->pacing_Bps;
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.bytes = sizeof(struct bbr),
	.init = bbr_init,
	.loss = bbr_loss,
	.ecn = bbr_ecn,
	.rto = bbr_rto,
	.undo = bbr_undo,
	.idle = bbr_idle,
	.main = bbr_main,
	.pacing = bbr_pacing,
};
