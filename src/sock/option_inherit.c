// SPDX-License-Identifier: BSD-2-Clause
/*
 * option_inherit.c - options that the kernel keeps, of what accept() returns: they are the listening socket's
 *
 * The numbers of accepted connections duplicate one placeholder (accept.c), which would have none of them. A listening socket whose options are
 * other than that one's has a placeholder of its own with them, made when it first accepts on a channel, and again when they have changed. What libvj
 * or this layer go by themselves is inherited there (inherit() in accept.c).
 */
#include "sock/kernel.h"
#include "sock/option.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

enum { VALUE_BYTES = 16 /* the name of a congestion control */ };

/* Those that an accepted connection of the kernel's has, too */
static const struct inherited {
	int level, name;
} inherited[] = {
	{ SOL_SOCKET, SO_REUSEADDR },	  { SOL_SOCKET, SO_REUSEPORT },
	{ SOL_SOCKET, SO_BROADCAST },	  { SOL_SOCKET, SO_DONTROUTE },
	{ SOL_SOCKET, SO_OOBINLINE },
	{ SOL_SOCKET, SO_TIMESTAMP },	  { SOL_SOCKET, SO_TIMESTAMPNS },
	{ SOL_SOCKET, SO_NO_CHECK },	  { SOL_SOCKET, SO_RXQ_OVFL },
	{ SOL_SOCKET, SO_BUSY_POLL },	  { SOL_SOCKET, SO_SELECT_ERR_QUEUE },
	{ SOL_SOCKET, SO_MAX_PACING_RATE },
	{ IPPROTO_TCP, TCP_SYNCNT },	  { IPPROTO_TCP, TCP_LINGER2 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT }, { IPPROTO_TCP, TCP_INQ },
	{ IPPROTO_TCP, TCP_CONGESTION },
	{ IPPROTO_TCP, TCP_SAVE_SYN },	  { IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS },
	{ IPPROTO_IP, IP_TOS },		  { IPPROTO_IP, IP_TTL },
	{ IPPROTO_IP, IP_MTU_DISCOVER },  { IPPROTO_IP, IP_RECVTOS },
	{ IPPROTO_IP, IP_RECVTTL },	  { IPPROTO_IP, IP_PKTINFO },
	{ IPPROTO_IP, IP_RECVERR },	  { IPPROTO_IP, IP_FREEBIND },
	{ IPPROTO_IP, IP_TRANSPARENT },	  { IPPROTO_IP, IP_RECVORIGDSTADDR },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT }, { IPPROTO_IP, IP_MULTICAST_LOOP },
	{ IPPROTO_IP, IP_MULTICAST_ALL },
	{ IPPROTO_IPV6, IPV6_TCLASS },	  { IPPROTO_IPV6, IPV6_UNICAST_HOPS },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER }, { IPPROTO_IPV6, IPV6_RECVPKTINFO },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ IPPROTO_IPV6, IPV6_RECVERR },	  { IPPROTO_IPV6, IPV6_DONTFRAG },
	{ IPPROTO_IPV6, IPV6_RECVORIGDSTADDR }, { IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
	{ IPPROTO_IPV6, IPV6_MULTICAST_ALL }, { IPPROTO_IPV6, IPV6_AUTOFLOWLABEL },
};

struct value {
	uint8_t bytes[VALUE_BYTES];
	socklen_t len; /* 0: it has none */
};

static struct value value_of(int fd, const struct inherited *o)
{
	struct value v = { .len = sizeof(v.bytes) };

	if (sys_getsockopt(fd, o->level, o->name, v.bytes, &v.len))
		v.len = 0;
	return v;
}

_Static_assert(ARRAY_SIZE(inherited) <= 64, "a bit for each");

uint64_t options_differ(int from, int to)
{
	uint64_t which = 0;

	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		struct value there = value_of(from, &inherited[i]), here = value_of(to, &inherited[i]);

		if (there.len && (there.len != here.len || memcmp(there.bytes, here.bytes, here.len) != 0))
			which |= UINT64_C(1) << i;
	}
	return which;
}

/* Return: 0, 1; -2: none, or another value */
static int switch_of(int fd, const struct inherited *o)
{
	struct value v = value_of(fd, o);
	int value;

	if (v.len != sizeof(value))
		return -2;
	memcpy(&value, v.bytes, sizeof(value));
	return value == 0 || value == 1 ? value : -2;
}

uint64_t options_turned(int fd, int family)
{
	int fresh = sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t which = 0;

	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
		if (switch_of(fd, &inherited[i]) + switch_of(fresh, &inherited[i]) == 1)
			which |= UINT64_C(1) << i;
	sys_close(fresh);
	return which;
}

void options_turn(int fd, uint64_t which)
{
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		int value = which >> i & 1 ? !switch_of(fd, &inherited[i]) : -1;

		if (value >= 0)
			(void)sys_setsockopt(fd, inherited[i].level, inherited[i].name, &value, sizeof(value));
	}
}

bool options_have(uint64_t which, int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
		if (inherited[i].level == level && inherited[i].name == name)
			return which >> i & 1;
	return false;
}

void options_copy(int from, int to, uint64_t which)
{
	static const struct inherited priority = { SOL_SOCKET, SO_PRIORITY }; /* not handed on, and IP_TOS sets it */
	struct value before;

	if (!which)
		return;
	before = value_of(to, &priority);
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		struct value v = which >> i & 1 ? value_of(from, &inherited[i]) : (struct value){ .len = 0 };

		if (v.len)
			(void)sys_setsockopt(to, inherited[i].level, inherited[i].name, v.bytes, v.len);
	}
	(void)sys_setsockopt(to, priority.level, priority.name, before.bytes, before.len);
}
