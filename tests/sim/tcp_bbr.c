// SPDX-License-Identifier: BSD-2-Clause
/*
 * BBR over a bottleneck, beside CUBIC on the same wire: 100 Mbit/s, 40 ms, a queue of two
 * bandwidth-delay products. It fills the path and not the queue, and random loss does not stop it.
 * The model alone is tested by tests/unit/test_stack_bbr.c.
 */
#include "base/time.h"
#include "stack/tcp.h"
#include "tests/sim/two_stacks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MBITS 100u
#define RTT_US 40000u
#define BDP_FRAMES (MBITS * RTT_US / 8 / 1538)
#define FROM_S 3u
#define UNTIL_S 13u

struct result {
	uint32_t mbits;
	uint32_t queue_us; /* on average */
	uint64_t lost;
};

static struct two_stacks sim;

static uint32_t cc_of(const char *name)
{
	uint32_t idx = 0;

	while (strcmp(tcp_cc_name(idx), name) != 0)
		idx++;
	return idx;
}

static void begin(const char *cc, const struct wire_config *wire, struct tcp_id *ret_from,
		  struct listener_id *ret_l)
{
	const struct stack_config limits = { .conns_max = 10,
					     .mem_bytes_max = 128 << 20,
					     .sndbuf_bytes = 6 << 20,
					     .rcvbuf_bytes = 6 << 20 };
	const struct tcp_settings settings = { .congestion = (uint8_t)cc_of(cc),
					       .ecn = STACK_ECN_ASK };
	struct endpoint local, remote;

	two_stacks_init(&sim, wire, 1, false, &limits);
	for (unsigned int i = 0; i < 2; i++)
		tcp_settings_set(sim.side[i].s, &settings);
	local = sim.side[0].addr;
	remote = sim.side[1].addr;
	local.port = 1000;
	remote.port = 80;
	assert_int_equal(tcp_listen(sim.side[1].s, &remote, false, 1, 0, ret_l), 0);
	assert_int_equal(tcp_connect(sim.side[0].s, sim.side[0].link, &local, &remote, 0, ret_from),
			 0);
}

static uint64_t queue_us(void)
{
	return sim.wire[0].free_us > sim.now_us ? sim.wire[0].free_us - sim.now_us : 0;
}

static struct result run(const char *cc, struct wire_config wire)
{
	static uint8_t buf[65536];
	struct tcp_id from, to = { 0 };
	struct listener_id l;
	uint64_t start_us, got = 0, queue = 0, next_us, samples = 0;
	struct stack_event ev[16];
	struct result r;
	size_t n;

	wire.delay_us = RTT_US / 2;
	wire.bits_per_s = MBITS * 1000000;
	if (wire.queue_frames == 0)
		wire.queue_frames = 2 * BDP_FRAMES;
	begin(cc, &wire, &from, &l);
	start_us = sim.now_us;
	next_us = start_us + FROM_S * US_PER_SEC;
	while (sim.now_us < start_us + UNTIL_S * US_PER_SEC) {
		two_stacks_step(&sim, min_u64(next_us, start_us + UNTIL_S * US_PER_SEC));
		if (to.v == 0)
			(void)tcp_accept(sim.side[1].s, l, 0, &to);
		while (tcp_send(sim.side[0].s, from, buf, sizeof(buf), 0, &n) == 0)
			;
		while (to.v != 0 &&
		       tcp_recv(sim.side[1].s, to, buf, sizeof(buf), false, &n) == 0)
			got += sim.now_us >= start_us + FROM_S * US_PER_SEC ? n : 0;
		for (unsigned int i = 0; i < 2; i++)
			while (stack_events(sim.side[i].s, ev, 16) != 0)
				;
		if (sim.now_us < next_us)
			continue;
		queue += queue_us();
		samples++;
		next_us += 1 * US_PER_MS;
	}
	r = (struct result){ (uint32_t)(got * 8 / 1000000 / (UNTIL_S - FROM_S)),
			     (uint32_t)(queue / samples), sim.wire[0].lost };
	printf("%5s, %6u ppm: %3u Mbit/s, queue %6u us, %lu lost, %lu marked\n", cc, wire.loss_ppm,
	       r.mbits, r.queue_us, (unsigned long)r.lost, (unsigned long)sim.wire[0].marked);
	tcp_abort(sim.side[0].s, from);
	tcp_abort(sim.side[1].s, to);
	tcp_unlisten(sim.side[1].s, l);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(sim.side[i].s->tcp->cc.used, 0);
		assert_int_equal(sim.side[i].s->tcp->pace.used, 0);
	}
	two_stacks_step(&sim, sim.now_us + 10 * US_PER_SEC);
	while (two_stacks_step(&sim, sim.now_us + 70 * US_PER_SEC))
		;
	two_stacks_fini(&sim);
	return r;
}

static void short_queue(void **state)
{
	const struct result bbr = run("bbr", (struct wire_config){ 0 });
	const struct result cubic = run("cubic", (struct wire_config){ 0 });

	(void)state;
	assert_in_range(bbr.mbits, 85, MBITS);
	assert_in_range(bbr.queue_us, 0, RTT_US / 4);
	assert_true(bbr.queue_us < cubic.queue_us / 2);
}

static void random_loss(void **state)
{
	static const struct {
		uint32_t ppm, least;
	} cases[] = { { 1000, 80 }, { 10000, 75 }, { 50000, 50 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct result bbr = run("bbr", (struct wire_config){ .loss_ppm = cases[i].ppm });

		assert_in_range(bbr.mbits, cases[i].least, MBITS);
	}
	assert_in_range(run("cubic", (struct wire_config){ .loss_ppm = 50000 }).mbits, 0, 10);
}

/* A tenth of the product: what it loses there it notices. */
static void shallow_queue(void **state)
{
	const struct result bbr = run("bbr", (struct wire_config){ .queue_frames = BDP_FRAMES / 10 });

	(void)state;
	assert_in_range(bbr.mbits, 70, MBITS);
	assert_in_range(bbr.lost, 0, 4000); /* of 80,000 */
}

/* Marks keep the queue short without a loss: RFC 3168 */
static void marks(void **state)
{
	const struct wire_config wire = { .mark_frames = BDP_FRAMES / 4 };
	const struct result cubic = run("cubic", wire), bbr = run("bbr", wire);

	(void)state;
	assert_int_equal(cubic.lost, 0);
	assert_in_range(cubic.mbits, 60, MBITS);
	assert_in_range(cubic.queue_us, 0, RTT_US / 2);
	assert_in_range(bbr.mbits, 70, MBITS);
	assert_int_equal(bbr.lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_queue),
		cmocka_unit_test(random_loss),
		cmocka_unit_test(shallow_queue),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
