// SPDX-License-Identifier: BSD-2-Clause
/*
 * calls - every call of the sockets layer in a fixed order; prints what each one did
 *
 * The same binary runs on the kernel and under the preload; the two transcripts must be equal (run_calls.sh). So nothing is
 * printed that may differ: no descriptor numbers, ports, times.
 *
 * usage: calls [channel|kernel [PART]]
 * The first word says on which path connections must be; checked against /proc/net/tcp.
 */
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
static volatile sig_atomic_t sigpipes, alarms;

/* ---- printing --------------------------------------------------------------------------------------------------- */

static void say(const char *what, long ret)
{
	if (ret < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, ret);
	fflush(stdout);
}

static void title(const char *text)
{
	printf("-- %s\n", text);
}

static void say_bits(const char *what, uint32_t bits)
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

static uint32_t poll_now(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };

	return poll(&p, 1, timeout_ms) > 0 ? (uint32_t)p.revents : 0;
}

/* On a channel nothing happens at once in another way than in the kernel; but give either the time. */
static void settle(void)
{
	usleep(100000);
}

static void must(const char *what, bool ok)
{
	if (ok)
		return;
	printf("%s: FAILED: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

struct pair {
	int listener, client, server;
	struct sockaddr_storage addr;
	socklen_t addr_len;
};

static void address(struct pair *p, int family, const char *text)
{
	p->addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET) {
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&p->addr)->sin_addr);
		p->addr_len = sizeof(struct sockaddr_in);
	} else {
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&p->addr)->sin6_addr);
		p->addr_len = sizeof(struct sockaddr_in6);
	}
}

static void listen_on(struct pair *p, int family, const char *text)
{
	address(p, family, text);
	p->listener = socket(family, SOCK_STREAM, 0);
	must("socket", p->listener >= 0);
	must("bind", !bind(p->listener, (struct sockaddr *)&p->addr, p->addr_len));
	must("listen", !listen(p->listener, 16));
	must("getsockname", !getsockname(p->listener, (struct sockaddr *)&p->addr, &p->addr_len));
}

static unsigned port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	must("name", !name(fd, (struct sockaddr *)&a, &len));
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

/* Is the connection of this socket one of the kernel's? Both ports: others use the machine too. */
static bool kernel_has(int fd)
{
	unsigned want_local = port_of(fd, getsockname), want_remote = port_of(fd, getpeername);
	unsigned local, remote, state;
	char line[256];
	bool found = false;

	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? "/proc/net/tcp6" : "/proc/net/tcp", "r");

		while (f && fgets(line, sizeof(line), f))
			found |= sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %x", &local,
					&remote, &state) == 3 &&
				 local == want_local && remote == want_remote && state == 1;
		if (f)
			fclose(f);
	}
	return found;
}

static void check_path(int fd)
{
	if (kernel_has(fd) != !strcmp(expect_path, "kernel")) {
		printf("FAILED: connection is not on the %s\n", expect_path);
		exit(1);
	}
}

static void pair_open(struct pair *p, int family, const char *text)
{
	listen_on(p, family, text);
	p->client = socket(family, SOCK_STREAM, 0);
	must("connect", !connect(p->client, (struct sockaddr *)&p->addr, p->addr_len));
	p->server = accept(p->listener, NULL, NULL);
	must("accept", p->server >= 0);
	check_path(p->client);
}

static void pair_close(struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
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
	p.client = socket(family, SOCK_STREAM, 0);
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
	check_path(p.client);
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
	getsockname(l, (struct sockaddr *)&any, &len);
	to.sin_port = any.sin6_port;
	c = socket(AF_INET, SOCK_STREAM, 0);
	say("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	s = accept(l, NULL, NULL);
	names_of("client", c, ntohs(any.sin6_port));
	names_of("server", s, ntohs(any.sin6_port));
	check_path(c);
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
	say("poll", (long)(poll_now(p.server, 1000) & POLLIN));
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

static void *drain(void *arg)
{
	int fd = *(int *)arg;
	static char buf[65536];
	uint64_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)buf[i];
	printf("sum %016llx\n", (unsigned long long)sum);
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
	while ((n = send(p.client, buf, sizeof(buf), 0)) > 0)
		sent += (size_t)n;
	say("send at last", n);
	say("sent something", sent > sizeof(buf));
	say("writable", (poll_now(p.client, 0) & POLLOUT) != 0);
	while (got < sent && (n = recv(p.server, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	say("all came", got == sent);
	say_bits("poll", poll_now(p.client, 1000));
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
	say_bits("poll", poll_now(p.server, 1000));
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
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	say_bits("fresh", poll_now(p.client, 0));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("client", poll_now(p.client, 1000));
	say_so_error("SO_ERROR", p.client);
	say("connect again", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("connect once more", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	settle();
	say_bits("listener", poll_now(p.listener, 1000));
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
	check_path(p.client);
	pair_close(&p);
}

static void test_refused(void)
{
	struct pair p;
	int c;

	title("refused");
	listen_on(&p, AF_INET, "127.0.0.1");
	close(p.listener);
	c = socket(AF_INET, SOCK_STREAM, 0);
	say("connect", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("poll", poll_now(c, 0));
	say("write", send(c, "x", 1, MSG_NOSIGNAL));
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("connect", connect(c, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("poll", poll_now(c, 1000));
	say_so_error("SO_ERROR", c);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
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
	p.client = socket(AF_INET, SOCK_STREAM, 0);
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

	fd = socket(AF_INET, SOCK_STREAM, 0);
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
	p.client = socket(AF_INET, SOCK_STREAM, 0);
	set_get("TCP_NODELAY", p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	get_only("client TCP_NODELAY", p.client, IPPROTO_TCP, TCP_NODELAY);
	get_only("server TCP_NODELAY", p.server, IPPROTO_TCP, TCP_NODELAY);
	get_only("server TCP_KEEPIDLE", p.server, IPPROTO_TCP, TCP_KEEPIDLE);
	get_only("listener SO_ACCEPTCONN", p.listener, SOL_SOCKET, SO_ACCEPTCONN);
	pair_close(&p);
}

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
	ep_wait("wait", ep, 1000);
	settle(); /* while channels keep it busy, the kernel's side is looked at every 50 us */
	ep_wait("wait", ep, 1000);
	settle();
	read(p.server, buf, 1);
	ep_ctl("mod client", ep, EPOLL_CTL_MOD, p.client, EPOLLIN, 2);
	ep_wait("wait", ep, 1000);
	read(pipes[0], buf, 1);
	read(efd, &one, 8);
	ep_wait("wait, nothing", ep, 0);
	ep_wait("wait 30 ms, nothing", ep, 30);
	shutdown(p.client, SHUT_WR);
	ep_wait("wait", ep, 1000);
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
	ep_wait("wait", ep, 1000);
	ep_wait("no news", ep, 0);
	write(p.client, "abc", 3);
	ep_wait("wait", ep, 1000);
	ep_wait("no news", ep, 0);
	read(p.server, buf, 1);
	ep_wait("no news", ep, 0);
	write(p.client, "abc", 3);
	ep_wait("wait", ep, 1000);
	ep_ctl("mod", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET, 2);
	ep_wait("again after mod", ep, 1000);
	ep_ctl("one-shot", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT, 3);
	ep_wait("wait", ep, 1000);
	ep_wait("spent", ep, 0);
	write(p.client, "abc", 3);
	settle();
	ep_wait("spent", ep, 0);
	ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT, 4);
	ep_wait("wait", ep, 1000);
	close(p.client);
	settle();
	ep_wait("spent", ep, 0);
	ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLRDHUP, 5);
	ep_wait("wait", ep, 1000);
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
	early = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ep_ctl("add fresh", ep, EPOLL_CTL_ADD, early, EPOLLOUT, 2);
	connect(early, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	ep_wait("wait", ep, 1000);
	ep_wait("wait", ep, 1000);
	p.server = accept(p.listener, NULL, NULL);
	ep_wait("accepted", ep, 0);
	if (oneshot)
		ep_ctl("armed again", ep, EPOLL_CTL_MOD, p.listener, EPOLLIN | EPOLLONESHOT, 3);
	p.client = socket(AF_INET, SOCK_STREAM, 0);
	connect(p.client, (struct sockaddr *)&p.addr, p.addr_len);
	settle();
	ep_ctl("del client", ep, EPOLL_CTL_DEL, early, 0, 0);
	ep_wait("wait", ep, 1000);
	close(early);
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
	ep_wait("outer", out, 1000);
	ep_ctl("socket into outer", out, EPOLL_CTL_ADD, p.server, EPOLLIN, 3);
	ep_wait("outer", out, 1000);
	say_bits("poll on inner", poll_now(in, 1000));
	ep_wait("inner", in, 1000);
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
	say("socket", poll(fds, 4, 1000));
	say_bits("server", (uint32_t)fds[0].revents);
	write(pipes[1], "x", 1);
	say("both", poll(fds, 4, 1000));
	say_bits("pipe", (uint32_t)fds[1].revents);
	read(p.server, buf, 1);
	say("pipe", poll(fds, 4, 1000));
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static void test_select(void)
{
	struct timeval tv = { 0, 20000 };
	struct timespec ts = { 1, 0 };
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

static void test_timeouts(void)
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
	say("after 100 ms", ms_since(&start) >= 95 && ms_since(&start) < 1000);
	write(p.client, "x", 1);
	say("recv WAITALL gets what there is", recv(p.server, buf, 4, MSG_WAITALL));
	clock_gettime(CLOCK_MONOTONIC, &start);
	fd = accept(p.listener, NULL, NULL);
	say("accept", fd);
	say("after 100 ms", ms_since(&start) >= 95 && ms_since(&start) < 1000);
	pair_close(&p);
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void alarm_in(int flags, long ms, long every_ms)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { .it_value = { 0, ms * 1000 },
				.it_interval = { 0, every_ms * 1000 } };

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

static void test_signals(void)
{
	struct timeval tv = { 1, 0 };
	struct epoll_event ev;
	struct pair p;
	sigset_t none, block, old;
	struct timespec ts = { 1, 0 };
	struct pollfd pfd;
	char buf[8];
	pthread_t t;
	int ep;

	title("signals");
	signal(SIGPIPE, SIG_IGN); /* so that the only handler is the alarm's */
	pair_open(&p, AF_INET, "127.0.0.1");
	alarm_in(0, 50, 0);
	say("recv interrupted", recv(p.server, buf, 8, 0));
	alarm_in(SA_RESTART, 50, 0);
	pthread_create(&t, NULL, write_later, &p.client);
	say("recv restarted", recv(p.server, buf, 8, 0));
	say("alarms", alarms);
	pthread_join(t, NULL);
	alarm_in(SA_RESTART, 50, 0);
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("recv with time-out is not restarted", recv(p.server, buf, 8, 0));
	pfd = (struct pollfd){ .fd = p.server, .events = POLLIN };
	alarm_in(SA_RESTART, 50, 0);
	say("poll is never restarted", poll(&pfd, 1, 1000));
	ep = epoll_create1(0);
	ep_ctl("add", ep, EPOLL_CTL_ADD, p.server, EPOLLIN, 1);
	alarm_in(SA_RESTART, 50, 0);
	say("nor epoll_wait", epoll_wait(ep, &ev, 1, 1000));

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
	say("epoll_pwait lets it through", epoll_pwait(ep, &ev, 1, 1000, &none));
	say("alarms", alarms);
	alarm_in(0, 20, 0);
	usleep(50000);
	say("epoll_pwait2 lets it through", epoll_pwait2(ep, &ev, 1, &ts, &none));
	say("alarms", alarms);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(ep);
	pair_close(&p);
}

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
	p.client = socket(AF_INET, SOCK_STREAM, 0);
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
	test_refused();
}

static void epolls(void)
{
	test_epoll();
	test_epoll_edge();
	test_epoll_accept(false);
	test_epoll_accept(true);
	test_epoll_nested();
}

static void polls(void)
{
	test_poll_mixed();
	test_select();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = { { "names", names },
		      { "data", data },
		      { "ends", ends },
		      { "nonblocking", nonblocking },
		      { "dup", test_dup },
		      { "options", test_options },
		      { "epoll", epolls },
		      { "poll", polls },
		      { "timeouts", test_timeouts },
		      { "signals", test_signals } };

	if (argc > 1)
		expect_path = argv[1];
	signal(SIGPIPE, on_pipe);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc < 3 || !strcmp(argv[2], parts[i].name))
			parts[i].run();
	printf("end\n");
	return 0;
}
