// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram.c - UDP sockets: on the kernel always, and on channels beside it
 *
 * A UDP socket stays a working socket of the kernel. When the program reads from one that has a port, or sends from any to an
 * application of this host, the port is leased, too, and datagrams of applications come in on channels. So
 *
 *	receiving	takes from both, the channel first, the kernel every KERNEL_TURN calls whatever waits on the channel, and
 *			as long as there is more where the last one came from: whoever changes over keeps the order of his datagrams
 *	sending		goes to the channel where vjd knows an application behind the address (dest.c);
 *			what a channel cannot carry (control messages, multicast, what comes while
 *			it is full) goes to the kernel, which reaches the same program. So sending never waits for a program that does not run
 *
 * Not before it reads, and takes: a server that only waits, or looks at what has come (MSG_PEEK), and then forks a child or starts another
 * program to read it (socat, inetd), shares the kernel's queue with that one, as it expects. Sockets in a group of SO_REUSEPORT are leased at
 * bind(), else those of one process would get the part of another that hasn't read yet.
 *
 * Several sockets of a process at one port are all on channels or none is; who gets a datagram is decided as in the kernel: one that is connected to
 * its sender, else one of the group by the sender's hash, else the last one.
 *
 * What the kernel does among several processes at one port is left to it: a socket
 * that a process forks before it has received, or that asks for what channels do
 * not give, stays with the kernel (dgram.stays).
 *
 * The program may close the descriptor while a thread waits, and another socket get its number: the
 * kernel's socket is reached by our own duplicate, lease_fd.
 *
 * A thread that waits in the kernel for this socket alone would not see the channel. Therefore a
 * socket with such a thread (dgram.in_kernel) is not put on channels until it has returned.
 */
#include "sock/priv.h"

#include "lib/dgram.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

enum {
	KERNEL_TURN = 16,
	DGRAM_BYTES_MAX = 65535,
	LOOPBACK_IFINDEX = 1,
	RUN_MAX = 64, /* messages that are sent together */
	SEGMENT_IOVS = 16,
};

/* How many sockets are at a port, by its hash: most are alone, and need not look for others. */
enum { PORT_BUCKETS = 4096 };

/* There since the first UDP socket; under the lock. */
static struct {
	uint32_t at_ports[PORT_BUCKETS];
	uint8_t scratch[DGRAM_BYTES_MAX]; /* datagrams in pieces */
} *tables;

struct dgram *dgram_new(void)
{
	if (!tables)
		tables = pages_get(sizeof(*tables));
	return tables && dests_begin() ? calloc(1, sizeof(struct dgram)) : NULL;
}

/*
 * ---- which of ours are at a port ----------------------------------------------------------------
 * ----------------
 */

static uint32_t *at_port_be(uint16_t port_be)
{
	return &tables->at_ports[ntohs(port_be) % PORT_BUCKETS];
}

static void port_set(struct dgram *d, uint16_t port_be)
{
	if (d->port_be)
		--*at_port_be(d->port_be);
	if (port_be)
		++*at_port_be(port_be);
	d->port_be = port_be;
}

/*
 * ---- on and off channels ------------------------------------------------------------------------
 * ----------------
 */

static void dgram_close(struct sock *s)
{
	if (s->dgram->open && sock.vj)
		vj_udp_close(sock.vj, s->dgram->udp);
	s->dgram->open = false;
	own_fd_close(s->lease_fd);
	s->lease_fd = -1;
}

void dgram_free(struct sock *s)
{
	dgram_close(s);
	port_set(s->dgram, 0);
	free(s->dgram);
}

/* For good, and with what has come over channels and not been read */
static void dgram_stay(struct sock *s, enum report_why why)
{
	dgram_close(s);
	s->dgram->stays = true;
	s->why = (uint8_t)why;
}

/* One of ours at this port can't be on channels: what is for it must not come to the others. 0: no port */
static void port_leave(uint16_t port_be, enum report_why why)
{
	bool any = port_be && *at_port_be(port_be);

	for (int fd = fd_next(0); any && fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP && sock_of(f)->dgram->open && sock_of(f)->dgram->port_be == port_be)
			dgram_stay(sock_of(f), why);
	}
}

void dgram_forked(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		struct sock *s = f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP ? sock_of(f) : NULL;

		if (!s || !s->dgram->open || s->dgram->turn)
			continue;
		dgram_stay(s, REPORT_WHY_FORKED);
		port_leave(s->dgram->port_be, REPORT_WHY_FORKED);
	}
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

/* Lock held, context there. Return: 0; -errno: the kernel alone. */
static int dgram_open(int fd, struct sock *s)
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
	if (d->peer_len)
		vj_udp_connect(sock.vj, d->udp, (struct sockaddr *)&d->peer, d->peer_len);
	watches_move(&s->file, WATCH_BOTH);
	return 0;
}

/* Is it to be asked for on channels at all? */
static bool dgram_may_open(const struct sock *s)
{
	return !s->dgram->stays && !s->dgram->in_kernel && !is_foreign();
}

/* What is to be known of ours at one port */
struct at_port {
	bool any_open, any_stays;
	int next_fd; /* the first, in the order of bind(), that isn't open; -1: none */
};

static struct at_port port_look(uint16_t port_be)
{
	struct at_port p = { .next_fd = -1 };
	uint32_t first = UINT32_MAX;
	bool any = *at_port_be(port_be);

	for (int fd = fd_next(0); any && fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		const struct dgram *d = f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP ? sock_of(f)->dgram : NULL;

		if (!d || d->port_be != port_be)
			continue;
		p.any_open |= d->open;
		p.any_stays |= d->stays;
		if (!d->open && d->bound_nr < first) {
			first = d->bound_nr;
			p.next_fd = fd;
		}
	}
	return p;
}

/* As dgram_open(), of all sockets at the port. */
static int port_open(int fd, struct sock *s)
{
	struct at_port p;
	int err = 0;

	if (!s->dgram->port_be || *at_port_be(s->dgram->port_be) == 1)
		return dgram_open(fd, s);
	while (!err && (p = port_look(s->dgram->port_be)).next_fd >= 0) {
		struct sock *next = sock_of(fd_peek(p.next_fd));

		if (p.any_stays)
			dgram_stay(s, REPORT_WHY_SHARED_PORT);
		if (p.any_stays || !dgram_may_open(next)) /* ... or a thread waits for it in the kernel */
			err = -EBUSY;
		else
			err = dgram_open(p.next_fd, next);
	}
	if (err)
		port_leave(s->dgram->port_be, REPORT_WHY_SHARED_PORT);
	return err;
}

/* Does a datagram to this address go over a channel? Asks, and puts the socket on channels, if need be. */
static bool dgram_to_channel(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	if (!sa || !len || (!s->dgram->open && !dgram_may_open(s)))
		return false;
	return dest_on_channel(s, sa, len) && (s->dgram->open || (!ctx_get() && !port_open(fd, s)));
}

static bool is_multicast(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET)
		return IN_MULTICAST(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	return sa->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_MULTICAST(&((const struct sockaddr_in6 *)sa)->sin6_addr);
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
	p = port_look(((struct sockaddr_in *)&local)->sin_port);
	port_set(s->dgram, ((struct sockaddr_in *)&local)->sin_port);
	s->dgram->bound_nr = ++bound_cnt;
	if (s->dgram->stays && p.any_open)
		port_leave(s->dgram->port_be, REPORT_WHY_SHARED_PORT);
	if (!dgram_may_open(s))
		return 0;
	early = p.any_open || (sock_lease_flags(fd, s) & VJ_LISTEN_REUSEPORT);
	err = early || sock.strict ? ctx_get() : 0;
	if (!err && early)
		err = port_open(fd, s);
	return err && sock.strict ? -ENETDOWN : 0;
}

void dgram_reads(int fd, struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->open || d->tried || !d->port_be || !dgram_may_open(s))
		return;
	if (d->peer_len && !dest_on_channel(s, (struct sockaddr *)&d->peer, d->peer_len)) /* whoever else sends isn't heard */
		return;
	d->tried = true;
	if (!ctx_get())
		(void)port_open(fd, s);
}

int dgram_connect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct dgram *d = s->dgram;
	int r = sys_connect(fd, addr, len); /* does not wait */

	if (r)
		return r;
	if (addr->sa_family == AF_UNSPEC || len > sizeof(d->peer)) {
		d->peer_len = 0;
		if (!s->bound) { /* the kernel has taken the port away */
			dgram_close(s);
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
	int r = sys_shutdown(fd, how);

	if (r && r != -ENOTCONN)
		return r;
	s->shut_rd |= how != SHUT_WR;
	s->shut_wr |= how != SHUT_RD;
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP | EPOLLOUT);
	return r;
}

/*
 * ---- the kernel's part, without the lock --------------------------------------------------------
 * ----------------
 */

static void kernel_left(void *arg)
{
	struct sock *s = arg;

	lock_take();
	s->dgram->in_kernel--;
	file_put(&s->file);
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
	if (!undo_pop(&h->undo))
		return;
	h->sock->dgram->in_kernel--;
	file_put(&h->sock->file);
}

static long kernel_recv(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	struct dgram_hold h;
	long r;

	dgram_kernel_begin(&h, s);
	r = ker_recvmsg(fd, msg, flags);
	dgram_kernel_end(&h);
	return r;
}

static long kernel_send(int fd, struct sock *s, const struct msghdr *msg, int flags)
{
	struct dgram_hold h;
	long r;

	dgram_kernel_begin(&h, s);
	r = ker_sendmsg(fd, msg, flags);
	dgram_kernel_end(&h);
	return r;
}

/*
 * ---- control messages ---------------------------------------------------------------------------
 * ----------------
 */

/* What comes with datagrams, or which come at all, and no channel knows of */
static bool option_stays(int level, int name)
{
	static const struct {
		int level, name;
	} kernel_only[] = {
		{ SOL_SOCKET, SO_BINDTODEVICE },  { SOL_SOCKET, SO_ATTACH_FILTER },
		{ SOL_SOCKET, SO_ATTACH_BPF },	  { SOL_SOCKET, SO_TIMESTAMPING },
		{ SOL_SOCKET, SO_RXQ_OVFL },	  { IPPROTO_IP, IP_RECVTTL },
		{ IPPROTO_IP, IP_RECVTOS },	  { IPPROTO_IP, IP_RECVOPTS },
		{ IPPROTO_IP, IP_RETOPTS },	  { IPPROTO_IP, IP_RECVORIGDSTADDR },
		{ IPPROTO_IP, IP_RECVERR },	  { IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
		{ IPPROTO_IPV6, IPV6_RECVTCLASS }, { IPPROTO_IPV6, IPV6_RECVERR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kernel_only); i++)
		if (kernel_only[i].level == level && kernel_only[i].name == name)
			return true;
	return false;
}

void dgram_option(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	struct dgram *d = s->dgram;
	int on = 0;

	if (val && len >= sizeof(on))
		memcpy(&on, val, sizeof(on));
	else if (val && len)
		on = *(const uint8_t *)val;
	if (level == IPPROTO_UDP && name == UDP_SEGMENT)
		d->segment = on > 0 && on <= UINT16_MAX ? (uint16_t)on : 0;
	else if (level == IPPROTO_UDP && name == UDP_GRO)
		d->gro = on != 0;
	else if (level == IPPROTO_UDP && on) /* corked: there */
		d->sends_to_kernel = true;
	if (option_stays(level, name) && on) {
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
	if (level == IPPROTO_IP && name == IP_PKTINFO)
		d->wants_pktinfo = on != 0;
	else if (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO)
		d->wants_pktinfo6 = on != 0;
	else if (control_is_stamp(level, name))
		d->wants_stamp = on ? name : 0;
}

/* @segment: bytes of each of several datagrams in one, UDP_GRO; 0: it is one */
static void control_fill(const struct sock *s, struct msghdr *msg, const struct sockaddr_storage *to, int segment)
{
	const struct dgram *d = s->dgram;
	size_t used = 0;

	control_stamp(msg, &used, d->wants_stamp);
	if (d->wants_pktinfo && to->ss_family == AF_INET) {
		struct in_pktinfo info = { .ipi_ifindex = LOOPBACK_IFINDEX };

		info.ipi_addr = info.ipi_spec_dst = ((const struct sockaddr_in *)to)->sin_addr;
		control_put(msg, &used, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (d->wants_pktinfo6 && s->family == AF_INET6) {
		struct in6_pktinfo info = { .ipi6_ifindex = LOOPBACK_IFINDEX };
		struct sockaddr_in6 in6;
		socklen_t len = sizeof(in6);

		sock_addr_copy(s, to, (struct sockaddr *)&in6, &len);
		info.ipi6_addr = in6.sin6_addr;
		control_put(msg, &used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (segment)
		control_put(msg, &used, IPPROTO_UDP, UDP_GRO, &segment, sizeof(segment));
	msg->msg_controllen = used;
}

/*
 * ---- receiving ----------------------------------------------------------------------------------
 * ----------------
 */

static size_t iov_bytes(const struct msghdr *msg)
{
	size_t bytes = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		bytes += msg->msg_iov[i].iov_len;
	return bytes;
}

static void scatter(const struct msghdr *msg, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < msg->msg_iovlen && len; i++) {
		size_t part = min_size(msg->msg_iov[i].iov_len, len);

		memcpy(msg->msg_iov[i].iov_base, from, part);
		from += part;
		len -= part;
	}
}

/* May more datagrams than one come in a call? Who leaves no room for the control message that tells them apart is given one. */
static bool takes_more(const struct sock *s, const struct msghdr *msg, int flags)
{
	return unlikely(s->dgram->gro) && !(flags & MSG_PEEK) && msg->msg_control && msg->msg_controllen >= CMSG_SPACE(sizeof(int));
}

/* Return: as recvmsg(); -EAGAIN: nothing on channels. */
static long channel_recv(struct sock *s, struct msghdr *msg, int flags)
{
	bool direct = msg->msg_iovlen == 1;
	size_t room = direct ? iov_bytes(msg) : min_size(iov_bytes(msg), DGRAM_BYTES_MAX), got, more = 0;
	uint8_t *buf = direct ? msg->msg_iov->iov_base : tables->scratch;
	struct sockaddr_storage from, to;
	ssize_t len;

	len = vj_udp_recv(sock.vj, s->dgram->udp, buf, room, (flags & MSG_PEEK) != 0, &from, &to);
	if (len < 0)
		return len;
	got = min_size(room, (size_t)len);
	if (takes_more(s, msg, flags) && room > got)
		more = dgram_recv_more(sock.vj, s->dgram->udp, buf + got, min_size(room, DGRAM_BYTES_MAX) - got, got, &from, &to);
	if (!direct)
		scatter(msg, tables->scratch, got + more);
	msg->msg_flags = (size_t)len > room ? MSG_TRUNC : 0;
	if (msg->msg_name) {
		socklen_t name_len = msg->msg_namelen;

		sock_addr_copy(s, &from, msg->msg_name, &msg->msg_namelen);
		if (name_len >= msg->msg_namelen)
			dest_learn(s, msg->msg_name, msg->msg_namelen, true);
	}
	control_fill(s, msg, &to, more ? (int)got : 0);
	return flags & MSG_TRUNC && !more ? len : (long)(got + more);
}

/* The kernel's, if there is one. */
static long kernel_take(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	socklen_t name_len = msg->msg_namelen;
	long r = sys_recvmsg(fd, msg, flags | MSG_DONTWAIT);

	/* the kernel says how long the name is, not how much of it there was room for */
	if (r >= 0 && msg->msg_name && name_len >= msg->msg_namelen)
		dest_learn(s, msg->msg_name, msg->msg_namelen, false);
	return r;
}

/* What there is now. Who has looked at one (MSG_PEEK) gets that one next, whatever else has come. Return: as recvmsg(). */
static long take(struct sock *s, struct msghdr *msg, int flags)
{
	struct dgram *d = s->dgram;
	bool peek = (flags & MSG_PEEK) != 0, turn, kernel;
	long r = -EAGAIN;

	d->turn += !peek;
	turn = d->turn % KERNEL_TURN == 0;
	kernel = d->peeked ? d->from_kernel : d->from_kernel != turn;
	for (int side = 0; side < 2 && r == -EAGAIN; side++, kernel = !kernel) {
		if (kernel) {
			r = kernel_take(s->lease_fd, s, msg, flags);
		} else {
			r = channel_recv(s, msg, flags);
			if (r == -EAGAIN) {
				ctx_process();
				r = d->open && sock.vj ? channel_recv(s, msg, flags) : -EAGAIN;
			}
		}
		if (r != -EAGAIN)
			d->from_kernel = kernel;
	}
	d->peeked = peek && r >= 0;
	return r;
}

long dgram_recv(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .timeout_ns = s->rcvtimeo_ns };
	struct dgram *d = s->dgram;
	struct hold hold;
	long r;

	hold_begin(&hold, &s->file);
	if (unlikely(!d->open) && !(flags & (MSG_PEEK | MSG_ERRQUEUE)))
		dgram_reads(fd, s);
	for (;;) {
		if (!d->open || !sock.vj || (flags & MSG_ERRQUEUE)) {
			r = kernel_recv(fd, s, msg, flags);
			break;
		}
		r = take(s, msg, flags);
		if (r != -EAGAIN)
			break;
		if (s->shut_rd) {
			r = 0;
			break;
		}
		if (s->nonblock || (flags & MSG_DONTWAIT))
			break;
		b.kernel_fd = s->lease_fd;
		r = block_wait(&b);
		if (r)
			break;
	}
	block_end(&b);
	hold_end(&hold);
	return r;
}

/*
 * ---- sending ------------------------------------------------------------------------------------
 * ----------------
 */

enum { TO_KERNEL = 1 + DGRAM_BYTES_MAX };

static const void *gather(const struct msghdr *msg)
{
	size_t off = 0;

	if (msg->msg_iovlen == 1)
		return msg->msg_iov->iov_base;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (msg->msg_iov[i].iov_len)
			memcpy(tables->scratch + off, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		off += msg->msg_iov[i].iov_len;
	}
	return tables->scratch;
}

/* A channel did not take one. Return: an error to report; TO_KERNEL: the kernel is to send it. */
static long channel_refused(const struct sock *s, const struct sockaddr *to, socklen_t to_len, long err)
{
	if (err != -EMSGSIZE && err != -EAGAIN && err != -ENOBUFS)
		dest_forget(s, to, to_len);
	return err == -ECONNREFUSED && s->dgram->peer_len ? err : TO_KERNEL;
}

/* Who gives frames back may wait for the one processor that we have. */
static VJ_COLD void give_way(void)
{
	lock_drop();
	SYS_CALL0(SYS_sched_yield);
	lock_take();
}

/* Return: @len, or as channel_refused() */
static long channel_send(struct sock *s, const struct sockaddr *to, socklen_t to_len,
			 const struct msghdr *msg, size_t len)
{
	long r = vj_udp_send(sock.vj, s->dgram->udp, to, to_len, gather(msg), len);

	if (r == -EAGAIN || r == -ENOBUFS) { /* frames, or enough of them, may have come back since we looked */
		if (sock.alone)
			give_way();
		ctx_process();
		if (s->dgram->open && sock.vj) /* `scratch` may be another thread's by now */
			r = vj_udp_send(sock.vj, s->dgram->udp, to, to_len, gather(msg), len);
	}
	return r == 0 ? (long)len : channel_refused(s, to, to_len, r);
}

/*
 * UDP_SEGMENT, of the socket or of this message, by a control message that is alone. Return: bytes of each datagram; 0: it is one; -1: there
 * are other control messages, or what the kernel refuses.
 */
static int segment_of(const struct sock *s, const struct msghdr *msg)
{
	const struct cmsghdr *c = msg->msg_controllen ? CMSG_FIRSTHDR(msg) : NULL;
	uint16_t segment = s->dgram->segment;

	if (!msg->msg_controllen)
		return segment;
	if (!c || !control_is_whole(msg, c) || c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_SEGMENT ||
	    c->cmsg_len != CMSG_LEN(sizeof(segment)) || msg->msg_controllen > CMSG_SPACE(sizeof(segment)))
		return -1;
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment;
}

/* What is left of @msg, through the kernel, which makes datagrams of it as well */
static long segments_rest(struct sock *s, const struct msghdr *msg, int flags, size_t skip)
{
	struct iovec iov[SEGMENT_IOVS];
	struct msghdr rest = *msg;
	size_t cnt = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		size_t part = min_size(skip, msg->msg_iov[i].iov_len);

		skip -= part;
		if (part < msg->msg_iov[i].iov_len)
			iov[cnt++] = (struct iovec){ (uint8_t *)msg->msg_iov[i].iov_base + part, msg->msg_iov[i].iov_len - part };
	}
	rest.msg_iov = iov;
	rest.msg_iovlen = cnt;
	return kernel_send(s->lease_fd, s, &rest, flags);
}

/*
 * Several datagrams of @segment bytes in one call. The kernel takes all or none; so what a channel has no room for goes the other way.
 * Return: @len, or as channel_refused().
 */
static long channel_send_segments(struct sock *s, const struct sockaddr *to, socklen_t to_len, const struct msghdr *msg, size_t len,
				  size_t segment, int flags)
{
	ssize_t sent;

	if (len > segment * DGRAM_SEGMENTS_MAX || msg->msg_iovlen > SEGMENT_IOVS)
		return TO_KERNEL;
	sent = dgram_send_segments(sock.vj, s->dgram->udp, to, to_len, gather(msg), len, segment);
	if (sent < 0)
		return channel_refused(s, to, to_len, sent);
	if ((size_t)sent < len)
		(void)segments_rest(s, msg, flags, (size_t)sent); /* lost, if the kernel has no room either */
	return (long)len;
}

/* Where the datagram goes: as it says, or as connect() did. */
static const struct sockaddr *send_to(const struct sock *s, const struct msghdr *msg,
				      socklen_t *ret_len)
{
	if (msg->msg_name && msg->msg_namelen) {
		*ret_len = msg->msg_namelen;
		return msg->msg_name;
	}
	*ret_len = s->dgram->peer_len;
	return (const struct sockaddr *)&s->dgram->peer;
}

bool dgram_sends_to_kernel(int fd, struct sock *s, const struct msghdr *msg)
{
	socklen_t len;
	const struct sockaddr *to = send_to(s, msg, &len);

	return s->dgram->sends_to_kernel || !dgram_to_channel(fd, s, to, len);
}

/* Is it one that channels carry, wherever it goes? */
static bool channel_carries(const struct sock *s, const struct msghdr *msg, size_t len, int flags)
{
	return segment_of(s, msg) >= 0 && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)) &&
	       !s->dgram->sends_to_kernel && !s->shut_wr && len <= DGRAM_BYTES_MAX;
}

long dgram_send(int fd, struct sock *s, const struct msghdr *msg, int flags)
{
	size_t len = iov_bytes(msg);
	const struct sockaddr *to;
	socklen_t to_len;
	struct hold hold;
	long r = TO_KERNEL;

	hold_begin(&hold, &s->file);
	to = send_to(s, msg, &to_len);
	if (flags & MSG_MORE) /* pieces of one datagram are put together there */
		s->dgram->sends_to_kernel = true;
	if (channel_carries(s, msg, len, flags) && dgram_to_channel(fd, s, to, to_len))
		r = segment_of(s, msg) && len > (size_t)segment_of(s, msg) ?
			    channel_send_segments(s, to, to_len, msg, len, (size_t)segment_of(s, msg), flags) :
			    channel_send(s, to, to_len, msg, len);
	if (r == TO_KERNEL)
		r = kernel_send(s->lease_fd >= 0 ? s->lease_fd : fd, s, msg, flags);
	hold_end(&hold);
	return r;
}

/* The first messages, as long as they are each in one piece and for the destination of the first. Return: how many. */
static unsigned run_of(const struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags, struct vj_udp_msg out[RUN_MAX])
{
	const struct msghdr *first = &msgs->msg_hdr;
	unsigned n;

	for (n = 0; n < cnt && n < RUN_MAX; n++) {
		const struct msghdr *msg = &msgs[n].msg_hdr;

		if (msg->msg_iovlen != 1 || segment_of(s, msg) || !channel_carries(s, msg, msg->msg_iov->iov_len, flags) ||
		    !msg->msg_name != !first->msg_name || msg->msg_namelen != first->msg_namelen ||
		    (msg->msg_name && memcmp(msg->msg_name, first->msg_name, msg->msg_namelen) != 0))
			break;
		out[n] = (struct vj_udp_msg){ .data = msg->msg_iov->iov_base, .len = (uint32_t)msg->msg_iov->iov_len };
	}
	return n;
}

long dgram_send_run(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags)
{
	struct vj_udp_msg out[RUN_MAX];
	unsigned n = cnt > 1 ? run_of(s, msgs, cnt, flags, out) : 0;
	const struct sockaddr *to;
	socklen_t to_len;
	long r;

	if (n < 2)
		return 0;
	to = send_to(s, &msgs->msg_hdr, &to_len);
	if (!dgram_to_channel(fd, s, to, to_len))
		return 0;
	r = vj_udp_send_batch(sock.vj, s->dgram->udp, to, to_len, out, n);
	if (r < 0)
		return channel_refused(s, to, to_len, r) == TO_KERNEL ? 0 : r;
	for (long i = 0; i < r; i++)
		msgs[i].msg_len = out[i].len;
	return r;
}

/*
 * ---- readiness ----------------------------------------------------------------------------------
 * ----------------
 */

uint32_t dgram_level(const struct sock *s)
{
	uint32_t ready;

	if (!s->dgram->open || !sock.vj) /* the kernel says all there is */
		return 0;
	ready = vj_udp_ready(sock.vj, s->dgram->udp);
	return EPOLLOUT | EPOLLWRNORM | (ready & VJ_EV_READABLE ? EPOLLIN | EPOLLRDNORM : 0u) |
	       (ready & VJ_EV_ERROR ? (uint32_t)EPOLLERR : 0u);
}

int dgram_next_bytes(struct sock *s)
{
	ssize_t len = -EAGAIN;

	if (s->dgram->open && sock.vj) {
		ctx_process();
		len = vj_udp_next_bytes(sock.vj, s->dgram->udp);
	}
	return len < 0 ? -EAGAIN : (int)len;
}
