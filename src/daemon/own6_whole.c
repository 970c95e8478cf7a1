// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/own6_whole.h"

#include "daemon/app.h"
#include "daemon/firewall.h"
#include "daemon/if_state.h"
#include "daemon/kernel_ports.h"

/* Return: no lease of its is the kernel's to serve there, and one at least is the channel's */
static bool serves_by_channel(const struct app *app, const struct ip_addr *addr, uint64_t netns)
{
	const struct ip_addr any = ip_addr_any_v6();
	const struct lease *l;
	bool serves = false;

	TAILQ_FOREACH (l, &app->leases, of_app) {
		const struct ip_addr *at = &l->key.local.addr;

		if (l->key.proto == CTL_PROTO_RAW || l->key.netns != netns || (!ip_addr_eq(at, addr) && !ip_addr_eq(at, &any)))
			continue;
		if ((l->flags & CTL_LEASE_LOCAL) != 0)
			return false;
		serves = true;
	}
	return serves;
}

static bool is_judged(struct firewall *fw, const char *name, const struct ip_addr *addr)
{
	return firewall_against(fw, name, addr, CTL_PROTO_TCP, 1, UINT16_MAX) == 0 &&
	       firewall_against(fw, name, addr, CTL_PROTO_UDP, 1, UINT16_MAX) == 0;
}

/* Those that it accepted before it served by the channel, and nobody knows which may come. Return: none, as far as can be told */
static bool kernel_has_none(const struct interfaces *s, const struct ip_addr *addr)
{
	bool any;

	return kernel_ports_connected_at(addr, host_watch_image(s->host), &any) == 0 && !any;
}

bool own6_is_whole(const struct interfaces *s, const struct iface *i, const struct if_chan *c, const struct ip_addr *addr, bool was,
		   bool *ret_again)
{
	const struct policy_rule *rule = policy_of(s->d->policy, c->rec.uid);

	/* as an earlier vjd has left it, until all have stated what they have */
	if (c->app == NULL || (s->adopt_until_ns != 0 && was))
		return was;
	if (rule == NULL || !rule->all_ports || !iface_ports(s, i).exact || !serves_by_channel(c->app, addr, s->d->cfg.netns) ||
	    !is_judged(s->d->firewall, i->name, addr))
		return false;
	if (was || kernel_has_none(s, addr))
		return true;
	*ret_again = true;
	return false;
}
