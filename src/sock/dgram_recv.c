// SPDX-License-Identifier: BSD-2-Clause
/* dgram_recv.c - datagrams from channels and from the kernel: which comes next, and what comes with it */
#include "sock/cmsg.h"
#include "sock/ctx.h"
#include "sock/dest.h"
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/stream.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "lib/dgram.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

enum { LOOPBACK_IFINDEX = 1, ROW_OF_CHANNELS = 4 };

/* @segment: bytes of each of several datagrams in one, UDP_GRO; 0: it is one */
static void cmsg_fill(const struct sock *s, struct msghdr *msg, const struct sockaddr_storage *to, int segment)
{
	const struct dgram *d = s->dgram;
	size_t used = 0;

	cmsg_stamp(msg, &used, d->wants_stamp);
	if (d->wants_pktinfo && to->ss_family == AF_INET) {
		struct in_pktinfo info = { .ipi_ifindex = LOOPBACK_IFINDEX };

		info.ipi_addr = info.ipi_spec_dst = ((const struct sockaddr_in *)to)->sin_addr;
		cmsg_put(msg, &used, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (d->wants_pktinfo6 && s->family == AF_INET6) {
		struct in6_pktinfo info = { .ipi6_ifindex = LOOPBACK_IFINDEX };
		struct sockaddr_in6 in6;
		socklen_t len = sizeof(in6);

		sock_addr_copy(s, to, (struct sockaddr *)&in6, &len);
		info.ipi6_addr = in6.sin6_addr;
		cmsg_put(msg, &used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (segment)
		cmsg_put(msg, &used, IPPROTO_UDP, UDP_GRO, &segment, sizeof(segment));
	msg->msg_controllen = used;
}

size_t dgram_scatter(const struct msghdr *msg, const uint8_t *from, size_t len)
{
	size_t left = len;

	for (size_t i = 0; i < msg->msg_iovlen && left; i++) {
		size_t part = min_size(msg->msg_iov[i].iov_len, left);

		memcpy(msg->msg_iov[i].iov_base, from, part);
		from += part;
		left -= part;
	}
	return len - left;
}

/* May more datagrams than one come in a call? Who leaves no room for the control message that tells them apart is given one. */
static bool takes_more(const struct sock *s, const struct msghdr *msg, int flags)
{
	return unlikely(s->dgram->gro) && !(flags & MSG_PEEK) && msg->msg_control && msg->msg_controllen >= CMSG_SPACE(sizeof(int));
}

/* Return: as recvmsg(); -EAGAIN: nothing on channels. */
static long channel_recv(struct sock *s, struct msghdr *msg, int flags)
{
	bool direct = msg->msg_iovlen == 1 && !is_wild(msg->msg_iov->iov_base);
	size_t room = direct ? msg_bytes(msg) : min_size(msg_bytes(msg), DGRAM_BYTES_MAX), got, more = 0;
	uint8_t *buf = direct ? msg->msg_iov->iov_base : dgram_tables->scratch;
	struct sockaddr_storage from, to;
	ssize_t len;

	len = vj_udp_recv(sock.vj, s->dgram->udp, buf, room, (flags & MSG_PEEK) != 0, &from, &to);
	if (len < 0)
		return len;
	got = min_size(room, (size_t)len);
	if (unlikely(!direct) && got > iov_good_bytes(msg))
		return -EFAULT; /* and it is gone */
	if (takes_more(s, msg, flags) && room > got)
		more = dgram_recv_more(sock.vj, s->dgram->udp, buf + got, min_size(room, DGRAM_BYTES_MAX) - got, got, &from, &to);
	if (!direct)
		dgram_scatter(msg, dgram_tables->scratch, got + more);
	msg->msg_flags = (size_t)len > room ? MSG_TRUNC : 0;
	if (msg->msg_name) {
		socklen_t name_len = msg->msg_namelen;

		sock_addr_copy(s, &from, msg->msg_name, &msg->msg_namelen);
		if (name_len >= msg->msg_namelen)
			dest_learn(s, msg->msg_name, msg->msg_namelen, true);
	}
	cmsg_fill(s, msg, &to, more ? (int)got : 0);
	return flags & MSG_TRUNC && !more ? len : (long)(got + more);
}

/* What came before the kernel's, but not before its error: dgram_copy.c. Return: as recvmsg(); -EAGAIN: nothing */
static VJ_COLD long parcel_recv(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	struct sockaddr_storage from, to;
	size_t room = msg_bytes(msg);
	int err = 0;
	socklen_t err_len = sizeof(err);
	long len;

	if (!sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len) && err)
		return -err;
	len = dgram_unpack(s, msg, flags, &from, &to);
	if (len < 0)
		return len;
	if (msg->msg_name)
		sock_addr_copy(s, &from, msg->msg_name, &msg->msg_namelen);
	s->dgram->from_channel = true;
	cmsg_fill(s, msg, &to, 0);
	return flags & MSG_TRUNC ? len : (long)min_size(room, (size_t)len);
}

/* The kernel's, if there is one. */
static long kernel_take(int fd, struct sock *s, struct msghdr *msg, int flags, bool plain)
{
	const struct iovec *iov = plain && msg->msg_iovlen == 1 ? msg->msg_iov : NULL;
	socklen_t name_len = msg->msg_namelen;
	long r = iov ? sys_recvfrom(fd, iov->iov_base, iov->iov_len, flags | MSG_DONTWAIT, msg->msg_name, &msg->msg_namelen) :
		       sys_recvmsg(fd, msg, flags | MSG_DONTWAIT);

	/* the kernel says how long the name is, not how much of it there was room for */
	if (r >= 0 && msg->msg_name && name_len >= msg->msg_namelen)
		dest_learn(s, msg->msg_name, msg->msg_namelen, false);
	return r;
}

static void note_taken(struct dgram *d, bool kernel, bool peek)
{
	d->carried += !peek;
	if (!peek)
		d->in_row = kernel != d->from_kernel || dgram_is_others_turn(d) ? 0 : d->in_row + 1;
	d->from_kernel = kernel;
	d->from_channel = !kernel;
}

/*
 * What there is now, on channels alone where the kernel is @spared. Who has looked at one (MSG_PEEK) gets that one next, whatever else has come.
 * Return: as recvmsg().
 */
static long take(struct sock *s, struct msghdr *msg, int flags, bool plain, bool spared)
{
	struct dgram *d = s->dgram;
	bool peek = (flags & MSG_PEEK) != 0, kernel = dgram_kernel_first(d);
	long r = unlikely(d->asks_kernel) ? dgram_kernel_error(s) : 0;

	if (r)
		return r;
	r = -EAGAIN;
	for (int side = 0; side < 2; side++, kernel = !kernel) {
		if (kernel && (unlikely(d->yields) || (side && spared))) /* the former: until all has come that went before what is there */
			continue;
		if (kernel) {
			int err = side ? 0 : dgram_error(s); /* channel_recv() tells it by itself */

			r = unlikely(err) ? -err : kernel_take(s->lease_fd, s, msg, flags, plain);
		} else {
			r = channel_recv(s, msg, flags);
			if (r == -EAGAIN) {
				ctx_process();
				r = d->open && sock.vj ? channel_recv(s, msg, flags) : -EAGAIN;
			}
		}
		if (r == -EAGAIN)
			continue;
		note_taken(d, kernel, peek);
		break;
	}
	d->peeked = peek && r >= 0;
	return r;
}

/* Whoever is about to sleep until one comes, on the kernel's socket as well, needn't ask that first, if the last ones came over channels. */
static bool spares_kernel(const struct sock *s, const struct blocking *b)
{
	const struct dgram *d = s->dgram;

	return !b->kernel_ready && !b->timeout_ns && !s->shut_rd && !d->from_kernel && d->in_row >= ROW_OF_CHANNELS;
}

/* May it wait in the kernel's own call? Not to be asked before who has a time-out has waited for some of it in another way. */
static bool may_wait_inside(const struct sock *s, const struct blocking *b, int flags)
{
	return !s->nonblock && !(flags & MSG_DONTWAIT) && recall_may() && !b->deadline_ns && !s->dgram->yields &&
	       !(vj_udp_ready(sock.vj, s->dgram->udp) & (VJ_EV_READABLE | VJ_EV_ERROR));
}

/* As take() of the kernel's, but waits. Return: 0, and not @ret_over: called back, look again */
static long take_inside(struct sock *s, struct msghdr *msg, int flags, bool plain, struct blocking *b, bool *ret_over)
{
	const struct iovec *iov = plain && msg->msg_iovlen == 1 ? msg->msg_iov : NULL;
	socklen_t name_len = msg->msg_namelen;
	struct dgram_hold h;
	struct recall rc;
	long r;

	if (b->timeout_ns)
		b->deadline_ns = time_add_sat(sys_clock_ns(), b->timeout_ns);
	recall_begin(&rc, &s->file, &b->signals);
	dgram_kernel_begin(&h, s);
	if (iov)
		r = recall_call(&rc, SYS_recvfrom, s->lease_fd, (long)iov->iov_base, (long)iov->iov_len, flags, (long)msg->msg_name,
				(long)&msg->msg_namelen);
	else
		r = recall_call(&rc, SYS_recvmsg, s->lease_fd, (long)msg, flags, 0, 0, 0);
	dgram_kernel_end(&h);
	*ret_over = true;
	if (!recall_end(&rc, r))
		return r;
	if (rc.looks) {
		r = block_signals(b, false);
		*ret_over = r;
		return r;
	}
	if (r < 0)
		return r;
	if (msg->msg_name && name_len >= msg->msg_namelen)
		dest_learn(s, msg->msg_name, msg->msg_namelen, false);
	note_taken(s->dgram, true, (flags & MSG_PEEK) != 0);
	s->dgram->peeked = (flags & MSG_PEEK) != 0;
	return r;
}

static long kernel_recv(int fd, struct sock *s, struct msghdr *msg, int flags, bool plain)
{
	const struct iovec *iov = plain && msg->msg_iovlen == 1 ? msg->msg_iov : NULL;
	struct dgram_hold h;
	long r;

	dgram_kernel_begin(&h, s);
	r = iov ? ker_recvfrom(fd, iov->iov_base, iov->iov_len, flags, msg->msg_name, &msg->msg_namelen) : ker_recvmsg(fd, msg, flags);
	dgram_kernel_end(&h);
	return r;
}

long dgram_recv(int fd, struct sock *s, struct msghdr *msg, int flags, bool plain)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .timeout_ns = s->rcvtimeo_ns };
	bool waits = !s->nonblock && !(flags & MSG_DONTWAIT), over; /* and goes on to, whatever another thread sets meanwhile */
	struct dgram *d = s->dgram;
	struct hold hold;
	long r;

	hold_begin(&hold, &s->file);
	if (unlikely(!d->open) && !(flags & MSG_ERRQUEUE))
		dgram_reads(fd, s, flags);
	for (;;) {
		if (!d->open || !sock.vj || (flags & MSG_ERRQUEUE)) {
			r = d->parcel && !(flags & MSG_ERRQUEUE) ? parcel_recv(fd, s, msg, flags) : -EAGAIN;
			if (r == -EAGAIN) /* the number may be another's: the lock was given up, for a claim, or while it waited */
				r = likely(fd_peek(fd) == &s->file) ? kernel_recv(fd, s, msg, flags, plain) : -EBADF;
			d->in_vain = r == -EAGAIN ? (uint8_t)min_u32(d->in_vain + 1u, UINT8_MAX) : 0;
			d->carried += r >= 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE));
			break;
		}
		if (may_wait_inside(s, &b, flags)) {
			r = take_inside(s, msg, flags, plain, &b, &over);
			if (over)
				break;
			continue;
		}
		r = take(s, msg, flags, plain, waits && spares_kernel(s, &b));
		if (r != -EAGAIN)
			break;
		if (!waits)
			break;
		if (s->shut_rd) {
			msg->msg_namelen = 0;
			msg->msg_controllen = 0;
			msg->msg_flags = 0;
			r = 0;
			break;
		}
		b.kernel_fd = s->lease_fd;
		r = block_wait(&b);
		if (r)
			break;
	}
	block_end(&b);
	hold_end(&hold);
	return r;
}
