// SPDX-License-Identifier: BSD-2-Clause
/*
 * deed_requeue.c - a connection that waits for accept() is put into the kernel's accept queue instead; see move.h
 *
 * A program without the library may accept; it takes from that queue only, and may start when clients wait already. Nothing has been sent to such a client
 * yet, so its connection can become the kernel's: the client's library connects a kernel socket to the same endpoint, from the same address and port, and
 * sends the client's data again. That is what it has kept of a call (stack/tcp_call.c); else what the server's process had received, which comes back
 * in a parcel, then what was not sent yet. The socket takes the place of the channel's connection, and accept() finds a new connection.
 *
 * If the client has written, closed and ended, the listening process does this in its place, so that its data is not lost.
 *
 * If the listening process has ended, the client's library does it on its own, also for connections that the program has closed, while the process lives.
 */
#include "base/time.h"
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/kernel_option.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum { AGAIN_MS = 10, FOR_MS = 1500, UNHEARD_MS = 100 };

struct requeue {
	int fd; /* the kernel socket, non-blocking; -1: to be made */
	bool named; /* bound to the client's own address and port */
	bool connected;
	struct endpoint from, to;
	bool sock6;
	uint8_t *bytes; /* the parcel: what the listening process had received; @at of @len is sent */
	uint64_t len, at;
	uint64_t own_at; /* sent of the client's send queue, which only grows at its end meanwhile */
};

void requeue_free(struct deed *d)
{
	struct requeue *q = d->requeue;

	d->requeue = NULL;
	if (!q)
		return;
	own_fd_close(q->fd);
	free(q->bytes);
	free(q);
}

/* Takes ownership of @parcel, @bytes long, which is the server's end. NULL: no memory, or not a parcel */
static struct requeue *requeue_new(uint8_t *parcel, uint64_t bytes)
{
	struct requeue *q = calloc(1, sizeof(*q));
	struct tcp_parcel head;

	memset(&head, 0, sizeof(head));
	if (bytes >= sizeof(head))
		memcpy(&head, parcel, sizeof(head));
	if (!q || !head.remote_port || !head.local_port || head.rcv_bytes > bytes - sizeof(head)) {
		free(parcel);
		free(q);
		return NULL;
	}
	q->fd = -1;
	q->from = (struct endpoint){ .addr = ip_addr_from_v6(head.remote), .port = head.remote_port };
	q->to = (struct endpoint){ .addr = ip_addr_from_v6(head.local), .port = head.local_port };
	q->bytes = parcel;
	q->at = sizeof(head);
	q->len = sizeof(head) + head.rcv_bytes;
	return q;
}

/* ---- the kernel's connection ------------------------------------------------------------------------------------- */

/* @ep as an address for a socket of AF_INET, or (@sock6) AF_INET6 */
static socklen_t name_of(const struct endpoint *ep, bool sock6, struct sockaddr_storage *ret_name)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_name;

	addr_to_sockaddr(ep, ret_name);
	if (ret_name->ss_family == AF_INET && !sock6)
		return sizeof(struct sockaddr_in);
	if (ret_name->ss_family == AF_INET) {
		memset(ret_name, 0, sizeof(*ret_name));
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(ep->port);
		memcpy(&in6->sin6_addr, ep->addr.bytes, sizeof(in6->sin6_addr));
	}
	return sizeof(*in6);
}

/* @on until all data is sent: if this process ends before, the server must see a reset, and not take a part for the whole. */
static void ends_by_reset(const struct requeue *q, bool on)
{
	const struct linger at_once = { .l_onoff = on };

	(void)sys_setsockopt(q->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* @named: from the client's address and port. Return: 0: connecting; -errno. */
static int kernel_connect(struct requeue *q, bool named)
{
	struct sockaddr_storage from, to;
	socklen_t from_len = name_of(&q->from, q->sock6, &from), to_len = name_of(&q->to, q->sock6, &to);
	int err = 0, on = 1, off = 0;

	own_fd_close(q->fd);
	q->fd = OWN_FD_MAKE(sys_socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (q->fd < 0)
		return q->fd;
	ends_by_reset(q, true);
	q->named = named;
	if (to.ss_family == AF_INET6 && ip_addr_is_v4(&q->to.addr)) /* as the program's socket was, whatever net.ipv6.bindv6only says */
		(void)sys_setsockopt(q->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (named) {
		(void)sys_setsockopt(q->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		err = sys_bind(q->fd, (struct sockaddr *)&from, from_len);
	}
	if (!err)
		err = sys_connect(q->fd, (struct sockaddr *)&to, to_len);
	return err == -EINPROGRESS ? 0 : err;
}

/* Return: 0: it is connected; -EAGAIN: not yet; -errno */
static int connected(struct requeue *q)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err = 0;

	if (q->fd < 0) {
		err = kernel_connect(q, true);
		if (err) /* the client's port is in use in the kernel: from any other */
			err = kernel_connect(q, false);
		if (err)
			return err;
		pfd.fd = q->fd;
	}
	if (sys_poll_ms(&pfd, 1, 0) <= 0)
		return -EAGAIN;
	if (sys_getsockopt(q->fd, SOL_SOCKET, SO_ERROR, &err, &len) || err)
		return err ? -err : -EIO;
	q->connected = true;
	return 0;
}

/* Return: 0: all has been sent; -EAGAIN: not yet; -errno */
static int send_some(int fd, const uint8_t *bytes, uint64_t len, uint64_t *at)
{
	while (*at < len) {
		long n = sys_sendto(fd, bytes + *at, (size_t)(len - *at), MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

		if (n <= 0 && n != -EINTR)
			return n ? (int)n : -EIO;
		*at += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

static int requeue_go_on(struct requeue *q)
{
	int err = q->connected ? 0 : connected(q);

	return err ? err : send_some(q->fd, q->bytes, q->len, &q->at);
}

/* Send what the client's send queue holds. Return: as send_some() */
static int send_own(const struct vj *vj, struct requeue *q, struct tcp_id id)
{
	uint8_t buf[1024]; /* a thread's stack may be small */
	uint32_t len;
	int err = 0;

	while (!err && (len = tcp_unsent_read(vj->stack, id, q->own_at, buf, sizeof(buf))) != 0) {
		uint64_t at = 0;

		err = send_some(q->fd, buf, len, &at);
		q->own_at += at;
	}
	return err;
}

/* Send what others have written into the client's token, and pass on their shutdown() for writing. Return: as send_some() */
static int send_raw(struct vj *vj, const struct requeue *q, struct deed *d)
{
	enum raw_next next;

	do {
		uint64_t at = d->raw_at;
		int err = d->raw ? send_some(q->fd, d->raw, d->raw_len, &at) : 0;

		d->raw_at = (uint32_t)at;
		if (err)
			return err;
		free(d->raw);
		d->raw = NULL;
		next = d->fd < 0 ? RAW_NOTHING : raw_next(d);
	} while (next == RAW_DATA && raw_take(vj, d));
	raw_all(vj, d);
	if (next == RAW_SHUT)
		raw_shut(vj, d);
	return 0;
}

/* ---- the client's end -------------------------------------------------------------------------------------------- */

/* The channel's connection is over; the kernel socket in its place, if there is one, is @d->parcel_fd from here on. */
static void requeue_end(struct vj *vj, struct deed *d)
{
	d->in_kernel = true;
	d->state = DEED_LEFT;
	requeue_free(d);
	vj->move_ns = 0;
}

static void requeue_failed(struct vj *vj, struct deed *d, int err)
{
	struct tcp_id id = d->conn;

	lib_log(vj, LOG_WARNING, "a connection that nobody has accepted is reset: the kernel says %s", strerror(-err));
	deed_conn_gone(vj, d);
	if (!d->cookie) /* closed by the program, which won't ask how it ended */
		tcp_forget(vj->stack, id);
	else if (!tcp_is_over(vj->stack, id))
		tcp_fail(vj->stack, id, ECONNRESET);
	requeue_end(vj, d);
}

void requeue_leave(struct vj *vj, struct deed *d)
{
	struct requeue *q = d->requeue;
	struct tcp_id id = d->conn;
	struct kernel_options options;
	uint64_t cookie = d->cookie;
	bool refused = tcp_is_refused(vj->stack, id);
	int err;

	if (tcp_is_over(vj->stack, id) && !refused) { /* over for another reason, and handled as such */
		deed_conn_gone(vj, d);
		if (!d->cookie)
			tcp_forget(vj->stack, id);
		requeue_end(vj, d);
		return;
	}
	err = requeue_go_on(q);
	if (!err)
		err = send_own(vj, q, id);
	if (!err)
		err = send_raw(vj, q, d);
	if (err == -EAGAIN)
		return;
	if (err) {
		requeue_failed(vj, d, err);
		return;
	}
	ends_by_reset(q, false);
	if (tcp_sends_no_more(vj->stack, id))
		(void)sys_shutdown(q->fd, SHUT_WR);
	kernel_options_read(vj, (struct vj_conn){ id.v }, &options);
	(void)sys_fcntl(q->fd, F_SETFL, 0);
	kernel_options_set(q->fd, &options, ip_addr_is_v4(&q->to.addr), q->sock6);
	if (q->named)
		ports_to_kernel(vj, q->from.port);
	deed_conn_gone(vj, d);
	tcp_forget(vj->stack, id);
	d->cookie = 0;
	d->parcel_fd = q->fd;
	q->fd = -1;
	requeue_end(vj, d);
	vj->deeds->hooks.in_kernel(cookie, &d->msg.note, d->parcel_fd, refused ? REPORT_WHY_OWNER_GONE : REPORT_WHY_USED_ELSEWHERE);
}

/* The deed of connection @id: its own, if it has one (@d is freed), else @d, which has no connection yet. NULL: @d is NULL, and it has none */
static struct deed *requeue_deed(struct vj *vj, struct deed *d, struct tcp_id id)
{
	struct deed *own = deed_of(vj, id);

	if (own && d)
		deed_free(vj, d);
	if (own || !d)
		return own;
	memset(&d->msg.note, 0, sizeof(d->msg.note));
	d->cookie = tcp_cookie(vj->stack, id);
	d->sock6 = d->cookie && vj->deeds->hooks.sock6 && vj->deeds->hooks.sock6(d->cookie);
	deed_conn_set(vj, d, id);
	return d;
}

void requeue_take(struct vj *vj, struct deed *d)
{
	uint64_t bytes = 0;
	uint8_t *parcel = deed_parcel_read(d->parcel_fd, &bytes);
	struct requeue *q = parcel ? requeue_new(parcel, bytes) : NULL;
	struct tcp_id id;

	own_fd_close(d->parcel_fd);
	d->parcel_fd = -1;
	if (move_transit_take(vj, d->msg.token, &id)) { /* the connection has failed meanwhile */
		d->requeue = q;
		deed_free(vj, d);
		return;
	}
	d = requeue_deed(vj, d, id);
	if (d->state == DEED_QUIET)
		deed_wanted(vj, d, d->answer_fd);
	d->requeue = q;
	if (q) {
		q->sock6 = d->sock6;
		if (tcp_keeps_said(vj->stack, id)) /* send our own copy of the data, not the server's */
			q->at = q->len;
		tcp_endpoints(vj->stack, id, &q->from, &q->to); /* don't trust the parcel's */
	}
	/* only an end that has connected, and has nothing to be read, can have been waiting for accept() */
	if (!q || !vj->deeds->hooks.in_kernel || !tcp_is_unanswered(vj->stack, id))
		requeue_failed(vj, d, -EOPNOTSUPP);
	vj->move_ns = 0;
}

/* Wait for the kernel to take more, up to UNHEARD_MS if its backlog is full. Return: false: that time is over */
static bool kernel_takes(const struct requeue *q)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };

	return sys_poll_ms(&pfd, 1, UNHEARD_MS) > 0;
}

bool deed_unheard(struct vj *vj, struct vj_conn c)
{
	struct tcp_id id = { c.v };
	struct requeue *q = calloc(1, sizeof(*q));
	struct deed *d = q ? requeue_deed(vj, deed_new(vj, -1), id) : NULL;

	if (!d && !tcp_cookie(vj->stack, id) && !deed_of(vj, id))
		tcp_forget(vj->stack, id);
	if (!d || d->requeue || (d->state != DEED_QUIET && d->state != DEED_CLAIMED)) {
		free(q);
		return false;
	}
	q->fd = -1;
	q->sock6 = d->sock6;
	tcp_endpoints(vj->stack, id, &q->from, &q->to);
	d->requeue = q;
	if (d->state == DEED_QUIET)
		deed_wanted(vj, d, -1);
	vj->move_ns = 0;
	do
		requeue_leave(vj, d);
	while (d->requeue && d->cookie && kernel_takes(q));
	if (d->requeue && d->cookie)
		requeue_failed(vj, d, -ETIMEDOUT);
	return d->parcel_fd >= 0;
}

/* ---- the listening process' end ---------------------------------------------------------------------------------- */

/* Requeue in the place of a client that has ended. Return: true: done, or impossible. */
static bool give_alone(struct vj *vj, struct deed *d)
{
	uint64_t bytes = tcp_export_bytes(vj->stack, d->conn);
	uint8_t *parcel = d->requeue ? NULL : malloc(bytes);
	int err;

	if (parcel) {
		tcp_export(vj->stack, d->conn, parcel);
		d->requeue = requeue_new(parcel, bytes);
	}
	if (!d->requeue)
		return true;
	err = requeue_go_on(d->requeue);
	if (!err)
		ends_by_reset(d->requeue, false);
	return err != -EAGAIN;
}

/* If a parcel was packed as an offer to others, drop it, for one that goes to the client. Return: 0; -errno. */
static int crate_anew(struct deed *d)
{
	if (!d->packed)
		return 0;
	own_fd_close(d->answer_fd);
	own_fd_close(d->crate_fd);
	own_fd_close(d->parcel_fd);
	d->answer_fd = d->crate_fd = d->parcel_fd = -1;
	d->packed = false;
	return deed_crate(d);
}

bool requeue_instead(const struct vj *vj, struct deed *d)
{
	if (d->to_queue || d->fd >= 0 || !d->stops || crate_anew(d))
		return false;
	d->to_queue = true;
	d->until_ns = vj->now_ns + FOR_MS * NS_PER_MS;
	return true;
}

/* Pass the parcel to the client's process, by vjd. Return: 0; -ESRCH: that has ended; -errno */
static int give_to_client(struct vj *vj, struct deed *d)
{
	int err;

	if (!d->msg.peer_app || d->requeue)
		return -ESRCH;
	err = vj->ctl ? deed_pack(vj, d) : -EAGAIN;
	return err ? err : control_done(vj, ctl_client_pass(vj->ctl, d->msg.peer_app, d->msg.peer_pid, d->crate_fd, NULL));
}

static bool passes(int err)
{
	return err == -EAGAIN || err == -EBUSY || err == -ETIMEDOUT || err == -ENOTCONN;
}

bool requeue_give(struct vj *vj, struct deed *d, int *ret_err)
{
	int err = give_to_client(vj, d);

	*ret_err = err;
	if (err == -ESRCH) {
		*ret_err = 0;
		d->msg.peer_app = 0;
		if ((!d->requeue && deed_is_late(&d->msg)) || give_alone(vj, d)) /* late: before it ended it may have called another server, which has the data */
			return true;
	} else if (!passes(err) || vj->now_ns > d->until_ns) {
		return true;
	}
	d->again_ns = vj->now_ns + AGAIN_MS * NS_PER_MS;
	return false;
}
