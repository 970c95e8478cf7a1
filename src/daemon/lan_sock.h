/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lan_sock.h - packet sockets on which port-aware ARP comes in from one interface, and goes out
 *
 * One socket for each EtherType, with a filter in the kernel, so that nothing else wakes vjd. What a flood can make vjd do is
 * bounded: of more than LAN_SOCK_PER_SECOND messages nothing is read until the second is over, and the kernel drops what
 * doesn't fit in the small buffers meanwhile.
 */
#ifndef DAEMON_LAN_SOCK_H
#define DAEMON_LAN_SOCK_H

#include "lan/limit.h"
#include "wire/parp.h"

enum {
	LAN_SOCK_ARP,
	LAN_SOCK_E2,
	LAN_SOCK_ND,
	LAN_SOCK_CNT,
	LAN_SOCK_PER_SECOND = 1000,
	LAN_SOCK_BURST = 200,
};

struct lan_sock {
	uint32_t ifindex;
	int epoll_fd; /* readable when there is something to read */
	int fds[LAN_SOCK_CNT];
	bool paused;
	struct lan_limit limit;
	uint64_t lost; /* not sent */
};

/** lan_sock_open() - Return: 0; -EPERM and other errno of packet(7) */
int lan_sock_open(uint32_t ifindex, const struct parp_config *codec, struct lan_sock *ret_sock);

/** lan_sock_close() - Also of one that is all zero but for its descriptors, which are -1 */
void lan_sock_close(struct lan_sock *s);

/**
 * lan_sock_read() - The next frame
 * @room: at least PARP_FRAME_MAX; longer frames are cut
 * Return: its length; 0: none, or not before lan_sock_deadline_us()
 */
size_t lan_sock_read(struct lan_sock *s, void *buf, size_t room, uint64_t now_us);

/**
 * lan_sock_recv() - The next frame of packet socket @fd that came without a VLAN tag, at @ifindex; each that is read counts for @limit
 * The kernel takes tags off before it gives frames to packet sockets, and gives the interface's those of its VLANs, too.
 * Return: as lan_sock_read()
 */
size_t lan_sock_recv(int fd, uint32_t ifindex, struct lan_limit *limit, void *buf, size_t room, uint64_t now_us);

/** lan_sock_deadline_us() - When reading goes on after a pause; TIME_NEVER: when there is something */
uint64_t lan_sock_deadline_us(const struct lan_sock *s);

/** lan_sock_send() - A whole frame. What the device doesn't take is lost, and counted */
void lan_sock_send(struct lan_sock *s, const void *frame, size_t len);

#endif
