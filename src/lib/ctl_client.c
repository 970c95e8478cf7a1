/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/ctl_priv.h"

#include "base/types.h"
#include "channel/sys.h"
#include "control/packet.h"
#include "lib/own_fd.h"
#include "lib/proc_state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* vjd is trusted, but what it can make us store is bounded all the same */
enum { EVENTS_MAX = 4096, INTERFACE_PATIENCE = 5 };
enum { STOPPED_LOOK_MS = 250 }; /* so long a vjd may be stopped, as by who limits its share of a processor */

static void fds_close(int *fds, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		own_fd_close(fds[i]);
		fds[i] = -1;
	}
}

static void fds_none(int fds[static CTL_FDS_MAX])
{
	for (unsigned i = 0; i < CTL_FDS_MAX; i++)
		fds[i] = -1;
}

static int die(struct ctl_client *client, int err)
{
	if (client->dead == 0)
		client->dead = err;
	return client->dead;
}

struct ucred ctl_listener(const struct ctl_client *client)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t bytes = sizeof(cred);

	sys_getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes);
	return cred;
}

bool ctl_is_stopped(int32_t pid)
{
	return pid > 0 && proc_state(pid) == 'T';
}

/* A vjd that is stopped before it has answered HELLO is not waited for until the deadline. */
static int wait_ready(const struct ctl_client *client, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = client->fd, .events = events };

	for (;;) {
		uint64_t now_ns = sys_clock_ns();
		uint64_t left_ms = now_ns >= deadline_ns ? 0 : (deadline_ns - now_ns + 999999) / 1000000;
		bool looks = client->welcome.app_id == 0 && left_ms > STOPPED_LOOK_MS;
		int r = sys_poll_ms(&pfd, 1, looks ? STOPPED_LOOK_MS : (int)left_ms);

		if (r > 0)
			return 0;
		if (r == 0 && looks && !ctl_is_stopped(ctl_listener(client).pid))
			continue;
		if (r == 0)
			return -ETIMEDOUT;
		if (r != -EINTR)
			return r;
	}
}

uint64_t ctl_deadline(const struct ctl_client *client)
{
	return sys_clock_ns() + (uint64_t)client->timeout_ms * 1000000;
}

static int send_msg(struct ctl_client *client, const struct ctl_msg *msg, int fd,
		    uint64_t deadline_ns)
{
	struct ctl_packet p;

	ctl_packet_send(&p, msg, &fd, fd >= 0 ? 1 : 0);
	for (;;) {
		long n = sys_sendmsg(client->fd, &p.hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n >= 0)
			return 0;
		if (n == -EINTR)
			continue;
		if (n == -EPIPE || n == -ECONNRESET || n == -ENOTCONN)
			return die(client, -ENOTCONN);
		if (n != -EAGAIN)
			return (int)n; /* the descriptor's fault or a shortage, not the end */
		r = wait_ready(client, POLLOUT, deadline_ns);
		if (r < 0)
			return r;
	}
}

static uint32_t next_seq(struct ctl_client *client)
{
	if (++client->seq == 0)
		client->seq = 1;
	return client->seq;
}

static int close_channel(struct ctl_client *client, uint32_t channel_id, enum vj_channel_error reason,
			 uint64_t deadline_ns)
{
	struct ctl_msg msg = { .type = CTL_CHANNEL_CLOSE, .seq = next_seq(client) };

	msg.close.channel_id = channel_id;
	msg.close.reason = (uint32_t)reason;
	return send_msg(client, &msg, -1, deadline_ns);
}

static bool is_sealed(int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int have = sys_fcntl(fd, F_GET_SEALS, 0);

	return have >= 0 && (have & seals) == seals;
}

static bool is_channel(const struct ctl_msg *msg)
{
	return msg->type == CTL_CONNECTED || msg->type == CTL_CHANNEL;
}

/* Memory without its seals could be cut under us; the rest is checked when it is mapped. */
static bool fds_good(const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	if (fd_cnt == 0)
		return true;
	if (msg->type == CTL_INTERFACE_OPEN)
		return is_sealed(fds[CTL_FD_HOST]) && (fd_cnt == 1 || is_sealed(fds[CTL_FD_UMEM]));
	if (!is_channel(msg))
		return true; /* the socket of a report, vjd's own making; or from another application, for who reads it to check */
	return is_sealed(fds[CTL_FD_AREA]) && vj_area_params_check(&msg->channel.params) == 0;
}

/*
 * This process may have no more descriptors, so what came along is lost: a channel is of no use then, but it is the only thing
 * that is, and vjd is told. A report has nobody to be told to.
 */
static bool lost_fds(struct ctl_client *client, const struct ctl_packet *p, size_t bytes, int *fds,
		     unsigned fd_cnt, struct ctl_msg *ret_msg)
{
	unsigned fds_max = bytes == sizeof(p->msg) ? ctl_type_fds_max(p->msg.type) : 0;

	if ((p->hdr.msg_flags & MSG_CTRUNC) == 0 || fd_cnt >= fds_max ||
	    ctl_check(&p->msg, bytes, fds_max, CTL_FROM_DAEMON, ret_msg) != CTL_REFUSAL_NONE)
		return false;
	fds_close(fds, fd_cnt);
	client->fds_lost = !ctl_type_is_event(ret_msg->type);
	/* an interface channel is asked for again some time, and the one that came to nothing taken back then */
	if (is_channel(ret_msg))
		close_channel(client, ret_msg->channel.id, VJ_CHANNEL_ERR_CLOSED, sys_clock_ns());
	return true;
}

static int recv_in(struct ctl_client *client, const struct own_fd_room *room, struct ctl_msg *ret_msg, int ret_fds[static CTL_FDS_MAX])
{
	int fds[CTL_PACKET_FDS_ROOM];
	enum ctl_refusal verdict;
	struct ctl_packet p;
	bool was_reset = false;
	unsigned fd_cnt;
	long n;

	fds_none(ret_fds);
	for (;;) {
		ctl_packet_recv(&p);
		n = sys_recvmsg(client->fd, &p.hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		/* closed with a request of ours unread: what it said before comes after this */
		if (n == -ECONNRESET && !was_reset)
			was_reset = true;
		else if (n != -EINTR)
			break;
	}
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return die(client, -ENOTCONN);
	verdict = ctl_packet_check(&p, (size_t)n, CTL_FROM_DAEMON, ret_msg, fds, &fd_cnt);
	if (verdict != CTL_REFUSAL_NONE && lost_fds(client, &p, (size_t)n, fds, fd_cnt, ret_msg))
		return client->fds_lost ? 1 : recv_in(client, room, ret_msg, ret_fds);
	if (verdict != CTL_REFUSAL_NONE || !fds_good(ret_msg, fds, fd_cnt)) {
		fds_close(fds, fd_cnt);
		return die(client, -EPROTO);
	}
	for (unsigned i = 0; i < fd_cnt; i++)
		ret_fds[i] = own_fd_in(room, fds[i]);
	return 1;
}

/*
 * One packet, without waiting. Return: 1; 0: none there; negative errno, and the client is dead.
 */
static int recv_msg(struct ctl_client *client, struct ctl_msg *ret_msg, int ret_fds[static CTL_FDS_MAX])
{
	struct own_fd_room room;
	int r;

	own_fd_begin(&room);
	r = recv_in(client, &room, ret_msg, ret_fds);
	own_fd_end(&room);
	return r;
}

static int event_keep(struct ctl_client *client, const struct ctl_msg *msg,
		      const int fds[static CTL_FDS_MAX])
{
	struct ctl_event *e;

	if (client->event_first == client->event_cnt)
		client->event_first = client->event_cnt = 0;
	if (client->event_cnt == client->event_room) {
		unsigned room = client->event_room == 0 ? 8 : client->event_room * 2;
		struct ctl_event *more =
			room <= EVENTS_MAX ? realloc(client->events, room * sizeof(*more)) : NULL;

		if (more == NULL)
			return die(client, -EPROTO);
		client->events = more;
		client->event_room = room;
	}
	e = &client->events[client->event_cnt++];
	e->msg = *msg;
	memcpy(e->fds, fds, sizeof(e->fds));
	return 0;
}

/* The lease is nobody's, and must not stay: what can't be remembered ends the connection, and all leases with it. */
static int unsaid_keep(struct ctl_client *client, uint32_t lease_id)
{
	if (client->unsaid_cnt == client->unsaid_room) {
		unsigned room = client->unsaid_room == 0 ? 8 : client->unsaid_room * 2;
		uint32_t *more = realloc(client->unsaid, room * sizeof(*more));

		if (more == NULL)
			return die(client, -ENOTCONN);
		client->unsaid = more;
		client->unsaid_room = room;
	}
	client->unsaid[client->unsaid_cnt++] = lease_id;
	return 0;
}

/* Before anything else is asked: the next request may be for the same port. Return: 0; -ETIMEDOUT: vjd still has no room; else as send_msg(). */
static int unsaid_say(struct ctl_client *client, uint64_t deadline_ns)
{
	while (client->unsaid_cnt > 0) {
		struct ctl_msg msg = { .type = CTL_RELEASE, .seq = next_seq(client) };
		int r;

		msg.lease.id = client->unsaid[client->unsaid_cnt - 1];
		r = send_msg(client, &msg, -1, deadline_ns);
		if (r < 0)
			return r;
		client->unsaid_cnt--;
		client->owed++; /* its reply, which nobody waits for */
	}
	return 0;
}

/*
 * A reply whose call has given up: nobody holds what it brings. But HOLD can't be said twice, so what it made has to be taken.
 * Return: true: it is an event.
 */
static bool undo_late(struct ctl_client *client, const struct ctl_msg *msg,
		      int fds[static CTL_FDS_MAX])
{
	uint64_t now_ns = sys_clock_ns();

	client->owed -= client->owed > 0;
	if (msg->seq == client->behind)
		client->behind = 0;
	if (msg->type == CTL_HELD)
		return true;
	if (msg->type == CTL_CONNECTED && fds[CTL_FD_AREA] >= 0) {
		close_channel(client, msg->channel.id, VJ_CHANNEL_ERR_CLOSED, now_ns);
	} else if (msg->type == CTL_LEASED) {
		unsaid_keep(client, msg->lease.id);
	}
	if (client->dead == 0)
		unsaid_say(client, now_ns); /* it has read one more of ours */
	fds_close(fds, CTL_FDS_MAX);
	return false;
}

/* What isn't the reply that is waited for. Return: 0; -EPROTO: the client is dead. */
static int take_other(struct ctl_client *client, const struct ctl_msg *msg, int fds[static CTL_FDS_MAX])
{
	int r = ctl_type_is_event(msg->type) || undo_late(client, msg, fds) ? event_keep(client, msg, fds) : 0;

	if (r < 0)
		fds_close(fds, CTL_FDS_MAX);
	return r;
}

/* vjd is behind: has it caught up, without waiting for that? Return: 0; -ETIMEDOUT: no; -ENOTCONN, -EPROTO: it is gone. */
static int catch_up(struct ctl_client *client)
{
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX], r = 0;

	while (client->behind != 0 && r == 0) {
		r = recv_msg(client, &msg, fds);
		r = r == 0 ? -ETIMEDOUT : r < 0 ? r : take_other(client, &msg, fds);
	}
	return r;
}

/* Read until a reply to @seq is there; keep events. */
static int await(struct ctl_client *client, uint32_t seq, uint64_t deadline_ns,
		 struct ctl_msg *ret_reply, int ret_fds[static CTL_FDS_MAX])
{
	for (;;) {
		int r = recv_msg(client, ret_reply, ret_fds);

		if (r < 0)
			return r;
		if (r == 0) {
			r = wait_ready(client, POLLIN, deadline_ns);
			if (r < 0)
				return r;
			continue;
		}
		/* seq 0: refused before it was read; the connection ends after it */
		if (!ctl_type_is_event(ret_reply->type) && (ret_reply->seq == seq || ret_reply->seq == 0))
			return 0;
		r = take_other(client, ret_reply, ret_fds);
		if (r < 0)
			return r;
	}
}

static int refused(const struct ctl_msg *reply)
{
	return -ctl_refusal_errno((enum ctl_refusal)reply->refused.refusal);
}

int ctl_client_call(struct ctl_client *client, struct ctl_msg *req, int req_fd,
		    struct ctl_msg *ret_reply, int ret_fds[static CTL_FDS_MAX])
{
	uint64_t deadline_ns = ctl_deadline(client);
	int r;

	fds_none(ret_fds);
	if (client->dead != 0)
		return client->dead;
	r = catch_up(client);
	if (r < 0 && (r != -ETIMEDOUT || req->type != CTL_RELEASE))
		return r;
	if (r < 0)
		deadline_ns = 0;
	client->fds_lost = false;
	r = unsaid_say(client, deadline_ns);
	req->seq = next_seq(client);
	if (r == 0)
		r = send_msg(client, req, req_fd, deadline_ns);
	/* what vjd said before it went away still counts */
	if (r < 0 && r != -ENOTCONN) {
		if (req->type == CTL_RELEASE)
			unsaid_keep(client, req->lease.id);
		return r;
	}
	if (unlikely(client->meanwhile != NULL)) {
		client->meanwhile->run(client->meanwhile->arg);
		client->meanwhile = NULL;
	}
	r = await(client, req->seq, deadline_ns, ret_reply, ret_fds);
	client->owed += r == -ETIMEDOUT;
	if (r == -ETIMEDOUT && req->type != CTL_INTERFACE)
		client->behind = req->seq;
	if (r < 0)
		return r;
	if (ret_reply->type == CTL_REFUSED)
		return refused(ret_reply);
	return client->fds_lost ? -EMFILE : 0;
}

int ctl_client_event(struct ctl_client *client, struct ctl_msg *ret_msg,
		     int ret_fds[static CTL_FDS_MAX])
{
	if (client->event_first < client->event_cnt) {
		const struct ctl_event *e = &client->events[client->event_first++];

		*ret_msg = e->msg;
		memcpy(ret_fds, e->fds, sizeof(e->fds));
		return 1;
	}
	if (client->unsaid_cnt > 0 && client->dead == 0)
		unsaid_say(client, sys_clock_ns());
	for (;;) {
		/* as a rule there is nothing, and to know that takes no room for descriptors */
		bool silent = client->dead == 0 && sys_recvfrom(client->fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == -EAGAIN;
		int r;

		fds_none(ret_fds);
		r = client->dead != 0 ? client->dead : silent ? 0 : recv_msg(client, ret_msg, ret_fds);
		if (r <= 0 || ctl_type_is_event(ret_msg->type) || undo_late(client, ret_msg, ret_fds))
			return r;
	}
}

bool ctl_client_is_idle(const struct ctl_client *client)
{
	return client->event_first >= client->event_cnt && client->unsaid_cnt == 0 && client->dead == 0;
}

void ctl_client_close(struct ctl_client *client)
{
	if (client == NULL)
		return;
	for (unsigned i = client->event_first; i < client->event_cnt; i++)
		fds_close(client->events[i].fds, CTL_FDS_MAX);
	own_fd_close(client->fd);
	free(client->events);
	free(client->unsaid);
	free(client);
}

void ctl_client_forget(struct ctl_client *client)
{
	/* close() in a child doesn't end the connection: the parent holds it too */
	ctl_client_close(client);
}

int ctl_client_fd(const struct ctl_client *client)
{
	return client->fd;
}

const struct ctl_welcome *ctl_client_welcome(const struct ctl_client *client)
{
	return &client->welcome;
}

const char *ctl_client_path(const struct ctl_client *client)
{
	return client->path;
}

bool ctl_client_is_owed(const struct ctl_client *client)
{
	return client->owed > 0;
}

bool ctl_client_is_unsaid(const struct ctl_client *client)
{
	return client->unsaid_cnt > 0;
}

bool ctl_client_is_behind(const struct ctl_client *client)
{
	return client->behind != 0;
}

void ctl_client_timeout_set(struct ctl_client *client, int timeout_ms)
{
	client->timeout_ms = timeout_ms;
}

/* ---- the requests */

/* A call that has one kind of reply. */
static int call_for(struct ctl_client *client, struct ctl_msg *req, int req_fd, enum ctl_type reply_type,
		    struct ctl_msg *ret_reply, int ret_fds[static CTL_FDS_MAX])
{
	int r = ctl_client_call(client, req, req_fd, ret_reply, ret_fds);

	if (r == 0 && ret_reply->type != reply_type) {
		fds_close(ret_fds, CTL_FDS_MAX);
		r = die(client, -EPROTO);
	}
	return r;
}

/* The same of a reply that brings no descriptors. */
static int simple_call(struct ctl_client *client, struct ctl_msg *req, int req_fd,
		       enum ctl_type reply_type, struct ctl_msg *ret_reply)
{
	int fds[CTL_FDS_MAX];
	int r = call_for(client, req, req_fd, reply_type, ret_reply, fds);

	fds_close(fds, CTL_FDS_MAX);
	return r;
}

static int channel_call(struct ctl_client *client, struct ctl_msg *req, struct ctl_channel *ret_channel,
			int ret_fds[static CTL_FDS_MAX])
{
	struct ctl_msg reply;
	int r = call_for(client, req, -1, CTL_CONNECTED, &reply, ret_fds);

	if (r == 0)
		*ret_channel = reply.channel;
	return r;
}

int ctl_client_lease(struct ctl_client *client, const struct ctl_endpoint *local, uint32_t flags,
		     int fd, uint32_t *ret_id)
{
	struct ctl_msg reply, req = { .type = CTL_LEASE };
	int r;

	req.lease.local = *local;
	req.lease.flags = flags;
	r = simple_call(client, &req, fd, CTL_LEASED, &reply);
	if (r == 0)
		*ret_id = reply.lease.id;
	return r;
}

int ctl_client_to_kernel(struct ctl_client *client, const struct ctl_repair *conn, int queues_fd, int *ret_fd)
{
	struct ctl_msg reply, req = { .type = CTL_TO_KERNEL };
	int fds[CTL_FDS_MAX], r;

	req.repair = *conn;
	r = call_for(client, &req, queues_fd, CTL_IN_KERNEL, &reply, fds);
	if (r == 0)
		*ret_fd = fds[0];
	return r;
}

int ctl_client_release(struct ctl_client *client, uint32_t lease_id)
{
	struct ctl_msg reply, req = { .type = CTL_RELEASE };

	req.lease.id = lease_id;
	return simple_call(client, &req, -1, CTL_RELEASED, &reply);
}

int ctl_client_ports(struct ctl_client *client, enum ctl_proto proto, uint16_t first, uint16_t cnt,
		     uint16_t *ret_first, uint16_t *ret_cnt)
{
	struct ctl_msg reply, req = { .type = CTL_PORTS };
	int r;

	req.ports = (struct ctl_ports){ .proto = (uint8_t)proto, .first = first, .cnt = cnt };
	r = simple_call(client, &req, -1, CTL_PORTS_LEASED, &reply);
	if (r < 0)
		return r;
	*ret_first = reply.ports.first;
	*ret_cnt = reply.ports.cnt;
	return 0;
}

int ctl_client_connect_flow(struct ctl_client *client, const struct ctl_endpoint *remote, uint32_t flow, uint16_t ports,
			    struct ctl_channel *ret_channel, int ret_fds[static CTL_FDS_MAX])
{
	struct ctl_msg req = { .type = CTL_CONNECT };

	req.connect.remote = *remote;
	req.connect.flow = flow;
	req.connect.ports = ports;
	return channel_call(client, &req, ret_channel, ret_fds);
}

int ctl_client_join(struct ctl_client *client, uint32_t app_id, int32_t pid, struct ctl_channel *ret_channel,
		    int ret_fds[static CTL_FDS_MAX])
{
	struct ctl_msg req = { .type = CTL_JOIN };

	req.join = (struct ctl_join){ .app_id = app_id, .pid = pid };
	return channel_call(client, &req, ret_channel, ret_fds);
}

int ctl_client_offer(struct ctl_client *client, const struct ctl_endpoint *local, uint32_t flow, int fd)
{
	struct ctl_msg reply, req = { .type = CTL_OFFER };

	req.connect.remote = *local;
	req.connect.flow = flow;
	return simple_call(client, &req, fd, CTL_PASSED, &reply);
}

int ctl_client_pass(struct ctl_client *client, uint32_t app_id, int32_t pid, int fd, uint32_t *ret_app_id)
{
	struct ctl_msg reply, req = { .type = CTL_PASS };
	int err;

	req.join = (struct ctl_join){ .app_id = app_id, .pid = pid };
	err = simple_call(client, &req, fd, CTL_PASSED, &reply);
	if (!err && ret_app_id)
		*ret_app_id = reply.join.app_id;
	return err;
}

int ctl_client_hold(struct ctl_client *client, const struct ctl_channel *channel,
		    struct ctl_channel *ret_channel)
{
	struct ctl_msg reply, req = { .type = CTL_HOLD };
	int r;

	req.channel = *channel;
	req.channel.id = req.channel.owners = req.channel.copied = req.channel.instead = 0;
	req.channel.ports_first = req.channel.ports_cnt = 0;
	r = simple_call(client, &req, -1, CTL_HELD, &reply);
	if (r == 0)
		*ret_channel = reply.channel;
	return r;
}

int ctl_client_interface(struct ctl_client *client, uint32_t ifindex, const uint8_t key[static 16],
			 struct ctl_interface *ret_interface, int ret_fds[static CTL_FDS_MAX])
{
	struct ctl_msg reply, req = { .type = CTL_INTERFACE };
	int r, timeout_ms = client->timeout_ms;

	req.interface.ifindex = ifindex;
	memcpy(req.interface.key, key, sizeof(req.interface.key));
	/* vjd makes one after the other, and each takes tens of milliseconds: many may be before us */
	client->timeout_ms = INTERFACE_PATIENCE * timeout_ms;
	r = call_for(client, &req, -1, CTL_INTERFACE_OPEN, &reply, ret_fds);
	client->timeout_ms = timeout_ms;
	if (r == 0)
		*ret_interface = reply.interface;
	return r;
}

int ctl_client_resolve(struct ctl_client *client, uint32_t ifindex, const struct ip_addr *addr)
{
	struct ctl_msg msg = { .type = CTL_RESOLVE, .seq = next_seq(client) };

	if (client->dead != 0)
		return client->dead;
	msg.neighbour.ifindex = ifindex;
	memcpy(msg.neighbour.addr, addr->bytes, sizeof(msg.neighbour.addr));
	return send_msg(client, &msg, -1, ctl_deadline(client));
}

int ctl_client_polling(struct ctl_client *client, uint32_t ifindex, bool on)
{
	struct ctl_msg msg = { .type = CTL_POLLING, .seq = next_seq(client) };

	if (client->dead != 0)
		return client->dead;
	msg.interface.ifindex = ifindex;
	msg.interface.flags = on ? CTL_INTERFACE_POLLING : 0;
	return send_msg(client, &msg, -1, ctl_deadline(client));
}

int ctl_client_left(struct ctl_client *client, uint32_t ifindex, uint32_t ended)
{
	struct ctl_msg msg = { .type = CTL_INTERFACE_LEFT, .seq = next_seq(client) };

	if (client->dead != 0)
		return client->dead;
	msg.interface.ifindex = ifindex;
	msg.interface.ended = ended;
	return send_msg(client, &msg, -1, ctl_deadline(client));
}

int ctl_client_attach(struct ctl_client *client, const char *name, enum ctl_client_attach how,
		      const struct ip_prefix *prefix, struct ctl_interface *ret_interface)
{
	bool attach = how != CTL_CLIENT_DETACH && how != CTL_CLIENT_DETACH_GATEWAY;
	bool gateway = how == CTL_CLIENT_ATTACH_GATEWAY || how == CTL_CLIENT_DETACH_GATEWAY;
	struct ctl_msg reply, req = { .type = attach ? CTL_ATTACH : CTL_DETACH };
	int r;

	ctl_name_set(req.interface.name, name);
	req.interface.flags = gateway ? CTL_INTERFACE_GATEWAY : how == CTL_CLIENT_ATTACH_TC ? CTL_INTERFACE_TC : 0;
	if (prefix != NULL && ctl_prefix_fault(prefix) != NULL)
		return -EINVAL; /* ::/0 would go as none */
	if (prefix != NULL) {
		memcpy(req.interface.addr, prefix->addr.bytes, sizeof(req.interface.addr));
		req.interface.prefix_len = prefix->len;
	}
	r = simple_call(client, &req, -1, attach ? CTL_ATTACHED : CTL_DETACHED, &reply);
	if (r == 0)
		*ret_interface = reply.interface;
	return r;
}

int ctl_client_channel_close(struct ctl_client *client, uint32_t channel_id,
			     enum vj_channel_error reason)
{
	if (client->dead != 0)
		return client->dead;
	return close_channel(client, channel_id, reason, ctl_deadline(client));
}

int ctl_client_brief(struct ctl_client *client, int32_t parent)
{
	struct ctl_msg msg = { .type = CTL_BRIEF, .seq = next_seq(client) };

	if (client->dead != 0)
		return client->dead;
	msg.brief.parent = parent;
	return send_msg(client, &msg, -1, sys_clock_ns());
}

static bool is_status(uint32_t type)
{
	return (type >= CTL_STATUS_APP && type <= CTL_STATUS_END) || type == CTL_STATUS_INTERFACE ||
	       type == CTL_STATUS_COUNTER;
}

int ctl_client_status(struct ctl_client *client, void (*fn)(void *arg, const struct ctl_msg *msg),
		      void *arg)
{
	struct ctl_msg msg, req = { .type = CTL_STATUS };
	int fds[CTL_FDS_MAX];
	int r = ctl_client_call(client, &req, -1, &msg, fds);

	while (r == 0) {
		fds_close(fds, CTL_FDS_MAX);
		if (!is_status(msg.type))
			return msg.type == CTL_REFUSED ? refused(&msg) : die(client, -EPROTO);
		fn(arg, &msg);
		if (msg.type == CTL_STATUS_END)
			return 0;
		r = await(client, req.seq, ctl_deadline(client), &msg, fds);
	}
	return r;
}

int ctl_client_macs(struct ctl_client *client, void (*fn)(void *arg, const struct ctl_mac *mac), void *arg)
{
	struct ctl_msg msg, req = { .type = CTL_MACS };
	int fds[CTL_FDS_MAX];
	int r = ctl_client_call(client, &req, -1, &msg, fds);

	while (r == 0) {
		fds_close(fds, CTL_FDS_MAX);
		if (msg.type == CTL_MACS_END)
			return 0;
		if (msg.type != CTL_MACS_ENTRY)
			return msg.type == CTL_REFUSED ? refused(&msg) : die(client, -EPROTO);
		fn(arg, &msg.mac);
		r = await(client, req.seq, ctl_deadline(client), &msg, fds);
	}
	return r;
}

int ctl_client_ask(struct ctl_client *client, const struct endpoint *ep, enum ctl_proto proto, struct ctl_mac *ret_mac)
{
	struct ctl_msg reply, req = { .type = CTL_ASK };
	int r;

	req.connect.remote = ctl_endpoint_make(ep, proto);
	r = simple_call(client, &req, -1, CTL_ASKED, &reply);
	if (r == 0)
		*ret_mac = reply.mac;
	return r;
}

int ctl_client_report(struct ctl_client *client, uint32_t app_id, uint32_t kind, int *ret_fd)
{
	struct ctl_msg reply, req = { .type = CTL_REPORT };
	int r, fds[CTL_FDS_MAX];

	req.report = (struct ctl_report){ .app_id = app_id, .kind = kind };
	r = call_for(client, &req, -1, CTL_REPORTING, &reply, fds);
	if (r == 0)
		*ret_fd = fds[0];
	return r;
}

int ctl_client_firewall(struct ctl_client *client, uint32_t flags, int *ret_fd)
{
	struct ctl_msg reply, req = { .type = CTL_FIREWALL, .firewall = { .flags = flags } };
	int r, fds[CTL_FDS_MAX];

	r = call_for(client, &req, -1, CTL_FIREWALL_SHOWN, &reply, fds);
	if (r == 0)
		*ret_fd = fds[0];
	return r;
}
