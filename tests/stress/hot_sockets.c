// SPDX-License-Identifier: BSD-2-Clause
/*
 * hot_sockets.c - what a message costs a program that knows sockets only, to be counted by callgrind under vj run (hot_path.py)
 *
 * As in hot_path.c both ends live in one thread, so that every message takes the same way. What happens inside of hot_sockets() is counted.
 *
 *	hot_sockets recv N     N messages of 64 bytes back and forth on one connection: send(), recv()
 *	hot_sockets epoll N    the same on 100 connections at a time, each of which epoll_wait() tells
 *	hot_sockets poll N     on one connection, which poll() tells
 *	hot_sockets udp N      N datagrams of 64 bytes, back and forth: sendto(), recvfrom()
 *	hot_sockets kernel N   as recv, on a connection that is the kernel's: what the library adds to it
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hot.h"
#include "kernel_conn.h"

/* The connections of one side, or its UDP socket and where the other one's is */
struct side {
	int fds[CONNS_MAX], set;
	struct sockaddr_in other;
};

static struct side sides[2];
static unsigned conns;

static int socket_at_loopback(int type, struct sockaddr_in *ret_at)
{
	socklen_t len = sizeof(*ret_at);
	int fd = socket(AF_INET, type, 0);

	*ret_at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	REQUIRE(fd >= 0 && !bind(fd, (struct sockaddr *)ret_at, len) && !getsockname(fd, (struct sockaddr *)ret_at, &len));
	return fd;
}

/* Clients of who hasn't waited yet are the kernel's. */
static void connect_all(bool channel)
{
	struct sockaddr_in at;
	int listener = socket_at_loopback(SOCK_STREAM, &at);
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	REQUIRE(!listen(listener, CONNS_MAX));
	if (channel)
		REQUIRE(poll(&pfd, 1, 0) == 0);
	for (unsigned i = 0; i < conns; i++) {
		sides[0].fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		REQUIRE(sides[0].fds[i] >= 0 && !connect(sides[0].fds[i], (struct sockaddr *)&at, sizeof(at)));
		sides[1].fds[i] = accept(listener, NULL, NULL);
		REQUIRE(sides[1].fds[i] >= 0 && kernel_has_conn(sides[1].fds[i]) != channel);
	}
}

static void make_sets(void)
{
	for (unsigned k = 0; k < 2; k++) {
		sides[k].set = epoll_create1(0);
		REQUIRE(sides[k].set >= 0);
		for (unsigned i = 0; i < conns; i++) {
			struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };

			REQUIRE(!epoll_ctl(sides[k].set, EPOLL_CTL_ADD, sides[k].fds[i], &ev));
		}
	}
}

static void send_all(struct side *from, uint64_t seq)
{
	uint64_t msg[MSG_BYTES / 8];

	for (unsigned i = 0; i < conns; i++) {
		for (unsigned w = 0; w < MSG_BYTES / 8; w++)
			msg[w] = seq + i + w;
		REQUIRE(send(from->fds[i], msg, sizeof(msg), 0) == MSG_BYTES);
	}
}

static void recv_one(const struct side *to, unsigned i, uint64_t seq)
{
	uint64_t msg[MSG_BYTES / 8];

	REQUIRE(recv(to->fds[i], msg, sizeof(msg), 0) == MSG_BYTES && msg[7] == seq + i + 7);
}

static void recv_all(struct side *to, uint64_t seq)
{
	for (unsigned i = 0; i < conns; i++)
		recv_one(to, i, seq);
}

static void recv_told(struct side *to, uint64_t seq)
{
	struct epoll_event ev[CONNS_MAX];

	for (unsigned got = 0; got < conns;) {
		int n = epoll_wait(to->set, ev, CONNS_MAX, -1);

		REQUIRE(n > 0);
		for (int i = 0; i < n; i++)
			recv_one(to, ev[i].data.u32, seq);
		got += (unsigned)n;
	}
}

static void recv_polled(struct side *to, uint64_t seq)
{
	struct pollfd pfd = { .fd = to->fds[0], .events = POLLIN };

	REQUIRE(poll(&pfd, 1, -1) == 1 && pfd.revents == POLLIN);
	recv_one(to, 0, seq);
}

static void send_datagram(struct side *from, uint64_t seq)
{
	uint64_t msg[MSG_BYTES / 8] = { [7] = seq };

	REQUIRE(sendto(from->fds[0], msg, sizeof(msg), 0, (struct sockaddr *)&from->other, sizeof(from->other)) == MSG_BYTES);
}

static void recv_datagram(struct side *to, uint64_t seq)
{
	uint64_t msg[MSG_BYTES / 8];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	REQUIRE(recvfrom(to->fds[0], msg, sizeof(msg), 0, (struct sockaddr *)&from, &len) == MSG_BYTES);
	REQUIRE(msg[7] == seq && from.sin_port == to->other.sin_port);
}

static const struct way {
	const char *name;
	unsigned conns; /* 0: datagrams */
	bool kernel;
	void (*send)(struct side *from, uint64_t seq);
	void (*recv)(struct side *to, uint64_t seq);
} ways[] = {
	{ "recv", 1, false, send_all, recv_all },
	{ "epoll", CONNS_MAX, false, send_all, recv_told },
	{ "poll", 1, false, send_all, recv_polled },
	{ "udp", 0, false, send_datagram, recv_datagram },
	{ "kernel", 1, true, send_all, recv_all },
};

static void talk(const struct way *way, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		way->send(&sides[0], i);
		way->recv(&sides[1], i);
		way->send(&sides[1], i + 1);
		way->recv(&sides[0], i + 1);
	}
}

static __attribute__((noinline)) void hot_sockets(const struct way *way, unsigned turns)
{
	talk(way, turns);
}

int main(int argc, char **argv)
{
	unsigned messages = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	REQUIRE(argc == 3 && messages > 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct way *way = &ways[i];

		if (strcmp(argv[1], way->name) != 0)
			continue;
		conns = way->conns;
		if (conns) {
			connect_all(!way->kernel);
			make_sets();
		} else {
			for (unsigned k = 0; k < 2; k++)
				sides[k].fds[0] = socket_at_loopback(SOCK_DGRAM, &sides[1 - k].other);
		}
		talk(way, 20); /* the first few find their way */
		hot_sockets(way, messages / 2 / (conns ? conns : 1));
		return 0;
	}
	return 1;
}
