// SPDX-License-Identifier: BSD-2-Clause
/*
 * exit.c - the end of a process
 *
 * Connections are closed in order: what was written goes out before the process is gone, as with the kernel.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/board.h"
#include "sock/cage.h"
#include "sock/dgram.h"
#include "sock/exit.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork.h"
#include "sock/fork_server.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/queue.h"
#include "sock/signals.h"

#include "lib/deed.h"
#include "lib/wait.h"

#include <sched.h>
#include <stdio.h>

enum { EXIT_DRAIN_MS = 2000 };

/*
 * Now, as the connections may have something to say for a while. Threads that wait there are none of ours, and wait on; of clients that come from now on,
 * and of who has woken one just now, others hear, if there are copies.
 */
static void close_listener(int fd, struct sock *s)
{
	bool shared = s->copied && s->state == SOCK_LISTEN;

	if (shared) {
		queues_leave(s->lease_fd);
		queue_pass(fd);
	}
	sys_close(fd);
	if (shared)
		listener_close(s);
	else
		listener_proof_close(s);
}

static void close_connections(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = file_sock(fd_peek(fd));

		if (s && (s->state == SOCK_LISTEN || (s->copied && s->state < SOCK_LISTEN))) /* who waits there for accept() goes to the others, if there are */
			close_listener(fd, s);
		if (!s || !sock_is_conn(s))
			continue;
		if (s->token || deed_has(sock.vj, s->conn)) { /* whether others have copies shows when ours are closed */
			away_destroy(s);
			s->conn.v = 0;
		} else {
			vj_conn_close(sock.vj, s->conn);
		}
		s->state = SOCK_DEAD;
	}
	for (int fd = sock.orphaned ? fd_next(0) : -1; fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK && sock_of(f)->token && sock_of(f)->state == SOCK_DEAD)
			sys_close(fd);
	}
}

static _Atomic uint64_t ignored VJ_NEAR; /* by signals_off(), and not set by the program since */

#define SIGNAL_BIT(sig) (UINT64_C(1) << ((sig) - 1))

/* What others send to end a process */
#define ENDING                                                                                                                  \
	(SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGALRM) | SIGNAL_BIT(SIGUSR1) | \
	 SIGNAL_BIT(SIGUSR2) | SIGNAL_BIT(SIGVTALRM) | SIGNAL_BIT(SIGPROF))

/* Of @sigs, those that are @from become @to. Return: which these were */
static uint64_t signals_change(uint64_t sigs, void (*from)(int), void (*to)(int))
{
	struct kernel_action changed = { .handler = (uintptr_t)to }, act;

	for (int sig = 1; sig < 64; sig++)
		if ((sigs & SIGNAL_BIT(sig)) && (SYS_CALL4(SYS_rt_sigaction, sig, NULL, &act, SYS_SIGSET_BYTES) || act.handler != (uintptr_t)from ||
						 SYS_CALL4(SYS_rt_sigaction, sig, &changed, NULL, SYS_SIGSET_BYTES)))
			sigs &= ~SIGNAL_BIT(sig);
	return sigs;
}

VJ_EARLY void signals_on(void)
{
	uint64_t sigs = atomic_load_explicit(&ignored, memory_order_relaxed);

	if (unlikely(sigs))
		signals_change(sigs, SIG_IGN, SIG_DFL);
}

VJ_EARLY void signal_is_set(int sig)
{
	if (unlikely(atomic_load_explicit(&ignored, memory_order_relaxed)))
		atomic_fetch_and_explicit(&ignored, ~SIGNAL_BIT(sig), memory_order_relaxed);
}

/*
 * What ends a process that is about to end would take along what it still has to say, and its exit status: the kernel leaves no time for that. This
 * thread keeps all of it out, but not what the process does itself: libc may have something to write to a pipe that is closed. Other threads are none
 * of ours: what would end the process by way of them is ignored, until signals_on().
 */
static void signals_off(void)
{
	uint64_t mask = ~(SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) |
			  SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGABRT));

	SYS_CALL4(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, SYS_SIGSET_BYTES);
	if (!ker_is_alone() && !helper_is_only())
		atomic_store_explicit(&ignored, signals_change(ENDING, SIG_DFL, SIG_IGN), memory_order_relaxed);
}

VJ_EARLY void sock_flush_at_exit(void)
{
	struct vj *vj;

	if (!layer_began() || !sock.vj || is_foreign() || !lock_soon())
		return;
	vj = sock.vj;
	if (vj) {
		sock.exiting = true;
		signals_off();
		dgrams_yield();
		close_connections();
		deed_look(vj);
		deed_leave_all(vj, sock.strict, EXIT_DRAIN_MS);
		board_ended();
		vj_drain(vj, EXIT_DRAIN_MS);
		sock.vj = NULL;
		sock.leader = NULL;
		layer_bury();
		sock.past = vj;
		vj_leave(vj);
	}
	lock_drop();
}

/*
 * The process goes on for a while, and starts others perhaps, who are to have its signals as they were. What would have ended it meanwhile, and waits, is
 * forgotten, as what came to other threads is.
 */
VJ_EARLY void sock_flush_at_quick_exit(void)
{
	uint64_t mask = 0, waiting = 0;

	SYS_CALL4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, SYS_SIGSET_BYTES);
	sock_flush_at_exit();
	signals_on();
	SYS_CALL2(SYS_rt_sigpending, &waiting, SYS_SIGSET_BYTES);
	waiting &= ENDING & ~mask;
	if (unlikely(waiting))
		signals_change(signals_change(waiting, SIG_DFL, SIG_IGN), SIG_IGN, SIG_DFL);
	SYS_CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SYS_SIGSET_BYTES);
}

VJ_EARLY void sock_exit(int status)
{
	fork_server_child_ends();
	sock_flush_at_exit();
	ker_exit_group(status);
}

/* Where /proc isn't to be seen it is known of a process without a helper: the kernel refuses this of others. */
static bool is_alone_unseen(void)
{
	if (!sock.pid || is_foreign() || caged || helper_threads() > 0)
		return false;
	lock_take();
	helper_end();
	lock_leave();
	return !SYS_CALL1(SYS_unshare, CLONE_THREAD);
}

int sock_thread_ends(int status)
{
	if (helper_is_only() || is_alone_unseen())
		sock_exit(status);
	return status;
}

__attribute__((destructor)) static void at_unload(void)
{
	fork_server_child_ends();
	if (!layer_began() || (!sock.stdio && !sock.vj) || is_foreign())
		return;
	if (sock.stdio)
		fflush(NULL); /* as libc is about to do, when the connections are closed */
	sock_flush_at_quick_exit();
}
