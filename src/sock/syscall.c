// SPDX-License-Identifier: BSD-2-Clause
/*
 * syscall.c - syscall(2): the calls of this layer by their numbers
 *
 * io_uring is said to be absent: what a ring does with descriptors is not seen here, and a connection on a channel would
 * not be one on it. Programs that use it by way of syscall() fall back to epoll, if they know how; liburing makes its own
 * system calls, and keeps its ring. $VJ_IO_URING is for a program whose ring has files only: to a ring, a connection on a channel
 * is the kernel's socket behind its descriptor, which isn't connected, and a socket that listens has the clients that the kernel has.
 */
#include "sock/env.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/recall.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>

/*
 * X(number, call): the arguments are a[0] to a[5], of type long. Kernel's calls take a sigset with its length behind, in
 * pselect6() both together.
 */
/* clang-format off */
#define FD(i) ((int)a[i])
#define P(i) ((void *)a[i])
#define CALLS(X)                                                                                       \
	X(SYS_socket, sock_socket(FD(0), FD(1), FD(2)))                                                \
	X(SYS_bind, sock_bind(FD(0), P(1), (socklen_t)a[2]))                                           \
	X(SYS_listen, sock_listen(FD(0), FD(1)))                                                       \
	X(SYS_accept, sock_accept(FD(0), P(1), P(2)))                                                  \
	X(SYS_accept4, sock_accept4(FD(0), P(1), P(2), FD(3)))                                         \
	X(SYS_connect, sock_connect(FD(0), P(1), (socklen_t)a[2]))                                     \
	X(SYS_getsockname, sock_getsockname(FD(0), P(1), P(2)))                                        \
	X(SYS_getpeername, sock_getpeername(FD(0), P(1), P(2)))                                        \
	X(SYS_shutdown, sock_shutdown(FD(0), FD(1)))                                                   \
	X(SYS_getsockopt, sock_getsockopt(FD(0), FD(1), FD(2), P(3), P(4)))                            \
	X(SYS_setsockopt, sock_setsockopt(FD(0), FD(1), FD(2), P(3), (socklen_t)a[4]))                 \
	X(SYS_close, sock_close(FD(0)))                                                                \
	X(SYS_close_range, sock_close_range((unsigned)a[0], (unsigned)a[1], FD(2)))                    \
	X(SYS_dup, sock_dup(FD(0)))                                                                    \
	X(SYS_dup3, sock_dup3(FD(0), FD(1), FD(2)))                                                    \
	X(SYS_fcntl, sock_fcntl(FD(0), FD(1), a[2]))                                                   \
	X(SYS_ioctl, sock_ioctl(FD(0), (unsigned long)a[1], a[2]))                                     \
	X(SYS_read, sock_read(FD(0), P(1), (size_t)a[2]))                                              \
	X(SYS_readv, sock_readv(FD(0), P(1), FD(2)))                                                   \
	X(SYS_preadv2, sock_preadv2(FD(0), P(1), FD(2), a[3], FD(5)))                                  \
	X(SYS_recvfrom, sock_recvfrom(FD(0), P(1), (size_t)a[2], FD(3), P(4), P(5)))                   \
	X(SYS_recvmsg, sock_recvmsg(FD(0), P(1), FD(2)))                                               \
	X(SYS_recvmmsg, sock_recvmmsg(FD(0), P(1), (unsigned)a[2], FD(3), P(4)))                       \
	X(SYS_write, sock_write(FD(0), P(1), (size_t)a[2]))                                            \
	X(SYS_writev, sock_writev(FD(0), P(1), FD(2)))                                                 \
	X(SYS_pwritev2, sock_pwritev2(FD(0), P(1), FD(2), a[3], FD(5)))                                \
	X(SYS_sendto, sock_sendto(FD(0), P(1), (size_t)a[2], FD(3), P(4), (socklen_t)a[5]))            \
	X(SYS_sendmsg, sock_sendmsg(FD(0), P(1), FD(2)))                                               \
	X(SYS_sendmmsg, sock_sendmmsg(FD(0), P(1), (unsigned)a[2], FD(3)))                             \
	X(SYS_sendfile, sock_sendfile(FD(0), FD(1), P(2), (size_t)a[3]))                               \
	X(SYS_splice, sock_splice(FD(0), P(1), FD(2), P(3), (size_t)a[4], (unsigned)a[5]))             \
	X(SYS_io_submit, sock_io_submit((unsigned long)a[0], a[1], P(2)))                              \
	X(SYS_ppoll, sock_ppoll(P(0), (nfds_t)a[1], P(2), P(3)))                                       \
	X(SYS_pselect6, sock_pselect(FD(0), P(1), P(2), P(3), P(4), a[5] ? *(const sigset_t **)a[5] : NULL)) \
	X(SYS_execve, sock_execveat(AT_FDCWD, P(0), P(1), P(2), 0))                                    \
	X(SYS_execveat, sock_execveat(FD(0), P(1), P(2), P(3), FD(4)))                                 \
	X(SYS_epoll_create1, sock_epoll_create1(FD(0)))                                                \
	X(SYS_epoll_ctl, sock_epoll_ctl(FD(0), FD(1), FD(2), P(3)))                                    \
	X(SYS_epoll_pwait, sock_epoll_pwait(FD(0), P(1), FD(2), FD(3), P(4)))                          \
	X(SYS_epoll_pwait2, sock_epoll_pwait2(FD(0), P(1), FD(2), P(3), P(4)))

/* ... and those that newer architectures have no more */
#ifdef SYS_poll
#define OLD_CALLS(X)                                                                                   \
	X(SYS_dup2, sock_dup2(FD(0), FD(1)))                                                           \
	X(SYS_poll, sock_poll(P(0), (nfds_t)a[1], FD(2)))                                              \
	X(SYS_select, sock_select(FD(0), P(1), P(2), P(3), P(4)))                                      \
	X(SYS_epoll_create, sock_epoll_create(FD(0)))                                                  \
	X(SYS_epoll_wait, sock_epoll_wait(FD(0), P(1), FD(2), FD(3)))
#else
#define OLD_CALLS(X)
#endif
/* clang-format on */

static VJ_COLD long io_uring_setup(const long a[static 2])
{
	static bool said; /* lock */

	if (env_is_on(ENV_IO_URING))
		return ret_errno(SYS_CALL6(SYS_io_uring_setup, a[0], a[1], 0, 0, 0, 0));
	if (!sock_inside) {
		lock_take();
		layer_init();
		if (!said)
			ctx_say("io_uring is said to be absent: a ring doesn't see channels. VJ_IO_URING=1 lets it through, for files");
		said = true;
		lock_leave();
	}
	return ret_errno(-ENOSYS);
}

/*
 * A copy of the process in namespaces of its own: vsftpd's and bubblewrap's way. It comes back here as from fork(). With a stack of its own,
 * or our memory, it does not; with our descriptors it would close ours, and where we wait for its end nobody else could have the lock: those are
 * left alone.
 */
static VJ_COLD long clone_by_number(const long a[static 6])
{
	long r;

	sock_before_clone((unsigned long)a[0]);
	if ((a[0] & CLONE_NO_FORK) || a[1] || !sock_fork_begin())
		return ret_errno(SYS_CALL6(SYS_clone, a[0], a[1], a[2], a[3], a[4], a[5]));
	r = SYS_CALL6(SYS_clone, a[0], 0, a[2], a[3], a[4], 0);
	sock_fork_end(!r);
	return ret_errno(r);
}

static VJ_COLD long clone3_by_number(const long a[static 2])
{
	const struct clone_args *args = P(0);
	long r;

	if (!is_wild(args) && (size_t)a[1] >= CLONE_ARGS_SIZE_VER0)
		sock_before_clone(args->flags);
	if (is_wild(args) || (size_t)a[1] < CLONE_ARGS_SIZE_VER0 || (args->flags & CLONE_NO_FORK) || args->stack || !sock_fork_begin())
		return ret_errno(SYS_CALL2(SYS_clone3, a[0], a[1]));
	r = SYS_CALL2(SYS_clone3, a[0], a[1]);
	sock_fork_end(!r);
	return ret_errno(r);
}

long sock_by_number(long nr, const long a[static 6])
{
	switch (nr) {
#define X(number, call) \
	case number:    \
		return call;
		CALLS(X)
		OLD_CALLS(X)
#undef X
	case SYS_exit_group:
		sock_exit((int)a[0]);
	case SYS_prctl:
		return sock_prctl((int)a[0], a + 1);
	case SYS_seccomp:
		return sock_seccomp(a);
	case SYS_capset:
		return sock_of_thread(nr, a);
	case SYS_unshare:
		return sock_unshare((int)a[0]);
	case SYS_setns:
		return sock_setns((int)a[0], (int)a[1]);
	case SYS_io_uring_setup:
		return io_uring_setup(a);
	case SYS_rt_sigprocmask:
		recall_thread_changed();
		return ret_errno(SYS_CALL4(nr, a[0], a[1], a[2], a[3]));
	case SYS_sigaltstack:
		return sock_sigaltstack((const stack_t *)a[0], (stack_t *)a[1]);
	case SYS_clone:
		return clone_by_number(a);
#ifdef SYS_fork
	case SYS_fork:
		return clone_by_number((long[6]){ SIGCHLD });
#endif
	case SYS_clone3:
		return clone3_by_number(a);
	default:
		return ret_errno(SYS_CALL6(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
	}
}
