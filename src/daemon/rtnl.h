/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtnl.h - rtnetlink (rtnetlink(7)): one request and its answer, and the requests that vjd makes
 *
 * Requests wait for the kernel, not for anybody else. All of it acts in the network namespace in which the socket was made.
 */
#ifndef DAEMON_RTNL_H
#define DAEMON_RTNL_H

#include "base/addr.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

struct rtnl {
	struct mnl_socket *sock;
	uint32_t seq;
};

/** rtnl_open() - In the network namespace of the calling thread. Return: 0; negative errno */
int rtnl_open(struct rtnl *ret_rtnl);

/** rtnl_open_bus() - The same for another kind of netlink: NETLINK_GENERIC */
int rtnl_open_bus(int bus, struct rtnl *ret_rtnl);

/** rtnl_close() - Also of one that is all zero */
void rtnl_close(struct rtnl *rtnl);

/**
 * rtnl_call() - Send @nlh and read all that answers it
 * @fn: for each message of the answer, may be NULL; as mnl_cb_t, but it returns MNL_CB_OK: all of an answer is read
 * Return: 0; the kernel's errno, negative; -EAGAIN: a dump was interrupted by a change, do it again
 */
int rtnl_call(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t fn, void *arg);

/** rtnl_dump() - All of one kind: @type is RTM_GETLINK and so on; @family AF_UNSPEC for all */
int rtnl_dump(struct rtnl *rtnl, uint16_t type, uint8_t family, mnl_cb_t fn, void *arg);

/**
 * rtnl_veth_new() - A pair of devices with one queue each: @name here, @peer_name in the namespace @peer_netns_fd
 * Return: 0; -EEXIST; -EPERM; -EOPNOTSUPP: the kernel has no veth
 */
int rtnl_veth_new(struct rtnl *rtnl, const char *name, const char *peer_name, int peer_netns_fd, uint32_t mtu);

/** rtnl_link_up() - Return: 0; -ENODEV */
int rtnl_link_up(struct rtnl *rtnl, uint32_t ifindex);

/** rtnl_link_mtu() - Return: 0; -ENODEV; -EINVAL: out of the device's range */
int rtnl_link_mtu(struct rtnl *rtnl, uint32_t ifindex, uint32_t mtu);

/** rtnl_link_del() - With its peer. Return: 0; -ENODEV */
int rtnl_link_del(struct rtnl *rtnl, uint32_t ifindex);

/**
 * rtnl_filter() - Have a device take frames to @mac as well (@add), or no longer
 * What `bridge fdb add MAC dev IF self permanent` does: the device's own filter, or, where it has none, promiscuous mode.
 * Return: 0; -EEXIST; -ENOENT; -EOPNOTSUPP
 */
int rtnl_filter(struct rtnl *rtnl, uint32_t ifindex, const struct mac_addr *mac, bool add);

/**
 * rtnl_addr() - Give a device the IPv6 address @addr, for itself alone (/128), or take it away
 * It is deprecated from the start (RFC 4862 5.5.4): no source of what doesn't ask for it. Nothing is asked or told of it on any link, if
 * the device is `lo`.
 * Return: 0, also if it is there (or not there) already; -ENODEV; -EACCES: the host has IPv6 switched off
 */
int rtnl_addr(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr, bool add);

/** rtnl_neighbour_use() - As if there were a packet for @addr: have it resolved, or looked at again if it is stale */
int rtnl_neighbour_use(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr);

/** rtnl_neighbour_get() - Where the kernel sends what is for @addr. Return: 0; -EAGAIN: it asks for it now; -ENOENT: it doesn't know */
int rtnl_neighbour_get(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr, struct mac_addr *ret_mac);

#endif
