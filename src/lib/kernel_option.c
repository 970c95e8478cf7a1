// SPDX-License-Identifier: BSD-2-Clause
#include "lib/kernel_option.h"

#include "channel/sys.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { LINGER2_NONE = 255 }; /* VJ_OPT_LINGER2_S */

struct option_row {
	enum vj_option opt;
	int level, name;
};

/* In this order: keep-alive's times before it begins. Buffers are not among them: the kernel tunes its own. */
static const struct option_row rows[] = {
	{ VJ_OPT_NODELAY, IPPROTO_TCP, TCP_NODELAY },
	{ VJ_OPT_KEEPIDLE_S, IPPROTO_TCP, TCP_KEEPIDLE },
	{ VJ_OPT_KEEPINTVL_S, IPPROTO_TCP, TCP_KEEPINTVL },
	{ VJ_OPT_KEEPCNT, IPPROTO_TCP, TCP_KEEPCNT },
	{ VJ_OPT_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE },
	{ VJ_OPT_USER_TIMEOUT_MS, IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ VJ_OPT_NOTSENT_LOWAT, IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ VJ_OPT_CORK, IPPROTO_TCP, TCP_CORK },
};

_Static_assert(ARRAY_SIZE(rows) == KERNEL_OPTION_CNT, "one value for each");

static uint64_t get(const struct vj *vj, struct vj_conn c, enum vj_option opt)
{
	uint64_t value = 0;

	(void)vj_conn_option_get(vj, c, opt, &value);
	return value;
}

void kernel_options_read(const struct vj *vj, struct vj_conn c, struct kernel_options *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ret->value[i] = get(vj, c, rows[i].opt);
	ret->tos = get(vj, c, VJ_OPT_TOS);
	ret->ttl = get(vj, c, VJ_OPT_TTL);
	ret->congestion = get(vj, c, VJ_OPT_CONGESTION);
	ret->linger2_s = get(vj, c, VJ_OPT_LINGER2_S);
	ret->pacing_Bps = get(vj, c, VJ_OPT_PACING);
}

/* Only what is another than the kernel would have it: some of what is set no longer follows the host's settings. */
static void set_int(int fd, int level, int name, int value)
{
	int is = 0;
	socklen_t len = sizeof(is);

	if (!sys_getsockopt(fd, level, name, &is, &len) && is != value)
		(void)sys_setsockopt(fd, level, name, &value, sizeof(value));
}

void kernel_options_set(int fd, const struct kernel_options *o, bool v4, bool sock6)
{
	const char *congestion = vj_congestion_name((unsigned)o->congestion);
	unsigned long pacing_Bps = o->pacing_Bps < ULONG_MAX ? (unsigned long)o->pacing_Bps : ULONG_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].opt != VJ_OPT_NOTSENT_LOWAT || o->value[i] != 0)
			set_int(fd, rows[i].level, rows[i].name, (int)o->value[i]);
	if (v4) {
		set_int(fd, IPPROTO_IP, IP_TOS, (int)o->tos);
		set_int(fd, IPPROTO_IP, IP_TTL, (int)o->ttl);
	}
	if (!v4 || sock6) {
		set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, (int)o->tos);
		set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, (int)o->ttl);
	}
	if (o->linger2_s)
		set_int(fd, IPPROTO_TCP, TCP_LINGER2, o->linger2_s == LINGER2_NONE ? -1 : (int)o->linger2_s);
	if (pacing_Bps)
		(void)sys_setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pacing_Bps, sizeof(pacing_Bps));
	if (congestion)
		(void)sys_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
}
