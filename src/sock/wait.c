// SPDX-License-Identifier: BSD-2-Clause
/*
 * wait.c - spinning, sleeping, and who leads
 *
 * Before it sleeps a thread spins, if spinning has paid off lately, and gives the lock up between
 * looks. Then it arms libvj (every peer is asked to ring the bell) and sleeps in the kernel. layer.h
 * explains leader and kicks.
 */
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/file.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/queue.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/wait.h"

enum {
	SPIN_CREDIT = 3,     /* spins in vain that are allowed after one that has paid; after one more ... */
	SPIN_SKIP = 64,	     /* ... this many sleeps don't spin */
	SPIN_RELAX = 8,	     /* pauses between two looks */
	TURN_YIELDS = 8,     /* looks at another process's turn before a sleep */
};
static const int64_t DEAF_NS = 10 * NS_PER_MS; /* nobody can wake who has no kick: he looks as often as the helper does */
static const uint64_t TURN_NS_MIN = 20 * NS_PER_US, TURN_NS_MAX = 16 * NS_PER_MS;

/* ---- time ------------------------------------------------------------------------------------------------------ */

VJ_EARLY uint64_t deadline_after(uint64_t now_ns, int64_t timeout_ns)
{
	return timeout_ns < 0 ? TIME_NEVER : time_add_sat(now_ns, (uint64_t)timeout_ns);
}

int64_t timespec_ns(const struct timespec *ts)
{
	if (!ts)
		return -1;
	if (ts->tv_sec >= INT64_MAX / 1000000000)
		return INT64_MAX;
	return ts->tv_sec * 1000000000 + ts->tv_nsec;
}

VJ_EARLY bool timespec_bad(const struct timespec *ts)
{
	return ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000);
}

int64_t time_left(uint64_t deadline_ns, uint64_t now_ns)
{
	if (deadline_ns == TIME_NEVER)
		return -1;
	return (int64_t)min_u64(time_sub_sat(deadline_ns, now_ns), INT64_MAX);
}

/* ---- spin ------------------------------------------------------------------------------------------------------ */

void cpu_relax(void)
{
	for (unsigned i = 0; i < SPIN_RELAX; i++) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("isb");
#endif
	}
}

static bool spin_begin(struct spin *sp)
{
	sp->begun = true;
	if (!sock.spin_ns || !sock.vj || !vj_may_spin(sock.vj, sock.alone))
		return false;
	if (sock.spin_skip) {
		sock.spin_skip--;
		return false;
	}
	sp->until_ns = sys_clock_ns() + sock.spin_ns;
	return true;
}

bool spin_turn(struct spin *sp)
{
	if (!sp->begun) {
		if (!spin_begin(sp))
			return false;
	} else if (!sp->until_ns) {
		return false;
	} else if (sys_clock_ns() >= sp->until_ns) {
		sp->until_ns = 0;
		if (sock.spin_credit)
			sock.spin_credit--;
		else
			sock.spin_skip = SPIN_SKIP;
		return false;
	}
	lock_drop();
	cpu_relax();
	lock_take();
	return true;
}

void spin_won(const struct spin *sp)
{
	if (sp->until_ns)
		sock.spin_credit = SPIN_CREDIT;
}

/* ---- sleep ----------------------------------------------------------------------------------------------------- */

bool sleeper_is_held(const struct sleeper *sl)
{
	return atomic_load(&sl->thread->begun) != sl->begun;
}

static bool is_held(const struct sleeper *sl)
{
	return sl->thread == &sock_signals || sleeper_is_held(sl);
}

bool leader_is_held(void)
{
	return sock.leader && sock.leader->thread && is_held(sock.leader);
}

/* Is there no leader, or one that may be replaced: the helper, or a thread in whose sleep a handler runs? */
bool may_lead(void)
{
	return !sock.leader || sock.leader == &sock.helper.sleeper || leader_is_held();
}

/* Other handlers of this thread are deferred meanwhile: they may take long, and a thread that closes the helper's timer waits for this one. */
void sleep_held(void)
{
	sock_inside = true;
	atomic_signal_fence(memory_order_seq_cst);
	kickers_begin();
	helper_held();
	kickers_end();
	atomic_signal_fence(memory_order_seq_cst);
	sock_inside = false;
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&sock_deferred, memory_order_relaxed)))
		signal_release();
}

static void leader_set(struct sleeper *sl)
{
	sock.leader = sl;
	atomic_store(&sl->thread->leads, true);
}

static void sleep_shorter(struct sleeper *sl, int64_t *timeout_ns, int64_t than_ns)
{
	if (*timeout_ns >= 0 && *timeout_ns <= than_ns)
		return;
	*timeout_ns = than_ns;
	sl->wake_ns = deadline_after(sys_clock_ns(), than_ns);
}

/* Return: false: there is work */
static bool lead_begin(struct sleeper *sl, int64_t *timeout_ns)
{
	int64_t lib_ns;

	if (!vj_arm(sock.vj, &lib_ns)) {
		helper_due(DUE_CALL); /* vj_arm() failed, so the bell isn't armed for any leader */
		return false;
	}
	leader_set(sl);
	if (unlikely(sock.helper.state > HELPER_TICK) || sock.helper.on_bell)
		helper_relieved();
	if (lib_ns >= 0)
		sleep_shorter(sl, timeout_ns, lib_ns);
	return true;
}

void sleeper_link(struct sleeper *sl)
{
	sl->kick->sleepers++;
	sl->next = sock.sleepers;
	sl->pprev = &sock.sleepers;
	if (sl->next)
		sl->next->pprev = &sl->next;
	sock.sleepers = sl;
	sleeping_update();
}

void sleeper_unlink(struct sleeper *sl)
{
	*sl->pprev = sl->next;
	if (sl->next)
		sl->next->pprev = sl->pprev;
	sl->kick->sleepers--;
	sleeping_update();
}

/*
 * The bell should be with the thread that its events are for: such a thread takes it when it goes to sleep, from a leader that would wake only to kick others,
 * and gives it back when it returns to its program. The other thread sleeps on both times.
 */
static bool bell_take(void)
{
	struct sleeper *sl = sock.leader;

	sock.crowd = true;
	if (!sock_signals.front || !sl->kick->seated || !sl->kick->bell_on || !kick_bell(sl->kick, false))
		return false;
	atomic_store(&sl->thread->leads, false);
	sock.leader = NULL;
	return true;
}

static struct sleeper *seated_sleeper(void)
{
	struct sleeper *sl = sock.sleepers;

	while (sl && (!sl->kick->seated || sl->kick->sent || is_held(sl)))
		sl = sl->next;
	return sl;
}

bool bell_give(void)
{
	struct sleeper *sl = seated_sleeper();
	bool late = sl && vj_oversleeps(sock.vj, sl->wake_ns);

	if (!sl || (late && sock.helper.state == HELPER_NONE) || !vj_arm_sleeper(sock.vj))
		return false;
	if (kick_bell(sl->kick, true)) {
		leader_set(sl);
		if (likely(!leader_is_held())) {
			if (late)
				helper_due(DUE_CALL); /* as where a timer is set while it sleeps */
			if (unlikely(sock.copied != NULL))
				family_waits(sl->is_calm);
			return true;
		}
		sock.leader = NULL;
	}
	vj_disarm(sock.vj);
	return false;
}

void leader_look(void)
{
	if (unlikely(vj_link_is_new(sock.vj)))
		kick_send(sock.leader->kick);
	else if (vj_oversleeps(sock.vj, sock.leader->wake_ns))
		helper_due(DUE_CALL); /* in 10 ms it has the leader look again, if nobody else has been there for the timer */
}

/* Return: false: there is work */
static bool seat_take(struct sleeper *sl, int64_t *timeout_ns)
{
	bool leads;

	sl->thread = &sock_signals;
	sl->begun = atomic_load_explicit(&sock_signals.begun, memory_order_relaxed);
	leads = may_lead() || bell_take();
	if (leads && !lead_begin(sl, timeout_ns))
		return false;
	/* unless the leader sleeps in this same seat, whose bell must stay */
	if (sl->kick->seated && (leads || sock.leader->kick != sl->kick))
		kick_bell(sl->kick, leads);
	if (leads && !(sl->kick->seated && sl->kick->bell_on))
		sl->bell_fd = vj_fd(sock.vj);
	return true;
}

bool sleep_begin(struct sleeper *sl, int64_t *timeout_ns)
{
	bool deaf = sl->kick->fd < 0;

	sl->bell_fd = -1;
	if (unlikely(deaf))
		sleep_shorter(sl, timeout_ns, DEAF_NS);
	atomic_store_explicit(&sock_signals.leads, false, memory_order_relaxed);
	if (sock.vj) {
		if (unlikely(sock.copied != NULL))
			family_waits(sl->is_calm);
		deed_let_go(sock.vj);
		if (!seat_take(sl, timeout_ns)) {
			if (unlikely(sock.copied != NULL) && !sl->is_calm)
				family_woke(sl);
			return false;
		}
		sleeper_link(sl);
		if (unlikely(sock.leader != sl)) {
			leader_look(); /* else the helper would do this at its next tick */
			if (sock.helper.state == HELPER_DUE)
				helper_settle();
		}
	}
	/* A handler that begins after this kicks; one that ran before is noticed here. */
	sock_signals.sleep_fd = unlikely(deaf) ? SLEEP_DEAF : sl->kick->fd;
	atomic_signal_fence(memory_order_seq_cst);
	if (sock_signals.ran != sl->signals.ran)
		kick_send(sl->kick);
	return true;
}

bool sleep_is_over(const struct sleeper *sl)
{
	return !sock_undo || (sl->kick->fd < 0 && sock_signals.ran != sl->signals.ran);
}

/* Another thread is ending the process: as on the kernel, no thread returns from a blocking call any more. */
static _Noreturn VJ_COLD void sleep_on(void)
{
	lock_drop();
	while (sock_undo)
		undo_ppoll(NULL, 0, NULL, NULL);
	for (;;)
		sys_ppoll(NULL, 0, NULL, NULL);
}

bool sleep_over(const struct sleeper *sl, struct undo *u)
{
	sock_signals.sleep_fd = SLEEP_NONE;
	atomic_signal_fence(memory_order_seq_cst);
	lock_take();
	if (unlikely(sock.exiting) && sl->pprev)
		sleep_on();
	return !u || undo_pop(u);
}

void sleep_end(struct sleeper *sl)
{
	if (unlikely(sock.copied != NULL) && sock.vj && !sl->is_calm)
		family_woke(sl);
	sl->kick->sent |= sl->kicked || sock_signals.ran != sl->signals.ran;
	if (sl->pprev)
		sleeper_unlink(sl);
	kick_drain(sl->kick);
	sock_signals.front = sock.leader == sl ? sl->rung : sl->kicked && !sl->to_lead;
	if (sock.leader == sl) {
		sock.leader = NULL;
		if (sock.vj && sl->rung)
			vj_disarm(sock.vj);
		else if (sock.vj)
			vj_disarm_unrung(sock.vj);
		if (unlikely(sock.helper.state == HELPER_ASLEEP)) /* it relied on us, and we may have no use for channels for long */
			helper_due(DUE_SLEEP);
	}
}

/* ---- signals --------------------------------------------------------------------------------------------------- */

/*
 * The kernel never restarts poll(); it restarts recv() if the handler was installed with SA_RESTART.
 * Which handler has run can't be known afterwards; so the call goes on unless some handler of the
 * process lacks SA_RESTART. Programs use one kind or the other.
 */
bool signals_restart(void)
{
	struct kernel_action sa;

	for (int sig = 1; sig < 64; sig++) {
		if (sig == SIG_CANCEL || sig == SIG_RECALL)
			continue;
		if (SYS_CALL4(SYS_rt_sigaction, sig, NULL, &sa, SYS_SIGSET_BYTES) < 0)
			continue;
		if (sa.handler > 1 && !(sa.flags & SA_RESTART)) /* neither SIG_DFL nor SIG_IGN */
			return false;
	}
	return true;
}

/*
 * ---- one blocking operation
 * -------------------------------------------------------------------------------------
 */

static void rest_borrow(const struct blocking *b, struct queue *ret_q)
{
	if (b->beside_others && !b->turn_looks && !queue_borrow(b->kernel_fd, ret_q))
		return;
	*ret_q = (struct queue){ .listens = false };
	kick_borrow(&ret_q->kick);
}

static void rest_return(struct queue *q)
{
	if (q->listens)
		queue_return(q);
	else
		kick_return(&q->kick);
}

/* The thread is cancelled in its sleep, or a handler jumps out of it: unlink it; the call is over. */
struct block_undo {
	struct undo undo;
	const struct blocking *b;
	struct sleeper *sl;
	struct watch *w;
	struct queue *q;
};

static void block_left(void *arg)
{
	const struct block_undo *undo = arg;

	sleep_over(undo->sl, NULL);
	sleep_end(undo->sl);
	watch_unlink(undo->w);
	if (undo->q->listens) /* it may have reported a client just now */
		queue_pass(undo->b->kernel_fd);
	rest_return(undo->q);
	lock_leave();
}

/* As queue_sleep(), but by ppoll() on single descriptors. A kick with a seat is waited for by the seat, which holds the bell, too. */
static int block_poll(const struct blocking *b, const struct sleeper *sl, int64_t timeout_ns, unsigned *ret_woke)
{
	struct pollfd pfd[] = { { .fd = b->turn_looks ? -1 : b->kernel_fd, .events = POLLIN },
				{ .fd = kick_fd(sl->kick), .events = POLLIN },
				{ .fd = sl->bell_fd, .events = POLLIN } };
	struct timespec ts = timespec_of(timeout_ns);
	struct timespec *tsp = timeout_ns < 0 ? NULL : &ts;
	nfds_t n = sl->bell_fd < 0 ? 2 : 3;
	int r = (int)(b->uncancelled ? undo_call_uncancelled : undo_call)(SYS_ppoll, (long)pfd, (long)n, (long)tsp, 0, 0, 0);

	for (nfds_t i = 0; i < n && r > 0; i++)
		*ret_woke |= pfd[i].revents ? 1u << i : 0u;
	return r;
}

_Static_assert(WOKE_QUEUE == 1 << 0 && WOKE_KICK == 1 << 1 && WOKE_BELL == 1 << 2, "bits are places");

enum { WAS_LEFT = -4096 };

/*
 * After SIGSTOP and SIGCONT epoll_wait() fails with EINTR, without any handler (signal(7)); accept() does so only if the socket has a
 * time-out.
 */
static int queue_slept(const struct blocking *b, const struct sleeper *sl, int r)
{
	return r == -EINTR && !b->timeout_ns && sock_signals.ran == sl->signals.ran ? 0 : r;
}

/* Return: what ppoll() returned; 0: no need to sleep; WAS_LEFT: all is undone. The lock is given up meanwhile. */
static int block_sleep(struct blocking *b, struct sleeper *sl, struct watch *w, struct queue *q, int64_t timeout_ns)
{
	struct block_undo undo = { .b = b, .sl = sl, .w = w, .q = q };
	unsigned woke = 0;
	bool by_set;
	int r;

	undo_push(&undo.undo, block_left, &undo);
	if (!sleep_begin(sl, &timeout_ns)) {
		undo_pop(&undo.undo);
		return 0;
	}
	lock_drop();
	by_set = sl->bell_fd < 0 && (q->listens || (q->kick.owns_seat && b->kernel_fd < 0 && !b->uncancelled));
	if (by_set)
		r = queue_slept(b, sl, queue_sleep(q, timeout_ns, &woke));
	else
		r = block_poll(b, sl, timeout_ns, &woke);
	b->kernel_ready = b->turn_looks || (woke & WOKE_QUEUE);
	sl->kicked = woke & WOKE_KICK;
	sl->rung = r < 0 || (woke & (by_set || sl->bell_fd >= 0 ? WOKE_BELL : WOKE_KICK));
	if (!sleep_over(sl, &undo.undo))
		return WAS_LEFT;
	sleep_end(sl);
	return r;
}

/* Another process's turn (queue.c) takes some microseconds, unless it is stopped; it may need this very processor, so yield. */
static bool turn_yield(const struct blocking *b)
{
	if (b->turn_looks > TURN_YIELDS)
		return false;
	lock_drop();
	SYS_CALL0(SYS_sched_yield);
	lock_take();
	return true;
}

static uint64_t turn_ns(const struct blocking *b)
{
	return b->turn_looks ? min_u64(TURN_NS_MIN << min_u32(b->turn_looks - TURN_YIELDS - 1, 10), TURN_NS_MAX) : TIME_NEVER;
}

static int block_sleep_watched(struct blocking *b, uint64_t now_ns)
{
	uint64_t wake_ns = min_u64(b->deadline_ns, time_add_sat(now_ns, turn_ns(b)));
	struct queue q;
	struct sleeper sl = { .kick = &q.kick, .signals = b->signals, .wake_ns = wake_ns };
	struct watch w = { .sleeper = &sl };
	int r;

	rest_borrow(b, &q);
	watch_link(&w, b->file);
	r = block_sleep(b, &sl, &w, &q, time_left(wake_ns, now_ns));
	if (r == WAS_LEFT)
		return r;
	watch_unlink(&w);
	rest_return(&q);
	return r;
}

int block_signals(struct blocking *b, bool slept_eintr)
{
	if (sock_signals.ran != b->signals.ran) {
		bool interrupts = b->timeout_ns ||
				  sock_signals.interrupting != b->signals.interrupting;

		b->signals = sock_signals;
		return interrupts ? -EINTR : 0;
	}
	/* EINTR by a handler that was not seen by signal.c */
	return slept_eintr && (b->timeout_ns || !signals_restart()) ? -EINTR : 0;
}

/* Lock held; there is a context, but perhaps not afterwards */
static int wait_once(struct blocking *b)
{
	uint64_t now_ns;
	int r;

	if (unlikely(b->turn_looks) ? turn_yield(b) : spin_turn(&b->spin))
		return sock_undo == &b->hold.undo ? block_signals(b, false) : -EINTR;
	now_ns = sys_clock_ns();
	if (!b->deadline_ns)
		b->deadline_ns = b->timeout_ns ? time_add_sat(now_ns, b->timeout_ns) : TIME_NEVER;
	if (now_ns >= b->deadline_ns)
		return -EAGAIN;
	r = block_sleep_watched(b, now_ns);
	b->spin = (struct spin){ .begun = false }; /* more pieces may follow soon: spin again */
	if (r < 0 && r != -EINTR)
		return r == WAS_LEFT ? -EINTR : r;
	return block_signals(b, r == -EINTR);
}

/* The process exits and leaves its connections. Those with a descriptor are marked dead by now; one that was closed meanwhile could not be found by that. */
static VJ_COLD void cut_off(struct file *f)
{
	if (f->kind == FILE_SOCK && sock_is_conn(sock_of(f)))
		sock_of(f)->state = SOCK_DEAD;
}

/* A handler jumps out of the call: a client that was reported to it, and that it hasn't taken, is passed on. */
static void block_jumped(void *arg)
{
	const struct blocking *b = arg;

	if (b->kernel_ready && b->beside_others)
		queue_pass(b->kernel_fd);
	lock_take();
	file_put(b->file);
	lock_leave();
}

void block_begin(struct blocking *b)
{
	if (b->held)
		return;
	file_get(b->file);
	b->hold.file = b->file;
	undo_push(&b->hold.undo, block_jumped, b);
	b->held = true;
}

int block_wait(struct blocking *b)
{
	int r;

	block_begin(b);
	r = sock.vj ? wait_once(b) : 0;
	if (unlikely(!sock.vj) && sock_undo == &b->hold.undo)
		cut_off(b->file);
	return r;
}

void block_end(struct blocking *b)
{
	if (!b->held)
		return;
	spin_won(&b->spin);
	hold_end(&b->hold);
	b->held = false;
}
