// SPDX-License-Identifier: BSD-2-Clause
/* procs_sparse.c - programs that are elsewhere most of the time: who wakes for what comes then, and that nobody else does. See procs.c. */
#include "kernel_conn.h"
#include "procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a question now and then -------------------------------------------------------------------------------------- */

enum { SPARSE_MS = 30, SELDOM_MS = 80, SPARSE_ROW = 10, SPARSE_ROWS = 50 };

static long waits_of_process(void)
{
	struct rusage use;

	CHECK(!getrusage(RUSAGE_SELF, &use));
	return use.ru_nvcsw;
}

/* Of libvj's own thread, which is there where there are channels; the kernel counts a wait as it begins */
static long waits_of_helper(void)
{
	long waits = 0;
	bool found = false;
	DIR *tasks = opendir("/proc/self/task");

	CHECK(tasks);
	for (struct dirent *e; (e = readdir(tasks));) {
		char path[64], text[4096], *at;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", e->d_name);
		if (!(f = fopen(path, "re")))
			continue;
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		fclose(f);
		if (!strncmp(text, "Name:\tvj-helper\n", 16) && (at = strstr(text, "\nvoluntary_ctxt_switches:"))) {
			waits = strtol(strchr(at, ':') + 1, NULL, 10);
			found = true;
		}
	}
	closedir(tasks);
	CHECK(found == !wants_kernel());
	return waits;
}

/* @set: to wait in first; -1: none */
static void answer_next(int conn, int set)
{
	struct epoll_event ev;

	CHECK(set < 0 || epoll_wait(set, &ev, 1, ANSWER_MS) == 1);
	ping_back(conn);
}

/* Some row of them has to be quiet, however busy the machine. */
static void answer_rows(int conn, int set)
{
	long waits = 2 * SPARSE_ROW;

	for (int row = 0; row < SPARSE_ROWS && waits >= 2 * SPARSE_ROW; row++) {
		waits = -waits_of_process();
		for (int i = 0; i < SPARSE_ROW; i++)
			answer_next(conn, set);
		waits += waits_of_process();
	}
	CHECK(waits < 2 * SPARSE_ROW);
}

static void serve_sparse(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	close(fd); /* else there is another process whose clients these might be */
	answer_rows(conn, -1);
}

/* Another process has the listening socket, too, and its clients may come; but there is no channel to come by. */
static void serve_sparse_kernel(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int set = epoll_create1(0), conn;

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
	server_ready(fd);
	conn = accept(fd, NULL, NULL);
	CHECK(conn >= 0 && kernel_has_conn(conn) && !epoll_ctl(set, EPOLL_CTL_ADD, conn, &ev));
	answer_rows(conn, set);
}

/* Return: false: there is nobody to answer any more */
static bool ask(int conn, unsigned ms)
{
	usleep(ms * 1000);
	return write(conn, "ping", 4) == 4 && read(conn, (char[4]){ 0 }, 4) == 4;
}

static void ask_now_and_then(int conn, unsigned ms)
{
	while (ask(conn, ms))
		;
}

static void serve_any(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	while (read(conn, (char[4]){ 0 }, 4) == 4 && write(conn, "ping", 4) == 4)
		;
}

/* The same by datagrams, at the same port. Until it is killed */
static void serve_datagrams(int fd)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	char ping[4];

	CHECK(!getsockname(fd, (struct sockaddr *)&at, &len) && !bind(udp, (struct sockaddr *)&at, len));
	server_ready(fd);
	close(fd);
	for (;;) {
		len = sizeof(at);
		CHECK(recvfrom(udp, ping, 4, 0, (struct sockaddr *)&at, &len) == 4);
		CHECK(sendto(udp, ping, 4, 0, (struct sockaddr *)&at, len) == 4);
	}
}

static int datagrams_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

/* While it is elsewhere between its questions the helper has the bell: for that it doesn't wake, nor for an answer, nor for an acknowledgement. */
static void ask_seldom(int conn)
{
	long waits = SPARSE_ROW;

	for (int row = 0; row < SPARSE_ROWS && waits >= SPARSE_ROW / 2; row++) {
		waits = -waits_of_helper();
		for (int i = 0; i < SPARSE_ROW; i++)
			CHECK(ask(conn, SELDOM_MS));
		waits += waits_of_helper();
	}
	CHECK(waits < SPARSE_ROW / 2);
}

/* Who sleeps, answers and sleeps again does so once for each question, as on the kernel: nobody else in its process is woken for that. */
static void part_sparse(void)
{
	pid_t server;
	int conn;

	conn = connect_to(server_start(serve_sparse, &server));
	ask_now_and_then(conn, SPARSE_MS);
	child_end(server);
	close(conn);
	conn = connect_to(server_start(serve_sparse, &server));
	ask_now_and_then(conn, SELDOM_MS);
	child_end(server);
	close(conn);
	conn = connect_to(server_start(serve_any, &server));
	ask_seldom(conn);
	close(conn);
	child_end(server);
	conn = datagrams_to(server_start(serve_datagrams, &server));
	ask_seldom(conn);
	close(conn);
	end_by_signal(server, SIGKILL);
	conn = kernel_connect_to(server_start(serve_sparse_kernel, &server));
	ask_now_and_then(conn, SPARSE_MS);
	child_end(server);
	close(conn);
	printf("a question now and then\n");
}

static void *reads_byte(void *arg)
{
	CHECK(TEMP_FAILURE_RETRY(read(*(int *)arg, &(char){ 0 }, 1)) == 1); /* an alarm of another part may come late */
	return NULL;
}

/* ---- what comes while the program is elsewhere ----------------------------------------------------------------------- */

enum { ELSEWHERE_ASKS = 10, ELSEWHERE_ASK_MS = 80, ELSEWHERE_MS = 3000, UNASKED_MS = 400 };

/* What was written is acknowledged before its program is back. */
static void check_heard(int conn)
{
	uint64_t begun_ms = now_ms();
	int left = 1;

	for (; left; usleep(1000))
		CHECK(!ioctl(conn, SIOCOUTQ, &left));
	CHECK(now_ms() - begun_ms < ELSEWHERE_MS / 2);
}

static void serve_unasked(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	close(fd);
	for (int i = 0; i < ELSEWHERE_ASKS; i++)
		ping_back(conn);
	check_heard(conn); /* the last answer, by a timer */
	usleep(UNASKED_MS * 1000);
	write_all(conn, "u", 1);
	check_heard(conn);
	CHECK(!read(conn, &(char){ 0 }, 1));
}

/* Who is known to be elsewhere between its calls has its helper look after what comes then, from the last of them on. */
static void part_unasked(void)
{
	pid_t server;
	int conn = connect_to(server_start(serve_unasked, &server));

	for (int i = 0; i < ELSEWHERE_ASKS; i++)
		CHECK(ask(conn, ELSEWHERE_ASK_MS));
	usleep(ELSEWHERE_MS * 1000);
	reads_byte(&conn);
	close(conn);
	child_end(server);
	printf("had what came while it was elsewhere\n");
}

/* ---- a thread that connects beside one that leads ------------------------------------------------------------------ */

enum { CALM_MS = 60 /* some ticks of the helper */, BESIDE = 100, BESIDE_ROW = 10 };

/* In a thread that has not waited for anything before: it leaves the bell to the leader. */
static void *connects_beside(void *arg)
{
	close(connect_to(*(uint16_t *)arg));
	return NULL;
}

/*
 * The leader went to sleep before there was a channel to the server that another thread connects to, and nothing comes for the leader itself. Some row of
 * connections is made without the helper's tick, however busy the machine.
 */
static void part_connects_beside(void)
{
	pid_t leads_for, servers[BESIDE];
	uint16_t first = server_start(serve_any, &leads_for), ports[BESIDE];
	pthread_t leader, thread;
	int lead, row = 0, asked = 0;

	for (int i = 0; i < BESIDE; i++)
		ports[i] = server_start(serve_any, &servers[i]);
	lead = connect_to(first);
	ping(lead);
	CHECK(!pthread_create(&leader, NULL, reads_byte, &lead));
	for (long waits; asked < BESIDE && row < BESIDE_ROW; asked++) {
		usleep(CALM_MS * 1000);
		waits = waits_of_helper();
		CHECK(!pthread_create(&thread, NULL, connects_beside, &ports[asked]) && !pthread_join(thread, NULL));
		row = waits_of_helper() == waits ? row + 1 : 0;
		child_end(servers[asked]);
	}
	CHECK(row == BESIDE_ROW);
	while (asked < BESIDE)
		end_by_signal(servers[asked++], SIGKILL);
	write_all(lead, "ping", 4);
	CHECK(!pthread_join(leader, NULL));
	close(lead);
	child_end(leads_for);
	printf("connects beside one that waits\n");
}

/* ---- a wait that another thread's call has looked at anew ------------------------------------------------------------ */

enum { STIR_MS = 300, STIRRED_MS = 400, STIRS = 5, SETTLE_MS = 20, SETTLES = 20 };

static void *stirs(void *arg)
{
	usleep(STIR_MS * 1000);
	CHECK(!shutdown(*(int *)arg, SHUT_RDWR));
	return NULL;
}

/* Nothing comes, and it is over when it is to be: of some, at a busy machine. */
static void part_stirred(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd waits[] = { { .fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN }, { .fd = listen_any(&(uint16_t){ 0 }), .events = POLLIN } };
	socklen_t len = sizeof(at);
	bool soon = false;

	CHECK(!bind(waits[0].fd, (struct sockaddr *)&at, len) && !getsockname(waits[0].fd, (struct sockaddr *)&at, &len));
	for (int i = 0; i < STIRS && !soon; i++) {
		struct pollfd other = { .fd = datagrams_to(ntohs(at.sin_port)), .events = POLLIN };
		pthread_t thread;
		uint64_t took;

		for (int k = 0; k < SETTLES; k++)
			CHECK(!poll(k % 2 ? waits : &other, k % 2 ? 2 : 1, SETTLE_MS));
		CHECK(!pthread_create(&thread, NULL, stirs, &other.fd));
		took = now_ms();
		CHECK(!poll(waits, 2, STIRRED_MS));
		took = now_ms() - took;
		CHECK(took >= STIRRED_MS && !pthread_join(thread, NULL));
		soon = took < STIRRED_MS + STIR_MS / 2;
		close(other.fd);
	}
	CHECK(soon);
	close(waits[0].fd);
	close(waits[1].fd);
	printf("waits as long as it was to\n");
}

/* ---- who calls a server that is stopped -------------------------------------------------------------------------- */

enum call { CALL_BLOCKS, CALL_POLLS, CALL_CNT };
enum { STOPPED_MS = 20000, UNPROMISED_MS = 1500 /* a place that was promised is none any more */ };
static struct {
	uint16_t port;
	int said[2];
	enum call call;
	bool ipv6, known; /* the client has been there before */
} stopped;

static void serves_in_turn(int listener)
{
	server_ready(listener);
	for (;;) {
		int fd = accept(listener, NULL, NULL); /* on either path */

		CHECK(fd >= 0);
		echo(fd);
	}
}

static int calls(void)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to = { .in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT } };
	int fd = socket(stopped.ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | (stopped.call == CALL_POLLS ? SOCK_NONBLOCK : 0), 0), r;
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (!stopped.ipv6)
		to.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	to.in.sin_port = htons(stopped.port); /* at the same place in both */
	r = connect(fd, &to.any, sizeof(to));
	if (stopped.call == CALL_POLLS) {
		CHECK(r == -1 && errno == EINPROGRESS && poll(&pfd, 1, STOPPED_MS) == 1);
		CHECK(pfd.revents == POLLOUT && !fcntl(fd, F_SETFL, 0));
	} else {
		CHECK(!r);
	}
	return fd;
}

/* Until those that come now are on the path in question, so that this is known and has a channel */
static void call_until_on_path(void)
{
	uint64_t until_ms = now_ms() + ANSWER_MS;
	bool on_path;

	do {
		int fd = calls();

		on_path = kernel_has_conn(fd) == wants_kernel();
		ping(fd);
		close(fd);
		CHECK(now_ms() < until_ms);
	} while (!on_path);
}

static void client_of_stopped(int go)
{
	int fds[3];

	if (stopped.known) {
		call_until_on_path();
		usleep(UNPROMISED_MS * 1000);
	}
	write_all(stopped.said[1], "", 1);
	CHECK(read(go, &(uint8_t){ 0 }, 1) == 1);
	alarm(STOPPED_MS / 1000);
	for (int i = 0; i < 3; i++)
		fds[i] = calls();
	alarm(0);
	write_all(stopped.said[1], "", 1);
	for (int i = 0; i < 3; i++) {
		ping(fds[i]);
		close(fds[i]);
	}
	call_until_on_path();
}

static void calls_stopped(void)
{
	struct pollfd said;
	pid_t server, client;
	int go[2];

	CHECK(!pipe(go) && !pipe(stopped.said));
	said = (struct pollfd){ .fd = stopped.said[0], .events = POLLIN };
	use_ipv6(stopped.ipv6);
	stopped.port = server_start(serves_in_turn, &server);
	client = child_start(client_of_stopped, go[0]);
	CHECK(read(said.fd, &(uint8_t){ 0 }, 1) == 1);
	CHECK(!kill(server, SIGSTOP) && waitpid(server, NULL, WUNTRACED) == server);
	write_all(go[1], "", 1);
	CHECK(poll(&said, 1, ANSWER_MS) == 1 && read(said.fd, &(uint8_t){ 0 }, 1) == 1); /* all are connected, though nobody runs who could say so */
	CHECK(!kill(server, SIGCONT));
	child_end(client);
	end_by_signal(server, SIGKILL);
	use_ipv6(false);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(stopped.said[i]);
	}
}

/* The kernel's queue takes who calls it; it serves him when it goes on, and who comes then is on channels again. */
static void part_calls_stopped(void)
{
	for (stopped.call = 0; stopped.call < CALL_CNT; stopped.call++)
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			stopped.ipv6 = ipv6;
			stopped.known = stopped.ipv6 == (stopped.call == CALL_POLLS);
			calls_stopped();
		}
	printf("connected meanwhile, answered later\n");
}

void sparse_parts(const char *only)
{
	static const struct part by_name[] = { { "calls_stopped", part_calls_stopped } }; /* the kernel is to take them, which VJ_STRICT doesn't have */
	static const struct part parts[] = { { "sparse", part_sparse },
					     { "unasked", part_unasked },
					     { "connects_beside", part_connects_beside },
					     { "stirred", part_stirred } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
	if (only)
		parts_run(by_name, sizeof(by_name) / sizeof(by_name[0]), only);
}
