// SPDX-License-Identifier: BSD-2-Clause
/* Ethernet, VLAN tags, ARP, and the names of errors. */
#include "tests/unit/wire_test.h"

#include "base/prng.h"
#include "wire/arp.h"
#include "wire/eth.h"

static const struct mac_addr mac_a = { { 0x02, 1, 2, 3, 4, 5 } };
static const struct mac_addr mac_b = { { 0x52, 0x54, 0, 0xab, 0xcd, 0xef } };

static void test_eth_golden(void **state)
{
	static const uint8_t plain[] = {
		0x02, 1, 2, 3, 4, 5, 0x52, 0x54, 0, 0xab, 0xcd, 0xef, 0x08, 0x00,
	};
	static const uint8_t tagged[] = {
		0x02, 1,    2,	  3,	4,    5,    0x52, 0x54, 0,    0xab, 0xcd,
		0xef, 0x88, 0xa8, 0x20, 0x64, 0x81, 0x00, 0x0f, 0xff, 0x86, 0xdd,
	};
	struct eth_fields fields = { .dst = mac_a, .src = mac_b, .type = ETH_TYPE_IP4 };
	uint8_t buf[ETH_HDR_MAX];
	struct eth_view view = { 0 };

	(void)state;
	assert_int_equal(eth_build(buf, &fields), sizeof(plain));
	assert_memory_equal(buf, plain, sizeof(plain));
	assert_int_equal(eth_parse(plain, sizeof(plain), &view), WIRE_OK);
	assert_int_equal(view.type, ETH_TYPE_IP4);
	assert_int_equal(view.hdr_len, 14);
	assert_int_equal(view.vlan_cnt, 0);
	assert_true(mac_addr_eq(&view.hdr->dst, &mac_a) && mac_addr_eq(&view.hdr->src, &mac_b));

	fields = (struct eth_fields){ mac_a, mac_b, ETH_TYPE_IP6, 2, { 0x2064, 0x0fff } };
	assert_int_equal(eth_build(buf, &fields), sizeof(tagged));
	assert_memory_equal(buf, tagged, sizeof(tagged));
	assert_int_equal(eth_parse(tagged, sizeof(tagged), &view), WIRE_OK);
	assert_int_equal(view.type, ETH_TYPE_IP6);
	assert_int_equal(view.hdr_len, 22);
	assert_int_equal(view.vlan_cnt, 2);
	assert_int_equal(view.vlan_tci[0], 0x2064);
	assert_int_equal(view.vlan_tci[1], 0x0fff);
}

static void test_eth_truncated(void **state)
{
	(void)state;
	for (uint8_t tags = 0; tags <= ETH_VLAN_MAX; tags++) {
		struct eth_fields fields = { mac_a, mac_b, ETH_TYPE_IP4, tags, { 1, 2 } };
		uint8_t buf[ETH_HDR_MAX];
		size_t len = eth_build(buf, &fields);

		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *copy = exact_copy(buf, cut);
			struct eth_view view = { .type = 0x1234 };

			assert_int_equal(eth_parse(copy, cut, &view),
					 cut < len ? WIRE_SHORT : WIRE_OK);
			assert_int_equal(view.type, cut < len ? 0x1234 : ETH_TYPE_IP4);
			free(copy);
		}
	}
}

static void test_eth_refused(void **state)
{
	uint8_t buf[64] = { 0 };
	struct eth_view view = { 0 };

	(void)state;
	store_be16(buf + 12, 46); /* 802.3 length */
	assert_int_equal(eth_parse(buf, sizeof(buf), &view), WIRE_BAD_TYPE);
	store_be16(buf + 12, 0x5ff);
	assert_int_equal(eth_parse(buf, sizeof(buf), &view), WIRE_BAD_TYPE);
	store_be16(buf + 12, 0x600);
	assert_int_equal(eth_parse(buf, sizeof(buf), &view), WIRE_OK);
	store_be16(buf + 12, ETH_TYPE_VLAN); /* length behind a tag */
	assert_int_equal(eth_parse(buf, sizeof(buf), &view), WIRE_BAD_TYPE);
	store_be16(buf + 16, ETH_TYPE_VLAN);
	store_be16(buf + 20, ETH_TYPE_VLAN); /* third tag */
	store_be16(buf + 24, ETH_TYPE_IP4);
	assert_int_equal(eth_parse(buf, sizeof(buf), &view), WIRE_BAD_TYPE);
}

static void test_arp(void **state)
{
	static const uint8_t golden[ARP_BYTES] = {
		0,  1, 8, 0, 6,	   4, 0, 2, 0x52, 0x54, 0,  0xab, 0xcd, 0xef,
		10, 0, 0, 1, 0x02, 1, 2, 3, 4,	  5,	10, 0,	  0,	2,
	};
	const struct arp_fields fields = {
		.op = ARP_OP_REPLY,
		.sender_mac = mac_b,
		.target_mac = mac_a,
		.sender_ip = be32(0x0a000001),
		.target_ip = be32(0x0a000002),
	};
	struct arp_fields back = { 0 };
	uint8_t buf[ARP_BYTES];

	(void)state;
	assert_int_equal(arp_build(buf, &fields), ARP_BYTES);
	assert_memory_equal(buf, golden, ARP_BYTES);
	for (size_t cut = 0; cut <= ARP_BYTES; cut++) {
		uint8_t *copy = exact_copy(golden, cut);

		assert_int_equal(arp_parse(copy, cut, &back),
				 cut < ARP_BYTES ? WIRE_SHORT : WIRE_OK);
		free(copy);
	}
	assert_int_equal(back.op, ARP_OP_REPLY);
	assert_true(mac_addr_eq(&back.sender_mac, &mac_b) && mac_addr_eq(&back.target_mac, &mac_a));
	assert_true(be32_eq(back.sender_ip, fields.sender_ip));
	assert_true(be32_eq(back.target_ip, fields.target_ip));
	/* Every byte of the fixed part matters. */
	for (size_t i = 0; i < 6; i++) {
		memcpy(buf, golden, sizeof(buf));
		buf[i] ^= 0x10;
		assert_int_equal(arp_parse(buf, sizeof(buf), &back),
				 i < 4 ? WIRE_BAD_TYPE : WIRE_BAD_LEN);
	}
}

static void test_err_names(void **state)
{
	(void)state;
	for (int i = 0; i < WIRE_ERR_CNT; i++) {
		assert_true(strlen(wire_err_name((enum wire_err)i)) > 0);
		assert_true(strlen(wire_err_text((enum wire_err)i)) > 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(wire_err_name((enum wire_err)i),
						wire_err_name((enum wire_err)k));
	}
	assert_string_equal(wire_err_name(WIRE_BAD_CSUM), "bad_csum");
	assert_string_equal(wire_err_name((enum wire_err)999), "unknown");
	assert_string_equal(wire_err_text((enum wire_err) - 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eth_golden),  cmocka_unit_test(test_eth_truncated),
		cmocka_unit_test(test_eth_refused), cmocka_unit_test(test_arp),
		cmocka_unit_test(test_err_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
