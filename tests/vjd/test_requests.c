/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HELLO, LEASE, RELEASE and PORTS with their replies and refusals, from a real vjd. test_channels.c
 * has the rest of the table.
 */
#include "vjd_proc.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- HELLO */

static void welcome_says_who_one_is(void **state)
{
	struct ctl_client *a, *b;
	const struct ctl_welcome *wa, *wb;
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "--leases-max 5 --channels-max 6");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	wa = ctl_client_welcome(a);
	wb = ctl_client_welcome(b);
	assert_int_equal(wa->mac[0] & 0x0f, 2);
	assert_memory_not_equal(wa->mac, wb->mac, 6);
	assert_int_not_equal(wa->app_id, wb->app_id);
	assert_int_equal(wa->private_mode, 1);
	assert_int_equal(wa->leases_max, 5);
	assert_int_equal(wa->channels_max, 6);
	assert_string_equal(ctl_client_path(a), v.path);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void other_version_is_refused(void **state)
{
	struct ctl_msg msg = { .type = CTL_HELLO,
			       .seq = 1,
			       .hello = { .version = CTL_VERSION + 1 } };
	struct vjd_proc v;
	int fd;

	(void)state;
	vjd_start(&v, "");
	fd = raw_connect(&v);
	raw_send(fd, &msg, sizeof(msg), NULL, 0);
	assert_int_equal(raw_recv(fd, &msg, 20000), 1);
	assert_int_equal(msg.refused.refusal, CTL_REFUSAL_VERSION);
	assert_int_equal(msg.refused.version, CTL_VERSION);
	assert_true(msg.refused.release[0] != '\0');
	raw_expect_end(fd, 20000);
	close(fd);
	vjd_stop(&v);
}

/* A private vjd has none, and says so by name; an observer may ask for no channel. */
static void interfaces_are_refused_by_name(void **state)
{
	static const uint8_t key[16] = { 1 };
	struct ip_addr addr = ip_addr_any_v4();
	struct ctl_interface said;
	struct ctl_client *c;
	int fds[CTL_FDS_MAX];
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	assert_int_equal(ctl_client_welcome(c)->interfaces, 0);
	assert_int_equal(ctl_client_interface(c, 1, key, &said, fds), -ENODEV);
	assert_int_equal(ctl_client_interface(c, UINT32_MAX, (uint8_t[16]){ 0 }, &said, fds), -ENODEV);
	assert_int_equal(ctl_client_attach(c, "lo", CTL_CLIENT_ATTACH, NULL, &said), geteuid() == 0 ? -EOPNOTSUPP : -EPERM);
	assert_int_equal(ctl_client_attach(c, "lo", CTL_CLIENT_DETACH, NULL, &said), geteuid() == 0 ? -ENODEV : -EPERM);
	/* has no reply: what is asked next is answered next */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ctl_client_resolve(c, i + 1, &addr), 0);
	assert_int_equal(ctl_client_release(c, 77), -ENOENT);
	ctl_client_close(c);
	c = client_open_flags(&v, "y", CTL_HELLO_OBSERVER);
	assert_int_equal(ctl_client_interface(c, 1, key, &said, fds), -EPERM);
	assert_int_equal(ctl_client_resolve(c, 1, &addr), 0);
	assert_int_equal(ctl_client_release(c, 77), -EPERM);
	ctl_client_close(c);
	vjd_stop(&v);
}

/* A vjd of the future: says REFUSED and hangs up. */
static void serve_refusal(int listen_fd, bool after_hello)
{
	struct ctl_msg msg = { .type = CTL_REFUSED, .seq = 1 };
	int fd = accept(listen_fd, NULL, NULL);

	if (after_hello)
		(void)!read(fd, &(struct ctl_msg){ 0 }, sizeof(msg));
	msg.refused.refusal = CTL_REFUSAL_VERSION;
	msg.refused.version = 77;
	memcpy(msg.refused.release, "9.8.7", 6);
	msg.bytes[119] = 42; /* something that we can't know */
	(void)!write(fd, &msg, sizeof(msg));
	_exit(0);
}

static void library_tells_both_versions(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/tmp/vjd-test-future" };
	int listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	char why[CTL_CLIENT_WHY_BYTES], versions[64];
	struct ctl_client *c;
	pid_t pid;

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/vjd-test-future-%d", getpid());
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	for (int i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0)
			serve_refusal(listen_fd, i % 2);
		assert_int_equal(ctl_client_open_why(sun.sun_path, "x", 0, &c, why), -EPROTO);
		snprintf(versions, sizeof(versions), "control version %d, vjd 9.8.7 version 77", CTL_VERSION);
		assert_non_null(strstr(why, versions));
		waitpid(pid, NULL, 0);
	}
	close(listen_fd);
	/* and now nobody is behind it */
	assert_int_equal(ctl_client_open_why(sun.sun_path, "x", 0, &c, why), -ECONNREFUSED);
	unlink(sun.sun_path);
	assert_int_equal(ctl_client_open_why(sun.sun_path, "x", 0, &c, why), -ENOENT);
	assert_true(why[0] != '\0');
}

static void silent_daemon_times_out(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	char why[CTL_CLIENT_WHY_BYTES];
	uint64_t start_ms = now_ms();
	struct ctl_client *c;

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/vjd-test-silent-%d", getpid());
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	assert_int_equal(ctl_client_open_why(sun.sun_path, "x", 0, &c, why), -ETIMEDOUT);
	assert_in_range(now_ms() - start_ms, CTL_CLIENT_TIMEOUT_MS - 1,
			CTL_CLIENT_TIMEOUT_MS + EVENTUALLY_MS);
	close(listen_fd);
	unlink(sun.sun_path);
}

static void hello_comes_first_and_once(void **state)
{
	struct ctl_msg status = { .type = CTL_STATUS, .seq = 1 };
	struct ctl_msg hello = { .type = CTL_HELLO, .seq = 2, .hello = { .version = CTL_VERSION } };
	struct vjd_proc v;
	int fd;

	(void)state;
	vjd_start(&v, "");
	fd = raw_connect(&v);
	raw_send(fd, &status, sizeof(status), NULL, 0);
	raw_expect_refused(fd, CTL_REFUSAL_NOT_WELCOME, true);
	close(fd);
	fd = raw_connect(&v);
	raw_hello(fd);
	raw_send(fd, &hello, sizeof(hello), NULL, 0);
	raw_expect_refused(fd, CTL_REFUSAL_MALFORMED, true);
	close(fd);
	vjd_stop(&v);
}

static void observers_only_observe(void **state)
{
	struct ctl_msg msg = { .type = CTL_CONNECT };
	struct ctl_client *c;
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "");
	c = client_open_flags(&v, "o", CTL_HELLO_OBSERVER);
	msg.connect.remote = endpoint_of("127.0.0.1:1", CTL_PROTO_TCP);
	expect_refusal(c, &msg, -1, CTL_REFUSAL_OBSERVER);
	msg = (struct ctl_msg){ .type = CTL_PORTS, .ports = { .proto = CTL_PROTO_TCP, .cnt = 1 } };
	expect_refusal(c, &msg, -1, CTL_REFUSAL_OBSERVER);
	msg = (struct ctl_msg){ .type = CTL_LEASE,
				.lease.local = { .proto = CTL_PROTO_RAW, .port = 1 } };
	expect_refusal(c, &msg, STDERR_FILENO, CTL_REFUSAL_OBSERVER);
	assert_int_equal(daemon_status(&v).apps, 0);
	ctl_client_close(c);
	vjd_stop(&v);
}

static bool log_has(const char *path, const char *words)
{
	char line[256];
	FILE *f = fopen(path, "r");
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, words) != NULL;
	fclose(f);
	return found;
}

/* By default the log has applications; who looks on is in it only if it is to have everything. */
static void observers_are_in_a_verbose_log(void **state)
{
	char path[] = "/tmp/vjd-test-log-XXXXXX", options[64];
	int log_fd = mkstemp(path);
	struct ctl_client *app, *onlooker;
	struct vjd_proc v;

	(void)state;
	assert_true(log_fd >= 0);
	for (unsigned verbose = 0; verbose < 2; verbose++) {
		assert_int_equal(ftruncate(log_fd, 0), 0);
		snprintf(options, sizeof(options), "--log %s%s", path, verbose ? " --verbose" : "");
		vjd_start(&v, options);
		onlooker = client_open_flags(&v, "onlooker", CTL_HELLO_OBSERVER);
		ctl_client_close(onlooker);
		app = client_open(&v, "held");
		ctl_client_close(app);
		vjd_stop(&v);
		assert_true(log_has(path, "app 2: held,") && log_has(path, "app 2: gone"));
		assert_int_equal(log_has(path, "app 1: onlooker,"), verbose);
		assert_int_equal(log_has(path, "app 1: gone"), verbose);
	}
	close(log_fd);
	unlink(path);
}

/* ---- LEASE */

static void refuse_proof(struct ctl_client *c, struct ctl_endpoint claim, uint32_t flags, int fd)
{
	struct ctl_msg msg = { .type = CTL_LEASE, .lease = { .local = claim, .flags = flags } };

	expect_refusal(c, &msg, fd, CTL_REFUSAL_PORT_PROOF);
}

static void set_option(int fd, int level, int name, int value)
{
	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

static void a_bound_socket_is_proof(void **state)
{
	static const struct {
		const char *text;
		enum ctl_proto proto;
		bool listening;
	} rows[] = {
		{ "127.0.0.1:0", CTL_PROTO_TCP, true }, { "127.0.0.1:0", CTL_PROTO_TCP, false },
		{ "0.0.0.0:0", CTL_PROTO_TCP, true },	{ "[::1]:0", CTL_PROTO_TCP, true },
		{ "[::]:0", CTL_PROTO_TCP, true },	{ "127.0.0.1:0", CTL_PROTO_UDP, false },
		{ "[::]:0", CTL_PROTO_UDP, false },	{ "[::1]:0", CTL_PROTO_UDP, false },
	};
	struct ctl_client *c;
	struct vjd_proc v;
	uint32_t id, last = 0;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = bound_socket(rows[i].text, rows[i].proto, rows[i].listening);
		struct ctl_endpoint ep = name_of(fd, rows[i].proto);

		assert_int_equal(ctl_client_lease(c, &ep, 0, fd, &id), 0);
		assert_true(id > last);
		last = id;
		/* the same again, by the same application, is its own business */
		assert_int_equal(ctl_client_lease(c, &ep, 0, fd, &id), 0);
		assert_int_equal(ctl_client_release(c, id), 0);
		last = id;
		close(fd);
	}
	assert_int_equal(daemon_status(&v).leases, ARRAY_SIZE(rows));
	ctl_client_close(c);
	vjd_stop(&v);
}

static void other_sockets_are_no_proof(void **state)
{
	int tcp = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true),
	    udp = bound_socket("127.0.0.1:0", CTL_PROTO_UDP, false);
	int dual = bound_socket("[::]:0", CTL_PROTO_UDP, false),
	    unbound = socket(AF_INET, SOCK_STREAM, 0), pair[2];
	struct ctl_endpoint ep = name_of(tcp, CTL_PROTO_TCP), other = ep;
	struct ctl_client *c;
	struct vjd_proc v;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	vjd_start(&v, "");
	c = client_open(&v, "x");
	refuse_proof(c, ep, 0, unbound);
	refuse_proof(c, ep, 0, pair[0]);
	refuse_proof(c, ep, 0, STDERR_FILENO);
	refuse_proof(c, ep, 0, udp);
	refuse_proof(c, name_of(udp, CTL_PROTO_UDP), 0, tcp);
	other.port ^= 1;
	refuse_proof(c, other, 0, tcp);
	other = ep;
	other.addr[15] = 2;
	refuse_proof(c, other, 0, tcp);
	refuse_proof(c, ep, CTL_LEASE_REUSEPORT, tcp); /* claims what it hasn't */
	set_option(tcp, SOL_SOCKET, SO_BINDTODEVICE, 0);
	assert_int_equal(setsockopt(tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	refuse_proof(c, ep, 0, tcp);
	set_option(unbound, SOL_SOCKET, SO_REUSEADDR, 1);
	close(dual);
	/* IPv6 only, claimed for both families */
	dual = socket(AF_INET6, SOCK_DGRAM, 0);
	set_option(dual, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	assert_int_equal(bind(dual,
			      (struct sockaddr *)&(struct sockaddr_in6){ .sin6_family = AF_INET6 },
			      sizeof(struct sockaddr_in6)),
			 0);
	refuse_proof(c, name_of(dual, CTL_PROTO_UDP), 0, dual);
	assert_int_equal(daemon_status(&v).leases, 0);
	fds_close((int[]){ tcp, udp, dual, unbound, pair[0], pair[1] }, 6);
	ctl_client_close(c);
	vjd_stop(&v);
}

/*
 * Connected and accepted sockets share the listener's port; one that was reset keeps even its name.
 */
static void accepted_sockets_are_no_proof(void **state)
{
	int server = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true),
	    client = socket(AF_INET, SOCK_STREAM, 0), accepted;
	struct ctl_endpoint ep = name_of(server, CTL_PROTO_TCP);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(ep.port) };
	struct linger reset = { .l_onoff = 1 };
	struct ctl_client *c;
	struct vjd_proc v;
	char byte;

	(void)state;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	vjd_start(&v, "");
	c = client_open(&v, "x");
	assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
	accepted = accept(server, NULL, NULL);
	assert_true(accepted >= 0);
	refuse_proof(c, ep, 0, accepted);
	refuse_proof(c, name_of(client, CTL_PROTO_TCP), 0, client);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	close(server);
	assert_int_equal(read(accepted, &byte, 1), -1);
	assert_int_equal(name_of(accepted, CTL_PROTO_TCP).port,
			 ep.port); /* or this test proves nothing */
	refuse_proof(c, ep, 0, accepted);
	close(accepted);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void a_taken_port_is_refused(void **state)
{
	struct ctl_msg raw = { .type = CTL_LEASE,
			       .lease.local = { .proto = CTL_PROTO_RAW, .port = 9 } };
	int first = socket(AF_INET, SOCK_DGRAM, 0), second = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct ctl_msg udp = { .type = CTL_LEASE };
	struct ctl_daemon daemon;
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	id = offer_raw(a, 9);
	expect_refusal(b, &raw, STDERR_FILENO, CTL_REFUSAL_PORT_TAKEN);
	daemon = daemon_status(&v);
	assert_int_equal(daemon.last_refusal, CTL_REFUSAL_PORT_TAKEN);
	assert_int_equal(daemon.last_request, CTL_LEASE);
	assert_int_equal(daemon.last_pid, getpid());
	assert_string_equal(daemon.last_name, "b");
	assert_int_equal(ctl_client_release(a, id), 0);
	offer_raw(b, 9);

	/* two UDP sockets that the kernel lets stand side by side */
	set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(bind(first, (struct sockaddr *)&in, sizeof(in)), 0);
	udp.lease.local = name_of(first, CTL_PROTO_UDP);
	in.sin_port = htons(udp.lease.local.port);
	assert_int_equal(bind(second, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(ctl_client_lease(a, &udp.lease.local, 0, first, &id), 0);
	expect_refusal(b, &udp, second, CTL_REFUSAL_PORT_TAKEN);
	fds_close((int[]){ first, second }, 2);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void a_stale_lease_is_revoked(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true);
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *a, *b, *peer;
	struct ctl_channel ch;
	int fds[CTL_FDS_MAX];
	struct vjd_proc v;
	struct ctl_msg msg;
	uint32_t id_a, id_b;
	char text[32];

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	peer = client_open(&v, "p");
	assert_int_equal(ctl_client_lease(a, &ep, 0, fd, &id_a), 0);
	assert_int_equal(ctl_client_connect(peer, &ep, &ch, fds), 0);
	fds_close(fds, 3);
	event_wait(a, CTL_CHANNEL);
	close(fd); /* and no RELEASE */
	snprintf(text, sizeof(text), "127.0.0.1:%u", ep.port);
	fd = bound_socket(text, CTL_PROTO_TCP, true);
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id_b), 0);
	msg = event_wait(a, CTL_LEASE_GONE);
	assert_int_equal(msg.lease.id, id_a);
	msg = event_wait(peer, CTL_LEASE_GONE);
	assert_int_equal(msg.lease.id, id_a);
	assert_int_equal(msg.lease.app_id, ctl_client_welcome(a)->app_id);
	assert_int_equal(msg.lease.local.port, ep.port);
	assert_int_equal(ctl_client_connect(peer, &ep, &ch, fds), 0);
	assert_int_equal(ch.peer_app_id, ctl_client_welcome(b)->app_id);
	fds_close(fds, 3);
	close(fd);
	ctl_client_close(a);
	ctl_client_close(b);
	ctl_client_close(peer);
	vjd_stop(&v);
}

static int reuseport_socket(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void the_flow_chooses_among_reuse_port_owners(void **state)
{
	int fd_a = reuseport_socket(0), fd_b;
	struct ctl_endpoint ep = name_of(fd_a, CTL_PROTO_TCP),
			    dest = endpoint_of("127.0.0.1:1", CTL_PROTO_TCP);
	struct ctl_client *a, *b;
	unsigned to_b = 0;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	dest.port = ep.port;
	fd_b = reuseport_socket(ep.port);
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	assert_int_equal(ctl_client_lease(a, &ep, CTL_LEASE_REUSEPORT, fd_a, &id), 0);
	assert_int_equal(ctl_client_lease(b, &ep, CTL_LEASE_REUSEPORT, fd_b, &id), 0);
	for (uint32_t flow = 0; flow < 10; flow++) {
		struct ctl_client *p = client_open(&v, "p");
		struct ctl_channel ch;
		int fds[CTL_FDS_MAX];

		assert_int_equal(ctl_client_connect_flow(p, &dest, flow, 0, &ch, fds), 0);
		assert_int_equal(ch.owners, 2);
		to_b += ch.peer_app_id == ctl_client_welcome(b)->app_id;
		fds_close(fds, 3);
		ctl_client_close(p);
	}
	assert_int_equal(to_b, 5);
	fds_close((int[]){ fd_a, fd_b }, 2);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* As prefork servers do: one listening socket, several processes, each an application. */
static void one_socket_may_have_several_owners(void **state)
{
	int fd = bound_socket("0.0.0.0:0", CTL_PROTO_TCP, true);
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	assert_int_equal(ctl_client_lease(a, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id), 0);
	event_none(a, 50);
	assert_int_equal(daemon_status(&v).leases, 2);
	close(fd);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* Return: the descriptor that was handed to @c. */
static int take_handed(struct ctl_client *c)
{
	struct pollfd pfd = { .fd = ctl_client_fd(c), .events = POLLIN };
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX];

	assert_int_equal(poll(&pfd, 1, EVENTUALLY_MS), 1);
	assert_int_equal(ctl_client_event(c, &msg, fds), 1);
	assert_int_equal(msg.type, CTL_HANDED);
	return fds[0];
}

static void a_descriptor_goes_to_another_application(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), got;
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id, b_id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	b_id = ctl_client_welcome(b)->app_id;
	assert_int_equal(ctl_client_pass(a, b_id, getpid(), fd, NULL), 0);
	got = take_handed(b);
	assert_true(got >= 0 && name_of(got, CTL_PROTO_TCP).port == ep.port);
	close(got);
	/* a number of an earlier vjd: found by process. Another process, or none: not */
	assert_int_equal(ctl_client_pass(a, b_id + 1000, getpid(), fd, NULL), 0);
	assert_int_equal(ctl_client_pass(a, b_id, 1, fd, NULL), -ESRCH);
	event_none(a, 50);
	close(take_handed(b));

	assert_int_equal(ctl_client_offer(a, &ep, 0, fd), -EHOSTUNREACH);
	assert_int_equal(ctl_client_lease(a, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_offer(a, &ep, 0, fd), -EHOSTUNREACH); /* not to oneself */
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id), 0);
	for (uint32_t flow = 0; flow < 4; flow++) {
		assert_int_equal(ctl_client_offer(a, &ep, flow, fd), 0);
		close(take_handed(b));
	}
	close(fd);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

/* Two applications that know each other share the one channel that they have, whoever asks how. */
static void one_may_join_an_application(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), fds[CTL_FDS_MAX];
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_channel first, again;
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	assert_int_equal(ctl_client_join(a, ctl_client_welcome(b)->app_id, 1, &first, fds), -ESRCH);
	assert_int_equal(ctl_client_join(a, ctl_client_welcome(b)->app_id, getpid(), &first, fds), 0);
	assert_true(fds[0] >= 0 && first.proto == CTL_PROTO_TCP);
	fds_close(fds, CTL_FDS_MAX);
	assert_int_equal(event_wait(b, CTL_CHANNEL).channel.id, first.id);
	assert_int_equal(ctl_client_join(b, ctl_client_welcome(a)->app_id, getpid(), &again, fds), 0);
	assert_true(fds[0] < 0 && again.id == first.id);
	assert_int_equal(ctl_client_lease(b, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_connect(a, &ep, &again, fds), 0);
	assert_true(fds[0] < 0 && again.id == first.id);
	close(fd);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void release_tells_those_with_a_channel(void **state)
{
	struct ctl_msg no_lease = { .type = CTL_RELEASE, .lease.id = 4711 };
	struct ctl_client *owner, *peer, *onlooker;
	struct vjd_proc v;
	struct ctl_msg msg;
	uint32_t lease, ch;

	(void)state;
	vjd_start(&v, "");
	owner = client_open(&v, "owner");
	peer = client_open(&v, "peer");
	onlooker = client_open(&v, "onlooker");
	lease = offer_raw(owner, 5);
	assert_int_equal(connect_raw(peer, 5, &ch), 0);
	assert_int_equal(connect_raw(peer, 5, &ch), 0);
	expect_refusal(owner, &no_lease, -1, CTL_REFUSAL_NO_LEASE);
	no_lease.lease.id = lease;
	expect_refusal(peer, &no_lease, -1, CTL_REFUSAL_NO_LEASE); /* not its own */
	assert_int_equal(ctl_client_release(owner, lease), 0);
	msg = event_wait(peer, CTL_LEASE_GONE);
	assert_int_equal(msg.lease.id, lease);
	event_none(peer, 50); /* once, though there are two channels */
	event_none(onlooker, 0);
	assert_int_equal(connect_raw(peer, 5, &ch), -EHOSTUNREACH);
	ctl_client_close(owner);
	ctl_client_close(peer);
	ctl_client_close(onlooker);
	vjd_stop(&v);
}

/* Events of @c, whatever they are, as the loop of a program takes them */
static void events_drop(struct ctl_client *c)
{
	int fds[CTL_FDS_MAX];
	struct ctl_msg msg;

	while (ctl_client_event(c, &msg, fds) > 0)
		fds_close(fds, CTL_FDS_MAX);
}

/* Nothing can be said while vjd reads nothing, and has a socket full of what it should: several leases are given up then. */
static void release_arrives_though_vjd_was_behind(void **state)
{
	enum { PORTS = 3 };
	struct ctl_client *owner, *peer;
	uint32_t leases[PORTS], again, ch;
	uint64_t end_ms = now_ms() + EVENTUALLY_MS;
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "");
	owner = client_open(&v, "owner");
	peer = client_open(&v, "peer");
	for (uint16_t i = 0; i < PORTS; i++)
		leases[i] = offer_raw(owner, 5 + i);
	assert_int_equal(connect_raw(peer, 5 + PORTS - 1, &ch), 0);
	events_drop(owner);
	assert_int_equal(kill(v.pid, SIGSTOP), 0);
	ctl_client_timeout_set(owner, 10);
	assert_int_equal(connect_raw(owner, 77, &ch), -ETIMEDOUT);
	assert_true(ctl_client_is_behind(owner));
	while (ctl_client_brief(owner, 1) == 0)
		assert_true(now_ms() < end_ms);
	for (unsigned i = 0; i < PORTS; i++)
		assert_int_equal(ctl_client_release(owner, leases[i]), -ETIMEDOUT);
	assert_true(ctl_client_is_unsaid(owner));
	assert_int_equal(kill(v.pid, SIGCONT), 0);
	for (uint16_t i = 0; i < PORTS; i++) {
		while (connect_raw(peer, 5 + i, &ch) != -EHOSTUNREACH) {
			assert_true(now_ms() < end_ms);
			events_drop(owner);
			sleep_ms(1);
		}
	}
	/* and its ports can be had again, by whoever asks */
	ctl_client_timeout_set(owner, CTL_CLIENT_TIMEOUT_MS);
	again = offer_raw(owner, 5);
	assert_int_equal(connect_raw(peer, 5, &ch), 0);
	events_drop(owner);
	assert_int_equal(ctl_client_release(owner, again), 0);
	assert_false(ctl_client_is_unsaid(owner) || ctl_client_is_owed(owner));
	ctl_client_close(owner);
	ctl_client_close(peer);
	vjd_stop(&v);
}

/* ---- PORTS */

/* To who has none left the channel comes all the same. */
static void ports_come_with_a_channel(void **state)
{
	struct ctl_endpoint ep = endpoint_of("0.0.0.0:0", CTL_PROTO_TCP);
	int fd = reuseport_socket(0), fds[CTL_FDS_MAX];
	struct ctl_client *owner, *c;
	struct ctl_channel ch, again;
	struct vjd_proc v;
	uint16_t first, cnt;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	owner = client_open(&v, "owner");
	c = client_open(&v, "x");
	ep.port = name_of(fd, CTL_PROTO_TCP).port;
	assert_int_equal(ctl_client_lease(owner, &ep, 0, fd, &id), 0);
	assert_int_equal(ctl_client_connect_flow(c, &ep, 0, 256, &ch, fds), 0);
	fds_close(fds, 3);
	assert_int_equal(ch.ports_cnt, 256);
	assert_int_equal(ctl_client_ports(c, CTL_PROTO_TCP, ch.ports_first, 256, &first, &cnt), 0);
	assert_int_not_equal(first, ch.ports_first);
	assert_int_equal(ctl_client_connect_flow(c, &ep, 0, 32, &again, fds), 0);
	assert_int_equal(again.id, ch.id);
	assert_int_equal(again.ports_cnt, 32);
	while (ctl_client_ports(c, CTL_PROTO_TCP, 0, 1024, &first, &cnt) == 0)
		;
	assert_int_equal(ctl_client_connect_flow(c, &ep, 0, 32, &again, fds), 0);
	assert_int_equal(again.ports_first, 0);
	assert_int_equal(again.ports_cnt, 0);
	close(fd);
	ctl_client_close(owner);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void ephemeral_ports_run_out(void **state)
{
	struct ctl_msg more = { .type = CTL_PORTS, .ports = { .proto = CTL_PROTO_TCP, .cnt = 1 } };
	struct ctl_client *c;
	struct vjd_proc v;
	uint16_t first, cnt, again;
	unsigned total = 0;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	while (ctl_client_ports(c, CTL_PROTO_TCP, 0, 1024, &first, &cnt) == 0)
		total += cnt;
	assert_in_range(total, 4096, 28232);
	expect_refusal(c, &more, -1, CTL_REFUSAL_NO_PORTS);
	assert_int_equal(ctl_client_ports(c, CTL_PROTO_UDP, 0, 256, &first, &cnt), 0);
	ctl_client_close(c);
	/* given back; and a block from before a restart is had again */
	c = client_open(&v, "x");
	assert_int_equal(
		ctl_client_ports(c, CTL_PROTO_TCP, (uint16_t)(first + 1024), 256, &again, &cnt), 0);
	assert_int_equal(again, first + 1024);
	assert_int_equal(cnt, 256);
	ctl_client_close(c);
	vjd_stop(&v);
}

/* ---- REPORT */

/* What a REPORT_WANTED brings; its socket in *ret_fd */
static struct ctl_msg wanted(struct ctl_client *c, int *ret_fd)
{
	uint64_t end_ms = now_ms() + 20000;
	int fds[CTL_FDS_MAX], r;
	struct ctl_msg msg;

	while ((r = ctl_client_event(c, &msg, fds)) == 0 && now_ms() < end_ms)
		sleep_ms(1);
	assert_int_equal(r, 1);
	assert_int_equal(msg.type, CTL_REPORT_WANTED);
	assert_true(fds[0] >= 0 && fds[1] < 0 && fds[2] < 0);
	*ret_fd = fds[0];
	return msg;
}

static int ask(struct ctl_client *c, uint32_t app_id, int *ret_fd)
{
	int r = ctl_client_report(c, app_id, CTL_REPORT_CONNS, ret_fd);

	/* asked a moment ago */
	for (int i = 0; r == -EAGAIN && i < 1000; i++) {
		sleep_ms(5);
		r = ctl_client_report(c, app_id, CTL_REPORT_CONNS, ret_fd);
	}
	return r;
}

static void a_report_brings_two_together(void **state)
{
	struct ctl_client *app, *observer;
	struct ctl_msg msg;
	int a, b, fd_cnt;
	struct vjd_proc v;
	char c = 0;

	(void)state;
	vjd_start(&v, "");
	app = client_open(&v, "asked");
	observer = client_open_flags(&v, "asks", CTL_HELLO_OBSERVER);
	fd_cnt = (int)vjd_fd_cnt(&v);
	for (int i = 0; i < 20; i++) {
		uint32_t id = ctl_client_welcome(app)->app_id;

		/* an observer asks, or the application itself does */
		assert_int_equal(ask(i % 2 ? app : observer, id, &a), 0);
		msg = wanted(app, &b);
		assert_int_equal(msg.report.app_id, id);
		assert_int_equal(msg.report.kind, CTL_REPORT_CONNS);
		assert_int_equal(send(b, "x", 1, MSG_NOSIGNAL), 1);
		close(b);
		assert_int_equal(recv(a, &c, 1, 0), 1);
		assert_int_equal(recv(a, &c, 1, 0), 0); /* nobody else holds it */
		close(a);
	}
	assert_int_equal(vjd_fd_cnt(&v), fd_cnt);
	ctl_client_close(app);
	ctl_client_close(observer);
	vjd_stop(&v);
}

static void reports_are_refused(void **state)
{
	struct ctl_client *app, *observer;
	struct ctl_msg msg = { .type = CTL_REPORT };
	struct vjd_proc v;
	int fd, fd2, busy = 0;

	(void)state;
	vjd_start(&v, "");
	app = client_open(&v, "asked");
	observer = client_open_flags(&v, "asks", CTL_HELLO_OBSERVER);
	msg.report.app_id = 12345;
	expect_refusal(observer, &msg, -1, CTL_REFUSAL_NO_APP);
	/* observers hold nothing, so there is nothing to tell */
	msg.report.app_id = ctl_client_welcome(observer)->app_id;
	expect_refusal(app, &msg, -1, CTL_REFUSAL_NO_APP);
	/* it is asked only so often, whoever asks */
	for (int i = 0; i < 1000 && !busy; i++) {
		assert_int_equal(ask(observer, ctl_client_welcome(app)->app_id, &fd), 0);
		if (ctl_client_report(app, ctl_client_welcome(app)->app_id, 1, &fd2) == -EAGAIN)
			busy++;
		else
			close(fd2);
		close(fd);
	}
	assert_true(busy);
	/* one that has gone */
	msg.report.app_id = ctl_client_welcome(app)->app_id;
	ctl_client_close(app);
	vjd_expect_apps(&v, 0);
	expect_refusal(observer, &msg, -1, CTL_REFUSAL_NO_APP);
	ctl_client_close(observer);
	vjd_stop(&v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(welcome_says_who_one_is),
		cmocka_unit_test(other_version_is_refused),
		cmocka_unit_test(interfaces_are_refused_by_name),
		cmocka_unit_test(library_tells_both_versions),
		cmocka_unit_test(silent_daemon_times_out),
		cmocka_unit_test(hello_comes_first_and_once),
		cmocka_unit_test(observers_only_observe),
		cmocka_unit_test(observers_are_in_a_verbose_log),
		cmocka_unit_test(a_bound_socket_is_proof),
		cmocka_unit_test(other_sockets_are_no_proof),
		cmocka_unit_test(accepted_sockets_are_no_proof),
		cmocka_unit_test(a_taken_port_is_refused),
		cmocka_unit_test(a_stale_lease_is_revoked),
		cmocka_unit_test(the_flow_chooses_among_reuse_port_owners),
		cmocka_unit_test(one_socket_may_have_several_owners),
		cmocka_unit_test(a_descriptor_goes_to_another_application),
		cmocka_unit_test(one_may_join_an_application),
		cmocka_unit_test(release_tells_those_with_a_channel),
		cmocka_unit_test(release_arrives_though_vjd_was_behind),
		cmocka_unit_test(ports_come_with_a_channel),
		cmocka_unit_test(ephemeral_ports_run_out),
		cmocka_unit_test(a_report_brings_two_together),
		cmocka_unit_test(reports_are_refused),
	};

	vjd_test_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
