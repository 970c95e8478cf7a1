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

/* Place @pos of the interface number @nr, or of the gateway behind all of them. Return: false: nothing is there. @ret_end: nor behind */
static bool entry_at(const struct interfaces *s, uint32_t nr, uint32_t pos, struct ctl_mac *ret, bool *ret_end)
{
	const struct iface *i;
	struct gateway *g;

	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (nr-- == 0) {
			if (pos < IF_OWN6_ENTRIES)
				return if_own6_entry(i->own6, pos, ret);
			*ret_end = i->lan == NULL;
			return i->lan != NULL && if_lan_entry(i->lan, pos - IF_OWN6_ENTRIES, ret, ret_end);
		}
	g = s->gateways[nr];
	*ret = (struct ctl_mac){ .ifindex = gateway_ifindex(g), .gateway = 1 };
	ctl_name_set(ret->name, gateway_name(g));
	return if_ask_entry(gateway_ask(g), pos, s->d->now_ns / NS_PER_US, ret, ret_end);
}

/* The upper half of @pos counts interfaces and gateways. */
bool interfaces_macs(const struct app *viewer, uint64_t *pos, struct ctl_msg *ret_msg)
{
	const struct interfaces *s = viewer->d->interfaces;
	uint32_t cnt = interfaces_cnt(viewer->d) + (s != NULL ? s->gateway_cnt : 0);

	for (uint32_t nr = (uint32_t)(*pos >> 32); nr < cnt; *pos = (uint64_t)++nr << 32)
		for (bool end = false; !end;) {
			bool found = entry_at(s, nr, (uint32_t)(*pos)++, &ret_msg->mac, &end);

			if (found && may_see(viewer, &ret_msg->mac)) {
				ret_msg->type = CTL_MACS_ENTRY;
				return true;
			}
		}
	return false;
}

/* Where can be asked? NULL: nobody is there to ask */
static struct if_ask *ask_at(const struct interfaces *s, uint32_t ifindex)
{
	const struct iface *i = iface_by_index(s, ifindex);
	struct gateway *g = gateway_by_index(s, ifindex);

	if (i != NULL && i->lan != NULL)
		return if_lan_ask(i->lan);
	return g != NULL ? gateway_ask(g) : NULL;
}

/* 0: there is none. */
static uint32_t any_index(const struct interfaces *s)
{
	const struct iface *i = TAILQ_FIRST(&s->ifaces);

	if (i != NULL)
		return i->ifindex;
	return s->gateway_cnt > 0 ? gateway_ifindex(s->gateways[0]) : 0;
}

/* What needs no question. Return: whom to ask; NULL: @ret says it, if its kind isn't 0 */
static struct if_ask *where(const struct interfaces *s, const struct ip_addr *addr, struct ctl_mac *ret)
{
	const struct host_interface *at;
	struct host_route route;
	struct if_ask *ask;
	uint32_t ifindex;

	if (host_table_route(host_watch_table(s->host), addr, 0, &route) < 0 || route.kind == HOST_ROUTE_NONE)
		return NULL;
	ifindex = route.kind == HOST_ROUTE_LOCAL ? any_index(s) : route.ifindex;
	ask = ask_at(s, ifindex);
	at = host_watch_find(s->host, NULL, ifindex);
	if (ask == NULL || at == NULL)
		return NULL;
	ret->ifindex = ifindex;
	ctl_name_set(ret->name, at->name);
	if (route.kind == HOST_ROUTE_LOCAL) {
		ret->kind = CTL_MAC_LOCAL;
		return NULL;
	}
	if (ip_addr_eq(&route.hop, addr))
		return ask;
	ret->kind = CTL_MAC_ROUTED;
	host_table_neighbour(host_watch_table(s->host), route.ifindex, &route.hop, ret->canonical);
	return NULL;
}

enum ctl_refusal interfaces_ask(struct app *app, uint32_t seq, const struct ctl_endpoint *ep)
{
	const struct interfaces *s = app->d->interfaces;
	struct ctl_msg reply = { .type = CTL_ASKED, .seq = seq };
	struct ip_addr addr = ip_addr_from_v6(ep->addr);
	struct if_ask *ask;

	if (ep->proto == CTL_PROTO_RAW || ip_addr_is_multicast(&addr) || ip_addr_is_any(&addr))
		return CTL_REFUSAL_MALFORMED;
	if (s == NULL || s->host == NULL)
		return CTL_REFUSAL_NO_INTERFACE;
	reply.mac = (struct ctl_mac){ .proto = ep->proto, .port_lo = ep->port, .port_hi = ep->port };
	memcpy(reply.mac.addr, ep->addr, sizeof(reply.mac.addr));
	host_watch_run(s->host, app->d->now_ns);
	ask = where(s, &addr, &reply.mac);
	if (ask != NULL)
		return if_ask_begin(ask, app, seq, ep, app->d->now_ns / NS_PER_US) ? CTL_REFUSAL_NONE : CTL_REFUSAL_RESOURCES;
	if (reply.mac.kind == 0)
		return CTL_REFUSAL_NO_INTERFACE;
	app_post(app, &reply);
	return CTL_REFUSAL_NONE;
}
