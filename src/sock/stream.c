// SPDX-License-Identifier: BSD-2-Clause
/*
 * stream.c - a TCP socket's life: made, named, shut, gone. Connecting: connect.c; listening and accepting: accept.c
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/stream.h"
#include "sock/why.h"

#include "lib/connect.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* ---- level ----------------------------------------------------------------------------------------------------- */

/* SO_RCVLOWAT */
static VJ_COLD bool has_low_water(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	return vj_conn_info(sock.vj, s->conn, &info) || info.unread_bytes >= s->rcvlowat;
}

/* As tcp_poll() of the kernel maps a connection's state to poll bits. */
static uint32_t conn_level(const struct sock *s)
{
	uint32_t ready, mask = 0;

	if (s->state == SOCK_AWAY)
		return 0;
	if (s->state == SOCK_DEAD)
		return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP |
		       (s->failed ? 0 : (uint32_t)EPOLLERR);
	ready = vj_ready(sock.vj, s->conn);
	if (unlikely((ready & VJ_EV_ERROR) || s->failed || s->err)) {
		mask = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP;
		return s->failed && !s->err ? mask : mask | EPOLLERR;
	}
	if (s->state == SOCK_CONNECTING && !(ready & VJ_EV_CONNECTED))
		return 0;
	if ((ready & VJ_EV_READABLE) && (likely(!s->rcvlowat) || has_low_water(s)))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (unlikely(s->pumped) && away_pumped_bytes(s))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (zerocopy_waits(s))
		mask |= EPOLLERR;
	if ((ready & VJ_EV_WRITABLE) || s->shut_wr)
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (unlikely((ready & VJ_EV_EOF) || s->shut_rd)) {
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
		if (s->shut_wr)
			mask |= EPOLLHUP;
	}
	return mask;
}

uint32_t sock_level(const struct sock *s)
{
	if (s->state == SOCK_FRESH)
		return s->err ? (uint32_t)EPOLLERR : 0;
	if (s->state == SOCK_UDP)
		return dgram_level(s);
	if (s->state == SOCK_LISTEN)
		return s->has_listener && sock.vj && vj_listener_ready(sock.vj, s->listener)
			       ? (uint32_t)(EPOLLIN | EPOLLRDNORM)
			       : 0;
	return conn_level(s);
}

uint32_t file_level(struct file *f)
{
	if (f->kind == FILE_SOCK)
		return sock_level(sock_of(f));
	return f->kind == FILE_EPOLL ? set_level(set_of(f)) : 0;
}

/*
 * ---- birth and death
 * --------------------------------------------------------------------------------------------
 */

#define SOCK_TYPE (~(SOCK_NONBLOCK | SOCK_CLOEXEC)) /* of socket()'s second argument */

VJ_EARLY static void sock_track(int fd, int domain, int type)
{
	struct sock *s;

	if (sock_inside)
		return;
	lock_take();
	s = layer_init() ? sock_alloc() : NULL;
	if (s) {
		s->family = (uint8_t)domain;
		s->nonblock = (type & SOCK_NONBLOCK) != 0;
		if ((type & SOCK_TYPE) == SOCK_DGRAM) {
			s->dgram = dgram_new();
			s->state = SOCK_UDP;
		}
		if ((s->state == SOCK_UDP && !s->dgram) || fd_set_file(fd, &s->file)) {
			if (s->state == SOCK_UDP)
				free(s->dgram);
			sock_free(s);
		}
	}
	lock_leave();
}

/* Does this layer have a say in such a socket? */
static bool is_tracked(int domain, int type, int protocol)
{
	if ((domain != AF_INET && domain != AF_INET6) || sock.exiting)
		return false;
	if ((type & SOCK_TYPE) == SOCK_STREAM)
		return protocol == 0 || protocol == IPPROTO_TCP;
	return (type & SOCK_TYPE) == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
}

VJ_EARLY int sock_socket(int domain, int type, int protocol)
{
	int fd = sys_socket(domain, type, protocol);

	if (fd >= 0 && likely(!sock.barred) && is_tracked(domain, type, protocol)) {
		if (likely(!sock.rings))
			sock_track(fd, domain, type);
		else
			ring_has(fd);
	}
	return (int)ret_errno(fd);
}

bool conn_is_requeued(const struct sock *s)
{
	return sock.vj && sock_is_conn(s) && deed_has(sock.vj, s->conn);
}

VJ_EARLY void sock_destroy(struct sock *s)
{
	if (s->token ? s->state != SOCK_DEAD && (s->state == SOCK_AWAY || sock.vj) : unlikely(conn_is_requeued(s))) {
		away_destroy(s);
	} else if (sock.vj && sock_is_conn(s)) {
		if ((s->linger && !s->linger_s) || s->state == SOCK_CONNECTING)
			vj_conn_abort(sock.vj, s->conn);
		else
			vj_conn_close(sock.vj, s->conn);
	} else if (s->state == SOCK_LISTEN) {
		listener_close(s);
	}
	if (s->state == SOCK_UDP)
		dgram_free(s);
	if (s->lease_fd >= 0)
		own_fd_close(s->lease_fd);
	if (s->option_fd >= 0)
		own_fd_close(s->option_fd);
	for (struct watch *w = s->file.watches, *next; w; w = next) {
		next = w->next;
		watch_destroy(w);
	}
	if (s->opts)
		free(s->opts);
	sock_free(s);
}

VJ_EARLY void sock_give_to_kernel(int fd, struct sock *s, enum report_why why)
{
	why_note(fd, why);
	if (s->file.watches) /* of what is far away nothing is called, for programs that end soon after this */
		watches_move(&s->file, WATCH_KERNEL);
	fd_set_file(fd, NULL);
	file_put(&s->file);
}

long sock_fail(struct sock *s, long err)
{
	switch (err) {
	case -EAGAIN:
	case -EFAULT:
	case -ENOTCONN:
	case -EINVAL:
	case -ENOMEM:
	case -EPIPE:
		break;
	default:
		s->failed = true;
	}
	return err;
}

void sock_fail_later(struct sock *s, long err)
{
	if (!s->failed || err == -EAGAIN || err == -EINTR || err == -EPIPE)
		return;
	s->failed = false;
	s->err = (uint16_t)-err;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static void map_v4(const struct sockaddr_in *from, struct sockaddr_in6 *to)
{
	memset(to, 0, sizeof(*to));
	to->sin6_family = AF_INET6;
	to->sin6_port = from->sin_port;
	to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&to->sin6_addr.s6_addr[12], &from->sin_addr, 4);
}

static void unmap_v4(const struct sockaddr_in6 *from, struct sockaddr_in *to)
{
	memset(to, 0, sizeof(*to));
	to->sin_family = AF_INET;
	to->sin_port = from->sin6_port;
	memcpy(&to->sin_addr, &from->sin6_addr.s6_addr[12], 4);
}

int sock_addr_copy(const struct sock *s, const struct sockaddr_storage *from, struct sockaddr *to,
		   socklen_t *len)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t whole = s->family == AF_INET ? sizeof(addr.in) : sizeof(addr.in6);

	if (!to || !len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (s->family == AF_INET && from->ss_family == AF_INET6)
		unmap_v4((const struct sockaddr_in6 *)from, &addr.in);
	else if (s->family == AF_INET6 && from->ss_family == AF_INET)
		map_v4((const struct sockaddr_in *)from, &addr.in6);
	else
		memcpy(&addr, from, whole);
	memcpy(to, &addr, min_u32(*len, whole));
	*len = whole;
	return 0;
}

bool conn_is_connected(const struct sock *s)
{
	ctx_process();
	return s->state == SOCK_CONNECTED && !s->failed && (vj_ready(sock.vj, s->conn) & VJ_EV_CONNECTED);
}

/* Of a connection wherever it is */
static int token_names(int fd, const struct sock *s, struct sockaddr *addr, socklen_t *len, bool remote)
{
	struct deed_names names;

	if (!deed_names(fd, &names))
		return -ENOTCONN;
	return sock_addr_copy(s, remote ? &names.remote : &names.local, addr, len);
}

/* The kernel's answer; of a token that was left to its calls, that of the connection behind it */
VJ_EARLY static int kernel_names(int fd, struct sockaddr *addr, socklen_t *len, bool remote)
{
	struct deed_names names;
	struct sock like = { 0 };

	if (likely(!away_is_left(fd)) || !deed_names(fd, &names))
		return remote ? sys_getpeername(fd, addr, len) : sys_getsockname(fd, addr, len);
	like.family = names.sock6 ? AF_INET6 : AF_INET;
	return token_names(fd, &like, addr, len, remote);
}

/* The program is told its port: from here on it is that one. */
static void forget_any_port(int fd)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;

	if (!f)
		return;
	if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP)
		dgram_named(fd, sock_of(f));
	if (f->kind == FILE_SOCK)
		sock_of(f)->any_port = false;
	lock_leave();
}

/* The port is at the same place in both families. */
static bool names_no_port(const struct sockaddr *addr, socklen_t len)
{
	return len >= sizeof(struct sockaddr_in) && ((const struct sockaddr_in *)addr)->sin_port == 0;
}

VJ_EARLY int sock_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_storage local;
	struct sock *s = likely(fd_peek(fd) != NULL) ? name_enter(fd) : NULL;
	int err;

	if (!s) {
		forget_any_port(fd);
		return (int)ret_errno(kernel_names(fd, addr, len, false));
	}
	if (s->token) {
		err = token_names(fd, s, addr, len, false);
		lock_leave();
		return (int)ret_errno(err);
	}
	if (s->state == SOCK_DEAD) {
		lock_leave();
		return (int)ret_errno(sys_getsockname(fd, addr, len));
	}
	vj_conn_addrs(sock.vj, s->conn, &local, NULL);
	err = sock_addr_copy(s, &local, addr, len);
	lock_leave();
	return (int)ret_errno(err);
}

VJ_EARLY int sock_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_storage remote;
	struct sock *s = likely(fd_peek(fd) != NULL) ? name_enter(fd) : NULL;
	int err = -ENOTCONN;

	if (!s)
		return (int)ret_errno(kernel_names(fd, addr, len, true));
	if (s->state == SOCK_AWAY) {
		err = token_names(fd, s, addr, len, true);
	} else if (conn_is_connected(s)) {
		vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
		err = sock_addr_copy(s, &remote, addr, len);
	} else if (s->state == SOCK_KERNEL) { /* by looking */
		err = kernel_names(fd, addr, len, true);
	}
	lock_leave();
	return (int)ret_errno(err);
}

/* The kernel's answer for a connection, which has a name; its socket below has none. What is wrong with the address comes first, mostly. */
static VJ_COLD int conn_bind(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	int fd = OWN_FD_MAKE(sys_socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_storage copy = { 0 };
	int r = -EINVAL;

	if (fd < 0)
		return fd;
	if (is_wild(addr) || len < sizeof(struct sockaddr_in)) {
		r = sys_bind(fd, addr, len);
	} else if (len <= sizeof(copy)) {
		memcpy(&copy, addr, len);
		((struct sockaddr_in *)&copy)->sin_port = 0; /* at the same place in sockaddr_in6; nobody is to be in the way */
		r = sys_bind(fd, (struct sockaddr *)&copy, len);
	}
	own_fd_close(fd);
	return !r || (r == -EADDRNOTAVAIL && s->family == AF_INET6) ? -EINVAL : r;
}

/* The kernel, or the connection, has taken it. Return: 0; -ENETDOWN: strict, and no channel */
static int bound(int fd, struct file *f, bool any_port)
{
	if (f->kind != FILE_SOCK)
		return 0;
	sock_of(f)->bound = true;
	sock_of(f)->any_port = any_port;
	return sock_of(f)->state == SOCK_UDP ? dgram_bound(fd, sock_of(f)) : 0;
}

int sock_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	bool is_channel = f && f->kind == FILE_SOCK && sock_is_channel(sock_of(f));
	int r = is_channel ? conn_bind(sock_of(f), addr, len) : sys_bind(fd, addr, len);

	if (f) {
		if (r == 0)
			r = bound(fd, f, names_no_port(addr, len));
		lock_leave();
	}
	return (int)ret_errno(r);
}

int sock_bound(int fd)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	int r = f ? bound(fd, f, false) : 0;

	if (f)
		lock_leave();
	return (int)ret_errno(r);
}

/* ---- connect --------------------------------------------------------------------------------------------------- */

/*
 * Only an address of this host can be bound to: cheaper than reading the address list. A broadcast
 * address can, too, but not be connected to.
 */
static bool can_be_bound(const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage copy = { 0 };
	int fd = sys_socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd == -EMFILE) /* the program has used up its own: that says nothing about the address */
		fd = OWN_FD_MAKE(sys_socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return false;
	memcpy(&copy, addr, min_size(len, sizeof(copy)));
	((struct sockaddr_in *)&copy)->sin_port = 0; /* at the same place in sockaddr_in6 */
	r = sys_bind(fd, (struct sockaddr *)&copy, len);
	if (!r) {
		((struct sockaddr_in *)&copy)->sin_port = htons(9);
		r = sys_connect(fd, (struct sockaddr *)&copy, len);
	}
	own_fd_close(fd);
	return r == 0;
}

#define LOOPBACK_BROADCAST UINT32_C(0x7fffffff)

static bool is_local4(uint32_t addr_be, const struct sockaddr *sa, socklen_t len)
{
	uint32_t addr = ntohl(addr_be);

	return (addr >> 24 == 127 && addr != LOOPBACK_BROADCAST) || addr == INADDR_ANY ||
	       (sa && !IN_MULTICAST(addr) && can_be_bound(sa, len));
}

bool sock_addr_is_local(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	if (s->family == AF_INET && addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in))
		return is_local4(((const struct sockaddr_in *)addr)->sin_addr.s_addr, addr, len);
	if (s->family == AF_INET6 && addr->sa_family == AF_INET6 &&
	    len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			struct sockaddr_in in;

			unmap_v4(in6, &in);
			return is_local4(in.sin_addr.s_addr, (struct sockaddr *)&in, sizeof(in));
		}
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
		       IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
		       (!IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) && can_be_bound(addr, len));
	}
	return false;
}

/* The network, by way of an interface of the host. What means one host among many only, and what has a zone, is the kernel's. */
static bool is_beyond(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	if (s->family == AF_INET && addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		uint32_t v4 = ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr);

		return !IN_MULTICAST(v4) && v4 != INADDR_BROADCAST;
	}
	if (s->family == AF_INET6 && addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;

		return !IN6_IS_ADDR_MULTICAST(v6) && !IN6_IS_ADDR_LINKLOCAL(v6);
	}
	return false;
}

bool sock_addr_is_ours(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	if (sock_addr_is_local(s, addr, len))
		return true;
	return is_beyond(s, addr, len) && !ctx_get() && vj_has_interface(sock.vj);
}

/* ---- shutdown -------------------------------------------------------------------------------------------------- */

/*
 * The peer has not answered yet: the connection is given up, and the socket as if new, but for an error that it tells once (inet_shutdown() and
 * tcp_disconnect() of the kernel). A token has no socket of the kernel's that it could be again.
 */
static bool is_given_up(struct sock *s)
{
	if (s->state != SOCK_CONNECTING || s->token)
		return false;
	ctx_process();
	if (s->state != SOCK_CONNECTING || s->failed || (vj_ready(sock.vj, s->conn) & (VJ_EV_CONNECTED | VJ_EV_ERROR)))
		return false;
	conn_drop(s);
	s->err = ECONNRESET;
	file_fire(&s->file, EPOLLOUT | EPOLLWRNORM | EPOLLHUP | EPOLLERR);
	return true;
}

static int conn_shutdown(int fd, struct sock *s, int how)
{
	int err = 0;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (is_given_up(s))
		return 0;
	if (!sock_is_conn(s)) /* the kernel's, by looking */
		return sys_shutdown(fd, how);
	if (!conn_is_connected(s)) {
		if (s->state == SOCK_KERNEL)
			return sys_shutdown(fd, how);
		s->cut |= s->connect_async;
		return -ENOTCONN;
	}
	s->connect_async = false;
	if (how != SHUT_RD && !s->shut_wr) {
		err = s->token ? deed_shutdown(sock.vj, s->conn) : vj_shutdown(sock.vj, s->conn);
		if (!err)
			s->shut_wr = true;
	}
	if (how != SHUT_WR)
		s->shut_rd = true;
	if (s->shut_rd && s->shut_wr)
		deed_shut_read(sock.vj, s->conn);
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLOUT | EPOLLWRNORM | EPOLLHUP);
	return err;
}

/* One that is not connected says so, and is shut all the same when it is. */
static int fresh_shutdown(int fd, struct sock *s, int how)
{
	int r = sys_shutdown(fd, how);

	if (r == -ENOTCONN) {
		s->shut_rd |= how != SHUT_WR;
		s->shut_wr |= how != SHUT_RD;
	}
	return r;
}

/* A listening socket stops, and who waits in accept() hears of it. */
static int listener_shutdown(int fd, struct sock *s, int how)
{
	int r = sys_shutdown(fd, how);

	if (r || how == SHUT_WR)
		return r;
	listener_close(s);
	watches_move(&s->file, WATCH_BOTH);
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLHUP);
	return 0;
}

int sock_shutdown(int fd, int how)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	struct sock *s = file_sock(f);
	int r;

	if (s && s->state == SOCK_AWAY && !away_claim(fd, s))
		r = sys_shutdown(fd, how);
	else if (s && sock_is_conn(s))
		r = conn_shutdown(fd, s, how);
	else if (s && s->state == SOCK_LISTEN && !is_foreign())
		r = listener_shutdown(fd, s, how);
	else if (s && s->state == SOCK_UDP)
		r = dgram_shutdown(fd, s, how);
	else if (s && s->state == SOCK_FRESH)
		r = fresh_shutdown(fd, s, how);
	else
		r = sys_shutdown(fd, how);
	if (f)
		lock_leave();
	return (int)ret_errno(r);
}
