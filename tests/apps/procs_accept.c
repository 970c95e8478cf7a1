// SPDX-License-Identifier: BSD-2-Clause
/* procs_accept.c - clients of the kernel's, whom several processes and threads wait for in accept() */
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct calls {
	uint16_t port;
	uint32_t cnt;
};

/* A client without the library, one connection after the other. It is told which when it runs, and says when it has been there. */
static void role_caller(void)
{
	struct calls calls;

	while (read(STDIN_FILENO, &calls, sizeof(calls)) == sizeof(calls)) {
		while (calls.cnt--) {
			int fd = connect_to(calls.port);

			ping(fd);
			close(fd);
		}
		(void)!send(STDIN_FILENO, "", 1, MSG_NOSIGNAL); /* nobody may wait for that */
	}
	exit(0);
}

static void become_caller(int fd)
{
	become_clean("caller", fd);
}

/* Return: where to write to, and to hear of it */
static int caller_start(pid_t *ret_pid)
{
	int ends[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	*ret_pid = child_start(become_caller, ends[0]);
	close(ends[0]);
	return ends[1];
}

static void caller_tell(int to, struct calls calls)
{
	write_all(to, &calls, sizeof(calls));
}

static void caller_end(int to, pid_t pid)
{
	CHECK(!shutdown(to, SHUT_WR)); /* others have copies */
	child_end(pid);
	close(to);
}

/* Nobody else has the listening socket: what each of them takes is counted from outside. */
static void part_many_accepted(void)
{
	struct calls calls = { .cnt = 1000 };
	pid_t caller;
	int to = caller_start(&caller), listener = listen_any(&calls.port);
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	caller_tell(to, calls);
	for (uint32_t i = 0; i < calls.cnt; i++) {
		int fd;

		CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
		fd = accept(listener, NULL, NULL);
		ping_back(fd);
		close(fd);
	}
	caller_end(to, caller);
	close(listener);
	printf("%u times\n", calls.cnt);
}

enum { BLOCKED = 8, FAIR_SHARE = 20, BLOCKED_ROUNDS = 20 };

static uint32_t *served; /* if not NULL, counted here */

static void serve_blocked(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		ping_back(fd);
		close(fd);
		if (served)
			++*served;
	}
}

/* Of children that have ended: how often they have slept */
static long sleeps(void)
{
	struct rusage used;

	CHECK(!getrusage(RUSAGE_CHILDREN, &used));
	return used.ru_nvcsw;
}

static bool have_shares(const uint32_t *all)
{
	for (int i = 0; i < BLOCKED; i++)
		if (all[i] < FAIR_SHARE)
			return false;
	return true;
}

/* Of those that wait in accept() a client wakes one, as in the kernel's, and they take turns. */
static void part_many_blocked(void)
{
	struct calls calls = { .cnt = 1000 };
	pid_t caller, servers[BLOCKED];
	int to = caller_start(&caller), listener = listen_any(&calls.port);
	uint32_t *all = mmap(NULL, BLOCKED * sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long before, called = 0;

	CHECK(all != MAP_FAILED);
	for (int i = 0; i < BLOCKED; i++) {
		served = &all[i];
		servers[i] = child_start(serve_blocked, listener);
	}
	served = NULL;
	for (int round = 0; round < BLOCKED_ROUNDS && !have_shares(all); round++) { /* one may not have run for all of the first */
		caller_tell(to, calls);
		CHECK(read_all(to, &(char){ 0 }, 1) == 1);
		called += calls.cnt;
	}
	CHECK(have_shares(all));
	caller_end(to, caller);
	before = sleeps();
	for (int i = 0; i < BLOCKED; i++)
		end_by_signal(servers[i], SIGKILL);
	CHECK(sleeps() - before < 4 * called);
	munmap(all, BLOCKED * sizeof(*all));
	close(listener);
	printf("one is woken\n");
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Whoever waits in a call that this one interrupts is told. */
static void interrupt_by(int sig)
{
	const struct sigaction act = { .sa_handler = on_signal };

	CHECK(!sigaction(sig, &act, NULL));
}

static int told[2];

static void tell(void)
{
	CHECK(write(told[1], "t", 1) == 1);
}

static void be_told(void)
{
	struct pollfd p = { .fd = told[0], .events = POLLIN };

	CHECK(poll(&p, 1, ANSWER_MS) == 1 && read(told[0], &(char){ 0 }, 1) == 1);
}

/* It is stopped in the middle of accept(): of a lock of its own the kernel's knows nothing, and no program's is waited for there. */
static void stop_locked(int listener)
{
	struct flock lock = { .l_type = F_WRLCK };

	CHECK(!syscall(SYS_fcntl, listener, F_SETLK, &lock));
	raise(SIGSTOP);
}

static void accept_beside_stopped(int listener)
{
	const struct timeval some = { .tv_usec = 200000 }, never = { 0 };
	const struct itimerval soon = { some, some }, off = { never, never };

	CHECK(!setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &some, sizeof(some)));
	CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
	CHECK(!setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never)));
	interrupt_by(SIGALRM);
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	CHECK(accept(listener, NULL, NULL) == -1 && errno == EINTR);
	CHECK(!setitimer(ITIMER_REAL, &off, NULL));
	tell();
	ping_back(accept(listener, NULL, NULL));
}

/* A client of the kernel's waits all the time, for whoever is stopped; on the kernel he would be taken. */
static void part_stopped_turn(void)
{
	uint16_t port;
	int listener = listen_any(&port), client = wants_kernel() ? -1 : kernel_connect_to(port), fd, status;
	pid_t stopped = child_start(stop_locked, listener), server;

	CHECK(!pipe(told));
	CHECK(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	server = child_start(accept_beside_stopped, listener);
	be_told();
	fd = connect_to(port);
	check_path(fd);
	ping(fd);
	close(fd);
	child_end(server);
	server = child_start(serve_blocked, listener);
	end_by_signal(stopped, SIGKILL);
	if (client < 0)
		client = connect_to(port);
	ping(client);
	close(client);
	end_by_signal(server, SIGKILL);
	close(told[0]);
	close(told[1]);
	close(listener);
	printf("nobody waits for who is stopped\n");
}

static sigjmp_buf jump_to;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(jump_to, 1);
}

static void leave_accept(int listener)
{
	CHECK(signal(SIGUSR1, jump) != SIG_ERR);
	if (!sigsetjmp(jump_to, 1))
		accept(listener, NULL, NULL);
	tell();
	for (;;)
		pause();
}

/* Of two that wait one was woken for a client, can't take him yet, and is gone by a jump: the other one has him. On the kernel he would be taken. */
static void jumped_turn(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	uint16_t port;
	int listener = listen_any(&port), fd;
	pid_t leaving = child_start(leave_accept, listener), server;

	usleep(100000); /* it waits, as the first one, which is woken then */
	server = child_start(serve_blocked, listener);
	usleep(100000);
	CHECK(!syscall(SYS_fcntl, listener, F_SETLK, &lock)); /* the turn is another process's */
	fd = kernel_connect_to(port);
	usleep(100000);
	CHECK(!kill(leaving, SIGUSR1));
	be_told();
	lock.l_type = F_UNLCK;
	CHECK(!syscall(SYS_fcntl, listener, F_SETLK, &lock));
	ping(fd);
	close(fd);
	end_by_signal(leaving, SIGKILL);
	end_by_signal(server, SIGKILL);
	close(listener);
}

static void part_jumped_turn(void)
{
	CHECK(!pipe(told));
	if (!wants_kernel())
		jumped_turn();
	close(told[0]);
	close(told[1]);
	printf("nobody waits for who is gone\n");
}

/* Of the second one, too, is told who waits for it. */
static int second_listener;

static void accept_by_turns(int listener)
{
	for (int i = 0; i < 2; i++) {
		ping_back(accept(listener, NULL, NULL));
		ping_back(accept(second_listener, NULL, NULL));
	}
}

static void part_two_listeners(void)
{
	uint16_t ports[2];
	int first = listen_any(&ports[0]);
	pid_t server;

	second_listener = listen_any(&ports[1]);
	server = child_start(accept_by_turns, first);
	for (int i = 0; i < 4; i++) {
		int fd;

		usleep(50000); /* it waits */
		fd = kernel_connect_to(ports[i % 2]);
		ping(fd);
		close(fd);
	}
	child_end(server);
	close(first);
	close(second_listener);
	printf("waits at each of two\n");
}

static void wait_and_serve(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0) { /* on the kernel, by what the other one has set */
			CHECK(errno == EAGAIN && poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, -1) == 1);
			continue;
		}
		ping_back(fd);
		close(fd);
	}
}

/* One that doesn't wait, beside others that sleep in accept() and take turns: what it has set stays so. */
static void part_nonblock_kept(void)
{
	uint16_t port;
	int listener = listen_any(&port);
	pid_t servers[2];

	for (int i = 0; i < 2; i++)
		servers[i] = child_start(wait_and_serve, listener);
	usleep(100000);
	CHECK(!fcntl(listener, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 4; i++) {
		int fd = kernel_connect_to(port);

		ping(fd);
		close(fd);
	}
	alarm(ANSWER_MS / 1000);
	CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
	alarm(0);
	for (int i = 0; i < 2; i++)
		end_by_signal(servers[i], SIGKILL);
	close(listener);
	printf("it doesn't wait\n");
}

/* Without a vjd, and so in accept() of the kernel's */
static void role_accepts_alone(void)
{
	for (;;) {
		int fd = accept(STDIN_FILENO, NULL, NULL);

		CHECK(fd >= 0);
		ping_back(fd);
		close(fd);
	}
}

static void become_alone(int listener)
{
	CHECK(dup2(listener, STDIN_FILENO) == STDIN_FILENO && !setenv("VJ_SOCKET", "/nowhere", 1) && !unsetenv("VJ_STRICT"));
	exec_role("accepts alone");
}

/* One that waits in the kernel's accept() hears nothing of the turns that others take. */
static void part_turns_unseen(void)
{
	struct calls calls = { .cnt = 3000 };
	pid_t caller, servers[3];
	int to = caller_start(&caller), listener = listen_any(&calls.port), status;

	for (int i = 0; i < 3; i++)
		servers[i] = child_start(i ? serve_blocked : become_alone, listener);
	caller_tell(to, calls);
	caller_end(to, caller);
	CHECK(waitpid(servers[0], &status, WNOHANG) == 0);
	for (int i = 0; i < 3; i++)
		end_by_signal(servers[i], SIGKILL);
	close(listener);
	printf("it waits\n");
}

/* It is killed in its turn, as it is about to take a client. Return: the client; -1: it can't be traced here */
static int killed_at_accept(pid_t server, uint16_t port)
{
	struct __ptrace_syscall_info at = { 0 };
	int status, fd;

	if (ptrace(PTRACE_SEIZE, server, NULL, PTRACE_O_TRACESYSGOOD) || ptrace(PTRACE_INTERRUPT, server, NULL, NULL))
		return -1;
	CHECK(waitpid(server, &status, 0) == server && WIFSTOPPED(status));
	fd = kernel_connect_to(port);
	while (at.op != PTRACE_SYSCALL_INFO_ENTRY || (at.entry.nr != SYS_accept && at.entry.nr != SYS_accept4)) {
		CHECK(!ptrace(PTRACE_SYSCALL, server, NULL, NULL));
		CHECK(waitpid(server, &status, 0) == server && WIFSTOPPED(status));
		CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, server, sizeof(at), &at) > 0);
	}
	end_by_signal(server, SIGKILL);
	return fd;
}

/* Whoever waits in the kernel's accept() after that waits, as the socket blocks. */
static void part_killed_turn(void)
{
	uint16_t port;
	int listener = listen_any(&port), fd;
	pid_t killed = child_start(serve_blocked, listener), alone;

	usleep(100000);
	fd = killed_at_accept(killed, port);
	if (fd < 0)
		end_by_signal(killed, SIGKILL);
	alone = child_start(become_alone, listener);
	for (int i = 0; i < 3; i++) {
		if (fd < 0)
			fd = kernel_connect_to(port);
		ping(fd);
		close(fd);
		fd = -1;
		usleep(50000); /* it waits */
	}
	CHECK(!waitpid(alone, NULL, WNOHANG));
	end_by_signal(alone, SIGKILL);
	close(listener);
	printf("it waits\n");
}

static void accept_interruptible(int listener)
{
	interrupt_by(SIGUSR1);
	for (int i = 0; i < 3; i++)
		ping_back(accept(listener, NULL, NULL));
}

/* A process that is stopped and goes on has no handler run, and its accept() goes on. */
static void part_stopped_waiting(void)
{
	uint16_t port;
	int listener = listen_any(&port), status;
	pid_t server = child_start(accept_interruptible, listener);

	for (int i = 0; i < 3; i++) {
		int fd;

		usleep(100000); /* it waits */
		CHECK(!kill(server, SIGSTOP) && waitpid(server, &status, WUNTRACED) == server && WIFSTOPPED(status));
		CHECK(!kill(server, SIGCONT));
		fd = kernel_connect_to(port);
		ping(fd);
		close(fd);
	}
	child_end(server);
	close(listener);
	printf("goes on\n");
}

static void serve_stopping(int fd)
{
	server_ready(fd);
	accept_one(fd);
	raise(SIGSTOP);
}

static void *accept_in_thread(void *listener)
{
	serve_blocked((int)(intptr_t)listener);
	return NULL;
}

static uint16_t stopping_port;

/* Its end takes a while, as what it has said is not taken. */
static void end_slowly(int listener)
{
	static const char much[1 << 16];
	int fd = connect_to(stopping_port);
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, accept_in_thread, (void *)(intptr_t)listener));
	while (send(fd, much, sizeof(much), MSG_DONTWAIT) > 0)
		continue;
	usleep(100000); /* the thread waits, before another process does */
	tell();
	usleep(200000);
}

/* Who comes while a process ends whose threads wait for him goes to another one. */
static void part_ends_beside(void)
{
	uint16_t port;
	pid_t stopping, ending, server;
	int listener, status;

	CHECK(!pipe(told));
	stopping_port = server_start(serve_stopping, &stopping);
	listener = listen_any(&port);
	ending = child_start(end_slowly, listener);
	be_told();
	server = child_start(serve_blocked, listener);
	usleep(500000);
	for (int i = 0; i < 3; i++) {
		int fd = kernel_connect_to(port);

		ping(fd);
		close(fd);
	}
	CHECK(waitpid(ending, &status, 0) == ending);
	end_by_signal(server, SIGKILL);
	end_by_signal(stopping, SIGKILL);
	close(told[0]);
	close(told[1]);
	close(listener);
	printf("the other one answers\n");
}

static void accept_without_room(int listener)
{
	int first = dup(listener);
	struct rlimit limit;

	CHECK(first >= 0 && !close(first) && !getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)first;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK(accept(listener, NULL, NULL) == -1 && errno == EMFILE);
	for (;;)
		pause();
}

/* Who can't accept the client that he was woken for does not keep the others from it. */
static void part_no_room(void)
{
	uint16_t port;
	int listener = listen_any(&port);
	pid_t full = child_start(accept_without_room, listener), server;

	usleep(100000); /* waits before the other one does, which it need not */
	server = child_start(serve_blocked, listener);
	usleep(100000);
	for (int i = 0; i < 3; i++) {
		int fd = kernel_connect_to(port);

		ping(fd);
		close(fd);
	}
	end_by_signal(full, SIGKILL);
	end_by_signal(server, SIGKILL);
	close(listener);
	printf("another one answers\n");
}

/* ---- who polls a set -------------------------------------------------------------------------------------------- */

enum { SET_CALM_MS = 60 }; /* longer than the helper looks */

/* The set is empty, and so the kernel's, when a thread polls it; then comes what is on channels. */
static void serve_set_joined(int say_port)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint16_t port;
	int set = epoll_create1(0), fd = listen_any(&port), conn;
	pthread_t thread;

	wait_first(fd);
	usleep(SET_CALM_MS * 1000);
	CHECK(!pthread_create(&thread, NULL, poll_set, &set));
	usleep(SET_CALM_MS * 1000);
	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
	write_all(say_port, &port, sizeof(port));
	CHECK(!pthread_join(thread, NULL));
	conn = accept_one(fd);
	ping_back(conn);
}

static void part_set_joined(void)
{
	int say_port[2], conn;
	pid_t server;
	uint16_t port;

	CHECK(!pipe(say_port));
	server = child_start(serve_set_joined, say_port[1]);
	CHECK(read_all(say_port[0], &port, sizeof(port)) == sizeof(port));
	conn = connect_to(port);
	check_path(conn);
	ping(conn);
	child_end(server);
	close(conn);
	close(say_port[0]);
	close(say_port[1]);
	printf("what comes into a set is told to who polls it\n");
}

void accept_role(const char *role)
{
	if (!strcmp(role, "caller"))
		role_caller();
	if (!strcmp(role, "accepts alone"))
		role_accepts_alone();
}

void accept_parts(const char *only)
{
	static const struct part parts[] = {
		{ "many_accepted", part_many_accepted }, { "many_blocked", part_many_blocked }, { "no_room", part_no_room },
		{ "nonblock_kept", part_nonblock_kept }, { "set_joined", part_set_joined }, { "turns_unseen", part_turns_unseen },
		{ "killed_turn", part_killed_turn },
		{ "stopped_turn", part_stopped_turn }, { "jumped_turn", part_jumped_turn }, { "stopped_waiting", part_stopped_waiting }, { "ends_beside", part_ends_beside },
		{ "two_listeners", part_two_listeners },
	};

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
