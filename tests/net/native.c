// SPDX-License-Identifier: BSD-2-Clause
/*
 * native.c - the native API against a real vjd
 *
 * Two applications live in one process and are pumped in turn, which makes every interleaving repeatable; what needs a
 * death forks. A private vjd is started on a socket of our own and ended with us.
 */
#include "native.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct vj_listener listen_on(struct vj *vj, int family, struct sockaddr_storage *ret_addr)
{
	struct sockaddr_storage ss = address(family, 0);
	struct vj_listener l;

	assert_int_equal(vj_listen(vj, (struct sockaddr *)&ss, address_len(family), 16, 0, -1, 7, &l), 0);
	vj_listener_addr(vj, l, ret_addr);
	return l;
}

static void connect_pair(int family, struct vj_listener *ret_l, struct vj_conn *ret_a, struct vj_conn *ret_b)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, family, &at);

	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, address_len(family), NULL, 0, 8, ret_b), 0);
	PUMP_UNTIL(vj_ready(b, *ret_b) & VJ_EV_CONNECTED);
	PUMP_UNTIL(vj_listener_ready(a, l));
	assert_int_equal(vj_accept(a, l, 9, ret_a), 0);
	*ret_l = l;
}

/* Send @total bytes of the pattern from one to the other, check every byte. @borrow: without copies on both sides. */
static void transfer(struct vj *from, struct vj_conn cf, struct vj *to, struct vj_conn ct, uint64_t total, size_t chunk,
		     bool borrow)
{
	uint64_t sent = 0, got = 0;
	uint8_t *buf = malloc(chunk);

	while (got < total) {
		size_t want = total - sent < chunk ? (size_t)(total - sent) : chunk;
		const uint8_t *data = buf;
		uint8_t *room;
		size_t n = 0;
		ssize_t r;

		if (want && borrow && !vj_send_buffer(from, cf, &room, &n)) {
			if (n > want)
				n = want;
			for (size_t i = 0; i < n; i++)
				room[i] = pattern(sent + i);
			assert_int_equal(vj_send_commit(from, cf, n, n % 2 ? VJ_SEND_MORE : 0), 0);
			sent += n;
		} else if (want) {
			for (size_t i = 0; i < want; i++)
				buf[i] = pattern(sent + i);
			r = vj_send(from, cf, buf, want, 0);
			assert_true(r > 0 || r == -EAGAIN);
			sent += r > 0 ? (uint64_t)r : 0;
		}
		pump();
		for (;;) {
			r = borrow ? vj_recv_borrow(to, ct, &data) : vj_recv(to, ct, buf, chunk, false);
			if (r == -EAGAIN)
				break;
			assert_true(r > 0);
			for (ssize_t i = 0; i < r; i++)
				if (data[i] != pattern(got + (uint64_t)i))
					fail_msg("byte %llu differs", (unsigned long long)(got + (uint64_t)i));
			if (borrow)
				vj_recv_return(to, ct, (size_t)r);
			got += (uint64_t)r;
		}
	}
	free(buf);
}

static void tcp_family(int family)
{
	struct sockaddr_storage la, ra, lb, rb;
	struct vj_conn ca, cb;
	struct vj_listener l;
	char c;

	connect_pair(family, &l, &ca, &cb);
	vj_conn_addrs(a, ca, &la, &ra);
	vj_conn_addrs(b, cb, &lb, &rb);
	assert_memory_equal(&la, &rb, sizeof(la));
	assert_memory_equal(&ra, &lb, sizeof(la));
	assert_int_equal(la.ss_family, family);
	for (size_t n = 1; n < 200000; n = n * 3 + 1) {
		transfer(b, cb, a, ca, n, n, false);
		transfer(a, ca, b, cb, n, n, false);
	}
	transfer(a, ca, b, cb, 64 << 20, 65536, false);
	transfer(b, cb, a, ca, 64 << 20, 65536, true);

	/* half-close: b ends, a still sends */
	assert_int_equal(vj_shutdown(b, cb), 0);
	PUMP_UNTIL(vj_ready(a, ca) & VJ_EV_EOF);
	assert_int_equal(vj_recv(a, ca, &c, 1, false), 0);
	assert_int_equal(vj_send(b, cb, "x", 1, 0), -EPIPE);
	transfer(a, ca, b, cb, 100000, 1000, false);
	vj_conn_close(a, ca);
	PUMP_UNTIL(vj_ready(b, cb) & VJ_EV_EOF);
	assert_int_equal(vj_recv(b, cb, &c, 1, false), 0);
	vj_conn_close(b, cb);
	vj_unlisten(a, l);
}

static void test_tcp4(void **state)
{
	(void)state;
	tcp_family(AF_INET);
}

static void test_tcp6(void **state)
{
	(void)state;
	tcp_family(AF_INET6);
}

/* Many connections over one channel: none starves, readers that don't read don't stop the others. */
static void test_many(void **state)
{
	enum { N = 500 };
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	struct vj_conn ca[N], cb[N];
	static char big[400000];

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(vj_connect(b, (struct sockaddr *)&at, address_len(AF_INET), NULL, 0, (uint64_t)i, &cb[i]), 0);
		PUMP_UNTIL(vj_ready(b, cb[i]) & VJ_EV_CONNECTED);
		PUMP_UNTIL(!vj_accept(a, l, (uint64_t)i, &ca[i]));
	}
	for (int i = 0; i < N / 2; i++) { /* nobody reads these */
		ssize_t r = vj_send(b, cb[i], big, sizeof(big), 0);

		assert_true(r > 0 || r == -EAGAIN);
		pump();
	}
	for (int i = N / 2; i < N; i++)
		transfer(b, cb[i], a, ca[i], 20000, 5000, false);
	for (int i = 0; i < N; i++) {
		vj_conn_abort(a, ca[i]);
		PUMP_UNTIL(vj_ready(b, cb[i]) & VJ_EV_ERROR);
		assert_int_equal(vj_error(b, cb[i], true), ECONNRESET);
		vj_conn_close(b, cb[i]);
	}
	vj_unlisten(a, l);
}

static void test_refusals(void **state)
{
	struct sockaddr_storage at, ss = address(AF_INET, 9);
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct vj_listener l, l2;
	socklen_t len = sizeof(in);
	struct vj_conn c;
	int fd;

	(void)state;
	/* nobody there: the caller goes to the kernel */
	assert_int_equal(vj_connect(b, (struct sockaddr *)&ss, sizeof(in), NULL, 0, 0, &c), -EHOSTUNREACH);
	/* not on this host */
	in.sin_addr.s_addr = htonl(0xc6336401); /* 198.51.100.1, RFC 5737 */
	in.sin_port = htons(80);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&in, sizeof(in), NULL, 0, 0, &c), -EHOSTUNREACH);
	/* another application has the port */
	l = listen_on(a, AF_INET, &at);
	assert_int_equal(vj_listen(b, (struct sockaddr *)&at, sizeof(in), 16, 0, -1, 0, &l2), -EADDRINUSE);
	/* given back at once */
	vj_unlisten(a, l);
	assert_int_equal(vj_listen(b, (struct sockaddr *)&at, sizeof(in), 16, 0, -1, 0, &l2), 0);
	vj_unlisten(b, l2);
	/* the kernel has it */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(vj_listen(a, (struct sockaddr *)&in, sizeof(in), 16, 0, -1, 0, &l), -EADDRINUSE);
	close(fd);
	/* a listener closed between look-up and SYN: refused, as the kernel does */
	l = listen_on(a, AF_INET, &at);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(in), NULL, 0, 0, &c), 0);
	vj_unlisten(a, l);
	PUMP_UNTIL(vj_ready(b, c) & VJ_EV_ERROR);
	assert_int_equal(vj_error(b, c, true), ECONNREFUSED);
	vj_conn_close(b, c);
	/* nonsense */
	ss.ss_family = AF_UNIX;
	assert_int_equal(vj_connect(b, (struct sockaddr *)&ss, sizeof(ss), NULL, 0, 0, &c), -EAFNOSUPPORT);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, 3, NULL, 0, 0, &c), -EINVAL);
	assert_int_equal(vj_listen(a, (struct sockaddr *)&at, sizeof(in), 0, 0, -1, 0, &l), -EINVAL);
}

/* That nobody is there is asked three times for sure; from the fourth on the answer holds for 50 ms, without vjd. */
static void test_nobody_there(void **state)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	struct vj_conn c;
	uint64_t took_ms = UINT64_MAX;
	int err = -1;

	(void)state;
	vj_unlisten(a, l);
	for (int i = 0; i < 3; i++)
		assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c), -EHOSTUNREACH);
	assert_int_equal(vj_listen(a, (struct sockaddr *)&at, sizeof(struct sockaddr_in), 16, 0, -1, 0, &l), 0);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c), 0);
	vj_conn_close(b, c);
	vj_unlisten(a, l);
	usleep(150000);
	pump();

	for (int tries = 0; tries < 50 && took_ms >= 100; tries++) { /* a slow machine may need more than 50 ms */
		uint64_t start_ms;
		pid_t pid;

		for (int i = 0; i < 4; i++)
			assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c),
					 -EHOSTUNREACH);
		kill(vjd_pid, SIGSTOP);
		pid = fork();
		if (!pid) {
			usleep(300000);
			kill(vjd_pid, SIGCONT);
			_exit(0);
		}
		start_ms = now_ms();
		err = vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c);
		took_ms = now_ms() - start_ms;
		waitpid(pid, NULL, 0);
		assert_int_equal(err, -EHOSTUNREACH);
	}
	assert_true(took_ms < 100);

	/* and who comes is found all the same */
	assert_int_equal(vj_listen(a, (struct sockaddr *)&at, sizeof(struct sockaddr_in), 16, 0, -1, 0, &l), 0);
	for (uint64_t until_ms = now_ms() + PATIENT_MS; err && now_ms() < until_ms; usleep(5000))
		err = vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c);
	assert_int_equal(err, 0);
	vj_conn_close(b, c);
	vj_unlisten(a, l);
}

static void test_to_myself(void **state)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	struct vj_conn c1, c2;

	(void)state;
	assert_int_equal(vj_connect(a, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c1), 0);
	PUMP_UNTIL(!vj_accept(a, l, 0, &c2));
	PUMP_UNTIL(vj_ready(a, c1) & VJ_EV_CONNECTED);
	transfer(a, c1, a, c2, 1000000, 10000, false);
	transfer(a, c2, a, c1, 1000000, 10000, true);
	vj_conn_close(a, c1);
	vj_conn_close(a, c2);
	vj_unlisten(a, l);
}

static void test_raw(void **state)
{
	struct vj_channel *ch, *other = NULL;
	struct vj_event ev[4];
	struct vj_buf buf;
	uint32_t seen = 0;

	(void)state;
	assert_int_equal(vj_raw_connect(b, 99, 0, &ch), -EHOSTUNREACH);
	assert_int_equal(vj_raw_listen(a, 99, 55), 0);
	assert_int_equal(vj_raw_listen(b, 99, 55), -EADDRINUSE);
	assert_int_equal(vj_raw_connect(b, 99, 0, &ch), 0);
	assert_int_equal(vj_channel_tx_get(ch, &buf, 1), 1);
	memcpy(buf.data, "frame", 5);
	buf.len = 5;
	vj_channel_tx_put(ch, &buf, 1);
	vj_channel_tx_publish(ch);
	for (int i = 0; i < PATIENT_MS / 50 && !(seen & VJ_EV_READABLE); i++) {
		int n = vj_poll(a, ev, 4, 50000000);

		for (int k = 0; k < n; k++) {
			assert_int_equal(ev[k].obj, VJ_OBJ_RAW);
			assert_int_equal(ev[k].cookie, 55);
			other = ev[k].raw;
			seen |= ev[k].events;
		}
	}
	assert_int_equal(seen, VJ_EV_ACCEPT | VJ_EV_READABLE);
	assert_int_equal(vj_channel_rx(other, &buf, 1), 1);
	assert_memory_equal(buf.data, "frame", 5);
	vj_channel_rx_free(other, &buf, 1);
	vj_raw_close(b, ch);
	for (int i = 0; i < PATIENT_MS / 50 && !(seen & VJ_EV_ERROR); i++) {
		int n = vj_poll(a, ev, 4, 50000000);

		for (int k = 0; k < n; k++)
			seen |= ev[k].events;
	}
	assert_true(seen & VJ_EV_ERROR);
	assert_int_equal(vj_channel_error(other), VJ_CHANNEL_ERR_PEER_GONE);
	vj_raw_close(a, other);
}

/* ---- deaths ---------------------------------------------------------------------------------------------------- */

/* A child that connects to @at and sends for ever. */
static pid_t fork_sender(const struct sockaddr_storage *at)
{
	pid_t pid = fork();

	if (!pid) {
		static char junk[10000];
		struct vj_options o = VJ_OPTIONS_INIT;
		struct vj_event ev[8];
		struct vj_conn c;
		struct vj *vj;

		vj_forked(a);
		vj_forked(b);
		o.socket_path = socket_path;
		if (vj_open(&o, &vj) ||
		    vj_connect(vj, (const struct sockaddr *)at, sizeof(struct sockaddr_in), NULL, 0, 0, &c))
			_exit(1);
		for (;;) {
			vj_poll(vj, ev, 8, 1000000);
			vj_send(vj, c, junk, sizeof(junk), 0);
		}
	}
	assert_true(pid > 0);
	return pid;
}

/* Read until the end, which must be a reset. Return: ms that it took */
static uint64_t read_until_reset(struct vj *vj, struct vj_conn c)
{
	uint64_t start_ms = now_ms();
	struct vj_event ev[8];
	char buf[4096];
	ssize_t r;

	while ((r = vj_recv(vj, c, buf, sizeof(buf), false)) >= 0 || r == -EAGAIN) {
		assert_true(r != 0); /* not an orderly end */
		if (r == -EAGAIN)
			vj_poll(vj, ev, 8, 10000000);
		assert_true(now_ms() - start_ms < PATIENT_MS);
	}
	assert_int_equal(r, -ECONNRESET);
	return now_ms() - start_ms;
}

/* A program that sends is killed in the middle. Return: milliseconds until we are told. */
static uint64_t kill_sender(struct vj_listener l, const struct sockaddr_storage *at)
{
	pid_t pid = fork_sender(at);
	struct vj_conn c;
	char buf[4096];
	uint64_t ms;
	ssize_t r;

	PUMP_UNTIL(!vj_accept(a, l, 0, &c));
	for (int i = 0; i < 100; i++) {
		PUMP_UNTIL((r = vj_recv(a, c, buf, sizeof(buf), false)) != -EAGAIN);
		assert_true(r > 0);
	}
	kill(pid, SIGKILL);
	ms = read_until_reset(a, c);
	waitpid(pid, NULL, 0);
	vj_conn_close(a, c);
	return ms;
}

static void test_peer_killed(void **state)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	struct vj_conn other_a, other_b;
	uint64_t ms, best_ms = UINT64_MAX;

	(void)state;
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &other_b), 0);
	PUMP_UNTIL(!vj_accept(a, l, 0, &other_a));
	/* The machine may be busy elsewhere for a while: the best one counts. */
	for (int i = 0; i < 3 || (i < 20 && best_ms > 100); i++) {
		ms = kill_sender(l, &at);
		print_message("           told %llu ms after kill -9\n", (unsigned long long)ms);
		best_ms = ms < best_ms ? ms : best_ms;
	}
	assert_true(best_ms <= 100);
	transfer(b, other_b, a, other_a, 100000, 10000, false); /* nobody else noticed */
	vj_conn_close(b, other_b);
	vj_conn_close(a, other_a);
	vj_unlisten(a, l);
}

/* What a program has closed it hears no more of, and nothing of it is kept, when whoever didn't accept it ends. */
static void test_closed_unaccepted(void **state)
{
	struct vj_options o = VJ_OPTIONS_INIT;
	struct vj_stats st = { .sz = sizeof(st) };
	struct sockaddr_storage at;
	struct vj_event ev[8];
	struct vj *server;
	struct vj_conn c;

	(void)state;
	o.socket_path = socket_path;
	assert_int_equal(vj_open(&o, &server), 0);
	listen_on(server, AF_INET, &at);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c), 0);
	PUMP_UNTIL((vj_process(server), vj_ready(b, c) & VJ_EV_CONNECTED));
	while (vj_events(b, ev, 8) > 0)
		;
	assert_int_equal(vj_send(b, c, "said", 4, 0), 4);
	vj_conn_close(b, c);
	vj_close(server);
	PUMP_UNTIL(!vj_stats(b, &st) && !st.channels);
	assert_int_equal(vj_events(b, ev, 8), 0);
	assert_int_equal(st.tcp_conns, 0);
}

static void vjd_comes_back(int sig)
{
	struct sockaddr_storage at;
	struct vj_listener l;
	struct vj_stats st = { .sz = sizeof(st) };
	struct vj_conn ca, cb, cb2, c2;
	struct vj *late;
	int err = 0;

	connect_pair(AF_INET, &l, &ca, &cb);
	vj_listener_addr(a, l, &at);
	vjd_kill(sig);
	transfer(b, cb, a, ca, 10 << 20, 10000, false); /* vjd is on no packet's path */
	/* the peer is known: still connects */
	assert_int_equal(vj_raw_connect(b, 99, 0, &(struct vj_channel *){ NULL }), -ENOTCONN);
	vjd_start();
	late = app_open("late");
	for (uint64_t until_ms = now_ms() + PATIENT_MS; now_ms() < until_ms;) {
		pump();
		err = vj_connect(late, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c2);
		if (!err)
			break;
		assert_int_equal(err, -EHOSTUNREACH); /* until a has stated its lease again */
		usleep(10000);
	}
	assert_int_equal(err, 0);
	for (uint64_t until_ms = now_ms() + PATIENT_MS; !(vj_ready(late, c2) & VJ_EV_CONNECTED) && now_ms() < until_ms;) {
		pump();
		vj_process(late);
	}
	assert_true(vj_ready(late, c2) & VJ_EV_CONNECTED);
	transfer(b, cb, a, ca, 1 << 20, 10000, false);
	/* the new vjd knows what a and b share */
	assert_int_equal(vj_stats(b, &st), 0);
	assert_int_equal(st.channels, 1);
	PUMP_UNTIL(!vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &cb2));
	PUMP_UNTIL(vj_ready(b, cb2) & VJ_EV_CONNECTED);
	assert_int_equal(vj_stats(b, &st), 0);
	assert_int_equal(st.channels, 1);
	transfer(b, cb, a, ca, 1 << 20, 10000, false); /* the channel is the same one */
	vj_conn_close(b, cb2);
	vj_close(late);
	vj_conn_close(b, cb);
	vj_conn_close(a, ca);
	vj_unlisten(a, l);
}

static void test_vjd_killed(void **state)
{
	(void)state;
	vjd_comes_back(SIGKILL);
}

/* One that leaves because it is told to is no other to who has channels. */
static void test_vjd_told_to_leave(void **state)
{
	(void)state;
	vjd_comes_back(SIGTERM);
}

/* A death is told by a vjd that did not make the channel. And one while there was none, by the next. */
static void test_vjd_and_peer_killed(void **state)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	pid_t first = fork_sender(&at), second;
	struct vj_conn c1, c2;
	char buf[4096];
	ssize_t r;

	(void)state;
	PUMP_UNTIL(!vj_accept(a, l, 0, &c1));
	second = fork_sender(&at);
	PUMP_UNTIL(!vj_accept(a, l, 0, &c2));
	vjd_kill(SIGKILL);
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);
	vjd_start();
	read_until_reset(a, c2);
	/* until the first has found its way to the new vjd */
	for (uint64_t until_ms = now_ms() + PATIENT_MS; vjd_apps() < 3 && now_ms() < until_ms;) {
		pump();
		r = vj_recv(a, c1, buf, sizeof(buf), false);
		assert_true(r > 0 || r == -EAGAIN);
	}
	kill(first, SIGKILL);
	read_until_reset(a, c1);
	waitpid(first, NULL, 0);
	vj_conn_close(a, c1);
	vj_conn_close(a, c2);
	vj_unlisten(a, l);
}

/* A connection of b's, accepted by one of the first @cnt of @servers, which has one more in @got. */
static void connect_to_one_of(struct vj **servers, const struct vj_listener *l, unsigned cnt, const struct sockaddr_storage *at, unsigned *got)
{
	uint64_t until_ms = now_ms() + PATIENT_MS;
	bool accepted = false;
	struct vj_conn c;

	assert_int_equal(vj_connect(b, (const struct sockaddr *)at, sizeof(struct sockaddr_in), NULL, 0, 0, &c), 0);
	while (!accepted && now_ms() < until_ms) {
		pump();
		for (unsigned s = 0; s < cnt; s++) {
			vj_process(servers[s]);
			if (vj_accept(servers[s], l[s], 0, &c))
				continue;
			got[s]++;
			accepted = true;
		}
	}
	assert_true(accepted);
}

static bool all_had(const unsigned *got, unsigned cnt, unsigned least)
{
	for (unsigned s = 0; s < cnt; s++)
		if (got[s] < least)
			return false;
	return true;
}

/* One endpoint, two applications, SO_REUSEPORT: connections of one client go to both; and to a third that comes later. */
static void test_shared_port(void **state)
{
	struct sockaddr_storage at = address(AF_INET, 0);
	unsigned got[3] = { 0 };
	struct vj *servers[3] = { a };
	struct vj_listener l[3];
	bool accepted = false;
	struct vj_conn c;

	(void)state;
	for (unsigned round = 1; round <= 3; round++) {
		unsigned nr = round - 1;

		if (nr)
			servers[nr] = app_open("server too");
		assert_int_equal(vj_listen(servers[nr], (struct sockaddr *)&at, sizeof(struct sockaddr_in), 200,
					   VJ_LISTEN_REUSEPORT, -1, 7, &l[nr]), 0);
		vj_listener_addr(servers[nr], l[nr], &at);
		for (int tries = 0; tries < 20; tries++) { /* until b has heard of it */
			usleep(2000);
			pump();
			memset(got, 0, sizeof(got));
			for (unsigned i = 0; i < 60; i++)
				connect_to_one_of(servers, l, round, &at, got);
			if (all_had(got, round, 60 / round - 2))
				break;
		}
		assert_true(all_had(got, round, 60 / round - 2));
	}
	for (unsigned nr = 1; nr < 3; nr++)
		vj_close(servers[nr]);
	/* who is left has all, as soon as b has heard of it */
	for (int tries = 0; tries < 100 && !accepted; tries++) {
		usleep(1000);
		pump();
		assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &c), 0);
		for (uint64_t until_ms = now_ms() + 500; !accepted && now_ms() < until_ms;) {
			pump();
			accepted = !vj_accept(a, l[0], 0, &c);
		}
	}
	assert_true(accepted);
}

/* A connection of @client's that one of two servers accepts. Return: how many channels the client has. */
static uint64_t connect_one(struct vj *client, struct vj **servers, const struct vj_listener *l, const struct sockaddr_storage *at, bool keeps)
{
	struct vj_stats st = { .sz = sizeof(st) };
	struct vj_conn mine, theirs;
	unsigned s = 0;

	assert_int_equal(vj_connect(client, (const struct sockaddr *)at, sizeof(struct sockaddr_in), NULL, 0, 0, &mine), 0);
	PUMP_UNTIL((vj_process(client), vj_process(servers[1]), s = !vj_listener_ready(servers[0], l[0]), vj_listener_ready(servers[s], l[s])));
	assert_int_equal(vj_accept(servers[s], l[s], 0, &theirs), 0);
	if (!keeps) {
		vj_conn_close(client, mine);
		vj_conn_close(servers[s], theirs);
	}
	assert_int_equal(vj_stats(client, &st), 0);
	return st.channels;
}

/* One connection after the other has a channel more for each four of them; two at once have two. */
static void test_channels_spared(void **state)
{
	struct vj *servers[2] = { a, app_open("server too") }, *other = app_open("client too");
	struct sockaddr_storage at = address(AF_INET, 0);
	struct vj_listener l[2];

	(void)state;
	for (unsigned s = 0; s < 2; s++) {
		assert_int_equal(vj_listen(servers[s], (struct sockaddr *)&at, sizeof(struct sockaddr_in), 200, VJ_LISTEN_REUSEPORT, -1, 7, &l[s]), 0);
		vj_listener_addr(servers[s], l[s], &at);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(connect_one(b, servers, l, &at, false), 1);
	connect_one(b, servers, l, &at, false);
	assert_int_equal(connect_one(b, servers, l, &at, false), 2);
	assert_int_equal(connect_one(other, servers, l, &at, true), 1);
	assert_int_equal(connect_one(other, servers, l, &at, true), 2);
	vj_close(other);
	vj_close(servers[1]);
}

/* As many connections to one endpoint as the kernel has ephemeral ports, and as many again from another address. */
enum { PORTS_OF_ONE_ADDRESS = 28000 };

static void connect_many(const struct vj_listener *l, const struct sockaddr_storage *at, uint32_t from, unsigned cnt)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(from) };
	struct vj_conn c;

	for (unsigned i = 0; i < cnt; i++) {
		int err = vj_connect(b, (const struct sockaddr *)at, sizeof(local), (struct sockaddr *)&local,
				     sizeof(local), 0, &c);

		if (err)
			fail_msg("connection %u: %s", i, strerror(-err));
		PUMP_UNTIL(!vj_accept(a, *l, 0, &c));
	}
}

static void test_many_ports(void **state)
{
	struct vj_stats st = { .sz = sizeof(st) };
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	uint64_t start_ms = now_ms();

	(void)state;
	connect_many(&l, &at, 0x7f000001, PORTS_OF_ONE_ADDRESS);
	connect_many(&l, &at, 0x7f000002, PORTS_OF_ONE_ADDRESS);
	assert_int_equal(vj_stats(a, &st), 0);
	assert_int_equal(st.tcp_conns, 2 * PORTS_OF_ONE_ADDRESS);
	print_message("           in %llu ms\n", (unsigned long long)(now_ms() - start_ms));
}

/* No new mapping from now on; @old: as it was. */
static void address_space_limit(struct rlimit *old)
{
	unsigned long pages = 0;
	struct rlimit few;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, old), 0);
	few = (struct rlimit){ pages * (unsigned long)sysconf(_SC_PAGESIZE), old->rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &few), 0);
}

/* Two channels are announced that can't be mapped, and vjd, which is to be told so, is gone when the first is. */
static void test_vjd_lost_amid_events(void **state)
{
	struct sockaddr_storage at;
	struct vj_listener l = listen_on(a, AF_INET, &at);
	struct vj *c = app_open("another");
	struct vj_stats st = { .sz = sizeof(st) };
	struct vj_conn conn;
	struct rlimit old;

	(void)state;
#if defined(__SANITIZE_ADDRESS__)
	vj_close(c);
	vj_unlisten(a, l);
	skip(); /* the sanitizer maps memory of its own */
#endif
	assert_int_equal(vj_connect(b, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &conn), 0);
	assert_int_equal(vj_connect(c, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &conn), 0);
	vjd_kill(SIGKILL);
	address_space_limit(&old);
	usleep(5000);
	vj_process(a);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(vj_stats(a, &st), 0);
	assert_int_equal(st.channels, 0);
	assert_int_equal(vj_raw_connect(a, 99, 0, &(struct vj_channel *){ NULL }), -ENOTCONN);
	vj_close(c);
	/* and all goes on with the next one */
	vjd_start();
	c = app_open("late");
	PUMP_UNTIL(!vj_connect(c, (struct sockaddr *)&at, sizeof(struct sockaddr_in), NULL, 0, 0, &conn));
	vj_close(c);
	vj_unlisten(a, l);
}

static void test_no_vjd(void **state)
{
	struct vj_options o = VJ_OPTIONS_INIT;
	struct vj *vj;

	(void)state;
	o.socket_path = "/tmp/there-is-no-such-directory/vjd.sock";
	assert_int_equal(vj_open(&o, &vj), -ENOENT);
	o.sz = 3;
	assert_int_equal(vj_open(&o, &vj), -EINVAL);
}

/* Every connection is told of, once, with its numbers; and in what an earlier version knew. */
static void test_info(void **state)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	struct vj_stats st = { .sz = sizeof(st) };
	struct vj_conn ca, cb, c = { 0 };
	uint64_t dropped = 0;
	struct vj_listener l;

	(void)state;
	assert_false(vj_conn_next(a, &c));
	connect_pair(AF_INET, &l, &ca, &cb);
	assert_int_equal(vj_send(b, cb, "12345", 5, 0), 5);
	PUMP_UNTIL(vj_ready(a, ca) & VJ_EV_READABLE);
	assert_true(vj_conn_next(a, &c));
	assert_int_equal(c.v, ca.v);
	assert_int_equal(vj_conn_info(a, c, &info), 0);
	assert_false(vj_conn_next(a, &c));
	assert_string_equal(vj_state_name(info.state), "established");
	assert_string_equal(info.congestion, "cubic");
	assert_int_equal(info.unread_bytes, 5);
	assert_int_equal(info.cwnd_bytes, UINT32_MAX);
	info.sz = sizeof(info) + 1;
	assert_int_equal(vj_conn_info(a, ca, &info), -EINVAL);
	info.sz = 4;
	assert_int_equal(vj_conn_info(a, ca, &info), -EINVAL);
	memset(&info, 0x55, sizeof(info));
	info.sz = offsetof(struct vj_conn_info, snd_wnd);
	assert_int_equal(vj_conn_info(a, ca, &info), 0);
	assert_int_equal(info.state, 1);
	assert_int_equal(info.snd_wnd, 0x55555555);
	assert_int_equal(vj_stats(a, &st), 0);
	for (unsigned why = 0; vj_drop_name(why); why++) {
		assert_non_null(vj_drop_text(why));
		assert_true(why < VJ_DROPS_MAX);
		dropped += vj_drops(a, why);
	}
	assert_int_equal(dropped, st.drops);
	assert_int_equal(vj_drops(a, VJ_DROPS_MAX), 0);
	assert_null(vj_drop_name(VJ_DROPS_MAX));
	assert_null(vj_drop_text(VJ_DROPS_MAX));
	assert_string_equal(vj_state_name(0), "?");
	assert_string_equal(vj_state_name(99), "?");
	vj_conn_close(a, ca);
	vj_conn_close(b, cb);
	vj_unlisten(a, l);
}

/* ---- sleeping -------------------------------------------------------------------------------------------------- */

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void test_idle_is_free(void **state)
{
	struct vj_conn ca, cb;
	struct vj_event ev[8];
	struct vj_listener l;
	uint64_t before_us, used_us;

	(void)state;
	connect_pair(AF_INET, &l, &ca, &cb);
	while (vj_poll(a, ev, 8, 0) || vj_poll(b, ev, 8, 0))
		;
	vj_poll(a, ev, 8, 100000000); /* what is still owed */
	before_us = cpu_us();
	assert_int_equal(vj_poll(a, ev, 8, 1000000000), 0);
	used_us = cpu_us() - before_us;
	print_message("           idle second took %llu us of CPU\n", (unsigned long long)used_us);
	assert_true(used_us < 20000);
	vj_conn_close(a, ca);
	vj_conn_close(b, cb);
	vj_unlisten(a, l);
}

/* vj_fd() with poll(2): what a program with its own event loop does. */
static void test_fd_wakes(void **state)
{
	struct vj_conn ca, cb;
	struct vj_listener l;
	int64_t timeout_ns;
	struct pollfd p;

	(void)state;
	connect_pair(AF_INET, &l, &ca, &cb);
	for (int i = 0; i < 1000; i++) {
		char c = (char)i, got = 0;

		while (!vj_arm(a, &timeout_ns))
			vj_process(a);
		assert_int_equal(vj_send(b, cb, &c, 1, 0), 1);
		p = (struct pollfd){ .fd = vj_fd(a), .events = POLLIN };
		assert_int_equal(poll(&p, 1, PATIENT_MS), 1);
		vj_disarm(a);
		vj_process(a);
		assert_int_equal(vj_recv(a, ca, &got, 1, false), 1);
		assert_int_equal(got, c);
	}
	vj_conn_close(a, ca);
	vj_conn_close(b, cb);
	vj_unlisten(a, l);
}

static void arm(struct vj *vj)
{
	int64_t timeout_ns;

	while (!vj_arm(vj, &timeout_ns))
		vj_process(vj);
}

/* Nobody waits for the end of what he has closed. But who sleeps on as many of those as there are frames would never hear of anything else. */
static void test_many_closed(void **state)
{
	enum { N = 700 };
	struct vj_conn ca[N], cb[N], ca_talks, cb_talks;
	struct sockaddr_storage at;
	struct vj_listener l;
	struct pollfd p;
	uint8_t byte = 77;
	int r = 0;

	(void)state;
	connect_pair(AF_INET, &l, &ca_talks, &cb_talks);
	vj_listener_addr(a, l, &at);
	for (int i = 0; i < N; i++) {
		assert_int_equal(vj_connect(b, (struct sockaddr *)&at, address_len(AF_INET), NULL, 0, (uint64_t)i, &cb[i]), 0);
		PUMP_UNTIL(!vj_accept(a, l, (uint64_t)i, &ca[i]));
	}
	for (int i = 0; i < N; i++) {
		vj_conn_close(b, cb[i]);
		PUMP_UNTIL(vj_ready(a, ca[i]) & VJ_EV_EOF);
	}
	pump();
	arm(b);
	for (int i = 0; i < N; i++) {
		vj_conn_close(a, ca[i]);
		vj_process(a);
	}
	assert_int_equal(vj_send(a, ca_talks, &byte, 1, 0), 1);
	vj_process(a);
	p = (struct pollfd){ .fd = vj_fd(b), .events = POLLIN };
	assert_int_equal(poll(&p, 1, PATIENT_MS), 1);
	vj_disarm(b);
	PUMP_UNTIL((r = (int)vj_recv(b, cb_talks, &byte, 1, false)) != -EAGAIN);
	assert_int_equal(r, 1);
	vj_conn_close(a, ca_talks);
	vj_conn_close(b, cb_talks);
	vj_unlisten(a, l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_vjd),
		cmocka_unit_test_setup_teardown(test_tcp4, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_tcp6, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_many, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_shared_port, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_channels_spared, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_many_ports, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_udp, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_refusals, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_info, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_to_myself, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_raw, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_idle_is_free, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_fd_wakes, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_many_closed, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_peer_killed, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_closed_unaccepted, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_vjd_killed, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_vjd_told_to_leave, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_vjd_and_peer_killed, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_vjd_lost_amid_events, pair_setup, pair_teardown),
	};
	int failed;

	if (!vjd_begin())
		return 1;
	failed = cmocka_run_group_tests_name("native", tests, NULL, NULL);
	vjd_end();
	return failed;
}
