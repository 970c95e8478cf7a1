// SPDX-License-Identifier: BSD-2-Clause
/* calls_interrupt.c - every call that waits: ended by a signal or not, by another thread's shutdown(), by its time. See calls.c. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What the calls are about: a connection with nothing to read, and no room to write; a socket of datagrams; a set of them */
static struct pair conn;
static struct udp_pair udp;
static int pipes[2], file, set;
static char bytes[65536];

/* ---- the calls --------------------------------------------------------------------------------- */

static long in_recv(void)
{
	return recv(conn.server, bytes, 4, 0);
}

static long in_read(void)
{
	return read(conn.server, bytes, 4);
}

static long in_readv(void)
{
	return readv(conn.server, &(struct iovec){ bytes, 4 }, 1);
}

static long in_waitall(void)
{
	return recv(conn.server, bytes, 4, MSG_WAITALL);
}

static long in_peek(void)
{
	return recv(conn.server, bytes, 4, MSG_PEEK);
}

static long in_recvmsg(void)
{
	return recvmsg(conn.server, &(struct msghdr){ .msg_iov = &(struct iovec){ bytes, 4 }, .msg_iovlen = 1 }, 0);
}

static long in_splice(void)
{
	return splice(conn.server, NULL, pipes[1], NULL, 4, 0);
}

static long in_accept(void)
{
	int fd = accept(conn.listener, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 1;
}

static long in_udp_recv(void)
{
	return recv(udp.server, bytes, 4, 0);
}

static long in_udp_recvmsg(void)
{
	return recvmsg(udp.server, &(struct msghdr){ .msg_iov = &(struct iovec){ bytes, 4 }, .msg_iovlen = 1 }, 0);
}

static long in_udp_recvmmsg(void)
{
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &(struct iovec){ bytes, 4 }, .msg_iovlen = 1 } };

	return recvmmsg(udp.server, &m, 1, 0, NULL);
}

/* Until it has to wait: what is under way, and buffers that grow, make room again and again. */
static long in_send(void)
{
	long n = 1;

	for (int i = 0; i < 200 && n > 0; i++)
		n = send(conn.client, bytes, sizeof(bytes), MSG_NOSIGNAL);
	return n;
}

static long in_sendfile(void)
{
	long n = 1;

	for (int i = 0; i < 200 && n > 0; i++)
		n = sendfile(conn.client, file, &(off_t){ 0 }, sizeof(bytes));
	return n;
}

static long in_poll(void)
{
	struct pollfd p[2] = { { .fd = conn.server, .events = POLLIN | POLLRDHUP }, { .fd = udp.server, .events = POLLIN } };

	return poll(p, 2, EVENTUALLY_MS);
}

static long in_select(void)
{
	struct timeval tv = { .tv_sec = EVENTUALLY_MS / 1000 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(conn.server, &r);
	FD_SET(udp.server, &r);
	return select((conn.server > udp.server ? conn.server : udp.server) + 1, &r, NULL, NULL, &tv);
}

static long in_pselect(void)
{
	struct timespec ts = { .tv_sec = EVENTUALLY_MS / 1000 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(conn.server, &r);
	return pselect(conn.server + 1, &r, NULL, NULL, &ts, NULL);
}

static long in_epoll(void)
{
	return epoll_wait(set, &(struct epoll_event){ 0 }, 1, EVENTUALLY_MS);
}

enum ends { BY_BYTES, BY_CLIENT, BY_DATAGRAM, BY_ROOM, NEVER_RESTARTED };
static const struct wait {
	const char *name;
	long (*run)(void);
	enum ends ends;
	bool shut; /* shutdown() of the connection ends it */
} waits[] = { { "recv", in_recv, BY_BYTES, true },
	      { "read", in_read, BY_BYTES, true },
	      { "readv", in_readv, BY_BYTES, true },
	      { "recv WAITALL", in_waitall, BY_BYTES, true },
	      { "recv PEEK", in_peek, BY_BYTES, true },
	      { "recvmsg", in_recvmsg, BY_BYTES, true },
	      { "splice", in_splice, BY_BYTES, true },
	      { "accept", in_accept, BY_CLIENT, false },
	      { "recv, datagram", in_udp_recv, BY_DATAGRAM, false },
	      { "recvmsg, datagram", in_udp_recvmsg, BY_DATAGRAM, false },
	      { "recvmmsg, datagram", in_udp_recvmmsg, BY_DATAGRAM, false },
	      { "send", in_send, BY_ROOM, true },
	      { "sendfile", in_sendfile, BY_ROOM, true },
	      { "poll", in_poll, NEVER_RESTARTED, true },
	      { "select", in_select, NEVER_RESTARTED, true },
	      { "pselect", in_pselect, NEVER_RESTARTED, true },
	      { "epoll_wait", in_epoll, NEVER_RESTARTED, true } };
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

static void scene_open(int family, const char *text)
{
	struct epoll_event ev = { .events = EPOLLIN };

	pair_open(&conn, family, text);
	udp_open(&udp, family, text);
	must("pipe", !pipe(pipes));
	file = open("/proc/self/exe", O_RDONLY);
	set = epoll_create1(0);
	must("add", !epoll_ctl(set, EPOLL_CTL_ADD, conn.server, &ev) && !epoll_ctl(set, EPOLL_CTL_ADD, udp.server, &ev));
}

static void scene_close(void)
{
	pair_close(&conn);
	udp_close(&udp);
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	close(set);
}

/* ---- by a signal ------------------------------------------------------------------------------- */

static _Atomic int alarms; /* handled; other threads look at it */

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* Again and again: one alone may come before the call that it is for. 0: no more. */
static void alarm_every(long ms, int flags)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	sigaction(SIGALRM, &sa, NULL);
	alarms = 0;
	setitimer(ITIMER_REAL, &it, NULL);
}

/* Some alarms later: what the call waits for */
static void *end_wait(void *arg)
{
	const struct wait *w = arg;
	static char drained[65536];
	int fd;

	for (int i = 0; i < EVENTUALLY_MS && alarms < 3; i++)
		usleep(1000);
	switch (w->ends) {
	case BY_BYTES:
		write(conn.client, "abcd", 4);
		break;
	case BY_CLIENT:
		fd = socket(conn.addr.ss_family, SOCK_STREAM, 0);
		must("connect", !connect(fd, (struct sockaddr *)&conn.addr, conn.addr_len));
		close(fd);
		break;
	case BY_DATAGRAM:
		to_server(&udp, "abcd");
		break;
	default:
		while (read(conn.server, drained, sizeof(drained)) > 0)
			;
	}
	return NULL;
}

static void block_alarm(int how)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGALRM);
	pthread_sigmask(how, &s, NULL);
}

/* @w goes on after alarms until what it waits for is there. */
static void restarted(const struct wait *w)
{
	pthread_t t;
	long n;

	block_alarm(SIG_BLOCK);
	alarm_every(20, SA_RESTART);
	must("thread", !pthread_create(&t, NULL, end_wait, (void *)(uintptr_t)w));
	block_alarm(SIG_UNBLOCK);
	n = w->run();
	if (w->ends == BY_ROOM) {
		say("goes on", n > 0);
		shutdown(conn.client, SHUT_WR);
	} else {
		say("goes on", n);
		say("after alarms", alarms >= 3);
	}
	alarm_every(0, SA_RESTART);
	must("join", !pthread_join(t, NULL));
	if (w->run == in_peek)
		recv(conn.server, bytes, 4, MSG_WAITALL);
}

static void test_signals(int family, const char *text)
{
	title(family == AF_INET ? "signals, IPv4" : "signals, IPv6");
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < WAITS; i++) {
		const struct wait *w = &waits[i];

		scene_open(family, text);
		alarm_every(20, w->ends == NEVER_RESTARTED ? SA_RESTART : 0);
		say(w->name, w->run());
		alarm_every(0, 0);
		if (w->ends != NEVER_RESTARTED)
			restarted(w);
		scene_close();
	}
	signal(SIGALRM, SIG_DFL);
}

static int pselect_masked(const struct timespec *ts, const sigset_t *mask)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(conn.server, &r);
	return pselect(conn.server + 1, &r, NULL, NULL, ts, mask);
}

static int ppoll_masked(const struct timespec *ts, const sigset_t *mask)
{
	struct pollfd p = { .fd = udp.server, .events = POLLIN };

	return ppoll(&p, 1, ts, mask);
}

static int epoll_masked(const struct timespec *ts, const sigset_t *mask)
{
	return epoll_pwait2(set, &(struct epoll_event){ 0 }, 1, ts, mask);
}

/* Only what the mask lets through ends it; a handler of what it keeps out runs when the call is over. */
static void test_masks(void)
{
	static const struct {
		const char *name;
		int (*run)(const struct timespec *ts, const sigset_t *mask);
	} calls[] = { { "pselect", pselect_masked }, { "ppoll", ppoll_masked }, { "epoll_pwait2", epoll_masked } };
	struct timespec soon = { .tv_nsec = 100000000 }, ts = { .tv_sec = EVENTUALLY_MS / 1000 };
	sigset_t none, alarm_only;

	title("masks of calls that wait");
	scene_open(AF_INET, "127.0.0.1");
	sigemptyset(&none);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	alarm_every(20, SA_RESTART);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		say(calls[i].name, calls[i].run(&soon, &alarm_only));
		block_alarm(SIG_BLOCK);
		usleep(50000);
		alarms = 0;
		say("let through at once", calls[i].run(&(struct timespec){ 0 }, &none));
		say("alarms", alarms > 0);
		usleep(50000);
		alarms = 0;
		say("let through", calls[i].run(&ts, &none));
		say("alarms", alarms > 0);
		block_alarm(SIG_UNBLOCK);
		say("not kept out", calls[i].run(&ts, &none));
	}
	alarm_every(0, 0);
	scene_close();
	signal(SIGALRM, SIG_DFL);
}

/* ---- by another thread ------------------------------------------------------------------------- */

static void *run_wait(void *arg)
{
	const struct wait *w = arg;
	long n = w->run();

	return (void *)(n < 0 ? -(long)errno : n);
}

static void test_shut(int family, const char *text)
{
	title(family == AF_INET ? "shut down by another thread, IPv4" : "shut down by another thread, IPv6");
	for (int i = 0; i < WAITS; i++) {
		const struct wait *w = &waits[i];
		pthread_t t;
		void *ret;
		long n;

		if (!w->shut)
			continue;
		scene_open(family, text);
		must("thread", !pthread_create(&t, NULL, run_wait, (void *)(uintptr_t)w));
		settle();
		say(w->name, shutdown(w->ends == BY_ROOM ? conn.client : conn.server, SHUT_RDWR));
		must("join", !pthread_join(t, &ret));
		n = (long)ret;
		errno = n < 0 ? (int)-n : 0;
		say("ended", n < 0 ? -1 : n);
		scene_close();
	}
}

/* ---- connect() --------------------------------------------------------------------------------- */

/* The listener has no room for one more: that one's SYN is not answered. Return: how many fill it */
static int fill_backlog(struct pair *p, int family, const char *text, int fds[16])
{
	int cnt = 0;

	listen_on(p, family, text);
	must("listen", !listen(p->listener, 0));
	do {
		must("fills up", cnt < 16);
		fds[cnt] = socket(tcp_family(family), SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[cnt], (struct sockaddr *)&p->addr, p->addr_len);
	} while (poll_now(fds[cnt++], 300) & POLLOUT);
	return cnt;
}

static void *accept_all(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < EVENTUALLY_MS && alarms < 3; i++)
		usleep(1000);
	for (int fd; (fd = accept(p->listener, NULL, NULL)) >= 0;)
		close(fd);
	return NULL;
}

static void test_connect(int family, const char *text)
{
	struct timeval tv = { .tv_usec = 100000 }, none = { 0 };
	int fds[16], cnt, fd;
	struct pair p;
	pthread_t t;

	title("connect() that waits");
	cnt = fill_backlog(&p, family, text, fds);
	fd = socket(tcp_family(family), SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	say("SO_SNDTIMEO", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	say("and again", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	close(fd);
	fd = socket(tcp_family(family), SOCK_STREAM, 0);
	alarm_every(20, 0);
	say("interrupted", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	alarm_every(0, 0);
	say_bits("poll", poll_now(fd, 0));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	say("under way", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	block_alarm(SIG_BLOCK);
	alarm_every(20, SA_RESTART);
	must("thread", !pthread_create(&t, NULL, accept_all, &p));
	block_alarm(SIG_UNBLOCK);
	say("goes on", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	alarm_every(0, SA_RESTART);
	say("connected", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	shutdown(p.listener, SHUT_RDWR);
	must("join", !pthread_join(t, NULL));
	signal(SIGALRM, SIG_DFL);
	for (int i = 0; i < cnt; i++)
		close(fds[i]);
	close(fd);
	close(p.listener);
}

/* ---- set as System V does, and programs that are compiled for POSIX or X/Open alone --------------------- */

extern sighandler_t __sysv_signal(int sig, sighandler_t handler);
extern sighandler_t old_sigset(int sig, sighandler_t handler) __asm__("sigset"); /* deprecated by that name */
static struct pair old_conn;
static _Atomic bool old_over;

/* Uses the socket that is being read. */
static void on_old_alarm(int sig)
{
	(void)sig;
	if (!alarms++)
		write(old_conn.server, "alarm", 5);
}

/* Again and again, each time with a handler that is gone when it has run, until `old_over` */
static void *alarm_old(void *arg)
{
	for (int n = 0; !old_over; n++) {
		__sysv_signal(SIGALRM, on_old_alarm);
		pthread_kill(*(pthread_t *)arg, SIGALRM);
		while (alarms == n)
			usleep(1000);
		usleep(50000);
	}
	return NULL;
}

static void say_action(int sig)
{
	struct sigaction sa;

	sigaction(sig, NULL, &sa);
	say("default", sa.sa_handler == SIG_DFL);
	say("its own", sa.sa_handler == on_alarm);
	say("flags", (unsigned)sa.sa_flags & (SA_RESETHAND | SA_NODEFER | SA_RESTART | SA_SIGINFO));
	say("mask", sigismember(&sa.sa_mask, sig));
}

static void test_sysv(void)
{
	pthread_t self = pthread_self(), t;
	char buf[8];

	title("set as System V does");
	signal(SIGUSR1, SIG_DFL);
	alarms = 0;
	say("was default", __sysv_signal(SIGUSR1, on_alarm) == SIG_DFL);
	say_action(SIGUSR1);
	raise(SIGUSR1);
	say("handled", alarms);
	say_action(SIGUSR1);
	say("none such", __sysv_signal(NSIG, on_alarm) == SIG_ERR ? -1 : 0);
	say("SIGKILL", __sysv_signal(SIGKILL, on_alarm) == SIG_ERR ? -1 : 0);

	pair_open(&old_conn, AF_INET, "127.0.0.1");
	alarms = 0;
	must("thread", !pthread_create(&t, NULL, alarm_old, &self));
	say("recv", recv(old_conn.server, buf, sizeof(buf), 0));
	say("told by the handler", recv(old_conn.client, buf, sizeof(buf), 0));
	say("accept", accept(old_conn.listener, NULL, NULL));
	old_over = true;
	must("join", !pthread_join(t, NULL));
	say_action(SIGALRM);
	pair_close(&old_conn);
}

/* Its mask is still asked for when it has run. */
static void test_once(void)
{
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = (int)SA_RESETHAND };

	title("a handler for once");
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGUSR1);
	sigaddset(&act.sa_mask, SIGHUP);
	alarms = 0;
	say("set", sigaction(SIGUSR1, &act, NULL));
	say_action(SIGUSR1);
	raise(SIGUSR1);
	say("handled", alarms);
	say_action(SIGUSR1);
	sigaction(SIGUSR1, NULL, &act);
	say("SIGHUP", sigismember(&act.sa_mask, SIGHUP));
}

static void test_sigset(void)
{
	title("sigset");
	alarms = 0;
	say("was default", old_sigset(SIGUSR1, on_alarm) == SIG_DFL);
	say_action(SIGUSR1);
	raise(SIGUSR1);
	say("handled", alarms);
	say("held", old_sigset(SIGUSR1, SIG_HOLD) == on_alarm);
	say("again", old_sigset(SIGUSR1, SIG_HOLD) == SIG_HOLD);
	raise(SIGUSR1);
	say("handled", alarms);
	say("let through", old_sigset(SIGUSR1, on_alarm) == SIG_HOLD);
	say("handled", alarms);
	say("none such", old_sigset(0, on_alarm) == SIG_ERR ? -1 : 0);
	say("SIGKILL", old_sigset(SIGKILL, on_alarm) == SIG_ERR ? -1 : 0);

	pair_open(&old_conn, AF_INET, "127.0.0.1");
	old_sigset(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 50000 }, { 0, 50000 } }, NULL);
	say("recv", recv(old_conn.server, &(char[8]){ 0 }, 8, 0));
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	old_sigset(SIGALRM, SIG_DFL);
	old_sigset(SIGUSR1, SIG_DFL);
	pair_close(&old_conn);
}

void calls_interrupt(void)
{
	test_sysv();
	test_once();
	test_sigset();
	test_signals(AF_INET, "127.0.0.1");
	test_signals(AF_INET6, "::1");
	test_masks();
	test_shut(AF_INET, "127.0.0.1");
	test_shut(AF_INET6, "::1");
	test_connect(AF_INET, "127.0.0.1");
	test_connect(AF_INET6, "::1");
}
