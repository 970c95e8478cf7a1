// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_ask.h"

#include "daemon/app.h"
#include "daemon/rtnl.h"
#include "lan/resolver.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 64 };

#define WAIT_US (3 * US_PER_SEC) /* for an answer to ASK: as long as the kernel asks for a neighbour ... */
#define WAIT_MORE_US (1 * US_PER_SEC) /* ... and from when it has found it */
#define NO_NEIGHBOUR_US (10 * US_PER_SEC) /* behind a router: not looked at again before */

/* ASK, not answered yet. */
struct waiting {
	struct app *app; /* NULL: free */
	uint32_t seq;
	struct parp_endpoint ep;
	bool early; /* the kernel asked for the neighbour yet, when we looked last */
	uint64_t until_us;
};

struct if_ask {
	struct if_ask_config cfg;
	bool has_maps;
	struct learned learned;
	struct resolver resolver;
	uint64_t now_us;
	struct waiting waiting[WAITING_MAX];
	uint32_t waiting_cnt;
	void *mem; /* the resolver's */
};

static int neighbour(const struct if_ask *ask, const struct ip_addr *addr, struct mac_addr *ret_mac)
{
	return rtnl_neighbour_get(ask->cfg.rtnl, ask->cfg.ifindex, addr, ret_mac);
}

static bool on_neighbour(void *arg, const struct ip_addr *addr, struct mac_addr *ret_mac)
{
	return neighbour(arg, addr, ret_mac) == 0;
}

static void on_learned(void *arg, const struct resolver_entry *e)
{
	struct if_ask *ask = arg;

	if (ask->has_maps)
		learned_set(&ask->learned, e);
}

static void quiet(struct if_ask *ask, const struct resolver_entry *e)
{
	const struct policy_learned_key key = learned_key(e);

	if (ask->has_maps)
		learned_quiet(&ask->learned, &key, e->quiet_us);
}

static void on_quiet(void *arg, const struct resolver_entry *e)
{
	struct if_ask *ask = arg;

	quiet(ask, e);
}

static void on_forgotten(void *arg, const struct resolver_entry *e)
{
	struct if_ask *ask = arg;

	if (ask->has_maps)
		learned_forget(&ask->learned, e);
}

static const struct resolver_ops resolver_ops = {
	.neighbour = on_neighbour, .learned = on_learned, .quiet = on_quiet, .forgotten = on_forgotten
};

/* A program has sent to where nothing is known of, or to what is to be refreshed. */
static void on_miss(void *arg, const struct policy_miss *miss)
{
	const uint16_t port = be16_get(miss->key.port);
	const struct parp_endpoint ep = { miss->key.addr, port, port, miss->key.proto, 0 };
	const struct resolver_entry *e;
	struct if_ask *ask = arg;
	struct mac_addr mac;

	if (!on_neighbour(ask, &ep.addr, &mac) || !mac_addr_eq(&mac, &miss->hop)) {
		learned_quiet(&ask->learned, &miss->key, ask->now_us + NO_NEIGHBOUR_US);
		return;
	}
	e = resolver_find(&ask->resolver, &ep);
	if (e != NULL && e->state == RESOLVER_VALID && !mac_addr_eq(&e->group->canonical, &mac))
		resolver_canonical_changed(&ask->resolver, &ep.addr);
	resolver_lookup(&ask->resolver, &ep, ask->now_us);
	/* it has slipped the program's memory */
	e = resolver_find(&ask->resolver, &ep);
	if (e != NULL && e->state == RESOLVER_NEG && e->quiet_us > ask->now_us)
		quiet(ask, e);
}

/* ---- birth and death: if_ask_free() is below */

/* Memory that is touched as it is needed. */
static int make_room(struct if_ask *ask)
{
	ask->mem = calloc(1, resolver_bytes(ask->cfg.entry_max));
	if (ask->mem == NULL)
		return -ENOMEM;
	ask->resolver = (struct resolver){ .host = ask->cfg.host, .ops = &resolver_ops, .arg = ask };
	resolver_init(&ask->resolver, ask->mem, ask->cfg.entry_max);
	return 0;
}

int if_ask_new(const struct if_ask_config *cfg, struct if_ask **ret_ask)
{
	struct if_ask *ask = calloc(1, sizeof(*ask));
	int r;

	if (ask == NULL)
		return -ENOMEM;
	ask->cfg = *cfg;
	r = make_room(ask);
	if (r == 0 && cfg->maps != NULL)
		r = learned_open(cfg->maps, on_miss, ask, &ask->learned);
	if (r < 0) {
		if_ask_free(ask);
		return r;
	}
	ask->has_maps = cfg->maps != NULL;
	*ret_ask = ask;
	return 0;
}

int if_ask_fd(const struct if_ask *ask)
{
	return ask->has_maps ? ask->learned.epoll_fd : -1;
}

/* ---- waiting */

static void describe(const struct resolver_entry *e, uint64_t now_us, struct ctl_mac *ret)
{
	static const uint8_t kinds[] = {
		[RESOLVER_ASKING] = CTL_MAC_ASKING, [RESOLVER_PROVING] = CTL_MAC_ASKING, [RESOLVER_VALID] = CTL_MAC_LEARNED,
		[RESOLVER_NEG] = CTL_MAC_NEG
	};
	static const uint8_t negs[] = {
		[RESOLVER_SILENT] = CTL_MAC_SILENT, [RESOLVER_REFUSED] = CTL_MAC_NEG, [RESOLVER_BLOCKED] = CTL_MAC_BLOCKED
	};

	ret->kind = e->state == RESOLVER_NEG ? negs[e->why] : kinds[e->state];
	ret->proto = e->key.proto;
	ret->port_lo = e->key.port;
	ret->port_hi = (uint16_t)(e->key.port + (e->key.kind == RESOLVER_BLOCK ? RESOLVER_BLOCK_PORTS - 1 : 0));
	memcpy(ret->addr, e->key.addr.bytes, sizeof(ret->addr));
	memcpy(ret->mac, e->group->mac.bytes, sizeof(ret->mac));
	memcpy(ret->canonical, e->group->canonical.bytes, sizeof(ret->canonical));
	if (e->state == RESOLVER_VALID) {
		ret->gen = e->gen;
		ret->age_ms = (now_us - e->learned_us) / US_PER_MS;
		ret->left_ms = time_sub_sat(e->until_us, now_us) / US_PER_MS;
	} else if (e->state == RESOLVER_NEG) {
		ret->left_ms = time_sub_sat(e->quiet_us, now_us) / US_PER_MS;
	}
}

/* Return: it is answered; false: not yet */
static bool answered(const struct if_ask *ask, const struct waiting *w, uint64_t now_us, struct ctl_mac *ret)
{
	const struct resolver_entry *e = resolver_find(&ask->resolver, &w->ep);
	struct mac_addr canonical;

	if (e != NULL && (e->state == RESOLVER_VALID || (e->state == RESOLVER_NEG && !e->question.open))) {
		describe(e, now_us, ret);
		ret->proto = w->ep.proto;
		if (e->key.kind == RESOLVER_HOST)
			ret->port_lo = ret->port_hi = w->ep.port_lo;
	} else if (now_us >= w->until_us) {
		ret->kind = CTL_MAC_SILENT;
	} else {
		return false;
	}
	if (ret->kind != CTL_MAC_LEARNED && neighbour(ask, &w->ep.addr, &canonical) == 0)
		memcpy(ret->canonical, canonical.bytes, sizeof(ret->canonical));
	return true;
}

static struct ctl_msg reply_to(const struct if_ask *ask, const struct waiting *w)
{
	struct ctl_msg reply = { .type = CTL_ASKED, .seq = w->seq };

	reply.mac = (struct ctl_mac){ .ifindex = ask->cfg.ifindex, .proto = w->ep.proto, .port_lo = w->ep.port_lo,
				      .port_hi = w->ep.port_lo };
	memcpy(reply.mac.addr, w->ep.addr.bytes, sizeof(reply.mac.addr));
	ctl_name_set(reply.mac.name, ask->cfg.name);
	return reply;
}

static void answer(struct if_ask *ask, struct waiting *w, const struct ctl_msg *reply)
{
	w->app->asking = false;
	app_post(w->app, reply);
	w->app = NULL;
	ask->waiting_cnt--;
}

/*
 * As long as the kernel asks for the neighbour nobody vouches for an answer, so silence says nothing: its first question may be lost, and over
 * IPv6 it sends none while its link-local address is tentative. Return: it still asks; false: an answer, or silence, counts from now on
 */
static bool is_early(struct if_ask *ask, struct waiting *w, uint64_t now_us)
{
	struct mac_addr mac;
	int r;

	if (!w->early)
		return false;
	r = neighbour(ask, &w->ep.addr, &mac);
	w->early = r == -EAGAIN && now_us < w->until_us;
	if (r == 0) {
		resolver_ask_anew(&ask->resolver, &w->ep, now_us);
		w->until_us = max_u64(w->until_us, now_us + WAIT_MORE_US);
	}
	return w->early;
}

static void look(struct if_ask *ask, struct waiting *w, uint64_t now_us)
{
	struct ctl_msg reply = reply_to(ask, w);

	if (!is_early(ask, w, now_us) && answered(ask, w, now_us, &reply.mac))
		answer(ask, w, &reply);
}

/* Who waits hears that nobody has answered. */
void if_ask_free(struct if_ask *ask)
{
	for (uint32_t k = 0; ask != NULL && k < WAITING_MAX; k++)
		if (ask->waiting[k].app != NULL) {
			struct ctl_msg reply = reply_to(ask, &ask->waiting[k]);

			reply.mac.kind = CTL_MAC_SILENT;
			answer(ask, &ask->waiting[k], &reply);
		}
	if (ask == NULL)
		return;
	if (ask->has_maps)
		learned_close(&ask->learned);
	free(ask->mem);
	free(ask);
}

bool if_ask_begin(struct if_ask *ask, struct app *app, uint32_t seq, const struct ctl_endpoint *ep, uint64_t now_us)
{
	struct waiting *w = ask->waiting;
	struct mac_addr mac;

	while (w < ask->waiting + WAITING_MAX && w->app != NULL)
		w++;
	if (w == ask->waiting + WAITING_MAX)
		return false;
	*w = (struct waiting){ app, seq, { ip_addr_from_v6(ep->addr), ep->port, ep->port, ep->proto, 0 }, false, now_us + WAIT_US };
	ask->waiting_cnt++;
	app->asking = true;
	/* who vouches for the answer must be known; asked for at the same time */
	rtnl_neighbour_use(ask->cfg.rtnl, ask->cfg.ifindex, &w->ep.addr);
	w->early = neighbour(ask, &w->ep.addr, &mac) == -EAGAIN;
	resolver_ask(&ask->resolver, &w->ep, now_us);
	return true;
}

void if_ask_app_gone(struct if_ask *ask, const struct app *app)
{
	for (uint32_t k = 0; k < WAITING_MAX; k++)
		if (ask->waiting[k].app == app) {
			ask->waiting[k].app = NULL;
			ask->waiting_cnt--;
		}
}

/* ---- progress */

void if_ask_rx(struct if_ask *ask, const struct parp_msg *msg, uint64_t now_us)
{
	resolver_rx(&ask->resolver, msg, now_us);
}

void if_ask_neighbour(struct if_ask *ask, const struct ip_addr *addr)
{
	resolver_canonical_changed(&ask->resolver, addr);
	for (uint32_t k = 0; ask->waiting_cnt > 0 && k < WAITING_MAX; k++)
		if (ask->waiting[k].app != NULL && ip_addr_eq(&ask->waiting[k].ep.addr, addr))
			look(ask, &ask->waiting[k], ask->now_us);
}

void if_ask_run(struct if_ask *ask, uint64_t now_us)
{
	ask->now_us = now_us;
	if (ask->has_maps)
		learned_run(&ask->learned, now_us);
	resolver_run(&ask->resolver, now_us);
	for (uint32_t k = 0; ask->waiting_cnt > 0 && k < WAITING_MAX; k++)
		if (ask->waiting[k].app != NULL)
			look(ask, &ask->waiting[k], now_us);
}

uint64_t if_ask_deadline_us(const struct if_ask *ask)
{
	uint64_t due_us = resolver_deadline_us(&ask->resolver);

	if (ask->has_maps)
		due_us = min_u64(due_us, learned_deadline_us(&ask->learned));
	for (uint32_t k = 0; ask->waiting_cnt > 0 && k < WAITING_MAX; k++)
		if (ask->waiting[k].app != NULL)
			due_us = min_u64(due_us, ask->waiting[k].until_us);
	return due_us;
}

static const struct {
	const char *name;
	size_t at;
} counters[] = {
#define X(name) { #name, offsetof(struct resolver_stats, name) }
	X(queries), X(proofs), X(replies), X(negs), X(silent), X(blocked), X(refreshed), X(evicted), X(refused), X(bad_nonce),
	X(bad_source), X(bad_gen), X(bad_range), X(late),
	X(of_others),
#undef X
};
_Static_assert(ARRAY_SIZE(counters) == IF_ASK_COUNTERS && sizeof(struct resolver_stats) == 8 * IF_ASK_COUNTERS, "each has its place");

uint64_t if_ask_counter(const struct if_ask *ask, uint32_t pos, const char **ret_name)
{
	uint64_t value;

	*ret_name = counters[pos].name;
	memcpy(&value, (const uint8_t *)&ask->resolver.stats + counters[pos].at, sizeof(value));
	return value;
}

bool if_ask_entry(const struct if_ask *ask, uint32_t pos, uint64_t now_us, struct ctl_mac *ret, bool *ret_end)
{
	*ret_end = pos >= ask->resolver.fresh_entry;
	if (*ret_end || ask->resolver.entries[pos].state == RESOLVER_FREE)
		return false;
	ret->ifindex = ask->cfg.ifindex;
	describe(&ask->resolver.entries[pos], now_us, ret);
	return true;
}
