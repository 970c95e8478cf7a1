/* SPDX-License-Identifier: BSD-2-Clause */
/* raw_tcp.h - segments of connections that vjd has no part in, by raw sockets */
#ifndef DAEMON_RAW_TCP_H
#define DAEMON_RAW_TCP_H

#include "base/addr.h"
#include "wire/tcp.h"

struct raw_tcp {
	int fds[2]; /* IPv4, IPv6; -1: could not be opened, and nothing is sent */
};

/** raw_tcp_open() - Makes system calls, as the others; none of them waits */
void raw_tcp_open(struct raw_tcp *raw);

/**
 * raw_tcp_send() - A segment without options or data. Best effort
 * @ifindex: where link-local addresses are meant; 0: there are none
 */
void raw_tcp_send(const struct raw_tcp *raw, const struct ip_addr *src, const struct ip_addr *dst, uint32_t ifindex,
		  const struct tcp_fields *fields);

void raw_tcp_close(const struct raw_tcp *raw);

#endif
