// SPDX-License-Identifier: BSD-2-Clause
/*
 * Flows that send as fast as they may from side 0 to side 1 of one wire: how much arrives, and what
 * theory says about it
 */
#ifndef VJ_TESTS_SIM_FLOWS_H
#define VJ_TESTS_SIM_FLOWS_H

#include "tests/sim/two_stacks.h"

#define FLOWS_MAX 4

struct flow_spec {
	uint32_t cc; /* index in tcp_cc_name() */
	uint32_t extra_rtt_us;
};

struct flows {
	struct wire_config wire;
	uint64_t from_us, until_us; /* goodput is counted between these, from the start */
	uint32_t cnt;
	struct flow_spec flow[FLOWS_MAX];
	/* Results */
	uint32_t kbits[FLOWS_MAX];
};

/* Run them over one wire. Repeatable to the last bit. */
void flows_run(struct flows *flows, uint64_t seed);

/* Segments of all runs so far, and the processor's time they took */
void flows_print_speed(void);

/* What a wire of @bits_per_s carries at most, as payload of full segments with timestamps */
uint32_t flows_line_kbits(uint64_t bits_per_s);

/*
 * Average rate under random loss, whatever the line allows:
 * Reno: Mathis et al. 1997, each segment acknowledged as bytes count: mss / rtt * sqrt(1.5 / p).
 * CUBIC: RFC 9438 5.1, window 1.054 * (rtt / p)^(3/4); below Reno's, Reno's (4.3).
 */
double flows_reno_kbits(double rtt_s, double loss);
double flows_cubic_kbits(double rtt_s, double loss);

#endif
