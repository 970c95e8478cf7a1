// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory of a stack: big pieces from the caller's mem_get(), and pools of equal objects cut out of
 * them.
 *
 * Nothing here is ever moved, so a pointer to an object stays good until it is put back. An object
 * is known by its 32-bit index: half the size of a pointer, and index 0 is never an object. A pool
 * grows by chunks of a power of two of objects, so index to address is a shift, a mask and two
 * loads:
 *
 *	chunk[idx >> shift]  -> | hot 0 | hot 1 | ... | hot n-1 |
 *	cold[idx >> shift]   -> | cold 0 | cold 1 | ... | cold n-1 |   or NULL
 *
 * The cold half has the same index, keeps what is seldom needed out of the cache lines that every
 * segment touches, and is there once one object of its chunk has asked for it: of objects that all do without it, there is none.
 * Free objects form a LIFO list through their own first four
 * bytes: the one given back last is still in the cache. Memory that was never needed is never
 * touched, so it costs no page.
 *
 * Chunks go back to the caller only with the pool. Under VJ_DEBUG free objects are poisoned, under
 * AddressSanitizer they cannot be touched at all.
 */
#ifndef VJ_STACK_MEM_H
#define VJ_STACK_MEM_H

#include "base/asan.h"
#include "base/assert.h"
#include "base/types.h"

/* What mem_get() asks for is a multiple of this, and page-aligned. */
#define MEM_GRAIN_BYTES ((size_t)64 << 10)

struct mem {
	void *(*get)(void *arg, size_t bytes);
	void (*put)(void *arg, void *p, size_t bytes);
	void *arg;
	uint64_t bytes; /* got and not put back */
	uint64_t bytes_max;
	uint32_t chunk_bytes; /* what a pool grows by, at most: 64 KiB to 2 MiB, less where
				 bytes_max is small */
};

/* @bytes_max: all of it together. The two functions are those of struct stack_config. */
void mem_init(struct mem *mem, void *(*get)(void *arg, size_t bytes),
	      void (*put)(void *arg, void *p, size_t bytes), void *arg, uint64_t bytes_max);

/* Zeroed, page-aligned, @bytes rounded up to MEM_GRAIN_BYTES; NULL: no memory, or past bytes_max.
 */
void *mem_get(struct mem *mem, size_t bytes) VJ_MUST_CHECK;
/* @bytes as asked for. NULL allowed. */
void mem_put(struct mem *mem, void *p, size_t bytes);

struct pool {
	uint8_t **chunk; /* directory, of its full size from the start; behind it that of: */
	uint8_t **cold;
	uint32_t shift;	 /* log2 of objects per chunk */
	uint32_t mask;
	uint32_t obj_bytes;
	uint32_t cold_bytes; /* 0: no cold half at all */
	uint32_t free_head;  /* last object put back; 0: none */
	uint32_t fresh;	     /* lowest index that was never handed out */
	uint32_t chunk_cnt;
	uint32_t objs_max;
	uint32_t used;
	struct mem *mem;
};

/*
 * @obj_bytes: 8..; @cold_bytes: 0..; @objs_max: 1..2^28 objects at a time, or what fits into
 * mem->bytes_max. Takes the directory only.
 * Return: 0; -ENOMEM.
 */
int pool_init(struct pool *pool, struct mem *mem, uint32_t obj_bytes, uint32_t cold_bytes,
	      uint32_t objs_max) VJ_MUST_CHECK;

/* Give all chunks back, whatever is in use. A pool of zeroes is allowed. */
void pool_fini(struct pool *pool);

/* One more chunk. Return: false: no memory, or objs_max reached. Reached through pool_get(). */
bool pool_grow(struct pool *pool);

/* As pool_get(), and the object, which has no cold half, is zero. What nobody had before is not written to, so it takes no pages. */
uint32_t pool_get_zero(struct pool *pool) VJ_MUST_CHECK;

/* Debug and sanitizer halves of pool_get() and pool_put(); nothing in a release build. */
#if defined(VJ_DEBUG) || defined(VJ_ASAN)
#define POOL_CHECKED 1
#endif
#ifdef POOL_CHECKED
void pool_check_get(struct pool *pool, uint32_t idx);
void pool_check_put(struct pool *pool, uint32_t idx);
uint32_t pool_check_next(const struct pool *pool, uint32_t idx);
#endif

/*
 * Address of object @idx, with its size as a constant: faster than pool_at(). @bytes must be what
 * pool_init() was told.
 */
VJ_INLINE void *pool_at_sized(const struct pool *pool, uint32_t idx, uint32_t bytes)
{
	VJ_DASSERT_OP(bytes, ==, pool->obj_bytes);
	VJ_DASSERT_OP(idx, !=, 0u);
	VJ_DASSERT_OP(idx, <, pool->fresh);
	return pool->chunk[idx >> pool->shift] + (size_t)(idx & pool->mask) * bytes;
}

static inline void *pool_at(const struct pool *pool, uint32_t idx)
{
	return pool_at_sized(pool, idx, pool->obj_bytes);
}

/* The cold half, likewise. NULL: nobody in its chunk has asked for one. */
VJ_INLINE void *pool_cold_sized(const struct pool *pool, uint32_t idx, uint32_t cold_bytes)
{
	uint8_t *cold = pool->cold[idx >> pool->shift];

	VJ_DASSERT_OP(cold_bytes, ==, pool->cold_bytes);
	VJ_DASSERT_OP(idx, !=, 0u);
	VJ_DASSERT_OP(idx, <, pool->fresh);
	return likely(cold != NULL) ? cold + (size_t)(idx & pool->mask) * cold_bytes : NULL;
}

/*
 * @idx, which is in use, is to have its cold half, whose contents are undefined if it was not there yet. Return: false: no
 * memory.
 */
bool pool_cold_need(struct pool *pool, uint32_t idx) VJ_MUST_CHECK;

/* Get @lines cache lines of an object on their way. @idx need not be valid: a guess is fine. */
VJ_INLINE void pool_prefetch(const struct pool *pool, uint32_t idx, uint32_t bytes,
			     unsigned int lines)
{
	if (unlikely(idx == 0 || idx >= pool->fresh))
		return;
	const uint8_t *p = pool->chunk[idx >> pool->shift] + (size_t)(idx & pool->mask) * bytes;

	for (unsigned int i = 0; i < lines; i++)
		__builtin_prefetch(p + i * VJ_CACHELINE, 1);
}

/*
 * An object: its index, or 0 for none (no memory, or objs_max in use). Contents are undefined, hot
 * and cold, and so is what earlier owners left there. The forms with a size are as pool_at_sized().
 */
VJ_INLINE uint32_t pool_get_sized(struct pool *pool, uint32_t bytes)
{
	uint32_t idx = pool->free_head;

	if (likely(idx != 0)) {
#ifdef POOL_CHECKED
		pool->free_head = pool_check_next(pool, idx);
#else
		pool->free_head = load_u32(pool_at_sized(pool, idx, bytes));
#endif
	} else {
		if (unlikely(pool->fresh >> pool->shift >= pool->chunk_cnt ||
			     pool->fresh > pool->objs_max) &&
		    !pool_grow(pool))
			return 0;
		idx = pool->fresh++;
	}
	pool->used++;
#ifdef POOL_CHECKED
	pool_check_get(pool, idx);
#endif
	(void)bytes;
	return idx;
}

static inline uint32_t pool_get(struct pool *pool)
{
	return pool_get_sized(pool, pool->obj_bytes);
}

VJ_INLINE void pool_put_sized(struct pool *pool, uint32_t idx, uint32_t bytes)
{
	VJ_DASSERT_OP(pool->used, >, 0u);
	store_u32(pool_at_sized(pool, idx, bytes), pool->free_head);
	pool->free_head = idx;
	pool->used--;
#ifdef POOL_CHECKED
	pool_check_put(pool, idx);
#endif
}

static inline void pool_put(struct pool *pool, uint32_t idx)
{
	pool_put_sized(pool, idx, pool->obj_bytes);
}

#endif
