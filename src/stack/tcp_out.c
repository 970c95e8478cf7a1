// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segments go out: built straight into a frame of the link
 *
 * May a segment leave? The window the peer offers and the congestion window say how much; whether
 * less than a full segment may go is tcp_out_may_send(), which is Nagle (RFC 9293 3.7.4, with
 * Minshall's change as in Linux), cork, and the sender's side of silly window avoidance
 * (3.8.6.2.1). For the last RFC 9293 wants the largest window ever seen. Receivers avoid silly
 * windows too, so here a window smaller than a segment is used when nothing is in flight, and else
 * waited for: the acknowledgement of what is in flight brings a better one, or the end of the wait.
 *
 * A frame that cannot be had ends the attempt; stack_output_later() resumes it when the link is
 * writable.
 */
#include "base/copy.h"
#include "stack/tcp_call.h"
#include "stack/tcp_withdraw.h"
#include "stack/tcp_mtu.h"
#include "stack/tcp_pace.h"
#include "wire/eth.h"
#include "wire/ip4.h"

#include <errno.h>

/* Larger than any header that is sent: each frame must have room for it. */
#define L4_ROOM_MIN TCP_HDR_MAX

/* ---- receive window -------------------------------------------------------------------------- */

/*
 * On a link that cannot lose it moves right only by a segment or half of the buffer (RFC 9293
 * 3.8.6.2.2); on others it is tcp_tune.c's.
 */
static inline uint16_t xmit_window_direct(const struct stack *s, struct tcb *t)
{
	uint32_t shift = tcb_rcv_wscale(t);
	uint32_t left = tcb_rcv_wnd(t);
	uint32_t rcvbuf = tcp_rcvbuf_set(s, t);
	uint32_t space = tcp_window_space(t, rcvbuf) >> shift << shift;

	if (space >= left + min_u32(t->mss, rcvbuf / 2))
		left = space;
	return tcp_window_offer(t, left, rcvbuf);
}

/* ---- one segment ----------------------------------------------------------------------------- */

/* Out of the output queue, if there is nothing more for it to do there */
static VJ_COLD void xmit_unqueue(struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;

	if (tcb_synchronized(t) && tcb_unsent(t) == 0 &&
	    (t->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) != TF_FIN_QUEUED &&
	    t->state != TCP_TIME_WAIT && t->rtx == 0)
		stack_output_done(s, t->link, ref_tcp(c.id));
}

/* Whatever was to be acknowledged has been, by the segment just sent. */
static inline void xmit_acked(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	t->rcv_acked = t->rcv_nxt;
	t->flags &= ~(uint32_t)(TF_ACK_OWED | TF_ACK_NOW | TF_ACK_TIMER);
	tcp_ack_paid(s, c);
	if (unlikely(ref_list_has(&t->output)))
		xmit_unqueue(s, c);
}

/*
 * All headers of a segment over IPv4 on a link without checksums, from the link's template and the
 * block: xmit_hdr() and xmit_finish() in a dozen stores.
 */
VJ_INLINE void xmit_plain(struct stack *s, struct conn c, const struct ip_tx *tx, uint32_t seq,
			  uint8_t flags, uint32_t len)
{
	struct tcb *t = c.t;
	struct link_frame frame = tx->frame;
	uint8_t *ip = frame.data + ETH_HDR_BYTES, *tcp = ip + IP4_HDR_BYTES;
	uint32_t ttl = IP_TTL_DEFAULT;

	__builtin_memcpy(frame.data, tx->link->head4, sizeof(tx->link->head4));
	if (unlikely(t->ext != 0)) {
		const struct tcp_ext *ext = tcb_ext(s, t);

		ttl = ext->ttl;
		ip[1] = ext->tos;
	}
	store_be32(ip + 2, (IP4_HDR_BYTES + TCP_HDR_BYTES + len) << 16);
	store_be32(ip + 6, (uint32_t)IP4_FRAG_DF << 16 | ttl << 8 | IP_PROTO_TCP);
	store_u32(ip + 10, 0);
	store_u32(ip + 12, t->laddr4.raw);
	store_u32(ip + 16, t->raddr4.raw);
	store_be32(tcp, (uint32_t)t->lport << 16 | t->rport);
	store_be32(tcp + 4, seq);
	store_be32(tcp + 8, t->rcv_nxt);
	store_be32(tcp + 12, (uint32_t)TCP_HDR_BYTES / 4 << 28 | (uint32_t)flags << 16 |
				     xmit_window_direct(s, t));
	store_u32(tcp + 16, 0);
	frame.len = ETH_HDR_BYTES + IP4_HDR_BYTES + TCP_HDR_BYTES + len;
	s->stats.tx_frames++;
	tx->link->ops->tx_put(tx->link->drv, &frame);
}

static inline bool xmit_is_plain(const struct tcb *t, const struct ip_tx *tx)
{
	return (t->flags & (TF_NO_LOSS | TF_V6 | TF_TS | TF_ECN | TF_OOO | TF_FIN_AHEAD)) ==
		       TF_NO_LOSS &&
	       !ip_tx_has_csum(tx);
}

/* @ecn: IP's two bits */
static void xmit_finish(struct stack *s, struct conn c, const struct ip_tx *tx, uint32_t hdr_len,
			struct csum payload, uint32_t len, uint8_t ecn)
{
	struct ip_path path;

	tcp_conn_path(s, c, &path);
	path.tos |= ecn;
	if (ip_tx_has_csum(tx))
		tcp_csum_fill(tx->l4, hdr_len,
			      csum_add(payload, ip_tx_pseudo(&path, hdr_len + len)));
	ip_tx_put(s, tx, &path, hdr_len + len);
}

/* With @hdr_len bytes: SACK blocks in what timestamps leave of them */
static void xmit_hdr_opts(struct stack *s, struct tcb *t, uint8_t *p,
			  const struct tcp_fields *fields, uint32_t hdr_len)
{
	uint32_t plain_len = tcp_hdr_len(t);
	struct tcp_opts opts = { .present = 0 };

	if (hdr_len == plain_len && tcb_has(t, TF_TS)) {
		tcp_build_ts(p, fields, tcp_ts_now(s, t), t->ts_recent);
		return;
	}
	if (tcb_has(t, TF_TS)) {
		opts.present = TCP_HAS_TS;
		opts.ts_val = tcp_ts_now(s, t);
		opts.ts_ecr = t->ts_recent;
	}
	if (hdr_len != plain_len) {
		tcp_sack_blocks(s, t, (hdr_len - plain_len - TCP_SACK_LEN(0)) / TCP_SACK_LEN_ONE,
				&opts);
		tcp_sack_told(s, t);
	}
	tcp_build(p, fields, &opts);
}

/* The window to offer, and all that a link that can lose wants to know of a segment that leaves */
static uint16_t xmit_window(struct stack *s, struct conn c, uint32_t seq, uint32_t len)
{
	uint16_t window;

	if (likely(tcb_no_loss(c.t)))
		return xmit_window_direct(s, c.t);
	window = tcp_window_lossy(s, c);
	tcp_delack_sent(s, c, seq, len);
	return window;
}

/* Header of a segment with @len bytes of payload. Return: IP's two bits. */
static uint8_t xmit_hdr(struct stack *s, struct conn c, uint8_t *p, uint32_t seq, uint8_t flags,
			uint32_t len, uint32_t hdr_len)
{
	struct tcb *t = c.t;
	struct tcp_fields fields = {
		.seq = seq,
		.ack = t->rcv_nxt,
		.src_port = t->lport,
		.dst_port = t->rport,
		.window = xmit_window(s, c, seq, len),
		.flags = flags,
	};
	uint8_t ecn = 0;

	if (!tcb_has(t, TF_TS | TF_ECN | TF_OOO | TF_FIN_AHEAD)) {
		tcp_build_hdr(p, &fields, 0);
		return 0;
	}
	if (tcb_has(t, TF_ECN))
		ecn = tcp_ecn_xmit(s, t, seq, len, &fields.flags);
	xmit_hdr_opts(s, t, p, &fields, hdr_len);
	return ecn;
}

/*
 * Header of a segment with @len bytes of payload: SACK blocks go where there is room for them, in what a
 * full segment takes (RFC 6691): the path may carry less than the link.
 */
static inline uint32_t xmit_hdr_len(const struct stack *s, const struct tcb *t, uint32_t len)
{
	uint32_t plain_len = tcp_hdr_len(t);
	uint32_t room = min_u32(TCP_HDR_MAX, len < t->mss ? plain_len + t->mss - len : 0);
	uint32_t cnt = unlikely(tcb_has(t, TF_OOO | TF_FIN_AHEAD)) ? tcp_sack_cnt(s, t) : 0;

	if (likely(cnt == 0) || room < plain_len + TCP_SACK_LEN(1))
		return plain_len;
	cnt = min_u32(cnt, (room - plain_len - TCP_SACK_LEN(0)) / TCP_SACK_LEN_ONE);
	return plain_len + TCP_SACK_LEN(cnt);
}

/* Bytes of sndq at sequence number @seq into the frame */
static void xmit_from_queue(struct stack *s, struct tcb *t, uint32_t seq, uint8_t *dst,
			    uint32_t len)
{
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	uint32_t off = seq - (tcb_no_loss(t) && !tcb_is_called(t) ? t->snd_nxt : t->snd_una);

	bufq_read_at(&s->bufs, &t->sndq, off, dst, len,
		     rtx == NULL ? NULL : seq == t->snd_nxt ? &rtx->pos : &rtx->pos_again);
}

int tcp_xmit(struct stack *s, struct conn c, uint32_t seq, uint8_t flags, const void *data,
	     uint32_t len)
{
	struct tcb *t = c.t;
	uint32_t hdr_len = TCP_HDR_BYTES;
	struct csum sum = CSUM_ZERO;
	struct ip_tx tx;
	uint8_t ecn;
	bool plain;
	int err = ip_tx_get(s, t->link, tcb_v4(t), &tx);

	if (unlikely(err != 0))
		return err;
	VJ_ASSERT_OP(tx.l4_room, >, (uint32_t)L4_ROOM_MIN);
	plain = xmit_is_plain(t, &tx);
	if (!plain)
		hdr_len = xmit_hdr_len(s, t, len);
	if (len > tx.l4_room - hdr_len) {
		/* This link's frames are smaller than its MTU. */
		len = tx.l4_room - hdr_len;
		t->mss = (uint16_t)min_u32(t->mss, len);
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH | TCP_CLOSED_BY);
	}
	if (likely(plain) && likely(data != NULL || len == 0)) {
		if (unlikely(len >= COPY_OUT_MIN) && tx.link->ops->tx_copy != NULL)
			tx.link->ops->tx_copy(tx.link->drv, tx.l4 + TCP_HDR_BYTES, data, len);
		else if (len != 0)
			__builtin_memcpy(tx.l4 + TCP_HDR_BYTES, data, len);
		xmit_plain(s, c, &tx, seq, flags, len);
		xmit_acked(s, c);
		return (int)len;
	}
	ecn = xmit_hdr(s, c, tx.l4, seq, flags, len, hdr_len);
	if (len != 0) {
		if (data != NULL)
			__builtin_memcpy(tx.l4 + hdr_len, data, len);
		else
			xmit_from_queue(s, t, seq, tx.l4 + hdr_len, len);
		if (ip_tx_has_csum(&tx))
			sum = csum_bytes(tx.l4 + hdr_len, len);
	}
	xmit_finish(s, c, &tx, hdr_len, sum, len, ecn);
	xmit_acked(s, c);
	return (int)len;
}

/* Without payload. Return: as tcp_xmit() */
static int xmit_bare(struct stack *s, struct conn c, uint8_t flags)
{
	int err = tcp_xmit(s, c, c.t->snd_nxt, flags, NULL, 0);

	if (err == 0 && tcb_no_loss(c.t) && c.t->peer_closed)
		link_unawaited(link_at(&s->links, c.t->link));
	return err;
}

/* SYN, or SYN-ACK if @flags has ACK, at @seq */
static int xmit_syn(struct stack *s, struct conn c, uint32_t seq, uint8_t flags,
		    const struct tcp_syn_more *more)
{
	struct tcb *t = c.t;
	struct tcp_fields fields = {
		.seq = seq,
		.src_port = t->lport,
		.dst_port = t->rport,
		.flags = flags,
	};
	uint32_t len = more != NULL ? more->len : 0;
	struct csum sum = CSUM_ZERO;
	struct tcp_opts opts;
	struct ip_tx tx;
	uint32_t hdr_len;
	int err = ip_tx_get(s, t->link, tcb_v4(t), &tx);

	if (err != 0)
		return err;
	VJ_ASSERT_OP(tx.l4_room, >, (uint32_t)L4_ROOM_MIN);
	if (more != NULL)
		fields.urgent = more->urgent;
	else if (tcb_asks(t))
		fields.urgent = TCP_CALL_ASKS;
	if (fields.urgent != 0 && (flags & TCP_ACK) == 0)
		fields.ack = tcp_withdrawn_stamp(tx.link);
	fields.window = tcp_syn_window(s, c);
	if (tcb_no_loss(t) && t->rcvq.bytes != 0) /* an answer to who has said something */
		fields.window = (uint16_t)min_u32(fields.window, max_u32(tcb_rcv_wnd(t), tcp_window_space(t, tcp_rcvbuf_set(s, t))));
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt + fields.window); /* SYN_SENT: rcv_nxt is 0 */
	if ((flags & TCP_ACK) != 0) {
		fields.ack = t->rcv_nxt;
		t->rcv_acked = t->rcv_nxt;
	}
	tcp_opt_syn(s, c, &opts);
	if (more != NULL && more->fastopen) {
		opts.present |= TCP_HAS_FASTOPEN;
		if (more->fastopen_exp)
			opts.present |= TCP_FASTOPEN_IS_EXP;
		opts.fastopen_len = more->cookie_len;
		if (more->cookie_len != 0)
			__builtin_memcpy(opts.fastopen, more->cookie, more->cookie_len);
	}
	hdr_len = (uint32_t)tcp_build(tx.l4, &fields, &opts);
	if (len != 0) {
		VJ_ASSERT_OP(hdr_len + len, <=, tx.l4_room);
		bufq_read_at(&s->bufs, &t->sndq, 0, tx.l4 + hdr_len, len, NULL);
		if (ip_tx_has_csum(&tx))
			sum = csum_bytes(tx.l4 + hdr_len, len);
	}
	xmit_finish(s, c, &tx, hdr_len, sum, len, 0);
	t->flags &= ~(uint32_t)(TF_ACK_OWED | TF_ACK_NOW | TF_ACK_TIMER);
	return 0;
}

int tcp_xmit_synack_again(struct stack *s, struct conn c)
{
	uint8_t ecn = tcb_has(c.t, TF_ECN) ? TCP_ECE : 0;

	return xmit_syn(s, c, c.t->snd_una - 1, TCP_SYN | TCP_ACK | ecn, NULL);
}

int tcp_xmit_answer(struct stack *s, struct conn c, uint16_t urgent, bool place)
{
	uint32_t seq = c.t->snd_una - (c.t->state == TCP_SYN_RECEIVED ? 0 : 1);

	return xmit_syn(s, c, seq, TCP_SYN | TCP_ACK | (place ? TCP_PSH : 0), &(struct tcp_syn_more){ .urgent = urgent });
}

int tcp_xmit_call_again(struct stack *s, struct conn c, uint16_t urgent)
{
	return xmit_syn(s, c, c.t->snd_una - 1, TCP_SYN, &(struct tcp_syn_more){ .urgent = urgent });
}

int tcp_xmit_syn(struct stack *s, struct conn c)
{
	return tcp_xmit_syn_more(s, c, NULL);
}

int tcp_xmit_syn_more(struct stack *s, struct conn c, const struct tcp_syn_more *more)
{
	struct tcb *t = c.t;
	bool again = t->snd_nxt != t->snd_una;
	uint8_t flags = t->state != TCP_SYN_RECEIVED ? TCP_SYN : tcb_owes_answer(t) ? TCP_SYN | TCP_ACK | TCP_PSH : TCP_SYN | TCP_ACK;
	int err = xmit_syn(s, c, t->snd_una, flags | tcp_ecn_syn_flags(s, t, again), more);

	if (err != 0)
		return err;
	t->snd_nxt = seq_max(t->snd_nxt, t->snd_una + 1);
	/* Without memory for it there is no first measurement, and that is all. */
	if (!tcb_no_loss(t) && !tcp_listen_synack_sent(s, c, again) && tcp_sent_reserve(s, c)) {
		struct tcp_rtx *rtx = tcb_rtx(s, t);

		if (rtx->head != 0) {
			tcp_sent_again(s, rtx, rtx->head);
		} else {
			tcp_sent_add(s, c, t->snd_una, t->snd_una + 1, 0);
			rtx->stuck = true;
			rtx->stuck_ms = tcp_now_ms(s);
		}
	}
	tcp_timer_data_sent(s, c);
	return 0;
}

void tcp_send_ack(struct stack *s, struct conn c)
{
	if (tcb_has(c.t, TF_HELD) || tcb_owes_answer(c.t) || xmit_bare(s, c, TCP_ACK) < 0) {
		c.t->flags |= TF_ACK_OWED | TF_ACK_NOW;
		tcp_output_later(s, c);
	}
}

void tcp_send_uto(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_opts opts = {
		.present = TCP_HAS_UTO,
		.uto = tcp_uto_field(tcb_ext(s, t)->uto_s),
		.ts_val = tcp_ts_now(s, t),
		.ts_ecr = t->ts_recent,
	};
	struct tcp_fields fields = {
		.seq = t->snd_nxt,
		.ack = t->rcv_nxt,
		.src_port = t->lport,
		.dst_port = t->rport,
		.flags = TCP_ACK,
	};
	struct ip_tx tx;

	/* No frame: it may get lost anyway. */
	if (ip_tx_get(s, t->link, tcb_v4(t), &tx) != 0)
		return;
	if (tcb_has(t, TF_TS))
		opts.present |= TCP_HAS_TS;
	fields.window = xmit_window(s, c, t->snd_nxt, 0);
	xmit_finish(s, c, &tx, (uint32_t)tcp_build(tx.l4, &fields, &opts), CSUM_ZERO, 0, 0);
	xmit_acked(s, c);
}

void tcp_send_probe(struct stack *s, struct conn c)
{
	/* If there is no frame, the timer comes again. */
	(void)tcp_xmit(s, c, c.t->snd_una - 1, TCP_ACK, NULL, 0);
}

/* ---- resets ---------------------------------------------------------------------------------- */

int tcp_xmit_rst(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_fields fields = {
		.seq = t->snd_nxt,
		.ack = t->rcv_nxt,
		.src_port = t->lport,
		.dst_port = t->rport,
		.flags = TCP_RST | TCP_ACK,
	};
	bool calls = t->state == TCP_SYN_SENT;
	struct ip_tx tx;
	int err;

	/* On a link that cannot lose the SYN is there, and may wait for a place: it is to be forgotten, and not to be accepted later. */
	if (calls && (!tcb_no_loss(t) || t->snd_nxt == t->snd_una))
		return 0;
	err = ip_tx_get(s, t->link, tcb_v4(t), &tx);
	if (err != 0)
		return err;
	/*
	 * The peer takes it only at the edge of what it has acknowledged; behind a window that
	 * closed it would be out.
	 */
	if (calls)
		fields.flags = TCP_RST;
	else if (seq_gt(fields.seq, t->snd_una + t->snd_wnd) && !tcb_is_called(t))
		fields.seq = t->snd_una;
	s->stats.tcp_resets_tx++;
	/* With a timestamp, where there are any (RFC 7323 3.2) */
	if (tcb_has(t, TF_TS))
		tcp_build_ts(tx.l4, &fields, tcp_ts_now(s, t), t->ts_recent);
	else
		tcp_build_hdr(tx.l4, &fields, 0);
	xmit_finish(s, c, &tx, tcp_hdr_len(t), CSUM_ZERO, 0, 0);
	return 0;
}

void tcp_reply_rst(struct stack *s, const struct pkt *pkt, const struct tcp_view *view)
{
	struct ip_path path = {
		.src = pkt->dst,
		.dst = pkt->src,
		.proto = IP_PROTO_TCP,
		.ttl = IP_TTL_DEFAULT,
	};
	struct tcp_fields fields = {
		.seq = view->ack,
		.src_port = view->dst_port,
		.dst_port = view->src_port,
		.flags = TCP_RST,
	};
	struct ip_tx tx;

	if ((view->flags & TCP_ACK) == 0) {
		fields.seq = 0;
		fields.ack = view->seq + tcp_seg_len(view);
		fields.flags |= TCP_ACK;
	}
	if (ip_tx_get(s, pkt->link_id, pkt->ip.version == 4, &tx) != 0) {
		stack_drop(s, STACK_DROP_NO_FRAME);
		return;
	}
	s->stats.tcp_resets_tx++;
	tcp_build_hdr(tx.l4, &fields, 0);
	if (ip_tx_has_csum(&tx))
		tcp_csum_fill(tx.l4, TCP_HDR_BYTES, ip_tx_pseudo(&path, TCP_HDR_BYTES));
	ip_tx_put(s, &tx, &path, TCP_HDR_BYTES);
}

/* ---- new data -------------------------------------------------------------------------------- */

uint32_t tcp_out_usable(const struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	uint32_t flight = tcb_flight(t);
	uint32_t room = t->snd_wnd > flight ? t->snd_wnd - flight : 0;
	const struct tcp_rtx *rtx;
	uint32_t pipe, cwnd;

	if (tcb_no_loss(t))
		return room;
	/* RFC 6675 4, NextSeg: what is lost goes before what is new. */
	rtx = tcb_rtx(s, t);
	if (rtx != NULL && rtx->lost.head != 0 && !tcp_frto_holds(rtx))
		return 0;
	pipe = tcp_rtx_pipe(s, t);
	cwnd = tcb_cold(s, c)->cc.cwnd;
	return min_u32(room, cwnd > pipe ? cwnd - pipe : 0);
}

void tcp_out_sent(struct stack *s, struct conn c, uint32_t len)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx;

	if (unlikely(__builtin_add_overflow(t->snd_nxt, len, &t->snd_nxt)) && tcb_no_loss(t))
		tcp_isn_round(s, t, false);
	if (tcb_no_loss(t)) {
		if (unlikely(t->ext != 0))
			tcp_timer_data_sent(s, c);
		return;
	}
	tcp_sent_add(s, c, t->snd_nxt - len, t->snd_nxt, tcb_unsent(t) == 0 ? SENT_PUSH : 0);
	rtx = tcb_rtx(s, t);
	if (len < t->mss)
		rtx->small_end = t->snd_nxt;
	tcp_cc_sent(s, c);
	if (t->ext != 0)
		tcp_pace_sent(s, c, len);
	tcp_timer_data_sent(s, c);
}

void tcp_xmit_frame(struct stack *s, struct conn c, const struct ip_tx *tx, uint32_t len)
{
	struct tcb *t = c.t;
	uint32_t hdr_len = tcp_hdr_len(t);
	struct csum sum = CSUM_ZERO;

	if (likely(xmit_is_plain(t, tx))) {
		xmit_plain(s, c, tx, t->snd_nxt, TCP_ACK | TCP_PSH, len);
	} else {
		uint8_t ecn =
			xmit_hdr(s, c, tx->l4, t->snd_nxt, TCP_ACK | TCP_PSH, len, hdr_len);

		if (ip_tx_has_csum(tx))
			sum = csum_bytes(tx->l4 + hdr_len, len);
		xmit_finish(s, c, tx, hdr_len, sum, len, ecn);
	}
	xmit_acked(s, c);
	tcp_out_sent(s, c, len);
}

/*
 * The window cuts a segment short. RFC 9293 3.8.6.2.1, with Fs = 1/2: it goes if it is half of the
 * largest window that this peer has offered; else when the persist timer says so. A link that
 * cannot lose has no need to remember: its windows are closed by one reader's sleep, not by
 * dribbling.
 */
static VJ_COLD bool out_cut_may_go(const struct stack *s, struct conn c, uint32_t len)
{
	const struct tcb *t = c.t;

	if (tcb_no_loss(t) && t->snd_una == t->snd_nxt)
		return true;
	return len >= tcp_snd_wnd_max(s, c) / 2;
}

bool tcp_out_may_send(const struct stack *s, struct conn c, uint32_t unsent, uint32_t len)
{
	const struct tcb *t = c.t;
	const struct tcp_rtx *rtx;

	if (len == t->mss)
		return true;
	if (len < unsent)
		return out_cut_may_go(s, c, len);
	if (tcb_has(t, TF_FIN_QUEUED))
		return true;
	if (tcb_has(t, TF_CORK | TF_MORE))
		return tcb_has(t, TF_WANT_WRITE); /* no more can follow: Linux sends what there is then */
	if (tcb_has(t, TF_NODELAY | TF_NO_LOSS) || t->snd_una == t->snd_nxt)
		return true;
	rtx = tcb_rtx(s, t);
	return rtx == NULL || seq_leq(rtx->small_end, t->snd_una);
}

bool tcp_out_prepare(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if (tcb_no_loss(t))
		return true;
	if (!tcp_sent_reserve(s, c))
		return false;
	if (tcb_flight(t) == 0 && !tcb_has(t, TF_RTX_TIMER))
		tcp_cc_idle(s, c, tcp_now_ms(s) - t->rtx_due_ms);
	return t->ext == 0 || !tcp_pace_hold(s, c);
}

/* Our FIN is on its way. */
static void out_fin_sent(struct stack *s, struct conn c, bool with_data)
{
	struct tcb *t = c.t;

	t->snd_nxt++;
	if (!tcb_no_loss(t) && with_data)
		tcp_sent_add_fin(s, t);
	else if (!tcb_no_loss(t))
		tcp_sent_add(s, c, t->snd_nxt - 1, t->snd_nxt, 0);
	t->flags |= TF_FIN_SENT;
	t->state = t->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
	tcp_timer_data_sent(s, c);
}

static uint8_t out_fin_flags(const struct tcb *t)
{
	return tcb_no_loss(t) && !tcb_has(t, TF_OWNED) ? TCP_FIN | TCP_CLOSED_BY : TCP_FIN;
}

int tcp_out_fin(struct stack *s, struct conn c)
{
	int err;

	if (!tcp_out_prepare(s, c))
		return 0;
	err = xmit_bare(s, c, out_fin_flags(c.t) | TCP_ACK);
	if (err < 0)
		return err;
	out_fin_sent(s, c, false);
	return 0;
}

/* @len bytes of new data, for which everything is set. Return: 0; -EAGAIN: no frame. */
static int out_segment(struct stack *s, struct conn c, uint32_t len)
{
	struct tcb *t = c.t;
	uint32_t unsent = tcb_unsent(t);
	uint8_t flags = TCP_ACK;
	int sent;

	if (len == unsent)
		flags |= tcb_has(t, TF_FIN_QUEUED) ? TCP_PSH | out_fin_flags(t) : TCP_PSH;
	sent = tcp_xmit(s, c, t->snd_nxt, flags, NULL, len);
	if (sent < 0)
		return sent;
	if (tcb_no_loss(t)) {
		bufq_consume(&s->bufs, &t->sndq, (uint32_t)sent);
		t->flags &= ~(uint32_t)TF_STUCK;
	}
	tcp_out_sent(s, c, (uint32_t)sent);
	if ((uint32_t)sent == unsent && (flags & TCP_FIN) != 0)
		out_fin_sent(s, c, true);
	return 0;
}

bool tcp_out_probe(struct stack *s, struct conn c, uint32_t len)
{
	const struct tcb *t = c.t;
	uint32_t flight = tcb_flight(t);

	return tcb_can_send(t) && len != 0 && t->snd_wnd > flight && len <= t->snd_wnd - flight &&
	       tcp_out_prepare(s, c) && out_segment(s, c, len) == 0;
}

/* Return: 0: all that may go has gone; -EAGAIN: no frame. */
static int out_data(struct stack *s, struct conn c, bool force)
{
	struct tcb *t = c.t;

	for (;;) {
		uint32_t unsent = tcb_unsent(t);
		uint32_t len = min_u32(min_u32(unsent, t->mss), tcp_out_usable(s, c));
		int err;

		if (len == 0 || !(force || tcp_out_may_send(s, c, unsent, len)) ||
		    !tcp_out_prepare(s, c))
			return 0;
		err = out_segment(s, c, len);
		if (err != 0)
			return err;
	}
}

/*
 * New data of a link that can lose, after what was sent again. F-RTO wants it before: then the rest
 * of that follows it, if none could be sent. Return: 0; -EAGAIN: no frame.
 */
static int out_after_rtx(struct stack *s, struct conn c, bool force)
{
	struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	bool first = rtx != NULL && tcp_frto_holds(rtx);
	int err = 0;

	if (c.t->ext != 0 && !tcp_mtu_output(s, c))
		return 0;
	if (c.t->sndq.bytes != 0 && tcb_can_send(c.t))
		err = out_data(s, c, force || first);
	if (first && err == 0) {
		tcp_frto_sent(c.t, rtx);
		err = tcp_rtx_output(s, c);
	}
	rtx = tcb_rtx(s, c.t);
	if (err == 0 && rtx != NULL && tcb_unsent(c.t) < c.t->mss && tcp_out_usable(s, c) != 0)
		tcp_rate_app_limited(s, c.t, rtx);
	return err;
}

/* Data, FIN: what the state allows. Return: 0; -EAGAIN: no frame. */
static int out_stream(struct stack *s, struct conn c, bool force)
{
	struct tcb *t = c.t;
	int err;

	if (t->rtx != 0) {
		err = tcp_rtx_output(s, c);
		if (err != 0)
			return err;
	}
	if (!tcb_no_loss(t)) {
		err = out_after_rtx(s, c, force);
		tcp_writable(s, c); /* of what had not been sent: TCP_OPT_NOTSENT_LOWAT */
		tcp_meter_note(s, c);
		if (err != 0)
			return err;
	} else if (t->sndq.bytes != 0 && tcb_can_send(t)) {
		err = out_data(s, c, force);
		tcp_writable(s, c);
		if (err != 0)
			return err;
	}
	if (!tcb_can_send(t))
		return 0;
	if (tcb_can_send(t) && tcb_has(t, TF_FIN_QUEUED) && tcb_unsent(t) == 0) {
		err = tcp_out_fin(s, c);
		if (err != 0)
			return err;
	}
	if (tcb_can_send(t) && (tcb_unsent(t) != 0 || tcb_has(t, TF_FIN_QUEUED)) &&
	    !tcb_has(t, TF_RTX_TIMER) && !tcp_pace_held(s, t))
		tcp_timer_persist(s, c);
	return 0;
}

bool tcp_output(struct stack *s, struct conn c, bool force)
{
	struct tcb *t = c.t;
	int err;

	if (unlikely(tcb_has(t, TF_HELD)))
		return true;
	if (unlikely(tcb_owes_answer(t))) {
		if ((!tcb_has(t, TF_EMBRYO) || tcb_has(t, TF_HURRIED)) && !tcp_call_answer(s, c, NULL))
			return tcp_withdrawn_end(s, c);
		if (tcb_owes_answer(t))
			return true;
	}
	err = unlikely(tcb_is_called(t)) ? tcp_call_output(s, c, force) : out_stream(s, c, force);
	if (err == 0 && tcb_has(t, TF_ACK_NOW)) {
		err = xmit_bare(s, c, TCP_ACK);
	}
	if (err == -EAGAIN) {
		tcp_output_later(s, c);
		return true;
	}
	if (tcb_has(t, TF_ACK_OWED) && !tcb_has(t, TF_ACK_TIMER))
		tcp_timer_ack_owed(s, c);
	if (t->state == TCP_TIME_WAIT && tcb_no_loss(t) && !tcb_has(t, TF_ACK_OWED))
		return tcp_conn_done(s, c, 0);
	return true;
}

/* A frame for the RST that a connection's end owed */
static void output_rst(struct stack *s, struct conn c)
{
	if (!tcb_has(c.t, TF_RST_OWED))
		return;
	if (tcb_has(c.t, TF_ANSWER_OWED) && tcp_xmit_answer(s, c, 0, false) == 0)
		c.t->flags &= ~(uint32_t)TF_ANSWER_OWED;
	if (tcb_has(c.t, TF_ANSWER_OWED) || tcp_xmit_rst(s, c) == -EAGAIN) {
		tcp_output_later(s, c);
		return;
	}
	c.t->flags &= ~(uint32_t)TF_RST_OWED;
	if (!tcb_has(c.t, TF_OWNED | TF_EMBRYO))
		tcp_conn_release(s, c);
}

void tcp_output_resume(struct stack *s, uint32_t id)
{
	struct conn c = conn_at(s, id);

	if (c.t->state == TCP_SYN_SENT || c.t->state == TCP_SYN_RECEIVED) {
		/* Our SYN could not be sent, or an answer to theirs; an answer to one that is to be unanswered comes with its SYN-ACK. */
		if (tcp_listen_is_parked(c.t)) {
			c.t->flags &= ~(uint32_t)(TF_ACK_OWED | TF_ACK_NOW);
		} else if (tcb_no_loss(c.t) && tcb_has(c.t, TF_EMBRYO)) {
			tcp_listen_answer(s, c, false);
		} else if (c.t->snd_nxt == c.t->snd_una || tcb_has(c.t, TF_ACK_NOW)) {
			if (tcp_xmit_syn(s, c) == -EAGAIN)
				tcp_output_later(s, c);
		}
		return;
	}
	if (c.t->state == TCP_CLOSED)
		output_rst(s, c);
	else
		tcp_output(s, c, false);
}
