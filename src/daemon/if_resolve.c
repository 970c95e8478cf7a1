// SPDX-License-Identifier: BSD-2-Clause
/* if_resolve.c - neighbours on demand: the kernel asks the network, and who asked us is told */
#include "daemon/if_state.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/interfaces.h"

#include <stdlib.h>
#include <string.h>

#define RESOLVE_NS (5 * NS_PER_SEC) /* longer than the kernel tries, and it says when it gives up */

enum {
	RESOLVES_MAX = 4096,
	RESOLVES_OF_APP_MAX = 64, /* so many frames wait in it at most */
};

static void forget(struct interfaces *s, struct resolve *r)
{
	TAILQ_REMOVE(&s->resolves, r, entry);
	s->resolve_cnt--;
	free(r);
}

static void tell(struct app *app, uint32_t ifindex, const struct ip_addr *addr, bool failed)
{
	struct ctl_msg msg = { .type = CTL_RESOLVED };

	msg.neighbour.ifindex = ifindex;
	msg.neighbour.failed = failed;
	memcpy(msg.neighbour.addr, addr->bytes, sizeof(msg.neighbour.addr));
	app_post(app, &msg);
}

void resolve_done(struct interfaces *s, uint32_t ifindex, const struct ip_addr *addr, bool failed)
{
	struct resolve *r, *next;

	for (r = TAILQ_FIRST(&s->resolves); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->ifindex != ifindex || !ip_addr_eq(&r->addr, addr))
			continue;
		tell(r->app, ifindex, addr, failed);
		forget(s, r);
	}
}

uint64_t resolve_expire(struct interfaces *s)
{
	struct resolve *r;

	while ((r = TAILQ_FIRST(&s->resolves)) != NULL && r->until_ns <= s->d->now_ns) {
		tell(r->app, r->ifindex, &r->addr, true);
		forget(s, r);
	}
	return r != NULL ? r->until_ns : TIME_NEVER;
}

void resolve_app_gone(struct interfaces *s, const struct app *app)
{
	struct resolve *r, *next;

	for (r = TAILQ_FIRST(&s->resolves); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->app == app)
			forget(s, r);
	}
}

/* Return: false: too many wait, or no memory. It will look at the table again by itself */
static bool remember(struct interfaces *s, struct app *app, uint32_t ifindex, const struct ip_addr *addr)
{
	unsigned of_app = 0;
	struct resolve *r;

	TAILQ_FOREACH (r, &s->resolves, entry) {
		if (r->app == app && r->ifindex == ifindex && ip_addr_eq(&r->addr, addr))
			return true;
		of_app += r->app == app;
	}
	if (of_app >= RESOLVES_OF_APP_MAX || s->resolve_cnt >= RESOLVES_MAX)
		return false;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return false;
	*r = (struct resolve){ .app = app, .ifindex = ifindex, .addr = *addr, .until_ns = s->d->now_ns + RESOLVE_NS };
	TAILQ_INSERT_TAIL(&s->resolves, r, entry);
	s->resolve_cnt++;
	return true;
}

/* Is it one that the kernel would ask for itself, at this interface? Link-local addresses are at every one. */
static bool is_neighbour(const struct interfaces *s, uint32_t ifindex, const struct ip_addr *addr)
{
	struct host_route route;

	if (ip_addr_is_link_local(addr))
		return true;
	return host_table_route(host_watch_table(s->host), addr, ifindex, &route) == 0 && route.kind == HOST_ROUTE_UNICAST &&
	       route.ifindex == ifindex && ip_addr_eq(&route.hop, addr);
}

/* Only for who has a channel there, and only what is a neighbour: the kernel's table isn't anybody's to fill. */
void interfaces_resolve(struct app *app, const struct ctl_neighbour *req)
{
	struct interfaces *s = app->d->interfaces;
	struct ip_addr addr = ip_addr_from_v6(req->addr);
	struct iface *i = s != NULL && s->ready ? iface_by_index(s, req->ifindex) : NULL;
	struct if_chan *c;
	uint8_t mac[6];

	if (i == NULL || ip_addr_is_multicast(&addr) || ip_addr_is_any(&addr) || ip_addr_is_loopback(&addr))
		return;
	TAILQ_FOREACH (c, &i->chans, entry)
		if (c->app == app)
			break;
	if (c == NULL)
		return;
	/* what became of it before the question is no answer */
	host_watch_run(s->host, s->d->now_ns);
	if (!is_neighbour(s, req->ifindex, &addr) || !remember(s, app, req->ifindex, &addr))
		return;
	if (host_watch_resolve(s->host, req->ifindex, &addr) < 0)
		resolve_done(s, req->ifindex, &addr, true);
	/* known since it looked: there will be no news */
	else if (host_table_neighbour(host_watch_table(s->host), req->ifindex, &addr, mac) >= HOST_NEIGHBOUR_STALE)
		resolve_done(s, req->ifindex, &addr, false);
}
