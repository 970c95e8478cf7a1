// SPDX-License-Identifier: BSD-2-Clause
/* calls_number.c - every call by its number, as run-times that have their own wrappers make them, and by libc's other names for it. See calls.c. */
#include "calls.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGSET_BYTES = 8 };

/* The arguments as the kernel takes them: each one a register */
#define NR(name, ...) nr_call(SYS_##name, (long[6]){ __VA_ARGS__ })
#define SAY_NR(name, ...) say(#name, NR(name, __VA_ARGS__))

static long nr_call(long nr, const long a[6])
{
	return syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* As pair_open() */
static void pair_by_number(struct pair *p, int family, const char *text)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&p->addr;
	struct pollfd pfd = { .events = POLLIN };
	struct sockaddr_storage name;
	int value = 1;

	p->addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	p->addr_len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(*six);
	inet_pton(family, text, family == AF_INET ? (void *)&((struct sockaddr_in *)six)->sin_addr : (void *)&six->sin6_addr);
	p->listener = (int)NR(socket, family, SOCK_STREAM);
	SAY_NR(setsockopt, p->listener, SOL_SOCKET, SO_REUSEADDR, (long)&value, sizeof(value));
	SAY_NR(bind, p->listener, (long)&p->addr, p->addr_len);
	SAY_NR(listen, p->listener, 16);
	SAY_NR(getsockname, p->listener, (long)&p->addr, (long)&p->addr_len);
	pfd.fd = p->listener;
	must("nobody there", NR(ppoll, (long)&pfd, 1, (long)&(struct timespec){ 0 }, 0, SIGSET_BYTES) == 0);
	p->client = (int)NR(socket, family, SOCK_STREAM);
	SAY_NR(connect, p->client, (long)&p->addr, p->addr_len);
	p->server = (int)NR(accept, p->listener, (long)&name, (long)&(socklen_t){ sizeof(name) });
	say("accept", p->server > 0);
	check_conn_path(p->client);
	SAY_NR(getpeername, p->client, (long)&name, (long)&(socklen_t){ sizeof(name) });
	say("the listener's", !memcmp(&name, &p->addr, p->addr_len));
	value = 0;
	SAY_NR(getsockopt, p->client, SOL_SOCKET, SO_TYPE, (long)&value, (long)&(socklen_t){ sizeof(value) });
	say("a stream", value == SOCK_STREAM);
}

static void say_read(int fd)
{
	char buf[64] = "";
	long n;

	settle();
	n = NR(read, fd, (long)buf, sizeof(buf));
	say_text("read", buf, n);
}

static void test_bytes(int family, const char *text)
{
	char a[4] = "", b[8] = "";
	struct iovec out[2] = { { "abc", 3 }, { "defgh", 5 } }, in[2] = { { a, 3 }, { b, 8 } };
	struct msghdr msg = { .msg_iov = out, .msg_iovlen = 2 };
	struct mmsghdr msgs[2] = { { .msg_hdr = { .msg_iov = &out[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &out[1], .msg_iovlen = 1 } } };
	struct pair p;
	int n = -1;

	title(family == AF_INET ? "bytes by number, IPv4" : "bytes by number, IPv6");
	pair_by_number(&p, family, text);
	SAY_NR(writev, p.client, (long)out, 2);
	settle();
	SAY_NR(ioctl, p.server, FIONREAD, (long)&n);
	say("bytes", n);
	SAY_NR(readv, p.server, (long)in, 2);
	printf("'%.3s' '%.5s'\n", a, b);
	SAY_NR(sendmsg, p.client, (long)&msg, 0);
	msg.msg_iov = in;
	settle();
	SAY_NR(recvmsg, p.server, (long)&msg, 0);
	SAY_NR(sendmmsg, p.client, (long)msgs, 2, 0);
	settle();
	msgs[0].msg_hdr.msg_iov = &in[0];
	SAY_NR(recvmmsg, p.server, (long)msgs, 1, 0, 0);
	say_read(p.server);
	SAY_NR(pwritev2, p.client, (long)out, 2, -1, -1, 0);
	settle();
	SAY_NR(preadv2, p.server, (long)in, 1, -1, -1, 0);
	say_read(p.server);
	SAY_NR(pread64, p.server, (long)b, 4, 0);
	SAY_NR(pwrite64, p.client, (long)b, 4, 0);
	SAY_NR(preadv, p.server, (long)in, 1, 0, 0);
	SAY_NR(pwritev, p.client, (long)out, 1, 0, 0);
	SAY_NR(lseek, p.server, 0, SEEK_CUR);
	SAY_NR(shutdown, p.client, SHUT_WR);
	say_read(p.server);
	say("close_range", NR(close_range, p.server, p.server, 0));
	say_read(p.server);
	p.server = dup(p.listener);
	pair_close(&p);
}

static void test_files(void)
{
	int file = open("/proc/self/exe", O_RDONLY), pipes[2];
	char buf[64];
	off_t off = 0;
	struct pair p;

	title("files and pipes by number");
	pair_by_number(&p, AF_INET, "127.0.0.1");
	must("pipe", !pipe(pipes));
	SAY_NR(sendfile, p.client, file, (long)&off, 30);
	say("offset", off);
	settle();
	SAY_NR(splice, p.server, 0, pipes[1], 0, sizeof(buf), 0);
	say("from the pipe", read(pipes[0], buf, sizeof(buf)));
	say("an ELF file", !memcmp(buf, "\177ELF", 4));
	write(pipes[1], "piped", 5);
	SAY_NR(splice, pipes[0], 0, p.client, 0, 5, 0);
	say_read(p.server);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static void test_waits(void)
{
	struct { const sigset_t *mask; size_t bytes; } mask = { NULL, SIGSET_BYTES };
	struct epoll_event ev = { .events = EPOLLIN };
	struct timespec soon = { .tv_nsec = 1000000 };
	struct timeval tv = { .tv_usec = 1000 };
	struct pollfd pfd = { .events = POLLIN };
	struct pair p;
	fd_set r;
	int ep;

	title("waiting by number");
	pair_by_number(&p, AF_INET6, "::1");
	pfd.fd = p.server;
	ep = (int)NR(epoll_create1, EPOLL_CLOEXEC);
	SAY_NR(epoll_ctl, ep, EPOLL_CTL_ADD, p.server, (long)&ev);
	for (int i = 0; i < 2; i++) {
		SAY_NR(ppoll, (long)&pfd, 1, (long)&soon, 0, SIGSET_BYTES);
		FD_ZERO(&r);
		FD_SET(p.server, &r);
		SAY_NR(pselect6, p.server + 1, (long)&r, 0, 0, (long)&soon, (long)&mask);
		say("in the set", FD_ISSET(p.server, &r) != 0);
		SAY_NR(epoll_pwait, ep, (long)&ev, 1, 1, 0, SIGSET_BYTES);
		SAY_NR(epoll_pwait2, ep, (long)&ev, 1, (long)&soon, 0, SIGSET_BYTES);
#ifdef SYS_poll
		SAY_NR(poll, (long)&pfd, 1, 1);
		FD_ZERO(&r);
		FD_SET(p.server, &r);
		SAY_NR(select, p.server + 1, (long)&r, 0, 0, (long)&tv);
		SAY_NR(epoll_wait, ep, (long)&ev, 1, 1);
#endif
		write(p.client, "x", 1);
		settle();
		soon = (struct timespec){ .tv_nsec = 1000000 };
		tv = (struct timeval){ .tv_usec = 1000 };
	}
	close(ep);
	pair_close(&p);
}

static void test_copies(void)
{
	int one = 1, copy, high = 200;
	struct pair p;

	title("descriptors by number");
	pair_by_number(&p, AF_INET, "127.0.0.1");
	copy = (int)NR(dup, p.client);
	say("dup", copy > 0);
	say("dup3", NR(dup3, p.client, high, O_CLOEXEC) == high);
	SAY_NR(fcntl, high, F_GETFD);
	SAY_NR(dup3, high, high, 0);
	SAY_NR(dup3, p.client, copy, 1);
#ifdef SYS_dup2
	say("dup2", NR(dup2, p.client, copy) == copy);
#endif
	say("F_DUPFD", NR(fcntl, p.client, F_DUPFD, high) > high);
	SAY_NR(close, p.client);
	SAY_NR(write, copy, (long)"copy", 4);
	say_read(p.server);
	SAY_NR(ioctl, copy, FIONBIO, (long)&one);
	say("not blocking", (NR(fcntl, high, F_GETFL) & O_NONBLOCK) != 0);
	say_read(high);
	SAY_NR(close_range, high, high + 100, 0);
	SAY_NR(close, copy);
	say_read(p.server);
	p.client = (int)NR(dup, p.listener);
	pair_close(&p);
}

static void test_datagrams(int family, const char *text)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct udp_pair p;
	char buf[16];
	long n;

	title(family == AF_INET ? "datagrams by number, IPv4" : "datagrams by number, IPv6");
	udp_open(&p, family, text);
	SAY_NR(sendto, p.client, (long)"ask", 3, 0, (long)&p.addr, p.addr_len);
	settle();
	check_udp_path(&p);
	n = NR(recvfrom, p.server, (long)buf, sizeof(buf), 0, (long)&from, (long)&len);
	say_text("recvfrom", buf, n);
	SAY_NR(connect, p.server, (long)&from, len);
	SAY_NR(write, p.server, (long)"answer", 6);
	say_read(p.client);
	udp_close(&p);
}

/* What isn't about sockets, or is no call */
static void test_others(void)
{
	char buf[16];

	title("others by number");
	say("getpid", NR(getpid, 0) == getpid());
	say("no call", syscall(100000));
	say("bad descriptor", NR(read, -1, (long)buf, 1));
	say("close_range", NR(close_range, 3, ~0U, 0));
}

/* ---- libc's other names ------------------------------------------------------------------------ */

/* What programs call that were compiled for buffers of known sizes, for files of 64 bits, or long ago. Never NULL. */
static void *libc_name(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	must(name, found != NULL);
	return found;
}

static int vprint(const char *name, int fd, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	if (!strcmp(name, "__vdprintf_chk"))
		n = ((int (*)(int, int, const char *, va_list))libc_name(name))(fd, 1, format, args);
	else
		n = ((int (*)(int, const char *, va_list))libc_name(name))(fd, format, args);
	va_end(args);
	return n;
}

static void names_that_write(const struct pair *p)
{
	static const char *const plain[] = { "write", "__write" }, *const vectors[] = { "pwritev2", "pwritev64v2" },
				 *const files[] = { "sendfile", "sendfile64" }, *const prints[] = { "vdprintf", "__vdprintf_chk" };
	struct iovec iov = { "vector", 6 };
	int file = open("/proc/self/exe", O_RDONLY);

	for (int i = 0; i < 2; i++) {
		say(plain[i], ((ssize_t(*)(int, const void *, size_t))libc_name(plain[i]))(p->client, "bytes", 5));
		say_read(p->server);
		say(vectors[i], ((ssize_t(*)(int, const struct iovec *, int, off_t, int))libc_name(vectors[i]))(p->client, &iov, 1, -1, 0));
		say_read(p->server);
		say(files[i], ((ssize_t(*)(int, int, off_t *, size_t))libc_name(files[i]))(p->client, file, &(off_t){ 1 }, 3));
		say_read(p->server);
		say(prints[i], vprint(prints[i], p->client, "%d of %s", 7, "nine"));
		say_read(p->server);
	}
	say("__send", ((ssize_t(*)(int, const void *, size_t, int))libc_name("__send"))(p->client, "sent", 4, MSG_DONTWAIT));
	say_read(p->server);
	say("__dprintf_chk", ((int (*)(int, int, const char *, ...))libc_name("__dprintf_chk"))(p->client, 1, "%d", 77));
	say_read(p->server);
	close(file);
}

static void names_that_read(const struct pair *p)
{
	char buf[16] = "";
	struct iovec iov = { buf, 2 };

	write(p->client, "0123456789abcdef", 16);
	settle();
	say_text("__read", buf, ((ssize_t(*)(int, void *, size_t))libc_name("__read"))(p->server, buf, 2));
	say_text("__read_chk", buf, ((ssize_t(*)(int, void *, size_t, size_t))libc_name("__read_chk"))(p->server, buf, 2, sizeof(buf)));
	say_text("__recv_chk", buf, ((ssize_t(*)(int, void *, size_t, size_t, int))libc_name("__recv_chk"))(p->server, buf, 2, sizeof(buf), MSG_PEEK));
	say_text("__recvfrom_chk", buf,
		 ((ssize_t(*)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *))libc_name("__recvfrom_chk"))(p->server, buf, 2, sizeof(buf), 0, NULL, NULL));
	say_text("preadv2", buf, ((ssize_t(*)(int, const struct iovec *, int, off_t, int))libc_name("preadv2"))(p->server, &iov, 1, -1, 0));
	say_text("preadv64v2", buf, ((ssize_t(*)(int, const struct iovec *, int, off_t, int))libc_name("preadv64v2"))(p->server, &iov, 1, -1, 0));
	say("__pread_chk", ((ssize_t(*)(int, void *, size_t, off_t, size_t))libc_name("__pread_chk"))(p->server, buf, 2, 0, sizeof(buf)));
	say_read(p->server);
}

static void names_that_wait(const struct pair *p)
{
	struct pollfd pfd = { .fd = p->server, .events = POLLIN };
	struct timespec ts = { .tv_nsec = 1000000 };
	struct timeval tv = { .tv_usec = 1000 };
	fd_set r;

	for (int i = 0; i < 2; i++) {
		say("__poll", ((int (*)(struct pollfd *, nfds_t, int))libc_name("__poll"))(&pfd, 1, 1));
		say("__poll_chk", ((int (*)(struct pollfd *, nfds_t, int, size_t))libc_name("__poll_chk"))(&pfd, 1, 1, sizeof(pfd)));
		say("__ppoll_chk", ((int (*)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))libc_name("__ppoll_chk"))(&pfd, 1, &ts, NULL,
																				 sizeof(pfd)));
		FD_ZERO(&r);
		FD_SET(p->server, &r);
		say("__select", ((int (*)(int, fd_set *, fd_set *, fd_set *, struct timeval *))libc_name("__select"))(p->server + 1, &r, NULL, NULL, &tv));
		write(p->client, "x", 1);
		settle();
		tv.tv_usec = 1000;
	}
	say_read(p->server);
}

/* Larger than the buffer: the program is ended, as it asked for, and with it nothing else. */
static void test_overflow(const struct pair *p)
{
	static const char *const names[] = { "__read_chk", "__recv_chk", "__recvfrom_chk", "__poll_chk", "__ppoll_chk" };
	struct pollfd pfd = { .fd = p->server, .events = POLLIN };
	char buf[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *name = libc_name(names[i]);
		pid_t pid = fork();
		int status;

		if (!pid) {
			setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
			signal(SIGABRT, SIG_DFL);
			if (i == 0)
				((ssize_t(*)(int, void *, size_t, size_t))name)(p->server, buf, 17, sizeof(buf));
			else if (i < 3)
				((ssize_t(*)(int, void *, size_t, size_t, int, void *, void *))name)(p->server, buf, 17, sizeof(buf), MSG_DONTWAIT, NULL, NULL);
			else if (i == 3)
				((int (*)(struct pollfd *, nfds_t, int, size_t))name)(&pfd, 2, 0, sizeof(pfd));
			else
				((int (*)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))name)(&pfd, 2, NULL, NULL, sizeof(pfd));
			_exit(0);
		}
		must("wait", waitpid(pid, &status, 0) == pid);
		say(names[i], WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static void test_names(int family, const char *text)
{
	int (*const fcntls[])(int, int, ...) = { libc_name("fcntl"), libc_name("fcntl64"), libc_name("__fcntl") };
	struct pair p;

	title("by libc's other names");
	listen_on(&p, family, text);
	p.client = socket(tcp_family(family), SOCK_STREAM, 0);
	say("__connect", ((int (*)(int, const struct sockaddr *, socklen_t))libc_name("__connect"))(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	check_conn_path(p.client);
	names_that_write(&p);
	names_that_read(&p);
	names_that_wait(&p);
	write(p.client, "for all", 7);
	settle();
	test_overflow(&p);
	say_read(p.server);
	for (int i = 0; i < 3; i++) {
		say("F_SETFL", fcntls[i](p.server, F_SETFL, i == 1 ? 0 : O_NONBLOCK));
		say("F_GETFL", fcntls[2 - i](p.server, F_GETFL));
	}
	say_read(p.server);
	say("__dup2", ((int (*)(int, int))libc_name("__dup2"))(p.client, 300) == 300);
	say("__close", ((int (*)(int))libc_name("__close"))(p.client));
	write(300, "copy", 4);
	say_read(p.server);
	say("__close", ((int (*)(int))libc_name("__close"))(300));
	say_read(p.server);
	p.client = dup(p.listener);
	pair_close(&p);
}

void calls_number(void)
{
	test_names(AF_INET, "127.0.0.1");
	test_names(AF_INET6, "::1");
	test_bytes(AF_INET, "127.0.0.1");
	test_bytes(AF_INET6, "::1");
	test_files();
	test_waits();
	test_copies();
	test_datagrams(AF_INET, "127.0.0.1");
	test_datagrams(AF_INET6, "::1");
	test_others();
}
