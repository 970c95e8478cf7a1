// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a connection tells about itself, by Linux's names and meanings: delivered, its rate, what limited the sender and how
 * long, duplicates, reordering, and drops by reason
 */
#include "tests/sim/line_help.h"
#include "wire/ip.h"

#include <errno.h>
#include <string.h>

/* SYN is one; SACKed counts when it is SACKed, and once. What was sent twice and arrived once is one. */
static void delivered(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	assert_int_equal(info(t).delivered, 1);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	assert_int_equal(info(t).delivered, 1);
	SACK(20 * MS, 1, "1001:3001");
	assert_int_equal(info(t).delivered, 3);
	SACK(0, 1, "1001:5001");
	IGNORE(); /* the first again */
	assert_int_equal(info(t).delivered, 5);
	ACK(20 * MS, 5001);
	IGNORE();
	assert_int_equal(info(t).delivered, 6);
	ACK(0, 10001);
	assert_int_equal(info(t).delivered, 11);
	assert_int_equal(info(t).delivered_ce, 0);
	/* FIN is one; nothing is forgotten while nothing is in flight */
	NOTHING_FOR(100 * SEC);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	IGNORE();
	ACK(20 * MS, 10002);
	assert_int_equal(info(t).delivered, 12);
}

/* What an acknowledgement with ECE delivers */
static void delivered_ce(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "SEW 0:0(0) <mss 1000,sackOK>");
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 5000);
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 2001");
	RECV(0, ".E 1:1(0) ack 4001");
	RECV(0, ". 1:1(0) ack 5001");
	IGNORE();
	assert_int_equal(info(t).delivered, 6);
	assert_int_equal(info(t).delivered_ce, 2);
}

/*
 * Limited by the program: 3,000 bytes in 2 ms. Slower ones of a program that pauses do not count. By the path: ten segments
 * in 18 ms, which do although they are slower.
 */
static void delivery_rate(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	assert_int_equal(info(t).delivery_rate_Bps, 0);
	line_write(t, 3000);
	SEGMENTS(1, 3);
	ACK(2 * MS, 3001);
	assert_int_equal(info(t).delivery_rate_Bps, 1500000);
	assert_true(info(t).delivery_app_limited);
	/* a little: slower */
	line_write(t, 1000);
	IGNORE();
	ACK(2 * MS, 4001);
	assert_int_equal(info(t).delivery_rate_Bps, 1500000);
	/* more than the window: of the second flight all is the path's */
	line_write(t, 60000);
	IGNORE();
	ACK(18 * MS, 13001);
	IGNORE();
	ACK(18 * MS, 24001);
	IGNORE();
	assert_false(info(t).delivery_app_limited);
	assert_int_equal(info(t).delivery_rate_Bps, 11000 * SEC / (18 * MS));
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* Busy from the first byte queued to the last acknowledged, however often */
static void busy_time(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	NOTHING_FOR(1 * SEC);
	assert_int_equal(info(t).busy_us, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		line_write(t, 1000);
		IGNORE();
		NOTHING_FOR(10 * MS);
		assert_in_range(info(t).busy_us, i * 20 * MS - 11 * MS, i * 20 * MS - 9 * MS);
		ACK(10 * MS, i * 1000 + 1);
		NOTHING_FOR(5 * SEC);
		assert_in_range(info(t).busy_us, i * 20 * MS - 1 * MS, i * 20 * MS + 1 * MS);
	}
	assert_int_equal(info(t).rwnd_limited_us, 0);
	assert_int_equal(info(t).sndbuf_limited_us, 0);
}

/* The peer offers four segments of which one more would have to fit; and then enough. */
static void rwnd_limited(void **state)
{
	struct line *t = *state;

	t->peer_win = 4500 >> 7;
	line_established_passive(t, WITH_SACK);
	line_write(t, 20000);
	SEGMENTS(1, 4);
	IGNORE();
	ACK(20 * MS, 4001);
	IGNORE();
	assert_in_range(info(t).rwnd_limited_us, 19 * MS, 21 * MS);
	t->peer_win = 65535;
	ACK(20 * MS, 8001);
	IGNORE();
	assert_in_range(info(t).rwnd_limited_us, 39 * MS, 41 * MS);
	ACK(20 * MS, 20001);
	IGNORE();
	assert_in_range(info(t).rwnd_limited_us, 39 * MS, 41 * MS);
	assert_in_range(info(t).busy_us, 59 * MS, 61 * MS);
	assert_int_equal(info(t).sndbuf_limited_us, 0);
}

/* The program has more, and the buffer holds no more than is in flight. */
static void sndbuf_limited(void **state)
{
	static const uint8_t more[10000];
	struct line *t = *state;
	size_t took = 0;

	line_established_passive(t, WITH_SACK);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_SNDBUF, 4000), 0);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	NOTHING_FOR(3 * MS); /* it has no more as yet */
	assert_int_equal(info(t).sndbuf_limited_us, 0);
	assert_int_equal(tcp_send(t->s, t->id, more, sizeof(more), 0, &took), -EAGAIN);
	ACK(15 * MS, 4001);
	NOTHING_FOR(1 * SEC);
	assert_in_range(info(t).sndbuf_limited_us, 14 * MS, 16 * MS);
	assert_in_range(info(t).busy_us, 17 * MS, 19 * MS);
	assert_int_equal(info(t).rwnd_limited_us, 0);
}

/* RFC 2883: in segments */
static void dsack_dups(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 3001, "1001:3001");
	assert_int_equal(info(t).dsack_dups, 2);
	SACK(0, 3001, "2501:2601");
	assert_int_equal(info(t).dsack_dups, 3);
	ACK(0, 10001);
}

/* SACKed first, what was sent last; then the first ones, never sent again, fill in. */
static void reordering(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	assert_int_equal(info(t).reordering, 3);
	SACK(20 * MS, 1, "9001:10001");
	SACK(0, 1, "8001:10001");
	assert_int_equal(info(t).reord_seen, 1); /* by one: 3 is assumed */
	assert_int_equal(info(t).reordering, 3);
	SACK(0, 1, "2001:3001 8001:10001");
	assert_int_equal(info(t).reord_seen, 2);
	assert_int_equal(info(t).reordering, 8);
	ACK(0, 10001);
	assert_int_equal(info(t).reord_seen, 3);
	assert_int_equal(info(t).reordering, 10);
	IGNORE();
}

/* ---- drops ----------------------------------------------------------------------------------- */

/* @text is dropped for @why, and counted by stack and connection; nothing else is. */
static void dropped_at(struct line *t, int line, enum stack_drop why, const char *text)
{
	struct tcp_info before = info(t), after;
	uint64_t all = stats(t).drops[why];

	line_recv(t, __FILE__, line, 0, text);
	after = info(t);
	assert_int_equal(after.drops[why], before.drops[why] + 1);
	assert_int_equal(stats(t).drops[why], all + 1);
	before.drops[why]++;
	assert_memory_equal(after.drops, before.drops, sizeof(after.drops));
	IGNORE();
}
#define DROPPED(why, text) dropped_at(t, __LINE__, STACK_DROP_##why, text)

static void drops_by_reason(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	DROPPED(TCP_PAWS, "P. 1:101(100) ack 1001 <TS val 5 ecr *>");
	DROPPED(TCP_SEQ, "P. 500001:500101(100) ack 1001 <TS val 2000 ecr *>");
	DROPPED(TCP_ACK, "P. 1:101(100) ack 5001 <TS val 2000 ecr *>");
	DROPPED(TCP_RST, "R 100:100(0) <TS val 2000 ecr *>");
	DROPPED(TCP_SYN, "S 100:100(0) <TS val 2000 ecr *>");
	DROPPED(TCP_NO_ACK, "P 1:101(100) <TS val 2000 ecr *>");
	DROPPED(TCP_SACK, ". 1:1(0) ack 1 <TS val 2000 ecr *,sack 5001:6001>");
	DROPPED(TCP_SEQ, "P. 500001:500101(100) ack 1001 <TS val 2000 ecr *>");
	assert_int_equal(info(t).drops[STACK_DROP_TCP_SEQ], 2);
	assert_int_equal(info(t).unread_bytes, 0);
	RECV(0, ". 1:1(0) ack 1001 <TS val 2000 ecr *>");
	IGNORE();
}

/* On a link that cannot lose as well: the peer may be anything. */
static void drops_direct(void **state)
{
	struct line *t = *state;
	struct line_config cfg = t->cfg;

	cfg.link_flags = LINK_NO_LOSS | LINK_NO_CSUM;
	line_restart(t, &cfg);
	line_established_passive(t, "mss 1000,wscale 7");
	DROPPED(TCP_SEQ, "P. 900001:900101(100) ack 1");
	DROPPED(TCP_ACK, "P. 1:101(100) ack 5001");
	RECV(0, "P. 1:101(100) ack 1");
	line_read(t, 100);
	IGNORE();
}

/* Each has a name and a sentence; the last is followed by nothing. */
static void drop_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < STACK_DROP_CNT; i++) {
		assert_non_null(stack_drop_name((enum stack_drop)i));
		assert_true(strlen(stack_drop_text((enum stack_drop)i)) > 5);
	}
	assert_null(stack_drop_name(STACK_DROP_CNT));
	assert_string_equal(stack_drop_name(STACK_DROP_TCP_PAWS), "TCP_PAWS");
}

/* Without memory nothing is counted, and nothing else changes. */
static void without_memory(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	t->s->mem.bytes_max = t->s->mem.bytes;
	for (unsigned int i = 0; i < 3; i++) {
		RECV(600 * MS, "P. 500001:500101(100) ack 1");
		IGNORE();
	}
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_SEQ], 3);
	t->s->mem.bytes_max = UINT64_MAX;
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	ACK(10 * MS, 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(delivered),	    LINE_TEST(delivered_ce),   LINE_TEST(delivery_rate),  LINE_TEST(busy_time),
		LINE_TEST(rwnd_limited),    LINE_TEST(sndbuf_limited), LINE_TEST(dsack_dups),	  LINE_TEST(reordering),
		LINE_TEST(drops_by_reason), LINE_TEST(drops_direct),   LINE_TEST(without_memory), cmocka_unit_test(drop_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
