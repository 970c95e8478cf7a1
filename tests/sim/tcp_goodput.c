// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much gets through: one connection, 10 s, 100 Mbit/s, a queue of one bandwidth-delay product;
 * goodput in kbit/s over random loss, for each congestion control and two round-trip times
 *
 * The table below is what it was; a run that differs by more than a hundredth fails, and prints
 * what it is now. The most that is possible is 94.6 Mbit/s (1448 of 1538 bytes with preamble and
 * gap), less what slow start takes.
 */
#include "stack/tcp.h"
#include "tests/sim/two_stacks.h"

#include <inttypes.h>
#include <stdio.h>

#define SECONDS 10
#define MBITS 100

static const uint32_t rtt_ms[] = { 10, 50 };
static const uint32_t loss_ppm[] = { 0, 100, 1000, 10000, 50000 };
static const char *const loss_name[] = { "0", "0.01 %", "0.1 %", "1 %", "5 %" };

static const uint32_t expected[ARRAY_SIZE(loss_ppm)][2 * ARRAY_SIZE(rtt_ms)] = {
	/*            cubic 10 ms, 50 ms   reno 10 ms, 50 ms */
	/* 0      */ { 89743, 57361, 89621, 38399 },
	/* 0.01 % */ { 86592, 43826, 86296, 33909 },
	/* 0.1 %  */ { 52804, 22236, 47481, 18419 },
	/* 1 %    */ { 17210, 4706, 13674, 7477 },
	/* 5 %    */ { 2333, 1021, 2900, 1248 },
};

static uint32_t goodput(uint32_t cc, uint32_t rtt, uint32_t loss)
{
	static struct two_stacks sim;
	static uint8_t buf[65536];
	const struct stack_config limits = { .conns_max = 10,
					     .mem_bytes_max = 64 << 20,
					     .sndbuf_bytes = 4 << 20,
					     .rcvbuf_bytes = 4 << 20 };
	const struct wire_config wire = {
		.delay_us = rtt * 500,
		.bits_per_s = MBITS * 1000000,
		.loss_ppm = loss,
		.queue_frames = rtt * MBITS * 1000 / 8 / 1538,
	};
	struct endpoint local, remote;
	struct listener_id listener;
	struct tcp_id a, b = { 0 };
	uint64_t got = 0, end_us;
	size_t n;

	two_stacks_init(&sim, &wire, 1, false, &limits);
	local = sim.side[0].addr;
	remote = sim.side[1].addr;
	local.port = 1000;
	remote.port = 80;
	VJ_ASSERT(tcp_listen(sim.side[1].s, &remote, false, 1, 0, &listener) == 0);
	VJ_ASSERT(tcp_connect(sim.side[0].s, sim.side[0].link, &local, &remote, 0, &a) == 0);
	VJ_ASSERT(tcp_option_set(sim.side[0].s, a, TCP_OPT_CONGESTION, cc) == 0);
	for (end_us = sim.now_us + SECONDS * US_PER_SEC; two_stacks_step(&sim, end_us);) {
		while (tcp_send(sim.side[0].s, a, buf, sizeof(buf), 0, &n) == 0)
			;
		if (b.v == 0)
			(void)tcp_accept(sim.side[1].s, listener, 0, &b);
		while (b.v != 0 && tcp_recv(sim.side[1].s, b, buf, sizeof(buf), false, &n) == 0)
			got += n;
	}
	tcp_abort(sim.side[0].s, a);
	if (b.v != 0)
		tcp_abort(sim.side[1].s, b);
	tcp_unlisten(sim.side[1].s, listener);
	for (end_us = sim.now_us + US_PER_SEC; two_stacks_step(&sim, end_us);)
		;
	two_stacks_fini(&sim);
	return (uint32_t)(got * 8 / SECONDS / 1000);
}

static bool near(uint32_t a, uint32_t b)
{
	uint32_t diff = a > b ? a - b : b - a;

	return (uint64_t)diff * 100 <= b;
}

int main(void)
{
	bool same = true;

	printf("kbit/s      ");
	for (uint32_t cc = 0; cc < 2; cc++)
		for (unsigned int r = 0; r < ARRAY_SIZE(rtt_ms); r++)
			printf("%8s %2" PRIu32 " ms", tcp_cc_name(cc), rtt_ms[r]);
	for (unsigned int l = 0; l < ARRAY_SIZE(loss_ppm); l++) {
		printf("\n/* %-6s */ {", loss_name[l]);
		for (uint32_t i = 0; i < 2 * ARRAY_SIZE(rtt_ms); i++) {
			uint32_t kbits = goodput(i / ARRAY_SIZE(rtt_ms),
						 rtt_ms[i % ARRAY_SIZE(rtt_ms)], loss_ppm[l]);

			printf(" %" PRIu32 "%s", kbits,
			       i + 1 < 2 * ARRAY_SIZE(rtt_ms) ? "," : " },");
			same = same && near(kbits, expected[l][i]);
		}
		fflush(stdout);
	}
	printf("\n");
	return same ? 0 : 1;
}
