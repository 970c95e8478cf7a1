// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP sequence numbers: arithmetic modulo 2^32 (RFC 9293 section 3.4). The comparisons are right
 * while the two are less than 2^31 apart, which the window keeps true of everything but hostile
 * segments.
 */
#ifndef VJ_BASE_SEQ_H
#define VJ_BASE_SEQ_H

#include "base/types.h"

/* a - b: negative if a is before b. */
static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

#endif
