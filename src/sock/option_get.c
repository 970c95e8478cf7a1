// SPDX-License-Identifier: BSD-2-Clause
/* option_get.c - socket options, as they are asked for: of a connection on a channel those that it has itself, and all others of the kernel socket below */
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

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/time.h>

static int value_out(const void *value, size_t bytes, void *val, socklen_t *len)
{
	if (!len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	*len = (socklen_t)min_size(*len, bytes);
	if (*len && !val)
		return -EFAULT;
	if (*len)
		memcpy(val, value, *len);
	return 0;
}

static int int_out(int value, void *val, socklen_t *len)
{
	return value_out(&value, sizeof(value), val, len);
}

/* Of IP, which knows options of a byte: one that fits is what there is room for. */
static int ip_out(int value, void *val, socklen_t *len)
{
	bool is_byte = len && *len > 0 && *len < sizeof(value) && value >= 0 && value <= UINT8_MAX;

	return is_byte ? value_out(&(uint8_t){ (uint8_t)value }, 1, val, len) : int_out(value, val, len);
}

/* Of IPv6, which takes a length below 0 for a large one */
static int ip6_out(int value, void *val, socklen_t *len)
{
	if (len && (int)*len < 0)
		*len = sizeof(value);
	return int_out(value, val, len);
}

static int timeout_get(const struct sock *s, int name, void *val, socklen_t *len)
{
	uint64_t ns = name == SO_RCVTIMEO ? s->rcvtimeo_ns : s->sndtimeo_ns;
	struct timeval tv = { .tv_sec = (time_t)(ns / NS_PER_SEC),
			      .tv_usec = (suseconds_t)(ns % NS_PER_SEC / NS_PER_US) };

	return value_out(&tv, sizeof(tv), val, len);
}

int conn_error(struct sock *s)
{
	int err = s->err;

	if (err) {
		s->err = 0;
	} else {
		err = vj_error(sock.vj, s->conn, true);
	}
	if (err)
		s->failed = true;
	return err;
}

/* Of a connection that shutdown() gave up: once; the kernel's has none. */
static int given_up_error(struct sock *s, void *val, socklen_t *len)
{
	int err = s->err;

	s->err = 0;
	return int_out(err, val, len);
}

/*
 * On a direct channel what the kernel socket has. One that was accepted, or came from another process, may have none of its own yet, and what
 * was set before comes along with the connection.
 */
static int congestion_get(int fd, struct sock *s, void *val, socklen_t *len)
{
	char name[16] = { 0 };
	uint64_t idx = 0;
	bool own;

	vj_conn_option_get(sock.vj, s->conn, VJ_OPT_CONGESTION, &idx);
	own = s->option_fd >= 0 || (!s->shared && !s->token);
	fd = option_fd(fd, s, false);
	if (fd >= 0 && conn_is_direct(s) && (own || idx == 0))
		return sys_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, val, len);
	if (vj_congestion_name((unsigned)idx))
		memcpy(name, vj_congestion_name((unsigned)idx),
		       min_size(strlen(vj_congestion_name((unsigned)idx)), sizeof(name) - 1));
	return value_out(name, sizeof(name), val, len);
}

/*
 * A direct channel has no wire for its segments to fit. What asks makes its datagrams that large (iperf3): as large as the
 * kernel's loopback says, since they go over the channel whole. Unless the program has set it
 */
static uint64_t maxseg_get(const struct sock *s, uint64_t mss)
{
	enum { LOOPBACK_MSS = 32768 };
	bool is_set = s->opts && (s->opts->set & UINT32_C(1) << VJ_OPT_MAXSEG);

	return is_set || !conn_is_direct(s) ? mss : LOOPBACK_MSS;
}

/* IP_MTU, IPV6_MTU: the kernel socket below is not connected, and would say so */
static int mtu_get(const struct sock *s, int level, void *val, socklen_t *len)
{
	uint32_t mtu;
	int err = sock_is_conn(s) ? info_path_mtu(s, &mtu) : -ENOSYS;

	if (err)
		return err;
	return level == IPPROTO_IPV6 ? ip6_out((int)mtu, val, len) : int_out((int)mtu, val, len);
}

/* Return: 0; -errno; -ENOSYS: not one of ours. */
static int option_get(int fd, struct sock *s, int level, int name, void *val, socklen_t *len)
{
	const struct option_map *m = option_map_find(s, level, name);
	uint64_t value;
	int err;

	if (m) {
		err = vj_conn_option_get(sock.vj, s->conn, m->opt, &value);
		if (!err && m->opt == VJ_OPT_MAXSEG)
			value = maxseg_get(s, value);
		if (err)
			return err;
		if (m->level == IPPROTO_IPV6)
			return ip6_out((int)value, val, len);
		return m->level == IPPROTO_IP ? ip_out((int)value, val, len) : int_out((int)value * m->get_factor, val, len);
	}
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_ERROR:
			return int_out(conn_error(s), val, len);
		case SO_RCVTIMEO:
		case SO_SNDTIMEO:
			return timeout_get(s, name, val, len);
		case SO_RCVLOWAT:
			return int_out(s->rcvlowat ? (int)s->rcvlowat : 1, val, len);
		case SO_ZEROCOPY:
			return int_out(s->opts && s->opts->zerocopy, val, len);
		case SO_LINGER:
			return value_out(&(struct linger){ s->linger, (int)s->linger_s },
					 sizeof(struct linger), val, len);
		case SO_INCOMING_CPU: /* who reads does all the work */
			return int_out(sched_getcpu(), val, len);
		case SO_COOKIE:
			option_fd(fd, s, true);
			return -ENOSYS;
		}
	} else if ((level == IPPROTO_IP && name == IP_MTU) ||
		   (level == IPPROTO_IPV6 && name == IPV6_MTU && s->family == AF_INET6)) {
		return mtu_get(s, level, val, len);
	} else if (level == IPPROTO_IP && name == IP_MULTICAST_TTL && s->shared && !conn_is_v6(s, s->conn)) {
		return ip_out(TTL_DEFAULT, val, len); /* as far as its SYN could have come from; nothing can set it */
	} else if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_HOPS && s->shared && s->family == AF_INET6) {
		return ip6_out(TTL_DEFAULT, val, len);
	} else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && s->shared && s->family == AF_INET6) {
		return ip6_out(s->v6only, val, len);
	} else if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
		return congestion_get(fd, s, val, len);
	} else if (level == IPPROTO_TCP && name == TCP_INFO) {
		return info_get(option_fd(fd, s, false), s, val, len);
	} else if (level == IPPROTO_TCP && name == TCP_CC_INFO) {
		return value_out("", 0, val, len); /* as of a congestion control that tells nothing */
	}
	return -ENOSYS;
}

/* What came over channels, then the kernel's */
static int udp_error_get(int fd, struct sock *s, void *val, socklen_t *len)
{
	int err;

	ctx_process();
	err = dgram_error(s);
	return err ? int_out(err, val, len) : sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, val, len);
}

VJ_EARLY int sock_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct sock *s = fd_peek(fd) ? io_enter(fd) : NULL;
	int r = -ENOSYS;

	if (!s)
		return (int)ret_errno(sys_getsockopt(fd, level, name, val, len));
	if (s->state == SOCK_UDP) {
		if (level == SOL_SOCKET && name == SO_ERROR)
			r = udp_error_get(fd, s, val, len);
	} else if (s->state != SOCK_DEAD) {
		if (level == SOL_SOCKET && name == SO_ERROR)
			ctx_process();
		if (likely(s->state != SOCK_FRESH && s->state != SOCK_KERNEL)) /* else it has become the kernel's by that */
			r = option_get(fd, s, level, name, val, len);
		else if (s->err && level == SOL_SOCKET && name == SO_ERROR)
			r = given_up_error(s, val, len);
	}
	if (r == -ENOSYS)
		r = sys_getsockopt(sock_is_conn(s) ? option_fd(fd, s, false) : fd, level, name, val, len);
	lock_leave();
	return (int)ret_errno(r);
}
