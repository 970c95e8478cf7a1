// SPDX-License-Identifier: BSD-2-Clause
/*
 * preload.c - what libvj-preload.so interposes: one line per symbol, nothing else
 *
 * The names stand in preload.map too; tests/tidy compares the two. Of those here fdopen(), dprintf(), bindresvport() and quick_exit()
 * alone need libc's own function; for others see exec.c, jump.c, thread.c and real.c.
 *
 * libc renames some of these in its headers (64-bit files, fortify, C99 variants); the renaming is
 * switched off so that each line defines the symbol that it names.
 */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS

#include "preload/preload.h"

#include "base/types.h"
#include "sock/sock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off */

/* Where a thread that was cancelled ends, also if it wouldn't have to wait there */
#define POINT sock_point()

/* ---- a socket's life */
EXPORT int socket(int d, int t, int p) { return sock_socket(d, t, p); }
EXPORT int bind(int fd, const struct sockaddr *a, socklen_t l) { return sock_bind(fd, a, l); }
EXPORT int listen(int fd, int n) { return sock_listen(fd, n); }
EXPORT int accept(int fd, struct sockaddr *a, socklen_t *l) { POINT; return sock_accept(fd, a, l); }
EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *l, int f) { POINT; return sock_accept4(fd, a, l, f); }
EXPORT int connect(int fd, const struct sockaddr *a, socklen_t l) { POINT; return sock_connect(fd, a, l); }
EXPORT int getsockname(int fd, struct sockaddr *a, socklen_t *l) { return sock_getsockname(fd, a, l); }
EXPORT int getpeername(int fd, struct sockaddr *a, socklen_t *l) { return sock_getpeername(fd, a, l); }
EXPORT int shutdown(int fd, int how) { return sock_shutdown(fd, how); }
EXPORT int getsockopt(int fd, int l, int o, void *v, socklen_t *n) { return sock_getsockopt(fd, l, o, v, n); }
EXPORT int setsockopt(int fd, int l, int o, const void *v, socklen_t n) { return sock_setsockopt(fd, l, o, v, n); }

/* ---- descriptors */
EXPORT int close(int fd) { return sock_close(fd); }
EXPORT int close_range(unsigned a, unsigned b, int f) { return sock_close_range(a, b, f); }
EXPORT void closefrom(int fd) { sock_close_range(fd < 0 ? 0 : (unsigned)fd, ~0u, 0); }
EXPORT int dup(int fd) { return sock_dup(fd); }
EXPORT int dup2(int fd, int fd2) { return sock_dup2(fd, fd2); }
EXPORT int dup3(int fd, int fd2, int f) { return sock_dup3(fd, fd2, f); }

/* the third argument is absent, an int or a pointer: as libc does it, one word */
#define THIRD(last, word) va_list ap; va_start(ap, last); long word = va_arg(ap, long); va_end(ap)
EXPORT int fcntl(int fd, int cmd, ...) { THIRD(cmd, arg); return sock_fcntl(fd, cmd, arg); }
EXPORT int fcntl64(int fd, int cmd, ...) { THIRD(cmd, arg); return sock_fcntl(fd, cmd, arg); }
EXPORT int ioctl(int fd, unsigned long req, ...) { THIRD(req, arg); return sock_ioctl(fd, req, arg); }

/* ---- reading */
EXPORT VJ_DIRECT ssize_t read(int fd, void *b, size_t n) { POINT; return sock_read(fd, b, n); }
EXPORT ssize_t readv(int fd, const struct iovec *v, int n) { POINT; return sock_readv(fd, v, n); }
EXPORT ssize_t preadv2(int fd, const struct iovec *v, int n, off_t o, int f) { POINT; return sock_preadv2(fd, v, n, o, f); }
EXPORT ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t o, int f) { POINT; return sock_preadv2(fd, v, n, o, f); }
EXPORT VJ_DIRECT ssize_t recv(int fd, void *b, size_t n, int f) { POINT; return sock_recv(fd, b, n, f); }
EXPORT VJ_DIRECT ssize_t recvfrom(int fd, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l) { POINT; return sock_recvfrom(fd, b, n, f, a, l); }
EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int f) { POINT; return sock_recvmsg(fd, m, f); }
EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t) { POINT; return sock_recvmmsg(fd, m, n, f, t); }

/* ---- writing */
EXPORT VJ_DIRECT ssize_t write(int fd, const void *b, size_t n) { POINT; return sock_write(fd, b, n); }
EXPORT ssize_t writev(int fd, const struct iovec *v, int n) { POINT; return sock_writev(fd, v, n); }
EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t o, int f) { POINT; return sock_pwritev2(fd, v, n, o, f); }
EXPORT ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t o, int f) { POINT; return sock_pwritev2(fd, v, n, o, f); }
EXPORT VJ_DIRECT ssize_t send(int fd, const void *b, size_t n, int f) { POINT; return sock_send(fd, b, n, f); }
EXPORT VJ_DIRECT ssize_t sendto(int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l) { POINT; return sock_sendto(fd, b, n, f, a, l); }
EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int f) { POINT; return sock_sendmsg(fd, m, f); }
EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int f) { POINT; return sock_sendmmsg(fd, m, n, f); }
EXPORT VJ_DIRECT ssize_t sendfile(int out, int in, off_t *o, size_t n) { return sock_sendfile(out, in, o, n); }
EXPORT VJ_DIRECT ssize_t sendfile64(int out, int in, off64_t *o, size_t n) { return sock_sendfile(out, in, o, n); }
EXPORT ssize_t splice(int in, off64_t *io, int out, off64_t *oo, size_t n, unsigned f) { POINT; return sock_splice(in, io, out, oo, n, f); }

/* ---- waiting */
EXPORT int poll(struct pollfd *p, nfds_t n, int t) { POINT; return sock_poll(p, n, t); }
EXPORT int ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m) { POINT; return sock_ppoll(p, n, t, m); }
EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t) { POINT; return sock_select(n, r, w, x, t); }
EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *m) { POINT; return sock_pselect(n, r, w, x, t, m); }
EXPORT int epoll_create(int n) { return sock_epoll_create(n); }
EXPORT int epoll_create1(int f) { return sock_epoll_create1(f); }
EXPORT VJ_DIRECT int epoll_ctl(int e, int op, int fd, struct epoll_event *ev) { return sock_epoll_ctl(e, op, fd, ev); }
EXPORT VJ_DIRECT int epoll_wait(int e, struct epoll_event *ev, int n, int t) { POINT; return sock_epoll_wait(e, ev, n, t); }
EXPORT VJ_DIRECT int epoll_pwait(int e, struct epoll_event *ev, int n, int t, const sigset_t *m) { POINT; return sock_epoll_pwait(e, ev, n, t, m); }
EXPORT int epoll_pwait2(int e, struct epoll_event *ev, int n, const struct timespec *t, const sigset_t *m) { POINT; return sock_epoll_pwait2(e, ev, n, t, m); }

/* ---- all of these by number; six words follow, as libc takes them */
#define SIX(last, a) va_list ap; va_start(ap, last); long a[6]; for (int i = 0; i < 6; i++) a[i] = va_arg(ap, long); va_end(ap)
EXPORT long syscall(long nr, ...) { SIX(nr, a); return sock_by_number(nr, a); }

EXPORT int prctl(int op, ...) { va_list ap; va_start(ap, op); long a[4]; for (int i = 0; i < 4; i++) a[i] = va_arg(ap, long); va_end(ap); return (int)sock_prctl(op, a); }

/* ---- about one thread: libc's headers have no capset() */
EXPORT int capset(void *header, const void *data);
EXPORT int capset(void *header, const void *data) { return (int)sock_of_thread(SYS_capset, (long[5]){ (long)header, (long)data }); }
EXPORT int unshare(int flags) { return sock_unshare(flags); }
EXPORT int setns(int fd, int kinds) { return sock_setns(fd, kinds); }

/*
 * ---- what fortified programs call (gcc -D_FORTIFY_SOURCE): the size of the buffer is checked
 * first
 */
#define CHECK(n, room) do { if ((n) > (room)) abort(); } while (0)
EXPORT ssize_t __read_chk(int fd, void *b, size_t n, size_t room);
EXPORT ssize_t __read_chk(int fd, void *b, size_t n, size_t room) { POINT; CHECK(n, room); return sock_read(fd, b, n); }
EXPORT ssize_t __recv_chk(int fd, void *b, size_t n, size_t room, int f);
EXPORT ssize_t __recv_chk(int fd, void *b, size_t n, size_t room, int f) { POINT; CHECK(n, room); return sock_recv(fd, b, n, f); }
EXPORT ssize_t __recvfrom_chk(int fd, void *b, size_t n, size_t room, int f, struct sockaddr *a, socklen_t *l);
EXPORT ssize_t __recvfrom_chk(int fd, void *b, size_t n, size_t room, int f, struct sockaddr *a, socklen_t *l) { POINT; CHECK(n, room); return sock_recvfrom(fd, b, n, f, a, l); }
EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int t, size_t room);
EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int t, size_t room) { POINT; CHECK(n, room / sizeof(*p)); return sock_poll(p, n, t); }
EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m, size_t room);
EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m, size_t room) { POINT; CHECK(n, room / sizeof(*p)); return sock_ppoll(p, n, t, m); }

/* ---- second names that libc has for programs of before 2005, and for other libraries */
EXPORT ssize_t __read(int fd, void *b, size_t n);
EXPORT ssize_t __read(int fd, void *b, size_t n) { POINT; return sock_read(fd, b, n); }
EXPORT ssize_t __write(int fd, const void *b, size_t n);
EXPORT ssize_t __write(int fd, const void *b, size_t n) { POINT; return sock_write(fd, b, n); }
EXPORT ssize_t __send(int fd, const void *b, size_t n, int f);
EXPORT ssize_t __send(int fd, const void *b, size_t n, int f) { POINT; return sock_send(fd, b, n, f); }
EXPORT int __close(int fd);
EXPORT int __close(int fd) { return sock_close(fd); }
EXPORT int __connect(int fd, const struct sockaddr *a, socklen_t l);
EXPORT int __connect(int fd, const struct sockaddr *a, socklen_t l) { POINT; return sock_connect(fd, a, l); }
EXPORT int __dup2(int fd, int fd2);
EXPORT int __dup2(int fd, int fd2) { return sock_dup2(fd, fd2); }
EXPORT int __fcntl(int fd, int cmd, ...);
EXPORT int __fcntl(int fd, int cmd, ...) { THIRD(cmd, arg); return sock_fcntl(fd, cmd, arg); }
EXPORT int __poll(struct pollfd *p, nfds_t n, int t);
EXPORT int __poll(struct pollfd *p, nfds_t n, int t) { POINT; return sock_poll(p, n, t); }
EXPORT int __select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t);
EXPORT int __select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t) { POINT; return sock_select(n, r, w, x, t); }

/* ---- signal handlers: the calls above must know that one ran */
EXPORT int sigaction(int s, const struct sigaction *a, struct sigaction *o) { return sock_sigaction(s, a, o); }
EXPORT sighandler_t signal(int s, sighandler_t h) { return sock_signal(s, h); }
EXPORT sighandler_t bsd_signal(int s, sighandler_t h);
EXPORT sighandler_t bsd_signal(int s, sighandler_t h) { return sock_signal(s, h); }
EXPORT sighandler_t ssignal(int s, sighandler_t h) { return sock_signal(s, h); }
EXPORT int sigaltstack(const stack_t *s, stack_t *o) { return sock_sigaltstack(s, o); }
EXPORT sighandler_t sysv_signal(int s, sighandler_t h) { return sock_sysv_signal(s, h); }
EXPORT sighandler_t __sysv_signal(int s, sighandler_t h);
EXPORT sighandler_t __sysv_signal(int s, sighandler_t h) { return sock_sysv_signal(s, h); }
EXPORT sighandler_t sigset(int s, sighandler_t h) { return sock_sigset(s, h); }
EXPORT int siginterrupt(int s, int on) { return sock_siginterrupt(s, on); }

/* ---- the end */
EXPORT void _exit(int s) { sock_exit(s); }
EXPORT void _Exit(int s) { sock_exit(s); }
EXPORT int daemon(int d, int s) { return sock_daemon(d, s); }

/* clang-format on */

EXPORT void quick_exit(int status)
{
	void (*real)(int);

	*(void **)&real = dlsym(RTLD_NEXT, "quick_exit");
	sock_flush_at_quick_exit();
	if (real)
		real(status);
	sock_exit(status);
}

EXPORT int bindresvport(int fd, struct sockaddr_in *addr)
{
	int (*real)(int, struct sockaddr_in *);
	int r;

	*(void **)&real = dlsym(RTLD_NEXT, "bindresvport");
	r = real(fd, addr);
	return r ? r : sock_bound(fd);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	FILE *(*real)(int, const char *);
	FILE *stream = sock_fdopen(fd, mode);

	if (stream || errno)
		return stream;
	*(void **)&real = dlsym(RTLD_NEXT, "fdopen");
	return real(fd, mode);
}

#define DPRINTF(checked, name, real_args, ...)                          \
	int (*real)(__VA_ARGS__);                                       \
	int r = sock_vdprintf(fd, checked, fmt, ap);                    \
                                                                        \
	if (r != SOCK_NOT_OURS)                                         \
		return r;                                               \
	*(void **)&real = dlsym(RTLD_NEXT, name);                       \
	return real real_args

EXPORT int vdprintf(int fd, const char *fmt, va_list ap)
{
	DPRINTF(0, "vdprintf", (fd, fmt, ap), int, const char *, va_list);
}

EXPORT int __vdprintf_chk(int fd, int checked, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
EXPORT int __vdprintf_chk(int fd, int checked, const char *fmt, va_list ap)
{
	DPRINTF(checked, "__vdprintf_chk", (fd, checked, fmt, ap), int, int, const char *, va_list);
}

#define LISTED_INTO(last, call)      \
	va_list ap;                  \
	int r;                       \
                                     \
	va_start(ap, last);          \
	r = call;                    \
	va_end(ap);                  \
	return r

EXPORT int dprintf(int fd, const char *fmt, ...)
{
	LISTED_INTO(fmt, vdprintf(fd, fmt, ap));
}

EXPORT int __dprintf_chk(int fd, int checked, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
EXPORT int __dprintf_chk(int fd, int checked, const char *fmt, ...)
{
	LISTED_INTO(fmt, __vdprintf_chk(fd, checked, fmt, ap));
}
