// SPDX-License-Identifier: BSD-2-Clause
/*
 * helper.c - progress while the program computes
 *
 *	TICK   every 10 ms: has the program been here since?		  yes: stay
 *	  │    hardly, and a program thread leads (it sleeps on the bell) ───► DEEP
 *	  │    no, and nobody leads: process what there is; nothing unfinished ► LEAD
 *	LEAD   asleep on the bell in the program's place; processes at each ring
 *	DEEP   asleep without a timer; a handler on top of the leader's sleep sets one of 1 ms, and if it is there still, the helper leads
 *	WATCH  asleep still, where the program has set a timer when it was back, from LEAD or DEEP: DEEP again if it
 *	       sleeps on the bell before that goes off, else TICK
 *	CALM   there is no channel, so that what comes is told by vjd first: asleep on its socket, and on what other processes ask by, whatever
 *	       the program does; TICK when they have said something, or when the program has made a channel
 *
 * So an idle process has no timer running, a busy one pays for 100 looks a second, and one that wakes now and then for a moment sets
 * the timer and takes it back: two system calls, where to wake the helper would be two switches of the processor, one of them before the
 * program goes on. If it was LEAD, the bell is taken from it by one more, while it sleeps on in its seat (kick.c).
 */
#include "sock/accept.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/file.h"
#include "sock/forks.h"
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

/* FEW_CALLS: of a tick, FEW_WATCHES: likewise */
enum { TICK_MS = 10, LEAVING_MS = 1, HELD_MS = 1, FEW_CALLS = 16, FEW_WATCHES = 8, STACK_BYTES = 256 * 1024, END_MS = 500 };

/* Until a kick, the program's timer, what rings at @fd or @other (-1: nothing), or for @length (NULL: for ever). Return: did the timer go off? */
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
 * A tick, or shorter if another process wants a connection that we have; what its peer says to that does not ring here. Also if it is to be seen whether
 * the program only waited for the lock.
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

/* @ms 0: not at all */
static bool timer_set(unsigned ms)
{
	const struct itimerspec when = { .it_value.tv_nsec = ms * (long)NS_PER_MS };

	return !sys_timerfd_settime(sock.helper.timer_fd, 0, &when);
}

/* The timer is set. */
static void watch(void)
{
	uint64_t now_ns = sys_clock_ns();

	if (now_ns - sock.helper.window_ns > TICK_MS * NS_PER_MS) {
		sock.helper.window_ns = now_ns;
		sock.helper.watches = 0;
	}
	sock.helper.watches++;
	sock.helper.seen = sock.calls;
	state_set(HELPER_WATCH);
}

/* Others that want a connection of this process, or the clients that wait for it, are not to wait until the timer goes off. */
static bool is_own(void)
{
	return deed_fd(sock.vj) < 0 && !sock.copied;
}

/* A short handler is over before; and the timer may be read meanwhile, or set by who sleeps: then the helper is awake, or will be at the next tick. */
void helper_held(void)
{
	int fd = atomic_load(&sock.helper.timer_fd);
	const struct itimerspec when = { .it_value.tv_nsec = HELD_MS * (long)NS_PER_MS };

	if (fd >= 0)
		sys_timerfd_settime(fd, 0, &when);
}

/* Is it as when it began, and the helper listens to all that there is? */
static bool stays_calm(void)
{
	return vj_stays_calm(sock.vj) && sock.helper.deed_fd == deed_fd(sock.vj) && !forks_looks();
}

void helper_active(void)
{
	if (sock.helper.state == HELPER_CALM && stays_calm())
		return;
	if (sock.leader == &sock.helper.sleeper) {
		sock.leader = NULL;
		vj_disarm(sock.vj);
	} else if (sock.helper.state < HELPER_DEEP && sock.helper.state != HELPER_WATCH) {
		return;
	}
	if (sock.helper.state != HELPER_CALM && is_own() && (sock.helper.state == HELPER_WATCH || timer_set(TICK_MS))) {
		watch();
		return;
	}
	state_set(HELPER_TICK);
	kick_send(&sock.helper.kick);
}

/* The bell is taken from it while it sleeps on. Return: false: it is to be woken, to sleep without; from the second time on it has a seat */
static bool bell_off(void)
{
	struct kick *k = &sock.helper.kick;

	if (sock.helper.state != HELPER_WATCH)
		return false;
	if (!k->seated)
		kick_seat_make(k, 0, 0);
	return k->bell_on && kick_bell(k, false);
}

void helper_relieved(void)
{
	if (sock.helper.on_bell && !bell_off()) {
		kick_send(&sock.helper.kick);
		return;
	}
	sock.helper.on_bell = false;
	if (sock.helper.state == HELPER_WATCH && sock.helper.watches <= FEW_WATCHES && is_own() && vj_has_links(sock.vj) && timer_set(0))
		state_set(HELPER_DEEP); /* without a channel it is to wake once more: then it is calm */
}

/* @late: by the timer, else it isn't to cut the next tick short: who was not here for a tick is taken for one that is elsewhere */
static void awake(bool late)
{
	if (!late)
		timer_set(0);
	state_set(HELPER_TICK);
}

static bool goes_on(void)
{
	return sock.vj && !sock.helper.ends;
}

/*
 * A program thread leads. Timers may have been set since it went to sleep; then it is to look again.
 * Return: true: the program was back, and for a tick has not slept on the bell, or is in a handler. @ret_seen: then written, @calls when that began
 */
static bool sleep_deep(uint64_t *ret_seen)
{
	int64_t timeout_ns;
	bool late = false, held;

	if (!vj_arm(sock.vj, &timeout_ns) || vj_oversleeps(sock.vj, sock.leader->wake_ns))
		kick_send(sock.leader->kick);
	state_set(HELPER_DEEP);
	while (goes_on() && !late && sock.helper.state != HELPER_TICK && !leader_is_held()) {
		lock_leave();
		late = nap(-1, -1, NULL);
		nap_end();
		late &= sock.helper.state == HELPER_WATCH;
	}
	held = leader_is_held();
	awake(late);
	if (late || held)
		*ret_seen = held ? sock.calls : sock.helper.seen;
	return late || held;
}

/* What vjd, or another process, has said already is looked at first, else who sleeps would be woken for it at once. */
static bool is_calm(void)
{
	struct pollfd pfd[] = { { .fd = vj_control_fd(sock.vj), .events = POLLIN }, { .fd = deed_fd(sock.vj), .events = POLLIN } };

	return vj_is_calm(sock.vj) && !forks_looks() && sys_poll_ms(pfd, ARRAY_SIZE(pfd), 0) == 0;
}

static void sleep_calm(void)
{
	int fd = vj_control_fd(sock.vj); /* closed only by who has been told by it */

	vj_calm_begin(sock.vj);
	sock.helper.deed_fd = deed_fd(sock.vj);
	state_set(HELPER_CALM);
	lock_drop();
	nap(fd, sock.helper.deed_fd, NULL);
	nap_end();
	state_set(HELPER_TICK);
	if (sock.vj)
		vj_calm_end(sock.vj);
}

/*
 * Return: true: it was the bell or a timer, so the program is still away.
 * @ret_late: written if not so: as sleep_deep() returns it
 */
static bool lead(bool *ret_late)
{
	struct timespec ts;
	int64_t timeout_ns;
	bool led, late;
	int bell_fd;

	deed_let_go(sock.vj);
	if (deed_is_called(sock.vj) || !vj_arm(sock.vj, &timeout_ns))
		return true;
	state_set(HELPER_LEAD);
	sock.leader = &sock.helper.sleeper;
	sock.leader->wake_ns = deadline_after(sys_clock_ns(), timeout_ns);
	ts = (struct timespec){ .tv_sec = timeout_ns / 1000000000,
				.tv_nsec = timeout_ns % 1000000000 };
	sock.helper.on_bell = true;
	bell_fd = sock.helper.kick.seated && kick_bell(&sock.helper.kick, true) ? sock.helper.kick.seat : vj_fd(sock.vj);
	lock_drop();
	late = nap(bell_fd, -1, timeout_ns < 0 ? NULL : &ts);
	nap_end();
	sock.helper.on_bell = false;
	*ret_late = late && sock.helper.state == HELPER_WATCH;
	awake(late);
	led = sock.leader == &sock.helper.sleeper;
	if (led) {
		sock.leader = NULL;
		if (sock.vj)
			vj_disarm(sock.vj);
	}
	return led;
}

static void begin(void)
{
	sock.helper.tid = (int)SYS_CALL0(SYS_gettid);
	atomic_store(&sock.helper.begun, true);
	SYS_CALL5(SYS_prctl, PR_SET_NAME, "vj-helper", 0, 0, 0);
	lock_take();
	recall_try();
}

static void *helper_main(void *arg)
{
	uint64_t seen = 0;
	bool away = false, late = false;
	unsigned few;

	(void)arg;
	begin();
	while (goes_on()) {
		if (away)
			ctx_process(); /* what rang */
		else if (!late)
			tick();
		if (!goes_on())
			break;
		ended_put();
		dgrams_look();
		if (!sock.vj)
			break;
		if (unlikely(sock.copied != NULL) && listeners_offer(away, away || sock.calls == seen)) {
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
			late = sleep_deep(&seen);
			away = false;
			continue;
		}
		ctx_process();
		if (sock.vj)
			deed_let_go(sock.vj); /* we have the lock, so no call is under way but those that wait */
		ended_put();
		/* who waits in a queue that others have, too, does not ring again */
		away = sock.vj && !vj_unfinished(sock.vj) && !listeners_ready() && lead(&late);
		seen = late ? sock.helper.seen : sock.calls;
		if (!away && !late && goes_on() && sock.leader && is_own())
			late = sleep_deep(&seen);
	}
	state_set(HELPER_NONE);
	lock_drop();
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
	err = pthread_create(&thread, &attr, helper_main, NULL);
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
