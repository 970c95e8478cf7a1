// SPDX-License-Identifier: BSD-2-Clause
/* On which path is a connection? For programs that know nothing of vjchan. */
#ifndef VJ_TESTS_KERNEL_CONN_H
#define VJ_TESTS_KERNEL_CONN_H

#include <stdbool.h>

/**
 * kernel_has_conn() - Does the kernel have a connection between the two addresses of this socket?
 *
 * Asked by sock_diag(7) for these two alone: /proc/net/tcp has a line for each connection of the machine, thousands after a benchmark.
 */
bool kernel_has_conn(int fd);

#endif
