// SPDX-License-Identifier: BSD-2-Clause
/*
 * A flood of SYN: SYN cookies (RFC 4987 3.6), and memory that stays where it is
 */
#include "tests/sim/line_help.h"

#include "stack/tcp_cookie.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define EMBRYOS 256 /* a listener's, with a backlog of less */

static void drain(struct line *t)
{
	line_run(t);
	fake_link_drain(t->drv);
}

/* @cnt SYNs that nobody will complete, each from another port */
static void flood(struct line *t, unsigned int cnt)
{
	uint16_t port = t->peer.port;

	for (unsigned int i = 0; i < cnt; i++) {
		t->peer.port = (uint16_t)(10000 + i);
		RECV(0, "S 0:0(0) <mss 1460>");
		drain(t);
	}
	t->peer.port = port;
}

/* Listener with no room for handshakes */
static void flooded(struct line *t)
{
	line_listen(t);
	flood(t, EMBRYOS);
	assert_int_equal(stats(t).tcp_conns, EMBRYOS);
	assert_int_equal(stats(t).tcp_cookies_sent, 0);
}

/* All options, through timestamps; nothing is kept until the ACK, and then everything works */
static void options_by_timestamp(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	flooded(t);
	RECV(0, "S 0:0(0) win 1000 <mss 1300,sackOK,wscale 9,TS val 100 ecr 0>");
	SEND("S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,wscale 7,TS val * ecr 100>");
	assert_int_equal(stats(t).tcp_conns, EMBRYOS);
	assert_int_equal(stats(t).tcp_cookies_sent, 1);
	NOTHING_FOR(20 * MS);
	RECV(0, ". 1:1(0) ack 1 win 1000 <TS val 120 ecr *>");
	NOTHING();
	line_accept(t);
	assert_int_equal(stats(t).tcp_cookies_ok, 1);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.state, TCP_ESTABLISHED);
	assert_int_equal(info.mss, 1220 - 12); /* the next lower in the table */
	assert_int_equal(info.snd_wscale, 9);
	assert_int_equal(info.snd_wnd, 1000 << 9);
	assert_int_equal(info.rcv_wscale, 7);
	assert_true(info.sack && info.timestamps);
	RECV(0, "P. 1:101(100) ack 1 <TS val 130 ecr *>");
	SEND(". 1:1(0) ack 101");
	line_read(t, 100);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 101 <TS val * ecr 130>");
	RECV(10 * MS, ". 101:101(0) ack 101 <TS val 140 ecr *>");
	tcp_close(t->s, t->id);
	SEND("F. 101:101(0) ack 101");
	RECV(0, "F. 101:101(0) ack 102 <TS val 150 ecr *>");
	SEND(". 102:102(0) ack 102");
}

/* RFC 3168 6.1.1: ECN, too, comes back by timestamp, and only so */
static void ecn_by_timestamp(void **state)
{
	struct line *t = *state;

	flooded(t);
	RECV(0, "SEW 0:0(0) <mss 1460,TS val 100 ecr 0>");
	SEND("S.E 0:0(0) ack 1 <mss 1460,TS val * ecr 100>");
	RECV(0, ". 1:1(0) ack 1 <TS val 120 ecr *>");
	line_accept(t);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	assert_int_equal(t->tos & 3, 2); /* ECT(0) */
	tcp_abort(t->s, t->id);
	SEND("R. 101:101(0) ack 1");
	RECV(0, "SEW 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1 <mss 1460>");
}

/* What the peer did not offer is not agreed on */
static void options_not_offered(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460,TS val 100 ecr 0>");
	SEND("S. 0:0(0) ack 1 <mss 1460,TS val * ecr 100>");
	RECV(0, ". 1:1(0) ack 1 <TS val 120 ecr *>");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.snd_wscale, 0);
	assert_int_equal(info.rcv_wscale, 0);
	assert_false(info.sack);
}

/* Without timestamps there is room for MSS only, and we don't offer more */
static void options_without_timestamp(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	flooded(t);
	RECV(0, "S 0:0(0) win 1000 <mss 1460,sackOK,wscale 9>");
	SEND("S. 0:0(0) ack 1 win 64240 <mss 1460>");
	RECV(0, ". 1:1(0) ack 1 win 1000");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.mss, 1460);
	assert_int_equal(info.snd_wnd, 1000);
	assert_false(info.sack || info.timestamps);
}

/* Timestamps go on from the one that carried the options (RFC 7323 5.3: no earlier) */
static void timestamps_move_on(void **state)
{
	struct line *t = *state;
	uint32_t first;

	flooded(t);
	for (unsigned int i = 0; i < 70; i++) {
		RECV(1 * MS, "S 0:0(0) <mss 1460,sackOK,wscale 14,TS val 100 ecr 0>");
		SEND("S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7,TS val * ecr 100>");
		first = t->ts_val;
		RECV(0, ". 1:1(0) ack 1 <TS val 120 ecr *>");
		line_accept(t);
		line_write(t, 1);
		SEND("P. 1:2(1) ack 1 <TS val * ecr 120>");
		assert_true(t->ts_val - first < 128);
		tcp_abort(t->s, t->id);
		SEND("R. 2:2(0) ack 1");
		t->written = 0;
	}
}

/* The ACK was lost; the first segment with data, and FIN, brings the cookie */
static void cookie_with_data(void **state)
{
	struct line *t = *state;

	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "FP. 1:101(100) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 102");
	line_accept(t);
	line_read(t, 100);
	line_read_eof(t);
}

/* RFC 4987 3.6: what is not ours is reset, as on any port without a handshake */
static void forged(void **state)
{
	struct line *t = *state;

	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	SEND("R 2:2(0)");
	RECV(0, ". 2:2(0) ack 1");
	SEND("R 1:1(0)");
	t->peer.port++;
	RECV(0, ". 1:1(0) ack 1");
	SEND("R 1:1(0)");
	assert_int_equal(stats(t).tcp_cookies_bad, 3);
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	/* not even looked at */
	t->peer.port--;
	RECV(0, "R. 1:1(0) ack 1");
	NOTHING();
	RECV(0, "S. 1:1(0) ack 1");
	SEND("R 1:1(0)");
	assert_int_equal(stats(t).tcp_cookies_bad, 3);
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* Good for a minute at least, for two at most */
static void age(void **state)
{
	struct line *t = *state;

	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	t->now_us += 64 * SEC;
	drain(t);
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	tcp_abort(t->s, t->id);
	SEND("R. 1:1(0) ack 1");
	t->now_us += 64 * SEC;
	drain(t);
	RECV(0, ". 1:1(0) ack 1");
	SEND("R 1:1(0)");
	assert_int_equal(stats(t).tcp_cookies_bad, 1);
	/* nobody floods any more: what comes now is not even compared */
	t->now_us += 10 * SEC;
	drain(t);
	RECV(0, ". 1:1(0) ack 1");
	SEND("R 1:1(0)");
	assert_int_equal(stats(t).tcp_cookies_bad, 1);
}

/* A listener that was never flooded takes no cookie, right or wrong */
static void quiet_listener(void **state)
{
	struct line *t = *state;

	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	tcp_unlisten(t->s, t->listener);
	line_listen(t);
	RECV(0, ". 1:1(0) ack 1");
	SEND("R 1:1(0)");
	assert_int_equal(stats(t).tcp_cookies_ok + stats(t).tcp_cookies_bad, 0);
}

/* A full backlog is a full backlog: as with handshakes that are remembered */
static void backlog_full(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	flooded(t);
	tcp_listener_backlog(t->s, t->listener, 1);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	t->peer.port++;
	uint32_t isn = t->isn;
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	/* the second has taken the place; the first waits for the program */
	t->peer.port--;
	t->isn = isn;
	RECV(0, ". 1:1(0) ack 1");
	NOTHING();
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	t->peer.port += 2;
	RECV(0, "S 0:0(0) <mss 1460>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 2);
	assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
	t->peer.port -= 2;
	RECV(0, "P. 1:11(10) ack 1");
	line_accept(t);
	line_read(t, 10);
	SEND(". 1:1(0) ack 11");
}

/* Without a block left there is a cookie, too; without it afterwards, the peer has to wait */
static void no_blocks(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .conns_max = 10 });
	line_listen(t);
	flood(t, 10);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	assert_int_equal(stats(t).tcp_cookies_sent, 1);
	RECV(0, ". 1:1(0) ack 1");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_NO_MEMORY], 1);
	t->peer.port = 10000;
	RECV(0, "R 1:1(0)"); /* one of the flood was real, and goes */
	t->peer.port = 4000;
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
}

static void switched_off(void **state)
{
	struct line *t = *state;

	tcp_settings_set(t->s, &(struct tcp_settings){ .no_syncookies = true });
	flooded(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 1);
}

/* A link that cannot lose keeps places instead: what it answers it will hold. */
static void direct_channel(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6,
					       .link_flags = LINK_NO_LOSS | LINK_NO_CSUM });
	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, 300);
	flood(t, 600);
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 300);
	assert_int_equal(stats(t).tcp_conns, 600);
	RECV(0, "S 0:0(0) <mss 1460>");
	NOTHING();
	assert_int_equal(stats(t).tcp_cookies_sent, 0);
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 1);
}

/* The listener's own options hold for what cookies bring back. */
static void listener_options(void **state)
{
	struct line *t = *state;
	uint64_t value;

	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_RCVBUF, 20000), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_MAXSEG, 1000), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_TTL, 33), 0);
	flood(t, EMBRYOS);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1 win 20000 <mss 1000>");
	assert_int_equal(t->ttl, 33);
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_RCVBUF, &value), 0);
	assert_int_equal(value, 20000);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_MAXSEG, &value), 0);
	assert_int_equal(value, 1000);
}

/* RFC 4987 2: 100,000 sources. No more memory than the embryos take, and honest ones get in. */
static void flood_100000(void **state)
{
	struct line *t = *state;
	struct endpoint honest = t->peer;
	uint64_t bytes;
	struct tcp_id id;

	flooded(t);
	bytes = stats(t).mem_bytes;
	for (uint32_t i = 0; i < 100000; i++) {
		t->peer.addr.words[3] = be32(0x0b000000 + i);
		t->peer.port = (uint16_t)(1024 + i % 50000);
		stack_now(t->s, t->now_us);
		line_recv_raw(t, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
		fake_link_drain(t->drv);
		if (i % 1000 == 0) {
			t->peer = honest;
			t->peer.port = (uint16_t)(honest.port + i / 1000);
			RECV(0, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
			SEND("S. 0:0(0) ack 1");
			RECV(0, ". 1:1(0) ack 1 <TS val 2 ecr *>");
			assert_int_equal(tcp_accept(t->s, t->listener, 1, &id), 0);
			tcp_abort(t->s, id);
			SEND("R. 1:1(0) ack 1");
		}
	}
	assert_int_equal(stats(t).tcp_conns, EMBRYOS);
	/* one piece for the counters of those that are established */
	assert_in_range(stats(t).mem_bytes, bytes, bytes + 65536);
	assert_int_equal(stats(t).tcp_cookies_sent, 100100);
	assert_int_equal(stats(t).tcp_cookies_ok, 100);
	/* it stops, and within the time of a handshake all is as before */
	for (unsigned int i = 0; i < 70; i++) {
		t->now_us += 1 * SEC;
		drain(t);
	}
	assert_int_equal(stats(t).tcp_conns, 0);
	t->peer = honest;
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	assert_int_equal(stats(t).tcp_conns, 1);
}

/*
 * What a handshake under way takes, everything counted: a block, its cold half and its place in the flow table. None of what connections have
 * besides, queues, counters, what is in flight, is there yet.
 */
static void embryo_bytes(void **state)
{
	enum { CNT = 40000, BYTES = 224 };
	struct line *t = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		uint64_t before;

		line_restart(t, &(struct line_config){ .v6 = v6, .conns_max = 50000, .mem_bytes_max = 64 << 20 });
		line_listen(t);
		tcp_listener_backlog(t->s, t->listener, CNT);
		before = stats(t).mem_bytes;
		for (unsigned int i = 0; i < CNT; i++) {
			t->peer.port = (uint16_t)(1024 + i);
			stack_now(t->s, t->now_us);
			line_recv_raw(t, "S 0:0(0) <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
			fake_link_drain(t->drv);
		}
		assert_int_equal(stats(t).tcp_conns, CNT);
		assert_int_equal(stats(t).tcp_cookies_sent, 0);
		assert_in_range((stats(t).mem_bytes - before) / CNT, 1, BYTES);
	}
}

/*
 * RFC 4987 3.6: a cookie that comes back with DEFER_ACCEPT in force is accepted at once, for there is no SYN-ACK whose
 * timer could end the wait: what is left of 700 is what the backlog holds, and it goes with the program's tcp_accept().
 */
static void rfc4987_3_6_deferred(void **state)
{
	struct line *t = *state;
	uint32_t accepted = 0;

	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, EMBRYOS);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_DEFER_ACCEPT_S, 5), 0);
	flood(t, EMBRYOS);
	for (unsigned int i = 0; i < 700; i++) {
		struct tcp_id id;

		t->peer.port++;
		RECV(0, "S 0:0(0) <mss 1460>");
		SEND("S. 0:0(0) ack 1");
		RECV(0, ". 1:1(0) ack 1");
		NOTHING();
		if (tcp_accept(t->s, t->listener, 1, &id) == 0) {
			accepted++;
			tcp_abort(t->s, id);
			SEND("R. 1:1(0) ack 1");
		}
	}
	assert_int_equal(stats(t).tcp_cookies_ok, 700);
	assert_int_equal(accepted, 700);
	for (unsigned int i = 0; i < 3600; i++) {
		t->now_us += 1 * SEC;
		drain(t);
	}
	assert_int_equal(stats(t).tcp_conns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(options_by_timestamp),
		LINE_TEST(rfc4987_3_6_deferred),
		LINE_TEST(ecn_by_timestamp),
		LINE_TEST(options_not_offered),
		LINE_TEST(options_without_timestamp),
		LINE_TEST(timestamps_move_on),
		LINE_TEST(cookie_with_data),
		LINE_TEST(forged),
		LINE_TEST(age),
		LINE_TEST(quiet_listener),
		LINE_TEST(backlog_full),
		LINE_TEST(no_blocks),
		LINE_TEST(switched_off),
		LINE_TEST(direct_channel),
		LINE_TEST(listener_options),
		LINE_TEST(flood_100000),
		LINE_TEST(embryo_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
