// SPDX-License-Identifier: BSD-2-Clause
/*
 * System calls that nobody can interpose.
 *
 * Code that lives inside the preload must not call read(), close() or epoll_wait() by these names: the
 * preload defines them for the program, and the library's own descriptors would be looked up as if they
 * were the program's. What stands here goes to the kernel directly.
 *
 * Every function returns what the kernel returned, errors as negative errno, and leaves `errno` alone:
 * it belongs to the program that we live in.
 *
 * Memory mapping (mmap, munmap, madvise) and clock_gettime() are not interposed; libc's are used.
 */
#ifndef VJ_CHANNEL_SYS_H
#define VJ_CHANNEL_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the kernel's signal set; glibc's sigset_t is larger. */
#define SYS_SIGSET_BYTES 8

/* syscall() is interposed as well, so the instruction itself. */
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long d_reg __asm__("r10") = d;
	register long e_reg __asm__("r8") = e;
	register long f_reg __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(d_reg), "r"(e_reg), "r"(f_reg)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long nr_reg __asm__("x8") = nr;
	register long a_reg __asm__("x0") = a;
	register long b_reg __asm__("x1") = b;
	register long c_reg __asm__("x2") = c;
	register long d_reg __asm__("x3") = d;
	register long e_reg __asm__("x4") = e;
	register long f_reg __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(a_reg)
			 : "r"(nr_reg), "r"(b_reg), "r"(c_reg), "r"(d_reg), "r"(e_reg), "r"(f_reg)
			 : "memory");
	return a_reg;
#else
#error "this architecture's system call instruction is wanted here"
#endif
}

#define SYS_CALL0(nr) sys_call6(nr, 0, 0, 0, 0, 0, 0)
#define SYS_CALL1(nr, a) sys_call6(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS_CALL2(nr, a, b) sys_call6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS_CALL3(nr, a, b, c) sys_call6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS_CALL4(nr, a, b, c, d) sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS_CALL5(nr, a, b, c, d, e) \
	sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS_CALL6(nr, a, b, c, d, e, f) \
	sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Files. */

static inline int sys_close(int fd)
{
	return (int)SYS_CALL1(SYS_close, fd);
}

static inline int sys_openat(int dir_fd, const char *path, int flags, unsigned int mode)
{
	return (int)SYS_CALL4(SYS_openat, dir_fd, path, flags, mode);
}

static inline long sys_read(int fd, void *buf, size_t bytes)
{
	return SYS_CALL3(SYS_read, fd, buf, bytes);
}

static inline long sys_write(int fd, const void *buf, size_t bytes)
{
	return SYS_CALL3(SYS_write, fd, buf, bytes);
}

static inline long sys_pread(int fd, void *buf, size_t bytes, uint64_t offset)
{
	return SYS_CALL4(SYS_pread64, fd, buf, bytes, offset);
}

static inline long sys_pwrite(int fd, const void *buf, size_t bytes, uint64_t offset)
{
	return SYS_CALL4(SYS_pwrite64, fd, buf, bytes, offset);
}

static inline int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)SYS_CALL3(SYS_fcntl, fd, cmd, arg);
}

static inline int sys_ftruncate(int fd, uint64_t bytes)
{
	return (int)SYS_CALL2(SYS_ftruncate, fd, bytes);
}

/* glibc's struct stat is the kernel's on every 64-bit machine that we build for. */
static inline int sys_fstat(int fd, struct stat *ret_stat)
{
	return (int)SYS_CALL2(SYS_fstat, fd, ret_stat);
}

static inline int sys_stat(const char *path, struct stat *ret_stat)
{
	return (int)SYS_CALL4(SYS_newfstatat, AT_FDCWD, path, ret_stat, 0);
}

static inline int sys_access(const char *path, int mode)
{
	return (int)SYS_CALL3(SYS_faccessat, AT_FDCWD, path, mode);
}

/* Nothing ends the text. */
static inline long sys_readlink(const char *path, char *ret_text, size_t room)
{
	return SYS_CALL4(SYS_readlinkat, AT_FDCWD, path, ret_text, room);
}

/* Returns if it fails. */
static inline int sys_execve(const char *path, char *const *argv, char *const *env)
{
	return (int)SYS_CALL3(SYS_execve, path, argv, env);
}

/* Not libc's, which is a cancellation point. Return: false: there is none to be had */
static inline bool sys_random(void *ret_bytes, size_t bytes)
{
	return SYS_CALL3(SYS_getrandom, ret_bytes, bytes, 0) == (long)bytes;
}

static inline int sys_memfd_create(const char *name, unsigned int flags)
{
	return (int)SYS_CALL2(SYS_memfd_create, name, flags);
}

/* Waiting. */

static inline int sys_eventfd(unsigned int initial, int flags)
{
	return (int)SYS_CALL2(SYS_eventfd2, initial, flags);
}

static inline int sys_epoll_create(int flags)
{
	return (int)SYS_CALL1(SYS_epoll_create1, flags);
}

static inline int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return (int)SYS_CALL4(SYS_epoll_ctl, epfd, op, fd, event);
}

static inline int sys_epoll_pwait(int epfd, struct epoll_event *ret_events, int max, int timeout_ms,
				  const sigset_t *mask)
{
	return (int)SYS_CALL6(SYS_epoll_pwait, epfd, ret_events, max, timeout_ms, mask,
			      SYS_SIGSET_BYTES);
}

/* `timeout` NULL waits for ever; the kernel writes back what was left of it. */
static inline int sys_ppoll(struct pollfd *fds, unsigned long fd_cnt, struct timespec *timeout,
			    const sigset_t *mask)
{
	return (int)SYS_CALL5(SYS_ppoll, fds, fd_cnt, timeout, mask, SYS_SIGSET_BYTES);
}

static inline int sys_poll_ms(struct pollfd *fds, unsigned long fd_cnt, int timeout_ms)
{
	struct timespec ts = { .tv_sec = timeout_ms / 1000,
			       .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };

	return sys_ppoll(fds, fd_cnt, timeout_ms < 0 ? NULL : &ts, NULL);
}

/* `op` is FUTEX_WAIT, FUTEX_WAKE and so on of <linux/futex.h>, with FUTEX_PRIVATE_FLAG where it fits. */
static inline int sys_futex(const void *word, int op, uint32_t val, const struct timespec *timeout)
{
	return (int)SYS_CALL6(SYS_futex, word, op, val, timeout, 0, 0);
}

static inline int sys_timerfd_create(int clock, int flags)
{
	return (int)SYS_CALL2(SYS_timerfd_create, clock, flags);
}

static inline int sys_timerfd_settime(int fd, int flags, const struct itimerspec *value)
{
	return (int)SYS_CALL4(SYS_timerfd_settime, fd, flags, value, NULL);
}

/* Sockets: for the control socket. */

static inline int sys_socket(int domain, int type, int protocol)
{
	return (int)SYS_CALL3(SYS_socket, domain, type, protocol);
}

static inline int sys_socketpair(int domain, int type, int protocol, int ret_fds[2])
{
	return (int)SYS_CALL4(SYS_socketpair, domain, type, protocol, ret_fds);
}

static inline int sys_connect(int fd, const struct sockaddr *addr, socklen_t addr_bytes)
{
	return (int)SYS_CALL3(SYS_connect, fd, addr, addr_bytes);
}

static inline int sys_bind(int fd, const struct sockaddr *addr, socklen_t addr_bytes)
{
	return (int)SYS_CALL3(SYS_bind, fd, addr, addr_bytes);
}

static inline int sys_listen(int fd, int backlog)
{
	return (int)SYS_CALL2(SYS_listen, fd, backlog);
}

static inline int sys_accept4(int fd, struct sockaddr *ret_addr, socklen_t *addr_bytes, int flags)
{
	return (int)SYS_CALL4(SYS_accept4, fd, ret_addr, addr_bytes, flags);
}

static inline int sys_shutdown(int fd, int how)
{
	return (int)SYS_CALL2(SYS_shutdown, fd, how);
}

static inline long sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return SYS_CALL3(SYS_sendmsg, fd, msg, flags);
}

static inline long sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return SYS_CALL3(SYS_recvmsg, fd, msg, flags);
}

static inline long sys_sendto(int fd, const void *buf, size_t bytes, int flags, const struct sockaddr *addr,
			      socklen_t addr_bytes)
{
	return SYS_CALL6(SYS_sendto, fd, buf, bytes, flags, addr, addr_bytes);
}

static inline long sys_recvfrom(int fd, void *buf, size_t bytes, int flags, struct sockaddr *ret_addr,
				socklen_t *addr_bytes)
{
	return SYS_CALL6(SYS_recvfrom, fd, buf, bytes, flags, ret_addr, addr_bytes);
}

static inline int sys_getsockname(int fd, struct sockaddr *ret_addr, socklen_t *addr_bytes)
{
	return (int)SYS_CALL3(SYS_getsockname, fd, ret_addr, addr_bytes);
}

static inline int sys_getpeername(int fd, struct sockaddr *ret_addr, socklen_t *addr_bytes)
{
	return (int)SYS_CALL3(SYS_getpeername, fd, ret_addr, addr_bytes);
}

static inline int sys_getsockopt(int fd, int level, int name, void *ret_value, socklen_t *bytes)
{
	return (int)SYS_CALL5(SYS_getsockopt, fd, level, name, ret_value, bytes);
}

static inline int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
	return (int)SYS_CALL5(SYS_setsockopt, fd, level, name, value, bytes);
}

/* CLOCK_MONOTONIC through the vDSO: no system call. */
static inline uint64_t sys_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

#endif
