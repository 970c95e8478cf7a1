// SPDX-License-Identifier: BSD-2-Clause
#include "tests/policy/tables.h"

#include <string.h>

#include "base/assert.h"
#include "tests/policy/steps.h"

enum { ADDRS, PORTS, BLOCKS, FLOWS, DEVS, MACS, FRAGS, HOPS, WAYS };

static const struct {
	const char *name;
	uint32_t key_bytes, value_bytes;
} kinds[TABLE_CNT] = {
	[ADDRS] = { "addrs", sizeof(struct policy_addr), 4 },
	[PORTS] = { "ports", sizeof(struct policy_port), sizeof(struct policy_owner) },
	[BLOCKS] = { "blocks", 4, 4 },
	[FLOWS] = { "flows", sizeof(struct policy_flow), 4 },
	[DEVS] = { "devs", 4, 4 },
	[MACS] = { "macs", sizeof(struct policy_mac), 4 },
	[FRAGS] = { "frags", sizeof(struct policy_frag), 4 },
	[HOPS] = { "hops", sizeof(struct policy_mac), 4 },
	[WAYS] = { "ways", sizeof(struct policy_way), 4 },
};

void tables_set(void *arg, const char *map, const void *key, const void *value)
{
	struct tables *t = arg;
	unsigned i = 0;

	while (strcmp(kinds[i].name, map) != 0)
		VJ_ASSERT_OP(++i, <, (unsigned)TABLE_CNT);
	if (value)
		policy_map_set(&t->tables[i], key, value);
	else
		policy_map_del(&t->tables[i], key);
}

void tables_init(struct tables *t)
{
	for (unsigned i = 0; i < TABLE_CNT; i++)
		t->tables[i] = (struct policy_table){ .mem = t->mem[i],
						      .key_bytes = kinds[i].key_bytes,
						      .value_bytes = kinds[i].value_bytes,
						      .max = TABLE_ENTRIES };
	step_setup(tables_set, t);
	step_setup_gate(tables_set, t);
}

struct policy_maps tables_maps(struct tables *t)
{
	return (struct policy_maps){ .addrs = &t->tables[ADDRS], .ports = &t->tables[PORTS],
				     .blocks = &t->tables[BLOCKS], .flows = &t->tables[FLOWS],
				     .devs = &t->tables[DEVS],	   .macs = &t->tables[MACS],
				     .frags = &t->tables[FRAGS],	   .hops = &t->tables[HOPS],
				     .ways = &t->tables[WAYS] };
}
