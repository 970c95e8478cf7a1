/* SPDX-License-Identifier: BSD-2-Clause */
/* fork_server.h - servers whose connections other processes serve: does a channel pay? */
#ifndef VJ_SOCK_FORK_SERVER_H
#define VJ_SOCK_FORK_SERVER_H

#include "sock/file.h"

#include "lib/report.h"

/* Before and in the child after fork(). Lock held. @attached: the parent is, to vjd */
void fork_server_prepare(void);
void fork_server_child(bool attached);
/* There is a context. */
void fork_server_attached(void);
/* A child of a process that was attached to vjd ends here. Not called where a process ends that was made by vfork(). */
void fork_server_child_ends(void);
/* A connection of another process's came here. */
void fork_server_claimed(void);
/* The helper's tick */
void fork_server_look(void);
/* Is there anything for it to look at? Also when nobody comes on a channel. */
bool fork_server_looks(void);
/* If not: when there is; TIME_NEVER: nobody knows */
uint64_t fork_server_again_ns(void);
/* Is what this process opens to be the kernel's for a while, as others use it and soon close it? */
bool fork_server_opens(void);
/* Why this process's ports are the kernel's for a while; NONE: they are not */
enum report_why fork_server_rest(void);
/* A connection that was a parent's can't be had on a channel here: who listens is to leave the next ones to the kernel. */
void fork_server_caged(void);
/* This process becomes another program, and hands on its standard descriptors. Lock held. */
void fork_server_exec(void);

#endif
