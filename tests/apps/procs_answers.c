// SPDX-License-Identifier: BSD-2-Clause
/*
 * procs_answers.c - who waits hears of what comes, at once: where other processes answer (kamailio), beside other threads, in handlers, and when its
 * process ends. See procs.c.
 */
#include "kernel_conn.h"
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- one process waits for a connection in a set, others answer ------------------------------------------------- */

/* Who answers: a process that has the connection for good; or for this answer, and has been told what to say, or reads it itself */
enum answerer { ANSWERS_ALWAYS, ANSWERS_ONCE, ANSWERS_READ };
static const enum answerer turns[] = { ANSWERS_ALWAYS, ANSWERS_ONCE, ANSWERS_ALWAYS, ANSWERS_READ };
enum { TURNS = sizeof(turns) / sizeof(turns[0]) };
/*
 * Nobody looks before that long whether who waits is to be told (lib/deed_raw.c), and a port that rests does so for a second (fork_server.c). A machine may be that
 * slow at times, but not always.
 */
enum { ANSWERS = 8 * TURNS, LOOK_US = 3000, LATE_US = 700000, ROUNDS_MAX = 20 };

static void answer(int conn, int order, enum answerer who)
{
	char c;

	while (read(order, &c, 1) == 1) {
		if (who == ANSWERS_READ)
			CHECK(read(conn, &c, 1) == 1);
		CHECK(write(conn, &c, 1) == 1);
		if (who != ANSWERS_ALWAYS)
			break;
	}
	_exit(0);
}

/* @keep_out is not its. Return: where it takes orders */
static int answerer_start(int conn, enum answerer who, int keep_out, pid_t *ret_pid)
{
	int order[2];

	CHECK(!pipe(order));
	*ret_pid = fork_must();
	if (*ret_pid == 0) {
		close(order[1]);
		close(keep_out);
		answer(conn, order[0], who);
	}
	close(order[0]);
	return order[1];
}

static void serve_by_others(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int conn, set, always, once;
	pid_t pid, other;

	server_ready(fd);
	conn = accept_one(fd);
	set = epoll_create1(0);
	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, conn, &ev));
	always = answerer_start(conn, ANSWERS_ALWAYS, set, &pid);
	for (int i = 0;; i++) {
		enum answerer who = turns[i % TURNS];
		char c = 0;

		CHECK(epoll_wait(set, &ev, 1, ANSWER_MS) == 1 && (ev.events & EPOLLIN));
		if (who != ANSWERS_READ && read(conn, &c, 1) == 0)
			break;
		if (who == ANSWERS_ALWAYS) {
			CHECK(write(always, &c, 1) == 1);
			continue;
		}
		once = answerer_start(conn, who, set, &other);
		CHECK(write(once, &c, 1) == 1);
		close(once);
		child_end(other);
	}
	close(always);
	child_end(pid);
	exit(0);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Return: how long it took */
static uint64_t answer_us(int fd, int i)
{
	uint64_t begun_us = now_us();
	char c;

	CHECK(write(fd, &(char){ (char)i }, 1) == 1);
	CHECK(read(fd, &c, 1) == 1 && c == (char)i);
	return now_us() - begun_us;
}

/* ANSWERS of them. Return: did none wait for a time, and did one of each kind that is only written, and for which nothing moves, come at once? */
static bool answers_are_quick(int fd)
{
	uint64_t least[TURNS] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	int late = 0;

	for (int i = 0; i < ANSWERS; i++) {
		uint64_t us = answer_us(fd, i);

		least[i % TURNS] = us < least[i % TURNS] ? us : least[i % TURNS];
		late += us > LATE_US;
	}
	return !late && least[1] < LOOK_US && least[2] < LOOK_US;
}

static void part_answers(void)
{
	pid_t server;
	int fd = connect_to(server_start(serve_by_others, &server)), rounds = 1;
	char c;

	check_path(fd);
	while (!answers_are_quick(fd))
		CHECK(rounds++ < ROUNDS_MAX);
	usleep(50000); /* who has read the last one has ended, and nobody has it */
	CHECK(!shutdown(fd, SHUT_WR) && read(fd, &c, 1) == 0);
	close(fd);
	child_end(server);
	printf("%d answers\n", ANSWERS);
}

/* ---- a set in which only the kernel's are served, until there is somebody else ------------------------------------------------- */

enum { CALM_MS = 60 /* some ticks of the helper */, CALM_THREADS = 3, CALM_ANSWERS = 20, CALM_ROUNDS = 4 };

static int calm_listener, calm_set, calm_threads;

static void *serve_calm(void *arg)
{
	struct epoll_event ev;

	for (;;) {
		char ping[4];
		int conn;

		CHECK(epoll_wait(calm_set, &ev, 1, -1) == 1);
		if (ev.data.fd == calm_listener) {
			conn = accept(calm_listener, NULL, NULL);
			ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.fd = conn };
			CHECK(conn >= 0 ? !epoll_ctl(calm_set, EPOLL_CTL_ADD, conn, &ev) : errno == EAGAIN);
			continue;
		}
		conn = ev.data.fd;
		if (read(conn, ping, 4) != 4) {
			close(conn);
			continue;
		}
		if (ping[0] == 'q')
			_exit(0);
		CHECK(write(conn, ping, 4) == 4);
		ev.events = EPOLLIN | EPOLLONESHOT;
		CHECK(!epoll_ctl(calm_set, EPOLL_CTL_MOD, conn, &ev));
	}
	return arg;
}

/* Waits for somebody else, who doesn't come. So the bell is with it. */
static void *stand_by(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint16_t port;
	int fd = listen_any(&port), set = epoll_create1(0);

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
	CHECK(!epoll_wait(set, &ev, 1, -1));
	return arg;
}

/* If there are more than this one, one of them is cancelled while it waits, which the others are not to notice. */
static void serve_by_threads(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	pthread_t thread;

	calm_listener = fd;
	calm_set = epoll_create1(0);
	CHECK(calm_set >= 0 && !fcntl(fd, F_SETFL, O_NONBLOCK) && !epoll_ctl(calm_set, EPOLL_CTL_ADD, fd, &ev));
	CHECK(!pthread_create(&thread, NULL, stand_by, NULL));
	usleep(CALM_MS * 1000);
	for (int i = 0; i < calm_threads; i++)
		CHECK(!pthread_create(&thread, NULL, serve_calm, NULL));
	usleep(CALM_MS * 1000);
	CHECK(!calm_threads || (!pthread_cancel(thread) && !pthread_join(thread, NULL)));
	server_ready(fd);
	serve_calm(NULL);
}

static void ask_often(int conn)
{
	for (int i = 0; i < CALM_ANSWERS; i++)
		CHECK(write(conn, "ping", 4) == 4 && read_all(conn, (char[4]){ 0 }, 4) == 4);
}

/* By turns, a client by channel comes to threads that wait for the kernel's alone, and goes again. */
static void come_and_go(int threads)
{
	pid_t server;
	uint16_t port;
	int kernels, channel;

	calm_threads = threads;
	port = server_start(serve_by_threads, &server);
	kernels = kernel_connect_to(port);
	for (int round = 0; round < CALM_ROUNDS; round++) {
		usleep(CALM_MS * 1000);
		ask_often(kernels);
		channel = connect_to(port);
		ask_often(channel);
		check_path(channel);
		usleep(CALM_MS * 1000);
		ask_often(channel);
		ask_often(kernels);
		close(channel);
	}
	CHECK(write(kernels, "quit", 4) == 4);
	child_end(server);
	close(kernels);
}

static void part_calm(void)
{
	come_and_go(0);
	come_and_go(CALM_THREADS);
	printf("%d times not the kernel's alone\n", 2 * CALM_ROUNDS);
}

/* ---- a handler that lasts ----------------------------------------------------------------------------------------- */

enum { READERS = 3 };

static int reader_conns[READERS];
static _Atomic int handling, answered;

/* Until others have answered */
static void on_signal(int sig)
{
	int before = answered;

	(void)sig;
	handling = 1;
	for (int ms = 0; answered == before; ms++) {
		CHECK(ms < ANSWER_MS);
		usleep(1000);
	}
	handling = 0;
}

/* On top of that */
static void on_other_signal(int sig)
{
	(void)sig;
	usleep(100);
}

static void *reader(void *arg)
{
	int conn = *(int *)arg;
	char c;

	while (read(conn, &c, 1) == 1) {
		answered++;
		CHECK(write(conn, &c, 1) == 1);
	}
	return NULL;
}

/* Each of them is in a handler in turn; what it had to do with the others' waiting is another's then. */
static void serve_handling(int fd)
{
	pthread_t threads[READERS];

	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && signal(SIGUSR2, on_other_signal) != SIG_ERR);
	server_ready(fd);
	for (int i = 0; i < READERS; i++)
		reader_conns[i] = accept_one(fd);
	close(fd);
	for (int i = 0; i < READERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, reader, &reader_conns[i]));
	for (int i = 0; i < READERS; i++) {
		usleep(100000); /* they sleep */
		CHECK(!pthread_kill(threads[i], SIGUSR1));
		while (!handling)
			usleep(1000);
		usleep(100000); /* whoever looks at whether the program computes has seen that it sleeps */
		CHECK(write(reader_conns[i], "h", 1) == 1);
		for (; handling; usleep(1000))
			CHECK(!pthread_kill(threads[i], SIGUSR2));
	}
	for (int i = 0; i < READERS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	exit(0);
}

static void part_handler(void)
{
	int fds[READERS];
	pid_t server;
	uint16_t port = server_start(serve_handling, &server);
	char c;

	for (int i = 0; i < READERS; i++)
		fds[i] = connect_to(port);
	for (int i = 0; i < READERS; i++) {
		CHECK(read(fds[i], &c, 1) == 1 && c == 'h');
		(void)answer_us(fds[(i + 1) % READERS], i);
	}
	for (int i = 0; i < READERS; i++)
		close(fds[i]);
	child_end(server);
	printf("%d threads wait, and one is in a handler\n", READERS);
}

/* ---- told to end -------------------------------------------------------------------------------------------------- */

enum { LAST_WORD = 1000000 }; /* more than a client's side takes in who doesn't read */

static int last_go[2], hear_go[2];
static uint16_t last_port;

/* exit() has begun: what follows is the libraries'. */
static void exit_begins(void)
{
	write_all(last_go[1], "", 1);
}

static void *waits_for_ever(void *arg)
{
	while (pause())
		continue;
	return arg;
}

static void serve_last_word(int fd)
{
	static uint8_t bytes[LAST_WORD];
	pthread_t thread;
	char threads;
	int conn;

	server_ready(fd);
	conn = accept_one(fd);
	ping_back(conn);
	CHECK(read_all(last_go[1], &threads, 1) == 1);
	if (threads)
		CHECK(!pthread_create(&thread, NULL, waits_for_ever, NULL));
	write_all(conn, bytes, sizeof(bytes));
	write_all(last_go[1], "", 1);
	CHECK(!atexit(exit_begins) && read_all(last_go[1], &threads, 1) == 1);
	exit(7);
}

static void hears_last_word(int arg)
{
	static uint8_t bytes[LAST_WORD + 1];
	int fd = connect_to(last_port);

	(void)arg;
	check_path(fd);
	ping(fd);
	CHECK(read_all(hear_go[0], bytes, 1) == 1);
	CHECK(read_all(fd, bytes, sizeof(bytes)) == LAST_WORD);
}

/* Would @pid not end by SIGTERM any more, whichever of its threads gets it, or has it ended? */
static bool is_ending(pid_t pid, bool threads)
{
	const char *field = threads ? "SigIgn:" : "SigBlk:";
	char path[64], line[256];
	bool ending = false;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "r");
	CHECK(status);
	while (fgets(line, sizeof(line), status))
		ending |= !strncmp(line, "State:\tZ", 8) ||
			  (!strncmp(line, field, strlen(field)) && (strtoull(line + strlen(field), NULL, 16) >> (SIGTERM - 1) & 1));
	fclose(status);
	return ending;
}

/* It is told to end when it is about to, by a signal that this or another of its threads gets: what it has said comes, and it ends as it has meant to. */
static void part_signalled(void)
{
	for (char threads = 0; threads < 2; threads++) {
		pid_t server, client;
		int status;

		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, last_go) && !pipe(hear_go));
		last_port = server_start(serve_last_word, &server);
		client = child_start(hears_last_word, 0);
		write_all(last_go[0], &threads, 1);
		CHECK(read_all(last_go[0], &(char){ 0 }, 1) == 1);
		CHECK(!kill(client, SIGSTOP) && waitpid(client, NULL, WUNTRACED) == client);
		write_all(last_go[0], "", 1);
		CHECK(read_all(last_go[0], &(char){ 0 }, 1) == 1);
		while (!is_ending(server, threads))
			usleep(1000);
		CHECK(!kill(server, SIGTERM));
		usleep(100000);
		CHECK(!kill(client, SIGCONT));
		write_all(hear_go[1], "", 1);
		child_end(client);
		CHECK(waitpid(server, &status, 0) == server && WIFEXITED(status) && WEXITSTATUS(status) == 7);
		for (int i = 0; i < 2; i++) {
			close(last_go[i]);
			close(hear_go[i]);
		}
	}
	printf("told to end when it is about to\n");
}

/*
 * Behind all destructors, as libc flushes streams last: this thread takes signals again, another program that is started now finds them as they were, and what
 * the program ignores since then stays ignored.
 */
static ssize_t goes_on_behind(void *cookie, const char *bytes, size_t len)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };
	struct sigaction act;
	sigset_t blocked;
	pid_t pid;
	int status;

	(void)cookie;
	(void)bytes;
	CHECK(!sigprocmask(SIG_SETMASK, NULL, &blocked));
	for (int sig = 1; sig < 32; sig++)
		CHECK(!sigismember(&blocked, sig));
	CHECK(!sigaction(SIGTERM, NULL, &act) && act.sa_handler == SIG_DFL);
	CHECK(signal(SIGHUP, SIG_IGN) == SIG_DFL);
	CHECK(!posix_spawnp(&pid, "true", NULL, NULL, argv, environ) && waitpid(pid, &status, 0) == pid && !status);
	CHECK(!sigaction(SIGHUP, NULL, &act) && act.sa_handler == SIG_IGN);
	write_all(last_go[1], "", 1);
	return (ssize_t)len;
}

static void ends_with_more(int port)
{
	FILE *last = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = goes_on_behind });
	pthread_t thread;
	int fd = connect_to((uint16_t)port);

	check_path(fd);
	ping(fd);
	CHECK(last && fputs("more", last) >= 0 && !pthread_create(&thread, NULL, waits_for_ever, NULL));
	exit(0);
}

static void part_behind_exit(void)
{
	pid_t server;
	uint16_t port;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, last_go));
	port = server_start(serve_ping, &server);
	child_end(child_start(ends_with_more, port));
	CHECK(recv(last_go[0], &(char){ 0 }, 1, MSG_DONTWAIT) == 1);
	child_end(server);
	close(last_go[0]);
	close(last_go[1]);
	printf("signals are as before behind it\n");
}

/* ---- a thread that answers, beside one that waits for the next client ---------------------------------------------- */

enum { QUESTIONS = 100, QUESTION_US = 2000, SAID = 6, ENDS = 30 };
enum waits { WAITS_ACCEPT, WAITS_POLL, WAITS_EPOLL };
static enum waits acceptor_waits;

/* Of the first thread, what its status says behind @name */
static void first_status(const char *name, char *ret_value)
{
	char path[64], line[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", getpid());
	f = fopen(path, "r");
	CHECK(f != NULL);
	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), "%15s", ret_value) == 1;
	fclose(f);
	CHECK(found);
}

static long switches_first(void)
{
	char value[16];

	first_status("voluntary_ctxt_switches:", value);
	return atol(value);
}

static void sleep_first(void)
{
	char value[16];

	for (int times = 0; times < 5; times = value[0] == 'S' ? times + 1 : 0) {
		usleep(2000);
		first_status("State:", value);
	}
}

static void *answers_alone(void *arg)
{
	int conn = (int)(intptr_t)arg;
	long before = 0;

	for (int i = 0; i < QUESTIONS; i++) {
		ping_back(conn);
		if (i == QUESTIONS / 5) /* by now they know who answers */
			before = switches_first();
	}
	write_all(conn, switches_first() - before < QUESTIONS / 3 ? "seldom" : "often.", SAID);
	return NULL;
}

/* Return: -1: it returned without one */
static int wait_for_client(int listener, int set)
{
	struct epoll_event ev;

	if (acceptor_waits == WAITS_POLL && poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, -1) != 1)
		return -1;
	if (acceptor_waits == WAITS_EPOLL && epoll_wait(set, &ev, 1, -1) != 1)
		return -1;
	return accept(listener, NULL, NULL);
}

static void *(*answerer)(void *conn);
static atomic_int *returned;

static void waits_for_next(int listener)
{
	int set = epoll_create1(0);

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, listener, &(struct epoll_event){ .events = EPOLLIN }));
	server_ready(listener);
	for (;;) {
		int conn = wait_for_client(listener, set);
		pthread_t thread;

		if (conn < 0) {
			atomic_fetch_add(returned, 1);
			pause();
		}
		CHECK(!pthread_create(&thread, NULL, answerer, (void *)(intptr_t)conn));
	}
}

static bool wakes_seldom(void)
{
	pid_t server;
	int fd;
	char said[SAID];

	answerer = answers_alone;
	fd = connect_to(server_start(waits_for_next, &server));
	check_path(fd);
	for (int i = 0; i < QUESTIONS; i++) {
		usleep(QUESTION_US);
		ping(fd);
	}
	CHECK(read_all(fd, said, SAID) == SAID);
	close(fd);
	end_by_signal(server, SIGKILL);
	return !memcmp(said, "seldom", SAID);
}

/*
 * What comes for a thread that answers wakes that one, and not who waits for the next client. On a busy machine the next question may be there before it
 * sleeps again, but not always.
 */
static void part_bell(void)
{
	for (acceptor_waits = WAITS_ACCEPT; acceptor_waits <= WAITS_EPOLL; acceptor_waits++)
		for (int rounds = 0; !wakes_seldom(); rounds++)
			CHECK(rounds < ROUNDS_MAX);
	printf("who waits for the next client sleeps\n");
}

static void *answers_and_ends(void *arg)
{
	ping_back((int)(intptr_t)arg);
	sleep_first();
	_exit(0);
}

/* The process ends by another thread than that which waits for the next client. The parent has a copy of the listening socket. */
static void part_ends_beneath(void)
{
	returned = mmap(NULL, sizeof(*returned), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(returned != MAP_FAILED);
	answerer = answers_and_ends;
	for (int i = 0; i < ENDS; i++) {
		pid_t server;
		uint16_t port;

		acceptor_waits = i % (WAITS_EPOLL + 1);
		port = server_start(waits_for_next, &server);
		ask_once(port);
		child_end(server);
	}
	CHECK(atomic_load(returned) == 0);
	munmap(returned, sizeof(*returned));
	printf("nobody returned\n");
}

/* ---- two processes that answer by turns ---------------------------------------------------------------------------- */

enum { ROUNDS = 200, ROUND_US = 1000 };

/* Both know whose turn it is by a pipe each, in whose read() nobody of the library looks after the connection. */
static void answer_by_turns(int conn, int from, int to)
{
	char c, buf[4];

	while (read_all(from, &c, 1) && read(conn, buf, sizeof(buf)) == sizeof(buf)) {
		write_all(conn, buf, sizeof(buf));
		write_all(to, &c, 1);
	}
	(void)!write(to, "", 1); /* the other reads the end, too */
	_exit(0);
}

static void serve_by_turns(int fd)
{
	int pipes[2][2], conn;

	CHECK(!pipe(pipes[0]) && !pipe(pipes[1]) && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	server_ready(fd);
	conn = accept_one(fd);
	write_all(pipes[0][1], "", 1);
	if (!fork_must())
		answer_by_turns(conn, pipes[0][0], pipes[1][1]);
	answer_by_turns(conn, pipes[1][0], pipes[0][1]);
}

/* Are most turns shorter than a look of the library's that nothing wakes? */
static bool turns_are_quick(int fd)
{
	int quick = 0;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begun_us = now_us();

		ping(fd);
		quick += now_us() - begun_us < ROUND_US;
	}
	return quick > ROUNDS / 2;
}

static void part_by_turns(void)
{
	pid_t server;
	int fd = connect_to(server_start(serve_by_turns, &server));

	for (int rounds = 0; !turns_are_quick(fd); rounds++)
		CHECK(rounds < ROUNDS_MAX);
	close(fd);
	child_end(server);
	printf("answered by turns\n");
}

/* ---- handlers ----------------------------------------------------------------------------------------------------- */

static struct pollfd *page;
static int handled;

/* Inside of the call, which is the first to write there */
static void on_fault(int sig)
{
	(void)sig;
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	raise(SIGUSR1);
}

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static void polls_handling(int arg)
{
	int fd = epoll_create1(0);
	uint64_t begun_ms = now_ms();

	(void)arg;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED && fd >= 0);
	*page = (struct pollfd){ .fd = fd, .events = POLLIN };
	CHECK(signal(SIGSEGV, on_fault) != SIG_ERR && signal(SIGUSR1, on_usr1) != SIG_ERR && !mprotect(page, 4096, PROT_READ));
	CHECK(poll(page, 1, 20000) == -1 && errno == EINTR && handled == 1 && now_ms() - begun_ms < 20000);
}

/* A handler runs inside of a call that sleeps for the kernel alone, and ends it. The kernel itself doesn't run one there. */
static void part_deferred(void)
{
	if (!wants_kernel())
		child_end(child_start(polls_handling, 0));
	printf("a handler that came before the sleep ended it\n");
}

void answers_parts(const char *only)
{
	static const struct part parts[] = { { "answers", part_answers }, { "calm", part_calm }, { "handler", part_handler },
					     { "signalled", part_signalled },	 { "deferred", part_deferred }, { "bell", part_bell }, { "by_turns", part_by_turns }, { "ends_beneath", part_ends_beneath },
					     { "behind_exit", part_behind_exit } };

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
