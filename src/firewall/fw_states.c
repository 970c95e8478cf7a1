// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_states.h"

#include "firewall/fw_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From the base chain over what will be come back to down to the instruction, as numbers. */
static uint32_t place_len(const struct fw_state *s)
{
	return s->accept_pc != 0 ? s->depth + 3 : 1;
}

static uint32_t place_nth(const struct fw_state *s, uint32_t i)
{
	if (i + 1 == place_len(s))
		return s->pc;
	return i == 0 ? s->accept_pc : i == 1 ? s->return_pc : s->stack[i - 2];
}

static int compare_nr(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

/* Before it is come back to a place all that leads there is done: the longer one is first. Equal: the same state. */
static int compare(const struct fw_state *a, const struct fw_state *b)
{
	uint32_t a_len = place_len(a), b_len = place_len(b), len = min_u32(a_len, b_len);
	int r = 0;

	for (uint32_t i = 0; i < len && r == 0; i++)
		r = compare_nr(place_nth(a, i), place_nth(b, i));
	if (r == 0)
		r = compare_nr(b_len, a_len);
	if (r == 0)
		r = compare_nr(a->ct, b->ct);
	if (r == 0)
		r = compare_nr(a->after_pc, b->after_pc);
	return r != 0 ? r : compare_nr(a->go_on_pc, b->go_on_pc);
}

static bool room(struct fw_states *st, struct fw_state ***array, uint32_t cnt, uint32_t *max)
{
	uint32_t more = *max > 0 ? 2 * *max : 64;
	struct fw_state **grown;

	if (cnt < *max)
		return true;
	grown = realloc(*array, more * sizeof(struct fw_state *));
	if (grown == NULL) {
		st->err = -ENOMEM;
		return false;
	}
	*array = grown;
	*max = more;
	return true;
}

struct fw_state *fw_states_new(struct fw_states *st)
{
	struct fw_state *s;

	if (st->spare_cnt > 0)
		return st->spare[--st->spare_cnt];
	s = malloc(sizeof(*s) + st->words * sizeof(s->ports[0]));
	if (s == NULL)
		st->err = -ENOMEM;
	return s;
}

void fw_states_done(struct fw_states *st, struct fw_state *s)
{
	if (room(st, &st->spare, st->spare_cnt, &st->spare_max))
		st->spare[st->spare_cnt++] = s;
	else
		free(s);
}

void fw_states_go(struct fw_states *st, const struct fw_state *from, uint32_t pc, const uint64_t *ports)
{
	struct fw_state key = *from, *s;
	uint32_t lo = 0, hi = st->todo_cnt;

	key.pc = pc;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r = compare(st->todo[mid], &key);

		if (r == 0) {
			fw_set_add(st->todo[mid]->ports, ports, st->words);
			return;
		}
		if (r > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (st->err != 0 || !room(st, &st->todo, st->todo_cnt, &st->todo_max) || (s = fw_states_new(st)) == NULL)
		return;
	*s = key;
	fw_set_copy(s->ports, ports, st->words);
	memmove(st->todo + lo + 1, st->todo + lo, (st->todo_cnt - lo) * sizeof(struct fw_state *));
	st->todo[lo] = s;
	st->todo_cnt++;
}

struct fw_state *fw_states_next(struct fw_states *st)
{
	return st->err == 0 && st->todo_cnt > 0 ? st->todo[--st->todo_cnt] : NULL;
}

void fw_states_fini(struct fw_states *st)
{
	while (st->todo_cnt > 0)
		free(st->todo[--st->todo_cnt]);
	while (st->spare_cnt > 0)
		free(st->spare[--st->spare_cnt]);
	free(st->todo);
	free(st->spare);
}
