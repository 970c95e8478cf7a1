// SPDX-License-Identifier: BSD-2-Clause
/*
 * IPv6 addresses for applications of some hosts, out of a prefix of 8 bits, so that they meet all the time: applications come and go, hosts
 * that know nothing of it have some of the addresses, the LAN loses, repeats and gives back what was sent. What must hold:
 *
 *  - on a LAN that was always well, no two ever have one address (on another RFC 4862 promises nothing either);
 *  - who has an address answers for it, with the MAC address that it was last said to be at, and nobody else does;
 *  - ops are called in their order, and none more is said than the limit;
 *  - in the end, on a LAN that is well, and once all have said where their addresses are, everybody has one of his own.
 */
#include "lan/own6.h"
#include "tests/sim/seeds.h"

#include "base/assert.h"
#include "base/prng.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SEEDS = 400, STEPS = 1500, HOSTS = 4, OWNERS = 12, LEGACY = 20, QUEUE = 1024 };

struct frame {
	struct nd_msg msg;
	unsigned int from; /* HOSTS: of a host that knows nothing of it */
	uint64_t at_us;
};

struct host {
	struct lan *lan;
	unsigned int nr;
	struct own6 own6;
	struct {
		struct ip_addr addr;
		bool begun, assigned, ends; /* it is released */
		struct mac_addr mac; /* where it was last said to be */
	} owners[OWNERS + 1]; /* by number, from 1 */
	uint64_t sent, since_us;
};

struct lan {
	struct prng prng;
	uint64_t now_us, crossed;
	bool ill, ever_ill;
	uint8_t legacy[LEGACY]; /* last bytes of addresses */
	struct host hosts[HOSTS];
	struct frame queue[QUEUE];
	unsigned int cnt;
	struct nd_msg answer; /* to the last question of a host that knows nothing */
	unsigned int answers;
};

static struct mac_addr mac_of(unsigned int host, unsigned int owner)
{
	return (struct mac_addr){ { 2, 0, 0, 0, (uint8_t)host, (uint8_t)owner } };
}

static void put(struct lan *lan, const struct nd_msg *msg, unsigned int from)
{
	unsigned int copies = lan->ill ? (unsigned int)prng_below(&lan->prng, 3) : 1;

	VJ_ASSERT(lan->cnt + copies < QUEUE);
	for (unsigned int i = 0; i < copies; i++)
		lan->queue[lan->cnt++] = (struct frame){ *msg, from, lan->now_us + prng_below(&lan->prng, 3000) };
}

/* ---- what a host is told */

static void on_send(void *arg, const struct nd_msg *msg)
{
	struct host *h = arg;
	uint8_t frame[ND_FRAME_MAX];
	struct nd_msg back;
	size_t len = nd_build(frame, msg);

	VJ_ASSERT(len <= sizeof(frame) && nd_parse(frame, len, &back));
	VJ_ASSERT(memcmp(&back, msg, sizeof(back)) == 0);
	VJ_ASSERT(ip_prefix_has(&h->own6.prefix, &msg->target));
	h->sent++;
	VJ_ASSERT(h->sent <= OWN6_BURST + OWN6_PER_SECOND * ((h->lan->now_us - h->since_us) / US_PER_SEC + 1) + OWNERS * 10);
	put(h->lan, msg, h->nr);
}

static uint64_t on_random(void *arg)
{
	return prng_u64(&((struct host *)arg)->lan->prng);
}

/* So that all hosts draw the same, and the owners of one among themselves. */
static uint64_t on_draw(void *arg, uint32_t owner, uint32_t number)
{
	(void)arg;
	return owner * UINT64_C(7) + number * UINT64_C(14);
}

static bool on_is_taken(void *arg, const struct ip_addr *addr)
{
	(void)arg;
	return addr->bytes[15] == 77;
}

static void on_begun(void *arg, uint32_t owner, const struct ip_addr *addr)
{
	struct host *h = arg;

	VJ_ASSERT(!h->owners[owner].begun && addr->bytes[15] != 0 && addr->bytes[15] != 77);
	h->owners[owner].begun = true;
	h->owners[owner].addr = *addr;
	h->owners[owner].mac = h->own6.canonical;
}

static bool is_legacy(const struct lan *lan, const struct ip_addr *addr)
{
	return memchr(lan->legacy, addr->bytes[15], sizeof(lan->legacy)) != NULL;
}

static unsigned int holders(const struct lan *lan, const struct ip_addr *addr)
{
	unsigned int cnt = !lan->ever_ill && is_legacy(lan, addr); /* it hears nothing of it */

	for (unsigned int i = 0; i < HOSTS; i++)
		for (unsigned int k = 1; k <= OWNERS; k++)
			cnt += lan->hosts[i].owners[k].assigned && ip_addr_eq(&lan->hosts[i].owners[k].addr, addr);
	return cnt;
}

static void on_assigned(void *arg, uint32_t owner, const struct ip_addr *addr)
{
	struct host *h = arg;

	VJ_ASSERT(h->owners[owner].begun && !h->owners[owner].assigned && ip_addr_eq(&h->owners[owner].addr, addr));
	h->owners[owner].assigned = true;
	VJ_ASSERT(h->lan->ever_ill || holders(h->lan, addr) == 1);
}

static void on_ended(void *arg, uint32_t owner, const struct ip_addr *addr)
{
	struct host *h = arg;

	VJ_ASSERT(h->owners[owner].begun && ip_addr_eq(&h->owners[owner].addr, addr));
	VJ_ASSERT(h->lan->ever_ill || !h->owners[owner].assigned || h->owners[owner].ends); /* nobody is asked away */
	h->owners[owner].begun = h->owners[owner].assigned = false;
}

static const struct own6_ops ops = { on_send, on_random, on_draw, on_is_taken, on_begun, on_assigned, on_ended };

/* ---- the LAN */

/* A host of addresses that knows nothing of all this answers as a kernel does. */
static void legacy_rx(struct lan *lan, const struct nd_msg *msg)
{
	struct nd_msg answer = {
		.eth_src = mac_of(99, 1), .src = msg->target, .dst = msg->src, .target = msg->target, .type = ND_ADVERT,
		.has_mac = true, .mac = mac_of(99, 1), .flags = ND_FLAG_OVERRIDE | ND_FLAG_SOLICITED,
	};

	if (msg->type != ND_SOLICIT) {
		lan->answer = *msg;
		lan->answers++;
		return;
	}
	if (!is_legacy(lan, &msg->target))
		return;
	if (ip_addr_is_any(&msg->src)) {
		answer.dst = (struct ip_addr){ .bytes = { 0xff, 2, [15] = 1 } };
		answer.flags = ND_FLAG_OVERRIDE;
	}
	put(lan, &answer, HOSTS);
}

static void deliver(struct lan *lan)
{
	for (unsigned int i = 0; i < lan->cnt;) {
		struct frame f = lan->queue[i];

		if (f.at_us > lan->now_us) {
			i++;
			continue;
		}
		lan->queue[i] = lan->queue[--lan->cnt];
		lan->crossed++;
		for (unsigned int k = 0; k < HOSTS; k++)
			if (k != f.from || (lan->ill && prng_chance(&lan->prng, 1, 4))) /* what was sent comes back */
				own6_rx(&lan->hosts[k].own6, &f.msg, lan->now_us);
		if (f.from != HOSTS)
			legacy_rx(lan, &f.msg);
	}
}

static void run_for(struct lan *lan, uint64_t us)
{
	uint64_t end_us = lan->now_us + us;

	while (lan->now_us < end_us) {
		lan->now_us += 1000;
		deliver(lan);
		for (unsigned int i = 0; i < HOSTS; i++)
			own6_run(&lan->hosts[i].own6, lan->now_us);
	}
}

/* ---- what happens */

static void app_changes(struct host *h, uint32_t owner)
{
	struct mac_addr mac = prng_chance(&h->lan->prng, 1, 3) ? h->own6.canonical : mac_of(h->nr, owner);
	int r;

	if (!h->owners[owner].begun) {
		r = own6_take(&h->own6, owner, h->lan->now_us);
		VJ_ASSERT(r == 0 && own6_take(&h->own6, owner, h->lan->now_us) < 0);
	} else if (prng_chance(&h->lan->prng, 1, 2)) {
		h->owners[owner].ends = true;
		own6_release(&h->own6, owner, h->lan->now_us);
		h->owners[owner].ends = false;
		VJ_ASSERT(own6_find(&h->own6, owner) == NULL && !h->owners[owner].begun);
	} else {
		own6_move(&h->own6, owner, &mac, h->lan->now_us);
		h->owners[owner].mac = mac;
	}
}

/* The program is there again: as another owner, with what it had. */
static void app_again(struct host *h, uint32_t from, uint32_t to)
{
	bool has = h->owners[from].assigned, wants = !h->owners[to].begun;
	int r = own6_hand(&h->own6, from, to);

	VJ_ASSERT_OP(r, ==, !has ? -ENOENT : !wants ? -EEXIST : 0);
	if (r < 0)
		return;
	h->owners[to] = h->owners[from];
	h->owners[from].begun = h->owners[from].assigned = false;
	VJ_ASSERT(own6_find(&h->own6, from) == NULL && ip_addr_eq(&own6_find(&h->own6, to)->addr, &h->owners[to].addr));
}

/* A kernel asks for an address: who has it answers, nobody else. Only on a LAN that is well. */
static void ask(struct lan *lan, const struct host *h, uint32_t owner)
{
	struct nd_msg msg = {
		.eth_src = mac_of(99, 2), .src = { .bytes = { 0xfe, 0x80, [15] = 9 } }, .dst = nd_group(&h->owners[owner].addr),
		.target = h->owners[owner].addr, .type = ND_SOLICIT, .has_mac = true, .mac = mac_of(99, 2),
	};
	bool is_his = h->owners[owner].assigned;

	lan->answers = 0;
	msg.eth_dst = nd_group_mac(&msg.dst);
	put(lan, &msg, HOSTS);
	run_for(lan, 20000);
	if (!is_his || !h->owners[owner].assigned)
		return;
	VJ_ASSERT(lan->answers >= 1);
	VJ_ASSERT(!ip_addr_eq(&lan->answer.target, &msg.target) || mac_addr_eq(&lan->answer.mac, &h->owners[owner].mac));
}

static void check_end(struct lan *lan)
{
	for (unsigned int i = 0; i < HOSTS; i++)
		for (uint32_t k = 1; k <= OWNERS; k++) {
			struct host *h = &lan->hosts[i];

			if (!h->owners[k].begun)
				continue;
			VJ_ASSERT(h->owners[k].assigned);
			VJ_ASSERT_OP(holders(lan, &h->owners[k].addr), ==, 1u);
		}
}

static uint64_t one(uint64_t seed, bool trace)
{
	static struct lan lan;

	memset(&lan, 0, sizeof(lan));
	prng_seed(&lan.prng, seed);
	(void)trace;
	lan.now_us = US_PER_SEC;
	for (unsigned int i = 0; i < LEGACY; i++)
		lan.legacy[i] = (uint8_t)(1 + prng_below(&lan.prng, 255));
	for (unsigned int i = 0; i < HOSTS; i++) {
		struct host *h = &lan.hosts[i];

		h->lan = &lan;
		h->nr = i;
		h->since_us = lan.now_us;
		h->own6 = (struct own6){ .ops = &ops, .arg = h, .canonical = mac_of(i, 0),
					 .prefix = { { .bytes = { 0x20, 1, 0xd, 0xb8 } }, 120 } };
		own6_init(&h->own6);
	}
	for (unsigned int step = 0; step < STEPS; step++) {
		struct host *h = &lan.hosts[prng_below(&lan.prng, HOSTS)];
		uint32_t owner = 1 + (uint32_t)prng_below(&lan.prng, OWNERS);

		if (seed % 2 != 0 && prng_chance(&lan.prng, 1, 100))
			lan.ever_ill |= lan.ill = !lan.ill;
		if (prng_chance(&lan.prng, 1, 3))
			app_changes(h, owner);
		else if (prng_chance(&lan.prng, 1, 8))
			app_again(h, owner, 1 + (uint32_t)prng_below(&lan.prng, OWNERS));
		else if (seed % 2 == 0 && h->owners[owner].assigned)
			ask(&lan, h, owner);
		run_for(&lan, prng_below(&lan.prng, 400000));
	}
	lan.ill = false;
	for (unsigned int round = 0; round < 4; round++) {
		run_for(&lan, 30 * US_PER_SEC);
		for (unsigned int i = 0; i < HOSTS; i++)
			for (uint32_t k = 1; k <= OWNERS; k++) {
				struct mac_addr mac = mac_of(i, 100 + k + 20 * (round & 1));

				own6_move(&lan.hosts[i].own6, k, &mac, lan.now_us);
			}
	}
	run_for(&lan, 1500 * US_PER_SEC); /* who has met OWN6_CONFLICTS_MAX others goes on slowly */
	check_end(&lan);
	return lan.crossed;
}

int main(int argc, char **argv)
{
	return seeds_main(argc, argv, SEEDS, one);
}
