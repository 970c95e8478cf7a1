// SPDX-License-Identifier: BSD-2-Clause
/*
 * splice.c - sendfile() and splice(): bytes between a connection and a file or pipe, in this process
 *
 * What has been taken from one side must be accepted by the other. So room is looked for first; if it goes away
 * meanwhile (another thread writes to the same pipe or socket), the call waits for more even where the program asked it
 * not to.
 */
#include "sock/priv.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { COPY_BYTES = 16 * 1024 };

/*
 * ---- sendfile -----------------------------------------------------------------------------------
 * ----------------
 */

/* Return: bytes sent from @off on; -errno. Lock held, given up while blocking. */
static long send_file(struct sock *s, int in_fd, off_t off, size_t n)
{
	uint8_t bytes[COPY_BYTES];
	size_t done = 0;
	long r = 0;

	file_get(&s->file);
	while (done < n) {
		long got = ker_pread(in_fd, bytes, min_size(n - done, sizeof(bytes)),
				     off + (off_t)done);

		if (got <= 0) {
			r = got == -ESPIPE ? -EINVAL : got;
			break;
		}
		r = conn_send(s, &(struct iovec){ bytes, (size_t)got }, 1,
			      (size_t)got < n - done && got == COPY_BYTES ? MSG_MORE : 0);
		if (r < 0)
			break;
		done += (size_t)r;
		if (r < got)
			break;
	}
	file_put(&s->file);
	return done ? (long)done : r;
}

ssize_t sock_sendfile(int out_fd, int in_fd, off_t *off, size_t n)
{
	struct sock *s = fd_peek(out_fd) ? conn_enter(out_fd) : NULL;
	off_t from;
	long r;

	if (!s)
		return ret_errno(ker_sendfile(out_fd, in_fd, off, n));
	from = off ? *off : (off_t)ker_lseek(in_fd, 0, SEEK_CUR);
	r = from < 0 ? (off ? -EINVAL : (long)from) : send_file(s, in_fd, from, n);
	lock_leave();
	if (r > 0 && off)
		*off = from + r;
	else if (r > 0)
		ker_lseek(in_fd, from + r, SEEK_SET);
	return ret_errno(send_done(r, 0));
}

/*
 * ---- splice -------------------------------------------------------------------------------------
 * ----------------
 */

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

/* Until the pipe can be read (POLLIN) or written (POLLOUT), or its other end is closed. Return: 0; -EAGAIN; -EINTR. */
static int pipe_ready(int fd, short events, bool wait)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r = ker_ppoll(&p, 1, wait ? NULL : &(struct timespec){ 0 }, NULL);

	return r < 0 ? r : r ? 0 : -EAGAIN;
}

/* Bytes that a pipe with POLLOUT takes without blocking: all of an empty one, else what is written as one (pipe(7)). */
static size_t pipe_room(int fd)
{
	int used = 0, size = sys_fcntl(fd, F_GETPIPE_SZ, 0);

	return size > 0 && !ker_ioctl(fd, FIONREAD, (long)&used) && !used ? (size_t)size : PIPE_BUF;
}

static long conn_to_pipe(int in_fd, int out_fd, size_t n, unsigned flags)
{
	uint8_t bytes[COPY_BYTES];
	struct sock *s;
	size_t done = 0;
	long r = pipe_ready(out_fd, POLLOUT, pipe_waits(out_fd, flags));

	if (r)
		return r;
	n = min_size(n, pipe_room(out_fd));
	s = conn_enter(in_fd);
	if (!s)
		return -EBADF;
	r = conn_recv(s, &(struct iovec){ bytes, min_size(n, sizeof(bytes)) }, 1, 0);
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

/* Bytes that a connection takes at once. Lock held. */
static size_t conn_room(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	uint64_t size = 0, used;

	if (s->state != SOCK_CONNECTED || vj_conn_info(sock.vj, s->conn, &info) ||
	    vj_conn_option_get(sock.vj, s->conn, VJ_OPT_SNDBUF, &size))
		return 0;
	used = (uint64_t)info.unsent_bytes + info.in_flight_bytes;
	return used < size ? (size_t)(size - used) : 0;
}

/* Wait for room. Lock held, given up meanwhile. Return: 0; -EAGAIN; -EPIPE and other errors of writing. */
static long conn_writable(struct sock *s, bool wait, size_t *ret_room)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .timeout_ns = s->sndtimeo_ns };
	long r = 0;

	for (;;) {
		uint32_t level;

		ctx_process();
		level = sock_level(s);
		if (level & (EPOLLERR | EPOLLHUP)) {
			r = conn_send(s, &(struct iovec){ (uint8_t[1]){ 0 }, 1 }, 1, MSG_DONTWAIT);
			break; /* why, as write() says it */
		}
		*ret_room = level & EPOLLOUT ? conn_room(s) : 0;
		if (s->shut_wr)
			r = -EPIPE;
		else if (!*ret_room)
			r = wait ? block_wait(&b) : -EAGAIN;
		if (r || *ret_room)
			break;
	}
	block_end(&b);
	return r;
}

static long pipe_to_conn(int in_fd, int out_fd, size_t n, unsigned flags)
{
	uint8_t bytes[COPY_BYTES];
	struct sock *s;
	size_t room = 0, done = 0;
	long r = pipe_ready(in_fd, POLLIN, pipe_waits(in_fd, flags)), got;
	int waiting = 0;

	if (r)
		return r;
	if (!ker_ioctl(in_fd, FIONREAD, (long)&waiting) && !waiting)
		return 0; /* closed, whatever the socket says */
	s = conn_enter(out_fd);
	if (!s)
		return -EBADF;
	file_get(&s->file);
	r = conn_writable(s, !s->nonblock, &room);
	lock_drop();
	got = r ? r : ker_read(in_fd, bytes, min_size(min_size(n, room), sizeof(bytes)));
	lock_take();
	while (got > 0 && done < (size_t)got) {
		r = conn_send(s, &(struct iovec){ bytes + done, (size_t)got - done }, 1,
			      flags & SPLICE_F_MORE ? MSG_MORE : 0);
		if (r > 0)
			done += (size_t)r;
		else if (r == -EAGAIN)
			conn_writable(s, true, &room);
		else if (r != -EINTR)
			break;
	}
	file_put(&s->file);
	lock_leave();
	return got <= 0 ? got : done ? (long)done : r;
}

ssize_t sock_splice(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t n, unsigned flags)
{
	struct sock *in = fd_peek(in_fd) ? conn_enter(in_fd) : NULL, *out;

	if (in)
		lock_leave();
	out = fd_peek(out_fd) ? conn_enter(out_fd) : NULL;
	if (out)
		lock_leave();
	if (!in && !out)
		return ret_errno(ker_splice(in_fd, in_off, out_fd, out_off, n, flags));
	if (!n)
		return 0;
	if ((flags & ~(unsigned)SPLICE_FLAGS) || !is_pipe(in ? out_fd : in_fd))
		return ret_errno(-EINVAL);
	if (in ? out_off != NULL : in_off != NULL)
		return ret_errno(-ESPIPE);
	if (in_off || out_off)
		return ret_errno(-EINVAL);
	return ret_errno(in ? conn_to_pipe(in_fd, out_fd, n, flags) : send_done(pipe_to_conn(in_fd, out_fd, n, flags), 0));
}
