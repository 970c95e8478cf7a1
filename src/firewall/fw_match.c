// SPDX-License-Identifier: BSD-2-Clause
/* fw_match.c - matches: of one field and one value, and by a look-up in a table */
#include "firewall/fw_compile.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "wire/ip.h"

/* said of the field */
static const char gap_match[] = "is not compiled";
static const char gap_form[] = "is not compiled in this form";
static const char gap_set[] = "in a set that is not compiled";
static const char gap_room[] = "in a set that is too large";

bool fw_need(struct fw_rule *r, uint32_t needs)
{
	static const struct {
		uint32_t need, word, mask, value;
	} tests[] = {
		{ FW_NEED_IP4 | FW_NEED_ICMP4, FILTER_NFPROTO, UINT32_MAX, FILTER_NFPROTO_IP4 },
		{ FW_NEED_IP6 | FW_NEED_ICMP6, FILTER_NFPROTO, UINT32_MAX, FILTER_NFPROTO_IP6 },
		{ FW_NEED_TCP, FILTER_L4PROTO, UINT32_MAX, IP_PROTO_TCP },
		{ FW_NEED_UDP, FILTER_L4PROTO, UINT32_MAX, IP_PROTO_UDP },
		{ FW_NEED_ICMP4, FILTER_L4PROTO, UINT32_MAX, IP_PROTO_ICMP },
		{ FW_NEED_ICMP6, FILTER_L4PROTO, UINT32_MAX, IP_PROTO_ICMP6 },
		{ FW_NEED_L4 | FW_NEED_TCP | FW_NEED_UDP | FW_NEED_ICMP4 | FW_NEED_ICMP6, FILTER_HAVE, FILTER_HAVE_L4,
		  FILTER_HAVE_L4 },
	};

	if (needs & FW_NEED_CT && r->when == FW_BEFORE_CT) {
		r->gap = "is asked for before connections are known";
		return false;
	}
	if (needs & FW_NEED_CT)
		r->m->flags |= FILTER_TRACKS | (strcmp(r->chain->family, "ip6") != 0 ? FILTER_WHOLE_IP4 : 0) |
			       (strcmp(r->chain->family, "ip") != 0 ? FILTER_WHOLE_IP6 : 0);
	needs &= ~r->known;
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		const struct fw_field f = { .word_cnt = 1, .most = 0xff,
					    .of = { FW_SOURCE_META, tests[i].word == FILTER_NFPROTO ? NFT_META_NFPROTO : NFT_META_L4PROTO, 0, 1 } };

		if ((needs & tests[i].need) == 0)
			continue;
		fw_test(r, FILTER_OP_EQ, tests[i].word, tests[i].mask, tests[i].value);
		if (tests[i].word != FILTER_HAVE)
			fw_tell(r, FW_FACT_IS, &f, 0xff, &tests[i].value, &tests[i].value);
	}
	r->known |= needs;
	return true;
}

/* ---- told */

void fw_tell(struct fw_rule *r, enum fw_fact_op op, const struct fw_field *f, uint32_t mask, const uint32_t *lo, const uint32_t *hi)
{
	uint8_t m[FW_FACT_BYTES], from[FW_FACT_BYTES], to[FW_FACT_BYTES];
	bool is_name = f->of.source == FW_SOURCE_META && (f->of.key == NFT_META_IIF || f->of.key == NFT_META_OIF);

	memset(m, 0xff, sizeof(m));
	memset(from, 0, sizeof(from));
	memset(to, 0, sizeof(to));
	/* the kernel has the number of that interface */
	for (unsigned i = 0; i < f->word_cnt && !is_name; i++) {
		store_be32(from + 4 * i, lo[i]);
		store_be32(to + 4 * i, hi[i]);
		if (f->word_cnt > 1)
			store_be32(m + 4 * i, ~(lo[i] ^ hi[i]));
	}
	if (f->word_cnt == 1) {
		unsigned shift = 8 * (4u - f->of.len);

		store_be32(m, (mask & f->most) << f->bit << shift);
		store_be32(from, lo[0] << f->bit << shift);
		store_be32(to, (op == FW_FACT_IN || op == FW_FACT_OUT ? min_u32(hi[0], f->most) : hi[0]) << f->bit << shift);
	}
	if (op == FW_FACT_IS || op == FW_FACT_IS_NOT)
		for (unsigned i = 0; i < sizeof(m); i++)
			from[i] &= m[i];
	fw_fact_add(&r->told, op, f->of, op == FW_FACT_IS || op == FW_FACT_IS_NOT ? m : NULL, from, to);
}

/* ---- one value */

/* Is it the same as a mask on each word? (A prefix, a single value, a name that ends in a star.) */
static bool is_prefix(const struct fw_field *f, const struct fw_interval *v)
{
	bool rest_full = false;

	for (unsigned i = 0; i < f->word_cnt; i++) {
		uint32_t differs = v->lo[i] ^ v->hi[i];

		if ((differs & (differs + 1)) != 0 || (v->lo[i] & differs) != 0 || (rest_full && differs != UINT32_MAX))
			return false;
		rest_full |= differs != 0;
	}
	return true;
}

/* Differs: in any of the words. */
static void differs(struct fw_rule *r, const struct fw_field *f, const struct fw_interval *v)
{
	struct fw_code *c = &r->m->c;
	uint32_t tests[4], cnt = 0;

	fw_tell(r, FW_FACT_IS_NOT, f, f->mask & ~(v->lo[0] ^ v->hi[0]), v->lo, v->hi);

	for (unsigned i = 0; i < f->word_cnt; i++) {
		uint32_t mask = f->mask & ~(v->lo[i] ^ v->hi[i]);

		if (mask != 0)
			tests[cnt++] = fw_emit(c, (struct filter_insn){ .op = FILTER_OP_EQ, .field = (uint8_t)(f->word + i),
									.a = mask, .b = v->lo[i] & mask });
	}
	fw_fails(r, fw_emit(c, (struct filter_insn){ .op = FILTER_OP_GOTO }));
	for (uint32_t i = 0; c->err == 0 && i < cnt; i++)
		c->code.at[tests[i]].insn.next = c->code.cnt;
}

static void is_same(struct fw_rule *r, const struct fw_field *f, const struct fw_interval *v)
{
	fw_tell(r, FW_FACT_IS, f, f->mask & ~(v->lo[0] ^ v->hi[0]), v->lo, v->hi);
	for (unsigned i = 0; i < f->word_cnt; i++) {
		uint32_t mask = f->mask & ~(v->lo[i] ^ v->hi[i]);

		if (mask != 0)
			fw_test(r, FILTER_OP_EQ, f->word + i, mask, v->lo[i] & mask);
	}
}

/* ---- tables */

struct key {
	struct fw_field fields[FW_KEY_WORDS_MAX];
	unsigned field_cnt, word_cnt;
	uint8_t words[FW_KEY_WORDS_MAX];
	uint32_t needs;
};

/* A masked field has the same word as others, and its tables would compare all of it. */
static bool key_add(struct key *k, const json_t *left)
{
	struct fw_field f;

	if (!fw_field_of(left, &f) || f.kind == FW_VALUE_NAT || f.mask != UINT32_MAX || k->word_cnt + f.word_cnt > FW_KEY_WORDS_MAX)
		return false;
	for (unsigned i = 0; i < f.word_cnt; i++)
		k->words[k->word_cnt++] = (uint8_t)(f.word + i);
	k->needs |= f.needs;
	k->fields[k->field_cnt++] = f;
	return true;
}

static bool key_of(const json_t *left, struct key *ret)
{
	const json_t *concat = json_object_get(left, "concat");

	*ret = (struct key){ .field_cnt = 0 };
	if (concat == NULL)
		return key_add(ret, left);
	for (size_t i = 0; i < json_array_size(concat); i++)
		if (!key_add(ret, json_array_get(concat, i)))
			return false;
	return ret->field_cnt > 0;
}

struct boxes {
	struct fw_code *c;
	struct fw_box *at;
	uint32_t cnt, max;
};

/* One element while its words are filled in, a field after the other. */
struct element {
	struct boxes *boxes;
	const struct key *key;
	struct fw_interval values[FW_KEY_WORDS_MAX];
	struct fw_box box;
};

static void box_fields(struct element *e, unsigned field, unsigned word);

/*
 * Of an interval of several words, from word @i of the field on. @from, @to: so far it is at its lower, its upper end. An interval is
 * at most one box at each end of each word, and one between.
 */
static void box_words(struct element *e, unsigned field, unsigned word, unsigned i, bool from, bool to)
{
	const struct fw_interval *v = &e->values[field];
	unsigned cnt = e->key->fields[field].word_cnt;
	uint32_t lo = from ? v->lo[i] : 0, hi = to ? v->hi[i] : UINT32_MAX;
	bool lo_rest = false, hi_rest = false;

	for (unsigned k = i + 1; k < cnt; k++) {
		lo_rest |= from && v->lo[k] != 0;
		hi_rest |= to && v->hi[k] != UINT32_MAX;
		e->box.lo[word + k] = 0;
		e->box.hi[word + k] = UINT32_MAX;
	}
	if (lo == hi && i + 1 < cnt) {
		e->box.lo[word + i] = e->box.hi[word + i] = lo;
		box_words(e, field, word, i + 1, from, to);
		return;
	}
	if (lo_rest) {
		e->box.lo[word + i] = e->box.hi[word + i] = lo;
		box_words(e, field, word, i + 1, true, false);
	}
	if (hi_rest) {
		e->box.lo[word + i] = e->box.hi[word + i] = hi;
		box_words(e, field, word, i + 1, false, true);
	}
	for (unsigned k = i + 1; k < cnt; k++) {
		e->box.lo[word + k] = 0;
		e->box.hi[word + k] = UINT32_MAX;
	}
	if ((uint64_t)lo + lo_rest > (uint64_t)hi - hi_rest)
		return;
	e->box.lo[word + i] = lo + lo_rest;
	e->box.hi[word + i] = hi - hi_rest;
	box_fields(e, field + 1, word + cnt);
}

static void box_fields(struct element *e, unsigned field, unsigned word)
{
	struct boxes *b = e->boxes;

	if (field < e->key->field_cnt) {
		box_words(e, field, word, 0, true, true);
		return;
	}
	if (b->cnt < FILTER_CELLS_MAX && fw_room(b->c, &b->at, b->cnt, &b->max, sizeof(*b->at)))
		b->at[b->cnt++] = e->box;
	else if (b->c->err == 0)
		b->c->err = -E2BIG;
}

/* What the ruleset says of one element beside its value. Return: the value; NULL: something that counts or limits */
static const json_t *element_value(struct fw_rule *r, const json_t *element)
{
	const json_t *elem = json_object_get(element, "elem"), *member;
	const char *key;

	if (elem == NULL)
		return element;
	json_object_foreach ((json_t *)elem, key, member) {
		if (strcmp(key, "expires") == 0 && json_integer_value(member) >= 0) {
			uint64_t s = (uint64_t)json_integer_value(member);

			r->m->prog.expires_s = s < r->m->prog.expires_s ? s : r->m->prog.expires_s;
		} else if (strcmp(key, "val") != 0 && strcmp(key, "comment") != 0 && strcmp(key, "timeout") != 0) {
			return NULL;
		}
	}
	return json_object_get(elem, "val");
}

static bool element_add(struct fw_rule *r, struct boxes *b, const struct key *k, const json_t *element, uint32_t leaf)
{
	struct element e = { .boxes = b, .key = k, .box = { .leaf = leaf } };
	const json_t *value = element_value(r, element), *concat = json_object_get(value, "concat");

	if (value == NULL || (concat != NULL ? json_array_size(concat) : 1) != k->field_cnt)
		return false;
	for (unsigned i = 0; i < k->field_cnt; i++)
		if (!fw_value_of(&k->fields[i], concat != NULL ? json_array_get(concat, i) : value, &e.values[i]))
			return false;
	box_fields(&e, 0, 0);
	return true;
}

static const struct fw_made *made_find(const struct fw_compiler *m, const struct key *k, const json_t *elements, enum fw_when when)
{
	for (uint32_t i = 0; i < m->made_cnt; i++) {
		const struct fw_made *t = &m->made[i];

		if (t->elements == elements && t->when == when && t->word_cnt == k->word_cnt &&
		    memcmp(t->words, k->words, k->word_cnt) == 0)
			return t;
	}
	return NULL;
}

/* Return: false: r->gap says why */
static bool table_from(struct fw_rule *r, const struct key *k, const json_t *elements, struct boxes *b, struct fw_tree *ret)
{
	struct fw_compiler *m = r->m;
	uint32_t data_cnt = m->c.data.cnt;
	int err = fw_tree_make(&m->c, b->at, b->cnt, k->words, k->word_cnt, ret);

	if (err < 0) {
		/* this set alone; room for the others is as before */
		if (err != -ENOMEM && m->c.err != -ENOMEM) {
			m->c.data.cnt = data_cnt;
			m->c.err = 0;
		}
		r->gap = err == -EEXIST ? gap_set : gap_room;
		return false;
	}
	if (fw_room(&m->c, &m->made, m->made_cnt, &m->made_max, sizeof(*m->made))) {
		struct fw_made *t = &m->made[m->made_cnt++];

		*t = (struct fw_made){ .elements = elements, .when = r->when, .word_cnt = k->word_cnt, .tree = *ret };
		memcpy(t->words, k->words, sizeof(t->words));
	}
	return true;
}

/* Code that a map's leaf leads to. All of them lie before the look-up, which is jumped to. */
static uint32_t leaf_code(struct fw_rule *r, const json_t *verdict)
{
	struct filter_insn insn;
	struct fw_chain *to = NULL;
	uint32_t at;

	if (!fw_verdict(r, verdict, true, &insn, &to))
		return 0;
	at = fw_emit(&r->m->c, insn);
	if (to != NULL)
		fw_fix(r->m, at, insn.op == FILTER_OP_GOTO, to, r->when);
	return at;
}

/* Most elements of a map have one of a few verdicts. */
struct leaves {
	const json_t *verdicts[32];
	uint32_t at[32], cnt;
};

static uint32_t leaf_of(struct fw_rule *r, struct leaves *l, const json_t *verdict)
{
	uint32_t at;

	for (uint32_t i = 0; i < l->cnt; i++)
		if (json_equal(l->verdicts[i], verdict))
			return l->at[i];
	at = leaf_code(r, verdict);
	if (at != 0 && l->cnt < ARRAY_SIZE(l->at)) {
		l->verdicts[l->cnt] = verdict;
		l->at[l->cnt++] = at;
	}
	return at;
}

static bool boxes_of(struct fw_rule *r, const struct key *k, const json_t *elements, bool is_map, struct boxes *b)
{
	struct leaves leaves = { .cnt = 0 };

	for (size_t i = 0; i < json_array_size(elements); i++) {
		const json_t *e = json_array_get(elements, i), *what = is_map ? json_array_get(e, 0) : e;
		uint32_t leaf = is_map ? leaf_of(r, &leaves, json_array_get(e, 1)) : 1;

		if ((is_map && (json_array_size(e) != 2 || leaf == 0)) || !element_add(r, b, k, what, leaf)) {
			r->gap = gap_set;
			return false;
		}
	}
	return true;
}

/* Return: false: r->gap says why */
static bool table_of(struct fw_rule *r, const struct key *k, const json_t *elements, bool is_map, struct fw_tree *ret)
{
	const struct fw_made *made = made_find(r->m, k, elements, is_map ? r->when : FW_AFTER_CT);
	struct boxes b = { .c = &r->m->c };
	enum fw_when when = r->when;
	uint32_t over = 0;
	bool ok;

	if (made != NULL) {
		*ret = made->tree;
		return true;
	}
	if (is_map)
		over = fw_emit(&r->m->c, (struct filter_insn){ .op = FILTER_OP_GOTO });
	else
		r->when = FW_AFTER_CT;
	ok = boxes_of(r, k, elements, is_map, &b) && table_from(r, k, elements, &b, ret);
	r->when = when;
	if (is_map && r->m->c.err == 0)
		r->m->c.code.at[over].insn.next = r->m->c.code.cnt;
	free(b.at);
	return ok;
}

/* A set that packets change, or that has statements of its own, is not what was read for long. */
static bool object_is_plain(const json_t *o)
{
	static const char *const fine[] = { "family", "name",	 "table", "type",	"handle",  "flags", "elem", "map",
					    "timeout", "gc-interval", "size",  "policy", "auto-merge", "comment" };
	const json_t *flags = json_object_get(o, "flags"), *member;
	const char *key;

	for (size_t i = 0; i < json_array_size(flags); i++) {
		const char *flag = json_string_value(json_array_get(flags, i));

		if (flag == NULL || strcmp(flag, "dynamic") == 0)
			return false;
	}
	if (json_is_string(flags) && strcmp(json_string_value(flags), "dynamic") == 0)
		return false;
	json_object_foreach ((json_t *)o, key, member) {
		size_t i = 0;

		while (i < ARRAY_SIZE(fine) && strcmp(fine[i], key) != 0)
			i++;
		if (i == ARRAY_SIZE(fine))
			return false;
	}
	return true;
}

static const json_t no_elements = { .type = JSON_NULL, .refcount = (size_t)-1 };

/* Of "@name" or { "set": [...] }. Return: its elements; NULL: not one that we know */
static const json_t *elements_of(struct fw_rule *r, const json_t *right, bool is_map)
{
	const char *name = json_string_value(right);
	const struct fw_object *o;
	const json_t *elements;

	if (name == NULL) {
		elements = json_object_get(right, "set");
		return json_object_size(right) == 1 && json_is_array(elements) ? elements : NULL;
	}
	o = name[0] == '@' ? fw_object_find(&r->m->rs, r->chain, is_map ? "map" : "set", name + 1) : NULL;
	if (o == NULL || o->changes || !object_is_plain(o->json))
		return NULL;
	if (is_map && (fw_text(o->json, "map") == NULL || strcmp(fw_text(o->json, "map"), "verdict") != 0))
		return NULL;
	elements = json_object_get(o->json, "elem");
	return elements != NULL ? elements : &no_elements;
}

/* A range of several words is a set here, and none in the kernel. */
static void tell_lookup(struct fw_rule *r, const struct key *k, const json_t *right, enum filter_lookup how)
{
	static const enum fw_fact_op ops[] = { [FILTER_LOOKUP_SET] = FW_FACT_FOUND, [FILTER_LOOKUP_NOT_SET] = FW_FACT_NOT_FOUND,
					       [FILTER_LOOKUP_MAP] = FW_FACT_MAP };
	const char *name = json_string_value(right);
	struct fw_interval v;

	if (json_object_get(right, "range") != NULL) {
		if (fw_value_of(&k->fields[0], right, &v))
			fw_tell(r, how == FILTER_LOOKUP_SET ? FW_FACT_IN : FW_FACT_OUT, &k->fields[0], UINT32_MAX, v.lo, v.hi);
		return;
	}
	for (unsigned i = 0; i < k->field_cnt; i++)
		fw_fact_key(&r->told, ops[how], k->fields[i].of, i, name != NULL ? name + 1 : NULL);
	if (how == FILTER_LOOKUP_MAP)
		fw_step_add(&r->told, FW_STEP_MAP, 0, 0, 0);
}

/* @shown: what the text has for @right */
static bool look_up(struct fw_rule *r, const json_t *left, const json_t *right, enum filter_lookup how, const json_t *shown)
{
	bool is_map = how == FILTER_LOOKUP_MAP;
	const json_t *elements = elements_of(r, right, is_map);
	struct fw_code *c = &r->m->c;
	struct fw_tree tree;
	struct key k;
	uint32_t at;

	r->gap = gap_match;
	if (!key_of(left, &k) || !fw_need(r, k.needs))
		return false;
	r->gap = gap_set;
	if (elements == NULL || !table_of(r, &k, elements, is_map, &tree))
		return false;
	at = fw_emit(c, (struct filter_insn){ .op = FILTER_OP_LOOKUP, .field = (uint8_t)tree.field, .arg = (uint16_t)how,
					      .a = tree.first, .b = tree.cnt });
	if (c->err == 0)
		c->code.steps[at] = tree.depth;
	fw_fails(r, at);
	tell_lookup(r, &k, shown, how);
	r->gap = NULL;
	return true;
}

/* ---- matches */

static bool compare(struct fw_rule *r, const struct fw_field *f, const char *op, const json_t *right)
{
	static const char *const ops[] = { "<", "<=", ">", ">=" };
	uint32_t n, lo = 0, hi = f->mask;
	unsigned i = 0;

	while (i < ARRAY_SIZE(ops) && strcmp(ops[i], op) != 0)
		i++;
	if (i == ARRAY_SIZE(ops) || f->kind != FW_VALUE_NUMBER || f->mask != UINT32_MAX || f->word == FILTER_CT_STATE ||
	    !json_is_integer(right) || !fw_number_of(right, &n))
		return false;
	if ((i == 0 && n == 0) || (i == 2 && n == UINT32_MAX))
		return false;
	if (i < 2)
		hi = i == 0 ? n - 1 : n;
	else
		lo = i == 2 ? n + 1 : n;
	fw_test(r, FILTER_OP_IN, f->word, lo, hi);
	fw_tell(r, FW_FACT_IN, f, UINT32_MAX, &lo, &hi);
	return true;
}

/* Bits: "in" (any of them), "!" (none); and equality with several at once. */
static bool bits(struct fw_rule *r, const struct fw_field *f, const char *op, const json_t *right)
{
	uint32_t n, none = 0;
	bool any;

	if ((f->kind != FW_VALUE_NUMBER && f->kind != FW_VALUE_NAT) || f->shift != 0 || !fw_number_of(right, &n) ||
	    (f->kind == FW_VALUE_NAT && (n & ~(uint32_t)FILTER_CT_NAT) != 0))
		return false;
	if (strcmp(op, "in") == 0 && f->mask == UINT32_MAX)
		fw_test(r, FILTER_OP_ANY, f->word, n, 0);
	else if (strcmp(op, "!") == 0 && f->mask == UINT32_MAX)
		fw_test(r, FILTER_OP_NONE_OF, f->word, n, 0);
	else if (strcmp(op, "==") == 0)
		fw_test(r, FILTER_OP_EQ, f->word, f->mask, n);
	else if (strcmp(op, "!=") == 0)
		fw_test(r, FILTER_OP_NE, f->word, f->mask, n);
	else
		return false;
	any = strcmp(op, "in") == 0 || strcmp(op, "!") == 0;
	fw_tell(r, strcmp(op, "in") == 0 || strcmp(op, "!=") == 0 ? FW_FACT_IS_NOT : FW_FACT_IS, f, any ? n : f->mask,
		any ? &none : &n, any ? &none : &n);
	return true;
}

/* An interval that is no prefix: as the set of it alone. */
static bool between(struct fw_rule *r, const struct fw_field *f, const struct fw_interval *v, bool not)
{
	if (f->word_cnt != 1 || f->mask != UINT32_MAX)
		return false;
	fw_test(r, not ? FILTER_OP_OUT : FILTER_OP_IN, f->word, v->lo[0], v->hi[0]);
	fw_tell(r, not ? FW_FACT_OUT : FW_FACT_IN, f, UINT32_MAX, v->lo, v->hi);
	return true;
}

static bool one_value(struct fw_rule *r, const struct fw_field *f, const char *op, const json_t *right)
{
	bool not = strcmp(op, "!=") == 0, is_bits = strcmp(op, "in") == 0 || strcmp(op, "!") == 0;
	struct fw_interval v;

	if (json_is_array(right) || json_object_get(right, "|") != NULL || is_bits)
		return (f->kind != FW_VALUE_NAT || is_bits) && bits(r, f, op, right);
	if (f->kind == FW_VALUE_NAT)
		return false;
	if (!not && strcmp(op, "==") != 0)
		return compare(r, f, op, right);
	if (!fw_value_of(f, right, &v))
		return false;
	if (!is_prefix(f, &v))
		return between(r, f, &v, not);
	if (not)
		differs(r, f, &v);
	else
		is_same(r, f, &v);
	return true;
}

/* Of several words, and no prefix: [ "range" ] stands as well for a set of one. */
static bool wide_range(struct fw_rule *r, const json_t *left, const json_t *right, enum filter_lookup how)
{
	json_t *set = json_pack("{s:[O]}", "set", right);
	bool ok = set != NULL && look_up(r, left, set, how, right);

	/* the set's address must not come again as another one's */
	if (ok && r->m->made_cnt > 0)
		r->m->made[r->m->made_cnt - 1].elements = NULL;
	json_decref(set);
	return ok;
}

/* Most rules are about a port: protocol, header and number in one test. Not where it asks for another number. */
static bool fusible(const struct fw_rule *r, const struct fw_field *f, const char *op)
{
	return (f->word == FILTER_SPORT || f->word == FILTER_DPORT) && (f->needs == FW_NEED_TCP || f->needs == FW_NEED_UDP) &&
	       (r->known & f->needs) == 0 && strcmp(op, "!=") != 0 && strcmp(op, "in") != 0 && strcmp(op, "!") != 0;
}

static void tell_proto(struct fw_rule *r, uint32_t proto)
{
	const struct fw_field f = { .word_cnt = 1, .most = 0xff, .of = { FW_SOURCE_META, NFT_META_L4PROTO, 0, 1 } };

	fw_tell(r, FW_FACT_IS, &f, 0xff, &proto, &proto);
}

bool fw_match(struct fw_rule *r, const json_t *match)
{
	const json_t *left = json_object_get(match, "left"), *right = json_object_get(match, "right");
	const char *op = fw_text(match, "op"), *name = json_string_value(right);
	struct fw_field f;
	bool is_set = json_object_get(right, "set") != NULL || (name != NULL && name[0] == '@');
	enum filter_lookup how;
	bool ok;

	r->gap = gap_match;
	if (op == NULL || json_object_size(match) != 3)
		return false;
	how = strcmp(op, "!=") == 0 ? FILTER_LOOKUP_NOT_SET : FILTER_LOOKUP_SET;
	if (is_set)
		return (how == FILTER_LOOKUP_NOT_SET || strcmp(op, "==") == 0 || strcmp(op, "in") == 0) &&
		       look_up(r, left, right, how, right);
	if (!fw_field_of(left, &f))
		return false;
	r->gap = gap_form;
	if (json_object_get(right, "range") != NULL && f.word_cnt > 1 && (how == FILTER_LOOKUP_NOT_SET || strcmp(op, "==") == 0))
		return wide_range(r, left, right, how);
	r->fuse = fusible(r, &f, op) ? f.needs == FW_NEED_TCP ? IP_PROTO_TCP : IP_PROTO_UDP : 0;
	ok = (r->fuse != 0 || fw_need(r, f.needs)) && one_value(r, &f, op, right);
	if (ok && r->fuse != 0) {
		tell_proto(r, r->fuse);
		r->known |= f.needs;
	}
	r->fuse = 0;
	if (ok)
		r->gap = NULL;
	return ok;
}

bool fw_verdict_map(struct fw_rule *r, const json_t *vmap)
{
	return look_up(r, json_object_get(vmap, "key"), json_object_get(vmap, "data"), FILTER_LOOKUP_MAP,
		       json_object_get(vmap, "data"));
}
