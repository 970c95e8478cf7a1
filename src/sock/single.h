/* SPDX-License-Identifier: BSD-2-Clause */
/* single.h - threads, and the namespaces that they go to: single.c */
#ifndef SOCK_SINGLE_H
#define SOCK_SINGLE_H

#include "sock/file.h"

/* Before a thread or a child may come into other namespaces, of @kinds (CLONE_NEWNET ...). No lock. */
void namespace_before(unsigned kinds);
/* Is this socket of another network namespace than vjd takes this process for? Lock held. */
bool sock_is_abroad(int fd, const struct sock *s);

#endif
