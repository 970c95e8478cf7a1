// SPDX-License-Identifier: BSD-2-Clause
/* One host of docs/parp.md, line by line: which addresses it claims, and what it answers */
#include "tests/sim/lan_line.h"

#include <errno.h>

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
	assert_int_equal(w.defended, 1);
	w.now_us += CLAIM_DEFEND_US;
	claims_rx(&w.claims, &msg, w.now_us);
	assert_int_equal(w.sent_cnt, before + 2);
	assert_int_equal(w.defended, 2);
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

/* A server's first clients came by the kernel. Who asks meanwhile hears when they have gone, and not once for each question. */
static void test_shared_for_a_while(void **state)
{
	const struct parp_msg msg = query(80);
	const struct parp_msg *said;
	unsigned int at;

	(void)state;
	claim_now(5);
	at = w.sent_cnt;
	w.has = OWNER_APPLICATION;
	w.range = (struct owner_range){ .owner = 5, .lo = 80, .hi = 80 };
	w.shared = true;
	for (unsigned int i = 0; i < 3; i++) {
		owner_rx(&w.owner, &msg, w.now_us);
		expect(&at, PARP_NEG, w.now_us);
	}
	run_for(2 * US_PER_SEC);
	assert_int_equal(at, w.sent_cnt);
	w.shared = false;
	run_for(US_PER_SEC); /* the second look is 1 + 2 s after the answer */
	said = expect(&at, PARP_ANNOUNCE, w.now_us);
	assert_true(mac_addr_eq(&said->sender_mac, &w.last));
	assert_int_equal(said->sender.port_lo, 80);
	run_for(US_PER_SEC);
	assert_int_equal(at, w.sent_cnt);

	/* likewise when it was to be told, and then it's no longer so; and not for ever */
	w.shared = true;
	owner_tell(&w.owner, PARP_ANNOUNCE, &w.last, &msg.target);
	run_for(US_PER_SEC / 2);
	w.has = OWNER_CANONICAL;
	w.shared = false;
	run_for(300 * US_PER_SEC);
	w.has = OWNER_APPLICATION;
	w.shared = true;
	owner_rx(&w.owner, &msg, w.now_us);
	run_for(300 * US_PER_SEC);
	w.shared = false;
	run_for(300 * US_PER_SEC);
	for (; at < w.sent_cnt; at++)
		assert_int_not_equal(w.sent[at].type, PARP_ANNOUNCE);
	assert_int_equal(w.owner.queue_cnt, 0);
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

/* Told, and nobody tries: frames to our addresses don't get here, and the canonical one is answered; until one does. */
static void test_reach(void **state)
{
	struct parp_msg msg, probe;

	(void)state;
	claims_take(&w.claims, 5, w.now_us);
	run_for(US_PER_SEC);
	w.has = OWNER_APPLICATION;
	w.range = (struct owner_range){ .owner = 5, .lo = 80, .hi = 80 };
	msg = query(80);
	probe = (struct parp_msg){ .eth_src = other_canonical, .eth_dst = w.last, .type = PARP_MAC_PROBE, .mac_cnt = 1 };
	probe.macs[0] = w.last;
	for (unsigned int i = 0; i < OWNER_UNTRIED_MAX - 1; i++)
		owner_rx(&w.owner, &msg, w.now_us);
	run_for(10 * OWNER_UNTRIED_US);
	assert_int_equal(w.owner.reach, OWNER_UNTRIED);
	/* one is tried: all is well */
	owner_rx(&w.owner, &probe, w.now_us);
	assert_int_equal(w.owner.reach, OWNER_REACHED);
	for (unsigned int i = 0; i < 10; i++)
		owner_rx(&w.owner, &msg, w.now_us);
	run_for(OWNER_REACHED_US);
	assert_int_equal(w.owner.reach, OWNER_REACHED);
	/* a probe to all tries nothing */
	probe.eth_dst = lan_broadcast();
	owner_rx(&w.owner, &probe, w.now_us);
	for (unsigned int i = 0; i < OWNER_UNTRIED_MAX; i++)
		owner_rx(&w.owner, &msg, w.now_us);
	w.sent_cnt = 0;
	run_for(OWNER_UNTRIED_US - 1);
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_REPLY);
	run_for(1);
	assert_int_equal(w.owner.reach, OWNER_BLOCKED);
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_NEG);
	/* tried again in its time, or when somebody gets through */
	run_for(OWNER_BLOCKED_US);
	assert_int_equal(w.owner.reach, OWNER_UNTRIED);
	for (unsigned int i = 0; i < OWNER_UNTRIED_MAX; i++)
		owner_rx(&w.owner, &msg, w.now_us);
	run_for(OWNER_UNTRIED_US);
	assert_int_equal(w.owner.reach, OWNER_BLOCKED);
	probe.eth_dst = w.last;
	owner_rx(&w.owner, &probe, w.now_us);
	assert_int_equal(w.owner.reach, OWNER_REACHED);
	owner_rx(&w.owner, &msg, w.now_us);
	assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_REPLY);
	assert_int_equal(w.owner.stats.blocked, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_claim_times, line_set_up),
		cmocka_unit_test_setup(test_claim_times_rfc, line_set_up),
		cmocka_unit_test_setup(test_pool, line_set_up),
		cmocka_unit_test_setup(test_objections, line_set_up),
		cmocka_unit_test_setup(test_probe_tie, line_set_up),
		cmocka_unit_test_setup(test_defend, line_set_up),
		cmocka_unit_test_setup(test_conflict_won, line_set_up),
		cmocka_unit_test_setup(test_conflict_lost, line_set_up),
		cmocka_unit_test_setup(test_rate_limit, line_set_up),
		cmocka_unit_test_setup(test_quarantine, line_set_up),
		cmocka_unit_test_setup(test_comes_back, line_set_up),
		cmocka_unit_test_setup(test_adopt, line_set_up),
		cmocka_unit_test_setup(test_slots_are_bounded, line_set_up),
		cmocka_unit_test_setup(test_limited, line_set_up),
		cmocka_unit_test_setup(test_answers, line_set_up),
		cmocka_unit_test_setup(test_announcements, line_set_up),
		cmocka_unit_test_setup(test_shared_for_a_while, line_set_up),
		cmocka_unit_test_setup(test_answers_nd, line_set_up),
		cmocka_unit_test_setup(test_reach, line_set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
