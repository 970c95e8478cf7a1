// SPDX-License-Identifier: BSD-2-Clause
/*
 * in_kernel.c - a connection over an interface has become the kernel's, since another process uses it too, or will (away.c), or its interface is detached
 *
 * Its socket takes the place of the token at all its numbers here, and from then on these are the kernel's, like any that were connected
 * there. What waits for it goes on waiting in the kernel: sets, poll(), and calls that block, which had the lock given up and find out when
 * they have it again.
 */
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/stream.h"

#include "base/time.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <fcntl.h>
#include <string.h>
#include <sys/time.h>

/* ---- options --------------------------------------------------------------------------------------------------- */

static void timeout_set(int fd, int name, uint64_t ns)
{
	struct timeval tv = { .tv_sec = (time_t)(ns / NS_PER_SEC), .tv_usec = (suseconds_t)(ns % NS_PER_SEC / NS_PER_US) };

	if (ns)
		(void)sys_setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

void in_kernel_options(int fd, const struct sock *s)
{
	int lowat = (int)s->rcvlowat;

	timeout_set(fd, SO_RCVTIMEO, s->rcvtimeo_ns);
	timeout_set(fd, SO_SNDTIMEO, s->sndtimeo_ns);
	if (lowat)
		(void)sys_setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
	if (s->linger)
		(void)sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, (int)s->linger_s }, sizeof(struct linger));
	if (s->shut_rd)
		(void)SYS_CALL2(SYS_shutdown, fd, SHUT_RD);
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

void in_kernel(struct sock *s, int fd, enum report_why why)
{
	int first = fd_of_file(&s->file);

	if (s->state == SOCK_AWAY)
		sock.lazy--;
	s->state = SOCK_KERNEL;
	s->token = false;
	if (first >= 0) /* all copies of the token have that in common, as those of the socket will */
		sys_fcntl(fd, F_SETFL, sys_fcntl(first, F_GETFL, 0) & O_NONBLOCK);
	for (int nr = first; nr >= 0; nr = fd_next(nr + 1))
		if (fd_peek(nr) == &s->file)
			ker_dup3(fd, nr, sys_fcntl(nr, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0);
	watches_move(&s->file, WATCH_BOTH);
	own_fd_close(s->option_fd);
	s->option_fd = OWN_FD_MAKE(sys_fcntl(fd, F_DUPFD_CLOEXEC, 0)); /* for calls that wait; else it goes at once */
	file_get(&s->file);
	ended_later(s);
	for (int nr = first; nr >= 0; nr = fd_next(nr + 1))
		if (fd_peek(nr) == &s->file)
			sock_give_to_kernel(nr, s, why);
}

/* ---- calls that waited ----------------------------------------------------------------------------------------- */

/* By either call. Gives the lock up. */
static long transfer(const struct sock *s, bool sends, const struct iovec *iov, int cnt, int flags)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };
	int fd = s->option_fd;
	long n;

	lock_leave();
	n = sends ? sys_sendmsg(fd, &msg, flags | MSG_NOSIGNAL) : sys_recvmsg(fd, &msg, flags);
	lock_take();
	return n;
}

/* One call for all, since only that sees each byte once with MSG_PEEK; and one before it for the rest of a piece that was begun. */
static long goes_on(const struct sock *s, bool sends, const struct iovec *iov, int cnt, size_t done, int flags)
{
	long n, begun = 0;

	for (; cnt && done >= iov->iov_len; iov++, cnt--)
		done -= iov->iov_len;
	if (done) {
		const struct iovec rest = { (uint8_t *)iov->iov_base + done, iov->iov_len - done };

		begun = transfer(s, sends, &rest, 1, flags);
		if (begun < (long)rest.iov_len || !(sends || (flags & MSG_WAITALL)))
			return begun;
		iov++;
		cnt--;
	}
	n = cnt ? transfer(s, sends, iov, cnt, flags) : 0;
	return n < 0 && begun ? begun : begun + n;
}

long in_kernel_goes_on(struct sock *s, bool sends, const struct iovec *iov, int cnt, size_t done, int flags)
{
	long n;

	file_get(&s->file);
	n = goes_on(s, sends, iov, cnt, done, flags);
	file_put(&s->file);
	return n;
}
