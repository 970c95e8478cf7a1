// SPDX-License-Identifier: BSD-2-Clause
/*
 * procs - sockets in more than one process: fork, exec, SCM_RIGHTS; listening sockets here, connections in procs_conn.c
 *
 * The same binary runs on the kernel and under the preload, and must print the same (run_procs.sh). So nothing is printed
 * that may differ: no numbers, no times.
 *
 * usage: procs kernel|channel [PART]
 */
#include "procs.h"

#include "kernel_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LISTEN_FD = 3, GIVEN_BACK_MS = 100000 };

static const char *path;

void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: process %d: %s: %s\n", file, line, getpid(), what, strerror(errno));
	_exit(1);
}

static in_addr_t address = INADDR_LOOPBACK;
static bool by_ipv6;

/* ---- tools ------------------------------------------------------------------------------------------------------ */

union loopback {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6; /* the port is at the same place */
};

void use_ipv6(bool yes)
{
	by_ipv6 = yes;
}

static socklen_t loopback(union loopback *a, uint16_t to)
{
	if (by_ipv6)
		a->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(to), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	else
		a->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(address) };
	return by_ipv6 ? sizeof(a->v6) : sizeof(a->v4);
}

int listen_any(uint16_t *ret_port)
{
	union loopback a;
	socklen_t len = loopback(&a, 0);
	int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	CHECK(fd >= 0 && !bind(fd, &a.sa, len) && !listen(fd, 128));
	CHECK(!getsockname(fd, &a.sa, &len));
	*ret_port = ntohs(a.v4.sin_port);
	return fd;
}

void wait_first(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	CHECK(!poll(&pfd, 1, 0));
}

static int connect_by(uint16_t port, bool kernel)
{
	union loopback a;
	socklen_t len = loopback(&a, port);
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	/* nothing here may hang */
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	CHECK(!kernel || !setsockopt(fd, IPPROTO_IP, IP_MINTTL, &(int){ 1 }, sizeof(int)));
	CHECK(!connect(fd, &a.sa, len));
	return fd;
}

int connect_to(uint16_t port)
{
	return connect_by(port, false);
}

int kernel_connect_to(uint16_t port)
{
	return connect_by(port, true);
}

bool wants_kernel(void)
{
	return !strcmp(path, "kernel");
}

void check_path(int fd)
{
	CHECK(kernel_has_conn(fd) == wants_kernel());
}

pid_t fork_must(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

pid_t child_start(void (*fn)(int arg), int arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork_must();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fn(arg);
	exit(0);
}

void child_end(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void end_by_signal(pid_t pid, int sig)
{
	int status;

	kill(pid, sig);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool ask_once(uint16_t to)
{
	int fd = connect_to(to);
	bool kernel = kernel_has_conn(fd);

	ping(fd);
	close(fd);
	return kernel;
}

int ask_until_kernel(bool (*ask)(uint16_t port), uint16_t port, int row)
{
	uint64_t end_ms = now_ms() + GIVEN_BACK_MS;
	int channels = 0;

	for (int kernel = 0; kernel < row;) {
		bool by_kernel = ask(port);

		kernel = by_kernel ? kernel + 1 : 0;
		channels += !by_kernel;
		CHECK(now_ms() < end_ms);
	}
	return channels;
}

void write_all(int fd, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);

		CHECK(n > 0);
		done += (size_t)n;
	}
}

pid_t child_writes(int fd, const void *buf, size_t len)
{
	pid_t pid = fork_must();

	if (!pid) {
		write_all(fd, buf, len);
		_exit(0);
	}
	return pid;
}

size_t read_all(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		CHECK(n >= 0);
		if (!n)
			break;
		done += (size_t)n;
	}
	return done;
}

void ping(int fd)
{
	char buf[4];

	write_all(fd, "ping", 4);
	CHECK(read_all(fd, buf, 4) == 4 && !memcmp(buf, "ping", 4));
}

void echo(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		write_all(fd, buf, (size_t)n);
	CHECK(!n);
	close(fd);
}

union fd_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

void fd_send(int via, int fd)
{
	union fd_control control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)"x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	CHECK(sendmsg(via, &msg, 0) == 1);
}

int fd_recv(int via)
{
	union fd_control control;
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int fd;

	CHECK(recvmsg(via, &msg, 0) == 1 && msg.msg_controllen >= CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

void parts_run(const struct part *parts, size_t cnt, const char *only)
{
	for (size_t i = 0; i < cnt; i++) {
		if (only && strcmp(only, parts[i].name) != 0)
			continue;
		printf("-- %s\n", parts[i].name);
		fflush(stdout);
		parts[i].run();
		fflush(stdout);
	}
}

char **role_argv(const char *role)
{
	static const char *argv[5];

	argv[0] = "procs";
	argv[1] = path;
	argv[2] = "-";
	argv[3] = role;
	return (char **)(uintptr_t)argv;
}

void exec_role(const char *role)
{
	execl("/proc/self/exe", "procs", path, "-", role, NULL);
	check_failed(__FILE__, __LINE__, "exec");
}

/* ---- workers ---------------------------------------------------------------------------------------------------- */

static int ready_pipe[2], listener;
static uint16_t port;

static void ready_tell(void)
{
	CHECK(write(ready_pipe[1], "", 1) == 1);
}

static void ready_wait(unsigned cnt)
{
	char c;

	while (cnt--)
		CHECK(read(ready_pipe[0], &c, 1) == 1);
}

/* Tells each client who it is. @cnt clients, or as many as come. */
static void serve(int fd, int name, int cnt)
{
	while (cnt--) {
		char who = (char)('a' + name);
		int client = accept(fd, NULL, NULL);

		CHECK(client >= 0);
		check_path(client);
		write_all(client, &who, 1);
		echo(client);
	}
}

static void worker(int name)
{
	wait_first(listener);
	ready_tell();
	serve(listener, name, -1);
}

/* Return: who answered. */
static char ask_one(void)
{
	int fd = connect_to(port);
	char who;

	check_path(fd);
	CHECK(read_all(fd, &who, 1) == 1);
	ping(fd);
	close(fd);
	return who;
}

static unsigned ask(unsigned cnt)
{
	unsigned seen = 0;

	while (cnt--)
		seen |= 1u << (ask_one() - 'a');
	return seen;
}

/* Return: have these served, and nobody else, after @most at the latest? The kernel gives connections to whoever runs first. */
static bool ask_until(unsigned wanted, unsigned most)
{
	unsigned seen = 0;

	while (most-- && seen != wanted)
		seen |= ask(1);
	return seen == wanted;
}

static void part_open(void)
{
	CHECK(!pipe(ready_pipe));
	listener = listen_any(&port);
}

static void part_close(void)
{
	close(ready_pipe[0]);
	close(ready_pipe[1]);
	close(listener);
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

enum { WORKERS = 3 };

/* The master never accepts; clients are spread. */
static void part_prefork(void)
{
	pid_t workers[WORKERS];

	part_open();
	for (int i = 0; i < WORKERS; i++)
		workers[i] = child_start(worker, i);
	ready_wait(WORKERS);
	printf("all workers served: %d\n", ask_until((1u << WORKERS) - 1, 1000 * WORKERS));
	for (int i = 0; i < WORKERS; i++)
		end_by_signal(workers[i], SIGTERM);
	part_close();
}

/*
 * Those that are left share what comes, whoever was killed and how many had been served by then: a client knows owners by number, and
 * with one less the numbers are others'.
 */
static void part_prefork_killed(void)
{
	pid_t workers[WORKERS];
	unsigned shared = 0;

	for (int i = 0; i < 2 * WORKERS * WORKERS; i++) {
		int killed = i % WORKERS;

		part_open();
		for (int w = 0; w < WORKERS; w++) {
			workers[w] = child_start(worker, w);
			ready_wait(1); /* so that they have leased in this order */
		}
		ask((unsigned)(2 * WORKERS + i / WORKERS));
		end_by_signal(workers[killed], SIGKILL);
		shared += ask_until(((1u << WORKERS) - 1) - (1u << killed), 1000 * WORKERS);
		for (int w = 0; w < WORKERS; w++)
			if (w != killed)
				end_by_signal(workers[w], SIGTERM);
		part_close();
	}
	printf("after one was killed the others share, %u times\n", shared);
}

/*
 * At any address and port. 127.0.1.1 is what some distributions give the host's name; at more than half of its ports one of three owners
 * falls on the place of all in the library's table of routes.
 */
static void part_ports(void)
{
	enum { PORTS = 8 };
	pid_t workers[WORKERS];

	address = INADDR_LOOPBACK + 256;
	for (int i = 0; i < PORTS; i++) {
		part_open();
		for (int w = 0; w < WORKERS; w++)
			workers[w] = child_start(worker, w);
		ready_wait(WORKERS);
		(void)ask(3 * WORKERS);
		for (int w = 0; w < WORKERS; w++)
			end_by_signal(workers[w], SIGTERM);
		part_close();
	}
	address = INADDR_LOOPBACK;
	printf("answered at each of %d ports\n", PORTS);
}

/* A worker that serves one client for long doesn't keep others waiting while there are idle ones. */
static void part_busy(void)
{
	pid_t workers[2];
	int fd, served = 0;
	char who;

	part_open();
	for (int i = 0; i < 2; i++)
		workers[i] = child_start(worker, i);
	ready_wait(2);
	fd = connect_to(port);
	CHECK(read_all(fd, &who, 1) == 1);
	for (int i = 0; i < 10; i++)
		served += ask_one() != who;
	printf("%d of 10 served beside it\n", served);
	ping(fd);
	close(fd);
	for (int i = 0; i < 2; i++)
		end_by_signal(workers[i], SIGTERM);
	part_close();
}

/* ---- workers that wait by turns ---------------------------------------------------------------------------------- */

enum { BY_TURNS = 4, MUTEX_CLIENTS = 100, MUTEX_FIRST = 5, MUTEX_ROW = 20 };
static int mutex_fd;

static void mutex_set(short type)
{
	struct flock lock = { .l_type = type };

	CHECK(!fcntl(mutex_fd, F_SETLKW, &lock));
}

static void worker_by_turns(int name)
{
	char who = (char)('a' + name);

	wait_first(listener);
	ready_tell();
	for (;;) {
		int client;

		mutex_set(F_WRLCK);
		client = accept(listener, NULL, NULL);
		mutex_set(F_UNLCK);
		CHECK(client >= 0);
		write_all(client, &who, 1);
		echo(client);
	}
}

/* Return: was it the kernel's? */
static bool ask_mutex(uint16_t to)
{
	int fd = connect_to(to);
	bool kernel = kernel_has_conn(fd);
	char who;

	CHECK(read_all(fd, &who, 1) == 1);
	ping(fd);
	close(fd);
	return kernel;
}

/*
 * A client who comes to one that waits for the mutex is passed on to the one that has it; nobody else would have him. When it is seen that no two
 * ever wait at once the port is the kernel's, unless it must not be.
 */
static void part_mutex(void)
{
	pid_t workers[BY_TURNS];
	int kernel = 0;

	part_open();
	mutex_fd = memfd_create("mutex", MFD_CLOEXEC);
	CHECK(mutex_fd >= 0);
	for (int i = 0; i < BY_TURNS; i++)
		workers[i] = child_start(worker_by_turns, i);
	ready_wait(BY_TURNS);
	for (int i = 0; i < MUTEX_CLIENTS; i++)
		kernel += ask_mutex(port);
	CHECK(wants_kernel() ? kernel == MUTEX_CLIENTS : !getenv("VJ_STRICT") || !kernel);
	if (!getenv("VJ_STRICT")) {
		CHECK(kernel >= MUTEX_CLIENTS - MUTEX_FIRST);
		ask_until_kernel(ask_mutex, port, MUTEX_ROW);
	}
	for (int i = 0; i < BY_TURNS; i++)
		end_by_signal(workers[i], SIGTERM);
	close(mutex_fd);
	part_close();
	printf("%d clients of %d that wait by turns\n", MUTEX_CLIENTS, BY_TURNS);
}

/* ---- a thread sleeps, another one connects ----------------------------------------------------------------------- */

static void *wait_connected(void *arg)
{
	struct epoll_event ev;

	ready_tell();
	CHECK(epoll_wait(*(int *)arg, &ev, 1, ANSWER_MS) == 1 && ev.events == EPOLLOUT);
	return NULL;
}

/* ... to somebody new, without waiting, and leaves that to the one that has slept for a while already. */
static void part_connecting(void)
{
	struct epoll_event own, ev = { .events = EPOLLOUT };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd;
	pthread_t thread;
	pid_t pid;

	to.sin_port = htons(server_start(serve_ping, &pid)); /* before there is a listener, which it would inherit */
	part_open();
	own = (struct epoll_event){ .events = EPOLLIN, .data.fd = listener };
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &own) && !epoll_wait(epfd, &own, 1, 0));
	CHECK(!pthread_create(&thread, NULL, wait_connected, &epfd));
	ready_wait(1);
	usleep(50000);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == EINPROGRESS);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) && !pthread_join(thread, NULL));
	check_path(fd);
	CHECK(!fcntl(fd, F_SETFL, 0));
	ping(fd);
	close(fd);
	close(epfd);
	child_end(pid);
	part_close();
	printf("the sleeper saw it connected\n");
}

/* ---- a client that knows nothing of channels, beside others ----------------------------------------------------- */

/* Connects, is served once, and stays. */
static void role_outsider(const char *to)
{
	int fd;

	port = (uint16_t)atoi(to);
	fd = connect_to(port);
	CHECK(kernel_has_conn(fd));
	ping(fd);
	CHECK(write(STDOUT_FILENO, "o", 1) == 1);
	pause();
	exit(0);
}

static void outsider(int to)
{
	char role[16];

	snprintf(role, sizeof(role), "outsider%d", to);
	CHECK(!unsetenv("LD_PRELOAD") && dup2(ready_pipe[1], STDOUT_FILENO) == STDOUT_FILENO);
	exec_role(role);
}

static void *serve_thread(void *arg)
{
	for (;;) {
		int client = accept(listener, NULL, NULL);

		CHECK(client >= 0);
		echo(client);
	}
	return arg;
}

static void serve_by_threads(int name)
{
	pthread_t thread;

	(void)name;
	wait_first(listener);
	CHECK(!pthread_create(&thread, NULL, serve_thread, NULL));
	ready_tell();
	serve_thread(NULL);
}

static void serve_echo(int name)
{
	(void)name;
	wait_first(listener);
	ready_tell();
	serve_thread(NULL);
}

/* Two wait in accept(), and both wake for a client of the kernel's. Who goes away empty-handed takes the next, wherever he comes from. */
static void part_beside(void)
{
	static void (*const ways[])(int) = { serve_by_threads, serve_echo };

	for (int way = 0; way < 2; way++) {
		pid_t servers[2], client;
		int fd;

		part_open();
		for (int i = 0; i <= way; i++)
			servers[i] = child_start(ways[way], i);
		ready_wait((unsigned)way + 1);
		usleep(50000); /* all of them wait */
		client = child_start(outsider, port);
		ready_wait(1);
		fd = connect_to(port);
		check_path(fd);
		ping(fd);
		close(fd);
		end_by_signal(client, SIGTERM);
		for (int i = 0; i <= way; i++)
			end_by_signal(servers[i], SIGTERM);
		part_close();
		printf("served beside a client of the kernel's, by %s\n", way ? "processes" : "threads");
	}
}

/* The same with a set of epoll descriptors that was filled before the fork */
static void epoll_worker(int epfd)
{
	struct epoll_event ev;
	int client;

	CHECK(!epoll_wait(epfd, &ev, 1, 0));
	ready_tell();
	CHECK(epoll_wait(epfd, &ev, 1, -1) == 1 && ev.data.fd == listener);
	client = accept(listener, NULL, NULL);
	CHECK(client >= 0);
	check_path(client);
	write_all(client, "a", 1);
	echo(client);
}

static void part_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int epfd = epoll_create1(0);
	pid_t pid;

	part_open();
	ev.data.fd = listener;
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev));
	pid = child_start(epoll_worker, epfd);
	ready_wait(1);
	printf("served by %c\n", ask_one());
	child_end(pid);
	close(epfd);
	part_close();
}

/* One set from before the fork: who comes second finds the socket there (libev). */
static void epoll_joiner(int epfd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener };
	int client;

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev))
		CHECK(errno == EEXIST && !epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &ev));
	CHECK(!epoll_wait(epfd, &ev, 1, 0));
	ready_tell();
	do {
		CHECK(epoll_wait(epfd, &ev, 1, ANSWER_MS) == 1 && ev.data.fd == listener);
		client = accept(listener, NULL, NULL);
	} while (client < 0 && errno == EAGAIN);
	CHECK(client >= 0);
	check_path(client);
	echo(client);
}

static void part_epoll_join(void)
{
	int epfd = epoll_create1(0), fds[2];
	pid_t pids[2];

	part_open();
	CHECK(!fcntl(listener, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 2; i++)
		pids[i] = child_start(epoll_joiner, epfd);
	ready_wait(2);
	for (int i = 0; i < 2; i++) {
		fds[i] = connect_to(port);
		ping(fds[i]);
	}
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	for (int i = 0; i < 2; i++)
		child_end(pids[i]);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL) && epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL) && errno == ENOENT);
	close(epfd);
	part_close();
	printf("both serve that wait in one set\n");
}

static void daemon_start(int arg)
{
	pid_t pid = fork_must();

	(void)arg;
	if (pid)
		_exit(0);
	CHECK(setsid() > 0);
	wait_first(listener);
	ready_tell();
	serve(listener, 3, 5);
	exit(0);
}

/* Who made the socket listen is gone before anybody comes. */
static void part_daemon(void)
{
	part_open();
	child_end(child_start(daemon_start, 0));
	close(listener);
	ready_wait(1);
	printf("served by %#x\n", ask(5));
	listener = -1;
	part_close();
}

static void one_worker(int name)
{
	wait_first(listener);
	ready_tell();
	serve(listener, name, 7);
	close(listener); /* while clients come */
}

/* Workers come and go, as in graceful restarts; no client notices. */
static void part_reload(void)
{
	enum { ROUNDS = 12 };
	pid_t workers[ROUNDS];
	unsigned served = 0;

	part_open();
	workers[0] = child_start(one_worker, 0);
	ready_wait(1);
	for (int i = 1; i < ROUNDS; i++) {
		workers[i] = child_start(one_worker, i);
		ready_wait(1);
		served |= ask(7);
		CHECK(served);
	}
	ask(7);
	for (int i = 0; i < ROUNDS; i++)
		child_end(workers[i]);
	printf("nobody was refused\n");
	part_close();
}

static void leaves_queue(int arg)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	(void)arg;
	wait_first(listener);
	ready_tell();
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	close(listener);
}

static void comes_late(int arg)
{
	(void)arg;
	usleep(400000);
	serve(listener, 6, 1);
}

/* The worker with the queue goes before those who follow have come to wait for clients. */
static void part_late(void)
{
	pid_t first, second;

	part_open();
	first = child_start(leaves_queue, 0);
	ready_wait(1);
	second = child_start(comes_late, 0);
	close(listener);
	printf("served by %#x\n", ask(1));
	child_end(first);
	child_end(second);
	listener = -1;
	part_close();
}

static void role_activated(void)
{
	wait_first(LISTEN_FD);
	CHECK(write(STDOUT_FILENO, "r", 1) == 1);
	serve(LISTEN_FD, 4, 3);
	exit(0);
}

static void activate(int arg)
{
	(void)arg;
	CHECK(dup2(listener, LISTEN_FD) == LISTEN_FD && dup2(ready_pipe[1], STDOUT_FILENO) == STDOUT_FILENO);
	exec_role("activated");
}

/* Socket activation: who makes it listen runs the program that accepts. */
static void part_activation(void)
{
	pid_t pid;

	part_open();
	pid = child_start(activate, 0);
	ready_wait(1);
	printf("served by %#x\n", ask(3));
	child_end(pid);
	part_close();
}

/* What was set before the program began: accepted connections have it; and one that only the kernel knows */
static const struct { int level, name, value; } set_before[] = { { IPPROTO_TCP, TCP_NODELAY, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 77 }, { IPPROTO_IP, IP_TOS, 0x10 },
		   { IPPROTO_IP, IP_MINTTL, 1 } };
enum { SET_BEFORE_CNT = sizeof(set_before) / sizeof(set_before[0]) };

static void role_optioned(const char *role)
{
	socklen_t len = sizeof(int);
	int value, client;

	if (strcmp(role, "optioned") != 0)
		return;
	wait_first(LISTEN_FD);
	CHECK(write(STDOUT_FILENO, "r", 1) == 1);
	CHECK((client = accept(LISTEN_FD, NULL, NULL)) >= 0);
	for (int i = 0; i < SET_BEFORE_CNT - 1; i++)
		CHECK(!getsockopt(client, set_before[i].level, set_before[i].name, &value, &len) && value == set_before[i].value);
	CHECK(!getsockopt(LISTEN_FD, IPPROTO_IP, IP_MINTTL, &value, &len));
	CHECK(kernel_has_conn(client) == (value || wants_kernel()));
	ping_back(client);
	exit(0);
}

static void activate_optioned(int cnt)
{
	CHECK(dup2(listener, LISTEN_FD) == LISTEN_FD && dup2(ready_pipe[1], STDOUT_FILENO) == STDOUT_FILENO && !unsetenv("VJ_STRICT"));
	for (int i = 0; i < cnt; i++)
		CHECK(!setsockopt(LISTEN_FD, set_before[i].level, set_before[i].name, &set_before[i].value, sizeof(int)));
	exec_role("optioned");
}

static void part_options_before(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid;
		int fd;

		part_open();
		pid = child_start(activate_optioned, SET_BEFORE_CNT - 1 + i);
		ready_wait(1);
		fd = connect_to(port);
		ping(fd);
		close(fd);
		child_end(pid);
		part_close();
	}
	printf("who was started knows what had been set\n");
}

static void takes_listener(int via)
{
	int fd = fd_recv(via);

	wait_first(fd);
	ready_tell();
	serve(fd, 5, 3);
}

static void part_passed(void)
{
	int via[2];
	pid_t pid;

	CHECK(!pipe(ready_pipe) && !socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	pid = child_start(takes_listener, via[1]);
	listener = listen_any(&port); /* the child has it by message only */
	fd_send(via[0], listener);
	close(listener);
	ready_wait(1);
	printf("served by %#x\n", ask(3));
	child_end(pid);
	close(via[0]);
	close(via[1]);
	listener = -1;
	part_close();
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "prefork", part_prefork }, { "prefork_killed", part_prefork_killed }, { "ports", part_ports }, { "busy", part_busy }, { "mutex", part_mutex }, { "connecting", part_connecting }, { "beside", part_beside }, { "epoll", part_epoll }, { "epoll_join", part_epoll_join }, { "daemon", part_daemon },
		{ "reload", part_reload },   { "late", part_late }, { "activation", part_activation }, { "options_before", part_options_before }, { "passed", part_passed },
	};

	path = argc > 1 ? argv[1] : "kernel";
	signal(SIGPIPE, SIG_IGN);
	if (argc > 3 && !strcmp(argv[3], "activated"))
		role_activated();
	if (argc > 3 && !strncmp(argv[3], "outsider", 8))
		role_outsider(argv[3] + 8);
	if (argc > 3) {
		role_optioned(argv[3]);
		raw_role(argv[3]);
		accept_role(argv[3]);
		elsewhere_role(argv[3]);
		conn_role(argv[3]);
		exec_part_role(argv[3]);
		udp_role(argv[3]);
		inside_role(argv[3]);
	}
	parts_run(parts, sizeof(parts) / sizeof(parts[0]), argc > 2 ? argv[2] : NULL);
	conn_parts(argc > 2 ? argv[2] : NULL);
	exec_parts(argc > 2 ? argv[2] : NULL);
	elsewhere_parts(argc > 2 ? argv[2] : NULL);
	answers_parts(argc > 2 ? argv[2] : NULL);
	sparse_parts(argc > 2 ? argv[2] : NULL);
	called_parts(argc > 2 ? argv[2] : NULL);
	raw_parts(argc > 2 ? argv[2] : NULL);
	accept_parts(argc > 2 ? argv[2] : NULL);
	udp_parts(argc > 2 ? argv[2] : NULL);
	inside_parts(argc > 2 ? argv[2] : NULL);
	cage_parts(argc > 2 ? argv[2] : NULL);
	small_parts(argc > 2 ? argv[2] : NULL);
	cancel_parts(argc > 2 ? argv[2] : NULL);
	rare_parts(argc > 2 ? argv[2] : NULL);
	printf("end\n");
	return 0;
}
