// SPDX-License-Identifier: BSD-2-Clause
/* Part of `calls`: datagrams */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

int udp_bound(int family, const char *text, struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
	int fd = socket(family, SOCK_DGRAM, 0);

	*ret_addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	*ret_len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)ret_addr)->sin_addr);
	else
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)ret_addr)->sin6_addr);
	must("udp socket", fd >= 0);
	must("udp bind", !bind(fd, (struct sockaddr *)ret_addr, *ret_len));
	must("udp name", !getsockname(fd, (struct sockaddr *)ret_addr, ret_len));
	return fd;
}

void udp_open(struct udp_pair *p, int family, const char *text)
{
	char none;

	p->server = udp_bound(family, text, &p->addr, &p->addr_len);
	must("udp empty", recv(p->server, &none, 1, MSG_DONTWAIT) < 0); /* it reads: so it is on channels */
	p->client = socket(family, SOCK_DGRAM, 0);
	must("udp client", p->client >= 0);
}

void udp_close(struct udp_pair *p)
{
	close(p->client);
	close(p->server);
}

/* Bytes that wait in the kernel's socket on this port */
static unsigned long kernel_queue(const struct sockaddr_storage *addr)
{
	unsigned want = ntohs(((const struct sockaddr_in *)addr)->sin_port);
	unsigned long queued = 0;
	char line[256];

	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? "/proc/net/udp6" : "/proc/net/udp", "r");
		unsigned long rx;
		unsigned port;

		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line,
				   " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %*x %*x:%lx", &port,
				   &rx) == 2 &&
			    port == want)
				queued += rx;
		if (f)
			fclose(f);
	}
	return queued;
}

/* A datagram has been sent to the socket at @addr and waits there: in the kernel, or not? */
static void check_in_kernel(const struct sockaddr_storage *addr, bool want)
{
	bool kernel = kernel_queue(addr) > 0;

	/* /proc leaves out who is there while others go, which processes beside do */
	for (int ms = 0; want && !kernel && ms < EVENTUALLY_MS; ms++) {
		usleep(1000);
		kernel = kernel_queue(addr) > 0;
	}
	if (kernel != want) {
		printf("FAILED: the datagram is %s the kernel\n", kernel ? "in" : "not in");
		fflush(stdout);
		_exit(1);
	}
}

void check_udp_path(const struct udp_pair *p)
{
	check_in_kernel(&p->addr, on_kernel());
}

long to_server(const struct udp_pair *p, const char *text)
{
	return sendto(p->client, text, strlen(text), 0, (const struct sockaddr *)&p->addr,
		      p->addr_len);
}

void say_text(const char *what, const char *text, long len)
{
	if (len < 0)
		say(what, len);
	else
		printf("%s: %ld '%.*s'\n", what, len, (int)len, text);
}

/* Client asks, server answers to where it came from. */
static void test_exchange(int family, const char *text)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct udp_pair p;
	char buf[64];

	title(text);
	udp_open(&p, family, text);
	say("sendto", to_server(&p, "question"));
	settle();
	check_udp_path(&p);
	say_text("recvfrom", buf,
		 recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	printf("family %d len %u\n", from.ss_family, len);
	say("answer", sendto(p.server, "answer", 6, 0, (struct sockaddr *)&from, len));
	len = sizeof(from);
	say_text("recvfrom", buf,
		 recvfrom(p.client, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	printf("from the server: %d\n", !memcmp(&from, &p.addr, p.addr_len));
	len = 5;
	to_server(&p, "again");
	say_text("short name", buf,
		 recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	say("its length", len);
	udp_close(&p);
}

static void test_connected(void)
{
	struct sockaddr_storage other_addr, name;
	socklen_t len, name_len = sizeof(name);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct udp_pair p;
	char buf[64];
	int other;

	title("connected");
	udp_open(&p, AF_INET, "127.0.0.1");
	other = udp_bound(AF_INET, "127.0.0.1", &other_addr, &len);
	say("send before", send(p.client, "x", 1, 0));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("getpeername", getpeername(p.client, (struct sockaddr *)&name, &name_len));
	printf("it is the server: %d\n", !memcmp(&name, &p.addr, p.addr_len));
	say("send", send(p.client, "one", 3, 0));
	settle();
	check_udp_path(&p);
	say("write", write(p.client, "two", 3));
	say_text("read", buf, read(p.server, buf, sizeof(buf)));
	name_len = sizeof(name);
	say_text("recvfrom", buf,
		 recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &name_len));
	say("a stranger's", sendto(other, "stranger", 8, 0, (struct sockaddr *)&name, name_len));
	say("the server's", sendto(p.server, "friend", 6, 0, (struct sockaddr *)&name, name_len));
	settle();
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	say("disconnect", connect(p.client, &none, sizeof(none)));
	say("send", send(p.client, "x", 1, 0));
	say("sendto", to_server(&p, "three"));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	close(other);
	udp_close(&p);
}

static void test_sizes(void)
{
	static char big[70000], got[70000];
	struct udp_pair p;
	char buf[64];
	int bytes = -1;

	title("sizes");
	udp_open(&p, AF_INET, "127.0.0.1");
	to_server(&p, "truncate me");
	to_server(&p, "and me");
	to_server(&p, "");
	to_server(&p, "last");
	settle();
	say("FIONREAD", ioctl(p.server, FIONREAD, &bytes));
	say("bytes", bytes);
	say_text("peek 3", buf, recv(p.server, buf, 3, MSG_PEEK));
	say("peek 3, MSG_TRUNC", recv(p.server, buf, 3, MSG_PEEK | MSG_TRUNC));
	say_text("recv 3", buf, recv(p.server, buf, 3, 0));
	say("recv 3, MSG_TRUNC", recv(p.server, buf, 3, MSG_TRUNC));
	say("empty", recv(p.server, buf, sizeof(buf), 0));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	say_text("nothing", buf, recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	for (size_t n = 1000; n < sizeof(big); n *= 3) {
		say("send", sendto(p.client, big, n, 0, (struct sockaddr *)&p.addr, p.addr_len));
		memset(got, 0, sizeof(got));
		say("recv", recv(p.server, got, sizeof(got), 0));
		printf("same: %d\n", !memcmp(big, got, n));
	}
	say("too large", sendto(p.client, big, sizeof(big), 0, (struct sockaddr *)&p.addr,
				p.addr_len));
	udp_close(&p);
}

/* A datagram of @bytes and a small one behind it: both whole, and in this order */
static void exchange_large(struct udp_pair *p, size_t bytes)
{
	static char big[70000], got[70000];
	long sent, n;

	for (size_t i = 0; i < bytes; i++)
		big[i] = (char)(i * 13 + i / 509 + bytes);
	sent = sendto(p->client, big, bytes, 0, (struct sockaddr *)&p->addr, p->addr_len);
	say("send", sent);
	to_server(p, "behind");
	memset(got, 0, sizeof(got));
	n = recv(p->server, got, sizeof(got), 0);
	say("recv", n);
	if (sent < 0)
		return;
	printf("same: %d\n", !memcmp(big, got, bytes));
	say_text("recv", got, recv(p->server, got, sizeof(got), 0));
}

static void say_int_option(const char *what, int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	say(what, getsockopt(fd, level, name, &value, &len));
	printf("%s is %d\n", what, value);
}

/* ip(7), ipv6(7): what is done about large datagrams, and what is told of the path */
static void test_udp_mtu(int family, const char *text)
{
	bool v4 = family == AF_INET;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, discover = v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
	int mtu = v4 ? IP_MTU : IPV6_MTU, most = v4 ? 65507 : 65527;
	struct udp_pair p;

	title(v4 ? "path MTU, IPv4" : "path MTU, IPv6");
	udp_open(&p, family, text);
	say_int_option("MTU_DISCOVER", p.client, level, discover);
	say_int_option("MTU, not connected", p.client, level, mtu);
	for (int mode = -1; mode <= 6; mode++) {
		say("mode", setsockopt(p.client, level, discover, &mode, sizeof(mode)));
		say_int_option("MTU_DISCOVER", p.client, level, discover);
		exchange_large(&p, 1400);
		exchange_large(&p, 4000);
		exchange_large(&p, 60000);
	}
	exchange_large(&p, (size_t)most);
	exchange_large(&p, (size_t)most + 1);
	if (!v4) {
		int on = 1;

		say("IPV6_DONTFRAG", setsockopt(p.client, level, IPV6_DONTFRAG, &on, sizeof(on)));
		say_int_option("IPV6_DONTFRAG", p.client, level, IPV6_DONTFRAG);
		exchange_large(&p, 20000);
	}
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say_int_option("MTU, connected", p.client, level, mtu);
	exchange_large(&p, 30000);
	udp_close(&p);
}

/* Pieces, names, flags, and the address that it was sent to */
static void test_msg(int family, const char *text)
{
	char a[4], b[8], control[256];
	struct iovec in[] = { { (char[]){ "gath" }, 4 }, { (char[]){ "" }, 0 },
			      { (char[]){ "ered pieces" }, 11 } };
	struct iovec out[] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct sockaddr_storage from;
	struct msghdr msg = { .msg_iov = in, .msg_iovlen = 3 };
	struct udp_pair p;
	int on = 1;

	title("messages");
	udp_open(&p, family, text);
	if (family == AF_INET)
		say("IP_PKTINFO", setsockopt(p.server, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)));
	else
		say("IPV6_RECVPKTINFO",
		    setsockopt(p.server, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)));
	msg.msg_name = &p.addr;
	msg.msg_namelen = p.addr_len;
	say("sendmsg", sendmsg(p.client, &msg, 0));
	say("sendmsg", sendmsg(p.client, &msg, 0));
	settle();
	check_udp_path(&p);
	msg = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = out,
			       .msg_iovlen = 2, .msg_control = control,
			       .msg_controllen = sizeof(control) };
	say("recvmsg", recvmsg(p.server, &msg, 0));
	printf("'%.4s' '%.8s' flags %#x name %u control %zu\n", a, b, msg.msg_flags,
	       msg.msg_namelen, (size_t)msg.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		printf("level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type,
		       (size_t)c->cmsg_len);
		for (size_t i = CMSG_LEN(0); i < c->cmsg_len; i++)
			printf("%02x ", ((uint8_t *)c)[i]);
		printf("\n");
	}
	msg.msg_controllen = 4;
	say("recvmsg", recvmsg(p.server, &msg, 0));
	printf("flags %#x control %zu\n", msg.msg_flags, (size_t)msg.msg_controllen);
	udp_close(&p);
}

static void test_udp_mmsg(void)
{
	char text[4][8] = { "zero", "one", "", "three" }, buf[4][8] = { "" };
	struct mmsghdr msgs[4];
	struct iovec iov[4];
	struct udp_pair p;
	int n;

	title("many at once");
	udp_open(&p, AF_INET, "127.0.0.1");
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ text[i], strlen(text[i]) };
		msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &p.addr,
							 .msg_namelen = p.addr_len,
							 .msg_iov = &iov[i],
							 .msg_iovlen = 1 } };
	}
	say("sendmmsg", sendmmsg(p.client, msgs, 4, 0));
	settle();
	check_udp_path(&p);
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	n = recvmmsg(p.server, msgs, 3, 0, NULL);
	say("recvmmsg", n);
	for (int i = 0; i < n; i++)
		say_text("message", buf[i], (long)msgs[i].msg_len);
	say("recvmmsg", recvmmsg(p.server, msgs, 4, MSG_WAITFORONE, NULL));
	say("recvmmsg", recvmmsg(p.server, msgs, 4, MSG_DONTWAIT, NULL));
	udp_close(&p);
}

/*
 * A batch of all kinds of datagrams, to two destinations by turns of four: what goes together must come apart again as it was. The sum
 * of what comes stands for all of it.
 */
static void test_udp_runs(int family, const char *ip)
{
	enum { N = 60, BYTES = 3000 };
	static char text[N][BYTES], buf[BYTES];
	struct mmsghdr msgs[N] = { 0 };
	struct udp_pair p, q;
	struct iovec iov[N][2];

	title("batches");
	udp_open(&p, family, ip);
	udp_open(&q, family, ip);
	for (int i = 0; i < N; i++) {
		size_t len = (size_t)(i * i * 7 % (i % 3 ? 200 : BYTES));
		const struct udp_pair *to = i / 4 % 2 ? &q : &p;

		memset(text[i], 'a' + i % 26, len);
		/* one in eleven in two parts, which no batch takes */
		iov[i][0] = (struct iovec){ text[i], i % 11 ? len : len / 2 };
		iov[i][1] = (struct iovec){ text[i] + len / 2, len - len / 2 };
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = (void *)(uintptr_t)&to->addr, .msg_namelen = to->addr_len,
						   .msg_iov = iov[i], .msg_iovlen = i % 11 ? 1 : 2 };
	}
	say("sendmmsg", sendmmsg(p.client, msgs, N, 0));
	settle();
	for (int i = 0; i < N; i++) {
		long n = recv(i / 4 % 2 ? q.server : p.server, buf, i % 5 ? sizeof(buf) : 50, MSG_DONTWAIT | MSG_TRUNC);

		printf("%d: %ld bytes, length sent %u, %c%c\n", i, n, msgs[i].msg_len, n > 0 ? buf[0] : '-',
		       n > 0 && n <= 50 ? buf[n - 1] : '-');
	}
	say("nothing is left", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	say("nothing is left", recv(q.server, buf, sizeof(buf), MSG_DONTWAIT));
	udp_close(&p);
	udp_close(&q);
}

static void test_udp_ready(void)
{
	struct timeval tv = { .tv_usec = 50000 };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 }, got[4];
	struct udp_pair p;
	char buf[64];
	int ep = epoll_create1(0), n;

	title("readiness");
	udp_open(&p, AF_INET6, "::1");
	say_bits("poll, fresh", poll_now(p.client, 0));
	say_bits("poll, bound", poll_now(p.server, 0));
	say("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev));
	say("epoll_wait", epoll_wait(ep, got, 4, 50));
	to_server(&p, "ding");
	n = epoll_wait(ep, got, 4, EVENTUALLY_MS);
	say("epoll_wait", n);
	say_bits("it", n > 0 ? got[0].events : 0);
	say("edge: not again", epoll_wait(ep, got, 4, 50));
	say_bits("poll", poll_now(p.server, 0));
	to_server(&p, "dong");
	say("edge: again", epoll_wait(ep, got, 4, EVENTUALLY_MS));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	say_bits("poll", poll_now(p.server, 0));
	say("SO_RCVTIMEO", setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	ev.events = EPOLLOUT;
	say("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev));
	n = epoll_wait(ep, got, 4, EVENTUALLY_MS);
	say_bits("writable", n > 0 ? got[0].events : 0);
	close(ep);
	udp_close(&p);
}

/* Nobody there, at once and after a while */
static void test_udp_refused(void)
{
	int err = -1;
	socklen_t len = sizeof(err);
	struct udp_pair p;
	char buf[64];

	title("nobody there");
	udp_open(&p, AF_INET, "127.0.0.1");
	connect(p.client, (struct sockaddr *)&p.addr, p.addr_len);
	say("send", send(p.client, "a", 1, 0));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	close(p.server);
	say("send", send(p.client, "b", 1, 0));
	settle();
	say_bits("poll", poll_now(p.client, 0) & POLLERR);
	say("SO_ERROR", getsockopt(p.client, SOL_SOCKET, SO_ERROR, &err, &len));
	printf("%s\n", err ? strerrorname_np(err) : "none");
	say("send", send(p.client, "c", 1, 0));
	settle();
	say("FIONREAD", ioctl(p.client, FIONREAD, &err));
	printf("%d\n", err);
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	close(p.client);

	title("nobody there any more, not connected");
	udp_open(&p, AF_INET, "127.0.0.1");
	to_server(&p, "a");
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	close(p.server);
	say("sendto", to_server(&p, "b"));
	settle();
	say("sendto", to_server(&p, "c"));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	close(p.client);
}

/* ... and it is still to be told when an option makes the socket the kernel's. */
static void test_udp_refused_kept(int family, const char *text, int level, int option, int value)
{
	struct pollfd pfd = { .events = 0 };
	struct udp_pair p;
	char buf[64];

	title("nobody there any more, and then an option that only the kernel knows");
	udp_open(&p, family, text);
	must("connect", !connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("send", send(p.client, "a", 1, 0));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	close(p.server);
	say("send", send(p.client, "b", 1, 0));
	pfd.fd = p.client;
	say("an error", poll(&pfd, 1, EVENTUALLY_MS));
	say("the option", setsockopt(p.client, level, option, &value, sizeof(value)));
	say_bits("poll", poll_now(p.client, 0));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	close(p.client);
}

/* What the last one that was sent by the kernel set off is told before anything goes over a channel, or comes. */
static void test_udp_refused_then(void)
{
	struct mmsghdr many = { .msg_hdr = { .msg_iov = &(struct iovec){ "m", 1 }, .msg_iovlen = 1 } };
	struct sockaddr_storage nobody;
	struct udp_pair p;
	socklen_t len;
	char buf[64];

	title("nobody there, then somebody else");
	udp_open(&p, AF_INET, "127.0.0.1");
	close(udp_bound(AF_INET, "127.0.0.1", &nobody, &len));
	say("to the server", to_server(&p, "a"));
	connect(p.client, (struct sockaddr *)&nobody, len);
	for (int i = 0; i < 4; i++) {
		say("to nobody", i == 2 ? sendmmsg(p.client, &many, 1, 0) : send(p.client, "b", 1, 0));
		settle();
		if (i == 3)
			say("recvmmsg of nothing", recvmmsg(p.client, NULL, 0, 0, NULL));
		say("to the server", to_server(&p, "c"));
		say("to the server", to_server(&p, "d"));
	}
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	udp_close(&p);
}

/* Who has sent over a channel, and goes on by the kernel: before the first one has been read */
static void test_udp_order(void)
{
	struct udp_pair p;
	char buf[64];

	title("first by one way, then by the other");
	udp_open(&p, AF_INET, "127.0.0.1");
	say("first", to_server(&p, "first"));
	check_udp_path(&p);
	say_bits("poll", poll_now(p.server, 0));
	say("pieces", sendto(p.client, "sec", 3, MSG_MORE, (struct sockaddr *)&p.addr, p.addr_len));
	say("pieces", sendto(p.client, "ond", 3, 0, (struct sockaddr *)&p.addr, p.addr_len));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	udp_close(&p);
}

/* More waits in the kernel than is read before the other way gets its turn: it came first all the same. */
static void test_udp_backlog(int family, const char *text)
{
	enum { PART = 100 };
	struct udp_pair p;
	char buf[16], want[16];
	int bad = 0;

	title("much by one way, then by the other");
	p.server = udp_bound(family, text, &p.addr, &p.addr_len);
	p.client = socket(family, SOCK_DGRAM, 0);
	for (int i = 0; i < 2 * PART; i++) {
		snprintf(want, sizeof(want), "%d", i);
		to_server(&p, want);
		if (i != PART - 1)
			continue;
		say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0)); /* it is on channels from now on, and the client hears of that */
		settle();
	}
	for (int i = 1; i < 2 * PART; i++) {
		long n = recv(p.server, buf, sizeof(buf), 0);

		snprintf(want, sizeof(want), "%d", i);
		bad += n != (long)strlen(want) || memcmp(buf, want, (size_t)n) != 0;
	}
	say("out of order", bad);
	udp_close(&p);
}

static void test_udp_v6only(void)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	struct udp_pair p;
	int on = 1, fd;

	title("IPv6 alone, to an address of IPv4");
	udp_open(&p, AF_INET, "127.0.0.1");
	mapped.sin6_port = ((struct sockaddr_in *)&p.addr)->sin_port;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	say("sendto", sendto(fd, "a", 1, 0, (struct sockaddr *)&mapped, sizeof(mapped)));
	close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	say("IPV6_V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	say("sendto", sendto(fd, "a", 1, 0, (struct sockaddr *)&mapped, sizeof(mapped)));
	say("connect", connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)));
	close(fd);
	udp_close(&p);
}

static void *recv_one(void *arg)
{
	static char buf[64];

	return recv(*(int *)arg, buf, sizeof(buf), 0) > 0 ? buf : NULL;
}

/* A thread waits in recv() on a socket without a name while another sends through it. */
static void test_udp_threads(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct udp_pair p;
	pthread_t thread;
	char buf[64];
	void *ret;

	title("a thread waits before the first datagram");
	udp_open(&p, AF_INET, "127.0.0.1");
	pthread_create(&thread, NULL, recv_one, &p.client);
	settle();
	say("sendto", to_server(&p, "question"));
	say_text("recv", buf,
		 recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	say("answer", sendto(p.server, "answer", 6, 0, (struct sockaddr *)&from, len));
	pthread_join(thread, &ret);
	printf("it got: %s\n", ret ? (char *)ret : "nothing");
	udp_close(&p);
}

static void *recv_result(void *arg)
{
	static char buf[64];
	long r = recv(*(int *)arg, buf, sizeof(buf), 0);

	return (void *)(r < 0 ? -(long)errno : r);
}

/* shutdown() ends a wait, and what is sent after it fails. */
static void test_udp_shutdown(void)
{
	struct udp_pair p;
	pthread_t thread;
	char buf[8];
	void *ret;

	title("shutdown");
	udp_open(&p, AF_INET, "127.0.0.1");
	connect(p.client, (struct sockaddr *)&p.addr, p.addr_len);
	say("send", send(p.client, "a", 1, 0));
	pthread_create(&thread, NULL, recv_result, &p.client);
	settle();
	say("shutdown", shutdown(p.client, SHUT_RDWR));
	pthread_join(thread, &ret);
	say("recv", (long)ret);
	say("recv", recv(p.client, buf, sizeof(buf), 0));
	say("send", send(p.client, "b", 1, MSG_NOSIGNAL));
	udp_close(&p);
}

/* A descriptor is closed while a thread waits in it, and another socket gets its number. */
static void test_udp_closed(void)
{
	struct sockaddr_storage addr;
	struct udp_pair p;
	pthread_t thread;
	socklen_t len;
	int fd, again;
	char buf[64];
	void *ret;

	title("closed under a thread");
	udp_open(&p, AF_INET, "127.0.0.1");
	fd = p.server;
	pthread_create(&thread, NULL, recv_result, &fd);
	settle();
	close(p.server);
	again = udp_bound(AF_INET, "127.0.0.1", &addr, &len);
	printf("the same number: %d\n", again == p.server);
	sendto(p.client, "for the new one", 15, 0, (struct sockaddr *)&addr, len);
	say_text("recv", buf, recv(again, buf, sizeof(buf), 0));
	sendto(p.client, "for the old one", 15, 0, (struct sockaddr *)&p.addr, p.addr_len);
	pthread_join(thread, &ret);
	say("the old one's", (long)ret);
	close(again);
	close(p.client);
}

/* Readable and writable at once, by edge and by level */
static void test_udp_both(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET }, got[2];
	struct udp_pair p;
	int ep = epoll_create1(0), n;

	title("readable and writable");
	udp_open(&p, AF_INET, "127.0.0.1");
	to_server(&p, "waits");
	settle();
	epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev);
	n = epoll_wait(ep, got, 2, EVENTUALLY_MS);
	say_bits("edge", n > 0 ? got[0].events : 0);
	ev.events = EPOLLIN | EPOLLOUT;
	epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &ev);
	n = epoll_wait(ep, got, 2, EVENTUALLY_MS);
	say_bits("level", n > 0 ? got[0].events : 0);
	close(ep);
	udp_close(&p);
}

/* Several sockets on one port: the kernel knows whose a datagram is. */
static void test_udp_shared(void)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct udp_pair p;
	int child, on = 1;
	char buf[64];

	title("two sockets on one port");
	p.client = socket(AF_INET, SOCK_DGRAM, 0);
	p.server = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(p.server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	p.addr = (struct sockaddr_storage){ .ss_family = AF_INET };
	((struct sockaddr_in *)&p.addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p.addr_len = sizeof(struct sockaddr_in);
	say("bind", bind(p.server, (struct sockaddr *)&p.addr, p.addr_len));
	getsockname(p.server, (struct sockaddr *)&p.addr, &p.addr_len);
	to_server(&p, "one");
	say_text("recvfrom", buf,
		 recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &len));
	child = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(child, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	say("bind", bind(child, (struct sockaddr *)&p.addr, p.addr_len));
	say("connect", connect(child, (struct sockaddr *)&name, len));
	to_server(&p, "two");
	settle();
	say_text("the connected one", buf, recv(child, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("the other", buf, recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	close(child);
	udp_close(&p);
}

/* As iperf3's server does: the socket that got the first datagram is its sender's, another one hears the next sender. */
static void test_udp_served(int family, const char *text)
{
	struct sockaddr_storage name, nobody = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(name);
	int next, stranger, on = 1;
	struct udp_pair p;
	char buf[64];

	title("a connected socket and another on one port");
	udp_open(&p, family, text);
	stranger = socket(family, SOCK_DGRAM, 0);
	setsockopt(p.server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	to_server(&p, "one");
	say_text("recvfrom", buf, recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &len));
	say("connect", connect(p.server, (struct sockaddr *)&name, len));
	next = socket(family, SOCK_DGRAM, 0);
	setsockopt(next, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	say("bind", bind(next, (struct sockaddr *)&p.addr, p.addr_len));
	to_server(&p, "two");
	settle();
	check_udp_path(&p);
	say_text("of the peer, the connected one", buf, recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("... the other", buf, recv(next, buf, sizeof(buf), MSG_DONTWAIT));
	sendto(stranger, "three", 5, 0, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	check_udp_path(&p);
	say_text("of another, the connected one", buf, recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	say_text("... the other", buf, recv(next, buf, sizeof(buf), MSG_DONTWAIT));
	say("answer", send(p.server, "four", 4, 0));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), 0));
	/* Now both hear anyone. */
	say("disconnect", connect(p.server, (struct sockaddr *)&nobody, sizeof(nobody)));
	settle();
	to_server(&p, "five");
	settle();
	say("one of them", (recv(p.server, buf, sizeof(buf), MSG_DONTWAIT) == 4) +
				   (recv(next, buf, sizeof(buf), MSG_DONTWAIT) == 4));
	close(stranger);
	close(next);
	udp_close(&p);
}

/* One datagram in pieces; "any" as a destination; control messages that channels do not give */
static void test_udp_kernel_only(void)
{
	struct timespec soon = { .tv_nsec = 50000000 };
	struct sockaddr_in any;
	struct mmsghdr msgs[2];
	struct iovec iov[2];
	struct udp_pair p;
	char buf[2][64];
	int on = 1;

	title("pieces");
	udp_open(&p, AF_INET, "127.0.0.1");
	memcpy(&any, &p.addr, sizeof(any));
	any.sin_addr.s_addr = INADDR_ANY;
	say("to any", sendto(p.client, "any", 3, 0, (struct sockaddr *)&any, sizeof(any)));
	say_text("recv", buf[0], recv(p.server, buf[0], sizeof(buf[0]), 0));
	say("MSG_MORE", sendto(p.client, "on", 2, MSG_MORE, (struct sockaddr *)&p.addr, p.addr_len));
	say("rest", to_server(&p, "e"));
	say_text("recv", buf[0], recv(p.server, buf[0], sizeof(buf[0]), 0));
	to_server(&p, "only one");
	for (int i = 0; i < 2; i++) {
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	say("IP_RECVTTL", setsockopt(p.server, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)));
	say("recvmmsg", recvmmsg(p.server, msgs, 1, 0, &soon));
	udp_close(&p);
}

/* What comes beside a datagram by options older than RFC 3542's, and the time of the last one */
static void test_udp_beside(void)
{
	char byte, control[64];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct timeval tv;
	struct udp_pair p;

	title("beside datagrams");
	udp_open(&p, AF_INET6, "::1");
	say("SIOCGSTAMP before", ioctl(p.server, SIOCGSTAMP, &tv));
	to_server(&p, "a");
	say("recv", recv(p.server, &byte, 1, 0));
	say("SIOCGSTAMP", ioctl(p.server, SIOCGSTAMP, &tv));
	say("nowhere", ioctl(p.server, SIOCGSTAMP, NULL));
	say("IPV6_2292HOPLIMIT", setsockopt(p.server, IPPROTO_IPV6, IPV6_2292HOPLIMIT, &(int){ 1 }, sizeof(int)));
	to_server(&p, "b");
	say("recvmsg", recvmsg(p.server, &msg, 0));
	say("control", (long)msg.msg_controllen);
	udp_close(&p);
}

static void test_udp_refusals(void)
{
	struct sockaddr_in all = { .sin_family = AF_INET, .sin_port = htons(9),
				   .sin_addr.s_addr = INADDR_BROADCAST };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage to[4] = { 0 };
	struct udp_pair p;

	title("refusals");
	udp_open(&p, AF_INET, "127.0.0.1");
	to[0] = p.addr;
	say("connect", connect(p.client, (struct sockaddr *)to, p.addr_len));
	say("no address", sendto(p.client, "x", 1, 0, (struct sockaddr *)to, 0));
	say("long address", sendto(p.client, "x", 1, 0, (struct sockaddr *)to, sizeof(to)));
	udp_close(&p);
	say("broadcast", sendto(fd, "x", 1, 0, (struct sockaddr *)&all, sizeof(all)));
	say("IPv6 from IPv4", sendto(fd, "x", 1, 0, (struct sockaddr *)&six, sizeof(six)));
	say("short address", sendto(fd, "x", 1, 0, (struct sockaddr *)&all, 3));
	all.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	all.sin_port = 0;
	say("port 0", sendto(fd, "x", 1, 0, (struct sockaddr *)&all, sizeof(all)));
	say("listen", listen(fd, 1));
	say("accept", accept(fd, NULL, NULL));
	say("shutdown", shutdown(fd, SHUT_RDWR));
	say("MSG_OOB", sendto(fd, "x", 1, MSG_OOB, (struct sockaddr *)&all, sizeof(all)));
	close(fd);
}

/* More than a socket carries before it is worth a lease: DGRAM_FEW of src/sock/dgram_priv.h */
enum { MANY = 40 };

/* Who was the kernel's when he was last asked about is asked about again after a while, a second at most. */
static void until_on_channel(const struct udp_pair *p)
{
	char buf[64];

	for (int i = 0; i < 50; i++) {
		settle();
		to_server(p, "last");
		if (on_kernel() || !kernel_queue(&p->addr))
			break;
		recv(p->server, buf, sizeof(buf), 0);
	}
	check_udp_path(p);
	say_text("recv", buf, recv(p->server, buf, sizeof(buf), 0));
}

/* Who asks the kernel's, as a resolver does, isn't leased before it has carried many; whatever it has set, and though it has bound a port. */
static void test_udp_asks(int family, const char *text, bool group, bool connects)
{
	struct sockaddr_storage kernel_addr;
	int kernel, on = 1, left = 0;
	struct udp_pair p;
	socklen_t len;
	char buf[64];

	title("who asks the kernel's first");
	kernel = udp_bound(family, text, &kernel_addr, &len); /* nobody reads: it stays that */
	p.server = socket(family, SOCK_DGRAM, 0);
	p.client = socket(family, SOCK_DGRAM, 0);
	p.addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	p.addr_len = len;
	if (group)
		say("SO_REUSEPORT", setsockopt(p.server, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	say("bind", bind(p.server, (struct sockaddr *)&p.addr, len));
	if (connects)
		say("connect", connect(p.server, (struct sockaddr *)&kernel_addr, len));
	else
		say("sendto", sendto(p.server, "question", 8, 0, (struct sockaddr *)&kernel_addr, len));
	for (int i = 0; i < MANY; i++) /* what isn't there does not count */
		left += recv(p.server, buf, sizeof(buf), MSG_DONTWAIT) < 0;
	say("recv", left);
	left = 0;
	getsockname(p.server, (struct sockaddr *)&p.addr, &len);
	if (family == AF_INET)
		((struct sockaddr_in *)&p.addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&p.addr)->sin6_addr = in6addr_loopback;
	say("answer", sendto(connects ? kernel : p.client, "answer", 6, 0, (struct sockaddr *)&p.addr, len));
	settle();
	check_in_kernel(&p.addr, true);
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	for (int i = 0; i < MANY && !connects; i++) {
		to_server(&p, "more");
		left += recv(p.server, buf, sizeof(buf), 0) != 4;
	}
	say("lost", left);
	if (!connects)
		until_on_channel(&p);
	close(kernel);
	udp_close(&p);
}

/* A socket for each question: from the fourth on it is the kernel's, until it is read from after many. */
static void test_udp_few(int family, const char *text, bool connects)
{
	struct sockaddr_storage from;
	socklen_t len;
	struct udp_pair p;
	char buf[64], want[16];
	int bad = 0;

	title("a socket for each question");
	udp_open(&p, family, text);
	for (int i = 0; i < 6; i++) {
		close(p.client);
		p.client = socket(family, SOCK_DGRAM, 0);
		if (connects)
			say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
		say("question", to_server(&p, "question"));
		settle();
		check_in_kernel(&p.addr, on_kernel() || i >= 3);
		len = sizeof(from);
		recvfrom(p.server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		say("answer", sendto(p.server, "answer", 6, 0, (struct sockaddr *)&from, len));
		say_text("recv", buf, recv(p.client, buf, sizeof(buf), 0));
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "%d", i);
		to_server(&p, want);
	}
	for (int i = 0; i < MANY; i++) {
		long n = recv(p.server, buf, sizeof(buf), 0);

		snprintf(want, sizeof(want), "%d", i);
		bad += n != (long)strlen(want) || memcmp(buf, want, (size_t)n) != 0;
	}
	say("out of order", bad);
	say("recv", recv(p.client, buf, sizeof(buf), MSG_DONTWAIT));
	to_server(&p, "last");
	check_udp_path(&p);
	say_text("recv", buf, recv(p.server, buf, sizeof(buf), 0));
	say("answer", sendto(p.server, "answer", 6, 0, (struct sockaddr *)&from, len));
	say_text("recv", buf, recv(p.client, buf, sizeof(buf), 0));
	udp_close(&p);
}

void calls_udp(void)
{
	test_exchange(AF_INET, "127.0.0.1");
	test_exchange(AF_INET6, "::1");
	test_exchange(AF_INET6, "::ffff:127.0.0.1");
	test_connected();
	test_sizes();
	test_udp_mtu(AF_INET, "127.0.0.1");
	test_udp_mtu(AF_INET6, "::1");
	test_msg(AF_INET, "127.0.0.1");
	test_msg(AF_INET6, "::1");
	test_udp_mmsg();
	test_udp_runs(AF_INET, "127.0.0.1");
	test_udp_runs(AF_INET6, "::1");
	test_udp_ready();
	test_udp_refused();
	test_udp_refused_kept(AF_INET, "127.0.0.1", SOL_SOCKET, SO_TIMESTAMPING, 24);
	test_udp_refused_kept(AF_INET, "127.0.0.1", IPPROTO_IP, IP_MINTTL, 1);
	test_udp_refused_kept(AF_INET6, "::1", IPPROTO_IPV6, IPV6_MINHOPCOUNT, 1);
	test_udp_refused_then();
	test_udp_order();
	test_udp_backlog(AF_INET, "127.0.0.1");
	test_udp_backlog(AF_INET6, "::1");
	test_udp_v6only();
	test_udp_threads();
	test_udp_shutdown();
	test_udp_closed();
	test_udp_both();
	test_udp_shared();
	test_udp_served(AF_INET, "127.0.0.1");
	test_udp_served(AF_INET6, "::1");
	test_udp_kernel_only();
	test_udp_beside();
	test_udp_refusals();
	test_udp_asks(AF_INET, "127.0.0.1", false, false);
	test_udp_asks(AF_INET, "127.0.0.1", true, true);
	test_udp_asks(AF_INET6, "::1", true, false);
	test_udp_few(AF_INET, "127.0.0.1", false);
	test_udp_few(AF_INET6, "::1", true);
}
