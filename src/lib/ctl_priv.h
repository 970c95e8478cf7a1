/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_priv.h - what ctl_open.c, which finds vjd, and ctl_client.c, which talks to it, have in common */
#ifndef LIB_CTL_PRIV_H
#define LIB_CTL_PRIV_H

#include "lib/ctl_client.h"

#include <sys/socket.h>

struct ctl_event {
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX];
};

struct ctl_client {
	int fd;
	int timeout_ms;
	int dead;     /* negative errno of every later call; 0 while the connection is good */
	uint32_t seq; /* of the last request */
	uint32_t owed; /* replies that came too late to be waited for, or will */
	uint32_t behind; /* the last request among these, but for INTERFACE, which others are answered before; 0: none */
	bool fds_lost; /* its reply came without its descriptors: we may have no more */
	struct ctl_event *events; /* arrived during calls: [event_first, event_cnt) */
	unsigned event_first, event_cnt, event_room;
	uint32_t *unsaid; /* leases that are given up, and vjd has no room to hear so */
	unsigned unsaid_cnt, unsaid_room;
	const struct ctl_meanwhile *meanwhile; /* of the call under way, until it has run; NULL: none */
	struct ctl_welcome welcome;
	char path[CTL_PATH_BYTES];
};

/* Who could make this socket could be anybody; who listens on it is known to the kernel. */
struct ucred ctl_listener(const struct ctl_client *client);

/* By SIGSTOP or ^Z: it answers when somebody lets it go on, which may be never. A debugger's stop is another. */
bool ctl_is_stopped(int32_t pid);

/* Of a call that begins now */
uint64_t ctl_deadline(const struct ctl_client *client);

#endif
