// SPDX-License-Identifier: BSD-2-Clause
/*
 * async.c - O_ASYNC: signals of what happens on channels, as the kernel sends them for its own sockets
 *
 * Whom they go to, and which signal it is (fcntl(2): F_SETOWN, F_SETSIG), the kernel's socket below knows, that of its own for a connection whose number
 * is one of a placeholder that several share. The kernel never tells anything there, since nothing happens.
 *
 * What si_code says (POLL_IN and its like) only the kernel may say to another thread. So it is SI_SIGIO until a handler of the program's is called; who
 * waits for the signal by sigwaitinfo() or signalfd() sees that, and the descriptor and what is ready as ever.
 */
#include "sock/async.h"
#include "sock/ctx.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

/* Of @s, which has the number @fd; gives up the lock. As fcntl(), -errno */
static int owner_of(int fd, struct sock *s, int cmd, long arg)
{
	bool sets = cmd == F_SETOWN || cmd == F_SETSIG || cmd == F_SETOWN_EX;
	int r = option_fd(fd, s, sets);

	if (r >= 0)
		r = sys_fcntl(r, cmd, arg);
	lock_leave();
	return r;
}

int owner_fcntl(int fd, int cmd, long arg)
{
	struct sock *s = name_enter(fd);

	return s ? owner_of(fd, s, cmd, arg) : sys_fcntl(fd, cmd, arg);
}

/* As F_GETOWN has it */
static int owner_number(const struct f_owner_ex *ex)
{
	return ex->type == F_OWNER_PGRP ? -ex->pid : ex->pid;
}

int owner_get(int fd)
{
	struct f_owner_ex ex = { 0 };
	int r = owner_fcntl(fd, F_GETOWN_EX, (long)(uintptr_t)&ex);

	return r ? (int)ret_errno(r) : owner_number(&ex);
}

int owner_ioctl(int fd, unsigned req, int *owner)
{
	struct f_owner_ex ex = { 0 };
	struct sock *s = is_wild(owner) ? NULL : name_enter(fd);
	int r;

	if (!s) /* which only sockets know */
		return ker_ioctl(fd, req, (long)(uintptr_t)owner);
	if (req == FIOSETOWN || req == SIOCSPGRP)
		return owner_of(fd, s, F_SETOWN, *owner);
	r = owner_of(fd, s, F_GETOWN_EX, (long)(uintptr_t)&ex);
	if (!r)
		*owner = owner_number(&ex);
	return r;
}

static void tell(const struct f_owner_ex *owner, siginfo_t *info)
{
	int sig = info->si_signo;
	bool bare = !info->si_code; /* SIGIO, of which nothing else is said */

	if (owner->type == F_OWNER_PGRP)
		SYS_CALL2(SYS_kill, -owner->pid, sig);
	else if (owner->type == F_OWNER_TID && (bare || SYS_CALL4(SYS_rt_tgsigqueueinfo, ker_getpid(), owner->pid, sig, info) < 0))
		SYS_CALL3(SYS_tgkill, ker_getpid(), owner->pid, SIGIO);
	else if (owner->type == F_OWNER_PID && (bare || SYS_CALL3(SYS_rt_sigqueueinfo, owner->pid, sig, info) < 0))
		SYS_CALL2(SYS_kill, owner->pid, SIGIO); /* the queue is full */
}

void async_tell(struct sock *s, uint32_t mask)
{
	/* that all was acknowledged is of no use to a program */
	int fd = mask & ~(uint32_t)EPOLLMSG ? fd_of_file(&s->file) : -1, knows = fd < 0 ? -1 : option_fd(fd, s, false);
	int sig = knows < 0 ? 0 : sys_fcntl(knows, F_GETSIG, 0);
	struct f_owner_ex owner = { 0 };
	siginfo_t info = { .si_signo = SIGIO };

	if (knows < 0 || sys_fcntl(knows, F_GETOWN_EX, (long)(uintptr_t)&owner) || !owner.pid)
		return;
	if (sig > 0) {
		info.si_signo = sig;
		info.si_code = SI_SIGIO;
		info.si_fd = fd;
		info.si_band = mask & EPOLLERR ? POLLERR : mask & EPOLLIN ? POLLIN | POLLRDNORM : POLLOUT | POLLWRNORM | POLLWRBAND;
	}
	tell(&owner, &info);
}

int async_code(const siginfo_t *info)
{
	return info->si_band & POLLERR ? POLL_ERR : info->si_band & POLLIN ? POLL_IN : POLL_OUT;
}
