// SPDX-License-Identifier: BSD-2-Clause
/* deed_take.c - the claimer's side: a connection comes from another process; see move.h */
#include "base/time.h"
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/*
 * vjd may be down or late, or, started anew, may not know the peer yet. Without a link in time the connection is reset; the peer waits for TRANSIT_MS (move.c).
 * One that was offered for accept() goes back if its time (deed_is_late()) is over before.
 */
enum { PATIENCE_MS = 12000, RX_MAX = 64 };

/* In another PID namespace the peer has another number, or none: then this is wrong, and the only harm is that nobody waits for it. */
static bool has_ended(int pid)
{
	return pid > 0 && SYS_CALL2(SYS_kill, pid, 0) == -ESRCH;
}

/* May route_join() succeed if it is tried again? */
static bool passes(int err, int peer_pid)
{
	switch (err) {
	case -ENOTCONN:	 /* vjd is being restarted ... */
	case -ETIMEDOUT: /* ... or is late */
	case -EAGAIN:	 /* we ask too often */
	case -EBUSY:
		return true;
	case -ESRCH: /* the peer may not have found the new vjd yet */
		return !has_ended(peer_pid);
	default:
		return false;
	}
}

/*
 * A link to the peer. Waits while vjd is being restarted and does not know the peer yet. Return: NULL: no link can be made.
 */
static struct vj_link *link_to(struct vj *vj, const struct deed_msg *msg, bool offered)
{
	uint64_t end_ns = lib_clock_ns() + PATIENCE_MS * NS_PER_MS;
	struct vj_link *link = NULL;
	int err;

	if (!msg->peer_app || msg->peer_pid <= 0) /* vjd disconnects an application that asks for number 0 */
		return NULL;
	if (offered && msg->until_ns)
		end_ns = min_u64(end_ns, msg->until_ns);
	for (;;) {
		err = route_join(vj, msg->peer_app, msg->peer_pid, &link);
		if (!passes(err, msg->peer_pid) || lib_clock_ns() >= end_ns)
			break;
		sys_poll_ms(NULL, 0, 20);
		vj->now_ns = lib_clock_ns();
		vj->ctl_next_ns = 0;
		control_poll(vj, false);
	}
	if (err)
		lib_log(vj, LOG_INFO, "a connection comes without its other end: no channel to process %d: %s",
			msg->peer_pid, strerror(-err));
	return err ? NULL : link;
}

/*
 * -EADDRINUSE: this process may still have an earlier connection with the same addresses. Its end (FIN, RST) is in the ring by now, as the peer sent it
 * before it used the addresses again; so take frames until it is found.
 */
static int import(struct vj *vj, struct vj_link *link, const uint8_t *buf, uint64_t bytes, uint64_t cookie, struct tcp_id *ret_id)
{
	struct link_id on = link ? link->stack_id : move_nowhere(vj);
	int err = tcp_import(vj->stack, on, buf, bytes, cookie, ret_id);

	for (unsigned i = 0; err == -EADDRINUSE && link && i < RX_MAX && link_rx(link); i++)
		err = tcp_import(vj->stack, on, buf, bytes, cookie, ret_id);
	return err;
}

/* Has the giver called the offer off, to keep the connection? See call_off() in deed_give.c. */
static bool is_called_off(int crate)
{
	uint8_t word;

	return crate >= 0 && sys_recvfrom(crate, &word, 1, MSG_DONTWAIT, NULL, NULL) == 1;
}

/* Confirm to the giver, which keeps the parcel until then. Return: false: it has called the offer off meanwhile */
static bool say_taken(int crate)
{
	return crate < 0 || sys_sendto(crate, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1 || !is_called_off(crate);
}

bool deed_is_late(const struct deed_msg *msg)
{
	return msg->until_ns && lib_clock_ns() >= msg->until_ns;
}

int deed_open(struct vj *vj, struct deed *d, int crate, struct vj_conn *ret_c)
{
	static const uint8_t none[MOVE_TOKEN_BYTES];
	bool over = memcmp(d->msg.token, none, sizeof(none)) == 0;
	struct vj_link *link = over ? NULL : link_to(vj, &d->msg, crate >= 0);
	uint64_t bytes = 0;
	uint8_t *buf;
	struct tcp_id id;
	int err;

	if (is_called_off(crate) || (crate >= 0 && deed_is_late(&d->msg))) /* checked this late, as link_to() may have taken long */
		return -ECANCELED;
	buf = deed_parcel_read(d->parcel_fd, &bytes);
	err = buf ? import(vj, link, buf, bytes, d->cookie, &id) : -EINVAL;
	free(buf);
	own_fd_close(d->parcel_fd);
	d->parcel_fd = -1;
	if (err) {
		lib_log(vj, LOG_WARNING, "a connection is reset: its parcel does not open: %s", strerror(-err));
		return -ECONNRESET;
	}
	if (!say_taken(crate)) {
		tcp_forget(vj->stack, id);
		return -ECANCELED;
	}
	deed_conn_set(vj, d, id);
	if (!over && !link && has_ended(d->msg.peer_pid) && !deed_is_late(&d->msg)) { /* as if its link had gone after its arrival */
		tcp_peer_gone(vj->stack, d->conn);
	} else if (!over && !link) { /* a caller that lives sends its data to another server */
		tcp_fail(vj->stack, d->conn, ECONNRESET);
	} else if (!over) {
		(void)tcp_hold_here(vj->stack, d->conn);
		move_arrived(vj, link, d->msg.token, d->msg.until_ns, d->conn);
		link_publish_all(vj);
	}
	ret_c->v = d->conn.v;
	return 0;
}

int deed_claim(int token, int *ret_answer)
{
	struct deed_msg msg = { .magic = DEED_MAGIC, .kind = DEED_CLAIM };
	int pair[2], err = deed_pair(SOCK_SEQPACKET, pair);

	if (err)
		return err;
	err = deed_msg_send(token, &msg, &pair[1], 1);
	sys_close(pair[1]);
	if (err) {
		sys_close(pair[0]);
		return err == -EPIPE || err == -ENOTCONN ? -ECONNRESET : err;
	}
	*ret_answer = own_fd(pair[0]);
	return 0;
}

/* Receive deed and parcel by @from; or a socket instead (*@ret_d: NULL). Return: 0; -EAGAIN; -ECONNRESET. */
static int deed_receive(struct vj *vj, int from, unsigned kinds, struct deed **ret_d, int *ret_socket)
{
	int fds[DEED_FDS], err;
	struct deed_msg msg;
	struct deed *d;

	err = deed_msg_recv(from, kinds, &msg, fds);
	if (err)
		return err == -EAGAIN ? -EAGAIN : -ECONNRESET;
	if (msg.kind == DEED_SOCKET) {
		*ret_d = NULL;
		*ret_socket = fds[0];
		return 0;
	}
	d = deed_new(vj, deed_msg_fd_cnt(msg.kind) == 2 ? fds[0] : -1);
	if (!d) {
		own_fd_close(fds[deed_msg_fd_cnt(msg.kind) - 1]);
		return -ECONNRESET;
	}
	d->msg = msg;
	d->parcel_fd = fds[deed_msg_fd_cnt(msg.kind) - 1];
	*ret_d = d;
	return 0;
}

int deed_take(struct vj *vj, int answer, uint64_t cookie, struct deed_note *ret_note, struct vj_conn *ret_c, int *ret_socket)
{
	struct deed *d;
	int err = deed_receive(vj, answer, 1u << DEED_PARCEL | 1u << DEED_SOCKET, &d, ret_socket);

	if (err || !d)
		return err;
	*ret_socket = -1;
	d->cookie = cookie;
	err = deed_open(vj, d, -1, ret_c);
	if (err) {
		deed_free(vj, d);
		return err;
	}
	(void)sys_sendto(answer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0); /* the former holder keeps it until then */
	*ret_note = d->msg.note;
	deed_came(vj, d);
	return 0;
}

bool deed_drop_late(struct vj *vj, struct tcp_id id)
{
	bool late = tcp_is_withdrawn(vj->stack, id);

	if (late)
		vj_conn_close(vj, (struct vj_conn){ id.v });
	return late;
}

void deed_enqueue(struct vj *vj, struct deed *d, int crate)
{
	struct vj_conn c;
	bool here = !deed_open(vj, d, crate, &c);

	deed_free(vj, d);
	vj->deeds->others = true;
	if (here && !deed_drop_late(vj, (struct tcp_id){ c.v }) && tcp_enqueue(vj->stack, (struct tcp_id){ c.v })) /* our listener has stopped meanwhile */
		deed_offer_one(vj, (struct tcp_id){ c.v }, DEED_OFFER_STOPS);
}

void deed_keep(struct vj *vj, int crate)
{
	struct deed *d;

	if (!deed_receive(vj, crate, 1u << DEED_PARCEL | 1u << DEED_QUEUED | 1u << DEED_REQUEUE | 1u << DEED_WATCHED, &d, NULL)) {
		if (d->msg.kind == DEED_QUEUED) {
			deed_enqueue(vj, d, crate);
		} else if (is_called_off(crate)) {
			deed_free(vj, d);
		} else if (d->msg.kind == DEED_REQUEUE) {
			requeue_take(vj, d);
		} else {
			move_transit_stay(vj, d->msg.token, true);
			d->watched = d->msg.kind == DEED_WATCHED;
			raw_keep(vj, d);
		}
	}
	own_fd_close(crate);
}
