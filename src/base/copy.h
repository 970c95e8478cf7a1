// SPDX-License-Identifier: BSD-2-Clause
/*
 * Copying what another processor is to read, and this one never again
 *
 * An ordinary store brings the line here first, from the cache of whoever read it last, and the reader then fetches it
 * from ours. Past the cache (x86-64: MOVNT) the line goes out in one piece, and nobody waits for it. Between two
 * processors without a common cache that is several times as fast; with one, it costs nothing as long as there is much to copy.
 */
#ifndef VJ_BASE_COPY_H
#define VJ_BASE_COPY_H

#include "base/types.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* From here on it pays: a message that is waited for is better in a cache. */
#define COPY_OUT_MIN 2048u

/* memcpy() for COPY_OUT_MIN bytes and more, which others see when copy_out_fence() has been called, and not in any order before */
static inline void copy_out(uint8_t *dst, const uint8_t *src, size_t len)
{
#ifdef __SSE2__
	size_t head = (size_t)-(uintptr_t)dst & (VJ_CACHELINE - 1);

	memcpy(dst, src, head);
	dst += head;
	src += head;
	len -= head;
	for (; len >= VJ_CACHELINE; len -= VJ_CACHELINE, dst += VJ_CACHELINE, src += VJ_CACHELINE) {
		__m128i *to = (__m128i *)(void *)dst;
		const __m128i *from = (const __m128i *)(const void *)src;
		__m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
		__m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);

		_mm_stream_si128(to, a);
		_mm_stream_si128(to + 1, b);
		_mm_stream_si128(to + 2, c);
		_mm_stream_si128(to + 3, d);
	}
#endif
	memcpy(dst, src, len);
}

/* Before the store that says where the copies are. It waits for all stores before it, so: once for many copies. */
static inline void copy_out_fence(void)
{
#ifdef __SSE2__
	_mm_sfence();
#endif
}

#endif
