// SPDX-License-Identifier: BSD-2-Clause
/*
 * splice.c - sendfile() and splice(): bytes between a connection and a file or pipe, in this process
 *
 * What has been taken from one side must be accepted by the other. A pipe is asked for room first; if that goes away
 * meanwhile (another thread writes to it), the call waits for more even where the program asked it not to. From a pipe
 * is taken what the connection has accepted: a call that falls short has to be one of libvj's, so that it tells when there is
 * room again.
 */
#include "sock/ctx.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/stream.h"
#include "sock/undo.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { COPY_BYTES = 16 * 1024 };

/* What sendfile() and splice() have under way: not on the stack, which may be a small one of a thread. Lock held, in both. */
struct copying {
	struct undo undo;
	uint8_t *bytes;
};

static bool copy_begin(struct copying *c)
{
	c->bytes = malloc(COPY_BYTES + 1);
	if (c->bytes)
		undo_push(&c->undo, free, c->bytes);
	return c->bytes != NULL;
}

static void copy_end(struct copying *c)
{
	if (undo_pop(&c->undo))
		free(c->bytes);
}

/* ---- sendfile -------------------------------------------------------------------------------------------------- */

/* A stream of ours, and the lock; NULL: the kernel's call is right. */
static struct sock *stream_enter(int fd)
{
	struct sock *s = fd_peek(fd) ? io_enter(fd) : NULL;

	if (s && s->state == SOCK_UDP) {
		lock_leave();
		return NULL;
	}
	return s;
}

/*
 * Return: bytes sent from @off on; -errno. Lock held, given up while blocking. A byte more than is sent is read: who says that more follows must know, since what
 * doesn't fill a segment waits for that.
 */
static long send_file(struct sock *s, int in_fd, off_t off, size_t n)
{
	struct copying c;
	struct hold hold;
	size_t done = 0;
	long r = 0;

	if (!copy_begin(&c))
		return -ENOMEM;
	hold_begin(&hold, &s->file);
	while (done < n) {
		long got, sent;

		lock_leave(); /* a disk may take its time */
		got = ker_pread(in_fd, c.bytes, min_size(n - done, COPY_BYTES + 1), off + (off_t)done);
		lock_take();
		if (unlikely(sock_undo != &hold.undo || !sock.vj)) { /* a handler has left this call, or the process exits */
			r = -EINTR;
			break;
		}
		if (got <= 0) {
			r = got;
			break;
		}
		sent = min_s64(got, COPY_BYTES);
		r = conn_send(s, &(struct iovec){ c.bytes, (size_t)sent }, 1, sent < got ? MSG_MORE : 0);
		if (r < 0)
			break;
		done += (size_t)r;
		if (r < sent)
			break;
	}
	hold_end(&hold);
	copy_end(&c);
	return done ? (long)done : r;
}

static VJ_NOINLINE ssize_t send_file_ours(int out_fd, int in_fd, off_t *off, size_t n)
{
	struct sock *s = stream_enter(out_fd);
	off_t from;
	long r;

	if (!s)
		return ret_errno(ker_sendfile(out_fd, in_fd, off, n));
	from = off ? *off : (off_t)ker_lseek(in_fd, 0, SEEK_CUR);
	r = from < 0 ? (off ? -EINVAL : (long)from) : s->append ? -EINVAL : send_file(s, in_fd, from, n);
	if ((r == -ESPIPE && !off) || r == -EISDIR)
		r = -EINVAL;
	lock_leave();
	if (r > 0 && off)
		*off = from + r;
	else if (r > 0)
		ker_lseek(in_fd, from + r, SEEK_SET);
	return ret_errno(send_done(r, 0));
}

VJ_DIRECT ssize_t sock_sendfile(int out_fd, int in_fd, off_t *off, size_t n)
{
	if (likely(!fd_peek(out_fd)))
		return ret_errno(ker_sendfile(out_fd, in_fd, off, n));
	return send_file_ours(out_fd, in_fd, off, n);
}

/* ---- splice ---------------------------------------------------------------------------------------------------- */

#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

static bool is_pipe(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

/* SPLICE_F_NONBLOCK is about the pipe; a socket has its O_NONBLOCK. */
static bool pipe_waits(int fd, unsigned flags)
{
	return !(flags & SPLICE_F_NONBLOCK) && !(sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK);
}

/* Until the pipe can be read (POLLIN) or written (POLLOUT), or its other end is closed. Return: 0; -EAGAIN; -EINTR; -EPIPE: nobody would read it. */
static int pipe_ready(int fd, short events, bool wait)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r = ker_ppoll(&p, 1, wait ? NULL : &(struct timespec){ 0 }, NULL);

	return r < 0 ? r : !r ? -EAGAIN : p.revents & POLLERR ? -EPIPE : 0;
}

/* Bytes that a pipe with POLLOUT takes without blocking: all of an empty one, else what is written as one (pipe(7)). */
static size_t pipe_room(int fd)
{
	int used = 0, size = sys_fcntl(fd, F_GETPIPE_SZ, 0);

	return size > 0 && !ker_ioctl(fd, FIONREAD, (long)&used) && !used ? (size_t)size : PIPE_BUF;
}

static long conn_to_pipe(int in_fd, int out_fd, size_t n, unsigned flags, uint8_t bytes[COPY_BYTES])
{
	struct sock *s;
	size_t done = 0;
	long r = pipe_ready(out_fd, POLLOUT, pipe_waits(out_fd, flags));

	if (r)
		return send_done(r, 0); /* before anything is taken from the connection */
	n = min_size(n, pipe_room(out_fd));
	s = stream_enter(in_fd);
	if (!s)
		return -EBADF;
	r = conn_recv(s, &(struct iovec){ bytes, min_size(n, COPY_BYTES) }, 1, 0);
	lock_leave();
	while (r > 0 && done < (size_t)r) {
		long put = ker_write(out_fd, bytes + done, (size_t)r - done);

		if (put >= 0)
			done += (size_t)put;
		else if (put == -EAGAIN)
			pipe_ready(out_fd, POLLOUT, true);
		else if (put != -EINTR)
			return put;
	}
	return r;
}

/* What the pipe would give, without taking it: by way of another one. Return: bytes; 0: closed; -errno. */
static long pipe_peek(int fd, uint8_t *bytes, size_t n)
{
	int aux[2];
	long r = SYS_CALL2(SYS_pipe2, aux, O_CLOEXEC | O_NONBLOCK);

	if (r)
		return r;
	r = SYS_CALL4(SYS_tee, fd, aux[1], n, SPLICE_F_NONBLOCK);
	if (r > 0)
		r = sys_read(aux[0], bytes, (size_t)r);
	sys_close(aux[0]);
	sys_close(aux[1]);
	return r;
}

static long pipe_to_conn(int in_fd, int out_fd, size_t n, unsigned flags, uint8_t bytes[COPY_BYTES])
{
	struct sock *s;
	long r = pipe_ready(in_fd, POLLIN, pipe_waits(in_fd, flags)), got;

	if (!r)
		r = pipe_peek(in_fd, bytes, min_size(n, COPY_BYTES));
	if (r <= 0)
		return r;
	s = stream_enter(out_fd);
	if (!s)
		return -EBADF;
	r = conn_send(s, &(struct iovec){ bytes, (size_t)r }, 1, flags & SPLICE_F_MORE ? MSG_MORE : 0);
	lock_leave();
	/* now it is taken */
	for (long done = 0; done < r; done += got) {
		got = sys_read(in_fd, bytes, min_size((size_t)(r - done), COPY_BYTES));
		if (got <= 0)
			break; /* somebody else has read from this pipe meanwhile */
	}
	return r;
}

static long splice_copied(bool from_conn, int in_fd, int out_fd, size_t n, unsigned flags)
{
	struct copying c;
	bool begun;
	long r;

	lock_take();
	begun = copy_begin(&c);
	lock_leave();
	if (!begun)
		return -ENOMEM;
	r = from_conn ? conn_to_pipe(in_fd, out_fd, n, flags, c.bytes) : pipe_to_conn(in_fd, out_fd, n, flags, c.bytes);
	lock_take();
	copy_end(&c);
	lock_leave();
	return r;
}

ssize_t sock_splice(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t n, unsigned flags)
{
	struct sock *in = stream_enter(in_fd), *out;
	bool append = false;
	long r;

	if (in)
		lock_leave();
	out = stream_enter(out_fd);
	if (out) {
		append = out->append;
		lock_leave();
	}
	if (!in && !out)
		return ret_errno(ker_splice(in_fd, in_off, out_fd, out_off, n, flags));
	if (!n)
		return 0;
	if ((flags & ~(unsigned)SPLICE_FLAGS) || !is_pipe(in ? out_fd : in_fd))
		return ret_errno(-EINVAL);
	if (in ? out_off != NULL : in_off != NULL)
		return ret_errno(-ESPIPE);
	if (in_off || out_off || append)
		return ret_errno(-EINVAL);
	r = splice_copied(in != NULL, in_fd, out_fd, n, flags);
	return ret_errno(in ? r : send_done(r, 0));
}
