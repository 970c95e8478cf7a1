// SPDX-License-Identifier: BSD-2-Clause
/*
 * faults - two processes over one connection, while something happens to one of them
 *
 * usage: faults PART [pid of vjd]     exit status 0: as it should be
 *
 * Run under `vj run`. Both processes are forked before either touches a socket, so each is an application of its own.
 */
#include "kernel_conn.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(ok)                                                                   \
	do {                                                                        \
		if (!(ok)) {                                                        \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #ok, \
				strerror(errno));                                   \
			exit(1);                                                    \
		}                                                                   \
	} while (0)

enum { PART_S = 150 }; /* what takes longer hangs */

static long vjd_pid;

/* ---- two processes ---------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int listen_any(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(!bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK(!listen(fd, 128));
	CHECK(!getsockname(fd, (struct sockaddr *)&a, &len));
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(!connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static bool on_channel(int fd)
{
	return !kernel_has_conn(fd);
}

static void look_by_poll(int listener)
{
	struct pollfd first = { .fd = listener, .events = POLLIN };

	CHECK(!poll(&first, 1, 0));
}

/* Forks a server process; the caller becomes the client of the port returned. @look: what it looks for clients by at first. */
static uint16_t start_server_by(void (*look)(int listener), void (*serve)(int listener), pid_t *ret_pid)
{
	int port_pipe[2];
	uint16_t port = 0;

	CHECK(!pipe(port_pipe));
	fflush(stdout);
	*ret_pid = fork();
	CHECK(*ret_pid >= 0);
	if (!*ret_pid) {
		int fd = listen_any(&port);

		look(fd); /* from now on clients come over channels */
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		CHECK(write(port_pipe[1], &port, sizeof(port)) == sizeof(port));
		serve(fd);
		exit(0);
	}
	CHECK(read(port_pipe[0], &port, sizeof(port)) == sizeof(port));
	close(port_pipe[0]);
	close(port_pipe[1]);
	return port;
}

static uint16_t start_server(void (*serve)(int listener), pid_t *ret_pid)
{
	return start_server_by(look_by_poll, serve, ret_pid);
}

static void end_server(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void echo_one(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		CHECK(write(fd, buf, (size_t)n) == n);
	close(fd);
}

static void *echo_thread(void *arg)
{
	echo_one((int)(intptr_t)arg);
	return NULL;
}

/* Serves until a connection says "quit". */
static void echo_server(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char word[5] = "";
		pthread_t t;

		CHECK(fd >= 0);
		if (recv(fd, word, 4, MSG_PEEK) == 4 && !memcmp(word, "quit", 4))
			return;
		CHECK(!pthread_create(&t, NULL, echo_thread, (void *)(intptr_t)fd));
		pthread_detach(t);
	}
}

static void quit_server(uint16_t port, pid_t pid)
{
	int fd = connect_to(port);

	CHECK(write(fd, "quit", 4) == 4);
	end_server(pid);
	close(fd);
}

static void ping(int fd)
{
	char buf[8];

	CHECK(write(fd, "ping", 4) == 4);
	CHECK(recv(fd, buf, 4, MSG_WAITALL) == 4);
	CHECK(!memcmp(buf, "ping", 4));
}

/* ---- killed ----------------------------------------------------------------------------------------------------- */

static void flood_server(int listener)
{
	static char buf[65536];
	int fd = accept(listener, NULL, NULL);

	while (write(fd, buf, sizeof(buf)) > 0)
		;
}

/* The other side is killed in the middle of a transfer: reset, with no time-out that would do it, and this side lives. */
static void part_killed(void)
{
	static char buf[65536];
	uint64_t start_ms;
	pid_t pid;
	uint16_t port = start_server(flood_server, &pid);
	int fd = connect_to(port), status;
	size_t got = 0;
	ssize_t n;

	CHECK(on_channel(fd));
	while (got < 1000000) {
		n = read(fd, buf, sizeof(buf));
		CHECK(n > 0);
		got += (size_t)n;
	}
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, &status, 0) == pid);
	start_ms = now_ms();
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	CHECK(n < 0 && errno == ECONNRESET);
	printf("reset after %llu ms\n", (unsigned long long)(now_ms() - start_ms));
	CHECK(read(fd, buf, 1) == 0);
	CHECK(send(fd, buf, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	close(fd);
	port = start_server(echo_server, &pid); /* and goes on with others */
	fd = connect_to(port);
	CHECK(on_channel(fd));
	ping(fd);
	close(fd);
	quit_server(port, pid);
}

/* ---- vjd killed ------------------------------------------------------------------------------------------------- */

static void part_vjd(void)
{
	pid_t pid;
	uint16_t port = start_server(echo_server, &pid);
	int fd = connect_to(port), other;

	CHECK(vjd_pid > 0);
	CHECK(on_channel(fd));
	ping(fd);
	CHECK(!kill((pid_t)vjd_pid, SIGKILL));
	for (int i = 0; i < 200; i++) {
		ping(fd);
		usleep(1000);
	}
	other = connect_to(port); /* the peer is known, or the kernel takes it */
	ping(other);
	close(other);
	ping(fd);
	close(fd);
	quit_server(port, pid);
}

/* ---- fork and exec ---------------------------------------------------------------------------------------------- */

static void part_fork(void)
{
	pid_t server, child;
	uint16_t port = start_server(echo_server, &server);
	int fd = connect_to(port), fresh, status;

	CHECK(on_channel(fd));
	ping(fd);
	child = fork();
	CHECK(child >= 0);
	if (!child) { /* neither its copy nor a connection of its own disturbs the parent */
		CHECK(!close(fd));
		fresh = connect_to(port);
		CHECK(on_channel(fresh));
		ping(fresh);
		exit(0);
	}
	for (int i = 0; i < 100; i++)
		ping(fd);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	ping(fd); /* the child's end was not ours */

	child = fork();
	CHECK(child >= 0);
	if (!child) {
		execlp("sh", "sh", "-c", "echo exec works; true", NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	child = vfork();
	if (!child) {
		close(fd); /* in the parent's memory */
		execlp("true", "true", NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	ping(fd);
	CHECK(system("true") == 0);
	ping(fd);
	close(fd);
	quit_server(port, server);
}

/* Listening sockets go on in a child, through the kernel. */
static void part_prefork(void)
{
	uint16_t port;
	int listener = listen_any(&port), status, fd, ready[2];
	char c, cmd[256];
	pid_t child;

	CHECK(!pipe(ready));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		CHECK(write(ready[1], "x", 1) == 1);
		fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0);
		echo_one(fd);
		exit(0);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	/* a client of the kernel, because on a channel it would come to the parent */
	snprintf(cmd, sizeof(cmd),
		 "unset LD_PRELOAD; exec 3<>/dev/tcp/127.0.0.1/%u; echo hello >&3; read -r line "
		 "<&3; "
		 "[ \"$line\" = hello ]",
		 port);
	CHECK(setenv("CMD", cmd, 1) == 0);
	CHECK(system("env -u LD_PRELOAD bash -c \"$CMD\"") == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	close(listener);
}

/* ---- exit ------------------------------------------------------------------------------------------------------- */

enum { EXIT_BYTES = 3 << 20 };
static int exit_how;

static void exit_server(int listener)
{
	static char buf[EXIT_BYTES];
	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0);
	memset(buf, 'x', sizeof(buf));
	CHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
	if (exit_how == 1)
		_exit(0);
	if (exit_how == 2)
		quick_exit(0);
}

/* What was written arrives, and then the end of file, when the writer exits at once. */
static void part_exit(void)
{
	static char buf[65536];

	for (exit_how = 0; exit_how < 3; exit_how++) {
		pid_t pid;
		uint16_t port = start_server(exit_server, &pid);
		int fd = connect_to(port);
		size_t got = 0;
		ssize_t n;

		CHECK(on_channel(fd));
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			got += (size_t)n;
		CHECK(n == 0);
		CHECK(got == EXIT_BYTES);
		close(fd);
		end_server(pid);
	}
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 300 };

static void *client_thread(void *arg)
{
	uint16_t port = *(uint16_t *)arg;
	unsigned char out[2000], in[2000];
	int fd = connect_to(port);

	for (int round = 0; round < ROUNDS; round++) {
		size_t len = 1 + (size_t)(round * 37) % sizeof(out);

		for (size_t i = 0; i < len; i++)
			out[i] = (unsigned char)(i * 7 + (size_t)round);
		CHECK(write(fd, out, len) == (ssize_t)len);
		CHECK(recv(fd, in, len, MSG_WAITALL) == (ssize_t)len);
		CHECK(!memcmp(in, out, len));
	}
	close(fd);
	return NULL;
}

/* Blocking threads on both sides, one of them in accept() all the time. */
static void part_threads(void)
{
	pthread_t t[THREADS];
	pid_t pid;
	uint16_t port = start_server(echo_server, &pid);

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, client_thread, &port));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	quit_server(port, pid);
}

/* Several threads wait in one epoll set, and each in one of its own. */
static int shared_set, all_served[2]; /* the pipe is written to when they are, which ends all threads */
static _Atomic int served;

static void *epoll_thread(void *arg)
{
	(void)arg;
	for (;;) {
		struct epoll_event ev;
		char buf[2000];
		ssize_t n;

		CHECK(epoll_wait(shared_set, &ev, 1, -1) == 1);
		if (ev.data.fd == all_served[0])
			return NULL;
		n = read(ev.data.fd, buf, sizeof(buf));
		if (n <= 0) {
			close(ev.data.fd);
			if (++served == THREADS)
				CHECK(write(all_served[1], "", 1) == 1);
			continue;
		}
		CHECK(write(ev.data.fd, buf, (size_t)n) == n);
		ev.events = EPOLLIN | EPOLLONESHOT;
		CHECK(!epoll_ctl(shared_set, EPOLL_CTL_MOD, ev.data.fd, &ev));
	}
}

static void epoll_server(int listener)
{
	struct epoll_event end = { .events = EPOLLIN };
	pthread_t t[4];

	shared_set = epoll_create1(0);
	CHECK(!pipe(all_served));
	end.data.fd = all_served[0];
	CHECK(!epoll_ctl(shared_set, EPOLL_CTL_ADD, all_served[0], &end));
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], NULL, epoll_thread, NULL));
	for (int i = 0; i < THREADS; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };

		ev.data.fd = accept(listener, NULL, NULL);
		CHECK(ev.data.fd >= 0);
		CHECK(!epoll_ctl(shared_set, EPOLL_CTL_ADD, ev.data.fd, &ev));
	}
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(t[i], NULL));
	CHECK(served == THREADS);
}

static void part_epoll_threads(void)
{
	pthread_t t[THREADS];
	pid_t pid;
	uint16_t port = start_server(epoll_server, &pid);

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, client_thread, &port));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	end_server(pid);
}

/* ---- a set at the bottom of as many as the kernel allows, which has no room for another set below --------------- */

enum { SETS = 5 };

static void late_server(int listener)
{
	int fd = accept(listener, NULL, NULL);
	char c;

	CHECK(fd >= 0);
	while (read(fd, &c, 1) == 1) {
		usleep(300000); /* the client sleeps */
		CHECK(write(fd, &c, 1) == 1);
	}
}

/* The listening socket is in a set, and that is what is looked at. */
static int set_with(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	CHECK(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return ep;
}

static void look_by_poll_at_set(int listener)
{
	look_by_poll(set_with(listener));
}

static void look_by_select_at_set(int listener)
{
	struct timeval zero = { 0 };
	int ep = set_with(listener);
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ep, &set);
	CHECK(!select(ep + 1, &set, NULL, NULL, &zero));
}

static void look_by_set_of_set(int listener)
{
	struct epoll_event ev;

	CHECK(!epoll_wait(set_with(set_with(listener)), &ev, 1, 0));
}

/* It comes into the inner set when all others have been looked at. */
static void look_by_poll_at_old_sets(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int pipes[2], in, out;

	CHECK(!pipe(pipes));
	in = set_with(pipes[0]);
	out = set_with(in);
	CHECK(!epoll_wait(out, &ev, 1, 0));
	CHECK(!epoll_ctl(in, EPOLL_CTL_ADD, listener, &ev));
	look_by_poll(out);
}

static void part_sets(void)
{
	static void (*const looks[])(int) = { look_by_poll_at_set, look_by_select_at_set, look_by_set_of_set, look_by_poll_at_old_sets };

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		pid_t pid;
		int fd = connect_to(start_server_by(looks[i], late_server, &pid));

		CHECK(on_channel(fd));
		close(fd);
		end_server(pid);
	}
}

static void *wait_in_set(void *ep)
{
	struct epoll_event ev;

	CHECK(epoll_wait((int)(intptr_t)ep, &ev, 1, -1) >= 0);
	return NULL;
}

static void *poll_set(void *ep)
{
	struct pollfd pfd = { .fd = (int)(intptr_t)ep, .events = POLLIN };

	CHECK(poll(&pfd, 1, -1) >= 0);
	return NULL;
}

/* A thread sleeps before there is a listening socket in the set, and nothing comes. Two of them say their ports, and are waited for by who runs this. */
static void part_later(void)
{
	static void *(*const waits[])(void *) = { wait_in_set, poll_set };
	struct epoll_event ev = { .events = EPOLLIN };

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		uint16_t port;
		int pipes[2], ep;
		pthread_t thread;

		CHECK(!pipe(pipes));
		ep = set_with(pipes[0]);
		CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, listen_any(&port), &ev));
		CHECK(!pthread_create(&thread, NULL, waits[i], (void *)(intptr_t)ep));
		usleep(200000); /* it sleeps; if it doesn't yet, the more it sees */
		CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, listen_any(&port), &ev));
		printf("%d\n", port);
		fflush(stdout);
	}
	pause();
}

static void part_nested(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	pid_t pid;
	uint16_t port = start_server(late_server, &pid);
	int sets[SETS], fd = connect_to(port);
	char c;

	for (int i = 0; i < SETS; i++) {
		CHECK((sets[i] = epoll_create1(0)) >= 0);
		CHECK(!i || !epoll_ctl(sets[i], EPOLL_CTL_ADD, sets[i - 1], &ev));
	}
	CHECK(on_channel(fd));
	CHECK(!epoll_ctl(sets[0], EPOLL_CTL_ADD, fd, &ev));
	for (int i = 0; i < 3; i++) {
		CHECK(write(fd, "x", 1) == 1);
		CHECK(epoll_wait(sets[0], &ev, 1, 60000) == 1);
		CHECK(read(fd, &c, 1) == 1 && c == 'x');
	}
	close(fd);
	end_server(pid);
}

/* ---- progress while the program computes, and none needed while it idles ---------------------------------------- */

static struct computing {
	_Atomic bool begun, enough;
} *computing; /* in memory that both processes have: it makes no call meanwhile */

static void busy_server(int listener)
{
	int fd = accept(listener, NULL, NULL);
	char buf[65536];
	ssize_t n;

	CHECK(fd >= 0);
	computing->begun = true;
	while (!computing->enough)
		;
	CHECK(write(fd, "c", 1) == 1); /* it has computed */
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	CHECK(n == 0);
}

/* A server that computes still takes in what its buffers hold; and its kernel half accepts. */
static void part_busy(void)
{
	static char buf[100000];
	int fd, other;
	uint16_t port;
	pid_t pid;

	computing = mmap(NULL, sizeof(*computing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(computing != MAP_FAILED);
	port = start_server(busy_server, &pid);
	fd = connect_to(port);
	CHECK(on_channel(fd));
	while (!computing->begun)
		usleep(1000);
	CHECK(write(fd, buf, sizeof(buf)) == sizeof(buf));
	other = connect_to(port); /* needs an answer of the stack over there */
	CHECK(recv(fd, buf, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN); /* it computes still */
	computing->enough = true;
	CHECK(read(fd, buf, 1) == 1);
	close(other);
	close(fd);
	end_server(pid);
}

static uint64_t cpu_us(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static void part_idle(void)
{
	struct rusage before, after;
	struct pollfd p;
	uint64_t start_us, spent_us;
	pid_t pid;
	uint16_t port = start_server(echo_server, &pid);
	int fd = connect_to(port);

	CHECK(on_channel(fd));
	ping(fd);
	usleep(200000);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	poll(&p, 1, 200);
	getrusage(RUSAGE_SELF, &before);
	start_us = cpu_us();
	CHECK(poll(&p, 1, 3000) == 0);
	sleep(1);
	spent_us = cpu_us() - start_us;
	getrusage(RUSAGE_SELF, &after);
	printf("idle for 4 s: %llu us of CPU, %ld switches\n", (unsigned long long)spent_us,
	       after.ru_nvcsw - before.ru_nvcsw);
	CHECK(spent_us < 20000);
	CHECK(after.ru_nvcsw - before.ru_nvcsw < 60);
	ping(fd);
	close(fd);
	quit_server(port, pid);
}

/* ---- closing everything ----------------------------------------------------------------------------------------- */

/* Every number that the kernel says is open: a program that goes by /proc. */
static void close_listed(int keep)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	CHECK(d);
	while ((e = readdir(d)) != NULL) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fd <= 2 || fd == keep || fd == dirfd(d))
			continue;
		CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF); /* to us it isn't open */
		CHECK(close(fd) < 0 && errno == EBADF);
		CHECK(dup(fd) < 0 && errno == EBADF);
		CHECK(dup2(keep, fd) < 0 && errno == EBUSY);
	}
	closedir(d);
}

/* All threads of this process, the library's among them, have the same descriptors. */
static void check_descriptors_shared(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	int threads = 0;

	CHECK(dir);
	while ((entry = readdir(dir)) != NULL) {
		long r;

		if (entry->d_name[0] == '.')
			continue;
		threads++;
		r = syscall(SYS_kcmp, getpid(), atoi(entry->d_name), KCMP_FILES, 0, 0);
		CHECK(r == 0 || (r < 0 && (errno == ENOSYS || errno == EPERM)));
	}
	CHECK(threads >= 2);
	closedir(dir);
}

/* As daemons do at their start, or whenever they like: what is the library's they can't close. */
static void part_closefrom(void)
{
	pid_t pid, other_pid;
	uint16_t port = start_server(echo_server, &pid), other = start_server(echo_server, &other_pid);
	int fresh = socket(AF_INET, SOCK_STREAM, 0), fd;

	closefrom(3);
	CHECK(fcntl(fresh, F_GETFD) < 0);
	fd = connect_to(port);
	CHECK(on_channel(fd));
	ping(fd);
	for (int i = 3; i < 4096; i++)
		if (i != fd)
			close(i);
	ping(fd);
	if (fd > 3)
		CHECK(!close_range(3, (unsigned)fd - 1, 0));
	closefrom(fd + 1);
	CHECK(!close_range((unsigned)fd + 1, ~0u, CLOSE_RANGE_UNSHARE));
	check_descriptors_shared();
	ping(fd);
	close_listed(fd);
	ping(fd);
	usleep(50000); /* asleep, and woken by what was not closed */
	ping(fd);
	CHECK(!close_range((unsigned)fd, (unsigned)fd, 0));
	CHECK(fcntl(fd, F_GETFD) < 0);
	/* vjd is still heard, and makes channels */
	fd = connect_to(other);
	CHECK(on_channel(fd));
	ping(fd);
	close(fd);
	quit_server(other, other_pid);
	quit_server(port, pid);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A handler ends recv() whenever it runs: asleep, spinning, or on the way from one to the other. */
static void part_signals(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct timeval tv = { 0, 300000 };
	int lost = 0, early = 0;
	pid_t pid;
	uint16_t port = start_server(echo_server, &pid);
	int fd = connect_to(port);
	char c;

	alarm(0);
	CHECK(on_channel(fd));
	CHECK(!sigaction(SIGALRM, &sa, NULL));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	for (int i = 0; i < 1000; i++) {
		struct itimerval it = { .it_value = { 0, 1 + i % 200 } };

		alarms = 0;
		setitimer(ITIMER_REAL, &it, NULL);
		if (alarms) {
			early++;
			continue;
		}
		CHECK(recv(fd, &c, 1, 0) < 0);
		lost += errno != EINTR;
	}
	printf("1000 signals: %d before the call, %d without effect\n", early, lost);
	CHECK(lost <= 20); /* between the look at `alarms` and the call, as with the kernel */
	close(fd);
	quit_server(port, pid);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{ "killed", part_killed },
		{ "vjd", part_vjd },
		{ "fork", part_fork },
		{ "prefork", part_prefork },
		{ "exit", part_exit },
		{ "threads", part_threads },
		{ "busy", part_busy },
		{ "idle", part_idle },
		{ "epoll_threads", part_epoll_threads },
		{ "nested", part_nested },
		{ "sets", part_sets },
		{ "later", part_later },
		{ "closefrom", part_closefrom },
		{ "signals", part_signals },
	};

	alarm(PART_S);
	if (argc > 2)
		vjd_pid = strtol(argv[2], NULL, 10);
	for (size_t i = 0; argc > 1 && i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(argv[1], parts[i].name) != 0)
			continue;
		parts[i].run();
		printf("%s: as it should be\n", argv[1]);
		return 0;
	}
	fprintf(stderr, "usage: faults PART\n");
	return 1;
}
