// SPDX-License-Identifier: BSD-2-Clause
#include "lan/resolver.h"

#include "base/assert.h"
#include "base/seq.h"
#include "lan/nd.h"

/* ---- the heap of those that end, soonest first: Williams 1964 */

static void heap_set(struct resolver *r, uint32_t at, struct resolver_entry *e)
{
	r->heap[at - 1] = e;
	e->heap_at = at;
}

static void heap_move(struct resolver *r, struct resolver_entry *e, uint32_t at)
{
	while (at > 1 && r->heap[at / 2 - 1]->until_us > e->until_us) {
		heap_set(r, at, r->heap[at / 2 - 1]);
		at /= 2;
	}
	for (;;) {
		uint32_t child = at * 2;

		if (child < r->heap_cnt && r->heap[child]->until_us < r->heap[child - 1]->until_us)
			child++;
		if (child > r->heap_cnt || r->heap[child - 1]->until_us >= e->until_us)
			break;
		heap_set(r, at, r->heap[child - 1]);
		at = child;
	}
	heap_set(r, at, e);
}

static void heap_remove(struct resolver *r, struct resolver_entry *e)
{
	uint32_t at = e->heap_at;
	struct resolver_entry *last;

	if (at == 0)
		return;
	last = r->heap[--r->heap_cnt];
	e->heap_at = 0;
	if (last != e)
		heap_move(r, last, at);
}

static void set_until(struct resolver *r, struct resolver_entry *e, uint64_t until_us)
{
	heap_remove(r, e);
	e->until_us = until_us;
	if (until_us != TIME_NEVER)
		heap_move(r, e, ++r->heap_cnt);
}

/* ---- entries */

static struct resolver_entry **bucket_of(const struct resolver *r, const struct resolver_key *key)
{
	uint64_t h = (load_u64(key->addr.bytes) ^ load_u64(key->addr.bytes + 8) * 31) + (uint64_t)key->port * 65537 +
		     (uint64_t)key->proto * 257 + key->block;

	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 29;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return &r->buckets[(h >> 32) % r->entry_cnt];
}

static bool key_eq(const struct resolver_key *a, const struct resolver_key *b)
{
	return ip_addr_eq(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto && a->block == b->block;
}

static struct resolver_entry *find_key(const struct resolver *r, const struct resolver_key *key)
{
	struct resolver_entry *e;

	for (e = *bucket_of(r, key); e != NULL; e = e->next)
		if (key_eq(&e->key, key))
			return e;
	return NULL;
}

static struct resolver_key key_of(const struct parp_endpoint *ep, bool block)
{
	uint16_t port = block ? ep->port_lo & (uint16_t)~(RESOLVER_BLOCK - 1) : ep->port_lo;

	return (struct resolver_key){ .addr = ep->addr, .port = port, .proto = ep->proto, .block = block };
}

/* The one port goes before the block. */
static struct resolver_entry *find(const struct resolver *r, const struct parp_endpoint *ep)
{
	struct resolver_key one = key_of(ep, false), block = key_of(ep, true);
	struct resolver_entry *e = find_key(r, &one);

	return e != NULL ? e : find_key(r, &block);
}

const struct resolver_entry *resolver_find(const struct resolver *r, const struct parp_endpoint *ep)
{
	return find(r, ep);
}

static void hash_in(struct resolver *r, struct resolver_entry *e)
{
	struct resolver_entry **head = bucket_of(r, &e->key);

	e->next = *head;
	*head = e;
}

static void hash_out(struct resolver *r, struct resolver_entry *e)
{
	struct resolver_entry **at = bucket_of(r, &e->key);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
}

static void question_end(struct resolver *r, struct resolver_entry *e)
{
	if (!e->asking)
		return;
	e->asking = false;
	TAILQ_REMOVE(&r->questions, e, by_question);
	r->asking_cnt--;
}

static void invalid(struct resolver *r, struct resolver_entry *e)
{
	if (e->state == RESOLVER_VALID)
		r->ops->forgotten(r->arg, e);
}

static void entry_put(struct resolver *r, struct resolver_entry *e)
{
	invalid(r, e);
	question_end(r, e);
	set_until(r, e, TIME_NEVER);
	hash_out(r, e);
	TAILQ_REMOVE(&r->by_use, e, by_use);
	e->state = RESOLVER_FREE;
	TAILQ_INSERT_HEAD(&r->free, e, by_use);
	r->used_cnt--;
}

static struct resolver_entry *entry_get(struct resolver *r, const struct resolver_key *key)
{
	struct resolver_entry *e = TAILQ_FIRST(&r->free);

	if (e == NULL) {
		entry_put(r, TAILQ_FIRST(&r->by_use));
		r->stats.evicted++;
		e = TAILQ_FIRST(&r->free);
	}
	TAILQ_REMOVE(&r->free, e, by_use);
	*e = (struct resolver_entry){ .key = *key, .state = RESOLVER_ASKING, .until_us = TIME_NEVER };
	hash_in(r, e);
	TAILQ_INSERT_TAIL(&r->by_use, e, by_use);
	r->used_cnt++;
	return e;
}

static void touch(struct resolver *r, struct resolver_entry *e, uint64_t now_us)
{
	e->used = true;
	e->used_us = now_us;
	TAILQ_REMOVE(&r->by_use, e, by_use);
	TAILQ_INSERT_TAIL(&r->by_use, e, by_use);
}

/* ---- asking */

static void ask(struct resolver *r, struct resolver_entry *e, uint64_t now_us)
{
	struct parp_msg msg = {
		.eth_dst = lan_broadcast(),
		.encoding = r->host->encoding,
		.type = PARP_QUERY,
		.sender_mac = r->host->canonical,
		.sender.addr = ip_addr_any_v4(),
		.target = { e->key.addr, e->asked_port, e->asked_port, e->key.proto, 0 },
		.has = PARP_HAS_NONCE,
		.nonce = e->nonce,
	};

	if (!lan_limit_take(&r->host->own, now_us)) {
		e->retry_us = max_u64(lan_limit_at(&r->host->own), now_us + RESOLVER_TRY_US);
		return;
	}
	e->retry_us = now_us + (RESOLVER_TRY_US << e->tries);
	e->tries++;
	if (!lan_nd_address(r->host, &msg, &e->key.addr, false))
		return;
	if (e->state == RESOLVER_VALID && e->tries == 1)
		msg.eth_dst = e->canonical;
	r->stats.queries++;
	lan_send(r->host, &msg);
}

static bool question_begin(struct resolver *r, struct resolver_entry *e, uint16_t port, uint64_t now_us)
{
	if (e->asking)
		return true;
	if (r->asking_cnt >= RESOLVER_ASKING_MAX) {
		r->stats.refused++;
		return false;
	}
	e->asking = true;
	e->tries = 0;
	e->asked_port = port;
	e->nonce = r->host->ops->random(r->host->arg);
	TAILQ_INSERT_TAIL(&r->questions, e, by_question);
	r->asking_cnt++;
	ask(r, e, now_us);
	return true;
}

/* VALID, and 3/4 of its life are over. */
static bool is_ageing(const struct resolver_entry *e, uint64_t now_us)
{
	return now_us >= e->until_us - (e->until_us - e->learned_us) / 4;
}

const struct resolver_entry *resolver_lookup(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us)
{
	struct resolver_entry *e = find(r, ep);

	if (e == NULL) {
		struct resolver_key key = key_of(ep, false);

		if (r->asking_cnt >= RESOLVER_ASKING_MAX) {
			r->stats.refused++;
			return NULL;
		}
		e = entry_get(r, &key);
	}
	touch(r, e, now_us);
	if (e->state == RESOLVER_VALID && now_us < e->until_us) {
		if (is_ageing(e, now_us))
			question_begin(r, e, ep->port_lo, now_us);
		return e;
	}
	if (e->state != RESOLVER_NEG || now_us >= e->quiet_us)
		question_begin(r, e, ep->port_lo, now_us);
	return NULL;
}

/* ---- what others say */

static void become_neg(struct resolver *r, struct resolver_entry *e, uint64_t life_us, uint64_t now_us)
{
	uint64_t pause_us = min_u64(RESOLVER_NEG_US << min_u32(e->silent, 8), RESOLVER_NEG_MAX_US);

	invalid(r, e);
	question_end(r, e);
	e->state = RESOLVER_NEG;
	e->refused = false;
	if (e->silent < UINT8_MAX)
		e->silent++;
	/* remembered for as long again, so that the next pause is longer */
	pause_us = max_u64(pause_us, life_us);
	e->quiet_us = now_us + pause_us;
	set_until(r, e, now_us + 2 * pause_us);
}

static void become_valid(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg, uint64_t now_us)
{
	uint32_t life_ms = min_u32(max_u32(msg->lifetime_ms, RESOLVER_LIFE_MIN_MS), RESOLVER_LIFE_MAX_MS);
	bool same = e->state == RESOLVER_VALID && mac_addr_eq(&e->mac, &msg->sender_mac);

	if (!same)
		invalid(r, e);
	question_end(r, e);
	e->state = RESOLVER_VALID;
	e->mac = msg->sender_mac;
	e->canonical = msg->eth_src;
	e->gen = msg->sender.gen;
	e->silent = 0;
	e->used = false;
	e->learned_us = now_us;
	set_until(r, e, now_us + life_ms * US_PER_MS);
	if (same)
		r->stats.refreshed++;
	else
		r->ops->learned(r->arg, e);
}

/* The answer covers the whole block of the port: it is better known by that. */
static struct resolver_entry *widen(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg)
{
	struct parp_endpoint ep = { e->key.addr, e->asked_port, e->asked_port, e->key.proto, 0 };
	struct resolver_key block = key_of(&ep, true);
	struct resolver_entry *known;

	if (e->key.block || msg->sender.port_lo > block.port || msg->sender.port_hi < block.port + RESOLVER_BLOCK - 1)
		return e;
	known = find_key(r, &block);
	if (known != NULL) {
		entry_put(r, e);
		return known;
	}
	invalid(r, e);
	if (e->state == RESOLVER_VALID)
		e->state = RESOLVER_ASKING;
	hash_out(r, e);
	e->key = block;
	hash_in(r, e);
	return e;
}

/* And the other way round: the block was divided. */
static bool still_covers(const struct resolver_entry *e, const struct parp_msg *msg)
{
	uint32_t last = e->key.port + (e->key.block ? RESOLVER_BLOCK - 1u : 0u);

	return msg->sender.port_lo <= e->key.port && msg->sender.port_hi >= last;
}

/* R4. */
static bool vouched(const struct resolver *r, const struct parp_msg *msg)
{
	struct mac_addr canonical;

	return r->ops->neighbour(r->arg, &msg->sender.addr, &canonical) && mac_addr_eq(&canonical, &msg->eth_src);
}

static struct resolver_entry *by_nonce(const struct resolver *r, const struct parp_msg *msg)
{
	struct resolver_entry *e;

	TAILQ_FOREACH (e, &r->questions, by_question)
		if (e->nonce == msg->nonce)
			return e;
	return NULL;
}

static void rx_answer(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	struct resolver_entry *e = by_nonce(r, msg);

	if (e == NULL) {
		r->stats.bad_nonce++;
		return;
	}
	if (!ip_addr_eq(&e->key.addr, &msg->sender.addr) || e->key.proto != msg->sender.proto ||
	    e->asked_port < msg->sender.port_lo || e->asked_port > msg->sender.port_hi) {
		r->stats.bad_range++;
		return;
	}
	if (!vouched(r, msg)) {
		r->stats.bad_source++;
		return;
	}
	if (msg->type == PARP_NEG) {
		r->stats.negs++;
		become_neg(r, e, min_u32(msg->lifetime_ms, RESOLVER_LIFE_MAX_MS) * US_PER_MS, now_us);
		e->refused = true;
		return;
	}
	if (e->state == RESOLVER_VALID && seq_lt(msg->sender.gen, e->gen)) {
		r->stats.bad_gen++;
		return;
	}
	r->stats.replies++;
	if (e->key.block && !still_covers(e, msg)) {
		/* each port of it is asked for again, when it is used */
		entry_put(r, e);
		return;
	}
	become_valid(r, widen(r, e, msg), msg, now_us);
}

static bool is_about(const struct resolver_entry *e, const struct parp_msg *msg)
{
	return ip_addr_eq(&e->key.addr, &msg->sender.addr) && (msg->sender.proto == 0 || e->key.proto == msg->sender.proto);
}

static void rx_announce(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg, uint64_t now_us)
{
	if (!still_covers(e, msg))
		return;
	if (e->state == RESOLVER_VALID && !seq_lt(msg->sender.gen, e->gen))
		become_valid(r, e, msg, now_us);
	else if (e->state == RESOLVER_NEG)
		entry_put(r, e); /* an application has it now: it is asked for when it is used */
}

static void rx_release(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg)
{
	uint32_t last = e->key.port + (e->key.block ? RESOLVER_BLOCK - 1u : 0u);

	if (e->state == RESOLVER_VALID && mac_addr_eq(&e->mac, &msg->sender_mac) && msg->sender.port_lo <= last &&
	    msg->sender.port_hi >= e->key.port)
		entry_put(r, e);
}

/* All entries are looked at, but only for who holds the address. */
static void rx_news(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	struct resolver_entry *e, *next;

	if (r->used_cnt == 0 || !vouched(r, msg))
		return;
	for (e = TAILQ_FIRST(&r->by_use); e != NULL; e = next) {
		next = TAILQ_NEXT(e, by_use);
		if (!is_about(e, msg))
			continue;
		if (msg->type == PARP_ANNOUNCE)
			rx_announce(r, e, msg, now_us);
		else
			rx_release(r, e, msg);
	}
}

void resolver_rx(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	if ((msg->has & PARP_HAS_HOST) != 0 && parp_host_id_eq(&msg->host, &r->host->id))
		return;
	if (msg->type == PARP_REPLY || msg->type == PARP_NEG)
		rx_answer(r, msg, now_us);
	else if (msg->type == PARP_ANNOUNCE || msg->type == PARP_RELEASE)
		rx_news(r, msg, now_us);
}

void resolver_canonical_changed(struct resolver *r, const struct ip_addr *addr)
{
	struct resolver_entry *e, *next;
	struct mac_addr canonical;
	bool known = r->ops->neighbour(r->arg, addr, &canonical);

	for (e = TAILQ_FIRST(&r->by_use); e != NULL; e = next) {
		next = TAILQ_NEXT(e, by_use);
		if (e->state == RESOLVER_VALID && ip_addr_eq(&e->key.addr, addr) &&
		    (!known || !mac_addr_eq(&canonical, &e->canonical)))
			entry_put(r, e);
	}
}

/* ---- time */

void resolver_run(struct resolver *r, uint64_t now_us)
{
	struct resolver_entry *e, *next;

	for (e = TAILQ_FIRST(&r->questions); e != NULL; e = next) {
		next = TAILQ_NEXT(e, by_question);
		if (e->retry_us > now_us)
			continue;
		if (e->tries < RESOLVER_TRIES) {
			ask(r, e, now_us);
			continue;
		}
		r->stats.silent++;
		/* a refresh that nobody answers changes nothing before the answer that is there is over */
		if (e->state == RESOLVER_VALID && e->until_us > now_us)
			question_end(r, e);
		else
			become_neg(r, e, 0, now_us);
	}
	while (r->heap_cnt > 0 && r->heap[0]->until_us <= now_us) {
		e = r->heap[0];
		/* what nobody has used since it ended is no use; one that is being asked for is about to be known */
		if (e->asking) {
			invalid(r, e);
			e->state = RESOLVER_ASKING;
			set_until(r, e, TIME_NEVER);
		} else {
			entry_put(r, e);
		}
	}
}

uint64_t resolver_deadline_us(const struct resolver *r)
{
	uint64_t due_us = r->heap_cnt > 0 ? r->heap[0]->until_us : TIME_NEVER;
	const struct resolver_entry *e;

	TAILQ_FOREACH (e, &r->questions, by_question)
		due_us = min_u64(due_us, e->retry_us);
	return due_us;
}

void resolver_init(struct resolver *r, struct resolver_entry *entries, struct resolver_entry **pointers, uint32_t cnt)
{
	VJ_ASSERT(cnt > RESOLVER_ASKING_MAX);
	r->entries = entries;
	r->buckets = pointers;
	r->heap = pointers + cnt;
	r->entry_cnt = cnt;
	r->used_cnt = r->asking_cnt = r->heap_cnt = 0;
	r->stats = (struct resolver_stats){ .queries = 0 };
	TAILQ_INIT(&r->free);
	TAILQ_INIT(&r->by_use);
	TAILQ_INIT(&r->questions);
	for (uint32_t i = 0; i < cnt; i++) {
		r->buckets[i] = NULL;
		entries[i] = (struct resolver_entry){ .state = RESOLVER_FREE, .until_us = TIME_NEVER };
		TAILQ_INSERT_TAIL(&r->free, &entries[i], by_use);
	}
}
