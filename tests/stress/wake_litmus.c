// SPDX-License-Identifier: BSD-2-Clause
/*
 * Is the full ordering in the sleep hand-shake (ring.h, A to D) there, and is it needed?
 *
 * One round is one publish against one arming, on two processors, started together. Before it, each side reads the
 * word that it will load, so that both loads are served from the near cache at once while both stores have to fetch
 * their lines from the other processor: that is when a store is overtaken for long enough to be seen. A round is lost if the
 * producer did not see the request and the consumer did not see the entry: in real life it would now sleep on
 * a ring that is not empty. As shipped no round may be lost. Built with VJ_TEST_NO_FENCE, which leaves release
 * and acquire to one side (1: producer, 2: consumer) or both (3), rounds must be lost: else this test, and the
 * ordering, would prove nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "base/time.h"
#include "channel/area.h"
#include "channel/ring.h"
#include "channel/sys.h"
#include "tests/stress/stress.h"

#define FENCED (VJ_TEST_NO_FENCE == 0)

/* When enough is seen: rounds without a loss where none may be, losses where they must be. */
#define ROUNDS_ENOUGH 2000000u
#define LOST_ENOUGH 1000u
#define SECONDS_MAX (FENCED ? 6u : 20u)
/* Under this many rounds, no loss proves nothing. */
#define ROUNDS_TELLING 500000u

#define RING_CNT 64u
/* Longest random delay of a side, in steps of some tenths of a nanosecond to some nanoseconds. */
#define DELAY_MAX 600u

struct litmus {
	_Alignas(128) _Atomic uint64_t start; /* rounds that may begin */
	_Alignas(128) _Atomic uint64_t warm;  /* rounds for which the producer is ready */
	_Alignas(128) _Atomic uint64_t done;  /* rounds that the producer has finished */
	_Atomic bool producer_saw;	      /* in the last of them */
	_Alignas(4096) uint8_t mem[AREA_RING_DESC + RING_CNT * sizeof(struct ring_desc)];
};

#define LAST_ROUND UINT64_MAX

static struct litmus litmus;

/* The other one may be off its processor for a while, when others want to run. */
static void wait_past(_Atomic uint64_t *counter, uint64_t round)
{
	unsigned int spins = 0;

	while (atomic_load_explicit(counter, memory_order_acquire) <= round) {
		if (++spins % 100000 == 0)
			sched_yield();
	}
}

static void *produce(void *arg)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	struct prng prng;
	struct ring r;

	stress_pin(*(const int *)arg);
	prng_seed(&prng, 1);
	ring_init(&r, litmus.mem, &at, RING_CNT, 0, 0);
	for (uint64_t round = 0;; round++) {
		uint64_t delay = prng_below(&prng, DELAY_MAX);
		bool saw;

		wait_past(&litmus.start, round);
		if (atomic_load(&litmus.start) == LAST_ROUND)
			return NULL;
		(void)atomic_load_explicit(r.flags, memory_order_relaxed);
		atomic_store_explicit(&litmus.warm, round + 1, memory_order_release);
		stress_delay(delay);
		ring_desc_set(&r, r.next, (struct ring_desc){ .addr = round });
		r.next++;
		saw = ring_publish(&r);
		atomic_store_explicit(&litmus.producer_saw, saw, memory_order_relaxed);
		atomic_store_explicit(&litmus.done, round + 1, memory_order_release);
	}
}

/* Return: the round was lost. */
static bool consume_round(struct ring *r, struct prng *prng, uint64_t round)
{
	uint64_t delay = prng_below(prng, DELAY_MAX);
	uint32_t ready;

	atomic_store_explicit(&litmus.start, round + 1, memory_order_release);
	wait_past(&litmus.warm, round);
	(void)atomic_load_explicit(r->producer, memory_order_relaxed);
	stress_delay(delay);
	ring_arm(r);
	ready = ring_armed_ready(r);
	wait_past(&litmus.done, round);

	if (ready == 0)
		ready = ring_ready(r) == 1 && !atomic_load(&litmus.producer_saw) ? RING_BAD : 1;
	ring_disarm(r);
	ring_release(r, 1);
	return ready == RING_BAD;
}

static int verdict(uint64_t rounds, uint64_t lost, uint64_t ns)
{
	static const char *const missing[] = { "nobody's", "the producer's", "the consumer's",
					       "both sides'" };

	printf("%s ordering taken out: %lu of %lu rounds lost a wake-up, in %.1f s\n",
	       missing[VJ_TEST_NO_FENCE], lost, rounds, (double)ns / (double)NS_PER_SEC);
	if (FENCED)
		return lost == 0 ? STRESS_PASS : STRESS_FAIL;
	if (lost > 0)
		return STRESS_PASS;
	if (rounds < ROUNDS_TELLING) {
		printf("skipped: the machine is too busy to run both sides at once\n");
		return STRESS_SKIP;
	}
	return STRESS_FAIL;
}

int main(void)
{
	static const struct ring_offsets at = AREA_RING_OFFSETS;
	int cpus[2] = { stress_cpu(0), stress_cpu(1) };
	uint64_t rounds = 0, lost = 0, start_ns = sys_clock_ns(), spent_ns = 0;
	struct prng prng;
	struct ring r;
	pthread_t thread;

	if (cpus[1] < 0) {
		printf("skipped: one processor, on which nothing is reordered\n");
		return STRESS_SKIP;
	}
	prng_seed(&prng, 2);
	ring_init(&r, litmus.mem, &at, RING_CNT, 0, 0);
	if (pthread_create(&thread, NULL, produce, &cpus[1]) != 0)
		return STRESS_FAIL;
	stress_pin(cpus[0]);
	while (rounds < ROUNDS_ENOUGH && spent_ns < SECONDS_MAX * NS_PER_SEC &&
	       (FENCED || lost < LOST_ENOUGH)) {
		lost += consume_round(&r, &prng, rounds++);
		if (rounds % 1024 == 0)
			spent_ns = sys_clock_ns() - start_ns;
	}
	spent_ns = sys_clock_ns() - start_ns;
	atomic_store(&litmus.start, LAST_ROUND);
	pthread_join(thread, NULL);
	return verdict(rounds, lost, spent_ns);
}
