// SPDX-License-Identifier: BSD-2-Clause
/*
 * signal.c - knowing that a handler ran
 *
 * In the kernel a blocking call is one piece: a signal that comes before it sleeps interrupts it all the same. Here a thread is
 * awake at times (it spins, it takes the lock), and a handler that runs then would leave no trace; and when the kernel
 * says EINTR, whether recv() is to be restarted depends on the handler's SA_RESTART. So handlers are installed with a
 * trampoline before them that leaves this trace:
 *
 *   - it counts, per thread, handlers that ran, and among them those without SA_RESTART;
 *   - if the thread is about to sleep it kicks it, so that the trace is never missed. A thread that sleeps for the kernel only has no kick, and checks the
 *     trace right before the system call; a handler between the two counts as one from before the program's call;
 *   - if the thread is the leader it sets the helper's timer, since the handler may take long, and others rely on the leader.
 *
 * A signal that comes while the thread has this layer's lock is deferred until the thread gives it up: lock_drop() sends it to the
 * thread once more. So a handler may use every descriptor, and jump out of every call (undo.c). SA_RESETHAND has to be done here therefore.
 *
 * The program sees its own handlers everywhere. Signals of faults are left alone: they come from what the thread does, not
 * while it waits. Handlers installed by other ways than sigaction(), signal() and their kin are noticed by EINTR only, and not at all by a thread that waits in
 * accept() beside others.
 */
#include "sock/async.h"
#include "sock/cage.h"
#include "sock/exit.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/wait.h"

#include <string.h>

/* libc's own, under the name that nobody interposes */
extern int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

__thread struct signal_trace sock_signals __attribute__((tls_model("initial-exec"))) = {
	.sleep_fd = SLEEP_NONE,
};
__thread uint64_t sock_kept_out __attribute__((tls_model("initial-exec")));

/* The program's handlers, as it gave them. Written under `handlers_lock` if the process has threads, else by handlers, too; read by handlers. */
static struct {
	_Atomic(void *) handler;
	_Atomic int flags;
} handlers[NSIG] VJ_LATER;
static pthread_mutex_t handlers_lock VJ_LATER = PTHREAD_MUTEX_INITIALIZER;

/* A bit for each place that is taken. */
__thread _Atomic uint32_t sock_deferred __attribute__((tls_model("initial-exec")));
static __thread siginfo_t deferred[8] __attribute__((tls_model("initial-exec")));

static uint32_t places_taken(void)
{
	return atomic_load_explicit(&sock_deferred, memory_order_relaxed);
}

/*
 * Handlers interrupt each other here, too, also between this and what is written into the place: so one that is free has no signal's number.
 * Return: false: another one has it.
 */
static bool place_take(unsigned i)
{
	return !(atomic_fetch_or_explicit(&sock_deferred, UINT32_C(1) << i, memory_order_relaxed) >> i & 1);
}

/* One of each kind waits, as in the kernel, but for those of real time. Return: false: there is no place. */
static bool defer(int sig, const siginfo_t *info)
{
	for (unsigned i = 0; i < ARRAY_SIZE(deferred); i++)
		if ((places_taken() >> i & 1) && deferred[i].si_signo == sig && sig < SIGRTMIN)
			return true;
	for (unsigned i = 0; i < ARRAY_SIZE(deferred); i++) {
		if ((places_taken() >> i & 1) || !place_take(i))
			continue;
		deferred[i] = *info;
		deferred[i].si_signo = sig;
		return true;
	}
	return false;
}

void signal_release(void)
{
	siginfo_t info;
	unsigned place;

	while (places_taken()) {
		sock_inside = true; /* those that come now are put beside */
		atomic_signal_fence(memory_order_seq_cst);
		place = (unsigned)__builtin_ctz(places_taken());
		info = deferred[place];
		deferred[place].si_signo = 0;
		atomic_signal_fence(memory_order_seq_cst);
		atomic_fetch_and_explicit(&sock_deferred, ~(UINT32_C(1) << place), memory_order_relaxed);
		sock_inside = false;
		SYS_CALL4(SYS_rt_tgsigqueueinfo, ker_getpid(), SYS_CALL0(SYS_gettid), info.si_signo, &info);
	}
}

static uint64_t signal_bit(int sig)
{
	return UINT64_C(1) << ((unsigned)sig - 1) % 64;
}

/* @counts: not kept out */
static void leave_trace(int flags, bool counts)
{
	static const uint64_t one = 1;

	atomic_fetch_add(&sock_signals.begun, 1);
	if (likely(counts)) {
		sock_signals.ran++;
		sock_signals.interrupting += !(flags & SA_RESTART);
	}
	if (sock_signals.sleep_fd == SLEEP_NONE)
		return;
	if (likely(counts) && likely(sock_signals.sleep_fd != SLEEP_DEAF))
		sys_write(sock_signals.sleep_fd, &one, sizeof(one));
	if (sock_signals.leads && likely(!sock_inside))
		sleep_held();
}

void signal_handle(int flags, signal_fn *handler, int sig, siginfo_t *info, void *context)
{
	uint64_t kept_out = sock_kept_out;

	leave_trace(flags, !(kept_out & signal_bit(sig)));
	sock_kept_out = 0; /* it may make calls itself, or jump */
	handler(sig, info, context); /* one of one argument is not disturbed by three */
	sock_kept_out = kept_out;
	recall_leave(context);
	undo_leave(context);
}

/* As SA_RESETHAND does it: all but the handler stays. */
static VJ_COLD void handler_reset(int sig, int flags)
{
	struct sigaction act;

	if (__sigaction(sig, NULL, &act))
		return;
	act.sa_handler = SIG_DFL;
	act.sa_flags = flags;
	__sigaction(sig, &act, NULL);
}

bool signal_put_off(int sig, const siginfo_t *info)
{
	return unlikely(sock_inside) && defer(sig, info);
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	void *handler = atomic_load_explicit(&handlers[sig].handler, memory_order_acquire);
	int flags = atomic_load_explicit(&handlers[sig].flags, memory_order_relaxed);

	if (signal_put_off(sig, info))
		return;
	if (unlikely(flags & (int)SA_RESETHAND))
		handler_reset(sig, flags);
	if (unlikely(info->si_code == SI_SIGIO))
		info->si_code = async_code(info);
	signal_handle(flags, (signal_fn *)handler, sig, info, context);
}

static bool is_wrapped(int sig)
{
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
	case SIGABRT:
		return false;
	default:
		return sig > 0 && sig < NSIG;
	}
}

/* SA_SIGINFO doesn't make a handler of SIG_DFL: PHP sets every action with it. */
static bool is_handler(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

static bool is_wrapper(const struct sigaction *act)
{
	return (act->sa_flags & SA_SIGINFO) && act->sa_sigaction == trampoline;
}

/* As the program gave it, for what it asks about. */
static struct sigaction unwrap(struct sigaction before, void *handler, int flags)
{
	if (is_wrapper(&before)) {
		before.sa_sigaction = (signal_fn *)handler;
		before.sa_flags = (before.sa_flags & ~SA_SIGINFO) | (flags & (SA_SIGINFO | (int)SA_RESETHAND));
	}
	return before;
}

/* A question, or no handler: ours are left as they are. Some programs do this for each of their calls. */
VJ_EARLY static int sigaction_plain(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction before;
	int r = __sigaction(sig, act, &before);

	if (r || !old)
		return r;
	/* who has no handlers has no use for the page that they are noted on */
	*old = is_wrapper(&before) ? unwrap(before, atomic_load_explicit(&handlers[sig].handler, memory_order_acquire),
					    atomic_load_explicit(&handlers[sig].flags, memory_order_relaxed)) : before;
	return 0;
}

/*
 * One that is neither SIG_DFL nor SIG_IGN; `handlers_lock`, or the process has no other thread. Noted before it is installed, and not again: a handler
 * that ran at the end of the system call may have installed another one.
 */
VJ_EARLY static int sigaction_noted(int sig, const struct sigaction *act, struct sigaction *old)
{
	/* written without a look before it, else the first one would cost two page faults */
	int r, old_flags = atomic_exchange_explicit(&handlers[sig].flags, act->sa_flags, memory_order_relaxed);
	void *old_handler = atomic_exchange_explicit(&handlers[sig].handler, (void *)act->sa_sigaction, memory_order_acq_rel);
	struct sigaction ours = *act, before;

	ours.sa_sigaction = trampoline;
	ours.sa_flags = (act->sa_flags & ~(int)SA_RESETHAND) | SA_SIGINFO;
	ours.sa_mask.__val[0] &= ~signal_bit(SIG_RECALL); /* as libc's other functions keep it from being blocked */
	r = __sigaction(sig, &ours, &before);
	if (r) { /* SIGKILL, SIGSTOP */
		atomic_store_explicit(&handlers[sig].flags, old_flags, memory_order_relaxed);
		atomic_store_explicit(&handlers[sig].handler, old_handler, memory_order_release);
	}
	if (!r && old)
		*old = unwrap(before, old_handler, old_flags);
	return r;
}

VJ_EARLY int sock_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	uint64_t all = UINT64_MAX, mask = 0;
	int r;

	if (!is_wrapped(sig))
		return __sigaction(sig, act, old);
	if (act)
		signal_is_set(sig);
	if (!act || !is_handler(act) || unlikely(caged)) /* no call of ours needs to know of a handler then */
		return sigaction_plain(sig, act, old);
	if (__libc_single_threaded) /* shells set some for each program that they start */
		return sigaction_noted(sig, act, old);
	/* a handler of this thread must not find the lock taken */
	SYS_CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SYS_SIGSET_BYTES);
	pthread_mutex_lock(&handlers_lock);
	r = sigaction_noted(sig, act, old);
	pthread_mutex_unlock(&handlers_lock);
	SYS_CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SYS_SIGSET_BYTES);
	return r;
}

VJ_EARLY void signal_forked(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

	handlers_lock = unlocked;
	if (unlikely(sock_signals.tid))
		sock_signals.tid = 0;
	if (likely(!atomic_load_explicit(&sock_deferred, memory_order_relaxed)))
		return;
	memset(deferred, 0, sizeof(deferred)); /* they are the parent's */
	atomic_store_explicit(&sock_deferred, 0, memory_order_relaxed);
}

/* As libc's signal(): BSD semantics, unless siginterrupt() asked for others. */
static uint64_t interrupting; /* a bit for each signal */

VJ_EARLY sighandler_t sock_signal(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler }, old;

	if (handler == SIG_ERR || sig < 1 || sig >= NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	act.sa_mask.__val[0] |= signal_bit(sig); /* sigaddset() would be looked up first; 64 signals are one word */
	act.sa_flags = interrupting & signal_bit(sig) ? 0 : SA_RESTART;
	return sock_sigaction(sig, &act, &old) ? SIG_ERR : old.sa_handler;
}

/* As libc's __sysv_signal(), which is signal() in a program that is compiled for POSIX or X/Open alone: once, and nothing is restarted. */
sighandler_t sock_sysv_signal(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) }, old;

	if (handler == SIG_ERR || sig < 1 || sig >= NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return sock_sigaction(sig, &act, &old) ? SIG_ERR : old.sa_handler;
}

/* X/Open's: as sigaction() without flags, and the signal is blocked by SIG_HOLD, or else isn't. */
sighandler_t sock_sigset(int sig, sighandler_t handler)
{
	bool hold = handler == SIG_HOLD;
	struct sigaction act = { .sa_handler = handler }, old;
	uint64_t mask, bit;

	if (handler == SIG_ERR || sig < 1 || sig >= NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (sock_sigaction(sig, hold ? NULL : &act, &old))
		return SIG_ERR;
	bit = signal_bit(sig);
	SYS_CALL4(SYS_rt_sigprocmask, hold ? SIG_BLOCK : SIG_UNBLOCK, &bit, &mask, SYS_SIGSET_BYTES);
	return mask & bit ? SIG_HOLD : old.sa_handler;
}

int sock_siginterrupt(int sig, int on)
{
	struct sigaction act;

	if (sock_sigaction(sig, NULL, &act))
		return -1;
	if (on) {
		interrupting |= signal_bit(sig);
		act.sa_flags &= ~SA_RESTART;
	} else {
		interrupting &= ~signal_bit(sig);
		act.sa_flags |= SA_RESTART;
	}
	return sock_sigaction(sig, &act, NULL);
}
