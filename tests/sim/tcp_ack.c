// SPDX-License-Identifier: BSD-2-Clause
/*
 * When acknowledgements go: RFC 1122 4.2.3.2, RFC 5681 4.2, RFC 9293 3.8.6.3, and what Linux makes
 * of the room that they leave (tcp_delack.c)
 */
#include "tests/sim/line_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* As a connection is after accept(): nothing set */
static void accepted(struct line *t, const char *syn)
{
	line_listen(t);
	RECV(0, syn);
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1");
	line_accept(t);
}

/* Full segments of 1000 from @from on, one for each acknowledgement */
static uint32_t quick_run(struct line *t, uint32_t from, unsigned int cnt)
{
	char text[64];

	for (unsigned int i = 0; i < cnt; i++, from += 1000) {
		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", from, from + 1000);
		RECV(1 * MS, text);
		snprintf(text, sizeof(text), ". 1:1(0) ack %u", from + 1000);
		SEND(text);
		line_read(t, 1000);
		NOTHING();
	}
	return from;
}

/* ---- quick at first -------------------------------------------------------------------------- */

/*
 * The sender's window grows by what is acknowledged, so the first 16 do not wait; nor do those
 * after, while the window that is offered still grows.
 */
static void quick_at_first(void **state)
{
	struct line *t = *state;
	uint32_t at;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 43800 });
	accepted(t, "S 0:0(0) <mss 1000>");
	at = quick_run(t, 1, 16); /* 43,800 is 30 times 1460: more than 16 pairs of 1000 */
	assert_int_equal(at, 16001);
	RECV(1 * MS, ". 16001:17001(1000) ack 1");
	NOTHING_FOR(20 * MS);
	RECV(0, ". 17001:18001(1000) ack 1");
	SEND(". 1:1(0) ack 18001");
}

/* A small window needs few: as many as pairs of full segments go into it */
static void quick_by_window(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 8760 });
	accepted(t, "S 0:0(0) <mss 1000>");
	quick_run(t, 1, 4);
	RECV(1 * MS, ". 4001:5001(1000) ack 1");
	NOTHING_FOR(30 * MS);
	SEND_BETWEEN(5 * MS, 16 * MS, ". 1:1(0) ack 5001");
}

/* After a pause longer than the RTO the sender begins with a small window again. */
static void quick_after_pause(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 8760 });
	accepted(t, "S 0:0(0) <mss 1000>");
	quick_run(t, 1, 4);
	NOTHING_FOR(1100 * MS);
	quick_run(t, 4001, 3); /* 7000 were offered last */
	RECV(1 * MS, ". 7001:8001(1000) ack 1");
	NOTHING_FOR(30 * MS);
	IGNORE();
}

/* What comes twice shows that acknowledgements are missing: no more delays for a while */
static void quick_after_duplicate(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1001(1000) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 1001");
	option(t, TCP_OPT_QUICKACK, 0);
	RECV(100 * MS, ". 1:1001(1000) ack 1");
	SEND(". 1:1(0) ack 1001");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 2001");
}

/* ---- a program that answers ------------------------------------------------------------------ */

/* Its answer carries the acknowledgement, from the second request on. */
static void pingpong(void **state)
{
	struct line *t = *state;
	char text[64];

	accepted(t, "S 0:0(0) <mss 1000>");
	assert_int_equal(option_get(t, TCP_OPT_QUICKACK), 1);
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101");
	line_read(t, 100);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 101");
	assert_int_equal(option_get(t, TCP_OPT_QUICKACK), 0);
	for (unsigned int i = 1; i < 20; i++) {
		snprintf(text, sizeof(text), "P. %u:%u(100) ack %u", 1 + i * 100, 101 + i * 100,
			 1 + i * 10);
		RECV(20 * MS, text);
		NOTHING_FOR(10 * MS);
		line_read(t, 100);
		NOTHING();
		line_write(t, 10);
		snprintf(text, sizeof(text), "P. %u:%u(10) ack %u", 1 + i * 10, 11 + i * 10,
			 101 + i * 100);
		SEND(text);
	}
	RECV(1 * MS, ". 2001:2001(0) ack 201");
	NOTHING_FOR(1 * SEC);
}

/* An answer that comes too late for it: it is not counted on any more */
static void pingpong_ends(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 101");
	assert_int_equal(option_get(t, TCP_OPT_QUICKACK), 1);
	RECV(0, "P. 101:201(100) ack 1");
	SEND(". 1:1(0) ack 201");
}

/* ---- those that wait ------------------------------------------------------------------------- */

/* RFC 1122 4.2.3.2: two full segments, of the size that the peer really sends */
static void every_second(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:601(600) ack 1");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 601:1201(600) ack 1");
	SEND(". 1:1(0) ack 1201");
	RECV(0, ". 1201:1801(600) ack 1");
	NOTHING_FOR(10 * MS);
	RECV(0, ". 1801:2401(600) ack 1");
	SEND(". 1:1(0) ack 2401");
	line_read(t, 2400);
	NOTHING_FOR(1 * SEC);
}

/* No longer than the round trip or 200 ms, whichever is less, and 40 ms at the least */
static void adaptive_delay(void **state)
{
	struct line *t = *state;
	char text[64];

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 2920 });
	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(300 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	for (uint32_t at = 1; at < 4; at++) {
		snprintf(text, sizeof(text), "P. %u:%u(1) ack 1", at, at + 1);
		RECV(1 * MS, text);
		IGNORE();
		option(t, TCP_OPT_QUICKACK, 1);
		IGNORE();
	}
	/* no quick ones are left: 40 ms, and doubled each time that it was not long enough */
	RECV(1 * MS, "P. 4:5(1) ack 1");
	SEND_BETWEEN(36 * MS, 47 * MS, ". 1:1(0) ack 5");
	RECV(75 * MS, "P. 5:6(1) ack 1");
	SEND_BETWEEN(76 * MS, 90 * MS, ". 1:1(0) ack 6");
	RECV(150 * MS, "P. 6:7(1) ack 1");
	SEND_BETWEEN(150 * MS, 170 * MS, ". 1:1(0) ack 7");
	RECV(310 * MS, "P. 7:8(1) ack 1");
	SEND_BETWEEN(198 * MS, 206 * MS, ". 1:1(0) ack 8");
}

/* The program has read all there was and the end was small: it is told so, at once */
static void read_all(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 8760 });
	accepted(t, "S 0:0(0) <mss 1000>");
	quick_run(t, 1, 4);
	RECV(1 * MS, ". 4001:5001(1000) ack 1");
	line_read(t, 1000);
	NOTHING();
	RECV(1 * MS, "P. 5001:5101(100) ack 1");
	SEND(". 1:1(0) ack 5101"); /* more than one full segment */
	RECV(1 * MS, "P. 5101:5201(100) ack 1");
	NOTHING_FOR(10 * MS);
	line_read(t, 50);
	NOTHING();
	line_read(t, 150);
	SEND(". 1:1(0) ack 5201");
}

/* TCP_QUICKACK: 1 sends what waits and lets the next not wait; 0 counts on answers */
static void option_quickack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	RECV(0, "P. 1:101(100) ack 1");
	NOTHING_FOR(10 * MS);
	option(t, TCP_OPT_QUICKACK, 1);
	SEND(". 1:1(0) ack 101");
	RECV(0, "P. 101:201(100) ack 1");
	SEND(". 1:1(0) ack 201");
	option(t, TCP_OPT_QUICKACK, 0);
	RECV(0, "P. 201:301(100) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 301");
}

/* ---- those that never wait ------------------------------------------------------------------- */

/* RFC 5681 4.2: ahead of a hole, filling it, and filling it in part; RFC 9293: FIN */
static void at_once(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, ". 2001:3001(1000) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, ". 1:501(500) ack 1");
	SEND(". 1:1(0) ack 501");
	RECV(0, ". 501:1001(500) ack 1");
	SEND(". 1:1(0) ack 3001");
	option(t, TCP_OPT_QUICKACK, 0);
	RECV(0, "F. 3001:3001(0) ack 1");
	SEND_BETWEEN(20 * MS, 46 * MS, ". 1:1(0) ack 3002");
}

/* A probe of a closed window is answered each time. */
static void zero_window_probe(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 2920 });
	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:1461(1460) ack 1");
	RECV(0, ". 1461:2921(1460) ack 1");
	SEND(". 1:1(0) ack 2921 win 0");
	for (unsigned int i = 0; i < 3; i++) {
		RECV(300 * MS, ". 2921:2922(1) ack 1");
		SEND(". 1:1(0) ack 2921 win 0");
		RECV(300 * MS, ". 2920:2920(0) ack 1");
		SEND(". 1:1(0) ack 2921 win 0");
	}
	line_read(t, 100);
	NOTHING_FOR(1 * SEC); /* RFC 9293 3.8.6.2.2 */
	line_read(t, 1360);
	SEND(". 1:1(0) ack 2921 win 1460");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(quick_at_first),   LINE_TEST(quick_by_window),
		LINE_TEST(quick_after_pause), LINE_TEST(quick_after_duplicate),
		LINE_TEST(pingpong),	     LINE_TEST(pingpong_ends),
		LINE_TEST(every_second),     LINE_TEST(adaptive_delay),
		LINE_TEST(read_all),	     LINE_TEST(option_quickack),
		LINE_TEST(at_once),	     LINE_TEST(zero_window_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
