// SPDX-License-Identifier: BSD-2-Clause
/* UDP and ICMP, and the packets that ICMP errors quote. */
#include "tests/unit/wire_packets.h"
#include "tests/unit/wire_test.h"

#include "base/prng.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/udp.h"

#define UDP6_UDP (packet_udp6 + IP6_HDR_BYTES)
#define ECHO6_ICMP (packet_echo6 + IP6_HDR_BYTES)

static void test_udp_golden(void **state)
{
	const struct udp_fields fields = { .src_port = 5353, .dst_port = 53, .payload_len = 5 };
	struct udp_view udp = { 0 };
	uint8_t buf[UDP_HDR_BYTES + 5];
	struct csum rest;

	(void)state;
	assert_int_equal(udp_parse(UDP6_UDP, 13, &udp), WIRE_OK);
	assert_int_equal(udp.src_port, 5353);
	assert_int_equal(udp.dst_port, 53);
	assert_int_equal(udp.payload_len, 5);
	assert_true(udp_has_csum(&udp));

	assert_int_equal(udp_build(buf, &fields), UDP_HDR_BYTES);
	assert_int_equal(udp_parse(buf, sizeof(buf), &udp), WIRE_OK);
	assert_false(udp_has_csum(&udp));
	rest = csum_pseudo_v6(packet_udp6 + 8, packet_udp6 + 24, IP_PROTO_UDP, 13);
	rest = csum_add(rest, csum_copy(buf + UDP_HDR_BYTES, "hello", 5));
	udp_csum_fill(buf, rest);
	assert_memory_equal(buf, UDP6_UDP, sizeof(buf));
}

/* A sum that comes out as 0 must not go out as "no checksum". */
static void test_udp_zero_sum(void **state)
{
	const struct udp_fields fields = { .src_port = 1, .dst_port = 2, .payload_len = 2 };
	uint8_t buf[UDP_HDR_BYTES + 2];
	struct udp_view udp = { 0 };
	struct csum pseudo = csum_pseudo_v4(be32(0x7f000001), be32(0x7f000001), IP_PROTO_UDP, 10);
	struct csum sum;

	(void)state;
	udp_build(buf, &fields);
	store_be16(buf + 8, 0);
	sum = csum_add(pseudo, csum_bytes(buf, sizeof(buf)));
	store_u16(buf + 8, csum_finish(sum).raw); /* the payload that makes the sum 0xffff */
	udp_csum_fill(buf, csum_add(pseudo, csum_bytes(buf + 8, 2)));
	assert_int_equal(load_be16(buf + 6), 0xffff);
	assert_int_equal(udp_parse(buf, sizeof(buf), &udp), WIRE_OK);
	assert_true(udp_has_csum(&udp));
	assert_true(csum_is_ok(csum_add(pseudo, csum_bytes(buf, sizeof(buf)))));
}

static void test_udp_lengths(void **state)
{
	uint8_t buf[64] = { 0 };
	struct udp_view udp = { 0 };

	(void)state;
	for (size_t cut = 0; cut <= 13; cut++) {
		uint8_t *copy = exact_copy(UDP6_UDP, cut);

		assert_int_equal(udp_parse(copy, cut, &udp), cut < 8	? WIRE_SHORT
							     : cut < 13 ? WIRE_BAD_LEN
									: WIRE_OK);
		assert_int_equal(udp_parse_part(copy, cut, 13, &udp),
				 cut < 8 ? WIRE_TOO_DEEP : WIRE_OK);
		free(copy);
	}
	for (uint16_t len = 0; len <= 80; len++) {
		enum wire_err err;

		store_be16(buf + 4, len);
		err = udp_parse(buf, sizeof(buf), &udp);
		assert_int_equal(err, len < 8 || len > 64 ? WIRE_BAD_LEN : WIRE_OK);
		if (err == WIRE_OK)
			assert_int_equal(udp.payload_len, len - 8);
	}
	store_be16(buf + 4, 0xffff);
	assert_int_equal(udp_parse(buf, sizeof(buf), &udp), WIRE_BAD_LEN);
}

static void test_echo(void **state)
{
	struct icmp_view icmp = { 0 };
	struct ip_view ip = { 0 };
	uint8_t buf[11];

	(void)state;
	assert_int_equal(ip_parse(packet_echo6, sizeof(packet_echo6), &ip), WIRE_OK);
	assert_true(icmp_csum_ok(&ip, ip_payload(&ip), 8, ip_payload(&ip) + 8, 3));
	assert_int_equal(icmp_parse(ip_payload(&ip), ip.payload_len, 6, &icmp), WIRE_OK);
	assert_int_equal(icmp.kind, ICMP_KIND_ECHO_REQUEST);
	assert_int_equal(icmp.rest, 0x12340007); /* identifier, sequence number */
	assert_int_equal(icmp.body_len, 3);

	assert_int_equal(icmp_build(buf, ICMP6_ECHO_REQUEST, 0, 0x12340007), ICMP_HDR_BYTES);
	memcpy(buf + ICMP_HDR_BYTES, "abc", 3);
	icmp_csum_fill(buf, 11, ip_csum_pseudo(&ip, 11));
	assert_memory_equal(buf, ECHO6_ICMP, 11);

	/* IPv4: no pseudo-header. */
	icmp_build(buf, ICMP4_ECHO_REPLY, 0, 0x12340007);
	icmp_csum_fill(buf, 11, CSUM_ZERO);
	ip.version = 4;
	assert_true(icmp_csum_ok(&ip, buf, 8, buf + 8, 3));
	buf[10] ^= 1;
	assert_false(icmp_csum_ok(&ip, buf, 8, buf + 8, 3));
	assert_int_equal(icmp_parse(buf, 11, 4, &icmp), WIRE_OK);
	assert_int_equal(icmp.kind, ICMP_KIND_ECHO_REPLY);
}

static void test_icmp_kinds(void **state)
{
	(void)state;
	for (unsigned int type = 0; type < 256; type++) {
		uint8_t buf[8] = { (uint8_t)type };
		struct icmp_view icmp = { 0 };
		bool error4 = type == 3 || type == 11 || type == 12;

		assert_int_equal(icmp_parse(buf, sizeof(buf), 4, &icmp), WIRE_OK);
		assert_int_equal(icmp.kind == ICMP_KIND_ERROR, error4);
		assert_int_equal(icmp.kind == ICMP_KIND_OTHER, !error4 && type != 0 && type != 8);
		assert_int_equal(icmp_parse(buf, sizeof(buf), 6, &icmp), WIRE_OK);
		assert_int_equal(icmp.kind == ICMP_KIND_ERROR, type < 128);
		assert_int_equal(icmp.kind == ICMP_KIND_OTHER, type > 129);
	}
	for (size_t cut = 0; cut <= 11; cut++) {
		uint8_t *copy = exact_copy(ECHO6_ICMP, cut);
		struct icmp_view icmp = { 0 };

		assert_int_equal(icmp_parse(copy, cut, 6, &icmp), cut < 8 ? WIRE_SHORT : WIRE_OK);
		assert_int_equal(icmp_parse_part(copy, cut, 11, 6, &icmp),
				 cut < 8 ? WIRE_TOO_DEEP : WIRE_OK);
		free(copy);
	}
}

static void test_mtu(void **state)
{
	uint8_t buf[8];
	struct icmp_view icmp = { 0 };

	(void)state;
	icmp_build(buf, ICMP4_UNREACH, ICMP4_UNREACH_FRAG_NEEDED, 0xabcd0000 | 1400);
	assert_int_equal(icmp_parse(buf, 8, 4, &icmp), WIRE_OK);
	assert_int_equal(icmp_mtu(&icmp), 1400); /* the upper half is unused */
	icmp_build(buf, ICMP4_UNREACH, ICMP4_UNREACH_PORT, 1400);
	assert_int_equal(icmp_parse(buf, 8, 4, &icmp), WIRE_OK);
	assert_int_equal(icmp_mtu(&icmp), 0);
	icmp_build(buf, ICMP6_PKT_TOO_BIG, 0, 70000);
	assert_int_equal(icmp_parse(buf, 8, 6, &icmp), WIRE_OK);
	assert_int_equal(icmp_mtu(&icmp), 70000);
	icmp_build(buf, ICMP6_UNREACH, ICMP6_UNREACH_PORT, 70000);
	assert_int_equal(icmp_parse(buf, 8, 6, &icmp), WIRE_OK);
	assert_int_equal(icmp_mtu(&icmp), 0);
}

/* An error about `orig` built by us, then cut down to each length and read back. */
static void check_quote(uint8_t version, const uint8_t *orig, size_t orig_len, size_t quote_min,
			uint16_t src_port, uint32_t seq)
{
	uint8_t type = version == 4 ? ICMP4_UNREACH : ICMP6_UNREACH;
	uint8_t buf[2048];
	size_t len = icmp_build_error(buf, sizeof(buf), version, type, 3, 0, orig, orig_len);

	assert_int_equal(len, ICMP_HDR_BYTES + orig_len);
	for (size_t cut = ICMP_HDR_BYTES; cut <= len; cut++) {
		uint8_t *copy = exact_copy(buf, cut);
		struct icmp_quote quote = { .src_port = 1 };
		struct icmp_view icmp = { 0 };
		enum wire_err err;

		assert_int_equal(icmp_parse(copy, cut, version, &icmp), WIRE_OK);
		assert_int_equal(icmp.kind, ICMP_KIND_ERROR);
		err = icmp_parse_quote(&icmp, copy + ICMP_HDR_BYTES, icmp.body_len, &quote);
		assert_int_equal(err, icmp.body_len < quote_min ? WIRE_BAD_QUOTE : WIRE_OK);
		assert_int_equal(quote.src_port, err == WIRE_OK ? src_port : 1);
		if (err == WIRE_OK)
			assert_int_equal(quote.tcp_seq, seq);
		free(copy);
	}
}

static void test_quotes(void **state)
{
	struct icmp_view icmp = { .version = 6 };
	struct icmp_quote quote = { 0 };
	uint8_t frag[sizeof(packet_data) + 1] = { 0 };

	(void)state;
	check_quote(4, packet_syn, sizeof(packet_syn), 28, 40000, 0xdeadbeef);
	check_quote(6, packet_udp6, sizeof(packet_udp6), 48, 5353, 0);
	check_quote(6, packet_echo6, sizeof(packet_echo6), 40, 0, 0);
	/* the other family */
	assert_int_equal(icmp_parse_quote(&icmp, packet_syn, sizeof(packet_syn), &quote),
			 WIRE_BAD_QUOTE);
	/* a later fragment: what looks like ports is data */
	icmp.version = 4;
	memcpy(frag, packet_data, sizeof(packet_data));
	store_be16(frag + 6, 5);
	assert_int_equal(icmp_parse_quote(&icmp, frag, sizeof(packet_data), &quote),
			 WIRE_BAD_QUOTE);
}

/* RFC 1812: 576 bytes. RFC 4443: 1280. And never more than there is room for. */
static void test_error_size(void **state)
{
	static uint8_t orig[4096];
	uint8_t buf[2048];

	(void)state;
	memset(orig, 0x5a, sizeof(orig));
	assert_int_equal(
		icmp_build_error(buf, sizeof(buf), 4, ICMP4_UNREACH, 3, 0, orig, sizeof(orig)),
		556);
	assert_int_equal(
		icmp_build_error(buf, sizeof(buf), 6, ICMP6_UNREACH, 4, 0, orig, sizeof(orig)),
		1240);
	for (size_t room = ICMP_HDR_BYTES; room < 600; room++) {
		uint8_t *exact = malloc(room);

		assert_non_null(exact);
		assert_int_equal(icmp_build_error(exact, room, 4, ICMP4_UNREACH, 3, 0, orig, 100),
				 room < 108 ? room : 108);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_golden),  cmocka_unit_test(test_udp_zero_sum),
		cmocka_unit_test(test_udp_lengths), cmocka_unit_test(test_echo),
		cmocka_unit_test(test_icmp_kinds),  cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_quotes),	    cmocka_unit_test(test_error_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
