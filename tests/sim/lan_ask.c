// SPDX-License-Identifier: BSD-2-Clause
/* One host of docs/parp.md, line by line: what it asks, what it believes, and where it sends */
#include "tests/sim/lan_line.h"

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

/* What was last sent is a proof: answered, as the owner does. */
static struct parp_msg defend(void)
{
	const struct parp_msg *probe = &w.sent[w.sent_cnt - 1];
	struct parp_msg msg = { .eth_src = other_canonical, .type = PARP_MAC_DEFEND, .has = PARP_HAS_NONCE, .nonce = probe->nonce,
				.mac_cnt = 1 };

	assert_int_equal(probe->type, PARP_MAC_PROBE);
	assert_true(mac_addr_eq(&probe->eth_dst, &probe->macs[0]));
	msg.macs[0] = probe->macs[0];
	return msg;
}

static void prove(void)
{
	struct parp_msg msg = defend();

	resolver_rx(&w.resolver, &msg, w.now_us);
}

static void learn(const struct parp_msg *msg)
{
	resolver_rx(&w.resolver, msg, w.now_us);
	prove();
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
	msg.nonce ^= 1 << 20;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_nonce, 1);
	msg.nonce ^= 1 << 20;
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
	learn(&msg);
	assert_non_null(lookup(80));
	assert_true(mac_addr_eq(&lookup(80)->group->mac, &other_app));
	assert_int_equal(w.learned, 1);
	/* the same answer once more answers nothing, and is nobody's fault */
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.late, 1);
	assert_int_equal(w.resolver.stats.replies, 1);
	assert_int_equal(w.resolver.stats.bad_nonce, 1);
}

/* Two resolvers at one interface, and claims: what one has asked is no wrong answer to the other, nor an answer; a byte that nobody has is wrong. */
static void test_answer_to_another(void **state)
{
	struct parp_msg msg;

	(void)state;
	w.lan.asker = LAN_ASKER_GATEWAY;
	msg = ask(80);
	assert_int_equal(msg.nonce & 0xff, LAN_ASKER_GATEWAY);
	w.lan.asker = LAN_ASKER_CHANNELS;
	lookup(81);
	msg.sender.port_lo = msg.sender.port_hi = 81;
	msg.nonce ^= 1 << 20;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.of_others, 1);
	assert_int_equal(w.resolver.stats.bad_nonce, 0);
	msg.nonce = lan_nonce(&w.lan, LAN_ASKER_CLAIMS);
	msg.type = PARP_MAC_DEFEND;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.of_others, 2);
	assert_int_equal(w.resolver.stats.bad_nonce, 0);
	msg.nonce |= 0xff;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_nonce, 1);
	assert_int_equal(w.resolver.stats.replies, 0);
}

/* Used: asked for again at 3/4 of its life, of the owner alone; not used: forgotten. An older answer is none. */
static void test_refresh(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	learn(&msg);
	run_for(45 * US_PER_SEC - 1);
	lookup(80);
	assert_int_equal(w.sent_cnt, 2);
	run_for(1);
	assert_non_null(lookup(80)); /* answered meanwhile with what is known */
	assert_int_equal(w.sent_cnt, 3);
	assert_true(mac_addr_eq(&w.sent[2].eth_dst, &other_canonical));
	msg = reply(&w.sent[2], 9);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.bad_gen, 1);
	msg = reply(&w.sent[2], 10);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.resolver.stats.refreshed, 1);
	assert_int_equal(w.learned, 2); /* its end is another */
	prove(); /* the way as well */
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
		if (i == 0)
			prove();
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
	learn(&msg);
	/* another address of a later generation; not of an earlier one, not from somebody else */
	news.sender.port_lo = news.sender.port_hi = 80;
	news.sender_mac.bytes[5] = 1;
	news.sender.gen = 9;
	resolver_rx(&w.resolver, &news, w.now_us);
	news.sender.gen = 11;
	news.eth_src.bytes[5] ^= 4;
	resolver_rx(&w.resolver, &news, w.now_us);
	assert_true(mac_addr_eq(&lookup(80)->group->mac, &other_app));
	news.eth_src = other_canonical;
	learn(&news);
	assert_int_equal(lookup(80)->group->mac.bytes[5], 1);
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
	learn(&msg);
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
	learn(&msg);
	resolver_canonical_changed(&w.resolver, &msg.sender.addr);
	assert_non_null(lookup(80));
	w.neighbour.bytes[5] = 99;
	resolver_canonical_changed(&w.resolver, &msg.sender.addr);
	assert_int_equal(w.forgotten, 1);
	assert_null(lookup(80));
}

/* Nothing is sent to an address that nothing has come back from, however often it is named; and of that which was reached once likewise. */
static void test_blocked(void **state)
{
	struct parp_msg msg, said;
	unsigned int at = 1;
	uint64_t t;

	(void)state;
	msg = ask(80);
	t = w.now_us;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_null(lookup(80));
	/* somebody else's word, another's nonce, another address */
	said = defend();
	said.eth_src.bytes[5] ^= 1;
	resolver_rx(&w.resolver, &said, w.now_us);
	said = defend();
	said.nonce++;
	resolver_rx(&w.resolver, &said, w.now_us);
	said = defend();
	said.macs[0].bytes[5] ^= 1;
	resolver_rx(&w.resolver, &said, w.now_us);
	assert_null(lookup(80));
	run_for(700000);
	expect(&at, PARP_MAC_PROBE, t);
	expect(&at, PARP_MAC_PROBE, t + 100000);
	expect(&at, PARP_MAC_PROBE, t + 300000);
	assert_int_equal(w.learned, 0);
	assert_int_equal(w.resolver.stats.blocked, 1);
	assert_int_equal(resolver_find(&w.resolver, &msg.sender)->why, RESOLVER_BLOCKED);
	/* another port at the same address isn't tried before its time, and the canonical one is right */
	msg = ask(81);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_QUERY);
	assert_null(lookup(81));
	run_for(RESOLVER_NEG_US);
	msg = ask(80);
	resolver_rx(&w.resolver, &msg, w.now_us);
	prove();
	assert_non_null(lookup(80));
	/* 45 s later the port is answered for again, and the address is not: it is given up for all ports */
	run_for(45 * US_PER_SEC);
	lookup(80);
	msg = reply(&w.sent[w.sent_cnt - 1], 10);
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.sent[w.sent_cnt - 1].type, PARP_MAC_PROBE);
	assert_non_null(lookup(80));
	run_for(700000);
	assert_null(lookup(80));
	assert_int_equal(w.resolver.stats.blocked, 2);
}

/* Of the kernel's ports, a block at a time; until one of them is an application's. Who waits for an answer goes first. */
static void test_neg_of_a_block(void **state)
{
	struct parp_msg msg, announce;

	(void)state;
	msg = ask(32770);
	msg.type = PARP_NEG;
	msg.sender.port_lo = 32768;
	msg.sender.port_hi = 32799;
	resolver_rx(&w.resolver, &msg, w.now_us);
	w.sent_cnt = 0;
	for (uint16_t port = 32768; port < 32800; port++)
		assert_null(lookup(port));
	assert_int_equal(w.sent_cnt, 0);
	announce = msg;
	announce.type = PARP_ANNOUNCE;
	announce.sender.port_lo = announce.sender.port_hi = 32771;
	resolver_rx(&w.resolver, &announce, w.now_us);
	assert_int_equal(w.forgotten, 1);
	lookup(32771);
	assert_int_equal(w.sent_cnt, 1);
	for (uint16_t port = 1000; port < 2000; port++)
		lookup(port);
	msg.target.port_lo = 99;
	resolver_ask(&w.resolver, &msg.target, w.now_us);
	assert_int_equal(TAILQ_FIRST(&w.resolver.questions)->port, 99);
}

/* A proof is of an address, not of each port there. */
static void test_proved_once(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	learn(&msg);
	for (uint16_t port = 100; port < 120; port++) {
		msg = ask(port);
		resolver_rx(&w.resolver, &msg, w.now_us);
		assert_non_null(lookup(port));
	}
	assert_int_equal(w.resolver.stats.proofs, 1);
}

/* A host that doesn't speak is asked about one port, not about all; until it speaks. */
static void test_silent_host(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	run_for(700000);
	assert_int_equal(w.quiet, 1);
	w.sent_cnt = 0;
	for (uint16_t port = 1; port < 2000; port++)
		assert_null(lookup(port));
	assert_int_equal(w.sent_cnt, 0);
	assert_int_equal(w.resolver.used_cnt, 1);
	msg.type = PARP_ANNOUNCE;
	msg.eth_src.bytes[5] ^= 1;
	resolver_rx(&w.resolver, &msg, w.now_us); /* not its own word */
	assert_null(lookup(80));
	assert_int_equal(w.sent_cnt, 0);
	msg.eth_src = other_canonical;
	resolver_rx(&w.resolver, &msg, w.now_us);
	assert_int_equal(w.forgotten, 1);
	msg = ask(80);
	learn(&msg);
	assert_non_null(lookup(80));
	/* who has answered once is asked about each */
	lookup(81);
	run_for(700000);
	assert_int_equal(w.resolver.used_cnt, 2);
	w.sent_cnt = 0;
	lookup(82);
	assert_int_equal(w.sent_cnt, 1);
}

/* What is in use is asked for first, and has a share that nobody else gets. */
static void test_refresh_goes_first(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	learn(&msg);
	run_for(45 * US_PER_SEC);
	for (uint16_t port = 1000; port < 2000; port++)
		lookup(port);
	assert_int_equal(w.resolver.asking_cnt, RESOLVER_ASKING_NEW_MAX);
	w.sent_cnt = 0;
	assert_non_null(lookup(80));
	assert_int_equal(w.sent_cnt, 1);
	assert_ptr_equal(TAILQ_FIRST(&w.resolver.questions)->of_entry, lookup(80));
}

/* News of one application costs what it changes, and nobody else's entries are touched. */
static void test_release_of_one(void **state)
{
	struct parp_msg msg, release;

	(void)state;
	for (uint16_t port = 80; port < 90; port++) {
		msg = ask(port);
		msg.sender_mac.bytes[5] = (uint8_t)(port % 2);
		resolver_rx(&w.resolver, &msg, w.now_us);
		if (port < 82)
			prove();
	}
	release = msg;
	release.type = PARP_RELEASE;
	release.sender = owner_everything(&msg.sender.addr);
	resolver_rx(&w.resolver, &release, w.now_us);
	assert_int_equal(w.forgotten, 5);
	assert_int_equal(w.resolver.used_cnt, 5);
	for (uint16_t port = 80; port < 90; port += 2)
		assert_non_null(lookup(port));
}

/* Whoever sends to everything gets no more than so many questions and entries out of us; and what is used stays. */
static void test_bounded(void **state)
{
	struct parp_msg msg;

	(void)state;
	msg = ask(80);
	msg.lifetime_ms = RESOLVER_LIFE_MAX_MS;
	learn(&msg);
	for (uint16_t port = 1000; port < 9000; port++) {
		w.sent_cnt = 0;
		assert_null(lookup(port));
		assert_true(w.resolver.asking_cnt <= RESOLVER_ASKING_NEW_MAX);
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
		cmocka_unit_test_setup(test_ask_times, line_set_up),
		cmocka_unit_test_setup(test_reply_believed, line_set_up),
		cmocka_unit_test_setup(test_answer_to_another, line_set_up),
		cmocka_unit_test_setup(test_refresh, line_set_up),
		cmocka_unit_test_setup(test_lifetime_clamped, line_set_up),
		cmocka_unit_test_setup(test_news, line_set_up),
		cmocka_unit_test_setup(test_blocks, line_set_up),
		cmocka_unit_test_setup(test_canonical_changes, line_set_up),
		cmocka_unit_test_setup(test_blocked, line_set_up),
		cmocka_unit_test_setup(test_neg_of_a_block, line_set_up),
		cmocka_unit_test_setup(test_proved_once, line_set_up),
		cmocka_unit_test_setup(test_silent_host, line_set_up),
		cmocka_unit_test_setup(test_refresh_goes_first, line_set_up),
		cmocka_unit_test_setup(test_release_of_one, line_set_up),
		cmocka_unit_test_setup(test_bounded, line_set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
