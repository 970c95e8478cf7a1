// SPDX-License-Identifier: BSD-2-Clause
/*
 * lan_line.h - one host of docs/parp.md, for tests line by line: times are exact, and the "random" numbers are all 0 unless a test sets
 * others, so jitter is none
 */
#ifndef VJ_TESTS_SIM_LAN_LINE_H
#define VJ_TESTS_SIM_LAN_LINE_H

#include "tests/unit/wire_test.h"

#include "lan/owner.h"
#include "lan/resolver.h"
#include "wire/ip.h"

enum { SLOTS = 16, ENTRIES = 160, SENT_MAX = 512 };

static const struct mac_addr canonical = { { 0x52, 0x54, 0, 0, 0, 1 } };
static const struct mac_addr other_canonical = { { 0x52, 0x54, 0, 0, 0, 2 } };
static const struct mac_addr other_app = { { 0xc2, 9, 9, 9, 9, 9 } };

/* The host under test, and what it did. */
extern struct world {
	struct lan_host lan;
	struct claims claims;
	struct owner owner;
	struct resolver resolver;
	struct claim_slot slots[SLOTS];
	uint32_t buckets[SLOTS];
	_Alignas(16) uint8_t book[ENTRIES * 512];
	uint64_t now_us, random, random_step;
	struct parp_msg sent[SENT_MAX];
	uint64_t sent_us[SENT_MAX];
	unsigned int sent_cnt, claimed, lost, ended, defended, learned, quiet, forgotten;
	struct mac_addr last;
	enum owner_has has;
	bool shared;
	struct owner_range range;
	bool neighbour_known;
	struct mac_addr neighbour;
} w;

/** line_set_up() - For cmocka, before each test */
int line_set_up(void **state);

/** run_for() - As an event loop does it: woken when it has asked to be */
void run_for(uint64_t us);

/** expect() - The next thing said that has not been looked at yet is of @type, and was said at @us */
const struct parp_msg *expect(unsigned int *at, uint8_t type, uint64_t us);

/** query() - Somebody's question about TCP @port */
struct parp_msg query(uint16_t port);

#endif
