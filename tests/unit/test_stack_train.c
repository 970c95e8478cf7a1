// SPDX-License-Identifier: BSD-2-Clause
/*
 * Trains (udp_burst.c, udp.c): several datagrams in a packet, as they are sent, as they are read, and as somebody makes them who means
 * no good. What a train is stands in docs/shm-layout.md.
 */
#include "tests/unit/stack_stubs.h"

#define DIRECT (LINK_NO_CSUM | LINK_NO_LOSS | LINK_TRAINS)

static const bool families[] = { false, true };

/* Two stacks: what `a` sends is handed to `b`. */
struct pair {
	struct fix a, b;
	struct udp_id ua, ub;
	struct endpoint from, to;
};

static void pair_begin(struct pair *p, bool v6, uint32_t flags)
{
	fix_pair_begin(&p->a, &p->b, v6, flags);
	p->from = fix_ep(&p->a, 1, 80);
	p->to = fix_ep(&p->a, 2, 4000);
	assert_int_equal(udp_open(p->a.s, &p->from, 0, 0, &p->ua), 0);
	assert_int_equal(udp_open(p->b.s, &p->to, 0, 0, &p->ub), 0);
}

static void pair_end(struct pair *p)
{
	fix_end(&p->a);
	fix_end(&p->b);
}

static uint8_t pattern(uint32_t nr, uint32_t at)
{
	return (uint8_t)(nr * 31 + at * 7);
}

/* Datagrams of the lengths given, number @first and on. Return: as udp_send_burst(). */
static int send_lens(struct pair *p, const uint32_t *lens, unsigned int n, unsigned int *ret_sent)
{
	static uint8_t bytes[64][70000];
	struct udp_piece pieces[64];

	assert_true(n <= 64);
	for (unsigned int i = 0; i < n; i++) {
		pieces[i] = (struct udp_piece){ bytes[i], lens[i] };
		for (uint32_t j = 0; j < lens[i]; j++)
			bytes[i][j] = pattern(i, j);
	}
	return udp_send_burst(p->a.s, p->ua, p->a.link, &p->from.addr, &p->to, pieces, n, ret_sent);
}

/* What `a` has sent, to `b`. Return: frames. */
static unsigned int carry(struct pair *p)
{
	struct link_frame f;
	unsigned int cnt = 0;

	for (; fake_link_next(&p->a.drv, &f); cnt++) {
		fix_rx(&p->b, f.data, f.len);
		free(f.data);
	}
	return cnt;
}

static int read_one(struct pair *p, uint8_t *buf, size_t room, bool peek, size_t *ret_len)
{
	struct endpoint from = { 0 };
	struct link_id link = { 0 };
	struct ip_addr to;
	int ret = udp_recv(p->b.s, p->ub, buf, room, peek, ret_len, &from, &to, &link);

	if (ret == 0) {
		assert_true(endpoint_eq(&from, &p->from));
		assert_true(ip_addr_eq(&to, &p->to.addr));
		assert_int_equal(link.v, p->b.link.v);
	}
	return ret;
}

/* Datagram @nr is the next, of @len bytes; read at once, or looked at first, or in part only. */
static void read_nr(struct pair *p, uint32_t nr, uint32_t len)
{
	static uint8_t buf[70000];
	size_t room = nr % 5 == 4 ? len / 2 : sizeof(buf), got;

	if (nr % 3 == 0) {
		assert_int_equal(udp_next_bytes(p->b.s, p->ub, &got), 0);
		assert_int_equal(got, len);
		assert_int_equal(read_one(p, buf, sizeof(buf), true, &got), 0);
		assert_int_equal(got, len);
	}
	memset(buf, 0xee, room + 1 < sizeof(buf) ? room + 1 : room);
	assert_int_equal(udp_ready(p->b.s, p->ub), STACK_EV_READABLE);
	assert_int_equal(read_one(p, buf, room, false, &got), 0);
	assert_int_equal(got, len);
	for (uint32_t j = 0; j < min_u32(len, (uint32_t)room); j++)
		assert_int_equal(buf[j], pattern(nr, j));
	if (room < len)
		assert_int_equal(buf[room], 0xee);
}

static uint64_t drops(const struct pair *p)
{
	struct stack_stats stats;
	uint64_t sum = 0;

	stack_stats(p->b.s, &stats);
	for (unsigned int why = 0; why < STACK_DROP_CNT; why++)
		sum += stats.drops[why];
	return sum;
}

/* All lengths mixed: none, odd ones, one that fills a frame, some that no frame holds. */
static void test_lengths(void **state)
{
	static const uint32_t lens[] = { 64, 64, 0,  1,	  1300, 0,    0,   3,	 500, 1464, 1444, 1472, 1452, 9,
					 64, 7,	 64, 64, 3000, 65507, 100, 1000, 400, 0,    1,	  2,	0 };
	const unsigned int n = ARRAY_SIZE(lens);
	struct stack_stats stats;
	struct pair p;
	unsigned int sent;

	(void)state;
	for (int v = 0; v < 2; v++) {
		pair_begin(&p, families[v], DIRECT);
		assert_int_equal(send_lens(&p, lens, n, &sent), 0);
		assert_int_equal(sent, n);
		carry(&p);
		for (unsigned int i = 0; i < n; i++)
			read_nr(&p, i, lens[i]);
		assert_int_equal(udp_ready(p.b.s, p.ub), 0);
		assert_int_equal(p.b.drv.rx_out, 0);
		assert_int_equal(drops(&p), 0);
		stack_stats(p.a.s, &stats);
		assert_int_equal(stats.udp_tx, n);
		stack_stats(p.b.s, &stats);
		assert_int_equal(stats.udp_rx, n);
		/* too long for anybody: what comes before it leaves */
		assert_int_equal(send_lens(&p, (uint32_t[]){ 5, 6, 65528, 7 }, 4, &sent), -EMSGSIZE);
		assert_int_equal(sent, 2);
		pair_end(&p);
	}
}

/* As many as fit go together, and only where the link says that they may. */
static void test_packets(void **state)
{
	uint32_t lens[64];
	struct pair p;
	unsigned int sent;

	(void)state;
	for (unsigned int i = 0; i < 64; i++)
		lens[i] = 64;
	for (int v = 0; v < 4; v++) {
		bool v6 = families[v % 2];
		unsigned int fit = (1500u - (v6 ? 40 : 20)) / 72;

		pair_begin(&p, v6, v < 2 ? DIRECT : LINK_NO_CSUM | LINK_NO_LOSS);
		assert_int_equal(send_lens(&p, lens, 64, &sent), 0);
		assert_int_equal(sent, 64);
		assert_int_equal(carry(&p), v < 2 ? (64 + fit - 1) / fit : 64);
		for (unsigned int i = 0; i < 64; i++)
			read_nr(&p, i, 64);
		pair_end(&p);
	}
}

/* Where there are no frames to keep, trains are copied; when the link goes half way through one, its rest can still be read. */
static void test_copied(void **state)
{
	static const uint32_t lens[] = { 300, 300, 300, 300, 300, 300, 300, 300 };
	struct pair p;
	unsigned int sent;

	(void)state;
	for (int v = 0; v < 4; v++) {
		pair_begin(&p, families[v % 2], DIRECT);
		if (v < 2)
			link_at(&p.b.s->links, p.b.link.v)->hold_max = 1;
		assert_int_equal(send_lens(&p, lens, ARRAY_SIZE(lens), &sent), 0);
		assert_int_equal(carry(&p), 2);
		assert_int_equal(p.b.drv.rx_out, v < 2 ? 1 : 2);
		read_nr(&p, 0, 300);
		read_nr(&p, 1, 300);
		if (v >= 2) {
			stack_link_del(p.b.s, p.b.link, ECONNRESET);
			assert_int_equal(p.b.drv.rx_out, 0);
		}
		for (unsigned int i = 2; i < ARRAY_SIZE(lens); i++)
			read_nr(&p, i, 300);
		assert_int_equal(udp_ready(p.b.s, p.ub), 0);
		pair_end(&p);
	}
}

/* A queue is bounded by what trains hold, until the last of a train was read. */
static void test_bound(void **state)
{
	uint32_t lens[64];
	struct pair p;
	unsigned int sent, frames = 0, most = 0, got = 0;
	uint8_t buf[64];
	size_t len;

	(void)state;
	for (unsigned int i = 0; i < 64; i++)
		lens[i] = 64;
	pair_begin(&p, false, DIRECT);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(send_lens(&p, lens, 20, &sent), 0);
		frames += carry(&p);
	}
	assert_int_equal(frames, 1000);
	most = (256 << 10) / (20 * 72 - 8 + 256);
	assert_int_equal(fix_drops(&p.b, STACK_DROP_UDP_FULL), frames - most);
	while (read_one(&p, buf, sizeof(buf), false, &len) == 0)
		got++;
	assert_int_equal(got, most * 20);
	assert_int_equal(udp_sock_at(p.b.s, p.ub.v)->queued_bytes, 0);
	pair_end(&p);
}

/* ---- trains that nobody of ours would make ----------------------------------------------------- */

/* Packet of three datagrams of 16, 8 and 24 bytes and @tail more. Return: its length; ret_at: where the UDP headers are. */
static uint32_t make_train(const struct pair *p, uint8_t *frame, uint32_t tail, uint32_t ret_at[3])
{
	static const uint16_t lens[] = { 16, 8, 24 };
	uint32_t l4_len = 3 * UDP_HDR_BYTES + 16 + 8 + 24 + tail, off = fix_headers(&p->b, frame, IP_PROTO_UDP, l4_len);

	for (unsigned int i = 0; i < 3; i++) {
		struct udp_fields udp = { .src_port = 80, .dst_port = 4000, .payload_len = lens[i] };

		ret_at[i] = off;
		off += (uint32_t)udp_build(frame + off, &udp);
		for (uint32_t j = 0; j < lens[i]; j++)
			frame[off + j] = pattern(i, j);
		off += lens[i];
	}
	memset(frame + off, 0xff, tail);
	return off + tail;
}

/* It goes from `b`'s peer to `b`, so with the addresses of fix_headers() turned. */
static void hostile_begin(struct pair *p, bool v6)
{
	pair_begin(p, v6, DIRECT);
	udp_close(p->b.s, p->ub);
	p->from = fix_ep(&p->b, 2, 80);
	p->to = fix_ep(&p->b, 1, 4000);
	assert_int_equal(udp_open(p->b.s, &p->to, 0, 0, &p->ub), 0);
}

/* The packet of make_train() comes to `b`, two bytes from @byte on of its datagram @nr's header changed. */
static void change_and_take(struct pair *p, unsigned int nr, unsigned int byte, uint16_t value)
{
	static uint8_t frame[2000];
	uint32_t at[3], len = make_train(p, frame, 0, at);

	store_be16(frame + at[nr] + byte, value);
	fix_rx(&p->b, frame, len);
}

/* The first @good are read; the rest is gone, counted once if @bad, and its frame is free. */
static void expect(struct pair *p, unsigned int good, unsigned int bad)
{
	static const uint32_t lens[] = { 16, 8, 24 };
	uint64_t before = fix_drops(&p->b, STACK_DROP_UDP_BAD);

	for (unsigned int i = 0; i < good; i++)
		read_nr(p, i, lens[i]);
	assert_int_equal(udp_ready(p->b.s, p->ub), 0);
	assert_int_equal(fix_drops(&p->b, STACK_DROP_UDP_BAD) - before, bad);
	assert_int_equal(p->b.drv.rx_out, 0);
	assert_int_equal(udp_sock_at(p->b.s, p->ub.v)->queued_bytes, 0);
}

static void test_hostile_headers(void **state)
{
	static const struct {
		unsigned int nr, at; /* of which datagram's header, and which byte pair of it */
		uint16_t value;
		unsigned int good;
	} cases[] = {
		{ 1, 4, 0, 1 },	    { 1, 4, 7, 1 },	{ 1, 4, 49, 1 }, /* one more than there is */
		{ 1, 4, 65535, 1 }, { 2, 4, 33, 2 },	{ 2, 4, 7, 2 },
		{ 1, 0, 81, 1 },    { 2, 0, 0, 2 },	{ 1, 2, 4001, 1 }, /* of other flows */
		{ 2, 2, 53, 2 },
	};
	static uint8_t frame[2000];
	uint32_t at[3];
	struct pair p;

	(void)state;
	for (int v = 0; v < 2; v++) {
		hostile_begin(&p, families[v]);
		fix_rx(&p.b, frame, make_train(&p, frame, 0, at));
		expect(&p, 3, 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			change_and_take(&p, cases[i].nr, cases[i].at, cases[i].value);
			expect(&p, cases[i].good, 1);
		}
		/* what is behind the last is no header, or none that is whole */
		for (uint32_t tail = 1; tail < 12; tail++) {
			fix_rx(&p.b, frame, make_train(&p, frame, tail, at));
			expect(&p, 3, 1);
		}
		/* the second takes the third for its payload: that is its right */
		change_and_take(&p, 1, 4, 48);
		read_nr(&p, 0, 16);
		assert_int_equal(udp_next_bytes(p.b.s, p.ub, &(size_t){ 0 }), 0);
		udp_close(p.b.s, p.ub); /* with half a train in its queue */
		assert_int_equal(p.b.drv.rx_out, 0);
		pair_end(&p);
	}
}

/* The far end writes into the frame while it waits: what was looked at stays as it was found, what comes later is looked at later. */
static void test_hostile_writer(void **state)
{
	static uint8_t frame[2000];
	uint32_t at[3], len;
	struct pair p;

	(void)state;
	for (int v = 0; v < 2; v++) {
		hostile_begin(&p, families[v]);
		for (int late = 0; late < 2; late++) {
			uint64_t before = fix_drops(&p.b, STACK_DROP_UDP_BAD);
			struct link_frame live;
			size_t got;

			len = make_train(&p, frame, 300, at);
			store_be16(frame + at[2] + 4, 32 + 300);
			live = fake_link_frame(&p.b.drv, frame, len);
			stack_rx(p.b.s, p.b.link, &live, 1);
			assert_int_equal(p.b.drv.rx_out, 1);
			memset(live.data, 0xff, at[0] + UDP_HDR_BYTES); /* nobody asks the first header again */
			read_nr(&p, 0, 16);
			store_be16(live.data + at[1] + 4, 65535); /* too late */
			if (late)
				store_be16(live.data + at[2] + 4, 65535); /* in time */
			assert_int_equal(udp_next_bytes(p.b.s, p.ub, &got), 0);
			assert_int_equal(got, 8);
			read_nr(&p, 1, 8);
			assert_int_equal(udp_ready(p.b.s, p.ub), late ? 0 : STACK_EV_READABLE);
			assert_int_equal(fix_drops(&p.b, STACK_DROP_UDP_BAD) - before, late);
			if (!late) {
				assert_int_equal(read_one(&p, frame, 0, false, &got), 0);
				assert_int_equal(got, 24 + 300);
			}
			assert_int_equal(p.b.drv.rx_out, 0);
		}
		pair_end(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),	       cmocka_unit_test(test_packets),
		cmocka_unit_test(test_copied),	       cmocka_unit_test(test_bound),
		cmocka_unit_test(test_hostile_headers), cmocka_unit_test(test_hostile_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
