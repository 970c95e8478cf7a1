// SPDX-License-Identifier: BSD-2-Clause
/*
 * recall.c - a thread that waits inside a call of the kernel's is called back from there
 *
 * As long as it is calm (calm.h) who waits for a socket that is on channels and the kernel's at a time has only the kernel's to hear of. So it waits in the
 * kernel's own call: one system call in place of three, and time-outs, the order of those who wait, and what is told of the sender are the kernel's.
 * It is a sleeper with a watch as others are, but its kick is a signal, and it can't lead: nobody has to, without a channel.
 *
 * The signal is the one by which libc has its threads change their user. glibc neither lets a program see it nor block it (but by a handler's mask, which
 * signal.c sees to); our handler goes before libc's, and tells ours by a mark. libc's is traced as a handler of the program's (signal.c). Ours does nothing but this: if the thread is about to make the system call of
 * call_look(), or is where the kernel would make it once more, it goes on behind it, with EINTR. Who has not come that far looks at kick.sent; who is beyond it has
 * what the call returned. It is sent with the lock held, to a thread that can't leave without the lock (recall_end()), so it ends no other call of that
 * thread's. Who sends that mark from elsewhere, as only the same user can, has the thread look once more.
 *
 * It may be without effect: a handler of the program's that doesn't pass by signal.c was running; or there was no place in the queue of such signals that the
 * user's processes share (RLIMIT_SIGPENDING). So the helper repeats it, at each of its ticks, until the thread is back. A process that doesn't get a place when the helper
 * begins, or which a filter keeps from sending, never waits so.
 *
 * Who waits for nothing that would be said to him alone, but what ends the calm, doesn't need the lock (poll()): he is in a place, and takes himself out again. Whoever ends the
 * calm marks the place, and from then on he is a sleeper as the others, who leaves with the lock.
 *
 * A handler of the program's that interrupts the call returns behind it, too, so whether it goes on is decided as for all who wait (wait.c). While it is known
 * to run nobody sends the signal. One that begins just as it is sent is interrupted by it, as by any signal: a sleep of its own may end by EINTR.
 */
#include "sock/epoll.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/look.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/wait.h"

#include <stddef.h>
#include <sys/auxv.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { OWN_STACK = 512, WAY_STACK = 1024 }; /* for on_recall(), beside what the kernel writes there; from hears() to the system call */

static struct kernel_action libcs VJ_LATER;
static bool installed VJ_LATER;
static bool works VJ_LATER; /* sending does, as far as is known */
static bool misses VJ_LATER; /* somebody was called, and may not have heard it */
static size_t handler_bytes VJ_LATER; /* what it takes of a stack */
static const char mark;

enum { PLACES = 128, PLACE_CALLED = 1 };
static _Atomic uintptr_t places[PLACES] VJ_SELDOM; /* struct recall; with PLACE_CALLED: in sock.sleepers */

/* ---- the system call --------------------------------------------------------------------------------------------- */

LOOK_LABELS(recall);

#if defined(__x86_64__)
#define LOOK_CALLED                        \
	"cmpb $0, (%[sent])\n\t"           \
	"jne vj_recall_left\n\t"           \
	"cmpl %[then], (%[begun])\n\t"     \
	"jne vj_recall_left\n\t"
#elif defined(__aarch64__)
#define LOOK_CALLED                        \
	"ldrb w9, [%[sent]]\n\t"           \
	"cbnz w9, vj_recall_left\n\t"      \
	"ldr w9, [%[begun]]\n\t"           \
	"cmp w9, %w[then]\n\t"             \
	"bne vj_recall_left\n\t"
#endif

/* Unless it was called back, or a handler has begun since recall_begin(): one that begins behind this look returns to `left`. */
static VJ_NOINLINE long call_look(const struct sleeper *sl, long nr, const long *arg)
{
	return LOOK_CALL(recall, LOOK_CALLED, nr, arg, [sent] "r"(&sl->kick->sent), [begun] "r"(&sock_signals.begun), [then] "r"(sl->begun));
}

void recall_leave(void *context)
{
	look_leave(context, vj_recall_look, vj_recall_done, vj_recall_left);
}

long recall_call(struct recall *rc, long nr, long a, long b, long c, long d, long e, long f)
{
	const long arg[] = { a, b, c, d, e, f };
	long r;

	if (sock_signals.ran != rc->sleeper.signals.ran)
		return -EINTR;
	if (ker_is_alone())
		return call_look(&rc->sleeper, nr, arg);
	pthread_cleanup_push(undo_all, NULL);
	r = KER_BLOCKING(call_look(&rc->sleeper, nr, arg));
	pthread_cleanup_pop(0);
	return r;
}

/* ---- the signal -------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
void vj_recall_restorer(void) __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
	"vj_recall_restorer:\n\t"
	"movq $15, %rax\n\t" /* rt_sigreturn() */
	"syscall\n"
	".popsection");
static void (*const restorer)(void) = vj_recall_restorer;
enum { WITH_RESTORER = 0x04000000 };
#else
static void (*const restorer)(void);
enum { WITH_RESTORER = 0 };
#endif

static __attribute__((no_sanitize("thread"))) void on_recall(int sig, siginfo_t *info, void *context)
{
	if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == &mark)
		recall_leave(context);
	else if (libcs.flags & SA_SIGINFO)
		signal_handle(SA_RESTART, (signal_fn *)libcs.handler, sig, info, context);
}

void recall_install(void)
{
	struct kernel_action ours = { (uintptr_t)on_recall, SA_SIGINFO | SA_ONSTACK | SA_RESTART | WITH_RESTORER, (uintptr_t)restorer, 0 }, before;

	handler_bytes = getauxval(AT_MINSIGSTKSZ) + OWN_STACK;
	if (SYS_CALL4(SYS_rt_sigaction, SIG_RECALL, NULL, &before, SYS_SIGSET_BYTES) < 0)
		return;
	if (before.handler != (uintptr_t)on_recall) {
		libcs = before;
		installed = SYS_CALL4(SYS_rt_sigaction, SIG_RECALL, &ours, NULL, SYS_SIGSET_BYTES) >= 0;
	}
}

static __thread enum { UNKNOWN, YES, NO } heard __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_end __attribute__((tls_model("initial-exec"))); /* if YES: the lowest byte of its stack for signals, if it has one */

void recall_thread_changed(void)
{
	heard = UNKNOWN;
}

int sock_sigaltstack(const stack_t *stack, stack_t *ret_old)
{
	long r = SYS_CALL2(SYS_sigaltstack, stack, ret_old);

	recall_thread_changed();
	return (int)ret_errno(r);
}

/* Of those for signals there are some on which none can be handled: who has no handler for them never notices */
static bool has_stack(void)
{
	stack_t stack = { .ss_flags = SS_DISABLE };

	SYS_CALL2(SYS_sigaltstack, NULL, &stack);
	stack_end = stack.ss_flags & SS_DISABLE ? 0 : (uintptr_t)stack.ss_sp;
	return !stack_end || stack.ss_size >= handler_bytes;
}

/* A handler that waits on the stack for signals, and hasn't left enough of it for one more: the kernel would end the process. */
static bool is_cramped(void)
{
	return unlikely(stack_end) && (uintptr_t)__builtin_frame_address(0) - stack_end < handler_bytes + WAY_STACK;
}

/*
 * A thread that has it blocked, by a system call of its own or by who started the program, is never to wait so. Handlers of the program's don't block it: signal.c.
 * Nor is one that would be killed by it.
 */
static bool hears(void)
{
	uint64_t mask = 0;

	if (unlikely(heard == UNKNOWN)) {
		SYS_CALL4(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, SYS_SIGSET_BYTES);
		heard = !(mask >> (SIG_RECALL - 1) & 1) && has_stack() ? YES : NO;
	}
	return heard == YES && !is_cramped();
}

static bool send_to(int thread_id)
{
	siginfo_t info = { .si_signo = SIG_RECALL, .si_code = SI_QUEUE };

	info.si_pid = ker_getpid();
	info.si_value.sival_ptr = (void *)(uintptr_t)&mark;
	return SYS_CALL4(SYS_rt_tgsigqueueinfo, info.si_pid, thread_id, SIG_RECALL, &info) >= 0;
}

void recall_try(void)
{
	works = installed && hears() && send_to(sock.helper.tid);
}

bool recall_send(struct kick *k)
{
	k->sent = true; /* seen by who has not been signalled as well: so it is written first */
	if (sleeper_is_held(k->inside)) /* by a handler, from which it returns by recall_leave() */
		return true;
	misses = true;
	works &= send_to(k->inside->thread->tid);
	if (likely(works))
		return true;
	atomic_store(&sock.inside, 0); /* nobody else is to wait so */
	if (sock.calm)
		kick_send(&sock.helper.kick); /* for recall_again() */
	return false;
}

bool recall_again(void)
{
	struct sleeper *sl = misses ? sock.sleepers : NULL;

	for (misses = false; sl; sl = sl->next)
		if (sl->kick->inside && sl->kick->sent)
			kick_again(sl->kick);
	return misses;
}

/* ---- the wait ---------------------------------------------------------------------------------------------------- */

bool recall_may(void)
{
	bool may = sock.calm && sock.vj && works && !sock.copied && hears() && vj_is_calm(sock.vj);

	if (may)
		atomic_store_explicit(&sock.inside, sock.calm, memory_order_relaxed);
	return may;
}

static void recall_unlink(struct recall *rc)
{
	sleeper_unlink(&rc->sleeper);
	if (rc->watch.file)
		watch_unlink(&rc->watch);
	if (unlikely(rc->kick.sent))
		SYS_CALL0(SYS_gettid); /* as it ends the signal is there, if one is on its way */
	kick_drain(&rc->kick);
}

static void recall_left(void *arg)
{
	lock_take();
	recall_unlink(arg);
	lock_leave();
}

static void recall_init(struct recall *rc, const struct signal_trace *signals)
{
	if (unlikely(!sock_signals.tid))
		sock_signals.tid = (int)SYS_CALL0(SYS_gettid);
	rc->kick = (struct kick){ .fd = -1, .inside = &rc->sleeper };
	rc->sleeper = (struct sleeper){ .kick = &rc->kick, .signals = *signals, .wake_ns = TIME_NEVER, .bell_fd = -1, .thread = &sock_signals, .begun = sock_signals.begun };
	rc->watch.file = NULL;
}

void recall_begin(struct recall *rc, struct file *f, const struct signal_trace *signals)
{
	recall_init(rc, signals);
	rc->watch = (struct watch){ .sleeper = &rc->sleeper };
	watch_link(&rc->watch, f);
	sleeper_link(&rc->sleeper);
	undo_push(&rc->undo, recall_left, rc);
}

bool recall_end(struct recall *rc, long r)
{
	if (!undo_pop(&rc->undo))
		return false;
	rc->looks = r == -EINTR && (rc->kick.sent || sock_signals.ran != rc->sleeper.signals.ran);
	recall_unlink(rc);
	return true;
}

/* ---- without the lock -------------------------------------------------------------------------------------------- */

/* Each of the threads begins at another one. @rc->place is written before, for a handler that jumps out from between. */
static bool place_take(struct recall *rc)
{
	for (unsigned i = 0; i < PLACES; i++) {
		uintptr_t none = 0;

		rc->place = &places[((unsigned)sock_signals.tid + i) % PLACES];
		if (likely(!atomic_load_explicit(rc->place, memory_order_relaxed)) && likely(atomic_compare_exchange_strong(rc->place, &none, (uintptr_t)rc)))
			return true;
	}
	return false;
}

/* Return: false: it was called, and the lock is taken */
static bool place_leave(struct recall *rc)
{
	uintptr_t there = (uintptr_t)rc;

	if (likely(atomic_compare_exchange_strong(rc->place, &there, 0)) || there != ((uintptr_t)rc | PLACE_CALLED)) /* out already, or in a child that a handler has forked */
		return true;
	lock_take();
	if (likely(atomic_load(rc->place) == ((uintptr_t)rc | PLACE_CALLED))) { /* else a handler has undone it meanwhile, or has forked */
		atomic_store(rc->place, 0);
		recall_unlink(rc);
	}
	return false;
}

static void place_left(void *arg)
{
	if (!place_leave(arg))
		lock_leave();
}

bool recall_place(struct recall *rc, const struct signal_trace *signals, uint32_t calm)
{
	if (!hears())
		return false;
	recall_init(rc, signals);
	rc->place = &places[0];
	atomic_signal_fence(memory_order_seq_cst); /* a handler may jump out from here on */
	undo_push(&rc->undo, place_left, rc);
	if (likely(place_take(rc)) && likely(atomic_load(&sock.calm) == calm))
		return true;
	place_left(rc);
	undo_pop(&rc->undo);
	return false;
}

bool recall_leave_place(struct recall *rc, long r)
{
	bool called = !place_leave(rc), here = undo_pop(&rc->undo);

	rc->looks = called && r == -EINTR;
	if (unlikely(called))
		lock_leave();
	return here;
}

VJ_COLD void recall_placed(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		uintptr_t there = atomic_load(&places[i]);
		struct recall *rc = (struct recall *)there;

		if (!there || (there & PLACE_CALLED) || !atomic_compare_exchange_strong(&places[i], &there, there | PLACE_CALLED))
			continue;
		sleeper_link(&rc->sleeper);
		kick_send(&rc->kick);
	}
}

VJ_COLD void recall_forked(void)
{
	atomic_store(&sock.inside, 0);
	for (unsigned i = 0; i < PLACES; i++)
		atomic_store(&places[i], 0);
}
