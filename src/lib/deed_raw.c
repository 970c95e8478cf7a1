// SPDX-License-Identifier: BSD-2-Clause
/*
 * deed_raw.c - raw readers and writers: programs that use a token by system calls of their own; see move.h
 *
 * libc's streams read and write by calls that can't be interposed; programs without the library use the token like any socket. It is a stream socket, so both
 * works: the holder finds what they write at the deed, in order with the claims, and sends it to the peer. What the peer sends it puts into the deed,
 * for them to read at the token.
 *
 * The holder can't see a raw reader wait. Bytes in a token cost two more system calls, and the next claimer must read them before all else. So only bytes that
 * have waited for a while are put there, and few at a time: after SOON_MS if the holder's program does not wait for them, or lets libc read; after LATE_MS if
 * it waits, and is slow. When another process has read them all the next ones follow at once; so do the first ones if an epoll set of another process
 * is known to wait at the token (deed_watched()).
 *
 * A peer that keeps a connection (deed_keep()) and has bytes for a reader that has not claimed it after KEPT_MS opens the parcel itself, and is an ordinary
 * holder from then on.
 */
#include "base/time.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "lib/connect.h"
#include "lib/deed_priv.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	TAKE_BYTES = 64 * 1024,
	PUMP_BYTES = 32 * 1024, /* limit for unread bytes in a token, the kernel's overhead included */
	SOON_MS = 3,
	LATE_MS = 100,
	KEPT_MS = 20,
	KEPT_AGAIN_MS = 1000, /* at the latest; new bytes are seen before that */
};

static uint32_t socket_bytes(int fd, unsigned long which)
{
	int bytes = 0;

	return SYS_CALL3(SYS_ioctl, fd, which, &bytes) || bytes < 0 ? 0 : (uint32_t)bytes;
}

/* ---- written --------------------------------------------------------------------------------------------------- */

bool deed_raw_send(struct vj *vj, struct deed *d)
{
	while (d->raw) {
		ssize_t n = vj_send(vj, (struct vj_conn){ d->conn.v }, d->raw + d->raw_at, d->raw_len - d->raw_at, 0);

		if (n == -EAGAIN || n == -ENOTCONN || n == -ENOMEM)
			return false;
		d->raw_at += n < 0 ? d->raw_len - d->raw_at : (uint32_t)n; /* the connection has failed: drop the rest */
		if (d->raw_at < d->raw_len)
			continue;
		free(d->raw);
		d->raw = NULL;
	}
	return true;
}

void raw_all(struct vj *vj, struct deed *d)
{
	if (d->shuts && d->conn.v)
		(void)vj_shutdown(vj, (struct vj_conn){ d->conn.v });
	if (d->shuts_read && d->conn.v)
		conn_shut_read(vj, (struct vj_conn){ d->conn.v });
	d->shuts = d->shuts_read = false;
}

int deed_shutdown(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (d)
		deed_look(vj);
	if (!d || !d->raw)
		return vj_shutdown(vj, c);
	d->shuts = true;
	return 0;
}

void deed_shut_read(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (d && d->shuts)
		d->shuts_read = true;
	else
		conn_shut_read(vj, c);
}

static enum raw_next nothing_queued(const struct deed *d)
{
	struct pollfd pfd = { .fd = d->fd, .events = POLLIN | POLLRDHUP };

	if (sys_poll_ms(&pfd, 1, 0) <= 0)
		return RAW_NOTHING;
	if (pfd.revents & (POLLHUP | POLLERR))
		return socket_bytes(d->fd, FIONREAD) ? RAW_NOTHING : RAW_END;
	return (pfd.revents & POLLRDHUP) && !socket_bytes(d->fd, FIONREAD) ? RAW_SHUT : RAW_NOTHING;
}

bool raw_was_unread(const struct deed *d)
{
	int err = 0;
	socklen_t len = sizeof(err);

	/* the kernel's unix_release_sock() sets that if the last copy was closed with bytes unread */
	return !sys_getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &len) && err == ECONNRESET;
}

/*
 * A message comes with a descriptor, at which recvmsg() stops. So a message is the last part of what MSG_PEEK returned, and complete unless @d->raw was too
 * short for it.
 */
enum raw_next raw_next(struct deed *d)
{
	uint32_t queued = min_u32(socket_bytes(d->fd, FIONREAD), TAKE_BYTES);
	struct msghdr hdr = { .msg_iovlen = 1 };
	struct iovec iov;
	long len;

	if (!queued)
		return nothing_queued(d);
	d->raw = malloc(queued);
	if (!d->raw)
		return RAW_NOTHING; /* no memory: later */
	iov = (struct iovec){ d->raw, queued };
	hdr.msg_iov = &iov;
	len = sys_recvmsg(d->fd, &hdr, MSG_PEEK | MSG_DONTWAIT);
	if (len > 0 && (hdr.msg_flags & MSG_CTRUNC))
		len -= (long)sizeof(struct deed_msg);
	d->raw_at = 0;
	d->raw_len = len > 0 ? (uint32_t)len : 0;
	if (d->raw_len)
		return RAW_DATA;
	free(d->raw);
	d->raw = NULL;
	return hdr.msg_flags & MSG_CTRUNC ? RAW_MESSAGE : RAW_NOTHING;
}

/* If @d is kept for a claimer: a raw reader or writer has used the token before one came, so open the parcel. */
static void kept_open(struct vj *vj, struct deed *d)
{
	struct vj_conn c;

	if (d->conn.v || d->deaf)
		return;
	if (deed_open(vj, d, -1, &c)) {
		d->deaf = true;
		raw_rest(d);
	} else {
		raw_watch(vj, d, true);
	}
}

bool raw_take(struct vj *vj, struct deed *d)
{
	long n = sys_recvfrom(d->fd, d->raw, d->raw_len, MSG_DONTWAIT, NULL, NULL);

	kept_open(vj, d);
	d->raw_len = n > 0 ? (uint32_t)n : 0;
	if (d->raw_len && d->conn.v)
		return true;
	free(d->raw); /* nothing was read; or a kept connection could not be opened */
	d->raw = NULL;
	return n > 0;
}

void raw_shut(struct vj *vj, struct deed *d)
{
	kept_open(vj, d);
	if (d->conn.v)
		(void)vj_shutdown(vj, (struct vj_conn){ d->conn.v });
}

/* ---- to be read ------------------------------------------------------------------------------------------------ */

void raw_watch(struct vj *vj, struct deed *d, bool soon)
{
	struct deeds *ds = vj->deeds;

	d->soon |= soon;
	vj->move_ns = 0;
	/* not over an interface: it will become the kernel's, and needs all its unread bytes for that */
	if (d->pump_pprev || (d->conn.v && !tcp_can_move(vj->stack, d->conn)))
		return;
	d->waiting = false;
	d->look_ns = 0;
	d->pump_next = ds->pumps;
	d->pump_pprev = &ds->pumps;
	if (d->pump_next)
		d->pump_next->pump_pprev = &d->pump_next;
	ds->pumps = d;
}

void raw_rest(struct deed *d)
{
	if (!d->pump_pprev)
		return;
	*d->pump_pprev = d->pump_next;
	if (d->pump_next)
		d->pump_next->pump_pprev = d->pump_pprev;
	d->pump_pprev = NULL;
}

void raw_keep(struct vj *vj, struct deed *d)
{
	struct tcp_parcel head = { 0 };
	long n = deed_parcel_look(d->parcel_fd, &head, sizeof(head), 0);

	raw_watch(vj, d, false);
	d->parcel_waits = n == (long)sizeof(head) && head.rcv_bytes;
	d->waiting = true;
	d->kept_long = d->watched; /* its reader waits at the token: no need to let it claim first */
	d->look_ns = d->parcel_waits && d->watched ? 0 : lib_clock_ns() + KEPT_MS * NS_PER_MS;
}

void deed_read_soon(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (d)
		raw_watch(vj, d, true);
}

void deed_readable(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (d)
		raw_watch(vj, d, false);
}

void deed_read(struct vj *vj, struct vj_conn c)
{
	struct deed *d = vj->deeds && vj->deeds->pumps ? deed_of(vj, (struct tcp_id){ c.v }) : NULL;

	if (d)
		d->waiting = d->pumped = d->drained = d->full = false;
}

void deed_watched(struct vj *vj, struct vj_conn c)
{
	struct deed *d = deed_of(vj, (struct tcp_id){ c.v });

	if (!d)
		return;
	d->watched = true;
	raw_watch(vj, d, false);
}

static uint32_t unread_bytes(const struct vj *vj, const struct deed *d)
{
	return tcp_unread_bytes(vj->stack, d->conn);
}

/* Are there bytes for the token's readers, or an end of file or error that they haven't seen? */
static bool has_news(const struct vj *vj, const struct deed *d)
{
	bool over = vj_ready(vj, (struct vj_conn){ d->conn.v }) & (VJ_EV_EOF | VJ_EV_ERROR);

	return (over && !d->ended) || unread_bytes(vj, d);
}

/* Does a raw write wait for send buffer, and is there some since the last look? */
static bool can_send(const struct vj *vj)
{
	const struct deed *d = vj->deeds && vj->deeds->raw_waits ? vj->deeds->all : NULL;

	while (d && !(d->raw && d->conn.v && (vj_ready(vj, (struct vj_conn){ d->conn.v }) & VJ_EV_WRITABLE)))
		d = d->next;
	return d != NULL;
}

/* Kept for so long that a claimer would have come, and the peer's end has something to be read? */
static bool kept_has_news(const struct vj *vj, const struct deed *d)
{
	return d->kept_long && !d->deaf && d->state == DEED_QUIET && move_transit_has_news(vj, d->msg.token);
}

uint64_t deed_pump_ns(const struct vj *vj)
{
	uint64_t ns = can_send(vj) ? 0 : UINT64_MAX;

	for (const struct deed *d = vj->deeds ? vj->deeds->pumps : NULL; d; d = d->pump_next) {
		if (kept_has_news(vj, d))
			return 0;
		if (d->waiting)
			ns = min_u64(ns, d->look_ns);
		else if (d->conn.v && d->state == DEED_QUIET && !d->full && has_news(vj, d)) /* since the last look */
			return 0;
	}
	return ns;
}

/* All bytes are in the token: end of file behind them. */
static void pump_end(struct deed *d)
{
	if (!d->ended)
		(void)sys_shutdown(d->fd, SHUT_WR);
	d->ended = true;
}

/* Put bytes into the token. @in_token: unread bytes there, with the kernel's overhead. Return: the same, afterwards */
static uint32_t pump(struct vj *vj, struct deed *d, uint32_t in_token)
{
	struct vj_conn c = { d->conn.v };

	while (in_token < PUMP_BYTES && unread_bytes(vj, d)) {
		const uint8_t *data;
		ssize_t n = vj_recv_borrow(vj, c, &data);

		if (n > 0)
			n = sys_sendto(d->fd, data, min_size((size_t)n, PUMP_BYTES / 2), MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		if (n <= 0)
			break;
		vj_recv_return(vj, c, (size_t)n);
		if (!d->pumped) {
			d->pumped = true;
			deed_rearm(vj, d);
		}
		if (d->cookie)
			vj->deeds->hooks.pumped(d->cookie);
		in_token = socket_bytes(d->fd, SIOCOUTQ);
	}
	return in_token;
}

/* Have the unread bytes waited long enough? */
static bool pump_due(struct vj *vj, struct deed *d)
{
	bool waited = d->cookie && vj->deeds->hooks.waited(d->cookie), soon = d->soon || !waited;

	if (d->drained || (d->watched && !waited))
		return true;
	if (d->waiting)
		return vj->now_ns >= d->look_ns;
	d->waiting = true;
	d->look_ns = vj->now_ns + (soon ? SOON_MS : LATE_MS) * NS_PER_MS;
	return false;
}

static void pump_one(struct vj *vj, struct deed *d)
{
	uint32_t in_token;

	if (!has_news(vj, d)) {
		d->waiting = d->full = false; /* the event for room in the token may be gone by the time that bytes come again */
		if (d->ended || (!d->soon && !d->pumped))
			raw_rest(d);
		return;
	}
	in_token = d->pumped ? socket_bytes(d->fd, SIOCOUTQ) : 0;
	d->drained |= d->pumped && !in_token;
	if (!pump_due(vj, d))
		return;
	in_token = pump(vj, d, in_token);
	d->full = in_token >= PUMP_BYTES; /* EPOLLOUT says when there is room */
	d->waiting = !d->full && unread_bytes(vj, d);
	d->look_ns = vj->now_ns + SOON_MS * NS_PER_MS;
	if (has_news(vj, d) && !unread_bytes(vj, d))
		pump_end(d);
}

/* Is there a channel of this process to itself, where both ends will be? vjd may be restarting: then later. */
static bool can_open(struct vj *vj, struct deed *d)
{
	struct vj_link *link;

	if (!vj->ctl)
		return false;
	d->msg.peer_app = ctl_client_welcome(vj->ctl)->app_id; /* a new vjd may have given us another number */
	return !route_join(vj, d->msg.peer_app, d->msg.peer_pid, &link);
}

static void keep_one(struct vj *vj, struct deed *d)
{
	bool news;

	if (vj->now_ns < d->look_ns && !kept_has_news(vj, d))
		return;
	news = d->parcel_waits || move_transit_has_news(vj, d->msg.token);
	if (news && can_open(vj, d)) {
		kept_open(vj, d);
		d->drained = d->kept_long; /* a claimer would have come by now: pump at once */
		return;
	}
	d->kept_long = !news; /* with news: try again at look_ns, not at once */
	d->look_ns = vj->now_ns + KEPT_AGAIN_MS * NS_PER_MS;
}

void raw_pump_all(struct vj *vj)
{
	for (struct deed *d = vj->deeds->pumps, *next; d; d = next) {
		next = d->pump_next;
		if (d->state != DEED_QUIET)
			continue;
		if (d->conn.v)
			pump_one(vj, d);
		else
			keep_one(vj, d);
	}
}
