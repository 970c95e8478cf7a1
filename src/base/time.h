// SPDX-License-Identifier: BSD-2-Clause
/*
 * Time arithmetic. Nothing here asks the clock: a time is a uint64_t whose name ends in _ns or _us,
 * handed in by the caller, of whatever monotonic clock the caller has.
 */
#ifndef VJ_BASE_TIME_H
#define VJ_BASE_TIME_H

#include "base/types.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)
#define US_PER_MS UINT64_C(1000)
#define US_PER_SEC UINT64_C(1000000)

/* A deadline that never comes, in any unit. */
#define TIME_NEVER UINT64_MAX

/* Sums stop at TIME_NEVER, differences at 0. */
static inline uint64_t time_add_sat(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? TIME_NEVER : sum;
}

static inline uint64_t time_sub_sat(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t time_mul_sat(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? TIME_NEVER : product;
}

/* Up, not down: a timer may be late, never early. */
static inline uint64_t time_ns_to_ms_ceil(uint64_t ns)
{
	return ns / NS_PER_MS + (ns % NS_PER_MS != 0);
}

/* Clocks of 32 bits that wrap: right while the two are less than half the range apart. */
static inline bool time_before32(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool time_after32(uint32_t a, uint32_t b)
{
	return time_before32(b, a);
}

static inline bool time_after_eq32(uint32_t a, uint32_t b)
{
	return !time_before32(a, b);
}

#endif
