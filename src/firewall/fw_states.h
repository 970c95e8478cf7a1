/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_states.h - where fw_ask()'s run is, at several places at once
 *
 * They are taken in the order of the program, and those at one place with the same history are one, with the ports of both: so what comes together is gone through once.
 */
#ifndef FIREWALL_FW_STATES_H
#define FIREWALL_FW_STATES_H

#include "policy/filter.h"

struct fw_state {
	uint32_t pc, ct;
	uint32_t accept_pc, return_pc; /* both 0: between base chains */
	uint32_t after_pc, go_on_pc;
	uint32_t depth, stack[FILTER_DEPTH_MAX];
	uint64_t ports[]; /* a bit for each class: fw_set.h */
};

/* @words is set, all else is 0 at first. */
struct fw_states {
	uint32_t words; /* of a set of ports */
	struct fw_state **todo; /* the last one is the next */
	uint32_t todo_cnt, todo_max;
	struct fw_state **spare;
	uint32_t spare_cnt, spare_max;
	int err; /* -ENOMEM, or what the run sets: nothing goes on */
};

/** fw_states_new() - One, to be filled in whole; for fw_states_done(). NULL: no memory, as @err says */
struct fw_state *fw_states_new(struct fw_states *st);

/** fw_states_go() - What is as @from, but at @pc and with @ports, comes once all before it has been taken. Copies */
void fw_states_go(struct fw_states *st, const struct fw_state *from, uint32_t pc, const uint64_t *ports);

/** fw_states_next() - Take the next one, for fw_states_done(). NULL: there is none, or @err */
struct fw_state *fw_states_next(struct fw_states *st);

/** fw_states_done() - It is over, and its memory another one's */
void fw_states_done(struct fw_states *st, struct fw_state *s);

/** fw_states_fini() - Free all that wasn't taken */
void fw_states_fini(struct fw_states *st);

#endif
