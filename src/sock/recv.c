// SPDX-License-Identifier: BSD-2-Clause
/* recv.c - reading */
#include "sock/adopt.h"
#include "sock/away.h"
#include "sock/cmsg.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/signals.h"
#include "sock/stream.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/time.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	PEEK_BYTES = 1024,
	PUMPED_BYTES = 1024,
	LOOK_BYTES = 2048, /* from here on what comes while they are copied is looked for, as the kernel's read() does */
};

static size_t iov_bytes(const struct iovec *iov, int cnt)
{
	size_t bytes = 0;

	for (int i = 0; i < cnt; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

static size_t unread_bytes(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	return vj_conn_info(sock.vj, s->conn, &info) ? 0 : info.unread_bytes;
}

/* MSG_TRUNC on TCP: throw away. An error behind it is for the next call. */
static long discard(struct sock *s, size_t len)
{
	size_t done = 0;

	while (done < len && (!done || unread_bytes(s))) {
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

static long scatter(const struct iovec *iov, int cnt, const uint8_t *bytes, ssize_t n)
{
	size_t off = 0;

	for (int i = 0; i < cnt && n > 0 && off < (size_t)n; i++) {
		size_t part = min_size(iov[i].iov_len, (size_t)n - off);

		if (part && is_wild(iov[i].iov_base))
			return -EFAULT;
		memcpy(iov[i].iov_base, bytes + off, part);
		off += part;
	}
	return n;
}

/* Peeking starts at the first byte again with every call: collect, then scatter. */
static long peek_scattered(struct sock *s, const struct iovec *iov, int cnt)
{
	size_t room = min_size(iov_bytes(iov, cnt), max_size(unread_bytes(s), 1));
	uint8_t on_stack[PEEK_BYTES], *bytes = room > sizeof(on_stack) ? malloc(room) : on_stack;
	long n;

	if (!bytes)
		return -ENOMEM;
	n = scatter(iov, cnt, bytes, vj_recv(sock.vj, s->conn, bytes, room, true));
	if (bytes != on_stack)
		free(bytes);
	return n;
}

/* With MSG_TRUNC: how much there is */
static long peek_length(struct sock *s, size_t want)
{
	long n = vj_recv(sock.vj, s->conn, &(uint8_t){ 0 }, 1, true);

	return n > 0 ? (long)min_size(want, unread_bytes(s)) : n;
}

/* MSG_TRUNC of what was put into the token */
static VJ_COLD long drop_pumped(struct sock *s, size_t want)
{
	uint8_t bytes[PUMPED_BYTES];
	size_t done = 0;
	long n;

	do {
		n = away_pumped_recv(s, &(struct iovec){ bytes, min_size(want - done, sizeof(bytes)) }, 1, false);
		done += n > 0 ? (size_t)n : 0;
	} while (n == (long)sizeof(bytes) && done < want);
	return done ? (long)done : n;
}

/* From what was put into the token, into the first piece of @iov that isn't full; peeking, into all. Return: bytes; -EFAULT; 0, other -errno: nothing is there. */
static VJ_COLD long take_pumped(struct sock *s, const struct iovec *iov, int cnt, size_t skip, int flags)
{
	while (cnt > 0 && skip >= iov->iov_len) {
		skip -= iov++->iov_len;
		cnt--;
	}
	if (cnt <= 0)
		return 0;
	if (flags & MSG_PEEK)
		return flags & MSG_TRUNC ? (long)min_size(iov_bytes(iov, cnt), away_pumped_bytes(s)) : away_pumped_recv(s, iov, cnt, true);
	if (flags & MSG_TRUNC)
		return drop_pumped(s, iov->iov_len - skip);
	return away_pumped_recv(s, &(struct iovec){ (uint8_t *)iov->iov_base + skip, iov->iov_len - skip }, 1, false);
}

/* A bad pointer: the end of the connection comes first. */
static VJ_COLD long recv_nowhere(struct sock *s)
{
	long n = vj_recv(sock.vj, s->conn, &(uint8_t){ 0 }, 1, true);

	return n > 0 ? -EFAULT : n;
}

/* Would what there is reach a piece that is no memory? Then the kernel copies nothing of it. */
static bool reaches_nowhere(const struct sock *s, const struct iovec *iov, int cnt, size_t skip)
{
	size_t before = 0;

	for (int i = 0; i < cnt; i++) {
		if (unlikely(is_wild(iov[i].iov_base)) && iov[i].iov_len)
			return before >= skip && unread_bytes(s) > before - skip;
		before += iov[i].iov_len;
	}
	return false;
}

/* Bytes came before @r: what has ended the connection is for the next call to tell. */
static VJ_COLD void take_ended(struct sock *s, long r)
{
	if (s->failed)
		return;
	sock_fail(s, r);
	sock_fail_later(s, r);
}

/* What is there now, from byte @skip of @iov on. Return: bytes; 0: end of file; -EAGAIN; -errno. */
static long take(struct sock *s, const struct iovec *iov, int cnt, size_t skip, int flags)
{
	size_t done = 0;

	if (unlikely(s->token)) {
		long n = 0;

		while (unlikely(s->pumped) && (n = take_pumped(s, iov, cnt, skip, flags)) > 0) {
			if (flags & MSG_PEEK)
				return n;
			done += (size_t)n;
			skip += (size_t)n;
		}
		if (n == -EFAULT)
			return done ? (long)done : n;
		away_reads(s);
	}
	if (unlikely((flags & MSG_PEEK) && (flags & MSG_TRUNC)))
		return peek_length(s, iov_bytes(iov, cnt));
	if (unlikely((flags & MSG_PEEK) && cnt > 1))
		return peek_scattered(s, iov, cnt);
	if (cnt > 1 && !(flags & MSG_TRUNC) && reaches_nowhere(s, iov, cnt, skip))
		return done ? (long)done : -EFAULT;
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
			n = recv_nowhere(s);
		else
			n = vj_recv(sock.vj, s->conn, (uint8_t *)iov[i].iov_base + skip, len,
				    (flags & MSG_PEEK) != 0);
		skip = 0;
		if (n <= 0) {
			if (unlikely(done))
				take_ended(s, n);
			return done ? (long)done : n;
		}
		done += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)done;
}

/* What had arrived before the connection failed is read before its error is, and when a send() has told it already. */
static VJ_COLD bool has_unread(struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	return s->state == SOCK_CONNECTED &&
	       ((s->pumped && away_pumped_bytes(s)) || (!vj_conn_info(sock.vj, s->conn, &info) && info.unread_bytes));
}

/* No connection that is here, or none any more. Return: as is_over() */
static VJ_COLD bool is_elsewhere(struct sock *s, long *ret)
{
	if (away_is_over(s, ret))
		return true;
	if (s->state == SOCK_DEAD) {
		*ret = -ECONNRESET;
		s->failed = true;
		return true;
	}
	*ret = s->nonblock ? -EAGAIN : -ENOTCONN; /* FRESH: it never was one, and the kernel goes on connecting */
	return s->state == SOCK_FRESH;
}

/* States in which nothing can come. Return: true: the call's result is in @ret. */
static bool is_over(struct sock *s, long *ret)
{
	if (unlikely(s->err || s->failed) && has_unread(s))
		return false;
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
	return unlikely(!sock_is_conn(s)) && is_elsewhere(s, ret);
}

static bool enough(const struct sock *s, size_t done, size_t want, int flags)
{
	return done == want || (done && !(flags & MSG_WAITALL) && done >= s->rcvlowat);
}

/* Nothing will be added to what is there. */
static bool is_last(const struct sock *s)
{
	/* an error that was told is none for vj_ready() */
	return s->shut_rd || s->err || s->failed || (vj_ready(sock.vj, s->conn) & (VJ_EV_EOF | VJ_EV_ERROR));
}

/* MSG_PEEK sees all from the first byte again, until there is enough. */
static long conn_peek(struct sock *s, const struct iovec *iov, int cnt, int flags)
{
	struct blocking b = { .file = &s->file, .signals = sock_signals, .kernel_fd = -1, .timeout_ns = s->rcvtimeo_ns };
	bool nonblock = s->nonblock || (flags & MSG_DONTWAIT), looked = false;
	size_t want = iov_bytes(iov, cnt);
	long r;
	int err;

	for (;;) {
		if (is_over(s, &r))
			break;
		r = take(s, iov, cnt, 0, flags);
		if (r == 0 || (r > 0 && (enough(s, (size_t)r, want, flags) || is_last(s))))
			break;
		if (r == -ENOTCONN && s->state == SOCK_CONNECTING)
			r = -EAGAIN;
		if (r < 0 && r != -EAGAIN) {
			sock_fail(s, r);
			break;
		}
		if (!looked) {
			looked = true;
			ctx_process();
			continue;
		}
		if (r < 0 && s->shut_rd)
			r = 0;
		if (r == 0 || nonblock)
			break;
		err = block_wait(&b);
		if (err) {
			r = r > 0 ? r : err;
			break;
		}
		looked = false;
	}
	if (unlikely(r == GOES_ON))
		r = in_kernel_goes_on(s, false, iov, cnt, 0, flags);
	block_end(&b);
	return r;
}

long conn_recv(struct sock *s, const struct iovec *iov, int cnt, int flags)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .timeout_ns = s->rcvtimeo_ns };
	bool nonblock = s->nonblock || (flags & MSG_DONTWAIT), looked = false;
	size_t want = iov_bytes(iov, cnt), done = 0;
	long r;

	if (unlikely(flags & MSG_OOB))
		return -EINVAL;
	if (unlikely(flags & MSG_ERRQUEUE))
		return -EAGAIN;
	if (unlikely((flags & MSG_PEEK) && want))
		return conn_peek(s, iov, cnt, flags);
	if (unlikely(!want)) { /* waits all the same */
		r = conn_peek(s, &(struct iovec){ &(uint8_t){ 0 }, 1 }, 1, MSG_PEEK | (flags & MSG_DONTWAIT));
		return r > 0 || (r == -EAGAIN && !nonblock) ? 0 : r; /* time that is over is nothing, too */
	}
	for (;;) {
		if (unlikely(is_over(s, &r)))
			break;
		r = take(s, iov, cnt, done, flags);
		if (likely(r > 0)) {
			done += (size_t)r;
			if (likely(enough(s, done, want, flags)) && (done < LOOK_BYTES || done == want || looked))
				break;
			if (!looked) {
				looked = true;
				ctx_process();
			}
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
		if (s->shut_rd || nonblock || enough(s, done, want, flags))
			break;
		r = block_wait(&b);
		if (r)
			break;
		looked = false;
	}
	if (unlikely(r == GOES_ON)) {
		r = in_kernel_goes_on(s, false, iov, cnt, done,
				      flags | (enough(s, done, want, flags) ? MSG_DONTWAIT : 0));
		done += r > 0 ? (size_t)r : 0;
	} else if (done && r < 0) {
		sock_fail_later(s, r);
	}
	block_end(&b);
	return done ? (long)done : r;
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

VJ_EARLY static struct sock *recv_enter(int fd)
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

		r = dgram_recv(fd, s, &msg, flags, true);
		if (r >= 0 && addr && len)
			*len = msg.msg_namelen;
	} else {
		r = conn_recv(s, iov, cnt, flags);
		if (r >= 0 && addr && len)
			*len = 0; /* TCP gives no address */
	}
	lock_leave();
	return ret_errno(r);
}

/* What most calls are is the kernel's, and nothing of this is to be on the way to it. */
VJ_EARLY VJ_NOINLINE static ssize_t recv_ours(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	struct sock *s = io_enter(fd);

	if (!s)
		return ret_errno(ker_recvfrom(fd, buf, n, flags, addr, len));
	return recv_leave(fd, s, &(struct iovec){ buf, n }, 1, flags, addr, len);
}

VJ_DIRECT ssize_t sock_recv(int fd, void *buf, size_t n, int flags)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_recvfrom(fd, buf, n, flags, NULL, NULL));
	return recv_ours(fd, buf, n, flags, NULL, NULL);
}

/* read() of no bytes asks nobody, unlike recv(). */
static VJ_COLD ssize_t read_nothing(void)
{
	lock_leave();
	return 0;
}

VJ_EARLY VJ_NOINLINE static ssize_t read_ours(int fd, void *buf, size_t n)
{
	struct sock *s = io_enter(fd);

	if (unlikely(!s))
		return ret_errno(ker_read(fd, buf, n));
	if (unlikely(!n))
		return read_nothing();
	return recv_leave(fd, s, &(struct iovec){ buf, n }, 1, 0, NULL, NULL);
}

VJ_DIRECT ssize_t sock_read(int fd, void *buf, size_t n)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_read(fd, buf, n));
	return read_ours(fd, buf, n);
}

ssize_t sock_readv(int fd, const struct iovec *iov, int cnt)
{
	struct sock *s = cnt < 0 || cnt > IOV_MAX ? NULL : recv_enter(fd);

	if (!s)
		return ret_errno(ker_readv(fd, iov, cnt));
	if (unlikely(!iov_bytes(iov, cnt)))
		return read_nothing();
	return recv_leave(fd, s, iov, cnt, 0, NULL, NULL);
}

ssize_t sock_preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct sock *s = off != -1 || cnt < 0 || cnt > IOV_MAX || (flags & ~RWF_KNOWN) ? NULL : recv_enter(fd);

	if (!s)
		return ret_errno(ker_preadv2(fd, iov, cnt, off, flags));
	if (unlikely(!iov_bytes(iov, cnt)))
		return read_nothing();
	return recv_leave(fd, s, iov, cnt, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL, NULL);
}

VJ_DIRECT ssize_t sock_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_recvfrom(fd, buf, n, flags, addr, len));
	return recv_ours(fd, buf, n, flags, addr, len);
}

/* Lock held. */
VJ_EARLY static long recv_msg(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	long r;

	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (s->state == SOCK_UDP)
		return dgram_recv(fd, s, msg, flags, false);
	if (unlikely(flags & MSG_ERRQUEUE))
		return zerocopy_told(s, msg);
	r = conn_recv(s, msg->msg_iov, (int)msg->msg_iovlen, flags);
	if (r >= 0) {
		msg->msg_namelen = 0;
		cmsg_tcp(s, msg, r > 0);
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

/* What is left of the time, as the kernel says it. Return: false: nothing. */
static bool left_tell(uint64_t until_ns, struct timespec *ret_left)
{
	uint64_t ns = time_sub_sat(until_ns, sys_clock_ns());

	*ret_left = timespec_of((int64_t)ns);
	return ns > 0;
}

/* Lock held, one message after the other; the time is looked at between them. Return: messages, or -errno. */
static long recv_msgs(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags, struct timespec *timeout)
{
	uint64_t until_ns = timeout ? deadline_after(sys_clock_ns(), timespec_ns(timeout)) : TIME_NEVER;
	struct hold hold;
	unsigned done = 0;
	long r = 0;

	hold_begin(&hold, &s->file);
	while (done < cnt) {
		r = recv_msg(fd, s, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		msgs[done++].msg_len = (unsigned)r;
		if (timeout && !left_tell(until_ns, timeout))
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	hold_end(&hold);
	return done ? (long)done : r;
}

int sock_recvmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags, struct timespec *timeout)
{
	struct sock *s = timespec_bad(timeout) ? NULL : recv_enter(fd);
	struct dgram_hold h;
	struct hold hold;
	long r;

	if (!s) {
		r = ker_recvmmsg(fd, msgs, cnt, flags, timeout);
		for (long i = 0; i < r; i++)
			if (msgs[i].msg_hdr.msg_controllen)
				adopt_received(&msgs[i].msg_hdr);
		return (int)ret_errno(r);
	}
	hold_begin(&hold, &s->file);
	if (s->state == SOCK_UDP && !(flags & MSG_ERRQUEUE))
		dgram_reads(fd, s, flags);
	if (unlikely(fd_peek(fd) != &s->file)) { /* closed while that was claimed */
		r = -EBADF;
	} else if (s->state == SOCK_UDP && !dgram_waits(s)) {
		dgram_kernel_begin(&h, s);
		r = ker_recvmmsg(fd, msgs, cnt, flags, timeout);
		dgram_kernel_end(&h);
		if (r > 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
			s->dgram->carried += (uint32_t)r;
	} else if (sock_is_conn(s) && !(flags & MSG_ERRQUEUE) && (r = conn_error(s))) { /* even before what can be read */
		r = -r;
	} else if (s->state == SOCK_FRESH && s->err && !(flags & MSG_ERRQUEUE)) {
		r = -(long)s->err;
		s->err = 0;
	} else if (s->state == SOCK_UDP && !cnt && !(flags & MSG_ERRQUEUE)) {
		r = dgram_any_error(s);
	} else {
		r = recv_msgs(fd, s, msgs, cnt, flags, timeout);
	}
	hold_end(&hold);
	lock_leave();
	return (int)ret_errno(r);
}
