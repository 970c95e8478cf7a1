// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/gateway.h"

#include "base/time.h"
#include "daemon/gateway_prog.h"
#include "daemon/if_bpf.h"
#include "daemon/lan_end.h"
#include "daemon/vjd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gateway {
	struct vjd *d;
	uint32_t ifindex, mtu;
	char name[16];
	struct gateway_prog prog;
	struct lan_end end;
	struct if_ask *ask;
};

/* ---- what is said and heard */

static void heard(void *arg, const struct parp_msg *msg, uint64_t now_us)
{
	struct gateway *g = arg;

	if_ask_rx(g->ask, msg, now_us);
}

void gateway_run(struct gateway *g, uint64_t now_ns)
{
	uint64_t us = now_ns / NS_PER_US;

	lan_end_hear(&g->end, us, heard, g);
	if_ask_run(g->ask, us);
}

uint64_t gateway_deadline_ns(const struct gateway *g)
{
	return time_mul_sat(min_u64(lan_end_deadline_us(&g->end), if_ask_deadline_us(g->ask)), NS_PER_US);
}

int gateway_fd(const struct gateway *g)
{
	return lan_end_fd(&g->end);
}

/* ---- following the host */

static void follow_prog(const struct gateway *g)
{
	int r = gateway_prog_holds(&g->prog) ? 1 : gateway_prog_again(&g->prog);

	if (r < 0)
		log_error(g->d->cfg.log, "%s: the gateway's program was removed, and can't be attached again: %s", g->name,
			  strerror(-r));
	else if (r == 0)
		log_info(g->d->cfg.log, "%s: the gateway's program was removed, or others' filters came or went: attached again",
			 g->name);
}

static void take(struct gateway *g, const struct host_watch *host, const struct host_interface *now)
{
	g->mtu = now->mtu;
	memcpy(g->name, now->name, sizeof(g->name));
	lan_end_follow(&g->end, host_watch_image(host), now->mac);
}

void gateway_follow(struct gateway *g, const struct host_watch *host, const struct host_interface *now)
{
	take(g, host, now);
	follow_prog(g);
}

/* ---- shown */

void gateway_describe(const struct gateway *g, struct ctl_interface *ret)
{
	*ret = (struct ctl_interface){ .ifindex = g->ifindex, .mtu = g->mtu, .flags = CTL_INTERFACE_GATEWAY };
	memcpy(ret->mac, g->end.host.canonical.bytes, sizeof(ret->mac));
	ctl_name_set(ret->name, g->name);
}

struct if_ask *gateway_ask(struct gateway *g)
{
	return g->ask;
}

uint32_t gateway_ifindex(const struct gateway *g)
{
	return g->ifindex;
}

const char *gateway_name(const struct gateway *g)
{
	return g->name;
}

uint64_t gateway_counter(const struct gateway *g, uint32_t pos, const char **ret_where, const char **ret_name)
{
	if (pos < POLICY_REASON_CNT) {
		*ret_where = "gateway";
		*ret_name = policy_reason_word((enum policy_reason)pos);
		return if_counter_read(g->prog.counters_fd, (enum policy_reason)pos);
	}
	pos -= POLICY_REASON_CNT;
	if (pos < LAN_END_COUNTERS) {
		*ret_where = "gateway_parp";
		return lan_end_counter(&g->end, pos, ret_name);
	}
	*ret_where = "gateway_resolver";
	return if_ask_counter(g->ask, pos - LAN_END_COUNTERS, ret_name);
}

/* ---- birth and death */

static int begin(struct gateway *g, struct rtnl *rtnl)
{
	const struct if_ask_config ask = {
		.rtnl = rtnl,
		.ifindex = g->ifindex,
		.name = g->name,
		.entry_max = g->d->cfg.gateway.entry_max,
		.maps = &g->prog.maps,
	};
	uint32_t rate = g->d->cfg.gateway.rate;

	g->d->ops->random(&g->end.host.id, sizeof(g->end.host.id));
	if (rate > 0)
		lan_limit_init(&g->end.host.own, rate, rate);
	return lan_end_ask(&g->end, ask, &g->ask);
}

int gateway_new(struct vjd *d, struct rtnl *rtnl, const struct host_watch *host, const struct host_interface *at,
		struct gateway **ret_gateway)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int r;

	if (g == NULL)
		return -ENOMEM;
	g->d = d;
	g->ifindex = at->ifindex;
	r = lan_end_open(d, g->ifindex, LAN_ASKER_GATEWAY, &g->end);
	if (r < 0)
		goto err_free;
	take(g, host, at);
	r = gateway_prog_attach(g->ifindex, d->cfg.gateway.entry_max, &g->prog);
	if (r < 0)
		goto err_end;
	r = begin(g, rtnl);
	if (r < 0) {
		gateway_free(g);
		return r;
	}
	*ret_gateway = g;
	return 0;

err_end:
	lan_end_close(&g->end);
err_free:
	free(g);
	return r;
}

void gateway_free(struct gateway *g)
{
	gateway_prog_remove(&g->prog);
	if_ask_free(g->ask);
	lan_end_close(&g->end);
	free(g);
}
