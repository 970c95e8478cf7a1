// SPDX-License-Identifier: BSD-2-Clause
/* Part of `calls`: which of several sockets, or processes, gets a datagram; and many datagrams in one call */
#include "calls.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long take(int fd, char buf[64])
{
	return recv(fd, buf, 64, MSG_DONTWAIT);
}

/* One more socket at @p's address */
static int at_same(struct udp_pair *p, int family, int option)
{
	int fd = socket(family, SOCK_DGRAM, 0), on = 1;

	say("option", setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)));
	say("bind", bind(fd, (struct sockaddr *)&p->addr, p->addr_len));
	return fd;
}

/* ---- the next one is bound before the first is connected, as QUIC's and DNS's servers do ---------- */

static void test_over(int family, const char *text)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int next, stranger = socket(family, SOCK_DGRAM, 0), on = 1;
	struct udp_pair p;
	char buf[64];

	title("bound over another");
	udp_open(&p, family, text);
	setsockopt(p.server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	to_server(&p, "one");
	say_text("recvfrom", buf, recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &len));
	next = at_same(&p, family, SO_REUSEADDR);
	to_server(&p, "two");
	settle();
	check_udp_path(&p);
	say_text("the first", buf, take(p.server, buf));
	say_text("the next", buf, take(next, buf));
	say("connect", connect(p.server, (struct sockaddr *)&name, len));
	to_server(&p, "three");
	sendto(stranger, "four", 4, 0, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	check_udp_path(&p);
	say_text("the first", buf, take(p.server, buf));
	say_text("the first", buf, take(p.server, buf));
	say_text("the next", buf, take(next, buf));
	say_text("the next", buf, take(next, buf));
	say("answer", send(p.server, "five", 4, 0));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), 0));
	close(p.server);
	to_server(&p, "six");
	settle();
	check_udp_path(&p);
	say_text("the next", buf, take(next, buf));
	close(next);
	close(stranger);
	close(p.client);
}

/* ---- a group of SO_REUSEPORT --------------------------------------------------------------------- */

enum { GROUP = 4, CLIENTS = 64 };

static void test_spread(int family, const char *text)
{
	int group[GROUP], client[CLIENTS], at[CLIENTS], on = 1, all = 0, parted = 0, without = 0;
	struct udp_pair p;
	unsigned char nr;

	title("a group");
	p.server = socket(family, SOCK_DGRAM, 0);
	setsockopt(p.server, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	p.client = udp_bound(family, text, &p.addr, &p.addr_len); /* finds a port that is free */
	close(p.client);
	must("bind", !bind(p.server, (struct sockaddr *)&p.addr, p.addr_len));
	group[0] = p.server;
	for (int i = 1; i < GROUP; i++)
		group[i] = at_same(&p, family, SO_REUSEPORT);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < CLIENTS; i++) {
			client[i] = turn ? client[i] : socket(family, SOCK_DGRAM, 0);
			nr = (unsigned char)i;
			sendto(client[i], &nr, 1, 0, (struct sockaddr *)&p.addr, p.addr_len);
		}
		settle();
		check_udp_path(&p);
		for (int g = 0; g < GROUP; g++) {
			int got = 0;

			for (; recv(group[g], &nr, 1, MSG_DONTWAIT) == 1; got++) {
				parted += turn && at[nr] != g;
				at[nr] = g;
			}
			all += got;
			without += !got;
		}
	}
	say("datagrams", all);
	say("of one sender to two sockets", parted);
	say("sockets that got none", without);
	for (int i = 0; i < CLIENTS; i++)
		close(client[i]);
	for (int i = 0; i < GROUP; i++)
		close(group[i]);
}

/* ---- who reads ----------------------------------------------------------------------------------- */

/* Read by the first that comes, whoever it is: @prog, in place of standard input, or a child that has looked at it */
static void child_reads(int fd, bool exec)
{
	char buf[64];
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0 && exec) {
		dup2(fd, 0);
		execlp("dd", "dd", "bs=64", "count=1", "status=none", (char *)NULL);
		_exit(1);
	}
	if (pid == 0) {
		say_text("the child", buf, take(fd, buf));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	printf("%s", exec ? "\n" : "");
}

/* The datagram that a server has waited for, and looked at, is its child's (socat, inetd). */
static void test_child(int family, const char *text)
{
	struct udp_pair p;
	char buf[64];

	title("a child reads");
	p.server = udp_bound(family, text, &p.addr, &p.addr_len);
	p.client = socket(family, SOCK_DGRAM, 0);
	for (int i = 0; i < 4; i++) {
		to_server(&p, i % 2 ? "for the next program" : "for the child");
		say_bits("poll", poll_now(p.server, EVENTUALLY_MS));
		say_text("peek", buf, recv(p.server, buf, sizeof(buf), MSG_PEEK));
		child_reads(p.server, i % 2);
		say_bits("the parent has", poll_now(p.server, 0));
	}
	udp_close(&p);
}

/* A server that only waits at first is on channels when it has read; a client finds that out. */
static void test_change(int family, const char *text)
{
	struct udp_pair p;
	char buf[64];

	title("from the first read on");
	p.server = udp_bound(family, text, &p.addr, &p.addr_len);
	p.client = socket(family, SOCK_DGRAM, 0);
	to_server(&p, "one");
	to_server(&p, "two");
	say_bits("poll", poll_now(p.server, EVENTUALLY_MS));
	say_text("recv", buf, take(p.server, buf));
	settle();
	to_server(&p, "three");
	to_server(&p, "four");
	for (int i = 0; i < 2; i++)
		say_text("recv", buf, take(p.server, buf));
	settle();
	check_udp_path(&p);
	say_text("recv", buf, take(p.server, buf));
	say_text("recv", buf, take(p.server, buf));
	udp_close(&p);
}

/* What was looked at is what is read next, whatever comes meanwhile by the other way. */
static void test_peek(void)
{
	struct udp_pair p;
	char buf[64];
	int other = socket(AF_INET, SOCK_DGRAM, 0);

	title("looked at, then read");
	udp_open(&p, AF_INET, "127.0.0.1");
	sendto(other, "ker", 3, MSG_MORE, (struct sockaddr *)&p.addr, p.addr_len); /* the kernel's from now on */
	sendto(other, "nel", 3, 0, (struct sockaddr *)&p.addr, p.addr_len);
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	for (int i = 0; i < 20; i++) { /* the side that is looked at first changes now and then */
		bool first = i % 3 == 0;

		if (first)
			sendto(other, "other", 5, 0, (struct sockaddr *)&p.addr, p.addr_len);
		else
			to_server(&p, "client");
		settle();
		say_text("peek", buf, recv(p.server, buf, sizeof(buf), MSG_PEEK));
		if (first)
			to_server(&p, "client");
		else
			sendto(other, "other", 5, 0, (struct sockaddr *)&p.addr, p.addr_len);
		settle();
		say_text("recv", buf, take(p.server, buf));
		say_text("recv", buf, take(p.server, buf));
	}
	close(other);
	udp_close(&p);
}

/* ---- several in one call ------------------------------------------------------------------------- */

static void segment_set(int fd, int bytes)
{
	int now = -1;
	socklen_t len = sizeof(now);

	say("UDP_SEGMENT", setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof(bytes)));
	say("getsockopt", getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &now, &len));
	say("it is", now);
}

static unsigned sum_of(unsigned sum, const char *bytes, long n)
{
	sum = sum * 31 + (unsigned)n;
	for (long i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	return sum;
}

/* All that waits; with UDP_GRO several may come at once, and how many is nobody's promise: so they are taken apart. */
static void read_all(const char *what, int fd)
{
	static char buf[70000];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov[2] = { { buf, 333 }, { buf + 333, sizeof(buf) - 333 } };
	unsigned cnt = 0, sum = 0;
	long last = -1;

	settle();
	for (;;) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control) };
		long n = recvmsg(fd, &msg, MSG_DONTWAIT), part = n;
		struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
		int bytes;

		if (n < 0)
			break;
		if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
			part = bytes;
		}
		for (long at = 0; at < n || (!n && !at); at += part ? part : 1, cnt++) {
			last = part < n - at ? part : n - at;
			sum = sum_of(sum, buf + at, last);
		}
	}
	printf("%s: %u, the last has %ld bytes, sum %u, then %s\n", what, cnt, last, sum, strerrorname_np(errno));
}

static long send_segments(struct udp_pair *p, const char *bytes, size_t len, int segment, size_t control_len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	uint16_t size = (uint16_t)segment;
	struct iovec iov[3] = { { (char *)(uintptr_t)bytes, len / 3 }, { NULL, 0 }, { (char *)(uintptr_t)bytes + len / 3, len - len / 3 } };
	struct msghdr msg = { .msg_name = &p->addr, .msg_namelen = p->addr_len, .msg_iov = iov, .msg_iovlen = 3,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr){ .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = control_len };
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	return sendmsg(p->client, &msg, 0);
}

static void test_segments(int family, const char *text, bool gro)
{
	static const int sizes[][2] = { { 950, 100 }, { 1000, 300 }, { 300, 300 }, { 299, 300 }, { 0, 300 }, { 30000, 1400 },
					{ 64, 1 }, { 2000, 1 }, { 60000, 3000 }, { 65000, 65000 }, { 70000, 1400 }, { 500, 0 } };
	static char bytes[70000];
	struct udp_pair p;
	int on = 1;

	title(gro ? "segments, and put together" : "segments");
	udp_open(&p, family, text);
	if (gro)
		say("UDP_GRO", setsockopt(p.server, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 11 + i / 257);
	to_server(&p, "first");
	settle();
	check_udp_path(&p);
	read_all("plain", p.server);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		say("sendmsg", send_segments(&p, bytes, (size_t)sizes[i][0], sizes[i][1], CMSG_LEN(sizeof(uint16_t))));
		if (sizes[i][0] == 950) {
			settle();
			check_udp_path(&p);
		}
		read_all("by message", p.server);
	}
	say("a short one", send_segments(&p, bytes, 950, 100, CMSG_LEN(1)));
	segment_set(p.client, 200);
	say("sendto", sendto(p.client, bytes, 1100, 0, (struct sockaddr *)&p.addr, p.addr_len));
	read_all("by socket", p.server);
	say("sendmsg", send_segments(&p, bytes, 1000, 400, CMSG_LEN(sizeof(uint16_t))));
	read_all("the message's counts", p.server);
	segment_set(p.client, -1);
	segment_set(p.client, 65536);
	segment_set(p.client, 0);
	say("sendto", sendto(p.client, bytes, 1100, 0, (struct sockaddr *)&p.addr, p.addr_len));
	read_all("not any more", p.server);
	udp_close(&p);
}

/* ---- what waits unread */

static int rcvbuf_of(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len);
	return value;
}

/* Sends @cnt of 1,000 bytes. */
static void send_many(const struct udp_pair *p, int cnt)
{
	char bytes[1000] = "many";
	int sent = 0;

	for (int i = 0; i < cnt; i++)
		sent += sendto(p->client, bytes, sizeof(bytes), 0, (const struct sockaddr *)&p->addr, p->addr_len) == sizeof(bytes);
	say("all sent", sent == cnt);
}

static int take_all(int fd)
{
	char bytes[1000];
	int cnt = 0;

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes))
		cnt++;
	return cnt;
}

/* SO_RCVBUF is how much waits: as many as the kernel keeps for certain, which counts some 2,300 bytes for each; also for a child. */
static void test_unread(int family, const char *text, bool child)
{
	enum { WANTED = 4000000, FEW = 8192, COUNTED = 3000, MANY = 500 };
	struct udp_pair p;
	int value, cnt;
	pid_t pid;

	title(child ? "much waits, and a child reads it" : "much waits");
	udp_open(&p, family, text);
	to_server(&p, "first");
	check_udp_path(&p);
	read_all("first", p.server);
	value = WANTED;
	say("SO_RCVBUF", setsockopt(p.server, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)));
	say("value", rcvbuf_of(p.server));
	cnt = rcvbuf_of(p.server) / COUNTED;
	send_many(&p, cnt);
	settle();
	fflush(stdout);
	pid = child ? fork() : 0;
	if (pid == 0)
		say("come", take_all(p.server) == cnt);
	if (pid == 0 && child) {
		fflush(stdout);
		_exit(0);
	}
	if (child)
		waitpid(pid, NULL, 0);
	value = FEW;
	say("SO_RCVBUF", setsockopt(p.server, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)));
	send_many(&p, MANY);
	settle();
	cnt = take_all(p.server);
	say("few", cnt >= rcvbuf_of(p.server) / COUNTED && cnt < MANY / 4);
	udp_close(&p);
}

void calls_ports(void)
{
	static const struct {
		int family;
		const char *at;
	} v[] = { { AF_INET, "127.0.0.1" }, { AF_INET6, "::1" } };

	for (int i = 0; i < 2; i++) {
		test_over(v[i].family, v[i].at);
		test_spread(v[i].family, v[i].at);
		test_child(v[i].family, v[i].at);
		test_change(v[i].family, v[i].at);
		test_segments(v[i].family, v[i].at, false);
		test_segments(v[i].family, v[i].at, true);
		test_unread(v[i].family, v[i].at, false);
		test_unread(v[i].family, v[i].at, true);
	}
	test_peek();
}
