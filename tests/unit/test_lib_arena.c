// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory of a stack: pieces that begin zeroed, slabs that grow and begin at huge pages, little address space, fork()
 */
#include "lib/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)

/* Pieces lie apart, whatever their size, and are as new. */
static void pieces(void **state)
{
	static const size_t bytes[] = { PAGE, 3 * PAGE, 15 * MIB, 2 * MIB, 40 * MIB, PAGE, 100 * MIB, 7 * MIB };
	struct arena arena = { .cnt = 0 };
	uint8_t *p[ARRAY_SIZE(bytes)];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
		p[i] = arena_get(&arena, bytes[i]);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % PAGE, 0);
		assert_int_equal(p[i][0] | p[i][bytes[i] / 2] | p[i][bytes[i] - 1], 0);
		p[i][0] = p[i][bytes[i] - 1] = (uint8_t)(i + 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
		assert_int_equal(p[i][0], i + 1);
		assert_int_equal(p[i][bytes[i] - 1], i + 1);
	}
	arena_close(&arena);
	assert_int_equal(arena.cnt, 0);
}

/* A gigabyte in pieces of a stack's size: a handful of mappings, each but the first at a huge page, none smaller than the last. */
static void slabs(void **state)
{
	struct arena arena = { .cnt = 0 };

	(void)state;
	for (unsigned i = 0; i < 512; i++)
		assert_non_null(arena_get(&arena, 2 * MIB));
	assert_in_range(arena.cnt, 2, 7);
	assert_int_equal(arena.slabs[0].bytes, 16 * MIB);
	for (unsigned i = 1; i < arena.cnt; i++) {
		assert_int_equal((uintptr_t)arena.slabs[i].mem % (2 * MIB), 0);
		assert_int_equal(arena.slabs[i].bytes, (32 * MIB) << (i - 1));
	}
	arena_close(&arena);
}

/* The number of slabs is bounded, and the last of them is not the end of the program. */
static void slabs_used_up(void **state)
{
	struct arena arena = { .cnt = ARENA_SLABS_MAX };

	(void)state;
	assert_null(arena_get(&arena, PAGE));
}

/* What @fn returns in a process of its own */
static int in_child(int (*fn)(struct arena *arena), struct arena *arena)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arena));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* So much address space is left to this process. */
static bool leave(size_t bytes)
{
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	bool ok = f && fscanf(f, "%lu", &pages) == 1;

	if (f)
		fclose(f);
	limit.rlim_cur = pages * PAGE + bytes;
	return ok && setrlimit(RLIMIT_AS, &limit) == 0;
}

/* Return: 0; else the line that failed */
#define EXPECT(cond)             \
	do {                     \
		if (!(cond))     \
			return __LINE__ % 200 + 1; \
	} while (0)

static int with_little(struct arena *arena)
{
	uint8_t *p;

	EXPECT(leave(21 * MIB));
	EXPECT(arena_get(arena, PAGE));
	EXPECT(arena->slabs[0].bytes == 16 * MIB);
	EXPECT(arena_get(arena, 16 * MIB - PAGE));
	p = arena_get(arena, 2 * MIB); /* no 32 MiB are left, but these are */
	EXPECT(p);
	memset(p, 1, 2 * MIB);
	EXPECT(arena->slabs[1].bytes == 2 * MIB);
	EXPECT(!arena_get(arena, 4 * MIB));
	EXPECT(arena->cnt == 2); /* what was refused has taken nothing */
	arena_close(arena);
	EXPECT(arena_get(arena, 18 * MIB)); /* and all came back, what was cut off to begin at a huge page included */
	return 0;
}

static int with_very_little(struct arena *arena)
{
	EXPECT(leave(6 * MIB));
	EXPECT(arena_get(arena, PAGE)); /* not even the first slab can be had whole */
	EXPECT(arena->slabs[0].bytes == 2 * MIB);
	EXPECT(arena_get(arena, 2 * MIB - PAGE));
	EXPECT(arena->cnt == 1);
	return 0;
}

static void scarce(void **state)
{
	struct arena arena = { .cnt = 0 };

	(void)state;
	assert_int_equal(in_child(with_little, &arena), 0);
	assert_int_equal(in_child(with_very_little, &arena), 0);
}

/* The kernel reads from each slab, to say whether there is anything. */
static int slabs_that_are_there(struct arena *arena)
{
	int pair[2], cnt = 0;

	EXPECT(pipe(pair) == 0);
	for (unsigned i = 0; i < arena->cnt; i++)
		cnt += write(pair[1], arena->slabs[i].mem, 1) == 1;
	return cnt;
}

/* A child has none of it: it would pay for the copy of page tables and pages that it never looks at. */
static void not_for_children(void **state)
{
	struct arena arena = { .cnt = 0 };

	(void)state;
	assert_non_null(arena_get(&arena, PAGE));
	assert_non_null(arena_get(&arena, 16 * MIB));
	assert_int_equal(arena.cnt, 2);
	assert_int_equal(slabs_that_are_there(&arena), 2);
	assert_int_equal(in_child(slabs_that_are_there, &arena), 0);
	arena_close(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces), cmocka_unit_test(slabs),	   cmocka_unit_test(slabs_used_up),
		cmocka_unit_test(scarce), cmocka_unit_test(not_for_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
