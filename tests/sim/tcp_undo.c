// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nothing was lost: RFC 3522 and 4015 (Eifel), RFC 3708 (DSACK), RFC 5682 (F-RTO)
 */
#include "tests/sim/line_help.h"

/* ---- fast recovery --------------------------------------------------------------------------- */

/* RFC 3522 3.2: the echo is older than the retransmission: the original came, in part ... */
static void rfc3522_3_2_partial(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	RECV(20 * MS, ". 1:1(0) ack 1 <TS val 20 ecr *,sack 1001:4001>");
	SEGMENTS(1, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	RECV(1 * MS, ". 1:1(0) ack 4001 <TS val 21 ecr *-20>");
	assert_int_equal(stats(t).tcp_undos, 1);
	/* and grows by what has arrived, as if nothing had been */
	assert_int_equal(info(t).cwnd_bytes, 11000);
	assert_true(info(t).ssthresh_bytes > 10000);
	RECV(1 * MS, ". 1:1(0) ack 10001 <TS val 22 ecr *-20>");
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* ... or all of it */
static void rfc3522_3_2_whole(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	RECV(20 * MS, ". 1:1(0) ack 1 <TS val 20 ecr *,sack 1001:4001>");
	SEGMENTS(1, 1);
	RECV(1 * MS, ". 1:1(0) ack 10001 <TS val 21 ecr *-20>");
	assert_int_equal(info(t).cwnd_bytes, 17000);
	assert_int_equal(stats(t).tcp_undos, 1);
	NOTHING_FOR(10 * SEC);
}

/* The echo is the retransmission's: it was lost indeed. */
static void rfc3522_3_2_lost(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	RECV(20 * MS, ". 1:1(0) ack 1 <TS val 20 ecr *,sack 1001:4001>");
	SEGMENTS(1, 1);
	RECV(20 * MS, ". 1:1(0) ack 10001 <TS val 21 ecr *>");
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	assert_int_equal(stats(t).tcp_undos, 0);
	NOTHING_FOR(10 * SEC);
}

/* Without SACK as well */
static void rfc3522_3_2_newreno(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_TS);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	for (unsigned int i = 0; i < 3; i++)
		RECV(i == 0 ? 20 * MS : 0, ". 1:1(0) ack 1 <TS val 20 ecr *>");
	SEGMENTS(1, 1);
	RECV(1 * MS, ". 1:1(0) ack 4001 <TS val 21 ecr *-20>");
	assert_int_equal(info(t).cwnd_bytes, 11000);
	RECV(1 * MS, ". 1:1(0) ack 10001 <TS val 22 ecr *-20>");
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* RFC 3708 3: all that was sent again is reported twice, after recovery ... */
static void rfc3708_3_after(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:4001");
	SEGMENTS(1, 1);
	ACK(5 * MS, 10001);
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	SACK(15 * MS, 10001, "1:1001");
	assert_int_equal(info(t).cwnd_bytes, 10000);
	assert_int_equal(stats(t).tcp_undos, 1);
	NOTHING_FOR(10 * SEC);
}

/* More duplicates than were ever sent again say nothing: the network makes them, or the peer makes them up. */
static void rfc3708_2_incredible(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 2001, "1:1001"); /* nothing was */
	SACK(0, 2001, "1001:2001");
	SACK(0, 2001, "3001:6001");
	SEGMENTS(2001, 1);
	ACK(5 * MS, 6001);
	SACK(15 * MS, 10001, "2001:3001");
	assert_int_equal(stats(t).tcp_undos, 0);
	NOTHING_FOR(10 * SEC);
}

/* Such news is waited for, but not for ever: an idle connection has no recovery state. */
static void forgotten_when_idle(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:4001");
	SEGMENTS(1, 1);
	ACK(5 * MS, 10001);
	assert_int_equal(t->s->tcp->rtx.used, 1);
	NOTHING_FOR(59 * SEC);
	assert_int_equal(t->s->tcp->rtx.used, 1);
	NOTHING_FOR(3 * SEC);
	assert_int_equal(t->s->tcp->rtx.used, 0);
	SACK(0, 10001, "1:1001");
	NOTHING_FOR(10 * SEC);
}

/* ... or during it. One of two is not enough. */
static void rfc3708_3_during(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "2001:5001");
	SEGMENTS(1, 2);
	SACK(5 * MS, 5001, "1:1001");
	assert_int_equal(stats(t).tcp_undos, 0);
	SACK(0, 5001, "1001:2001");
	assert_int_equal(stats(t).tcp_undos, 1);
	assert_int_equal(info(t).cwnd_bytes, 10000);
	ACK(0, 10001);
	assert_int_equal(info(t).retransmits, 2);
	NOTHING_FOR(10 * SEC);
}

/* ---- timeouts -------------------------------------------------------------------------------- */

/* RFC 4015 3.2 */
static void rfc4015_3_2_timeout(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_TS);
	line_write(t, 3000);
	SEGMENTS(1, 3);
	SEND_BETWEEN(205 * MS, 215 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 1000);
	RECV(1 * MS, ". 1:1(0) ack 1001 <TS val 300 ecr *-205>");
	assert_in_range(info(t).cwnd_bytes, 10000, 11000);
	assert_int_equal(stats(t).tcp_undos, 1);
	NOTHING();
	RECV(1 * MS, ". 1:1(0) ack 3001 <TS val 301 ecr *-205>");
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* RFC 5682 2.1 step 2b: new data before anything else again; 3b: what was sent once arrives */
static void rfc5682_2_1_spurious(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITHOUT);
	t->peer_win = 32; /* 4096 bytes: the rest waits */
	ACK(0, 1);
	line_write(t, 8000);
	SEGMENTS(1, 4);
	SEND_BETWEEN(205 * MS, 215 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	t->peer_win = 100;
	ACK(1 * MS, 1001);
	SEGMENTS(4001, 2);
	NOTHING();
	ACK(1 * MS, 2001);
	assert_int_equal(stats(t).tcp_undos, 1);
	assert_true(info(t).cwnd_bytes >= 10000);
	IGNORE();
	ACK(1 * MS, 8001);
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* 3a: a duplicate: the loss was real. */
static void rfc5682_2_1_real(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITHOUT);
	t->peer_win = 32;
	ACK(0, 1);
	line_write(t, 8000);
	SEGMENTS(1, 4);
	SEND_BETWEEN(205 * MS, 215 * MS, ". 1:1001(1000) ack 1");
	t->peer_win = 100;
	ACK(1 * MS, 1001);
	SEGMENTS(4001, 2);
	NOTHING();
	ACK(10 * MS, 1001);
	SEGMENTS(1001, 1);
	IGNORE();
	ACK(10 * MS, 6001);
	IGNORE();
	ACK(10 * MS, 8001);
	assert_int_equal(stats(t).tcp_undos, 0);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	NOTHING_FOR(10 * SEC);
}

/* RFC 5682 3: with SACK, something sent once that is SACKED is as good. */
static void rfc5682_3_sack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	SEND_BETWEEN(20 * MS, 25 * MS, "P. 3001:4001(1000) ack 1"); /* the probe */
	SEND_BETWEEN(200 * MS, 220 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 1000);
	SACK(1 * MS, 1, "1001:2001");
	assert_int_equal(stats(t).tcp_undos, 1);
	assert_int_equal(info(t).cwnd_bytes, 10000);
	ACK(1 * MS, 4001);
	NOTHING_FOR(10 * SEC);
}

/* No new data: the conventional way */
static void rfc5682_2_1_nothing_new(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITHOUT);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	SEND_BETWEEN(205 * MS, 215 * MS, ". 1:1001(1000) ack 1");
	ACK(1 * MS, 1001);
	SEGMENTS(1001, 2);
	ACK(10 * MS, 4001);
	assert_int_equal(stats(t).tcp_undos, 0);
	NOTHING_FOR(10 * SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rfc3522_3_2_partial),
		LINE_TEST(rfc3522_3_2_whole),
		LINE_TEST(rfc3522_3_2_lost),
		LINE_TEST(rfc3522_3_2_newreno),
		LINE_TEST(rfc3708_3_after),
		LINE_TEST(rfc3708_3_during),
		LINE_TEST(rfc3708_2_incredible),
		LINE_TEST(forgotten_when_idle),
		LINE_TEST(rfc4015_3_2_timeout),
		LINE_TEST(rfc5682_2_1_spurious),
		LINE_TEST(rfc5682_2_1_real),
		LINE_TEST(rfc5682_3_sack),
		LINE_TEST(rfc5682_2_1_nothing_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
