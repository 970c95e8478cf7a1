/* SPDX-License-Identifier: BSD-2-Clause */
/* in_kernel.h - sockets that become the kernel's: in_kernel.c, io_uring.c */
#ifndef SOCK_IN_KERNEL_H
#define SOCK_IN_KERNEL_H

#include "sock/file.h"

#include "lib/report.h"

#include <sys/uio.h>

/* A new socket, which is the kernel's since the program's io_uring works on such */
void ring_has(int fd);

/* It is the kernel's now: @fd, which stays the caller's, takes the place of what is at its numbers. @s is gone unless a call has it. Lock held. */
void in_kernel(struct sock *s, int fd, enum report_why why);
/* What this layer knows of a connection's options. Those that libvj knows are set. */
void in_kernel_options(int fd, const struct sock *s);
/* Instead of what a call that waited would do next. Gives the lock up. Return: bytes beside the @done; as recv(), send(), -errno */
long in_kernel_goes_on(struct sock *s, bool sends, const struct iovec *iov, int cnt, size_t done, int flags);

#endif
