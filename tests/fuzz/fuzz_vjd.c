/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of everything that can happen to vjd's state: clients of several users that come, send,
 * don't read, and go, with time passing. The sockets are played by this file: it checks each
 * message that vjd sends, the order of replies, and in the end that nothing is left: no lease, no
 * channel, no account, no descriptor.
 *
 * An input is a row of steps, one byte of what, one of who, then the bytes of a message where there
 * is one. A message is mostly made well-formed, because ctl_check() has a fuzzer of its own; its
 * numbers are small, so that clients meet at the same ports and ids.
 *
 * There is an interface, whose channels vjd_platform.c makes: at once, later, or not.
 */
#include "base/assert.h"
#include "base/time.h"
#include "control/packet.h"
#include "daemon/app.h"
#include "daemon/channel_half.h"
#include "daemon/channel_maker.h"
#include "daemon/fd_worker.h"
#include "daemon/proof.h"
#include "daemon/request.h"
#include "tests/fuzz/vjd_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { APPS = 6, SOCKETS = 4 };

struct player {
	struct app app;
	bool connected;
	bool full;	    /* its socket has no room */
	uint32_t asked_seq; /* of the request that waits for its reply; 0: none */
};

static struct vjd d;
static struct player players[APPS];
static struct fd_job *delayed; /* a job that isn't done yet */
static bool delay_jobs;
/* Bound: two of each protocol, at the same port, so that they are contested. */
static int sockets[SOCKETS];
static struct ctl_endpoint names[SOCKETS];
static uint32_t random_state;

/* ---- the world */

static struct player *player_of(struct app *app)
{
	return container_of(app, struct player, app);
}

static void note_reply(struct player *p, const struct ctl_msg *msg)
{
	bool more = (msg->type >= CTL_STATUS_APP && msg->type < CTL_STATUS_END) || msg->type == CTL_STATUS_INTERFACE ||
		    msg->type == CTL_STATUS_COUNTER || msg->type == CTL_MACS_ENTRY;

	/* refused before it was read */
	if (msg->type == CTL_REFUSED && msg->seq == 0)
		return;
	VJ_ASSERT_OP(msg->seq, ==, p->asked_seq);
	if (!more)
		p->asked_seq = 0;
}

static int op_send(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	struct player *p = player_of(app);
	struct ctl_msg checked;

	VJ_ASSERT(p->connected);
	VJ_ASSERT_OP(ctl_check(msg, sizeof(*msg), fd_cnt, CTL_FROM_DAEMON, &checked), ==,
		     CTL_REFUSAL_NONE);
	for (unsigned i = 0; i < fd_cnt; i++)
		VJ_ASSERT(fcntl(fds[i], F_GETFD) >= 0);
	if (p->full)
		return -EAGAIN;
	if (!ctl_type_is_event(msg->type))
		note_reply(p, msg);
	return 0;
}

static void op_changed(struct app *app)
{
	VJ_ASSERT(player_of(app)->connected);
}

static void op_submit(struct vjd *vjd, struct fd_job *job)
{
	VJ_ASSERT(vjd == &d);
	fd_job_run(job);
	if (delay_jobs && delayed == NULL)
		delayed = job;
	else
		request_job_done(vjd, job);
}

/* Players have the numbers from 1 on; there is one whose end nobody can tell. */
static bool op_process_ended(int32_t pid)
{
	return pid > APPS || (pid > 0 && !players[pid - 1].connected);
}

static bool op_process_stopped(int32_t pid)
{
	return pid % 3 == 1;
}

static bool op_addr_is_local(const struct ip_addr *addr)
{
	return ip_addr_is_loopback(addr);
}

static void op_random(void *buf, size_t bytes)
{
	for (uint8_t *b = buf; bytes-- > 0; b++)
		*b = (uint8_t)((random_state = random_state * 1664525 + 1013904223) >> 24);
}

static const struct vjd_ops ops = {
	.send = op_send,
	.changed = op_changed,
	.submit = op_submit,
	.process_ended = op_process_ended,
	.process_stopped = op_process_stopped,
	.addr_is_local = op_addr_is_local,
	.random = op_random,
};

/* ---- steps */

static void step_connect(struct player *p, unsigned who)
{
	/* two users, and one client in another network namespace */
	struct app_cred cred = { .uid = 1000 + (who & 1),
				 .pid = (int32_t)who + 1,
				 .netns = d.cfg.netns + (who == APPS - 1) };

	if (p->connected)
		return;
	memset(p, 0, sizeof(*p));
	if (app_init(&d, &p->app, &cred) == 0)
		p->connected = true;
}

static void step_gone(struct player *p)
{
	if (!p->connected)
		return;
	app_gone(&p->app);
	p->connected = false;
}

/* What the server does after each event. */
static void settle(void)
{
	platform_run(&d);
	for (unsigned i = 0; i < APPS; i++)
		if (players[i].connected && players[i].app.state == APP_LEAVING)
			step_gone(&players[i]);
}

static void step_job_done(void)
{
	struct fd_job *job = delayed;

	delayed = NULL;
	if (job != NULL)
		request_job_done(&d, job);
}

/* Small numbers, known sockets: or nothing ever fits. */
static void tame(struct ctl_msg *m, uint8_t spice)
{
	unsigned which = spice % SOCKETS;

	m->type = 1 + m->type % CTL_TYPE_LAST;
	if (m->type == CTL_LEASE) {
		m->lease = (struct ctl_lease){ .local = names[which], .flags = m->lease.flags & 3 };
		if (spice >= 128)
			m->lease.local.proto = CTL_PROTO_RAW;
		if (spice >= 192)
			m->lease.local.port = 1 + spice % 3;
	} else if (m->type == CTL_CONNECT) {
		m->connect.remote = names[which];
		m->connect.ports = spice % 64;
		if (spice >= 128) {
			m->connect.remote.proto = CTL_PROTO_RAW;
			m->connect.ports = 0;
		}
		if (spice >= 192)
			m->connect.remote.port = 1 + spice % 3;
	} else if (m->type == CTL_HELLO) {
		m->hello = (struct ctl_hello){ .version = spice == 255 ? CTL_VERSION + 1 : CTL_VERSION,
					       .flags = spice == 254,
					       .name = "f" };
	} else if (m->type == CTL_RELEASE) {
		m->lease = (struct ctl_lease){ .id = 1 + spice % 16 };
	} else if (m->type == CTL_PORTS) {
		m->ports = (struct ctl_ports){ .proto = spice & 1 ? CTL_PROTO_UDP : CTL_PROTO_TCP,
					       .first = spice < 64 ? m->ports.first : 0,
					       .cnt = (uint16_t)(1 + (m->ports.cnt & 1023)) };
		m->ports.first = (uint16_t)(m->ports.first % 60000);
	} else if (m->type == CTL_HOLD) {
		m->channel = (struct ctl_channel){ .end = spice & 1,
						   .proto = spice & 128 ? CTL_PROTO_RAW : CTL_PROTO_TCP,
						   .port = spice >> 7,
						   .params = d.cfg.area,
						   .peer_pid = spice % 16,
						   .key = { 1 + (spice >> 1) % 4 },
						   .area_bytes = vj_area_bytes(&d.cfg.area) };
	} else if (m->type == CTL_REPORT) {
		m->report = (struct ctl_report){ .app_id = 1 + spice % 8, .kind = spice };
	} else if (m->type == CTL_INTERFACE || m->type == CTL_POLLING || m->type == CTL_INTERFACE_LEFT) {
		uint8_t key[16] = { spice < 32 }; /* of none, now and then */

		m->interface = (struct ctl_interface){ .ifindex = spice < 240 ? PLATFORM_IFINDEX : 7 };
		if (m->type == CTL_INTERFACE)
			memcpy(m->interface.key, key, sizeof(key));
		else if (m->type == CTL_POLLING)
			m->interface.flags = spice & 1 ? CTL_INTERFACE_POLLING : 0;
		else
			m->interface.ended = spice;
	} else if (m->type == CTL_RESOLVE) {
		m->neighbour = (struct ctl_neighbour){ .addr = { [10] = 0xff, 0xff, 10, 0, 0, spice & 7 }, .ifindex = PLATFORM_IFINDEX };
	} else if (m->type == CTL_CHANNEL_CLOSE) {
		m->close = (struct ctl_close){ .channel_id = 1 + spice % 16,
					       .reason = spice % (VJ_CHANNEL_ERR_CLOSED + 1) };
	} else if (m->type == CTL_TO_KERNEL) {
		m->repair = (struct ctl_repair){ .local = { [10] = 0xff, 0xff, 10, 0, 0, 1 },
						 .remote = { [10] = 0xff, 0xff, 10, 0, 0, 2 },
						 .local_port = (uint16_t)(1 + spice),
						 .remote_port = 9,
						 .ifindex = spice < 240 ? PLATFORM_IFINDEX : 7,
						 .mss = 1460 };
	} else if (m->type == CTL_BRIEF) {
		m->brief.parent = 1 + spice % 4;
	} else {
		memset(m->bytes, 0, sizeof(m->bytes));
	}
}

static size_t body_bytes(uint32_t type)
{
	struct ctl_msg m;

	switch (type) {
#define X(name, nr, from, fds_min, fds_max, body) \
	case nr:                                  \
		return sizeof(m.body);
		CTL_MESSAGES(X)
#undef X
	default:
		return 0;
	}
}

/* Return: bytes of the input used */
static size_t step_message(struct player *p, const uint8_t *data, size_t len, bool raw)
{
	struct ctl_msg msg = { 0 }, checked;
	size_t used = len < 16 ? len : 16;
	enum ctl_refusal verdict;
	unsigned fd_cnt;
	uint8_t spice;
	int fd;

	memcpy(&msg, data, used);
	spice = used > 12 ? data[12] : 0;
	if (!p->connected || !app_wants_read(&p->app))
		return used;
	if (!raw)
		tame(&msg, spice);
	memset(msg.bytes + body_bytes(msg.type), 0, sizeof(msg.bytes) - body_bytes(msg.type));
	if (!raw && msg.seq == 0)
		msg.seq = 1;
	fd_cnt = (msg.type == CTL_LEASE || msg.type == CTL_TO_KERNEL) && !(raw && spice & 1);
	fd = dup(sockets[spice % SOCKETS]);
	VJ_ASSERT(fd >= 0);
	if (fd_cnt == 0)
		close(fd);
	verdict = ctl_check(&msg, sizeof(msg), fd_cnt, CTL_FROM_CLIENT, &checked);
	/* a CHANNEL_CLOSE, a RESOLVE, a POLLING, an INTERFACE_LEFT and a BRIEF have no reply, but before HELLO they are refused like all else */
	if (verdict == CTL_REFUSAL_NONE &&
	    ((msg.type != CTL_CHANNEL_CLOSE && msg.type != CTL_RESOLVE && msg.type != CTL_POLLING && msg.type != CTL_BRIEF &&
	      msg.type != CTL_INTERFACE_LEFT) ||
	     p->app.state == APP_STRANGER))
		p->asked_seq = msg.seq;
	request_handle(&p->app, verdict, &checked, &fd, fd_cnt);
	/* answered, to be answered, or hung up on */
	VJ_ASSERT(p->asked_seq == 0 || p->app.job != NULL || p->app.queue_cnt > 0 ||
		  p->app.opening != NULL || p->app.status.active || p->app.state == APP_LEAVING);
	return used;
}

static size_t step(const uint8_t *data, size_t len)
{
	struct player *p = &players[data[1] % APPS];

	switch (data[0] % 12) {
	case 0:
		step_connect(p, data[1] % APPS);
		break;
	case 1:
		step_gone(p);
		break;
	case 2:
		p->full = true;
		break;
	case 3:
		p->full = false;
		if (p->connected && app_wants_write(&p->app))
			app_flush(&p->app);
		break;
	case 4:
		d.now_ns += data[1] * (NS_PER_SEC / 16);
		app_expire_strangers(&d);
		half_look(&d);
		break;
	case 5:
		delay_jobs = data[1] & 1;
		step_job_done();
		platform_delay(data[1] & 2);
		platform_fail(data[1] & 4);
		if (data[1] & 8)
			platform_finish(&d);
		if (data[1] & 16)
			platform_change(&d, data[1] & 32 ? 1500 : 3000);
		break;
	case 6:
		return 2 + step_message(p, data + 2, len - 2, true);
	default:
		return 2 + step_message(p, data + 2, len - 2, false);
	}
	return 2;
}

/* The books, added up. */
static void audit(void)
{
	uint32_t leases = 0, ends = 0, halves = 0;
	const struct channel *ch;
	const struct user *u;

	for (unsigned i = 0; i < APPS; i++) {
		if (!players[i].connected)
			continue;
		leases += players[i].app.lease_cnt;
		ends += players[i].app.channel_cnt;
		VJ_ASSERT_OP(players[i].app.lease_cnt, <=, d.cfg.limits.leases_max);
		VJ_ASSERT_OP(players[i].app.channel_cnt, <=, d.cfg.limits.channels_max);
		VJ_ASSERT_OP(players[i].app.queue_cnt, <=,
			     APP_QUEUE_MAX + d.cfg.limits.channels_max + 1);
	}
	VJ_ASSERT_OP(leases, ==, d.leases.cnt);
	TAILQ_FOREACH (ch, &d.halves.all, half_all) {
		VJ_ASSERT((ch->app[0] == NULL) != (ch->app[1] == NULL));
		halves++;
	}
	VJ_ASSERT_OP(ends, ==, 2 * d.channel_cnt + halves);
	LIST_FOREACH (u, &d.users, all)
		VJ_ASSERT_OP(u->memory_bytes, <=, d.cfg.limits.memory_max);
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	VJ_ASSERT(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	VJ_ASSERT(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	return fd;
}

static void open_sockets(void)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		struct sockaddr_in in;
		socklen_t bytes = sizeof(in);
		struct endpoint ep;

		sockets[i] = bound(i % 2 ? SOCK_STREAM : SOCK_DGRAM, i < 2 ? 0 : names[i - 2].port);
		VJ_ASSERT(getsockname(sockets[i], (struct sockaddr *)&in, &bytes) == 0);
		ep = (struct endpoint){ ip_addr_from_v4((struct be32){ in.sin_addr.s_addr }),
					ntohs(in.sin_port) };
		names[i] = ctl_endpoint_make(&ep, i % 2 ? CTL_PROTO_TCP : CTL_PROTO_UDP);
	}
}

/* The lowest free number: the same before and after, unless something was left open. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct vjd_config cfg = {
		.limits = { .apps_max = 2,
			    .leases_max = 5,
			    .channels_max = 4,
			    .rate_max = 50,
			    .memory_max = (8 << 20) + (160 << 10) }, /* two channels at an interface, and some others */
		.area = { .frame_bytes = 2048, .frame_cnt = 2, .ring_cnt = 2 },
		.uid = 1000,
	};
	int fd_before;

	if (sockets[0] == 0)
		open_sockets();
	fd_before = next_fd();
	random_state = 1;
	delay_jobs = false;
	cfg.netns = proof_netns(sockets[0]);
	VJ_ASSERT(vjd_init(&d, &cfg, &ops, NS_PER_SEC) == 0);
	d.last_lease_id = d.last_channel_id = 0;
	platform_begin(&d);
	while (len >= 2) {
		size_t used = step(data, len);

		settle();
		audit();
		data += used;
		len -= used;
	}
	step_job_done();
	settle();
	for (unsigned i = 0; i < APPS; i++)
		step_gone(&players[i]);
	platform_end(&d);
	VJ_ASSERT_OP(d.leases.cnt, ==, 0u);
	VJ_ASSERT_OP(d.channel_cnt, ==, 0u);
	VJ_ASSERT(TAILQ_EMPTY(&d.halves.all));
	VJ_ASSERT_OP(d.app_cnt, ==, 0u);
	VJ_ASSERT_OP(d.ports.free_cnt[0], ==, PORT_UNIT_CNT);
	VJ_ASSERT_OP(d.ports.free_cnt[1], ==, PORT_UNIT_CNT);
	VJ_ASSERT(LIST_EMPTY(&d.users));
	VJ_ASSERT_OP(next_fd(), ==, fd_before);
	vjd_fini(&d);
	return 0;
}
