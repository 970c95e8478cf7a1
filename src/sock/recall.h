/* SPDX-License-Identifier: BSD-2-Clause */
/* recall.h - a thread that waits inside a call of the kernel's can be called back; recall.c explains it */
#ifndef SOCK_RECALL_H
#define SOCK_RECALL_H

#include "sock/epoll.h"
#include "sock/file.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

enum { SIG_RECALL = 33 }; /* SIGSETXID of glibc */

/* A thread there. On its stack. */
struct recall {
	struct undo undo;
	struct kick kick;
	struct sleeper sleeper;
	struct watch watch;
	_Atomic uintptr_t *place; /* of one without the lock: where it is, or was about to be */
	bool looks; /* recall_end(), recall_leave_place(): it was called back, or a handler has run: it is to look for what, and whether that ends the call */
};

/* The helper has begun: the signal's handler is put before libc's. */
void recall_install(void);
void recall_thread_changed(void); /* this one's mask, not by libc, or its stack for signals */
/* The helper, before it is calm: a signal to itself, to see whether that can be done */
void recall_try(void);
/* Lock held, in these three. May the thread wait in the kernel for what concerns its socket? There is no channel, and it will be told of the first. */
bool recall_may(void);
/* It is about to, and gives the lock up. Whatever happens to @f calls it back (NULL: the caller has watches); @signals: when the program's call began */
void recall_begin(struct recall *rc, struct file *f, const struct signal_trace *signals);
/* @r: what recall_call() has returned. Return: false: all was undone, see undo_pop(). */
bool recall_end(struct recall *rc, long r);
/* The system call; a cancellation point. Return: as that; -EINTR: called back, or as that. No lock. */
long recall_call(struct recall *rc, long nr, long a, long b, long c, long d, long e, long f);
/*
 * The same for who waits for nothing but what ends the calm, or renews it, without the lock: @calm is sock.calm, for which recall_may() was found to be true.
 * Return: false: it isn't so any more; nothing was begun
 */
bool recall_place(struct recall *rc, const struct signal_trace *signals, uint32_t calm);
bool recall_leave_place(struct recall *rc, long r);
/* Lock held: the calm is over, or something has come of which the kernel doesn't tell (calm_stir()). Those who are in a place are sleepers from now on, and called back. */
void recall_placed(void);
void recall_forked(void);

/* A handler returns to @context, a ucontext_t: not to the system call, but to its end. */
void recall_leave(void *context);
/* Lock held: call this one back; `sent` from now on. Return: false: that failed, and the helper tries again */
bool recall_send(struct kick *k);
/* The helper, at each tick: those that were called before, and aren't back, are called once more. Return: there are some. */
bool recall_again(void);

#endif
