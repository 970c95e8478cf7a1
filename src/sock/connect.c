// SPDX-License-Identifier: BSD-2-Clause
/* connect.c - connect(): on a channel, or the kernel's; once more, and undone */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/board.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/single.h"
#include "sock/stream.h"
#include "sock/unanswered.h"
#include "sock/wait.h"
#include "sock/why.h"

#include "lib/connect.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static bool is_v6(const struct sockaddr *addr)
{
	return addr->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

/* Return: 0: begun on a channel; -errno: not there. */
static int channel_connect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	unsigned cnt, how = sock.strict ? CONNECT_EARLY : CONNECT_EARLY | CONNECT_OR_KERNEL;
	struct connect_option opts[SOCK_OPTION_CNT];
	struct sockaddr_storage local;
	socklen_t local_len = sizeof(local);
	int err = ctx_get();

	if (err)
		return err;
	if (s->bound && sys_getsockname(fd, (struct sockaddr *)&local, &local_len))
		return -EINVAL;
	cnt = options_of(s, is_v6(addr), opts);
	err = connect_with(sock.vj, addr, len, s->bound ? (struct sockaddr *)&local : NULL, s->bound ? local_len : 0, opts, cnt, how,
			   (uint64_t)(uintptr_t)s, &s->conn);
	if (err == -EPERM && s->any_port) {
		((struct sockaddr_in *)&local)->sin_port = 0;
		err = connect_with(sock.vj, addr, len, (struct sockaddr *)&local, local_len, opts, cnt, how, (uint64_t)(uintptr_t)s, &s->conn);
	}
	if (err) {
		if (err != -EHOSTUNREACH)
			ctx_say("connect: no channel: %s", strerror(-err));
		return err;
	}
	s->state = SOCK_CONNECTING;
	s->refusals = 0;
	s->unanswered = false;
	s->failed = false;
	s->err = 0;
	watches_move(&s->file, WATCH_CHANNEL);
	return 0;
}

void conn_drop(struct sock *s)
{
	vj_conn_abort(sock.vj, s->conn);
	s->state = SOCK_FRESH;
	s->failed = s->connect_async = s->shut_rd = s->shut_wr = false;
	watches_move(&s->file, WATCH_BOTH);
}

/* Under all numbers that it has: what the kernel makes of one of them holds for the others. */
VJ_EARLY static void give_all_to_kernel(int fd, struct sock *s, enum report_why why)
{
	if (likely(s->file.refs == 1)) {
		sock_give_to_kernel(fd, s, why);
		return;
	}
	file_get(&s->file);
	for (fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		if (fd_peek(fd) == &s->file)
			sock_give_to_kernel(fd, s, why);
	file_put(&s->file);
}

/* For a connect() that returned already: the kernel goes on. Return: false: it refuses, too. */
static bool kernel_connect(struct sock *s, enum report_why why)
{
	struct sockaddr_storage remote;
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);
	int fd = fd_of_file(&s->file), err;

	if (fd < 0)
		return false;
	vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
	sock_addr_copy(s, &remote, (struct sockaddr *)&addr, &len);
	err = sys_connect(fd, (struct sockaddr *)&addr, len);
	if (err && err != -EINPROGRESS)
		return false;
	conn_drop(s); /* its watches are in the kernel again, too */
	give_all_to_kernel(fd, s, why);
	return true;
}

bool sock_connect_unanswered(struct sock *s)
{
	if (sock.strict)
		return false;
	if (!conn_is_direct(s))
		mute_note(s);
	else if (!conn_withdraw(sock.vj, s->conn))
		return false;
	s->unanswered = true;
	return s->connect_async && s->nonblock && kernel_connect(s, REPORT_WHY_UNANSWERED);
}

bool sock_connect_refused(struct sock *s)
{
	int err = vj_error(sock.vj, s->conn, false);

	if (err != ECONNREFUSED && err != ECONNRESET)
		return false;
	return sock_call_again(s) || (s->connect_async && s->nonblock && kernel_connect(s, REPORT_WHY_OWNER_GONE));
}

/*
 * Return: 0: connected; -EINPROGRESS: not yet; else why it failed, and the socket may be connected
 * again.
 */
static int connect_result(struct sock *s)
{
	int err;

	if (s->state == SOCK_DEAD || s->state == SOCK_FRESH || !sock.vj) /* FRESH: another thread that waited has had the result */
		return -ECONNABORTED;
	if (s->state == SOCK_AWAY || s->state == SOCK_KERNEL) /* it was connected before this thread had its turn */
		return 0;
	if (s->state == SOCK_CONNECTED || (vj_ready(sock.vj, s->conn) & VJ_EV_CONNECTED)) {
		s->state = SOCK_CONNECTED;
		return 0;
	}
	err = vj_error(sock.vj, s->conn, true);
	if (!err && !s->failed)
		return -EINPROGRESS;
	conn_drop(s);
	return err ? -err : -ECONNABORTED;
}

/* Return: as connect_result(); 1: it is better the kernel's, and the socket as if new */
static int connect_wait(struct sock *s)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .timeout_ns = s->sndtimeo_ns };
	int r;

	for (;;) {
		ctx_process();
		r = connect_result(s);
		/* a token has no socket of the kernel's behind it that could go on */
		if (unlikely(s->unanswered) && !s->token && (r == -EINPROGRESS || s->state == SOCK_FRESH)) {
			if (r == -EINPROGRESS)
				conn_drop(s);
			r = 1;
			break;
		}
		if (r != -EINPROGRESS)
			break;
		r = block_wait(&b);
		if (r) {
			s->connect_async = true;
			r = r == -EAGAIN ? -EINPROGRESS : r;
			break;
		}
	}
	block_end(&b);
	return r;
}

/* Connected, and over before connect() was asked again: the socket is as if new then, and why is told once. */
static int connect_came_to_nothing(struct sock *s)
{
	int err = conn_error(s);

	if (!s->token) /* a token has no socket of the kernel's that it could be again */
		conn_drop(s);
	return err ? -err : -ECONNABORTED;
}

/* connect() on a socket that is connecting, or connected, already. Return: as connect_wait() */
static int connect_again(struct sock *s)
{
	int r;

	if (s->state == SOCK_DEAD)
		return -ECONNABORTED;
	if (unlikely(s->cut))
		return -EINVAL;
	ctx_process();
	if (unlikely(s->state == SOCK_FRESH)) /* the kernel's, by that: it goes on connecting */
		return -EALREADY;
	if (s->state == SOCK_CONNECTED && s->connect_async && !conn_is_connected(s))
		return connect_came_to_nothing(s);
	r = connect_result(s);
	if (r == 0 && !s->connect_async)
		return -EISCONN;
	if (r == -EINPROGRESS && !s->nonblock)
		r = connect_wait(s);
	if (r == -EINPROGRESS)
		return -EALREADY;
	if (r != -EINTR)
		s->connect_async = false;
	return r;
}

/* An accepted socket gets a kernel socket of its own, as only other ones can be connected again. Return: 0; -errno. */
static int placeholder_leave(struct sock *s)
{
	int own = sys_socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0), from;

	if (own < 0)
		return own;
	from = option_fd(fd_of_file(&s->file), s, false);
	options_copy(from, own, options_differ(from, own));
	in_kernel_options(own, s);
	if (s->v6only)
		(void)sys_setsockopt(own, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		if (fd_peek(fd) == &s->file)
			ker_dup3(own, fd, sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0);
	sys_close(own);
	s->shared = false;
	own_fd_close(s->option_fd);
	s->option_fd = -1;
	return 0;
}

/* connect() to AF_UNSPEC: reset, and as if new */
static int conn_disconnect(int fd, struct sock *s)
{
	int err = s->shared ? placeholder_leave(s) : 0;
	int left = 0; /* to be told, as tcp_disconnect() of the kernel leaves it */

	if (err)
		return err;
	if (sock_is_conn(s)) {
		left = conn_error(s);
		if (!s->failed)
			left = ECONNRESET;
		if (unlikely(conn_is_requeued(s))) /* its deed has it; it ends when it is the kernel's */
			away_destroy(s);
		else
			vj_conn_abort(sock.vj, s->conn);
	}
	s->state = SOCK_FRESH;
	s->failed = s->shut_rd = s->shut_wr = s->connect_async = s->cut = false;
	s->err = (uint16_t)left;
	sys_fcntl(fd, F_SETFL, s->nonblock ? O_NONBLOCK : 0);
	watches_move(&s->file, WATCH_BOTH);
	return 0;
}

/* The same with a listening one, which then listens no more */
static int listener_disconnect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	int r = sys_connect(fd, addr, len);

	if (!r) {
		listener_close(s);
		watches_move(&s->file, WATCH_BOTH);
	}
	return r;
}

static int disconnect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	if (s->state == SOCK_LISTEN)
		return listener_disconnect(fd, s, addr, len);
	if (s->state != SOCK_FRESH)
		return s->token ? 1 : conn_disconnect(fd, s);
	s->shut_rd = s->shut_wr = false;
	return 1;
}

/* Why there is no channel to @addr. Nobody of this host has another host's address anyway: there it is the way that lacks. */
static enum report_why why_no_channel(const struct sock *s, const struct sockaddr *addr, socklen_t len, bool is_ours, long err)
{
	if (!is_ours || (err == -EHOSTUNREACH && !sock_addr_is_local(s, addr, len)))
		return REPORT_WHY_NOT_LOCAL;
	return why_of_error(err);
}

/*
 * After a wait, in which the lock was given up: another thread may have closed the number, or have waited too and given it away, and
 * @s be gone with it. Return: 1: the kernel's; -ECONNABORTED: the number is another socket's by now.
 */
static int give_waited(int fd, struct sock *s, enum report_why why)
{
	const struct file *f = fd_peek(fd);

	if (f && f != &s->file)
		return -ECONNABORTED;
	if (f)
		give_all_to_kernel(fd, s, why);
	return 1;
}

/* While we waited another thread's shutdown() has given it up, which is told once, or has told the result. */
static int connect_aborted(struct sock *s)
{
	int err = s->err ? -s->err : -ECONNABORTED;

	s->err = 0;
	return err;
}

int conn_fastopen(struct sock *s)
{
	return s->state == SOCK_CONNECTING || s->connect_async ? connect_again(s) : -EISCONN;
}

static int connect_once_more(int fd, struct sock *s)
{
	int r = connect_again(s);

	return r == 1 ? give_waited(fd, s, REPORT_WHY_UNANSWERED) : r;
}

/* IPv4, to a socket that has IPV6_V6ONLY */
static bool is_shut_out(int fd, const struct sock *s, const struct sockaddr *addr)
{
	return s->family == AF_INET6 && !is_v6(addr) && (sock_lease_flags(fd, s) & VJ_LISTEN_V6ONLY);
}

/* Return: 1: the kernel's; else what connect() returns. Lock held. */
VJ_EARLY static int connect_begin(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	enum report_why why;
	bool is_ours;
	int err;

	if (!is_wild(addr) && len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC)
		return disconnect(fd, s, addr, len);
	if (s->state != SOCK_FRESH)
		return s->state == SOCK_LISTEN ? 1 : connect_once_more(fd, s);
	if (is_wild(addr) || len < sizeof(addr->sa_family) || s->file.refs > UINT32_MAX - 2)
		return 1;
	if (unlikely(s->err) && addr->sa_family != s->family) /* that is still to be told */
		return sys_connect(fd, addr, len);
	if (unlikely(s->copied)) { /* who else has it would see no connection */
		give_all_to_kernel(fd, s, REPORT_WHY_FORKED);
		return 1;
	}
	why = board_says(addr, len, false);
	if (why != REPORT_WHY_NONE) {
		give_all_to_kernel(fd, s, why);
		return 1;
	}
	if (unlikely(sock_is_abroad(fd, s))) {
		give_all_to_kernel(fd, s, REPORT_WHY_NAMESPACE);
		return 1;
	}
	if (unlikely(fork_server_opens())) {
		give_all_to_kernel(fd, s, REPORT_WHY_BRIEF);
		return 1;
	}
	if (unlikely(sock.mute_cnt) && mute_is(addr, len)) {
		give_all_to_kernel(fd, s, REPORT_WHY_UNANSWERED);
		return 1;
	}
	if (unlikely(s->kernels_option || (s->own_mtu_mode && !sock_addr_is_local(s, addr, len)))) {
		(void)ctx_get(); /* for `vj why`, which asks by way of vjd */
		give_all_to_kernel(fd, s, REPORT_WHY_OPTION);
		return 1;
	}
	is_ours = !is_shut_out(fd, s, addr) && sock_addr_is_ours(s, addr, len);
	err = is_ours ? channel_connect(fd, s, addr, len) : -EHOSTUNREACH;
	if (unlikely(err == -EADDRINUSE) && s->bound)
		return -EADDRNOTAVAIL; /* there is a connection between these two already, of which the kernel knows nothing */
	if (err) {
		if (sock.strict && err != -EHOSTUNREACH && err != -ENETUNREACH && err != -EPERM)
			return -ENETDOWN;
		give_all_to_kernel(fd, s, why_no_channel(s, addr, len, is_ours, err));
		return 1;
	}
	if (s->nonblock) {
		s->connect_async = true;
		return -EINPROGRESS;
	}
	err = connect_wait(s);
	if (err == 1)
		return give_waited(fd, s, REPORT_WHY_UNANSWERED);
	if (err == -ECONNABORTED && s->state == SOCK_FRESH)
		return connect_aborted(s);
	if ((err != -ECONNREFUSED && err != -ECONNRESET) || s->state != SOCK_FRESH)
		return err;
	/* whoever held the port on channels does no more: the kernel knows whether anybody listens */
	return give_waited(fd, s, REPORT_WHY_OWNER_GONE);
}

VJ_EARLY int sock_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	int r = 1;

	if (f) {
		struct sock *s = f->kind == FILE_SOCK && !is_foreign() ? sock_of(f) : NULL;

		if (s && s->state == SOCK_UDP && !is_wild(addr) && len >= sizeof(addr->sa_family))
			r = dgram_connect(fd, s, addr, len);
		else if (s && s->state != SOCK_UDP)
			r = connect_begin(fd, s, addr, len);
		lock_leave();
	}
	return (int)ret_errno(r == 1 ? ker_connect(fd, addr, len) : r);
}
