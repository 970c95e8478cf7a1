// SPDX-License-Identifier: BSD-2-Clause
/*
 * Answers that strangers can provoke: challenge ACKs (RFC 5961), acknowledgements of what lies
 * outside the window, SYN-ACKs for a SYN that comes again
 *
 * Two limits. A connection gives one such answer in TCP_ANSWER_EVERY_MS (Linux's
 * tcp_invalid_ratelimit): two ends that disagree would else answer each other's answers at the
 * speed of the wire. When it answered last stands in a small table and not in the connection, which
 * has no room for what nearly none needs; two connections that share a place are limited less, and
 * never more.
 *
 * All connections together have a quota a second (RFC 5961 7). It is drawn anew each second:
 * whoever shares a fixed one with a connection can count what is left of it, and so learns whether
 * a guess made that connection answer (CVE-2016-5696).
 */
#include "stack/tcp.h"

bool tcp_answered_lately(struct stack *s, uint32_t id)
{
	struct tcp_answered *slot = &s->tcp->answered[id % TCP_ANSWERED_SLOTS];
	uint32_t now_ms = tcp_now_ms(s);

	if (slot->id == id && now_ms - slot->ms < TCP_ANSWER_EVERY_MS) {
		s->stats.tcp_answers_skipped++;
		return true;
	}
	*slot = (struct tcp_answered){ .id = id, .ms = now_ms };
	return false;
}

void tcp_answered_forget(struct stack *s, uint32_t id)
{
	struct tcp_answered *slot = &s->tcp->answered[id % TCP_ANSWERED_SLOTS];

	if (slot->id == id)
		slot->id = 0;
}

static bool challenge_in_quota(struct stack *s)
{
	struct rate_limit *limit = &s->tcp->challenge;

	if (s->now_us - limit->last_us >= US_PER_SEC || limit->last_us == 0) {
		limit->last_us = s->now_us;
		limit->tokens = TCP_CHALLENGES_PER_S / 2 +
				(uint32_t)prng_below(&s->prng, TCP_CHALLENGES_PER_S);
	}
	if (limit->tokens == 0) {
		s->stats.tcp_answers_skipped++;
		return false;
	}
	limit->tokens--;
	return true;
}

void tcp_challenge(struct stack *s, struct conn c)
{
	if (tcp_answered_lately(s, c.id) || !challenge_in_quota(s))
		return;
	s->stats.tcp_challenges++;
	tcp_send_ack(s, c);
}
