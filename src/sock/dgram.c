// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram.c - UDP sockets: on the kernel always, and on channels beside it
 *
 * A UDP socket stays a working socket of the kernel. When the program reads from one that has a port, or sends from any to an
 * application of this host, the port is leased, too, and datagrams of applications come in on channels. So
 *
 *	receiving	takes from both: as long as there is more where the last one came from, so that whoever changes over keeps the order of his
 *			datagrams, though not for ever (IN_ROW_MAX) whatever waits at the other
 *	sending		goes to the channel where vjd knows an application behind the address (dest.c);
 *			what a channel cannot carry (control messages, multicast, what comes while
 *			it is full) goes to the kernel, which reaches the same program. So sending never waits for a program that does not run
 *
 * Not before it is worth that, a lease and the giving back of it. Who asks, by the kernel, before it is read from gets answers, and most are closed after
 * one: so it stays the kernel's until it is read from after DGRAM_FEW datagrams. So does who sends to somebody on channels if the last ones that did had sent few until
 * they were closed (dest.c): a socket for each question is how resolvers ask.
 *
 * Not before it reads, and takes: a server that only waits, or looks at what has come (MSG_PEEK), and then forks a child or starts another
 * program to read it (socat, inetd), shares the kernel's queue with that one, as it expects. Sockets in a group of SO_REUSEPORT are leased at
 * bind(), else those of one process would get the part of another that hasn't read yet; where the kernel chooses the port, when the program is told it.
 *
 * Several sockets of a process at one port are all on channels or none is; who gets a datagram is decided as in the kernel: one that is connected to
 * its sender, else one of the group by the sender's hash, else the last one.
 *
 * What the kernel does among several processes at one port is left to it: a socket that another process uses, too (dgram_copy.c), or that asks for what
 * channels do not give, stays with the kernel (dgram.stays). What has come over channels by then is read first.
 *
 * The program may close the descriptor while a thread waits, and another socket get its number: the
 * kernel's socket is reached by our own duplicate, lease_fd.
 *
 * A thread that waits in the kernel for this socket alone would not see the channel. Therefore a
 * socket with such a thread (dgram.in_kernel) is not put on channels until it has returned. On channels it waits there
 * only as long as there is no channel, and is called back (recall.c).
 */
#include "sock/cmsg.h"
#include "sock/ctx.h"
#include "sock/dest.h"
#include "sock/dgram_priv.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/process.h"
#include "sock/single.h"
#include "sock/stream.h"
#include "sock/undo.h"

#include "lib/dgram.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { IN_VAIN = 100 };

struct dgram_tables *dgram_tables;

struct dgram *dgram_new(void)
{
	struct dgram *d;

	if (!dgram_tables)
		dgram_tables = pages_get(sizeof(*dgram_tables));
	d = dgram_tables && dests_begin() ? calloc(1, sizeof(*d)) : NULL;
	if (d)
		d->parcel_fd = d->line_fd = d->name_fd = d->note_fd = -1;
	return d;
}

/* ---- on and off channels --------------------------------------------------------------------------------------- */

/* Threads that are about to send by it, without the lock, have only its number: then the last one closes it. */
static void lease_fd_drop(struct sock *s)
{
	if (s->dgram->open || s->dgram->in_kernel)
		return;
	own_fd_close(s->lease_fd);
	s->lease_fd = -1;
}

void dgram_close(struct sock *s, bool keep)
{
	struct dgram *d = s->dgram;

	dgram_pack(s, keep);
	if (d->open && sock.vj)
		vj_udp_close(sock.vj, d->udp);
	if (d->open && d->dest_nr)
		dest_carried(d->dest_nr, d->carried < DGRAM_FEW);
	d->open = false;
	lease_fd_drop(s);
}

void dgram_free(struct sock *s)
{
	dgram_left(s);
	dgram_close(s, false);
	port_set(s->dgram, 0);
	far_free(s->dgram);
	free(s->dgram);
}

void dgram_stay(struct sock *s, enum report_why why)
{
	dgram_close(s, true);
	s->dgram->stays = true;
	s->why = (uint8_t)why;
}

/* What the program has asked for, before or after the socket was on channels */
static void dgram_apply_mtu(const struct sock *s)
{
	const struct dgram *d = s->dgram;

	if (!d->open || !sock.vj)
		return;
	if (d->mtu_mode4)
		vj_udp_mtu_discover(sock.vj, d->udp, AF_INET, d->mtu_mode4 - 1);
	if (d->dontfrag6)
		vj_udp_mtu_discover(sock.vj, d->udp, AF_INET6, IPV6_PMTUDISC_DO);
	else if (s->family == AF_INET6)
		vj_udp_mtu_discover(sock.vj, d->udp, AF_INET6,
				    d->mtu_mode6 ? d->mtu_mode6 - 1 : IPV6_PMTUDISC_WANT);
}

static uint8_t byte_of(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	sys_getsockopt(fd, level, name, &value, &len);
	return (uint8_t)value;
}

/* Likewise, as the kernel says it: it knows what -1 means. One that was not set isn't asked for. */
static void dgram_apply_marks(int fd, const struct sock *s)
{
	const struct dgram *d = s->dgram;

	if (!d->open || !sock.vj)
		return;
	if (d->marked4)
		dgram_mark(sock.vj, d->udp, AF_INET, byte_of(fd, IPPROTO_IP, IP_TOS), byte_of(fd, IPPROTO_IP, IP_TTL));
	if (d->marked6)
		dgram_mark(sock.vj, d->udp, AF_INET6, byte_of(fd, IPPROTO_IPV6, IPV6_TCLASS),
			   byte_of(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
}

/*
 * SO_RCVBUF as the kernel has taken it, bounded, doubled or forced. There a datagram counts for what its buffer takes, 832 bytes at least; here, with a
 * quarter more, as many wait as there, whatever their size.
 */
static void dgram_apply_rcvbuf(int fd, const struct sock *s)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	if (s->dgram->open && sock.vj && !sys_getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) && bytes > 0)
		dgram_rcvbuf(sock.vj, s->dgram->udp, (uint32_t)bytes + (uint32_t)bytes / 4);
}

static int channels_open(int fd, struct sock *s)
{
	struct dgram *d = s->dgram;
	struct sockaddr_storage local = { .ss_family = s->family };
	socklen_t len = s->family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
	int err;

	if (!s->bound && !d->peer_len)
		sys_bind(fd, (struct sockaddr *)&local, len); /* as the first datagram does; or it has a port */
	err = sys_getsockname(fd, (struct sockaddr *)&local, &len);
	if (err)
		return err;
	port_set(d, ((struct sockaddr_in *)&local)->sin_port);
	s->lease_fd = OWN_FD_MAKE(sys_fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (s->lease_fd < 0)
		return s->lease_fd;
	err = vj_udp_open(sock.vj, (struct sockaddr *)&local, len, sock_lease_flags(fd, s) | DGRAM_OVER, s->lease_fd,
			  (uint64_t)(uintptr_t)s, &d->udp);
	if (err) {
		own_fd_close(s->lease_fd);
		s->lease_fd = -1;
		ctx_say("UDP: no channel: %s", strerror(-err));
		if (err == -EADDRINUSE) {
			d->stays = true;
			s->why = REPORT_WHY_SHARED_PORT;
		}
		port_leave(d->port_be, REPORT_WHY_SHARED_PORT);
		return err;
	}
	d->open = true;
	d->from_kernel = true; /* what is there came first */
	dgram_apply_mtu(s);
	dgram_apply_marks(fd, s);
	dgram_apply_rcvbuf(fd, s);
	if (d->peer_len)
		vj_udp_connect(sock.vj, d->udp, (struct sockaddr *)&d->peer, d->peer_len);
	watches_move(&s->file, WATCH_BOTH);
	return 0;
}

/* Lock held, context there. Return: 0; -errno: the kernel alone. */
int dgram_open(int fd, struct sock *s)
{
	int err;

	if (unlikely(sock_is_abroad(fd, s))) {
		dgram_stay(s, REPORT_WHY_NAMESPACE);
		return -EACCES;
	}
	err = dgram_hold(s) ? channels_open(fd, s) : -EBUSY;
	dgram_held(fd, s);
	return err;
}

/* Is it to be asked for on channels at all? */
bool dgram_may_open(const struct sock *s)
{
	return !s->dgram->stays && !s->dgram->in_kernel && !is_foreign();
}

static bool is_multicast(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET)
		return IN_MULTICAST(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	return sa->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_MULTICAST(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

static bool is_in_group(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return !sys_getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &len) && on;
}

int dgram_bound(int fd, struct sock *s)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	static uint32_t bound_cnt;
	struct at_port p;
	bool early;
	int err;

	if (is_foreign() || sys_getsockname(fd, (struct sockaddr *)&local, &len) || is_multicast(&local))
		return 0;
	port_set(s->dgram, ((struct sockaddr_in *)&local)->sin_port);
	s->dgram->bound_nr = ++bound_cnt;
	if (!dgrams_claim_at(s))
		return 0;
	p = port_look(s->dgram->port_be);
	if (s->dgram->stays && p.any_open)
		port_leave(s->dgram->port_be, REPORT_WHY_SHARED_PORT);
	if (!dgram_may_open(s))
		return 0;
	early = p.any_open || (!s->any_port && is_in_group(fd));
	err = early || sock.strict ? ctx_get() : 0;
	if (!err && early)
		err = port_open(fd, s);
	return err && sock.strict ? -ENETDOWN : 0;
}

void dgram_named(int fd, struct sock *s)
{
	struct dgram *d = s->dgram;

	if (s->any_port && d->port_be && !d->open && !d->spoke && dgram_may_open(s) && is_in_group(fd) && !ctx_get())
		(void)port_open(fd, s);
}

/*
 * Who waits for it by system calls of his own (a set of epoll of rustix's, as smol has) would never be told of what comes by channels. Such a one reads in vain once, and
 * then when there is something; who does so again and again doesn't wait at all.
 */
static bool is_waited_for(const struct sock *s, int flags)
{
	return (!s->nonblock && !(flags & MSG_DONTWAIT)) || sock.polls || s->dgram->in_vain >= IN_VAIN;
}

void dgram_reads(int fd, struct sock *s, int flags)
{
	struct dgram *d = s->dgram;

	if (unlikely(d->heir))
		(void)dgram_claim(s);
	if (flags & MSG_PEEK || d->open || d->tried || !is_waited_for(s, flags) || !(d->port_be || d->dest_nr) || !dgram_may_open(s))
		return;
	if (d->peer_len && !dest_on_channel(s, (struct sockaddr *)&d->peer, d->peer_len)) /* whoever else sends isn't heard */
		return;
	if (d->spoke && d->carried < DGRAM_FEW)
		return;
	d->tried = true;
	if (!ctx_get())
		(void)port_open(fd, s);
}

static bool has_no_port(int fd)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);

	return !sys_getsockname(fd, (struct sockaddr *)&local, &len) && !((struct sockaddr_in *)&local)->sin_port;
}

int dgram_connect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct dgram *d = s->dgram;
	int r;

	if (unlikely(d->heir) && !dgram_claim(s))
		return -EBADF;
	r = sys_connect(fd, addr, len); /* does not wait */
	if (r)
		return r;
	if (addr->sa_family == AF_UNSPEC || len > sizeof(d->peer)) {
		d->peer_len = 0;
		if (has_no_port(fd)) { /* the kernel has taken it away, as it was its own choice */
			s->bound = false;
			dgram_close(s, false);
			port_set(d, 0);
		} else if (d->open) {
			vj_udp_connect(sock.vj, d->udp, NULL, 0);
		}
		return 0;
	}
	memcpy(&d->peer, addr, len);
	d->peer_len = len;
	dgram_to_channel(fd, s, addr, len);
	if (d->open)
		vj_udp_connect(sock.vj, d->udp, addr, len);
	return 0;
}

/* Linux shuts a socket without a peer, too, and says that it has none. */
int dgram_shutdown(int fd, struct sock *s, int how)
{
	int r;

	if (unlikely(s->dgram->heir) && !dgram_claim(s))
		return -EBADF;
	r = sys_shutdown(fd, how);
	if (r && r != -ENOTCONN)
		return r;
	s->shut_rd |= how != SHUT_WR;
	s->shut_wr |= how != SHUT_RD;
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP | EPOLLOUT);
	return r;
}

/* ---- calls of the kernel that may wait, without the lock ------------------------------------------------------- */

static void kernel_end(struct sock *s)
{
	if (!--s->dgram->in_kernel)
		lease_fd_drop(s);
	file_put(&s->file);
}

static void kernel_left(void *arg)
{
	lock_take();
	kernel_end(arg);
	lock_leave();
}

void dgram_kernel_begin(struct dgram_hold *h, struct sock *s)
{
	file_get(&s->file);
	s->dgram->in_kernel++;
	h->sock = s;
	undo_push(&h->undo, kernel_left, s);
	lock_leave();
}

void dgram_kernel_end(struct dgram_hold *h)
{
	lock_take();
	if (undo_pop(&h->undo))
		kernel_end(h->sock);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

void dgram_option(int fd, struct sock *s, int level, int name, const void *val, socklen_t len)
{
	struct dgram *d = s->dgram;
	int on = option_value(val, len);

	if (level == IPPROTO_UDP && name == UDP_SEGMENT)
		d->segment = on > 0 && on <= UINT16_MAX ? (uint16_t)on : 0;
	else if (level == IPPROTO_UDP && name == UDP_GRO)
		d->gro = on != 0;
	else if (level == IPPROTO_UDP && on) /* corked: there */
		d->sends_to_kernel = true;
	if (option_is_kernels(s, level, name, val, len)) {
		dgram_stay(s, REPORT_WHY_OPTION);
		port_leave(d->port_be, REPORT_WHY_SHARED_PORT);
	}
	if (level == IPPROTO_IP && name == IP_MTU_DISCOVER)
		d->mtu_mode4 = (uint8_t)(on + 1);
	if (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER)
		d->mtu_mode6 = (uint8_t)(on + 1);
	if (level == IPPROTO_IPV6 && name == IPV6_DONTFRAG)
		d->dontfrag6 = on != 0;
	dgram_apply_mtu(s);
	if (level == IPPROTO_IP && (name == IP_TOS || name == IP_TTL))
		d->marked4 = true;
	else if (level == IPPROTO_IPV6 && (name == IPV6_TCLASS || name == IPV6_UNICAST_HOPS))
		d->marked6 = true;
	dgram_apply_marks(fd, s);
	if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE))
		dgram_apply_rcvbuf(fd, s);
	if (level == IPPROTO_IP && name == IP_PKTINFO)
		d->wants_pktinfo = on != 0;
	else if (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO)
		d->wants_pktinfo6 = on != 0;
	else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		d->v6only = on != 0;
	else if (cmsg_is_stamp(level, name))
		d->wants_stamp = on ? name : 0;
}

/* ---- readiness ------------------------------------------------------------------------------------------------- */

uint32_t dgram_level(const struct sock *s)
{
	uint32_t ready;

	if (!s->dgram->open || !sock.vj) /* the kernel says all the rest */
		return s->dgram->parcel ? dgram_parcel_level(s->dgram) : 0;
	ready = vj_udp_ready(sock.vj, s->dgram->udp);
	if (unlikely(ready & VJ_EV_ERROR)) /* which is read before a datagram is, but is none */
		return EPOLLOUT | EPOLLWRNORM | EPOLLERR | (vj_udp_next_bytes(sock.vj, s->dgram->udp) >= 0 ? EPOLLIN | EPOLLRDNORM : 0u);
	return EPOLLOUT | EPOLLWRNORM | (ready & VJ_EV_READABLE ? EPOLLIN | EPOLLRDNORM : 0u);
}

/* If the kernel has nothing now, then what it will have is from later. */
void dgram_arrived(struct sock *s)
{
	struct pollfd pfd = { .fd = s->lease_fd, .events = POLLIN };
	struct dgram *d = s->dgram;

	if (d->open && !d->peeked && !sys_poll_ms(&pfd, 1, 0))
		d->from_kernel = false;
}

int dgram_error(struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->open)
		return sock.vj ? vj_udp_error(sock.vj, d->udp) : 0;
	return d->parcel ? parcel_error(d->parcel) : 0;
}

long dgram_kernel_error(struct sock *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	s->dgram->asks_kernel = false;
	return sys_getsockopt(s->lease_fd, SOL_SOCKET, SO_ERROR, &err, &len) ? 0 : -err;
}

long dgram_any_error(struct sock *s)
{
	int err = dgram_error(s);

	return err ? -err : s->dgram->open && s->dgram->asks_kernel ? dgram_kernel_error(s) : 0;
}

int dgram_next_bytes(struct sock *s)
{
	ssize_t len = -EAGAIN;
	int bytes = 0;

	if (unlikely(s->dgram->heir) && !dgram_claim(s))
		return -EAGAIN;
	if (!s->dgram->open && s->dgram->parcel)
		return dgram_parcel_bytes(s->dgram);
	if (s->dgram->open && sock.vj) {
		ctx_process();
		if (s->dgram->open && !s->dgram->yields && dgram_kernel_first(s->dgram) &&
		    !ker_ioctl(s->lease_fd, FIONREAD, (long)&bytes) && bytes > 0)
			return bytes;
		len = vj_udp_next_bytes(sock.vj, s->dgram->udp);
	}
	return len < 0 ? -EAGAIN : (int)len;
}
