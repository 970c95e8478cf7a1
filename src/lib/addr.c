// SPDX-License-Identifier: BSD-2-Clause
/* Socket addresses of the program to endpoints and back. IPv4-mapped IPv6 becomes IPv4: one endpoint, one form. */
#include "channel/sys.h"
#include "lib/link.h"
#include "lib/own_fd.h"
#include "lib/priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret_ep)
{
	if (!sa || len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		ret_ep->addr = ip_addr_from_v4((struct be32){ in.sin_addr.s_addr });
		ret_ep->port = be16_get((struct be16){ in.sin_port });
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		if (len < sizeof(in6))
			return -EINVAL;
		memcpy(&in6, sa, sizeof(in6));
		ret_ep->addr = ip_addr_from_v6(&in6.sin6_addr);
		ret_ep->port = be16_get((struct be16){ in6.sin6_port });
		return 0;
	}
	return -EAFNOSUPPORT;
}

int addr_of_peer(const struct sockaddr *sa, socklen_t len, const struct ip_addr *from, struct endpoint *ret_ep)
{
	const struct ip_addr loopback4 = ip_addr_from_v4(be32(0x7f000001)), loopback6 = { .bytes = { [15] = 1 } };
	int err = addr_from_sockaddr(sa, len, ret_ep);
	bool from_v4 = from && ip_addr_is_v4(from) && !ip_addr_is_any(from);

	if (err || !ip_addr_is_any(&ret_ep->addr))
		return err;
	if (ip_addr_is_v4(&ret_ep->addr))
		ret_ep->addr = from_v4 ? *from : loopback4;
	else
		ret_ep->addr = from_v4 ? loopback4 : loopback6;
	return 0;
}

void addr_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ret_sa)
{
	memset(ret_sa, 0, sizeof(*ret_sa));
	if (ip_addr_is_v4(&ep->addr)) {
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_port = be16(ep->port).raw,
					  .sin_addr = { ip_addr_v4(&ep->addr).raw } };

		memcpy(ret_sa, &in, sizeof(in));
	} else {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = be16(ep->port).raw };

		memcpy(&in6.sin6_addr, ep->addr.bytes, sizeof(in6.sin6_addr));
		memcpy(ret_sa, &in6, sizeof(in6));
	}
}

static struct ip_addr kernel_source(const struct ip_addr *remote)
{
	struct endpoint ep = { .addr = *remote, .port = 9 };
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = OWN_FD_MAKE(sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	addr_to_sockaddr(&ep, &sa);
	if (fd < 0 || sys_connect(fd, (struct sockaddr *)&sa, sizeof(struct sockaddr_in)) || sys_getsockname(fd, (struct sockaddr *)&sa, &len) ||
	    addr_from_sockaddr((struct sockaddr *)&sa, len, &ep))
		ep.addr = *remote;
	own_fd_close(fd);
	return ep.addr;
}

/* What is sent to one IPv4 address of this host may leave from another, the first of its network: the kernel knows, and is asked again after a while. */
static struct ip_addr own_source(struct vj *vj, const struct ip_addr *remote)
{
	struct source *s = &vj->sources[remote->bytes[sizeof(remote->bytes) - 1] % SOURCE_CNT];
	uint64_t now_ns = lib_clock_ns();

	if (now_ns >= s->until_ns || !ip_addr_eq(&s->remote, remote))
		*s = (struct source){ .remote = *remote, .addr = kernel_source(remote), .until_ns = now_ns + 100 * NS_PER_MS };
	return s->addr;
}

struct ip_addr addr_source_for(struct vj *vj, const struct vj_link *link, const struct ip_addr *remote)
{
	struct ip_addr source;

	if (link->kind->leads_to(link, remote, &source) != IFLINK_NO_WAY)
		return source;
	if (!ip_addr_is_v4(remote))
		return *remote;
	return ip_addr_is_loopback(remote) ? ip_addr_from_v4(be32(0x7f000001)) : own_source(vj, remote);
}
