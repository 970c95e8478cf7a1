// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_filter.c - programs of policy/filter.h as no compiler makes them
 *
 * The input is a recipe: what the compiler would have written (a head, chains of tests, look-ups in trees, counters, limits, jumps), each operand mostly one that means
 * something there, then cells that are changed at random. Whatever comes of it: frames and made-up words go through it, both ways; it ends within its steps,
 * touches no cell outside of the image (its heap block ends there) and says a verdict; what was not changed writes only where it counts or limits.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "policy/filter_packet.h"
#include "policy/filter_track.h"

enum { CELLS = 96, DATA_FROM = 64, PACKETS = 8, TRACKS = 8, FRAME_BYTES = 160 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input says; when that is used up, what a seed made of it says. */
struct recipe {
	const uint8_t *data;
	size_t len;
	struct prng rng;
};

static uint32_t below(struct recipe *r, uint32_t n)
{
	if (r->len == 0)
		return (uint32_t)prng_below(&r->rng, n);
	r->len--;
	return *r->data++ % n;
}

static uint32_t value(struct recipe *r)
{
	static const uint32_t few[] = { 0, 1, 2, 6, 10, 17, 44, 53, 80, 0x110035, 0x060050, 0x0a090001, UINT32_MAX };

	return below(r, 4) != 0 ? few[below(r, ARRAY_SIZE(few))] : (uint32_t)prng_u64(&r->rng);
}

/* ---- a program */

/* A place in code that is further on: so that most programs end. */
static uint32_t ahead(struct recipe *r, uint32_t at)
{
	return at + 1 + below(r, at + 9 < DATA_FROM ? 8 : DATA_FROM - 1 - at);
}

static uint32_t data_at(struct recipe *r)
{
	return DATA_FROM + below(r, CELLS - DATA_FROM);
}

static uint8_t word(struct recipe *r)
{
	return (uint8_t)below(r, FILTER_WORD_CNT);
}

static struct filter_insn instruction(struct recipe *r, uint32_t at)
{
	uint8_t op = (uint8_t)(1 + below(r, FILTER_OP_END));
	struct filter_insn insn = { .op = op, .field = word(r), .a = value(r), .b = value(r), .next = ahead(r, at) };

	switch (op) {
	case FILTER_OP_LOOKUP:
		insn.arg = (uint16_t)below(r, FILTER_LOOKUP_MAP + 1);
		insn.a = data_at(r);
		insn.b = below(r, 5);
		break;
	case FILTER_OP_COUNT:
		insn.a = data_at(r);
		break;
	case FILTER_OP_LIMIT:
		insn.a = data_at(r);
		insn.arg = (uint16_t)below(r, 2);
		break;
	case FILTER_OP_JUMP:
	case FILTER_OP_MAP_JUMP:
		insn.a = ahead(r, at);
		break;
	case FILTER_OP_BASE:
		insn.a = ahead(r, at);
		insn.b = ahead(r, at);
		break;
	case FILTER_OP_EARLY:
	case FILTER_OP_REJECT:
		insn.arg = (uint16_t)below(r, 2);
		break;
	default:
		break;
	}
	return insn;
}

/* A leaf, or what leads a level down; a bucket; a counter. */
static union filter_cell datum(struct recipe *r)
{
	union filter_cell cell = { .entry = { .lo = value(r), .first = below(r, DATA_FROM), .field = FILTER_LEAF } };

	switch (below(r, 4)) {
	case 0:
		return (union filter_cell){ .bucket = { below(r, 2) ? FILTER_BUCKET_FULL : (int64_t)value(r), (int64_t)value(r) } };
	case 1:
		return (union filter_cell){ .count = { 0, 0 } };
	case 2:
		cell.entry.first = data_at(r);
		cell.entry.cnt = below(r, 5) & 0xffffff;
		cell.entry.field = word(r);
		break;
	default:
		break;
	}
	cell.entry.hi = below(r, 2) ? cell.entry.lo : cell.entry.lo | 0xffff;
	return cell;
}

static void write_program(struct recipe *r, union filter_cell *cells)
{
	cells[0].head = (struct filter_head){ .magic = FILTER_MAGIC, .flags = below(r, 32), .entry = { 2, 2 + below(r, 8) } };
	cells[FILTER_KEPT_FIRST].kept = (struct filter_kept){ .next = 0 };
	/* two ends: behind a limit's cell as well */
	cells[DATA_FROM - 2].insn = cells[DATA_FROM - 1].insn = (struct filter_insn){ .op = FILTER_OP_END };
	for (uint32_t i = 2; i < DATA_FROM - 2; i++) {
		cells[i].insn = instruction(r, i);
		if (cells[i].insn.op == FILTER_OP_LIMIT && i + 1 < DATA_FROM - 2)
			cells[++i].limit = (struct filter_limit){ .cost_ns = value(r), .rate = below(r, 2) ? value(r) : 0 };
	}
	for (uint32_t i = DATA_FROM; i < CELLS; i++)
		cells[i] = datum(r);
}

/* Anything may stand anywhere, but for the head's magic. Return: something was changed */
static bool spoil(struct recipe *r, union filter_cell *cells)
{
	uint32_t cnt = below(r, 8);

	for (uint32_t n = cnt; n > 0; n--) {
		uint8_t *cell = (uint8_t *)&cells[below(r, CELLS)];
		uint32_t at = below(r, sizeof(*cells));

		if (below(r, 2))
			cell[at] = (uint8_t)below(r, 256);
		else
			store_u32(cell + (at & ~3u), value(r));
	}
	cells[0].head.magic = FILTER_MAGIC;
	return cnt > 0;
}

/* ---- packets */

/* A frame with the headers that filter_fill() goes through; its end is anywhere. */
static size_t frame(struct recipe *r, uint8_t *f)
{
	bool v6 = below(r, 2);
	size_t l4 = ETH_HDR_BYTES + (v6 ? IP6_HDR_BYTES : IP4_HDR_BYTES);
	uint8_t proto = (uint8_t[]){ IP_PROTO_TCP, IP_PROTO_UDP, v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP, IP6_EXT_FRAGMENT }[below(r, 4)];

	for (size_t i = 0; i < FRAME_BYTES; i++)
		f[i] = (uint8_t)prng_u64(&r->rng);
	store_be16(f + 12, v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	f[ETH_HDR_BYTES] = v6 ? 0x60 : (uint8_t)(0x45 + (below(r, 4) == 0));
	f[ETH_HDR_BYTES + (v6 ? 6 : 9)] = proto;
	if (!v6)
		store_be16(f + ETH_HDR_BYTES + 6, (uint16_t[]){ 0, 0, 0x2000, 0x0010 }[below(r, 4)]);
	if (v6 && proto == IP6_EXT_FRAGMENT) {
		f[l4] = IP_PROTO_UDP;
		store_be16(f + l4 + 2, (uint16_t)below(r, 32));
	}
	return below(r, 3) != 0 ? FRAME_BYTES : below(r, FRAME_BYTES + 1);
}

/* Return: it is of a packet that could be read; else the words are made up */
static bool fill(struct recipe *r, struct filter_run *run, struct policy_view *view)
{
	uint8_t f[FRAME_BYTES];
	size_t len = frame(r, f);
	uint8_t *exact = malloc(len + 1);
	bool ok;

	VJ_ASSERT(exact != NULL);
	memcpy(exact + 1, f, len);
	ok = filter_fill(run, &(struct policy_frame){ .data = exact + 1, .end = exact + 1 + len }, view);
	if (ok && filter_is_part(run, view))
		filter_fill_whole(run, &(struct policy_frame){ .data = exact + 1, .end = exact + 1 + len });
	free(exact);
	if (!ok) {
		memset(run, 0, sizeof(*run));
		for (unsigned i = 0; i < FILTER_WORD_CNT; i++)
			run->word[i] = value(r);
		run->bytes = value(r);
	}
	run->now_ns = prng_u64(&r->rng) >> 2;
	return ok;
}

/* Only what a COUNT or a LIMIT names is written. Of a program that writes its own code nothing is known. */
static void check_written(const union filter_cell *was, const union filter_cell *is)
{
	bool may[CELLS] = { false };

	for (uint32_t i = 0; i < CELLS; i++)
		if ((was[i].insn.op == FILTER_OP_COUNT || was[i].insn.op == FILTER_OP_LIMIT) && was[i].insn.a < CELLS)
			may[was[i].insn.a] = true;
	for (uint32_t i = 0; i < DATA_FROM; i++)
		if (may[i])
			return;
	for (uint32_t i = 0; i < CELLS; i++)
		VJ_ASSERT(may[i] || memcmp(&was[i], &is[i], sizeof(*is)) == 0);
}

static void judge(const struct filter_image *img, struct filter_run *run)
{
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		enum filter_verdict v = filter_eval(img, run, dir);

		VJ_ASSERT(v == FILTER_ACCEPT || v == FILTER_DROP || v == FILTER_REJECT || v == FILTER_KERNEL);
		VJ_ASSERT_OP(run->depth, <=, FILTER_DEPTH_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union filter_cell *cells = calloc(CELLS, sizeof(*cells)), was[CELLS];
	uint8_t mem[TRACKS * (sizeof(struct policy_flow) + sizeof(struct filter_track))];
	struct policy_table tracks = { .mem = mem, .key_bytes = sizeof(struct policy_flow), .value_bytes = sizeof(struct filter_track),
				       .max = TRACKS };
	const struct filter_image img = { .cells = cells, .cnt = CELLS };
	struct recipe r = { .data = data, .len = size };
	uint64_t seed = size;
	bool spoilt;

	VJ_ASSERT(cells != NULL);
	for (size_t i = 0; i < size; i++)
		seed = seed * 31 + data[i];
	prng_seed(&r.rng, seed);
	write_program(&r, cells);
	spoilt = spoil(&r, cells);
	for (unsigned i = 0; i < PACKETS; i++) {
		enum filter_dir dir = below(&r, 2) ? FILTER_INBOUND : FILTER_OUTBOUND;
		struct filter_track *known = NULL;
		struct filter_tracked tracked;
		struct filter_run run;
		struct policy_view view;
		bool ok = fill(&r, &run, &view);

		if (ok)
			known = filter_track_look(&run, &tracks, &view, dir, below(&r, 4) == 0, run.now_ns, &tracked);
		memcpy(was, cells, sizeof(was));
		judge(&img, &run);
		if (!spoilt)
			check_written(was, cells);
		if (ok)
			filter_track_keep(&run, &tracks, known, &tracked);
	}
	free(cells);
	return 0;
}
