// SPDX-License-Identifier: BSD-2-Clause
#include "stack/mem.h"

#include "base/asan.h"
#include "base/bits.h"

#include <errno.h>
#include <string.h>

#define MEM_CHUNK_MAX (UINT32_C(2) << 20)

static size_t mem_round(size_t bytes)
{
	return (bytes + MEM_GRAIN_BYTES - 1) & ~(MEM_GRAIN_BYTES - 1);
}

void mem_init(struct mem *mem, void *(*get)(void *arg, size_t bytes),
	      void (*put)(void *arg, void *p, size_t bytes), void *arg, uint64_t bytes_max)
{
	uint64_t chunk = MEM_CHUNK_MAX;

	/* A dozen pools that each hold one chunk must not eat up a small allowance. */
	while (chunk > MEM_GRAIN_BYTES && chunk > bytes_max / 64)
		chunk /= 2;
	*mem = (struct mem){
		.get = get,
		.put = put,
		.arg = arg,
		.bytes_max = bytes_max,
		.chunk_bytes = (uint32_t)chunk,
	};
}

void *mem_get(struct mem *mem, size_t bytes)
{
	size_t rounded = mem_round(bytes);
	void *p;

	if (rounded < bytes || mem->bytes > mem->bytes_max || rounded > mem->bytes_max - mem->bytes)
		return NULL;
	p = mem->get(mem->arg, rounded);
	if (p != NULL)
		mem->bytes += rounded;
	return p;
}

void mem_put(struct mem *mem, void *p, size_t bytes)
{
	if (p == NULL)
		return;
	VJ_ASSERT_OP(mem->bytes, >=, mem_round(bytes));
	mem->bytes -= mem_round(bytes);
	mem->put(mem->arg, p, mem_round(bytes));
}

/* ---- pools ------------------------------------------------------------------------------------
 */

#ifdef POOL_CHECKED

#define POOL_POISON 0xdb

/* The two halves of an object, whether it is in use or not; NULL: no cold one */
static uint8_t *pool_raw(const struct pool *pool, uint32_t idx, uint8_t **ret_cold)
{
	uint8_t *chunk = pool->chunk[idx >> pool->shift], *cold = pool->cold[idx >> pool->shift];

	*ret_cold = cold != NULL ? cold + (size_t)(idx & pool->mask) * pool->cold_bytes : NULL;
	return chunk + (size_t)(idx & pool->mask) * pool->obj_bytes;
}

void pool_check_get(struct pool *pool, uint32_t idx)
{
	uint8_t *cold, *hot = pool_raw(pool, idx, &cold);

	ASAN_SHOW(hot, pool->obj_bytes);
	/* An object that was put back is as pool_check_put() left it, or somebody wrote to it
	 * since. */
	if (hot[pool->obj_bytes - 1] == POOL_POISON && hot[4] == POOL_POISON)
		for (uint32_t i = 4; i < pool->obj_bytes; i++)
			VJ_ASSERT_OP(hot[i], ==, POOL_POISON);
	memset(hot, POOL_POISON ^ 0xff, pool->obj_bytes);
	if (cold == NULL)
		return;
	ASAN_SHOW(cold, pool->cold_bytes);
	memset(cold, POOL_POISON ^ 0xff, pool->cold_bytes);
}

void pool_check_put(struct pool *pool, uint32_t idx)
{
	uint8_t *cold, *hot = pool_raw(pool, idx, &cold);

	memset(hot + 4, POOL_POISON, pool->obj_bytes - 4);
	ASAN_HIDE(hot, pool->obj_bytes);
	if (cold == NULL)
		return;
	memset(cold, POOL_POISON, pool->cold_bytes);
	ASAN_HIDE(cold, pool->cold_bytes);
}

uint32_t pool_check_next(const struct pool *pool, uint32_t idx)
{
	uint8_t *cold, *hot = pool_raw(pool, idx, &cold);

	ASAN_SHOW(hot, pool->obj_bytes);
	return load_u32(hot);
}

#endif

static size_t pool_chunk_bytes(const struct pool *pool)
{
	return (size_t)pool->obj_bytes << pool->shift;
}

static size_t pool_cold_chunk_bytes(const struct pool *pool)
{
	return (size_t)pool->cold_bytes << pool->shift;
}

static size_t pool_dir_entries(const struct pool *pool)
{
	return (size_t)(pool->objs_max >> pool->shift) + 1;
}

static size_t pool_dir_bytes(const struct pool *pool)
{
	return 2 * pool_dir_entries(pool) * sizeof(*pool->chunk);
}

int pool_init(struct pool *pool, struct mem *mem, uint32_t obj_bytes, uint32_t cold_bytes,
	      uint32_t objs_max)
{
	uint32_t per_chunk = mem->chunk_bytes / obj_bytes;

	VJ_ASSERT_OP(obj_bytes, >=, 8u);
	VJ_ASSERT(objs_max >= 1 && objs_max <= UINT32_C(1) << 28);
	/* More than there can be memory for would only make the directory long. */
	objs_max = (uint32_t)min_u64(objs_max, mem->bytes_max / obj_bytes + 1);
	*pool = (struct pool){
		.shift = per_chunk > 1 ? bits_log2_floor(per_chunk) : 0,
		.obj_bytes = obj_bytes,
		.cold_bytes = cold_bytes,
		.fresh = 1,
		.objs_max = objs_max,
		.mem = mem,
	};
	/* A pool that can never be large does not need a large chunk. */
	while (pool->shift > 0 && objs_max >> (pool->shift - 1) == 0 &&
	       pool_chunk_bytes(pool) > MEM_GRAIN_BYTES)
		pool->shift--;
	pool->mask = (UINT32_C(1) << pool->shift) - 1;
	/* Where a chunk is one object, that of object 0 is never needed: chunk[0] stays NULL. */
	pool->chunk_cnt = pool->shift == 0 ? 1 : 0;
	pool->chunk = mem_get(mem, pool_dir_bytes(pool));
	if (pool->chunk == NULL)
		return -ENOMEM;
	pool->cold = pool->chunk + pool_dir_entries(pool);
	return 0;
}

void pool_fini(struct pool *pool)
{
	if (pool->chunk == NULL)
		return;
	for (uint32_t i = 0; i < pool->chunk_cnt; i++) {
		if (pool->chunk[i] == NULL)
			continue;
		ASAN_SHOW(pool->chunk[i], pool_chunk_bytes(pool));
		mem_put(pool->mem, pool->chunk[i], pool_chunk_bytes(pool));
		if (pool->cold[i] == NULL)
			continue;
		ASAN_SHOW(pool->cold[i], pool_cold_chunk_bytes(pool));
		mem_put(pool->mem, pool->cold[i], pool_cold_chunk_bytes(pool));
	}
	mem_put(pool->mem, pool->chunk, pool_dir_bytes(pool));
	*pool = (struct pool){ 0 };
}

bool pool_grow(struct pool *pool)
{
	uint8_t *chunk;

	if (pool->fresh > pool->objs_max)
		return false;
	chunk = mem_get(pool->mem, pool_chunk_bytes(pool));
	if (chunk == NULL)
		return false;
	ASAN_HIDE(chunk, pool_chunk_bytes(pool));
	pool->chunk[pool->chunk_cnt++] = chunk;
	return true;
}

uint32_t pool_get_zero(struct pool *pool)
{
	uint32_t fresh = pool->fresh, idx = pool_get(pool);

	VJ_ASSERT_OP(pool->cold_bytes, ==, 0u);
#ifndef POOL_CHECKED
	if (idx >= fresh)
		return idx; /* as mem_get() gave it */
#endif
	(void)fresh;
	if (idx != 0)
		memset(pool_at(pool, idx), 0, pool->obj_bytes);
	return idx;
}

bool pool_cold_need(struct pool *pool, uint32_t idx)
{
	uint8_t **cold = &pool->cold[idx >> pool->shift];

	if (likely(*cold != NULL))
		return true;
	*cold = mem_get(pool->mem, pool_cold_chunk_bytes(pool));
	return *cold != NULL;
}
