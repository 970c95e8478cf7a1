// SPDX-License-Identifier: BSD-2-Clause
/*
 * poll and epoll: the bits as Linux's tcp_poll() gives them, in every state
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <stdlib.h>

#define ALWAYS (EPOLLERR | EPOLLHUP)
#define IN_BITS (EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLPRI)

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR && EPOLLHUP == POLLHUP &&
		       EPOLLRDHUP == POLLRDHUP && EPOLLRDNORM == POLLRDNORM && EPOLLWRNORM == POLLWRNORM,
	       "one set of bits");

/* ---- what is ready --------------------------------------------------------------------------- */

static bool ready_out(const struct pd_file *f, uint32_t ready, const struct tcp_info *info)
{
	return (ready & STACK_EV_WRITABLE) != 0 && (f->notsent_lowat == 0 || info->unsent_bytes < f->notsent_lowat);
}

static uint32_t ready_tcp(struct pd_world *w, struct pd_file *f)
{
	uint32_t ready = tcp_ready(w->stack, f->tcp), mask = 0;
	struct tcp_info info;
	bool closed, end;

	tcp_info(w->stack, f->tcp, &info);
	closed = info.state == TCP_CLOSED;
	end = closed || f->rd_shut || (ready & STACK_EV_EOF) != 0;
	if (closed || (end && f->wr_shut))
		mask |= POLLHUP;
	if (end)
		mask |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (info.state != TCP_SYN_SENT && info.state != TCP_SYN_RECEIVED) {
		if (info.unread_bytes != 0 && info.unread_bytes >= min_u32(f->rcvlowat, info.unread_bytes + info.rcv_wnd))
			mask |= POLLIN | POLLRDNORM;
		if (f->wr_shut || ready_out(f, ready, &info))
			mask |= POLLOUT | POLLWRNORM;
	}
	if ((ready & STACK_EV_ERROR) != 0 || f->err != 0 || pd_err_pending(w, f))
		mask |= POLLERR;
	return mask;
}

uint32_t pd_ready(struct pd_world *w, struct pd_file *f)
{
	uint32_t bits;

	if (f->kind == PD_EPOLL)
		return 0;
	if (f->kind == PD_UDP) {
		bits = f->udp.v != 0 ? udp_ready(w->stack, f->udp) : 0;
		if ((bits & STACK_EV_ERROR) != 0)
			return POLLOUT | POLLWRNORM | POLLERR;
		return POLLOUT | POLLWRNORM | ((bits & STACK_EV_READABLE) != 0 ? POLLIN | POLLRDNORM : 0);
	}
	if (f->state == PD_LISTEN)
		return tcp_listener_ready(w->stack, f->listener) != 0 ? POLLIN | POLLRDNORM : 0;
	if (f->fastopen_deferred)
		return POLLOUT | POLLWRNORM;
	if (f->tcp.v == 0)
		return POLLOUT | POLLWRNORM | POLLHUP | (f->err != 0 ? POLLERR : 0);
	return ready_tcp(w, f);
}

/* ---- poll ------------------------------------------------------------------------------------ */

struct poll_wait {
	struct pd_world *w;
	struct pollfd *fds;
	nfds_t cnt;
	int ready_cnt;
};

static bool poll_ready(void *arg)
{
	struct poll_wait *me = arg;

	me->ready_cnt = 0;
	for (nfds_t i = 0; i < me->cnt; i++) {
		struct pollfd *p = &me->fds[i];
		struct pd_file *f = pd_file_find(me->w, p->fd);
		uint32_t wanted = (uint16_t)p->events | POLLERR | POLLHUP;

		p->revents = 0;
		if (p->fd < 0)
			continue;
		if (f == NULL && poll(&(struct pollfd){ .fd = p->fd, .events = p->events }, 1, 0) < 0)
			return false;
		p->revents = (short)(f != NULL ? pd_ready(me->w, f) & wanted : POLLNVAL);
		me->ready_cnt += p->revents != 0;
	}
	return me->ready_cnt != 0;
}

static uint64_t ready_deadline(const struct pd_world *w, int timeout_ms)
{
	return timeout_ms < 0 ? PD_NEVER : w->now_us + (uint64_t)timeout_ms * 1000;
}

int pd_poll(struct pd_world *w, struct pollfd *fds, nfds_t cnt, int timeout_ms)
{
	struct poll_wait me = { w, fds, cnt, 0 };
	int err = pd_wait(w, poll_ready, &me, ready_deadline(w, timeout_ms));

	if (err == -EAGAIN)
		return 0;
	return err != 0 ? err : me.ready_cnt;
}

/* ---- epoll ----------------------------------------------------------------------------------- */

struct pd_watch {
	struct pd_watch *next;
	struct pd_file *file;
	struct epoll_event event;
	uint32_t in_seen, out_seen; /* EPOLLET: what has been reported */
	bool fresh;		    /* EPOLLET: nothing has */
	bool spent;		    /* EPOLLONESHOT */
};

static struct pd_watch **watch_find(struct pd_file *ep, const struct pd_file *f)
{
	struct pd_watch **at = &ep->watches;

	while (*at != NULL && (*at)->file != f)
		at = &(*at)->next;
	return at;
}

static void watch_del(struct pd_watch **at)
{
	struct pd_watch *watch = *at;

	*at = watch->next;
	free(watch);
}

void pd_watches_drop(struct pd_world *w, struct pd_file *f)
{
	while (f->watches != NULL)
		watch_del(&f->watches);
	for (int fd = 0; fd < PD_FDS_MAX; fd++) {
		struct pd_file *ep = w->files[fd];

		if (ep != NULL && ep->kind == PD_EPOLL && *watch_find(ep, f) != NULL)
			watch_del(watch_find(ep, f));
	}
}

static int watch_add(struct pd_watch **at, struct pd_file *f, const struct epoll_event *event)
{
	if (*at != NULL)
		return -EEXIST;
	*at = calloc(1, sizeof(**at));
	if (*at == NULL)
		return -ENOMEM;
	**at = (struct pd_watch){ .file = f, .event = *event, .fresh = true };
	return 0;
}

int pd_epoll_ctl(struct pd_world *w, struct pd_file *ep, int op, int fd, const struct epoll_event *event)
{
	struct pd_file *f = pd_file_find(w, fd);
	struct pd_watch **at;

	if (ep->kind != PD_EPOLL || f == ep)
		return -EINVAL;
	if (f == NULL)
		return -EPERM;
	at = watch_find(ep, f);
	if (op == EPOLL_CTL_ADD)
		return watch_add(at, f, event);
	if (*at == NULL)
		return -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		watch_del(at);
		return 0;
	}
	if (op != EPOLL_CTL_MOD)
		return -EINVAL;
	(*at)->event = *event;
	(*at)->fresh = true;
	(*at)->spent = false;
	return 0;
}

/* What the watch has to report now; 0: nothing */
static uint32_t watch_ready(struct pd_world *w, const struct pd_watch *watch)
{
	const struct pd_file *f = watch->file;
	uint32_t bits = pd_ready(w, watch->file) & (watch->event.events | ALWAYS);

	if (watch->spent || bits == 0)
		return 0;
	if ((watch->event.events & EPOLLET) == 0 || watch->fresh)
		return bits;
	if (f->in_cnt != watch->in_seen && (bits & (IN_BITS | ALWAYS)) != 0)
		return bits;
	return f->out_cnt != watch->out_seen && (bits & (EPOLLOUT | EPOLLWRNORM | ALWAYS)) != 0 ? bits : 0;
}

struct epoll_wait_arg {
	struct pd_world *w;
	struct pd_file *ep;
};

static bool epoll_ready(void *arg)
{
	const struct epoll_wait_arg *me = arg;

	for (const struct pd_watch *watch = me->ep->watches; watch != NULL; watch = watch->next)
		if (watch_ready(me->w, watch) != 0)
			return true;
	return false;
}

static int epoll_report(struct pd_world *w, struct pd_file *ep, struct epoll_event *events, int max)
{
	int cnt = 0;

	for (struct pd_watch *watch = ep->watches; watch != NULL && cnt < max; watch = watch->next) {
		uint32_t bits = watch_ready(w, watch);

		if (bits == 0)
			continue;
		events[cnt++] = (struct epoll_event){ .events = bits, .data = watch->event.data };
		watch->in_seen = watch->file->in_cnt;
		watch->out_seen = watch->file->out_cnt;
		watch->fresh = false;
		watch->spent = (watch->event.events & EPOLLONESHOT) != 0;
	}
	return cnt;
}

int pd_epoll_wait(struct pd_world *w, struct pd_file *ep, struct epoll_event *events, int cnt, int timeout_ms)
{
	struct epoll_wait_arg me = { w, ep };
	int err;

	if (ep->kind != PD_EPOLL || cnt <= 0)
		return -EINVAL;
	err = pd_wait(w, epoll_ready, &me, ready_deadline(w, timeout_ms));
	if (err == -EAGAIN)
		return 0;
	return err != 0 ? err : epoll_report(w, ep, events, cnt);
}
