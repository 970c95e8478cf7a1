// SPDX-License-Identifier: BSD-2-Clause
/* The stack around TCP: receiving and sending of IP, links, output queues, events, the deadline. */
#include "tests/unit/stack_stubs.h"

static const bool families[] = { false, true };

/* ---- receiving --------------------------------------------------------------------------------
 */

static void test_tcp_delivered(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], 0);
		/* All lengths of options and payload; past what is copied at first, too */
		for (uint32_t opts = 0; opts <= 40; opts += 4)
			for (uint32_t len = 0; len <= 120; len += 7) {
				uint32_t total = fix_tcp(&f, frame, opts, len);

				fix_rx(&f, frame, total);
				assert_int_equal(stub.payload_len, len);
				assert_int_equal(stub.hdr_len, 20 + opts);
				assert_int_equal(stub.seq, 77);
			}
		assert_int_equal(stub.inputs, 11 * 18);
		fix_end(&f);
	}
}

static void hostile_rewrite(struct stack *s, struct pkt *pkt)
{
	(void)s;
	/* The peer changes its frame while we look: nothing that was checked may change. */
	memset(pkt->frame.data, 0xff, pkt->frame.len);
}

static void test_headers_are_copied(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], LINK_NO_CSUM);
		stub.on_input = hostile_rewrite;
		fix_rx(&f, frame, fix_tcp(&f, frame, 40, 1000));
		assert_int_equal(stub.payload_len, 1000);
		assert_int_equal(stub.hdr_len, 60);
		fix_end(&f);
	}
}

/* Cut anywhere: dropped with a reason, and never read past the end (AddressSanitizer watches). */
static void test_truncated(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		struct stack_stats stats;
		uint64_t drops = 0;
		uint32_t total;

		fix_begin(&f, families[v], 0);
		total = fix_tcp(&f, frame, 40, 10);
		for (uint32_t len = 0; len < total; len++)
			fix_rx(&f, frame, len);
		assert_int_equal(stub.inputs, 0);
		stack_stats(f.s, &stats);
		for (int i = 0; i < STACK_DROP_CNT; i++)
			drops += stats.drops[i];
		assert_int_equal(drops, total);
		assert_int_equal(stats.rx_frames, total);
		fix_end(&f);
	}
}

/* A frame with one byte changed */
static void rx_changed(struct fix *f, uint32_t at, uint8_t to)
{
	static uint8_t frame[2000];
	uint32_t len = fix_tcp(f, frame, 12, 100);

	frame[at] = to;
	fix_rx(f, frame, len);
}

static void test_drops_v4(void **state)
{
	static uint8_t frame[2000];
	struct fix f;
	uint32_t len;

	(void)state;
	fix_begin(&f, false, 0);
	rx_changed(&f, 5, 9);
	assert_int_equal(fix_drops(&f, STACK_DROP_ETH_DST), 1);
	rx_changed(&f, 12, 0x12);
	assert_int_equal(fix_drops(&f, STACK_DROP_ETH_TYPE), 1);
	rx_changed(&f, 12, 0);
	assert_int_equal(fix_drops(&f, STACK_DROP_ETH_TYPE), 2);
	rx_changed(&f, 14, 0x65);
	rx_changed(&f, 14, 0x44);
	assert_int_equal(fix_drops(&f, STACK_DROP_IP_HEADER), 2);
	rx_changed(&f, 16, 0x10);
	assert_int_equal(fix_drops(&f, STACK_DROP_IP_SHORT), 1);
	rx_changed(&f, 22, 63);
	assert_int_equal(fix_drops(&f, STACK_DROP_IP_CSUM), 1);
	rx_changed(&f, 90, 0);
	assert_int_equal(fix_drops(&f, STACK_DROP_TCP_CSUM), 1);

	len = fix_tcp(&f, frame, 0, 80);
	store_be16(frame + 20, 0x2000);
	ip4_csum_fill(frame + 14);
	fix_rx(&f, frame, len);
	assert_int_equal(
		fix_drops(&f, STACK_DROP_IP_FRAGMENT) + fix_drops(&f, STACK_DROP_IP_HEADER), 3);

	len = fix_headers(&f, frame, 132, 30);
	fix_rx(&f, frame, len + 30);
	len = fix_headers(&f, frame, IP_PROTO_ICMP6, 30);
	fix_rx(&f, frame, len + 30);
	assert_int_equal(fix_drops(&f, STACK_DROP_IP_PROTO), 2);
	assert_int_equal(stub.inputs, 0);
	fix_end(&f);
}

/* Addresses that no one may have as source, and destinations that are not one host */
static void test_bad_addresses(void **state)
{
	static const char *const bad_src[] = { "224.0.0.1", "255.255.255.255", "0.0.0.0" };
	static const char *const bad_src6[] = { "ff02::1", "::", "::ffff:1.2.3.4" };
	static uint8_t frame[2000];
	struct ip_addr addr;
	struct fix f;
	uint32_t len;

	(void)state;
	for (int i = 0; i < 6; i++) {
		bool v6 = i >= 3;

		fix_begin(&f, v6, LINK_NO_CSUM);
		assert_int_equal(ip_addr_parse(v6 ? bad_src6[i - 3] : bad_src[i], &addr), 0);
		for (int dst = 0; dst < 2; dst++) {
			len = fix_tcp(&f, frame, 0, 10);
			if (v6)
				memcpy(frame + 14 + 8 + dst * 16, addr.bytes, 16);
			else
				memcpy(frame + 14 + 12 + dst * 4, addr.bytes + 12, 4);
			fix_rx(&f, frame, len);
		}
		assert_int_equal(fix_drops(&f, STACK_DROP_IP_HEADER), 2);
		assert_int_equal(stub.inputs, 0);
		fix_end(&f);
	}
}

/* IPv6 with destination options before TCP, as long as the copy reaches; and with IPv4 options. */
static void test_extensions(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	fix_begin(&f, true, LINK_NO_CSUM);
	for (uint32_t units = 0; units < 12; units++) {
		uint32_t ext = 8 + units * 8, len = fix_tcp(&f, frame, 40, 50);

		memmove(frame + 54 + ext, frame + 54, len - 54);
		memset(frame + 54, 0, ext);
		frame[54] = IP_PROTO_TCP;
		frame[55] = (uint8_t)units;
		frame[56] = 1; /* PadN over the rest */
		frame[57] = (uint8_t)(ext - 4);
		frame[20] = IP6_EXT_DEST_OPTS;
		store_be16(frame + 18, (uint16_t)(len - 54 + ext));
		fix_rx(&f, frame, len + ext);
	}
	/* 14 + 40 + ext + 60 <= PKT_HDR_MAX */
	assert_int_equal(stub.inputs, 9);
	assert_int_equal(stub.payload_len, 50);
	fix_end(&f);

	fix_begin(&f, false, LINK_NO_CSUM);
	uint32_t len = fix_tcp(&f, frame, 40, 50);

	memmove(frame + 74, frame + 34, len - 34);
	memset(frame + 34, 1, 40);
	frame[14] = 0x4f;
	store_be16(frame + 16, (uint16_t)(len - 14 + 40));
	fix_rx(&f, frame, len + 40);
	assert_int_equal(stub.inputs, 1);
	assert_int_equal(stub.hdr_len, 60);
	fix_end(&f);
}

/* Padding behind the packet is not payload; a priority tag is no VLAN. */
static void test_padding_and_tags(void **state)
{
	static uint8_t frame[2000];
	struct fix f;
	uint32_t len;

	(void)state;
	fix_begin(&f, false, 0);
	memset(frame, 0x99, sizeof(frame));
	len = fix_tcp(&f, frame, 0, 0);
	fix_rx(&f, frame, len + 6);
	assert_int_equal(stub.inputs, 1);
	assert_int_equal(stub.payload_len, 0);

	memmove(frame + 16, frame + 12, len - 12);
	store_be16(frame + 12, ETH_TYPE_VLAN);
	store_be16(frame + 14, 0xe000);
	fix_rx(&f, frame, len + 4);
	assert_int_equal(stub.inputs, 2);
	store_be16(frame + 14, 0xe005);
	fix_rx(&f, frame, len + 4);
	assert_int_equal(stub.inputs, 2);
	assert_int_equal(fix_drops(&f, STACK_DROP_ETH_TYPE), 1);
	fix_end(&f);
}

static void keep_pkt(struct stack *s, struct pkt *pkt)
{
	static struct bufq q;

	if (pkt->frame.len == 0)
		return;
	bufq_drop(&s->bufs, &q);
	assert_int_equal(
		bufq_append_pkt(&s->bufs, &q, pkt, pkt->l4_off + 20u, pkt->ip.payload_len - 20u),
		0);
	bufq_drop(&s->bufs, &q);
}

/* Batches of all sizes, frames kept or not: each comes back once. */
static void test_batches(void **state)
{
	static uint8_t bytes[2000];
	struct link_frame frames[100];
	struct fix f;
	unsigned int sum = 0;

	(void)state;
	fix_begin(&f, true, 0);
	stub.on_input = keep_pkt;
	for (unsigned int n = 0; n <= 100; n++) {
		for (unsigned int i = 0; i < n; i++)
			frames[i] = fake_link_frame(&f.drv, bytes, fix_tcp(&f, bytes, 0, i * 14));
		stack_rx(f.s, f.link, frames, n);
		assert_int_equal(f.drv.rx_out, 0);
		sum += n;
		assert_int_equal(stub.inputs, sum);
	}
	fix_end(&f);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void test_tx_headers(void **state)
{
	struct link_frame frame = { 0 };
	struct ip_view ip = { 0 };
	struct eth_view eth;
	struct ip_tx tx;
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		bool v4 = !families[v];

		fix_begin(&f, families[v], 0);
		struct ip_path path = {
			.src = fix_ep(&f, 1, 0).addr,
			.dst = fix_ep(&f, 2, 0).addr,
			.proto = 6,
			.ttl = 33,
			.tos = 0x2a,
		};

		assert_int_equal(ip_tx_get(f.s, f.link.v, v4, &tx), 0);
		assert_int_equal(tx.l4_room, v4 ? 1480 : 1460);
		memset(tx.l4, 0x11, 100);
		ip_tx_put(f.s, &tx, &path, 100);
		assert_true(fake_link_next(&f.drv, &frame));
		assert_int_equal(eth_parse(frame.data, frame.len, &eth), WIRE_OK);
		assert_memory_equal(eth.hdr->dst.bytes, f.drv.peer_mac, 6);
		assert_memory_equal(eth.hdr->src.bytes, f.drv.mac, 6);
		assert_int_equal(ip_parse(frame.data + 14, frame.len - 14, &ip), WIRE_OK);
		assert_int_equal(ip.payload_len, 100);
		assert_int_equal(ip.ttl, 33);
		assert_int_equal(ip.tos, 0x2a);
		assert_int_equal(ip.proto, 6);
		assert_true(ip.dont_frag);
		if (v4)
			assert_true(ip4_csum_ok(&ip));
		struct ip_addr src = ip_src(&ip), dst = ip_dst(&ip);

		assert_true(ip_addr_eq(&src, &path.src) && ip_addr_eq(&dst, &path.dst));
		assert_int_equal(ip_payload(&ip)[99], 0x11);
		free(frame.data);
		assert_int_equal(ip_tx_get(f.s, f.link.v, v4, &tx), 0);
		ip_tx_unget(f.s, &tx);
		assert_int_equal(ip_tx_get(f.s, f.link.v + 1, v4, &tx), -ENETDOWN);
		f.drv.tx_max = 0;
		assert_int_equal(ip_tx_get(f.s, f.link.v, v4, &tx), -EAGAIN);
		assert_true(stack_link_blocked(f.s, f.link));
		fix_end(&f);
	}
}

/* ---- links, output queues, events -------------------------------------------------------------
 */

static uint32_t new_conn(struct fix *f, uint64_t cookie)
{
	uint32_t id = pool_get(&f->s->conns);
	struct stub_conn *conn = pool_at(&f->s->conns, id);

	memset(conn, 0, sizeof(*conn));
	event_cookie_set(&conn->event, cookie);
	return id;
}

static struct fix *resume_fix;

static void resume_again(struct stack *s, uint32_t id)
{
	struct ip_tx tx;

	if (ip_tx_get(s, resume_fix->link.v, true, &tx) == 0)
		ip_tx_unget(s, &tx);
	if (stub.resumes < 50)
		stack_output_later(s, resume_fix->link.v, ref_tcp(id));
}

static void test_output_queue(void **state)
{
	struct fix f;
	uint32_t id[4];

	(void)state;
	fix_begin(&f, false, 0);
	resume_fix = &f;
	for (unsigned int i = 0; i < 4; i++)
		id[i] = new_conn(&f, i);
	assert_false(stack_unfinished(f.s));
	assert_true(stack_deadline(f.s) == UINT64_MAX);
	for (unsigned int i = 0; i < 4; i++) {
		stack_output_later(f.s, f.link.v, ref_tcp(id[i]));
		stack_output_later(f.s, f.link.v, ref_tcp(id[i]));
	}
	assert_true(stack_unfinished(f.s));
	assert_true(stack_deadline(f.s) <= 1000000);
	stack_output_done(f.s, f.link.v, ref_tcp(id[1]));
	stack_output_done(f.s, f.link.v, ref_tcp(id[1]));
	stack_run(f.s);
	assert_int_equal(stub.resumes, 3);
	assert_int_equal(stub.resumed[0], id[0]);
	assert_int_equal(stub.resumed[1], id[2]);
	assert_int_equal(stub.resumed[2], id[3]);
	assert_false(stack_unfinished(f.s));

	/* Who asks again waits for the next call, in turn. */
	stub.on_resume = resume_again;
	stack_output_later(f.s, f.link.v, ref_tcp(id[0]));
	stack_output_later(f.s, f.link.v, ref_tcp(id[1]));
	stack_run(f.s);
	assert_int_equal(stub.resumes, 5);
	stack_run(f.s);
	assert_int_equal(stub.resumes, 7);
	assert_int_equal(stub.resumed[5], id[0]);
	assert_int_equal(stub.resumed[6], id[1]);

	/* Blocked: no turns and no spinning until there may be frames again. */
	f.drv.tx_max = 0;
	stack_run(f.s);
	assert_int_equal(stub.resumes, 8);
	assert_true(stack_link_blocked(f.s, f.link));
	assert_true(stack_deadline(f.s) == UINT64_MAX);
	assert_true(stack_unfinished(f.s));
	stack_run(f.s);
	assert_int_equal(stub.resumes, 8);
	f.drv.tx_max = 10;
	stack_link_writable(f.s, f.link);
	assert_int_equal(stub.resumes, 10);
	assert_true(stack_deadline(f.s) <= 1000000);
	stack_link_del(f.s, f.link, ECONNRESET);
	assert_false(stack_unfinished(f.s));
	assert_true(stack_deadline(f.s) == UINT64_MAX);
	fix_end(&f);
}

static void test_links(void **state)
{
	struct link_config cfg;
	struct link_id a, b;
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	cfg = fake_link_config(&f.drv, 1279, 0);
	assert_int_equal(stack_link_add(f.s, &cfg, &a), -EINVAL);
	cfg.mtu = 65536;
	assert_int_equal(stack_link_add(f.s, &cfg, &a), -EINVAL);
	cfg.mtu = 65535;
	assert_int_equal(stack_link_add(f.s, &cfg, &a), 0);
	assert_int_not_equal(a.v, f.link.v);
	stack_link_del(f.s, a, ENETDOWN);
	assert_int_equal(stub.links_gone, 1);
	stack_link_del(f.s, a, ENETDOWN);
	assert_int_equal(stub.links_gone, 1);
	assert_false(stack_link_blocked(f.s, a));
	stack_link_writable(f.s, a);
	assert_int_equal(stack_link_add(f.s, &cfg, &b), 0);
	assert_int_equal(a.v, b.v);
	for (unsigned int i = 0; i < 65533; i++)
		assert_int_equal(stack_link_add(f.s, &cfg, &b), 0);
	assert_int_equal(stack_link_add(f.s, &cfg, &b), -ENOSPC);
	stack_link_del(f.s, a, ENETDOWN);
	assert_int_equal(stack_link_add(f.s, &cfg, &b), 0);
	fix_end(&f);
}

static void test_events(void **state)
{
	struct stack_event ev[8];
	struct fix f;
	uint32_t id[3];

	(void)state;
	fix_begin(&f, false, 0);
	for (unsigned int i = 0; i < 3; i++)
		id[i] = new_conn(&f, UINT64_C(0x1122334455667700) + i);
	stack_event_add(f.s, ref_tcp(id[2]), STACK_EV_READABLE);
	stack_event_add(f.s, ref_tcp(id[0]), STACK_EV_WRITABLE);
	stack_event_add(f.s, ref_tcp(id[1]), STACK_EV_ERROR);
	stack_event_add(f.s, ref_tcp(id[2]), STACK_EV_EOF);
	stack_event_del(f.s, ref_tcp(id[1]));
	stack_event_del(f.s, ref_tcp(id[1]));
	assert_int_equal(stack_events(f.s, ev, 1), 1);
	assert_int_equal(ev[0].id, id[2]);
	assert_int_equal(ev[0].obj, STACK_OBJ_TCP);
	assert_true(ev[0].cookie == UINT64_C(0x1122334455667702));
	assert_int_equal(ev[0].events, STACK_EV_READABLE | STACK_EV_EOF);
	assert_int_equal(stack_events(f.s, ev, 8), 1);
	assert_int_equal(ev[0].id, id[0]);
	assert_int_equal(stack_events(f.s, ev, 8), 0);
	stack_event_add(f.s, ref_tcp(id[2]), STACK_EV_READABLE);
	assert_int_equal(stack_events(f.s, ev, 8), 1);
	fix_end(&f);
}

/* What TCP holds back until stack_run() is owed, and due now. */
static void test_tcp_run(void **state)
{
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	f.s->owing_cnt = 1;
	assert_true(stack_unfinished(f.s));
	assert_true(stack_deadline(f.s) <= 1000000);
	stack_run(f.s);
	assert_false(stack_unfinished(f.s));
	assert_true(stack_deadline(f.s) == UINT64_MAX);
	fix_end(&f);
}

static void test_timer_and_now(void **state)
{
	struct fix f;
	uint32_t id;

	(void)state;
	fix_begin(&f, false, 0);
	id = new_conn(&f, 0);
	wheel_arm(&f.s->wheel, ref_tcp(id), 1500000);
	assert_true(stack_deadline(f.s) <= 1501024 && stack_deadline(f.s) > 1000000);
	stack_now(f.s, 1499000);
	stack_now(f.s, 5); /* ignored */
	stack_run(f.s);
	assert_int_equal(stub.timers, 0);
	stack_now(f.s, 1501024);
	stack_run(f.s);
	assert_int_equal(stub.timers, 1);
	assert_true(stack_deadline(f.s) == UINT64_MAX);
	fix_end(&f);
}

static void test_ports(void **state)
{
	static const struct {
		const char *ep;
		unsigned flags;
		int ret;
	} adds[] = {
		{ "[::]:80", 0, 0 },
		{ "0.0.0.0:80", 0, -EADDRINUSE },
		{ "[::]:80", STACK_LISTEN_V6ONLY, -EADDRINUSE },
		{ "10.0.0.1:80", 0, 0 },
		{ "10.0.0.1:80", 0, -EADDRINUSE },
		{ "[2001:db8::1]:80", 0, 0 },
		{ "0.0.0.0:81", 0, 0 },
		{ "[::]:81", 0, -EADDRINUSE },
		{ "[::]:81", STACK_LISTEN_V6ONLY, 0 },
		{ "10.0.0.1:0", 0, -EINVAL },
		{ "[::]:83", STACK_LISTEN_SHARED, 0 }, /* the 11th */
		{ "[::]:83", 0, -EADDRINUSE },
		{ "10.0.0.1:83", STACK_LISTEN_SHARED, 0 },
		{ "[::]:83", STACK_LISTEN_SHARED, 0 },
		{ "0.0.0.0:83", STACK_LISTEN_SHARED, 0 },
		{ "[::]:80", STACK_LISTEN_SHARED, -EADDRINUSE },
	};
	static const struct {
		const char *ep;
		uint32_t turns[4];
	} picks[] = {
		{ "10.0.0.1:83", { 13, 13, 13, 13 } }, { "10.0.0.2:83", { 15, 15, 15, 15 } }, { "[2001:db8::1]:83", { 14, 11, 14, 11 } },
		{ "10.0.0.2:80", { 1, 1, 1, 1 } },
	};
	static const struct {
		const char *ep;
		uint32_t id;
	} finds[] = {
		{ "10.0.0.1:80", 4 },	   { "10.0.0.2:80", 1 }, { "[2001:db8::1]:80", 6 },
		{ "[2001:db8::2]:80", 1 }, { "10.0.0.9:81", 7 }, { "[2001:db8::1]:81", 9 },
		{ "10.0.0.1:82", 0 },
	};
	struct port_id places[ARRAY_SIZE(adds)];
	struct endpoint ep;
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(adds); i++) {
		assert_int_equal(endpoint_parse(adds[i].ep, &ep), 0);
		assert_int_equal(ports_add(&f.s->ports, PORT_TCP, &ep, adds[i].flags, i + 1, &places[i]),
				 adds[i].ret);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(finds); i++) {
		assert_int_equal(endpoint_parse(finds[i].ep, &ep), 0);
		assert_int_equal(ports_find(&f.s->ports, PORT_TCP, &ep.addr, ep.port), finds[i].id);
		assert_int_equal(ports_find(&f.s->ports, PORT_UDP, &ep.addr, ep.port), 0);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(picks); i++) {
		assert_int_equal(endpoint_parse(picks[i].ep, &ep), 0);
		for (uint32_t turn = 0; turn < 4; turn++)
			assert_int_equal(ports_pick(&f.s->ports, PORT_TCP, &ep.addr, ep.port, turn), picks[i].turns[turn]);
	}
	ports_del(&f.s->ports, places[3]);
	assert_int_equal(endpoint_parse("10.0.0.1:80", &ep), 0);
	assert_int_equal(ports_find(&f.s->ports, PORT_TCP, &ep.addr, ep.port), 1);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_delivered),
		cmocka_unit_test(test_headers_are_copied),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_drops_v4),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_padding_and_tags),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_tx_headers),
		cmocka_unit_test(test_output_queue),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_tcp_run),
		cmocka_unit_test(test_timer_and_now),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
