// SPDX-License-Identifier: BSD-2-Clause
/* moves_offered.c - connections that wait for accept() and go to another process that listens */
#include "base/time.h"
#include "lib/connect.h"
#include "lib/stopped.h"
#include "stack/tcp_move.h"

#include "moves.h" /* behind whatever calls a parameter a */

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* @vj waits for clients beside others. Return: the address, at @ret_at where that is given already */
static struct vj_listener listen_beside(struct vj *vj, struct sockaddr_storage *at)
{
	struct vj_listener listener;

	if (!at->ss_family)
		memcpy(at, &(struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, sizeof(struct sockaddr_in));
	assert_int_equal(vj_listen(vj, (struct sockaddr *)at, sizeof(struct sockaddr_in), 16, VJ_LISTEN_REUSEPORT, -1, 5, &listener), 0);
	vj_listener_addr(vj, listener, at);
	return listener;
}

/* A client of b's, who doesn't wait if he was promised a place */
static struct vj_conn call(const struct sockaddr_storage *at)
{
	struct vj_conn conn;

	assert_int_equal(connect_with(b, (const struct sockaddr *)at, sizeof(struct sockaddr_in), NULL, 0, NULL, 0, true, 6, &conn), 0);
	return conn;
}

static void pump_two(struct vj *x, struct vj *y)
{
	struct vj *all[] = { a, b, c, d };

	a = x == all[0] || y == all[0] ? all[0] : NULL;
	b = x == all[1] || y == all[1] ? all[1] : NULL;
	c = x == all[2] || y == all[2] ? all[2] : NULL;
	d = x == all[3] || y == all[3] ? all[3] : NULL;
	pump();
	a = all[0];
	b = all[1];
	c = all[2];
	d = all[3];
}

/* c has accepted a client of b's: what comes with that promises a place for more. */
static void call_once(const struct sockaddr_storage *at, struct vj_listener at_c)
{
	struct vj_conn from = call(at), to;

	PUMP_UNTIL(vj_listener_ready(c, at_c));
	assert_int_equal(vj_accept(c, at_c, 7, &to), 0);
	PUMP_UNTIL(vj_ready(b, from) & VJ_EV_CONNECTED);
}

/* b has called c, beside whom d listens: nobody has accepted it. It is b's first call there, or one on a promise. */
static void call_beside(struct sockaddr_storage *at, struct vj_listener *ret_at_c, struct vj_listener *ret_at_d, struct vj_conn *ret_from)
{
	*ret_at_c = listen_beside(c, at);
	*ret_from = call(at);
	PUMP_UNTIL(vj_listener_ready(c, *ret_at_c));
	*ret_at_d = listen_beside(d, at);
}

static bool is_refused(struct vj_conn conn)
{
	return tcp_is_refused(b->stack, (struct tcp_id){ conn.v });
}

/* Whoever was offered one stands still. Its client is refused, and may call another, and nobody hears it twice when that one goes on. */
void offered_in_vain(void **state)
{
	struct sockaddr_storage at = { 0 };
	struct vj_listener at_c, at_d;
	struct vj_conn from;

	call_beside(&at, &at_c, &at_d, &from);
	deed_offer_to(c, at_c, DEED_OFFER, d->ctl_app, getpid());
	for (uint64_t end_ms = now_ms() + PATIENT_MS; !is_refused(from); pump_two(b, c))
		assert_true(now_ms() < end_ms);
	for (int i = 0; i < 100; i++)
		pump();
	assert_false(vj_listener_ready(d, at_d) || vj_listener_ready(c, at_c));
	(void)state;
}

/* Nobody waits for who takes one whose client has ended. Its giver takes it back when that one stands still: one of the two has it, whoever comes first. */
void offered_by_nobody(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct sockaddr_storage at = { 0 };
		struct vj_listener at_c, at_d;
		struct vj_conn from, to;

		b = b ? b : app_open("b");
		at_c = listen_beside(c, &at);
		call_once(&at, at_c);
		from = call(&at);
		assert_int_equal(vj_send(b, from, "word", 4, 0), 4);
		PUMP_UNTIL(vj_listener_ready(c, at_c));
		vj_close(b);
		b = NULL;
		PUMP_UNTIL(!c->link_cnt);
		at_d = listen_beside(d, &at);
		deed_offer_to(c, at_c, DEED_OFFER, d->ctl_app, getpid());
		for (uint64_t end_ms = now_ms() + PATIENT_MS; c->deeds->all->state != DEED_OFFERED; pump_two(c, NULL))
			assert_true(now_ms() < end_ms);
		if (!late)
			for (uint64_t end_ms = now_ms() + PATIENT_MS; !vj_listener_ready(d, at_d); pump_two(d, NULL))
				assert_true(now_ms() < end_ms);
		c->deeds->all->until_ns = c->deeds->offered_ns = 1;
		for (int i = 0; i < 100; i++)
			pump_two(c, NULL);
		for (int i = 0; i < 100; i++)
			pump();
		assert_int_equal(vj_listener_ready(c, at_c), late);
		assert_int_equal(vj_listener_ready(d, at_d), !late);
		assert_int_equal(vj_accept(late ? c : d, late ? at_c : at_d, 7, &to), 0);
		assert_int_equal(vj_recv(late ? c : d, to, (char[8]){ 0 }, 8, false), 4);
	}
	(void)state;
}

/* Whoever hands one on is stopped before he has. Its client calls another after a second; no other hears it when that one goes on. */
void offered_by_the_stopped(void **state)
{
	struct sockaddr_storage at = { 0 };
	struct vj_listener at_c, at_d;
	struct vj_conn from;
	struct vj_link *to_c;
	uint64_t asked_ns;

	(void)state;
	call_beside(&at, &at_c, &at_d, &from);
	to_c = move_link_of(b, (struct tcp_id){ from.v });
	deed_offer_to(c, at_c, DEED_OFFER, d->ctl_app, getpid());
	look_until_left(c->deeds->all);
	asked_ns = c->deeds->all->asked_ns;
	for (uint64_t end_ms = now_ms() + PATIENT_MS; !is_refused(from); pump_two(b, d)) {
		assert_true(now_ms() < end_ms);
		to_c->stop = PEER_STANDS; /* what is to be seen of a process that is */
		to_c->stop_ns = lib_clock_ns();
	}
	assert_true(lib_clock_ns() - asked_ns >= MOVE_CALL_WAITS_MS * NS_PER_MS);
	c->deeds->all->again_ns = 0;
	PUMP_UNTIL(!deed_any(c));
	assert_false(vj_listener_ready(d, at_d) || vj_listener_ready(c, at_c));
}

/* Whoever takes one was in time when he looked, and is not any more when its client can see that he has come. */
void arrives_too_late(void **state)
{
	struct sockaddr_storage at = { 0 };
	struct vj_listener at_c = listen_beside(c, &at);
	struct vj_conn from = call(&at);

	(void)state;
	PUMP_UNTIL(vj_listener_ready(c, at_c));
	deed_offer(c, at_c, DEED_OFFER);
	look_until_left(c->deeds->all);
	c->deeds->all->msg.until_ns = 1;
	c->deeds->all->again_ns = 0; /* nobody takes it */
	PUMP_UNTIL(is_refused(from));
	assert_false(vj_listener_ready(c, at_c));
}

/* Whoever hands one on ends before he has. Its client, who has all that he said, calls another: at once, or if somebody may have it, when he is late */
void offered_by_the_dead(void **state)
{
	for (int given = 0; given < 2; given++) {
		struct sockaddr_storage at = { 0 };
		struct vj_listener at_c;
		struct vj_conn from;

		c = c ? c : app_open("c");
		at_c = listen_beside(c, &at);
		call_once(&at, at_c);
		from = call(&at);
		PUMP_UNTIL(vj_listener_ready(c, at_c));
		deed_offer(c, at_c, DEED_OFFER);
		look_until_left(c->deeds->all);
		assert_true(tcp_keeps_said(b->stack, (struct tcp_id){ from.v }));
		if (given)
			assert_true(move_given(c, c->deeds->all->conn, c->deeds->all->msg.token));
		vj_close(c);
		c = NULL;
		PUMP_UNTIL(b->link_cnt == 1);
		if (given)
			assert_false(vj_ready(b, from) & VJ_EV_ERROR);
		assert_true(move_deadline_us(b) <= lib_clock_ns() / 1000 + (given ? 1000001 : 1));
		PUMP_UNTIL(vj_ready(b, from) & VJ_EV_ERROR);
		assert_true(is_refused(from)); /* he may call another */
	}
	(void)state;
}

/* Whoever takes one is in time, and its client looks later than that, when whoever handed it on is stopped: he finds that it has arrived. */
void arrives_unseen(void **state)
{
	struct sockaddr_storage at = { 0 };
	struct vj_listener at_c, at_d;
	struct vj_conn from, to;
	struct vj_link *to_c;
	uint64_t until_ns;

	(void)state;
	call_beside(&at, &at_c, &at_d, &from);
	to_c = move_link_of(b, (struct tcp_id){ from.v });
	deed_offer_to(c, at_c, DEED_OFFER, d->ctl_app, getpid());
	look_until_left(c->deeds->all);
	until_ns = c->deeds->all->msg.until_ns;
	c->deeds->all->again_ns = 0;
	for (uint64_t end_ms = now_ms() + PATIENT_MS; !vj_listener_ready(d, at_d); pump_two(c, d))
		assert_true(now_ms() < end_ms && lib_clock_ns() < until_ns);
	while (lib_clock_ns() <= until_ns)
		pump_two(c, d);
	to_c->stop = PEER_STANDS;
	to_c->stop_ns = b->now_ns = lib_clock_ns();
	move_poll(b); /* before anything else is read */
	assert_false(is_refused(from));
	assert_int_equal(vj_accept(d, at_d, 7, &to), 0);
	PUMP_UNTIL(vj_ready(b, from) & VJ_EV_CONNECTED);
}

/* A time that can't be is not believed: too early, too late, or as damaged as can be */
void another_clock(void **state)
{
	struct sockaddr_storage at = { 0 };
	struct vj_listener at_c, at_d;
	struct vj_conn from;
	struct deed *deed;
	uint64_t first_ns;

	(void)state;
	call_beside(&at, &at_c, &at_d, &from);
	deed_offer_to(c, at_c, DEED_OFFER, d->ctl_app, getpid());
	deed = c->deeds->all;
	for (uint64_t end_ms = now_ms() + PATIENT_MS; deed->state != DEED_LEAVING; pump_two(c, NULL))
		assert_true(now_ms() < end_ms);
	first_ns = deed->asked_ns + MOVE_CALL_WAITS_MS * NS_PER_MS;
	for (int i = 0; i < 6; i++) {
		const uint64_t said[] = { 0, first_ns, 1, first_ns - 1, lib_clock_ns() + (MOVE_CALL_WAITS_MS + 500) * NS_PER_MS, UINT64_MAX };
		struct move_frame f = { .kind = MOVE_LEFT, .app_id = b->ctl_app, .until_ns = said[i] };

		memcpy(f.token, deed->msg.token, sizeof(f.token));
		deed_left(c, deed->conn, move_link_of(c, deed->conn), &f);
		assert_int_equal(deed->state, DEED_LEFT);
		assert_true(deed->msg.until_ns == (i == 0 ? 0 : first_ns));
		deed->state = DEED_LEAVING;
	}
	PUMP_UNTIL(!deed_any(c));
}
