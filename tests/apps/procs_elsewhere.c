// SPDX-License-Identifier: BSD-2-Clause
/* Part of `procs`: connections that another process accepts than the one that they have come to */
#include "procs.h"

#include "kernel_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTEN_FD = 3, MUTEX_FD = 4, LARGE_BYTES = 3000000 };

static int ready_pipe[2];
static _Noreturn void role_by_turns(void);

/* ---- accepted by a program without the library ------------------------------------------------------------------- */

enum { PLAIN, LARGE, SHARED, SLEEPS, MAPPED, UNSEEN, CLOSED, GONE, KINDS };

/* What the server says of a connection: its peer's port, and how much came before the end */
struct said {
	uint32_t port, bytes;
};

static const size_t bytes_of[KINDS] = { [PLAIN] = 100, [LARGE] = LARGE_BYTES, [SHARED] = 5000,  [SLEEPS] = 1,
					[MAPPED] = 77, [UNSEEN] = 540000,     [CLOSED] = 3000, [GONE] = 1234 };

/* All of one kind's bytes are alike. */
static void serve_said(int fd)
{
	static char buf[LARGE_BYTES + 1];
	struct sockaddr_in6 peer; /* the port is at the same place in both families */
	socklen_t len = sizeof(peer);
	size_t bytes = read_all(fd, buf, sizeof(buf));
	struct said said = { .bytes = (uint32_t)bytes };

	CHECK(bytes && buf[0] >= 'a' && buf[0] < 'a' + KINDS && bytes == bytes_of[buf[0] - 'a']);
	for (size_t i = 0; i < bytes; i++)
		CHECK(buf[i] == buf[0]);
	CHECK(!getpeername(fd, (struct sockaddr *)&peer, &len));
	said.port = ntohs(peer.sin6_port);
	(void)!send(fd, &said, sizeof(said), MSG_NOSIGNAL); /* some have gone */
	close(fd);
}

void elsewhere_role(const char *role)
{
	if (!strcmp(role, "accepts one")) {
		echo(accept(LISTEN_FD, NULL, NULL));
		exit(0);
	}
	if (!strcmp(role, "by turns"))
		role_by_turns();
	if (strcmp(role, "accepts") != 0)
		return;
	for (int i = 0; i < KINDS; i++) {
		int fd = accept(LISTEN_FD, NULL, NULL);

		CHECK(fd >= 0);
		serve_said(fd);
	}
	exit(0);
}

static int connect_mapped(uint16_t port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK(fd >= 0 && inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr) == 1);
	CHECK(!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int))); /* whatever bindv6only says */
	CHECK(!connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

static void hear(int fd, uint32_t bytes)
{
	struct sockaddr_in6 name;
	socklen_t len = sizeof(name);
	struct said said;

	CHECK(read_all(fd, &said, sizeof(said)) == sizeof(said) && said.bytes == bytes);
	CHECK(read_all(fd, &said, 1) == 0);
	CHECK(!getsockname(fd, (struct sockaddr *)&name, &len) && ntohs(name.sin6_port) == said.port);
	close(fd);
}

/* Until something comes; it had been asked for long before. */
static void sleep_in_set(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	CHECK(!fcntl(fd, F_SETFL, O_NONBLOCK) && !epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	CHECK(epoll_wait(ep, &ev, 1, ANSWER_MS) == 1 && (ev.events & EPOLLIN));
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(!fcntl(fd, F_SETFL, 0));
	close(ep);
}

/* By a call of libc's own, which nobody can interpose: more than the connection has room for waits beside it. */
static void child_writes_unseen(int fd, const char *buf, size_t len)
{
	pid_t pid = fork_must();

	if (!pid) {
		CHECK(dprintf(fd, "%.*s", (int)len, buf) == (int)len);
		_exit(0);
	}
	child_end(pid);
}

static int client_kind;

static void client_waits(int port)
{
	struct sockaddr_in6 name;
	socklen_t len = sizeof(name);
	size_t bytes = bytes_of[client_kind];
	char *buf = malloc(bytes);
	int fd = client_kind == MAPPED ? connect_mapped((uint16_t)port) : connect_to((uint16_t)port);

	memset(buf, 'a' + client_kind, bytes);
	check_path(fd);
	if (client_kind == LARGE) /* blocks in it */
		CHECK(write(ready_pipe[1], "", 1) == 1);
	if (client_kind == SHARED)
		child_end(child_writes(fd, buf, bytes));
	else if (client_kind == UNSEEN)
		child_writes_unseen(fd, buf, bytes);
	else
		write_all(fd, buf, bytes);
	free(buf);
	if (client_kind == CLOSED)
		close(fd);
	else if (client_kind != GONE)
		CHECK(!shutdown(fd, SHUT_WR));
	if (client_kind != LARGE && client_kind != GONE)
		CHECK(write(ready_pipe[1], "", 1) == 1);
	if (client_kind == GONE)
		return;
	if (client_kind == CLOSED) {
		pause();
		return;
	}
	if (client_kind == SLEEPS)
		sleep_in_set(fd);
	CHECK(!getsockname(fd, (struct sockaddr *)&name, &len) && name.sin6_family == (client_kind == MAPPED ? AF_INET6 : AF_INET));
	hear(fd, (uint32_t)bytes);
}

/* Has never called accept(), nor started such a program before: when its first clients have come, that is told. */
static void waits_for_others(int go)
{
	struct pollfd pfd = { .events = POLLIN };
	uint16_t port;
	pid_t pid;
	char c;

	pfd.fd = listen_any(&port);
	wait_first(pfd.fd);
	write_all(go, &port, sizeof(port));
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	CHECK(read_all(go, &c, 1) == 1);
	pid = fork_must();
	if (!pid) {
		CHECK(dup2(pfd.fd, LISTEN_FD) == LISTEN_FD && !fcntl(LISTEN_FD, F_SETFD, 0) && !unsetenv("LD_PRELOAD"));
		exec_role("accepts");
	}
	child_end(pid);
}

static void part_blind(void)
{
	pid_t clients[KINDS], server;
	uint16_t port;
	int go[2];
	char c;

	CHECK(!pipe(ready_pipe) && !socketpair(AF_UNIX, SOCK_STREAM, 0, go));
	server = child_start(waits_for_others, go[1]);
	CHECK(read_all(go[0], &port, sizeof(port)) == sizeof(port));
	for (client_kind = 0; client_kind < KINDS; client_kind++)
		clients[client_kind] = child_start(client_waits, port);
	for (int i = 0; i < KINDS - 1; i++)
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
	child_end(clients[GONE]);
	usleep(50000); /* the large one is in its write() */
	write_all(go[0], "", 1);
	child_end(server);
	for (int i = 0; i < KINDS; i++) {
		if (i == CLOSED)
			end_by_signal(clients[i], SIGTERM);
		else if (i != GONE)
			child_end(clients[i]);
	}
	for (int i = 0; i < 2; i++) {
		close(ready_pipe[i]);
		close(go[i]);
	}
	printf("%d clients that had come before\n", KINDS);
}

/* ---- left by who had it ------------------------------------------------------------------------------------------ */

static int left_listener, told[2];

static void leaves_queue(int go)
{
	char c;

	wait_first(left_listener);
	write_all(go, "", 1);
	CHECK(read_all(go, &c, 1) == 1);
	close(left_listener);
	CHECK(read_all(go, &c, 1) == 1);
}

static void accepts_without(int arg)
{
	(void)arg;
	CHECK(dup2(left_listener, LISTEN_FD) == LISTEN_FD && !fcntl(LISTEN_FD, F_SETFD, 0) && !unsetenv("LD_PRELOAD"));
	exec_role("accepts one");
}

/* The one that it has come to stops waiting. Another one waits all the time, in the kernel. */
static void part_left(void)
{
	pid_t waits, accepts;
	uint16_t port;
	int go[2], fd;
	char c;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	left_listener = listen_any(&port);
	waits = child_start(leaves_queue, go[1]);
	close(go[1]);
	CHECK(read_all(go[0], &c, 1) == 1);
	accepts = child_start(accepts_without, 0);
	fd = connect_to(port);
	check_path(fd);
	close(left_listener);
	write_all(go[0], "", 1);
	ping(fd);
	close(fd);
	write_all(go[0], "", 1);
	close(go[0]);
	child_end(waits);
	child_end(accepts);
	printf("accepted when it had been left\n");
}

/* ---- accepted by what the process has become ---------------------------------------------------------------------- */

/* As systemd-socket-activate: who waits for the first client and who accepts it is one process, and are two programs. */
static void becomes_acceptor(int with_library)
{
	struct pollfd pfd = { .fd = left_listener, .events = POLLIN };
	char c;

	wait_first(left_listener);
	CHECK(write(ready_pipe[1], "", 1) == 1);
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	CHECK(read_all(told[1], &c, 1) == 1);
	CHECK(dup2(left_listener, LISTEN_FD) == LISTEN_FD && !fcntl(LISTEN_FD, F_SETFD, 0));
	if (!with_library)
		unsetenv("LD_PRELOAD");
	exec_role("accepts one");
}

static void part_becomes(void)
{
	for (int with_library = 0; with_library < 2; with_library++) {
		uint16_t port;
		pid_t server;
		char text[6], c;
		int fd;

		CHECK(!pipe(ready_pipe) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, told));
		left_listener = listen_any(&port);
		server = child_start(becomes_acceptor, with_library);
		close(left_listener);
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
		fd = connect_to(port);
		check_path(fd);
		write_all(fd, "before", 6);
		write_all(told[0], "", 1);
		CHECK(read_all(fd, text, 6) == 6 && !memcmp(text, "before", 6));
		ping(fd);
		close(fd);
		child_end(server);
		for (int i = 0; i < 2; i++) {
			close(ready_pipe[i]);
			close(told[i]);
		}
	}
	printf("accepted by what it has become\n");
}

/* ---- many at once ------------------------------------------------------------------------------------------------- */

enum { MANY_CONNS = 1000 };

static int many_go[2];

/* Who has accepted them ends; another process has copies, and uses them later. */
static void serve_many(int fd)
{
	static int conns[MANY_CONNS];

	server_ready(fd);
	for (int i = 0; i < MANY_CONNS; i++) {
		conns[i] = accept_one(fd);
		ping_back(conns[i]);
	}
	if (fork_must())
		exit(0);
	CHECK(read_all(many_go[0], &(char){ 0 }, 1) == 1);
	for (int i = 0; i < MANY_CONNS; i++)
		ping_back(conns[i]);
	_exit(0);
}

static void part_many(void)
{
	static int fds[MANY_CONNS];
	struct rlimit limit;
	uint16_t port;
	pid_t server;

	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max < 4 * MANY_CONNS ? limit.rlim_max : 4 * MANY_CONNS;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit) && !pipe(many_go));
	port = server_start(serve_many, &server);
	for (int i = 0; i < MANY_CONNS; i++) {
		fds[i] = connect_to(port);
		ping(fds[i]);
	}
	child_end(server);
	write_all(many_go[1], "", 1);
	for (int i = 0; i < MANY_CONNS; i++)
		write_all(fds[i], "ping", 4);
	for (int i = 0; i < MANY_CONNS; i++) {
		CHECK(read_all(fds[i], (char[4]){ 0 }, 4) == 4);
		close(fds[i]);
	}
	close(many_go[0]);
	close(many_go[1]);
	printf("%d outlive the process that accepted them\n", MANY_CONNS);
}

/* ---- SO_LINGER -------------------------------------------------------------------------------------------------- */

static void serve_stopped(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	raise(SIGSTOP);
	close(conn);
}

/* A thread: a process would have a copy of what is closed meanwhile. */
static void *kill_soon(void *arg)
{
	usleep(200000);
	CHECK(!kill(*(pid_t *)arg, SIGKILL));
	return NULL;
}

/* close() takes a time; that it is allowed for something else than an answer would be too long. */
static void close_lingering(int fd)
{
	struct linger on = { 1, 2 * ANSWER_MS / 1000 };
	uint64_t begin_ms = now_ms();

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)));
	close(fd);
	CHECK(now_ms() - begin_ms < ANSWER_MS);
}

/* The peer's machine has what was sent, whether the peer runs or not; more than that, and the peer's death is the end of it. */
static void part_lingers(void)
{
	static const char bytes[65536];

	for (int full = 0; full < 2; full++) {
		pthread_t killer;
		pid_t server;
		int fd = connect_to(server_start(serve_stopped, &server));

		ping(fd);
		CHECK(waitpid(server, NULL, WUNTRACED) == server);
		write_all(fd, "last", 4);
		while (full && send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		if (!full)
			close_lingering(fd);
		CHECK(!pthread_create(&killer, NULL, kill_soon, &server));
		if (full)
			close_lingering(fd);
		CHECK(!pthread_join(killer, NULL));
		end_by_signal(server, SIGKILL);
	}
	printf("lingers no longer than it must\n");
}

/* ---- by turns, each worker another program's image ---------------------------------------------------------------- */

enum { BY_TURNS = 4, TURNS_CLIENTS = 12, TURNS_ROW = 20 };
static int turns_listener, turns_mutex;

static _Noreturn void serve_by_turns(int listener, int mutex)
{
	for (;;) {
		struct flock lock = { .l_type = F_WRLCK };
		int fd;

		CHECK(!fcntl(mutex, F_SETLKW, &lock));
		fd = accept(listener, NULL, NULL);
		lock.l_type = F_UNLCK;
		CHECK(fd >= 0 && !fcntl(mutex, F_SETLKW, &lock));
		echo(fd);
	}
}

static _Noreturn void role_by_turns(void)
{
	CHECK(write(STDOUT_FILENO, "", 1) == 1);
	serve_by_turns(LISTEN_FD, MUTEX_FD);
}

static void worker_by_turns(int arg)
{
	(void)arg;
	CHECK(dup2(ready_pipe[1], STDOUT_FILENO) == STDOUT_FILENO); /* it may be at one of these numbers */
	CHECK(dup2(turns_listener, LISTEN_FD) == LISTEN_FD && dup2(turns_mutex, MUTEX_FD) == MUTEX_FD);
	CHECK(!fcntl(LISTEN_FD, F_SETFD, 0) && !fcntl(MUTEX_FD, F_SETFD, 0));
	exec_role("by turns");
}

/* They have begun by exec(), so they have nothing in common but the socket. When clients have waited often the port is the kernel's. */
static void part_turns_exec(void)
{
	pid_t workers[BY_TURNS];
	uint16_t port;
	char c;

	CHECK(!pipe(ready_pipe));
	turns_listener = fcntl(listen_any(&port), F_DUPFD, 10);
	turns_mutex = fcntl(memfd_create("mutex", 0), F_DUPFD, 10);
	CHECK(turns_listener >= 10 && turns_mutex >= 10);
	for (int i = 0; i < BY_TURNS; i++)
		workers[i] = child_start(worker_by_turns, 0);
	for (int i = 0; i < BY_TURNS; i++)
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
	for (int i = 0; i < TURNS_CLIENTS; i++)
		(void)ask_once(port);
	if (!getenv("VJ_STRICT"))
		ask_until_kernel(ask_once, port, TURNS_ROW);
	for (int i = 0; i < BY_TURNS; i++)
		end_by_signal(workers[i], SIGTERM);
	for (int i = 0; i < 2; i++)
		close(ready_pipe[i]);
	close(turns_listener);
	close(turns_mutex);
	printf("%d programs that wait by turns\n", BY_TURNS);
}

enum { TURNS_FIRST = 15, TURNS_TRIES = 8, TURNS_MANY = 2 /* a status; 1: a check has failed */ };

static void forked_by_turns(int arg)
{
	(void)arg;
	wait_first(turns_listener);
	CHECK(write(ready_pipe[1], "", 1) == 1);
	serve_by_turns(turns_listener, turns_mutex);
}

/* Return: the process that waits, with the mutex */
static pid_t who_waits(void)
{
	struct flock lock;
	uint64_t end_ms = now_ms() + ANSWER_MS;
	char path[64], state;
	FILE *stat;

	for (;; usleep(10000)) {
		CHECK(now_ms() < end_ms);
		lock = (struct flock){ .l_type = F_WRLCK };
		CHECK(!fcntl(turns_mutex, F_GETLK, &lock));
		if (lock.l_type == F_UNLCK)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", lock.l_pid);
		stat = fopen(path, "re");
		CHECK(stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
		fclose(stat);
		if (state == 'S')
			return lock.l_pid;
	}
}

/* Exits with TURNS_MANY if more than a few clients were on channels before the port was the kernel's */
static void turns_killed(int arg)
{
	pid_t workers[BY_TURNS], killed;
	int channels = 0;
	siginfo_t info;
	uint16_t port;
	char c;

	(void)arg;
	CHECK(!pipe(ready_pipe));
	turns_listener = listen_any(&port);
	turns_mutex = memfd_create("mutex", MFD_CLOEXEC);
	for (int i = 0; i < BY_TURNS; i++)
		workers[i] = child_start(forked_by_turns, 0);
	for (int i = 0; i < BY_TURNS; i++)
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
	killed = who_waits();
	CHECK(!kill(killed, SIGKILL) && !waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT));
	if (!getenv("VJ_STRICT"))
		channels = ask_until_kernel(ask_once, port, TURNS_ROW);
	for (int i = 0; i < BY_TURNS; i++)
		end_by_signal(workers[i], SIGTERM);
	exit(channels > TURNS_FIRST ? TURNS_MANY : 0);
}

/* One is killed while it waits, and its parent hasn't heard of it: that it is still there doesn't say that two wait at once, by which it would take more clients. */
static void part_turns_killed(void)
{
	int status = 1;

	for (int tries = 0; status && tries < TURNS_TRIES; tries++) /* on a machine with other work some are passed on late */
		CHECK(waitpid(child_start(turns_killed, 0), &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 1);
	CHECK(!status);
	printf("who is killed doesn't wait\n");
}

/* ---- a process stands still for a moment --------------------------------------------------------------------------- */

enum { STALL_US = 100000, STALLS = 3, STALL_CLIENTS = 40, STALL_ROW = 20, STALL_OVER_MS = 20000 };
static int stalls_listener;

/* A client says whether the process is to stand still. */
static _Noreturn void serve_stalls(void)
{
	char what;

	for (;;) {
		int fd = accept(stalls_listener, NULL, NULL);

		CHECK(fd >= 0 && read_all(fd, &what, 1) == 1);
		write_all(fd, &what, 1);
		if (what == 's')
			usleep(STALL_US);
		close(fd);
	}
}

static void worker_stalls(int arg)
{
	(void)arg;
	wait_first(stalls_listener);
	CHECK(write(ready_pipe[1], "", 1) == 1);
	serve_stalls();
}

static int ask_what(uint16_t port, char what)
{
	int fd = connect_to(port);

	write_all(fd, &what, 1);
	return fd;
}

static void was_told(int fd, char what)
{
	char c;

	CHECK(read_all(fd, &c, 1) == 1 && c == what);
	close(fd);
}

static void ask_while_one_stalls(uint16_t port)
{
	int clients[STALL_CLIENTS];

	was_told(ask_what(port, 's'), 's');
	for (int i = 0; i < STALL_CLIENTS; i++)
		clients[i] = ask_what(port, 'g');
	for (int i = 0; i < STALL_CLIENTS; i++)
		was_told(clients[i], 'g');
}

/*
 * Whoever comes to it is passed on to the one that waits, and that is all: nobody waits by turns here. Where a machine is so slow that it looks so,
 * that is soon over.
 */
static void part_stalls(void)
{
	pid_t workers[2];
	uint64_t end_ms;
	uint16_t port;
	char c;

	CHECK(!pipe(ready_pipe));
	stalls_listener = listen_any(&port);
	for (int i = 0; i < 2; i++)
		workers[i] = child_start(worker_stalls, 0);
	for (int i = 0; i < 2; i++)
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
	for (int i = 0; i < STALLS; i++)
		ask_while_one_stalls(port);
	end_ms = now_ms() + STALL_OVER_MS;
	for (int row = 0; row < STALL_ROW;) {
		int fd = ask_what(port, 'g');

		row = kernel_has_conn(fd) == wants_kernel() ? row + 1 : 0;
		was_told(fd, 'g');
		CHECK(now_ms() < end_ms);
	}
	for (int i = 0; i < 2; i++)
		end_by_signal(workers[i], SIGTERM);
	for (int i = 0; i < 2; i++)
		close(ready_pipe[i]);
	close(stalls_listener);
	printf("who stands still %d times has no turns\n", STALLS);
}

enum { LATE_ROW = 5, LATE_MS = 700, LATE_TRIES = 8, LATE_SLOW = 2 /* a status */ };
static int late_pipe[2];

static void worker_late(int arg)
{
	char c;

	(void)arg;
	wait_first(stalls_listener);
	CHECK(write(ready_pipe[1], "", 1) == 1 && read_all(late_pipe[0], &c, 1) == 1);
	serve_stalls();
}

/* Exits with LATE_SLOW if it takes as long as a rest until clients come by channels again */
static void waits_late(int arg)
{
	pid_t workers[2];
	uint64_t begun_ms;
	uint16_t port;
	char c;

	(void)arg;
	CHECK(!pipe(ready_pipe) && !pipe(late_pipe));
	stalls_listener = listen_any(&port);
	for (int i = 0; i < 2; i++)
		workers[i] = child_start(worker_late, 0);
	for (int i = 0; i < 2; i++)
		CHECK(read_all(ready_pipe[0], &c, 1) == 1);
	write_all(late_pipe[1], "", 1);
	was_told(ask_what(port, 's'), 's');
	begun_ms = now_ms();
	write_all(late_pipe[1], "", 1);
	usleep(2 * STALL_US);
	for (int row = 0; row < LATE_ROW;) {
		int fd = ask_what(port, 'g');

		row = kernel_has_conn(fd) == wants_kernel() ? row + 1 : 0;
		was_told(fd, 'g');
	}
	begun_ms = now_ms() - begun_ms;
	for (int i = 0; i < 2; i++)
		end_by_signal(workers[i], SIGTERM);
	exit(begun_ms > LATE_MS ? LATE_SLOW : 0);
}

/* One begins to wait while the other one is busy with its first client, so they seem to wait by turns; that ends when both are seen to wait. */
static void part_waits_late(void)
{
	int status = 1;

	for (int tries = 0; status && tries < LATE_TRIES; tries++)
		CHECK(waitpid(child_start(waits_late, 0), &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 1);
	CHECK(!status);
	printf("who waits late has no turns\n");
}

/* ---- sent to a worker, which soon closes it ----------------------------------------------------------------------- */

enum { SENT = 100, SENT_MANY = 4, SENT_ROW = 5, SENT_LASTING = 12, LASTS_MS = 120 };

static int sent_by[2];

/* Each connection that it is sent */
static void echoes_sent(int arg)
{
	(void)arg;
	for (;;)
		echo(fd_recv(sent_by[1]));
}

static void pings_sent(int arg)
{
	(void)arg;
	for (;;) {
		int fd = fd_recv(sent_by[1]);

		ping(fd);
		close(fd);
		write_all(sent_by[1], "", 1);
	}
}

static void sends(int fd)
{
	fd_send(sent_by[0], fd);
	close(fd);
}

static void serve_sending(int fd)
{
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, sent_by));
	child_start(echoes_sent, 0);
	server_ready(fd);
	for (;;)
		sends(accept(fd, NULL, NULL));
}

static void serve_echoing(int fd)
{
	server_ready(fd);
	for (;;)
		echo(accept(fd, NULL, NULL));
}

/* Return: was it the kernel's? */
static bool ask_lasting(uint16_t to)
{
	int fd = connect_to(to);
	bool kernel = kernel_has_conn(fd);

	ping(fd);
	usleep(LASTS_MS * 1000);
	ping(fd);
	close(fd);
	return kernel;
}

/* Who has connected sends it to who asks. Return: was it the kernel's? */
static bool ask_sent(uint16_t to)
{
	int fd = connect_to(to);
	bool kernel = kernel_has_conn(fd);
	char c;

	sends(fd);
	CHECK(read_all(sent_by[0], &c, 1) == 1);
	return kernel;
}

/* @ask: brief ones. They come to be the kernel's, and are on channels again when they have not been for a while. */
static void check_brief(bool (*ask)(uint16_t port), uint16_t port)
{
	bool strict = getenv("VJ_STRICT") != NULL, kernel; /* strict: never the kernel */
	uint64_t end_ms = now_ms() + ANSWER_MS;

	if (strict || wants_kernel()) {
		for (int i = 0; i < SENT; i++)
			CHECK(ask(port) == wants_kernel());
		return;
	}
	CHECK(ask_until_kernel(ask, port, SENT_ROW) >= SENT_MANY);
	do {
		usleep(300000);
		kernel = ask(port);
	} while (kernel && now_ms() < end_ms);
	CHECK(!kernel);
}

static void part_sent(void)
{
	pid_t server, worker;
	uint16_t port = server_start(serve_sending, &server);

	for (int i = 0; i < SENT_LASTING; i++)
		CHECK(ask_lasting(port) == wants_kernel());
	check_brief(ask_once, port);
	end_by_signal(server, SIGTERM);
	port = server_start(serve_echoing, &server);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, sent_by));
	worker = child_start(pings_sent, 0);
	check_brief(ask_sent, port);
	end_by_signal(worker, SIGTERM);
	end_by_signal(server, SIGTERM);
	printf("connections, sent to a worker\n");
}

/* A brief one and then one that lasts, which is known when the ports rest for the first already: after the rest a brief one decides nothing any more. */
static void part_mixed(void)
{
	pid_t server;
	uint16_t port = server_start(serve_sending, &server);
	bool strict = getenv("VJ_STRICT") != NULL;
	uint64_t end_ms = now_ms() + ANSWER_MS;

	if (!strict && !wants_kernel()) {
		CHECK(ask_until_kernel(ask_once, port, SENT_ROW) >= SENT_MANY);
		for (bool kernel = true; kernel; usleep(300000)) {
			kernel = ask_once(port);
			kernel |= ask_lasting(port);
			CHECK(now_ms() < end_ms);
		}
		while (ask_once(port)) {
			CHECK(now_ms() < end_ms);
			usleep(300000);
		}
		for (int i = 2; i < SENT_MANY; i++) {
			usleep(100000);
			CHECK(!ask_once(port));
		}
	}
	end_by_signal(server, SIGTERM);
	printf("some last\n");
}

void elsewhere_parts(const char *only)
{
	static const struct part parts[] = { { "blind", part_blind }, { "left", part_left }, { "becomes", part_becomes }, { "lingers", part_lingers }, { "turns_exec", part_turns_exec },
					     { "turns_killed", part_turns_killed }, { "stalls", part_stalls }, { "waits_late", part_waits_late }, { "many", part_many },
					     { "sent", part_sent }, { "mixed", part_mixed } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
