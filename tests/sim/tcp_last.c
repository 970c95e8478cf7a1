// SPDX-License-Identifier: BSD-2-Clause
/*
 * The short way of a segment (tcp_input_last()) against the others: nothing can be told apart
 *
 * Two stacks that are alike get the same frames: one by one, which lets a segment for the connection that the last one was for take
 * the short way; and each together with a frame for somebody else, which sends all of them through the flow table. After
 * every step the two must have sent the same bytes, dropped for the same reasons, and know the same of every connection.
 *
 * The peer is hostile: it sends what is next in order, and much that is not: numbers, flags, ports, addresses, lengths and
 * header sizes that are anything, frames cut short, frames from before, and the like after connections have ended.
 *
 * usage: tcp_last [SEED]: only this one, with every step
 */
#include "base/bits.h"
#include "base/prng.h"
#include "stack/tcp.h"
#include "tests/sim/fake_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SEEDS = 400,
	STEPS = 80,
	CONNS = 3,
	PORT = 80,
	HDRS = 14 + 20 + 20,
	PAYLOAD_MAX = 200,
};

struct side {
	struct stack *s;
	struct link_id link;
	struct fake_link drv;
	struct fake_mem mem;
	struct listener_id listener;
	struct tcp_id id[CONNS];
	bool open[CONNS];
	bool alone; /* frames come one by one */
};

/* What the peer knows of a connection */
struct peer {
	uint32_t next, ack; /* of its own, of the other's */
};

struct world {
	struct side side[2];
	struct peer peer[CONNS];
	struct prng prng;
	uint64_t now_us;
	uint8_t last[HDRS + PAYLOAD_MAX];
	uint32_t last_len;
	uint64_t seed;
	unsigned int short_ways; /* segments that could have taken it */
};

static uint32_t draw(struct world *w, uint32_t below)
{
	return (uint32_t)prng_below(&w->prng, below);
}

static void fail(const struct world *w, const char *what)
{
	fprintf(stderr, "%s: the ways differ; replay: tcp_last %llu\n", what, (unsigned long long)w->seed);
	exit(1);
}

/* ---- frames ---------------------------------------------------------------------------------- */

struct seg {
	uint32_t seq, ack;
	uint16_t src_port, dst_port, window;
	uint8_t flags;
	uint32_t len;
};

static uint32_t seg_build(const struct world *w, const struct seg *seg, uint8_t frame[static HDRS + PAYLOAD_MAX])
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;

	memset(frame, 0, HDRS);
	memcpy(frame, w->side[0].drv.mac, 6);
	memcpy(frame + 6, w->side[0].drv.peer_mac, 6);
	store_be16(frame + 12, 0x0800);
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(40 + seg->len));
	ip[8] = 64;
	ip[9] = 6;
	store_be32(ip + 12, 0x0a000002);
	store_be32(ip + 16, 0x0a000001);
	store_be16(tcp, seg->src_port);
	store_be16(tcp + 2, seg->dst_port);
	store_be32(tcp + 4, seg->seq);
	store_be32(tcp + 8, seg->ack);
	tcp[12] = 5 << 4;
	tcp[13] = seg->flags;
	store_be16(tcp + 14, seg->window);
	for (uint32_t i = 0; i < seg->len; i++)
		frame[HDRS + i] = (uint8_t)(seg->seq + i);
	return HDRS + seg->len;
}

/* ---- both sides ------------------------------------------------------------------------------ */

static void rx_side(struct side *side, const uint8_t *frame, uint32_t len)
{
	static const uint8_t foreign[60] = { 0x02, 9, 9, 9, 9, 9, [12] = 0x08 };
	struct link_frame frames[2] = { fake_link_frame(&side->drv, frame, len) };

	if (!side->alone)
		frames[1] = fake_link_frame(&side->drv, foreign, sizeof(foreign));
	stack_rx(side->s, side->link, frames, side->alone ? 1 : 2);
}

/* What was sent teaches the peer. */
static void peer_learn(struct world *w, const struct link_frame *f)
{
	const uint8_t *ip = f->data + 14, *tcp = ip + 20;
	uint32_t k = load_be16(tcp + 2) - 1000u;
	uint32_t len = load_be16(ip + 2) - 20u - (tcp[12] >> 4) * 4u;

	if (k >= CONNS || (tcp[13] & TCP_RST) != 0)
		return;
	w->peer[k].ack = load_be32(tcp + 4) + len + ((tcp[13] & (TCP_SYN | TCP_FIN)) != 0);
}

static void compare_sent(struct world *w)
{
	struct link_frame a, b;

	for (;;) {
		bool has_a = fake_link_next(&w->side[0].drv, &a);
		bool has_b = fake_link_next(&w->side[1].drv, &b);

		if (has_a != has_b)
			fail(w, "number of frames sent");
		if (!has_a)
			return;
		if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
			fail(w, "frame sent");
		peer_learn(w, &a);
		free(a.data);
		free(b.data);
	}
}

static void compare_state(struct world *w)
{
	struct stack_stats a, b;

	stack_stats(w->side[0].s, &a);
	stack_stats(w->side[1].s, &b);
	a.rx_frames = b.rx_frames = 0;
	a.drops[STACK_DROP_ETH_DST] = b.drops[STACK_DROP_ETH_DST] = 0; /* the one for somebody else */
	if (memcmp(a.drops, b.drops, sizeof(a.drops)) != 0 || a.tcp_conns != b.tcp_conns ||
	    a.tcp_resets_tx != b.tcp_resets_tx || a.tcp_challenges != b.tcp_challenges)
		fail(w, "counters");
	for (unsigned int k = 0; k < CONNS; k++) {
		struct tcp_info ia, ib;

		if (w->side[0].open[k] != w->side[1].open[k])
			fail(w, "connection");
		if (!w->side[0].open[k])
			continue;
		memset(&ia, 0, sizeof(ia));
		memset(&ib, 0, sizeof(ib));
		tcp_info(w->side[0].s, w->side[0].id[k], &ia);
		tcp_info(w->side[1].s, w->side[1].id[k], &ib);
		if (memcmp(&ia, &ib, sizeof(ia)) != 0)
			fail(w, "information");
		if (tcp_ready(w->side[0].s, w->side[0].id[k]) != tcp_ready(w->side[1].s, w->side[1].id[k]))
			fail(w, "readiness");
	}
	tcp_sanity_all(w->side[0].s);
	tcp_sanity_all(w->side[1].s);
}

static void settle(struct world *w)
{
	struct stack_event ev[16];

	for (unsigned int i = 0; i < 2; i++) {
		stack_now(w->side[i].s, w->now_us);
		stack_run(w->side[i].s);
		while (stack_events(w->side[i].s, ev, 16) != 0)
			;
	}
	compare_sent(w);
	compare_state(w);
}

static void rx(struct world *w, const uint8_t *frame, uint32_t len)
{
	w->short_ways += link_find(&w->side[0].s->links, w->side[0].link.v)->last_conn != 0;
	rx_side(&w->side[0], frame, len);
	rx_side(&w->side[1], frame, len);
	memmove(w->last, frame, len);
	w->last_len = len;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Something about it is not as it should be. */
static void step_forge(struct world *w, struct seg *seg, uint8_t *frame, uint32_t *len)
{
	static const uint8_t flags[] = { TCP_ACK, TCP_RST, TCP_SYN, TCP_FIN | TCP_ACK, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK, 0, 0xff };
	uint32_t near = draw(w, 2) != 0 ? draw(w, 2000) - 1000u : prng_u32(&w->prng);

	switch (draw(w, 8)) {
	case 0:
		seg->seq += near;
		break;
	case 1:
		seg->ack += near;
		break;
	case 2:
		seg->flags = flags[draw(w, sizeof(flags))];
		break;
	case 3:
		seg->src_port = (uint16_t)(1000 + draw(w, CONNS + 1));
		break;
	case 4:
		seg->window = (uint16_t)draw(w, 3);
		break;
	default:
		break;
	}
	*len = seg_build(w, seg, frame);
	switch (draw(w, 8)) {
	case 0: /* any byte of the headers */
		frame[draw(w, HDRS)] ^= (uint8_t)(1u << draw(w, 8));
		break;
	case 1: /* shorter than it says */
		*len -= draw(w, min_u32(*len, 60));
		break;
	case 2:
		store_be16(frame + 16, (uint16_t)draw(w, 300));
		break;
	case 3:
		frame[14 + 20 + 12] = (uint8_t)draw(w, 256);
		break;
	default:
		break;
	}
}

static void step_segment(struct world *w, unsigned int k)
{
	uint8_t frame[HDRS + PAYLOAD_MAX];
	struct seg seg = {
		.seq = w->peer[k].next,
		.ack = w->peer[k].ack,
		.src_port = (uint16_t)(1000 + k),
		.dst_port = PORT,
		.window = 60000,
		.flags = TCP_ACK | (draw(w, 2) != 0 ? TCP_PSH : 0),
		.len = draw(w, 4) != 0 ? draw(w, PAYLOAD_MAX + 1) : 0,
	};
	uint32_t len;

	if (draw(w, 3) != 0) {
		len = seg_build(w, &seg, frame);
		w->peer[k].next += seg.len;
	} else {
		step_forge(w, &seg, frame, &len);
	}
	rx(w, frame, len);
}

static void program_closes(struct world *w, unsigned int k)
{
	for (unsigned int i = 0; i < 2; i++) {
		tcp_close(w->side[i].s, w->side[i].id[k]);
		w->side[i].open[k] = false;
	}
}

static void step_program(struct world *w, unsigned int k)
{
	uint32_t what = draw(w, 32), bytes = 1 + draw(w, 400);
	uint8_t buf[2][401];
	size_t got[2] = { 0 };
	int err[2];

	if (!w->side[0].open[k])
		return;
	if (what == 0) {
		program_closes(w, k);
		return;
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct side *side = &w->side[i];

		memset(buf[i], 0x33, sizeof(buf[i]));
		if (what < 20)
			err[i] = tcp_recv(side->s, side->id[k], buf[i], bytes, false, &got[i]);
		else
			err[i] = tcp_send(side->s, side->id[k], buf[i], bytes, 0, &got[i]);
	}
	if (err[0] != err[1] || got[0] != got[1] || memcmp(buf[0], buf[1], sizeof(buf[0])) != 0)
		fail(w, "what the program gets");
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void side_open(struct side *side, bool alone, uint64_t now_us)
{
	struct stack_config cfg = fake_stack_config(&side->mem);
	struct link_config link_cfg;
	struct endpoint local = { .addr = ip_addr_from_v4(be32(0x0a000001)), .port = PORT };

	memset(side, 0, sizeof(*side));
	side->alone = alone;
	VJ_ASSERT_OP(stack_create(&cfg, now_us, &side->s), ==, 0);
	fake_link_init(&side->drv, 1500);
	link_cfg = fake_link_config(&side->drv, 1500, LINK_NO_LOSS | LINK_NO_CSUM);
	VJ_ASSERT_OP(stack_link_add(side->s, &link_cfg, &side->link), ==, 0);
	VJ_ASSERT_OP(tcp_listen(side->s, &local, false, 16, 0, &side->listener), ==, 0);
}

static void connections_open(struct world *w)
{
	uint8_t frame[HDRS + PAYLOAD_MAX];

	for (unsigned int k = 0; k < CONNS; k++) {
		struct seg seg = { .seq = 5000 * k, .src_port = (uint16_t)(1000 + k), .dst_port = PORT, .window = 60000, .flags = TCP_SYN };

		rx(w, frame, seg_build(w, &seg, frame));
		settle(w);
		seg.seq++;
		seg.ack = w->peer[k].ack;
		seg.flags = TCP_ACK;
		w->peer[k].next = seg.seq;
		rx(w, frame, seg_build(w, &seg, frame));
		for (unsigned int i = 0; i < 2; i++) {
			VJ_ASSERT_OP(tcp_accept(w->side[i].s, w->side[i].listener, k, &w->side[i].id[k]), ==, 0);
			w->side[i].open[k] = true;
		}
		settle(w);
	}
}

static unsigned int run(uint64_t seed)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.now_us = 1000000;
	prng_seed(&w.prng, seed);
	side_open(&w.side[0], true, w.now_us);
	side_open(&w.side[1], false, w.now_us);
	connections_open(&w);
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int k = draw(&w, 4) != 0 ? (unsigned int)(seed % CONNS) : draw(&w, CONNS);

		switch (draw(&w, 8)) {
		case 0:
		case 1:
			step_program(&w, k);
			break;
		case 2:
			rx(&w, w.last, w.last_len); /* again */
			break;
		case 3:
			w.now_us += draw(&w, 3) != 0 ? draw(&w, 1000) : draw(&w, 5000000);
			break;
		default:
			step_segment(&w, k);
			break;
		}
		settle(&w);
	}
	for (unsigned int i = 0; i < 2; i++) {
		stack_destroy(w.side[i].s);
		fake_link_drain(&w.side[i].drv);
		VJ_ASSERT_OP(w.side[i].drv.rx_out, ==, 0u);
		VJ_ASSERT_OP(w.side[i].mem.bytes, ==, (size_t)0);
	}
	return w.short_ways;
}

int main(int argc, char **argv)
{
	uint64_t short_ways = 0;

	if (argc > 1) {
		run(strtoull(argv[1], NULL, 0));
		return 0;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		short_ways += run(seed);
	printf("%u seeds, %llu segments that the short way was open to\n", (unsigned int)SEEDS, (unsigned long long)short_ways);
	/* or it would be no test */
	return short_ways > SEEDS * STEPS / 4 ? 0 : 1;
}
