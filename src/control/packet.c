/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/packet.h"

#include "base/assert.h"

#include <string.h>

_Static_assert(sizeof(((struct ctl_packet *)0)->control) <
		       CMSG_SPACE((CTL_PACKET_FDS_ROOM + 1) * sizeof(int)),
	       "no more descriptors can come than there is room for");

static void init(struct ctl_packet *p)
{
	/* not the message: it is overwritten */
	memset(&p->hdr, 0, sizeof(p->hdr));
	memset(p->control, 0, sizeof(p->control));
	p->iov = (struct iovec){ .iov_base = &p->msg, .iov_len = sizeof(p->msg) };
	p->hdr.msg_iov = &p->iov;
	p->hdr.msg_iovlen = 1;
}

void ctl_packet_send(struct ctl_packet *p, const struct ctl_msg *msg, const int *fds,
		     unsigned fd_cnt)
{
	struct cmsghdr *c;

	VJ_ASSERT_OP(fd_cnt, <=, (unsigned)CTL_FDS_MAX);
	init(p);
	p->msg = *msg;
	if (fd_cnt == 0)
		return;
	p->hdr.msg_control = p->control;
	p->hdr.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
	c = CMSG_FIRSTHDR(&p->hdr);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
	memcpy(CMSG_DATA(c), fds, fd_cnt * sizeof(int));
}

void ctl_packet_recv(struct ctl_packet *p)
{
	init(p);
	p->hdr.msg_control = p->control;
	p->hdr.msg_controllen = sizeof(p->control);
}

/*
 * There is room for one header only, and SO_PASSCRED and the like are off: SCM_RIGHTS or nothing.
 */
static unsigned take_fds(const struct ctl_packet *p, int ret_fds[static CTL_PACKET_FDS_ROOM])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(&p->hdr);
	size_t cnt;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len < CMSG_LEN(0))
		return 0;
	cnt = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	VJ_ASSERT_OP(cnt, <=, (size_t)CTL_PACKET_FDS_ROOM);
	memcpy(ret_fds, CMSG_DATA(c), cnt * sizeof(int));
	return (unsigned)cnt;
}

enum ctl_refusal ctl_packet_check(struct ctl_packet *p, size_t bytes, enum ctl_from from,
				  struct ctl_msg *ret_msg, int ret_fds[static CTL_PACKET_FDS_ROOM],
				  unsigned *ret_fd_cnt)
{
	*ret_fd_cnt = take_fds(p, ret_fds);
	if ((p->hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return CTL_REFUSAL_MALFORMED;
	return ctl_check(&p->msg, bytes, *ret_fd_cnt, from, ret_msg);
}
