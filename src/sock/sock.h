/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sock.h - the sockets API over network channels
 *
 * Every function here has the prototype, the return values and the errno of the libc function that
 * its name ends in; its manual page is the contract. What is a stream socket that ended up on a
 * channel is served by libvj, everything else goes to the kernel unchanged. The preload library
 * exports these under libc's names; a program may also call them by these names, then for all
 * operations on a descriptor that sock_socket() or sock_epoll_create() made.
 *
 * Threads: all functions may be called from any thread. From a signal handler, what POSIX allows there is allowed, on all
 * descriptors; a handler that was not installed by one of signal.c's functions and interrupts one of these here
 * gets ENOTCONN on channel sockets.
 */
#ifndef SOCK_SOCK_H
#define SOCK_SOCK_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* ---- stream.c, accept.c: a socket's life */
int sock_socket(int domain, int type, int protocol);
int sock_bind(int fd, const struct sockaddr *addr, socklen_t len);
/* libc has bound it, unheard. Return: as bind() */
int sock_bound(int fd);
int sock_listen(int fd, int backlog);
int sock_accept(int fd, struct sockaddr *addr, socklen_t *len);
int sock_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int sock_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sock_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int sock_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int sock_shutdown(int fd, int how);

/* ---- fd.c: descriptors */
int sock_close(int fd);
int sock_close_range(unsigned first, unsigned last, int flags);
int sock_dup(int fd);
int sock_dup2(int fd, int fd2);
int sock_dup3(int fd, int fd2, int flags);
/* the third argument of fcntl() and ioctl(), pointer or number */
int sock_fcntl(int fd, int cmd, long arg);
int sock_ioctl(int fd, unsigned long req, long arg);

/* ---- recv.c */
ssize_t sock_read(int fd, void *buf, size_t n);
ssize_t sock_readv(int fd, const struct iovec *iov, int cnt);
ssize_t sock_preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags);
ssize_t sock_recv(int fd, void *buf, size_t n, int flags);
ssize_t sock_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
		      socklen_t *len);
ssize_t sock_recvmsg(int fd, struct msghdr *msg, int flags);
int sock_recvmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags, struct timespec *timeout);

/* ---- send.c */
ssize_t sock_write(int fd, const void *buf, size_t n);
ssize_t sock_writev(int fd, const struct iovec *iov, int cnt);
ssize_t sock_pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags);
ssize_t sock_send(int fd, const void *buf, size_t n, int flags);
ssize_t sock_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		    socklen_t len);
ssize_t sock_sendmsg(int fd, const struct msghdr *msg, int flags);
int sock_sendmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags);

/* ---- splice.c */
ssize_t sock_sendfile(int out_fd, int in_fd, off_t *off, size_t n);
ssize_t sock_splice(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t n, unsigned flags);

/* ---- option.c, option_get.c */
int sock_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int sock_setsockopt(int fd, int level, int name, const void *val, socklen_t len);

/* ---- poll.c */
int sock_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int sock_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int sock_select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout);
int sock_pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
		 const sigset_t *mask);

/* ---- epoll.c */
int sock_epoll_create(int size);
int sock_epoll_create1(int flags);
int sock_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int sock_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms);
int sock_epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout_ms,
		     const sigset_t *mask);
int sock_epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
		      const sigset_t *mask);

/*
 * ---- syscall.c: syscall(2). What is no call of this layer is made as it is, with six arguments. exit_group() flushes; io_uring_setup()
 * fails with ENOSYS, unless $VJ_IO_URING is set.
 */
long sock_by_number(long nr, const long args[static 6]);
/* cage.c */
long sock_prctl(int op, const long args[static 4]);
/* single.c: capset(), and what of prctl() is like it: @nr with five arguments; unshare() and setns() */
long sock_of_thread(long nr, const long args[static 5]);
int sock_unshare(int flags);
int sock_setns(int fd, int kinds);
long sock_seccomp(const long args[static 3]);

/*
 * ---- io_uring.c: before liburing's struct io_uring at @liburings is submitted, and before the @cnt descriptors at @fds (-1: none) are registered with one.
 * Sockets among them become ones that the kernel's calls work on.
 */
void sock_before_ring_submit(const void *liburings);
void sock_before_ring_files(const int *fds, unsigned cnt);

/* ---- signal.c */
int sock_sigaction(int sig, const struct sigaction *act, struct sigaction *old);
sighandler_t sock_signal(int sig, sighandler_t handler);
sighandler_t sock_sysv_signal(int sig, sighandler_t handler);
sighandler_t sock_sigset(int sig, sighandler_t handler);
int sock_siginterrupt(int sig, int on);
int sock_sigaltstack(const stack_t *stack, stack_t *ret_old);

/* ---- undo.c: before longjmp() and its like, in any context. What this thread's calls have begun is undone. */
void sock_before_jump(void);

/*
 * ---- stdio.c: a stream over a channel socket, or NULL with errno 0 when @fd is none (libc's
 * fdopen() is right then)
 */
FILE *sock_fdopen(int fd, const char *mode);
/* dprintf(3); @checked: for %n, as __dprintf_chk() has it. Return: bytes, or -1; SOCK_NOT_OURS: libc's own is right, and @ap as it was. */
enum { SOCK_NOT_OURS = -2 };
int sock_vdprintf(int fd, int checked, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

/* ---- away.c: before another program takes the process; whether it then does or not */
void sock_before_exec(char *const envp[]);
/* ... but it could not be had: the process goes on as it is. errno stays. */
void sock_exec_failed(void);
/* ... which is this one */
int sock_execveat(int dir_fd, const char *path, char *const argv[], char *const envp[], int flags);
/*
 * ---- exec_env.c: what a program is given in place of @envp: without our library where that is not to be had. In any context.
 * Return: bytes of room that it takes; 0: it is given @envp
 */
size_t sock_exec_env_room(char *const envp[]);
char *const *sock_exec_env(char *const envp[], void *room);
/* The room is the calling function's. */
#define SOCK_EXEC_ENV(envp)                                                                \
	({                                                                                 \
		size_t room_ = sock_exec_env_room(envp);                                   \
		room_ ? sock_exec_env(envp, __builtin_alloca(room_)) : (char *const *)(envp); \
	})
/* Before vfork() */
void sock_before_vfork(void);
/* Before posix_spawn(), which gives it this environment */
void sock_before_spawn_of(char *const envp[]);

/* libc's fork(), by the name of it that is left: the other one is preload/real.c's */
extern pid_t __fork(void);

/* ---- process.c: before pthread_create() by a process without threads */
void sock_before_thread(void);
/* kernel.c: before a thread is begun, or cancelled, by a process that may have none but this one so far */
void sock_has_threads(void);
/* This thread is about to end by pthread_exit(). If it is the program's first: the last one ends the process. */
void sock_before_thread_exit(void);
/* cancel.c: before another thread is cancelled by @cancel, which is libc's pthread_cancel() */
void sock_before_cancel(int (*cancel)(pthread_t thread));
/*
 * Has this process ever cancelled a thread? Then those of its calls that are cancellation points look whether theirs was: not all of them make a system call.
 * Relaxed: another thread may see it a call later.
 */
extern _Atomic bool sock_cancels;
void sock_test_cancel(void);
static inline void sock_point(void)
{
	if (__builtin_expect(atomic_load_explicit(&sock_cancels, memory_order_relaxed), 0))
		sock_test_cancel();
}

/* ---- away.c: others than this library are about to read or write it */
void sock_before_unseen(int fd);
void sock_before_io_submit(long cnt, void *list);
long sock_io_submit(unsigned long context, long cnt, void *list);

/* ---- process.c: before clone(), with these flags */
void sock_before_clone(unsigned long flags);
/* With one of these what it makes is no copy of the process, or the other one waits for it. */
#define CLONE_NO_FORK (CLONE_VM | CLONE_FILES | CLONE_VFORK)
/* ---- fork.c: around a call that copies the process, past libc's fork(). Return: false: this one has nothing that it concerns. Not async-signal-safe. */
bool sock_fork_begin(void);
/* The same, and async-signal-safe: connections that have not been in another process yet can't be used in the copy. */
bool sock_fork_begin_any_time(void);
void sock_fork_end(bool is_child);
/* exit.c: its first thread is about to end, and the kernel ends no more than that. Return: @status; not at all if no other thread of the program's is there */
int sock_thread_ends(int status);

/* ---- exit.c */
/*
 * Orderly end of every connection: FIN after what is queued, up to 2 s. For exit() and its
 * relatives.
 */
void sock_flush_at_exit(void);
/* The same, where handlers of the program's follow */
void sock_flush_at_quick_exit(void);
_Noreturn void sock_exit(int status);
/* fork.c: libc's ends the parent by a call of its own, which nobody can interpose: the connections that the child is to go on with would end with it. */
int sock_daemon(int keeps_directory, int keeps_standard);

#endif
