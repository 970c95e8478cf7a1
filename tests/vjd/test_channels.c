/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CONNECT, CHANNEL_CLOSE and STATUS with their replies, events and refusals, and all quotas, from a
 * real vjd.
 */
#include "vjd_proc.h"

#include "channel/area_map.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- CONNECT */

static void an_endpoint_leads_to_its_owner(void **state)
{
	int fd = bound_socket("0.0.0.0:0", CTL_PROTO_TCP, true);
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *owner, *peer;
	struct ctl_channel ch, again;
	int fds[CTL_FDS_MAX];
	struct ctl_msg msg, none = { .type = CTL_CONNECT };
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	owner = client_open(&v, "owner");
	peer = client_open(&v, "peer");
	assert_int_equal(ctl_client_lease(owner, &ep, 0, fd, &id), 0);
	ep.addr[12] = 127;
	ep.addr[15] = 1;
	assert_int_equal(ctl_client_connect(peer, &ep, &ch, fds), 0);
	assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
	fds_close(fds, 3);
	assert_int_equal(ch.end, 0);
	assert_string_equal(ch.peer_name, "owner");
	assert_int_equal(ch.peer_pid, getpid());
	assert_int_equal(ch.peer_uid, getuid());
	assert_memory_equal(ch.peer_mac, ctl_client_welcome(owner)->mac, 6);
	msg = event_wait(owner, CTL_CHANNEL);
	assert_int_equal(msg.channel.id, ch.id);
	assert_int_equal(msg.channel.end, 1);
	assert_string_equal(msg.channel.peer_name, "peer");
	/* once more, from either side: the one they have */
	ep.addr[12] = 0;
	ep.addr[15] = 0;
	assert_int_equal(ctl_client_connect(peer, &ep, &again, fds), 0);
	assert_int_equal(again.id, ch.id);
	assert_int_equal(fds[0], -1);
	event_none(owner, 20);
	/* nobody there; not here; to many */
	none.connect.remote = ep;
	none.connect.remote.proto = CTL_PROTO_UDP;
	expect_refusal(peer, &none, -1, CTL_REFUSAL_NO_OWNER);
	none.connect.remote = endpoint_of("192.0.2.1:1", CTL_PROTO_TCP);
	none.connect.remote.port = ep.port;
	expect_refusal(peer, &none, -1, CTL_REFUSAL_NO_OWNER);
	none.connect.remote.addr[12] = 224;
	expect_refusal(peer, &none, -1, CTL_REFUSAL_NO_OWNER);
	close(fd);
	ctl_client_close(owner);
	ctl_client_close(peer);
	vjd_stop(&v);
}

/* Of two owners one ends while vjd is about to hand a channel to it: the other one has it. Nobody hears of a failure. */
static void who_has_just_ended_owns_nothing(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), raw[2];
	struct ctl_msg msg = { .type = CTL_CONNECT, .seq = 2, .connect.remote = name_of(fd, CTL_PROTO_TCP) };
	struct ctl_client *owners[2];
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	for (unsigned i = 0; i < 2; i++) {
		owners[i] = client_open(&v, "owner");
		assert_int_equal(ctl_client_lease(owners[i], &msg.connect.remote, 0, fd, &id), 0);
		raw[i] = raw_connect(&v);
		raw_hello(raw[i]);
	}
	assert_int_equal(kill(v.pid, SIGSTOP), 0);
	for (unsigned i = 0; i < 2; i++) {
		msg.connect.flow = i; /* each of them once */
		raw_send(raw[i], &msg, sizeof(msg), NULL, 0);
	}
	ctl_client_close(owners[0]); /* seen after what was asked before */
	assert_int_equal(kill(v.pid, SIGCONT), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(raw_recv(raw[i], &msg, EVENTUALLY_MS), 1);
		assert_int_equal(msg.type, CTL_CONNECTED);
		close(raw[i]);
	}
	close(fd);
	ctl_client_close(owners[1]);
	vjd_stop(&v);
}

/* One's own listener: both ends, the event before the reply. */
static void one_may_connect_to_oneself(void **state)
{
	int fd = bound_socket("[::1]:0", CTL_PROTO_UDP, false), fds[CTL_FDS_MAX];
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_UDP);
	struct ctl_channel ch;
	struct ctl_client *c;
	struct ctl_msg msg;
	struct vjd_proc v;
	uint32_t id;
	int raw;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	assert_int_equal(ctl_client_lease(c, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_connect(c, &ep, &ch, fds), 0);
	fds_close(fds, 3);
	assert_int_equal(ch.end, 0);
	msg = event_wait(c, CTL_CHANNEL);
	assert_int_equal(msg.channel.id, ch.id);
	assert_int_equal(msg.channel.end, 1);
	assert_int_equal(ctl_client_connect(c, &ep, &ch, fds), 0);
	assert_int_equal(fds[0], -1);
	assert_int_equal(ctl_client_channel_close(c, ch.id, VJ_CHANNEL_ERR_CLOSED), 0);
	event_wait(c, CTL_PEER_GONE);
	ctl_client_close(c);

	raw = raw_connect(&v);
	raw_hello(raw);
	msg = (struct ctl_msg){ .type = CTL_LEASE,
				.seq = 2,
				.lease.local = { .proto = CTL_PROTO_RAW, .port = 3 } };
	raw_send(raw, &msg, sizeof(msg), &fd, 1);
	assert_int_equal(raw_recv(raw, &msg, 20000), 1);
	msg = (struct ctl_msg){ .type = CTL_CONNECT,
				.seq = 3,
				.connect.remote = { .proto = CTL_PROTO_RAW, .port = 3 } };
	raw_send(raw, &msg, sizeof(msg), NULL, 0);
	assert_int_equal(raw_recv(raw, &msg, 20000), 1);
	assert_int_equal(msg.type, CTL_CHANNEL);
	assert_int_equal(raw_recv(raw, &msg, 20000), 1);
	assert_int_equal(msg.type, CTL_CONNECTED);
	close(raw);
	close(fd);
	vjd_stop(&v);
}

static void take_end(const struct ctl_channel *msg, const int fds[static CTL_FDS_MAX],
		     struct area_mapping *ret_map, struct vj_channel **ret_ch)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;

	assert_int_equal(area_map(fds[CTL_FD_AREA], &msg->params, ret_map), 0);
	opts.area = ret_map->mem;
	opts.area_bytes = ret_map->bytes;
	opts.params = msg->params;
	opts.end = msg->end;
	opts.wake_fd = fds[CTL_FD_WAKE_PEER];
	assert_int_equal(vj_channel_attach(&opts, ret_ch), 0);
}

/*
 * What vjd hands out is a channel: a frame goes through, and the doorbell of the right end rings.
 */
static void a_channel_carries_frames(void **state)
{
	struct ctl_endpoint ep = { .port = 5, .proto = CTL_PROTO_RAW };
	int fds_a[CTL_FDS_MAX], fds_b[CTL_FDS_MAX];
	struct ctl_client *a, *b;
	struct vj_channel *end[2];
	struct area_mapping map[2];
	struct ctl_channel ch;
	struct vj_buf buf;
	struct ctl_msg msg;
	struct vjd_proc v;
	uint64_t rings;

	(void)state;
	vjd_start(&v, "--frame-bytes 2048 --frames 8");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 5);
	assert_int_equal(ctl_client_connect(a, &ep, &ch, fds_a), 0);
	assert_int_equal(ch.params.frame_cnt, 8);
	assert_int_equal(ch.port, 5);
	take_end(&ch, fds_a, &map[0], &end[0]);
	/* sent before the other has even heard of it */
	assert_int_equal(vj_channel_tx_get(end[0], &buf, 1), 1);
	memcpy(buf.data, "hello", 5);
	buf.len = 5;
	vj_channel_tx_put(end[0], &buf, 1);
	vj_channel_tx_publish(end[0]);

	assert_int_equal(ctl_client_event(b, &msg, fds_b), 1);
	take_end(&msg.channel, fds_b, &map[1], &end[1]);
	assert_int_equal(vj_channel_rx(end[1], &buf, 1), 1);
	assert_memory_equal(buf.data, "hello", 5);
	vj_channel_rx_free(end[1], &buf, 1);

	/* b sleeps, a wakes it */
	assert_true(vj_channel_arm(end[1], false));
	assert_int_equal(vj_channel_tx_get(end[0], &buf, 1), 1);
	buf.len = 1;
	vj_channel_tx_put(end[0], &buf, 1);
	vj_channel_tx_publish(end[0]);
	assert_int_equal(read(fds_b[CTL_FD_WAKE_ME], &rings, sizeof(rings)), sizeof(rings));
	for (int i = 0; i < 2; i++) {
		vj_channel_detach(end[i]);
		area_unmap(&map[i]);
	}
	fds_close(fds_a, 3);
	fds_close(fds_b, 3);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void closing_tells_the_peer_why(void **state)
{
	struct ctl_client *a, *b;
	struct vjd_proc v;
	struct ctl_msg msg;
	uint32_t id, other;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 5);
	assert_int_equal(connect_raw(a, 5, &id), 0);
	assert_int_equal(connect_raw(a, 5, &other), 0);
	assert_int_not_equal(id, other); /* RAW: a new one each time */
	event_wait(b, CTL_CHANNEL);
	event_wait(b, CTL_CHANNEL);
	assert_int_equal(ctl_client_channel_close(a, id, VJ_CHANNEL_ERR_RX_LEN), 0);
	msg = event_wait(b, CTL_PEER_GONE);
	assert_int_equal(msg.close.channel_id, id);
	assert_int_equal(msg.close.reason, VJ_CHANNEL_ERR_RX_LEN);
	/* crossing on the way: no error, no event */
	assert_int_equal(ctl_client_channel_close(b, id, VJ_CHANNEL_ERR_CLOSED), 0);
	assert_int_equal(ctl_client_channel_close(b, 4711, VJ_CHANNEL_ERR_CLOSED), 0);
	event_none(a, 50);
	assert_int_equal(daemon_status(&v).channels, 1);
	ctl_client_close(a);
	msg = event_wait(b, CTL_PEER_GONE);
	assert_int_equal(msg.close.channel_id, other);
	assert_int_equal(msg.close.reason, VJ_CHANNEL_ERR_PEER_GONE);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* Return: exit status of a child that runs as another user and tries @port */
static int connect_as_other(const struct vjd_proc *v, const struct ctl_endpoint *ep)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct ctl_msg reply, msg = { .type = CTL_CONNECT, .connect.remote = *ep };
		struct ctl_client *c;
		int fds[CTL_FDS_MAX];

		if (setgid(65534) != 0 || setuid(65534) != 0 ||
		    ctl_client_open(v->path, "other", 0, &c) != 0)
			_exit(99);
		if (ctl_client_call(c, &msg, -1, &reply, fds) == 0 || reply.type != CTL_REFUSED)
			_exit(98);
		_exit((int)reply.refused.refusal);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void other_users_get_no_channel(void **state)
{
	int fd = bound_socket("0.0.0.0:0", CTL_PROTO_TCP, true);
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *c;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	if (getuid() != 0) {
		close(fd);
		skip(); /* needs to become another user */
	}
	vjd_start_as(&v, true, "");
	c = client_open(&v, "root's");
	assert_int_equal(ctl_client_welcome(c)->private_mode, 0);
	assert_int_equal(ctl_client_lease(c, &ep, 0, fd, &id), 0);
	ep.addr[12] = 127;
	ep.addr[15] = 1;
	assert_int_equal(connect_as_other(&v, &ep), CTL_REFUSAL_OTHER_USER);
	event_none(c, 20);
	close(fd);
	ctl_client_close(c);
	vjd_stop(&v);
}

/* In a network namespace of its own, 127.0.0.1 is another host. */
static void other_network_namespaces_are_other_hosts(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), status;
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *c;
	struct vjd_proc v;
	uint32_t id;
	pid_t pid;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	assert_int_equal(ctl_client_lease(c, &ep, 0, fd, &id), 0);
	pid = fork();
	if (pid == 0) {
		struct ctl_msg reply, msg = { .type = CTL_CONNECT, .connect.remote = ep };
		struct ctl_client *there;
		int fds[CTL_FDS_MAX];

		if (unshare(CLONE_NEWNET) != 0)
			_exit(77);
		if (ctl_client_open(v.path, "there", 0, &there) != 0)
			_exit(1);
		if (ctl_client_call(there, &msg, -1, &reply, fds) == 0 ||
		    reply.refused.refusal != CTL_REFUSAL_NO_OWNER)
			_exit(2);
		/* a socket of another namespace proves nothing in this one */
		msg = (struct ctl_msg){ .type = CTL_LEASE, .lease.local = ep };
		if (ctl_client_call(there, &msg, fd, &reply, fds) == 0 ||
		    reply.refused.refusal != CTL_REFUSAL_PORT_PROOF)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	ctl_client_close(c);
	vjd_stop(&v);
	if (WEXITSTATUS(status) == 77)
		skip(); /* may not unshare */
	assert_int_equal(status, 0);
}

/* ---- HOLD: what an earlier vjd made */

/* a and b, who offers RAW 5, and a channel between them, of a vjd that is no more. */
struct survivors {
	struct vjd_proc v;
	struct ctl_client *a, *b;
	struct ctl_channel end[2]; /* as the earlier vjd described them */
};

static void survive(struct survivors *s, const char *options)
{
	struct ctl_endpoint ep = { .port = 5, .proto = CTL_PROTO_RAW };
	int fds[CTL_FDS_MAX];

	vjd_start(&s->v, "--frames 256");
	s->a = client_open(&s->v, "a");
	s->b = client_open(&s->v, "b");
	offer_raw(s->b, 5);
	assert_int_equal(ctl_client_connect(s->a, &ep, &s->end[0], fds), 0);
	fds_close(fds, 3);
	s->end[1] = event_wait(s->b, CTL_CHANNEL).channel;
	assert_memory_equal(s->end[0].key, s->end[1].key, 16);
	vjd_restart(&s->v, options);
	ctl_client_close(s->a);
	ctl_client_close(s->b);
	s->a = client_open(&s->v, "a");
	s->b = client_open(&s->v, "b");
}

static void survivors_part(struct survivors *s)
{
	ctl_client_close(s->a);
	ctl_client_close(s->b);
	vjd_stop(&s->v);
}

static void a_channel_outlives_vjd(void **state)
{
	struct ctl_channel now[2];
	struct survivors s;
	struct ctl_msg msg;

	(void)state;
	survive(&s, "");
	assert_int_equal(ctl_client_hold(s.b, &s.end[1], &now[1]), 0);
	assert_int_equal(daemon_status(&s.v).channels, 0); /* half of it */
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now[0]), 0);
	assert_int_equal(daemon_status(&s.v).channels, 1);
	assert_int_equal(now[0].id, now[1].id);
	assert_int_equal(now[0].end, 0);
	assert_string_equal(now[0].peer_name, "b");
	assert_int_equal(ctl_client_channel_close(s.a, now[0].id, VJ_CHANNEL_ERR_RX_LEN), 0);
	msg = event_wait(s.b, CTL_PEER_GONE);
	assert_int_equal(msg.close.channel_id, now[1].id);
	assert_int_equal(msg.close.reason, VJ_CHANNEL_ERR_RX_LEN);
	assert_int_equal(daemon_status(&s.v).channels, 0);
	survivors_part(&s);
}

/* Of a channel for the stacks: a CONNECT finds it again. */
static void what_is_shared_is_found_after_a_restart(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), fds[CTL_FDS_MAX];
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_channel end[2], now[2], found;
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_connect(a, &ep, &end[0], fds), 0);
	fds_close(fds, 3);
	end[1] = event_wait(b, CTL_CHANNEL).channel;
	vjd_restart(&v, "");
	ctl_client_close(a);
	ctl_client_close(b);
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	assert_int_equal(ctl_client_hold(a, &end[0], &now[0]), 0);
	assert_int_equal(ctl_client_hold(b, &end[1], &now[1]), 0);
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_connect(a, &ep, &found, fds), 0);
	assert_int_equal(fds[0], -1);
	assert_int_equal(found.id, now[0].id);
	close(fd);
	ctl_client_close(a);
	event_wait(b, CTL_PEER_GONE);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* Who claims what he hasn't got gets half a channel that leads nowhere, or nothing. */
static void liars_get_no_channel(void **state)
{
	struct ctl_channel now, lie;
	struct ctl_client *liar;
	struct survivors s;

	(void)state;
	survive(&s, "--channels-max 4");
	liar = client_open(&s.v, "liar");
	lie = s.end[0];
	lie.key[15] ^= 1;
	assert_int_equal(ctl_client_hold(liar, &lie, &now), 0);
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOENT); /* the same end again */
	assert_int_equal(ctl_client_hold(s.b, &s.end[1], &now), 0);
	event_none(s.b, 20);
	lie = s.end[1]; /* an end that is taken, with the right key */
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOENT);
	lie = s.end[0]; /* the right key, but another memory */
	lie.params.frame_cnt *= 2;
	lie.params.ring_cnt *= 2;
	lie.area_bytes = vj_area_bytes(&lie.params);
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOENT);
	lie = s.end[0];
	lie.area_bytes -= 4096;
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOENT);
	lie.params.frame_bytes = 3;
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOENT);
	for (unsigned i = 0; i < 3; i++) { /* a half is charged like a channel */
		lie = s.end[i & 1];
		lie.key[0] ^= (uint8_t)(i + 1);
		assert_int_equal(ctl_client_hold(liar, &lie, &now), 0);
	}
	lie.key[0] ^= 0x80;
	assert_int_equal(ctl_client_hold(liar, &lie, &now), -ENOSPC);
	ctl_client_close(liar);
	event_none(s.b, 20);
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), 0);
	assert_int_equal(daemon_status(&s.v).channels, 1);
	survivors_part(&s);
}

static void memory_is_charged_again_after_a_restart(void **state)
{
	struct ctl_channel now;
	struct survivors s;

	(void)state;
	survive(&s, "--memory-max 3");
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), 0);
	s.end[0].key[0] ^= 1;
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), -ENOMEM);
	assert_int_equal(ctl_client_hold(s.b, &s.end[1], &now), 0); /* end 0 pays */
	survivors_part(&s);
}

/* The other end died while no vjd was there, or dies before it has stated its end. */
static void a_peer_that_never_comes_back_is_noticed(void **state)
{
	struct ctl_channel now;
	struct survivors s;
	struct ctl_msg msg;
	int32_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	survive(&s, "");
	s.end[0].peer_pid = pid;
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), 0);
	event_none(s.a, 1500);
	kill(pid, SIGKILL); /* and stay a zombie */
	msg = event_wait(s.a, CTL_PEER_GONE);
	assert_int_equal(msg.close.channel_id, now.id);
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), -ENOENT);
	waitpid(pid, NULL, 0);
	assert_int_equal(ctl_client_hold(s.a, &s.end[0], &now), -ENOENT);
	survivors_part(&s);
}

/* ---- quotas */

static void quota_of_applications(void **state)
{
	struct ctl_client *c[3], *more = NULL;
	char why[CTL_CLIENT_WHY_BYTES];
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "--apps-max 3");
	for (int i = 0; i < 3; i++)
		c[i] = client_open(&v, "x");
	assert_int_equal(ctl_client_open_why(v.path, "y", 0, &more, why), -EUSERS);
	assert_non_null(strstr(why, ctl_refusal_text(CTL_REFUSAL_QUOTA_APPS)));
	ctl_client_close(c[0]);
	vjd_expect_apps(&v, 2);
	c[0] = client_open(&v, "x");
	for (int i = 0; i < 3; i++)
		ctl_client_close(c[i]);
	vjd_stop(&v);
}

static void quota_of_leases(void **state)
{
	struct ctl_msg msg = { .type = CTL_LEASE,
			       .lease.local = { .proto = CTL_PROTO_RAW, .port = 3 } };
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true);
	struct ctl_client *c;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "--leases-max 2");
	c = client_open(&v, "x");
	id = offer_raw(c, 1);
	offer_raw(c, 2);
	expect_refusal(c, &msg, fd, CTL_REFUSAL_QUOTA_LEASES);
	msg.lease.local = name_of(fd, CTL_PROTO_TCP);
	expect_refusal(c, &msg, fd, CTL_REFUSAL_QUOTA_LEASES);
	assert_int_equal(ctl_client_release(c, id), 0);
	assert_int_equal(ctl_client_lease(c, &msg.lease.local, 0, fd, &id), 0);
	close(fd);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void quota_of_channels(void **state)
{
	struct ctl_msg msg = { .type = CTL_CONNECT,
			       .connect.remote = { .proto = CTL_PROTO_RAW, .port = 3 } };
	struct ctl_client *a, *b, *c;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "--channels-max 2");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	c = client_open(&v, "c");
	offer_raw(b, 3);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	expect_refusal(a, &msg, -1, CTL_REFUSAL_QUOTA_CHANNELS);
	expect_refusal(c, &msg, -1, CTL_REFUSAL_QUOTA_CHANNELS); /* the owner's are used up */
	assert_int_equal(ctl_client_channel_close(a, id, VJ_CHANNEL_ERR_CLOSED), 0);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	ctl_client_close(a);
	ctl_client_close(b);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void quota_of_memory(void **state)
{
	struct ctl_msg msg = { .type = CTL_CONNECT,
			       .connect.remote = { .proto = CTL_PROTO_RAW, .port = 3 } };
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	/* 2 pools of 256 frames of 2048 bytes are 1 MiB, the rings come on top */
	vjd_start(&v, "--memory-max 3 --frame-bytes 2048");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 3);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	expect_refusal(a, &msg, -1, CTL_REFUSAL_QUOTA_MEMORY);
	ctl_client_close(a); /* uncharged by death */
	event_wait(b, CTL_CHANNEL);
	event_wait(b, CTL_CHANNEL);
	event_wait(b, CTL_PEER_GONE);
	a = client_open(&v, "a");
	assert_int_equal(connect_raw(a, 3, &id), 0);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* Half of it is for channels of all frames; once that is counted, others get by with those of the start. */
static void short_memory_makes_small_channels(void **state)
{
	const struct ctl_endpoint ep = { .proto = CTL_PROTO_RAW, .port = 3 };
	struct ctl_client *a, *b;
	struct ctl_channel ch;
	int fds[CTL_FDS_MAX];
	struct vjd_proc v;
	unsigned cnt;

	(void)state;
	/* 8.1 MiB, then 2.1 each */
	vjd_start(&v, "--memory-max 20");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 3);
	for (cnt = 0; ctl_client_connect(a, &ep, &ch, fds) == 0; cnt++) {
		assert_int_equal(ch.params.frame_cnt, cnt == 0 ? 1024 : 256);
		assert_int_equal(ch.params.ring_cnt, ch.params.frame_cnt);
		fds_close(fds, 3);
		event_wait(b, CTL_CHANNEL);
	}
	assert_int_equal(cnt, 1 + 5);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void quota_of_rate(void **state)
{
	struct ctl_msg msg = { .type = CTL_RELEASE, .lease.id = 1 };
	unsigned refused = 0, served = 0;
	struct ctl_client *c;
	struct vjd_proc v;
	uint64_t start_ms;

	(void)state;
	vjd_start(&v, "--rate-max 10");
	start_ms = now_ms();
	c = client_open(&v, "x");
	for (int i = 0; i < 100; i++) {
		struct ctl_msg reply;
		int fds[CTL_FDS_MAX];

		ctl_client_call(c, &msg, -1, &reply, fds);
		served += reply.refused.refusal == CTL_REFUSAL_NO_LEASE;
		refused += reply.refused.refusal == CTL_REFUSAL_QUOTA_RATE;
	}
	assert_int_equal(served + refused, 100);
	/* 20 at once, HELLO among them, and 10 a second more */
	assert_in_range(served, 19, 20 + 10 * (now_ms() - start_ms + 1000) / 1000);
	sleep_ms(300);
	expect_refusal(c, &msg, -1, CTL_REFUSAL_NO_LEASE);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void no_descriptors_left(void **state)
{
	struct ctl_msg msg = { .type = CTL_CONNECT,
			       .connect.remote = { .proto = CTL_PROTO_RAW, .port = 3 } };
	struct ctl_client *a, *b;
	struct rlimit old;
	struct vjd_proc v;
	unsigned fd_cnt;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 3);
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, NULL, &old), 0);
	/* numbers below the limit are all but used: no room for the area or a doorbell */
	fd_cnt = vjd_fd_cnt(&v);
	for (unsigned n = fd_cnt; n < fd_cnt + 3; n++) {
		struct rlimit few = { .rlim_cur = n, .rlim_max = old.rlim_max };

		assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, &few, NULL), 0);
		expect_refusal(a, &msg, -1, CTL_REFUSAL_RESOURCES);
	}
	event_none(b, 20);
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, &old, NULL), 0);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* What follows runs in a child, which may not leave by longjmp(). */
#define MUST(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			_exit(1);                                              \
		}                                                              \
	} while (0)

enum { FEW_FDS = 64 };

/* All numbers but the last @room. Return: how many were taken */
static unsigned use_up_fds(int used[static FEW_FDS], unsigned room)
{
	unsigned cnt = 0;

	while ((used[cnt] = dup(STDERR_FILENO)) >= 0)
		cnt++;
	MUST(errno == EMFILE && cnt > room);
	fds_close(used + cnt - room, room);
	return cnt - room;
}

/* A client that can take no descriptors any more loses that channel, and not its connection. */
static void without_descriptors(const struct vjd_proc *v)
{
	struct rlimit few = { FEW_FDS, FEW_FDS };
	int used[FEW_FDS + 1], fds[CTL_FDS_MAX];
	struct ctl_client *a, *b;
	struct ctl_msg msg;
	uint32_t id, lost;
	unsigned cnt;

	MUST(setrlimit(RLIMIT_NOFILE, &few) == 0);
	a = client_open(v, "a");
	b = client_open(v, "b");
	offer_raw(b, 3);
	for (unsigned room = 0; room < 3; room++) { /* none, one, two of three */
		cnt = use_up_fds(used, room);
		MUST(connect_raw(a, 3, &id) == -EMFILE);
		fds_close(used, cnt);
		event_wait(b, CTL_CHANNEL);
		event_wait(b, CTL_PEER_GONE);
		MUST(connect_raw(a, 3, &id) == 0);
		event_wait(b, CTL_CHANNEL);
		/* and who is connected to */
		MUST(connect_raw(a, 3, &lost) == 0);
		cnt = use_up_fds(used, room);
		MUST(poll(&(struct pollfd){ .fd = ctl_client_fd(b), .events = POLLIN }, 1, EVENTUALLY_MS) == 1);
		MUST(ctl_client_event(b, &msg, fds) == 0);
		fds_close(used, cnt);
		msg = event_wait(a, CTL_PEER_GONE);
		MUST(msg.close.channel_id == lost);
	}
	MUST(daemon_status(v).channels == 3);
	_exit(0);
}

/* The program's own numbers are used up, but the hard limit leaves room for the library's. */
static void without_own_descriptors(const struct vjd_proc *v)
{
	struct ctl_client *a = client_open(v, "a"), *b = client_open(v, "b");
	struct rlimit lim;
	uint32_t id;

	offer_raw(b, 3);
	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	MUST(lim.rlim_max >= 2048);
	lim.rlim_cur = 3;
	MUST(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	MUST(dup(STDERR_FILENO) < 0 && errno == EMFILE);
	MUST(connect_raw(a, 3, &id) == 0);
	event_wait(b, CTL_CHANNEL);
	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur == 3);
	_exit(0);
}

static void clients_with_few_descriptors(void **state)
{
	static void (*const run[])(const struct vjd_proc *v) = { without_descriptors, without_own_descriptors };
	struct vjd_proc v;
	int status;
	pid_t pid;

	(void)state;
	vjd_start(&v, "");
	for (size_t i = 0; i < ARRAY_SIZE(run); i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			run[i](&v);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	vjd_stop(&v);
}

static void a_peer_that_does_not_read_is_busy(void **state)
{
	struct ctl_msg msg = { .type = CTL_CONNECT,
			       .connect.remote = { .proto = CTL_PROTO_RAW, .port = 3 } };
	struct ctl_client *a, *b;
	unsigned cnt = 0, fd_cnt;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "--frames 2 --frame-bytes 2048");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 3);
	fd_cnt = vjd_fd_cnt(&v);
	while (connect_raw(a, 3, &id) == 0)
		cnt++;
	assert_in_range(cnt, 10, 1000);
	expect_refusal(a, &msg, -1, CTL_REFUSAL_PEER_BUSY);
	vjd_expect_fds(&v, fd_cnt);
	assert_int_equal(daemon_status(&v).channels, cnt);
	/* it reads again: exactly what was made is told */
	for (unsigned i = 0; i < cnt; i++)
		event_wait(b, CTL_CHANNEL);
	event_none(b, 20);
	assert_int_equal(connect_raw(a, 3, &id), 0);
	event_wait(b, CTL_CHANNEL);
	ctl_client_close(a);
	for (unsigned i = 0; i < cnt + 1; i++)
		event_wait(b, CTL_PEER_GONE);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* ---- STATUS */

struct tally {
	unsigned apps, leases, channels;
	uint64_t memory_bytes;
	bool a_before_its_leases;
	uint32_t last_app;
	struct ctl_daemon daemon;
};

static void count(void *arg, const struct ctl_msg *msg)
{
	struct tally *t = arg;

	t->apps += msg->type == CTL_STATUS_APP;
	t->leases += msg->type == CTL_STATUS_LEASE;
	t->channels += msg->type == CTL_STATUS_CHANNEL;
	if (msg->type == CTL_STATUS_APP) {
		t->last_app = msg->app.id;
		t->memory_bytes += msg->app.memory_bytes;
	}
	if (msg->type == CTL_STATUS_LEASE)
		assert_int_equal(msg->lease.app_id, t->last_app);
	if (msg->type == CTL_STATUS_CHANNEL)
		assert_int_equal(msg->channel.app_id, t->last_app);
	if (msg->type == CTL_STATUS_END)
		t->daemon = msg->daemon;
}

/* Nothing is said of who was refused last. */
static bool names_nobody(const struct ctl_daemon *d)
{
	return d->last_refusal == 0 && d->last_request == 0 && d->last_pid == 0 && d->last_s == 0 && d->last_name[0] == '\0';
}

/* More than fits in a socket at once, while the asker is told of other things too. */
static void status_tells_all(void **state)
{
	struct ctl_client *a, *b;
	struct tally t = { 0 };
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "--frames 2 --frame-bytes 2048");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	for (uint16_t port = 1; port <= 900; port++)
		offer_raw(b, port);
	for (int i = 0; i < 30; i++)
		assert_int_equal(connect_raw(a, 3, &id), 0);
	for (int i = 0; i < 3; i++) {
		t = (struct tally){ 0 };
		assert_int_equal(ctl_client_status(a, count, &t), 0);
		assert_int_equal(t.apps, 2);
		assert_int_equal(t.leases, 900);
		assert_int_equal(t.channels, 30);
		assert_true(t.memory_bytes >= 30u * 4 * 2048);
	}
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void others_see_only_their_own(void **state)
{
	struct ctl_msg none = { .type = CTL_CONNECT, .connect.remote = endpoint_of("127.0.0.1:1", CTL_PROTO_TCP) };
	struct ctl_msg taken = { .type = CTL_LEASE, .lease.local = { .proto = CTL_PROTO_RAW, .port = 1 } };
	struct ctl_daemon seen;
	struct ctl_client *c, *again;
	struct vjd_proc v;
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0)
		skip(); /* needs to become another user */
	vjd_start_as(&v, true, "");
	c = client_open(&v, "root's");
	again = client_open(&v, "root's, too");
	offer_raw(c, 1);
	expect_refusal(c, &none, -1, CTL_REFUSAL_NO_OWNER);
	seen = daemon_status(&v);
	assert_true(names_nobody(&seen)); /* that was an answer */
	assert_int_equal(seen.refused, 0);
	expect_refusal(again, &taken, STDERR_FILENO, CTL_REFUSAL_PORT_TAKEN);
	seen = daemon_status(&v);
	assert_false(names_nobody(&seen));
	assert_int_equal(seen.refused, 1);
	pid = fork();
	if (pid == 0) {
		struct tally t = { 0 };

		if (setgid(65534) != 0 || setuid(65534) != 0 ||
		    ctl_client_open(v.path, "other", 0, &c) != 0 ||
		    ctl_client_status(c, count, &t) != 0)
			_exit(1);
		_exit(t.apps == 1 && t.leases == 0 && t.daemon.refused == 1 && names_nobody(&t.daemon) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ctl_client_close(again);
	ctl_client_close(c);
	vjd_stop(&v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_leads_to_its_owner),
		cmocka_unit_test(who_has_just_ended_owns_nothing),
		cmocka_unit_test(one_may_connect_to_oneself),
		cmocka_unit_test(a_channel_carries_frames),
		cmocka_unit_test(closing_tells_the_peer_why),
		cmocka_unit_test(other_users_get_no_channel),
		cmocka_unit_test(other_network_namespaces_are_other_hosts),
		cmocka_unit_test(a_channel_outlives_vjd),
		cmocka_unit_test(what_is_shared_is_found_after_a_restart),
		cmocka_unit_test(liars_get_no_channel),
		cmocka_unit_test(memory_is_charged_again_after_a_restart),
		cmocka_unit_test(a_peer_that_never_comes_back_is_noticed),
		cmocka_unit_test(quota_of_applications),
		cmocka_unit_test(quota_of_leases),
		cmocka_unit_test(quota_of_channels),
		cmocka_unit_test(quota_of_memory),
		cmocka_unit_test(short_memory_makes_small_channels),
		cmocka_unit_test(quota_of_rate),
		cmocka_unit_test(no_descriptors_left),
		cmocka_unit_test(clients_with_few_descriptors),
		cmocka_unit_test(a_peer_that_does_not_read_is_busy),
		cmocka_unit_test(status_tells_all),
		cmocka_unit_test(others_see_only_their_own),
	};

	vjd_test_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
