// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_many.h over the kernel's TCP on the loopback, at its best: TCP_NODELAY, epoll in batches that never sleep,
 * edge-triggered so that nothing is looked at twice, ports chosen at connect() (IP_BIND_ADDRESS_NO_PORT).
 */
#include "cli/bench_many.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_MAX = 64 };

/* As the kernel gives an event back: its descriptor, and the index of connect() */
#define DATA(fd, idx) ((uint64_t)(idx) << 32 | (uint32_t)(fd))

struct kernel_many {
	int listener, epfd;
	struct epoll_event evs[MANY_EVENTS_MAX];
};

static int failed(struct many *m, const char *what)
{
	m->failed = what;
	return -errno;
}

static int km_open(struct many *m)
{
	struct kernel_many *k = calloc(1, sizeof(*k));

	m->priv = k;
	if (k == NULL)
		return failed(m, "memory");
	k->listener = -1;
	k->epfd = epoll_create1(EPOLL_CLOEXEC);
	return k->epfd < 0 ? failed(m, "epoll_create1") : 0;
}

static void km_close(struct many *m)
{
	struct kernel_many *k = m->priv;

	if (k->listener >= 0)
		close(k->listener);
	close(k->epfd);
	free(k);
}

static int watch(struct many *m, int fd, uint32_t idx, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = DATA(fd, idx) };

	if (epoll_ctl(((struct kernel_many *)m->priv)->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return failed(m, "epoll_ctl");
	return 0;
}

static int km_listen(struct many *m, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct kernel_many *k = m->priv;
	socklen_t len = sizeof(addr);
	int one = 1;

	k->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->listener < 0)
		return failed(m, "socket");
	/* accepted connections inherit it */
	if (setsockopt(k->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return failed(m, "TCP_NODELAY");
	if (bind(k->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return failed(m, "bind");
	if (listen(k->listener, BACKLOG) < 0 || getsockname(k->listener, (struct sockaddr *)&addr, &len) < 0)
		return failed(m, "listen");
	*ret_port = ntohs(addr.sin_port);
	return watch(m, k->listener, 0, EPOLLIN);
}

static int km_accept(struct many *m)
{
	struct kernel_many *k = m->priv;
	int cnt;

	for (cnt = 0; cnt < ACCEPTS_MAX; cnt++) {
		int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), rc;

		if (fd < 0)
			return errno == EAGAIN ? cnt : failed(m, "accept");
		rc = watch(m, fd, 0, EPOLLIN | EPOLLRDHUP | EPOLLET);
		if (rc < 0)
			return rc;
	}
	return cnt;
}

static int km_connect(struct many *m, uint16_t port, uint32_t idx, uint32_t *ret_conn)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(m->source) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, rc;

	if (fd < 0)
		return failed(m, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	rc = bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
			     (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		     ? failed(m, "connect")
		     : watch(m, fd, idx, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (rc < 0)
		close(fd);
	else
		*ret_conn = (uint32_t)fd;
	return rc;
}

static uint32_t what_of(const struct kernel_many *k, const struct epoll_event *ev)
{
	if ((int)(uint32_t)ev->data.u64 == k->listener)
		return MANY_ACCEPT;
	return ((ev->events & EPOLLOUT) != 0 ? MANY_CONNECTED : 0u) |
	       ((ev->events & (EPOLLIN | EPOLLRDHUP)) != 0 ? MANY_READABLE : 0u) |
	       ((ev->events & EPOLLERR) != 0 ? MANY_FAILED : 0u);
}

static int km_poll(struct many *m, struct many_event *ev, unsigned n)
{
	struct kernel_many *k = m->priv;
	int got = epoll_wait(k->epfd, k->evs, (int)min_u32(n, MANY_EVENTS_MAX), m->wait_ms);

	if (got < 0)
		return errno == EINTR ? 0 : failed(m, "epoll_wait");
	for (int i = 0; i < got; i++)
		ev[i] = (struct many_event){ .what = what_of(k, &k->evs[i]),
					     .conn = (uint32_t)k->evs[i].data.u64,
					     .idx = (uint32_t)(k->evs[i].data.u64 >> 32) };
	return got;
}

/* Nothing can be done about the kernel's memory. */
static void km_soon(struct many *m, uint32_t conn)
{
	(void)m;
	(void)conn;
}

static ssize_t km_recv(struct many *m, uint32_t conn, void *buf, size_t len)
{
	ssize_t n = recv((int)conn, buf, len, 0);

	(void)m;
	return n < 0 ? -errno : n;
}

static ssize_t km_send(struct many *m, uint32_t conn, const void *buf, size_t len)
{
	ssize_t n = send((int)conn, buf, len, MSG_NOSIGNAL);

	(void)m;
	return n < 0 ? -errno : n;
}

static void km_hang_up(struct many *m, uint32_t conn)
{
	(void)m;
	close((int)conn);
}

const struct many_ops many_kernel = {
	.open = km_open,
	.close = km_close,
	.listen = km_listen,
	.accept = km_accept,
	.connect = km_connect,
	.poll = km_poll,
	.soon = km_soon,
	.recv = km_recv,
	.send = km_send,
	.hang_up = km_hang_up,
};
