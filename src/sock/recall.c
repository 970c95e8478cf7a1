// SPDX-License-Identifier: BSD-2-Clause
/*
 * recall.c - threads that block in the kernel's own system call, and the signal that recalls them
 *
 * Why: while the process is calm (calm.h) a socket that is on channels as well as in the kernel can only have events from the kernel. So a thread that
 * waits for it blocks in the kernel's own call: one system call instead of three; and time-outs, the order of waiters and the sender's address are the
 * kernel's. The thread is a sleeper with a watch like any other, but its kick is a signal, and it can't be the leader, which no process without a channel needs.
 *
 * The signal is SIGSETXID, which glibc sends to its threads to change their user. glibc neither shows it to the program nor lets it be blocked, except by
 * a handler's sa_mask, which signal.c takes care of. Our handler replaces glibc's. It knows our signals by a mark in their value, and runs glibc's
 * handler for all others, as signal.c runs the program's. For ours it does one thing: if the thread was interrupted between the look and the system call
 * in call_look(), or where the kernel would restart that call, it resumes behind the call, with EINTR. A thread that has not come to the look will find
 * kick.sent there; one that is beyond the call has its result. The sender holds the lock, and the thread needs the lock to leave (recall_end()), so the
 * signal ends no other call of this thread. A process of the same user that forges the mark only makes the thread look once more.
 *
 * The signal may have no effect: a handler that does not run by way of signal.c was running; or the queue of such signals, which all processes of the
 * user share, was full (RLIMIT_SIGPENDING). So the helper repeats it at each tick until the thread is back. If it can't be sent when the helper
 * tries it (recall_try()), as that queue is full or a seccomp filter forbids it, no thread of the process blocks in this way.
 *
 * poll() need not be told of single sockets here, only of the end of the calm, and so needs no lock: it puts its struct recall into a slot of
 * `places` and takes it out again. Whoever ends the calm marks the slot (PLACE_CALLED); from then on the thread is an ordinary sleeper, and needs the lock to leave.
 *
 * A handler of the program's that interrupts the call returns behind it, too; wait.c decides whether the call goes on, as for every wait. While such a
 * handler is known to run no signal is sent. One that begins just as the signal is sent is interrupted by it: if it sleeps, that may end with EINTR.
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

enum { OWN_STACK = 512, WAY_STACK = 1024 }; /* bytes: for on_recall(), beside the kernel's signal frame; from hears() to the system call */

static struct kernel_action libcs VJ_LATER;
static bool installed VJ_LATER;
static bool tried VJ_LATER; /* by this helper */
static bool works VJ_LATER; /* no signal has failed to be sent so far */
static bool misses VJ_LATER; /* a thread was signalled, and the signal may have had no effect */
static size_t handler_bytes VJ_LATER; /* of stack, for one run of the handler */
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

/* The system call, unless the thread was recalled, or a handler has begun since recall_begin(). A handler that begins after this look returns to `left`. */
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

	tried = works = false;
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

/* Is the alternate signal stack, if there is one, large enough? Programs set some that no handler could run on, and don't notice, as they have no handler. */
static bool has_stack(void)
{
	stack_t stack = { .ss_flags = SS_DISABLE };

	SYS_CALL2(SYS_sigaltstack, NULL, &stack);
	stack_end = stack.ss_flags & SS_DISABLE ? 0 : (uintptr_t)stack.ss_sp;
	return !stack_end || stack.ss_size >= handler_bytes;
}

/* Does the program wait in a handler on the alternate stack, with too little of it left for our handler? The kernel would kill the process. */
static bool is_cramped(void)
{
	return unlikely(stack_end) && (uintptr_t)__builtin_frame_address(0) - stack_end < handler_bytes + WAY_STACK;
}

/*
 * Can this thread be recalled? Not if it has the signal blocked, by a system call of its own or since before exec(); the program's handlers don't block
 * it (signal.c). Nor if its signal stack is too small for our handler.
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
	if (tried)
		return;
	tried = true;
	works = installed && hears() && send_to(sock.helper.tid);
}

bool recall_send(struct kick *k)
{
	k->sent = true; /* before the signal: a thread on its way to call_look() sees it there */
	if (sleeper_is_held(k->inside)) /* by a handler, which returns by recall_leave() */
		return true;
	misses = true;
	works &= send_to(k->inside->thread->tid);
	if (likely(works))
		return true;
	atomic_store(&sock.inside, 0); /* no other thread is to block in this way */
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
		SYS_CALL0(SYS_gettid); /* a signal that is pending is delivered when this returns */
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

/* Threads begin at different slots. @rc->place is written before the slot is taken, so that a handler that jumps out between the two finds it. */
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

/* Return: false: the thread was recalled, and the lock is taken */
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
