// SPDX-License-Identifier: BSD-2-Clause
/* calls_fds.c - descriptors: ranges of them, numbers that are closed or another's, and those that are sent in messages. See calls.c. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* A byte to one end, and what the other one reads */
static void exchange(const char *what, int from, int to)
{
	struct pollfd pfd = { .fd = to, .events = POLLIN };
	char buf[8];

	say(what, send(from, "x", 1, MSG_NOSIGNAL));
	poll(&pfd, 1, EVENTUALLY_MS);
	say("recv", recv(to, buf, sizeof(buf), MSG_DONTWAIT));
}

/* Somebody has the other end yet. */
static void say_open(const char *what, int fd)
{
	char buf[8];

	settle();
	say(what, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
}

/* Nobody has it any more; how long it takes to be told so is another thing. */
static void say_end(const char *what, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[8];

	poll(&pfd, 1, EVENTUALLY_MS);
	say(what, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
}

/* ---- ranges ------------------------------------------------------------------------------------ */

static void test_ranges(int family, const char *text)
{
	enum { FIRST = 300, LAST = 309 };
	struct pair p;
	int pipes[2];

	title("ranges of descriptors");
	pair_open(&p, family, text);
	must("pipe", !pipe(pipes));
	for (int fd = FIRST; fd <= LAST; fd++)
		must("dup2", dup2(fd % 3 == 0 ? p.client : fd % 3 == 1 ? p.listener : pipes[1], fd) == fd);
	say("backwards", close_range(LAST, FIRST, 0));
	say("unknown flag", close_range(FIRST, LAST, 1 << 10));
	say("CLOEXEC", close_range(FIRST, FIRST + 4, CLOSE_RANGE_CLOEXEC));
	for (int fd = FIRST; fd <= LAST; fd++)
		say("F_GETFD", fcntl(fd, F_GETFD));
	exchange("send", FIRST, p.server);
	say("UNSHARE, CLOEXEC", close_range(FIRST + 5, LAST, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC));
	say("F_GETFD", fcntl(LAST, F_GETFD));
	exchange("send", FIRST + 6, p.server);
	say("UNSHARE", close_range(FIRST + 5, LAST, CLOSE_RANGE_UNSHARE));
	say("F_GETFD", fcntl(LAST, F_GETFD));
	exchange("send", FIRST, p.server);
	exchange("and back", p.server, p.client);
	close(p.client);
	say_open("a copy is left", p.server);
	closefrom(FIRST);
	say_end("none", p.server);
	say("closed ones", close_range(FIRST, LAST, 0));
	close(pipes[0]);
	close(pipes[1]);
	close(p.server);
	close(p.listener);
}

static void test_dup3(void)
{
	struct pair p;

	title("dup3");
	pair_open(&p, AF_INET6, "::1");
	say("O_CLOEXEC", dup3(p.client, 300, O_CLOEXEC) == 300);
	say("F_GETFD", fcntl(300, F_GETFD));
	say("none", dup3(p.client, 300, 0) == 300);
	say("F_GETFD", fcntl(300, F_GETFD));
	say("O_NONBLOCK", dup3(p.client, 301, O_NONBLOCK));
	say("negative", dup3(p.client, -1, 0));
	say("far", dup3(p.client, 1 << 30, 0));
	say("of nothing", dup3(999, 301, 0));
	say("dup2, negative", dup2(p.client, -1));
	exchange("send", 300, p.server);
	close(300);
	pair_close(&p);
}

/* ---- a number in a set ------------------------------------------------------------------------- */

static void say_event(const char *what, int ep)
{
	struct epoll_event ev[2] = { { .data.u64 = 0 } };
	int n = epoll_wait(ep, ev, 2, 0);

	say(what, n);
	if (n == 1)
		say("it", (long)ev[0].data.u64);
}

static void add(const char *what, int ep, int fd, uint64_t data)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = data };

	say(what, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* A set knows a connection by its number and by itself: it reports it as long as there is a copy, whatever has become of the number. */
static void test_closed_number(int family, const char *text)
{
	int ep = epoll_create1(0), copy, number;
	struct pair p, q;

	title("a connection's number that was closed");
	pair_open(&p, family, text);
	pair_open(&q, family, text);
	number = p.server;
	copy = dup(p.server);
	add("add", ep, number, 7);
	close(number);
	write(p.client, "x", 1);
	settle();
	say_event("goes on", ep);
	say("remove by the number", epoll_ctl(ep, EPOLL_CTL_DEL, number, NULL));
	say("remove by the copy", epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	must("dup2", dup2(copy, number) == number);
	add("it again at its number", ep, number, 8);
	must("dup2", dup2(q.server, number) == number);
	say_event("goes on", ep);
	add("another one at its number", ep, number, 9);
	write(q.client, "x", 1);
	settle();
	say_event("both", ep);
	recv(copy, &(char){ 0 }, 1, 0);
	say_event("the other", ep);
	say("remove the other", epoll_ctl(ep, EPOLL_CTL_DEL, number, NULL));
	write(p.client, "x", 1);
	settle();
	say_event("the first", ep);
	close(copy);
	say_event("nothing", ep);
	close(ep);
	close(number);
	close(p.client);
	close(p.listener);
	pair_close(&q);
}

/* ---- in messages ------------------------------------------------------------------------------- */

enum { FDS_MAX = 4 };

union rights {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static long rights_send(int via, const int *fds, size_t cnt)
{
	union rights control = { .head = { .cmsg_len = CMSG_LEN(cnt * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(cnt * sizeof(int)) };

	memcpy(CMSG_DATA(&control.head), fds, cnt * sizeof(int));
	return sendmsg(via, &msg, 0);
}

/* @room: for how many there is some. Return: how many came */
static size_t rights_recv(int via, int flags, size_t room, int fds[FDS_MAX])
{
	union rights control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? &control : NULL, .msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0 };
	const struct cmsghdr *c;
	size_t cnt = 0;

	say("recvmsg", recvmsg(via, &msg, flags | MSG_DONTWAIT));
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		cnt = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), cnt * sizeof(int));
	}
	printf("%zu descriptors, flags %#x\n", cnt, (unsigned)msg.msg_flags);
	return cnt;
}

/* Both ends of a connection and a pipe in one message; @keep: what was sent is not closed */
static void test_several(int type, int family, const char *text, bool keep)
{
	int via[2], pipes[2], fds[FDS_MAX] = { -1, -1, -1, -1 };
	struct pair p;

	title(keep ? "several in a message" : "several in a message, closed before they are taken");
	pair_open(&p, family, text);
	must("pair, pipe", !socketpair(AF_UNIX, type, 0, via) && !pipe(pipes));
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	say("send", rights_send(via[0], (int[]){ p.client, pipes[1], p.server, p.listener }, 4));
	exchange("meanwhile", p.client, p.server);
	if (!keep) {
		close(p.client);
		close(p.server);
		close(p.listener);
	}
	must("four", rights_recv(via[1], MSG_CMSG_CLOEXEC, 4, fds) == 4);
	for (int i = 0; i < 4; i++)
		say("F_GETFD", fcntl(fds[i], F_GETFD));
	say("not blocking", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
	exchange("there", fds[0], fds[2]);
	exchange("and back", fds[2], fds[0]);
	if (keep)
		exchange("by what was sent", p.client, fds[2]);
	say("the pipe", write(fds[1], "x", 1));
	if (keep)
		close(p.client);
	close(fds[0]);
	say_end("the end", fds[2]);
	p.client = socket(tcp_family(family), SOCK_STREAM, 0);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("accept", (fds[0] = accept(fds[3], NULL, NULL)) >= 0);
	exchange("to the new one", p.client, fds[0]);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close(p.client);
	if (keep) {
		close(p.server);
		close(p.listener);
	}
	close(via[0]);
	close(via[1]);
	close(pipes[0]);
	close(pipes[1]);
}

/* What there is no room for is closed. */
static void test_truncated(size_t room, int type)
{
	int via[2], fds[FDS_MAX];
	struct pair p, q;

	title("more than there is room for");
	pair_open(&p, AF_INET, "127.0.0.1");
	pair_open(&q, AF_INET6, "::1");
	must("pair", !socketpair(AF_UNIX, type, 0, via));
	say("send", rights_send(via[0], (int[]){ p.client, q.client }, 2));
	close(p.client);
	close(q.client);
	say_open("the first, under way", p.server);
	say_open("the second, under way", q.server);
	if (rights_recv(via[1], 0, room, fds) == 1) {
		exchange("send", fds[0], p.server);
		say_open("the first", p.server);
		close(fds[0]);
	}
	say_end("the first, closed", p.server);
	say_end("the second", q.server);
	p.client = dup(p.listener);
	q.client = dup(q.listener);
	close(via[0]);
	close(via[1]);
	pair_close(&p);
	pair_close(&q);
}

/* Nobody takes it: read() takes the byte alone, or the pair is closed. */
static void test_not_taken(bool read_byte)
{
	int via[2];
	struct pair p;

	title(read_byte ? "sent, the byte is read" : "sent, and the way is closed");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pair", !socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	say("send", rights_send(via[0], &p.client, 1));
	close(p.client);
	say_open("under way", p.server);
	if (read_byte)
		say("read", read(via[1], &(char){ 0 }, 1));
	else
		close(via[1]);
	say_end("the end", p.server);
	if (read_byte)
		close(via[1]);
	close(via[0]);
	p.client = dup(p.listener);
	pair_close(&p);
}

static void *sleeps(void *wake)
{
	must("wait", !sem_wait(wake));
	return NULL;
}

/* One thread takes descriptors of its own, another one keeps the former: to what the first opens then the library sees without being asked. */
static void test_unshared(void)
{
	pthread_t thread;
	struct pair p;
	int via[2];
	sem_t wake;

	title("descriptors of its own, beside another thread");
	must("thread", !sem_init(&wake, 0, 0) && !pthread_create(&thread, NULL, sleeps, &wake));
	say("UNSHARE", close_range(300, 309, CLOSE_RANGE_UNSHARE));
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pair", !socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	say("send", rights_send(via[0], &p.client, 1));
	close(p.client);
	say_open("under way", p.server);
	say("read", read(via[1], &(char){ 0 }, 1));
	settle();
	say_end("the end", p.server);
	must("join", !sem_post(&wake) && !pthread_join(thread, NULL) && !sem_destroy(&wake));
	close(via[0]);
	close(via[1]);
	p.client = dup(p.listener);
	pair_close(&p);
}

/* A look at the message gives descriptors of its own. */
static void test_peeked(void)
{
	int via[2], fds[2][FDS_MAX];
	struct pair p;

	title("looked at, then taken");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pair", !socketpair(AF_UNIX, SOCK_SEQPACKET, 0, via));
	say("send", rights_send(via[0], &p.client, 1));
	close(p.client);
	must("one", rights_recv(via[1], MSG_PEEK, 1, fds[0]) == 1);
	exchange("by the first", fds[0][0], p.server);
	must("one", rights_recv(via[1], 0, 1, fds[1]) == 1);
	exchange("by the second", fds[1][0], p.server);
	close(fds[0][0]);
	exchange("by the second", fds[1][0], p.server);
	close(fds[1][0]);
	say_end("the end", p.server);
	p.client = dup(p.listener);
	close(via[0]);
	close(via[1]);
	pair_close(&p);
}

/* Two messages, a descriptor in each, by one call */
static void test_many(void)
{
	union rights control[2];
	struct iovec iov[2] = { { (char[1]){ "x" }, 1 }, { (char[1]){ "y" }, 1 } };
	struct mmsghdr msgs[2];
	int via[2], fds[2];
	struct pair p;

	title("in many messages");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pair", !socketpair(AF_UNIX, SOCK_DGRAM, 0, via));
	fds[0] = p.client;
	fds[1] = p.server;
	for (int i = 0; i < 2; i++) {
		control[i].head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control[i].head), &fds[i], sizeof(int));
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = &control[i], .msg_controllen = CMSG_SPACE(sizeof(int)) };
	}
	say("sendmmsg", sendmmsg(via[0], msgs, 2, 0));
	close(p.client);
	close(p.server);
	memset(control, 0, sizeof(control));
	say("recvmmsg", recvmmsg(via[1], msgs, 2, MSG_CMSG_CLOEXEC, NULL));
	for (int i = 0; i < 2; i++) {
		memcpy(&fds[i], CMSG_DATA(&control[i].head), sizeof(int));
		say("F_GETFD", fcntl(fds[i], F_GETFD));
	}
	p.client = fds[0];
	p.server = fds[1];
	exchange("there", p.client, p.server);
	exchange("and back", p.server, p.client);
	close(via[0]);
	close(via[1]);
	pair_close(&p);
}


/* The library looks for descriptors in what goes to Unix sockets before the kernel has looked at it. */
static void test_bad_control(void)
{
	static const size_t lens[] = { 0, 1, CMSG_LEN(0) - 1, CMSG_LEN(0), CMSG_LEN(sizeof(int)) + 1, 1 << 20, SIZE_MAX };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_controllen = sizeof(control) } };
	int via[2], none = -1;

	title("descriptors in messages that are none");
	must("socketpair", !socketpair(AF_UNIX, SOCK_DGRAM, 0, via));
	say("no control", sendmsg(via[0], &msg.msg_hdr, 0));
	say("no message", sendmsg(via[0], NULL, 0));
	say("no messages", sendmmsg(via[0], NULL, 1, 0));
	msg.msg_hdr.msg_control = &control;
	memcpy(CMSG_DATA(&control.head), &none, sizeof(none));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		control.head.cmsg_len = lens[i];
		say("sendmsg", sendmsg(via[0], &msg.msg_hdr, 0));
		say("sendmmsg", sendmmsg(via[0], &msg, 1, 0));
	}
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	say("no descriptor", sendmsg(via[0], &msg.msg_hdr, 0));
	msg.msg_hdr.msg_controllen = 5;
	say("too short for a header", sendmsg(via[0], &msg.msg_hdr, 0));
	close(via[0]);
	close(via[1]);
}

void calls_fds(void)
{
	test_ranges(AF_INET, "127.0.0.1");
	test_ranges(AF_INET6, "::1");
	test_dup3();
	test_closed_number(AF_INET, "127.0.0.1");
	test_closed_number(AF_INET6, "::1");
	test_several(SOCK_STREAM, AF_INET, "127.0.0.1", true);
	test_several(SOCK_SEQPACKET, AF_INET6, "::1", false);
	test_several(SOCK_DGRAM, AF_INET, "127.0.0.1", false);
	test_truncated(1, SOCK_STREAM);
	test_truncated(0, SOCK_SEQPACKET);
	test_not_taken(true);
	test_not_taken(false);
	test_unshared();
	test_peeked();
	test_many();
	test_bad_control();
}
