// SPDX-License-Identifier: BSD-2-Clause
/* thread.c - pthread_create(): the library hears of a process's first thread, see lib/own_fd.h and real.c */
#include "preload/preload.h"
#include "sock/sock.h"

#include <pthread.h>
#include <sys/single_threaded.h>

EXPORT int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (__libc_single_threaded) {
		sock_before_thread();
		real_find(REAL_FORK); /* later the loader's lock may be taken by who waits for the thread that forks */
		real_find(REAL__FORK);
	}
	*(void **)&real = real_find(REAL_PTHREAD_CREATE);
	return real(ret_thread, attr, fn, arg);
}
