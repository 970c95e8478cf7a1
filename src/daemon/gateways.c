// SPDX-License-Identifier: BSD-2-Clause
/* gateways.c - which interfaces are gateways: attached, detached, followed */
#include "daemon/if_claim.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"

#include "base/time.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

struct gateway *gateway_by_index(const struct interfaces *s, uint32_t ifindex)
{
	for (uint32_t k = 0; k < s->gateway_cnt; k++)
		if (gateway_ifindex(s->gateways[k]) == ifindex)
			return s->gateways[k];
	return NULL;
}

static int attach(struct interfaces *s, const char *name, struct gateway **ret_gateway)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->lan_tag };
	const struct host_interface *at;
	struct gateway *g;
	int r = interfaces_follow_host(s);

	if (r < 0)
		return r;
	r = interfaces_find_host(s, name, &at);
	if (r < 0)
		return r;
	*ret_gateway = gateway_by_index(s, at->ifindex);
	if (*ret_gateway != NULL)
		return 0;
	if (s->gateway_cnt == GATEWAY_MAX)
		return -ENOMEM;
	r = gateway_new(s->d, &s->place.here, s->host, at, &g);
	if (r < 0)
		return r;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, gateway_fd(g), &e);
	s->gateways[s->gateway_cnt++] = *ret_gateway = g;
	log_info(s->d->cfg.log, "%s: a gateway", name);
	return 0;
}

enum ctl_refusal gateways_attach(struct vjd *d, const char *name, struct ctl_interface *ret_interface)
{
	struct interfaces *s = d->interfaces;
	enum ctl_refusal why;
	struct gateway *g;
	int r;

	if (s == NULL)
		return d->cfg.uid != 0 ? CTL_REFUSAL_NO_PRIVILEGE : CTL_REFUSAL_NO_SUPPORT;
	if (d->cfg.lan.off) {
		log_error(d->cfg.log, "%s: can't be a gateway: port-aware ARP is off (--parp)", name);
		return CTL_REFUSAL_NO_SUPPORT;
	}
	why = if_claim(s, name);
	if (why != CTL_REFUSAL_NONE)
		return why;
	r = attach(s, name, &g);
	if_claim_done(s);
	if (r < 0) {
		log_error(d->cfg.log, "%s: can't be a gateway: %s", name, strerror(-r));
		return iface_refusal(r);
	}
	gateway_describe(g, ret_interface);
	return CTL_REFUSAL_NONE;
}

/* The order of the others stays. */
static void end(struct interfaces *s, uint32_t at)
{
	gateway_free(s->gateways[at]);
	s->gateway_cnt--;
	memmove(&s->gateways[at], &s->gateways[at + 1], (s->gateway_cnt - at) * sizeof(s->gateways[0]));
}

enum ctl_refusal gateways_detach(struct vjd *d, const char *name, struct ctl_interface *ret_interface)
{
	struct interfaces *s = d->interfaces;

	for (uint32_t k = 0; s != NULL && k < s->gateway_cnt; k++)
		if (strcmp(gateway_name(s->gateways[k]), name) == 0) {
			gateway_describe(s->gateways[k], ret_interface);
			ret_interface->flags |= CTL_INTERFACE_GONE;
			end(s, k);
			if_claim_settle(s);
			log_info(d->cfg.log, "%s: no gateway any more", name);
			return CTL_REFUSAL_NONE;
		}
	return CTL_REFUSAL_NO_INTERFACE;
}

void gateways_follow(struct interfaces *s)
{
	for (uint32_t k = s->gateway_cnt; k-- > 0;) {
		const struct host_interface *now = host_watch_find(s->host, NULL, gateway_ifindex(s->gateways[k]));

		if (now != NULL) {
			gateway_follow(s->gateways[k], s->host, now);
			continue;
		}
		log_info(s->d->cfg.log, "%s: is no more", gateway_name(s->gateways[k]));
		end(s, k);
	}
}

void gateways_run(struct interfaces *s)
{
	for (uint32_t k = 0; k < s->gateway_cnt; k++)
		gateway_run(s->gateways[k], s->d->now_ns);
}

uint64_t gateways_deadline_ns(const struct interfaces *s)
{
	uint64_t due_ns = TIME_NEVER;

	for (uint32_t k = 0; k < s->gateway_cnt; k++)
		due_ns = min_u64(due_ns, gateway_deadline_ns(s->gateways[k]));
	return due_ns;
}

void gateways_free(struct interfaces *s)
{
	while (s->gateway_cnt > 0)
		end(s, s->gateway_cnt - 1);
}
