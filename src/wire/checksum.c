// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sums over payload. Words of 64 bits are added with the carry put back in at the end (end-around
 * carry, which is what ones' complement means), in four chains, so that one addition need not wait
 * for the carry of the one before. Byte order and alignment play no part: RFC 1071 sections 2B and
 * 2C.
 */
#include "wire/checksum.h"

#include <string.h>

#define CHAINS 4
#define BLOCK_BYTES (CHAINS * sizeof(uint64_t))

VJ_INLINE uint64_t add_carry(uint64_t a, uint64_t b)
{
	uint64_t sum;
	bool carry = __builtin_add_overflow(a, b, &sum);

	return sum + carry;
}

/*
 * The last 0 to 7 bytes, zeros put behind. Wire order is memory order, so on both endians this is a
 * copy.
 */
VJ_INLINE uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	uint8_t *out = (uint8_t *)&v;

	if ((len & 4) != 0) {
		store_u32(out, load_u32(p));
		p += 4;
		out += 4;
	}
	if ((len & 2) != 0) {
		store_u16(out, load_u16(p));
		p += 2;
		out += 2;
	}
	if ((len & 1) != 0)
		*out = *p;
	return v;
}

/* Down to 33 bits, so that many sums can be added up without a carry. */
VJ_INLINE struct csum csum_from_u64(uint64_t v)
{
	return (struct csum){ (v & UINT32_MAX) + (v >> 32) };
}

/* One body for both: with `dst` NULL at compile time the stores vanish. */
VJ_INLINE struct csum sum_and_copy(uint8_t *restrict dst, const uint8_t *restrict src, size_t len)
{
	uint64_t chains[CHAINS] = { 0 };
	uint64_t acc;

	for (; len >= BLOCK_BYTES; len -= BLOCK_BYTES, src += BLOCK_BYTES) {
		for (unsigned int i = 0; i < CHAINS; i++) {
			uint64_t v = load_u64(src + 8 * i);

			if (dst != NULL)
				store_u64(dst + 8 * i, v);
			chains[i] = add_carry(chains[i], v);
		}
		if (dst != NULL)
			dst += BLOCK_BYTES;
	}
	acc = add_carry(add_carry(chains[0], chains[1]), add_carry(chains[2], chains[3]));
	for (; len >= 8; len -= 8, src += 8) {
		uint64_t v = load_u64(src);

		if (dst != NULL) {
			store_u64(dst, v);
			dst += 8;
		}
		acc = add_carry(acc, v);
	}
	if (len > 0) {
		acc = add_carry(acc, load_tail(src, len));
		if (dst != NULL)
			memcpy(dst, src, len);
	}
	return csum_from_u64(acc);
}

VJ_HOT struct csum csum_bytes(const void *p, size_t len)
{
	return sum_and_copy(NULL, p, len);
}

VJ_HOT struct csum csum_copy(void *restrict dst, const void *restrict src, size_t len)
{
	return sum_and_copy(dst, src, len);
}
