// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors
 *
 * Each is a real one, since packetdrill opens files of its own beside them, closes at the end of a script what is still
 * open, with libc's close(), and calls libc's sendfile(), which is not in the table. So a TCP socket's descriptor is one
 * end of a socket pair; what arrives at the other end (the twin) is sent on the connection. Pipes are the kernel's.
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define COPY_BYTES 65536

struct pd_file *pd_file_find(struct pd_world *w, int fd)
{
	return fd >= 0 && fd < PD_FDS_MAX ? w->files[fd] : NULL;
}

static int file_descriptor(enum pd_kind kind, int *ret_twin)
{
	int pair[2];

	*ret_twin = -1;
	if (kind != PD_TCP)
		return eventfd(0, EFD_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	(void)shutdown(pair[1], SHUT_WR);
	*ret_twin = pair[1];
	return pair[0];
}

struct pd_file *pd_file_new(struct pd_world *w, enum pd_kind kind)
{
	struct pd_file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->fd = file_descriptor(kind, &f->twin);
	if (f->fd < 0 || f->fd >= PD_FDS_MAX) {
		if (f->fd >= 0)
			close(f->fd);
		if (f->twin >= 0)
			close(f->twin);
		free(f);
		return NULL;
	}
	f->kind = kind;
	f->linger_s = -1;
	f->rcvlowat = 1;
	f->max_pacing = UINT64_MAX;
	/* packetdrill may have closed an older one of this number with libc's close(). */
	if (w->files[f->fd] != NULL) {
		w->files[f->fd]->fd = -1;
		pd_file_free(w, w->files[f->fd]);
	}
	w->files[f->fd] = f;
	return f;
}

void pd_file_free(struct pd_world *w, struct pd_file *f)
{
	for (int fd = 0; fd < PD_FDS_MAX; fd++)
		if (w->files[fd] == f)
			w->files[fd] = NULL;
	pd_watches_drop(w, f);
	if (f->kind != PD_EPOLL)
		pd_sock_close(w, f);
	pd_err_free(f);
	pd_misc_free(f);
	if (f->twin >= 0)
		close(f->twin);
	free(f);
}

int pd_close(struct pd_world *w, int fd)
{
	struct pd_file *f = pd_file_find(w, fd);

	if (f != NULL) {
		pd_sock_linger(w, f);
		pd_file_free(w, f);
	}
	return close(fd) == 0 ? 0 : -errno;
}

void pd_file_event(struct pd_file *f, uint32_t events)
{
	if ((events & (STACK_EV_READABLE | STACK_EV_EOF | STACK_EV_ERROR | STACK_EV_ACCEPT)) != 0)
		f->in_cnt++;
	if ((events & (STACK_EV_WRITABLE | STACK_EV_CONNECTED | STACK_EV_ERROR)) != 0)
		f->out_cnt++;
}

/* ---- fcntl, ioctl ---------------------------------------------------------------------------- */

int pd_fcntl(struct pd_world *w, int fd, int cmd, long arg)
{
	struct pd_file *f = pd_file_find(w, fd);
	int ret;

	if (f != NULL && cmd == F_GETFL)
		return O_RDWR | (f->nonblock ? O_NONBLOCK : 0);
	if (f != NULL && cmd == F_SETFL) {
		f->nonblock = (arg & O_NONBLOCK) != 0;
		return 0;
	}
	ret = fcntl(fd, cmd, arg);
	return ret < 0 ? -errno : ret;
}

static int ioctl_value(struct pd_world *w, const struct pd_file *f, unsigned long request, int *ret_value)
{
	struct tcp_info info;

	if (f->state == PD_LISTEN)
		return -EINVAL;
	if (f->tcp.v == 0) {
		*ret_value = 0;
		return 0;
	}
	tcp_info(w->stack, f->tcp, &info);
	if (request == SIOCINQ)
		*ret_value = (int)info.unread_bytes;
	else if (request == SIOCOUTQ)
		*ret_value = (int)(info.in_flight_bytes + info.unsent_bytes);
	else
		*ret_value = (int)info.unsent_bytes;
	return 0;
}

static int ioctl_udp(struct pd_world *w, const struct pd_file *f, unsigned long request, int *ret_value)
{
	struct endpoint from;
	struct ip_addr to;
	struct link_id link;
	size_t len = 0;

	*ret_value = 0;
	if (request == SIOCINQ && f->udp.v != 0 &&
	    udp_recv(w->stack, f->udp, NULL, 0, true, &len, &from, &to, &link) == 0)
		*ret_value = (int)len;
	return 0;
}

int pd_ioctl(struct pd_world *w, int fd, unsigned long request, void *arg)
{
	struct pd_file *f = pd_file_find(w, fd);

	if (f == NULL)
		return ioctl(fd, request, arg) == 0 ? 0 : -errno;
	switch (request) {
	case FIONBIO:
		f->nonblock = *(int *)arg != 0;
		return 0;
	case SIOCINQ:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		return f->kind == PD_UDP ? ioctl_udp(w, f, request, arg) : ioctl_value(w, f, request, arg);
	default:
		return -ENOTTY;
	}
}

/* ---- splice, sendfile ------------------------------------------------------------------------ */

/* From a socket to a pipe */
static ssize_t splice_out(struct pd_world *w, struct pd_file *in, int fd_out, size_t len, int flags)
{
	uint8_t *buf = malloc(COPY_BYTES);
	struct iovec iov = { buf, min_size(len, COPY_BYTES) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t got;

	if (buf == NULL)
		return -ENOMEM;
	got = pd_recvmsg(w, in, &msg, flags);
	if (got > 0 && write(fd_out, buf, (size_t)got) != got)
		got = -EPIPE;
	free(buf);
	return got;
}

/* From a pipe to a socket */
static ssize_t splice_in(struct pd_world *w, int fd_in, struct pd_file *out, size_t len, int flags)
{
	uint8_t *buf = malloc(COPY_BYTES);
	ssize_t got;

	if (buf == NULL)
		return -ENOMEM;
	got = read(fd_in, buf, min_size(len, COPY_BYTES));
	if (got < 0)
		got = -errno;
	else if (got > 0)
		got = pd_send_bytes(w, out, buf, (size_t)got, flags);
	free(buf);
	return got;
}

ssize_t pd_splice(struct pd_world *w, int fd_in, int fd_out, size_t len, unsigned int flags)
{
	struct pd_file *in = pd_file_find(w, fd_in), *out = pd_file_find(w, fd_out);
	ssize_t ret;

	if (in != NULL)
		return splice_out(w, in, fd_out, len, (flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0);
	if (out != NULL)
		return splice_in(w, fd_in, out, len,
				 ((flags & SPLICE_F_MORE) != 0 ? MSG_MORE : 0) |
					 ((flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0));
	ret = splice(fd_in, NULL, fd_out, NULL, len, flags);
	return ret < 0 ? -errno : ret;
}

static void file_twin(struct pd_world *w, struct pd_file *f)
{
	char buf[COPY_BYTES];
	size_t sent;
	ssize_t got;

	while ((got = recv(f->twin, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		if (f->tcp.v == 0 || tcp_send(w->stack, f->tcp, buf, (size_t)got, 0, &sent) != 0)
			return;
}

void pd_twins(struct pd_world *w)
{
	for (int fd = 0; fd < PD_FDS_MAX; fd++)
		if (w->files[fd] != NULL && w->files[fd]->twin >= 0)
			file_twin(w, w->files[fd]);
}
