// SPDX-License-Identifier: BSD-2-Clause
/* The maps of src/policy as tables in memory, with what step_setup() puts in them */
#ifndef VJ_TESTS_POLICY_TABLES_H
#define VJ_TESTS_POLICY_TABLES_H

#include "policy/map.h"

enum { TABLE_CNT = 9, TABLE_ENTRIES = 64, TABLE_ENTRY_MAX = sizeof(struct policy_port) + sizeof(struct policy_owner) };

struct tables {
	struct policy_table tables[TABLE_CNT];
	uint8_t mem[TABLE_CNT][TABLE_ENTRIES * TABLE_ENTRY_MAX];
};

void tables_init(struct tables *t);

/* May be asked for before tables_init(). */
struct policy_maps tables_maps(struct tables *t);

/* A step_set_fn; @arg: struct tables */
void tables_set(void *arg, const char *map, const void *key, const void *value);

#endif
