// SPDX-License-Identifier: BSD-2-Clause
/*
 * Selective acknowledgements: RFC 2018 (SACK), RFC 2883 (DSACK), RFC 6675 (pipe), from both sides,
 * and from a peer that lies
 */
#include "tests/sim/line_help.h"

#include <time.h>

/* ---- what we report -------------------------------------------------------------------------- */

/* RFC 2018 4: the block with the segment that came last is the first, the others follow by age. */
static void rfc2018_4_latest_first(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 1001:2001>");
	RECV(0, ". 5001:6001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 5001:6001 1001:2001>");
	RECV(0, ". 3001:4001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 3001:4001 5001:6001 1001:2001>");
	RECV(0, ". 7001:8001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 7001:8001 3001:4001 5001:6001 1001:2001>");
	/* room for four: the eldest is left out */
	RECV(0, ". 9001:10001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 9001:10001 7001:8001 3001:4001 5001:6001>");
	/* one that grows is the latest */
	RECV(0, ". 6001:7001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 5001:8001 9001:10001 3001:4001>");
	RECV(0, ". 1:1001(1000) ack 1");
	SEND(". 1:1(0) ack 2001 <sack 5001:8001 9001:10001 3001:4001>");
	RECV(0, ". 2001:3001(1000) ack 1");
	SEND(". 1:1(0) ack 4001 <sack 5001:8001 9001:10001>");
	RECV(0, ". 8001:9001(1000) ack 1");
	SEND(". 1:1(0) ack 4001 <sack 5001:10001>");
	RECV(0, ". 4001:5001(1000) ack 1");
	SEND(". 1:1(0) ack 10001 <>");
	line_read(t, 10000);
	IGNORE();
}

/* RFC 2018 3: beside timestamps there is room for three. */
static void rfc2018_3_with_timestamps(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	for (unsigned int i = 1; i < 5; i++) {
		char text[96];

		snprintf(text, sizeof(text), ". %u:%u(100) ack 1 <TS val 20 ecr *>", i * 1000 + 1,
			 i * 1000 + 101);
		RECV(0, text);
		if (i < 4)
			IGNORE();
	}
	SEND(". 1:1(0) ack 1 <TS val * ecr 11,sack 4001:4101 3001:3101 2001:2101>");
}

static void rfc2018_2_not_agreed(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITHOUT);
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <>");
}

/* Data carry the blocks as well, where there is room. */
static void rfc2018_4_in_data(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 1001:2001>");
	line_write(t, 100);
	SEND("P. 1:101(100) ack 1 <sack 1001:2001>");
	ACK(10 * MS, 101);
	NOTHING();
}

/* RFC 2883 4.1.1: a segment again that was acknowledged already */
static void rfc2883_4_1_1_again(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 1:1001(1000) ack 1");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 2001 <>");
	RECV(0, ". 1:1001(1000) ack 1");
	SEND(". 1:1(0) ack 2001 <sack 1:1001>");
	NOTHING();
	/* once is enough */
	RECV(0, ". 3001:4001(1000) ack 1");
	SEND(". 1:1(0) ack 2001 <sack 3001:4001>");
	line_read(t, 2000);
	IGNORE();
}

/* RFC 2883 4.1.3: again ahead of a hole: the second block is the range that it is part of. */
static void rfc2883_4_1_3_again_ahead(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 1001:2001(1000) ack 1");
	IGNORE();
	RECV(0, ". 2001:3001(1000) ack 1");
	IGNORE();
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 1001:2001 1001:3001>");
	RECV(0, ". 5001:6001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 5001:6001 1001:3001>");
}

/* The same of a range that is not the latest: it becomes the second block, as in Linux */
static void rfc2883_4_1_3_again_earlier(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1000,sackOK");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 1001:2001>");
	RECV(0, ". 3001:4001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 3001:4001 1001:2001>");
	RECV(0, ". 1001:2001(1000) ack 1");
	SEND(". 1:1(0) ack 1 <sack 1001:2001 1001:2001 3001:4001>");
}

/* RFC 2883 4.2: in part new, in part not */
static void rfc2883_4_2_partly(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 1:1001(1000) ack 1");
	RECV(0, ". 1001:2001(1000) ack 1");
	IGNORE();
	RECV(0, ". 1501:2501(1000) ack 1");
	SEND(". 1:1(0) ack 2501 <sack 1501:2001>");
	RECV(0, ". 3001:4001(1000) ack 1");
	IGNORE();
	RECV(0, ". 3501:4501(1000) ack 1");
	SEND(". 1:1(0) ack 2501 <sack 3501:4001 3001:4501>");
	/* the hole is filled, and more than it */
	RECV(0, ". 2501:3501(1000) ack 1");
	SEND(". 1:1(0) ack 4501 <sack 3001:3501>");
	line_read(t, 4500);
	IGNORE();
}

/* ---- what we are told ------------------------------------------------------------------------ */

/* RFC 2018 5.1: what is SACKed is not sent again. */
static void rfc2018_5_1_holes_only(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:2001");
	SACK(0, 1, "3001:4001 1001:2001");
	SACK(0, 1, "3001:5001 1001:2001");
	SEGMENTS(1, 1);
	SACK(0, 1, "6001:9001 3001:5001 1001:2001");
	SEGMENTS(2001, 1);
	SEGMENTS(5001, 1);
	NOTHING();
	ACK(20 * MS, 10001);
	assert_int_equal(info(t).retransmits, 3);
	NOTHING_FOR(10 * SEC);
}

/* RFC 6675 4, RFC 3042: what is SACKed has left the network, so something new may go. */
static void rfc6675_4_pipe(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 20000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:2001");
	SEGMENTS(10001, 1);
	SACK(0, 1, "1001:3001");
	SEGMENTS(11001, 1);
	assert_int_equal(info(t).retransmits, 0);
	/* they were only late */
	ACK(1 * MS, 3001);
	SEGMENTS(12001, 2);
	ACK(20 * MS, 14001);
	IGNORE();
	ACK(20 * MS, 20001);
	assert_int_equal(info(t).retransmits, 0);
	NOTHING_FOR(10 * SEC);
}

/* A block that covers a segment only in part says nothing about it. */
static void rfc2018_5_1_part(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 5000);
	SEGMENTS(1, 5);
	SACK(20 * MS, 1, "1501:4500");
	/* 2001:4001 are SACKed, two segments; 1001:2001 is not */
	SACK(0, 1, "1501:5001");
	SEGMENTS(1, 1);
	SACK(0, 1, "1001:5001");
	ACK(10 * MS, 5001);
	assert_int_equal(info(t).retransmits, 1);
	NOTHING_FOR(10 * SEC);
}

/* RFC 2018 8: the peer takes it back. It is sent again, after a short while (Linux). */
static void rfc2018_8_reneging(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	SACK(20 * MS, 1, "1001:4001");
	SEGMENTS(1, 1);
	/* the hole is closed, and the rest is gone */
	ACK(20 * MS, 1001);
	SEND_BETWEEN(5 * MS, 15 * MS, ". 1001:2001(1000) ack 1");
	ACK(20 * MS, 2001);
	SEGMENTS(2001, 2);
	ACK(20 * MS, 4001);
	NOTHING_FOR(10 * SEC);
}

/* RFC 2018 5.1: a timeout does not forget what is SACKed (but RFC 2018 8). */
static void rfc6675_5_1_timeout(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 5000);
	SEGMENTS(1, 5);
	SACK(20 * MS, 1, "2001:3001");
	/* RACK's timer: 1 and 1001 are lost, and their retransmissions, too */
	SEND_BETWEEN(2 * MS, 6 * MS, ". 1:1001(1000) ack 1");
	SEND_BETWEEN(0, 300 * MS, ". 1:1001(1000) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 1000);
	ACK(20 * MS, 1001);
	SEGMENTS(1001, 1);
	SEGMENTS(3001, 1);
	ACK(20 * MS, 3001);
	SEGMENTS(4001, 1);
	ACK(20 * MS, 5001);
	NOTHING_FOR(10 * SEC);
}

/* ---- lies ------------------------------------------------------------------------------------ */

static uint64_t lies(struct line *t)
{
	return stats(t).drops[STACK_DROP_TCP_SACK];
}

/* Of what was not sent, of nothing, backwards, everything: counted, and nothing changes. */
static void hostile_not_sent(void **state)
{
	static const char *const blocks[] = {
		"5001:6001", "4001:5001", "3001:5001", "3001:3001", "3001:2001",
		"1001:2147483640", "2147480000:2147480001", "4294960000:4000", "1:4001",
	};
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 4000);
	SEGMENTS(1, 4);
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++) {
		char text[64];

		/* the second, so that it is no DSACK */
		snprintf(text, sizeof(text), "3001:4001 %s", blocks[i]);
		SACK(i == 0 ? 20 * MS : 0, 1, text);
		NOTHING();
	}
	assert_int_equal(lies(t), ARRAY_SIZE(blocks));
	assert_int_equal(info(t).retransmits, 0);
	assert_int_equal(info(t).cwnd_bytes, 10000);
	ACK(0, 4001);
	NOTHING_FOR(10 * SEC);
}

/* DSACK of what was never sent, or of more than a window, and again and again: nothing is undone. */
static void hostile_dsack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:4001");
	SEGMENTS(1, 1);
	assert_int_equal(info(t).ssthresh_bytes, 7000);
	SACK(0, 1, "4286578688:1 1001:4001");
	SACK(0, 1, "4294967295:20001 1001:4001");
	assert_int_equal(lies(t), 2);
	assert_int_equal(stats(t).tcp_undos, 0);
	ACK(20 * MS, 10001);
	assert_int_equal(info(t).cwnd_bytes / 1000, 7);
	NOTHING_FOR(10 * SEC);
}

/* SACKed and un-SACKed in every order, old acknowledgements among them */
static void hostile_mess(void **state)
{
	struct line *t = *state;
	uint64_t seed = 1;

	line_established_passive(t, WITH_SACK);
	line_write(t, 200000);
	IGNORE();
	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int a, b, c, ack;
		char text[64];

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		ack = 1 + i * 20 + (unsigned int)(seed >> 40) % 500;
		a = 1 + (unsigned int)(seed >> 33) % 120000;
		b = a + (unsigned int)(seed >> 45) % 9000;
		c = 1 + (unsigned int)(seed >> 50) * 8;
		snprintf(text, sizeof(text), "%u:%u %u:%u", a, b, c, c + 3000);
		t->now_us += (i % 7) * MS;
		IGNORE();
		SACK(0, ack, text);
		IGNORE();
	}
	tcp_abort(t->s, t->id);
	IGNORE();
}

/*
 * Twenty thousand segments of 100 bytes in flight, every second SACKed in an order made to be
 * slow: an acknowledgement must not cost what the window holds. It takes a tenth of a second; a walk
 * over the list for each block takes a hundred times as long.
 */
static void hostile_far_apart(void **state)
{
	const struct line_config cfg = { .v6 = ((struct line *)*state)->cfg.v6,
					 .sndbuf_bytes = 4 << 20 };
	struct line *t = *state;
	struct tcb_cold *cold;
	clock_t from;

	line_restart(t, &cfg);
	line_established_passive(t, "mss 100,sackOK,wscale 7");
	cold = tcb_cold(t->s, conn_at(t->s, t->id.v));
	cold->cc.cwnd = 10 << 20; /* to grow it would take the test longer than to use it */
	line_write(t, 2000000);
	while (info(t).in_flight_bytes != 2000000) {
		IGNORE();
		stack_link_writable(t->s, t->link);
		line_run(t);
	}
	IGNORE();
	t->now_us += 5 * MS;
	from = clock();
	for (unsigned int i = 0; i < 20000; i++) {
		struct tcb *tcb = conn_at(t->s, t->id.v).t;
		struct tcp_rtx *rtx = tcb_rtx(t->s, tcb);
		struct tcp_news news = { .ack = tcb->snd_una };
		struct tcp_opts opts = { .present = TCP_HAS_SACK, .sack_cnt = 4 };

		for (unsigned int j = 0; j < 4; j++) {
			uint32_t at = (i * 7919 + j * 2500) % 9999 * 200 + 201;

			opts.sack[j].left = tcb->snd_una + at - 1;
			opts.sack[j].right = opts.sack[j].left + 100;
		}
		tcp_sack_input(t->s, conn_at(t->s, t->id.v), rtx, &opts, &news);
	}
	assert_true((double)(clock() - from) / CLOCKS_PER_SEC < 3.0);
	tcp_sanity_all(t->s);
	assert_int_equal(tcb_rtx(t->s, conn_at(t->s, t->id.v).t)->sacked_bytes, 999900);
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* RFC 2883 4.2.1: what overlaps a range in part reports that part, then the whole that it is in. */
static void rfc2883_4_overlap(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	RECV(0, ". 100:200(100) ack 1");
	SEND(". 1:1(0) ack 1 <sack 100:200>");
	RECV(0, ". 300:400(100) ack 1");
	SEND(". 1:1(0) ack 1 <sack 300:400 100:200>");
	RECV(0, ". 50:150(100) ack 1");
	SEND(". 1:1(0) ack 1 <sack 100:150 50:200 300:400>");
	RECV(0, ". 150:250(100) ack 1");
	SEND(". 1:1(0) ack 1 <sack 150:200 50:250 300:400>");
	RECV(0, ". 1:50(49) ack 1");
	SEND(". 1:1(0) ack 250 <sack 300:400>");
	RECV(0, ". 250:350(100) ack 1");
	SEND(". 1:1(0) ack 400 <sack 300:350>");
}

/* RFC 2883 4 of what was believed only: a stranger (RFC 5961 5.2) leaves nothing for the next acknowledgement to report. */
static void rfc2883_4_forged(void **state)
{
	static const struct {
		const char *flags, *ack;
		bool answered;
	} forged[] = {
		{ "P.", "ack 2000000000", true },
		{ "P", "", false },
		{ "SP.", "ack 1", true },
	};
	struct line *t = *state;
	char text[64];

	line_established_passive(t, WITH_SACK);
	RECV(0, "P. 1:101(100) ack 1");
	line_read(t, 100);
	for (unsigned int i = 0, end = 101; i < ARRAY_SIZE(forged); i++, end += 100) {
		t->now_us += 1 * SEC;
		IGNORE();
		snprintf(text, sizeof(text), "%s %u:%u(100) %s", forged[i].flags, end - 50, end + 50,
			 forged[i].ack);
		RECV(0, text);
		snprintf(text, sizeof(text), ". 1:1(0) ack %u <>", end);
		if (forged[i].answered)
			SEND(text);
		snprintf(text, sizeof(text), "P. %u:%u(100) ack 1", end, end + 100);
		RECV(0, text);
		line_read(t, 100);
		snprintf(text, sizeof(text), ". 1:1(0) ack %u <>", end + 100);
		SEND_BETWEEN(0, 200 * MS, text);
	}
}

/* What has an old timestamp is reported in the answer to it (as Linux). */
static void rfc2883_4_old_timestamp(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS);
	RECV(0, "P. 1:101(100) ack 1 <TS val 100 ecr *>");
	line_read(t, 100);
	IGNORE();
	RECV(0, "P. 51:151(100) ack 1 <TS val 99 ecr *>");
	SEND(". 1:1(0) ack 101 <TS val * ecr 100,sack 51:101>");
	assert_int_equal(stats(t).drops[STACK_DROP_TCP_PAWS], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rfc2018_4_latest_first),
		LINE_TEST(rfc2018_3_with_timestamps),
		LINE_TEST(rfc2018_2_not_agreed),
		LINE_TEST(rfc2018_4_in_data),
		LINE_TEST(rfc2883_4_1_1_again),
		LINE_TEST(rfc2883_4_1_3_again_ahead),
		LINE_TEST(rfc2883_4_1_3_again_earlier),
		LINE_TEST(rfc2883_4_2_partly),
		LINE_TEST(rfc2018_5_1_holes_only),
		LINE_TEST(rfc6675_4_pipe),
		LINE_TEST(rfc2018_5_1_part),
		LINE_TEST(rfc2018_8_reneging),
		LINE_TEST(rfc6675_5_1_timeout),
		LINE_TEST(hostile_not_sent),
		LINE_TEST(rfc2883_4_overlap),
		LINE_TEST(rfc2883_4_forged),
		LINE_TEST(rfc2883_4_old_timestamp),
		LINE_TEST(hostile_dsack),
		LINE_TEST(hostile_mess),
		LINE_TEST(hostile_far_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
