// SPDX-License-Identifier: BSD-2-Clause
/* run.h - a compiled program in user space, with a table of connections, packet after packet */
#ifndef VJ_TESTS_FIREWALL_RUN_H
#define VJ_TESTS_FIREWALL_RUN_H

#include "firewall/firewall.h"
#include "policy/map.h"
#include "tests/firewall/gen.h"

struct run {
	struct filter_image image;
	uint32_t flags;
	struct policy_table tracks;
	struct filter_run run; /* of the last packet */
};

struct run *run_new(const struct fw_program *prog);
void run_free(struct run *r);

/* The interface is GEN_IFNAME, number 2. */
enum filter_verdict run_packet(struct run *r, const struct gen_packet *p);

#endif
