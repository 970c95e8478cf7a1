// SPDX-License-Identifier: BSD-2-Clause
/*
 * life.c - fork and exit
 *
 * A child of fork() has copies of the parent's descriptors. Its connections are away (away.c): they come when the child
 * uses them. Listening sockets it shares with the parent, if it waits on them; it and new sockets get a context of the
 * child's own.
 *
 * At exit, connections are closed in order: what was written goes out before the process is gone,
 * as with the kernel.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/board.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/forks.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/life.h"
#include "sock/queue.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/undo.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/pause.h"
#include "lib/wait.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { EXIT_LOCK_MS = 200, EXIT_DRAIN_MS = 2000 };

/* What a child doesn't write is no page that it has to copy. */
VJ_EARLY static void bury_fd(int *fd)
{
	if (*fd < 0)
		return;
	own_fd_close(*fd);
	*fd = -1;
}

VJ_EARLY static void sock_bury(struct sock *s)
{
	if (sock_is_conn(s))
		away_forked(s);
	if (s->state == SOCK_UDP)
		dgram_inherited(s);
	listener_forget(s);
	bury_fd(&s->lease_fd);
	bury_fd(&s->option_fd);
}

/* Watches of threads that wait; in a child of fork() those threads do not exist. */
VJ_EARLY static void forget_sleepers(struct file *f)
{
	for (struct watch *w = f->watches, *next; w; w = next) {
		next = w->next;
		if (!w->set)
			watch_unlink(w);
	}
}

VJ_EARLY void layer_bury(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK)
			sock_bury(sock_of(f));
	}
}

/* ---- fork ------------------------------------------------------------------------------------------------------ */

static _Atomic uint64_t ignored VJ_NEAR; /* by signals_off(), and not set by the program since */
static __thread bool fork_locked __attribute__((tls_model("initial-exec")));
static __thread bool fork_any_time __attribute__((tls_model("initial-exec"))); /* by a handler, perhaps: malloc()'s lock may be taken, in the child for good */

VJ_EARLY static void fork_prepare(void)
{
	bool locked = !sock_inside && !caged; /* else fork() in a signal handler, inside one of our calls */

	if (locked) {
		lock_take();
		share_all();
		if (unlikely(sock.helper.state == HELPER_WATCH) && sock.vj) /* the child may want a connection */
			helper_watch();
		forks_prepare();
		dgrams_share();
	}
	if (!caged)
		family_forks();
	fork_locked = locked;
}

VJ_EARLY static void fork_parent(void)
{
	if (fork_locked) {
		sock.forks++;
		sock.took = false;
		calm_update();
		if (unlikely(fork_any_time))
			lock_drop();
		else
			lock_leave(); /* there are deeds to hear of now, or children to judge */
	}
	fork_any_time = false;
}

VJ_EARLY static void set_forget(struct epoll_set *set)
{
	set->kick = (struct kick){ .fd = -1 };
	set->inherited = set->fresh_watches = true;
	set->asleep = 0;
	atomic_store_explicit(&set->kernel_asleep, 0, memory_order_relaxed); /* who is here, and was asleep when a handler forked, finds no undo any more */
}

VJ_EARLY static void fork_child(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
	bool attached;

	sock.lock = unlocked; /* first, as what is written after it was read is two faults */
	sock_inside = false;
	if (unlikely(caged))
		return;
	attached = sock.vj != NULL;
	sock_undo = NULL; /* calls that a handler interrupted, which has forked: they end with EINTR */
	signal_forked();
	process_forked();
	signals_on();
	if (sock.vj && likely(!fork_any_time)) /* else its memory is never freed, and its descriptors are closed below */
		vj_forked(sock.vj);
	sock.vj = NULL;
	if (sock.refused != -ETIMEDOUT) /* it does not answer its children either */
		sock.detached = (struct pause){ 0 };
	sock.sleepers = sock.leader = NULL;
	sock.helper.state = HELPER_NONE;
	atomic_store_explicit(&sock.calm, 0, memory_order_relaxed);
	if (unlikely(atomic_load_explicit(&sock.inside, memory_order_relaxed)))
		recall_forked();
	sleeping_update();
	sock.helper.kick = (struct kick){ .fd = -1 };
	sock.helper.timer_fd = -1;
	sock.helper.on_bell = false;
	kicks_forked();
	if (unlikely(fork_any_time))
		sock.ended = NULL;
	fork_any_time = false;
	ended_put();
	board_let_go(&sock.board);
	forks_child(attached);
	family_child();
	layer_bury();
	dgrams_inherited();
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_INTERNAL) {
			own_fd_close(fd);
			continue;
		}
		forget_sleepers(f);
		if (f->kind == FILE_EPOLL)
			set_forget(set_of(f));
	}
	dgrams_kept();
	for (size_t i = 0; i < ARRAY_SIZE(sock.placeholder); i++)
		if (sock.placeholder[i] >= 0)
			sock.placeholder[i] = -1;
}

/* Tried again and again: ThreadSanitizer does not know pthread_mutex_clocklock(), by the monotonic clock. */
static bool lock_soon(void)
{
	if (sock_inside)
		return false;
	for (unsigned tries = 0; pthread_mutex_trylock(&sock.lock); tries++) {
		if (tries == EXIT_LOCK_MS)
			return false;
		sys_poll_ms(NULL, 0, 1);
	}
	sock_inside = true;
	return true;
}

/*
 * libc does not know that it is in a copy, and counts our thread among its own: setuid() has each of them do the same, leaves out those that are
 * not there, but waits for one that has just been made to begin.
 */
bool sock_fork_begin(void)
{
	if (!sock.pid || is_foreign())
		return false;
	while (sock.helper.state != HELPER_NONE && !atomic_load(&sock.helper.begun))
		sys_poll_ms(NULL, 0, 1);
	fork_prepare();
	return true;
}

/* Whoever has the lock may wait for what this thread has where a handler has interrupted it. */
bool sock_fork_begin_any_time(void)
{
	if (!sock.pid || is_foreign())
		return false;
	fork_locked = !caged && lock_soon();
	fork_any_time = true;
	if (!caged)
		family_forks();
	return true;
}

void sock_fork_end(bool is_child)
{
	if (is_child)
		fork_child();
	else
		fork_parent();
}

/*
 * What pthread_atfork() calls, which is a copy in each library, behind all of its code: a page that most processes would touch for that
 * alone. The last argument names the library whose unloading takes the handlers away; this one stays.
 */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);

VJ_EARLY void life_init(void)
{
	__register_atfork(fork_prepare, fork_parent, fork_child, NULL);
}

/* ---- exit ------------------------------------------------------------------------------------------------------ */

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
	if (!helper_is_only())
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
	forks_child_ends();
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

/* The table of descriptors grows now, where that is cheap: lib/own_fd.h */
void sock_before_thread(void)
{
	if (!caged && (!layer_began() || !is_foreign()))
		own_fd_first();
}

/* Return: 0; -1 and errno, as libc's daemon() */
static int null_as_standard(void)
{
	int fd = sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	struct stat st;

	if (fd < 0)
		return (int)ret_errno(fd);
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		sys_close(fd);
		return (int)ret_errno(-ENODEV);
	}
	for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
		sock_dup2(fd, standard);
	if (fd > STDERR_FILENO)
		sys_close(fd);
	return 0;
}

int sock_daemon(int keeps_directory, int keeps_standard)
{
	pid_t pid = __fork();

	if (pid < 0)
		return -1;
	if (pid)
		sock_exit(0);
	if (setsid() < 0)
		return -1;
	if (!keeps_directory)
		(void)!chdir("/");
	return keeps_standard ? 0 : null_as_standard();
}

__attribute__((destructor)) static void at_unload(void)
{
	forks_child_ends();
	if (!layer_began() || (!sock.stdio && !sock.vj) || is_foreign())
		return;
	if (sock.stdio)
		fflush(NULL); /* as libc is about to do, when the connections are closed */
	sock_flush_at_quick_exit();
}
