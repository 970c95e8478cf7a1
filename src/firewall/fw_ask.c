// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_ask.c - a program run with a packet of which only something is known
 *
 * Words are intervals. A test that they decide goes one way, any other goes both. What the tests on a way have shown is kept of the connection's state: rules
 * are written around it, "established" first and "new" by port, and without that every port would seem to come to the end of its chain.
 *
 * All ports are asked about at once: the program's own numbers cut them into classes that it can't tell apart, a state of the run (where it is, and where it will
 * come back to) has the set of those that may come to it, and a test of the port parts the set. States are taken in the order of the program, so that
 * sets which meet are one before they go on: about one visit of each instruction, however many ports there are. (Where a chain that is gone to stands
 * before the one that goes, some are visited more often.)
 *
 * The answer may hold more than can really happen, never less.
 */
#include "firewall/fw_may.h"
#include "firewall/fw_set.h"
#include "firewall/fw_states.h"

#include <errno.h>
#include <stdlib.h>

enum {
	STEPS_MAX = 1 << 19,
	ENTRIES_MAX = 1 << 26, /* of tables, in all that is looked up */
	LEVELS_MAX = 16, /* of a table */
	CT_ALL = FILTER_CT_INVALID | FILTER_CT_ESTABLISHED | FILTER_CT_RELATED | FILTER_CT_NEW,
};

/* Sets of classes, while a step is made. */
enum scratch { YES, NO, AT_LEVEL, SCRATCH_CNT = AT_LEVEL + 2 * LEVELS_MAX };

struct walk {
	const struct fw_program *prog;
	const struct fw_question *q;
	uint32_t port; /* FILTER_SPORT or FILTER_DPORT: the one that is told apart */
	const struct fw_range *classes; /* ascending */
	uint32_t class_cnt;
	struct fw_answer answer;
	uint32_t *at; /* of each class: a cell that doesn't just accept, a gap's if there is one */
	uint64_t *told, *told_gap; /* those that have one, and that have a gap's */
	uint64_t *scratch;
	struct fw_states st;
	uint32_t step_cnt, entry_cnt;
};

static uint64_t *scratch(const struct walk *w, unsigned nr)
{
	return w->scratch + (size_t)nr * w->st.words;
}

static void go(struct walk *w, const struct fw_state *from, uint32_t pc)
{
	fw_states_go(&w->st, from, pc, from->ports);
}

/* ---- tests */

static struct fw_range range_of(const struct walk *w, uint32_t word)
{
	return word < FILTER_WORD_CNT ? w->q->word[word] : (struct fw_range){ 0, 0 };
}

static bool has_proto(uint32_t field)
{
	return field == FILTER_SPORT_OF || field == FILTER_DPORT_OF;
}

static uint32_t port_of(uint32_t field)
{
	return field == FILTER_SPORT_OF ? FILTER_SPORT : field == FILTER_DPORT_OF ? FILTER_DPORT : field;
}

/* @field with this @port: with its protocol it is made of what is known of both. */
static struct fw_range with_port(const struct walk *w, uint32_t field, struct fw_range port)
{
	struct fw_range proto = range_of(w, FILTER_L4PROTO);
	struct fw_range v = { min_u32(proto.lo, 0xff) << 16, min_u32(proto.hi, 0xff) << 16 | 0xffff };

	if (!has_proto(field))
		return port;
	if (proto.lo == proto.hi)
		v = (struct fw_range){ v.lo | min_u32(port.lo, 0xffff), v.lo | min_u32(port.hi, 0xffff) };
	return v;
}

/* Where there may be no transport header the word may be 0, too. */
static bool may_be_none(const struct walk *w, uint32_t field)
{
	return has_proto(field) && range_of(w, FILTER_HAVE).lo == 0;
}

static unsigned test_value(const struct walk *w, const struct filter_insn *insn, struct fw_range port)
{
	const struct fw_range v = with_port(w, insn->field, port), none = { 0, 0 };

	return fw_may(&v, insn) | (may_be_none(w, insn->field) ? fw_may(&none, insn) : 0);
}

/* ---- tests of the port that is told apart */

static bool is_told_apart(const struct walk *w, uint32_t field)
{
	return port_of(field) == w->port;
}

/* The first class that isn't all below @value. */
static uint32_t class_from(const struct walk *w, uint32_t field, uint32_t value)
{
	uint32_t lo = 0, hi = w->class_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (with_port(w, field, w->classes[mid]).hi < value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Add to @may those of @set that may be in [@lo, @hi], and take from @rest those that are. Return: some may be */
static bool port_in(const struct walk *w, const uint64_t *set, uint32_t field, uint32_t lo, uint32_t hi, uint64_t *may, uint64_t *rest)
{
	uint32_t from = class_from(w, field, lo), to = hi < UINT32_MAX ? class_from(w, field, hi + 1) : w->class_cnt, sure_from, sure_to;
	bool any = false;

	/* the one that @hi + 1 is in may begin before it */
	to += to < w->class_cnt && with_port(w, field, w->classes[to]).lo <= hi;
	sure_from = from + (from < to && with_port(w, field, w->classes[from]).lo < lo);
	sure_to = to - (to > sure_from && with_port(w, field, w->classes[to - 1]).hi > hi);
	if (may_be_none(w, field)) {
		sure_to = lo == 0 ? sure_to : sure_from;
		if (lo == 0) {
			from = 0;
			to = w->class_cnt;
		}
	}
	for (uint32_t i = from / 64; i < w->st.words && i * 64 < to; i++) {
		uint64_t in = set[i] & fw_set_between(i, from, to);

		any |= in != 0;
		may[i] |= in;
		rest[i] &= ~fw_set_between(i, sure_from, max_u32(sure_from, sure_to));
	}
	return any;
}

/* As an interval, or the opposite of one. Return: false: it isn't one */
static bool interval_of(const struct filter_insn *insn, struct fw_range *ret, bool *ret_not)
{
	uint32_t mask = has_proto(insn->field) ? 0xffffff : 0xffff;

	*ret_not = insn->op == FILTER_OP_NE || insn->op == FILTER_OP_OUT;
	*ret = (struct fw_range){ insn->a, insn->b };
	if (insn->op == FILTER_OP_IN || insn->op == FILTER_OP_OUT)
		return insn->a <= insn->b;
	*ret = (struct fw_range){ insn->b, insn->b };
	return (insn->op == FILTER_OP_EQ || insn->op == FILTER_OP_NE) && (insn->a & mask) == mask;
}

static void test_each(const struct walk *w, const uint64_t *set, const struct filter_insn *insn, uint64_t *yes, uint64_t *no)
{
	for (uint32_t c = 0; c < w->class_cnt; c++) {
		uint64_t bit = set[c / 64] & UINT64_C(1) << c % 64;
		unsigned r = bit != 0 ? test_value(w, insn, w->classes[c]) : 0;

		yes[c / 64] |= r & FW_MAY ? bit : 0;
		no[c / 64] |= r & FW_MAY_NOT ? bit : 0;
	}
}

static void part(struct walk *w, const struct fw_state *s, const struct filter_insn *insn)
{
	struct fw_range proto = range_of(w, FILTER_L4PROTO), in;
	uint64_t *yes = scratch(w, YES), *no = scratch(w, NO);
	bool not = false;

	fw_set_clear(yes, w->st.words);
	if (interval_of(insn, &in, &not) && (!has_proto(insn->field) || proto.lo == proto.hi)) {
		fw_set_copy(no, s->ports, w->st.words);
		port_in(w, s->ports, insn->field, in.lo, in.hi, yes, no);
	} else {
		not = false;
		fw_set_clear(no, w->st.words);
		test_each(w, s->ports, insn, yes, no);
	}
	if (fw_set_any(not ? no : yes, w->st.words))
		fw_states_go(&w->st, s, s->pc + 1, not ? no : yes);
	if (fw_set_any(not ? yes : no, w->st.words))
		fw_states_go(&w->st, s, insn->next, not ? yes : no);
}

static void do_test(struct walk *w, struct fw_state *s, const struct filter_insn *insn)
{
	uint32_t all = s->ct, yes = 0;
	unsigned r;

	if (is_told_apart(w, insn->field)) {
		part(w, s, insn);
		return;
	}
	if (insn->field != FILTER_CT_STATE) {
		r = test_value(w, insn, range_of(w, port_of(insn->field)));
		if (r & FW_MAY)
			go(w, s, s->pc + 1);
		if (r & FW_MAY_NOT)
			go(w, s, insn->next);
		return;
	}
	for (uint32_t bit = 1; bit <= all; bit <<= 1)
		if (all & bit && fw_may(&(struct fw_range){ bit, bit }, insn) == FW_MAY)
			yes |= bit;
	s->ct = yes;
	if (yes != 0)
		go(w, s, s->pc + 1);
	s->ct = all & ~yes;
	if (s->ct != 0)
		go(w, s, insn->next);
}

/* ---- tables */

struct level {
	uint32_t first, cnt, field;
};

/* What is found leads to @s's way on through YES, what isn't through NO; in a map each leaf to its own. */
struct search {
	struct walk *w;
	const struct fw_state *s;
	bool is_map;
};

static void search(const struct search *f, const uint64_t *set, struct level l, unsigned depth);

/* @set comes to this entry. */
static void entry(const struct search *f, const uint64_t *set, const struct filter_entry *e, unsigned depth)
{
	if (++f->w->entry_cnt > ENTRIES_MAX)
		f->w->st.err = -E2BIG;
	else if (e->field != FILTER_LEAF)
		search(f, set, (struct level){ e->first, e->cnt, e->field }, depth + 1);
	else if (f->is_map)
		fw_states_go(&f->w->st, f->s, e->first, set);
	else
		fw_set_add(scratch(f->w, YES), set, f->w->st.words);
}

static const struct filter_entry *entry_at(const struct walk *w, uint32_t i)
{
	return i < w->prog->cell_cnt ? &w->prog->cells[i].entry : NULL;
}

static void search_port(const struct search *f, const uint64_t *set, struct level l, unsigned depth)
{
	uint64_t *in = scratch(f->w, AT_LEVEL + 2 * depth), *rest = scratch(f->w, AT_LEVEL + 2 * depth + 1);
	struct fw_range proto = range_of(f->w, FILTER_L4PROTO);

	fw_set_copy(rest, set, f->w->st.words);
	for (uint32_t i = l.first; i < l.first + l.cnt; i++) {
		const struct filter_entry *e = entry_at(f->w, i);

		if (e == NULL || f->w->st.err != 0)
			break;
		fw_set_clear(in, f->w->st.words);
		if (has_proto(l.field) && proto.lo != proto.hi)
			fw_set_copy(in, set, f->w->st.words);
		else if (!port_in(f->w, set, l.field, e->lo, e->hi, in, rest))
			continue;
		entry(f, in, e, depth);
	}
	fw_set_add(scratch(f->w, NO), rest, f->w->st.words);
}

static void search(const struct search *f, const uint64_t *set, struct level l, unsigned depth)
{
	struct fw_range v = with_port(f->w, l.field, range_of(f->w, port_of(l.field)));
	bool may_not = may_be_none(f->w, l.field);
	uint64_t next;

	if (depth == LEVELS_MAX) {
		f->w->st.err = -E2BIG;
		return;
	}
	if (is_told_apart(f->w, l.field)) {
		search_port(f, set, l, depth);
		return;
	}
	if (may_be_none(f->w, l.field))
		v.lo = 0;
	if (l.field == FILTER_CT_STATE) {
		v.lo = f->s->ct & (f->s->ct - 1) ? 0 : f->s->ct; /* one that is known, or any */
		v.hi = f->s->ct & (f->s->ct - 1) ? UINT32_MAX : f->s->ct;
	}
	next = v.lo;
	for (uint32_t i = l.first; i < l.first + l.cnt; i++) {
		const struct filter_entry *e = entry_at(f->w, i);

		if (e == NULL || e->lo > v.hi || f->w->st.err != 0)
			break;
		if (e->hi < v.lo)
			continue;
		may_not |= e->lo > next;
		next = (uint64_t)e->hi + 1;
		entry(f, set, e, depth);
	}
	if (may_not || next <= v.hi)
		fw_set_add(scratch(f->w, NO), set, f->w->st.words);
}

static void look_up(struct walk *w, struct fw_state *s, const struct filter_insn *insn)
{
	bool not = insn->arg == FILTER_LOOKUP_NOT_SET, is_map = insn->arg == FILTER_LOOKUP_MAP;
	const struct search f = { w, s, is_map };
	const uint64_t *found = scratch(w, YES), *missed = scratch(w, NO);

	s->after_pc = is_map ? insn->next : 0;
	s->go_on_pc = is_map ? s->pc + 1 : 0;
	fw_set_clear(scratch(w, YES), w->st.words);
	fw_set_clear(scratch(w, NO), w->st.words);
	search(&f, s->ports, (struct level){ insn->a, insn->b, insn->field }, 0);
	s->after_pc = s->go_on_pc = 0;
	if (!is_map && fw_set_any(not ? missed : found, w->st.words))
		fw_states_go(&w->st, s, s->pc + 1, not ? missed : found);
	if (fw_set_any(not ? found : missed, w->st.words))
		fw_states_go(&w->st, s, insn->next, not ? found : missed);
}

/* One state of the connection after the other, if that is what is looked up. */
static void do_lookup(struct walk *w, struct fw_state *s, const struct filter_insn *insn)
{
	uint32_t all = s->ct;

	if (insn->field != FILTER_CT_STATE) {
		look_up(w, s, insn);
		return;
	}
	for (uint32_t bit = 1; bit <= all; bit <<= 1)
		if (all & bit) {
			s->ct = bit;
			look_up(w, s, insn);
		}
}

/* ---- ways */

/* Cell @s->pc doesn't just accept. */
static void note(struct walk *w, const struct fw_state *s, bool gap)
{
	uint64_t *told = gap ? w->told_gap : w->told;

	if (w->q->ret_against != NULL && s->pc < w->prog->cell_cnt)
		w->q->ret_against[s->pc] = 1;
	for (uint32_t i = 0; i < w->st.words; i++) {
		uint64_t fresh = s->ports[i] & ~told[i];

		told[i] |= fresh;
		w->told[i] |= fresh;
		for (; fresh != 0; fresh &= fresh - 1)
			w->at[i * 64 + (uint32_t)__builtin_ctzll(fresh)] = s->pc;
	}
}

static void verdict(struct walk *w, const struct fw_state *s, enum filter_verdict v)
{
	if (v != FILTER_ACCEPT)
		note(w, s, v == FILTER_KERNEL);
	w->answer.verdicts |= 1u << v;
}

static void jump(struct walk *w, struct fw_state *s, uint32_t to, uint32_t back)
{
	if (s->depth == FILTER_DEPTH_MAX) {
		verdict(w, s, FILTER_DROP);
		return;
	}
	s->stack[s->depth++] = back;
	s->after_pc = s->go_on_pc = 0;
	go(w, s, to);
}

static void do_return(struct walk *w, struct fw_state *s)
{
	uint32_t to = s->return_pc;

	s->after_pc = s->go_on_pc = 0;
	if (s->depth > 0)
		to = s->stack[--s->depth];
	else
		s->return_pc = UINT32_MAX; /* the policy, behind all of the chain */
	go(w, s, to);
}

/* Of the base chain. */
static void accept(struct walk *w, struct fw_state *s)
{
	uint32_t to = s->accept_pc;

	s->accept_pc = s->return_pc = s->after_pc = s->go_on_pc = s->depth = 0;
	go(w, s, to);
}

static void step(struct walk *w, struct fw_state *s)
{
	static const struct filter_insn nowhere = { .op = FILTER_OP_NONE };
	const struct filter_insn *insn = s->pc < w->prog->cell_cnt ? &w->prog->cells[s->pc].insn : &nowhere;

	switch (insn->op) {
	case FILTER_OP_LOOKUP:
		do_lookup(w, s, insn);
		break;
	case FILTER_OP_COUNT:
		w->answer.counts = true;
		note(w, s, false);
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_EARLY:
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_LIMIT:
		w->answer.counts = true;
		note(w, s, false);
		go(w, s, s->pc + 2);
		go(w, s, insn->next);
		break;
	case FILTER_OP_GOTO:
		s->after_pc = s->go_on_pc = 0;
		go(w, s, insn->next);
		break;
	case FILTER_OP_JUMP:
		jump(w, s, insn->a, insn->next);
		break;
	case FILTER_OP_MAP_JUMP:
		jump(w, s, insn->a, s->after_pc);
		break;
	case FILTER_OP_MAP_CONTINUE: {
		uint32_t to = s->go_on_pc;

		s->after_pc = s->go_on_pc = 0;
		go(w, s, to);
		break;
	}
	case FILTER_OP_RETURN:
		do_return(w, s);
		break;
	case FILTER_OP_BASE:
		s->depth = s->after_pc = s->go_on_pc = 0;
		s->accept_pc = insn->a;
		s->return_pc = insn->b;
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_ACCEPT:
		accept(w, s);
		break;
	case FILTER_OP_REJECT:
		verdict(w, s, FILTER_REJECT);
		break;
	case FILTER_OP_KERNEL:
		verdict(w, s, FILTER_KERNEL);
		break;
	case FILTER_OP_END:
		verdict(w, s, FILTER_ACCEPT);
		break;
	default:
		if (insn->op >= FILTER_OP_EQ && insn->op <= FILTER_OP_OUT)
			do_test(w, s, insn);
		else
			verdict(w, s, FILTER_DROP);
	}
}

struct fw_question fw_question_any(enum filter_dir dir)
{
	struct fw_question q = { .dir = dir, .ct = CT_ALL };

	for (unsigned i = 0; i < FILTER_WORD_CNT; i++)
		q.word[i].hi = i == FILTER_CT_STATUS ? 0 : UINT32_MAX;
	return q;
}

static void walk(struct walk *w)
{
	struct fw_state *s = fw_states_new(&w->st);

	if (s != NULL) {
		*s = (struct fw_state){ .ct = w->q->ct, .pc = w->prog->cells[0].head.entry[w->q->dir] };
		for (uint32_t i = 0; i < w->st.words; i++)
			s->ports[i] = fw_set_between(i, 0, w->class_cnt);
		go(w, s, s->pc);
		fw_states_done(&w->st, s);
	}
	while ((s = fw_states_next(&w->st)) != NULL) {
		step(w, s);
		fw_states_done(&w->st, s);
		if (++w->step_cnt > STEPS_MAX)
			w->st.err = -E2BIG;
	}
}

static int walk_init(struct walk *w)
{
	w->st.words = (w->class_cnt + 63) / 64;
	w->at = calloc(w->class_cnt, sizeof(*w->at));
	w->told = calloc(w->st.words, sizeof(*w->told));
	w->told_gap = calloc(w->st.words, sizeof(*w->told_gap));
	w->scratch = calloc((size_t)w->st.words * SCRATCH_CNT, sizeof(*w->scratch));
	return w->at != NULL && w->told != NULL && w->told_gap != NULL && w->scratch != NULL ? 0 : -ENOMEM;
}

static void walk_fini(struct walk *w)
{
	fw_states_fini(&w->st);
	free(w->at);
	free(w->told);
	free(w->told_gap);
	free(w->scratch);
}

static bool has_chains(const struct fw_program *prog, enum filter_dir dir)
{
	return prog->cell_cnt > 0 && prog->cells[0].head.entry[dir] != 0;
}

int fw_ask(const struct fw_program *prog, const struct fw_question *q, struct fw_answer *ret_answer)
{
	struct walk w = { .prog = prog, .q = q, .port = FILTER_DPORT, .classes = &q->word[FILTER_DPORT], .class_cnt = 1 };

	*ret_answer = (struct fw_answer){ .verdicts = 1u << FILTER_ACCEPT };
	if (!has_chains(prog, q->dir))
		return 0;
	w.st.err = walk_init(&w);
	if (w.st.err == 0)
		walk(&w);
	if (w.st.err == 0)
		w.answer.at = w.at[0];
	else
		w.answer.verdicts |= 1u << FILTER_KERNEL;
	*ret_answer = w.answer;
	walk_fini(&w);
	return w.st.err;
}

void fw_ask_ports(const struct fw_program *prog, const struct fw_question *q, enum filter_word port, bool gaps_only, uint32_t mark, uint32_t *at)
{
	struct walk w = { .prog = prog, .q = q, .port = port, .classes = prog->ports, .class_cnt = prog->port_cnt };
	const uint64_t *told;

	if (!has_chains(prog, q->dir))
		return;
	w.st.err = walk_init(&w);
	if (w.st.err == 0)
		walk(&w);
	told = gaps_only ? w.told_gap : w.told;
	for (uint32_t c = 0; c < w.class_cnt; c++)
		if (at[c] == 0 && (w.st.err != 0 || told[c / 64] >> c % 64 & 1))
			at[c] = w.st.err != 0 ? FW_AT_UNKNOWN : w.at[c] | mark;
	walk_fini(&w);
}
