/* SPDX-License-Identifier: BSD-2-Clause */
/* cage.h - programs under a filter of their own: cage.c, confine.c */
#ifndef SOCK_CAGE_H
#define SOCK_CAGE_H

#include "sock/sock.h"

/* Does this program fork a process for each connection that will not be able to claim it, if it waits for them without epoll? Lock held. */
bool program_confines(void);

/* Calls for which this layer makes other system calls than libc does */
/* clang-format off */
#define CAGE_CALLS(X) X(accept) X(dup2) X(epoll_create) X(epoll_pwait) X(epoll_wait) X(poll) X(ppoll) X(pselect) X(select)
/* clang-format on */
struct cage_calls {
#define X(name) __typeof__(name) *name;
	CAGE_CALLS(X)
#undef X
};
/* libc's own, for a program under a filter of its own that has nothing on channels any more; else NULL */
extern const struct cage_calls *caged;

#endif
