/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the kernel's side of every call that the preload interposes
 *
 * channel/sys.h holds what the whole library needs; here is the rest of the sockets API. Same
 * convention: negative errno, `errno` untouched.
 *
 * Calls that may block are cancellation points in POSIX (pthread_cancel(3)). KER_BLOCKING() keeps
 * them so the way libc does it: asynchronous cancellation for the length of the system call, and
 * only if there is a second thread of the program's. KER_POINT() is the same for a plain system call, on whose way to the
 * kernel nothing else is to be done: what isn't needed by most is out of line. Where the caller has something to undo (undo.h), that is done.
 *
 * Whatever else is called must be none: the lock may be held. Of libc's own functions tests/tidy knows those that are.
 */
#ifndef SOCK_KERNEL_H
#define SOCK_KERNEL_H

#include "base/types.h"
#include "channel/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>
#include <sys/uio.h>

/*
 * The helper is the only thread beside the program's first, which nobody cancels but itself: pthread_create() and pthread_cancel() of the program end that, and
 * timer_create() and mq_notify() that ask for threads (preload/thread.c). Not seen are those of getaddrinfo_a() and of aio(7), where they call a function of the program's.
 */
extern _Atomic bool ker_helper_only;

static inline bool ker_is_alone(void)
{
	return likely(atomic_load_explicit(&ker_helper_only, memory_order_relaxed)) || __libc_single_threaded;
}

#define KER_BLOCKING(call)                                                              \
	({                                                                              \
		long ker_ret_;                                                          \
		if (ker_is_alone()) {                                                   \
			ker_ret_ = (long)(call);                                        \
		} else {                                                                \
			int ker_type_;                                                  \
			pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &ker_type_); \
			ker_ret_ = (long)(call);                                        \
			pthread_setcanceltype(ker_type_, NULL);                         \
		}                                                                       \
		ker_ret_;                                                               \
	})

/* A cancellation point, where there are threads */
long ker_point(long nr, long a, long b, long c, long d, long e, long f);

#define KER_POINT(nr, a, b, c, d, e, f) \
	(ker_is_alone() ? SYS_CALL6(nr, a, b, c, d, e, f) : ker_point(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))

static inline long ker_read(int fd, void *buf, size_t n)
{
	return KER_POINT(SYS_read, fd, buf, n, 0, 0, 0);
}

static inline long ker_write(int fd, const void *buf, size_t n)
{
	return KER_POINT(SYS_write, fd, buf, n, 0, 0, 0);
}

static inline long ker_readv(int fd, const struct iovec *iov, int cnt)
{
	return KER_POINT(SYS_readv, fd, iov, cnt, 0, 0, 0);
}

static inline long ker_writev(int fd, const struct iovec *iov, int cnt)
{
	return KER_POINT(SYS_writev, fd, iov, cnt, 0, 0, 0);
}

/* RWF_HIPRI, DSYNC, SYNC, NOWAIT, APPEND: what sockets take, in vain but for NOWAIT */
#define RWF_KNOWN 0x1f

static inline long ker_preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	return KER_POINT(SYS_preadv2, fd, iov, cnt, off, 0, flags);
}

static inline long ker_pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	return KER_POINT(SYS_pwritev2, fd, iov, cnt, off, 0, flags);
}

static inline long ker_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
				socklen_t *len)
{
	return KER_POINT(SYS_recvfrom, fd, buf, n, flags, addr, len);
}

static inline long ker_sendto(int fd, const void *buf, size_t n, int flags,
			      const struct sockaddr *addr, socklen_t len)
{
	return KER_POINT(SYS_sendto, fd, buf, n, flags, addr, len);
}

static inline long ker_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return KER_POINT(SYS_recvmsg, fd, msg, flags, 0, 0, 0);
}

static inline long ker_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return KER_POINT(SYS_sendmsg, fd, msg, flags, 0, 0, 0);
}

static inline long ker_recvmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags,
				struct timespec *timeout)
{
	return KER_POINT(SYS_recvmmsg, fd, msgs, cnt, flags, timeout, 0);
}

static inline long ker_sendmmsg(int fd, struct mmsghdr *msgs, unsigned cnt, int flags)
{
	return KER_POINT(SYS_sendmmsg, fd, msgs, cnt, flags, 0, 0);
}

static inline long ker_sendfile(int out_fd, int in_fd, off_t *off, size_t n)
{
	return KER_POINT(SYS_sendfile, out_fd, in_fd, off, n, 0, 0);
}

static inline long ker_splice(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t n,
			      unsigned flags)
{
	return KER_POINT(SYS_splice, in_fd, in_off, out_fd, out_off, n, flags);
}

static inline long ker_pread(int fd, void *buf, size_t n, off_t off)
{
	return SYS_CALL4(SYS_pread64, fd, buf, n, off);
}

static inline long ker_lseek(int fd, off_t off, int whence)
{
	return SYS_CALL3(SYS_lseek, fd, off, whence);
}

static inline int ker_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)KER_POINT(SYS_connect, fd, addr, len, 0, 0, 0);
}

static inline int ker_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return (int)KER_POINT(SYS_accept4, fd, addr, len, flags, 0, 0);
}

static inline int ker_ioctl(int fd, unsigned long req, long arg)
{
	return (int)SYS_CALL3(SYS_ioctl, fd, req, arg);
}

static inline int ker_dup(int fd)
{
	return (int)SYS_CALL1(SYS_dup, fd);
}

static inline int ker_dup3(int fd, int fd2, int flags)
{
	return (int)SYS_CALL3(SYS_dup3, fd, fd2, flags);
}

static inline int ker_close_range(unsigned first, unsigned last, int flags)
{
	return (int)SYS_CALL3(SYS_close_range, first, last, flags);
}

static inline struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static inline int ker_ppoll(struct pollfd *fds, nfds_t n, struct timespec *timeout,
			    const sigset_t *mask)
{
	return (int)KER_POINT(SYS_ppoll, fds, n, timeout, mask, SYS_SIGSET_BYTES, 0);
}

static inline int ker_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
#ifdef SYS_poll /* not on newer architectures */
	return (int)KER_POINT(SYS_poll, fds, n, timeout_ms, 0, 0, 0);
#else
	struct timespec ts = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };

	return ker_ppoll(fds, n, timeout_ms < 0 ? NULL : &ts, NULL);
#endif
}

struct ker_mask {
	const sigset_t *mask;
	size_t bytes;
};

static inline int ker_pselect(int n, fd_set *r, fd_set *w, fd_set *x, struct timespec *timeout,
			      const sigset_t *mask)
{
	struct ker_mask arg = { mask, SYS_SIGSET_BYTES };

	return (int)KER_POINT(SYS_pselect6, n, r, w, x, timeout, &arg);
}

/* epoll_pwait2() isn't there: it is not asked again, as valgrind says each time that it doesn't know it */
extern _Atomic bool ker_no_pwait2;

/*
 * epoll_wait() by @call. `timeout_ns` negative: for ever. epoll_pwait() where it can say it: the other has the time copied, and isn't
 * there under valgrind.
 */
static inline int ker_epoll_by(long (*call)(long nr, long a, long b, long c, long d, long e, long f), int epfd, struct epoll_event *ev, int max,
			       int64_t timeout_ns, const sigset_t *mask)
{
	struct timespec ts = timespec_of(timeout_ns);
	int64_t ms = timeout_ns / 1000000;
	int n = -ENOSYS;

	if (timeout_ns < 0)
		return (int)call(SYS_epoll_pwait, epfd, (long)ev, max, -1, (long)mask, SYS_SIGSET_BYTES);
	if (ms * 1000000 == timeout_ns && ms <= INT32_MAX)
		return (int)call(SYS_epoll_pwait, epfd, (long)ev, max, ms, (long)mask, SYS_SIGSET_BYTES);
	if (likely(!atomic_load_explicit(&ker_no_pwait2, memory_order_relaxed)))
		n = (int)call(SYS_epoll_pwait2, epfd, (long)ev, max, (long)&ts, (long)mask, SYS_SIGSET_BYTES);
	if (likely(n != -ENOSYS))
		return n;
	atomic_store_explicit(&ker_no_pwait2, true, memory_order_relaxed);
	return (int)call(SYS_epoll_pwait, epfd, (long)ev, max, min_s64(ms + 1, INT32_MAX), (long)mask, SYS_SIGSET_BYTES);
}

static inline int ker_epoll_wait(int epfd, struct epoll_event *ev, int max, int64_t timeout_ns,
				 const sigset_t *mask)
{
	return ker_epoll_by(ker_point, epfd, ev, max, timeout_ns, mask);
}

enum { KER_TICK_NS = 10000000 }; /* or less */

/* Of the monotonic clock a time not before this one, nor two ticks after it, for a fifth of what it takes to read: for who comes to use it rarely */
static inline uint64_t ker_clock_late_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec + KER_TICK_NS;
}

static inline int ker_getpid(void)
{
	return (int)SYS_CALL0(SYS_getpid);
}

/* As the kernel raises it: to the thread that wrote. */
static inline void ker_raise(int sig)
{
	SYS_CALL3(SYS_tgkill, ker_getpid(), SYS_CALL0(SYS_gettid), sig);
}

_Noreturn static inline void ker_exit_group(int status)
{
	for (;;)
		SYS_CALL1(SYS_exit_group, status);
}

/*
 * EFAULT, for the wild pointer that programs really pass: NULL, and what lies a little beyond it. Any other that the kernel would refuse is
 * used in this process, and ends it by SIGSEGV, unless a handler jumps (undo.c): to tell them before is a system call for each transfer, and to survive
 * the fault is a handler in place of the program's own.
 */
static inline bool is_wild(const void *p)
{
	return unlikely((uintptr_t)p < 4096);
}

/* Return: -1 */
long errno_set(long r);

/* A result as libc returns it. */
static inline long ret_errno(long r)
{
	return likely(r >= 0) ? r : errno_set(r);
}

#endif
