// SPDX-License-Identifier: BSD-2-Clause
/*
 * stdio.c - a stream over a channel socket; dprintf()
 *
 * libc's streams read and write by names of its own that nobody can interpose; so fdopen() on a
 * connection gives a stream with our functions in it (fopencookie(3)), and with the number, for fileno(). dprintf() writes by such a name, too.
 */
#include "sock/ctx.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/layer.h"

#include <stdlib.h>

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
	return sock_read((int)(intptr_t)cookie, buf, n);
}

static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	ssize_t r = sock_write((int)(intptr_t)cookie, buf, n);

	return r < 0 ? 0 : r; /* what fopencookie() takes for an error */
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
	(void)cookie, (void)offset, (void)whence;
	errno = ESPIPE;
	return -1;
}

static int stream_close(void *cookie)
{
	return sock_close((int)(intptr_t)cookie);
}

FILE *sock_fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t functions = { .read = stream_read,
							 .write = stream_write,
							 .seek = stream_seek,
							 .close = stream_close };
	struct sock *s = fd_peek(fd) ? conn_enter(fd) : NULL;
	FILE *stream;

	errno = 0;
	if (!s)
		return NULL;
	lock_leave();
	stream = fopencookie((void *)(intptr_t)fd, mode, functions);
	if (stream)
		stream->_fileno = fd; /* what such a stream does goes by its functions all the same */
	return stream;
}

/* libc's, for programs that are fortified */
extern int __vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap) VJ_PRINTF(3, 0);

/* A connection that has a token is libc's all the same: what it writes there comes by way of the deed (lib/deed_raw.c). */
static bool is_own_conn(int fd)
{
	const struct sock *s = fd_peek(fd) ? name_enter(fd) : NULL;
	bool own = s && sock_is_conn(s) && !s->token;

	if (s)
		lock_leave();
	return own;
}

int sock_vdprintf(int fd, int checked, const char *fmt, va_list ap)
{
	char *text;
	int len, done = 0;
	ssize_t r = 0;

	if (!is_own_conn(fd))
		return SOCK_NOT_OURS;
	len = __vasprintf_chk(&text, checked, fmt, ap);
	if (len < 0)
		return -1;
	while (done < len && r >= 0) {
		r = sock_write(fd, text + done, (size_t)(len - done));
		done += r > 0 ? (int)r : 0;
	}
	free(text);
	return r < 0 ? -1 : len;
}
