// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram.c - UDP sockets: on the kernel always, and on channels beside it
 *
 * A UDP socket stays a working socket of the kernel. As soon as it has a port (bind(), or the first
 * datagram for an application of this host) the port is leased, too, and datagrams of applications
 * come in on channels. So
 *
 *	receiving	takes from both, the channel first, the kernel every KERNEL_TURN calls
 *			whatever waits on the channel
 *	sending		goes to the channel where vjd knows an application behind the address;
 *			what a channel cannot carry (control messages, multicast, what comes while
 *			it is full) goes to the kernel, which reaches the same program. So sending never waits for a program that does not run
 *
 * Whom a destination belongs to is remembered for ASK_AGAIN_MS in one table for the process. A
 * datagram that comes in says it, too: who uses the kernel is answered through the kernel, who uses
 * a channel through that. So a server does not ask about those whom it answers; the route to one on
 * a channel is asked for once, since an address in a datagram proves nothing.
 *
 * What the kernel does among several sockets or processes on one port is left to it: a socket that
 * shares its port, that a process forks before it has received, or that asks for what channels do
 * not give, stays with the kernel (dgram.stays). Not so those beside a connected one: that takes what
 * its peer sends, another one the rest.
 *
 * The program may close the descriptor while a thread waits, and another socket get its number: the
 * kernel's socket is reached by our own duplicate, lease_fd.
 *
 * A thread that waits in the kernel for this socket alone would not see the channel. Therefore a
 * socket with such a thread (dgram.in_kernel) is not put on channels until it has returned.
 */
#include "sock/priv.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
	ASK_AGAIN_MS = 1000,
	ASK_AFTER_TIMEOUT_S = 60,
	KERNEL_TURN = 16,
	DEST_CNT = 1024, /* power of two */
	DGRAM_BYTES_MAX = 65535,
	LOOPBACK_IFINDEX = 1,
	RUN_MAX = 64, /* messages that are sent together */
};

/* Datagrams in pieces; under the lock. */
static uint8_t scratch[DGRAM_BYTES_MAX];

/*
 * ---- destinations -------------------------------------------------------------------------------
 * ----------------
 */

struct dest {
	uint8_t addr[16]; /* IPv4 in IPv6 form */
	uint16_t port_be; /* 0: entry not in use */
	bool on_channel;
	uint64_t asked_ns;
};
static struct dest dests[DEST_CNT];

/* Return: false: not an address of this family, the kernel says so better. */
static bool dest_key(const struct sock *s, const struct sockaddr *sa, socklen_t len,
		     struct dest *ret_key)
{
	*ret_key = (struct dest){ .port_be = 0 };
	if (s->family == AF_INET && len >= sizeof(struct sockaddr_in) &&
	    sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		ret_key->addr[10] = ret_key->addr[11] = 0xff;
		memcpy(&ret_key->addr[12], &in.sin_addr, 4);
		ret_key->port_be = in.sin_port;
	} else if (s->family == AF_INET6 && len >= sizeof(struct sockaddr_in6) &&
		   sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(ret_key->addr, &in6.sin6_addr, 16);
		ret_key->port_be = in6.sin6_port;
	}
	return ret_key->port_be != 0;
}

static struct dest *dest_slot(const struct dest *key)
{
	uint32_t words[4], hash = key->port_be;

	memcpy(words, key->addr, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		hash = (hash ^ words[i]) * 2654435761u;
	return &dests[(hash >> 16) % DEST_CNT];
}

static bool dest_is(const struct dest *d, const struct dest *key)
{
	return d->port_be == key->port_be && memcmp(d->addr, key->addr, sizeof(key->addr)) == 0;
}

static void dest_learn(const struct sock *s, const struct sockaddr *sa, socklen_t len,
		       bool on_channel)
{
	struct dest key, *d;

	if (!dest_key(s, sa, len, &key))
		return;
	d = dest_slot(&key);
	if (d->on_channel && !on_channel && dest_is(d, &key))
		return; /* it was full, or so; the channel is there */
	*d = key;
	d->on_channel = on_channel;
	d->asked_ns = sys_clock_ns();
}

static void dest_forget(const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dest key;

	if (dest_key(s, sa, len, &key) && dest_is(dest_slot(&key), &key))
		dest_slot(&key)->port_be = 0;
}

void dgram_dests_forget(void)
{
	for (size_t i = 0; i < DEST_CNT; i++)
		dests[i].port_be = 0;
}

/*
 * ---- on and off channels ------------------------------------------------------------------------
 * ----------------
 */

void dgram_close(struct sock *s)
{
	if (s->dgram->open && sock.vj)
		vj_udp_close(sock.vj, s->dgram->udp);
	s->dgram->open = false;
	own_fd_close(s->lease_fd);
	s->lease_fd = -1;
}

/* For good, and with what has come over channels and not been read */
static void dgram_stay(struct sock *s, enum report_why why)
{
	dgram_close(s);
	s->dgram->stays = true;
	s->why = (uint8_t)why;
}

/* Two sockets of ours hear anyone at one port: it is the kernel that knows which datagram is whose. */
static void port_leave(uint16_t port_be)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		struct sockaddr_storage at;

		if (f->kind != FILE_SOCK || sock_of(f)->state != SOCK_UDP ||
		    !sock_of(f)->dgram->open)
			continue;
		vj_udp_addr(sock.vj, sock_of(f)->dgram->udp, &at);
		if (((struct sockaddr_in *)&at)->sin_port == port_be)
			dgram_stay(sock_of(f), REPORT_WHY_SHARED_PORT);
	}
}

/* It heard one peer, and shall hear anyone again. */
static void dgram_disconnected(struct sock *s)
{
	struct sockaddr_storage local;

	if (!vj_udp_connect(sock.vj, s->dgram->udp, NULL, 0))
		return;
	vj_udp_addr(sock.vj, s->dgram->udp, &local);
	port_leave(((struct sockaddr_in *)&local)->sin_port);
}

void dgram_forked(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP &&
		    sock_of(f)->dgram->open && sock_of(f)->dgram->turn == 0)
			dgram_stay(sock_of(f), REPORT_WHY_FORKED);
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
	s->lease_fd = OWN_FD_MAKE(sys_fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (s->lease_fd < 0)
		return s->lease_fd;
	err = vj_udp_open(sock.vj, (struct sockaddr *)&local, len, sock_lease_flags(fd, s),
			  s->lease_fd, (uint64_t)(uintptr_t)s, &d->udp);
	if (err) {
		own_fd_close(s->lease_fd);
		s->lease_fd = -1;
		ctx_say("UDP: no channel: %s", strerror(-err));
		if (err == -EADDRINUSE) {
			d->stays = true;
			s->why = REPORT_WHY_SHARED_PORT;
		}
		port_leave(((struct sockaddr_in *)&local)->sin_port); /* what is for this one would come to those */
		return err;
	}
	d->open = true;
	dgram_apply_mtu(s);
	if (d->peer_len)
		vj_udp_connect(sock.vj, d->udp, (struct sockaddr *)&d->peer, d->peer_len);
	watches_move(&s->file, WATCH_BOTH);
	return 0;
}

/* Not before this time: a daemon that does not answer costs 2 s each time it is asked. */
static uint64_t ask_ns;

static bool dest_ask(const struct sockaddr *sa, socklen_t len)
{
	int err = vj_udp_reach(sock.vj, sa, len);

	if (err == -ETIMEDOUT)
		ask_ns = sys_clock_ns() + ASK_AFTER_TIMEOUT_S * NS_PER_SEC;
	return !err;
}

/* Is it to be asked for on channels at all? */
static bool dgram_may_open(const struct sock *s)
{
	return !s->dgram->stays && !s->dgram->in_kernel && !is_foreign();
}

/* Does a datagram to this address go over a channel? Asks, and puts the socket on channels, if need be. */
static bool dgram_to_channel(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dest key, *d;
	uint64_t now_ns;

	if (!sa || !len || (!s->dgram->open && !dgram_may_open(s)) ||
	    !dest_key(s, sa, len, &key))
		return false;
	d = dest_slot(&key);
	if (dest_is(d, &key) && d->on_channel && s->dgram->open)
		return true;
	now_ns = sys_clock_ns();
	if (!dest_is(d, &key) || now_ns - d->asked_ns >= ASK_AGAIN_MS * NS_PER_MS) {
		*d = key;
		d->asked_ns = now_ns;
		d->on_channel = now_ns >= ask_ns && board_says(sa, len, true) == REPORT_WHY_NONE && sock_addr_is_ours(s, sa, len) && !ctx_get() &&
				dest_ask(sa, len);
	}
	return d->on_channel && (s->dgram->open || (!ctx_get() && !dgram_open(fd, s)));
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
	int err;

	if (!dgram_may_open(s) || sys_getsockname(fd, (struct sockaddr *)&local, &len) ||
	    is_multicast(&local))
		return 0;
	err = ctx_get();
	if (!err)
		err = dgram_open(fd, s);
	return err && sock.strict ? -ENETDOWN : 0;
}

int dgram_connect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct dgram *d = s->dgram;
	int r = sys_connect(fd, addr, len); /* does not wait */

	if (r)
		return r;
	if (addr->sa_family == AF_UNSPEC || len > sizeof(d->peer)) {
		d->peer_len = 0;
		if (!s->bound) /* the kernel has taken the port away */
			dgram_close(s);
		else if (d->open)
			dgram_disconnected(s);
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
		{ IPPROTO_UDP, 104 /* UDP_GRO */ },
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
	if (level == IPPROTO_UDP && on) /* corked, segmented: there */
		d->sends_to_kernel = true;
	if (option_stays(level, name) && on)
		dgram_stay(s, REPORT_WHY_OPTION);
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

static void control_fill(const struct sock *s, struct msghdr *msg,
			 const struct sockaddr_storage *to)
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

/* Return: as recvmsg(); -EAGAIN: nothing on channels. */
static long channel_recv(struct sock *s, struct msghdr *msg, int flags)
{
	size_t room = iov_bytes(msg), got;
	bool direct = msg->msg_iovlen == 1;
	struct sockaddr_storage from, to;
	ssize_t len;

	len = vj_udp_recv(sock.vj, s->dgram->udp, direct ? msg->msg_iov->iov_base : scratch,
			  direct ? room : min_size(room, sizeof(scratch)),
			  (flags & MSG_PEEK) != 0, &from, &to);
	if (len < 0)
		return len;
	got = min_size(room, (size_t)len);
	if (!direct)
		scatter(msg, scratch, got);
	msg->msg_flags = (size_t)len > room ? MSG_TRUNC : 0;
	if (msg->msg_name) {
		socklen_t name_len = msg->msg_namelen;

		sock_addr_copy(s, &from, msg->msg_name, &msg->msg_namelen);
		if (name_len >= msg->msg_namelen)
			dest_learn(s, msg->msg_name, msg->msg_namelen, true);
	}
	control_fill(s, msg, &to);
	return flags & MSG_TRUNC ? len : (long)got;
}

/* The kernel's, if there is one. */
static long kernel_take(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	long r = sys_recvmsg(fd, msg, flags | MSG_DONTWAIT);

	if (r >= 0 && msg->msg_name && msg->msg_namelen)
		dest_learn(s, msg->msg_name, msg->msg_namelen, false);
	return r;
}

long dgram_recv(int fd, struct sock *s, struct msghdr *msg, int flags)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = fd,
			      .timeout_ns = s->rcvtimeo_ns };
	struct dgram *d = s->dgram;
	struct hold hold;
	long r;

	hold_begin(&hold, &s->file);
	for (;;) {
		if (!d->open || !sock.vj || (flags & MSG_ERRQUEUE)) {
			r = kernel_recv(fd, s, msg, flags);
			break;
		}
		b.kernel_fd = s->lease_fd;
		if (++d->turn % KERNEL_TURN) {
			r = channel_recv(s, msg, flags);
			if (r == -EAGAIN) {
				ctx_process();
				r = channel_recv(s, msg, flags);
			}
			if (r != -EAGAIN)
				break;
		}
		r = kernel_take(s->lease_fd, s, msg, flags);
		if (r != -EAGAIN)
			break;
		if (d->turn % KERNEL_TURN == 0)
			continue;
		if (s->shut_rd) {
			r = 0;
			break;
		}
		if (s->nonblock || (flags & MSG_DONTWAIT))
			break;
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
			memcpy(scratch + off, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		off += msg->msg_iov[i].iov_len;
	}
	return scratch;
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
	return !msg->msg_controllen && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)) &&
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
		r = channel_send(s, to, to_len, msg, len);
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

		if (msg->msg_iovlen != 1 || !channel_carries(s, msg, msg->msg_iov->iov_len, flags) ||
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
