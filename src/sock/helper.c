// SPDX-License-Identifier: BSD-2-Clause
/*
 * helper.c - progress while the program computes
 *
 *	TICK   every 10 ms: has the program been here since?          yes: stay
 *	  │    no, and a program thread leads (it sleeps on the bell) ──────► DEEP
 *	  │    no, and nobody leads: process what there is; nothing unfinished ► LEAD
 *	LEAD   asleep on the bell in the program's place; processes at each ring; TICK when the program is back
 *	DEEP   asleep without a timer; TICK when the program is back
 *
 * So an idle process has no timer running, a busy one pays for 100 looks a second, and no system
 * call is added to its path: it wakes the helper only out of DEEP and LEAD, each of which takes 10
 * ms to reach.
 */
#include "sock/dgram.h"

#include "lib/deed.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { TICK_MS = 10, LEAVING_MS = 1, STACK_BYTES = 256 * 1024, END_MS = 500 };

static uint32_t word_now(void)
{
	return atomic_load_explicit(&sock.helper.word, memory_order_relaxed);
}

static void doze(uint32_t word)
{
	lock_leave();
	sys_futex(&sock.helper.word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, word, NULL);
	lock_take();
}

/* A tick, or shorter if another process wants a connection that we have; what its peer says to that does not ring here. */
static void tick(void)
{
	const struct timespec length = { .tv_nsec = (deed_wants(sock.vj) ? LEAVING_MS : TICK_MS) * (long)NS_PER_MS };
	struct pollfd pfd[2] = { { .fd = deed_fd(sock.vj), .events = POLLIN },
				 { .fd = sock.helper.kick.fd, .events = POLLIN } }; /* helper_stop() */
	struct timespec left = length;
	uint32_t word = word_now();

	lock_leave();
	if (pfd[0].fd >= 0)
		sys_ppoll(pfd, ARRAY_SIZE(pfd), &left, NULL);
	else
		sys_futex(&sock.helper.word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, word, &length);
	lock_take();
	kick_drain(&sock.helper.kick);
}

static void word_ring(void)
{
	atomic_fetch_add_explicit(&sock.helper.word, 1, memory_order_relaxed);
	sys_futex(&sock.helper.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL);
}

static void state_set(enum helper_state state)
{
	sock.helper.state = state;
	sleeping_update();
}

void helper_active(void)
{
	if (sock.leader == &sock.helper.sleeper) {
		sock.leader = NULL;
		vj_disarm(sock.vj);
		kick_send(&sock.helper.kick);
	} else if (sock.helper.state == HELPER_DEEP) {
		state_set(HELPER_TICK);
		word_ring();
	}
}

/*
 * A program thread leads. Timers may have been set since it went to sleep; then it is to look
 * again.
 */
static void sleep_deep(void)
{
	int64_t timeout_ns;

	if (!vj_arm(sock.vj, &timeout_ns) ||
	    deadline_after(sys_clock_ns(), timeout_ns) < sock.leader->wake_ns)
		kick_send(sock.leader->kick);
	state_set(HELPER_DEEP);
	doze(word_now());
}

/* Return: true: it was the bell or a timer, so the program is still away. */
static bool lead(void)
{
	struct pollfd pfd[2] = { { .fd = sock.helper.kick.fd, .events = POLLIN },
				 { .fd = vj_fd(sock.vj), .events = POLLIN } };
	struct timespec ts;
	int64_t timeout_ns;
	bool led;

	deed_let_go(sock.vj);
	if (deed_is_called(sock.vj) || !vj_arm(sock.vj, &timeout_ns))
		return true;
	state_set(HELPER_LEAD);
	sock.leader = &sock.helper.sleeper;
	sock.leader->wake_ns = deadline_after(sys_clock_ns(), timeout_ns);
	ts = (struct timespec){ .tv_sec = timeout_ns / 1000000000,
				.tv_nsec = timeout_ns % 1000000000 };
	lock_drop();
	sys_ppoll(pfd, 2, timeout_ns < 0 ? NULL : &ts, NULL);
	lock_take();
	kick_drain(&sock.helper.kick);
	state_set(HELPER_TICK);
	led = sock.leader == &sock.helper.sleeper;
	if (led) {
		sock.leader = NULL;
		if (sock.vj)
			vj_disarm(sock.vj);
	}
	return led;
}

static bool goes_on(void)
{
	return sock.vj && !sock.helper.ends;
}

static void *helper_main(void *arg)
{
	uint64_t seen = 0;
	bool away = false;

	(void)arg;
	sock.helper.tid = (int)SYS_CALL0(SYS_gettid);
	atomic_store(&sock.helper.begun, true);
	SYS_CALL5(SYS_prctl, PR_SET_NAME, "vj-helper", 0, 0, 0);
	lock_take();
	while (goes_on()) {
		if (away)
			ctx_process(); /* what rang */
		else
			tick();
		if (!goes_on())
			break;
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
		if (sock.calls != seen && !away && !deed_wants(sock.vj)) {
			seen = sock.calls;
			continue;
		}
		if (sock.leader) {
			sleep_deep();
			away = false;
			continue;
		}
		ctx_process();
		if (sock.vj)
			deed_let_go(sock.vj); /* we have the lock, so no call is under way but those that wait */
		/* who waits in a queue that others have, too, does not ring again */
		away = sock.vj && !vj_unfinished(sock.vj) && !listeners_ready() && lead();
		seen = sock.calls;
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

	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the program's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, helper_main, NULL);
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
	sock.helper.sleeper = (struct sleeper){ .kick = &sock.helper.kick };
	state_set(HELPER_TICK);
	atomic_store(&sock.helper.begun, false);
	err = thread_start();
	if (err)
		state_set(HELPER_NONE);
	return err;
}

void helper_stop(void)
{
	if (sock.helper.state == HELPER_NONE)
		return;
	kick_send(&sock.helper.kick);
	word_ring();
}

/* Gone for libc, too, which forgets a thread before the kernel does: so setuid() no longer has it do the same. */
static void wait_gone(void)
{
	static const struct timespec moment = { .tv_nsec = (long)NS_PER_MS };

	lock_drop();
	for (unsigned tries = 0; tries < END_MS; tries++) {
		if (atomic_load(&sock.helper.begun) && SYS_CALL3(SYS_tgkill, ker_getpid(), sock.helper.tid, 0) < 0)
			break;
		nanosleep(&moment, NULL);
	}
	lock_take();
}

bool helper_is_only(void)
{
	nlink_t threads = sock.helper.state == HELPER_NONE ? 1 : 2;
	struct stat st = { .st_nlink = 0 };

	return !SYS_CALL4(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &st, 0) && st.st_nlink == 2 + threads; /* . and .. */
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
