// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls that do not wait (src/stack/tcp_call.c): connected on a promise, and what follows; who listens: tcp_called.c
 */
#include "stack/tcp_move.h"
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* From the next port */
static int call_how(struct line *t, bool anyway)
{
	t->local.port++;
	t->written = t->read = 0;
	return tcp_connect_early(t->s, t->link, &t->local, &t->peer, NULL, 0, anyway, t->cookie, &t->id);
}

static void call(struct line *t)
{
	assert_int_equal(call_how(t, false), 0);
}

/* The peer follows the rule: its numbers begin where ours do. */
static void by_rule(struct line *t)
{
	t->peer_isn = t->isn & 0xffff0000;
}

/* What is said at the begin of a stream */
static void fill(uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = line_byte(1 + i);
}

/* A first call, which waits for its answer; that promises @places, in segments of 3,000 and a window of 20,000 bytes. */
static void promised(struct line *t, const char *answer)
{
	line_direct(t);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1 <mss 4000,wscale 7,sackOK>");
	by_rule(t);
	RECV(0, answer);
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 1");
}

#define PROMISE "S. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>"

static void called(struct line *t)
{
	promised(t, PROMISE);
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000 <mss 4000,wscale 7,sackOK>");
	by_rule(t);
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
}

/* What is said follows the SYN; the answer changes nothing but what is known of the peer. */
static void says_at_once(void **state)
{
	struct line *t = *state;
	struct tcp_info i;

	called(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	line_write(t, 4000);
	SEND(". 101:3101(3000) ack 1");
	SEND("P. 3101:4101(1000) ack 1");
	NOTHING();
	RECV(0, "S. 0:0(0) ack 1 win 30000 urg 1 <mss 2000,sackOK,wscale 4>");
	NOTHING();
	i = info(t);
	assert_int_equal(i.state, TCP_ESTABLISHED);
	assert_int_equal(i.mss, 2000);
	assert_int_equal(i.snd_wscale, 4);
	assert_int_equal(i.bytes_sent, 4100);
	RECV(0, "P. 1:11(10) ack 4101 win 1000");
	EVENT(STACK_EV_READABLE | STACK_EV_SENT_ALL);
	line_read(t, 10);
	line_write(t, 2500);
	SEND(". 4101:6101(2000) ack 11");
	SEND("P. 6101:6601(500) ack 11");
	tcp_close(t->s, t->id);
	SEND("F. 6601:6601(0) ack 11");
}

/* Who says nothing acknowledges the answer in time: what it offers is more than its SYN could say. */
static void says_nothing(void **state)
{
	struct line *t = *state;

	called(t);
	RECV(0, PROMISE);
	NOTHING_FOR(30 * MS);
	SEND_AFTER(10 * MS, ". 1:1(0) ack 1");
	NOTHING_FOR(5 * SEC);
}

/* As many as were promised, then as before; each answer says it anew. */
static void counts(void **state)
{
	struct line *t = *state;
	struct tcp_id first;

	called(t);
	first = t->id;
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000");
	by_rule(t);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	RECV(0, "S. 0:0(0) ack 1 win 20000 urg 1 <mss 3000,sackOK,wscale 3>");
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000");
	assert_int_equal(tcp_ready(t->s, first) & STACK_EV_CONNECTED, STACK_EV_CONNECTED);
	IGNORE();
}

/* A promise is for one endpoint, and a second. */
static void holds_for(void **state)
{
	struct line *t = *state;

	promised(t, PROMISE);
	t->peer.port++;
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	tcp_abort(t->s, t->id);
	SEND("R 1:1(0)");
	t->peer.port--;
	NOTHING_FOR(1001 * MS);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
}

/* One that is worth nothing is none, and one of nobody takes no other's place. */
static void holds_for_none(void **state)
{
	struct line *t = *state;

	promised(t, PROMISE);
	t->peer.port++;
	for (int i = 0; i < 2 * LINK_PROMISES; i++, t->peer.port++) {
		call(t);
		SEND("S 0:0(0) urg 1");
		by_rule(t);
		RECV(0, "S. 0:0(0) ack 1 win 20000 <mss 3000,sackOK,wscale 3>");
		IGNORE();
	}
	t->peer.port -= 2 * LINK_PROMISES + 1;
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000");
	by_rule(t);
	RECV(0, "S. 0:0(0) ack 1 win 1 urg 2 <mss 3000,sackOK,wscale 3>"); /* 1 is what who asks says */
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	IGNORE();
}

/* Taken back, or nobody is there any more: a SYN that was under way doesn't bring it back. */
static void taken_back(void **state)
{
	struct line *t = *state;

	promised(t, PROMISE);
	t->drv->taken_back[0]++;
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	RECV(0, PROMISE);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	RECV(0, "S. 0:0(0) ack 1 win 20000 urg 129 <mss 3000,sackOK,wscale 3>"); /* 1 place, after that */
	t->drv->taken_back[0] = LINK_PEER_ENDED;
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	t->drv->taken_back[0] = 513; /* only its low bits are told */
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000");
	IGNORE();
}

/* No more than the window that was promised, and its send buffer beside: all of it is kept. Who accepts says what room there is then. */
static void window(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[300000];
	size_t taken = 0;

	fill(bytes, sizeof(bytes));
	called(t);
	option(t, TCP_OPT_SNDBUF, 10000);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &taken), 0);
	assert_int_equal(taken, 30000);
	for (int i = 0; i < 6; i++)
		SEND(". *:*(3000) ack 1");
	SEND_AFTER(200 * MS, ". 18001:20001(2000) ack 1");
	assert_int_equal(tcp_send(t->s, t->id, bytes, 1, 0, &taken), -EAGAIN);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, 0);
	assert_int_equal(info(t).in_flight_bytes, 0); /* as on the kernel */
	assert_int_equal(info(t).unsent_bytes, 10000);
	NOTHING_FOR(500 * MS);
	RECV(0, "S. 0:0(0) ack 20001 win 3000 urg 2 <mss 3000,sackOK,wscale 3>");
	SEND(". 20001:23001(3000) ack 1");
	NOTHING();
	RECV(0, ". 1:1(0) ack 23001 win 2000");
	SEND(". 23001:26001(3000) ack 1");
	SEND(". 26001:29001(3000) ack 1");
	SEND("P. 29001:30001(1000) ack 1");
	RECV(0, ". 1:1(0) ack 30001 win 2000");
	EVENT(STACK_EV_WRITABLE | STACK_EV_SENT_ALL);
}

/* Two programs that both write before they read: the buffer grows, as it does later. */
static void window_grows(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[600000];
	size_t taken = 0;

	fill(bytes, sizeof(bytes));
	called(t);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &taken), 0);
	assert_true(taken < sizeof(bytes));
	IGNORE();
	EVENT(0);
	NOTHING_FOR(11 * MS);
	EVENT(STACK_EV_WRITABLE);
	assert_int_equal(tcp_send(t->s, t->id, bytes + taken, sizeof(bytes) - taken, 0, &(size_t){ 0 }), 0);
}

/* FIN goes along; who closes before the answer is through with it. */
static void ends_at_once(void **state)
{
	struct line *t = *state;

	called(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 101:101(0) ack 1");
	assert_int_equal(stack_unsent(t->s), 0);
	RECV(0, PROMISE);
	RECV(0, "P. 1:11(10) ack 102 win 2000");
	line_read(t, 10);
	RECV(0, "F. 11:11(0) ack 102 win 2000");
	SEND(". 102:102(0) ack 12");
	assert_int_equal(tcp_recv(t->s, t->id, &(uint8_t){ 0 }, 1, false, &(size_t){ 0 }), 0);
}

static void closed_at_once(void **state)
{
	struct line *t = *state;

	called(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	tcp_close(t->s, t->id);
	SEND("F. 101:101(0) ack 1");
	RECV(0, PROMISE);
	RECV(0, "F. 1:1(0) ack 102 win 2000");
	SEND(". 102:102(0) ack 2");
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Given up: RST where the peer will be when it looks */
static void given_up(void **state)
{
	struct line *t = *state;

	called(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	tcp_abort(t->s, t->id);
	SEND("R. 101:101(0) ack 1");
	assert_int_equal(stats(t).tcp_conns, 0);
}

static void is_refused_with(struct line *t, uint32_t len)
{
	uint8_t bytes[256], said[256];

	fill(said, len);
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	assert_true(tcp_is_refused(t->s, t->id));
	assert_int_equal(tcp_error(t->s, t->id, false), ECONNREFUSED);
	assert_int_equal(tcp_unsent_read(t->s, t->id, 0, bytes, sizeof(bytes)), len);
	assert_memory_equal(bytes, said, len);
}

static void say(struct line *t, uint32_t len)
{
	line_write(t, len);
	IGNORE();
}

/* Nobody listens any more: what was said is not lost, and the next is told all of it, and its end. */
static void refused(void **state)
{
	struct line *t = *state;
	struct tcp_id old;

	called(t);
	say(t, 7);
	say(t, 5);
	tcp_shutdown(t->s, t->id);
	IGNORE();
	RECV(0, "R. 0:0(0) ack 1");
	is_refused_with(t, 12);
	old = t->id;
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT); /* the promise was broken */
	IGNORE();
	assert_int_equal(call_how(t, true), 0);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	tcp_call_again(t->s, old, t->id);
	tcp_abort(t->s, old);
	NOTHING();
	RECV(0, "S. 0:0(0) ack 1 win 20000 <mss 3000,sackOK,wscale 3>");
	SEND("PF. 1:13(12) ack 1");
}

/* What is corked is, wherever it goes. */
static void refused_corked(void **state)
{
	struct line *t = *state;
	struct tcp_id old;

	called(t);
	option(t, TCP_OPT_CORK, 1);
	line_write(t, 100);
	NOTHING();
	RECV(0, "R. 0:0(0) ack 1");
	is_refused_with(t, 100);
	old = t->id;
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	tcp_call_again(t->s, old, t->id);
	RECV(0, "SP. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	NOTHING_FOR(190 * MS);
	SEND_AFTER(10 * MS, "P. 1:101(100) ack 1");
	tcp_abort(t->s, old);
}

/* By what followed the SYN; a wrong number changes nothing. */
static void refused_data(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	RECV(0, "R 7:7(0)");
	RECV(0, "R. 0:0(0) ack 7");
	EVENT(0);
	RECV(0, "R 1:1(0)");
	is_refused_with(t, 5);
	tcp_abort(t->s, t->id);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Its process ended before it looked. */
static void link_ends(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	stack_link_del(t->s, t->link, ECONNRESET);
	is_refused_with(t, 5);
	tcp_abort(t->s, t->id);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* The program has closed it: it is held again, without what the program knew it by. */
static void refused_orphan(void **state)
{
	struct line *t = *state;
	struct stack_event ev;

	called(t);
	tcp_set_cookie(t->s, t->id, 77);
	say(t, 5);
	tcp_close(t->s, t->id);
	IGNORE();
	RECV(0, "R 1:1(0)");
	NOTHING();
	assert_int_equal(stack_events(t->s, &ev, 1), 1);
	assert_true(ev.id == t->id.v && ev.cookie == 0 && (ev.events & STACK_EV_ERROR));
	assert_true(tcp_is_refused(t->s, t->id) && tcp_sends_no_more(t->s, t->id));
	tcp_abort(t->s, t->id);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* It is to be lost. */
static void refused_aborted(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	tcp_abort(t->s, t->id);
	IGNORE();
	RECV(0, "R 1:1(0)");
	NOTHING();
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Somebody who does not follow the rule. */
static void against_the_rule(void **state)
{
	struct line *t = *state;

	called(t);
	t->peer_isn += 77;
	RECV(0, PROMISE);
	SEND("R. 1:1(0)");
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	assert_false(tcp_is_refused(t->s, t->id));
	line_read_error(t, ECONNRESET);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	IGNORE();
}

/* A process that stands still is waited for; what it may have dropped is said again. */
static void stands_still(void **state)
{
	struct line *t = *state;

	called(t);
	for (uint64_t wait = 1; wait <= 32; wait *= 2)
		SEND_AFTER(wait * SEC, "S 0:0(0) urg 20000 <mss 4000,wscale 7,sackOK>");
	SEND_AFTER(64 * SEC, "S 0:0(0) urg 20000");
	SEND_AFTER(64 * SEC, "S 0:0(0) urg 20000");
	EVENT(0);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	SEND_AFTER(64 * SEC, ". 101:101(0) ack 1");
	RECV(0, "R 1:1(0)");
	is_refused_with(t, 100);
}

/* The same of one that was not promised anything: it goes elsewhere in the end. */
static void stands_still_unpromised(void **state)
{
	struct line *t = *state;

	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	assert_int_equal(tcp_ready(t->s, t->id) & STACK_EV_WRITABLE, STACK_EV_WRITABLE);
	line_write(t, 100);
	NOTHING();
	for (uint64_t wait = 1; wait <= 32; wait *= 2)
		SEND_AFTER(wait * SEC, "S 0:0(0) urg 1");
	NOTHING_FOR(65 * SEC);
	is_refused_with(t, 100);
}

/* What is left in the ring from the last use of these endpoints does no harm. */
static void last_use(void **state)
{
	struct line *t = *state;
	uint32_t old_isn, isn;

	called(t);
	old_isn = t->isn;
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 1");
	NOTHING_FOR(1 * MS);
	t->local.port--;
	call(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND("S 0:0(0) urg 20000");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	isn = t->isn;
	assert_int_not_equal(old_isn, isn);
	t->isn = old_isn;
	by_rule(t);
	RECV(0, PROMISE);
	IGNORE();
	EVENT(0);
	t->isn = isn;
	by_rule(t);
	RECV(0, PROMISE);
	EVENT(0);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
}

/* What is corked goes in time, though the answer, which would say that it may, wakes nobody. */
static void corked(void **state)
{
	struct line *t = *state;

	called(t);
	option(t, TCP_OPT_CORK, 1);
	line_write(t, 100);
	NOTHING_FOR(190 * MS);
	SEND_AFTER(10 * MS, "P. 1:101(100) ack 1");
	line_write(t, 100);
	NOTHING();
	option(t, TCP_OPT_CORK, 0);
	SEND("P. 101:201(100) ack 1");
}

/* No frame: it begins like any other. Who has to be connected is not. */
static void no_frame(void **state)
{
	struct line *t = *state;

	promised(t, PROMISE);
	t->drv->tx_max = 0;
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	assert_int_equal(call_how(t, true), -ENOBUFS);
	t->local.port--;
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	stack_run(t->s);
	SEND("S 0:0(0) urg 1");
}

/* What is said waits for frames, and goes in order. */
static void no_frame_to_say(void **state)
{
	struct line *t = *state;

	called(t);
	t->drv->tx_max = 0;
	line_write(t, 100);
	tcp_shutdown(t->s, t->id);
	NOTHING();
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	stack_run(t->s);
	SEND("P. 1:101(100) ack 1");
	SEND("F. 101:101(0) ack 1");
}

/* It can't go to another process before it is known who has it, who is asked to say so; whose other end moves is as it was afterwards. */
static void moves(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	line_write(t, 5);
	NOTHING_FOR(5 * SEC);
	tcp_release(t->s, t->id);
	stack_run(t->s);
	SEND("P. 6:11(5) ack 1");
	assert_true(tcp_keeps_said(t->s, t->id));
	t->drv->tx_max = 0; /* he can't be asked */
	assert_int_equal(tcp_hold(t->s, t->id), -EAGAIN);
	NOTHING();
	t->drv->tx_max = 8;
	assert_int_equal(tcp_hold(t->s, t->id), -EAGAIN);
	SEND("P. 11:11(0) ack 1");
	assert_int_equal(tcp_hold(t->s, t->id), -EAGAIN);
	NOTHING();
	RECV(0, PROMISE);
	assert_false(tcp_keeps_said(t->s, t->id));
	assert_int_equal(tcp_hold(t->s, t->id), 0);
}

/* Whose other end moves asks for it again. */
static void moved(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	NOTHING_FOR(5 * SEC);
	tcp_release(t->s, t->id);
	SEND_AFTER(1 * SEC, ". 6:6(0) ack 1");
}

/* Who has no place yet can't hurry anybody. */
static void hurries_unplaced(void **state)
{
	struct line *t = *state;

	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	line_write(t, 100);
	assert_int_equal(tcp_hold(t->s, t->id), -EAGAIN);
	NOTHING();
	stack_leaving(t->s);
	NOTHING();
}

/* What fills the buffer before there is a place makes it grow after that, too. */
static void placed_grows(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[600000];
	size_t taken = 0;

	fill(bytes, sizeof(bytes));
	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &taken), 0);
	assert_true(taken < sizeof(bytes));
	RECV(0, "SP. 0:0(0) ack 1 win 2000 urg 2 <mss 3000,sackOK,wscale 3>");
	IGNORE();
	(void)stack_events(t->s, &(struct stack_event){ 0 }, 1);
	NOTHING_FOR(30 * MS);
	EVENT(STACK_EV_WRITABLE);
}

/* Both call: nothing is kept, and nothing left of what the SYN said. */
static void both_call(void **state)
{
	struct line *t = *state;

	line_direct(t);
	call(t);
	SEND("S 0:0(0) urg 1 <mss 4000,wscale 7,sackOK>");
	RECV(0, "S 0:0(0) urg 1 <mss 4000>");
	SEND("S. 0:0(0) ack 1");
	assert_false(tcb_has(conn_at(t->s, t->id.v).t, TF_ASKS));
}

/* Who waits to hear that he has a place has one then, and what he says is not lost before it is accepted. */
static void asks(struct line *t)
{
	line_direct(t);
	call(t);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	RECV(0, "SP. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	NOTHING_FOR(200 * SEC); /* whoever has it is waited for */
}

static void placed(void **state)
{
	struct line *t = *state;

	asks(t);
	line_write(t, 5000);
	SEND(". 1:3001(3000) ack 1");
	SEND("P. 3001:5001(2000) ack 1");
	NOTHING_FOR(200 * SEC);
	RECV(0, "S. 0:0(0) ack 5001 win 30000 urg 1 <mss 2000,sackOK,wscale 4>");
	NOTHING();
	assert_int_equal(info(t).mss, 2000);
	NOTHING_FOR(100 * MS); /* what was said has acknowledged it */
	line_write(t, 10);
	SEND("P. 5001:5011(10) ack 1");
}

static void placed_refused(void **state)
{
	struct line *t = *state;

	asks(t);
	say(t, 100);
	stack_link_del(t->s, t->link, ECONNRESET);
	is_refused_with(t, 100);
}

/* Nobody says whether there is a place: that is reported soon, and whenever it asks again. Of one that would wait for the answer anyway nothing is. */
static void unanswered(void **state)
{
	struct line *t = *state;

	line_direct(t);
	call(t);
	SEND("S 0:0(0) urg 1");
	SEND_AFTER(200 * MS, "S 0:0(0) urg 1");
	EVENT(STACK_EV_UNANSWERED);
	SEND_AFTER(2 * SEC, "S 0:0(0) urg 1");
	EVENT(STACK_EV_UNANSWERED);
	by_rule(t);
	RECV(0, "SP. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	NOTHING_FOR(200 * SEC);
	tcp_abort(t->s, t->id);
	IGNORE();
	t->local.port++;
	assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, t->cookie, &t->id), 0);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	SEND_AFTER(2 * SEC, "S 0:0(0)");
}

/* Whoever was called stands still: the next is told all of it. */
static void withdrawn(void **state)
{
	struct line *t = *state;

	line_direct(t);
	call(t);
	assert_true(tcp_may_withdraw(t->s, t->id));
	t->drv->withdrawn[1]++;
	tcp_withdraw(t->s, t->id);
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	assert_int_equal(tcp_error(t->s, t->id, false), ECONNREFUSED);
	IGNORE();
	called(t);
	say(t, 7);
	assert_true(tcp_may_withdraw(t->s, t->id));
	tcp_withdraw(t->s, t->id);
	is_refused_with(t, 7);
	NOTHING(); /* the number says it */
	asks(t);
	RECV(0, "S. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	assert_false(tcp_may_withdraw(t->s, t->id));
}

/* What a SYN that calls says of that, in its field for an acknowledgement; another says nothing */
static uint32_t stamp(const struct line *t)
{
	const struct link_frame *last = &t->drv->sent[(t->drv->sent_first + t->drv->sent_cnt - 1) % FAKE_SENT_MAX];
	const uint8_t *tcp = last->data + 14 + (t->cfg.v6 ? 40 : 20);

	assert_int_equal(tcp[13] & (TCP_SYN | TCP_ACK), TCP_SYN);
	return load_be32(tcp + 8);
}

static void stamped(void **state)
{
	struct line *t = *state;

	line_direct(t);
	t->drv->withdrawn[1] = 77;
	call(t);
	assert_int_equal(stamp(t), 77);
	IGNORE();
	t->drv->withdrawn[1]++;
	assert_int_equal(call_how(t, true), 0);
	assert_int_equal(stamp(t), 78);
	IGNORE();
	t->local.port++;
	assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, t->cookie, &t->id), 0);
	assert_int_equal(stamp(t), 0);
	IGNORE();
}

/* One that was called unpromised, likewise */
static void placed_anyway(void **state)
{
	struct line *t = *state;

	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	line_write(t, 100);
	tcp_shutdown(t->s, t->id);
	NOTHING();
	RECV(0, "SP. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	SEND("P. 1:101(100) ack 1");
	SEND("F. 101:101(0) ack 1");
	NOTHING_FOR(200 * SEC);
	RECV(0, "S. 0:0(0) ack 102 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	NOTHING();
	assert_int_equal(line_state(t), TCP_FIN_WAIT_2);
}

/* One that has said nothing, and ends before it has a place, or is accepted without a word of that */
static void ends_unplaced(void **state)
{
	struct line *t = *state;

	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	tcp_shutdown(t->s, t->id);
	NOTHING();
	RECV(0, "S. 0:0(0) ack 1 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	SEND("F. 1:1(0) ack 1");
}

/* A place is room for more. */
static void placed_writable(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[100000];

	fill(bytes, sizeof(bytes));
	line_direct(t);
	assert_int_equal(call_how(t, true), 0);
	SEND("S 0:0(0) urg 1");
	by_rule(t);
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	option(t, TCP_OPT_SNDBUF, 10000);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &(size_t){ 0 }), 0);
	assert_int_equal(tcp_send(t->s, t->id, bytes, 1, 0, &(size_t){ 0 }), -EAGAIN);
	EVENT(0);
	RECV(0, "SP. 0:0(0) ack 1 win 60000 urg 2 <mss 3000,sackOK,wscale 3>");
	IGNORE();
	EVENT(STACK_EV_WRITABLE);
}

/* Who hears that he is known there asks no more; who hears it unasked says that he lives. */
static void placed_again(void **state)
{
	struct line *t = *state;

	called(t);
	say(t, 5);
	SEND_AFTER(1 * SEC, ". 6:6(0) ack 1");
	RECV(0, "SP. 0:0(0) ack 6 win 20000 <mss 3000,sackOK,wscale 3>");
	NOTHING_FOR(200 * SEC);
	RECV(0, "SP. 0:0(0) ack 6 win 20000 <mss 3000,sackOK,wscale 3>");
	SEND(". 6:6(0) ack 1");
	line_write(t, 5);
	SEND("P. 6:11(5) ack 1");
}

/* It ends with something unsaid: whoever has it is asked for room. */
static void leaves(void **state)
{
	struct line *t = *state;
	static uint8_t bytes[30000];

	fill(bytes, sizeof(bytes));
	called(t);
	assert_int_equal(tcp_send(t->s, t->id, bytes, sizeof(bytes), 0, &(size_t){ 0 }), 0);
	IGNORE();
	stack_leaving(t->s);
	SEND(".U 18001:18001(0) ack 1");
	RECV(0, "S. 0:0(0) ack 18001 win 20000 urg 2 <mss 3000,sackOK,wscale 3>");
	IGNORE();
	assert_int_equal(stack_unsent(t->s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(says_at_once), LINE_TEST(says_nothing), LINE_TEST(counts), LINE_TEST(holds_for), LINE_TEST(window),
		LINE_TEST(ends_at_once), LINE_TEST(closed_at_once), LINE_TEST(given_up), LINE_TEST(refused), LINE_TEST(refused_data),
		LINE_TEST(link_ends), LINE_TEST(refused_orphan), LINE_TEST(refused_aborted), LINE_TEST(against_the_rule), LINE_TEST(stands_still), LINE_TEST(stands_still_unpromised),
		LINE_TEST(last_use), LINE_TEST(corked), LINE_TEST(no_frame), LINE_TEST(no_frame_to_say), LINE_TEST(window_grows),
		LINE_TEST(moves), LINE_TEST(placed), LINE_TEST(placed_refused), LINE_TEST(unanswered), LINE_TEST(placed_anyway), LINE_TEST(placed_again),
		LINE_TEST(leaves), LINE_TEST(moved), LINE_TEST(hurries_unplaced), LINE_TEST(placed_grows), LINE_TEST(both_call),
		LINE_TEST(taken_back), LINE_TEST(holds_for_none), LINE_TEST(ends_unplaced), LINE_TEST(placed_writable), LINE_TEST(refused_corked),
		LINE_TEST(withdrawn), LINE_TEST(stamped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
