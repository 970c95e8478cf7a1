/* SPDX-License-Identifier: BSD-2-Clause */
/* forks.h - servers that fork for each connection: does a channel pay? */
#ifndef VJ_SOCK_FORKS_H
#define VJ_SOCK_FORKS_H

#include "sock/file.h"

#include "lib/report.h"

/* Before and in the child after fork(). Lock held. @attached: the parent is, to vjd */
void forks_prepare(void);
void forks_child(bool attached);
/* There is a context. */
void forks_attached(void);
/* A child of a process that was attached to vjd ends here. Not called where a process ends that was made by vfork(). */
void forks_child_ends(void);
/* A connection that was the parent's came here, is closed here. Of others nothing is noted. */
void forks_claimed(struct sock *s);
void forks_ended(struct sock *s);
/* The helper's tick, if there are `sock.copied`. Return: true: to be called at the next again. */
bool forks_look(void);
/* Is there anything for it to look at? Also when nobody comes on a channel. */
bool forks_looks(void);
/* Why this process's ports are the kernel's for a while; NONE: they are not */
enum report_why forks_rest(void);
/* A connection that was a parent's can't be had on a channel here: who listens is to leave the next ones to the kernel. */
void forks_caged(void);
/* This process becomes another program, and hands on its standard descriptors. Lock held. */
void forks_exec(void);

#endif
