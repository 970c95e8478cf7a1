/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.h - the thread that goes on while the program computes: helper.c */
#ifndef SOCK_HELPER_H
#define SOCK_HELPER_H

#include "base/types.h"

int helper_start(void);
/* A call of the program's is under way: what the helper relies on as it sleeps may not be so any more. Lock held, in this and the next ones. */
enum due { DUE_CALL = 1, DUE_SLEEP = 3 }; /* a call, or a sleep on the bell that has ended: what it costs to see to that, of what is allowed in a tick */
void helper_due(enum due due);
/* Likewise, and it is about to say something: the answer isn't to find the bell with the helper. */
void helper_speaks(void);
/* The lock is about to be given up, and it is so still, or again: the helper may sleep on. */
void helper_settle(void);
/* ... or not: in 10 ms it is to see for itself, and leads no more. */
void helper_watch(void);
/* In a moment it is to see whether a handler keeps the leader from its sleep still. In that handler; no lock. */
void helper_held(void);
/* A thread of the program has begun to lead. */
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
