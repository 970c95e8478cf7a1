// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "policy/map.h"

static uint32_t entry_bytes(const struct policy_table *t)
{
	return t->key_bytes + t->value_bytes;
}

static uint8_t *table_find(const struct policy_table *t, const void *key)
{
	for (uint32_t i = 0; i < t->cnt; i++) {
		uint8_t *entry = t->mem + (size_t)i * entry_bytes(t);

		if (memcmp(entry, key, t->key_bytes) == 0)
			return entry;
	}
	return NULL;
}

static void table_remove(struct policy_table *t, uint8_t *entry)
{
	uint8_t *next = entry + entry_bytes(t), *end = t->mem + (size_t)t->cnt * entry_bytes(t);

	memmove(entry, next, (size_t)(end - next));
	t->cnt--;
}

void *policy_map_find(const void *map, const void *key)
{
	const struct policy_table *t = map;
	uint8_t *entry = table_find(t, key);

	return entry ? entry + t->key_bytes : NULL;
}

void *policy_map_find_longest(const void *map, const struct policy_way *key)
{
	const struct policy_table *t = map;
	uint32_t best_len = 0;
	void *best = NULL;

	for (uint32_t i = 0; i < t->cnt; i++) {
		uint8_t *entry = t->mem + (size_t)i * entry_bytes(t);
		struct policy_way way;

		memcpy(&way, entry, sizeof(way));
		if (way.prefix_len < best_len || !ip_addr_prefix_eq(&way.dest, &key->dest, way.prefix_len))
			continue;
		best_len = way.prefix_len;
		best = entry + t->key_bytes;
	}
	return best;
}

void policy_map_set(void *map, const void *key, const void *value)
{
	struct policy_table *t = map;
	uint8_t *entry = table_find(t, key);

	if (!entry) {
		if (t->cnt == t->max)
			table_remove(t, t->mem);
		entry = t->mem + (size_t)t->cnt++ * entry_bytes(t);
		memcpy(entry, key, t->key_bytes);
	}
	memcpy(entry + t->key_bytes, value, t->value_bytes);
}

void policy_map_del(void *map, const void *key)
{
	struct policy_table *t = map;
	uint8_t *entry = table_find(t, key);

	if (entry)
		table_remove(t, entry);
}
