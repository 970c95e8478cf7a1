// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/two_stacks.h"

#include "stack/tcp.h"
#include "tests/sim/walk.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <stdio.h>

#define ETH_IP_MTU_DEFAULT 1500
/* Steps without time going on: a stack that asks to be run again and again does nothing. */
#define IDLE_STEPS_MAX 1000
#define BAD_US_MAX 200000 /* of silence end a burst of loss */

/* ---- frames under way: a heap by time -------------------------------------------------------- */

static bool frame_before(const struct wire_frame *a, const struct wire_frame *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

static void heap_add(struct wire *w, struct wire_frame frame)
{
	uint32_t i = w->cnt++;

	if (w->cnt > w->cap) {
		w->cap = w->cap != 0 ? 2 * w->cap : 64;
		w->heap = realloc(w->heap, w->cap * sizeof(*w->heap));
		VJ_ASSERT(w->heap != NULL);
	}
	for (; i > 0 && frame_before(&frame, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = frame;
}

static struct wire_frame heap_take(struct wire *w)
{
	struct wire_frame first = w->heap[0], last = w->heap[--w->cnt];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < w->cnt && frame_before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (child >= w->cnt || !frame_before(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return first;
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool wire_tx_get(void *drv, struct link_frame *ret_frame)
{
	struct wire *w = drv;
	uint32_t bytes = w->cfg.frame_bytes != 0 ? w->cfg.frame_bytes : w->cfg.mtu + 14;

	if (w->cfg.frames_max != 0 && w->taken >= w->cfg.frames_max) {
		w->refused = true;
		return false;
	}
	w->taken++;
	*ret_frame = (struct link_frame){ .data = malloc(bytes), .room = bytes };
	VJ_ASSERT(ret_frame->data != NULL);
	return true;
}

static void wire_tx_unget(void *drv, const struct link_frame *frame)
{
	struct wire *w = drv;

	w->taken--;
	free(frame->data);
}

static bool accident(struct wire *w, uint32_t ppm)
{
	return ppm != 0 && prng_below(&w->sim->prng, 1000000) < ppm;
}

static void wire_carry(struct wire *w, const struct link_frame *frame, uint64_t at_us)
{
	struct link_frame copy = *frame;
	uint32_t flip = 0;

	copy.data = malloc(frame->len);
	VJ_ASSERT(copy.data != NULL);
	memcpy(copy.data, frame->data, frame->len);
	copy.room = frame->len;
	copy.token = (uint64_t)(uintptr_t)copy.data;
	if (accident(w, w->cfg.corrupt_ppm))
		flip = 1 + (uint32_t)prng_below(&w->sim->prng, copy.len * 8);
	heap_add(w, (struct wire_frame){ at_us, w->serial++, copy, flip });
}

/* RFC 3168 5: a router with a long queue says so to those who understand it. */
static void wire_mark(struct wire *w, const struct link_frame *frame)
{
	uint8_t *ip = frame->data + ETH_HDR_BYTES;
	struct ip_view view;

	if (ip_parse(ip, frame->len - ETH_HDR_BYTES, &view) != WIRE_OK ||
	    ip_ecn(&view) == IP_ECN_NOT_ECT)
		return;
	w->marked++;
	if (view.version == 4) {
		ip[1] |= IP_ECN_CE;
		ip4_csum_fill(ip);
	} else {
		ip[1] |= IP_ECN_CE << 4;
	}
}

/* The longer way of some connections, by the port of side 0 */
static uint64_t wire_extra_us(const struct wire *w, const struct link_frame *frame)
{
	const uint8_t *ip = frame->data + ETH_HDR_BYTES;
	uint32_t off = (ip[0] >> 4 == 4 ? 20u : 40u) + (w->to == 1 ? 0u : 2u), n;

	if (ETH_HDR_BYTES + off + 2 > frame->len)
		return 0; /* the end of a datagram */
	n = load_be16(ip + off) - 1000u;
	return n < TWO_STACKS_EXTRA_MAX ? w->sim->extra_delay_us[n] : 0;
}

/* When the frame is there. UINT64_MAX: the queue is full. */
static uint64_t wire_arrival(struct wire *w, const struct link_frame *frame)
{
	uint64_t now_us = w->sim->now_us, at_us = now_us;

	if (w->cfg.bits_per_s != 0) {
		uint64_t wait_us = w->free_us > now_us ? w->free_us - now_us : 0;
		uint64_t frame_us =
			((uint64_t)frame->len + 24) * 8 * 1000000 / w->cfg.bits_per_s;

		if (w->cfg.queue_frames != 0 && wait_us > frame_us * w->cfg.queue_frames)
			return UINT64_MAX;
		if (w->cfg.mark_frames != 0 && wait_us > frame_us * w->cfg.mark_frames)
			wire_mark(w, frame);
		w->free_us = now_us + wait_us + frame_us;
		at_us = w->free_us;
	}
	at_us += w->cfg.delay_us;
	if (w->cfg.jitter_us != 0)
		at_us += prng_below(&w->sim->prng, w->cfg.jitter_us);
	if (at_us < w->last_us)
		at_us = w->last_us;
	w->last_us = at_us;
	at_us += wire_extra_us(w, frame);
	if (accident(w, w->cfg.reorder_ppm))
		at_us += 1 + prng_below(&w->sim->prng, w->cfg.delay_us + 1000);
	return at_us;
}

static bool wire_loses(struct wire *w)
{
	bool masked = w->sent < 64 && (w->cfg.loss_mask[1 - w->to] >> w->sent & 1) != 0;

	/* A burst is a time, too: it does not wait for a sender that backs off. */
	if (w->sim->now_us > w->loss_us + BAD_US_MAX)
		w->bad = false;
	w->loss_us = w->sim->now_us;
	w->bad = w->bad ? !accident(w, w->cfg.bad_leave_ppm) : accident(w, w->cfg.bad_enter_ppm);
	return accident(w, w->bad ? w->cfg.bad_loss_ppm : w->cfg.loss_ppm) || masked;
}

/* ---- the router ------------------------------------------------------------------------------ */

struct routed {
	struct wire *w;
	uint64_t at_us;
};

static void routed_add(struct wire *w, const uint8_t *frame, uint32_t len, uint64_t at_us)
{
	struct link_frame f = { .data = malloc(len), .len = len, .room = len };

	VJ_ASSERT(f.data != NULL);
	memcpy(f.data, frame, len);
	w->taken++;
	wire_carry(w, &f, at_us);
	free(f.data);
}

static void routed_on(void *arg, const uint8_t *frame, uint32_t len)
{
	struct routed *r = arg;

	routed_add(r->w, frame, len, r->at_us);
}

/* What a router says is not lost here: a sender that does not hear it again and again is one in a black hole. */
static void routed_back(void *arg, const uint8_t *frame, uint32_t len)
{
	struct routed *r = arg;
	struct wire *back = &r->w->sim->wire[r->w->to];
	uint32_t corrupt_ppm = back->cfg.corrupt_ppm;

	back->cfg.corrupt_ppm = 0;
	routed_add(back, frame, len, r->w->sim->now_us + back->cfg.delay_us);
	back->cfg.corrupt_ppm = corrupt_ppm;
}

static void wire_route(struct wire *w, const struct link_frame *frame, uint64_t at_us)
{
	struct routed routed = { w, at_us };
	const struct router_exits exits = { &routed, routed_on, routed_back };

	if (router_forward(&w->router, w->sim->now_us, frame->data, frame->len, w->to == 1 ? 0 : 1,
			   &exits))
		watch_arrived(&w->sim->watch, 1 - w->to, frame->data, frame->len); /* or will */
	else
		watch_lost(&w->sim->watch, 1 - w->to, frame->data, frame->len);
	w->taken--;
}

void two_stacks_path(struct two_stacks *sim, unsigned int from, uint32_t mtu, enum router_kind kind)
{
	const struct wire *back = &sim->wire[1 - from];

	router_change(&sim->wire[from].router, mtu, kind);
	sim->wire[from].router.patience_us = back->cfg.delay_us + back->cfg.jitter_us + 1000;
}

static void wire_tx_put(void *drv, const struct link_frame *frame)
{
	struct wire *w = drv;
	uint64_t at_us = wire_arrival(w, frame);
	bool lost = wire_loses(w) || at_us == UINT64_MAX;

	w->sent++;
	watch_sent(&w->sim->watch, 1 - w->to, frame->data, frame->len);
	if (lost) {
		watch_lost(&w->sim->watch, 1 - w->to, frame->data, frame->len);
		w->lost++;
		w->taken--;
	} else if (router_blocks(&w->router, frame->len)) {
		wire_route(w, frame, at_us);
	} else {
		wire_carry(w, frame, at_us);
		if (accident(w, w->cfg.dup_ppm)) {
			w->taken++;
			wire_carry(w, frame,
				   at_us + prng_below(&w->sim->prng, w->cfg.delay_us + 1000));
		}
	}
	free(frame->data);
}

static void wire_rx_free(void *drv, const struct link_frame *frame)
{
	struct wire *out = drv;

	/* The link of a side sends over wire[side] and receives what wire[1 - side] brings. */
	fake_rx_free(&out->sim->side[1 - out->to].rx, frame);
}

static const struct link_ops wire_ops = {
	.tx_get = wire_tx_get,
	.tx_put = wire_tx_put,
	.tx_unget = wire_tx_unget,
	.rx_free = wire_rx_free,
};

/* ---- running --------------------------------------------------------------------------------- */

static void side_init(struct two_stacks *sim, unsigned int i, const struct wire_config *cfg,
		      uint64_t seed, bool v6, const struct stack_config *limits)
{
	struct side *side = &sim->side[i];
	struct stack_config stack_cfg = fake_stack_config(&side->mem);
	struct link_config link_cfg;
	static const char *const addr[2][2] = { { "10.0.0.1:0", "10.0.0.2:0" },
						{ "[2001:db8::1]:0", "[2001:db8::2]:0" } };

	VJ_ASSERT(endpoint_parse(addr[v6][i], &side->addr) == 0);
	if (side->outside != NULL)
		return;
	fake_link_init(&side->rx, cfg->mtu);
	link_cfg = fake_link_config(&side->rx, cfg->mtu, cfg->flags);
	link_cfg.ops = &wire_ops;
	link_cfg.drv = side->out;
	link_cfg.mac[5] = (uint8_t)(i + 1);
	link_cfg.peer_mac[5] = (uint8_t)(2 - i);
	if (cfg->rx_hold_max != 0)
		link_cfg.rx_hold_max = cfg->rx_hold_max;
	if (limits != NULL) {
		stack_cfg.conns_max = limits->conns_max;
		stack_cfg.mem_bytes_max = limits->mem_bytes_max;
		stack_cfg.sndbuf_bytes = limits->sndbuf_bytes;
		stack_cfg.rcvbuf_bytes = limits->rcvbuf_bytes;
	}
	stack_cfg.secret[0] = (uint8_t)i;
	stack_cfg.seed = seed + i;
	VJ_ASSERT(stack_create(&stack_cfg, sim->now_us, &side->s) == 0);
	VJ_ASSERT(stack_link_add(side->s, &link_cfg, &side->link) == 0);
}

void two_stacks_init(struct two_stacks *sim, const struct wire_config *wire, uint64_t seed, bool v6,
		     const struct stack_config *limits)
{
	static const struct outside *const none[2];

	two_stacks_init_outside(sim, wire, seed, v6, limits, none);
}

void two_stacks_init_outside(struct two_stacks *sim, const struct wire_config *wire, uint64_t seed,
			     bool v6, const struct stack_config *limits,
			     const struct outside *const outside[2])
{
	struct wire_config cfg = *wire;

	memset(sim, 0, sizeof(*sim));
	if (cfg.mtu == 0)
		cfg.mtu = ETH_IP_MTU_DEFAULT;
	prng_seed(&sim->prng, seed);
	watch_init(&sim->watch, &sim->now_us);
	sim->now_us = 1000000 + prng_below(&sim->prng, 1000000);
	for (unsigned int i = 0; i < 2; i++) {
		sim->wire[i] = (struct wire){ .sim = sim, .to = 1 - i, .cfg = cfg };
		sim->side[i].out = &sim->wire[i];
		sim->side[i].outside = outside[i];
		sim->watch.trusted[i] = outside[i] == NULL;
	}
	for (unsigned int i = 0; i < 2; i++)
		side_init(sim, i, &cfg, seed, v6, limits);
}

void two_stacks_send(struct two_stacks *sim, unsigned int side, const uint8_t *frame, uint32_t len)
{
	struct wire *w = &sim->wire[side];
	struct link_frame copy = { .data = malloc(len), .len = len, .room = len };

	VJ_ASSERT(copy.data != NULL);
	memcpy(copy.data, frame, len);
	w->taken++;
	wire_tx_put(w, &copy);
}

/* All of one side that has arrived, in batches as a driver would have it */
static void deliver(struct two_stacks *sim, unsigned int to)
{
	struct wire *w = &sim->wire[1 - to];
	struct side *side = &sim->side[to];

	while (w->cnt != 0 && w->heap[0].at_us <= sim->now_us) {
		struct link_frame batch[8];
		unsigned int n = 0;

		while (n < ARRAY_SIZE(batch) && w->cnt != 0 && w->heap[0].at_us <= sim->now_us) {
			struct wire_frame got = heap_take(w);
			uint32_t bit = got.flip - 1;

			watch_arrived(&sim->watch, 1 - to, got.frame.data, got.frame.len);
			if (got.flip != 0)
				got.frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			batch[n++] = got.frame;
			side->rx.rx_out++;
			w->taken--;
		}
		if (side->s != NULL)
			stack_rx(side->s, side->link, batch, n);
		for (unsigned int i = 0; side->s == NULL && i < n; i++) {
			side->outside->deliver(side->outside->arg, batch[i].data, batch[i].len);
			fake_rx_free(&side->rx, &batch[i]);
		}
	}
	if (w->refused && w->taken < w->cfg.frames_max) {
		w->refused = false;
		stack_link_writable(sim->side[1 - to].s, sim->side[1 - to].link);
	}
}

uint64_t two_stacks_next_us(const struct two_stacks *sim)
{
	uint64_t next_us = UINT64_MAX;

	for (unsigned int i = 0; i < 2; i++) {
		const struct side *side = &sim->side[i];

		if (side->s != NULL)
			next_us = min_u64(next_us, stack_deadline(side->s));
		else if (side->outside->deadline != NULL)
			next_us = min_u64(next_us, side->outside->deadline(side->outside->arg));
		if (sim->wire[i].cnt != 0)
			next_us = min_u64(next_us, sim->wire[i].heap[0].at_us);
	}
	return next_us;
}

static void side_run(struct two_stacks *sim, struct side *side)
{
	if (side->s == NULL) {
		if (side->outside->run != NULL)
			side->outside->run(side->outside->arg, sim->now_us);
		return;
	}
	stack_run(side->s);
}

bool two_stacks_step(struct two_stacks *sim, uint64_t until_us)
{
	uint64_t next_us = min_u64(until_us, two_stacks_next_us(sim));

	sim->idle_steps = next_us > sim->now_us ? 0 : sim->idle_steps + 1;
	VJ_ASSERT_OP(sim->idle_steps, <, (unsigned int)IDLE_STEPS_MAX);
	sim->now_us = max_u64(sim->now_us, next_us);
	sim->steps++;
	for (unsigned int i = 0; i < 2; i++)
		if (sim->side[i].s != NULL)
			stack_now(sim->side[i].s, sim->now_us);
	for (unsigned int i = 0; i < 2; i++)
		deliver(sim, i);
	for (unsigned int i = 0; i < 2; i++)
		side_run(sim, &sim->side[i]);
	for (unsigned int i = 0; sim->walk && i < 2; i++)
		if (sim->side[i].s != NULL)
			walk_stack(sim->side[i].s, sim->side[i].mem.bytes, sim->side[i].rx.rx_out);
	return sim->now_us < until_us;
}

/* For the message, before the assertion that fails */
static void print_left(const struct stack *s, unsigned int side)
{
	uint32_t end = min_u32(s->conns.fresh, s->cfg.conns_max + 1);

	for (uint32_t id = bitmap_find_set(s->tcp->used, end, 0); id != BITMAP_NONE;
	     id = bitmap_find_set(s->tcp->used, end, id + 1)) {
		const struct tcb *t = conn_at(s, id).t;

		fprintf(stderr,
			"left on side %u: connection %u, ports %u %u, state %u, flags 0x%x, in "
			"flight %u, sndq %u, "
			"rcvq %u, window %u\n",
			side, id, t->lport, t->rport, t->state, t->flags, tcb_flight(t),
			t->sndq.bytes, t->rcvq.bytes, t->snd_wnd);
	}
}

void two_stacks_fini(struct two_stacks *sim)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct stack *s = sim->side[i].s;

		if (s == NULL)
			continue;
		print_left(s, i);
		VJ_ASSERT_OP(s->conns.used, ==, 0u);
		VJ_ASSERT_OP(s->flows.used, ==, (uint64_t)0);
		VJ_ASSERT_OP(s->tcp->rtx.used + s->tcp->sent.used + s->tcp->ext.used + s->tcp->ooo.used, ==, 0u);
		for (int kind = 0; kind < BUF_KIND_CNT; kind++)
			VJ_ASSERT_OP(s->bufs.pool[kind].used, ==, 0u);
		VJ_ASSERT_OP(s->output_cnt, ==, 0u);
		VJ_ASSERT_OP(sim->side[i].rx.rx_out, ==, 0u);
	}
	for (unsigned int i = 0; i < 2; i++)
		stack_destroy(sim->side[i].s);
	for (unsigned int i = 0; i < 2; i++) {
		VJ_ASSERT_OP(sim->side[i].mem.bytes, ==, (size_t)0);
		VJ_ASSERT_OP(sim->wire[i].taken, ==, sim->wire[i].cnt);
		while (sim->wire[i].cnt != 0)
			free(heap_take(&sim->wire[i]).frame.data);
		free(sim->wire[i].heap);
	}
	watch_fini(&sim->watch);
}
