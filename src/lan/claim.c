// SPDX-License-Identifier: BSD-2-Clause
#include "lan/claim.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

enum {
	DRAWS = 64,	 /* tries for an address that we don't have ourselves */
	POOL_EXTRA = 32, /* kept of what comes back */
};

#define EXHAUSTED_US US_PER_SEC /* without one: until the pool is filled again */

const struct claim_timing claim_timing_rfc = { 1000000, 1000000, 2000000, 2000000, 2000000 };
const struct claim_timing claim_timing_fast = { 50000, 50000, 100000, 100000, 100000 };

/* ---- slots */

static uint32_t *bucket_of(const struct claims *c, const struct mac_addr *mac)
{
	uint64_t h = ((uint64_t)load_u32(mac->bytes) << 16 | load_u16(mac->bytes + 4)) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->buckets[(h >> 32) % c->slot_cnt];
}

static struct claim_slot *find_mac(const struct claims *c, const struct mac_addr *mac)
{
	for (uint32_t i = *bucket_of(c, mac); i != CLAIM_NONE; i = c->slots[i].next)
		if (mac_addr_eq(&c->slots[i].mac, mac))
			return &c->slots[i];
	return NULL;
}

static struct claim_slot *find_owner(const struct claims *c, uint32_t owner)
{
	for (uint32_t i = 0; i < c->slot_cnt; i++)
		if (c->slots[i].state != CLAIM_FREE && c->slots[i].state != CLAIM_QUARANTINE && c->slots[i].owner == owner)
			return &c->slots[i];
	return NULL;
}

static void hash_in(struct claims *c, struct claim_slot *s)
{
	uint32_t *head = bucket_of(c, &s->mac);

	s->next = *head;
	*head = (uint32_t)(s - c->slots);
}

static void hash_out(struct claims *c, struct claim_slot *s)
{
	uint32_t *at = bucket_of(c, &s->mac), nr = (uint32_t)(s - c->slots);

	while (*at != nr)
		at = &c->slots[*at].next;
	*at = s->next;
}

static bool is_pool(const struct claim_slot *s)
{
	return s->owner == 0 && s->state != CLAIM_FREE && s->state != CLAIM_QUARANTINE;
}

static void set_state(struct claims *c, struct claim_slot *s, enum claim_state state, uint64_t now_us)
{
	c->pool_cnt -= is_pool(s);
	c->cnt[s->state]--;
	s->state = (uint8_t)state;
	s->sent = 0;
	s->since_us = now_us;
	c->cnt[state]++;
	c->pool_cnt += is_pool(s);
}

static void set_owner(struct claims *c, struct claim_slot *s, uint32_t owner)
{
	c->pool_cnt -= is_pool(s);
	s->owner = owner;
	c->pool_cnt += is_pool(s);
}

static void set_due(struct claims *c, struct claim_slot *s, uint64_t due_us)
{
	s->due_us = due_us;
	c->due_us = min_u64(c->due_us, due_us);
}

static struct claim_slot *slot_get(struct claims *c)
{
	struct claim_slot *s;

	if (c->free == CLAIM_NONE)
		return NULL;
	s = &c->slots[c->free];
	c->free = s->next;
	return s;
}

static bool was_ours(const struct claim_slot *s)
{
	return s->state == CLAIM_CLAIMED || s->state == CLAIM_QUARANTINE;
}

static void slot_put(struct claims *c, struct claim_slot *s, uint64_t now_us)
{
	struct mac_addr mac = s->mac;
	bool tell = was_ours(s);

	hash_out(c, s);
	set_state(c, s, CLAIM_FREE, now_us);
	s->due_us = TIME_NEVER;
	s->owner = 0;
	s->objections = 0;
	s->next = c->free;
	c->free = (uint32_t)(s - c->slots);
	if (tell)
		c->ops->ended(c->arg, &mac);
}

/* ---- drawing */

static struct mac_addr draw(const struct claims *c)
{
	uint64_t bits = c->host->ops->random(c->host->arg) & ((UINT64_C(1) << c->mac_bits) - 1);
	struct mac_addr mac = { { (uint8_t)(bits >> 40 << 4 | 2) } };

	for (unsigned i = 1; i < sizeof(mac.bytes); i++)
		mac.bytes[i] = (uint8_t)(bits >> (8 * (5 - i)));
	return mac;
}

/* Return: false: we have all that we drew */
static bool draw_new(const struct claims *c, struct mac_addr *ret)
{
	for (unsigned i = 0; i < DRAWS; i++) {
		struct mac_addr mac = draw(c);

		if (find_mac(c, &mac) == NULL && !mac_addr_eq(&mac, &c->host->canonical)) {
			*ret = mac;
			return true;
		}
	}
	return false;
}

static uint64_t first_probe_us(const struct claims *c, uint64_t now_us)
{
	return now_us + lan_jitter(c->host, c->timing->probe_wait_us);
}

/* In @s, which is in no hash chain. Return: false: nothing is left to draw */
static bool begin(struct claims *c, struct claim_slot *s, uint64_t first_us, uint64_t now_us)
{

	if (!draw_new(c, &s->mac)) {
		c->exhausted_us = now_us + EXHAUSTED_US;
		return false;
	}
	/* RFC 5227 2.1.1: whoever meets nothing but objections must not flood the LAN with probes */
	if (s->objections >= CLAIM_MAX_CONFLICTS) {
		first_us += CLAIM_RATE_LIMIT_US;
		c->stats.limited++;
	}
	hash_in(c, s);
	set_state(c, s, CLAIM_WAIT, now_us);
	s->number = ++c->last_number;
	s->given_us = s->defended_us = 0;
	set_due(c, s, first_us);
	return true;
}

/* Somebody else's: another address in its place. */
static void draw_again(struct claims *c, struct claim_slot *s, uint64_t now_us)
{
	struct mac_addr mac = s->mac;
	bool tell = was_ours(s);

	if (s->objections < CLAIM_MAX_CONFLICTS)
		s->objections++;
	hash_out(c, s);
	if (!begin(c, s, first_probe_us(c, now_us), now_us)) {
		/* all of them are ours: forgotten, to be asked for again */
		hash_in(c, s);
		slot_put(c, s, now_us);
		return;
	}
	if (tell)
		c->ops->ended(c->arg, &mac);
}

/* All at the same time, so that all are named in one message. */
static void fill_pool(struct claims *c, uint64_t now_us)
{
	uint64_t first_us = c->pool_cnt < c->pool_want ? first_probe_us(c, now_us) : 0;

	while (c->pool_cnt < c->pool_want && now_us >= c->exhausted_us) {
		struct claim_slot *s = slot_get(c);

		if (s == NULL)
			return;
		s->owner = 0;
		if (!begin(c, s, first_us, now_us)) {
			s->next = c->free;
			c->free = (uint32_t)(s - c->slots);
			return;
		}
	}
}

/* ---- saying */

static struct parp_msg message(const struct claims *c, uint8_t type)
{
	struct parp_msg msg = {
		.eth_dst = lan_broadcast(),
		.encoding = c->host->encoding,
		.type = type,
		.sender_mac = c->host->canonical,
		.sender = { .addr = ip_addr_any_v4(), .gen = c->host->gen },
		.target = { .addr = ip_addr_any_v4() },
	};

	if (type == PARP_MAC_PROBE) {
		msg.has = PARP_HAS_NONCE;
		msg.nonce = lan_nonce(c->host, LAN_ASKER_CLAIMS);
	}
	return msg;
}

/* Sent together by all that wait for it, as far as they fit; or not at all yet. */
static bool say_due(struct claims *c, enum claim_state state, uint8_t type, uint64_t now_us)
{
	uint64_t apart_us = c->timing->probe_min_us;
	struct parp_msg msg;

	if (!lan_limit_take(&c->host->own, now_us))
		return false;
	msg = message(c, type);
	/* one pause for all: what was said together stays together */
	apart_us += lan_jitter(c->host, c->timing->probe_max_us - c->timing->probe_min_us);
	for (uint32_t i = 0; i < c->slot_cnt && msg.mac_cnt < PARP_MACS_MAX; i++) {
		struct claim_slot *s = &c->slots[i];

		if (s->state != state || s->due_us > now_us)
			continue;
		msg.macs[msg.mac_cnt++] = s->mac;
		s->sent++;
		if (state == CLAIM_PROBE)
			s->due_us = now_us + apart_us;
		else
			s->due_us = now_us + c->timing->announce_interval_us;
		if (state == CLAIM_PROBE && s->sent == CLAIM_PROBE_NUM)
			s->due_us = now_us + c->timing->announce_wait_us;
		if (state == CLAIM_CLAIMED && s->sent == CLAIM_ANNOUNCE_NUM)
			s->due_us = TIME_NEVER;
	}
	lan_send(c->host, &msg);
	return true;
}

/* All that are ours, from slot @again_at on. */
static bool say_again(struct claims *c, uint64_t now_us)
{
	struct parp_msg msg;
	uint32_t i;

	if (!lan_limit_take(&c->host->own, now_us))
		return false;
	msg = message(c, PARP_MAC_CLAIM);
	for (i = c->again_at; i < c->slot_cnt && msg.mac_cnt < PARP_MACS_MAX; i++)
		if (c->slots[i].state == CLAIM_CLAIMED)
			msg.macs[msg.mac_cnt++] = c->slots[i].mac;
	if (msg.mac_cnt > 0)
		lan_send(c->host, &msg);
	c->again_at = i < c->slot_cnt ? i : 0;
	return true;
}

static void announce_all(struct claims *c, uint64_t now_us)
{
	if (now_us < c->again_us)
		return;
	do {
		if (c->cnt[CLAIM_CLAIMED] > 0 && !say_again(c, now_us))
			return;
	} while (c->again_at != 0);
	c->again_us = now_us + CLAIM_AGAIN_US + lan_jitter(c->host, CLAIM_AGAIN_JITTER_US);
}

/* ---- time */

/* What needs no message. Return: state of those that wait for one; CLAIM_FREE: none */
static enum claim_state step(struct claims *c, struct claim_slot *s, uint64_t now_us)
{
	uint64_t due_us = s->due_us;

	if (s->due_us > now_us)
		return CLAIM_FREE;
	switch ((enum claim_state)s->state) {
	case CLAIM_WAIT:
		set_state(c, s, CLAIM_PROBE, now_us);
		s->due_us = due_us;
		return CLAIM_PROBE;
	case CLAIM_PROBE:
		if (s->sent < CLAIM_PROBE_NUM)
			return CLAIM_PROBE;
		set_state(c, s, CLAIM_CLAIMED, now_us);
		s->objections = 0;
		c->stats.claims++;
		if (s->owner != 0)
			c->ops->claimed(c->arg, s->owner, &s->mac);
		return CLAIM_CLAIMED;
	case CLAIM_CLAIMED:
		return CLAIM_CLAIMED;
	case CLAIM_QUARANTINE:
		slot_put(c, s, now_us);
		return CLAIM_FREE;
	default:
		return CLAIM_FREE;
	}
}

static uint64_t next_due(const struct claims *c)
{
	uint64_t due_us = c->cnt[CLAIM_CLAIMED] > 0 ? c->again_us : TIME_NEVER;

	for (uint32_t i = 0; i < c->slot_cnt; i++)
		due_us = min_u64(due_us, c->slots[i].state != CLAIM_FREE ? c->slots[i].due_us : TIME_NEVER);
	return due_us;
}

void claims_run(struct claims *c, uint64_t now_us)
{
	bool waiting[CLAIM_STATE_CNT];
	bool limited = false;

	fill_pool(c, now_us);
	if (now_us < claims_deadline_us(c))
		return;
	do {
		memset(waiting, 0, sizeof(waiting));
		for (uint32_t i = 0; i < c->slot_cnt; i++)
			waiting[step(c, &c->slots[i], now_us)] = true;
		/* who has an address tells it before others ask for one */
		if (waiting[CLAIM_CLAIMED])
			limited = !say_due(c, CLAIM_CLAIMED, PARP_MAC_CLAIM, now_us);
		else if (waiting[CLAIM_PROBE])
			limited = !say_due(c, CLAIM_PROBE, PARP_MAC_PROBE, now_us);
	} while (!limited && (waiting[CLAIM_CLAIMED] || waiting[CLAIM_PROBE]));
	if (!limited)
		announce_all(c, now_us);
	fill_pool(c, now_us);
	c->due_us = next_due(c);
}

uint64_t claims_deadline_us(const struct claims *c)
{
	uint64_t pool_us = c->pool_cnt < c->pool_want && c->free != CLAIM_NONE ? c->exhausted_us : TIME_NEVER;

	/* only saying something is limited, but there is hardly anything else */
	return min_u64(pool_us, max_u64(c->due_us, lan_limit_at(&c->host->own)));
}

/* ---- what others say */

static bool we_yield(const struct claims *c, const struct parp_msg *msg)
{
	if (msg->sender.gen != c->host->gen)
		return c->host->gen < msg->sender.gen;
	return parp_host_id_less(&msg->host, &c->host->id);
}

static void objection(struct claims *c, struct claim_slot *s, uint64_t now_us)
{
	c->stats.objections++;
	draw_again(c, s, now_us);
}

/* Return: it is to be defended against all */
static bool conflict(struct claims *c, struct claim_slot *s, const struct parp_msg *msg, uint64_t now_us)
{
	struct mac_addr mac = s->mac;
	uint32_t owner = s->owner;

	if (s->state == CLAIM_QUARANTINE) {
		slot_put(c, s, now_us);
		return false;
	}
	if (!we_yield(c, msg)) {
		c->stats.conflicts_won++;
		if (s->defended_us != 0 && now_us - s->defended_us < CLAIM_DEFEND_US)
			return false;
		s->defended_us = now_us;
		c->ops->defended(c->arg, &mac);
		return true;
	}
	c->stats.conflicts_lost++;
	if (owner != 0)
		c->ops->lost(c->arg, owner, &mac);
	draw_again(c, s, now_us);
	return false;
}

/* One of the addresses of a message. Return: say that it is ours */
static bool heard(struct claims *c, struct claim_slot *s, const struct parp_msg *msg, uint64_t now_us)
{
	bool claiming = s->state == CLAIM_WAIT || s->state == CLAIM_PROBE;

	if (msg->type == PARP_MAC_PROBE) {
		if (!claiming)
			return true;
		if (parp_host_id_less(&msg->host, &c->host->id))
			objection(c, s, now_us);
		return false;
	}
	if (!claiming)
		return conflict(c, s, msg, now_us);
	objection(c, s, now_us);
	return false;
}

void claims_rx(struct claims *c, const struct parp_msg *msg, uint64_t now_us)
{
	struct parp_msg answer;

	if (!parp_is_about_macs(msg->type) || parp_host_id_eq(&msg->host, &c->host->id))
		return;
	answer = message(c, PARP_MAC_DEFEND);
	for (unsigned i = 0; i < msg->mac_cnt; i++) {
		struct claim_slot *s = find_mac(c, &msg->macs[i]);

		if (s != NULL && heard(c, s, msg, now_us))
			answer.macs[answer.mac_cnt++] = msg->macs[i];
	}
	if (answer.mac_cnt == 0 || !lan_limit_take(&c->host->answers, now_us))
		return;
	if (msg->type == PARP_MAC_PROBE) {
		answer.eth_dst = answer.target_mac = msg->eth_src;
		answer.encoding = msg->encoding;
		answer.has = PARP_HAS_NONCE;
		answer.nonce = msg->nonce;
	}
	c->stats.defended++;
	lan_send(c->host, &answer);
}

/* ---- owners */

/* The one of the pool that is nearest to being claimed. */
static struct claim_slot *best_of_pool(const struct claims *c)
{
	struct claim_slot *best = NULL;

	for (uint32_t i = 0; i < c->slot_cnt; i++) {
		struct claim_slot *s = &c->slots[i];

		if (is_pool(s) && (best == NULL || s->state > best->state || (s->state == best->state && s->sent > best->sent)))
			best = s;
	}
	return best;
}

int claims_take(struct claims *c, uint32_t owner, uint64_t now_us)
{
	struct claim_slot *s;

	VJ_ASSERT(owner != 0);
	if (find_owner(c, owner) != NULL)
		return -EEXIST;
	s = best_of_pool(c);
	if (s != NULL) {
		set_owner(c, s, owner);
		if (s->state == CLAIM_CLAIMED)
			c->ops->claimed(c->arg, owner, &s->mac);
		return 0;
	}
	s = slot_get(c);
	if (s == NULL)
		return -ENOSPC;
	s->owner = owner;
	if (begin(c, s, first_probe_us(c, now_us), now_us))
		return 0;
	s->owner = 0;
	s->next = c->free;
	c->free = (uint32_t)(s - c->slots);
	return -ENOSPC;
}

int claims_release(struct claims *c, uint32_t owner, uint64_t now_us)
{
	struct claim_slot *s = find_owner(c, owner);

	if (s == NULL)
		return -ENOENT;
	if (s->state != CLAIM_CLAIMED) {
		/* nobody has heard of it as ours: it may go on for the next one */
		set_owner(c, s, 0);
		return 0;
	}
	if (s->given_us > now_us) {
		set_state(c, s, CLAIM_QUARANTINE, now_us);
		set_due(c, s, max_u64(now_us + c->quarantine_us, s->given_us));
	} else if (c->pool_cnt < c->pool_want + POOL_EXTRA) {
		/* nobody has been told of it: the next one may have it at once */
		set_owner(c, s, 0);
	} else {
		slot_put(c, s, now_us);
	}
	return 0;
}

int claims_adopt(struct claims *c, uint32_t owner, const struct mac_addr *mac, uint64_t now_us)
{
	struct claim_slot *s;

	if (find_mac(c, mac) != NULL || (owner != 0 && find_owner(c, owner) != NULL))
		return -EEXIST;
	s = slot_get(c);
	if (s == NULL)
		return -ENOSPC;
	s->mac = *mac;
	s->owner = owner;
	s->number = ++c->last_number;
	s->defended_us = 0;
	/* what an earlier one has told others is not known: as if it had been said now */
	s->given_us = now_us + c->quarantine_us;
	hash_in(c, s);
	set_state(c, s, owner != 0 ? CLAIM_CLAIMED : CLAIM_QUARANTINE, now_us);
	set_due(c, s, owner != 0 ? now_us : s->given_us);
	return 0;
}

const struct claim_slot *claims_find(const struct claims *c, uint32_t owner)
{
	const struct claim_slot *s = find_owner(c, owner);

	return s != NULL && s->state == CLAIM_CLAIMED ? s : NULL;
}

const struct claim_slot *claims_by_mac(const struct claims *c, const struct mac_addr *mac)
{
	return find_mac(c, mac);
}

void claims_given(struct claims *c, const struct mac_addr *mac, uint64_t until_us)
{
	struct claim_slot *s = find_mac(c, mac);

	if (s != NULL)
		s->given_us = max_u64(s->given_us, until_us);
}

void claims_init(struct claims *c, struct claim_slot *slots, uint32_t *buckets, uint32_t slot_cnt, uint64_t now_us)
{
	VJ_ASSERT(slot_cnt > 0 && c->mac_bits >= 1 && c->mac_bits <= CLAIM_MAC_BITS);
	c->slots = slots;
	c->buckets = buckets;
	c->slot_cnt = slot_cnt;
	c->free = 0;
	memset(c->cnt, 0, sizeof(c->cnt));
	c->cnt[CLAIM_FREE] = slot_cnt;
	c->pool_cnt = c->again_at = 0;
	c->exhausted_us = 0;
	c->again_us = now_us + CLAIM_AGAIN_US;
	c->due_us = TIME_NEVER;
	c->last_number = 0;
	c->stats = (struct claim_stats){ .claims = 0 };
	for (uint32_t i = 0; i < slot_cnt; i++) {
		buckets[i] = CLAIM_NONE;
		slots[i] = (struct claim_slot){ .next = i + 1 < slot_cnt ? i + 1 : CLAIM_NONE, .due_us = TIME_NEVER };
	}
}
