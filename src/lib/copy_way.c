// SPDX-License-Identifier: BSD-2-Clause
#include "lib/copy_way.h"

#include <stdlib.h>

static int cost_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/*
 * Both ways have been measured. Past the cache is better only if the copy takes half of the time: the reader then fetches from memory,
 * which isn't measured here. Without a common cache it takes a quarter, with one as long, and the whole a third of the speed.
 */
static void copy_way_choose(struct copy_way *w)
{
	bool past = (uint64_t)w->cost[true] * 2 < w->cost[false];

	w->term = past == w->best_past ? (uint16_t)min_u32(2u * w->term, COPY_TERM_MAX) : COPY_TERM_MIN;
	w->best_past = past;
	w->past = past;
	w->left = w->term;
}

VJ_COLD void copy_way_next(struct copy_way *w)
{
	uint64_t cost = ((cpu_ticks() - w->start) << 20) / w->bytes;

	w->copies = 0;
	if (w->start == 0 || w->left-- > COPY_MEASURED)
		return;
	w->costs[w->left] = (uint32_t)min_u64(cost, UINT32_MAX);
	if (w->left > 0)
		return;
	qsort(w->costs, COPY_MEASURED, sizeof(w->costs[0]), cost_order);
	w->cost[w->past] = w->costs[COPY_MEASURED / 2];
	if (w->past != w->best_past) {
		copy_way_choose(w);
		return;
	}
	w->past = !w->best_past;
	w->left = COPY_TRIAL;
}
