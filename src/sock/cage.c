// SPDX-License-Identifier: BSD-2-Clause
/*
 * cage.c - a program that puts itself under a seccomp filter
 *
 * Its author has listed the system calls that it makes, and whoever makes another one is killed, or refused. This layer makes others: to
 * attach and to ask vjd, to wait for both sides at once, in its helper thread. So before the filter is there everything goes to the kernel, the context
 * is closed, and from then on nothing is done that libc does not: the calls that are other ones here (ppoll() for poll(), and such) are libc's own.
 *
 * A program that has connections on channels by then keeps them, and the context; only what comes after is the kernel's. It works if the
 * filter lets through what that needs, or as long as it is for threads that use none of them. A connection that was the parent's, and was not
 * used here yet, is read and written through the parent (lib/deed_raw.c).
 *
 * A filter that was there when the program began (a container's) is not looked at: it was written for any program.
 */
#include "sock/cage.h"
#include "sock/ctx.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/stream.h"
#include "sock/why.h"

#include "lib/report.h"

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>

const struct cage_calls *caged;

/* Return: false: it stays here. */
static bool give_up(int fd, struct file *f)
{
	struct sock *s = file_sock(f);

	if (f->kind == FILE_INTERNAL)
		return true;
	if (s && (sock_is_conn(s) || s->state == SOCK_DEAD))
		return false;
	if (s) {
		if (s->state == SOCK_AWAY) /* its token tells no names */
			atomic_store_explicit(&sock.left, true, memory_order_relaxed);
		sock_give_to_kernel(fd, s, REPORT_WHY_FILTERED);
	} else {
		fd_set_file(fd, NULL);
		file_put(f);
	}
	return true;
}

/* Sockets first: sets are to know that theirs are the kernel's. Where something stays, sets do, too: a thread may sleep in one. Return: false: that is so */
static bool give_up_all(void)
{
	bool all = true;

	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		if (fd_peek(fd)->kind == FILE_SOCK)
			all &= give_up(fd, fd_peek(fd));
	if (!all || sock.sleepers)
		return false;
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		give_up(fd, fd_peek(fd));
	return true;
}

static const struct cage_calls *libc_calls(void)
{
	static struct cage_calls calls;

#define X(name) *(void **)&calls.name = dlsym(RTLD_NEXT, #name);
	CAGE_CALLS(X)
#undef X
	return &calls;
}

/* Other threads read it without the lock. */
static void cage_close(const struct cage_calls *calls)
{
	atomic_thread_fence(memory_order_release);
	caged = calls;
}

static void cage_enter(void)
{
	const struct cage_calls *calls;

	if (sock_inside || sock.barred || (sock.pid && is_foreign()))
		return;
	calls = libc_calls(); /* not under our lock: it takes the loader's */
	lock_take();
	sock.barred = true;
	if (sock.pid)
		ctx_say("all on the kernel from now on: the program puts itself under a seccomp filter");
	report_off = true; /* vj why is no reason to be killed */
	if (give_up_all()) {
		if (sock.vj)
			ctx_close(); /* and the helper ends: the filter may be for all threads */
		(void)why_mark(REPORT_FILTERED_MARK); /* its children have it, too */
		cage_close(calls);
	}
	lock_leave();
}

long sock_prctl(int op, const long a[static 4])
{
	const long all[] = { op, a[0], a[1], a[2], a[3] };

	if (op == PR_SET_SECCOMP && (a[0] == SECCOMP_MODE_STRICT || (a[0] == SECCOMP_MODE_FILTER && a[1])))
		cage_enter();
	if (op == PR_SET_KEEPCAPS || op == PR_SET_SECUREBITS)
		return sock_of_thread(SYS_prctl, all);
	return ret_errno(SYS_CALL5(SYS_prctl, op, a[0], a[1], a[2], a[3]));
}

/* libseccomp asks which flags there are by filters that are none. */
long sock_seccomp(const long a[static 3])
{
	if (a[0] == SECCOMP_SET_MODE_STRICT ? !a[1] && !a[2] : a[0] == SECCOMP_SET_MODE_FILTER && a[2])
		cage_enter();
	return ret_errno(SYS_CALL3(SYS_seccomp, a[0], a[1], a[2]));
}
