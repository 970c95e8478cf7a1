/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_ports.h - which ports the kernel uses; and of ephemeral ports, that kernel and channels don't use the same ones
 *
 * Frames for a port of a block go to the block's application, so no socket of the kernel may have that port. The kernel is told
 * to choose others (net.ipv4.ip_local_reserved_ports, which counts for IPv6, TCP and UDP as well); a socket that had one already is
 * seen by looking. In this order: reserve, look, use. A program that binds such a port by its number gets it nevertheless, and
 * receives nothing from the network there.
 */
#ifndef DAEMON_KERNEL_PORTS_H
#define DAEMON_KERNEL_PORTS_H

#include "base/addr.h"
#include "control/host_table.h"
#include "daemon/port_block.h"

/** kernel_ports_look() - Which units have a socket of the kernel's in them? @ret_used: PORT_UNIT_CNT. Return: 0; negative errno */
int kernel_ports_look(uint8_t proto, bool *ret_used);

/**
 * kernel_ports_connected() - Has the kernel TCP connections of its own at local port @port, at any address?
 * It looks through all that it has. Return: 0; negative errno
 */
int kernel_ports_connected(uint16_t port, bool *ret_any);

/**
 * kernel_ports_connected_at() - Has the kernel TCP connections at local address @addr, IPv6, with anybody beyond this host?
 * @host: whose addresses are this host's
 * Return: 0; negative errno
 */
int kernel_ports_connected_at(const struct ip_addr *addr, const struct host_image *host, bool *ret_any);

/**
 * kernel_ports_reserve() - Have the kernel leave exactly these units alone
 * @record: File that says what was reserved by us, so that the next vjd can tell it from what the host's owner has reserved
 * Return: 0; -E2BIG: too many pieces for the kernel; other negative errno, nothing has changed
 */
int kernel_ports_reserve(const char *record, const bool *units);

#endif
