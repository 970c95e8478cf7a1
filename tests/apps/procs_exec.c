// SPDX-License-Identifier: BSD-2-Clause
/* procs_exec.c - what a process keeps, and what it gives up, when it becomes another program, starts one, or becomes a daemon. See procs.c. */
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTEN_FD = 3, CONN_FD = 4, VIA_FD = 5 };

/* To a number that is none of these, and what is there goes on over exec() */
static void put_at(int fd, int number)
{
	CHECK(dup2(fd, number) == number && !fcntl(number, F_SETFD, 0));
}

static int out_of_the_way(int fd)
{
	int high = fcntl(fd, F_DUPFD, 20);

	CHECK(high >= 20 && !close(fd));
	return high;
}

static void check_end(int fd)
{
	CHECK(read(fd, &(char){ 0 }, 1) == 0);
	close(fd);
}

/* Others' questions, until @conn is at its end */
static void serve_beside(int listener, int conn)
{
	struct pollfd pfd[] = { { .fd = listener, .events = POLLIN }, { .fd = conn, .events = POLLIN } };

	while (!pfd[1].revents) {
		int next;

		CHECK(poll(pfd, 2, ANSWER_MS) > 0);
		if (!pfd[0].revents)
			continue;
		next = accept(listener, NULL, NULL);
		CHECK(next >= 0);
		ping_back(next);
		close(next);
	}
	check_end(conn);
}

/* A client who comes before anybody waits at the port again is the kernel's. */
static void ask_until_on_path(uint16_t port)
{
	uint64_t end_ms = now_ms() + ANSWER_MS;

	while (ask_once(port) != wants_kernel()) {
		CHECK(now_ms() < end_ms);
		usleep(10000);
	}
}

/* ---- close-on-exec ------------------------------------------------------------------------------- */

/* The ways to say it; the last one is not said of. */
enum closes { BY_ACCEPT4, BY_FCNTL, BY_IOCTL, BY_DUP3, BY_RANGE, KEPT, CLOSES };

static int accept_closing(int fd, enum closes how)
{
	int conn = accept4(fd, NULL, NULL, how == BY_ACCEPT4 ? SOCK_CLOEXEC : 0), copy;

	CHECK(conn >= 0);
	check_path(conn);
	switch (how) {
	case BY_FCNTL:
		CHECK(!fcntl(conn, F_SETFD, FD_CLOEXEC));
		break;
	case BY_IOCTL:
		CHECK(!ioctl(conn, FIOCLEX));
		break;
	case BY_DUP3:
		copy = dup3(conn, conn + 100, O_CLOEXEC);
		CHECK(copy >= 0 && !close(conn));
		return copy;
	case BY_RANGE:
		CHECK(!close_range((unsigned)conn, (unsigned)conn, CLOSE_RANGE_CLOEXEC));
		break;
	default:
		break;
	}
	return conn;
}

/* It has used them all, or none, when it becomes another program. */
static void serve_closing(int fd)
{
	int conns[CLOSES];

	server_ready(fd);
	for (int i = 0; i < CLOSES; i++)
		conns[i] = accept_closing(fd, (enum closes)i);
	for (int i = 0; i < CLOSES; i++)
		if (i % 2 || i == KEPT)
			ping_back(conns[i]);
	CHECK(!fcntl(fd, F_SETFD, FD_CLOEXEC));
	put_at(conns[KEPT], STDIN_FILENO);
	close(conns[KEPT]);
	exec_role("keeps one");
}

static void part_cloexec(void)
{
	int conns[CLOSES];
	pid_t server;
	uint16_t port = server_start(serve_closing, &server);

	for (int i = 0; i < CLOSES; i++)
		conns[i] = connect_to(port);
	for (int i = 0; i < CLOSES; i++)
		if (i % 2 || i == KEPT)
			ping(conns[i]);
	for (int i = 0; i < KEPT; i++)
		check_end(conns[i]);
	ping(conns[KEPT]);
	close(conns[KEPT]);
	child_end(server);
	printf("%d that are closed by exec(), and one that is not\n", KEPT);
}

/* The same of who has connected */
static void client_closing(int port)
{
	int closes = connect_to((uint16_t)port), kept = connect_to((uint16_t)port);

	ping(closes);
	ping(kept);
	CHECK(!fcntl(closes, F_SETFD, FD_CLOEXEC));
	put_at(kept, STDIN_FILENO);
	close(kept);
	exec_role("pings");
}

static void serve_two(int fd)
{
	int conns[2];

	server_ready(fd);
	for (int i = 0; i < 2; i++)
		conns[i] = accept_one(fd);
	ping_back(conns[0]);
	ping_back(conns[1]);
	check_end(conns[0]);
	echo(conns[1]);
}

static void part_cloexec_client(void)
{
	pid_t server;

	child_end(child_start(client_closing, server_start(serve_two, &server)));
	child_end(server);
	printf("one that is closed by exec() of who has connected, and one that is not\n");
}

/* ---- exec() that fails --------------------------------------------------------------------------- */

static void serve_exec_failed(int fd)
{
	char *const argv[] = { (char *)(uintptr_t)"nobody", NULL };
	int conn, closes;

	server_ready(fd);
	conn = accept_one(fd);
	closes = accept_one(fd);
	CHECK(!fcntl(closes, F_SETFD, FD_CLOEXEC));
	ping_back(conn);
	CHECK(execv("/nowhere/nobody", argv) < 0 && errno == ENOENT);
	CHECK(execve("/nowhere/nobody", argv, argv + 1) < 0 && errno == ENOENT);
	CHECK(execv("/etc/passwd", argv) < 0 && errno == EACCES);
	ping_back(conn);
	ping_back(closes);
	serve_beside(fd, conn);
}

/* What it has, it has all the same: connections, and clients that come to it. */
static void part_exec_failed(void)
{
	pid_t server;
	uint16_t port = server_start(serve_exec_failed, &server);
	int fd = connect_to(port), other = connect_to(port);

	ping(fd);
	ping(fd);
	ping(other);
	ask_until_on_path(port);
	close(fd);
	close(other);
	child_end(server);
	printf("went on when there was no such program\n");
}

/* ---- the server starts itself anew --------------------------------------------------------------- */

static const struct { int level, name, value; } options[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, 1 }, { SOL_SOCKET, SO_RCVLOWAT, 4 }, { IPPROTO_TCP, TCP_NODELAY, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 77 }, { IPPROTO_TCP, TCP_KEEPINTVL, 8 }, { IPPROTO_TCP, TCP_KEEPCNT, 5 }, { IPPROTO_TCP, TCP_USER_TIMEOUT, 70000 },
	/* only the kernel gives these a meaning, or a value */
	{ SOL_SOCKET, SO_REUSEADDR, 1 }, { SOL_SOCKET, SO_OOBINLINE, 1 }, { SOL_SOCKET, SO_TIMESTAMP, 1 }, { SOL_SOCKET, SO_ZEROCOPY, 1 },
	{ IPPROTO_TCP, TCP_INQ, 1 }, { IPPROTO_IP, IP_RECVTOS, 1 }, { IPPROTO_IP, IP_MULTICAST_LOOP, 0 },
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]), RESTARTS = 3 };

static void times_set(int conn)
{
	struct timeval receive = { 31, 0 }, send = { 32, 0 };
	struct linger linger = { 1, 33 };

	CHECK(!setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive)) && !setsockopt(conn, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send)));
	CHECK(!setsockopt(conn, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) && !fcntl(conn, F_SETFL, O_NONBLOCK));
}

static void times_check(int conn)
{
	struct timeval receive, send;
	struct linger linger;
	socklen_t len = sizeof(receive);

	CHECK(!getsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &receive, &len) && receive.tv_sec == 31);
	CHECK(!getsockopt(conn, SOL_SOCKET, SO_SNDTIMEO, &send, &len) && send.tv_sec == 32);
	len = sizeof(linger);
	CHECK(!getsockopt(conn, SOL_SOCKET, SO_LINGER, &linger, &len) && linger.l_onoff && linger.l_linger == 33);
	CHECK((fcntl(conn, F_GETFL) & O_NONBLOCK));
}

static void options_set(int conn)
{
	for (int i = 0; i < OPTIONS; i++)
		CHECK(!setsockopt(conn, options[i].level, options[i].name, &options[i].value, sizeof(int)));
	times_set(conn);
}

static void options_check(int conn)
{
	for (int i = 0; i < OPTIONS; i++) {
		socklen_t len = sizeof(int);
		int value = -1;

		CHECK(!getsockopt(conn, options[i].level, options[i].name, &value, &len));
		CHECK(value == options[i].value);
	}
	times_check(conn);
}

static void serve_restarted(int left)
{
	char role[32];
	int conn;

	if (left == RESTARTS) {
		conn = accept_one(LISTEN_FD);
		options_set(conn);
		put_at(conn, CONN_FD);
		close(conn);
	} else {
		options_check(CONN_FD);
		check_path(CONN_FD);
	}
	for (int i = 0; i < 2; i++) {
		conn = accept(LISTEN_FD, NULL, NULL); /* the kernel's, if it came while there was no program */
		ping_back(conn);
		close(conn);
	}
	CHECK(poll(&(struct pollfd){ .fd = CONN_FD, .events = POLLIN }, 1, ANSWER_MS) == 1);
	ping_back(CONN_FD);
	if (!left)
		exit(0);
	snprintf(role, sizeof(role), "restarted %d", left - 1);
	exec_role(role);
}

static void serve_anew(int fd)
{
	server_ready(fd);
	fd = out_of_the_way(fd);
	put_at(fd, LISTEN_FD);
	close(fd);
	serve_restarted(RESTARTS);
}

/* As a graceful restart in place: the listening socket and a connection go on, with all that was set. */
static void part_restarted(void)
{
	pid_t server;
	uint16_t port = server_start(serve_anew, &server);
	int fd = connect_to(port);

	for (int i = 0; i <= RESTARTS; i++) {
		for (int k = 0; k < 2; k++) {
			int next = connect_to(port);

			ping(next);
			check_end(next);
		}
		ping(fd);
	}
	check_end(fd);
	child_end(server);
	printf("began anew %d times\n", RESTARTS);
}

/* ---- a client's options, set before and after connect() ------------------------------------------ */

static int int_option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	CHECK(!getsockopt(fd, level, name, &value, &len));
	return value;
}

static void option_on(int fd, int level, int name)
{
	CHECK(!setsockopt(fd, level, name, &(int){ 1 }, sizeof(int)));
}

/* Return: what TCP_INQ's message says behind a byte that is read; -1: there is none */
static int left_behind(int fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = { .msg_iov = &(struct iovec){ &(char){ 0 }, 1 }, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int left;

	CHECK(recvmsg(fd, &msg, 0) == 1);
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return -1;
	CHECK(c->cmsg_level == IPPROTO_TCP && c->cmsg_type == TCP_CM_INQ);
	memcpy(&left, CMSG_DATA(c), sizeof(left));
	return left;
}

static int late_ms; /* by then what waits has been put where others find it, too */

static void uses_options(int fd)
{
	usleep((useconds_t)late_ms * 1000);
	CHECK(int_option(fd, SOL_SOCKET, SO_REUSEADDR) == 1 && int_option(fd, SOL_SOCKET, SO_OOBINLINE) == 1);
	CHECK(left_behind(fd) == 1);
	option_on(fd, IPPROTO_IP, IP_RECVTTL);
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &(int){ 0 }, sizeof(int)));
}

static void serve_bytes(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	write_all(conn, "ab", 2);
	check_end(conn);
	_exit(0);
}

static void options_copied(void)
{
	struct sockaddr_in6 to;
	socklen_t len = sizeof(to);
	pid_t server;
	uint16_t port = server_start(serve_bytes, &server);
	int fd, other = listen_any(&(uint16_t){ 0 });

	CHECK(!getsockname(other, (struct sockaddr *)&to, &len) && !close(other));
	to.sin6_port = htons(port); /* at the same place in both families */
	fd = socket(to.sin6_family, SOCK_STREAM, 0);
	option_on(fd, SOL_SOCKET, SO_REUSEADDR);
	option_on(fd, IPPROTO_TCP, TCP_INQ);
	CHECK(!connect(fd, (struct sockaddr *)&to, len));
	option_on(fd, SOL_SOCKET, SO_OOBINLINE);
	for (int bytes = 0; bytes < 2;)
		CHECK(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, ANSWER_MS) == 1 && !ioctl(fd, FIONREAD, &bytes));
	child_end(child_start(uses_options, fd));
	CHECK(int_option(fd, SOL_SOCKET, SO_REUSEADDR) == 1 && int_option(fd, SOL_SOCKET, SO_OOBINLINE) == 0 && int_option(fd, IPPROTO_IP, IP_RECVTTL) == 1);
	CHECK(left_behind(fd) == 0);
	close(fd);
	child_end(server);
}

static void part_options_copied(void)
{
	for (late_ms = 0; late_ms <= 300; late_ms += 300)
		options_copied();
	printf("each has what the other one has set\n");
}

/* ---- daemon() ------------------------------------------------------------------------------------ */

static void serve_as_daemon(int fd, int keeps_descriptors)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	CHECK(!daemon(0, keeps_descriptors)); /* the parent ends there */
	ping_back(conn);
	serve_beside(fd, conn);
	_exit(0);
}

static void serve_daemon_null(int fd)
{
	serve_as_daemon(fd, 0);
}

static void serve_daemon(int fd)
{
	serve_as_daemon(fd, 1);
}

static void part_becomes_daemon(void)
{
	static void (*const serve[])(int) = { serve_daemon_null, serve_daemon };

	for (int i = 0; i < 2; i++) {
		pid_t server;
		uint16_t port = server_start(serve[i], &server);
		int fd = connect_to(port);

		ping(fd);
		child_end(server);
		ping(fd);
		ask_until_on_path(port);
		CHECK(!shutdown(fd, SHUT_WR));
		check_end(fd);
	}
	printf("a daemon goes on with what it had\n");
}

/* ---- posix_spawn() ------------------------------------------------------------------------------- */

/* The child gets one of three connections; what is done to descriptors there is not done here. */
static void serve_actions(int fd)
{
	posix_spawn_file_actions_t actions;
	int conns[3];
	pid_t child;

	server_ready(fd);
	for (int i = 0; i < 3; i++) {
		conns[i] = accept_one(fd);
		ping_back(conns[i]);
	}
	CHECK(!fcntl(conns[0], F_SETFD, FD_CLOEXEC) && !posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawn_file_actions_adddup2(&actions, conns[0], STDIN_FILENO));
	CHECK(!posix_spawn_file_actions_addclose(&actions, conns[1]));
	CHECK(!posix_spawn_file_actions_addopen(&actions, conns[2], "/dev/null", O_RDONLY, 0));
	CHECK(!posix_spawn_file_actions_addclosefrom_np(&actions, conns[2] + 1));
	CHECK(!posix_spawn(&child, "/proc/self/exe", &actions, NULL, role_argv("keeps one"), environ));
	close(conns[0]);
	ping_back(conns[1]);
	ping_back(conns[2]);
	close(conns[1]);
	close(conns[2]);
	child_end(child);
}

static void part_actions(void)
{
	pid_t server;
	uint16_t port = server_start(serve_actions, &server);
	int conns[3];

	for (int i = 0; i < 3; i++) {
		conns[i] = connect_to(port);
		ping(conns[i]);
	}
	ping(conns[1]);
	ping(conns[2]);
	check_end(conns[1]); /* the child has none of these */
	check_end(conns[2]);
	ping(conns[0]);
	close(conns[0]);
	child_end(server);
	printf("a program started with one of three\n");
}

/* ---- in messages, to another program -------------------------------------------------------------- */

/* Takes a listening socket and two connections; who has sent them is no more by then. */
static void role_takes(void)
{
	int fds[3];
	char c;

	CHECK(read_all(STDIN_FILENO, &c, 1) == 0); /* the end of the one who sent */
	for (int i = 0; i < 3; i++)
		fds[i] = fd_recv(VIA_FD);
	ping_back(fds[1]);
	ping_back(fds[2]);
	close(fds[1]);
	serve_beside(fds[0], fds[2]);
	exit(0);
}

static int via[2], over[2];

static void become_taker(int arg)
{
	(void)arg;
	CHECK(!close(over[1]));
	put_at(over[0], STDIN_FILENO);
	via[1] = out_of_the_way(via[1]);
	put_at(via[1], VIA_FD);
	CHECK(!close_range(VIA_FD + 1, ~0u, 0));
	exec_role("takes");
}

static void serve_gives(int fd)
{
	int conns[2];

	server_ready(fd);
	for (int i = 0; i < 2; i++)
		conns[i] = accept_one(fd);
	ping_back(conns[0]); /* the other one it has not used */
	fd_send(via[0], fd);
	for (int i = 0; i < 2; i++)
		fd_send(via[0], conns[i]);
	exit(0);
}

static void part_to_program(void)
{
	pid_t server, taker;
	int conns[2];
	uint16_t port;

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, via) && !pipe2(over, O_CLOEXEC));
	taker = child_start(become_taker, 0);
	port = server_start(serve_gives, &server);
	for (int i = 0; i < 2; i++)
		conns[i] = connect_to(port);
	ping(conns[0]);
	child_end(server);
	close(via[0]);
	close(via[1]);
	close(over[0]);
	usleep(100000);
	write_all(conns[0], "ping", 4); /* before anybody has it */
	close(over[1]);
	CHECK(read_all(conns[0], (char[4]){ 0 }, 4) == 4);
	ping(conns[1]);
	check_end(conns[0]);
	ask_until_on_path(port);
	close(conns[1]);
	child_end(taker);
	printf("taken by another program when who had sent them was no more\n");
}

/* ---- sets that several processes have ---------------------------------------------------------------------------- */

static int set_listener;

static void epoll_takes_out(int epfd)
{
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_DEL, set_listener, NULL));
}

/* What another process has taken out of the set is not there, whatever was known of it here. */
static void puts_back(int arg)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 5 };
	int epfd = epoll_create1(0), fd, conn;
	uint16_t port;

	set_listener = listen_any(&port);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev));
	child_end(child_start(epoll_takes_out, epfd));
	CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, set_listener, NULL) && errno == ENOENT);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev));
	child_end(child_start(epoll_takes_out, epfd));
	CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, set_listener, &ev) && errno == ENOENT);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev));
	child_end(child_start(epoll_takes_out, epfd));
	ev.data.u32 = 6;
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev));
	CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev) && errno == EEXIST);
	CHECK(!epoll_wait(epfd, &ev, 1, 0));
	fd = connect_to(port);
	CHECK(epoll_wait(epfd, &ev, 1, ANSWER_MS) == 1 && ev.data.u32 == 6);
	conn = accept(set_listener, NULL, NULL);
	CHECK(conn >= 0);
	close(conn);
	close(fd);
	child_end(child_start(epoll_takes_out, epfd));
	fd = connect_to(port);
	CHECK(epoll_wait(epfd, &ev, 1, 200) == 0);
	ev = (struct epoll_event){ .events = EPOLLIN, .data.u32 = 6 };
	CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, set_listener, &ev) && errno == ENOENT);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev));
	CHECK(epoll_wait(epfd, &ev, 1, ANSWER_MS) == 1 && ev.data.u32 == 6);
	conn = accept(set_listener, NULL, NULL);
	CHECK(conn >= 0);
	write_all(fd, "x", 1);
	CHECK(read_all(conn, &(char){ 0 }, 1) == 1);
	close(conn);
	close(fd);
	(void)arg;
}

static void part_epoll_taken_out(void)
{
	child_end(child_start(puts_back, 0));
	printf("put back into a set that another process has, too\n");
}

/* Another program has the set, and adds what is there. */
static void role_adds(const char *fds)
{
	struct epoll_event ev = { .events = 0, .data.u32 = 9 };
	int epfd, fd;

	CHECK(sscanf(fds, "%d %d", &epfd, &fd) == 2);
	CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) && errno == EEXIST);
	raise(SIGSTOP);
	exit(0);
}

static void epoll_adder(int epfd)
{
	char role[40];

	snprintf(role, sizeof(role), "adds %d %d", epfd, set_listener);
	exec_role(role);
}

/* By an option that makes it the kernel's */
static void kernel_client(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };

	CHECK(fd >= 0 && !setsockopt(fd, IPPROTO_IP, IP_MINTTL, &(int){ 1 }, sizeof(int)));
	CHECK(!connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ping(fd);
}

static void shares_with_program(int arg)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 7 };
	int epfd = epoll_create1(0), client;
	uint16_t port;
	pid_t pid;

	set_listener = listen_any(&port);
	CHECK(!epoll_ctl(epfd, EPOLL_CTL_ADD, set_listener, &ev) && !epoll_wait(epfd, &ev, 1, 0));
	pid = child_start(epoll_adder, epfd);
	CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
	CHECK(epoll_wait(epfd, &ev, 1, 0) == 0);
	CHECK(!kill(pid, SIGCONT));
	child_end(pid);
	pid = child_start(kernel_client, port);
	CHECK(epoll_wait(epfd, &ev, 1, ANSWER_MS) == 1 && ev.data.u32 == 7);
	client = accept(set_listener, NULL, NULL);
	CHECK(client >= 0);
	ping_back(client);
	close(client);
	child_end(pid);
	(void)arg;
}

static void part_epoll_exec(void)
{
	child_end(child_start(shares_with_program, 0));
	printf("a set is left as it is by another program that has it\n");
}

/* ---- what a process that has ended leaves to its peer ----------------------------------------------------------- */

enum { CALL_BYTES = 256, REST_US = 20000 };
static int go[2], told[2];

int conn_left_to_child(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	if (fork_must())
		exit(0);
	return conn;
}

/* Its child is about to use what it inherits, and doesn't come as far. */
static void serve_claimed(int fd)
{
	int conn = conn_left_to_child(fd);

	write_all(told[1], &(pid_t){ getpid() }, sizeof(pid_t));
	if (read_all(go[0], &(char){ 0 }, 1) == 1)
		(void)!read(conn, &(char){ 0 }, 1);
	_exit(1);
}

static void client_to_end(int port)
{
	struct pollfd p = { .fd = connect_to((uint16_t)port), .events = POLLIN };

	ping(p.fd);
	CHECK(poll(&p, 1, ANSWER_MS) == 1 && read(p.fd, &(char){ 0 }, 1) <= 0);
}

/* The system call that @pid sleeps in, as /proc has it; "running" */
static void call_of(pid_t pid, char ret_call[static CALL_BYTES])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	f = fopen(path, "re");
	CHECK(f && fgets(ret_call, CALL_BYTES, f));
	fclose(f);
}

/* It has heard that it may go, and sleeps again, for a while already. */
static void sleeps_again(pid_t pid)
{
	uint64_t end_ms = now_ms() + ANSWER_MS;
	char call[CALL_BYTES], before[CALL_BYTES] = "";
	unsigned long first;
	long nr;

	for (;; strcpy(before, call), usleep(REST_US)) {
		CHECK(now_ms() < end_ms);
		call_of(pid, call);
		if (sscanf(call, "%ld %lx", &nr, &first) == 2 && !(nr == SYS_read && (int)first == go[0]) && !strcmp(call, before))
			return;
	}
}

/* The last one that has it asks the peer, which keeps it, and has ended by the time that he looks. */
static void part_claimer_killed(void)
{
	pid_t server, client, claimer;
	uint16_t port;

	CHECK(!pipe(go) && !pipe(told));
	port = server_start(serve_claimed, &server);
	close(told[1]);
	client = child_start(client_to_end, port);
	child_end(server);
	CHECK(read_all(told[0], &claimer, sizeof(claimer)) == sizeof(claimer));
	CHECK(!kill(client, SIGSTOP) && waitpid(client, NULL, WUNTRACED) == client);
	write_all(go[1], "", 1);
	sleeps_again(claimer);
	CHECK(!kill(claimer, SIGKILL) && !read(told[0], &(char){ 0 }, 1) && !kill(client, SIGCONT));
	child_end(client);
	close(go[0]);
	close(go[1]);
	close(told[0]);
	printf("ends with who has asked for it\n");
}

/* ---- a child of one that ends -------------------------------------------------------------------------------------- */

static void fork_at_end(void)
{
	pid_t pid = fork_must();

	if (!pid)
		_exit(0);
	child_end(pid);
}

static void serve_slowly(int fd)
{
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	usleep(100000); /* the client's helper thread sleeps as long as the program does */
	write_all(conn, "a", 1);
	CHECK(!read(conn, &(char){ 0 }, 1));
	exit(0);
}

static void forks_when_ended(int port)
{
	int fd = connect_to((uint16_t)port);

	check_path(fd);
	CHECK(read_all(fd, &(char){ 0 }, 1) == 1 && !at_quick_exit(fork_at_end));
	quick_exit(0);
}

static void part_fork_at_end(void)
{
	pid_t server;
	uint16_t port = server_start(serve_slowly, &server);

	child_end(child_start(forks_when_ended, port));
	child_end(server);
	printf("forked when the connections had ended\n");
}

void exec_part_role(const char *role)
{
	if (!strcmp(role, "keeps one")) {
		echo(STDIN_FILENO);
		exit(0);
	}
	if (!strcmp(role, "pings")) {
		ping(STDIN_FILENO);
		exit(0);
	}
	if (!strncmp(role, "restarted ", 10))
		serve_restarted(atoi(role + 10));
	if (!strcmp(role, "takes"))
		role_takes();
	if (!strncmp(role, "adds ", 5))
		role_adds(role + 5);
}

void exec_parts(const char *only)
{
	static const struct part parts[] = {
		{ "cloexec", part_cloexec }, { "cloexec_client", part_cloexec_client }, { "exec_failed", part_exec_failed },
		{ "epoll_taken_out", part_epoll_taken_out },
		{ "becomes_daemon", part_becomes_daemon }, { "actions", part_actions }, { "to_program", part_to_program },
		{ "options_copied", part_options_copied }, { "claimer_killed", part_claimer_killed },
	};

	for (int i = 0; i < 2; i++) {
		use_ipv6(i);
		parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
		if (only) /* by name: who comes while there is no program has only the kernel, which VJ_STRICT doesn't have */
			parts_run(&(const struct part){ "restarted", part_restarted }, 1, only);
	}
	use_ipv6(false);
	parts_run((const struct part[]){ { "epoll_exec", part_epoll_exec }, { "fork_at_end", part_fork_at_end } }, 2, only);
}
