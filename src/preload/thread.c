// SPDX-License-Identifier: BSD-2-Clause
/* thread.c - pthread_create() and its like: the library hears of a process's first thread, see lib/own_fd.h and real.c, and sock/kernel.h */
#include "preload/preload.h"
#include "sock/sock.h"

#include <pthread.h>
#include <sys/single_threaded.h>
#include <threads.h>

static void before_thread(void)
{
	if (__libc_single_threaded) {
		sock_before_thread();
		real_find(REAL_FORK); /* later the loader's lock may be taken by who waits for the thread that forks */
		real_find(REAL__FORK);
	}
	sock_has_threads();
}

EXPORT int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	before_thread();
	*(void **)&real = real_find(REAL_PTHREAD_CREATE);
	return real(ret_thread, attr, fn, arg);
}

EXPORT int thrd_create(thrd_t *ret_thread, thrd_start_t fn, void *arg)
{
	int (*real)(thrd_t *, thrd_start_t, void *);

	before_thread();
	*(void **)&real = real_find(REAL_THRD_CREATE);
	return real(ret_thread, fn, arg);
}

/* A thread may cancel itself: the next call that can block is to end it. */
EXPORT int pthread_cancel(pthread_t thread)
{
	int (*real)(pthread_t);

	sock_has_threads();
	*(void **)&real = real_find(REAL_PTHREAD_CANCEL);
	return real(thread);
}
