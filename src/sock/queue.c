// SPDX-License-Identifier: BSD-2-Clause
/*
 * queue.c - the kernel's accept queue of a listening socket, where several threads or processes wait for it
 *
 * A client wakes one of those that wait in the kernel's accept(), but all of those in poll(), which find nobody and sleep again (a thundering herd). So
 * a thread that waits beside others does that in an epoll set of its own, in which are the listening socket (EPOLLEXCLUSIVE), a kick, and, if it leads,
 * the bell. The kernel wakes the first of these sets, in the order in which they were made, in whose epoll_wait() a thread sleeps; so a set that was
 * first for a while is made the last. To wait for such a set, by poll() or in another one, doesn't count as sleeping in it. So busy threads are passed
 * over, and a client that came while nobody slept is found by each at its next wait.
 *
 * Invariants
 *   - When a set has reported a client, nobody else has been woken for it. So its thread takes one, or passes it on (queue_pass()). If the process
 *     is killed before that, within microseconds, the client is left to whoever waits next, or is woken by the next client.
 *   - A set belongs to one thread at a time, and to one process: a child of fork() makes its own.
 *   - A set that is not in use has no listening socket in it that is closed: they are all given up when one is.
 */
#include "sock/fdtab.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/queue.h"
#include "sock/undo.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { SPARES = 64, TURN_SLEEPS = 16, FLAGS_MS = 20 /* the process whose turn it is may be stopped */, TURN_FLAGS = O_NONBLOCK | O_APPEND };

static struct queue *in_use VJ_LATER;
static struct queue spares[SPARES] VJ_SELDOM;
static unsigned spare_cnt VJ_LATER;
static uint32_t era VJ_LATER; /* of the sets: one more each time that all are given up; 0: none was ever made */

static int set_put(const struct queue *q, int op, int fd, uint32_t events, enum woke woke)
{
	struct epoll_event ev = { .events = events, .data.u32 = woke };

	return sys_epoll_ctl(q->kick.seat, op, fd, &ev);
}

/* A listening socket is never writable; EPOLLOUT is for queue_pass(), which wakes by it. */
static int queue_listen(const struct queue *q)
{
	return set_put(q, EPOLL_CTL_ADD, q->fd, EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE, WOKE_QUEUE);
}

static int queue_open(int listen_fd, struct queue *ret_q)
{
	struct queue q = { .fd = listen_fd, .listens = true };
	int err = kick_open(&q.kick);

	if (err)
		return err;
	era = max_u32(era, 1);
	q.era = era;
	err = kick_seat_make(&q.kick, WOKE_KICK, WOKE_BELL);
	if (!err)
		err = queue_listen(&q);
	if (err)
		kick_close(&q.kick);
	else
		*ret_q = q;
	return err;
}

static int queue_get(int listen_fd, struct queue *ret_q)
{
	for (unsigned i = spare_cnt; i; i--) {
		if (spares[i - 1].fd != listen_fd)
			continue;
		*ret_q = spares[i - 1];
		spares[i - 1] = spares[--spare_cnt];
		return 0;
	}
	return queue_open(listen_fd, ret_q);
}

int queue_borrow(int listen_fd, struct queue *ret_q)
{
	int err = queue_get(listen_fd, ret_q);

	if (err)
		return err;
	ret_q->next = in_use;
	ret_q->pprev = &in_use;
	if (in_use)
		in_use->pprev = &ret_q->next;
	in_use = ret_q;
	return 0;
}

/* @q is behind all other sets now. Return: false: that failed, and @q has no listening socket any more. */
static bool queue_last(struct queue *q)
{
	q->sleeps = 0;
	return !set_put(q, EPOLL_CTL_DEL, q->fd, 0, WOKE_QUEUE) && !queue_listen(q);
}

void queue_return(struct queue *q)
{
	*q->pprev = q->next;
	if (q->next)
		q->next->pprev = q->pprev;
	kick_drain(&q->kick);
	if (q->era == era && spare_cnt < SPARES && (++q->sleeps < TURN_SLEEPS || queue_last(q)))
		spares[spare_cnt++] = *q;
	else
		kick_close(&q->kick);
}

void queues_leave(int listen_fd)
{
	for (struct queue *q = in_use; q; q = q->next)
		if (q->fd == listen_fd)
			set_put(q, EPOLL_CTL_DEL, listen_fd, 0, WOKE_QUEUE);
}

VJ_EARLY void queues_forked(void)
{
	if (unlikely(in_use != NULL))
		in_use = NULL;
	queues_forget();
}

VJ_EARLY void queues_forget(void)
{
	if (likely(!era)) /* else each child of fork() would copy a page here */
		return;
	era++;
	while (spare_cnt)
		kick_close(&spares[--spare_cnt].kick);
}

int queue_sleep(const struct queue *q, int64_t timeout_ns, unsigned *ret_woke)
{
	struct epoll_event ev[3]; /* all that a set can report at once */
	int n = undo_epoll(q->kick.seat, ev, ARRAY_SIZE(ev), timeout_ns, NULL);

	for (int i = 0; i < n; i++)
		*ret_woke |= ev[i].data.u32;
	return n;
}

/* The kernel wakes waiters for EPOLLOUT when this option is set, even to the same value; epoll then finds the socket readable, if a client waits. */
void queue_pass(int listen_fd)
{
	int lowat;
	socklen_t len = sizeof(lowat);

	if (!sys_getsockopt(listen_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, &len))
		(void)sys_setsockopt(listen_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, len);
}

/* ---- taking one ------------------------------------------------------------------------------------------------ */

static long turn_set(int fd, short type)
{
	struct flock lock = { .l_type = type };

	return sys_fcntl(fd, F_SETLK, (long)&lock);
}

/*
 * In a turn, that is, while one thread takes from the queue, the socket is non-blocking. O_APPEND, which has no meaning for a socket, marks that as the turn's
 * doing, also if the process is killed in its turn. Return: the flags without what a turn has set; -errno
 */
static long meant_of(long flags)
{
	return flags >= 0 && (flags & TURN_FLAGS) == TURN_FLAGS ? flags & ~TURN_FLAGS : flags;
}

long queue_flags(int fd)
{
	return meant_of(sys_fcntl(fd, F_GETFL, 0));
}

/* It is our turn. Return: had a process that was killed in its turn left the flags set? They are restored. */
static bool turn_mend(int fd, long *ret_flags)
{
	long flags = sys_fcntl(fd, F_GETFL, 0);

	*ret_flags = meant_of(flags);
	return flags != *ret_flags && !sys_fcntl(fd, F_SETFL, *ret_flags);
}

/*
 * One thread at a time, by sock.lock; and one process at a time, if others have copies of the socket, by a record lock, which ends with its holder. This never
 * blocks for the record lock (F_SETLKW): its holder may be stopped, and meanwhile channels, signals and the time-out must be heard (block_wait()).
 */
int queue_accept(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	int fd = s->lease_fd, r;
	long meant;
	bool blocks;

	if (s->copied && unlikely(turn_set(fd, F_WRLCK) == -EAGAIN)) {
		s->contested = true;
		return -EBUSY;
	}
	meant = queue_flags(fd);
	blocks = meant >= 0 && !(meant & O_NONBLOCK); /* else a process has made it non-blocking for good */
	if (blocks)
		sys_fcntl(fd, F_SETFL, meant | TURN_FLAGS);
	r = sys_accept4(fd, addr, len, flags);
	if (blocks)
		sys_fcntl(fd, F_SETFL, meant);
	if (s->copied)
		turn_set(fd, F_UNLCK);
	s->contested |= r == -EAGAIN;
	return r;
}

/* SO_RCVTIMEO, asked of the kernel: another process may have set it */
static bool has_timeout(int fd)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);

	return !sys_getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) && (tv.tv_sec || tv.tv_usec);
}

bool queue_was_turn(int fd)
{
	bool theirs, was = true;
	long flags;

	lock_take();
	theirs = turn_set(fd, F_WRLCK) == -EAGAIN;
	if (!theirs) {
		was = turn_mend(fd, &flags) || (flags >= 0 && !(flags & O_NONBLOCK) && !has_timeout(fd));
		turn_set(fd, F_UNLCK);
	}
	lock_leave();
	if (theirs)
		sys_poll_ms(NULL, 0, 1);
	return was;
}

bool queue_flags_begin(int fd, struct file *f)
{
	bool same = true;
	long flags;

	for (int ms = 0; same && turn_set(fd, F_WRLCK) == -EAGAIN; ms++) {
		struct hold hold;

		if (ms == FLAGS_MS)
			return true;
		hold_begin(&hold, f);
		lock_leave();
		sys_poll_ms(NULL, 0, 1);
		lock_take();
		same = fd_peek(fd) == f;
		hold_end(&hold);
	}
	if (same)
		turn_mend(fd, &flags);
	return same;
}

void queue_flags_end(int fd)
{
	turn_set(fd, F_UNLCK);
}
