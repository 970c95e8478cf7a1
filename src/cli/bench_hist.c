// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_hist.h"

void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_SLOTS; i++)
		to->slots[i] += from->slots[i];
	to->cnt += from->cnt;
	to->sum_ns += from->sum_ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
}

/* Middle of what falls into a slot: the inverse of hist_slot(). */
static double slot_ns(unsigned slot)
{
	unsigned doubling;

	if (slot < 2 * HIST_STEPS)
		return slot;
	doubling = slot / HIST_STEPS - 1;
	return ((double)(slot - doubling * HIST_STEPS) + 0.5) * (double)(UINT64_C(1) << doubling);
}

double hist_part_s(const struct hist *h, double part)
{
	uint64_t rank = (uint64_t)(part * (double)h->cnt), seen = 0;

	for (unsigned i = 0; i < HIST_SLOTS; i++) {
		seen += h->slots[i];
		if (seen > rank || (seen == h->cnt && seen > 0)) {
			double ns = slot_ns(i);

			return (ns < (double)h->max_ns ? ns : (double)h->max_ns) * 1e-9;
		}
	}
	return 0;
}

double hist_max_s(const struct hist *h)
{
	return (double)h->max_ns * 1e-9;
}
