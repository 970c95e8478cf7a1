// SPDX-License-Identifier: BSD-2-Clause
/*
 * Links that cannot lose (LINK_NO_LOSS): what is different there, see the head of src/stack/tcp.h
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

static void direct(struct line *t, uint32_t rcvbuf_bytes)
{
	struct line_config cfg = {
		.v6 = t->cfg.v6,
		.mss = 4000,
		.link_flags = LINK_NO_LOSS | LINK_NO_CSUM,
		.rcvbuf_bytes = rcvbuf_bytes,
	};

	line_restart(t, &cfg);
}

/* No timestamps: nothing can be old, and the round trip does not matter. */
static void options(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_connect(t);
	SEND("S 0:0(0) win 65535 <mss 4000,sackOK,wscale 7>");
	RECV(0, "S. 0:0(0) ack 1 <mss 4000,sackOK,wscale 7>");
	/* the first data carry the end of the handshake */
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	IGNORE();
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
}

/* Over IPv4 a connection has no cold half, and says what those say that have measured nothing. */
static void no_cold_half(void **state)
{
	struct line *t = *state;
	const struct tcb_cold *cold;
	struct tcp_info info;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	cold = pool_cold_sized(&t->s->conns, t->id.v, sizeof(*cold));
	assert_int_equal(cold != NULL, t->cfg.v6);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.srtt_us, 0);
	assert_int_equal(info.ssthresh_bytes, UINT32_MAX);
	assert_int_equal(info.cwnd_bytes, UINT32_MAX);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_CONGESTION, 1), 0);
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 2");
	RECV(0, ". 2:2(0) ack 2");
	assert_int_equal(conns(t), 0);
}

/* A request and its response are two frames. */
static void request_response(void **state)
{
	struct line *t = *state;
	char text[64];

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	for (unsigned int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "P. %u:%u(64) ack %u", 1 + 64 * i, 65 + 64 * i,
			 1 + 64 * i);
		RECV(1 * MS, text);
		NOTHING();
		line_read(t, 64);
		line_write(t, 64);
		snprintf(text, sizeof(text), "P. %u:%u(64) ack %u", 1 + 64 * i, 65 + 64 * i,
			 65 + 64 * i);
		SEND(text);
	}
	assert_int_equal(stack_unfinished(t->s), 0);
	NOTHING_FOR(10 * SEC);
}

/* ... and without one an acknowledgement goes after 40 ms, however many segments there are */
static void delayed_ack(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	for (unsigned int i = 0; i < 10; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", 1 + 1000 * i, 1001 + 1000 * i);
		RECV(0, text);
	}
	SEND_BETWEEN(200 * MS, 206 * MS, ". 1:1(0) ack 10001");
}

/* That of a FIN isn't delayed: somebody may wait for it, in close(). */
static void delayed_ack_of_a_fin(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	NOTHING_FOR(1 * SEC);
}

/* What data carry is not sent again. What comes to be owed after that has the same time. */
static void delayed_ack_again(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, "P. 1:101(100) ack 1");
	NOTHING_FOR(5 * MS);
	line_read(t, 100);
	line_write(t, 50);
	SEND("P. 1:51(50) ack 101");
	RECV(15 * MS, "P. 101:201(100) ack 51");
	line_read(t, 100);
	NOTHING_FOR(1 * MS);
	assert_in_range(stack_deadline(t->s) - t->s->now_us, 198 * MS, 200 * MS); /* the turn of what was carried is none */
	SEND_BETWEEN(198 * MS, 206 * MS, ". 51:51(0) ack 201");
	NOTHING_FOR(1 * SEC);
	RECV(0, "P. 201:301(100) ack 51");
	SEND_BETWEEN(200 * MS, 206 * MS, ". 51:51(0) ack 301");
	NOTHING_FOR(1 * SEC);
}

/* While the first is not paid, more does not keep it waiting. */
static void delayed_ack_of_a_stream(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, "P. 1:101(100) ack 1");
	RECV(20 * MS, "P. 101:201(100) ack 1");
	SEND_BETWEEN(180 * MS, 186 * MS, ". 1:1(0) ack 201");
	NOTHING_FOR(1 * SEC);
}

/* The queue is full: who has waited longest is paid. Places of connections that ended are passed over. */
static void delayed_ack_queue_full(void **state)
{
	struct line *t = *state;
	struct tcp_global *g;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	g = t->s->tcp;
	RECV(0, "P. 1:101(100) ack 1");
	NOTHING_FOR(1 * MS);
	assert_int_equal(g->owed_tail - g->owed_head, 1);
	while (g->owed_tail - g->owed_head < TCP_OWED_MAX)
		g->owed[g->owed_tail++ % TCP_OWED_MAX] = (struct tcp_owed){ .due_us = t->s->now_us + 20 * MS, .id = 999 };
	conn_at(t->s, t->id.v).t->flags &= ~TF_ACK_QUEUED; /* as that of a connection that is not there */
	tcp_owed_add(t->s, conn_at(t->s, t->id.v));
	SEND(". 1:1(0) ack 101");
	assert_int_equal(g->owed_tail - g->owed_head, TCP_OWED_MAX);
	NOTHING_FOR(1 * SEC);
	assert_int_equal(g->owed_tail - g->owed_head, 0);
}

/* ... or when half of the window is used */
static void ack_for_half_window(void **state)
{
	struct line *t = *state;

	direct(t, 20000);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:4001(4000) ack 1");
	RECV(0, ". 4001:8001(4000) ack 1");
	NOTHING();
	RECV(0, ". 8001:12001(4000) ack 1");
	SEND(". 1:1(0) ack 12001 win 8000");
	line_read(t, 12000);
	SEND(". 1:1(0) ack 12001 win 20000");
}

/* The peer does not run: each byte is sent once; the window is the only bound, not cwnd. */
static void silent_peer(void **state)
{
	struct line *t = *state;
	char text[64];

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 60000");
	line_write(t, 60000);
	for (unsigned int i = 0; i < 15; i++) {
		snprintf(text, sizeof(text), ". %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		SEND(text);
	}
	NOTHING_FOR(1000 * SEC);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 60001:60001(0) ack 1");
	NOTHING_FOR(1000 * SEC);
	assert_int_equal(line_state(t), TCP_FIN_WAIT_1);
	RECV(0, ". 1:1(0) ack 60002");
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
}

/* ... and a program that says how long it will wait (RFC 5482) means its network: what the peer's ring has taken has arrived. */
static void user_timeout_silent(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_USER_TIMEOUT_MS, 1), 0);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	NOTHING_FOR(1000 * SEC);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 101:101(0) ack 1");
	NOTHING_FOR(1000 * SEC);
	assert_int_equal(line_state(t), TCP_FIN_WAIT_1);
}

/* ... but not what waits for a window. */
static void user_timeout(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 8000");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_USER_TIMEOUT_MS, 3000), 0);
	line_write(t, 8000);
	SEND(". 1:4001(4000) ack 1");
	SEND("P. 4001:8001(4000) ack 1");
	NOTHING_FOR(8 * SEC);
	line_write(t, 1000);
	NOTHING_FOR(2 * SEC);
	RECV(0, ". 1:1(0) ack 4001 win 4000"); /* the time begins anew */
	NOTHING_FOR(5900 * MS);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND_BETWEEN(50 * MS, 200 * MS, "R. 8001:8001(0) ack 1");
	line_read_error(t, ETIMEDOUT);
}

/* ... for all of that time: that others had waited before, which have gone, is nothing. */
static void user_timeout_anew(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 8000");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_USER_TIMEOUT_MS, 3000), 0);
	line_write(t, 9000);
	IGNORE();
	NOTHING_FOR(4 * SEC);
	RECV(0, ". 1:1(0) ack 8001 win 9000");
	SEND("P. 8001:9001(1000) ack 1");
	NOTHING_FOR(2 * SEC);
	line_write(t, 9000);
	IGNORE();
	NOTHING_FOR(2 * SEC);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
}

/* A closed window is probed, with back-off and without end; nothing of the data is repeated. */
static void closed_window(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 5000");
	line_write(t, 9000);
	SEND(". 1:4001(4000) ack 1");
	NOTHING_FOR(10 * MS);
	SEND_BETWEEN(180 * MS, 1001 * MS, ". 4001:5001(1000) ack 1"); /* no better window came */
	for (unsigned int i = 0; i < 30; i++)
		SEND_BETWEEN(200 * MS, 121 * SEC, ". 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 5001 win 5000");
	SEND("P. 5001:9001(4000) ack 1");
	NOTHING_FOR(1000 * SEC);
}

/* Nagle is for links where a small segment costs something. */
static void small_writes(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	line_write(t, 10);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
	SEND("P. 11:21(10) ack 1");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_CORK, 1), 0);
	line_write(t, 10);
	NOTHING_FOR(10 * MS);
	line_write(t, 5000);
	SEND(". 21:4021(4000) ack 1");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_CORK, 0), 0);
	SEND("P. 4021:5031(1010) ack 1");
}

/* A buffer smaller than a segment never holds one: what is corked goes when it is full (as Linux). */
static void cork_full(void **state)
{
	struct line *t = *state;
	uint8_t bytes[3000];
	size_t n = 0;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	option(t, TCP_OPT_SNDBUF, TCP_BUF_MIN);
	option(t, TCP_OPT_CORK, 1);
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	line_write(t, 1000);
	NOTHING_FOR(10 * MS);
	assert_int_equal(tcp_send(t->s, t->id, bytes + 1000, 2000, 0, &n), 0);
	assert_int_equal(n, TCP_BUF_MIN - 1000);
	SEND("P. 1:2049(2048) ack 1");
}

/* No frame: what was taken waits in sndq. The program hears when there is room: what the peer has not acknowledged takes some. */
static void back_pressure(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[300000];
	size_t n;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, ". 1:1(0) ack 1 win 65535");
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	t->drv->tx_max = 1;
	assert_int_equal(tcp_send(t->s, t->id, bytes, 200000, 0, &n), 0);
	assert_int_equal(n, 200000);
	assert_int_equal(tcp_send(t->s, t->id, bytes + n, sizeof(bytes) - n, 0, &n), 0);
	assert_int_equal(n, 262144 - 200000);
	assert_int_equal(tcp_send(t->s, t->id, bytes, 1, 0, &n), -EAGAIN);
	SEND(". 1:4001(4000) ack 1");
	NOTHING_FOR(10 * SEC);
	t->drv->tx_max = 10;
	stack_link_writable(t->s, t->link);
	IGNORE();
	EVENT(0);
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	EVENT(0);
	assert_int_equal(info(t).unsent_bytes, 0);
	IGNORE();
	RECV(0, ". 1:1(0) ack 80001 win 65535");
	EVENT(0);
	RECV(0, ". 1:1(0) ack 100001 win 65535");
	EVENT(STACK_EV_WRITABLE);
	RECV(0, ". 1:1(0) ack 262145 win 65535");
	EVENT(STACK_EV_SENT_ALL);
}

enum { BUF_BYTES = 262144, BUF_MORE_BYTES = 4194304 };

/* From byte @from of the stream on as much as there is room for. Return: bytes */
static size_t fill(struct line *t, unsigned int from)
{
	static uint8_t bytes[BUF_BYTES + BUF_MORE_BYTES + 1];
	size_t n = 0, sum = 0;

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(from + i);
	while (tcp_send(t->s, t->id, bytes + sum, sizeof(bytes) - sum, 0, &n) == 0)
		sum += n;
	return sum;
}

/* Return: how much of a write of @len bytes is taken, where the peer has a window of none */
static int taken(struct line *t, size_t len)
{
	static uint8_t bytes[BUF_MORE_BYTES + 1];
	size_t n;

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = line_byte(1 + i);
	return tcp_send(t->s, t->id, bytes, len, 0, &n) == 0 ? (int)n : 0;
}

/* A large write that finds nothing before it is taken whole, unless it could not be; the next one isn't. */
static void whole_write(void **state)
{
	struct line *t = *state;
	static const struct {
		size_t len;
		int set, taken;
	} cases[] = {
		{ BUF_BYTES + 1, 0, BUF_BYTES + 1 },
		{ BUF_MORE_BYTES, 0, BUF_MORE_BYTES },
		{ BUF_MORE_BYTES + 1, 0, BUF_BYTES },
		{ BUF_BYTES, 100000, 100000 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		direct(t, 0);
		line_established_passive(t, "mss 4000");
		if (cases[i].set)
			option(t, TCP_OPT_SNDBUF, (uint32_t)cases[i].set);
		RECV(0, ". 1:1(0) ack 1 win 0");
		assert_int_equal(taken(t, cases[i].len), cases[i].taken);
		assert_int_equal(taken(t, BUF_BYTES + 1), 0);
		IGNORE();
		EVENT(0);
		RECV(0, ". 1:1(0) ack 1 win 4000");
		SEND(". 1:4001(4000) ack 1");
	}
	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	t->s->mem.bytes_max = 8 * t->s->mem.bytes - 8; /* an eighth of it is taken */
	assert_int_equal(taken(t, BUF_BYTES + 1), BUF_BYTES);
}

/*
 * The program writes on, and the peer, which does so as well, reads nothing: soon there is room for as much as Linux
 * would hold, until the window opens; then the buffer is small again.
 */
static void stuck(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 10000);
	NOTHING_FOR(50 * MS);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES); /* all was taken: nobody waits */
	IGNORE();
	assert_int_equal(fill(t, 10001), BUF_BYTES - 10000);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
	NOTHING_FOR(8 * MS);
	EVENT(0);
	NOTHING_FOR(5 * MS);
	EVENT(STACK_EV_WRITABLE);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES + BUF_MORE_BYTES);
	assert_int_equal(fill(t, 1 + BUF_BYTES), BUF_MORE_BYTES);
	assert_int_equal(info(t).unsent_bytes, BUF_BYTES + BUF_MORE_BYTES);
	NOTHING_FOR(100 * MS);
	EVENT(0); /* that is all */

	RECV(0, ". 1:1(0) ack 1 win 4000");
	SEND(". 1:4001(4000) ack 1");
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES);
	NOTHING_FOR(1 * MS);
	EVENT(0);
	RECV(0, ". 1:1(0) ack 4001 win 0");
	NOTHING_FOR(15 * MS); /* ... and again */
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES + BUF_MORE_BYTES);
}

/* A peer that reads now and then finds the buffer as it was; what the program has chosen stays. */
static void stuck_not(void **state)
{
	struct line *t = *state;
	char text[64];

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	assert_int_equal(fill(t, 1), BUF_BYTES);
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), ". 1:1(0) ack %u win 4000", 1 + 4000 * i);
		RECV(8 * MS, text);
		snprintf(text, sizeof(text), ". %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		SEND(text);
	}
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES);

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	option(t, TCP_OPT_SNDBUF, 100000);
	RECV(0, ". 1:1(0) ack 1 win 0");
	assert_int_equal(fill(t, 1), 100000);
	NOTHING_FOR(50 * MS);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), 100000);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
}

/* Where an eighth of all memory is taken nobody is promised more: neither who writes on, nor a peer that is about to leave. */
static void stuck_memory_short(void **state)
{
	struct line *t = *state;
	struct line_config cfg = {
		.v6 = t->cfg.v6, .mss = 4000, .link_flags = LINK_NO_LOSS | LINK_NO_CSUM, .mem_bytes_max = 4 << 20,
	};

	line_restart(t, &cfg);
	line_established_passive(t, "mss 4000");
	RECV(0, ". 1:1(0) ack 1 win 0");
	assert_int_equal(fill(t, 1), BUF_BYTES);
	NOTHING_FOR(50 * MS);
	assert_int_equal(option_get(t, TCP_OPT_SNDBUF), BUF_BYTES);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
	IGNORE();
	RECV(0, "U. 1:1(0) ack 1 win 0");
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), BUF_BYTES);
}

/* The process ends: its peer is asked to take what waits, and does. */
static void leaving(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	stack_leaving(t->s);
	NOTHING();
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_write(t, 3000);
	NOTHING_FOR(5 * MS);
	stack_leaving(t->s);
	SEND("U. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 1 win 4000");
	SEND("P. 1:3001(3000) ack 1");
}

/* ... also if the window has a rest that is too small to be used before all is acknowledged */
static void leaving_rest(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, ". 1:1(0) ack 1 win 32"); /* 4096 bytes */
	line_write(t, 8000);
	SEND(". 1:4001(4000) ack 1");
	NOTHING();
	stack_leaving(t->s);
	SEND("U. 4001:4001(0) ack 1");
}

static void peer_leaving(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	for (unsigned int i = 0; i < 4; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		RECV(0, text);
	}
	RECV(0, "U. 16001:16001(0) ack 1");
	SEND(". 1:1(0) ack 16001 win 36739");
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), BUF_BYTES); /* the program is not told */
}

/* ... also beyond what the program has set */
static void peer_leaving_small(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	option(t, TCP_OPT_RCVBUF, 5000);
	RECV(0, ". 1:4001(4000) ack 1");
	RECV(0, "U. 4001:4001(0) ack 1");
	SEND(". 1:1(0) ack 4001 win 36832");
	assert_int_equal(option_get(t, TCP_OPT_RCVBUF), 5000);
}

/* Of the segment that waits for its SEND line */
static uint8_t next_flags(const struct line *t)
{
	const struct link_frame *frame = &t->drv->sent[t->drv->sent_first % FAKE_SENT_MAX];

	assert_int_equal(t->drv->sent_cnt, 1);
	return frame->data[14 + (t->cfg.v6 ? 40 : 20) + 13];
}

/* Who has closed says so, and not who has only said all that he has to say. */
static void fin_of_close(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	tcp_close(t->s, t->id);
	SEND("FW. 1:1(0) ack 1");

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	assert_int_equal(next_flags(t), TCP_FIN | TCP_ACK); /* SEND would not see a W */
	SEND("F. 1:1(0) ack 1");
}

/* Nobody waits there for what has no payload; but for the answer to what has, as it is a reset. */
static void peer_has_closed(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, "FW. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	assert_int_equal(t->drv->tx_unawaited, 1);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 2");
	assert_int_equal(t->drv->tx_unawaited, 1);
	tcp_close(t->s, t->id);
	SEND("F. 11:11(0) ack 2");
	assert_int_equal(t->drv->tx_unawaited, 2);
	RECV(0, ". 2:2(0) ack 12");
	assert_int_equal(conns(t), 0);
}

/* One that has shut its side may wait for the end of ours. */
static void peer_has_shut(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 2");
	RECV(0, ". 2:2(0) ack 2");
	assert_int_equal(t->drv->tx_unawaited, 0);
	assert_int_equal(conns(t), 0);
}

/* Both closed: what comes last is for nobody. */
static void both_have_closed(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000,wscale 7");
	tcp_close(t->s, t->id);
	SEND("FW. 1:1(0) ack 1");
	RECV(0, "FW. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	assert_int_equal(t->drv->tx_unawaited, 1);
	assert_int_equal(conns(t), 0);
}

/* No TIME_WAIT, on either side of the close */
static void close_at_once(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, "F. 1:1(0) ack 2");
	SEND(". 2:2(0) ack 2");
	assert_int_equal(conns(t), 0);
	/* the same ports again */
	t->peer_isn += 10;
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "F. 1:1(0) ack 1");
	line_accept(t);
	SEND(". 1:1(0) ack 2");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 2");
	RECV(0, ". 2:2(0) ack 2");
	assert_int_equal(conns(t), 0);
}

/* ... but not before the last acknowledgement is out */
static void close_without_frame(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	t->drv->tx_max = 0;
	RECV(0, "F. 1:1(0) ack 2");
	NOTHING_FOR(1000 * SEC);
	assert_int_equal(conns(t), 1);
	t->drv->tx_max = 1;
	stack_link_writable(t->s, t->link);
	SEND(". 2:2(0) ack 2");
	assert_int_equal(conns(t), 0);
}

static void close_while_held(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 1:1(0) ack 1");
	RECV(0, "FP. 1:101(100) ack 2");
	SEND(". 2:2(0) ack 102");
	assert_int_equal(line_state(t), TCP_CLOSED);
	line_read(t, 100);
	line_read_eof(t);
	tcp_close(t->s, t->id);
	assert_int_equal(conns(t), 0);
}

/* The other end's process is gone: what it had said can be read, and if that was all of it, nothing has gone wrong. */
static void peer_gone(void **state)
{
	struct line *t = *state;
	size_t n;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, "FP. 1:101(100) ack 1");
	IGNORE();
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_int_equal(tcp_ready(t->s, t->id) & (STACK_EV_ERROR | STACK_EV_EOF), STACK_EV_EOF);
	line_read(t, 100);
	line_read_eof(t);
	assert_int_equal(tcp_error(t->s, t->id, true), 0);
	assert_int_equal(tcp_send(t->s, t->id, "x", 1, 0, &n), -EPIPE);
	assert_true(tcp_ready(t->s, t->id) & STACK_EV_CONNECTED); /* CLOSE-WAIT, to the program */
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	assert_false(tcp_ready(t->s, t->id) & STACK_EV_CONNECTED);
	assert_int_equal(tcp_shutdown(t->s, t->id), -ENOTCONN);
	tcp_close(t->s, t->id);
	assert_int_equal(conns(t), 0);
}

/* ... but if it was not, that follows what had been said. */
static void peer_gone_in_between(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, "P. 1:101(100) ack 1");
	IGNORE();
	stack_link_del(t->s, t->link, ECONNRESET);
	line_read(t, 100);
	line_read_error(t, ECONNRESET);
}

/* ... nor has what could not be sent to it arrived. */
static void peer_gone_before_data(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	RECV(0, "FP. 1:101(100) ack 1 win 0");
	line_write(t, 10);
	IGNORE();
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_true(tcp_ready(t->s, t->id) & STACK_EV_ERROR);
	line_read(t, 100);
	line_read_eof(t);
	assert_int_equal(tcp_error(t->s, t->id, true), ECONNRESET);
}

/*
 * An abort must reach the peer, which will never ask: it waits for a frame, with the program gone.
 */
static void abort_without_frame(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	t->drv->tx_max = 0;
	tcp_abort(t->s, t->id);
	NOTHING_FOR(1 * SEC);
	assert_int_equal(conns(t), 1);
	t->drv->tx_max = 1;
	stack_link_writable(t->s, t->link);
	SEND("R. 1:1(0) ack 1");
	assert_int_equal(conns(t), 0);
}

/* ... unless the link goes first */
static void abort_then_link_gone(void **state)
{
	struct line *t = *state;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	t->drv->tx_max = 0;
	tcp_abort(t->s, t->id);
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_int_equal(conns(t), 0);
}

/* Payload written in place goes out without a copy being kept. */
static void send_frame(void **state)
{
	struct line *t = *state;
	uint8_t *data;
	size_t room;

	direct(t, 0);
	line_established_passive(t, "mss 4000");
	assert_int_equal(tcp_send_frame(t->s, t->id, &data, &room), 0);
	assert_int_equal(room, 4000);
	for (unsigned int i = 0; i < 4000; i++)
		data[i] = line_byte(1 + i);
	assert_int_equal(tcp_send_frame_done(t->s, t->id, 4000), 0);
	SEND("P. 1:4001(4000) ack 1");
	assert_int_equal(info(t).unsent_bytes, 0);
	NOTHING_FOR(1000 * SEC);
	RECV(0, ". 1:1(0) ack 4001");
	EVENT(STACK_EV_SENT_ALL);
}

/* What was offered room must be taken. Without memory the connection cannot go on. */
static void no_memory(void **state)
{
	struct line *t = *state;
	struct line_config cfg = {
		.v6 = t->cfg.v6,
		.mss = 4000,
		.link_flags = LINK_NO_LOSS | LINK_NO_CSUM,
		.rcvbuf_bytes = 64 << 20,
		.rx_hold_max = 1,
		.mem_bytes_max = 5 << 20,
	};
	unsigned int i;

	line_restart(t, &cfg);
	line_established_passive(t, "mss 4000,wscale 14");
	for (i = 0; line_state(t) == TCP_ESTABLISHED; i++) {
		char text[64];

		assert_in_range(i, 0, 3000);
		snprintf(text, sizeof(text), ". %u:%u(4000) ack 1", 1 + 4000 * i, 4001 + 4000 * i);
		RECV(0, text);
		if (line_state(t) == TCP_ESTABLISHED)
			IGNORE();
	}
	SEND("R. 1:1(0) ack *");
	line_read(t, 4000 * (i - 1));
	line_read_error(t, ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(options),
		LINE_TEST(no_cold_half),
		LINE_TEST(request_response),
		LINE_TEST(delayed_ack),
		LINE_TEST(delayed_ack_again),
		LINE_TEST(delayed_ack_of_a_stream),
		LINE_TEST(delayed_ack_of_a_fin),
		LINE_TEST(delayed_ack_queue_full),
		LINE_TEST(ack_for_half_window),
		LINE_TEST(silent_peer),
		LINE_TEST(user_timeout_silent),
		LINE_TEST(user_timeout),
		LINE_TEST(user_timeout_anew),
		LINE_TEST(closed_window),
		LINE_TEST(small_writes),
		LINE_TEST(cork_full),
		LINE_TEST(back_pressure),
		LINE_TEST(whole_write),
		LINE_TEST(stuck),
		LINE_TEST(stuck_not),
		LINE_TEST(stuck_memory_short),
		LINE_TEST(leaving),
		LINE_TEST(leaving_rest),
		LINE_TEST(peer_leaving),
		LINE_TEST(peer_leaving_small),
		LINE_TEST(fin_of_close),
		LINE_TEST(peer_has_closed),
		LINE_TEST(peer_has_shut),
		LINE_TEST(both_have_closed),
		LINE_TEST(close_at_once),
		LINE_TEST(close_without_frame),
		LINE_TEST(close_while_held),
		LINE_TEST(peer_gone),
		LINE_TEST(peer_gone_in_between),
		LINE_TEST(peer_gone_before_data),
		LINE_TEST(abort_without_frame),
		LINE_TEST(abort_then_link_gone),
		LINE_TEST(send_frame),
		LINE_TEST(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
