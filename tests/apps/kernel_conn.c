// SPDX-License-Identifier: BSD-2-Clause
#include "kernel_conn.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATE_TIME_WAIT = 6, STATE_LISTEN = 10 };

static void must(const char *what, bool ok)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* Return: the address family */
static int name_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *), __be16 *ret_port, __be32 ret_addr[4])
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t len = sizeof(a);

	must("name", !name(fd, &a.sa, &len));
	if (a.sa.sa_family == AF_INET) {
		*ret_port = a.v4.sin_port;
		ret_addr[0] = a.v4.sin_addr.s_addr;
	} else {
		*ret_port = a.v6.sin6_port;
		memcpy(ret_addr, &a.v6.sin6_addr, 16);
	}
	return a.sa.sa_family;
}

bool kernel_has_conn(int fd)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_protocol = IPPROTO_TCP, .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	union {
		struct nlmsghdr head;
		char room[8192];
	} answer;
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const struct inet_diag_msg *msg = NLMSG_DATA(&answer.head);
	ssize_t len;

	must("sock_diag", nl >= 0);
	ask.req.sdiag_family = (__u8)name_of(fd, getsockname, &ask.req.id.idiag_sport, ask.req.id.idiag_src);
	name_of(fd, getpeername, &ask.req.id.idiag_dport, ask.req.id.idiag_dst);
	must("sock_diag", send(nl, &ask, sizeof(ask), 0) == sizeof(ask));
	len = recv(nl, &answer, sizeof(answer), 0);
	must("sock_diag", len >= (ssize_t)sizeof(answer.head));
	close(nl);
	if (answer.head.nlmsg_type == NLMSG_ERROR)
		return false;
	must("sock_diag", len >= (ssize_t)(NLMSG_HDRLEN + sizeof(*msg)));
	/* where there is no such connection it finds who listens there */
	return msg->idiag_state != STATE_TIME_WAIT && msg->idiag_state != STATE_LISTEN;
}
