// SPDX-License-Identifier: BSD-2-Clause
/* procs_conn.c - connections in more than one process */
#include "procs.h"

#include "kernel_conn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint16_t port;
static int listener, via[2];

/* At `listener` and its port. Ends by itself when nobody can connect any more. */
static void server_begin(void (*serve)(int), pid_t *ret_pid)
{
	CHECK(!pipe(via));
	*ret_pid = child_start(serve, listener);
	close(via[1]);
	CHECK(read(via[0], &(char){ 0 }, 1) == 1);
	close(via[0]);
	close(listener);
}

uint16_t server_start(void (*serve)(int), pid_t *ret_pid)
{
	listener = listen_any(&port);
	server_begin(serve, ret_pid);
	return port;
}

void server_ready(int fd)
{
	wait_first(fd);
	CHECK(write(via[1], "", 1) == 1);
	close(via[1]);
}

int accept_one(int fd)
{
	int conn = accept(fd, NULL, NULL);

	CHECK(conn >= 0);
	check_path(conn);
	return conn;
}

/* ---- a process for each connection ------------------------------------------------------------------------------ */

enum { FORKS = 20 };

/* What a process sets first on the connection that it was forked for (vsftpd) */
static void options_set(int conn)
{
	static const struct {
		int level, name, value;
	} options[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_NODELAY, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 77 },
			{ IPPROTO_IP, IP_TOS, 0x10 },	 { SOL_SOCKET, SO_RCVLOWAT, 1 } };

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int value = -1;
		socklen_t len = sizeof(value);

		CHECK(!setsockopt(conn, options[i].level, options[i].name, &options[i].value, sizeof(int)));
		CHECK(!getsockopt(conn, options[i].level, options[i].name, &value, &len));
		CHECK(value == options[i].value);
	}
}

static void options_and_echo(int conn)
{
	struct tcp_info info = { .tcpi_state = TCP_CLOSE };
	socklen_t len = sizeof(info);

	CHECK(!getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state == TCP_ESTABLISHED);
	options_set(conn);
	echo(conn);
}

/* Past libc's fork() */
static pid_t clone_start(void (*fn)(int arg), int arg)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	CHECK(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

static void serve_forking(int fd)
{
	pid_t pids[FORKS];

	server_ready(fd);
	for (int i = 0; i < FORKS; i++) {
		int conn = accept_one(fd);

		pids[i] = (i % 4 == 3 ? clone_start : child_start)(i % 2 ? options_and_echo : echo, conn);
		close(conn); /* at once, whether the child has used it or not */
	}
	for (int i = 0; i < FORKS; i++)
		child_end(pids[i]);
}

static void part_forking(void)
{
	static char out[300000], in[sizeof(out)];
	pid_t server;

	memset(out, 'x', sizeof(out));
	server_start(serve_forking, &server);
	for (int i = 0; i < FORKS; i++) {
		int fd = connect_to(port);
		pid_t writer;

		check_path(fd);
		for (int n = 0; n < 5; n++)
			ping(fd);
		/* more than the buffers hold, from another process than the one that reads */
		writer = child_writes(fd, out, sizeof(out));
		child_end(writer);
		CHECK(read_all(fd, in, sizeof(in)) == sizeof(in) && !memcmp(in, out, sizeof(in)));
		CHECK(!shutdown(fd, SHUT_WR) && read(fd, in, 1) == 0);
		close(fd);
	}
	child_end(server);
	printf("%d connections served by as many processes\n", FORKS);
}

/* ---- whose turn is it ------------------------------------------------------------------------------------------- */

static int turn[2][2];

static void turn_wait(int who)
{
	CHECK(read(turn[who][0], &(char){ 0 }, 1) == 1);
}

static void turn_give(int who)
{
	CHECK(write(turn[who][1], "", 1) == 1);
}

static void serve_one(int fd)
{
	server_ready(fd);
	echo(accept_one(fd));
}

/* Parent and child use the client's end by turns; the server notices nothing. */
static void part_turns(void)
{
	enum { TURNS = 50 };
	pid_t server, child;
	int fd;

	server_start(serve_one, &server);
	fd = connect_to(port);
	CHECK(!pipe(turn[0]) && !pipe(turn[1]));
	fflush(stdout);
	child = fork_must();
	for (int i = 0; i < TURNS; i++) {
		if (child) {
			ping(fd);
			turn_give(0);
			turn_wait(1);
		} else {
			turn_wait(0);
			ping(fd);
			turn_give(1);
		}
	}
	if (!child)
		_exit(0);
	child_end(child);
	ping(fd);
	CHECK(!shutdown(fd, SHUT_WR) && read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	child_end(server);
	printf("used by turns\n");
}

/* Children that never use it, such as one that writes a snapshot, do no harm, and its end waits for theirs. */
static void part_unused(void)
{
	pid_t server, child;
	int fd, hold[2];
	char c;

	server_start(serve_one, &server);
	fd = connect_to(port);
	CHECK(!pipe(hold));
	ping(fd);
	child = fork_must();
	if (!child) {
		close(hold[1]);
		CHECK(read(hold[0], &c, 1) == 0);
		_exit(0);
	}
	close(hold[0]);
	for (int i = 0; i < 100; i++)
		ping(fd);
	close(fd);
	usleep(200000);
	CHECK(waitpid(server, NULL, WNOHANG) == 0);
	printf("no end of file before the last copy is closed\n");
	close(hold[1]);
	child_end(child);
	child_end(server);
	printf("then there is\n");
}

void ping_back(int fd)
{
	char buf[4];

	CHECK(read_all(fd, buf, 4) == 4);
	write_all(fd, buf, 4);
}

void serve_ping(int fd)
{
	server_ready(fd);
	fd = accept_one(fd);
	ping_back(fd);
	close(fd);
}

/* ---- exec ------------------------------------------------------------------------------------------------------- */

static void become_cat(int conn)
{
	CHECK(dup2(conn, 0) == 0 && dup2(conn, 1) == 1);
	close(conn);
	execlp("cat", "cat", NULL);
	_exit(1);
}

static void serve_cat(int fd)
{
	pid_t cat;
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	cat = child_start(become_cat, conn);
	close(conn);
	child_end(cat);
}

/* As inetd does it */
static void part_cat(void)
{
	pid_t server;
	int fd;

	server_start(serve_cat, &server);
	fd = connect_to(port);
	for (int i = 0; i < 10; i++)
		ping(fd);
	CHECK(!shutdown(fd, SHUT_WR) && read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	child_end(server);
	printf("cat has served\n");
}

/* The same without a copy of the process */
static void serve_spawned(int fd)
{
	posix_spawn_file_actions_t actions;
	pid_t cat;
	int conn;

	server_ready(fd);
	for (int i = 0; i < 2; i++) {
		conn = accept_one(fd);
		ping_back(conn);
		if (i) {
			CHECK(!posix_spawn_file_actions_init(&actions));
			posix_spawn_file_actions_adddup2(&actions, conn, 0);
			posix_spawn_file_actions_adddup2(&actions, conn, 1);
			CHECK(!posix_spawnp(&cat, "cat", &actions, NULL, (char *[]){ (char *)"cat", NULL }, environ));
		} else {
			cat = vfork();
			if (!cat)
				become_cat(conn);
		}
		close(conn);
		child_end(cat);
	}
}

static void part_spawned(void)
{
	pid_t server;
	int fd;

	server_start(serve_spawned, &server);
	for (int i = 0; i < 2; i++) {
		fd = connect_to(port);
		for (int n = 0; n < 10; n++)
			ping(fd);
		CHECK(!shutdown(fd, SHUT_WR) && read(fd, &(char){ 0 }, 1) == 0);
		close(fd);
	}
	child_end(server);
	printf("cat has served, after vfork() and posix_spawn()\n");
}

static void role_reader(void)
{
	check_path(0);
	echo(0);
	exit(0);
}

static void exec_prepare(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	CHECK(dup2(conn, 0) == 0);
	close(conn);
}

/* The process that holds it becomes another program. */
static void serve_exec(int fd)
{
	exec_prepare(fd);
	exec_role("reader");
}

/* The same by syscall(2), as where libc has no such function */
static void serve_exec_by_number(int fd)
{
	exec_prepare(fd);
	syscall(SYS_execve, "/proc/self/exe", role_argv("reader"), environ);
}

static void serve_execveat_by_number(int fd)
{
	exec_prepare(fd);
	syscall(SYS_execveat, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "", role_argv("reader"), environ, AT_EMPTY_PATH);
}

static void part_exec(void)
{
	static void (*const serve[])(int) = { serve_exec, serve_exec_by_number, serve_execveat_by_number };
	pid_t server;
	int fd;

	for (int s = 0; s < 3; s++) {
		server_start(serve[s], &server);
		fd = connect_to(port);
		for (int i = 0; i < 10; i++)
			ping(fd);
		close(fd);
		child_end(server);
	}
	printf("went on after exec\n");
}

/* ---- passed on -------------------------------------------------------------------------------------------------- */

enum { STREAM = 3000000 };

static uint8_t stream_byte(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

static void stream_write(int fd, size_t from, size_t to)
{
	uint8_t buf[5000];

	while (from < to) {
		size_t n = to - from < sizeof(buf) ? to - from : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = stream_byte(from + i);
		write_all(fd, buf, n);
		from += n;
	}
}

static void stream_check(int fd, size_t from, size_t to)
{
	uint8_t buf[7000];

	while (from < to) {
		size_t n = to - from < sizeof(buf) ? to - from : sizeof(buf);

		CHECK(read_all(fd, buf, n) == n);
		for (size_t i = 0; i < n; i++)
			CHECK(buf[i] == stream_byte(from + i));
		from += n;
	}
}

static int mail[2];

static void takes_conn(int arg)
{
	int fd = fd_recv(mail[1]);

	check_path(fd);
	stream_check(fd, (size_t)arg, STREAM);
	CHECK(read(fd, &(char){ 0 }, 1) == 0);
	write_all(fd, "done", 4);
	close(fd);
}

/* A client of IPv4 at a socket of IPv6 is called the same in each process, whether it has used the connection or not. */
static void check_mapped(int fd)
{
	for (int peer = 0; peer < 2; peer++) {
		struct sockaddr_in6 name = { .sin6_family = AF_UNSPEC };
		socklen_t len = sizeof(name);

		CHECK(!(peer ? getpeername : getsockname)(fd, (struct sockaddr *)&name, &len));
		CHECK(len == sizeof(name) && name.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	}
}

static void takes_mapped(int arg)
{
	int fd = fd_recv(mail[1]);

	(void)arg;
	check_mapped(fd);
	ping_back(fd);
	check_mapped(fd);
	check_path(fd);
}

static void serve_mapped(int fd)
{
	pid_t other;
	int conn;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, mail));
	other = child_start(takes_mapped, 0);
	server_ready(fd);
	conn = accept_one(fd);
	check_mapped(conn);
	ping_back(conn);
	fd_send(mail[0], conn);
	close(conn);
	child_end(other);
}

static void part_mapped(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(any);
	pid_t server;
	int fd, off = 0;

	listener = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK(listener >= 0 && !setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)));
	CHECK(!bind(listener, (struct sockaddr *)&any, len) && !listen(listener, 16));
	CHECK(!getsockname(listener, (struct sockaddr *)&any, &len));
	port = ntohs(any.sin6_port);
	server_begin(serve_mapped, &server);
	fd = connect_to(port);
	ping(fd);
	ping(fd);
	CHECK(read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	child_end(server);
	printf("called the same in another process\n");
}

/* The first half is read here, the rest elsewhere, while it comes. */
static void serve_passing(int fd)
{
	pid_t other;
	int conn;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, mail));
	other = child_start(takes_conn, STREAM / 2);
	server_ready(fd);
	conn = accept_one(fd);
	stream_check(conn, 0, STREAM / 2);
	fd_send(mail[0], conn);
	close(conn);
	child_end(other);
}

static void part_passed_conn(void)
{
	pid_t server;
	char buf[4];
	int fd;

	server_start(serve_passing, &server);
	fd = connect_to(port);
	stream_write(fd, 0, STREAM);
	CHECK(!shutdown(fd, SHUT_WR));
	CHECK(read_all(fd, buf, 4) == 4 && !memcmp(buf, "done", 4) && read(fd, buf, 1) == 0);
	close(fd);
	child_end(server);
	printf("passed on while data came\n");
}

/* ---- endings ---------------------------------------------------------------------------------------------------- */

/* Who holds it exits; another process has a copy, and uses it later. */
static void serve_exiting(int fd)
{
	int conn = conn_left_to_child(fd);

	usleep(300000);
	echo(conn);
	_exit(0);
}

static void part_exiting(void)
{
	pid_t server;
	int fd;

	server_start(serve_exiting, &server);
	fd = connect_to(port);
	ping(fd);
	child_end(server);
	write_all(fd, "ping", 4); /* before the child has asked for it */
	usleep(500000);
	CHECK(read_all(fd, (char[4]){ 0 }, 4) == 4);
	for (int i = 0; i < 10; i++)
		ping(fd);
	CHECK(!shutdown(fd, SHUT_WR) && read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	printf("outlives the process that accepted it\n");
}

/* ... and is closed without having been used. */
static void serve_unwanted(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	if (fork())
		exit(0);
	usleep(200000);
	_exit(0);
}

static void part_unwanted(void)
{
	pid_t server;
	int fd;

	server_start(serve_unwanted, &server);
	fd = connect_to(port);
	ping(fd);
	child_end(server);
	CHECK(read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	printf("ends with the last process that has it\n");
}

/* A killed process takes what it holds along, and nothing else. */
static void serve_killed(int fd)
{
	int kept, lost;
	pid_t child;

	server_ready(fd);
	kept = accept_one(fd);
	lost = accept_one(fd);
	child = fork_must();
	if (!child) {
		ping(lost);
		raise(SIGKILL);
	}
	CHECK(waitpid(child, NULL, 0) == child);
	close(lost);
	echo(kept);
}

static void part_killed(void)
{
	pid_t server;
	char buf[4];
	int kept, lost;

	server_start(serve_killed, &server);
	kept = connect_to(port);
	lost = connect_to(port);
	CHECK(read_all(lost, buf, 4) == 4);
	write_all(lost, buf, 4);
	CHECK(read(lost, buf, 1) <= 0);
	ping(kept);
	close(kept);
	close(lost);
	child_end(server);
	printf("the other connection lives\n");
}

/* ---- brief ones ------------------------------------------------------------------------------------------------- */

enum { BRIEF = 100, BRIEF_MANY = 4, BRIEF_ROW = 5 };

static unsigned threads_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return stat(path, &st) ? 0 : (unsigned)st.st_nlink - 2;
}

/* fork() is dear where libc thinks that there are threads. */
static void serve_brief(int fd)
{
	const char *alone = dlsym(RTLD_NEXT, "__libc_single_threaded");
	bool helped = false;

	server_ready(fd);
	for (;;) {
		int conn = accept(fd, NULL, NULL);
		pid_t pid;

		CHECK(conn >= 0);
		helped |= threads_of(getpid()) > 1;
		pid = child_start(echo, conn);
		CHECK(!alone || !helped || *alone == (threads_of(getpid()) == 1));
		close(conn);
		child_end(pid);
	}
}

/*
 * For connections that are over at once, a process each, a channel does not pay: the port rests, and the server closes its context, so that its helper
 * thread is gone; whoever comes later has a channel again. How long one takes is the machine's affair: it is tried until several were brief enough.
 */
static void part_brief(void)
{
	bool strict = getenv("VJ_STRICT") != NULL, kernel, closed = false; /* strict: never the kernel */
	uint64_t end_ms;
	pid_t server;

	server_start(serve_brief, &server);
	if (strict || wants_kernel()) {
		for (int i = 0; i < BRIEF; i++)
			CHECK(ask_once(port) == wants_kernel());
	} else {
		CHECK(ask_until_kernel(ask_once, port, BRIEF_ROW) >= BRIEF_MANY);
		for (end_ms = now_ms() + ANSWER_MS; !closed && now_ms() < end_ms; closed = threads_of(server) == 1)
			(void)ask_once(port);
		CHECK(closed);
		end_ms = now_ms() + ANSWER_MS;
		do {
			usleep(300000);
			kernel = ask_once(port);
		} while (kernel && now_ms() < end_ms);
		CHECK(!kernel);
	}
	end_by_signal(server, SIGTERM);
	printf("connections, a process each\n");
}

/* Nor does it for those of the kernel's, whose children are rid of it. */
static void part_brief_kernel(void)
{
	bool stays = getenv("VJ_STRICT") != NULL || wants_kernel(), closed = false;
	uint64_t end_ms;
	pid_t server;

	server_start(serve_brief, &server);
	for (end_ms = now_ms() + (stays ? 0 : ANSWER_MS); !closed && now_ms() < end_ms; closed = threads_of(server) == 1) {
		int fd = kernel_connect_to(port);

		ping(fd);
		close(fd);
	}
	CHECK(closed || stays);
	for (end_ms = now_ms() + ANSWER_MS; !stays && ask_once(port) && now_ms() < end_ms;)
		usleep(300000);
	CHECK(stays || now_ms() < end_ms);
	end_by_signal(server, SIGTERM);
	printf("connections of the kernel's, a process each\n");
}

/* ---- last words ------------------------------------------------------------------------------------------------- */

enum { WORDS = 1000, MANY_WORDS = 3000000, SOME_WORDS = 400000, SMALL_BUF = 8192 };

/* How it ends: by itself after close(), by a signal with the connection its own, or with a copy in its parent. */
enum last_way { WAY_CLOSE, WAY_CLOSE_MANY, WAY_CLOSE_SMALL, WAY_KILLED, WAY_SHARED };
static enum last_way last_way;

static size_t words(void)
{
	return last_way == WAY_CLOSE_MANY ? MANY_WORDS : last_way == WAY_CLOSE_SMALL ? SOME_WORDS : WORDS;
}

static void last_words(int conn)
{
	stream_write(conn, 0, words());
	if (last_way <= WAY_CLOSE_SMALL)
		close(conn);
	else
		raise(SIGKILL);
}

static void serve_last_words(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	if (last_way == WAY_SHARED)
		CHECK(waitpid(child_start(last_words, conn), NULL, 0) > 0);
	else
		last_words(conn);
}

/* The client looks only when nobody is left who could say it again. */
static void part_last_words(void)
{
	static const char *const names[] = { "closed", "closed, with much that nobody reads yet", "closed, with what is more than its reader has room for",
					     "killed", "killed with a copy elsewhere" };

	for (last_way = WAY_CLOSE; last_way <= WAY_SHARED; last_way++) {
		struct pollfd pfd = { .events = POLLIN };
		pid_t server;

		server_start(serve_last_words, &server);
		pfd.fd = connect_to(port);
		CHECK(last_way != WAY_CLOSE_SMALL || !setsockopt(pfd.fd, SOL_SOCKET, SO_RCVBUF, &(int){ SMALL_BUF }, sizeof(int)));
		CHECK(waitpid(server, NULL, 0) == server);
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && (pfd.revents & POLLIN));
		pfd.events |= POLLOUT;
		CHECK(poll(&pfd, 1, 0) == 1 && (last_way > WAY_CLOSE_SMALL || pfd.revents == (POLLIN | POLLOUT)));
		stream_check(pfd.fd, 0, words());
		CHECK(read(pfd.fd, &(char){ 0 }, 1) <= 0); /* what a signal has ended is reset on channels, and closed by the kernel */
		close(pfd.fd);
		printf("%s: nothing is lost\n", names[last_way]);
	}
}

/* ---- both ends write before they read --------------------------------------------------------------------------- */

enum { BOTH_BLOCK = 3000000, BOTH_POLL = 2500000 };

/* How much, and whether the descriptor waits or poll() does */
static void write_then_read(int conn, size_t len, bool waits)
{
	int flags = fcntl(conn, F_GETFL);

	for (size_t at = 0; !waits && at < len;) {
		struct pollfd pfd = { .fd = conn, .events = POLLOUT };
		uint8_t buf[5000];
		ssize_t n;

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = stream_byte(at + i);
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents == POLLOUT);
		CHECK(!fcntl(conn, F_SETFL, flags | O_NONBLOCK));
		n = write(conn, buf, len - at < sizeof(buf) ? len - at : sizeof(buf));
		CHECK(n > 0 || errno == EAGAIN);
		at += n > 0 ? (size_t)n : 0;
		CHECK(!fcntl(conn, F_SETFL, flags));
	}
	if (waits)
		stream_write(conn, 0, len);
	stream_check(conn, 0, len);
}

static void serve_both_write(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	write_then_read(conn, BOTH_BLOCK, true);
	write_then_read(conn, BOTH_POLL, false);
	CHECK(read(conn, &(char){ 0 }, 1) == 0);
}

static void part_both_write(void)
{
	pid_t server;
	int fd;

	server_start(serve_both_write, &server);
	fd = connect_to(port);
	write_then_read(fd, BOTH_BLOCK, true);
	write_then_read(fd, BOTH_POLL, false);
	close(fd);
	child_end(server);
	printf("%d and %d bytes both ways, written before either end reads\n", BOTH_BLOCK, BOTH_POLL);
}

/* ---- to and fro ------------------------------------------------------------------------------------------------- */

enum { MOVES = 500, PIECE = 700 };

/* As many bytes each way, whoever has read and written them */
static void passed_check(int conn, uint64_t bytes)
{
	struct { /* libc's knows the beginning only */
		struct tcp_info head;
		uint64_t pacing[2], acked, received;
		uint32_t segs[6];
		uint64_t times[4];
		uint32_t delivered[2];
		uint64_t sent, sent_again;
	} info = { 0 };

	_Static_assert(offsetof(__typeof__(info), sent) == 200, "as the kernel has it");
	for (int tried = 0; tried < ANSWER_MS / 10 && (info.acked < bytes || info.received < bytes); tried++) {
		usleep(10000);
		CHECK(!getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }));
	}
	CHECK(info.acked == bytes && info.received == bytes && info.sent - info.sent_again == bytes);
}

/* Two processes serve one connection by turns: each reads a piece and sends one. */
static void serve_to_and_fro(int fd)
{
	int conn, me;
	pid_t child;

	server_ready(fd);
	conn = accept_one(fd);
	CHECK(!pipe(turn[0]) && !pipe(turn[1]));
	child = fork_must();
	me = !child;
	for (size_t i = 0; i < MOVES; i++) {
		if (me || i)
			turn_wait(me);
		stream_check(conn, (2 * i + (size_t)me) * PIECE, (2 * i + (size_t)me + 1) * PIECE);
		stream_write(conn, (2 * i + (size_t)me) * PIECE, (2 * i + (size_t)me + 1) * PIECE);
		turn_give(!me);
	}
	if (!child)
		_exit(0);
	child_end(child);
	passed_check(conn, 2 * MOVES * PIECE);
	close(conn);
}

static void part_to_and_fro(void)
{
	pid_t server, writer;
	int fd;

	server_start(serve_to_and_fro, &server);
	fd = connect_to(port);
	writer = fork_must();
	if (!writer) {
		stream_write(fd, 0, 2 * MOVES * PIECE);
		_exit(0);
	}
	child_end(writer);
	stream_check(fd, 0, 2 * MOVES * PIECE);
	CHECK(read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
	child_end(server);
	printf("%d times to and fro\n", 2 * MOVES);
}

/* ---- a crowd ---------------------------------------------------------------------------------------------------- */

enum { CROWD = 4, LINES = 50, LINE_BYTES = 8 };

/* Several processes write to one connection whenever they like; each line arrives whole, and in its writer's order. */
static void serve_crowd(int fd)
{
	char line[LINE_BYTES + 1];
	pid_t pids[CROWD];
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	for (int who = 0; who < CROWD; who++) {
		fflush(stdout);
		pids[who] = fork_must();
		if (pids[who])
			continue;
		for (int i = 0; i < LINES; i++) {
			snprintf(line, sizeof(line), "%d %05d\n", who, i);
			write_all(conn, line, LINE_BYTES);
		}
		_exit(0);
	}
	close(conn);
	for (int who = 0; who < CROWD; who++)
		child_end(pids[who]);
}

static void part_crowd(void)
{
	int next[CROWD] = { 0 }, who, nr, fd;
	char line[LINE_BYTES + 1] = "";
	pid_t server;

	server_start(serve_crowd, &server);
	fd = connect_to(port);
	for (int i = 0; i < CROWD * LINES; i++) {
		CHECK(read_all(fd, line, LINE_BYTES) == LINE_BYTES);
		CHECK(sscanf(line, "%d %d\n", &who, &nr) == 2 && who >= 0 && who < CROWD && nr == next[who]++);
	}
	CHECK(read(fd, line, 1) == 0);
	close(fd);
	child_end(server);
	printf("%d lines of %d processes\n", CROWD * LINES, CROWD);
}

/* ---- a thread has waited before there was anything on channels ---------------------------------------------------- */

void *poll_set(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg, .events = POLLIN };

	CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents == POLLIN);
	return NULL;
}

/* A child begins without any. What one thread connects comes into the set that another has had poll() look at all the time. */
static void polls(int port_nr)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd;
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, poll_set, &epfd));
	usleep(100000);
	fd = connect_to((uint16_t)port_nr);
	check_path(fd);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) && !epoll_wait(epfd, &ev, 1, 0));
	write_all(fd, "ping", 4);
	CHECK(!pthread_join(thread, NULL));
	close(fd);
	close(epfd);
}

static void part_polled_set(void)
{
	pid_t server;

	server_start(serve_ping, &server);
	child_end(child_start(polls, port));
	child_end(server);
	printf("who polled saw it\n");
}

void conn_role(const char *role)
{
	if (!strcmp(role, "reader"))
		role_reader();
}

void conn_parts(const char *only)
{
	static const struct part parts[] = {
		{ "forking", part_forking },   { "turns", part_turns },	      { "unused", part_unused },
		{ "cat", part_cat },	       { "spawned", part_spawned },	       { "exec", part_exec },	      { "passed_conn", part_passed_conn },
		{ "mapped", part_mapped },
		{ "exiting", part_exiting },   { "unwanted", part_unwanted }, { "killed", part_killed },
		{ "last_words", part_last_words }, { "brief", part_brief }, { "brief_kernel", part_brief_kernel },
		{ "both_write", part_both_write }, { "to_and_fro", part_to_and_fro }, { "crowd", part_crowd },
		{ "polled_set", part_polled_set },
	};

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
