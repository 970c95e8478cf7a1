// SPDX-License-Identifier: BSD-2-Clause
/*
 * procs_small.c - threads that have little. Their stacks are as small as can be: every turn is one of a server and its client, each in a thread of
 * its own with a stack of PTHREAD_STACK_MIN and nothing below it. Or their process can have no more descriptors, and they wait. See procs.c.
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
#include <sys/time.h>
#include <sys/uio.h>
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
	CHECK(read_all(conn, &to.sin6_port, sizeof(to.sin6_port)) == sizeof(to.sin6_port));
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
	at.sin6_port = 0;
	CHECK(udp >= 0 && !bind(udp, (struct sockaddr *)&at, len) && !getsockname(udp, (struct sockaddr *)&at, &len));
	ping_back(conn);
	write_all(conn, &at.sin6_port, sizeof(at.sin6_port));
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

void small_parts(const char *only)
{
	static const struct part parts[] = { { "small_stacks", part_small_stacks }, { "no_descriptors", part_no_descriptors } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
