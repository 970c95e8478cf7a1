// SPDX-License-Identifier: BSD-2-Clause
/*
 * How payload of full segments gets into frames of a direct channel: through the cache or past it (base/copy.h)
 *
 * Which is faster depends on where the two processors are: with a cache in common the one by 2.5, without one the other by
 * 2 to 4, and a virtual machine's processors move. So it is measured: the time of COPY_RUN copies in a row, in one call of the program,
 * of the way in use; now and then of the other, for as long as it takes until frames are where that way leaves them: right after the
 * change each finds them where the other has left them, and would lose. The median of the
 * last runs counts, for others were interrupted. A choice that changed is tried again soon, one that held less and less often.
 */
#ifndef LIB_COPY_WAY_H
#define LIB_COPY_WAY_H

#include "base/copy.h"
#include "lib/ticks.h"

enum {
	COPY_RUN = 16,	/* copies that are measured together */
	COPY_MEASURED = 32, /* runs, the last ones of a term or trial */
	COPY_TRIAL = 160, /* runs: twice a channel's frames, and those */
	COPY_TERM_MIN = 512, /* runs of the way in use before the other is tried */
	COPY_TERM_MAX = 8192,
};

struct copy_way {
	bool past;	     /* the way of this run is past the cache */
	bool best_past;	     /* the way in use */
	bool unfenced;	     /* copies past the cache wait for copy_way_publish() */
	uint8_t copies;	     /* of this run */
	uint16_t left;	     /* runs of this way before the other has its turn; never 0 */
	uint32_t bytes;	     /* of this run */
	uint64_t start;	     /* ticks; 0: there is no counter */
	uint16_t term;	     /* runs of the way in use between two trials */
	uint32_t costs[COPY_MEASURED]; /* ticks for a MiB, of the runs that are measured */
	uint32_t cost[2];    /* of each way when it was last measured: the median of those */
};

#define COPY_WAY_INIT { .left = COPY_TRIAL, .term = COPY_TERM_MIN / 2 }

/* A run has ended: what did it cost, and how is the next one made? Apart, for it is rare. */
void copy_way_next(struct copy_way *w);

/* Before others are told of copies */
static inline void copy_way_publish(struct copy_way *w)
{
	if (unlikely(w->unfenced)) {
		copy_out_fence();
		w->unfenced = false;
	}
}

/* @first: nothing of this call of the program was copied before */
static inline void copy_way_copy(struct copy_way *w, uint8_t *dst, const uint8_t *src, size_t len, bool first)
{
	if (first || w->copies == 0) {
		w->copies = 0;
		w->bytes = 0;
		w->start = cpu_ticks();
	}
	if (w->past) {
		copy_out(dst, src, len);
		w->unfenced = true;
	} else {
		memcpy(dst, src, len);
	}
	w->bytes += (uint32_t)len;
	if (++w->copies == COPY_RUN)
		copy_way_next(w);
}

#endif
