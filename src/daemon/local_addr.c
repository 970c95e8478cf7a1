/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/local_addr.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Any port will do: nothing is sent. */
static socklen_t make_name(const struct ip_addr *addr, union name *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip_addr_is_v4(addr)) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(1);
		ret->in.sin_addr.s_addr = ip_addr_v4(addr).raw;
		return sizeof(ret->in);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(1);
	memcpy(&ret->in6.sin6_addr, addr->bytes, sizeof(addr->bytes));
	return sizeof(ret->in6);
}

static struct ip_addr name_addr(const union name *name)
{
	return name->sa.sa_family == AF_INET
		       ? ip_addr_from_v4((struct be32){ name->in.sin_addr.s_addr })
		       : ip_addr_from_v6(&name->in6.sin6_addr);
}

/* Unless it has a source, IPv4's socket is given the first of a network's addresses for what goes to any of them. */
static bool bind_v4(int fd, union name name)
{
	name.in.sin_port = 0;
	return bind(fd, &name.sa, sizeof(name.in)) == 0;
}

bool local_addr(const struct ip_addr *addr)
{
	union name to, from = { 0 };
	socklen_t to_bytes = make_name(addr, &to), from_bytes = sizeof(from);
	struct ip_addr source;
	bool local = false;
	int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if ((!ip_addr_is_v4(addr) || bind_v4(fd, to)) && connect(fd, &to.sa, to_bytes) == 0 &&
	    getsockname(fd, &from.sa, &from_bytes) == 0) {
		source = name_addr(&from);
		local = ip_addr_eq(&source, addr);
	}
	close(fd);
	return local;
}
