// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much gets through: one connection, 100 Mbit/s, a queue of one bandwidth-delay product; over
 * random loss and over round-trip times, for each congestion control, beside what theory says
 *
 * The theory is about the average of a long time without timeouts, with losses that are far apart.
 * So where windows are small and losses many it is counted from 20 s to 120 s, and else in the
 * first 20 s, slow start included; so is an algorithm that theory says nothing of.
 */
#include "base/time.h"
#include "stack/stack.h"
#include "tests/sim/flows.h"
#include "tests/sim/table.h"

#include <inttypes.h>
#include <stdio.h>

#define SHORT_S 20
#define LONG_S 120
#define BITS_PER_S UINT64_C(100000000)
#define CCS_MAX 4
#define THEORY_CNT 2 /* CUBIC and Reno, the first in the table of algorithms */

static const uint32_t rtt_ms[] = { 1, 10, 50, 100, 300 };
static const uint32_t loss_ppm[] = { 0, 100, 1000, 10000, 30000, 50000 };

static uint32_t goodput(uint32_t cc, uint32_t rtt, uint32_t loss)
{
	bool is_long = rtt >= 50 && loss >= 1000 && cc < THEORY_CNT;
	struct flows flows = {
		.wire = {
			.delay_us = rtt * 500,
			.bits_per_s = BITS_PER_S,
			.loss_ppm = loss,
			.queue_frames = max_u32(rtt * (uint32_t)(BITS_PER_S / 1000) / 8 / 1538, 10),
		},
		.from_us = is_long ? SHORT_S * US_PER_SEC : 0,
		.until_us = (is_long ? LONG_S : SHORT_S) * US_PER_SEC,
		.cnt = 1,
		.flow = { { .cc = cc } },
	};

	flows_run(&flows, 1);
	return flows.kbits[0];
}

/* What @kbits of theory leave of the line; without loss there is only the line. */
static uint32_t bound(double kbits, uint32_t loss)
{
	uint32_t line = flows_line_kbits(BITS_PER_S);

	return loss == 0 || kbits > line ? line : (uint32_t)kbits;
}

int main(int argc, char **argv)
{
	static struct table table;
	uint32_t ccs = 0;

	while (ccs < CCS_MAX && tcp_cc_name(ccs) != NULL)
		ccs++;
	table_add(&table,
		  "# Goodput in kbit/s of one connection at %d Mbit/s; made by tcp_goodput.c\n"
		  "# RTT and loss, what theory says of CUBIC and Reno, what is reached\n"
		  "# RTT ms  loss ppm     CUBIC      Reno |",
		  (int)(BITS_PER_S / 1000000));
	for (uint32_t cc = 0; cc < ccs; cc++)
		table_add(&table, "%10s", tcp_cc_name(cc));
	table_add(&table, "\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(rtt_ms) * ARRAY_SIZE(loss_ppm); i++) {
		uint32_t rtt = rtt_ms[i / ARRAY_SIZE(loss_ppm)];
		uint32_t loss = loss_ppm[i % ARRAY_SIZE(loss_ppm)];

		/* one loss that goes everywhere in recovery, over each RTT */
		if (TABLE_PARTLY && loss != 30000)
			continue;
		table_add(&table, "%8" PRIu32 "%10" PRIu32 "%10" PRIu32 "%10" PRIu32 " |", rtt, loss,
			  bound(flows_cubic_kbits(rtt / 1e3, loss / 1e6), loss),
			  bound(flows_reno_kbits(rtt / 1e3, loss / 1e6), loss));
		for (uint32_t cc = 0; cc < ccs; cc++)
			table_add(&table, "%10" PRIu32, goodput(cc, rtt, loss));
		table_add(&table, "\n");
	}
	flows_print_speed();
	return table_end(&table, argc, argv);
}
