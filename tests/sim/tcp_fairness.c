// SPDX-License-Identifier: BSD-2-Clause
/*
 * How flows share a line: 20 Mbit/s, 40 ms, a queue of one bandwidth-delay product
 *
 * Jain's index of the goodputs x: (sum x)^2 / (n * sum x^2); 1 is even shares, 1/n is one flow that
 * has all.
 */
#include "base/time.h"
#include "stack/stack.h"
#include "tests/sim/flows.h"
#include "tests/sim/table.h"

#include <inttypes.h>
#include <stdio.h>

#define BITS_PER_S UINT64_C(20000000)
#define RTT_US 40000
#define FROM_S 20
#define UNTIL_S 80

/* Indices in tcp_cc_name(). */
enum { CUBIC, RENO, BBR };

struct share {
	const char *name;
	uint32_t cnt;
	struct flow_spec flow[FLOWS_MAX];
};

static const struct share shares[] = {
	{ "cubic, cubic", 2, { { CUBIC, 0 }, { CUBIC, 0 } } },
	{ "reno, reno", 2, { { RENO, 0 }, { RENO, 0 } } },
	{ "cubic, reno", 2, { { CUBIC, 0 }, { RENO, 0 } } },
	{ "4 cubic", 4, { { CUBIC, 0 }, { CUBIC, 0 }, { CUBIC, 0 }, { CUBIC, 0 } } },
	{ "cubic, cubic + 80 ms", 2, { { CUBIC, 0 }, { CUBIC, 80000 } } },
	{ "reno, reno + 80 ms", 2, { { RENO, 0 }, { RENO, 80000 } } },
	{ "bbr, bbr", 2, { { BBR, 0 }, { BBR, 0 } } },
	{ "cubic, bbr", 2, { { CUBIC, 0 }, { BBR, 0 } } },
	{ "bbr, bbr + 80 ms", 2, { { BBR, 0 }, { BBR, 80000 } } },
};

static void add_row(struct table *table, const struct share *share)
{
	struct flows flows = {
		.wire = {
			.delay_us = RTT_US / 2,
			.bits_per_s = BITS_PER_S,
			.queue_frames = (uint32_t)(BITS_PER_S / 1000 * RTT_US / 1000 / 8 / 1538),
		},
		.from_us = FROM_S * US_PER_SEC,
		.until_us = UNTIL_S * US_PER_SEC,
		.cnt = share->cnt,
	};
	uint64_t sum = 0, squares = 0;

	memcpy(flows.flow, share->flow, sizeof(flows.flow));
	flows_run(&flows, 1);
	for (uint32_t i = 0; i < share->cnt; i++) {
		sum += flows.kbits[i];
		squares += (uint64_t)flows.kbits[i] * flows.kbits[i];
	}
	table_add(table, "%-22s %.3f %6" PRIu64 " %% |", share->name,
		  (double)(sum * sum) / (double)(share->cnt * squares),
		  sum * 100 / flows_line_kbits(BITS_PER_S));
	for (uint32_t i = 0; i < share->cnt; i++)
		table_add(table, "%8" PRIu32, flows.kbits[i]);
	table_add(table, "\n");
}

int main(int argc, char **argv)
{
	static struct table table;

	table_add(&table,
		  "# Flows over one line of %d Mbit/s, RTT %d ms, from %d s to %d s; made by "
		  "tcp_fairness.c\n"
		  "# flows                Jain   line   | goodput of each in kbit/s\n",
		  (int)(BITS_PER_S / 1000000), RTT_US / 1000, FROM_S, UNTIL_S);
	for (unsigned int i = 0; i < ARRAY_SIZE(shares); i++) {
		bool known = true;

		for (uint32_t j = 0; j < shares[i].cnt; j++)
			known = known && tcp_cc_name(shares[i].flow[j].cc) != NULL;
		if (known && !(TABLE_PARTLY && i != 2))
			add_row(&table, &shares[i]);
	}
	flows_print_speed();
	return table_end(&table, argc, argv);
}
