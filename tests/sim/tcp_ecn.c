// SPDX-License-Identifier: BSD-2-Clause
/*
 * Explicit congestion notification (RFC 3168): agreeing, which packets may be marked, what a mark
 * does to receiver and sender
 */
#include "stack/tcp.h"
#include "tests/sim/tcp_line.h"
#include "wire/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SEND_ECN(text, bits)                              \
	do {                                              \
		SEND(text);                               \
		assert_int_equal(t->tos & IP_ECN_MASK, bits); \
	} while (0)

static uint32_t cwnd(struct line *t)
{
	struct tcp_info info;

	tcp_info(t->s, t->id, &info);
	return info.cwnd_bytes;
}

static uint32_t ssthresh(struct line *t)
{
	struct tcp_info info;

	tcp_info(t->s, t->id, &info);
	return info.ssthresh_bytes;
}

static void setting(struct line *t, enum stack_ecn ecn)
{
	const struct tcp_settings settings = { .ecn = (uint8_t)ecn };

	tcp_settings_set(t->s, &settings);
}

static void established(struct line *t)
{
	line_listen(t);
	RECV(0, "SEW 0:0(0) <mss 1000>");
	SEND_ECN("S.E 0:0(0) ack 1 <mss 1460>", IP_ECN_NOT_ECT);
	RECV(10 * MS, ". 1:1(0) ack 1");
	NOTHING();
	line_accept(t);
}

/* ---- agreeing: 6.1.1 ------------------------------------------------------------------------- */

static void accepted_when_asked(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 10);
	SEND_ECN("P. 1:11(10) ack 1", IP_ECN_ECT0);
}

static void not_asked(void **state)
{
	static const char *const syn[] = { "S 0:0(0) <mss 1000>", "SE 0:0(0) <mss 1000>",
					   "SW 0:0(0) <mss 1000>" };
	struct line *t = *state;
	const struct line_config cfg = t->cfg;

	for (unsigned int i = 0; i < ARRAY_SIZE(syn); i++) {
		line_restart(t, &cfg);
		line_listen(t);
		RECV(0, syn[i]);
		SEND("S. 0:0(0) ack 1");
		RECV(10 * MS, ". 1:1(0) ack 1");
		line_accept(t);
		line_write(t, 10);
		SEND_ECN("P. 1:11(10) ack 1", IP_ECN_NOT_ECT);
	}
}

/* A SYN must not be ECN-capable itself; whose is, means something else (as Linux). */
static void syn_with_ect(void **state)
{
	struct line *t = *state;

	line_listen(t);
	t->peer_tos = IP_ECN_ECT0;
	RECV(0, "SEW 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
}

static void off(void **state)
{
	struct line *t = *state;

	setting(t, STACK_ECN_OFF);
	line_listen(t);
	RECV(0, "SEW 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
}

static void not_asking_by_default(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(10 * MS, "S.E 0:0(0) ack 1 <mss 1000>");
	SEND(". 1:1(0) ack 1");
	line_write(t, 10);
	SEND_ECN("P. 1:11(10) ack 1", IP_ECN_NOT_ECT);
}

static void asking(void **state)
{
	static const struct {
		const char *syn_ack;
		uint8_t ecn;
	} cases[] = {
		{ "S.E 0:0(0) ack 1 <mss 1000>", IP_ECN_ECT0 },
		{ "S. 0:0(0) ack 1 <mss 1000>", IP_ECN_NOT_ECT },
		{ "S.W 0:0(0) ack 1 <mss 1000>", IP_ECN_NOT_ECT },
		{ "S.EW 0:0(0) ack 1 <mss 1000>", IP_ECN_NOT_ECT }, /* all flags come back */
	};
	struct line *t = *state;
	const struct line_config cfg = t->cfg;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		line_restart(t, &cfg);
		setting(t, STACK_ECN_ASK);
		line_connect(t);
		SEND_ECN("SEW 0:0(0)", IP_ECN_NOT_ECT);
		RECV(10 * MS, cases[i].syn_ack);
		SEND_ECN(". 1:1(0) ack 1", IP_ECN_NOT_ECT);
		line_write(t, 10);
		SEND_ECN("P. 1:11(10) ack 1", cases[i].ecn);
	}
}

/* 6.1.1.1: a SYN that is not answered may have been dropped for its flags. */
static void fallback(void **state)
{
	struct line *t = *state;

	setting(t, STACK_ECN_ASK);
	line_connect(t);
	SEND("SEW 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	SEND_AFTER(2 * SEC, "S 0:0(0)");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
	SEND(". 1:1(0) ack 1");
	line_write(t, 10);
	SEND_ECN("P. 1:11(10) ack 1", IP_ECN_NOT_ECT);
}

static void simultaneous_open(void **state)
{
	static const char *const syn[] = { "S 0:0(0) <mss 1000>", "SEW 0:0(0) <mss 1000>" };
	struct line *t = *state;
	const struct line_config cfg = t->cfg;

	for (unsigned int i = 0; i < ARRAY_SIZE(syn); i++) {
		line_restart(t, &cfg);
		setting(t, STACK_ECN_ASK);
		line_connect(t);
		SEND("SEW 0:0(0)");
		RECV(10 * MS, syn[i]);
		SEND(i == 0 ? "S. 0:0(0) ack 1" : "S.E 0:0(0) ack 1");
		RECV(10 * MS, ". 1:1(0) ack 1");
		line_write(t, 10);
		SEND_ECN("P. 1:11(10) ack 1", i == 0 ? IP_ECN_NOT_ECT : IP_ECN_ECT0);
	}
}

/* Nothing marks on a direct channel. */
static void direct(void **state)
{
	struct line *t = *state;
	struct line_config cfg = t->cfg;

	cfg.link_flags = LINK_NO_LOSS;
	line_restart(t, &cfg);
	setting(t, STACK_ECN_ASK);
	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "SEW 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_write(t, 10);
	SEND_ECN("P. 1:11(10) ack 1", IP_ECN_NOT_ECT);
}

/* ---- which packets are ECN-capable: 5.2, 6.1.4 to 6.1.6 --------------------------------------- */

static void only_new_data(void **state)
{
	struct line *t = *state;

	established(t);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_TOS, 0x13), 0);
	line_write(t, 1500);
	SEND("  . 1:1001(1000) ack 1");
	assert_int_equal(t->tos, 0x10 | IP_ECN_ECT0);
	SEND("P. 1001:1501(500) ack 1");
	assert_int_equal(t->tos, 0x10 | IP_ECN_ECT0);
	SEND_BETWEEN(200 * MS, 220 * MS, ". 1:1001(1000) ack 1"); /* again */
	assert_int_equal(t->tos, 0x10);
	RECV(0, ". 1:1(0) ack 1501 win 0");
	RECV(0, "P. 101:111(10) ack 1501 win 0");
	SEND_ECN(". 1501:1501(0) ack 1", IP_ECN_NOT_ECT);
	line_write(t, 100);
	/* probe; the RTO has doubled, and nothing was measured since */
	SEND_BETWEEN(400 * MS, 430 * MS, ". 1500:1500(0) ack 1");
	assert_int_equal(t->tos, 0x10);
	RECV(0, ". 1:1(0) ack 1501 win 5000");
	/* The second had not been sent again: the timeout was a mistake, and no CWR is owed. */
	SEND_ECN("P. 1501:1601(100) ack 1", IP_ECN_ECT0);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND_ECN("F. 1601:1601(0) ack 1", IP_ECN_NOT_ECT);
}

/* ---- receiver: 6.1.3 ------------------------------------------------------------------------- */

static void ce_is_echoed_until_cwr(void **state)
{
	struct line *t = *state;

	established(t);
	t->peer_tos = IP_ECN_CE;
	RECV(0, "P. 1:101(100) ack 1");
	SEND_ECN("E. 1:1(0) ack 101", IP_ECN_NOT_ECT); /* at once */
	t->peer_tos = IP_ECN_ECT0;
	RECV(0, "P. 101:201(100) ack 1");
	SEND("E. 1:1(0) ack 201");
	RECV(0, "P. 201:301(100) ack 1");
	SEND("E. 1:1(0) ack 301");
	line_write(t, 50);
	SEND_ECN("PE. 1:51(50) ack 301", IP_ECN_ECT0); /* on whatever is sent */
	RECV(0, "PW. 301:401(100) ack 51");
	SEND(". 51:51(0) ack 401"); /* at once */
	RECV(0, "P. 401:501(100) ack 51");
	RECV(0, "P. 501:601(100) ack 51");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 51:51(0) ack 601");
	/* CWR of a packet that was marked itself: one for the last, one for the next */
	t->peer_tos = IP_ECN_CE;
	RECV(0, "P. 601:701(100) ack 51");
	SEND("E. 51:51(0) ack 701");
	RECV(0, "PW. 701:801(100) ack 51");
	SEND("E. 51:51(0) ack 801");
}

/* ECT(1) is ECN-capable, too, and not a mark; nor does one count on what brings no data. */
static void not_a_mark(void **state)
{
	struct line *t = *state;

	established(t);
	t->peer_tos = IP_ECN_ECT1;
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101");
	RECV(0, "P. 101:201(100) ack 1");
	SEND(". 1:1(0) ack 201");
	t->peer_tos = IP_ECN_CE;
	RECV(0, ". 201:201(0) ack 1");
	RECV(0, "P. 101:201(100) ack 1"); /* old: 6.1.5 */
	SEND(". 1:1(0) ack 201");
	RECV(0, ". 900201:900301(100) ack 1"); /* beyond the window */
	SEND(". 1:1(0) ack 201");
}

static void ce_ahead_of_a_hole(void **state)
{
	struct line *t = *state;

	established(t);
	t->peer_tos = IP_ECN_CE;
	RECV(0, ". 101:201(100) ack 1");
	SEND("E. 1:1(0) ack 1");
}

static void not_agreed(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	t->peer_tos = IP_ECN_CE;
	RECV(0, "P. 1:101(100) ack 1");
	RECV(0, "P. 101:201(100) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 201");
	line_write(t, 1000);
	SEND(". 1:1001(1000) ack 201");
	RECV(10 * MS, "E. 201:201(0) ack 1001");
	assert_in_range(cwnd(t), 10000, 11000);
}

/* ---- sender: 6.1.2 --------------------------------------------------------------------------- */

static void ece_reduces_once_a_window(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 30000);
	for (unsigned int i = 0; i < 10; i++)
		SEND_ECN(". *:*(1000) ack 1", IP_ECN_ECT0);
	assert_int_equal(cwnd(t), 10000);
	/* as a loss (RFC 9438 4.6), and as then 0.7 for each that was acknowledged (RFC 6937) */
	RECV(10 * MS, "E. 1:1(0) ack 2001");
	assert_int_equal(ssthresh(t), 7000);
	SEND_ECN("W. 10001:11001(1000) ack 1", IP_ECN_ECT0);
	SEND_ECN(". 11001:12001(1000) ack 1", IP_ECN_ECT0);
	NOTHING();
	RECV(0, "E. 1:1(0) ack 4001"); /* 2.8 in all */
	SEND(". 12001:13001(1000) ack 1");
	RECV(0, "E. 1:1(0) ack 6001");
	assert_int_equal(cwnd(t), 7000);
	NOTHING();
	/* What left before CWR did, and grows nothing */
	RECV(0, "E. 1:1(0) ack 10001");
	assert_int_equal(cwnd(t), 7000);
	for (unsigned int i = 0; i < 4; i++)
		SEND(". *:*(1000) ack 1");
	assert_int_equal(ssthresh(t), 7000);
	/* What left with it is a new window. */
	RECV(10 * MS, "E. 1:1(0) ack 12001");
	assert_int_equal(ssthresh(t), 4900);
	SEND("W. 17001:18001(1000) ack 1");
	SEND(". 18001:19001(1000) ack 1");
	NOTHING();
	RECV(0, ". 1:1(0) ack 17001");
	assert_int_equal(cwnd(t), 4900);
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 19001");
	assert_in_range(cwnd(t), 4900, 5900);
	IGNORE();
}

/* All is acknowledged, and nothing was left to say CWR with: it is still one reduction. */
static void cwr_waits_for_data(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 10000);
	for (unsigned int i = 0; i < 10; i++)
		SEND(". *:*(1000) ack 1");
	RECV(10 * MS, "E. 1:1(0) ack 5001");
	assert_int_equal(cwnd(t), 7000);
	RECV(0, "E. 1:1(0) ack 10001");
	assert_int_equal(cwnd(t), 7000);
	assert_int_equal(ssthresh(t), 7000);
	line_write(t, 1000);
	SEND("W. 10001:11001(1000) ack 1");
	line_write(t, 1000);
	SEND(". 11001:12001(1000) ack 1");
	RECV(0, "E. 1:1(0) ack 10001");
	assert_int_equal(cwnd(t), 7000);
	RECV(10 * MS, "E. 1:1(0) ack 11001");
	assert_int_equal(ssthresh(t), 4900);
}

/* "any reduction": CWR after a timeout, on new data only */
static void cwr_after_timeout(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 1000);
	SEND(". 1:1001(1000) ack 1");
	SEND_BETWEEN(200 * MS, 220 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(t->tos, 0);
	RECV(0, ". 1:1(0) ack 1001");
	line_write(t, 1000);
	SEND_ECN("W. 1001:2001(1000) ack 1", IP_ECN_ECT0);
}

/* A loss and a mark in one window are one reduction. */
static void ece_in_recovery(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 10000);
	for (unsigned int i = 0; i < 10; i++)
		SEND(". *:*(1000) ack 1");
	for (unsigned int i = 0; i < 3; i++)
		RECV(0, ". 1:1(0) ack 1");
	SEND_ECN(". 1:1001(1000) ack 1", IP_ECN_NOT_ECT);
	RECV(10 * MS, "E. 1:1(0) ack 3001");
	IGNORE();
	RECV(10 * MS, "E. 1:1(0) ack 10001");
	{
		struct tcp_info info;

		tcp_info(t->s, t->id, &info);
		assert_int_equal(info.ssthresh_bytes, 7000);
	}
	line_write(t, 1000);
	SEND("W. 10001:11001(1000) ack 1");
}

/* RFC 5682 and a mark: the timeout was a mistake, but the window stays small. */
static void ece_keeps_reduction(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 4000);
	for (unsigned int i = 0; i < 4; i++)
		SEND(". *:*(1000) ack 1");
	SEND_BETWEEN(200 * MS, 220 * MS, ". 1:1001(1000) ack 1");
	RECV(0, "E. 1:1(0) ack 2001"); /* the second was not sent again: F-RTO */
	assert_in_range(cwnd(t), 1000, 3000);
	assert_int_equal(ssthresh(t), 7000);
	NOTHING();
	RECV(10 * MS, ". 1:1(0) ack 4001");
	assert_in_range(cwnd(t), 1000, 5000);
	/* CWR is still owed. */
	line_write(t, 1000);
	SEND("W. 4001:5001(1000) ack 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(accepted_when_asked),
		LINE_TEST(not_asked),
		LINE_TEST(syn_with_ect),
		LINE_TEST(off),
		LINE_TEST(not_asking_by_default),
		LINE_TEST(asking),
		LINE_TEST(fallback),
		LINE_TEST(simultaneous_open),
		LINE_TEST(direct),
		LINE_TEST(only_new_data),
		LINE_TEST(ce_is_echoed_until_cwr),
		LINE_TEST(not_a_mark),
		LINE_TEST(ce_ahead_of_a_hole),
		LINE_TEST(not_agreed),
		LINE_TEST(ece_reduces_once_a_window),
		LINE_TEST(cwr_waits_for_data),
		LINE_TEST(cwr_after_timeout),
		LINE_TEST(ece_in_recovery),
		LINE_TEST(ece_keeps_reduction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
