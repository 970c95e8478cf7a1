// SPDX-License-Identifier: BSD-2-Clause
/* IPv4 and IPv6 headers, fragments and extension headers. */
#include "tests/unit/wire_packets.h"
#include "tests/unit/wire_test.h"

#include "base/prng.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

static void test_golden(void **state)
{
	struct ip_view ip = { 0 };
	struct ip_addr src, dst;
	char buf[IP_ADDR_TEXT_BYTES];

	(void)state;
	assert_int_equal(ip_parse(packet_syn, sizeof(packet_syn), &ip), WIRE_OK);
	assert_int_equal(ip.version, 4);
	assert_int_equal(ip.proto, IP_PROTO_TCP);
	assert_int_equal(ip.ttl, 64);
	assert_int_equal(ip.hdr_len, 20);
	assert_int_equal(ip.payload_len, 40);
	assert_int_equal(ip.frag_id, 0x1c46);
	assert_true(ip.dont_frag && !ip_is_frag(&ip));
	assert_true(ip4_csum_ok(&ip));
	assert_true(ip_csum_ok(&ip, ip_payload(&ip), 40, NULL, 0));
	assert_ptr_equal(ip_payload(&ip), packet_syn + 20);
	src = ip_src(&ip);
	dst = ip_dst(&ip);
	assert_string_equal(ip_addr_format(&src, buf), "10.0.0.1");
	assert_string_equal(ip_addr_format(&dst, buf), "10.0.0.2");

	assert_int_equal(ip_parse(packet_udp6, sizeof(packet_udp6), &ip), WIRE_OK);
	assert_int_equal(ip.version, 6);
	assert_int_equal(ip.proto, IP_PROTO_UDP);
	assert_int_equal(ip.tos, 0x2e);
	assert_int_equal(ip_ecn(&ip), IP_ECN_ECT0);
	assert_int_equal(ip.hdr_len, 40);
	assert_int_equal(ip.payload_len, 13);
	assert_int_equal(ip.proto_off, 6);
	assert_int_equal(load_be32(ip.hdr) & 0xfffff, 0x12345); /* flow label */
	src = ip_src(&ip);
	dst = ip_dst(&ip);
	assert_string_equal(ip_addr_format(&src, buf), "2001:db8::1");
	assert_string_equal(ip_addr_format(&dst, buf), "2001:db8::2");
	for (size_t cut = 0; cut <= 13; cut++) /* in two pieces, even and odd */
		assert_true(
			ip_csum_ok(&ip, packet_udp6 + 40, cut, packet_udp6 + 40 + cut, 13 - cut));
}

/* Each bit of header and payload that is flipped makes a checksum wrong. */
static void test_csum_catches(void **state)
{
	uint8_t buf[sizeof(packet_data)];
	struct ip_view ip = { 0 };

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(buf); bit++) {
		bool whole;

		memcpy(buf, packet_data, sizeof(buf));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (ip4_parse(buf, sizeof(buf), &ip) != WIRE_OK)
			continue;
		whole = ip_csum_ok(&ip, ip_payload(&ip), ip.payload_len, NULL, 0);
		assert_false(ip4_csum_ok(&ip) && whole);
	}
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= sizeof(packet_syn); cut++) {
		uint8_t *copy = exact_copy(packet_syn, cut);
		struct ip_view ip = { .version = 9 };
		enum wire_err err = ip_parse(copy, cut, &ip);

		assert_int_equal(err, cut < 20 ? WIRE_SHORT : cut < 60 ? WIRE_BAD_LEN : WIRE_OK);
		assert_int_equal(ip.version, err == WIRE_OK ? 4 : 9);
		/* With the rest of the packet elsewhere, the header is all that is needed. */
		err = ip_parse_part(copy, cut, sizeof(packet_syn), &ip);
		assert_int_equal(err, cut < 20 ? WIRE_TOO_DEEP : WIRE_OK);
		free(copy);
	}
	for (size_t cut = 0; cut <= sizeof(packet_udp6); cut++) {
		uint8_t *copy = exact_copy(packet_udp6, cut);
		struct ip_view ip = { .version = 9 };
		enum wire_err err = ip_parse(copy, cut, &ip);

		assert_int_equal(err, cut < 40 ? WIRE_SHORT : cut < 53 ? WIRE_BAD_LEN : WIRE_OK);
		assert_int_equal(ip.version, err == WIRE_OK ? 6 : 9);
		err = ip_parse_part(copy, cut, sizeof(packet_udp6), &ip);
		assert_int_equal(err, cut < 40 ? WIRE_TOO_DEEP : WIRE_OK);
		free(copy);
	}
}

static void test_ip4_refused(void **state)
{
	uint8_t buf[128];
	struct ip_view ip = { 0 };

	(void)state;
	memset(buf, 0, sizeof(buf));
	memcpy(buf, packet_syn, sizeof(packet_syn));
	for (uint8_t words = 0; words < 16; words++) {
		enum wire_err err;

		buf[0] = 0x40 | words;
		err = ip4_parse(buf, sizeof(packet_syn), &ip);
		assert_int_equal(err, words < 5 ? WIRE_BAD_HLEN : WIRE_OK);
		if (err == WIRE_OK)
			assert_int_equal(ip.hdr_len + ip.payload_len, 60);
	}
	for (uint8_t version = 0; version < 16; version++) {
		buf[0] = (uint8_t)(version << 4 | 5);
		if (version == 4)
			continue;
		assert_int_equal(ip4_parse(buf, sizeof(buf), &ip), WIRE_BAD_VERSION);
		if (version != 6)
			assert_int_equal(ip_parse(buf, sizeof(buf), &ip), WIRE_BAD_VERSION);
	}
	buf[0] = 0x46; /* total_len within the header */
	store_be16(buf + 2, 23);
	assert_int_equal(ip4_parse(buf, sizeof(buf), &ip), WIRE_BAD_HLEN);
	store_be16(buf + 2, 24);
	assert_int_equal(ip4_parse(buf, sizeof(buf), &ip), WIRE_OK);
	assert_int_equal(ip.payload_len, 0);
	assert_int_equal(ip4_parse_part(buf, 23, sizeof(buf), &ip), WIRE_TOO_DEEP);
	store_be16(buf + 2, 100); /* padding behind is no harm */
	assert_int_equal(ip4_parse(buf, sizeof(buf), &ip), WIRE_OK);
	assert_int_equal(ip.payload_len, 76);
}

static void test_ip4_frags(void **state)
{
	static const struct {
		uint16_t frag, payload_len;
		enum wire_err err;
	} cases[] = {
		{ IP4_FRAG_MF, 8, WIRE_OK },
		{ IP4_FRAG_MF, 9, WIRE_BAD_FRAG }, /* not the last, not a multiple of 8 */
		{ IP4_FRAG_MF, 0, WIRE_BAD_FRAG },
		{ 1, 9, WIRE_OK },
		{ 1, 0, WIRE_BAD_FRAG },
		{ 8189, 3, WIRE_OK },	    /* 65512 + 3 = 65515 = 65535 - 20 */
		{ 8189, 4, WIRE_BAD_FRAG }, /* ping of death */
		{ 8191, 8, WIRE_BAD_FRAG },
		{ 8191 | IP4_FRAG_MF, 64, WIRE_BAD_FRAG },
		{ IP4_FRAG_DF, 9, WIRE_OK },
	};
	uint8_t buf[128] = { 0 };
	struct ip_view ip = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip4_fields fields = { .payload_len = cases[i].payload_len, .proto = 17 };
		size_t len = ip4_build(buf, &fields) + cases[i].payload_len;

		store_be16(buf + 6, cases[i].frag);
		assert_int_equal(ip4_parse(buf, len, &ip), cases[i].err);
		if (cases[i].err == WIRE_OK)
			assert_int_equal(ip.frag_off, 8 * (cases[i].frag & IP4_FRAG_OFF_MASK));
	}
}

static void test_ip4_round_trip(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 791);
	for (unsigned int i = 0; i < 20000; i++) {
		struct ip4_fields f = {
			.src = be32(prng_u32(&prng)),
			.dst = be32(prng_u32(&prng)),
			.payload_len = (uint16_t)(8 * prng_range(&prng, 1, 100)),
			.id = (uint16_t)prng_u32(&prng),
			.frag_off = (uint16_t)(8 * prng_below(&prng, 8000)),
			.more_frags = prng_chance(&prng, 1, 2),
			.dont_frag = prng_chance(&prng, 1, 2),
			.ttl = (uint8_t)prng_u32(&prng),
			.proto = (uint8_t)prng_u32(&prng),
			.tos = (uint8_t)prng_u32(&prng),
		};
		uint8_t raw[IP4_HDR_BYTES + 1], *buf = raw + i % 2;
		struct ip_view ip = { 0 };

		assert_int_equal(ip4_build(buf, &f), IP4_HDR_BYTES);
		assert_int_equal(load_u16(buf + 10), 0);
		ip4_csum_fill(buf);
		assert_int_equal(ip4_parse_part(buf, 20, 20 + (size_t)f.payload_len, &ip), WIRE_OK);
		assert_true(ip4_csum_ok(&ip));
		assert_true(be32_eq(ip_src_v4(&ip), f.src) && be32_eq(ip_dst_v4(&ip), f.dst));
		assert_int_equal(ip.payload_len, f.payload_len);
		assert_int_equal(ip.frag_id, f.id);
		assert_int_equal(ip.frag_off, f.frag_off);
		assert_int_equal(ip.more_frags, f.more_frags);
		assert_int_equal(ip.dont_frag, f.dont_frag);
		assert_int_equal(ip.ttl, f.ttl);
		assert_int_equal(ip.proto, f.proto);
		assert_int_equal(ip.tos, f.tos);
	}
}

/* A protocol that is no extension header. */
static uint8_t upper_proto(struct prng *prng)
{
	uint8_t proto;

	do {
		proto = (uint8_t)prng_u32(prng);
	} while (ip6_is_ext(proto));
	return proto;
}

static void test_ip6_round_trip(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 8200);
	for (unsigned int i = 0; i < 20000; i++) {
		struct ip6_fields f = {
			.flow_label = prng_u32(&prng) & 0xfffff,
			.payload_len = (uint16_t)(8 * prng_range(&prng, 1, 100)),
			.proto = upper_proto(&prng),
			.hop_limit = (uint8_t)prng_u32(&prng),
			.tclass = (uint8_t)prng_u32(&prng),
			.has_frag_hdr = prng_chance(&prng, 1, 2),
			.more_frags = prng_chance(&prng, 1, 2),
			.frag_off = (uint16_t)(8 * prng_below(&prng, 8000)),
			.frag_id = prng_u32(&prng),
		};
		uint8_t raw[IP6_HDR_BYTES + IP6_FRAG_BYTES + 1], *buf = raw + i % 2;
		struct ip_addr src, dst;
		struct ip_view ip = { 0 };
		size_t len;

		prng_bytes(&prng, &f.src, 16);
		prng_bytes(&prng, &f.dst, 16);
		len = ip6_build(buf, &f);
		assert_int_equal(len, f.has_frag_hdr ? 48 : 40);
		assert_int_equal(ip6_parse_part(buf, len, len + f.payload_len, &ip), WIRE_OK);
		src = ip_src(&ip);
		dst = ip_dst(&ip);
		assert_true(ip_addr_eq(&src, &f.src) && ip_addr_eq(&dst, &f.dst));
		assert_int_equal(load_be32(ip.hdr) & 0xfffff, f.flow_label);
		assert_int_equal(ip.hdr_len, len);
		assert_int_equal(ip.payload_len, f.payload_len);
		assert_int_equal(ip.proto, f.proto);
		assert_int_equal(ip.ttl, f.hop_limit);
		assert_int_equal(ip.tos, f.tclass);
		assert_int_equal(ip.frag_off, f.has_frag_hdr ? f.frag_off : 0);
		assert_int_equal(ip.more_frags, f.has_frag_hdr && f.more_frags);
		assert_int_equal(ip.frag_id, f.has_frag_hdr ? f.frag_id : 0);
		assert_int_equal(ip.frag_hdr_off, f.has_frag_hdr ? 40 : 0);
		assert_int_equal(ip.proto_off, f.has_frag_hdr ? 40 : 6);
	}
}

/* An IPv6 packet made of given bytes behind the fixed header, in a block of its exact size. */
static enum wire_err parse_ip6(uint8_t next, const void *rest, size_t len, struct ip_view *ret_ip)
{
	uint8_t buf[512];
	struct ip6_fields fields = { .payload_len = (uint16_t)len, .proto = next };
	enum wire_err err;
	uint8_t *copy;

	assert_true(len <= sizeof(buf) - IP6_HDR_BYTES);
	memcpy(buf + ip6_build(buf, &fields), rest, len);
	copy = exact_copy(buf, IP6_HDR_BYTES + len);
	err = ip6_parse(copy, IP6_HDR_BYTES + len, ret_ip);
	free(copy);
	return err;
}

#define PADN6 1, 4, 0, 0, 0, 0 /* fills a header of 8 bytes */
#define TCP IP_PROTO_TCP

static void test_ip6_ext(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t len;
		uint8_t rest[88];
		enum wire_err err;
		uint8_t hdr_len;
		uint8_t proto_off;
	} cases[] = {
		/* hop-by-hop; then destination options; then routing with none left */
		{ 0, 9, { TCP, 0, PADN6, 'x' }, WIRE_OK, 48, 40 },
		{ 0, 17, { 60, 0, PADN6, TCP, 0, PADN6, 'x' }, WIRE_OK, 56, 48 },
		{ 43, 8, { TCP, 0, 4, 0, 0, 0, 0, 0 }, WIRE_OK, 48, 40 },
		{ 43, 8, { TCP, 0, 0, 1, 0, 0, 0, 0 }, WIRE_BAD_EXT, 0, 0 },
		/* hop-by-hop elsewhere than first */
		{ 60, 16, { 0, 0, PADN6, TCP, 0, PADN6 }, WIRE_BAD_EXT, 0, 0 },
		/* header past the end */
		{ 60, 7, { TCP, 0, PADN6 }, WIRE_BAD_HLEN, 0, 0 },
		{ 60, 8, { TCP, 1, PADN6 }, WIRE_BAD_HLEN, 0, 0 },
		{ 60, 8, { TCP, 255, PADN6 }, WIRE_BAD_HLEN, 0, 0 },
		{ 44, 7, { TCP, 0, 0, 0, 0, 0, 0 }, WIRE_BAD_HLEN, 0, 0 },
		{ 60, 0, { 0 }, WIRE_BAD_HLEN, 0, 0 },
		/* options: Pad1; router alert (skipped); unknown of each action; past the end */
		{ 0, 8, { TCP, 0, 0, 0, 0, 0, 0, 0 }, WIRE_OK, 48, 40 },
		{ 0, 8, { TCP, 0, 5, 2, 0, 0, 1, 0 }, WIRE_OK, 48, 40 },
		{ 60, 8, { TCP, 0, 0x1e, 4, 1, 2, 3, 4 }, WIRE_OK, 48, 40 },
		{ 60, 8, { TCP, 0, 0x5e, 4, 1, 2, 3, 4 }, WIRE_BAD_OPTION, 0, 0 },
		{ 60, 8, { TCP, 0, 0x9e, 4, 1, 2, 3, 4 }, WIRE_BAD_OPTION, 0, 0 },
		{ 0, 8, { TCP, 0, 0xc2, 4, 0, 1, 0, 0 }, WIRE_BAD_OPTION, 0, 0 }, /* jumbogram */
		{ 60, 8, { TCP, 0, 1, 5, 0, 0, 0, 0 }, WIRE_BAD_OPTION, 0, 0 },
		{ 60, 8, { TCP, 0, 1, 3, 0, 0, 0, 1 }, WIRE_BAD_OPTION, 0, 0 },
		/* "no next header", ESP and unknown protocols end the walk */
		{ 60, 8, { 59, 0, PADN6 }, WIRE_OK, 48, 40 },
		{ 60, 8, { 50, 0, PADN6 }, WIRE_OK, 48, 40 },
		/* fragments: atomic; first; last; behind an offset nothing is a header */
		{ 44, 8, { TCP, 0, 0, 0, 1, 2, 3, 4 }, WIRE_OK, 48, 40 },
		{ 44, 16, { TCP, 0, 0, 1, 1, 2, 3, 4 }, WIRE_OK, 48, 40 },
		{ 44, 16, { 60, 0, 0, 1, 0, 0, 0, 0, TCP, 0, PADN6 }, WIRE_OK, 56, 48 },
		{ 44, 17, { 60, 0, 0, 8, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9 }, WIRE_OK, 48, 40 },
		{ 44, 15, { TCP, 0, 0, 1, 0, 0, 0, 0 }, WIRE_BAD_FRAG, 0, 0 },
		{ 44, 8, { TCP, 0, 0, 1, 0, 0, 0, 0 }, WIRE_BAD_FRAG, 0, 0 },
		{ 44, 8, { TCP, 0, 0, 8, 0, 0, 0, 0 }, WIRE_BAD_FRAG, 0, 0 },
		{ 44, 15, { TCP, 0, 0xff, 0xf8, 0, 0, 0, 0 }, WIRE_OK, 48, 40 },
		{ 44, 16, { TCP, 0, 0xff, 0xf8, 0, 0, 0, 0 }, WIRE_BAD_FRAG, 0, 0 },
		/* a fragment within a fragment */
		{ 44, 17, { 44, 0, 0, 0, 0, 0, 0, 0, TCP, 0, 0, 0 }, WIRE_BAD_EXT, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_view ip = { 0 };
		enum wire_err err = parse_ip6(cases[i].next, cases[i].rest, cases[i].len, &ip);

		if (err != cases[i].err)
			fail_msg("case %zu: %s", i, wire_err_name(err));
		if (err != WIRE_OK)
			continue;
		assert_int_equal(ip.hdr_len, cases[i].hdr_len);
		assert_int_equal(ip.hdr_len + ip.payload_len, 40 + cases[i].len);
		assert_int_equal(ip.proto_off, cases[i].proto_off);
	}
}

static void test_ip6_ext_chain(void **state)
{
	uint8_t rest[8 * (IP6_EXT_MAX + 1)];
	struct ip_view ip = { 0 };

	(void)state;
	for (size_t cnt = 1; cnt <= IP6_EXT_MAX + 1; cnt++) {
		for (size_t i = 0; i < cnt; i++) {
			const uint8_t hdr[8] = { i + 1 < cnt ? 60 : TCP, 0, PADN6 };

			memcpy(rest + 8 * i, hdr, 8);
		}
		assert_int_equal(parse_ip6(60, rest, 8 * cnt, &ip),
				 cnt <= IP6_EXT_MAX ? WIRE_OK : WIRE_BAD_EXT);
	}
	/* Cut off by what may be read, not by the packet. */
	for (size_t avail = 0; avail < 56; avail++) {
		static const uint8_t two[16] = { 60, 0, PADN6, TCP, 0, PADN6 };
		struct ip6_fields fields = { .payload_len = 100, .proto = 60 };
		uint8_t buf[56], *copy;

		memcpy(buf + ip6_build(buf, &fields), two, sizeof(two));
		copy = exact_copy(buf, avail);
		assert_int_equal(ip6_parse_part(copy, avail, 140, &ip), WIRE_TOO_DEEP);
		free(copy);
	}
}

static void test_quoted(void **state)
{
	struct ip_view ip = { 0 };

	(void)state;
	for (size_t cut = 0; cut <= sizeof(packet_syn); cut++) {
		uint8_t *copy = exact_copy(packet_syn, cut);
		enum wire_err err = ip_parse_quoted(copy, cut, &ip);

		assert_int_equal(err, cut < 20 ? WIRE_SHORT : WIRE_OK);
		if (err == WIRE_OK)
			assert_int_equal(ip.payload_len, cut - 20);
		free(copy);
	}
	for (size_t cut = 0; cut <= sizeof(packet_udp6); cut++) {
		uint8_t *copy = exact_copy(packet_udp6, cut);
		enum wire_err err = ip_parse_quoted(copy, cut, &ip);

		assert_int_equal(err, cut < 40 ? WIRE_SHORT : WIRE_OK);
		if (err == WIRE_OK)
			assert_int_equal(ip.payload_len, cut - 40);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	       cmocka_unit_test(test_csum_catches),
		cmocka_unit_test(test_truncated),      cmocka_unit_test(test_ip4_refused),
		cmocka_unit_test(test_ip4_frags),      cmocka_unit_test(test_ip4_round_trip),
		cmocka_unit_test(test_ip6_round_trip), cmocka_unit_test(test_ip6_ext),
		cmocka_unit_test(test_ip6_ext_chain),  cmocka_unit_test(test_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
