// SPDX-License-Identifier: BSD-2-Clause
/* epoll_ctl.c - epoll sets, and the watches in them; epoll.c explains both */
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/epoll.h"
#include "sock/epoll_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/wait.h"


uint64_t mark_base;

static void mark_choose(void)
{
	while (!(mark_base & ~MARK_LOW))
		if (!sys_random(&mark_base, sizeof(mark_base)))
			mark_base = (uint64_t)(uintptr_t)&mark_base << MARK_LOW_BITS |
				    sys_clock_ns() << MARK_LOW_BITS;
	mark_base &= ~MARK_LOW;
}

/* ---- watches --------------------------------------------------------------------------------------------- */

struct watch *watch_find(const struct epoll_set *set, const struct file *f, int fd)
{
	struct watch *w = f->watches;

	while (w && (w->set != set || w->fd != fd))
		w = w->next;
	return w;
}

VJ_COLD struct watch *watch_of_closed(const struct epoll_set *set, int fd)
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
	file_stir(f);
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
		sock.polls = true;
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

int set_open_up(struct epoll_set *set)
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

static bool is_unleased(struct file *f)
{
	const struct sock *s = file_sock(f);

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
	int r;

	kick_borrow(&probe);
	if (probe.fd < 0)
		return -EMFILE;
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
