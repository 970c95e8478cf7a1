// SPDX-License-Identifier: BSD-2-Clause
/*
 * The connection block of TCP: its limits, its fields, and what is read off them
 *
 * tcp.h has the theory, and what the tcp_*.c files offer each other.
 */
#ifndef VJ_STACK_TCP_BLOCK_H
#define VJ_STACK_TCP_BLOCK_H

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
#define TCP_ASKS_MS 200u       /* a call that asks: a process that runs has answered long before */
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
#define TCP_STUCK_MS 10u       /* a peer that reads opens its window long before */
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
	TF_CALLED = TF_ERR_TOLD,   /* the same on NO_LOSS: tcp_accept() has not answered yet, whoever ACTIVE called keeps what it says; tcp_call.c */
	TF_CC_SHIFT = 24,	 /* 2 bits: index of the congestion control */
	TF_IN_FLOWS = 1 << 26,	 /* the flow table has it */
	TF_HELD = 1 << 27,	 /* nothing may be sent: it is about to move (tcp_move.c), or has left (TIME_WAIT, tcp_leave.c) */
	TF_RST_OWED = 1 << 28,	 /* CLOSED: RST waits for a frame; NO_LOSS only */
	TF_ECN = 1 << 29,	 /* ECN: asked for in SYN_SENT, agreed from SYN_RECEIVED on */
	TF_ECN_ECHO = 1 << 30,	 /* CE arrived, and no CWR since: all we send says ECE */
};
#define TF_ECN_CWR (1u << 31) /* the window was reduced: the next new data say CWR */
#define TF_TW_LAST TF_MORE /* TIME_WAIT: when the timer fires, it is over */
#define TF_READ_SHUT TF_MORE /* FIN_QUEUED, not TIME_WAIT: the program reads no more, either */
#define TF_REFUSED TF_MORE /* CLOSED by ECONNREFUSED, ACTIVE: was CALLED, sndq is what it said */
#define TF_ACK_QUEUED TF_ECN_CWR /* NO_LOSS, which has no window to reduce: it is in the queue of tcp_owed.c */
#define TF_STUCK TF_ECN_ECHO /* NO_LOSS, likewise: sndq may grow, see tcp_tune.c; until bytes leave it */
#define TF_ASKS TF_ECN_ECHO /* NO_LOSS, SYN_SENT: its SYN says that it keeps what it will say until it is answered */
#define TF_HURRIED TF_ECN_ECHO /* NO_LOSS, EMBRYO that owes its answer: whoever called can wait no longer, and there was no frame for it */
#define TF_ANSWER_OWED TF_ECN_ECHO /* NO_LOSS, CLOSED, RST_OWED: so is the answer to whoever called, before it */
#define TF_CC_MASK (3u << TF_CC_SHIFT)

/*
 * With FIN, on NO_LOSS, where nothing else is said by it: the program has closed the connection, and not just its side. So nobody waits for what
 * the peer still has to say without payload, its FIN and acknowledgements, and they need not wake the process: it finds them when it
 * looks for something else.
 */
#define TCP_CLOSED_BY TCP_CWR

/*
 * States (enum tcp_state) and who moves them:
 *
 *	CLOSED		tcp_conn.c: error, or the end, while the program still holds the id. Not in
 *			the flow table, no timer, no rtx, sndq empty but if REFUSED. Valid: rcvq, err, FIN_RCVD
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
	union {
		uint32_t ts_recent; /* TF_TS: the timestamp to echo */
		/* NO_LOSS: where the numbers of both ends began, in units of 64 KiB (tcp_isn.c); what passed is told from there */
		struct {
			uint16_t iss, irs;
		} began;
	};
	uint32_t flags;
	uint8_t state;	/* enum tcp_state */
	uint8_t wscale; /* low half: how we shift theirs; high half: how they shift ours */
	union {
		uint8_t backoff; /* doublings of RTO or of the time between probes */
		uint8_t err;	 /* CLOSED: positive errno, 0 for an orderly end */
	};
	union {
		uint8_t ack_tick; /* ACK_TIMER: low 8 bits of the time in units of 4 ms */
		/* NO_LOSS */
		struct {
			bool peer_closed : 1; /* nobody holds the other end any more, see TCP_CLOSED_BY */
			/* HELD, owes its answer: whoever called has called another since, unless he knows that it moves; tcp_withdraw.c */
			bool withdrawn : 1;
		};
	};
	struct bufq rcvq; /* in order, not yet read */

	struct event_node event;
	struct bufq sndq; /* from snd_una; on links that cannot lose, from snd_nxt, but if CALLED */
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
	uint32_t take_bytes; /* room for what a peer that leaves can't keep (tcp_rcvbuf_take_all()); 0: none but the above */
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
	bool kept_back;	     /* a link that cannot lose: data waited for the window already when the user timeout was looked at last */
	bool deferred;	     /* SYN_RECEIVED: the ACK came, and data are waited for */
	uint8_t tos;
	uint8_t ttl;
	/* What tcp_rack.c knows of the path */
	uint8_t rack_steps;   /* quarters of the shortest round trip; 0: one */
	uint8_t rack_persist; /* recoveries until it is one again */
	uint16_t reordering; /* most segments that one was late by, so far; 0: TCP_REORDERING */
	uint32_t reord_seen; /* how often that was seen */
	/* NO_LOSS: how often the numbers of each direction have come round, and what the peer's first one is beyond tcb.began.irs */
	uint32_t snd_rounds, rcv_rounds;
	uint16_t irs_rest;
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
	struct ref_list parked; /* ... in SYN_RECEIVED, on links that cannot lose: unanswered until there is a place, likewise */
	uint32_t ready_cnt;
	uint32_t backlog;
	uint32_t embryo_cnt;   /* in SYN_RECEIVED */
	uint32_t reserved_cnt; /* of them, on links that cannot lose and not parked: have a place in `ready` */
	uint32_t flags;	       /* TF_*, inherited */
	struct port_id place;
	uint32_t fastopen_cnt;	     /* connections with TF_FASTOPEN */
	uint32_t fastopen_reset_cnt; /* ... that were reset lately */
	uint32_t fastopen_reset_ms;
	uint8_t fastopen_cookie[8]; /* between tcp_fastopen_syn() and the SYN-ACK */
	uint32_t cookie_ms; /* has_cookies: when the last SYN cookie was sent */
	bool has_cookies;
	bool in_use;	    /* false: stopped, and here only until its embryos know */
	struct tcp_ext ext; /* inherited if has_ext */
	bool has_ext;
	bool marked[2]; /* by tcp_listener_mark(), [1] IPv4: else as `ext` has it */
	uint8_t tos[2], ttl[2];
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
	uint32_t listen_turn; /* whose of those that share a place is the next connection */
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
	uint64_t owed_soon_us; /* what is due by then is not put off */
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
	uint16_t urgent;    /* NO_LOSS: what tcp_call.c says by the urgent pointer */
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

/* One that has Fast Open's meaning of the flag */
static inline bool tcb_is_fastopen(const struct tcb *t)
{
	return (t->flags & (TF_NO_LOSS | TF_FASTOPEN)) == TF_FASTOPEN && t->state != TCP_CLOSED;
}

/* Who called, and was not answered yet */
static inline bool tcb_is_called(const struct tcb *t)
{
	return (t->flags & (TF_NO_LOSS | TF_CALLED | TF_ACTIVE)) == (TF_NO_LOSS | TF_CALLED | TF_ACTIVE) && t->state != TCP_CLOSED;
}

/* ... and is not connected before that */
static inline bool tcb_asks(const struct tcb *t)
{
	return t->state == TCP_SYN_SENT && tcb_no_loss(t) && tcb_has(t, TF_ASKS);
}

/* Whoever called it waits for an answer: what tcp_accept() says */
static inline bool tcb_owes_answer(const struct tcb *t)
{
	return (t->flags & (TF_NO_LOSS | TF_CALLED | TF_ACTIVE)) == (TF_NO_LOSS | TF_CALLED) && t->state != TCP_CLOSED;
}
/* NO_LOSS, not CLOSED: either of them. What it sends isn't simply the next that there is. */
VJ_INLINE bool tcb_keeps_or_owes(const struct tcb *t)
{
	return (t->flags & (TF_NO_LOSS | TF_CALLED)) == (TF_NO_LOSS | TF_CALLED);
}
/* The same of one that the program has, as there was no frame at accept(): it is not to read yet what whoever called may say to another. One test, mostly */
VJ_INLINE bool tcb_is_unheard(const struct tcb *t)
{
	return unlikely(tcb_has(t, TF_CALLED)) && tcb_owes_answer(t);
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

/* CLOSE-WAIT to the program, though the peer's process, and the link with it, is gone: what it had said is all here, and its FIN (link_gone_error()). */
static inline bool tcb_outlives_link(const struct tcb *t)
{
	return t->state == TCP_CLOSED && t->err == 0 && (t->flags & (TF_FIN_RCVD | TF_FIN_QUEUED)) == TF_FIN_RCVD;
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
	return unlikely(t->ext != 0) ? max_u32(tcb_ext(s, t)->rcvbuf_bytes, tcb_ext(s, t)->take_bytes) : s->cfg.rcvbuf_bytes;
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

#endif
