// SPDX-License-Identifier: BSD-2-Clause
/* dgram_send.c - datagrams to channels, and to the kernel those that no channel carries */
#include "sock/cmsg.h"
#include "sock/ctx.h"
#include "sock/dest.h"
#include "sock/dgram_priv.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/undo.h"

#include "lib/dgram.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

enum {
	TO_KERNEL = 1 + DGRAM_BYTES_MAX,
	RUN_MAX = 64, /* messages that are sent together */
	SEGMENT_IOVS = 16,
};

/*
 * One that isn't on channels, to somebody who is: is it to be, or do its datagrams go by the kernel, as those before it sent few? Then it is put on
 * channels when it has read the answers to many (dgram_reads()): not here, in the middle of a burst, whose order the other end could not know.
 */
static bool pays(const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	s->dgram->dest_nr = dest_nr(s, sa, len);
	return !dest_has_few(s->dgram->dest_nr);
}

bool dgram_to_channel(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dgram *d = s->dgram;

	if (is_wild(sa) || !len)
		return false;
	if (!d->open) {
		d->spoke = true;
		if (!dgram_may_open(s))
			return false;
	}
	if (!dest_on_channel(s, sa, len))
		return false;
	d->carried++;
	return d->open || (pays(s, sa, len) && !ctx_get() && !port_open(fd, s));
}

static long kernel_send(int fd, struct sock *s, const struct msghdr *msg, int flags, bool plain)
{
	const struct iovec *iov = plain && msg->msg_iovlen == 1 ? msg->msg_iov : NULL;
	struct dgram_hold h;
	long r;

	s->dgram->asks_kernel = s->dgram->peer_len;
	dgram_kernel_begin(&h, s);
	r = iov ? ker_sendto(fd, iov->iov_base, iov->iov_len, flags, msg->msg_name, msg->msg_namelen) : ker_sendmsg(fd, msg, flags);
	dgram_kernel_end(&h);
	return r;
}

static const void *gather(const struct msghdr *msg)
{
	size_t off = 0;

	if (msg->msg_iovlen == 1)
		return msg->msg_iov->iov_base;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (msg->msg_iov[i].iov_len)
			memcpy(dgram_tables->scratch + off, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		off += msg->msg_iov[i].iov_len;
	}
	return dgram_tables->scratch;
}

/* A channel did not take one. Return: an error to report; TO_KERNEL: the kernel is to send it. */
static long channel_refused(const struct sock *s, const struct sockaddr *to, socklen_t to_len, long err)
{
	if (err != -EMSGSIZE && err != -EAGAIN && err != -ENOBUFS)
		dest_forget(s, to, to_len);
	return err == -ECONNREFUSED && s->dgram->peer_len ? err : TO_KERNEL;
}

/* Who gives frames back may wait for the one processor that we have. */
static VJ_COLD void give_way(void)
{
	lock_drop();
	SYS_CALL0(SYS_sched_yield);
	lock_take();
}

/* Return: @len, or as channel_refused() */
static long channel_send(struct sock *s, const struct sockaddr *to, socklen_t to_len,
			 const struct msghdr *msg, size_t len)
{
	long r;

	ctx_speaks();
	r = vj_udp_send(sock.vj, s->dgram->udp, to, to_len, gather(msg), len);
	if (r == -EAGAIN || r == -ENOBUFS) { /* frames, or enough of them, may have come back since we looked */
		if (sock.alone)
			give_way();
		ctx_process();
		if (s->dgram->open && sock.vj) /* `scratch` may be another thread's by now */
			r = vj_udp_send(sock.vj, s->dgram->udp, to, to_len, gather(msg), len);
	}
	return r == 0 ? (long)len : channel_refused(s, to, to_len, r);
}

/*
 * UDP_SEGMENT, of the socket or of this message, by a control message that is alone. Return: bytes of each datagram; 0: it is one; -1: there
 * are other control messages, or what the kernel refuses.
 */
static int segment_of(const struct sock *s, const struct msghdr *msg)
{
	const struct cmsghdr *c = msg->msg_controllen ? CMSG_FIRSTHDR(msg) : NULL;
	uint16_t segment = s->dgram->segment;

	if (!msg->msg_controllen)
		return segment;
	if (!c || !cmsg_is_whole(msg, c) || c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_SEGMENT ||
	    c->cmsg_len != CMSG_LEN(sizeof(segment)) || msg->msg_controllen > CMSG_SPACE(sizeof(segment)))
		return -1;
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment;
}

/* What is left of @msg, through the kernel, which makes datagrams of it as well */
static long segments_rest(struct sock *s, const struct msghdr *msg, int flags, size_t skip)
{
	struct iovec iov[SEGMENT_IOVS];
	struct msghdr rest = *msg;
	size_t cnt = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		size_t part = min_size(skip, msg->msg_iov[i].iov_len);

		skip -= part;
		if (part < msg->msg_iov[i].iov_len)
			iov[cnt++] = (struct iovec){ (uint8_t *)msg->msg_iov[i].iov_base + part, msg->msg_iov[i].iov_len - part };
	}
	rest.msg_iov = iov;
	rest.msg_iovlen = cnt;
	return kernel_send(s->lease_fd, s, &rest, flags, false);
}

/*
 * Several datagrams of @segment bytes in one call. The kernel takes all or none; so what a channel has no room for goes the other way.
 * Return: @len, or as channel_refused().
 */
static long channel_send_segments(struct sock *s, const struct sockaddr *to, socklen_t to_len, const struct msghdr *msg, size_t len,
				  size_t segment, int flags)
{
	ssize_t sent;

	if (len > segment * DGRAM_SEGMENTS_MAX || msg->msg_iovlen > SEGMENT_IOVS)
		return TO_KERNEL;
	sent = dgram_send_segments(sock.vj, s->dgram->udp, to, to_len, gather(msg), len, segment);
	if (sent < 0)
		return channel_refused(s, to, to_len, sent);
	if ((size_t)sent < len)
		(void)segments_rest(s, msg, flags, (size_t)sent); /* lost, if the kernel has no room either */
	return (long)len;
}

/* Where the datagram goes: as it says, or as connect() did. AF_UNSPEC is IPv4 to a socket of IPv4, and to one of IPv6 no address at all. */
static const struct sockaddr *send_to(const struct sock *s, const struct msghdr *msg, struct sockaddr_storage *copy, socklen_t *ret_len)
{
	const struct sockaddr *name = msg->msg_name;
	bool unspec = !is_wild(name) && msg->msg_namelen >= sizeof(struct sockaddr_in) && name->sa_family == AF_UNSPEC;

	if (unlikely(unspec) && s->family == AF_INET) {
		memcpy(copy, name, sizeof(struct sockaddr_in));
		copy->ss_family = AF_INET;
		*ret_len = sizeof(struct sockaddr_in);
		return (const struct sockaddr *)copy;
	}
	if (name && msg->msg_namelen && !unspec) {
		*ret_len = msg->msg_namelen;
		return name;
	}
	*ret_len = s->dgram->peer_len;
	return (const struct sockaddr *)&s->dgram->peer;
}

bool dgram_sends_to_kernel(int fd, struct sock *s, const struct msghdr *msg)
{
	struct sockaddr_storage copy;
	socklen_t len;
	const struct sockaddr *to = send_to(s, msg, &copy, &len);

	return s->dgram->sends_to_kernel || !dgram_to_channel(fd, s, to, len);
}

/* Is it one that channels carry, wherever it goes? */
static bool channel_carries(const struct sock *s, const struct msghdr *msg, size_t len, int flags)
{
	return iov_good_bytes(msg) == len && segment_of(s, msg) >= 0 && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)) &&
	       !s->dgram->sends_to_kernel && !s->shut_wr && len <= DGRAM_BYTES_MAX;
}

/*
 * What came over a channel is told by the next call, also by one that goes to the kernel: after what that finds wrong with the address. With the
 * kernel's MSG_PROBE (libc calls that bit MSG_PROXY) and no bytes it looks at that, and sends nothing (udp_sendmsg()).
 */
static VJ_COLD long channel_error(int fd, struct sock *s, const struct msghdr *msg)
{
	const struct msghdr probe = { .msg_name = msg->msg_name, .msg_namelen = msg->msg_namelen };
	long r = dgram_level(s) & EPOLLERR ? sys_sendmsg(fd, &probe, MSG_CONFIRM | MSG_PROXY | MSG_DONTWAIT) : 0;
	int err = r < 0 ? 0 : dgram_error(s);

	return r < 0 ? r : err ? -err : TO_KERNEL;
}

/* As channel_send(), one or several, after what the kernel says of those that went by it. */
static long channel_send_any(struct sock *s, const struct sockaddr *to, socklen_t to_len, const struct msghdr *msg, size_t len, int flags)
{
	long r = unlikely(s->dgram->asks_kernel) ? dgram_kernel_error(s) : 0, segment = segment_of(s, msg);

	if (r)
		return r;
	return segment && len > (size_t)segment ? channel_send_segments(s, to, to_len, msg, len, (size_t)segment, flags) :
						  channel_send(s, to, to_len, msg, len);
}

static bool is_v4(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

/* A connected socket has an address of its peer's family in the kernel, from which nothing goes to the other. */
static bool is_other_family(const struct sock *s, const struct sockaddr *to, socklen_t len)
{
	const struct sockaddr *peer = (const struct sockaddr *)&s->dgram->peer;

	return s->family == AF_INET6 && s->dgram->peer_len && to != peer && !is_wild(to) && len >= sizeof(struct sockaddr_in6) && is_v4(to) != is_v4(peer);
}

/* To a call without a msghdr an address of no bytes is not none, and a long one isn't cut. */
static bool is_name_refused(const struct msghdr *msg, bool plain)
{
	return plain && msg->msg_name && (!msg->msg_namelen || msg->msg_namelen > sizeof(struct sockaddr_storage));
}

long dgram_send(int fd, struct sock *s, const struct msghdr *msg, int flags, bool plain)
{
	size_t len = msg_bytes(msg);
	struct sockaddr_storage copy;
	const struct sockaddr *to;
	socklen_t to_len;
	struct hold hold;
	long r = TO_KERNEL;

	hold_begin(&hold, &s->file);
	to = send_to(s, msg, &copy, &to_len);
	if (flags & MSG_MORE) /* pieces of one datagram are put together there */
		s->dgram->sends_to_kernel = true;
	if (!is_name_refused(msg, plain) && channel_carries(s, msg, len, flags) && !is_other_family(s, to, to_len) && dgram_to_channel(fd, s, to, to_len))
		r = channel_send_any(s, to, to_len, msg, len, flags);
	if (s->lease_fd >= 0)
		fd = s->lease_fd;
	if (r == TO_KERNEL && dgram_waits(s))
		r = channel_error(fd, s, msg);
	if (r == TO_KERNEL)
		r = kernel_send(fd, s, msg, flags, plain);
	hold_end(&hold);
	return r;
}

/* The first messages, as long as they are each in one piece and for the destination of the first. Return: how many. */
static unsigned run_of(const struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags, struct vj_udp_msg out[RUN_MAX])
{
	const struct msghdr *first = &msgs->msg_hdr;
	unsigned n;

	for (n = 0; n < cnt && n < RUN_MAX; n++) {
		const struct msghdr *msg = &msgs[n].msg_hdr;

		if (msg->msg_iovlen != 1 || segment_of(s, msg) || !channel_carries(s, msg, msg->msg_iov->iov_len, flags) ||
		    !msg->msg_name != !first->msg_name || msg->msg_namelen != first->msg_namelen ||
		    (msg->msg_name && memcmp(msg->msg_name, first->msg_name, msg->msg_namelen) != 0))
			break;
		out[n] = (struct vj_udp_msg){ .data = msg->msg_iov->iov_base, .len = (uint32_t)msg->msg_iov->iov_len };
	}
	return n;
}

long dgram_send_run(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags)
{
	struct vj_udp_msg out[RUN_MAX];
	unsigned n = cnt > 1 ? run_of(s, msgs, cnt, flags, out) : 0;
	struct sockaddr_storage copy;
	const struct sockaddr *to;
	socklen_t to_len;
	long r;

	if (n < 2 || unlikely(s->dgram->asks_kernel))
		return 0;
	to = send_to(s, &msgs->msg_hdr, &copy, &to_len);
	if (is_other_family(s, to, to_len) || !dgram_to_channel(fd, s, to, to_len))
		return 0;
	r = vj_udp_send_batch(sock.vj, s->dgram->udp, to, to_len, out, n);
	if (r < 0)
		return channel_refused(s, to, to_len, r) == TO_KERNEL ? 0 : r;
	for (long i = 0; i < r; i++)
		msgs[i].msg_len = out[i].len;
	return r;
}
