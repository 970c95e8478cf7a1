// SPDX-License-Identifier: BSD-2-Clause
/*
 * procs_called.c - connections that begin before whoever accepts them has looked, and the process that would have ends
 *
 * On the kernel a client has a connection when there is a place in the backlog, and what he says waits there for whichever process accepts it.
 */
#include "kernel_conn.h"
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUESTION_BYTES = 3000, CLIENTS_MAX = 64 };

static struct {
	int listener;
	uint16_t port;
	pid_t first; /* accepts before all others */
	pid_t second; /* from told() on */
	int tell[2];
	uint8_t question[QUESTION_BYTES];
} called;

/* Questions until their end; the answer is who answers, and what was asked. */
static void answer_one(int fd, uint8_t who)
{
	uint8_t bytes[2 * QUESTION_BYTES];
	size_t len = read_all(fd, bytes, sizeof(bytes));

	/* who asked may be gone */
	if (send(fd, &who, 1, MSG_NOSIGNAL) == 1)
		(void)send(fd, bytes, len, MSG_NOSIGNAL);
	close(fd);
}

static void answer_all(int who)
{
	if (who == 2)
		CHECK(read(called.tell[0], &(uint8_t){ 0 }, 1) == 1);
	for (;;) {
		int fd = accept(called.listener, NULL, NULL); /* on either path */

		CHECK(fd >= 0);
		answer_one(fd, (uint8_t)who);
	}
}

/* Return: whose answer to the question it is */
static uint8_t answered(int fd)
{
	uint8_t bytes[1 + 2 * QUESTION_BYTES];
	size_t len = read_all(fd, bytes, sizeof(bytes));

	CHECK(len == 1 + QUESTION_BYTES);
	CHECK(!memcmp(bytes + 1, called.question, QUESTION_BYTES));
	close(fd);
	return bytes[0];
}

static void ask(int fd)
{
	write_all(fd, called.question, QUESTION_BYTES);
	CHECK(!shutdown(fd, SHUT_WR));
}

static void stop(pid_t pid)
{
	CHECK(!kill(pid, SIGSTOP));
	CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
}

/* A server that has answered a client on the path in question, and stands still from then on */
static void first_stops(void)
{
	uint64_t until_ms = now_ms() + ANSWER_MS;
	bool on_path;

	for (size_t i = 0; i < QUESTION_BYTES; i++)
		called.question[i] = (uint8_t)(i * 7 + i / 256);
	called.listener = listen_any(&called.port);
	CHECK(!pipe(called.tell));
	called.second = child_start(answer_all, 2);
	called.first = child_start(answer_all, 1);
	do {
		int fd = connect_to(called.port);

		on_path = kernel_has_conn(fd) == wants_kernel();
		ask(fd);
		CHECK(answered(fd) == 1);
		CHECK(now_ms() < until_ms);
	} while (!on_path);
	stop(called.first);
}

/* It isn't there any more, but another process with the same listening socket, which begins to accept now. */
static void first_ends(void)
{
	write_all(called.tell[1], "", 1);
	end_by_signal(called.first, SIGKILL);
}

static void over(void)
{
	end_by_signal(called.second, SIGKILL);
	close(called.tell[0]);
	close(called.tell[1]);
	close(called.listener);
}

/* What is set after connect(), which is to be so wherever the connection is then */
enum { KEEPIDLE_S = 77 };

static int connect_and_set(void)
{
	int fd = connect_to(called.port);

	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ KEEPIDLE_S }, sizeof(int)));
	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)));
	return fd;
}

static void check_set(int fd)
{
	int idle = 0, nodelay = 0;
	socklen_t len = sizeof(int);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len) && idle == KEEPIDLE_S);
	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len) && nodelay == 1);
}

/* Another has what was said, from the first byte to the end. */
static void killed(bool blocks)
{
	int fds[3];

	first_stops();
	for (int i = 0; i < 3; i++) {
		fds[i] = connect_and_set();
		if (!blocks)
			CHECK(!fcntl(fds[i], F_SETFL, O_NONBLOCK));
		ask(fds[i]);
	}
	first_ends();
	for (int i = 0; i < 3; i++) {
		struct pollfd pfd = { .fd = fds[i], .events = POLLIN };

		if (!blocks) {
			CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents & POLLIN);
			CHECK(!fcntl(fds[i], F_SETFL, 0));
			check_set(fds[i]);
		}
		CHECK(answered(fds[i]) == 2);
	}
	over();
}

/* From here on the other process answers, too, by the path in question: some of those who come wait for the first, who stands still. */
static void second_answers(void)
{
	int fds[CLIENTS_MAX], cnt = 0;
	struct pollfd pfd = { .events = POLLIN };
	bool on_path;

	write_all(called.tell[1], "", 1);
	do {
		CHECK(cnt < CLIENTS_MAX);
		pfd.fd = fds[cnt++] = connect_to(called.port);
		on_path = kernel_has_conn(pfd.fd) == wants_kernel();
		ask(pfd.fd);
	} while (!poll(&pfd, 1, ANSWER_MS / CLIENTS_MAX / 2) || !on_path);
	while (cnt > 0)
		close(fds[--cnt]);
}

static int copy_go[2];

static void reads_answer(int fd)
{
	CHECK(read(copy_go[0], &(uint8_t){ 0 }, 1) == 1);
	CHECK(answered(fd) == 2);
}

/* A copy of it, in another process, is one of what goes on with another server, too. @on_path: that answers there already */
static void killed_copied(bool on_path, bool closed)
{
	struct pollfd pfd = { .events = POLLIN };
	pid_t reader;

	first_stops();
	pfd.fd = connect_to(called.port);
	CHECK(!pipe(copy_go));
	reader = child_start(reads_answer, pfd.fd);
	ask(pfd.fd);
	if (on_path)
		second_answers();
	if (closed)
		close(pfd.fd);
	first_ends();
	CHECK(closed || poll(&pfd, 1, ANSWER_MS) == 1);
	write_all(copy_go[1], "", 1);
	child_end(reader);
	close(copy_go[0]);
	close(copy_go[1]);
	if (!closed)
		close(pfd.fd);
	over();
}

static void part_killed_copied(void)
{
	killed_copied(true, false);
	killed_copied(false, false);
	killed_copied(false, true);
	printf("others answer a copy\n");
}

static void part_killed(void)
{
	killed(true);
	killed(false);
	use_ipv6(true);
	killed(true);
	use_ipv6(false);
	printf("others answer\n");
}

static in_port_t own_port(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	CHECK(!getsockname(fd, (struct sockaddr *)&name, &len));
	return name.sin_port;
}

/* Nobody of those that are left is on channels, or knows of them. */
static void part_killed_kernel(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd, set = epoll_create1(0);
	in_port_t port;

	first_stops();
	fd = connect_and_set();
	port = own_port(fd);
	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
	write_all(fd, called.question, 100);
	end_by_signal(called.first, SIGKILL);
	CHECK(epoll_wait(set, &ev, 1, 100) == 0); /* it goes on */
	CHECK(own_port(fd) == port);
	write_all(fd, called.question + 100, QUESTION_BYTES - 100);
	CHECK(!shutdown(fd, SHUT_WR));
	write_all(called.tell[1], "", 1);
	CHECK(epoll_wait(set, &ev, 1, ANSWER_MS) == 1);
	check_set(fd);
	CHECK(answered(fd) == 2);
	close(set);
	over();
	printf("the kernel keeps it\n");
}

/* Nobody listens at all */
static void part_killed_last(void)
{
	uint8_t byte;
	int fd;

	first_stops();
	fd = connect_to(called.port);
	write_all(fd, called.question, 10);
	over();
	end_by_signal(called.first, SIGKILL);
	CHECK(read(fd, &byte, 1) == -1 && errno == ECONNRESET);
	CHECK(read(fd, &byte, 1) == 0);
	close(fd);
	printf("it is reset\n");
}

static bool kernel_connects_to(uint16_t port)
{
	FILE *tcp = fopen("/proc/net/tcp", "r");
	unsigned to, state;
	bool found = false;
	char line[512];

	CHECK(tcp);
	while (fgets(line, sizeof(line), tcp))
		found |= sscanf(line, "%*d: %*x:%*x %*x:%x %x", &to, &state) == 2 && to == port && state == TCP_SYN_SENT;
	fclose(tcp);
	return found;
}

/* The kernel, which would have it then, has no room for it: nobody answers later what the program is told was lost. On the kernel it has its room already. */
static void part_killed_full(void)
{
	int fd, filler;

	if (!wants_kernel()) {
		first_stops();
		fd = connect_to(called.port);
		write_all(fd, called.question, 10);
		CHECK(!listen(called.listener, 0));
		filler = kernel_connect_to(called.port);
		end_by_signal(called.first, SIGKILL);
		CHECK(read(fd, &(uint8_t){ 0 }, 1) == -1 && errno == ECONNRESET);
		CHECK(!kernel_connects_to(called.port));
		close(filler);
		close(fd);
		over();
	}
	printf("nobody hears of it\n");
}

/* Nobody listens: connect() says so, whenever that was. */
static void part_refused(void)
{
	for (int i = 0; i < 20; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		first_stops();
		over();
		end_by_signal(called.first, SIGKILL);
		a.sin_port = htons(called.port);
		CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 && errno == ECONNREFUSED);
		close(fd);
	}
	printf("it is refused\n");
}

/* Who goes on has what was said while he stood still, and its end, even of clients that are there no more. */
static void part_stopped(void)
{
	int fd, other;

	first_stops();
	other = connect_to(called.port);
	ask(other);
	close(other);
	fd = connect_to(called.port);
	ask(fd);
	CHECK(!kill(called.first, SIGCONT));
	CHECK(answered(fd) == 1);
	end_by_signal(called.first, SIGKILL);
	over();
	printf("answered later\n");
}

/* A program that has connected by the kernel many times, and has kept vjd's board open for that, sees who comes to channels then. */
static void part_kept_board(void)
{
	uint64_t until_ms = now_ms() + ANSWER_MS;
	uint16_t kernels_port, port;
	int kernels = listen_any(&kernels_port), listener;
	bool on_path;
	pid_t server;

	for (int i = 0; i < 60; i++) {
		int fd = connect_to(kernels_port);

		CHECK(kernel_has_conn(fd)); /* nobody waits there */
		close(fd);
	}
	listener = listen_any(&port);
	called.listener = listener;
	server = child_start(answer_all, 1);
	do {
		int fd = connect_to(port);

		on_path = kernel_has_conn(fd) == wants_kernel();
		close(fd);
		CHECK(now_ms() < until_ms);
	} while (!on_path);
	end_by_signal(server, SIGKILL);
	close(listener);
	close(kernels);
	printf("seen\n");
}

enum { MANY = 1000 };

/* Nobody has the port, on channels or not: what that takes is counted from outside. */
static void part_many_kernel(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int taken = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(taken, (struct sockaddr *)&a, sizeof(a)) && !getsockname(taken, (struct sockaddr *)&a, &len));
	for (int i = 0; i < MANY; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 && errno == ECONNREFUSED && !close(fd));
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) == 1 && !close(fd));
	}
	close(taken);
	printf("%d times\n", MANY);
}

/* ---- clients that wait for accept(), and whoever would have accepted them -------------------------------------------- */

/* Says when a client waits, and does something else until it is told to accept. */
static void sees_one(int tell)
{
	struct pollfd pfd = { .fd = called.listener, .events = POLLIN };

	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
	write_all(tell, "", 1);
	CHECK(read(called.tell[0], &(uint8_t){ 0 }, 1) == 1);
	answer_all(1);
}

static int connect_soon(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(called.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0 && (!connect(fd, (struct sockaddr *)&to, sizeof(to)) || errno == EINPROGRESS));
	return fd;
}

/* Clients that wait were handed to a process that stands still, and is killed: they come back to the one that they had come to. */
static void part_offered(void)
{
	int fds[CLIENTS_MAX], seen[2], cnt = 0;
	struct pollfd pfd;

	first_stops(); /* who is in the second process' place here */
	end_by_signal(called.second, SIGKILL);
	CHECK(!pipe(seen));
	pfd = (struct pollfd){ .fd = seen[0], .events = POLLIN };
	called.second = child_start(sees_one, seen[1]);
	do {
		CHECK(cnt < CLIENTS_MAX);
		fds[cnt++] = connect_soon();
	} while (!poll(&pfd, 1, ANSWER_MS / CLIENTS_MAX / 2));
	CHECK(poll(NULL, 0, 300) == 0); /* handed over by now, where they are */
	end_by_signal(called.first, SIGKILL);
	write_all(called.tell[1], "", 1);
	for (int i = 0; i < cnt; i++) {
		pfd = (struct pollfd){ .fd = fds[i], .events = POLLOUT };
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && !fcntl(fds[i], F_SETFL, 0));
		ask(fds[i]); /* all before the first answer: they may be accepted in another order */
	}
	for (int i = 0; i < cnt; i++)
		CHECK(answered(fds[i]) == 1);
	close(seen[0]);
	close(seen[1]);
	over();
	printf("they are served\n");
}

static void alarm_soon(void)
{
	CHECK(!setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { .tv_usec = 300000 } }, NULL));
}

static void ends_at_first(int unused)
{
	struct pollfd pfd = { .fd = called.listener, .events = POLLIN };

	(void)unused;
	CHECK(!atexit(alarm_soon)); /* ends who takes long to exit */
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
}

/* The only process that accepts ends while a client waits, and the next is started when it has ended: that one has him. */
static void part_respawned(void)
{
	uint64_t fastest_ms = UINT64_MAX;

	for (int i = 0; i < 3; i++) {
		uint64_t begun_ms;
		pid_t pid;
		int fd;

		first_stops();
		end_by_signal(called.second, SIGKILL);
		end_by_signal(called.first, SIGKILL);
		pid = child_start(ends_at_first, 0);
		usleep(100000); /* to have come as far as to wait, which it need not */
		fd = connect_to(called.port);
		ask(fd);
		begun_ms = now_ms();
		child_end(pid);
		if (now_ms() - begun_ms < fastest_ms)
			fastest_ms = now_ms() - begun_ms;
		called.second = child_start(answer_all, 1);
		CHECK(answered(fd) == 1);
		over();
	}
	CHECK(fastest_ms < 1000); /* it waits for nobody */
	printf("he is served\n");
}

/* Whoever had them in its queue, and didn't accept them, is killed. What they have said by then, and say later, another hears. */
/* Return: did they come to one that waited? Not if none has come as far as that in @begin_ms, on a busy machine */
static bool queue_killed_by(int waiters, unsigned begin_ms)
{
	pid_t waiting[2];
	int fds[8], seen[2];
	bool on_path = false;

	first_stops();
	end_by_signal(called.first, SIGKILL);
	CHECK(!pipe(seen));
	for (int i = 0; i < waiters; i++)
		waiting[i] = child_start(sees_one, seen[1]);
	usleep(begin_ms * 1000);
	for (int i = 0; i < 8; i++) {
		fds[i] = connect_to(called.port);
		on_path |= kernel_has_conn(fds[i]) == wants_kernel();
		if (i % 2)
			ask(fds[i]);
	}
	CHECK(read(seen[0], &(uint8_t){ 0 }, 1) == 1);
	if (waiters > 1)
		usleep(200000); /* they hand them to each other */
	for (int i = 0; i < waiters; i++)
		end_by_signal(waiting[i], SIGKILL);
	write_all(called.tell[1], "", 1);
	for (int i = 0; i < 8; i += 2)
		ask(fds[i]);
	for (int i = 0; i < 8; i++)
		CHECK(answered(fds[i]) == 2);
	close(seen[0]);
	close(seen[1]);
	over();
	return on_path;
}

static void queue_killed(int waiters)
{
	for (unsigned begin_ms = 100; !queue_killed_by(waiters, begin_ms); begin_ms *= 2)
		CHECK(begin_ms < ANSWER_MS);
}

static void part_queue_killed(void)
{
	for (int i = 0; i < 5; i++)
		queue_killed(1);
	use_ipv6(true);
	queue_killed(1);
	use_ipv6(false);
	queue_killed(2);
	printf("another answers them\n");
}

static void hears_all(int tell)
{
	uint8_t bytes[QUESTION_BYTES + 1];

	CHECK(read(called.tell[0], bytes, 1) == 1);
	for (;;) {
		int fd = accept(called.listener, NULL, NULL);

		CHECK(fd >= 0 && read_all(fd, bytes, sizeof(bytes)) == QUESTION_BYTES && !memcmp(bytes, called.question, QUESTION_BYTES));
		close(fd);
		write_all(tell, "", 1);
	}
}

static void all_are_heard(int heard, int cnt)
{
	struct pollfd pfd = { .fd = heard, .events = POLLIN };

	for (int i = 0; i < cnt; i++)
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && read(heard, &(uint8_t){ 0 }, 1) == 1);
	CHECK(poll(&pfd, 1, 100) == 0); /* once */
}

/* Clients that have said all and closed; nobody had accepted them by then. */
static void part_closed(void)
{
	int heard[2];

	first_stops();
	end_by_signal(called.second, SIGKILL);
	CHECK(!pipe(heard));
	called.second = child_start(hears_all, heard[1]);
	for (int i = 0; i < 20; i++) {
		int fd = connect_to(called.port);

		write_all(fd, called.question, QUESTION_BYTES);
		if (i % 2)
			CHECK(!shutdown(fd, SHUT_WR));
		close(fd);
	}
	first_ends();
	all_are_heard(heard[0], 20);
	close(heard[0]);
	close(heard[1]);
	over();
	printf("they are heard\n");
}

/* ---- several processes accept, and one of them is stopped -------------------------------------------------------------- */

enum { SHARERS = 4, NUMBERS_MAX = 4096, CALLERS = 24 };

static struct {
	int listener;
	uint16_t port;
	pid_t pids[SHARERS];
	struct {
		_Atomic uint32_t heard[NUMBERS_MAX]; /* by how many programs */
		_Atomic uint32_t next;
	} *seen;
} shared;

/* A question is a number. */
static void shares(int who)
{
	for (;;) {
		int fd = accept(shared.listener, NULL, NULL);
		uint32_t number;

		CHECK(fd >= 0);
		if (read_all(fd, &number, sizeof(number)) == sizeof(number)) {
			shared.seen->heard[number]++;
			(void)send(fd, &(uint8_t){ (uint8_t)who }, 1, MSG_NOSIGNAL);
		}
		close(fd);
	}
}

static int shared_ask(void)
{
	int fd = connect_to(shared.port);
	uint32_t number = shared.seen->next++;

	CHECK(number < NUMBERS_MAX);
	write_all(fd, &number, sizeof(number));
	return fd;
}

static int shared_answer(int fd)
{
	uint8_t who = SHARERS;

	CHECK(read(fd, &who, 1) == 1 && who < SHARERS);
	close(fd);
	return who;
}

/* All of them serve on the path in question, until that one has. */
static void all_serve(int who)
{
	uint64_t until_ms = now_ms() + ANSWER_MS;
	unsigned on_path = 0, wanted = who < 0 ? (1u << SHARERS) - 1 : 1u << who;

	while ((on_path & wanted) != wanted) {
		int fds[SHARERS];

		for (int i = 0; i < SHARERS; i++)
			fds[i] = shared_ask(); /* so that not always the same one is free */
		for (int i = 0; i < SHARERS; i++) {
			bool is = kernel_has_conn(fds[i]) == wants_kernel();

			on_path |= (unsigned)is << shared_answer(fds[i]);
		}
		CHECK(now_ms() < until_ms);
		usleep(5000);
	}
}

static void shared_begin(void)
{
	shared.seen = mmap(NULL, sizeof(*shared.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared.seen != MAP_FAILED);
	shared.seen->next = 1;
	shared.listener = listen_any(&shared.port);
	for (int i = 0; i < SHARERS; i++)
		shared.pids[i] = child_start(shares, i);
	all_serve(-1);
}

static void shared_end(void)
{
	for (int i = 0; i < SHARERS; i++)
		end_by_signal(shared.pids[i], SIGKILL);
	for (uint32_t i = 1; i < shared.seen->next; i++)
		CHECK(shared.seen->heard[i] == 1);
	close(shared.listener);
	munmap(shared.seen, sizeof(*shared.seen));
}

/* Like any that hasn't called before */
static void asks_anew(int who)
{
	for (int i = 0; i < 3; i++) {
		int fd = connect_to(shared.port);
		uint32_t number = NUMBERS_MAX - 1;

		write_all(fd, &number, sizeof(number));
		CHECK(shared_answer(fd) != who);
	}
}

static void callers_are_served(int fds[CALLERS], int stopped)
{
	for (int i = 0; i < CALLERS; i++) {
		struct pollfd pfd = { .fd = fds[i], .events = POLLIN };

		CHECK(i % 2 || poll(&pfd, 1, ANSWER_MS) == 1);
		CHECK(shared_answer(fds[i]) != stopped);
	}
}

/* Who calls one that is stopped, or comes for the first time, is served by the others. It goes on as if nothing had been. */
static void one_stopped(void)
{
	int fds[CALLERS];

	shared_begin();
	usleep(1200000); /* it has promised nothing any more */
	stop(shared.pids[1]);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < CALLERS; i++)
			fds[i] = shared_ask();
		callers_are_served(fds, 1);
	}
	for (int i = 0; i < SHARERS; i++)
		child_end(child_start(asks_anew, 1));
	CHECK(!kill(shared.pids[1], SIGCONT));
	all_serve(1);
	shared_end();
}

/* Nobody runs: all wait, and are heard once. */
static void all_stopped(void)
{
	int fds[CALLERS];

	shared_begin();
	for (int i = 0; i < SHARERS; i++)
		stop(shared.pids[i]);
	for (int i = 0; i < CALLERS; i++)
		fds[i] = shared_ask();
	usleep(700000);
	for (int i = 0; i < CALLERS; i++)
		CHECK(poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN }, 1, 0) == 0);
	for (int i = 0; i < SHARERS; i++)
		CHECK(!kill(shared.pids[i], SIGCONT));
	for (int i = 0; i < CALLERS; i++)
		shared_answer(fds[i]);
	all_serve(-1);
	shared_end();
}

static void part_queue_stopped(void)
{
	one_stopped();
	all_stopped();
	use_ipv6(true);
	one_stopped();
	use_ipv6(false);
	printf("others serve them\n");
}

enum { MUCH_BYTES = 600000 };

static void reads_much(int unused)
{
	static uint8_t bytes[MUCH_BYTES + 1];
	int fd;

	(void)unused;
	CHECK(read(called.tell[0], &(uint8_t){ 0 }, 1) == 1);
	fd = accept(called.listener, NULL, NULL);
	CHECK(fd >= 0 && read_all(fd, bytes, sizeof(bytes)) == MUCH_BYTES);
	for (size_t i = 0; i < MUCH_BYTES; i++)
		CHECK(bytes[i] == called.question[i % QUESTION_BYTES]);
	write_all(fd, "", 1);
	close(fd);
}

static void much(bool killed)
{
	uint8_t byte;
	int fd, seen[2];
	pid_t waiting, reader;

	first_stops();
	end_by_signal(called.first, SIGKILL);
	end_by_signal(called.second, SIGKILL);
	CHECK(!pipe(seen));
	called.second = child_start(sees_one, seen[1]);
	waiting = called.second;
	usleep(100000);
	reader = killed ? child_start(reads_much, 0) : -1;
	fd = connect_to(called.port);
	for (size_t i = 0; i < MUCH_BYTES; i += QUESTION_BYTES)
		write_all(fd, called.question, QUESTION_BYTES);
	CHECK(!shutdown(fd, SHUT_WR));
	CHECK(read(seen[0], &byte, 1) == 1);
	if (killed) {
		end_by_signal(waiting, SIGKILL);
		write_all(called.tell[1], "", 1);
		CHECK(read(fd, &byte, 1) == 1 && byte == 0);
		child_end(reader);
		called.second = child_start(answer_all, 2);
	} else {
		write_all(called.tell[1], "", 1);
		CHECK(read(fd, &byte, 1) == 1 && byte == 1);
	}
	close(fd);
	close(seen[0]);
	close(seen[1]);
	over();
}

/* As much as the kernel takes from who is not accepted yet, nobody waits for that, and it is not lost either. */
static void part_said_much(void)
{
	much(false);
	much(true);
	printf("all of it is heard\n");
}

/* A copy of it, used by another process before it is accepted, and what becomes of that */
static void writes_more(int fd)
{
	write_all(fd, called.question + 1000, QUESTION_BYTES - 1000);
	CHECK(!shutdown(fd, SHUT_WR));
	CHECK(answered(fd) == 1);
}

static void part_queue_copied(void)
{
	int fd, seen[2];
	pid_t writer;

	first_stops();
	end_by_signal(called.first, SIGKILL);
	end_by_signal(called.second, SIGKILL);
	CHECK(!pipe(seen));
	called.second = child_start(sees_one, seen[1]);
	usleep(100000);
	fd = connect_to(called.port);
	CHECK(kernel_has_conn(fd) == wants_kernel());
	write_all(fd, called.question, 1000);
	writer = child_start(writes_more, fd);
	close(fd);
	CHECK(read(seen[0], &(uint8_t){ 0 }, 1) == 1);
	usleep(100000);
	write_all(called.tell[1], "", 1);
	child_end(writer);
	close(seen[0]);
	close(seen[1]);
	over();
	printf("its copy goes on\n");
}

enum { FILLED = 32 };

/* Connections, and one more that has said something; and then it stands still. */
static void stands_still(int port)
{
	uint8_t byte;
	int last;

	for (int i = 0; i < FILLED; i++)
		CHECK(connect_to((uint16_t)port) >= 0);
	last = connect_to((uint16_t)port);
	write_all(last, "hello", 5);
	CHECK(!raise(SIGSTOP));
	CHECK(read(last, &byte, 1) == 1);
}

/* There is nowhere to put what the client that stands still is told: FIONREAD counts what recv() gives, and later that is all he has said. */
static void part_counted(void)
{
	static const uint8_t much[65536];
	int listener = listen_any(&called.port), fds[FILLED], last, counted = 0;
	uint64_t until_ms = now_ms() + ANSWER_MS;
	uint8_t bytes[8];
	pid_t client;

	wait_first(listener);
	client = child_start(stands_still, called.port);
	for (int i = 0; i < FILLED; i++)
		fds[i] = accept_one(listener);
	CHECK(waitpid(client, NULL, WUNTRACED) == client);
	for (int i = 0; i < FILLED; i++)
		while (send(fds[i], much, sizeof(much), MSG_DONTWAIT) > 0)
			;
	last = accept_one(listener);
	CHECK(!ioctl(last, FIONREAD, &counted));
	CHECK(recv(last, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK) == (counted ? counted : -1));
	CHECK(!kill(client, SIGCONT));
	for (; counted < 5; CHECK(!ioctl(last, FIONREAD, &counted)))
		CHECK(now_ms() < until_ms);
	CHECK(recv(last, bytes, sizeof(bytes), MSG_DONTWAIT) == 5 && !memcmp(bytes, "hello", 5));
	write_all(last, "!", 1);
	child_end(client);
	for (int i = 0; i < FILLED; i++)
		close(fds[i]);
	close(last);
	close(listener);
	printf("as many as it gives\n");
}

/* ---- programs that end after a few connections ------------------------------------------------------------------ */

enum { FEW_CONNS = 3 };

static void serve_in_turn(int fd)
{
	server_ready(fd);
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		CHECK(conn >= 0);
		echo(conn);
	}
}

static uint16_t few_port;

static void ask_few(int tell)
{
	uint8_t kernel = 0;

	for (int i = 0; i < FEW_CONNS; i++)
		kernel += ask_once(few_port);
	write_all(tell, &kernel, 1);
}

/* Return: how many of a client's the kernel had */
static uint8_t few_ask(void)
{
	uint8_t kernel;
	int tell[2];
	pid_t pid;

	CHECK(!pipe(tell));
	pid = child_start(ask_few, tell[1]);
	close(tell[1]);
	CHECK(read_all(tell[0], &kernel, 1) == 1);
	close(tell[0]);
	child_end(pid);
	return kernel;
}

/* A context doesn't pay for them. How long one takes is the machine's affair: it is tried until several were brief enough. */
static void part_few(void)
{
	uint64_t end_ms = now_ms() + ANSWER_MS;
	pid_t server;

	few_port = server_start(serve_in_turn, &server);
	while (few_ask() < FEW_CONNS)
		CHECK(now_ms() < end_ms);
	end_by_signal(server, SIGTERM);
	printf("the kernel's\n");
}

void called_parts(const char *only)
{
	static const struct part parts[] = {
		{ "called_killed", part_killed },
		{ "called_killed_copied", part_killed_copied },
		{ "called_killed_kernel", part_killed_kernel },
		{ "called_killed_last", part_killed_last },
		{ "called_killed_full", part_killed_full },
		{ "called_refused", part_refused },
		{ "called_stopped", part_stopped },
		{ "offered", part_offered },
		{ "respawned", part_respawned },
		{ "called_closed", part_closed },
		{ "queue_killed", part_queue_killed },
		{ "queue_copied", part_queue_copied },
		{ "queue_stopped", part_queue_stopped },
		{ "said_much", part_said_much },
		{ "kept_board", part_kept_board },
		{ "few", part_few },
		{ "counted", part_counted },
		{ "many_kernel", part_many_kernel },
	};

	if (only) /* by name: where all has to be on channels (VJ_STRICT) nobody else may take a connection */
		parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
