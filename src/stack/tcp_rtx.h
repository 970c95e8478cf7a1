// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is in flight, and what happens to it: the sender's half of loss recovery on links that can
 * lose
 *
 *	tcp_sent.c	a record for every segment in flight: the scoreboard
 *	tcp_sack.c	the peer's SACK blocks into it (RFC 2018, 2883); and our own blocks
 *	tcp_rate.c	delivery-rate samples
 *	tcp_rtt.c	round-trip time, retransmission timeout (RFC 6298)
 *	tcp_rack.c	which segments are lost (RFC 8985, 6582), tail loss probes
 *	tcp_recovery.c	one acknowledgement through all of that: states, window
 *	tcp_rtx.c	sending again: what recovery found lost, and timeouts
 *
 * Life of a record
 *
 *	                            marked lost
 *	   sent --> [ flying ] ---------------------> [ lost ]
 *	              |    ^  `--- SACK --> SACKED      |
 *	              |    |                  |         |
 *	              |    `---- sent again --+---------'
 *	              `---- acknowledged -----'---> gone
 *
 * `flying` is kept in the order in which segments were last sent, so that RACK looks at no more
 * than it marks; `lost` in sequence order, as near as it can be had in O(1). All records together
 * are a list in sequence order, without gaps from snd_una to snd_nxt. SACKed neighbours become one
 * record, so a block of the peer's costs as many steps as it brings news. Finding the place of a
 * block is a search tree's work; the tree is made when the first block arrives, so that a flow
 * without loss never pays for it. Whatever a peer claims, an acknowledgement costs O(log n) a block
 * and O(1) for each segment that changes state.
 *
 * What is in the network, RFC 6675's pipe:
 *
 *	snd_nxt - snd_una - sacked - lost + resent
 *
 * where `lost` counts what was marked lost, sent again or not, and `resent` the retransmissions
 * that are in flight. Without SACK each duplicate acknowledgement stands for one segment that has
 * left.
 */
#ifndef VJ_STACK_TCP_RTX_H
#define VJ_STACK_TCP_RTX_H

#include "base/seq.h"
#include "stack/buf.h"
#include "stack/cc.h"
#include "stack/stack.h"

struct conn;
struct tcb;
struct tcb_cold;
struct tcp_opts;

/* tcp_sent.flags */
enum {
	SENT_SACKED = 1 << 0, /* the peer has it; in no list but the one by sequence number */
	SENT_LOST = 1 << 1,   /* marked lost and not heard of since */
	SENT_RETRANS = 1 << 2, /* a retransmission is in flight */
	SENT_EVER = 1 << 3,   /* was sent more than once: says nothing about the round trip (Karn) */
	SENT_APP_LIMITED = 1 << 4, /* the program had no more to send when this left */
	SENT_PUSH = 1 << 5,   /* with PSH, and so again (as Linux) */
};

/* A segment in flight. SENT_SACKED: several of them. */
struct tcp_sent {
	uint32_t next, prev;	 /* by sequence number */
	uint32_t later, earlier; /* in rtx->flying or rtx->lost */
	uint32_t left, right;	 /* in the search tree */
	uint32_t seq, end;	 /* FIN and SYN count */
	uint32_t sent_us;	 /* last time; low bits of the clock, as all times here */
	/* What the connection had delivered when this left: tcp_rate.c */
	uint32_t delivered;
	uint32_t delivered_us;
	uint32_t first_sent_us;
	uint32_t segs; /* how many segments it stands for */
	uint32_t flags;
};

struct sent_list {
	uint32_t head, tail;
};

/* What happens to unacknowledged data; in the order of how bad it is */
enum tcp_rtx_mode {
	RTX_OPEN,     /* nothing lost that we know of */
	RTX_CWR,      /* nothing lost, but the network marks (ECN): the window is reduced, until more
			 than `recover` is acknowledged */
	RTX_RECOVERY, /* fast recovery until snd_una reaches recover */
	RTX_LOSS,     /* timeout: all that the peer does not have is sent again, in slow start */
};

/* What rtx_due_ms is for, while something is in flight */
enum tcp_rtx_due {
	DUE_RTO,
	DUE_REORDER, /* RACK: what is overdue then is lost */
	DUE_PROBE,   /* tail loss probe */
	DUE_RENEGED, /* a timeout, before its time */
};

/* RTX_LOSS: is the timeout believed (RFC 5682)? */
enum tcp_frto {
	FRTO_OFF,      /* it is */
	FRTO_WAIT,     /* the next acknowledgements tell */
	FRTO_NEW_DATA, /* new data goes before anything else is sent again */
};

/* The tail loss probe that is in flight */
enum tcp_probe {
	PROBE_NONE,
	PROBE_NEW,   /* new data */
	PROBE_AGAIN, /* the last segment again */
};

/*
 * While something is unacknowledged on a link that can lose, or a closed window is probed. Made by
 * tcp_rtx_need(), freed when snd_una catches up, or TCP_TUNE_IDLE_MS later if news of duplicates may
 * still come: recovery_idle(). What must outlast it is in struct tcp_tune and tcp_tally. A connection that gets none (no
 * memory) sends nothing and tries again by timer.
 */
struct tcp_rtx {
	uint32_t head, tail; /* struct tcp_sent, by sequence number */
	uint32_t spare;	     /* a record for the next segment; 0: tcp_sent_reserve() gets one */
	uint32_t root;	     /* of the search tree, if `indexed` */
	struct sent_list flying;
	struct sent_list lost;
	uint32_t lost_last; /* the record put in `lost` last, 0: none */
	uint32_t sacked_bytes, lost_bytes, resent_bytes; /* by flags */
	uint32_t sacked_segs;

	uint32_t recover;   /* snd_nxt when the window was reduced, or LOSS began */
	uint32_t fack;	    /* end of the highest that was ever SACKed; not beyond snd_una: none */
	uint32_t dups;	    /* without SACK: segments beyond snd_una that have left the network */
	uint32_t small_end; /* end of the last segment that was not full: Nagle, Minshall */
	uint32_t stuck_ms;  /* `stuck`: since when. Of SYN: since the first left */
	uint32_t closed_ms; /* when the peer said last that its window is closed; `shut`: anything. As yet 0 */
	uint32_t probe_ms;  /* `probing`: since when */
	struct cc_usage usage;
	struct bufq_pos pos; /* where snd_nxt is in sndq */
	struct bufq_pos pos_again; /* ... and what was sent again last */

	/* tcp_rtt.c */
	uint32_t rtt_seq;    /* when this is acknowledged, a round trip is over: time for a sample */
	uint32_t min_rtt_us; /* tcp_rtt_min_us(), at hand; 0: none yet */

	/* tcp_rate.c */
	uint64_t delivered;
	uint64_t app_limited; /* `delivered` at which the sender is not short of data; 0: it isn't */
	uint32_t delivered_us;
	uint32_t first_sent_us;

	/* tcp_rack.c: the segment sent last of those that the peer has */
	uint32_t rack_sent_us;
	uint32_t rack_end;
	uint32_t rack_rtt_us;
	uint64_t rack_round; /* `delivered` when the reordering window was widened last */

	/* Proportional rate reduction: tcp_recovery.c. Bytes since the window is being reduced */
	uint32_t prr_delivered;
	uint32_t prr_out;
	uint32_t prr_cwnd; /* cwnd before */

	/* tcp_undo.c */
	struct cc_saved saved; /* `restore`: for tcp_cc_undo() */
	uint32_t undo_seq;     /* `undo`: snd_una when RECOVERY or LOSS began */
	uint32_t undo_end;     /* snd_nxt when it ended */
	uint32_t undo_bytes;   /* sent again since, and not known to have been for nothing */
	uint32_t first_ts;     /* our timestamp in the first retransmission, if first_ts_valid */

	uint32_t cwr_seq;   /* `cwr`: of the data that said CWR: tcp_ecn.c */
	uint32_t probe_end; /* snd_nxt when the probe had been sent */

	uint8_t mode;	  /* enum tcp_rtx_mode */
	uint8_t due;	  /* enum tcp_rtx_due */
	uint8_t frto;	  /* enum tcp_frto */
	uint8_t probe;	  /* enum tcp_probe */
	uint8_t expiries; /* of the retransmission timer, since snd_una moved; not while `shut` */
	uint8_t probes;	  /* persist: since anything was heard */
	uint8_t soft_err; /* ICMP's: the error if it times out (RFC 1122 4.2.3.9) */
	bool indexed;
	bool resent;	    /* something was sent twice */
	bool rack_valid;    /* rack_* are set */
	bool rack_advanced; /* ... and moved since losses were looked for */
	bool rack_dsack;    /* DSACK seen, the reordering window has not been widened yet */
	bool cwr;	    /* they are in flight */
	bool undo;	    /* the last reduction of the window may turn out a mistake ... */
	bool restore;	    /* ... and then it becomes what it was: the network has not marked */
	bool undo_any;	    /* something was sent again since then */
	bool first_ts_valid;
	bool stuck;   /* something was sent again since snd_una moved */
	bool shut;    /* a timeout met a window that had been taken back, snd_una has not moved since */
	bool probing; /* a closed window has been probed */
};

/* Is the window on its way down? */
static inline bool tcp_rtx_reducing(const struct tcp_rtx *rtx)
{
	return rtx->mode == RTX_CWR || rtx->mode == RTX_RECOVERY;
}

/* tcp_news.flags */
enum {
	NEWS_ADVANCED = 1 << 0,	  /* snd_una moved */
	NEWS_DUP = 1 << 1,	  /* a duplicate acknowledgement (RFC 5681 2) */
	NEWS_SACKED = 1 << 2,	  /* something was SACKed that was not */
	NEWS_RETRANS = 1 << 3,	  /* what it acknowledged was sent more than once, at least in part */
	NEWS_ORIG = 1 << 4,	  /* something sent once, below `recover`, is acknowledged or SACKed */
	NEWS_RENEGED = 1 << 5,	  /* the first record is SACKed: the peer took its word back */
	NEWS_DSACK = 1 << 6,	  /* a retransmission was for nothing */
	NEWS_LOST_AGAIN = 1 << 7, /* a retransmission was lost */
	NEWS_DSACK_PROBE = 1 << 9, /* ... namely the probe */
	NEWS_REORDERED = 1 << 8,  /* something sent once arrived after what was sent later */
};

/* One acknowledgement, while it goes through the files above */
struct tcp_news {
	uint32_t flags;
	uint32_t prior_fack;
	uint32_t ack;	      /* its number, which may be an old one */
	uint32_t acked;	      /* bytes that snd_una moved */
	uint32_t rtt_us;      /* of the last segment newly acknowledged by number; 0: none */
	uint32_t rtt_old_us;  /* of the first */
	uint32_t rtt_sack_us; /* of the first newly SACKed */
	uint32_t delivered_segs; /* newly known to have arrived */
	const uint32_t *ts_ecr; /* NULL: none */
	uint32_t ts_now;	/* ... and what our clock of timestamps says */
	uint32_t reordered;	/* NEWS_REORDERED: the lowest such */
	struct cc_rate rate;
	/* of the segment sent last among those newly delivered: tcp_rate.c */
	uint32_t sample_sent_us, sample_delivered_us, sample_send_us;
	bool sample;
};

static inline void tcp_news_reordered(struct tcp_news *news, uint32_t seq)
{
	if ((news->flags & NEWS_REORDERED) == 0 || seq_lt(seq, news->reordered))
		news->reordered = seq;
	news->flags |= NEWS_REORDERED;
}

/* ---- tcp_sent.c ------------------------------------------------------------------------------ */

/* rtx, made if it isn't there; NULL: no memory */
struct tcp_rtx *tcp_rtx_need(struct stack *s, struct conn c);
/* Everything is acknowledged, or nothing matters any more. */
void tcp_rtx_free(struct stack *s, struct tcb *t);
/* The same for @flight bytes not acknowledged by number */
uint32_t tcp_rtx_pipe_of(const struct tcb *t, const struct tcp_rtx *rtx, uint32_t flight);
/* Bytes believed to be in the network */
uint32_t tcp_rtx_pipe(const struct stack *s, const struct tcb *t);
/* rtx and a record for one segment. Return: false: no memory. */
bool tcp_sent_reserve(struct stack *s, struct conn c);
/* [seq, end) leaves for the first time, in what tcp_sent_reserve() got. @flags: SENT_PUSH or 0 */
void tcp_sent_add(struct stack *s, struct conn c, uint32_t seq, uint32_t end, uint32_t flags);
/* FIN went with the last segment. */
void tcp_sent_add_fin(struct stack *s, struct tcb *t);
/* @idx is sent again, now. */
void tcp_sent_again(struct stack *s, struct tcp_rtx *rtx, uint32_t idx);
void tcp_sent_mark_lost(struct stack *s, struct tcp_rtx *rtx, uint32_t idx);
/* Return: @idx, or the record that it became part of. */
uint32_t tcp_sent_mark_sacked(struct stack *s, struct tcp_rtx *rtx, uint32_t idx);
/*
 * Timeout: the first, and all that was sent @age_us ago or before, is lost but what is SACKed. If the
 * first is, the peer has reneged (RFC 2018 8), and nothing is SACKed any more.
 */
void tcp_sent_mark_all_lost(struct stack *s, struct tcp_rtx *rtx, uint32_t age_us);
/* What is larger than @mss is lost. Return: how many. */
uint32_t tcp_sent_mark_large(struct stack *s, struct tcp_rtx *rtx, uint32_t mss);
/* Nothing was lost after all. */
void tcp_sent_unmark_lost(struct stack *s, struct tcp_rtx *rtx);
/* Let @idx end at @end: split it, or take from lost ones behind it. Return: 0; -ENOMEM. */
int tcp_sent_resize(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t end);
/* The record that @seq is in, or 0. */
uint32_t tcp_sent_find(struct stack *s, struct tcp_rtx *rtx, uint32_t seq);
/* All below snd_una goes; @news is told. */
void tcp_sent_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news);
/* A record is delivered that was not SACKed: clocks and samples. @bytes of it */
void tcp_sent_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			uint32_t bytes, struct tcp_news *news);

/* ---- tcp_sack.c ------------------------------------------------------------------------------ */

/* The blocks of an acknowledgement. snd_una has moved, the records have not. */
void tcp_sack_input(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		    const struct tcp_opts *opts, struct tcp_news *news);
/* How many blocks there are to send */
uint32_t tcp_sack_cnt(const struct stack *s, const struct tcb *t);
/* The first @cnt of them: DSACK, then ranges, the last received first. */
void tcp_sack_blocks(const struct stack *s, const struct tcb *t, uint32_t cnt,
		     struct tcp_opts *ret_opts);
/* They are on their way. */
void tcp_sack_told(const struct stack *s, struct tcb *t);
/* [seq, end) was received a second time: the next acknowledgement says so (RFC 2883). */
void tcp_sack_duplicate(struct stack *s, struct tcb *t, uint32_t seq, uint32_t end);

/* ---- tcp_rate.c ------------------------------------------------------------------------------ */

void tcp_rate_sent(struct stack *s, struct tcp_rtx *rtx, struct tcp_sent *rec);
void tcp_rate_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			uint32_t bytes, struct tcp_news *news);
/* news->rate is complete but for `in_flight`. */
void tcp_rate_finish(struct tcp_rtx *rtx, struct tcp_news *news);
/* The program has no more to send, and the window would let it. */
void tcp_rate_app_limited(const struct stack *s, const struct tcb *t, struct tcp_rtx *rtx);

/* ---- tcp_rtt.c ------------------------------------------------------------------------------- */

/* RFC 6298 with Linux's floor: srtt + max(4 rttvar, 200 ms), without back-off */
uint32_t tcp_rto_ms(const struct stack *s, struct conn c);
/* The same with it */
uint32_t tcp_rto_backed_off_ms(const struct stack *s, struct conn c);
/* @ms, doubled @backoff times, at most TCP_RTO_MAX_MS */
uint32_t tcp_backed_off_ms(uint32_t ms, uint32_t backoff);
/* A round trip took @rtt_us. */
void tcp_rtt_sample(struct tcb_cold *cold, uint32_t rtt_us);
/* The shortest in the last minutes; 0: none */
uint32_t tcp_rtt_min_us(const struct stack *s, struct conn c);
/* A connection of ours stands: what its SYN measured is the shortest as yet. */
void tcp_rtt_handshake(struct stack *s, struct conn c);
/* What @news says of the round trip. */
void tcp_rtt_update(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news);

/* ---- tcp_rack.c ------------------------------------------------------------------------------ */

/* The peer has @rec: it is newly acknowledged or SACKed. */
void tcp_rack_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			const struct tcp_news *news);
/* Mark what is lost by now; set a timer for what may be. */
void tcp_rack_detect(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news);
/* The timer for it. Return: true: it is set again. */
bool tcp_rack_timeout(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news);
uint32_t tcp_rack_window_us(const struct stack *s, struct conn c);
/* What was sent once at @seq arrived after @fack: this path reorders. */
void tcp_rack_reordered(struct stack *s, struct conn c, uint32_t seq, uint32_t fack);
/* How many segments may overtake one before it counts as lost */
uint32_t tcp_reordering(const struct stack *s, const struct tcb *t);
/* The reordering window gets wider with DSACK ... */
void tcp_rack_adapt(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news);
/* ... and a recovery is over without. */
void tcp_rack_recovered(struct stack *s, struct conn c);
/* ms to wait for an acknowledgement before a probe; 0: none may be sent */
uint32_t tcp_probe_ms(const struct stack *s, struct conn c);
void tcp_probe_timeout(struct stack *s, struct conn c, struct tcp_rtx *rtx);
/* What @news says about the probe. */
void tcp_probe_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		     const struct tcp_news *news);

/* ---- tcp_undo.c ------------------------------------------------------------------------------ */

/* The window is reduced. */
void tcp_undo_begin(struct tcp_rtx *rtx, uint32_t una);
/* @bytes are sent again. */
void tcp_undo_resent(const struct stack *s, const struct tcb *t, struct tcp_rtx *rtx,
		     uint32_t bytes);
/* [left, right) was received twice. */
void tcp_undo_dsack(struct tcp_rtx *rtx, uint32_t left, uint32_t right);
/* Does @news, which acknowledges something new, show that nothing was lost? */
bool tcp_undo_may(const struct tcp_rtx *rtx, const struct tcp_news *news);
/* The same of a partial acknowledgement: that what it acknowledges was not lost */
bool tcp_undo_partial_may(const struct tcp_rtx *rtx, const struct tcp_news *news);
/* Give the window back, unless the network has marked meanwhile; @unmark: what is marked lost is in flight. */
void tcp_undo(struct stack *s, struct conn c, struct tcp_rtx *rtx, bool unmark);
/* Return: true: all that was sent again was for nothing, and the window is what it was. */
bool tcp_undo_by_dsack(struct stack *s, struct conn c, struct tcp_rtx *rtx);
/* RTX_LOSS. Return: true: the timeout was a mistake. */
bool tcp_frto_acked(struct tcb *t, struct tcp_rtx *rtx, const struct tcp_news *news);
/* Is it new data's turn? */
bool tcp_frto_holds(const struct tcp_rtx *rtx);
/* New data has been sent, as far as it could be. */
void tcp_frto_sent(const struct tcb *t, struct tcp_rtx *rtx);

/* ---- tcp_recovery.c -------------------------------------------------------------------------- */

/* What a segment says to recovery */
struct tcp_ack {
	uint32_t ack;		     /* its number; may be an old one */
	bool dup;		     /* RFC 5681 2 */
	const struct tcp_opts *opts; /* NULL: none with SACK blocks */
	const uint32_t *ts_ecr;	     /* NULL: none */
	bool ece;		     /* it says that CE was met on the way */
	bool syn;		     /* it is the first for our SYN-ACK */
};

/* An acknowledgement, after snd_una moved from @prior_una: RTT, losses, congestion window */
void tcp_recovery_ack(struct stack *s, struct conn c, uint32_t prior_una,
		      const struct tcp_ack *ack);
/* It has been quiet for TCP_TUNE_IDLE_MS. */
void tcp_recovery_forget(struct stack *s, struct conn c);
/* The timer for segments that are overdue */
void tcp_recovery_reorder(struct stack *s, struct conn c, struct tcp_rtx *rtx);
/* The network has marked something of this window. */
void tcp_recovery_ecn(struct stack *s, struct conn c, struct tcp_rtx *rtx);
/* A probe hid a loss: the window pays for it. */
void tcp_recovery_probe_repaired(struct stack *s, struct conn c, struct tcp_rtx *rtx);
/* The retransmission timer: the window, and what is lost */
void tcp_recovery_timeout(struct stack *s, struct conn c);
/* Too large for the path are all segments of more than mss: send them again (RFC 1191 6.5). */
void tcp_recovery_mtu(struct stack *s, struct conn c);

/* ---- tcp_rtx.c ------------------------------------------------------------------------------- */

/* The retransmission timer fired. Return: false: the connection is gone. */
bool tcp_rtx_timeout(struct stack *s, struct conn c);
/* The peer has been heard, and acknowledges nothing new. */
void tcp_rtx_heard(struct stack *s, struct conn c);
/* SYN or SYN-ACK was not answered. Return: false: the connection is gone. */
bool tcp_rtx_syn_timeout(struct stack *s, struct conn c);
/* Persist timer. Return: false: the connection is gone. */
bool tcp_rtx_persist(struct stack *s, struct conn c);
/* Send @idx again, now. Return: 0; -EAGAIN: no frame; -ENOMEM. */
int tcp_rtx_send(struct stack *s, struct conn c, uint32_t idx);
/* What is lost and the window lets go. Return: 0; -EAGAIN: no frame. */
int tcp_rtx_output(struct stack *s, struct conn c);

#endif
