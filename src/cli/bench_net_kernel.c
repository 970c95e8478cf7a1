// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_net.h over the kernel's TCP on the loopback, at its best: TCP_NODELAY, no system call that
 * is not needed, epoll in batches or none at all, SO_BUSY_POLL where it is allowed (the loopback
 * has no queue to poll, so it changes nothing there). And over Unix sockets, likewise.
 */
#include "cli/bench_net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUSY_POLL_US = 50, EVENTS_MAX = 256, DIALS_OF_ADDRESS = 16384 };

struct kernel_net {
	int listener, epfd;
	uint32_t dialed;
	int *fds;
	struct epoll_event evs[EVENTS_MAX];
};

static int failed(struct net *net, const char *what)
{
	net->failed = what;
	return -errno;
}

static enum net_way way_of(const struct net *net)
{
	return (enum net_way)(net->peer->way & ~NET_UNIX);
}

static bool is_unix(const struct net *net)
{
	return (net->peer->way & NET_UNIX) != 0;
}

static bool by_epoll(const struct net *net)
{
	return way_of(net) == NET_EPOLL || way_of(net) == NET_EPOLL_SPIN;
}

/* Where the server is: an address of either family */
union where {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};

static socklen_t where_is(const struct net *net, uint16_t port, union where *ret_where)
{
	*ret_where = (union where){ .any.sa_family = is_unix(net) ? AF_UNIX : AF_INET };
	if (is_unix(net)) {
		snprintf(ret_where->un.sun_path, sizeof(ret_where->un.sun_path), "%s/stream.sock",
			 net->peer->ctx->dir);
		return sizeof(ret_where->un);
	}
	ret_where->in.sin_port = htons(port);
	ret_where->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(ret_where->in);
}

static int new_socket(const struct net *net)
{
	return socket(is_unix(net) ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int kernel_open(struct net *net)
{
	struct kernel_net *k = calloc(1, sizeof(*k));

	net->priv = k;
	net->spins = way_of(net) == NET_RECV_SPIN || way_of(net) == NET_EPOLL_SPIN;
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
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = NET_LISTENER };
	struct kernel_net *k = net->priv;
	union where addr;
	socklen_t len = where_is(net, 0, &addr);

	if (is_unix(net))
		unlink(addr.un.sun_path); /* an earlier run's */
	k->listener = new_socket(net);
	if (k->listener < 0)
		return failed(net, "socket");
	if (bind(k->listener, &addr.any, len) < 0)
		return failed(net, "bind");
	if (listen(k->listener, 4096) < 0 || getsockname(k->listener, &addr.any, &len) < 0)
		return failed(net, "listen");
	*ret_port = is_unix(net) ? 1 : ntohs(addr.in.sin_port);
	return epoll_ctl(k->epfd, EPOLL_CTL_ADD, k->listener, &ev) < 0 ? failed(net, "epoll_ctl") : 0;
}

static int prepare(struct net *net, uint32_t conn, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = conn };
	struct kernel_net *k = net->priv;
	int one = 1, busy_us = BUSY_POLL_US;

	k->fds[conn] = fd;
	if (!is_unix(net) && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return failed(net, "TCP_NODELAY");
	setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &busy_us, sizeof(busy_us));
	if (by_epoll(net) && epoll_ctl(k->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
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
	/* nobody comes any more */
	return epoll_ctl(k->epfd, EPOLL_CTL_DEL, k->listener, NULL) < 0 ? failed(net, "epoll_ctl") : 0;
}

static int kernel_take(struct net *net, uint32_t conn)
{
	struct kernel_net *k = net->priv;
	int fd;

	if (k->dialed++ == 0 && fcntl(k->listener, F_SETFL, O_NONBLOCK) < 0)
		return failed(net, "fcntl");
	fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return errno == EAGAIN ? -EAGAIN : failed(net, "accept");
	return prepare(net, conn, fd);
}

/*
 * On the loopback connect() returns when the handshake is done; waiting for it elsewhere only adds calls. A local address has
 * ports for DIALS_OF_ADDRESS that rest in TIME_WAIT; then it is another's turn.
 */
static int kernel_dial(struct net *net, uint32_t conn, uint16_t port)
{
	struct kernel_net *k = net->priv;
	uint32_t turn = k->dialed++ / DIALS_OF_ADDRESS;
	union where addr;
	socklen_t len = where_is(net, port, &addr);
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (turn % 64 << 8)) };
	int fd = new_socket(net), one = 1, rc;

	if (fd < 0)
		return failed(net, "socket");
	rc = prepare(net, conn, fd);
	if (rc < 0 || is_unix(net) || turn == 0)
		return rc < 0 || connect(fd, &addr.any, len) == 0 ? rc : failed(net, "connect");
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return failed(net, "bind");
	return connect(fd, &addr.any, len) < 0 ? failed(net, "connect") : 0;
}

static int kernel_connect(struct net *net, uint16_t port)
{
	for (uint32_t i = 0; i < net->cnt; i++) {
		int rc = kernel_dial(net, i, port);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int kernel_poll(struct net *net, uint32_t *ret_conns, unsigned n)
{
	struct kernel_net *k = net->priv;
	int got;

	if (!by_epoll(net)) {
		unsigned cnt = 0;

		for (uint32_t i = 0; i < net->cnt && cnt < n; i++)
			if (k->fds[i] >= 0)
				ret_conns[cnt++] = i;
		return (int)cnt;
	}
	got = epoll_wait(k->epfd, k->evs, (int)min_u32(n, EVENTS_MAX),
			 net->spins ? 0 : net->wait_ms);
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
		recv(k->fds[conn], buf, len, way_of(net) == NET_RECV_BLOCK ? 0 : MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

static ssize_t kernel_send(struct net *net, uint32_t conn, const void *buf, size_t len)
{
	struct kernel_net *k = net->priv;
	ssize_t n = send(k->fds[conn], buf, len, MSG_NOSIGNAL | (way_of(net) == NET_RECV_BLOCK ? 0 : MSG_DONTWAIT));

	return n < 0 ? -errno : n;
}

const struct net_ops net_kernel = {
	.open = kernel_open,
	.close = kernel_close,
	.listen = kernel_listen,
	.accept = kernel_accept,
	.connect = kernel_connect,
	.take = kernel_take,
	.dial = kernel_dial,
	.poll = kernel_poll,
	.recv = kernel_recv,
	.send = kernel_send,
	.hang_up = kernel_hang_up,
};
