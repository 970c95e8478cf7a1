/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_set.h - sets of small numbers: a bit for each, @words of 64 in all */
#ifndef FIREWALL_FW_SET_H
#define FIREWALL_FW_SET_H

#include "base/types.h"

#include <string.h>

static inline void fw_set_copy(uint64_t *to, const uint64_t *from, uint32_t words)
{
	memcpy(to, from, words * sizeof(*to));
}

static inline void fw_set_clear(uint64_t *set, uint32_t words)
{
	memset(set, 0, words * sizeof(*set));
}

static inline void fw_set_add(uint64_t *set, const uint64_t *more, uint32_t words)
{
	for (uint32_t i = 0; i < words; i++)
		set[i] |= more[i];
}

static inline bool fw_set_any(const uint64_t *set, uint32_t words)
{
	for (uint32_t i = 0; i < words; i++)
		if (set[i] != 0)
			return true;
	return false;
}

/* Bits of word @i that are in [@from, @to) */
static inline uint64_t fw_set_between(uint32_t i, uint32_t from, uint32_t to)
{
	uint32_t lo = i * 64;
	uint64_t bits = UINT64_MAX;

	if (from > lo)
		bits &= from - lo < 64 ? UINT64_MAX << (from - lo) : 0;
	if (to < lo + 64)
		bits &= to > lo ? UINT64_MAX >> (lo + 64 - to) : 0;
	return bits;
}

#endif
