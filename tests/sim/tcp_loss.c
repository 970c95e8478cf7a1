// SPDX-License-Identifier: BSD-2-Clause
/*
 * Loss: timeouts (RFC 6298), fast retransmit and recovery (RFC 5681, 6582, 3042), errors from the
 * path (RFC 1122 4.2.3.9, RFC 5927)
 */
#include "stack/tcp.h"
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- round-trip time ------------------------------------------------------------------------- */

/* RFC 6298 2.2, 2.3 with Linux's floor of 200 ms under the variance */
static void rto_from_rtt(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000"); /* 10 ms */
	assert_in_range(info(t).srtt_us, 10000, 10010);
	assert_in_range(info(t).rto_us, 209000, 211000);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	RECV(90 * MS, ". 1:1(0) ack 101");
	assert_in_range(info(t).srtt_us, 19990, 20010);	  /* 7/8 10 + 1/8 90 */
	assert_in_range(info(t).rttvar_us, 23700, 23800); /* 3/4 5 + 1/4 80 */
	line_write(t, 100);
	SEND("P. 101:201(100) ack 1");
	SEND_BETWEEN(218 * MS, 224 * MS, "P. 101:201(100) ack 1");
	RECV(0, ". 1:1(0) ack 201");
}

/* RFC 6298 3 (Karn): no sample of what was sent twice */
static void karn(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	SEND_AFTER(209 * MS, "P. 1:101(100) ack 1");
	RECV(5 * MS, ". 1:1(0) ack 101");
	assert_in_range(info(t).srtt_us, 10000, 10010);
}

/* RFC 7323 4.1: with timestamps there is one */
static void rtt_by_timestamp(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,TS val 10 ecr 0");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	SEND_AFTER(209 * MS, "P. 1:101(100) ack 1");
	RECV(50 * MS, ". 1:1(0) ack 101 <TS val 300 ecr *>");
	assert_in_range(info(t).srtt_us, 14900, 15100); /* 7/8 10 + 1/8 50 */
}

/* ---- timeouts -------------------------------------------------------------------------------- */

/* RFC 6298 5.5, 5.6; Linux's tcp_retries2 15 */
static void rto_backoff(void **state)
{
	struct line *t = *state;
	uint64_t wait_ms = 209, total_us;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	total_us = t->now_us;
	for (unsigned int i = 0; i < 15; i++) {
		SEND_BETWEEN(wait_ms * MS, (wait_ms + 10 + wait_ms / 50) * MS,
			     "P. 1:101(100) ack 1");
		wait_ms = min_u64(2 * wait_ms, 120000);
	}
	NOTHING_FOR(119 * SEC);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(line_state(t), TCP_CLOSED);
	total_us = t->now_us - total_us;
	assert_in_range(total_us / SEC, 800, 1000);
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	line_read_error(t, ETIMEDOUT);
}

/* RFC 5681 3.1: after a timeout everything again, in slow start, and only what is missing */
static void rto_go_back(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 6000);
	SEGMENTS(1, 5);
	SEND("P. 5001:6001(1000) ack 1");
	SEND_AFTER(209 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 1000);
	assert_int_equal(info(t).ssthresh_bytes, 7000); /* RFC 9438: 0.7 of 10 segments */
	RECV(10 * MS, ". 1:1(0) ack 1001");
	SEGMENTS(1001, 2);
	/* 2001..4000 had arrived */
	RECV(10 * MS, ". 1:1(0) ack 4001");
	SEGMENTS(4001, 1);
	SEND("P. 5001:6001(1000) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 6001");
	NOTHING_FOR(10 * SEC);
	assert_int_equal(info(t).in_flight_bytes, 0);
}

/* RFC 6298 5.3: each new acknowledgement starts the timer anew */
static void rto_restart(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 2000);
	SEGMENTS(1, 1);
	SEND("P. 1001:2001(1000) ack 1");
	RECV(150 * MS, ". 1:1(0) ack 1001");
	NOTHING_FOR(200 * MS);
	SEND_BETWEEN(1 * MS, 200 * MS, "P. 1001:2001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 2001");
}

/* RFC 5482 */
static void user_timeout(void **state)
{
	struct line *t = *state;
	uint64_t from_us;

	line_established_passive(t, "mss 1000");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_USER_TIMEOUT_MS, 3000), 0);
	line_write(t, 100);
	from_us = t->now_us;
	SEND("P. 1:101(100) ack 1");
	while (line_state(t) != TCP_CLOSED) {
		IGNORE();
		t->now_us += 10 * MS;
	}
	/* from the first retransmission, as Linux */
	assert_in_range(t->now_us - from_us, 3200 * MS, 3240 * MS);
	line_read_error(t, ETIMEDOUT);
	NOTHING_FOR(10 * SEC);
}

/* A timeout while the window is closed repeats one segment, which the peer may refuse. */
static void rto_closed_window(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 3000);
	SEGMENTS(1, 2);
	SEND("P. 2001:3001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 1001 win 0");
	SEND_BETWEEN(200 * MS, 215 * MS, ". 1001:2001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 1001 win 0");
	SEND_BETWEEN(400 * MS, 430 * MS, ". 1001:2001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 2001 win 5000");
	SEND("P. 2001:3001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 3001");
}

static void fin_lost(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 500);
	SEND("P. 1:501(500) ack 1");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 501:501(0) ack 1");
	SEND_BETWEEN(200 * MS, 215 * MS, "FP. 1:501(500) ack 1");
	RECV(0, ". 1:1(0) ack 501");
	NOTHING();
	SEND_BETWEEN(150 * MS, 430 * MS, "F. 501:501(0) ack 1");
	RECV(0, ". 1:1(0) ack 502");
	NOTHING_FOR(10 * SEC);
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
}

/* ---- fast retransmit ------------------------------------------------------------------------- */

/* RFC 5681 3.2: at the third duplicate; RFC 3042: the first two let new segments go */
static void fast_retransmit(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 20000);
	SEGMENTS(1, 10);
	ACKS(1, 1);
	SEGMENTS(10001, 1);
	ACKS(1, 1);
	SEGMENTS(11001, 1);
	ACKS(1, 1);
	SEGMENTS(1, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	assert_int_equal(info(t).retransmits, 1);
	/* RFC 6937: 0.7 segments go for each that left, rounded up, the first one included */
	ACKS(1, 1);
	SEGMENTS(12001, 1);
	ACKS(1, 1);
	SEGMENTS(13001, 1);
	ACKS(1, 1);
	NOTHING();
	RECV(10 * MS, ". 1:1(0) ack 14001");
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	SEGMENTS(14001, 5);
	SEND("P. 19001:20001(1000) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 20001");
	NOTHING_FOR(10 * SEC);
}

/* RFC 6582: a partial acknowledgement names the next hole */
static void newreno(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 10000);
	SEGMENTS(1, 9);
	SEND("P. 9001:10001(1000) ack 1");
	/* 1, 3 and 5 are lost: seven duplicates */
	ACKS(1, 3);
	SEGMENTS(1, 1);
	ACKS(1, 4);
	NOTHING();
	RECV(10 * MS, ". 1:1(0) ack 2001");
	SEGMENTS(2001, 1);
	RECV(10 * MS, ". 1:1(0) ack 4001");
	SEGMENTS(4001, 1);
	RECV(10 * MS, ". 1:1(0) ack 10001");
	assert_int_equal(info(t).retransmits, 3);
	assert_int_equal(info(t).in_flight_bytes, 0);
	NOTHING_FOR(10 * SEC);
}

/* ... and what it acknowledges is not counted twice: the pipe stays as full as cwnd says. */
static void newreno_pipe(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,wscale 7");
	line_write(t, 30000);
	SEGMENTS(1, 10);
	/* 1 and 3 are lost; 2 and 4 to 12 make ten duplicates */
	ACKS(1, 1);
	SEGMENTS(10001, 1);
	ACKS(1, 1);
	SEGMENTS(11001, 1);
	ACKS(1, 1);
	SEGMENTS(1, 1);
	for (unsigned int i = 12; i < 17; i++) {
		ACKS(1, 1);
		SEGMENTS(i * 1000 + 1, 1);
		if (i == 13) {
			/* from here on the pipe is as large as ssthresh */
			ACKS(1, 2);
			NOTHING();
		}
	}
	RECV(10 * MS, ". 1:1(0) ack 2001");
	SEGMENTS(2001, 1);
	SEGMENTS(17001, 1);
	NOTHING();
	RECV(10 * MS, ". 1:1(0) ack 18001");
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 30001");
	IGNORE();
}

/* RFC 6298 3 (Karn) after a fast retransmit */
static void karn_fast_retransmit(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 5000);
	SEGMENTS(1, 4);
	SEND("P. 4001:5001(1000) ack 1");
	ACKS(1, 3);
	SEGMENTS(1, 1);
	RECV(100 * MS, ". 1:1(0) ack 5001");
	assert_in_range(info(t).srtt_us, 10000, 10010);
}

/* RFC 6582 4: duplicates for what the timeout sent again start nothing */
static void no_fast_retransmit_after_rto(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 10000);
	SEGMENTS(1, 9);
	SEND("P. 9001:10001(1000) ack 1");
	SEND_AFTER(209 * MS, ". 1:1001(1000) ack 1");
	ACKS(1, 5);
	NOTHING();
	/* it was only late */
	RECV(0, ". 1:1(0) ack 10001");
	assert_int_equal(info(t).in_flight_bytes, 0);
	NOTHING_FOR(10 * SEC);
}

/* RFC 5681 2: what a duplicate is not */
static void not_duplicates(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 4000);
	SEGMENTS(1, 3);
	SEND("P. 3001:4001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 1 win 60000"); /* a window update */
	RECV(0, ". 1:1(0) ack 1 win 60001");
	RECV(0, ". 1:1(0) ack 1 win 60002");
	RECV(0, ". 1:11(10) ack 1 win 60002"); /* data */
	RECV(0, ". 11:21(10) ack 1 win 60002");
	IGNORE();
	RECV(0, ". 21:31(10) ack 1 win 60002");
	IGNORE();
	RECV(0, ". 31:31(0) ack 0 win 60002"); /* old */
	NOTHING();
	assert_int_equal(info(t).retransmits, 0);
	RECV(0, ". 31:31(0) ack 4001");
	IGNORE();
}

/* ---- errors from the path -------------------------------------------------------------------- */

static void icmp(struct line *t, int err, uint32_t seq)
{
	struct icmp_error error = {
		.link = t->link.v,
		.local = t->local,
		.remote = t->peer,
		.tcp_seq = t->isn + seq,
		.err = err,
	};

	tcp_icmp_error(t->s, &error);
}

/* RFC 1122 4.2.3.9: soft once the connection stands; told when it times out */
static void icmp_soft(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	icmp(t, EHOSTUNREACH, 1);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	while (line_state(t) != TCP_CLOSED) {
		IGNORE();
		t->now_us += 1 * SEC;
	}
	line_read_error(t, EHOSTUNREACH);
}

/* As in Linux any error ends what is not yet a connection. */
static void icmp_connecting(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	icmp(t, ECONNREFUSED, 5); /* RFC 5927 4.1: not about what was sent */
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	icmp(t, ENETUNREACH, 0);
	assert_int_equal(line_state(t), TCP_CLOSED);
	line_read_error(t, ENETUNREACH);
	NOTHING_FOR(10 * SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rto_from_rtt),
		LINE_TEST(karn),
		LINE_TEST(rtt_by_timestamp),
		LINE_TEST(rto_backoff),
		LINE_TEST(rto_go_back),
		LINE_TEST(rto_restart),
		LINE_TEST(user_timeout),
		LINE_TEST(rto_closed_window),
		LINE_TEST(fin_lost),
		LINE_TEST(fast_retransmit),
		LINE_TEST(newreno),
		LINE_TEST(newreno_pipe),
		LINE_TEST(karn_fast_retransmit),
		LINE_TEST(no_fast_retransmit_after_rto),
		LINE_TEST(not_duplicates),
		LINE_TEST(icmp_soft),
		LINE_TEST(icmp_connecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
