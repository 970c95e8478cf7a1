// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections that leave their stack as bytes, and come back (src/stack/tcp_move.h); and bytes that are none
 */
#include "stack/tcp.h"
#include "stack/tcp_move.h"
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct parcel {
	uint8_t *bytes;
	uint64_t len;
};

static void direct(struct line *t)
{
	line_direct(t);
	line_established_passive(t, "mss 4000,wscale 7");
}

static struct parcel leave(struct line *t)
{
	struct parcel p = { .len = tcp_export_bytes(t->s, t->id) };

	p.bytes = malloc(p.len);
	assert_non_null(p.bytes);
	tcp_export(t->s, t->id, p.bytes);
	tcp_forget(t->s, t->id);
	return p;
}

static void come(struct line *t, struct parcel *p)
{
	assert_int_equal(tcp_import(t->s, t->link, p->bytes, p->len, t->cookie, &t->id), 0);
	free(p->bytes);
	line_run(t);
}

/* Between the two, the peer may still send; nothing is sent to it. */
static void held(void **state)
{
	struct line *t = *state;
	struct parcel p;

	direct(t);
	RECV(0, ". 1:4001(4000) ack 1");
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	for (unsigned int i = 1; i < 15; i++) {
		char text[64];

		snprintf(text, sizeof(text), "P. %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		RECV(0, text);
	}
	NOTHING_FOR(1 * SEC);
	p = leave(t);
	come(t, &p);
	line_read(t, 60000);
	SEND(". 1:1(0) ack 60001");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 60001");
	RECV(0, "P. 60001:60011(10) ack 101");
	line_read(t, 10);
	SEND_BETWEEN(190 * MS, 220 * MS, ". 101:101(0) ack 60011");
}

/* Unsent data go along, and FIN behind them. */
static void unsent(void **state)
{
	struct line *t = *state;
	struct parcel p;

	direct(t);
	t->peer_win = 0;
	RECV(0, "P. 1:11(10) ack 1 win 0");
	line_read(t, 10);
	line_write(t, 5000);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND(". 1:1(0) ack 11");
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	come(t, &p);
	t->peer_win = 65535;
	RECV(0, ". 11:11(0) ack 1 win 65535");
	SEND(". 1:4001(4000) ack 11");
	SEND("FP. 4001:5001(1000) ack 11");
	RECV(0, ". 11:11(0) ack 5002");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	come(t, &p);
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
	RECV(0, "F. 11:11(0) ack 5002");
	SEND(". 5002:5002(0) ack 12");
	line_read_eof(t);
}

/* End of file and errors are there, too. */
static void ended(void **state)
{
	struct line *t = *state;
	struct parcel p;

	direct(t);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	RECV(0, "FP. 1:11(10) ack 1");
	p = leave(t);
	come(t, &p);
	SEND(". 1:1(0) ack 12");
	line_read(t, 10);
	line_read_eof(t);
	RECV(0, "R. 12:12(0) ack 1");
	assert_true(tcp_is_over(t->s, t->id));
	p = leave(t);
	come(t, &p);
	line_read_eof(t);
	assert_int_equal(tcp_error(t->s, t->id, true), EPIPE);
}

static void reset(void **state)
{
	struct line *t = *state;
	struct parcel p;

	direct(t);
	RECV(0, "P. 1:11(10) ack 1");
	RECV(0, "R. 11:11(0) ack 1");
	p = leave(t);
	come(t, &p);
	line_read(t, 10);
	line_read_error(t, ECONNRESET);
}

/* Nobody took it. */
static void stays(void **state)
{
	struct line *t = *state;

	direct(t);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	RECV(0, "P. 1:11(10) ack 1");
	NOTHING_FOR(1 * SEC);
	tcp_release(t->s, t->id);
	SEND_BETWEEN(0, 60 * MS, ". 1:1(0) ack 11");
	line_read(t, 10);
}

static void not_now(void **state)
{
	struct line *t = *state;
	struct line_config lossy = { .v6 = t->cfg.v6 };

	line_restart(t, &lossy);
	line_established_passive(t, "mss 1460");
	assert_int_equal(tcp_hold(t->s, t->id), -EOPNOTSUPP);
}

/* Whatever somebody writes into a parcel, it is refused, or a connection that keeps the stack's rules. */
static void forged(void **state)
{
	struct line *t = *state;
	struct parcel p;
	uint64_t seed = 1;

	direct(t);
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	for (unsigned int i = 0; i < 20000; i++) {
		struct tcp_id id;
		uint8_t *bytes = malloc(p.len);
		uint64_t len = p.len;

		assert_non_null(bytes);
		memcpy(bytes, p.bytes, p.len);
		for (unsigned int n = 0; n < 1 + i % 3; n++) {
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			bytes[(seed >> 33) % sizeof(struct tcp_parcel)] ^= (uint8_t)(1u << (seed >> 61));
		}
		if (i % 50 == 0)
			len = (seed >> 20) % p.len;
		if (tcp_import(t->s, t->link, bytes, len, 7, &id) == 0) {
			struct stack_event ev[4];

			tcp_sanity_all(t->s);
			while (stack_events(t->s, ev, 4) == 4)
				;
			tcp_forget(t->s, id);
		}
		free(bytes);
	}
	come(t, &p);
	line_read(t, 10);
	SEND_BETWEEN(0, 60 * MS, ". 1:1(0) ack 11");
}

/* One field says what no connection can be, although the rest is a connection's. */
static void impossible(void **state)
{
	struct line *t = *state;
	struct parcel p;
	struct tcp_parcel good, bad;
	struct tcp_id id;

	direct(t);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_KEEPALIVE, 1), 0);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	memcpy(&good, p.bytes, sizeof(good));
	assert_int_equal(good.has_ext, 1);
#define REFUSED(field, value)                                                                    \
	do {                                                                                     \
		bad = good;                                                                      \
		bad.field = value;                                                               \
		assert_int_equal(tcp_import(t->s, t->link, &bad, sizeof(bad), 7, &id), -EINVAL); \
	} while (0)
	REFUSED(has_ext, 0); /* keep-alive without its times */
	REFUSED(has_ext, 2);
	REFUSED(flags, good.flags | TF_CC_MASK); /* a congestion control that there isn't */
	REFUSED(keepidle_s, 32768);
	REFUSED(keepintvl_s, 0);
	REFUSED(keepcnt, 128);
	REFUSED(user_timeout_ms, UINT32_C(1) << 31);
	REFUSED(sndbuf_bytes, TCP_BUF_MAX + 1);
	REFUSED(rcvbuf_bytes, TCP_BUF_MIN - 1);
	REFUSED(state, TCP_SYN_SENT);
	REFUSED(remote_port, 0);
#undef REFUSED
	come(t, &p);
	RECV(0, "P. 1:11(10) ack 1");
	line_read(t, 10);
	IGNORE();
}

static void passed_is(struct line *t, uint64_t sent, uint64_t acked, uint64_t rcvd)
{
	struct tcp_info i = info(t);

	assert_int_equal(i.bytes_sent, sent);
	assert_int_equal(i.bytes_acked, acked);
	assert_int_equal(i.bytes_rcvd, rcvd);
}

/* The numbers of both directions are about to come round, as if nearly 4 GiB had passed. Return: how many say so, for each */
static void nearly_round(struct line *t, uint64_t *ret_sent, uint64_t *ret_rcvd)
{
	struct parcel p;
	struct tcp_parcel *of;
	uint32_t snd, rcv;

	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	of = (struct tcp_parcel *)p.bytes;
	snd = UINT32_MAX - 500 - of->snd_nxt;
	rcv = UINT32_MAX - 500 - of->rcv_nxt;
	of->snd_nxt += snd;
	of->snd_una += snd;
	of->rcv_nxt += rcv;
	of->rcv_adv += rcv;
	of->rcv_acked += rcv;
	t->isn += snd;
	t->peer_isn += rcv;
	come(t, &p);
	*ret_sent = info(t).bytes_sent;
	*ret_rcvd = info(t).bytes_rcvd;
}

/* How much has passed is known after a move, too, and when the numbers have come round. */
static void passed(void **state)
{
	struct line *t = *state;
	uint64_t sent, rcvd;
	struct parcel p;

	direct(t);
	passed_is(t, 0, 0, 0);
	RECV(0, "P. 1:11(10) ack 1");
	line_read(t, 4);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 11");
	passed_is(t, 100, 0, 10);
	RECV(0, ". 11:11(0) ack 101");
	passed_is(t, 100, 100, 10);
	nearly_round(t, &sent, &rcvd);
	line_write(t, 1000);
	SEND("P. 101:1101(1000) ack 11");
	RECV(0, "P. 11:1011(1000) ack 1101");
	line_read(t, 1006);
	passed_is(t, sent + 1000, sent + 1000, rcvd + 1000);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
	p = leave(t);
	come(t, &p);
	passed_is(t, sent + 1000, sent + 1000, rcvd + 1000);
	RECV(0, "F. 1011:1011(0) ack 1101");
	SEND(". 1101:1101(0) ack 1012");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	line_run(t);
	SEND("F. 1101:1101(0) ack 1012");
	passed_is(t, sent + 1000, sent + 1000, rcvd + 1001);
	RECV(0, ". 1012:1012(0) ack 1102");
	passed_is(t, sent + 1000, sent + 1001, rcvd + 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(held),  LINE_TEST(unsent),  LINE_TEST(ended),  LINE_TEST(reset),
		LINE_TEST(stays), LINE_TEST(not_now), LINE_TEST(forged),
		LINE_TEST(impossible), LINE_TEST(passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
