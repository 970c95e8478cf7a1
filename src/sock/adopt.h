/* SPDX-License-Identifier: BSD-2-Clause */
/* adopt.h - descriptors that come from outside: adopt.c */
#ifndef SOCK_ADOPT_H
#define SOCK_ADOPT_H

#include "base/types.h"

#include <sys/socket.h>

/* A descriptor that came from outside: tracked from now on if this layer has a say in such a socket. Lock held. */
void adopt_fd(int fd);

/* Is it a TCP connection of the kernel's? */
bool is_kernel_conn(int fd);
/* The descriptors of a message from the kernel (SCM_RIGHTS). Lock not held. */
void adopt_received(const struct msghdr *msg);
/* @fn of each descriptor in @msg, with the lock. Lock not held. */
void message_fds(const struct msghdr *msg, void (*fn)(int fd));

#endif
