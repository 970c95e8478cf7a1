// SPDX-License-Identifier: BSD-2-Clause
/*
 * calls - every call of the sockets layer in a fixed order; prints what each one did
 *
 * The same binary runs on the kernel and under the preload; the two transcripts must be equal (run_calls.sh). So nothing is
 * printed that may differ: no descriptor numbers, ports, times.
 *
 * usage: calls [channel|kernel [PART]]
 * The first word says on which path connections must be; checked against what the kernel has. With $CALLS_IPV6 what is played over IPv4 is over IPv6.
 */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *expect_path = "kernel";
static volatile sig_atomic_t sigpipes;

/* ---- printing --------------------------------------------------------------------------------------------------- */

void say(const char *what, long ret)
{
	if (ret < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, ret);
	fflush(stdout);
}

void title(const char *text)
{
	printf("-- %s\n", text);
}

void say_bits(const char *what, uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = { { EPOLLIN, "IN" },   { EPOLLOUT, "OUT" },	    { EPOLLERR, "ERR" },
		      { EPOLLHUP, "HUP" }, { EPOLLRDHUP, "RDHUP" }, { EPOLLPRI, "PRI" },
		      { POLLNVAL, "NVAL" } };

	printf("%s:", what);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bits & names[i].bit)
			printf(" %s", names[i].name);
	printf("\n");
	fflush(stdout);
}

uint32_t poll_now(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	return poll(&p, 1, timeout_ms) > 0 ? (uint32_t)p.revents : 0;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * On a channel nothing happens at once in another way than in the kernel; but give either the time: 100 ms of it in which who
 * wants to run does. Where this thread itself comes late, so may that of the library.
 */
void settle(void)
{
	enum { SLICE_US = 5000, SLICES = 20, LATE_US = 5000, TRIES_MAX = 400 };
	int64_t start_us = now_us(), end_us;

	for (int left = SLICES, tries = 0; left > 0 && tries < TRIES_MAX; tries++) {
		usleep(SLICE_US);
		end_us = now_us();
		left -= end_us - start_us < SLICE_US + LATE_US;
		start_us = end_us;
	}
}

void must(const char *what, bool ok)
{
	if (ok)
		return;
	printf("%s: FAILED: %s\n", what, strerror(errno));
	exit(1);
}

bool on_kernel(void)
{
	return !strcmp(expect_path, "kernel");
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static void say_addr(const char *what, const struct sockaddr_storage *a, socklen_t len, int port_of)
{
	char text[64] = "?";
	int port;

	if (a->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text,
			  sizeof(text));
	port = ntohs(((const struct sockaddr_in *)a)->sin_port);
	printf("%s: family %d len %u %s port %s\n", what, a->ss_family, len, text,
	       port == 0	 ? "none"
	       : port == port_of ? "the listener's"
				 : "some");
}

static void names_of(const char *who, int fd, int port)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	char what[64];

	snprintf(what, sizeof(what), "%s name", who);
	if (getsockname(fd, (struct sockaddr *)&a, &len))
		say(what, -1);
	else
		say_addr(what, &a, len, port);
	snprintf(what, sizeof(what), "%s peer", who);
	len = sizeof(a);
	if (getpeername(fd, (struct sockaddr *)&a, &len))
		say(what, -1);
	else
		say_addr(what, &a, len, port);
}

static void test_names(int family, const char *text)
{
	struct sockaddr_storage a;
	socklen_t len = 4;
	struct pair p;
	int port;

	title(text);
	listen_on(&p, family, text);
	port = ntohs(((struct sockaddr_in *)&p.addr)->sin_port);
	p.client = socket(tcp_family(family), SOCK_STREAM, 0);
	names_of("fresh", p.client, port);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	names_of("client", p.client, port);
	len = sizeof(a);
	p.server = accept(p.listener, (struct sockaddr *)&a, &len);
	say_addr("accept", &a, len, port);
	names_of("server", p.server, port);
	names_of("listener", p.listener, port);
	len = 4;
	say("getsockname short", getsockname(p.client, (struct sockaddr *)&a, &len));
	say("its length", len);
	say("connect again", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("listen on it", listen(p.client, 1));
	say("accept on it", accept(p.client, NULL, NULL));
	check_conn_path(p.client);
	pair_close(&p);
}

static void test_dual_stack(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);
	int l, c, s;

	title("IPv6 listener, IPv4 client");
	l = socket(AF_INET6, SOCK_STREAM, 0);
	say("bind", bind(l, (struct sockaddr *)&any, sizeof(any)));
	say("listen", listen(l, 5));
	wait_first(l);
	getsockname(l, (struct sockaddr *)&any, &len);
	to.sin_port = any.sin6_port;
	c = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	s = accept(l, NULL, NULL);
	names_of("client", c, ntohs(any.sin6_port));
	names_of("server", s, ntohs(any.sin6_port));
	check_conn_path(c);
	close(c);
	close(s);
	close(l);
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

static void test_data(void)
{
	char buf[64] = { 0 };
	struct iovec out[3] = { { (void *)"one", 3 }, { (void *)"", 0 }, { (void *)"two", 3 } };
	struct iovec in[2] = { { buf, 2 }, { buf + 2, 10 } };
	struct msghdr msg = { .msg_iov = out, .msg_iovlen = 3 };
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct pair p;
	int n = 0;

	title("data");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("recv empty DONTWAIT", recv(p.server, buf, 10, MSG_DONTWAIT));
	say("write", write(p.client, "hello", 5));
	say("poll", (long)(poll_now(p.server, EVENTUALLY_MS) & POLLIN));
	say("FIONREAD", ioctl(p.server, FIONREAD, &n));
	say("bytes", n);
	say("peek", recv(p.server, buf, 3, MSG_PEEK));
	say("peek again", recv(p.server, buf, 64, MSG_PEEK));
	say("read 2", read(p.server, buf, 2));
	say("read 0", read(p.server, buf, 0));
	say("recvfrom", recvfrom(p.server, buf, 64, 0, (struct sockaddr *)&from, &len));
	say("its address length", len);
	printf("got %.3s\n", buf);
	say("writev", writev(p.client, out, 3));
	say("recv WAITALL", recv(p.server, buf, 6, MSG_WAITALL));
	printf("got %.6s\n", buf);
	say("sendmsg", sendmsg(p.server, &msg, 0));
	say("readv", readv(p.client, in, 2));
	printf("got %.6s\n", buf);
	msg = (struct msghdr){
		.msg_iov = in, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof(from)
	};
	say("send MORE", send(p.client, "ab", 2, MSG_MORE));
	say("send", send(p.client, "cd", 2, 0));
	settle();
	say("recvmsg WAITALL", recvmsg(p.server, &msg, MSG_DONTWAIT) > 0);
	say("name length", msg.msg_namelen);
	say("flags", msg.msg_flags);
	settle();
	recv(p.server, buf, sizeof(buf), MSG_DONTWAIT);
	say("sendto with address",
	    sendto(p.client, "xyz", 3, 0, (struct sockaddr *)&p.addr, p.addr_len));
	say("recv TRUNC", recv(p.server, NULL, 3, MSG_TRUNC));
	say("recv OOB", recv(p.server, buf, 1, MSG_OOB));
	say("write 0", write(p.client, buf, 0));
	say("recv DONTWAIT", recv(p.server, buf, 10, MSG_DONTWAIT));
	say("lseek", lseek(p.server, 0, SEEK_CUR));
	say("pread", pread(p.server, buf, 1, 0));
	say("SIOCOUTQ", ioctl(p.client, TIOCOUTQ, &n));
	pair_close(&p);
}

/* Not a pointer: what waits stays, what would be sent is not. */
static void test_faults(void)
{
	struct iovec iov[2] = { { (void *)"good", 4 }, { NULL, 4 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct pair p;
	char buf[32];

	title("no pointers");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("recv, nothing there", recv(p.server, NULL, 4, MSG_DONTWAIT));
	say("send", send(p.client, NULL, 4, 0));
	say("send a little above", send(p.client, (void *)(uintptr_t)p.listener, 4, 0));
	say("send nothing", send(p.client, NULL, 0, 0));
	iov[0].iov_base = NULL;
	say("sendmsg", sendmsg(p.client, &msg, 0));
	say("send", send(p.client, "abcd", 4, 0));
	settle();
	say("recv", recv(p.server, NULL, 4, 0));
	say("peek", recv(p.server, NULL, 4, MSG_PEEK));
	say("read", read(p.server, (void *)(uintptr_t)p.listener, 4)); /* a small number */
	say("recv", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	printf("%.4s\n", buf);
	pair_close(&p);
}

static void test_mmsg(void)
{
	char a[8] = "", b[8] = "";
	struct iovec out[2] = { { (void *)"aaa", 3 }, { (void *)"bbb", 3 } },
		     in[2] = { { a, 3 }, { b, 3 } };
	struct mmsghdr mo[2] = { { .msg_hdr = { .msg_iov = &out[0], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &out[1], .msg_iovlen = 1 } } };
	struct mmsghdr mi[2] = { { .msg_hdr = { .msg_iov = &in[0], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &in[1], .msg_iovlen = 1 } } };
	struct pair p;

	title("sendmmsg, recvmmsg");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("sendmmsg", sendmmsg(p.client, mo, 2, 0));
	settle();
	say("recvmmsg", recvmmsg(p.server, mi, 2, 0, NULL));
	printf("got %.3s %.3s\n", a, b);
	pair_close(&p);
}

static void test_sendfile(void)
{
	static char big[100000], back[100000];
	char path[] = "/tmp/vj-calls-XXXXXX";
	int file = mkstemp(path);
	size_t got = 0;
	off_t off = 10;
	struct pair p;
	ssize_t n;

	title("sendfile");
	unlink(path);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	must("write", write(file, big, sizeof(big)) == sizeof(big));
	pair_open(&p, AF_INET, "127.0.0.1");
	say("sendfile", sendfile(p.client, file, &off, 50000));
	say("offset", off);
	lseek(file, 0, SEEK_SET);
	say("sendfile", sendfile(p.client, file, NULL, 10));
	say("position", lseek(file, 0, SEEK_CUR));
	while (got < 50010 && (n = read(p.server, back + got, sizeof(back) - got)) > 0)
		got += (size_t)n;
	say("got", (long)got);
	say("same", !memcmp(back, big + 10, 50000) && !memcmp(back + 50000, big, 10));
	lseek(file, 0, SEEK_END);
	say("at the end", sendfile(p.client, file, NULL, 10));
	close(file);
	pair_close(&p);
}

static uint64_t drained; /* a sum of all that came */

static void *drain(void *arg)
{
	int fd = *(int *)arg;
	static char buf[65536];
	ssize_t n;

	drained = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			drained = drained * 31 + (unsigned char)buf[i];
	return NULL;
}

static void test_bulk(void)
{
	static char buf[1 << 20];
	pthread_t t;
	struct pair p;

	title("bulk, blocking");
	pair_open(&p, AF_INET, "127.0.0.1");
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 13 + i / 251);
	pthread_create(&t, NULL, drain, &p.server);
	for (int i = 0; i < 16; i++)
		must("write", write(p.client, buf, sizeof(buf)) == sizeof(buf));
	say("shutdown", shutdown(p.client, SHUT_WR));
	pthread_join(t, NULL);
	printf("sum %016llx\n", (unsigned long long)drained);
	pair_close(&p);
}

static void test_full(void)
{
	static char buf[1 << 16];
	size_t sent = 0, got = 0;
	struct pair p;
	ssize_t n;

	title("full buffers, non-blocking");
	pair_open(&p, AF_INET, "127.0.0.1");
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3; i++) { /* what is under way makes room once more */
		while ((n = send(p.client, buf, sizeof(buf), 0)) > 0)
			sent += (size_t)n;
		settle();
	}
	say("send at last", n);
	say("sent something", sent > sizeof(buf));
	say("writable", (poll_now(p.client, 0) & POLLOUT) != 0);
	while (got < sent && (n = recv(p.server, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	say("all came", got == sent);
	say_bits("poll", poll_now(p.client, EVENTUALLY_MS));
	pair_close(&p);
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

static void test_shutdown(void)
{
	char buf[16];
	struct pair p;

	title("shutdown");
	pair_open(&p, AF_INET, "127.0.0.1");
	say_bits("client", poll_now(p.client, 0));
	write(p.client, "bye", 3);
	say("shutdown WR", shutdown(p.client, SHUT_WR));
	settle();
	say_bits("client", poll_now(p.client, 0));
	say_bits("server", poll_now(p.server, 0));
	say("read", read(p.server, buf, sizeof(buf)));
	say("end of file", read(p.server, buf, sizeof(buf)));
	say("end of file again", read(p.server, buf, sizeof(buf)));
	say("write after shutdown", write(p.client, "x", 1));
	say("SIGPIPE", sigpipes);
	say("send NOSIGNAL", send(p.client, "x", 1, MSG_NOSIGNAL));
	say("SIGPIPE", sigpipes);
	say("other direction", write(p.server, "still", 5));
	say("read", read(p.client, buf, sizeof(buf)));
	say("shutdown RD", shutdown(p.server, SHUT_RD));
	say_bits("server", poll_now(p.server, 0));
	say("read", read(p.server, buf, sizeof(buf)));
	say("shutdown RDWR", shutdown(p.server, SHUT_RDWR));
	settle();
	say_bits("client", poll_now(p.client, 0));
	say_bits("server", poll_now(p.server, 0));
	say("shutdown bad", shutdown(p.client, 7));
	say("fresh shutdown", shutdown(p.listener, SHUT_WR));
	pair_close(&p);
}

static void say_so_error(const char *what, int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		say(what, -1);
	else
		printf("%s: %s\n", what, err ? strerrorname_np(err) : "0");
}

static void test_reset(bool by_linger, bool ask_error)
{
	struct linger l = { 1, 0 };
	char buf[16];
	struct pair p;

	title(by_linger ? "reset by SO_LINGER" : "reset by unread data");
	pair_open(&p, AF_INET, "127.0.0.1");
	if (by_linger)
		setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	else
		write(p.server, "unread", 6);
	settle();
	say("close", close(p.client));
	settle();
	say_bits("poll", poll_now(p.server, EVENTUALLY_MS));
	if (ask_error) {
		say_so_error("SO_ERROR", p.server);
		say_so_error("SO_ERROR again", p.server);
	} else {
		say("read", read(p.server, buf, sizeof(buf)));
	}
	say_bits("poll", poll_now(p.server, 0));
	say("read", read(p.server, buf, sizeof(buf)));
	sigpipes = 0;
	say("write", write(p.server, "x", 1));
	say("SIGPIPE", sigpipes);
	names_of("server", p.server, 0);
	close(p.server);
	close(p.listener);
}

static void test_broken_write(void)
{
	struct pair p;

	title("writing to who has gone");
	pair_open(&p, AF_INET, "127.0.0.1");
	close(p.client);
	settle();
	say("first write", write(p.server, "x", 1));
	settle();
	sigpipes = 0;
	say("second write", write(p.server, "x", 1));
	say("third write", write(p.server, "x", 1));
	close(p.server);
	close(p.listener);
}

static void test_linger(void)
{
	struct linger l = { 1, 2 };
	char buf[16];
	struct pair p;

	title("SO_LINGER with time");
	pair_open(&p, AF_INET, "127.0.0.1");
	setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	write(p.client, "last", 4);
	say("close", close(p.client));
	say("read", read(p.server, buf, sizeof(buf)));
	say("read", read(p.server, buf, sizeof(buf)));
	close(p.server);
	close(p.listener);
}

/* ---- not blocking ----------------------------------------------------------------------------------------------- */

static void test_nonblock(void)
{
	char buf[4];
	struct pair p;
	int n = 1;

	title("non-blocking");
	listen_on(&p, AF_INET, "127.0.0.1");
	fcntl(p.listener, F_SETFL, O_NONBLOCK);
	say("accept", accept(p.listener, NULL, NULL));
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM | SOCK_NONBLOCK, 0);
	say_bits("fresh", poll_now(p.client, 0));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("client", poll_now(p.client, EVENTUALLY_MS));
	say_so_error("SO_ERROR", p.client);
	say("connect again", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("connect once more", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	settle();
	say_bits("listener", poll_now(p.listener, EVENTUALLY_MS));
	p.server = accept4(p.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	say("accept4", p.server >= 0);
	say("cloexec", fcntl(p.server, F_GETFD));
	say("nonblock", (fcntl(p.server, F_GETFL) & O_NONBLOCK) != 0);
	say("access", fcntl(p.server, F_GETFL) & O_ACCMODE);
	say("accept", accept(p.listener, NULL, NULL));
	say("recv", recv(p.server, buf, 4, 0));
	n = 0;
	say("FIONBIO off", ioctl(p.server, FIONBIO, &n));
	say("nonblock", (fcntl(p.server, F_GETFL) & O_NONBLOCK) != 0);
	n = 1;
	say("FIONBIO on", ioctl(p.server, FIONBIO, &n));
	say("recv", recv(p.server, buf, 4, 0));
	say("accept4 bad flags", accept4(p.listener, NULL, NULL, 1));
	check_conn_path(p.client);
	pair_close(&p);
}

/* The listener has no room for one more: that one's SYN is not answered. */
static void test_given_up(int family, const char *text, int how)
{
	enum { MANY = 16 };
	int fds[MANY], cnt = 0, c;
	struct pair p;
	char buf;

	title("shut down before it is connected");
	listen_on(&p, family, text);
	must("listen", !listen(p.listener, 0));
	do {
		must("fills up", cnt < MANY);
		c = fds[cnt++] = socket(tcp_family(family), SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(c, (struct sockaddr *)&p.addr, p.addr_len);
	} while (poll_now(c, 300) & POLLOUT);
	say("shutdown of nothing known", shutdown(c, 3));
	say("shutdown", shutdown(c, how));
	say_bits("poll", poll_now(c, 0));
	if (how == SHUT_RD)
		say("recv", recv(c, &buf, 1, 0));
	else if (how == SHUT_WR)
		say("send", send(c, "x", 1, MSG_NOSIGNAL));
	say_so_error("SO_ERROR", c);
	say_so_error("SO_ERROR", c);
	say_bits("poll", poll_now(c, 0));
	say("recv", recv(c, &buf, 1, 0));
	say("send", send(c, "x", 1, MSG_NOSIGNAL));
	say("shutdown", shutdown(c, how));
	close(p.listener);
	for (int i = 0; i < cnt; i++)
		close(fds[i]);
}

/* ... and goes on to be connected somewhere else */
static void test_given_up_again(int family, const char *text)
{
	struct pair p, full;
	int others[16], cnt = 0, c;

	title("shut down before it is connected, and connected again");
	listen_on(&full, family, text);
	must("listen", !listen(full.listener, 0));
	do {
		must("fills up", cnt < 16);
		c = others[cnt++] = socket(tcp_family(family), SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(c, (struct sockaddr *)&full.addr, full.addr_len);
	} while (poll_now(c, 300) & POLLOUT);
	say("shutdown", shutdown(c, SHUT_WR));
	say_so_error("SO_ERROR", c);
	listen_on(&p, family, text);
	say("connect", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("poll", poll_now(c, EVENTUALLY_MS));
	p.server = accept(p.listener, NULL, NULL);
	p.client = c;
	say("send", send(c, "x", 1, 0));
	say("recv", recv(p.server, &cnt, 1, 0));
	pair_close(&p);
	close(full.listener);
}

static void test_refused(void)
{
	struct pair p;
	int c;

	title("refused");
	listen_on(&p, AF_INET, "127.0.0.1");
	close(p.listener);
	c = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("connect", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("poll", poll_now(c, 0));
	say("write", send(c, "x", 1, MSG_NOSIGNAL));
	close(c);
	c = socket(tcp_family(AF_INET), SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("connect", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("poll", poll_now(c, EVENTUALLY_MS));
	say_so_error("SO_ERROR", c);
	close(c);
	c = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("bad length", connect(c, (struct sockaddr *)&p.addr, 3));
	p.addr.ss_family = AF_UNIX;
	say("bad family", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	close(c);
	say("closed", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
}

static void test_bound_client(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in b;
	socklen_t len = sizeof(a);
	struct pair p;

	title("client bound before");
	listen_on(&p, AF_INET, "127.0.0.1");
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("bind", bind(p.client, (struct sockaddr *)&a, sizeof(a)));
	getsockname(p.client, (struct sockaddr *)&a, &len);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	len = sizeof(b);
	p.server = accept(p.listener, (struct sockaddr *)&b, &len);
	say("same port", a.sin_port == b.sin_port);
	pair_close(&p);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static void test_dup(void)
{
	char buf[8];
	struct pair p;
	int d, e, pipes[2];

	title("dup");
	pair_open(&p, AF_INET, "127.0.0.1");
	d = dup(p.client);
	say("close original", close(p.client));
	say("write to the copy", write(d, "dup", 3));
	say("read", read(p.server, buf, 8));
	e = fcntl(d, F_DUPFD_CLOEXEC, 100);
	say("F_DUPFD_CLOEXEC", e >= 100);
	say("cloexec", fcntl(e, F_GETFD));
	fcntl(e, F_SETFL, O_NONBLOCK);
	say("flags are shared", (fcntl(d, F_GETFL) & O_NONBLOCK) != 0);
	must("pipe", !pipe(pipes));
	say("dup2 over a pipe", dup2(d, pipes[1]) == pipes[1]);
	say("read end of it", read(pipes[0], buf, 1));
	say("write", write(pipes[1], "two", 3));
	say("read", read(p.server, buf, 8));
	say("dup2 over itself", dup2(d, d) == d);
	say("dup3 over itself", dup3(d, d, 0));
	close(d);
	close(e);
	say("no end of file yet", recv(p.server, buf, 8, MSG_DONTWAIT));
	say("dup2 of the pipe over the last", dup2(pipes[0], pipes[1]) == pipes[1]);
	settle();
	say("end of file", recv(p.server, buf, 8, MSG_DONTWAIT));
	close(pipes[0]);
	close(pipes[1]);
	say("dup closed", dup(pipes[0]));
	say("close closed", close(pipes[0]));
	say("close_range", close_range((unsigned)p.server, (unsigned)p.server, 0));
	say("gone", fcntl(p.server, F_GETFD));
	close(p.listener);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static void set_get(const char *what, int fd, int level, int name, int value)
{
	socklen_t len = sizeof(int);
	char text[64];
	int back = -1;

	snprintf(text, sizeof(text), "set %s %d", what, value);
	say(text, setsockopt(fd, level, name, &value, sizeof(value)));
	snprintf(text, sizeof(text), "get %s", what);
	if (getsockopt(fd, level, name, &back, &len))
		say(text, -1);
	else
		printf("%s: %d (%u)\n", text, back, len);
}

static void get_only(const char *what, int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int back = -1;

	if (getsockopt(fd, level, name, &back, &len))
		say(what, -1);
	else
		printf("%s: %d (%u)\n", what, back, len);
}

static void options_of(const char *who, int fd)
{
	struct timeval tv = { 3, 250000 };
	struct linger l = { 1, 5 };
	socklen_t len;

	title(who);
	get_only("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
	get_only("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	get_only("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
	get_only("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
	get_only("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	set_get("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_get("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 0);
	set_get("TCP_CORK", fd, IPPROTO_TCP, TCP_CORK, 1);
	set_get("TCP_CORK", fd, IPPROTO_TCP, TCP_CORK, 0);
	set_get("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_get("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_get("TCP_KEEPINTVL", fd, IPPROTO_TCP, TCP_KEEPINTVL, 7);
	set_get("TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set_get("TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT, 999);
	set_get("TCP_USER_TIMEOUT", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
	set_get("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_get("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF, 65536);
	set_get("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 65536);
	set_get("IP_TOS", fd, IPPROTO_IP, IP_TOS, 16);
	set_get("unknown", fd, SOL_SOCKET, 9999, 1);
	set_get("unknown level", fd, 9999, 1, 1);
	say("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	tv = (struct timeval){ 0 };
	len = sizeof(tv);
	say("get", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	printf("%ld.%06ld\n", (long)tv.tv_sec, (long)tv.tv_usec / 10000 * 10000);
	say("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	l = (struct linger){ 0 };
	len = sizeof(l);
	say("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	printf("%d %d\n", l.l_onoff, l.l_linger);
	l = (struct linger){ 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	say("short int", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &l, 1));
}

static void test_options(void)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	struct pair p;
	int fd;

	fd = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	options_of("options, fresh", fd);
	close(fd);
	pair_open(&p, AF_INET, "127.0.0.1");
	options_of("options, connected", p.client);
	options_of("options, accepted", p.server);
	say("TCP_INFO", getsockopt(p.client, IPPROTO_TCP, TCP_INFO, &ti, &len));
	say("state", ti.tcpi_state);
	pair_close(&p);

	title("options, inherited and kept");
	listen_on(&p, AF_INET, "127.0.0.1");
	set_get("TCP_NODELAY", p.listener, IPPROTO_TCP, TCP_NODELAY, 1);
	set_get("TCP_KEEPIDLE", p.listener, IPPROTO_TCP, TCP_KEEPIDLE, 99);
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	set_get("TCP_NODELAY", p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	get_only("client TCP_NODELAY", p.client, IPPROTO_TCP, TCP_NODELAY);
	get_only("server TCP_NODELAY", p.server, IPPROTO_TCP, TCP_NODELAY);
	get_only("server TCP_KEEPIDLE", p.server, IPPROTO_TCP, TCP_KEEPIDLE);
	get_only("listener SO_ACCEPTCONN", p.listener, SOL_SOCKET, SO_ACCEPTCONN);
	pair_close(&p);
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

static void on_pipe(int sig)
{
	(void)sig;
	sigpipes++;
}

static void test_stdio(void)
{
	char line[32];
	struct pair p;
	FILE *in, *out;

	title("stdio");
	pair_open(&p, AF_INET, "127.0.0.1");
	out = fdopen(p.client, "w");
	in = fdopen(p.server, "r");
	say("fileno", fileno(out) == p.client && fileno(in) == p.server);
	say("fseek", fseek(in, 1, SEEK_SET));
	say("ftell", ftell(in));
	say("fprintf", fprintf(out, "line %d\n", 1));
	say("fflush", fflush(out));
	say("fgets", fgets(line, sizeof(line), in) != NULL);
	printf("%s", line);
	say("fclose", fclose(out));
	say("end of file", fgets(line, sizeof(line), in) == NULL && feof(in));
	say("fclose", fclose(in));
	close(p.listener);
}

static void test_listener_shutdown(void)
{
	struct pair p;

	title("shutdown of a listener");
	listen_on(&p, AF_INET, "127.0.0.1");
	say("shutdown", shutdown(p.listener, SHUT_RDWR));
	say("accept", accept(p.listener, NULL, NULL));
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	close(p.client);
	close(p.listener);
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

static void names(void)
{
	test_names(AF_INET, "127.0.0.1");
	test_names(AF_INET6, "::1");
	test_names(AF_INET6, "::ffff:127.0.0.1");
	test_dual_stack();
	test_bound_client();
}

static void data(void)
{
	test_data();
	test_faults();
	test_mmsg();
	test_sendfile();
	test_bulk();
	test_full();
	test_stdio();
}

static void ends(void)
{
	test_shutdown();
	test_reset(false, false);
	test_reset(true, false);
	test_reset(true, true);
	test_broken_write();
	test_linger();
	test_listener_shutdown();
}

static void nonblocking(void)
{
	test_nonblock();
	test_given_up(AF_INET, "127.0.0.1", SHUT_RD);
	test_given_up(AF_INET, "127.0.0.1", SHUT_WR);
	test_given_up(AF_INET6, "::1", SHUT_RDWR);
	test_given_up_again(AF_INET, "127.0.0.1");
	test_given_up_again(AF_INET6, "::1");
	test_refused();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		bool both; /* over IPv6 by itself */
	} parts[] = { { "names", names, true },
		      { "data", data, false },
		      { "ends", ends, false },
		      { "nonblocking", nonblocking, false },
		      { "dup", test_dup, false },
		      { "options", test_options, false },
		      { "alloptions", calls_options, false },
		      { "epoll", calls_epoll, false },
		      { "poll", calls_poll, false },
		      { "timeouts", calls_timeouts, false },
		      { "signals", calls_signals, false },
		      { "cancel", calls_cancel, false },
		      { "udp", calls_udp, true },
		      { "ports", calls_ports, false },
		      { "io", calls_io, false },
		      { "edge", calls_edge, false },
		      { "bind", calls_bind, true },
		      { "sets", calls_sets, false },
		      { "jump", calls_jump, false },
		      { "group", calls_group, true },
		      { "interrupt", calls_interrupt, false },
		      { "fds", calls_fds, false },
		      { "number", calls_number, false },
		      { "rare", calls_rare, true } };

	if (argc > 1)
		expect_path = argv[1];
	only_ipv6 = getenv("CALLS_IPV6") != NULL;
	signal(SIGPIPE, on_pipe);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc < 3 ? !only_ipv6 || !parts[i].both : !strcmp(argv[2], parts[i].name))
			parts[i].run();
	printf("end\n");
	return 0;
}
