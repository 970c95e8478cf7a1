// SPDX-License-Identifier: BSD-2-Clause
/*
 * fork.c - fork() and daemon()
 *
 * A child of fork() has copies of the parent's descriptors. Its connections are away (away.c): they come when the child
 * uses them. Listening sockets it shares with the parent, if it waits on them; it and new sockets get a context of the
 * child's own.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/exit.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork.h"
#include "sock/fork_server.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/undo.h"

#include "lib/board.h"
#include "lib/own_fd.h"
#include "lib/pause.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- what the child has of the parent's -------------------------------------------------------------------------- */

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

/* ---- fork() ------------------------------------------------------------------------------------------------------ */

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
		fork_server_prepare();
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
	sock.helper.first_ended_ns = 0;
	sock.helper.on_bell = false;
	kicks_forked();
	if (unlikely(fork_any_time))
		sock.ended = NULL;
	fork_any_time = false;
	ended_put();
	board_let_go(&sock.board);
	fork_server_child(attached);
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

VJ_EARLY void fork_init(void)
{
	__register_atfork(fork_prepare, fork_parent, fork_child, NULL);
}

/* ---- daemon() ---------------------------------------------------------------------------------------------------- */

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
