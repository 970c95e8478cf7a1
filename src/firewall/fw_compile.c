// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_compile.c - the chains of a ruleset, in the order in which packets come to them
 *
 * Inbound: the base chains of prerouting, then those of input; outbound: output, then postrouting. At one hook by priority, of all families
 * that see IP packets: each begins with the test of its family. What a chain accepts goes on to the next, what it drops is gone. Chains
 * that are jumped to stand behind, once for all (twice, if also from before connections are known).
 */
#include "firewall/fw_compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CT_PRIO = -200, WHOLE_PRIO = -400 };

/* ---- base chains */

static int compare_base(const void *a, const void *b)
{
	const struct fw_chain *x = *(struct fw_chain *const *)a, *y = *(struct fw_chain *const *)b;

	if (x->hook != y->hook)
		return x->hook < y->hook ? -1 : 1;
	if (x->prio != y->prio)
		return x->prio < y->prio ? -1 : 1;
	/* the kernel puts the younger one before the older one (nf_hook_entries_grow()) */
	if (x->table_handle != y->table_handle)
		return x->table_handle > y->table_handle ? -1 : 1;
	return x->handle > y->handle ? -1 : x->handle < y->handle;
}

static bool is_family(const struct fw_chain *ch, const char *family)
{
	return strcmp(ch->family, family) == 0;
}

static bool sees_ip(const struct fw_chain *ch)
{
	return is_family(ch, "inet") || is_family(ch, "ip") || is_family(ch, "ip6");
}

/* A chain at a device is not compiled: but it is nothing, if nothing is in it. */
static bool is_at_device(const struct fw_chain *ch, enum filter_dir dir)
{
	return (sees_ip(ch) || is_family(ch, "netdev")) &&
	       ch->hook == (dir == FILTER_INBOUND ? FW_HOOK_INGRESS : FW_HOOK_EGRESS) && (ch->rule_cnt > 0 || ch->policy_drop);
}

static bool is_in(const struct fw_chain *ch, enum filter_dir dir)
{
	if (!sees_ip(ch))
		return false;
	return dir == FILTER_INBOUND ? ch->hook == FW_HOOK_PREROUTING || ch->hook == FW_HOOK_INPUT
				     : ch->hook == FW_HOOK_OUTPUT || ch->hook == FW_HOOK_POSTROUTING;
}

static enum fw_when when_of(const struct fw_chain *ch)
{
	bool early = ch->hook == FW_HOOK_PREROUTING || ch->hook == FW_HOOK_OUTPUT;

	return early && ch->prio <= CT_PRIO ? FW_BEFORE_CT : FW_AFTER_CT;
}

static void mark(struct fw_compiler *m, const struct fw_chain *ch, uint64_t handle)
{
	struct fw_program *p = &m->prog;

	if (fw_room(&m->c, &p->marks, p->mark_cnt, &m->mark_max, sizeof(*p->marks)))
		p->marks[p->mark_cnt++] = (struct fw_mark){ m->c.code.cnt, (uint32_t)(ch - m->rs.chains), handle };
}

/* Also what ends it: its policy, or the way back. */
static void rules_of(struct fw_compiler *m, const struct fw_chain *ch, enum fw_when when)
{
	for (uint32_t i = 0; m->c.err == 0 && i < ch->rule_cnt; i++) {
		mark(m, ch, fw_handle(ch->rules[i]));
		fw_rule_compile(m, ch, when, ch->rules[i]);
	}
	mark(m, ch, 0);
}

/* Where all tests of @tests[0, cnt) and instruction @base's accept lead. */
static void skip_to_end(struct fw_compiler *m, const uint32_t *tests, unsigned cnt)
{
	for (unsigned i = 0; m->c.err == 0 && i < cnt; i++)
		m->c.code.at[tests[i]].insn.next = m->c.code.cnt;
}

static void base_chain(struct fw_compiler *m, struct fw_chain *ch)
{
	struct fw_code *c = &m->c;
	uint32_t tests[2], cnt = 0, base, policy;

	if (!is_family(ch, "inet"))
		tests[cnt++] = fw_emit(c, (struct filter_insn){ .op = FILTER_OP_EQ, .field = FILTER_NFPROTO, .a = UINT32_MAX,
								.b = is_family(ch, "ip") ? FILTER_NFPROTO_IP4 : FILTER_NFPROTO_IP6 });
	if (ch->is_nat) {
		m->flags |= FILTER_TRACKS;
		tests[cnt++] = fw_emit(c, (struct filter_insn){ .op = FILTER_OP_EQ, .field = FILTER_CT_FIRST,
								.a = UINT32_MAX, .b = 1 });
	}
	/* before the kernel puts datagrams together */
	if (ch->hook == FW_HOOK_PREROUTING && ch->prio <= WHOLE_PRIO)
		m->flags |= FILTER_SIZED;
	base = fw_emit(c, (struct filter_insn){ .op = FILTER_OP_BASE });
	ch->code[when_of(ch)].start = base;
	rules_of(m, ch, when_of(ch));
	policy = fw_emit(c, (struct filter_insn){ .op = ch->policy_drop ? FILTER_OP_DROP : FILTER_OP_ACCEPT });
	ch->code[when_of(ch)].end = c->code.cnt;
	if (c->err == 0) {
		c->code.at[base].insn.a = c->code.cnt;
		c->code.at[base].insn.b = policy;
	}
	skip_to_end(m, tests, cnt);
}

/* Names are compared as a rule would: all four words. */
static void device_chain(struct fw_compiler *m, const struct fw_chain *ch, enum filter_dir dir)
{
	uint8_t name[16] = { 0 };
	uint32_t tests[4];

	if (ch->dev != NULL && strlen(ch->dev) < sizeof(name)) {
		memcpy(name, ch->dev, strlen(ch->dev));
		for (unsigned i = 0; i < 4; i++)
			tests[i] = fw_emit(&m->c, (struct filter_insn){
							  .op = FILTER_OP_EQ,
							  .field = (uint8_t)((dir == FILTER_INBOUND ? FILTER_IIFNAME : FILTER_OIFNAME) + i),
							  .a = UINT32_MAX,
							  .b = load_be32(name + 4 * i) });
	}
	fw_gap(m, ch, 0, "a chain at a device");
	if (ch->dev != NULL && strlen(ch->dev) < sizeof(name))
		skip_to_end(m, tests, 4);
}

/* Return: where it begins; 0: no chain */
static uint32_t direction(struct fw_compiler *m, enum filter_dir dir)
{
	struct fw_chain **bases = malloc((m->rs.chain_cnt + 1) * sizeof(struct fw_chain *));
	uint32_t cnt = 0, start = m->c.code.cnt;
	enum fw_when was = FW_AFTER_CT;

	if (bases == NULL) {
		m->c.err = -ENOMEM;
		return 0;
	}
	for (uint32_t i = 0; i < m->rs.chain_cnt; i++) {
		if (is_at_device(&m->rs.chains[i], dir))
			device_chain(m, &m->rs.chains[i], dir);
		else if (is_in(&m->rs.chains[i], dir))
			bases[cnt++] = &m->rs.chains[i];
	}
	qsort(bases, cnt, sizeof(struct fw_chain *), compare_base);
	for (uint32_t i = 0; i < cnt; i++) {
		enum fw_when when = when_of(bases[i]);

		if (when != was)
			fw_emit(&m->c, (struct filter_insn){ .op = FILTER_OP_EARLY, .arg = when == FW_BEFORE_CT });
		was = when;
		base_chain(m, bases[i]);
	}
	if (was == FW_BEFORE_CT)
		fw_emit(&m->c, (struct filter_insn){ .op = FILTER_OP_EARLY });
	free(bases);
	if (m->c.code.cnt == start)
		return 0;
	fw_emit(&m->c, (struct filter_insn){ .op = FILTER_OP_END });
	return start;
}

/* ---- chains that are jumped to */

static void called_chain(struct fw_compiler *m, struct fw_chain *ch, enum fw_when when)
{
	ch->code[when].start = m->c.code.cnt;
	rules_of(m, ch, when);
	fw_emit(&m->c, (struct filter_insn){ .op = FILTER_OP_RETURN });
	ch->code[when].end = m->c.code.cnt;
}

static void called_chains(struct fw_compiler *m)
{
	bool again = true;

	while (again && m->c.err == 0) {
		again = false;
		for (uint32_t i = 0; i < m->rs.chain_cnt; i++)
			for (enum fw_when w = 0; w < FW_WHEN_CNT; w++)
				if (m->rs.chains[i].code[w].wanted && m->rs.chains[i].code[w].end == 0) {
					called_chain(m, &m->rs.chains[i], w);
					again = true;
				}
	}
	for (uint32_t i = 0; m->c.err == 0 && i < m->fixup_cnt; i++) {
		struct filter_insn *insn = &m->c.code.at[m->fixups[i].at].insn;
		uint32_t start = m->fixups[i].chain->code[m->fixups[i].when].start;

		if (m->fixups[i].in_next)
			insn->next = start;
		else
			insn->a = start;
	}
}

/* ---- which rule is where */

static int chains_keep(const struct fw_ruleset *rs, struct fw_program *p)
{
	p->chains = calloc(rs->chain_cnt + 1, sizeof(*p->chains));
	if (p->chains == NULL)
		return -ENOMEM;
	for (p->chain_cnt = 0; p->chain_cnt < rs->chain_cnt; p->chain_cnt++)
		fw_place_set(&p->chains[p->chain_cnt], &rs->chains[p->chain_cnt], rs->chains[p->chain_cnt].name, 0);
	return 0;
}

static const char *why_at(const struct fw_program *prog, const struct filter_insn *insn)
{
	switch (insn->op) {
	case FILTER_OP_KERNEL:
		return insn->a < prog->gap_cnt ? prog->gaps[insn->a].why : "";
	case FILTER_OP_COUNT:
		return "it counts";
	case FILTER_OP_LIMIT:
		return "it limits";
	case FILTER_OP_REJECT:
		return "it rejects";
	default:
		return "it drops";
	}
}

bool fw_program_place(const struct fw_program *prog, uint32_t at, struct fw_place *ret_place, const char **ret_why)
{
	uint32_t from = 0, to = prog->mark_cnt;
	const struct filter_insn *insn;

	if (at >= prog->cell_cnt)
		return false;
	insn = &prog->cells[at].insn;
	if (insn->op == FILTER_OP_KERNEL && insn->a < prog->gap_cnt) {
		*ret_place = prog->gaps[insn->a].place;
		*ret_why = why_at(prog, insn);
		return true;
	}
	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (prog->marks[mid].cell <= at)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == 0)
		return false;
	*ret_place = prog->chains[prog->marks[from - 1].chain];
	ret_place->handle = prog->marks[from - 1].handle;
	*ret_why = why_at(prog, insn);
	return true;
}

/* ---- all of it */

static bool is_size(uint32_t field)
{
	return field == FILTER_LEN || field == FILTER_IP_LEN || field == FILTER_IP_FRAG;
}

/* Is anything asked for that a datagram has otherwise than its first fragment? */
static bool asks_size(const struct fw_code *c)
{
	for (uint32_t i = FILTER_KEPT_FIRST + 1; i < c->code.cnt; i++) {
		const union filter_cell *cell = &c->code.at[i];

		if (c->code.kinds[i] == FW_KIND_LIMIT ? cell->limit.rate != 0
						      : cell->insn.op >= FILTER_OP_EQ && cell->insn.op <= FILTER_OP_LOOKUP && is_size(cell->insn.field))
			return true;
	}
	for (uint32_t i = 0; i < c->data.cnt; i++)
		if (c->data.kinds[i] == FW_KIND_ENTRY && is_size(c->data.at[i].entry.field))
			return true;
	return false;
}

/* ---- ports that are told apart */

struct cuts {
	bool at[UINT16_MAX + 2]; /* a class begins there */
};

static bool is_port(uint32_t field)
{
	return field >= FILTER_SPORT && field <= FILTER_DPORT_OF;
}

/* With a protocol above it, or without. */
static void cut_interval(struct cuts *cuts, uint32_t lo, uint32_t hi)
{
	cuts->at[lo & UINT16_MAX] = true;
	cuts->at[(hi & UINT16_MAX) + 1] = true;
}

static void cut_test(struct cuts *cuts, const struct filter_insn *insn)
{
	uint32_t low = insn->a & -insn->a & UINT16_MAX;

	if (insn->op == FILTER_OP_IN || insn->op == FILTER_OP_OUT)
		cut_interval(cuts, insn->a, insn->b);
	else if ((insn->op == FILTER_OP_EQ || insn->op == FILTER_OP_NE) && (insn->a & UINT16_MAX) == UINT16_MAX)
		cut_interval(cuts, insn->b, insn->b);
	else
		for (uint32_t at = 0; low != 0 && at <= UINT16_MAX; at += low)
			cuts->at[at] = true;
}

static void cut_table(struct cuts *cuts, const struct fw_cells *data, uint32_t first, uint32_t cnt, uint32_t field)
{
	for (uint32_t i = first; i < first + cnt && i < data->cnt; i++) {
		const struct filter_entry *e = &data->at[i].entry;

		if (is_port(field))
			cut_interval(cuts, e->lo, e->hi);
		if (e->field != FILTER_LEAF)
			cut_table(cuts, data, e->first, e->cnt, e->field);
	}
}

static void cut_all(struct cuts *cuts, const struct fw_compiler *m)
{
	const struct fw_code *c = &m->c;

	for (uint32_t i = FILTER_KEPT_FIRST + 1; i < c->code.cnt; i++) {
		const struct filter_insn *insn = &c->code.at[i].insn;

		if (c->code.kinds[i] != FW_KIND_LIMIT && insn->op >= FILTER_OP_EQ && insn->op <= FILTER_OP_OUT && is_port(insn->field))
			cut_test(cuts, insn);
	}
	for (uint32_t i = 0; i < m->made_cnt; i++)
		cut_table(cuts, &c->data, m->made[i].tree.first, m->made[i].tree.cnt, m->made[i].tree.field);
}

static int find_ports(const struct fw_compiler *m, struct fw_program *p)
{
	struct cuts *cuts = calloc(1, sizeof(*cuts));
	uint32_t cnt = 0;

	if (cuts == NULL)
		return -ENOMEM;
	cut_all(cuts, m);
	cuts->at[0] = true;
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		cnt += cuts->at[port];
	p->ports = calloc(cnt, sizeof(*p->ports));
	for (uint32_t port = 0; p->ports != NULL && port <= UINT16_MAX; port++) {
		if (cuts->at[port])
			p->ports[p->port_cnt++].lo = port;
		p->ports[p->port_cnt - 1].hi = port;
	}
	free(cuts);
	return p->ports != NULL ? 0 : -ENOMEM;
}

static int finish(struct fw_compiler *m, uint32_t entry[static FILTER_DIR_CNT], char why[static FW_WHY_BYTES])
{
	struct fw_program *p = &m->prog;
	uint32_t code_cnt;
	int r = m->c.err;

	if (r == 0)
		r = fw_longest(&m->rs, &m->c, &p->longest);
	if (r == -E2BIG)
		snprintf(why, FW_WHY_BYTES, "the rules are too many, or lead too far");
	if (r == 0 && asks_size(&m->c))
		m->flags |= FILTER_SIZED;
	code_cnt = m->c.code.cnt;
	if (r == 0)
		r = find_ports(m, p);
	if (r == 0)
		r = chains_keep(&m->rs, p);
	if (r == 0)
		r = fw_code_link(&m->c, &p->cells, &p->cell_cnt);
	if (r < 0)
		return r;
	p->cells[0].head = (struct filter_head){ .magic = FILTER_MAGIC, .flags = m->flags };
	memcpy(p->cells[0].head.entry, entry, sizeof(p->cells[0].head.entry));
	for (uint32_t i = 0; i < p->counter_cnt; i++)
		p->counters[i].cell += code_cnt;
	return 0;
}

int fw_compile(const char *json, size_t len, const struct fw_raw *raw, struct fw_program *ret_prog, char ret_why[static FW_WHY_BYTES])
{
	struct fw_compiler m = { .prog = { .expires_s = UINT64_MAX }, .raw = raw };
	uint32_t entry[FILTER_DIR_CNT];
	int r = fw_ruleset_read(json, len, &m.rs, ret_why);

	if (r < 0)
		return r;
	for (unsigned i = 0; i <= FILTER_KEPT_FIRST; i++)
		fw_emit(&m.c, (struct filter_insn){ .op = FILTER_OP_NONE }); /* theirs and the head's places */
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++)
		entry[dir] = direction(&m, dir);
	called_chains(&m);
	r = finish(&m, entry, ret_why);
	fw_code_free(&m.c);
	fw_ruleset_free(&m.rs);
	free(m.fixups);
	free(m.made);
	free(m.fails);
	if (r < 0)
		fw_program_free(&m.prog);
	else
		*ret_prog = m.prog;
	return r;
}

void fw_program_free(struct fw_program *prog)
{
	free(prog->cells);
	free(prog->gaps);
	free(prog->counters);
	free(prog->marks);
	free(prog->chains);
	free(prog->ports);
	*prog = (struct fw_program){ .cell_cnt = 0 };
}

struct filter_image fw_program_image(const struct fw_program *prog)
{
	return (struct filter_image){ .cells = prog->cells, .cnt = prog->cell_cnt };
}
