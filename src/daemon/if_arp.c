// SPDX-License-Identifier: BSD-2-Clause
/* if_arp.c - MACS and ASK: which addresses are claimed and learned, and whose is a port of another host */
#include "daemon/app.h"
#include "daemon/if_ask.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"

#include "base/time.h"

#include <string.h>

/* Of another user's application only root sees which. */
static bool may_see(const struct app *viewer, const struct ctl_mac *mac)
{
	const struct app *app;

	if (viewer->uid == 0 || mac->app_id == 0)
		return true;
	TAILQ_FOREACH (app, &viewer->d->apps, all)
		if (app->id == mac->app_id)
			return app->uid == viewer->uid;
	return false;
}

/* Places of all interfaces, one after the other; the upper half of @pos counts interfaces. */
bool interfaces_macs(const struct app *viewer, uint64_t *pos, struct ctl_msg *ret_msg)
{
	const struct interfaces *s = viewer->d->interfaces;
	const struct iface *i;
	uint32_t nr = 0;

	if (s == NULL)
		return false;
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		bool end = i->lan == NULL;

		if (nr++ < *pos >> 32)
			continue;
		while (!end) {
			bool found = if_lan_entry(i->lan, (uint32_t)(*pos)++, &ret_msg->mac, &end);

			if (found && may_see(viewer, &ret_msg->mac)) {
				ret_msg->type = CTL_MACS_ENTRY;
				return true;
			}
		}
		*pos = (uint64_t)nr << 32;
	}
	return false;
}

/* What needs no question. Return: the interface at which it is to be asked; NULL: @ret says it, if its kind isn't 0 */
static struct iface *where(const struct interfaces *s, const struct ip_addr *addr, struct ctl_mac *ret)
{
	struct host_route route;
	struct iface *i;

	if (host_table_route(host_watch_table(s->host), addr, 0, &route) < 0 || route.kind == HOST_ROUTE_NONE)
		return NULL;
	if (route.kind == HOST_ROUTE_LOCAL) {
		i = TAILQ_FIRST(&s->ifaces);
		ret->kind = CTL_MAC_LOCAL;
	} else {
		i = iface_by_index(s, route.ifindex);
		if (!ip_addr_eq(&route.hop, addr)) {
			ret->kind = CTL_MAC_ROUTED;
			host_table_neighbour(host_watch_table(s->host), route.ifindex, &route.hop, ret->canonical);
		}
	}
	if (i == NULL || i->lan == NULL) {
		ret->kind = 0;
		return NULL;
	}
	ret->ifindex = i->ifindex;
	ctl_name_set(ret->name, i->name);
	return ret->kind == 0 ? i : NULL;
}

enum ctl_refusal interfaces_ask(struct app *app, uint32_t seq, const struct ctl_endpoint *ep)
{
	const struct interfaces *s = app->d->interfaces;
	struct ctl_msg reply = { .type = CTL_ASKED, .seq = seq };
	struct ip_addr addr = ip_addr_from_v6(ep->addr);
	struct iface *i;

	if (ep->proto == CTL_PROTO_RAW || ip_addr_is_multicast(&addr) || ip_addr_is_any(&addr))
		return CTL_REFUSAL_MALFORMED;
	if (s == NULL || !s->ready)
		return CTL_REFUSAL_NO_INTERFACE;
	reply.mac = (struct ctl_mac){ .proto = ep->proto, .port_lo = ep->port, .port_hi = ep->port };
	memcpy(reply.mac.addr, ep->addr, sizeof(reply.mac.addr));
	host_watch_run(s->host, app->d->now_ns);
	i = where(s, &addr, &reply.mac);
	if (i != NULL)
		return if_ask_begin(if_lan_ask(i->lan), app, seq, ep, app->d->now_ns / NS_PER_US) ? CTL_REFUSAL_NONE :
												    CTL_REFUSAL_RESOURCES;
	if (reply.mac.kind == 0)
		return CTL_REFUSAL_NO_INTERFACE;
	app_post(app, &reply);
	return CTL_REFUSAL_NONE;
}
