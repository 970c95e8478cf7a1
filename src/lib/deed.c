// SPDX-License-Identifier: BSD-2-Clause
/* deed.c - who holds a connection, and how it is handed over; see move.h */
#include "lib/deed.h"

#include "channel/bell.h"
#include "channel/sys.h"
#include "lib/move.h"
#include "lib/own_fd.h"
#include "stack/tcp_move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/un.h>
#include <syslog.h>

enum {
	POLL_NS = 1000000,
	DEED_FDS = 2,
	DEEDS_FEW = 256,
	VJD_BACK_MS = 3000,  /* a vjd that was restarted: until it is there ... */
	PEER_BACK_MS = 1200, /* ... and until the peer has found it, too */
};

/* ---- messages between processes -------------------------------------------------------------------------------- */

enum deed_kind {
	DEED_CLAIM = 1, /* into a token; the descriptor: a socket to answer on */
	DEED_PARCEL,	/* the answer; descriptors: the deed, the parcel */
	DEED_QUEUED,	/* waits for accept(), and has no descriptors yet; descriptor: the parcel */
};

#define DEED_MAGIC UINT32_C(0x64656564)

struct deed_msg {
	uint32_t magic;
	uint32_t kind;
	uint32_t peer_app; /* who the connection's other end is: vjd's number, and its process */
	int32_t peer_pid;
	uint8_t token[MOVE_TOKEN_BYTES]; /* that the other end waits for; zero: it is gone */
	struct deed_note note;
};

union deed_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(DEED_FDS * sizeof(int))];
};

/* Return: 0; -errno. Does not wait. */
static int msg_send(int fd, const struct deed_msg *msg, const int *fds, unsigned fd_cnt)
{
	union deed_control control = { .head = { .cmsg_len = CMSG_LEN(fd_cnt * sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)msg, sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int)) };
	long n;

	memcpy(CMSG_DATA(&control.head), fds, fd_cnt * sizeof(int));
	do
		n = sys_sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -EINTR);
	return n < 0 ? (int)n : 0;
}

static void fds_close(const int *fds, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		own_fd_close(fds[i]);
}

static unsigned msg_fd_cnt(uint32_t kind)
{
	return kind == DEED_PARCEL ? 2 : 1;
}

/*
 * One message of @kinds (bits), and its descriptors.
 * Return: 0; -EBADMSG: it was none; -EAGAIN: nothing is there; -EPIPE: there will be nothing.
 */
static int msg_recv_one(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS])
{
	union deed_control control;
	struct iovec iov = { ret_msg, sizeof(*ret_msg) };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct own_fd_room room;
	unsigned cnt = 0;
	int fds[DEED_FDS];
	long n;

	own_fd_begin(&room);
	n = sys_recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	own_fd_end(&room);
	if (n == -EAGAIN || n == -EINTR)
		return (int)n;
	if (n < 0 || (n == 0 && !hdr.msg_controllen))
		return -EPIPE;
	if (hdr.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS) {
		cnt = min_u32((unsigned)((control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int)), DEED_FDS);
		memcpy(fds, CMSG_DATA(&control.head), cnt * sizeof(int));
	}
	for (unsigned i = 0; i < cnt; i++)
		fds[i] = own_fd(fds[i]);
	if (n == sizeof(*ret_msg) && ret_msg->magic == DEED_MAGIC && ret_msg->kind <= DEED_QUEUED &&
	    (kinds >> ret_msg->kind & 1) && cnt == msg_fd_cnt(ret_msg->kind)) {
		memcpy(ret_fds, fds, cnt * sizeof(int));
		return 0;
	}
	fds_close(fds, cnt);
	return -EBADMSG;
}

/* The first of @kinds; what else comes is passed over. Return: 0; -EAGAIN; -EPIPE. */
static int msg_recv(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS])
{
	int err;

	do
		err = msg_recv_one(fd, kinds, ret_msg, ret_fds);
	while (err == -EBADMSG || err == -EINTR);
	return err;
}

/* ---- deeds ----------------------------------------------------------------------------------------------------- */

enum deed_state {
	DEED_QUIET,
	DEED_CLAIMED, /* `answer_fd` waits; as soon as the connection can, it leaves */
	DEED_LEAVING, /* held, and the peer was told */
	DEED_LEFT,    /* the peer sends no more */
};

struct deed {
	struct deed *next, **pprev; /* of all */
	struct deed *busy_next;	    /* of those not QUIET */
	int fd; /* -1: it has no descriptors, and is offered to others that listen */
	enum deed_state state;
	struct tcp_id conn; /* 0: kept for its peer, which is another connection of ours */
	uint64_t cookie;    /* 0: our program has none of it */
	bool parted;	    /* the program was told that it leaves: once, though it may be held and let go again before it does */
	int answer_fd;	    /* not QUIET: where the parcel goes */
	int crate_fd;	    /* the other end of that, if it goes to the peer unasked; -1 */
	struct deed_msg msg; /* what is known of the answer */
	int parcel_fd;	     /* kept; -1 */
	uint8_t *raw;	     /* written into the token, and not sent yet: [raw_at, raw_len); NULL: nothing */
	uint32_t raw_at, raw_len;
};

struct deeds {
	struct deed *all, *busy;
	uint32_t cnt;
	bool raw_waits; /* some deed has `raw` */
	int set_fd; /* epoll, of all deeds */
	struct deed_hooks hooks;
};

/* NULL: no memory, no descriptor */
static struct deeds *deeds_get(struct vj *vj)
{
	struct deeds *ds = vj->deeds;

	if (ds && ds->set_fd >= 0)
		return ds;
	if (!ds)
		ds = vj->deeds = calloc(1, sizeof(*ds));
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
	if (!vj->deeds) {
		vj->deeds = calloc(1, sizeof(*vj->deeds));
		if (!vj->deeds)
			return;
		vj->deeds->set_fd = -1;
	}
	vj->deeds->hooks = *hooks;
}

/* Takes @fd in any case. NULL: no memory. */
static struct deed *deed_new(struct vj *vj, int fd)
{
	struct deeds *ds = deeds_get(vj);
	struct deed *d = ds ? calloc(1, sizeof(*d)) : NULL;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = d };

	if (!d || (fd >= 0 && sys_epoll_ctl(ds->set_fd, EPOLL_CTL_ADD, fd, &ev))) {
		own_fd_close(fd);
		free(d);
		return NULL;
	}
	d->fd = fd;
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
	own_fd_close(d->fd);
	own_fd_close(d->answer_fd);
	own_fd_close(d->crate_fd);
	own_fd_close(d->parcel_fd);
	free(d->raw);
	free(d);
}

static void deed_free(struct vj *vj, struct deed *d)
{
	/* who has it next has the same open file, which the set would go on watching */
	if (d->fd >= 0)
		(void)bell_set_del(vj->deeds->set_fd, d->fd);
	vj->deeds->cnt--;
	deed_drop(d);
}

static struct deed *deed_of(const struct vj *vj, struct tcp_id id)
{
	struct deed *d = vj->deeds ? vj->deeds->all : NULL;

	while (d && d->conn.v != id.v)
		d = d->next;
	return d;
}

/* What is there already is to be told again. */
static void deed_rearm(struct vj *vj, struct deed *d)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = d };

	(void)sys_epoll_ctl(vj->deeds->set_fd, EPOLL_CTL_MOD, d->fd, &ev);
}

static void deed_wanted(struct vj *vj, struct deed *d, int answer_fd)
{
	d->answer_fd = answer_fd;
	d->state = DEED_CLAIMED;
	d->busy_next = vj->deeds->busy;
	vj->deeds->busy = d;
}

bool deed_is_leaving(const struct vj *vj, struct tcp_id id)
{
	for (const struct deed *d = vj->deeds ? vj->deeds->busy : NULL; d; d = d->busy_next)
		if (d->conn.v == id.v && d->state == DEED_LEAVING)
			return true;
	return false;
}

void deed_postpone(struct vj *vj, struct tcp_id id)
{
	for (struct deed *d = vj->deeds ? vj->deeds->busy : NULL; d; d = d->busy_next)
		if (d->conn.v == id.v && d->state == DEED_LEAVING)
			d->state = DEED_CLAIMED;
}

bool deed_busy(const struct vj *vj)
{
	return vj->deeds && vj->deeds->busy;
}

/* ---- making one ------------------------------------------------------------------------------------------------ */

/* In a token's name, so that a process that inherits it knows. Only what does not change. */
struct name_tail {
	uint8_t random[12]; /* names are unique */
	struct move_name {
		uint8_t local[16], remote[16];
		uint16_t local_port, remote_port;
	} ends;
};

enum { NAME_BYTES = 1 + sizeof(DEED_NAME_PREFIX) - 1 + sizeof(struct name_tail) };
_Static_assert(NAME_BYTES <= sizeof(((struct sockaddr_un *)0)->sun_path), "a token's name fits");

static int token_name(const struct vj *vj, int token, struct tcp_id id)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct endpoint local, remote;
	struct name_tail tail = { 0 };

	tcp_endpoints(vj->stack, id, &local, &remote);
	if (getrandom(tail.random, sizeof(tail.random), 0) != sizeof(tail.random))
		return -EIO;
	memcpy(tail.ends.local, local.addr.bytes, 16);
	memcpy(tail.ends.remote, remote.addr.bytes, 16);
	tail.ends.local_port = local.port;
	tail.ends.remote_port = remote.port;
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
	return true;
}

int deed_make(struct vj *vj, struct vj_conn c, uint64_t cookie, bool nonblock, int *ret_token)
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), pair[2];
	struct own_fd_room room;
	struct deed *d;
	int err;

	if (!tcp_can_move(vj->stack, (struct tcp_id){ c.v }))
		return -EOPNOTSUPP;
	/* the program's own limit is for its own */
	if (vj->deeds && vj->deeds->cnt >= DEEDS_FEW && vj->deeds->cnt >= own_fd_limit() / 4)
		return -EMFILE;
	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, type, 0, pair);
	own_fd_end(&room);
	if (err)
		return err;
	pair[1] = own_fd(pair[1]);
	err = token_name(vj, pair[0], (struct tcp_id){ c.v });
	d = err ? NULL : deed_new(vj, pair[1]);
	if (!d) {
		if (err)
			own_fd_close(pair[1]);
		sys_close(pair[0]);
		return err ? err : -ENOMEM;
	}
	d->conn.v = c.v;
	d->cookie = cookie;
	*ret_token = pair[0];
	return 0;
}

/* Both ends of where the parcel goes, if nobody has asked for it. Return: 0; -errno. */
static int deed_crate(struct deed *d)
{
	struct own_fd_room room;
	int pair[2], err;

	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	own_fd_end(&room);
	if (err)
		return err;
	d->answer_fd = own_fd(pair[0]);
	d->crate_fd = own_fd(pair[1]);
	return 0;
}

/* ---- handing over ---------------------------------------------------------------------------------------------- */

/* Return: a memfd with all of the connection; -errno. */
static int parcel_write(const struct vj *vj, struct tcp_id id)
{
	uint64_t bytes = tcp_export_bytes(vj->stack, id), done = 0;
	int fd = OWN_FD_MAKE(sys_memfd_create("vj-parcel", MFD_CLOEXEC));
	uint8_t *buf = fd < 0 ? NULL : malloc(bytes);
	long n = -ENOMEM;

	if (buf) {
		tcp_export(vj->stack, id, buf);
		for (n = 0; done < bytes && n >= 0; done += (uint64_t)n)
			n = sys_write(fd, buf + done, bytes - done);
		free(buf);
	}
	if (fd >= 0 && n < 0) {
		own_fd_close(fd);
		return (int)n;
	}
	return fd;
}

/* Nobody takes it: it stays with us. */
static void deed_stays(struct vj *vj, struct deed *d)
{
	struct vj_link *link = d->conn.v ? move_link_of(vj, d->conn) : NULL;
	static const uint8_t none[MOVE_TOKEN_BYTES];

	own_fd_close(d->answer_fd);
	own_fd_close(d->crate_fd);
	d->answer_fd = d->crate_fd = -1;
	d->state = DEED_QUIET;
	vj->move_ns = 0;
	if (!d->conn.v) {
		move_transit_stay(vj, d->msg.token, true);
		return;
	}
	if (d->cookie && d->parted)
		vj->deeds->hooks.stays(d->cookie);
	d->parted = false;
	if (link && memcmp(d->msg.token, none, sizeof(none)) != 0)
		move_say(vj, link, MOVE_ARRIVED, d->msg.token, d->conn, true);
	else
		tcp_release(vj->stack, d->conn);
	/* who else has claimed it meanwhile rings no more */
	if (d->fd >= 0)
		deed_rearm(vj, d);
}

/* One that nobody else wants waits for our own accept() again, or is reset if we don't listen any more. Return: @queued */
static bool deed_returns(struct vj *vj, struct deed *d, bool queued)
{
	if (!queued)
		return false;
	if (tcp_enqueue(vj->stack, d->conn))
		vj_conn_abort(vj, (struct vj_conn){ d->conn.v });
	deed_free(vj, d);
	return true;
}

/* To whom it is for: another one that listens there, or its peer */
static int crate_send(struct vj *vj, const struct deed *d)
{
	struct endpoint local, remote;
	struct ctl_endpoint at;

	if (!vj->ctl)
		return -ENOTCONN;
	if (d->fd >= 0)
		return control_done(vj, ctl_client_pass(vj->ctl, d->msg.peer_app, d->msg.peer_pid, d->crate_fd));
	tcp_endpoints(vj->stack, d->conn, &local, &remote);
	at = ctl_endpoint_make(&local, CTL_PROTO_TCP);
	return control_done(vj, ctl_client_offer(vj->ctl, &at, vj->flow++, d->crate_fd));
}

/* It has left its peer's link, or is over: give it away, and the deed with it. Return: true: @d is gone. */
static bool deed_give(struct vj *vj, struct deed *d)
{
	int fds[DEED_FDS] = { d->fd }, err = 0;
	bool queued = d->fd < 0;

	if (d->conn.v) {
		d->parcel_fd = parcel_write(vj, d->conn);
	} else {
		move_transit_stay(vj, d->msg.token, false);
		if (vj->ctl) /* the other end is ours, and vjd may have numbered us anew */
			d->msg.peer_app = ctl_client_welcome(vj->ctl)->app_id;
	}
	d->msg.magic = DEED_MAGIC;
	d->msg.kind = queued ? DEED_QUEUED : DEED_PARCEL;
	fds[!queued] = d->parcel_fd;
	err = d->parcel_fd < 0 ? d->parcel_fd : msg_send(d->answer_fd, &d->msg, fds, msg_fd_cnt(d->msg.kind));
	if (!err && d->crate_fd >= 0)
		err = crate_send(vj, d);
	if (err) {
		lib_log(vj, LOG_WARNING, "a connection stays in its process: %s", strerror(-err));
		if (d->conn.v) {
			own_fd_close(d->parcel_fd);
			d->parcel_fd = -1;
		}
		deed_stays(vj, d);
		return deed_returns(vj, d, queued);
	}
	if (d->conn.v)
		tcp_forget(vj->stack, d->conn);
	deed_free(vj, d);
	return true;
}

/* The program does without it from here on. */
static void deed_part(struct vj *vj, struct deed *d)
{
	if (d->cookie && !d->parted)
		vj->deeds->hooks.leaves(d->cookie, &d->msg.note);
	d->parted = true;
}

static void deed_leave(struct vj *vj, struct deed *d)
{
	struct vj_link *link;

	if (!d->conn.v || tcp_is_over(vj->stack, d->conn)) {
		d->state = DEED_LEFT;
		deed_part(vj, d);
		return;
	}
	link = move_link_of(vj, d->conn);
	/* in its handshake, or its other end is moving: a little later */
	if (!link || tcp_hold(vj->stack, d->conn))
		return;
	if (getrandom(d->msg.token, sizeof(d->msg.token), 0) != sizeof(d->msg.token)) {
		deed_stays(vj, d);
		return;
	}
	d->state = DEED_LEAVING;
	deed_part(vj, d);
	move_say(vj, link, MOVE_LEAVE, d->msg.token, d->conn, false);
}

void deed_left(struct vj *vj, const struct vj_link *link, const uint8_t token[static MOVE_TOKEN_BYTES], uint32_t app_id)
{
	struct deed *d = vj->deeds ? vj->deeds->busy : NULL;

	while (d && (d->state != DEED_LEAVING || memcmp(d->msg.token, token, MOVE_TOKEN_BYTES) != 0))
		d = d->busy_next;
	if (!d || move_link_of(vj, d->conn) != link)
		return;
	d->state = DEED_LEFT;
	d->msg.peer_app = app_id;
	d->msg.peer_pid = link->said.peer_pid;
	if (!app_id && !tcp_is_over(vj->stack, d->conn))
		tcp_fail(vj->stack, d->conn, ECONNRESET);
	vj->move_ns = 0;
}

static int deed_open(struct vj *vj, struct deed *d, struct vj_conn *ret_c);

/* No process has a copy of the token. */
static void deed_last(struct vj *vj, struct deed *d)
{
	struct vj_conn c = { d->conn.v };

	if (d->cookie) /* closed behind the back of the layer above */
		return;
	if (d->conn.v) {
		deed_free(vj, d);
		vj_conn_close(vj, c);
		return;
	}
	/* kept for somebody who will not come: end it as he would have */
	if (!deed_open(vj, d, &c))
		vj_conn_close(vj, c);
	deed_free(vj, d);
}

/* ---- what is written into a token ------------------------------------------------------------------------------ */

/*
 * libc's streams write by a call that nobody can interpose, dprintf() and printf() onto descriptor 1 do, and programs without
 * the library know nothing else. What they write comes out here, in its order with the claims, and goes to the peer.
 */

/* Return: true: all has gone. */
static bool raw_send(struct vj *vj, struct deed *d)
{
	while (d->raw) {
		ssize_t n = vj_send(vj, (struct vj_conn){ d->conn.v }, d->raw + d->raw_at, d->raw_len - d->raw_at, 0);

		if (n == -EAGAIN || n == -ENOTCONN || n == -ENOMEM)
			return false;
		d->raw_at += n < 0 ? d->raw_len - d->raw_at : (uint32_t)n; /* it has failed: as if it had been sent */
		if (d->raw_at < d->raw_len)
			continue;
		free(d->raw);
		d->raw = NULL;
	}
	return true;
}

enum deed_next { NEXT_NONE, NEXT_DATA, NEXT_MESSAGE, NEXT_END };

/* What can be read from the deed? @ret_len: bytes of NEXT_DATA */
static enum deed_next deed_next(const struct deed *d, uint32_t *ret_len)
{
	struct pollfd pfd = { .fd = d->fd };
	uint32_t magic = 0;
	struct iovec iov = { &magic, sizeof(magic) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	long len = sys_recvmsg(d->fd, &hdr, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (len == -EAGAIN || len == -EINTR)
		return NEXT_NONE;
	/* an empty message looks like the end */
	if (len < 0 || (len == 0 && sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP)))
		return NEXT_END;
	*ret_len = (uint32_t)len;
	return len >= (long)sizeof(magic) && magic == DEED_MAGIC ? NEXT_MESSAGE : NEXT_DATA;
}

/* Return: false: no memory; later. */
static bool raw_take(struct deed *d, uint32_t len)
{
	struct msghdr hdr = { .msg_iovlen = 1 };
	struct iovec iov;
	long n;

	d->raw = malloc(len + 1);
	if (!d->raw)
		return false;
	iov = (struct iovec){ d->raw, len };
	hdr.msg_iov = &iov;
	n = sys_recvmsg(d->fd, &hdr, MSG_DONTWAIT);
	d->raw_at = 0;
	d->raw_len = n > 0 ? (uint32_t)n : 0;
	if (d->raw_len && d->conn.v)
		return true;
	free(d->raw); /* nothing; or the holder is a peer that keeps it, and reaches nobody */
	d->raw = NULL;
	return true;
}

static void deed_claimed(struct vj *vj, struct deed *d)
{
	struct deed_msg msg;
	int fds[DEED_FDS];

	if (!msg_recv_one(d->fd, 1u << DEED_CLAIM, &msg, fds))
		deed_wanted(vj, d, fds[0]);
}

/* Something came in by the deed. Who comes second with a claim finds it served by the next holder. */
static void deed_event(struct vj *vj, struct deed *d)
{
	uint32_t len;

	while (d->state == DEED_QUIET) {
		if (!raw_send(vj, d)) {
			vj->deeds->raw_waits = true; /* for room at the peer: again in a millisecond */
			return;
		}
		switch (deed_next(d, &len)) {
		case NEXT_NONE:
			return;
		case NEXT_END:
			deed_last(vj, d);
			return;
		case NEXT_MESSAGE:
			deed_claimed(vj, d);
			break;
		case NEXT_DATA:
			if (!raw_take(d, len))
				return;
			break;
		}
	}
}

/* @at_rest: the program is in no call on a connection */
static void deeds_serve(struct vj *vj, struct deeds *ds, bool at_rest)
{
	struct deed *list = ds->busy, *next;

	ds->busy = NULL;
	for (struct deed *d = list; d; d = next) {
		next = d->busy_next;
		if (d->state == DEED_LEAVING && tcp_is_over(vj->stack, d->conn))
			d->state = DEED_LEFT;
		if (d->state == DEED_CLAIMED && (at_rest || !d->cookie))
			deed_leave(vj, d);
		if (d->state == DEED_LEFT && deed_give(vj, d))
			continue;
		if (d->state == DEED_QUIET)
			continue;
		d->busy_next = ds->busy;
		ds->busy = d;
	}
}

void deed_poll(struct vj *vj)
{
	struct deeds *ds = vj->deeds;
	struct epoll_event ev;

	if (!ds || ds->set_fd < 0)
		return;
	/* one at a time: a deed that goes takes its event along */
	while (sys_epoll_pwait(ds->set_fd, &ev, 1, 0, NULL) == 1)
		deed_event(vj, ev.data.ptr);
	if (unlikely(ds->raw_waits)) {
		ds->raw_waits = false;
		for (struct deed *d = ds->all, *next; d; d = next) {
			next = d->next;
			if (d->raw)
				deed_event(vj, d);
		}
	}
	deeds_serve(vj, ds, false);
	if (ds->all)
		vj->move_ns = min_u64(vj->move_ns, vj->now_ns + POLL_NS);
}

int deed_fd(const struct vj *vj)
{
	return vj->deeds ? vj->deeds->set_fd : -1;
}

bool deed_wants(const struct vj *vj)
{
	struct pollfd pfd = { .fd = deed_fd(vj), .events = POLLIN };

	return pfd.fd >= 0 && (deed_busy(vj) || sys_poll_ms(&pfd, 1, 0) > 0);
}

void deed_let_go(struct vj *vj)
{
	if (likely(!vj->deeds || !vj->deeds->busy))
		return;
	deeds_serve(vj, vj->deeds, true);
	link_publish_all(vj);
}

/* ---- taking over ----------------------------------------------------------------------------------------------- */

/* Return: all of a parcel, to be freed; NULL. */
static uint8_t *parcel_read(int fd, uint64_t *ret_bytes)
{
	struct stat st;
	uint8_t *buf;
	uint64_t done = 0;
	long n = 1;

	if (sys_fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > TCP_PARCEL_MAX)
		return NULL;
	buf = malloc((size_t)st.st_size + 1);
	for (; buf && done < (uint64_t)st.st_size && n > 0; done += (uint64_t)n)
		n = SYS_CALL4(SYS_pread64, fd, buf + done, (uint64_t)st.st_size - done, done);
	if (buf && n <= 0) {
		free(buf);
		return NULL;
	}
	*ret_bytes = (uint64_t)st.st_size;
	return buf;
}

/* A link to who has the other end. vjd may be starting anew just now. Return: NULL: there is none to be had. */
static struct vj_link *link_to(struct vj *vj, const struct deed_msg *msg)
{
	uint64_t start_ns = lib_clock_ns();
	struct vj_link *link = NULL;
	int err;

	for (;;) {
		uint64_t waited_ms;

		err = route_join(vj, msg->peer_app, msg->peer_pid, &link);
		waited_ms = (lib_clock_ns() - start_ns) / 1000000;
		if ((err != -ENOTCONN || waited_ms >= VJD_BACK_MS) && (err != -ESRCH || waited_ms >= PEER_BACK_MS))
			break;
		sys_poll_ms(NULL, 0, 20);
		vj->now_ns = lib_clock_ns();
		vj->ctl_next_ns = 0;
		control_poll(vj);
	}
	if (err)
		lib_log(vj, LOG_WARNING, "a connection is reset: no channel to process %d, its other end: %s",
			msg->peer_pid, strerror(-err));
	return err ? NULL : link;
}

/* The connection of a deed that came with its parcel, into our stack. Return: 0; -ECONNRESET. */
static int deed_open(struct vj *vj, struct deed *d, struct vj_conn *ret_c)
{
	static const uint8_t none[MOVE_TOKEN_BYTES];
	bool over = memcmp(d->msg.token, none, sizeof(none)) == 0;
	struct vj_link *link = over ? NULL : link_to(vj, &d->msg);
	uint64_t bytes = 0;
	uint8_t *buf = parcel_read(d->parcel_fd, &bytes);
	struct link_id on = over ? move_nowhere(vj) : link ? link->stack_id : (struct link_id){ 0 };
	int err = buf ? tcp_import(vj->stack, on, buf, bytes, d->cookie, &d->conn) : -EINVAL;

	free(buf);
	own_fd_close(d->parcel_fd);
	d->parcel_fd = -1;
	if (err) {
		lib_log(vj, LOG_WARNING, "a connection is reset: its parcel does not open: %s", strerror(-err));
		return -ECONNRESET;
	}
	if (!over) {
		(void)tcp_hold(vj->stack, d->conn);
		move_say(vj, link, MOVE_ARRIVED, d->msg.token, d->conn, true);
		link_publish_all(vj);
	}
	ret_c->v = d->conn.v;
	return 0;
}

int deed_claim(int token, int *ret_answer)
{
	struct deed_msg msg = { .magic = DEED_MAGIC, .kind = DEED_CLAIM };
	struct own_fd_room room;
	int pair[2], err;

	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	own_fd_end(&room);
	if (err)
		return err;
	err = msg_send(token, &msg, &pair[1], 1);
	sys_close(pair[1]);
	if (err) {
		sys_close(pair[0]);
		return err == -EPIPE || err == -ENOTCONN ? -ECONNRESET : err;
	}
	*ret_answer = own_fd(pair[0]);
	return 0;
}

/* The deed and the parcel that come in by @from. Return: 0; -EAGAIN; -ECONNRESET. */
static int deed_receive(struct vj *vj, int from, unsigned kinds, struct deed **ret_d)
{
	int fds[DEED_FDS], err;
	struct deed_msg msg;
	struct deed *d;

	err = msg_recv(from, kinds, &msg, fds);
	if (err)
		return err == -EAGAIN ? -EAGAIN : -ECONNRESET;
	d = deed_new(vj, msg.kind == DEED_PARCEL ? fds[0] : -1);
	if (!d) {
		own_fd_close(fds[msg_fd_cnt(msg.kind) - 1]);
		return -ECONNRESET;
	}
	d->msg = msg;
	d->parcel_fd = fds[msg_fd_cnt(msg.kind) - 1];
	*ret_d = d;
	return 0;
}

int deed_take(struct vj *vj, int answer, uint64_t cookie, struct deed_note *ret_note, struct vj_conn *ret_c)
{
	struct deed *d;
	int err = deed_receive(vj, answer, 1u << DEED_PARCEL, &d);

	if (err)
		return err;
	d->cookie = cookie;
	err = deed_open(vj, d, ret_c);
	if (err) {
		deed_free(vj, d);
		return err;
	}
	*ret_note = d->msg.note;
	return 0;
}

/* Somebody else's client, who has waited there for accept(): now he waits here. */
static void deed_enqueue(struct vj *vj, struct deed *d)
{
	struct vj_conn c;

	if (!deed_open(vj, d, &c) && tcp_enqueue(vj->stack, d->conn))
		vj_conn_abort(vj, c);
	deed_free(vj, d);
}

void deed_keep(struct vj *vj, int crate)
{
	struct deed *d;

	if (!deed_receive(vj, crate, 1u << DEED_PARCEL | 1u << DEED_QUEUED, &d)) {
		if (d->msg.kind == DEED_QUEUED)
			deed_enqueue(vj, d);
		else
			move_transit_stay(vj, d->msg.token, true);
	}
	own_fd_close(crate);
}

static void offer_one(struct vj *vj, struct tcp_id id)
{
	struct deed *d = tcp_can_move(vj->stack, id) ? deed_new(vj, -1) : NULL;

	if (!d || deed_crate(d)) {
		if (d)
			deed_free(vj, d);
		vj_conn_abort(vj, (struct vj_conn){ id.v });
		return;
	}
	d->conn = id;
	deed_wanted(vj, d, d->answer_fd);
	vj->move_ns = 0;
}

void deed_offer(struct vj *vj, struct vj_listener l, bool stops)
{
	struct listener_id from = { l.v };
	struct tcp_id id;

	if (stops)
		vj_process(vj); /* what came before the end still counts */
	for (uint32_t n = tcp_listener_ready(vj->stack, from); n && !tcp_accept(vj->stack, from, 0, &id); n--) {
		/* who came over an interface waits on, and ends with the listener */
		if (tcp_can_move(vj->stack, id) || stops || tcp_enqueue(vj->stack, id))
			offer_one(vj, id);
	}
	while (stops && !tcp_accept_early(vj->stack, from, &id))
		offer_one(vj, id);
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

/* Unasked, to the peer. Return: false: there is nobody to give it to. */
static bool deed_push(struct vj *vj, struct deed *d)
{
	struct pollfd pfd = { .fd = d->fd };

	if (d->state != DEED_QUIET || !d->conn.v || tcp_is_over(vj->stack, d->conn) || !vj->ctl)
		return false;
	if ((sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP)) || deed_crate(d))
		return false;
	deed_wanted(vj, d, d->answer_fd);
	return true;
}

void deed_leave_all(struct vj *vj, int timeout_ms)
{
	uint64_t until_ns = lib_clock_ns() + (uint64_t)timeout_ms * UINT64_C(1000000);

	if (!vj->deeds)
		return;
	for (struct deed *d = vj->deeds->all; d; d = d->next)
		(void)deed_push(vj, d);
	while (deed_busy(vj) && lib_clock_ns() < until_ns) {
		vj->move_ns = 0;
		vj_process(vj);
		deed_let_go(vj);
		if (deed_busy(vj))
			sys_poll_ms(&(struct pollfd){ .fd = vj->bell_fd, .events = POLLIN }, 1, 1);
	}
}

void deed_forget_all(struct vj *vj)
{
	struct deeds *ds = vj->deeds;

	if (!ds)
		return;
	while (ds->all)
		deed_drop(ds->all);
	own_fd_close(ds->set_fd);
	free(ds);
	vj->deeds = NULL;
}
