// SPDX-License-Identifier: BSD-2-Clause
/*
 * How long the stack waits, and when it gives up: RFC 6298 5.7, RFC 1122 4.2.3.5, RFC 9293 3.8.6.1,
 * with the times that Linux gives them
 */
#include "tests/sim/line_help.h"

#include <errno.h>

/* ---- retransmission timeout ------------------------------------------------------------------ */

/* RFC 6298 5.7: doubled until something is measured that was sent once */
static void rfc6298_5_7_kept(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	SEND_BETWEEN(200 * MS, 212 * MS, "P. 1:1001(1000) ack 1"); /* the probe comes no earlier */
	SEND_BETWEEN(200 * MS, 215 * MS, "P. 1:1001(1000) ack 1");
	SEND_BETWEEN(410 * MS, 430 * MS, "P. 1:1001(1000) ack 1");
	assert_int_equal(info(t).expiries, 2);
	ACK(10 * MS, 1001);
	assert_int_equal(info(t).backoff, 2);
	assert_int_equal(info(t).expiries, 0);
	assert_in_range(info(t).rto_us, 830000, 850000);
	NOTHING_FOR(30 * SEC);
	/* The next is as slow from the start ... */
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_NODELAY, 1), 0);
	line_write(t, 500);
	SEND("P. 1001:1501(500) ack 1");
	SEND_BETWEEN(200 * MS, 230 * MS, "P. 1001:1501(500) ack 1"); /* the probe */
	SEND_BETWEEN(830 * MS, 860 * MS, "P. 1001:1501(500) ack 1");
	ACK(10 * MS, 1501);
	assert_int_equal(info(t).backoff, 3);
	/* ... until this one is. */
	line_write(t, 500);
	SEND("P. 1501:2001(500) ack 1");
	ACK(10 * MS, 2001);
	assert_int_equal(info(t).backoff, 0);
	assert_in_range(info(t).rto_us, 205000, 215000);
}

/* ... or a timestamp says which was answered (RFC 7323 4.1) */
static void rfc6298_5_7_timestamps(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_TS);
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	SEND_BETWEEN(200 * MS, 212 * MS, "P. 1:1001(1000) ack 1");
	SEND_BETWEEN(410 * MS, 430 * MS, "P. 1:1001(1000) ack 1");
	assert_int_equal(info(t).backoff, 2);
	RECV(10 * MS, ". 1:1(0) ack 1001 <TS val 20 ecr *>");
	assert_int_equal(info(t).backoff, 0);
}

/* Let time pass, forgetting what is sent, until it is over. Return: ms from the first segment sent to the end. */
static uint64_t ms_to_end(struct line *t, uint64_t step_us)
{
	uint64_t first_us = 0;

	while (line_state(t) != TCP_CLOSED) {
		uint32_t log_len = t->log_len;

		t->now_us += step_us;
		IGNORE();
		if (first_us == 0 && t->log_len != log_len)
			first_us = t->now_us;
		assert_true(t->now_us < 10000 * SEC);
	}
	return (t->now_us - first_us) / MS;
}

/* RFC 1122 4.2.3.5 (R2): a time, as in Linux: 15 stands for what they take at 200 ms, whatever the RTO is */
static void rfc1122_4_2_3_5_time(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(900 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	assert_in_range(ms_to_end(t, 100 * MS), 924600, 924600 + 120000);
	assert_in_range(stats(t).tcp_timeouts, 11, 15);
	line_read_error(t, ETIMEDOUT);
}

/* ... without progress: each acknowledgement of more begins it again. */
static void rfc1122_4_2_3_5_progress(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 5000);
	line_write(t, 6000);
	SEGMENTS(1, 5);
	SEND("P. 5001:6001(1000) ack 1");
	for (unsigned int i = 0; i < 5; i++) {
		/* less than the timeout each, more in all */
		for (unsigned int ms = 0; ms < 4000; ms += 10) {
			t->now_us += 10 * MS;
			IGNORE();
		}
		ACK(0, 1001 + i * 1000);
		IGNORE();
		assert_int_equal(line_state(t), TCP_ESTABLISHED);
	}
	ACK(0, 6001);
}

/* An orphan's is that of 8: 102 s. */
static void rfc1122_4_2_3_5_orphan(void **state)
{
	struct line *t = *state;
	uint64_t from_us;

	line_established_passive(t, "mss 1000");
	line_write(t, 1000);
	SEND("P. 1:1001(1000) ack 1");
	tcp_close(t->s, t->id);
	t->id.v = 0;
	SEND("F. 1001:1001(0) ack 1");
	from_us = t->now_us;
	for (; stats(t).tcp_conns != 0; t->now_us += 100 * MS) {
		IGNORE();
		assert_true(t->now_us - from_us < 300 * SEC);
	}
	assert_in_range((t->now_us - from_us) / MS, 102200, 160000);
}

/*
 * The peer takes its window back while something is in flight. It is alive as long as it answers, and is
 * given up four minutes after it has stopped.
 */
static void rfc1122_4_2_2_17_shrunk(void **state)
{
	struct line *t = *state;
	uint64_t heard_us;

	line_established_passive(t, "mss 1000");
	line_write(t, 3000);
	SEGMENTS(1, 2);
	SEND("P. 2001:3001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 1001 win 0");
	for (unsigned int i = 0; i < 30; i++) {
		SEND_BETWEEN(200 * MS, 124 * SEC, ". 1001:2001(1000) ack 1");
		RECV(0, ". 1:1(0) ack 1001 win 0");
	}
	heard_us = t->now_us;
	(void)ms_to_end(t, 1 * SEC);
	assert_in_range((t->now_us - heard_us) / SEC, 240, 362);
	line_read_error(t, ETIMEDOUT);
}

/*
 * ... however often the timer has fired meanwhile. When the window opens, what waits goes at once, and the time to give
 * up begins anew.
 */
static void rfc1122_4_2_2_17_opened(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 3);
	SEND("P. 3001:4001(1000) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1001 win 0");
	for (unsigned int i = 0; i < 40; i++) { /* 20 min */
		for (unsigned int ms = 0; ms < 30000; ms += 10) {
			t->now_us += 10 * MS;
			line_run(t);
		}
		IGNORE();
		RECV(0, ". 1:1(0) ack 1001 win 0");
	}
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	assert_int_equal(info(t).expiries, 0);
	RECV(0, ". 1:1(0) ack 1001 win 60000");
	SEND_BETWEEN(0, 200 * MS, ". 1001:2001(1000) ack 1");
	SEND_BETWEEN(200 * MS, 500 * MS, ". 1001:2001(1000) ack 1");
	SEND_BETWEEN(400 * MS, 1 * SEC, ". 1001:2001(1000) ack 1");
	ACK(0, 2001);
	SEGMENTS(2001, 1);
	SEND("P. 3001:4001(1000) ack 1");
	ACK(10 * MS, 4001);
}

/* The same when the peer's data open it, which header prediction takes */
static void rfc1122_4_2_2_17_opened_by_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 1);
	SEND("P. 1001:2001(1000) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1001 win 0");
	for (unsigned int ms = 0; ms < 100000; ms += 10) {
		t->now_us += 10 * MS;
		line_run(t);
	}
	IGNORE();
	RECV(0, "P. 1:11(10) ack 1001 win 60000");
	SEND_BETWEEN(0, 200 * MS, "P. 1001:2001(1000) ack 11");
	RECV(10 * MS, ". 11:11(0) ack 2001");
	line_read(t, 10);
}

/* RFC 1122 4.2.2.2: the end of what was written together is told again, too (as Linux). */
static void rfc1122_4_2_2_2_push_again(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 2000);
	SEGMENTS(1, 1);
	SEND("P. 1001:2001(1000) ack 1");
	line_write(t, 4000);
	SEGMENTS(2001, 3);
	SEND("P. 5001:6001(1000) ack 1");
	SACK(10 * MS, 1, "2001:6001");
	SEGMENTS(1, 1);
	SEND("P. 1001:2001(1000) ack 1");
	ACK(10 * MS, 6001);
}

/* ---- closed window --------------------------------------------------------------------------- */

static void close_window(struct line *t)
{
	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 500);
}

/* RFC 9293 3.8.6.1: whoever says that it is closed need not be asked so soon (as Linux). */
static void rfc9293_3_8_6_1_told(void **state)
{
	struct line *t = *state;

	close_window(t);
	for (unsigned int i = 0; i < 10; i++)
		RECV(150 * MS, ". 1:1(0) ack 1 win 0");
	SEND_BETWEEN(205 * MS, 215 * MS, ". 0:0(0) ack 1");
	assert_int_equal(info(t).probes, 1);
	RECV(400 * MS, ". 1:1(0) ack 1 win 0");
	assert_int_equal(info(t).probes, 0);
	assert_int_equal(info(t).backoff, 1);
	assert_in_range(info(t).rto_us, 205000, 215000);
	SEND_BETWEEN(415 * MS, 425 * MS, ". 0:0(0) ack 1");
	assert_int_equal(info(t).backoff, 2);
	RECV(0, ". 1:1(0) ack 1 win 500");
	SEND("P. 1:501(500) ack 1");
	assert_int_equal(info(t).backoff, 0);
	ACK(10 * MS, 501);
	NOTHING_FOR(300 * SEC);
}

/* 15 probes that nobody answers are enough; each answer makes it begin again. */
static void rfc9293_3_8_6_1_silent(void **state)
{
	struct line *t = *state;

	close_window(t);
	for (unsigned int i = 0; i < 14; i++)
		SEND_BETWEEN(200 * MS, 124 * SEC, ". 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1 win 0");
	for (unsigned int i = 0; i < 15; i++)
		SEND_BETWEEN(110 * SEC, 124 * SEC, ". 0:0(0) ack 1");
	NOTHING_FOR(119 * SEC);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	NOTHING_FOR(5 * SEC);
	line_read_error(t, ETIMEDOUT);
}

/* An orphan's patience ends with the longest interval, even if the peer answers (as Linux). */
static void rfc9293_3_8_6_1_orphan(void **state)
{
	struct line *t = *state;

	close_window(t);
	tcp_close(t->s, t->id);
	t->id.v = 0;
	for (unsigned int i = 0; i < 10; i++) {
		SEND_BETWEEN(200 * MS, 124 * SEC, ". 0:0(0) ack 1");
		RECV(0, ". 1:1(0) ack 1 win 0");
	}
	NOTHING_FOR(124 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* RFC 9293 3.8.6.2.1: with nothing in flight, too, a dribble is not worth a segment until the timer says so. */
static void rfc9293_3_8_6_2_1_idle(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 5000);
	RECV(10 * MS, ". 1:1(0) ack 1 win 100");
	NOTHING_FOR(200 * MS);
	SEND_BETWEEN(1 * MS, 15 * MS, ". 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101 win 1000");
	SEND(". 101:1101(1000) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1101 win 65535");
	SEGMENTS(1101, 3);
	SEND("P. 4101:5001(900) ack 1");
	ACK(10 * MS, 5001);
}

/* ... but half of the largest window ever is, where the peer has no more */
static void rfc9293_3_8_6_2_1_half(void **state)
{
	struct line *t = *state;

	line_listen(t);
	t->peer_win = 800;
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 3000);
	SEND(". 1:801(800) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 801 win 300");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 801 win 400");
	SEND(". 801:1201(400) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1201 win 800");
	SEND(". 1201:2001(800) ack 1");
	IGNORE();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rfc6298_5_7_kept),
		LINE_TEST(rfc6298_5_7_timestamps),
		LINE_TEST(rfc1122_4_2_3_5_time),
		LINE_TEST(rfc1122_4_2_3_5_progress),
		LINE_TEST(rfc1122_4_2_3_5_orphan),
		LINE_TEST(rfc1122_4_2_2_17_shrunk),
		LINE_TEST(rfc1122_4_2_2_17_opened),
		LINE_TEST(rfc1122_4_2_2_17_opened_by_data),
		LINE_TEST(rfc1122_4_2_2_2_push_again),
		LINE_TEST(rfc9293_3_8_6_1_told),
		LINE_TEST(rfc9293_3_8_6_1_silent),
		LINE_TEST(rfc9293_3_8_6_1_orphan),
		LINE_TEST(rfc9293_3_8_6_2_1_idle),
		LINE_TEST(rfc9293_3_8_6_2_1_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
