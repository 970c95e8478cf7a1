/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_code.h - a program while it is made: code, and data apart, since neither knows yet how long the other gets
 *
 * Failures stick: once memory or room is used up nothing more is written, fw_code::err says so, and all may go on as if. Cells are referred
 * to by index into code or data; fw_code_link() puts them together, and only then adds what is before them.
 */
#ifndef FIREWALL_FW_CODE_H
#define FIREWALL_FW_CODE_H

#include "firewall/firewall.h"

struct fw_cells {
	union filter_cell *at;
	uint8_t *kinds; /* enum fw_kind; of code: 0 */
	uint32_t *steps; /* of code: probes of a look-up; while ways are measured, steps from here on */
	uint32_t cnt, max;
};

enum fw_kind { FW_KIND_OTHER, FW_KIND_ENTRY, FW_KIND_KEPT, FW_KIND_LIMIT /* behind its instruction */ };

struct fw_code {
	struct fw_cells code, data;
	uint32_t kept; /* the last one, 1 more than its index in data; 0: none */
	int err;
};

/** fw_emit() - Append an instruction. Return: its index; 0 after a failure */
uint32_t fw_emit(struct fw_code *c, struct filter_insn insn);

/** fw_emit_limit() - The cell behind a FILTER_OP_LIMIT */
void fw_emit_limit(struct fw_code *c, struct filter_limit limit);

/** fw_data() - Append a cell of data. Return: its index */
uint32_t fw_data(struct fw_code *c, union filter_cell cell, enum fw_kind kind);

/**
 * fw_kept() - Append a counter or bucket whose content the next program takes over
 * @whose: hash of what it belongs to, the same in every ruleset that has it
 */
uint32_t fw_kept(struct fw_code *c, union filter_cell cell, uint64_t whose, bool is_bucket);

/** fw_code_link() - Make one image of it; @c is empty then. Return: 0; c->err */
int fw_code_link(struct fw_code *c, union filter_cell **ret_cells, uint32_t *ret_cnt);

/** fw_code_free() - Also after a failure */
void fw_code_free(struct fw_code *c);

/* ---- tables */

enum { FW_KEY_WORDS_MAX = 16 };

/* An element: an interval of each word of the key. */
struct fw_box {
	uint32_t lo[FW_KEY_WORDS_MAX], hi[FW_KEY_WORDS_MAX];
	uint32_t leaf;
};

struct fw_tree {
	uint32_t first, cnt, field; /* as FILTER_OP_LOOKUP has them */
	uint32_t depth; /* most probes */
};

/**
 * fw_tree_make() - A table of boxes
 * @words: which words of the packet the key is of, @word_cnt of them
 * Boxes may overlap if they have the same leaf.
 * Return: 0; -EEXIST: some overlap and have not; -E2BIG; -ENOMEM
 */
int fw_tree_make(struct fw_code *c, const struct fw_box *boxes, uint32_t box_cnt, const uint8_t *words, unsigned word_cnt,
		 struct fw_tree *ret_tree);

#endif
