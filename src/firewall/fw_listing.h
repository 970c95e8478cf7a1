/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_listing.h - a ruleset as `nft --handle list ruleset` shows it, piece by piece
 *
 * Pieces are whole lines and follow one another without gaps, so that who writes them all has written the listing. The text is only read.
 */
#ifndef FIREWALL_FW_LISTING_H
#define FIREWALL_FW_LISTING_H

#include "firewall/firewall.h"

enum fw_piece_kind {
	FW_PIECE_OTHER,
	FW_PIECE_CHAIN, /* its first line; handle 0 */
	FW_PIECE_RULE,	/* one or more lines */
	FW_PIECE_COUNTER, /* the line with the numbers of a named one; place.chain is its name, handle 0 */
};

struct fw_piece {
	enum fw_piece_kind kind;
	const char *text;
	size_t len; /* with the newline at its end */
	struct fw_place place; /* but of FW_PIECE_OTHER */
};

struct fw_listing {
	const char *at;
	struct fw_place place; /* of the block that @at is in; chain "": of none */
	enum fw_piece_kind block; /* CHAIN, COUNTER or OTHER */
};

/** fw_listing_begin() - @text: NUL-terminated, stays the caller's and has to outlive the pieces */
struct fw_listing fw_listing_begin(const char *text);

/** fw_listing_next() - Return: false: that was all */
bool fw_listing_next(struct fw_listing *l, struct fw_piece *ret_piece);

/**
 * fw_listing_quote() - A rule's text, as a person would quote it: one line, without handle and what counters had when it was read
 * Cut to fit.
 */
void fw_listing_quote(const struct fw_piece *rule, char *ret_rule, size_t bytes);

/**
 * fw_piece_counter() - The next "packets N bytes N" of a piece
 * @from: where to look, from 0 on
 * @ret_at, @ret_len: the two numbers with "packets " before and " bytes " between them
 * Return: where to look on; 0: there is none
 */
size_t fw_piece_counter(const struct fw_piece *piece, size_t from, size_t *ret_at, size_t *ret_len, uint64_t *ret_packets,
			uint64_t *ret_bytes);

/** fw_piece_handle() - Where " # handle N" begins in a line of @len bytes, newline not counted; @len: nowhere */
size_t fw_piece_handle(const char *line, size_t len, uint64_t *ret_handle);

#endif
