// SPDX-License-Identifier: BSD-2-Clause
/*
 * option.c - socket options, as they are set; what is asked for is in option_get.c
 *
 * An option set before it is known where the socket goes is given to the kernel socket and
 * remembered; a connection on a channel gets it when it begins. Of such a connection's options
 *
 *	- those that programs set on each are libvj's alone (`maps`)
 *	- of the others the kernel socket below checks and keeps the value, and gives it back. A few have a meaning
 *	  on a channel as well (`kept`): libvj is told what the kernel has made of the value
 *
 * An accepted connection shares its kernel socket with others, so for the second kind it gets one of its
 * own, beside the number, when it first sets such an option.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/cmsg.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/info.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/option_priv.h"

#include "base/time.h"
#include "lib/connect.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* ---- the tables ------------------------------------------------------------------------------------------------ */

/* On the page of variables, as the next one is: a page of constants is one more for a program that sets one option. */
static struct option_map maps[] VJ_LATER = {
	{ IPPROTO_TCP, TCP_NODELAY, VJ_OPT_NODELAY, true, 1 },
	{ IPPROTO_TCP, TCP_CORK, VJ_OPT_CORK, true, 1 },
	{ IPPROTO_TCP, TCP_QUICKACK, VJ_OPT_QUICKACK, true, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, VJ_OPT_KEEPALIVE, true, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, VJ_OPT_KEEPIDLE_S, false, 1 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, VJ_OPT_KEEPINTVL_S, false, 1 },
	{ IPPROTO_TCP, TCP_KEEPCNT, VJ_OPT_KEEPCNT, false, 1 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, VJ_OPT_USER_TIMEOUT_MS, false, 1 },
	{ IPPROTO_TCP, TCP_MAXSEG, VJ_OPT_MAXSEG, false, 1 },
	{ SOL_SOCKET, SO_SNDBUF, VJ_OPT_SNDBUF, false, 2 },
	{ SOL_SOCKET, SO_RCVBUF, VJ_OPT_RCVBUF, false, 2 },
	{ IPPROTO_IP, IP_TOS, VJ_OPT_TOS, false, 1 },
	{ IPPROTO_IP, IP_TTL, VJ_OPT_TTL, false, 1 },
	{ IPPROTO_IPV6, IPV6_TCLASS, VJ_OPT_TOS, false, 1 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, VJ_OPT_TTL, false, 1 },
};

/* What the kernel made of a value, as libvj wants it */
static uint64_t as_is(uint64_t kernel)
{
	return (uint32_t)kernel;
}

static uint64_t as_rate(uint64_t kernel)
{
	return kernel == UINT64_MAX ? 0 : kernel;
}

static uint64_t as_linger2(uint64_t kernel)
{
	return (int32_t)kernel < 0 ? 255 : min_u32((uint32_t)kernel, 120);
}

struct kept {
	int level, name;
	enum vj_option opt;
	uint8_t bytes; /* of the value */
	bool listens; /* a listener on channels goes by it itself */
	uint64_t (*convert)(uint64_t kernel);
};

static const struct kept kept[] = {
	{ IPPROTO_TCP, TCP_SYNCNT, VJ_OPT_SYNCNT, 4, false, as_is },
	{ IPPROTO_TCP, TCP_LINGER2, VJ_OPT_LINGER2_S, 4, false, as_linger2 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, VJ_OPT_NOTSENT_LOWAT, 4, false, as_is },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, VJ_OPT_PACING, 8, false, as_rate },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, VJ_OPT_DEFER_ACCEPT_S, 4, true, as_is },
	{ IPPROTO_TCP, TCP_FASTOPEN, VJ_OPT_FASTOPEN_MAX, 4, true, as_is },
};

static const struct kept *kept_find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i].level == level && kept[i].name == name)
			return &kept[i];
	return NULL;
}

bool conn_is_v6(const struct sock *s, struct vj_conn c)
{
	struct sockaddr_storage remote;

	if (s->family == AF_INET)
		return false;
	vj_conn_addrs(sock.vj, c, NULL, &remote);
	return remote.ss_family == AF_INET6;
}

VJ_EARLY const struct option_map *option_map_find(const struct sock *s, int level, int name)
{
	bool of_ip = level == IPPROTO_IP || level == IPPROTO_IPV6;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (maps[i].level == level && maps[i].name == name)
			return of_ip && sock_is_conn(s) && conn_is_v6(s, s->conn) != (level == IPPROTO_IPV6) ? NULL : &maps[i];
	return NULL;
}

/* Return: 0; -ENOMEM. */
static int opts_make(struct sock *s)
{
	if (!s->opts)
		s->opts = calloc(1, sizeof(*s->opts));
	return s->opts ? 0 : -ENOMEM;
}

VJ_EARLY int options_remember(struct sock *s, unsigned opt, uint64_t value)
{
	if (opts_make(s))
		return -ENOMEM;
	s->opts->set |= UINT32_C(1) << opt;
	s->opts->value[opt] = value;
	return 0;
}

_Static_assert((int)SOCK_OPTION_CNT <= (int)CONNECT_OPTIONS_MAX, "all of them at once");

unsigned options_of(const struct sock *s, bool v6, struct connect_option *ret)
{
	uint32_t set;
	unsigned cnt = 0;

	if (likely(!s->opts))
		return 0;
	set = s->opts->set & ~(v6 ? UINT32_C(1) << VJ_OPT_TOS | UINT32_C(1) << VJ_OPT_TTL
				  : UINT32_C(1) << SOCK_OPTION_TOS6 | UINT32_C(1) << SOCK_OPTION_TTL6);
	for (unsigned i = 0; i < SOCK_OPTION_CNT; i++) {
		unsigned opt = i == SOCK_OPTION_TOS6 ? VJ_OPT_TOS : i == SOCK_OPTION_TTL6 ? VJ_OPT_TTL : i;

		if (set & UINT32_C(1) << i)
			ret[cnt++] = (struct connect_option){ (enum vj_option)opt, s->opts->value[i] };
	}
	return cnt;
}

void options_replay(const struct sock *from, struct vj_conn c)
{
	struct connect_option opts[SOCK_OPTION_CNT];
	unsigned cnt;

	if (likely(!from->opts))
		return;
	cnt = options_of(from, conn_is_v6(from, c), opts);
	for (unsigned i = 0; i < cnt; i++)
		vj_conn_option_set(sock.vj, c, opts[i].opt, opts[i].value);
}

/* IP's header, in the SYN-ACK, too */
static void marks_listen(const struct sock *s, int family, unsigned tos, unsigned ttl)
{
	const struct sock_options *opts = s->opts;
	bool has_tos = opts->set & UINT32_C(1) << tos, has_ttl = opts->set & UINT32_C(1) << ttl;

	if (has_tos || has_ttl)
		listener_mark(sock.vj, s->listener, family, has_tos ? (uint8_t)opts->value[tos] : 0,
			      has_ttl ? (uint8_t)opts->value[ttl] : TTL_DEFAULT);
}

/* A listener goes by some itself, and its SYN-ACKs say others. */
void options_listen(const struct sock *s)
{
	static const enum vj_option said[] = { VJ_OPT_MAXSEG, VJ_OPT_RCVBUF };

	if (!s->opts)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i].listens && (s->opts->set & UINT32_C(1) << kept[i].opt))
			vj_listener_option_set(sock.vj, s->listener, kept[i].opt, s->opts->value[kept[i].opt]);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++)
		if (s->opts->set & UINT32_C(1) << said[i])
			vj_listener_option_set(sock.vj, s->listener, said[i], s->opts->value[said[i]]);
	marks_listen(s, AF_INET, VJ_OPT_TOS, VJ_OPT_TTL);
	marks_listen(s, AF_INET6, SOCK_OPTION_TOS6, SOCK_OPTION_TTL6);
}

/* ---- set ------------------------------------------------------------------------------------------------------- */

/* Enough room? Then the number in @val. Options are ints, some may be given as a byte. */
static int int_in(const void *val, socklen_t len, int *ret_value)
{
	if (len < sizeof(int))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(ret_value, val, sizeof(int));
	return 0;
}

/* The kernel counts time-outs in its ticks, and tells them so. */
static uint64_t in_ticks(uint32_t us)
{
	struct timespec tick = { 0 };
	uint64_t hz;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_nsec <= 0)
		return us;
	hz = (NS_PER_SEC + (uint64_t)tick.tv_nsec / 2) / (uint64_t)tick.tv_nsec;
	return (us + US_PER_SEC / hz - 1) / (US_PER_SEC / hz) * US_PER_SEC / hz;
}

static int timeout_set(struct sock *s, int name, const void *val, socklen_t len)
{
	int err = int_in(val, len, &(int){ 0 });
	struct timeval tv;
	uint64_t ns;

	if (err || len < sizeof(tv))
		return err ? err : -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	/* negative: the kernel takes it as "at once", but never 0, which is for ever */
	ns = tv.tv_sec < 0 ? 1
			   : time_add_sat(time_mul_sat((uint64_t)tv.tv_sec, NS_PER_SEC), in_ticks((uint32_t)tv.tv_usec) * NS_PER_US);
	*(name == SO_RCVTIMEO ? &s->rcvtimeo_ns : &s->sndtimeo_ns) = ns;
	return 0;
}

static int linger_set(struct sock *s, const void *val, socklen_t len)
{
	int err = int_in(val, len, &(int){ 0 });
	struct linger l;

	if (err || len < sizeof(l))
		return err ? err : -EINVAL;
	memcpy(&l, val, sizeof(l));
	s->linger = l.l_onoff != 0;
	if (s->linger) /* else the time stays, and is told */
		s->linger_s = (uint32_t)l.l_linger;
	return 0;
}

static int rcvlowat_set(struct sock *s, const void *val, socklen_t len)
{
	uint64_t most = INT32_MAX;
	int value, err = int_in(val, len, &value);

	if (err)
		return err;
	if (value < 0)
		value = INT32_MAX;
	/* more than fits into the window never comes */
	if (sock_is_conn(s))
		vj_conn_option_get(sock.vj, s->conn, VJ_OPT_RCVBUF, &most);
	s->rcvlowat = min_u32((uint32_t)value, (uint32_t)most / 2);
	if (sock_is_conn(s))
		file_fire(&s->file, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static int zerocopy_set(struct sock *s, const void *val, socklen_t len)
{
	int value, err = int_in(val, len, &value);

	if (err)
		return err;
	if (value < 0 || value > 1)
		return -EINVAL;
	if (s->state == SOCK_UDP) /* its datagrams that ask for completions go to the kernel */
		return 0;
	err = opts_make(s);
	if (!err)
		s->opts->zerocopy = value;
	return err;
}

void options_inherit(const struct sock *from, struct sock *s)
{
	const struct sock_options *opts = from->opts;

	if (likely(!opts) || (!opts->zerocopy && !opts->inq && !opts->stamp) || opts_make(s))
		return;
	s->opts->zerocopy = opts->zerocopy;
	s->opts->inq = opts->inq;
	s->opts->stamp = opts->stamp;
}

/* Options that the kernel has taken, and whose messages come from here */
VJ_EARLY static void cmsg_set(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	bool inq = level == IPPROTO_TCP && name == TCP_INQ;
	int value;

	if ((!inq && !cmsg_is_stamp(level, name)) || int_in(val, len, &value) || opts_make(s))
		return;
	if (inq)
		s->opts->inq = value != 0;
	else
		s->opts->stamp = value ? name : 0;
}

enum { KEPT_ZEROCOPY = 55 }; /* beyond the bits of option_inherit.c; seven bytes have room for it */
#define KEPT_UNKNOWN UINT64_MAX	     /* some were set */

void options_keep(int fd, struct sock *s)
{
	if (s->option_fd < 0 && s->handed_on)
		s->handed_on = options_turned(fd, s->family);
}

uint64_t options_leaving(const struct sock *s)
{
	uint64_t zerocopy = s->opts && s->opts->zerocopy ? UINT64_C(1) << KEPT_ZEROCOPY : 0;

	if (!s->token)
		return 0;
	return zerocopy | (s->option_fd >= 0 ? options_turned(s->option_fd, s->family) : s->handed_on);
}

void options_brought(struct sock *s, uint64_t which)
{
	static const struct {
		int level, name;
	} controls[] = { { IPPROTO_TCP, TCP_INQ }, { SOL_SOCKET, SO_TIMESTAMP }, { SOL_SOCKET, SO_TIMESTAMPNS } };

	s->handed_on = which & ~(UINT64_C(1) << KEPT_ZEROCOPY);
	if (s->option_fd >= 0)
		options_turn(s->option_fd, options_turned(s->option_fd, s->family) ^ s->handed_on);
	if ((!which && !s->opts) || opts_make(s))
		return;
	s->opts->zerocopy = which >> KEPT_ZEROCOPY & 1;
	s->opts->inq = false;
	s->opts->stamp = 0;
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		if (options_have(which, controls[i].level, controls[i].name))
			cmsg_set(s, controls[i].level, controls[i].name, &(int){ 1 }, sizeof(int));
}

void zerocopy_sent(struct sock *s)
{
	if (!s->opts || !s->opts->zerocopy)
		return;
	s->opts->zerocopy_sent++;
	file_fire(&s->file, EPOLLERR);
}

int zerocopy_told(struct sock *s, struct msghdr *msg)
{
	struct {
		struct sock_extended_err err;
		struct sockaddr_in6 offender; /* all zero, as the kernel gives it */
	} told = { .err = { .ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee_code = SO_EE_CODE_ZEROCOPY_COPIED } };
	size_t bytes = sizeof(told.err) + (s->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(told.offender));
	struct cmsghdr *c = msg->msg_controllen >= CMSG_LEN(bytes) ? CMSG_FIRSTHDR(msg) : NULL;

	if (!zerocopy_waits(s))
		return -EAGAIN;
	told.err.ee_info = s->opts->zerocopy_told;
	told.err.ee_data = s->opts->zerocopy_sent - 1;
	s->opts->zerocopy_told = s->opts->zerocopy_sent;
	msg->msg_flags = MSG_ERRQUEUE | (c ? 0 : MSG_CTRUNC);
	msg->msg_namelen = 0;
	if (!c) {
		msg->msg_controllen = 0;
		return 0;
	}
	c->cmsg_level = s->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = s->family == AF_INET ? IP_RECVERR : IPV6_RECVERR;
	c->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(c), &told, bytes);
	msg->msg_controllen = CMSG_SPACE(bytes);
	return 0;
}

/* Known names only: unknown ones are an error of the kernel's. */
static int congestion_set(struct sock *s, const void *val, socklen_t len)
{
	char name[16] = { 0 };

	if (!val || !len)
		return -EINVAL;
	memcpy(name, val, min_size(len, sizeof(name) - 1));
	for (unsigned i = 0; vj_congestion_name(i); i++)
		if (!strcmp(name, vj_congestion_name(i)))
			return sock_is_conn(s)
				       ? vj_conn_option_set(sock.vj, s->conn, VJ_OPT_CONGESTION, i)
				       : options_remember(s, VJ_OPT_CONGESTION, i);
	return -ENOENT;
}

bool conn_is_direct(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	return !vj_conn_info(sock.vj, s->conn, &info) && info.cwnd_bytes == UINT32_MAX;
}

/* Of a connection: the kernel knows which there are, and whom it lets have them. On a direct channel one is as good as another. */
static int conn_congestion_set(int fd, struct sock *s, const void *val, socklen_t len)
{
	int kernel_fd = option_fd(fd, s, true), r;

	if (kernel_fd < 0)
		return kernel_fd;
	r = sys_setsockopt(kernel_fd, IPPROTO_TCP, TCP_CONGESTION, val, len);
	if (r)
		return r;
	r = congestion_set(s, val, len);
	return r == -ENOENT && conn_is_direct(s) ? 0 : r;
}

static unsigned place_of(const struct option_map *m)
{
	if (m->level != IPPROTO_IPV6)
		return m->opt;
	return m->opt == VJ_OPT_TOS ? SOCK_OPTION_TOS6 : SOCK_OPTION_TTL6;
}

VJ_EARLY static int mapped_set(struct sock *s, const struct option_map *m, const void *val, socklen_t len)
{
	int value = 0, err = 0;

	if (m->level == IPPROTO_IP && (val || !len) && len < sizeof(int))
		value = len ? *(const uint8_t *)val : 0; /* ip(7) takes a byte too, and the kernel none */
	else
		err = int_in(val, len, &value);
	if (err)
		return err;
	if (m->is_bool)
		value = value != 0;
	else if (m->level == IPPROTO_IP && m->opt == VJ_OPT_TOS)
		value = (uint8_t)value;
	else if (m->opt == VJ_OPT_TOS && value == -1)
		value = 0;
	else if (m->opt == VJ_OPT_TTL && value == -1)
		value = TTL_DEFAULT;
	else if (m->level == IPPROTO_IP && value == 0) /* a hop limit may be */
		return -EINVAL;
	if (value < 0)
		return m->opt == VJ_OPT_SNDBUF || m->opt == VJ_OPT_RCVBUF ? 0 : -EINVAL;
	if (sock_is_conn(s))
		return vj_conn_option_set(sock.vj, s->conn, m->opt, (uint64_t)value);
	return options_remember(s, place_of(m), (uint32_t)value);
}

/* Return: 0; -errno; -ENOSYS: not one of ours. */
VJ_EARLY static int option_set(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	const struct option_map *m = option_map_find(s, level, name);

	if (m)
		return mapped_set(s, m, val, len);
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		return timeout_set(s, name, val, len);
	if (level == SOL_SOCKET && name == SO_LINGER)
		return linger_set(s, val, len);
	if (level == SOL_SOCKET && name == SO_ZEROCOPY)
		return zerocopy_set(s, val, len);
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return rcvlowat_set(s, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return congestion_set(s, val, len);
	return -ENOSYS;
}

int option_fd(int fd, struct sock *s, bool make)
{
	if (!s->token && (!s->shared || (s->option_fd < 0 && !make)))
		return fd;
	if (s->option_fd < 0) {
		s->option_fd = OWN_FD_MAKE(sys_socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0));
		if (s->option_fd >= 0 && s->token)
			options_turn(s->option_fd, s->handed_on);
		else if (s->option_fd >= 0)
			options_copy(fd, s->option_fd, s->handed_on);
	}
	return s->option_fd;
}

/* The kernel has taken it; now for libvj. @fd: the kernel socket */
static void kept_set(int fd, struct sock *s, const struct kept *k)
{
	uint64_t kernel = 0;
	uint32_t word = 0;
	socklen_t len = k->bytes;
	bool wide = len > sizeof(word);

	if (sys_getsockopt(fd, k->level, k->name, wide ? (void *)&kernel : &word, &len))
		return;
	if (!wide)
		kernel = word;
	if (sock_is_conn(s))
		vj_conn_option_set(sock.vj, s->conn, k->opt, k->convert(kernel));
	else
		options_remember(s, k->opt, k->convert(kernel));
}

/*
 * What the kernel refuses once there is a connection; the kernel socket below has none. One that is over has no port any more but that of bind().
 * Return: 0; -errno.
 */
static int unconnected_check(const struct sock *s, int level, int name, const void *val, socklen_t len)
{
	int value, err;

	if (level == IPPROTO_IPV6)
		return name == IPV6_V6ONLY && s->family == AF_INET6 && (s->bound || !info_has_ended(s)) ? -EINVAL : 0;
	if (level != IPPROTO_TCP)
		return 0;
	switch (name) {
	case TCP_WINDOW_CLAMP:
	case TCP_FASTOPEN:
	case TCP_FASTOPEN_CONNECT:
	case TCP_FASTOPEN_NO_COOKIE:
	case TCP_QUEUE_SEQ:
		err = int_in(val, len, &value);
		if (err || info_has_ended(s) || (name == TCP_WINDOW_CLAMP && value))
			return err;
		return name == TCP_QUEUE_SEQ ? -EPERM : -EINVAL;
	default:
		return 0;
	}
}

static int conn_option_set(int fd, struct sock *s, int level, int name, const void *val, socklen_t len)
{
	const struct kept *k = kept_find(level, name);
	int kernel_fd, r = unconnected_check(s, level, name, val, len);

	if (r)
		return r;
	if (option_is_refused(level, name))
		return -EOPNOTSUPP;
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return conn_congestion_set(fd, s, val, len);
	r = option_set(s, level, name, val, len);
	if (!r && level == IPPROTO_IP && name == IP_TOS && (s->option_fd >= 0 || (!s->token && !s->shared)))
		(void)sys_setsockopt(option_fd(fd, s, false), level, name, val, len); /* its SO_PRIORITY follows */
	if (r != -ENOSYS)
		return r;
	kernel_fd = option_fd(fd, s, true);
	if (kernel_fd < 0)
		return kernel_fd;
	r = sys_setsockopt(kernel_fd, level, name, val, len);
	if (r)
		return r;
	if (k)
		kept_set(kernel_fd, s, k);
	if (s->option_fd < 0)
		s->handed_on = KEPT_UNKNOWN;
	cmsg_set(s, level, name, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		s->v6only = option_value(val, len) != 0;
	return 0;
}

/*
 * IP_MTU_DISCOVER of a TCP socket: its segments at interfaces have DF, and their size follows what routers say. Who asks for anything else
 * before it connects or listens has connections of the kernel's there; later it changes nothing.
 */
static void mtu_mode_set(int fd, struct sock *s, int level, int name)
{
	bool v4 = level == IPPROTO_IP && name == IP_MTU_DISCOVER;
	uint8_t bit = v4 ? 1 : 2;
	int mode = IP_PMTUDISC_WANT; /* the numbers are IPv6's, too */
	socklen_t len = sizeof(mode);

	if ((!v4 && (level != IPPROTO_IPV6 || name != IPV6_MTU_DISCOVER)) || sys_getsockopt(fd, level, name, &mode, &len))
		return;
	s->own_mtu_mode = (uint8_t)(mode == IP_PMTUDISC_WANT || mode == IP_PMTUDISC_DO ? s->own_mtu_mode & ~bit : s->own_mtu_mode | bit);
}

/* One of a socket that isn't connected: from now on its way is the kernel's. */
static VJ_COLD void kernels_option_set(int fd, struct sock *s)
{
	s->kernels_option = true;
	if (s->state == SOCK_LISTEN)
		listener_leave(fd, s, REPORT_WHY_OPTION);
}

/* The kernel checks; what it refuses is not remembered. */
VJ_EARLY static int other_option_set(int fd, struct sock *s, int level, int name, const void *val, socklen_t len)
{
	int r = s && s->state != SOCK_UDP && level == SOL_SOCKET && option_is_refused(level, name) ? -EOPNOTSUPP
						       : sys_setsockopt(fd, level, name, val, len);

	if (!s && unlikely(r == -EOPNOTSUPP) && away_is_left(fd))
		return 0; /* it changes how fast bytes go, not which */
	if (r || !s)
		return r;
	if (s->state == SOCK_UDP) {
		dgram_option(fd, s, level, name, val, len);
	} else {
		mtu_mode_set(fd, s, level, name);
		cmsg_set(s, level, name, val, len);
		if (s->state == SOCK_FRESH && !option_map_find(s, level, name))
			s->handed_on = KEPT_UNKNOWN;
	}
	if (kept_find(level, name) && s->state != SOCK_UDP)
		kept_set(fd, s, kept_find(level, name));
	else if (option_set(s, level, name, val, len) == -ENOSYS && s->state != SOCK_UDP && option_is_kernels(s, level, name, val, len))
		kernels_option_set(fd, s);
	if (s->state == SOCK_LISTEN && s->has_listener) {
		placeholder_drop(s);
		if (sock.vj)
			options_listen(s);
	}
	return 0;
}

/* Is the option of both sockets the same, as far as there is one? Else that of @fd. */
static bool is_same(int fd, int fresh, int level, int name, uint64_t *ret_val, socklen_t *ret_len)
{
	uint64_t val[2] = { 0 }, usual[2] = { 0 }; /* the longest is a time */
	socklen_t len = sizeof(val), usual_len = sizeof(usual);

	if (sys_getsockopt(fd, level, name, val, &len) || sys_getsockopt(fresh, level, name, usual, &usual_len) || !memcmp(val, usual, sizeof(val)))
		return true;
	memcpy(ret_val, val, sizeof(val));
	*ret_len = len;
	return false;
}

void options_found(int fd, struct sock *s)
{
	static const struct {
		int level, name;
	} others[] = { { SOL_SOCKET, SO_RCVTIMEO }, { SOL_SOCKET, SO_SNDTIMEO }, { SOL_SOCKET, SO_LINGER }, { SOL_SOCKET, SO_RCVLOWAT }, { IPPROTO_TCP, TCP_CONGESTION } };
	int fresh = sys_socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t val[2];
	socklen_t len;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (!is_same(fd, fresh, maps[i].level, maps[i].name, val, &len)) {
			int value = (int)val[0] / maps[i].get_factor;

			(void)mapped_set(s, &maps[i], &value, sizeof(value));
		}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (!is_same(fd, fresh, kept[i].level, kept[i].name, val, &len))
			kept_set(fd, s, &kept[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!is_same(fd, fresh, others[i].level, others[i].name, val, &len))
			(void)option_set(s, others[i].level, others[i].name, val, len);
	mtu_mode_set(fd, s, IPPROTO_IP, IP_MTU_DISCOVER);
	if (s->family == AF_INET6)
		mtu_mode_set(fd, s, IPPROTO_IPV6, IPV6_MTU_DISCOVER);
	s->kernels_option = option_kernels_there(fd);
	s->handed_on = KEPT_UNKNOWN;
	sys_close(fresh);
}

/* A connection that another process has comes first. */
VJ_EARLY static struct file *option_enter(int fd)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	struct sock *s = file_sock(f);

	if (s && unlikely(s->state == SOCK_AWAY) && !away_claim(fd, s)) {
		lock_leave();
		return NULL;
	}
	return f;
}

VJ_EARLY int sock_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct file *f = option_enter(fd);
	struct sock *s = file_sock(f);
	int r;

	if ((int)len < 0)
		r = -EINVAL;
	else if (s && sock_is_conn(s))
		r = conn_option_set(fd, s, level, name, val, len);
	else
		r = other_option_set(fd, s, level, name, val, len);
	if (f)
		lock_leave();
	return (int)ret_errno(r);
}
