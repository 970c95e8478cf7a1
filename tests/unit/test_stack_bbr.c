// SPDX-License-Identifier: BSD-2-Clause
/*
 * BBR over a path of one bottleneck: a rate, a queue, a delay, and loss by seed. The test makes the
 * samples that tcp_rate.c would make, after draft-cheng-iccrg-delivery-rate-estimation; data that
 * are lost are not sent again, since congestion control cannot tell.
 */
#include "stack/cc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MSS 1000u
#define MS UINT64_C(1000)
#define SEC UINT64_C(1000000)
#define SEGS_MAX 65536u

struct seg {
	uint64_t sent_us, acked_us; /* acked_us: when its acknowledgement will be here; 0: lost */
	uint64_t delivered, delivered_us, first_sent_us;
	bool app_limited;
};

struct path {
	/* The test may change these. */
	uint64_t Bps;
	uint64_t delay_us; /* there and back */
	uint64_t queue_us; /* of the bottleneck, at most */
	uint32_t loss_ppm;
	bool idle; /* the program has nothing to send */

	struct cc cc;
	uint64_t state[CC_STATE_MAX / 8];
	struct prng prng;
	struct seg seg[SEGS_MAX];
	uint64_t now_us, next_send_ns, free_us;
	uint64_t snd, una; /* segments */
	uint64_t delivered, delivered_us, first_sent_us;
	uint64_t recover;
	uint32_t in_flight, max_flight;
	bool in_recovery, limited;

	/* What came of it, since path_mark() */
	uint64_t mark_us, mark_delivered, queue_sum_us, queue_cnt, queue_max_us;
	uint32_t flight_min;
	uint64_t dropped; /* by the queue */
};

static void path_mark(struct path *p)
{
	p->mark_us = p->now_us;
	p->mark_delivered = p->delivered;
	p->queue_sum_us = p->queue_cnt = p->queue_max_us = 0;
	p->flight_min = UINT32_MAX;
	p->dropped = 0;
}

static struct cc_env path_env(struct path *p)
{
	return (struct cc_env){
		.now_us = p->now_us,
		.now_ms = (uint32_t)(p->now_us / 1000),
		.mss = MSS,
		.srtt_us = (uint32_t)p->delay_us,
		.flight = p->in_flight,
		.max_flight = p->max_flight,
		.limited = p->limited,
		.in_recovery = p->in_recovery,
		.prng = &p->prng,
	};
}

static struct path *path_new(uint64_t Bps, uint64_t delay_us, uint64_t queue_us)
{
	static struct path path;
	struct path *p = &path;
	struct cc_env env;

	memset(p, 0, sizeof(*p));
	p->Bps = Bps;
	p->delay_us = delay_us;
	p->queue_us = queue_us;
	p->cc = (struct cc){ .cwnd = 10 * MSS, .ssthresh = UINT32_MAX };
	prng_seed(&p->prng, 1);
	p->now_us = p->free_us = SEC;
	env = path_env(p);
	cc_bbr.init(&p->cc, p->state, &env);
	path_mark(p);
	return p;
}

static void path_send(struct path *p)
{
	struct seg *seg = &p->seg[p->snd++ % SEGS_MAX];
	uint64_t start_us = max_u64(p->free_us, p->now_us), wait_us = start_us - p->now_us;
	bool lost = wait_us > p->queue_us || prng_below(&p->prng, 1000000) < p->loss_ppm;

	if (p->in_flight == 0) {
		p->first_sent_us = p->now_us;
		p->delivered_us = p->now_us;
	}
	*seg = (struct seg){ p->now_us, 0, p->delivered, p->delivered_us, p->first_sent_us,
			     p->idle };
	if (wait_us <= p->queue_us)
		p->free_us = start_us + MSS * SEC / p->Bps;
	if (!lost)
		seg->acked_us = p->free_us + p->delay_us;
	p->dropped += wait_us > p->queue_us;
	p->queue_sum_us += wait_us;
	p->queue_cnt++;
	p->queue_max_us = max_u64(p->queue_max_us, wait_us);
	p->in_flight += MSS;
	p->max_flight = max_u32(p->max_flight, p->in_flight);
	p->limited = p->in_flight + MSS > p->cc.cwnd;
	p->next_send_ns = max_u64(p->next_send_ns, p->now_us * 1000 - 1000) +
			  MSS * SEC * 1000 / cc_bbr.pacing(p->state);
}

/* The first segment that is not lost is acknowledged; what was sent before it is lost. */
static void path_ack(struct path *p)
{
	struct cc_rate rate = { .prior_in_flight = p->in_flight };
	struct cc_env env;
	struct seg *seg;

	for (; p->seg[p->una % SEGS_MAX].acked_us == 0; p->una++) {
		rate.lost += MSS;
		p->in_flight -= MSS;
	}
	env = path_env(p);
	if (rate.lost != 0 && !p->in_recovery) {
		p->in_recovery = true;
		p->recover = p->snd;
		cc_bbr.loss(&p->cc, p->state, &env);
	}
	seg = &p->seg[p->una++ % SEGS_MAX];
	p->in_flight -= MSS;
	p->delivered += MSS;
	p->delivered_us = p->now_us;
	rate.delivered = p->delivered;
	rate.prior_delivered = seg->delivered;
	rate.delivered_bytes = (uint32_t)(p->delivered - seg->delivered);
	rate.interval_us = (uint32_t)max_u64(p->now_us - seg->delivered_us,
					     seg->sent_us - seg->first_sent_us);
	p->first_sent_us = seg->sent_us;
	rate.rtt_us = (uint32_t)(p->now_us - seg->sent_us);
	rate.acked_sacked = MSS;
	rate.in_flight = p->in_flight;
	rate.app_limited = seg->app_limited;
	if (p->in_recovery && p->una >= p->recover)
		p->in_recovery = false;
	env = path_env(p);
	env.rate = &rate;
	env.rtt_us = rate.rtt_us;
	cc_bbr.main(&p->cc, p->state, &env);
	p->flight_min = min_u32(p->flight_min, p->in_flight);
}

/* When the next acknowledgement comes; all in flight lost: after a while, as a timeout would */
static uint64_t path_ack_us(struct path *p)
{
	for (uint64_t i = p->una; i < p->snd; i++)
		if (p->seg[i % SEGS_MAX].acked_us != 0)
			return p->seg[i % SEGS_MAX].acked_us;
	return UINT64_MAX;
}

static void path_run(struct path *p, uint64_t us)
{
	uint64_t end_us = p->now_us + us;

	while (p->now_us < end_us) {
		uint64_t ack_us = path_ack_us(p), send_us = UINT64_MAX;

		if (!p->idle && p->in_flight + MSS <= p->cc.cwnd)
			send_us = max_u64((p->next_send_ns + 999) / 1000, p->now_us);
		p->now_us = min_u64(min_u64(ack_us, send_us), end_us);
		if (p->now_us == ack_us) {
			path_ack(p);
		} else if (p->now_us == send_us) {
			path_send(p);
		} else if (ack_us == UINT64_MAX && p->in_flight != 0) {
			/* A timeout: what is in flight will not come. */
			p->una = p->snd;
			p->in_flight = 0;
		}
	}
}

/* Percent of what the bottleneck could have delivered */
static uint32_t path_used(const struct path *p)
{
	return (uint32_t)((p->delivered - p->mark_delivered) * 100 * SEC / p->Bps /
			  (p->now_us - p->mark_us));
}

static uint64_t path_queue_us(const struct path *p)
{
	return p->queue_cnt != 0 ? p->queue_sum_us / p->queue_cnt : 0;
}

static void report(const struct path *p, const char *what)
{
	print_message("%-24s used %3u %%, queue %5lu us on average, %6lu at most, %6u in flight at "
		      "least\n",
		      what, path_used(p), (unsigned long)path_queue_us(p),
		      (unsigned long)p->queue_max_us, p->flight_min);
}

/* 100 Mbit/s, 40 ms, a queue of five times that: all of the path, hardly any of the queue */
static void fills_path_not_queue(void **state)
{
	struct path *p = path_new(12500000, 40 * MS, 200 * MS);

	(void)state;
	path_run(p, 1 * SEC);
	report(p, "first second");
	assert_in_range(path_used(p), 60, 100);
	path_mark(p);
	path_run(p, 20 * SEC);
	report(p, "steady");
	assert_in_range(path_used(p), 93, 100);
	assert_in_range(path_queue_us(p), 0, 10 * MS);
}

/* From 80 kbit/s to 4 Gbit/s, from 1 to 300 ms */
static void many_paths(void **state)
{
	static const uint64_t Bps[] = { 10000, 1250000, 12500000, 125000000 };
	static const uint64_t delay_ms[] = { 1, 10, 100, 300 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(Bps); i++)
		for (unsigned int k = 0; k < ARRAY_SIZE(delay_ms); k++) {
			uint64_t bdp = Bps[i] / 1000 * delay_ms[k];
			struct path *p = path_new(Bps[i], delay_ms[k] * MS, 10 * SEC);

			if (bdp / MSS > 20000)
				continue;
			path_run(p, 15 * SEC);
			path_mark(p);
			path_run(p, 15 * SEC);
			print_message("%9lu B/s %3lu ms: ", Bps[i], delay_ms[k]);
			report(p, "");
			assert_in_range(path_used(p), 90, 100);
			/* four segments, or a fraction of the path */
			assert_true(path_queue_us(p) <= delay_ms[k] * MS / 3 + MS +
							 8 * MSS * SEC / Bps[i]);
		}
}

static void lossy(void **state)
{
	static const struct {
		uint32_t ppm, least;
	} cases[] = { { 1000, 90 }, { 10000, 88 }, { 20000, 80 }, { 50000, 60 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct path *p = path_new(12500000, 40 * MS, 200 * MS);

		p->loss_ppm = cases[i].ppm;
		path_run(p, 5 * SEC);
		path_mark(p);
		path_run(p, 30 * SEC);
		print_message("%u ppm: ", cases[i].ppm);
		report(p, "");
		assert_in_range(path_used(p), cases[i].least, 100);
	}
}

/* A shallow queue, a tenth of the product: few losses */
static void shallow(void **state)
{
	struct path *p = path_new(12500000, 40 * MS, 4 * MS);

	(void)state;
	path_run(p, 5 * SEC);
	path_mark(p);
	path_run(p, 30 * SEC);
	report(p, "shallow queue");
	assert_in_range(p->dropped * 1000 / p->queue_cnt, 0, 15); /* 1.5 % */
	assert_in_range(path_used(p), 75, 100);
}

static void rate_changes(void **state)
{
	struct path *p = path_new(12500000, 40 * MS, 400 * MS);

	(void)state;
	path_run(p, 5 * SEC);
	p->Bps /= 4;
	path_run(p, 8 * SEC);
	path_mark(p);
	path_run(p, 10 * SEC);
	report(p, "a quarter");
	assert_in_range(path_used(p), 90, 101);
	assert_in_range(path_queue_us(p), 0, 40 * MS);
	p->Bps *= 8;
	path_run(p, 12 * SEC);
	path_mark(p);
	path_run(p, 10 * SEC);
	report(p, "eight times that");
	assert_in_range(path_used(p), 80, 100);
}

/* 4.3.4: for 200 ms hardly anything is in flight, so that a longer round trip is noticed */
static void probe_rtt(void **state)
{
	struct path *p = path_new(12500000, 40 * MS, 200 * MS);

	(void)state;
	path_run(p, 3 * SEC);
	p->delay_us = 80 * MS;
	path_mark(p);
	path_run(p, 15 * SEC);
	report(p, "longer path");
	assert_in_range(p->flight_min, 0, 12500 * 40 * 6 / 10);
	path_run(p, 5 * SEC);
	path_mark(p);
	path_run(p, 10 * SEC);
	report(p, "longer path, later");
	assert_in_range(path_used(p), 90, 100);
}

static void idle_restart(void **state)
{
	struct path *p = path_new(12500000, 40 * MS, 200 * MS);
	struct cc_env env;

	(void)state;
	path_run(p, 3 * SEC);
	p->idle = true;
	path_run(p, 7 * SEC);
	assert_int_equal(p->in_flight, 0);
	p->idle = false;
	env = path_env(p);
	cc_bbr.idle(&p->cc, p->state, &env, 7000);
	path_mark(p);
	path_run(p, 500 * MS);
	report(p, "after idle");
	assert_in_range(path_used(p), 75, 100);
	assert_in_range(path_queue_us(p), 0, 25 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_path_not_queue), cmocka_unit_test(many_paths),
		cmocka_unit_test(lossy),		cmocka_unit_test(shallow),
		cmocka_unit_test(rate_changes),		cmocka_unit_test(probe_rtt),
		cmocka_unit_test(idle_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
