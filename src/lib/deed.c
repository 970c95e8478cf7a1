// SPDX-License-Identifier: BSD-2-Clause
/* deed.c - who holds a connection, and what comes in by its deed; see move.h */
#include "base/assert.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/leaving.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define KEEP_NS (10 * UINT64_C(1000000000)) /* so long a peer may be behind with what it is to keep */

enum {
	POLL_NS = 1000000,
	HOLD_NS = 25 * 1000000,
	DEEDS_FEW = 256,
	BUCKETS_MIN = 16,
	LEAVE_TIMES = 10, /* as long as for one, for many of which some go */
};

static struct deeds *deeds_new(void)
{
	struct deeds *ds = calloc(1, sizeof(*ds));

	if (!ds)
		return NULL;
	ds->set_fd = -1;
	ds->offered_ns = ds->given_ns = UINT64_MAX;
	return ds;
}

/* NULL: no memory, no descriptor */
static struct deeds *deeds_get(struct vj *vj)
{
	struct deeds *ds = vj->deeds;

	if (ds && ds->set_fd >= 0)
		return ds;
	if (!ds)
		ds = vj->deeds = deeds_new();
	if (!ds)
		return NULL;
	ds->set_fd = OWN_FD_MAKE(sys_epoll_create(EPOLL_CLOEXEC));
	if (ds->set_fd >= 0 && bell_set_add(vj->bell_fd, ds->set_fd, 0)) {
		own_fd_close(ds->set_fd);
		ds->set_fd = -1;
	}
	return ds->set_fd >= 0 ? ds : NULL;
}

void deed_hooks_set(struct vj *vj, const struct deed_hooks *hooks)
{
	if (!vj->deeds)
		vj->deeds = deeds_new();
	if (vj->deeds)
		vj->deeds->hooks = *hooks;
}

/* ---- by connection */

static struct deed **bucket(const struct deeds *ds, struct tcp_id id)
{
	return &ds->by_conn[id.v & (ds->bucket_cnt - 1)];
}

static void index_add(struct deeds *ds, struct deed *d)
{
	struct deed **at = bucket(ds, d->conn);

	d->same_next = *at;
	*at = d;
}

/* Room for one more. Return: false: no memory for a first table; else it works on with longer chains. */
static bool index_room(struct deeds *ds)
{
	uint32_t cnt = ds->bucket_cnt ? 2 * ds->bucket_cnt : BUCKETS_MIN;
	struct deed **more;

	if (ds->cnt < 2 * ds->bucket_cnt)
		return true;
	more = calloc(cnt, sizeof(struct deed *));
	if (!more)
		return ds->bucket_cnt != 0;
	free(ds->by_conn);
	ds->by_conn = more;
	ds->bucket_cnt = cnt;
	for (struct deed *d = ds->all; d; d = d->next)
		if (d->conn.v)
			index_add(ds, d);
	return true;
}

static void index_del(struct deeds *ds, struct deed *d)
{
	struct deed **at = bucket(ds, d->conn);

	while (*at != d)
		at = &(*at)->same_next;
	*at = d->same_next;
}

void deed_conn_set(struct vj *vj, struct deed *d, struct tcp_id id)
{
	VJ_ASSERT(!d->conn.v && id.v);
	d->conn = id;
	index_add(vj->deeds, d);
}

void deed_conn_gone(struct vj *vj, struct deed *d)
{
	index_del(vj->deeds, d);
	d->conn.v = 0;
}

void deed_conn_again(struct vj *vj, struct tcp_id from, struct tcp_id to)
{
	struct deed *d = deed_of(vj, from);

	if (!d)
		return;
	deed_conn_gone(vj, d);
	deed_conn_set(vj, d, to);
}

struct deed *deed_of(const struct vj *vj, struct tcp_id id)
{
	struct deed *d = vj->deeds && vj->deeds->bucket_cnt ? *bucket(vj->deeds, id) : NULL;

	while (d && d->conn.v != id.v)
		d = d->same_next;
	return d;
}

/* ---- one */

bool deed_listen(const struct deeds *ds, struct deed *d, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = d };

	if (fd >= 0 && sys_epoll_ctl(ds->set_fd, EPOLL_CTL_ADD, fd, &ev))
		return false;
	d->fd = fd;
	return true;
}

struct deed *deed_new(struct vj *vj, int fd)
{
	struct deeds *ds = deeds_get(vj);
	struct deed *d = ds && index_room(ds) ? calloc(1, sizeof(*d)) : NULL;

	if (!d || !deed_listen(ds, d, fd)) {
		own_fd_close(fd);
		free(d);
		return NULL;
	}
	d->answer_fd = d->crate_fd = d->parcel_fd = -1;
	d->next = ds->all;
	d->pprev = &ds->all;
	if (d->next)
		d->next->pprev = &d->next;
	ds->all = d;
	ds->cnt++;
	vj->move_ns = 0; /* it may have been claimed before it came to us */
	return d;
}

/* Without a word to the set: in a child of fork() that is the parent's, too. */
static void deed_drop(struct deed *d)
{
	*d->pprev = d->next;
	if (d->next)
		d->next->pprev = d->pprev;
	raw_rest(d);
	requeue_free(d);
	own_fd_close(d->fd);
	own_fd_close(d->answer_fd);
	own_fd_close(d->crate_fd);
	own_fd_close(d->parcel_fd);
	free(d->raw);
	free(d);
}

void deed_free(struct vj *vj, struct deed *d)
{
	/* who has it next has the same open file, which the set would go on watching */
	if (d->fd >= 0)
		(void)bell_set_del(vj->deeds->set_fd, d->fd);
	if (d->conn.v)
		index_del(vj->deeds, d);
	vj->deeds->cnt--;
	deed_drop(d);
}

void deed_rearm(struct vj *vj, struct deed *d)
{
	/* also: somebody has read what was put into the token */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET | (d->pumped ? EPOLLOUT : 0u), .data.ptr = d };

	(void)sys_epoll_ctl(vj->deeds->set_fd, EPOLL_CTL_MOD, d->fd, &ev);
}

void deed_wanted(struct vj *vj, struct deed *d, int answer_fd)
{
	d->answer_fd = answer_fd;
	d->state = DEED_CLAIMED;
	d->busy_next = vj->deeds->busy;
	vj->deeds->busy = d;
}

bool deed_is_leaving(const struct vj *vj, struct tcp_id id)
{
	const struct deed *d = deed_of(vj, id);

	return d && d->state == DEED_LEAVING;
}

void deed_postpone(struct vj *vj, struct tcp_id id)
{
	struct deed *d = deed_of(vj, id);

	if (d && d->state == DEED_LEAVING)
		d->state = DEED_CLAIMED;
}

bool deed_any(const struct vj *vj)
{
	return vj->deeds && vj->deeds->all;
}

bool deed_busy(const struct vj *vj)
{
	return vj->leaving || (vj->deeds && vj->deeds->busy);
}

/* ---- making one ------------------------------------------------------------------------------------------------ */

/* In a token's name, so that a process that inherits it knows. Only what does not change. */
struct name_tail {
	uint8_t random[12]; /* names are unique */
	struct move_name {
		uint8_t local[16], remote[16];
		uint16_t local_port, remote_port;
	} ends;
	uint32_t traits;
};
enum { TRAIT_FAR = 1, TRAIT_SOCK6 = 2 };

enum { NAME_BYTES = 1 + sizeof(DEED_NAME_PREFIX) - 1 + sizeof(struct name_tail) };
_Static_assert(NAME_BYTES <= sizeof(((struct sockaddr_un *)0)->sun_path), "a token's name fits");

static int token_name(const struct vj *vj, int token, struct tcp_id id, bool sock6)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct endpoint local, remote;
	struct name_tail tail = { 0 };

	tcp_endpoints(vj->stack, id, &local, &remote);
	if (!sys_random(tail.random, sizeof(tail.random)))
		return -EIO;
	memcpy(tail.ends.local, local.addr.bytes, 16);
	memcpy(tail.ends.remote, remote.addr.bytes, 16);
	tail.ends.local_port = local.port;
	tail.ends.remote_port = remote.port;
	tail.traits = (tcp_can_move(vj->stack, id) ? 0u : TRAIT_FAR) | (sock6 ? TRAIT_SOCK6 : 0u);
	memcpy(name.sun_path + 1, DEED_NAME_PREFIX, sizeof(DEED_NAME_PREFIX) - 1);
	memcpy(name.sun_path + sizeof(DEED_NAME_PREFIX), &tail, sizeof(tail));
	return sys_bind(token, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + NAME_BYTES);
}

bool deed_names(int fd, struct deed_names *ret_names)
{
	struct sockaddr_un name = { 0 };
	socklen_t len = sizeof(name);
	struct endpoint local, remote;
	struct name_tail tail;

	if (sys_getsockname(fd, (struct sockaddr *)&name, &len) || name.sun_family != AF_UNIX ||
	    len != offsetof(struct sockaddr_un, sun_path) + NAME_BYTES || name.sun_path[0] ||
	    memcmp(name.sun_path + 1, DEED_NAME_PREFIX, sizeof(DEED_NAME_PREFIX) - 1) != 0)
		return false;
	memcpy(&tail, name.sun_path + sizeof(DEED_NAME_PREFIX), sizeof(tail));
	local = (struct endpoint){ .addr = ip_addr_from_v6(tail.ends.local), .port = tail.ends.local_port };
	remote = (struct endpoint){ .addr = ip_addr_from_v6(tail.ends.remote), .port = tail.ends.remote_port };
	addr_to_sockaddr(&local, &ret_names->local);
	addr_to_sockaddr(&remote, &ret_names->remote);
	ret_names->far = (tail.traits & TRAIT_FAR) != 0;
	ret_names->sock6 = (tail.traits & TRAIT_SOCK6) != 0;
	return true;
}

bool deed_has(const struct vj *vj, struct vj_conn c)
{
	return deed_of(vj, (struct tcp_id){ c.v }) != NULL;
}

bool deed_is_far(const struct vj *vj, struct vj_conn c)
{
	return !tcp_can_move(vj->stack, (struct tcp_id){ c.v });
}

int deed_make(struct vj *vj, struct vj_conn c, uint64_t cookie, bool sock6, bool nonblock, int *ret_token)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v }); /* on its way into the kernel's queue: who has a copy finds it there */
	int err, pair[2];

	/* the program's own limit is for its own */
	if (vj->deeds && vj->deeds->cnt >= DEEDS_FEW && vj->deeds->cnt >= own_fd_limit() / 4)
		return -EMFILE;
	err = deed_pair(SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), pair);
	if (err)
		return err;
	pair[1] = own_fd(pair[1]);
	err = token_name(vj, pair[0], (struct tcp_id){ c.v }, sock6);
	if (!err && d && !deed_listen(vj->deeds, d, pair[1]))
		err = -ENOMEM;
	if (err) {
		own_fd_close(pair[1]);
		sys_close(pair[0]);
		return err;
	}
	if (!d) {
		d = deed_new(vj, pair[1]);
		if (!d) {
			sys_close(pair[0]);
			return -ENOMEM;
		}
		deed_conn_set(vj, d, (struct tcp_id){ c.v });
	}
	d->cookie = cookie;
	d->sock6 = sock6;
	raw_watch(vj, d, false); /* something may have come before */
	*ret_token = pair[0];
	return 0;
}

/* ---- bells --------------------------------------------------------------------------------------------------- */

int deed_bell(struct vj *vj, int fd)
{
	struct deeds *ds = deeds_get(vj);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
	int err = ds ? sys_epoll_ctl(ds->set_fd, EPOLL_CTL_ADD, fd, &ev) : -ENOMEM;

	if (err == -EEXIST)
		return 0;
	if (!err)
		ds->bells = true;
	return err;
}

bool deed_is_called(const struct vj *vj)
{
	return vj->deeds && vj->deeds->called;
}

bool deed_called(struct vj *vj)
{
	bool called = deed_is_called(vj);

	if (called)
		vj->deeds->called = false;
	return called;
}

/* ---- what comes in by it ---------------------------------------------------------------------------------------- */

/* No process has a copy of the token. */
static void deed_last(struct vj *vj, struct deed *d)
{
	struct vj_conn c = { d->conn.v };
	bool resets = d->msg.note.resets;

	if (d->cookie) /* closed behind the back of the layer above */
		return;
	if (d->conn.v) {
		resets |= raw_was_unread(d);
		deed_free(vj, d);
	} else { /* kept for somebody who will not come: end it as he would have */
		bool opened = !deed_open(vj, d, -1, &c);

		deed_free(vj, d);
		if (!opened)
			return;
	}
	if (resets)
		vj_conn_abort(vj, c);
	else
		vj_conn_close(vj, c);
}

static void deed_claimed(struct vj *vj, struct deed *d)
{
	struct deed_msg msg;
	int fds[DEED_FDS];

	if (!deed_msg_recv_one(d->fd, 1u << DEED_CLAIM, &msg, fds))
		deed_wanted(vj, d, fds[0]);
}

/* Something came in by the deed. Who comes second with a claim finds it served by the next holder. */
static void deed_event(struct vj *vj, struct deed *d)
{
	if (d->state == DEED_OFFERED) {
		deed_offer_event(vj, d);
		return;
	}
	while (d->state == DEED_QUIET) {
		if (!deed_raw_send(vj, d)) {
			vj->deeds->raw_waits = true; /* for room at the peer: again in a millisecond */
			return;
		}
		switch (raw_next(d)) {
		case RAW_NOTHING:
			raw_all(vj, d);
			return;
		case RAW_END:
			deed_last(vj, d);
			return;
		case RAW_SHUT:
			raw_shut(vj, d);
			return;
		case RAW_MESSAGE:
			deed_claimed(vj, d);
			break;
		case RAW_DATA:
			if (!raw_take(vj, d))
				return;
			break;
		}
	}
}

void deed_came(struct vj *vj, struct deed *d)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	if (vj_conn_info(vj, (struct vj_conn){ d->conn.v }, &info) || !info.in_flight_bytes)
		return;
	d->came_ns = vj->now_ns;
	d->came_in_flight = info.in_flight_bytes;
	d->came_unread = info.unread_bytes;
}

/*
 * Two processes that wait, one for room and the other for bytes, would have it by turns, and both give it away before the peer has answered;
 * who has it is to see an answer, or to have waited for a while. The peer may be a process whose helper alone sees to it, once in 10 ms.
 */
static bool deed_holds(const struct vj *vj, struct deed *d)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	if (d->came_ns && (vj->now_ns - d->came_ns >= HOLD_NS || vj_conn_info(vj, (struct vj_conn){ d->conn.v }, &info) ||
			   info.in_flight_bytes != d->came_in_flight || info.unread_bytes != d->came_unread))
		d->came_ns = 0;
	return d->came_ns != 0;
}

void deeds_serve(struct vj *vj, struct deeds *ds, bool at_rest)
{
	struct deed *list = ds->busy, *next;

	ds->busy = NULL;
	for (struct deed *d = list; d; d = next) {
		next = d->busy_next;
		if (d->state == DEED_CLAIMED && !d->requeue && !deed_raw_send(vj, d)) { /* was written before it was claimed */
			d->busy_next = ds->busy;
			ds->busy = d;
			continue;
		}
		if (d->state == DEED_CLAIMED && !d->requeue)
			raw_all(vj, d);
		if (d->state == DEED_LEAVING && tcp_is_over(vj->stack, d->conn))
			d->state = DEED_LEFT;
		if (d->state == DEED_CLAIMED && (at_rest || !d->cookie) && !deed_holds(vj, d))
			deed_leave(vj, d);
		if (d->state == DEED_LEFT && deed_give(vj, d))
			continue;
		if (d->state == DEED_QUIET)
			continue;
		d->busy_next = ds->busy;
		ds->busy = d;
	}
}

void deed_poll(struct vj *vj, bool spared)
{
	struct deeds *ds = vj->deeds;
	struct epoll_event ev;

	if (!ds || ds->set_fd < 0)
		return;
	/* one at a time: a deed that goes takes its event along */
	while (!spared && sys_epoll_pwait(ds->set_fd, &ev, 1, 0, NULL) == 1) {
		if (ev.data.ptr)
			deed_event(vj, ev.data.ptr);
		else
			ds->called = true;
	}
	if (unlikely(ds->raw_waits)) {
		ds->raw_waits = false;
		for (struct deed *d = ds->all, *next; d; d = next) {
			next = d->next;
			if (d->raw)
				deed_event(vj, d);
		}
	}
	if (unlikely(vj->now_ns >= ds->offered_ns))
		deed_offers_expire(vj);
	if (unlikely(vj->now_ns >= ds->given_ns))
		deed_given_look(vj);
	deeds_serve(vj, ds, false);
	if (unlikely(ds->pumps != NULL))
		raw_pump_all(vj);
	if (!ds->all) /* nobody comes here again for what isn't there */
		ds->offered_ns = UINT64_MAX;
	if (ds->all || ds->bells)
		vj->move_ns = min_u64(vj->move_ns, vj->now_ns + POLL_NS);
}

int deed_fd(const struct vj *vj)
{
	return vj->deeds ? vj->deeds->set_fd : -1;
}

bool deed_is_calm(const struct vj *vj)
{
	return !deed_busy(vj) && (!vj->deeds || (!vj->deeds->called && !vj->deeds->cnt));
}

bool deed_wants(const struct vj *vj)
{
	struct pollfd pfd = { .fd = deed_fd(vj), .events = POLLIN };

	return deed_busy(vj) || (pfd.fd >= 0 && (vj->deeds->called || sys_poll_ms(&pfd, 1, 0) > 0));
}

bool deed_is_idle(const struct vj *vj)
{
	struct stack_stats st;

	stack_stats(vj->stack, &st);
	return !st.tcp_conns && !vj->ifl_cnt && !(vj->deeds && vj->deeds->cnt) && !move_busy(vj);
}

void deed_let_go(struct vj *vj)
{
	if (likely(!deed_busy(vj)))
		return;
	if (vj->leaving)
		leaving_go_on(vj);
	if (vj->deeds)
		deeds_serve(vj, vj->deeds, true);
	link_publish_all(vj);
}

/* ---- endings --------------------------------------------------------------------------------------------------- */

void deed_close(struct vj *vj, struct vj_conn c, const struct deed_note *note)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (!d) {
		vj_conn_close(vj, c);
		return;
	}
	d->cookie = 0;
	d->msg.note = *note;
	vj_conn_cookie(vj, c, 0);
	raw_watch(vj, d, true);
	deed_rearm(vj, d); /* the last copy may have gone before: libc closes standard output itself */
}

void deed_abandon(struct vj *vj, uint64_t cookie)
{
	for (struct deed *d = vj->deeds ? vj->deeds->busy : NULL; d; d = d->busy_next)
		if (d->cookie == cookie)
			d->cookie = 0;
}

void deed_look(struct vj *vj)
{
	vj->now_ns = lib_clock_ns();
	move_poll(vj);
}

bool deed_push(struct vj *vj, struct deed *d)
{
	struct pollfd pfd = { .fd = d->fd };
	if (d->state != DEED_QUIET || !d->conn.v || tcp_is_over(vj->stack, d->conn) || !vj->ctl)
		return false;
	if (sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP))
		return false;
	if (tcp_can_move(vj->stack, d->conn) && deed_crate(d))
		return false;
	d->until_ns = vj->now_ns + KEEP_NS;
	deed_wanted(vj, d, d->answer_fd);
	return true;
}

void deed_send(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (d && !tcp_can_move(vj->stack, d->conn) && deed_push(vj, d))
		deed_let_go(vj);
}

void deed_leave_all(struct vj *vj, bool waits, int timeout_ms)
{
	uint64_t timeout_ns = (uint64_t)timeout_ms * UINT64_C(1000000), last_ns = lib_clock_ns() + LEAVE_TIMES * timeout_ns;
	uint64_t until_ns = lib_clock_ns() + timeout_ns;
	uint32_t cnt = vj->deeds ? vj->deeds->cnt : 0;

	if (!vj->deeds)
		return;
	vj->deeds->hurries = !waits;
	for (struct deed *d = vj->deeds->all; d; d = d->next) {
		if (!waits && !d->to_queue && d->state != DEED_OFFERED)
			d->until_ns = 0;
		(void)deed_push(vj, d);
	}
	while (deed_busy(vj) && lib_clock_ns() < until_ns) {
		vj->move_ns = 0;
		vj_process(vj);
		deed_let_go(vj);
		if (vj->deeds->cnt < cnt) /* some went: as long again for the others */
			until_ns = min_u64(lib_clock_ns() + timeout_ns, last_ns);
		cnt = vj->deeds->cnt;
		if (deed_busy(vj))
			sys_poll_ms(&(struct pollfd){ .fd = vj->bell_fd, .events = POLLIN }, 1, 1);
	}
	vj->deeds->hurries = false; /* if it doesn't become another program after all */
}

void deed_forget_all(struct vj *vj)
{
	struct deeds *ds = vj->deeds;

	if (!ds)
		return;
	while (ds->all)
		deed_drop(ds->all);
	own_fd_close(ds->set_fd);
	free(ds->by_conn);
	free(ds);
	vj->deeds = NULL;
}
