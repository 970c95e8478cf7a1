// SPDX-License-Identifier: BSD-2-Clause
/*
 * jump.c - longjmp() and its other names: the library hears of it first, as it may lead out of a call that waits
 *
 * They are called by handlers of signals, where no symbol may be looked up: libc's own are found when the first handler is
 * installed. A program that has none looks them up when it jumps.
 */
#undef _FORTIFY_SOURCE

#include "preload/preload.h"
#include "sock/sock.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef void jump_fn(struct __jmp_buf_tag *to, int value);

/* One function under three names in libc, and one that checks */
static struct {
	_Atomic(jump_fn *) plain, checked;
	char plain_name[12], checked_name[16];
} real __attribute__((section(".data"))) = { /* no page of its own, for programs that set one handler and end */
	.plain_name = "siglongjmp", .checked_name = "__longjmp_chk",
};

static jump_fn *find(_Atomic(jump_fn *) *known, const char *name)
{
	jump_fn *fn = atomic_load_explicit(known, memory_order_relaxed);

	if (!fn) {
		*(void **)&fn = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(known, fn, memory_order_relaxed);
	}
	return fn;
}

static jump_fn *find_plain(void)
{
	return find(&real.plain, real.plain_name);
}

static jump_fn *find_checked(void)
{
	return find(&real.checked, real.checked_name);
}

void preload_find_jumps(void)
{
	find_plain();
	find_checked();
}

#define JUMP(name, found)                                                       \
	EXPORT _Noreturn void name(struct __jmp_buf_tag to[1], int value);      \
	EXPORT _Noreturn void name(struct __jmp_buf_tag to[1], int value)       \
	{                                                                       \
		jump_fn *fn = (found);                                          \
		sock_before_jump();                                             \
		fn(to, value);                                                  \
		abort();                                                        \
	}

JUMP(longjmp, find_plain())
JUMP(_longjmp, find_plain())
JUMP(siglongjmp, find_plain())
JUMP(__longjmp_chk, find_checked())
