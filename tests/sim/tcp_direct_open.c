// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who calls over a link that cannot lose (LINK_NO_LOSS), and the backlog there: see the head of src/stack/tcp_listen.c
 */
#include "stack/tcp_move.h"
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t conns(struct line *t)
{
	struct stack_stats stats;

	stack_stats(t->s, &stats);
	return stats.tcp_conns;
}

/* Three call, one more than once, and there is one place: the first has it. Return: our number to that */
static uint32_t three_call(struct line *t)
{
	uint32_t isn;

	line_direct(t);
	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, 1);
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1");
	isn = t->isn;
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 4000>");
	NOTHING();
	RECV(0, "S 0:0(0) <mss 4000>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 1);
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 4000>");
	NOTHING();
	t->peer.port -= 2;
	t->isn = isn;
	assert_int_equal(conns(t), 3);
	return isn;
}

/* Whoever makes room answers the next at once. */
static void backlog(void **state)
{
	struct line *t = *state;
	uint32_t isn = three_call(t);

	RECV(0, "P. 1:11(10) ack 1");
	NOTHING();
	line_accept(t);
	line_read(t, 10);
	t->peer.port++;
	SEND("S. 0:0(0) ack 1");
	NOTHING();
	/* who has called and has given up waits to be accepted all the same */
	RECV(0, "R 1:1(0)");
	NOTHING();
	t->peer.port--;
	t->isn = isn;
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 11");
	t->peer.port++;
	line_accept(t);
	line_read_error(t, ECONNRESET);
	t->peer.port++;
	SEND("S. 0:0(0) ack 1");
}

static void backlog_grows(void **state)
{
	struct line *t = *state;
	uint32_t isn = three_call(t);

	tcp_listener_backlog(t->s, t->listener, 2);
	t->peer.port++;
	SEND("S. 0:0(0) ack 1");
	NOTHING();
	t->peer.port--;
	t->isn = isn;
	RECV(0, "P. 1:11(10) ack 1");
	NOTHING();
	line_accept(t);
	t->peer.port += 2;
	SEND("S. 0:0(0) ack 1");
}

/* Nobody listens any more: who was not answered calls again and hears it, who was answered is told so. */
static void backlog_ends(void **state)
{
	struct line *t = *state;

	three_call(t);
	tcp_unlisten(t->s, t->listener);
	SEND("R. 1:1(0) ack 1");
	NOTHING();
	assert_int_equal(conns(t), 0);
	t->peer.port++;
	t->isn = 0;
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("R. 0:0(0) ack 1");
	assert_int_equal(conns(t), 0);
}

/* What arrives about one that waits for a place changes nothing: its SYN-ACK will say all. */
static void backlog_asked(void **state)
{
	struct line *t = *state;
	uint32_t isn = three_call(t);

	t->drv->tx_max = 0;
	t->peer.port++;
	RECV(0, ". 900000:900000(0) ack 1");
	NOTHING();
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	NOTHING();
	t->peer.port--;
	t->isn = isn;
	line_accept(t);
	t->peer.port++;
	SEND("S. 0:0(0) ack 1");
	NOTHING();
}

/*
 * Our SYN-ACK arrives there: who called is accepted and answered without a word more of his, and what we say follows at once. It is he who
 * has no connection until he looks; and he need not say that he has.
 */
static void accepted_at_syn(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_listen(t);
	RECV(0, "S 0:0(0) <mss 4000,wscale 2>");
	line_accept(t);
	SEND("S. 0:0(0) ack 1");
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
	tcp_close(t->s, t->id);
	SEND("F. 11:11(0) ack 1");
	NOTHING_FOR(10 * SEC);
	RECV(0, "F. 1:1(0) ack 12");
	SEND(". 12:12(0) ack 2");
	assert_int_equal(conns(t), 0);
}

/* ... unless he has given up. */
static void accepted_at_syn_reset(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_listen(t);
	RECV(0, "S 0:0(0) <mss 4000>");
	line_accept(t);
	SEND("S. 0:0(0) ack 1");
	RECV(0, "R 1:1(0)");
	line_read_error(t, ECONNRESET);
}

/* Without a frame for the SYN-ACK nobody is accepted, and when there is one he is. */
static void accepted_at_syn_without_frame(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_listen(t);
	t->drv->tx_max = 0;
	RECV(0, "S 0:0(0) <mss 4000>");
	NOTHING();
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	SEND("S. 0:0(0) ack 1");
	line_accept(t);
}

/* DEFER_ACCEPT is another promise: the program hears of it when there is something to read. A listener that stops may give it away before. */
static void accepted_with_data(void **state)
{
	struct line *t = *state;
	struct tcp_id given;

	line_direct(t);
	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_DEFER_ACCEPT_S, 5), 0);
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	assert_int_equal(tcp_accept_early(t->s, t->listener, &given), 0);
	assert_int_equal(tcp_accept_early(t->s, t->listener, &given), -EAGAIN);
	tcp_abort(t->s, given);
	SEND("R. 1:1(0) ack 1");
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "P. 1:11(10) ack 1");
	line_accept(t);
	line_read(t, 10);
}

/*
 * What is said behind a SYN-ACK is bounded by the window that the SYN has offered. That holds, even if the program has made the buffer smaller
 * since: nothing is repeated here.
 */
static void window_of_syn(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_connect(t);
	SEND("S 0:0(0) win 65535");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_RCVBUF, 3000), 0);
	RECV(0, "S. 0:0(0) ack 1 <mss 4000,wscale 2>");
	for (unsigned int i = 0; i < 10; i++) {
		char text[64];

		snprintf(text, sizeof(text), "P. %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		RECV(0, text);
		IGNORE();
	}
	line_read(t, 40000);
}

/* Who waits for a place and gives up leaves it: he isn't accepted later. */
static void backlog_left(void **state)
{
	struct line *t = *state;

	three_call(t);
	t->peer.port++;
	RECV(0, "R 1:1(0)");
	NOTHING();
	assert_int_equal(conns(t), 2);
	t->peer.port--;
	line_accept(t);
	t->peer.port += 2;
	SEND("S. 0:0(0) ack 1");
}

/* ... for he says so, if he has called at all. */
static void calls_no_more(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_connect(t);
	SEND("S 0:0(0)");
	tcp_close(t->s, t->id);
	SEND("R 1:1(0)");
	line_connect(t);
	SEND("S 0:0(0)");
	tcp_abort(t->s, t->id);
	SEND("R 1:1(0)");
	t->drv->tx_max = 0;
	line_connect(t);
	tcp_close(t->s, t->id);
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	NOTHING();
	assert_int_equal(conns(t), 0);
}

/* How much has come is known of a peer that begins at any number, too, and sends in any order. */
static void numbers_of_peer(void **state)
{
	static const uint32_t isns[] = { UINT32_MAX, UINT32_MAX - 2000, 1 };
	struct line *t = *state;
	struct tcp_info info;

	line_direct(t);
	line_listen(t);
	for (size_t i = 0; i < ARRAY_SIZE(isns); i++) {
		t->peer_isn = isns[i];
		t->peer.port++;
		RECV(0, "S 0:0(0) <mss 4000>");
		SEND("S. 0:0(0) ack 1");
		line_accept(t);
		RECV(0, ". 1001:5001(4000) ack 1");
		IGNORE();
		RECV(0, ". 1:1001(1000) ack 1");
		IGNORE();
		tcp_info(t->s, t->id, &info);
		assert_int_equal(info.bytes_rcvd, 5000);
	}
}

/* Who calls says nothing more until he has something to say, or for as long as any acknowledgement waits. */
static void connected_silently(void **state)
{
	struct line *t = *state;

	line_direct(t);
	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "S. 0:0(0) ack 1 <mss 4000>");
	NOTHING_FOR(30 * MS);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
	NOTHING_FOR(10 * SEC);
}

/* Who waits for a place ends with the link; who had one is accepted, and that is over. */
static void backlog_link_gone(void **state)
{
	struct line *t = *state;

	three_call(t);
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_int_equal(conns(t), 1);
	line_accept(t);
	line_read_error(t, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(backlog),
		LINE_TEST(backlog_grows),
		LINE_TEST(backlog_ends),
		LINE_TEST(backlog_asked),
		LINE_TEST(accepted_at_syn),
		LINE_TEST(accepted_at_syn_reset),
		LINE_TEST(accepted_at_syn_without_frame),
		LINE_TEST(accepted_with_data),
		LINE_TEST(window_of_syn),
		LINE_TEST(backlog_left),
		LINE_TEST(calls_no_more),
		LINE_TEST(numbers_of_peer),
		LINE_TEST(connected_silently),
		LINE_TEST(backlog_link_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
