// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ends: orderly (RFC 9293 3.6), abortive, and by the link's. By attack: tcp_5961.c; by silence:
 * tcp_keepalive.c; TIME_WAIT: tcp_timewait.c
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void shut(struct line *t)
{
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
}

/* ---- orderly --------------------------------------------------------------------------------- */

/* RFC 9293 figure 12, we begin; the half that stays open carries data */
static void active_close(void **state)
{
	struct line *t = *state;
	size_t n;

	line_established_passive(t, "mss 1000");
	shut(t);
	SEND("F. 1:1(0) ack 1");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_1);
	assert_int_equal(tcp_send(t->s, t->id, "x", 1, 0, &n), -EPIPE);
	RECV(10 * MS, ". 1:1(0) ack 2");
	EVENT(STACK_EV_SENT_ALL);
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
	NOTHING_FOR(300 * SEC); /* half-closed for as long as the program likes */
	RECV(0, "P. 1:101(100) ack 2");
	line_read(t, 100);
	SEND_BETWEEN(40 * MS, 46 * MS, ". 2:2(0) ack 101");
	RECV(0, "F. 101:101(0) ack 2");
	SEND(". 2:2(0) ack 102");
	EVENT(STACK_EV_READABLE | STACK_EV_EOF);
	assert_int_equal(line_state(t), TCP_TIME_WAIT);
	line_read_eof(t);
	NOTHING_FOR(61 * SEC);
	assert_int_equal(line_state(t), TCP_CLOSED);
	line_read_eof(t);
	tcp_close(t->s, t->id);
	assert_int_equal(stats(t).tcp_conns, 0);
}

static void passive_close(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	assert_int_equal(line_state(t), TCP_CLOSE_WAIT);
	line_read_eof(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 2");
	RECV(0, ". 2:2(0) ack 101");
	tcp_close(t->s, t->id);
	SEND("F. 101:101(0) ack 2");
	RECV(0, ". 2:2(0) ack 102");
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* RFC 9293 figure 13 */
static void simultaneous_close(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	shut(t);
	SEND("F. 1:1(0) ack 1");
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 2:2(0) ack 2");
	assert_int_equal(line_state(t), TCP_CLOSING);
	RECV(0, ". 2:2(0) ack 2");
	assert_int_equal(line_state(t), TCP_TIME_WAIT);
	tcp_close(t->s, t->id);
	NOTHING_FOR(59 * SEC);
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Their FIN and the acknowledgement of ours in one segment */
static void fin_acks_fin(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(61 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* FIN follows what is queued, and carries the last of it. */
static void fin_after_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 1:1(0) ack 1 win 1000");
	line_write(t, 1500);
	SEND(". 1:1001(1000) ack 1");
	shut(t);
	NOTHING();
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	RECV(0, ". 1:1(0) ack 1001 win 1000");
	SEND("FP. 1001:1501(500) ack 1");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_1);
	RECV(0, ". 1:1(0) ack 1502");
}

static void fin_with_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "FP. 1:101(100) ack 1");
	EVENT(STACK_EV_READABLE | STACK_EV_EOF);
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 102"); /* it may ride on ours (as Linux) */
	line_read(t, 100);
	line_read_eof(t);
	/* a second one, or text after it, is nothing */
	RECV(0, "FP. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 102");
	RECV(0, "F. 102:202(100) ack 1");
	IGNORE();
	line_read_eof(t);
}

/* An orphan does not wait for the peer's FIN for ever (Linux's tcp_fin_timeout). */
static void orphan_fin_wait_2(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	NOTHING_FOR(59 * SEC);
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Data for nobody is answered by a reset (RFC 2525 2.17). */
static void orphan_gets_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:101(100) ack 2");
	SEND("R 2:2(0) win 0");
	assert_int_equal(stats(t).tcp_conns, 0);
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_CLOSED_DATA], 1);
}

/* So are data for who has shut both sides (as Linux); what came before can be read. */
static void shut_both_gets_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	SEND_BETWEEN(0, 46 * MS, ". 1:1(0) ack 101");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	tcp_shut_read(t->s, t->id);
	SEND("F. 1:1(0) ack 101");
	RECV(0, ". 1:101(100) ack 2"); /* again: nothing new */
	SEND(". 2:2(0) ack 101");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
	RECV(0, ". 101:201(100) ack 2");
	SEND("R 2:2(0) win 0");
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_CLOSED_DATA], 1);
	line_read(t, 100);
	assert_int_equal(tcp_error(t->s, t->id, true), ECONNRESET);
}

static void orphan_timeout(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	tcp_close(t->s, t->id);
	for (unsigned int i = 0; stats(t).tcp_conns != 0; i++) {
		assert_in_range(i, 0, 300);
		IGNORE();
		t->now_us += 1 * SEC;
	}
}

/* ---- abortive -------------------------------------------------------------------------------- */

static void abort_it(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	tcp_abort(t->s, t->id);
	SEND("R. 101:101(0) ack 1");
	assert_int_equal(stats(t).tcp_conns, 0);
	RECV(0, ". 1:1(0) ack 101");
	SEND("R 101:101(0)");
}

/* A duplicate that waits to be reported (RFC 2883) is no data that nobody has read. */
static void close_dsack_owed(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,sackOK");
	RECV(0, "P. 1:101(100) ack 1");
	line_read(t, 100);
	IGNORE();
	t->drv->tx_max = 0;
	RECV(0, "P. 1:101(100) ack 1");
	tcp_close(t->s, t->id);
	t->drv->tx_max = FAKE_SENT_MAX;
	stack_link_writable(t->s, t->link);
	SEND("F. 1:1(0) ack 101 <sack 1:101>");
	RECV(0, "F. 101:101(0) ack 2");
	SEND(". 2:2(0) ack 102");
}

/* RFC 2525 2.17: closed with data unread */
static void close_unread(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	tcp_close(t->s, t->id);
	SEND("R. 1:1(0) ack 101");
	assert_int_equal(stats(t).tcp_conns, 0);
}

static void reset(void **state)
{
	struct line *t = *state;
	size_t n;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 101");
	EVENT(STACK_EV_READABLE);
	RECV(0, "R. 101:101(0) ack 101");
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	/* what was received may be read; then the error, once */
	line_read(t, 100);
	line_read_error(t, ECONNRESET);
	assert_int_equal(tcp_send(t->s, t->id, "x", 1, 0, &n), -EPIPE);
	line_read_eof(t);
	NOTHING_FOR(10 * SEC);
}

/* As in Linux: after the peer's FIN a reset means that nobody reads */
static void reset_in_close_wait(void **state)
{
	struct line *t = *state;
	size_t n;

	line_established_passive(t, "mss 1000");
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	RECV(0, "R 2:2(0)");
	assert_int_equal(tcp_send(t->s, t->id, "x", 1, 0, &n), -EPIPE);
}

/* ---- the link goes --------------------------------------------------------------------------- */

static void link_gone(void **state)
{
	struct line *t = *state;
	struct link_config link_cfg;

	line_established_passive(t, "mss 1460");
	RECV(0, ". 1:1001(1000) ack 1");
	RECV(0, ". 2001:3001(1000) ack 1");
	IGNORE();
	line_write(t, 5000);
	IGNORE();
	assert_int_equal(t->drv->rx_out, 2);
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_int_equal(t->drv->rx_out, 0);
	line_read(t, 1000);
	line_read_error(t, ECONNRESET);
	NOTHING_FOR(300 * SEC);
	link_cfg = fake_link_config(t->drv, 1500, 0);
	assert_int_equal(stack_link_add(t->s, &link_cfg, &t->link), 0);
	line_connect(t);
	SEND("S 0:0(0)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(active_close),	LINE_TEST(passive_close),
		LINE_TEST(simultaneous_close),	LINE_TEST(fin_acks_fin),
		LINE_TEST(fin_after_data),	LINE_TEST(fin_with_data),
		LINE_TEST(orphan_fin_wait_2),	LINE_TEST(orphan_gets_data),
		LINE_TEST(shut_both_gets_data),
		LINE_TEST(orphan_timeout),	LINE_TEST(abort_it),
		LINE_TEST(close_dsack_owed),
		LINE_TEST(close_unread),	LINE_TEST(reset),
		LINE_TEST(reset_in_close_wait), LINE_TEST(link_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
