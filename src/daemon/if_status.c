// SPDX-License-Identifier: BSD-2-Clause
/* if_status.c - interfaces, channels and their counters, one message after the other */
#include "daemon/if_state.h"

#include "daemon/app.h"
#include "daemon/interfaces.h"
#include "daemon/spill.h"

#include <string.h>

/*
 * Everything has a place: for each interface itself, the counters of dispatch and those of what is said on its LAN; for
 * each of its channels itself, and the counters of deliver, gate and the spill; then likewise for each gateway. A walk goes on from a place; what comes or
 * goes meanwhile is told or not.
 */
enum {
	IFACE_PLACES = 1 + POLICY_REASON_CNT + IF_OWN6_COUNTERS + IF_LAN_COUNTERS,
	GATEWAY_PLACES = 1 + GATEWAY_COUNTERS,
	SPILL_CNT = 3,
	CHAN_PLACES = 1 + 2 * POLICY_REASON_CNT + SPILL_CNT,
};

static void counter(struct ctl_msg *msg, uint32_t ifindex, const struct if_chan *c, const char *where,
		    const char *name, uint64_t value)
{
	msg->type = CTL_STATUS_COUNTER;
	msg->counter.ifindex = ifindex;
	msg->counter.app_id = c != NULL && c->app != NULL ? c->app->id : 0;
	msg->counter.value = value;
	ctl_name_set(msg->counter.where, where);
	ctl_name_set(msg->counter.name, name);
}

/* Return: false: nothing to tell at this place */
static bool tell_iface(const struct iface *i, uint32_t place, struct ctl_msg *msg)
{
	const char *where = "dispatch", *name;
	uint64_t value;

	if (place == 0) {
		msg->type = CTL_STATUS_INTERFACE;
		iface_describe(i, &msg->interface);
		return true;
	}
	place--;
	if (place < POLICY_REASON_CNT) {
		name = policy_reason_word((enum policy_reason)place);
		value = if_counter_read(i->dispatch.map_fds[IF_MAP_COUNTERS], (enum policy_reason)place);
	} else if (place < POLICY_REASON_CNT + IF_OWN6_COUNTERS) {
		where = "addresses";
		value = if_own6_counter(i->own6, place - POLICY_REASON_CNT, &name);
	} else if (i->lan != NULL) {
		value = if_lan_counter(i->lan, place - POLICY_REASON_CNT - IF_OWN6_COUNTERS, &where, &name);
	} else {
		return false;
	}
	counter(msg, i->ifindex, NULL, where, name, value);
	return value != 0;
}

static uint64_t spill_value(const struct if_chan *c, uint32_t k, const char **ret_name)
{
	static const char *const names[SPILL_CNT] = { "held_frames", "held_bytes", "lost" };
	struct spill_stats st;

	spill_stats(c->spill, &st);
	*ret_name = names[k];
	return k == 0 ? st.held : k == 1 ? st.held_bytes : st.lost;
}

static bool tell_chan(const struct iface *i, const struct if_chan *c, uint32_t place, struct ctl_msg *msg)
{
	uint64_t counters[POLICY_REASON_CNT], value;
	const char *name;

	if (place == 0) {
		msg->type = CTL_STATUS_INTERFACE;
		chan_describe(i, c, &msg->interface);
		return true;
	}
	place--;
	if (place < POLICY_REASON_CNT) {
		value = if_counter_read(c->maps.counters, (enum policy_reason)place);
		counter(msg, i->ifindex, c, "deliver", policy_reason_word((enum policy_reason)place), value);
	} else if (place < 2 * POLICY_REASON_CNT) {
		place -= POLICY_REASON_CNT;
		if_gate_counters_read(&i->dispatch, c->rec.nr, counters);
		value = counters[place];
		counter(msg, i->ifindex, c, "gate", policy_reason_word((enum policy_reason)place), value);
	} else {
		value = spill_value(c, place - 2 * POLICY_REASON_CNT, &name);
		counter(msg, i->ifindex, c, "spill", name, value);
	}
	return value != 0;
}

static bool may_see(const struct app *viewer, const struct if_chan *c)
{
	return viewer->uid == 0 || viewer->uid == c->rec.uid;
}

/* Return: false: there is no such place, and *@pos is less by all places of @i */
static bool seek(const struct app *viewer, const struct iface *i, uint32_t *pos, const struct if_chan **ret_chan)
{
	const struct if_chan *c;

	*ret_chan = NULL;
	if (*pos < IFACE_PLACES)
		return true;
	*pos -= IFACE_PLACES;
	TAILQ_FOREACH (c, &i->chans, entry) {
		if (!may_see(viewer, c))
			continue;
		*ret_chan = c;
		if (*pos < CHAN_PLACES)
			return true;
		*pos -= CHAN_PLACES;
	}
	return false;
}

static bool tell_gateway(const struct gateway *g, uint32_t place, struct ctl_msg *msg)
{
	const char *where, *name;
	uint64_t value;

	if (place == 0) {
		msg->type = CTL_STATUS_INTERFACE;
		gateway_describe(g, &msg->interface);
		return true;
	}
	value = gateway_counter(g, place - 1, &where, &name);
	counter(msg, gateway_ifindex(g), NULL, where, name, value);
	return value != 0;
}

/* Return: -1: behind the last place; 0: nothing to tell there; 1: told */
static int tell_at(const struct app *viewer, uint32_t pos, struct ctl_msg *msg)
{
	const struct interfaces *s = viewer->d->interfaces;
	const struct if_chan *c;
	const struct iface *i;

	if (s == NULL)
		return -1;
	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (seek(viewer, i, &pos, &c))
			return c != NULL ? tell_chan(i, c, pos, msg) : tell_iface(i, pos, msg);
	if (pos / GATEWAY_PLACES >= s->gateway_cnt)
		return -1;
	return tell_gateway(s->gateways[pos / GATEWAY_PLACES], pos % GATEWAY_PLACES, msg);
}

bool interfaces_status(const struct app *viewer, uint32_t *pos, struct ctl_msg *ret_msg)
{
	uint32_t seq = ret_msg->seq;
	int r = 0;

	while (r == 0) {
		*ret_msg = (struct ctl_msg){ .seq = seq };
		r = tell_at(viewer, *pos, ret_msg);
		++*pos;
	}
	return r > 0;
}
