// SPDX-License-Identifier: BSD-2-Clause
/*
 * What outlasts a flight: how much to offer, when to acknowledge, what to expect of the path
 */
#ifndef VJ_STACK_TCP_TUNE_H
#define VJ_STACK_TCP_TUNE_H

#include "base/types.h"

struct conn;
struct stack;
struct tcb;
struct tcp_ext;

/*
 * What a connection has learned about its peer and path that outlasts a flight: when to acknowledge
 * (tcp_delack.c), how much to offer (tcp_tune.c), what to expect. On links that can lose; made by the first
 * segment after a pause, freed after TCP_TUNE_IDLE_MS without one. Times are the low bits of the
 * clock.
 */
struct tcp_tune {
	/* Shortest round trip: tcp_rtt.c. Since min_rtt_ms, and in the time before; 0: none */
	uint32_t min_rtt_us;
	uint32_t min_rtt_prev_us;
	uint32_t min_rtt_ms;
	uint32_t snd_wnd_max; /* largest window that the peer has offered; may be without the last */
	uint32_t window_max; /* what the receive buffer can carry now */
	uint32_t ssthresh;   /* most that is offered, as yet: grows with what arrives */
	uint32_t rtt_us;     /* as the receiver sees it, smoothed; 0: not measured yet */
	uint32_t rtt_seq;    /* without timestamps: when this arrives a window has gone by ... */
	uint32_t rtt_at_us;  /* ... since then; 0: not begun */
	uint32_t ts_ecr;     /* the last that was measured by */
	uint32_t read_seq;   /* where the program's reading was ... */
	uint32_t read_at_us; /* ... then, when this round trip began */
	uint32_t read_bytes; /* most that it has read in one round trip */
	uint32_t data_in_ms;
	uint32_t data_out_ms;
	uint32_t ack_in_ms;
	uint32_t ack_out_ms;
	uint16_t rcv_mss;  /* estimate of the peer's full segment: what two of need an ACK */
	uint16_t last_len; /* of a segment that was smaller */
	uint16_t ato_ms;   /* how long an acknowledgement waits; 0: no data yet */
	uint8_t quick;	   /* acknowledgements that do not wait at all */
	uint8_t small;	   /* segments smaller than rcv_mss since the last ACK, up to 2 */
};

/* ---- tcp_tune.c: buffers and windows --------------------------------------------------------- */

/* Bytes of sndq that the program may fill */
uint32_t tcp_sndbuf(const struct stack *s, struct conn c);
/*
 * How much more of it, of a write of @len bytes: on a link that cannot lose all of one that finds nothing queued, up to wmem.max, unless what it says has to be
 * kept until somebody accepts it. So it is on Linux's loopback, and who is told of a part comes back with the rest, and may have copied it again (hiredis).
 * Larger ones, and those that sndq has room for, go into frames piece by piece, without a copy in sndq.
 */
uint32_t tcp_sndbuf_room(const struct stack *s, struct conn c, size_t len);
/* The largest window that the receive buffer, as it is now, allows */
uint32_t tcp_rcvbuf(const struct stack *s, struct conn c);
/* A third of the send buffer is free: as Linux's sk_stream_is_writeable() */
bool tcp_is_writable(const struct stack *s, struct conn c);
/* Tell the program, if it waits for that. */
void tcp_writable(struct stack *s, struct conn c);
/* On a link that cannot lose: is the send buffer full, and would TCP_STUCK_MS of a shut window make it larger? */
bool tcp_sndbuf_may_grow(const struct stack *s, struct conn c);
/* They are over. Return: true: it is larger from now on. */
bool tcp_sndbuf_grow(struct stack *s, struct conn c);
/* TCP_URG from a peer on a link that cannot lose: there is room for all that it may have. */
void tcp_rcvbuf_take_all(struct stack *s, struct conn c);
/* The window in SYN, which is never scaled (RFC 7323 2.2) */
uint16_t tcp_syn_window(const struct stack *s, struct conn c);
/* The same where there is no connection, on a link that can lose; @ext: the listener's */
uint16_t tcp_syn_window_of(const struct stack *s, const struct tcp_ext *ext, uint32_t mss,
			   bool timestamps);
/* The window to offer now on a link that can lose; moves rcv_adv. Return: as it stands in the header. */
uint16_t tcp_window_lossy(struct stack *s, struct conn c);
/* Would a window update now be worth a segment, as it doubles what the peer has left? */
bool tcp_window_opens(const struct stack *s, struct conn c);
/* tune, made if it isn't there; NULL: no memory */
struct tcp_tune *tcp_tune_need(struct stack *s, struct conn c);
/* Not needed any more: closed, or idle */
void tcp_tune_free(struct stack *s, struct conn c);
/* What would be in tune, with defaults if it isn't there */
void tcp_tune_get(const struct stack *s, struct conn c, struct tcp_tune *ret_tune);
/* @len bytes of payload have arrived; @ts_ecr: what the segment echoes, 0: nothing */
void tcp_tune_arrived(struct stack *s, struct conn c, struct tcp_tune *tune, uint32_t len,
		      uint32_t ts_ecr);
/* The program has read. */
void tcp_tune_read(struct stack *s, struct conn c);

/* ---- tcp_delack.c: when to acknowledge, on links that can lose ------------------------------- */

/* What it wants to know of a segment with payload */
struct tcp_arrival {
	uint32_t len;	  /* payload */
	uint32_t hdr_len; /* TCP's */
	uint32_t ts_ecr;  /* 0: none */
	uint8_t flags;
};
/* It arrived in order; rcv_nxt has moved. */
void tcp_delack_in_order(struct stack *s, struct conn c, const struct tcp_arrival *a);
/* It arrived ahead of a hole. */
void tcp_delack_ahead(struct stack *s, struct conn c, const struct tcp_arrival *a);
/* Something is wrong on the way to us: the next acknowledgements are not to wait. */
void tcp_delack_quick(struct stack *s, struct conn c);
/* A segment goes out, @len bytes of payload from @seq on: counts, and it acknowledges. */
void tcp_delack_sent(struct stack *s, struct conn c, uint32_t seq, uint32_t len);
/* Have data arrived lately, so that it is known how long an acknowledgement may wait? */
bool tcp_delack_knows(const struct stack *s, struct conn c);
/* Any segment of a synchronized connection arrived. */
void tcp_delack_seen(struct stack *s, struct conn c);
/*
 * MAX.SND.WND of RFC 5961 5.2 and Max(SND.WND) of RFC 9293 3.8.6.2.1: the largest window that the
 * peer has offered, in bytes. After a pause, since then; on links that cannot lose, now.
 */
uint32_t tcp_snd_wnd_max(const struct stack *s, struct conn c);
/* How long an acknowledgement may wait now, in ms */
uint32_t tcp_delack_ms(const struct stack *s, struct conn c);
/* It has waited as long as it may, and nothing carried it. */
void tcp_delack_expired(struct stack *s, struct conn c);
/* The program has read: is what it read to be acknowledged at once? */
bool tcp_delack_read(const struct stack *s, struct conn c);

#endif
