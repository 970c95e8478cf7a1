// SPDX-License-Identifier: BSD-2-Clause
/*
 * single.c - calls that are about the calling thread alone
 *
 * A program with one thread takes them to be about the process, and does not know of the helper. What it does to its capabilities the helper would
 * not share: then libc, which has every thread make the calls of the setuid() family, sees one fail where the other succeeds, and aborts the
 * program; and rights that were given up would still be in the process. Namespaces of a user can't be entered where there is a second thread at all.
 * So the helper ends first, and one that is made afterwards is as its maker is.
 *
 * The set of capabilities for exec() (PR_CAPBSET_DROP, PR_CAP_AMBIENT) does not matter to it, nor is it waited for by those who
 * change their user by number, each thread for itself (Samba, many times a second).
 */
#include "sock/priv.h"

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
