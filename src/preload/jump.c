// SPDX-License-Identifier: BSD-2-Clause
/*
 * jump.c - longjmp() and its other names: the library hears of it first, as it may lead out of a call that waits
 *
 * They are called by handlers of signals, where no symbol may be looked up: libc's own are found in advance.
 */
#undef _FORTIFY_SOURCE

#include "sock/sock.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

typedef void jump_fn(struct __jmp_buf_tag *to, int value);

_Noreturn static void jump(jump_fn *const *real, const char *name, struct __jmp_buf_tag *to, int value)
{
	jump_fn *fn = *real;

	sock_before_jump();
	if (!fn)
		*(void **)&fn = dlsym(RTLD_NEXT, name);
	fn(to, value);
	abort();
}

#define JUMP(name)                                                              \
	static jump_fn *real_##name;                                            \
	__attribute__((constructor)) static void find_##name(void)              \
	{                                                                       \
		*(void **)&real_##name = dlsym(RTLD_NEXT, #name);               \
	}                                                                       \
	EXPORT _Noreturn void name(struct __jmp_buf_tag to[1], int value);      \
	EXPORT _Noreturn void name(struct __jmp_buf_tag to[1], int value)       \
	{                                                                       \
		jump(&real_##name, #name, to, value);                           \
	}

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
JUMP(__longjmp_chk)
