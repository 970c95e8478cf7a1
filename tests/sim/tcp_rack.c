// SPDX-License-Identifier: BSD-2-Clause
/*
 * RACK and the tail loss probe: RFC 8985. The round trip is 10 ms by the handshake, then what the
 * lines say.
 */
#include "tests/sim/line_help.h"

/* ---- RACK ------------------------------------------------------------------------------------ */

/* 6.2 step 3: three SACKed segments are enough where no reordering was seen. */
static void rfc8985_6_2_three(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:2001");
	SACK(0, 1, "1001:3001");
	NOTHING();
	SACK(0, 1, "1001:4001");
	SEGMENTS(1, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	ACK(20 * MS, 10001);
	assert_int_equal(info(t).retransmits, 1);
	assert_int_equal(stats(t).tcp_recoveries, 1);
	assert_int_equal(stats(t).tcp_timeouts, 0);
}

/* 6.2 step 5: one is, when a quarter of the shortest round trip has passed. */
static void rfc8985_6_2_timer(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	SACK(20 * MS, 1, "1001:2001");
	NOTHING_FOR(2 * MS + 400); /* the handshake took 10 */
	SEND_BETWEEN(0, 4 * MS, ". 1:1001(1000) ack 1");
	ACK(20 * MS, 4001);
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* ... and it was only late: nothing is sent. */
static void rfc8985_6_2_late(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	SACK(20 * MS, 1, "1001:2001");
	ACK(2 * MS, 2001);
	NOTHING_FOR(10 * MS);
	ACK(0, 4001);
	assert_int_equal(info(t).retransmits, 0);
	NOTHING_FOR(10 * SEC);
}

/* Where reordering was seen, three do not hurry. */
static void rfc8985_6_2_reordering_seen(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 2);
	SACK(20 * MS, 1, "1001:2001");
	ACK(1 * MS, 2001); /* the first came after the second */
	NOTHING_FOR(50 * MS);
	line_write(t, 8000);
	SEGMENTS(2001, 8);
	SACK(20 * MS, 2001, "3001:7001");
	NOTHING_FOR(2 * MS);
	SEND_BETWEEN(0, 4 * MS, ". 2001:3001(1000) ack 1");
	ACK(20 * MS, 10001);
	NOTHING_FOR(10 * SEC);
}

/* 6.2 step 4: each round with a DSACK adds a quarter. */
static void rfc8985_6_2_dsack_widens(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 2);
	SACK(20 * MS, 1, "1001:2001");
	ACK(1 * MS, 2001);
	line_write(t, 8000);
	SEGMENTS(2001, 8);
	SACK(20 * MS, 2001, "3001:7001");
	SEND_BETWEEN(2 * MS, 6 * MS, ". 2001:3001(1000) ack 1");
	/* original and retransmission have both arrived */
	SACK(1 * MS, 10001, "2001:3001");
	NOTHING_FOR(50 * MS);
	line_write(t, 8000);
	SEGMENTS(10001, 8);
	SACK(20 * MS, 10001, "11001:15001");
	NOTHING_FOR(4 * MS + 500);
	SEND_BETWEEN(0, 4 * MS, ". 10001:11001(1000) ack 1");
	ACK(20 * MS, 18001);
	NOTHING_FOR(10 * SEC);
}

/* 6.2: a retransmission that is lost is found by what was sent after it, without a timeout. */
static void rfc8985_6_2_lost_retransmission(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 30000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:4001");
	SEGMENTS(1, 1);
	SACK(0, 1, "1001:5001");
	SEGMENTS(10001, 1);
	SACK(0, 1, "1001:6001");
	SEGMENTS(11001, 1);
	SACK(20 * MS, 1, "1001:6001 10001:11001");
	/* 7 to 10 were lost, too, and are sent for the first time */
	SEGMENTS(1, 1);
	SEGMENTS(6001, 1);
	IGNORE();
	ACK(20 * MS, 12001);
	IGNORE();
	assert_int_equal(stats(t).tcp_timeouts, 0);
	tcp_abort(t->s, t->id);
	IGNORE();
}

/*
 * 6.2 step 2: what is echoed is older than the retransmission: the original came, late. It says nothing about
 * the fifth, which left with it and before the retransmission.
 */
static void rfc8985_6_2_echo(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	line_write(t, 5000);
	SEGMENTS(1, 5);
	RECV(20 * MS, ". 1:1(0) ack 1 <TS val 20 ecr *,sack 1001:4001>");
	SEGMENTS(1, 1);
	RECV(20 * MS, ". 1:1(0) ack 4001 <TS val 40 ecr *-20>");
	assert_int_equal(stats(t).tcp_undos, 1);
	NOTHING_FOR(20 * MS);
	RECV(0, ". 1:1(0) ack 5001 <TS val 60 ecr *-20>");
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* 6.2 step 1: the shortest round trip is that of the last minutes, whether something is in flight or not. */
static void rfc8985_6_2_min_rtt(void **state)
{
	struct line *t = *state;
	uint32_t end = 1;

	line_established_passive(t, WITH_SACK);
	assert_int_equal(info(t).min_rtt_us, 10 * MS);
	for (uint64_t at = 0; at < 320 * SEC; at += 10 * SEC) {
		line_write(t, 1000);
		IGNORE();
		end += 1000;
		ACK(30 * MS, end);
		assert_int_equal(info(t).in_flight_bytes, 0);
		if (at < 150 * SEC)
			assert_int_equal(info(t).min_rtt_us, 10 * MS);
		NOTHING_FOR(10 * SEC - 30 * MS);
	}
	assert_int_equal(info(t).min_rtt_us, 30 * MS);
	/* ... and nothing is known after a longer pause. */
	NOTHING_FOR(70 * SEC);
	assert_int_equal(info(t).min_rtt_us, 0);
}

/* Without SACK: how many duplicates make a loss is learned from one that was none (as Linux). */
static void rfc5681_3_2_reordering(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_TS);
	line_write(t, 6000);
	SEGMENTS(1, 6);
	for (unsigned int i = 0; i < 3; i++)
		RECV(i == 0 ? 20 * MS : 0, ". 1:1(0) ack 1 <TS val 20 ecr *>");
	SEGMENTS(1, 1);
	RECV(1 * MS, ". 1:1(0) ack 4001 <TS val 21 ecr *-20>"); /* six were in flight */
	assert_int_equal(stats(t).tcp_undos, 1);
	RECV(1 * MS, ". 1:1(0) ack 6001 <TS val 22 ecr *-20>");
	NOTHING_FOR(10 * MS);
	line_write(t, 8000);
	SEGMENTS(6001, 8);
	for (unsigned int i = 0; i < 5; i++)
		RECV(i == 0 ? 20 * MS : 0, ". 1:1(0) ack 6001 <TS val 60 ecr *>");
	NOTHING();
	RECV(0, ". 1:1(0) ack 6001 <TS val 60 ecr *>");
	SEGMENTS(6001, 1);
	RECV(20 * MS, ". 1:1(0) ack 14001 <TS val 80 ecr *>");
	NOTHING_FOR(10 * SEC);
}

/* ---- tail loss probe ------------------------------------------------------------------------- */

/* 7.2, 7.3: after two round trips the last segment again; what is SACKed then shows the rest. */
static void rfc8985_7_3_tail(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 3000);
	SEGMENTS(1, 3);
	NOTHING_FOR(20 * MS);
	SEND_BETWEEN(0, 5 * MS, "P. 2001:3001(1000) ack 1");
	SACK(10 * MS, 1, "2001:3001");
	SEGMENTS(1, 1);
	ACK(10 * MS, 1001);
	SEGMENTS(1001, 1);
	ACK(10 * MS, 3001);
	assert_int_equal(stats(t).tcp_timeouts, 0);
	assert_int_equal(stats(t).tcp_probes, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	NOTHING_FOR(10 * SEC);
}

/* New data are the better probe, even past the congestion window. */
static void rfc8985_7_3_new_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 12000);
	SEGMENTS(1, 10);
	SEND_BETWEEN(20 * MS, 25 * MS, ". 10001:11001(1000) ack 1");
	SACK(10 * MS, 9001, "10001:11001");
	SEND(". 9001:10001(1000) ack 1");
	IGNORE();
	ACK(10 * MS, 11001);
	IGNORE();
	ACK(10 * MS, 12001);
	assert_int_equal(stats(t).tcp_timeouts, 0);
	NOTHING_FOR(10 * SEC);
}

/* 7.2: a single segment: the peer may be waiting with its acknowledgement. No later than RTO */
static void rfc8985_7_2_single(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 500);
	SEND("P. 1:501(500) ack 1");
	NOTHING_FOR(200 * MS);
	SEND_BETWEEN(5 * MS, 15 * MS, "P. 1:501(500) ack 1");
	assert_int_equal(stats(t).tcp_timeouts, 0);
	/* 7.1: one for each tail; then it is a timeout */
	SEND_BETWEEN(205 * MS, 215 * MS, "P. 1:501(500) ack 1");
	assert_int_equal(stats(t).tcp_timeouts, 1);
	assert_int_equal(stats(t).tcp_probes, 1);
	ACK(10 * MS, 501);
	NOTHING_FOR(10 * SEC);
}

/* 7.4.2: the probe repaired a loss, and so hid it: the window pays. */
static void rfc8985_7_4_2_repaired(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 2);
	SEND_BETWEEN(20 * MS, 25 * MS, "P. 1001:2001(1000) ack 1");
	ACK(10 * MS, 2001);
	assert_int_equal(info(t).cwnd_bytes, 10000);
	line_write(t, 1000);
	SEND("P. 2001:3001(1000) ack 1");
	ACK(10 * MS, 3001);
	assert_int_equal(info(t).cwnd_bytes, 7000);
	NOTHING_FOR(10 * SEC);
}

/* ... but not where the peer reports a duplicate, */
static void rfc8985_7_4_2_dsack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 2);
	SEND_BETWEEN(20 * MS, 25 * MS, "P. 1001:2001(1000) ack 1");
	ACK(1 * MS, 2001);
	SACK(10 * MS, 2001, "1001:2001");
	line_write(t, 1000);
	SEND("P. 2001:3001(1000) ack 1");
	ACK(10 * MS, 3001);
	assert_int_equal(info(t).cwnd_bytes, 10000);
	NOTHING_FOR(10 * SEC);
}

/* 7.2: not without SACK */
static void rfc8985_7_2_without_sack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITHOUT);
	line_write(t, 3000);
	SEGMENTS(1, 3);
	NOTHING_FOR(200 * MS);
	SEND_BETWEEN(5 * MS, 15 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(stats(t).tcp_probes, 0);
	ACK(10 * MS, 3001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rfc8985_6_2_three),
		LINE_TEST(rfc8985_6_2_timer),
		LINE_TEST(rfc8985_6_2_late),
		LINE_TEST(rfc8985_6_2_reordering_seen),
		LINE_TEST(rfc8985_6_2_echo),
		LINE_TEST(rfc8985_6_2_min_rtt),
		LINE_TEST(rfc5681_3_2_reordering),
		LINE_TEST(rfc8985_6_2_dsack_widens),
		LINE_TEST(rfc8985_6_2_lost_retransmission),
		LINE_TEST(rfc8985_7_3_tail),
		LINE_TEST(rfc8985_7_3_new_data),
		LINE_TEST(rfc8985_7_2_single),
		LINE_TEST(rfc8985_7_4_2_repaired),
		LINE_TEST(rfc8985_7_4_2_dsack),
		LINE_TEST(rfc8985_7_2_without_sack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
