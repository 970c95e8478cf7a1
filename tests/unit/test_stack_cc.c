// SPDX-License-Identifier: BSD-2-Clause
/*
 * CUBIC, Reno and slow start against the formulas of RFC 9438, 5681 and 9406: the test computes in
 * floating point, and in segments, what the window should be after each acknowledgement
 */
#include "stack/cc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MSS 1000u
#define BETA 0.7
#define ALPHA (3 * (1 - BETA) / (1 + BETA))

struct flow {
	const struct cc_ops *ops;
	struct cc cc;
	struct cc_priv priv;
	struct cc_env env;
};

/* What RFC 9438 says, in segments and seconds */
struct cubic_ref {
	double cwnd, w_max, cwnd_prior, k, w_est, epoch;
	bool started;
};

static struct flow flow_new(const struct cc_ops *ops, uint32_t segs, uint32_t rtt_ms)
{
	struct flow f = {
		.ops = ops,
		.cc = { .cwnd = segs * MSS, .ssthresh = UINT32_MAX },
		.env = { .now_ms = 123456, .mss = MSS, .srtt_us = rtt_ms * 1000, .limited = true },
	};

	ops->init(&f.cc, &f.priv, &f.env);
	return f;
}

/* One segment is acknowledged, @us after the last one was. */
static void flow_ack(struct flow *f, uint32_t us)
{
	f->env.now_us += us;
	f->env.now_ms = 123456 + (uint32_t)(f->env.now_us / 1000);
	f->env.flight = f->cc.cwnd;
	f->env.max_flight = f->cc.cwnd;
	f->env.snd_una += MSS;
	f->env.snd_nxt = f->env.snd_una + f->cc.cwnd;
	f->env.rtt_us = f->env.srtt_us;
	f->ops->acked(&f->cc, &f->priv, &f->env, MSS);
}

static double segs(const struct flow *f)
{
	return (double)f->cc.cwnd / MSS;
}

static double ref_cbrt(double v)
{
	double r = v > 1 ? v / 2 : 1;

	for (int i = 0; i < 100; i++)
		r -= (r * r * r - v) / (3 * r * r);
	return v == 0 ? 0 : r;
}

/* 4.2, 4.3 */
static double ref_w(const struct cubic_ref *r, double t)
{
	return 0.4 * (t - r->k) * (t - r->k) * (t - r->k) + r->w_max;
}

static void ref_ack(struct cubic_ref *r, double now, double rtt)
{
	double target;

	if (!r->started) {
		r->started = true;
		r->epoch = now;
		r->w_est = r->cwnd;
		if (r->cwnd >= r->w_max)
			r->w_max = r->cwnd;
		r->k = ref_cbrt((r->w_max - r->cwnd) / 0.4);
	}
	r->w_est += (r->w_est >= r->cwnd_prior ? 1 : ALPHA) / r->cwnd;
	if (ref_w(r, now - r->epoch) < r->w_est) {
		if (r->cwnd < r->w_est)
			r->cwnd = r->w_est;
		return;
	}
	target = ref_w(r, now - r->epoch + rtt);
	if (target < r->cwnd)
		target = r->cwnd;
	if (target > 1.5 * r->cwnd)
		target = 1.5 * r->cwnd;
	r->cwnd += (target - r->cwnd) / r->cwnd;
}

/* 4.6, 4.7 */
static void ref_loss(struct cubic_ref *r)
{
	r->w_max = r->cwnd < r->w_max ? r->cwnd * (1 + BETA) / 2 : r->cwnd;
	r->cwnd_prior = r->cwnd;
	r->cwnd *= BETA;
	r->started = false;
}

static void assert_near(double got, double want)
{
	double diff = got > want ? got - want : want - got;

	if (diff > 1 + want / 100) {
		print_error("%f segments instead of %f\n", got, want);
		fail();
	}
}

/* A window's acknowledgements, spread over a round trip, @rounds times; the two must agree. */
static void cubic_rounds(struct flow *f, struct cubic_ref *r, unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		uint32_t acks = f->cc.cwnd / MSS, us = f->env.srtt_us / acks;

		for (uint32_t n = 0; n < acks; n++) {
			flow_ack(f, us);
			ref_ack(r, (double)f->env.now_us / 1e6, f->env.srtt_us / 1e6);
			assert_near(segs(f), r->cwnd);
		}
	}
}

static void cubic_lost(struct flow *f, struct cubic_ref *r)
{
	f->ops->loss(&f->cc, &f->priv, &f->env);
	ref_loss(r);
	assert_near(segs(f), r->cwnd);
	assert_int_equal(f->cc.ssthresh, f->cc.cwnd);
}

/* In congestion avoidance after a loss at @w segments */
static void cubic_begin(struct flow *f, struct cubic_ref *r, uint32_t w, uint32_t rtt_ms)
{
	*f = flow_new(&cc_cubic, w, rtt_ms);
	*r = (struct cubic_ref){ .cwnd = w };
	cubic_lost(f, r);
}

/* Concave to W_max, a plateau at time K, convex beyond: 4.4, 4.5 */
static void cubic_curve(void **state)
{
	struct cubic_ref r;
	struct flow f;
	double plateau;

	(void)state;
	cubic_begin(&f, &r, 1000, 100);
	cubic_rounds(&f, &r, 5);
	assert_near(r.k, 9.08); /* cbrt(300 / 0.4) */
	cubic_rounds(&f, &r, 86);
	plateau = segs(&f);
	assert_in_range((int)plateau, 985, 1010);
	cubic_rounds(&f, &r, 60);
	assert_true(segs(&f) > 1060);
}

/* 4.7: a second loss before W_max was reached releases bandwidth */
static void cubic_fast_convergence(void **state)
{
	struct cubic_ref r;
	struct flow f;

	(void)state;
	cubic_begin(&f, &r, 1000, 100);
	cubic_rounds(&f, &r, 40);
	cubic_lost(&f, &r);
	cubic_rounds(&f, &r, 50);
	assert_near(r.w_max, r.cwnd_prior * 0.85);
	cubic_lost(&f, &r);
	cubic_rounds(&f, &r, 80);
}

/* 4.3: where the round trip is short it is Reno: alpha 0.529 up to the old window, then 1 */
static void cubic_reno_friendly(void **state)
{
	struct cubic_ref r;
	struct flow f;
	double before;

	(void)state;
	cubic_begin(&f, &r, 30, 5);
	cubic_rounds(&f, &r, 10);
	before = segs(&f);
	assert_near(before, 21 + 10 * ALPHA);
	while (segs(&f) < 31)
		cubic_rounds(&f, &r, 1);
	before = segs(&f);
	cubic_rounds(&f, &r, 30);
	assert_true(segs(&f) > before + 28);
}

/* 4.8: after a timeout, slow start to ssthresh, then convex from there with K = 0 */
static void cubic_timeout(void **state)
{
	struct cubic_ref r = { 0 };
	struct flow f;

	(void)state;
	f = flow_new(&cc_cubic, 200, 100);
	f.ops->rto(&f.cc, &f.priv, &f.env);
	assert_int_equal(f.cc.cwnd, MSS);
	assert_int_equal(f.cc.ssthresh, 140 * MSS);
	while (f.cc.cwnd < f.cc.ssthresh)
		flow_ack(&f, 1000);
	assert_int_equal(f.cc.cwnd, 140 * MSS);
	r.cwnd = 140;
	r.cwnd_prior = 200;
	cubic_rounds(&f, &r, 100);
	assert_int_equal(r.k, 0);
	assert_near(r.w_max, 140);
}

/* 4.10: slow start that HyStart++ ended: convex, and alpha is 1 at once */
static void cubic_after_hystart(void **state)
{
	struct cubic_ref r = { 0 };
	struct flow f;

	(void)state;
	f = flow_new(&cc_cubic, 40, 10);
	f.cc.ssthresh = f.cc.cwnd;
	r.cwnd = 40;
	r.cwnd_prior = 40;
	cubic_rounds(&f, &r, 100);
}

/* 4.2, 5.8: t stands still while the program sends less than it may, or nothing */
static void cubic_app_limited(void **state)
{
	struct cubic_ref r;
	struct flow f;
	uint32_t before;
	uint64_t from_us;

	(void)state;
	cubic_begin(&f, &r, 1000, 100);
	cubic_rounds(&f, &r, 30);
	before = f.cc.cwnd;
	from_us = f.env.now_us;
	f.env.limited = false;
	for (unsigned int i = 0; i < 100; i++)
		flow_ack(&f, 50000);
	assert_int_equal(f.cc.cwnd, before);
	f.env.now_us += 3000000;
	f.env.now_ms += 3000;
	f.ops->idle(&f.cc, &f.priv, &f.env, 3000);
	r.epoch += (double)(f.env.now_us - from_us) / 1e6;
	f.env.limited = true;
	cubic_rounds(&f, &r, 80);

	/* Idle alone, no acknowledgement having told of it */
	f.env.now_us += 20000000;
	f.env.now_ms += 20000;
	f.ops->idle(&f.cc, &f.priv, &f.env, 20000);
	r.epoch += 20;
	cubic_rounds(&f, &r, 20);
}

/* A window of the maximum size neither overflows nor stops. */
static void cubic_large(void **state)
{
	struct cubic_ref r;
	struct flow f;

	(void)state;
	cubic_begin(&f, &r, 1000000, 100);
	for (unsigned int i = 0; i < 400000; i++) {
		flow_ack(&f, 3);
		ref_ack(&r, (double)f.env.now_us / 1e6, 0.1);
	}
	assert_near(segs(&f), r.cwnd);
}

/* ---- Reno: RFC 5681 -------------------------------------------------------------------------- */

static void reno_rounds(void **state)
{
	struct flow f;

	(void)state;
	f = flow_new(&cc_reno, 100, 20);
	f.env.flight = 100 * MSS;
	f.ops->loss(&f.cc, &f.priv, &f.env);
	assert_int_equal(f.cc.cwnd, 50 * MSS); /* equation 4 */
	for (uint32_t w = 50; w < 80; w++) {
		for (uint32_t i = 0; i < w; i++) {
			assert_int_equal(f.cc.cwnd, w * MSS);
			flow_ack(&f, 100);
		}
	}
	f.env.flight = 10 * MSS; /* FlightSize, not cwnd */
	f.ops->rto(&f.cc, &f.priv, &f.env);
	assert_int_equal(f.cc.ssthresh, 5 * MSS);
	assert_int_equal(f.cc.cwnd, MSS);
	f.env.flight = MSS;
	f.ops->rto(&f.cc, &f.priv, &f.env);
	assert_int_equal(f.cc.ssthresh, 2 * MSS); /* at the least */
}

/* Neither grows what is not used (RFC 9293 3.8.2); slow start may run to twice of what was. */
static void not_used_not_grown(void **state)
{
	static const struct cc_ops *const ops[] = { &cc_cubic, &cc_reno };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct flow f = flow_new(ops[i], 20, 20);

		f.env.limited = false;
		f.env.max_flight = 10 * MSS;
		f.ops->acked(&f.cc, &f.priv, &f.env, MSS);
		assert_int_equal(f.cc.cwnd, 20 * MSS);
		f.env.max_flight = 10 * MSS + 1;
		f.ops->acked(&f.cc, &f.priv, &f.env, MSS);
		assert_int_equal(f.cc.cwnd, 21 * MSS);
		f.cc.ssthresh = 5 * MSS;
		f.env.max_flight = 21 * MSS;
		for (unsigned int n = 0; n < 100; n++)
			f.ops->acked(&f.cc, &f.priv, &f.env, MSS);
		assert_int_equal(f.cc.cwnd, 21 * MSS);
	}
}

/* ---- HyStart++: RFC 9406 --------------------------------------------------------------------- */

/* A round trip in slow start. Return: growth, in percent of the window */
static uint32_t slow_round(struct flow *f, uint32_t rtt_ms)
{
	uint32_t before = f->cc.cwnd;

	f->env.srtt_us = rtt_ms * 1000;
	for (uint32_t n = before / MSS; n > 0; n--) {
		uint32_t nxt = f->env.snd_nxt;

		flow_ack(f, 10);
		/* the round ends when what was in flight at its beginning is acknowledged */
		if (n > 1)
			f->env.snd_nxt = nxt + MSS;
	}
	return (uint32_t)((uint64_t)(f->cc.cwnd - before) * 100 / before);
}

static void hystart_exit(void **state)
{
	struct flow f;
	uint32_t growth = 0;

	(void)state;
	f = flow_new(&cc_reno, 16, 100);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(slow_round(&f, 100), 100);
	/* 12.5 ms, an eighth, is the threshold: not yet */
	assert_int_equal(slow_round(&f, 112), 100);
	/* Then it is, from the eighth sample on: five rounds at a quarter, of which this is one */
	growth = slow_round(&f, 130);
	assert_in_range(growth, 25, 30);
	for (unsigned int i = 0; i < 3; i++) {
		assert_in_range(slow_round(&f, 130), 24, 26);
		assert_int_equal(f.cc.ssthresh, UINT32_MAX);
	}
	assert_in_range(slow_round(&f, 130), 24, 26);
	slow_round(&f, 130);
	assert_int_not_equal(f.cc.ssthresh, UINT32_MAX);
	assert_in_range(slow_round(&f, 130), 0, 2);
}

static void hystart_false_alarm(void **state)
{
	struct flow f;

	(void)state;
	f = flow_new(&cc_cubic, 16, 100);
	slow_round(&f, 100);
	slow_round(&f, 100);
	assert_in_range(slow_round(&f, 130), 25, 40);
	assert_in_range(slow_round(&f, 130), 24, 26);
	/* shorter than when the alarm was given */
	assert_in_range(slow_round(&f, 120), 80, 100);
	assert_in_range(slow_round(&f, 120), 98, 100);
	assert_int_equal(f.cc.ssthresh, UINT32_MAX);
}

/* 4 ms at least, 16 ms at most */
static void hystart_thresholds(void **state)
{
	struct flow f;

	(void)state;
	f = flow_new(&cc_reno, 16, 1);
	slow_round(&f, 1);
	assert_int_equal(slow_round(&f, 4), 100);
	f = flow_new(&cc_reno, 16, 1);
	slow_round(&f, 1);
	assert_in_range(slow_round(&f, 5), 25, 60);
	f = flow_new(&cc_reno, 16, 400);
	slow_round(&f, 400);
	assert_in_range(slow_round(&f, 417), 25, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cubic_curve),
		cmocka_unit_test(cubic_fast_convergence),
		cmocka_unit_test(cubic_reno_friendly),
		cmocka_unit_test(cubic_timeout),
		cmocka_unit_test(cubic_after_hystart),
		cmocka_unit_test(cubic_app_limited),
		cmocka_unit_test(cubic_large),
		cmocka_unit_test(reno_rounds),
		cmocka_unit_test(not_used_not_grown),
		cmocka_unit_test(hystart_exit),
		cmocka_unit_test(hystart_false_alarm),
		cmocka_unit_test(hystart_thresholds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
