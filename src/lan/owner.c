// SPDX-License-Identifier: BSD-2-Clause
#include "lan/owner.h"

#include "lan/nd.h"

void owner_init(struct owner *o)
{
	o->queue_first = o->queue_cnt = o->untried_cnt = 0;
	o->reach = OWNER_UNTRIED;
	o->stats = (struct owner_stats){ .asked = 0 };
}

struct parp_endpoint owner_everything(const struct ip_addr *addr)
{
	return (struct parp_endpoint){ .addr = *addr, .port_lo = 0, .port_hi = UINT16_MAX, .proto = 0 };
}

static uint64_t remembered_until(const struct owner *o, uint64_t now_us)
{
	return now_us + o->lifetime_ms * US_PER_MS + OWNER_ON_THE_WAY_US;
}

/* In the encoding of the question, to who asked. */
static struct parp_msg answer_to(const struct owner *o, const struct parp_msg *asked, uint8_t type)
{
	struct parp_msg msg = {
		.eth_dst = asked->eth_src,
		.encoding = asked->encoding,
		.type = type,
		.sender_mac = o->host->canonical,
		.target_mac = asked->eth_src,
		.sender = asked->target,
		.target = asked->target,
		.has = PARP_HAS_NONCE | PARP_HAS_LIFETIME | PARP_HAS_CANON_MAC,
		.nonce = asked->nonce,
		.canon_mac = o->host->canonical,
		.ip6_src = o->host->link_local,
		.ip6_dst = asked->ip6_src,
	};

	return msg;
}

/* ---- do frames to our addresses get here? */

static void told(struct owner *o, uint64_t now_us)
{
	if (o->reach == OWNER_REACHED && now_us - o->reached_us < OWNER_REACHED_US)
		return;
	o->reach = OWNER_UNTRIED;
	if (o->untried_cnt++ == 0)
		o->untried_us = now_us;
}

static void reached(struct owner *o, uint64_t now_us)
{
	o->reach = OWNER_REACHED;
	o->reached_us = now_us;
	o->untried_cnt = 0;
	o->stats.reached++;
}

static uint64_t reach_deadline_us(const struct owner *o)
{
	if (o->reach == OWNER_BLOCKED)
		return o->blocked_us;
	return o->untried_cnt >= OWNER_UNTRIED_MAX ? o->untried_us + OWNER_UNTRIED_US : TIME_NEVER;
}

static void reach_run(struct owner *o, uint64_t now_us)
{
	if (now_us < reach_deadline_us(o))
		return;
	o->untried_cnt = 0;
	if (o->reach == OWNER_BLOCKED) {
		o->reach = OWNER_UNTRIED;
		return;
	}
	o->reach = OWNER_BLOCKED;
	o->blocked_us = now_us + OWNER_BLOCKED_US;
	o->stats.blocked++;
}

/* ---- answers */

static void answer(struct owner *o, const struct parp_msg *asked, const struct owner_range *range,
		   const struct claim_slot *claim, uint64_t now_us)
{
	struct parp_msg msg = answer_to(o, asked, claim != NULL ? PARP_REPLY : PARP_NEG);

	msg.sender.port_lo = range->lo;
	msg.sender.port_hi = range->hi;
	msg.lifetime_ms = OWNER_NEG_MS;
	if (claim != NULL) {
		msg.sender_mac = claim->mac;
		msg.sender.gen = claims_gen(o->claims, claim);
		msg.lifetime_ms = o->lifetime_ms;
		claims_given(o->claims, &claim->mac, remembered_until(o, now_us));
		told(o, now_us);
		o->stats.replies++;
	} else {
		o->stats.negs++;
	}
	lan_send(o->host, &msg);
}

static bool is_shared(const struct owner *o, const struct parp_endpoint *ep)
{
	return o->ops->is_shared != NULL && o->ops->is_shared(o->arg, ep);
}

/* ---- what is told unasked */

static void push(struct owner *o, const struct owner_word *w)
{
	if (o->queue_cnt == OWNER_QUEUE_MAX) {
		o->stats.dropped++;
		return;
	}
	o->queue[(o->queue_first + o->queue_cnt++) % OWNER_QUEUE_MAX] = *w;
}

static struct owner_word pop(struct owner *o)
{
	struct owner_word w = o->queue[o->queue_first];

	o->queue_first = (o->queue_first + 1) % OWNER_QUEUE_MAX;
	o->queue_cnt--;
	return w;
}

static bool waits(const struct owner *o, const struct owner_word *w)
{
	for (uint32_t k = 0; k < o->queue_cnt; k++) {
		const struct owner_word *at = &o->queue[(o->queue_first + k) % OWNER_QUEUE_MAX];

		if (at->type == w->type && at->endpoint.proto == w->endpoint.proto && at->endpoint.port_lo == w->endpoint.port_lo &&
		    at->endpoint.port_hi == w->endpoint.port_hi && ip_addr_eq(&at->endpoint.addr, &w->endpoint.addr))
			return true;
	}
	return false;
}

/*
 * Whoever asks before is told to send to the canonical MAC, for a while: he must hear when the others' last connections are over. A
 * server's first clients come by the kernel, so it is a common case. Who has to be told still when tries are over asks again himself.
 */
static void put_off(struct owner *o, struct owner_word w, uint64_t now_us)
{
	if (w.tries == OWNER_SHARED_TRIES || waits(o, &w))
		return;
	w.due_us = now_us + (OWNER_SHARED_US << w.tries++);
	push(o, &w);
}

/* One port, about which somebody was told that it is shared. */
static void announce_later(struct owner *o, const struct parp_msg *asked, const struct claim_slot *claim, uint64_t now_us)
{
	struct owner_word w = { .type = PARP_ANNOUNCE, .mac = claim->mac, .endpoint = asked->target };

	put_off(o, w, now_us);
}

void owner_rx(struct owner *o, const struct parp_msg *msg, uint64_t now_us)
{
	struct owner_range range = { .owner = 0, .lo = msg->target.port_lo, .hi = msg->target.port_lo };
	const struct claim_slot *claim = NULL;
	enum owner_has has;

	if (parp_host_id_eq(&msg->host, &o->host->id))
		return;
	if (msg->type == PARP_MAC_PROBE && claims_by_mac(o->claims, &msg->eth_dst) != NULL)
		reached(o, now_us);
	if (msg->type != PARP_QUERY)
		return;
	if (msg->encoding == PARP_ND && ip_addr_is_any(&o->host->link_local))
		return;
	has = o->ops->find(o->arg, &msg->target, &range);
	if (has == OWNER_NOT_HERE)
		return;
	o->stats.asked++;
	if (!lan_limit_take(&o->host->answers, now_us)) {
		o->stats.limited++;
		return;
	}
	if (has == OWNER_APPLICATION && o->reach != OWNER_BLOCKED)
		claim = claims_find(o->claims, range.owner);
	if (claim != NULL && is_shared(o, &msg->target)) {
		announce_later(o, msg, claim, now_us);
		claim = NULL;
	}
	answer(o, msg, &range, claim, now_us);
}

void owner_tell(struct owner *o, uint8_t type, const struct mac_addr *mac, const struct parp_endpoint *endpoint)
{
	const struct owner_word w = { .type = type, .mac = *mac, .endpoint = *endpoint };

	push(o, &w);
}

/* It has waited: is it still so? What is told after a port has left its application is what nobody takes back any more. */
static bool is_true(const struct owner *o, const struct owner_word *w)
{
	struct owner_range range = { .lo = w->endpoint.port_lo, .hi = w->endpoint.port_lo };
	const struct claim_slot *claim;

	if (o->reach == OWNER_BLOCKED)
		return false;
	if (o->ops->find(o->arg, &w->endpoint, &range) != OWNER_APPLICATION || range.lo > w->endpoint.port_lo ||
	    range.hi < w->endpoint.port_hi)
		return false;
	claim = claims_find(o->claims, range.owner);
	return claim != NULL && mac_addr_eq(&claim->mac, &w->mac);
}

static void tell(struct owner *o, const struct owner_word *w)
{
	const struct claim_slot *claim = claims_by_mac(o->claims, &w->mac);
	struct parp_msg msg = {
		.eth_dst = lan_broadcast(),
		.encoding = o->host->encoding,
		.type = w->type,
		.sender_mac = w->mac,
		.sender = w->endpoint,
		.target.addr = ip_addr_any_v4(),
	};

	if (claim != NULL)
		msg.sender.gen = claims_gen(o->claims, claim);
	if (w->type == PARP_ANNOUNCE) {
		msg.has = PARP_HAS_LIFETIME;
		msg.lifetime_ms = o->lifetime_ms;
	}
	if (!lan_nd_address(o->host, &msg, &w->endpoint.addr, true))
		return;
	if (w->type == PARP_ANNOUNCE)
		o->stats.announced++;
	else
		o->stats.released++;
	lan_send(o->host, &msg);
}

static void run_word(struct owner *o, const struct owner_word *w, uint64_t now_us)
{
	if (w->due_us > now_us) {
		push(o, w);
		return;
	}
	if (w->type == PARP_ANNOUNCE && !is_true(o, w))
		return;
	if (w->type == PARP_ANNOUNCE && is_shared(o, &w->endpoint)) {
		put_off(o, *w, now_us);
		return;
	}
	if (w->type == PARP_ANNOUNCE)
		claims_given(o->claims, &w->mac, remembered_until(o, now_us));
	lan_limit_take(&o->host->own, now_us);
	tell(o, w);
}

void owner_run(struct owner *o, uint64_t now_us)
{
	reach_run(o, now_us);
	for (uint32_t cnt = o->queue_cnt; cnt > 0 && lan_limit_at(&o->host->own) <= now_us; cnt--) {
		const struct owner_word w = pop(o);

		run_word(o, &w, now_us);
	}
}

static uint64_t queue_deadline_us(const struct owner *o)
{
	uint64_t due_us = TIME_NEVER;

	for (uint32_t k = 0; k < o->queue_cnt; k++)
		due_us = min_u64(due_us, o->queue[(o->queue_first + k) % OWNER_QUEUE_MAX].due_us);
	return o->queue_cnt > 0 ? max_u64(due_us, lan_limit_at(&o->host->own)) : TIME_NEVER;
}

uint64_t owner_deadline_us(const struct owner *o)
{
	return min_u64(reach_deadline_us(o), queue_deadline_us(o));
}
