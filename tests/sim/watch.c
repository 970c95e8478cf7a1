// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/watch.h"

#include "base/assert.h"
#include "base/seq.h"
#include "wire/eth.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A segment at hand */
struct seen {
	struct watch_flow *flow;
	struct watch_half *me, *peer;
	struct tcp_view tcp;
	struct tcp_opts opts;
	const uint8_t *payload;
	uint32_t seq; /* from the SYN */
	uint32_t end; /* SYN and FIN included */
	uint32_t ack;
	unsigned int side;
};

VJ_PRINTF(3, 4)
static void fail(const struct watch *w, const struct seen *g, const char *what, ...)
{
	va_list args;

	if (!w->trusted[g->side])
		return;
	fprintf(stderr,
		"invariant %.6f s, side %u, ports %u %u, flags 0x%02x, seq %u..%u, ack %u: ",
		(double)*w->now_us / 1e6, g->side, g->flow->port[0], g->flow->port[1], g->tcp.flags,
		g->seq, g->end, g->ack);
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

/* ---- what is known --------------------------------------------------------------------------- */

void watch_init(struct watch *w, const uint64_t *now_us)
{
	memset(w, 0, sizeof(*w));
	w->now_us = now_us;
	w->trusted[0] = w->trusted[1] = true;
}

void watch_fini(struct watch *w)
{
	for (uint32_t i = 0; i < w->flow_cnt; i++)
		for (unsigned int side = 0; side < 2; side++)
			free(w->flow[i].half[side].came_bits);
}

static struct watch_flow *flow_find(struct watch *w, uint16_t port0, uint16_t port1)
{
	struct watch_flow *flow;

	for (uint32_t i = 0; i < w->flow_cnt; i++)
		if (w->flow[i].port[0] == port0 && w->flow[i].port[1] == port1)
			return &w->flow[i];
	VJ_ASSERT_OP(w->flow_cnt, <, (uint32_t)WATCH_FLOWS);
	flow = &w->flow[w->flow_cnt++];
	flow->port[0] = port0;
	flow->port[1] = port1;
	return flow;
}

void watch_stream(struct watch *w, uint16_t port0, uint16_t port1, unsigned int side, uint32_t key)
{
	struct watch_half *half = &flow_find(w, port0, port1)->half[side];

	half->key = key;
	half->has_key = true;
}

/* Of [from, to), the first that has not arrived; to: all have. */
static uint32_t came_until(const struct watch_half *half, uint32_t from, uint32_t to)
{
	while (from < to && from / 64 < half->came_cap) {
		uint64_t word = half->came_bits[from / 64];

		if (from % 64 == 0 && word == UINT64_MAX)
			from += 64;
		else if ((word >> from % 64 & 1) != 0)
			from++;
		else
			break;
	}
	return min_u32(from, to);
}

static void came_add(struct watch_half *half, uint32_t from, uint32_t to)
{
	uint32_t words = to / 64 + 1;

	if (words > half->came_cap) {
		uint32_t cap = max_u32(2 * half->came_cap, words + 64);

		half->came_bits = realloc(half->came_bits, cap * sizeof(*half->came_bits));
		VJ_ASSERT(half->came_bits != NULL);
		memset(half->came_bits + half->came_cap, 0,
		       (cap - half->came_cap) * sizeof(*half->came_bits));
		half->came_cap = cap;
	}
	while (from < to) {
		bool whole = from % 64 == 0 && to - from >= 64;

		half->came_bits[from / 64] |= whole ? UINT64_MAX : UINT64_C(1) << from % 64;
		from += whole ? 64 : 1;
	}
	half->came = came_until(half, half->came, half->came_cap * 64);
}

/* Return: false: no TCP segment, or one that is not watched. */
static bool seen_parse(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len,
		       struct seen *ret)
{
	struct ip_view ip;
	uint16_t ports[2];

	if (len < ETH_HDR_BYTES ||
	    ip_parse(frame + ETH_HDR_BYTES, len - ETH_HDR_BYTES, &ip) != WIRE_OK ||
	    ip.proto != IP_PROTO_TCP || ip_is_frag(&ip) ||
	    tcp_parse(ip_payload(&ip), ip.payload_len, &ret->tcp) != WIRE_OK ||
	    tcp_opts_parse(&ret->tcp, &ret->opts) != WIRE_OK)
		return false;
	ports[side] = ret->tcp.src_port;
	ports[1 - side] = ret->tcp.dst_port;
	ret->side = side;
	ret->flow = flow_find(w, ports[0], ports[1]);
	ret->me = &ret->flow->half[side];
	ret->peer = &ret->flow->half[1 - side];
	ret->payload = ip_payload(&ip) + ret->tcp.hdr_len;
	ret->seq = ret->tcp.seq - ((ret->tcp.flags & TCP_SYN) != 0 ? ret->tcp.seq : ret->me->iss);
	ret->end = ret->seq + tcp_seg_len(&ret->tcp);
	ret->ack = (ret->tcp.flags & TCP_ACK) != 0 ? ret->tcp.ack - ret->peer->iss : 0;
	return true;
}

/* ---- the rules ------------------------------------------------------------------------------- */

static void saw_syn(struct seen *g)
{
	struct watch_half *me = g->me;

	if (me->syn && me->iss != g->tcp.seq)
		me->reborn = true;
	me->syn = true;
	me->iss = g->tcp.seq;
	me->max = max_u32(me->max, g->end);
	me->mss = (g->opts.present & TCP_HAS_MSS) != 0 ? g->opts.mss : 536;
	me->has_wscale = (g->opts.present & TCP_HAS_WSCALE) != 0;
	me->wscale = me->has_wscale ? g->opts.wscale : 0;
	me->has_ts = (g->opts.present & TCP_HAS_TS) != 0;
}

static void check_data(struct watch *w, struct seen *g)
{
	struct watch_half *me = g->me;
	uint32_t len = g->tcp.payload_len;
	bool syn = (g->tcp.flags & TCP_SYN) != 0; /* with data: RFC 7413, before any window is known */
	uint32_t data = g->seq + (syn ? 1 : 0), data_end = data + len;
	bool fin = (g->tcp.flags & TCP_FIN) != 0;

	if (seq_gt(g->seq, me->max))
		fail(w, g, "HOLE: %u was the end so far", me->max);
	if (len != 0 && !syn && seq_gt(data_end, g->me->usable))
		fail(w, g, "WINDOW: ends at %u", g->me->usable);
	if (me->fin != 0 &&
	    ((len != 0 && seq_gt(data_end, me->fin)) || (fin && data_end != me->fin)))
		fail(w, g, "FIN: was at %u", me->fin);
	if (fin)
		me->fin = data_end;
	if (len > g->peer->mss && g->peer->syn)
		fail(w, g, "MSS: %u bytes, the peer takes %u", len, g->peer->mss);
	for (uint32_t i = 0; me->has_key && i < len; i++)
		if (g->payload[i] != watch_stream_byte(me->key, data - 1 + i))
			fail(w, g, "BYTES: wrong at %u", data + i);
	me->max = seq_max(me->max, g->end);
}

static void check_window(struct watch *w, struct seen *g)
{
	bool scaled = g->me->has_wscale && g->peer->has_wscale;
	uint32_t shift = scaled && (g->tcp.flags & TCP_SYN) == 0 ? g->me->wscale : 0;
	uint32_t edge = g->ack + ((uint32_t)g->tcp.window << shift);

	if (seq_gt(g->ack, g->peer->came))
		fail(w, g, "ACK: only %u has arrived", g->peer->came);
	if (seq_lt(g->ack, g->me->acked))
		fail(w, g, "ACK: was %u before", g->me->acked);
	/* RFC 7323 2.4: what the shift cuts off. A SYN that is sent again cannot say more (2.2). */
	if ((g->tcp.flags & TCP_SYN) == 0 &&
	    seq_lt(edge + (UINT32_C(1) << shift) - 1, g->me->edge))
		fail(w, g, "EDGE: %u, was %u before", edge, g->me->edge);
	g->me->acked = g->ack;
	g->me->edge = seq_max(g->me->edge, edge);
}

static void check_sack(struct watch *w, struct seen *g)
{
	if ((g->opts.present & TCP_HAS_SACK) == 0)
		return;
	for (unsigned int i = 0; i < g->opts.sack_cnt; i++) {
		uint32_t left = g->opts.sack[i].left - g->peer->iss;
		uint32_t right = g->opts.sack[i].right - g->peer->iss;

		if (seq_geq(left, right) || seq_gt(right, g->peer->max))
			fail(w, g, "SACK: block %u is %u..%u, sent was %u", i, left, right,
			     g->peer->max);
		/* RFC 2883 4: the first may name what came twice, below the acknowledgement */
		if (i > 0 && seq_leq(right, g->ack))
			fail(w, g, "SACK: block %u, %u..%u, is acknowledged", i, left, right);
		if (came_until(g->peer, left, right) != right)
			fail(w, g, "SACK: block %u is %u..%u, and %u has not arrived", i, left,
			     right, came_until(g->peer, left, right));
	}
}

static void check_ts(struct watch *w, struct seen *g)
{
	if ((g->opts.present & TCP_HAS_TS) == 0)
		return;
	if (g->me->ts_last != 0 && seq_lt(g->opts.ts_val, g->me->ts_last))
		fail(w, g, "TS: %u, was %u before", g->opts.ts_val, g->me->ts_last);
	g->me->ts_last = g->opts.ts_val;
	if ((g->tcp.flags & TCP_ACK) != 0 && seq_gt(g->opts.ts_ecr, g->peer->ts_last))
		fail(w, g, "TS: echoes %u, sent was %u", g->opts.ts_ecr, g->peer->ts_last);
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void trace(const struct watch *w, const struct seen *g, const char *what)
{
	printf("%.6f %c %u:%u %s%s%s%s%s seq %u..%u ack %u win %u", (double)*w->now_us / 1e6,
	       g->side == 0 ? '>' : '<', g->flow->port[0], g->flow->port[1],
	       (g->tcp.flags & TCP_SYN) != 0 ? "S" : "", (g->tcp.flags & TCP_FIN) != 0 ? "F" : "",
	       (g->tcp.flags & TCP_RST) != 0 ? "R" : "", (g->tcp.flags & TCP_PSH) != 0 ? "P" : "",
	       (g->tcp.flags & TCP_ACK) != 0 ? "." : "", g->seq, g->end, g->ack, g->tcp.window);
	for (unsigned int i = 0; (g->opts.present & TCP_HAS_SACK) != 0 && i < g->opts.sack_cnt; i++)
		printf(" sack %u..%u", g->opts.sack[i].left - g->peer->iss,
		       g->opts.sack[i].right - g->peer->iss);
	printf("  %s\n", what);
}

void watch_sent(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len)
{
	struct seen g;

	if (!seen_parse(w, side, frame, len, &g))
		return;
	w->segments++;
	if (w->trace)
		trace(w, &g, "sent");
	if ((g.tcp.flags & TCP_RST) != 0)
		return;
	if ((g.tcp.flags & TCP_SYN) != 0)
		saw_syn(&g);
	if (!g.me->syn || g.me->reborn || g.peer->reborn)
		return;
	check_data(w, &g);
	check_ts(w, &g);
	if ((g.tcp.flags & TCP_ACK) != 0) {
		check_window(w, &g);
		check_sack(w, &g);
	}
}

void watch_arrived(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len)
{
	struct seen g;
	uint32_t shift;

	if (!seen_parse(w, side, frame, len, &g))
		return;
	if (w->trace)
		trace(w, &g, "arrived");
	if ((g.tcp.flags & TCP_RST) != 0 || !g.me->syn || g.me->reborn || g.peer->reborn ||
	    seq_lt(g.seq, 0))
		return;
	came_add(g.me, g.seq, g.end);
	/* A SYN offers its window from the other's first byte on, which matters to Fast Open. */
	if ((g.tcp.flags & (TCP_ACK | TCP_SYN)) == TCP_SYN)
		g.ack = 1;
	else if ((g.tcp.flags & TCP_ACK) == 0)
		return;
	shift = g.me->has_wscale && g.peer->has_wscale && (g.tcp.flags & TCP_SYN) == 0
			? g.me->wscale
			: 0;
	if (g.ack == 1 || seq_leq(g.ack, g.peer->max))
		g.peer->usable =
			seq_max(g.peer->usable, g.ack + ((uint32_t)g.tcp.window << shift));
}

void watch_lost(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len)
{
	struct seen g;

	if (w->trace && seen_parse(w, side, frame, len, &g))
		trace(w, &g, "LOST");
}
