/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lease_scope.h - a port for programs of this host at first, and for the network later
 *
 * A connection over an interface stays in its process (docs/moving-connections.md, 5). So the layer above may want to see first what a server
 * does with the connections it accepts.
 *
 * Thread rule: as vj.h, one thread at a time.
 */
#ifndef LIB_LEASE_SCOPE_H
#define LIB_LEASE_SCOPE_H

#include <vj/vj.h>

/* A flag of vj_listen(), beside VJ_LISTEN_*: clients from beyond this host are the kernel's. */
enum { LEASE_SCOPE_LOCAL = 4 };

/**
 * lease_scope_widen() - From now on clients from beyond this host come by channels, too
 * Blocks for vjd's answer. Return: 0, also if it was so already; -ENOTCONN: vjd is away, and will hear of it when it is back; as vj_listen().
 */
int lease_scope_widen(struct vj *vj, struct vj_listener l);

/**
 * lease_scope_narrow() - From now on they are the kernel's
 * Those that have come stay. Blocks for vjd's answer. Return: as lease_scope_widen().
 */
int lease_scope_narrow(struct vj *vj, struct vj_listener l);

/**
 * lease_scope_interfaces() - Interfaces of the host by which clients of it come over channels
 * @proto, @obj: CTL_PROTO_TCP and a listener, or CTL_PROTO_UDP and a socket
 * @ret_ifindex: The first @room of them
 * Return: how many there are.
 */
unsigned lease_scope_interfaces(const struct vj *vj, uint8_t proto, uint32_t obj, uint32_t *ret_ifindex, unsigned room);

#endif
