// SPDX-License-Identifier: BSD-2-Clause
/*
 * jump.c - longjmp() and its other names: the library hears of it first, as it may lead out of a call that waits
 *
 * libc's own are looked up when the program jumps, as a program does for itself that is bound lazily. Mostly that is in the handler of a
 * signal. dlsym() takes the loader's lock there, which is safe: it is recursive, and its other holders go on, unless they wait for a lock
 * that this thread held when the signal came; who jumps out of that leaves it taken for ever, and couldn't have gone on either. To look
 * them up when a handler is installed took every program 8 us that has one.
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
} real;

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
	return find(&real.plain, "siglongjmp");
}

static jump_fn *find_checked(void)
{
	return find(&real.checked, "__longjmp_chk");
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
