// SPDX-License-Identifier: BSD-2-Clause
/*
 * called.c - a connection that was called (stack/tcp_call.c), and that nobody has accepted
 *
 * connect() has returned, and the program may have sent something, which nobody has read. The process that has a place for it, or promised one, listens no more, or has
 * ended; on the kernel another with the same listening socket would have the connection. So whoever holds the port on channels now is called, and
 * hears all of it; if there is nobody, the kernel connects, and is given what was said. If it refuses, too, the connection has ended as one
 * that waits in the backlog of a listener which is closed.
 */
#include "sock/priv.h"

#include "lib/connect.h"
#include "lib/kernel_option.h"
#include "sock/option.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

enum { REFUSALS_MAX = 8, KERNEL_MS = 100 };

bool sock_call_again(struct sock *s)
{
	struct connect_option opts[SOCK_OPTION_CNT];
	struct vj_conn again;
	unsigned cnt;

	if (s->refusals++ >= REFUSALS_MAX)
		return false;
	cnt = options_of(s, conn_is_v6(s, s->conn), opts);
	if (connect_again_with(sock.vj, s->conn, opts, cnt, (uint64_t)(uintptr_t)s, &again))
		return false;
	s->conn = again;
	return true;
}

/* The kernel's loopback answers at once; a backlog that is full makes it wait. Return: 0; -errno */
static int kernel_wait(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r = sys_poll_ms(&p, 1, KERNEL_MS);

	return r == 1 ? 0 : r < 0 ? r : -ETIMEDOUT;
}

static int kernel_connect(const struct sock *s, int fd)
{
	struct sockaddr_storage remote;
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr), err_len;
	int err, so_error = 0;

	vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
	sock_addr_copy(s, &remote, (struct sockaddr *)&addr, &len);
	err = sys_connect(fd, (struct sockaddr *)&addr, len);
	if (err != -EINPROGRESS)
		return err;
	err = kernel_wait(fd, POLLOUT);
	err_len = sizeof(so_error);
	if (!err && !sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &err_len))
		err = -so_error;
	return err;
}

/* Return: 0: the kernel has all that the program said; -errno */
static int kernel_say(const struct sock *s, int fd)
{
	uint8_t bytes[4096];
	size_t at = 0, n;

	while ((n = conn_refused_read(sock.vj, s->conn, at, bytes, sizeof(bytes)))) {
		struct iovec iov = { bytes, n };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		long sent = sys_sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent == -EAGAIN && !kernel_wait(fd, POLLOUT))
			continue;
		if (sent < 0)
			return (int)sent;
		at += (size_t)sent;
	}
	return s->shut_wr ? sys_shutdown(fd, SHUT_WR) : 0;
}

/* Its socket in the kernel is as it was before connect(). */
static bool is_kernel_there(struct sock *s)
{
	int first = s->token ? -1 : fd_of_file(&s->file), mode, fd, err;
	struct kernel_options options;

	if (first < 0)
		return false;
	fd = OWN_FD_MAKE(sys_fcntl(first, F_DUPFD_CLOEXEC, 0));
	if (fd < 0)
		return false;
	kernel_options_read(sock.vj, s->conn, &options);
	mode = sys_fcntl(fd, F_GETFL, 0);
	sys_fcntl(fd, F_SETFL, mode | O_NONBLOCK);
	err = kernel_connect(s, fd);
	if (!err)
		err = kernel_say(s, fd);
	sys_fcntl(fd, F_SETFL, s->nonblock ? mode | O_NONBLOCK : mode & ~O_NONBLOCK);
	if (err) {
		(void)sys_connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)); /* what it has heard of this is not to count */
	} else {
		in_kernel_options(fd, s);
		kernel_options_set(fd, &options, !conn_is_v6(s, s->conn), s->family == AF_INET6);
		vj_conn_abort(sock.vj, s->conn);
		in_kernel(s, fd, REPORT_WHY_OWNER_GONE);
	}
	own_fd_close(fd);
	return !err;
}

bool sock_call_refused(struct sock *s)
{
	if (sock_call_again(s) || (!sock.strict && is_kernel_there(s)))
		return true;
	(void)vj_error(sock.vj, s->conn, true);
	s->err = ECONNRESET;
	return false;
}
