// SPDX-License-Identifier: BSD-2-Clause
/*
 * accept.c - listening, in the kernel and on channels at once
 *
 * listen() is the kernel's; the port is leased when a process first waits for connections: in accept(), poll(), select(),
 * or epoll_wait() on a set that holds the socket. Until then clients come through the kernel. Why so late: a listening socket may
 * have copies in many processes (fork, exec, SCM_RIGHTS), and some never accept, such as the master of a prefork server,
 * a parent that becomes a daemon, or the children of a server that forks for each connection. Their clients would wait
 * for ever. The processes that do wait share the lease: vjd sees that all of them show the same socket, and spreads clients
 * over them.
 *
 * At interfaces a listening socket is on trial at first: its clients from beyond this host come through the kernel, until two clients,
 * wherever they are, were accepted with no fork() in between. Why: a connection over an interface becomes the kernel's when
 * another process uses it (in_kernel.c), so a server that forks for each connection, or sends them to its workers (SCM_RIGHTS),
 * would pay for channels and have none. Such a server stays with the kernel there; any other gets its second or third client by a
 * channel. A process that sends a connection to another one stays with the kernel there from then on, for good. There is no
 * trial for inherited sockets (workers of a prefork server) and members of a SO_REUSEPORT group: their processes don't fork.
 *
 * A connection accepted from the kernel is a kernel socket, and the layer has no part in it. One accepted from a channel gets a
 * duplicate of a placeholder as its descriptor, which is cheaper than a socket of its own.
 */
#include "sock/accept.h"
#include "sock/cage.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/epoll.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/process.h"
#include "sock/queue.h"
#include "sock/recall.h"
#include "sock/signals.h"
#include "sock/single.h"
#include "sock/stream.h"
#include "sock/undo.h"
#include "sock/wait.h"
#include "sock/why.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/lease.h"
#include "lib/lease_scope.h"
#include "lib/own_fd.h"
#include "lib/pause.h"
#include "lib/report.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { OFFER_MS = 30, OFFER_MAX_MS = 2000, RETRY_S = 1 };

/* ---- listen ---------------------------------------------------------------------------------------------------- */

static bool kernel_flag(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return !sys_getsockopt(fd, level, name, &value, &len) && value;
}

unsigned sock_lease_flags(int fd, const struct sock *s)
{
	unsigned flags = 0;

	if (kernel_flag(fd, SOL_SOCKET, SO_REUSEPORT))
		flags |= VJ_LISTEN_REUSEPORT;
	if (s->family == AF_INET6 && kernel_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		flags |= VJ_LISTEN_V6ONLY;
	return flags;
}

/* Linux accepts one more than the argument; a negative argument means the maximum. */
static uint32_t backlog_of(int backlog)
{
	return min_u32((uint32_t)backlog, 65534) + 1;
}

static bool is_of_host_only(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

static void copied_put(struct sock *s)
{
	s->next_copied = sock.copied;
	sock.copied = s;
	calm_update(); /* recall_may() is over */
}

/*
 * Return: 0; -errno: the kernel listens alone.
 */
static int channel_listen(int fd, struct sock *s)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	unsigned flags = sock_lease_flags(fd, s);
	int err = ctx_get();

	if (err)
		return err;
	err = sys_getsockname(fd, (struct sockaddr *)&addr, &len);
	if (err)
		return err;
	s->on_trial = (sock.hands_over || (!s->inherited && !(flags & VJ_LISTEN_REUSEPORT))) && !is_of_host_only(&addr);
	s->got_forks = 0;
	if (s->own_mtu_mode) /* then the lease is for this host only, where there is no path MTU, and no trial */
		s->on_trial = false;
	flags |= s->on_trial || s->own_mtu_mode ? LEASE_SCOPE_LOCAL : 0u;
	/*
	 * A duplicate that stays when the program closes or replaces its own: the library shows it
	 * to vjd again.
	 */
	s->lease_fd = OWN_FD_MAKE(sys_fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (s->lease_fd < 0)
		return s->lease_fd;
	err = vj_listen(sock.vj, (struct sockaddr *)&addr, len, s->backlog, flags, s->lease_fd,
			(uint64_t)(uintptr_t)s, &s->listener);
	if (err) {
		own_fd_close(s->lease_fd);
		s->lease_fd = -1;
		return err;
	}
	s->has_listener = true;
	s->v6only = flags & VJ_LISTEN_V6ONLY;
	s->ready_ns = 0;
	family_listens(s);
	options_listen(s);
	if (s->copied)
		copied_put(s);
	return 0;
}

VJ_EARLY static void uncopied(const struct sock *s)
{
	struct sock **at = &sock.copied;

	while (*at && *at != s)
		at = &(*at)->next_copied;
	if (*at)
		*at = s->next_copied;
}

VJ_EARLY void listener_copied(struct sock *s)
{
	if (s->state != SOCK_LISTEN)
		return;
	family_prepare();
	if (s->has_listener && !s->slot)
		family_listens(s);
	if (s->copied)
		return;
	s->copied = true;
	if (s->has_listener)
		copied_put(s);
}

bool listeners_ready(void)
{
	for (const struct sock *s = sock.copied; s; s = s->next_copied)
		if (vj_listener_ready(sock.vj, s->listener))
			return true;
	return false;
}

bool listeners_offer(bool away, bool idle)
{
	static uint64_t passed_ns; /* when somebody was last passed on at once */
	uint64_t now_ns = sock.copied ? sys_clock_ns() : 0;
	bool any = false;

	fork_server_look();
	family_look(idle);
	for (struct sock *s = sock.copied; s; s = s->next_copied) {
		if (!vj_listener_ready(sock.vj, s->listener)) {
			s->ready_ns = 0;
			s->offer_ms = OFFER_MS;
			continue;
		}
		any = true;
		if (idle && family_pass(s, false))
			continue;
		if (family_rests() && !sock.strict) {
			deed_offer(sock.vj, s->listener, DEED_OFFER_QUEUE); /* where the next process that waits finds it */
			continue;
		}
		if (!s->ready_ns) {
			s->ready_ns = now_ns;
			if (away && now_ns - passed_ns >= OFFER_MS * NS_PER_MS) {
				passed_ns = now_ns;
				deed_offer(sock.vj, s->listener, DEED_OFFER);
			}
		} else if (now_ns - s->ready_ns >= s->offer_ms * NS_PER_MS) {
			deed_offer(sock.vj, s->listener, family_late(s) ? DEED_OFFER_LATE : DEED_OFFER);
			s->ready_ns = now_ns;
			s->offer_ms = min_u32(2 * s->offer_ms, OFFER_MAX_MS);
		}
	}
	return any;
}

VJ_EARLY static void lazy_count(struct sock *s, int by)
{
	if (s->state == SOCK_LISTEN && !s->has_listener && !s->kernel_only)
		sock.lazy += (uint32_t)by;
}

/* Record, and say once, why the port has no lease. */
static void listener_why(int fd, struct sock *s, enum report_why why)
{
	struct sockaddr_in6 local; /* the port is at the same place in both families */
	socklen_t len = sizeof(local);

	if (why && why != s->why && sock.verbose && !sys_getsockname(fd, (struct sockaddr *)&local, &len))
		ctx_say("port %u: new connections are the kernel's: %s", ntohs(local.sin6_port), why_text(why));
	s->why = (uint8_t)why;
}

/* Lease the port. If vjd or a setting refuses, that is for good; if the reason may pass it is tried again later. */
static void lease_want(int fd, struct sock *s)
{
	enum report_why why = REPORT_WHY_CONFINES;

	lazy_count(s, -1);
	if (s->kernels_option)
		why = REPORT_WHY_OPTION;
	else if (unlikely(sock_is_abroad(fd, s)))
		why = REPORT_WHY_NAMESPACE;
	if (why != REPORT_WHY_CONFINES || (!s->file.watches && program_confines())) {
		(void)ctx_get(); /* for `vj why`, which asks by way of vjd */
	} else {
		int err = channel_listen(fd, s);

		why = err ? why_of_error(err) : REPORT_WHY_NONE;
	}
	listener_why(fd, s, why);
	s->kernel_only = why != REPORT_WHY_NONE && !why_passes(why);
	lazy_count(s, 1);
	if (!s->has_listener && !s->kernel_only) {
		pause_longer(&s->unleased, sys_clock_ns(), RETRY_S);
		s->unleased.until_ns = max_u64(s->unleased.until_ns, sock.vj ? 0 : sock.detached.until_ns);
	}
}

/* Is it time to ask vjd for a lease? */
static bool lease_is_due(const struct sock *s)
{
	return !s->kernel_only && (!s->unleased.s || sys_clock_ns() >= s->unleased.until_ns);
}

/* The family's ports rest (family.c): this process doesn't even attach for this one until that is over. */
static bool lease_rests(int fd, struct sock *s)
{
	uint64_t until_ns = s->copied ? family_rests_before(fd, !s->unleased.s) : 0;

	if (!until_ns)
		return false;
	pause_longer(&s->unleased, sys_clock_ns(), RETRY_S);
	s->unleased.until_ns = min_u64(s->unleased.until_ns, until_ns); /* it ends before that if two are seen to wait at once */
	listener_why(fd, s, REPORT_WHY_TURNS);
	return true;
}

int listener_wanted(int fd, struct sock *s)
{
	if (likely(s->has_listener) || s->state != SOCK_LISTEN || sock.exiting)
		return 0;
	if (family_is_blind()) {
		listener_why(fd, s, REPORT_WHY_BLIND);
		(void)ctx_get(); /* for `vj why`, which asks by way of vjd */
		return 0;
	}
	if (lease_is_due(s) && !lease_rests(fd, s))
		lease_want(fd, s);
	return !s->has_listener && sock.strict ? -ENETDOWN : 0;
}

uint64_t listener_again_ns(const struct sock *s)
{
	bool again = s->state == SOCK_LISTEN && !s->has_listener && !s->kernel_only && s->unleased.s;

	return again && !sock.exiting && !is_foreign() && !family_is_blind() ? s->unleased.until_ns : TIME_NEVER;
}

void listener_found(struct sock *s, uint32_t backlog)
{
	s->state = SOCK_LISTEN;
	s->has_listener = s->kernel_only = s->kernel_has = false;
	s->unleased = (struct pause){ 0 };
	s->backlog = backlog;
	s->offer_ms = OFFER_MS;
	lazy_count(s, 1);
	for (struct watch *w = s->file.watches; w; w = w->next)
		if (w->set)
			set_refresh(w->set);
	watches_move(&s->file, WATCH_BOTH);
}

/*
 * Close our duplicate. If the program has closed its own descriptor that ends the kernel's listener. This must come before vjd is asked to end the lease: a client
 * that the kernel's listener took meanwhile would be reset, where another listener of the same port could have served it.
 */
VJ_EARLY void listener_proof_close(struct sock *s)
{
	if (s->has_listener && sock.vj)
		lease_ends(sock.vj, s->listener);
	queues_forget();
	own_fd_close(s->lease_fd);
	s->lease_fd = -1;
}

/* Give up the lease. Clients in the queue on channels go to other processes; or (@blind: these may have no library) into the kernel's queue. */
VJ_EARLY static void listener_withdraw(struct sock *s, bool blind)
{
	file_stir(&s->file);
	listener_proof_close(s);
	if (s->has_listener && sock.vj) {
		if (blind)
			deed_offer(sock.vj, s->listener, DEED_OFFER_QUEUE);
		else if (s->copied && !family_pass(s, true))
			deed_offer(sock.vj, s->listener, DEED_OFFER_STOPS);
		vj_unlisten(sock.vj, s->listener);
	}
	uncopied(s);
	if (s->has_listener) {
		family_unlistens(s);
		s->unleased = (struct pause){ 0 };
	}
	s->has_listener = false;
	placeholder_drop(s);
}

VJ_EARLY void listener_close(struct sock *s)
{
	lazy_count(s, -1);
	listener_withdraw(s, false);
	s->state = SOCK_FRESH;
}

void listener_leave(int fd, struct sock *s, enum report_why why)
{
	lazy_count(s, -1);
	listener_withdraw(s, true);
	s->kernel_only = true;
	listener_why(fd, s, why);
}

void listeners_withdraw(enum report_why why, struct pause rest)
{
	for (struct sock *s = sock.copied, *next; s; s = next) {
		next = s->next_copied;
		listener_withdraw(s, why == REPORT_WHY_BLIND);
		s->unleased = rest;
		lazy_count(s, 1);
		listener_why(fd_of_file(&s->file), s, why);
	}
}

void listeners_exec(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = file_sock(fd_peek(fd));

		if (!s || !s->has_listener)
			continue;
		listener_withdraw(s, true);
		lazy_count(s, 1); /* should exec() fail, the next wait leases again */
	}
}

VJ_EARLY void listener_forget(struct sock *s)
{
	if (!s->copied || !s->inherited)
		s->copied = s->inherited = true;
	if (s->state != SOCK_LISTEN)
		return;
	if (s->unleased.s)
		s->unleased = (struct pause){ 0 };
	if (!s->has_listener)
		return;
	uncopied(s);
	s->has_listener = s->looked = false;
	lazy_count(s, 1);
}

static int listen_both(int fd, struct sock *s, int backlog)
{
	int r;

	if (sock_is_channel(s))
		return -EINVAL;
	if (sock.strict && ctx_get())
		return -ENETDOWN;
	r = sys_listen(fd, backlog);
	if (r)
		return r;
	if (s->state == SOCK_LISTEN) {
		s->backlog = backlog_of(backlog);
		if (s->has_listener && sock.vj)
			vj_listener_backlog(sock.vj, s->listener, s->backlog);
		return 0;
	}
	listener_found(s, backlog_of(backlog));
	return 0;
}

int sock_listen(int fd, int backlog)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	int r;

	if (f && f->kind == FILE_SOCK && !is_foreign())
		r = listen_both(fd, sock_of(f), backlog);
	else
		r = sys_listen(fd, backlog);
	if (f)
		lock_leave();
	return (int)ret_errno(r);
}

/* ---- accept ---------------------------------------------------------------------------------------------------- */

static int placeholder_make(int family)
{
	return OWN_FD_MAKE(sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/* If the program has set options that accepted sockets inherit, the listener gets a placeholder of its own that has them. */
static VJ_COLD void placeholder_look(struct sock *listener)
{
	listener->looked = true;
	listener->handed_on = options_differ(listener->lease_fd, sock.placeholder[listener->family == AF_INET6]);
	if (!listener->handed_on)
		return;
	listener->option_fd = placeholder_make(listener->family);
	if (listener->option_fd >= 0)
		options_copy(listener->lease_fd, listener->option_fd, listener->handed_on);
}

VJ_EARLY void placeholder_drop(struct sock *listener)
{
	listener->looked = false;
	own_fd_close(listener->option_fd);
	listener->option_fd = -1;
}

/* A descriptor for a channel connection. Return: its number, or -errno. */
static int fd_new(struct sock *listener, int flags)
{
	int *placeholder = &sock.placeholder[listener->family == AF_INET6], fd;

	if (*placeholder < 0)
		*placeholder = placeholder_make(listener->family);
	if (*placeholder < 0)
		return *placeholder;
	if (unlikely(!listener->looked))
		placeholder_look(listener);
	fd = listener->option_fd >= 0 ? listener->option_fd : *placeholder;
	return sys_fcntl(fd, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
}

static void inherit(struct sock *s, const struct sock *listener, int flags)
{
	s->state = SOCK_CONNECTED;
	s->shared = true;
	s->handed_on = listener->handed_on;
	s->v6only = listener->v6only;
	s->family = listener->family;
	s->nonblock = (flags & SOCK_NONBLOCK) != 0;
	s->linger = listener->linger;
	s->linger_s = listener->linger_s;
	s->rcvtimeo_ns = listener->rcvtimeo_ns;
	s->sndtimeo_ns = listener->sndtimeo_ns;
	s->rcvlowat = listener->rcvlowat;
	options_inherit(listener, s);
	options_replay(listener, s->conn);
}

/*
 * Return: a descriptor; -EAGAIN: no client waits on channels; -EMFILE, -ENOMEM ...: the client goes on waiting.
 */
static int channel_accept(struct sock *listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct sockaddr_storage remote;
	struct sock *s;
	int fd, err;

	if (!listener->has_listener || !sock.vj || !vj_listener_ready(sock.vj, listener->listener))
		return -EAGAIN;
	fd = fd_new(listener, flags);
	if (fd < 0)
		return fd;
	s = sock_alloc();
	err = s ? fd_set_file(fd, &s->file) : -ENOMEM;
	if (!err) {
		err = vj_accept(sock.vj, listener->listener, (uint64_t)(uintptr_t)s, &s->conn);
		if (err)
			fd_set_file(fd, NULL);
	}
	if (err) {
		if (s)
			sock_free(s);
		sys_close(fd);
		return err;
	}
	inherit(s, listener, flags);
	family_accepted(listener);
	if (addr && len) {
		vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
		sock_addr_copy(s, &remote, addr, len);
	}
	return fd;
}

/*
 * A client waits in the kernel's queue, and no other thread or process takes from it: so accept4() should not block. It is made without the lock all the same, in
 * case some process has a copy that is not known here, and has taken the client.
 */
static int kernel_accept_alone(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r;

	lock_drop();
	r = sys_accept4(fd, addr, len, flags);
	lock_take();
	return r;
}

/* It can be read. Return: as queue_accept() */
static int kernel_accept(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (s->copied || s->many_accept)
		return queue_accept(s, addr, len, flags);
	return kernel_accept_alone(s->lease_fd, addr, len, flags);
}

/* Do others wait for the kernel's queue, too? That there are copies doesn't mean that: each child of a server that forks for each connection has one. */
static bool others_wait(const struct sock *s)
{
	return s->many_accept || (s->copied && (s->inherited || s->contested));
}

enum { ASK_KERNEL = -4096 };

/* Results of accept_ours() beside its return value; kernel_asked is a parameter. */
struct asked {
	bool on_trial;	   /* the socket is on trial */
	bool listens;	   /* the socket is in our table, and listens */
	bool blocks;	   /* ... and accept() on it blocks without a time-out */
	bool unseen;	   /* ASK_KERNEL: channels were not looked at; if the kernel has no client, call again with kernel_asked */
	bool kernel_asked; /* in: the kernel was just asked, and has no client */
	bool kernel_has;   /* poll() has just told this thread that a client is in the kernel's queue, from which no other thread takes */
	uint64_t again_ns; /* ASK_KERNEL: when to ask for a lease again, if accept() blocks until then; TIME_NEVER */
};

/* No client is known on channels. Ask the kernel first: to look at channels is for nothing as long as the kernel has a client. */
static int accept_at_once(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags, struct asked *a)
{
	a->unseen = !a->kernel_asked;
	if (a->unseen)
		return ASK_KERNEL;
	ctx_process();
	return channel_accept(s, addr, len, flags);
}

/* No other thread takes from the queue: block in the kernel's own call, see recall.c. Return: as accept4(); -EAGAIN: recalled */
static int accept_inside(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags, struct blocking *b)
{
	struct recall rc;
	int r;

	recall_begin(&rc, &s->file, &b->signals);
	lock_leave();
	r = (int)recall_call(&rc, SYS_accept4, s->lease_fd, (long)addr, (long)len, flags, 0, 0);
	lock_take();
	if (!recall_end(&rc, r) || !rc.looks)
		return r;
	r = block_signals(b, false);
	return r ? r : -EAGAIN;
}

/* Return: as accept_either() */
static int accept_waiting(int fd, struct sock *s, struct sockaddr *addr, socklen_t *len, int flags, const struct asked *a)
{
	struct blocking b = { .file = &s->file, .signals = sock_signals, .timeout_ns = s->rcvtimeo_ns, .kernel_ready = a->kernel_has };
	int r;

	block_begin(&b);
	b.spin.begun = true; /* a connection of the kernel may wait already */
	for (;;) {
		ctx_process();
		r = channel_accept(s, addr, len, flags);
		if (r != -EAGAIN)
			break;
		/* @fd may have been closed meanwhile, and be another file's; @s still serves threads that wait as long as it has a lease */
		if (s->state != SOCK_LISTEN || !sock.vj || s->lease_fd < 0) {
			r = s->state == SOCK_LISTEN && fd_peek(fd) == &s->file ? ASK_KERNEL : -EINVAL;
			break;
		}
		b.kernel_fd = s->lease_fd;
		r = b.kernel_ready ? kernel_accept(s, addr, len, flags) : -EAGAIN;
		b.kernel_ready &= r < 0 && r != -EAGAIN;
		if (r == -EAGAIN && !b.timeout_ns && !s->copied && !s->many_accept && recall_may()) {
			r = accept_inside(s, addr, len, flags, &b);
			b.kernel_ready = false;
			if (r == -EAGAIN)
				continue;
		}
		if (r < 0 && r != -EINTR && s->lease_fd != b.kernel_fd) { /* another thread has closed it meanwhile */
			b.kernel_ready = false;
			continue;
		}
		if (r != -EAGAIN && r != -EBUSY)
			break;
		b.turn_looks = r == -EBUSY ? b.turn_looks + 1 : 0;
		b.beside_others = others_wait(s);
		r = block_wait(&b);
		if (r)
			break;
	}
	if (unlikely(b.kernel_ready) && sock_undo == &b.hold.undo && b.beside_others && s->lease_fd >= 0)
		queue_pass(s->lease_fd);
	block_end(&b);
	return r;
}

/*
 * Return: a descriptor, -errno, or ASK_KERNEL: accept4() of the kernel is right, without the lock.
 */
static int accept_either(int fd, struct sock *s, struct sockaddr *addr, socklen_t *len, int flags, struct asked *a)
{
	int r = channel_accept(s, addr, len, flags);

	if (r != -EAGAIN)
		return r;
	if (s->nonblock)
		return accept_at_once(s, addr, len, flags, a);
	return accept_waiting(fd, s, addr, len, flags, a);
}

/* On trial, and accept() is called again: if there was no fork since the last client, and none was ever sent away, this process serves its clients itself. */
static VJ_COLD void trial_next(struct sock *s)
{
	int err;

	if (!s->has_listener || !s->got_forks || !sock.vj || sock.hands_over || is_foreign())
		return;
	s->on_trial = s->got_forks != sock.forks + 1;
	s->got_forks = 0;
	err = s->on_trial ? 0 : lease_scope_widen(sock.vj, s->listener);
	if (err)
		ctx_say("listen: no channel at interfaces");
	s->on_trial |= err == -ETIMEDOUT; /* vjd is behind */
}

/* On trial: a client was accepted from the kernel, without the lock. */
static VJ_COLD void trial_got(int fd)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	struct sock *s = file_sock(f);

	if (s && s->state == SOCK_LISTEN)
		s->got_forks = sock.forks + 1;
	if (f)
		lock_leave();
}

void listeners_retreat(void)
{
	if (sock.hands_over)
		return;
	sock.hands_over = true;
	if (!sock.vj)
		return;
	ctx_say("new connections from beyond this host are the kernel's: they are handed to other processes, and would become the kernel's there");
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = file_sock(fd_peek(fd));

		if (!s || s->state != SOCK_LISTEN || !s->has_listener)
			continue;
		s->on_trial = true;
		if (lease_scope_narrow(sock.vj, s->listener))
			ctx_say("listen: no channel");
	}
}

/*
 * Who doesn't wait in accept() waits in a call that asks for the lease, poll() or epoll_wait(), before or after. If it does not, it sleeps in one that the library
 * doesn't see, as a program of rust's with a set of epoll by system calls of its own (rustix, smol), and would never hear of who comes by a channel.
 */
static bool asks_for_lease(const struct sock *s)
{
	return !s->has_listener && !s->nonblock && (sock.strict || lease_is_due(s));
}

/* is_foreign() is a system call, so it is asked only where something is to be done. */
static int accept_any(int fd, struct sock *s, struct sockaddr *addr, socklen_t *len, int flags, struct asked *a)
{
	int err;

	if (unlikely(!sock.accepts))
		sock.accepts = !is_foreign();
	err = asks_for_lease(s) && !is_foreign() ? listener_wanted(fd, s) : 0;
	if (err)
		return err;
	if (unlikely(s->on_trial))
		trial_next(s);
	return s->has_listener ? accept_either(fd, s, addr, len, flags, a) : ASK_KERNEL;
}

int sock_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return unlikely(caged) ? caged->accept(fd, addr, len) : sock_accept4(fd, addr, len, 0);
}

/* This thread calls accept(). If another one has before, the socket has many accepters, for good: one may block in the kernel at any time. */
static void accepter_note(struct sock *s, struct asked *a)
{
	if (unlikely(s->accepter != &sock_signals)) {
		s->many_accept = s->accepter != NULL;
		s->accepter = &sock_signals;
	}
	a->kernel_has = s->kernel_has && !s->many_accept;
	s->kernel_has = false;
}

/* Return: as accept_either() */
static int accept_ours(int fd, struct sockaddr *addr, socklen_t *len, int flags, struct asked *a)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	struct sock *s = file_sock(f);
	int r = ASK_KERNEL;

	*a = (struct asked){ .kernel_asked = a->kernel_asked, .again_ns = TIME_NEVER };
	if (s && s->state == SOCK_LISTEN)
		accepter_note(s, a);
	if (s && sock_is_channel(s))
		r = -EINVAL;
	else if (s && s->state == SOCK_LISTEN && !(flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)))
		r = accept_any(fd, s, addr, len, flags, a);
	a->listens = s && s->state == SOCK_LISTEN;
	a->on_trial = a->listens && s->on_trial;
	a->blocks = a->listens && !s->nonblock && !s->rcvtimeo_ns;
	if (s && !s->nonblock && !s->rcvtimeo_ns)
		a->again_ns = listener_again_ns(s);
	if (a->unseen && sock.calm && sock.took && !a->on_trial)
		atomic_store(&s->calm, sock.calm);
	if (f)
		lock_leave();
	return r;
}

/* Is accept() the plain system call: is there no channel (calm.h), and nothing to be noted of clients? */
static bool accept_is_kernels(int fd)
{
	const struct sock *s = file_sock(fd_peek(fd));

	return s && is_calm_since(&s->calm);
}

/*
 * Wait for a client in the kernel's queue, as the kernel's accept() does. Return: 1: there is one, or was; 0: none until @until_ns; -EINVAL: @fd is
 * another socket by now; -EINTR ...
 */
static VJ_COLD int kernel_client_wait(int fd, uint64_t until_ns)
{
	struct file *f = file_enter(fd);
	struct pollfd client = { .fd = fd, .events = POLLIN };
	struct signal_trace before = sock_signals;
	struct hold hold;
	int r;

	if (!f)
		return 1;
	hold_begin(&hold, f); /* keeps @f allocated, so that another socket at this number can't have the same address */
	lock_leave();
	do {
		struct timespec ts = timespec_of(time_left(until_ns, sys_clock_ns()));

		r = undo_ppoll(&client, 1, &ts, NULL);
	} while (r == -EINTR && sock_undo == &hold.undo && before.interrupting == sock_signals.interrupting &&
		 (before.ran != sock_signals.ran || signals_restart()));
	lock_take();
	if (r >= 0 && fd_peek(fd) != f)
		r = -EINVAL;
	hold_end(&hold);
	lock_leave();
	return r;
}

static int accept_by_both(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct asked a = { .kernel_asked = false };
	int r, wait;

	do {
		r = accept_ours(fd, addr, len, flags, &a);
		wait = r == ASK_KERNEL && unlikely(a.again_ns != TIME_NEVER) ? kernel_client_wait(fd, a.again_ns) : 1;
		if (wait < 0)
			r = wait;
		if (r == ASK_KERNEL && wait)
			r = ker_accept4(fd, addr, len, flags);
		a.kernel_asked = wait > 0;
	} while (!wait || (r == -EAGAIN && (a.unseen || (unlikely(a.blocks) && queue_was_turn(fd)))));
	if (r >= 0)
		why_forget(r);
	if (unlikely(a.on_trial) && r >= 0)
		trial_got(fd);
	if (unlikely(!sock.took) && a.listens && r >= 0 && !fd_peek(r))
		sock.took = true;
	return r;
}

int sock_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r;

	if (accept_is_kernels(fd)) {
		r = ker_accept4(fd, addr, len, flags);
		if (r >= 0)
			why_forget(r);
		if (likely(r != -EAGAIN) || accept_is_kernels(fd))
			return (int)ret_errno(r);
	}
	return (int)ret_errno(accept_by_both(fd, addr, len, flags));
}
