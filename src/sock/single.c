// SPDX-License-Identifier: BSD-2-Clause
/*
 * single.c - calls that are about the calling thread alone
 *
 * A program with one thread takes them to be about the process, and does not know of the helper. What it does to its capabilities the helper would
 * not share: then libc, which has every thread make the calls of the setuid() family, sees one fail where the other succeeds, and aborts the
 * program; and rights that were given up would still be in the process. Namespaces of a user can't be entered where there is a second thread at all.
 * So the helper ends first, and one that is made afterwards is as its maker is.
 *
 * What namespace its children are to begin in (of processes, and by unshare() of time) concerns no other thread, but keeps it from making any: there the helper stays.
 * Once that is so the helper stays also when one of mounts and the like is asked for, as without it nobody would answer for connections that children use. What concerns
 * capabilities ends it even then.
 * So it does in the network namespace that the channels are in. What else is asked for in the same call goes first, in one of its own.
 *
 * Which network namespace a socket is of is decided when it is made; on channels it can be connected if vjd knows this process by the same.
 *
 * The set of capabilities for exec() (PR_CAPBSET_DROP, PR_CAP_AMBIENT) does not matter to it, nor is it waited for by those who
 * change their user by number, each thread for itself (Samba, many times a second).
 */
#include "sock/ctx.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/single.h"

#include "lib/wait.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum { HARMLESS = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_FS }; /* to others that don't go along, in unshare() */

static _Atomic bool barren VJ_LATER; /* children begin in another namespace than ours: no thread can be made. Of some thread, perhaps */
static _Atomic bool roams VJ_LATER; /* some thread may have gone to another network namespace, or has begun in one */

long sock_of_thread(long nr, const long a[static 5])
{
	bool again = false;
	long r;

	if (sock.pid && !sock_inside && !is_foreign()) {
		lock_take();
		again = helper_end();
		lock_leave();
	}
	r = SYS_CALL5(nr, a[0], a[1], a[2], a[3], a[4]);
	if (again) {
		lock_take();
		helper_again();
		lock_leave();
	}
	return ret_errno(r);
}

static bool has_helper(void)
{
	bool has = false;

	if (sock.pid && !sock_inside && !is_foreign()) {
		lock_take();
		has = sock.helper.state != HELPER_NONE;
		lock_leave();
	}
	return has;
}

/* Namespaces: the kinds asked for are @kinds, said by argument @at. Those of @stay a helper needs no end for */
static long enter(long nr, const long a[static 2], unsigned at, unsigned kinds, unsigned stay)
{
	long first[5] = { a[0], a[1] }, then[2] = { a[0], a[1] }, r;

	namespace_before(kinds);
	if (nr == SYS_unshare && atomic_load_explicit(&barren, memory_order_relaxed))
		stay |= HARMLESS;
	stay &= kinds;
	if (!stay)
		return sock_of_thread(nr, first);
	if (stay != kinds && has_helper()) {
		first[at] = kinds & ~stay;
		then[at] = stay;
		r = sock_of_thread(nr, first);
		if (r)
			return r;
	}
	r = SYS_CALL2(nr, then[0], then[1]);
	if (!r && (stay & (CLONE_NEWPID | CLONE_NEWTIME)))
		atomic_store_explicit(&barren, true, memory_order_relaxed);
	return ret_errno(r);
}

int sock_unshare(int flags)
{
	return (int)enter(SYS_unshare, (long[2]){ flags }, 0, (unsigned)flags, CLONE_NEWPID | CLONE_NEWTIME | CLONE_NEWNET);
}

/* @kinds 0: whatever @fd is of, which is one. */
int sock_setns(int fd, int kinds)
{
	long found = kinds ? kinds : SYS_CALL3(SYS_ioctl, fd, NS_GET_NSTYPE, 0);

	return (int)enter(SYS_setns, (long[2]){ fd, kinds }, 1, found < 0 ? 0 : (unsigned)found, CLONE_NEWPID | CLONE_NEWNET);
}

void namespace_before(unsigned kinds)
{
	if (kinds & CLONE_NEWNET)
		atomic_store_explicit(&roams, true, memory_order_relaxed);
}

/* 0: the kernel does not tell */
static uint64_t netns_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return sys_getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) ? 0 : cookie;
}

bool sock_is_abroad(int fd, const struct sock *s)
{
	static uint64_t known; /* while vjd is away it is as it was */

	if ((likely(!s->inherited) && likely(!atomic_load_explicit(&roams, memory_order_relaxed))) || ctx_get())
		return false;
	if (vj_control_fd(sock.vj) >= 0)
		known = netns_of(vj_control_fd(sock.vj));
	return known && netns_of(fd) != known;
}
