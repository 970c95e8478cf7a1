// SPDX-License-Identifier: BSD-2-Clause
/*
 * Histogram of times in nanoseconds: 64 steps to each doubling, so a percentile is at most 1.6 %
 * off. Fixed size, so that it can lie in shared memory; adding is a handful of instructions, so
 * that it can stand in the loop that is measured.
 */
#ifndef VJ_CLI_BENCH_HIST_H
#define VJ_CLI_BENCH_HIST_H

#include "base/types.h"

enum {
	HIST_STEP_BITS = 6,
	HIST_STEPS = 1 << HIST_STEP_BITS,
	HIST_SLOTS = (40 - HIST_STEP_BITS) * HIST_STEPS
};

struct hist {
	uint64_t cnt, max_ns;
	double sum_ns;
	uint64_t slots[HIST_SLOTS]; /* above 2^39 ns (9 minutes) all are one */
};

static inline unsigned hist_slot(uint64_t ns)
{
	unsigned doubling, slot;

	if (ns < 2 * HIST_STEPS)
		return (unsigned)ns;
	doubling = 63u - (unsigned)__builtin_clzll(ns) - HIST_STEP_BITS;
	slot = doubling * HIST_STEPS + (unsigned)(ns >> doubling);
	return slot < HIST_SLOTS ? slot : HIST_SLOTS - 1;
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	h->slots[hist_slot(ns)]++;
	h->cnt++;
	h->sum_ns += (double)ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

void hist_merge(struct hist *to, const struct hist *from);

/* Time in seconds that @part (0..1) of all values do not exceed; 0 when empty. */
double hist_part_s(const struct hist *h, double part);
double hist_max_s(const struct hist *h);

#endif
