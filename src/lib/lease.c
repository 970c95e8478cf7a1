// SPDX-License-Identifier: BSD-2-Clause
/*
 * lease.c - ports that this application holds
 *
 * A lease is proved to vjd by a kernel socket bound to the port. The socket stays open as long as the lease, so that
 * neither the kernel nor another application can take the port meanwhile. It is the caller's (the sockets layer has
 * one anyway) or made here.
 */
#include "channel/sys.h"
#include "lib/iflink.h"
#include "lib/lease.h"
#include "lib/lease_scope.h"
#include "lib/own_fd.h"
#include "lib/priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)VJ_LISTEN_V6ONLY == (int)CTL_LEASE_V6ONLY && (int)VJ_LISTEN_REUSEPORT == (int)CTL_LEASE_REUSEPORT &&
		       (int)LEASE_SCOPE_LOCAL == (int)CTL_LEASE_LOCAL,
	       "listen flags become lease flags; see lease_flags()");

static int lease_slot(struct vj *vj, struct lease **ret_slot)
{
	struct lease *more;

	for (unsigned i = 0; i < vj->lease_room; i++) {
		if (!vj->leases[i].proto) {
			*ret_slot = &vj->leases[i];
			return 0;
		}
	}
	more = realloc(vj->leases, (vj->lease_room + 16) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + vj->lease_room, 0, 16 * sizeof(*more));
	vj->leases = more;
	*ret_slot = &more[vj->lease_room];
	vj->lease_room += 16;
	return 0;
}

static int kernel_bind(uint8_t proto, const struct endpoint *local, unsigned flags)
{
	bool v4 = ip_addr_is_v4(&local->addr);
	struct sockaddr_storage sa;
	int fd, err, on = 1, v6only = (flags & VJ_LISTEN_V6ONLY) != 0;

	fd = sys_socket(v4 ? AF_INET : AF_INET6,
			(proto == CTL_PROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	addr_to_sockaddr(local, &sa);
	err = proto == CTL_PROTO_TCP ? sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) : 0;
	if (!err && (flags & VJ_LISTEN_REUSEPORT))
		err = sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (!err && !v4)
		err = sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (!err)
		err = sys_bind(fd, (struct sockaddr *)&sa, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	if (err) {
		sys_close(fd);
		return err;
	}
	return own_fd(fd);
}

/* Port 0 has become a real one: ask the socket. */
static int kernel_port(int fd, struct endpoint *ep)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint bound;
	int err = sys_getsockname(fd, (struct sockaddr *)&sa, &len);

	if (!err)
		err = addr_from_sockaddr((struct sockaddr *)&sa, len, &bound);
	if (!err)
		ep->port = bound.port;
	return err;
}

static int lease_ask(struct vj *vj, struct lease *l)
{
	struct ctl_endpoint local = { .port = l->local.port, .proto = l->proto };
	int fd = l->kernel_fd >= 0 ? l->kernel_fd : vj->bell_fd; /* RAW has nothing to prove */

	if (!vj->ctl)
		return -ENOTCONN;
	memcpy(local.addr, l->local.addr.bytes, sizeof(local.addr));
	return control_done(vj, ctl_client_lease(vj->ctl, &local, l->flags, fd, &l->id));
}

/* Waits, so that the port is free for the next program when we return; unless vjd is behind. Then it hears of it when it has room. */
static void lease_give_back(struct vj *vj, struct lease *l)
{
	if (l->id && vj->ctl && control_done(vj, ctl_client_release(vj->ctl, l->id)) == -ETIMEDOUT)
		control_again(vj);
	l->id = 0;
}

int lease_take(struct vj *vj, uint8_t proto, const struct endpoint *local, unsigned flags, int kernel_fd,
	       struct lease **ret_lease)
{
	struct lease *l;
	int err;

	if (flags & ~(unsigned)(VJ_LISTEN_V6ONLY | VJ_LISTEN_REUSEPORT | LEASE_SCOPE_LOCAL))
		return -EINVAL;
	err = lease_slot(vj, &l);
	if (err)
		return err;
	*l = (struct lease){ .local = *local, .flags = flags, .kernel_fd = kernel_fd };
	if (kernel_fd < 0 && proto != CTL_PROTO_RAW) {
		l->kernel_fd = kernel_bind(proto, local, flags);
		if (l->kernel_fd < 0)
			return l->kernel_fd;
		l->own_fd = true;
	}
	if (!l->local.port)
		err = kernel_port(l->kernel_fd, &l->local);
	l->proto = proto;
	if (!err)
		err = lease_ask(vj, l);
	if (err) {
		if (l->own_fd)
			own_fd_close(l->kernel_fd);
		l->proto = 0;
		return err;
	}
	if (proto != CTL_PROTO_RAW && !ip_addr_is_loopback(&local->addr) && !(flags & LEASE_SCOPE_LOCAL))
		control_want_interfaces(vj);
	route_forget_all(vj); /* that nobody was there */
	*ret_lease = l;
	return 0;
}

int lease_scope_widen(struct vj *vj, struct vj_listener l)
{
	struct lease *lease = lease_by_obj(vj, CTL_PROTO_TCP, l.v);
	int err;

	if (!lease || !(lease->flags & CTL_LEASE_LOCAL))
		return 0;
	lease->flags &= ~(uint32_t)CTL_LEASE_LOCAL;
	err = lease->rests ? 0 : lease_ask(vj, lease);
	if (err && err != -ENOTCONN) {
		lease->flags |= CTL_LEASE_LOCAL;
		if (err == -ETIMEDOUT) { /* its answer, when it comes, gives up what vjd has widened in place */
			lease->id = 0;
			control_again(vj);
		}
		return err;
	}
	/* also if vjd is away: it says what it has to offer when it is back */
	if (!ip_addr_is_loopback(&lease->local.addr))
		control_want_interfaces(vj);
	return err;
}

int lease_scope_narrow(struct vj *vj, struct vj_listener l)
{
	struct lease *lease = lease_by_obj(vj, CTL_PROTO_TCP, l.v);
	int err;

	if (!lease || (lease->flags & CTL_LEASE_LOCAL))
		return 0;
	lease->flags |= CTL_LEASE_LOCAL;
	if (lease->rests)
		return 0;
	lease_give_back(vj, lease);
	err = lease_ask(vj, lease);
	if (err)
		control_again(vj);
	return err;
}

unsigned lease_scope_interfaces(const struct vj *vj, uint8_t proto, uint32_t obj, uint32_t *ret_ifindex, unsigned room)
{
	const struct lease *lease = lease_by_obj(vj, proto, obj);
	unsigned cnt = 0;

	if (!lease || lease->rests || (lease->flags & CTL_LEASE_LOCAL) || ip_addr_is_loopback(&lease->local.addr))
		return 0;
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		const struct vj_link *link = vj->links[i];

		if (link->ifl && !link->dead && cnt++ < room)
			ret_ifindex[cnt - 1] = iflink_said(link->ifl)->ifindex;
	}
	return cnt;
}

struct lease *lease_by_obj(const struct vj *vj, uint8_t proto, uint32_t obj_id)
{
	for (unsigned i = 0; i < vj->lease_room; i++)
		if (vj->leases[i].proto == proto && vj->leases[i].obj_id == obj_id)
			return &vj->leases[i];
	return NULL;
}

void lease_drop(struct vj *vj, struct lease *lease)
{
	lease_give_back(vj, lease);
	if (lease->own_fd)
		own_fd_close(lease->kernel_fd);
	*lease = (struct lease){ .proto = 0 };
}

void lease_ends(struct vj *vj, struct vj_listener of)
{
	struct lease *l = lease_by_obj(vj, CTL_PROTO_TCP, of.v);

	if (l)
		l->rests = true;
}

int lease_rest(struct vj *vj, struct vj_listener of, bool rest)
{
	struct lease *l = lease_by_obj(vj, CTL_PROTO_TCP, of.v);
	int err = 0;

	if (!l)
		return rest ? -ENOENT : 0;
	if (l->rests == rest)
		return 0;
	if (rest && vj->ifl_cnt && !(l->flags & CTL_LEASE_LOCAL) && !ip_addr_is_loopback(&l->local.addr))
		return -EBUSY;
	if (!rest)
		err = lease_ask(vj, l);
	else
		lease_give_back(vj, l);
	if (err)
		return err;
	l->rests = rest;
	route_forget_all(vj);
	return 0;
}

void lease_lost(struct vj *vj)
{
	for (unsigned i = 0; i < vj->lease_room; i++)
		vj->leases[i].id = 0;
}

bool lease_restate(struct vj *vj)
{
	bool all = true;

	for (unsigned i = 0; i < vj->lease_room; i++) {
		struct lease *l = &vj->leases[i];
		int err;

		if (!l->proto || l->id || l->rests)
			continue;
		err = lease_ask(vj, l);
		if (err)
			lib_log(vj, 4, "port %u: vjd does not take the lease again: %s", l->local.port, strerror(-err));
		all &= !err;
	}
	return all;
}

void lease_forget_all(struct vj *vj)
{
	for (unsigned i = 0; i < vj->lease_room; i++)
		if (vj->leases[i].proto && vj->leases[i].own_fd)
			own_fd_close(vj->leases[i].kernel_fd);
	free(vj->leases);
	vj->leases = NULL;
	vj->lease_room = 0;
}
