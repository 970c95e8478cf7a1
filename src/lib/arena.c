// SPDX-License-Identifier: BSD-2-Clause
#include "lib/arena.h"

#include "base/asan.h"
#include "base/bits.h"

#include <sys/mman.h>

#define SMALL_BYTES ((size_t)16 << 20)
#define LARGE_BYTES ((size_t)32 << 20) /* the second slab */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static uint8_t *space_map(size_t bytes, int advice)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, advice); /* a wish, like the next */
	madvise(p, bytes, MADV_DONTFORK);
	return p;
}

/* From the start of a huge page, @bytes being a multiple of one. */
static uint8_t *huge_map(size_t bytes)
{
	uint8_t *space = space_map(bytes + HUGE_PAGE_BYTES, MADV_HUGEPAGE), *start;

	if (space == NULL)
		return NULL;
	start = space + (-(uintptr_t)space & (HUGE_PAGE_BYTES - 1));
	if (start > space)
		munmap(space, (size_t)(start - space));
	munmap(start + bytes, (size_t)(space + HUGE_PAGE_BYTES - start));
	return start;
}

/* Another slab with room for @bytes; as much as is to be had, where address space is scarce (RLIMIT_AS). */
static bool slab_add(struct arena *arena, size_t bytes)
{
	struct arena_slab *slab = &arena->slabs[arena->cnt];
	size_t want;

	if (arena->cnt == 0 && bytes <= SMALL_BYTES) {
		want = SMALL_BYTES;
		slab->mem = space_map(want, MADV_NOHUGEPAGE);
	} else if (arena->cnt < ARENA_SLABS_MAX) {
		want = LARGE_BYTES << (arena->cnt > 0 ? arena->cnt - 1 : 0);
		slab->mem = want > bytes ? huge_map(want) : NULL;
	} else {
		return false;
	}
	if (slab->mem == NULL) {
		want = bits_align_up(bytes, HUGE_PAGE_BYTES);
		slab->mem = huge_map(want);
	}
	if (slab->mem == NULL)
		return false;
	slab->bytes = want;
	slab->used = 0;
	arena->cnt++;
	return true;
}

void *arena_get(struct arena *arena, size_t bytes)
{
	struct arena_slab *slab = arena->cnt > 0 ? &arena->slabs[arena->cnt - 1] : NULL;

	if (slab == NULL || bytes > slab->bytes - slab->used) {
		if (!slab_add(arena, bytes))
			return NULL;
		slab = &arena->slabs[arena->cnt - 1];
	}
	slab->used += bytes;
	return slab->mem + slab->used - bytes;
}

void arena_close(struct arena *arena)
{
	while (arena->cnt > 0) {
		arena->cnt--;
		munmap(arena->slabs[arena->cnt].mem, arena->slabs[arena->cnt].bytes);
	}
}

void arena_forget(struct arena *arena)
{
	while (arena->cnt > 0) {
		arena->cnt--;
		ASAN_SHOW(arena->slabs[arena->cnt].mem, arena->slabs[arena->cnt].bytes);
	}
}
