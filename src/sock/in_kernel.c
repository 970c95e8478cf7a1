// SPDX-License-Identifier: BSD-2-Clause
/*
 * in_kernel.c - a connection over an interface has become the kernel's, since another process uses it too, or will (away.c)
 *
 * Its socket takes the place of the token at all its numbers here, and from then on these are the kernel's, like any that were connected
 * there. What waits for it goes on waiting in the kernel: sets, poll(), and calls that block, which had the lock given up and find out when
 * they have it again.
 */
#include "sock/priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/time.h>

/*
 * ---- options --------------------------------------------------------------------------------------
 * --------------
 */

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

/*
 * ---- numbers --------------------------------------------------------------------------------------
 * --------------
 */

void in_kernel(struct sock *s, int fd)
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
	for (int nr = first; nr >= 0; nr = fd_next(nr + 1))
		if (fd_peek(nr) == &s->file)
			sock_give_to_kernel(nr, s, REPORT_WHY_USED_ELSEWHERE);
	file_put(&s->file);
}

/*
 * ---- calls that waited ----------------------------------------------------------------------------
 * --------------
 */

/* One piece, by either call. Gives the lock up. */
static long transfer(const struct sock *s, bool sends, void *buf, size_t len, int flags)
{
	int fd = s->option_fd;
	long n;

	lock_leave();
	n = sends ? sys_sendto(fd, buf, len, flags | MSG_NOSIGNAL, NULL, 0) : sys_recvfrom(fd, buf, len, flags, NULL, NULL);
	lock_take();
	return n;
}

long in_kernel_goes_on(const struct sock *s, bool sends, const struct iovec *iov, int cnt, size_t done, int flags)
{
	bool all = sends || (flags & MSG_WAITALL);
	long sum = 0, n = 0;

	for (int i = 0; i < cnt; i++) {
		size_t skip = min_size(done, iov[i].iov_len), len = iov[i].iov_len - skip;

		done -= skip;
		if (!len)
			continue;
		n = transfer(s, sends, (uint8_t *)iov[i].iov_base + skip, len, flags);
		if (n <= 0)
			break;
		sum += n;
		if ((size_t)n < len || !all)
			break;
	}
	return sum ? sum : n;
}
