// SPDX-License-Identifier: BSD-2-Clause
/*
 * called.c - a connection that was called (stack/tcp_call.c), and that nobody has accepted
 *
 * connect() has returned, and the program may have sent something, which nobody has read. The process that has a place for it, or promised one, listens no more, or has
 * ended; on the kernel another with the same listening socket would have the connection. So whoever holds the port on channels now is called, and
 * hears all of it; if there is nobody, the kernel connects, and is given what was said. If it refuses, too, the connection has ended as one
 * that waits in the backlog of a listener which is closed.
 */
#include "sock/file.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/stream.h"

#include "lib/connect.h"
#include "lib/deed.h"

enum { REFUSALS_MAX = 8 };

bool sock_call_again(struct sock *s)
{
	struct connect_option opts[SOCK_OPTION_CNT];
	struct vj_conn again;
	unsigned cnt;

	if (s->refusals++ >= REFUSALS_MAX)
		return false;
	cnt = options_of(s, conn_is_v6(s, s->conn), opts);
	if (connect_again_with(sock.vj, s->conn, opts, cnt, (uint64_t)(uintptr_t)s, &again))
		return false;
	s->conn = again;
	return true;
}

bool sock_call_refused(struct sock *s)
{
	if (sock_call_again(s) || (!sock.strict && deed_unheard(sock.vj, s->conn)))
		return true;
	(void)vj_error(sock.vj, s->conn, true);
	s->err = ECONNRESET;
	return false;
}
