/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firewall.h - the host's nftables rules, compiled to the program of policy/filter.h
 *
 * Ruleset in (libnftables' JSON, schema version 1, numbers for symbols), program out; no I/O, and the same ruleset gives the same
 * program. What of it can't be expressed exactly becomes FILTER_OP_KERNEL: a packet that comes there is the kernel's to judge. Which ports
 * such a place concerns, is asked of the program itself (fw_ask()): it is run with what is known of the port, both ways
 * where a test asks for what isn't known. So nothing has to be guessed from the text of a rule.
 *
 * The JSON comes from the kernel through libnftables, but is checked like foreign input: what isn't understood fails.
 */
#ifndef FIREWALL_FIREWALL_H
#define FIREWALL_FIREWALL_H

#include "policy/filter.h"

#include <string.h>

struct fw_raw;

enum {
	FW_NAME_BYTES = 128, /* of a table, chain or counter; the kernel's names are shorter (NFT_NAME_MAXLEN is 256, those in use aren't) */
	FW_WHY_BYTES = 160,
	FW_GAP_BYTES = 64,
};

struct fw_range {
	uint32_t lo, hi; /* both included */
};

/* A rule, or (handle 0) a chain as a whole. */
struct fw_place {
	char family[8], table[FW_NAME_BYTES], chain[FW_NAME_BYTES];
	uint64_t handle;
};

static inline bool fw_place_eq(const struct fw_place *a, const struct fw_place *b)
{
	return a->handle == b->handle && strcmp(a->chain, b->chain) == 0 && strcmp(a->table, b->table) == 0 &&
	       strcmp(a->family, b->family) == 0;
}

/* A rule's first cell, or (handle 0) that of its chain's policy. The next one's is where it ends. */
struct fw_mark {
	uint32_t cell;
	uint32_t chain; /* number in @chains */
	uint64_t handle;
};

/* What is not expressed. */
struct fw_gap {
	struct fw_place place;
	char why[FW_GAP_BYTES]; /* "meta skuid is not compiled" */
};

/* One counter of the ruleset, and the cell with what channels have counted. */
struct fw_counter {
	struct fw_place place; /* of a named one: its table; @chain is its name */
	bool named;
	uint32_t nth; /* of its rule's */
	uint32_t cell;
};

struct fw_program {
	union filter_cell *cells;
	uint32_t cell_cnt;
	struct fw_gap *gaps; /* by the number in FILTER_OP_KERNEL */
	uint32_t gap_cnt;
	struct fw_counter *counters;
	uint32_t counter_cnt;
	struct fw_mark *marks; /* ascending */
	uint32_t mark_cnt;
	struct fw_place *chains; /* their handle is 0 */
	uint32_t chain_cnt;
	struct fw_range *ports; /* that the program can't tell apart; ascending, all of them */
	uint32_t port_cnt;
	uint32_t longest; /* most steps of one packet, in both directions together */
	uint64_t expires_s; /* until the first element of a set goes by itself; UINT64_MAX: never */
};

/**
 * fw_compile() - From ruleset to program
 * @json:     text, @len bytes
 * @raw:      what the kernel has (fw_raw.h): a rule that it has otherwise is a gap. NULL: the text is believed
 * @ret_prog: the caller's, for fw_program_free()
 * @ret_why:  if it fails, what is wrong
 * Return: 0; -EINVAL: not a ruleset as we know it; -E2BIG: too large, or too long a way through it; -ENOMEM
 */
int fw_compile(const char *json, size_t len, const struct fw_raw *raw, struct fw_program *ret_prog, char ret_why[static FW_WHY_BYTES]);

/** fw_program_free() - Also of one that is all zero */
void fw_program_free(struct fw_program *prog);

/** fw_program_image() - For filter_eval() */
struct filter_image fw_program_image(const struct fw_program *prog);

/**
 * fw_program_place() - Which rule, or chain, has cell @at (struct fw_answer)?
 * @ret_why: what is against it there; as long as @prog is
 * Return: false: none has
 */
bool fw_program_place(const struct fw_program *prog, uint32_t at, struct fw_place *ret_place, const char **ret_why);

/* ---- what may become of packets of which only something is known */

/* Words that aren't known are [0, UINT32_MAX]; FILTER_CT_STATE is in @ct alone. */
struct fw_question {
	enum filter_dir dir;
	struct fw_range word[FILTER_WORD_CNT];
	uint32_t ct; /* states that it may be in: FILTER_CT_* */
	uint8_t *ret_against; /* NULL; or one for each cell of the program: set to 1 where it may come to one that does not just accept */
};

struct fw_answer {
	uint32_t verdicts; /* bit enum filter_verdict: may be */
	bool counts; /* on some way a counter counts or a limit takes */
	uint32_t at; /* a cell that it may come to and that does not just accept: a gap's, if there is one; 0: none */
};

/** fw_question_any() - Of which nothing is known */
struct fw_question fw_question_any(enum filter_dir dir);

/** fw_ask() - What may become of it? Return: 0; -ENOMEM; -E2BIG: too much to look at (and FILTER_KERNEL is in the answer) */
int fw_ask(const struct fw_program *prog, const struct fw_question *q, struct fw_answer *ret_answer);

static const uint32_t FW_AT_UNKNOWN = UINT32_MAX;

/**
 * fw_ask_ports() - What may become of packets of each port?
 * @port:      FILTER_SPORT or FILTER_DPORT: what @q says of it doesn't count
 * @gaps_only: only gaps are against a port; else all that does not just accept
 * @mark:      bits that are set in what is written
 * @at:        one for each of @prog's ports; of those that are 0, a cell that is against it; FW_AT_UNKNOWN: it can't be said (no memory, too much to look at)
 */
void fw_ask_ports(const struct fw_program *prog, const struct fw_question *q, enum filter_word port, bool gaps_only, uint32_t mark,
		  uint32_t *at);

#endif
