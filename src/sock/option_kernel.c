// SPDX-License-Identifier: BSD-2-Clause
/*
 * option_kernel.c - options that only the kernel can give a meaning: which segments or datagrams come at all, what comes with them, by which
 * way they leave, who may have sent them
 *
 * A socket that has such a one when it is to be connected, or to listen, is the kernel's, and one that listens already leaves channels. For a
 * connection that is on a channel it is too late; what is about trust is refused then, the rest is the kernel socket's below, and does nothing.
 */
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/option.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY 38
#endif

static const struct kernels {
	int level, name;
	bool tcp, udp;
} kernels[] = {
	{ SOL_SOCKET, SO_BINDTODEVICE, true, true },
	{ SOL_SOCKET, SO_BINDTOIFINDEX, true, true },
	{ SOL_SOCKET, SO_MARK, true, true },
	{ SOL_SOCKET, SO_ATTACH_FILTER, true, true },
	{ SOL_SOCKET, SO_ATTACH_BPF, true, true },
	{ SOL_SOCKET, SO_TIMESTAMPING, true, true },
	{ SOL_SOCKET, SO_TIMESTAMPING_NEW, true, true },
	{ SOL_SOCKET, SO_RXQ_OVFL, false, true },
	{ IPPROTO_IP, IP_OPTIONS, true, true },
	{ IPPROTO_IP, IP_MINTTL, true, false },
	{ IPPROTO_IP, IP_UNICAST_IF, true, true },
	{ IPPROTO_IP, IP_LOCAL_PORT_RANGE, true, false },
	{ IPPROTO_IP, IP_RECVTTL, false, true },
	{ IPPROTO_IP, IP_RECVTOS, false, true },
	{ IPPROTO_IP, IP_RECVOPTS, false, true },
	{ IPPROTO_IP, IP_RETOPTS, false, true },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, false, true },
	{ IPPROTO_IP, IP_RECVERR, false, true },
	{ IPPROTO_IPV6, IPV6_HOPOPTS, true, true },
	{ IPPROTO_IPV6, IPV6_RTHDR, true, true },
	{ IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, true, true },
	{ IPPROTO_IPV6, IPV6_DSTOPTS, true, true },
	{ IPPROTO_IPV6, IPV6_MINHOPCOUNT, true, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_IF, true, true },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, false, true },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, false, true },
	{ IPPROTO_IPV6, IPV6_2292HOPLIMIT, false, true },
	{ IPPROTO_IPV6, IPV6_2292PKTINFO, false, true },
	{ IPPROTO_IPV6, IPV6_RECVERR, false, true },
	{ IPPROTO_TCP, TCP_REPAIR, true, false },
	{ IPPROTO_TCP, TCP_MD5SIG, true, false },
	{ IPPROTO_TCP, TCP_MD5SIG_EXT, true, false },
	{ IPPROTO_TCP, TCP_AO_ADD_KEY, true, false },
};

/* A number, or a structure whose first bytes are not zero where it asks for anything */
int option_value(const void *val, socklen_t len)
{
	int value = 0;

	if (val && len >= sizeof(value))
		memcpy(&value, val, sizeof(value));
	else if (val && len)
		value = *(const uint8_t *)val;
	return value;
}

bool option_is_kernels(const struct sock *s, int level, int name, const void *val, socklen_t len)
{
	bool udp = s->state == SOCK_UDP;

	if (udp && level == SOL_SOCKET && name == SO_PEEK_OFF)
		return option_value(val, len) >= 0;
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (kernels[i].level == level && kernels[i].name == name && (udp ? kernels[i].udp : kernels[i].tcp))
			return option_value(val, len) != 0;
	return false;
}

/* A filter is told by the number of its instructions; another program's, by an error. */
static bool has_filter(int fd)
{
	socklen_t len = 0;

	return sys_getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == -EACCES || len;
}

bool option_kernels_there(int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		_Alignas(int) uint8_t val[64] = { 0 };
		socklen_t len = sizeof(val);

		if (kernels[i].tcp && kernels[i].name != SO_ATTACH_FILTER && !sys_getsockopt(fd, kernels[i].level, kernels[i].name, val, &len) &&
		    option_value(val, len))
			return true;
	}
	return has_filter(fd);
}

VJ_EARLY bool option_is_refused(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_PEEK_OFF; /* as before Linux 6.9 */
	return level == IPPROTO_TCP && (name == TCP_REPAIR || name == TCP_MD5SIG || name == TCP_MD5SIG_EXT || name == TCP_AO_ADD_KEY);
}
