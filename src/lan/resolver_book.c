// SPDX-License-Identifier: BSD-2-Clause
#include "lan/resolver_book.h"

#include "base/assert.h"

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

void book_set_until(struct resolver *r, struct resolver_entry *e, uint64_t until_us)
{
	heap_remove(r, e);
	e->until_us = until_us;
	if (until_us != TIME_NEVER)
		heap_move(r, e, ++r->heap_cnt);
}

/* ---- by key */

static uint64_t mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 29;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return h >> 32;
}

static uint64_t addr_bits(const struct ip_addr *addr)
{
	return load_u64(addr->bytes) ^ load_u64(addr->bytes + 8) * 31;
}

static struct resolver_entry **bucket_of(const struct resolver *r, const struct resolver_key *key)
{
	uint64_t h = addr_bits(&key->addr) + (uint64_t)key->port * 65537 + (uint64_t)key->proto * 257 + key->kind;

	return &r->buckets[mix(h) % r->entry_cnt];
}

static bool key_eq(const struct resolver_key *a, const struct resolver_key *b)
{
	return ip_addr_eq(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto && a->kind == b->kind;
}

struct resolver_key book_key(const struct parp_endpoint *ep, enum resolver_kind kind)
{
	struct resolver_key key = { .addr = ep->addr, .kind = (uint8_t)kind };

	if (kind == RESOLVER_HOST)
		return key;
	key.proto = ep->proto;
	key.port = kind == RESOLVER_BLOCK ? ep->port_lo & (uint16_t)~(RESOLVER_BLOCK_PORTS - 1) : ep->port_lo;
	return key;
}

struct resolver_entry *book_find(const struct resolver *r, const struct resolver_key *key)
{
	struct resolver_entry *e;

	for (e = *bucket_of(r, key); e != NULL; e = e->next)
		if (key_eq(&e->key, key))
			return e;
	return NULL;
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

void book_rekey(struct resolver *r, struct resolver_entry *e, const struct resolver_key *key)
{
	hash_out(r, e);
	e->key = *key;
	hash_in(r, e);
}

/* ---- groups: all of an address are in one chain */

static struct resolver_group **group_bucket_of(const struct resolver *r, const struct ip_addr *addr)
{
	return &r->group_buckets[mix(addr_bits(addr)) % r->entry_cnt];
}

struct resolver_group *book_next_group(const struct resolver *r, const struct ip_addr *addr, struct resolver_group *after)
{
	struct resolver_group *g = after != NULL ? after->next : *group_bucket_of(r, addr);

	while (g != NULL && !ip_addr_eq(&g->addr, addr))
		g = g->next;
	return g;
}

struct resolver_group *book_group(const struct resolver *r, const struct ip_addr *addr, const struct mac_addr *mac)
{
	struct resolver_group *g = book_next_group(r, addr, NULL);

	while (g != NULL && !mac_addr_eq(&g->mac, mac))
		g = book_next_group(r, addr, g);
	return g;
}

static struct resolver_group *group_new(struct resolver *r, const struct ip_addr *addr, const struct mac_addr *mac)
{
	struct resolver_group **head = group_bucket_of(r, addr), *g = r->free_groups;

	if (g != NULL)
		r->free_groups = g->next;
	else
		g = &r->groups[r->fresh_group++];
	VJ_ASSERT(r->fresh_group <= r->entry_cnt);
	*g = (struct resolver_group){ .next = *head, .addr = *addr, .mac = *mac, .question.of_group = g };
	TAILQ_INIT(&g->entries);
	*head = g;
	return g;
}

static void group_leave(struct resolver *r, struct resolver_entry *e)
{
	struct resolver_group *g = e->group, **at;

	TAILQ_REMOVE(&g->entries, e, of_group);
	if (!TAILQ_EMPTY(&g->entries))
		return;
	VJ_ASSERT(!g->question.open);
	for (at = group_bucket_of(r, &g->addr); *at != g;)
		at = &(*at)->next;
	*at = g->next;
	g->next = r->free_groups;
	r->free_groups = g;
}

static void group_join(struct resolver *r, struct resolver_entry *e, const struct mac_addr *mac)
{
	struct resolver_group *g = book_group(r, &e->key.addr, mac);

	e->group = g != NULL ? g : group_new(r, &e->key.addr, mac);
	TAILQ_INSERT_TAIL(&e->group->entries, e, of_group);
}

void book_move(struct resolver *r, struct resolver_entry *e, const struct mac_addr *mac)
{
	group_leave(r, e);
	group_join(r, e, mac);
}

bool book_is_last(const struct resolver_entry *e)
{
	return TAILQ_FIRST(&e->group->entries) == e && TAILQ_NEXT(e, of_group) == NULL;
}

/* ---- entries */

struct resolver_entry *book_get(struct resolver *r, const struct resolver_key *key)
{
	const struct mac_addr none = { { 0 } };
	struct resolver_entry *e = TAILQ_FIRST(&r->free);

	if (e != NULL)
		TAILQ_REMOVE(&r->free, e, by_use);
	else if (r->fresh_entry < r->entry_cnt)
		e = &r->entries[r->fresh_entry++];
	else
		return NULL;
	*e = (struct resolver_entry){ .key = *key, .state = RESOLVER_ASKING, .until_us = TIME_NEVER, .question.of_entry = e };
	hash_in(r, e);
	group_join(r, e, &none);
	TAILQ_INSERT_TAIL(&r->by_use, e, by_use);
	r->used_cnt++;
	return e;
}

void book_put(struct resolver *r, struct resolver_entry *e)
{
	VJ_ASSERT(!e->question.open);
	book_set_until(r, e, TIME_NEVER);
	hash_out(r, e);
	group_leave(r, e);
	TAILQ_REMOVE(&r->by_use, e, by_use);
	e->state = RESOLVER_FREE;
	TAILQ_INSERT_HEAD(&r->free, e, by_use);
	r->used_cnt--;
}

void book_used(struct resolver *r, struct resolver_entry *e, uint64_t now_us)
{
	e->used_us = now_us;
	TAILQ_REMOVE(&r->by_use, e, by_use);
	TAILQ_INSERT_TAIL(&r->by_use, e, by_use);
}

/* ---- birth: no more is written than what is used, so that zeroed memory stays untouched */

size_t resolver_bytes(uint32_t cnt)
{
	return (size_t)cnt * (sizeof(struct resolver_entry) + sizeof(struct resolver_group) + 3 * sizeof(void *));
}

void book_init(struct resolver *r, void *mem, uint32_t cnt)
{
	VJ_ASSERT(cnt > RESOLVER_ASKING_MAX);
	r->entries = mem;
	r->groups = (struct resolver_group *)(r->entries + cnt);
	r->buckets = (struct resolver_entry **)(r->groups + cnt);
	r->heap = r->buckets + cnt;
	r->group_buckets = (struct resolver_group **)(r->heap + cnt);
	r->free_groups = NULL;
	r->entry_cnt = cnt;
	r->used_cnt = r->asking_cnt = r->heap_cnt = r->fresh_entry = r->fresh_group = 0;
	TAILQ_INIT(&r->free);
	TAILQ_INIT(&r->by_use);
	TAILQ_INIT(&r->questions);
}
