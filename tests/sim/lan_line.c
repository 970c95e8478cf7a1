// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/lan_line.h"

struct world w;

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

static void on_defended(void *arg, const struct mac_addr *mac)
{
	(void)arg;
	w.defended++;
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

static bool on_shared(void *arg, const struct parp_endpoint *asked)
{
	(void)arg;
	(void)asked;
	return w.shared;
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

static void on_quiet(void *arg, const struct resolver_entry *e)
{
	(void)arg;
	(void)e;
	w.quiet++;
}

static void on_forgotten(void *arg, const struct resolver_entry *e)
{
	(void)arg;
	(void)e;
	w.forgotten++;
}

static const struct lan_ops lan_ops = { on_send, on_random };
static const struct claim_ops claim_ops = { on_claimed, on_lost, on_ended, on_defended };
static const struct owner_ops owner_ops = { on_find, on_shared };
static const struct resolver_ops resolver_ops = { on_neighbour, on_learned, on_quiet, on_forgotten };

int line_set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_us = 1000000;
	w.lan = (struct lan_host){ .ops = &lan_ops, .canonical = canonical, .gen = 5 << 16, .encoding = PARP_E1,
				   .asker = LAN_ASKER_CHANNELS };
	memset(w.lan.id.bytes, 0x80, sizeof(w.lan.id.bytes));
	lan_host_init(&w.lan, 0);
	w.claims = (struct claims){ .host = &w.lan, .ops = &claim_ops, .timing = &claim_timing_fast,
				    .mac_bits = CLAIM_MAC_BITS, .quarantine_us = 10 * US_PER_SEC };
	claims_init(&w.claims, w.slots, w.buckets, SLOTS, w.now_us);
	w.owner = (struct owner){ .host = &w.lan, .claims = &w.claims, .ops = &owner_ops, .lifetime_ms = 60000 };
	owner_init(&w.owner);
	w.resolver = (struct resolver){ .host = &w.lan, .ops = &resolver_ops };
	assert_true(resolver_bytes(ENTRIES) <= sizeof(w.book));
	resolver_init(&w.resolver, w.book, ENTRIES);
	w.neighbour_known = true;
	w.neighbour = other_canonical;
	w.random_step = 0;
	return 0;
}

void run_for(uint64_t us)
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

const struct parp_msg *expect(unsigned int *at, uint8_t type, uint64_t us)
{
	assert_true(*at < w.sent_cnt);
	assert_int_equal(w.sent[*at].type, type);
	assert_int_equal(w.sent_us[*at], us);
	assert_true(mac_addr_eq(&w.sent[*at].eth_src, &canonical));
	return &w.sent[(*at)++];
}

struct parp_msg query(uint16_t port)
{
	struct parp_msg msg = {
		.eth_src = other_canonical, .type = PARP_QUERY, .encoding = PARP_E2, .sender_mac = other_canonical,
		.target = { ip_addr_from_v4(be32(0x0a000001)), port, port, IP_PROTO_TCP, 0 },
		.has = PARP_HAS_NONCE, .nonce = 42,
	};

	return msg;
}
