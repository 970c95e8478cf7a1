// SPDX-License-Identifier: BSD-2-Clause
/* calls_wait.c - the calls that wait: epoll, poll, select, time-outs, signals. See calls.c. */
#include "calls.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;

/* ---- epoll ------------------------------------------------------------------------------------------------------ */

static void ep_ctl(const char *what, int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	say(what, epoll_ctl(ep, op, fd, op == EPOLL_CTL_DEL ? NULL : &ev));
}

/* Events sorted by their data, because their order is free. */
static void ep_wait(const char *what, int ep, int timeout_ms)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, 16, timeout_ms);

	say(what, n);
	for (uint64_t data = 0; data < 16; data++)
		for (int i = 0; i < n; i++)
			if (ev[i].data.u64 == data) {
				char text[32];

				snprintf(text, sizeof(text), "  %d", (int)data);
				say_bits(text, ev[i].events);
			}
}

static void test_epoll(void)
{
	char buf[16];
	struct pair p;
	int ep, pipes[2], efd;
	uint64_t one = 1;

	title("epoll, level");
	pair_open(&p, AF_INET, "127.0.0.1");
	ep = epoll_create1(EPOLL_CLOEXEC);
	must("pipe", !pipe(pipes));
	efd = eventfd(0, 0);
	ep_ctl("add server", ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLRDHUP, 1);
	ep_ctl("add twice", ep, EPOLL_CTL_ADD, p.server, EPOLLIN, 1);
	ep_ctl("add client", ep, EPOLL_CTL_ADD, p.client, EPOLLOUT, 2);
	ep_ctl("add pipe", ep, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 3);
	ep_ctl("add eventfd", ep, EPOLL_CTL_ADD, efd, EPOLLIN, 4);
	ep_ctl("add listener", ep, EPOLL_CTL_ADD, p.listener, EPOLLIN, 5);
	ep_ctl("add closed", ep, EPOLL_CTL_ADD, 999, EPOLLIN, 5);
	ep_ctl("add itself", ep, EPOLL_CTL_ADD, ep, EPOLLIN, 5);
	ep_ctl("mod what is not in", ep, EPOLL_CTL_MOD, 0, EPOLLIN, 5);
	ep_ctl("bad set", p.client, EPOLL_CTL_ADD, p.server, EPOLLIN, 5);
	ep_wait("wait", ep, 0);
	write(p.client, "x", 1);
	write(pipes[1], "x", 1);
	write(efd, &one, 8);
	settle();
	ep_wait("wait", ep, EVENTUALLY_MS);
	settle(); /* while channels keep it busy, the kernel's side is looked at every 50 us */
	ep_wait("wait", ep, EVENTUALLY_MS);
	settle();
	read(p.server, buf, 1);
	ep_ctl("mod client", ep, EPOLL_CTL_MOD, p.client, EPOLLIN, 2);
	ep_wait("wait", ep, EVENTUALLY_MS);
	read(pipes[0], buf, 1);
	read(efd, &one, 8);
	ep_wait("wait, nothing", ep, 0);
	ep_wait("wait 30 ms, nothing", ep, 30);
	shutdown(p.client, SHUT_WR);
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_ctl("del server", ep, EPOLL_CTL_DEL, p.server, 0, 0);
	ep_ctl("del twice", ep, EPOLL_CTL_DEL, p.server, 0, 0);
	ep_ctl("mod deleted", ep, EPOLL_CTL_MOD, p.server, EPOLLIN, 1);
	ep_wait("wait", ep, 0);
	say("max 0", epoll_wait(ep, NULL, 0, 0));
	say("no set", epoll_wait(p.client, (struct epoll_event[1]){ 0 }, 1, 0));
	close(pipes[0]);
	close(pipes[1]);
	close(efd);
	close(ep);
	pair_close(&p);
}

static void test_epoll_edge(void)
{
	char buf[16];
	struct pair p;
	int ep;

	title("epoll, edge and one-shot");
	pair_open(&p, AF_INET, "127.0.0.1");
	ep = epoll_create1(0);
	ep_ctl("add", ep, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLOUT | EPOLLET, 1);
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_wait("no news", ep, 0);
	write(p.client, "abc", 3);
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_wait("no news", ep, 0);
	read(p.server, buf, 1);
	ep_wait("no news", ep, 0);
	write(p.client, "abc", 3);
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_ctl("mod", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET, 2);
	ep_wait("again after mod", ep, EVENTUALLY_MS);
	ep_ctl("one-shot", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT, 3);
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_wait("spent", ep, 0);
	write(p.client, "abc", 3);
	settle();
	ep_wait("spent", ep, 0);
	ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT, 4);
	ep_wait("wait", ep, EVENTUALLY_MS);
	close(p.client);
	settle();
	ep_wait("spent", ep, 0);
	ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLRDHUP, 5);
	ep_wait("wait", ep, EVENTUALLY_MS);
	close(p.server);
	ep_wait("closed", ep, 0);
	close(ep);
	close(p.listener);
}

static void test_epoll_accept(bool oneshot)
{
	struct pair p;
	int ep, early;

	title(oneshot ? "epoll on a listener, one-shot"
		      : "epoll on a listener, and before connect");
	listen_on(&p, AF_INET, "127.0.0.1");
	ep = epoll_create1(0);
	ep_ctl("add listener", ep, EPOLL_CTL_ADD, p.listener,
	       EPOLLIN | (oneshot ? (uint32_t)EPOLLONESHOT : 0), 1);
	ep_wait("nobody", ep, 0);
	early = socket(tcp_family(AF_INET), SOCK_STREAM | SOCK_NONBLOCK, 0);
	ep_ctl("add fresh", ep, EPOLL_CTL_ADD, early, EPOLLOUT, 2);
	connect(early, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	ep_wait("wait", ep, EVENTUALLY_MS);
	ep_wait("wait", ep, EVENTUALLY_MS);
	p.server = accept(p.listener, NULL, NULL);
	ep_wait("accepted", ep, 0);
	if (oneshot)
		ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.listener, EPOLLIN | EPOLLONESHOT, 3);
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	connect(p.client, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	ep_ctl("del client", ep, EPOLL_CTL_DEL, early, 0, 0);
	ep_wait("wait", ep, EVENTUALLY_MS);
	close(early);
	close(ep);
	pair_close(&p);
}

/* What the kernel has not taken before it says that a socket is not writable depends on its buffers; so it is asked after each piece. */
static void fill_whole(int fd)
{
	static char buf[4096];

	do {
		while (poll_now(fd, 0) & POLLOUT)
			must("whole", write(fd, buf, sizeof(buf)) == sizeof(buf));
		settle(); /* what is under way makes room once more */
	} while (poll_now(fd, 0) & POLLOUT);
}

static uint32_t poll_out(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	poll(&pfd, 1, EVENTUALLY_MS);
	return (uint16_t)pfd.revents;
}

static void *drain_later(void *arg)
{
	static char buf[1 << 16];

	for (int i = 0; i < 3; i++) {
		settle();
		while (recv(*(int *)arg, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	}
	return NULL;
}

/* Waiting for room after sends of which none fell short: there is some left, but too little to be called writable. */
static void test_room(int family, const char *host)
{
	struct timeval limit = { .tv_sec = EVENTUALLY_MS / 1000 };
	int ep = epoll_create1(0);
	struct pair p;
	pthread_t reader;
	fd_set set;

	title("room, no send fell short");
	pair_open(&p, family, host);
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	ep_ctl("add", ep, EPOLL_CTL_ADD, p.client, 0, 1);
	for (int way = 0; way < 3; way++) {
		fill_whole(p.client);
		ep_ctl("room", ep, EPOLL_CTL_MOD, p.client, EPOLLOUT, 1);
		ep_wait("wait", ep, 0);
		pthread_create(&reader, NULL, drain_later, &p.server);
		FD_ZERO(&set);
		FD_SET(p.client, &set);
		if (way == 0)
			ep_wait("wait", ep, EVENTUALLY_MS);
		else if (way == 1)
			say_bits("poll", poll_out(p.client));
		else
			say("select", select(p.client + 1, NULL, &set, NULL, &limit));
		pthread_join(reader, NULL);
	}
	close(ep);
	pair_close(&p);
}

static void test_epoll_nested(void)
{
	char buf[4];
	struct pair p;
	int in, out;

	title("epoll in epoll, a socket in two sets");
	pair_open(&p, AF_INET, "127.0.0.1");
	in = epoll_create1(0);
	out = epoll_create1(0);
	ep_ctl("inner into outer", out, EPOLL_CTL_ADD, in, EPOLLIN, 1);
	ep_ctl("socket into inner", in, EPOLL_CTL_ADD, p.server, EPOLLIN, 2);
	ep_wait("outer", out, 0);
	write(p.client, "x", 1);
	ep_wait("outer", out, EVENTUALLY_MS);
	ep_ctl("socket into outer", out, EPOLL_CTL_ADD, p.server, EPOLLIN, 3);
	ep_wait("outer", out, EVENTUALLY_MS);
	say_bits("poll on inner", poll_now(in, EVENTUALLY_MS));
	ep_wait("inner", in, EVENTUALLY_MS);
	read(p.server, buf, 1);
	ep_wait("inner", in, 0);
	ep_wait("outer", out, 0);
	close(in);
	close(out);
	pair_close(&p);
}

/* ---- poll and select -------------------------------------------------------------------------------------------- */

static void test_poll_mixed(void)
{
	struct pollfd fds[5];
	struct pair p;
	int pipes[2];
	char buf[4];

	title("poll, mixed");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	fds[0] = (struct pollfd){ .fd = p.server, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = p.listener, .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = -1, .events = POLLIN };
	fds[4] = (struct pollfd){ .fd = 999, .events = 0 };
	say("nothing but a bad one", poll(fds, 5, 0));
	say_bits("bad", (uint32_t)fds[4].revents);
	say("nothing", poll(fds, 4, 20));
	write(p.client, "x", 1);
	say("socket", poll(fds, 4, EVENTUALLY_MS));
	say_bits("server", (uint32_t)fds[0].revents);
	write(pipes[1], "x", 1);
	say("both", poll(fds, 4, EVENTUALLY_MS));
	say_bits("pipe", (uint32_t)fds[1].revents);
	read(p.server, buf, 1);
	say("pipe", poll(fds, 4, EVENTUALLY_MS));
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static void test_select(void)
{
	struct timeval tv = { 0, 20000 };
	struct timespec ts = { EVENTUALLY_MS / 1000, 0 };
	fd_set r, w, x;
	struct pair p;
	int max;

	title("select");
	pair_open(&p, AF_INET, "127.0.0.1");
	max = (p.client > p.server ? p.client : p.server) + 1;
	FD_ZERO(&r);
	FD_SET(p.server, &r);
	say("nothing", select(max, &r, NULL, NULL, &tv));
	say("set cleared", FD_ISSET(p.server, &r) != 0);
	say("time used up", tv.tv_sec == 0 && tv.tv_usec == 0);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(p.server, &r);
	FD_SET(p.server, &x);
	FD_SET(p.client, &w);
	FD_SET(p.server, &w);
	write(p.client, "x", 1);
	settle();
	say("select", select(max, &r, &w, &x, NULL));
	say("readable", FD_ISSET(p.server, &r) != 0);
	say("writable", FD_ISSET(p.client, &w) != 0);
	FD_ZERO(&w);
	say("pselect", pselect(max, &r, &w, NULL, &ts, NULL));
	close(p.client);
	FD_SET(p.client, &r);
	say("closed in set", select(max, &r, NULL, NULL, &tv));
	close(p.server);
	close(p.listener);
}

/* ---- time and signals ------------------------------------------------------------------------------------------- */

static long ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

void calls_timeouts(void)
{
	struct timeval tv = { 0, 100000 };
	struct timespec start;
	struct pair p;
	char buf[4];
	int fd;

	title("timeouts");
	pair_open(&p, AF_INET, "127.0.0.1");
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(p.listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	clock_gettime(CLOCK_MONOTONIC, &start);
	say("recv", recv(p.server, buf, 4, 0));
	say("after 100 ms", ms_since(&start) >= 95 && ms_since(&start) < EVENTUALLY_MS);
	write(p.client, "x", 1);
	say("recv WAITALL gets what there is", recv(p.server, buf, 4, MSG_WAITALL));
	clock_gettime(CLOCK_MONOTONIC, &start);
	fd = accept(p.listener, NULL, NULL);
	say("accept", fd);
	say("after 100 ms", ms_since(&start) >= 95 && ms_since(&start) < EVENTUALLY_MS);
	pair_close(&p);
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* @every_ms: and so on, for a call that one alone may come before; until the next alarm_in() */
static void alarm_in(int flags, long ms, long every_ms)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { .it_value = { 0, ms * 1000 },
				.it_interval = { 0, every_ms * 1000 } };

	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	alarms = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void *write_later(void *arg)
{
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	usleep(150000);
	write(*(int *)arg, "late", 4);
	return NULL;
}

void calls_signals(void)
{
	struct timeval tv = { EVENTUALLY_MS / 1000, 0 };
	struct epoll_event ev;
	struct pair p;
	sigset_t none, block, old;
	struct timespec ts = { EVENTUALLY_MS / 1000, 0 };
	struct pollfd pfd;
	char buf[8];
	pthread_t t;
	int ep;

	title("signals");
	signal(SIGPIPE, SIG_IGN); /* so that the only handler is the alarm's */
	pair_open(&p, AF_INET, "127.0.0.1");
	alarm_in(0, 50, 50);
	say("recv interrupted", recv(p.server, buf, 8, 0));
	alarm_in(SA_RESTART, 50, 0);
	pthread_create(&t, NULL, write_later, &p.client);
	say("recv restarted", recv(p.server, buf, 8, 0));
	say("alarms", alarms);
	pthread_join(t, NULL);
	alarm_in(SA_RESTART, 50, 50);
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("recv with time-out is not restarted", recv(p.server, buf, 8, 0));
	pfd = (struct pollfd){ .fd = p.server, .events = POLLIN };
	alarm_in(SA_RESTART, 50, 50);
	say("poll is never restarted", poll(&pfd, 1, EVENTUALLY_MS));
	ep = epoll_create1(0);
	ep_ctl("add", ep, EPOLL_CTL_ADD, p.server, EPOLLIN, 1);
	alarm_in(SA_RESTART, 50, 50);
	say("nor epoll_wait", epoll_wait(ep, &ev, 1, EVENTUALLY_MS));

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &old);
	alarm_in(0, 20, 0);
	usleep(50000);
	say("blocked", alarms);
	say("ppoll lets it through", ppoll(&pfd, 1, &ts, &none));
	say("alarms", alarms);
	alarm_in(0, 20, 0);
	usleep(50000);
	say("epoll_pwait lets it through", epoll_pwait(ep, &ev, 1, EVENTUALLY_MS, &none));
	say("alarms", alarms);
	alarm_in(0, 20, 0);
	usleep(50000);
	say("epoll_pwait2 lets it through", epoll_pwait2(ep, &ev, 1, &ts, &none));
	say("alarms", alarms);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(ep);
	pair_close(&p);
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

void calls_epoll(void)
{
	test_epoll();
	test_epoll_edge();
	test_epoll_accept(false);
	test_epoll_accept(true);
	test_epoll_nested();
	test_room(AF_INET, "127.0.0.1");
	test_room(AF_INET6, "::1");
}

void calls_poll(void)
{
	test_poll_mixed();
	test_select();
}

/* ---- cancellation ------------------------------------------------------------------------------------------------- */

static struct pair cancel_pair;
static int cancel_ep;

static void *in_recv(void *arg)
{
	(void)arg;
	recv(cancel_pair.server, &(char[4]){ 0 }, 4, 0);
	return NULL;
}

static void *in_accept(void *arg)
{
	(void)arg;
	accept(cancel_pair.listener, NULL, NULL);
	return NULL;
}

static void *in_poll(void *arg)
{
	struct pollfd p[2] = { { .fd = cancel_pair.server, .events = POLLIN }, { .fd = cancel_pair.listener, .events = POLLIN } };

	(void)arg;
	poll(p, 2, -1);
	return NULL;
}

static void *in_epoll(void *arg)
{
	(void)arg;
	epoll_wait(cancel_ep, &(struct epoll_event){ 0 }, 1, -1);
	return NULL;
}

/* A thread that waits is cancelled; what it waited for is there for others. */
void calls_cancel(void)
{
	static const struct {
		const char *name;
		void *(*run)(void *arg);
	} calls[] = { { "recv", in_recv }, { "accept", in_accept }, { "poll", in_poll }, { "epoll_wait", in_epoll } };
	struct epoll_event ev = { .events = EPOLLIN };
	char buf[8];

	title("cancelled");
	pair_open(&cancel_pair, AF_INET, "127.0.0.1");
	cancel_ep = epoll_create1(0);
	epoll_ctl(cancel_ep, EPOLL_CTL_ADD, cancel_pair.server, &ev);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			pthread_t thread;
			void *ret = NULL;

			must("thread", pthread_create(&thread, NULL, calls[i].run, NULL) == 0);
			usleep(20000);
			must("cancel", pthread_cancel(thread) == 0);
			must("join", pthread_join(thread, &ret) == 0);
			say(calls[i].name, ret == PTHREAD_CANCELED);
			write(cancel_pair.client, "abcd", 4);
			say("epoll_wait", epoll_wait(cancel_ep, &ev, 1, EVENTUALLY_MS));
			say("recv", recv(cancel_pair.server, buf, sizeof(buf), 0));
		}
	close(cancel_ep);
	pair_close(&cancel_pair);
}
