/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pause.h - how long to leave alone what could not be had
 *
 * vjd may be stopped, late on a busy host, or just being replaced. Who asks it again too soon stands still too often; who gives up has
 * his program on the kernel for good because of a moment. So pauses grow, and an attempt after a silence may take a tenth of the pause before it:
 * a program that vjd doesn't answer stands still for a tenth of the time.
 */
#ifndef LIB_PAUSE_H
#define LIB_PAUSE_H

#include "base/time.h"
#include "base/types.h"

enum { PAUSE_MAX_S = 60 };

/* Zeroed: nothing has failed lately. */
struct pause {
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	uint32_t s;	   /* so long is this one; 0: there is none */
};

/* Another attempt has failed: @first_s, then twice as long each time. */
static inline void pause_longer(struct pause *p, uint64_t now_ns, uint32_t first_s)
{
	p->s = p->s ? min_u32(2 * p->s, PAUSE_MAX_S) : first_s;
	p->until_ns = now_ns + p->s * NS_PER_SEC;
}

/* The next attempt may take so long; @max_ms, the first one. */
static inline int pause_patience_ms(const struct pause *p, int max_ms)
{
	return p->s ? (int)min_u32(p->s * 100, (uint32_t)max_ms) : max_ms;
}

#endif
