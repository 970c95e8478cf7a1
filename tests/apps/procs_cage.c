// SPDX-License-Identifier: BSD-2-Clause
/*
 * Part of `procs`: processes that put themselves under a seccomp filter, which kills who makes another system call than libc does for them; and
 * those that give up their user but keep some capabilities, or go to other namespaces
 */
#include "procs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What libc's functions of these names do, on each architecture */
static const int allowed[] = {
#ifdef SYS_poll
	SYS_poll, SYS_epoll_wait, SYS_dup2, SYS_select,
#else
	SYS_ppoll, SYS_epoll_pwait, SYS_dup3,
#endif
	SYS_pselect6, SYS_read, SYS_write, SYS_accept, SYS_recvfrom, SYS_sendto, SYS_epoll_ctl, SYS_close, SYS_execve, SYS_exit_group,
};
enum { ALLOWED = sizeof(allowed) / sizeof(allowed[0]) };

enum how { BY_PRCTL, BY_SECCOMP };

enum { SLEEPS_MS = 100, BESIDES = 5 };

static void write_no_files(void)
{
	CHECK(!setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0, 0 }));
}

static void cage(enum how how)
{
	struct sock_filter code[2 * ALLOWED + 2];
	struct sock_fprog prog = { .filter = code };

	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < ALLOWED; i++) {
		code[prog.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	write_no_files(); /* as OpenSSH's sandbox */
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT); /* libseccomp asks so what there is */
	if (how == BY_PRCTL)
		CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
	else
		CHECK(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog));
}

static bool readable(int fd, enum how how)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	fd_set set;

	if (how == BY_PRCTL)
		return poll(&pfd, 1, ANSWER_MS) == 1;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, NULL) == 1;
}

/* A socket of each kind, used on channels before, in a set that is served after */
static void serve(int go, enum how how)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from;
	socklen_t len = sizeof(a), from_len = sizeof(from);
	struct epoll_event ev = { .events = EPOLLIN }, got;
	int udp = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0), listener, fd;
	uint16_t ports[2];
	char buf[16];

	listener = listen_any(&ports[0]);
	CHECK(!bind(udp, (struct sockaddr *)&a, len) && !getsockname(udp, (struct sockaddr *)&a, &len));
	ports[1] = ntohs(a.sin_port);
	wait_first(listener);
	CHECK(recv(udp, buf, sizeof(buf), MSG_DONTWAIT) < 0);
	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) && !epoll_wait(ep, &got, 1, 0));
	cage(how);
	write_all(go, ports, sizeof(ports));
	CHECK(epoll_wait(ep, &got, 1, ANSWER_MS) == 1);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && readable(fd, how));
	ping_back(fd);
	CHECK(readable(udp, how) && recvfrom(udp, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len) == 4);
	CHECK(sendto(udp, buf, 4, 0, (struct sockaddr *)&from, from_len) == 4);
	CHECK(dup2(fd, udp) == udp && !close(fd));
	CHECK(read(udp, buf, 1) == 0);
	CHECK(execv("/nowhere", (char *[]){ "nowhere", NULL }) < 0 && errno == ENOENT);
	_exit(0);
}

static void serve_prctl(int go)
{
	serve(go, BY_PRCTL);
}

static void serve_seccomp(int go)
{
	serve(go, BY_SECCOMP);
}

static void talk_to(void (*server)(int))
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int go[2], fd, udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t ports[2];
	char buf[16];
	pid_t pid;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	pid = child_start(server, go[1]);
	close(go[1]);
	CHECK(read_all(go[0], ports, sizeof(ports)) == sizeof(ports));
	fd = connect_to(ports[0]);
	ping(fd);
	a.sin_port = htons(ports[1]);
	CHECK(sendto(udp, "pong", 4, 0, (struct sockaddr *)&a, sizeof(a)) == 4);
	CHECK(recv(udp, buf, sizeof(buf), 0) == 4 && !memcmp(buf, "pong", 4));
	close(fd);
	close(udp);
	child_end(pid);
	close(go[0]);
}

static void *waits_in_set(void *set)
{
	struct epoll_event got = { .data.u64 = 1 };

	return (void *)(intptr_t)(epoll_wait(*(int *)set, &got, 1, ANSWER_MS) == 1 && !got.data.u64);
}

/* A filter of one thread, while another one waits in a set that is on both sides: a child has the sockets, too, so it isn't in the kernel's alone. */
static void serve_beside(int go)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &code };
	struct epoll_event ev = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC), hold[2], listener;
	pthread_t thread;
	uint16_t port;
	void *right;

	listener = listen_any(&port);
	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, listener, &ev) && !pipe(hold) && !pthread_create(&thread, NULL, waits_in_set, &set));
	usleep(SLEEPS_MS * 1000); /* it sleeps by then, or is too late to see anything */
	if (fork_must() == 0) {
		close(hold[1]);
		_exit((int)read(hold[0], &port, 1));
	}
	usleep(SLEEPS_MS * 1000);
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
	write_all(go, &port, sizeof(port));
	CHECK(!pthread_join(thread, &right) && right && accept(listener, NULL, NULL) >= 0);
}

static void talk_beside(void)
{
	uint16_t port;
	int go[2], fd;
	pid_t pid;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	pid = child_start(serve_beside, go[1]);
	close(go[1]);
	CHECK(read_all(go[0], &port, sizeof(port)) == sizeof(port));
	fd = kernel_connect_to(port);
	child_end(pid);
	close(fd);
	close(go[0]);
}

static void part_filtered(void)
{
	talk_to(serve_prctl);
	talk_to(serve_seccomp);
	for (int i = 0; i < BESIDES; i++) /* it doesn't always sleep on both sides */
		talk_beside();
	printf("they serve\n");
}

static void client_of(int port)
{
	int fd = connect_to((uint16_t)port);

	check_path(fd);
	ping(fd);
	close(fd);
}

/* Who has started programs without the library, as a part before this may have, has a lease from his first accept() on. */
static int listen_leased(uint16_t *ret_port)
{
	int listener = listen_any(ret_port);

	CHECK(!fcntl(listener, F_SETFL, O_NONBLOCK) && accept(listener, NULL, NULL) < 0 && !fcntl(listener, F_SETFL, 0));
	wait_first(listener);
	return listener;
}

/* For @run, a client with @cnt connections one after another: each is answered @pings times. */
static void serve_clients(void (*run)(int port), int cnt, int pings)
{
	uint16_t port;
	int listener = listen_leased(&port);
	pid_t client = child_start(run, port);

	while (cnt--) {
		int fd = accept_one(listener);

		for (int i = 0; i < pings; i++)
			ping_back(fd);
		close(fd);
	}
	child_end(client);
	close(listener);
}

/* As sshd's: a process for a connection, which is under the filter before it has touched it */
static void part_filtered_child(void)
{
	uint16_t port;
	int listener = listen_leased(&port), fd;
	pid_t client, child;

	client = child_start(client_of, port);
	fd = accept_one(listener);
	child = fork_must();
	if (child == 0) {
		cage(BY_PRCTL);
		ping_back(fd);
		_exit(0);
	}
	close(fd);
	child_end(child);
	child_end(client);
	close(listener);
	printf("it serves\n");
}

static void *sleeps(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* This process is ended if it makes one of two system calls. */
static void ended_at(unsigned a, unsigned b)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, a, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
}

/* It has what it needs of threads, and its connection stays where it is. */
static void client_cancels(int port)
{
	int fd = connect_to((uint16_t)port);
	pthread_t thread;

	check_path(fd);
	ping(fd);
	alarm(ANSWER_MS / 1000);
	CHECK(!pthread_create(&thread, NULL, sleeps, NULL));
	ended_at(SYS_clone, SYS_clone3);
	CHECK(!pthread_cancel(thread) && !pthread_join(thread, NULL));
	ping(fd);
	close(fd);
}

static void *exits(void *arg)
{
	ended_at(SYS_gettid, SYS_getpid);
	pthread_exit(arg);
}

/* A filter for a thread that uses no connection: it makes no call that libc doesn't. */
static void client_exits(int port)
{
	int fd = connect_to((uint16_t)port);
	pthread_t thread;

	check_path(fd);
	ping(fd);
	alarm(ANSWER_MS / 1000);
	CHECK(!pthread_create(&thread, NULL, exits, NULL) && !pthread_join(thread, NULL));
	ping(fd);
	close(fd);
}

static void part_filtered_cancels(void)
{
	serve_clients(client_cancels, 1, 2);
	printf("it cancels a thread\n");
}

static void part_filtered_exits(void)
{
	serve_clients(client_exits, 1, 2);
	printf("a thread of it ends\n");
}

static bool capabilities_are(__u32 bits)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = bits, .permitted = bits } };

	return !syscall(SYS_capset, &header, data);
}

/*
 * As proftpd: another user, but some capabilities, by calls that are about one thread, and then libc's, which make all threads do the same and
 * abort the program if not all of them can.
 */
static void client_of_two_users(int port)
{
	bool is_root = !geteuid();

	client_of(port);
	if (is_root) {
		CHECK(!prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) && !setreuid(65534, 65534));
		CHECK(capabilities_are(1u << CAP_SETUID | 1u << CAP_SETGID));
		CHECK(!setresuid((uid_t)-1, 0, (uid_t)-1) && !setegid(0) && !setresuid((uid_t)-1, 65534, (uid_t)-1));
		CHECK(capabilities_are(0));
		CHECK(setuid(0) < 0 && errno == EPERM);
	}
	printf("%s\n", is_root ? "as two users" : "as one user");
	printf("namespaces of its own: %s\n", unshare(CLONE_NEWUSER) ? strerror(errno) : "yes");
	fflush(stdout);
}

static void part_two_users(void)
{
	serve_clients(client_of_two_users, 1, 1);
}

/*
 * As vsftpd: a child that libc does not know of, which it takes to have its parent's threads, and libc's calls for all of them. A list of threads in
 * which one is twice has no end.
 */
static void client_and_clone(int port)
{
	pid_t pid;

	client_of(port);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	CHECK(pid >= 0);
	if (pid == 0) {
		client_of(port);
		alarm(ANSWER_MS / 1000);
		CHECK(!setgid(getgid()));
		_exit(0);
	}
	child_end(pid);
}

static void part_cloned(void)
{
	serve_clients(client_and_clone, 2, 1);
	printf("both are served\n");
}

static int both[2];

static void ping_both(int unused)
{
	(void)unused;
	for (int i = 0; i < 2; i++)
		ping(both[i]);
}

/* Connections that are used, then by a child, and then here again. @confine: before the child is made */
static void client_and_child(int port, void (*confine)(void))
{
	for (int i = 0; i < 2; i++) {
		both[i] = connect_to((uint16_t)port);
		check_path(both[i]);
	}
	ping_both(0);
	confine();
	alarm(ANSWER_MS / 1000);
	child_end(child_start(ping_both, 0));
	ping_both(0);
}

static void leave_pids(void)
{
	CHECK(!unshare(CLONE_NEWPID) || errno == EPERM);
}

static void leave_pids_and_users(void)
{
	CHECK(!unshare(CLONE_NEWPID | CLONE_NEWUSER) || errno == EPERM || errno == ENOSPC);
}

static void leave_pids_then_mounts(void)
{
	leave_pids();
	CHECK(!unshare(CLONE_NEWNS) || errno == EPERM);
}

static void client_of_other_pids_and_mounts(int port)
{
	client_and_child(port, leave_pids_then_mounts);
}

static void client_of_other_pids(int port)
{
	client_and_child(port, leave_pids);
}

static void client_of_other_pids_and_users(int port)
{
	client_and_child(port, leave_pids_and_users);
}

static void client_without_files(int port)
{
	client_and_child(port, write_no_files);
}

enum { COPIES = 4 };

static void serve_rounds(int listener, uint16_t port, void (*run)(int), int rounds)
{
	pid_t client = child_start(run, port);
	int fds[2];

	for (int i = 0; i < 2; i++)
		fds[i] = accept_one(listener);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < 2; i++)
			ping_back(fds[i]);
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	child_end(client);
}

/* As container starters: a child with another process number, and a parent that does nothing but wait for it */
static void part_pids(void)
{
	uint16_t port;
	int listener = listen_leased(&port);

	serve_rounds(listener, port, client_of_other_pids, 3);
	serve_rounds(listener, port, client_of_other_pids_and_users, 3);
	serve_rounds(listener, port, client_of_other_pids_and_mounts, 3);
	close(listener);
	printf("a child with another number uses them\n");
}

static void part_no_files(void)
{
	uint16_t port;
	int listener = listen_leased(&port);

	serve_rounds(listener, port, client_without_files, 3);
	close(listener);
	printf("a child of who may write no files uses them\n");
}

/* ---- copies of the process that libc's fork() doesn't make: each uses the connection and ends, and then its parent uses it */

static pid_t copy_by_fork_call(void)
{
	return _Fork();
}

static pid_t copy_by_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t copy_by_number(void)
{
#ifdef SYS_fork
	return (pid_t)syscall(SYS_fork);
#else
	return _Fork();
#endif
}

static int run_copy(void *arg)
{
	ping_both(0);
	return *(int *)arg;
}

static pid_t copy_with_stack(void)
{
	static _Alignas(16) char stack[256 * 1024];

	return clone(run_copy, stack + sizeof(stack), SIGCHLD, &(int){ 0 });
}

static void client_of_copies(int port)
{
	static pid_t (*const copies[])(void) = { copy_by_clone3, copy_by_fork_call, copy_by_number, copy_with_stack };

	for (int i = 0; i < 2; i++) {
		both[i] = connect_to((uint16_t)port);
		check_path(both[i]);
	}
	for (unsigned i = 0; i < COPIES; i++) {
		pid_t pid = copies[i]();

		CHECK(pid >= 0);
		if (pid == 0) {
			ping_both(0);
			_exit(0);
		}
		child_end(pid);
		ping_both(0);
	}
}

static void part_copies(void)
{
	uint16_t port;
	int listener = listen_leased(&port);

	serve_rounds(listener, port, client_of_copies, 2 * COPIES);
	close(listener);
	printf("copies of every make use them\n");
}

static int ping_and_return(void *arg)
{
	ping(*(int *)arg);
	return chroot("/proc/self/fdinfo") && errno != EPERM;
}

static void client_of_shut_in(int port)
{
	static _Alignas(16) char stack[256 * 1024];
	int fd = connect_to((uint16_t)port);
	pid_t pid;

	check_path(fd);
	pid = clone(ping_and_return, stack + sizeof(stack), SIGCHLD, &fd);
	CHECK(pid > 0);
	alarm(ANSWER_MS / 1000);
	child_end(pid);
	close(fd);
}

/* It ends, though it can't see any more how many threads it has. */
static void part_shut_in(void)
{
	uint16_t port;
	int listener = listen_leased(&port), fd;
	pid_t client = child_start(client_of_shut_in, port);

	fd = accept_one(listener);
	ping_back(fd);
	child_end(client);
	close(fd);
	close(listener);
	printf("it ends\n");
}

/* ---- a handler copies the process, in the middle of what the program does with its memory */

enum { HANDLED = 20 };
static volatile sig_atomic_t handled;

static void copy_in_handler(int sig)
{
	pid_t pid = _Fork();
	int status;

	(void)sig;
	if (pid == 0)
		_exit(0);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		handled = 1;
}

static void client_of_handler(int port)
{
	CHECK(signal(SIGALRM, copy_in_handler) != SIG_ERR);
	for (int i = 0; i < HANDLED; i++) {
		int fd = connect_to((uint16_t)port);

		check_path(fd);
		handled = 0;
		ualarm(1000, 0);
		while (!handled) {
			void *p[8];

			for (int k = 0; k < 8; k++)
				p[k] = malloc(5000 + 1000 * (size_t)k);
			for (int k = 0; k < 8; k++)
				free(p[k]);
		}
		ping(fd);
		close(fd);
	}
}

static void part_copy_in_handler(void)
{
	serve_clients(client_of_handler, HANDLED, 1);
	printf("it is copied\n");
}

/* Return: the error of a connection to @port; 0: there is one. */
static int try(int fd, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int err = connect(fd, (struct sockaddr *)&a, sizeof(a)) ? errno : 0;

	close(fd);
	return err;
}

static void send_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	printf("a datagram: %s\n", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? strerror(errno) : "sent");
	close(fd);
}

/* Sockets of the namespace that it has left go on, and can be connected there. */
static void client_abroad(int port)
{
	int home = open("/proc/self/ns/net", O_RDONLY), before = connect_to((uint16_t)port), unused = socket(AF_INET, SOCK_STREAM, 0);

	check_path(before);
	ping(before);
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET))
		printf("no other namespace: %s\n", strerror(errno));
	else
		printf("abroad: %s\n", strerror(try(socket(AF_INET, SOCK_STREAM, 0), port)));
	send_to(port);
	ping(before);
	CHECK(!try(unused, port));
	if (!geteuid()) {
		CHECK(!setns(home, 0));
		client_of(port);
	}
}

static void part_networks(void)
{
	uint16_t port;
	int listener = listen_leased(&port), fd;
	pid_t client = child_start(client_abroad, port);

	fd = accept_one(listener);
	ping_back(fd);
	ping_back(fd);
	close(accept_one(listener));
	close(fd);
	if (!geteuid()) { /* nobody else comes back */
		fd = accept_one(listener);
		ping_back(fd);
		close(fd);
	}
	child_end(client);
	close(listener);
}

void cage_parts(const char *only)
{
	static const struct part parts[] = { { "filtered", part_filtered }, { "filtered_child", part_filtered_child },
					     { "filtered_cancels", part_filtered_cancels },
					     { "filtered_exits", part_filtered_exits },
					     { "two_users", part_two_users },
					     { "cloned", part_cloned },
					     { "pids", part_pids }, { "no_files", part_no_files },
					     { "copies", part_copies }, { "copy_in_handler", part_copy_in_handler },
					     { "shut_in", part_shut_in },
					     { "networks", part_networks } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
