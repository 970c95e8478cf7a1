// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sums over payload. The checksum is a sum of 16-bit words modulo 0xffff, and 2^16 is 1 modulo
 * 0xffff: a sum of 32-bit words in any position is as good (RFC 1071 section 2C). They are added up
 * in lanes of 64 bits, which cannot overflow below 16 GB, so no carry is ever looked at: an
 * addition with carry has to wait for the one before, and compilers are poor at it (measured: 6
 * GB/s instead of 20).
 *
 * Byte order and alignment play no part: the sum of words as they lie is the sum as it lies.
 */
#include "wire/checksum.h"

#include <string.h>

/* Two lanes: one register on every machine with vectors, two on the others. */
typedef uint64_t lanes __attribute__((vector_size(16)));

#define BLOCK_VECTORS 4
#define BLOCK_BYTES (BLOCK_VECTORS * sizeof(lanes))

VJ_INLINE uint64_t halves(uint64_t v)
{
	return (v & UINT32_MAX) + (v >> 32);
}

/* The last 0 to 7 bytes. */
VJ_INLINE uint64_t sum_tail(const uint8_t *p, size_t len)
{
	uint64_t acc = 0;

	if ((len & 4) != 0) {
		acc += load_u32(p);
		p += 4;
	}
	if ((len & 2) != 0) {
		acc += load_u16(p);
		p += 2;
	}
	if ((len & 1) != 0) {
		const uint8_t padded[2] = { *p, 0 };

		acc += load_u16(padded);
	}
	return acc;
}

/* One body for both: with `dst` NULL at compile time the stores vanish. */
VJ_INLINE struct csum sum_and_copy(uint8_t *restrict dst, const uint8_t *restrict src, size_t len)
{
	lanes low = { 0 }, high = { 0 };
	uint64_t acc;

	for (; len >= BLOCK_BYTES; len -= BLOCK_BYTES, src += BLOCK_BYTES) {
#pragma GCC unroll 4
		for (unsigned int i = 0; i < BLOCK_VECTORS; i++) {
			lanes v;

			memcpy(&v, src + i * sizeof(v), sizeof(v));
			if (dst != NULL)
				memcpy(dst + i * sizeof(v), &v, sizeof(v));
			low += v & UINT32_MAX;
			high += v >> 32;
		}
		if (dst != NULL)
			dst += BLOCK_BYTES;
	}
	low += high;
	acc = halves(low[0]) + halves(low[1]);
	for (; len >= 8; len -= 8, src += 8) {
		uint64_t v = load_u64(src);

		if (dst != NULL) {
			store_u64(dst, v);
			dst += 8;
		}
		acc += halves(v);
	}
	acc += sum_tail(src, len);
	if (dst != NULL)
		memcpy(dst, src, len);
	return (struct csum){ halves(acc) };
}

VJ_HOT struct csum csum_bytes(const void *p, size_t len)
{
	return sum_and_copy(NULL, p, len);
}

VJ_HOT struct csum csum_copy(void *restrict dst, const void *restrict src, size_t len)
{
	return sum_and_copy(dst, src, len);
}
