// SPDX-License-Identifier: BSD-2-Clause
/*
 * undo.c - calls that wait and are left by a jump
 *
 * A signal's handler may leave the call that it interrupted by siglongjmp(3). Handlers run only where this layer has given its
 * lock up (signal.c), and there the call may be known to others: it is on the list of those who sleep, it holds a file. What is
 * to be undone of that is on a chain of the thread, from its stack; before any longjmp() the chain is worked off, and when the
 * thread is cancelled.
 *
 * One signal's handler runs while the lock is held: that of a fault, as where memory that the program gave a call cannot be used. The kernel says
 * EFAULT; who survives the fault by a jump has left a call that would have ended by it, and the lock is given up for it. Calls use such
 * memory before they take anything off a list, or count anything as sent or read.
 *
 * Where a jump leads cannot be seen. One that stays within the handler undoes the call, too: when the call goes on, it finds
 * that (undo_pop()) and returns EINTR. It doesn't sleep before, since nobody would wake it: a handler that returns to where the system call is still to come
 * returns behind it (look.h).
 */
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/look.h"
#include "sock/undo.h"

__thread struct undo *sock_undo __attribute__((tls_model("initial-exec")));

static void hold_undo(void *arg)
{
	const struct hold *h = arg;

	lock_take();
	file_put(h->file);
	lock_leave();
}

void hold_begin(struct hold *h, struct file *f)
{
	file_get(f);
	h->file = f;
	undo_push(&h->undo, hold_undo, h);
}

void hold_end(struct hold *h)
{
	if (undo_pop(&h->undo))
		file_put(h->file);
}

void undo_all(void *arg)
{
	(void)arg;
	while (sock_undo) {
		struct undo *u = sock_undo;

		sock_undo = u->outer;
		u->run(u->arg);
	}
}

LOOK_LABELS(undo);

#if defined(__x86_64__)
#define LOOK_UNDONE "cmpq $0, (%[undo])\n\tje vj_undo_left\n\t"
#elif defined(__aarch64__)
#define LOOK_UNDONE "ldr x9, [%[undo]]\n\tcbz x9, vj_undo_left\n\t"
#endif

static VJ_NOINLINE long call_look(long nr, const long *arg)
{
	return LOOK_CALL(undo, LOOK_UNDONE, nr, arg, [undo] "r"(&sock_undo));
}

long undo_call_uncancelled(long nr, long a, long b, long c, long d, long e, long f)
{
	return call_look(nr, (const long[]){ a, b, c, d, e, f });
}

long undo_call(long nr, long a, long b, long c, long d, long e, long f)
{
	const long arg[] = { a, b, c, d, e, f };
	long r;

	if (ker_is_alone())
		return call_look(nr, arg);
	pthread_cleanup_push(undo_all, NULL); /* the frames of those who called are still there then */
	r = KER_BLOCKING(call_look(nr, arg));
	pthread_cleanup_pop(0);
	return r;
}

void undo_leave(void *context)
{
	if (unlikely(!sock_undo))
		look_leave(context, vj_undo_look, vj_undo_done, vj_undo_left);
}

VJ_EARLY void sock_before_jump(void)
{
	if (unlikely(sock_inside))
		lock_leave();
	if (unlikely(sock_undo != NULL))
		undo_all(NULL);
}
