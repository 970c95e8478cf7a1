// SPDX-License-Identifier: BSD-2-Clause
/* procs_raw.c - connections that are read and written by calls which nobody can interpose: libc's streams, programs without the library */
#include "kernel_conn.h"
#include "procs.h"
#include "talk.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- libc's streams --------------------------------------------------------------------------------------------- */

#define SPOKEN "one two three four five six seven\n"

/* Streams buffer, and write by a call of libc's own; and in between the program writes by itself, in every way there is. */
static void speak(void)
{
	const struct msghdr msg = { .msg_iov = &(struct iovec){ "four ", 5 }, .msg_iovlen = 1 };
	int file = memfd_create("six", MFD_CLOEXEC);
	off_t from = 0;

	CHECK(file >= 0 && write(file, "six ", 4) == 4);
	printf("one ");
	fflush(stdout);
	CHECK(write(STDOUT_FILENO, "two ", 4) == 4);
	CHECK(dprintf(STDOUT_FILENO, "three ") == 6);
	CHECK(sendmsg(STDOUT_FILENO, &msg, 0) == 5);
	CHECK(dprintf(STDOUT_FILENO, "five ") == 5);
	CHECK(sendfile(STDOUT_FILENO, file, &from, 4) == 4);
	printf("seven\n");
	exit(0); /* it is flushed then */
}

enum speech { SPEAK_HERE, SPEAK_FORKED, SPEAK_AFTER_EXEC };

static void serve_speech(int fd, enum speech how)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	CHECK(dup2(conn, STDOUT_FILENO) == STDOUT_FILENO);
	close(conn);
	if (how == SPEAK_FORKED && fork() > 0)
		_exit(0);
	if (how == SPEAK_AFTER_EXEC)
		exec_role("speaker");
	speak();
}

static void speech_here(int fd)
{
	serve_speech(fd, SPEAK_HERE);
}

static void speech_forked(int fd)
{
	serve_speech(fd, SPEAK_FORKED);
}

static void speech_after_exec(int fd)
{
	serve_speech(fd, SPEAK_AFTER_EXEC);
}

static void part_streams(void)
{
	static void (*const ways[])(int) = { speech_here, speech_forked, speech_after_exec };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char said[sizeof(SPOKEN)];
		pid_t server;
		int fd;

		fd = connect_to(server_start(ways[i], &server));
		CHECK(read_all(fd, said, sizeof(said)) == sizeof(SPOKEN) - 1);
		CHECK(!memcmp(said, SPOKEN, sizeof(SPOKEN) - 1));
		close(fd);
		child_end(server);
		printf("said: %s", SPOKEN);
	}
}

/* ---- conversations ---------------------------------------------------------------------------------------------- */

/* Who reads and writes: this process, a child, what it becomes ... */
enum talker { TALK_HERE, TALK_FORKED, TALK_AFTER_EXEC, TALK_STATIC, TALK_BESIDE, TALK_STATIC_BESIDE };
static enum talker talker;

/* The program beside this one that knows no library at all */
static _Noreturn void become_static(void)
{
	char file[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", file, sizeof(file) - 1);

	CHECK(n > 0);
	file[n] = '\0';
	strcpy(strrchr(file, '/') + 1, "talk-static");
	execl(file, "talk-static", NULL);
	check_failed(__FILE__, __LINE__, "exec");
}

static void serve_talk(int fd)
{
	bool beside = talker >= TALK_BESIDE;
	pid_t child = 0;
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	if (beside || talker == TALK_FORKED)
		child = fork_must();
	if (child && beside) { /* it keeps its copy, and never uses it */
		child_end(child);
		return;
	}
	if (child)
		_exit(0);
	CHECK(dup2(conn, STDIN_FILENO) >= 0 && dup2(conn, STDOUT_FILENO) >= 0);
	close(conn);
	if (talker == TALK_STATIC || talker == TALK_STATIC_BESIDE)
		become_static();
	if (talker == TALK_AFTER_EXEC || talker == TALK_BESIDE)
		exec_role("talker");
	exit(talk());
}

static void check_big(int fd, size_t bytes)
{
	char order[32], *got = malloc(bytes);

	CHECK(got);
	write_all(fd, order, (size_t)snprintf(order, sizeof(order), "big %zu\n", bytes));
	CHECK(read_all(fd, got, bytes) == bytes);
	for (size_t i = 0; i < bytes; i++)
		CHECK(got[i] == talk_byte(i));
	free(got);
}

static void part_talk(void)
{
	static const char *const names[] = { "this process", "a child", "the next image", "one without the library",
					     "a child's, beside its parent", "a child's without the library, beside its parent" };

	for (talker = TALK_HERE; talker <= TALK_STATIC_BESIDE; talker++) {
		char line[16], got[16];
		pid_t server;
		int fd;

		fd = connect_to(server_start(serve_talk, &server));
		for (int i = 0; i < 30; i++) {
			size_t len = (size_t)snprintf(line, sizeof(line), "line %d\n", i);

			write_all(fd, line, len);
			CHECK(read_all(fd, got, len) == len && !memcmp(line, got, len));
		}
		check_big(fd, 1000000);
		write_all(fd, "last\n", 5);
		CHECK(!shutdown(fd, SHUT_WR) && read_all(fd, got, sizeof(got)) == 5 && !memcmp(got, "last\n", 5));
		close(fd);
		child_end(server);
		printf("talked with %s\n", names[talker]);
	}
}

/* What streams have been given and what is read by calls is one sequence. */
static void serve_mixed(int fd)
{
	char line[16], *volatile nowhere = NULL;
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	CHECK(dup2(conn, STDIN_FILENO) >= 0 && dup2(conn, STDOUT_FILENO) >= 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (int i = 0; i < 20; i++) {
		memset(line, 0, sizeof(line));
		if (i & 1)
			CHECK(fread(line, 1, 8, stdin) == 8);
		else if (i == 4) /* a call that fails takes nothing, and changes no order */
			CHECK(read(conn, nowhere, 8) < 0 && errno == EFAULT && read_all(conn, line, 8) == 8);
		else
			CHECK(read_all(i & 2 ? STDIN_FILENO : conn, line, 8) == 8);
		write_all(conn, line, 8);
	}
	exit(0);
}

static void part_mixed(void)
{
	char all[21 * 8], got[20 * 8];
	pid_t server;
	int fd;

	fd = connect_to(server_start(serve_mixed, &server));
	for (int i = 0; i < 20; i++)
		snprintf(all + 8 * i, 9, "line %2d\n", i);
	write_all(fd, all, 20 * 8); /* all at once: what is put into the token is more than is asked for */
	CHECK(read_all(fd, got, sizeof(got)) == sizeof(got) && !memcmp(all, got, sizeof(got)));
	close(fd);
	child_end(server);
	printf("streams and calls by turns\n");
}

/* ---- inetd ------------------------------------------------------------------------------------------------------ */

/* One line back by libc's streams */
static void role_inetd(void)
{
	char line[64];

	CHECK(fgets(line, sizeof(line), stdin) && fputs(line, stdout) >= 0);
	exit(0);
}

static void serve_inetd(int fd)
{
	server_ready(fd);
	for (;;) {
		int conn = accept(fd, NULL, NULL);
		pid_t pid;

		CHECK(conn >= 0);
		pid = fork();
		if (!pid) {
			CHECK(dup2(conn, STDIN_FILENO) >= 0 && dup2(conn, STDOUT_FILENO) >= 0);
			exec_role("inetd");
		}
		close(conn);
		child_end(pid);
	}
}

enum { SERVED = 4, NOT_KNOWN_MAX = 20 };

/*
 * @ask(port), SERVED times. Where the kernel is allowed beside channels, the first one is on a channel, and from one of the next on, when it is
 * known what the first was for, all are the kernel's.
 */
static void ask_all(bool (*ask)(uint16_t), uint16_t port)
{
	bool kernel = wants_kernel();

	CHECK(ask(port) == kernel);
	if (!kernel && !getenv("VJ_STRICT")) {
		CHECK(ask_until_kernel(ask, port, 1) <= NOT_KNOWN_MAX);
		kernel = true;
	}
	for (int i = 1; i < SERVED; i++)
		CHECK(ask(port) == kernel);
}

/* Return: was it the kernel's? */
static bool ask_inetd(uint16_t port)
{
	int fd = connect_to(port);
	bool kernel = kernel_has_conn(fd);
	char line[5] = "";

	write_all(fd, "say\n", 4);
	CHECK(read_all(fd, line, 4) == 4 && !strcmp(line, "say\n"));
	close(fd);
	return kernel;
}

static void part_inetd(void)
{
	pid_t server;

	ask_all(ask_inetd, server_start(serve_inetd, &server));
	end_by_signal(server, SIGTERM);
	printf("lines by streams\n");
}

/* ---- caged ------------------------------------------------------------------------------------------------------ */

static uint16_t port_of(int fd, int (*names)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in6 name = { 0 }; /* the port is at the same place in both families */
	socklen_t len = sizeof(name);

	CHECK(!names(fd, (struct sockaddr *)&name, &len) && (name.sin6_family == AF_INET || name.sin6_family == AF_INET6));
	return ntohs(name.sin6_port);
}

/* No descriptors more, and no process: what a channel takes can't be had any more. As vsftpd, whose child's child speaks to the client. */
static void caged(int conn)
{
	struct rlimit few = { 16, 16 };
	struct pollfd pfd = { .fd = conn, .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN };
	int set = epoll_create1(0);

	CHECK(set >= 0 && !setrlimit(RLIMIT_NOFILE, &few));
	CHECK(!setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)));
	CHECK(port_of(conn, getpeername) && port_of(conn, getsockname) && port_of(conn, getsockname) != port_of(conn, getpeername));
	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, conn, &ev) && epoll_wait(set, &ev, 1, ANSWER_MS) == 1 && (ev.events & EPOLLIN));
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && (pfd.revents & POLLIN));
	echo(conn);
}

static void serve_caged(int fd)
{
	server_ready(fd);
	for (pid_t pid = 0;;) {
		int conn = accept(fd, NULL, NULL);

		CHECK(conn >= 0);
		if (pid)
			child_end(pid);
		pid = fork_must();
		if (!pid) {
			close(fd);
			child_end(child_start(caged, conn));
			_exit(0);
		}
		close(conn);
	}
}

/* Return: was it the kernel's when it began? */
static bool ask_caged(uint16_t port)
{
	static char out[300000], in[sizeof(out)];
	int fd = connect_to(port);
	bool kernel = kernel_has_conn(fd);
	pid_t writer;

	memset(out, 'x', sizeof(out));
	CHECK(port_of(fd, getpeername) == port);
	for (int n = 0; n < 5; n++)
		ping(fd);
	writer = child_writes(fd, out, sizeof(out));
	CHECK(read_all(fd, in, sizeof(in)) == sizeof(in) && !memcmp(in, out, sizeof(in)));
	child_end(writer);
	CHECK(!shutdown(fd, SHUT_WR) && read(fd, in, 1) == 0);
	close(fd);
	return kernel;
}

/* A channel was tried at @tried_ms, and is again after two seconds at least, and then after twice as long. */
static void check_rests(uint16_t port, uint64_t tried_ms)
{
	for (uint64_t rest_ms = 2000; rest_ms <= 4000; rest_ms *= 2) {
		uint64_t begun_ms;

		ask_until_kernel(ask_caged, port, SERVED);
		do {
			usleep(20000);
			begun_ms = now_ms();
			CHECK(begun_ms - tried_ms < ANSWER_MS + rest_ms);
		} while (ask_caged(port));
		CHECK(now_ms() - tried_ms >= rest_ms);
		tried_ms = begun_ms;
	}
}

static void part_caged(void)
{
	uint64_t begun_ms = now_ms();
	pid_t server;
	uint16_t port = server_start(serve_caged, &server);

	CHECK(ask_caged(port) == wants_kernel());
	if (!wants_kernel() && !getenv("VJ_STRICT"))
		check_rests(port, begun_ms);
	end_by_signal(server, SIGTERM);
	printf("served by processes that can have no channel\n");
}

/* ---- without the library ----------------------------------------------------------------------------------------- */

static void role_acceptor(void)
{
	ping_back(accept(STDIN_FILENO, NULL, NULL));
	exit(0);
}

/* As dovecot: it waits, and those who accept are programs that it starts with an environment of its own. */
_Noreturn void become_clean(const char *role, int fd)
{
	CHECK(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	execve("/proc/self/exe", role_argv(role), (char *[]){ NULL });
	_exit(1);
}

static void become_acceptor(int fd)
{
	become_clean("acceptor", fd);
}

static void become_nobody(int fd)
{
	close(fd);
	become_clean("nobody", STDERR_FILENO);
}

static void serve_clean(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	child_end(child_start(become_nobody, fd));
	server_ready(fd);
	for (int i = 0; i < 3; i++) {
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
		child_end(child_start(become_acceptor, fd));
	}
}

static void part_clean(void)
{
	pid_t server;
	uint16_t port;

	printf("accepted by programs without the library\n");
	if (getenv("VJ_STRICT")) /* they have no channel */
		return;
	port = server_start(serve_clean, &server);
	for (int i = 0; i < 3; i++) {
		int fd = connect_to(port);

		CHECK(kernel_has_conn(fd));
		ping(fd);
		close(fd);
	}
	child_end(server);
}

/* A program that could not be started accepts nothing: its parent has its clients on channels. */
static void start_nobody(int how)
{
	char *const argv[] = { "nobody", NULL }, *const clean[] = { NULL };
	pid_t pid;

	if (how == 0)
		CHECK(execve("/nowhere/nobody", argv, clean) < 0 && errno == ENOENT);
	else if (how == 1)
		CHECK(execvpe("no-such-program", argv, clean) < 0 && errno == ENOENT);
	else
		CHECK(posix_spawn(&pid, "/nowhere/nobody", NULL, NULL, argv, clean) == ENOENT);
}

static void serve_clean_failed(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (int how = 0; how < 2; how++)
		child_end(child_start(start_nobody, how));
	start_nobody(2);
	server_ready(fd);
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	ping_back(accept(fd, NULL, NULL));
}

static void part_clean_failed(void)
{
	pid_t server;
	uint16_t port = server_start(serve_clean_failed, &server);
	int fd = connect_to(port);

	printf("programs without the library that could not be started\n");
	check_path(fd);
	ping(fd);
	close(fd);
	child_end(server);
}

/* ---- streams of libc -------------------------------------------------------------------------------------------- */

/* dprintf() writes by a call inside libc that the library cannot see; before and after the child has claimed the connection. */
static void serve_stream(int fd)
{
	pid_t child;
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	child = fork_must();
	if (!child) {
		for (int i = 0; i < 100; i++)
			CHECK(dprintf(conn, "line %d\n", i) > 0);
		ping_back(conn);
		for (int i = 0; i < 100; i++)
			CHECK(dprintf(conn, "line %d\n", i) > 0);
		ping_back(conn);
		_exit(0);
	}
	close(conn);
	child_end(child);
}

static void part_stream(void)
{
	char line[64], want[64];
	pid_t server;
	int fd;

	fd = connect_to(server_start(serve_stream, &server));
	for (int i = 0; i < 200; i++) {
		int len = snprintf(want, sizeof(want), "line %d\n", i % 100);

		CHECK(read_all(fd, line, (size_t)len) == (size_t)len && !memcmp(line, want, (size_t)len));
		if (i % 100 == 99)
			ping(fd);
	}
	CHECK(read(fd, line, 1) == 0);
	close(fd);
	child_end(server);
	printf("what dprintf() wrote has come\n");
}

/* ---- children that share the memory, or are copies by no call that the library knows --------------------------- */

enum stranger { OF_VFORK, OF_CLONE, OF_CLONE_BESIDE, STRANGERS };

static void serve_two(int fd)
{
	server_ready(fd);
	for (int i = 0; i < 2; i++)
		ping_back(accept_one(fd));
}

static int close_both(void *fds)
{
	close(((int *)fds)[0]);
	close(((int *)fds)[1]);
	_exit(0);
}

static pid_t stranger_start(enum stranger who, int fds[2])
{
	static char stack[65536] __attribute__((aligned(64)));
	pid_t pid;

	if (who != OF_VFORK)
		return clone(close_both, stack + sizeof(stack), (who == OF_CLONE_BESIDE ? CLONE_VM : 0) | SIGCHLD, fds);
	pid = vfork();
	if (!pid)
		close_both(fds);
	return pid;
}

/* It closes its copies of a connection and of a socket that is yet to be connected: here both are as they were. */
static void stranger_closes(enum stranger who)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fds[2] = { -1, socket(AF_INET, SOCK_STREAM, 0) };
	pid_t server, pid;

	a.sin_port = htons(server_start(serve_two, &server));
	fds[0] = connect_to(ntohs(a.sin_port));
	for (int i = 0; i < 50; i++) /* the library is asked so often which process this is that it knows */
		close(socket(AF_INET, SOCK_DGRAM, 0));
	pid = stranger_start(who, fds);
	CHECK(pid > 0);
	child_end(pid);
	check_path(fds[0]);
	ping(fds[0]);
	CHECK(!connect(fds[1], (struct sockaddr *)&a, sizeof(a)));
	check_path(fds[1]);
	ping(fds[1]);
	close(fds[0]);
	close(fds[1]);
	child_end(server);
}

static void part_strangers(void)
{
	for (enum stranger who = 0; who < STRANGERS; who++)
		stranger_closes(who);
	stranger_closes(OF_VFORK); /* once more, as since the last one the kernel is asked each time */
	printf("here they are open\n");
}

/* ---- resets ---------------------------------------------------------------------------------------------------- */

/* What was read elsewhere, and stays unread there until it is put where programs without the library find it, is not all: a reset follows. */
enum { UNREAD = 890 };

static int reset_mail[2];

static void has_for_a_while(int until)
{
	struct pollfd p = { .fd = fd_recv(reset_mail[1]), .events = POLLIN };

	CHECK(poll(&p, 1, ANSWER_MS) == 1 && (p.revents & POLLERR));
	usleep(100000);
	CHECK(write(reset_mail[1], "h", 1) == 1);
	CHECK(read(reset_mail[1], &(char){ 0 }, 1) == until);
}

static void serve_reset(int fd)
{
	char bytes[2 * UNREAD] = { 0 };
	struct pollfd p = { .events = POLLIN };
	pid_t other;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, reset_mail));
	other = child_start(has_for_a_while, 1);
	server_ready(fd);
	p.fd = accept_one(fd);
	write_all(p.fd, bytes, 1);
	do
		CHECK(poll(&p, 1, ANSWER_MS) == 1);
	while (!(p.revents & POLLERR) && !usleep(1000));
	fd_send(reset_mail[0], p.fd);
	CHECK(read(reset_mail[0], bytes, 1) == 1);
	CHECK(recv(p.fd, bytes, sizeof(bytes), 0) == UNREAD);
	CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLERR));
	CHECK(recv(p.fd, bytes, 1, 0) == -1 && errno == ECONNRESET);
	CHECK(recv(p.fd, bytes, 1, 0) == 0);
	CHECK(write(reset_mail[0], "x", 1) == 1);
	child_end(other);
}

static void part_reset_elsewhere(void)
{
	char bytes[UNREAD] = { 0 };
	pid_t server;
	int fd = connect_to(server_start(serve_reset, &server));

	write_all(fd, bytes, UNREAD);
	CHECK(recv(fd, bytes, 1, MSG_PEEK) == 1);
	close(fd);
	child_end(server);
	printf("reset behind what was unread elsewhere\n");
}

/* It lingers for no time: whoever closes the last copy, it ends by RST. */
static void serve_lingering(int fd)
{
	int conn;

	server_ready(fd);
	for (int i = 0; i < 2; i++) {
		conn = accept_one(fd);
		ping_back(conn);
		ping_back(conn);
		CHECK(read(conn, &(char){ 0 }, 1) == -1 && errno == ECONNRESET);
		close(conn);
	}
}

static int lingering, closed[2];

static void lingers(int first)
{
	ping(lingering);
	CHECK(!setsockopt(lingering, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	close(closed[1]);
	if (!first)
		CHECK(read(closed[0], &(char){ 0 }, 1) == 0);
	close(lingering);
}

static void part_last_resets(void)
{
	pid_t server, other;
	uint16_t port = server_start(serve_lingering, &server);

	for (int first = 0; first < 2; first++) {
		lingering = connect_to(port);
		ping(lingering);
		CHECK(!pipe(closed));
		other = child_start(lingers, first);
		if (first)
			child_end(other);
		close(lingering);
		close(closed[0]);
		close(closed[1]);
		if (!first)
			child_end(other);
	}
	child_end(server);
	printf("reset by who closes it last\n");
}

void raw_role(const char *role)
{
	if (!strcmp(role, "speaker"))
		speak();
	if (!strcmp(role, "talker"))
		exit(talk());
	if (!strcmp(role, "inetd"))
		role_inetd();
	if (!strcmp(role, "acceptor"))
		role_acceptor();
	if (!strcmp(role, "nobody"))
		exit(0);
}

/* ---- asynchronously --------------------------------------------------------------------------------------------- */

static void serve_echo(int fd)
{
	server_ready(fd);
	echo(accept_one(fd));
	_exit(0);
}

static ssize_t aio_result(struct aiocb *cb)
{
	const struct aiocb *list[] = { cb };

	CHECK(!aio_suspend(list, 1, &(struct timespec){ .tv_sec = ANSWER_MS / 1000 }) && !aio_error(cb));
	return aio_return(cb);
}

static void kernel_aio(int fd)
{
	aio_context_t context = 0;
	struct iocb write = { .aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)"ping", .aio_nbytes = 4 };
	struct iocb wait = { .aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN }, *list[] = { &write, &wait };
	struct timespec limit = { .tv_sec = ANSWER_MS / 1000 };
	struct io_event done[2];
	char bytes[4];

	CHECK(!syscall(SYS_io_setup, 2, &context) && syscall(SYS_io_submit, context, 2, list) == 2);
	CHECK(syscall(SYS_io_getevents, context, 2, 2, done, &limit) == 2);
	for (int i = 0; i < 2; i++)
		CHECK(done[i].obj == (uintptr_t)&write ? done[i].res == 4 : done[i].res & POLLIN);
	CHECK(read_all(fd, bytes, 4) == 4 && !memcmp(bytes, "ping", 4));
	CHECK(!syscall(SYS_io_destroy, context));
}

/* By libc's threads and by the kernel, and by the program itself between */
static void part_asynchronous(void)
{
	pid_t server;
	int fd = connect_to(server_start(serve_echo, &server));
	char bytes[4] = { 0 };
	struct aiocb out = { .aio_fildes = fd, .aio_buf = (char *)(uintptr_t)"ping", .aio_nbytes = 4 }, in = { .aio_fildes = fd, .aio_buf = bytes, .aio_nbytes = 4 };

	check_path(fd);
	CHECK(!aio_write(&out) && aio_result(&out) == 4);
	CHECK(!aio_read(&in) && aio_result(&in) == 4 && !memcmp(bytes, "ping", 4));
	ping(fd);
	out.aio_lio_opcode = LIO_WRITE;
	CHECK(!lio_listio(LIO_WAIT, (struct aiocb *[]){ &out }, 1, NULL) && aio_return(&out) == 4);
	CHECK(read_all(fd, bytes, 4) == 4);
	kernel_aio(fd);
	ping(fd);
	close(fd);
	child_end(server);
	printf("all of it\n");
}

/* ---- a set of epoll by system calls of its own, as programs of rust's have it by rustix --------------------------- */

enum { UNSEEN_TIMES = 12 };
static long (*unseen)(long number, ...); /* libc's own syscall(), which nobody is in front of */

/* Takes from @fd by libc, and waits where nobody sees it. Return: as @take */
static int take_unseen(int set, int fd, int (*take)(int fd))
{
	struct epoll_event ev;
	int got;

	while ((got = take(fd)) < 0 && errno == EAGAIN)
		CHECK(unseen(SYS_epoll_pwait, set, &ev, 1, ANSWER_MS, NULL, sizeof(uint64_t)) == 1);
	return got;
}

static int take_client(int fd)
{
	return accept(fd, NULL, NULL);
}

static int answer_datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char word[8];
	ssize_t n = recvfrom(fd, word, sizeof(word), 0, (struct sockaddr *)&from, &len);

	CHECK(n < 0 || sendto(fd, word, (size_t)n, 0, (struct sockaddr *)&from, len) == n);
	return (int)n;
}

static void asks_datagrams(int port)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(!connect(fd, (const struct sockaddr *)&to, sizeof(to)));
	for (int i = 0; i < UNSEEN_TIMES; i++)
		ping(fd);
}

static void asks_by_connections(int port)
{
	for (int i = 0; i < UNSEEN_TIMES; i++) {
		int fd = connect_to((uint16_t)port);

		ping(fd);
		close(fd);
	}
}

static void serve_unseen(int fd, int (*take)(int fd), pid_t client)
{
	int set = (int)unseen(SYS_epoll_create1, EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };

	CHECK(set >= 0 && !unseen(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &ev) && !fcntl(fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < UNSEEN_TIMES; i++) {
		int got = take_unseen(set, fd, take);

		CHECK(got >= 0);
		if (take == take_client) {
			ping_back(got);
			close(got);
		}
	}
	child_end(client);
	close(set);
	close(fd);
}

static void part_unseen(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), listener;
	uint16_t port;

	*(void **)&unseen = dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall");
	CHECK(unseen != NULL);
	listener = listen_any(&port);
	serve_unseen(listener, take_client, child_start(asks_by_connections, port));
	CHECK(!bind(udp, (struct sockaddr *)&at, sizeof(at)) && !getsockname(udp, (struct sockaddr *)&at, &len));
	serve_unseen(udp, answer_datagram, child_start(asks_datagrams, ntohs(at.sin_port)));
	printf("who waits by system calls of its own hears of all\n");
}

void raw_parts(const char *only)
{
	static const struct part by_name[] = { { "unseen", part_unseen } };
	static const struct part parts[] = {
		{ "streams", part_streams }, { "talk", part_talk }, { "mixed", part_mixed }, { "inetd", part_inetd }, { "stream", part_stream },
		{ "reset_elsewhere", part_reset_elsewhere }, { "last_resets", part_last_resets },
		{ "caged", part_caged }, { "clean", part_clean }, { "clean_failed", part_clean_failed }, { "strangers", part_strangers }, { "asynchronous", part_asynchronous },
	};

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
	if (only) /* as in procs_called.c: it is the kernel's, which VJ_STRICT forbids */
		parts_run(by_name, sizeof(by_name) / sizeof(by_name[0]), only);
}
