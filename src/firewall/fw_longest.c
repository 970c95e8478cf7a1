// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_longest.c - how long is the longest way through a program?
 *
 * Within a chain all ways lead ahead, so its code is measured from its end; other chains by recursion, which is as deep as
 * jumps can be. The kernel takes no ruleset with a loop, but the text that was read might have one.
 */
#include "firewall/fw_compile.h"

#include <errno.h>
#include <stdlib.h>

enum { TOO_MANY = FILTER_STEPS_MAX + 1, UNDER_WAY = UINT32_MAX };

struct measure {
	struct fw_ruleset *rs;
	const struct fw_code *c;
	uint32_t *steps; /* by instruction: from there to the end of its chain */
	unsigned depth;	 /* of chains that were jumped to */
};

/* Code [start, end) of one chain. */
struct block {
	uint32_t start, end;
};

static uint32_t capped(uint64_t steps)
{
	return steps < TOO_MANY ? (uint32_t)steps : TOO_MANY;
}

static uint32_t measure_chain(struct measure *m, struct fw_chain *ch, enum fw_when when);

static uint32_t chain_at(struct measure *m, uint32_t pc)
{
	for (uint32_t i = 0; i < m->rs->chain_cnt; i++)
		for (enum fw_when w = 0; w < FW_WHEN_CNT; w++)
			if (m->rs->chains[i].code[w].start == pc && m->rs->chains[i].code[w].end != 0)
				return measure_chain(m, &m->rs->chains[i], w);
	return TOO_MANY;
}

/* Where a chain ends, or skips to its end, nothing more is counted. */
static uint32_t from(struct measure *m, const struct block *b, uint32_t pc)
{
	if (pc == b->end)
		return 0;
	return pc > b->start && pc < b->end ? m->steps[pc] : chain_at(m, pc);
}

/* The dearest of what a map leads to. */
static uint32_t dearest_leaf(struct measure *m, uint32_t first, uint32_t cnt)
{
	uint32_t most = 0;

	for (uint32_t i = first; i < first + cnt; i++) {
		const struct filter_entry *e = &m->c->data.at[i].entry;
		const struct filter_insn *leaf;

		if (e->field != FILTER_LEAF) {
			most = max_u32(most, dearest_leaf(m, e->first, e->cnt));
			continue;
		}
		leaf = &m->c->code.at[e->first].insn;
		if (leaf->op == FILTER_OP_MAP_JUMP)
			most = max_u32(most, 1 + chain_at(m, leaf->a));
		else
			most = max_u32(most, 1 + (leaf->op == FILTER_OP_GOTO ? chain_at(m, leaf->next) : 0));
	}
	return most;
}

static uint32_t measure_insn(struct measure *m, const struct block *b, uint32_t pc)
{
	const struct filter_insn *insn = &m->c->code.at[pc].insn;
	uint64_t here = 1;

	switch (insn->op) {
	case FILTER_OP_GOTO:
		return capped(here + from(m, b, insn->next));
	case FILTER_OP_JUMP:
		return capped(here + from(m, b, insn->a) + from(m, b, insn->next));
	case FILTER_OP_COUNT:
	case FILTER_OP_BASE:
		return capped(here + from(m, b, pc + 1));
	case FILTER_OP_LIMIT:
		return capped(here + max_u32(from(m, b, pc + 2), from(m, b, insn->next)));
	case FILTER_OP_LOOKUP:
		here += m->c->code.steps[pc];
		if (insn->arg == FILTER_LOOKUP_MAP)
			here += dearest_leaf(m, insn->a, insn->b);
		break;
	default:
		if (insn->op < FILTER_OP_EQ || insn->op > FILTER_OP_OUT)
			return 1;
	}
	return capped(here + max_u32(from(m, b, pc + 1), from(m, b, insn->next)));
}

static uint32_t measure_chain(struct measure *m, struct fw_chain *ch, enum fw_when when)
{
	const struct block b = { ch->code[when].start, ch->code[when].end };

	if (ch->code[when].steps == UNDER_WAY || m->depth > FILTER_DEPTH_MAX)
		return TOO_MANY;
	if (ch->code[when].steps != 0)
		return ch->code[when].steps;
	ch->code[when].steps = UNDER_WAY;
	m->depth++;
	for (uint32_t pc = b.end; pc-- > b.start;)
		if (m->c->code.kinds[pc] != FW_KIND_LIMIT)
			m->steps[pc] = measure_insn(m, &b, pc);
	m->depth--;
	ch->code[when].steps = m->steps[b.start];
	return m->steps[b.start];
}

int fw_longest(struct fw_ruleset *rs, const struct fw_code *c, uint32_t *ret_steps)
{
	struct measure m = { rs, c, calloc(c->code.cnt + 1, sizeof(uint32_t)), 0 };
	uint64_t steps = 8; /* where it begins, where connections become known, where it ends; both directions */

	if (m.steps == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < rs->chain_cnt; i++)
		for (enum fw_when w = 0; w < FW_WHEN_CNT; w++)
			/* a base chain's two tests stand before it */
			if (rs->chains[i].hook != FW_HOOK_NONE && rs->chains[i].code[w].end != 0)
				steps += 2 + (uint64_t)measure_chain(&m, &rs->chains[i], w);
			else if (rs->chains[i].code[w].end != 0 && measure_chain(&m, &rs->chains[i], w) == TOO_MANY)
				steps = TOO_MANY;
	free(m.steps);
	if (steps >= TOO_MANY)
		return -E2BIG;
	*ret_steps = (uint32_t)steps;
	return 0;
}
