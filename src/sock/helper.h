/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.h - the thread that goes on while the program computes: helper.c */
#ifndef SOCK_HELPER_H
#define SOCK_HELPER_H

#include "base/types.h"

int helper_start(void);
/* The program is active: the helper is to tick, soon, and to lead no more. Lock held. */
void helper_active(void);
/* In a moment it is to see whether a handler keeps the leader from its sleep still. In that handler; no lock. */
void helper_held(void);
/* A thread of the program has begun to lead. Lock held. */
void helper_relieved(void);
/* Its descriptors, when it has ended */
void helper_close(void);
/* There is no context any more: the thread ends, some time later. */
void helper_stop(void);
/* It ends now, and libc knows of it. Lock held, given up meanwhile. Return: there was one, and it is gone. */
bool helper_end(void);
/* There was one, which was to end for a moment. Lock held. */
void helper_again(void);
/* Return: how many threads the process has; 0: /proc isn't to be seen */
unsigned helper_threads(void);
/* The process has no more threads than this one, and the helper if it is there. */
bool helper_is_only(void);

#endif
