// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table: one function a member
 *
 * Each takes the lock, marks that its thread is here, does its work, lets the stack do what follows from it, and turns a
 * negative errno value into -1 and errno.
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pd_world *enter(void *userdata)
{
	struct pd_world *w = userdata;

	pthread_mutex_lock(&w->lock);
	pd_seen(w);
	w->burst++;
	return w;
}

static ssize_t leave(struct pd_world *w, ssize_t ret)
{
	pd_settle(w);
	pthread_mutex_unlock(&w->lock);
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* The call on a socket that @call is; -EBADF: not ours */
#define ON_FILE(w, fd, call)                                             \
	({                                                               \
		struct pd_file *f = pd_file_find(w, fd);                 \
		f == NULL ? -EBADF : (call);                             \
	})

static void table_free(void *userdata)
{
	struct pd_world *w = userdata;

	pd_libc_place(NULL);
	pd_world_fini(w);
	free(w);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int table_socket(void *userdata, int domain, int type, int protocol)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, pd_socket(w, domain, type, protocol));
}

static int table_bind(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_bind(w, f, addr, len)));
}

static int table_listen(void *userdata, int fd, int backlog)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_listen(w, f, backlog)));
}

static int table_accept(void *userdata, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_accept(w, f, addr, len)));
}

static int table_connect(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_connect(w, f, addr, len)));
}

static int table_shutdown(void *userdata, int fd, int how)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_shutdown(w, f, how)));
}

static int table_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_getsockopt(w, f, level, name, value, len)));
}

static int table_setsockopt(void *userdata, int fd, int level, int name, const void *value, socklen_t len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, fd, pd_setsockopt(w, f, level, name, value, len)));
}

/* ---- data ------------------------------------------------------------------------------------ */

static ssize_t table_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags)
{
	struct pd_world *w = enter(userdata);

	return leave(w, ON_FILE(w, fd, pd_recvmsg(w, f, msg, flags)));
}

static ssize_t table_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags)
{
	struct pd_world *w = enter(userdata);

	return leave(w, ON_FILE(w, fd, pd_sendmsg(w, f, msg, flags)));
}

static bool is_ours(void *userdata, int fd)
{
	struct pd_world *w = enter(userdata);
	bool ours = pd_file_find(w, fd) != NULL;

	pthread_mutex_unlock(&w->lock);
	return ours;
}

static ssize_t table_readv(void *userdata, int fd, const struct iovec *iov, int cnt)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };

	return is_ours(userdata, fd) ? table_recvmsg(userdata, fd, &msg, 0) : readv(fd, iov, cnt);
}

static ssize_t table_read(void *userdata, int fd, void *buf, size_t len)
{
	struct iovec iov = { buf, len };

	return table_readv(userdata, fd, &iov, 1);
}

static ssize_t table_recvfrom(void *userdata, int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			      socklen_t *addr_len)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = {
		.msg_name = addr,
		.msg_namelen = addr_len != NULL ? *addr_len : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t ret = table_recvmsg(userdata, fd, &msg, flags);

	if (ret >= 0 && addr_len != NULL)
		*addr_len = msg.msg_namelen;
	return ret;
}

static ssize_t table_recv(void *userdata, int fd, void *buf, size_t len, int flags)
{
	return table_recvfrom(userdata, fd, buf, len, flags, NULL, NULL);
}

static ssize_t table_writev(void *userdata, int fd, const struct iovec *iov, int cnt)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };

	return is_ours(userdata, fd) ? table_sendmsg(userdata, fd, &msg, 0) : writev(fd, iov, cnt);
}

static ssize_t table_write(void *userdata, int fd, const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return table_writev(userdata, fd, &iov, 1);
}

static ssize_t table_sendto(void *userdata, int fd, const void *buf, size_t len, int flags,
			    const struct sockaddr *addr, socklen_t addr_len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = {
		.msg_name = (void *)(uintptr_t)addr,
		.msg_namelen = addr_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	return table_sendmsg(userdata, fd, &msg, flags);
}

static ssize_t table_send(void *userdata, int fd, const void *buf, size_t len, int flags)
{
	return table_sendto(userdata, fd, buf, len, flags, NULL, 0);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static int table_fcntl(void *userdata, int fd, int cmd, ...)
{
	struct pd_world *w = enter(userdata);
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return (int)leave(w, pd_fcntl(w, fd, cmd, arg));
}

static int table_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	struct pd_world *w = enter(userdata);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return (int)leave(w, pd_ioctl(w, fd, request, arg));
}

static int table_close(void *userdata, int fd)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, pd_close(w, fd));
}

static int table_pipe(void *userdata, int fds[2])
{
	(void)userdata;
	return pipe2(fds, O_CLOEXEC);
}

static int table_splice(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len,
			unsigned int flags)
{
	struct pd_world *w = enter(userdata);

	/* packetdrill passes the address of an offset that means none */
	(void)off_in;
	(void)off_out;
	return (int)leave(w, pd_splice(w, fd_in, fd_out, len, flags));
}

static int table_poll(void *userdata, struct pollfd *fds, nfds_t cnt, int timeout_ms)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, pd_poll(w, fds, cnt, timeout_ms));
}

static int table_epoll_create(void *userdata, int size)
{
	struct pd_world *w = enter(userdata);
	struct pd_file *f = size > 0 ? pd_file_new(w, PD_EPOLL) : NULL;

	return (int)leave(w, f != NULL ? f->fd : size > 0 ? -EMFILE : -EINVAL);
}

static int table_epoll_ctl(void *userdata, int epfd, int op, int fd, struct epoll_event *event)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, epfd, pd_epoll_ctl(w, f, op, fd, event)));
}

static int table_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int cnt, int timeout_ms)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, ON_FILE(w, epfd, pd_epoll_wait(w, f, events, cnt, timeout_ms)));
}

/* ---- packets and time ------------------------------------------------------------------------ */

static int table_netdev_send(void *userdata, const void *buf, size_t len)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, pd_netdev_send(w, buf, len));
}

static int table_netdev_receive(void *userdata, void *buf, size_t *len, long long *time_us)
{
	struct pd_world *w = enter(userdata);

	return (int)leave(w, pd_netdev_receive(w, buf, len, time_us));
}

static int table_usleep(void *userdata, useconds_t us)
{
	struct pd_world *w = enter(userdata);

	pd_usleep(w, us);
	return (int)leave(w, 0);
}

static int table_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz)
{
	struct pd_world *w = userdata;
	uint64_t now_us;

	(void)tz;
	pthread_mutex_lock(&w->lock);
	now_us = pd_clock(w);
	pthread_mutex_unlock(&w->lock);
	tv->tv_sec = (time_t)(now_us / 1000000);
	tv->tv_usec = (suseconds_t)(now_us % 1000000);
	return 0;
}

static const struct packetdrill_interface table = {
	.free = table_free,
	.socket = table_socket,
	.bind = table_bind,
	.listen = table_listen,
	.accept = table_accept,
	.connect = table_connect,
	.read = table_read,
	.readv = table_readv,
	.recv = table_recv,
	.recvfrom = table_recvfrom,
	.recvmsg = table_recvmsg,
	.write = table_write,
	.writev = table_writev,
	.send = table_send,
	.sendto = table_sendto,
	.sendmsg = table_sendmsg,
	.fcntl = table_fcntl,
	.ioctl = table_ioctl,
	.close = table_close,
	.shutdown = table_shutdown,
	.getsockopt = table_getsockopt,
	.setsockopt = table_setsockopt,
	.poll = table_poll,
	.netdev_send = table_netdev_send,
	.netdev_receive = table_netdev_receive,
	.usleep = table_usleep,
	.gettimeofday = table_gettimeofday,
	.epoll_create = table_epoll_create,
	.epoll_ctl = table_epoll_ctl,
	.epoll_wait = table_epoll_wait,
	.pipe = table_pipe,
	.splice = table_splice,
};

__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *flags, struct packetdrill_interface *ret_table)
{
	struct pd_world *w = calloc(1, sizeof(*w));
	int err = w != NULL ? pd_world_init(w, flags) : -ENOMEM;

	/* There is no way to say it but this one. */
	if (err != 0) {
		fprintf(stderr, "libvj-packetdrill: %s\n", strerror(-err));
		exit(EXIT_FAILURE);
	}
	*ret_table = table;
	ret_table->userdata = w;
	if (w->set.libc)
		pd_libc_place(w);
}
