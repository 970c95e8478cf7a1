// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pacing: bursts and the time between them, who is paced, what happens when it changes
 */
#include "stack/tcp_pace.h"
#include "tests/sim/tcp_line.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void set(struct line *t, enum tcp_option opt, uint64_t value)
{
	assert_int_equal(tcp_option_set(t->s, t->id, opt, value), 0);
}

static void segments(struct line *t, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++)
		SEND(". *:*(1000) ack 1");
	NOTHING();
}

/* @cnt segments at once, @us from now, give or take two ticks */
static void burst(struct line *t, uint64_t us, unsigned int cnt)
{
	NOTHING_FOR(us - 128);
	SEND_BETWEEN(0, 256, ". *:*(1000) ack 1");
	segments(t, cnt - 1);
}

/* 30 segments, of which the first 10 have left and are acknowledged: a window of 20 */
static void begin(struct line *t, uint64_t Bps)
{
	line_established_passive(t, "mss 1000,wscale 7");
	if (Bps != 0)
		set(t, TCP_OPT_PACING, Bps);
	line_write(t, 30000);
	segments(t, 10); /* a connection's first leave at once */
	RECV(10 * MS, ". 1:1(0) ack 10001");
}

static void not_by_default(void **state)
{
	struct line *t = *state;

	begin(t, 0);
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 30001");
}

/* Two segments at least: 2 ms at 1 MB/s. What begins late gets half of it back. */
static void two_segments(void **state)
{
	struct line *t = *state;

	begin(t, 1000000);
	segments(t, 2);
	burst(t, 1 * MS, 2);
	for (unsigned int i = 0; i < 8; i++)
		burst(t, 2 * MS, 2);
	NOTHING_FOR(1 * MS);
	RECV(0, ". 1:1(0) ack 30001");
	NOTHING_FOR(1 * SEC);
}

/* A millisecond's worth, although the window would allow more */
static void a_millisecond(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,wscale 7");
	t->peer_win = 5000;
	set(t, TCP_OPT_PACING, 2560000);
	line_write(t, 30000);
	segments(t, 10);
	RECV(2 * MS, ". 1:1(0) ack 10001");
	/* of 2500 bytes: three segments, the last of which takes what is left and more */
	segments(t, 3);
	for (unsigned int i = 0; i < 5; i++) {
		SEND_BETWEEN(500, 1300, ". *:*(1000) ack 1");
		segments(t, 2);
	}
	SEND_BETWEEN(500, 1300, ". *:*(1000) ack 1");
	segments(t, 1);
	RECV(10 * MS, ". 1:1(0) ack 30001");
}

/* Slower than the option allows if a window per round trip is less: 1.2 * 20 / 10 ms at the most */
static void by_window(void **state)
{
	struct line *t = *state;
	uint64_t from_us;

	line_established_passive(t, "mss 1000,wscale 7");
	set(t, TCP_OPT_PACING, 1000000000);
	line_write(t, 30000);
	segments(t, 10);
	RECV(10 * MS, ". 1:1(0) ack 10001");
	from_us = t->now_us;
	/* 200 % of 20 segments in 10 ms: four a millisecond; 18 more after the first burst */
	segments(t, 4);
	for (unsigned int i = 4; i < 20; i++)
		SEND_BETWEEN(0, 1100, ". *:*(1000) ack 1");
	assert_in_range(t->now_us - from_us, 3000, 5000);
	RECV(0, ". 1:1(0) ack 30001");
}

/* Acknowledgements do not wait for data's time. */
static void acks_are_not_paced(void **state)
{
	struct line *t = *state;

	begin(t, 1000000);
	segments(t, 2);
	RECV(0, ". 101:201(100) ack 10001");
	SEND(". 12001:12001(0) ack 1");
	NOTHING_FOR(800);
	RECV(0, ". 201:301(100) ack 10001");
	SEND(". 12001:12001(0) ack 1");
	set(t, TCP_OPT_PACING, 0);
	segments(t, 18);
	RECV(10 * MS, ". 1:1(0) ack 30001");
}

static void fin_follows(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,wscale 7");
	set(t, TCP_OPT_PACING, 1000000);
	line_write(t, 13000);
	segments(t, 10);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	RECV(20 * MS, ". 1:1(0) ack 10001");
	segments(t, 2);
	NOTHING_FOR(900);
	SEND_BETWEEN(0, 300, "FP. 12001:13001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 13002");
	NOTHING_FOR(1 * SEC);
}

/* Switched off, and on, while data wait */
static void changes(void **state)
{
	struct line *t = *state;
	uint64_t value;

	begin(t, 10000);
	segments(t, 2);
	NOTHING_FOR(50 * MS);
	set(t, TCP_OPT_PACING, 0);
	segments(t, 18);
	RECV(0, ". 1:1(0) ack 30001");
	set(t, TCP_OPT_PACING, UINT64_MAX);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_PACING, &value), 0);
	assert_int_equal(value, 0);
	set(t, TCP_OPT_PACING, 2000);
	line_write(t, 20000);
	segments(t, 10);
	segments(t, 0);
	IGNORE();
	NOTHING_FOR(150 * MS);
	RECV(0, ". 1:1(0) ack 40001");
	IGNORE();
}

/* Closed and forgotten while data wait: nothing may be left behind. */
static void aborted(void **state)
{
	struct line *t = *state;

	begin(t, 10000);
	segments(t, 2);
	tcp_abort(t->s, t->id);
	SEND("R. 12001:12001(0) ack 1");
	NOTHING_FOR(10 * SEC);
	assert_int_equal(t->s->tcp->pace.used, 0);
	assert_int_equal(t->s->pace_wheel.armed_cnt, 0);
}

/* The window limits what is sent on a direct channel, and nothing else does. */
static void direct(void **state)
{
	struct line *t = *state;
	struct line_config cfg = t->cfg;

	cfg.link_flags = LINK_NO_LOSS;
	line_restart(t, &cfg);
	line_established_passive(t, "mss 1000");
	set(t, TCP_OPT_PACING, 1000);
	line_write(t, 30000);
	for (unsigned int i = 0; i < 29; i++)
		SEND(". *:*(1000) ack 1");
	SEND("P. *:*(1000) ack 1");
}

/* BBR is paced, without being asked, and by its own rate: 2.77 windows per round trip at first. */
static void bbr(void **state)
{
	struct line *t = *state;
	unsigned int idx = 0;

	while (tcp_cc_name(idx) != NULL && strcmp(tcp_cc_name(idx), "bbr") != 0)
		idx++;
	line_established_passive(t, "mss 1000,wscale 7");
	set(t, TCP_OPT_CONGESTION, idx);
	assert_int_equal(t->s->tcp->pace.used, 1);
	assert_int_equal(t->s->tcp->cc.used, 1);
	assert_in_range(tcp_pace_rate(t->s, conn_at(t->s, t->id.v)), 2765000, 2771000);
	set(t, TCP_OPT_CONGESTION, 0);
	assert_int_equal(t->s->tcp->pace.used, 0);
	assert_int_equal(t->s->tcp->cc.used, 0);
}

/* A listener's connections have it from the start. */
static void inherited(void **state)
{
	struct line *t = *state;

	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_PACING, 1000000), 0);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 20000);
	segments(t, 10);
	RECV(10 * MS, ". 1:1(0) ack 10001");
	segments(t, 2);
	burst(t, 1 * MS, 2);
	set(t, TCP_OPT_PACING, 0);
	segments(t, 6);
	RECV(10 * MS, ". 1:1(0) ack 20001");
}

/* TCP_OPT_NOTSENT_LOWAT: the program is to wait while so much has not left yet. */
static void notsent_lowat(void **state)
{
	struct line *t = *state;
	uint8_t byte = 0;
	size_t n;

	line_established_passive(t, "mss 1000,wscale 7");
	set(t, TCP_OPT_NOTSENT_LOWAT, 5000);
	line_write(t, 20000);
	segments(t, 10);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
	assert_int_equal(tcp_send(t->s, t->id, &byte, 1, 0, &n), -EAGAIN);
	RECV(10 * MS, ". 1:1(0) ack 2001");
	segments(t, 4);
	EVENT(0);
	RECV(0, ". 1:1(0) ack 4001");
	segments(t, 4);
	EVENT(STACK_EV_WRITABLE);
	line_write(t, 1000);
	RECV(10 * MS, ". 1:1(0) ack 18001");
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 21001");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(not_by_default),
		LINE_TEST(two_segments),
		LINE_TEST(a_millisecond),
		LINE_TEST(by_window),
		LINE_TEST(acks_are_not_paced),
		LINE_TEST(fin_follows),
		LINE_TEST(changes),
		LINE_TEST(aborted),
		LINE_TEST(direct),
		LINE_TEST(bbr),
		LINE_TEST(inherited),
		LINE_TEST(notsent_lowat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
