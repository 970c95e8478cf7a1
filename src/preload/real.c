// SPDX-License-Identifier: BSD-2-Clause
/*
 * real.c - libc's own functions, behind those that this library puts in front of them
 *
 * One is looked up when it is first called, as a program does for itself that is bound lazily, and only once. A child of fork() knows what its parent
 * knew, and mostly has a short life that ends by exec or, in a shell, by a jump: to look those up is 11 to 17 page faults there, where nothing of the loader's
 * is mapped yet, a sixth of all that the child costs. So they are looked up before a process forks for the first time, where that is
 * 5 us. Not where there are threads: dlsym() takes the loader's lock, and whoever has it may wait for this one. So fork() itself is looked up before the
 * first thread (thread.c).
 */
#include "preload/preload.h"

#include "base/types.h"
#include "sock/sock.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>
#include <unistd.h>

static const char names[REAL_CNT][16] = {
	[REAL_CLONE] = "clone",		      [REAL_EXECVPE] = "execvpe", [REAL_FORK] = "fork", [REAL__FORK] = "_Fork", [REAL_LONGJMP] = "siglongjmp", [REAL_LONGJMP_CHK] = "__longjmp_chk",
	[REAL_MQ_NOTIFY] = "mq_notify",
	[REAL_POPEN] = "popen", [REAL_SYSTEM] = "system",
	[REAL_POSIX_SPAWN] = "posix_spawn", [REAL_POSIX_SPAWNP] = "posix_spawnp", [REAL_PTHREAD_CANCEL] = "pthread_cancel", [REAL_PTHREAD_CREATE] = "pthread_create", [REAL_PTHREAD_EXIT] = "pthread_exit", [REAL_THRD_CREATE] = "thrd_create", [REAL_TIMER_CREATE] = "timer_create", [REAL_VFORK] = "vfork",
};

static void *_Atomic known[REAL_CNT] VJ_NEAR;

VJ_EARLY void *real_find(enum real_name which)
{
	void *fn = atomic_load_explicit(&known[which], memory_order_relaxed);

	if (unlikely(!fn)) {
		fn = dlsym(RTLD_NEXT, names[which]);
		atomic_store_explicit(&known[which], fn, memory_order_relaxed);
	}
	return fn;
}

/* The next one need not be libc's: ThreadSanitizer has one of its own. */
EXPORT VJ_EARLY pid_t fork(void)
{
	pid_t (*next)(void);

	if (__libc_single_threaded) {
		real_find(REAL_FORK);
		real_find(REAL_EXECVPE);
		real_find(REAL_LONGJMP);
		real_find(REAL_LONGJMP_CHK);
	}
	*(void **)&next = atomic_load_explicit(&known[REAL_FORK], memory_order_relaxed);
	return next ? next() : __fork(); /* threads made by other means than pthread_create() */
}
