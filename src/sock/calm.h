/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calm.h - a process that has no channel
 *
 * As long as the helper sleeps on vjd's socket alone (HELPER_CALM) nothing can come but by the kernel, or from another thread of the program. `sock.calm` says so.
 * Then who waits does it in the kernel's own call.
 *
 * One hand-shake: who is about to sleep says that it does, and then looks whether it is calm still; who has something to tell, as whoever ends the calm
 * (calm_end()), says that first, and then looks who sleeps. So one of them sees the other, and who sleeps is called back.
 *
 *	who sleeps		  says it by		 looks at		  is called back by
 *	epoll_wait()		  set->kernel_asleep	 set->calm, sock.calm	  the set's kick, an eventfd in the kernel's set
 *	recvfrom(), recvmsg(),	  sock.sleepers,	 sock.calm, and in the	  a signal: recall.c
 *	blocking accept()	  and watches		 last moment kick.sent
 *	poll(), select()	  a place of recall.c's	 sock.calm, likewise	  likewise
 *
 * The first and the last without the lock, sequentially consistent: an epoll set in which nothing of ours is to be told or done notes the value of sock.calm, and is the kernel's
 * as long as that is the same. So does a listening socket whose clients nothing has to be noted of: its accept(), if it doesn't block, is the system call.
 * poll() knows of each of its sockets that it was found so since the calm began (file->calm), or asks with the lock; what takes that back ends the calm for a moment (calm_stir()).
 * The others look with the lock held, and give it up when they have said that they sleep: what is said to them from there on is said to them alone.
 */
#ifndef SOCK_CALM_H
#define SOCK_CALM_H

#include "sock/epoll.h"
#include "sock/file.h"
#include "sock/layer.h"

/* Is what was noted at @noted, of a set or a socket, so still? No lock. */
static inline bool is_calm_since(const _Atomic uint32_t *noted)
{
	uint32_t calm = atomic_load(noted);

	return calm && calm == atomic_load(&sock.calm);
}

/* Lock held: the helper's state has changed, or the program has forked. All that was noted is to be looked at anew; is it over, who sleeps comes back. */
void calm_update(void);

/* Lock held: what poll() would have to look at has come to @f, of which it was found that the kernel tells all. */
void calm_stir(struct file *f);

static inline void file_stir(struct file *f)
{
	if (unlikely(atomic_load_explicit(&f->calm, memory_order_relaxed)))
		calm_stir(f);
}

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
