// SPDX-License-Identifier: BSD-2-Clause
/*
 * ring_talk.c - io_uring on sockets, by way of liburing: a server whose clients a ring accepts, reads and answers, and clients of all kinds
 *
 * ring_talk server PORT ring: 127.0.0.1 and ::1, until it is ended; a ring accepts, reads and answers
 * ring_talk server PORT calls: calls accept, a ring does the rest
 * ring_talk client PORT HOW: prints what came back; HOW: 0 to 15, the bits of enum how, or one of linked, datagrams. The same on channels and on
 *	the kernel. Each in a process of its own, since a program whose ring has worked on a socket has no more channels.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(cond) ((cond) ? (void)0 : die(#cond, __LINE__))

static _Noreturn void die(const char *what, int line)
{
	fprintf(stderr, "ring_talk.c:%d: %s: %s\n", line, what, strerror(errno));
	exit(1);
}

static struct io_uring ring;

static socklen_t address(struct sockaddr_storage *a, bool v6, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };

	memset(a, 0, sizeof(*a));
	memcpy(a, v6 ? (void *)&in6 : &in, v6 ? sizeof(in6) : sizeof(in));
	return v6 ? sizeof(in6) : sizeof(in);
}

/* Whoever stops and continues a process interrupts it. */
static void submit(void)
{
	int r;

	do
		r = io_uring_submit_and_wait(&ring, 1);
	while (r == -EINTR);
	errno = -r;
	CHECK(r >= 0);
}

/* One operation, to its end. Return: its result */
static int finish(void)
{
	struct io_uring_cqe *cqe;
	int r;

	submit();
	CHECK(!io_uring_wait_cqe(&ring, &cqe));
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return r;
}

/* ---- server ---------------------------------------------------------------------------------------------------- */

enum { CLIENTS_MAX = 64, BUF_BYTES = 4096 };
enum { DOES_ACCEPT, DOES_RECV, DOES_SEND, DOES_CLOSE };

static char bufs[1024][BUF_BYTES];
static int sent[1024], have[1024];

static struct io_uring_sqe *sqe_for(int does, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	CHECK(sqe);
	io_uring_sqe_set_data64(sqe, (uint64_t)does << 32 | (uint32_t)fd);
	return sqe;
}

static void next_recv(int fd)
{
	struct io_uring_sqe *sqe = sqe_for(DOES_RECV, fd);

	io_uring_prep_recv(sqe, fd, bufs[fd], BUF_BYTES, 0);
	io_uring_sqe_set_data64(sqe, (uint64_t)DOES_RECV << 32 | (uint32_t)fd);
}

static void next_send(int fd)
{
	struct io_uring_sqe *sqe = sqe_for(DOES_SEND, fd);

	io_uring_prep_send(sqe, fd, bufs[fd] + sent[fd], (size_t)(have[fd] - sent[fd]), MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, (uint64_t)DOES_SEND << 32 | (uint32_t)fd);
}

static void next_accept(int fd)
{
	struct io_uring_sqe *sqe = sqe_for(DOES_ACCEPT, fd);

	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, (uint64_t)DOES_ACCEPT << 32 | (uint32_t)fd);
}

static void next_close(int fd)
{
	struct io_uring_sqe *sqe = sqe_for(DOES_CLOSE, fd);

	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_data64(sqe, (uint64_t)DOES_CLOSE << 32 | (uint32_t)fd);
}

static void done(int does, int fd, int res)
{
	switch (does) {
	case DOES_ACCEPT:
		CHECK(res >= 0 && res < 1024);
		next_accept(fd);
		next_recv(res);
		break;
	case DOES_RECV:
		have[fd] = res;
		sent[fd] = 0;
		if (res > 0)
			next_send(fd);
		else
			next_close(fd);
		break;
	case DOES_SEND:
		sent[fd] += res > 0 ? res : 0;
		if (res <= 0)
			next_close(fd);
		else if (sent[fd] < have[fd])
			next_send(fd);
		else
			next_recv(fd);
		break;
	default:
		break;
	}
}

static int listener(bool v6, uint16_t port)
{
	struct sockaddr_storage a;
	socklen_t len = address(&a, v6, port);
	int fd = socket(a.ss_family, SOCK_STREAM, 0), on = 1;

	CHECK(fd >= 0);
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK(!bind(fd, (struct sockaddr *)&a, len) && !listen(fd, CLIENTS_MAX));
	return fd;
}

static void serve_ring(const int *fds)
{
	struct io_uring_cqe *cqe;

	next_accept(fds[0]);
	next_accept(fds[1]);
	for (;;) {
		int does, fd, res;

		submit();
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			does = (int)(cqe->user_data >> 32);
			fd = (int)(uint32_t)cqe->user_data;
			res = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
			done(does, fd, res);
		}
	}
}

/* ---- client ---------------------------------------------------------------------------------------------------- */

static int connected(bool v6, uint16_t port, bool by_ring)
{
	struct sockaddr_storage a;
	socklen_t len = address(&a, v6, port);
	int fd = socket(a.ss_family, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	if (by_ring) {
		io_uring_prep_connect(io_uring_get_sqe(&ring), fd, (struct sockaddr *)&a, len);
		CHECK(!finish());
	} else {
		CHECK(!connect(fd, (struct sockaddr *)&a, len));
	}
	return fd;
}

static size_t got(int fd, char *buf, size_t want, bool by_ring)
{
	size_t n = 0;
	ssize_t r = 1;

	for (; n < want && r > 0; n += r > 0 ? (size_t)r : 0) {
		if (by_ring)
			io_uring_prep_recv(io_uring_get_sqe(&ring), fd, buf + n, want - n, 0);
		r = by_ring ? finish() : recv(fd, buf + n, want - n, 0);
		errno = by_ring ? (int)-r : errno;
		CHECK(r >= 0);
	}
	return n;
}

static void put(int fd, const char *buf, size_t len, bool by_ring)
{
	ssize_t r;

	for (size_t n = 0; n < len; n += (size_t)r) {
		if (by_ring)
			io_uring_prep_send(io_uring_get_sqe(&ring), fd, buf + n, len - n, MSG_NOSIGNAL);
		r = by_ring ? finish() : send(fd, buf + n, len - n, MSG_NOSIGNAL);
		CHECK(r > 0);
	}
}

/* What the ring does, else a call */
enum how { CONNECTS = 1, SENDS = 2, READS = 4, CLOSES = 8 };

static void talk(bool v6, uint16_t port, unsigned how)
{
	int fd = connected(v6, port, how & CONNECTS), error = -1;
	socklen_t len = sizeof(error);
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	char out[10000], in[sizeof(out)];
	size_t total = 0;

	memset(in, 0, sizeof(in));
	for (unsigned turn = 0; turn < 8; turn++) {
		size_t n = 1 + turn * turn * 200;

		memset(out, (int)('a' + turn), n);
		put(fd, out, n, how & SENDS);
		if (turn == 3) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			if (how & READS)
				io_uring_prep_poll_add(io_uring_get_sqe(&ring), fd, POLLIN);
			CHECK(how & READS ? finish() & POLLIN : poll(&p, 1, 30000) == 1);
		}
		CHECK(got(fd, in, n, how & READS) == n && !memcmp(in, out, n));
		total += n;
	}
	CHECK(!getpeername(fd, (struct sockaddr *)&peer, &peer_len) && peer.ss_family == (v6 ? AF_INET6 : AF_INET));
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) && !error);
	CHECK(!shutdown(fd, SHUT_WR));
	CHECK(got(fd, in, 1, how & READS) == 0);
	if (how & CLOSES) {
		io_uring_prep_close(io_uring_get_sqe(&ring), fd);
		CHECK(!finish());
	} else {
		CHECK(!close(fd));
	}
	printf("%s %u: %zu bytes and the end\n", v6 ? "IPv6" : "IPv4", how, total);
}

/* In one go: a registered descriptor, and a close that is linked to what is sent */
static void linked(bool v6, uint16_t port)
{
	int fd = connected(v6, port, false), copy = dup(fd);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char in[5];

	CHECK(!io_uring_register_files(&ring, &fd, 1));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, 0, "hello", 5, MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	io_uring_prep_close(io_uring_get_sqe(&ring), fd);
	CHECK(io_uring_submit(&ring) == 2);
	for (int i = 0; i < 2; i++) {
		CHECK(!io_uring_wait_cqe(&ring, &cqe) && cqe->res == (i ? 0 : 5));
		io_uring_cqe_seen(&ring, cqe);
	}
	CHECK(!io_uring_unregister_files(&ring));
	CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
	CHECK(got(copy, in, 5, false) == 5 && !memcmp(in, "hello", 5));
	CHECK(!close(copy));
	printf("%s linked\n", v6 ? "IPv6" : "IPv4");
}

static void datagrams(bool v6)
{
	struct sockaddr_storage a;
	socklen_t len = address(&a, v6, 0);
	int to = socket(a.ss_family, SOCK_DGRAM, 0), from = socket(a.ss_family, SOCK_DGRAM, 0);
	char in[8];

	CHECK(to >= 0 && from >= 0 && !bind(to, (struct sockaddr *)&a, len));
	CHECK(!getsockname(to, (struct sockaddr *)&a, &len) && !connect(from, (struct sockaddr *)&a, len));
	for (int i = 0; i < 4; i++) {
		put(from, "datagram", 8, i & 1);
		CHECK(got(to, in, 8, i & 2) == 8);
	}
	CHECK(!close(to) && !close(from));
	printf("%s datagrams\n", v6 ? "IPv6" : "IPv4");
}

static void serve_calls(const int *fds)
{
	struct pollfd p[2] = { { .fd = fds[0], .events = POLLIN }, { .fd = fds[1], .events = POLLIN } };

	for (;;) {
		int fd, n;

		CHECK(poll(p, 2, -1) > 0);
		fd = accept(p[0].revents ? fds[0] : fds[1], NULL, NULL);
		CHECK(fd >= 0);
		for (;;) {
			io_uring_prep_recv(io_uring_get_sqe(&ring), fd, bufs[0], BUF_BYTES, 0);
			n = finish();
			if (n <= 0)
				break;
			put(fd, bufs[0], (size_t)n, true);
		}
		io_uring_prep_close(io_uring_get_sqe(&ring), fd);
		CHECK(!finish());
	}
}

int main(int argc, char **argv)
{
	uint16_t port = argc == 4 ? (uint16_t)atoi(argv[2]) : 0;

	CHECK(port);
	setvbuf(stdout, NULL, _IOLBF, 0);
	errno = -io_uring_queue_init(256, &ring, 0);
	if (errno) {
		perror("skipped: io_uring");
		return 77;
	}
	if (!strcmp(argv[1], "server")) {
		int fds[2] = { listener(false, port), listener(true, port) };

		strcmp(argv[3], "ring") ? serve_calls(fds) : serve_ring(fds);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		if (!strcmp(argv[3], "linked"))
			linked(v6, port);
		else if (!strcmp(argv[3], "datagrams"))
			datagrams(v6);
		else
			talk(v6, port, (unsigned)atoi(argv[3]));
	}
	return 0;
}
