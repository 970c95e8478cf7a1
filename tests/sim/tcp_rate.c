// SPDX-License-Identifier: BSD-2-Clause
/*
 * Delivery-rate samples (draft-cheng-iccrg-delivery-rate-estimation), as congestion control gets them
 */
#include "tests/sim/line_help.h"

static struct tcp_rtx *rtx_of(struct line *t)
{
	return tcb_rtx(t->s, conn_at(t->s, t->id.v).t);
}

/* The record of the segment that begins at byte @off */
static struct tcp_sent *sent_of(struct line *t, uint32_t off)
{
	return tcp_sent_at(t->s, tcp_sent_find(t->s, rtx_of(t), t->isn + off));
}

/* The sample that an acknowledgement of @rec alone would give now; nothing of it stays. */
static struct cc_rate sample(struct line *t, const struct tcp_sent *rec)
{
	struct tcp_rtx rtx = *rtx_of(t);
	struct tcp_news news = { .flags = NEWS_ADVANCED };

	stack_now(t->s, t->now_us);
	tcp_rate_delivered(t->s, &rtx, rec, rec->end - rec->seq, &news);
	tcp_rate_finish(&rtx, &news);
	return news.rate;
}

/* 3.3: what was delivered between the sending of a segment and its acknowledgement, and its time */
static void rate_3_3_sample(void **state)
{
	struct line *t = *state;
	struct cc_rate rate;

	line_established_passive(t, WITH_SACK);
	line_write(t, 30000);
	SEGMENTS(1, 10);
	ACK(20 * MS, 5001);
	SEGMENTS(10001, 10);
	assert_int_equal(rtx_of(t)->delivered, 1 + 5000); /* SYN */
	ACK(10 * MS, 10001);
	IGNORE();
	t->now_us += 15 * MS;
	/* sent after 5000 had been delivered, 25 ms ago; since then 5000, and itself */
	rate = sample(t, sent_of(t, 10001));
	assert_int_equal(rate.prior_delivered, 1 + 5000);
	assert_int_equal(rate.delivered, 1 + 11000);
	assert_int_equal(rate.delivered_bytes, 6000);
	assert_int_equal(rate.interval_us, 25 * MS);
	assert_int_equal(rate.acked_sacked, 1000);
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* 3.3: less than the shortest round trip cannot be: no sample */
static void rate_3_3_too_short(void **state)
{
	struct line *t = *state;
	struct cc_rate rate;

	line_established_passive(t, WITH_SACK);
	line_write(t, 30000);
	SEGMENTS(1, 10);
	ACK(20 * MS, 5001);
	IGNORE();
	assert_int_equal(rtx_of(t)->min_rtt_us, 10 * MS); /* the handshake's */
	sent_of(t, 10001)->first_sent_us += 20000; /* as if sent again just now */
	t->now_us += 5 * MS;
	rate = sample(t, sent_of(t, 10001));
	assert_int_equal(rate.interval_us, 0);
	assert_int_equal(rate.delivered_bytes, 0);
	tcp_abort(t->s, t->id);
	IGNORE();
}

/* SACKed counts when it is SACKed, and not a second time. */
static void rate_3_3_sacked_once(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 10000);
	SEGMENTS(1, 10);
	SACK(20 * MS, 1, "1001:3001");
	assert_int_equal(rtx_of(t)->delivered, 1 + 2000); /* SYN */
	ACK(1 * MS, 4001);
	assert_int_equal(rtx_of(t)->delivered, 1 + 4000); /* SYN */
	ACK(0, 10001);
	NOTHING_FOR(10 * SEC);
}

/* 3.4: who had nothing to send shows nothing about the path. */
static void rate_3_4_app_limited(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK);
	line_write(t, 3000);
	SEGMENTS(1, 3);
	assert_true((sent_of(t, 2001)->flags & SENT_APP_LIMITED) != 0);
	ACK(20 * MS, 1001);
	line_write(t, 40000); /* the bubble is still in flight */
	IGNORE();
	assert_true((sent_of(t, 4001)->flags & SENT_APP_LIMITED) != 0);
	ACK(20 * MS, 5001); /* ... and has passed */
	IGNORE();
	assert_false((sent_of(t, 13001)->flags & SENT_APP_LIMITED) != 0);
	tcp_abort(t->s, t->id);
	IGNORE();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(rate_3_3_sample),
		LINE_TEST(rate_3_3_too_short),
		LINE_TEST(rate_3_3_sacked_once),
		LINE_TEST(rate_3_4_app_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
