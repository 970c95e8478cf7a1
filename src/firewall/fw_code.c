// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells */

static bool grow(struct fw_cells *cells)
{
	uint32_t max = cells->max > 0 ? cells->max * 2 : 256;
	union filter_cell *at = realloc(cells->at, max * sizeof(*at));
	uint8_t *kinds;
	uint32_t *steps;

	if (at == NULL)
		return false;
	cells->at = at;
	kinds = realloc(cells->kinds, max * sizeof(*kinds));
	if (kinds == NULL)
		return false;
	cells->kinds = kinds;
	steps = realloc(cells->steps, max * sizeof(*steps));
	if (steps == NULL)
		return false;
	cells->steps = steps;
	cells->max = max;
	return true;
}

static uint32_t append(struct fw_code *c, struct fw_cells *cells, const union filter_cell *cell, enum fw_kind kind)
{
	if (c->err == 0 && c->code.cnt + c->data.cnt + 2 > FILTER_CELLS_MAX)
		c->err = -E2BIG;
	if (c->err == 0 && cells->cnt == cells->max && !grow(cells))
		c->err = -ENOMEM;
	if (c->err != 0)
		return 0;
	cells->at[cells->cnt] = *cell;
	cells->kinds[cells->cnt] = (uint8_t)kind;
	cells->steps[cells->cnt] = 0;
	return cells->cnt++;
}

uint32_t fw_emit(struct fw_code *c, struct filter_insn insn)
{
	const union filter_cell cell = { .insn = insn };

	return append(c, &c->code, &cell, FW_KIND_OTHER);
}

void fw_emit_limit(struct fw_code *c, struct filter_limit limit)
{
	const union filter_cell cell = { .limit = limit };

	append(c, &c->code, &cell, FW_KIND_LIMIT);
}

uint32_t fw_data(struct fw_code *c, union filter_cell cell, enum fw_kind kind)
{
	return append(c, &c->data, &cell, kind);
}

uint32_t fw_kept(struct fw_code *c, union filter_cell cell, uint64_t whose, bool is_bucket)
{
	const union filter_cell kept = { .kept = { .whose = whose, .next = c->kept, .is_bucket = is_bucket } };
	uint32_t at = fw_data(c, cell, FW_KIND_OTHER);

	c->kept = fw_data(c, kept, FW_KIND_KEPT) + 1;
	return at;
}

static void cells_free(struct fw_cells *cells)
{
	free(cells->at);
	free(cells->kinds);
	free(cells->steps);
	*cells = (struct fw_cells){ .cnt = 0 };
}

void fw_code_free(struct fw_code *c)
{
	cells_free(&c->code);
	cells_free(&c->data);
}

static void link_code(struct fw_cells *code, uint32_t data_base)
{
	for (uint32_t i = FILTER_KEPT_FIRST + 1; i < code->cnt; i++) {
		struct filter_insn *insn = &code->at[i].insn;

		if (code->kinds[i] != FW_KIND_LIMIT &&
		    (insn->op == FILTER_OP_LOOKUP || insn->op == FILTER_OP_COUNT || insn->op == FILTER_OP_LIMIT))
			insn->a += data_base;
	}
}

static void link_data(struct fw_cells *data, uint32_t data_base)
{
	for (uint32_t i = 0; i < data->cnt; i++) {
		struct filter_kept *kept = &data->at[i].kept;

		if (data->kinds[i] == FW_KIND_ENTRY && data->at[i].entry.field != FILTER_LEAF)
			data->at[i].entry.first += data_base;
		if (data->kinds[i] == FW_KIND_KEPT && kept->next != 0)
			kept->next += data_base - 1;
	}
}

int fw_code_link(struct fw_code *c, union filter_cell **ret_cells, uint32_t *ret_cnt)
{
	uint32_t cnt = c->code.cnt + c->data.cnt;
	union filter_cell *cells;

	if (c->err != 0)
		return c->err;
	cells = malloc(cnt * sizeof(*cells));
	if (cells == NULL)
		return -ENOMEM;
	link_code(&c->code, c->code.cnt);
	c->code.at[FILTER_KEPT_FIRST].kept = (struct filter_kept){ .next = c->kept != 0 ? c->code.cnt + c->kept - 1 : 0 };
	link_data(&c->data, c->code.cnt);
	memcpy(cells, c->code.at, c->code.cnt * sizeof(*cells));
	if (c->data.cnt > 0)
		memcpy(cells + c->code.cnt, c->data.at, c->data.cnt * sizeof(*cells));
	*ret_cells = cells;
	*ret_cnt = cnt;
	fw_code_free(c);
	return 0;
}
