// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opening: RFC 9293 3.5 and 3.10.7.1 to .4, options of RFC 7323, 2018, 6691, retransmission of SYN,
 * the backlog
 */
#include "tests/sim/line_help.h"

#include "stack/tcp_hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 9293 3.5, figure 6; RFC 7323 2, 3: what both said holds */
static void passive_open(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) win 64240 <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
	SEND("S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,wscale 7,TS val * ecr 1>");
	RECV(10 * MS, ". 1:1(0) ack 1 <TS val 11 ecr *>");
	NOTHING();
	line_accept(t);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
}

static void active_open(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_connect(t);
	SEND("S 0:0(0) win 64240 <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	RECV(30 * MS, "S. 0:0(0) ack 1 <mss 1000,sackOK,wscale 3,TS val 500 ecr *>");
	SEND(". 1:1(0) ack 1 <TS val * ecr 500>");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.state, TCP_ESTABLISHED);
	assert_int_equal(info.mss, 1000 - 12);
	assert_int_equal(info.snd_wscale, 3);
	assert_int_equal(info.snd_wnd, 65535); /* RFC 7323 2.2: not scaled in SYN */
	assert_in_range(info.srtt_us, 29000, 32000);
	assert_true(info.timestamps && info.sack);
}

/* RFC 9293 3.7.1: without the option 536, or 1220 over IPv6 */
static void no_options(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_listen(t);
	RECV(0, "S 0:0(0) win 5000");
	SEND("S. 0:0(0) ack 1 win 64240 <mss 1460>");
	RECV(0, ". 1:1(0) ack 1 win 5000");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.mss, t->cfg.v6 ? 1220 : 536);
	assert_int_equal(info.snd_wnd, 5000);
	assert_false(info.timestamps || info.sack);
}

/* RFC 7323 2.2: scaling only if both offer it; the peer's shift holds for what the peer sends */
static void window_scaling(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_listen(t);
	RECV(0, "S 0:0(0) win 1000 <mss 1460,wscale 9>");
	SEND("S. 0:0(0) ack 1 win 64240 <mss 1460,wscale 7>");
	RECV(0, ". 1:1(0) ack 1 win 1000");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.snd_wnd, 512000);
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101 win 502"); /* 64,240 >> 7, rounded up */
	line_read(t, 100);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 101 win 502");
	RECV(0, ". 101:101(0) ack 101");
}

/* RFC 6298 2.1, 5.5; Linux's tcp_syn_retries 6: at 1, 3, 7, 15, 31, 63 s, given up at 127 s */
static void syn_timeout(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	EVENT(STACK_EV_UNANSWERED);
	for (uint64_t wait = 2; wait <= 32; wait *= 2)
		SEND_AFTER(wait * SEC, "S 0:0(0)");
	NOTHING_FOR(63 * SEC);
	EVENT(0); /* it was said */
	NOTHING_FOR(2 * SEC);
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	line_read_error(t, ETIMEDOUT);
	assert_int_equal(line_state(t), TCP_CLOSED);
}

static void synack_timeout(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	for (uint64_t wait = 1; wait <= 16; wait *= 2)
		SEND_AFTER(wait * SEC, "S. 0:0(0) ack 1");
	NOTHING_FOR(33 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* The peer's SYN again means that our SYN-ACK was lost. */
static void syn_again(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(500 * MS, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	NOTHING_FOR(900 * MS);
	RECV(0, ". 1:1(0) ack 1");
	NOTHING_FOR(10 * SEC);
	line_accept(t);
}

/* A repeated SYN takes no RTT sample without timestamps (Karn), and the connection works. */
static void synack_after_retry(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_connect(t);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	EVENT(STACK_EV_UNANSWERED);
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.srtt_us, 0);
	assert_int_equal(info.rto_us, 3000000); /* RFC 6298 5.7 */
	assert_int_equal(info.cwnd_bytes, 10 * 1460);
}

/* TCP_SYNCNT */
static void syn_count(void **state)
{
	const struct tcp_option_value opt = { TCP_OPT_SYNCNT, 2 };
	struct line *t = *state;

	assert_int_equal(tcp_connect_with(t->s, t->link, &t->local, &t->peer, &opt, 1, t->cookie,
					  &t->id),
			 0);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	SEND_AFTER(2 * SEC, "S 0:0(0)");
	NOTHING_FOR(3900 * MS);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	NOTHING_FOR(200 * MS);
	line_read_error(t, ETIMEDOUT);
}

static void defer_accept_for(struct line *t, uint64_t seconds)
{
	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_DEFER_ACCEPT_S,
						 seconds),
			 0);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1");
	NOTHING();
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
}

/* TCP_DEFER_ACCEPT: the program is woken by data, or by FIN; nothing is repeated meanwhile */
static void defer_accept(void **state)
{
	struct line *t = *state;

	defer_accept_for(t, 5);
	NOTHING_FOR(2 * SEC);
	RECV(0, "P. 1:101(100) ack 1");
	line_accept(t);
	line_read(t, 100);
	SEND(". 1:1(0) ack 101");
}

static void defer_accept_fin(void **state)
{
	struct line *t = *state;

	defer_accept_for(t, 5);
	RECV(0, "F. 1:1(0) ack 1");
	SEND(". 1:1(0) ack 2");
	line_accept(t);
	line_read_eof(t);
}

/* 5 s are three SYN-ACKs, at 0, 1 and 3 s; the one at 7 s asks, and its answer is enough */
static void defer_accept_over(void **state)
{
	struct line *t = *state;

	defer_accept_for(t, 5);
	SEND_BETWEEN(6980 * MS, 7000 * MS, "S. 0:0(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
	RECV(10 * MS, ". 1:1(0) ack 1");
	line_accept(t);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 1");
	RECV(0, ". 1:1(0) ack 11");
}

/* ... and is as long as SYN-ACKs are sent: given up, silently, at 63 s */
static void defer_accept_lost(void **state)
{
	struct line *t = *state;

	defer_accept_for(t, 5);
	SEND_BETWEEN(6980 * MS, 7000 * MS, "S. 0:0(0) ack 1");
	SEND_AFTER(8 * SEC, "S. 0:0(0) ack 1");
	SEND_AFTER(16 * SEC, "S. 0:0(0) ack 1");
	NOTHING_FOR(33 * SEC);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* RFC 1122 4.2.3.9, RFC 5927 4.1: what ICMP says in a handshake counts if it is about our SYN */
static void icmp(struct line *t, int err, uint32_t seq)
{
	struct icmp_error error = {
		.local = t->local,
		.remote = t->peer,
		.link = t->link.v,
		.tcp_seq = t->isn + seq,
		.err = err,
	};

	tcp_icmp_error(t->s, &error);
}

static void icmp_syn_sent(void **state)
{
	static const int errs[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EACCES };
	struct line *t = *state;

	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		line_connect(t);
		SEND("S 0:0(0)");
		icmp(t, errs[i], 1);
		icmp(t, errs[i], 0xffffffff);
		assert_int_equal(line_state(t), TCP_SYN_SENT);
		icmp(t, errs[i], 0);
		line_read_error(t, errs[i]);
		tcp_close(t->s, t->id);
		IGNORE();
	}
}

static void icmp_syn_received(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	icmp(t, EHOSTUNREACH, 5);
	assert_int_equal(stats(t).tcp_conns, 1);
	icmp(t, EHOSTUNREACH, 0);
	assert_int_equal(stats(t).tcp_conns, 0);
}

/* RFC 5927 6: of a connection that stands, all are soft, in each state; nothing in flight, nothing */
static void icmp_later(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	icmp(t, ECONNREFUSED, 0);
	icmp(t, ECONNREFUSED, 1);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	icmp(t, ECONNREFUSED, 1);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	RECV(10 * MS, ". 1:1(0) ack 101");
	tcp_close(t->s, t->id);
	SEND("F. 101:101(0) ack 1");
	icmp(t, ECONNREFUSED, 101);
	assert_int_equal(stats(t).tcp_conns, 1);
	RECV(0, "F. 1:1(0) ack 102");
	SEND(". 102:102(0) ack 2");
	icmp(t, ECONNREFUSED, 101);
	icmp(t, ECONNREFUSED, 102);
	assert_int_equal(stats(t).tcp_conns, 1); /* TIME_WAIT */
}

/* RFC 6298 5.7, RFC 6928 2: lost more than once; then a sample ends the fallback */
static void synack_after_two_retries(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_connect(t);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	SEND_AFTER(2 * SEC, "S 0:0(0)");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.cwnd_bytes, 1460);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1");
	SEND_AFTER(3 * SEC, "P. 1:101(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 101");
	line_write(t, 100);
	SEND("P. 101:201(100) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 201");
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.rto_us, 210000);
}

static void ack_after_synack_retries(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	SEND_AFTER(1 * SEC, "S. 0:0(0) ack 1");
	SEND_AFTER(2 * SEC, "S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.cwnd_bytes, 1460);
	assert_int_equal(info.rto_us, 3000000);
}

/* Timestamps tell which SYN was answered, so there is a sample, and no fallback (RFC 7323 4.1). */
static void synack_after_retry_timestamp(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_connect(t);
	SEND("S 0:0(0)");
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460,TS val 9 ecr *>");
	SEND(". 1:1(0) ack 1");
	tcp_info(t->s, t->id, &info);
	assert_in_range(info.srtt_us, 10000, 12000);
}

/* RFC 9293 3.10.7.2: text in SYN is not for us without a cookie (RFC 7413); FIN in SYN is nonsense */
static void syn_with_data(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "SF 0:0(0) <mss 1460>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BAD], 1);
	RECV(0, "S 0:100(100) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "P. 1:101(100) ack 1");
	line_accept(t);
	line_read(t, 100);
	SEND(". 1:1(0) ack 101");
}

/* RFC 9293 3.10.7.3: text in SYN-ACK comes again */
static void synack_with_data(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "S. 0:100(100) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	RECV(0, "P. 1:101(100) ack 1");
	line_read(t, 100);
	SEND(". 1:1(0) ack 101");
}

/* RFC 7323 2.3: a shift of more than 14 counts as 14 */
static void window_scale_limit(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_listen(t);
	RECV(0, "S 0:0(0) win 1000 <mss 1460,wscale 15>");
	SEND("S. 0:0(0) ack 1 <mss 1460,wscale 7>");
	RECV(0, ". 1:1(0) ack 1 win 1000");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.snd_wscale, 14);
	assert_int_equal(info.snd_wnd, 1000 << 14);
}

/* RFC 7323 2.2: no scaling if the answer has none, and a window of 0 scaled is 0 */
static void window_scale_refused(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_connect(t);
	SEND("S 0:0(0) <mss 1460,sackOK,wscale 7,TS val * ecr 0>");
	RECV(0, "S. 0:0(0) ack 1 win 4000 <mss 1460>");
	SEND(". 1:1(0) ack 1 win 64240");
	RECV(0, ". 1:1(0) ack 1 win 5000");
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.snd_wnd, 5000);
	assert_int_equal(info.rcv_wscale, 0);
}

/* RFC 9293 3.7.1: 0 and the like in the option would make us send headers only */
static void mss_tiny(void **state)
{
	struct line *t = *state;
	struct tcp_info info;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 0>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	tcp_info(t->s, t->id, &info);
	assert_int_equal(info.mss, 48);
	line_write(t, 60);
	SEND(". 1:49(48) ack 1");
	SEND("P. 49:61(12) ack 1");
	RECV(0, ". 1:1(0) ack 61");
}

/* Windows of 0 all through the handshake, from both sides */
static void zero_window_passive(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) win 0 <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1 win 0");
	line_accept(t);
	line_write(t, 100);
	NOTHING_FOR(100 * MS);
	RECV(0, ". 1:1(0) ack 1 win 1000");
	SEND("P. 1:101(100) ack 1");
	RECV(0, ". 1:1(0) ack 101");
}

static void zero_window_active(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "S. 0:0(0) ack 1 win 0 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	line_write(t, 100);
	NOTHING_FOR(100 * MS);
	RECV(0, ". 1:1(0) ack 1 win 1000");
	SEND("P. 1:101(100) ack 1");
	RECV(0, ". 1:1(0) ack 101");
}

/* RFC 6093: urgent data are data, and stay where they are in the stream */
static void urgent_is_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000");
	RECV(0, "PU. 1:101(100) ack 1 urg 50");
	RECV(0, "P. 101:201(100) ack 1");
	line_read(t, 200);
	SEND(". 1:1(0) ack 201"); /* small, and all is read */
	RECV(0, "U. 201:201(0) ack 1 urg 5");
	NOTHING();
}

/* RFC 9293 3.5.1, figure 10: we call, and the peer still has an old connection with our endpoints */
static void half_open_active(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(10 * MS, ". 300:300(0) ack 500");
	SEND("R 500:500(0)");
	SEND_BETWEEN(980 * MS, 1000 * MS, "S 0:0(0)");
	RECV(0, "S. 0:0(0) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
}

/* RFC 9293 3.10.7.3, second step */
static void refused(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "R. 0:0(0) ack 1");
	EVENT(STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	assert_int_equal(tcp_error(t->s, t->id, false), ECONNREFUSED);
	line_read_error(t, ECONNREFUSED);
	line_read_eof(t); /* once */
	tcp_close(t->s, t->id);
}

/*
 * ... first step: an ACK of something else is answered by a reset with its own number, and changes
 * nothing
 */
static void synsent_bad_ack(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(0, "S. 0:0(0) ack 77");
	SEND("R 77:77(0)");
	RECV(0, ". 5:5(0) ack 0");
	SEND("R 0:0(0)");
	RECV(0, "R. 0:0(0) ack 2");
	RECV(0, "R 0:0(0)");
	RECV(0, "F 0:0(0)");
	NOTHING();
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	RECV(0, "S. 0:0(0) ack 1");
	SEND(". 1:1(0) ack 1");
}

/* RFC 9293 figure 7 */
static void simultaneous_open(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(10 * MS, "S 0:0(0) <mss 1460,wscale 2>");
	SEND("S. 0:0(0) ack 1 <mss 1460,wscale 7>");
	assert_int_equal(line_state(t), TCP_SYN_RECEIVED);
	line_read_error(t, ENOTCONN);
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460,wscale 2>");
	EVENT(STACK_EV_CONNECTED | STACK_EV_WRITABLE | STACK_EV_SENT_ALL);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	SEND(". 1:1(0) ack 1"); /* the SYN was old, so it is acknowledged */
	RECV(0, "P. 1:11(10) ack 1");
	SEND(". 1:1(0) ack 11");
	line_read(t, 10);
	line_write(t, 10);
	SEND("P. 1:11(10) ack 11");
	RECV(0, ". 11:11(0) ack 11");
}

/* ... with our first SYN lost: theirs is answered, and ours repeated as SYN-ACK */
static void simultaneous_open_loss(void **state)
{
	struct line *t = *state;

	line_connect(t);
	SEND("S 0:0(0)");
	RECV(10 * MS, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	SEND_AFTER(1 * SEC, "S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	NOTHING_FOR(5 * SEC);
}

/* RFC 9293 3.10.7.1: a closed port */
static void closed_port(void **state)
{
	struct line *t = *state;

	RECV(0, "S 0:0(0)");
	SEND("R. 0:0(0) ack 1");
	RECV(0, "S 0:10(10)");
	SEND("R. 0:0(0) ack 11");
	RECV(0, ". 5:5(0) ack 1234");
	SEND("R 1234:1234(0)");
	RECV(0, "R 5:5(0)");
	RECV(0, "R. 5:5(0) ack 7");
	NOTHING();
}

/* RFC 9293 3.10.7.2: LISTEN */
static void listen_other(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, ". 5:5(0) ack 1234");
	SEND("R 1234:1234(0)");
	RECV(0, "S. 5:5(0) ack 99");
	SEND("R 99:99(0)");
	RECV(0, "R 5:5(0)");
	RECV(0, "F 5:5(0)");
	RECV(0, "SR 5:5(0)");
	NOTHING();
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 0);
}

/* RFC 9293 3.10.7.4, fifth step, SYN_RECEIVED: an ACK of something else is reset */
static void syn_received_bad_ack(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 2");
	SEND("R 2:2(0)");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* ... second step: back to LISTEN */
static void syn_received_reset(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "R 1:1(0)");
	assert_int_equal(stats(t).tcp_conns, 0);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* Data may come with the ACK of the handshake, or before tcp_accept(). */
static void data_before_accept(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, "P. 1:101(100) ack 1");
	SEND(". 1:1(0) ack 101");
	RECV(0, "F. 101:101(0) ack 1");
	SEND_BETWEEN(40 * MS, 46 * MS, ". 1:1(0) ack 102");
	line_accept(t);
	assert_int_equal(tcp_ready(t->s, t->id),
			 STACK_EV_READABLE | STACK_EV_EOF | STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	line_read(t, 100);
	line_read_eof(t);
}

/* A reset before tcp_accept(): the program learns of it (as with Linux, accept succeeds). */
static void reset_before_accept(void **state)
{
	struct line *t = *state;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	RECV(0, "R 1:1(0)");
	line_accept(t);
	line_read_error(t, ECONNRESET);
	tcp_close(t->s, t->id);
}

/*
 * The backlog: a full one drops SYN, and the ACK that would complete a handshake; the peer repeats.
 */
static void backlog_full(void **state)
{
	struct line *t = *state;
	struct tcp_id first;

	line_listen(t);
	tcp_listener_backlog(t->s, t->listener, 1);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	t->peer.port++;
	uint32_t isn = t->isn;
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	t->peer.port--;
	uint32_t isn2 = t->isn;
	t->isn = isn;
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	/* the second cannot complete */
	t->peer.port++;
	t->isn = isn2;
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	/* a third is not even answered */
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 1460>");
	NOTHING();
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_BACKLOG], 2);
	assert_int_equal(tcp_accept(t->s, t->listener, 1, &first), 0);
	/* now there is room: our SYN-ACK is repeated, the answer completes it */
	t->peer.port--;
	SEND_AFTER(1 * SEC, "S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	assert_int_equal(tcp_listener_ready(t->s, t->listener), 1);
	line_accept(t);
	tcp_close(t->s, t->id);
	SEND("F. 1:1(0) ack 1");
}

static void listener_options(void **state)
{
	struct line *t = *state;
	uint64_t value;

	line_listen(t);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_NODELAY, 1), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_RCVBUF, 20000), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_MAXSEG, 1000), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_CONGESTION, 1), 0);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_CONGESTION, 3),
			 -EINVAL);
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, (enum tcp_option)99, 1),
			 -ENOPROTOOPT);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1 win 20000 <mss 1000>");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_NODELAY, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_RCVBUF, &value), 0);
	assert_int_equal(value, 20000);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_CONGESTION, &value), 0);
	assert_string_equal(tcp_cc_name((unsigned int)value), "reno");
}

static void unlisten(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	line_listen(t);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	t->peer.port++;
	uint32_t isn = t->isn;
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	uint32_t isn2 = t->isn;
	t->isn = isn;
	t->peer.port--;
	tcp_unlisten(t->s, t->listener);
	SEND("R. 1:1(0) ack 1");
	/* the other one is still in its handshake, and finds nobody */
	t->peer.port++;
	t->isn = isn2;
	RECV(0, ". 1:1(0) ack 1");
	SEND("R. 1:1(0) ack 1");
	RECV(0, "S 0:0(0)");
	SEND("R. *:*(0) ack 1");
	assert_int_equal(tcp_connect(t->s, (struct link_id){ 7 }, &t->local, &t->peer, 0, &id),
			 -ENETDOWN);
}

/* RFC 9293 3.9.1.1: the same four numbers twice */
static void connect_twice(void **state)
{
	struct line *t = *state;
	struct tcp_id id;

	line_connect(t);
	SEND("S 0:0(0)");
	assert_int_equal(tcp_connect(t->s, t->link, &t->local, &t->peer, 0, &id), -EADDRINUSE);
	tcp_close(t->s, t->id);
	NOTHING_FOR(5 * SEC);
	line_connect(t);
	SEND("S 0:0(0)");
}

/* No frame for SYN: it goes when there is one. */
static void syn_without_frame(void **state)
{
	struct line *t = *state;

	t->drv->tx_max = 0;
	line_connect(t);
	NOTHING_FOR(100 * MS);
	assert_true(stack_link_blocked(t->s, t->link));
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	SEND("S 0:0(0)");
	RECV(0, "S. 0:0(0) ack 1");
	SEND(". 1:1(0) ack 1");
}

static void synack_without_frame(void **state)
{
	struct line *t = *state;

	line_listen(t);
	t->drv->tx_max = 0;
	RECV(0, "S 0:0(0) <mss 1460>");
	NOTHING_FOR(100 * MS);
	t->drv->tx_max = 100;
	stack_link_writable(t->s, t->link);
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
}

/* RFC 6528: numbers of one pair of endpoints move with the clock, of two are unrelated */
static void isn(void **state)
{
	struct line *t = *state;
	uint32_t first, second;

	line_connect(t);
	SEND("S 0:0(0)");
	first = t->isn;
	tcp_close(t->s, t->id);
	NOTHING_FOR(400 * MS);
	line_connect(t);
	SEND("S 0:0(0)");
	second = t->isn;
	assert_in_range(second - first, 100000 - 1000, 100000 + 1000); /* one in 4 us */
	tcp_close(t->s, t->id);
	t->peer.port++;
	line_connect(t);
	SEND("S 0:0(0)");
	assert_true(t->isn - second > 1000000 || second - t->isn > 1000000);
}

static unsigned int cc_idx(const char *name)
{
	unsigned int i = 0;

	while (strcmp(tcp_cc_name(i), name) != 0)
		i++;
	return i;
}

static void assert_next_has(struct line *t, const char *congestion)
{
	t->peer.port++;
	RECV(0, "S 0:0(0) <mss 1000>");
	SEND("S. 0:0(0) ack 1");
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_string_equal(info(t).congestion, congestion);
}

/* Settings are of connections that begin after them, whenever the listener was made; what a listener was told stays. */
static void listener_congestion(void **state)
{
	struct line *t = *state;
	struct tcp_settings reno = { .congestion = (uint8_t)cc_idx("reno") };

	line_listen(t);
	assert_next_has(t, "cubic");
	tcp_settings_set(t->s, &reno);
	assert_next_has(t, "reno");
	assert_int_equal(tcp_listener_option_set(t->s, t->listener, TCP_OPT_CONGESTION, cc_idx("bbr")), 0);
	tcp_settings_set(t->s, &reno);
	assert_next_has(t, "bbr");
}

/* Who is asked before the answer has come has no congestion control yet; whatever it will be, a rate is none. */
static void info_while_calling(void **state)
{
	struct line *t = *state;
	struct tcp_settings bbr = { .congestion = (uint8_t)cc_idx("bbr") };

	tcp_settings_set(t->s, &bbr);
	line_connect(t);
	SEND("S 0:0(0)");
	assert_string_equal(info(t).congestion, "bbr");
	assert_int_equal(info(t).pacing_Bps, 0);
	RECV(0, "S. 0:0(0) ack 1 <mss 1000>");
	SEND(". 1:1(0) ack 1");
	assert_true(info(t).pacing_Bps > 0);
	RECV(0, "R. 1:1(0) ack 1");
	assert_int_equal(info(t).pacing_Bps, 0);
}

static void assert_marks(const struct line *t, uint8_t tos, uint8_t ttl)
{
	assert_int_equal(t->tos, tos);
	assert_int_equal(t->ttl, ttl);
}

/* TOS and TTL stand in the first segment, too, and when it is sent again */
static void marked_syn(void **state)
{
	const struct tcp_option_value opts[] = { { TCP_OPT_TOS, 0xb9 }, { TCP_OPT_TTL, 9 } };
	struct line *t = *state;

	assert_int_equal(tcp_connect_with(t->s, t->link, &t->local, &t->peer, opts, 2, t->cookie, &t->id), 0);
	SEND("S 0:0(0)");
	assert_marks(t, 0xb8, 9);
	SEND_AFTER(1 * SEC, "S 0:0(0)");
	assert_marks(t, 0xb8, 9);
}

/* ... and in the answer to one, by the family of who asks */
static void marked_synack(void **state)
{
	struct line *t = *state;
	uint64_t value;

	line_listen(t);
	tcp_listener_mark(t->s, t->listener, t->cfg.v6, 0x11, 200);
	tcp_listener_mark(t->s, t->listener, !t->cfg.v6, 0x2e, 7);
	RECV(0, "S 0:0(0) <mss 1460>");
	SEND("S. 0:0(0) ack 1");
	assert_marks(t, 0x2c, 7);
	SEND_AFTER(1 * SEC, "S. 0:0(0) ack 1");
	assert_marks(t, 0x2c, 7);
	RECV(0, ". 1:1(0) ack 1");
	line_accept(t);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_TTL, &value), 0);
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(passive_open),
		LINE_TEST(active_open),
		LINE_TEST(no_options),
		LINE_TEST(window_scaling),
		LINE_TEST(syn_timeout),
		LINE_TEST(synack_timeout),
		LINE_TEST(syn_again),
		LINE_TEST(synack_after_retry),
		LINE_TEST(syn_count),
		LINE_TEST(defer_accept),
		LINE_TEST(defer_accept_fin),
		LINE_TEST(defer_accept_over),
		LINE_TEST(defer_accept_lost),
		LINE_TEST(icmp_syn_sent),
		LINE_TEST(icmp_syn_received),
		LINE_TEST(icmp_later),
		LINE_TEST(synack_after_two_retries),
		LINE_TEST(ack_after_synack_retries),
		LINE_TEST(synack_after_retry_timestamp),
		LINE_TEST(syn_with_data),
		LINE_TEST(synack_with_data),
		LINE_TEST(window_scale_limit),
		LINE_TEST(window_scale_refused),
		LINE_TEST(mss_tiny),
		LINE_TEST(zero_window_passive),
		LINE_TEST(zero_window_active),
		LINE_TEST(urgent_is_data),
		LINE_TEST(half_open_active),
		LINE_TEST(refused),
		LINE_TEST(synsent_bad_ack),
		LINE_TEST(simultaneous_open),
		LINE_TEST(simultaneous_open_loss),
		LINE_TEST(closed_port),
		LINE_TEST(listen_other),
		LINE_TEST(syn_received_bad_ack),
		LINE_TEST(syn_received_reset),
		LINE_TEST(data_before_accept),
		LINE_TEST(reset_before_accept),
		LINE_TEST(backlog_full),
		LINE_TEST(listener_options),
		LINE_TEST(unlisten),
		LINE_TEST(connect_twice),
		LINE_TEST(syn_without_frame),
		LINE_TEST(synack_without_frame),
		LINE_TEST(isn),
		LINE_TEST(listener_congestion),
		LINE_TEST(info_while_calling),
		LINE_TEST(marked_syn),
		LINE_TEST(marked_synack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
