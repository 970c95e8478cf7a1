// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_rule.c - a rule: its matches, its statements, its verdict
 *
 * Matches that stand together are one question, and the order in which they are asked does not matter; so those that are expressed are
 * asked first, and only what passes them comes to the gap that another one leaves.
 */
#include "firewall/fw_compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "wire/icmp.h"

static const char gap_statement[] = "is not compiled";

bool fw_room(struct fw_code *c, void *array, uint32_t cnt, uint32_t *max, size_t bytes)
{
	uint32_t more = *max > 0 ? *max * 2 : 64;
	void *at;

	if (cnt < *max)
		return c->err == 0;
	memcpy(&at, array, sizeof(at));
	at = realloc(at, more * bytes);
	if (at == NULL) {
		c->err = -ENOMEM;
		return false;
	}
	memcpy(array, &at, sizeof(at));
	*max = more;
	return c->err == 0;
}

void fw_fails(struct fw_rule *r, uint32_t at)
{
	struct fw_compiler *m = r->m;

	if (fw_room(&m->c, &m->fails, m->fail_cnt, &m->fail_max, sizeof(*m->fails)))
		m->fails[m->fail_cnt++] = at;
}

void fw_test(struct fw_rule *r, enum filter_op op, unsigned word, uint32_t a, uint32_t b)
{
	if (r->fuse != 0) {
		/* FILTER_OP_EQ or FILTER_OP_IN */
		word = word == FILTER_SPORT ? FILTER_SPORT_OF : FILTER_DPORT_OF;
		a = op == FILTER_OP_EQ ? (a & 0xffff) | 0xff0000 : a | r->fuse << 16;
		b = min_u32(b, 0xffff) | r->fuse << 16;
	}
	fw_fails(r, fw_emit(&r->m->c, (struct filter_insn){ .op = (uint8_t)op, .field = (uint8_t)word, .a = a, .b = b }));
}

void fw_fix(struct fw_compiler *m, uint32_t at, bool in_next, struct fw_chain *chain, enum fw_when when)
{
	chain->code[when].wanted = true;
	if (fw_room(&m->c, &m->fixups, m->fixup_cnt, &m->fixup_max, sizeof(*m->fixups)))
		m->fixups[m->fixup_cnt++] = (struct fw_fixup){ at, in_next, chain, when };
}

void fw_place_set(struct fw_place *p, const struct fw_chain *chain, const char *name, uint64_t handle)
{
	*p = (struct fw_place){ .handle = handle };
	snprintf(p->family, sizeof(p->family), "%s", chain->family);
	snprintf(p->table, sizeof(p->table), "%s", chain->table);
	snprintf(p->chain, sizeof(p->chain), "%s", name);
}

void fw_gap(struct fw_compiler *m, const struct fw_chain *chain, uint64_t handle, const char *why)
{
	struct fw_program *p = &m->prog;

	if (!fw_room(&m->c, &p->gaps, p->gap_cnt, &m->gap_max, sizeof(*p->gaps)))
		return;
	fw_place_set(&p->gaps[p->gap_cnt].place, chain, chain->name, handle);
	snprintf(p->gaps[p->gap_cnt].why, FW_GAP_BYTES, "%s", why);
	fw_emit(&m->c, (struct filter_insn){ .op = FILTER_OP_KERNEL, .a = p->gap_cnt++ });
}

/* ---- what is kept when rules change */

static uint64_t hash_bytes(uint64_t h, const void *p, size_t bytes)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h;
}

/*
 * Handles are given once: a rule or object that comes anew, though it says the same, begins anew, as it does in the kernel. @o: NULL: statement
 * number @nth of its kind of this rule. (FNV-1a; the names are root's.)
 */
static uint64_t whose(const struct fw_rule *r, const struct fw_object *o, const char *kind, uint32_t nth)
{
	const uint64_t numbers[] = { r->chain->table_handle, o != NULL ? fw_handle(o->json) : r->handle, nth, o != NULL ? 0 : r->when };
	const char *names[] = { kind, r->chain->family, r->chain->table, o != NULL ? o->name : r->chain->name };
	uint64_t h = hash_bytes(0xcbf29ce484222325u, numbers, sizeof(numbers));

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		h = hash_bytes(h, names[i], strlen(names[i]) + 1);
	return h != 0 ? h : 1;
}

/* ---- counters */

static uint32_t counter_new(struct fw_rule *r, const struct fw_object *o)
{
	struct fw_compiler *m = r->m;
	struct fw_program *p = &m->prog;
	struct fw_counter *ctr;

	if (!fw_room(&m->c, &p->counters, p->counter_cnt, &m->counter_max, sizeof(*p->counters)))
		return 0;
	ctr = &p->counters[p->counter_cnt++];
	*ctr = (struct fw_counter){ .named = o != NULL, .nth = o != NULL ? 0 : r->counter_cnt++ };
	fw_place_set(&ctr->place, r->chain, o != NULL ? o->name : r->chain->name, o != NULL ? 0 : r->handle);
	ctr->cell = fw_kept(&m->c, (union filter_cell){ .count = { 0, 0 } }, whose(r, o, "counter", ctr->nth), false);
	return ctr->cell;
}

static bool counter(struct fw_rule *r, const json_t *value)
{
	const char *name = json_string_value(value);
	struct fw_object *o = name != NULL ? fw_object_find(&r->m->rs, r->chain, "counter", name) : NULL;
	uint32_t cell;

	if (name == NULL) {
		if (!json_is_object(value) && !json_is_null(value))
			return false;
		cell = counter_new(r, NULL);
	} else {
		if (o == NULL)
			return false;
		if (o->cell == 0)
			o->cell = counter_new(r, o) + 1;
		cell = o->cell - 1;
	}
	fw_emit(&r->m->c, (struct filter_insn){ .op = FILTER_OP_COUNT, .a = cell });
	fw_step_add(&r->told, name != NULL ? FW_STEP_NAMED_COUNTER : FW_STEP_COUNTER, 0, fw_name_hash(name), 0);
	return true;
}

/* ---- limits */

static bool unit_of(const json_t *unit, uint64_t *ret_bytes)
{
	const char *text = json_string_value(unit);

	*ret_bytes = 1;
	if (text == NULL || strcmp(text, "bytes") == 0 || strcmp(text, "packets") == 0)
		return true;
	*ret_bytes = strcmp(text, "kbytes") == 0 ? 1024 : 1024 * 1024;
	return *ret_bytes == 1024 || strcmp(text, "mbytes") == 0;
}

static uint64_t seconds_of(const char *per)
{
	static const struct {
		const char *name;
		uint64_t s;
	} units[] = { { "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 }, { "week", 604800 } };

	for (size_t i = 0; per != NULL && i < ARRAY_SIZE(units); i++)
		if (strcmp(units[i].name, per) == 0)
			return units[i].s;
	return 0;
}

/* The kernel's own arithmetic, so that a bucket is empty at the same packet. Return: false: none that we know */
static bool limit_read(const json_t *o, struct filter_limit *ret_limit, int64_t *ret_depth_ns)
{
	json_int_t rate = json_integer_value(json_object_get(o, "rate")), burst = json_integer_value(json_object_get(o, "burst"));
	const char *rate_unit = fw_text(o, "rate_unit");
	bool bytes = rate_unit != NULL && strcmp(rate_unit, "packets") != 0;
	uint64_t rate_by, burst_by, ns = seconds_of(fw_text(o, "per")) * 1000000000u;
	__uint128_t depth;

	if (ns == 0 || rate <= 0 || rate > UINT32_MAX || burst < 0 || burst > UINT32_MAX ||
	    !unit_of(json_object_get(o, "rate_unit"), &rate_by) || !unit_of(json_object_get(o, "burst_unit"), &burst_by))
		return false;
	rate_by *= (uint64_t)rate;
	burst_by *= (uint64_t)burst;
	if (bytes) {
		*ret_limit = (struct filter_limit){ .cost_ns = ns, .rate = rate_by };
		depth = (__uint128_t)ns * (rate_by + burst_by) / rate_by;
	} else {
		*ret_limit = (struct filter_limit){ .cost_ns = ns / rate_by };
		depth = (__uint128_t)(ns / rate_by) * (burst_by > 0 ? burst_by : 5);
	}
	*ret_depth_ns = (int64_t)depth;
	/* the cost of the longest packet, and the bucket, in numbers of 64 bits, as the kernel has them */
	return depth <= INT64_MAX && (!bytes || ((__uint128_t)ns * 65536 <= UINT64_MAX &&
						 (__uint128_t)ns * (rate_by + burst_by) <= UINT64_MAX));
}

static bool limit(struct fw_rule *r, const json_t *value)
{
	const char *name = json_string_value(value);
	struct fw_object *o = name != NULL ? fw_object_find(&r->m->rs, r->chain, "limit", name) : NULL;
	const json_t *from = name == NULL ? value : o != NULL ? o->json : NULL;
	struct filter_limit lim;
	struct fw_code *c = &r->m->c;
	int64_t depth_ns;
	uint32_t bucket;

	if (!json_is_object(from) || !limit_read(from, &lim, &depth_ns))
		return false;
	bucket = o != NULL && o->cell != 0 ? o->cell - 1
					   : fw_kept(c, (union filter_cell){ .bucket = { FILTER_BUCKET_FULL, depth_ns } },
						     whose(r, o, "limit", o != NULL ? 0 : r->limit_cnt++), true);
	if (o != NULL)
		o->cell = bucket + 1;
	fw_fails(r, fw_emit(c, (struct filter_insn){ .op = FILTER_OP_LIMIT, .a = bucket,
						     .arg = json_is_true(json_object_get(from, "inv")) }));
	fw_emit_limit(c, lim);
	r->m->flags |= FILTER_TIMED;
	if (name != NULL)
		fw_step_add(&r->told, FW_STEP_NAMED_LIMIT, 0, fw_name_hash(name), 0);
	else
		fw_step_add(&r->told, FW_STEP_LIMIT, (lim.rate != 0 ? 2u : 0u) | (json_is_true(json_object_get(from, "inv")) ? 1u : 0u),
			    lim.rate != 0 ? lim.rate : (uint64_t)json_integer_value(json_object_get(from, "rate")),
			    seconds_of(fw_text(from, "per")));
	return true;
}

/* ---- reject */

static bool icmp_codes(const char *type, uint32_t code, struct filter_insn *ret, uint32_t *ret_needs)
{
	static const uint8_t v4[] = { ICMP4_UNREACH_NET, ICMP4_UNREACH_PORT, ICMP4_UNREACH_HOST, ICMP4_UNREACH_ADMIN };
	static const uint8_t v6[] = { ICMP6_UNREACH_NO_ROUTE, ICMP6_UNREACH_PORT, ICMP6_UNREACH_ADDR, ICMP6_UNREACH_ADMIN };

	*ret_needs = strcmp(type, "icmp") == 0 ? FW_NEED_IP4 : strcmp(type, "icmpv6") == 0 ? FW_NEED_IP6 : 0;
	if (*ret_needs == 0 && (strcmp(type, "icmpx") != 0 || code >= ARRAY_SIZE(v4)))
		return false;
	ret->a = *ret_needs != 0 ? code : v4[code];
	ret->b = *ret_needs != 0 ? code : v6[code];
	return code < 256;
}

static bool reject(struct fw_rule *r, const json_t *value, struct filter_insn *ret)
{
	const char *type = fw_text(value, "type");
	uint32_t code, needs = FW_NEED_TCP;

	*ret = (struct filter_insn){ .op = FILTER_OP_REJECT, .a = ICMP4_UNREACH_PORT, .b = ICMP6_UNREACH_PORT };
	if (json_is_null(value))
		return true;
	if (type == NULL)
		return false;
	if (strcmp(type, "tcp reset") == 0)
		ret->arg = FILTER_REJECT_RST;
	else if (!fw_number_of(json_object_get(value, "expr"), &code) || !icmp_codes(type, code, ret, &needs))
		return false;
	return fw_need(r, needs);
}

/* As the kernel numbers them. */
static void tell_end(struct fw_rule *r, const json_t *object, const struct filter_insn *insn, const struct fw_chain *to)
{
	static const int codes[] = { [FILTER_OP_ACCEPT] = NF_ACCEPT, [FILTER_OP_DROP] = NF_DROP, [FILTER_OP_RETURN] = NFT_RETURN,
				     [FILTER_OP_JUMP] = NFT_JUMP, [FILTER_OP_GOTO] = NFT_GOTO };
	const char *type = fw_text(json_object_get(object, "reject"), "type");
	uint32_t code = 0;

	if (insn->op != FILTER_OP_REJECT) {
		fw_step_add(&r->told, FW_STEP_VERDICT, (uint32_t)codes[insn->op], fw_name_hash(to != NULL ? to->name : NULL), 0);
		return;
	}
	fw_number_of(json_object_get(json_object_get(object, "reject"), "expr"), &code);
	if (type == NULL || strcmp(type, "icmpx") == 0)
		fw_step_add(&r->told, FW_STEP_REJECT, NFT_REJECT_ICMPX_UNREACH, type != NULL ? code : NFT_REJECT_ICMPX_PORT_UNREACH, 0);
	else
		fw_step_add(&r->told, FW_STEP_REJECT, insn->arg == FILTER_REJECT_RST ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMP_UNREACH, code, 0);
}

/* ---- verdicts */

bool fw_verdict(struct fw_rule *r, const json_t *object, bool in_map, struct filter_insn *ret_insn, struct fw_chain **ret_to)
{
	static const struct {
		const char *key;
		enum filter_op op;
	} plain[] = { { "accept", FILTER_OP_ACCEPT }, { "drop", FILTER_OP_DROP }, { "return", FILTER_OP_RETURN } };
	const json_t *to;

	if (json_object_size(object) != 1)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (json_object_get(object, plain[i].key) != NULL) {
			*ret_insn = (struct filter_insn){ .op = (uint8_t)plain[i].op };
			return true;
		}
	if (in_map && json_object_get(object, "continue") != NULL) {
		*ret_insn = (struct filter_insn){ .op = FILTER_OP_MAP_CONTINUE };
		return true;
	}
	*ret_insn = (struct filter_insn){ .op = in_map ? FILTER_OP_MAP_JUMP : FILTER_OP_JUMP };
	to = json_object_get(object, "jump");
	if (to == NULL) {
		to = json_object_get(object, "goto");
		ret_insn->op = FILTER_OP_GOTO;
	}
	*ret_to = fw_text(to, "target") != NULL ? fw_chain_find(&r->m->rs, r->chain, fw_text(to, "target")) : NULL;
	return *ret_to != NULL && (*ret_to)->hook == FW_HOOK_NONE;
}

/* Return: false: no verdict that we know */
static bool end_with(struct fw_rule *r, const json_t *object)
{
	const json_t *how = json_object_get(object, "reject");
	struct fw_chain *to = NULL;
	struct filter_insn insn;
	uint32_t at;

	if (how != NULL ? !reject(r, how, &insn) : !fw_verdict(r, object, false, &insn, &to))
		return false;
	at = fw_emit(&r->m->c, insn);
	if (to != NULL)
		fw_fix(r->m, at, insn.op == FILTER_OP_GOTO, to, r->when);
	if (insn.op == FILTER_OP_JUMP)
		fw_fails(r, at);
	tell_end(r, object, &insn, to);
	r->ended = true;
	return true;
}

/* ---- what is not compiled, by its name */

/* The one of them that isn't known, or the first. */
static const json_t *odd_one(const json_t *concat)
{
	struct fw_field f;

	for (size_t i = 0; i < json_array_size(concat); i++)
		if (!fw_field_of(json_array_get(concat, i), &f))
			return json_array_get(concat, i);
	return json_array_get(concat, 0);
}

/* What of @e has the name: of { "&": [ field, mask ] } the field, of several fields one. */
static const json_t *named_part(const json_t *e, bool *ret_changes)
{
	for (unsigned depth = 0; depth < 8; depth++) {
		const char *kind = json_object_iter_key(json_object_iter((json_t *)e));
		const json_t *of = kind != NULL ? json_object_get(e, kind) : NULL;

		if (kind != NULL && strcmp(kind, "mangle") == 0) {
			*ret_changes = true;
			e = json_object_get(of, "key");
		} else if (json_is_array(of)) {
			e = strcmp(kind, "concat") == 0 ? odd_one(of) : json_array_get(of, 0);
		} else {
			break;
		}
	}
	return e;
}

/* As nft writes it, where its JSON says so: "meta skuid", "tcp option maxseg", "log" */
static void name_of(const json_t *e, char *ret, size_t bytes)
{
	static const char *const members[] = { "name", "field", "key", "result" };
	bool changes = false;
	const json_t *part = named_part(e, &changes), *of;
	const char *kind = json_object_iter_key(json_object_iter((json_t *)part)), *which = NULL;

	of = kind != NULL ? json_object_get(part, kind) : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(members) && which == NULL; i++)
		which = fw_text(of, members[i]);
	if (kind != NULL && strcmp(kind, "payload") == 0 && fw_text(of, "protocol") != NULL)
		kind = fw_text(of, "protocol");
	snprintf(ret, bytes, "%s%s%s%s", changes ? "a change of " : "", kind != NULL ? kind : "it", which != NULL ? " " : "",
		 which != NULL ? which : "");
}

static bool is_known_statement(const json_t *e)
{
	static const char *const known[] = { "counter", "limit", "vmap", "reject", "jump", "goto" };
	bool is = false;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		is |= json_object_get(e, known[i]) != NULL;
	return is;
}

/* ---- the rule */

static bool statement(struct fw_rule *r, const json_t *e)
{
	const json_t *value;

	r->gap = gap_statement;
	r->gap_at = e;
	value = json_object_get(e, "counter");
	if (value != NULL && json_object_size(e) == 1)
		return counter(r, value);
	value = json_object_get(e, "limit");
	if (value != NULL && json_object_size(e) == 1)
		return limit(r, value);
	value = json_object_get(e, "vmap");
	if (value != NULL && json_object_size(e) == 1) {
		r->gap_at = json_object_get(value, "key");
		return fw_verdict_map(r, value);
	}
	if (json_object_get(e, "continue") != NULL && json_object_size(e) == 1) {
		fw_step_add(&r->told, FW_STEP_VERDICT, (uint32_t)NFT_CONTINUE, 0, 0);
		return true;
	}
	return end_with(r, e);
}

/* Matches from @i on. Return: where they end */
static size_t matches(struct fw_rule *r, const json_t *exprs, size_t i)
{
	const char *gap = NULL;
	const json_t *match;

	for (; (match = json_object_get(json_array_get(exprs, i), "match")) != NULL; i++)
		if (!fw_match(r, match) && gap == NULL) {
			gap = r->gap;
			r->gap_at = json_object_get(match, "left");
		}
	r->gap = gap;
	return i;
}

static void say_gap(struct fw_rule *r)
{
	char name[FW_GAP_BYTES / 2] = "", why[FW_GAP_BYTES];

	name_of(r->gap_at, name, sizeof(name));
	snprintf(why, sizeof(why), "%s %s%s", name, r->gap, r->gap == gap_statement && is_known_statement(r->gap_at) ? " in this form" : "");
	fw_gap(r->m, r->chain, r->handle, why);
}

/* Both readings of a rule that was compiled. */
static bool agrees(struct fw_rule *r)
{
	struct fw_reading kernel;

	return r->m->raw == NULL || (fw_raw_rule(r->m->raw, r->chain->family, r->chain->table, r->chain->name, r->handle, &kernel) &&
				     fw_readings_agree(&r->told, &kernel, r->chain->family));
}

void fw_rule_compile(struct fw_compiler *m, const struct fw_chain *chain, enum fw_when when, const json_t *rule)
{
	const json_t *exprs = json_object_get(rule, "expr");
	struct fw_rule r = { .m = m, .chain = chain, .when = when, .handle = fw_handle(rule) };
	uint32_t start = m->c.code.cnt, fixup_cnt = m->fixup_cnt, made_cnt = m->made_cnt;
	size_t i = 0;

	m->fail_cnt = 0;
	while (i < json_array_size(exprs) && !r.ended && m->c.err == 0) {
		i = matches(&r, exprs, i);
		if (r.gap == NULL && i < json_array_size(exprs) && statement(&r, json_array_get(exprs, i++)))
			r.gap = NULL;
		if (r.gap != NULL) {
			say_gap(&r);
			break;
		}
	}
	if (m->c.err == 0 && r.gap == NULL && !agrees(&r)) {
		/* not even its matches are to be believed */
		m->c.code.cnt = start;
		m->fixup_cnt = fixup_cnt;
		m->made_cnt = made_cnt;
		m->fail_cnt = 0;
		fw_gap(m, chain, r.handle, "nft shows it otherwise than the kernel has it");
	}
	for (uint32_t k = 0; m->c.err == 0 && k < m->fail_cnt; k++)
		m->c.code.at[m->fails[k]].insn.next = m->c.code.cnt;
}
