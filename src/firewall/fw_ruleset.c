// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_ruleset.h"

#include "firewall/fw_field.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* @array: where the pointer to the array is. Return: false: no memory, and nothing has changed */
static bool one_more(void *array, uint32_t cnt, uint32_t *max, size_t bytes)
{
	uint32_t more = *max > 0 ? *max * 2 : 32;
	void *at;

	if (cnt < *max)
		return true;
	memcpy(&at, array, sizeof(at));
	at = realloc(at, more * bytes);
	if (at == NULL)
		return false;
	memcpy(array, &at, sizeof(at));
	*max = more;
	return true;
}

uint64_t fw_handle(const json_t *object)
{
	json_int_t n = json_integer_value(json_object_get(object, "handle"));

	return n > 0 ? (uint64_t)n : 0;
}

static bool is_name(const char *name)
{
	return name != NULL && name[0] != '\0' && strlen(name) < FW_NAME_BYTES;
}

static bool is_family(const char *family)
{
	return family != NULL && strlen(family) < sizeof(((struct fw_place *)0)->family);
}

/* ---- chains */

static enum fw_hook hook_of(const char *hook)
{
	static const char *const names[] = {
		[FW_HOOK_PREROUTING] = "prerouting", [FW_HOOK_INPUT] = "input",	    [FW_HOOK_OUTPUT] = "output",
		[FW_HOOK_POSTROUTING] = "postrouting", [FW_HOOK_INGRESS] = "ingress", [FW_HOOK_EGRESS] = "egress",
		[FW_HOOK_ELSEWHERE] = "forward",
	};

	for (enum fw_hook h = FW_HOOK_PREROUTING; h <= FW_HOOK_ELSEWHERE; h++)
		if (strcmp(names[h], hook) == 0)
			return h;
	return FW_HOOK_NONE;
}

static uint64_t table_handle(const struct fw_ruleset *rs, const char *family, const char *table)
{
	for (uint32_t i = 0; i < rs->object_cnt; i++)
		if (strcmp(rs->objects[i].kind, "table") == 0 && strcmp(rs->objects[i].family, family) == 0 &&
		    strcmp(rs->objects[i].name, table) == 0)
			return fw_handle(rs->objects[i].json);
	return 0;
}

/* Where connections aren't known yet, "nat" can't be; "route" differs from "filter" only in what marks would change. */
static bool base_read(const json_t *o, struct fw_chain *ch)
{
	const char *type = fw_text(o, "type"), *hook = fw_text(o, "hook"), *policy = fw_text(o, "policy");
	const json_t *prio = json_object_get(o, "prio");

	if (hook == NULL)
		return true;
	ch->hook = hook_of(hook);
	ch->prio = json_integer_value(prio);
	ch->is_nat = type != NULL && strcmp(type, "nat") == 0;
	ch->policy_drop = policy != NULL && strcmp(policy, "drop") == 0;
	ch->dev = fw_text(o, "dev");
	return ch->hook != FW_HOOK_NONE && json_is_integer(prio) && type != NULL &&
	       (ch->is_nat || strcmp(type, "filter") == 0 || strcmp(type, "route") == 0) &&
	       (policy == NULL || ch->policy_drop || strcmp(policy, "accept") == 0);
}

/* FNV-1a. Names are root's, who has no need to make them collide. */
static struct fw_chain_index *index_of(const struct fw_ruleset *rs, const char *table, const char *name)
{
	uint32_t h = 2166136261;

	for (const char *c = name; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 16777619;
	for (const char *c = table; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 16777619;
	return &rs->index[h % rs->chain_max];
}

/* Of two of one name, which the kernel doesn't have, the later one. */
static void index_add(struct fw_ruleset *rs, uint32_t nr)
{
	struct fw_chain_index *head = index_of(rs, rs->chains[nr].table, rs->chains[nr].name);

	rs->index[nr].next = head->first;
	head->first = nr + 1;
}

static int chain_add(struct fw_ruleset *rs, const struct fw_chain *ch)
{
	uint32_t max = rs->chain_max;
	struct fw_chain_index *index;

	if (!one_more(&rs->chains, rs->chain_cnt, &rs->chain_max, sizeof(*rs->chains)))
		return -ENOMEM;
	rs->chains[rs->chain_cnt++] = *ch;
	if (rs->chain_max == max) {
		index_add(rs, rs->chain_cnt - 1);
		return 0;
	}
	index = calloc(rs->chain_max, sizeof(*index));
	if (index == NULL)
		return -ENOMEM;
	free(rs->index);
	rs->index = index;
	for (uint32_t i = 0; i < rs->chain_cnt; i++)
		index_add(rs, i);
	return 0;
}

static int chain_read(struct fw_ruleset *rs, const json_t *o)
{
	struct fw_chain ch = { .family = fw_text(o, "family"), .table = fw_text(o, "table"), .name = fw_text(o, "name") };

	if (!is_family(ch.family) || !is_name(ch.table) || !is_name(ch.name) || !base_read(o, &ch))
		return -EINVAL;
	ch.handle = fw_handle(o);
	ch.table_handle = table_handle(rs, ch.family, ch.table);
	return chain_add(rs, &ch);
}

static struct fw_chain *chain_at(const struct fw_ruleset *rs, const char *family, const char *table, const char *name)
{
	uint32_t nr = rs->chain_cnt > 0 ? index_of(rs, table, name)->first : 0;

	for (; nr != 0; nr = rs->index[nr - 1].next) {
		struct fw_chain *ch = &rs->chains[nr - 1];

		if (strcmp(ch->name, name) == 0 && strcmp(ch->table, table) == 0 && strcmp(ch->family, family) == 0)
			return ch;
	}
	return NULL;
}

struct fw_chain *fw_chain_find(const struct fw_ruleset *rs, const struct fw_chain *of, const char *name)
{
	return chain_at(rs, of->family, of->table, name);
}

static int rule_read(struct fw_ruleset *rs, const json_t *o)
{
	const char *family = fw_text(o, "family"), *table = fw_text(o, "table"), *chain = fw_text(o, "chain");
	struct fw_chain *ch;

	if (family == NULL || table == NULL || chain == NULL || !json_is_array(json_object_get(o, "expr")))
		return -EINVAL;
	ch = chain_at(rs, family, table, chain);
	if (ch == NULL)
		return -EINVAL;
	if (!one_more(&ch->rules, ch->rule_cnt, &ch->rule_max, sizeof(const json_t *)))
		return -ENOMEM;
	ch->rules[ch->rule_cnt++] = o;
	return 0;
}

/* ---- objects */

static int object_read(struct fw_ruleset *rs, const char *kind, const json_t *o)
{
	struct fw_object obj = { .kind = kind,
				 .family = fw_text(o, "family"),
				 .table = fw_text(o, "table"),
				 .name = fw_text(o, "name"),
				 .json = o };

	if (obj.table == NULL)
		obj.table = "";
	if (!is_family(obj.family) || !is_name(obj.name))
		return -EINVAL;
	if (!one_more(&rs->objects, rs->object_cnt, &rs->object_max, sizeof(*rs->objects)))
		return -ENOMEM;
	rs->objects[rs->object_cnt++] = obj;
	return 0;
}

struct fw_object *fw_object_find(const struct fw_ruleset *rs, const struct fw_chain *of, const char *kind, const char *name)
{
	for (uint32_t i = 0; i < rs->object_cnt; i++) {
		struct fw_object *o = &rs->objects[i];

		if (strcmp(o->name, name) == 0 && strcmp(o->kind, kind) == 0 && strcmp(o->table, of->table) == 0 &&
		    strcmp(o->family, of->family) == 0)
			return o;
	}
	return NULL;
}

/*
 * { "set": { "op": "add", "set": "@s", ... } }, likewise of a "map", and a "meter" with its "name". That a set has the flag "dynamic", nft 1.0.6 doesn't
 * show in JSON.
 */
static void statement_changes(struct fw_ruleset *rs, const struct fw_chain *ch, const json_t *e)
{
	static const char *const kinds[] = { "set", "map", "meter" }, *const of[] = { "set", "map" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const json_t *statement = json_object_get(e, kinds[i]);
		const char *name = fw_text(statement, kinds[i]);

		if (name == NULL)
			name = fw_text(statement, "name");
		for (size_t k = 0; name != NULL && k < ARRAY_SIZE(of); k++) {
			struct fw_object *o = fw_object_find(rs, ch, of[k], name + (name[0] == '@'));

			if (o != NULL)
				o->changes = true;
		}
	}
}

/* Rules may stand before or behind what they change. */
static void find_changes(struct fw_ruleset *rs)
{
	for (uint32_t i = 0; i < rs->chain_cnt; i++) {
		const struct fw_chain *ch = &rs->chains[i];

		for (uint32_t k = 0; rs->object_cnt > 0 && k < ch->rule_cnt; k++) {
			const json_t *exprs = json_object_get(ch->rules[k], "expr");

			for (size_t n = 0; n < json_array_size(exprs); n++)
				statement_changes(rs, ch, json_array_get(exprs, n));
		}
	}
}

/* ---- all of it */

static int version_check(const json_t *o, char why[static FW_WHY_BYTES])
{
	json_int_t version = json_integer_value(json_object_get(o, "json_schema_version"));

	if (version == 1)
		return 0;
	snprintf(why, FW_WHY_BYTES, "nftables' JSON is of version %d, not 1", (int)version);
	return -EINVAL;
}

static int item_read(struct fw_ruleset *rs, const json_t *item, char why[static FW_WHY_BYTES])
{
	static const char *const kinds[] = { "table", "set", "map", "counter", "limit" };
	const json_t *o;

	if (json_object_size(item) != 1)
		return -EINVAL;
	o = json_object_get(item, "metainfo");
	if (o != NULL)
		return version_check(o, why);
	o = json_object_get(item, "chain");
	if (o != NULL)
		return chain_read(rs, o);
	o = json_object_get(item, "rule");
	if (o != NULL)
		return rule_read(rs, o);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		o = json_object_get(item, kinds[i]);
		if (o != NULL)
			return object_read(rs, kinds[i], o);
	}
	return 0; /* matters only if a rule names it, which is not compiled then */
}

int fw_ruleset_read(const char *json, size_t len, struct fw_ruleset *ret, char ret_why[static FW_WHY_BYTES])
{
	struct fw_ruleset rs = { .root = NULL };
	const json_t *items;
	json_error_t err;
	int r = 0;

	rs.root = json_loadb(json, len, 0, &err);
	items = json_object_get(rs.root, "nftables");
	if (!json_is_array(items) || json_object_get(json_array_get(items, 0), "metainfo") == NULL) {
		snprintf(ret_why, FW_WHY_BYTES, "nftables' JSON does not parse%s%.80s", rs.root == NULL ? ": " : "",
			 rs.root == NULL ? err.text : "");
		fw_ruleset_free(&rs);
		return -EINVAL;
	}
	for (size_t i = 0; r == 0 && i < json_array_size(items); i++) {
		snprintf(ret_why, FW_WHY_BYTES, "object %zu of nftables' JSON is not one that we know", i);
		r = item_read(&rs, json_array_get(items, i), ret_why);
	}
	if (r < 0) {
		fw_ruleset_free(&rs);
		return r;
	}
	find_changes(&rs);
	ret_why[0] = '\0';
	*ret = rs;
	return 0;
}

void fw_ruleset_free(struct fw_ruleset *rs)
{
	for (uint32_t i = 0; i < rs->chain_cnt; i++)
		free(rs->chains[i].rules);
	free(rs->chains);
	free(rs->index);
	free(rs->objects);
	json_decref(rs->root);
	*rs = (struct fw_ruleset){ .root = NULL };
}
