// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_dgram.h over the kernel's sockets: UDP on the loopback, or Unix datagrams. Connected, in batches, with as large a
 * buffer as the system allows; and with the segmentation offload that makes one packet of a batch on its way through
 * the kernel.
 */
#include "cli/bench_dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 << 20, BUSY_POLL_US = 50, PATIENCE_MS = 100 };

/* A datagram that is cut up: IPv4 takes no more. */
enum { OFFLOAD_BYTES_MAX = 65507, OFFLOAD_SEGMENTS_MAX = 64 };

struct kernel_dgram {
	int fd;
	struct mmsghdr msgs[DGRAM_BATCH_MAX];
	struct iovec iov[DGRAM_BATCH_MAX];
};

static int failed(struct dgram *d, const char *what)
{
	d->failed = what;
	return -errno;
}

static bool is_unix(const struct dgram *d)
{
	return d->peer->way == DGRAM_UNIX || d->peer->way == DGRAM_UNIX_SPIN;
}

static bool spins(const struct dgram *d)
{
	return d->peer->way != DGRAM_BLOCK && d->peer->way != DGRAM_UNIX;
}

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value)); /* better if it works; nothing depends on it */
}

static int kdgram_open(struct dgram *d)
{
	struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	struct kernel_dgram *k = calloc(1, sizeof(*k));

	d->priv = k;
	if (k == NULL)
		return failed(d, "memory");
	for (unsigned i = 0; i < d->batch; i++) {
		k->iov[i] = (struct iovec){ .iov_base = d->mem + i * d->bytes, .iov_len = d->bytes };
		k->msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &k->iov[i], .msg_iovlen = 1 };
	}
	k->fd = socket(is_unix(d) ? AF_UNIX : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		return failed(d, "socket");
	set(k->fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	set(k->fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
	set(k->fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
	set(k->fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
	set(k->fd, SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_US);
	setsockopt(k->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

static void kdgram_close(struct dgram *d)
{
	struct kernel_dgram *k = d->priv;

	close(k->fd);
	free(k);
}

static void unix_name(const struct dgram *d, struct sockaddr_un *ret_name)
{
	*ret_name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_name->sun_path, sizeof(ret_name->sun_path), "%s/dgram.sock", d->peer->ctx->dir);
}

static int kdgram_bind(struct dgram *d, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct kernel_dgram *k = d->priv;
	socklen_t len = sizeof(addr);
	struct sockaddr_un name;

	if (is_unix(d)) {
		unix_name(d, &name);
		unlink(name.sun_path); /* an earlier run's */
		*ret_port = 1;
		return bind(k->fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? failed(d, "bind") : 0;
	}
	if (bind(k->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(k->fd, (struct sockaddr *)&addr, &len) < 0)
		return failed(d, "bind");
	if (d->peer->way == DGRAM_OFFLOAD)
		set(k->fd, SOL_UDP, UDP_GRO, 1);
	*ret_port = ntohs(addr.sin_port);
	return 0;
}

static int kdgram_connect(struct dgram *d, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct kernel_dgram *k = d->priv;
	struct sockaddr_un name;
	int rc, segment = (int)d->bytes;

	unix_name(d, &name);
	rc = is_unix(d) ? connect(k->fd, (struct sockaddr *)&name, sizeof(name)) :
			  connect(k->fd, (struct sockaddr *)&addr, sizeof(addr));
	if (rc < 0)
		return failed(d, "connect");
	if (d->peer->way == DGRAM_OFFLOAD &&
	    setsockopt(k->fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
		return failed(d, "UDP_SEGMENT");
	return 0;
}

/* Many datagrams as one, which the kernel cuts where they are read, if not never. */
static int send_offloaded(struct dgram *d, unsigned n)
{
	struct kernel_dgram *k = d->priv;
	size_t most = min_size(OFFLOAD_SEGMENTS_MAX, OFFLOAD_BYTES_MAX / d->bytes);
	unsigned sent = 0;

	while (sent < n) {
		size_t now = min_size(n - sent, most);

		if (send(k->fd, d->mem + sent * d->bytes, now * d->bytes, 0) < 0)
			return errno == ENOBUFS || errno == EINTR ? (int)sent : failed(d, "send");
		sent += (unsigned)now;
	}
	return (int)sent;
}

static int kdgram_send(struct dgram *d, unsigned n)
{
	struct kernel_dgram *k = d->priv;
	int sent;

	if (d->peer->way == DGRAM_OFFLOAD)
		return send_offloaded(d, n);
	sent = sendmmsg(k->fd, k->msgs, n, 0);
	if (sent < 0)
		return errno == ENOBUFS || errno == EINTR ? 0 : failed(d, "sendmmsg");
	return sent;
}

static int recv_offloaded(struct dgram *d)
{
	struct kernel_dgram *k = d->priv;
	ssize_t len = recv(k->fd, d->mem, d->batch * d->bytes, d->peer->ctx->busy ? MSG_DONTWAIT : 0);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : failed(d, "recv");
	if ((size_t)len % d->bytes != 0) {
		errno = EBADMSG;
		return failed(d, "a datagram came with another length");
	}
	return (int)((size_t)len / d->bytes);
}

static int kdgram_recv(struct dgram *d)
{
	struct kernel_dgram *k = d->priv;
	int n;

	if (d->peer->way == DGRAM_OFFLOAD)
		return recv_offloaded(d);
	n = recvmmsg(k->fd, k->msgs, d->batch, spins(d) ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : failed(d, "recvmmsg");
	for (int i = 0; i < n; i++) {
		if (k->msgs[i].msg_len == d->bytes)
			continue;
		errno = EBADMSG;
		return failed(d, "a datagram came with another length");
	}
	return n;
}

const struct dgram_ops dgram_kernel = {
	.open = kdgram_open,
	.close = kdgram_close,
	.bind = kdgram_bind,
	.connect = kdgram_connect,
	.send = kdgram_send,
	.recv = kdgram_recv,
};
