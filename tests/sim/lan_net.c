// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/lan_net.h"

#include "base/assert.h"
#include "wire/arp.h"
#include "wire/ip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MIN_US 20
#define DELAY_MAX_US 2000

/* An address that several hosts have claimed. */
struct pair {
	struct mac_addr mac;
	uint64_t since_us, seen_us;
};

struct pairs {
	struct pair all[8192];
	uint32_t cnt;
	struct mac_addr *claimed; /* scratch: of all hosts */
};

static const struct parp_config codec = { .e2_type = PARP_PROTO_TYPE, .e2_subtype = PARP_SUBTYPE };

/* ---- the wire */

static void event_push(struct net *n, struct net_event e)
{
	size_t at = n->event_cnt++;

	if (n->event_cnt > n->event_room) {
		n->event_room = n->event_room * 2 + 1024;
		n->events = realloc(n->events, n->event_room * sizeof(*n->events));
		VJ_ASSERT(n->events != NULL);
	}
	while (at > 0) {
		size_t up = (at - 1) / 2;
		const struct net_event *p = &n->events[up];

		if (p->at_us < e.at_us || (p->at_us == e.at_us && p->order < e.order))
			break;
		n->events[at] = *p;
		at = up;
	}
	n->events[at] = e;
}

static bool event_before(const struct net_event *a, const struct net_event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static struct net_event event_pop(struct net *n)
{
	struct net_event first = n->events[0], last = n->events[--n->event_cnt];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= n->event_cnt)
			break;
		if (child + 1 < n->event_cnt && event_before(&n->events[child + 1], &n->events[child]))
			child++;
		if (!event_before(&n->events[child], &last))
			break;
		n->events[at] = n->events[child];
		at = child;
	}
	n->events[at] = last;
	return first;
}

static void frame_put(struct net_frame *f)
{
	if (--f->refs > 0)
		return;
	free(f->bytes);
	free(f);
}

static struct net_frame *frame_new(const struct parp_msg *msg)
{
	struct net_frame *f = calloc(1, sizeof(*f));

	VJ_ASSERT(f != NULL);
	f->bytes = malloc(PARP_FRAME_MAX);
	VJ_ASSERT(f->bytes != NULL);
	f->len = parp_build(f->bytes, &codec, msg);
	VJ_ASSERT_OP(f->len, >, 0u);
	f->refs = 1;
	return f;
}

static void deliver_to(struct net *n, const struct net_host *to, struct net_frame *f)
{
	unsigned int copies = prng_chance(&n->prng, n->params.loss, 1000) ? 0 : 1;

	copies += prng_chance(&n->prng, n->params.dup, 1000);
	for (; copies > 0; copies--) {
		struct net_event e = { .order = ++n->order, .host = to->nr, .frame = f };

		e.at_us = n->now_us + prng_range(&n->prng, DELAY_MIN_US, DELAY_MAX_US);
		f->refs++;
		event_push(n, e);
	}
}

/* Is a frame to @dst for @to? Addresses of applications are what a filter of the LAN takes out. */
static bool is_for(const struct net_host *to, const struct mac_addr *dst)
{
	if (mac_addr_is_multicast(dst) || mac_addr_eq(dst, &to->lan.canonical))
		return true;
	return !to->net->params.filtered && claims_by_mac(&to->claims, dst) != NULL;
}

/* As a switch does it; @from NULL: hears and is heard everywhere. Now and then a frame comes back to who sent it. */
static void transmit(struct net *n, const struct net_host *from, struct net_frame *f)
{
	const struct eth_hdr *eth = (const struct eth_hdr *)f->bytes;

	n->stats.frames++;
	for (uint32_t i = 0; i < n->params.hosts; i++) {
		struct net_host *to = &n->hosts[i];

		if (to == from && !prng_chance(&n->prng, n->params.dup, 1000))
			continue;
		if (from != NULL && n->divided && from->side != to->side)
			continue;
		if (is_for(to, &eth->dst))
			deliver_to(n, to, f);
	}
	frame_put(f);
}

/* ---- what every frame must keep to */

static void watch_frame(struct net_host *h, const struct net_frame *f)
{
	const struct eth_hdr *eth = (const struct eth_hdr *)f->bytes;
	struct net *n = h->net;
	struct arp_fields arp;
	uint64_t *at = &h->sent_us[h->sent % NET_FRAMES_MAX];

	/* R1, for what the daemon itself sends, is that it sends no ordinary ARP at all */
	if (be16_get(eth->type) == ETH_TYPE_ARP)
		VJ_ASSERT(arp_parse(f->bytes + ETH_HDR_BYTES, f->len - ETH_HDR_BYTES, &arp) != WIRE_OK);
	VJ_ASSERT(mac_addr_eq(&eth->src, &h->lan.canonical)); /* R2 */
	if (n->params.scale == 1 && h->sent >= NET_FRAMES_MAX)
		VJ_ASSERT_OP(n->now_us - *at, >=, US_PER_SEC);
	*at = n->now_us;
	h->sent++;
}

static void trace_msg(const struct net *n, uint32_t host, const char *what, const struct parp_msg *msg)
{
	char mac[MAC_ADDR_TEXT_BYTES];
	const struct mac_addr *about = msg->mac_cnt > 0 ? &msg->macs[0] : &msg->sender_mac;

	if (n->trace)
		printf("%10" PRIu64 " host %u %s %s %s +%u port %u\n", n->now_us, host, what, parp_type_name(msg->type),
		       mac_addr_format(about, mac), msg->mac_cnt > 0 ? msg->mac_cnt - 1u : 0u,
		       msg->type == PARP_QUERY ? msg->target.port_lo : msg->sender.port_lo);
}

static void host_send(void *arg, const struct parp_msg *msg)
{
	struct net_host *h = arg;
	struct net_frame *f = frame_new(msg);

	trace_msg(h->net, h->nr, "says", msg);
	watch_frame(h, f);
	transmit(h->net, h, f);
}

static uint64_t host_random(void *arg)
{
	struct net_host *h = arg;

	return prng_u64(&h->net->prng);
}

void net_inject(struct net *n, const struct parp_msg *msg)
{
	trace_msg(n, UINT32_MAX, "injected", msg);
	transmit(n, NULL, frame_new(msg));
}

/* ---- what vjd does around it */

static struct net_app *app_by_id(const struct net_host *h, uint32_t id)
{
	for (uint32_t i = 0; i < h->net->params.apps; i++)
		if (h->apps[i].id == id)
			return &h->apps[i];
	return NULL;
}

static struct parp_endpoint endpoint_of(const struct net_host *h, unsigned int port)
{
	uint16_t nr = (uint16_t)(NET_PORT_FIRST + port);

	return (struct parp_endpoint){ h->addr, nr, nr, IP_PROTO_TCP, 0 };
}

static void tell_ports(struct net_host *h, const struct net_app *app, uint8_t type, const struct mac_addr *mac)
{
	struct parp_endpoint all = owner_everything(&h->addr);

	if (type == PARP_RELEASE) {
		owner_tell(&h->owner, type, mac, &all);
		return;
	}
	for (unsigned int p = 0; p < NET_PORTS; p++)
		if ((app->ports >> p & 1) != 0) {
			struct parp_endpoint ep = endpoint_of(h, p);

			owner_tell(&h->owner, type, mac, &ep);
		}
}

static void on_claimed(void *arg, uint32_t owner, const struct mac_addr *mac)
{
	struct net_host *h = arg;
	const struct net_app *app = app_by_id(h, owner);

	VJ_ASSERT(app != NULL);
	tell_ports(h, app, PARP_ANNOUNCE, mac);
}

static void note_lost(struct net_host *h, const struct mac_addr *mac)
{
	struct net_lost *l = &h->lost[h->lost_cnt++ % ARRAY_SIZE(h->lost)];

	*l = (struct net_lost){ *mac, h->net->now_us + h->net->params.lifetime_ms * US_PER_MS + OWNER_ON_THE_WAY_US };
}

static void on_lost(void *arg, uint32_t owner, const struct mac_addr *mac)
{
	struct net_host *h = arg;

	VJ_ASSERT(app_by_id(h, owner) != NULL);
	note_lost(h, mac);
	tell_ports(h, NULL, PARP_RELEASE, mac);
}

/* Before its time: somebody has claimed what was in quarantine. */
static void on_ended(void *arg, const struct mac_addr *mac)
{
	struct net_host *h = arg;

	for (uint32_t i = 0; i < h->claims.slot_cnt; i++)
		if (mac_addr_eq(&h->claims.slots[i].mac, mac) && h->claims.slots[i].given_us > h->net->now_us)
			note_lost(h, mac);
}

static enum owner_has on_find(void *arg, const struct parp_endpoint *asked, struct owner_range *ret)
{
	const struct net_host *h = arg;

	if (!ip_addr_eq(&asked->addr, &h->addr))
		return OWNER_NOT_HERE;
	if (asked->port_lo < NET_PORT_FIRST || asked->port_lo >= NET_PORT_FIRST + NET_PORTS || asked->proto != IP_PROTO_TCP)
		return OWNER_CANONICAL;
	for (uint32_t i = 0; i < h->net->params.apps; i++)
		if (h->apps[i].id != 0 && (h->apps[i].ports >> (asked->port_lo - NET_PORT_FIRST) & 1) != 0) {
			ret->owner = h->apps[i].id;
			return OWNER_APPLICATION;
		}
	return OWNER_CANONICAL;
}

/* Ordinary ARP, of which nothing is lost here. */
static bool on_neighbour(void *arg, const struct ip_addr *addr, struct mac_addr *ret)
{
	const struct net_host *h = arg;

	for (uint32_t i = 0; i < h->net->params.hosts; i++)
		if (ip_addr_eq(&h->net->hosts[i].addr, addr)) {
			*ret = h->net->hosts[i].lan.canonical;
			return true;
		}
	return false;
}

static void on_learned(void *arg, const struct resolver_entry *e)
{
	const struct net_host *h = arg;

	VJ_ASSERT(parp_mac_is_application(&e->group->mac) && e->state == RESOLVER_VALID);
	/* what never gets through is never used */
	VJ_ASSERT(!h->net->params.filtered);
}

static void on_quiet(void *arg, const struct resolver_entry *e)
{
	const struct net_host *h = arg;

	VJ_ASSERT(e->state == RESOLVER_NEG && e->quiet_us > h->net->now_us);
}

static void on_forgotten(void *arg, const struct resolver_entry *e)
{
	(void)arg;
	VJ_ASSERT(e->state == RESOLVER_VALID || e->state == RESOLVER_NEG);
}

static const struct lan_ops lan_ops = { host_send, host_random };
static void on_defended(void *arg, const struct mac_addr *mac)
{
	(void)arg;
	(void)mac;
}

static const struct claim_ops claim_ops = { on_claimed, on_lost, on_ended, on_defended };
static const struct owner_ops owner_ops = { .find = on_find };
static const struct resolver_ops resolver_ops = { on_neighbour, on_learned, on_quiet, on_forgotten };

void net_app_start(struct net_host *h, unsigned int app)
{
	h->apps[app] = (struct net_app){ .id = ++h->net->last_app };
	claims_take(&h->claims, h->apps[app].id, h->net->now_us);
}

/* Another address: what was told of the old one must not reach the application any more. */
static void exchange(struct net_host *h, const struct net_app *app, const struct mac_addr *mac)
{
	struct mac_addr old = *mac;

	claims_release(&h->claims, app->id, h->net->now_us);
	tell_ports(h, NULL, PARP_RELEASE, &old);
	claims_take(&h->claims, app->id, h->net->now_us);
}

void net_app_end(struct net_host *h, unsigned int app)
{
	const struct claim_slot *s = claims_find(&h->claims, h->apps[app].id);

	if (s != NULL)
		tell_ports(h, NULL, PARP_RELEASE, &s->mac);
	claims_release(&h->claims, h->apps[app].id, h->net->now_us);
	h->apps[app] = (struct net_app){ .id = 0 };
}

void net_port_lease(struct net_host *h, unsigned int app, unsigned int port)
{
	const struct claim_slot *s = claims_find(&h->claims, h->apps[app].id);
	struct parp_endpoint ep = endpoint_of(h, port);

	h->apps[app].ports |= UINT64_C(1) << port;
	if (s != NULL)
		owner_tell(&h->owner, PARP_ANNOUNCE, &s->mac, &ep);
}

void net_port_leave(struct net_host *h, unsigned int app, unsigned int port)
{
	const struct claim_slot *s = claims_find(&h->claims, h->apps[app].id);

	h->apps[app].ports &= ~(UINT64_C(1) << port);
	if (s != NULL && s->given_us > h->net->now_us)
		exchange(h, &h->apps[app], &s->mac);
}

const struct mac_addr *net_send(struct net_host *h, const struct net_host *to, unsigned int port)
{
	struct parp_endpoint ep = endpoint_of(to, port);
	const struct resolver_entry *e = resolver_lookup(&h->resolver, &ep, h->net->now_us);

	return e != NULL ? &e->group->mac : NULL;
}

/* ---- birth, restart */

static void host_begin(struct net_host *h, uint32_t start)
{
	struct net *n = h->net;
	const struct net_params *p = &n->params;

	h->lan.ops = &lan_ops;
	h->lan.arg = h;
	h->lan.gen = start << 16;
	h->lan.encoding = (uint8_t)(h->nr % 2 == 0 ? PARP_E1 : PARP_E2);
	h->lan.asker = LAN_ASKER_CHANNELS;
	lan_host_init(&h->lan, p->scale);
	h->claims.host = h->owner.host = h->resolver.host = &h->lan;
	h->claims.ops = &claim_ops;
	h->owner.ops = &owner_ops;
	h->resolver.ops = &resolver_ops;
	h->claims.arg = h->owner.arg = h->resolver.arg = h;
	h->claims.timing = p->rfc ? &claim_timing_rfc : &claim_timing_fast;
	h->claims.pool_want = p->pool;
	h->claims.mac_bits = p->mac_bits;
	h->claims.quarantine_us = p->quarantine_us;
	h->owner.claims = &h->claims;
	h->owner.lifetime_ms = p->lifetime_ms;
	owner_init(&h->owner);
	memset(h->book, 0, resolver_bytes(NET_ENTRIES));
	resolver_init(&h->resolver, h->book, NET_ENTRIES);
}

void net_restart(struct net_host *h)
{
	uint32_t cnt = h->claims.slot_cnt;
	struct claim_slot *old = calloc(cnt, sizeof(*old));

	VJ_ASSERT(old != NULL);
	memcpy(old, h->claims.slots, cnt * sizeof(*old));
	host_begin(h, (h->lan.gen >> 16) + 1);
	h->sent = 0; /* what an earlier one has sent is not counted */
	claims_init(&h->claims, h->claims.slots, h->claims.buckets, cnt, h->net->now_us);
	for (uint32_t i = 0; i < cnt; i++) {
		bool held = old[i].state == CLAIM_CLAIMED && old[i].owner != 0;

		if (held || old[i].state == CLAIM_QUARANTINE)
			claims_adopt(&h->claims, held ? old[i].owner : 0, &old[i].mac, h->net->now_us);
	}
	for (uint32_t i = 0; i < h->net->params.apps; i++)
		if (h->apps[i].id != 0)
			claims_take(&h->claims, h->apps[i].id, h->net->now_us);
	free(old);
}

static void host_new(struct net *n, uint32_t nr)
{
	struct net_host *h = &n->hosts[nr];
	uint32_t cnt = n->params.slots;

	h->net = n;
	h->nr = nr;
	h->addr = ip_addr_from_v4(be32(0x0a000001 + nr));
	h->lan.canonical = (struct mac_addr){ { 0x52, 0x54, 0, (uint8_t)(nr >> 16), (uint8_t)(nr >> 8), (uint8_t)nr } };
	prng_bytes(&n->prng, h->lan.id.bytes, sizeof(h->lan.id.bytes));
	h->apps = calloc(n->params.apps + 1, sizeof(*h->apps));
	h->claims.slots = calloc(cnt, sizeof(*h->claims.slots));
	h->claims.buckets = calloc(cnt, sizeof(*h->claims.buckets));
	h->book = malloc(resolver_bytes(NET_ENTRIES));
	VJ_ASSERT(h->apps && h->claims.slots && h->claims.buckets && h->book);
	host_begin(h, 1 + (uint32_t)prng_below(&n->prng, 3));
	claims_init(&h->claims, h->claims.slots, h->claims.buckets, cnt, n->now_us);
	for (uint32_t i = 0; i < n->params.apps; i++)
		net_app_start(h, i);
}

struct net *net_new(const struct net_params *params, uint64_t seed, bool trace)
{
	struct net *n = calloc(1, sizeof(*n));
	struct pairs *pairs = calloc(1, sizeof(*pairs));

	VJ_ASSERT(n != NULL && pairs != NULL);
	n->params = *params;
	n->trace = trace;
	n->pairs = pairs;
	n->now_us = 1000000;
	prng_seed(&n->prng, seed);
	pairs->claimed = calloc((size_t)params->hosts * params->slots, sizeof(*pairs->claimed));
	n->hosts = calloc(params->hosts, sizeof(*n->hosts));
	VJ_ASSERT(n->hosts != NULL && pairs->claimed != NULL);
	for (uint32_t i = 0; i < params->hosts; i++)
		host_new(n, i);
	return n;
}

void net_free(struct net *n)
{
	struct pairs *pairs = n->pairs;

	while (n->event_cnt > 0)
		frame_put(event_pop(n).frame);
	for (uint32_t i = 0; i < n->params.hosts; i++) {
		struct net_host *h = &n->hosts[i];

		free(h->apps);
		free(h->claims.slots);
		free(h->claims.buckets);
		free(h->book);
	}
	free(pairs->claimed);
	free(pairs);
	free(n->events);
	free(n->hosts);
	free(n);
}

void net_divide(struct net *n)
{
	n->divided = true;
	for (uint32_t i = 0; i < n->params.hosts; i++)
		n->hosts[i].side = prng_u32(&n->prng) & 1;
}

void net_unite(struct net *n)
{
	n->divided = false;
	n->united_us = n->now_us;
}

uint32_t net_unclaimed(const struct net *n)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < n->params.hosts; i++)
		for (uint32_t k = 0; k < n->params.apps; k++)
			cnt += n->hosts[i].apps[k].id != 0 && claims_find(&n->hosts[i].claims, n->hosts[i].apps[k].id) == NULL;
	return cnt;
}

/* ---- what must hold */

static int mac_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mac_addr));
}

/*
 * How long two may have one address: until the next announcement of all of either, and as many more as may be lost; the
 * time to be heard, and to get a word in. Nobody is heard across a division.
 */
static uint64_t collision_bound_us(const struct net *n)
{
	uint64_t rounds = n->params.loss > 0 ? 5 : 1;

	return rounds * (CLAIM_AGAIN_US + CLAIM_AGAIN_JITTER_US) + 5 * US_PER_SEC;
}

static void note_pair(struct net *n, const struct mac_addr *mac)
{
	struct pairs *pairs = n->pairs;
	struct pair *p = NULL;
	uint64_t age_us;

	for (uint32_t i = 0; i < pairs->cnt && p == NULL; i++)
		if (mac_addr_eq(&pairs->all[i].mac, mac))
			p = &pairs->all[i];
	if (p == NULL) {
		VJ_ASSERT_OP(pairs->cnt, <, ARRAY_SIZE(pairs->all));
		p = &pairs->all[pairs->cnt++];
		*p = (struct pair){ .mac = *mac, .since_us = n->now_us };
		n->stats.collisions++;
	}
	p->seen_us = n->now_us;
	age_us = n->now_us - max_u64(p->since_us, n->united_us);
	if (n->divided)
		return;
	n->stats.collision_max_us = max_u64(n->stats.collision_max_us, age_us);
	VJ_ASSERT_OP(age_us, <, collision_bound_us(n));
}

static void check_collisions(struct net *n)
{
	struct pairs *pairs = n->pairs;
	size_t cnt = 0;

	for (uint32_t i = 0; i < n->params.hosts; i++)
		for (uint32_t s = 0; s < n->params.slots; s++)
			if (n->hosts[i].claims.slots[s].state == CLAIM_CLAIMED)
				pairs->claimed[cnt++] = n->hosts[i].claims.slots[s].mac;
	qsort(pairs->claimed, cnt, sizeof(pairs->claimed[0]), mac_order);
	for (size_t i = 1; i < cnt; i++)
		if (mac_addr_eq(&pairs->claimed[i], &pairs->claimed[i - 1]))
			note_pair(n, &pairs->claimed[i]);
	for (uint32_t i = 0; i < pairs->cnt; i++)
		if (pairs->all[i].seen_us != n->now_us)
			pairs->all[i--] = pairs->all[--pairs->cnt];
}

uint32_t net_collisions_now(struct net *n)
{
	check_collisions(n);
	return ((struct pairs *)n->pairs)->cnt;
}

static bool was_lost(const struct net_host *h, const struct mac_addr *mac)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(h->lost); i++)
		if (mac_addr_eq(&h->lost[i].mac, mac) && h->lost[i].until_us >= h->net->now_us)
			return true;
	return false;
}

/* What @e says is true, or does no harm. */
static void check_entry(const struct net *n, const struct resolver_entry *e)
{
	const struct net_host *h = &n->hosts[be32_get(ip_addr_v4(&e->key.addr)) - 0x0a000001];
	const struct claim_slot *s = claims_by_mac(&h->claims, &e->group->mac);
	const struct net_app *app;

	if (s == NULL || s->state == CLAIM_WAIT || s->state == CLAIM_PROBE) {
		VJ_ASSERT(was_lost(h, &e->group->mac));
		return;
	}
	if (s->state == CLAIM_QUARANTINE)
		return;
	app = app_by_id(h, s->owner);
	VJ_ASSERT(app != NULL);
	VJ_ASSERT((app->ports >> (e->key.port - NET_PORT_FIRST) & 1) != 0);
}

static void check(struct net *n)
{
	check_collisions(n);
	for (uint32_t i = 0; i < n->params.hosts; i++) {
		const struct resolver *r = &n->hosts[i].resolver;
		const struct resolver_entry *e;

		VJ_ASSERT_OP(r->used_cnt, <=, (uint32_t)NET_ENTRIES);
		VJ_ASSERT_OP(r->asking_cnt, <=, (uint32_t)RESOLVER_ASKING_MAX);
		TAILQ_FOREACH (e, &r->by_use, by_use)
			if (e->state == RESOLVER_VALID)
				check_entry(n, e);
	}
}

/* ---- time */

static uint64_t host_deadline_us(const struct net_host *h)
{
	return min_u64(claims_deadline_us(&h->claims),
		       min_u64(owner_deadline_us(&h->owner), resolver_deadline_us(&h->resolver)));
}

static void host_run(struct net_host *h)
{
	uint64_t now_us = h->net->now_us;

	claims_run(&h->claims, now_us);
	owner_run(&h->owner, now_us);
	resolver_run(&h->resolver, now_us);
}

static void host_rx(struct net_host *h, const struct net_frame *f)
{
	uint64_t now_us = h->net->now_us;
	struct parp_msg msg;

	VJ_ASSERT(parp_parse(f->bytes, f->len, &codec, &msg) == PARP_ERR_OK);
	h->net->stats.heard++;
	owner_rx(&h->owner, &msg, now_us);
	claims_rx(&h->claims, &msg, now_us);
	resolver_rx(&h->resolver, &msg, now_us);
}

static void retake(struct net_host *h)
{
	for (uint32_t i = 0; i < h->net->params.apps; i++)
		if (h->apps[i].id != 0)
			claims_take(&h->claims, h->apps[i].id, h->net->now_us);
}

void net_run(struct net *n, uint64_t us)
{
	uint64_t end_us = n->now_us + us;

	for (;;) {
		uint64_t at_us = min_u64(end_us, max_u64(n->check_us, n->now_us));

		if (n->event_cnt > 0)
			at_us = min_u64(at_us, n->events[0].at_us);
		for (uint32_t i = 0; i < n->params.hosts; i++)
			at_us = min_u64(at_us, host_deadline_us(&n->hosts[i]));
		n->now_us = max_u64(n->now_us, at_us);
		while (n->event_cnt > 0 && n->events[0].at_us <= n->now_us) {
			struct net_event e = event_pop(n);

			host_rx(&n->hosts[e.host], e.frame);
			frame_put(e.frame);
		}
		for (uint32_t i = 0; i < n->params.hosts; i++)
			if (host_deadline_us(&n->hosts[i]) <= n->now_us)
				host_run(&n->hosts[i]);
		if (n->now_us >= n->check_us) {
			check(n);
			n->check_us = n->now_us + n->params.check_us;
			retake(&n->hosts[prng_below(&n->prng, n->params.hosts)]);
		}
		if (n->now_us >= end_us)
			return;
	}
}
