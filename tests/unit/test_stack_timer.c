// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

#define TICK_US (UINT64_C(1) << WHEEL_TICK_SHIFT)
#define HOUR_US (UINT64_C(3600) * US_PER_SEC)

struct timer {
	struct wheel_node node;
	uint32_t pad;
};

static struct fake_mem fake;
static struct mem mem;
static struct pool pool;
static struct wheel wheel;
static uint64_t *due_us; /* by id; the reference. 0: not armed */
static uint64_t now_us;
static uint64_t fired;
static bool exact; /* each run goes to the next deadline, so nothing may be late */

static void begin(uint32_t cnt, uint64_t start_us)
{
	memset(&fake, 0, sizeof(fake));
	mem_init(&mem, fake_mem_get, fake_mem_put, &fake, (uint64_t)1 << 30);
	assert_int_equal(pool_init(&pool, &mem, sizeof(struct timer), 0, cnt), 0);
	for (uint32_t i = 0; i < cnt; i++)
		memset(pool_at(&pool, pool_get(&pool)), 0, sizeof(struct timer));
	wheel_init(&wheel, start_us);
	ref_space_set(&wheel.nodes, REF_TCP, &pool, offsetof(struct timer, node));
	due_us = calloc(cnt + 1, sizeof(*due_us));
	now_us = start_us;
	fired = 0;
	exact = false;
}

static void end(void)
{
	free(due_us);
	pool_fini(&pool);
	assert_int_equal(fake.bytes, 0);
}

static void arm(uint32_t id, uint64_t when_us)
{
	wheel_arm(&wheel, ref_tcp(id), when_us);
	due_us[id] = max_u64(when_us, 1);
}

static void on_fire(void *arg, struct ref ref)
{
	uint32_t id = ref_id(ref);

	assert_ptr_equal(arg, &wheel);
	assert_int_not_equal(due_us[id], 0);
	assert_true(due_us[id] <= now_us);
	if (exact)
		assert_true(now_us < due_us[id] + 2 * TICK_US);
	due_us[id] = 0;
	fired++;
}

static void run(void)
{
	wheel_run(&wheel, now_us, UINT32_MAX, on_fire, &wheel);
}

/* After a run nothing may be left that is due by more than a tick, and the next deadline is before
 * all. */
static void check_rest(uint32_t cnt)
{
	uint64_t first_us = UINT64_MAX, next_us = wheel_next_us(&wheel);
	uint32_t armed = 0;

	for (uint32_t id = 1; id <= cnt; id++) {
		const struct timer *timer = pool_at(&pool, id);

		assert_int_equal(wheel_armed(&timer->node), due_us[id] != 0);
		if (due_us[id] == 0)
			continue;
		armed++;
		assert_true(due_us[id] + TICK_US > now_us);
		assert_true(wheel_due_us(&wheel, &timer->node) + 1 > due_us[id]);
		first_us = min_u64(first_us, wheel_due_us(&wheel, &timer->node));
	}
	assert_int_equal(armed, wheel.armed_cnt);
	if (armed == 0) {
		assert_true(next_us == TIME_NEVER);
	} else {
		assert_true(next_us <= first_us);
		assert_true(next_us > now_us - TICK_US);
	}
}

/* A span from a tick to days, each order of magnitude as likely */
static uint64_t random_span_us(struct prng *prng, unsigned int bits_max)
{
	return prng_below(prng, UINT64_C(1) << prng_below(prng, bits_max));
}

static void test_random(void **state)
{
	enum { CNT = 2000, ROUNDS = 20000 };
	struct prng prng;

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		prng_seed(&prng, seed);
		/* Near where 32 bits of ticks wrap, too. */
		begin(CNT, seed % 2 == 0 ? 12345 : (UINT64_C(1) << 42) - 50 * US_PER_SEC);
		for (int i = 0; i < ROUNDS; i++) {
			uint32_t id = 1 + (uint32_t)prng_below(&prng, CNT);

			if (prng_chance(&prng, 1, 5)) {
				wheel_disarm(&wheel, ref_tcp(id));
				due_us[id] = 0;
			} else {
				arm(id, now_us + random_span_us(&prng, 40));
			}
			if (prng_chance(&prng, 1, 4)) {
				now_us += random_span_us(&prng, 36);
				run();
			}
			if (i % 100 == 0) {
				run();
				check_rest(CNT);
			}
		}
		end();
	}
	/* The last seed's worth of timers has to have come from all levels. */
	assert_true(fired > 1000);
}

/* Follow the deadlines: each timer fires in its tick. */
static void test_deadlines(void **state)
{
	enum { CNT = 5000 };
	struct prng prng;
	unsigned int runs = 0;

	(void)state;
	prng_seed(&prng, 11);
	begin(CNT, 999);
	exact = true;
	for (uint32_t id = 1; id <= CNT; id++)
		arm(id, now_us + 1 + random_span_us(&prng, 38));
	while (wheel.armed_cnt > 0) {
		uint64_t next_us = wheel_next_us(&wheel);

		assert_true(next_us > now_us || runs == 0);
		now_us = max_u64(now_us, next_us);
		run();
		runs++;
	}
	assert_int_equal(fired, CNT);
	/* Once for itself and once a level at most */
	assert_true(runs <= 4 * CNT);
	end();
}

/* One far timer costs a handful of wake-ups, not one a slot. */
static void test_idle(void **state)
{
	unsigned int runs = 0;

	(void)state;
	begin(1, 5 * HOUR_US + 12345);
	exact = true;
	arm(1, now_us + 7 * HOUR_US + 1);
	while (wheel.armed_cnt > 0) {
		now_us = wheel_next_us(&wheel);
		run();
		runs++;
	}
	assert_true(runs <= WHEEL_LEVELS);
	assert_true(wheel_next_us(&wheel) == TIME_NEVER);
	end();
}

static void rearm_now(void *arg, struct ref ref)
{
	(void)arg;
	fired++;
	wheel_arm(&wheel, ref, 0);
}

/* An owner that always wants the past gets one turn a tick. */
static void test_past(void **state)
{
	(void)state;
	begin(1, 777 * TICK_US);
	arm(1, 5);
	assert_int_equal(wheel_run(&wheel, now_us + TICK_US, 100, rearm_now, NULL), 1);
	assert_int_equal(wheel_run(&wheel, now_us + TICK_US, 100, rearm_now, NULL), 0);
	assert_int_equal(wheel_run(&wheel, now_us + 2 * TICK_US, 100, rearm_now, NULL), 1);
	assert_int_equal(wheel_run(&wheel, now_us, 100, rearm_now, NULL), 0);
	wheel_disarm(&wheel, ref_tcp(1));
	wheel_disarm(&wheel, ref_tcp(1));
	assert_true(wheel_next_us(&wheel) == TIME_NEVER);
	/* Farther than it can: at its farthest, 25 days */
	wheel_arm(&wheel, ref_tcp(1), UINT64_MAX);
	assert_true(wheel_next_us(&wheel) < UINT64_C(1) << 43);
	wheel_disarm(&wheel, ref_tcp(1));
	end();
}

static void disarm_other(void *arg, struct ref ref)
{
	(void)arg;
	fired++;
	due_us[ref_id(ref)] = 0;
	/* Its neighbours, due in the same slot */
	for (uint32_t id = ref_id(ref) + 1; id <= ref_id(ref) + 3 && id <= 100; id++)
		wheel_disarm(&wheel, ref_tcp(id));
	if (ref_id(ref) > 3)
		wheel_disarm(&wheel, ref_tcp(ref_id(ref) - 3));
}

static void test_disarm_in_fire(void **state)
{
	(void)state;
	begin(100, 0);
	for (uint32_t id = 1; id <= 100; id++)
		arm(id, 300 * TICK_US);
	now_us = 400 * TICK_US;
	wheel_run(&wheel, now_us, UINT32_MAX, disarm_other, NULL);
	assert_true(fired >= 25 && fired < 100);
	assert_int_equal(wheel.armed_cnt, 0);
	assert_true(wheel_next_us(&wheel) == TIME_NEVER);
	end();
}

/* A budget divides the work; nothing is lost, and the deadline says that there is more. */
static void test_budget(void **state)
{
	enum { CNT = 10000 };

	(void)state;
	begin(CNT, 0);
	for (uint32_t id = 1; id <= CNT; id++)
		arm(id, 70000 * TICK_US + id % 7 * TICK_US);
	now_us = 80000 * TICK_US;
	for (int i = 0; wheel.armed_cnt > 0; i++) {
		assert_true(i < CNT);
		assert_true(wheel_run(&wheel, now_us, 50, on_fire, &wheel) <= 50);
		/* Arming meanwhile, into slots that are being worked on */
		if (i == 20)
			arm((uint32_t)(due_us[1] == 0 ? 1 : CNT), now_us + 65536 * TICK_US);
		if (wheel.armed_cnt > 1)
			assert_true(wheel_next_us(&wheel) <= now_us);
		if (wheel.armed_cnt == 1 && wheel_next_us(&wheel) > now_us)
			now_us = wheel_next_us(&wheel);
	}
	end();
}

static void test_million(void **state)
{
	enum { CNT = 1000000 };
	struct prng prng;
	double begin_s, armed_s;
	unsigned int runs = 0;

	(void)state;
	prng_seed(&prng, 2);
	begin(CNT, 0);
	begin_s = seconds_now();
	for (uint32_t id = 1; id <= CNT; id++)
		arm(id, prng_below(&prng, 2 * HOUR_US));
	armed_s = seconds_now();
	while (wheel.armed_cnt > 0) {
		now_us = max_u64(now_us + 50000, wheel_next_us(&wheel));
		run();
		runs++;
	}
	print_message("arm %.0f ns, fire %.0f ns each, %u runs\n", (armed_s - begin_s) * 1e9 / CNT,
		      (seconds_now() - armed_s) * 1e9 / CNT, runs);
	assert_int_equal(fired, CNT);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	       cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_idle),	       cmocka_unit_test(test_past),
		cmocka_unit_test(test_disarm_in_fire), cmocka_unit_test(test_budget),
		cmocka_unit_test(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
