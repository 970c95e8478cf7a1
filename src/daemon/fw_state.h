/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_state.h - what the files behind firewall.h share */
#ifndef DAEMON_FW_STATE_H
#define DAEMON_FW_STATE_H

#include "daemon/firewall.h"
#include "daemon/fw_reader.h"

#include <sys/types.h>

enum rules {
	RULES_UNREAD, /* nothing is given */
	RULES_NONE,
	RULES_PROGRAM,
};

enum { FW_SHOWS_MAX = 8 };

/* What fw_ask() has answered, until rules change. */
struct fw_known {
	struct fw_known_row *rows; /* by hash; @max of them, a power of two, or none */
	uint32_t cnt, max;
};

struct firewall {
	struct fw_reader *reader;
	enum rules rules;
	uint32_t nr; /* of these rules; never 0 */
	struct fw_program prog; /* of RULES_PROGRAM */
	char *text; /* of RULES_PROGRAM: as nft lists the rules, with handles; "" if it isn't known */
	struct fw_known known;
	bool failed; /* the last read did */
	char told[FW_WHY_BYTES]; /* of RULES_UNREAD: why, as logged; "": not yet */
	pid_t shows[FW_SHOWS_MAX]; /* processes that print rules for somebody; 0: none */
};

/*
 * In what firewall_against*() return: the cell is come to by what is sent from the port, not by what is sent to it. Cells are fewer than
 * FILTER_CELLS_MAX.
 */
static const uint32_t FW_AGAINST_ANSWER = 1u << 31;

/** fw_name_words() - A device's name as rules compare it */
void fw_name_words(const char *name, uint32_t ret_words[static 4]);

/**
 * firewall_cells_not_direct() - What keeps ports, any of them, off channels between programs of this host?
 * Return: one for each cell, 1: it may, the caller's to free(); NULL: no memory
 */
uint8_t *firewall_cells_not_direct(const struct firewall *fw);

/** fw_known_forget() - Other rules */
void fw_known_forget(struct fw_known *k);

#endif
