/* SPDX-License-Identifier: BSD-2-Clause */
/* signals.h - handlers of the program's, and calls that they interrupt: signal.c */
#ifndef SOCK_SIGNALS_H
#define SOCK_SIGNALS_H

#include "sock/kernel.h"

#include "base/types.h"

#include <signal.h>
#include <stdatomic.h>

enum { SLEEP_NONE = -1, SLEEP_DEAF = -2 };

/* What handlers leave behind in the thread that they ran in. */
struct signal_trace {
	uint32_t ran;	       /* handlers, since the thread began */
	uint32_t interrupting; /* among them those without SA_RESTART */
	int sleep_fd;	       /* to be written to by a handler: the thread is about to sleep; SLEEP_DEAF: there is none; SLEEP_NONE: it isn't */
	_Atomic bool leads;    /* ... as leader. Others make somebody that, or no more, while he sleeps */
	bool front;	       /* the last sleep ended for what came by channels: the next is better with the bell */
	_Atomic uint32_t begun; /* all handlers, those that `sock_kept_out` doesn't count as well. Read by others while the thread sleeps */
	int tid;	       /* 0: not asked for yet; recall.c */
};

extern __thread struct signal_trace sock_signals __attribute__((tls_model("initial-exec")));
/*
 * What the call that waits keeps out by its mask, a bit for each signal. The thread has that mask only while it sleeps: a handler of such a signal that runs
 * before or after that does not end the call.
 */
extern __thread uint64_t sock_kept_out __attribute__((tls_model("initial-exec")));

/* glibc's own, SIGCANCEL and SIGSETXID: we go before its handlers (cancel.c, recall.c) */
enum { SIG_CANCEL = 32, SIG_RECALL = 33 };

/* What is done at a signal, as the kernel has it: libc's own can't be asked for by sigaction() */
struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};
typedef void signal_fn(int sig, siginfo_t *info, void *context);

/* Runs @handler, of @flags as sigaction() has them, and leaves its trace */
void signal_handle(int flags, signal_fn *handler, int sig, siginfo_t *info, void *context);
void signal_forked(void);
/* Signals that came while this thread had the lock; not 0: signal_release() when it has given it up */
extern __thread _Atomic uint32_t sock_deferred __attribute__((tls_model("initial-exec")));
void signal_release(void);

/* Return: true: the thread has the lock, so @sig comes once more when it has given that up. For handlers */
bool signal_put_off(int sig, const siginfo_t *info);

/* @mask: a call's, or NULL */
static inline void signals_keep_out(const sigset_t *mask)
{
	if (unlikely(mask && !is_wild(mask)))
		sock_kept_out = mask->__val[0]; /* 64 signals are one word */
}

static inline void signals_let_in(const sigset_t *mask)
{
	if (unlikely(mask != NULL))
		sock_kept_out = 0;
}

#endif
