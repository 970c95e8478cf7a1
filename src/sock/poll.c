// SPDX-License-Identifier: BSD-2-Clause
/*
 * poll.c - poll() and select() over descriptors of both kinds
 *
 * Connections on channels are asked here; all others, and listening sockets, UDP sockets and epoll
 * sets in addition, are polled by the kernel, in one array that also holds the kick and the bell while this
 * thread sleeps.
 *
 * If none of its descriptors is ours the program's call is the plain system call. So it is while the process is calm (calm.h), if the kernel reports all events
 * of those that are ours; then the thread can be recalled from it (recall.c).
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/assert.h"
#include "base/time.h"
#include "lib/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { ON_STACK = 8, KEPT_ROOM = 64, ROOMS = 8, SELECT_ON_STACK = 64, SURELY_THERE = 256, EXTRA = 2 /* kick and bell */ };

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
	bool inside; /* in: it may go on by call_calm() */
	uint32_t calm; /* the kernel tells all of them; 0 */
	const sigset_t *mask;
};

/* ---- as the kernel serves it ----------------------------------------------------------------------------------- */

/* The program's own */
struct kernel_call {
	long nr;
	long arg[6];
};

/* What is it about? */
struct whose {
	bool calms; /* files of ours of which the kernel told all while it was `calm` */
	bool ours; /* and others */
	uint32_t calm;
};

static inline bool is_kernels(struct whose w)
{
	return !w.calms && !w.ours;
}

/* As long as nobody is on channels, and nothing of ours comes into a set */
static bool kernel_tells_all(const struct file *f)
{
	const struct sock *s = container_of((struct file *)(uintptr_t)f, struct sock, file);

	if (f->kind == FILE_EPOLL)
		return !atomic_load_explicit(&set_of((struct file *)(uintptr_t)f)->ours, memory_order_relaxed);
	if (f->kind != FILE_SOCK || (s->state == SOCK_LISTEN && !s->has_listener && !s->kernel_only) || (s->state == SOCK_UDP && s->dgram->heir))
		return false;
	return (s->state == SOCK_LISTEN || s->state == SOCK_UDP || s->state == SOCK_FRESH) &&
	       !(sock_level(s) & ~(uint32_t)(EPOLLOUT | EPOLLWRNORM)); /* UDP is written to on either side */
}

/* There is no context, nor another thread that could make one. No lock */
VJ_EARLY static bool is_only_kernels(const struct file *f)
{
	return __libc_single_threaded && !sock.vj && !sock.lazy && kernel_tells_all(f);
}

VJ_EARLY static void whose_add(struct whose *w, const struct file *f)
{
	if (unlikely(!atomic_load_explicit(&sock.polls, memory_order_relaxed)))
		atomic_store_explicit(&sock.polls, true, memory_order_relaxed);
	if (!w->calm)
		w->calm = atomic_load(&sock.inside);
	if (w->calm && likely(atomic_load_explicit(&f->calm, memory_order_relaxed) == w->calm))
		w->calms = true;
	else
		w->ours |= !is_only_kernels(f);
}

/* As the kernel, before any of them is looked at */
VJ_EARLY static bool is_too_many(nfds_t n, nfds_t surely_not)
{
	struct rlimit limit;

	return unlikely(n > surely_not) && !getrlimit(RLIMIT_NOFILE, &limit) && n > limit.rlim_cur;
}

/* What the kernel refuses is its. */
VJ_EARLY static struct whose poll_whose(const struct pollfd *fds, nfds_t n)
{
	struct whose w = { .calm = 0 };

	if (is_wild(fds) || unlikely(sock_inside) || is_too_many(n, SURELY_THERE))
		return w;
	for (nfds_t i = 0; i < n && likely(!w.ours); i++) {
		const struct file *f = fd_peek(fds[i].fd);

		if (unlikely(f != NULL))
			whose_add(&w, f);
	}
	return w;
}

/* Return: as the call. *@ret_back: it was called back, or there is more to it: look again */
static VJ_NOINLINE long call_calm(const struct kernel_call *c, uint32_t calm, bool waits, const struct signal_trace *signals, bool *ret_back)
{
	struct recall rc;
	long r;

	*ret_back = !waits && atomic_load(&sock.calm) != calm;
	if (!waits)
		return *ret_back ? 0 : KER_POINT(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]); /* nobody has to call it back */
	*ret_back = !recall_place(&rc, signals, calm);
	if (*ret_back)
		return 0;
	r = recall_call(&rc, c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
	if (!recall_leave_place(&rc, r))
		return -EINTR;
	*ret_back = rc.looks;
	return r;
}

/* ---- both sides ------------------------------------------------------------------------------------------------ */

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

/* Of which of them the kernel tells all as long as it is calm. Return: of all */
static bool note_calm(const struct polling *p)
{
	bool all = recall_may();

	if (!all)
		return false;
	for (nfds_t i = 0; i < p->n; i++) {
		struct file *f = fd_peek(p->fds[i].fd);
		bool tells = f && kernel_tells_all(f);

		if (tells)
			atomic_store_explicit(&f->calm, sock.calm, memory_order_relaxed);
		all &= tells || !f;
	}
	return all;
}

/* What the kernel has just said of listening sockets to the thread that takes from them */
static void note_clients(const struct polling *p)
{
	for (nfds_t i = 0; i < p->n; i++) {
		struct sock *s = p->kernel[i].revents & POLLIN ? file_sock(fd_peek(p->fds[i].fd)) : NULL;

		if (s && s->state == SOCK_LISTEN)
			s->kernel_has = s->accepter == &sock_signals;
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
	p->calm = sock.calm && note_calm(p) ? sock.calm : 0;
	if (sleeps && !cnt && !(sock.vj && vj_may_spin(sock.vj, false)))
		return 0;
	if (p->any_kernel && sys_ppoll(p->kernel, p->n, &zero, NULL) > 0)
		cnt = take_kernels(p);
	p->waited |= !cnt;
	return cnt;
}

int file_wanted(int fd, struct file *f, uint32_t events)
{
	struct sock *s = file_sock(f);

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

	sleep_over(undo->sl, NULL);
	sleep_end(undo->sl);
	kick_return(undo->sl->kick);
	polling_end(undo->p);
}

static void poll_left_inside(void *arg)
{
	lock_take();
	polling_end(arg);
}

/* The lock is given up: from there on the memory is another's if a handler has undone the call, which then doesn't reach the kernel. */
static int poll_kernels(const struct polling *p, const struct sleeper *sl, int64_t timeout_ns)
{
	struct timespec ts = timespec_of(timeout_ns);
	struct pollfd *kernel = p->kernel;

	kernel[p->n] = (struct pollfd){ .fd = kick_fd(sl->kick), .events = POLLIN };
	kernel[p->n + 1] = (struct pollfd){ .fd = sl->bell_fd, .events = POLLIN };
	lock_drop();
	return unlikely(sleep_is_over(sl)) ? -EINTR : undo_ppoll(kernel, p->n + EXTRA, timeout_ns < 0 ? NULL : &ts, p->mask);
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
	int r = 0;

	kick_borrow(&kick);
	watches_on(p, &sl);
	undo_push(&undo.undo, poll_left, &undo);
	if (sleep_begin(&sl, &timeout_ns)) {
		r = poll_kernels(p, &sl, timeout_ns);
		if (!sleep_over(&sl, &undo.undo))
			return -EINTR;
		p->waited |= !r;
		sl.kicked = r > 0 && p->kernel[p->n].revents;
		sl.rung = r < 0 || (r && p->kernel[p->n + (sl.bell_fd >= 0)].revents);
		sleep_end(&sl);
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

enum { GO_INSIDE = -4096 };

/* Return: as poll(), -errno; GO_INSIDE. Lock held. @signals: when the program's call began */
static int poll_both(struct polling *p, int64_t timeout_ns, const struct signal_trace *signals)
{
	struct spin spin = { 0 };
	uint64_t deadline_ns = 0, now_ns;
	int r;

	for (;;) {
		r = look(p, timeout_ns != 0);
		if (r || !timeout_ns)
			break;
		if (sock_signals.ran != signals->ran) {
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
		if (p->inside && p->calm)
			return GO_INSIDE;
		p->inside = false; /* some of the time will be over */
		r = sleep_poll(p, time_left(deadline_ns, now_ns), deadline_ns, signals);
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
static VJ_COLD int poll_lazy(struct polling *p, int64_t timeout_ns, const struct signal_trace *signals)
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
			r = poll_both(p, time_left(until_ns, sys_clock_ns()), signals);
		if (r || until_ns == deadline_ns || sys_clock_ns() >= deadline_ns)
			return r;
	}
}

/*
 * Return: as poll(), -errno; GO_INSIDE, if ret_calm isn't NULL. @timeout_ns -1: for ever. @began: when the call did. *@ret_waited: not at once. *@ret_calm: since
 * when the kernel tells all
 */
static int poll_any(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const sigset_t *mask, const struct signal_trace *began, bool *ret_waited, uint32_t *ret_calm)
{
	struct signal_trace signals;
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
	signals = mask ? sock_signals : *began;
	lock_take();
	p.inside = ret_calm && !mask && !sock.lazy;
	r = unlikely(sock.lazy) ? poll_lazy(&p, timeout_ns, &signals) : poll_both(&p, timeout_ns, &signals);
	if (p.heap) /* as above */
		room_put(p.kernel, n);
	lock_leave();
	signals_let_in(mask);
	*ret_waited = p.waited;
	if (ret_calm)
		*ret_calm = p.calm;
	return r;
}

/* @call: poll(), or ppoll() by which *@timeout (NULL: for ever) becomes what is left of it. Return: as poll_any() */
static int poll_ours(const struct kernel_call *call, struct whose w, struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct signal_trace signals = sock_signals;
	int64_t timeout_ns = timespec_ns(timeout);
	uint64_t until_ns = call->nr != SYS_ppoll && timeout_ns > 0 ? deadline_after(ker_clock_late_ns(), timeout_ns) : 0;
	bool back, again = false;
	int r = GO_INSIDE;

	if (unlikely(w.ours) || mask) {
		if (is_too_many(n, KEPT_ROOM))
			return -EINVAL;
		r = poll_any(fds, n, timeout_ns, mask, &signals, &back, &w.calm);
	}
	for (; r == GO_INSIDE; again = true) {
		r = (int)call_calm(call, w.calm, timeout_ns != 0, &signals, &back);
		if (likely(!back))
			break;
		timeout_ns = until_ns ? min_s64(timeout_ns, time_left(until_ns, sys_clock_ns())) : timespec_ns(timeout);
		r = poll_any(fds, n, timeout_ns, mask, &signals, &back, again || until_ns ? NULL : &w.calm); /* @call's own time-out is not what is left of it */
	}
	return r;
}

static VJ_NOINLINE int poll_ours_ns(struct whose w, struct pollfd *fds, nfds_t n, struct timespec *timeout, const sigset_t *mask)
{
	const struct kernel_call call = { SYS_ppoll, { (long)fds, (long)n, (long)timeout, (long)mask, SYS_SIGSET_BYTES } };

	return poll_ours(&call, w, fds, n, timeout, mask);
}

VJ_EARLY int sock_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left, *leftp = timeout ? &left : NULL;
	struct whose w;

	if (unlikely(caged))
		return caged->ppoll(fds, n, timeout, mask);
	if (timespec_bad(timeout))
		return (int)ret_errno(-EINVAL);
	if (timeout)
		left = *timeout; /* the kernel writes back what was left */
	w = poll_whose(fds, n);
	return (int)ret_errno(likely(is_kernels(w)) ? ker_ppoll(fds, n, leftp, mask) : poll_ours_ns(w, fds, n, leftp, mask));
}

static VJ_NOINLINE int poll_ours_ms(struct whose w, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts = { .tv_sec = timeout_ms / 1000,
			       .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
	struct timespec *timeout = timeout_ms < 0 ? NULL : &ts;
#ifdef SYS_poll /* not on newer architectures */
	const struct kernel_call call = { SYS_poll, { (long)fds, (long)n, timeout_ms } };

	return poll_ours(&call, w, fds, n, timeout, NULL);
#else
	return poll_ours_ns(w, fds, n, timeout, NULL);
#endif
}

VJ_EARLY int sock_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct whose w;

	if (unlikely(caged))
		return caged->poll(fds, n, timeout_ms);
	w = poll_whose(fds, n);
	return (int)ret_errno(likely(is_kernels(w)) ? ker_poll(fds, n, timeout_ms) : poll_ours_ms(w, fds, n, timeout_ms));
}

/* ---- select ---------------------------------------------------------------------------------------------------- */

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

static unsigned long bits_get(const fd_set *set, int at)
{
	return set && !is_wild(set) ? ((const unsigned long *)set)[at / 64] : 0;
}

VJ_EARLY static struct whose select_whose(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	int end = (int)min_u32((uint32_t)max_s64(n, 0), atomic_load_explicit(&fd_table.cnt, memory_order_relaxed)); /* beyond there is none of ours */
	struct whose whose = { .calm = 0 };

	for (int at = 0; at < end; at += 64) {
		unsigned long bits = bits_get(r, at) | bits_get(w, at) | bits_get(x, at);

		if (end - at < 64)
			bits &= (1ul << (end - at)) - 1;
		for (; bits && likely(!whose.ours); bits &= bits - 1) {
			const struct file *f = fd_peek(at + __builtin_ctzl(bits));

			if (unlikely(f != NULL))
				whose_add(&whose, f);
		}
	}
	return whose;
}

/* Return: entries */
static nfds_t select_collect(int n, const fd_set *r, const fd_set *w, const fd_set *x, struct pollfd *fds)
{
	nfds_t cnt = 0;

	for (int fd = 0; fd < n; fd++) {
		short events =
			(short)((bit_get(r, fd) ? SEL_IN : 0) | (bit_get(w, fd) ? SEL_OUT : 0) |
				(bit_get(x, fd) ? SEL_EX : 0));

		if (!events)
			continue;
		if (fds)
			fds[cnt] = (struct pollfd){ .fd = fd, .events = events };
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
	if (timeout)
		*timeout = timespec_of((int64_t)time_sub_sat((uint64_t)timespec_ns(timeout), sys_clock_ns() - start_ns));
}

/* Return: as select_for(), GO_INSIDE. @began, @ret_calm: as poll_any() */
static int select_any(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout,
		      const sigset_t *mask, const struct signal_trace *began, uint32_t *ret_calm)
{
	struct pollfd on_stack[SELECT_ON_STACK], *fds = on_stack;
	uint64_t start_ns;
	bool waited = false;
	nfds_t cnt = select_collect(n, r, w, x, NULL);
	int ret;

	if (cnt > SELECT_ON_STACK) {
		fds = malloc(cnt * sizeof(*fds));
		if (!fds)
			return -ENOMEM;
	}
	select_collect(n, r, w, x, fds);
	start_ns = timeout ? sys_clock_ns() : 0;
	ret = poll_any(fds, cnt, timespec_ns(timeout), mask, began, &waited, ret_calm);
	timeout_left(timeout, start_ns);
	if (ret >= 0)
		ret = select_report(n, r, w, x, fds, cnt, waited);
	if (fds != on_stack)
		free(fds);
	return ret;
}

/* Return: as select_for() */
static VJ_NOINLINE int select_ours(struct whose whose, int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout, const sigset_t *mask)
{
	const struct ker_mask arg = { mask, SYS_SIGSET_BYTES };
	const struct kernel_call call = { SYS_pselect6, { n, (long)r, (long)w, (long)x, (long)timeout, (long)&arg } };
	struct signal_trace signals = sock_signals;
	bool back, again = false;
	int ret = GO_INSIDE;

	if (unlikely(whose.ours) || mask)
		ret = select_any(n, r, w, x, timeout, mask, &signals, &whose.calm);
	for (; ret == GO_INSIDE; again = true) {
		ret = (int)call_calm(&call, whose.calm, !timeout || timeout->tv_sec || timeout->tv_nsec, &signals, &back);
		if (likely(!back))
			break;
		ret = select_any(n, r, w, x, timeout, mask, &signals, again ? NULL : &whose.calm);
	}
	return ret;
}

/* Return: as select(), -errno. @timeout becomes what is left of it. */
VJ_EARLY static int select_for(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout, const sigset_t *mask)
{
	struct whose whose = { .calm = 0 };

	if (layer_began() && !timespec_bad(timeout) && likely(!sock_inside))
		whose = select_whose(n, r, w, x);
	return likely(is_kernels(whose)) ? ker_pselect(n, r, w, x, timeout, mask) : select_ours(whose, n, r, w, x, timeout, mask);
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
