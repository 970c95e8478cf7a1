/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own6_sock.h - where neighbour discovery about applications' addresses comes in from one interface, and goes out
 *
 * A packet socket with a filter in the kernel, which lets in what is about an address of the prefix; what a flood can make vjd do is
 * bounded as in lan_sock.h.
 */
#ifndef DAEMON_OWN6_SOCK_H
#define DAEMON_OWN6_SOCK_H

#include "base/addr.h"
#include "lan/limit.h"

enum { OWN6_SOCK_FRAME_MAX = 256, OWN6_SOCK_PER_SECOND = 1000, OWN6_SOCK_BURST = 200 };

struct own6_sock {
	uint32_t ifindex;
	int epoll_fd; /* readable when there is something to read */
	int fd;
	bool paused;
	struct lan_limit limit;
};

/** own6_sock_open() - Return: 0; -EPERM and other errno of packet(7) */
int own6_sock_open(uint32_t ifindex, const struct ip_prefix *prefix, struct own6_sock *ret_sock);

void own6_sock_close(struct own6_sock *s);

/** own6_sock_read() - The next frame; longer ones are cut. Return: its length; 0: none, or not before own6_sock_deadline_us() */
size_t own6_sock_read(struct own6_sock *s, uint8_t frame[static OWN6_SOCK_FRAME_MAX], uint64_t now_us);

/** own6_sock_deadline_us() - When reading goes on after a pause; TIME_NEVER: when there is something */
uint64_t own6_sock_deadline_us(const struct own6_sock *s);

/** own6_sock_send() - A whole frame; what the device doesn't take is lost */
void own6_sock_send(const struct own6_sock *s, const uint8_t *frame, size_t len);

/**
 * own6_sock_join() - Be in the solicited-node group of @addr: the device's filter lets its frames in, and the kernel says so by MLD, to
 * switches that would keep them back
 * Return: a descriptor, which leaves it when it is closed; negative errno
 */
int own6_sock_join(uint32_t ifindex, const struct ip_addr *addr);

#endif
