// SPDX-License-Identifier: BSD-2-Clause
/*
 * epoll.c - epoll sets over descriptors of both kinds
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
#include "sock/calm.h"
#include "sock/dgram.h"
#include "sock/family.h"

#include "lib/ticks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#define MARK_LOW_BITS 24
#define MARK_LOW ((UINT64_C(1) << MARK_LOW_BITS) - 1)
#define MARK_KICK MARK_LOW
#define MARK_BELL (MARK_LOW - 1)

static uint64_t mark_base; /* 0: not chosen yet; low bits 0 */

static bool is_mark(uint64_t data)
{
	return unlikely((data & ~MARK_LOW) == mark_base) && mark_base;
}

static void mark_choose(void)
{
	while (!(mark_base & ~MARK_LOW))
		if (getrandom(&mark_base, sizeof(mark_base), 0) != sizeof(mark_base))
			mark_base = (uint64_t)(uintptr_t)&mark_base << MARK_LOW_BITS |
				    sys_clock_ns() << MARK_LOW_BITS;
	mark_base &= ~MARK_LOW;
}

/* A clock that costs nothing, for "about 50 µs": of a counter of some GHz; others are slower */
static inline uint64_t ticks_now(void)
{
	uint64_t ticks = cpu_ticks();

	return likely(ticks) ? ticks : sys_clock_ns();
}
enum { LOOK_TICKS = 100000 };

/* ---- ready list ------------------------------------------------------------------------------------------ */

static void ready_add(struct epoll_set *set, struct watch *w)
{
	w->ready_prev = set->ready.ready_prev;
	w->ready_next = &set->ready;
	w->ready_prev->ready_next = w;
	set->ready.ready_prev = w;
	set->ready_cnt++;
	w->on_ready = true;
}

static void ready_del(struct epoll_set *set, struct watch *w)
{
	w->ready_prev->ready_next = w->ready_next;
	w->ready_next->ready_prev = w->ready_prev;
	set->ready_cnt--;
	w->on_ready = false;
}

void set_fire(struct watch *w, uint32_t mask)
{
	struct epoll_set *set = w->set;

	if (!(w->events & mask))
		return;
	if (!w->on_ready)
		ready_add(set, w);
	set_stir(set);
	if (set_is_slept_in(set))
		kick_send(&set->kick);
	if (unlikely(set->file.watches != NULL))
		file_fire(&set->file, EPOLLIN | EPOLLRDNORM);
}

uint32_t set_level(struct epoll_set *set)
{
	for (struct watch *w = set->ready.ready_next, *next; w != &set->ready; w = next) {
		next = w->ready_next;
		if (file_level(w->file) & w->events)
			return EPOLLIN | EPOLLRDNORM;
		ready_del(set, w);
	}
	return 0;
}

static bool is_channel_only(const struct file *f)
{
	_Static_assert(offsetof(struct sock, file) == 0, "a file is the first member of its socket");
	return f->kind == FILE_SOCK && sock_is_channel((const struct sock *)(const void *)f);
}

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

/* ---- watches --------------------------------------------------------------------------------------------- */

static struct watch *watch_find(const struct epoll_set *set, const struct file *f, int fd)
{
	struct watch *w = f->watches;

	while (w && (w->set != set || w->fd != fd))
		w = w->next;
	return w;
}

/* The number was closed, and what is behind it lives on by another: the kernel's set goes on reporting it, as epoll(7) says, and so do we. */
static VJ_COLD struct watch *watch_of_closed(const struct epoll_set *set, int fd)
{
	struct watch *w = set->watches;

	while (w && (w->fd != fd || !w->in_kernel))
		w = w->set_next;
	return w;
}

static int watch_kernel(struct watch *w, int op, uint64_t data)
{
	struct epoll_event ev = { .events = w->events, .data.u64 = data };

	return sys_epoll_ctl(w->set->epfd, op, w->fd, &ev);
}

void watch_destroy(struct watch *w)
{
	struct epoll_set *set = w->set;
	struct file *f = w->file;

	watch_unlink(w);
	if (unlikely(f->kind == FILE_SOCK && sock_of(f)->lends))
		away_lends(sock_of(f), false);
	*w->set_pprev = w->set_next;
	if (w->set_next)
		w->set_next->set_pprev = w->set_pprev;
	if (w->on_ready)
		ready_del(set, w);
	if (w->in_kernel)
		atomic_fetch_sub_explicit(&set->kernel_cnt, 1, memory_order_relaxed);
	watch_free(w);
}

/* @op: EPOLL_CTL_MOD where another process has put it there, which has the same set of the kernel's */
static int watch_join_kernel(struct watch *w, int op)
{
	int r = watch_kernel(w, op, mark_base | (uint64_t)w->fd);

	if (!r) {
		w->in_kernel = true;
		atomic_fetch_add_explicit(&w->set->kernel_cnt, 1, memory_order_relaxed);
	}
	return r;
}

static void watch_del_kernel(struct watch *w)
{
	if (!w->in_kernel)
		return;
	watch_kernel(w, EPOLL_CTL_DEL, 0);
	w->in_kernel = false;
	atomic_fetch_sub_explicit(&w->set->kernel_cnt, 1, memory_order_relaxed);
}

void watches_move(struct file *f, enum watch_side side)
{
	for (struct watch *w = f->watches, *next; w; w = next) {
		next = w->next;
		if (!w->set) {
			kick_send(w->sleeper->kick);
			continue;
		}
		switch (side) {
		case WATCH_KERNEL:
			if (!w->in_kernel)
				watch_join_kernel(w, EPOLL_CTL_ADD);
			if (w->in_kernel && watch_kernel(w, EPOLL_CTL_MOD, w->data)) { /* EPOLLEXCLUSIVE: can't be changed */
				watch_kernel(w, EPOLL_CTL_DEL, 0);
				watch_kernel(w, EPOLL_CTL_ADD, w->data);
			}
			/* it is still registered, as any of the kernel's */
			atomic_fetch_add_explicit(&w->set->kernel_cnt, w->in_kernel, memory_order_relaxed);
			watch_destroy(w);
			break;
		case WATCH_CHANNEL:
			watch_del_kernel(w);
			break;
		case WATCH_BOTH:
			if (!w->in_kernel)
				watch_join_kernel(w, EPOLL_CTL_ADD);
			break;
		}
	}
}

/*
 * Another process has the connection now. What can be read from the token is waited for by nobody there (lib/deed_raw.c), so it is looked for on
 * behalf of those sets that want to read; by edges, as copies of the token may outlive our descriptor.
 */
void watches_away(struct file *f)
{
	for (struct watch *w = f->watches; w; w = w->next) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = mark_base | (uint64_t)w->fd };

		if (!w->set || w->in_kernel || !(w->events & (EPOLLIN | EPOLLRDNORM | EPOLLRDHUP)) ||
		    sys_epoll_ctl(w->set->epfd, EPOLL_CTL_ADD, w->fd, &ev))
			continue;
		w->in_kernel = true;
		atomic_fetch_add_explicit(&w->set->kernel_cnt, 1, memory_order_relaxed);
	}
}

/* ---- sets ------------------------------------------------------------------------------------------------ */

/* Lock held. NULL: no memory. */
static struct epoll_set *set_new(int epfd)
{
	struct epoll_set *set;

	layer_init();
	if (!mark_base)
		mark_choose();
	set = set_alloc();
	if (!set)
		return NULL;
	set->epfd = epfd;
	set->forks = sock.forks;
	if (fd_set_file(epfd, &set->file)) {
		set_free(set);
		return NULL;
	}
	return set;
}

int sock_epoll_create1(int flags)
{
	int epfd = sys_epoll_create(flags);

	if (epfd >= 0 && !sock_inside && !sock.exiting && !caged) {
		lock_take();
		set_new(epfd); /* without memory for it, it is the kernel's alone */
		lock_leave();
	}
	return (int)ret_errno(epfd);
}

int sock_epoll_create(int size)
{
	if (unlikely(caged))
		return caged->epoll_create(size);
	return size <= 0 ? (int)ret_errno(-EINVAL) : sock_epoll_create1(0);
}

void set_destroy(struct epoll_set *set)
{
	while (set->watches)
		watch_destroy(set->watches);
	for (struct watch *w = set->file.watches, *next; w; w = next) {
		next = w->next;
		watch_destroy(w);
	}
	kick_close(&set->kick);
	set_free(set);
}

void set_fd_closed(struct epoll_set *set, int fd)
{
	if (set->epfd != fd)
		return;
	set->kick.seated = false; /* who sleeps in it sleeps on, but it can't be reached */
	for (int other = fd_next(0); other >= 0; other = fd_next(other + 1))
		if (other != fd && fd_peek(other) == &set->file)
			set->epfd = other;
}

static int kick_join(struct epoll_set *set)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = mark_base | MARK_KICK };
	int err = kick_open(&set->kick);

	if (!err)
		err = sys_epoll_ctl(set->epfd, EPOLL_CTL_ADD, set->kick.fd, &ev);
	if (err)
		kick_close(&set->kick);
	return err;
}

/*
 * From the first watch on the set is served here. A thread that sleeps in the kernel's set already is woken for that, as soon as there may be anything
 * but the kernel's to be woken for. Before, there is no kick: its number may be the first beyond the process's table, which
 * the kernel makes larger for it, and where there are threads each CPU has to have been elsewhere meanwhile: 8 to 12 ms.
 */
static int set_open_up(struct epoll_set *set)
{
	bool has_kick = set->kick.fd >= 0, wants = sock.vj || set->adopted || set->again_ns;
	int err = wants && !has_kick ? kick_join(set) : 0;

	if (err || (has_kick && set->ours))
		return err;
	/* sequentially consistent against wait_kernel(): it sees `ours`, or is seen to sleep */
	atomic_store(&set->ours, true);
	if (atomic_load(&set->kernel_asleep) || set->adopted)
		kick_send(&set->kick);
	return 0;
}

int sets_attach(void)
{
	int err = 0;

	for (int fd = fd_next(0); fd >= 0 && !err; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		struct epoll_set *set = f->kind == FILE_EPOLL ? set_of(f) : NULL;

		if (!set || !set->ours)
			continue;
		set->fresh_watches = true;
		if (set_is_slept_in(set))
			err = set_open_up(set);
	}
	return err;
}

/* ---- epoll_ctl ------------------------------------------------------------------------------------------- */

/* What may stand beside EPOLLEXCLUSIVE: epoll_ctl(2) */
#define EXCLUSIVE_OK ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE))

/* There is something to be done before it is waited for. */
static bool set_is_due(const struct epoll_set *set)
{
	return set->fresh_watches || set->called || (unlikely(set->again_ns) && sys_clock_ns() >= set->again_ns);
}

static bool is_unleased(struct file *f)
{
	const struct sock *s = f->kind == FILE_SOCK ? sock_of(f) : NULL;

	return s && s->state == SOCK_LISTEN && !s->has_listener && !s->kernel_only;
}

/* Nobody makes a circle of sets, nor one deeper than the kernel allows: it was asked first. */
void set_refresh(struct epoll_set *set)
{
	set->fresh_watches = true;
	set_stir(set);
	if (set_is_slept_in(set))
		kick_send(&set->kick);
	for (struct watch *w = set->file.watches; w; w = w->next)
		if (w->set)
			set_refresh(w->set);
	file_fire(&set->file, EPOLLIN | EPOLLRDNORM); /* who polls it */
}

/* As the kernel does, before it looks whether @f is in the set */
static bool is_refused(int op, const struct file *f, const struct epoll_event *event)
{
	if (op == EPOLL_CTL_DEL || !(event->events & EPOLLEXCLUSIVE))
		return false;
	return op == EPOLL_CTL_MOD || f->kind == FILE_EPOLL || (event->events & ~EXCLUSIVE_OK);
}

/*
 * This process does not have @f in @set. @op: EPOLL_CTL_MOD: but the kernel may, as processes that were forked have its set in common, and what
 * one of them has put there all have to change, and to wait for.
 */
static int ctl_join(struct epoll_set *set, struct file *f, int fd, int op, const struct epoll_event *event)
{
	struct watch *w;
	int err = 0;

	if (op == EPOLL_CTL_MOD && is_channel_only(f))
		return -ENOENT;
	w = watch_alloc();
	if (!w)
		return -ENOMEM;
	w->set = set;
	w->fd = fd;
	w->data = event->data.u64;
	w->events = event->events | EPOLLERR | EPOLLHUP;
	/* who is refused has nothing of ours in his set, which may be another process's, too */
	if (!is_channel_only(f))
		err = watch_join_kernel(w, op);
	if (!err) {
		err = set_open_up(set);
		if (err && op == EPOLL_CTL_ADD)
			watch_del_kernel(w);
	}
	if (err) {
		watch_free(w);
		return err;
	}
	watch_link(w, f);
	w->set_next = set->watches;
	w->set_pprev = &set->watches;
	if (w->set_next)
		w->set_next->set_pprev = &w->set_next;
	set->watches = w;
	set->fresh_watches = true;
	set_stir(set);
	if (f->kind == FILE_EPOLL || is_unleased(f)) /* else who sleeps goes on sleeping */
		set_refresh(set);
	set_fire(w, file_level(f));
	return 0;
}

/* -ENOENT: another process that has the same set of the kernel's has taken it out. */
static int ctl_del(struct watch *w)
{
	int err = w->in_kernel ? watch_kernel(w, EPOLL_CTL_DEL, 0) : 0;
	bool is_known = is_channel_only(w->file);

	watch_destroy(w);
	return is_known ? 0 : err;
}

/* @op: EPOLL_CTL_ADD: which is refused, unless another process has taken it out of the kernel's set */
static int ctl_change(struct watch *w, int op, const struct epoll_event *event)
{
	uint32_t events = w->events;
	int err = 0;

	if (op == EPOLL_CTL_ADD ? !w->in_kernel || is_channel_only(w->file) : (events & EPOLLEXCLUSIVE) != 0)
		return op == EPOLL_CTL_ADD ? -EEXIST : -EINVAL;
	w->events = event->events | EPOLLERR | EPOLLHUP;
	if (w->in_kernel)
		err = watch_kernel(w, op, mark_base | (uint64_t)w->fd);
	if (err) {
		w->events = events;
		if (err == -ENOENT && !is_channel_only(w->file))
			watch_destroy(w);
		return err;
	}
	w->data = event->data.u64;
	set_fire(w, file_level(w->file));
	return 0;
}

/* A descriptor that the kernel alone knows, and that may be no epoll set; asked about a number of ours, as it may hold any other. Return: -errno if so. */
static int set_adopt(int epfd, struct epoll_set **ret_set)
{
	struct epoll_event ev = { 0 };
	struct kick probe;
	int r = kick_borrow(&probe);

	if (r)
		return r;
	r = sys_epoll_ctl(epfd, EPOLL_CTL_MOD, probe.fd, &ev);
	kick_return(&probe);
	if (r != -ENOENT)
		return r;
	*ret_set = set_new(epfd);
	if (!*ret_set)
		return -ENOMEM;
	(*ret_set)->adopted = (*ret_set)->inherited = true;
	return 0;
}

static int ctl_kernel(int epfd, int op, int fd, struct epoll_event *event)
{
	struct file *e = fd_peek(epfd);
	int r = sys_epoll_ctl(epfd, op, fd, event);

	if (!r && e && e->kind == FILE_EPOLL && op != EPOLL_CTL_MOD) {
		_Atomic uint32_t *cnt = &set_of(e)->kernel_cnt;

		if (op == EPOLL_CTL_ADD)
			atomic_fetch_add_explicit(cnt, 1, memory_order_relaxed);
		else if (atomic_load_explicit(cnt, memory_order_relaxed))
			atomic_fetch_sub_explicit(cnt, 1, memory_order_relaxed);
	}
	return r;
}

/* Lock held; @f is what we know behind @fd. */
static int ctl_ours(int epfd, int op, struct file *f, int fd, struct epoll_event *event)
{
	struct file *e = fd_peek(epfd);
	struct epoll_set *set = NULL;
	struct watch *w;
	int err;

	if (!event && op != EPOLL_CTL_DEL)
		return -EFAULT;
	if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_AWAY && op != EPOLL_CTL_DEL && !away_claim(fd, sock_of(f)))
		return ctl_kernel(epfd, op, fd, event);
	if ((e && e->kind != FILE_EPOLL) || is_refused(op, f, event))
		return -EINVAL;
	if (e) {
		set = set_of(e);
	} else {
		err = set_adopt(epfd, &set);
		if (err)
			return err;
	}
	w = watch_find(set, f, fd);
	switch (op) {
	case EPOLL_CTL_ADD:
	case EPOLL_CTL_MOD:
		return w ? ctl_change(w, op, event) : ctl_join(set, f, fd, op, event);
	case EPOLL_CTL_DEL:
		if (!w)
			return is_channel_only(f) ? -ENOENT : sys_epoll_ctl(epfd, op, fd, NULL);
		return ctl_del(w);
	default:
		return -EINVAL;
	}
}

static VJ_NOINLINE int ctl_any(int epfd, int op, int fd, struct epoll_event *event)
{
	struct file *f = fd_peek(fd) && epfd != fd ? file_enter(fd) : NULL;
	int r;

	if (f && f->kind != FILE_INTERNAL)
		r = ctl_ours(epfd, op, f, fd, event);
	else
		r = ctl_kernel(epfd, op, fd, event);
	if (f)
		lock_leave();
	return (int)ret_errno(r);
}

/* Of EPOLLONESHOT it is half of the calls. */
VJ_DIRECT int sock_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (likely(op == EPOLL_CTL_MOD) && likely(!fd_peek(fd)))
		return (int)ret_errno(sys_epoll_ctl(epfd, op, fd, event));
	return ctl_any(epfd, op, fd, event);
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

/* Return: false: undone, as sleep_end() */
static bool set_awake(struct epoll_set *set, struct sleeper *sl, struct undo *u)
{
	if (!sleep_end(sl, u))
		return false;
	set->asleep--;
	return true;
}

static void set_left(void *arg)
{
	const struct set_undo *undo = arg;

	set_awake(undo->set, undo->sl, NULL);
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
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
	int n = ker_ppoll_undo(pfd, ARRAY_SIZE(pfd), timeout_ns < 0 ? NULL : &ts, mask, undo_all);

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
	if (sleep_begin(sl, &timeout_ns)) { /* drops the lock */
		bool beside = sl->bell_fd >= 0;

		if (unlikely(sleep_is_over(sl))) {
			n = -EINTR;
		} else if (unlikely(beside)) {
			n = sleep_beside(epfd, sl->bell_fd, ev, max, timeout_ns, mask, &rung);
		} else {
			n = ker_epoll_undo(epfd, ev, max, timeout_ns, mask, undo_all);
		}
		sl->kicked = has_mark(ev, n, MARK_KICK);
		sl->rung = n < 0 || (beside ? rung : n == max || has_mark(ev, n, MARK_BELL)); /* not every event may have found room */
		if (!set_awake(set, sl, &undo.undo))
			return -EINTR;
	} else {
		undo_pop(&undo.undo);
		set->asleep--;
		kick_drain(&set->kick);
	}
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
	const struct sock *s = w->file->kind == FILE_SOCK ? sock_of(w->file) : NULL;

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

/* Return: as epoll_wait(), -errno. Lock held. */
static int set_wait(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask)
{
	struct signal_trace signals = sock_signals;
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
		if (sock_signals.ran != signals.ran) {
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
		struct sleeper sl = { .kick = &set->kick, .signals = signals, .wake_ns = deadline_ns ? deadline_ns : TIME_NEVER, .is_calm = set_is_idle(set) };
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

static VJ_NOINLINE int wait_ours(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask)
{
	struct epoll_set *set = set_enter(epfd);
	int n;

	if (!set)
		return -EBADF;
	signals_keep_out(mask);
	n = set_wait(set, epfd, ev, max, timeout_ns, mask);
	lock_leave();
	signals_let_in(mask);
	return n;
}

VJ_DIRECT static int wait_any(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask)
{
	struct file *f = fd_peek(epfd);
	bool ours = false;
	uint64_t deadline_ns;
	int n;

	if (max <= 0 || sock_inside || !f || f->kind != FILE_EPOLL)
		return ker_epoll_wait(epfd, ev, max, timeout_ns, mask);
	if (set_is_kernels(set_of(f))) {
		deadline_ns = timeout_ns > 0 ? deadline_after(ker_clock_late_ns(), timeout_ns) : 0;
		if (timeout_ns)
			n = wait_kernel(set_of(f), epfd, ev, max, timeout_ns, mask, &ours);
		else /* nobody has to call it back */
			n = ker_epoll_wait(epfd, ev, max, 0, mask);
		for (int i = 0; i < n; i++)
			ours |= is_mark(ev[i].data.u64);
		if (n > 0 && ours)
			n = wait_marked(epfd, ev, n);
		if (n || !ours)
			return n;
		if (deadline_ns)
			timeout_ns = time_left(deadline_ns, sys_clock_ns());
	}
	return wait_ours(epfd, ev, max, timeout_ns, mask);
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
