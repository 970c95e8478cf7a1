// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls that do not wait (src/stack/tcp_call.c): who listens promises, answers when he accepts, and hands on
 */
#include "stack/tcp_move.h"
#include "tests/sim/line_help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void listens(struct line *t, uint32_t backlog)
{
	line_direct(t);
	t->local.port = 80;
	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, backlog);
	t->drv->taken_back[1] = 0;
}

/* Places that are free, at most 64; its numbers begin where the caller's do. */
static void promises(void **state)
{
	struct line *t = *state;

	listens(t, 5);
	t->peer_isn = 0x12340000;
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 4");
	assert_int_equal(t->isn, t->peer_isn);
	t->peer.port++;
	t->peer_isn = 0x56780123; /* by somebody who begins anywhere */
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 3");
	assert_int_equal(t->isn, 0x56780000);
	tcp_listener_backlog(t->s, t->listener, 1000);
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 64");
}

/* What is free is for all that may call. */
static void promises_each(void **state)
{
	struct link_config cfg;
	struct line *t = *state;
	struct link_id other;

	listens(t, 5);
	cfg = fake_link_config(t->drv, 4040, t->cfg.link_flags);
	assert_int_equal(stack_link_add(t->s, &cfg, &other), 0);
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 2");
}

/* Who listens no more, or for fewer, takes back what it promised; and says from then on that it has. */
static void takes_back(void **state)
{
	struct line *t = *state;

	listens(t, 5);
	tcp_listener_backlog(t->s, t->listener, 10);
	assert_int_equal(t->drv->taken_back[1], 0);
	tcp_listener_backlog(t->s, t->listener, 3);
	assert_int_equal(t->drv->taken_back[1], 1);
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 130"); /* 2 */
	tcp_unlisten(t->s, t->listener);
	SEND("R. 1:1(0) ack 1");
	assert_int_equal(t->drv->taken_back[1], 2);
}

/* Who was promised a place has one, whatever has come meanwhile, up to twice the backlog; then he hears that it isn't so. */
static void keeps_promises(void **state)
{
	struct line *t = *state;

	listens(t, 2);
	for (int i = 0; i < 2; i++, t->peer.port++) {
		RECV(0, "S 0:0(0) <mss 4000>");
		SEND("S. 0:0(0) ack 1");
	}
	RECV(0, "S 0:0(0) <mss 4000>"); /* no place */
	NOTHING();
	for (int i = 0; i < 2; i++) {
		t->peer.port++;
		RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
		RECV(0, "P. 1:11(10) ack 1");
		NOTHING();
	}
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	t->isn = 0;
	SEND("R. 0:0(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 4);
}

/* Who called is answered when he is accepted, and not before: by all that he has said. */
static void comes(struct line *t, const char *syn)
{
	listens(t, 5);
	t->peer_isn = 0x12340000;
	RECV(0, syn);
	t->isn = t->peer_isn;
}

static void answers(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	RECV(0, "P. 1:11(10) ack 1");
	RECV(0, "F. 11:11(0) ack 1");
	NOTHING_FOR(1 * SEC);
	line_accept(t);
	SEND("S. 0:0(0) ack 12 urg 5");
	assert_int_equal(t->drv->tx_unawaited, 1);
	line_read(t, 10);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 12");
	NOTHING_FOR(1 * SEC);
}

/* Who asked hears that he has a place, first. */
static void answers_asked(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 1 <mss 4000,sackOK,wscale 7>");
	SEND("SP. 0:0(0) ack 1 urg 4");
	RECV(0, "P. 1:11(10) ack 1");
	NOTHING_FOR(1 * SEC);
	line_accept(t);
	SEND("S. 0:0(0) ack 11 urg 5");
	assert_int_equal(t->drv->tx_unawaited, 1);
}

/* Somebody may sleep until he is answered who has used much of the window that he was offered, and has more to say. */
static void answers_waiting(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 6000 <mss 4000,sackOK,wscale 7>");
	RECV(0, "P. 1:1601(1600) ack 1");
	line_accept(t);
	SEND("S. 0:0(0) ack 1601 urg 5");
	assert_int_equal(t->drv->tx_unawaited, 0);
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 6000 <mss 4000,sackOK,wscale 7>");
	RECV(0, "PF. 1:1601(1600) ack 1");
	line_accept(t);
	SEND("S. 0:0(0) ack 1602 urg 5");
	assert_int_equal(t->drv->tx_unawaited, 1);
	IGNORE();
}

/* Who asks whether he is known hears so, now and then; who can wait no longer, or leaves, is answered. */
static void answers_again(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	RECV(0, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	SEND("SP. 0:0(0) ack 1 urg 0");
	RECV(0, "P. 1:11(10) ack 1");
	RECV(0, ". 11:11(0) ack 1");
	NOTHING_FOR(1 * SEC);
	RECV(0, ". 11:11(0) ack 1");
	SEND("SP. 0:0(0) ack 11 urg 0");
	RECV(0, "P. 11:11(0) ack 1");
	SEND("S. 0:0(0) ack 11 urg 0");
	assert_int_equal(t->drv->tx_unawaited, 0); /* he waits */
	NOTHING_FOR(1 * SEC);
	line_accept(t);
	NOTHING();
}

static void answers_leaving(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	RECV(0, ".U 1:1(0) ack 1");
	SEND("S. 0:0(0) ack 1 urg 0");
	SEND(". 1:1(0) ack 1");
}

static void frames_again(struct line *t)
{
	t->drv->tx_max = 8;
	stack_link_writable(t->s, t->link);
	stack_run(t->s);
}

static void hurries_without_frame(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	t->drv->tx_max = 0;
	RECV(0, ".U 1:1(0) ack 1");
	frames_again(t);
	SEND("S. 0:0(0) ack 1 urg 0");
	NOTHING();
}

/* Accepted by a program that can't be told what was said, as whoever called may say it to another yet */
static void accepted_without_frame(struct line *t)
{
	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	t->drv->tx_max = 0;
	assert_int_equal(stack_events(t->s, &(struct stack_event){ 0 }, 1), 1); /* the listener's */
	line_accept(t);
	EVENT(0);
	assert_int_equal(tcp_ready(t->s, t->id), STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	assert_int_equal(tcp_recv(t->s, t->id, &(uint8_t){ 0 }, 1, true, &(size_t){ 0 }), -EAGAIN);
	assert_int_equal(tcp_recv_borrow(t->s, t->id, &(const uint8_t *){ NULL }, &(size_t){ 0 }), -EAGAIN);
}

/* It can't be answered yet: it is before anything else is said. */
static void no_frame_to_answer(void **state)
{
	struct line *t = *state;

	accepted_without_frame(t);
	line_write(t, 10);
	assert_int_equal(tcp_hold(t->s, t->id), -EAGAIN); /* nor can it move */
	NOTHING();
	frames_again(t);
	SEND("S. 0:0(0) ack 11 urg 0");
	SEND("P. 1:11(10) ack 11");
	EVENT(STACK_EV_READABLE);
	line_read(t, 10);
	assert_int_equal(tcp_hold(t->s, t->id), 0);
}

/* Nor does who resets it leave the caller to call another. */
static void no_frame_to_reset(void **state)
{
	struct line *t = *state;

	accepted_without_frame(t);
	tcp_close(t->s, t->id);
	NOTHING();
	frames_again(t);
	SEND("S. 0:0(0) ack 11 urg 0");
	SEND("R. 1:1(0) ack 11");
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Nor is he told before that, as soon as there are frames, that his connection is not known here. */
static void no_frame_to_reset_at_first(void **state)
{
	struct line *t = *state;

	accepted_without_frame(t);
	tcp_close(t->s, t->id);
	NOTHING();
	RECV(0, "P. 11:21(10) ack 1");
	assert_int_equal(stats(t).drops[STACK_DROP_NO_FRAME], 1);
	t->drv->tx_max = 8;
	RECV(0, "P. 11:21(10) ack 1");
	SEND("S. 0:0(0) ack 11 urg 0");
	SEND("R. 1:1(0) ack 11");
	SEND("R 1:1(0)");
	NOTHING();
}

/* Not answered, and over: whoever called says it to another, and so nobody hears it here. */
static void is_unheard(struct line *t, int err)
{
	line_accept(t);
	line_read_error(t, err);
}

static void gone_elsewhere(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "FP. 1:11(10) ack 1");
	assert_int_equal(tcp_find(t->s, t->link, &t->local, &t->peer, &id), 0);
	tcp_fail(t->s, id, ECONNRESET);
	NOTHING();
	is_unheard(t, ECONNRESET);
}

/* ---- who called has called another since ----------------------------------------------------------------------------- */

static void nobody_to_accept(struct line *t)
{
	struct tcp_id id;

	assert_int_equal(tcp_accept(t->s, t->listener, t->cookie, &id), -EAGAIN);
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
}

/* Whoever calls then is another one's. Those that come later than that, and were called before, are dropped. */
static void withdrawn(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "FP. 1:11(10) ack 1");
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 1 <mss 4000>");
	SEND("SP. 0:0(0) ack 1 urg 3");
	t->drv->withdrawn[0]++;
	nobody_to_accept(t);
	t->peer.port--;
	SEND("R. 1:1(0) ack 12");
	t->peer.port++;
	SEND("R. 1:1(0) ack 1");
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	NOTHING();
	nobody_to_accept(t);
	t->withdrawn = 1;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	line_accept(t);
	SEND("S. 0:0(0) ack 11 urg 5");
	line_read(t, 10);
	t->drv->withdrawn[0]++; /* which is no business of who was answered */
	nobody_to_accept(t);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 11");
	assert_int_equal(stats(t).tcp_conns, 1);
}

/* By a new call between the same two: the old one is out of its way when it comes again. */
static void withdrawn_anew(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	t->drv->withdrawn[0]++;
	t->withdrawn = 1;
	t->peer_isn = 0x56780000;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	t->peer_isn = 0x12340000;
	SEND("R. 1:1(0) ack 11");
	t->peer_isn = 0x56780000;
	t->isn = t->peer_isn;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	line_accept(t);
	SEND("S. 0:0(0) ack 1 urg 5");
}

/* While it is answered: nobody hears it, and the next one, who called later, is accepted. */
static void withdrawn_late(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	t->drv->withdraws = true;
	nobody_to_accept(t);
	SEND("S. 0:0(0) ack 11 urg 5");
	SEND("R. 1:1(0) ack 11");
	assert_int_equal(stats(t).tcp_accepted, 0);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* And has ended: else what it has said would still be heard. */
static void withdrawn_gone(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "FP. 1:11(10) ack 1");
	t->drv->withdrawn[0]++;
	stack_link_del(t->s, t->link, ECONNRESET);
	IGNORE();
	nobody_to_accept(t);
	assert_int_equal(stats(t).tcp_conns, 0);
}

static void withdrawn_without_frame(void **state)
{
	struct line *t = *state;

	accepted_without_frame(t);
	t->drv->withdrawn[0]++;
	frames_again(t);
	SEND("S. 0:0(0) ack 11 urg 0");
	SEND("R. 1:1(0) ack 11");
	line_read_error(t, ECONNRESET);
}

/* It is about to move to another process: if it does, whoever called knew. If not, nobody hears it. */
static void held(struct line *t)
{
	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "FP. 1:11(10) ack 1");
	assert_int_equal(tcp_dequeue(t->s, t->listener, t->cookie, &t->id), 0);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	t->drv->withdrawn[0]++;
	t->withdrawn = 1;
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	t->peer.port--;
	NOTHING();
}

static void withdrawn_held(void **state)
{
	struct line *t = *state;

	held(t);
	tcp_release(t->s, t->id);
	SEND("R. 1:1(0) ack 12");
	line_read_error(t, ECONNRESET);
}

/* Nor, when the link ends, whoever it is given to then */
static void withdrawn_held_gone(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "FP. 1:11(10) ack 1");
	assert_int_equal(tcp_dequeue(t->s, t->listener, t->cookie, &t->id), 0);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	t->drv->withdrawn[0]++;
	stack_link_del(t->s, t->link, ECONNRESET);
	assert_int_equal(tcp_unread_bytes(t->s, t->id), 0);
	line_read_error(t, ECONNRESET);
}

/* Nor by what the program has done to it meanwhile, which has it already */
static void withdrawn_held_written(void **state)
{
	struct line *t = *state;

	held(t);
	line_write(t, 10);
	tcp_release(t->s, t->id);
	SEND("R. 1:1(0) ack 12");
	line_read_error(t, ECONNRESET);
}

/* ... which withdraws nothing */
static void held_corked(void **state)
{
	struct line *t = *state;
	size_t len;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	assert_int_equal(tcp_dequeue(t->s, t->listener, t->cookie, &t->id), 0);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	assert_int_equal(tcp_send(t->s, t->id, "hello", 5, TCP_SEND_MORE, &len), 0);
	assert_int_equal(len, 5);
	tcp_release(t->s, t->id);
	stack_run(t->s);
	SEND("S. 0:0(0) ack 1 urg 0");
}

/* The far end writes that number, and may do so between any two looks: one that has called and calls again, by what is no number of its then */
static void withdrawn_between(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	t->withdrawn = 1;
	t->drv->withdraws_again = 1;
	RECV(0, "S 0:0(0) urg 20000 <mss 4000>");
	NOTHING();
	nobody_to_accept(t);
	SEND("R. 1:1(0) ack 11");
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* Nor does it keep anybody at it who looks for somebody to accept. */
static void withdraws_for_ever(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	assert_int_equal(tcp_dequeue(t->s, t->listener, t->cookie, &t->id), 0);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	assert_int_equal(tcp_enqueue(t->s, t->id), 0);
	t->drv->withdrawn[0]++;
	t->drv->withdraws_again = 1000;
	assert_int_equal(tcp_accept(t->s, t->listener, t->cookie, &id), 0);
	assert_in_range(t->drv->withdraws_again, 990, 1000);
}

static void withdrawn_moves(void **state)
{
	struct line *t = *state;
	uint8_t parcel[1024];
	uint64_t bytes;

	held(t);
	bytes = tcp_export_bytes(t->s, t->id);
	assert_in_range(bytes, 1, sizeof(parcel));
	tcp_export(t->s, t->id, parcel);
	tcp_forget(t->s, t->id);
	t->drv->withdrawn[0]++; /* before it came, wherever that is */
	assert_int_equal(tcp_import(t->s, t->link, parcel, bytes, t->cookie, &t->id), 0);
	assert_int_equal(tcp_hold_here(t->s, t->id), 0);
	t->peer.port++;
	nobody_to_accept(t);
	SEND("R. 1:1(0) ack 1");
	t->peer.port--;
	tcp_release(t->s, t->id);
	assert_int_equal(tcp_enqueue(t->s, t->id), 0);
	line_accept(t);
	SEND("S. 0:0(0) ack 12 urg 5");
	line_read(t, 10);
}

/* In the middle of what it says */
static void no_memory(void **state)
{
	struct line *t = *state;
	struct line_config cfg = {
		.v6 = t->cfg.v6, .mss = 4000, .link_flags = LINK_NO_LOSS | LINK_NO_CSUM, .rx_hold_max = 1, .mem_bytes_max = 5 << 20,
	};
	enum { CALLERS = 200 };
	uint32_t n = 0;
	struct tcp_id id;

	line_restart(t, &cfg);
	t->local.port = 80;
	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, CALLERS);
	t->isn = t->peer_isn = 0x12340000;
	for (int i = 0; i < CALLERS; i++, t->peer.port++)
		RECV(0, "S 0:0(0) urg 60000 <mss 4000>");
	while (stats(t).tcp_resets_tx == 0) {
		uint32_t at = n / CALLERS * 4000;
		char text[64];

		assert_in_range(at, 0, 56000);
		snprintf(text, sizeof(text), ". %u:%u(4000) ack 1", 1 + at, 4001 + at);
		t->peer.port = (uint16_t)(t->peer.port - (n % CALLERS == 0 ? CALLERS : 0));
		RECV(0, text);
		n++;
		t->peer.port++;
	}
	assert_in_range(n, CALLERS + 1, UINT32_MAX);
	t->peer.port--;
	SEND("R. 1:1(0) ack *");
	for (uint32_t i = 0; i < (n - 1) % CALLERS; i++)
		assert_int_equal(tcp_dequeue(t->s, t->listener, 0, &id), 0);
	is_unheard(t, ENOMEM);
}

/* Nobody accepts, and whoever listened stops: who called may call another. */
static void answers_nobody(void **state)
{
	struct line *t = *state;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	tcp_unlisten(t->s, t->listener);
	SEND("R. 1:1(0) ack 11");
}

/* ... one of those that are about to arrive there, too */
static void answers_nobody_held(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	comes(t, "S 0:0(0) urg 20000 <mss 4000>");
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(tcp_dequeue(t->s, t->listener, 0, &id), 0);
	assert_int_equal(tcp_hold_here(t->s, id), 0);
	assert_int_equal(tcp_enqueue(t->s, id), 0);
	tcp_unlisten(t->s, t->listener);
	SEND("R. 1:1(0) ack 11");
}

/* It is handed on, and back again, and nothing is said meanwhile. */
static void handed_on(void **state)
{
	struct line *t = *state;
	uint8_t parcel[2048];
	struct tcp_id id;
	uint64_t bytes;

	comes(t, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(tcp_dequeue(t->s, t->listener, 0, &id), 0);
	assert_int_equal(tcp_hold_here(t->s, id), 0);
	RECV(0, "P. 11:21(10) ack 1");
	RECV(0, ". 21:21(0) ack 1");
	RECV(0, "P. 21:21(0) ack 1");
	RECV(0, "S 0:0(0) urg 20000 <mss 4000,sackOK,wscale 7>");
	NOTHING();
	bytes = tcp_export_bytes(t->s, id);
	assert_true(bytes <= sizeof(parcel));
	tcp_export(t->s, id, parcel);
	tcp_forget(t->s, id);
	assert_int_equal(tcp_import(t->s, t->link, parcel, bytes, 0, &id), 0);
	assert_int_equal(tcp_hold_here(t->s, id), 0);
	assert_int_equal(tcp_enqueue(t->s, id), 0);
	tcp_release(t->s, id);
	NOTHING_FOR(1 * SEC);
	line_accept(t);
	SEND("S. 0:0(0) ack 21 urg 5");
	line_read(t, 20);
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND("F. 1:1(0) ack 21");
	((struct tcp_parcel *)parcel)->flags |= TF_ACTIVE; /* by whoever lies: it says nothing that it would be asked for */
	assert_int_equal(tcp_import(t->s, t->link, parcel, bytes, 0, &id), -EINVAL);
}

/* The window that was promised holds, whatever it is by now. */
static void keeps_window(void **state)
{
	struct line *t = *state;

	listens(t, 5);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_RCVBUF, 4096), 0);
	RECV(0, "S 0:0(0) urg 6000 <mss 4000>");
	t->isn = t->peer_isn & 0xffff0000;
	RECV(0, ". 1:3001(3000) ack 1");
	RECV(0, "P. 3001:5001(2000) ack 1");
	NOTHING();
	line_accept(t);
	SEND("S. 0:0(0) ack 5001 win 1000");
	RECV(0, "P. 5001:6001(1000) ack 1");
	IGNORE();
	line_read(t, 6000);
}

/* DEFER_ACCEPT wants to see data first: it promises nothing. */
static void defers(void **state)
{
	struct line *t = *state;

	listens(t, 5);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_DEFER_ACCEPT_S, 5), 0);
	RECV(0, "S 0:0(0) <mss 4000>");
	SEND("S. 0:0(0) ack 1 urg 0");
}

/* Who keeps what he says has a place, all the same; if he says nothing the end of the time asks him whether he lives. */
static void defers_asked(void **state)
{
	struct line *t = *state;

	listens(t, 5);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_DEFER_ACCEPT_S, 5), 0);
	RECV(0, "S 0:0(0) urg 1 <mss 4000>");
	SEND("SP. 0:0(0) ack 1 urg 0");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	NOTHING_FOR(1 * SEC);
	line_accept(t);
	SEND("S. 0:0(0) ack 11 urg 0");
	t->peer.port++;
	RECV(0, "S 0:0(0) urg 1 <mss 4000>");
	SEND("SP. 0:0(0) ack 1 urg 0");
	SEND_AFTER(7001 * MS, "SP. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	IGNORE();
	line_accept(t);
	SEND("S. 0:0(0) ack 1 urg 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(answers), LINE_TEST(answers_asked), LINE_TEST(answers_waiting), LINE_TEST(answers_again), LINE_TEST(answers_leaving),
		LINE_TEST(answers_nobody), LINE_TEST(handed_on), LINE_TEST(defers_asked), LINE_TEST(promises), LINE_TEST(promises_each), LINE_TEST(keeps_promises),
		LINE_TEST(no_frame_to_answer), LINE_TEST(no_frame_to_reset), LINE_TEST(no_frame_to_reset_at_first),
		LINE_TEST(hurries_without_frame), LINE_TEST(gone_elsewhere), LINE_TEST(no_memory), LINE_TEST(answers_nobody_held), LINE_TEST(defers), LINE_TEST(keeps_window), LINE_TEST(takes_back),
		LINE_TEST(withdrawn), LINE_TEST(withdrawn_anew), LINE_TEST(withdrawn_late), LINE_TEST(withdrawn_without_frame), LINE_TEST(withdrawn_held),
		LINE_TEST(withdrawn_moves), LINE_TEST(withdrawn_gone), LINE_TEST(withdrawn_held_gone), LINE_TEST(withdrawn_held_written), LINE_TEST(held_corked), LINE_TEST(withdrawn_between),
		LINE_TEST(withdraws_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
