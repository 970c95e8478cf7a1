// SPDX-License-Identifier: BSD-2-Clause
/* calls_edge.c - flags, control messages, ioctl() and the rest of what programs do rarely. See calls.c. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* ---- flags ------------------------------------------------------------------------------------- */

/* O_NONBLOCK as the kernel has it, for the day when the socket is its alone */
static long kernel_nonblock(int fd)
{
	char path[64];
	unsigned flags = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	must("fdinfo", info && fscanf(info, "pos: %*d flags: %o", &flags) == 1);
	fclose(info);
	return (flags & O_NONBLOCK) != 0;
}

/* Changed under a connection that the socket itself has begun */
static void test_kept_flags(int family, const char *text)
{
	int on = 1;
	struct pair p;

	title("flags that are kept");
	pair_open(&p, family, text);
	say("blocks", kernel_nonblock(p.client));
	say("F_SETFL", fcntl(p.client, F_SETFL, O_NONBLOCK));
	say("doesn't", kernel_nonblock(p.client));
	say("F_SETFL", fcntl(p.client, F_SETFL, 0));
	say("blocks", kernel_nonblock(p.client));
	say("FIONBIO", ioctl(p.client, FIONBIO, &on));
	say("doesn't", kernel_nonblock(p.client));
	pair_close(&p);
}

static void *write_pieces(void *arg)
{
	for (int i = 0; i < 4; i++) {
		usleep(30000);
		write(*(int *)arg, "abcde", 5);
	}
	return NULL;
}

/* MSG_PEEK waits for as much as MSG_WAITALL and SO_RCVLOWAT say, too. */
static void test_peek(void)
{
	static char buf[40000], out[40000];
	struct iovec iov[2] = { { buf, 15000 }, { buf + 15000, 15000 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	int low = 10;
	struct pair p;
	pthread_t t;

	title("peek");
	pair_open(&p, AF_INET, "127.0.0.1");
	pthread_create(&t, NULL, write_pieces, &p.client);
	say("peek WAITALL", recv(p.server, buf, 20, MSG_PEEK | MSG_WAITALL));
	pthread_join(t, NULL);
	settle();
	say("recv", recv(p.server, buf, 20, MSG_DONTWAIT));
	setsockopt(p.server, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	pthread_create(&t, NULL, write_pieces, &p.client);
	say("peek, low water", recv(p.server, buf, 100, MSG_PEEK) >= low);
	pthread_join(t, NULL);
	settle();
	say("recv", recv(p.server, buf, 20, MSG_DONTWAIT));
	say("peek, nothing there", recv(p.server, buf, 20, MSG_PEEK | MSG_DONTWAIT));
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 11 + i / 251);
	write(p.client, out, 30000);
	settle();
	say("peek into pieces", recvmsg(p.server, &msg, MSG_PEEK));
	printf("same: %d\n", !memcmp(buf, out, 30000));
	say("peek TRUNC", recv(p.server, buf, 100, MSG_PEEK | MSG_TRUNC));
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	write(p.client, "xyz", 3);
	shutdown(p.client, SHUT_WR);
	say("peek WAITALL to the end", recv(p.server, buf, 20, MSG_PEEK | MSG_WAITALL));
	say("recv WAITALL to the end", recv(p.server, buf, 20, MSG_WAITALL));
	say("peek at the end", recv(p.server, buf, 20, MSG_PEEK));
	pair_close(&p);
}

static _Atomic int waiter; /* a thread's number; 0: it hasn't begun */

/* Return: the descriptor, or -errno */
static void *accept_late(void *arg)
{
	int fd;

	waiter = gettid();
	fd = accept(*(int *)arg, NULL, NULL);
	return (void *)(intptr_t)(fd < 0 ? -errno : fd);
}

static bool waiter_sleeps(void)
{
	char path[64], stat[256] = "";
	const char *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", waiter);
	f = waiter ? fopen(path, "r") : NULL;
	if (f) {
		fgets(stat, sizeof(stat), f);
		fclose(f);
	}
	state = strrchr(stat, ')');
	return state && state[2] == 'S';
}

/* ... for a while: not only at a lock */
static void until_waiter_sleeps(void)
{
	for (int tried = 0, asleep = 0; asleep < 10 && tried < EVENTUALLY_MS; tried++) {
		usleep(1000);
		asleep = waiter_sleeps() ? asleep + 1 : 0;
	}
}

/* Never on a channel: IP_MINTTL */
static int kernel_client(const struct pair *p)
{
	int ttl = 1, fd = socket(tcp_family(AF_INET), SOCK_STREAM, 0);

	must("IP_MINTTL", fd >= 0 && !setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof(ttl)));
	must("connect", !connect(fd, (const struct sockaddr *)&p->addr, p->addr_len));
	return fd;
}

/* A thread waits in accept() while its number becomes another socket's. It is at the first one, as long as that listens. */
static void test_accept_replaced(bool shut)
{
	struct pair first, second;
	int client, waits_at;
	pthread_t t;
	void *got;

	title(shut ? "accept, shut down and replaced" : "accept, replaced");
	listen_on(&first, AF_INET, "127.0.0.1");
	listen_on(&second, AF_INET, "127.0.0.1");
	say_bits("nobody yet", poll_now(first.listener, 0)); /* on channels from here on */
	waits_at = first.listener;
	waiter = 0;
	must("thread", !pthread_create(&t, NULL, accept_late, &waits_at));
	until_waiter_sleeps();
	if (shut)
		say("shutdown", shutdown(first.listener, SHUT_RDWR));
	must("dup2", dup2(second.listener, first.listener) == first.listener);
	client = kernel_client(shut ? &second : &first);
	must("join", !pthread_join(t, &got));
	/* without a lease, and without a descriptor of its own, it can only say that there is no such socket any more */
	say("accept ended", (intptr_t)got == -EINVAL || (!shut && (intptr_t)got >= 0));
	if ((intptr_t)got >= 0)
		close((int)(intptr_t)got);
	say_bits("at the second", poll_now(second.listener, shut ? EVENTUALLY_MS : 0));
	close(client);
	close(first.listener);
	close(second.listener);
}

/* libc writes by a call of its own. */
static void test_dprintf(void)
{
	char buf[64];
	void (*handler)(int);
	struct pair p;

	title("dprintf");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("dprintf", dprintf(p.server, "line %d of %s\n", 7, "nine"));
	say("recv", recv(p.client, buf, sizeof(buf), 0));
	printf("%.15s", buf);
	say("dprintf, nothing", dprintf(p.server, "%s", ""));
	say("shutdown", shutdown(p.server, SHUT_WR));
	handler = signal(SIGPIPE, SIG_IGN);
	say("dprintf, shut down", dprintf(p.server, "%d", 1));
	signal(SIGPIPE, handler);
	pair_close(&p);
}

static void test_send_nothing(void)
{
	const struct iovec *volatile nowhere = NULL; /* that the compiler doesn't see */
	struct pollfd reset = { .events = 0 };
	struct pair p;

	title("send nothing");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("send", send(p.client, "", 0, MSG_NOSIGNAL));
	say("writev", writev(p.client, NULL, 0));
	say("writev, no array", writev(p.client, nowhere, 1));
	say("pwritev2, no array", pwritev2(p.client, nowhere, 2, -1, 0));
	say("writev of a file, no array", writev(STDOUT_FILENO, nowhere, 1));
	say("shutdown", shutdown(p.client, SHUT_WR));
	say("send", send(p.client, "", 0, MSG_NOSIGNAL));
	pair_close(&p);
	pair_open(&p, AF_INET6, "::1");
	say("send", send(p.client, "x", 1, 0));
	say("peek", recv(p.server, &(char){ 0 }, 1, MSG_PEEK));
	close(p.server);
	p.server = -1;
	reset.fd = p.client;
	say("reset", poll(&reset, 1, EVENTUALLY_MS));
	say("send", send(p.client, "", 0, MSG_NOSIGNAL));
	say("send", send(p.client, "", 0, MSG_NOSIGNAL));
	pair_close(&p);
}

struct onto {
	int from, to;
};

static void *dup_onto(void *arg)
{
	const struct onto *o = arg;

	return (void *)(intptr_t)dup2(o->from, o->to);
}

static unsigned long long cookie_of(int fd)
{
	unsigned long long cookie = 0;
	socklen_t len = sizeof(cookie);

	must("SO_COOKIE", !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	return cookie;
}

/* dup2() waits for what it closes, and the number is the other socket's from its beginning on. */
static void test_dup_lingers(void)
{
	static char bytes[65536];
	struct linger on = { 1, EVENTUALLY_MS / 1000 };
	struct pair p, q;
	struct onto o;
	pthread_t t;

	title("dup2 onto one that lingers");
	pair_open(&p, AF_INET, "127.0.0.1");
	pair_open(&q, AF_INET, "127.0.0.1");
	say("SO_LINGER", setsockopt(p.client, SOL_SOCKET, SO_LINGER, &on, sizeof(on)));
	while (send(p.client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	o = (struct onto){ q.client, p.client };
	must("thread", !pthread_create(&t, NULL, dup_onto, &o));
	for (int tried = 0; cookie_of(p.client) != cookie_of(q.client) && tried < EVENTUALLY_MS; tried++)
		usleep(1000);
	say("send by that number", send(p.client, "x", 1, MSG_NOSIGNAL));
	say("recv", recv(q.server, bytes, 1, 0));
	close(p.server); /* with bytes that nobody has read: that ends it */
	p.server = -1;
	must("join", !pthread_join(t, NULL));
	pair_close(&p);
	pair_close(&q);
}

static void test_flags(void)
{
	char buf[32];
	struct sockaddr_storage from;
	socklen_t from_len = 99;
	struct iovec none = { buf, 0 };
	volatile int minus = -1, many = 2000; /* that the compiler doesn't see */
	struct pair p;

	title("flags and lengths");
	pair_open(&p, AF_INET6, "::1");
	say("recv 0, nothing there", recv(p.server, buf, 0, MSG_DONTWAIT));
	say("read 0, nothing there", read(p.server, buf, 0));
	say("readv 0, nothing there", readv(p.server, &none, 1));
	say("recvfrom, nothing there", recvfrom(p.server, buf, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len));
	printf("name of %u\n", from_len);
	say("readv no pieces", readv(p.server, &none, 0));
	say("readv -1 pieces", readv(p.server, &none, minus));
	say("writev too many pieces", writev(p.server, &none, many));
	say("send EOR", send(p.client, "one", 3, MSG_EOR));
	say("send EOR", send(p.client, "two", 3, MSG_EOR));
	settle();
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	printf("%.6s\n", buf);
	say("send DONTROUTE", send(p.client, "abc", 3, MSG_DONTROUTE));
	say("send CONFIRM", send(p.client, "abc", 3, MSG_CONFIRM));
	settle();
	say("recv 0, something there", recv(p.server, buf, 0, 0));
	say("recv CMSG_CLOEXEC", recv(p.server, buf, sizeof(buf), MSG_CMSG_CLOEXEC));
	say("recv ERRQUEUE", recv(p.server, buf, sizeof(buf), MSG_ERRQUEUE));
	say("recv OOB", recv(p.server, buf, 1, MSG_OOB));
	say("recv OOB PEEK", recv(p.server, buf, 1, MSG_OOB | MSG_PEEK));
	say("send, nothing", send(p.client, buf, 0, 0));
	say("recv on a listener", recv(p.listener, buf, 1, 0));
	say("recv on a listener, DONTWAIT", recv(p.listener, buf, 1, MSG_DONTWAIT));
	say("send on a listener", send(p.listener, buf, 1, MSG_NOSIGNAL));
	pair_close(&p);
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("recv on a fresh one", recv(p.client, buf, 1, 0));
	say("read on a fresh one", read(p.client, buf, 1));
	say("send on a fresh one", send(p.client, buf, 1, MSG_NOSIGNAL));
	say("recvfrom on a fresh one", recvfrom(p.client, buf, 1, MSG_DONTWAIT, NULL, NULL));
	close(p.client);
}

/* ---- control messages -------------------------------------------------------------------------- */

/* What came beside the data: not what is in it, which is time. */
static void say_control(struct msghdr *msg)
{
	printf("flags %#x control %zu\n", (unsigned)msg->msg_flags, (size_t)msg->msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		printf("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		if (c->cmsg_level == IPPROTO_TCP)
			printf(": %d", *(int *)(void *)CMSG_DATA(c));
		printf("\n");
	}
}

static void receive_control(int fd, size_t bytes, size_t room)
{
	char buf[64], control[256];
	struct iovec iov = { buf, bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room };
	long n = recvmsg(fd, &msg, MSG_DONTWAIT);

	say("recvmsg", n);
	if (n >= 0)
		say_control(&msg);
}

/* How much is left when recvmsg() returns, and when it came */
static void test_tcp_control(void)
{
	static const struct {
		const char *name;
		int level, opt;
	} options[] = { { "TCP_INQ", IPPROTO_TCP, TCP_INQ },
			{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
			{ "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS } };
	int on = 1, off = 0;
	struct pair p;

	title("control messages of TCP");
	pair_open(&p, AF_INET, "127.0.0.1");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		say(options[i].name, setsockopt(p.server, options[i].level, options[i].opt, &on, sizeof(on)));
		write(p.client, "0123456789", 10);
		settle();
		receive_control(p.server, 4, 256);
		receive_control(p.server, 2, 8);
		receive_control(p.server, 20, 256);
		receive_control(p.server, 20, 256);
		say("off", setsockopt(p.server, options[i].level, options[i].opt, &off, sizeof(off)));
	}
	pair_close(&p);
}

static void test_sent_control(void)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = 9999, .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct pair p;

	title("control messages sent");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("unknown", sendmsg(p.client, &msg, 0));
	control.head.cmsg_level = IPPROTO_IP;
	say("of IP", sendmsg(p.client, &msg, 0));
	control.head.cmsg_len = 1000;
	say("too long", sendmsg(p.client, &msg, 0));
	control.head.cmsg_len = 3;
	say("too short", sendmsg(p.client, &msg, 0));
	control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	say("descriptors", sendmsg(p.client, &msg, 0));
	msg.msg_control = NULL;
	say("nowhere", sendmsg(p.client, &msg, 0));
	pair_close(&p);
}

/* ---- ioctl(), fcntl() -------------------------------------------------------------------------- */

static void ioctls_of(const char *who, int fd)
{
	static const struct {
		const char *name;
		unsigned long req;
	} asked[] = { { "FIONREAD", FIONREAD }, { "SIOCOUTQ", SIOCOUTQ }, { "SIOCOUTQNSD", SIOCOUTQNSD }, { "SIOCATMARK", SIOCATMARK },
		      { "SIOCGPGRP", SIOCGPGRP }, { "FIOGETOWN", FIOGETOWN }, { "FIOQSIZE", FIOQSIZE } };
	struct termios t;
	struct stat st;
	int value;

	title(who);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		value = -77;
		say(asked[i].name, ioctl(fd, asked[i].req, &value));
		printf("%d\n", value);
	}
	say("no place", ioctl(fd, FIONREAD, NULL));
	say("no such request", ioctl(fd, 0xdeadUL, &value));
	say("a terminal?", tcgetattr(fd, &t));
	say("FIOCLEX", ioctl(fd, FIOCLEX));
	say("F_GETFD", fcntl(fd, F_GETFD));
	say("FIONCLEX", ioctl(fd, FIONCLEX));
	say("F_GETFD", fcntl(fd, F_GETFD));
	say("F_GETFL", fcntl(fd, F_GETFL));
	say("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	say("F_GETFL", fcntl(fd, F_GETFL));
	say("F_SETFL", fcntl(fd, F_SETFL, 0));
	say("F_GETFL", fcntl(fd, F_GETFL));
	say("F_GETOWN", fcntl(fd, F_GETOWN));
	say("no such command", fcntl(fd, 9999, 0));
	say("F_DUPFD far", fcntl(fd, F_DUPFD, 1 << 30));
	say("fstat", fstat(fd, &st));
	say("a socket", S_ISSOCK(st.st_mode));
	say("fsync", fsync(fd));
	say("ftruncate", ftruncate(fd, 0));
	say("lseek", lseek(fd, 0, SEEK_SET));
}

static void test_ioctls(void)
{
	struct pair p;
	int fresh = socket(tcp_family(AF_INET), SOCK_STREAM, 0), at, one = 1;

	ioctls_of("ioctl and fcntl, fresh", fresh);
	close(fresh);
	pair_open(&p, AF_INET, "127.0.0.1");
	ioctls_of("ioctl and fcntl, listening", p.listener);
	ioctls_of("ioctl and fcntl, connected", p.client);
	ioctls_of("ioctl and fcntl, accepted", p.server);
	at = sockatmark(p.server);
	say("sockatmark", at);
	say("FIONBIO", ioctl(p.server, FIONBIO, &one));
	say("recv", recv(p.server, &(char){ 0 }, 1, 0));
	fresh = dup(p.server);
	say("close", close(p.server));
	say("recv of the copy", recv(fresh, &(char){ 0 }, 1, 0));
	p.server = fresh;
	pair_close(&p);
}

static volatile sig_atomic_t sigios;

static void on_io(int sig)
{
	(void)sig;
	sigios++;
}

/* fcntl(2): a signal when something can be read */
static void sigio_of(const char *who, int fd, int peer)
{
	int one = 1, zero = 0;

	title(who);
	say("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	say("F_GETOWN", fcntl(fd, F_GETOWN) == getpid());
	say("FIOASYNC", ioctl(fd, FIOASYNC, &one));
	say("F_GETFL", (fcntl(fd, F_GETFL) & O_ASYNC) != 0);
	settle();
	sigios = 0;
	write(peer, "x", 1);
	for (int i = 0; i < EVENTUALLY_MS / 10 && !sigios; i++)
		usleep(10000);
	say("signalled", sigios > 0);
	settle();
	sigios = 0;
	write(fd, "y", 1);
	usleep(200000); /* it is acknowledged, which is no news: there was room all the time */
	say("not by what was sent", sigios == 0);
	say("off", ioctl(fd, FIOASYNC, &zero));
	settle();
	sigios = 0;
	write(peer, "x", 1);
	settle();
	say("not signalled", sigios == 0);
}

static void test_sigio(void)
{
	struct sigaction sa = { .sa_handler = on_io, .sa_flags = SA_RESTART };
	struct pair p;

	sigaction(SIGIO, &sa, NULL);
	pair_open(&p, AF_INET, "127.0.0.1");
	sigio_of("SIGIO, accepted", p.server, p.client);
	sigio_of("SIGIO, connected", p.client, p.server);
	pair_close(&p);
	signal(SIGIO, SIG_IGN);
}

/* ---- sendfile() ------------------------------------------------------------------------------------ */

static int file_of(size_t bytes)
{
	static char zeros[4096];
	char path[] = "/tmp/vj-calls-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	for (size_t i = 0; i < bytes; i += sizeof(zeros))
		must("write", write(fd, zeros, sizeof(zeros)) == sizeof(zeros));
	return fd;
}

static void test_sendfile_edges(void)
{
	static char buf[65536];
	int file = file_of(1 << 20), pipes[2];
	off_t off = -1;
	size_t sent = 0, got = 0;
	struct pair p;
	ssize_t n;

	title("sendfile, edges");
	pair_open(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	say("before the beginning", sendfile(p.client, file, &off, 10));
	off = 1 << 21;
	say("beyond the end", sendfile(p.client, file, &off, 10));
	say("offset", off);
	say("nothing", sendfile(p.client, file, NULL, 0));
	say("from a socket", sendfile(p.client, p.server, NULL, 10));
	say("from a closed one", sendfile(p.client, 999, NULL, 10));
	off = 0;
	fcntl(p.client, F_SETFL, O_APPEND);
	say("with O_APPEND", sendfile(p.client, file, &off, 10));
	fcntl(p.client, F_SETFL, 0);
	say("to a listener", sendfile(p.listener, file, &off, 10));
	say("to a file", sendfile(file, p.client, NULL, 10));
	write(pipes[1], "piped", 5);
	say("from a pipe", sendfile(p.client, pipes[0], NULL, 5));
	settle();
	say("recv", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 30; i++) {
		off = 0;
		n = sendfile(p.client, file, &off, 1 << 20);
		if (n < 0)
			break;
		must("offset", off == n);
		sent += (size_t)n;
	}
	say("full", sendfile(p.client, file, NULL, 10) < 0 || sent > 0);
	while (got < sent && (n = recv(p.server, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	say("all", got == sent);
	say("nothing more", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT) <= 0);
	shutdown(p.client, SHUT_WR);
	off = 0;
	say("after shutdown", sendfile(p.client, file, &off, 10));
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

/* ---- time and signals while bytes are under way --------------------------------------------------- */

static void no_restart(int sig, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	sigaction(sig, &sa, NULL);
}

static void on_time(int sig)
{
	(void)sig;
}

/* And again and again: the first one may come before the call that it is for. 0: no more. */
static void alarm_soon(long ms)
{
	struct itimerval it = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

/* A call that has done a part returns that part. */
static void test_partial(void)
{
	static char big[32 << 20];
	struct timeval tv = { 0, 100000 };
	struct pair p;
	char buf[16];
	long n;

	title("a part is done");
	no_restart(SIGALRM, on_time);
	pair_open(&p, AF_INET, "127.0.0.1");
	alarm_soon(200);
	n = send(p.client, big, sizeof(big), 0);
	alarm_soon(0);
	say("send interrupted", n > 0 && n < (long)sizeof(big));
	setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	for (int i = 0; i < 50 && n > 0; i++) /* buffers grow */
		n = send(p.client, big, sizeof(big), 0);
	say("send, time over", n);
	tv.tv_sec = EVENTUALLY_MS / 1000;
	setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	alarm_soon(50);
	say("send interrupted with a time-out", send(p.client, big, sizeof(big), 0));
	alarm_soon(0);
	pair_close(&p);
	pair_open(&p, AF_INET, "127.0.0.1");
	write(p.client, "abc", 3);
	settle();
	alarm_soon(100);
	say("recv WAITALL interrupted", recv(p.server, buf, sizeof(buf), MSG_WAITALL));
	alarm_soon(100);
	say("recv WAITALL, nothing there", recv(p.server, buf, sizeof(buf), MSG_WAITALL));
	alarm_soon(100);
	say("accept interrupted", accept(p.listener, NULL, NULL));
	alarm_soon(0);
	pair_close(&p);
	signal(SIGALRM, SIG_DFL);
}

/* One of its pieces is nowhere: whatever became of those before it, the connection goes on. */
static void test_bad_piece(int family, const char *text)
{
	struct iovec iov[2] = { { "abc", 3 }, { NULL, 3 } };
	char buf[16];
	struct iovec room[2] = { { buf, 3 }, { NULL, 3 } };
	struct pair p;

	title("a bad piece");
	pair_open(&p, family, text);
	(void)writev(p.client, iov, 2);
	say("send after that", send(p.client, "def", 3, 0));
	say("and again", send(p.client, "ghi", 3, 0));
	settle();
	say("recv", recv(p.server, buf, sizeof(buf), 0) >= 6);
	send(p.client, "jklmno", 6, 0);
	settle();
	say("readv", readv(p.server, room, 2));
	say("all is there", recv(p.server, buf, sizeof(buf), 0));
	send(p.client, "jkl", 3, 0);
	settle();
	say("readv of as much as there is room for", readv(p.server, room, 2));
	pair_close(&p);
}

/* SA_SIGINFO doesn't make a handler of SIG_DFL or SIG_IGN. */
static void test_no_handler(void)
{
	static void (*const actions[])(int) = { SIG_DFL, SIG_IGN };

	title("no handler, with SA_SIGINFO");
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		struct sigaction sa = { .sa_handler = actions[i], .sa_flags = SA_SIGINFO };

		say("sigaction", sigaction(SIGURG, &sa, NULL));
		say("sent", raise(SIGURG));
		memset(&sa, 0, sizeof(sa));
		say("asked", sigaction(SIGURG, NULL, &sa));
		say("as set", sa.sa_handler == actions[i] && (sa.sa_flags & SA_SIGINFO));
	}
}

/* ---- what had arrived before a reset --------------------------------------------------------------- */

/* The server's end, after "hello" and a reset. */
static void reset_behind_data(struct pair *p, int family, const char *text)
{
	struct pollfd reset = { .events = 0 };
	char buf[16];

	pair_open(p, family, text);
	write(p->server, "unread", 6);
	write(p->client, "hello", 5);
	must("both have something to read",
	     recv(p->client, buf, sizeof(buf), MSG_PEEK) > 0 && recv(p->server, buf, sizeof(buf), MSG_PEEK) > 0);
	close(p->client);
	p->client = -1;
	reset.fd = p->server;
	must("the reset", poll(&reset, 1, EVENTUALLY_MS) == 1);
}

static void test_reset_behind_data(int family, const char *text)
{
	char buf[16];
	int err = -1;
	socklen_t len = sizeof(err);
	struct pair p;

	title("a reset behind data");
	reset_behind_data(&p, family, text);
	say("send", send(p.server, "x", 1, MSG_NOSIGNAL));
	say("recv a part", recv(p.server, buf, 2, 0));
	say_bits("poll", poll_now(p.server, 0));
	say("send again", send(p.server, "x", 1, MSG_NOSIGNAL));
	say("peek", recv(p.server, buf, sizeof(buf), MSG_PEEK));
	say("recv the rest", recv(p.server, buf, sizeof(buf), 0));
	say("at the end", recv(p.server, buf, sizeof(buf), 0));
	pair_close(&p);
	reset_behind_data(&p, family, text);
	say("SO_ERROR", getsockopt(p.server, SOL_SOCKET, SO_ERROR, &err, &len));
	say("a reset", err == ECONNRESET);
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	say("at the end", recv(p.server, buf, sizeof(buf), 0));
	pair_close(&p);
	reset_behind_data(&p, family, text);
	say("recv WAITALL", recv(p.server, buf, sizeof(buf), MSG_WAITALL));
	say("then", recv(p.server, buf, sizeof(buf), 0));
	say("at the end", recv(p.server, buf, sizeof(buf), 0));
	pair_close(&p);
}

/* ---- many messages ------------------------------------------------------------------------------ */

static void test_mmsg_edges(void)
{
	char a[8], b[8];
	struct iovec iov[2] = { { a, 3 }, { b, 3 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };
	struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 }, soon = { EVENTUALLY_MS / 1000, 0 };
	struct pair p;

	title("sendmmsg, recvmmsg, edges");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("send none", sendmmsg(p.client, m, 0, 0));
	say("receive none", recvmmsg(p.server, m, 0, 0, NULL));
	say("bad time", recvmmsg(p.server, m, 2, MSG_DONTWAIT, &bad));
	say("negative time", recvmmsg(p.server, m, 2, MSG_DONTWAIT, &negative));
	write(p.client, "abcdef", 6);
	settle();
	say("WAITFORONE", recvmmsg(p.server, m, 2, MSG_WAITFORONE, NULL));
	write(p.client, "abcdef", 6);
	settle();
	say("with time", recvmmsg(p.server, m, 2, 0, &soon));
	say("time went by", soon.tv_sec < EVENTUALLY_MS / 1000);
	write(p.client, "abc", 3);
	settle();
	say("DONTWAIT", recvmmsg(p.server, m, 2, MSG_DONTWAIT, NULL));
	say("DONTWAIT, nothing there", recvmmsg(p.server, m, 2, MSG_DONTWAIT, NULL));
	shutdown(p.client, SHUT_WR);
	settle();
	say("at the end", recvmmsg(p.server, m, 2, 0, NULL));
	pair_close(&p);
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void say_error_of(const char *what, int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	must("SO_ERROR", !getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	say(what, err);
}

static void say_peer(const char *what, int fd)
{
	struct sockaddr_storage sa;

	say(what, getpeername(fd, (struct sockaddr *)&sa, &(socklen_t){ sizeof(sa) }));
}

/* As told by SIOCOUTQ: FIN counts. */
static void until_acknowledged(int fd)
{
	int bytes = 1;

	for (int ms = 0; bytes && ms < EVENTUALLY_MS; ms++) {
		must("SIOCOUTQ", !ioctl(fd, SIOCOUTQ, &bytes));
		if (bytes)
			usleep(1000);
	}
	must("acknowledged", !bytes);
}

/* What comes to who has shut both sides is answered by RST. */
static void test_shut_both(int first, int then, bool before)
{
	struct pair p;
	char byte;

	title("data for who has shut both sides");
	pair_open(&p, AF_INET, "127.0.0.1");
	if (before)
		write(p.client, "x", 1);
	settle();
	say("shutdown", shutdown(p.server, first));
	if (then >= 0)
		say("shutdown", shutdown(p.server, then));
	settle();
	say_bits("client", poll_now(p.client, 0));
	say("send", send(p.client, "x", 1, 0));
	say_bits("server", poll_now(p.server, EVENTUALLY_MS));
	settle();
	say_bits("server", poll_now(p.server, 0));
	say_bits("client", poll_now(p.client, 0));
	say_peer("getpeername", p.server);
	say("shutdown", shutdown(p.server, SHUT_WR));
	say("send", send(p.server, "x", 1, MSG_NOSIGNAL));
	say("send", send(p.server, "x", 1, MSG_NOSIGNAL));
	say("recv", recv(p.server, &byte, 1, 0));
	say("recv", recv(p.server, &byte, 1, 0));
	say_error_of("SO_ERROR", p.client);
	say("recv", recv(p.client, &byte, 1, 0));
	pair_close(&p);
}

/* Both FINs are there: it is no connection any more. */
static void test_after_both(void)
{
	struct pair p;

	title("after both ends");
	pair_open(&p, AF_INET, "127.0.0.1");
	say("shutdown", shutdown(p.client, SHUT_WR));
	until_acknowledged(p.client);
	say_peer("getpeername", p.client);
	say("shutdown again", shutdown(p.client, SHUT_WR));
	say("shutdown", shutdown(p.server, SHUT_WR));
	until_acknowledged(p.server);
	say_bits("client", poll_now(p.client, EVENTUALLY_MS));
	say_peer("client's peer", p.client);
	say_peer("server's peer", p.server);
	say("shutdown", shutdown(p.client, SHUT_RD));
	say("shutdown", shutdown(p.server, SHUT_RDWR));
	pair_close(&p);
}

/* close() with SO_LINGER where something is unread: a reset, with no FIN before it */
static void test_linger_unread(void)
{
	struct linger l = { 1, 20 };
	struct pair p;

	title("lingers, with something unread");
	pair_open(&p, AF_INET, "127.0.0.1");
	write(p.client, "x", 1);
	settle();
	setsockopt(p.server, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	say("close", close(p.server));
	settle();
	say_bits("client", poll_now(p.client, 0));
	say("from nowhere", send(p.client, NULL, 4, MSG_NOSIGNAL));
	say("send", send(p.client, "x", 1, MSG_NOSIGNAL));
	p.server = dup(p.listener);
	pair_close(&p);
}

/* connect() returned early, and what became of it is asked for when it is over. */
static void test_connect_over(bool told)
{
	struct pair p;

	title("connected, and over before connect() was asked again");
	listen_on(&p, AF_INET, "127.0.0.1");
	must("listen", !listen(p.listener, 4));
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM | SOCK_NONBLOCK, 0);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	say_bits("client", poll_now(p.client, EVENTUALLY_MS));
	setsockopt(p.server, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(p.server);
	settle();
	say_bits("client", poll_now(p.client, EVENTUALLY_MS));
	if (told)
		say_error_of("SO_ERROR", p.client);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	say_bits("client", poll_now(p.client, EVENTUALLY_MS));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	pair_close(&p);
}

/* tcpi_state */
static int state_of(int fd)
{
	uint8_t state = 0;

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &(socklen_t){ sizeof(state) });
	return state;
}

/* What may not be set any more once there is a connection */
static void test_options_late(void)
{
	static const struct {
		int level, name, value;
	} late[] = { { IPPROTO_IPV6, IPV6_V6ONLY, 0 }, { IPPROTO_IPV6, IPV6_V6ONLY, 1 }, { IPPROTO_TCP, TCP_WINDOW_CLAMP, 0 },
		     { IPPROTO_TCP, TCP_FASTOPEN, 5 }, { IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1 }, { IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1 },
		     { IPPROTO_TCP, TCP_QUEUE_SEQ, 1 } };
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct timeval tv = { 9, 123456 };
	struct pair p;
	int value = -1;

	title("options of who is not connected");
	pair_open(&p, AF_INET6, "::1");
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		say("client", setsockopt(p.client, late[i].level, late[i].name, &late[i].value, sizeof(int)));
		say("server", setsockopt(p.server, late[i].level, late[i].name, &late[i].value, sizeof(int)));
	}
	say("too short, and nowhere", setsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, NULL, 3));
	say("IPV6_V6ONLY", getsockopt(p.server, IPPROTO_IPV6, IPV6_V6ONLY, &value, &(socklen_t){ sizeof(value) }));
	say("IPV6_V6ONLY", value);
	say("nowhere", setsockopt(p.client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, NULL, sizeof(int)));
	say("no byte", setsockopt(p.client, IPPROTO_IP, IP_TOS, &value, 0));
	setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	getsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &tv, &(socklen_t){ sizeof(tv) });
	say("SO_SNDTIMEO, in ticks", tv.tv_usec);
	say("SIOCGSTAMP", ioctl(p.client, SIOCGSTAMP, &tv));
	say("MSG_FASTOPEN to nobody", sendto(p.client, "x", 1, MSG_FASTOPEN, &nowhere, sizeof(nowhere)));
	shutdown(p.client, SHUT_WR);
	poll_now(p.server, EVENTUALLY_MS);
	shutdown(p.server, SHUT_WR);
	say_bits("ended by both", poll_now(p.client, EVENTUALLY_MS));
	for (int i = 0; i < EVENTUALLY_MS && state_of(p.server) != TCP_CLOSE; i++)
		usleep(1000);
	say("V6ONLY of what was accepted", setsockopt(p.server, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int)));
	say("IPV6_V6ONLY", getsockopt(p.server, IPPROTO_IPV6, IPV6_V6ONLY, &value, &(socklen_t){ sizeof(value) }));
	say("IPV6_V6ONLY", value);
	pair_close(&p);
}

/* A look at nothing waits, and has seen nothing. */
static void test_peek_nothing(void)
{
	struct timeval tv = { 0, 20000 };
	struct pair p;

	title("MSG_PEEK of no bytes");
	pair_open(&p, AF_INET, "127.0.0.1");
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("PEEK", recv(p.server, NULL, 0, MSG_PEEK));
	say("PEEK|DONTWAIT", recv(p.server, NULL, 0, MSG_PEEK | MSG_DONTWAIT));
	say("PEEK|WAITALL", recv(p.server, NULL, 0, MSG_PEEK | MSG_WAITALL));
	pair_close(&p);
}

void calls_edge(void)
{
	test_shut_both(SHUT_RDWR, -1, false);
	test_shut_both(SHUT_WR, SHUT_RD, false);
	test_shut_both(SHUT_RD, SHUT_WR, true);
	test_shut_both(SHUT_RDWR, -1, true);
	test_after_both();
	test_linger_unread();
	test_connect_over(false);
	test_connect_over(true);
	test_options_late();
	test_peek_nothing();
	test_peek();
	test_accept_replaced(false);
	test_accept_replaced(true);
	test_dup_lingers();
	test_send_nothing();
	test_dprintf();
	test_flags();
	test_kept_flags(AF_INET, "127.0.0.1");
	test_kept_flags(AF_INET6, "::1");
	test_tcp_control();
	test_sent_control();
	test_ioctls();
	test_sigio();
	test_sendfile_edges();
	test_partial();
	test_bad_piece(AF_INET, "127.0.0.1");
	test_bad_piece(AF_INET6, "::1");
	test_no_handler();
	test_reset_behind_data(AF_INET, "127.0.0.1");
	test_reset_behind_data(AF_INET6, "::1");
	test_mmsg_edges();
}
