// SPDX-License-Identifier: BSD-2-Clause
/*
 * Certain frames are lost, and all has arrived after so long
 *
 * Side 0 connects and sends, RTT 20 ms, 100 Mbit/s. A mask names the frames of a direction that are lost: of
 * side 0, frame 0 is the SYN, 1 the acknowledgement of SYN-ACK, 2 to 11 the initial window; of side
 * 1, frame 0 is SYN-ACK. The limit is what the mechanism in question needs, with some slack and far
 * from what would be needed without it. IPv4 and IPv6.
 *
 *	tcp_masks		all
 *	tcp_masks NAME		one, with every segment
 */
#include "stack/tcp.h"
#include "tests/sim/two_stacks.h"

#include <stdio.h>

#define RTT_MS 20

struct mask_case {
	const char *name;
	uint32_t bytes;
	uint64_t lost[2];
	uint32_t limit_ms; /* from connect() to the end of file at the other side */
	bool fin_apart;	   /* FIN is a segment of its own, and not in the last one */
};

static const struct mask_case cases[] = {
	{ "nothing", 14000, { 0, 0 }, .limit_ms = 60 },
	/* RFC 6298 2.1 */
	{ "syn", 1000, { 1 << 0, 0 }, .limit_ms = 1100 },
	{ "syn-ack", 1000, { 0, 1 << 0 }, .limit_ms = 1100 },
	/* RFC 9293 3.10.7.4: what follows acknowledges, too. */
	{ "ack-of-syn-ack", 1000, { 1 << 1, 0 }, .limit_ms = 60 },
	/* RFC 5681 3.2 */
	{ "first-of-ten", 14000, { 1 << 2, 0 }, .limit_ms = 100 },
	{ "two-of-ten", 14000, { 1 << 2 | 1 << 5, 0 }, .limit_ms = 130 },
	/* RFC 8985 7: a probe, after two round trips and not after an RTO */
	{ "last-two-of-ten", 14000, { 3 << 10, 0 }, .limit_ms = 200 },
	/* RFC 2018 3: a FIN is selectively acknowledged like all that takes a number. */
	{ "last-before-fin", 14000, { 1 << 11, 0 }, .limit_ms = 150, .fin_apart = true },
	/* RFC 8985 6: the second loss of one segment shows in what was sent after its second time. */
	{ "retransmission", 30000, { 1 << 2 | 1 << 14, 0 }, .limit_ms = 200 },
	/* RFC 6298 5.4 */
	{ "only-one", 1000, { 1 << 2, 0 }, .limit_ms = 350 },
	{ "all-of-the-window", 14000, { 0x3ff << 2, 0 }, .limit_ms = 500 },
	/* RFC 6298 5.3, and what takes the timer back: the second waits one RTO, not a doubled one. */
	{ "back-off-ends", 2800, { 0xbc, 0 }, .limit_ms = 1950 },
	/* Acknowledgements are cumulative. */
	{ "acks", 100000, { 0, 0xaa << 1 }, .limit_ms = 250 },
};

static void move(struct two_stacks *sim, struct tcp_id a, struct tcp_id *b,
		 struct listener_id listener, const struct mask_case *c, uint32_t *sent,
		 uint32_t *got, bool *eof)
{
	static uint8_t buf[16384];
	size_t n;

	while (*sent < c->bytes &&
	       tcp_send(sim->side[0].s, a, buf, min_size(c->bytes - *sent, sizeof(buf)),
			c->fin_apart ? 0 : TCP_SEND_MORE, &n) == 0)
		*sent += (uint32_t)n;
	if (*sent == c->bytes && tcp_shutdown(sim->side[0].s, a) == 0)
		*sent = UINT32_MAX;
	if (b->v == 0 && tcp_accept(sim->side[1].s, listener, 0, b) != 0)
		return;
	while (!*eof && tcp_recv(sim->side[1].s, *b, buf, sizeof(buf), false, &n) == 0) {
		*got += (uint32_t)n;
		*eof = n == 0;
	}
}

/* Return: in how many ms all was there; UINT32_MAX: not within the limit. */
static uint32_t play(const struct mask_case *c, bool v6, bool trace)
{
	struct wire_config wire = { .delay_us = RTT_MS * 500, .bits_per_s = 100000000 };
	static struct two_stacks sim;
	struct endpoint local, remote;
	struct listener_id listener;
	struct tcp_id a, b = { 0 };
	uint32_t sent = 0, got = 0, ms = UINT32_MAX;
	uint64_t start_us, end_us;
	bool eof = false;

	memcpy(wire.loss_mask, c->lost, sizeof(wire.loss_mask));
	two_stacks_init(&sim, &wire, 1, v6, NULL);
	sim.walk = true;
	sim.watch.trace = trace;
	local = sim.side[0].addr;
	remote = sim.side[1].addr;
	local.port = 1000;
	remote.port = 80;
	start_us = sim.now_us;
	end_us = start_us + c->limit_ms * US_PER_MS;
	VJ_ASSERT(tcp_listen(sim.side[1].s, &remote, false, 5, 0, &listener) == 0);
	VJ_ASSERT(tcp_connect(sim.side[0].s, sim.side[0].link, &local, &remote, 0, &a) == 0);
	while (!eof && two_stacks_step(&sim, end_us))
		move(&sim, a, &b, listener, c, &sent, &got, &eof);
	if (eof && got == c->bytes)
		ms = (uint32_t)((sim.now_us - start_us) / US_PER_MS);
	tcp_abort(sim.side[0].s, a);
	if (b.v != 0)
		tcp_abort(sim.side[1].s, b);
	tcp_unlisten(sim.side[1].s, listener);
	for (end_us = sim.now_us + US_PER_SEC; two_stacks_step(&sim, end_us);)
		;
	two_stacks_fini(&sim);
	return ms;
}

int main(int argc, char **argv)
{
	bool good = true;

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const struct mask_case *c = &cases[i / 2];
		uint32_t ms;

		if (argc > 1 && strcmp(argv[1], c->name) != 0)
			continue;
		ms = play(c, i % 2 != 0, argc > 1);
		if (ms == UINT32_MAX) {
			printf("%s: not there after %u ms; to see why: %s %s\n", c->name,
			       c->limit_ms, argv[0], c->name);
			good = false;
		} else if (i % 2 == 0) {
			printf("%-20s %4u ms of %u\n", c->name, ms, c->limit_ms);
		}
	}
	return good ? 0 : 1;
}
