// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP (RFC 9293) from the inside: theory, and what the tcp_*.c files offer each other; tcp_block.h has the connection block
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
 *	- its process may end before the window opens: an empty segment with URG asks for one that takes
 *	  all (stack_leaving(), tcp_rcvbuf_take_all())
 *	- no timestamps, no round-trip measurement, no Nagle, no keep-alive (the link says when the
 *	  peer dies), no TIME_WAIT (there are no old duplicates)
 *	- no congestion window: a direct channel has no queue that others share, and the window that
 *	  the receiver offers is the only bound
 *	- SYN is repeated, since a very full backlog drops it; a closed window is probed, with back-off
 *	- who calls has a connection at his SYN, as what answers it arrives there; he acknowledges that with
 *	  what he has to say, and until then has offered the window that his SYN has; if he gives up
 *	  before he is answered he says so, else he would be given a place, and be accepted
 *	- who says that he keeps what he says is answered by tcp_accept(), and is told of a place before (tcp_call.c)
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

#include "stack/tcp_block.h"

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
/* All that it has in this stack but its block, its place in the flow table, and what is unread */
void tcp_conn_strip(struct stack *s, struct conn c);
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
/* If it waits for tcp_accept(), it does no more. */
void tcp_listen_unready(struct stack *s, struct conn c);
struct tcp_listener *tcp_listener_at(const struct stack *s, uint32_t id);
/* Give its block back, if it has stopped and nobody refers to it. */
void tcp_listener_free(struct stack *s, uint32_t id);
/* A passive connection ends before its handshake did. */
void tcp_listen_embryo_gone(struct stack *s, struct conn c);
/* Not answered yet, since the backlog is full */
bool tcp_listen_is_parked(const struct tcb *t);
/* The SYN-ACK of an embryo that has a place, or once more when there was no frame for it. @called: its peer knows, and needs none */
void tcp_listen_answer(struct stack *s, struct conn c, bool called);
/* A SYN-ACK left, on a link that can lose. Return: true: it is noted, and needs no record in struct tcp_rtx. */
bool tcp_listen_synack_sent(struct stack *s, struct conn c, bool again);
/* It is acknowledged: there is a record of it from here on, for that acknowledgement to find. */
void tcp_listen_synack_acked(struct stack *s, struct conn c);

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
/* What tcb_owes_answer() owes, or that it has a @place to wait for that */
int tcp_xmit_answer(struct stack *s, struct conn c, uint16_t urgent, bool place);
/* The SYN of TF_CALLED again */
int tcp_xmit_call_again(struct stack *s, struct conn c, uint16_t urgent);
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
/* FIN, behind all that was sent. Return: 0; -EAGAIN: no frame */
int tcp_out_fin(struct stack *s, struct conn c);
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
/*
 * A link that cannot lose, and the user timeout is over. What is in flight lies in the peer's ring, as it would in the buffer of a kernel that has
 * acknowledged it; whether its program runs says nothing. But data that wait for a window all that time do end it, as in Linux.
 * Return: false: they do.
 */
bool tcp_timer_watched(struct stack *s, struct conn c);
/* Data waits and nothing will bring the news that it may go. */
void tcp_timer_persist(struct stack *s, struct conn c);
/* The program has filled sndq: while that waits for the window, the next look is TCP_STUCK_MS from here. */
void tcp_timer_sndbuf_full(struct stack *s, struct conn c);
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

/* NO_LOSS: an acknowledgement is owed, and goes later if nothing carries it. */
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
 * this key used: the new one begins beyond it. @no_loss: of a link that cannot lose, a multiple of 64 KiB
 */
uint32_t tcp_isn(const struct stack *s, const struct flow_key *key, const uint32_t *old_end, bool no_loss);
/* On a link that cannot lose: the numbers of this end begin at snd_una, those of the peer at @irs. */
void tcp_isn_ours(struct tcb *t);
void tcp_isn_theirs(struct stack *s, struct tcb *t, uint32_t irs);
/* ... snd_nxt, or rcv_nxt (@rcv), has come round. */
void tcp_isn_round(struct stack *s, struct tcb *t, bool rcv);

/* ---- tcp_sanity.c ---------------------------------------------------------------------------- */

/* Assert all that must hold of a connection between calls. For tests: it walks queues. */
void tcp_sanity(struct stack *s, uint32_t id);
/* Of every connection, and of the counts that tie them together */
void tcp_sanity_all(struct stack *s);

#endif
