// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hosts on a LAN, at random: applications come and go, ports move between them, hosts start anew, the LAN loses, repeats and
 * falls apart, liars answer for others, and now and then it lets nothing through to applications' addresses. lan_net.h says what must hold all the time; in the end, on a LAN that is well,
 * everybody has an address of his own and every port is resolved.
 */
#include "tests/sim/lan_net.h"
#include "tests/sim/seeds.h"

#include "base/assert.h"
#include "wire/ip.h"

enum { SEEDS = 400, STEPS = 1200 };

static struct net_host *some_host(struct net *n)
{
	return &n->hosts[prng_below(&n->prng, n->params.hosts)];
}

/* Return: who has @port of @h; apps: nobody */
static unsigned int holder_of(const struct net_host *h, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < h->net->params.apps; i++)
		if ((h->apps[i].ports >> port & 1) != 0)
			break;
	return i;
}

static void move_port(struct net *n)
{
	struct net_host *h = some_host(n);
	unsigned int port = (unsigned int)prng_below(&n->prng, 8), app = (unsigned int)prng_below(&n->prng, n->params.apps);
	unsigned int holder = holder_of(h, port);

	if (holder < n->params.apps)
		net_port_leave(h, holder, port);
	if (h->apps[app].id != 0 && prng_chance(&n->prng, 3, 4))
		net_port_lease(h, app, port);
}

static void start_or_end(struct net *n)
{
	struct net_host *h = some_host(n);
	unsigned int app = (unsigned int)prng_below(&n->prng, n->params.apps);

	if (h->apps[app].id != 0)
		net_app_end(h, app);
	else
		net_app_start(h, app);
}

static void send_some(struct net *n)
{
	for (unsigned int i = 0; i < 4; i++)
		net_send(some_host(n), some_host(n), (unsigned int)prng_below(&n->prng, 8));
}

/* Hears every question, so knows the nonce; all but the Ethernet source is as it should be. */
static void lie(struct net *n)
{
	struct net_host *victim = some_host(n), *owner = some_host(n);
	const struct resolver_question *q = TAILQ_FIRST(&victim->resolver.questions);
	struct parp_msg msg = {
		.eth_dst = victim->lan.canonical,
		.eth_src = { { 0x52, 0x54, 6, 6, 6, 6 } },
		.type = (uint8_t)prng_range(&n->prng, PARP_REPLY, PARP_RELEASE),
		.sender_mac = { { 0x62, 0x66, 0x66, 0x66, 0x66, 0x66 } },
		.sender = { owner->addr, NET_PORT_FIRST, NET_PORT_FIRST + 7, IP_PROTO_TCP, UINT32_MAX >> 1 },
		.has = PARP_HAS_NONCE | PARP_HAS_LIFETIME | PARP_HAS_HOST,
		.nonce = prng_u64(&n->prng),
		.lifetime_ms = 600000,
	};

	if (q != NULL) {
		msg.nonce = q->nonce;
		msg.sender.addr = q->of_entry != NULL ? q->of_entry->key.addr : q->of_group->addr;
	}
	msg.target = msg.sender;
	msg.target.port_hi = msg.target.port_lo = q != NULL && q->of_entry != NULL ? q->port : NET_PORT_FIRST;
	if (q != NULL && q->of_group != NULL) {
		msg.type = PARP_MAC_DEFEND;
		msg.sender.addr = msg.target.addr = ip_addr_any_v4();
		msg.mac_cnt = 1;
		msg.macs[0] = q->of_group->mac;
	}
	net_inject(n, &msg);
}

/* Somebody who claims what others have, too: they must settle it, however silly he is. */
static void squat(struct net *n)
{
	const struct net_host *h = some_host(n);
	const struct claim_slot *s = &h->claims.slots[prng_below(&n->prng, n->params.slots)];
	struct parp_msg msg = {
		.eth_dst = lan_broadcast(),
		.eth_src = { { 0x52, 0x54, 6, 6, 6, 7 } },
		.type = (uint8_t)prng_range(&n->prng, PARP_MAC_PROBE, PARP_MAC_CLAIM),
		.sender.addr = ip_addr_any_v4(),
		.sender.gen = (uint32_t)prng_below(&n->prng, 5) << 16,
		.target.addr = ip_addr_any_v4(),
		.has = PARP_HAS_NONCE | PARP_HAS_HOST,
		.mac_cnt = 1,
	};

	if (s->state == CLAIM_FREE)
		return;
	msg.macs[0] = s->mac;
	prng_bytes(&n->prng, msg.host.bytes, sizeof(msg.host.bytes));
	net_inject(n, &msg);
}

static void step(struct net *n)
{
	switch (prng_below(&n->prng, 16)) {
	case 0:
		start_or_end(n);
		break;
	case 1:
	case 2:
	case 3:
		move_port(n);
		break;
	case 4:
		lie(n);
		break;
	case 5:
		if (prng_chance(&n->prng, 1, 8))
			squat(n);
		break;
	case 6:
		if (prng_chance(&n->prng, 1, 30))
			net_divide(n);
		else if (n->divided && prng_chance(&n->prng, 1, 4))
			net_unite(n);
		break;
	case 7:
		if (prng_chance(&n->prng, 1, 20))
			net_restart(some_host(n));
		break;
	default:
		send_some(n);
	}
	net_run(n, prng_below(&n->prng, 400 * US_PER_MS));
}

/* Asked for, it is known soon, and right; the first packet did not wait. */
static void check_resolved(struct net_host *from, const struct net_host *to, unsigned int port)
{
	struct net *n = from->net;
	unsigned int app = holder_of(to, port);
	const struct mac_addr *mac = net_send(from, to, port);

	for (unsigned int i = 0; i < 20 && mac == NULL; i++) {
		net_run(n, 200 * US_PER_MS);
		mac = net_send(from, to, port);
	}
	if (app >= n->params.apps || n->params.filtered) {
		VJ_ASSERT(mac == NULL);
		return;
	}
	VJ_ASSERT(mac != NULL);
	VJ_ASSERT(mac_addr_eq(mac, &claims_find(&to->claims, to->apps[app].id)->mac));
}

/* Nothing is lost any more: what should be known is known. */
static void settle(struct net *n)
{
	net_unite(n);
	n->params.loss = n->params.dup = 0;
	net_run(n, 11 * CLAIM_RATE_LIMIT_US);
	VJ_ASSERT_OP(net_unclaimed(n), ==, 0u);
	for (uint32_t to = 0; to < n->params.hosts; to++)
		for (unsigned int port = 0; port < 8; port++)
			check_resolved(&n->hosts[(to + 1) % n->params.hosts], &n->hosts[to], port);
	for (uint32_t i = 0; n->params.filtered && i < n->params.hosts; i++)
		VJ_ASSERT(n->hosts[i].owner.stats.reached == 0);
}

static uint64_t one(uint64_t seed, bool trace)
{
	struct prng prng;
	struct net_params params;
	struct net *n;
	uint64_t frames;

	prng_seed(&prng, seed * 7 + 1);
	params = (struct net_params){
		.hosts = (uint32_t)prng_range(&prng, 2, 8),
		.apps = (uint32_t)prng_range(&prng, 1, 6),
		.pool = (uint32_t)prng_below(&prng, 4),
		.mac_bits = (unsigned int)prng_range(&prng, 7, 12),
		.rfc = prng_chance(&prng, 1, 4),
		.filtered = prng_chance(&prng, 1, 6),
		.loss = prng_chance(&prng, 1, 2) ? (uint32_t)prng_below(&prng, 150) : 0,
		.dup = (uint32_t)prng_below(&prng, 50),
		.scale = prng_chance(&prng, 3, 4) ? 1 : 0,
		.lifetime_ms = (uint32_t)prng_range(&prng, 2000, 60000),
	};
	params.check_us = 20 * US_PER_MS;
	params.quarantine_us = params.lifetime_ms * US_PER_MS + OWNER_ON_THE_WAY_US;
	params.slots = params.apps * 3 + params.pool + 8;
	n = net_new(&params, seed, trace);
	for (unsigned int i = 0; i < STEPS; i++)
		step(n);
	settle(n);
	frames = n->stats.frames;
	net_free(n);
	return frames;
}

int main(int argc, char **argv)
{
	return seeds_main(argc, argv, SEEDS, one);
}
