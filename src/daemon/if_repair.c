/* SPDX-License-Identifier: BSD-2-Clause */
/* if_repair.c - whose is a connection over an interface? See repair.h for what follows */
#include "daemon/app.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"
#include "daemon/repair.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>

/* Has anybody leased the flow's port at @addr? */
static bool owner_at(const struct if_dispatch *d, const struct ip_addr *addr, const struct policy_flow *flow, struct policy_owner *ret)
{
	const struct policy_port port = { .addr = *addr, .port = flow->local_port, .proto = flow->proto };

	return bpf_map_lookup_elem(d->map_fds[IF_MAP_PORTS], &port, ret) == 0 && ret->cnt != 0;
}

/*
 * Would dispatch give its frames to channel @nr? `flows` says so of all that have begun since the channel is there; the map is large, but not
 * endless, and then a port counts that nobody else has.
 */
static bool is_of(const struct if_dispatch *d, const struct ctl_repair *c, uint32_t nr)
{
	const struct policy_flow flow = {
		.remote = ip_addr_from_v6(c->remote),
		.local = ip_addr_from_v6(c->local),
		.remote_port = be16(c->remote_port),
		.local_port = be16(c->local_port),
		.proto = CTL_PROTO_TCP,
	};
	const struct ip_addr any = ip_addr_is_v4(&flow.local) ? ip_addr_any_v4() : ip_addr_any_v6();
	uint32_t owner_nr = 0, block = policy_block_idx(false, c->local_port);
	struct policy_owner owner;

	if (bpf_map_lookup_elem(d->map_fds[IF_MAP_FLOWS], &flow, &owner_nr) == 0)
		return owner_nr == nr;
	if (owner_at(d, &flow.local, &flow, &owner) || owner_at(d, &any, &flow, &owner))
		return owner.cnt == 1 && owner.apps[0] == nr;
	return bpf_map_lookup_elem(d->map_fds[IF_MAP_BLOCKS], &block, &owner_nr) == 0 && owner_nr == nr;
}

static bool is_own(const struct iface *i, const struct if_chan *c, const struct ctl_repair *req)
{
	const struct ip_addr local = ip_addr_from_v6(req->local);
	struct ip_addr own;

	return if_own6_addr(i->own6, c->rec.nr, &own) && ip_addr_eq(&own, &local);
}

enum ctl_refusal interfaces_to_kernel(const struct app *app, const struct ctl_repair *req, struct repair_job *ret_job)
{
	const struct interfaces *s = app->d->interfaces;
	const struct iface *i = s != NULL && s->ready ? iface_by_index(s, req->ifindex) : NULL;
	const struct if_chan *c = i != NULL ? chan_of(i, app) : NULL;

	if (i == NULL)
		return CTL_REFUSAL_NO_INTERFACE;
	if (app->netns != app->d->cfg.netns)
		return CTL_REFUSAL_NETNS;
	if (c == NULL)
		return CTL_REFUSAL_NO_CHANNEL;
	/* at an address that goes with the channel the kernel could not go on */
	if (!is_of(&i->dispatch, req, c->rec.nr) || (i->leave.on && is_own(i, c, req)))
		return CTL_REFUSAL_NO_FLOW;
	*ret_job = (struct repair_job){ .conn = *req, .uid = app->uid, .flows_fd = fcntl(i->dispatch.map_fds[IF_MAP_FLOWS], F_DUPFD_CLOEXEC, 0) };
	if (ret_job->flows_fd < 0)
		return CTL_REFUSAL_RESOURCES;
	if_dispatch_set_left(&i->dispatch);
	return CTL_REFUSAL_NONE;
}
