// SPDX-License-Identifier: BSD-2-Clause
/*
 * The error queue: what recvmsg(MSG_ERRQUEUE) gives
 *
 * Today that is the completions of MSG_ZEROCOPY. The stack copies, so each says SO_EE_CODE_ZEROCOPY_COPIED; it comes when
 * the bytes are acknowledged, as in Linux, where that is when the last packet with them is freed. Completions that
 * follow each other are one.
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct pd_err {
	struct pd_err *next;
	uint32_t id;
	uint64_t end; /* of its bytes, in all that was written */
};

void pd_err_zerocopy(struct pd_file *f)
{
	struct pd_err *err = calloc(1, sizeof(*err)), **at;

	if (err == NULL)
		return;
	err->id = f->zerocopy_next++;
	err->end = f->written;
	for (at = &f->errs; *at != NULL; at = &(*at)->next)
		;
	*at = err;
}

/* Bytes written and acknowledged */
static uint64_t err_acked(struct pd_world *w, const struct pd_file *f)
{
	struct tcp_info info;

	if (f->tcp.v == 0)
		return UINT64_MAX;
	tcp_info(w->stack, f->tcp, &info);
	if (info.state == TCP_CLOSED)
		return UINT64_MAX;
	return f->written - min_u64(f->written, (uint64_t)info.in_flight_bytes + info.unsent_bytes);
}

bool pd_err_pending(struct pd_world *w, const struct pd_file *f)
{
	return f->errs != NULL && f->errs->end <= err_acked(w, f);
}

/* The range of ids that are complete. Return: false: none is. */
static bool err_take(struct pd_world *w, struct pd_file *f, uint32_t *ret_first, uint32_t *ret_last)
{
	uint64_t acked = err_acked(w, f);

	if (!pd_err_pending(w, f))
		return false;
	*ret_first = f->errs->id;
	while (f->errs != NULL && f->errs->end <= acked) {
		struct pd_err *err = f->errs;

		*ret_last = err->id;
		f->errs = err->next;
		free(err);
	}
	return true;
}

ssize_t pd_err_recv(struct pd_world *w, struct pd_file *f, struct msghdr *msg)
{
	struct {
		struct sock_extended_err ee;
		uint8_t offender[sizeof(struct sockaddr_in6)];
	} data = {
		.ee = {
			.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
			.ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
		},
	};
	size_t len = sizeof(data.ee) + (f->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	struct cmsghdr *cmsg;

	if (!err_take(w, f, &data.ee.ee_info, &data.ee.ee_data))
		return -EAGAIN;
	msg->msg_flags = MSG_ERRQUEUE;
	msg->msg_namelen = 0;
	if (msg->msg_control == NULL || msg->msg_controllen < CMSG_SPACE(len)) {
		msg->msg_flags |= MSG_CTRUNC;
		msg->msg_controllen = 0;
		return 0;
	}
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = f->v6 ? SOL_IPV6 : SOL_IP;
	cmsg->cmsg_type = f->v6 ? IPV6_RECVERR : IP_RECVERR;
	cmsg->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cmsg), &data, len);
	msg->msg_controllen = CMSG_SPACE(len);
	return 0;
}

void pd_err_free(struct pd_file *f)
{
	while (f->errs != NULL) {
		struct pd_err *err = f->errs;

		f->errs = err->next;
		free(err);
	}
}
