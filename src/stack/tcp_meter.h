// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a connection counts about itself. It is told (tcp_info()), and never decides anything, but
 * for the age of ts_recent.
 *
 *	struct tcp_tally	links that can lose, from establishment on
 *	struct tcp_meter	... from the first data sent on
 *	struct tcp_drops	any link, from the first segment on that was dropped
 *
 * Each is made when it is needed; without memory nothing is counted.
 */
#ifndef VJ_STACK_TCP_METER_H
#define VJ_STACK_TCP_METER_H

#include "stack/stack.h"

struct conn;
struct tcp_ack;
struct tcp_news;

/*
 * What a connection on a link that can lose has counted since it was established. Aligned
 * to 4, so that it has no hole at its end: there are millions.
 */
struct tcp_tally {
	uint64_t bytes_rcvd;  /* in order */
	uint64_t bytes_acked; /* by the peer; SYN of an active opening and FIN count, as in Linux */
	uint64_t bytes_retrans;
	uint32_t segs_in;
	uint32_t segs_out;
	uint32_t data_segs_in;
	uint32_t data_segs_out; /* sent again included */
	uint32_t ooo_segs;	/* received ahead of a hole */
	uint32_t meter;		/* struct tcp_meter, 0: none */
	uint32_t ts_recent_s;	/* second in which tcb.ts_recent was set */
} VJ_PACKED VJ_ALIGNED(4);

/* What keeps the sender from being faster. Only the first is no time in which it is busy. */
enum tcp_limit {
	LIMIT_NONE,   /* nothing to send, nothing in flight */
	LIMIT_PATH,   /* the network: congestion window, pacing, round trip */
	LIMIT_WINDOW, /* the window that the peer offers */
	LIMIT_SNDBUF, /* all has been sent, and the program would have more if it found room */
	LIMIT_CNT,
};

/* What the sender has measured; kept while nothing is in flight */
struct tcp_meter {
	uint32_t limited_ms[LIMIT_CNT - 1]; /* by enum tcp_limit but the first, until since_ms */
	uint32_t since_ms;
	uint32_t delivered; /* segments that the peer has, FIN included, SYN not */
	uint32_t delivered_ce;
	/* The last rate sample that the path limited, or one since then that is faster yet: tcp_rate.c */
	uint32_t rate_bytes;
	uint32_t rate_us; /* 0: none */
	uint8_t limit; /* enum tcp_limit, now */
	bool rate_app_limited;
};

/* Segments of this connection that were dropped, by reason. None of the reasons before the first */
enum { TCP_DROP_FIRST = STACK_DROP_TCP_BAD, TCP_DROP_CNT = STACK_DROP_CNT - TCP_DROP_FIRST };
struct tcp_drops {
	uint32_t cnt[TCP_DROP_CNT];
};

/* ---- tcp_meter.c ----------------------------------------------------------------------------- */

/* It is established, on a link that can lose. */
void tcp_tally_begin(struct stack *s, struct conn c);
/* Something was queued, sent or acknowledged, on such a link: what limits now? */
void tcp_meter_note(struct stack *s, struct conn c);
/* It is over: nothing limits any more. */
void tcp_meter_stop(struct stack *s, struct conn c);
/* One acknowledgement; tcp_rate_finish() was called. */
void tcp_meter_acked(struct stack *s, struct conn c, const struct tcp_news *news,
		     const struct tcp_ack *ack);
/* stack_drop() for a segment of this connection. @why: from TCP_DROP_FIRST on */
void tcp_drop(struct stack *s, struct conn c, enum stack_drop why);
/* All of the above, to the pools */
void tcp_meter_free(struct stack *s, struct conn c);
/* What of it tcp_info() tells */
void tcp_meter_info(const struct stack *s, struct conn c, struct tcp_info *info);

#endif
