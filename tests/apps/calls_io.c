// SPDX-License-Identifier: BSD-2-Clause
/* calls_io.c - the rarer ways of moving bytes, descriptors closed under a thread that uses them */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 64 * 1024, CORKED_MS = 200 /* what may be followed by more waits for so long */ };

/* ---- splice ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t broken;

static void on_pipe(int sig)
{
	(void)sig;
	broken++;
}

static void splice_refusals(const struct pair *p, const int pipes[2])
{
	off64_t off = 0;

	say("no pipe", splice(p->client, NULL, p->server, NULL, 5, 0));
	say("offset of a pipe", splice(pipes[0], &off, p->client, NULL, 5, 0));
	say("offset of a socket", splice(pipes[0], NULL, p->client, &off, 5, 0));
	say("nothing", splice(pipes[0], NULL, p->client, NULL, 0, 0));
	say("unknown flag", splice(pipes[0], NULL, p->client, NULL, 5, 0x80));
	say("empty pipe", splice(pipes[0], NULL, p->client, NULL, 5, SPLICE_F_NONBLOCK));
	fcntl(p->server, F_SETFL, O_NONBLOCK); /* SPLICE_F_NONBLOCK is for pipes only */
	say("empty socket", splice(p->server, NULL, pipes[1], NULL, 5, 0));
	fcntl(p->server, F_SETFL, 0);
}

enum { BULK_ROUNDS = 50, BULK_BYTES = 1 << 14 };

static uint64_t sum_of(uint64_t sum, const char *buf, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)buf[i];
	return sum;
}

static void *write_bulk(void *arg)
{
	static char buf[BULK_BYTES];
	static uint64_t sum;

	sum = 0;
	for (int i = 0; i < BULK_ROUNDS; i++) {
		for (int j = 0; j < BULK_BYTES; j++)
			buf[j] = (char)(i * 17 + j * 3);
		sum = sum_of(sum, buf, BULK_BYTES);
		must("write", write(*(int *)arg, buf, BULK_BYTES) == BULK_BYTES);
	}
	close(*(int *)arg);
	return &sum;
}

static void *relay(void *arg)
{
	const int *fds = arg;
	long sum = 0, n;

	while ((n = splice(fds[0], NULL, fds[1], NULL, 100000, SPLICE_F_MOVE)) > 0)
		sum += n;
	say("relayed", sum);
	shutdown(fds[1], SHUT_WR); /* of the socket; the pipe is closed */
	close(fds[1]);
	return NULL;
}

/* A thread writes into a pipe, one moves it to a socket, one from its peer to another pipe, where it is read. */
static void splice_bulk(const struct pair *p)
{
	static char buf[BULK_BYTES];
	int in[2], out[2], up[2], down[2];
	pthread_t writer, relays[2];
	uint64_t sum = 0;
	void *want;
	ssize_t n;

	must("pipe", !pipe(in) && !pipe(out));
	up[0] = in[0];
	up[1] = dup(p->client);
	down[0] = p->server;
	down[1] = out[1];
	pthread_create(&relays[0], NULL, relay, up);
	pthread_create(&relays[1], NULL, relay, down);
	pthread_create(&writer, NULL, write_bulk, &in[1]);
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		sum = sum_of(sum, buf, n);
	pthread_join(writer, &want);
	pthread_join(relays[0], NULL);
	pthread_join(relays[1], NULL);
	say("same", sum == *(uint64_t *)want);
	close(in[0]);
	close(out[0]);
}

/* A call that fell short is told when there is room again. */
static void test_splice_full(void)
{
	static char buf[4096];
	struct epoll_event ev = { .events = EPOLLOUT };
	int pipes[2], ep = epoll_create1(0);
	struct pair p;
	ssize_t n = 0;

	title("splice, full");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3; i++) { /* what is under way makes room once more */
		do {
			write(pipes[1], buf, sizeof(buf));
			n = splice(pipes[0], NULL, p.client, NULL, sizeof(buf), 0);
		} while (n > 0);
		settle();
	}
	say("splice at last", n);
	say("add", epoll_ctl(ep, EPOLL_CTL_ADD, p.client, &ev));
	say("wait", epoll_wait(ep, &ev, 1, 0));
	for (bool more = true; more;) {
		settle(); /* what waits for room comes when there is some */
		for (more = false; recv(p.server, buf, sizeof(buf), MSG_DONTWAIT) > 0;)
			more = true;
	}
	say("wait", epoll_wait(ep, &ev, 1, EVENTUALLY_MS));
	say("splice", splice(pipes[0], NULL, p.client, NULL, 1000, 0));
	close(pipes[0]);
	close(pipes[1]);
	close(ep);
	pair_close(&p);
}

static void test_splice(void)
{
	int pipes[2];
	char buf[16];
	struct pair p;

	title("splice");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	splice_refusals(&p, pipes);
	write(pipes[1], "12345678", 8);
	say("part", splice(pipes[0], NULL, p.client, NULL, 5, 0));
	settle();
	say("to a pipe", splice(p.server, NULL, pipes[1], NULL, 100, 0));
	say("back", splice(pipes[0], NULL, p.client, NULL, 100, 0));
	settle();
	say("read", read(p.server, buf, sizeof(buf)));
	printf("%.8s\n", buf);
	splice_bulk(&p);
	close(pipes[1]);
	say("closed pipe", splice(pipes[0], NULL, p.client, NULL, 5, 0));
	close(pipes[0]);
	must("pipe", !pipe(pipes));
	write(pipes[1], "123", 3);
	say("after shutdown", splice(pipes[0], NULL, p.client, NULL, 5, 0));
	say("at the end", splice(p.server, NULL, pipes[1], NULL, 5, 0));
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

/* Before anything is waited for */
static void test_splice_unread(void)
{
	sighandler_t before = signal(SIGPIPE, on_pipe);
	int pipes[2];
	struct pair p;

	title("splice, to a pipe that nobody reads");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	close(pipes[0]);
	say("splice", splice(p.server, NULL, pipes[1], NULL, 5, 0));
	say("SIGPIPE", broken);
	write(p.client, "12345", 5);
	settle();
	say("splice", splice(p.server, NULL, pipes[1], NULL, 5, 0));
	say("SIGPIPE", broken);
	say("recv", recv(p.server, (char[8]){ 0 }, 8, 0));
	signal(SIGPIPE, before);
	close(pipes[1]);
	pair_close(&p);
}

/* ---- sendfile: the last of a file waits for nothing, also if more was asked for */

static bool comes_soon(const struct pair *p, int file)
{
	struct timespec begin, end;
	off_t off = 0;
	long left = FILE_BYTES;
	ssize_t n;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	must("sendfile", sendfile(p->client, file, &off, 1 << 30) == FILE_BYTES);
	while (left > 0 && (n = recv(p->server, (char[4096]){ 0 }, 4096, 0)) > 0)
		left -= n;
	must("recv", !left);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 < CORKED_MS / 2;
}

static void test_sendfile_end(void)
{
	char path[] = "/tmp/vj-calls-XXXXXX";
	int file = mkstemp(path), dir = open("/", O_RDONLY | O_CLOEXEC);
	bool soon = false;
	struct pair p;

	title("sendfile, the end of a file");
	unlink(path);
	must("ftruncate", !ftruncate(file, FILE_BYTES));
	pair_open(&p, AF_INET, "127.0.0.1");
	for (int tries = 0; tries < 10 && !soon; tries++) /* the machine may be busy */
		soon = comes_soon(&p, file);
	say("soon", soon);
	say("from a directory", sendfile(p.client, dir, NULL, 5));
	close(dir);
	close(file);
	pair_close(&p);
}

/* ---- preadv2, pwritev2 ------------------------------------------------------------------------- */

static void test_v2(void)
{
	char buf[16] = { 0 };
	struct iovec out = { "abcdefgh", 8 }, in = { buf, 4 };
	struct pair p;

	title("preadv2, pwritev2");
	pair_open(&p, AF_INET6, "::1");
	say("pwritev2", pwritev2(p.client, &out, 1, -1, 0));
	say("pwritev2 RWF_NOWAIT", pwritev2(p.client, &out, 1, -1, RWF_NOWAIT));
	say("pwritev2 at 0", pwritev2(p.client, &out, 1, 0, 0));
	settle();
	say("preadv2", preadv2(p.server, &in, 1, -1, 0));
	in.iov_len = sizeof(buf);
	say("preadv2 RWF_NOWAIT", preadv2(p.server, &in, 1, -1, RWF_NOWAIT));
	printf("%.12s\n", buf);
	say("preadv2 RWF_NOWAIT", preadv2(p.server, &in, 1, -1, RWF_NOWAIT));
	say("preadv2 at 0", preadv2(p.server, &in, 1, 0, 0));
	say("preadv2 unknown flag", preadv2(p.server, &in, 1, -1, 0x4000));
	say("pread", pread(p.server, buf, 4, 0));
	say("pwrite", pwrite(p.client, buf, 4, 0));
	pair_close(&p);
}

/* ---- what comes in pieces ----------------------------------------------------------------------- */

/* One call reads all that is there, also what this process has not looked at before. */
static void test_pieces(void)
{
	static char buf[20000];
	struct pair p;

	title("read() takes what came since the last look");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("write", write(p.client, buf, 8000));
	say_bits("poll", poll_now(p.server, EVENTUALLY_MS));
	settle();
	say("write", write(p.client, buf, 4000));
	say("read", read(p.server, buf, sizeof(buf)));
	say("write", write(p.client, buf, 8000));
	settle();
	say("write", write(p.client, buf, 4000));
	say("recv, less", recv(p.server, buf, 10000, 0));
	say("recv, the rest", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	pair_close(&p);
}

/* ---- low water ------------------------------------------------------------------------------------ */

static void set_low(int fd, int value)
{
	socklen_t len = sizeof(value);

	say("set", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, len));
	value = -1;
	getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, &len);
	say("get", value);
}

static void *write_slowly(void *arg)
{
	usleep(20000);
	write(*(int *)arg, "abcde", 5);
	usleep(20000);
	write(*(int *)arg, "fghij", 5);
	return NULL;
}

static void test_rcvlowat(bool inherited)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char buf[64];
	struct pair p;
	pthread_t t;
	int ep;

	title(inherited ? "SO_RCVLOWAT, of the listener" : "SO_RCVLOWAT");
	if (inherited) {
		listen_on(&p, AF_INET, "127.0.0.1");
		set_low(p.listener, 10);
		p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
		must("connect", !connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
		p.server = accept(p.listener, NULL, NULL);
		say("accept", p.server > 0);
	} else {
		pair_open(&p, AF_INET, "127.0.0.1");
		set_low(p.server, 0);
		set_low(p.server, 10);
	}
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev);
	write(p.client, "123456789", 9);
	settle();
	say_bits("too few", poll_now(p.server, 0));
	say("epoll", epoll_wait(ep, &ev, 1, 0));
	write(p.client, "0", 1);
	settle();
	say_bits("enough", poll_now(p.server, 0));
	say("epoll", epoll_wait(ep, &ev, 1, 0));
	say("recv", recv(p.server, buf, 4, 0));
	say_bits("too few again", poll_now(p.server, 0));
	say("recv, not blocking", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	pthread_create(&t, NULL, write_slowly, &p.client);
	say("recv waits for ten", recv(p.server, buf, sizeof(buf), 0));
	pthread_join(t, NULL);
	write(p.client, "abcdefghijklmno", 15);
	settle();
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	write(p.client, "x", 1);
	shutdown(p.client, SHUT_WR);
	settle();
	say_bits("at the end", poll_now(p.server, 0));
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	close(ep);
	pair_close(&p);
}

/* ---- zero copy ------------------------------------------------------------------------------------- */

static void completion(int fd)
{
	char control[128];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err err;
	long r = recvmsg(fd, &m, MSG_ERRQUEUE);
	struct cmsghdr *c = r < 0 ? NULL : CMSG_FIRSTHDR(&m);

	say("recvmsg", r);
	if (!c)
		return;
	memcpy(&err, CMSG_DATA(c), sizeof(err));
	printf("level %d type %d, origin %d code %d errno %d, %u to %u, flags %s\n", c->cmsg_level, c->cmsg_type, err.ee_origin,
	       err.ee_code, err.ee_errno, err.ee_info, err.ee_data, m.msg_flags & MSG_ERRQUEUE ? "MSG_ERRQUEUE" : "none");
}

static void test_zerocopy(int family, const char *text)
{
	static char buf[5000];
	int on = 1, two = 2;
	socklen_t len = sizeof(on);
	struct pair p;

	title("MSG_ZEROCOPY");
	pair_open(&p, family, text);
	say("without SO_ZEROCOPY", send(p.client, buf, 100, MSG_ZEROCOPY));
	say("SO_ZEROCOPY 2", setsockopt(p.client, SOL_SOCKET, SO_ZEROCOPY, &two, len));
	say("SO_ZEROCOPY", setsockopt(p.client, SOL_SOCKET, SO_ZEROCOPY, &on, len));
	on = 0;
	say("get", getsockopt(p.client, SOL_SOCKET, SO_ZEROCOPY, &on, &len));
	say("is", on);
	completion(p.client);
	say("send", send(p.client, buf, sizeof(buf), MSG_ZEROCOPY));
	say("recv", recv(p.server, buf, sizeof(buf), MSG_WAITALL));
	settle();
	say_bits("poll", poll_now(p.client, 0));
	completion(p.client);
	completion(p.client);
	say_bits("poll", poll_now(p.client, 0));
	say("send", send(p.client, buf, 10, MSG_ZEROCOPY));
	say("send", send(p.client, buf, 10, MSG_ZEROCOPY));
	say("send, copied", send(p.client, buf, 10, 0));
	say("recv", recv(p.server, buf, 130, MSG_WAITALL));
	settle();
	completion(p.client);
	pair_close(&p);
}

/* ---- O_ASYNC ------------------------------------------------------------------------------------------------ */

static volatile sig_atomic_t told_fd, told_code, told_band;

static void on_io_of(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	told_band = (sig_atomic_t)info->si_band;
	told_code = info->si_code;
	told_fd = info->si_fd;
}

/* F_SETSIG: which socket it is about, which no other is mistaken for */
/* Neither is a socket, but both have owners. */
static void owners_of_others(void)
{
	int fds[2], owner = 0, set = epoll_create1(0);

	must("pipe", !pipe(fds));
	say("F_SETOWN of a pipe, a group", fcntl(fds[0], F_SETOWN, -getpgrp()));
	say("F_GETOWN, it", fcntl(fds[0], F_GETOWN) == -getpgrp());
	say("SIOCGPGRP of a pipe", ioctl(fds[0], SIOCGPGRP, &owner));
	say("SIOCGPGRP of a set", ioctl(set, SIOCGPGRP, &owner));
	close(set);
	close(fds[0]);
	close(fds[1]);
}

/* Without a handler. Why it came only the kernel can say to who waits for it: si_code is SI_SIGIO on channels. */
static void wait_sigio(const struct pair *p, int sig)
{
	struct timespec limit = { .tv_sec = EVENTUALLY_MS / 1000 };
	siginfo_t info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	recv(p->server, &(char){ 0 }, 1, 0);
	write(p->client, "x", 1);
	while (sigtimedwait(&set, &info, &limit) == sig && !(info.si_band & POLLIN))
		;
	say("waited for", info.si_fd == p->server);
	printf("band %lx\n", (unsigned long)info.si_band);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void test_sigio_of(void)
{
	struct sigaction sa = { .sa_sigaction = on_io_of, .sa_flags = SA_RESTART | SA_SIGINFO };
	int sig = SIGRTMIN + 1, owner = 0, other, second;
	struct pair p;

	title("a signal of its own");
	sigaction(sig, &sa, NULL);
	pair_open(&p, AF_INET, "127.0.0.1");
	second = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	must("connect", !connect(second, (struct sockaddr *)&p.addr, p.addr_len));
	other = accept(p.listener, NULL, NULL);
	say("F_SETOWN", fcntl(p.server, F_SETOWN, getpid()));
	say("F_SETSIG", fcntl(p.server, F_SETSIG, sig));
	say("F_GETSIG", fcntl(p.server, F_GETSIG) == sig);
	say("F_GETOWN of another", fcntl(other, F_GETOWN));
	say("F_GETSIG of another", fcntl(other, F_GETSIG));
	say("FIOGETOWN", ioctl(p.server, FIOGETOWN, &owner));
	say("it", owner == getpid());
	owner = 0;
	say("SIOCSPGRP of another", ioctl(other, SIOCSPGRP, &owner));
	owner = -1;
	say("SIOCGPGRP", ioctl(other, SIOCGPGRP, &owner));
	say("it", owner);
	say("F_SETOWN, a group", fcntl(other, F_SETOWN, -getpgrp()));
	say("F_GETOWN, it", fcntl(other, F_GETOWN) == -getpgrp());
	say("SIOCGPGRP", ioctl(other, SIOCGPGRP, &owner));
	say("it", owner == -getpgrp());
	owners_of_others();
	say("F_GETOWN", fcntl(p.server, F_GETOWN) == getpid());
	say("O_ASYNC", fcntl(p.server, F_SETFL, O_ASYNC));
	settle();
	told_fd = 0;
	write(p.client, "x", 1);
	for (int i = 0; i < EVENTUALLY_MS / 10 && !told_fd; i++)
		usleep(10000);
	say("of it", told_fd == p.server);
	printf("code %d band %x\n", (int)told_code, (unsigned)told_band);
	wait_sigio(&p, sig);
	close(other);
	close(second);
	pair_close(&p);
	signal(sig, SIG_IGN);
}

/* ---- exclusive ------------------------------------------------------------------------------------- */

static void test_exclusive(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct pair p;
	int ep[2], inner = epoll_create1(0), got;

	title("EPOLLEXCLUSIVE");
	pair_open(&p, AF_INET, "127.0.0.1");
	for (int i = 0; i < 2; i++) {
		ep[i] = epoll_create1(0);
		say("add", epoll_ctl(ep[i], EPOLL_CTL_ADD, p.server, &ev));
		say("add listener", epoll_ctl(ep[i], EPOLL_CTL_ADD, p.listener, &ev));
	}
	say("twice", epoll_ctl(ep[0], EPOLL_CTL_ADD, p.server, &ev));
	say("mod", epoll_ctl(ep[0], EPOLL_CTL_MOD, p.server, &ev));
	say("set in set", epoll_ctl(ep[0], EPOLL_CTL_ADD, inner, &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	say("with one-shot", epoll_ctl(ep[0], EPOLL_CTL_ADD, p.client, &ev));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP;
	say("with RDHUP", epoll_ctl(ep[0], EPOLL_CTL_ADD, p.client, &ev));
	say("with RDHUP, twice", epoll_ctl(ep[0], EPOLL_CTL_ADD, p.server, &ev));
	say("mod of what isn't there", epoll_ctl(ep[0], EPOLL_CTL_MOD, p.client, &ev));
	say("set in set", epoll_ctl(ep[0], EPOLL_CTL_ADD, inner, &ev));
	ev.events = EPOLLIN;
	say("no more", epoll_ctl(ep[0], EPOLL_CTL_MOD, p.server, &ev));
	say("not there", epoll_ctl(ep[0], EPOLL_CTL_MOD, p.client, &ev));
	write(p.client, "x", 1);
	settle();
	got = epoll_wait(ep[0], &ev, 1, 0) + epoll_wait(ep[1], &ev, 1, 0);
	say("at least one", got >= 1);
	say("loop", epoll_ctl(inner, EPOLL_CTL_ADD, ep[0], &(struct epoll_event){ .events = EPOLLIN }));
	say("loop", epoll_ctl(ep[0], EPOLL_CTL_ADD, inner, &(struct epoll_event){ .events = EPOLLIN }));
	close(ep[0]);
	close(ep[1]);
	close(inner);
	pair_close(&p);
}

/* ---- closed under a thread ---------------------------------------------------------------------------- */

static volatile int closed_fd;

static void *close_soon(void *arg)
{
	(void)arg;
	settle();
	close(closed_fd);
	return NULL;
}

/* The reader keeps its reference: it sees what comes before the peer's end. */
static void test_close_under(void)
{
	char buf[16];
	struct pair p;
	pthread_t t;

	title("closed while another thread reads");
	pair_open(&p, AF_INET, "127.0.0.1");
	closed_fd = p.server;
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 300000 }, sizeof(struct timeval));
	pthread_create(&t, NULL, close_soon, NULL);
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	pthread_join(t, NULL);
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	settle();
	say("peer", recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	close(p.client);
	close(p.listener);
}

/* ---- one thread waits, another ends what it waits for ------------------------------------------------- */

static int waits_fd;

static void *connects(void *arg)
{
	const struct pair *p = arg;

	return (void *)(intptr_t)(connect(waits_fd, (const struct sockaddr *)&p->addr, p->addr_len) ? errno : 0);
}

/* Whoever waits in connect() hears of it, and nobody else. */
static void test_shut_connecting(int how)
{
	int crowd[8], err = 0;
	socklen_t len = sizeof(err);
	struct pair p;
	pthread_t t;
	void *said;

	title("shut down while another thread connects");
	listen_on(&p, AF_INET, "127.0.0.1");
	must("room for few", !listen(p.listener, 0));
	for (int i = 0; i < 8; i++) {
		crowd[i] = socket(tcp_family(AF_INET), SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(crowd[i], (struct sockaddr *)&p.addr, p.addr_len);
	}
	settle();
	waits_fd = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	must("thread", !pthread_create(&t, NULL, connects, &p));
	do
		settle();
	while (shutdown(waits_fd, how) && errno == ENOTCONN); /* it has not begun to */
	must("join", !pthread_join(t, &said));
	say("connect is ECONNRESET", (intptr_t)said == ECONNRESET);
	say("SO_ERROR", getsockopt(waits_fd, SOL_SOCKET, SO_ERROR, &err, &len));
	say("it", err);
	for (int i = 0; i < 8; i++)
		close(crowd[i]);
	close(waits_fd);
	close(p.listener);
}

static void *selects(void *arg)
{
	struct timeval tv = { .tv_sec = EVENTUALLY_MS / 1000 };
	fd_set *sets = arg;

	return (void *)(intptr_t)select(waits_fd + 1, &sets[0], NULL, &sets[1], &tv);
}

/* It is looked at again when something comes, and is ready by that. */
static void test_close_selected(void)
{
	fd_set sets[2];
	struct pair p;
	pthread_t t;
	void *said;

	title("closed while another thread selects");
	pair_open(&p, AF_INET, "127.0.0.1");
	waits_fd = p.server;
	for (int i = 0; i < 2; i++) {
		FD_ZERO(&sets[i]);
		FD_SET(waits_fd, &sets[i]);
	}
	must("thread", !pthread_create(&t, NULL, selects, sets));
	usleep(300000); /* it sleeps by then, or the first look is said to be wrong */
	close(waits_fd);
	settle();
	say("send", send(p.client, "x", 1, MSG_NOSIGNAL));
	must("join", !pthread_join(t, &said));
	say("select", (intptr_t)said);
	printf("%d %d\n", FD_ISSET(waits_fd, &sets[0]) != 0, FD_ISSET(waits_fd, &sets[1]) != 0);
	say("select what is closed", select(waits_fd + 1, &sets[0], NULL, NULL, NULL));
	close(p.client);
	close(p.listener);
}

static void *serve(void *arg)
{
	int *listener = arg;
	char buf[64];
	ssize_t n;
	int fd = accept(*listener, NULL, NULL);

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		write(fd, buf, (size_t)n);
	close(fd);
	return NULL;
}

static void test_many_accept(void)
{
	pthread_t t[8];
	long good = 0;
	struct pair p;

	title("threads accept and serve");
	listen_on(&p, AF_INET, "127.0.0.1");
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, serve, &p.listener);
	for (int i = 0; i < 8; i++) {
		char text[16], back[16];
		int fd = socket(tcp_family(AF_INET), SOCK_STREAM, 0);

		must("connect", !connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
		for (int j = 0; j < 20; j++) {
			snprintf(text, sizeof(text), "%d/%d........", i, j);
			write(fd, text, 8);
			good += recv(fd, back, 8, MSG_WAITALL) == 8 && !memcmp(text, back, 8);
		}
		close(fd);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	say("echoes", good);
	close(p.listener);
}

/* What a call has read before the error is its result, and the error the next one's. */
static void test_reset_behind(void)
{
	char pieces[3][4];
	struct iovec iov[3] = { { pieces[0], 4 }, { pieces[1], 4 }, { pieces[2], 4 } };
	struct pair p;

	title("reset behind what fills pieces");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("send", send(p.client, "12345678", 8, 0) == 8 && send(p.server, "x", 1, 0) == 1);
	must("unread", poll_now(p.client, EVENTUALLY_MS) & POLLIN);
	close(p.client);
	settle();
	say("readv", readv(p.server, iov, 3));
	say_bits("then", poll_now(p.server, 0));
	say("recvmmsg of nothing", recvmmsg(p.server, NULL, 0, 0, NULL));
	say("readv", readv(p.server, iov, 3));
	close(p.server);
	close(p.listener);
}

/* What was not connected is shut all the same, until it is let go. */
static void test_shut_before(void)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct pair p;
	char c;

	title("shut down before it is connected");
	listen_on(&p, AF_INET, "127.0.0.1");
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
		say("shutdown", shutdown(p.client, how));
		for (int again = 0; again < 2; again++) {
			say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
			p.server = accept(p.listener, NULL, NULL);
			say_bits("stands", poll_now(p.client, 0));
			say_bits("its peer", poll_now(p.server, 0));
			say("send", send(p.client, "x", 1, MSG_NOSIGNAL));
			say("recv", recv(p.client, &c, 1, MSG_DONTWAIT));
			say("let go", connect(p.client, &none, sizeof(none)));
			close(p.server);
			poll_now(p.client, 0);
			shutdown(p.client, how == SHUT_RD && !again ? SHUT_WR : SHUT_RD);
			say("let go", connect(p.client, &none, sizeof(none)));
		}
		close(p.client);
	}
	close(p.listener);
}

/* Who writes only, just after he has done something else, hears of his peer's end within a few writes, and not when time has passed. */
static void test_writes_to_closed(void)
{
	enum { ROUNDS = 50, WRITES = 100, FEW = 20 };
	bool soon = false;
	struct pair p;

	title("writes to who has closed");
	for (int i = 0; i < ROUNDS && !soon; i++) { /* a round in which another thread had the processor says nothing */
		int sent = 0;

		pair_open(&p, AF_INET, "127.0.0.1");
		close(p.client);
		poll_now(p.server, EVENTUALLY_MS);
		while (sent < WRITES && send(p.server, "x", 1, MSG_NOSIGNAL) == 1)
			sent++;
		soon = sent < FEW;
		close(p.server);
		close(p.listener);
	}
	say("EPIPE after a few", soon);
}

void calls_io(void)
{
	test_splice();
	test_splice_full();
	test_splice_unread();
	test_sendfile_end();
	test_v2();
	test_rcvlowat(false);
	test_rcvlowat(true);
	test_zerocopy(AF_INET, "127.0.0.1");
	test_zerocopy(AF_INET6, "::1");
	test_exclusive();
	test_sigio_of();
	test_close_under();
	test_shut_connecting(SHUT_RD);
	test_shut_connecting(SHUT_RDWR);
	test_close_selected();
	test_many_accept();
	test_pieces();
	test_reset_behind();
	test_shut_before();
	test_writes_to_closed();
}
