// SPDX-License-Identifier: BSD-2-Clause
/* recv.c - reading */
#include "sock/priv.h"

#include <limits.h>
#include <string.h>

enum { PEEK_BYTES = 16 * 1024 };

/* MSG_TRUNC on TCP: throw away. */
static long discard(struct sock *s, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const uint8_t *data;
		ssize_t n = vj_recv_borrow(sock.vj, s->conn, &data);

		if (n <= 0)
			return done ? (long)done : n;
		n = (ssize_t)min_size((size_t)n, len - done);
		vj_recv_return(sock.vj, s->conn, (size_t)n);
		done += (size_t)n;
	}
	return (long)done;
}

/* Peeking starts at the first byte again with every call: collect, then scatter. */
static long peek_scattered(struct sock *s, const struct iovec *iov, int cnt)
{
	uint8_t bytes[PEEK_BYTES];
	size_t want = 0, off = 0;
	ssize_t n;

	for (int i = 0; i < cnt; i++)
		want += iov[i].iov_len;
	n = vj_recv(sock.vj, s->conn, bytes, min_size(want, sizeof(bytes)), true);
	for (int i = 0; i < cnt && n > 0 && off < (size_t)n; i++) {
		size_t part = min_size(iov[i].iov_len, (size_t)n - off);

		if (part && is_wild(iov[i].iov_base))
			return -EFAULT;
		memcpy(iov[i].iov_base, bytes + off, part);
		off += part;
	}
	return n;
}

/* What is there now, from byte @skip of @iov on. Return: bytes; 0: end of file; -EAGAIN; -errno. */
static long take(struct sock *s, const struct iovec *iov, int cnt, size_t skip, int flags)
{
	size_t done = 0;

	if (unlikely((flags & MSG_PEEK) && cnt > 1))
		return peek_scattered(s, iov, cnt);
	for (int i = 0; i < cnt; i++) {
		size_t len = iov[i].iov_len;
		long n;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len -= skip;
		if (unlikely(flags & MSG_TRUNC))
			n = discard(s, len);
		else if (is_wild(iov[i].iov_base))
			n = vj_ready(sock.vj, s->conn) & VJ_EV_READABLE ? -EFAULT : -EAGAIN;
		else
			n = vj_recv(sock.vj, s->conn, (uint8_t *)iov[i].iov_base + skip, len,
				    (flags & MSG_PEEK) != 0);
		skip = 0;
		if (n <= 0)
			return done ? (long)done : n;
		done += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)done;
}

/* States in which nothing can come. Return: true: the call's result is in @ret. */
static bool is_over(struct sock *s, long *ret)
{
	if (s->err) {
		*ret = -(long)s->err;
		s->err = 0;
		s->failed = true;
		return true;
	}
	if (s->failed) {
		*ret = 0;
		return true;
	}
	if (unlikely(s->state == SOCK_AWAY) && !away_claim_back(s)) {
		*ret = -EBADF;
		return true;
	}
	if (s->state == SOCK_DEAD) {
		*ret = -ECONNRESET;
		s->failed = true;
		return true;
	}
	return false;
}

static bool enough(const struct sock *s, size_t done, size_t want, int flags)
{
	return done == want || (done && ((!(flags & MSG_WAITALL) && done >= s->rcvlowat) || (flags & MSG_PEEK)));
}

long conn_recv(struct sock *s, const struct iovec *iov, int cnt, int flags)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .timeout_ns = s->rcvtimeo_ns };
	bool nonblock = s->nonblock || (flags & MSG_DONTWAIT), looked = false;
	size_t want = 0, done = 0;
	long r;

	if (unlikely(flags & MSG_OOB))
		return -EINVAL;
	if (unlikely(flags & MSG_ERRQUEUE))
		return -EAGAIN;
	for (int i = 0; i < cnt; i++)
		want += iov[i].iov_len;
	if (!want)
		return 0;
	for (;;) {
		if (unlikely(is_over(s, &r)))
			break;
		r = take(s, iov, cnt, done, flags);
		if (likely(r > 0)) {
			done += (size_t)r;
			if (likely(enough(s, done, want, flags)))
				break;
			continue;
		}
		if (r == 0)
			break;
		if (r == -ENOTCONN && s->state == SOCK_CONNECTING)
			r = -EAGAIN;
		if (r != -EAGAIN) {
			sock_fail(s, r);
			break;
		}
		if (!looked) { /* the program may never poll */
			looked = true;
			ctx_process();
			continue;
		}
		if (s->shut_rd)
			r = 0;
		if (s->shut_rd || nonblock)
			break;
		r = block_wait(&b);
		if (r)
			break;
		looked = false;
	}
	if (done && r < 0 && r != -EAGAIN && r != -EINTR) {
		s->failed = false;
		s->err = (uint16_t)-r;
	}
	block_end(&b);
	return done ? (long)done : r;
}

/*
 * ---- the calls ----------------------------------------------------------------------------------
 * ----------------
 */

static struct sock *recv_enter(int fd)
{
	return fd_peek(fd) ? io_enter(fd) : NULL;
}

/* One of the calls that take no msghdr; @addr, @len: of recvfrom(). */
static ssize_t recv_leave(int fd, struct sock *s, const struct iovec *iov, int cnt, int flags,
			  struct sockaddr *addr, socklen_t *len)
{
	long r;

	if (unlikely(s->state == SOCK_UDP)) {
		struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov,
				      .msg_iovlen = (size_t)cnt,
				      .msg_name = len ? addr : NULL,
				      .msg_namelen = addr && len ? *len : 0 };

		r = dgram_recv(fd, s, &msg, flags);
		if (r >= 0 && addr && len)
			*len = msg.msg_namelen;
	} else {
		r = conn_recv(s, iov, cnt, flags);
		if (addr && len)
			*len = 0; /* TCP gives no address */
	}
	lock_leave();
	return ret_errno(r);
}

ssize_t sock_recv(int fd, void *buf, size_t n, int flags)
{
	struct sock *s = recv_enter(fd);

	if (!s)
		return ret_errno(ker_recvfrom(fd, buf, n, flags, NULL, NULL));
	return recv_leave(fd, s, &(struct iovec){ buf, n }, 1, flags, NULL, NULL);
}

ssize_t sock_read(int fd, void *buf, size_t n)
{
	struct sock *s = recv_enter(fd);

	if (likely(!s))
		return ret_errno(ker_read(fd, buf, n));
	return recv_leave(fd, s, &(struct iovec){ buf, n }, 1, 0, NULL, NULL);
}

ssize_t sock_readv(int fd, const struct iovec *iov, int cnt)
{
	struct sock *s = cnt < 0 || cnt > IOV_MAX ? NULL : recv_enter(fd);

	if (!s)
		return ret_errno(ker_readv(fd, iov, cnt));
	return recv_leave(fd, s, iov, cnt, 0, NULL, NULL);
}

ssize_t sock_preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct sock *s = off != -1 || cnt < 0 || cnt > IOV_MAX || (flags & ~RWF_KNOWN) ? NULL : recv_enter(fd);

	if (!s)
		return ret_errno(ker_preadv2(fd, iov, cnt, off, flags));
	return recv_leave(fd, s, iov, cnt, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL, NULL);
}

ssize_t sock_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	struct sock *s = recv_enter(fd);

	if (!s)
		return ret_errno(ker_recvfrom(fd, buf, n, flags, addr, len));
	return recv_leave(fd, s, &(struct iovec){ buf, n }, 1, flags, addr, len);
}

/* Lock held. */
static long recv_msg(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	long r;

	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (s->state == SOCK_UDP)
		return dgram_recv(fd, s, msg, flags);
	if (unlikely(flags & MSG_ERRQUEUE))
		return zerocopy_told(s, msg);
	r = conn_recv(s, msg->msg_iov, (int)msg->msg_iovlen, flags);
	if (r >= 0) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = 0;
	}
	return r;
}

ssize_t sock_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct sock *s = recv_enter(fd);
	long r;

	if (!s) {
		r = ker_recvmsg(fd, msg, flags);
		if (r >= 0 && msg->msg_controllen)
			adopt_received(msg);
		return ret_errno(r);
	}
	r = recv_msg(fd, s, msg, flags);
	lock_leave();
	return ret_errno(r);
}

/* Lock held, one message after the other. Return: messages, or -errno. */
static long recv_msgs(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags,
		      const struct timespec *timeout)
{
	uint64_t until_ns = TIME_NEVER;
	unsigned done = 0;

	/* As in the kernel: looked at between messages */
	if (timeout)
		until_ns = deadline_after(sys_clock_ns(), timeout->tv_sec * (int64_t)NS_PER_SEC +
								  timeout->tv_nsec);

	file_get(&s->file);
	while (done < cnt) {
		long r = recv_msg(fd, s, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);

		if (r < 0 && !done) {
			file_put(&s->file);
			return r;
		}
		if (r < 0)
			break;
		msgs[done++].msg_len = (unsigned)r;
		if ((r == 0 && s->state != SOCK_UDP) || /* end of file */
		    (timeout && sys_clock_ns() >= until_ns))
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	file_put(&s->file);
	return (long)done;
}

int sock_recvmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags, struct timespec *timeout)
{
	struct sock *s = recv_enter(fd);
	long r;

	if (!s) {
		r = ker_recvmmsg(fd, msgs, cnt, flags, timeout);
		for (long i = 0; i < r; i++)
			if (msgs[i].msg_hdr.msg_controllen)
				adopt_received(&msgs[i].msg_hdr);
		return (int)ret_errno(r);
	}
	if (s->state == SOCK_UDP && !s->dgram->open) {
		dgram_kernel_begin(s);
		r = ker_recvmmsg(fd, msgs, cnt, flags, timeout);
		dgram_kernel_end(s);
	} else {
		r = recv_msgs(fd, s, msgs, cnt, flags, timeout);
	}
	lock_leave();
	return (int)ret_errno(r);
}
