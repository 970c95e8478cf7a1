// SPDX-License-Identifier: BSD-2-Clause
#include "stack/port.h"

#include "base/assert.h"
#include "stack/stack.h"

#include <errno.h>

#define PORTS_CNT 65536
#define PORTS_HEAD_BYTES (PORTS_CNT * sizeof(uint32_t))
#define PORTS_ENTRIES_MAX (UINT32_C(1) << 24)

struct port_entry {
	uint32_t next; /* in the chain of a port; 0: last */
	uint32_t id;
	struct ip_addr addr;
	struct endpoint remote; /* who is heard; port 0: anyone */
	uint8_t families; /* wildcard: enum port_family bits; 0: one address */
	bool shared;	  /* with others of the same address and families */
};

enum port_family { FAMILY_V4 = 1, FAMILY_V6 = 2 };

int ports_init(struct ports *ports, struct mem *mem)
{
	*ports = (struct ports){ .mem = mem };
	for (int proto = 0; proto < PORT_PROTO_CNT; proto++) {
		ports->head[proto] = mem_get(mem, PORTS_HEAD_BYTES);
		if (ports->head[proto] == NULL)
			return -ENOMEM;
	}
	return pool_init(&ports->pool, mem, sizeof(struct port_entry), 0, PORTS_ENTRIES_MAX);
}

void ports_fini(struct ports *ports)
{
	if (ports->mem == NULL)
		return;
	for (int proto = 0; proto < PORT_PROTO_CNT; proto++)
		mem_put(ports->mem, ports->head[proto], PORTS_HEAD_BYTES);
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

/*
 * Where in the chain @fresh belongs, which hears anyone. Those that hear one remote only are in nobody's way, and before
 * all others. Return: NULL: somebody is there with whom it can't share.
 */
static uint32_t *place_of(const struct ports *ports, uint32_t *head, const struct port_entry *fresh)
{
	uint32_t *place = head;

	for (uint32_t *link = head; *link != 0; link = &entry_at(ports, *link)->next) {
		const struct port_entry *entry = entry_at(ports, *link);
		bool connected = entry->remote.port != 0;

		if (!connected &&
		    (fresh->families == 0 ? entry->families == 0 && ip_addr_eq(&entry->addr, &fresh->addr)
					  : (entry->families & fresh->families) != 0) &&
		    (!fresh->shared || !entry->shared))
			return NULL;
		if (connected || breadth(entry->families) < breadth(fresh->families))
			place = &entry_at(ports, *link)->next;
	}
	return place;
}

int ports_add(struct ports *ports, enum port_proto proto, const struct endpoint *local, unsigned flags,
	      uint32_t id)
{
	struct port_entry fresh = {
		.id = id,
		.addr = local->addr,
		.families = families_of(&local->addr, (flags & STACK_LISTEN_V6ONLY) != 0),
		.shared = (flags & STACK_LISTEN_SHARED) != 0,
	};
	uint32_t *place, idx;

	VJ_ASSERT_OP(id, !=, 0u);
	if (local->port == 0)
		return -EINVAL;
	place = place_of(ports, &ports->head[proto][local->port], &fresh);
	if (place == NULL)
		return -EADDRINUSE;
	idx = pool_get(&ports->pool);
	if (idx == 0)
		return -ENOMEM;
	fresh.next = *place;
	*entry_at(ports, idx) = fresh;
	*place = idx;
	return 0;
}

/* Out of the chain. Return: its index */
static uint32_t unlink_entry(struct ports *ports, uint32_t *head, uint32_t id)
{
	uint32_t *link = head, idx;

	while (*link != 0 && entry_at(ports, *link)->id != id)
		link = &entry_at(ports, *link)->next;
	idx = *link;
	VJ_ASSERT_OP(idx, !=, 0u);
	*link = entry_at(ports, idx)->next;
	return idx;
}

int ports_connect(struct ports *ports, enum port_proto proto, uint16_t port, uint32_t id, const struct endpoint *remote)
{
	uint32_t *head = &ports->head[proto][port], idx = unlink_entry(ports, head, id);
	struct port_entry *entry = entry_at(ports, idx);
	uint32_t *place = remote->port != 0 ? head : place_of(ports, head, entry);
	bool taken = place == NULL;

	if (taken)
		place = head;
	else
		entry->remote = *remote;
	entry->next = *place;
	*place = idx;
	return taken ? -EADDRINUSE : 0;
}

void ports_del(struct ports *ports, enum port_proto proto, uint16_t port, uint32_t id)
{
	pool_put(&ports->pool, unlink_entry(ports, &ports->head[proto][port], id));
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

uint32_t ports_find_from(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port,
			 const struct endpoint *from)
{
	uint32_t idx = entry_for(ports, ports->head[proto][port], addr);

	while (idx != 0) {
		const struct port_entry *entry = entry_at(ports, idx);

		if (likely(entry->remote.port == 0 || endpoint_eq(&entry->remote, from)))
			return entry->id;
		idx = entry_for(ports, entry->next, addr);
	}
	return 0;
}

/* The next one at the same place; 0: @idx is the last. What follows may be one that is less specific. */
static uint32_t sharer_after(const struct ports *ports, uint32_t idx, const struct ip_addr *addr)
{
	const struct port_entry *entry = entry_at(ports, idx);
	uint32_t next = entry_for(ports, entry->next, addr);

	return next != 0 && entry_at(ports, next)->families == entry->families ? next : 0;
}

uint32_t ports_pick(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port, uint32_t turn)
{
	uint32_t first = entry_for(ports, ports->head[proto][port], addr), cnt = 1, idx = first;

	if (first == 0)
		return 0;
	if (likely(!entry_at(ports, first)->shared))
		return entry_at(ports, first)->id;
	while ((idx = sharer_after(ports, idx, addr)) != 0)
		cnt++;
	for (idx = first, turn %= cnt; turn != 0; turn--)
		idx = sharer_after(ports, idx, addr);
	return entry_at(ports, idx)->id;
}
