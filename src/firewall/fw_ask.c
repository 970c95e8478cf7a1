// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_ask.c - a program run with a packet of which only something is known
 *
 * Words are intervals. A test that they decide goes one way, any other goes both; a state of the run (where it is, and where it will come back to) is
 * looked at once. What the tests on a way have shown is kept of the connection's state only: rules are written around it, "established" first and "new" by
 * port, and without that every port would seem to come to the end of its chain.
 *
 * The answer may hold more than can really happen, never less.
 */
#include "firewall/firewall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATES_MAX = 1 << 18,
	CT_ALL = FILTER_CT_INVALID | FILTER_CT_ESTABLISHED | FILTER_CT_RELATED | FILTER_CT_NEW,
};

struct state {
	uint32_t pc, ct;
	uint32_t accept_pc, return_pc, after_pc, go_on_pc;
	uint32_t depth, stack[FILTER_DEPTH_MAX];
};

struct walk {
	const struct fw_program *prog;
	const struct fw_question *q;
	struct fw_answer answer;
	struct state *todo;
	uint32_t todo_cnt, todo_max;
	uint64_t *seen; /* hashes; 0: free */
	uint32_t seen_cnt, seen_max;
	int err;
};

/* ---- states, each once */

static uint64_t hash_of(const struct state *s)
{
	const uint32_t *words = (const uint32_t *)s;
	uint64_t h = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*words); i++) {
		h = (h ^ words[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 29;
	}
	return h | 1;
}

static bool seen_insert(struct walk *w, uint64_t h)
{
	uint32_t i = (uint32_t)(h >> 1) & (w->seen_max - 1);

	while (w->seen[i] != 0) {
		if (w->seen[i] == h)
			return false;
		i = (i + 1) & (w->seen_max - 1);
	}
	w->seen[i] = h;
	w->seen_cnt++;
	return true;
}

static void seen_grow(struct walk *w)
{
	uint32_t max = w->seen_max;
	uint64_t *was = w->seen;

	w->seen = calloc(2 * (size_t)max, sizeof(*w->seen));
	if (w->seen == NULL) {
		w->seen = was;
		w->err = -ENOMEM;
		return;
	}
	w->seen_max = 2 * max;
	w->seen_cnt = 0;
	for (uint32_t i = 0; i < max; i++)
		if (was[i] != 0)
			seen_insert(w, was[i]);
	free(was);
}

/* To be looked at, unless it has been. The stack above @depth is 0, so that equal states look equal. */
static void go(struct walk *w, const struct state *from, uint32_t pc)
{
	struct state s = *from;

	s.pc = pc;
	if (w->err != 0 || !seen_insert(w, hash_of(&s)))
		return;
	if (w->seen_cnt > STATES_MAX)
		w->err = -E2BIG;
	else if (w->seen_cnt * 2 > w->seen_max)
		seen_grow(w);
	if (w->todo_cnt == w->todo_max) {
		uint32_t max = w->todo_max > 0 ? 2 * w->todo_max : 64;
		struct state *todo = realloc(w->todo, max * sizeof(*todo));

		if (todo == NULL) {
			w->err = -ENOMEM;
			return;
		}
		w->todo = todo;
		w->todo_max = max;
	}
	w->todo[w->todo_cnt++] = s;
}

/* ---- tests */

enum { MAY = 1, MAY_NOT = 2 };

/* Bits that all numbers of the interval have in common. */
static uint32_t common_bits(const struct fw_range *v)
{
	uint32_t differ = v->lo ^ v->hi;

	return differ == 0 ? UINT32_MAX : ~(UINT32_MAX >> __builtin_clz(differ));
}

static unsigned masked_eq(const struct fw_range *v, uint32_t mask, uint32_t value)
{
	uint32_t known = common_bits(v) & mask;

	if ((value & ~mask) != 0 || (v->lo & known) != (value & known))
		return MAY_NOT;
	if (known == mask)
		return MAY;
	return mask == UINT32_MAX && (value < v->lo || value > v->hi) ? MAY_NOT : MAY | MAY_NOT;
}

static unsigned any_bit(const struct fw_range *v, uint32_t mask)
{
	uint32_t known = common_bits(v) & mask;

	if ((v->lo & known) != 0)
		return MAY;
	return known == mask ? MAY_NOT : MAY | MAY_NOT;
}

static unsigned in_range(const struct fw_range *v, uint32_t lo, uint32_t hi)
{
	unsigned r = 0;

	if (v->lo <= hi && v->hi >= lo)
		r |= MAY;
	if (v->lo < lo || v->hi > hi)
		r |= MAY_NOT;
	return r;
}

static unsigned not_that(unsigned r)
{
	return (r & MAY ? MAY_NOT : 0) | (r & MAY_NOT ? MAY : 0);
}

static unsigned test(const struct fw_range *v, const struct filter_insn *insn)
{
	switch (insn->op) {
	case FILTER_OP_EQ:
		return masked_eq(v, insn->a, insn->b);
	case FILTER_OP_NE:
		return not_that(masked_eq(v, insn->a, insn->b));
	case FILTER_OP_ANY:
		return any_bit(v, insn->a);
	case FILTER_OP_NONE_OF:
		return not_that(any_bit(v, insn->a));
	case FILTER_OP_IN:
		return in_range(v, insn->a, insn->b);
	default:
		return not_that(in_range(v, insn->a, insn->b));
	}
}

static struct fw_range range_of(const struct walk *w, uint32_t word)
{
	return word < FILTER_WORD_CNT ? w->q->word[word] : (struct fw_range){ 0, 0 };
}

/* Of a port with its protocol: made of what is known of both. */
static unsigned test_port(const struct walk *w, const struct filter_insn *insn)
{
	struct fw_range proto = range_of(w, FILTER_L4PROTO), port = range_of(w, insn->field == FILTER_SPORT_OF ? FILTER_SPORT : FILTER_DPORT);
	struct fw_range v = { min_u32(proto.lo, 0xff) << 16, min_u32(proto.hi, 0xff) << 16 | 0xffff }, none = { 0, 0 };

	if (proto.lo == proto.hi)
		v = (struct fw_range){ v.lo | min_u32(port.lo, 0xffff), v.lo | min_u32(port.hi, 0xffff) };
	return test(&v, insn) | (range_of(w, FILTER_HAVE).lo == 0 ? test(&none, insn) : 0);
}

static void do_test(struct walk *w, struct state *s, const struct filter_insn *insn)
{
	struct fw_range v = range_of(w, insn->field);
	uint32_t all = s->ct, yes = 0;
	unsigned r;

	if (insn->field != FILTER_CT_STATE) {
		r = insn->field == FILTER_SPORT_OF || insn->field == FILTER_DPORT_OF ? test_port(w, insn) : test(&v, insn);
		if (r & MAY)
			go(w, s, s->pc + 1);
		if (r & MAY_NOT)
			go(w, s, insn->next);
		return;
	}
	for (uint32_t bit = 1; bit <= all; bit <<= 1)
		if (all & bit && test(&(struct fw_range){ bit, bit }, insn) == MAY)
			yes |= bit;
	s->ct = yes;
	if (yes != 0)
		go(w, s, s->pc + 1);
	s->ct = all & ~yes;
	if (s->ct != 0)
		go(w, s, insn->next);
}

/* ---- tables */

struct found {
	bool may, may_not;
};

static const struct filter_entry *entry_at(const struct walk *w, uint32_t i)
{
	return i < w->prog->cell_cnt ? &w->prog->cells[i].entry : NULL;
}

/* @is_map: go where the leaves lead, by the way */
static void search(struct walk *w, struct state *s, uint32_t first, uint32_t cnt, uint32_t field, bool is_map, struct found *f)
{
	struct fw_range v = range_of(w, field);
	uint64_t next;

	if (field == FILTER_CT_STATE) {
		v.lo = s->ct & (s->ct - 1) ? 0 : s->ct; /* one that is known, or any */
		v.hi = s->ct & (s->ct - 1) ? UINT32_MAX : s->ct;
	}
	next = v.lo;
	for (uint32_t i = first; i < first + cnt; i++) {
		const struct filter_entry *e = entry_at(w, i);

		if (e == NULL || e->lo > v.hi)
			break;
		if (e->hi < v.lo)
			continue;
		f->may_not |= e->lo > next;
		next = (uint64_t)e->hi + 1;
		if (e->field != FILTER_LEAF) {
			search(w, s, e->first, e->cnt, e->field, is_map, f);
			continue;
		}
		f->may = true;
		if (is_map)
			go(w, s, e->first);
	}
	f->may_not |= next <= v.hi;
}

static void look_up(struct walk *w, struct state *s, const struct filter_insn *insn)
{
	bool not = insn->arg == FILTER_LOOKUP_NOT_SET, is_map = insn->arg == FILTER_LOOKUP_MAP;
	struct found f = { false, false };

	s->after_pc = is_map ? insn->next : 0;
	s->go_on_pc = is_map ? s->pc + 1 : 0;
	search(w, s, insn->a, insn->b, insn->field, is_map, &f);
	if (not ? f.may_not : f.may && !is_map)
		go(w, s, s->pc + 1);
	if (not ? f.may : f.may_not)
		go(w, s, insn->next);
}

/* One state of the connection after the other, if that is what is looked up. */
static void do_lookup(struct walk *w, struct state *s, const struct filter_insn *insn)
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

/* The first one, or the first gap. */
static void note(struct walk *w, uint32_t pc, bool gap)
{
	if (w->q->ret_against != NULL && pc < w->prog->cell_cnt)
		w->q->ret_against[pc] = 1;
	if (w->answer.at == 0 || (gap && !(w->answer.verdicts & 1u << FILTER_KERNEL)))
		w->answer.at = pc;
}

static void verdict(struct walk *w, uint32_t pc, enum filter_verdict v)
{
	if (v != FILTER_ACCEPT)
		note(w, pc, v == FILTER_KERNEL);
	w->answer.verdicts |= 1u << v;
}

static void jump(struct walk *w, struct state *s, uint32_t to, uint32_t back)
{
	if (s->depth == FILTER_DEPTH_MAX) {
		verdict(w, s->pc, FILTER_DROP);
		return;
	}
	s->stack[s->depth++] = back;
	go(w, s, to);
}

static void do_return(struct walk *w, struct state *s)
{
	uint32_t to = s->return_pc;

	if (s->depth > 0) {
		to = s->stack[--s->depth];
		s->stack[s->depth] = 0;
	}
	go(w, s, to);
}

static void step(struct walk *w, struct state *s)
{
	static const struct filter_insn nowhere = { .op = FILTER_OP_NONE };
	const struct filter_insn *insn = s->pc < w->prog->cell_cnt ? &w->prog->cells[s->pc].insn : &nowhere;

	switch (insn->op) {
	case FILTER_OP_LOOKUP:
		do_lookup(w, s, insn);
		break;
	case FILTER_OP_COUNT:
		w->answer.counts = true;
		note(w, s->pc, false);
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_EARLY:
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_LIMIT:
		w->answer.counts = true;
		note(w, s->pc, false);
		go(w, s, s->pc + 2);
		go(w, s, insn->next);
		break;
	case FILTER_OP_GOTO:
		go(w, s, insn->next);
		break;
	case FILTER_OP_JUMP:
		jump(w, s, insn->a, insn->next);
		break;
	case FILTER_OP_MAP_JUMP:
		jump(w, s, insn->a, s->after_pc);
		break;
	case FILTER_OP_MAP_CONTINUE:
		go(w, s, s->go_on_pc);
		break;
	case FILTER_OP_RETURN:
		do_return(w, s);
		break;
	case FILTER_OP_BASE:
		memset(s->stack, 0, sizeof(s->stack));
		s->depth = s->after_pc = s->go_on_pc = 0;
		s->accept_pc = insn->a;
		s->return_pc = insn->b;
		go(w, s, s->pc + 1);
		break;
	case FILTER_OP_ACCEPT:
		go(w, s, s->accept_pc);
		break;
	case FILTER_OP_REJECT:
		verdict(w, s->pc, FILTER_REJECT);
		break;
	case FILTER_OP_KERNEL:
		verdict(w, s->pc, FILTER_KERNEL);
		break;
	case FILTER_OP_END:
		verdict(w, s->pc, FILTER_ACCEPT);
		break;
	default:
		if (insn->op >= FILTER_OP_EQ && insn->op <= FILTER_OP_OUT)
			do_test(w, s, insn);
		else
			verdict(w, s->pc, FILTER_DROP);
	}
}

struct fw_question fw_question_any(enum filter_dir dir)
{
	struct fw_question q = { .dir = dir, .ct = CT_ALL };

	for (unsigned i = 0; i < FILTER_WORD_CNT; i++)
		q.word[i].hi = i == FILTER_CT_STATUS ? 0 : UINT32_MAX;
	return q;
}

int fw_ask(const struct fw_program *prog, const struct fw_question *q, struct fw_answer *ret_answer)
{
	struct walk w = { .prog = prog, .q = q, .seen_max = 1024 };
	struct state s = { .ct = q->ct, .pc = prog->cell_cnt > 0 ? prog->cells[0].head.entry[q->dir] : 0 };

	if (s.pc == 0) {
		*ret_answer = (struct fw_answer){ .verdicts = 1u << FILTER_ACCEPT };
		return 0;
	}
	w.seen = calloc(w.seen_max, sizeof(*w.seen));
	if (w.seen == NULL)
		return -ENOMEM;
	go(&w, &s, s.pc);
	while (w.err == 0 && w.todo_cnt > 0) {
		s = w.todo[--w.todo_cnt];
		step(&w, &s);
	}
	if (w.err != 0)
		w.answer.verdicts |= 1u << FILTER_KERNEL;
	free(w.todo);
	free(w.seen);
	*ret_answer = w.answer;
	return w.err;
}
