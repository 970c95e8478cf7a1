// SPDX-License-Identifier: BSD-2-Clause
/* send.c - writing; sendfile() and splice(): splice.c */
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

#include <netinet/in.h>
#include <limits.h>
#include <string.h>

enum {
	GATHER_BYTES = 1024,	 /* short pieces are sent as one, of so much: a thread's stack may be small */
	FRAG_BYTES = 32 * 1024,	 /* what the kernel copies at once: with a piece in it that is no memory nothing of it leaves */
};

/* A bad pointer: the connection's error comes first. */
static VJ_COLD long from_nowhere(struct sock *s)
{
	int err;

	ctx_process();
	err = sock_is_conn(s) ? conn_error(s) : 0;
	return err ? -err : -EFAULT;
}

/* The next pieces, which are short, as one. Return: as vj_send(); of *@ret_len bytes */
static VJ_NOINLINE long put_short(struct sock *s, const struct iovec *iov, int cnt, size_t skip, unsigned flags, size_t *ret_len)
{
	uint8_t bytes[GATHER_BYTES];
	size_t len = 0;

	for (; cnt > 0 && len < sizeof(bytes); iov++, cnt--, skip = 0) {
		size_t part = min_size(iov->iov_len - skip, sizeof(bytes) - len);

		if (part && is_wild(iov->iov_base))
			break;
		if (part)
			memcpy(bytes + len, (const uint8_t *)iov->iov_base + skip, part);
		len += part;
		if (skip + part < iov->iov_len)
			break;
	}
	*ret_len = len;
	return vj_send(sock.vj, s->conn, bytes, len, cnt > 0 ? flags | VJ_SEND_MORE : flags);
}

/*
 * As much as there is room for, from byte @skip of @iov on. Return: bytes; -EAGAIN: none; -errno.
 */
static long put(struct sock *s, const struct iovec *iov, int cnt, size_t skip, unsigned flags)
{
	size_t done = 0;

	for (;;) {
		size_t len;
		long n;

		for (; cnt > 0 && skip >= iov->iov_len; iov++, cnt--)
			skip -= iov->iov_len;
		if (cnt <= 0)
			break;
		if (is_wild(iov->iov_base))
			return done ? (long)done : from_nowhere(s);
		len = iov->iov_len - skip;
		if (cnt > 1 && len <= GATHER_BYTES / 2)
			n = put_short(s, iov, cnt, skip, flags, &len);
		else
			n = vj_send(sock.vj, s->conn, (const uint8_t *)iov->iov_base + skip, len, cnt > 1 ? flags | VJ_SEND_MORE : flags);
		if (n <= 0)
			return done ? (long)done : n;
		done += (size_t)n;
		skip += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)done;
}

/* No connection that is here, or none any more. Return: true: the call's result is in @ret. */
static VJ_COLD bool is_elsewhere(struct sock *s, long *ret)
{
	if (away_is_over(s, ret))
		return true;
	/* FRESH: it never was one, and the kernel goes on connecting */
	*ret = s->state == SOCK_FRESH && s->nonblock ? -EAGAIN : -EPIPE;
	return s->state == SOCK_DEAD || s->state == SOCK_FRESH;
}

/* After shutdown(), or an error that was told: but what has ended the connection since is told first. */
static VJ_COLD long broken_pipe(struct sock *s)
{
	int err;

	ctx_process();
	err = sock_is_conn(s) ? conn_error(s) : 0;
	return err ? -err : -EPIPE;
}

static bool is_over(struct sock *s, long *ret)
{
	if (s->err) {
		*ret = -(long)s->err;
		s->err = 0;
		s->failed = true;
		return true;
	}
	if (unlikely(!sock_is_conn(s)) && is_elsewhere(s, ret))
		return true;
	if (unlikely(s->failed || s->shut_wr)) {
		*ret = broken_pipe(s);
		return true;
	}
	return false;
}

static long send_all(struct sock *s, const struct iovec *iov, int cnt, size_t want, int flags)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .timeout_ns = s->sndtimeo_ns };
	bool nonblock = s->nonblock || (flags & MSG_DONTWAIT), looked = false;
	unsigned more = flags & MSG_MORE ? VJ_SEND_MORE : 0;
	size_t done = 0;
	long r;

	ctx_look_between(&s->sent_at);
	for (;;) {
		if (unlikely(is_over(s, &r)))
			break;
		r = put(s, iov, cnt, done, more);
		if (likely(r > 0)) {
			done += (size_t)r;
			if (likely(done == want))
				break;
			looked = false;
			continue;
		}
		if (r == -ENOTCONN)
			r = s->state == SOCK_CONNECTING ? -EAGAIN : -EPIPE;
		s->failed |= r == -EPIPE; /* shutdown() of ours was looked for before */
		if (r != -EAGAIN) {
			sock_fail(s, r);
			break;
		}
		if (!looked) {
			looked = true;
			ctx_process();
			continue;
		}
		if (nonblock)
			break;
		r = block_wait(&b);
		if (r)
			break;
		looked = false;
	}
	if (unlikely(r == GOES_ON)) {
		r = in_kernel_goes_on(s, true, iov, cnt, done, flags);
		done += r > 0 ? (size_t)r : 0;
	} else if (done && r < 0) {
		sock_fail_later(s, r);
	}
	block_end(&b);
	return done ? (long)done : r;
}

/* No bytes: what stands in the way of some is told all the same. */
static VJ_COLD long send_nothing(struct sock *s, int flags)
{
	long r;
	int err;

	if (is_over(s, &r))
		return r == GOES_ON ? 0 : r;
	err = vj_error(sock.vj, s->conn, true);
	if (err) {
		s->failed = true;
		return -err;
	}
	return s->state == SOCK_CONNECTING && (s->nonblock || (flags & MSG_DONTWAIT)) ? -EAGAIN : 0;
}

long conn_send(struct sock *s, const struct iovec *iov, int cnt, int flags)
{
	size_t want = 0;

	if (unlikely(s->stdio || s->lends))
		away_others_first();
	if (unlikely(flags & MSG_FASTOPEN)) {
		int err = sock_is_conn(s) ? conn_fastopen(s) : s->state == SOCK_FRESH ? -EINVAL /* to nowhere */ : 0;

		if (err)
			return err == 1 ? -ETIMEDOUT : err;
	}
	if (cnt == 1) {
		want = iov->iov_len;
	} else {
		bool wild = false;

		while (cnt > 1 && !iov[cnt - 1].iov_len)
			cnt--; /* what is said to be followed by more waits for it */
		for (int i = 0; i < cnt; i++) {
			want += iov[i].iov_len;
			wild |= iov[i].iov_len && is_wild(iov[i].iov_base);
		}
		if (wild && want <= FRAG_BYTES)
			return send_all(s, &(struct iovec){ NULL, want }, 1, want, flags);
	}
	return likely(want) ? send_all(s, iov, cnt, want, flags) : send_nothing(s, flags);
}

long send_done(long r, int flags)
{
	if (unlikely(r == -EPIPE) && !(flags & MSG_NOSIGNAL) && !sock.exiting)
		ker_raise(SIGPIPE);
	return r;
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

VJ_EARLY static struct sock *enter(int fd, int flags)
{
	return fd_peek(fd) ? send_enter(fd, !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL))) : NULL;
}

/* Another process has it, and a set of that waits for it. Or does not any more: then it comes here, as by any other call. */
static VJ_COLD long send_lent(int fd, struct sock *s, const struct iovec *iov, int cnt, int flags)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };
	long r = away_lent_send(fd, s, iov, cnt);

	if (r >= 0)
		return r;
	if (away_claim(fd, s))
		return conn_send(s, iov, cnt, flags);
	lock_leave();
	r = ker_sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
	lock_take();
	return r;
}

/* Who connects to AF_UNSPEC and sends in one is told that this can't be, whatever the socket is. */
static bool opens_nowhere(int flags, const struct sockaddr *addr, socklen_t len)
{
	return unlikely(flags & MSG_FASTOPEN) && len >= sizeof(addr->sa_family) && !is_wild(addr) && addr->sa_family == AF_UNSPEC;
}

/* Who connects and sends in one: there is nothing to save here. */
static bool connects_first(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return (flags & MSG_FASTOPEN) && addr && !opens_nowhere(flags, addr, len) && fd_peek(fd);
}

/* For a call that may connect first. An error that is still to be told is of the connection before. */
static struct sock *enter_to(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	struct sock *s = enter(fd, flags);

	if (unlikely(flags & MSG_FASTOPEN) && s && s->state == SOCK_FRESH && connects_first(fd, flags, addr, len)) {
		lock_leave();
		return NULL;
	}
	return s;
}

/* One of the calls that take no msghdr; @addr, @len: of sendto(), ignored by TCP. */
static ssize_t send_leave(int fd, struct sock *s, const struct iovec *iov, int cnt, int flags,
			  const struct sockaddr *addr, socklen_t len)
{
	long r;

	if (unlikely(s->state == SOCK_UDP)) {
		struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov,
				      .msg_iovlen = (size_t)cnt,
				      .msg_name = (void *)(uintptr_t)addr,
				      .msg_namelen = len };

		flags |= MSG_NOSIGNAL; /* only streams break with a signal */
		r = dgram_send(fd, s, &msg, flags, true);
	} else if (opens_nowhere(flags, addr, len)) {
		r = -EOPNOTSUPP;
	} else if (unlikely(s->state == SOCK_AWAY)) {
		r = send_lent(fd, s, iov, cnt, flags);
	} else {
		r = conn_send(s, iov, cnt, flags & ~MSG_OOB);
		if (unlikely(flags & MSG_ZEROCOPY) && r > 0)
			zerocopy_sent(s);
	}
	lock_leave();
	return ret_errno(send_done(r, flags));
}

/* What most calls are is the kernel's, and nothing of this is to be on the way to it. */
VJ_EARLY VJ_NOINLINE static ssize_t send_ours(int fd, const void *buf, size_t n, int flags)
{
	struct sock *s = enter(fd, flags);

	if (!s)
		return ret_errno(ker_sendto(fd, buf, n, flags, NULL, 0));
	return send_leave(fd, s, &(struct iovec){ (void *)(uintptr_t)buf, n }, 1, flags, NULL, 0);
}

VJ_DIRECT ssize_t sock_send(int fd, const void *buf, size_t n, int flags)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_sendto(fd, buf, n, flags, NULL, 0));
	return send_ours(fd, buf, n, flags);
}

VJ_EARLY VJ_NOINLINE static ssize_t write_ours(int fd, const void *buf, size_t n)
{
	struct sock *s = enter(fd, 0);

	if (unlikely(!s))
		return ret_errno(ker_write(fd, buf, n));
	return send_leave(fd, s, &(struct iovec){ (void *)(uintptr_t)buf, n }, 1, 0, NULL, 0);
}

VJ_DIRECT ssize_t sock_write(int fd, const void *buf, size_t n)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_write(fd, buf, n));
	return write_ours(fd, buf, n);
}

/* writev() of no bytes asks nobody, unlike write(): the kernel's, who looks at the number. Also what is no array is for the kernel to refuse. */
static bool is_empty(const struct iovec *iov, int cnt)
{
	for (int i = 0; i < cnt && !is_wild(iov); i++)
		if (iov[i].iov_len)
			return false;
	return true;
}

/* Return: NULL: the kernel's */
static struct sock *writev_enter(int fd, const struct iovec *iov, int cnt)
{
	return fd_peek(fd) && cnt >= 0 && cnt <= IOV_MAX && !is_empty(iov, cnt) ? enter(fd, 0) : NULL;
}

ssize_t sock_writev(int fd, const struct iovec *iov, int cnt)
{
	struct sock *s = writev_enter(fd, iov, cnt);

	if (!s)
		return ret_errno(ker_writev(fd, iov, cnt));
	return send_leave(fd, s, iov, cnt, 0, NULL, 0);
}

static VJ_NOINLINE ssize_t send_to_ours(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	struct sock *s = enter_to(fd, flags, addr, len);

	if (!s) {
		if (connects_first(fd, flags, addr, len)) {
			if (sock_connect(fd, addr, len))
				return -1;
			return sock_send(fd, buf, n, flags & ~MSG_FASTOPEN);
		}
		return ret_errno(ker_sendto(fd, buf, n, flags, addr, len));
	}
	return send_leave(fd, s, &(struct iovec){ (void *)(uintptr_t)buf, n }, 1, flags, addr, len);
}

VJ_DIRECT ssize_t sock_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	if (likely(!fd_peek(fd)))
		return ret_errno(ker_sendto(fd, buf, n, flags, addr, len));
	return send_to_ours(fd, buf, n, flags, addr, len);
}

/* Lock held. */
VJ_EARLY static long send_msg(int fd, struct sock *s, const struct msghdr *msg, int flags)
{
	long r;

	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (s->state == SOCK_UDP)
		return dgram_send(fd, s, msg, flags, false);
	r = unlikely(msg->msg_controllen) ? cmsg_check(msg) : 0;
	if (unlikely(r))
		return r;
	if (opens_nowhere(flags, msg->msg_name, msg->msg_namelen))
		return -EOPNOTSUPP;
	if (unlikely(s->state == SOCK_AWAY))
		return send_lent(fd, s, msg->msg_iov, (int)msg->msg_iovlen, flags);
	r = conn_send(s, msg->msg_iov, (int)msg->msg_iovlen, flags & ~MSG_OOB);
	if (unlikely(flags & MSG_ZEROCOPY) && r > 0)
		zerocopy_sent(s);
	return r;
}

ssize_t sock_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	bool is_to = !is_wild(msg) && (flags & MSG_FASTOPEN);
	struct sock *s = is_to ? enter_to(fd, flags, msg->msg_name, msg->msg_namelen) : enter(fd, flags);
	long r;

	if (!s) {
		if (is_to && connects_first(fd, flags, msg->msg_name, msg->msg_namelen)) {
			if (sock_connect(fd, msg->msg_name, msg->msg_namelen))
				return -1;
			return sock_sendmsg(fd, msg, flags & ~MSG_FASTOPEN);
		}
		if (!is_wild(msg) && msg->msg_controllen)
			share_sent(msg);
		return ret_errno(ker_sendmsg(fd, msg, flags));
	}
	if (s->state == SOCK_UDP)
		flags |= MSG_NOSIGNAL;
	r = send_msg(fd, s, msg, flags);
	lock_leave();
	return ret_errno(send_done(r, flags));
}

/* Lock held, one message after the other, or datagrams together. Return: messages, or -errno. */
static long send_msgs(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags)
{
	struct hold hold;
	unsigned done = 0;
	long r = 0;

	hold_begin(&hold, &s->file);
	while (done < cnt) {
		r = s->state == SOCK_UDP ? dgram_send_run(fd, s, msgs + done, cnt - done, flags) : 0;
		if (r > 0) {
			done += (unsigned)r;
			continue;
		}
		if (!r)
			r = send_msg(fd, s, &msgs[done].msg_hdr, flags);
		if (r < 0)
			break;
		msgs[done++].msg_len = (unsigned)r;
	}
	hold_end(&hold);
	return done ? (long)done : r;
}

int sock_sendmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags)
{
	struct sock *s = enter(fd, flags);
	struct dgram_hold h;
	long r;

	if (!s) {
		for (unsigned i = 0; i < cnt && i < IOV_MAX && !is_wild(msgs); i++) /* it takes no more */
			if (msgs[i].msg_hdr.msg_controllen)
				share_sent(&msgs[i].msg_hdr);
		return (int)ret_errno(ker_sendmmsg(fd, msgs, cnt, flags));
	}
	if (s->state == SOCK_UDP)
		flags |= MSG_NOSIGNAL;
	if (s->state == SOCK_UDP && cnt && dgram_sends_to_kernel(fd, s, &msgs->msg_hdr)) {
		s->dgram->asks_kernel = s->dgram->peer_len;
		dgram_kernel_begin(&h, s);
		r = ker_sendmmsg(fd, msgs, cnt, flags);
		dgram_kernel_end(&h);
	} else {
		r = send_msgs(fd, s, msgs, cnt, flags);
	}
	lock_leave();
	return (int)ret_errno(send_done(r, flags));
}

ssize_t sock_pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct sock *s = off != -1 || (flags & ~RWF_KNOWN) ? NULL : writev_enter(fd, iov, cnt);

	if (!s)
		return ret_errno(ker_pwritev2(fd, iov, cnt, off, flags));
	return send_leave(fd, s, iov, cnt, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL, 0);
}
