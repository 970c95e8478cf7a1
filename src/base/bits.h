// SPDX-License-Identifier: BSD-2-Clause
/*
 * Powers of two, bit scans, and bitmaps in arrays of uint64_t. Nothing here is atomic.
 */
#ifndef VJ_BASE_BITS_H
#define VJ_BASE_BITS_H

#include "base/types.h"

/* The scans need a value other than 0. */
static inline unsigned int bits_ctz64(uint64_t v)
{
	return (unsigned int)__builtin_ctzll(v);
}

static inline unsigned int bits_clz64(uint64_t v)
{
	return (unsigned int)__builtin_clzll(v);
}

static inline unsigned int bits_log2_floor(uint64_t v)
{
	return 63 - bits_clz64(v);
}

static inline unsigned int bits_log2_ceil(uint64_t v)
{
	return v <= 1 ? 0 : 64 - bits_clz64(v - 1);
}

static inline bool bits_is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* `align` is a power of two; `v + align` must not overflow. */
static inline uint64_t bits_align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline bool bits_is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/* Words of a bitmap of `bit_cnt` bits. */
#define BITMAP_WORDS(bit_cnt) (((size_t)(bit_cnt) + 63) / 64)
#define BITMAP_NONE UINT32_MAX

static inline void bitmap_set(uint64_t *map, uint32_t bit)
{
	map[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline void bitmap_clear(uint64_t *map, uint32_t bit)
{
	map[bit / 64] &= ~(UINT64_C(1) << bit % 64);
}

static inline bool bitmap_test(const uint64_t *map, uint32_t bit)
{
	return (map[bit / 64] >> bit % 64 & 1) != 0;
}

/* The first bit that is set at or above `from`, or BITMAP_NONE */
static inline uint32_t bitmap_find_set(const uint64_t *map, uint32_t bit_cnt, uint32_t from)
{
	for (uint32_t bit = from; bit < bit_cnt; bit = (bit | 63) + 1) {
		uint64_t word = map[bit / 64] >> bit % 64;

		if (word != 0) {
			bit += bits_ctz64(word);
			return bit < bit_cnt ? bit : BITMAP_NONE;
		}
		if (bit > UINT32_MAX - 64)
			break;
	}
	return BITMAP_NONE;
}

#endif
