// SPDX-License-Identifier: BSD-2-Clause
/*
 * epoll.c - epoll sets over descriptors of both kinds: waiting. What is in them: epoll_ctl.c
 *
 * The program's epoll descriptor is a kernel epoll set. Descriptors of the kernel are registered
 * there as the program asks, with its own data, so what the kernel reports is copied through. A
 * connection on a channel is registered here only, as a watch; whatever can be ready on both sides
 * (listening and UDP sockets, sockets not decided yet, epoll sets with watches) is on both, in
 * the kernel with a mark of ours in place of the program's data.
 *
 * As in the kernel, a watch that may be ready is on the set's ready list. epoll_wait() takes it
 * off, asks for the level, and puts it back unless it is edge-triggered, spent, or not ready after
 * all: the work is that of the ready, not of the watched. While watches keep it busy, the kernel's
 * set is asked every 50 µs.
 *
 * Marks: 40 random bits and 24 bits of descriptor number. A program's own data has them by chance
 * once in 2^40 registrations.
 */
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/epoll_priv.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/ticks.h"

#include <fcntl.h>
#include <string.h>

/* A clock that costs nothing, for "about 50 µs": of a counter of some GHz; others are slower */
static inline uint64_t ticks_now(void)
{
	uint64_t ticks = cpu_ticks();

	return likely(ticks) ? ticks : sys_clock_ns();
}
enum { LOOK_TICKS = 100000 };

/* ---- what is ready ---------------------------------------------------------------------------------------- */

/* A one-shot watch has fired: nothing more until EPOLL_CTL_MOD, from either side. */
static void watch_spend(struct epoll_set *set, struct watch *w, bool kernel_knows)
{
	struct epoll_event off = { .data.u64 = mark_base | (uint64_t)w->fd };

	w->events &= EP_PRIVATE;
	if (w->in_kernel && !kernel_knows)
		sys_epoll_ctl(set->epfd, EPOLL_CTL_MOD, w->fd, &off);
}

/*
 * Another process with the same set of the kernel's may have taken out what is here on both sides. What is there is refused, so that asking changes
 * nothing; what is not, is told of for a moment to who waits there, as a kick that was nobody's: an error or the end at most, once.
 */
static VJ_COLD bool is_taken_out(const struct epoll_set *set, const struct watch *w)
{
	struct epoll_event none = { .events = EPOLLET | EPOLLONESHOT, .data.u64 = mark_base | MARK_KICK };

	/* the number may have been closed, and be another's: that is no taking out */
	if (fd_peek(w->fd) != w->file || sys_epoll_ctl(set->epfd, EPOLL_CTL_ADD, w->fd, &none))
		return false;
	sys_epoll_ctl(set->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	return true;
}

static bool others_have(const struct epoll_set *set)
{
	return unlikely(set->inherited || set->forks != sock.forks);
}

/* @ev has @n already, those of the kernel's side. Return: events in it, up to @max. */
static int collect(struct epoll_set *set, struct epoll_event *ev, int n, int max)
{
	for (uint32_t left = set->ready_cnt; left && n < max; left--) {
		struct watch *w = set->ready.ready_next;
		uint32_t level = file_level(w->file) & w->events;

		if (!level) {
			ready_del(set, w);
			continue;
		}
		if (others_have(set) && w->in_kernel && !is_channel_only(w->file) && is_taken_out(set, w)) {
			watch_destroy(w);
			continue;
		}
		if (unlikely(w->round == set->round)) {
			ev[w->place].events |= level;
		} else {
			ev[n++] = (struct epoll_event){ .events = level, .data.u64 = w->data }; /* before: this may be a fault */
			w->round = set->round;
		}
		ready_del(set, w);
		if (unlikely(w->events & EPOLLONESHOT))
			watch_spend(set, w, false);
		else if (!(w->events & EPOLLET))
			ready_add(set, w);
	}
	return n;
}

/* ---- epoll_wait ------------------------------------------------------------------------------------------ */

/* What the kernel's set reported, marks taken out or replaced by what they stand for. Lock held. Return: events left. */
static int translate(struct epoll_set *set, struct epoll_event *ev, int n)
{
	int out = 0;

	for (int i = 0; i < n; i++) {
		int fd = (int)(ev[i].data.u64 & MARK_LOW);
		struct file *f;
		struct watch *w;

		if (!is_mark(ev[i].data.u64)) {
			ev[out++] = ev[i];
			continue;
		}
		f = fd_peek(fd);
		w = f ? watch_find(set, f, fd) : NULL;
		if (unlikely(!w) && fd < (int)MARK_BELL) /* neither kick nor bell */
			w = watch_of_closed(set, fd);
		if (!w || w->round == set->round) /* or reported in this call already */
			continue;
		if (is_channel_only(w->file)) {
			set->called |= w->called = sock_of(w->file)->state == SOCK_AWAY;
			set_stir(set);
			continue;
		}
		w->round = set->round;
		w->place = out;
		ev[out++] = (struct epoll_event){ .events = ev[i].events, .data.u64 = w->data };
		if (w->events & EPOLLONESHOT)
			watch_spend(set, w, true);
	}
	return out;
}

static bool has_mark(const struct epoll_event *ev, int n, uint64_t mark)
{
	for (int i = 0; i < n; i++)
		if (ev[i].data.u64 == (mark_base | mark))
			return true;
	return false;
}

static int look(struct epoll_set *set, int epfd, struct epoll_event *ev, int max)
{
	int n = sys_epoll_pwait(epfd, ev, max, 0, NULL);

	if (n > 0 && unlikely(has_mark(ev, n, MARK_KICK)) && !set->asleep) { /* by who wrote when he who slept was awake already */
		set->kick.sent = true;
		kick_drain(&set->kick);
		if (n == max)
			n = sys_epoll_pwait(epfd, ev, max, 0, NULL);
	}
	set->looked_ticks = ticks_now();
	return n > 0 ? translate(set, ev, n) : n;
}

static bool look_due(const struct epoll_set *set)
{
	return atomic_load_explicit(&set->kernel_cnt, memory_order_relaxed) &&
	       ticks_now() - set->looked_ticks > LOOK_TICKS;
}

/*
 * What both sides have. When it is the kernel's turn it comes first, with half of the room, so that channels which are always ready
 * leave nobody out. An error of its set waits until there is nothing else.
 */
static int look_both(struct epoll_set *set, int epfd, struct epoll_event *ev, int max)
{
	int n = set->ready_cnt && look_due(set) ? look(set, epfd, ev, (max + 1) / 2) : 0;

	if (n < 0)
		n = 0;
	return collect(set, ev, n, max);
}

void sets_unbell(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		if (fd_peek(fd)->kind == FILE_EPOLL)
			kick_unbell(&set_of(fd_peek(fd))->kick);
}

/* The thread is cancelled in its sleep, or jumps out of it. */
struct set_undo {
	struct undo undo;
	struct epoll_set *set;
	struct sleeper *sl;
};

static void set_left(void *arg)
{
	const struct set_undo *undo = arg;

	sleep_over(undo->sl, NULL);
	sleep_end(undo->sl);
	undo->set->asleep--;
	file_put(&undo->set->file);
	lock_leave();
}

/*
 * The bell is not in the set: the kernel has no memory for it, or the set is in sets that are in others, as deep as the kernel allows, which one
 * below would be too many for. So it is waited for beside the set. @ret_rung: else not written
 * Return: as epoll_wait(), 0 also when the bell rang.
 */
static VJ_COLD int sleep_beside(int epfd, int bell_fd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, bool *ret_rung)
{
	struct pollfd pfd[] = { { .fd = epfd, .events = POLLIN }, { .fd = bell_fd, .events = POLLIN } };
	struct timespec ts = timespec_of(timeout_ns);
	int n = undo_ppoll(pfd, ARRAY_SIZE(pfd), timeout_ns < 0 ? NULL : &ts, mask);

	if (n <= 0)
		return n;
	*ret_rung = pfd[1].revents != 0;
	return sys_epoll_pwait(epfd, ev, max, 0, NULL);
}

/* Return: events, 0 if it is to look again, -errno. The lock is given up meanwhile. */
static int set_sleep(struct epoll_set *set, int epfd, struct epoll_event *ev, int max,
		     int64_t timeout_ns, const sigset_t *mask, struct sleeper *sl)
{
	struct set_undo undo = { .set = set, .sl = sl };
	bool rung = false;
	int n = 0;

	file_get(&set->file);
	set->asleep++;
	undo_push(&undo.undo, set_left, &undo);
	kick_seat(&set->kick, set->epfd, mark_base | MARK_BELL);
	if (sleep_begin(sl, &timeout_ns)) {
		bool beside = sl->bell_fd >= 0;

		lock_drop();
		if (unlikely(sleep_is_over(sl))) {
			n = -EINTR;
		} else if (unlikely(beside)) {
			n = sleep_beside(epfd, sl->bell_fd, ev, max, timeout_ns, mask, &rung);
		} else {
			n = undo_epoll(epfd, ev, max, timeout_ns, mask);
		}
		if (!sleep_over(sl, &undo.undo))
			return -EINTR;
		sl->kicked = has_mark(ev, n, MARK_KICK);
		sl->rung = n < 0 || (beside ? rung : n == max || has_mark(ev, n, MARK_BELL)); /* not every event may have found room */
		sleep_end(sl);
	} else {
		undo_pop(&undo.undo);
		kick_drain(&set->kick);
	}
	set->asleep--;
	set->looked_ticks = ticks_now();
	set->round++;
	if (n > 0)
		n = translate(set, ev, n);
	file_put(&set->file);
	return n;
}

/* Does file_wanted() give the lock up for it? */
static bool gives_up_lock(const struct watch *w)
{
	const struct sock *s = file_sock(w->file);

	if (sock.exiting || is_foreign()) /* one that exits, or is a copy, does not claim */
		return false;
	if (!s)
		return w->file->kind == FILE_EPOLL && set_is_due(set_of(w->file));
	return s->state == SOCK_AWAY || (s->state == SOCK_UDP && s->dgram->heir && (w->events & (EPOLLIN | EPOLLRDNORM)));
}

/*
 * The set is waited on, and so are the listening sockets in it. In a child of fork() it also needs a kick of its own.
 * Return: 0; -ENETDOWN; -EMFILE.
 */
static VJ_COLD int set_prepare(struct epoll_set *set)
{
	int err = is_foreign() ? 0 : set_open_up(set);
	uint64_t again_ns = TIME_NEVER;

	set->fresh_watches = false;
	for (struct watch *w = set->watches; w && !err && sock.lazy; w = w->set_next) {
		bool gives_up = gives_up_lock(w);

		err = file_wanted(w->fd, w->file, w->events);
		if (gives_up && !err) {
			set->fresh_watches = true;
			break;
		}
		again_ns = min_u64(again_ns, file_again_ns(w->file, w->events));
	}
	set->again_ns = again_ns == TIME_NEVER ? 0 : again_ns;
	return err;
}

/* Connections come back for which something has come that nobody else waits for. */
static void set_claim(struct epoll_set *set)
{
	set->called = false;
	for (struct watch *w = set->watches, *next; w; w = next) {
		bool called = w->called && sock_of(w->file)->state == SOCK_AWAY;

		next = called ? set->watches : w->set_next; /* the lock is given up */
		w->called = false;
		if (called && away_claim(w->fd, sock_of(w->file)))
			away_lends(sock_of(w->file), true);
	}
}

/* The set may be closed behind it. */
VJ_COLD int set_wanted(struct epoll_set *set)
{
	int err = 0;

	file_get(&set->file);
	if (set->called)
		set_claim(set);
	set->fresh_watches |= set->again_ns && sys_clock_ns() >= set->again_ns;
	while (set->fresh_watches && !err)
		err = set_prepare(set);
	file_put(&set->file);
	return err;
}

/* Not beyond when the set is to be prepared again. @timeout_ns: until sl->wake_ns; -1: never. Return: likewise, shortened as that is */
static VJ_COLD int64_t sleep_until_again(const struct epoll_set *set, struct sleeper *sl, int64_t timeout_ns)
{
	if (set->again_ns >= sl->wake_ns)
		return timeout_ns;
	sl->wake_ns = set->again_ns;
	return time_left(set->again_ns, sys_clock_ns());
}

/* Is there nothing of ours to be told or done? What there may be next comes by set_stir(), or ends sock.calm. */
static bool set_is_idle(const struct epoll_set *set)
{
	return sock.calm && !set->ready_cnt && !set->again_ns && !set_is_due(set) && set->kick.fd >= 0 && (!sock.copied || family_is_calm());
}

/* Return: as epoll_wait(), -errno. @signals: when the call began. Lock held. */
static int set_wait(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, const struct signal_trace *signals)
{
	struct spin spin = { 0 };
	uint64_t deadline_ns = 0, now_ns;
	int n = 0;

	for (;;) {
		if (unlikely(set_is_due(set))) {
			n = set_wanted(set);
			if (!n && fd_peek(epfd) != &set->file)
				n = -EBADF;
		}
		if (unlikely(n))
			break;
		ctx_process();
		set->round++;
		n = look_both(set, epfd, ev, max);
		if (likely(n))
			break;
		if (!timeout_ns)
			n = look(set, epfd, ev, max);
		if (unlikely(set->called) && !n) /* such an event comes once */
			continue;
		if (!timeout_ns)
			break;
		if (sock_signals.ran != signals->ran) {
			n = -EINTR;
			break;
		}
		if (sock.vj && spin_turn(&spin)) {
			if (fd_peek(epfd) != &set->file)
				return -EBADF;
			continue;
		}
		if (timeout_ns > 0) {
			now_ns = sys_clock_ns();
			if (!deadline_ns)
				deadline_ns = deadline_after(now_ns, timeout_ns);
			else if (now_ns >= deadline_ns)
				break;
			timeout_ns = time_left(deadline_ns, now_ns);
		}
		struct sleeper sl = { .kick = &set->kick, .signals = *signals, .wake_ns = deadline_ns ? deadline_ns : TIME_NEVER, .is_calm = set_is_idle(set) };
		if (sl.is_calm)
			atomic_store(&set->calm, sock.calm);
		n = set_sleep(set, epfd, ev, max, unlikely(set->again_ns) ? sleep_until_again(set, &sl, timeout_ns) : timeout_ns, mask, &sl);
		if (n)
			break;
		if (fd_peek(epfd) != &set->file)
			return -EBADF;
		spin = (struct spin){ 0 };
	}
	if (n > 0)
		spin_won(&spin);
	if (n == max && set_is_slept_in(set) && set->ready_cnt) /* one kick is for all that came at once; there may be more than we had room for */
		kick_send(&set->kick);
	return n;
}

/* The lock is taken if it is a set, and what is behind @epfd is still one; else NULL */
static struct epoll_set *set_enter(int epfd)
{
	struct file *f = file_enter(epfd);

	if (likely(f && f->kind == FILE_EPOLL))
		return set_of(f);
	if (f)
		lock_leave();
	return NULL;
}

/* Among the @n events that the kernel's set has told are marks. Nothing else was done, so that others who sleep have not to be looked after. Return: events left; -EBADF */
static VJ_NOINLINE int wait_marked(int epfd, struct epoll_event *ev, int n)
{
	struct epoll_set *set = set_enter(epfd);

	if (!set)
		return -EBADF;
	set->round++;
	n = translate(set, ev, n);
	if (unlikely(set->called))
		lock_leave();
	else
		lock_drop();
	return n;
}

static VJ_NOINLINE int wait_ours(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, const struct signal_trace *signals)
{
	struct epoll_set *set = set_enter(epfd);
	int n;

	if (!set)
		return -EBADF;
	n = set_wait(set, epfd, ev, max, timeout_ns, mask, signals);
	lock_leave();
	return n;
}

/* As the kernel serves it, for as long as that is all. Return: as epoll_wait(), -errno; 0 and @ret_ours: there is more to it, and *timeout_ns is left */
VJ_DIRECT static int wait_first(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t *timeout_ns, const sigset_t *mask, bool *ret_ours)
{
	uint64_t deadline_ns = *timeout_ns > 0 ? deadline_after(ker_clock_late_ns(), *timeout_ns) : 0;
	int n;

	if (*timeout_ns)
		n = wait_kernel(set, epfd, ev, max, *timeout_ns, mask, ret_ours);
	else /* nobody has to call it back */
		n = ker_epoll_wait(epfd, ev, max, 0, mask);
	for (int i = 0; i < n; i++)
		*ret_ours |= is_mark(ev[i].data.u64);
	if (n > 0 && *ret_ours)
		n = wait_marked(epfd, ev, n);
	if (!n && *ret_ours && deadline_ns)
		*timeout_ns = time_left(deadline_ns, sys_clock_ns());
	return n;
}

VJ_DIRECT static int wait_any(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask)
{
	struct file *f = fd_peek(epfd);
	struct signal_trace signals;
	bool ours = true;
	int n = 0;

	if (max <= 0 || sock_inside || !f || f->kind != FILE_EPOLL)
		return ker_epoll_wait(epfd, ev, max, timeout_ns, mask);
	signals_keep_out(mask);
	signals = sock_signals;
	if (set_is_kernels(set_of(f))) {
		ours = false;
		n = wait_first(set_of(f), epfd, ev, max, &timeout_ns, mask, &ours);
	}
	if (!n && ours)
		n = wait_ours(epfd, ev, max, timeout_ns, mask, &signals);
	signals_let_in(mask);
	return n;
}

VJ_DIRECT int sock_epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout_ms, const sigset_t *mask)
{
	int64_t timeout_ns = timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000000;

	if (unlikely(caged))
		return caged->epoll_pwait(epfd, ev, max, timeout_ms, mask);
	return (int)ret_errno(wait_any(epfd, ev, max, timeout_ns, mask));
}

VJ_DIRECT int sock_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
	return unlikely(caged) ? caged->epoll_wait(epfd, ev, max, timeout_ms) : sock_epoll_pwait(epfd, ev, max, timeout_ms, NULL);
}

int sock_epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout, const sigset_t *mask)
{
	if (timespec_bad(timeout))
		return (int)ret_errno(-EINVAL);
	return (int)ret_errno(wait_any(epfd, ev, max, timespec_ns(timeout), mask));
}
