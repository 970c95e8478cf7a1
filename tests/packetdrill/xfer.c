// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data in and out: everything is recvmsg() or sendmsg()
 */
#include "tests/packetdrill/linux_tcp.h"
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define XFER_MAX (64u << 20) /* of one call */

struct xfer_wait {
	struct pd_world *w;
	struct pd_file *f;
};

static size_t iov_len(const struct msghdr *msg)
{
	size_t len = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	return min_size(len, XFER_MAX);
}

/* A null pointer where bytes shall go or come from */
static bool iov_fault(const struct msghdr *msg)
{
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		if (msg->msg_iov[i].iov_base == NULL && msg->msg_iov[i].iov_len != 0)
			return true;
	return false;
}

static void iov_scatter(const struct msghdr *msg, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < msg->msg_iovlen && len != 0; i++) {
		size_t part = min_size(len, msg->msg_iov[i].iov_len);

		memcpy(msg->msg_iov[i].iov_base, buf, part);
		buf += part;
		len -= part;
	}
}

static void iov_gather(const struct msghdr *msg, uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < msg->msg_iovlen && len != 0; i++) {
		size_t part = min_size(len, msg->msg_iov[i].iov_len);

		memcpy(buf, msg->msg_iov[i].iov_base, part);
		buf += part;
		len -= part;
	}
}

static uint64_t xfer_deadline(const struct pd_world *w, const struct pd_file *f, int flags, uint64_t timeo_us)
{
	if (f->nonblock || (flags & MSG_DONTWAIT) != 0)
		return w->now_us;
	return timeo_us != 0 ? w->now_us + timeo_us : PD_NEVER;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static bool recv_ready(void *arg)
{
	const struct xfer_wait *me = arg;

	if (me->f->kind == PD_UDP)
		return udp_ready(me->w->stack, me->f->udp) != 0;
	return me->f->rd_shut || me->f->tcp.v == 0 ||
	       (tcp_ready(me->w->stack, me->f->tcp) & STACK_EV_READABLE) != 0;
}

/*
 * @target bytes, or what comes before the end, an error or the deadline. Return: bytes, or negative errno if there is none.
 */
static ssize_t recv_stream(struct pd_world *w, struct pd_file *f, uint8_t *buf, size_t len, size_t target, int flags)
{
	uint64_t deadline_us = xfer_deadline(w, f, flags, f->rcvtimeo_us);
	bool peek = (flags & MSG_PEEK) != 0;
	struct xfer_wait me = { w, f };
	size_t done = 0;

	for (;;) {
		size_t got = 0;
		int err = tcp_recv(w->stack, f->tcp, buf + done, len - done, peek, &got);

		if (err == 0 && got == 0)
			return (ssize_t)done;
		if (err == 0) {
			done += got;
			if (done >= target || peek)
				return (ssize_t)done;
			continue;
		}
		if (err != -EAGAIN && err != -ENOTCONN) {
			if (done == 0)
				return err;
			f->err = -err;
			return (ssize_t)done;
		}
		if (f->rd_shut)
			return (ssize_t)done;
		err = pd_wait(w, recv_ready, &me, deadline_us);
		if (err != 0)
			return done != 0 ? (ssize_t)done : err;
	}
}

static void recv_cmsg_inq(struct pd_world *w, struct pd_file *f, struct msghdr *msg)
{
	struct tcp_info info;
	struct cmsghdr *cmsg;
	int inq;

	if (msg->msg_control == NULL || msg->msg_controllen < CMSG_SPACE(sizeof(inq)) || !f->inq) {
		msg->msg_controllen = 0;
		return;
	}
	tcp_info(w->stack, f->tcp, &info);
	inq = (int)info.unread_bytes;
	if (inq == 0 && info.state != TCP_ESTABLISHED && info.state != TCP_FIN_WAIT_1 &&
	    info.state != TCP_FIN_WAIT_2)
		inq = 1; /* the end can be read */
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = IPPROTO_TCP;
	cmsg->cmsg_type = TCP_INQ;
	cmsg->cmsg_len = CMSG_LEN(sizeof(inq));
	memcpy(CMSG_DATA(cmsg), &inq, sizeof(inq));
	msg->msg_controllen = CMSG_SPACE(sizeof(inq));
}

static ssize_t recv_tcp(struct pd_world *w, struct pd_file *f, struct msghdr *msg, int flags)
{
	size_t len = iov_len(msg), target;
	uint8_t *buf;
	ssize_t ret;

	if ((flags & MSG_OOB) != 0)
		return -EINVAL;
	if (f->err != 0)
		return -pd_sock_error(w, f);
	if (f->tcp.v == 0)
		return -ENOTCONN;
	if ((flags & MSG_TRUNC) == 0 && iov_fault(msg))
		return -EFAULT;
	target = (flags & MSG_WAITALL) != 0 ? len : min_size(len, f->rcvlowat);
	buf = malloc(len + 1);
	if (buf == NULL)
		return -ENOMEM;
	ret = len != 0 ? recv_stream(w, f, buf, len, max_size(target, 1), flags) : 0;
	if (ret > 0 && (flags & MSG_TRUNC) == 0)
		iov_scatter(msg, buf, (size_t)ret);
	free(buf);
	msg->msg_namelen = 0;
	msg->msg_flags = 0;
	recv_cmsg_inq(w, f, msg);
	return ret;
}

static ssize_t recv_udp(struct pd_world *w, struct pd_file *f, struct msghdr *msg, int flags)
{
	struct xfer_wait me = { w, f };
	struct endpoint from;
	struct ip_addr to;
	struct link_id link;
	size_t len = iov_len(msg), whole = 0;
	uint8_t *buf;
	int err = pd_udp_ready(w, f);

	if (err == 0)
		err = pd_wait(w, recv_ready, &me, xfer_deadline(w, f, flags, f->rcvtimeo_us));
	if (err != 0)
		return err;
	buf = malloc(len + 1);
	if (buf == NULL)
		return -ENOMEM;
	err = udp_recv(w->stack, f->udp, buf, len, (flags & MSG_PEEK) != 0, &whole, &from, &to, &link);
	if (err == 0) {
		iov_scatter(msg, buf, min_size(len, whole));
		if (msg->msg_name != NULL)
			pd_addr_out(f, &from, msg->msg_name, &msg->msg_namelen);
		msg->msg_flags = whole > len ? MSG_TRUNC : 0;
		msg->msg_controllen = 0;
	}
	free(buf);
	if (err != 0)
		return err;
	return (ssize_t)((flags & MSG_TRUNC) != 0 ? whole : min_size(len, whole));
}

ssize_t pd_recvmsg(struct pd_world *w, struct pd_file *f, struct msghdr *msg, int flags)
{
	if (f->kind == PD_EPOLL)
		return -EINVAL;
	if ((flags & MSG_ERRQUEUE) != 0)
		return pd_err_recv(w, f, msg);
	return f->kind == PD_TCP ? recv_tcp(w, f, msg, flags) : recv_udp(w, f, msg, flags);
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool send_ready(void *arg)
{
	const struct xfer_wait *me = arg;

	return me->f->tcp.v == 0 || (tcp_ready(me->w->stack, me->f->tcp) & STACK_EV_WRITABLE) != 0;
}

ssize_t pd_send_bytes(struct pd_world *w, struct pd_file *f, const void *buf, size_t len, int flags)
{
	uint64_t deadline_us = xfer_deadline(w, f, flags, f->sndtimeo_us);
	struct xfer_wait me = { w, f };
	const uint8_t *p = buf;
	size_t done = 0;

	if (f->err != 0)
		return -pd_sock_error(w, f);
	if (f->tcp.v == 0 || f->wr_shut)
		return -EPIPE;
	if (len == 0)
		return 0;
	for (;;) {
		unsigned int more = (flags & MSG_MORE) != 0 ? TCP_SEND_MORE : 0;
		size_t sent = 0;
		int err = tcp_send(w->stack, f->tcp, p + done, len - done, more, &sent);

		done += sent;
		f->written += sent;
		if (err == 0 && done == len)
			return (ssize_t)done;
		if (err != 0 && err != -EAGAIN && err != -ENOTCONN)
			return done != 0 ? (ssize_t)done : err;
		pd_settle(w);
		err = pd_wait(w, send_ready, &me, deadline_us);
		if (err != 0)
			return done != 0 ? (ssize_t)done : err;
	}
}

static ssize_t send_tcp(struct pd_world *w, struct pd_file *f, const struct msghdr *msg, int flags)
{
	size_t len = iov_len(msg);
	uint8_t *buf;
	ssize_t ret;

	if (iov_fault(msg))
		return -EFAULT;
	buf = malloc(len + 1);
	if (buf == NULL)
		return -ENOMEM;
	iov_gather(msg, buf, len);
	if (f->state == PD_NEW && ((flags & MSG_FASTOPEN) != 0 || f->fastopen_deferred))
		ret = pd_fastopen_send(w, f, msg, buf, len, flags);
	else
		ret = pd_send_bytes(w, f, buf, len, flags);
	free(buf);
	if (ret >= 0 && (flags & MSG_ZEROCOPY) != 0 && f->zerocopy)
		pd_err_zerocopy(f);
	return ret;
}

static ssize_t send_udp(struct pd_world *w, struct pd_file *f, const struct msghdr *msg)
{
	size_t len = iov_len(msg);
	struct endpoint remote = f->remote;
	struct ip_addr local;
	uint8_t *buf;
	int err = pd_udp_ready(w, f);

	if (err == 0 && msg->msg_name != NULL && msg->msg_namelen != 0)
		err = pd_addr_in(f, msg->msg_name, msg->msg_namelen, &remote);
	if (err != 0)
		return err;
	if (remote.port == 0)
		return -EDESTADDRREQ;
	if (iov_fault(msg))
		return -EFAULT;
	buf = malloc(len + 1);
	if (buf == NULL)
		return -ENOMEM;
	iov_gather(msg, buf, len);
	local = pd_source(w, f, &remote.addr);
	err = udp_send(w->stack, f->udp, w->link, &local, &remote, buf, len);
	free(buf);
	return err != 0 ? err : (ssize_t)len;
}

ssize_t pd_sendmsg(struct pd_world *w, struct pd_file *f, const struct msghdr *msg, int flags)
{
	if (f->kind == PD_EPOLL)
		return -EINVAL;
	return f->kind == PD_TCP ? send_tcp(w, f, msg, flags) : send_udp(w, f, msg);
}

/* ---- Fast Open (RFC 7413) -------------------------------------------------------------------- */

ssize_t pd_fastopen_send(struct pd_world *w, struct pd_file *f, const struct msghdr *msg, const void *buf, size_t len,
			 int flags)
{
	struct endpoint remote = f->remote;
	size_t taken = 0;
	ssize_t rest;
	int err = 0;

	if (!f->fastopen_deferred && (w->set.fastopen & PD_FASTOPEN_CLIENT) == 0)
		return -EOPNOTSUPP;
	if (!f->fastopen_deferred)
		err = msg->msg_name != NULL ? pd_addr_in(f, msg->msg_name, msg->msg_namelen, &remote) : -EINVAL;
	f->fastopen_deferred = false;
	if (err == 0)
		err = pd_tcp_start(w, f, &remote, buf, len, &taken);
	if (err != 0)
		return err;
	f->written += taken;
	if (f->nonblock || (flags & MSG_DONTWAIT) != 0)
		return taken != 0 ? (ssize_t)taken : -EINPROGRESS;
	pd_settle(w);
	err = pd_connect_wait(w, f);
	if (err != 0)
		return err;
	rest = pd_send_bytes(w, f, (const uint8_t *)buf + taken, len - taken, flags);
	return rest >= 0 ? (ssize_t)taken + rest : taken != 0 ? (ssize_t)taken : rest;
}
