// SPDX-License-Identifier: BSD-2-Clause
/*
 * getsockopt and setsockopt
 *
 * Three tables: options that the stack has, by the stack's number (kept in the file until there is a connection to tell);
 * options that are a member of struct pd_file; and options that are only remembered, since they have nothing to do here.
 * Whatever has a form of its own is a function.
 */
#include "tests/packetdrill/linux_tcp.h"
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef IPV6_RECVERR
#define IPV6_RECVERR 25
#endif
#define MEMINFO_CNT 9
#define BUF_MAX_DEFAULT 212992 /* net.core.rmem_max, wmem_max */
#define SNDBUF_MIN 4608
#define RCVBUF_MIN 2304

/* ---- options of the stack -------------------------------------------------------------------- */

struct stack_option {
	int level, name, opt;
	int64_t min, max; /* as Linux takes them */
	bool flag;
	int64_t value_default;
};

static const struct stack_option stack_options[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, TCP_OPT_KEEPALIVE, INT_MIN, INT_MAX, true, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, TCP_OPT_NODELAY, INT_MIN, INT_MAX, true, 0 },
	{ IPPROTO_TCP, TCP_CORK, TCP_OPT_CORK, INT_MIN, INT_MAX, true, 0 },
	{ IPPROTO_TCP, TCP_QUICKACK, TCP_OPT_QUICKACK, INT_MIN, INT_MAX, true, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, TCP_OPT_KEEPIDLE_S, 1, 32767, false, 7200 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, TCP_OPT_KEEPINTVL_S, 1, 32767, false, 75 },
	{ IPPROTO_TCP, TCP_KEEPCNT, TCP_OPT_KEEPCNT, 1, 127, false, 9 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_OPT_USER_TIMEOUT_MS, 0, INT_MAX, false, 0 },
	{ IPPROTO_TCP, TCP_MAXSEG, TCP_OPT_MAXSEG, 0, 32767, false, 536 },
	{ IPPROTO_TCP, TCP_SYNCNT, TCP_OPT_SYNCNT, 1, 127, false, 6 },
	{ IPPROTO_TCP, TCP_LINGER2, TCP_OPT_LINGER2_S, INT_MIN, INT_MAX, false, 60 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, TCP_OPT_DEFER_ACCEPT_S, 0, INT_MAX, false, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN, TCP_OPT_FASTOPEN_MAX, 0, 65535, false, 0 },
	{ IPPROTO_IP, IP_TOS, TCP_OPT_TOS, 0, 255, false, 0 },
	{ IPPROTO_IPV6, IPV6_TCLASS, TCP_OPT_TOS, 0, 255, false, 0 },
	{ IPPROTO_IP, IP_TTL, TCP_OPT_TTL, 1, 255, false, 64 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, TCP_OPT_TTL, 1, 255, false, 64 },
};

static const struct stack_option *stack_option_find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(stack_options); i++)
		if (stack_options[i].level == level && stack_options[i].name == name)
			return &stack_options[i];
	return NULL;
}

/* Keep it, and tell whoever is there. */
static int stack_option_tell(struct pd_world *w, struct pd_file *f, int opt, uint64_t value)
{
	int err = 0;

	if (opt == TCP_OPT_FASTOPEN_MAX && (w->set.fastopen & PD_FASTOPEN_SERVER) == 0)
		value = 0;
	if (f->tcp.v != 0 && (PD_OPTS_LISTENER >> opt & 1) == 0)
		err = tcp_option_set(w->stack, f->tcp, (enum tcp_option)opt, value);
	else if (f->state == PD_LISTEN)
		err = tcp_listener_option_set(w->stack, f->listener, (enum tcp_option)opt, value);
	if (err != 0)
		return err;
	f->opt_set |= 1u << opt;
	f->opt_value[opt] = value;
	return 0;
}

static int stack_option_set(struct pd_world *w, struct pd_file *f, const struct stack_option *o, int value)
{
	if (o->opt == TCP_OPT_TTL && value == -1)
		value = 64;
	if (o->opt == TCP_OPT_TOS && value == -1)
		value = 0;
	if (value < o->min || value > o->max)
		return -EINVAL;
	if (o->opt == TCP_OPT_LINGER2_S)
		value = value < 0 ? TCP_LINGER2_NONE : value > 120 ? 120 : value;
	if (f->kind != PD_TCP) {
		f->opt_value[o->opt] = (uint64_t)value;
		f->opt_set |= 1u << o->opt;
		return 0;
	}
	return stack_option_tell(w, f, o->opt, o->flag ? value != 0 : (uint64_t)value);
}

static int64_t stack_option_get(struct pd_world *w, const struct pd_file *f, const struct stack_option *o)
{
	uint64_t value;

	if (o->opt == TCP_OPT_LINGER2_S && (f->opt_set >> o->opt & 1) != 0)
		return f->opt_value[o->opt] == TCP_LINGER2_NONE ? -1 : (int64_t)f->opt_value[o->opt];
	if (f->tcp.v != 0 && o->opt != TCP_OPT_QUICKACK && (PD_OPTS_LISTENER >> o->opt & 1) == 0 &&
	    tcp_option_get(w->stack, f->tcp, (enum tcp_option)o->opt, &value) == 0)
		return (int64_t)value;
	return (f->opt_set >> o->opt & 1) != 0 ? (int64_t)f->opt_value[o->opt] : o->value_default;
}

int pd_options_apply(struct pd_world *w, struct pd_file *f)
{
	int err = 0;

	for (int opt = 0; opt < PD_OPTS && err == 0; opt++)
		if ((f->opt_set >> opt & 1) != 0)
			err = stack_option_tell(w, f, opt, f->opt_value[opt]);
	return err;
}

/* ---- options that are remembered ------------------------------------------------------------- */

struct pd_misc {
	struct pd_misc *next;
	int level, name;
	int value;
};

/* What Linux says if nobody has set it */
static const struct {
	int level, name, value_default;
} misc_options[] = {
	{ SOL_SOCKET, SO_PRIORITY, 0 },
	{ SOL_SOCKET, SO_MARK, 0 },
	{ SOL_SOCKET, SO_DEBUG, 0 },
	{ SOL_SOCKET, SO_DONTROUTE, 0 },
	{ SOL_SOCKET, SO_BROADCAST, 0 },
	{ SOL_SOCKET, SO_OOBINLINE, 0 },
	{ SOL_SOCKET, SO_TIMESTAMP, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPNS, 0 },
	{ SOL_SOCKET, SO_BUSY_POLL, 0 },
	{ SOL_SOCKET, SO_INCOMING_CPU, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPING, 0 },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 0 },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0 },
	{ IPPROTO_TCP, TCP_THIN_DUPACK, 0 },
	{ IPPROTO_TCP, TCP_TIMESTAMP, 0 },
	{ IPPROTO_TCP, TCP_SAVE_SYN, 0 },
	{ IPPROTO_TCP, TCP_TX_DELAY, 0 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT },
	{ IPPROTO_IP, IP_RECVTOS, 0 },
	{ IPPROTO_IP, IP_RECVTTL, 0 },
	{ IPPROTO_IP, IP_FREEBIND, 0 },
	{ IPPROTO_IP, IP_TRANSPARENT, 0 },
	{ IPPROTO_IP, IP_PKTINFO, 0 },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0 },
	{ IPPROTO_IP, IP_RECVERR, 0 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_WANT },
	{ IPPROTO_IPV6, IPV6_RECVERR, 0 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, 0 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 0 },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0 },
	{ IPPROTO_IPV6, IPV6_FREEBIND, 0 },
	{ IPPROTO_IPV6, IPV6_TRANSPARENT, 0 },
};

static struct pd_misc *misc_find(const struct pd_file *f, int level, int name)
{
	struct pd_misc *misc = f->misc;

	while (misc != NULL && (misc->level != level || misc->name != name))
		misc = misc->next;
	return misc;
}

int pd_misc_get(const struct pd_file *f, int level, int name, int *ret_value)
{
	const struct pd_misc *misc = misc_find(f, level, name);

	for (size_t i = 0; i < ARRAY_SIZE(misc_options); i++)
		if (misc_options[i].level == level && misc_options[i].name == name) {
			*ret_value = misc != NULL ? misc->value : misc_options[i].value_default;
			return 0;
		}
	return -ENOPROTOOPT;
}

static int misc_set(struct pd_file *f, int level, int name, int value)
{
	struct pd_misc *misc = misc_find(f, level, name);
	int old;

	if (pd_misc_get(f, level, name, &old) != 0)
		return -ENOPROTOOPT;
	if (misc == NULL) {
		misc = malloc(sizeof(*misc));
		if (misc == NULL)
			return -ENOMEM;
		*misc = (struct pd_misc){ .next = f->misc, .level = level, .name = name };
		f->misc = misc;
	}
	misc->value = value;
	return 0;
}

void pd_misc_free(struct pd_file *f)
{
	while (f->misc != NULL) {
		struct pd_misc *misc = f->misc;

		f->misc = misc->next;
		free(misc);
	}
}

void pd_options_inherit(const struct pd_file *from, struct pd_file *f)
{
	memcpy(f->opt_value, from->opt_value, sizeof(f->opt_value));
	f->opt_set = from->opt_set;
	f->linger_s = from->linger_s;
	f->rcvlowat = from->rcvlowat;
	f->rcvbuf = from->rcvbuf;
	f->sndbuf = from->sndbuf;
	f->zerocopy = from->zerocopy;
	f->inq = from->inq;
	f->notsent_lowat = from->notsent_lowat;
	f->max_pacing = from->max_pacing;
	f->rcvtimeo_us = from->rcvtimeo_us;
	f->sndtimeo_us = from->sndtimeo_us;
	for (const struct pd_misc *misc = from->misc; misc != NULL; misc = misc->next)
		(void)misc_set(f, misc->level, misc->name, misc->value);
}

/* ---- options with a form of their own: set --------------------------------------------------- */

static int set_buffer(struct pd_world *w, struct pd_file *f, int name, int value)
{
	bool snd = name == SO_SNDBUF || name == SO_SNDBUFFORCE;
	bool force = name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE;
	uint32_t asked = force ? (uint32_t)value : min_u32((uint32_t)value, BUF_MAX_DEFAULT);
	uint32_t bytes = max_u32(min_u32(asked, INT_MAX / 2) * 2, snd ? SNDBUF_MIN : RCVBUF_MIN);

	if (snd)
		f->sndbuf = bytes;
	else
		f->rcvbuf = bytes;
	if (f->kind != PD_TCP)
		return 0;
	/* Linux counts what the memory costs, the stack counts bytes: half of it, by Linux's own rule of thumb. */
	return stack_option_tell(w, f, snd ? TCP_OPT_SNDBUF : TCP_OPT_RCVBUF, bytes / 2);
}

static int set_linger(struct pd_file *f, const void *value, socklen_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	f->linger_s = linger.l_onoff != 0 ? linger.l_linger : -1;
	return 0;
}

static int set_timeo(uint64_t *ret_us, const void *value, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	*ret_us = tv.tv_sec < 0 ? 0 : (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
	return 0;
}

static int set_congestion(struct pd_world *w, struct pd_file *f, const void *value, socklen_t len)
{
	char name[16] = "";
	const char *have;

	if (len < 1)
		return -EINVAL;
	memcpy(name, value, min_size(len, sizeof(name) - 1));
	for (unsigned int i = 0; (have = tcp_cc_name(i)) != NULL; i++)
		if (strcmp(have, name) == 0)
			return stack_option_tell(w, f, TCP_OPT_CONGESTION, i);
	return -ENOENT;
}

/* Return: 0; negative errno; 1: another form. */
static int set_socket(struct pd_world *w, struct pd_file *f, int name, int value)
{
	switch (name) {
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		f->reuse = value != 0;
		return 0;
	case SO_SNDBUF:
	case SO_RCVBUF:
	case SO_SNDBUFFORCE:
	case SO_RCVBUFFORCE:
		return set_buffer(w, f, name, value);
	case SO_RCVLOWAT:
		f->rcvlowat = value < 0 ? INT_MAX : max_u32((uint32_t)value, 1);
		return 0;
	case SO_ZEROCOPY:
		if (value < 0 || value > 1)
			return -EINVAL;
		f->zerocopy = value != 0;
		return 0;
	case SO_TYPE:
	case SO_ERROR:
	case SO_PROTOCOL:
	case SO_DOMAIN:
		return -ENOPROTOOPT;
	default:
		return 1;
	}
}

static int set_tcp(struct pd_file *f, int name, int value)
{
	switch (name) {
	case TCP_INQ:
		if (value < 0 || value > 1)
			return -EINVAL;
		f->inq = value != 0;
		return 0;
	case TCP_NOTSENT_LOWAT:
		f->notsent_lowat = (uint32_t)value;
		return 0;
	case TCP_FASTOPEN_CONNECT:
		if (value < 0 || value > 1)
			return -EINVAL;
		if (f->state != PD_NEW)
			return -EINVAL;
		f->fastopen_connect = value != 0;
		return 0;
	default:
		return 1;
	}
}

/* Options that are not an int */
static int set_other(struct pd_world *w, struct pd_file *f, int level, int name, const void *value, socklen_t len)
{
	uint64_t wide = 0;

	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(w, f, value, len);
	if (level != SOL_SOCKET)
		return 1;
	switch (name) {
	case SO_LINGER:
		return set_linger(f, value, len);
	case SO_RCVTIMEO:
		return set_timeo(&f->rcvtimeo_us, value, len);
	case SO_SNDTIMEO:
		return set_timeo(&f->sndtimeo_us, value, len);
	case SO_MAX_PACING_RATE:
		if (len < sizeof(uint32_t))
			return -EINVAL;
		memcpy(&wide, value, min_size(len, sizeof(wide)));
		f->max_pacing = len < sizeof(wide) && wide == UINT32_MAX ? UINT64_MAX : wide;
		return 0;
	default:
		return 1;
	}
}

int pd_setsockopt(struct pd_world *w, struct pd_file *f, int level, int name, const void *value, socklen_t len)
{
	const struct stack_option *o = stack_option_find(level, name);
	int ret = set_other(w, f, level, name, value, len), v = 0;

	if (ret != 1)
		return ret;
	/* IP's take a byte, too */
	if (level == IPPROTO_IP && len >= 1 && len < sizeof(v))
		v = *(const uint8_t *)value;
	else if (len < sizeof(v))
		return -EINVAL;
	else
		memcpy(&v, value, sizeof(v));
	if (o != NULL)
		return stack_option_set(w, f, o, v);
	if (level == SOL_SOCKET)
		ret = set_socket(w, f, name, v);
	else if (level == IPPROTO_TCP)
		ret = set_tcp(f, name, v);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
		f->v6only = v != 0;
		return 0;
	}
	return ret != 1 ? ret : misc_set(f, level, name, v);
}

/* ---- get ------------------------------------------------------------------------------------- */

static int put(const void *from, size_t from_len, void *value, socklen_t *len)
{
	if ((int)*len < 0)
		return -EINVAL;
	*len = (socklen_t)min_size(*len, from_len);
	memcpy(value, from, *len);
	return 0;
}

static int get_congestion(struct pd_world *w, const struct pd_file *f, void *value, socklen_t *len)
{
	uint64_t idx = w->set.tcp.congestion;
	char name[16] = "";

	if ((f->opt_set >> TCP_OPT_CONGESTION & 1) != 0)
		idx = f->opt_value[TCP_OPT_CONGESTION];
	if (f->tcp.v != 0)
		(void)tcp_option_get(w->stack, f->tcp, TCP_OPT_CONGESTION, &idx);
	strncpy(name, tcp_cc_name((unsigned int)idx), sizeof(name) - 1);
	return put(name, sizeof(name), value, len);
}

static int get_meminfo(struct pd_world *w, const struct pd_file *f, void *value, socklen_t *len)
{
	uint32_t info[MEMINFO_CNT] = { 0 };
	struct tcp_info tcp = { 0 };

	if (f->tcp.v != 0)
		tcp_info(w->stack, f->tcp, &tcp);
	info[0] = tcp.unread_bytes;
	info[1] = f->rcvbuf != 0 ? f->rcvbuf : w->set.rmem.start;
	info[3] = f->sndbuf != 0 ? f->sndbuf : w->set.wmem.start;
	info[5] = tcp.in_flight_bytes + tcp.unsent_bytes;
	return put(info, sizeof(info), value, len);
}

/* Return: 0; 1: another form. */
static int get_socket(struct pd_world *w, struct pd_file *f, int name, int *ret_value)
{
	switch (name) {
	case SO_ERROR:
		*ret_value = pd_sock_error(w, f);
		if (*ret_value == 0 && f->tcp.v != 0)
			*ret_value = tcp_soft_error(w->stack, f->tcp);
		return 0;
	case SO_TYPE:
		*ret_value = f->kind == PD_TCP ? SOCK_STREAM : SOCK_DGRAM;
		return 0;
	case SO_PROTOCOL:
		*ret_value = f->kind == PD_TCP ? IPPROTO_TCP : IPPROTO_UDP;
		return 0;
	case SO_DOMAIN:
		*ret_value = f->v6 ? AF_INET6 : AF_INET;
		return 0;
	case SO_ACCEPTCONN:
		*ret_value = f->state == PD_LISTEN;
		return 0;
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		*ret_value = f->reuse;
		return 0;
	case SO_SNDBUF:
		*ret_value = (int)(f->sndbuf != 0 ? f->sndbuf : w->set.wmem.start);
		return 0;
	case SO_RCVBUF:
		*ret_value = (int)(f->rcvbuf != 0 ? f->rcvbuf : w->set.rmem.start);
		return 0;
	case SO_RCVLOWAT:
		*ret_value = (int)f->rcvlowat;
		return 0;
	case SO_SNDLOWAT:
		*ret_value = 1;
		return 0;
	case SO_ZEROCOPY:
		*ret_value = f->zerocopy;
		return 0;
	default:
		return 1;
	}
}

static int get_int(struct pd_world *w, struct pd_file *f, int level, int name, int *ret_value)
{
	const struct stack_option *o = stack_option_find(level, name);

	if (o != NULL) {
		*ret_value = (int)stack_option_get(w, f, o);
		return 0;
	}
	if (level == SOL_SOCKET && get_socket(w, f, name, ret_value) == 0)
		return 0;
	if (level == IPPROTO_TCP && name == TCP_INQ)
		*ret_value = f->inq;
	else if (level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT)
		*ret_value = (int)f->notsent_lowat;
	else if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT)
		*ret_value = f->fastopen_connect;
	else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		*ret_value = f->v6only;
	else if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU)) {
		*ret_value = (int)w->set.mtu;
		return f->state == PD_CONNECTED || f->state == PD_CONNECTING ? 0 : -ENOTCONN;
	} else
		return pd_misc_get(f, level, name, ret_value);
	return 0;
}

static int get_timeo(uint64_t us, void *value, socklen_t *len)
{
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };

	return put(&tv, sizeof(tv), value, len);
}

/* Return: 1: it is an int. */
static int get_other(struct pd_world *w, struct pd_file *f, int level, int name, void *value, socklen_t *len)
{
	struct linger linger = { .l_onoff = f->linger_s >= 0, .l_linger = f->linger_s >= 0 ? f->linger_s : 0 };

	if (level == IPPROTO_TCP && name == TCP_INFO)
		return pd_tcp_info(w, f, value, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return get_congestion(w, f, value, len);
	if (level == IPPROTO_TCP && name == TCP_CC_INFO)
		return put(&linger, 0, value, len);
	if (level != SOL_SOCKET)
		return 1;
	switch (name) {
	case SO_LINGER:
		return put(&linger, sizeof(linger), value, len);
	case SO_RCVTIMEO:
		return get_timeo(f->rcvtimeo_us, value, len);
	case SO_SNDTIMEO:
		return get_timeo(f->sndtimeo_us, value, len);
	case SO_MEMINFO:
		return get_meminfo(w, f, value, len);
	case SO_MAX_PACING_RATE:
		return put(&f->max_pacing, *len < 8 ? 4 : 8, value, len);
	default:
		return 1;
	}
}

int pd_getsockopt(struct pd_world *w, struct pd_file *f, int level, int name, void *value, socklen_t *len)
{
	int ret, v = 0;

	if (f->kind == PD_EPOLL)
		return -ENOTSOCK;
	ret = get_other(w, f, level, name, value, len);
	if (ret != 1)
		return ret;
	ret = get_int(w, f, level, name, &v);
	return ret != 0 ? ret : put(&v, sizeof(v), value, len);
}
