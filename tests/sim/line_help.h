// SPDX-License-Identifier: BSD-2-Clause
/*
 * What line tests share. Segments are of 1000 bytes; for macros, `struct line *t` is in scope.
 */
#ifndef VJ_TESTS_SIM_LINE_HELP_H
#define VJ_TESTS_SIM_LINE_HELP_H

#include "stack/tcp.h"
#include "tests/sim/tcp_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Options of the peer's SYN */
#define WITH_SACK "mss 1000,sackOK,wscale 7"
#define WITH_SACK_TS "mss 1012,sackOK,wscale 7,TS val 10 ecr 0"
#define WITH_TS "mss 1012,wscale 7,TS val 10 ecr 0"
#define WITHOUT "mss 1000,wscale 7"

static inline struct tcp_info info(struct line *t)
{
	struct tcp_info ret;

	tcp_info(t->s, t->id, &ret);
	return ret;
}

static inline struct stack_stats stats(struct line *t)
{
	struct stack_stats ret;

	stack_stats(t->s, &ret);
	return ret;
}

/* Begin anew on a link that cannot lose, as a channel between two programs */
static inline void line_direct(struct line *t)
{
	struct line_config cfg = {
		.v6 = t->cfg.v6,
		.mss = 4000,
		.link_flags = LINK_NO_LOSS | LINK_NO_CSUM,
	};

	line_restart(t, &cfg);
}

/* The stack must take and know it. */
static inline void option(struct line *t, enum tcp_option opt, uint64_t value)
{
	assert_int_equal(tcp_option_set(t->s, t->id, opt, value), 0);
}

static inline uint64_t option_get(struct line *t, enum tcp_option opt)
{
	uint64_t value = 99;

	assert_int_equal(tcp_option_get(t->s, t->id, opt, &value), 0);
	return value;
}

/* @cnt full segments from byte @from on are sent, of new data or again. */
static inline void send_segments_at(struct line *t, const char *file, int line, unsigned int from,
				    unsigned int cnt)
{
	char text[64];

	for (unsigned int i = 0; i < cnt; i++) {
		snprintf(text, sizeof(text), ". %u:%u(1000) ack 1", from + i * 1000,
			 from + (i + 1) * 1000);
		line_send(t, file, line, 0, 0, text);
	}
}
#define SEGMENTS(from, cnt) send_segments_at(t, __FILE__, __LINE__, from, cnt)

/* The peer acknowledges @ack, and SACKs @blocks ("A:B C:D"). */
static inline void recv_sack_at(struct line *t, const char *file, int line, uint64_t delay_us,
				unsigned int ack, const char *blocks)
{
	char text[128];

	snprintf(text, sizeof(text), ". 1:1(0) ack %u <sack %s>", ack, blocks);
	line_recv(t, file, line, delay_us, text);
}
#define SACK(delay_us, ack, blocks) recv_sack_at(t, __FILE__, __LINE__, delay_us, ack, blocks)

/* ... and nothing else */
static inline void recv_ack_at(struct line *t, const char *file, int line, uint64_t delay_us,
			       unsigned int ack)
{
	char text[64];

	snprintf(text, sizeof(text), ". 1:1(0) ack %u", ack);
	line_recv(t, file, line, delay_us, text);
}
#define ACK(delay_us, ack) recv_ack_at(t, __FILE__, __LINE__, delay_us, ack)

/* ... @cnt times, now */
static inline void recv_acks_at(struct line *t, const char *file, int line, unsigned int ack,
				unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++)
		recv_ack_at(t, file, line, 0, ack);
}
#define ACKS(ack, cnt) recv_acks_at(t, __FILE__, __LINE__, ack, cnt)

#endif
