// SPDX-License-Identifier: BSD-2-Clause
/*
 * A segment arrives: header prediction, then RFC 9293 3.10.7.4 step by step
 *
 * Prediction (Jacobson 1990): on an established connection nearly every segment is the next one in
 * order, plain ACK, no options but timestamps. Such a segment needs none of the checks; what it may
 * not skip is done by the same functions.
 *
 *	step 1	in_seq()		acceptable? trim to the window. PAWS (RFC 7323 5)
 *	step 2	in_rst()		RFC 5961 3
 *	step 3				no security compartments
 *	step 4	in_syn()		RFC 5961 4
 *	step 5	tcp_ack_input()		tcp_ack.c
 *	step 6				urgent data are data (RFC 6093)
 *	step 7, 8	tcp_data_input()	tcp_data.c
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"

#include <errno.h>

bool tcp_seg_init(struct tcp_seg *seg, struct pkt *pkt, const struct tcp_view *view)
{
	if (tcp_opts_parse(view, &seg->opts) != WIRE_OK)
		return false;
	seg->pkt = pkt;
	seg->view = *view;
	seg->seq = view->seq;
	seg->ack = view->ack;
	seg->wnd = view->window;
	seg->off = (uint32_t)pkt->l4_off + view->hdr_len;
	seg->len = view->payload_len;
	seg->flags = view->flags;
	seg->answer = false;
	return true;
}

/* The peer resets. */
static void in_reset(struct stack *s, struct conn c)
{
	int err = ECONNRESET;

	s->stats.tcp_resets_rx++;
	if (tcb_is_fastopen(c.t))
		tcp_fastopen_gone(s, c.t, true);
	switch ((enum tcp_state)c.t->state) {
	case TCP_SYN_RECEIVED:
		err = ECONNREFUSED;
		break;
	case TCP_CLOSE_WAIT:
		err = EPIPE; /* as Linux: the end of the peer's data is known already */
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		err = tcb_has(c.t, TF_FIN_RCVD) ? 0 : ECONNRESET;
		break;
	default:
		break;
	}
	tcp_conn_done(s, c, err);
}

/* ---- step 1 ---------------------------------------------------------------------------------- */

/* What lies before rcv_nxt was received already, what lies behind rcv_adv was not asked for. */
static void seg_trim(struct tcb *t, struct tcp_seg *seg)
{
	int32_t before = seq_diff(t->rcv_nxt, seg->seq);

	if (before > 0) {
		uint32_t cut = (uint32_t)before;

		if ((seg->flags & TCP_SYN) != 0) {
			seg->flags &= (uint8_t)~TCP_SYN;
			seg->seq++;
			cut--;
		}
		if (cut > seg->len) {
			cut = seg->len;
			seg->flags &= (uint8_t)~TCP_FIN;
		}
		seg->seq += cut;
		seg->off += cut;
		seg->len -= cut;
	}
	if (seg->len > 0 && seq_gt(seg->seq + seg->len, t->rcv_adv)) {
		seg->len = seq_gt(t->rcv_adv, seg->seq) ? t->rcv_adv - seg->seq : 0;
		seg->flags &= (uint8_t)~TCP_FIN;
	}
}

/*
 * RFC 7323 5.3. Nothing is older than a timestamp that has itself grown too old to compare with
 * (5.5), nor than 0: some say 0 in SYN and their clock's time only from then on (as Linux).
 */
static bool seg_paws_bad(const struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	const struct tcb *t = c.t;
	const struct tcp_tally *tally;

	if (!tcb_has(t, TF_TS) || (seg->opts.present & TCP_HAS_TS) == 0 ||
	    (seg->flags & TCP_RST) != 0 || !time_before32(seg->opts.ts_val, t->ts_recent))
		return false;
	tally = tcb_tally(s, c);
	return t->ts_recent != 0 &&
	       (tally == NULL || tcp_now_s(s) - tally->ts_recent_s <= TCP_TS_RECENT_S);
}

/*
 * What of it was received before (RFC 2883), as it came: trimmed or not. rcv_nxt has not moved. Of what is in
 * the window only after step 5: what is dropped without having been believed leaves nothing to report.
 */
static void seg_duplicate(struct stack *s, struct tcb *t, const struct tcp_seg *seg)
{
	uint32_t seq = seg->view.seq + ((seg->view.flags & TCP_SYN) != 0 ? 1 : 0);

	if (seg->view.payload_len != 0 && seq_lt(seq, t->rcv_nxt))
		tcp_sack_duplicate(s, t, seq, seq_min(seq + seg->view.payload_len, t->rcv_nxt));
}

/*
 * Both ends of the segment count, as in Linux: it must not end before what was acknowledged last,
 * nor begin behind the window. That lets through a bare ACK at the window's edge, which RFC 9293
 * 3.10.7.4 would refuse.
 */
static bool in_seq(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	uint32_t seq_len = tcp_seg_len(&seg->view);
	enum stack_drop why = STACK_DROP_TCP_SEQ;
	bool old;

	if (seg_paws_bad(s, c, seg)) {
		why = STACK_DROP_TCP_PAWS;
	} else if (seq_geq(seg->seq + seq_len, t->rcv_acked) && seq_leq(seg->seq, t->rcv_adv)) {
		old = seq_len != 0 && seq_leq(seg->seq + seq_len, t->rcv_nxt);
		seg_trim(t, seg);
		/*
		 * Nothing new: our acknowledgement may have been lost (RFC 9293: "an ACK should be
		 * sent").
		 */
		seg->answer = old || (seg->view.payload_len != 0 && seg->len == 0);
		return true;
	}
	if ((seg->flags & TCP_RST) != 0 && tcb_has(t, TF_FIN_RCVD) && seg->seq + 1 == t->rcv_nxt) {
		/* Some count their own FIN only once it is acknowledged (as Linux). */
		in_reset(s, c);
		return false;
	}
	tcp_drop(s, c, why);
	if ((seg->flags & TCP_RST) != 0)
		return false;
	/* What takes sequence space without being SYN ends by itself, when it is acknowledged. */
	if (seq_len != 0 && (seg->flags & TCP_SYN) == 0) {
		seg_duplicate(s, t, seg);
		tcp_send_ack(s, c);
	} else {
		tcp_challenge(s, c);
	}
	return false;
}

/* ---- step 2 ---------------------------------------------------------------------------------- */

/*
 * The end of what came ahead of a hole, which the peer learned by SACK and took for its RST: it
 * resets before the hole is closed (as Linux).
 */
static bool rst_at_sack(const struct stack *s, const struct tcb *t, uint32_t seq)
{
	return tcb_has(t, TF_OOO) && tcb_has(t, TF_SACK) && tcp_ooo_end(s, t) == seq;
}

/*
 * RFC 5961 3.2: only the exact sequence number resets; anything else in the window is asked about.
 */
static bool in_rst(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	if ((seg->flags & TCP_RST) == 0)
		return true;
	if (seg->view.seq == c.t->rcv_nxt || rst_at_sack(s, c.t, seg->view.seq)) {
		in_reset(s, c);
		return false;
	}
	tcp_drop(s, c, STACK_DROP_TCP_RST);
	tcp_challenge(s, c);
	return false;
}

/* ---- step 4 ---------------------------------------------------------------------------------- */

/*
 * RFC 5961 4.2: never believed. Two that belong to a handshake are none of its business: the peer's
 * SYN again, which means that our SYN-ACK was lost; and its SYN-ACK when both sides called, whose
 * SYN was trimmed off in step 1.
 */
static bool in_syn(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	if ((seg->view.flags & TCP_SYN) == 0)
		return true;
	if (t->state == TCP_SYN_RECEIVED && seg->view.seq + 1 == t->rcv_nxt) {
		if ((seg->view.flags & TCP_ACK) != 0)
			return true;
		if (tcp_listen_is_parked(t))
			tcp_drop(s, c, STACK_DROP_TCP_BACKLOG);
		else if (!tcp_answered_lately(s, c.id) && tcp_xmit_syn(s, c) != 0)
			tcp_output_later(s, c);
		return false;
	}
	tcp_drop(s, c, STACK_DROP_TCP_SYN);
	if (t->state == TCP_SYN_RECEIVED && !tcb_has(t, TF_ACTIVE))
		tcp_conn_done(s, c, 0); /* back to LISTEN (RFC 9293), for the SYN that follows */
	else
		tcp_challenge(s, c);
	return false;
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* What the segment made possible goes out later, with what the program has to say. */
VJ_INLINE void in_after(struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;

	if (tcb_has(t, TF_ACK_NOW) || tcb_unsent(t) != 0 ||
	    (t->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) == TF_FIN_QUEUED ||
	    (t->rtx != 0 && tcb_rtx(s, t)->lost.head != 0))
		tcp_output_later(s, c);
	else if ((t->flags & (TF_ACK_OWED | TF_ACK_TIMER)) == TF_ACK_OWED)
		tcp_ack_owing(s, c);
}

void tcp_steps_input(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	if (t->state != TCP_SYN_RECEIVED || (seg->flags & TCP_SYN) == 0)
		seg->wnd <<= tcb_snd_wscale(t);
	if (!tcb_no_loss(t))
		tcp_delack_seen(s, c);
	if (unlikely(tcb_is_called(t))) {
		tcp_call_input(s, c, seg);
		return;
	}
	if (unlikely(tcb_owes_answer(t)) && !tcp_call_heard(s, c, seg))
		return;
	if (unlikely(tcb_is_fastopen(t)) && !tcp_fastopen_input(s, c, seg))
		return;
	if (!in_seq(s, c, seg))
		return;
	if (!in_rst(s, c, seg))
		return;
	if (!in_syn(s, c, seg))
		return;
	if (!tcp_ack_input(s, c, seg))
		return;
	if (tcb_has(t, TF_KEEPALIVE)) /* the peer lives: nobody else knows these numbers */
		tcp_timer_keepalive_seen(s, t);
	if (tcb_has(t, TF_ECN))
		tcp_ecn_data(t, seg);
	if (tcb_no_loss(t) && unlikely((seg->flags & TCP_URG) != 0))
		tcp_rcvbuf_take_all(s, c);
	tcp_uto_input(s, t, &seg->opts);
	seg_duplicate(s, t, seg);
	if (!tcp_data_input(s, c, seg))
		return;
	if (seg->answer) {
		t->flags |= TF_ACK_OWED | TF_ACK_NOW;
		if (!tcb_no_loss(t))
			tcp_delack_quick(s, c);
	}
	if (tcb_has(t, TF_OOO) && seg->answer)
		tcp_send_ack(s, c); /* in data there may be no room for the blocks */
	in_after(s, c);
}

/*
 * TIME_WAIT, RFC 9293 3.10.7.4: a FIN again is acknowledged again and starts the time anew. A SYN
 * that cannot be a duplicate, by timestamp or by sequence number, begins a new connection (RFC
 * 6191, RFC 1122 4.2.2.13). A reset that carries exactly the next number ends it, as 3.10.7.4 has it;
 * that an old one may do so too (RFC 1337) is accepted, as in Linux, unless the settings say otherwise.
 */
static void in_time_wait(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	bool old = seg_paws_bad(s, c, seg);
	bool newer = !old && (seq_gt(seg->seq, t->rcv_nxt) ||
			      (tcb_has(t, TF_TS) && (seg->opts.present & TCP_HAS_TS) != 0 &&
			       time_after32(seg->opts.ts_val, t->ts_recent)));

	if ((seg->flags & TCP_RST) != 0) {
		if (seg->seq == t->rcv_nxt && !s->cfg.tcp.rfc1337)
			tcp_conn_done(s, c, 0);
		else
			tcp_drop(s, c, STACK_DROP_TCP_RST);
		return;
	}
	if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && newer &&
	    ports_find(&s->ports, PORT_TCP, &seg->pkt->dst, seg->view.dst_port) != 0) {
		uint32_t old_end = t->snd_nxt;

		tcp_conn_done(s, c, 0);
		tcp_listen_input(s, seg->pkt, &seg->view, &old_end);
		return;
	}
	if (old) {
		tcp_drop(s, c, STACK_DROP_TCP_PAWS);
	} else if ((seg->flags & TCP_FIN) != 0 && seg->seq + seg->len + 1 == t->rcv_nxt) {
		tcp_tw_begin(s, c);
		tcp_send_ack(s, c);
		return;
	} else if ((seg->flags & (TCP_ACK | TCP_SYN)) == TCP_ACK && seg->len == 0 &&
		   seg->seq == t->rcv_nxt) {
		return;
	}
	tcp_challenge(s, c);
}

static VJ_COLD void in_slow(struct stack *s, struct conn c, struct pkt *pkt,
			    const struct tcp_view *view)
{
	struct tcp_seg seg;

	if (!tcp_seg_init(&seg, pkt, view)) {
		tcp_drop(s, c, STACK_DROP_TCP_BAD);
		return;
	}
	if (tcb_has(c.t, TF_HELD) && !tcb_no_loss(c.t)) {
		stack_drop(s, STACK_DROP_TCP_LEFT);
		return;
	}
	switch ((enum tcp_state)c.t->state) {
	case TCP_SYN_SENT:
		tcp_synsent_input(s, c, &seg);
		break;
	case TCP_TIME_WAIT:
		in_time_wait(s, c, &seg);
		break;
	default:
		tcp_steps_input(s, c, &seg);
		break;
	}
}

/* TIME_WAIT without a block */
static VJ_COLD void in_folded(struct stack *s, uint32_t tw_id, struct pkt *pkt, const struct tcp_view *view)
{
	struct conn c;

	if (!tcp_tw_unfold(s, tw_id, &c)) {
		stack_drop(s, STACK_DROP_NO_MEMORY);
		return;
	}
	in_slow(s, c, pkt, view);
	tcp_tw_settle(s, tw_id, c);
}

/* ---- prediction ------------------------------------------------------------------------------ */

/* Timestamps as agreed, and nothing else */
VJ_INLINE bool fast_opts_ok(struct tcb *t, const struct tcp_view *view)
{
	if (!tcb_has(t, TF_TS))
		return view->hdr_len == TCP_HDR_BYTES;
	return tcp_is_plain_ts(view) && !time_before32(tcp_plain_ts_val(view), t->ts_recent);
}

/*
 * States that need the steps. ECN does if the network has marked the segment; keep-alive, of which
 * nothing is done on a link that cannot lose, does on the others.
 */
VJ_INLINE bool fast_state_ok(const struct tcb *t, uint8_t tos)
{
	const uint32_t slow = TF_OOO | TF_FIN_AHEAD | TF_PERSIST | TF_FASTOPEN | TF_FIN_QUEUED;

	return likely(!tcb_has(t, slow | TF_KEEPALIVE | TF_ECN)) ||
	       (!tcb_has(t, slow) && (!tcb_has(t, TF_KEEPALIVE) || tcb_no_loss(t)) &&
		(!tcb_has(t, TF_ECN) || (tos & IP_ECN_CE) != IP_ECN_CE));
}

/* tcp_ack_advance(); on a link that cannot lose, mostly nothing but a number moves */
VJ_INLINE void fast_ack(struct stack *s, struct conn c, const struct tcp_view *view)
{
	struct tcb *t = c.t;

	if (tcb_no_loss(t) && likely(!tcb_has(t, TF_RTX_TIMER | TF_WANT_WRITE))) {
		t->snd_una = view->ack;
		if (view->ack == t->snd_nxt && t->sndq.bytes == 0)
			tcp_event(s, c, STACK_EV_SENT_ALL);
	} else {
		uint32_t ts_ecr = tcb_has(t, TF_TS) ? tcp_plain_ts_ecr(view) : 0;

		tcp_ack_advance(s, c, view->ack, tcb_has(t, TF_TS) ? &ts_ecr : NULL);
	}
}

/*
 * What a link that can lose wants to know of a segment, before and after rcv_nxt moves. The view is
 * passed whole: with a pointer to it, it would have to be in memory on direct channels, too (35
 * instructions a message).
 */
static VJ_COLD void fast_seen(struct stack *s, struct conn c, struct tcp_view view)
{
	struct tcb *t = c.t;

	if (tcb_has(t, TF_TS) && t->rcv_nxt == t->rcv_acked)
		tcp_ts_take(s, c, tcp_plain_ts_val(&view));
	tcp_delack_seen(s, c);
	if (unlikely(t->backoff != 0) && view.ack == t->snd_una)
		tcp_rtx_heard(s, c);
}

static VJ_COLD void fast_arrived(struct stack *s, struct conn c, struct tcp_view view)
{
	struct tcp_arrival arrival = {
		.len = view.payload_len,
		.hdr_len = view.hdr_len,
		.ts_ecr = tcb_has(c.t, TF_TS) ? tcp_plain_ts_ecr(&view) : 0,
		.flags = view.flags,
	};

	tcp_delack_in_order(s, c, &arrival);
}

/* A small message is copied in line. */
VJ_INLINE bool fast_append(struct stack *s, struct tcb *t, struct pkt *pkt,
			   const struct tcp_view *view)
{
	uint32_t off = (uint32_t)((const uint8_t *)view->hdr - pkt->hdr) + view->hdr_len;
	uint32_t len = view->payload_len;

	VJ_ASSERT(off <= pkt->frame.len && len <= pkt->frame.len - off);
	return (len <= BUF_COPY_MAX &&
		likely(bufq_append_first(&s->bufs, &t->rcvq, pkt->frame.data + off, len))) ||
	       bufq_append_pkt(&s->bufs, &t->rcvq, pkt, off, len) == 0;
}

/* @tos: of the IP header. Return: false: not as predicted, nothing was done. */
VJ_INLINE bool in_fast(struct stack *s, struct conn c, struct pkt *pkt,
		       const struct tcp_view *view, uint8_t tos)
{
	struct tcb *t = c.t;
	uint32_t acked = view->ack - t->snd_una;
	uint32_t len = view->payload_len;

	if (t->state != TCP_ESTABLISHED || (view->flags & ~TCP_PSH) != TCP_ACK ||
	    view->seq != t->rcv_nxt ||
	    !fast_state_ok(t, tos) ||
	    acked > tcb_flight(t) || len > tcb_rcv_wnd(t) || (acked | len) == 0 ||
	    !tcb_has(t, TF_OWNED) || !fast_opts_ok(t, view))
		return false;
	/*
	 * Takes no memory it may not get: bytes first, so that the slow path finds everything as it
	 * was.
	 */
	if (len != 0 && unlikely(!fast_append(s, t, pkt, view)))
		return false;
	t->snd_wnd = (uint32_t)view->window << tcb_snd_wscale(t);
	if (unlikely(!tcb_no_loss(t)))
		fast_seen(s, c, *view);
	if (acked != 0)
		fast_ack(s, c, view);
	if (len != 0) {
		if (unlikely(__builtin_add_overflow(t->rcv_nxt, len, &t->rcv_nxt)) && tcb_no_loss(t))
			tcp_isn_round(s, t, true);
		tcp_event(s, c, STACK_EV_READABLE);
		if (likely(tcb_no_loss(t)))
			tcp_ack_direct(t);
		else
			fast_arrived(s, c, *view);
	}
	in_after(s, c);
	return true;
}

struct find_arg {
	const struct stack *s;
	const struct pkt *pkt;
	const struct tcp_view *view;
};

static VJ_COLD bool find_folded(const struct stack *s, uint32_t tw_id, const struct pkt *pkt,
				const struct tcp_view *view)
{
	struct flow_key key = tcp_pkt_key(pkt, view);

	return tcp_tw_match(s, tw_id, &key);
}

static inline bool find_match(const void *p, uint32_t id)
{
	const struct find_arg *arg = p;
	const struct tcb *t;
	const struct tcb_cold *cold;

	if (unlikely((id & TCP_TW_ID) != 0))
		return find_folded(arg->s, id, arg->pkt, arg->view);
	t = conn_at(arg->s, id).t;
	if (t->raddr4.raw != arg->pkt->src.words[3].raw ||
	    t->laddr4.raw != arg->pkt->dst.words[3].raw || t->rport != arg->view->src_port ||
	    t->lport != arg->view->dst_port || t->link != arg->pkt->link_id)
		return false;
	if (likely(tcb_v4(t)))
		return arg->pkt->ip.version == 4;
	cold = tcb_cold(arg->s, conn_at(arg->s, id));
	return __builtin_memcmp(cold->raddr, &arg->pkt->src, sizeof(cold->raddr)) == 0 &&
	       __builtin_memcmp(cold->laddr, &arg->pkt->dst, sizeof(cold->laddr)) == 0;
}

void tcp_input(struct stack *s, struct pkt *pkt)
{
	struct tcp_view view;
	struct find_arg arg = { s, pkt, &view };
	uint32_t id;

	if (unlikely(tcp_parse_part(pkt_l4(pkt), pkt_l4_avail(pkt), pkt_l4_len(pkt), &view) !=
		     WIRE_OK)) {
		stack_drop(s, STACK_DROP_TCP_BAD);
		return;
	}
	id = flow_find(&s->flows, pkt->hash, find_match, &arg);
	if (unlikely(id == 0)) {
		tcp_listen_input(s, pkt, &view, NULL);
		return;
	}
	if (unlikely((id & TCP_TW_ID) != 0)) {
		in_folded(s, id, pkt, &view);
		return;
	}
	struct conn c = conn_at(s, id);

	if (likely(in_fast(s, c, pkt, &view, pkt->ip.tos)))
		return;
	in_slow(s, c, pkt, &view);
}

/* ---- plain packets --------------------------------------------------------------------------- */

/* tcp_parse_part() of what is known to be in order */
VJ_INLINE struct tcp_view plain_view(const struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES, *tcp = ip + 20;
	uint32_t ports = load_be32(tcp), flags_window = load_be32(tcp + 12);

	return (struct tcp_view){
		.hdr = (const struct tcp_hdr *)tcp,
		.seq = load_be32(tcp + 4),
		.ack = load_be32(tcp + 8),
		.src_port = (uint16_t)(ports >> 16),
		.dst_port = (uint16_t)ports,
		.window = (uint16_t)flags_window,
		.urgent = load_be16(tcp + 18),
		.payload_len = (uint16_t)(load_be16(ip + 2) - 20 - TCP_HDR_BYTES),
		.hdr_len = TCP_HDR_BYTES,
		.flags = (uint8_t)(flags_window >> 16),
	};
}

VJ_INLINE uint8_t plain_tos(const struct pkt *pkt)
{
	return pkt->hdr[ETH_HDR_BYTES + 1];
}

/* Addresses, ports and link as in the header. The block must be one that the flow table knows. */
VJ_INLINE bool plain_match(const struct tcb *t, const struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES;

	return load_u64(&t->raddr4) == load_u64(ip + 12) &&
	       ((uint32_t)t->rport << 16 | t->lport) == load_be32(ip + 20) &&
	       t->link == pkt->link_id && tcb_v4(t);
}

static inline bool plain_match_id(const void *p, uint32_t id)
{
	const struct find_arg *arg = p;

	return likely((id & TCP_TW_ID) == 0) && plain_match(conn_at(arg->s, id).t, arg->pkt);
}

void tcp_input_plain(struct stack *s, struct pkt *pkt)
{
	struct tcp_view view = plain_view(pkt);
	struct find_arg arg = { .s = s, .pkt = pkt };
	uint32_t id = flow_find(&s->flows, pkt->hash, plain_match_id, &arg);

	if (likely(id != 0)) {
		pkt->link->last_conn = id;
		if (likely(in_fast(s, conn_at(s, id), pkt, &view, plain_tos(pkt))))
			return;
	}
	pkt_plain_fill(pkt);
	if (id != 0)
		in_slow(s, conn_at(s, id), pkt, &view);
	else if ((pkt->link->flags & LINK_NO_LOSS) == 0)
		tcp_input(s, pkt); /* it may be folded */
	else
		tcp_listen_input(s, pkt, &view, NULL);
}

bool tcp_input_last(struct stack *s, struct pkt *pkt)
{
	uint32_t id = pkt->link->last_conn;
	struct tcp_view view;

	if (unlikely(id == 0) || !plain_match(conn_at(s, id).t, pkt))
		return false;
	view = plain_view(pkt);
	return in_fast(s, conn_at(s, id), pkt, &view, plain_tos(pkt));
}
