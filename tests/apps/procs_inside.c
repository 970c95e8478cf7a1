// SPDX-License-Identifier: BSD-2-Clause
/* Part of `procs`: who waits inside the kernel's call, as long as there is no channel, and what ends that */
#include "procs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_poll /* on newer architectures */
#define SYS_poll SYS_ppoll
#endif

enum { LONG_MS = 200, SHORT_MS = 50, LOOKS = 30, TRIES = 10, TIMED = 4, ROUNDS = 25, MANY_FDS = 100, MANY_THREADS = 150 };

struct result {
	long r;
	int err;
	int handlers; /* that have run */
	bool cut;     /* a sleep of one of them */
	char byte;
};

/* ---- who waits --------------------------------------------------------------------------------------------------- */

static int server, listener, via, set;
static volatile sig_atomic_t handlers, cut;
static sigjmp_buf out;
static pid_t forked;

static void on_short(int sig)
{
	(void)sig;
	handlers++;
}

static void on_long(int sig)
{
	const struct timespec length = { .tv_nsec = LONG_MS * 1000000L };

	(void)sig;
	cut |= nanosleep(&length, NULL) != 0;
	handlers++;
}

static void on_jump(int sig)
{
	(void)sig;
	handlers++;
	siglongjmp(out, 1);
}

static void on_fork(int sig)
{
	(void)sig;
	forked = fork();
}

static void told(long r, char byte)
{
	struct result res = { .r = r, .err = r < 0 ? errno : 0, .handlers = handlers, .cut = cut, .byte = byte };

	write_all(via, &res, sizeof(res));
}

static void reads(void)
{
	char byte = '-';
	long r = recv(server, &byte, 1, 0);

	told(r, byte);
}

static void reads_msg(void)
{
	char byte = '-';
	struct sockaddr_in from;
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &(struct iovec){ &byte, 1 }, .msg_iovlen = 1 };
	long r = recvmsg(server, &m, 0);

	told(r < 0 || m.msg_namelen == sizeof(from) ? r : -1, byte);
}

static void reads_peek(void)
{
	char byte = '-';
	long r = recv(server, &byte, 1, MSG_PEEK);

	if (r == 1)
		r = recv(server, &byte, 1, 0);
	told(r, byte);
}

static void reads_if(bool ready)
{
	if (ready)
		reads();
	else
		told(-1, '-');
}

static bool polls_once(int ms)
{
	struct pollfd p = { .fd = server, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void polls(void)
{
	reads_if(polls_once(-1));
}

static void polls_many(void)
{
	struct pollfd p[MANY_FDS];

	set = set ? set : epoll_create1(0); /* nothing comes into it */
	for (int i = 0; i < MANY_FDS; i++)
		p[i] = (struct pollfd){ .fd = i == MANY_FDS / 2 ? server : i == 1 ? set : -1 - i, .events = POLLIN };
	reads_if(poll(p, MANY_FDS, -1) == 1);
}

static bool selects_once(int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(server, &r);
	return select(server + 1, &r, NULL, NULL, ms < 0 ? NULL : &tv) == 1;
}

static void selects(void)
{
	reads_if(selects_once(-1));
}

/* In the child a handler that forks returns to the call, too. */
static void polls_forking(void)
{
	struct pollfd p = { .fd = server, .events = POLLIN };
	int status, r;

	forked = -1;
	r = poll(&p, 1, -1);
	if (!forked)
		_exit(r != -1 || errno != EINTR || poll(&p, 1, 1));
	if (forked < 0) { /* none has run */
		reads_if(r == 1);
		return;
	}
	CHECK(r == -1 && errno == EINTR && waitpid(forked, &status, 0) == forked && !status);
	told(0, 'f');
}

static void *polls_thread(void *arg)
{
	CHECK(polls_once(-1));
	return arg;
}

static void polls_by_threads(void)
{
	pthread_t threads[MANY_THREADS];

	for (int i = 0; i < MANY_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, polls_thread, NULL));
	write_all(via, "", 1);
	for (int i = 0; i < MANY_THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	reads();
}

static void accepts(void)
{
	int fd = accept(listener, NULL, NULL);
	char byte = '-';
	long r = fd < 0 ? fd : read(fd, &byte, 1);

	told(r, byte);
	if (fd >= 0)
		close(fd);
}

static void accepts_timed(void)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	CHECK(!fcntl(listener, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < TIMED && poll(&p, 1, ANSWER_MS) == 1; i++)
		accepts();
	CHECK(!fcntl(listener, F_SETFL, 0));
}

static void waits_or_jumps(void (*wait)(void))
{
	if (sigsetjmp(out, 1))
		told(0, 'j');
	else
		wait();
}

static void *reads_for_ever(void *arg)
{
	char byte;

	(void)arg;
	write_all(via, &(pid_t){ (pid_t)syscall(SYS_gettid) }, sizeof(pid_t));
	while (recv(server, &byte, 1, 0) >= 0)
		;
	return NULL;
}

static void *polls_till_cancelled(void *arg)
{
	write_all(via, &(pid_t){ (pid_t)syscall(SYS_gettid) }, sizeof(pid_t));
	while (polls_once(-1))
		(void)!recv(server, &(char){ 0 }, 1, MSG_DONTWAIT);
	return arg;
}

static void cancels(void *(*waits)(void *arg))
{
	pthread_t thread;
	void *ended;
	char go;

	CHECK(!pthread_create(&thread, NULL, waits, NULL));
	CHECK(read(via, &go, 1) == 1 && !pthread_cancel(thread) && !pthread_join(thread, &ended));
	told(ended == PTHREAD_CANCELED, 'c');
}

static void limit_set(int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	CHECK(!setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	told(0, 't');
}

static void on_read(int sig)
{
	(void)sig;
	reads();
}

static void reads_handling(void)
{
	struct sigaction act = { .sa_handler = on_read, .sa_flags = SA_ONSTACK };

	memset(&act.sa_mask, 0xff, sizeof(act.sa_mask)); /* libc's own signals are in it, too */
	CHECK(!sigaction(SIGWINCH, &act, NULL) && !raise(SIGWINCH));
}

static void reads_deaf(void)
{
	uint64_t all = ~0ULL, before;

	CHECK(!syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, sizeof(all)));
	reads();
	CHECK(!syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(all)));
}

static void reads_cramped(size_t size, void (*how)(void))
{
	static char bytes[65536];

	(void)sigaltstack(&(stack_t){ .ss_sp = bytes, .ss_size = size }, NULL);
	how();
	(void)sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
}

static void *sets_nonblock(void *arg)
{
	CHECK(read_all(via, &(char){ 0 }, 1) == 1 && !fcntl(server, F_SETFL, O_NONBLOCK));
	write_all(via, "", 1);
	return arg;
}

static void *sets_user(void *arg)
{
	CHECK(read_all(via, &(char){ 0 }, 1) == 1 && !setuid(getuid()));
	write_all(via, "", 1);
	return arg;
}

static void reads_beside(void *(*other)(void *arg))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, other, NULL));
	reads();
	CHECK(!pthread_join(thread, NULL) && !fcntl(server, F_SETFL, 0));
}

static void *polls_for_ever(void *arg)
{
	struct pollfd p = { .fd = server, .events = POLLIN };

	while (poll(&p, 1, 1) >= 0)
		;
	return arg;
}

static void ends_late(void)
{
	usleep(SHORT_MS * 1000);
}

static void ends_polling(void)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, polls_for_ever, NULL) && !at_quick_exit(ends_late));
	usleep(SHORT_MS * 1000);
	quick_exit(0);
}

static void *accepts_for_ever(void *arg)
{
	sigset_t all;
	int fd;

	sigfillset(&all);
	CHECK(!pthread_sigmask(SIG_SETMASK, &all, NULL));
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		close(fd);
	return arg;
}

static bool epolls_once(int ms)
{
	return epoll_wait(set, &(struct epoll_event){ 0 }, 1, ms) == 1;
}

/* Nothing comes to it, while another thread's clients do. Each `go` is for one wait; 'l': it is over late. */
static void waits_beside(bool (*once)(int ms))
{
	pthread_t thread;
	char go;

	set = epoll_create1(EPOLL_CLOEXEC);
	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, server, &(struct epoll_event){ .events = EPOLLIN }) &&
	      !pthread_create(&thread, NULL, accepts_for_ever, NULL));
	while (read_all(via, &go, 1) == 1) {
		uint64_t began = now_ms();

		errno = 0;
		if (once(go == 'l' ? LONG_MS : ANSWER_MS))
			reads();
		else
			told(-1, go == 'l' && now_ms() - began < LONG_MS ? 'e' : go);
	}
}

static bool few_signals; /* none of those that are queued */

static void wait_by(char order)
{
	switch (order) {
	case 'r': reads(); break;
	case 'm': reads_msg(); break;
	case 'p': reads_peek(); break;
	case 'o': polls(); break;
	case 'O': polls_many(); break;
	case 'i': selects(); break;
	case 'J': waits_or_jumps(polls); break;
	case 'F': polls_forking(); break;
	case 'y': polls_by_threads(); break;
	case 'a': accepts(); break;
	case 'f': accepts_timed(); break;
	case 'j': waits_or_jumps(reads); break;
	case 'c': cancels(reads_for_ever); break;
	case 'C': cancels(polls_till_cancelled); break;
	case 'h': reads_handling(); break;
	case 'd': reads_deaf(); break;
	case 'l': reads_cramped(2048, reads); break; /* as small as the kernel lets it be, which is less than it needs itself */
	case 'k': reads_cramped(2 * getauxval(AT_MINSIGSTKSZ), reads_handling); break; /* enough for one handler, but not for one more */
	case 'n': reads_beside(sets_nonblock); break;
	case 'u': reads_beside(sets_user); break;
	case 'e': ends_polling(); break;
	case 's': waits_beside(epolls_once); break;
	case 'S': waits_beside(polls_once); break;
	case 'I': waits_beside(selects_once); break;
	case 't': limit_set(SHORT_MS); break;
	default: limit_set(ANSWER_MS); break;
	}
}

static void waits(int ctl)
{
	struct sigaction restarts = { .sa_handler = on_short, .sa_flags = SA_RESTART }, interrupts = { .sa_handler = on_short },
			 lasts = { .sa_handler = on_long, .sa_flags = SA_RESTART }, jumps = { .sa_handler = on_jump }, forks = { .sa_handler = on_fork };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	uint16_t port;
	char order;

	via = ctl;
	if (few_signals)
		CHECK(!setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 0, 0 }));
	listener = listen_any(&port);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(server, (struct sockaddr *)&at, len) && !getsockname(server, (struct sockaddr *)&at, &len));
	CHECK(!sigaction(SIGUSR1, &restarts, NULL) && !sigaction(SIGUSR2, &interrupts, NULL) && !sigaction(SIGALRM, &lasts, NULL) &&
	      !sigaction(SIGTERM, &jumps, NULL) && !sigaction(SIGHUP, &forks, NULL));
	write_all(ctl, &at, sizeof(at));
	write_all(ctl, &port, sizeof(port));
	while (read_all(ctl, &order, 1) == 1)
		wait_by(order);
}

/* ---- who sends --------------------------------------------------------------------------------------------------- */

struct waiter {
	pid_t pid, tid;
	int ctl, kernels, ours; /* sockets that send to it */
	struct sockaddr_in at;
	uint16_t port;
	bool accepts;
};

static void waiter_start(struct waiter *w)
{
	int pair[2], on = 1;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	w->ctl = pair[0];
	w->pid = w->tid = child_start(waits, pair[1]);
	close(pair[1]);
	CHECK(read_all(w->ctl, &w->at, sizeof(w->at)) == sizeof(w->at));
	CHECK(read_all(w->ctl, &w->port, sizeof(w->port)) == sizeof(w->port));
	w->accepts = false;
	w->kernels = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!setsockopt(w->kernels, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)));
	w->ours = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void waiter_end(const struct waiter *w)
{
	CHECK(!shutdown(w->ctl, SHUT_WR));
	child_end(w->pid);
	close(w->ctl);
	close(w->kernels);
	close(w->ours);
}

static void send_byte(const struct waiter *w, int fd, char byte)
{
	if (w->accepts) {
		fd = fd == w->kernels ? kernel_connect_to(w->port) : connect_to(w->port);
		write_all(fd, &byte, 1);
		close(fd);
		return;
	}
	CHECK(sendto(fd, &byte, 1, 0, (const struct sockaddr *)&w->at, sizeof(w->at)) == 1);
}

static struct result result(const struct waiter *w)
{
	struct result res;

	CHECK(read_all(w->ctl, &res, sizeof(res)) == sizeof(res));
	return res;
}

/* The system call that it sleeps in, and its second argument; -1: it does not */
static long sleeps_by(const struct waiter *w, unsigned long *ret_arg)
{
	char path[64];
	unsigned long first;
	long nr = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", w->pid, w->tid);
	f = fopen(path, "re");
	CHECK(f);
	if (fscanf(f, "%ld %lx %lx", &nr, &first, ret_arg) != 3) /* "running" */
		nr = -1;
	fclose(f);
	return nr;
}

static long sleeps_in(const struct waiter *w)
{
	unsigned long arg;

	return sleeps_by(w, &arg);
}

static bool sleeps_in_set(const struct waiter *w)
{
	long nr = sleeps_in(w);

#ifdef SYS_epoll_wait /* not on newer architectures */
	if (nr == SYS_epoll_wait)
		return true;
#endif
	return nr == SYS_epoll_pwait || nr == SYS_epoll_pwait2;
}

static bool is_inside(const struct waiter *w)
{
	unsigned long cnt;
	long nr = sleeps_by(w, &cnt);

	return nr == SYS_recvfrom || nr == SYS_recvmsg || nr == SYS_accept || nr == SYS_accept4 || nr == SYS_pselect6 ||
	       ((nr == SYS_poll || nr == SYS_ppoll) && (cnt == 1 || cnt == MANY_FDS));
}

static bool comes_inside(const struct waiter *w)
{
	for (int i = 0; i < LOOKS; i++, usleep(1000))
		if (is_inside(w))
			return true;
	return false;
}

/* It waits by @order, inside: as soon as the helper listens in its place. */
static void wait_inside(const struct waiter *w, char order)
{
	uint64_t until = now_ms() + ANSWER_MS;

	write_all(w->ctl, &order, 1);
	while (!comes_inside(w)) {
		CHECK(now_ms() < until);
		send_byte(w, w->kernels, 'k');
		CHECK(result(w).byte == 'k');
		write_all(w->ctl, &order, 1);
	}
}

/* What others send on channels reaches it there, and it goes inside no more. On the kernel it does. */
static void check_called(const struct waiter *w, char order)
{
	uint64_t until = now_ms() + ANSWER_MS;
	struct result res;

	do {
		CHECK(now_ms() < until);
		send_byte(w, w->ours, 'v');
		res = result(w);
		CHECK(res.r == 1 && res.byte == 'v' && !res.cut);
		write_all(w->ctl, &order, 1);
		while (sleeps_in(w) < 0)
			CHECK(now_ms() < until);
	} while (comes_inside(w) != wants_kernel());
	send_byte(w, w->ours, 'w');
	CHECK(result(w).byte == 'w');
}

/* Whether it goes inside or not, it hears what others send on channels. */
static void check_heard(const struct waiter *w, char order)
{
	write_all(w->ctl, &order, 1);
	for (int i = 0; i < TRIES && !comes_inside(w); i++) {
		send_byte(w, w->kernels, 'k');
		CHECK(result(w).byte == 'k');
		write_all(w->ctl, &order, 1);
	}
	send_byte(w, w->ours, 'v');
	CHECK(result(w).byte == 'v');
}

static void leave(const struct waiter *w)
{
	send_byte(w, w->kernels, 'k');
	CHECK(result(w).byte == 'k');
}

static void part_called(void)
{
	for (const char *order = "rmpoOia"; *order; order++) {
		struct waiter w;

		waiter_start(&w);
		w.accepts = *order == 'a';
		wait_inside(&w, *order);
		check_called(&w, *order);
		waiter_end(&w);
		printf("%c: heard\n", *order);
	}
}

static void part_signals(void)
{
	struct result res;
	struct waiter w;

	waiter_start(&w);
	wait_inside(&w, 'r');
	CHECK(!kill(w.pid, SIGUSR1));
	usleep(SHORT_MS * 1000);
	CHECK(!kill(w.pid, SIGUSR2));
	res = result(&w);
	printf("restarted, then %s after %d handlers\n", strerror(res.err), res.handlers);
	wait_inside(&w, 'j');
	CHECK(!kill(w.pid, SIGTERM));
	res = result(&w);
	printf("left by a jump: %c, %d\n", res.byte, res.handlers);
	wait_inside(&w, 'r');
	CHECK(!kill(w.pid, SIGALRM));
	while (sleeps_in(&w) != SYS_clock_nanosleep)
		usleep(1000);
	check_called(&w, 'r'); /* the handler's sleep is its own */
	waiter_end(&w);
	printf("heard after a handler\n");
}

static void part_polls(void)
{
	struct result res;
	struct waiter w;

	waiter_start(&w);
	for (const char *order = "oi"; *order; order++) {
		wait_inside(&w, *order);
		CHECK(!kill(w.pid, *order == 'o' ? SIGUSR1 : SIGUSR2));
		res = result(&w);
		printf("%c: %s after %d handlers\n", *order, strerror(res.err), res.handlers);
	}
	wait_inside(&w, 'J');
	CHECK(!kill(w.pid, SIGTERM));
	res = result(&w);
	printf("left by a jump: %c, %d\n", res.byte, res.handlers);
	wait_inside(&w, 'o');
	check_called(&w, 'o');
	waiter_end(&w);
	waiter_start(&w);
	wait_inside(&w, 'o');
	leave(&w);
	for (const char *end = "kv"; *end; end++) { /* more of them than have a place */
		write_all(w.ctl, "y", 1);
		CHECK(read_all(w.ctl, &(char){ 0 }, 1) == 1);
		usleep(SHORT_MS * 1000);
		send_byte(&w, *end == 'k' ? w.kernels : w.ours, *end);
		CHECK(result(&w).byte == *end);
	}
	waiter_end(&w);
	printf("heard by %d threads\n", MANY_THREADS);
	waiter_start(&w);
	wait_inside(&w, 'F');
	CHECK(!kill(w.pid, SIGHUP) && result(&w).byte == 'f');
	check_heard(&w, 'o');
	waiter_end(&w);
	printf("heard after a handler has forked\n");
}

static void part_limits(void)
{
	struct waiter w;

	waiter_start(&w);
	write_all(w.ctl, "T", 1);
	(void)result(&w);
	wait_inside(&w, 'r');
	check_called(&w, 'r');
	waiter_end(&w);
	waiter_start(&w);
	wait_inside(&w, 'r');
	send_byte(&w, w.kernels, 'k');
	CHECK(result(&w).byte == 'k');
	write_all(w.ctl, "t", 1);
	(void)result(&w);
	write_all(w.ctl, "r", 1);
	printf("time is over: %s\n", strerror(result(&w).err));
	waiter_end(&w);
}

static void check_cancelled(char order, char cancelled)
{
	struct waiter w;

	waiter_start(&w);
	wait_inside(&w, order);
	leave(&w);
	write_all(w.ctl, &cancelled, 1);
	CHECK(read_all(w.ctl, &w.tid, sizeof(w.tid)) == sizeof(w.tid));
	while (!comes_inside(&w))
		send_byte(&w, w.kernels, 'k');
	write_all(w.ctl, "", 1);
	printf("cancelled: %ld\n", result(&w).r);
	w.tid = w.pid;
	wait_inside(&w, order);
	check_called(&w, order);
	waiter_end(&w);
}

static void part_cancelled(void)
{
	check_cancelled('r', 'c');
	check_cancelled('o', 'C');
}

static void part_unsignalled(void)
{
	struct rlimit before, none;
	struct waiter w;

	few_signals = true;
	waiter_start(&w);
	few_signals = false;
	check_heard(&w, 'r');
	waiter_end(&w);
	printf("heard where no signal can be sent\n");
	waiter_start(&w);
	check_heard(&w, 'd');
	waiter_end(&w);
	printf("heard where it is blocked\n");
	waiter_start(&w);
	check_heard(&w, 'l');
	waiter_end(&w);
	printf("heard where there is no stack for it\n");
	waiter_start(&w);
	check_heard(&w, 'k');
	waiter_end(&w);
	printf("heard by a handler that has none left\n");
	waiter_start(&w);
	wait_inside(&w, 'r');
	CHECK(!prlimit(w.pid, RLIMIT_SIGPENDING, NULL, &before));
	none = (struct rlimit){ 0, before.rlim_max };
	CHECK(!prlimit(w.pid, RLIMIT_SIGPENDING, &none, NULL));
	send_byte(&w, w.ours, 'v');
	usleep(SHORT_MS * 1000);
	CHECK(!prlimit(w.pid, RLIMIT_SIGPENDING, &before, NULL));
	CHECK(result(&w).byte == 'v');
	waiter_end(&w);
	printf("heard when it can be sent again\n");
	waiter_start(&w);
	wait_inside(&w, 'h');
	check_called(&w, 'h');
	waiter_end(&w);
	printf("heard inside a handler\n");
}

/* It waits by @order, in which another thread of its does something and says so; then what comes by a channel is heard. */
static void check_goes_on(const struct waiter *w, char order)
{
	write_all(w->ctl, &order, 1);
	(void)comes_inside(w);
	write_all(w->ctl, "", 1);
	CHECK(read_all(w->ctl, &(char){ 0 }, 1) == 1);
	send_byte(w, w->ours, 'v');
	CHECK(result(w).byte == 'v');
}

static void cancelled(void *arg)
{
	(void)arg;
	_exit(0);
}

static void cancels_sleeper(union sigval first)
{
	(void)pthread_cancel(*(pthread_t *)first.sival_ptr);
}

/* The process has no thread but the helper, until libc makes one for the timer; nobody comes. */
static void accepts_until_timer(void)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = SHORT_MS * 1000000L } };
	pthread_t self = pthread_self();
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = cancels_sleeper, .sigev_value = { .sival_ptr = &self } };
	uint16_t port;
	int at = listen_any(&port);
	timer_t timer;

	wait_first(at);
	(void)alarm(ANSWER_MS / 1000);
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer) && !timer_settime(timer, 0, &soon, NULL));
	pthread_cleanup_push(cancelled, NULL);
	CHECK(accept(at, NULL, NULL) < -1);
	pthread_cleanup_pop(0);
}

static void becomes_timed(int arg)
{
	(void)arg;
	exec_role("timed");
}

static void part_timer(void)
{
	child_end(child_start(becomes_timed, 0));
	printf("cancelled by a thread that libc has made\n");
}

static void part_changed(void)
{
	struct waiter w;

	waiter_start(&w);
	wait_inside(&w, 'r');
	leave(&w);
	check_goes_on(&w, 'n');
	waiter_end(&w);
	printf("waits on where another thread has set O_NONBLOCK\n");
	waiter_start(&w);
	wait_inside(&w, 'r');
	leave(&w);
	write_all(w.ctl, "e", 1);
	waiter_end(&w);
	printf("ends while another thread waits\n");
}

/* libc interrupts all threads for that, by a handler with SA_RESTART. */
static void part_setuid(void)
{
	struct waiter w;

	waiter_start(&w);
	wait_inside(&w, 'r');
	leave(&w);
	for (int times = 0; times < 2; times++) /* inside; there is a channel */
		check_goes_on(&w, 'u');
	waiter_end(&w);
	printf("waits on where another thread changes the user\n");
}

static void part_timed(void)
{
	struct waiter w;

	waiter_start(&w);
	w.accepts = true;
	wait_inside(&w, 'a');
	leave(&w);
	write_all(w.ctl, "f", 1);
	for (int i = 0; i < TIMED; i++)
		leave(&w);
	write_all(w.ctl, "a", 1);
	(void)comes_inside(&w);
	send_byte(&w, w.ours, 'v');
	CHECK(result(&w).byte == 'v');
	waiter_end(&w);
	printf("heard after time-outs were taken off\n");
}

/* ---- a program that has no thread but its first, and the library's ------------------------------------------------ */

static void tells_end(void *conn)
{
	write_all(*(int *)conn, "e", 1);
	_exit(0);
}

static int cancels_first(void *first)
{
	usleep(SHORT_MS * 1000);
	CHECK(!pthread_cancel(*(pthread_t *)first));
	sleep(ANSWER_MS / 1000);
	_exit(1);
}

/* Cancelled by itself, or by a thread that pthread_create() has not made, it ends in a call of the kernel's. */
static void serve_cancelled(int fd)
{
	pthread_t first = pthread_self();
	int conn, ends[2];
	thrd_t thread;
	char how;

	server_ready(fd);
	conn = accept_one(fd);
	CHECK(!pipe(ends) && read_all(conn, &how, 1) == 1);
	pthread_cleanup_push(tells_end, &conn);
	if (how == 's') {
		write_all(ends[1], "", 1);
		CHECK(!pthread_cancel(first));
	} else {
		CHECK(thrd_create(&thread, cancels_first, &first) == thrd_success);
	}
	(void)!read(ends[0], &how, 1);
	pthread_cleanup_pop(0);
	write_all(conn, "n", 1);
}

static void part_cancelled_first(void)
{
	for (const char *how = "so"; *how; how++) {
		pid_t pid;
		char end;
		int fd = connect_to(server_start(serve_cancelled, &pid));

		write_all(fd, how, 1);
		CHECK(read_all(fd, &end, 1) == 1 && end == 'e');
		close(fd);
		child_end(pid);
	}
	printf("the first thread is cancelled by itself, and by another\n");
}

static uint16_t connects_to;

static void connects(int go)
{
	char byte;
	int fd;

	CHECK(read(go, &byte, 1) == 1);
	fd = connect_to(connects_to);
	(void)!read(fd, &byte, 1);
}

static bool sleeps_beside(const struct waiter *w)
{
	long nr = sleeps_in(w);

	return nr == SYS_poll || nr == SYS_ppoll || nr == SYS_pselect6 || sleeps_in_set(w);
}

/* A signal that comes just as a client on channels, the first, ends the wait in the kernel's call ends the program's wait, too. Without one it lasts as long as is said. */
static void check_beside(char order, int rounds)
{
	struct result res;
	struct waiter w;

	waiter_start(&w);
	connects_to = w.port;
	write_all(w.ctl, &order, 1);
	for (int i = 0; i < rounds; i++) {
		bool late = i % 5 == 4;
		int go[2];
		pid_t client;

		CHECK(!pipe2(go, O_CLOEXEC));
		client = child_start(connects, go[0]);
		usleep(SHORT_MS * 1000); /* without a channel the helper listens in its place by then */
		for (int times = 0; times < TIMED; times++) {
			write_all(w.ctl, "g", 1);
			leave(&w);
		}
		write_all(w.ctl, late ? "l" : "g", 1);
		while (!sleeps_beside(&w))
			usleep(1000);
		write_all(go[1], "g", 1);
		for (uint64_t until = now_ms() + LOOKS; sleeps_beside(&w) && now_ms() < until;)
			;
		CHECK(late || !kill(w.pid, SIGUSR2));
		res = result(&w);
		CHECK(res.r == -1 && res.err == (late ? 0 : EINTR) && res.byte == (late ? 'l' : 'g'));
		child_end(client);
		close(go[0]);
		close(go[1]);
	}
	waiter_end(&w);
	printf("%c: left for a handler\n", order);
}

static void part_set(void)
{
	check_beside('s', ROUNDS);
}

static void part_beside(void)
{
	check_beside('S', ROUNDS);
	check_beside('I', ROUNDS);
}

void inside_role(const char *role)
{
	if (strcmp(role, "timed"))
		return;
	accepts_until_timer();
	exit(1);
}

void inside_parts(const char *only)
{
	static const struct part parts[] = {
		{ "inside", part_called }, { "inside_signals", part_signals }, { "inside_polls", part_polls }, { "inside_limits", part_limits }, { "inside_cancelled", part_cancelled },
		{ "inside_unsignalled", part_unsignalled }, { "inside_changed", part_changed }, { "inside_timer", part_timer }, { "inside_setuid", part_setuid }, { "inside_timed", part_timed },
		{ "cancelled_first", part_cancelled_first }, { "inside_set", part_set }, { "inside_beside", part_beside },
	};

	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
}
