// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reassembly (ip_reass.c): fragments in every order, and those that nobody honest sends
 */
#include "tests/unit/stack_stubs.h"

#define DATAGRAM 3000

static const bool families[] = { false, true };

/* A socket on port 53, and a datagram for it from IP's payload on */
struct reass_fix {
	struct fix f;
	struct udp_id u;
	uint8_t l4[65536];
	uint32_t l4_len;
	uint32_t id;
	uint8_t tos;
};

static struct reass_fix *fix_new(bool v6, uint32_t payload)
{
	struct reass_fix *x = calloc(1, sizeof(*x));
	static uint8_t frame[66000];
	struct endpoint local;
	uint32_t len, off;

	assert_non_null(x);
	fix_begin(&x->f, v6, 0);
	local = fix_ep(&x->f, 1, 53);
	assert_int_equal(udp_open(x->f.s, &local, 0, 1, &x->u), 0);
	len = fix_udp(&x->f, frame, 53, payload, 7);
	off = len - payload - UDP_HDR_BYTES;
	x->l4_len = len - off;
	memcpy(x->l4, frame + off, x->l4_len);
	x->id = 4711;
	return x;
}

static void fix_free(struct reass_fix *x)
{
	udp_close(x->f.s, x->u);
	fix_end(&x->f);
	free(x);
}

/* @len bytes of the datagram from @off as a fragment from host @host */
static void fragment_from(struct reass_fix *x, unsigned int host, uint32_t off, uint32_t len,
			  bool more)
{
	uint8_t frame[4096];
	struct endpoint to = fix_ep(&x->f, 1, 0), from = fix_ep(&x->f, 2, 0);
	struct eth_fields eth = { .type = x->f.v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	struct ip4_fields ip4 = {
		.dst = ip_addr_v4(&to.addr),
		.payload_len = (uint16_t)len,
		.id = (uint16_t)x->id,
		.frag_off = (uint16_t)off,
		.more_frags = more,
		.ttl = 64,
		.proto = IP_PROTO_UDP,
		.tos = x->tos,
	};
	struct ip6_fields ip6 = {
		.dst = to.addr,
		.payload_len = (uint16_t)len,
		.hop_limit = 64,
		.proto = IP_PROTO_UDP,
		.tclass = x->tos,
		.has_frag_hdr = true,
		.more_frags = more,
		.frag_off = (uint16_t)off,
		.frag_id = x->id,
	};
	size_t at;

	from.addr.words[3] = be32(be32_get(from.addr.words[3]) + host - 2);
	ip4.src = ip_addr_v4(&from.addr);
	ip6.src = from.addr;
	memcpy(eth.dst.bytes, x->f.drv.mac, 6);
	at = eth_build(frame, &eth);
	if (x->f.v6) {
		at += ip6_build(frame + at, &ip6);
	} else {
		ip4_build(frame + at, &ip4);
		ip4_csum_fill(frame + at);
		at += IP4_HDR_BYTES;
	}
	memcpy(frame + at, x->l4 + (off < sizeof(x->l4) - len ? off : 0), len);
	fix_rx(&x->f, frame, (uint32_t)at + len);
}

static void fragment(struct reass_fix *x, uint32_t off, uint32_t len)
{
	fragment_from(x, 2, off, len, off + len < x->l4_len);
}

static bool delivered(struct reass_fix *x)
{
	static uint8_t buf[65536];
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	size_t len;

	if (udp_recv(x->f.s, x->u, buf, sizeof(buf), false, &len, &from, &to, &link) != 0)
		return false;
	assert_int_equal(len, x->l4_len - UDP_HDR_BYTES);
	assert_memory_equal(buf, x->l4 + UDP_HDR_BYTES, len);
	assert_int_equal(from.port, 4000);
	assert_int_equal(link.v, x->f.link.v);
	return true;
}

static void pass(struct reass_fix *x, uint64_t us)
{
	stack_now(x->f.s, x->f.s->now_us + us);
	stack_run(x->f.s);
}

static void test_every_order(void **state)
{
	static const uint32_t offs[] = { 0, 8, 1000, 1400, 2200, 2992 };

	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);
		struct prng prng;

		prng_seed(&prng, 1);
		for (unsigned int round = 0; round < 300; round++, x->id++) {
			uint32_t order[ARRAY_SIZE(offs)];

			for (uint32_t i = 0; i < ARRAY_SIZE(offs); i++) {
				uint32_t j = (uint32_t)prng_below(&prng, i + 1);

				order[i] = order[j];
				order[j] = i;
			}
			for (uint32_t i = 0; i < ARRAY_SIZE(offs); i++) {
				uint32_t n = order[i];
				uint32_t end = n + 1 < ARRAY_SIZE(offs) ? offs[n + 1] : x->l4_len;

				assert_false(delivered(x));
				fragment(x, offs[n], end - offs[n]);
				if (prng_below(&prng, 4) == 0 && i + 1 < ARRAY_SIZE(offs))
					fragment(x, offs[n], end - offs[n]); /* twice */
			}
			assert_true(delivered(x));
		}
		assert_int_equal(x->f.s->stats.ip_reassembled, 300);
		assert_true(fix_drops(&x->f, STACK_DROP_FRAG_DUP) > 100);
		assert_int_equal(x->f.s->reass.bytes, 0);
		fix_free(x);
	}
}

/* The largest there is, and one byte more; RFC 6946: a fragment that is all needs no waiting */
static void test_sizes(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		uint32_t most = families[v] ? 65527 : 65507;
		struct reass_fix *x = fix_new(families[v], most);
		uint64_t bad;

		for (uint32_t off = 0; off < x->l4_len; off += 1400)
			fragment(x, off, min_u32(1400, x->l4_len - off));
		assert_true(delivered(x));
		bad = fix_drops(&x->f, STACK_DROP_IP_FRAGMENT);
		x->id++;
		fragment_from(x, 2, 65528, 100, false); /* past 65,535: "ping of death" */
		assert_int_equal(fix_drops(&x->f, STACK_DROP_IP_FRAGMENT), bad + 1);
		fragment_from(x, 2, 0, 1001, true); /* not a multiple of 8 */
		assert_int_equal(fix_drops(&x->f, STACK_DROP_IP_FRAGMENT), bad + 2);
		fix_free(x);
		x = fix_new(families[v], 100);
		fragment(x, 0, x->l4_len);
		assert_true(delivered(x));
		assert_int_equal(x->f.s->stats.ip_reassembled, 0);
		fix_free(x);
	}
}

static void in_three(struct reass_fix *x)
{
	x->id++;
	fragment(x, 0, 1000);
	fragment(x, 1000, 1000);
	fragment(x, 2000, x->l4_len - 2000);
}

/* UDP takes the pieces as they are: what its header says about them holds nevertheless. */
static void test_pieces(void **state)
{
	struct endpoint local;
	struct link_frame sent = { 0 };

	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);

		/* More than UDP says is there: not for the program */
		x->l4_len += 100;
		in_three(x);
		x->l4_len -= 100;
		assert_true(delivered(x));
		/* Damaged in the last */
		x->l4[2500] ^= 1;
		in_three(x);
		assert_false(delivered(x));
		assert_int_equal(fix_drops(&x->f, STACK_DROP_UDP_BAD), 1);
		x->l4[2500] ^= 1;
		/* Less than UDP says */
		x->l4_len -= 8;
		in_three(x);
		x->l4_len += 8;
		assert_false(delivered(x));
		assert_int_equal(fix_drops(&x->f, STACK_DROP_UDP_BAD), 2);
		/* For nobody: who sent it is told, with a quote of the first */
		udp_close(x->f.s, x->u);
		in_three(x);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_UDP_NO_SOCKET), 1);
		assert_true(fake_link_next(&x->f.drv, &sent));
		assert_memory_equal(sent.data + sent.len - 400, x->l4 + (families[v] ? 792 : 128), 400);
		free(sent.data);
		local = fix_ep(&x->f, 1, 53);
		assert_int_equal(udp_open(x->f.s, &local, 0, 1, &x->u), 0);
		in_three(x);
		assert_true(delivered(x));
		fix_free(x);
	}
}

/* What waits for its program counts for each fragment: tiny ones don't take memory that nobody asked for. */
static void test_tiny_wait(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], 248);
		struct udp_sock *sock = udp_sock_at(x->f.s, x->u.v);
		struct stack *s = x->f.s;
		unsigned int got = 0;

		for (int i = 0; i < 100; i++) {
			x->id++;
			for (uint32_t off = 0; off < x->l4_len; off += 8)
				fragment(x, off, 8);
		}
		assert_int_equal(sock->queued_bytes, (256 << 10) / (248 + 32 * 256) * (248 + 32 * 256));
		assert_true((uint64_t)s->bufs.pool[BUF_SMALL].used * BUF_SMALL_BYTES < 3 * (uint64_t)sock->queued_bytes);
		while (delivered(x))
			got++;
		assert_int_equal(got, (256 << 10) / (248 + 32 * 256));
		assert_int_equal(sock->queued_bytes, 0);
		fix_free(x);
	}
}

/* RFC 5722: any overlap spoils the datagram, with what comes later of it; others are as before */
static void test_overlap(void **state)
{
	static const struct {
		uint32_t off, len;
	} evil[] = { { 8, 8 }, { 0, 1008 }, { 992, 16 }, { 1000, 400 }, { 504, 496 }, { 1400, 1608 } };

	(void)state;
	for (unsigned int v = 0; v < 2; v++)
		for (unsigned int i = 0; i < ARRAY_SIZE(evil); i++) {
			struct reass_fix *x = fix_new(families[v], DATAGRAM);

			fragment(x, 0, 1000);
			fragment(x, 1400, 800);
			if (i == 3)
				fragment(x, 1000, 200);
			fragment(x, evil[i].off, evil[i].len);
			assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_OVERLAP), 1);
			assert_int_equal(x->f.s->reass.bytes, 0);
			fragment(x, 0, 1000);
			fragment(x, 1000, 1000);
			fragment(x, 2000, x->l4_len - 2000);
			assert_false(delivered(x));
			assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_OVERLAP), 4);
			x->id++;
			fragment(x, 0, 1400);
			fragment(x, 1400, x->l4_len - 1400);
			assert_true(delivered(x));
			/* nobody is told of a spoilt one; later its name is free again */
			pass(x, 61 * US_PER_SEC);
			assert_int_equal(x->f.drv.sent_cnt, 0);
			x->id--;
			fragment(x, 0, 1400);
			fragment(x, 1400, x->l4_len - 1400);
			assert_true(delivered(x));
			fix_free(x);
		}
}

/* Two ends, and data behind the end */
static void test_two_ends(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);

		fragment_from(x, 2, 1000, 1000, false);
		fragment_from(x, 2, 2000, 100, false);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_OVERLAP), 1);
		x->id++;
		fragment_from(x, 2, 1400, 800, true);
		fragment_from(x, 2, 1000, 104, false);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_OVERLAP), 2);
		fix_free(x);
	}
}

/* RFC 1858, RFC 7112: the first fragment holds the transport header; and there are not too many. */
static void test_tiny(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);

		/* UDP's header is 8 bytes, which is the least that a fragment can have */
		fragment(x, 0, 8);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_TINY), 0);
		for (uint32_t i = 1; i < 300; i++)
			fragment(x, i * 8, 8);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_TINY), 1);
		assert_int_equal(x->f.s->reass.bytes, 0);
		fix_free(x);
	}
}

/* RFC 3168 5.3: a mark on one is a mark on all; never on what cannot carry one */
static void test_ecn(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);

		x->tos = IP_ECN_ECT0;
		fragment(x, 0, 1400);
		x->tos = IP_ECN_CE;
		fragment(x, 1400, x->l4_len - 1400);
		assert_true(delivered(x));
		x->id++;
		x->tos = IP_ECN_NOT_ECT;
		fragment(x, 0, 1400);
		x->tos = IP_ECN_CE;
		fragment(x, 1400, x->l4_len - 1400);
		assert_false(delivered(x));
		fix_free(x);
	}
}

/* RFC 792, RFC 4443: after 30 s or 60 s the sender hears of it, if its first fragment had come */
static void test_timeout(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);
		uint32_t secs = families[v] ? 60 : 30;
		const struct link_frame *sent;
		struct icmp_view icmp;
		struct icmp_quote quote;
		struct ip_view ip;

		fragment(x, 1400, 800);
		x->id++;
		fragment(x, 0, 1400);
		pass(x, (secs - 1) * US_PER_SEC);
		assert_int_equal(x->f.drv.sent_cnt, 0);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_TIMEOUT), 0);
		pass(x, US_PER_SEC + 10000);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_TIMEOUT), 2);
		assert_int_equal(x->f.drv.sent_cnt, 1);
		sent = &x->f.drv.sent[x->f.drv.sent_first];
		assert_int_equal(ip_parse(sent->data + ETH_HDR_BYTES, sent->len - ETH_HDR_BYTES, &ip),
				 WIRE_OK);
		assert_int_equal(icmp_parse(ip_payload(&ip), ip.payload_len, ip.version, &icmp),
				 WIRE_OK);
		assert_int_equal(icmp.type,
				 families[v] ? ICMP6_TIME_EXCEEDED : ICMP4_TIME_EXCEEDED);
		assert_int_equal(icmp.code, ICMP_TIME_EXCEEDED_REASSEMBLY);
		assert_int_equal(icmp_parse_quote(&icmp, ip_payload(&ip) + ICMP_HDR_BYTES,
						  icmp.body_len, &quote),
				 WIRE_OK);
		assert_int_equal(quote.src_port, 4000);
		assert_int_equal(quote.dst_port, 53);
		assert_int_equal(quote.ip.frag_id, x->id);
		assert_true(quote.ip.more_frags);
		assert_int_equal(x->f.s->reass.bytes, 0);
		fix_free(x);
	}
}

/* One source cannot take the place of another; all together have a limit. */
static void test_flood(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);
		uint32_t ids = x->id;

		fragment_from(x, 3, 0, 1400, true);
		for (uint32_t i = 0; i < 5000; i++) {
			x->id = ids + 1 + i;
			fragment(x, 0, 1400);
			assert_true(x->f.s->reass.bytes <= 4u << 20);
		}
		assert_true(fix_drops(&x->f, STACK_DROP_FRAG_MEMORY) > 4000);
		x->id = ids;
		fragment_from(x, 3, 1400, x->l4_len - 1400, false);
		assert_int_equal(x->f.s->stats.ip_reassembled, 1);
		/* many sources: the oldest go */
		for (uint32_t i = 0; i < 20000; i++) {
			x->id = i;
			fragment_from(x, 10 + i % 200, 1400, 1400, true);
			assert_true(x->f.s->reass.bytes <= 4u << 20);
		}
		x->id = 70000;
		fragment_from(x, 100, 0, 1400, true);
		fragment_from(x, 100, 1400, x->l4_len - 1400, false);
		assert_int_equal(x->f.s->stats.ip_reassembled, 2);
		pass(x, 61 * US_PER_SEC);
		assert_int_equal(x->f.s->reass.bytes, 0);
		fix_free(x);
	}
}

static void test_link_gone(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 2; v++) {
		struct reass_fix *x = fix_new(families[v], DATAGRAM);

		fragment(x, 0, 1400);
		stack_link_del(x->f.s, x->f.link, ENETDOWN);
		assert_int_equal(x->f.s->reass.bytes, 0);
		pass(x, 61 * US_PER_SEC);
		assert_int_equal(fix_drops(&x->f, STACK_DROP_FRAG_TIMEOUT), 0);
		fix_free(x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_tiny_wait), cmocka_unit_test(test_pieces), cmocka_unit_test(test_overlap),	    cmocka_unit_test(test_two_ends),
		cmocka_unit_test(test_tiny),	    cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_timeout),	    cmocka_unit_test(test_flood),
		cmocka_unit_test(test_link_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
