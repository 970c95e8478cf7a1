// SPDX-License-Identifier: BSD-2-Clause
/*
 * Proportional rate reduction: RFC 6937, RFC 6937bis. CUBIC: ssthresh is 7 of 10 segments.
 */
#include "tests/sim/line_help.h"

/* Pipe above ssthresh: 0.7 for each that left, rounded up to segments */
static void rfc6937_3_proportional(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 30000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:2001");
	SEGMENTS(10001, 1);
	SACK(0, 1, "1001:3001");
	SEGMENTS(11001, 1);
	SACK(0, 1, "1001:4001"); /* delivered 1, may have sent 0.7: 1 */
	SEGMENTS(1, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	SACK(0, 1, "1001:5001"); /* 2: 1.4 */
	SEGMENTS(12001, 1);
	SACK(0, 1, "1001:6001"); /* 3: 2.1 */
	SEGMENTS(13001, 1);
	SACK(0, 1, "1001:7001"); /* 4: 2.8 */
	NOTHING();
	ACK(20 * MS, 14001);
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	IGNORE();
	ACK(20 * MS, 21001);
	IGNORE();
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* Below: one for one as long as losses show (the conservative bound) ... */
static void rfc6937_3_conservative(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 30000);
	SEGMENTS(1, 10);
	/* 1 to 5 are lost: the pipe is 2 */
	SACK(20 * MS, 1, "5001:8001");
	SEGMENTS(1, 3);
	NOTHING();
	SACK(0, 1, "5001:9001");
	SEGMENTS(3001, 1);
	SACK(0, 1, "5001:10001");
	SEGMENTS(4001, 1);
	NOTHING();
	/* ... and one more when an acknowledgement moves and shows none (slow start), to ssthresh */
	ACK(20 * MS, 1001);
	SEGMENTS(10001, 2);
	NOTHING();
	ACK(0, 2001);
	SEGMENTS(12001, 2);
	NOTHING();
	ACK(0, 10001);
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	IGNORE();
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* The first retransmission goes, whatever the window is. */
static void rfc6937_3_first(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "9001:10001");
	/* RACK's timer: all but one are lost at once */
	SEND_BETWEEN(2 * MS, 5 * MS, ". 1:1001(1000) ack 1");
	NOTHING();
	ACK(20 * MS, 1001);
	SEGMENTS(1001, 2);
	NOTHING();
	ACK(20 * MS, 3001);
	IGNORE();
	ACK(20 * MS, 10001);
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	assert_int_equal(stats(t).tcp_timeouts, 0);
	NOTHING_FOR(10 * SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rfc6937_3_proportional),
		LINE_TEST(rfc6937_3_conservative),
		LINE_TEST(rfc6937_3_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
