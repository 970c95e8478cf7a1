// SPDX-License-Identifier: BSD-2-Clause
/*
 * Receive and send buffers that follow the path (tcp_tune.c): what is offered at first, how it
 * grows and what stops it
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void accepted(struct line *t, const char *syn, const char *ack)
{
	line_listen(t);
	RECV(0, syn);
	SEND("S. 0:0(0) ack 1");
	RECV(50 * MS, ack);
	line_accept(t);
}

#define PLAIN_SYN "S 0:0(0) <mss 1460,wscale 7>"
#define PLAIN PLAIN_SYN, ". 1:1(0) ack 1"

/*
 * A peer that sends @bytes per round trip of @rtt_us, with timestamps, all read as it comes.
 */
static uint32_t rounds_of(struct line *t, uint32_t at, uint32_t bytes, unsigned int cnt, uint64_t rtt_us)
{
	char text[96];

	for (unsigned int i = 0; i < cnt; i++) {
		uint32_t echo = t->ts_val; /* of a round trip ago, for all of this one */

		t->now_us += rtt_us;
		IGNORE();
		for (uint32_t sent = 0; sent < bytes; sent += 1448, at += 1448) {
			snprintf(text, sizeof(text), ". %u:%u(1448) ack 1 <TS val %u ecr %u>", at,
				 at + 1448, (uint32_t)(t->now_us / MS), echo);
			RECV(0, text);
			line_read(t, 1448);
			IGNORE();
		}
	}
	return at;
}

static uint32_t rounds(struct line *t, uint32_t at, uint32_t bytes, unsigned int cnt)
{
	return rounds_of(t, at, bytes, cnt, 50 * MS);
}

/* ---- at first -------------------------------------------------------------------------------- */

/* Half of tcp_rmem[1] in whole segments, and a scale for all of tcp_rmem[2] */
static void initial(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
	SEND("S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,wscale 7,TS val * ecr 1>");
	RECV(0, ". 1:1(0) ack 1 <TS val 1 ecr *>");
	line_accept(t);
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 65536);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1 win 510"); /* 65,160 >> 7, rounded up */
}

static void initial_configured(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){
				.v6 = t->cfg.v6,
				.rmem = { 4096, 540000, 15728640 },
				.wmem = { 4096, 262144, 4194304 },
			});
	line_connect(t);
	SEND("S 0:0(0) win 65535 <mss 1460,sackOK,wscale 8,TS val * ecr 0>");
	RECV(0, "S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 8,TS val 1 ecr *>");
	SEND(". 1:1(0) ack 1 win 1050"); /* 184 segments of 1460 */
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 270000);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 262144);
}

/* ---- growth ---------------------------------------------------------------------------------- */

/* All of the first buffer is offered as soon as a header can tell, less what was not read. */
static void offer_begins(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6,
					       .rmem = { 4096, 200000, 6291456 } });
	accepted(t, PLAIN);
	RECV(0, ". 1:1461(1460) ack 1");
	SEND(". 1:1(0) ack 1461 win 770"); /* 100,000 - 1,460 */
	RECV(0, ". 1461:2921(1460) ack 1");
	SEND(". 1:1(0) ack 2921 win 759");
	line_read(t, 2920);
	RECV(0, "P. 2921:2922(1) ack 1");
	SEND(". 1:1(0) ack 2922 win 776"); /* 68 segments */
}

/* The program reads more per round trip: the buffer becomes twice that, and more while it grows. */
static void buffer_grows(void **state)
{
	struct line *t = *state;
	uint32_t at;

	accepted(t, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>",
		 ". 1:1(0) ack 1 <TS val 1 ecr *>");
	at = rounds(t, 1, 10 * 1448, 3);
	assert_in_range(info(t).rcv_rtt_us, 50000, 100000); /* with the handshake's 100 ms */
	for (uint32_t segs = 20; segs <= 400; segs *= 2) {
		at = rounds(t, at, segs * 1448, 6);
		assert_true(option_get(t, TCP_OPT_RCVBUF) >= 2 * segs * 1448);
		/* ... and it is offered */
		assert_true(info(t).rcv_wnd >= 2 * segs * 1448 - 1448);
	}
	/* the pause makes it forget how it came to this, but not what was offered */
	NOTHING_FOR(100 * SEC);
	at = rounds(t, at, 1448, 1);
	assert_true(info(t).rcv_wnd >= 2 * 320 * 1448 - 1448);
}

/* ---- the link's frames ----------------------------------------------------------------------- */

#define FRAMES_FREE 100u /* of rx_frames, those that unread data does not hold */

/* A peer @rtt_us away. Return: the largest window that it was offered */
static uint32_t offered_over(struct line *t, uint64_t rtt_us, uint32_t rcvbuf_bytes)
{
	uint32_t at = 1, most = 0;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6,
					       .rx_hold_max = 16,
					       .rx_frames = 16 + FRAMES_FREE,
					       .rcvbuf_bytes = rcvbuf_bytes });
	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
	IGNORE();
	RECV(rtt_us, ". 1:1(0) ack 1 <TS val 1 ecr *>");
	line_accept(t);
	for (uint32_t segs = 20; segs <= 400; segs *= 2) {
		at = rounds_of(t, at, segs * 1448, 6, rtt_us);
		most = most > info(t).rcv_wnd ? most : info(t).rcv_wnd;
	}
	return most;
}

/* Never more than the frames hold while the program doesn't run; not less either, so that nothing waits. */
static void frames_bound_window(void **state)
{
	struct line *t = *state;

	assert_in_range(offered_over(t, 2 * MS, 0), FRAMES_FREE * 1448 - 1448, FRAMES_FREE * 1448 + 128);
	/* what the program has set says how much may wait to be read, not what the link can take */
	assert_in_range(offered_over(t, 2 * MS, 4000000), FRAMES_FREE * 1448 - 1448, FRAMES_FREE * 1448 + 128);
}

/* On a long path they are filled in more than one of the times in which the program may not run. */
static void frames_long_path(void **state)
{
	struct line *t = *state;

	assert_in_range(offered_over(t, 40 * MS, 0), 2 * FRAMES_FREE * 1448, 8 * FRAMES_FREE * 1448);
}

/* Less than the first buffer: SYN tells it, with neither more in the first header that has a scale. */
static void frames_few(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rx_hold_max = 4, .rx_frames = 14 });
	line_listen(t);
	RECV(0, PLAIN_SYN);
	SEND("S. 0:0(0) ack 1 win 14600");
	RECV(50 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1 win 115"); /* 14,600 >> 7, rounded up */
}

/* No more than half of tcp_rmem[2] */
static void buffer_limit(void **state)
{
	struct line *t = *state;
	uint32_t at = 1;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rmem = { 4096, 131072, 400000 } });
	accepted(t, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>",
		 ". 1:1(0) ack 1 <TS val 1 ecr *>");
	for (uint32_t segs = 10; segs <= 120; segs += 10)
		at = rounds(t, at, segs * 1448, 2);
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 200000);
}

/* Who does not read gets no larger buffer, however much is sent. */
static void no_reader(void **state)
{
	struct line *t = *state;
	char text[64];
	uint32_t at = 1;

	accepted(t, PLAIN);
	for (unsigned int i = 0; i < 44; i++, at += 1460) {
		snprintf(text, sizeof(text), ". %u:%u(1460) ack 1", at, at + 1460);
		RECV(5 * MS, text);
		IGNORE();
	}
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 65536);
	assert_in_range(info(t).rcv_wnd, 0, 2000);
}

/* ... nor does rounding add to what is offered, one byte after the other */
static void no_reader_bytes(void **state)
{
	struct line *t = *state;
	char text[64];

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 5000 });
	accepted(t, PLAIN);
	for (uint32_t at = 1; at < 5000 + 4 * 128; at++) {
		snprintf(text, sizeof(text), ". %u:%u(1) ack 1", at, at + 1);
		RECV(0, text);
		t->now_us += 1 * MS;
		IGNORE();
	}
	assert_in_range(info(t).unread_bytes, 4380, 5000 + 3 * 128);
	assert_in_range(info(t).rcv_wnd, 0, 127);
}

/* What the program sets stays as it is set. */
static void fixed(void **state)
{
	struct line *t = *state;
	uint32_t at;

	accepted(t, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>",
		 ". 1:1(0) ack 1 <TS val 1 ecr *>");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_RCVBUF, 70000), 0);
	at = rounds(t, 1, 10 * 1448, 3);
	rounds(t, at, 40 * 1448, 4);
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 70000);
	assert_in_range(info(t).rcv_wnd, 60000, 70000 + 127);
}

/* ---- the other direction --------------------------------------------------------------------- */

/* Twice the congestion window, from tcp_wmem[1] up to tcp_wmem[2] */
static void send_buffer_grows(void **state)
{
	static uint8_t bytes[200000];
	struct line *t = *state;
	size_t n;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .wmem = { 4096, 16384, 60000 } });
	accepted(t, "S 0:0(0) <mss 1000,wscale 7>", ". 1:1(0) ack 1");
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 20000);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &n), 0);
	assert_int_equal(n, 20000);
	IGNORE();
	RECV(50 * MS, ". 1:1(0) ack 10001");
	IGNORE();
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 40000);
	assert_int_equal(tcp_send(t->s, t->id, bytes + 20000, sizeof(bytes), 0, &n), 0);
	assert_int_equal(n, 30000);
	IGNORE();
	RECV(50 * MS, ". 1:1(0) ack 30001");
	IGNORE();
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 60000);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_SNDBUF, 5000), 0);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 5000);
	assert_int_equal(tcp_send(t->s, t->id, bytes, 1, 0, &n), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(initial),	 LINE_TEST(initial_configured), LINE_TEST(offer_begins),
		LINE_TEST(buffer_grows), LINE_TEST(buffer_limit),	LINE_TEST(no_reader),
		LINE_TEST(no_reader_bytes), LINE_TEST(fixed),	LINE_TEST(send_buffer_grows),
		LINE_TEST(frames_bound_window), LINE_TEST(frames_long_path), LINE_TEST(frames_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
