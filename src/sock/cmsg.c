// SPDX-License-Identifier: BSD-2-Clause
/* cmsg.c - control messages of recvmsg() and sendmsg(): what comes beside the data, what is asked for beside it */
#include "sock/away.h"
#include "sock/cmsg.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

void cmsg_put(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len)
{
	struct cmsghdr hdr = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	uint8_t *at = (uint8_t *)msg->msg_control + *used;
	size_t room = msg->msg_control ? msg->msg_controllen - *used : 0;

	if (room < sizeof(hdr)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < hdr.cmsg_len) {
		msg->msg_flags |= MSG_CTRUNC;
		hdr.cmsg_len = room;
	}
	memcpy(at, &hdr, sizeof(hdr));
	memcpy(at + CMSG_LEN(0), data, hdr.cmsg_len - CMSG_LEN(0));
	*used += min_size(CMSG_SPACE(len), room);
}

VJ_EARLY bool cmsg_is_stamp(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_TIMESTAMP || name == SO_TIMESTAMPNS || name == SO_TIMESTAMP_NEW || name == SO_TIMESTAMPNS_NEW);
}

/* The time of a frame's arrival is not kept: it is that of the call, which is later by as long as the program let it wait. */
void cmsg_stamp(struct msghdr *msg, size_t *used, int stamp)
{
	int64_t wide[2]; /* of the _NEW ones, on every machine */
	struct timespec ts;

	if (!stamp)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (stamp == SO_TIMESTAMP) {
		struct timeval tv = { ts.tv_sec, ts.tv_nsec / 1000 };

		cmsg_put(msg, used, SOL_SOCKET, stamp, &tv, sizeof(tv));
	} else if (stamp == SO_TIMESTAMPNS) {
		cmsg_put(msg, used, SOL_SOCKET, stamp, &ts, sizeof(ts));
	} else {
		wide[0] = ts.tv_sec;
		wide[1] = stamp == SO_TIMESTAMP_NEW ? ts.tv_nsec / 1000 : ts.tv_nsec;
		cmsg_put(msg, used, SOL_SOCKET, stamp, wide, sizeof(wide));
	}
}

/* As tcp_inq_hint() of the kernel: bytes left; 1 if it is the end that is left. */
static int bytes_left(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	uint32_t left;

	if (!sock_is_conn(s) || vj_conn_info(sock.vj, s->conn, &info))
		return 0;
	left = info.unread_bytes + (unlikely(s->pumped) ? away_pumped_bytes(s) : 0);
	return left ? (int)left : (vj_ready(sock.vj, s->conn) & VJ_EV_EOF) != 0;
}

void cmsg_tcp(const struct sock *s, struct msghdr *msg, bool got_data)
{
	size_t used = 0;

	msg->msg_flags = 0;
	if (unlikely(s->opts != NULL)) {
		if (got_data)
			cmsg_stamp(msg, &used, s->opts->stamp);
		if (s->opts->inq) {
			int left = bytes_left(s);

			cmsg_put(msg, &used, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof(left));
		}
	}
	msg->msg_controllen = used;
}

/* As the kernel's for TCP: what is of other levels is nobody's business there. Return: 0; -EINVAL; -EFAULT. */
int cmsg_check(const struct msghdr *msg)
{
	const struct cmsghdr *c = msg->msg_controllen ? CMSG_FIRSTHDR(msg) : NULL;

	if (msg->msg_controllen && is_wild(msg->msg_control))
		return -EFAULT;
	for (; c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, (struct cmsghdr *)(uintptr_t)c)) {
		if (!cmsg_is_whole(msg, c))
			return -EINVAL;
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		switch (c->cmsg_type) {
		case SCM_RIGHTS:
		case SCM_CREDENTIALS:
		case SO_MARK:
		case SO_PRIORITY:
		case SO_TIMESTAMPING:
		case SO_TIMESTAMPING_NEW:
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}
