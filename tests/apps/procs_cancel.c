// SPDX-License-Identifier: BSD-2-Clause
/* procs_cancel.c - threads that are cancelled: in the first call that waits, at any moment, where they don't wait; a first thread that ends. See procs.c. */
#include "procs.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LARGE_BYTES = 20000, BULK_BYTES = 256 * 1024, LONGER_MS = 50 };

static int listener, conn, udp;
static uint16_t port;
static char block[BULK_BYTES];

/* Whatever part had a handler of its own */
static void limit_time(void)
{
	CHECK(signal(SIGALRM, SIG_DFL) != SIG_ERR);
	alarm(ANSWER_MS / 1000);
}

/* ---- cancelled as the process waits for the first time ----------------------------------------------------------- */

/* What waits for nothing is made all the same. */
static void *waits_cancelled(void *arg)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd pfd = { .events = POLLIN };
	int kind = *(int *)arg;

	CHECK(!pthread_cancel(pthread_self()));
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(udp, (struct sockaddr *)&at, sizeof(at)));
	pfd.fd = udp;
	if (kind == 0)
		(void)poll(&pfd, 1, -1);
	else if (kind == 1)
		(void)recv(udp, block, sizeof(block), 0);
	listener = listen_any(&port);
	(void)accept(listener, NULL, NULL);
	return NULL;
}

static void waits_after(int kind)
{
	struct pollfd pfd = { .events = POLLIN };
	pthread_t thread;
	void *ended;

	limit_time();
	CHECK(!pthread_create(&thread, NULL, waits_cancelled, &kind) && !pthread_join(thread, &ended) && ended == PTHREAD_CANCELED);
	pfd.fd = kind == 2 ? listener : udp;
	CHECK(!poll(&pfd, 1, 1) && !close(pfd.fd));
}

static void part_cancelled_waits(void)
{
	for (int kind = 0; kind < 3; kind++)
		child_end(child_start(waits_after, kind));
	printf("others wait after one was cancelled\n");
}

/* ---- cancelled at any moment ------------------------------------------------------------------------------------- */

enum { TRIES = 30, MOMENT_US = 1000 };

static void *sends_for_ever(void *arg)
{
	CHECK(!pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	while (send(conn, block, LARGE_BYTES, 0) > 0)
		;
	return arg;
}

static void serve_drained(int fd)
{
	server_ready(fd);
	for (int times = 0; times < TRIES; times++) {
		int from = accept_one(fd), asks = accept_one(fd);

		while (read(from, block, sizeof(block)) > 0)
			;
		close(from);
		ping_back(asks);
		close(asks);
	}
}

/* The thread that ends so is in the middle of a call, mostly. */
static void cancels_sender(int times)
{
	pthread_t thread;
	int asks;

	conn = connect_to(port);
	asks = connect_to(port);
	CHECK(!pthread_create(&thread, NULL, sends_for_ever, NULL));
	usleep(MOMENT_US + times * MOMENT_US / TRIES);
	CHECK(!pthread_cancel(thread) && !pthread_join(thread, NULL));
	close(conn);
	ping(asks);
	close(asks);
}

static void sends_cancelled(int arg)
{
	limit_time();
	for (int times = arg; times < TRIES; times++)
		cancels_sender(times);
}

static void part_cancelled_any_time(void)
{
	pid_t pid;

	port = server_start(serve_drained, &pid);
	child_end(child_start(sends_cancelled, 0));
	child_end(pid);
	printf("a thread that is cancelled in the middle of a call holds nobody up\n");
}

enum { SIG_CANCEL = 32 };

/* As the parent of some program may have it: libc doesn't let anybody do that. */
static void becomes_ignoring(int arg)
{
	struct {
		void (*handler)(int);
		unsigned long more[3];
	} ignore = { .handler = SIG_IGN };

	(void)arg;
	CHECK(!syscall(SYS_rt_sigaction, SIG_CANCEL, &ignore, NULL, sizeof(uint64_t)));
	execl("/proc/self/exe", "procs", wants_kernel() ? "kernel" : "channel", "cancelled_any_time", NULL);
}

static void part_cancelled_ignored(void)
{
	child_end(child_start(becomes_ignoring, 0));
	printf("so in a program that was started with the signal ignored\n");
}

/* The first of its process, by several threads at once */
enum { AT_ONCE = 4 };
static pthread_barrier_t at_once;

static void *cancels_one(void *thread)
{
	(void)pthread_barrier_wait(&at_once);
	CHECK(!pthread_cancel(*(pthread_t *)thread));
	return NULL;
}

static void cancel_at_once(int arg)
{
	pthread_t senders[AT_ONCE], others[AT_ONCE];
	int asks;

	(void)arg;
	limit_time();
	conn = connect_to(port);
	asks = connect_to(port);
	CHECK(!pthread_barrier_init(&at_once, NULL, AT_ONCE));
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_create(&senders[i], NULL, sends_for_ever, NULL));
	usleep(MOMENT_US);
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_create(&others[i], NULL, cancels_one, &senders[i]));
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_join(others[i], NULL) && !pthread_join(senders[i], NULL));
	close(conn);
	ping(asks);
	close(asks);
}

static void part_cancelled_at_once(void)
{
	pid_t pid;

	port = server_start(serve_drained, &pid);
	for (int times = 0; times < TRIES; times++)
		child_end(child_start(cancel_at_once, 0));
	child_end(pid);
	printf("threads that are cancelled at once hold nobody up\n");
}

/* ---- cancelled where it doesn't wait: each of these calls is a cancellation point ---------------------------------- */

enum { BUSY_KINDS = 6 };

static void busy_call(int kind, int set)
{
	struct pollfd pfd = { .fd = conn, .events = POLLPRI };
	struct timespec none = { 0 };
	struct timeval no_time = { 0 };
	fd_set fds;

	switch (kind) {
	case 0: (void)poll(&pfd, 1, 0); break;
	case 1: (void)ppoll(&pfd, 1, &none, NULL); break;
	case 2: (void)recv(conn, block, 1, MSG_DONTWAIT); break;
	case 3: (void)epoll_wait(set, &(struct epoll_event){ 0 }, 1, 0); break;
	case 4: (void)recvmsg(conn, &(struct msghdr){ 0 }, MSG_DONTWAIT); break;
	default:
		FD_ZERO(&fds);
		FD_SET(conn, &fds);
		(void)select(conn + 1, NULL, NULL, &fds, &no_time);
	}
}

static void *is_busy(void *arg)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, conn, &(struct epoll_event){ .events = EPOLLPRI }));
	for (;;)
		busy_call(*(int *)arg, set);
}

static void busy_cancelled(int arg)
{
	(void)arg;
	limit_time();
	conn = connect_to(port);
	check_path(conn);
	ping(conn);
	for (int kind = 0; kind < BUSY_KINDS; kind++) {
		pthread_t thread;
		void *ended;

		CHECK(!pthread_create(&thread, NULL, is_busy, &kind));
		usleep(MOMENT_US);
		CHECK(!pthread_cancel(thread) && !pthread_join(thread, &ended) && ended == PTHREAD_CANCELED);
	}
	close(conn);
}

static void part_cancelled_busy(void)
{
	pid_t pid;

	port = server_start(serve_ping, &pid);
	child_end(child_start(busy_cancelled, 0));
	child_end(pid);
	printf("a thread that is cancelled ends where it doesn't wait as well\n");
}

/* ---- the first thread ends, the process with its last one --------------------------------------------------------- */

static void serve_pings(int fd)
{
	int with;

	server_ready(fd);
	with = accept_one(fd);
	ping_back(with);
	ping_back(with);
	close(with);
}

static void *pings_on(void *arg)
{
	ping(conn);
	usleep(*(int *)arg * MOMENT_US);
	ping(conn);
	return NULL;
}

static void says_last(void)
{
	printf("the last thread has ended\n");
}

/* Before the others, or behind them */
static void first_ends(int before)
{
	static int longer;
	pthread_t thread;

	CHECK(!atexit(says_last));
	conn = connect_to(port);
	check_path(conn);
	longer = before ? LONGER_MS : 0;
	CHECK(!pthread_create(&thread, NULL, pings_on, &longer) && (before || !pthread_join(thread, NULL)));
	pthread_exit(NULL);
}

static void part_first_ends(void)
{
	limit_time(); /* here: where only the library's thread is left, none of the child's takes a signal */
	for (int before = 0; before < 2; before++) {
		pid_t pid;

		port = server_start(serve_pings, &pid);
		child_end(child_start(first_ends, before));
		child_end(pid);
	}
	alarm(0);
	printf("a process ends with its last thread, if that isn't the first\n");
}

void cancel_parts(const char *only)
{
	static const struct part parts[] = { { "cancelled_waits", part_cancelled_waits },
					     { "cancelled_any_time", part_cancelled_any_time },
					     { "cancelled_ignored", part_cancelled_ignored },
					     { "cancelled_at_once", part_cancelled_at_once },
					     { "cancelled_busy", part_cancelled_busy },
					     { "first_ends", part_first_ends } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
