// SPDX-License-Identifier: BSD-2-Clause
/*
 * fork_server.c - servers that fork for each connection: does a channel pay?
 *
 * A child has to open a context, claim the connection from its parent and map a channel to the client: about a millisecond more than on the kernel,
 * which only some dozens of round trips win back. So parent and children share a page, in which a child counts its connection as brief (less than BRIEF_MS
 * from claim to close) or lasting. By that page the parent's ports rest, that is, are given back to the kernel, for one of three reasons:
 *
 *	brief	Several connections within a second were brief, and none lasted. The ports rest for a second; clients that come then are the kernel's. At
 *		its next fork(), if nothing is left on channels, the parent also closes its context, with helper thread and descriptors: each child
 *		would have copies of them to remove, a third of what such a child costs. Then it leases its ports again, and one connection
 *		decides. If that is brief, too, the context stays closed for twice as long each time, up to a minute.
 *	handed	A child has put a connection in the place of standard input, output or error and become another program (inetd, socat's EXEC). Such
 *		programs read in ways that the library doesn't see (libc's streams), or run without it (statically linked, set-user-id). That works by way of
 *		the kernel, 10 ms late at first (lib/deed_raw.c), and is never worth a channel: the ports rest as long as the parent lives.
 *	caged	A child, or a child of such (vsftpd), could have no channel: it lost what that takes (another root directory, no free descriptors)
 *		before it first used its connection. That may be a mistake (vjd's socket was just being replaced); so the ports are leased again
 *		after two seconds, and after twice as long each time that it happens again, an hour at most.
 *
 * Children that serve the kernel's clients suffer, too: they claim nothing, but have the parent's context to remove. So brief ones of these count as well: a
 * child that was forked after the parent had accepted a kernel connection, and that claimed none; but only if the parent has no connections on channels.
 *
 * Connections that last (a pool's, a session's) keep their channels; one that begins while the ports rest has the kernel's speed.
 * The helper looks at the page at each tick, and keeps ticking while ports rest for brief connections.
 */
#include "sock/accept.h"
#include "sock/cage.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/env.h"
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/why.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/lease.h"
#include "lib/own_fd.h"
#include "lib/pause.h"
#include "lib/report.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MANY = 4, WINDOW_MS = 1000, BRIEF_MS = 50, REST_MS = 1000, CAGED_S = 2, CAGED_MAX_S = 3600 };

/* The page that a parent and its children share. Counters only go up, and may wrap. */
struct lives {
	_Atomic uint32_t brief, lasting, handed, caged;
	_Atomic uint32_t brief_kernel; /* children that served kernel connections */
};

static struct {
	struct lives *above;  /* the parent's page; NULL: it has none, as it didn't listen on channels */
	struct lives *listens; /* the same, or that of the nearest ancestor that has one */
	struct lives *below;  /* this process's own, for its children; NULL: none yet */
	uint32_t brief, lasting, brief_kernel; /* the counters when the window began */
	uint64_t window_ns;
	enum report_why why; /* why the ports rest; NONE: they don't */
	uint64_t rest_until_ns; /* if so */
	uint32_t caged_s;       /* length of the last rest for CAGED */
	bool leaves;		/* the context is to be closed at the next fork() */
	struct pause closed;	/* ... and was, for how long; zeroed when a connection has lasted */
	void *mark;		/* from why_mark(), while the context is closed */
} server VJ_LATER;

enum report_why fork_server_rest(void)
{
	return server.why;
}

static void window_begin(uint64_t now_ns)
{
	server.window_ns = now_ns;
	server.brief = atomic_load_explicit(&server.below->brief, memory_order_relaxed);
	server.lasting = atomic_load_explicit(&server.below->lasting, memory_order_relaxed);
	server.brief_kernel = atomic_load_explicit(&server.below->brief_kernel, memory_order_relaxed);
}

/* Does nothing need the context? */
static bool context_is_idle(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct sock *s = file_sock(fd_peek(fd));

		if (s && (s->state == SOCK_LISTEN ? s->has_listener && !s->copied :
			  s->state == SOCK_UDP	  ? dgram_waits(s) :
						    s->state != SOCK_FRESH))
			return false;
	}
	return !sock.sleepers && !listeners_ready() && deed_is_idle(sock.vj) && !env_value(ENV_PCAP); /* a recording would begin anew */
}

static void context_leave(void)
{
	if (!sock.vj || server.why != REPORT_WHY_BRIEF || !context_is_idle())
		return;
	server.leaves = false;
	pause_longer(&server.closed, sys_clock_ns(), REST_MS / 1000);
	listeners_withdraw(REPORT_WHY_BRIEF, server.closed);
	sets_unbell();
	ctx_close();
	family_unleased();
	helper_close();
	kicks_forget();
	for (size_t i = 0; i < ARRAY_SIZE(sock.placeholder); i++) {
		own_fd_close(sock.placeholder[i]);
		sock.placeholder[i] = -1;
	}
	fd_table_shrink();
	server.mark = why_mark(REPORT_BRIEF_MARK);
	if (server.mark)
		madvise(server.mark, 1, MADV_DONTFORK);
}

void fork_server_attached(void)
{
	if (server.why != REPORT_WHY_BRIEF)
		return;
	if (server.mark)
		munmap(server.mark, 1);
	server.mark = NULL;
	server.why = REPORT_WHY_NONE;
	window_begin(sys_clock_ns());
}

VJ_EARLY void fork_server_prepare(void)
{
	void *p;

	if (unlikely(server.leaves))
		context_leave();
	if (!sock.copied || server.below)
		return;
	p = mmap(NULL, sizeof(struct lives), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	server.below = p == MAP_FAILED ? NULL : p; /* without memory nothing is counted */
}

VJ_EARLY void fork_server_child(bool attached)
{
	bool serves = attached && sock.took;

	if (server.below && server.listens)
		munmap(server.listens, sizeof(struct lives));
	server = (typeof(server)){ .above = server.below, .listens = server.below ? server.below : server.listens };
	sock.serves_ns = serves && server.above ? sys_clock_ns() : 0;
	sock.took = false;
}

void fork_server_claimed(struct sock *s)
{
	if (s->inherited && !s->claimed_ns)
		s->claimed_ns = sys_clock_ns();
	sock.serves_ns = 0;
}

VJ_EARLY static bool was_brief(uint64_t since_ns)
{
	return sys_clock_ns() - since_ns < BRIEF_MS * NS_PER_MS;
}

VJ_EARLY void fork_server_ended(struct sock *s)
{
	if (!s->inherited || !s->claimed_ns || !server.above)
		return;
	atomic_fetch_add_explicit(was_brief(s->claimed_ns) ? &server.above->brief : &server.above->lasting, 1, memory_order_relaxed);
	s->claimed_ns = 0;
}

VJ_EARLY void fork_server_child_ends(void)
{
	if (!layer_began() || likely(!sock.serves_ns) || is_foreign())
		return;
	if (was_brief(sock.serves_ns))
		atomic_fetch_add_explicit(&server.above->brief_kernel, 1, memory_order_relaxed);
	sock.serves_ns = 0;
}

void fork_server_caged(void)
{
	if (server.listens)
		atomic_store_explicit(&server.listens->caged, 1, memory_order_relaxed);
}

void fork_server_exec(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && server.above; fd++) {
		const struct sock *s = file_sock(fd_peek(fd));
		bool handed = s && s->inherited && s->state != SOCK_LISTEN && !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);

		if (handed)
			atomic_store_explicit(&server.above->handed, 1, memory_order_relaxed);
	}
}

static void rest_begin(enum report_why why, uint64_t until_ns)
{
	bool any = false;

	for (struct sock *s = sock.copied; s; s = s->next_copied)
		any |= !lease_rest(sock.vj, s->listener, true);
	if (!any)
		return;
	server.why = why;
	server.rest_until_ns = until_ns;
	server.leaves = why == REPORT_WHY_BRIEF;
	ctx_say("new connections are the kernel's: %s",
		why == REPORT_WHY_BRIEF  ? "for a while, because the last ones ended too soon" :
		why == REPORT_WHY_HANDED ? "they become other programs' standard input" :
					   "the processes that serve them can have no channel");
}

/* If vjd refuses a lease the ports rest once more, and it is asked again then. */
static void rest_end(uint64_t now_ns)
{
	bool all = true;

	for (struct sock *s = sock.copied; s; s = s->next_copied)
		all &= !lease_rest(sock.vj, s->listener, false);
	server.rest_until_ns = now_ns + REST_MS * NS_PER_MS;
	if (all)
		server.why = REPORT_WHY_NONE;
	window_begin(now_ns);
}

/* Why the ports should rest; NONE: they should not */
static enum report_why judge(uint64_t now_ns)
{
	uint32_t brief = atomic_load_explicit(&server.below->brief, memory_order_relaxed) - server.brief;
	uint32_t brief_kernel = atomic_load_explicit(&server.below->brief_kernel, memory_order_relaxed) - server.brief_kernel;
	uint32_t many = server.closed.s ? 1 : MANY;
	bool lasted = atomic_load_explicit(&server.below->lasting, memory_order_relaxed) != server.lasting;

	if (atomic_load_explicit(&server.below->handed, memory_order_relaxed))
		return REPORT_WHY_HANDED;
	if (atomic_load_explicit(&server.below->caged, memory_order_relaxed) && atomic_exchange(&server.below->caged, 0) &&
	    deed_app(sock.vj)) /* else there may have been no vjd */
		return REPORT_WHY_CAGED;
	if (lasted) {
		server.closed = (struct pause){ 0 };
		server.caged_s = 0; /* these children had channels */
	}
	if (lasted || (!server.closed.s && now_ns - server.window_ns > WINDOW_MS * NS_PER_MS))
		window_begin(now_ns);
	else if (brief >= many || (brief + brief_kernel >= many && context_is_idle()))
		return REPORT_WHY_BRIEF;
	return REPORT_WHY_NONE;
}

static uint64_t rest_ns(enum report_why why)
{
	if (why != REPORT_WHY_CAGED)
		return REST_MS * NS_PER_MS;
	server.caged_s = server.caged_s ? min_u32(2 * server.caged_s, CAGED_MAX_S) : CAGED_S;
	return server.caged_s * NS_PER_SEC;
}

bool fork_server_looks(void)
{
	return server.below && !sock.strict && server.why != REPORT_WHY_HANDED;
}

bool fork_server_look(void)
{
	enum report_why why;
	uint64_t now_ns;

	if (likely(!fork_server_looks()))
		return false;
	now_ns = sys_clock_ns();
	if (server.why && now_ns < server.rest_until_ns)
		return server.why == REPORT_WHY_BRIEF;
	if (server.why)
		rest_end(now_ns);
	why = judge(now_ns);
	if (why && why != server.why)
		rest_begin(why, now_ns + rest_ns(why));
	return server.why == REPORT_WHY_BRIEF;
}
