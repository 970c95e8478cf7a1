/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_pack.h - what the reader's process has made of the rules, as one block of bytes for vjd
 *
 * Reading and compiling a large ruleset takes a second, which vjd must not stand still for: so all of it is done where the rules are read, and vjd maps the
 * result. Offsets, no pointers; the same program writes and reads it, and yet it is checked: each number before it is used as an index, each text for its end.
 */
#ifndef FIREWALL_FW_PACK_H
#define FIREWALL_FW_PACK_H

#include "firewall/fw_port.h"

/* Where a rule is in the text. By @handle. */
struct fw_line {
	uint64_t handle;
	uint32_t chain; /* number in the program's chains */
	uint32_t at, len, pad;
};

enum { FW_AGAINST_NONE = UINT32_MAX };

/* Of one key: what is against each port. */
struct fw_port_answer {
	struct fw_port_key key;
	uint32_t first; /* in @at: as many as the program has ports; FW_AGAINST_NONE: nothing is against any */
};

struct fw_result {
	char why[FW_WHY_BYTES]; /* rules that can't be compiled: why; "": all that follows is there */
	struct fw_program prog;
	const char *text; /* as nft lists the rules, with handles */
	uint32_t text_bytes; /* with its NUL */
	const struct fw_line *lines;
	uint32_t line_cnt;
	const uint32_t *not_direct; /* cells that keep ports off channels between programs of this host, ascending */
	uint32_t not_direct_cnt;
	const struct fw_port_answer *answers;
	uint32_t answer_cnt;
	const uint32_t *at;
	uint32_t at_cnt;
};

/**
 * fw_result_make() - Judge and index what was compiled
 * @res:  @prog and @text are there; the rest of it is made, the caller's for fw_result_free()
 * @keys: to be answered for
 * Return: 0; -ENOMEM
 */
int fw_result_make(struct fw_result *res, const struct fw_port_key *keys, uint32_t key_cnt);

/** fw_result_free() - Of one that was made: what that has made, and @prog */
void fw_result_free(struct fw_result *res);

/** fw_pack() - As bytes, the caller's to free(). NULL: no memory */
uint8_t *fw_pack(const struct fw_result *res, size_t *ret_len);

/**
 * fw_unpack() - See what is in @bytes, aligned to 16, that outlive @ret_res and aren't written to
 * Return: 0; -EINVAL: not as fw_pack() makes it
 */
int fw_unpack(const uint8_t *bytes, size_t len, struct fw_result *ret_res);

/** fw_result_rule() - A rule as a person would quote it. Cut to fit. Return: false: it isn't known */
bool fw_result_rule(const struct fw_result *res, const struct fw_place *place, char *ret_rule, size_t bytes);

#endif
