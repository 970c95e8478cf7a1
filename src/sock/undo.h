/* SPDX-License-Identifier: BSD-2-Clause */
/* undo.h - what is done when a jump leaves a call: undo.c */
#ifndef SOCK_UNDO_H
#define SOCK_UNDO_H

#include "sock/kernel.h"

#include "base/types.h"

struct file;

/* What is to be done when a jump leaves the call that has begun it. On its stack; pushed and popped with the lock held, or where a handler may jump out from between. */
struct undo {
	struct undo *outer;
	void (*run)(void *arg); /* without the lock */
	void *arg;
};
extern __thread struct undo *sock_undo __attribute__((tls_model("initial-exec")));

static inline void undo_push(struct undo *u, void (*run)(void *arg), void *arg)
{
	*u = (struct undo){ .outer = sock_undo, .run = run, .arg = arg };
	sock_undo = u;
}

/* Return: false: it was done; the call has nothing any more, and is to return. */
static inline bool undo_pop(struct undo *u)
{
	if (unlikely(sock_undo != u))
		return false;
	sock_undo = u->outer;
	return true;
}

/* A reference to a file that is held while the lock is given up */
struct hold {
	struct undo undo;
	struct file *file;
};
/* All of the thread's; lock not held. For pthread_cleanup_push(), too. */
void undo_all(void *arg);
/*
 * A system call in which a thread that has something to undo sleeps; a cancellation point. Return: as the kernel; -EINTR, without it, when all was undone
 * before it began
 */
long undo_call(long nr, long a, long b, long c, long d, long e, long f);
/* Likewise, and no cancellation point */
long undo_call_uncancelled(long nr, long a, long b, long c, long d, long e, long f);
static inline int undo_ppoll(struct pollfd *fds, nfds_t n, struct timespec *timeout, const sigset_t *mask)
{
	return (int)undo_call(SYS_ppoll, (long)fds, (long)n, (long)timeout, (long)mask, SYS_SIGSET_BYTES, 0);
}

/* @timeout_ns negative: for ever */
static inline int undo_epoll(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask)
{
	return ker_epoll_by(undo_call, epfd, ev, max, timeout_ns, mask);
}

/* A handler returns to @context, a ucontext_t: if it has undone the call, not to the system call, but to its end. */
void undo_leave(void *context);
void hold_begin(struct hold *h, struct file *f);
void hold_end(struct hold *h);

#endif
