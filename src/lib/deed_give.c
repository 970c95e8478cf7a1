// SPDX-License-Identifier: BSD-2-Clause
/* deed_give.c - the holder's side: a connection goes to its claimer, to its peer to keep, or to another listening process; see move.h */
#include "base/time.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/own_fd.h"
#include "lib/to_kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <syslog.h>

/* All less than the peer waits for ARRIVED (TRANSIT_MS), and than exit() waits */
enum { OFFER_AGAIN_MS = 10, OFFER_FOR_MS = 1500, OFFERED_MS = 5000 };

int deed_crate(struct deed *d)
{
	int pair[2], err = deed_pair(SOCK_SEQPACKET, pair);

	if (err)
		return err;
	d->answer_fd = own_fd(pair[0]);
	d->crate_fd = own_fd(pair[1]);
	return 0;
}

/*
 * A byte behind the parcel calls the offer off: a taker that finds both leaves the connection alone. One that looked for the byte before it was there fails to
 * say that it has the connection, because of the shutdown, and looks again. Return: false: the taker had said so before
 */
static bool call_off(int fd)
{
	uint8_t word;

	(void)sys_sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	(void)sys_shutdown(fd, SHUT_RD);
	return sys_recvfrom(fd, &word, 1, MSG_DONTWAIT, NULL, NULL) != 1;
}

/* Giving it failed; but vjd may just be late, and may pass the crate on yet, or have done so. Return: false: somebody has the connection */
static bool comes_back(const struct deed *d)
{
	return !d->packed || d->crate_fd < 0 || call_off(d->answer_fd);
}

static void conn_stays(struct vj *vj, struct deed *d)
{
	struct vj_link *link = move_link_of(vj, d->conn);
	static const uint8_t none[MOVE_TOKEN_BYTES];

	if (d->cookie && d->parted)
		vj->deeds->hooks.stays(d->cookie);
	d->parted = false;
	if (link && memcmp(d->msg.token, none, sizeof(none)) != 0)
		move_arrived(vj, link, d->msg.token, d->msg.until_ns, d->conn);
	else
		tcp_release(vj->stack, d->conn);
}

/* Nobody takes it: this process remains the holder. */
static void deed_stays(struct vj *vj, struct deed *d)
{
	own_fd_close(d->answer_fd);
	own_fd_close(d->crate_fd);
	d->answer_fd = d->crate_fd = -1;
	d->state = DEED_QUIET;
	vj->move_ns = 0;
	if (d->conn.v)
		conn_stays(vj, d);
	else /* kept: its peer's end is in this process */
		move_transit_stay(vj, d->msg.token, true);
	/* claims that came meanwhile, or the close of the last copy, were edges that won't be reported again */
	if (d->fd >= 0)
		deed_rearm(vj, d);
}

/* If @queued it waits for accept(), and no other process wants it: back into our queue; offered once more if we have stopped listening. Return: @queued */
static bool deed_returns(struct vj *vj, struct deed *d, bool queued)
{
	struct tcp_id id = d->conn;
	bool stops = d->stops;

	if (!queued)
		return false;
	deed_free(vj, d);
	if (deed_drop_late(vj, id) || !tcp_enqueue(vj->stack, id))
		return true;
	if (stops)
		tcp_refuse(vj->stack, id);
	else
		deed_offer_one(vj, id, DEED_OFFER_STOPS);
	return true;
}

/*
 * Does a kernel socket listen there? Then some process has a copy of the socket that our program has closed, and may be about to wait at it: after
 * a reload the new workers have started, but need not have come that far.
 */
static bool is_listened(const struct endpoint *at)
{
	struct sockaddr_storage addr;
	int fd, err, on = 1;

	addr_to_sockaddr(at, &addr);
	fd = sys_socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	(void)sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = sys_bind(fd, (struct sockaddr *)&addr,
		       addr.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	sys_close(fd);
	return err;
}

/* No process was found that takes it. Is it worth asking again? */
static bool offer_again(struct vj *vj, struct deed *d, int err)
{
	struct endpoint local, remote;

	if ((err != -EHOSTUNREACH && err != -EAGAIN && err != -ENOTCONN) || vj->now_ns > d->until_ns)
		return false;
	tcp_endpoints(vj->stack, d->conn, &local, &remote);
	if (err == -EHOSTUNREACH && !is_listened(&local))
		return false;
	d->again_ns = vj->now_ns + OFFER_AGAIN_MS * NS_PER_MS;
	return true;
}

/* Has vjd pass the crate on: to the peer, to the process named by deed_offer_to(), or to any other that listens there */
static int crate_send(struct vj *vj, struct deed *d)
{
	struct endpoint local, remote;
	struct ctl_endpoint at;
	uint32_t got;
	int err;

	if (!vj->ctl)
		return -ENOTCONN;
	if (d->fd >= 0)
		return control_done(vj, ctl_client_pass(vj->ctl, d->msg.peer_app, d->msg.peer_pid, d->crate_fd, NULL));
	if (d->to_pid) {
		err = control_done(vj, ctl_client_pass(vj->ctl, d->to_app, d->to_pid, d->crate_fd, &got));
		if (!err && got == d->to_app && !d->stops)
			vj->deeds->passed++;
		d->to_pid = 0;
		if (!err || !vj->ctl) /* else that process has ended, or doesn't read: to any that has a lease */
			return err;
	}
	tcp_endpoints(vj->stack, d->conn, &local, &remote);
	at = ctl_endpoint_make(&local, CTL_PROTO_TCP);
	err = control_done(vj, ctl_client_offer(vj->ctl, &at, vj->flow++, d->crate_fd));
	vj->deeds->others |= !err;
	/* -EHOSTUNREACH where there were others: their ports rest, so that none can be asked */
	if (d->late && (!err || (err == -EHOSTUNREACH && vj->deeds->others)))
		vj->deeds->passed++;
	return err;
}

int deed_pack(struct vj *vj, struct deed *d)
{
	bool queued = d->fd < 0;
	int fds[DEED_FDS] = { d->fd }, err;

	if (d->packed)
		return 0;
	if (d->conn.v) {
		d->parcel_fd = deed_parcel_write(vj, d->conn);
		if (!d->msg.peer_app) /* it ended between MOVE and LEFT: the peer waits for no ARRIVED */
			memset(d->msg.token, 0, sizeof(d->msg.token));
	} else {
		move_transit_stay(vj, d->msg.token, false);
		if (vj->ctl) /* the peer is this process, and a new vjd may have given it another number */
			d->msg.peer_app = ctl_client_welcome(vj->ctl)->app_id;
	}
	d->msg.magic = DEED_MAGIC;
	if (queued)
		d->msg.kind = d->to_queue ? DEED_REQUEUE : DEED_QUEUED;
	else
		d->msg.kind = d->crate_fd >= 0 && d->watched ? DEED_WATCHED : DEED_PARCEL;
	fds[!queued] = d->parcel_fd;
	err = d->parcel_fd < 0 ? d->parcel_fd : deed_msg_send(d->answer_fd, &d->msg, fds, deed_msg_fd_cnt(d->msg.kind));
	d->packed = !err;
	return err;
}

/*
 * It is the kernel's now: one copy of the socket goes to the claimer, and one into the token, for later claimers. That stays there as long as the token
 * does, and a user may have only so many descriptors in flight (RLIMIT_NOFILE); so own_fd_begin().
 */
static void hand_out(struct vj *vj, struct deed *d)
{
	const struct deed_msg msg = { .magic = DEED_MAGIC, .kind = DEED_SOCKET };
	struct own_fd_room room;

	own_fd_begin(&room);
	if (d->answer_fd >= 0)
		(void)deed_msg_send(d->answer_fd, &msg, &d->parcel_fd, 1);
	/* may fail if no process has a copy, which does no harm */
	(void)deed_msg_send(d->fd, &msg, &d->parcel_fd, 1);
	own_fd_end(&room);
	deed_free(vj, d);
}

/*
 * The taker of a client that waits for accept() may be killed before it has opened the parcel, or be stopped. So this process keeps the parcel until the taker
 * says, by the answer socket, which becomes the deed's, that it has the client. If that is closed first, or it takes too long, the client waits here again.
 */
static bool offer_keep(struct vj *vj, struct deed *d)
{
	if (d->to_queue || d->msg.kind != DEED_QUEUED || !deed_listen(vj->deeds, d, d->answer_fd))
		return false;
	deed_conn_gone(vj, d);
	own_fd_close(d->crate_fd);
	d->answer_fd = d->crate_fd = -1;
	d->state = DEED_OFFERED;
	d->until_ns = d->msg.until_ns ? d->msg.until_ns : vj->now_ns + OFFERED_MS * NS_PER_MS;
	vj->deeds->offered_ns = min_u64(vj->deeds->offered_ns, d->until_ns);
	return true;
}

/* It may have arrived at the taker all the same: the peer accepts the first ARRIVED. */
static void offer_back(struct vj *vj, struct deed *d)
{
	lib_log(vj, LOG_INFO, "a connection comes back: the process that was to accept it doesn't");
	(void)bell_set_del(vj->deeds->set_fd, d->fd);
	own_fd_close(d->fd);
	d->fd = -1;
	d->state = DEED_QUIET;
	deed_enqueue(vj, d, -1);
}

void deed_offer_event(struct vj *vj, struct deed *d)
{
	uint8_t word;
	long n = sys_recvfrom(d->fd, &word, 1, MSG_DONTWAIT, NULL, NULL);

	if (n == 1)
		deed_free(vj, d);
	else if (n != -EAGAIN && n != -EINTR)
		offer_back(vj, d);
}

void deed_offers_expire(struct vj *vj)
{
	struct deeds *ds = vj->deeds;

	ds->offered_ns = UINT64_MAX;
	for (struct deed *d = ds->all, *next; d; d = next) {
		next = d->next;
		if (d->state != DEED_OFFERED)
			continue;
		if (d->until_ns > vj->now_ns)
			ds->offered_ns = min_u64(ds->offered_ns, d->until_ns);
		else if (call_off(d->fd))
			offer_back(vj, d);
		else
			deed_free(vj, d);
	}
}

uint64_t deed_offered_ns(const struct vj *vj)
{
	return vj->deeds ? min_u64(vj->deeds->offered_ns, vj->deeds->given_ns) : UINT64_MAX;
}

/* Say GIVEN, once. Return: false: there is no frame for it yet */
static bool say_given(struct vj *vj, struct deed *d)
{
	if (!d->said_given && d->conn.v && !tcp_is_over(vj->stack, d->conn))
		d->said_given = move_given(vj, d->conn, d->msg.token);
	else
		return true;
	return d->said_given;
}

/* By a crate, or to the claimer. Return: 0; -EINPROGRESS: to be tried again a little later; -errno */
static int give(struct vj *vj, struct deed *d)
{
	int err = deed_pack(vj, d);

	if (!err && d->crate_fd >= 0)
		err = crate_send(vj, d);
	if (err && d->stops && offer_again(vj, d, err))
		return -EINPROGRESS;
	/* many are left to one peer, which reads them as fast as it can. If a late vjd passes a crate on twice, it is empty the second time */
	if ((err == -EAGAIN || err == -ETIMEDOUT) && d->fd >= 0 && vj->now_ns < d->until_ns) {
		d->again_ns = vj->now_ns + OFFER_AGAIN_MS * NS_PER_MS;
		return -EINPROGRESS;
	}
	return err;
}

bool deed_give(struct vj *vj, struct deed *d)
{
	bool queued = d->fd < 0;
	int err;

	if (d->in_kernel) {
		hand_out(vj, d);
		return true;
	}
	if (d->again_ns > vj->now_ns || !say_given(vj, d))
		return false;
	if (d->to_queue) {
		if (!requeue_give(vj, d, &err))
			return false;
	} else {
		err = give(vj, d);
		if (err == -EINPROGRESS)
			return false;
	}
	if (err && comes_back(d)) {
		if (d->stops && requeue_instead(vj, d))
			return false;
		if (!queued || err != -EHOSTUNREACH) /* not worth a line: nobody else listens */
			lib_log(vj, LOG_WARNING, "a connection stays in its process: %s", strerror(-err));
		if (d->conn.v) {
			own_fd_close(d->parcel_fd);
			d->parcel_fd = -1;
		}
		d->packed = false;
		deed_stays(vj, d);
		return deed_returns(vj, d, queued);
	}
	if (d->conn.v)
		tcp_forget(vj->stack, d->conn);
	if (err || (!offer_keep(vj, d) && !deed_given_keep(vj, d)))
		deed_free(vj, d);
	return true;
}

/* The program can't use it from here on. */
static void deed_part(struct vj *vj, struct deed *d)
{
	if (d->cookie && !d->parted)
		vj->deeds->hooks.leaves(d->cookie, &d->msg.note);
	d->parted = true;
}

static void leave_for_kernel(struct vj *vj, struct deed *d)
{
	enum report_why why = deed_leaves(vj, (struct vj_conn){ d->conn.v }) ? REPORT_WHY_DETACHED : REPORT_WHY_USED_ELSEWHERE;
	int fd, err = to_kernel(vj, d->conn, d->sock6, &fd);
	uint64_t cookie = d->cookie;

	if (err == -EAGAIN || tcp_is_over(vj->stack, d->conn)) /* tried again later; or over, and handled as such */
		return;
	if (err) {
		lib_log(vj, LOG_WARNING, "a connection stays in its process: it can't become the kernel's: %s", strerror(-err));
		d->stuck = true;
		deed_stays(vj, d);
		return;
	}
	deed_conn_gone(vj, d);
	d->cookie = 0;
	d->parcel_fd = fd;
	d->in_kernel = true;
	d->state = DEED_LEFT;
	vj->deeds->hooks.in_kernel(cookie, &d->msg.note, fd, why);
}

void deed_leave(struct vj *vj, struct deed *d)
{
	struct vj_link *link;

	if (d->requeue) {
		requeue_leave(vj, d);
		return;
	}
	d->said_given = false;
	if (d->conn.v) {
		d->msg.peer_app = 0; /* until LEFT says it */
		d->opened = tcp_is_opener(vj->stack, d->conn);
	}
	d->msg.until_ns = 0;
	if (!d->conn.v || tcp_is_over(vj->stack, d->conn)) {
		d->state = DEED_LEFT;
		deed_part(vj, d);
		return;
	}
	if (!tcp_can_move(vj->stack, d->conn)) {
		leave_for_kernel(vj, d);
		return;
	}
	link = move_link_of(vj, d->conn);
	/* not yet: it is in its handshake, its peer's end is moving, or ARRIVED of this end, which releases it, may still wait for a frame */
	if (!link || link->unsaid || tcp_hold(vj->stack, d->conn))
		return;
	if (!sys_random(d->msg.token, sizeof(d->msg.token))) {
		deed_stays(vj, d);
		return;
	}
	d->state = DEED_LEAVING;
	d->asked_ns = vj->now_ns;
	deed_part(vj, d);
	move_leave(vj, link, d->msg.token, d->conn);
}

/*
 * Until when the caller waits: MOVE_CALL_WAITS_MS from when it sent LEFT, which was after our MOVE and before now. Another value comes from another time
 * namespace; then the earliest possible one counts, since this process may have been stopped since LEFT.
 */
static uint64_t until_here(const struct deed *d, uint64_t until_ns)
{
	uint64_t first_ns = d->asked_ns + MOVE_CALL_WAITS_MS * NS_PER_MS, last_ns = lib_clock_ns() + MOVE_CALL_WAITS_MS * NS_PER_MS;

	return until_ns && (until_ns < first_ns || until_ns > last_ns) ? first_ns : until_ns;
}

void deed_left(struct vj *vj, struct tcp_id id, const struct vj_link *link, const struct move_frame *said)
{
	struct deed *d = deed_of(vj, id);

	if (!d || d->state != DEED_LEAVING || memcmp(d->msg.token, said->token, MOVE_TOKEN_BYTES) != 0)
		return;
	d->state = DEED_LEFT;
	d->msg.peer_app = said->kind == MOVE_LEFT ? said->app_id : 0;
	d->msg.peer_pid = link->said.peer_pid;
	d->msg.until_ns = until_here(d, said->until_ns);
	if (!d->msg.peer_app && !tcp_is_over(vj->stack, d->conn))
		tcp_fail(vj->stack, d->conn, ECONNRESET);
	vj->move_ns = 0;
}

/* ---- offers ---------------------------------------------------------------------------------------------------- */

static void offer_one(struct vj *vj, struct tcp_id id, enum deed_offer how, uint32_t app, int32_t pid)
{
	struct deed *d = tcp_can_move(vj->stack, id) ? deed_new(vj, -1) : NULL;

	if (!d || deed_crate(d)) {
		if (d)
			deed_free(vj, d);
		tcp_refuse(vj->stack, id);
		return;
	}
	(void)tcp_hold_here(vj->stack, id); /* held without an answer to the caller */
	deed_conn_set(vj, d, id);
	d->late = how == DEED_OFFER_LATE;
	d->stops = how >= DEED_OFFER_STOPS;
	d->to_queue = how == DEED_OFFER_QUEUE;
	d->to_app = app;
	d->to_pid = pid;
	d->until_ns = vj->deeds->hurries ? 0 : vj->now_ns + OFFER_FOR_MS * NS_PER_MS;
	deed_wanted(vj, d, d->answer_fd);
	vj->move_ns = 0;
}

void deed_offer_one(struct vj *vj, struct tcp_id id, enum deed_offer how)
{
	offer_one(vj, id, how, 0, 0);
}

void deed_offer_to(struct vj *vj, struct vj_listener l, enum deed_offer how, uint32_t app, int32_t pid)
{
	struct listener_id from = { l.v };
	bool stops = how >= DEED_OFFER_STOPS;
	struct tcp_id id;

	if (stops)
		vj_process(vj); /* clients that came before the end still count */
	for (uint32_t n = tcp_listener_ready(vj->stack, from); n && !tcp_dequeue(vj->stack, from, 0, &id); n--) {
		/* a client over an interface can't move: it waits on, and ends with the listener */
		if (tcp_can_move(vj->stack, id) || tcp_enqueue(vj->stack, id))
			offer_one(vj, id, how, app, pid);
	}
	while (stops && !tcp_accept_early(vj->stack, from, &id))
		offer_one(vj, id, how, app, pid);
}

void deed_offer(struct vj *vj, struct vj_listener l, enum deed_offer how)
{
	deed_offer_to(vj, l, how, 0, 0);
}

uint32_t deed_passed(const struct vj *vj)
{
	return vj->deeds ? vj->deeds->passed : 0;
}

uint32_t deed_app(const struct vj *vj)
{
	return vj->ctl ? ctl_client_welcome(vj->ctl)->app_id : 0;
}
