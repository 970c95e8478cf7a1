// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_tree.c - boxes to a table: a level for each word of the key, intervals in each
 *
 * At one level the ends of all intervals cut the numbers into pieces; over each piece lie some of the boxes, and the table of the next level is made of
 * those. Where boxes are disjoint or the same at a level, as in sets that people write, no box is in two pieces; in the
 * worst case pieces multiply, and room ends (-E2BIG).
 */
#include "firewall/fw_code.h"

#include <errno.h>
#include <stdlib.h>

struct maker {
	struct fw_code *c;
	const struct fw_box *boxes;
	const uint8_t *words;
	unsigned word_cnt;
};

/* A table, or (field FILTER_LEAF) what was found */
struct node {
	uint32_t first, cnt, field, depth;
};

static int node_make(const struct maker *m, unsigned level, const uint32_t *ids, uint32_t cnt, struct node *ret);

static int leaf(const struct maker *m, const uint32_t *ids, uint32_t cnt, struct node *ret)
{
	for (uint32_t i = 1; i < cnt; i++)
		if (m->boxes[ids[i]].leaf != m->boxes[ids[0]].leaf)
			return -EEXIST;
	*ret = (struct node){ .first = m->boxes[ids[0]].leaf, .field = FILTER_LEAF };
	return 0;
}

static bool all_full(const struct maker *m, unsigned level, const uint32_t *ids, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (m->boxes[ids[i]].lo[level] != 0 || m->boxes[ids[i]].hi[level] != UINT32_MAX)
			return false;
	return true;
}

struct by_lo {
	const struct maker *m;
	unsigned level;
};

static int compare_lo(const void *a, const void *b, void *arg)
{
	const struct by_lo *by = arg;
	uint32_t x = by->m->boxes[*(const uint32_t *)a].lo[by->level], y = by->m->boxes[*(const uint32_t *)b].lo[by->level];

	return x < y ? -1 : x > y;
}

static int compare_cut(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Where a piece begins. Return: how many */
static uint32_t cuts_of(const struct maker *m, unsigned level, const uint32_t *ids, uint32_t cnt, uint64_t *cuts)
{
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		cuts[n++] = m->boxes[ids[i]].lo[level];
		cuts[n++] = (uint64_t)m->boxes[ids[i]].hi[level] + 1;
	}
	qsort(cuts, n, sizeof(*cuts), compare_cut);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || cuts[kept - 1] != cuts[i])
			cuts[kept++] = cuts[i];
	return kept;
}

struct level {
	uint32_t *sorted; /* boxes by their lower end */
	uint64_t *cuts;
	uint32_t *over; /* boxes over the piece */
	union filter_cell *entries;
	uint32_t cnt, cut_cnt, taken, over_cnt, entry_cnt, depth;
};

static void level_free(struct level *l)
{
	free(l->sorted);
	free(l->cuts);
	free(l->over);
	free(l->entries);
}

static int level_begin(const struct maker *m, unsigned nr, const uint32_t *ids, uint32_t cnt, struct level *ret)
{
	struct level l = {
		.sorted = malloc(cnt * sizeof(*l.sorted)),
		.cuts = malloc(2 * cnt * sizeof(*l.cuts)),
		.over = malloc(cnt * sizeof(*l.over)),
		.entries = malloc(2 * cnt * sizeof(*l.entries)),
		.cnt = cnt,
	};
	struct by_lo by = { m, nr };

	*ret = l;
	if (l.sorted == NULL || l.cuts == NULL || l.over == NULL || l.entries == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++)
		l.sorted[i] = ids[i];
	qsort_r(l.sorted, cnt, sizeof(*l.sorted), compare_lo, &by);
	ret->cut_cnt = cuts_of(m, nr, ids, cnt, l.cuts);
	return 0;
}

static void advance(const struct maker *m, unsigned nr, struct level *l, uint64_t cut)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->over_cnt; i++)
		if (m->boxes[l->over[i]].hi[nr] >= cut)
			l->over[kept++] = l->over[i];
	l->over_cnt = kept;
	while (l->taken < l->cnt && m->boxes[l->sorted[l->taken]].lo[nr] == cut)
		l->over[l->over_cnt++] = l->sorted[l->taken++];
}

/* A leaf that goes on where the last one ended makes it longer. */
static void add_entry(struct level *l, uint32_t lo, uint32_t hi, const struct node *n)
{
	struct filter_entry *last = l->entry_cnt > 0 ? &l->entries[l->entry_cnt - 1].entry : NULL;

	if (last != NULL && n->field == FILTER_LEAF && last->field == FILTER_LEAF && last->first == n->first &&
	    last->hi + 1 == lo) {
		last->hi = hi;
		return;
	}
	l->entries[l->entry_cnt++].entry = (struct filter_entry){
		.lo = lo, .hi = hi, .first = n->first, .cnt = n->cnt & 0xffffff, .field = n->field & 0xff
	};
	l->depth = max_u32(l->depth, n->depth);
}

static int level_fill(const struct maker *m, unsigned nr, struct level *l)
{
	for (uint32_t i = 0; i + 1 < l->cut_cnt; i++) {
		struct node below;
		int r;

		advance(m, nr, l, l->cuts[i]);
		if (l->over_cnt == 0)
			continue;
		r = node_make(m, nr + 1, l->over, l->over_cnt, &below);
		if (r < 0)
			return r;
		add_entry(l, (uint32_t)l->cuts[i], (uint32_t)(l->cuts[i + 1] - 1), &below);
	}
	return 0;
}

static uint32_t probes(uint32_t cnt)
{
	return cnt > 0 ? 32 - (uint32_t)__builtin_clz(cnt) : 0;
}

static int node_make(const struct maker *m, unsigned level, const uint32_t *ids, uint32_t cnt, struct node *ret)
{
	struct level l;
	int r;

	while (level < m->word_cnt && all_full(m, level, ids, cnt))
		level++;
	if (level == m->word_cnt)
		return leaf(m, ids, cnt, ret);
	r = level_begin(m, level, ids, cnt, &l);
	if (r == 0)
		r = level_fill(m, level, &l);
	if (r == 0) {
		*ret = (struct node){ .cnt = l.entry_cnt, .field = m->words[level], .depth = l.depth + probes(l.entry_cnt) };
		for (uint32_t i = 0; i < l.entry_cnt; i++) {
			uint32_t at = fw_data(m->c, l.entries[i], FW_KIND_ENTRY);

			if (i == 0)
				ret->first = at;
		}
		r = m->c->err;
	}
	level_free(&l);
	return r;
}

int fw_tree_make(struct fw_code *c, const struct fw_box *boxes, uint32_t box_cnt, const uint8_t *words, unsigned word_cnt,
		 struct fw_tree *ret_tree)
{
	struct maker m = { .c = c, .boxes = boxes, .words = words, .word_cnt = word_cnt };
	struct node root = { .cnt = 0 };
	uint32_t *ids;
	int r;

	if (box_cnt == 0) {
		*ret_tree = (struct fw_tree){ .cnt = 0 };
		return 0;
	}
	ids = malloc(box_cnt * sizeof(*ids));
	if (ids == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < box_cnt; i++)
		ids[i] = i;
	r = node_make(&m, 0, ids, box_cnt, &root);
	free(ids);
	if (r < 0)
		return r;
	/* all of the key's words may be anything: a table of one entry that says so */
	if (root.field == FILTER_LEAF) {
		const union filter_cell all = { .entry = { .hi = UINT32_MAX, .first = root.first, .field = FILTER_LEAF } };

		root = (struct node){ .first = fw_data(c, all, FW_KIND_ENTRY), .cnt = 1, .field = words[0], .depth = 1 };
	}
	*ret_tree = (struct fw_tree){ .first = root.first, .cnt = root.cnt, .field = root.field, .depth = root.depth };
	return c->err;
}
