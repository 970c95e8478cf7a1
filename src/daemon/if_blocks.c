// SPDX-License-Identifier: BSD-2-Clause
/* if_blocks.c - ephemeral ports on an interface: one application's, and none of the kernel's */
#include "daemon/app.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"
#include "daemon/kernel_ports.h"

#include <stdio.h>
#include <string.h>

enum { TAKE_TRIES = 3 };

int blocks_reserve(struct interfaces *s)
{
	static bool units[PORT_UNIT_CNT];
	const struct app *app;
	char record[128];

	memset(units, 0, sizeof(units));
	TAILQ_FOREACH (app, &s->d->apps, all)
		for (unsigned u = 0; if_has_channel(app) && u < PORT_UNIT_CNT; u++)
			units[u] |= app->ports.has[0][u] || app->ports.has[1][u];
	snprintf(record, sizeof(record), "%s/reserved", s->place.dir);
	return kernel_ports_reserve(record, units);
}

static void dispatch_block(struct interfaces *s, const struct app *app, uint8_t proto, uint16_t first, uint16_t cnt)
{
	struct iface *i;

	TAILQ_FOREACH (i, &s->ifaces, entry) {
		const struct if_chan *c = chan_of(i, app);
		struct if_ports p = iface_ports(s, i);

		for (unsigned at = 0; c != NULL && at < cnt; at += PORT_UNIT)
			if (!if_ports_set_block(&p, proto, (uint16_t)(first + at), c->rec.nr))
				iface_unjudged(s, i);
	}
}

/* Ports of which gate would drop everything are no use to anybody: without them a connection is the kernel's. */
static bool are_judged(struct interfaces *s, const struct app *app, uint8_t proto, uint16_t first, uint16_t cnt)
{
	struct iface *i;
	bool all = true;

	TAILQ_FOREACH (i, &s->ifaces, entry) {
		struct if_ports p = iface_ports(s, i);

		if (chan_of(i, app) == NULL || if_ports_judges_block(&p, proto, first, cnt))
			continue;
		/* so that the next connection doesn't ask */
		iface_unjudged(s, i);
		all = false;
	}
	return all;
}

static bool kernel_has(const bool *used, uint16_t first, uint16_t cnt)
{
	bool any = false;

	for (unsigned u = 0; u < cnt / PORT_UNIT; u++)
		any |= used[(unsigned)(first - PORT_FIRST) / PORT_UNIT + u];
	return any;
}

/* Reserved first, looked at then: a socket that came in between is seen. */
static uint16_t take_alone(struct interfaces *s, struct app *app, const struct ctl_ports *req, uint16_t *ret_first)
{
	struct vjd *d = s->d;
	bool *used = d->ports.kernel[req->proto == CTL_PROTO_UDP];

	for (unsigned i = 0; i < TAKE_TRIES && kernel_ports_look(req->proto, used) == 0; i++) {
		uint16_t cnt = port_map_take(&d->ports, &d->leases, &app->ports, req->proto, req->first, req->cnt, true,
					     ret_first);

		if (cnt == 0)
			return 0;
		/* what was held before vjd was restarted has connections, and is kept */
		if (req->first == 0 && !are_judged(s, app, req->proto, *ret_first, cnt)) {
			port_map_give_back(&d->ports, &app->ports, req->proto, *ret_first, cnt);
			return 0;
		}
		if (blocks_reserve(s) == 0 && kernel_ports_look(req->proto, used) == 0 &&
		    !kernel_has(used, *ret_first, cnt)) {
			dispatch_block(s, app, req->proto, *ret_first, cnt);
			return cnt;
		}
		port_map_give_back(&d->ports, &app->ports, req->proto, *ret_first, cnt);
		s->reserve_again = true;
	}
	return 0;
}

uint16_t interfaces_take_ports(struct app *app, const struct ctl_ports *req, uint16_t *ret_first)
{
	struct vjd *d = app->d;

	if (d->interfaces != NULL && if_has_channel(app))
		return take_alone(d->interfaces, app, req, ret_first);
	return port_map_take(&d->ports, &d->leases, &app->ports, req->proto, req->first, req->cnt, false, ret_first);
}
