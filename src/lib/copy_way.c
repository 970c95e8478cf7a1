// SPDX-License-Identifier: BSD-2-Clause
#include "lib/copy_way.h"

VJ_COLD void copy_way_next(struct copy_way *w)
{
	uint64_t ticks = cpu_ticks() - w->start;

	w->copies = 0;
	if (w->start == 0)
		return;
	w->cost[w->past] = (ticks << 20) / w->bytes;
	if (w->past != w->best_past) {
		/*
		 * It was a trial. Past the cache is better only if the copy takes half of the time: the reader then fetches from memory,
		 * which isn't measured here. Without a common cache it takes a fifth, with one not much less.
		 */
		w->best_past = w->cost[true] * 2 < w->cost[false];
		w->past = w->best_past;
		w->runs = 0;
	} else if (++w->runs == COPY_TRY) {
		w->past = !w->best_past;
	}
}
