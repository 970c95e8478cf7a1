/* SPDX-License-Identifier: BSD-2-Clause */
/* recall.h - threads that block in the kernel's own system call, and how they are recalled from there; recall.c explains it */
#ifndef SOCK_RECALL_H
#define SOCK_RECALL_H

#include "sock/epoll.h"
#include "sock/file.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

/* A thread that blocks there; on its stack */
struct recall {
	struct undo undo;
	struct kick kick;
	struct sleeper sleeper;
	struct watch watch;
	_Atomic uintptr_t *place; /* recall_place(): its slot, or the one it was about to take */
	bool looks; /* set by recall_end(), recall_leave_place(): recalled, or a handler has run; the caller looks for the reason, and whether its call ends */
};

/* The helper has begun: install our handler in front of libc's. */
void recall_install(void);
void recall_thread_changed(void); /* this thread's signal mask, other than by libc, or its alternate signal stack */
/* The helper, before it is CALM: send the signal to itself, the first time, to learn whether that works */
void recall_try(void);
/* Lock held, in these three. May the thread block in the kernel's call for its socket? There is no channel, and the first one will recall it. */
bool recall_may(void);
/* To be called before the lock is given up. Any event of @f recalls the thread (NULL: the caller has watches); @signals: as when the program's call began */
void recall_begin(struct recall *rc, struct file *f, const struct signal_trace *signals);
/* @r: the result of recall_call(). Return: false: all was undone, see undo_pop(). */
bool recall_end(struct recall *rc, long r);
/* The system call; a cancellation point. No lock. Return: its result; -EINTR also if recalled. */
long recall_call(struct recall *rc, long nr, long a, long b, long c, long d, long e, long f);
/*
 * The same without the lock, for a thread that is to be recalled only when the calm ends or gets another number. @calm: sock.calm, as when recall_may() was true
 * Return: false: it has changed; nothing was begun
 */
bool recall_place(struct recall *rc, const struct signal_trace *signals, uint32_t calm);
bool recall_leave_place(struct recall *rc, long r);
/* Lock held: the calm is over, or a file has an event that the kernel doesn't report (calm_stir()). Threads in slots become sleepers, and are recalled. */
void recall_placed(void);
void recall_forked(void);

/* A handler is about to return to @context, a ucontext_t: if that is within the look or before its system call, to resume behind the call, with EINTR. */
void recall_leave(void *context);
/* Lock held: recall the thread of @k, which is `sent` from now on. Return: false: the signal failed, and the helper tries again */
bool recall_send(struct kick *k);
/* The helper, at each tick: signal again the threads that were recalled, and aren't back. Return: there may be some. */
bool recall_again(void);

#endif
