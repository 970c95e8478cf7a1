/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_ruleset.h - the JSON's objects, sorted: chains with their rules, sets and maps, named counters and limits */
#ifndef FIREWALL_FW_RULESET_H
#define FIREWALL_FW_RULESET_H

#include "firewall/firewall.h"

#include <jansson.h>

enum fw_hook {
	FW_HOOK_NONE, /* reached by jumps only */
	FW_HOOK_PREROUTING,
	FW_HOOK_INPUT,
	FW_HOOK_OUTPUT,
	FW_HOOK_POSTROUTING,
	FW_HOOK_INGRESS, /* of a device */
	FW_HOOK_EGRESS,
	FW_HOOK_ELSEWHERE, /* nothing to or from this host comes there */
};

/* Connections are known from priority -200 (NF_IP_PRI_CONNTRACK) on; the code of a chain depends on where it is jumped to from. */
enum fw_when { FW_BEFORE_CT, FW_AFTER_CT, FW_WHEN_CNT };

struct fw_chain {
	const char *family, *table, *name;
	uint64_t table_handle, handle;
	enum fw_hook hook;
	int64_t prio;
	bool is_nat, policy_drop;
	const char *dev; /* of ingress and egress */
	const json_t **rules;
	uint32_t rule_cnt, rule_max;
	struct {
		bool wanted;
		uint32_t start, end; /* code [start, end); start 0: not made yet */
		uint32_t steps;	     /* most, for one way through it; 0: not known yet */
	} code[FW_WHEN_CNT];
};

/* A set, map, counter or limit. */
struct fw_object {
	const char *kind, *family, *table, *name;
	const json_t *json;
	bool changes; /* a set or map that rules put elements into, of which no news come */
	uint32_t cell; /* of a counter or limit, in data, and 1 more than that; 0: not made yet */
};

/* Chains by name: those of bucket i begin with @first, and behind chain i comes @next. Numbers + 1; 0: none */
struct fw_chain_index {
	uint32_t first, next;
};

struct fw_ruleset {
	json_t *root;
	struct fw_chain *chains;
	struct fw_chain_index *index; /* @chain_max */
	uint32_t chain_cnt, chain_max;
	struct fw_object *objects;
	uint32_t object_cnt, object_max;
};

/** fw_ruleset_read() - Return: 0, @ret is the caller's; -EINVAL; -ENOMEM */
int fw_ruleset_read(const char *json, size_t len, struct fw_ruleset *ret, char ret_why[static FW_WHY_BYTES]);

/** fw_ruleset_free() - Also of one that is all zero */
void fw_ruleset_free(struct fw_ruleset *rs);

/** fw_handle() - Of a table, chain, rule or object; 0: it has none */
uint64_t fw_handle(const json_t *object);

/** fw_chain_find() - A chain of the same table as @of, or NULL */
struct fw_chain *fw_chain_find(const struct fw_ruleset *rs, const struct fw_chain *of, const char *name);

/** fw_object_find() - Likewise; @kind: "set", "map", "counter", "limit" */
struct fw_object *fw_object_find(const struct fw_ruleset *rs, const struct fw_chain *of, const char *kind, const char *name);

#endif
