// SPDX-License-Identifier: BSD-2-Clause
/* thread.c - pthread_create() and its like: the library hears of a process's first thread, see lib/own_fd.h and real.c, and sock/kernel.h */
#include "preload/preload.h"
#include "sock/sock.h"

#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <threads.h>
#include <time.h>

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

EXPORT void pthread_exit(void *value)
{
	void (*real)(void *) __attribute__((noreturn));

	sock_before_thread_exit();
	*(void **)&real = real_find(REAL_PTHREAD_EXIT);
	real(value);
}

EXPORT void thrd_exit(int result)
{
	pthread_exit((void *)(intptr_t)result);
}

/* libc makes one for that, which runs a function of the program's. */
static void before_event(const struct sigevent *event)
{
	if (event && event->sigev_notify == SIGEV_THREAD)
		before_thread();
}

EXPORT int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict ret_timer)
{
	int (*real)(clockid_t, struct sigevent *, timer_t *);

	before_event(event);
	*(void **)&real = real_find(REAL_TIMER_CREATE);
	return real(clock, event, ret_timer);
}

EXPORT int mq_notify(mqd_t queue, const struct sigevent *event)
{
	int (*real)(mqd_t, const struct sigevent *);

	before_event(event);
	*(void **)&real = real_find(REAL_MQ_NOTIFY);
	return real(queue, event);
}

/* A thread may cancel itself: the next call that can block is to end it. */
EXPORT int pthread_cancel(pthread_t thread)
{
	int (*real)(pthread_t);

	sock_has_threads();
	atomic_store_explicit(&sock_cancels, true, memory_order_relaxed);
	*(void **)&real = real_find(REAL_PTHREAD_CANCEL);
	if (!pthread_equal(thread, pthread_self()))
		sock_before_cancel(real);
	return real(thread);
}
