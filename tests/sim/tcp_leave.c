// SPDX-License-Identifier: BSD-2-Clause
/* A connection that goes on in another stack: what is said of it, and that nothing of it is answered any more (stack/tcp_leave.h) */
#include "stack/tcp_leave.h"

#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct tcp_place place_of(const struct line *t)
{
	struct tcp_place at;

	assert_int_equal(tcp_place(t->s, t->id, &at), 0);
	return at;
}

static void leaves(struct line *t)
{
	tcp_leave(t->s, t->id);
	RECV(0, "P. 101:201(100) ack 501"); /* was on its way */
	RECV(0, "F. 201:201(0) ack 501");
	NOTHING_FOR(1900 * MS);
	assert_int_equal(t->s->conns.used, 1);
	NOTHING_FOR(200 * MS);
	assert_int_equal(t->s->conns.used, 0);
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_LEFT], 2);
	RECV(0, ". 201:201(0) ack 501");
	SEND("R 501:501(0)");
}

/* Unread, in flight, and behind the window */
static void queues(void **state)
{
	struct line *t = *state;
	struct tcp_place at;
	uint8_t buf[800];

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1 win 1000");
	line_write(t, 1200);
	SEND(". 1:1001(1000) ack 101");
	RECV(0, ". 101:101(0) ack 501 win 500");
	at = place_of(t);
	assert_int_equal(at.rcv_bytes, 100);
	assert_int_equal(at.snd_bytes, 700);
	assert_int_equal(at.sent_bytes, 500);
	assert_int_equal(at.snd_wnd, 500);
	assert_int_equal(at.rcv_acked, at.rcv_seq + 100);
	assert_int_equal(at.mss, 1000);
	assert_false(at.timestamps || at.sack || at.fin || at.fin_rcvd);
	tcp_place_queues(t->s, t->id, buf);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(buf[i], line_byte(1 + i));
	for (uint32_t i = 0; i < 700; i++)
		assert_int_equal(buf[100 + i], line_byte(501 + i));
	leaves(t);
}

/* FINs are not in the numbers, whoever has sent and acknowledged them. */
static void fins(void **state)
{
	struct line *t = *state;
	struct tcp_place at, before;

	line_established_passive(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	line_write(t, 50);
	SEND("P. 1:51(50) ack 101");
	before = place_of(t);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 51:51(0) ack 101");
	at = place_of(t);
	assert_true(at.fin && at.fin_sent && !at.fin_acked && !at.fin_rcvd);
	assert_int_equal(at.snd_seq, before.snd_seq);
	assert_int_equal(at.sent_bytes, 50);
	RECV(0, ". 101:101(0) ack 52");
	at = place_of(t);
	assert_true(at.fin_acked && at.snd_bytes == 0);
	assert_int_equal(at.snd_seq, before.snd_seq + 50);
	RECV(0, "F. 101:101(0) ack 52");
	SEND(". 52:52(0) ack 102");
	at = place_of(t);
	assert_true(at.fin_rcvd);
	assert_int_equal(at.rcv_seq, before.rcv_seq);
	assert_int_equal(at.rcv_acked, before.rcv_seq + 100);
}

static void not_yet(void **state)
{
	struct line *t = *state;
	struct tcp_place at;

	line_connect(t);
	SEND("S 0:0(0)");
	assert_int_equal(tcp_place(t->s, t->id, &at), -EAGAIN);
	RECV(0, "R. 0:0(0) ack 1");
	assert_int_equal(tcp_place(t->s, t->id, &at), -ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { LINE_TEST(queues), LINE_TEST(fins), LINE_TEST(not_yet) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
