// SPDX-License-Identifier: BSD-2-Clause
/*
 * TIME_WAIT: RFC 9293 3.6.1 and 3.10.7.4, RFC 1122 4.2.2.13, RFC 6191 (a new connection takes its
 * place), RFC 1337 (what cuts it short)
 */
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static bool fold; /* the next is to be folded (tcp_tw.c) when the test goes on */

static void to_time_wait(struct line *t, const char *opts)
{
	bool wait = fold;

	fold = false;
	line_established_passive(t, opts);
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, t->ts_val != 0 ? "F. 1:1(0) ack 2 <TS val 50 ecr *>" : "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	if (!wait)
		return;
	assert_int_equal(t->s->conns.used, 1);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(t->s->conns.used, 0);
	assert_int_equal(t->s->tw_cnt, 1);
	assert_int_equal(stats(t).tcp_conns, 1);
}

static void time_wait(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	/* FIN again: our acknowledgement was lost; the time begins anew */
	RECV(50 * SEC, "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	NOTHING_FOR(50 * SEC);
	assert_int_equal(stats(t).tcp_conns, 1);
	RECV(0, ". 2:2(0) ack 2");
	NOTHING();
	RECV(0, ". 3:3(0) ack 1");
	SEND(". 2:2(0) ack 2");
	NOTHING_FOR(11 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
	RECV(0, ". 2:2(0) ack 2");
	SEND("R 2:2(0)");
}

/* RFC 9293 3.10.7.4: a reset is the end. Of those that may be old (RFC 1337) only the one at RCV.NXT is believed. */
static void time_wait_reset(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	RECV(0, "R 1:1(0)");
	RECV(0, "R 3:3(0)");
	RECV(0, "R. 3:3(0) ack 2");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 1);
	RECV(0, "R 2:2(0)");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 0);
	RECV(0, "F. 1:1(0) ack 2");
	SEND("R 2:2(0)");
}

/* RFC 7323 5.2: PAWS is not asked about resets */
static void time_wait_reset_old_timestamp(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000,TS val 10 ecr 0");
	RECV(0, "R. 2:2(0) ack 2 <TS val 49 ecr *>");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* RFC 1337 3 (F1): resets are ignored, for who wants that; tcp_rfc1337 of Linux */
static void time_wait_rfc1337(void **state)
{
	struct line *t = *state;

	tcp_settings_set(t->s, &(struct tcp_settings){ .rfc1337 = true });
	to_time_wait(t, "mss 1000");
	RECV(0, "R 2:2(0)");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 1);
	RECV(0, "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
}

/* RFC 1122 4.2.2.13: a SYN beyond what was used begins anew, an old one does not */
static void time_wait_syn(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	RECV(0, "S 1:1(0) <mss 1000>");
	SEND(". 2:2(0) ack 2");
	t->peer_isn += 100;
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(stats(t).tcp_conns, 1);
}

/* RFC 6191: by timestamp, whatever the number */
static void time_wait_syn_timestamp(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000,TS val 10 ecr 0");
	RECV(0, "S 5000:5000(0) <mss 1000,TS val 40 ecr 0>");
	SEND(". 2:2(0) ack 2");
	t->peer_isn -= 5000;
	RECV(0, "S 0:0(0) <mss 1000,TS val 51 ecr 0>");
	SEND("S. 0:0(0) ack 1 <mss 1460,TS val * ecr 51>");
}

/* Our own new connection */
static void time_wait_connect(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	line_connect(t);
	SEND("S 0:0(0)");
	assert_int_equal(stats(t).tcp_conns, 1);
}

/* Blocks run short: the oldest in TIME_WAIT goes. */
static void time_wait_recycled(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	to_time_wait(t, "mss 1000");
	for (unsigned int i = 0; i < 1000; i++) {
		t->peer.port++;
		assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, 0, &id), 0);
		fake_link_drain(t->drv);
	}
	t->peer.port++;
	assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, 0, &id), -ENOMEM);
	assert_int_equal(stats(t).tcp_conns, 1000);
}

/*
 * The number after the last that the old connection used, from which the new one keeps away even if
 * the clock has not come so far (RFC 1122 4.2.2.13, RFC 6191)
 */
static void time_wait_isn(void **state)
{
	struct line *t = *state;
	uint32_t old_end;

	to_time_wait(t, "mss 1000");
	old_end = t->isn + 2;
	t->peer_isn += 100;
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	assert_int_equal(t->isn - old_end, 65537);
}

static void time_wait_connect_isn(void **state)
{
	struct line *t = *state;
	uint32_t old_end;

	to_time_wait(t, "mss 1000");
	old_end = t->isn + 2;
	line_connect(t);
	SEND("S 0:0(0)");
	assert_int_equal(t->isn - old_end, 65537);
	/* ... and by the clock, where that is farther */
	tcp_close(t->s, t->id);
	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
	to_time_wait(t, "mss 1000");
	old_end = t->isn + 2;
	NOTHING_FOR(30 * SEC);
	line_connect(t);
	SEND("S 0:0(0)");
	assert_in_range(t->isn - old_end, 30 * 250000 - 10, 30 * 250000 + 10000);
}

/* RFC 6191: a timestamp as old as the last, so the number decides; an older one is none */
static void time_wait_syn_same_timestamp(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000,TS val 10 ecr 0");
	RECV(0, "S 1:1(0) <mss 1000,TS val 50 ecr 0>");
	SEND(". 2:2(0) ack 2");
	RECV(500 * MS, "S 5000:5000(0) <mss 1000,TS val 49 ecr 0>");
	SEND(". 2:2(0) ack 2");
	t->peer_isn += 100;
	RECV(500 * MS, "S 0:0(0) <mss 1000,TS val 50 ecr 0>");
	SEND("S. 0:0(0) ack 1 <mss 1460,TS val * ecr 50>");
}

/* RFC 1337: what an old duplicate may do to TIME_WAIT. F1 data, F2 acknowledgement, F3 reset */
static void time_wait_assassination(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 2:2(0) ack 2");
	RECV(500 * MS, ". 50:50(0) ack 1");
	SEND(". 2:2(0) ack 2");
	RECV(0, "R 500:500(0)");
	NOTHING_FOR(59 * SEC);
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* The same answers are not given more often than in other states. */
static void time_wait_answers(void **state)
{
	struct line *t = *state;

	to_time_wait(t, "mss 1000");
	RECV(0, ". 50:50(0) ack 1");
	SEND(". 2:2(0) ack 2");
	RECV(100 * MS, ". 50:50(0) ack 1");
	RECV(100 * MS, "S 1:1(0)");
	NOTHING();
	RECV(0, "F. 1:1(0) ack 2"); /* our acknowledgement was lost */
	SEND(". 2:2(0) ack 2");
}

/* The same, of one that is folded */
#define FOLDED(fn)                               \
	static void fn##_folded(void **state)    \
	{                                        \
		fold = true;                     \
		fn(state);                       \
	}

FOLDED(time_wait)
FOLDED(time_wait_reset)
FOLDED(time_wait_reset_old_timestamp)
FOLDED(time_wait_rfc1337)
FOLDED(time_wait_syn)
FOLDED(time_wait_syn_timestamp)
FOLDED(time_wait_syn_same_timestamp)
FOLDED(time_wait_connect)

/* What does not end it leaves it as it was, to the millisecond, and without a block. */
static void folded_again(void **state)
{
	struct line *t = *state;

	fold = true;
	to_time_wait(t, "mss 1000");
	RECV(20 * SEC, "P. 1:101(100) ack 1");
	SEND(". 2:2(0) ack 2");
	RECV(0, "R 500:500(0)");
	RECV(0, ". 2:2(0) ack 2");
	assert_int_equal(t->s->conns.used, 0);
	assert_int_equal(t->s->tw_cnt, 1);
	NOTHING_FOR(37 * SEC);
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(2 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
	assert_int_equal(stack_deadline(t->s), UINT64_MAX);
	RECV(0, "F. 1:1(0) ack 2");
	SEND("R 2:2(0)");
}

/* No block for what came: it is dropped, and said again later. No frame for the answer: the block stays until there is. */
static void folded_without_means(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	fold = true;
	to_time_wait(t, "mss 1000");
	t->drv->tx_max = 0;
	line_recv_raw(t, "F. 1:1(0) ack 2");
	assert_int_equal(t->s->conns.used, 1);
	assert_int_equal(t->s->tw_cnt, 0);
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	SEND(". 2:2(0) ack 2");
	NOTHING_FOR(2 * SEC);
	assert_int_equal(t->s->conns.used, 0);
	assert_int_equal(t->s->tw_cnt, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		t->peer.port++;
		assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, 0, &id), 0);
		fake_link_drain(t->drv);
	}
	t->peer.port = (uint16_t)(t->peer.port - 1000);
	line_recv_raw(t, "F. 1:1(0) ack 2");
	assert_int_equal(stats(t).drops[STACK_DROP_NO_MEMORY], 1);
	assert_int_equal(t->s->tw_cnt, 1);
}

/* Who still has a hold of it keeps the block; the link goes, and with it what is folded. */
static void folded_owned_and_link(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	tcp_shutdown(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	NOTHING_FOR(30 * SEC);
	assert_int_equal(t->s->conns.used, 1);
	assert_int_equal(t->s->tw_cnt, 0);
	tcp_abort(t->s, t->id);
	assert_int_equal(stats(t).tcp_conns, 0);
	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
	fold = true;
	to_time_wait(t, "mss 1000");
	stack_link_del(t->s, t->link, ENETDOWN);
	assert_int_equal(stats(t).tcp_conns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(time_wait),
		LINE_TEST(time_wait_reset),
		LINE_TEST(time_wait_reset_old_timestamp),
		LINE_TEST(time_wait_rfc1337),
		LINE_TEST(time_wait_syn),
		LINE_TEST(time_wait_syn_timestamp),
		LINE_TEST(time_wait_syn_same_timestamp),
		LINE_TEST(time_wait_connect),
		LINE_TEST(time_wait_isn),
		LINE_TEST(time_wait_connect_isn),
		LINE_TEST(time_wait_recycled),
		LINE_TEST(time_wait_assassination),
		LINE_TEST(time_wait_answers),
		LINE_TEST(time_wait_folded),
		LINE_TEST(time_wait_reset_folded),
		LINE_TEST(time_wait_reset_old_timestamp_folded),
		LINE_TEST(time_wait_rfc1337_folded),
		LINE_TEST(time_wait_syn_folded),
		LINE_TEST(time_wait_syn_timestamp_folded),
		LINE_TEST(time_wait_syn_same_timestamp_folded),
		LINE_TEST(time_wait_connect_folded),
		LINE_TEST(folded_again),
		LINE_TEST(folded_without_means),
		LINE_TEST(folded_owned_and_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
