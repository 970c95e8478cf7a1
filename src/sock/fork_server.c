// SPDX-License-Identifier: BSD-2-Clause
/*
 * fork_server.c - servers whose connections other processes serve, children or those that get them by message: does a channel pay?
 *
 * A child has to open a context, claim the connection from its parent and map a channel to the client: about a millisecond more than on the kernel,
 * which only some dozens of round trips win back; a worker that is there already has to claim it, and to map a channel to each new client. So a process
 * looks what becomes of those that it gives away (deed_fates()): brief ones have no descriptor in any process soon after that, others last. And parent and children share a page.
 * The process's ports rest, that is, are given back to the kernel, for one of three reasons:
 *
 *	brief	Several connections within a second were brief, and none lasted. The ports rest for a second; clients that come then are the kernel's.
 *		Then it leases its ports again, and one connection decides. If that is brief, too, they rest for twice as long each time, up to a minute;
 *		but if one that came with it has lasted, as is known only later, it is several again that decide.
 *		A parent also closes its context at its next fork(), if nothing is left on channels, with helper thread and descriptors: each child
 *		would have copies of them to remove, a third of what such a child costs.
 *	handed	A child has put a connection in the place of standard input, output or error and become another program (inetd, socat's EXEC). Such
 *		programs read in ways that the library doesn't see (libc's streams), or run without it (statically linked, set-user-id). That works by way of
 *		the kernel, 10 ms late at first (lib/deed_raw.c), and is never worth a channel: the ports rest as long as the parent lives.
 *	caged	A child, or a child of such (vsftpd), could have no channel: it lost what that takes (another root directory, no free descriptors)
 *		before it first used its connection. That may be a mistake (vjd's socket was just being replaced); so the ports are leased again
 *		after two seconds, and after twice as long each time that it happens again, an hour at most.
 *
 * Children that serve the kernel's clients suffer, too: they claim nothing, but have the parent's context to remove. So brief ones of these count as well
 * (in the page): a child that was forked after the parent had accepted a kernel connection, and that claimed none; but only if the parent has no connections on channels.
 *
 * Connections that last (a pool's, a session's) keep their channels; one that begins while the ports rest has the kernel's speed.
 * The helper looks at each tick, and when a rest is over.
 *
 * What a process opens and others use (a proxy's connections to its servers) is the kernel's for the same reason, and as long: fork_server_opens().
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

enum { MANY = 4, WINDOW_MS = 1000, REST_S = 1, CAGED_S = 2, CAGED_MAX_S = 3600 };

/* The page that a parent and its children share. Counters only go up, and may wrap. */
struct lives {
	_Atomic uint32_t handed, caged;
	_Atomic uint32_t brief_kernel; /* children that served kernel connections */
};

/* What has become of connections since a window began, and how long they are the kernel's therefore */
struct trial {
	struct deed_fates then;
	uint64_t window_ns;
	struct pause rest; /* zeroed when a connection has lasted */
};

static struct {
	struct lives *above;  /* the parent's page; NULL: it has none, as it didn't listen on channels */
	struct lives *listens; /* the same, or that of the nearest ancestor that has one */
	struct lives *below;  /* this process's own, for its children; NULL: none yet */
	struct trial accepted, opened;
	uint32_t brief_kernel; /* the page's, when the window of `accepted` began */
	enum report_why why; /* why the ports rest; NONE: they don't */
	uint64_t rest_until_ns; /* if so */
	uint32_t caged_s;       /* length of the last rest for CAGED */
	bool leaves;		/* the context is to be closed at the next fork() */
	void *mark;		/* from why_mark(), while the context is closed */
} server VJ_LATER;

enum report_why fork_server_rest(void)
{
	return server.why;
}

static uint32_t brief_kernel(void)
{
	return server.below ? atomic_load_explicit(&server.below->brief_kernel, memory_order_relaxed) : 0;
}

static void window_begin(uint64_t now_ns)
{
	server.accepted.window_ns = now_ns;
	server.accepted.then = deed_fates(sock.vj, false);
	server.brief_kernel = brief_kernel();
}

static uint32_t brief_since(const struct trial *t, bool opened)
{
	return deed_fates(sock.vj, opened).brief - t->then.brief;
}

static bool lasted_since(const struct trial *t, bool opened)
{
	return deed_fates(sock.vj, opened).lasting != t->then.lasting;
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
	listeners_withdraw(REPORT_WHY_BRIEF, server.accepted.rest);
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
	server.opened.then = (struct deed_fates){ 0 };
	server.accepted.then = (struct deed_fates){ 0 };
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

void fork_server_claimed(void)
{
	sock.serves_ns = 0;
}

VJ_EARLY void fork_server_child_ends(void)
{
	if (!layer_began() || likely(!sock.serves_ns) || is_foreign())
		return;
	if (sys_clock_ns() - sock.serves_ns < DEED_BRIEF_MS * NS_PER_MS)
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

/* All ports rest, or none does. Return: for how many that went wrong */
static unsigned ports_rest(bool rest, unsigned *ret_cnt)
{
	unsigned cnt = 0, refused = 0;

	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct sock *s = file_sock(fd_peek(fd));

		if (!s || s->state != SOCK_LISTEN || !s->has_listener)
			continue;
		cnt++;
		refused += lease_rest(sock.vj, s->listener, rest) != 0;
	}
	*ret_cnt = cnt;
	return refused;
}

static uint64_t rest_until_ns(enum report_why why, uint64_t now_ns)
{
	if (why == REPORT_WHY_BRIEF)
		pause_longer(&server.accepted.rest, now_ns, REST_S);
	if (why != REPORT_WHY_CAGED)
		return server.accepted.rest.until_ns;
	server.caged_s = server.caged_s ? min_u32(2 * server.caged_s, CAGED_MAX_S) : CAGED_S;
	return now_ns + server.caged_s * NS_PER_SEC;
}

static void rest_begin(enum report_why why, uint64_t now_ns)
{
	unsigned cnt;

	if (ports_rest(true, &cnt) == cnt) {
		window_begin(now_ns);
		return;
	}
	server.why = why;
	server.rest_until_ns = rest_until_ns(why, now_ns);
	server.leaves = why == REPORT_WHY_BRIEF;
	ctx_say("new connections are the kernel's: %s",
		why == REPORT_WHY_BRIEF  ? "for a while, because the last ones ended too soon" :
		why == REPORT_WHY_HANDED ? "they become other programs' standard input" :
					   "the processes that serve them can have no channel");
}

/* If vjd refuses a lease the ports rest once more, and it is asked again then. */
static void rest_end(uint64_t now_ns)
{
	unsigned cnt;

	if (lasted_since(&server.accepted, false)) /* one beside the brief ones, as was seen later */
		server.accepted.rest = (struct pause){ 0 };
	server.rest_until_ns = now_ns + REST_S * NS_PER_SEC;
	if (!ports_rest(false, &cnt))
		server.why = REPORT_WHY_NONE;
	window_begin(now_ns);
}

/* Why the ports should rest; NONE: they should not */
static enum report_why judge(uint64_t now_ns)
{
	struct trial *t = &server.accepted;
	uint32_t brief = brief_since(t, false), many = t->rest.s ? 1 : MANY;
	bool lasted = lasted_since(t, false);

	if (server.below && atomic_load_explicit(&server.below->handed, memory_order_relaxed))
		return REPORT_WHY_HANDED;
	if (server.below && atomic_load_explicit(&server.below->caged, memory_order_relaxed) && atomic_exchange(&server.below->caged, 0) &&
	    deed_app(sock.vj)) /* else there may have been no vjd */
		return REPORT_WHY_CAGED;
	if (lasted) {
		t->rest = (struct pause){ 0 };
		server.caged_s = 0; /* these children had channels */
	}
	if (lasted || (!t->rest.s && now_ns - t->window_ns > WINDOW_MS * NS_PER_MS))
		window_begin(now_ns);
	else if (brief >= many || (brief + brief_kernel() - server.brief_kernel >= many && context_is_idle()))
		return REPORT_WHY_BRIEF;
	return REPORT_WHY_NONE;
}

bool fork_server_looks(void)
{
	if (sock.strict || server.why == REPORT_WHY_HANDED || !sock.vj)
		return false;
	return server.why ? sys_clock_ns() >= server.rest_until_ns : server.below || brief_since(&server.accepted, false);
}

uint64_t fork_server_again_ns(void)
{
	return server.why && server.why != REPORT_WHY_HANDED ? server.rest_until_ns : TIME_NEVER;
}

void fork_server_look(void)
{
	enum report_why why;
	uint64_t now_ns;

	if (likely(!fork_server_looks()))
		return;
	now_ns = sys_clock_ns();
	if (server.why)
		rest_end(now_ns);
	why = judge(now_ns);
	if (why && why != server.why)
		rest_begin(why, now_ns);
}

bool fork_server_opens(void)
{
	struct trial *t = &server.opened;
	uint64_t now_ns;

	if (likely(!t->rest.s && (!sock.vj || !brief_since(t, true))) || sock.strict)
		return false;
	now_ns = sys_clock_ns();
	if (now_ns < t->rest.until_ns || !sock.vj)
		return now_ns < t->rest.until_ns;
	if (lasted_since(t, true))
		t->rest = (struct pause){ 0 };
	else if (brief_since(t, true) >= (t->rest.s ? 1 : MANY))
		pause_longer(&t->rest, now_ns, REST_S);
	else if (t->rest.s || now_ns - t->window_ns <= WINDOW_MS * NS_PER_MS)
		return false;
	t->window_ns = now_ns;
	t->then = deed_fates(sock.vj, true);
	return now_ns < t->rest.until_ns;
}
