// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

static const bool families[] = { false, true };

static struct udp_id open_at(struct fix *f, uint16_t port, uint64_t cookie)
{
	struct endpoint local = fix_ep(f, 1, port);
	struct udp_id u;

	assert_int_equal(udp_open(f->s, &local, 0, cookie, &u), 0);
	assert_int_not_equal(u.v, 0);
	return u;
}

struct got {
	int ret;
	size_t len;
	struct endpoint from;
	struct ip_addr to;
	struct link_id link;
	uint8_t bytes[2000];
};

static struct got recv_from(struct fix *f, struct udp_id u, size_t room, bool peek)
{
	struct got got = { 0 };

	got.ret = udp_recv(f->s, u, got.bytes, room, peek, &got.len, &got.from, &got.to, &got.link);
	return got;
}

static void test_receive(void **state)
{
	static uint8_t frame[2000];
	struct stack_event ev[4];
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], 0);
		struct udp_id u = open_at(&f, 53, 99);
		struct endpoint peer = fix_ep(&f, 2, 4000), local = fix_ep(&f, 1, 53);
		static const uint32_t lens[] = { 0, 1, 256, 257, 1000, 1400 };

		assert_int_equal(recv_from(&f, u, 10, false).ret, -EAGAIN);
		for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++)
			fix_rx(&f, frame, fix_udp(&f, frame, 53, lens[i], (uint8_t)i));
		/* The three longer ones stay in their frames. */
		assert_int_equal(f.drv.rx_out, 3);
		assert_int_equal(stack_events(f.s, ev, 4), 1);
		assert_int_equal(ev[0].obj, STACK_OBJ_UDP);
		assert_int_equal(ev[0].id, u.v);
		assert_int_equal(ev[0].cookie, 99);
		assert_int_equal(ev[0].events, STACK_EV_READABLE);
		assert_int_equal(udp_ready(f.s, u), STACK_EV_READABLE);
		for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
			struct got peeked = recv_from(&f, u, 2000, true),
				   got = recv_from(&f, u, 2000, false);

			assert_int_equal(got.ret, 0);
			assert_int_equal(got.len, lens[i]);
			assert_memory_equal(got.bytes, peeked.bytes, lens[i]);
			for (uint32_t j = 0; j < lens[i]; j++)
				assert_int_equal(got.bytes[j], (uint8_t)(i + j));
			assert_true(endpoint_eq(&got.from, &peer));
			assert_true(ip_addr_eq(&got.to, &local.addr));
			assert_int_equal(got.link.v, f.link.v);
		}
		assert_int_equal(f.drv.rx_out, 0);
		assert_int_equal(udp_ready(f.s, u), 0);
		/* Truncated: its whole length is told, the rest is gone. */
		fix_rx(&f, frame, fix_udp(&f, frame, 53, 500, 1));
		struct got got = recv_from(&f, u, 10, false);

		assert_int_equal(got.len, 500);
		assert_int_equal(got.bytes[10], 0);
		assert_int_equal(recv_from(&f, u, 10, false).ret, -EAGAIN);
		udp_close(f.s, u);
		fix_end(&f);
	}
}

/* Byte @at of the headers is @value: does that make it something whose checksum the test doesn't fill in? */
static bool has_other_checksum(unsigned int at, unsigned int value)
{
	enum { PROTO = ETH_HDR_BYTES + offsetof(struct ip4_hdr, proto), IP_CSUM = ETH_HDR_BYTES + offsetof(struct ip4_hdr, csum) };

	return at == ETH_HDR_BYTES || at == IP_CSUM || at == IP_CSUM + 1 ||
	       (at == PROTO && (value == IP_PROTO_TCP || value == IP_PROTO_ICMP));
}

/*
 * What nearly every datagram looks like takes a way of its own, on links without checksums (ip_in.c: rx_is_plain_udp()). Whatever a
 * header says, the outcome is that of the way which checks everything: there, checksums are right, or not computed.
 */
static void plain_as_any(uint32_t len)
{
	enum { HDRS = ETH_HDR_BYTES + IP4_HDR_BYTES + UDP_HDR_BYTES };
	static uint8_t frame[2000];
	static struct got got[2];
	struct fix f[2];
	struct udp_id u[2];
	unsigned int taken = 0;

	for (unsigned int i = 0; i < 2; i++) {
		struct endpoint any = { .port = 53 };

		fix_begin(&f[i], false, i == 0 ? LINK_NO_CSUM : 0);
		assert_int_equal(udp_open(f[i].s, &any, 0, 0, &u[i]), 0);
	}
	for (unsigned int at = 0; at < HDRS; at++) {
		for (unsigned int value = 0; value < 256; value++) {
			if (has_other_checksum(at, value))
				continue;
			fix_udp(&f[0], frame, 53, len, (uint8_t)value);
			frame[at] = (uint8_t)value;
			store_be16(frame + HDRS - 2, 0);
			ip4_csum_fill(frame + ETH_HDR_BYTES);
			for (unsigned int i = 0; i < 2; i++) {
				fix_rx(&f[i], frame, HDRS + len);
				got[i] = recv_from(&f[i], u[i], sizeof(got[i].bytes), false);
				fake_link_drain(&f[i].drv);
			}
			taken += got[0].ret == 0;
			assert_int_equal(got[0].ret, got[1].ret);
			assert_int_equal(got[0].len, got[1].len);
			assert_true(endpoint_eq(&got[0].from, &got[1].from));
			assert_true(ip_addr_eq(&got[0].to, &got[1].to));
			assert_memory_equal(got[0].bytes, got[1].bytes, sizeof(got[0].bytes));
			for (unsigned int why = 0; why < STACK_DROP_CNT; why++)
				assert_int_equal(fix_drops(&f[0], why), fix_drops(&f[1], why));
		}
	}
	assert_true(taken > 3000);
	for (unsigned int i = 0; i < 2; i++) {
		udp_close(f[i].s, u[i]);
		fix_end(&f[i]);
	}
}

static void test_plain_as_any(void **state)
{
	(void)state;
	plain_as_any(200); /* each byte of a length can make it too small, or too large */
	plain_as_any(300);
}

static void test_send(void **state)
{
	static uint8_t payload[70000];
	struct link_frame frame = { 0 };
	struct udp_view udp = { 0 };
	struct ip_view ip = { 0 };
	struct fix f;

	(void)state;
	for (int v = 0; v < 2; v++) {
		fix_begin(&f, families[v], 0);
		struct udp_id u = open_at(&f, 53, 0);
		struct endpoint local = fix_ep(&f, 1, 0), peer = fix_ep(&f, 2, 4000);
		uint32_t most = families[v] ? 1452 : 1472;

		for (uint32_t len = 0; len <= most; len += len < 10 ? 1 : 331) {
			memset(payload, (int)len, len);
			assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, payload, len),
					 0);
			assert_true(fake_link_next(&f.drv, &frame));
			assert_int_equal(ip_parse(frame.data + 14, frame.len - 14, &ip), WIRE_OK);
			assert_int_equal(udp_parse(ip_payload(&ip), ip.payload_len, &udp), WIRE_OK);
			assert_int_equal(udp.payload_len, len);
			assert_int_equal(udp.src_port, 53);
			assert_int_equal(udp.dst_port, 4000);
			assert_true(udp_has_csum(&udp));
			assert_true(ip_csum_ok(&ip, ip_payload(&ip), ip.payload_len, "", 0));
			free(frame.data);
		}
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, payload, 65600),
				 -EMSGSIZE);
		assert_int_equal(
			udp_send(f.s, u, (struct link_id){ 9 }, &local.addr, &peer, payload, 1),
			-ENETDOWN);
		f.v6 = !f.v6;
		peer = fix_ep(&f, 2, 4000);
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, payload, 1),
				 -EAFNOSUPPORT);
		f.v6 = !f.v6;
		peer = fix_ep(&f, 2, 4000);
		f.drv.tx_max = 0;
		assert_int_equal(udp_send(f.s, u, f.link, &local.addr, &peer, payload, 1), -EAGAIN);
		fix_end(&f);
	}
}

static void test_bad_datagrams(void **state)
{
	static uint8_t frame[2000];
	struct fix f;
	uint32_t len;

	(void)state;
	for (int v = 0; v < 2; v++) {
		uint32_t l4 = families[v] ? 54 : 34;

		fix_begin(&f, families[v], 0);
		struct udp_id u = open_at(&f, 53, 0);

		len = fix_udp(&f, frame, 53, 100, 0);
		frame[len - 1] ^= 1;
		fix_rx(&f, frame, len);
		assert_int_equal(fix_drops(&f, STACK_DROP_UDP_BAD), 1);
		len = fix_udp(&f, frame, 53, 100, 0);
		store_be16(frame + l4 + 4, 109);
		fix_rx(&f, frame, len);
		store_be16(frame + l4 + 4, 7);
		fix_rx(&f, frame, len);
		store_be16(frame + l4 + 4, 0);
		fix_rx(&f, frame, len);
		assert_int_equal(fix_drops(&f, STACK_DROP_UDP_BAD), 4);
		/* No checksum: IPv4 only */
		len = fix_udp(&f, frame, 53, 100, 0);
		store_be16(frame + l4 + 6, 0);
		fix_rx(&f, frame, len);
		assert_int_equal(recv_from(&f, u, 10, false).ret, families[v] ? -EAGAIN : 0);
		fix_end(&f);
	}
}

static void test_queue_bound(void **state)
{
	static uint8_t frame[2000];
	struct fix f;
	unsigned int queued = 0;

	(void)state;
	fix_begin(&f, false, 0);
	struct udp_id u = open_at(&f, 53, 0);

	for (int i = 0; i < 5000; i++)
		fix_rx(&f, frame, fix_udp(&f, frame, 53, 1000, 0));
	while (recv_from(&f, u, 10, false).ret == 0)
		queued++;
	assert_int_equal(queued, (256 << 10) / (1000 + 256));
	assert_int_equal(fix_drops(&f, STACK_DROP_UDP_FULL), 5000 - queued);
	/* As much again, once it has been read */
	fix_rx(&f, frame, fix_udp(&f, frame, 53, 1000, 0));
	assert_int_equal(recv_from(&f, u, 10, false).ret, 0);
	fix_end(&f);
}

/* Bytes of memory that datagrams take, wherever they wait */
static uint64_t memory_of(const struct stack *s)
{
	uint64_t bytes = (uint64_t)s->udp->dgrams.used * s->udp->dgrams.obj_bytes;

	for (int kind = 0; kind < BUF_KIND_CNT; kind++)
		bytes += (uint64_t)s->bufs.pool[kind].used * s->bufs.pool[kind].obj_bytes;
	return bytes;
}

static unsigned int fill(struct fix *f, struct udp_id u, uint32_t len, unsigned int cnt)
{
	static uint8_t frame[2000];
	unsigned int queued = 0;

	for (unsigned int i = 0; i < cnt; i++)
		fix_rx(f, frame, fix_udp(f, frame, 53, len, 0));
	assert_true(memory_of(f->s) <= 3 * (uint64_t)udp_sock_at(f->s, u.v)->queued_bytes);
	while (recv_from(f, u, 2000, false).ret == 0)
		queued++;
	return queued;
}

/* A bound of its own, by which other sockets lose nothing, of frames neither; and what waits takes little more memory than it counts for. */
static void test_rcvbuf(void **state)
{
	static const uint32_t lens[] = { 0, 60, 256, 257, 497, 1000, 1400 };
	struct fix f;

	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(families); v++) {
		fix_begin(&f, families[v], 0);
		struct udp_id other = open_at(&f, 54, 0), u = open_at(&f, 53, 0);

		for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
			udp_rcvbuf_set(f.s, u, 2 << 20);
			assert_int_equal(fill(&f, u, lens[i], 10000), min_u32(10000, (2 << 20) / (lens[i] + 256)));
			udp_rcvbuf_set(f.s, u, 10000);
			assert_int_equal(fill(&f, u, lens[i], 100), 10000 / (lens[i] + 256));
			udp_rcvbuf_set(f.s, u, 1); /* one there always is */
			assert_int_equal(fill(&f, u, lens[i], 100), 1);
		}
		assert_int_equal(fill(&f, other, 0, 0), 0);
		udp_rcvbuf_set(f.s, u, UINT32_MAX);
		assert_int_equal(fill(&f, u, 1000, 10000), 10000);
		assert_true(f.drv.rx_out == 0);
		udp_close(f.s, u);
		u = open_at(&f, 53, 0); /* as every socket begins */
		assert_int_equal(fill(&f, u, 1000, 1000), (256 << 10) / (1000 + 256));
		fix_end(&f);
	}
}

/* Frames are to wait while a socket that is read has enough: until it has been read, is closed, or a time is over; not for one that isn't. */
static void test_crowded(void **state)
{
	enum { HALF = (128 << 10) / (1000 + 256), QUARTER = HALF / 2 };
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	for (int way = 0; way < 3; way++) {
		struct udp_id u = open_at(&f, 53, 0);
		int left = HALF + 3; /* in the queue when it is crowded */

		for (int i = 0; i < HALF + 10; i++)
			fix_rx(&f, frame, fix_udp(&f, frame, 53, 1000, 0));
		assert_false(stack_is_crowded(f.s)); /* nobody has read */
		for (int i = 0; i < 8; i++)
			assert_int_equal(recv_from(&f, u, 10, false).ret, 0);
		assert_false(stack_is_crowded(f.s)); /* nothing has come since */
		fix_rx(&f, frame, fix_udp(&f, frame, 53, 1000, 0));
		assert_true(stack_is_crowded(f.s));
		if (way == 0) {
			while (--left > QUARTER)
				assert_true(recv_from(&f, u, 10, false).ret == 0 && stack_is_crowded(f.s));
			assert_int_equal(recv_from(&f, u, 10, false).ret, 0);
		} else if (way == 1) {
			stack_now(f.s, f.s->now_us + 99);
			assert_true(stack_is_crowded(f.s));
			stack_now(f.s, f.s->now_us + 1);
			assert_false(stack_is_crowded(f.s));
			fix_rx(&f, frame, fix_udp(&f, frame, 53, 1000, 0));
		}
		if (way < 2)
			assert_false(stack_is_crowded(f.s));
		udp_close(f.s, u);
		assert_false(stack_is_crowded(f.s));
	}
	fix_end(&f);
}

static void test_no_memory(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	open_at(&f, 53, 0);
	f.s->mem.bytes_max = f.s->mem.bytes;
	for (int i = 0; i < 100; i++)
		fix_rx(&f, frame, fix_udp(&f, frame, 53, 100, 0));
	assert_true(fix_drops(&f, STACK_DROP_NO_MEMORY) > 0);
	fix_end(&f);
}

static void test_connected(void **state)
{
	static uint8_t frame[2000];
	struct endpoint other;
	struct fix f;

	(void)state;
	fix_begin(&f, true, 0);
	struct udp_id u = open_at(&f, 53, 0);

	other = fix_ep(&f, 2, 4001);
	udp_connect(f.s, u, &other);
	fix_rx(&f, frame, fix_udp(&f, frame, 53, 10, 0));
	assert_int_equal(fix_drops(&f, STACK_DROP_UDP_NO_SOCKET), 1);
	other.port = 4000;
	udp_connect(f.s, u, &other);
	fix_rx(&f, frame, fix_udp(&f, frame, 53, 10, 0));
	udp_connect(f.s, u, NULL);
	fix_rx(&f, frame, fix_udp(&f, frame, 53, 10, 0));
	assert_int_equal(recv_from(&f, u, 10, false).ret, 0);
	assert_int_equal(recv_from(&f, u, 10, false).ret, 0);
	assert_int_equal(recv_from(&f, u, 10, false).ret, -EAGAIN);
	fix_end(&f);
}

/* One datagram from 4000 comes in; one of two sockets gets it: the first, or else the second. */
static void expect_taker(struct fix *f, struct udp_id first, struct udp_id second, bool is_first)
{
	static uint8_t frame[2000];

	fix_rx(f, frame, fix_udp(f, frame, 53, 10, 0));
	assert_int_equal(recv_from(f, first, 10, false).ret, is_first ? 0 : -EAGAIN);
	assert_int_equal(recv_from(f, second, 10, false).ret, is_first ? -EAGAIN : 0);
}

/* Beside a connected socket there may be others at its place, and a less specific place of its is no hindrance. */
static void test_connected_beside(void **state)
{
	(void)state;
	for (int v = 0; v < 4; v++) {
		struct endpoint any = { .port = 53 }, at, peer, stranger;
		bool v6 = families[v / 2];
		struct udp_id u[3];
		struct fix f;

		fix_begin(&f, v6, 0);
		at = fix_ep(&f, 1, 53);
		peer = fix_ep(&f, 2, 4000);
		stranger = fix_ep(&f, 2, 4001);
		assert_int_equal(udp_open(f.s, v % 2 ? &any : &at, 0, 0, &u[0]), 0);
		assert_int_equal(udp_connect(f.s, u[0], &stranger), 0);
		u[1] = open_at(&f, 53, 0);
		assert_int_equal(udp_open(f.s, &at, 0, 0, &u[2]), -EADDRINUSE);
		expect_taker(&f, u[0], u[1], false);
		assert_int_equal(udp_connect(f.s, u[0], &peer), 0);
		expect_taker(&f, u[0], u[1], true);
		/* two are connected: each has its own */
		assert_int_equal(udp_connect(f.s, u[1], &stranger), 0);
		expect_taker(&f, u[0], u[1], true);
		u[2] = open_at(&f, 53, 0);
		expect_taker(&f, u[0], u[2], true);
		assert_int_equal(udp_connect(f.s, u[1], NULL), -EADDRINUSE);
		assert_int_equal(udp_connect(f.s, u[0], NULL), v % 2 ? 0 : -EADDRINUSE);
		expect_taker(&f, u[0], u[2], v % 2 == 0);
		udp_close(f.s, u[2]);
		assert_int_equal(udp_connect(f.s, u[1], NULL), 0);
		udp_close(f.s, u[0]);
		u[2] = open_at(&f, 54, 0);
		expect_taker(&f, u[1], u[2], true);
		assert_int_equal(fix_drops(&f, STACK_DROP_UDP_NO_SOCKET), 0);
		fix_end(&f);
	}
}

/*
 * A server with a connected socket for each client, as for DTLS: what a datagram costs may not grow with them. (Looked up one after the
 * other these took 20 seconds, now 0.1.)
 */
static void test_connected_many(void **state)
{
	enum { CLIENTS = 60000, FIRST = 1024 };
	static struct udp_id u[CLIENTS];
	static uint8_t frame[2000];
	struct udp_id rest;

	(void)state;
	for (int v = 0; v < 2; v++) {
		struct endpoint any = { .port = 53 }, peer;
		struct fix f;

		fix_begin(&f, families[v], LINK_NO_CSUM);
		for (uint32_t i = 0; i < CLIENTS; i++) {
			peer = fix_ep(&f, 2, (uint16_t)(FIRST + i));
			assert_int_equal(udp_open(f.s, &any, 0, 0, &u[i]), 0);
			assert_int_equal(udp_connect(f.s, u[i], &peer), 0);
		}
		assert_int_equal(udp_open(f.s, &any, 0, 0, &rest), 0);
		for (uint32_t i = 0; i < CLIENTS; i += 2)
			udp_close(f.s, u[i]);
		for (uint32_t i = 0; i < CLIENTS; i++) {
			uint32_t len = fix_udp(&f, frame, 53, 10, 0);
			struct got got;

			store_be16(frame + len - 10 - UDP_HDR_BYTES, (uint16_t)(FIRST + i));
			fix_rx(&f, frame, len);
			got = recv_from(&f, i % 2 ? u[i] : rest, 10, false);
			assert_int_equal(got.ret, 0);
			assert_int_equal(got.from.port, FIRST + i);
		}
		fix_end(&f);
	}
}

static void test_open(void **state)
{
	struct endpoint any = { .port = 53 };
	struct udp_id u[3];
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	u[0] = open_at(&f, 53, 0);
	assert_int_equal(udp_open(f.s, &any, 0, 0, &u[1]), 0);
	assert_int_equal(udp_open(f.s, &any, 0, 0, &u[2]), -EADDRINUSE);
	udp_close(f.s, u[1]);
	assert_int_equal(udp_open(f.s, &any, STACK_LISTEN_V6ONLY, 0, &u[1]), 0);
	fix_end(&f);
}

/* Which socket each of 64 senders comes to, as a bit; each to one. */
static uint32_t senders_reach(const struct fix *f, uint64_t ret_of[64])
{
	struct endpoint local = fix_ep(f, 1, 53);
	uint32_t reached = 0;

	for (unsigned i = 0; i < 64; i++) {
		struct endpoint from = fix_ep(f, 2, (uint16_t)(4000 + i));
		uint32_t id = ports_find_from(&f->s->ports, PORT_UDP, &local.addr, local.port, &from);

		assert_int_equal(ports_find_from(&f->s->ports, PORT_UDP, &local.addr, local.port, &from), id);
		ret_of[i] = id;
		reached |= UINT32_C(1) << id;
	}
	return reached;
}

/* A group has each its part of the senders; one that is bound over them has all, until it is gone or connected. */
static void test_shared(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(families); v++) {
		uint64_t before[64], after[64];
		uint32_t group = 0, over;
		struct endpoint local, peer;
		struct udp_id u[4], last, alone;
		struct fix f;

		fix_begin(&f, families[v], 0);
		local = fix_ep(&f, 1, 53);
		peer = fix_ep(&f, 2, 4000);
		for (unsigned i = 0; i < ARRAY_SIZE(u); i++) {
			assert_int_equal(udp_open(f.s, &local, STACK_LISTEN_SHARED | STACK_LISTEN_OVER, 0, &u[i]), 0);
			group |= UINT32_C(1) << u[i].v;
		}
		assert_int_equal(udp_open(f.s, &local, 0, 0, &alone), -EADDRINUSE);
		assert_int_equal(senders_reach(&f, before), group);
		assert_int_equal(udp_open(f.s, &local, STACK_LISTEN_OVER, 0, &last), 0);
		over = UINT32_C(1) << last.v;
		assert_int_equal(senders_reach(&f, after), over);
		assert_int_equal(udp_connect(f.s, last, &peer), 0);
		assert_int_equal(senders_reach(&f, after), group | over);
		assert_int_equal(after[0], last.v);
		assert_memory_equal(before + 1, after + 1, sizeof(before) - sizeof(before[0]));
		udp_close(f.s, last);
		assert_int_equal(senders_reach(&f, after), group);
		assert_memory_equal(before, after, sizeof(before));
		fix_end(&f);
	}
}

/* The link goes: its frames are free at once, what they held can still be read. */
static void test_link_gone(void **state)
{
	static uint8_t frame[2000];
	struct fix f;

	(void)state;
	for (int no_memory = 0; no_memory < 2; no_memory++) {
		fix_begin(&f, false, 0);
		struct udp_id u = open_at(&f, 53, 0);

		for (int i = 0; i < 5; i++)
			fix_rx(&f, frame,
			       fix_udp(&f, frame, 53, i % 2 == 0 ? 1000 : 10, (uint8_t)i));
		assert_int_equal(f.drv.rx_out, 3);
		if (no_memory) {
			f.s->mem.bytes_max = f.s->mem.bytes;
			while (pool_get(&f.s->bufs.pool[BUF_SMALL]) != 0)
				;
		}
		stack_link_del(f.s, f.link, ECONNRESET);
		assert_int_equal(f.drv.rx_out, 0);
		for (int i = 0; i < 5; i++) {
			if (no_memory && i % 2 == 0)
				continue;
			struct got got = recv_from(&f, u, 2000, false);

			assert_int_equal(got.ret, 0);
			assert_int_equal(got.len, i % 2 == 0 ? 1000 : 10);
			assert_int_equal(got.bytes[3], i + 3);
		}
		assert_int_equal(recv_from(&f, u, 2000, false).ret, -EAGAIN);
		assert_int_equal(fix_drops(&f, STACK_DROP_NO_MEMORY), no_memory ? 3 : 0);
		fix_end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receive),	      cmocka_unit_test(test_plain_as_any),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_bad_datagrams), cmocka_unit_test(test_queue_bound),
		cmocka_unit_test(test_rcvbuf),
		cmocka_unit_test(test_crowded),	      cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_connected),
		cmocka_unit_test(test_connected_beside),
		cmocka_unit_test(test_connected_many), cmocka_unit_test(test_open),
		cmocka_unit_test(test_shared),	      cmocka_unit_test(test_link_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
