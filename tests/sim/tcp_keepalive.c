// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ends by silence: keep-alive (RFC 9293 3.8.4), user timeout (RFC 5482), orphans
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The program switches it on: 0: as it is by default */
static void keepalive_on(struct line *t, uint64_t idle_s, uint64_t intvl_s, uint64_t cnt)
{
	option(t, TCP_OPT_KEEPIDLE_S, idle_s);
	if (intvl_s != 0)
		option(t, TCP_OPT_KEEPINTVL_S, intvl_s);
	if (cnt != 0)
		option(t, TCP_OPT_KEEPCNT, cnt);
	option(t, TCP_OPT_KEEPALIVE, 1);
}

/* RFC 9293 3.8.4 */
static void keepalive(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	keepalive_on(t, 60, 10, 3);
	SEND_BETWEEN(60 * SEC, 60 * SEC + 5 * MS, ". 0:0(0) ack 1");
	RECV(1 * SEC, ". 1:1(0) ack 1");
	NOTHING_FOR(30 * SEC);
	RECV(0, "P. 1:11(10) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	SEND_BETWEEN(59900 * MS, 60 * SEC, ". 0:0(0) ack 11");
	SEND_BETWEEN(9998 * MS, 10002 * MS, ". 0:0(0) ack 11");
	SEND_BETWEEN(9998 * MS, 10002 * MS, ". 0:0(0) ack 11");
	line_read(t, 10);
	SEND_BETWEEN(9998 * MS, 10002 * MS, "R. 1:1(0) ack 11");
	line_read_error(t, ETIMEDOUT);
}

/* RFC 1122 4.2.3.6: of a segment that is not acceptable anybody who knows the ports may be the author. */
static void rfc1122_4_2_3_6_stranger(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	keepalive_on(t, 10, 2, 2);
	RECV(9 * SEC, ". 1000000000:1000000000(0) ack 1"); /* sequence number */
	SEND(". 1:1(0) ack 1");
	SEND_BETWEEN(990 * MS, 1005 * MS, ". 0:0(0) ack 1");
	RECV(1 * SEC, ". 1:1(0) ack 1000000000"); /* acknowledgement */
	SEND(". 1:1(0) ack 1");
	SEND_BETWEEN(990 * MS, 1005 * MS, ". 0:0(0) ack 1");
	RECV(1 * SEC, ". 1000000000:1000000000(0) ack 1");
	SEND(". 1:1(0) ack 1");
	SEND_BETWEEN(990 * MS, 1005 * MS, "R. 1:1(0) ack 1");
	line_read_error(t, ETIMEDOUT);
}

/* We answer the peer's, with a byte and without. */
static void keepalive_answer(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 0:0(0) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, "P. 1:11(10) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	RECV(0, ". 10:11(1) ack 1");
	SEND(". 1:1(0) ack 11");
	line_read(t, 10);
	EVENT(STACK_EV_READABLE);
	EVENT(0);
}

/* Off: nothing is asked, for days. */
static void keepalive_off(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	NOTHING_FOR(4 * 24 * 3600 * SEC);
}

/* Linux's defaults: two hours, then each 75 s, nine times */
static void keepalive_defaults(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_KEEPALIVE, 1);
	SEND_BETWEEN(7200 * SEC, 7200 * SEC + 5 * MS, ". 0:0(0) ack 1");
	for (unsigned int i = 0; i < 8; i++)
		SEND_BETWEEN(74998 * MS, 75002 * MS, ". 0:0(0) ack 1");
	SEND_BETWEEN(74998 * MS, 75002 * MS, "R. 1:1(0) ack 1");
	line_read_error(t, ETIMEDOUT);
}

/* While data are in flight, or wait for a window, their timers watch; idle time counts from there */
static void keepalive_with_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	keepalive_on(t, 2, 0, 0);
	RECV(1900 * MS, ". 1:1(0) ack 1");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	for (unsigned int i = 0; i < 100; i++) {
		t->now_us += 50 * MS;
		IGNORE();
	}
	RECV(0, ". 1:1(0) ack 101");
	SEND_BETWEEN(1999 * MS, 2010 * MS, ". 100:100(0) ack 1");
	RECV(0, ". 1:1(0) ack 101");
}

/* In FIN_WAIT_2, too, while the program holds it */
static void keepalive_fin_wait_2(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	keepalive_on(t, 5, 1, 1);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	SEND_BETWEEN(5 * SEC, 5005 * MS, ". 1:1(0) ack 1");
	SEND_BETWEEN(998 * MS, 1002 * MS, "R. 2:2(0) ack 1");
	line_read_error(t, ETIMEDOUT);
}

/* As Linux: TCP_USER_TIMEOUT decides instead of the number of probes, at the time of one */
static void keepalive_user_timeout(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 10000);
	keepalive_on(t, 5, 2, 1);
	SEND_BETWEEN(5 * SEC, 5005 * MS, ". 0:0(0) ack 1");
	SEND_BETWEEN(1998 * MS, 2002 * MS, ". 0:0(0) ack 1");
	SEND_BETWEEN(1998 * MS, 2002 * MS, ". 0:0(0) ack 1");
	SEND_BETWEEN(1998 * MS, 2002 * MS, "R. 1:1(0) ack 1"); /* after 11 s */
	line_read_error(t, ETIMEDOUT);
}

/* ... and sooner, but there is one probe at least */
static void keepalive_user_timeout_short(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 1000);
	keepalive_on(t, 5, 2, 0);
	SEND_BETWEEN(5 * SEC, 5005 * MS, ". 0:0(0) ack 1");
	SEND_BETWEEN(1998 * MS, 2002 * MS, "R. 1:1(0) ack 1");
	line_read_error(t, ETIMEDOUT);
}

/* RFC 5482 2, RFC 9293 3.8.3: the user's own timeout, counted from the first retransmission, as Linux does */
static void user_timeout(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 1000);
	NOTHING_FOR(100 * SEC); /* nothing is in flight */
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	for (unsigned int i = 0; i < 120; i++) {
		t->now_us += 10 * MS;
		IGNORE();
		assert_int_equal(line_state(t), TCP_ESTABLISHED);
	}
	t->now_us += 50 * MS;
	IGNORE();
	line_read_error(t, ETIMEDOUT);
}

/* A window that stays closed, whatever the peer answers (as Linux) */
static void user_timeout_zero_window(void **state)
{
	struct line *t = *state;
	unsigned int probes = 0;
	uint64_t from_us;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 2000);
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 100);
	SEND_BETWEEN(190 * MS, 230 * MS, ". 0:0(0) ack 1");
	from_us = t->now_us;
	for (;; probes++) {
		RECV(0, ". 1:1(0) ack 1 win 0");
		t->now_us += 50 * MS;
		line_run(t);
		if (line_state(t) == TCP_CLOSED)
			break;
		IGNORE();
		assert_true(probes < 100);
	}
	assert_in_range(t->now_us - from_us, 2000 * MS, 2100 * MS);
	line_read_error(t, ETIMEDOUT);
}

/* ... and one that opens in time starts a new count */
static void user_timeout_window_opens(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 2000);
	for (unsigned int i = 0; i < 3; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". 1:1(0) ack %u win 0", 1 + t->written);
		RECV(0, text);
		line_write(t, 100);
		t->now_us += 1500 * MS;
		IGNORE();
		snprintf(text, sizeof(text), ". 1:1(0) ack %u", 1 + t->written - 100);
		RECV(0, text);
		IGNORE();
		snprintf(text, sizeof(text), ". 1:1(0) ack %u", 1 + t->written);
		RECV(0, text);
		assert_int_equal(line_state(t), TCP_ESTABLISHED);
	}
}

/* In SYN_SENT and SYN_RECEIVED, too */
static void user_timeout_syn(void **state)
{
	const struct tcp_option_value opt = { TCP_OPT_USER_TIMEOUT_MS, 2500 };
	struct line *t = *state;

	assert_int_equal(tcp_connect_with(t->s, t->link, &t->local, &t->peer, &opt, 1, t->cookie,
					  &t->id),
			 0);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	NOTHING_FOR(1400 * MS);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	NOTHING_FOR(200 * MS);
	line_read_error(t, ETIMEDOUT);
}

/* RFC 5482 3: in SYN and SYN-ACK; the longer of the two holds, within limits */
static uint64_t get(struct line *t, enum tcp_option opt)
{
	uint64_t value = 0;

	assert_int_equal(tcp_option_get(t->s, t->id, opt, &value), 0);
	return value;
}

static void uto_active(void **state)
{
	const struct tcp_option_value opt = { TCP_OPT_UTO_S, 300 };
	struct line *t = *state;

	assert_int_equal(tcp_connect_with(t->s, t->link, &t->local, &t->peer, &opt, 1, t->cookie,
					  &t->id),
			 0);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0,uto 300>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000,uto 500>");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 500000);
	RECV(0, ". 1:1(0) ack 1 <uto 150>");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 300000);
	/* 3.1: not above our limit, in minutes here; 0 is none */
	RECV(0, ". 1:1(0) ack 1 <uto 32868>");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 3600000);
	RECV(0, ". 1:1(0) ack 1 <uto 0>");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 3600000);
	/* 5: what is not acceptable is not listened to */
	RECV(0, ". 70000:70000(0) ack 1 <uto 700>");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, ". 1:1(0) ack 7777 <uto 700>");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 3600000);
	/* 3: a change is told */
	option(t, TCP_OPT_UTO_S, 40000);
	SEND(". 1:1(0) ack 1 <uto 33434>"); /* 666 minutes */
}

static void uto_passive(void **state)
{
	struct line *t = *state;

	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_UTO_S, 10), 0);
	RECV(0, "S 0:0(0) <mss 1000,uto 20>");
	SEND("S. 0:0(0) ack 1 <mss 1460,uto 10>");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 100000); /* the lower limit */
}

/* The program's own word is not changed; and who has not enabled it neither sends nor listens */
static void uto_fixed(void **state)
{
	struct line *t = *state;

	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_UTO_S, 10), 0);
	assert_int_equal(
		tcp_listener_option_set(t->s, t->listener, TCP_OPT_USER_TIMEOUT_MS, 7000), 0);
	RECV(0, "S 0:0(0) <mss 1000,uto 200>");
	SEND("S. 0:0(0) ack 1 <mss 1460,uto 10>");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 7000);
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 1");
	tcp_unlisten(t->s, t->listener);
	line_established_passive(t, "mss 1000,uto 200");
	assert_int_equal(get(t, TCP_OPT_USER_TIMEOUT_MS), 0);
}

/* ---- orphans --------------------------------------------------------------------------------- */

static uint64_t conns(struct line *t)
{
	struct stack_stats stats;

	stack_stats(t->s, &stats);
	return stats.tcp_conns;
}

/* TCP_LINGER2: how long in FIN_WAIT_2 */
static void linger2(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_LINGER2_S, 7);
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	NOTHING_FOR(6900 * MS);
	assert_int_equal(conns(t), 1);
	NOTHING_FOR(200 * MS);
	assert_int_equal(conns(t), 0);
	RECV(0, "F. 1:1(0) ack 2");
	SEND("R 2:2(0)");
}

/* ... which the program had reached before it closed */
static void linger2_late_close(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_LINGER2_S, 7);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	NOTHING_FOR(100 * SEC);
	tcp_close(t->s, t->id);
	NOTHING_FOR(6900 * MS);
	assert_int_equal(conns(t), 1);
	NOTHING_FOR(200 * MS);
	assert_int_equal(conns(t), 0);
}

/* Not at all: reset when our FIN is acknowledged, or at the close */
static void linger2_none(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_LINGER2_S, TCP_LINGER2_NONE);
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	SEND("R. 2:2(0) ack 1");
	assert_int_equal(conns(t), 0);
}

/* Never less than 3.5 RTO: our FIN's acknowledgement may have to come again */
static void linger2_slow_path(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(900 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	option(t, TCP_OPT_LINGER2_S, 1); /* RTO is 0.9 + 4 * 0.45 = 2.7 s */
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(900 * MS, ". 1:1(0) ack 2");
	NOTHING_FOR(7 * SEC);
	assert_int_equal(conns(t), 1);
	NOTHING_FOR(5 * SEC);
	assert_int_equal(conns(t), 0);
}

/* SO_LINGER with 0: reset, whatever waits (RFC 9293 3.10.5), in each state that has a peer */
static void linger_zero(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 1000);
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 1");
	assert_int_equal(conns(t), 0);
	tcp_unlisten(t->s, t->listener);
	line_connect(t);
	SEND("S 0:0(0)");
	tcp_abort(t->s, t->id);
	NOTHING_FOR(10 * SEC);
	assert_int_equal(conns(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(keepalive),
		LINE_TEST(rfc1122_4_2_3_6_stranger),
		LINE_TEST(keepalive_answer),
		LINE_TEST(keepalive_off),
		LINE_TEST(keepalive_defaults),
		LINE_TEST(keepalive_with_data),
		LINE_TEST(keepalive_fin_wait_2),
		LINE_TEST(keepalive_user_timeout),
		LINE_TEST(keepalive_user_timeout_short),
		LINE_TEST(user_timeout),
		LINE_TEST(user_timeout_zero_window),
		LINE_TEST(user_timeout_window_opens),
		LINE_TEST(user_timeout_syn),
		LINE_TEST(uto_active),
		LINE_TEST(uto_passive),
		LINE_TEST(uto_fixed),
		LINE_TEST(linger2),
		LINE_TEST(linger2_late_close),
		LINE_TEST(linger2_none),
		LINE_TEST(linger2_slow_path),
		LINE_TEST(linger_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
