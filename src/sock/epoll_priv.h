/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll_priv.h - what epoll_ctl() and epoll_wait() share */
#ifndef SOCK_EPOLL_PRIV_H
#define SOCK_EPOLL_PRIV_H

#include "sock/epoll.h"
#include "sock/file.h"
#include "sock/kernel.h"

#define MARK_LOW_BITS 24
#define MARK_LOW ((UINT64_C(1) << MARK_LOW_BITS) - 1)
#define MARK_KICK MARK_LOW
#define MARK_BELL (MARK_LOW - 1)

extern uint64_t mark_base; /* 0: not chosen yet; low bits 0 */

static inline bool is_mark(uint64_t data)
{
	return unlikely((data & ~MARK_LOW) == mark_base) && mark_base;
}

static inline void ready_add(struct epoll_set *set, struct watch *w)
{
	w->ready_prev = set->ready.ready_prev;
	w->ready_next = &set->ready;
	w->ready_prev->ready_next = w;
	set->ready.ready_prev = w;
	set->ready_cnt++;
	w->on_ready = true;
}

static inline void ready_del(struct epoll_set *set, struct watch *w)
{
	w->ready_prev->ready_next = w->ready_next;
	w->ready_next->ready_prev = w->ready_prev;
	set->ready_cnt--;
	w->on_ready = false;
}

static inline bool is_channel_only(const struct file *f)
{
	_Static_assert(offsetof(struct sock, file) == 0, "a file is the first member of its socket");
	return f->kind == FILE_SOCK && sock_is_channel((const struct sock *)(const void *)f);
}

/* There is something to be done before it is waited for. */
static inline bool set_is_due(const struct epoll_set *set)
{
	return set->fresh_watches || set->called || (unlikely(set->again_ns) && sys_clock_ns() >= set->again_ns);
}

/* NULL: it has none in @set for that number */
struct watch *watch_find(const struct epoll_set *set, const struct file *f, int fd);
/* The number was closed, and what is behind it lives on by another: the kernel's set goes on reporting it, as epoll(7) says, and so do we. */
struct watch *watch_of_closed(const struct epoll_set *set, int fd);
/*
 * From the first watch on the set is served here. A thread that sleeps in the kernel's set already is woken for that, as soon as there may be anything
 * but the kernel's to be woken for. Before, there is no kick: its number may be the first beyond the process's table, which
 * the kernel makes larger for it, and where there are threads each CPU has to have been elsewhere meanwhile: 8 to 12 ms.
 */
int set_open_up(struct epoll_set *set);

#endif
