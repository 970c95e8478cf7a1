/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that mean harm. After each, vjd serves others at once, holds no descriptor more, and
 * hasn't grown.
 */
#include "vjd_proc.h"

#include "base/prng.h"
#include "daemon/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * How long an honest client may have to wait beside a hostile one. A blocked vjd makes it seconds.
 */
enum { PROMPT_MS = 15000 };

static struct vjd_proc v;
static struct ctl_client *honest;
static unsigned fd_cnt, rss_kib;

static int set_up(void **state)
{
	(void)state;
	vjd_start(&v, "--idle-exit 600 --first-exit 600 --frames 8 --frame-bytes 2048");
	honest = client_open(&v, "honest");
	offer_raw(honest, 7);
	/* a descriptor that came with a lease may be closed a moment after the answer */
	do {
		fd_cnt = vjd_fd_cnt(&v);
		sleep_ms(20);
	} while (vjd_fd_cnt(&v) != fd_cnt);
	rss_kib = vjd_rss_kib(&v);
	return 0;
}

static void ask_promptly(void)
{
	uint64_t start_ms = now_ms();
	struct ctl_daemon d = daemon_status(&v);

	assert_true(d.apps >= 1);
	assert_true(now_ms() - start_ms < PROMPT_MS);
}

static int tear_down(void **state)
{
	uint32_t id;

	(void)state;
	ask_promptly();
	assert_int_equal(connect_raw(honest, 7, &id), 0);
	event_wait(honest, CTL_CHANNEL);
	ctl_client_channel_close(honest, id, VJ_CHANNEL_ERR_CLOSED);
	event_wait(honest, CTL_PEER_GONE);
	vjd_expect_fds(&v, fd_cnt);
	if (!vjd_sanitized)
		assert_true(vjd_rss_kib(&v) < rss_kib + 2048);
	ctl_client_close(honest);
	vjd_stop(&v);
	return 0;
}

static void random_bytes(void **state)
{
	uint8_t bytes[300];
	struct prng prng;

	(void)state;
	prng_seed(&prng, 1);
	for (int i = 0; i < 500; i++) {
		int fd = raw_connect(&v);

		if (i % 2)
			raw_hello(fd);
		prng_bytes(&prng, bytes, sizeof(bytes));
		/* half of them of the right length, some of a right type */
		if (i % 4 < 2)
			bytes[0] = (uint8_t)prng_range(&prng, 0, 24),
			bytes[1] = bytes[2] = bytes[3] = 0;
		raw_send(fd, bytes,
			 i % 8 < 4 ? sizeof(struct ctl_msg) : prng_range(&prng, 1, sizeof(bytes)),
			 NULL, 0);
		raw_expect_end(fd, 20000);
		close(fd);
	}
	assert_true(daemon_status(&v).malformed >= 250);
}

static void wrong_lengths(void **state)
{
	static const size_t lengths[] = { 1, 4, 8, 127, 129, 256, 4096, 65536, 100000 };
	static uint8_t bytes[100000];
	struct ctl_msg status = { .type = CTL_STATUS, .seq = 1 };

	(void)state;
	memcpy(bytes, &status, sizeof(status));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		int fd = raw_connect(&v);

		raw_hello(fd);
		assert_int_equal(raw_send(fd, bytes, lengths[i], NULL, 0), lengths[i]);
		raw_expect_refused(fd, CTL_REFUSAL_MALFORMED, true);
		close(fd);
	}
}

static void empty_packet(void **state)
{
	int fd = raw_connect(&v);

	(void)state;
	raw_hello(fd);
	raw_send(fd, "", 0, NULL, 0);
	raw_expect_end(fd, 20000);
	close(fd);
	/* with a descriptor it can't be taken for the end */
	fd = raw_connect(&v);
	raw_hello(fd);
	raw_send(fd, "", 0, &fd, 1);
	raw_expect_refused(fd, CTL_REFUSAL_MALFORMED, true);
	close(fd);
}

static void too_many_descriptors(void **state)
{
	static const unsigned cnts[] = { 1, 2, 3, 4, 5, 16, 100, 253 };
	int fds[253];

	(void)state;
	for (unsigned i = 0; i < 253; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned type = CTL_HELLO; type <= CTL_TYPE_LAST; type++)
		for (size_t i = 0; i < ARRAY_SIZE(cnts); i++) {
			struct ctl_msg msg = { .type = type, .seq = 5 };
			int fd;

			if (type == CTL_LEASE && cnts[i] == 1)
				continue;
			fd = raw_connect(&v);
			raw_hello(fd);
			assert_int_equal(raw_send(fd, &msg, sizeof(msg), fds, cnts[i]),
					 sizeof(msg));
			raw_expect_refused(fd, CTL_REFUSAL_MALFORMED, true);
			close(fd);
		}
}

/* Full of descriptors, and of connections that are full of descriptors. */
static void descriptor_bombs(void **state)
{
	struct ctl_msg msg = { .type = CTL_LEASE,
			       .seq = 5,
			       .lease.local = { .proto = CTL_PROTO_TCP, .port = 1 } };
	int fds[253], pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	for (unsigned i = 0; i < 253; i++)
		fds[i] = pair[i % 2];
	/* each end holds the other, under way: only the kernel's collector can free them */
	for (int i = 0; i < 20; i++)
		raw_send(pair[0], &msg, sizeof(msg), fds, 253);
	for (int i = 0; i < 20; i++) {
		int fd = raw_connect(&v);

		raw_hello(fd);
		for (int k = 0; k < 50; k++)
			if (raw_send(fd, &msg, sizeof(msg), pair, 1) < 0)
				break;
		raw_send(fd, &msg, sizeof(msg), fds, 253);
		close(fd);
	}
	fds_close(pair, 2);
}

/* Says nothing at all. Closed after a while, others are served meanwhile. */
static void half_open(void **state)
{
	uint64_t start_ms = now_ms();
	struct ctl_msg msg;
	int fds[30];

	(void)state;
	for (int i = 0; i < 30; i++)
		fds[i] = raw_connect(&v);
	ask_promptly();
	if (now_ms() - start_ms < 4000) /* they were all there meanwhile */
		for (int i = 0; i < 30; i++)
			assert_int_equal(raw_recv(fds[i], &msg, 0), -1);
	for (int i = 0; i < 30; i++)
		raw_expect_end(fds[i], EVENTUALLY_MS);
	assert_true(now_ms() - start_ms >= 4000);
	fds_close(fds, 30);
}

/* A user's silent connections are bounded even before that. */
static void crowd_of_strangers(void **state)
{
	enum { CNT = 5000 };
	static int fds[CNT];
	struct rlimit rl;
	int cnt = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	if (rl.rlim_cur < CNT + 100)
		skip(); /* too few descriptors allowed */
	while (cnt < CNT)
		fds[cnt++] = raw_connect(&v);
	sleep_ms(100);
	assert_true(vjd_fd_cnt(&v) <= fd_cnt + 2 * (4096 + 64));
	fds_close(fds, (unsigned)cnt);
	sleep_ms(500);
}

static void flood_pid(pid_t *ret_pid, uint32_t type)
{
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (*ret_pid == 0) {
		struct ctl_msg msg = { .type = type, .seq = 1, .lease.id = 1 }, reply;
		int fd = raw_connect(&v);

		if (type == CTL_CHANNEL_CLOSE)
			msg.close = (struct ctl_close){ .channel_id = 1,
							.reason = VJ_CHANNEL_ERR_CLOSED };
		if (type == CTL_STATUS)
			msg.lease.id = 0;
		raw_hello(fd);
		for (;;) {
			raw_send(fd, &msg, sizeof(msg), NULL, 0);
			while (recv(fd, &reply, sizeof(reply), MSG_DONTWAIT) > 0)
				;
		}
	}
}

static void floods(void **state)
{
	static const uint32_t types[] = { CTL_RELEASE, CTL_STATUS, CTL_CHANNEL_CLOSE };
	pid_t pids[ARRAY_SIZE(types)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		flood_pid(&pids[i], types[i]);
	for (int i = 0; i < 10; i++) {
		sleep_ms(50);
		ask_promptly();
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

/*
 * Asks and never reads the answers: it isn't read any more either, and costs nothing but its
 * socket.
 */
static void never_reading(void **state)
{
	struct ctl_msg status = { .type = CTL_STATUS, .seq = 1 };
	int fds[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		fds[i] = raw_connect(&v);
		raw_hello(fds[i]);
		for (int k = 0; k < 100000; k++)
			if (raw_send(fds[i], &status, sizeof(status), NULL, 0) < 0)
				break;
	}
	ask_promptly();
	if (!vjd_sanitized)
		assert_true(vjd_rss_kib(&v) < rss_kib + 2048);
	fds_close(fds, 10);
}

/*
 * Never reads, but is told things: PEER_GONE piles up to the number of its channels, LEASE_GONE to
 * a limit.
 */
static void events_for_one_who_never_reads(void **state)
{
	struct ctl_msg offer = { .type = CTL_LEASE,
				 .seq = 2,
				 .lease.local = { .proto = CTL_PROTO_RAW, .port = 9 } };
	struct ctl_client *c = client_open(&v, "x");
	int deaf = raw_connect(&v);
	struct ctl_msg reply;
	uint32_t id, lease;

	(void)state;
	raw_hello(deaf);
	raw_send(deaf, &offer, sizeof(offer), &deaf, 1);
	assert_int_equal(raw_recv(deaf, &reply, 20000), 1);
	while (connect_raw(c, 9, &id) == 0)
		;
	for (int i = 0; i < 5000; i++) {
		lease = offer_raw(c, 10);
		assert_int_equal(ctl_client_release(c, lease), 0);
	}
	ctl_client_close(c);
	ask_promptly();
	if (!vjd_sanitized)
		assert_true(vjd_rss_kib(&v) < rss_kib + 2048);
	close(deaf);
}

/*
 * close() of a TCP socket that lingers waits until its data is through. It is the client's last
 * reference that vjd closes: nobody else may have to wait for that.
 */
static void send_lingering(int seconds, int *ret_conns, int cnt)
{
	struct ctl_msg msg = { .type = CTL_LEASE,
			       .seq = 5,
			       .lease.local = { .proto = CTL_PROTO_TCP, .port = 1 } };
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };
	struct sockaddr_in in = { .sin_family = AF_INET };
	static char data[1 << 20];
	socklen_t bytes = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listener, cnt), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &bytes), 0);
	for (int i = 0; i < cnt; i++) {
		ret_conns[i] = raw_connect(&v);
		raw_hello(ret_conns[i]);
	}
	/* vjd's reference must be the last one */
	assert_int_equal(kill(v.pid, SIGSTOP), 0);
	for (int i = 0; i < cnt; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
		/* nobody reads at the other end */
		while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			;
		assert_int_equal(raw_send(ret_conns[i], &msg, sizeof(msg), &fd, 1), sizeof(msg));
		close(fd);
	}
	assert_int_equal(kill(v.pid, SIGCONT), 0);
	ret_conns[cnt] = listener;
}

static void lingering_sockets(void **state)
{
	enum { CNT = QUOTA_JOBS_MAX - 10 };
	int conns[CNT + 1];

	(void)state;
	send_lingering(3, conns, CNT);
	/* the threads are in it now; the main one isn't */
	for (int i = 0; i < 10; i++)
		ask_promptly();
	fds_close(conns, CNT + 1);
}

/* So many that all of this user must wait: until it is over, not for ever. */
static void too_many_lingering_sockets(void **state)
{
	enum { CNT = QUOTA_JOBS_MAX + 10 };
	int conns[CNT + 1];
	uint32_t id;

	(void)state;
	send_lingering(1, conns, CNT);
	assert_int_equal(connect_raw(honest, 7, &id), 0);
	event_wait(honest, CTL_CHANNEL);
	ctl_client_channel_close(honest, id, VJ_CHANNEL_ERR_CLOSED);
	event_wait(honest, CTL_PEER_GONE);
	for (int i = 0; i < CNT; i++)
		raw_expect_refused(conns[i], CTL_REFUSAL_PORT_PROOF, false);
	fds_close(conns, CNT + 1);
}

/* Sends and hangs up, or half hangs up, at once. */
static void hit_and_run(void **state)
{
	struct ctl_msg offer = { .type = CTL_LEASE,
				 .seq = 2,
				 .lease.local = { .proto = CTL_PROTO_TCP, .port = 9 } };
	struct ctl_msg connect = { .type = CTL_CONNECT,
				   .seq = 3,
				   .connect.remote = { .proto = CTL_PROTO_RAW, .port = 7 } };

	(void)state;
	for (int i = 0; i < 500; i++) {
		int fd = raw_connect(&v);

		raw_hello(fd);
		raw_send(fd, &offer, sizeof(offer), &fd, 1);
		raw_send(fd, &connect, sizeof(connect), NULL, 0);
		if (i % 3 == 0)
			shutdown(fd, SHUT_WR);
		if (i % 3 == 1)
			shutdown(fd, SHUT_RD);
		close(fd);
	}
	/* whatever of it was done is undone: as many ends as beginnings */
	for (int gone = 0, made = 0;;) {
		struct ctl_msg msg;
		int fds[CTL_FDS_MAX];

		if (ctl_client_event(honest, &msg, fds) == 0) {
			if (gone == made && daemon_status(&v).channels == 0)
				break;
			sleep_ms(10);
			continue;
		}
		fds_close(fds, CTL_FDS_MAX);
		made += msg.type == CTL_CHANNEL;
		gone += msg.type == CTL_PEER_GONE;
	}
}

/* ---- what could make it spin: with everybody silent, vjd must use no CPU to speak of */

static void expect_idle(const char *when)
{
	uint64_t end_ms = now_ms() + EVENTUALLY_MS;
	unsigned before_ms, spent_ms;

	do { /* something may be under way yet */
		sleep_ms(100);
		before_ms = vjd_cpu_ms(&v);
		sleep_ms(500);
		spent_ms = vjd_cpu_ms(&v) - before_ms;
	} while (spent_ms > 50 && now_ms() < end_ms);
	if (spent_ms > 50)
		fail_msg("%s: %u ms of CPU in 500", when, spent_ms);
}

static void half_dead_clients_cost_no_cpu(void **state)
{
	struct ctl_msg status = { .type = CTL_STATUS, .seq = 2 };
	int fd[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		fd[i] = raw_connect(&v);
	expect_idle("strangers");
	shutdown(fd[0], SHUT_WR);
	shutdown(fd[1], SHUT_RD);
	expect_idle("strangers, half closed");
	for (unsigned i = 2; i < 6; i++)
		raw_hello(fd[i]);
	shutdown(fd[2], SHUT_RD);
	raw_send(fd[2], &status, sizeof(status), NULL, 0);
	shutdown(fd[3], SHUT_WR);
	expect_idle("clients, half closed");
	/* its socket is full: it is waited for, and its further requests aren't read */
	while (raw_send(fd[4], &status, sizeof(status), NULL, 0) > 0)
		;
	expect_idle("one who never reads");
	shutdown(fd[4], SHUT_RD);
	expect_idle("... and closes that half");
	shutdown(fd[5], SHUT_RDWR);
	expect_idle("closed, but open");
	for (unsigned i = 0; i < 6; i++)
		close(fd[i]);
}

/* accept() fails, and who waits at the door keeps the listener readable. */
static void nobody_can_be_let_in(void **state)
{
	struct rlimit old, none = { .rlim_cur = 3 };
	int fd;

	(void)state;
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, NULL, &old), 0);
	none.rlim_max = old.rlim_max;
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, &none, NULL), 0);
	fd = raw_connect(&v);
	expect_idle("no number left, not even the spare one's");
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, &old, NULL), 0);
	raw_hello(fd);
	close(fd);
}

/* Halves of channels whose other end lives and never comes: looked at once a second. */
static void halves_cost_little(void **state)
{
	struct ctl_channel now, half = { .proto = CTL_PROTO_TCP, .params = VJ_AREA_PARAMS_DEFAULT, .end = 1 };
	struct ctl_client *c = client_open(&v, "x");

	(void)state;
	half.area_bytes = vj_area_bytes(&half.params);
	half.peer_pid = getpid();
	for (unsigned i = 0; i < 1000; i++) {
		memcpy(half.key, &i, sizeof(i));
		assert_int_equal(ctl_client_hold(c, &half, &now), 0);
	}
	expect_idle("a thousand halves");
	ctl_client_close(c);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(random_bytes),       T(wrong_lengths),
		T(empty_packet),       T(too_many_descriptors),
		T(descriptor_bombs),   T(half_open),
		T(crowd_of_strangers), T(floods),
		T(never_reading),      T(events_for_one_who_never_reads),
		T(lingering_sockets),  T(too_many_lingering_sockets),
		T(hit_and_run),        T(half_dead_clients_cost_no_cpu),
		T(nobody_can_be_let_in), T(halves_cost_little),
	};

	vjd_test_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
