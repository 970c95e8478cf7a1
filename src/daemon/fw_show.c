// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_show.h"

#include "firewall/fw_listing.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tallies {
	const struct fw_tally *at; /* sorted */
	size_t cnt;
};

/* ---- found by place */

static int compare_place(const struct fw_place *a, const struct fw_place *b)
{
	int r = a->handle < b->handle ? -1 : a->handle > b->handle;

	if (r == 0)
		r = strcmp(a->chain, b->chain);
	if (r == 0)
		r = strcmp(a->table, b->table);
	return r != 0 ? r : strcmp(a->family, b->family);
}

static int compare(const void *a, const void *b)
{
	return compare_place(&((const struct fw_tally *)a)->place, &((const struct fw_tally *)b)->place);
}

static struct tallies sorted(struct fw_tally *tallies, size_t cnt)
{
	if (cnt > 0)
		qsort(tallies, cnt, sizeof(*tallies), compare);
	return (struct tallies){ tallies, cnt };
}

/* Those of one place stand together. Return: the first, and how many */
static const struct fw_tally *find(const struct tallies *t, const struct fw_place *place, size_t *ret_cnt)
{
	size_t from = 0, to = t->cnt;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (compare_place(&t->at[mid].place, place) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	while (to < t->cnt && compare_place(&t->at[to].place, place) == 0)
		to++;
	*ret_cnt = to - from;
	return t->at + from;
}

/* A chain that is reached before connections are known, and after, has its counters twice. */
static void add(const struct tallies *t, const struct fw_place *place, bool named, uint32_t nth, uint64_t *packets, uint64_t *bytes)
{
	size_t cnt;
	const struct fw_tally *of = find(t, place, &cnt);

	for (size_t i = 0; i < cnt; i++)
		if (of[i].kind == (named ? FW_TALLY_NAMED : FW_TALLY_COUNTER) && of[i].nth == nth) {
			*packets += of[i].packets;
			*bytes += of[i].bytes;
		}
}

/* @kind: FW_TALLY_GAP or FW_TALLY_NOT_DIRECT */
static const char *why_at(const struct tallies *t, const struct fw_place *place, enum fw_tally_kind kind)
{
	size_t cnt;
	const struct fw_tally *of = find(t, place, &cnt);

	for (size_t i = 0; i < cnt; i++)
		if (of[i].kind == kind)
			return of[i].why;
	return NULL;
}

/* ---- text */

static void remark(FILE *to, const struct tallies *t, const struct fw_place *place)
{
	const char *gap = why_at(t, place, FW_TALLY_GAP), *not_direct = why_at(t, place, FW_TALLY_NOT_DIRECT);

	if (gap != NULL)
		fprintf(to, " # only the kernel has it: %s", gap);
	else if (not_direct != NULL)
		fprintf(to, " # keeps ports off channels between programs of this host: %s", not_direct);
}

static void show_piece(FILE *to, const struct tallies *t, const struct fw_piece *p, bool handles)
{
	size_t end = p->len - (p->text[p->len - 1] == '\n'), from = 0, at, len, next;
	bool counts = p->kind == FW_PIECE_RULE || p->kind == FW_PIECE_COUNTER;
	uint64_t handle, packets, bytes;

	if (!handles)
		end = fw_piece_handle(p->text, end, &handle);
	for (uint32_t nth = 0; counts && (next = fw_piece_counter(p, from, &at, &len, &packets, &bytes)) != 0; nth++) {
		add(t, &p->place, p->kind == FW_PIECE_COUNTER, nth, &packets, &bytes);
		fprintf(to, "%.*spackets %" PRIu64 " bytes %" PRIu64, (int)(at - from), p->text + from, packets, bytes);
		from = next;
	}
	fwrite(p->text + from, 1, end - from, to);
	if (p->kind == FW_PIECE_RULE || p->kind == FW_PIECE_CHAIN)
		remark(to, t, &p->place);
	fputc('\n', to);
}

bool fw_show_text(int fd, const char *text, struct fw_tally *tallies, size_t cnt, bool handles)
{
	const struct tallies t = sorted(tallies, cnt);
	struct fw_listing l = fw_listing_begin(text);
	FILE *to = fdopen(dup(fd), "w");
	struct fw_piece p;
	bool ok;

	if (to == NULL)
		return false;
	while (fw_listing_next(&l, &p))
		show_piece(to, &t, &p, handles);
	ok = ferror(to) == 0;
	return fclose(to) == 0 && ok;
}

/* ---- JSON */

static void place_of(const json_t *o, const char *name, uint64_t handle, struct fw_place *ret)
{
	const char *family = json_string_value(json_object_get(o, "family")), *table = json_string_value(json_object_get(o, "table"));
	const char *chain = json_string_value(json_object_get(o, name));

	*ret = (struct fw_place){ .handle = handle };
	snprintf(ret->family, sizeof(ret->family), "%s", family != NULL ? family : "");
	snprintf(ret->table, sizeof(ret->table), "%s", table != NULL ? table : "");
	snprintf(ret->chain, sizeof(ret->chain), "%s", chain != NULL ? chain : "");
}

static void add_json(const struct tallies *t, json_t *counter, const struct fw_place *place, bool named, uint32_t nth)
{
	uint64_t packets = (uint64_t)json_integer_value(json_object_get(counter, "packets"));
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(counter, "bytes"));

	add(t, place, named, nth, &packets, &bytes);
	json_object_set_new(counter, "packets", json_integer((json_int_t)packets));
	json_object_set_new(counter, "bytes", json_integer((json_int_t)bytes));
}

static void say_why(const struct tallies *t, json_t *o, const struct fw_place *place)
{
	const char *gap = why_at(t, place, FW_TALLY_GAP), *not_direct = why_at(t, place, FW_TALLY_NOT_DIRECT);

	if (gap != NULL)
		json_object_set_new(o, "vjchan", json_pack("{s:s}", "only_kernel", gap));
	else if (not_direct != NULL)
		json_object_set_new(o, "vjchan", json_pack("{s:s}", "not_direct", not_direct));
}

static void show_rule(const struct tallies *t, json_t *rule)
{
	const json_t *exprs = json_object_get(rule, "expr");
	struct fw_place place;
	uint32_t nth = 0;

	place_of(rule, "chain", (uint64_t)json_integer_value(json_object_get(rule, "handle")), &place);
	for (size_t i = 0; i < json_array_size(exprs); i++) {
		json_t *counter = json_object_get(json_array_get(exprs, i), "counter");

		if (json_is_object(counter))
			add_json(t, counter, &place, false, nth++);
	}
	say_why(t, rule, &place);
}

static void show_item(const struct tallies *t, json_t *item)
{
	json_t *rule = json_object_get(item, "rule"), *chain = json_object_get(item, "chain");
	json_t *counter = json_object_get(item, "counter");
	struct fw_place place;

	if (rule != NULL)
		show_rule(t, rule);
	if (chain != NULL) {
		place_of(chain, "name", 0, &place);
		say_why(t, chain, &place);
	}
	if (counter != NULL) {
		place_of(counter, "name", 0, &place);
		add_json(t, counter, &place, true, 0);
	}
}

bool fw_show_json(int fd, const char *json, struct fw_tally *tallies, size_t cnt)
{
	const struct tallies t = sorted(tallies, cnt);
	json_t *root = json_loads(json, 0, NULL), *items = json_object_get(root, "nftables");
	bool ok = json_is_array(items);

	for (size_t i = 0; i < json_array_size(items); i++)
		show_item(&t, json_array_get(items, i));
	ok = ok && json_dumpfd(root, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1;
	json_decref(root);
	return ok;
}
