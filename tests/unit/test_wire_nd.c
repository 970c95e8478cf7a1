// SPDX-License-Identifier: BSD-2-Clause
/* Neighbour solicitations and advertisements: as a kernel sends them, and what RFC 4861 7.1 wants thrown away */
#include "tests/unit/wire_test.h"

#include "wire/nd.h"

/* Linux 6.x, of its duplicate address detection: from nowhere, with a nonce. */
static const uint8_t dad[] = {
	0x33, 0x33, 0xff, 0x8b, 0x8c, 0xd8, 0xe6, 0x65, 0x3a, 0xed, 0x80, 0xf8, 0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x8b, 0x8c, 0xd8,
	0x87, 0x00, 0x00, 0x00, 0, 0, 0, 0,
	0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0x10, 0xdb, 0x04, 0x53, 0x7e, 0x8b, 0x8c, 0xd8,
	0x0e, 0x01, 1, 2, 3, 4, 5, 6,
};

enum { IP_AT = ETH_HDR_BYTES, ND_AT = ETH_HDR_BYTES + IP6_HDR_BYTES };

/* With the right checksum, whatever was changed. Return: parsed */
static bool parse(const uint8_t *frame, size_t len, struct nd_msg *ret)
{
	uint8_t copy[256];
	struct be16 csum;

	memcpy(copy, frame, len);
	memset(copy + ND_AT + 2, 0, 2);
	csum = csum_finish(csum_add(csum_pseudo_v6(copy + IP_AT + 8, copy + IP_AT + 24, IP_PROTO_ICMP6, load_be16(copy + IP_AT + 4)),
				    csum_bytes(copy + ND_AT, len - ND_AT)));
	memcpy(copy + ND_AT + 2, &csum, sizeof(csum));
	return nd_parse(copy, len, ret);
}

static void test_kernels(void **state)
{
	struct nd_msg msg;
	uint8_t buf[ND_FRAME_MAX], built[sizeof(dad)];

	(void)state;
	assert_false(nd_parse(dad, sizeof(dad), &msg)); /* without a checksum */
	assert_true(parse(dad, sizeof(dad), &msg));
	assert_int_equal(msg.type, ND_SOLICIT);
	assert_true(ip_addr_is_any(&msg.src) && msg.has_nonce && !msg.has_mac);
	assert_memory_equal(msg.nonce, dad + sizeof(dad) - 6, 6);
	assert_memory_equal(&msg.target, dad + ND_AT + 8, 16);
	assert_int_equal(nd_build(buf, &msg), sizeof(dad));
	memcpy(built, buf, sizeof(built));
	memset(built + ND_AT + 2, 0, 2);
	assert_memory_equal(built, dad, sizeof(dad));
}

static void test_there_and_back(void **state)
{
	struct nd_msg msg = {
		.eth_dst = { { 2, 0, 0, 0, 0, 1 } }, .eth_src = { { 2, 0, 0, 0, 0, 2 } },
		.src = { .bytes = { 0x20, 1, [15] = 2 } }, .dst = { .bytes = { 0x20, 1, [15] = 1 } },
		.target = { .bytes = { 0x20, 1, [15] = 2 } }, .type = ND_ADVERT, .flags = ND_FLAG_SOLICITED | ND_FLAG_OVERRIDE,
		.has_mac = true, .mac = { { 2, 0, 0, 0, 0, 3 } },
	}, back;
	uint8_t buf[ND_FRAME_MAX];
	size_t len = nd_build(buf, &msg);

	(void)state;
	assert_true(nd_parse(buf, len, &back));
	assert_memory_equal(&back, &msg, sizeof(msg));
	for (size_t i = 0; i < len * 8; i++) {
		bool matters = i / 8 >= ETH_HDR_BYTES; /* and all of that is under the checksum, or looked at */

		buf[i / 8] ^= (uint8_t)(1u << i % 8);
		if (matters && i / 8 != IP_AT && i / 8 > IP_AT + 3 && nd_parse(buf, len, &back))
			fail_msg("bit %zu of byte %zu may be anything", i % 8, i / 8);
		buf[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_false(nd_parse(buf, cut, &back));
	msg.flags = ND_FLAG_SOLICITED; /* to a group nobody has asked */
	msg.dst = (struct ip_addr){ .bytes = { 0xff, 2, [15] = 1 } };
	assert_false(nd_parse(buf, nd_build(buf, &msg), &back));
	msg.flags = 0;
	assert_true(nd_parse(buf, nd_build(buf, &msg), &back));
	msg.src = ip_addr_any_v6();
	assert_false(nd_parse(buf, nd_build(buf, &msg), &back));
}

/* RFC 4861 7.1.1, and 4.6 of options */
static void test_not_valid(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} changes[] = {
		{ "hop limit", IP_AT + 7, 254 },
		{ "code", ND_AT + 1, 1 },
		{ "another type", ND_AT, 133 },
		{ "another protocol", IP_AT + 6, 17 },
		{ "not IPv6", 13, 0 },
		{ "a group as target", ND_AT + 8, 0xff },
		{ "from nowhere, but not to the group", IP_AT + 24 + 15, 1 },
		{ "from nowhere, with a MAC address", ND_AT + 24, 1 },
		{ "from a group", IP_AT + 8, 0xff },
		{ "option without length", ND_AT + 25, 0 },
		{ "option beyond the end", ND_AT + 25, 2 },
		{ "longer than the frame", IP_AT + 5, 0x21 },
		{ "shorter than its fixed part", IP_AT + 5, 0x17 },
	};
	struct nd_msg msg;
	uint8_t copy[sizeof(dad)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		memcpy(copy, dad, sizeof(dad));
		copy[changes[i].at] = changes[i].value;
		if (parse(copy, sizeof(copy), &msg))
			fail_msg("accepted: %s", changes[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_not_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
