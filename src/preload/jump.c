// SPDX-License-Identifier: BSD-2-Clause
/*
 * jump.c - longjmp() and its other names: the library hears of it first, as it may lead out of a call that waits
 *
 * libc's own are looked up when the program jumps, or forks (real.c). The former is mostly in the handler of a signal. dlsym() takes the loader's
 * lock there, which is safe: it is recursive, and its other holders go on, unless they wait for a lock that this thread held when the signal came; who
 * jumps out of that leaves it taken for ever, and couldn't have gone on either. To look them up when a handler is installed took every program 8 us
 * that has one.
 */
#undef _FORTIFY_SOURCE

#include "preload/preload.h"
#include "base/types.h"
#include "sock/sock.h"

#include <setjmp.h>
#include <stdlib.h>

typedef void jump_fn(struct __jmp_buf_tag *to, int value);

/* One function under three names in libc, and one that checks */
#define JUMP(name, which)                                                       \
	EXPORT _Noreturn void name(struct __jmp_buf_tag to[1], int value);      \
	EXPORT VJ_EARLY _Noreturn void name(struct __jmp_buf_tag to[1], int value) \
	{                                                                       \
		jump_fn *fn;                                                    \
		*(void **)&fn = real_find(which);                               \
		sock_before_jump();                                             \
		fn(to, value);                                                  \
		abort();                                                        \
	}

JUMP(longjmp, REAL_LONGJMP)
JUMP(_longjmp, REAL_LONGJMP)
JUMP(siglongjmp, REAL_LONGJMP)
JUMP(__longjmp_chk, REAL_LONGJMP_CHK)
