// SPDX-License-Identifier: BSD-2-Clause
/* Port-aware ARP: bytes both ways in all encodings, what is refused and why, authentication. */
#include "tests/unit/wire_test.h"

#include "wire/arp.h"
#include "wire/ip.h"
#include "wire/parp.h"

#include "tests/unit/parp_vectors.h"

static const struct mac_addr mac_a = { { 0x52, 0x54, 0, 0, 0, 0x0a } };
static const struct mac_addr mac_b = { { 0x52, 0x54, 0, 0, 0, 0x0b } };
static const struct mac_addr mac_app = { { 0xc2, 0x11, 0x22, 0x33, 0x44, 0x55 } };
static const struct mac_addr mac_all = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

static size_t unhex(const char *text, uint8_t *out)
{
	size_t len = strlen(text) / 2;

	for (size_t i = 0; i < len; i++) {
		const char pair[] = { text[2 * i], text[2 * i + 1], 0 };

		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return len;
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr addr;

	assert_int_equal(ip_addr_parse(text, &addr), 0);
	return addr;
}

static struct parp_host_id host_of(uint8_t first)
{
	struct parp_host_id id;

	for (unsigned i = 0; i < sizeof(id.bytes); i++)
		id.bytes[i] = (uint8_t)(first + i);
	return id;
}

static struct parp_config config_with_key(void)
{
	struct parp_config cfg = PARP_CONFIG_DEFAULT;

	cfg.keys = &vector_key;
	cfg.key_cnt = 1;
	return cfg;
}

/* ---- the messages of the vectors */

static struct parp_msg msg_query(void)
{
	struct parp_msg msg = {
		.eth_dst = mac_all,
		.eth_src = mac_a,
		.type = PARP_QUERY,
		.sender_mac = mac_a,
		.sender.addr = ip_addr_any_v4(),
		.target = { ip_of("10.0.0.1"), 6379, 6379, IP_PROTO_TCP, 0 },
		.has = PARP_HAS_NONCE,
		.nonce = UINT64_C(0x0123456789abcdef),
	};

	return msg;
}

static struct parp_msg msg_reply(void)
{
	struct parp_msg msg = {
		.eth_dst = mac_a,
		.eth_src = mac_b,
		.type = PARP_REPLY,
		.sender_mac = mac_app,
		.target_mac = mac_a,
		.sender = { ip_of("10.0.0.1"), 6379, 6379, IP_PROTO_TCP, 0x00030007 },
		.target = { ip_of("10.0.0.1"), 6379, 6379, IP_PROTO_TCP, 0 },
		.has = PARP_HAS_LIFETIME | PARP_HAS_NONCE | PARP_HAS_HOST | PARP_HAS_CANON_MAC,
		.lifetime_ms = 60000,
		.nonce = UINT64_C(0x0123456789abcdef),
		.host = host_of(0xa0),
		.canon_mac = mac_b,
	};

	return msg;
}

static struct parp_msg msg_probe(void)
{
	struct parp_msg msg = {
		.eth_dst = mac_all,
		.eth_src = mac_b,
		.encoding = PARP_E2,
		.type = PARP_MAC_PROBE,
		.sender_mac = mac_b,
		.sender = { ip_addr_any_v4(), 0, 0, 0, 0x00030000 },
		.target = { ip_addr_any_v4(), 0, 0, 0, 0 },
		.has = PARP_HAS_NONCE | PARP_HAS_HOST,
		.nonce = UINT64_C(0x0123456789abcdef),
		.host = host_of(0xa0),
		.mac_cnt = 3,
		.macs = { mac_app, { { 0x22, 0, 0, 0, 0, 1 } }, { { 0xe2, 0xff, 0xff, 0xff, 0xff, 0xfe } } },
	};

	return msg;
}

static struct parp_msg msg_query_nd(void)
{
	struct parp_msg msg = msg_query();

	msg.eth_dst = (struct mac_addr){ { 0x33, 0x33, 0xff, 0, 0, 1 } };
	msg.encoding = PARP_ND;
	msg.target = (struct parp_endpoint){ ip_of("2001:db8::1"), 53, 53, IP_PROTO_UDP, 0 };
	msg.ip6_src = ip_of("fe80::a");
	msg.ip6_dst = ip_of("ff02::1:ff00:1");
	return msg;
}

static struct parp_msg msg_reply_nd(void)
{
	struct parp_msg msg = msg_reply();

	msg.encoding = PARP_ND;
	msg.has &= ~(uint32_t)PARP_HAS_CANON_MAC;
	msg.sender = (struct parp_endpoint){ ip_of("2001:db8::1"), 53, 53, IP_PROTO_UDP, 0x00030007 };
	msg.target = msg.sender;
	msg.ip6_src = ip_of("fe80::b");
	msg.ip6_dst = ip_of("fe80::a");
	return msg;
}

/* ---- bytes */

static void check_endpoint(const struct parp_endpoint *a, const struct parp_endpoint *b)
{
	assert_true(ip_addr_eq(&a->addr, &b->addr));
	assert_int_equal(a->port_lo, b->port_lo);
	assert_int_equal(a->port_hi, b->port_hi);
	assert_int_equal(a->proto, b->proto);
	assert_int_equal(a->gen, b->gen);
}

static void check_vector(const char *hex, const struct parp_config *cfg, const struct parp_msg *msg)
{
	uint8_t bytes[PARP_FRAME_MAX], built[PARP_FRAME_MAX], *copy;
	size_t len = unhex(hex, bytes);
	struct parp_msg back;

	assert_int_equal(parp_build(built, cfg, msg), len);
	assert_memory_equal(built, bytes, len);
	copy = exact_copy(bytes, len);
	assert_int_equal(parp_parse(copy, len, cfg, &back), PARP_ERR_OK);
	free(copy);
	assert_true(mac_addr_eq(&back.eth_dst, &msg->eth_dst) && mac_addr_eq(&back.eth_src, &msg->eth_src));
	assert_int_equal(back.encoding, msg->encoding);
	assert_int_equal(back.type, msg->type);
	assert_int_equal(back.has, msg->has);
	assert_true(mac_addr_eq(&back.sender_mac, &msg->sender_mac));
	assert_true(back.nonce == msg->nonce);
	assert_int_equal(back.lifetime_ms, msg->lifetime_ms);
	assert_true(parp_host_id_eq(&back.host, &msg->host));
	assert_int_equal(back.mac_cnt, msg->mac_cnt);
	assert_memory_equal(back.macs, msg->macs, sizeof(back.macs));
	assert_int_equal(back.authentic, cfg->key_cnt > 0);
	if (msg->encoding != PARP_ND || msg->type == PARP_REPLY)
		check_endpoint(&back.sender, &msg->sender);
	if (msg->type == PARP_QUERY)
		check_endpoint(&back.target, &msg->target);
}

static void test_vectors(void **state)
{
	const struct parp_config plain = PARP_CONFIG_DEFAULT, keyed = config_with_key();
	struct parp_msg msg;

	(void)state;
	msg = msg_query();
	check_vector(query_e1, &plain, &msg);
	msg = msg_reply();
	check_vector(reply_e1, &plain, &msg);
	msg = msg_probe();
	check_vector(probe_e2_auth, &keyed, &msg);
	msg = msg_query_nd();
	check_vector(query_nd, &plain, &msg);
	msg = msg_reply_nd();
	check_vector(reply_nd_auth, &keyed, &msg);
}

/* No prefix of a frame is taken, and nothing is read behind it. */
static void test_truncated(void **state)
{
	static const char *const vectors[] = { query_e1, reply_e1, probe_e2_auth, query_nd, reply_nd_auth };
	const struct parp_config cfg = config_with_key();

	(void)state;
	for (unsigned v = 0; v < ARRAY_SIZE(vectors); v++) {
		uint8_t bytes[PARP_FRAME_MAX];
		size_t len = unhex(vectors[v], bytes);

		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *copy = exact_copy(bytes, cut);
			struct parp_msg msg = { .type = 99 };
			enum parp_err err = parp_parse(copy, cut, &cfg, &msg);

			assert_true((err == PARP_ERR_OK) == (cut == len));
			assert_true((msg.type == 99) == (cut < len));
			free(copy);
		}
	}
}

/* ---- refused */

static enum parp_err parse_changed(const char *hex, size_t at, uint8_t value)
{
	const struct parp_config cfg = config_with_key();
	uint8_t bytes[PARP_FRAME_MAX];
	size_t len = unhex(hex, bytes);
	struct parp_msg msg;

	bytes[at] = value;
	return parp_parse(bytes, len, &cfg, &msg);
}

static void test_refused_bytes(void **state)
{
	(void)state;
	/* other protocols are not malformed PARP */
	assert_int_equal(parse_changed(query_e1, 12, 0x09), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_e1, 15, 6), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_e1, 16, 0x08), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_e1, 18, 8), PARP_ERR_BAD_LEN);
	assert_int_equal(parse_changed(query_e1, 19, 4), PARP_ERR_BAD_LEN);
	assert_int_equal(parse_changed(query_e1, 21, 1), PARP_ERR_BAD_OP);
	assert_int_equal(parse_changed(query_e1, 21, 25), PARP_ERR_BAD_OP);
	assert_int_equal(parse_changed(query_e1, 28, 2), PARP_ERR_BAD_VERSION); /* of the sender's endpoint */
	assert_int_equal(parse_changed(query_e1, 50, 2), PARP_ERR_BAD_VERSION); /* of the target's */
	assert_int_equal(parse_changed(query_e1, 66, 'p'), PARP_ERR_BAD_VERSION);
	assert_int_equal(parse_changed(query_e1, 70, 2), PARP_ERR_BAD_VERSION);
	assert_int_equal(parse_changed(query_e1, 71, 0), PARP_ERR_BAD_TYPE);
	assert_int_equal(parse_changed(query_e1, 71, 9), PARP_ERR_BAD_TYPE);
	assert_int_equal(parse_changed(query_e1, 73, 200), PARP_ERR_SHORT);
	assert_int_equal(parse_changed(query_e1, 75, 7), PARP_ERR_BAD_TLV);
	assert_int_equal(parse_changed(query_e1, 75, 9), PARP_ERR_BAD_TLV);
	assert_int_equal(parse_changed(query_e1, 74, 99), PARP_ERR_MISSING); /* unknown, ignored: no nonce */
	assert_int_equal(parse_changed(query_e1, 74, 128), PARP_ERR_UNKNOWN_TLV);
	assert_int_equal(parse_changed(query_e1, 74, 255), PARP_ERR_UNKNOWN_TLV); /* SIG, which we don't verify */
	assert_int_equal(parse_changed(query_e1, 6, 0x53), PARP_ERR_BAD_SOURCE);
	assert_int_equal(parse_changed(reply_e1, 11, 0x0c), PARP_ERR_BAD_SOURCE); /* not CANON_MAC */
	assert_int_equal(parse_changed(probe_e2_auth, 15, 1), PARP_ERR_BAD_LEN);
	assert_int_equal(parse_changed(probe_e2_auth, 14, 0x51), PARP_ERR_NOT_PARP);
}

static void test_refused_endpoints(void **state)
{
	(void)state;
	assert_int_equal(parse_changed(query_e1, 51, 0), PARP_ERR_BAD_ENDPOINT); /* protocol */
	assert_int_equal(parse_changed(query_e1, 51, 1), PARP_ERR_BAD_ENDPOINT);
	assert_int_equal(parse_changed(query_e1, 53, 0xec), PARP_ERR_BAD_ENDPOINT); /* two ports asked */
	assert_int_equal(parse_changed(query_e1, 62, 0xe0), PARP_ERR_BAD_ENDPOINT); /* multicast */
	assert_int_equal(parse_changed(query_e1, 62, 127), PARP_ERR_BAD_ENDPOINT);
	/* about another port, protocol, address than was asked */
	assert_int_equal(parse_changed(reply_e1, 31, 0xec), PARP_ERR_BAD_ENDPOINT);
	assert_int_equal(parse_changed(reply_e1, 29, 17), PARP_ERR_BAD_ENDPOINT);
	assert_int_equal(parse_changed(reply_e1, 43, 2), PARP_ERR_BAD_ENDPOINT);
	/* an application's MAC: multicast, global, another quadrant of SLAP */
	assert_int_equal(parse_changed(reply_e1, 22, 0xc3), PARP_ERR_BAD_MAC);
	assert_int_equal(parse_changed(reply_e1, 22, 0xc0), PARP_ERR_BAD_MAC);
	assert_int_equal(parse_changed(reply_e1, 22, 0xca), PARP_ERR_BAD_MAC);
}

/* A message of our own that says @change, built and parsed. */
static enum parp_err parse_msg(const struct parp_config *cfg, const struct parp_msg *msg)
{
	uint8_t buf[PARP_FRAME_MAX];
	size_t len = parp_build(buf, cfg, msg);
	struct parp_msg back;

	assert_true(len > 0);
	return parp_parse(buf, len, cfg, &back);
}

static void test_must_have(void **state)
{
	static const uint32_t flags[] = { PARP_HAS_LIFETIME, PARP_HAS_NONCE, PARP_HAS_HOST };
	static const bool needs[PARP_TYPE_END][ARRAY_SIZE(flags)] = {
		[PARP_QUERY] = { false, true, false },
		[PARP_REPLY] = { true, true, false },
		[PARP_NEG] = { true, true, false },
		[PARP_ANNOUNCE] = { true, false, true },
		[PARP_RELEASE] = { false, false, true },
		[PARP_MAC_PROBE] = { false, true, true },
		[PARP_MAC_DEFEND] = { false, false, true },
		[PARP_MAC_CLAIM] = { false, false, true },
	};
	const struct parp_config cfg = PARP_CONFIG_DEFAULT;

	(void)state;
	for (uint8_t type = PARP_QUERY; type < PARP_TYPE_END; type++)
		for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
			struct parp_msg msg = msg_reply();

			msg.type = type;
			msg.mac_cnt = 1;
			msg.macs[0] = mac_app;
			assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_OK);
			msg.has &= ~flags[i];
			assert_int_equal(parse_msg(&cfg, &msg), needs[type][i] ? PARP_ERR_MISSING : PARP_ERR_OK);
		}
}

static void test_ranges(void **state)
{
	const struct parp_config cfg = PARP_CONFIG_DEFAULT;
	struct parp_msg msg = msg_reply();

	(void)state;
	msg.sender.port_lo = 6300;
	msg.sender.port_hi = 6399;
	assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_OK);
	msg.sender.port_hi = 6378;
	assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_BAD_ENDPOINT);
	msg.sender.port_lo = 7000;
	assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_BAD_ENDPOINT);
	/* all of an application at once */
	msg = msg_reply();
	msg.type = PARP_RELEASE;
	msg.sender.proto = 0;
	msg.sender.port_lo = 0;
	msg.sender.port_hi = 65535;
	assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_OK);
	msg.type = PARP_ANNOUNCE;
	assert_int_equal(parse_msg(&cfg, &msg), PARP_ERR_BAD_ENDPOINT);
}

static void test_mac_lists(void **state)
{
	const struct parp_config keyed = config_with_key();
	struct parp_msg msg = msg_probe(), back;
	uint8_t buf[PARP_FRAME_MAX];
	size_t len;

	(void)state;
	for (uint16_t cnt = 1; cnt <= PARP_MACS_MAX; cnt++) {
		msg.mac_cnt = cnt;
		for (unsigned i = 0; i < cnt; i++)
			msg.macs[i] = (struct mac_addr){ { 2, 1, 2, 3, (uint8_t)(i >> 8), (uint8_t)i } };
		len = parp_build(buf, &keyed, &msg);
		assert_true(len > 0 && len <= PARP_FRAME_MAX);
		assert_int_equal(parp_parse(buf, len, &keyed, &back), PARP_ERR_OK);
		assert_int_equal(back.mac_cnt, cnt);
		assert_memory_equal(back.macs, msg.macs, cnt * sizeof(msg.macs[0]));
	}
	msg.mac_cnt = 0;
	assert_int_equal(parp_build(buf, &keyed, &msg), 0);
	msg.mac_cnt = PARP_MACS_MAX + 1;
	assert_int_equal(parp_build(buf, &keyed, &msg), 0);
	/* one bad address in a list */
	msg.mac_cnt = 50;
	msg.macs[49].bytes[0] = 6;
	assert_int_equal(parse_msg(&keyed, &msg), PARP_ERR_BAD_MAC);
	/* a list in a message that is not about MACs */
	msg = msg_reply();
	msg.mac_cnt = 3;
	assert_int_equal(parse_msg(&keyed, &msg), PARP_ERR_BAD_TLV);
}

static void test_unsayable(void **state)
{
	const struct parp_config cfg = PARP_CONFIG_DEFAULT;
	struct parp_msg msg = msg_query_nd();
	uint8_t buf[PARP_FRAME_MAX];

	(void)state;
	msg.encoding = PARP_E1;
	assert_int_equal(parp_build(buf, &cfg, &msg), 0);
	msg.encoding = PARP_E2;
	assert_int_equal(parp_build(buf, &cfg, &msg), 0);
	msg = msg_query();
	msg.encoding = PARP_ND;
	assert_int_equal(parp_build(buf, &cfg, &msg), 0);
	msg = msg_probe();
	msg.encoding = PARP_ND;
	assert_int_equal(parp_build(buf, &cfg, &msg), 0);
}

/* ---- neighbour discovery */

static void test_nd_refused(void **state)
{
	(void)state;
	assert_int_equal(parse_changed(query_nd, 14 + 7, 254), PARP_ERR_BAD_CSUM); /* has been forwarded */
	assert_int_equal(parse_changed(query_nd, 14 + 40 + 1, 1), PARP_ERR_BAD_CSUM);
	assert_int_equal(parse_changed(query_nd, 14 + 40 + 40, 1), PARP_ERR_BAD_CSUM);
	/* not ours: another option, another message, no option, one of length 0 before it */
	assert_int_equal(parse_changed(query_nd, 14 + 40 + 24, 254), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_nd, 14 + 40, 133), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_nd, 14 + 6, 17), PARP_ERR_NOT_PARP);
	assert_int_equal(parse_changed(query_nd, 14 + 40 + 25, 0), PARP_ERR_NOT_PARP);
}

/* Whoever would override a neighbour entry is refused, though the checksum is right. */
static void test_nd_override(void **state)
{
	const struct parp_config cfg = PARP_CONFIG_DEFAULT;
	struct parp_msg msg = msg_reply_nd();
	uint8_t buf[PARP_FRAME_MAX];
	size_t len = parp_build(buf, &cfg, &msg);
	uint8_t *flags = buf + 14 + 40 + 4, *csum = buf + 14 + 40 + 2;

	(void)state;
	assert_int_equal(parp_parse(buf, len, &cfg, &msg), PARP_ERR_OK);
	flags[0] |= 0x20;
	store_be16(csum, (uint16_t)(load_be16(csum) - 0x2000));
	assert_int_equal(parp_parse(buf, len, &cfg, &msg), PARP_ERR_BAD_OP);
}

/* ---- authentication */

static void test_auth(void **state)
{
	static const char *const vectors[] = { probe_e2_auth, reply_nd_auth };
	struct parp_config cfg = config_with_key(), none = PARP_CONFIG_DEFAULT;
	struct parp_key other = vector_key;
	uint8_t bytes[PARP_FRAME_MAX];
	struct parp_msg msg;

	(void)state;
	other.id = 8;
	for (unsigned v = 0; v < ARRAY_SIZE(vectors); v++) {
		size_t len = unhex(vectors[v], bytes);

		cfg.keys = &vector_key;
		cfg.auth_required = true;
		assert_int_equal(parp_parse(bytes, len, &cfg, &msg), PARP_ERR_OK);
		assert_true(msg.authentic);
		/* a key that we don't have: as if it were not authenticated */
		cfg.keys = &other;
		assert_int_equal(parp_parse(bytes, len, &cfg, &msg), PARP_ERR_NO_AUTH);
		cfg.auth_required = false;
		assert_int_equal(parp_parse(bytes, len, &cfg, &msg), PARP_ERR_OK);
		assert_false(msg.authentic);
		assert_int_equal(parp_parse(bytes, len, &none, &msg), PARP_ERR_OK);
		assert_false(msg.authentic);
	}
	cfg.auth_required = true;
	assert_int_equal(parp_parse(bytes, unhex(query_e1, bytes), &cfg, &msg), PARP_ERR_NO_AUTH);
}

/* Whatever bit is changed: Ethernet source, message, key id, keyed MAC. Only the destination may be another. */
static void test_auth_covers(void **state)
{
	struct parp_config cfg = config_with_key();
	uint8_t bytes[PARP_FRAME_MAX];
	size_t len = unhex(probe_e2_auth, bytes);
	struct parp_msg msg;

	(void)state;
	cfg.auth_required = true;
	for (size_t bit = 6 * 8; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(parp_parse(bytes, len, &cfg, &msg), PARP_ERR_OK);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(parp_parse(bytes, len, &cfg, &msg), PARP_ERR_OK);
}

/* ---- R1: what a host stack would take for ARP of its own is never built */

static void test_never_ordinary_arp(void **state)
{
	const struct parp_config cfg = PARP_CONFIG_DEFAULT;
	struct parp_msg msg = msg_reply();
	uint8_t buf[PARP_FRAME_MAX];
	struct arp_fields arp;

	(void)state;
	msg.mac_cnt = 1;
	msg.macs[0] = mac_app;
	for (uint8_t type = PARP_QUERY; type < PARP_TYPE_END; type++) {
		size_t len;

		msg.type = type;
		len = parp_build(buf, &cfg, &msg);
		assert_true(len > 0);
		assert_int_equal(load_be16(buf + 12), ETH_TYPE_ARP);
		assert_int_equal(arp_parse(buf + 14, len - 14, &arp), WIRE_BAD_TYPE);
		/* and who takes 4 bytes of SPA for an address sees none of a host */
		assert_int_equal(buf[14 + 14], 1);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int err = 0; err < PARP_ERR_CNT; err++) {
		assert_string_not_equal(parp_err_name((enum parp_err)err), "unknown");
		assert_string_not_equal(parp_err_text((enum parp_err)err), "unknown");
	}
	assert_string_equal(parp_err_name(PARP_ERR_CNT), "unknown");
	assert_string_equal(parp_type_name(PARP_MAC_DEFEND), "mac_defend");
	assert_string_equal(parp_type_name(0), "unknown");
	assert_string_equal(parp_type_name(9), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_refused_bytes),
		cmocka_unit_test(test_refused_endpoints),
		cmocka_unit_test(test_must_have),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_mac_lists),
		cmocka_unit_test(test_unsayable),
		cmocka_unit_test(test_nd_refused),
		cmocka_unit_test(test_nd_override),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_auth_covers),
		cmocka_unit_test(test_never_ordinary_arp),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
