/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/proof.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Return: the option's value; -1: it has none */
static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t bytes = sizeof(value);

	return getsockopt(fd, level, name, &value, &bytes) == 0 ? value : -1;
}

static uint64_t option64(int fd, int level, int name)
{
	uint64_t value = 0;
	socklen_t bytes = sizeof(value);

	return getsockopt(fd, level, name, &value, &bytes) == 0 ? value : 0;
}

uint64_t proof_netns(int fd)
{
	return option64(fd, SOL_SOCKET, SO_NETNS_COOKIE);
}

static bool local_name(int fd, struct endpoint *ret_ep)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} name = { 0 };
	socklen_t bytes = sizeof(name);

	if (getsockname(fd, &name.sa, &bytes) != 0)
		return false;
	if (name.sa.sa_family == AF_INET) {
		ret_ep->addr = ip_addr_from_v4((struct be32){ name.in.sin_addr.s_addr });
		ret_ep->port = be16_get((struct be16){ name.in.sin_port });
		return true;
	}
	ret_ep->addr = ip_addr_from_v6(&name.in6.sin6_addr);
	ret_ep->port = be16_get((struct be16){ name.in6.sin6_port });
	return name.sa.sa_family == AF_INET6;
}

static bool is_tcp_or_udp(int fd, uint8_t proto)
{
	int domain = option(fd, SOL_SOCKET, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) &&
	       option(fd, SOL_SOCKET, SO_PROTOCOL) == proto &&
	       option(fd, SOL_SOCKET, SO_TYPE) ==
		       (proto == CTL_PROTO_TCP ? SOCK_STREAM : SOCK_DGRAM);
}

/*
 * An accepted or connected TCP socket shares its local port with the listener and proves nothing.
 */
static bool tcp_idle_or_listening(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t bytes = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 &&
	       (info.tcpi_state == TCP_LISTEN || info.tcpi_state == TCP_CLOSE);
}

/*
 * A TCP socket whose connection was reset keeps the name of the port that it no longer holds. The
 * kernel refuses to bind a socket twice, so a second bind that succeeds shows that the first is
 * void. Port 0, because privileges are checked first for others. (What it binds then is the
 * claimant's own dead socket.)
 */
static bool holds_its_name(int fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET)
		return bind(fd, (const struct sockaddr *)&in, sizeof(in)) != 0 && errno == EINVAL;
	return bind(fd, (const struct sockaddr *)&in6, sizeof(in6)) != 0 && errno == EINVAL;
}

/*
 * A socket bound to a device doesn't get what comes from elsewhere, programs of this host included.
 */
static bool is_bound_to_device(int fd)
{
	char name[16];
	socklen_t bytes = sizeof(name);

	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &bytes) != 0 || bytes > 0;
}

static bool covers_claim(int fd, const struct ctl_lease *claim)
{
	struct endpoint want = ctl_endpoint_get(&claim->local), have;

	if (!local_name(fd, &have) || !endpoint_eq(&want, &have))
		return false;
	if ((claim->flags & CTL_LEASE_REUSEPORT) != 0 && option(fd, SOL_SOCKET, SO_REUSEPORT) != 1)
		return false;
	if (ip_addr_is_any(&want.addr) && !ip_addr_is_v4(&want.addr) &&
	    (claim->flags & CTL_LEASE_V6ONLY) == 0)
		return option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
	return true;
}

int proof_take(int fd, const struct ctl_lease *claim, uint64_t netns, struct lease_proof *ret_proof)
{
	uint8_t proto = claim->local.proto;

	if (!is_tcp_or_udp(fd, proto) || proof_netns(fd) != netns || is_bound_to_device(fd))
		return -EACCES;
	if (proto == CTL_PROTO_TCP && !tcp_idle_or_listening(fd))
		return -EACCES;
	if (!covers_claim(fd, claim) || !holds_its_name(fd))
		return -EACCES;
	ret_proof->cookie = option64(fd, SOL_SOCKET, SO_COOKIE);
	ret_proof->reuseaddr = option(fd, SOL_SOCKET, SO_REUSEADDR) != 0;
	ret_proof->reuseport = option(fd, SOL_SOCKET, SO_REUSEPORT) != 0;
	ret_proof->listening = proto == CTL_PROTO_TCP && option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
	return 0;
}
