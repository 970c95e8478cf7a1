// SPDX-License-Identifier: BSD-2-Clause
/* calls_sets.c - sets of descriptors: their edges, and sets that change while others wait in them. See calls.c. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void add(const char *what, int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	say(what, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void test_refusals(void)
{
	struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 };
	struct epoll_event ev[2] = { { .events = EPOLLIN } };
	struct epoll_event *volatile nowhere = NULL; /* that the compiler doesn't see */
	volatile nfds_t many = 1u << 31;
	volatile int minus = -1;
	struct timeval tv = { 0, -1 };
	struct pollfd pfd, *volatile one = &pfd;
	fd_set r;
	struct pair p;
	int ep, file;

	title("sets, refusals");
	pair_open(&p, AF_INET, "127.0.0.1");
	ep = epoll_create1(0);
	pfd = (struct pollfd){ .fd = p.server, .events = POLLIN };
	FD_ZERO(&r);
	FD_SET(p.server, &r);
	say("epoll_create 0", epoll_create(0));
	say("epoll_create1 bad", epoll_create1(1));
	say("add", epoll_ctl(ep, EPOLL_CTL_ADD, p.server, ev));
	say("bad operation", epoll_ctl(ep, 99, p.server, ev));
	say("no event", epoll_ctl(ep, EPOLL_CTL_MOD, p.server, NULL));
	file = open("/dev/null", O_RDONLY);
	say("a file", epoll_ctl(ep, EPOLL_CTL_ADD, file, ev));
	file = open("/proc/self/exe", O_RDONLY);
	say("a file", epoll_ctl(ep, EPOLL_CTL_ADD, file, ev));
	close(file);
	say("no set", epoll_ctl(file, EPOLL_CTL_ADD, p.server, ev));
	say("wait -1", epoll_wait(ep, ev, minus, 0));
	say("wait, no room", epoll_wait(ep, nowhere, 1, 0));
	say("pwait2 bad time", epoll_pwait2(ep, ev, 1, &bad, NULL));
	say("pwait2 negative time", epoll_pwait2(ep, ev, 1, &negative, NULL));
	say("ppoll bad time", ppoll(&pfd, 1, &bad, NULL));
	say("ppoll negative time", ppoll(&pfd, 1, &negative, NULL));
	say("select negative time", select(p.server + 1, &r, NULL, NULL, &tv));
	say("select -1", select(-1, &r, NULL, NULL, NULL));
	say("pselect bad time", pselect(p.server + 1, &r, NULL, NULL, &bad, NULL));
	say("poll too many", poll(one, many, 0));
	close(ep);
	pair_close(&p);
}

/* ---- who is told, and how often ------------------------------------------------------------------ */

/* Each of several that are ready has its turn, whatever kind it is. */
static void turns(const char *who, int ep, int cnt)
{
	struct epoll_event ev;
	int told[8] = { 0 };

	for (int i = 0; i < 40 * cnt; i++) {
		if (epoll_wait(ep, &ev, 1, 100) == 1)
			told[ev.data.u64]++;
		if (i % 10 == 0)
			usleep(200);
	}
	for (int i = 0; i < cnt; i++)
		printf("%s %d: %s\n", who, i, told[i] >= 5 ? "has its turn" : "is left out");
}

static void test_turns(void)
{
	struct pair a, b;
	int ep = epoll_create1(0), pipes[2];

	title("one event at a time");
	pair_open(&a, AF_INET, "127.0.0.1");
	pair_open(&b, AF_INET6, "::1");
	must("pipe", !pipe(pipes));
	write(a.client, "x", 1);
	write(b.client, "x", 1);
	write(pipes[1], "x", 1);
	settle();
	add("add", ep, a.server, EPOLLIN, 0);
	add("add", ep, b.server, EPOLLIN, 1);
	turns("socket", ep, 2);
	add("add", ep, pipes[0], EPOLLIN, 2);
	turns("one", ep, 3);
	close(pipes[0]);
	close(pipes[1]);
	close(ep);
	pair_close(&a);
	pair_close(&b);
}

/* A number that a set knows is closed, and what was behind it goes on by a copy: it is reported as before. By the kernel, as nobody has read yet. */
static void test_closed_number(int family, const char *text)
{
	struct epoll_event ev = { .data.u64 = 0 };
	int ep = epoll_create1(0), copy;
	struct udp_pair p = { .client = socket(family, SOCK_DGRAM, 0) };
	char buf[8];

	title("a number that was closed");
	p.server = udp_bound(family, text, &p.addr, &p.addr_len);
	copy = dup(p.server);
	add("add", ep, p.server, EPOLLIN, 7);
	close(p.server);
	say("nothing", epoll_wait(ep, &ev, 1, 0));
	say("send", to_server(&p, "one"));
	say("something", epoll_wait(ep, &ev, 1, 5000));
	say("it", (long)ev.data.u64);
	say("recv", recv(copy, buf, sizeof(buf), 0));
	say("nothing", epoll_wait(ep, &ev, 1, 0));
	close(ep);
	close(copy);
	close(p.client);
}

static void test_copies(void)
{
	struct epoll_event ev;
	int ep = epoll_create1(0), copy, ep2;
	struct pair p;

	title("a set of copies");
	pair_open(&p, AF_INET, "127.0.0.1");
	copy = dup(p.server);
	add("add", ep, p.server, EPOLLIN, 1);
	add("add the copy", ep, copy, EPOLLIN, 2);
	write(p.client, "x", 1);
	settle();
	say("both", epoll_wait(ep, (struct epoll_event[4]){ 0 }, 4, 0));
	say("remove the copy", epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	say("one", epoll_wait(ep, &ev, 1, 0));
	say("it", (long)ev.data.u64);
	ep2 = dup(ep);
	close(ep);
	say("the set's copy", epoll_wait(ep2, &ev, 1, 0));
	close(copy);
	close(p.server);
	say("nothing", epoll_wait(ep2, &ev, 1, 0));
	close(ep2);
	close(p.client);
	close(p.listener);
}

static void test_depth(void)
{
	struct epoll_event ev;
	int ep[8];
	struct pair p;

	title("sets in sets");
	pair_open(&p, AF_INET, "127.0.0.1");
	for (int i = 0; i < 8; i++)
		ep[i] = epoll_create1(0);
	add("add", ep[0], p.server, EPOLLIN, 9);
	for (int i = 0; i + 1 < 8; i++)
		add("add", ep[i + 1], ep[i], EPOLLIN, (uint64_t)i);
	add("round", ep[0], ep[3], EPOLLIN, 0);
	say("nothing", epoll_wait(ep[3], &ev, 1, 0));
	write(p.client, "x", 1);
	say("from the depth", epoll_wait(ep[3], &ev, 1, EVENTUALLY_MS));
	say("it", (long)ev.data.u64);
	say_bits("poll", poll_now(ep[4], EVENTUALLY_MS));
	say("the first", epoll_wait(ep[0], &ev, 1, EVENTUALLY_MS));
	recv(p.server, &(char){ 0 }, 1, 0);
	say("nothing", epoll_wait(ep[3], &ev, 1, 0));
	say_bits("poll", poll_now(ep[4], 0));
	for (int i = 0; i < 8; i++)
		close(ep[i]);
	pair_close(&p);
}

/* ---- changed by one thread while another waits ------------------------------------------------------ */

static struct {
	int ep, fd, op;
	uint32_t events;
} change;

static void *change_later(void *arg)
{
	struct epoll_event ev = { .events = change.events, .data.u64 = 7 };

	(void)arg;
	usleep(50000);
	if (change.op)
		epoll_ctl(change.ep, change.op, change.fd, &ev);
	else
		close(change.fd);
	return NULL;
}

static void wait_changed(const char *what, int ep, int op, int fd, uint32_t events, int timeout_ms)
{
	struct epoll_event ev = { 0 };
	pthread_t t;
	int n;

	change.ep = ep;
	change.op = op;
	change.fd = fd;
	change.events = events;
	pthread_create(&t, NULL, change_later, NULL);
	n = epoll_wait(ep, &ev, 1, timeout_ms);
	pthread_join(t, NULL);
	say(what, n);
	if (n == 1)
		say_bits("it", ev.events);
}

static void test_changes(void)
{
	int ep = epoll_create1(0), in = epoll_create1(0), pipes[2];
	struct pair p;

	title("changed while a thread waits");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	write(p.client, "x", 1);
	write(pipes[1], "x", 1);
	settle();
	wait_changed("added to an empty set", ep, EPOLL_CTL_ADD, p.server, EPOLLIN, EVENTUALLY_MS);
	wait_changed("removed", ep, EPOLL_CTL_DEL, p.server, 0, 0);
	usleep(100000);
	wait_changed("a pipe is added", ep, EPOLL_CTL_ADD, pipes[0], EPOLLIN, EVENTUALLY_MS);
	wait_changed("and changed", ep, EPOLL_CTL_MOD, pipes[0], 0, 0);
	usleep(100000);
	wait_changed("added, not ready", ep, EPOLL_CTL_ADD, p.client, EPOLLIN, 200);
	wait_changed("changed to writing", ep, EPOLL_CTL_MOD, p.client, EPOLLOUT | EPOLLET, EVENTUALLY_MS);
	wait_changed("edge, changed again", ep, EPOLL_CTL_MOD, p.client, EPOLLOUT | EPOLLET, EVENTUALLY_MS);
	wait_changed("another removed", ep, EPOLL_CTL_DEL, p.client, 0, 200);
	wait_changed("a set is added", ep, EPOLL_CTL_ADD, in, EPOLLIN, 200);
	change.ep = in;
	wait_changed("to which something is added", ep, EPOLL_CTL_DEL, pipes[0], 0, 200);
	add("into the inner one", in, p.server, EPOLLIN, 1);
	say("the outer one", epoll_wait(ep, &(struct epoll_event){ 0 }, 1, EVENTUALLY_MS));
	wait_changed("one that is in it is closed", ep, 0, p.server, 0, 0);
	usleep(100000);
	say("nothing", epoll_wait(ep, &(struct epoll_event){ 0 }, 1, 0));
	close(in);
	close(ep);
	close(pipes[0]);
	close(pipes[1]);
	close(p.client);
	close(p.listener);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

enum { WHOLE_MS = 1000, TRIES = 10 };

static void *wait_whole(void *arg)
{
	struct epoll_event ev;

	must("nothing is ready", !epoll_wait(*(int *)arg, &ev, 1, WHOLE_MS));
	return NULL;
}

/* The first connection comes into the set late: the thread does not begin to wait anew. */
static void test_time_left(void)
{
	struct pair p;
	bool once = false;

	title("time that is left");
	pair_open(&p, AF_INET, "127.0.0.1");
	for (int i = 0; i < TRIES && !once; i++) { /* a machine that stands still proves nothing */
		int ep = epoll_create1(0);
		uint64_t added_ms;
		pthread_t t;

		pthread_create(&t, NULL, wait_whole, &ep);
		usleep(WHOLE_MS * 800);
		added_ms = now_ms();
		epoll_ctl(ep, EPOLL_CTL_ADD, p.client, &(struct epoll_event){ .events = EPOLLIN });
		pthread_join(t, NULL);
		once = now_ms() - added_ms < WHOLE_MS;
		close(ep);
	}
	say("no more than that", once);
	pair_close(&p);
}

/* ---- many threads ------------------------------------------------------------------------------- */

enum { WAITERS = 4, EVENTS = 200 };
static int shared_ep, echoes, stop[2]; /* what is written to the pipe ends all threads */

static void stoppable(int ep)
{
	epoll_ctl(ep, EPOLL_CTL_ADD, stop[0], &(struct epoll_event){ .events = EPOLLIN, .data.fd = stop[0] });
}

static void stop_threads(const pthread_t t[WAITERS])
{
	must("stop", write(stop[1], "", 1) == 1);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	close(stop[0]);
	close(stop[1]);
}

/* One-shot: a thread that is told of a socket has it alone until it arms it again. */
static void *serve_oneshot(void *arg)
{
	struct epoll_event ev;
	char buf[64];

	(void)arg;
	while (epoll_wait(shared_ep, &ev, 1, -1) == 1 && ev.data.fd != stop[0]) {
		ssize_t n = recv(ev.data.fd, buf, sizeof(buf), MSG_DONTWAIT);

		must("told of nothing", n > 0);
		write(ev.data.fd, buf, (size_t)n);
		epoll_ctl(shared_ep, EPOLL_CTL_MOD, ev.data.fd, &(struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.fd = ev.data.fd });
	}
	return NULL;
}

static void test_oneshot_threads(void)
{
	struct pair p[3];
	pthread_t t[WAITERS];
	char buf[8];

	title("threads share a one-shot set");
	must("pipe", !pipe(stop));
	shared_ep = epoll_create1(0);
	stoppable(shared_ep);
	for (int i = 0; i < 3; i++) {
		pair_open(&p[i], AF_INET, "127.0.0.1");
		epoll_ctl(shared_ep, EPOLL_CTL_ADD, p[i].server,
			  &(struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.fd = p[i].server });
	}
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&t[i], NULL, serve_oneshot, NULL);
	echoes = 0;
	for (int i = 0; i < EVENTS; i++) {
		int fd = p[i % 3].client;

		write(fd, "question", 8);
		echoes += recv(fd, buf, 8, MSG_WAITALL) == 8;
	}
	say("echoes", echoes);
	stop_threads(t);
	for (int i = 0; i < 3; i++)
		pair_close(&p[i]);
	close(shared_ep);
}

static int exclusive_listener;

static void *accept_exclusive(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = exclusive_listener };
	int ep = epoll_create1(0);
	char buf[8];

	(void)arg;
	epoll_ctl(ep, EPOLL_CTL_ADD, exclusive_listener, &ev);
	stoppable(ep);
	while (epoll_wait(ep, &ev, 1, -1) == 1 && ev.data.fd != stop[0]) {
		int fd = accept(exclusive_listener, NULL, NULL);

		if (fd < 0)
			continue; /* another was faster */
		write(fd, buf, (size_t)recv(fd, buf, sizeof(buf), 0));
		close(fd);
	}
	close(ep);
	return NULL;
}

static void test_exclusive_threads(void)
{
	pthread_t t[WAITERS];
	struct pair p;
	char buf[8];

	title("threads with a set each, EPOLLEXCLUSIVE");
	listen_on(&p, AF_INET, "127.0.0.1");
	fcntl(p.listener, F_SETFL, O_NONBLOCK);
	exclusive_listener = p.listener;
	must("pipe", !pipe(stop));
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&t[i], NULL, accept_exclusive, NULL);
	usleep(50000);
	echoes = 0;
	for (int i = 0; i < EVENTS; i++) {
		p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
		must("connect", !connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
		write(p.client, "question", 8);
		echoes += recv(p.client, buf, 8, MSG_WAITALL) == 8;
		close(p.client);
	}
	say("echoes", echoes);
	stop_threads(t);
	close(p.listener);
}

/* ---- poll() -------------------------------------------------------------------------------------- */

static void test_poll_edges(void)
{
	struct pollfd fds[4];
	struct timespec ts = { 0, 1000000 };
	struct pair p;

	title("poll, edges");
	pair_open(&p, AF_INET, "127.0.0.1");
	write(p.client, "x", 1);
	settle();
	fds[0] = (struct pollfd){ .fd = p.server, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = p.server, .events = POLLOUT };
	fds[2] = (struct pollfd){ .fd = p.server, .events = 0 };
	fds[3] = (struct pollfd){ .fd = p.server, .events = POLLPRI | POLLRDBAND };
	say("the same four times", poll(fds, 4, 0));
	for (int i = 0; i < 4; i++)
		say_bits("it", (uint32_t)fds[i].revents);
	say("none", poll(NULL, 0, 10));
	say("none", ppoll(NULL, 0, &ts, NULL));
	say("time is left alone", ts.tv_nsec);
	fds[0].fd = -p.server;
	say("negative", poll(fds, 1, 0));
	shutdown(p.client, SHUT_WR);
	settle();
	fds[0] = (struct pollfd){ .fd = p.server, .events = POLLRDHUP };
	fds[1] = (struct pollfd){ .fd = p.server, .events = POLLRDNORM };
	say("half closed", poll(fds, 2, 0));
	printf("%#x %#x\n", (unsigned)fds[0].revents, (unsigned)fds[1].revents);
	pair_close(&p);
}

/* ---- woken late ----------------------------------------------------------------------------------- */

/* By which the library has one thread wake another that sleeps in the set. -1: none */
static int waker_of(int ep)
{
	char path[64], line[256], link[64];
	int fd, found = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ep);
	info = fopen(path, "r");
	must("what is in the set", info != NULL);
	while (fgets(line, sizeof(line), info)) {
		if (sscanf(line, "tfd: %d", &fd) != 1)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		memset(link, 0, sizeof(link));
		if (readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, "eventfd"))
			found = fd;
	}
	fclose(info);
	return found;
}

/* Who is to wake a sleeper does that when he is awake already: what is there is told all the same. */
static void test_late_waker(void)
{
	struct epoll_event ev = { 0 };
	int ep = epoll_create1(0), pipes[2], waker;
	struct pair p;

	title("woken late");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	add("add", ep, p.server, EPOLLIN, 0);
	add("add", ep, pipes[0], EPOLLIN, 1);
	say("wait", epoll_wait(ep, &ev, 1, 20));
	waker = waker_of(ep);
	must("a waker, but on the kernel", on_kernel() || waker >= 0);
	if (waker >= 0)
		must("wake", syscall(SYS_write, waker, &(uint64_t){ 1 }, sizeof(uint64_t)) == sizeof(uint64_t));
	write(pipes[1], "x", 1);
	say("wait", epoll_wait(ep, &ev, 1, 0));
	say("the pipe", (long)ev.data.u64);
	close(pipes[0]);
	close(pipes[1]);
	close(ep);
	pair_close(&p);
}

void calls_sets(void)
{
	test_refusals();
	test_turns();
	test_copies();
	test_closed_number(AF_INET, "127.0.0.1");
	test_closed_number(AF_INET6, "::1");
	test_depth();
	test_changes();
	test_time_left();
	test_oneshot_threads();
	test_exclusive_threads();
	test_poll_edges();
	test_late_waker();
}
