/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.h - the thread that makes progress while the program computes: helper.c */
#ifndef SOCK_HELPER_H
#define SOCK_HELPER_H

#include "base/types.h"

int helper_start(void);
/* A call of the program is under way: what the helper relies on in ASLEEP may be true no more. Lock held, in this and the next ones. */
enum due { DUE_CALL = 1, DUE_SLEEP = 3 }; /* the weight of a call, or of an ended sleep on the bell, of the FEW_DUES that a tick may have */
void helper_due(enum due due);
/* Likewise, and the call is about to send: the answer should not ring where the helper sleeps. */
void helper_speaks(void);
/* The lock is about to be given up: if the conditions of ASLEEP hold (still, or again), the helper sleeps on. */
void helper_settle(void);
/* ... or not: the helper's timer is set, and it will look in 10 ms. */
void helper_watch(void);
/* A handler has interrupted the leader's sleep: the helper is to look in a moment whether it still runs. In that handler; no lock. */
void helper_held(void);
/* A thread of the program has begun to lead. */
void helper_relieved(void);
/* Close its descriptors, when it has ended. */
void helper_close(void);
/* There is no context any more: the thread ends, some time later. */
void helper_stop(void);
/* End it, wait for that, and tell libc. Lock held, given up meanwhile. Return: there was one, and it has ended. */
bool helper_end(void);
/* Start it again after helper_end(). Lock held. */
void helper_again(void);
/* Return: how many threads the process has; 0: /proc can't be read */
unsigned helper_threads(void);
/* The process has no more threads than this one, and the helper if it is there. */
bool helper_is_only(void);

#endif
