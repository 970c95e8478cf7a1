/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_poll.h - the poll of an application's device, by the application itself
 *
 * Frames that wait at the application's end of a pair of devices are taken by the kernel's poll (NAPI) on the processor of
 * whoever brought them: deliver and the copy into the ring are work of the sender's. An application that looks into its
 * ring all the time anyway can do it: a read of a socket that belongs to the device's poll runs it (SO_BUSY_POLL,
 * Documentation/networking/napi.rst). While it does, the kernel's own comes only if nobody has polled for IF_POLL_DEFER_NS.
 *
 * A copying AF_XDP socket belongs to no poll. A UDP socket does, from its first datagram: so there is one, in vjchan's
 * namespace, bound to the device, which gets one datagram and never another one.
 */
#ifndef DAEMON_IF_POLL_H
#define DAEMON_IF_POLL_H

#include "base/types.h"

enum { IF_POLL_DEFER_NS = 200000 };

struct if_poll {
	int fd;		  /* to be handed out and closed; -1: none */
	uint32_t napi_id; /* 0: none */
};

/**
 * if_poll_open() - Have a socket that belongs to the poll of the application's end
 * The pair is up and has no program yet. It has GRO then, until if_poll_ready().
 * @netns_fd: vjchan's own namespace
 * @packet_fd: a packet socket of the host's namespace, for one frame. Closing one takes the kernel 10 ms, so it isn't opened here
 * Return: 0; negative errno: not to be had, and frames come as ever
 */
int if_poll_open(int netns_fd, int packet_fd, uint32_t host_ifindex, uint32_t app_ifindex, struct if_poll *ret_poll);

/** if_poll_ready() - The program is attached: frames that it passes on must not be joined. Return: 0; negative errno: they will be */
int if_poll_ready(int netns_fd, uint32_t app_ifindex);

/**
 * if_poll_set() - Leave the device to who polls it
 * @defer_ns: after its last poll the kernel's own comes; IF_POLL_DEFER_NS; 0: nobody polls
 * Return: 0; -EOPNOTSUPP: a kernel before 6.13; negative errno
 */
int if_poll_set(int netns_fd, uint32_t napi_id, uint32_t defer_ns);

#endif
