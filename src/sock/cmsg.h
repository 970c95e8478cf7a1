/* SPDX-License-Identifier: BSD-2-Clause */
/* cmsg.h - control messages: cmsg.c */
#ifndef SOCK_CMSG_H
#define SOCK_CMSG_H

#include "sock/file.h"

#include <sys/socket.h>

/* As the kernel's put_cmsg(), at *@used of msg_control: what does not fit is cut off, and said. */
void cmsg_put(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len);
/* An option that asks for the time to come with the data? */
bool cmsg_is_stamp(int level, int name);
/* @stamp: that option; 0: none */
void cmsg_stamp(struct msghdr *msg, size_t *used, int stamp);
/* What a connection on a channel gives beside what it has received */
void cmsg_tcp(const struct sock *s, struct msghdr *msg, bool got_data);
int cmsg_check(const struct msghdr *msg);
/* A header that the kernel would refuse is not followed. */
static inline bool cmsg_is_whole(const struct msghdr *msg, const struct cmsghdr *c)
{
	size_t before = (size_t)((const uint8_t *)c - (const uint8_t *)msg->msg_control);

	return c->cmsg_len >= CMSG_LEN(0) && c->cmsg_len <= msg->msg_controllen - before;
}

#endif
