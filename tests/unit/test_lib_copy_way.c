// SPDX-License-Identifier: BSD-2-Clause
/*
 * Payload past the cache: every byte of it and none beside, and when that way is taken
 */
#include "lib/copy_way.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* All alignments of both ends against each other, lengths around the line and at the beginning of what is copied so */
static void copies_all(void **state)
{
	enum { ROOM = COPY_OUT_MIN + 6 * VJ_CACHELINE };
	static uint8_t from[ROOM], to[ROOM], want[ROOM];

	(void)state;
	for (unsigned i = 0; i < ROOM; i++)
		from[i] = (uint8_t)(i * 167 + (i >> 8) + 1);
	for (unsigned at = 0; at < VJ_CACHELINE; at++)
		for (unsigned src = 0; src < VJ_CACHELINE; src += 7)
			for (unsigned more = 0; more < 3 * VJ_CACHELINE; more += 13) {
				memset(to, 0xee, ROOM);
				memset(want, 0xee, ROOM);
				memcpy(want + VJ_CACHELINE + at, from + src, COPY_OUT_MIN + more);
				copy_out(to + VJ_CACHELINE + at, from + src, COPY_OUT_MIN + more);
				copy_out_fence();
				assert_memory_equal(to, want, ROOM);
			}
}

/* ---- which way ------------------------------------------------------------------------------- */

/* Far more than a moment in which this test does not run takes */
#define COST (UINT64_C(1) << 30)

/* A run that took @cost for a MiB. Return: is the next one past the cache? */
static bool run(struct copy_way *w, uint64_t cost)
{
	w->bytes = 1 << 20;
	w->copies = COPY_RUN;
	w->start = cpu_ticks() - cost;
	copy_way_next(w);
	assert_int_equal(w->copies, 0);
	return w->past;
}

/* Runs until the way is another one. */
static unsigned until_change(struct copy_way *w, uint64_t cost)
{
	bool way = w->past;
	unsigned cnt = 1;

	while (run(w, cost) == way)
		cnt++;
	return cnt;
}

/* A trial of the other way, to its end. Return: is that way in use from now on? */
static bool trial(struct copy_way *w, uint64_t cost)
{
	bool way = w->past;

	for (unsigned i = 1; i < COPY_TRIAL; i++)
		assert_true(run(w, cost) == way);
	return run(w, cost) == way;
}

/* Past the cache is followed only if it took less than half of the time. A choice that holds is tried half as often the next time. */
static void follows_the_better(void **state)
{
	struct copy_way w = COPY_WAY_INIT;
	unsigned term;

	(void)state;
	assert_int_equal(until_change(&w, COST), COPY_TRIAL);
	assert_true(w.past);
	assert_false(trial(&w, COST * 6 / 10)); /* not enough */
	assert_int_equal(until_change(&w, COST), COPY_TERM_MIN);
	assert_true(trial(&w, COST * 4 / 10));
	for (term = COPY_TERM_MIN; term < COPY_TERM_MAX; term *= 2) {
		assert_int_equal(until_change(&w, COST * 4 / 10), term);
		assert_false(w.past);
		assert_false(trial(&w, COST)); /* through the cache, which is still worse */
	}
	assert_int_equal(until_change(&w, COST * 4 / 10), COPY_TERM_MAX);
	assert_false(trial(&w, COST));
	assert_int_equal(until_change(&w, COST * 4 / 10), COPY_TERM_MAX);
	assert_true(trial(&w, COST * 7 / 10)); /* another processor by now: both are about as good */
	assert_false(w.past);
	assert_int_equal(until_change(&w, COST * 7 / 10), COPY_TERM_MIN);
}

/* Neither a trial's beginning, where the frames are still as the other way has left them, nor an interruption counts. */
static void only_the_settled_counts(void **state)
{
	struct copy_way w = COPY_WAY_INIT;
	unsigned i;

	(void)state;
	assert_int_equal(until_change(&w, COST), COPY_TRIAL);
	for (i = COPY_TRIAL; i > COPY_MEASURED; i--)
		assert_true(run(&w, COST * 2));
	for (; i > 1; i--)
		assert_true(run(&w, i % 3 == 0 ? COST * 100 : COST * 4 / 10));
	assert_true(run(&w, COST * 100));
	assert_true(w.best_past);
	assert_int_equal(until_change(&w, COST * 4 / 10), COPY_TERM_MIN);
	for (i = COPY_TRIAL; i > COPY_MEASURED; i--)
		assert_false(run(&w, COST / 10)); /* good only at first */
	for (; i > 1; i--)
		assert_false(run(&w, COST));
	assert_true(run(&w, COST));
}

/* The time between two calls of the program is none of a run's. */
static void measures_within_a_call(void **state)
{
	static uint8_t from[COPY_OUT_MIN], to[COPY_OUT_MIN];
	struct copy_way w = COPY_WAY_INIT;

	(void)state;
	memset(from, 7, sizeof(from));
	for (unsigned i = 0; i < COPY_RUN - 1; i++)
		copy_way_copy(&w, to, from, sizeof(from), i == 0);
	assert_int_equal(w.copies, COPY_RUN - 1);
	copy_way_copy(&w, to, from, sizeof(from), true); /* the next call: it begins anew */
	assert_int_equal(w.copies, 1);
	assert_int_equal(w.bytes, sizeof(from));
	assert_int_equal(w.left, COPY_TRIAL);
	for (unsigned i = 0; i < COPY_RUN - 1; i++)
		copy_way_copy(&w, to, from, sizeof(from), false);
	assert_int_equal(w.copies, 0);
	assert_int_equal(w.left, w.start != 0 ? COPY_TRIAL - 1 : COPY_TRIAL);
	assert_memory_equal(to, from, sizeof(from));
}

/* Where there is no counter nothing is tried. */
static void without_counter(void **state)
{
	struct copy_way w = COPY_WAY_INIT;

	(void)state;
	for (unsigned i = 0; i < 3 * COPY_TRIAL; i++) {
		w.bytes = 1 << 20;
		w.copies = COPY_RUN;
		w.start = 0;
		copy_way_next(&w);
		assert_false(w.past);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_all),
		cmocka_unit_test(follows_the_better),
		cmocka_unit_test(only_the_settled_counts),
		cmocka_unit_test(measures_within_a_call),
		cmocka_unit_test(without_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
