// SPDX-License-Identifier: BSD-2-Clause
/*
 * One host of docs/parp.md, line by line: what it says and when, what it makes of what it hears. Times are exact: the
 * "random" numbers are all 0 unless a test sets others, so jitter is none.
 */
#include "tests/unit/wire_test.h"

#include "lan/owner.h"
#include "lan/resolver.h"
#include "wire/ip.h"

#include <errno.h>

enum { SLOTS = 16, ENTRIES = 160, SENT_MAX = 512 };

static const struct mac_addr canonical = { { 0x52, 0x54, 0, 0, 0, 1 } };
static const struct mac_addr other_canonical = { { 0x52, 0x54, 0, 0, 0, 2 } };
static const struct mac_addr other_app = { { 0xc2, 9, 9, 9, 9, 9 } };

/* The host under test, and what it did. */
static struct world {
	struct lan_host lan;
	struct claims claims;
	struct owner owner;
	struct resolver resolver;
	struct claim_slot slots[SLOTS];
	uint32_t buckets[SLOTS];
	struct resolver_entry entries[ENTRIES];
	struct resolver_entry *pointers[2 * ENTRIES];
	uint64_t now_us, random, random_step;
	struct parp_msg sent[SENT_MAX];
	uint64_t sent_us[SENT_MAX];
	unsigned int sent_cnt, claimed, lost, ended, learned, forgotten;
	struct mac_addr last;
	enum owner_has has;
	struct owner_range range;
	bool neighbour_known;
	struct mac_addr neighbour;
} w;

static void on_send(void *arg, const struct parp_msg *msg)
{
	(void)arg;
	assert_true(w.sent_cnt < SENT_MAX);
	w.sent_us[w.sent_cnt] = w.now_us;
	w.sent[w.sent_cnt++] = *msg;
}

static uint64_t on_random(void *arg)
{
	(void)arg;
	w.random += w.random_step;
	return w.random;
}

static void on_claimed(void *arg, uint32_t owner, const struct mac_addr *mac)
{
	(void)arg;
	assert_int_not_equal(owner, 0);
	w.claimed++;
	w.last = *mac;
}

static void on_lost(void *arg, uint32_t owner, const struct mac_addr *mac)
{
	(void)arg;
	(void)owner;
	w.lost++;
	w.last = *mac;
}

static void on_ended(void *arg, const struct mac_addr *mac)
{
	(void)arg;
	w.ended++;
	w.last = *mac;
}

static enum owner_has on_find(void *arg, const struct parp_endpoint *asked, struct owner_range *ret)
{
	(void)arg;
	(void)asked;
	if (w.has == OWNER_APPLICATION)
		*ret = w.range;
	return w.has;
}

static bool on_neighbour(void *arg, const struct ip_addr *addr, struct mac_addr *ret)
{
	(void)arg;
	(void)addr;
	*ret = w.neighbour;
	return w.neighbour_known;
}

static void on_learned(void *arg, const struct resolver_entry *e)
{
	(void)arg;
	(void)e;
	w.learned++;
}

static void on_forgotten(void *arg, const struct resolver_entry *e)
{
	(void)arg;
	(void)e;
	w.forgotten++;
}

static const struct lan_ops lan_ops = { on_send, on_random };
static const struct claim_ops claim_ops = { on_claimed, on_lost, on_ended };
static const struct owner_ops owner_ops = { on_find };
static const struct resolver_ops resolver_ops = { on_neighbour, on_learned, on_forgotten };

static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_us = 1000000;
	w.lan = (struct lan_host){ .ops = &lan_ops, .canonical = canonical, .gen = 5 << 16, .encoding = PARP_E1 };
	memset(w.lan.id.bytes, 0x80, sizeof(w.lan.id.bytes));
	lan_host_init(&w.lan, 0);
	w.claims = (struct claims){ .host = &w.lan, .ops = &claim_ops, .timing = &claim_timing_fast,
				    .mac_bits = CLAIM_MAC_BITS, .quarantine_us = 10 * US_PER_SEC };
	claims_init(&w.claims, w.slots, w.buckets, SLOTS, w.now_us);
	w.owner = (struct owner){ .host = &w.lan, .claims = &w.claims, .ops = &owner_ops, .lifetime_ms = 60000 };
	owner_init(&w.owner);
	w.resolver = (struct resolver){ .host = &w.lan, .ops = &resolver_ops };
	resolver_init(&w.resolver, w.entries, w.pointers, ENTRIES);
	w.neighbour_known = true;
	w.neighbour = other_canonical;
	w.random_step = 0;
	return 0;
}

/* As an event loop does it: woken when it has asked to be. */
static void run_for(uint64_t us)
{
	uint64_t end_us = w.now_us + us;

	for (;;) {
		uint64_t due_us = min_u64(claims_deadline_us(&w.claims),
					  min_u64(owner_deadline_us(&w.owner), resolver_deadline_us(&w.resolver)));

		w.now_us = min_u64(max_u64(due_us, w.now_us), end_us);
		claims_run(&w.claims, w.now_us);
		owner_run(&w.owner, w.now_us);
		resolver_run(&w.resolver, w.now_us);
		if (w.now_us >= end_us)
			return;
	}
}

/* The next thing said that has not been looked at yet. */
static const struct parp_msg *expect(unsigned int *at, uint8_t type, uint64_t us)
{
	assert_true(*at < w.sent_cnt);
	assert_int_equal(w.sent[*at].type, type);
	assert_int_equal(w.sent_us[*at], us);
	assert_true(mac_addr_eq(&w.sent[*at].eth_src, &canonical));
	return &w.sent[(*at)++];
}

static struct parp_msg foreign(uint8_t type, const struct mac_addr *mac, uint32_t gen, uint8_t host)
{
	struct parp_msg msg = {
		.eth_src = other_canonical, .type = type, .sender_mac = other_canonical, .sender.gen = gen,
		.has = PARP_HAS_HOST | PARP_HAS_NONCE, .nonce = 77, .mac_cnt = 1, .macs = { *mac },
	};

	memset(msg.host.bytes, host, sizeof(msg.host.bytes));
	return msg;
}

/* ---- MACs */

static void claim_now(uint32_t owner)
{
	assert_int_equal(claims_take(&w.claims, owner, w.now_us), 0);
	run_for(350000);
	assert_non_null(claims_find(&w.claims, owner));
}

/* RFC 5227 2.1.1, 2.3, divided by 20: three probes 50 ms apart, 100 ms of silence, two announcements 100 ms apart. */
static void test_claim_times(void **state)
{
	const uint64_t t = w.now_us;
	unsigned int at = 0;

	(void)state;
	assert_int_equal(claims_take(&w.claims, 7, t), 0);
	assert_int_equal(claims_take(&w.claims, 7, t), -EEXIST);
	run_for(1000000);
	assert_true(mac_addr_eq(&expect(&at, PARP_MAC_PROBE, t)->macs[0], &w.last));
	expect(&at, PARP_MAC_PROBE, t + 50000);
	expect(&at, PARP_MAC_PROBE, t + 100000);
	expect(&at, PARP_MAC_CLAIM, t + 200000);
	expect(&at, PARP_MAC_CLAIM, t + 300000);
	assert_int_equal(at, w.sent_cnt);
	assert_int_equal(w.claimed, 1);
	assert_true(parp_mac_is_application(&w.last));
	run_for(CLAIM_AGAIN_US);
	expect(&at, PARP_MAC_CLAIM, t + CLAIM_AGAIN_US);
	assert_int_equal(at, w.sent_cnt);
}

static void test_claim_times_rfc(void **state)
{
	const uint64_t t = w.now_us;
	unsigned int at = 0;

	(void)state;
	w.claims.timing = &claim_timing_rfc;
	assert_int_equal(claims_take(&w.claims, 7, t), 0);
	run_for(7000000);
	expect(&at, PARP_MAC_PROBE, t);
	expect(&at, PARP_MAC_PROBE, t + 1000000);
	expect(&at, PARP_MAC_PROBE, t + 2000000);
	expect(&at, PARP_MAC_CLAIM, t + 4000000);
	expect(&at, PARP_MAC_CLAIM, t + 6000000);
	assert_int_equal(at, w.sent_cnt);
}

/* What is due together is named in one message; and who comes later finds one claimed. */
static void test_pool(void **state)
{
	unsigned int at = 0;

	(void)state;
	w.random_step = 0x123456789;
	w.claims.pool_want = 4;
	run_for(600000);
	assert_int_equal(w.sent_cnt, CLAIM_PROBE_NUM + CLAIM_ANNOUNCE_NUM);
	for (; at < w.sent_cnt; at++)
		assert_int_equal(w.sent[at].mac_cnt, 4);
	assert_int_equal(w.claims.cnt[CLAIM_CLAIMED], 4);
	assert_int_equal(w.claimed, 0);
	assert_int_equal(claims_take(&w.claims, 9, w.now_us), 0);
	assert_int_equal(w.claimed, 1); /* at once */
	run_for(500000);
	assert_int_equal(w.claims.cnt[CLAIM_CLAIMED], 5);
	assert_int_equal(w.claims.pool_cnt, 4);
}

static void test_objections(void **state)
{
	static const uint8_t types[] = { PARP_MAC_DEFEND, PARP_MAC_CLAIM };

	(void)state;
	w.random_step = 0x1000;
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct parp_msg msg;
		struct mac_addr drawn;

		assert_int_equal(claims_take(&w.claims, 1 + i, w.now_us), 0);
		run_for(60000);
		drawn = w.sent[w.sent_cnt - 1].macs[0];
		msg = foreign(types[i], &drawn, 0, 0xff);
		claims_rx(&w.claims, &msg, w.now_us);
		assert_null(claims_by_mac(&w.claims, &drawn));
		run_for(400000);
		assert_non_null(claims_find(&w.claims, 1 + i));
		assert_false(mac_addr_eq(&claims_find(&w.claims, 1 + i)->mac, &drawn));
	}
	assert_int_equal(w.lost, 0);
	assert_int_equal(w.ended, 0);
}

/* Two that probe the same: the lower host id goes on. Our own words that come back are nobody's. */
static void test_probe_tie(void **state)
{
	struct parp_msg msg;
	struct mac_addr drawn;

	(void)state;
	w.random_step = 0x1000;
	assert_int_equal(claims_take(&w.claims, 1, w.now_us), 0);
	run_for(60000);
	drawn = w.sent[0].macs[0];
	msg = foreign(PARP_MAC_PROBE, &drawn, 0, 0x90);
	claims_rx(&w.claims, &msg, w.now_us);
	msg = foreign(PARP_MAC_CLAIM, &drawn, 9 << 16, 0x80); /* ourselves */
	claims_rx(&w.claims, &msg, w.now_us);
	assert_non_null(claims_by_mac(&w.claims, &drawn));
	msg = foreign(PARP_MAC_PROBE, &drawn, 0, 0x70);
	claims_rx(&w.claims, &msg, w.now_us);
	assert_null(claims_by_mac(&w.claims, &drawn));
}

static void test_defend(void **state)
{
	struct parp_msg msg;
	unsigned int before;

	(void)state;
	claim_now(1);
	before = w.sent_cnt;
	msg = foreign(PARP_MAC_PROBE, &w.last, 0, 0x01);
	msg.mac_cnt = 2;
	msg.macs[1] = other_app;
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, before + 1);
	assert_int_equal(w.sent[before].type, PARP_MAC_DEFEND);
	assert_int_equal(w.sent[before].mac_cnt, 1);
	assert_true(mac_addr_eq(&w.sent[before].macs[0], &w.last));
	assert_true(mac_addr_eq(&w.sent[before].eth_dst, &other_canonical));
	assert_int_equal(w.sent[before].nonce, 77);
}

static void test_conflict_won(void **state)
{
	struct parp_msg msg;
	unsigned int before;

	(void)state;
	claim_now(1);
	before = w.sent_cnt;
	/* a lower generation; the same one and a higher id */
	msg = foreign(PARP_MAC_CLAIM, &w.last, 4 << 16, 0x01);
	claims_rx(&w.claims, &msg, w.now_us);
	msg = foreign(PARP_MAC_DEFEND, &w.last, 5 << 16, 0x81);
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, before + 1); /* once within DEFEND_INTERVAL */
	assert_int_equal(w.sent[before].type, PARP_MAC_DEFEND);
	assert_true(mac_addr_is_broadcast(&w.sent[before].eth_dst));
	assert_int_equal(w.lost, 0);
	w.now_us += CLAIM_DEFEND_US;
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, before + 2);
}

static void test_conflict_lost(void **state)
{
	struct mac_addr was;
	struct parp_msg msg;

	(void)state;
	w.random_step = 0x1000;
	claim_now(1);
	was = w.last;
	msg = foreign(PARP_MAC_CLAIM, &was, 5 << 16, 0x7f);
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.lost, 1);
	assert_int_equal(w.ended, 1);
	assert_null(claims_find(&w.claims, 1));
	run_for(400000);
	assert_int_equal(w.claimed, 2);
	assert_false(mac_addr_eq(&was, &claims_find(&w.claims, 1)->mac));
}

/* RFC 5227 2.1.1: after ten in a row, a minute. */
static void test_rate_limit(void **state)
{
	(void)state;
	w.random_step = 0x1000;
	assert_int_equal(claims_take(&w.claims, 1, w.now_us), 0);
	for (unsigned int i = 0; i < CLAIM_MAX_CONFLICTS; i++) {
		struct parp_msg msg;

		run_for(60000);
		assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_MAC_PROBE);
		msg = foreign(PARP_MAC_DEFEND, &w.sent[w.sent_cnt - 1].macs[0], 0, 0xff);
		claims_rx(&w.claims, &msg, w.now_us);
		w.sent_cnt = 0;
	}
	run_for(CLAIM_RATE_LIMIT_US - 1);
	assert_int_equal(w.sent_cnt, 0);
	run_for(400000);
	assert_non_null(claims_find(&w.claims, 1));
}

static void test_quarantine(void **state)
{
	struct parp_msg msg;
	struct mac_addr mac;
	unsigned int before;

	(void)state;
	claim_now(1);
	mac = w.last;
	run_for(200000);
	claims_given(&w.claims, &mac, w.now_us + 20 * US_PER_SEC);
	assert_int_equal(claims_release(&w.claims, 1, w.now_us), 0);
	assert_int_equal(claims_release(&w.claims, 1, w.now_us), -ENOENT);
	assert_null(claims_find(&w.claims, 1));
	/* defended on, as long as somebody may remember it */
	before = w.sent_cnt;
	msg = foreign(PARP_MAC_PROBE, &mac, 0, 0x01);
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, before + 1);
	run_for(20 * US_PER_SEC - 1);
	assert_int_equal(w.ended, 0);
	run_for(1);
	assert_int_equal(w.ended, 1);
	assert_null(claims_by_mac(&w.claims, &mac));
}

/* Nobody was told of it: who comes next has it at once, and nothing is said. */
static void test_comes_back(void **state)
{
	struct mac_addr mac;

	(void)state;
	claim_now(1);
	mac = w.last;
	run_for(200000);
	w.sent_cnt = 0;
	assert_int_equal(claims_release(&w.claims, 1, w.now_us), 0);
	assert_int_equal(claims_take(&w.claims, 2, w.now_us), 0);
	assert_true(mac_addr_eq(&claims_find(&w.claims, 2)->mac, &mac));
	assert_int_equal(w.claimed, 2);
	run_for(1000000);
	assert_int_equal(w.sent_cnt, 0);
}

static void test_adopt(void **state)
{
	unsigned int at = 0;
	const uint64_t t = w.now_us;

	(void)state;
	assert_int_equal(claims_adopt(&w.claims, 3, &other_app, t), 0);
	assert_int_equal(claims_adopt(&w.claims, 4, &other_app, t), -EEXIST);
	assert_non_null(claims_find(&w.claims, 3));
	run_for(500000);
	expect(&at, PARP_MAC_CLAIM, t); /* announced, not probed for */
	expect(&at, PARP_MAC_CLAIM, t + 100000);
	assert_int_equal(at, w.sent_cnt);
}

static void test_slots_are_bounded(void **state)
{
	(void)state;
	w.random_step = 0x1000;
	for (uint32_t i = 1; i <= SLOTS; i++)
		assert_int_equal(claims_take(&w.claims, i, w.now_us), 0);
	assert_int_equal(claims_take(&w.claims, SLOTS + 1, w.now_us), -ENOSPC);
	run_for(400000);
	assert_int_equal(w.claims.cnt[CLAIM_CLAIMED], SLOTS);
}

/* A hundred addresses and as many who ask for them: no more than 15 messages in any second. */
static void test_limited(void **state)
{
	struct parp_msg msg;

	(void)state;
	lan_host_init(&w.lan, 1);
	claim_now(1);
	w.sent_cnt = 0;
	for (unsigned int ms = 0; ms < 10000; ms++) {
		msg = foreign(PARP_MAC_PROBE, &w.last, 0, 0x01);
		claims_rx(&w.claims, &msg, w.now_us);
		run_for(1000);
	}
	assert_in_range(w.sent_cnt, LAN_ANSWERS_PER_SECOND * 10, (LAN_ANSWERS_PER_SECOND + 1) * 10 + LAN_BURST);
	for (unsigned int i = 15; i < w.sent_cnt; i++)
		assert_true(w.sent_us[i] - w.sent_us[i - 15] >= US_PER_SEC);
}

/* ---- answering */

static struct parp_msg query(uint16_t port)
{
	struct parp_msg msg = {
		.eth_src = other_canonical, .type = PARP_QUERY, .encoding = PARP_E2, .sender_mac = other_canonical,
		.target = { ip_addr_from_v4(be32(0x0a000001)), port, port, IP_PROTO_TCP, 0 },
		.has = PARP_HAS_NONCE, .nonce = 42,
	};

	return msg;
}

static void test_answers(void **state)
{
	struct parp_msg msg = query(80);
	const struct parp_msg *said;
	unsigned int at;

	(void)state;
	claim_now(5);
	at = w.sent_cnt;
	w.has = OWNER_NOT_HERE;
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(at, w.sent_cnt);
	w.has = OWNER_CANONICAL;
	owner_rx(&w.owner, &msg, w.now_us);
	said = expect(&at, PARP_NEG, w.now_us);
	assert_true(mac_addr_eq(&said->sender_mac, &canonical) && said->nonce == 42);
	w.has = OWNER_APPLICATION;
	w.range = (struct owner_range){ .owner = 5, .lo = 64, .hi = 95 };
	owner_rx(&w.owner, &msg, w.now_us);
	said = expect(&at, PARP_REPLY, w.now_us);
	assert_true(mac_addr_eq(&said->sender_mac, &w.last) && mac_addr_eq(&said->eth_dst, &other_canonical));
	assert_int_equal(said->encoding, PARP_E2); /* as it was asked */
	assert_int_equal(said->sender.port_lo, 64);
	assert_int_equal(said->sender.port_hi, 95);
	assert_int_equal(said->sender.gen, 5 << 16 | 1);
	assert_int_equal(said->lifetime_ms, 60000);
	assert_true(claims_find(&w.claims, 5)->given_us >= w.now_us + 60 * US_PER_SEC);
	/* an application without an address: the canonical one */
	w.range.owner = 6;
	owner_rx(&w.owner, &msg, w.now_us);
	expect(&at, PARP_NEG, w.now_us);
}

/* What waited and is no longer so is not said. */
static void test_announcements(void **state)
{
	struct parp_endpoint ep = { ip_addr_from_v4(be32(0x0a000001)), 80, 80, IP_PROTO_TCP, 0 };
	unsigned int at;

	(void)state;
	claim_now(5);
	run_for(200000);
	at = w.sent_cnt;
	w.has = OWNER_APPLICATION;
	w.range = (struct owner_range){ .owner = 5, .lo = 80, .hi = 80 };
	owner_tell(&w.owner, PARP_ANNOUNCE, &w.last, &ep);
	run_for(1);
	expect(&at, PARP_ANNOUNCE, w.now_us - 1);
	w.range.owner = 6;
	owner_tell(&w.owner, PARP_ANNOUNCE, &w.last, &ep);
	run_for(1);
	assert_int_equal(at, w.sent_cnt);
	for (unsigned int i = 0; i < OWNER_QUEUE_MAX + 10; i++)
		owner_tell(&w.owner, PARP_RELEASE, &w.last, &ep);
	assert_int_equal(w.owner.stats.dropped, 10);
}

static void test_answers_nd(void **state)
{
	struct parp_msg msg = query(80);
	struct ip_addr ip6 = { .bytes = { 0xfe, 0x80, [15] = 9 } };

	(void)state;
	claim_now(5);
	w.sent_cnt = 0;
	w.has = OWNER_APPLICATION;
	w.range = (struct owner_range){ .owner = 5, .lo = 80, .hi = 80 };
	msg.encoding = PARP_ND;
	msg.target.addr = ip6;
	msg.ip6_src = ip6;
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, 0); /* no IPv6 here */
	w.lan.link_local = (struct ip_addr){ .bytes = { 0xfe, 0x80, [15] = 1 } };
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, 1);
	assert_int_equal(w.sent[0].encoding, PARP_ND);
	assert_true(ip_addr_eq(&w.sent[0].ip6_dst, &ip6) && ip_addr_eq(&w.sent[0].ip6_src, &w.lan.link_local));
}

/* ---- asking */

static const struct resolver_entry *lookup(uint16_t port)
{
	struct parp_endpoint ep = query(port).target;

	return resolver_lookup(&w.resolver, &ep, w.now_us);
}

static struct parp_msg reply(const struct parp_msg *asked, uint32_t gen)
{
	struct parp_msg msg = {
		.eth_src = other_canonical, .type = PARP_REPLY, .sender_mac = other_app, .sender = asked->target,
		.target = asked->target, .has = PARP_HAS_NONCE | PARP_HAS_LIFETIME, .nonce = asked->nonce,
		.lifetime_ms = 60000,
	};

	msg.sender.gen = gen;
	return msg;
}

/* A question for @port, and what its owner answers. */
static struct parp_msg ask(uint16_t port)
{
	w.random_step = 1;
	lookup(port);
	return reply(&w.sent[w.sent_cnt - 1], 10);
}

static void test_ask_times(void **state)
{
	const uint64_t t = w.now_us;
	unsigned int at = 0;

	(void)state;
	w.random_step = 1;
	assert_null(lookup(80)); /* the packet goes out at once, to the canonical address */
	run_for(699999);
	expect(&at, PARP_QUERY, t);
	expect(&at, PARP_QUERY, t + 100000);
	expect(&at, PARP_QUERY, t + 300000);
	assert_int_equal(at, w.sent_cnt);
	run_for(1);
	assert_null(lookup(80));
	run_for(RESOLVER_NEG_US - 1);
	assert_null(lookup(80));
	assert_int_equal(at, w.sent_cnt);
	run_for(1);
	assert_null(lookup(80));
	assert_int_equal(w.sent_cnt, at + 1);
	/* silence again: twice as long */
	run_for(700000);
	w.sent_cnt = 0;
	run_for(2 * RESOLVER_NEG_US - 1);
	assert_null(lookup(80));
	assert_int_equal(w.sent_cnt, 0);
	run_for(1);
	assert_null(lookup(80));
	assert_int_equal(w.sent_cnt, 1);
}

static void test_reply_believed(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	msg.nonce++;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_nonce, 1);
	msg.nonce--;
	msg.eth_src.bytes[5] ^= 1; /* a liar who has heard the question */
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_source, 1);
	msg.eth_src = other_canonical;
	w.neighbour_known = false;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_source, 2);
	w.neighbour_known = true;
	msg.sender.port_lo = msg.sender.port_hi = 81;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_range, 1);
	assert_null(lookup(80));
	assert_int_equal(w.learned, 0);
	msg.sender.port_lo = msg.sender.port_hi = 80;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_non_null(lookup(80));
	assert_true(mac_addr_eq(&lookup(80)->mac, &other_app));
	assert_int_equal(w.learned, 1);
	/* the same answer once more answers nothing */
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_nonce, 2);
}

/* Used: asked for again at 3/4 of its life, of the owner alone; not used: forgotten. An older answer is none. */
static void test_refresh(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	resolver_rx(&w.resolver, &msg, w.now_us);
	run_for(45 * US_PER_SEC - 1);
	lookup(80);
	assert_int_equal(w.sent_cnt, 1);
	run_for(1);
	assert_non_null(lookup(80)); /* answered meanwhile with what is known */
	assert_int_equal(w.sent_cnt, 2);
	assert_true(mac_addr_eq(&w.sent[1].eth_dst, &other_canonical));
	msg = reply(&w.sent[1], 9);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_gen, 1);
	msg = reply(&w.sent[1], 10);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.refreshed, 1);
	run_for(60 * US_PER_SEC - 1);
	assert_int_equal(w.forgotten, 0);
	run_for(1);
	assert_int_equal(w.forgotten, 1);
	assert_int_equal(w.resolver.used_cnt, 0);
}

static void test_lifetime_clamped(void **state)
{
	static const uint32_t given_ms[] = { 0, 999, 600001, UINT32_MAX };
	static const uint64_t taken_us[] = { 1000000, 1000000, 600000000, 600000000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(given_ms); i++) {
		struct parp_msg msg;

		msg = ask((uint16_t)(80 + i));
		msg.lifetime_ms = given_ms[i];
		resolver_rx(&w.resolver, &msg, w.now_us);
		assert_int_equal(lookup((uint16_t)(80 + i))->until_us, w.now_us + taken_us[i]);
	}
}

static void test_news(void **state)
{
	struct parp_msg msg, news;

	(void)state;
	news = msg = ask(80);
	news.type = PARP_ANNOUNCE;
	news.sender.port_lo = news.sender.port_hi = 90;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_int_equal(w.resolver.used_cnt, 1); /* makes no entry */
	resolver_rx(&w.resolver, &msg, w.now_us);
	/* another address of a later generation; not of an earlier one, not from somebody else */
	news.sender.port_lo = news.sender.port_hi = 80;
	news.sender_mac.bytes[5] = 1;
	news.sender.gen = 9;
	resolver_rx(&w.resolver, &news, w.now_us);
	news.sender.gen = 11;
	news.eth_src.bytes[5] ^= 4;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_true(mac_addr_eq(&lookup(80)->mac, &other_app));
	news.eth_src = other_canonical;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_int_equal(lookup(80)->mac.bytes[5], 1);
	/* released: of another address nothing is, of this one it is forgotten */
	news.type = PARP_RELEASE;
	news.sender = owner_everything(&msg.sender.addr);
	news.sender_mac = other_app;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_non_null(lookup(80));
	news.sender_mac.bytes[5] = 1;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_null(lookup(80));
}

static void test_blocks(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(70);
	msg.sender.port_lo = 60;
	msg.sender.port_hi = 100;
	resolver_rx(&w.resolver, &msg, w.now_us);
	w.sent_cnt = 0;
	for (uint16_t port = 64; port < 96; port++)
		assert_non_null(lookup(port));
	assert_int_equal(w.sent_cnt, 0);
	assert_int_equal(w.resolver.used_cnt, 1);
	assert_null(lookup(96)); /* in the range, but not in the block: asked for */
	assert_int_equal(w.sent_cnt, 1);
}

static void test_canonical_changes(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	resolver_rx(&w.resolver, &msg, w.now_us);
	resolver_canonical_changed(&w.resolver, &msg.sender.addr);
	assert_non_null(lookup(80));
	w.neighbour.bytes[5] = 99;
	resolver_canonical_changed(&w.resolver, &msg.sender.addr);
	assert_int_equal(w.forgotten, 1);
	assert_null(lookup(80));
}

/* Whoever sends to everything gets no more than so many questions and entries out of us; and what is used stays. */
static void test_bounded(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	msg.lifetime_ms = RESOLVER_LIFE_MAX_MS;
	resolver_rx(&w.resolver, &msg, w.now_us);
	for (uint16_t port = 1000; port < 9000; port++) {
		w.sent_cnt = 0;
		assert_null(lookup(port));
		assert_true(w.resolver.asking_cnt <= RESOLVER_ASKING_MAX);
		assert_true(w.resolver.used_cnt <= ENTRIES);
		if (port % 10 == 0) {
			run_for(10000);
			assert_non_null(lookup(80));
		}
	}
	assert_true(w.resolver.stats.refused > 0);
	assert_true(w.resolver.stats.evicted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_claim_times, set_up),
		cmocka_unit_test_setup(test_claim_times_rfc, set_up),
		cmocka_unit_test_setup(test_pool, set_up),
		cmocka_unit_test_setup(test_objections, set_up),
		cmocka_unit_test_setup(test_probe_tie, set_up),
		cmocka_unit_test_setup(test_defend, set_up),
		cmocka_unit_test_setup(test_conflict_won, set_up),
		cmocka_unit_test_setup(test_conflict_lost, set_up),
		cmocka_unit_test_setup(test_rate_limit, set_up),
		cmocka_unit_test_setup(test_quarantine, set_up),
		cmocka_unit_test_setup(test_comes_back, set_up),
		cmocka_unit_test_setup(test_adopt, set_up),
		cmocka_unit_test_setup(test_slots_are_bounded, set_up),
		cmocka_unit_test_setup(test_limited, set_up),
		cmocka_unit_test_setup(test_answers, set_up),
		cmocka_unit_test_setup(test_announcements, set_up),
		cmocka_unit_test_setup(test_answers_nd, set_up),
		cmocka_unit_test_setup(test_ask_times, set_up),
		cmocka_unit_test_setup(test_reply_believed, set_up),
		cmocka_unit_test_setup(test_refresh, set_up),
		cmocka_unit_test_setup(test_lifetime_clamped, set_up),
		cmocka_unit_test_setup(test_news, set_up),
		cmocka_unit_test_setup(test_blocks, set_up),
		cmocka_unit_test_setup(test_canonical_changes, set_up),
		cmocka_unit_test_setup(test_bounded, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
