// SPDX-License-Identifier: BSD-2-Clause
/*
 * cancel.c - a thread that may be cancelled at any moment (PTHREAD_CANCEL_ASYNCHRONOUS) doesn't take the lock along
 *
 * So are threads of programs that ask for it (iperf3's), and all in a system call that blocks (KER_BLOCKING()): there a handler of the program's may run, which has
 * the lock. libc cancels such a thread by a signal. Our handler goes before libc's: while the thread has the lock the signal waits (signal.c), and what the thread
 * leaves undone is undone (undo.c), as by a jump.
 *
 * libc installs its handler in the first pthread_cancel() of another thread, and sends the signal in the same call. So that one is for a thread of ours, which
 * doesn't heed it.
 */
#include "sock/fdtab.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/sock.h"
#include "sock/undo.h"

enum { BEGIN_MS = 100 };

_Atomic bool sock_cancels VJ_NEAR;

static struct kernel_action libcs VJ_LATER;
static _Atomic bool begun VJ_LATER, over VJ_LATER;

/* libc's handler sees whether the thread may be cancelled at any moment, not whether it may be at all: that was looked at when the signal was sent. */
static void note_for_later(int sig, siginfo_t *info, void *context)
{
	int type;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	((signal_fn *)libcs.handler)(sig, info, context);
	pthread_setcanceltype(type, NULL);
}

static bool is_disabled(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, NULL);
	return state == PTHREAD_CANCEL_DISABLE;
}

static __attribute__((no_sanitize("thread"))) void on_cancel(int sig, siginfo_t *info, void *context)
{
	if (signal_put_off(sig, info))
		return;
	pthread_cleanup_push(undo_all, NULL); /* is_disabled() may end the thread as well */
	if (unlikely(is_disabled()))
		note_for_later(sig, info, context);
	else
		((signal_fn *)libcs.handler)(sig, info, context);
	pthread_cleanup_pop(0);
}

/* Return: false: libc has none yet. Who started the program may have ignored the signal. */
static bool go_before(void)
{
	struct kernel_action ours;

	if (SYS_CALL4(SYS_rt_sigaction, SIG_CANCEL, NULL, &ours, SYS_SIGSET_BYTES) < 0 || ours.handler <= (uintptr_t)SIG_IGN)
		return false;
	if (ours.handler == (uintptr_t)on_cancel)
		return true;
	libcs = ours;
	ours.handler = (uintptr_t)on_cancel;
	SYS_CALL4(SYS_rt_sigaction, SIG_CANCEL, &ours, NULL, SYS_SIGSET_BYTES);
	return true;
}

static void *wait_over(void *arg)
{
	while (!atomic_load(&over))
		sys_poll_ms(NULL, 0, 1);
	return arg;
}

/* Without a thread that would be: no more is lost than time. */
static void have_libc_begin(int (*cancel)(pthread_t))
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (pthread_attr_init(&attr))
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the program's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&thread, &attr, wait_over, NULL))
		cancel(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

void sock_before_cancel(int (*cancel)(pthread_t))
{
	if (likely(atomic_load(&over)) || !layer_began() || sock.barred || is_foreign()) /* a filter may kill who makes a thread */
		return;
	if (!atomic_exchange(&begun, true)) {
		if (!go_before()) {
			have_libc_begin(cancel);
			(void)go_before();
		}
		atomic_store(&over, true);
	}
	/* libc's handler is not to be first for another thread's target, nor put in the place of ours. Who began may have been cancelled himself. */
	for (unsigned tries = 0; !atomic_load(&over) && tries < BEGIN_MS; tries++)
		sys_poll_ms(NULL, 0, 1);
	atomic_store(&over, true);
}

void sock_test_cancel(void)
{
	if (sock_inside)
		return;
	pthread_cleanup_push(undo_all, NULL); /* a handler's call, on top of one that has something to undo */
	pthread_testcancel();
	pthread_cleanup_pop(0);
}
