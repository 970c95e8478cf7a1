/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calm.h - a process that has no channel
 *
 * As long as the helper sleeps on vjd's socket alone (HELPER_CALM) nothing can come but by the kernel, or from another thread of the program. `sock.calm` says so,
 * and is read without the lock. An epoll set in which nothing of ours is to be told or done, and a listening socket whose clients nothing has to be noted of,
 * note its value; while theirs is the same, epoll_wait() and accept() are the kernel's: a count, for the former, and the system call.
 *
 * Whoever has something to tell makes the set stir, and then looks at the count; who is about to sleep counts, and then looks whether it is calm
 * still. So one of them sees the other, and who sleeps is kicked.
 */
#ifndef SOCK_CALM_H
#define SOCK_CALM_H

#include "sock/priv.h"

/* Is what was noted at @noted, of a set or a socket, so still? No lock. */
static inline bool is_calm_since(const _Atomic uint32_t *noted)
{
	uint32_t calm = atomic_load(noted);

	return calm && calm == atomic_load(&sock.calm);
}

/* The helper's state has changed, or the program has forked: all that was noted is to be looked at anew. Lock held, as below. */
void calm_anew(void);
/* There may be channels now: who sleeps in a set as the kernel serves it is to come back. */
void calm_end(void);

/* There is something to be told to who waits in it. What is looked at behind it is sequentially consistent against wait_kernel(). */
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

/* Is its epoll_wait() the kernel's? No lock. */
static inline bool set_is_kernels(const struct epoll_set *set)
{
	return !atomic_load(&set->ours) || is_calm_since(&set->calm);
}

/* The set as the kernel serves it. No lock. Return: events, -errno. *@ret_ours: it isn't the kernel's any more; nothing was waited for */
int wait_kernel(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, bool *ret_ours);

#endif
