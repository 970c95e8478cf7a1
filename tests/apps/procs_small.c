// SPDX-License-Identifier: BSD-2-Clause
/*
 * Part of `procs`: threads whose stacks are as small as can be. Every turn is one of a server and its client, each in a thread of its own
 * with a stack of PTHREAD_STACK_MIN and nothing below it. And threads that wait in a process that can have no more descriptors, and those that are cancelled in
 * the first call that waits, or at any moment.
 */
#include "procs.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

enum { PAINT = 0xa5, BULK_BYTES = 256 * 1024, LARGE_BYTES = 20000, DGRAMS = 32, FDS = 40, ROUNDS = 300 };

static int listener, conn, udp;
static uint16_t port;
static char block[BULK_BYTES];

struct turn {
	const char *name;
	void (*client)(void), (*server)(void);
};

struct job {
	void (*run)(void);
};

static void *job_run(void *arg)
{
	((struct job *)arg)->run();
	return NULL;
}

/* In a thread of its own. With $STACKS_SAID, how much of it was used is said. */
static void turn_take(const char *name, void (*fn)(void))
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PTHREAD_STACK_MIN, unused = 0;
	uint8_t *low = mmap(NULL, page + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct job job = { fn };
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(low != MAP_FAILED && !mprotect(low + page, size, PROT_READ | PROT_WRITE));
	memset(low + page, PAINT, size);
	CHECK(!pthread_attr_init(&attr) && !pthread_attr_setstack(&attr, low + page, size));
	CHECK(!pthread_create(&thread, &attr, job_run, &job) && !pthread_join(thread, NULL));
	while (low[page + unused] == PAINT)
		unused++;
	if (getenv("STACKS_SAID"))
		fprintf(stderr, "%s: %zu bytes of the stack were never used\n", name, unused);
	pthread_attr_destroy(&attr);
	munmap(low, page + size);
}

/* ---- TCP -------------------------------------------------------------------------------------------------------- */

static void connects(void)
{
	conn = connect_to(port);
	ping(conn);
}

static void accepts(void)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	conn = accept(listener, NULL, NULL);
	CHECK(conn >= 0);
	ping_back(conn);
}

static void scatters(void)
{
	const struct iovec iov[] = { { block, 100 }, { block + 100, 2000 }, { block + 2100, 300 }, { block, 0 } };

	CHECK(writev(conn, iov, 4) == 2400);
	ping(conn);
}

static void gathers(void)
{
	struct iovec iov[] = { { block, 1000 }, { block + 1000, 1400 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(conn, &set);
	CHECK(select(conn + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(conn, &set));
	CHECK(recvmsg(conn, &msg, MSG_PEEK) > 0);
	CHECK(recvmsg(conn, &msg, MSG_WAITALL) == 2400);
	ping_back(conn);
}

static void polls_many(void)
{
	static struct pollfd fds[FDS];
	static int copies[FDS];

	for (int i = 0; i < FDS; i++) {
		copies[i] = i ? dup(conn) : conn;
		CHECK(copies[i] >= 0);
		fds[i] = (struct pollfd){ .fd = copies[i], .events = POLLOUT };
	}
	CHECK(poll(fds, FDS, -1) == FDS);
	for (int i = 1; i < FDS; i++)
		close(copies[i]);
	ping(conn);
}

static void waits_in_set(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT };

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, conn, &ev));
	do
		CHECK(epoll_wait(set, &ev, 1, ANSWER_MS) == 1);
	while (!(ev.events & EPOLLIN));
	close(set);
	ping_back(conn);
}

static void looks(void)
{
	struct sockaddr_in6 name;
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int value;

	CHECK(!getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &len));
	len = sizeof(value);
	CHECK(!getsockopt(conn, SOL_SOCKET, SO_ERROR, &value, &len) && !value);
	len = sizeof(name);
	CHECK(!getsockname(conn, (struct sockaddr *)&name, &len));
	CHECK(!ioctl(conn, FIONREAD, &value));
	value = 1;
	CHECK(!setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));
}

static void looks_and_asks(void)
{
	looks();
	ping(conn);
}

static void looks_and_answers(void)
{
	looks();
	ping_back(conn);
}

static void sends_file(void)
{
	int file = memfd_create("file", MFD_CLOEXEC);
	off_t off = 0;

	CHECK(file >= 0 && !ftruncate(file, BULK_BYTES));
	while (off < BULK_BYTES)
		CHECK(sendfile(conn, file, &off, (size_t)(BULK_BYTES - off)) > 0);
	close(file);
	ping(conn);
}

static void reads_much(void)
{
	CHECK(read_all(conn, block, BULK_BYTES) == BULK_BYTES);
	ping_back(conn);
}

static void splices(void)
{
	int ends[2];

	CHECK(!pipe2(ends, O_CLOEXEC) && write(ends[1], block, 4000) == 4000);
	for (ssize_t n, left = 4000; left; left -= n) {
		n = splice(ends[0], NULL, conn, NULL, (size_t)left, 0);
		CHECK(n > 0);
	}
	close(ends[0]);
	close(ends[1]);
	ping(conn);
}

static void splices_back(void)
{
	int ends[2];

	CHECK(!pipe2(ends, O_CLOEXEC));
	for (ssize_t n, left = 4000; left; left -= n) {
		n = splice(conn, NULL, ends[1], NULL, (size_t)left, 0);
		CHECK(n > 0 && read(ends[0], block, (size_t)n) == n);
	}
	close(ends[0]);
	close(ends[1]);
	ping_back(conn);
}

/* By way of a message to itself */
static void passes(void)
{
	int via[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via));
	fd_send(via[0], conn);
	close(conn);
	conn = fd_recv(via[1]);
	close(via[0]);
	close(via[1]);
}

static void passes_and_asks(void)
{
	passes();
	ping(conn);
}

static void passes_and_answers(void)
{
	passes();
	ping_back(conn);
}

static void in_child(void (*fn)(int))
{
	pid_t pid = fork_must();

	if (!pid) {
		fn(conn);
		_exit(0);
	}
	child_end(pid);
}

static void forks_and_asks(void)
{
	in_child(ping);
	ping(conn);
}

static void forks_and_answers(void)
{
	in_child(ping_back);
	ping_back(conn);
}

static void is_cat(int fd)
{
	CHECK(dup2(fd, 0) == 0 && dup2(fd, 1) == 1);
	close(fd);
	execlp("cat", "cat", NULL);
	_exit(127);
}

static void runs_cat(void)
{
	in_child(is_cat);
	close(conn);
}

static void asks_cat(void)
{
	ping(conn);
	CHECK(!shutdown(conn, SHUT_WR) && read(conn, block, 1) == 0);
	close(conn);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	int err = errno;

	(void)sig;
	send(udp, "", 1, MSG_DONTWAIT);
	errno = err;
}

static void alarms(bool on)
{
	struct itimerval every = { .it_interval.tv_usec = on ? 300 : 0, .it_value.tv_usec = on ? 300 : 0 };
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &every, NULL));
	CHECK(!pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL));
}

static void asks_interrupted(void)
{
	/* with a time limit the kernel's calls, too, aren't made again */
	CHECK(!setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 }, sizeof(struct timeval)));
	alarms(true);
	for (int i = 0; i < ROUNDS; i++) {
		ping(conn);
		usleep(10);
	}
	alarms(false);
}

static void answers_many(void)
{
	for (int i = 0; i < ROUNDS; i++)
		ping_back(conn);
}

/* ---- UDP -------------------------------------------------------------------------------------------------------- */

static struct sockaddr_in6 peer;
static socklen_t peer_len;

static void opens_and_sends(void)
{
	struct sockaddr_in6 to;
	socklen_t len = sizeof(to);

	ping(conn);
	CHECK(!getpeername(conn, (struct sockaddr *)&to, &len));
	to.sin6_port = htons(port);
	udp = socket(to.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(udp >= 0 && sendto(udp, "ping", 4, 0, (struct sockaddr *)&to, len) == 4);
	CHECK(recv(udp, block, sizeof(block), 0) == 4);
	CHECK(!connect(udp, (struct sockaddr *)&to, len));
}

static void opens_and_answers(void)
{
	struct pollfd pfd = { .events = POLLIN };
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);

	CHECK(!getsockname(conn, (struct sockaddr *)&at, &len));
	udp = pfd.fd = socket(at.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(udp >= 0 && !bind(udp, (struct sockaddr *)&at, len));
	ping_back(conn);
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	peer_len = sizeof(peer);
	CHECK(recvfrom(udp, block, sizeof(block), 0, (struct sockaddr *)&peer, &peer_len) == 4);
	CHECK(sendto(udp, block, 4, 0, (struct sockaddr *)&peer, peer_len) == 4);
	CHECK(!connect(udp, (struct sockaddr *)&peer, peer_len));
}

static struct mmsghdr msgs[DGRAMS];
static struct iovec pieces[DGRAMS];

static void messages_begin(void)
{
	memset(msgs, 0, sizeof(msgs));
	for (int i = 0; i < DGRAMS; i++) {
		pieces[i] = (struct iovec){ block + 100 * i, 100 };
		msgs[i].msg_hdr.msg_iov = &pieces[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static void sends_many(void)
{
	messages_begin();
	for (int done = 0, n; done < DGRAMS; done += n) {
		n = sendmmsg(udp, msgs + done, (unsigned)(DGRAMS - done), 0);
		CHECK(n > 0);
	}
	ping(conn);
}

static void receives_many(void)
{
	messages_begin();
	for (int done = 0, n; done < DGRAMS; done += n) {
		n = recvmmsg(udp, msgs + done, (unsigned)(DGRAMS - done), MSG_WAITFORONE, NULL);
		CHECK(n > 0);
	}
	ping_back(conn);
}

static void sends_large(void)
{
	CHECK(send(udp, block, LARGE_BYTES, 0) == LARGE_BYTES);
	CHECK(recv(udp, block, sizeof(block), 0) == LARGE_BYTES);
}

static void returns_large(void)
{
	CHECK(recv(udp, block, sizeof(block), 0) == LARGE_BYTES);
	CHECK(send(udp, block, LARGE_BYTES, 0) == LARGE_BYTES);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static const struct turn turns[] = {
	{ "connect", connects, accepts },
	{ "writev", scatters, gathers },
	{ "epoll", polls_many, waits_in_set },
	{ "options", looks_and_asks, looks_and_answers },
	{ "sendfile", sends_file, reads_much },
	{ "splice", splices, splices_back },
	{ "passed", passes_and_asks, passes_and_answers },
	{ "udp", opens_and_sends, opens_and_answers },
	{ "udp_many", sends_many, receives_many },
	{ "udp_large", sends_large, returns_large },
	{ "interrupted", asks_interrupted, answers_many },
	{ "forked", forks_and_asks, forks_and_answers },
	{ "cat", asks_cat, runs_cat },
};

static void serves(int fd)
{
	sigset_t set;

	listener = fd;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	server_ready(fd);
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		turn_take(turns[i].name, turns[i].server);
}

static void talk(void)
{
	pid_t pid;

	port = server_start(serves, &pid);
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		turn_take(turns[i].name, turns[i].client);
		if (!i)
			check_path(conn);
	}
	child_end(pid);
	close(udp);
}

static void part_small_stacks(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	for (int v6 = 0; v6 < 2; v6++) {
		use_ipv6(v6);
		talk();
		printf("all that a thread with a small stack does, over IPv%d\n", v6 ? 6 : 4);
	}
	use_ipv6(false);
	CHECK(!pthread_sigmask(SIG_UNBLOCK, &set, NULL));
}

/* ---- no descriptor is left -------------------------------------------------------------------------------------- */

enum { WAITERS = 4, SOME_MS = 100 };
static int conns[WAITERS];

static void *waits_by_one(void *arg)
{
	int i = (int)((int *)arg - conns), fd = conns[i];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	if (i == 0)
		CHECK(poll(&pfd, 1, -1) == 1);
	else if (i == 1)
		CHECK(select(fd + 1, &set, NULL, NULL, NULL) == 1);
	else if (i == 2)
		for (int times = 0; times < ROUNDS / 10; times++)
			write_all(fd, block, sizeof(block));
	ping_back(fd);
	return NULL;
}

/* Each thread has a connection of its own. What the library has descriptors of its own for is not to be seen. */
static void serve_without_descriptors(int fd)
{
	pthread_t threads[WAITERS];
	rlim_t first;

	server_ready(fd);
	for (int i = 0; i < WAITERS; i++) {
		conns[i] = accept_one(fd);
		ping_back(conns[i]);
	}
	first = (rlim_t)dup(fd);
	CHECK(!close((int)first) && !setrlimit(RLIMIT_NOFILE, &(struct rlimit){ first, first }) && dup(fd) < 0 && errno == EMFILE);
	for (int i = 0; i < WAITERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, waits_by_one, &conns[i]));
	for (int i = 0; i < WAITERS; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

static void part_no_descriptors(void)
{
	int fds[WAITERS];
	pid_t pid;

	port = server_start(serve_without_descriptors, &pid);
	for (int i = 0; i < WAITERS; i++) {
		fds[i] = connect_to(port);
		ping(fds[i]);
		check_path(fds[i]);
	}
	usleep(SOME_MS * 1000);
	for (int i = 0; i < WAITERS; i++) {
		for (int times = 0; i == 2 && times < ROUNDS / 10; times++)
			CHECK(read_all(fds[i], block, sizeof(block)) == sizeof(block));
		ping(fds[i]);
		close(fds[i]);
	}
	child_end(pid);
	printf("threads wait where no descriptor is left\n");
}

/* Whatever part had a handler of its own */
static void limit_time(void)
{
	CHECK(signal(SIGALRM, SIG_DFL) != SIG_ERR);
	alarm(ANSWER_MS / 1000);
}

/* ---- cancelled as the process waits for the first time ----------------------------------------------------------- */

/* What waits for nothing is made all the same. */
static void *waits_cancelled(void *arg)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd pfd = { .events = POLLIN };
	int kind = *(int *)arg;

	CHECK(!pthread_cancel(pthread_self()));
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(udp, (struct sockaddr *)&at, sizeof(at)));
	pfd.fd = udp;
	if (kind == 0)
		(void)poll(&pfd, 1, -1);
	else if (kind == 1)
		(void)recv(udp, block, sizeof(block), 0);
	listener = listen_any(&port);
	(void)accept(listener, NULL, NULL);
	return NULL;
}

static void waits_after(int kind)
{
	struct pollfd pfd = { .events = POLLIN };
	pthread_t thread;
	void *ended;

	limit_time();
	CHECK(!pthread_create(&thread, NULL, waits_cancelled, &kind) && !pthread_join(thread, &ended) && ended == PTHREAD_CANCELED);
	pfd.fd = kind == 2 ? listener : udp;
	CHECK(!poll(&pfd, 1, 1) && !close(pfd.fd));
}

static void part_cancelled_waits(void)
{
	for (int kind = 0; kind < 3; kind++)
		child_end(child_start(waits_after, kind));
	printf("others wait after one was cancelled\n");
}

/* ---- cancelled at any moment ------------------------------------------------------------------------------------- */

enum { TRIES = 30, MOMENT_US = 1000 };

static void *sends_for_ever(void *arg)
{
	CHECK(!pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
	while (send(conn, block, LARGE_BYTES, 0) > 0)
		;
	return arg;
}

static void serve_drained(int fd)
{
	server_ready(fd);
	for (int times = 0; times < TRIES; times++) {
		int from = accept_one(fd), asks = accept_one(fd);

		while (read(from, block, sizeof(block)) > 0)
			;
		close(from);
		ping_back(asks);
		close(asks);
	}
}

/* The thread that ends so is in the middle of a call, mostly. */
static void cancels_sender(int times)
{
	pthread_t thread;
	int asks;

	conn = connect_to(port);
	asks = connect_to(port);
	CHECK(!pthread_create(&thread, NULL, sends_for_ever, NULL));
	usleep(MOMENT_US + times * MOMENT_US / TRIES);
	CHECK(!pthread_cancel(thread) && !pthread_join(thread, NULL));
	close(conn);
	ping(asks);
	close(asks);
}

static void sends_cancelled(int arg)
{
	limit_time();
	for (int times = arg; times < TRIES; times++)
		cancels_sender(times);
}

static void part_cancelled_any_time(void)
{
	pid_t pid;

	port = server_start(serve_drained, &pid);
	child_end(child_start(sends_cancelled, 0));
	child_end(pid);
	printf("a thread that is cancelled in the middle of a call holds nobody up\n");
}

enum { SIG_CANCEL = 32 };

/* As the parent of some program may have it: libc doesn't let anybody do that. */
static void becomes_ignoring(int arg)
{
	struct {
		void (*handler)(int);
		unsigned long more[3];
	} ignore = { .handler = SIG_IGN };

	(void)arg;
	CHECK(!syscall(SYS_rt_sigaction, SIG_CANCEL, &ignore, NULL, sizeof(uint64_t)));
	execl("/proc/self/exe", "procs", wants_kernel() ? "kernel" : "channel", "cancelled_any_time", NULL);
}

static void part_cancelled_ignored(void)
{
	child_end(child_start(becomes_ignoring, 0));
	printf("so in a program that was started with the signal ignored\n");
}

/* The first of its process, by several threads at once */
enum { AT_ONCE = 4 };
static pthread_barrier_t at_once;

static void *cancels_one(void *thread)
{
	(void)pthread_barrier_wait(&at_once);
	CHECK(!pthread_cancel(*(pthread_t *)thread));
	return NULL;
}

static void cancel_at_once(int arg)
{
	pthread_t senders[AT_ONCE], others[AT_ONCE];
	int asks;

	(void)arg;
	limit_time();
	conn = connect_to(port);
	asks = connect_to(port);
	CHECK(!pthread_barrier_init(&at_once, NULL, AT_ONCE));
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_create(&senders[i], NULL, sends_for_ever, NULL));
	usleep(MOMENT_US);
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_create(&others[i], NULL, cancels_one, &senders[i]));
	for (int i = 0; i < AT_ONCE; i++)
		CHECK(!pthread_join(others[i], NULL) && !pthread_join(senders[i], NULL));
	close(conn);
	ping(asks);
	close(asks);
}

static void part_cancelled_at_once(void)
{
	pid_t pid;

	port = server_start(serve_drained, &pid);
	for (int times = 0; times < TRIES; times++)
		child_end(child_start(cancel_at_once, 0));
	child_end(pid);
	printf("threads that are cancelled at once hold nobody up\n");
}

/* ---- cancelled where it doesn't wait: each of these calls is a cancellation point ---------------------------------- */

enum { BUSY_KINDS = 6 };

static void busy_call(int kind, int set)
{
	struct pollfd pfd = { .fd = conn, .events = POLLPRI };
	struct timespec none = { 0 };
	struct timeval no_time = { 0 };
	fd_set fds;

	switch (kind) {
	case 0: (void)poll(&pfd, 1, 0); break;
	case 1: (void)ppoll(&pfd, 1, &none, NULL); break;
	case 2: (void)recv(conn, block, 1, MSG_DONTWAIT); break;
	case 3: (void)epoll_wait(set, &(struct epoll_event){ 0 }, 1, 0); break;
	case 4: (void)recvmsg(conn, &(struct msghdr){ 0 }, MSG_DONTWAIT); break;
	default:
		FD_ZERO(&fds);
		FD_SET(conn, &fds);
		(void)select(conn + 1, NULL, NULL, &fds, &no_time);
	}
}

static void *is_busy(void *arg)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, conn, &(struct epoll_event){ .events = EPOLLPRI }));
	for (;;)
		busy_call(*(int *)arg, set);
}

static void busy_cancelled(int arg)
{
	(void)arg;
	limit_time();
	conn = connect_to(port);
	check_path(conn);
	ping(conn);
	for (int kind = 0; kind < BUSY_KINDS; kind++) {
		pthread_t thread;
		void *ended;

		CHECK(!pthread_create(&thread, NULL, is_busy, &kind));
		usleep(MOMENT_US);
		CHECK(!pthread_cancel(thread) && !pthread_join(thread, &ended) && ended == PTHREAD_CANCELED);
	}
	close(conn);
}

static void part_cancelled_busy(void)
{
	pid_t pid;

	port = server_start(serve_ping, &pid);
	child_end(child_start(busy_cancelled, 0));
	child_end(pid);
	printf("a thread that is cancelled ends where it doesn't wait as well\n");
}

void small_parts(const char *only)
{
	static const struct part parts[] = { { "small_stacks", part_small_stacks }, { "no_descriptors", part_no_descriptors }, { "cancelled_waits", part_cancelled_waits },
					     { "cancelled_any_time", part_cancelled_any_time }, { "cancelled_ignored", part_cancelled_ignored },
					     { "cancelled_at_once", part_cancelled_at_once },
					     { "cancelled_busy", part_cancelled_busy } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
