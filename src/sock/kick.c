// SPDX-License-Identifier: BSD-2-Clause
/*
 * kick.c - what wakes a sleeping thread of this process, and where it hears the bell
 *
 * The leader also sleeps on libvj's bell (wait.c). In a process in which several threads sleep, each does so in a seat, an epoll set that holds its kick. So the
 * bell can be put there, or taken away, while the thread sleeps on: to make another thread the leader takes two system calls, and wakes no thread. An epoll
 * set of the program's, and one for the kernel's accept queue (queue.c), are seats themselves.
 */
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/queue.h"
#include "sock/recall.h"

#include "base/time.h"
#include "lib/own_fd.h"

#include <string.h>
#include <sys/eventfd.h>

/* Those of blocking calls and poll(); an epoll set has its own. */
static struct kick spares[64] VJ_SELDOM;
static unsigned spare_cnt VJ_LATER;
/* Each ring of the bell has to look at all seats, so there are few. A thread without one is kicked by the leader for its events, as long as another one leads. */
enum { SEATS_MAX = 16 };
static unsigned seat_cnt VJ_LATER;

int kick_open(struct kick *k)
{
	k->fd = OWN_FD_MAKE(sys_eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	k->sent = false;
	return k->fd < 0 ? k->fd : 0;
}

/* Kicks that are sent, to be written to when the lock is given up */
static int due_fds[8];
static _Atomic uint32_t kickers; /* threads that write without the lock */

static void kick_write(int fd)
{
	static const uint64_t one = 1;

	sys_write(fd, &one, sizeof(one));
}

void due_add(int timer_fd)
{
	if (unlikely(sock.kicks_due == ARRAY_SIZE(due_fds))) /* that are kicks: it is there once */
		kick_write(due_fds[--sock.kicks_due]);
	due_fds[sock.kicks_due++] = timer_fd;
}

static void kick_sent(struct kick *k)
{
	k->sent = true;
	if (k->sleepers && !k->calls) {
		k->calls = true;
		sock.called++;
	}
}

VJ_COLD void kick_again(struct kick *k)
{
	if (recall_send(k))
		kick_sent(k);
}

void kick_send(struct kick *k)
{
	if (k->sent)
		return;
	if (unlikely(k->inside != NULL)) {
		kick_again(k);
		return;
	}
	if (k->fd < 0)
		return;
	kick_sent(k);
	if (unlikely(sock.kicks_due == ARRAY_SIZE(due_fds)))
		kick_write(k->fd);
	else
		due_fds[sock.kicks_due++] = k->fd;
}

void kickers_begin(void)
{
	atomic_fetch_add(&kickers, 1);
}

void kickers_end(void)
{
	atomic_fetch_sub(&kickers, 1);
}

void kicks_unlock(void)
{
	int fds[ARRAY_SIZE(due_fds)];
	uint32_t cnt;

	if (sock.helper.state == HELPER_DUE)
		helper_watch();
	cnt = sock.kicks_due;
	memcpy(fds, due_fds, sizeof(fds));
	sock.kicks_due = 0;
	kickers_begin();
	pthread_mutex_unlock(&sock.lock);
	for (uint32_t i = 0; i < cnt; i++)
		kick_write(fds[i]);
	kickers_end();
}

bool due_take_back(int fd)
{
	for (uint32_t i = 0; i < sock.kicks_due; i++) {
		if (due_fds[i] != fd)
			continue;
		due_fds[i] = due_fds[--sock.kicks_due];
		return true;
	}
	return false;
}

void kick_drain(struct kick *k)
{
	uint64_t cnt;

	if (!k->sent)
		return;
	k->sent = false;
	sock.called -= k->calls;
	k->calls = false;
	if (k->fd >= 0 && !due_take_back(k->fd))
		sys_read(k->fd, &cnt, sizeof(cnt));
}

void kickers_wait(void)
{
	static const struct timespec moment = { .tv_nsec = 20 * NS_PER_US };

	while (atomic_load(&kickers))
		SYS_CALL4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
}

/* Close @fd only when no thread can be about to write to it: its number may be another descriptor's next. */
static void kick_fd_close(int fd)
{
	due_take_back(fd);
	kickers_wait();
	own_fd_close(fd);
}

void kick_close(struct kick *k)
{
	if (k->owns_seat) {
		own_fd_close(k->seat);
		seat_cnt--;
	}
	if (k->fd >= 0)
		kick_fd_close(k->fd);
	sock.called -= k->calls;
	*k = (struct kick){ .fd = -1 };
}

void kick_seat(struct kick *k, int epfd, uint64_t bell_mark)
{
	k->seat = epfd;
	k->seated = true;
	k->bell_mark = bell_mark;
}

/* Once in it stays in: to add a set of epoll to another one the kernel looks for circles, by all that are in it, under one lock for all of the host. */
bool kick_bell(struct kick *k, bool on)
{
	struct epoll_event ev = { .events = on ? EPOLLIN : 0, .data.u64 = k->bell_mark };

	if (k->bell_on != on && !sys_epoll_ctl(k->seat, k->bell_in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, vj_fd(sock.vj), &ev)) {
		k->bell_in = true;
		k->bell_on = on;
	}
	return k->bell_on == on;
}

void kick_unbell(struct kick *k)
{
	if (k->bell_in)
		sys_epoll_ctl(k->seat, EPOLL_CTL_DEL, vj_fd(sock.vj), NULL);
	k->bell_in = k->bell_on = false;
}

int kick_seat_make(struct kick *k, uint64_t kick_mark, uint64_t bell_mark)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = kick_mark };
	int epfd = OWN_FD_MAKE(sys_epoll_create(EPOLL_CLOEXEC)), err;

	if (epfd < 0)
		return epfd;
	err = sys_epoll_ctl(epfd, EPOLL_CTL_ADD, k->fd, &ev);
	if (err) {
		own_fd_close(epfd);
		return err;
	}
	kick_seat(k, epfd, bell_mark);
	k->owns_seat = true;
	seat_cnt++;
	return 0;
}

void kick_borrow(struct kick *ret_kick)
{
	*ret_kick = (struct kick){ .fd = -1 };
	if (spare_cnt)
		*ret_kick = spares[--spare_cnt];
	if (unlikely(ret_kick->bell_on) && !sock.vj) /* nobody takes from it any more what has rung */
		kick_close(ret_kick);
	if (ret_kick->fd < 0 && unlikely(kick_open(ret_kick)))
		ret_kick->fd = -1;
	else if (unlikely(sock.crowd) && !ret_kick->seated && seat_cnt < SEATS_MAX)
		kick_seat_make(ret_kick, WOKE_KICK, WOKE_BELL); /* without one it sleeps as if it were alone */
}

void kick_return(struct kick *k)
{
	if (k->fd < 0)
		return;
	kick_drain(k);
	if (spare_cnt < ARRAY_SIZE(spares))
		spares[spare_cnt++] = *k;
	else
		kick_close(k);
}

VJ_EARLY void kicks_forget(void)
{
	while (spare_cnt)
		kick_close(&spares[--spare_cnt]);
	queues_forget();
}

VJ_EARLY void kicks_forked(void)
{
	sock.kicks_due = sock.called = 0;
	if (unlikely(sock.crowd))
		sock.crowd = false;
	if (unlikely(atomic_load_explicit(&kickers, memory_order_relaxed))) /* threads that are not here */
		atomic_store(&kickers, 0);
	queues_forked();
	kicks_forget();
	if (unlikely(seat_cnt)) /* theirs */
		seat_cnt = 0;
}
