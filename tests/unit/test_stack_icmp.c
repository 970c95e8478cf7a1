// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

static const bool families[] = { false, true };

/* An ICMP message from host 2 to host 1 of what lies at p + offset of ICMP; returns the frame's
 * length. */
static uint32_t finish_icmp(const struct fix *f, uint8_t *p, uint8_t type, uint8_t code,
			    uint32_t rest, uint32_t body_len)
{
	uint8_t proto = f->v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP;
	uint32_t len = ICMP_HDR_BYTES + body_len, off = fix_headers(f, p, proto, len);

	icmp_build(p + off, type, code, rest);
	icmp_csum_fill(p + off, len, f->v6 ? fix_pseudo(f, proto, len) : CSUM_ZERO);
	return off + len;
}

static uint32_t icmp_body_off(const struct fix *f)
{
	return (f->v6 ? 54 : 34) + ICMP_HDR_BYTES;
}

/* What host 1 would have sent to host 2, from its port 80 to 4000: for quoting. Returns its length.
 */
static uint32_t quote(const struct fix *f, uint8_t *p, uint8_t proto)
{
	static uint8_t frame[200];
	struct fix back = *f;
	uint32_t off = fix_headers(&back, frame, proto, 20);
	uint8_t src[16];
	uint8_t *ip = frame + 14;
	uint32_t addr = f->v6 ? 8 : 12, bytes = f->v6 ? 16 : 4;

	memcpy(src, ip + addr, bytes);
	memcpy(ip + addr, ip + addr + bytes, bytes);
	memcpy(ip + addr + bytes, src, bytes);
	memset(frame + off, 0, 20);
	store_be16(frame + off, 80);
	store_be16(frame + off + 2, 4000);
	store_be32(frame + off + 4, 0xaabbccdd);
	memcpy(p, ip, off - 14 + 20);
	return off - 14 + 20;
}

static void test_echo(void **state)
{
	static uint8_t frame[2000];
	struct link_frame sent = { 0 };
	struct icmp_view icmp = { 0 };
	struct ip_view ip = { 0 };
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], 0);
		for (uint32_t body = 0; body <= 1400; body += body < 5 ? 1 : 155) {
			uint8_t *p = frame + icmp_body_off(&f);

			for (uint32_t i = 0; i < body; i++)
				p[i] = (uint8_t)(i * 3);
			fix_rx(&f, frame,
			       finish_icmp(&f, frame,
					   families[v] ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST, 0,
					   0x12340001, body));
			assert_true(fake_link_next(&f.drv, &sent));
			assert_int_equal(ip_parse(sent.data + 14, sent.len - 14, &ip), WIRE_OK);
			assert_int_equal(
				icmp_parse(ip_payload(&ip), ip.payload_len, ip.version, &icmp),
				WIRE_OK);
			assert_int_equal(icmp.kind, ICMP_KIND_ECHO_REPLY);
			assert_int_equal(icmp.rest, 0x12340001);
			assert_int_equal(icmp.body_len, body);
			assert_true(icmp_csum_ok(&ip, ip_payload(&ip), ip.payload_len, "", 0));
			for (uint32_t i = 0; i < body; i++)
				assert_int_equal(ip_payload(&ip)[8 + i], (uint8_t)(i * 3));
			free(sent.data);
		}
		/* Damaged, without a frame to answer in, or an answer itself: no answer */
		uint32_t len = finish_icmp(&f, frame, families[v] ? 128 : 8, 0, 1, 100);

		frame[len - 1] ^= 1;
		fix_rx(&f, frame, len);
		assert_int_equal(fix_drops(&f, STACK_DROP_ICMP_BAD), 1);
		frame[len - 1] ^= 1;
		f.drv.tx_max = 0;
		fix_rx(&f, frame, len);
		assert_int_equal(fix_drops(&f, STACK_DROP_NO_FRAME), 1);
		f.drv.tx_max = 10;
		fix_rx(&f, frame, finish_icmp(&f, frame, families[v] ? 129 : 0, 0, 1, 100));
		assert_int_equal(f.drv.sent_cnt, 0);
		fix_end(&f);
	}
}

static void rx_error(struct fix *f, uint8_t type, uint8_t code, uint32_t rest, uint8_t proto)
{
	static uint8_t frame[2000];
	uint32_t body = quote(f, frame + icmp_body_off(f), proto);

	fix_rx(f, frame, finish_icmp(f, frame, type, code, rest, body));
}

static void test_errors_to_tcp(void **state)
{
	static const struct {
		bool v6;
		uint8_t type, code;
		int err;
	} cases[] = {
		{ false, 3, 0, ENETUNREACH },	{ false, 3, 1, EHOSTUNREACH },
		{ false, 3, 2, ENOPROTOOPT },	{ false, 3, 3, ECONNREFUSED },
		{ false, 3, 4, EMSGSIZE },	{ false, 3, 13, EHOSTUNREACH },
		{ false, 11, 0, EHOSTUNREACH }, { false, 12, 0, EPROTO },
		{ true, 1, 0, ENETUNREACH },	{ true, 1, 1, EACCES },
		{ true, 1, 3, EHOSTUNREACH },	{ true, 1, 4, ECONNREFUSED },
		{ true, 2, 0, EMSGSIZE },	{ true, 3, 0, EHOSTUNREACH },
		{ true, 4, 1, EPROTO },
	};
	struct fix f;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		bool too_big = cases[i].err == EMSGSIZE;

		fix_begin(&f, cases[i].v6, 0);
		struct endpoint local = fix_ep(&f, 1, 80), remote = fix_ep(&f, 2, 4000);

		rx_error(&f, cases[i].type, cases[i].code, too_big ? 1300 : 0, IP_PROTO_TCP);
		assert_int_equal(stub.errors, 1);
		assert_int_equal(stub.error.err, cases[i].err);
		assert_int_equal(stub.error.mtu, too_big ? 1300 : 0);
		assert_int_equal(stub.error.link, f.link.v);
		assert_int_equal(stub.error.tcp_seq, 0xaabbccdd);
		assert_true(endpoint_eq(&stub.error.local, &local));
		assert_true(endpoint_eq(&stub.error.remote, &remote));
		fix_end(&f);
	}
}

static void test_bad_errors(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		uint8_t type = families[v] ? 1 : 3;
		uint32_t body;

		fix_begin(&f, families[v], 0);
		/* A quote cut anywhere before the eighth byte of TCP */
		body = quote(&f, frame + icmp_body_off(&f), IP_PROTO_TCP);
		for (uint32_t len = 0; len < body - 12; len++)
			fix_rx(&f, frame, finish_icmp(&f, frame, type, 0, 0, len));
		assert_int_equal(stub.errors, 0);
		assert_int_equal(fix_drops(&f, STACK_DROP_ICMP_BAD), body - 12);
		/* It quotes a packet of another host. */
		body = quote(&f, frame + icmp_body_off(&f), IP_PROTO_TCP);
		frame[icmp_body_off(&f) + (families[v] ? 23 : 15)] ^= 0x10;
		fix_rx(&f, frame, finish_icmp(&f, frame, type, 0, 0, body));
		/* Unknown code */
		rx_error(&f, type, 200, 0, IP_PROTO_TCP);
		/* Protocols that we never send */
		rx_error(&f, type, 0, 0, 132);
		assert_int_equal(stub.errors, 0);
		assert_int_equal(fix_drops(&f, STACK_DROP_ICMP_BAD), body - 12 + 3);
		fix_end(&f);
	}
}

static void test_errors_to_udp(void **state)
{
	struct stack_event ev;
	struct endpoint peer, local;
	struct udp_id u;
	struct fix f;
	uint8_t byte;
	size_t len;
	struct ip_addr to;
	struct link_id link;

	(void)state;
	for (int v = 0; v < 2; v++) {
		uint8_t type = families[v] ? 1 : 3, code = families[v] ? 4 : 3;

		fix_begin(&f, families[v], 0);
		local = fix_ep(&f, 1, 80);
		peer = fix_ep(&f, 2, 4000);
		assert_int_equal(udp_open(f.s, &local, 0, 5, &u), 0);
		/* Not connected: not told */
		rx_error(&f, type, code, 0, IP_PROTO_UDP);
		assert_int_equal(udp_ready(f.s, u), 0);
		udp_connect(f.s, u, &peer);
		/* Nothing has left by this link: it cannot know */
		rx_error(&f, type, code, 0, IP_PROTO_UDP);
		assert_int_equal(udp_ready(f.s, u), 0);
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, "x", 1), 0);
		/* What may pass by itself is not told: no route, no host, time exceeded */
		rx_error(&f, type, 0, 0, IP_PROTO_UDP);
		rx_error(&f, type, families[v] ? 3 : 1, 0, IP_PROTO_UDP);
		rx_error(&f, families[v] ? 3 : 11, 1, 0, IP_PROTO_UDP);
		assert_int_equal(udp_ready(f.s, u), 0);
		rx_error(&f, type, code, 0, IP_PROTO_UDP);
		assert_int_equal(udp_ready(f.s, u), STACK_EV_READABLE | STACK_EV_ERROR);
		assert_int_equal(stack_events(f.s, &ev, 1), 1);
		assert_int_equal(ev.events, STACK_EV_READABLE | STACK_EV_ERROR);
		assert_int_equal(udp_recv(f.s, u, &byte, 1, false, &len, &peer, &to, &link),
				 -ECONNREFUSED);
		assert_int_equal(udp_recv(f.s, u, &byte, 1, false, &len, &peer, &to, &link),
				 -EAGAIN);
		rx_error(&f, type, code, 0, IP_PROTO_UDP);
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, "x", 1),
				 -ECONNREFUSED);
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, "x", 1), 0);
		fix_end(&f);
	}
}

static void test_port_unreachable(void **state)
{
	static uint8_t frame[2000];
	struct link_frame sent = { 0 };
	struct icmp_quote quoted = { 0 };
	struct icmp_view icmp = { 0 };
	struct ip_view ip = { 0 };
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], 0);
		for (uint32_t len = 0; len <= 1400; len += 100) {
			fix_rx(&f, frame, fix_udp(&f, frame, 99, len, 0));
			assert_true(fake_link_next(&f.drv, &sent));
			assert_int_equal(ip_parse(sent.data + 14, sent.len - 14, &ip), WIRE_OK);
			assert_true(sent.len - 14 <= (families[v] ? 1280 : 576));
			assert_int_equal(
				icmp_parse(ip_payload(&ip), ip.payload_len, ip.version, &icmp),
				WIRE_OK);
			assert_int_equal(icmp.type, families[v] ? ICMP6_UNREACH : ICMP4_UNREACH);
			assert_int_equal(icmp.code,
					 families[v] ? ICMP6_UNREACH_PORT : ICMP4_UNREACH_PORT);
			assert_true(icmp_csum_ok(&ip, ip_payload(&ip), ip.payload_len, "", 0));
			assert_int_equal(icmp_parse_quote(&icmp, ip_payload(&ip) + 8, icmp.body_len,
							  &quoted),
					 WIRE_OK);
			assert_int_equal(quoted.src_port, 4000);
			assert_int_equal(quoted.dst_port, 99);
			free(sent.data);
		}
		fix_end(&f);
	}
}

static void test_rate_limit(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	for (int i = 0; i < 1000; i++)
		fix_rx(&f, frame, fix_udp(&f, frame, 99, 10, 0));
	assert_int_equal(f.drv.sent_cnt, 50);
	stack_now(f.s, 1010000);
	for (int i = 0; i < 1000; i++)
		fix_rx(&f, frame, fix_udp(&f, frame, 99, 10, 0));
	assert_int_equal(f.drv.sent_cnt, 60);
	stack_now(f.s, 90000000);
	for (int i = 0; i < 1000; i++)
		fix_rx(&f, frame, fix_udp(&f, frame, 99, 10, 0));
	assert_int_equal(f.drv.sent_cnt, 110);
	assert_int_equal(fix_drops(&f, STACK_DROP_UDP_NO_SOCKET), 3000);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_errors_to_tcp),
		cmocka_unit_test(test_bad_errors),
		cmocka_unit_test(test_errors_to_udp),
		cmocka_unit_test(test_port_unreachable),
		cmocka_unit_test(test_rate_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
