// SPDX-License-Identifier: BSD-2-Clause
/* procs_rare.c - rarer ways to another process and another program. See procs.c. */
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

/* One connection to @serve, over IPv4 and over IPv6, as far as @talk goes */
static void talk_both(void (*serve)(int), void (*talk)(int fd))
{
	for (int v6 = 0; v6 < 2; v6++) {
		pid_t server;
		int fd;

		use_ipv6(v6);
		fd = connect_to(server_start(serve, &server));
		check_path(fd);
		talk(fd);
		close(fd);
		child_end(server);
	}
	use_ipv6(false);
}

/* ---- other programs --------------------------------------------------------------------------------------------- */

static char **argv_of;

static void by_execl(void)
{
	execl(SELF, argv_of[0], argv_of[1], argv_of[2], argv_of[3], (char *)NULL);
}

static void by_execle(void)
{
	execle(SELF, argv_of[0], argv_of[1], argv_of[2], argv_of[3], (char *)NULL, environ);
}

static void by_execlp(void)
{
	execlp(SELF, argv_of[0], argv_of[1], argv_of[2], argv_of[3], (char *)NULL);
}

static void by_execv(void)
{
	execv(SELF, argv_of);
}

static void by_execvp(void)
{
	execvp(SELF, argv_of);
}

static void by_execvpe(void)
{
	execvpe(SELF, argv_of, environ);
}

static void by_execve(void)
{
	execve(SELF, argv_of, environ);
}

static void by_fexecve(void)
{
	fexecve(open(SELF, O_RDONLY | O_CLOEXEC), argv_of, environ);
}

static void by_execveat(void)
{
	execveat(open("/proc/self", O_PATH | O_CLOEXEC), "exe", argv_of, environ, 0);
}

/* PATH looked through by hand */
static void by_search(void)
{
	for (int i = 0; i < 3; i++)
		CHECK(execve("/no/such/program", argv_of, environ) < 0 && errno == ENOENT);
	CHECK(execve("/proc/self/status", argv_of, environ) < 0 && errno == EACCES);
	CHECK(execve("/no/such/program", argv_of, environ) < 0 && errno == ENOENT);
	CHECK(execve("/no/such/program", argv_of, environ) < 0 && errno == ENOENT);
	CHECK(execve("/proc/self/status/program", argv_of, environ) < 0 && errno == ENOTDIR);
	execve(SELF, argv_of, environ);
}

static const struct {
	const char *name;
	void (*exec)(void);
} execs[] = { { "execl", by_execl },   { "execle", by_execle },	  { "execlp", by_execlp },   { "execv", by_execv },	 { "execvp", by_execvp },
	      { "execvpe", by_execvpe }, { "execve", by_execve }, { "fexecve", by_fexecve }, { "execveat", by_execveat },
	      { "search", by_search } };

enum { EXECS = sizeof(execs) / sizeof(execs[0]) };

/* Each client is a child's, which becomes another program with the connection as its standard input. */
static void serve_execs(int fd)
{
	server_ready(fd);
	for (int i = 0; i < EXECS; i++) {
		int conn = accept_one(fd);
		pid_t pid = fork_must();

		if (!pid) {
			ping_back(conn);
			CHECK(dup2(conn, STDIN_FILENO) == STDIN_FILENO);
			argv_of = role_argv("keeps one");
			execs[i].exec();
			CHECK(!"another program");
		}
		close(conn);
		child_end(pid);
	}
}

static void part_execs(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		uint16_t port;
		pid_t server;

		use_ipv6(v6);
		port = server_start(serve_execs, &server);
		for (int i = 0; i < EXECS; i++) {
			int fd = connect_to(port);

			check_path(fd);
			for (int n = 0; n < 3; n++)
				ping(fd);
			close(fd);
			printf("%s\n", execs[i].name);
		}
		child_end(server);
	}
	use_ipv6(false);
}

/* ---- at a terminal of their own --------------------------------------------------------------------------------- */

/* libc forks by itself there. What the child has is its parent's, in three places more. */
static void serve_terminal(int fd)
{
	int conn, master;
	char said[16] = "";
	pid_t pid;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	pid = forkpty(&master, NULL, NULL, NULL);
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
		ping_back(conn);
		CHECK(write(STDOUT_FILENO, "child", 5) == 5);
		_exit(read(STDIN_FILENO, said, 1) == 1 ? 0 : 1);
	}
	CHECK(read_all(master, said, 5) == 5 && !memcmp(said, "child", 5));
	ping_back(conn);
	write_all(master, "\n", 1);
	child_end(pid);
	close(master);
	echo(conn);
}

static void talk_to_terminal(int fd)
{
	for (int i = 0; i < 5; i++)
		ping(fd);
}

static void part_terminal(void)
{
	talk_both(serve_terminal, talk_to_terminal);
	printf("forkpty(): before it, in the child, and after it\n");
}

/* ---- shells, by libc -------------------------------------------------------------------------------------------- */

enum { SHELLS_FD = 9 };

/* A shell that libc starts has the connection as well: it writes, and the program goes on. */
static void serve_shells(int fd)
{
	char command[64], line[8] = "";
	int conn, status;
	FILE *from;

	server_ready(fd);
	conn = accept_one(fd);
	if (conn != SHELLS_FD) /* shells know numbers of one figure */
		CHECK(dup2(conn, SHELLS_FD) == SHELLS_FD && !close(conn));
	conn = SHELLS_FD;
	ping_back(conn);
	snprintf(command, sizeof(command), "printf pong >&%d", conn);
	status = system(command);
	CHECK(status == 0);
	ping_back(conn);
	snprintf(command, sizeof(command), "printf pong >&%d; echo said", conn);
	from = popen(command, "re");
	CHECK(from && fgets(line, sizeof(line), from) && !strcmp(line, "said\n") && !pclose(from));
	ping_back(conn);
	echo(conn);
}

static void talk_to_shells(int fd)
{
	char got[4];

	for (int i = 0; i < 2; i++) {
		ping(fd);
		CHECK(read_all(fd, got, 4) == 4 && !memcmp(got, "pong", 4));
	}
	ping(fd);
	ping(fd);
}

static void part_shells(void)
{
	talk_both(serve_shells, talk_to_shells);
	printf("system() and popen(): their shells write into it\n");
}

/* ---- as inetd starts them --------------------------------------------------------------------------------------- */

#define SAYS "read -r a; echo \"out $a\"; echo \"err $a\" >&2; read -r b; printf '%s\\n' \"$b\"; exec cat"

/* The connection is all three of the standard descriptors of a shell, and then of cat. */
static void serve_standard(int fd)
{
	int conn;
	pid_t pid;

	server_ready(fd);
	conn = accept_one(fd);
	pid = fork_must();
	if (!pid) {
		for (int nr = STDIN_FILENO; nr <= STDERR_FILENO; nr++)
			CHECK(dup2(conn, nr) == nr);
		close(conn);
		execl("/bin/sh", "sh", "-c", SAYS, (char *)NULL);
		_exit(127);
	}
	close(conn);
	child_end(pid);
}

static void talk_to_standard(int fd)
{
	static const char *const says[] = { "one\n", "two\n", "three\n" }, *const hears[] = { "out one\nerr one\n", "two\n", "three\n" };
	char got[32];

	for (int i = 0; i < 3; i++) {
		write_all(fd, says[i], strlen(says[i]));
		CHECK(read_all(fd, got, strlen(hears[i])) == strlen(hears[i]) && !memcmp(got, hears[i], strlen(hears[i])));
	}
	CHECK(!shutdown(fd, SHUT_WR) && read_all(fd, got, 1) == 0);
}

static void part_standard(void)
{
	talk_both(serve_standard, talk_to_standard);
	printf("standard input, output and error at once\n");
}

/* ---- taken, and not given --------------------------------------------------------------------------------------- */

static int listener;

/* @ends: a pipe whose other end its parent has */
static void takes_listener(int ends)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getppid(), 0), fd = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0), conn;

	CHECK(fd >= 0 && fd != listener && !close(listener));
	write_all(ends, "", 1);
	conn = accept(fd, NULL, NULL);
	CHECK(conn >= 0);
	echo(conn);
}

/* A listening socket is taken out of a process that doesn't listen any more by then. */
static void part_pidfd(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		int ends[2], fd;
		uint16_t port;
		pid_t pid;

		use_ipv6(v6);
		CHECK(!pipe(ends));
		listener = listen_any(&port);
		pid = child_start(takes_listener, ends[1]);
		CHECK(read_all(ends[0], &(char){ 0 }, 1) == 1);
		close(listener);
		fd = connect_to(port);
		ping(fd);
		close(fd);
		child_end(pid);
		close(ends[0]);
		close(ends[1]);
	}
	use_ipv6(false);
	printf("pidfd_getfd(): who takes a listening socket accepts\n");
}

/* ---- the peer's process has ended ----------------------------------------------------------------------------------- */

enum { LOOKS = 10, LOOK_US = 10000 };

static void part_ended(void)
{
	struct sockaddr_storage name;
	socklen_t len;
	pid_t pid;
	int fd;

	for (int v6 = 0; v6 < 2; v6++) {
		use_ipv6(v6);
		fd = connect_to(server_start(serve_ping, &pid));
		check_path(fd);
		ping(fd);
		child_end(pid);
		for (int i = 0; i < LOOKS; i++) {
			len = sizeof(name);
			CHECK(!usleep(LOOK_US) && !getpeername(fd, (struct sockaddr *)&name, &len));
		}
		CHECK(read(fd, &(char){ 0 }, 1) == 0);
		len = sizeof(name);
		CHECK(!getpeername(fd, (struct sockaddr *)&name, &len) && !shutdown(fd, SHUT_WR) && !close(fd));
	}
	use_ipv6(false);
	printf("a peer whose process has ended has its name\n");
}

void rare_parts(const char *only)
{
	static const struct part parts[] = { { "execs", part_execs }, { "terminal", part_terminal }, { "shells", part_shells }, { "standard", part_standard }, { "pidfd", part_pidfd },
					     { "ended", part_ended } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
