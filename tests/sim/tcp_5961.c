// SPDX-License-Identifier: BSD-2-Clause
/*
 * Blind attacks: RFC 5961, each section in each state, and the limits on answers that strangers
 * provoke
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void established(struct line *t)
{
	line_established_passive(t, "mss 1000");
}

/* ---- 3: RST ---------------------------------------------------------------------------------- */

/* 3.2: only at rcv_nxt; elsewhere in the window it is asked about; outside it is nothing */
static void s3_2_reset(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "R 100:100(0)");
	SEND(". 1:1(0) ack 1");
	RECV(0, "R 65537:65537(0)");
	RECV(0, "R 0:0(0)");
	RECV(0, "R. 4000000000:4000000000(0) ack 1");
	NOTHING();
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_RST], 1);
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_SEQ], 3);
	assert_int_equal(stats(t).tcp_challenges, 1);
	/* the one who meant it answers the challenge with the number asked for */
	RECV(0, "R 1:1(0)");
	line_read_error(t, ECONNRESET);
}

/* A reset may say why, in text (RFC 9293 3.10.7.4): it counts by its first number. */
static void s3_2_reset_with_data(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "R 2:12(10)");
	SEND(". 1:1(0) ack 1");
	RECV(0, "R. 1:11(10) ack 1");
	line_read_error(t, ECONNRESET);
}

/* Its ACK does not matter (RFC 9293 3.10.7.4: the second step is before the fifth). */
static void s3_2_reset_ack_ignored(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "R. 1:1(0) ack 77777");
	line_read_error(t, ECONNRESET);
}

/* The window is closed: rcv_nxt is still right (RFC 9293 3.10.7.4), its neighbours are not. */
static void s3_2_reset_zero_window(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .rcvbuf_bytes = 2920 });
	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:1461(1460) ack 1");
	RECV(0, ". 1461:2921(1460) ack 1");
	SEND(". 1:1(0) ack 2921 win 0");
	RECV(0, "R 2922:2922(0)");
	NOTHING();
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	RECV(0, "R 2921:2921(0)");
	assert_int_equal(line_state(t), TCP_CLOSED);
}

/* As Linux: a peer with a hole before it resets behind what it knows to have arrived. */
static void s3_2_reset_behind_hole(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,sackOK");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, "R 1500:1500(0)");
	SEND(". 1:1(0) ack 1");
	RECV(0, "R 2001:2001(0)");
	line_read_error(t, ECONNRESET);
}

/* As Linux: a peer that does not count its FIN yet */
static void s3_2_reset_before_fin(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	RECV(0, "R 0:0(0)");
	assert_int_equal(line_state(t), TCP_CLOSE_WAIT);
	RECV(0, "R 1:1(0)");
	assert_int_equal(line_state(t), TCP_CLOSED);
}

static void s3_2_fin_wait_2(void **state)
{
	struct line *t = *state;

	established(t);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	RECV(0, "R 5:5(0)");
	SEND(". 2:2(0) ack 1");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
	RECV(0, "R 1:1(0)");
	line_read_error(t, ECONNRESET);
}

/* ---- 4: SYN ---------------------------------------------------------------------------------- */

/* 4.2: wherever it is, it is asked about; RFC 7323 5.2 with the answer */
static void s4_2_syn(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "S 1:1(0)");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "S 5000:5000(0)");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "S. 90000:90000(0) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "S 0:0(0) <mss 1000>");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "S 1:101(100)");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	line_read_error(t, EAGAIN);
}

/* RFC 9293 3.5.1, figure 9: the peer crashed and calls again; our answer makes it reset us */
static void s4_2_half_open(void **state)
{
	struct line *t = *state;

	established(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	RECV(0, "S 400:400(0) <mss 1000>");
	SEND(". 101:101(0) ack 1");
	RECV(0, "R 1:1(0)");
	line_read_error(t, ECONNRESET);
	tcp_close(t->s, t->id);
	t->peer_isn += 400;
	RECV(1 * SEC, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
}

/* RFC 9293 3.10.7.4, fourth step: a passive handshake goes back to LISTEN. */
static void s4_2_syn_received(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "S 300:300(0) <mss 1000>");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 0);
	t->peer_isn += 300;
	RECV(1 * SEC, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* ---- 5: ACK ---------------------------------------------------------------------------------- */

/* 5.2: acknowledgements from nowhere carry no data in */
static void s5_2_ack(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "P. 1:101(100) ack 2");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "P. 1:101(100) ack -70000");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "P. 1:101(100) ack 2000000000");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_ACK], 3);
	RECV(0, "P 1:101(100)");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_NO_ACK], 1);
	line_read_error(t, EAGAIN);
	RECV(0, "P. 1:101(100) ack -60000"); /* old, but possible */
	line_read(t, 100);
	IGNORE();
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 101");
}

/* 5.2: MAX.SND.WND is what the peer has offered, not what it could: here 64 KiB of 1 GiB. */
static void s5_2_max_window(void **state)
{
	struct line *t = *state;

	t->peer_win = 4;
	line_established_passive(t, "mss 1000,wscale 14");
	RECV(0, "P. 1:101(100) ack -1000000000");
	SEND(". 1:1(0) ack 1");
	RECV(500 * MS, "P. 1:101(100) ack -65536");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_ACK], 2);
	line_read_error(t, EAGAIN);
	RECV(0, ". 1:1(0) ack 1 win 8");
	RECV(0, ". 1:1(0) ack 1 win 0");
	RECV(0, "P. 1:101(100) ack -131071 win 0"); /* the largest counts, not the last */
	line_read(t, 100);
	IGNORE();
}

/* 5.2, RFC 7323 4.3: what is not acceptable leaves no timestamp that PAWS would measure the peer's by. */
static void s5_2_timestamp(void **state)
{
	static const char *const forged[] = {
		"P. -500:500(1000) ack 2000000000 <TS val 1000000000 ecr 0>",
		". 1:1(0) ack 2000000000 <TS val 1000000000 ecr 0>",
		". 1:1(0) ack -70000 <TS val 1000000000 ecr 0>",
		". 1:1(0) ack 0 <TS val 1000000000 ecr 0>", /* possible, but late */
		"P -500:500(1000) <TS val 1000000000 ecr 0>",
		"S 1:1(0) <mss 1000,TS val 1000000000 ecr 0>",
		"S. -5:-5(0) ack 1 <mss 1000,TS val 1000000000 ecr 0>",
	};
	struct line *t = *state;

	line_established_passive(t, "mss 1012,TS val 10 ecr 0");
	for (unsigned int i = 0; i < ARRAY_SIZE(forged); i++) {
		RECV(1 * SEC, forged[i]);
		IGNORE();
		RECV(1 * SEC, ". 0:0(0) ack 1 <TS val 12 ecr *>"); /* tells what TS.Recent is */
		SEND(". 1:1(0) ack 1 <TS val * ecr 11>");
	}
	RECV(10 * MS, "P. 1:11(10) ack 1 <TS val 30 ecr *>");
	line_read(t, 10);
	SEND_BETWEEN(0, 200 * MS, ". 1:1(0) ack 11 <TS val * ecr 30>");
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_PAWS], 0);
}

/* ... nor before the handshake is over */
static void s5_2_timestamp_syn_received(void **state)
{
	static const char *const forged[] = {
		"P. 1:501(500) ack 2000000000 <TS val 1000000000 ecr 0>",
		"P 1:501(500) <TS val 1000000000 ecr 0>",
		"S 0:0(0) <mss 1012,TS val 1000000000 ecr 0>",
	};
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1012,sackOK,TS val 10 ecr 0>");
	SEND("S. 0:0(0) ack 1 <mss *,sackOK,TS val * ecr 10>");
	for (unsigned int i = 0; i < ARRAY_SIZE(forged); i++) {
		RECV(100 * MS, forged[i]);
		IGNORE();
	}
	RECV(10 * MS, ". 1:1(0) ack 1 <TS val 11 ecr *>");
	line_accept(t);
	RECV(10 * MS, "P. 1:11(10) ack 1 <TS val 30 ecr *>");
	line_read(t, 10);
	IGNORE();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_PAWS], 0);
}

/* ---- 7, 10: how often we answer -------------------------------------------------------------- */

/* One connection: Linux's tcp_invalid_ratelimit */
static void s7_one_connection(void **state)
{
	struct line *t = *state;

	established(t);
	RECV(0, "S 5000:5000(0)");
	SEND(". 1:1(0) ack 1");
	for (unsigned int i = 0; i < 9; i++) {
		RECV(50 * MS, "S 5000:5000(0)");
		RECV(0, "R 5000:5000(0)");
		RECV(0, ". 1:1(0) ack 7777");
		RECV(0, ". 0:0(0) ack 1");
		NOTHING();
	}
	assert_int_equal(stats(t).tcp_answers_skipped, 36);
	/* data that came before are not held back: our acknowledgement may have been lost */
	RECV(0, "P. 1:11(10) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	RECV(0, "P. 1:11(10) ack 1");
	SEND(". 1:1(0) ack 11");
	RECV(50 * MS, "S 5000:5000(0)");
	SEND(". 1:1(0) ack 11");
}

/* The SYN of a handshake that repeats faster than anybody should */
static void s7_syn_received(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, "S 0:0(0) <mss 1000>");
	NOTHING();
	RECV(500 * MS, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* How many of @cnt connections answer within this second? */
static unsigned int answers(struct line *t, unsigned int cnt)
{
	uint16_t first = t->peer.port;
	unsigned int ret = 0;

	for (unsigned int i = 0; i < cnt; i++, t->peer.port++) {
		struct link_frame frame;

		stack_now(t->s, t->now_us);
		line_recv_raw(t, "S 5000:5000(0)");
		while (fake_link_next(t->drv, &frame)) {
			free(frame.data);
			ret++;
		}
	}
	t->peer.port = first;
	return ret;
}

/* All together: a quota of 500 to 1,500 a second, which nobody can count on */
static void s7_quota(void **state)
{
	enum { CONNS = 1500, SECONDS = 8 };
	struct line *t = *state;
	unsigned int sum = 0, different = 0, last = 0;
	uint16_t first = t->peer.port;
	struct tcp_id id;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .conns_max = CONNS });
	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, CONNS);
	for (unsigned int i = 0; i < CONNS; i++, t->peer.port++) {
		RECV(0, "S 0:0(0) <mss 1000>");
		SEND("S. 0:0(0) ack 1");
		RECV(0, ". 1:1(0) ack 1");
		assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
	}
	t->peer.port = first;
	for (unsigned int i = 0; i < SECONDS; i++) {
		unsigned int cnt;

		NOTHING_FOR(1 * SEC);
		cnt = answers(t, CONNS);
		assert_in_range(cnt, 500, 1499);
		different += cnt != last;
		last = cnt;
		sum += cnt;
	}
	assert_true(different > SECONDS / 2);
	assert_in_range(sum / SECONDS, 700, 1300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(s3_2_reset),		   LINE_TEST(s3_2_reset_with_data),
		LINE_TEST(s3_2_reset_ack_ignored), LINE_TEST(s3_2_reset_zero_window),
		LINE_TEST(s3_2_reset_behind_hole), LINE_TEST(s3_2_reset_before_fin),
		LINE_TEST(s3_2_fin_wait_2),	   LINE_TEST(s4_2_syn),
		LINE_TEST(s4_2_half_open),	   LINE_TEST(s4_2_syn_received),
		LINE_TEST(s5_2_ack),		   LINE_TEST(s7_one_connection),
		LINE_TEST(s7_syn_received),	   LINE_TEST(s7_quota),
		LINE_TEST(s5_2_max_window),	   LINE_TEST(s5_2_timestamp),
		LINE_TEST(s5_2_timestamp_syn_received),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
