/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_show.h - the rules shown to people: as nft lists them, with what channels have counted added, and beside the rules that keep ports off channels why
 *
 * A process of its own asks the kernel and writes, so that vjd neither loads libnftables nor waits for a reader. It gets what vjd knows as an array of struct
 * fw_tally in a memfd.
 */
#ifndef DAEMON_FW_SHOW_H
#define DAEMON_FW_SHOW_H

#include "firewall/firewall.h"

enum fw_tally_kind {
	FW_TALLY_COUNTER,
	FW_TALLY_NAMED,
	FW_TALLY_GAP, /* only the kernel has it */
	FW_TALLY_NOT_DIRECT, /* it keeps ports off channels between programs of this host */
};

struct fw_tally {
	struct fw_place place; /* FW_TALLY_NAMED: @chain is its name */
	uint32_t kind; /* enum fw_tally_kind */
	uint32_t nth;  /* of its rule's counters */
	uint64_t packets, bytes;
	char why[FW_GAP_BYTES]; /* FW_TALLY_GAP, FW_TALLY_NOT_DIRECT */
};

/**
 * fw_show_text() - Write a listing, with handles if @handles
 * @text: as nft shows it, with handles
 * Return: false: it could not be written
 */
bool fw_show_text(int fd, const char *text, struct fw_tally *tallies, size_t cnt, bool handles);

/** fw_show_json() - Likewise of libnftables' JSON. What keeps ports off channels is a member "vjchan" of its rule or chain */
bool fw_show_json(int fd, const char *json, struct fw_tally *tallies, size_t cnt);

#endif
