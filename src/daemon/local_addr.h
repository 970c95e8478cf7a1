/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DAEMON_LOCAL_ADDR_H
#define DAEMON_LOCAL_ADDR_H

#include "base/addr.h"

/**
 * local_addr() - Is this one of this host's addresses, in this process's network namespace?
 *
 * Asks the kernel's routing: what is sent to a local address has that address as its source, if it may choose, and IPv4 refuses
 * to send from one that isn't local. A bind alone would succeed for foreign addresses too where net.ipv4.ip_nonlocal_bind is
 * set. Five system calls, nothing is sent. Link-local IPv6 needs a scope that an endpoint doesn't carry: false.
 * Not to be asked about addresses of groups, which a socket is bound to as if they were local.
 */
bool local_addr(const struct ip_addr *addr);

#endif
