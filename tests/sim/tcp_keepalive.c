// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ends by silence: keep-alive (RFC 9293 3.8.4), user timeout (RFC 5482), orphans
 */
#include "tests/sim/tcp_line.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void option(struct line *t, enum tcp_option opt, uint64_t value)
{
	assert_int_equal(tcp_option_set(t->s, t->id, opt, value), 0);
}

/* RFC 9293 3.8.4 */
static void keepalive(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	option(t, TCP_OPT_KEEPIDLE_S, 60);
	option(t, TCP_OPT_KEEPINTVL_S, 10);
	option(t, TCP_OPT_KEEPCNT, 3);
	option(t, TCP_OPT_KEEPALIVE, 1);
	SEND_BETWEEN(60 * SEC, 60 * SEC + 5 * MS, ". 0:0(0) ack 1");
	RECV(1 * SEC, ". 1:1(0) ack 1");
	NOTHING_FOR(30 * SEC);
	RECV(0, "P. 1:11(10) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	SEND_BETWEEN(59900 * MS, 60 * SEC, ". 0:0(0) ack 11");
	SEND_BETWEEN(9998 * MS, 10002 * MS, ". 0:0(0) ack 11");
	SEND_BETWEEN(9998 * MS, 10002 * MS, ". 0:0(0) ack 11");
	line_read(t, 10);
	SEND_BETWEEN(9998 * MS, 10002 * MS, "R. 1:1(0) ack 11");
	line_read_error(t, ETIMEDOUT);
}

/* We answer the peer's, with a byte and without. */
static void keepalive_answer(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, ". 0:0(0) ack 1");
	SEND(". 1:1(0) ack 1");
	RECV(0, "P. 1:11(10) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 11");
	RECV(0, ". 10:11(1) ack 1");
	SEND(". 1:1(0) ack 11");
	line_read(t, 10);
	EVENT(STACK_EV_READABLE);
	EVENT(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(keepalive),
		LINE_TEST(keepalive_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
