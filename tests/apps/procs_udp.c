// SPDX-License-Identifier: BSD-2-Clause
/* Part of `procs`: UDP sockets that a server forks, hands on, or opens anew for each peer */
#include "procs_udp.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void limit_check(time_t begin)
{
	CHECK(time(NULL) - begin < LIMIT_S);
}

struct udp_common *common;

/* ---- who sends -------------------------------------------------------------------------------------------------- */

static void send_all(int fd, const struct order *o, unsigned *nr)
{
	time_t begin = time(NULL);

	for (unsigned i = 0; i < o->cnt; i++) {
		struct numbered n = { atomic_load(&common->turn), ++*nr };

		while ((int)(*nr - atomic_load(&common->got)) > WINDOW) {
			limit_check(begin);
			usleep(50);
		}
		CHECK(sendto(fd, &n, sizeof(n), 0, (const struct sockaddr *)&o->to, o->len) == sizeof(n));
	}
}

static void sends(int ctl)
{
	struct order o;
	unsigned nr = 0;
	int fd = -1;

	while (read_all(ctl, &o, sizeof(o)) == sizeof(o) && o.cnt) {
		if (fd < 0)
			fd = socket(o.to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		CHECK(fd >= 0);
		send_all(fd, &o, &nr);
		write_all(ctl, "", 1);
	}
}

void sender_start(struct sender *s)
{
	int via[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via));
	s->pid = child_start(sends, via[0]);
	close(via[0]);
	s->ctl = via[1];
}

void sender_end(const struct sender *s)
{
	struct order end = { .cnt = 0 }; /* others may have a copy, so it would not see the end of file */

	write_all(s->ctl, &end, sizeof(end));
	child_end(s->pid);
	close(s->ctl);
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

int bound_to(const struct order *at, bool shared)
{
	int fd = socket(at->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	CHECK(fd >= 0);
	if (shared)
		CHECK(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK(!bind(fd, (const struct sockaddr *)&at->to, at->len));
	return fd;
}

void send_begin(const struct server *s, unsigned cnt)
{
	struct order o = s->at;

	o.cnt = cnt;
	write_all(s->sender.ctl, &o, sizeof(o));
}

void send_end(const struct server *s)
{
	char c;

	CHECK(read_all(s->sender.ctl, &c, 1) == 1);
}

void send_some(const struct server *s, unsigned cnt)
{
	send_begin(s, cnt);
	send_end(s);
}

/* Return: its number; 0: nothing is there */
unsigned take(int fd, int flags)
{
	struct numbered n;
	ssize_t len = recv(fd, &n, sizeof(n), flags);

	if (len < 0 && (flags & MSG_DONTWAIT) && errno == EAGAIN)
		return 0;
	CHECK(len == sizeof(n) && n.turn == atomic_load(&common->turn));
	if (!(flags & MSG_PEEK))
		atomic_fetch_add(&common->got, 1);
	return n.nr;
}

bool waits_in_kernel(const struct server *s)
{
	unsigned want = ntohs(((const struct sockaddr_in *)&s->at.to)->sin_port), port;
	FILE *f = fopen(s->at.to.ss_family == AF_INET ? "/proc/net/udp" : "/proc/net/udp6", "r");
	unsigned long rx = 0, queued = 0;
	char line[256];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %*x %*x:%lx", &port, &rx) == 2 && port == want)
			queued += rx;
	fclose(f);
	return queued > 0;
}

void server_bind(struct server *s, int family)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	atomic_fetch_add(&common->turn, 1);
	atomic_store(&common->got, 0);
	memset((void *)common->seen, 0, sizeof(common->seen));
	memset(&s->at, 0, sizeof(s->at));
	s->at.len = family == AF_INET ? sizeof(in) : sizeof(in6);
	memcpy(&s->at.to, family == AF_INET ? (void *)&in : (void *)&in6, s->at.len);
	s->fd = bound_to(&s->at, true);
	CHECK(!getsockname(s->fd, (struct sockaddr *)&s->at.to, &s->at.len));
}

unsigned server_read(struct server *s)
{
	time_t begin = time(NULL);
	bool kernel;
	unsigned nr;

	do {
		limit_check(begin);
		send_some(s, 1);
		if (!wants_kernel())
			usleep(2000); /* for what both ways do at once */
		kernel = waits_in_kernel(s);
		nr = take(s->fd, 0);
		CHECK(nr == atomic_load(&common->got));
	} while (kernel != wants_kernel());
	return nr + 1;
}

unsigned server_serve(struct server *s, int family)
{
	server_bind(s, family);
	return server_read(s);
}

unsigned server_open(struct server *s, int family)
{
	sender_start(&s->sender);
	return server_serve(s, family);
}

void server_close(const struct server *s)
{
	close(s->fd);
	sender_end(&s->sender);
}

/* ---- a child reads on --------------------------------------------------------------------------------------------- */

int set_inherited;

static void way_none(int fd)
{
	(void)fd;
}

static void way_poll(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents == POLLIN);
	pfd.events |= POLLOUT;
	CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents == (POLLIN | POLLOUT));
}

static void way_select(int fd)
{
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	CHECK(select(fd + 1, &set, NULL, NULL, &limit) == 1 && FD_ISSET(fd, &set));
}

static void way_epoll(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	int set = epoll_create1(EPOLL_CLOEXEC);

	CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) && epoll_wait(set, &ev, 1, ANSWER_MS) == 1 && ev.data.fd == fd && ev.events == EPOLLIN);
	close(set);
}

static void way_inherited(int fd)
{
	struct epoll_event ev;

	CHECK(epoll_wait(set_inherited, &ev, 1, ANSWER_MS) == 1 && ev.data.fd == fd);
}

static void way_peek(int fd)
{
	CHECK(take(fd, MSG_PEEK) == take(fd, MSG_PEEK | MSG_DONTWAIT));
}

static void way_bytes(int fd)
{
	int bytes = 0;

	CHECK(!ioctl(fd, FIONREAD, &bytes) && bytes == sizeof(struct numbered));
}

static void way_syscall(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct timespec limit = { .tv_sec = ANSWER_MS / 1000 };

	CHECK(syscall(SYS_ppoll, &pfd, 1, &limit, NULL, 8) == 1);
}

const struct way ways[UDP_WAYS] = { { "read", way_none },	{ "poll", way_poll },	 { "select", way_select }, { "epoll", way_epoll },
	     { "epoll, a set of the parent's", way_inherited }, { "MSG_PEEK", way_peek }, { "FIONREAD", way_bytes }, { "ppoll by number", way_syscall } };

/* What waited when it began, in order; then what comes */
void reads_on(const struct server *s, const struct way *way, unsigned nr)
{
	for (unsigned i = 0; i < 2 * SOME; i++) {
		if (i == SOME)
			send_some(s, SOME);
		way->look(s->fd);
		CHECK(take(s->fd, 0) == nr + i);
	}
	CHECK(!take(s->fd, MSG_DONTWAIT));
}

static void part_child(void)
{
	for (unsigned i = 0; i < 2 * UDP_WAYS; i++) {
		const struct way *way = &ways[i / 2];
		struct epoll_event ev = { .events = EPOLLIN };
		struct server s;
		unsigned nr = server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		pid_t pid;

		set_inherited = epoll_create1(EPOLL_CLOEXEC);
		ev.data.fd = s.fd;
		CHECK(!epoll_ctl(set_inherited, EPOLL_CTL_ADD, s.fd, &ev));
		send_some(&s, SOME);
		pid = fork_must();
		if (!pid) {
			reads_on(&s, way, nr);
			_exit(0);
		}
		child_end(pid);
		send_some(&s, 1); /* and back again */
		CHECK(take(s.fd, 0) == nr + 2 * SOME);
		printf("a child reads on, by %s, IPv%d\n", way->name, i % 2 ? 6 : 4);
		close(set_inherited);
		server_close(&s);
	}
}

/* ---- by several threads at once, each of which is the first to use it ----------------------------------------------- */

static void *reads_all(void *fd)
{
	while (take(*(const int *)fd, MSG_DONTWAIT))
		;
	return NULL;
}

static void part_threads(void)
{
	for (unsigned i = 0; i < 8; i++) {
		pthread_t readers[READERS];
		struct server s;
		unsigned first = server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		pid_t pid;

		send_some(&s, SOME);
		pid = fork_must();
		if (!pid) {
			for (unsigned t = 0; t < READERS; t++)
				CHECK(!pthread_create(&readers[t], NULL, reads_all, &s.fd));
			for (unsigned t = 0; t < READERS; t++)
				CHECK(!pthread_join(readers[t], NULL));
			_exit(0);
		}
		child_end(pid);
		CHECK(atomic_load(&common->got) == first - 1 + SOME);
		server_close(&s);
	}
	printf("threads of a child read all, each the first to do so\n");
}

/* ---- sets and poll() of who has no context ---------------------------------------------------------------------------- */

static void *sleeps_at(void *set)
{
	uint64_t until_ms = now_ms() + ANSWER_MS;
	struct epoll_event ev;

	CHECK(epoll_wait(*(const int *)set, &ev, 1, ANSWER_MS) == 1 && now_ms() < until_ms);
	return NULL;
}

static int set_of(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC);

	CHECK(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev));
	return set;
}

static struct sender used;

static void late(int unused)
{
	struct server s = { .sender = used };
	pthread_t sleeper;
	int set;

	(void)unused;
	server_bind(&s, AF_INET);
	set = set_of(s.fd);
	CHECK(!pthread_create(&sleeper, NULL, sleeps_at, &set));
	usleep(100000); /* else it finds a context */
	CHECK(!take(s.fd, MSG_DONTWAIT));
	send_some(&s, 1);
	CHECK(!pthread_join(sleeper, NULL));
	CHECK(waits_in_kernel(&s) == wants_kernel());
	CHECK(take(s.fd, 0));
}

/* A thread that has slept in epoll_wait() since before the process had a context is woken by what comes over a channel. */
static void part_late(void)
{
	struct server s;

	server_open(&s, AF_INET);
	used = s.sender;
	child_end(child_start(late, 0));
	server_close(&s);
	printf("woken\n");
}

static void *sleeps(void *ends)
{
	char c;

	CHECK(read(*(const int *)ends, &c, 1) == 0);
	return NULL;
}

/* As resolvers ask, some of them with threads. What numbers it takes is looked at from outside. */
static void part_kernels_set(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int asked = socket(AF_INET, SOCK_DGRAM, 0), ends[2];
	pthread_t thread;

	CHECK(!bind(asked, (struct sockaddr *)&a, sizeof(a)) && !getsockname(asked, (struct sockaddr *)&a, &len) && !pipe(ends));
	for (int i = 0; i < 8; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0), set = set_of(fd);
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		struct epoll_event ev;

		CHECK(!connect(fd, (struct sockaddr *)&a, len) && send(fd, "x", 1, 0) == 1);
		if (i == 4)
			CHECK(!pthread_create(&thread, NULL, sleeps, &ends[0]));
		if (i < 4)
			CHECK(poll(&pfd, 1, 1) == 0);
		CHECK(epoll_wait(set, &ev, 1, 1) == 0 && recv(fd, &ev, sizeof(ev), MSG_DONTWAIT) == -1);
		close(set);
		close(fd);
	}
	close(ends[1]);
	CHECK(!pthread_join(thread, NULL));
	close(ends[0]);
	close(asked);
	printf("asked\n");
}

/* ---- several read at once ------------------------------------------------------------------------------------------ */

void reads_by_turns(const struct server *s, unsigned last, bool waits)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	time_t begin = time(NULL);
	unsigned before = 0, nr;

	while (atomic_load(&common->got) < last) {
		limit_check(begin);
		if (waits)
			CHECK(poll(&pfd, 1, 10) >= 0);
		else
			sched_yield();
		nr = take(s->fd, MSG_DONTWAIT);
		if (!nr)
			continue;
		CHECK(nr > before && nr <= last); /* one sender's come in order, as far as one reader can see */
		before = nr;
		CHECK(!atomic_fetch_add(&common->seen[nr], 1));
	}
}

/* Children come to read in the middle of it, and the parent goes on. */
static void part_turns(void)
{
	for (int i = 0; i < 4; i++) {
		struct server s;
		pid_t children[2];
		unsigned first = server_open(&s, i % 2 ? AF_INET6 : AF_INET), last = ALL - SOME;

		send_begin(&s, last - first + 1);
		for (unsigned nr = first; nr < first + 10 * SOME; nr++) {
			CHECK(take(s.fd, 0) == nr);
			CHECK(!atomic_fetch_add(&common->seen[nr], 1));
		}
		for (int c = 0; c < 2; c++) {
			children[c] = fork_must();
			if (!children[c]) {
				reads_by_turns(&s, last, i < 2);
				_exit(0);
			}
		}
		reads_by_turns(&s, last, i < 2);
		send_end(&s);
		for (int c = 0; c < 2; c++)
			child_end(children[c]);
		for (unsigned nr = first; nr <= last; nr++)
			CHECK(common->seen[nr] == 1);
		printf("each of three took some, and nobody what another had\n");
		server_close(&s);
	}
}

/* ---- the one who had it goes --------------------------------------------------------------------------------------- */

enum { GOES_CLOSES, GOES_EXITS, GOES_EXECS, GOES_CNT };

static void holds(struct server *s, int family, int how, int gone[2], int done)
{
	unsigned nr = server_serve(s, family);
	pid_t child;
	char c;

	send_some(s, SOME);
	child = fork_must();
	if (!child) {
		close(gone[1]);
		CHECK(read_all(gone[0], &c, 1) == 0);
		reads_on(s, &ways[0], nr);
		write_all(done, "", 1);
		_exit(0);
	}
	if (how == GOES_EXECS) {
		execl("/bin/true", "true", (char *)NULL);
		check_failed(__FILE__, __LINE__, "exec");
	}
	if (how == GOES_CLOSES) {
		close(s->fd);
		close(gone[1]);
		child_end(child);
	}
	exit(0);
}

/* The child reads when its parent has gone, by which way ever. */
static void part_goes(void)
{
	static const char *const names[] = { "closed it", "ended", "become another program" };

	for (int i = 0; i < 2 * GOES_CNT; i++) {
		int gone[2], done[2];
		struct server s;
		pid_t holder;
		char c;

		sender_start(&s.sender);
		CHECK(!pipe2(gone, O_CLOEXEC) && !pipe2(done, O_CLOEXEC));
		fflush(stdout);
		holder = fork_must();
		if (!holder)
			holds(&s, i % 2 ? AF_INET6 : AF_INET, i / 2, gone, done[1]);
		close(gone[0]);
		close(gone[1]);
		close(done[1]);
		CHECK(read_all(done[0], &c, 1) == 1);
		child_end(holder);
		close(done[0]);
		printf("a child reads when its parent has %s\n", names[i / 2]);
		sender_end(&s.sender);
	}
}

/* ---- a socket for each peer ---------------------------------------------------------------------------------------- */

/* A server that reads first, and then has a child with a socket of its own that is connected to who has sent. Others are the parent's. */
static void part_peer(void)
{
	for (int i = 0; i < 4; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		int ready[2], status;
		struct sender other;
		struct numbered n;
		struct server s;
		struct order o;
		unsigned nr;
		char c;
		pid_t pid;

		nr = server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		sender_start(&other);
		send_some(&s, 1);
		CHECK(recvfrom(s.fd, &n, sizeof(n), 0, (struct sockaddr *)&from, &len) == sizeof(n) && n.nr == nr);
		atomic_fetch_add(&common->got, 1);
		CHECK(!pipe2(ready, O_CLOEXEC));
		pid = fork_must();
		if (!pid) {
			int fd;

			if (i / 2)
				close(s.fd);
			fd = bound_to(&s.at, true);
			CHECK(!connect(fd, (struct sockaddr *)&from, len));
			write_all(ready[1], "", 1);
			for (unsigned k = 1; k <= SOME; k++)
				CHECK(take(fd, 0) == nr + k);
			_exit(0);
		}
		CHECK(read_all(ready[0], &c, 1) == 1);
		send_some(&s, SOME);
		child_end(pid);
		o = s.at;
		o.cnt = 1;
		write_all(other.ctl, &o, sizeof(o));
		CHECK(read_all(other.ctl, &c, 1) == 1);
		CHECK(recv(s.fd, &n, sizeof(n), 0) == sizeof(n) && n.nr == 1);
		status = recv(s.fd, &n, sizeof(n), MSG_DONTWAIT) < 0 ? errno : 0;
		CHECK(status == EAGAIN);
		printf("the peer's come to its own socket, the other one's to the first\n");
		close(ready[0]);
		close(ready[1]);
		sender_end(&other);
		server_close(&s);
	}
}

/* ---- by message ---------------------------------------------------------------------------------------------------- */

static void reads_sent(int via)
{
	int fd = fd_recv(via);
	unsigned nr;

	write_all(via, "", 1);
	nr = take(fd, 0);
	for (unsigned i = 1; i < SOME; i++)
		CHECK(take(fd, 0) == nr + i);
}

static void part_sent(void)
{
	for (int i = 0; i < 2; i++) {
		struct server s;
		int via[2];
		pid_t pid;
		char c;

		CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via));
		pid = child_start(reads_sent, via[1]);
		server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		fd_send(via[0], s.fd);
		CHECK(read_all(via[0], &c, 1) == 1);
		send_some(&s, SOME);
		child_end(pid);
		printf("who was given it reads\n");
		close(via[0]);
		close(via[1]);
		server_close(&s);
	}
}

static void reads_unread(int via)
{
	struct pollfd pfd = { .fd = fd_recv(via), .events = POLLIN };
	unsigned nr;
	char c;

	CHECK(read_all(via, &c, 1) == 1 && poll(&pfd, 1, ANSWER_MS) == 1);
	nr = take(pfd.fd, MSG_DONTWAIT);
	CHECK(nr);
	for (unsigned i = 1; i < SOME; i++)
		CHECK(take(pfd.fd, MSG_DONTWAIT) == nr + i);
}

/* What has come is his who gets the socket, though it is closed here before he looks at it. */
static void part_sent_unread(void)
{
	for (int i = 0; i < 2; i++) {
		struct server s;
		int via[2];
		pid_t pid;

		CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, via));
		pid = child_start(reads_unread, via[1]);
		server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		send_some(&s, SOME);
		fd_send(via[0], s.fd);
		close(s.fd);
		write_all(via[0], "", 1);
		child_end(pid);
		printf("who was given it reads what had come\n");
		close(via[0]);
		close(via[1]);
		sender_end(&s.sender);
	}
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

/* Connected to @s, which has had something from it. */
static int client_of(const struct server *s)
{
	int client = socket(s->at.to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buf[8];

	CHECK(!connect(client, (const struct sockaddr *)&s->at.to, s->at.len) && send(client, "1234", 4, 0) == 4);
	CHECK(recv(s->fd, buf, sizeof(buf), 0) == 4);
	return client;
}

/* @asks: by getsockopt(), else it reads */
static void told_refused(int client, bool asks)
{
	int err = 0;
	socklen_t len = sizeof(err);
	char buf[8];

	if (asks)
		CHECK(!getsockopt(client, SOL_SOCKET, SO_ERROR, &err, &len) && err == ECONNREFUSED);
	else
		CHECK(recv(client, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == ECONNREFUSED);
}

static void told_nothing(int client)
{
	int err = 0;
	socklen_t len = sizeof(err);

	CHECK(!getsockopt(client, SOL_SOCKET, SO_ERROR, &err, &len) && !err);
}

/* That nobody is there (any more) is told once, to whoever asks first: the child that reads, or the one that asks for the error. */
static void part_error(void)
{
	for (int i = 0; i < 4; i++) {
		struct server s;
		char buf[8];
		int client;
		pid_t pid;

		server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		client = client_of(&s);
		CHECK(recv(client, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
		server_close(&s);
		pid = fork_must();
		if (!pid) {
			struct pollfd pfd = { .fd = client, .events = POLLIN };

			CHECK(send(client, "1234", 4, 0) == 4);
			CHECK(poll(&pfd, 1, ANSWER_MS) == 1);
			told_refused(client, i / 2);
			_exit(0);
		}
		child_end(pid);
		told_nothing(client);
		printf("nobody is there, said once\n");
		close(client);
	}
}

/* The same when the error was there before the child: what the parent has not asked for the child may be told, and nobody twice. */
static void part_error_before(void)
{
	for (int i = 0; i < 4; i++) {
		struct pollfd pfd = { .events = 0 };
		struct server s;
		int client;
		pid_t pid;

		server_open(&s, i % 2 ? AF_INET6 : AF_INET);
		client = client_of(&s);
		server_close(&s);
		CHECK(send(client, "1234", 4, 0) == 4);
		pfd.fd = client;
		CHECK(poll(&pfd, 1, ANSWER_MS) == 1 && pfd.revents == POLLERR);
		pid = fork_must();
		if (!pid) {
			told_refused(client, i / 2);
			_exit(0);
		}
		child_end(pid);
		told_nothing(client);
		printf("nobody is there, said once to the child\n");
		close(client);
	}
}

/* ---- shut, with something unread ------------------------------------------------------------------------------------- */

/* Over the kernel: libc's own syscall() has nobody in front of it. */
static void send_unseen(const struct server *s)
{
	long (*unseen)(long number, ...);
	long fd;

	*(void **)&unseen = dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall");
	fd = unseen(SYS_socket, s->at.to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(unseen(SYS_sendto, fd, "12", 2, 0, &s->at.to, s->at.len) == 2);
	CHECK(!unseen(SYS_close, fd));
}

/* What has come before shutdown() is read after it, also the kernel's, whichever way the last ones came. */
static void part_shut(void)
{
	struct server s;
	char buf[8];

	server_open(&s, AF_INET);
	for (int i = 0; i < SOME; i++) {
		send_some(&s, 1);
		take(s.fd, 0);
	}
	send_unseen(&s);
	CHECK(shutdown(s.fd, SHUT_RD) < 0 && errno == ENOTCONN);
	CHECK(recv(s.fd, buf, sizeof(buf), 0) == 2);
	CHECK(recv(s.fd, buf, sizeof(buf), 0) == 0);
	server_close(&s);
	printf("what was unread, and the end\n");
}

/* ---- datagrams in pieces, from two threads on one processor ------------------------------------------------------- */

enum { PIECES_CNT = 50000, PIECES_BYTES = 1000 };
static struct sockaddr_in pieces_to;

/* What each thread sends has a length and a byte of its own. */
static void *send_pieces(void *arg)
{
	int name = *(int *)arg, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char half[PIECES_BYTES];
	struct iovec iov[] = { { half, PIECES_BYTES }, { half, (size_t)(100 * name) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	memset(half, 'a' + name, sizeof(half));
	CHECK(!connect(fd, (struct sockaddr *)&pieces_to, sizeof(pieces_to)));
	for (int i = 0; i < PIECES_CNT; i++)
		CHECK(sendmsg(fd, &msg, 0) == PIECES_BYTES + 100 * name);
	close(fd);
	return NULL;
}

static void pieces_sender(int go)
{
	int names[] = { 1, 2 };
	pthread_t thread;
	cpu_set_t set;
	int cpu = 0;

	CHECK(!sched_getaffinity(0, sizeof(set), &set));
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(0, sizeof(set), &set));
	CHECK(read_all(go, &pieces_to, sizeof(pieces_to)) == sizeof(pieces_to));
	CHECK(!pthread_create(&thread, NULL, send_pieces, &names[0]));
	send_pieces(&names[1]);
	CHECK(!pthread_join(thread, NULL));
}

/* Return: is there one, which is whole? */
static bool take_pieces(int fd)
{
	char buf[2 * PIECES_BYTES];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		CHECK(buf[i] == 'a' + (n - PIECES_BYTES) / 100);
	return n > 0;
}

/* There are more than there is room for, so senders wait for it by turns; some are lost. */
static void part_pieces(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);
	unsigned taken = 0;
	int go[2], fd;
	pid_t pid;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	pid = child_start(pieces_sender, go[1]);
	close(go[1]);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(!bind(fd, (struct sockaddr *)&any, len) && !getsockname(fd, (struct sockaddr *)&any, &len));
	CHECK(!take_pieces(fd)); /* from here on they come over channels, where there are some */
	write_all(go[0], &any, sizeof(any));
	for (;;) {
		struct pollfd pfd[] = { { .fd = fd, .events = POLLIN }, { .fd = go[0], .events = POLLIN } };

		CHECK(poll(pfd, 2, ANSWER_MS) > 0);
		while (take_pieces(fd))
			taken++;
		if (pfd[1].revents)
			break;
	}
	child_end(pid);
	close(fd);
	close(go[0]);
	CHECK(taken);
	printf("none has another one's bytes\n");
}

void udp_common_map(void)
{
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED, UDP_COMMON_FD, 0);
	CHECK(common != MAP_FAILED);
}

void udp_parts(const char *only)
{
	static const struct part parts[] = {
		{ "udp_child", part_child }, { "udp_threads", part_threads }, { "udp_turns", part_turns }, { "udp_goes", part_goes },
		{ "udp_peer", part_peer },   { "udp_sent", part_sent },	  { "udp_error", part_error }, { "udp_error_before", part_error_before },
		{ "udp_sent_unread", part_sent_unread }, { "pieces", part_pieces }, { "late_set", part_late }, { "kernels_set", part_kernels_set },
		{ "udp_shut", part_shut },
	};

	int fd = memfd_create("common", 0);

	CHECK(fd >= 0 && !ftruncate(fd, sizeof(*common)) && dup2(fd, UDP_COMMON_FD) == UDP_COMMON_FD);
	close(fd);
	udp_common_map();
	parts_run(parts, sizeof(parts) / sizeof(parts[0]), only);
	udp_exec_parts(only);
	close(UDP_COMMON_FD);
}
