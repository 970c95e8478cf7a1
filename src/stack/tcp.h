// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP (RFC 9293) from the inside: the connection block, and what the tcp_*.c files offer each other
 *
 * Theory of operation
 *
 * A connection is a `struct tcb` of two cache lines, 8 bytes in the flow table and, unless it is over IPv4
 * on a link that cannot lose, a `struct tcb_cold` of one line. Everything else exists only while it is needed: buffers while data
 * waits, a `struct tcp_rtx` while something is unacknowledged on a link that can lose, a `struct
 * tcp_ext` for connections with options of their own or with segments out of order.
 *
 * A segment comes in through tcp_in.c: header prediction first, then the steps of RFC 9293
 * 3.10.7.4, one function each. What it makes possible (an acknowledgement that is due, data that
 * may go) is noted with stack_output_later() and goes out in stack_run(), so that an answer of the
 * program in between carries it. An acknowledgement that may wait is only noted in
 * tcp_global.owing, and gets a timer (NO_LOSS: a place in a queue) in stack_run() if it is still owed then. Duplicates and
 * segments out of order are acknowledged at once, since the peer counts those answers.
 *
 * Two kinds of link
 *
 * Links that can lose: all of the RFCs. Data stays in sndq until acknowledged; timers, congestion
 * control.
 *
 * LINK_NO_LOSS: a frame that was put is delivered, in order. So
 *
 *	- sndq holds only what could not be sent yet; data and FIN are never sent again
 *	- no timestamps, no round-trip measurement, no Nagle, no keep-alive (the link says when the
 *	  peer dies), no TIME_WAIT (there are no old duplicates)
 *	- no congestion window: a direct channel has no queue that others share, and the window that
 *	  the receiver offers is the only bound
 *	- SYN is repeated, since a full backlog drops it; a closed window is probed, with back-off
 *	- what was offered room is always taken: a receiver without memory resets the connection
 *	  instead of dropping, and a reset that finds no frame waits for one
 *
 * A peer that does not run for seconds sees each byte once.
 *
 * Sequence space, lossy link:
 *
 *	        sndq: |<---------------- sndq.bytes ---------------->|
 *	  acknowledged|   in flight           |      not sent        | FIN
 *	--------------+-----------------------+----------------------+---
 *	           snd_una                 snd_nxt
 *
 *	       rcvq   |                       |   still offered      |
 *	--------------+-----------------------+----------------------+---
 *	           rcv_acked               rcv_nxt                 rcv_adv
 */
#ifndef VJ_STACK_TCP_H
#define VJ_STACK_TCP_H

#include "base/bits.h"
#include "base/seq.h"
#include "base/time.h"
#include "stack/cc.h"
#include "stack/ip_out.h"
#include "stack/pkt.h"
#include "stack/stack.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/tcp_meter.h"
#include "stack/tcp_rtx.h"
#include "stack/tcp_tune.h"
#include "wire/tcp.h"

/* ---- limits: Linux's defaults unless said otherwise ------------------------------------------ */

#define TCP_RTO_INIT_MS 1000u /* RFC 6298 2.1 */
#define TCP_RTO_MIN_MS 200u   /* less than RFC 6298 2.4 says, as everybody does */
#define TCP_RTO_MAX_MS 120000u
#define TCP_SYN_RETRIES 6    /* 127 s */
#define TCP_SYNACK_RETRIES 5 /* 63 s */
#define TCP_RETRIES 15	     /* 924 s at the least */
#define TCP_ORPHAN_RETRIES 8 /* nobody waits any more */
#define TCP_REORDERING 3u /* RFC 5681: DupThresh */
#define TCP_REORDERING_MAX 300u
#define TCP_RACK_PERSIST 16u /* recoveries that a wider reordering window lasts */
#define TCP_DELACK_MS 40u
#define TCP_DELACK_MAX_MS 200u
#define TCP_QUICKACKS 16
#define TCP_TUNE_IDLE_MS 60000u
#define TCP_TS_RECENT_S (24u * 24 * 3600) /* RFC 7323 5.5 */
#define TCP_MIN_RTT_MS 300000u /* a path may have changed that long after its shortest round trip */
#define TCP_FIN_WAIT_2_MS 60000u
#define TCP_TIME_WAIT_MS 60000u
#define TCP_TW_BLOCK_MS 1000u /* of it in a block; the rest folded */
#define TCP_TW_ID (1u << 31)  /* in the flow table: not a block, but a folded one */
#define TCP_KEEPIDLE_S 7200u
#define TCP_KEEPINTVL_S 75u
#define TCP_KEEPCNT 9u
#define TCP_MSS_DEFAULT 536u /* RFC 9293 3.7.1, without the option */
#define TCP_MSS_DEFAULT_V6 1220u
#define TCP_MSS_MIN 48u			/* a peer that offers less gets this (CVE-2019-11479) */
#define TCP_BUF_MIN 2048u
#define TCP_BUF_MAX (1u << 30) /* a window needs to stay below 2^30 (RFC 7323 2.3) */
#define TCP_OOO_MAX 256	       /* disjoint ranges waiting for a hole to close */
#define TCP_OWING_MAX 256
#define TCP_OWED_MAX 16384u
#define TCP_CHALLENGES_PER_S 1000 /* RFC 5961 7, for the stack, on average */
#define TCP_ANSWER_EVERY_MS 500	  /* ... and for one connection */
#define TCP_ANSWERED_SLOTS 512
#define TCP_RTO_FALLBACK_MS 3000u /* RFC 6298 5.7: the handshake measured nothing */
#define TCP_ISN_GAP 65537u	  /* between the numbers of an old connection and a new one */

/* ---- the connection block -------------------------------------------------------------------- */

/*
 * tcb.flags. Who sets, who clears, what it means; "output" is tcp_out.c.
 */
enum {
	TF_V6 = 1 << 0,	     /* addresses are in tcb_cold; constant */
	TF_NO_LOSS = 1 << 1, /* the link cannot lose, see above; constant */
	TF_TS = 1 << 2,	     /* timestamps: offered in SYN_SENT, agreed from SYN_RECEIVED on */
	TF_SACK = 1 << 3,    /* SACK, likewise */
	TF_OWNED = 1 << 4, /* the program holds the id: it gets events, the block outlives CLOSED */
	TF_EMBRYO = 1 << 5,	 /* passive, before tcp_accept(); event.cookie: the listener */
	TF_NODELAY = 1 << 6,	 /* TCP_OPT_NODELAY */
	TF_CORK = 1 << 7,	 /* TCP_OPT_CORK */
	TF_MORE = 1 << 8,	 /* the last tcp_send() said TCP_SEND_MORE */
	TF_PINGPONG = 1 << 9,	 /* the program answers: ACKs may wait for it; not QUICKACK */
	TF_KEEPALIVE = 1 << 10,	 /* TCP_OPT_KEEPALIVE; ext is there */
	TF_ACK_OWED = 1 << 11,	 /* rcv_nxt moved since the last segment sent */
	TF_ACK_NOW = 1 << 12,	 /* ... and the acknowledgement must not wait */
	TF_ACK_TIMER = 1 << 13,	 /* ack_tick is armed */
	TF_RTX_TIMER = 1 << 14,	 /* rtx_due_ms is armed; what for depends on state: tcp_timer.c */
	TF_PERSIST = 1 << 15,	 /* ... for a probe: data waits for the window, or is corked */
	TF_FIN_QUEUED = 1 << 16, /* the program sends no more: FIN follows sndq */
	TF_FIN_SENT = 1 << 17,	 /* snd_nxt counts our FIN */
	TF_FIN_RCVD = 1 << 18,	 /* rcv_nxt counts the peer's FIN: end of file after rcvq */
	TF_FIN_AHEAD = 1 << 19,	 /* the peer's FIN is at ext->fin_seq, beyond a hole */
	TF_OOO = 1 << 20,	 /* ext has segments out of order, or a duplicate to report */
	TF_WANT_WRITE = 1 << 21, /* tcp_send() fell short: WRITABLE is to be reported */
	TF_ACTIVE = 1 << 22,	 /* opened by tcp_connect() */
	TF_ERR_TOLD = 1 << 23,	 /* CLOSED: err has been given to the program once */
	TF_FASTOPEN = TF_ERR_TOLD, /* not CLOSED: our SYN-ACK is not acknowledged yet; ext is there */
	TF_CC_SHIFT = 24,	 /* 2 bits: index of the congestion control */
	TF_IN_FLOWS = 1 << 26,	 /* the flow table has it */
	TF_HELD = 1 << 27,	 /* nothing may be sent: it is about to move (tcp_move.c) */
	TF_RST_OWED = 1 << 28,	 /* CLOSED: RST waits for a frame; NO_LOSS only */
	TF_ECN = 1 << 29,	 /* ECN: asked for in SYN_SENT, agreed from SYN_RECEIVED on */
	TF_ECN_ECHO = 1 << 30,	 /* CE arrived, and no CWR since: all we send says ECE */
};
#define TF_ECN_CWR (1u << 31) /* the window was reduced: the next new data say CWR */
#define TF_TW_LAST TF_MORE /* TIME_WAIT: when the timer fires, it is over */
#define TF_ACK_QUEUED TF_ECN_CWR /* NO_LOSS, which has no window to reduce: it is in the queue of tcp_owed.c */
#define TF_CC_MASK (3u << TF_CC_SHIFT)

/*
 * States (enum tcp_state) and who moves them:
 *
 *	CLOSED		tcp_conn.c: error, or the end, while the program still holds the id. Not in
 *			the flow table, no timer, no rtx, sndq empty. Valid: rcvq, err, FIN_RCVD
 *			(what was received may still be read), event, ext. With RST_OWED it stays
 *			after the program let go, for a frame to send RST in: on a link that cannot
 *			lose the peer has no other way to learn of it, since it repeats nothing.
 *	SYN_SENT	tcp_connect(). snd_una = ISS, snd_nxt = ISS + 1 once SYN is sent; rcv_* not
 *			valid. To ESTABLISHED, SYN_RECEIVED: tcp_synsent.c.
 *	SYN_RECEIVED	tcp_listen.c, or tcp_synsent.c (simultaneous open). rcv_* valid. To
 *			ESTABLISHED: tcp_ack.c.
 *	ESTABLISHED	both directions open
 *	FIN_WAIT_1	tcp_out.c when FIN leaves; FIN_WAIT_2 when it is acknowledged (tcp_ack.c)
 *	CLOSE_WAIT	tcp_data.c when the peer's FIN arrives; LAST_ACK when ours leaves
 *	CLOSING		both FINs sent, ours not acknowledged
 *	TIME_WAIT	no buffers but unread data, no rtx; rtx_due_ms is its end with TW_LAST, else the
 *			time to fold (tcp_tw.c). Orphans are in
 *			tcp_global.time_wait (through event.list) and are recycled, oldest first,
 *			when blocks run short.
 *
 * FIN_QUEUED alone does not change the state: it changes when FIN leaves, since that is when RFC
 * 9293 means it.
 *
 * Hot part. Line 1 is what an in-order segment and an answer to it touch, line 2 what queues and
 * lists need.
 */
struct tcb {
	struct be32 raddr4; /* IPv4, or the last four bytes of IPv6; as in a header received */
	struct be32 laddr4;
	uint16_t lport;
	uint16_t rport;
	uint16_t link;
	uint16_t mss; /* payload of a full segment to the peer, options subtracted */
	uint32_t rcv_nxt;
	uint32_t rcv_adv;   /* right edge of the window last offered; never moves left */
	uint32_t rcv_acked; /* rcv_nxt in the last segment sent */
	uint32_t snd_una;
	uint32_t snd_nxt;   /* highest ever sent, never moves back */
	uint32_t snd_wnd;   /* from snd_una, scaled */
	uint32_t ts_recent; /* TF_TS: the timestamp to echo */
	uint32_t flags;
	uint8_t state;	/* enum tcp_state */
	uint8_t wscale; /* low half: how we shift theirs; high half: how they shift ours */
	union {
		uint8_t backoff; /* doublings of RTO or of the time between probes */
		uint8_t err;	 /* CLOSED: positive errno, 0 for an orderly end */
	};
	uint8_t ack_tick; /* ACK_TIMER: low 8 bits of the time in units of 4 ms */
	struct bufq rcvq; /* in order, not yet read */

	struct event_node event;
	struct bufq sndq; /* from snd_una; on links that cannot lose, from snd_nxt */
	struct wheel_node wheel;
	struct ref_list_node output;
	uint32_t rtx;	     /* struct tcp_rtx, 0: none */
	uint32_t ext;	     /* struct tcp_ext, 0: defaults */
	uint32_t rtx_due_ms; /* RTX_TIMER; without it: when the last was acknowledged */
};

_Static_assert(sizeof(struct tcb) == 128, "two cache lines");
_Static_assert(offsetof(struct tcb, event) == 64, "line 1 ends behind rcvq");
_Static_assert(offsetof(struct tcb, laddr4) == offsetof(struct tcb, raddr4) + 4, "compared at once");

/*
 * There if the link can lose, or for IPv6; also if one of its neighbours has it. Those without read tcb_cold_none.
 */
struct tcb_cold {
	uint8_t laddr[12]; /* TF_V6: the last four bytes are in the hot part */
	uint8_t raddr[12];
	uint32_t tune;	/* struct tcp_tune, 0: none; links that can lose, as all below */
	uint32_t tally; /* struct tcp_tally, 0: none */
	struct cc cc;
	struct cc_priv cc_priv;
	uint32_t srtt_us; /* 0: nothing measured yet */
	uint32_t rttvar_us;
};

_Static_assert(sizeof(struct tcb_cold) == 64, "one cache line");

/*
 * A flow-table entry takes 8 bytes at full load. Segments are split at 7/8, so that they are between 7/16 and 7/8 full: 18 bytes
 * at worst, some 12 on average. Direct channels do without the tally, and what else there is exists only while a
 * connection is in use.
 */
#define TCP_FLOW_BYTES 12
_Static_assert(sizeof(struct tcb) + TCP_FLOW_BYTES <= 140, "idle, direct channel, IPv4");
_Static_assert(sizeof(struct tcb) + sizeof(struct tcb_cold) + TCP_FLOW_BYTES <= 204, "idle, direct channel, IPv6");
_Static_assert(sizeof(struct tcb) + sizeof(struct tcb_cold) + TCP_FLOW_BYTES + sizeof(struct tcp_tally) <= 256,
	       "idle, any link");
_Static_assert(sizeof(struct tcb) + sizeof(struct tcb_cold) + TCP_FLOW_BYTES + sizeof(struct tcp_tally) +
			       sizeof(struct tcp_meter) <= 300,
	       "idle, any link, after it has sent");

/* Options that differ from the defaults, and what is rare */
struct tcp_ext {
	uint32_t sndbuf_bytes;
	uint32_t rcvbuf_bytes;
	uint64_t pace_max_Bps;	  /* bytes per second; 0: not limited */
	uint32_t pace;		  /* struct tcp_pace, 0: not paced */
	uint32_t mtu;		  /* struct tcp_mtu, 0: none */
	uint32_t notsent_lowat;	  /* bytes; 0: none */
	uint32_t user_timeout_ms; /* 0: none */
	uint32_t uto_s;		  /* RFC 5482: ADV_UTO; 0: not enabled */
	uint32_t seen_ms;	  /* KEEPALIVE: last acceptable segment from the peer */
	uint32_t probe_ms;	  /* PERSIST: first probe since the window closed */
	uint32_t fin_seq;	  /* FIN_AHEAD */
	uint32_t ooo_head;	  /* struct tcp_ooo, in order of seq, disjoint and not adjacent */
	/* The ranges extended last, latest first; 0: none. The first mostly goes on. */
	uint32_t ooo_recent[TCP_SACK_MAX];
	struct tcp_sack dsack; /* what was received twice; empty: nothing to report */
	uint32_t ooo_bytes;
	uint32_t retransmits;
	uint32_t drops; /* struct tcp_drops, 0: none */
	uint16_t ooo_cnt;
	uint16_t keepidle_s;
	uint16_t keepintvl_s;
	uint16_t maxseg; /* 0: by the link */
	uint8_t keepcnt;
	uint8_t keep_probes; /* sent since seen_ms */
	uint8_t syncnt;	     /* 0: by the stack */
	uint8_t linger2_s;   /* 0: by the stack; TCP_LINGER2_NONE */
	uint8_t defer;	     /* DEFER_ACCEPT: so many SYN-ACKs; of a listener and its embryos */
	uint16_t fastopen_max;	    /* TCP_OPT_FASTOPEN_MAX; of a listener */
	uint32_t fastopen_listener; /* FASTOPEN */
	uint32_t fastopen_sent_us;  /* FASTOPEN: when the SYN-ACK left first */
	bool user_timeout_set;	    /* by the program: the peer does not change it */
	bool deferred;	     /* SYN_RECEIVED: the ACK came, and data are waited for */
	uint8_t tos;
	uint8_t ttl;
	/* What tcp_rack.c knows of the path */
	uint8_t rack_steps;   /* quarters of the shortest round trip; 0: one */
	uint8_t rack_persist; /* recoveries until it is one again */
	uint16_t reordering; /* most segments that one was late by, so far; 0: TCP_REORDERING */
	uint32_t reord_seen; /* how often that was seen */
	uint32_t dsack_dups; /* segments that the peer has reported twice */
	bool sndbuf_set; /* by the program; else it is auto-tuned on links that can lose */
	bool rcvbuf_set;
};

/* Is a duplicate to be reported (RFC 2883)? */
static inline bool tcp_ext_dsack(const struct tcp_ext *ext)
{
	return ext->dsack.left != ext->dsack.right;
}

/* A connection that is paced: tcp_pace.c */
struct tcp_pace {
	struct wheel_node wheel; /* armed while data wait for their time */
	uint32_t conn;
	uint32_t burst_bytes; /* may leave at once */
	uint64_t next_ns;     /* when the next burst may begin */
};

/* A range received ahead of rcv_nxt */
struct tcp_ooo {
	uint32_t next; /* 0: last */
	uint32_t seq;
	struct bufq data; /* ends at seq + data.bytes */
};

struct tcp_listener {
	struct event_node event;
	struct ref_list ready; /* connections for tcp_accept(), through their event.list */
	uint32_t ready_cnt;
	uint32_t backlog;
	uint32_t embryo_cnt;   /* in SYN_RECEIVED */
	uint32_t reserved_cnt; /* of them, on links that cannot lose: have a place in `ready` */
	uint32_t flags;	       /* TF_*, inherited */
	uint16_t port;
	uint32_t fastopen_cnt;	     /* connections with TF_FASTOPEN */
	uint32_t fastopen_reset_cnt; /* ... that were reset lately */
	uint32_t fastopen_reset_ms;
	uint8_t fastopen_cookie[8]; /* between tcp_fastopen_syn() and the SYN-ACK */
	uint32_t cookie_ms; /* has_cookies: when the last SYN cookie was sent */
	bool has_cookies;
	bool in_use;	    /* false: stopped, and here only until its embryos know */
	struct tcp_ext ext; /* inherited if has_ext */
	bool has_ext;
	bool has_cc; /* flags name a congestion control; else that of the settings, when a connection begins */
};

/* When a connection last answered a stranger: tcp_challenge.c */
struct tcp_answered {
	uint32_t id; /* 0: nobody */
	uint32_t ms;
};

/* An acknowledgement that waits for data to carry it: tcp_owed.c */
struct tcp_owed {
	uint64_t due_us;
	uint32_t id;
	uint32_t rcv_nxt; /* then */
};

struct tcp_fastopen;

struct tcp_global {
	struct pool rtx;
	struct pool sent;
	struct pool ext;
	struct pool ooo;
	struct pool cc; /* CC_STATE_MAX bytes: see struct cc_priv */
	struct pool tunes;
	struct pool tallies;
	struct pool meters;
	struct pool drops;
	struct pool pace;
	struct pool mtus;
	struct pool listeners;
	uint64_t *used; /* bitmap over s->conns */
	size_t used_bytes;
	struct ref_list time_wait; /* orphans, oldest first */
	struct ref_list tws;	   /* folded, oldest first */
	struct ref_space tw_nodes;
	struct pool tw_pool;
	uint64_t ts_key[2];
	struct tcp_fastopen *fastopen; /* what clients know of servers; NULL: nothing yet */
	struct rate_limit challenge;
	struct tcp_answered answered[TCP_ANSWERED_SLOTS];
	struct ip_tx frame; /* between tcp_send_frame() and tcp_send_frame_done() */
	uint32_t frame_id;
	uint32_t frame_room;
	/*
	 * Connections that came to owe an acknowledgement since the last stack_run(), which gives
	 * those a timer that still do: most have sent it with an answer by then. A number may be
	 * there twice, or be another connection's by now; neither does harm.
	 */
	uint32_t owing[TCP_OWING_MAX]; /* stack.owing_cnt of them */
	/* A ring of TCP_OWED_MAX; the numbers run on. */
	uint32_t owed_head, owed_tail;
	struct tcp_owed *owed;
};

/* A connection at hand: its block and its number. Passed by value, in two registers. */
struct conn {
	struct tcb *t;
	uint32_t id;
};

/*
 * What is left of a segment while it goes through the steps; seq and lengths shrink as it is
 * trimmed.
 */
struct tcp_seg {
	struct pkt *pkt;
	struct tcp_view view;
	struct tcp_opts opts;
	uint32_t seq; /* of the first byte of payload, or of SYN */
	uint32_t ack;
	uint32_t wnd; /* scaled */
	uint32_t off; /* of the payload in the frame */
	uint32_t len; /* payload */
	uint8_t flags;
	bool answer; /* it wants an acknowledgement, although it brings nothing */
};

/* What a SYN or SYN-ACK says besides */
struct tcp_syn_more {
	const uint8_t *cookie;
	uint8_t cookie_len; /* 0: ask for one */
	bool fastopen;	    /* the option is there ... */
	bool fastopen_exp;  /* ... in its experimental form */
	uint32_t len;	    /* data, first in sndq */
};

/* ---- small things ---------------------------------------------------------------------------- */

static inline struct conn conn_at(const struct stack *s, uint32_t id)
{
	return (struct conn){ pool_at_sized(&s->conns, id, sizeof(struct tcb)), id };
}

/*
 * Its hot lines on their way; any number may be asked for. In line always: gcc takes a function that only prefetches for one
 * that does nothing, and leaves its calls out.
 */
VJ_INLINE void tcp_conn_prefetch(const struct stack *s, uint32_t id)
{
	pool_prefetch(&s->conns, id, sizeof(struct tcb), sizeof(struct tcb) / VJ_CACHELINE);
}

/* What connections read that have none of their own, and must not write */
extern const struct tcb_cold tcb_cold_none;

static inline struct tcb_cold *tcb_cold(const struct stack *s, struct conn c)
{
	struct tcb_cold *cold = pool_cold_sized(&s->conns, c.id, sizeof(struct tcb_cold));

	return likely(cold != NULL) ? cold : (struct tcb_cold *)(uintptr_t)&tcb_cold_none;
}

/* NULL: none */
static inline struct tcp_rtx *tcb_rtx(const struct stack *s, const struct tcb *t)
{
	return t->rtx != 0 ? pool_at_sized(&s->tcp->rtx, t->rtx, sizeof(struct tcp_rtx)) : NULL;
}

static inline struct tcp_sent *tcp_sent_at(const struct stack *s, uint32_t idx)
{
	return pool_at_sized(&s->tcp->sent, idx, sizeof(struct tcp_sent));
}

/* NULL: none */
static inline struct tcp_ext *tcb_ext(const struct stack *s, const struct tcb *t)
{
	return t->ext != 0 ? pool_at_sized(&s->tcp->ext, t->ext, sizeof(struct tcp_ext)) : NULL;
}

/* NULL: none */
static inline struct tcp_tune *tcb_tune(const struct stack *s, struct conn c)
{
	uint32_t idx = tcb_cold(s, c)->tune;

	return idx != 0 ? pool_at_sized(&s->tcp->tunes, idx, sizeof(struct tcp_tune)) : NULL;
}

/* NULL: none */
static inline struct tcp_tally *tcb_tally(const struct stack *s, struct conn c)
{
	uint32_t idx = tcb_cold(s, c)->tally;

	return idx != 0 ? pool_at_sized(&s->tcp->tallies, idx, sizeof(struct tcp_tally)) : NULL;
}

/* NULL: none */
static inline struct tcp_meter *tcb_meter(const struct stack *s, struct conn c)
{
	uint32_t idx = tcb_cold(s, c)->tally != 0 ? tcb_tally(s, c)->meter : 0;

	return idx != 0 ? pool_at_sized(&s->tcp->meters, idx, sizeof(struct tcp_meter)) : NULL;
}

static inline bool tcb_has(const struct tcb *t, uint32_t flags)
{
	return (t->flags & flags) != 0;
}
static inline bool tcb_no_loss(const struct tcb *t)
{
	return tcb_has(t, TF_NO_LOSS);
}
static inline bool tcb_v4(const struct tcb *t)
{
	return !tcb_has(t, TF_V6);
}
static inline uint32_t tcb_snd_wscale(const struct tcb *t)
{
	return t->wscale & 15u;
}
static inline uint32_t tcb_rcv_wscale(const struct tcb *t)
{
	return t->wscale >> 4;
}
static inline uint32_t tcb_flight(const struct tcb *t)
{
	return t->snd_nxt - t->snd_una;
}

/* What the send buffer bounds: bytes that the peer has not acknowledged, sent or not. On a link that cannot lose sndq has only the latter. */
static inline uint32_t tcb_unacked(const struct tcb *t)
{
	return t->sndq.bytes + (tcb_no_loss(t) ? tcb_flight(t) : 0);
}

/* Has the handshake been completed? (RFC 9293: synchronized) */
static inline bool tcb_synchronized(const struct tcb *t)
{
	return t->state >= TCP_ESTABLISHED;
}

static inline bool tcb_can_send(const struct tcb *t)
{
	return t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT;
}

/* Bytes the peer may still send within what was offered */
static inline uint32_t tcb_rcv_wnd(const struct tcb *t)
{
	return seq_gt(t->rcv_adv, t->rcv_nxt) ? t->rcv_adv - t->rcv_nxt : 0;
}

/* The sequence number behind the last byte in sndq: where FIN is or will be */
static inline uint32_t tcb_snd_end(const struct tcb *t)
{
	if (tcb_no_loss(t))
		return t->snd_nxt - (tcb_has(t, TF_FIN_SENT) ? 1 : 0) + t->sndq.bytes;
	if (tcb_has(t, TF_FIN_SENT))
		return t->snd_nxt - 1;
	return t->snd_una + t->sndq.bytes;
}

/* Bytes in sndq that were never sent */
static inline uint32_t tcb_unsent(const struct tcb *t)
{
	if (tcb_no_loss(t))
		return t->sndq.bytes;
	return tcb_has(t, TF_FIN_SENT) ? 0 : t->sndq.bytes - tcb_flight(t);
}

/* Where they are not auto-tuned (tcp_tune.c) */
static inline uint32_t tcp_sndbuf_set(const struct stack *s, const struct tcb *t)
{
	return unlikely(t->ext != 0) ? tcb_ext(s, t)->sndbuf_bytes : s->cfg.sndbuf_bytes;
}

static inline uint32_t tcp_rcvbuf_set(const struct stack *s, const struct tcb *t)
{
	return unlikely(t->ext != 0) ? tcb_ext(s, t)->rcvbuf_bytes : s->cfg.rcvbuf_bytes;
}

/* A setting of which 0 stands for the default */
static inline uint32_t tcp_setting(uint32_t value, uint32_t value_default)
{
	return value != 0 ? value : value_default;
}

static inline uint32_t tcp_now_ms(const struct stack *s)
{
	return (uint32_t)(s->now_us / US_PER_MS);
}

static inline uint32_t tcp_now_s(const struct stack *s)
{
	return (uint32_t)(s->now_us / US_PER_SEC);
}

/* @ts_val is to be echoed from now on, and nothing older to be taken (RFC 7323 4.3, 5.3). */
static inline void tcp_ts_take(const struct stack *s, struct conn c, uint32_t ts_val)
{
	struct tcp_tally *tally = tcb_tally(s, c);

	c.t->ts_recent = ts_val;
	if (tally != NULL)
		tally->ts_recent_s = tcp_now_s(s);
}

/* Rounded up: where deadlines count from, so that none is early */
static inline uint32_t tcp_now_ms_ceil(const struct stack *s)
{
	return (uint32_t)((s->now_us + US_PER_MS - 1) / US_PER_MS);
}

/*
 * Our timestamp clock, in ms, with an offset that strangers cannot guess but that is the same for
 * each connection with one remote address: it must never run backwards between two uses of the same
 * ports (RFC 7323 5.4, RFC 6191).
 */
static inline uint32_t tcp_ts_at(const struct stack *s, struct be32 raddr4)
{
	uint64_t mix = (raddr4.raw ^ s->tcp->ts_key[0]) * (s->tcp->ts_key[1] | 1);

	return tcp_now_ms(s) + (uint32_t)(mix >> 32);
}
static inline uint32_t tcp_ts_now(const struct stack *s, const struct tcb *t)
{
	return tcp_ts_at(s, t->raddr4);
}

/* tcp_timer.c: a timer for all in tcp_global.owing that still owe an acknowledgement */
void tcp_timer_owing(struct stack *s);

static inline void tcp_event(struct stack *s, struct conn c, uint32_t bits)
{
	if (unlikely(!tcb_has(c.t, TF_OWNED)))
		return;
	if (c.t->event.bits == 0)
		ref_list_add_node(&s->event_nodes, &s->events, ref_tcp(c.id), &c.t->event.list);
	c.t->event.bits |= bits;
}

/*
 * rcv_nxt moved on a link that cannot lose: acknowledgements only return window there. One for half
 * of it is enough, and otherwise they travel with data.
 */
static inline void tcp_ack_direct(struct tcb *t)
{
	t->flags |= TF_ACK_OWED;
	if (t->rcv_nxt - t->rcv_acked >= (t->rcv_adv - t->rcv_acked) / 2)
		t->flags |= TF_ACK_NOW;
}

/* Something may have to go out: tcp_output_resume() will look. */
static inline void tcp_output_later(struct stack *s, struct conn c)
{
	if (!ref_list_has(&c.t->output))
		stack_output_later(s, c.t->link, ref_tcp(c.id));
}

/* rcv_nxt moved; if nothing carries the acknowledgement by stack_run(), a timer will. */
static inline void tcp_ack_owing(struct stack *s, struct conn c)
{
	if (unlikely(s->owing_cnt == TCP_OWING_MAX))
		tcp_timer_owing(s);
	s->tcp->owing[s->owing_cnt++] = c.id;
}

/* It was carried. That of an answer sent at once is the last one noted: forget it, and spare a stack_run(). */
static inline void tcp_ack_paid(struct stack *s, struct conn c)
{
	if (s->owing_cnt != 0 && s->tcp->owing[s->owing_cnt - 1] == c.id)
		s->owing_cnt--;
}

/* TCP_OPT_NOTSENT_LOWAT: is there so much unsent that the program should wait? */
static inline bool tcp_is_notsent(const struct stack *s, const struct tcb *t)
{
	uint32_t lowat = unlikely(t->ext != 0) ? tcb_ext(s, t)->notsent_lowat : 0;

	return unlikely(lowat != 0) && tcb_unsent(t) >= lowat;
}

/* ---- tcp_conn.c: blocks, states, ends -------------------------------------------------------- */

/*
 * A block in state CLOSED with @key's addresses, in the flow table. Return: id; 0: no memory, or
 * conns_max in use.
 */
uint32_t tcp_conn_new(struct stack *s, const struct flow_key *key, const struct link *link);
/* The same, and the caller sees to the flow table. */
uint32_t tcp_conn_block(struct stack *s, const struct flow_key *key, const struct link *link);
/*
 * Nobody holds the id of a connection that is CLOSED, or is to end silently: give everything back.
 */
void tcp_conn_release(struct stack *s, struct conn c);
/* To CLOSED with @err (0: orderly end); freed if nobody holds it. Return: false: it is gone. */
bool tcp_conn_done(struct stack *s, struct conn c, int err);
/* The same, telling the peer. */
bool tcp_conn_reset(struct stack *s, struct conn c, int err);
/*
 * Both FINs are through: TIME_WAIT, or CLOSED on a link that cannot lose. Return: false: it is
 * gone.
 */
bool tcp_conn_time_wait(struct stack *s, struct conn c);
/* The handshake is complete: ESTABLISHED, unless the backlog is full. Return: false: it is gone. */
bool tcp_conn_established(struct stack *s, struct conn c);
/* FIN_WAIT_2, and the program has closed: how long for? Return: false: it is gone. */
bool tcp_conn_linger2(struct stack *s, struct conn c);
/* ... and its acknowledgement processed: what @retries of SYN or SYN-ACK mean for what follows */
void tcp_conn_syn_lost(struct stack *s, struct conn c, uint32_t retries);
/* @path's addresses, TTL and TOS */
void tcp_conn_path(const struct stack *s, struct conn c, struct ip_path *ret_path);
void tcp_conn_key(const struct stack *s, struct conn c, struct flow_key *ret_key);
/* ext with defaults if there was none; NULL: no memory */
struct tcp_ext *tcp_conn_ext(struct stack *s, struct tcb *t);
/* Could a program set @opt to @value? Return: 0; -ENOPROTOOPT; -EINVAL. */
int tcp_option_check(enum tcp_option opt, uint64_t value);
void tcp_ext_defaults(const struct stack *s, struct tcp_ext *ext);
/* 0: none */
uint32_t tcp_conn_find(const struct stack *s, const struct flow_key *key, uint32_t hash);

/* ---- tcp_listen.c ---------------------------------------------------------------------------- */

/*
 * A segment for no connection: a new one, an answer, or nothing. @old_end: NULL, or the end of the
 * sequence numbers that a connection between the same endpoints used.
 */
void tcp_listen_input(struct stack *s, struct pkt *pkt, const struct tcp_view *view,
		      const uint32_t *old_end);
/*
 * A passive connection got through its handshake. Return: 0; -EAGAIN: the backlog is full;
 * -ENOTCONN: nobody listens now.
 */
int tcp_listen_ready(struct stack *s, struct conn c);
/* Out of its listener's hands, and ESTABLISHED: the program's */
void tcp_listen_adopt(struct stack *s, struct conn c);
/* It waits for tcp_accept(), whatever the backlog. */
void tcp_listen_enqueue(struct stack *s, struct conn c);
struct tcp_listener *tcp_listener_at(const struct stack *s, uint32_t id);
/* Give its block back, if it has stopped and nobody refers to it. */
void tcp_listener_free(struct stack *s, uint32_t id);
/* A passive connection ends before its handshake did. */
void tcp_listen_embryo_gone(struct stack *s, struct conn c);

/* ---- tcp_challenge.c: answers that strangers can provoke ------------------------------------- */

/* Challenge ACK (RFC 5961), limited in rate */
void tcp_challenge(struct stack *s, struct conn c);
/* Has this connection answered a moment ago? If not, it does now. */
bool tcp_answered_lately(struct stack *s, uint32_t id);
/* The connection goes; its number will be another's. */
void tcp_answered_forget(struct stack *s, uint32_t id);

/* ---- tcp_cookie.c; the codec is in tcp_cookie.h ---------------------------------------------- */

/* Answer a SYN with a cookie, and remember nothing. @ext: the listener's options */
void tcp_cookie_answer(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
		       const struct tcp_ext *ext);
/* Does this ACK bring a cookie back? Return: true, and what was agreed on, ECN too. */
bool tcp_cookie_accept(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
		       struct tcp_opts *ret_opts, bool *ret_ecn);

/* ---- tcp_synsent.c, tcp_in.c, tcp_ack.c, tcp_data.c ------------------------------------------ */

/* RFC 9293 3.10.7.4, all steps: of a connection that is neither SYN_SENT nor TIME_WAIT */
void tcp_steps_input(struct stack *s, struct conn c, struct tcp_seg *seg);
/* RFC 9293 3.10.7.3 */
void tcp_synsent_input(struct stack *s, struct conn c, struct tcp_seg *seg);
/* The connection that a received segment is of, if there is one */
static inline struct flow_key tcp_pkt_key(const struct pkt *pkt, const struct tcp_view *view)
{
	return (struct flow_key){
		.local = pkt->dst,
		.remote = pkt->src,
		.link = pkt->link_id,
		.local_port = view->dst_port,
		.remote_port = view->src_port,
	};
}
/* @seg: what @view says, options parsed. false: bad options */
bool tcp_seg_init(struct tcp_seg *seg, struct pkt *pkt, const struct tcp_view *view);
/*
 * Fifth step: acknowledgement and window. Return: false: the segment is dropped, or the connection
 * gone.
 */
bool tcp_ack_input(struct stack *s, struct conn c, struct tcp_seg *seg);
/* Our SYN is acknowledged: snd_una moves over it, to where sndq begins */
void tcp_ack_syn(struct stack *s, struct conn c, const uint32_t *ts_ecr);
/* snd_una moves to @ack, which is in (snd_una, snd_nxt] */
void tcp_ack_advance(struct stack *s, struct conn c, uint32_t ack, const uint32_t *ts_ecr);
/* Seventh and eighth step. Return: false: the connection is gone, or closed. */
bool tcp_data_input(struct stack *s, struct conn c, struct tcp_seg *seg);
/* The program took data out: acknowledge it, or offer a larger window, if it is worth a segment. */
void tcp_data_consumed(struct stack *s, struct conn c);
/* TF_OOO: where the last range out of order ends */
uint32_t tcp_ooo_end(const struct stack *s, const struct tcb *t);
/* Forget all ranges out of order. */
void tcp_ooo_drop(struct stack *s, struct tcb *t);
/* Replace frames kept in them by copies. Return: 0; -ENOMEM: ranges were dropped. */
int tcp_ooo_own(struct stack *s, struct tcb *t);

/* ---- tcp_out.c ------------------------------------------------------------------------------- */

/*
 * One segment of the connection, @seq and @flags as said, @len bytes of payload from @data or, if
 * that is NULL, from sndq where @seq is. All acknowledgement state is brought up to date. Does not
 * touch snd_nxt. Return: bytes of payload sent (fewer if the frame is small); -EAGAIN: no frame;
 * -ENETDOWN.
 */
int tcp_xmit(struct stack *s, struct conn c, uint32_t seq, uint8_t flags, const void *data,
	     uint32_t len);
/* The same with the payload already in @tx's frame, at snd_nxt, which moves. @len: 1.. */
void tcp_xmit_frame(struct stack *s, struct conn c, const struct ip_tx *tx, uint32_t len);
/* SYN or SYN-ACK. Return: 0; -EAGAIN; -ENETDOWN. */
int tcp_xmit_syn(struct stack *s, struct conn c);
/* ... with Fast Open's option, and data. NULL: without */
int tcp_xmit_syn_more(struct stack *s, struct conn c, const struct tcp_syn_more *more);
/* The same SYN-ACK again, for TF_FASTOPEN: no state is changed. */
int tcp_xmit_synack_again(struct stack *s, struct conn c);
/* RST of a connection. Return: 0: sent, or there is nobody to tell; -EAGAIN; -ENETDOWN. */
int tcp_xmit_rst(struct stack *s, struct conn c);
/* RST in answer to a segment that belongs nowhere (RFC 9293 3.10.7.1); best effort */
void tcp_reply_rst(struct stack *s, const struct pkt *pkt, const struct tcp_view *view);
/* A segment without payload: acknowledgement at once. No frame: later. */
void tcp_send_ack(struct stack *s, struct conn c);
/* The same with the user timeout option, once */
void tcp_send_uto(struct stack *s, struct conn c);
/* A probe that makes the peer answer: one below snd_una (RFC 9293 3.8.4, 3.8.6.1) */
void tcp_send_probe(struct stack *s, struct conn c);
/* @len bytes of new data in one segment whatever the congestion window says. Return: false: it could not go. */
bool tcp_out_probe(struct stack *s, struct conn c, uint32_t len);
/*
 * Send what may be sent: retransmissions, new data, FIN, an acknowledgement that is
 * due.
 * @force: don't hold back a partial segment. Return: false: the connection is gone.
 */
bool tcp_output(struct stack *s, struct conn c, bool force);
/*
 * Everything is set to send something that needs an answer. Return: false: no memory, and the
 * persist timer tries again; or it is paced, and tcp_pace.c does.
 */
bool tcp_out_prepare(struct stack *s, struct conn c);
/* How much new data may go now, by windows alone */
uint32_t tcp_out_usable(const struct stack *s, struct conn c);
/* May @len of @unsent bytes go as one segment? They fit the windows. */
bool tcp_out_may_send(const struct stack *s, struct conn c, uint32_t unsent, uint32_t len);
/* Bookkeeping of @len bytes that were just sent at snd_nxt */
void tcp_out_sent(struct stack *s, struct conn c, uint32_t len);
/*
 * @window as it stands in the header. The right edge never moves left (RFC 9293 3.8.6), so it is
 * rounded up to the scale, but not again and again, by each small segment that arrives, until a
 * full buffer still offers something: then it may seem to move left, by less than the scale allows
 * to say (RFC 7323 2.4).
 */
static inline uint16_t tcp_window_offer(struct tcb *t, uint32_t window, uint32_t rcvbuf)
{
	uint32_t shift = tcb_rcv_wscale(t);
	uint32_t field = (window + (1u << shift) - 1) >> shift;

	if (unlikely(t->rcvq.bytes + (field << shift) > rcvbuf + (2u << shift)))
		field = window >> shift;
	field = min_u32(field, UINT16_MAX);
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt + (field << shift));
	return (uint16_t)field;
}
/* The window that could be offered now on a link that cannot lose, in bytes */
static inline uint32_t tcp_window_space(const struct tcb *t, uint32_t rcvbuf)
{
	uint32_t space = rcvbuf > t->rcvq.bytes ? rcvbuf - t->rcvq.bytes : 0;

	return min_u32(space, (uint32_t)UINT16_MAX << tcb_rcv_wscale(t));
}
/* Header length of a data segment without SACK blocks */
static inline uint32_t tcp_hdr_len(const struct tcb *t)
{
	return tcb_has(t, TF_TS) ? TCP_HDR_BYTES + TCP_TS_BYTES : TCP_HDR_BYTES;
}

/* ---- tcp_opt.c: what the two sides agree on in SYN ------------------------------------------- */

/* Options of our SYN or SYN-ACK */
void tcp_opt_syn(const struct stack *s, struct conn c, struct tcp_opts *ret_opts);
/* Take over what the peer's SYN or SYN-ACK says. */
void tcp_opt_agree(struct stack *s, struct conn c, const struct tcp_opts *opts);
/* The shift that a receive buffer wants */
uint8_t tcp_opt_wscale(const struct stack *s, uint32_t rcvbuf);
/* Largest payload of a segment over this link, without options */
uint32_t tcp_opt_link_mss(const struct stack *s, struct conn c);

/* ---- tcp_cc.c: congestion control; on links that can lose only ------------------------------- */

static inline unsigned int tcp_cc_idx(const struct tcb *t)
{
	return (t->flags & TF_CC_MASK) >> TF_CC_SHIFT;
}
static inline const struct cc_ops *tcp_cc_ops(const struct tcb *t)
{
	return cc_find(tcp_cc_idx(t));
}
/* Another algorithm from here on, or once the connection stands. Return: 0; -ENOMEM. */
int tcp_cc_set(struct stack *s, struct conn c, unsigned int idx);
/* The connection stands. */
void tcp_cc_start(struct stack *s, struct conn c);
/* It ends. A second time: nothing happens. */
void tcp_cc_release(struct stack *s, struct conn c);
/* The rate it wants to send at, in bytes per second; 0: it does not say */
uint64_t tcp_cc_pacing(const struct stack *s, struct conn c);
/* New data have left: snd_nxt has moved, rtx is there. */
void tcp_cc_sent(struct stack *s, struct conn c);
/*
 * @acked bytes are acknowledged that were not, outside recovery; @flight: before that; @rtt_us: 0:
 * not measured; @rate: NULL: nothing
 */
void tcp_cc_acked(struct stack *s, struct conn c, uint32_t acked, uint32_t flight, uint32_t rtt_us,
		  const struct cc_rate *rate);
/* Every acknowledgement, for those algorithms that want it */
void tcp_cc_main(struct stack *s, struct conn c, uint32_t rtt_us, const struct cc_rate *rate,
		 bool in_recovery);
/* Something was lost: once per window. *@ret_saved: what was before, for tcp_cc_undo() */
void tcp_cc_loss(struct stack *s, struct conn c, uint32_t flight, struct cc_saved *ret_saved);
/* A timeout that is not a repetition, likewise */
void tcp_cc_rto(struct stack *s, struct conn c, uint32_t flight, struct cc_saved *ret_saved);
/* Nothing was lost after all. */
void tcp_cc_undo(struct stack *s, struct conn c, const struct cc_saved *saved);
/* Sending again after @idle_ms with nothing in flight */
void tcp_cc_idle(struct stack *s, struct conn c, uint32_t idle_ms);

/* A mark: once per window */
void tcp_cc_ecn(struct stack *s, struct conn c, uint32_t flight);

/* ---- tcp_ecn.c: RFC 3168; all but the first four only with TF_ECN ---------------------------- */

/* Does this SYN ask for ECN, and do we want it? */
bool tcp_ecn_asks(const struct stack *s, const struct tcp_seg *seg);
/* A SYN or SYN-ACK came: TF_ECN becomes what it means together with ours. */
void tcp_ecn_syn(const struct stack *s, struct tcb *t, const struct tcp_seg *seg);
/* ECE and CWR for our SYN or SYN-ACK. @again: it was sent before */
uint8_t tcp_ecn_syn_flags(const struct stack *s, struct tcb *t, bool again);
/* Congestion control has reduced the window. */
void tcp_ecn_reduced(struct tcb *t);
/* A segment is to leave: adds to *@flags. Return: IP's two bits. */
uint8_t tcp_ecn_xmit(const struct stack *s, struct tcb *t, uint32_t seq, uint32_t len,
		     uint8_t *flags);
/* ECE? Before snd_una moves */
void tcp_ecn_ack(struct stack *s, struct conn c, const struct tcp_seg *seg);
/* CE, CWR? Before the data are taken */
void tcp_ecn_data(struct tcb *t, const struct tcp_seg *seg);

/* ---- tcp_timer.c: one wheel node per connection; callers report events ----------------------- */

/* Something that wants an acknowledgement went out. */
void tcp_timer_data_sent(struct stack *s, struct conn c);
/* snd_una moved. */
void tcp_timer_data_acked(struct stack *s, struct conn c);
/* Retransmission timeout: in one RTO (@fresh), or one RTO after the first in flight was sent. */
void tcp_timer_rto(struct stack *s, struct conn c, bool fresh);
/* RACK: in @us something is overdue. */
void tcp_timer_reorder(struct stack *s, struct conn c, uint32_t us);
/* The peer took its SACKs back: a timeout soon (as Linux). */
void tcp_timer_reneged(struct stack *s, struct conn c);
/* Data waits and nothing will bring the news that it may go. */
void tcp_timer_persist(struct stack *s, struct conn c);
/* The window is open again, or nothing waits any more. */
void tcp_timer_persist_over(struct stack *s, struct conn c);
/* An acknowledgement is owed and nothing carried it yet. */
void tcp_timer_ack_owed(struct stack *s, struct conn c);
/* FIN_WAIT_2 of an orphan, or TIME_WAIT, begins. */
void tcp_timer_linger(struct stack *s, struct conn c, uint32_t ms);
/* TF_FASTOPEN: the SYN-ACK was sent again. */
void tcp_timer_synack(struct stack *s, struct conn c);
/* Keep-alive was switched on, or its times changed. */
void tcp_timer_keepalive(struct stack *s, struct conn c);
/* It is on, and something acceptable came. */
void tcp_timer_keepalive_seen(struct stack *s, const struct tcb *t);
/* tune exists from now on. */
void tcp_timer_tune(struct stack *s, struct conn c);
/* No timer any more */
void tcp_timer_stop(struct stack *s, struct conn c);

/* ---- tcp_owed.c ------------------------------------------------------------------------------ */

/* NO_LOSS: an acknowledgement is owed, and goes in TCP_DELACK_MS to twice that if nothing carries it. */
void tcp_owed_add(struct stack *s, struct conn c);

/* Both queues that tcp_run() looks at: when is the first due? To be called when one has changed. */
void tcp_run_settle(struct stack *s);

/* ---- tcp_tw.c: TIME_WAIT folded; @tw_id is from the flow table, with TCP_TW_ID --------------- */

int tcp_tw_init(struct stack *s);
/* TIME_WAIT begins, or begins anew. */
void tcp_tw_begin(struct stack *s, struct conn c);
/* Its time in a block is over. Return: false: the block is gone; true: it could not be, and waits to the end. */
bool tcp_tw_fold(struct stack *s, struct conn c);
/* A block for a segment that has come. Return: false: no memory. */
bool tcp_tw_unfold(struct stack *s, uint32_t tw_id, struct conn *ret_c);
/* The segment has been treated; @c may be gone, or somebody else. */
void tcp_tw_settle(struct stack *s, uint32_t tw_id, struct conn c);
bool tcp_tw_match(const struct stack *s, uint32_t tw_id, const struct flow_key *key);
/* The number after the last that it used */
uint32_t tcp_tw_snd_nxt(const struct stack *s, uint32_t tw_id);
/* It is over. */
void tcp_tw_drop(struct stack *s, uint32_t tw_id);
void tcp_tw_link_gone(struct stack *s, uint32_t link_id);
/* Those whose time is over; when there will be one */
void tcp_tw_run(struct stack *s);
uint64_t tcp_tw_next_us(const struct stack *s);

/* ---- tcp_uto.c (RFC 5482) -------------------------------------------------------------------- */

/* The option's field; seconds beyond its range are minutes. */
uint16_t tcp_uto_field(uint32_t seconds);
uint32_t tcp_uto_seconds(uint16_t field);
/* What the peer says about its timeout, if anything. The segment was found good. */
void tcp_uto_input(const struct stack *s, struct tcb *t, const struct tcp_opts *opts);

/* ---- tcp_isn.c ------------------------------------------------------------------------------- */

/*
 * Initial sequence number (RFC 6528). @old_end: NULL, or the end of what an earlier connection with
 * this key used: the new one begins beyond it.
 */
uint32_t tcp_isn(const struct stack *s, const struct flow_key *key, const uint32_t *old_end);

/* ---- tcp_sanity.c ---------------------------------------------------------------------------- */

/* Assert all that must hold of a connection between calls. For tests: it walks queues. */
void tcp_sanity(struct stack *s, uint32_t id);
/* Of every connection, and of the counts that tie them together */
void tcp_sanity_all(struct stack *s);

#endif
