/* SPDX-License-Identifier: BSD-2-Clause */
/* to_kernel.h - a connection over an interface becomes one of the kernel's: stack/tcp_leave.h, and TO_KERNEL of control/msg.h */
#ifndef LIB_TO_KERNEL_H
#define LIB_TO_KERNEL_H

#include "lib/priv.h"

/**
 * to_kernel() - Have vjd make it one, and forget it here
 * @sock6:  a socket of IPv6 is wanted, also for a connection over IPv4
 * @ret_fd: own_fd(); connected, blocking, with the options that the connection has. @id is invalid then
 *
 * Waits for vjd, which takes half a millisecond, and longer with much in the queues.
 * Return: 0; -EAGAIN: its handshake isn't over, or vjd is away: later; -ENOTCONN: it has ended;
 * others: it can't be, and is as before, or, if vjd can't say, has failed with ECONNRESET.
 */
int to_kernel(struct vj *vj, struct tcp_id id, bool sock6, int *ret_fd);

#endif
