// SPDX-License-Identifier: BSD-2-Clause
/* calls_rare.c - what few programs ask of a socket, or ask by a name of long ago. See calls.c. */
#include "calls.h"

#include <aio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static const struct host {
	int family;
	const char *text;
} hosts[] = { { AF_INET, "127.0.0.1" }, { AF_INET6, "::1" } };

enum { HOSTS = sizeof(hosts) / sizeof(hosts[0]) };

static void nonblocking(const struct pair *p, bool yes)
{
	fcntl(p->client, F_SETFL, yes ? O_NONBLOCK : 0);
	fcntl(p->server, F_SETFL, yes ? O_NONBLOCK : 0);
}

/* Or at its end */
static void readable(int fd)
{
	must("readable", poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, EVENTUALLY_MS) == 1);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* siginterrupt() */

static int writes_to;

static void writes(int sig)
{
	(void)sig;
	(void)!write(writes_to, "x", 1);
}

static void sets_signal(void)
{
	signal(SIGALRM, writes);
}

static void sets_sysv(void)
{
	sysv_signal(SIGALRM, writes);
}

static void sets_gnu(void)
{
	ssignal(SIGALRM, writes);
}

sighandler_t bsd_signal(int sig, sighandler_t handler); /* no header has it any more */

static void sets_bsd(void)
{
	bsd_signal(SIGALRM, writes);
}

static void sets_interrupting(void)
{
	signal(SIGALRM, writes);
	say("siginterrupt", siginterrupt(SIGALRM, 1));
}

static void sets_restarting(void)
{
	sysv_signal(SIGALRM, writes);
	say("siginterrupt", siginterrupt(SIGALRM, 0));
}

/* recv() waits, a handler sends it a byte: does it go on, and is the handler there still? */
static void test_old_signals(const struct host *h)
{
	static const struct {
		const char *name;
		void (*set)(void);
	} ways[] = { { "signal", sets_signal },
		     { "sysv_signal", sets_sysv },
		     { "ssignal", sets_gnu },
		     { "bsd_signal", sets_bsd },
		     { "siginterrupt, yes", sets_interrupting },
		     { "siginterrupt, no", sets_restarting } };
	const struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct sigaction now;
	struct pair p;
	char c;

	title("handlers by older names");
	pair_open(&p, h->family, h->text);
	writes_to = p.client;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		long n;

		ways[i].set();
		setitimer(ITIMER_REAL, &soon, NULL);
		n = recv(p.server, &c, 1, 0);
		say(ways[i].name, n);
		if (n < 0)
			say("then", recv(p.server, &c, 1, 0));
		sigaction(SIGALRM, NULL, &now);
		say("still", now.sa_handler == writes);
	}
	signal(SIGALRM, SIG_DFL);
	pair_close(&p);
}

/* ---- behind the program's back ---------------------------------------------------------------------------------- */

static void kernel_aio(const struct pair *p)
{
	struct iocb write = { .aio_fildes = (uint32_t)p->client, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)"kernel", .aio_nbytes = 6 };
	struct iocb wait = { .aio_fildes = (uint32_t)p->server, .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN }, *list[] = { &write, &wait };
	const struct timespec limit = { .tv_sec = EVENTUALLY_MS / 1000 };
	struct io_event done[2];
	aio_context_t context = 0;
	char buf[16];

	must("io_setup", !syscall(SYS_io_setup, 2, &context));
	say("io_submit", syscall(SYS_io_submit, context, 2, list));
	say("io_getevents", syscall(SYS_io_getevents, context, 2, 2, done, &limit));
	for (int i = 0; i < 2; i++)
		if (done[i].obj == (uintptr_t)&write)
			say("written", (long)done[i].res);
	say("recv", recv(p->server, buf, sizeof(buf), 0));
	syscall(SYS_io_destroy, context);
}

static long finish(struct aiocb *cb)
{
	const struct aiocb *list[] = { cb };

	aio_suspend(list, 1, &(struct timespec){ .tv_sec = EVENTUALLY_MS / 1000 });
	errno = aio_error(cb);
	return errno ? -1 : aio_return(cb);
}

static void test_aio(const struct host *h, bool nonblock)
{
	char buf[16] = "";
	struct aiocb out = { .aio_buf = "asynchronous", .aio_nbytes = 12, .aio_lio_opcode = LIO_WRITE };
	struct aiocb in = { .aio_buf = buf, .aio_nbytes = 12, .aio_lio_opcode = LIO_READ };
	struct pair p;

	title("asynchronous reading and writing");
	pair_open(&p, h->family, h->text);
	out.aio_fildes = p.client;
	in.aio_fildes = p.server;
	if (!nonblock) { /* it waits */
		say("aio_read", aio_read(&in));
		say("aio_error", aio_error(&in) == EINPROGRESS);
	}
	say("aio_write", aio_write(&out));
	say("written", finish(&out));
	if (!nonblock)
		say("read", finish(&in));
	nonblocking(&p, nonblock);
	say("lio_listio", lio_listio(LIO_WAIT, (struct aiocb *[]){ &out }, 1, NULL));
	say("written", finish(&out));
	for (int i = 0; i <= nonblock; i++) {
		readable(p.server);
		say("recv", recv(p.server, buf, 12, 0));
	}
	say("send", send(p.server, "and the program itself", 22, 0));
	readable(p.client);
	say("recv", recv(p.client, buf, sizeof(buf), MSG_TRUNC));
	nonblocking(&p, false);
	if (!nonblock)
		kernel_aio(&p);
	pair_close(&p);
}

/* ---- descriptors like any others -------------------------------------------------------------------------------- */

static void file_calls(int fd)
{
	int file = memfd_create("file", MFD_CLOEXEC), pipes[2];
	char link[32] = "", path[32];
	struct iovec iov = { "bytes", 5 };
	off64_t from = 0;
	struct stat st;

	must("file", file >= 0 && !pipe(pipes) && write(file, "bytes", 5) == 5);
	say("tee from it", tee(fd, pipes[1], 5, SPLICE_F_NONBLOCK));
	say("tee to it", tee(pipes[0], fd, 5, SPLICE_F_NONBLOCK));
	say("vmsplice", vmsplice(fd, &iov, 1, 0));
	say("copy_file_range from it", copy_file_range(fd, NULL, file, NULL, 5, 0));
	say("copy_file_range to it", copy_file_range(file, &from, fd, NULL, 5, 0));
	say("ftruncate", ftruncate(fd, 0));
	say("fallocate", fallocate(fd, 0, 0, 1));
	say("fsync", fsync(fd));
	say("fdatasync", fdatasync(fd));
	say("posix_fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	say("flock", flock(fd, LOCK_SH | LOCK_NB));
	say("flock", flock(fd, LOCK_UN));
	say("mmap", mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	say("fstat", fstat(fd, &st));
	say("socket", S_ISSOCK(st.st_mode));
	say("isatty", isatty(fd) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	say("readlink", readlink(path, link, sizeof(link) - 1) > 0);
	say("its name", !strncmp(link, "socket:[", 8));
	say("open", open(path, O_RDONLY | O_CLOEXEC));
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

static void interface_calls(int fd)
{
	struct ifreq rows[8], lo = { .ifr_name = "lo" };
	struct ifconf all = { .ifc_len = sizeof(rows), .ifc_req = rows };
	int owner = 0, me = getpid();
	bool found = false;

	say("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &lo));
	say("loopback", (lo.ifr_flags & IFF_LOOPBACK) != 0);
	say("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &lo)); /* IPv6 has none */
	say("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &lo));
	say("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &lo));
	say("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &all));
	for (size_t i = 0; i < (size_t)all.ifc_len / sizeof(rows[0]); i++)
		found |= !strcmp(rows[i].ifr_name, "lo");
	say("lo is there", found);
	say("FIOSETOWN", ioctl(fd, FIOSETOWN, &me));
	say("FIOGETOWN", ioctl(fd, FIOGETOWN, &owner));
	say("me", owner == me);
}

static void test_files(const struct host *h)
{
	struct pair p;
	int fresh = socket(h->family, SOCK_STREAM | SOCK_CLOEXEC, 0), udp = socket(h->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	title("calls for other kinds of descriptors");
	pair_open(&p, h->family, h->text);
	file_calls(p.client);
	interface_calls(p.client);
	title("of one that isn't connected");
	file_calls(fresh);
	interface_calls(fresh);
	title("of a listening one");
	file_calls(p.listener);
	interface_calls(p.listener);
	title("of UDP");
	file_calls(udp);
	interface_calls(udp);
	say("send", send(p.client, "goes on", 7, 0));
	readable(p.server);
	close(fresh);
	close(udp);
	pair_close(&p);
}

/* ---- streams of libc, both ways --------------------------------------------------------------------------------- */

static void test_stdio_both(const struct host *h)
{
	static char text[100000], got[sizeof(text)];
	char *line = NULL;
	size_t room = 0;
	struct pair p;
	FILE *in, *out;

	title("streams of libc, both ways");
	pair_open(&p, h->family, h->text);
	memset(text, 'x', sizeof(text));
	out = fdopen(p.client, "r+");
	in = fdopen(p.server, "r+");
	say("setvbuf", setvbuf(out, NULL, _IOLBF, 0));
	say("fputs", fputs("first\n", out) >= 0);
	say("getline", getline(&line, &room, in));
	say("fprintf", fprintf(in, "second %d\nthird\n", 2));
	say("fflush", fflush(in));
	say("getc", getc(out));
	say("ungetc", ungetc('S', out));
	say("getline", getline(&line, &room, out));
	printf("%s", line);
	say("getline", getline(&line, &room, out));
	say("fwrite", (long)fwrite(text, 1, sizeof(text), out));
	say("fflush", fflush(out));
	say("fread", (long)fread(got, 1, sizeof(got), in));
	say("same", !memcmp(text, got, sizeof(text)));
	nonblocking(&p, true);
	say("getc, nothing there", getc(in));
	say("ferror", ferror(in) != 0);
	clearerr(in);
	say("fclose", fclose(out));
	readable(p.server);
	say("end of file", getc(in) == EOF && feof(in));
	say("fclose", fclose(in));
	free(line);
	close(p.listener);
}

/* ---- always the kernel's ---------------------------------------------------------------------------------------- */

static void test_mptcp(const struct host *h, bool nonblock)
{
	struct pair p = { .listener = socket(h->family, SOCK_STREAM, IPPROTO_MPTCP), .client = socket(h->family, SOCK_STREAM, IPPROTO_MPTCP) };
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	static char block[200000], got[sizeof(block)];
	socklen_t len = sizeof(p.addr);
	long n, all = 0;

	title("MPTCP");
	if (h->family == AF_INET)
		memcpy(&addr, &(struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, sizeof(struct sockaddr_in));
	say("socket", p.listener < 0 ? -1 : 0);
	if (p.listener < 0) /* this kernel has none */
		return;
	say("bind", bind(p.listener, (struct sockaddr *)&addr, h->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(addr)));
	say("listen", listen(p.listener, 5));
	must("getsockname", !getsockname(p.listener, (struct sockaddr *)&p.addr, &len));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, len));
	p.server = accept(p.listener, NULL, NULL);
	say("accept", p.server < 0 ? -1 : 0);
	nonblocking(&p, nonblock);
	if (nonblock)
		say("recv", recv(p.server, got, 1, 0));
	memset(block, 'y', sizeof(block));
	for (long sent = 0; sent < (long)sizeof(block);) {
		n = send(p.client, block + sent, nonblock ? 50000 : sizeof(block), 0);
		sent += n > 0 ? n : 0;
		for (; all < sent; all += n > 0 ? n : 0) {
			readable(p.server);
			n = recv(p.server, got + all, (size_t)(sent - all), 0);
		}
	}
	say("received", all);
	say("same", !memcmp(block, got, sizeof(block)));
	say("shutdown", shutdown(p.client, SHUT_WR));
	readable(p.server);
	say("recv", recv(p.server, got, 1, 0));
	pair_close(&p);
}

/* ---- what is held back ------------------------------------------------------------------------------------------ */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The kernel keeps it for 200 ms, so what is seen counts if little time has passed. */
static void test_more(const struct host *h, bool cork)
{
	enum { HELD_MS = 100, TRIES = 50 };
	char buf[16];

	title(cork ? "TCP_CORK holds back" : "MSG_MORE holds back");
	for (int i = 0; i < TRIES; i++) {
		struct pair p;
		long begun, early, n;

		pair_open(&p, h->family, h->text);
		setsockopt(p.client, IPPROTO_TCP, TCP_CORK, &(int){ cork }, sizeof(int));
		begun = now_ms();
		must("send", send(p.client, "held", 4, cork ? 0 : MSG_MORE) == 4);
		usleep(10000);
		early = recv(p.server, buf, sizeof(buf), MSG_DONTWAIT);
		n = now_ms() - begun;
		if (n < HELD_MS) {
			say("early", early);
			must("send", send(p.client, " back", 5, 0) == 5);
			setsockopt(p.client, IPPROTO_TCP, TCP_CORK, &(int){ 0 }, sizeof(int));
			readable(p.server);
			say("together", recv(p.server, buf, sizeof(buf), 0));
		}
		pair_close(&p);
		if (n < HELD_MS)
			return;
	}
	must("a machine that isn't so slow", false);
}

/* ---- from the listening socket ---------------------------------------------------------------------------------- */

static void say_option(const char *what, int fd, int level, int name, size_t words)
{
	int value[4] = { 0 };
	socklen_t len = sizeof(value);

	say(what, getsockopt(fd, level, name, value, &len));
	say("bytes", (long)len);
	for (size_t i = 0; i < words; i++)
		printf("%d\n", value[i]);
}

static void test_inherited(const struct host *h)
{
	const struct timeval t = { .tv_sec = 3, .tv_usec = 400000 };
	const struct linger l = { .l_onoff = 1, .l_linger = 7 };
	struct pair p;

	title("what an accepted socket has of the listening one");
	listen_on(&p, h->family, h->text);
	must("set", !setsockopt(p.listener, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) && !setsockopt(p.listener, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) &&
			    !setsockopt(p.listener, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) &&
			    !setsockopt(p.listener, SOL_SOCKET, SO_RCVLOWAT, &(int){ 5 }, sizeof(int)));
	p.client = socket(h->family, SOCK_STREAM, 0);
	must("connect", !connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	say_option("SO_RCVTIMEO", p.server, SOL_SOCKET, SO_RCVTIMEO, 0);
	say_option("SO_LINGER", p.server, SOL_SOCKET, SO_LINGER, 2);
	say_option("SO_RCVLOWAT", p.server, SOL_SOCKET, SO_RCVLOWAT, 1);
	for (int i = 0; i < 2; i++) {
		struct timeval got = { 0 };
		socklen_t len = sizeof(got);

		must("time", !getsockopt(p.server, SOL_SOCKET, i ? SO_SNDTIMEO : SO_RCVTIMEO, &got, &len));
		printf("%ld.%06ld\n", (long)got.tv_sec, (long)got.tv_usec);
	}
	pair_close(&p);
}

/* ---- one is enough; and what is left of the time ---------------------------------------------------------------- */

static void test_one(const struct host *h)
{
	char bytes[3][4];
	struct iovec iov[3];
	struct mmsghdr msgs[3] = { 0 };
	struct timeval left = { .tv_sec = 1000 };
	fd_set in;
	struct pair p;

	title("MSG_WAITFORONE, select()'s time");
	pair_open(&p, h->family, h->text);
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	must("send", send(p.client, "sixsix", 6, 0) == 6);
	readable(p.server);
	FD_ZERO(&in);
	FD_SET(p.server, &in);
	say("select", select(p.server + 1, &in, NULL, NULL, &left));
	say("left", left.tv_sec > 1000 - EVENTUALLY_MS / 1000);
	say("recvmmsg", recvmmsg(p.server, msgs, 3, MSG_WAITFORONE, NULL)); /* waits for none after the second */
	say("first", msgs[0].msg_len);
	say("second", msgs[1].msg_len);
	left = (struct timeval){ .tv_usec = 1000 };
	FD_SET(p.server, &in);
	say("select", select(p.server + 1, &in, NULL, NULL, &left));
	say("left", left.tv_sec || left.tv_usec);
	pair_close(&p);
}

/* ---- a flag of epoll that few know ------------------------------------------------------------------------------ */

static void test_wakeup_event(const struct host *h)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLWAKEUP };
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct pair p;

	title("EPOLLWAKEUP");
	pair_open(&p, h->family, h->text);
	say("add", epoll_ctl(set, EPOLL_CTL_ADD, p.server, &ev));
	say("nothing", epoll_wait(set, &ev, 1, 0));
	must("send", send(p.client, "x", 1, 0) == 1);
	say("wait", epoll_wait(set, &ev, 1, EVENTUALLY_MS));
	say_bits("events", ev.events);
	close(set);
	pair_close(&p);
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

void calls_rare(void)
{
	for (int i = 0; i < HOSTS; i++) {
		test_old_signals(&hosts[i]);
		test_files(&hosts[i]);
		test_stdio_both(&hosts[i]);
		test_wakeup_event(&hosts[i]);
		test_more(&hosts[i], false);
		test_more(&hosts[i], true);
		test_inherited(&hosts[i]);
		test_one(&hosts[i]);
		for (int nonblock = 0; nonblock < 2; nonblock++) {
			test_aio(&hosts[i], nonblock);
			test_mptcp(&hosts[i], nonblock);
		}
	}
}
