// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is larger than the path carries: fragments that are sent (RFC 791, RFC 8200 4.5, RFC 6864), the
 * modes of a socket, and what ICMP says about UDP's datagrams (RFC 1191, RFC 8201)
 */
#include "stack/ip_pmtu.h"
#include "tests/unit/stack_stubs.h"

static const bool families[] = { false, true };

/* Two stacks: what `a` sends is handed to `b` frame by frame, and looked at on the way. */
struct pair {
	struct fix a, b;
	struct udp_id ua, ub;
	struct endpoint from, to;
	/* of the last datagram */
	uint32_t cnt;
	uint32_t largest; /* IP bytes */
	uint32_t id;
	bool dont_frag;
};

static uint8_t payload[70000];

static void pair_begin(struct pair *p, bool v6, uint32_t flags)
{
	memset(p, 0, sizeof(*p));
	fix_pair_begin(&p->a, &p->b, v6, flags);
	p->from = fix_ep(&p->a, 1, 80);
	p->to = fix_ep(&p->a, 2, 4000);
	assert_int_equal(udp_open(p->a.s, &p->from, 0, 0, &p->ua), 0);
	assert_int_equal(udp_open(p->b.s, &p->to, 0, 0, &p->ub), 0);
	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 ^ i >> 8);
}

static void pair_end(struct pair *p)
{
	fix_end(&p->a);
	fix_end(&p->b);
}

/* All that `a` has sent, to `b`; @backwards: the last first */
static void pair_carry(struct pair *p, bool backwards)
{
	static struct link_frame frame[FAKE_SENT_MAX];
	struct ip_view ip = { 0 };
	uint32_t cnt = 0;

	p->largest = 0;
	while (fake_link_next(&p->a.drv, &frame[cnt])) {
		const struct link_frame *f = &frame[cnt++];

		assert_int_equal(ip_parse(f->data + 14, f->len - 14, &ip), WIRE_OK);
		p->largest = max_u32(p->largest, f->len - 14);
		/* RFC 6864 4.1: what is not a fragment, and must not become one, needs no number. */
		p->dont_frag = ip.dont_frag;
		if (cnt > 1)
			assert_int_equal(ip.frag_id, p->id);
		p->id = ip.frag_id;
	}
	p->cnt = cnt;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct link_frame *f = &frame[backwards ? cnt - 1 - i : i];

		fix_rx(&p->b, f->data, f->len);
		free(f->data);
	}
}

static int pair_send(struct pair *p, uint32_t len)
{
	return udp_send(p->a.s, p->ua, p->a.link, &p->from.addr, &p->to, payload, len);
}

/* `b` gets @len bytes, unharmed. */
static void pair_got(struct pair *p, uint32_t len)
{
	static uint8_t got[70000];
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	size_t n = 0;

	assert_int_equal(udp_recv(p->b.s, p->ub, got, sizeof(got), false, &n, &from, &to, &link), 0);
	assert_int_equal(n, len);
	assert_memory_equal(got, payload, len);
	assert_true(endpoint_eq(&from, &p->from));
}

static void learn(struct pair *p, uint32_t mtu)
{
	struct icmp_error error = {
		.link = p->a.link.v, .remote = p->to, .err = EMSGSIZE, .mtu = mtu, .quoted_len = 1500,
	};
	struct pmtu pmtu;

	assert_true(pmtu_learn(p->a.s, &error, &pmtu));
}

/* Each length, with and without checksums, in order and backwards */
static void test_fragments(void **state)
{
	struct pair p;

	(void)state;
	for (int v = 0; v < 4; v++) {
		bool v6 = families[v % 2];
		uint32_t fits = v6 ? 1452 : 1472, most = v6 ? 65527 : 65507;
		/* of the UDP header and data, in each fragment */
		uint32_t each = v6 ? 1448 : 1480, last_id = 0;

		pair_begin(&p, v6, v < 2 ? 0 : LINK_NO_CSUM | LINK_NO_LOSS);
		for (uint32_t len = fits; len <= most; len += len < fits + 20 ? 1 : 3557) {
			assert_int_equal(pair_send(&p, len), 0);
			pair_carry(&p, len % 2 != 0);
			assert_int_equal(p.cnt, len == fits ? 1 : (len + 8 + each - 1) / each);
			assert_true(p.largest <= 1500);
			if (!v6)
				assert_int_equal(p.dont_frag, len == fits);
			if (len > fits)
				assert_int_not_equal(p.id, last_id);
			last_id = p.id;
			pair_got(&p, len);
		}
		assert_int_equal(pair_send(&p, most), 0);
		pair_carry(&p, true);
		pair_got(&p, most);
		assert_int_equal(pair_send(&p, most + 1), -EMSGSIZE);
		for (int i = 0; i < STACK_DROP_CNT; i++)
			assert_int_equal(fix_drops(&p.b, (enum stack_drop)i), 0);
		pair_end(&p);
	}
}

/* Fragments are as small as the path wants them. */
static void test_path(void **state)
{
	struct pair p;

	(void)state;
	for (int v = 0; v < 2; v++) {
		bool v6 = families[v];
		uint32_t mtu = 1300, fits = mtu - (v6 ? 48 : 28);

		pair_begin(&p, v6, 0);
		assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.to.addr), 1500);
		learn(&p, mtu);
		assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.to.addr), mtu);
		assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.from.addr), 1500);
		assert_int_equal(udp_path_mtu(p.a.s, p.ua, (struct link_id){ 9 }, &p.to.addr), 0);
		assert_int_equal(pair_send(&p, fits), 0);
		pair_carry(&p, false);
		assert_int_equal(p.cnt, 1);
		pair_got(&p, fits);
		assert_int_equal(pair_send(&p, fits + 1), 0);
		pair_carry(&p, false);
		assert_int_equal(p.cnt, 2);
		assert_true(p.largest <= mtu);
		pair_got(&p, fits + 1);
		/* RFC 1191 6.3, RFC 8201 4 */
		stack_now(p.a.s, p.a.s->now_us + 600 * US_PER_SEC);
		assert_int_equal(pair_send(&p, fits + 1), 0);
		pair_carry(&p, false);
		assert_int_equal(p.cnt, 1);
		pair_got(&p, fits + 1);
		pair_end(&p);
	}
}

/* The least path: small packets, too, go without DF. */
static void test_least(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, false, 0);
	learn(&p, 100);
	assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.to.addr), 552);
	assert_int_equal(pair_send(&p, 65507), 0);
	pair_carry(&p, false);
	assert_int_equal(p.cnt, (65515 + 527) / 528);
	pair_got(&p, 65507);
	assert_int_equal(pair_send(&p, 500), 0);
	pair_carry(&p, false);
	assert_false(p.dont_frag);
	udp_mtu_mode_set(p.a.s, p.ua, true, UDP_MTU_DO);
	assert_int_equal(pair_send(&p, 500), 0);
	pair_carry(&p, false);
	assert_true(p.dont_frag);
	pair_end(&p);
}

/* ip(7), IP_MTU_DISCOVER; over a link of 1500 and a path of 1300 */
static void test_modes(void **state)
{
	static const struct {
		enum udp_mtu_mode mode;
		bool df;	   /* of what fits */
		uint32_t path_mtu;
		bool refuses;	   /* what is larger than that */
	} cases[] = {
		{ UDP_MTU_DONT, false, 1300, false },	{ UDP_MTU_WANT, true, 1300, false },
		{ UDP_MTU_DO, true, 1300, true },	{ UDP_MTU_PROBE, true, 1500, true },
		{ UDP_MTU_INTERFACE, false, 1500, true }, { UDP_MTU_OMIT, false, 1500, false },
	};
	struct pair p;

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		bool v6 = families[i % 2];
		uint32_t hdrs = v6 ? 48 : 28, path_mtu = cases[i / 2].path_mtu;

		pair_begin(&p, v6, 0);
		learn(&p, 1300);
		/* The other family's is none of this one's business. */
		udp_mtu_mode_set(p.a.s, p.ua, v6, UDP_MTU_PROBE);
		udp_mtu_mode_set(p.a.s, p.ua, !v6, cases[i / 2].mode);
		assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.to.addr), path_mtu);
		assert_int_equal(pair_send(&p, path_mtu - hdrs), 0);
		pair_carry(&p, false);
		assert_int_equal(p.cnt, 1);
		if (!v6)
			assert_int_equal(p.dont_frag, cases[i / 2].df);
		pair_got(&p, path_mtu - hdrs);
		assert_int_equal(pair_send(&p, path_mtu - hdrs + 1),
				 cases[i / 2].refuses ? -EMSGSIZE : 0);
		pair_carry(&p, false);
		assert_int_equal(p.cnt, cases[i / 2].refuses ? 0 : 2);
		if (!cases[i / 2].refuses)
			pair_got(&p, path_mtu - hdrs + 1);
		pair_end(&p);
	}
}

/* All frames or none */
static void test_few_frames(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, false, 0);
	for (uint32_t max = 0; max < 7; max++) {
		p.a.drv.tx_max = max;
		assert_int_equal(pair_send(&p, 9000), max == 0 ? -EAGAIN : -ENOBUFS);
		assert_int_equal(p.a.drv.tx_open, 0);
		assert_int_equal(p.a.drv.sent_cnt, 0);
		assert_int_equal(stack_link_blocked(p.a.s, p.a.link), max == 0);
		stack_link_writable(p.a.s, p.a.link);
	}
	p.a.drv.tx_max = 7;
	assert_int_equal(pair_send(&p, 9000), 0);
	pair_carry(&p, false);
	pair_got(&p, 9000);
	pair_end(&p);
}

/* ---- what ICMP says -------------------------------------------------------------------------- */

/* About a datagram from `from` to `to` */
static void too_big(struct pair *p, uint32_t mtu)
{
	static uint8_t frame[200];
	bool v6 = p->a.v6;
	uint8_t proto = v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP;
	uint32_t ip_len = v6 ? 40 : 20, len = ICMP_HDR_BYTES + ip_len + 8;
	uint8_t *icmp = frame + fix_headers(&p->a, frame, proto, len), *quote = icmp + 8;
	struct ip4_fields ip4 = { .proto = IP_PROTO_UDP, .payload_len = 1480, .ttl = 64 };
	struct ip6_fields ip6 = { .proto = IP_PROTO_UDP, .payload_len = 1460, .hop_limit = 64 };

	icmp_build(icmp, v6 ? ICMP6_PKT_TOO_BIG : ICMP4_UNREACH, v6 ? 0 : ICMP4_UNREACH_FRAG_NEEDED,
		   mtu);
	ip6.src = p->from.addr;
	ip6.dst = p->to.addr;
	if (!v6) {
		ip4.src = ip_addr_v4(&p->from.addr);
		ip4.dst = ip_addr_v4(&p->to.addr);
	}
	quote += v6 ? ip6_build(quote, &ip6) : ip4_build(quote, &ip4);
	memset(quote, 0, 8);
	store_be16(quote, p->from.port);
	store_be16(quote + 2, p->to.port);
	icmp_csum_fill(icmp, len, v6 ? fix_pseudo(&p->a, proto, len) : CSUM_ZERO);
	fix_rx(&p->a, frame, (uint32_t)(icmp - frame) + len);
}

/* Linux's udp_err(): a connected socket hears of it, unless it does not care */
static void test_too_big(void **state)
{
	struct pair p;

	(void)state;
	for (unsigned int i = 0; i < 2 * (UDP_MTU_OMIT + 1); i++) {
		enum udp_mtu_mode mode = (enum udp_mtu_mode)(i / 2);
		bool v6 = families[i % 2], believes = mode <= UDP_MTU_PROBE;

		pair_begin(&p, v6, 0);
		udp_mtu_mode_set(p.a.s, p.ua, !v6, mode);
		too_big(&p, 1300);
		assert_int_equal(pmtu_get(p.a.s, p.a.link.v, &p.to.addr).mtu, 1500); /* nothing was sent */
		assert_int_equal(pair_send(&p, 1), 0);
		too_big(&p, 1400);
		assert_int_equal(pmtu_get(p.a.s, p.a.link.v, &p.to.addr).mtu, believes ? 1400 : 1500);
		assert_int_equal(udp_error(p.a.s, p.ua), 0); /* not connected */
		udp_connect(p.a.s, p.ua, &p.to);
		too_big(&p, 1300);
		assert_int_equal(pmtu_get(p.a.s, p.a.link.v, &p.to.addr).mtu, believes ? 1300 : 1500);
		assert_int_equal(udp_error(p.a.s, p.ua),
				 believes && mode != UDP_MTU_DONT ? EMSGSIZE : 0);
		too_big(&p, 1500);
		assert_int_equal(fix_drops(&p.a, STACK_DROP_ICMP_MTU), believes ? 1 : 0);
		pair_end(&p);
	}
}

/* A direct channel has no routers, whatever its peer says, and no path to be found out. */
static void test_too_big_direct(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, false, LINK_NO_LOSS | LINK_NO_CSUM);
	udp_connect(p.a.s, p.ua, &p.to);
	udp_mtu_mode_set(p.a.s, p.ua, true, UDP_MTU_DO);
	assert_int_equal(udp_path_mtu(p.a.s, p.ua, p.a.link, &p.to.addr), 65535);
	assert_int_equal(pair_send(&p, 9000), 0);
	pair_carry(&p, false);
	pair_got(&p, 9000);
	assert_int_equal(pair_send(&p, 1), 0);
	too_big(&p, 1300);
	assert_int_equal(pmtu_get(p.a.s, p.a.link.v, &p.to.addr).mtu, 1500);
	assert_int_equal(udp_error(p.a.s, p.ua), 0);
	pair_end(&p);
}

/* RFC 1122 3.2.2.6: a large question gets a whole answer. */
static void test_echo(void **state)
{
	static uint8_t frame[10000];
	struct link_frame sent = { 0 };
	struct ip_view ip = { 0 };
	struct icmp_view icmp = { 0 };
	uint8_t *whole = frame;

	(void)state;
	for (int v = 0; v < 2; v++) {
		struct fix f;
		bool v6 = families[v];
		uint32_t len = 5000, got = 0;
		uint8_t proto = v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP, *p;

		fix_begin(&f, v6, 0);
		p = frame + fix_headers(&f, frame, proto, len);
		icmp_build(p, v6 ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST, 0, 0x12340001);
		for (uint32_t i = ICMP_HDR_BYTES; i < len; i++)
			p[i] = (uint8_t)(i * 5);
		icmp_csum_fill(p, len, v6 ? fix_pseudo(&f, proto, len) : CSUM_ZERO);
		fix_rx(&f, frame, (uint32_t)(p - frame) + len);
		while (fake_link_next(&f.drv, &sent)) {
			assert_int_equal(ip_parse(sent.data + 14, sent.len - 14, &ip), WIRE_OK);
			assert_true(sent.len <= 1514);
			assert_int_equal(ip.frag_off, got);
			assert_int_equal(ip.more_frags, got + ip.payload_len < len);
			memcpy(whole + got, ip_payload(&ip), ip.payload_len);
			got += ip.payload_len;
			if (!ip.more_frags) {
				/* as if the last header were that of the whole */
				assert_int_equal(got, len);
				assert_int_equal(icmp_parse(whole, len, ip.version, &icmp), WIRE_OK);
				assert_int_equal(icmp.kind, ICMP_KIND_ECHO_REPLY);
				assert_int_equal(icmp.rest, 0x12340001);
				ip.payload_len = (uint16_t)len;
				assert_true(icmp_csum_ok(&ip, whole, len, "", 0));
			}
			free(sent.data);
		}
		assert_int_equal(got, len);
		for (uint32_t i = ICMP_HDR_BYTES; i < len; i++)
			assert_int_equal(whole[i], (uint8_t)(i * 5));
		fix_end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fragments),  cmocka_unit_test(test_path),
		cmocka_unit_test(test_least),	   cmocka_unit_test(test_modes),
		cmocka_unit_test(test_few_frames), cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_too_big_direct), cmocka_unit_test(test_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
