/* SPDX-License-Identifier: BSD-2-Clause */
/* info.h - TCP_INFO, and what else is told of a connection: info.c */
#ifndef SOCK_INFO_H
#define SOCK_INFO_H

#include "sock/file.h"

#include <sys/socket.h>

/* TCP_INFO, as long as the kernel's. @fd: a socket of its, or why there is none. Return: 0; -errno. */
int info_get(int fd, const struct sock *s, void *val, socklen_t *len);
/* @ret_mtu: IP bytes that the path of this connection carries, as far as is known. Return: 0; -ENOTCONN: there is none any more. */
int info_path_mtu(const struct sock *s, uint32_t *ret_mtu);
/* Has this connection failed, or been ended by both? The kernel's state is TCP_CLOSE then. */
bool info_has_ended(const struct sock *s);

#endif
