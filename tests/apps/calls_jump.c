// SPDX-License-Identifier: BSD-2-Clause
/* calls_jump.c - what handlers of signals do with sockets, and how they leave calls that wait. See calls.c. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct pair jump_pair;
static int jump_ep;
static sigjmp_buf jump_to;

static void every_us(int sig, long us, bool repeat)
{
	struct itimerval it = { .it_value = { 0, us }, .it_interval = { 0, repeat ? us : 0 } };

	(void)sig;
	setitimer(ITIMER_REAL, &it, NULL);
}

static void handler_set(void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGALRM, &sa, NULL);
}

/* ---- out of a call that waits ------------------------------------------------------------------------ */

static void jump(int sig)
{
	(void)sig;
	siglongjmp(jump_to, 1);
}

static void wait_recv(void)
{
	recv(jump_pair.server, &(char){ 0 }, 1, 0);
}

static void wait_accept(void)
{
	accept(jump_pair.listener, NULL, NULL);
}

static void wait_poll(void)
{
	struct pollfd p[2] = { { .fd = jump_pair.server, .events = POLLIN }, { .fd = jump_pair.listener, .events = POLLIN } };

	poll(p, 2, -1);
}

static void wait_select(void)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(jump_pair.server, &r);
	select(jump_pair.server + 1, &r, NULL, NULL, NULL);
}

static void wait_epoll(void)
{
	epoll_wait(jump_ep, &(struct epoll_event){ 0 }, 1, -1);
}

/* Stack that the calls had is somebody else's now. */
static __attribute__((noinline)) void overwrite_stack(void)
{
	volatile char bytes[16384];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)0xa5;
}

static void exchange(void)
{
	struct epoll_event ev;
	char buf[8];

	write(jump_pair.client, "abcd", 4);
	say("epoll_wait", epoll_wait(jump_ep, &ev, 1, EVENTUALLY_MS));
	say("recv", recv(jump_pair.server, buf, sizeof(buf), 0));
}

static void test_jump(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} calls[] = { { "recv", wait_recv }, { "accept", wait_accept }, { "poll", wait_poll }, { "select", wait_select }, { "epoll_wait", wait_epoll } };
	struct epoll_event ev = { .events = EPOLLIN };

	title("a handler jumps out of a call");
	pair_open(&jump_pair, AF_INET, "127.0.0.1");
	jump_ep = epoll_create1(0);
	epoll_ctl(jump_ep, EPOLL_CTL_ADD, jump_pair.server, &ev);
	handler_set(jump, 0);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			if (!sigsetjmp(jump_to, 1)) {
				every_us(SIGALRM, 20000, false);
				calls[i].run();
				printf("%s: not interrupted\n", calls[i].name);
			} else {
				printf("%s: left\n", calls[i].name);
			}
			overwrite_stack();
			exchange();
		}
	close(jump_ep);
	pair_close(&jump_pair);
}

/* A call that works is left at any point, as programs with a time limit for all do. */
static void test_jump_busy(void)
{
	volatile long jumps = 0;
	char buf[64] = "";

	title("a handler jumps out of calls that work");
	pair_open(&jump_pair, AF_INET, "127.0.0.1");
	handler_set(jump, 0);
	while (jumps < 50) {
		if (sigsetjmp(jump_to, 1)) {
			jumps++;
			continue;
		}
		every_us(SIGALRM, 500 + jumps * 37, false);
		for (;;) {
			write(jump_pair.client, buf, sizeof(buf));
			recv(jump_pair.server, buf, sizeof(buf), MSG_DONTWAIT);
			poll_now(jump_pair.server, 0);
		}
	}
	every_us(SIGALRM, 0, false);
	settle();
	while (recv(jump_pair.server, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	say("write", write(jump_pair.client, "after all", 9));
	say("recv", recv(jump_pair.server, buf, 9, MSG_WAITALL));
	pair_close(&jump_pair);
}

/* ---- within a handler ---------------------------------------------------------------------------------- */

static void jump_within(int sig)
{
	sigjmp_buf within;

	(void)sig;
	if (!sigsetjmp(within, 0))
		siglongjmp(within, 1);
}

static void *answer(void *arg)
{
	char c;

	while (read(*(int *)arg, &c, 1) == 1) {
		usleep(200);
		write(*(int *)arg, &c, 1);
	}
	return NULL;
}

static int ready_many(void)
{
	struct pollfd p[20];

	for (int i = 0; i < 20; i++)
		p[i] = (struct pollfd){ .fd = jump_pair.client, .events = POLLIN };
	return poll(p, 20, EVENTUALLY_MS);
}

static int ready_one(void)
{
	return poll(&(struct pollfd){ .fd = jump_pair.client, .events = POLLIN }, 1, EVENTUALLY_MS);
}

static int ready_set(void)
{
	return epoll_wait(jump_ep, &(struct epoll_event){ 0 }, 1, EVENTUALLY_MS);
}

static int ready_read(void)
{
	return recv(jump_pair.client, &(char){ 0 }, 1, MSG_PEEK) == 1 ? 1 : -1;
}

/* One that stays in the handler doesn't leave the call, which ends by EINTR, or goes on; at whatever point of it that is. */
static void test_jump_within(void)
{
	static const struct {
		const char *name;
		int (*wait)(void);
	} calls[] = { { "recv", ready_read }, { "poll", ready_one }, { "poll of many", ready_many }, { "epoll_wait", ready_set } };
	struct epoll_event ev = { .events = EPOLLIN };
	sigset_t block;
	pthread_t t;
	int r;

	title("a handler jumps within itself");
	pair_open(&jump_pair, AF_INET, "127.0.0.1");
	jump_ep = epoll_create1(0);
	epoll_ctl(jump_ep, EPOLL_CTL_ADD, jump_pair.client, &ev);
	handler_set(jump_within, SA_RESTART);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	pthread_create(&t, NULL, answer, &jump_pair.server);
	pthread_sigmask(SIG_UNBLOCK, &block, NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (int round = 0; round < 600; round++) {
			write(jump_pair.client, "?", 1);
			every_us(SIGALRM, 1 + round % 60, false);
			do
				r = calls[i].wait();
			while (r < 0 && errno == EINTR);
			must("answered", r > 0 && recv(jump_pair.client, &(char){ 0 }, 1, MSG_WAITALL) == 1);
		}
		printf("%s: answered\n", calls[i].name);
	}
	every_us(SIGALRM, 0, false);
	shutdown(jump_pair.client, SHUT_WR);
	pthread_join(t, NULL);
	close(jump_ep);
	pair_close(&jump_pair);
}

static _Atomic bool jumped;

static void jump_within_told(int sig)
{
	jump_within(sig);
	jumped = true;
}

/* Reads to the end of file what waits there, from when the handler has run; without a sleep in which it could be woken in the place of close(). */
static void *drain_after(void *arg)
{
	static char buf[65536];
	long sum = 0, n = 1;

	while (!jumped)
		usleep(100);
	while (n) {
		n = recv(*(int *)arg, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0)
			usleep(100);
		else
			sum += n;
	}
	return (void *)sum;
}

static void *sleep_beside(void *arg)
{
	read(*(int *)arg, &(char){ 0 }, 1);
	return NULL;
}

/* close() that waits until its peer has read ends then, or by the handler, and not by its time. */
static void test_jump_linger(void)
{
	const struct linger l = { 1, 40 };
	struct timespec begin, end;
	static char buf[65536];
	pthread_t t, beside;
	struct pair other;
	sigset_t block;

	title("a handler jumps within itself in close() that lingers");
	handler_set(jump_within_told, SA_RESTART);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	pair_open(&other, AF_INET, "127.0.0.1");
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	pthread_create(&beside, NULL, sleep_beside, &other.server);
	pthread_sigmask(SIG_UNBLOCK, &block, NULL);
	for (int round = 0; round < 150; round++) {
		long sent = 0, n;
		void *got;

		pair_open(&jump_pair, AF_INET, "127.0.0.1");
		while ((n = send(jump_pair.client, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			sent += n;
		setsockopt(jump_pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		jumped = false;
		pthread_sigmask(SIG_BLOCK, &block, NULL);
		pthread_create(&t, NULL, drain_after, &jump_pair.server);
		pthread_sigmask(SIG_UNBLOCK, &block, NULL);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		every_us(SIGALRM, 1 + round % 50, false);
		close(jump_pair.client);
		clock_gettime(CLOCK_MONOTONIC, &end);
		must("close() ends", end.tv_sec - begin.tv_sec < l.l_linger - 10);
		pthread_join(t, &got);
		must("all has come", (long)got == sent);
		close(jump_pair.server);
		close(jump_pair.listener);
	}
	shutdown(other.client, SHUT_WR);
	pthread_join(beside, NULL);
	pair_close(&other);
	printf("ended\n");
}

/* ---- out of a call that memory of the program's ends ------------------------------------------------------ */

static char *nowhere;

static void fault_recv(void)
{
	recv(jump_pair.server, nowhere, 4, 0);
}

static void fault_send(void)
{
	send(jump_pair.server, nowhere, 4, 0);
}

static void fault_readv(void)
{
	readv(jump_pair.server, &(struct iovec){ nowhere, 4 }, 1);
}

static void fault_poll(void)
{
	poll((struct pollfd *)(void *)nowhere, 1, -1);
}

static void fault_epoll(void)
{
	epoll_wait(jump_ep, (struct epoll_event *)(void *)nowhere, 1, -1);
}

static void fault_name(void)
{
	getpeername(jump_pair.server, (struct sockaddr *)(void *)nowhere, &(socklen_t){ sizeof(struct sockaddr_in) });
}

static void fault_option(void)
{
	setsockopt(jump_pair.server, IPPROTO_TCP, TCP_NODELAY, nowhere, sizeof(int));
}

/* The kernel says EFAULT. Whoever has a handler for the fault instead, which jumps, goes on as after that; another thread, too. */
static void test_jump_fault(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} calls[] = { { "recv", fault_recv }, { "send", fault_send },	    { "readv", fault_readv },	  { "poll", fault_poll },
		      { "epoll_wait", fault_epoll },	{ "getpeername", fault_name }, { "setsockopt", fault_option } };
	struct sigaction sa = { .sa_handler = jump }, before;
	struct epoll_event ev = { .events = EPOLLIN };
	char buf[8];

	title("a call is given memory that cannot be used");
	nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pair_open(&jump_pair, AF_INET, "127.0.0.1");
	jump_ep = epoll_create1(0);
	epoll_ctl(jump_ep, EPOLL_CTL_ADD, jump_pair.server, &ev);
	sigaction(SIGSEGV, &sa, &before);
	for (volatile int round = 0; round < 3; round++)
		for (volatile size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			write(jump_pair.client, "abcd", 4);
			say("epoll_wait", epoll_wait(jump_ep, &ev, 1, EVENTUALLY_MS));
			if (!sigsetjmp(jump_to, 1))
				calls[i].run();
			printf("%s: refused\n", calls[i].name);
			overwrite_stack();
			say("epoll_wait", epoll_wait(jump_ep, &ev, 1, EVENTUALLY_MS));
			say("recv", recv(jump_pair.server, buf, sizeof(buf), 0));
		}
	sigaction(SIGSEGV, &before, NULL);
	write(jump_pair.server, "wxyz", 4);
	say("recv", recv(jump_pair.client, buf, sizeof(buf), 0));
	munmap(nowhere, 4096);
	close(jump_ep);
	pair_close(&jump_pair);
}

/* ---- sockets used by handlers ------------------------------------------------------------------------ */

static volatile sig_atomic_t handled, failed;
static volatile int handler_fd;

/* On a socket that the interrupted call may be using */
static void use(int sig)
{
	char c = 'h';
	int saved = errno;

	(void)sig;
	if (write(handler_fd, &c, 1) != 1)
		failed++;
	handled++;
	errno = saved;
}

static void *count_bytes(void *arg)
{
	static long sum;
	char buf[4096];
	ssize_t n;

	sum = 0;
	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum += buf[i] == 'h';
	return &sum;
}

/* A thread writes without end, and a handler of its own writes between to the same socket: all of it arrives. */
static void test_use(void)
{
	sigset_t block;
	struct timespec begin, now;
	pthread_t t;
	struct pair p;
	void *sum;

	title("a handler writes to the socket that is being written to");
	pair_open(&p, AF_INET, "127.0.0.1");
	handler_fd = p.client;
	handler_set(use, SA_RESTART);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	pthread_create(&t, NULL, count_bytes, &p.server);
	pthread_sigmask(SIG_UNBLOCK, &block, NULL);
	handled = failed = 0;
	every_us(SIGALRM, 2000, true);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		for (int i = 0; i < 20; i++)
			write(p.client, "..........", 10);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 3 && handled < 100);
	every_us(SIGALRM, 0, false);
	say("handled", handled > 0);
	say("failed", failed);
	shutdown(p.client, SHUT_WR);
	pthread_join(t, &sum);
	say("all of it arrived", *(long *)sum == handled);
	pair_close(&p);
}

static void hang_up(int sig)
{
	(void)sig;
	close(handler_fd);
	handled++;
}

/* A handler closes what another call waits for, or uses: its number is free, and the peer sees the end. */
static void test_close(void)
{
	char buf[8];
	struct pair p, q;
	int again;

	title("a handler closes a socket");
	for (int i = 0; i < 20; i++) {
		pair_open(&p, AF_INET, "127.0.0.1");
		pair_open(&q, AF_INET, "127.0.0.1");
		handler_fd = q.client;
		handled = 0;
		handler_set(hang_up, SA_RESTART);
		every_us(SIGALRM, 1000 + i * 13, false);
		while (!handled) {
			write(p.client, "abcdefgh", 8);
			recv(p.server, buf, sizeof(buf), 0);
		}
		must("end of file", recv(q.server, buf, sizeof(buf), 0) == 0);
		again = dup(q.server);
		must("its number is free", again == q.client);
		q.client = again;
		pair_close(&p);
		pair_close(&q);
	}
	say("closed", 20);
}

void calls_jump(void)
{
	test_jump();
	test_jump_busy();
	test_jump_within();
	test_jump_linger();
	test_jump_fault();
	test_use();
	test_close();
	signal(SIGALRM, SIG_DFL);
}
