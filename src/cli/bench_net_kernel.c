// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_net.h over the kernel's TCP on the loopback, at its best: TCP_NODELAY, no system call that
 * is not needed, epoll in batches or none at all, SO_BUSY_POLL where it is allowed (the loopback
 * has no queue to poll, so it changes nothing there).
 */
#include "cli/bench_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUSY_POLL_US = 50, EVENTS_MAX = 256 };

struct kernel_net {
	int listener, epfd;
	bool first_poll;
	int *fds;
	struct epoll_event evs[EVENTS_MAX];
};

static int failed(struct net *net, const char *what)
{
	net->failed = what;
	return -errno;
}

static int kernel_open(struct net *net)
{
	struct kernel_net *k = calloc(1, sizeof(*k));

	net->priv = k;
	net->spins = net->peer->way == NET_RECV_SPIN || net->peer->way == NET_EPOLL_SPIN;
	if (k == NULL)
		return failed(net, "memory");
	k->listener = k->epfd = -1;
	k->fds = calloc(net->cnt, sizeof(*k->fds));
	if (k->fds == NULL)
		return failed(net, "memory");
	for (uint32_t i = 0; i < net->cnt; i++)
		k->fds[i] = -1;
	k->epfd = epoll_create1(EPOLL_CLOEXEC);
	return k->epfd < 0 ? failed(net, "epoll_create1") : 0;
}

static void kernel_hang_up(struct net *net, uint32_t conn)
{
	struct kernel_net *k = net->priv;

	if (k->fds[conn] >= 0)
		close(k->fds[conn]);
	k->fds[conn] = -1;
}

static void kernel_close(struct net *net)
{
	struct kernel_net *k = net->priv;

	for (uint32_t i = 0; i < net->cnt; i++)
		kernel_hang_up(net, i);
	if (k->listener >= 0)
		close(k->listener);
	close(k->epfd);
	free(k->fds);
	free(k);
}

static int kernel_listen(struct net *net, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct kernel_net *k = net->priv;
	socklen_t len = sizeof(addr);

	k->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (k->listener < 0)
		return failed(net, "socket");
	if (bind(k->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return failed(net, "bind");
	if (listen(k->listener, 4096) < 0 ||
	    getsockname(k->listener, (struct sockaddr *)&addr, &len) < 0)
		return failed(net, "listen");
	*ret_port = ntohs(addr.sin_port);
	return 0;
}

static int prepare(struct net *net, uint32_t conn, int fd)
{
	enum net_way way = (enum net_way)net->peer->way;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = conn };
	struct kernel_net *k = net->priv;
	int one = 1, busy_us = BUSY_POLL_US;

	k->fds[conn] = fd;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return failed(net, "TCP_NODELAY");
	setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &busy_us, sizeof(busy_us));
	if ((way == NET_EPOLL || way == NET_EPOLL_SPIN) &&
	    epoll_ctl(k->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return failed(net, "epoll_ctl");
	return 0;
}

static int kernel_accept(struct net *net)
{
	struct kernel_net *k = net->priv;

	for (uint32_t i = 0; i < net->cnt; i++) {
		int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC), rc;

		if (fd < 0)
			return failed(net, "accept");
		rc = prepare(net, i, fd);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int kernel_connect(struct net *net, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (uint32_t i = 0; i < net->cnt; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

		if (fd < 0)
			return failed(net, "socket");
		rc = prepare(net, i, fd);
		if (rc < 0)
			return rc;
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			return failed(net, "connect");
	}
	return 0;
}

static int kernel_poll(struct net *net, uint32_t *ret_conns, unsigned n)
{
	enum net_way way = (enum net_way)net->peer->way;
	struct kernel_net *k = net->priv;
	int got;

	if (way == NET_RECV_BLOCK || way == NET_RECV_SPIN) {
		unsigned cnt = 0;

		for (uint32_t i = 0; i < net->cnt && cnt < n; i++)
			if (k->fds[i] >= 0)
				ret_conns[cnt++] = i;
		return (int)cnt;
	}
	got = epoll_wait(k->epfd, k->evs, (int)min_u32(n, EVENTS_MAX),
			 way == NET_EPOLL_SPIN ? 0 : net->wait_ms);
	if (got < 0)
		return errno == EINTR ? 0 : failed(net, "epoll_wait");
	for (int i = 0; i < got; i++)
		ret_conns[i] = k->evs[i].data.u32;
	return got;
}

static ssize_t kernel_recv(struct net *net, uint32_t conn, void *buf, size_t len)
{
	struct kernel_net *k = net->priv;
	ssize_t n =
		recv(k->fds[conn], buf, len, net->peer->way == NET_RECV_BLOCK ? 0 : MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

static ssize_t kernel_send(struct net *net, uint32_t conn, const void *buf, size_t len)
{
	struct kernel_net *k = net->priv;
	ssize_t n = send(k->fds[conn], buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

const struct net_ops net_kernel = {
	.open = kernel_open,
	.close = kernel_close,
	.listen = kernel_listen,
	.accept = kernel_accept,
	.connect = kernel_connect,
	.poll = kernel_poll,
	.recv = kernel_recv,
	.send = kernel_send,
	.hang_up = kernel_hang_up,
};
