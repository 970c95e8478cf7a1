// SPDX-License-Identifier: BSD-2-Clause
/*
 * helper.c - progress while the program computes
 *
 *	state	the helper				  ends when
 *	TICK	looks every 10 ms			  few calls of the program since the last look, and nothing is unfinished: ASLEEP; no channel: CALM
 *	ASLEEP	sleeps; there is a leader (layer.h):	  a thread of the program has the lock, and may change that: DUE
 *		a thread, or the helper itself
 *	DUE	sleeps					  the lock is given up: ASLEEP if the conditions hold (helper_settle()), else WATCH (kicks_unlock())
 *	WATCH	sleeps, with a timer of 10 ms		  there is a leader again: ASLEEP; the timer expires: TICK
 *	CALM	sleeps on vjd's socket, and on the one	  a message on either, or the program has made a channel: TICK
 *		for claims: there is no channel, and
 *		no leader is needed
 *
 * So an idle process has no timer running, and a busy one pays for 100 looks a second. A process that wakes now and then for a moment sets the timer and
 * clears it again: two system calls, where waking the helper would take two context switches. If the program goes away, to nanosleep() or to compute, the
 * timer expires: the helper wakes, and becomes the leader, in a seat (kick.c) from which the next thread that sleeps takes the bell.
 *
 * If the program was away for SELDOM_NS or more in that time, its calls put the bell back into the helper's seat when they end, and the helper sleeps on. Not
 * after a call that sends: the answer would wake the helper instead of the program, so the timer is set until the program's next call. A program that is
 * back sooner than that, or waits again at once, sets the timer as before.
 */
#include "sock/accept.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/recall.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/wait.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

/* FEW_CALLS: of a tick, FEW_DUES: likewise */
enum { TICK_MS = 10, LEAVING_MS = 1, HELD_MS = 1, FEW_CALLS = 16, FEW_DUES = 24, STACK_BYTES = 256 * 1024, END_MS = 500, LOOK_MAX_MS = 250, LOOK_SHARE = 8 };
static const uint64_t TICK_NS = TICK_MS * NS_PER_MS, SELDOM_NS = 2 * TICK_NS, MOMENT_NS = NS_PER_MS;

/*
 * The program's threads have all ended, the first by pthread_exit(), which the kernel counts on: the helper ends, too, and libc, to which it was the last, ends the process
 * by exit(0), as it had done without.
 */
static bool is_last(void)
{
	return unlikely(sock.helper.first_ended_ns != 0) && helper_threads() == 2;
}

/* Nobody tells that a thread has ended: so the helper looks, soon in a process that ends soon. */
static uint64_t ended_look_ns(uint64_t now_ns)
{
	uint64_t ended_ns = sock.helper.first_ended_ns;

	if (likely(!ended_ns))
		return TIME_NEVER;
	return now_ns + max_u64(min_u64((now_ns - ended_ns) / LOOK_SHARE, LOOK_MAX_MS * NS_PER_MS), MOMENT_NS);
}

/* How long may it sleep where nothing wakes it? Nobody tells that a rest of the ports is over, either. Return: @ret_length; NULL: for ever. Lock held */
static const struct timespec *until_look(struct timespec *ret_length)
{
	uint64_t now_ns = sys_clock_ns(), again_ns = min_u64(fork_server_again_ns(), min_u64(family_again_ns(now_ns), ended_look_ns(now_ns)));

	if (likely(again_ns == TIME_NEVER))
		return NULL;
	*ret_length = timespec_of(time_left(again_ns, now_ns));
	return ret_length;
}

/* Sleep until a kick, the timer, an event at @fd or @other (-1: none), or for @length (NULL: for ever). Return: has the timer expired? */
static bool nap(int fd, int other, const struct timespec *length)
{
	struct pollfd pfd[] = { { .fd = sock.helper.kick.fd, .events = POLLIN },
				{ .fd = sock.helper.timer_fd, .events = POLLIN },
				{ .fd = fd, .events = POLLIN },
				{ .fd = other, .events = POLLIN } };
	struct timespec left;
	uint64_t times;
	int n;

	if (length)
		left = *length;
	n = sys_ppoll(pfd, ARRAY_SIZE(pfd), length ? &left : NULL, NULL);
	sock.helper.sleeper.kicked = n > 0 && pfd[0].revents;
	sock.helper.sleeper.rung = n > 0 && pfd[2].revents;
	return n > 0 && pfd[1].revents &&
	       sys_read(sock.helper.timer_fd, &times, sizeof(times)) > 0; /* else it was set anew meanwhile */
}

/* The lock is taken again. */
static void nap_end(void)
{
	lock_take();
	sock.helper.kick.sent |= sock.helper.sleeper.kicked;
	kick_drain(&sock.helper.kick);
}

/*
 * A tick; a short one if another process wants a connection that we hold, since the peer's answer does not ring here, or if family.c must see whether the program
 * only waited for the lock.
 */
static void tick(void)
{
	bool soon = deed_wants(sock.vj) || family_looks_again();
	const struct timespec length = { .tv_nsec = (soon ? LEAVING_MS : TICK_MS) * (long)NS_PER_MS };
	int fd = deed_fd(sock.vj);

	lock_leave();
	nap(fd, -1, &length);
	nap_end();
}

static void state_set(enum helper_state state)
{
	sock.helper.state = state;
	calm_update();
	sleeping_update();
}

/* At @when_ns; TIME_NEVER: not at all */
static bool timer_set(uint64_t when_ns)
{
	uint64_t ns = when_ns == TIME_NEVER ? 0 : when_ns;
	const struct itimerspec when = { .it_value = { .tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC) } };

	sock.helper.timer_ns = when_ns;
	return !sys_timerfd_settime(sock.helper.timer_fd, TFD_TIMER_ABSTIME, &when);
}

/* To expire at @when_ns at the latest. Left as it is if that is not much too soon: else a deadline that each call puts off would be set each time. */
static bool timer_until(uint64_t now_ns, uint64_t when_ns)
{
	uint64_t least_ns = min_u64(time_sub_sat(when_ns, now_ns), 10 * TICK_NS) / 2;

	return (sock.helper.timer_ns <= when_ns && sock.helper.timer_ns >= time_add_sat(now_ns, least_ns)) || timer_set(max_u64(when_ns, 1));
}

/* No other process shares a connection of this one, or waits for its clients. */
static bool is_own(void)
{
	return deed_is_calm(sock.vj) && !sock.copied;
}

/* ... and if one asks for something, the helper is woken where it sleeps. */
static bool hears_others(void)
{
	return is_own() && deed_fd(sock.vj) == sock.helper.deed_fd;
}

/* A short handler ends before HELD_MS. The timer may also be read or set by others meanwhile: then the helper is awake, or will be at the next tick. */
void helper_held(void)
{
	int fd = atomic_load(&sock.helper.timer_fd);
	const struct itimerspec when = { .it_value.tv_nsec = HELD_MS * (long)NS_PER_MS };

	if (fd >= 0)
		sys_timerfd_settime(fd, 0, &when);
}

/* Does the calm go on: is there still no channel, and does the helper sleep on the current deed_fd()? */
static bool stays_calm(void)
{
	return vj_stays_calm(sock.vj) && sock.helper.deed_fd == deed_fd(sock.vj) && !fork_server_looks();
}

void helper_due(enum due due)
{
	uint64_t now_ns;

	if (sock.helper.state == HELPER_CALM && !stays_calm()) {
		state_set(HELPER_TICK);
		kick_send(&sock.helper.kick);
	}
	if (sock.helper.state != HELPER_ASLEEP)
		return;
	now_ns = sys_clock_ns();
	if (sock.leader == &sock.helper.sleeper) { /* else peers would ring while the program looks itself */
		sock.leader = NULL;
		vj_disarm_unrung(sock.vj); /* if it rings just now the helper is awake */
		if (now_ns - sock.helper.away_ns >= MOMENT_NS)
			sock.helper.seldom = now_ns - sock.helper.away_ns >= SELDOM_NS;
	}
	if (now_ns - sock.helper.window_ns > TICK_NS) {
		sock.helper.window_ns = now_ns;
		sock.helper.dues = 0;
	}
	sock.helper.dues += due;
	due_add(sock.helper.timer_fd);
	state_set(HELPER_DUE);
}

/* If the helper has led: it leads no more, and the bell, which may not be armed on every link, is disarmed. */
static void lead_end(void)
{
	if (sock.leader != &sock.helper.sleeper)
		return;
	sock.leader = NULL;
	if (sock.vj)
		vj_disarm(sock.vj);
}

void helper_speaks(void)
{
	helper_due(DUE_CALL);
	sock.helper.seen = sock.calls;
}

void helper_watch(void)
{
	due_take_back(sock.helper.timer_fd);
	sock.helper.seen = sock.calls;
	if (sock.vj && hears_others() && timer_set(sys_clock_ns() + TICK_NS)) {
		state_set(HELPER_WATCH);
		return;
	}
	state_set(HELPER_TICK);
	kick_send(&sock.helper.kick);
}

/* There is no leader: the helper becomes it, if it can without waking. */
static void bell_on(void)
{
	struct kick *k = &sock.helper.kick;
	uint64_t now_ns, wake_ns;
	int64_t timeout_ns;

	vj_put_off(sock.vj);
	if (!k->seated || vj_unfinished(sock.vj) || !kick_bell(k, true))
		return;
	sock.helper.on_bell = true;
	if (!vj_arm(sock.vj, &timeout_ns))
		return;
	now_ns = sys_clock_ns();
	wake_ns = deadline_after(now_ns, timeout_ns);
	if (!timer_until(now_ns, wake_ns)) {
		vj_disarm(sock.vj);
		return;
	}
	sock.helper.away_ns = now_ns;
	sock.leader = &sock.helper.sleeper;
	sock.leader->wake_ns = wake_ns;
}

/* The leader's part of the ASLEEP invariant in layer.h */
static bool leads_well(void)
{
	return !leader_is_held() && !vj_link_is_new(sock.vj) && !vj_oversleeps(sock.vj, sock.leader->wake_ns);
}

/* Not without a channel: then it must wake once, to become CALM. */
static bool may_sleep_on(void)
{
	return sock.vj && vj_has_links(sock.vj) && sock.helper.dues <= FEW_DUES && hears_others();
}

static void asleep_again(void)
{
	due_take_back(sock.helper.timer_fd);
	state_set(HELPER_ASLEEP);
}

void helper_settle(void)
{
	if (!may_sleep_on())
		return;
	if (!sock.leader && !sock.sleepers && sock.helper.seldom && sock.calls != sock.helper.seen)
		bell_on();
	else if (sock.helper.state == HELPER_WATCH) /* the timer runs */
		return;
	if (sock.leader && leads_well())
		asleep_again();
}

/* Take the bell from the helper while it sleeps on. Return: false: it must be woken, and will sleep again without */
static bool bell_off(void)
{
	struct kick *k = &sock.helper.kick;

	if (sys_clock_ns() - sock.helper.away_ns < SELDOM_NS)
		sock.helper.seldom = false;
	return k->seated && k->bell_on && kick_bell(k, false);
}

void helper_relieved(void)
{
	if (sock.helper.on_bell && !bell_off()) {
		kick_send(&sock.helper.kick);
		return;
	}
	sock.helper.on_bell = false;
	if (may_sleep_on() && (sock.helper.state == HELPER_DUE || (sock.helper.state == HELPER_WATCH && timer_set(TIME_NEVER))))
		asleep_again();
}

/* @late: woken by the timer. Else the timer is stopped, lest it cut the next tick short: a program that makes no call for a whole tick is taken to be away */
static void awake(bool late)
{
	if (!late && sock.helper.timer_ns != TIME_NEVER)
		timer_set(TIME_NEVER);
	state_set(HELPER_TICK);
}

static bool goes_on(void)
{
	return sock.vj && !sock.helper.ends && !is_last();
}

/*
 * Sleep beside a leader, or as one.
 * @ret_late: the program was back, and has not slept on the bell for a tick, or the leader is in a handler. @ret_seen: written if so: @calls when that began
 * Return: true: the helper leads and was woken by the bell or a timer, so the program is still away.
 */
static bool sleep_deep(bool *ret_late, uint64_t *ret_seen)
{
	struct kick *k = &sock.helper.kick;
	bool leads = sock.leader == &sock.helper.sleeper, off, late, held;
	const struct timespec *length;
	struct timespec left;
	int fd = leads ? vj_fd(sock.vj) : -1;

	if (!k->seated)
		kick_seat_make(k, 0, 0);
	if (k->seated && (kick_bell(k, leads) || !leads))
		fd = k->seat;
	sock.helper.deed_fd = is_own() ? deed_fd(sock.vj) : -1; /* else who leads hears it by the bell, and the helper is awake before nobody does */
	sock.helper.on_bell = leads;
	state_set(HELPER_ASLEEP);
	do { /* once more after a timer, or a ring, of a time in which it led */
		length = until_look(&left);
		lock_leave();
		off = nap(fd, sock.helper.deed_fd, length);
		nap_end();
		if (off) /* if it was set anew before we had the lock, it goes off once in vain */
			sock.helper.timer_ns = TIME_NEVER;
	} while ((off || sock.helper.sleeper.rung) && !sock.helper.sleeper.kicked && goes_on() && sock.helper.state == HELPER_ASLEEP && sock.leader &&
		 sock.leader != &sock.helper.sleeper && !leader_is_held());
	late = off && sock.helper.state == HELPER_WATCH;
	held = leader_is_held();
	leads = sock.leader == &sock.helper.sleeper;
	sock.helper.on_bell = false;
	lead_end();
	awake(late);
	*ret_late = late || held;
	if (late || held)
		*ret_seen = held ? sock.calls : sock.helper.seen;
	return leads;
}

/* A thread of the program leads. It is kicked to look again if timers were set since it went to sleep. */
static bool follow(bool *ret_late, uint64_t *ret_seen)
{
	int64_t timeout_ns;

	if (!vj_arm(sock.vj, &timeout_ns) || vj_oversleeps(sock.vj, sock.leader->wake_ns))
		kick_send(sock.leader->kick);
	return sleep_deep(ret_late, ret_seen);
}

/* Can the helper become CALM? Not while a message of vjd or another process is unread, which would end the calm at once. */
static bool is_calm(void)
{
	struct pollfd pfd[] = { { .fd = vj_control_fd(sock.vj), .events = POLLIN }, { .fd = deed_fd(sock.vj), .events = POLLIN } };

	return vj_is_calm(sock.vj) && !fork_server_looks() && sys_poll_ms(pfd, ARRAY_SIZE(pfd), 0) == 0;
}

static void sleep_calm(void)
{
	int fd = vj_control_fd(sock.vj); /* closed only by a thread that has read its end */
	const struct timespec *length;
	struct timespec left;

	vj_calm_begin(sock.vj);
	sock.helper.deed_fd = deed_fd(sock.vj);
	state_set(HELPER_CALM);
	length = until_look(&left);
	lock_drop();
	nap(fd, sock.helper.deed_fd, length);
	nap_end();
	state_set(HELPER_TICK);
	if (sock.vj)
		vj_calm_end(sock.vj);
}

/* A client that waits in a queue that other processes could take from does not ring again: then the helper keeps ticking. */
static bool leads_on(void)
{
	if (!sock.vj)
		return false;
	if (!deed_is_calm(sock.vj)) /* a peer's answer about a connection that leaves, soon, rings for who leads */
		vj_put_off(sock.vj);
	return !vj_unfinished(sock.vj) && !listeners_ready();
}

/* @away: it was so already. Return: as sleep_deep(); true also if there is work. @ret_late, @ret_seen: likewise, or not written */
static bool lead(bool away, bool *ret_late, uint64_t *ret_seen)
{
	uint64_t now_ns = sys_clock_ns();
	int64_t timeout_ns;

	if (!away)
		sock.helper.away_ns = now_ns - TICK_NS;
	deed_let_go(sock.vj);
	if (deed_is_called(sock.vj) || !vj_arm(sock.vj, &timeout_ns))
		return true;
	sock.leader = &sock.helper.sleeper;
	sock.leader->wake_ns = deadline_after(now_ns, timeout_ns);
	timer_until(now_ns, sock.leader->wake_ns);
	return sleep_deep(ret_late, ret_seen);
}

/*
 * The first tick is without the lock, which the program's thread has: to wait for it is two switches, and the program may be over before the tick is.
 * But a process that shares a listener has short ones at first (tick()). Return: has it been?
 */
static bool begin(bool shares)
{
	const struct timespec length = { .tv_nsec = TICK_MS * (long)NS_PER_MS };

	sock.helper.tid = (int)SYS_CALL0(SYS_gettid);
	atomic_store(&sock.helper.begun, true);
	SYS_CALL5(SYS_prctl, PR_SET_NAME, "vj-helper", 0, 0, 0);
	if (shares) {
		lock_take();
		return false;
	}
	nap(sock.helper.deed_fd, -1, &length);
	nap_end();
	return true;
}

static void end(void)
{
	state_set(HELPER_NONE);
	lock_drop();
	if (is_last())
		pthread_sigmask(SIG_SETMASK, &sock.helper.first_mask, NULL);
}

/* @arg: not NULL: this process shares a listener */
static void *helper_main(void *arg)
{
	uint64_t seen = 0;
	bool away = false, late = false;
	unsigned few;

	for (bool over = begin(arg != NULL); goes_on(); over = false) {
		if (away)
			ctx_process(); /* what rang */
		else if (!late && !over)
			tick();
		if (!goes_on())
			break;
		ended_put();
		dgrams_look();
		if (!sock.vj)
			break;
		if (unlikely(sock.copied || fork_server_looks()) && listeners_offer(away, away || sock.calls == seen)) {
			ctx_process();
			if (sock.vj)
				deed_let_go(sock.vj); /* as below: this may go on for as long as ports rest */
			away = false;
			seen = sock.calls;
			continue;
		}
		if (unlikely(recall_again())) {
			if (!away)
				ctx_process();
			away = late = false;
			seen = sock.calls;
			continue;
		}
		if (is_calm()) {
			recall_try();
			sleep_calm();
			away = late = false;
			seen = sock.calls;
			continue;
		}
		few = late || (sock.leader && is_own()) ? FEW_CALLS : 0; /* @late: what followed its sleep is no more than an answer */
		late = false;
		if (sock.calls - seen > few && !away && !deed_wants(sock.vj)) {
			seen = sock.calls;
			continue;
		}
		if (unlikely(leader_is_held())) {
			sock.leader = NULL;
			vj_disarm(sock.vj);
		}
		if (sock.leader) {
			away = follow(&late, &seen);
			continue;
		}
		ctx_process();
		if (sock.vj)
			deed_let_go(sock.vj); /* we have the lock, so no call is under way but those that wait */
		ended_put();
		away = leads_on() && lead(away, &late, &seen);
		if (!late)
			seen = sock.calls;
		if (!away && !late && goes_on() && sock.leader && is_own())
			away = follow(&late, &seen);
	}
	end();
	return NULL;
}

static int thread_start(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int err = pthread_attr_init(&attr);
	bool only = ker_is_alone();

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the program's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, helper_main, sock.copied);
	atomic_store_explicit(&ker_helper_only, only, memory_order_relaxed); /* pthread_create() is this library's, and takes it for the program's */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int helper_start(void)
{
	int err = 0;

	if (sock.helper.kick.fd < 0)
		err = kick_open(&sock.helper.kick);
	if (err)
		return err;
	kick_unbell(&sock.helper.kick); /* another context's */
	if (sock.helper.timer_fd < 0)
		sock.helper.timer_fd = OWN_FD_MAKE(sys_timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	if (sock.helper.timer_fd < 0)
		return sock.helper.timer_fd;
	sock.helper.timer_ns = TIME_NEVER;
	sock.helper.seldom = sock.helper.on_bell = false;
	sock.helper.dues = 0;
	sock.helper.deed_fd = deed_fd(sock.vj);
	sock.helper.sleeper = (struct sleeper){ .kick = &sock.helper.kick };
	state_set(HELPER_TICK);
	atomic_store(&sock.helper.begun, false);
	err = thread_start();
	if (err)
		state_set(HELPER_NONE);
	else
		recall_install();
	return err;
}

void helper_close(void)
{
	int timer_fd = atomic_exchange(&sock.helper.timer_fd, -1);

	kick_close(&sock.helper.kick);
	kickers_wait();
	own_fd_close(timer_fd);
}

void helper_stop(void)
{
	if (sock.helper.state == HELPER_NONE)
		return;
	kick_send(&sock.helper.kick);
}

void sock_before_thread_exit(void)
{
	if (sock.barred || SYS_CALL0(SYS_gettid) != ker_getpid())
		return;
	lock_take();
	pthread_sigmask(SIG_SETMASK, NULL, &sock.helper.first_mask);
	sock.helper.first_ended_ns = sys_clock_ns();
	helper_stop();
	lock_leave();
}

/* Gone for libc, too, which forgets a thread before the kernel does: so setuid() no longer has it do the same. */
static void wait_gone(void)
{
	lock_drop();
	for (unsigned tries = 0; tries < END_MS; tries++) {
		if (atomic_load(&sock.helper.begun) && SYS_CALL3(SYS_tgkill, ker_getpid(), sock.helper.tid, 0) < 0)
			break;
		sys_poll_ms(NULL, 0, 1);
	}
	lock_take();
}

unsigned helper_threads(void)
{
	struct stat st;

	return SYS_CALL4(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &st, 0) ? 0 : (unsigned)st.st_nlink - 2; /* . and .. */
}

bool helper_is_only(void)
{
	return helper_threads() == (sock.helper.state == HELPER_NONE ? 1 : 2);
}

/*
 * libc (glibc from 2.36 on) knows only that there was a second thread, and would go on to take the locks of malloc(), of streams and of
 * name look-ups at each fork(), and to put them back in the child, which are eleven pages to be copied; and to count with cancellation
 * and other threads in every call. That there is one thread again it may learn at any time (sys/single_threaded.h). Its own variable,
 * not the program's copy of it. What it loses is that a cancellation of this thread, put off by this thread, was asked for by one that is gone.
 */
static void tell_libc(void)
{
	char *single = helper_is_only() ? dlsym(RTLD_NEXT, "__libc_single_threaded") : NULL; /* nobody else is there for whom the loader's lock waits */

	if (single)
		*single = 1;
}

bool helper_end(void)
{
	if (sock.helper.state == HELPER_NONE)
		return false;
	sock.helper.ends = true;
	helper_stop();
	wait_gone();
	sock.helper.ends = false;
	if (sock.helper.state != HELPER_NONE)
		return false;
	tell_libc();
	return true;
}

void helper_again(void)
{
	if (sock.vj && sock.helper.state == HELPER_NONE && helper_start() < 0)
		ctx_say("no helper thread any more: connections make progress only while the program calls");
}
