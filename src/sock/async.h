/* SPDX-License-Identifier: BSD-2-Clause */
/* async.h - signals of what happens on channels (O_ASYNC); async.c explains them */
#ifndef SOCK_ASYNC_H
#define SOCK_ASYNC_H

#include "sock/file.h"

#include <signal.h>

/* F_SETOWN and its like, of a number that we know. As fcntl(), -errno */
int owner_fcntl(int fd, int cmd, long arg);
/* F_GETOWN, of any number. As fcntl(), errno included: a group's number is negative, and to the kernel's own call looks like an error */
int owner_get(int fd);
/* FIOSETOWN and its like. As ioctl(), -errno */
int owner_ioctl(int fd, unsigned req, int *owner);
/* Something of what poll() calls @mask has become so of a socket with O_ASYNC. Lock held. */
void async_tell(struct sock *s, uint32_t mask);
/* Of such a signal: what the kernel's si_code would be */
int async_code(const siginfo_t *info);

#endif
