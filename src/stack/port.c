// SPDX-License-Identifier: BSD-2-Clause
#include "stack/port.h"

#include "base/assert.h"
#include "stack/flow.h"
#include "stack/stack.h"

#include <errno.h>

#define PORTS_CNT 65536
#define PORTS_HEAD_BYTES (PORTS_CNT * sizeof(uint32_t))
#define PORTS_BUCKETS 65536 /* some 16 in each, with as many sockets as there can be */
#define PORTS_BUCKETS_BYTES (PORTS_BUCKETS * sizeof(uint32_t))
#define PORTS_ENTRIES_MAX (UINT32_C(1) << 24)

struct port_entry {
	uint32_t next; /* in the chain or bucket; 0: last */
	uint32_t id;
	struct ip_addr addr;
	struct endpoint remote; /* who is heard; port 0: anyone */
	uint16_t port;
	uint8_t proto;	  /* enum port_proto */
	uint8_t families; /* wildcard: enum port_family bits; 0: one address */
	bool shared;	  /* with others of the same address and families: each has its part */
	bool over;	  /* ... and the last one has all */
};

enum port_family { FAMILY_V4 = 1, FAMILY_V6 = 2 };

int ports_init(struct ports *ports, struct mem *mem, const struct flow *flows)
{
	*ports = (struct ports){ .mem = mem, .flows = flows };
	for (int proto = 0; proto < PORT_PROTO_CNT; proto++) {
		ports->head[proto] = mem_get(mem, PORTS_HEAD_BYTES);
		if (ports->head[proto] == NULL)
			return -ENOMEM;
	}
	ports->connected = mem_get(mem, PORTS_BUCKETS_BYTES);
	if (ports->connected == NULL)
		return -ENOMEM;
	return pool_init(&ports->pool, mem, sizeof(struct port_entry), 0, PORTS_ENTRIES_MAX);
}

void ports_fini(struct ports *ports)
{
	if (ports->mem == NULL)
		return;
	for (int proto = 0; proto < PORT_PROTO_CNT; proto++)
		mem_put(ports->mem, ports->head[proto], PORTS_HEAD_BYTES);
	mem_put(ports->mem, ports->connected, PORTS_BUCKETS_BYTES);
	pool_fini(&ports->pool);
	*ports = (struct ports){ 0 };
}

static struct port_entry *entry_at(const struct ports *ports, uint32_t idx)
{
	return pool_at_sized(&ports->pool, idx, sizeof(struct port_entry));
}

static uint8_t families_of(const struct ip_addr *addr, bool v6only)
{
	if (!ip_addr_is_any(addr))
		return 0;
	if (ip_addr_is_v4(addr))
		return FAMILY_V4;
	return v6only ? FAMILY_V6 : FAMILY_V4 | FAMILY_V6;
}

/* Smaller goes first: an address, one family, both families. */
static int breadth(uint8_t families)
{
	return (families & FAMILY_V4 ? 1 : 0) + (families & FAMILY_V6 ? 1 : 0);
}

static uint32_t hash_of(const struct ports *ports, uint16_t port, const struct endpoint *remote)
{
	const uint8_t *addr = (const uint8_t *)&remote->addr;

	return flow_hash_words(ports->flows, 0, 0, load_u64(addr), load_u64(addr + 8), flow_key_word(0, port, remote->port));
}

/* Where those are that hear @remote, of all local addresses. */
static uint32_t *bucket_of(const struct ports *ports, uint16_t port, const struct endpoint *remote)
{
	return &ports->connected[hash_of(ports, port, remote) % PORTS_BUCKETS];
}

/* Can't both hear anyone? */
static bool collide(const struct port_entry *a, const struct port_entry *b)
{
	if ((a->shared && b->shared) || (a->over && b->over))
		return false;
	return a->families == 0 ? b->families == 0 && ip_addr_eq(&a->addr, &b->addr) : (a->families & b->families) != 0;
}

/* Where in its port's chain @fresh belongs. Return: NULL: somebody is there with whom it can't share. */
static uint32_t *place_of(const struct ports *ports, const struct port_entry *fresh)
{
	uint32_t *link = &ports->head[fresh->proto][fresh->port], *place = link;

	while (*link != 0) {
		struct port_entry *entry = entry_at(ports, *link);

		if (collide(entry, fresh))
			return NULL;
		link = &entry->next;
		if (breadth(entry->families) < breadth(fresh->families))
			place = link;
	}
	return place;
}

static void link_entry(struct ports *ports, uint32_t *place, uint32_t idx)
{
	struct port_entry *entry = entry_at(ports, idx);

	entry->next = *place;
	*place = idx;
	ports->connected_cnt += entry->remote.port != 0;
}

static void unlink_entry(struct ports *ports, uint32_t idx)
{
	const struct port_entry *entry = entry_at(ports, idx);
	bool connected = entry->remote.port != 0;
	uint32_t *link = connected ? bucket_of(ports, entry->port, &entry->remote) : &ports->head[entry->proto][entry->port];

	while (*link != idx) {
		VJ_ASSERT_OP(*link, !=, 0u);
		link = &entry_at(ports, *link)->next;
	}
	*link = entry->next;
	ports->connected_cnt -= connected;
}

int ports_add(struct ports *ports, enum port_proto proto, const struct endpoint *local, unsigned flags, uint32_t id,
	      struct port_id *ret_place)
{
	struct port_entry fresh = {
		.id = id,
		.addr = local->addr,
		.port = local->port,
		.proto = (uint8_t)proto,
		.families = families_of(&local->addr, (flags & STACK_LISTEN_V6ONLY) != 0),
		.shared = (flags & STACK_LISTEN_SHARED) != 0,
		.over = (flags & STACK_LISTEN_OVER) != 0,
	};
	uint32_t *place, idx;

	VJ_ASSERT_OP(id, !=, 0u);
	if (local->port == 0)
		return -EINVAL;
	place = place_of(ports, &fresh);
	if (place == NULL)
		return -EADDRINUSE;
	idx = pool_get(&ports->pool);
	if (idx == 0)
		return -ENOMEM;
	*entry_at(ports, idx) = fresh;
	link_entry(ports, place, idx);
	ret_place->v = idx;
	return 0;
}

int ports_connect(struct ports *ports, struct port_id place, const struct endpoint *remote)
{
	struct port_entry *entry = entry_at(ports, place.v);

	if (remote->port != 0) {
		unlink_entry(ports, place.v);
		entry->remote = *remote;
		link_entry(ports, bucket_of(ports, entry->port, remote), place.v);
	} else if (entry->remote.port != 0) {
		uint32_t *to = place_of(ports, entry);

		if (to == NULL)
			return -EADDRINUSE;
		unlink_entry(ports, place.v);
		entry->remote = *remote;
		link_entry(ports, to, place.v);
	}
	return 0;
}

void ports_del(struct ports *ports, struct port_id place)
{
	unlink_entry(ports, place.v);
	pool_put(&ports->pool, place.v);
}

static bool is_for(const struct port_entry *entry, const struct ip_addr *addr, uint8_t family)
{
	return entry->families != 0 ? (entry->families & family) != 0 : ip_addr_eq(&entry->addr, addr);
}

/* The first from @idx on; 0: none */
static uint32_t entry_for(const struct ports *ports, uint32_t idx, const struct ip_addr *addr)
{
	uint8_t family = ip_addr_is_v4(addr) ? FAMILY_V4 : FAMILY_V6;

	while (idx != 0 && !is_for(entry_at(ports, idx), addr, family))
		idx = entry_at(ports, idx)->next;
	return idx;
}

uint32_t ports_find(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr,
		    uint16_t port)
{
	uint32_t idx = entry_for(ports, ports->head[proto][port], addr);

	return idx != 0 ? entry_at(ports, idx)->id : 0;
}

/* Who is connected to @from; 0: nobody */
static uint32_t find_connected(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port,
			       const struct endpoint *from)
{
	uint32_t idx = *bucket_of(ports, port, from);

	while ((idx = entry_for(ports, idx, addr)) != 0) {
		const struct port_entry *entry = entry_at(ports, idx);

		if (entry->port == port && entry->proto == proto && endpoint_eq(&entry->remote, from))
			return entry->id;
		idx = entry->next;
	}
	return 0;
}

/* The next one that has its part of the same place; 0: @idx is the last. What follows may be one that is less specific. */
static uint32_t sharer_after(const struct ports *ports, uint32_t idx, const struct ip_addr *addr)
{
	uint8_t families = entry_at(ports, idx)->families;

	do {
		idx = entry_for(ports, entry_at(ports, idx)->next, addr);
		if (idx == 0 || entry_at(ports, idx)->families != families)
			return 0;
	} while (!entry_at(ports, idx)->shared);
	return idx;
}

/* @first, or another one that shares its place */
static uint32_t sharer_pick(const struct ports *ports, uint32_t first, const struct ip_addr *addr, uint32_t turn)
{
	uint32_t cnt = 1, idx = first;

	while ((idx = sharer_after(ports, idx, addr)) != 0)
		cnt++;
	for (idx = first, turn %= cnt; turn != 0; turn--)
		idx = sharer_after(ports, idx, addr);
	return idx;
}

uint32_t ports_find_from(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port,
			 const struct endpoint *from)
{
	uint32_t id = ports->connected_cnt != 0 ? find_connected(ports, proto, addr, port, from) : 0, idx;

	if (id != 0)
		return id;
	idx = entry_for(ports, ports->head[proto][port], addr);
	if (idx != 0 && unlikely(entry_at(ports, idx)->shared))
		idx = sharer_pick(ports, idx, addr, hash_of(ports, port, from) >> 16);
	return idx != 0 ? entry_at(ports, idx)->id : 0;
}

uint32_t ports_pick(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port, uint32_t turn)
{
	uint32_t idx = entry_for(ports, ports->head[proto][port], addr);

	if (idx != 0 && unlikely(entry_at(ports, idx)->shared))
		idx = sharer_pick(ports, idx, addr, turn);
	return idx != 0 ? entry_at(ports, idx)->id : 0;
}
