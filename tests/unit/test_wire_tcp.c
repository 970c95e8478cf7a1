// SPDX-License-Identifier: BSD-2-Clause
/* TCP header and options, the hostile ones too. */
#include "tests/unit/wire_packets.h"
#include "tests/unit/wire_test.h"

#include "base/prng.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

#define SYN_TCP (packet_syn + IP4_HDR_BYTES)
#define DATA_TCP (packet_data + IP4_HDR_BYTES)

static void test_golden(void **state)
{
	struct tcp_opts opts = { 0 };
	struct tcp_view tcp = { 0 };

	(void)state;
	assert_int_equal(tcp_parse(SYN_TCP, 40, &tcp), WIRE_OK);
	assert_int_equal(tcp.src_port, 40000);
	assert_int_equal(tcp.dst_port, 6379);
	assert_int_equal(tcp.seq, 0xdeadbeef);
	assert_int_equal(tcp.ack, 0);
	assert_int_equal(tcp.flags, TCP_SYN);
	assert_int_equal(tcp.window, 64240);
	assert_int_equal(tcp.hdr_len, 40);
	assert_int_equal(tcp.payload_len, 0);
	assert_int_equal(tcp_seg_len(&tcp), 1);
	assert_false(tcp_is_plain_ts(&tcp));
	assert_int_equal(tcp_opts_parse(&tcp, &opts), WIRE_OK);
	assert_int_equal(opts.present,
			 TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED | TCP_HAS_TS);
	assert_int_equal(opts.mss, 1460);
	assert_int_equal(opts.wscale, 7);
	assert_int_equal(opts.ts_val, 0x11223344);
	assert_int_equal(opts.ts_ecr, 0);

	assert_int_equal(tcp_parse(DATA_TCP, 39, &tcp), WIRE_OK);
	assert_int_equal(tcp.flags, TCP_PSH | TCP_ACK);
	assert_int_equal(tcp.payload_len, 7);
	assert_int_equal(tcp_seg_len(&tcp), 7);
	assert_true(tcp_is_plain_ts(&tcp));
	assert_int_equal(tcp_opts_parse(&tcp, &opts), WIRE_OK);
	assert_int_equal(opts.present, TCP_HAS_TS);
	assert_int_equal(opts.ts_val, 0x11223399);
	assert_int_equal(opts.ts_ecr, 0xa1b2c3d4);
	assert_int_equal(tcp_plain_ts_val(&tcp), 0x11223399);
	assert_int_equal(tcp_plain_ts_ecr(&tcp), 0xa1b2c3d4);
}

/* What we build is, byte for byte, what was recorded. */
static void test_build_golden(void **state)
{
	struct tcp_fields fields = { .src_port = 40000,
				     .dst_port = 6379,
				     .seq = 0xdeadbeef,
				     .flags = TCP_SYN,
				     .window = 64240 };
	const struct tcp_opts opts = {
		.present = TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED | TCP_HAS_TS,
		.mss = 1460,
		.wscale = 7,
		.ts_val = 0x11223344,
	};
	const struct be32 src = be32(0x0a000001), dst = be32(0x0a000002);
	uint8_t buf[TCP_HDR_MAX + 7];
	struct csum rest;

	(void)state;
	assert_int_equal(tcp_build(buf, &fields, &opts), 40);
	tcp_csum_fill(buf, 40, csum_pseudo_v4(src, dst, IP_PROTO_TCP, 40));
	assert_memory_equal(buf, SYN_TCP, 40);

	fields = (struct tcp_fields){ .src_port = 40000,
				      .dst_port = 6379,
				      .seq = 0xdeadbef0,
				      .ack = 0x01020304,
				      .flags = TCP_PSH | TCP_ACK,
				      .window = 501 };
	assert_int_equal(tcp_build_ts(buf, &fields, 0x11223399, 0xa1b2c3d4), 32);
	rest = csum_pseudo_v4(src, dst, IP_PROTO_TCP, 39);
	rest = csum_add(rest, csum_copy(buf + 32, DATA_TCP + 32, 7));
	tcp_csum_fill(buf, 32, rest);
	assert_memory_equal(buf, DATA_TCP, 39);
	assert_int_equal(tcp_build(buf, &fields, NULL), TCP_HDR_BYTES);
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= 40; cut++) {
		uint8_t *copy = exact_copy(SYN_TCP, cut);
		struct tcp_view tcp = { .seq = 77 };
		enum wire_err err = tcp_parse(copy, cut, &tcp);

		assert_int_equal(err, cut < 20 ? WIRE_SHORT : cut < 40 ? WIRE_BAD_HLEN : WIRE_OK);
		assert_true(err == WIRE_OK || tcp.seq == 77);
		err = tcp_parse_part(copy, cut, 1000, &tcp);
		assert_int_equal(err, cut < 40 ? WIRE_TOO_DEEP : WIRE_OK);
		assert_true(err != WIRE_OK || tcp.payload_len == 960);
		free(copy);
	}
	for (uint8_t words = 0; words < 16; words++) {
		uint8_t buf[60] = { 0 };
		struct tcp_view tcp = { 0 };

		buf[12] = (uint8_t)(words << 4);
		assert_int_equal(tcp_parse(buf, sizeof(buf), &tcp),
				 words < 5 ? WIRE_BAD_HLEN : WIRE_OK);
		assert_int_equal(tcp_parse(buf, 28, &tcp),
				 words < 5 || words > 7 ? WIRE_BAD_HLEN : WIRE_OK);
	}
}

/* Options of a segment with these flags; `len` is rounded up with end-of-options. */
static enum wire_err parse_opts(uint8_t flags, const void *bytes, size_t len,
				struct tcp_opts *ret_opts)
{
	const struct tcp_fields fields = { .flags = flags };
	uint8_t buf[TCP_HDR_MAX] = { 0 };
	size_t hdr_len = tcp_build_hdr(buf, &fields, (len + 3) / 4 * 4);
	struct tcp_view tcp = { 0 };
	enum wire_err err;
	uint8_t *copy;

	memcpy(buf + TCP_HDR_BYTES, bytes, len);
	copy = exact_copy(buf, hdr_len);
	assert_int_equal(tcp_parse(copy, hdr_len, &tcp), WIRE_OK);
	err = tcp_opts_parse(&tcp, ret_opts);
	free(copy);
	return err;
}

static void test_hostile_options(void **state)
{
	static const struct {
		uint8_t len;
		uint8_t bytes[40];
		enum wire_err err;
		uint8_t present;
	} cases[] = {
		{ 4, { 2, 0, 5, 180 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 2, 1, 5, 180 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 2, 5, 5, 180 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 1, 1, 1, 2 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 1, 1, 1, 99 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 1, 1, 99, 3 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 99, 0, 0, 0 }, WIRE_BAD_OPTION, 0 },
		{ 4, { 99, 255, 0, 0 }, WIRE_BAD_OPTION, 0 },
		{ 8, { 2, 4, 5, 180, 8, 10, 0, 0 }, WIRE_BAD_OPTION, 0 },
		/* nothing behind the end of options */
		{ 8, { 0, 2, 0, 0, 2, 4, 5, 180 }, WIRE_OK, 0 },
		{ 4, { 1, 1, 1, 0 }, WIRE_OK, 0 },
		{ 4, { 1, 1, 1, 1 }, WIRE_OK, 0 },
		/* known kinds with lengths not their own are unknown options */
		{ 8, { 2, 3, 5, 2, 4, 5, 180, 0 }, WIRE_OK, TCP_HAS_MSS },
		{ 8, { 3, 4, 7, 7, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		{ 8, { 4, 3, 7, 1, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		{ 8, { 8, 4, 7, 1, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		{ 8, { 5, 2, 5, 6, 0, 0, 0, 0 }, WIRE_OK, 0 },
		{ 12, { 5, 11, 0 }, WIRE_OK, 0 },
		{ 12, { 5, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1 }, WIRE_OK, TCP_HAS_SACK },
		{ 40, { 5, 34 }, WIRE_OK, TCP_HAS_SACK },
		{ 36, { 5, 36 }, WIRE_OK, 0 },
		/* fast open: a request; 4, 5, 16, 18 bytes of cookie */
		{ 4, { 34, 2, 1, 1 }, WIRE_OK, TCP_HAS_FASTOPEN },
		{ 8, { 34, 6, 1, 2, 3, 4, 1, 1 }, WIRE_OK, TCP_HAS_FASTOPEN },
		{ 8, { 34, 7, 1, 2, 3, 4, 5, 1 }, WIRE_OK, 0 },
		{ 8, { 34, 4, 1, 2, 1, 1, 1, 1 }, WIRE_OK, 0 },
		{ 20, { 34, 18 }, WIRE_OK, TCP_HAS_FASTOPEN },
		{ 20, { 34, 20 }, WIRE_OK, 0 },
		/* twice: the last counts */
		{ 8, { 2, 4, 1, 1, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		/* unknown */
		{ 8, { 254, 4, 0xf9, 0x88, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		{ 8, { 254, 3, 0xf9, 1, 2, 4, 5, 180 }, WIRE_OK, TCP_HAS_MSS },
		/* fast open as an experiment: a request, a cookie, half of one; the last form counts */
		{ 4, { 254, 4, 0xf9, 0x89 }, WIRE_OK, TCP_HAS_FASTOPEN | TCP_FASTOPEN_IS_EXP },
		{ 8, { 254, 8, 0xf9, 0x89, 1, 2, 3, 4 }, WIRE_OK, TCP_HAS_FASTOPEN | TCP_FASTOPEN_IS_EXP },
		{ 8, { 254, 6, 0xf9, 0x89, 1, 2, 1, 1 }, WIRE_OK, 0 },
		{ 8, { 254, 4, 0xf9, 0x89, 34, 2, 1, 1 }, WIRE_OK, TCP_HAS_FASTOPEN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tcp_opts opts = { .present = 0xee };
		enum wire_err err = parse_opts(TCP_SYN, cases[i].bytes, cases[i].len, &opts);

		if (err != cases[i].err ||
		    opts.present != (err == WIRE_OK ? cases[i].present : 0xee))
			fail_msg("case %zu: %s, %#x", i, wire_err_name(err), opts.present);
		if (err == WIRE_OK && (opts.present & TCP_HAS_MSS) != 0)
			assert_int_equal(opts.mss, 1460);
	}
}

static void test_option_values(void **state)
{
	static const uint8_t wscale[] = { 3, 3, 15, 1 };
	static const uint8_t sack[] = {
		1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 9, 8, 7, 6, 9, 8, 7, 7
	};
	static const uint8_t cookie[] = { 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1 };
	static const uint8_t uto[] = { 28, 4, 0x81, 0x23 }, bad_uto[] = { 28, 3, 1, 1 };
	static const uint8_t odd_ts[] = { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1 };
	struct tcp_opts opts = { 0 };

	(void)state;
	assert_int_equal(parse_opts(TCP_SYN, wscale, sizeof(wscale), &opts), WIRE_OK);
	assert_int_equal(opts.wscale, TCP_WSCALE_MAX);
	assert_int_equal(parse_opts(TCP_ACK, wscale, sizeof(wscale), &opts), WIRE_OK);
	assert_int_equal(opts.present, 0); /* not in a SYN */
	assert_int_equal(parse_opts(TCP_ACK, sack, sizeof(sack), &opts), WIRE_OK);
	assert_int_equal(opts.present, TCP_HAS_SACK);
	assert_int_equal(opts.sack_cnt, 2);
	assert_int_equal(opts.sack[0].left, 1);
	assert_int_equal(opts.sack[0].right, 2);
	assert_int_equal(opts.sack[1].right, 0x09080707);
	assert_int_equal(parse_opts(TCP_SYN, cookie, sizeof(cookie), &opts), WIRE_OK);
	assert_int_equal(opts.fastopen_len, 8);
	assert_memory_equal(opts.fastopen, cookie + 2, 8);
	assert_int_equal(parse_opts(TCP_ACK, uto, sizeof(uto), &opts), WIRE_OK);
	assert_int_equal(opts.present, TCP_HAS_UTO);
	assert_int_equal(opts.uto, 0x8123);
	assert_int_equal(parse_opts(TCP_ACK, bad_uto, sizeof(bad_uto), &opts), WIRE_OK);
	assert_int_equal(opts.present, 0);
	/* Timestamps of 12 bytes in another order take the slow way to the same end. */
	assert_int_equal(parse_opts(TCP_ACK, odd_ts, sizeof(odd_ts), &opts), WIRE_OK);
	assert_int_equal(opts.present, TCP_HAS_TS);
	assert_int_equal(opts.ts_val, 1);
	assert_int_equal(opts.ts_ecr, 2);
}

static struct tcp_opts random_opts(struct prng *prng, bool syn)
{
	struct tcp_opts opts = { .present = 0 };

	if (syn && prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_MSS;
	if (syn && prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_WSCALE;
	if (syn && prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_SACK_PERMITTED;
	if (syn && prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_FASTOPEN;
	if ((opts.present & TCP_HAS_FASTOPEN) != 0 && prng_chance(prng, 1, 3))
		opts.present |= TCP_FASTOPEN_IS_EXP;
	if (prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_TS;
	if (prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_SACK;
	if (prng_chance(prng, 1, 2))
		opts.present |= TCP_HAS_UTO;
	opts.uto = (uint16_t)prng_u32(prng);
	opts.mss = (uint16_t)prng_u32(prng);
	opts.wscale = (uint8_t)prng_below(prng, TCP_WSCALE_MAX + 1);
	opts.ts_val = prng_u32(prng);
	opts.ts_ecr = prng_u32(prng);
	opts.sack_cnt = (uint8_t)prng_range(prng, 1, TCP_SACK_MAX);
	prng_bytes(prng, opts.sack, sizeof(opts.sack));
	opts.fastopen_len = (uint8_t)(2 * prng_range(prng, 1, 8));
	if (opts.fastopen_len == 2)
		opts.fastopen_len = 0;
	prng_bytes(prng, opts.fastopen, sizeof(opts.fastopen));
	return opts;
}

static void assert_same_opts(const struct tcp_opts *in, const struct tcp_opts *out)
{
	uint8_t lost = in->present & (uint8_t)~out->present;

	assert_int_equal(out->present & (uint8_t)~in->present, 0);
	if ((in->present & TCP_HAS_FASTOPEN) != 0 &&
	    in->fastopen_len > ((in->present & TCP_FASTOPEN_IS_EXP) != 0 ? 12 : 14))
		lost &= (uint8_t)~TCP_HAS_UTO;
	assert_true(lost == 0 || lost == TCP_HAS_SACK);
	if ((out->present & TCP_HAS_UTO) != 0)
		assert_int_equal(in->uto, out->uto);
	if ((in->present & TCP_HAS_MSS) != 0)
		assert_int_equal(in->mss, out->mss);
	if ((in->present & TCP_HAS_WSCALE) != 0)
		assert_int_equal(in->wscale, out->wscale);
	if ((in->present & TCP_HAS_TS) != 0)
		assert_true(in->ts_val == out->ts_val && in->ts_ecr == out->ts_ecr);
	if ((in->present & TCP_HAS_FASTOPEN) != 0) {
		assert_int_equal(in->fastopen_len, out->fastopen_len);
		assert_memory_equal(in->fastopen, out->fastopen, in->fastopen_len);
	}
	if ((out->present & TCP_HAS_SACK) != 0) {
		assert_in_range(out->sack_cnt, 1, in->sack_cnt);
		assert_memory_equal(in->sack, out->sack, out->sack_cnt * sizeof(in->sack[0]));
	}
}

static void test_round_trip(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 9293);
	for (unsigned int i = 0; i < 100000; i++) {
		bool syn = prng_chance(&prng, 1, 2);
		struct tcp_opts opts = random_opts(&prng, syn), back = { 0 };
		struct tcp_fields f = {
			.seq = prng_u32(&prng),
			.ack = prng_u32(&prng),
			.src_port = (uint16_t)prng_u32(&prng),
			.dst_port = (uint16_t)prng_u32(&prng),
			.window = (uint16_t)prng_u32(&prng),
			.urgent = (uint16_t)prng_u32(&prng),
			.flags = (uint8_t)((prng_u32(&prng) & ~(uint32_t)TCP_SYN) |
					   (syn ? TCP_SYN : 0)),
		};
		size_t opts_len = tcp_opts_len(&opts);
		uint8_t *buf = malloc(TCP_HDR_BYTES + opts_len);
		struct tcp_view tcp = { 0 };

		assert_non_null(buf);
		assert_true(opts_len % 4 == 0 && opts_len <= TCP_OPTS_MAX);
		assert_int_equal(tcp_build(buf, &f, &opts), TCP_HDR_BYTES + opts_len);
		assert_int_equal(tcp_parse(buf, TCP_HDR_BYTES + opts_len, &tcp), WIRE_OK);
		assert_true(tcp.seq == f.seq && tcp.ack == f.ack && tcp.flags == f.flags);
		assert_true(tcp.src_port == f.src_port && tcp.dst_port == f.dst_port);
		assert_true(tcp.window == f.window && tcp.urgent == f.urgent);
		assert_int_equal(tcp_opts_parse(&tcp, &back), WIRE_OK);
		assert_same_opts(&opts, &back);
		if (opts.present == TCP_HAS_TS)
			assert_true(tcp_is_plain_ts(&tcp));
		free(buf);
	}
}

/* RFC 2018 section 3: four blocks alone, three beside timestamps. */
static void test_sack_room(void **state)
{
	struct tcp_opts opts = { .present = TCP_HAS_SACK, .sack_cnt = 4 };

	(void)state;
	assert_int_equal(tcp_opts_len(&opts), 36);
	opts.present |= TCP_HAS_TS;
	assert_int_equal(tcp_opts_len(&opts), 12 + 4 + 24);
	opts.present = TCP_HAS_SACK | TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED |
		       TCP_HAS_TS | TCP_HAS_FASTOPEN;
	opts.fastopen_len = TCP_FASTOPEN_MAX;
	assert_int_equal(tcp_opts_len(&opts), 40);
	opts.present |= TCP_HAS_UTO;
	assert_int_equal(tcp_opts_len(&opts), 40);
	opts.present &= (uint8_t)~TCP_HAS_SACK;
	opts.fastopen_len = 8;
	assert_int_equal(tcp_opts_len(&opts), 36);
}

/*
 * Random bytes behind a header: no crash, no read outside; and the error leaves the result alone.
 */
static void test_random_options(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 6);
	for (unsigned int i = 0; i < 200000; i++) {
		uint8_t bytes[TCP_OPTS_MAX];
		size_t len = 4 * (size_t)prng_below(&prng, 11);
		struct tcp_opts opts = { .present = 0xee };
		enum wire_err err;

		prng_bytes(&prng, bytes, sizeof(bytes));
		for (size_t k = 0; k < len; k++) /* mostly kinds and lengths that make sense */
			bytes[k] &= prng_chance(&prng, 3, 4) ? 0x0f : 0xff;
		err = parse_opts((uint8_t)prng_u32(&prng), bytes, len, &opts);
		if (err != WIRE_OK) {
			assert_int_equal(err, WIRE_BAD_OPTION);
			assert_int_equal(opts.present, 0xee);
		} else {
			assert_true((opts.present & TCP_HAS_SACK) == 0 ||
				    (opts.sack_cnt >= 1 && opts.sack_cnt <= TCP_SACK_MAX));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	      cmocka_unit_test(test_build_golden),
		cmocka_unit_test(test_truncated),     cmocka_unit_test(test_hostile_options),
		cmocka_unit_test(test_option_values), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sack_room),     cmocka_unit_test(test_random_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
