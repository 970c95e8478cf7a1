/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_compile.h - what the files of the compiler share */
#ifndef FIREWALL_FW_COMPILE_H
#define FIREWALL_FW_COMPILE_H

#include "firewall/fw_code.h"
#include "firewall/fw_field.h"
#include "firewall/fw_ruleset.h"

/* An instruction that wants to know where a chain begins. */
struct fw_fixup {
	uint32_t at;
	bool in_next; /* else in `a` */
	const struct fw_chain *chain;
	enum fw_when when;
};

/* A table that was made, so that it is made once. */
struct fw_made {
	const json_t *elements;
	enum fw_when when; /* of a map: where its jumps go */
	uint8_t words[FW_KEY_WORDS_MAX];
	unsigned word_cnt;
	struct fw_tree tree;
};

struct fw_compiler {
	struct fw_ruleset rs;
	struct fw_code c;
	struct fw_program prog; /* gaps and counters grow here */
	uint32_t gap_max, counter_max, mark_max;
	struct fw_fixup *fixups;
	uint32_t fixup_cnt, fixup_max;
	struct fw_made *made;
	uint32_t made_cnt, made_max;
	uint32_t *fails; /* tests of the rule at hand: where to go on if they fail is known at its end */
	uint32_t fail_cnt, fail_max;
	uint32_t flags; /* enum filter_head_flags */
	const struct fw_raw *raw; /* what the kernel has; NULL: not known, and the text is believed */
};

/* The rule at hand. */
struct fw_rule {
	struct fw_compiler *m;
	const struct fw_chain *chain;
	enum fw_when when;
	uint64_t handle;
	uint32_t known;	      /* enum fw_need: tested already */
	uint32_t fuse;	      /* protocol that the next test of a port includes; 0: none */
	uint32_t counter_cnt, limit_cnt; /* so far */
	const char *gap;      /* why it is not expressed, said of @gap_at, or NULL */
	const json_t *gap_at; /* the match's left side, or the statement; NULL: the whole rule */
	bool ended;	      /* a verdict: what follows is never come to */
	struct fw_reading told; /* what the text says, to be compared with what the kernel has */
};

/** fw_room() - Room for one more in an array at *@array; sticks in @c->err */
bool fw_room(struct fw_code *c, void *array, uint32_t cnt, uint32_t *max, size_t bytes);

/** fw_test() - Emit a test; if it fails the rule doesn't match */
void fw_test(struct fw_rule *r, enum filter_op op, unsigned word, uint32_t a, uint32_t b);

/** fw_fails() - Instruction @at, or its `a`, leads to the next rule */
void fw_fails(struct fw_rule *r, uint32_t at);

/** fw_tell() - Note a comparison of @f. @lo, @hi: words, as struct fw_interval has them; @mask: of a field of one word */
void fw_tell(struct fw_rule *r, enum fw_fact_op op, const struct fw_field *f, uint32_t mask, const uint32_t *lo, const uint32_t *hi);

/** fw_need() - Test what nft tests silently. Return: false: not known here; r->gap says why */
bool fw_need(struct fw_rule *r, uint32_t needs);

/** fw_fix() - Instruction @at wants the start of @chain */
void fw_fix(struct fw_compiler *m, uint32_t at, bool in_next, struct fw_chain *chain, enum fw_when when);

/** fw_place_set() - A rule of @chain; or @name, an object of its table */
void fw_place_set(struct fw_place *place, const struct fw_chain *chain, const char *name, uint64_t handle);

/** fw_gap() - Emit: what comes here is not expressed. @chain's rule @handle, or all of it (0) */
void fw_gap(struct fw_compiler *m, const struct fw_chain *chain, uint64_t handle, const char *why);

/** fw_match() - Of a "match". Return: false: not expressed, r->gap says why, and nothing was emitted but tests that are part of it */
bool fw_match(struct fw_rule *r, const json_t *match);

/** fw_verdict_map() - Of a "vmap"; as fw_match() */
bool fw_verdict_map(struct fw_rule *r, const json_t *vmap);

/** fw_verdict() - Of an object that is a verdict. @in_map: where it doesn't know its rule. Return: its instruction; false: none */
bool fw_verdict(struct fw_rule *r, const json_t *object, bool in_map, struct filter_insn *ret_insn, struct fw_chain **ret_to);

/** fw_rule_compile() - A rule of @chain, from the fw_chain's list */
void fw_rule_compile(struct fw_compiler *m, const struct fw_chain *chain, enum fw_when when, const json_t *rule);

/**
 * fw_longest() - Most steps that one packet can take: inbound and outbound together, since both see what stays on this host
 * All chains are made and nothing is linked yet.
 * Return: 0; -E2BIG: more than FILTER_STEPS_MAX, or a chain leads back to itself; -ENOMEM
 */
int fw_longest(struct fw_ruleset *rs, const struct fw_code *c, uint32_t *ret_steps);

#endif
