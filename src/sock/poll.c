// SPDX-License-Identifier: BSD-2-Clause
/*
 * poll.c - poll() and select() over descriptors of both kinds
 *
 * Connections on channels are asked here; all others, and listening sockets, UDP sockets and epoll
 * sets in addition, are polled by the kernel, in one array that also holds the kick and the bell while this
 * thread sleeps.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/life.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { ON_STACK = 8, KEPT_ROOM = 64, ROOMS = 8, SELECT_ON_STACK = 64, EXTRA = 2 /* kick and bell */ };

/* One call of poll(). */
struct polling {
	bool heap; /* `kernel` is from malloc() */
	struct pollfd *fds; /* the program's */
	nfds_t n;
	struct pollfd
		*kernel; /* n + EXTRA: what the kernel is to look at, fd -1 for what it is not */
	struct watch *watches; /* room for n; of those that are ours: */
	nfds_t watch_cnt;
	bool any_kernel;
	bool waited; /* it was looked at once, in vain */
	const sigset_t *mask;
};

static bool any_ours(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (fd_peek(fds[i].fd))
			return true;
	return false;
}

static bool is_channel(const struct file *f)
{
	const struct sock *s = container_of((struct file *)(uintptr_t)f, struct sock, file);

	return f->kind == FILE_SOCK && sock_is_channel(s);
}

/* The channel side. Return: descriptors with something to report. */
static int look_channel(struct polling *p)
{
	int cnt = 0;

	p->any_kernel = false;
	for (nfds_t i = 0; i < p->n; i++) {
		struct file *f = fd_peek(p->fds[i].fd);

		p->fds[i].revents = 0;
		p->kernel[i] = p->fds[i];
		if (f) {
			uint32_t want = (uint16_t)p->fds[i].events | POLLERR | POLLHUP;

			p->fds[i].revents = (short)(file_level(f) & want);
			if (is_channel(f))
				p->kernel[i].fd = -1;
		}
		cnt += p->fds[i].revents != 0;
		p->any_kernel |= p->kernel[i].fd >= 0;
	}
	return cnt;
}

/* Add what the kernel found. Return: descriptors with something to report. */
static int merge(struct polling *p)
{
	int cnt = 0;

	for (nfds_t i = 0; i < p->n; i++) {
		if (p->kernel[i].fd >= 0)
			p->fds[i].revents |= p->kernel[i].revents;
		cnt += p->fds[i].revents != 0;
	}
	return cnt;
}

/* What the kernel has just said of listening sockets to the thread that takes from them */
static void note_clients(const struct polling *p)
{
	for (nfds_t i = 0; i < p->n; i++) {
		struct file *f = p->kernel[i].revents & POLLIN ? fd_peek(p->fds[i].fd) : NULL;

		if (f && f->kind == FILE_SOCK && sock_of(f)->state == SOCK_LISTEN)
			sock_of(f)->kernel_has = sock_of(f)->accepter == &sock_signals;
	}
}

static int take_kernels(struct polling *p)
{
	note_clients(p);
	return merge(p);
}

/* @sleeps: who has no channel asks the kernel in the same call that sleeps. To others it may cost more to prepare for sleep. */
static int look(struct polling *p, bool sleeps)
{
	struct timespec zero = { 0 };
	int cnt;

	ctx_process();
	cnt = look_channel(p);
	if (sleeps && !cnt && !(sock.vj && vj_may_spin(sock.vj, false)))
		return 0;
	if (p->any_kernel && sys_ppoll(p->kernel, p->n, &zero, NULL) > 0)
		cnt = take_kernels(p);
	p->waited |= !cnt;
	return cnt;
}

int file_wanted(int fd, struct file *f, uint32_t events)
{
	struct sock *s = f->kind == FILE_SOCK ? sock_of(f) : NULL;

	if (unlikely(fd_peek(fd) != f)) /* closed, and perhaps another's by now; it lives on by another number */
		fd = fd_of_file(f);
	if (f->kind == FILE_EPOLL)
		return events & (POLLIN | POLLRDNORM) ? set_wanted(set_of(f)) : 0;
	if (!s || fd < 0 || (s->state != SOCK_AWAY && s->state != SOCK_LISTEN && s->state != SOCK_UDP) || is_foreign())
		return 0;
	if (s->state == SOCK_UDP) {
		if (s->dgram->heir && (events & (POLLIN | POLLRDNORM)))
			(void)dgram_claim(s);
		return 0;
	}
	if (s->state == SOCK_AWAY && !away_claim(fd, s))
		return 0;
	return events & (POLLIN | POLLRDNORM) ? listener_wanted(fd, s) : 0;
}

uint64_t file_again_ns(struct file *f, uint32_t events)
{
	if (!(events & (POLLIN | POLLRDNORM)))
		return TIME_NEVER;
	if (f->kind == FILE_EPOLL)
		return set_of(f)->again_ns ? set_of(f)->again_ns : TIME_NEVER;
	return f->kind == FILE_SOCK ? listener_again_ns(sock_of(f)) : TIME_NEVER;
}

/* These are waited for. Return: 0; -ENETDOWN: strict. Gives the lock up now and then. */
static VJ_COLD int want_all(const struct pollfd *fds, nfds_t n)
{
	int err = 0;

	for (nfds_t i = 0; i < n && !err && sock.lazy; i++) {
		struct file *f = fd_peek(fds[i].fd);

		if (f)
			err = file_wanted(fds[i].fd, f, (uint16_t)fds[i].events);
	}
	return err;
}

/*
 * Those that left while we slept come back, a little later: whoever took them is to have his turn. What another thread
 * put into a set meanwhile is wanted.
 */
static VJ_COLD void want_again(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct file *f = fd_peek(fds[i].fd);

		if (f && f->kind == FILE_SOCK && sock_of(f)->state == SOCK_AWAY)
			(void)away_claim_back(sock_of(f));
		else if (f && f->kind == FILE_EPOLL)
			(void)file_wanted(fds[i].fd, f, (uint16_t)fds[i].events);
	}
}

static void watches_on(struct polling *p, struct sleeper *sl)
{
	for (nfds_t i = 0; i < p->n; i++) {
		struct file *f = fd_peek(p->fds[i].fd);

		if (likely(!f) || f->kind == FILE_INTERNAL)
			continue;
		p->watches[p->watch_cnt] = (struct watch){ .sleeper = sl };
		watch_link(&p->watches[p->watch_cnt++], f);
		file_get(f);
	}
}

static void watches_off(struct polling *p)
{
	for (nfds_t i = 0; i < p->watch_cnt; i++) {
		watch_unlink(&p->watches[i]);
		file_put(p->watches[i].file);
	}
	p->watch_cnt = 0;
}

/* The thread is cancelled in its sleep, or jumps out of it. */
struct poll_undo {
	struct undo undo;
	struct polling *p;
	struct sleeper *sl;
};

/*
 * Memory for more than a thread's stack may have room for. Up to KEPT_ROOM without malloc(): poll() is called by handlers, too, on top of anything. Such
 * rooms are kept for whoever polls next.
 */
static _Atomic(void *) rooms[ROOMS];

static size_t room_bytes(nfds_t n)
{
	return (n + EXTRA) * sizeof(struct pollfd) + n * sizeof(struct watch);
}

/* Return: of room_put(@n) then; NULL: there is none. */
static void *room_get(nfds_t n)
{
	if (n > KEPT_ROOM)
		return malloc(room_bytes(n));
	for (unsigned i = 0; i < ROOMS; i++) {
		void *kept = atomic_load_explicit(&rooms[i], memory_order_relaxed) ? atomic_exchange(&rooms[i], NULL) : NULL;

		if (kept)
			return kept;
	}
	return pages_get(room_bytes(KEPT_ROOM));
}

static void room_put(void *room, nfds_t n)
{
	if (n > KEPT_ROOM) {
		free(room);
		return;
	}
	for (unsigned i = 0; i < ROOMS && room; i++)
		room = atomic_exchange(&rooms[i], room);
	if (room) /* more threads than that were polling */
		munmap(room, room_bytes(KEPT_ROOM));
}

/* Lock held; it is given up. */
static void polling_end(struct polling *p)
{
	watches_off(p);
	if (p->heap) /* before handlers that were put off, which may jump */
		room_put(p->kernel, p->n);
	p->kernel = NULL;
	lock_leave();
}

static void poll_left(void *arg)
{
	const struct poll_undo *undo = arg;

	sleep_end(undo->sl, NULL);
	kick_return(undo->sl->kick);
	polling_end(undo->p);
}

/* There is no context, nor another thread that could make one: nobody will kick but a handler of this thread, see sleep_is_over(). */
static bool is_only_kernels(void)
{
	return !sock.vj && __libc_single_threaded && !sock.lazy;
}

static void poll_left_inside(void *arg)
{
	lock_take();
	polling_end(arg);
}

/* As sleep_poll(), without kick and bell: see recall.c. */
static int sleep_inside(struct polling *p, int64_t timeout_ns, const struct signal_trace *signals)
{
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
	struct recall rc;
	struct undo undo;
	int r;

	undo_push(&undo, poll_left_inside, p);
	recall_begin(&rc, NULL, signals);
	watches_on(p, &rc.sleeper);
	lock_leave();
	r = (int)recall_call(&rc, SYS_ppoll, (long)p->kernel, (long)p->n, timeout_ns < 0 ? 0 : (long)&ts, (long)p->mask, SYS_SIGSET_BYTES, 0);
	lock_take();
	p->waited |= !r;
	if (!recall_end(&rc, r) || !undo_pop(&undo))
		return -EINTR;
	watches_off(p);
	return rc.looks ? 0 : r; /* a handler is seen there, too */
}

/* @kernel, @n: as in struct polling. No lock */
static int poll_kernels(struct pollfd *kernel, nfds_t n, const struct sleeper *sl, int64_t timeout_ns, const sigset_t *mask)
{
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };

	if (unlikely(sleep_is_over(sl)))
		return -EINTR;
	kernel[n] = (struct pollfd){ .fd = kick_fd(sl->kick), .events = POLLIN };
	kernel[n + 1] = (struct pollfd){ .fd = sl->bell_fd, .events = POLLIN };
	return undo_ppoll(kernel, n + EXTRA, timeout_ns < 0 ? NULL : &ts, mask);
}

/*
 * Without a context it is the kernel that is waited for, and whoever puts something on channels meanwhile.
 * Return: what ppoll() returned, descriptors or -errno; 0 also when there was no need to sleep.
 */
static int sleep_poll(struct polling *p, int64_t timeout_ns, uint64_t deadline_ns, const struct signal_trace *signals)
{
	struct kick kick = { .fd = -1 };
	struct sleeper sl = { .kick = &kick, .signals = *signals, .wake_ns = deadline_ns };
	struct poll_undo undo = { .p = p, .sl = &sl };
	struct pollfd *kernel = p->kernel; /* that one is NULL as soon as a handler has undone the call */
	int r = is_only_kernels() ? 0 : kick_borrow(&kick);

	if (r)
		return r;
	watches_on(p, &sl);
	undo_push(&undo.undo, poll_left, &undo);
	if (sleep_begin(&sl, &timeout_ns)) {
		r = poll_kernels(kernel, p->n, &sl, timeout_ns, p->mask);
		p->waited |= !r;
		sl.kicked = r > 0 && kernel[p->n].revents;
		sl.rung = r < 0 || (r && kernel[p->n + (sl.bell_fd >= 0)].revents);
		if (!sleep_end(&sl, &undo.undo))
			return -EINTR;
	} else {
		undo_pop(&undo.undo);
	}
	watches_off(p);
	kick_return(&kick);
	return r;
}

/* There is nothing, and no time to wait for it; what is pending, and let through by the mask, comes all the same. Return: 0; -EINTR */
static int let_through(struct polling *p)
{
	struct timespec zero = { 0 };
	struct undo undo;
	int r;

	undo_push(&undo, poll_left_inside, p);
	lock_drop();
	r = undo_ppoll(NULL, 0, &zero, p->mask);
	lock_take();
	return undo_pop(&undo) ? r : -EINTR;
}

/* Return: as poll(), -errno. Lock held. */
static int poll_both(struct polling *p, int64_t timeout_ns)
{
	struct signal_trace signals = sock_signals;
	struct spin spin = { 0 };
	uint64_t deadline_ns = 0, now_ns;
	int r;

	for (;;) {
		r = look(p, timeout_ns != 0);
		if (r || !timeout_ns)
			break;
		if (sock_signals.ran != signals.ran) {
			r = -EINTR;
			break;
		}
		now_ns = sys_clock_ns();
		if (!deadline_ns)
			deadline_ns = deadline_after(now_ns, timeout_ns);
		if (now_ns >= deadline_ns) {
			r = p->waited ? 0 : look(p, false);
			break;
		}
		if (spin_turn(&spin))
			continue;
		if (!p->mask && recall_may())
			r = sleep_inside(p, time_left(deadline_ns, now_ns), &signals);
		else
			r = sleep_poll(p, time_left(deadline_ns, now_ns), deadline_ns, &signals);
		if (r > 0) {
			r = take_kernels(p); /* what channels have is found by the next call, if there is something */
			p->waited |= !r;
		}
		if (r)
			break;
		if (unlikely(sock.lazy))
			want_again(p->fds, p->n);
		spin = (struct spin){ 0 };
	}
	if (r > 0)
		spin_won(&spin);
	return unlikely(p->mask && !r) ? let_through(p) : r;
}

/* Among them are some that want something to be done first, now and then. */
static VJ_COLD int poll_lazy(struct polling *p, int64_t timeout_ns)
{
	uint64_t deadline_ns = deadline_after(sys_clock_ns(), timeout_ns);

	for (;;) {
		uint64_t until_ns = deadline_ns;
		int r = want_all(p->fds, p->n);

		for (nfds_t i = 0; i < p->n && !r; i++) {
			struct file *f = fd_peek(p->fds[i].fd);

			if (f)
				until_ns = min_u64(until_ns, file_again_ns(f, (uint32_t)p->fds[i].events));
		}
		if (!r)
			r = poll_both(p, time_left(until_ns, sys_clock_ns()));
		if (r || until_ns == deadline_ns || sys_clock_ns() >= deadline_ns)
			return r;
	}
}

/* Return: as poll(), -errno. @timeout_ns -1: for ever. *@ret_waited: not at once */
static int poll_any(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const sigset_t *mask, bool *ret_waited)
{
	struct pollfd kernel[ON_STACK + EXTRA];
	struct watch watches[ON_STACK];
	struct polling p = {
		.fds = fds, .n = n, .kernel = kernel, .watches = watches, .mask = mask
	};
	int r;

	if (n > ON_STACK) {
		p.kernel = room_get(n);
		if (!p.kernel)
			return -ENOMEM;
		p.heap = true;
		p.watches = (struct watch *)(void *)((uint8_t *)p.kernel +
						     (n + EXTRA) * sizeof(*kernel));
	}
	signals_keep_out(mask);
	lock_take();
	r = unlikely(sock.lazy) ? poll_lazy(&p, timeout_ns) : poll_both(&p, timeout_ns);
	if (p.heap) /* as above */
		room_put(p.kernel, n);
	lock_leave();
	signals_let_in(mask);
	*ret_waited = p.waited;
	return r;
}

/* As the kernel, before any of them is looked at */
static bool is_too_many(nfds_t n)
{
	struct rlimit limit;

	return n > KEPT_ROOM && !getrlimit(RLIMIT_NOFILE, &limit) && n > limit.rlim_cur;
}

VJ_EARLY int sock_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec ts;
	bool waited;

	if (unlikely(caged))
		return caged->ppoll(fds, n, timeout, mask);
	if (timespec_bad(timeout) || is_too_many(n))
		return (int)ret_errno(-EINVAL);
	if (!any_ours(fds, n) || sock_inside) {
		if (timeout)
			ts = *timeout; /* the kernel writes back what was left */
		return (int)ret_errno(ker_ppoll(fds, n, timeout ? &ts : NULL, mask));
	}
	return (int)ret_errno(poll_any(fds, n, timespec_ns(timeout), mask, &waited));
}

VJ_EARLY int sock_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts = { .tv_sec = timeout_ms / 1000,
			       .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };

	if (unlikely(caged))
		return caged->poll(fds, n, timeout_ms);
	return sock_ppoll(fds, n, timeout_ms < 0 ? NULL : &ts, NULL);
}

/*
 * ---- select -------------------------------------------------------------------------------------
 * ----------------
 */

/* What was closed meanwhile is reported as ready, for all that was asked. */
#define SEL_IN (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL)
#define SEL_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL)
#define SEL_EX (POLLPRI | POLLNVAL)

/* Programs pass sets longer than fd_set, so no FD_ISSET(), which checks. */
static bool bit_get(const fd_set *set, int fd)
{
	return set && (((const unsigned long *)set)[fd / 64] >> (fd % 64) & 1);
}

static void bit_set(fd_set *set, int fd, bool on)
{
	unsigned long bit = 1ul << (fd % 64);

	if (!set)
		return;
	if (on)
		((unsigned long *)set)[fd / 64] |= bit;
	else
		((unsigned long *)set)[fd / 64] &= ~bit;
}

/* Return: entries; *ret_ours: is there anything for us in it? */
VJ_EARLY static nfds_t select_collect(int n, const fd_set *r, const fd_set *w, const fd_set *x,
			     struct pollfd *fds, bool *ret_ours)
{
	nfds_t cnt = 0;

	*ret_ours = false;
	for (int fd = 0; fd < n; fd++) {
		short events =
			(short)((bit_get(r, fd) ? SEL_IN : 0) | (bit_get(w, fd) ? SEL_OUT : 0) |
				(bit_get(x, fd) ? SEL_EX : 0));

		if (!events)
			continue;
		if (fds)
			fds[cnt] = (struct pollfd){ .fd = fd, .events = events };
		*ret_ours |= fd_peek(fd) != NULL;
		cnt++;
	}
	return cnt;
}

/* @waited: all were descriptors at first. Return: bits set, or -EBADF. */
static int select_report(int n, fd_set *r, fd_set *w, fd_set *x, const struct pollfd *fds,
			 nfds_t cnt, bool waited)
{
	int bits = 0;

	for (nfds_t i = 0; i < cnt && !waited; i++)
		if (fds[i].revents & POLLNVAL)
			return -EBADF;
	for (nfds_t i = 0; i < cnt; i++) {
		int fd = fds[i].fd;
		bool in = (fds[i].revents & SEL_IN) && bit_get(r, fd);
		bool out = (fds[i].revents & SEL_OUT) && bit_get(w, fd);
		bool ex = (fds[i].revents & SEL_EX) && bit_get(x, fd);

		VJ_DASSERT_OP(fd, <, n);
		bit_set(r, fd, in);
		bit_set(w, fd, out);
		bit_set(x, fd, ex);
		bits += in + out + ex;
	}
	(void)n;
	return bits;
}

/* @timeout, NULL: for ever, becomes what is left of it since @start_ns. */
static void timeout_left(struct timespec *timeout, uint64_t start_ns)
{
	uint64_t left_ns;

	if (!timeout)
		return;
	left_ns = time_sub_sat((uint64_t)timespec_ns(timeout), sys_clock_ns() - start_ns);
	*timeout = (struct timespec){ .tv_sec = (time_t)(left_ns / NS_PER_SEC), .tv_nsec = (long)(left_ns % NS_PER_SEC) };
}

/* Return: as select_for(); *ret_ours false: nothing of ours in it, ask the kernel. */
VJ_EARLY static int select_any(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout,
		      const sigset_t *mask, bool *ret_ours)
{
	struct pollfd on_stack[SELECT_ON_STACK], *fds = on_stack;
	uint64_t start_ns;
	bool waited = false;
	nfds_t cnt = select_collect(n, r, w, x, NULL, ret_ours);
	int ret;

	if (!*ret_ours)
		return 0;
	if (cnt > SELECT_ON_STACK) {
		fds = malloc(cnt * sizeof(*fds));
		if (!fds)
			return -ENOMEM;
	}
	select_collect(n, r, w, x, fds, ret_ours);
	*ret_ours = true;
	start_ns = timeout ? sys_clock_ns() : 0;
	ret = poll_any(fds, cnt, timespec_ns(timeout), mask, &waited);
	timeout_left(timeout, start_ns);
	if (ret >= 0)
		ret = select_report(n, r, w, x, fds, cnt, waited);
	if (fds != on_stack)
		free(fds);
	return ret;
}

/* Return: as select(), -errno. @timeout becomes what is left of it. */
VJ_EARLY static int select_for(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout, const sigset_t *mask)
{
	bool ours = false;
	int ret = 0;

	if (n >= 0 && !timespec_bad(timeout) && !sock_inside && layer_began())
		ret = select_any(n, r, w, x, timeout, mask, &ours);
	return ours ? ret : ker_pselect(n, r, w, x, timeout, mask);
}

int sock_pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
		 const sigset_t *mask)
{
	struct timespec ts;

	if (unlikely(caged))
		return caged->pselect(n, r, w, x, timeout, mask);
	if (timeout)
		ts = *timeout;
	return (int)ret_errno(select_for(n, r, w, x, timeout ? &ts : NULL, mask));
}

VJ_EARLY int sock_select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
	struct timespec ts;
	int ret;

	if (unlikely(caged))
		return caged->select(n, r, w, x, timeout);
	if (!timeout)
		return (int)ret_errno(select_for(n, r, w, x, NULL, NULL));
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
		return (int)ret_errno(-EINVAL);
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
	ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
	ret = select_for(n, r, w, x, &ts, NULL);
	timeout->tv_sec = ts.tv_sec; /* Linux tells what was left */
	timeout->tv_usec = (suseconds_t)(ts.tv_nsec / 1000);
	return (int)ret_errno(ret);
}
