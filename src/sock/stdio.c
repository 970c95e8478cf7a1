// SPDX-License-Identifier: BSD-2-Clause
/*
 * stdio.c - a stream over a channel socket
 *
 * libc's streams read and write by names of its own that nobody can interpose; so fdopen() on a
 * connection gives a stream with our functions in it (fopencookie(3)). fileno() fails on it
 * (EBADF): programs remember the number that they gave to fdopen().
 */
#include "sock/priv.h"

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
	return sock_read((int)(intptr_t)cookie, buf, n);
}

static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	ssize_t r = sock_write((int)(intptr_t)cookie, buf, n);

	return r < 0 ? 0 : r; /* what fopencookie() takes for an error */
}

static int stream_close(void *cookie)
{
	return sock_close((int)(intptr_t)cookie);
}

FILE *sock_fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t functions = { .read = stream_read,
							 .write = stream_write,
							 .close = stream_close };
	struct sock *s = fd_peek(fd) ? conn_enter(fd) : NULL;

	errno = 0;
	if (!s)
		return NULL;
	lock_leave();
	return fopencookie((void *)(intptr_t)fd, mode, functions);
}
