/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calm.h - a process that has no channel
 *
 * While the helper sleeps on vjd's socket alone (HELPER_CALM) events can only come from the kernel, or from other threads of the program. The process is
 * calm then: `sock.calm` is not 0, but another number each time. Threads that wait do so in the kernel's own call.
 *
 * The handshake: a thread that is about to sleep publishes that it sleeps, then checks that it is still calm. A thread with an event to report, or one that
 * ends the calm (calm_end()), publishes that first, then looks for sleepers. So one of the two sees the other, and the sleeper is recalled.
 *
 *	sleeper in		  publishes		 then checks		  is recalled by
 *	epoll_wait()		  set->kernel_asleep	 set->calm, sock.calm	  the set's kick, an eventfd in the kernel's set
 *	recvfrom(), recvmsg(),	  sock.sleepers,	 sock.calm, and in the	  a signal: recall.c
 *	blocking accept()	  and watches		 last moment kick.sent
 *	poll(), select()	  a slot of recall.c's	 sock.calm, likewise	  likewise
 *
 * epoll_wait() and poll() do this without the lock, sequentially consistent. An epoll set for which the library has no event and nothing to do notes the value
 * of sock.calm (set->calm); while the two are equal its epoll_wait() is the kernel's. poll() does the same by file->calm of each of its sockets; where
 * that has another value it takes the lock and looks. If such a socket changes (calm_stir()) sock.calm gets another number, and all in poll() are recalled.
 * The calls of the second row check with the lock held, and release it when they are linked as sleepers: from then on their own watches tell them.
 *
 * accept() that doesn't block, on a socket of whose clients nothing has to be noted, is the plain system call while the socket's `calm` equals sock.calm.
 */
#ifndef SOCK_CALM_H
#define SOCK_CALM_H

#include "sock/epoll.h"
#include "sock/file.h"
#include "sock/layer.h"

/* Is it calm since *@noted, of a set or a socket, was set? No lock. */
static inline bool is_calm_since(const _Atomic uint32_t *noted)
{
	uint32_t calm = atomic_load(noted);

	return calm && calm == atomic_load(&sock.calm);
}

/* Lock held: the helper's state has changed, or the program has forked. All noted values become invalid; if the calm is over sleepers are recalled. */
void calm_update(void);

/* Lock held: poll() has noted that the kernel reports all events of @f, and there is one, or a change of @f, that it doesn't report. */
void calm_stir(struct file *f);

static inline void file_stir(struct file *f)
{
	if (unlikely(atomic_load_explicit(&f->calm, memory_order_relaxed)))
		calm_stir(f);
}

/* The set has something to report to its waiters. Loads after this are sequentially consistent with wait_kernel(). */
static inline void set_stir(struct epoll_set *set)
{
	if (unlikely(atomic_load_explicit(&set->calm, memory_order_relaxed)))
		atomic_exchange(&set->calm, 0);
}

/* Does any thread sleep there? */
static inline bool set_is_slept_in(const struct epoll_set *set)
{
	return set->asleep || unlikely(atomic_load(&set->kernel_asleep));
}

/* Is epoll_wait() on it the plain system call? No lock. */
static inline bool set_is_kernels(const struct epoll_set *set)
{
	return !atomic_load(&set->ours) || is_calm_since(&set->calm);
}

/* The kernel's epoll_wait(). No lock. Return: events, -errno. *@ret_ours: set_is_kernels() is false by now; it did not wait */
int wait_kernel(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, bool *ret_ours);

#endif
