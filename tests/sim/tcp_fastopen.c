// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fast Open: RFC 7413, section by section, server and client
 */
#include "tests/sim/line_help.h"

#include "stack/tcp_hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void listen_fast(struct line *t, uint64_t max)
{
	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_FASTOPEN_MAX, max), 0);
}

/* The peer gets a cookie, in a connection that does nothing else; t->peer.port is another then. */
static void get_cookie(struct line *t)
{
	struct tcp_id id;

	RECV(0, "S 0:0(0) <mss 1000,FO>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
	tcp_abort(t->s, id);
	SEND("R. 1:1(0) ack 1");
	t->peer.port++;
}

/* A connection whose SYN carried @len bytes with a good cookie; its SYN-ACK is out. */
static void open_fast(struct line *t, uint32_t len)
{
	char text[64];

	listen_fast(t, 10);
	get_cookie(t);
	snprintf(text, sizeof(text), "S 0:%u(%u) <mss 1000,FO *>", len, len);
	RECV(0, text);
	snprintf(text, sizeof(text), "S. 0:0(0) ack %u <mss 1460>", 1 + len);
	SEND(text);
	line_accept(t);
}

/* RFC 7413 4.1.1, before it had an option of its own (RFC 6994): a client that asks so is answered so. */
static void s4_1_1_experimental(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	listen_fast(t, 10);
	RECV(0, "S 0:0(0) <mss 1000,FOEXP>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FOEXP *>");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
	tcp_abort(t->s, id);
	SEND("R. 1:1(0) ack 1");
	t->peer.port++;
	RECV(0, "S 0:100(100) <mss 1000,FOEXP *>");
	SEND("S. 0:0(0) ack 101 <mss 1460>");
	line_accept(t);
	line_read(t, 100);
	RECV(10 * MS, ". 101:101(0) ack 1");
	/* The cookie is the same in either form. */
	t->peer.port++;
	RECV(0, "S 0:50(50) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 51 <mss 1460>");
	assert_int_equal(stats(t).tcp_fastopen_rx, 2);
	IGNORE();
}

/* ---- server ---------------------------------------------------------------------------------- */

/* 3, figure 2; 4.2.2: data are delivered before the handshake ends, and answered */
static void s3_server(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	assert_int_equal(line_state(t), TCP_SYN_RECEIVED); /* as Linux shows it */
	line_read(t, 100);
	line_write(t, 200);
	SEND("P. 1:201(200) ack 101");
	RECV(10 * MS, ". 101:101(0) ack 1");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	RECV(0, "P. 101:201(100) ack 201");
	SEND(". 201:201(0) ack 201");
	line_read(t, 100);
	assert_int_equal(stats(t).tcp_fastopen_rx, 1);
	tcp_close(t->s, t->id);
	SEND("F. 201:201(0) ack 201");
	RECV(0, "F. 201:201(0) ack 202");
	SEND(". 202:202(0) ack 202");
}

/* The ACK of the handshake may acknowledge the answer, and bring more. */
static void s3_server_ack_with_data(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	open_fast(t, 100);
	line_read(t, 100);
	line_write(t, 200);
	SEND("P. 1:201(200) ack 101");
	RECV(40 * MS, "P. 101:201(100) ack 201");
	line_read(t, 100);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	tcp_info(t->s, t->id, &info);
	assert_in_range(info.srtt_us, 39000, 45000);
	SEND(". 201:201(0) ack 201");
	NOTHING_FOR(30 * SEC);
}

/* 4.1.2: a cookie is asked for and given, once; the option is not repeated with the SYN-ACK */
static void s4_1_2_request(void **state)
{
	struct line *t = *state;

	listen_fast(t, 10);
	RECV(0, "S 0:0(0) <mss 1000,sackOK,wscale 7,TS val 1 ecr 0,FO>");
	SEND("S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7,TS val * ecr 1,FO *>");
	assert_int_equal(t->cookie_len, 8);
	SEND_AFTER(1 * SEC, "S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7,TS val * ecr 1>");
	RECV(0, ". 1:1(0) ack 1 <TS val 2 ecr *>");
	line_accept(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
}

/* ... the same for all ports of one address, another for another address; of any connection */
static void s4_1_2_per_address(void **state)
{
	struct line *t = *state;
	uint8_t first[16];

	listen_fast(t, 10);
	get_cookie(t);
	memcpy(first, t->fo_cookie, 16);
	get_cookie(t);
	assert_memory_equal(first, t->fo_cookie, 8);
	t->peer.addr.words[3] = be32(0x0a000063);
	get_cookie(t);
	assert_true(memcmp(first, t->fo_cookie, 8) != 0);
	/* the other's is not good here: an ordinary handshake, and a good cookie */
	memcpy(t->fo_cookie, first, 8);
	RECV(0, "S 0:100(100) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
	assert_true(memcmp(first, t->fo_cookie, 8) != 0);
	assert_int_equal(stats(t).tcp_fastopen_bad, 1);
	RECV(0, "P. 1:101(100) ack 1");
	line_accept(t);
	line_read(t, 100);
	SEND(". 1:1(0) ack 101");
}

/* ... it ages: good for six hours, a new one is given in the next six, then it is no good */
static void s4_1_2_age(void **state)
{
	struct line *t = *state;
	uint8_t first[16];

	listen_fast(t, 10);
	get_cookie(t);
	memcpy(first, t->fo_cookie, 16);
	t->now_us += 6 * 3600 * SEC;
	IGNORE();
	RECV(0, "S 0:100(100) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 101 <mss 1460,FO *>");
	assert_true(memcmp(first, t->fo_cookie, 8) != 0);
	RECV(0, ". 101:101(0) ack 1");
	line_accept(t);
	line_read(t, 100);
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 101");
	t->now_us += 6 * 3600 * SEC;
	IGNORE();
	memcpy(t->fo_cookie, first, 8);
	RECV(0, "S 0:100(100) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
}

/* 4.1.1: a cookie of another length is bad; one that is none is stepped over */
static void s4_1_1_lengths(void **state)
{
	struct line *t = *state;

	listen_fast(t, 10);
	RECV(0, "S 0:10(10) <mss 1000,FO 01020304>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
	t->peer.port++;
	RECV(0, "S 0:10(10) <mss 1000,FO 0102030405060708090a0b0c0d0e0f10>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
	t->peer.port++;
	RECV(0, "S 0:10(10) <mss 1000,FO 010203>");
	SEND("S. 0:0(0) ack 1 <mss 1460>");
	assert_int_equal(stats(t).tcp_fastopen_bad, 2);
}

/* The option is off: no cookie, no data */
static void s4_1_off(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:10(10) <mss 1000,FO>");
	SEND("S. 0:0(0) ack 1 <mss 1460>");
}

/* 4.2.2: a good cookie without data opens as early */
static void s4_2_2_no_data(void **state)
{
	struct line *t = *state;

	open_fast(t, 0);
	line_read_error(t, EAGAIN);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	RECV(0, ". 1:1(0) ack 101");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
}

/* 4.2.2: the SYN-ACK is repeated, the data that follow it are not, until it is acknowledged */
static void s4_2_2_synack_lost(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	line_read(t, 100);
	line_write(t, 200);
	SEND("P. 1:201(200) ack 101");
	SEND_BETWEEN(980 * MS, 1010 * MS, "S. 0:0(0) ack 101 <mss 1460>");
	SEND_AFTER(2 * SEC, "S. 0:0(0) ack 101 <mss 1460>");
	/* the client's SYN again, without data (4.2.1) */
	RECV(100 * MS, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 101 <mss 1460>");
	RECV(100 * MS, "S 0:0(0) <mss 1000>");
	NOTHING();
	RECV(0, ". 101:101(0) ack 1");
	SEND_BETWEEN(2900 * MS, 3100 * MS, "P. 1:201(200) ack 101"); /* RFC 6298 5.7 */
	RECV(0, ". 101:101(0) ack 201");
	NOTHING_FOR(30 * SEC);
}

/* ... and given up like any, with one try more, as Linux does */
static void s4_2_2_timeout(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	line_read(t, 100);
	for (uint64_t wait = 1; wait <= 32; wait *= 2)
		SEND_AFTER(wait * SEC, "S. 0:0(0) ack 101");
	SEND_BETWEEN(63 * SEC, 65 * SEC, "R. 1:1(0) ack 101");
	line_read_error(t, ETIMEDOUT);
}

/* What does not acknowledge the SYN-ACK, exactly, brings nothing in (RFC 5961 5) */
static void s4_2_2_bad_ack(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	line_read(t, 100);
	RECV(0, "P. 101:201(100) ack 0");
	SEND("R 0:0(0)");
	RECV(0, "P. 101:201(100) ack 2");
	SEND("R 2:2(0)");
	RECV(0, "P 101:201(100)");
	NOTHING();
	line_read_error(t, EAGAIN);
	assert_int_equal(line_state(t), TCP_SYN_RECEIVED);
	RECV(0, ". 101:101(0) ack 1");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
}

/* Closed before the handshake ended: FIN goes, all the same */
static void s4_2_2_close_early(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	line_read(t, 100);
	line_write(t, 200);
	SEND("P. 1:201(200) ack 101");
	tcp_close(t->s, t->id);
	SEND("F. 201:201(0) ack 101");
	RECV(10 * MS, ". 101:101(0) ack 1");
	RECV(0, "F. 101:101(0) ack 202");
	SEND(". 202:202(0) ack 102");
	assert_int_equal(stats(t).tcp_conns, 1);
	NOTHING_FOR(61 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Not accepted before the handshake ended: no matter */
static void s4_2_2_accept_late(void **state)
{
	struct line *t = *state;

	listen_fast(t, 10);
	get_cookie(t);
	RECV(0, "S 0:100(100) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 101");
	RECV(0, "P. 101:201(100) ack 1");
	line_accept(t);
	line_read(t, 200);
	SEND(". 1:1(0) ack 201");
}

/* The listener goes before: its block stays for those it has left behind, and no longer */
static void s4_2_2_unlisten(void **state)
{
	struct line *t = *state;

	open_fast(t, 100);
	line_read(t, 100);
	tcp_unlisten(t->s, t->listener);
	line_listen(t);
	RECV(0, ". 101:101(0) ack 1");
	line_write(t, 10);
	SEND("P. 1:11(10) ack 101");
	RECV(0, ". 101:101(0) ack 11");
}

/* 5.1: so many at a time, and those that were reset count for a minute */
static void s5_1_limit(void **state)
{
	struct line *t = *state;
	uint16_t port;
	uint32_t first;

	listen_fast(t, 2);
	get_cookie(t);
	port = t->peer.port;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 11");
	first = t->isn;
	t->peer.port = port + 1;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 11");
	t->peer.port = port + 2;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 1 <mss 1460>"); /* no cookie either, as Linux */
	RECV(0, "R 1:1(0)");
	/* one is confirmed, and makes room; one is reset, and does not */
	t->peer.port = port + 1;
	RECV(0, "R 11:11(0)");
	t->peer.port = port + 2;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 1 <mss 1460>");
	RECV(0, "R 1:1(0)");
	t->peer.port = port;
	t->isn = first;
	RECV(0, ". 11:11(0) ack 1");
	t->peer.port = port + 2;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 11");
	RECV(0, ". 11:11(0) ack 1");
	/* the stranger's minute is over */
	NOTHING_FOR(61 * SEC);
	for (unsigned int i = 0; i < 2; i++) {
		t->peer.port++;
		RECV(0, "S 0:10(10) <mss 1000,FO *>");
		SEND("S. 0:0(0) ack 11");
	}
}

/* A full backlog takes no SYN, fast or not */
static void s5_1_backlog(void **state)
{
	struct line *t = *state;

	listen_fast(t, 10);
	get_cookie(t);
	tcp_listener_backlog(t->s, t->listener, 1);
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 11");
	t->peer.port++;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 1);
}

/* 6.3.4: with a key, the cookie is that of all servers that share it, Linux's among them */
static void s6_3_4_key(void **state)
{
	struct tcp_settings set = { .has_fastopen_key = true };
	struct line *t = *state;
	uint8_t first[16];

	memset(set.fastopen_key, 7, 16);
	tcp_settings_set(t->s, &set);
	listen_fast(t, 10);
	get_cookie(t);
	memcpy(first, t->fo_cookie, 16);
	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
	tcp_settings_set(t->s, &set);
	t->now_us += 100 * 3600 * SEC;
	IGNORE();
	listen_fast(t, 10);
	get_cookie(t);
	assert_memory_equal(first, t->fo_cookie, 8);
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 11 <mss 1460>");
	set.fastopen_key[15]++;
	tcp_settings_set(t->s, &set);
	t->peer.port++;
	RECV(0, "S 0:10(10) <mss 1000,FO *>");
	SEND("S. 0:0(0) ack 1 <mss 1460,FO *>");
}

/* 5.3 (Linux's 0x200): among friends, data without cookies */
static void no_cookie_server(void **state)
{
	struct line *t = *state;

	tcp_settings_set(t->s, &(struct tcp_settings){ .fastopen_no_cookie_rx = true });
	listen_fast(t, 10);
	RECV(0, "S 0:10(10) <mss 1000>");
	SEND("S. 0:0(0) ack 11 <mss 1460>");
	line_accept(t);
	line_read(t, 10);
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1 <mss 1460>");
}

/* No frame for the SYN-ACK: an ordinary handshake, later */
static void server_no_frame(void **state)
{
	struct line *t = *state;

	listen_fast(t, 10);
	get_cookie(t);
	t->drv->tx_max = 0;
	RECV(0, "S 0:100(100) <mss 1000,FO *>");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	SEND("S. 0:0(0) ack 1 <mss 1460>");
	RECV(0, "P. 1:101(100) ack 1");
	line_accept(t);
	line_read(t, 100);
	SEND(". 1:1(0) ack 101");
}

/* Direct channels have a round trip of a microsecond and no use for this. */
static void direct_channel(void **state)
{
	struct line *t = *state;
	size_t taken = 1;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6,
					       .link_flags = LINK_NO_LOSS | LINK_NO_CSUM });
	listen_fast(t, 10);
	RECV(0, "S 0:10(10) <mss 1000,FO>");
	SEND("S. 0:0(0) ack 1 <...>");
	t->peer.port++;
	assert_int_equal(tcp_connect_data(t->s, t->link, &t->local, &t->peer, NULL, 0, "x", 1, 42,
					  &taken, &t->id),
			 0);
	assert_int_equal(taken, 0);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7>");
}

/* ---- client ---------------------------------------------------------------------------------- */

/* Return: bytes that the SYN took */
static uint32_t connect_data(struct line *t, uint32_t len)
{
	uint8_t *buf = malloc(len + 1);
	size_t taken = 0;

	t->written = 0;
	t->read = 0;
	for (uint32_t i = 0; i < len; i++)
		buf[i] = line_byte(1 + i);
	assert_int_equal(tcp_connect_data(t->s, t->link, &t->local, &t->peer, NULL, 0, buf, len,
					  t->cookie, &taken, &t->id),
			 0);
	free(buf);
	t->written = (uint32_t)taken;
	return (uint32_t)taken;
}

static void gone(struct line *t)
{
	tcp_abort(t->s, t->id);
	IGNORE();
	t->local.port++;
	t->written = 0;
}

/* The stack learns the cookie a1a2...a8 of t->peer, whose MSS is 1000. */
static void learn_cookie(struct line *t)
{
	assert_int_equal(connect_data(t, 100), 0);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000,FO a1a2a3a4a5a6a7a8>");
	SEND(". 1:1(0) ack 1");
	gone(t);
}

/* 3, figure 2; 4.1.3: first a cookie, then data */
static void s3_client(void **state)
{
	struct line *t = *state;

	assert_false(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
	learn_cookie(t);
	assert_true(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO a1a2a3a4a5a6a7a8>");
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	RECV(10 * MS, "S. 0:0(0) ack 101 <mss 1000>");
	SEND(". 101:101(0) ack 1");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE | STACK_EV_SENT_ALL);
	line_write(t, 100);
	SEND("P. 101:201(100) ack 1");
	RECV(0, "P. 1:101(100) ack 201");
	line_read(t, 100);
	assert_int_equal(stats(t).tcp_fastopen_tx, 1);
	SEND(". 201:201(0) ack 101");
	NOTHING_FOR(100 * MS);
}

/* 4.2.1: the server took nothing, or a part: the rest follows with the ACK */
static void s4_2_1_not_taken(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
	SEND("P. 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101");
	NOTHING_FOR(30 * SEC);
}

static void s4_2_1_taken_in_part(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(10 * MS, "S. 0:0(0) ack 41 <mss 1000>");
	SEND("P. 41:101(60) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101");
	NOTHING_FOR(30 * SEC);
}

/* What was never sent is not acknowledged (RFC 9293 3.10.7.3) */
static void s4_2_1_bad_ack(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(10 * MS, "S. 0:0(0) ack 102 <mss 1000>");
	SEND("R 102:102(0)");
	RECV(10 * MS, "S. 0:0(0) ack 0 <mss 1000>");
	SEND("R 0:0(0)");
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	RECV(10 * MS, "S. 0:0(0) ack 101 <mss 1000>");
	SEND(". 101:101(0) ack 1");
}

/* 4.2.1: a SYN that comes to nothing is repeated without data and without the option */
static void s4_2_1_syn_lost(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO a1a2a3a4a5a6a7a8>");
	SEND_AFTER(1 * SEC, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
	SEND("P. 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101");
}

/* ... or had come, and only its answer was lost: then it acknowledges the data */
static void s4_2_1_synack_lost(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	RECV(10 * MS, "S. 0:0(0) ack 101 <mss 1000>");
	SEND(". 101:101(0) ack 1");
	NOTHING_FOR(30 * SEC);
}

/* 4.1.3.1: lost twice in a row: no more for some minutes; then again */
static void s4_1_3_1_fallback(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(connect_data(t, 100), 100);
		SEND("S 0:100(100)");
		SEND_AFTER(1 * SEC, "S 0:0(0)");
		RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
		SEND("P. 1:101(100) ack 1");
		gone(t);
	}
	assert_false(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
	assert_int_equal(connect_data(t, 100), 0);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	gone(t);
	NOTHING_FOR(241 * SEC);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(10 * MS, "S. 0:0(0) ack 101 <mss 1000>");
	SEND(". 101:101(0) ack 1");
	gone(t);
	assert_true(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
}

/* 4.1.3: the MSS is remembered with the cookie, and bounds what a SYN carries; so does the link's */
static void s4_1_3_mss(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 5000), 960);
	SEND("S 0:960(960) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO a1a2a3a4a5a6a7a8>");
	RECV(10 * MS, "S. 0:0(0) ack 961 <mss 9000>");
	SEND(". 961:961(0) ack 1");
	gone(t);
	assert_int_equal(connect_data(t, 5000), 1420);
	SEND("S 0:1420(1420)");
}

/* 4.1.2: a new cookie replaces the old */
static void s4_1_2_new_cookie(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO a1a2a3a4a5a6a7a8>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000,FO b1b2b3b4b5b6b7b8b9ba>");
	SEND("P. 1:101(100) ack 1");
	gone(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO b1b2b3b4b5b6b7b8b9ba>");
}

/* 4.1.3: the cache is bounded; whom we met last is known best */
static void s4_1_3_cache(void **state)
{
	struct line *t = *state;
	struct endpoint peer = t->peer;
	unsigned int known = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < 2000; i++) {
		t->peer.addr.words[3] = be32(0x0a010000 + i);
		learn_cookie(t);
		if (i == 0)
			bytes = stats(t).mem_bytes;
	}
	assert_int_equal(stats(t).mem_bytes, bytes);
	assert_true(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
	for (uint32_t i = 0; i < 2000; i++) {
		peer.addr.words[3] = be32(0x0a010000 + i);
		known += tcp_fastopen_known(t->s, t->link, &t->local, &peer);
	}
	assert_in_range(known, 800, 1024);
}

/* A server without Fast Open: nothing is remembered, and each time asked */
static void s4_1_3_no_server(void **state)
{
	struct line *t = *state;

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(connect_data(t, 100), 0);
		SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0,FO>");
		SEND_AFTER(1 * SEC, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
		RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
		SEND(". 1:1(0) ack 1");
		gone(t);
	}
}

/* A cookie that nobody has asked for is not kept, and takes no memory. */
static void s4_1_3_not_asked(void **state)
{
	struct line *t = *state;
	uint64_t bytes;

	/* What any connection takes has been taken. */
	line_established_active(t, "mss 1000");
	tcp_abort(t->s, t->id);
	IGNORE();
	t->local.port++;
	line_connect(t);
	SEND("S 0:0(0)");
	bytes = stats(t).mem_bytes;
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000,FO a1a2a3a4a5a6a7a8>");
	SEND(". 1:1(0) ack 1");
	assert_false(tcp_fastopen_known(t->s, t->link, &t->local, &t->peer));
	assert_int_equal(stats(t).mem_bytes, bytes);
}

/* Both call, we with data: they follow when the handshake is over */
static void client_simultaneous(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(10 * MS, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1");
	SEND("P. 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101");
	NOTHING_FOR(30 * SEC);
}

/* No frame for the SYN: it goes without data, later; nothing that was taken is lost */
static void client_no_frame(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	t->drv->tx_max = 0;
	assert_int_equal(connect_data(t, 100), 100);
	NOTHING_FOR(10 * MS);
	assert_int_equal(stack_unsent(t->s), 100);
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1000>");
	SEND("P. 1:101(100) ack 1");
	RECV(0, ". 1:1(0) ack 101");
}

/* Refused, aborted: what was in the SYN goes with the connection */
static void client_refused(void **state)
{
	struct line *t = *state;

	learn_cookie(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	RECV(0, "R. 0:0(0) ack 101");
	line_read_error(t, ECONNREFUSED);
	gone(t);
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100)");
	tcp_close(t->s, t->id);
	NOTHING_FOR(10 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Linux's tcp_fastopen 0x4 and 0 */
static void client_settings(void **state)
{
	struct line *t = *state;

	tcp_settings_set(t->s, &(struct tcp_settings){ .fastopen_no_cookie_tx = true });
	assert_int_equal(connect_data(t, 100), 100);
	SEND("S 0:100(100) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	RECV(0, "S. 0:0(0) ack 101 <mss 1000>");
	SEND(". 101:101(0) ack 1");
	gone(t);
	tcp_settings_set(t->s, &(struct tcp_settings){ .no_fastopen = true });
	assert_int_equal(connect_data(t, 100), 0);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(s3_server),		LINE_TEST(s3_server_ack_with_data),
		LINE_TEST(s4_1_2_request),	LINE_TEST(s4_1_2_per_address),
		LINE_TEST(s4_1_2_age),		LINE_TEST(s4_1_1_lengths),
		LINE_TEST(s4_1_off),		LINE_TEST(s4_2_2_no_data),
		LINE_TEST(s4_2_2_synack_lost),	LINE_TEST(s4_2_2_timeout),
		LINE_TEST(s4_2_2_bad_ack),	LINE_TEST(s4_2_2_close_early),
		LINE_TEST(s4_2_2_accept_late),	LINE_TEST(s4_2_2_unlisten),
		LINE_TEST(s4_1_1_experimental),
		LINE_TEST(s5_1_limit),		LINE_TEST(s5_1_backlog),
		LINE_TEST(s6_3_4_key),		LINE_TEST(no_cookie_server),
		LINE_TEST(server_no_frame),	LINE_TEST(direct_channel),
		LINE_TEST(s3_client),		LINE_TEST(s4_2_1_not_taken),
		LINE_TEST(s4_2_1_taken_in_part), LINE_TEST(s4_2_1_bad_ack),
		LINE_TEST(s4_2_1_syn_lost),	LINE_TEST(s4_2_1_synack_lost),
		LINE_TEST(s4_1_3_1_fallback),	LINE_TEST(s4_1_3_mss),
		LINE_TEST(s4_1_2_new_cookie),	LINE_TEST(s4_1_3_cache),
		LINE_TEST(s4_1_3_no_server),	LINE_TEST(s4_1_3_not_asked),
		LINE_TEST(client_simultaneous),
		LINE_TEST(client_no_frame),	LINE_TEST(client_refused),
		LINE_TEST(client_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
