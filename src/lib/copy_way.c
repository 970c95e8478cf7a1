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
		/* It was a trial. To be better it must be so by a tenth: a run is a few microseconds, and chance has a part in it. */
		if (w->cost[w->past] * 10 < w->cost[w->best_past] * 9)
			w->best_past = w->past;
		w->past = w->best_past;
		w->runs = 0;
	} else if (++w->runs == COPY_TRY) {
		w->past = !w->best_past;
	}
}
