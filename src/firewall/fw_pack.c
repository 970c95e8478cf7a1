// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_pack.h"

#include "firewall/fw_listing.h"

#include <errno.h>
#include <stdlib.h>

enum { MAGIC = 0x766a6677, ALIGN = 16 };

enum section { CELLS, GAPS, COUNTERS, MARKS, CHAINS, PORTS, TEXT, LINES, NOT_DIRECT, ANSWERS, AT, SECTION_CNT };

static const uint32_t each[SECTION_CNT] = {
	[CELLS] = sizeof(union filter_cell),	[GAPS] = sizeof(struct fw_gap),	  [COUNTERS] = sizeof(struct fw_counter),
	[MARKS] = sizeof(struct fw_mark),	[CHAINS] = sizeof(struct fw_place), [PORTS] = sizeof(struct fw_range),
	[TEXT] = 1,				[LINES] = sizeof(struct fw_line), [NOT_DIRECT] = sizeof(uint32_t),
	[ANSWERS] = sizeof(struct fw_port_answer), [AT] = sizeof(uint32_t),
};

struct head {
	uint32_t magic, longest;
	uint64_t expires_s;
	char why[FW_WHY_BYTES];
	struct {
		uint64_t at;
		uint64_t cnt;
	} section[SECTION_CNT];
};

/* ---- made */

static int compare_lines(const void *a, const void *b)
{
	const struct fw_line *x = a, *y = b;

	if (x->handle != y->handle)
		return x->handle < y->handle ? -1 : 1;
	return x->chain < y->chain ? -1 : x->chain > y->chain;
}

/* Both readings have the chains in the same order, mostly. Return: its number; chain_cnt: it isn't there */
static uint32_t chain_of(const struct fw_program *prog, struct fw_place place, uint32_t guess)
{
	place.handle = 0;
	for (uint32_t i = 0; i < prog->chain_cnt; i++) {
		uint32_t at = (guess + i) % prog->chain_cnt;

		if (fw_place_eq(&prog->chains[at], &place))
			return at;
	}
	return prog->chain_cnt;
}

static int find_lines(struct fw_result *res)
{
	struct fw_listing l = fw_listing_begin(res->text);
	struct fw_line *lines = NULL, *more;
	uint32_t max = 0, chain = 0;
	struct fw_piece p;

	while (fw_listing_next(&l, &p)) {
		if (p.kind != FW_PIECE_RULE || (chain = chain_of(&res->prog, p.place, chain)) == res->prog.chain_cnt)
			continue;
		if (res->line_cnt == max) {
			max = max > 0 ? 2 * max : 256;
			more = realloc(lines, max * sizeof(*lines));
			if (more == NULL) {
				free(lines);
				res->line_cnt = 0;
				return -ENOMEM;
			}
			lines = more;
		}
		lines[res->line_cnt++] = (struct fw_line){ .handle = p.place.handle, .chain = chain,
							   .at = (uint32_t)(p.text - res->text), .len = (uint32_t)p.len };
	}
	if (res->line_cnt > 0)
		qsort(lines, res->line_cnt, sizeof(*lines), compare_lines);
	res->lines = lines;
	return 0;
}

static int find_not_direct(struct fw_result *res)
{
	uint8_t *against = calloc((size_t)res->prog.cell_cnt + 1, 1);
	uint32_t *cells = calloc((size_t)res->prog.cell_cnt + 1, sizeof(*cells));

	if (against == NULL || cells == NULL) {
		free(against);
		free(cells);
		return -ENOMEM;
	}
	fw_port_not_direct(&res->prog, against);
	for (uint32_t i = 0; i < res->prog.cell_cnt; i++)
		if (against[i] != 0)
			cells[res->not_direct_cnt++] = i;
	res->not_direct = cells;
	free(against);
	return 0;
}

static int answer(struct fw_result *res, const struct fw_port_key *keys, uint32_t key_cnt)
{
	uint32_t ports = res->prog.port_cnt;
	struct fw_port_answer *answers = calloc((size_t)key_cnt + 1, sizeof(*answers));
	uint32_t *at = calloc(((size_t)key_cnt + 1) * ports, sizeof(*at));

	res->answers = answers;
	res->at = at;
	if (answers == NULL || at == NULL)
		return -ENOMEM;
	for (; res->answer_cnt < key_cnt; res->answer_cnt++) {
		uint32_t *of = at + res->at_cnt, any = 0;

		fw_port_against(&res->prog, &keys[res->answer_cnt], of);
		for (uint32_t i = 0; i < ports; i++)
			any |= of[i];
		answers[res->answer_cnt] = (struct fw_port_answer){ keys[res->answer_cnt], any != 0 ? res->at_cnt : FW_AGAINST_NONE };
		/* what is all 0 is where the next one goes */
		res->at_cnt += any != 0 ? ports : 0;
	}
	return 0;
}

int fw_result_make(struct fw_result *res, const struct fw_port_key *keys, uint32_t key_cnt)
{
	int r = find_lines(res);

	if (r == 0)
		r = find_not_direct(res);
	if (r == 0)
		r = answer(res, keys, key_cnt);
	if (r < 0)
		fw_result_free(res);
	return r;
}

void fw_result_free(struct fw_result *res)
{
	fw_program_free(&res->prog);
	free((void *)(uintptr_t)res->lines);
	free((void *)(uintptr_t)res->not_direct);
	free((void *)(uintptr_t)res->answers);
	free((void *)(uintptr_t)res->at);
	*res = (struct fw_result){ .why = "" };
}

/* ---- written */

struct part {
	const void *of;
	uint64_t cnt;
};

static void parts_of(const struct fw_result *res, struct part parts[static SECTION_CNT])
{
	const struct fw_program *p = &res->prog;

	parts[CELLS] = (struct part){ p->cells, p->cell_cnt };
	parts[GAPS] = (struct part){ p->gaps, p->gap_cnt };
	parts[COUNTERS] = (struct part){ p->counters, p->counter_cnt };
	parts[MARKS] = (struct part){ p->marks, p->mark_cnt };
	parts[CHAINS] = (struct part){ p->chains, p->chain_cnt };
	parts[PORTS] = (struct part){ p->ports, p->port_cnt };
	parts[TEXT] = (struct part){ res->text, res->text_bytes };
	parts[LINES] = (struct part){ res->lines, res->line_cnt };
	parts[NOT_DIRECT] = (struct part){ res->not_direct, res->not_direct_cnt };
	parts[ANSWERS] = (struct part){ res->answers, res->answer_cnt };
	parts[AT] = (struct part){ res->at, res->at_cnt };
}

static uint64_t aligned(uint64_t at)
{
	return (at + ALIGN - 1) / ALIGN * ALIGN;
}

uint8_t *fw_pack(const struct fw_result *res, size_t *ret_len)
{
	struct head head = { .magic = MAGIC, .longest = res->prog.longest, .expires_s = res->prog.expires_s };
	struct part parts[SECTION_CNT];
	uint64_t at = aligned(sizeof(head));
	uint8_t *bytes;

	parts_of(res, parts);
	memcpy(head.why, res->why, sizeof(head.why));
	for (unsigned i = 0; i < SECTION_CNT; i++) {
		head.section[i].at = at;
		head.section[i].cnt = parts[i].cnt;
		at = aligned(at + parts[i].cnt * each[i]);
	}
	bytes = calloc(1, at);
	if (bytes == NULL)
		return NULL;
	memcpy(bytes, &head, sizeof(head));
	for (unsigned i = 0; i < SECTION_CNT; i++)
		if (parts[i].cnt > 0)
			memcpy(bytes + head.section[i].at, parts[i].of, parts[i].cnt * each[i]);
	*ret_len = at;
	return bytes;
}

/* ---- read */

static bool ends(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static bool place_ends(const struct fw_place *p)
{
	return ends(p->family, sizeof(p->family)) && ends(p->table, sizeof(p->table)) && ends(p->chain, sizeof(p->chain));
}

static bool program_is_whole(const struct fw_program *p)
{
	const struct filter_head *head = &p->cells[0].head;
	bool ok = p->cell_cnt > FILTER_KEPT_FIRST && p->cell_cnt <= FILTER_CELLS_MAX && head->magic == FILTER_MAGIC &&
		  head->entry[FILTER_INBOUND] < p->cell_cnt && head->entry[FILTER_OUTBOUND] < p->cell_cnt;

	for (uint32_t i = 0; ok && i < p->gap_cnt; i++)
		ok = place_ends(&p->gaps[i].place) && ends(p->gaps[i].why, sizeof(p->gaps[i].why));
	for (uint32_t i = 0; ok && i < p->counter_cnt; i++)
		ok = place_ends(&p->counters[i].place) && p->counters[i].cell < p->cell_cnt;
	for (uint32_t i = 0; ok && i < p->chain_cnt; i++)
		ok = place_ends(&p->chains[i]);
	for (uint32_t i = 0; ok && i < p->mark_cnt; i++)
		ok = p->marks[i].chain < p->chain_cnt && (i == 0 || p->marks[i].cell >= p->marks[i - 1].cell);
	return ok;
}

/* Classes from the first port to the last, without a hole. */
static bool ports_are_whole(const struct fw_program *p)
{
	bool ok = p->port_cnt > 0 && p->port_cnt <= UINT16_MAX + 1u && p->ports[0].lo == 0 && p->ports[p->port_cnt - 1].hi == UINT16_MAX;

	for (uint32_t i = 0; ok && i < p->port_cnt; i++)
		ok = p->ports[i].lo <= p->ports[i].hi && (i == 0 || p->ports[i].lo == p->ports[i - 1].hi + 1);
	return ok;
}

static bool is_whole(const struct fw_result *res)
{
	bool ok = res->text_bytes > 0 && res->text[res->text_bytes - 1] == '\0' && program_is_whole(&res->prog) && ports_are_whole(&res->prog);

	for (uint32_t i = 0; ok && i < res->line_cnt; i++)
		ok = res->lines[i].chain < res->prog.chain_cnt && res->lines[i].len > 0 && res->lines[i].at < res->text_bytes &&
		     res->lines[i].len < res->text_bytes - res->lines[i].at;
	for (uint32_t i = 0; ok && i < res->not_direct_cnt; i++)
		ok = res->not_direct[i] < res->prog.cell_cnt;
	for (uint32_t i = 0; ok && i < res->answer_cnt; i++)
		ok = res->answers[i].first == FW_AGAINST_NONE ||
		     (res->answers[i].first < res->at_cnt && res->prog.port_cnt <= res->at_cnt - res->answers[i].first);
	return ok;
}

static bool find_section(const uint8_t *bytes, size_t len, const struct head *head, enum section nr, const void **ret, uint32_t *ret_cnt)
{
	uint64_t at = head->section[nr].at, cnt = head->section[nr].cnt;

	if (at % ALIGN != 0 || at > len || cnt > (len - at) / each[nr] || cnt > UINT32_MAX)
		return false;
	*ret = bytes + at;
	*ret_cnt = (uint32_t)cnt;
	return true;
}

int fw_unpack(const uint8_t *bytes, size_t len, struct fw_result *ret_res)
{
	struct fw_result res = { .why = "" };
	const void *of[SECTION_CNT];
	uint32_t cnt[SECTION_CNT];
	struct head head;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, bytes, sizeof(head));
	if (head.magic != MAGIC || !ends(head.why, sizeof(head.why)))
		return -EINVAL;
	for (enum section i = 0; i < SECTION_CNT; i++)
		if (!find_section(bytes, len, &head, i, &of[i], &cnt[i]))
			return -EINVAL;
	memcpy(res.why, head.why, sizeof(res.why));
	if (res.why[0] != '\0') {
		*ret_res = res;
		return 0;
	}
	/* nobody writes to what is pointed to */
	res.prog = (struct fw_program){ .cells = (void *)(uintptr_t)of[CELLS], .cell_cnt = cnt[CELLS],
					.gaps = (void *)(uintptr_t)of[GAPS], .gap_cnt = cnt[GAPS],
					.counters = (void *)(uintptr_t)of[COUNTERS], .counter_cnt = cnt[COUNTERS],
					.marks = (void *)(uintptr_t)of[MARKS], .mark_cnt = cnt[MARKS],
					.chains = (void *)(uintptr_t)of[CHAINS], .chain_cnt = cnt[CHAINS],
					.ports = (void *)(uintptr_t)of[PORTS], .port_cnt = cnt[PORTS],
					.longest = head.longest, .expires_s = head.expires_s };
	res.text = of[TEXT];
	res.text_bytes = cnt[TEXT];
	res.lines = of[LINES];
	res.line_cnt = cnt[LINES];
	res.not_direct = of[NOT_DIRECT];
	res.not_direct_cnt = cnt[NOT_DIRECT];
	res.answers = of[ANSWERS];
	res.answer_cnt = cnt[ANSWERS];
	res.at = of[AT];
	res.at_cnt = cnt[AT];
	if (!is_whole(&res))
		return -EINVAL;
	*ret_res = res;
	return 0;
}

bool fw_result_rule(const struct fw_result *res, const struct fw_place *place, char *ret_rule, size_t bytes)
{
	uint32_t lo = 0, hi = res->line_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (res->lines[mid].handle < place->handle)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < res->line_cnt && res->lines[lo].handle == place->handle; lo++) {
		const struct fw_line *l = &res->lines[lo];
		struct fw_place of = res->prog.chains[l->chain];

		of.handle = l->handle;
		if (fw_place_eq(&of, place)) {
			fw_listing_quote(&(struct fw_piece){ .kind = FW_PIECE_RULE, .text = res->text + l->at, .len = l->len }, ret_rule, bytes);
			return true;
		}
	}
	return false;
}
