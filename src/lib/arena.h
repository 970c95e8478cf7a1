// SPDX-License-Identifier: BSD-2-Clause
/*
 * arena.h - memory of one stack, which takes it piece by piece and gives it back as a whole
 *
 * Pieces are cut out of slabs of address space. The first slab has small pages: a stack asks for some 40 pieces before its
 * first connection is there, most processes touch little of them, and one in a child of fork() may not live longer than
 * clearing a huge page takes. What is wanted beyond is a large stack's: connections by the million, looked up at
 * random. Those slabs start at a huge page and ask for them, so that pieces side by side share them, whatever their size. Ten
 * million connections are two thousand translations then instead of half a million, which no processor remembers. Where the
 * host offers no huge pages they are small ones.
 *
 * Each slab is twice as large as the one before: a handful of mappings in all. Address space that is not touched costs nothing.
 *
 * A child of fork() has no use for any of it (vj_forked()): neither its page tables nor its pages are copied.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "base/types.h"

enum { ARENA_SLABS_MAX = 24 };

struct arena {
	struct arena_slab {
		uint8_t *mem;
		size_t bytes, used;
	} slabs[ARENA_SLABS_MAX];
	unsigned cnt;
};

/** arena_get() - Zeroed, page-aligned memory. @arena: zeroed, for the first. @bytes: whole pages. Return: NULL: none left */
void *arena_get(struct arena *arena, size_t bytes);
/** arena_close() - All of it */
void arena_close(struct arena *arena);
/** arena_forget() - In a forked child, which has none of it: the addresses may be others' next */
void arena_forget(struct arena *arena);

#endif
