// SPDX-License-Identifier: BSD-2-Clause
/* Part of `procs`: UDP sockets of which other programs have copies, that were copied before anybody read, or whose holder ends badly */
#include "procs_udp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Where a program that is started has the socket, and its way to the sender */
enum { SOCKET_FD = 101, SENDER_FD = 102 };

/* ---- programs that are started ----------------------------------------------------------------------------------- */

static void role_server(struct server *s)
{
	udp_common_map();
	*s = (struct server){ .fd = SOCKET_FD, .sender = { .ctl = SENDER_FD } };
	s->at.len = sizeof(s->at.to);
	CHECK(!getsockname(s->fd, (struct sockaddr *)&s->at.to, &s->at.len));
}

/* What has come, then what comes */
static void role_reads_on(void)
{
	struct server s;

	role_server(&s);
	reads_on(&s, &ways[common->way], common->nr);
	exit(0);
}

static void role_by_turns(void)
{
	struct server s;

	role_server(&s);
	atomic_fetch_add(&common->ready, 1);
	reads_by_turns(&s, common->last, common->way);
	exit(0);
}

/* Has used it before anything came; then all is for this one */
static void role_first(void)
{
	struct timeval limit = { .tv_sec = LIMIT_S };
	struct server s;
	char byte;

	role_server(&s);
	CHECK(!setsockopt(s.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	CHECK(recv(s.fd, &byte, 1, MSG_DONTWAIT) < 0);
	atomic_fetch_add(&common->ready, 1);
	for (unsigned nr = 1; nr <= SOME; nr++)
		CHECK(take(s.fd, 0) == nr);
	exit(0);
}

/* Has it, and lets it be */
static void role_idle(void)
{
	udp_common_map();
	exit(0);
}

enum { BY_FORK, BY_VFORK, BY_SPAWN, BY_CNT };
static const char *const by_names[] = { "fork() and exec()", "vfork() and exec()", "posix_spawn()" };

static void numbers_set(const struct server *s)
{
	CHECK(dup2(s->fd, SOCKET_FD) == SOCKET_FD && dup2(s->sender.ctl, SENDER_FD) == SENDER_FD);
}

/* Return: its process */
static pid_t start(const struct server *s, const char *role, int by)
{
	posix_spawn_file_actions_t actions;
	char **argv = role_argv(role);
	pid_t pid;

	if (by == BY_SPAWN) {
		CHECK(!posix_spawn_file_actions_init(&actions));
		posix_spawn_file_actions_adddup2(&actions, s->fd, SOCKET_FD);
		posix_spawn_file_actions_adddup2(&actions, s->sender.ctl, SENDER_FD);
		CHECK(!posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ));
		posix_spawn_file_actions_destroy(&actions);
		return pid;
	}
	fflush(stdout);
	if (by == BY_VFORK) {
		pid = vfork();
		if (!pid) {
			dup2(s->fd, SOCKET_FD);
			dup2(s->sender.ctl, SENDER_FD);
			execv("/proc/self/exe", argv);
			_exit(1);
		}
		CHECK(pid > 0);
		return pid;
	}
	pid = fork_must();
	if (!pid) {
		numbers_set(s);
		exec_role(role);
	}
	return pid;
}

/* ---- another program reads on ------------------------------------------------------------------------------------ */

static void reads_elsewhere(int family, int by, int way)
{
	struct server s;
	pid_t pid;

	common->way = way;
	common->nr = server_open(&s, family);
	send_some(&s, SOME);
	pid = start(&s, "udp_reads_on", by);
	child_end(pid);
	send_some(&s, 1); /* and back again */
	CHECK(take(s.fd, 0) == common->nr + 2 * SOME);
	printf("another program reads on, after %s, by %s, IPv%d\n", by_names[by], ways[way].name, family == AF_INET ? 4 : 6);
	server_close(&s);
}

static void part_exec(void)
{
	for (int i = 0; i < 2 * BY_CNT; i++)
		reads_elsewhere(i % 2 ? AF_INET6 : AF_INET, i / 2, 0);
	for (int way = 1; way < UDP_WAYS; way++)
		if (strcmp(ways[way].name, "epoll, a set of the parent's") != 0)
			reads_elsewhere(way % 2 ? AF_INET6 : AF_INET, BY_FORK, way);
}

/* The same of one that libc starts, which tells nobody. */
static void part_exec_system(void)
{
	char program[256], command[600];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

	CHECK(len > 0);
	program[len] = '\0';
	snprintf(command, sizeof(command), "exec '%s' %s - udp_reads_on", program, wants_kernel() ? "kernel" : "channel");
	for (int i = 0; i < 2; i++) {
		struct server s;

		common->way = 0;
		sender_start(&s.sender);
		server_bind(&s, i % 2 ? AF_INET6 : AF_INET);
		CHECK(!fcntl(s.fd, F_SETFD, 0));
		common->nr = server_read(&s);
		send_some(&s, SOME);
		numbers_set(&s);
		fflush(stdout);
		CHECK(system(command) == 0);
		close(SOCKET_FD);
		close(SENDER_FD);
		send_some(&s, 1);
		CHECK(take(s.fd, 0) == common->nr + 2 * SOME);
		printf("another program reads on, after system()\n");
		server_close(&s);
	}
}

/* Programs that have it and leave it alone take nothing away: what the server reads comes as before. */
static void part_exec_idle(void)
{
	for (int i = 0; i < 2 * BY_CNT; i++) {
		struct server s;
		unsigned nr = server_open(&s, i % 2 ? AF_INET6 : AF_INET);

		send_some(&s, SOME);
		child_end(start(&s, "udp_idle", i / 2));
		for (unsigned k = 0; k < SOME; k++)
			CHECK(take(s.fd, 0) == nr + k);
		send_some(&s, 1);
		CHECK(waits_in_kernel(&s) == wants_kernel());
		CHECK(take(s.fd, 0) == nr + SOME);
		printf("one that lets it be, after %s\n", by_names[i / 2]);
		server_close(&s);
	}
}

/* ---- several read at once ---------------------------------------------------------------------------------------- */

static void all_seen_once(unsigned first, unsigned last)
{
	for (unsigned nr = first; nr <= last; nr++)
		CHECK(common->seen[nr] == 1);
}

static void seen_by_us(const struct server *s, unsigned from, unsigned cnt)
{
	for (unsigned nr = from; nr < from + cnt; nr++) {
		CHECK(take(s->fd, 0) == nr);
		CHECK(!atomic_fetch_add(&common->seen[nr], 1));
	}
}

/* Another program comes to read in the middle of it, and this one goes on. */
static void part_exec_turns(void)
{
	for (int i = 0; i < 2 * BY_CNT; i++) {
		struct server s;
		unsigned first = server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		pid_t pid;

		common->way = i % 2;
		common->last = ALL - SOME;
		send_begin(&s, common->last - first + 1);
		seen_by_us(&s, first, 10 * SOME);
		pid = start(&s, "udp_by_turns", i / 2);
		reads_by_turns(&s, common->last, common->way);
		send_end(&s);
		child_end(pid);
		all_seen_once(first, common->last);
		printf("this program and another one, after %s: nobody had what the other had\n", by_names[i / 2]);
		server_close(&s);
	}
}

/* ---- the holder becomes another program -------------------------------------------------------------------------- */

static void becomes(struct server *s, int family, bool child_reads)
{
	pid_t child;

	common->nr = server_serve(s, family);
	if (!child_reads) {
		send_some(s, SOME);
		numbers_set(s);
		exec_role("udp_reads_on");
	}
	common->last = ALL - SOME;
	common->way = true;
	atomic_store(&common->ready, 0);
	send_begin(s, common->last - common->nr + 1);
	seen_by_us(s, common->nr, SOME);
	child = fork_must();
	if (!child) {
		time_t begin = time(NULL);

		while (!atomic_load(&common->ready)) {
			limit_check(begin);
			usleep(1000);
		}
		reads_by_turns(s, common->last, true);
		_exit(0);
	}
	numbers_set(s);
	exec_role("udp_by_turns");
}

static void part_exec_self(void)
{
	for (int i = 0; i < 4; i++) {
		struct server s;
		pid_t holder;
		bool child_reads = i / 2;

		sender_start(&s.sender);
		common->way = 0;
		holder = fork_must();
		if (!holder)
			becomes(&s, i % 2 ? AF_INET6 : AF_INET, child_reads);
		child_end(holder);
		if (child_reads) {
			time_t begin = time(NULL);

			send_end(&s);
			while (atomic_load(&common->got) < common->last) /* the other one is no child of ours */
				limit_check(begin);
			all_seen_once(common->nr, common->last);
		}
		printf("it reads on as another program%s\n", child_reads ? ", and so does its child" : "");
		sender_end(&s.sender);
	}
}

/* ---- copied before anybody reads --------------------------------------------------------------------------------- */

enum { FIRST_PARENT, FIRST_CHILD, FIRST_PROGRAM, FIRST_CNT };

/* Both read: the parent first, or the child, or another program */
static void part_before(void)
{
	static const char *const names[] = { "the parent", "the child", "another program" };

	for (int i = 0; i < 2 * FIRST_CNT; i++) {
		struct server s;
		unsigned first = 1;
		pid_t pid;
		int go[2];
		char c;

		sender_start(&s.sender);
		server_bind(&s, i % 2 ? AF_INET6 : AF_INET);
		CHECK(!pipe2(go, O_CLOEXEC));
		common->last = ALL - SOME;
		common->way = true;
		atomic_store(&common->ready, 0);
		if (i / 2 == FIRST_PROGRAM) {
			pid = start(&s, "udp_by_turns", BY_SPAWN);
		} else {
			pid = fork_must();
			if (!pid) {
				CHECK(read_all(go[0], &c, 1) == 1);
				atomic_fetch_add(&common->ready, 1);
				reads_by_turns(&s, common->last, true);
				_exit(0);
			}
		}
		if (i / 2 == FIRST_PARENT) {
			first = server_read(&s);
			send_begin(&s, common->last - first + 1);
			seen_by_us(&s, first, 10 * SOME);
			write_all(go[1], "", 1);
		} else {
			time_t begin = time(NULL);

			if (i / 2 == FIRST_CHILD)
				write_all(go[1], "", 1);
			while (!atomic_load(&common->ready)) {
				limit_check(begin);
				usleep(1000);
			}
			send_begin(&s, common->last);
			while (atomic_load(&common->got) < SOME)
				limit_check(begin);
		}
		reads_by_turns(&s, common->last, true);
		send_end(&s);
		child_end(pid);
		all_seen_once(first, common->last);
		printf("copied before anybody read, and %s read first: each was had once\n", names[i / 2]);
		close(go[0]);
		close(go[1]);
		server_close(&s);
	}
}

static void until_ready(unsigned cnt)
{
	time_t begin = time(NULL);

	while (atomic_load(&common->ready) < cnt) {
		limit_check(begin);
		usleep(1000);
	}
}

/* Another program uses it, and is the only one that reads; this one has merely looked, later. */
static void part_before_look(void)
{
	for (int i = 0; i < 2 * BY_CNT; i++) {
		struct server s;
		pid_t pid;
		char byte;

		sender_start(&s.sender);
		server_bind(&s, i % 2 ? AF_INET6 : AF_INET);
		atomic_store(&common->ready, 0);
		pid = start(&s, "udp_first", i / 2);
		until_ready(1);
		CHECK(recv(s.fd, &byte, 1, MSG_DONTWAIT) < 0);
		send_some(&s, SOME);
		child_end(pid);
		printf("another program has used it since before, after %s, and has all\n", by_names[i / 2]);
		server_close(&s);
	}
}

/* A child that never reads takes nothing away. */
static void part_before_idle(void)
{
	for (int i = 0; i < 2; i++) {
		struct server s;
		int go[2];
		pid_t pid;
		char c;

		sender_start(&s.sender);
		server_bind(&s, i % 2 ? AF_INET6 : AF_INET);
		CHECK(!pipe2(go, O_CLOEXEC));
		pid = fork_must();
		if (!pid) {
			CHECK(read_all(go[0], &c, 1) == 1);
			_exit(0);
		}
		server_read(&s); /* as the test was asked */
		write_all(go[1], "", 1);
		child_end(pid);
		send_some(&s, 1);
		CHECK(waits_in_kernel(&s) == wants_kernel() && take(s.fd, 0));
		printf("a child that has it since before, and lets it be\n");
		close(go[0]);
		close(go[1]);
		server_close(&s);
	}
}

/* ---- another user has its name ----------------------------------------------------------------------------------- */

static int listens_as(const char *what, uint64_t cookie)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "vjchan/udp-%s/%016llx", what, (unsigned long long)cookie);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(!bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) && !listen(fd, 10));
	return fd;
}

/* Takes the names of the socket whose cookie it reads. Ends badly if anybody says anything there. */
static _Noreturn void squats(int ctl)
{
	enum { NOBODY = 65534 };
	uint64_t cookie;
	int fds[2], came;
	char byte;

	CHECK(read_all(ctl, &cookie, sizeof(cookie)) == sizeof(cookie));
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY));
	fds[0] = listens_as("free", cookie);
	fds[1] = listens_as("held", cookie);
	write_all(ctl, "", 1);
	CHECK(read_all(ctl, &byte, 1) == 1); /* it is over */
	for (int i = 0; i < 2; i++)
		while ((came = accept(fds[i], NULL, NULL)) >= 0)
			CHECK(recv(came, &byte, 1, 0) <= 0);
	_exit(0);
}

static void squatted(int family)
{
	struct server s;
	pid_t squatter, pid;
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;
	int ctl[2];
	char byte;

	sender_start(&s.sender);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl));
	squatter = fork_must(); /* it has no copy */
	if (!squatter)
		squats(ctl[1]);
	server_bind(&s, family);
	CHECK(!getsockopt(s.fd, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	write_all(ctl[0], &cookie, sizeof(cookie));
	CHECK(read_all(ctl[0], &byte, 1) == 1);
	atomic_store(&common->ready, 0);
	pid = start(&s, "udp_first", BY_SPAWN);
	until_ready(1);
	send_some(&s, SOME);
	child_end(pid);
	write_all(ctl[0], "", 1);
	child_end(squatter);
	close(ctl[0]);
	close(ctl[1]);
	server_close(&s);
}

/* Whoever guesses a cookie may listen there first: nobody shows him the socket, and it works by the kernel. */
static void part_squatted(void)
{
	for (int i = 0; i < 2; i++) {
		if (!geteuid())
			squatted(i ? AF_INET6 : AF_INET);
		printf("another user, who has its name, is told nothing\n");
	}
}

/* ---- the holder is killed ---------------------------------------------------------------------------------------- */

/* What was sent to one that is no more, or by one that was stopped and heard too late, may be lost: until the first comes. */
static void until_heard(const struct server *s)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	time_t begin = time(NULL);
	struct numbered n;

	do {
		limit_check(begin);
		send_some(s, 1);
	} while (poll(&pfd, 1, 100) == 0);
	CHECK(recv(s->fd, &n, sizeof(n), 0) == sizeof(n));
	while (recv(s->fd, &n, sizeof(n), MSG_DONTWAIT) == sizeof(n))
		; /* more than one went before */
	atomic_store(&common->got, n.nr);
}

/* Its copies go on, with whom it knew and with others. */
static void survives(const struct server *s, struct sender *other)
{
	struct order o = s->at;
	struct numbered n;
	unsigned nr;
	char c;

	until_heard(s);
	nr = atomic_load(&common->got);
	for (unsigned i = 1; i <= SOME; i++) {
		send_some(s, 1);
		CHECK(take(s->fd, 0) == nr + i);
	}
	sender_start(other);
	o.cnt = 1;
	write_all(other->ctl, &o, sizeof(o));
	CHECK(read_all(other->ctl, &c, 1) == 1);
	CHECK(recv(s->fd, &n, sizeof(n), 0) == sizeof(n) && n.nr == 1);
	sender_end(other);
}

static void role_survivor(void)
{
	struct sender other;
	struct server s;

	role_server(&s);
	atomic_fetch_add(&common->ready, 1);
	while (getppid() == common->way)
		usleep(1000);
	survives(&s, &other);
	atomic_fetch_add(&common->ready, 1);
	exit(0);
}

static void part_killed(void)
{
	for (int i = 0; i < 4; i++) {
		struct server s;
		pid_t holder;

		sender_start(&s.sender);
		atomic_store(&common->ready, 0);
		holder = fork_must();
		if (!holder) {
			server_serve(&s, i % 2 ? AF_INET6 : AF_INET);
			common->way = getpid();
			if (i / 2)
				start(&s, "udp_survivor", BY_SPAWN);
			else if (!fork_must()) {
				numbers_set(&s);
				role_survivor();
			}
			for (;;)
				pause();
		}
		until_ready(1);
		CHECK(!kill(holder, SIGKILL));
		end_by_signal(holder, SIGKILL);
		until_ready(2);
		printf("who had it was killed, and %s goes on\n", i / 2 ? "another program" : "its child");
		sender_end(&s.sender);
	}
}

/* ---- a jump out of giving it away -------------------------------------------------------------------------------- */

static sigjmp_buf away;

static void jumps(int sig)
{
	(void)sig;
	siglongjmp(away, 1);
}

/* Return: only by a jump */
static _Noreturn void left_while_giving(int via, int fd)
{
	struct itimerval soon = { .it_value.tv_usec = 20000 };

	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	fd_send(via, fd);
	for (;;)
		pause();
}

/* The sender doesn't answer meanwhile, so that giving takes a while; a handler leaves it, and it is done all the same. */
static void jump_out(int family)
{
	static struct server s;
	static unsigned nr;
	static int via[2];

	nr = server_open(&s, family);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via));
	send_some(&s, SOME);
	CHECK(!kill(s.sender.pid, SIGSTOP));
	if (!sigsetjmp(away, 1))
		left_while_giving(via[0], s.fd);
	CHECK(!kill(s.sender.pid, SIGCONT));
	for (unsigned k = 0; k < SOME; k++)
		CHECK(take(s.fd, 0) == nr + k);
	until_heard(&s);
	nr = atomic_load(&common->got);
	send_some(&s, SOME);
	for (unsigned k = 1; k <= SOME; k++)
		CHECK(take(s.fd, 0) == nr + k);
	close(via[0]);
	close(via[1]);
	server_close(&s);
}

static void part_jump(void)
{
	signal(SIGALRM, jumps);
	for (int i = 0; i < 4; i++) {
		jump_out(i % 2 ? AF_INET6 : AF_INET);
		printf("left by a jump, and read on\n");
	}
	signal(SIGALRM, SIG_DFL);
}

void udp_role(const char *role)
{
	if (!strcmp(role, "udp_reads_on"))
		role_reads_on();
	if (!strcmp(role, "udp_by_turns"))
		role_by_turns();
	if (!strcmp(role, "udp_survivor"))
		role_survivor();
	if (!strcmp(role, "udp_first"))
		role_first();
	if (!strcmp(role, "udp_idle"))
		role_idle();
}

void udp_exec_parts(const char *only)
{
	static const struct part parts[] = {
		{ "udp_exec", part_exec }, { "udp_exec_system", part_exec_system }, { "udp_exec_idle", part_exec_idle },	  { "udp_exec_turns", part_exec_turns },
		{ "udp_exec_self", part_exec_self }, { "udp_before", part_before }, { "udp_before_idle", part_before_idle },
		{ "udp_before_look", part_before_look }, { "udp_squatted", part_squatted },
		{ "udp_killed", part_killed },	 { "udp_jump", part_jump },
	};

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
