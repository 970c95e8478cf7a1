// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data: acknowledgements (RFC 9293 3.8.6.3, RFC 5681 4.2), small segments (3.7.4), windows (3.8.6),
 * reassembly (3.10.7.4), timestamps (RFC 7323), buffers of the program and of the link
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t dropped(struct line *t, enum stack_drop why)
{
	struct stack_stats stats;

	stack_stats(t->s, &stats);
	return stats.drops[why];
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

/* RFC 9293 3.8.6.3: one segment waits, for 40 ms as in Linux; the second does not */
static void delayed_ack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	RECV(0, "P. 1:101(100) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 101");
	option(t, TCP_OPT_QUICKACK, 0);
	RECV(100 * MS, ". 101:1561(1460) ack 1");
	NOTHING_FOR(20 * MS);
	RECV(0, ". 1561:3021(1460) ack 1");
	SEND(". 1:1(0) ack 3021");
	NOTHING_FOR(1 * SEC);
}

static void ack_rides_on_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	RECV(0, "P. 1:101(100) ack 1");
	EVENT(STACK_EV_READABLE);
	line_read(t, 100);
	line_write(t, 50);
	SEND("P. 1:51(50) ack 101");
	RECV(10 * MS, ". 101:101(0) ack 51");
	NOTHING_FOR(1 * SEC);
}

static void quick_ack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	option(t, TCP_OPT_QUICKACK, 1);
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101");
}

/* ---- small segments -------------------------------------------------------------------------- */

/* RFC 9293 3.7.4, with Minshall's change: a small segment waits only for a small one */
static void nagle(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	line_write(t, 100);
	line_write(t, 100);
	NOTHING_FOR(50 * MS);
	RECV(0, ". 1:1(0) ack 101");
	SEND("P. 101:301(200) ack 1");
	RECV(0, ". 1:1(0) ack 301");
	line_write(t, 1100);
	SEND(". 301:1301(1000) ack 1");
	SEND("P. 1301:1401(100) ack 1");
	line_write(t, 1050);
	SEND(". 1401:2401(1000) ack 1");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 1301");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 1401");
	SEND("P. 2401:2451(50) ack 1");
	RECV(0, ". 1:1(0) ack 2451");
}

static void nodelay(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	line_write(t, 10);
	NOTHING();
	option(t, TCP_OPT_NODELAY, 1);
	SEND("P. 101:111(10) ack 1");
	line_write(t, 10);
	SEND("P. 111:121(10) ack 1");
	RECV(0, ". 1:1(0) ack 121");
}

/*
 * MSG_MORE and cork: full segments only; what is left goes when it is lifted, or after 200 ms as in
 * Linux
 */
static void cork(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_CORK, 1);
	line_write(t, 1500);
	SEND(". 1:1001(1000) ack 1");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 1001");
	NOTHING_FOR(10 * MS);
	option(t, TCP_OPT_CORK, 0);
	SEND("P. 1001:1501(500) ack 1");
	RECV(0, ". 1:1(0) ack 1501");
	option(t, TCP_OPT_CORK, 1);
	line_write(t, 10);
	SEND_BETWEEN(200 * MS, 215 * MS, "P. 1501:1511(10) ack 1");
	RECV(0, ". 1:1(0) ack 1511");
	/* TCP_NODELAY pushes what is there, once (as Linux) */
	line_write(t, 10);
	option(t, TCP_OPT_NODELAY, 1);
	SEND("P. 1511:1521(10) ack 1");
	line_write(t, 10);
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 1521");
	/* closing lifts it, too */
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("FP. 1521:1531(10) ack 1");
	RECV(0, ". 1:1(0) ack 1532");
}

static void more(void **state)
{
	struct line *t = *state;
	uint8_t bytes[20];
	size_t n;

	line_established_passive(t, "mss 1000");
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	assert_int_equal(tcp_send(t->s, t->id, bytes, 10, TCP_SEND_MORE, &n), 0);
	NOTHING_FOR(100 * MS);
	assert_int_equal(tcp_send(t->s, t->id, bytes + 10, 10, 0, &n), 0);
	SEND("P. 1:21(20) ack 1");
	RECV(0, ". 1:1(0) ack 21");
}

/* ---- congestion window ----------------------------------------------------------------------- */

/* RFC 6928: ten segments; RFC 5681 3.1: two for each acknowledged, here by bytes */
static void initial_window(void **state)
{
	struct line *t = *state;
	char text[64];

	line_established_passive(t, "mss 1000,wscale 7");
	line_write(t, 40000);
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
		SEND(text);
	}
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 2001");
	for (unsigned int i = 10; i < 14; i++) {
		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
		SEND(text);
	}
	NOTHING();
	assert_int_equal(info(t).cwnd_bytes, 12000);
	assert_int_equal(info(t).in_flight_bytes, 12000);
	assert_int_equal(info(t).unsent_bytes, 26000);
}

/*
 * RFC 5681 4.1: what was allowed before a pause is not any more. RFC 9293 3.8.2: what was not used
 * does not grow.
 */
static void idle_restart(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,wscale 7");
	line_write(t, 10000);
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 10001");
	assert_int_equal(info(t).cwnd_bytes, 20000);
	line_write(t, 20000);
	IGNORE();
	RECV(10 * MS, ". 1:1(0) ack 30001");
	assert_int_equal(info(t).cwnd_bytes, 40000);
	line_write(t, 100);
	SEND("P. 30001:30101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 30101");
	assert_int_equal(info(t).cwnd_bytes, 40000);
	NOTHING_FOR(250 * MS); /* one RTO and not two */
	line_write(t, 100);
	SEND("P. 30101:30201(100) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 20000);
	RECV(10 * MS, ". 1:1(0) ack 30201");
	NOTHING_FOR(60 * SEC);
	line_write(t, 100);
	SEND("P. 30201:30301(100) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 10000);
	RECV(10 * MS, ". 1:1(0) ack 30301");
}

/* ---- send window ----------------------------------------------------------------------------- */

/*
 * RFC 9293 3.8.6.1: probes with back-off, for as long as they are answered; the data goes when the
 * window opens
 */
static void zero_window(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101 win 0");
	line_write(t, 500);
	NOTHING_FOR(150 * MS);
	SEND_BETWEEN(40 * MS, 110 * MS, ". 100:100(0) ack 1");
	RECV(0, ". 1:1(0) ack 101 win 0");
	SEND_BETWEEN(390 * MS, 440 * MS, ". 100:100(0) ack 1");
	RECV(0, ". 1:1(0) ack 101 win 0");
	SEND_BETWEEN(790 * MS, 880 * MS, ". 100:100(0) ack 1");
	RECV(500 * MS, ". 1:1(0) ack 101 win 2000");
	SEND("P. 101:601(500) ack 1");
	RECV(0, ". 1:1(0) ack 601 win 2000");
	NOTHING_FOR(300 * SEC);
}

static void zero_window_for_hours(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 500);
	for (unsigned int i = 0; i < 60; i++) {
		SEND_BETWEEN(200 * MS, 121 * SEC, ". 0:0(0) ack 1");
		RECV(0, ". 1:1(0) ack 1 win 0");
	}
	RECV(0, ". 1:1(0) ack 1 win 500");
	SEND("P. 1:501(500) ack 1");
	RECV(0, ". 1:1(0) ack 501");
}

/* ... but not for ever if nobody answers */
static void zero_window_timeout(void **state)
{
	struct line *t = *state;
	unsigned int probes = 0;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 500);
	for (; line_state(t) != TCP_CLOSED; probes++) {
		assert_in_range(probes, 0, 20);
		t->now_us += 121 * SEC;
		IGNORE();
	}
	line_read_error(t, ETIMEDOUT);
	assert_in_range(probes, 10, 17);
}

/* RFC 9293 3.8.6.2.1: no silly segments while something is in flight */
static void sender_silly_window(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 2500");
	line_write(t, 5000);
	SEND(". 1:1001(1000) ack 1");
	SEND(". 1001:2001(1000) ack 1");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 1001 win 1600");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1:1(0) ack 2001 win 600");
	/* less than half of what the peer once offered: the timer overrides */
	SEND_BETWEEN(200 * MS, 215 * MS, ". 2001:2601(600) ack 1");
	RECV(0, ". 1:1(0) ack 2601 win 5000");
	SEND(". 2601:3601(1000) ack 1");
	SEND(". 3601:4601(1000) ack 1");
	SEND("P. 4601:5001(400) ack 1");
	RECV(0, ". 1:1(0) ack 5001 win 5000");
}

/* An old segment's window is not believed (RFC 9293 3.10.7.4: SND.WL1, SND.WL2). */
static void old_window(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 101:201(100) ack 1 win 5000");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(info(t).snd_wnd, 65535);
	RECV(0, "P. 1:101(100) ack 1 win 4000");
	SEND(". 1:1(0) ack 201");
	assert_int_equal(info(t).snd_wnd, 4000);
	RECV(0, ". 201:201(0) ack 1 win 4100");
	RECV(0, ". 101:101(0) ack 1 win 3000");
	assert_int_equal(info(t).snd_wnd, 4100);
	IGNORE();
}

/* ---- receive window -------------------------------------------------------------------------- */

/*
 * RFC 9293 3.8.6, 3.8.6.2.2: the edge stays until there is room worth telling of, and never moves
 * left
 */
static void receive_window(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 10000 });
	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1001(1000) ack 1");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 2001 win 8000");
	RECV(0, ". 2001:3001(1000) ack 1");
	RECV(0, ". 3001:4001(1000) ack 1");
	SEND(". 1:1(0) ack 4001 win 6000");
	for (unsigned int i = 4; i < 10; i += 2) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
		RECV(0, text);
		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", 1001 + i * 1000,
			 2001 + i * 1000);
		RECV(0, text);
		snprintf(text, sizeof(text), ". 1:1(0) ack %u win %u", 2001 + i * 1000,
			 8000 - i * 1000);
		SEND(text);
	}
	/* a probe of the closed window, with a byte and without */
	RECV(0, ". 10001:10002(1) ack 1");
	SEND(". 1:1(0) ack 10001 win 0");
	RECV(0, ". 10000:10000(0) ack 1");
	SEND(". 1:1(0) ack 10001 win 0");
	line_read(t, 500);
	NOTHING_FOR(1 * SEC);
	line_read(t, 500);
	SEND(". 1:1(0) ack 10001 win 1000");
	line_read(t, 500);
	NOTHING_FOR(1 * SEC);
	line_read(t, 8500);
	SEND(". 1:1(0) ack 10001 win 9000"); /* what was ever offered beside what waited */
}

/* ... nor by the rounding of the scale (RFC 7323 2.4) */
static void receive_window_scaled(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 64 * 1000 });
	line_established_passive(t, "mss 1460,wscale 7");
	option(t, TCP_OPT_QUICKACK, 1);
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101 win 491"); /* 62,780, rounded up */
	line_write(t, 10);
	SEND("P. 1:11(10) ack 101 win 491");
	RECV(0, "P. 101:2101(2000) ack 11");
	SEND(". 11:11(0) ack 2101 win 484"); /* 61,900, rounded up: to 64,053 */
	RECV(0, "P. 2101:2177(76) ack 11");
	line_write(t, 1);
	SEND("P. 11:12(1) ack 2177 win 484"); /* and not 483 = 61,824, which ends at 64,001 */
}

/* Beyond the window nothing is taken. */
static void beyond_window(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 2920 });
	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:1461(1460) ack 1");
	RECV(0, ". 1461:3461(2000) ack 1");
	SEND(". 1:1(0) ack 2921 win 0");
	RECV(0, ". 5000:6000(1000) ack 1");
	SEND(". 1:1(0) ack 2921 win 0");
	assert_int_equal(dropped(t, STACK_DROP_TCP_SEQ), 1);
	line_read(t, 2920);
	SEND(". 1:1(0) ack 2921 win 2920");
}

/* The window may close while acknowledgements must still be read, and data be sent. */
static void closed_both_ways(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 2920 });
	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:1461(1460) ack 1");
	RECV(0, ". 1461:2921(1460) ack 1");
	SEND(". 1:1(0) ack 2921 win 0");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 2921 win 0");
	RECV(0, ". 2921:2921(0) ack 101");
	assert_int_equal(info(t).in_flight_bytes, 0);
	NOTHING_FOR(10 * SEC);
}

/* ---- reassembly ------------------------------------------------------------------------------ */

static void out_of_order(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1"); /* RFC 5681 4.2: at once */
	RECV(0, ". 3001:4001(1000) ack 1");
	SEND(". 1:1(0) ack 1");
	EVENT(0);
	line_read_error(t, EAGAIN);
	RECV(0, ". 1:1001(1000) ack 1");
	SEND(". 1:1(0) ack 2001");
	RECV(0, ". 2001:3001(1000) ack 1");
	SEND(". 1:1(0) ack 4001");
	line_read(t, 4000);
	assert_int_equal(info(t).out_of_order, 2);
}

/* Segments that overlap what is there, in every way */
static void overlaps(void **state)
{
	struct line *t = *state;
	static const char *const lines[] = {
		". 301:401(100) ack 1",				/* |  ---      | */
		". 501:601(100) ack 1",				/* |  --- ---  | */
		". 251:351(100) ack 1",				/* left edge */
		". 551:651(100) ack 1",				/* right edge */
		". 301:401(100) ack 1",				/* the same */
		". 261:300(39) ack 1",				/* inside */
		". 701:801(100) ack 1", ". 381:720(339) ack 1", /* over two gaps */
		". 101:901(800) ack 1",				/* over all */
	};

	line_established_passive(t, "mss 1000");
	for (unsigned int i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		RECV(0, lines[i]);
		SEND(". 1:1(0) ack 1");
	}
	RECV(0, ". 1:201(200) ack 1");
	SEND(". 1:1(0) ack 901");
	line_read(t, 900);
	/* and old data before new */
	RECV(0, ". 801:1001(200) ack 1");
	SEND_BETWEEN(0, 46 * MS, ". 1:1(0) ack 1001");
	line_read(t, 100);
	RECV(0, ". 801:901(100) ack 1");
	SEND(". 1:1(0) ack 1001"); /* RFC 9293: nothing new, answered at once */
}

static void fin_ahead(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "F. 201:201(0) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, "P. 101:201(100) ack 1");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	RECV(0, ". 1:101(100) ack 1");
	SEND(". 1:1(0) ack 202");
	assert_int_equal(line_state(t), TCP_CLOSE_WAIT);
	line_read(t, 200);
	line_read_eof(t);
}

/* Disjoint ranges are bounded; the peer sends what was dropped again. */
static void out_of_order_limit(void **state)
{
	struct line *t = *state;
	char text[64];

	line_established_passive(t, "mss 1000");
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), ". %u:%u(10) ack 1", 11 + i * 20, 21 + i * 20);
		RECV(0, text);
		IGNORE();
	}
	assert_int_equal(dropped(t, STACK_DROP_NO_MEMORY), 300 - 256);
	for (unsigned int i = 0; i < 257; i++) {
		snprintf(text, sizeof(text), ". %u:%u(10) ack 1", 1 + i * 20, 11 + i * 20);
		RECV(0, text);
		IGNORE();
	}
	line_read(t, 256 * 20 + 10);
	line_read_error(t, EAGAIN);
}

/* RFC 6093: urgent data are data */
static void urgent(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "PU. 1:11(10) ack 1 urg 5");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	line_read(t, 10);
}

/* ---- timestamps ------------------------------------------------------------------------------ */

/* RFC 7323 5.3: PAWS */
static void paws(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,TS val 10 ecr 0");
	RECV(0, "P. 1:11(10) ack 1 <TS val 100 ecr *>");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11 <TS val * ecr 100>");
	option(t, TCP_OPT_QUICKACK, 0);
	RECV(0, "P. 11:21(10) ack 1 <TS val 99 ecr *>");
	SEND(". 1:1(0) ack 11 <TS val * ecr 100>");
	assert_int_equal(dropped(t, STACK_DROP_TCP_PAWS), 1);
	/* a reset is judged by its sequence number only */
	RECV(0, "R 12:12(0) <TS val 1 ecr 0>");
	SEND(". 1:1(0) ack 11");
	RECV(0, "P. 11:21(10) ack 1 <TS val 100 ecr *>");
	line_read(t, 20);
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 21");
	RECV(0, "R 21:21(0) <TS val 1 ecr 0>");
	assert_int_equal(line_state(t), TCP_CLOSED);
}

/* RFC 7323 5.5: after 24 days without one, any timestamp is later; also if we spoke first. */
static void paws_s5_5_idle(void **state)
{
	enum { DAY_S = 86400 };
	struct line *t = *state;

	line_established_passive(t, "mss 1012,TS val 10 ecr 0");
	NOTHING_FOR(24 * DAY_S * SEC - SEC);
	RECV(0, "P. 1:11(10) ack 1 <TS val 2160000030 ecr *>");
	SEND(". 1:1(0) ack 1 <TS val * ecr 11>");
	assert_int_equal(dropped(t, STACK_DROP_TCP_PAWS), 1);
	NOTHING_FOR(DAY_S * SEC); /* what was refused counts for nothing */
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	RECV(10 * MS, "P. 1:11(10) ack 101 <TS val 2246400030 ecr *>");
	line_read(t, 10);
	SEND_BETWEEN(0, 200 * MS, ". 101:101(0) ack 11");
	NOTHING_FOR(50 * DAY_S * SEC); /* longer than 2^32 ms */
	RECV(0, "P. 11:21(10) ack 101 <TS val 2246400029 ecr *>");
	line_read(t, 10);
	SEND_BETWEEN(0, 200 * MS, ". 101:101(0) ack 21");
	RECV(10 * MS, "P. 21:31(10) ack 101 <TS val 2246400028 ecr *>");
	SEND(". 101:101(0) ack 21");
	assert_int_equal(dropped(t, STACK_DROP_TCP_PAWS), 2);
}

/* RFC 7323 5.3, as Linux: a SYN that says 0 says nothing of the clock. */
static void paws_s5_3_zero(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1012,TS val 0 ecr 0>");
	SEND("S. 0:0(0) ack 1 <mss *,TS val * ecr 0>");
	RECV(10 * MS, ". 1:1(0) ack 1 <TS val 3000000000 ecr *>");
	line_accept(t);
	option(t, TCP_OPT_QUICKACK, 1);
	RECV(0, "P. 1:11(10) ack 1 <TS val 3000000001 ecr *>");
	SEND(". 1:1(0) ack 11 <TS val * ecr 3000000001>");
	line_read(t, 10);
	RECV(0, "P. 11:21(10) ack 1 <TS val 2999999999 ecr *>");
	SEND(". 1:1(0) ack 11 <TS val * ecr 3000000001>");
	assert_int_equal(dropped(t, STACK_DROP_TCP_PAWS), 1);
}

/*
 * RFC 7323 4.3: what is echoed is of the segment that the acknowledgement answers, the first of
 * several
 */
static void ts_recent(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,TS val 10 ecr 0");
	RECV(0, ". 1:1001(1000) ack 1 <TS val 100 ecr *>");
	RECV(0, ". 1001:2001(1000) ack 1 <TS val 105 ecr *>");
	SEND(". 1:1(0) ack 2001 <TS val * ecr 100>");
	RECV(0, ". 3001:4001(1000) ack 1 <TS val 120 ecr *>");
	SEND(". 1:1(0) ack 2001 <TS val * ecr 100>");
	RECV(0, ". 2001:3001(1000) ack 1 <TS val 110 ecr *>");
	SEND(". 1:1(0) ack 4001 <TS val * ecr 110>");
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void send_buffer(void **state)
{
	struct line *t = *state;
	uint8_t bytes[20000];
	size_t n;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .sndbuf_bytes = 10000 });
	line_established_passive(t, "mss 1000");
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &n), 0);
	assert_int_equal(n, 10000);
	IGNORE();
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
	assert_int_equal(tcp_send(t->s, t->id, bytes, 1, 0, &n), -EAGAIN);
	RECV(0, ". 1:1(0) ack 3001");
	EVENT(0); /* Linux: a third must be free */
	RECV(0, ". 1:1(0) ack 4001");
	EVENT(STACK_EV_WRITABLE);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, STACK_EV_WRITABLE);
	assert_int_equal(tcp_send(t->s, t->id, bytes + 10000, 10000, 0, &n), 0);
	assert_int_equal(n, 4000);
	IGNORE();
	RECV(0, ". 1:1(0) ack 14001");
	EVENT(STACK_EV_WRITABLE | STACK_EV_SENT_ALL);
}

static void borrow(void **state)
{
	struct line *t = *state;
	const uint8_t *data;
	size_t n;

	line_established_passive(t, "mss 1460");
	assert_int_equal(tcp_recv_borrow(t->s, t->id, &data, &n), -EAGAIN);
	RECV(0, ". 1:1001(1000) ack 1");
	RECV(0, ". 1001:1101(100) ack 1");
	IGNORE();
	assert_int_equal(tcp_recv_borrow(t->s, t->id, &data, &n), 0);
	assert_int_equal(n, 1000); /* in the frame it came in */
	assert_int_equal(t->drv->rx_out, 1);
	assert_int_equal(data[999], line_byte(1000));
	tcp_recv_return(t->s, t->id, 400);
	assert_int_equal(tcp_recv_borrow(t->s, t->id, &data, &n), 0);
	assert_int_equal(n, 600);
	assert_int_equal(data[0], line_byte(401));
	tcp_recv_return(t->s, t->id, 600);
	assert_int_equal(t->drv->rx_out, 0);
	t->read = 1000;
	line_read(t, 100);
}

static void peek(void **state)
{
	struct line *t = *state;
	uint8_t bytes[10];
	size_t n;

	line_established_passive(t, "mss 1460");
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(tcp_recv(t->s, t->id, bytes, 5, true, &n), 0);
	assert_int_equal(n, 5);
	line_read(t, 10);
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
}

static void send_frame(void **state)
{
	struct line *t = *state;
	uint8_t *data;
	size_t room;

	line_established_passive(t, "mss 1000");
	assert_int_equal(tcp_send_frame(t->s, t->id, &data, &room), 0);
	assert_int_equal(room, 1000);
	for (unsigned int i = 0; i < 300; i++)
		data[i] = line_byte(1 + i);
	assert_int_equal(tcp_send_frame_done(t->s, t->id, 300), 0);
	SEND("P. 1:301(300) ack 1");
	assert_int_equal(tcp_send_frame(t->s, t->id, &data, &room), 0);
	assert_int_equal(tcp_send_frame_done(t->s, t->id, 0), 0);
	NOTHING();
	/* a copy is kept */
	SEND_BETWEEN(150 * MS, 220 * MS, "P. 1:301(300) ack 1");
	RECV(0, ". 1:1(0) ack 301 win 0");
	assert_int_equal(tcp_send_frame(t->s, t->id, &data, &room), -EAGAIN);
	NOTHING_FOR(10 * SEC);
}

/* The link has no frame: nothing is lost, everything goes when it has. */
static void back_pressure(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	t->drv->tx_max = 2;
	line_write(t, 3500);
	SEND(". 1:1001(1000) ack 1");
	SEND(". 1001:2001(1000) ack 1");
	NOTHING_FOR(1 * MS);
	assert_true(stack_link_blocked(t->s, t->link));
	assert_true(stack_unfinished(t->s));
	stack_link_writable(t->s, t->link);
	SEND(". 2001:3001(1000) ack 1");
	SEND("P. 3001:3501(500) ack 1");
	assert_false(stack_unfinished(t->s));
	/* an acknowledgement waits, too */
	t->drv->tx_max = 0;
	RECV(0, ". 1:1001(1000) ack 3501");
	RECV(0, ". 1001:2001(1000) ack 3501");
	NOTHING_FOR(100 * MS);
	t->drv->tx_max = 10;
	stack_link_writable(t->s, t->link);
	SEND(". 3501:3501(0) ack 2001");
}

/* Frames smaller than the MTU: segments are cut to them. */
static void small_frames(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	t->drv->tx_bytes = 14 + (t->cfg.v6 ? 40 : 20) + 20 + 400;
	line_write(t, 1000);
	SEND(". 1:401(400) ack 1");
	SEND(". 401:801(400) ack 1");
	SEND("P. 801:1001(200) ack 1");
	RECV(0, ". 1:1(0) ack 1001");
	line_write(t, 500);
	SEND(". 1001:1401(400) ack 1");
	SEND("P. 1401:1501(100) ack 1");
	RECV(0, ". 1:1(0) ack 1501");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(delayed_ack),
		LINE_TEST(ack_rides_on_data),
		LINE_TEST(quick_ack),
		LINE_TEST(nagle),
		LINE_TEST(nodelay),
		LINE_TEST(cork),
		LINE_TEST(more),
		LINE_TEST(initial_window),
		LINE_TEST(idle_restart),
		LINE_TEST(zero_window),
		LINE_TEST(zero_window_for_hours),
		LINE_TEST(zero_window_timeout),
		LINE_TEST(sender_silly_window),
		LINE_TEST(old_window),
		LINE_TEST(receive_window),
		LINE_TEST(receive_window_scaled),
		LINE_TEST(beyond_window),
		LINE_TEST(closed_both_ways),
		LINE_TEST(out_of_order),
		LINE_TEST(overlaps),
		LINE_TEST(fin_ahead),
		LINE_TEST(out_of_order_limit),
		LINE_TEST(urgent),
		LINE_TEST(paws),
		LINE_TEST(paws_s5_5_idle),
		LINE_TEST(paws_s5_3_zero),
		LINE_TEST(ts_recent),
		LINE_TEST(send_buffer),
		LINE_TEST(borrow),
		LINE_TEST(peek),
		LINE_TEST(send_frame),
		LINE_TEST(back_pressure),
		LINE_TEST(small_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
