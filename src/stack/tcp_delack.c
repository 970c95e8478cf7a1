// SPDX-License-Identifier: BSD-2-Clause
/*
 * When to acknowledge, on links that can lose (RFC 1122 4.2.3.2, RFC 5681 4.2, RFC 9293 3.8.6.3)
 *
 * At once, whatever else: for what is out of order, closes a hole, brings nothing new, or ends the
 * stream (tcp_data.c), and for the second full segment. What is left is a choice between a sender
 * that waits for us to grow its window and a program that is about to answer anyway, and it is made
 * as Linux makes it:
 *
 *	quick		the next so many acknowledgements do not wait: at the beginning, after a
 *			pause longer than the RTO, after anything that looks like loss. Up to 16,
 *			fewer if the window is small; no use while the program answers
 *	PINGPONG	the program has sent something soon after something came: its answer
 *			will carry the acknowledgement. Until one comes too late
 *	ato_ms		how long the others wait: 40 ms at first, then about as long as the gap
 *			between segments, at most 200 ms or the round trip
 *
 * An acknowledgement also goes when the program has read all there was, if there was a segment
 * smaller than the rest, which is the end of something: unless the program answers.
 *
 * "Second full segment" means more than one of the size that the peer seems to send (rcv_mss),
 * whatever was agreed on.
 */
#include "stack/tcp.h"

/* ---- what arrives ---------------------------------------------------------------------------- */

static void quick_more(const struct tcb *t, struct tcp_tune *tune)
{
	uint32_t window = seq_gt(t->rcv_adv, t->rcv_acked) ? t->rcv_adv - t->rcv_acked : 0;
	uint32_t cnt = window / (2 * (uint32_t)tune->rcv_mss);

	cnt = min_u32(cnt != 0 ? cnt : 2, TCP_QUICKACKS);
	tune->quick = (uint8_t)max_u32(tune->quick, cnt);
}

/*
 * A full segment is the largest that comes, or one that comes twice in a row: a path may have made
 * them smaller. Options vary from segment to segment, so the length is taken with the header less
 * what headers mostly are.
 */
static void measure_mss(struct stack *s, struct conn c, struct tcp_tune *tune,
			const struct tcp_arrival *a)
{
	uint32_t last = tune->last_len;
	uint32_t len = a->len;

	tune->last_len = 0;
	if (len >= tune->rcv_mss) {
		tune->rcv_mss = (uint16_t)max_u32(min_u32(len, tcp_opt_link_mss(s, c)), 1);
		return;
	}
	if (len + a->hdr_len >= TCP_MSS_DEFAULT + TCP_HDR_BYTES ||
	    (len + a->hdr_len >= 88 + TCP_HDR_BYTES &&
	     (a->flags & (TCP_FIN | TCP_URG | TCP_SYN | TCP_PSH)) == 0)) {
		len = len + a->hdr_len - tcp_hdr_len(c.t);
		tune->last_len = (uint16_t)len;
		if (len == last) {
			tune->rcv_mss = (uint16_t)len;
			return;
		}
	}
	tune->small = (uint8_t)min_u32(tune->small + 1u, 2);
}

/* How often do segments come? Half of the old, and as much of the new */
static void measure_ato(const struct stack *s, struct conn c, struct tcp_tune *tune)
{
	uint32_t gap = tcp_now_ms(s) - tune->data_in_ms;
	uint32_t rto = tcp_rto_ms(s, c);
	uint32_t ato = tune->ato_ms;

	if (ato == 0) {
		quick_more(c.t, tune);
		ato = TCP_DELACK_MS;
	} else if (gap <= TCP_DELACK_MS / 2) {
		ato = ato / 2 + TCP_DELACK_MS / 2;
	} else if (gap < ato) {
		ato = min_u32(ato / 2 + gap, rto);
	} else if (gap > rto) {
		quick_more(c.t, tune); /* the sender has forgotten its window, too */
	}
	tune->ato_ms = (uint16_t)min_u32(ato, UINT16_MAX);
	tune->data_in_ms = tcp_now_ms(s);
}

void tcp_delack_seen(struct stack *s, struct conn c)
{
	struct tcp_tally *tally = tcb_tally(s, c);
	struct tcp_tune *tune = tcp_tune_need(s, c);

	if (tally != NULL)
		tally->segs_in++;
	if (tune == NULL)
		return;
	tune->ack_in_ms = tcp_now_ms(s);
	tune->snd_wnd_max = max_u32(tune->snd_wnd_max, c.t->snd_wnd);
}

uint32_t tcp_snd_wnd_max(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);

	return tune != NULL ? max_u32(tune->snd_wnd_max, c.t->snd_wnd) : c.t->snd_wnd;
}

static void count_arrival(struct stack *s, struct conn c, bool ahead, uint32_t len)
{
	struct tcp_tally *tally = tcb_tally(s, c);

	if (tally == NULL)
		return;
	tally->data_segs_in++;
	if (ahead)
		tally->ooo_segs++;
	else
		tally->bytes_rcvd += len;
}

void tcp_delack_in_order(struct stack *s, struct conn c, const struct tcp_arrival *a)
{
	struct tcp_tune *tune = tcp_tune_need(s, c);
	struct tcb *t = c.t;

	count_arrival(s, c, false, a->len);
	t->flags |= TF_ACK_OWED;
	if (unlikely(tune == NULL)) {
		t->flags |= TF_ACK_NOW;
		return;
	}
	measure_mss(s, c, tune, a);
	measure_ato(s, c, tune);
	tcp_tune_arrived(s, c, tune, a->len, a->ts_ecr);
	if (t->rcv_nxt - t->rcv_acked > tune->rcv_mss ||
	    (tune->quick != 0 && !tcb_has(t, TF_PINGPONG)))
		t->flags |= TF_ACK_NOW;
}

void tcp_delack_ahead(struct stack *s, struct conn c, const struct tcp_arrival *a)
{
	/*
	 * The window stays as it is: an acknowledgement that changes it is none of those that a
	 * sender without SACK counts as duplicates (RFC 5681 2).
	 */
	count_arrival(s, c, true, a->len);
}

void tcp_delack_quick(struct stack *s, struct conn c)
{
	struct tcp_tune *tune = tcp_tune_need(s, c);

	if (tune == NULL)
		return;
	quick_more(c.t, tune);
	c.t->flags &= ~(uint32_t)TF_PINGPONG;
	tune->ato_ms = TCP_DELACK_MS;
}

/* ---- what leaves ----------------------------------------------------------------------------- */

static void count_sent(struct tcp_tally *tally, bool again, uint32_t len)
{
	tally->segs_out++;
	if (len == 0)
		return;
	tally->data_segs_out++;
	if (again)
		tally->bytes_retrans += len;
}

void tcp_delack_sent(struct stack *s, struct conn c, uint32_t seq, uint32_t len)
{
	struct tcp_tally *tally = tcb_tally(s, c);
	struct tcp_tune *tune = tcp_tune_need(s, c);
	uint32_t now_ms = tcp_now_ms(s);

	if (tally != NULL)
		count_sent(tally, seq_lt(seq, c.t->snd_nxt), len);
	if (tune == NULL)
		return;
	if (tcb_has(c.t, TF_ACK_OWED) && tune->quick != 0 && --tune->quick == 0)
		tune->ato_ms = TCP_DELACK_MS;
	tune->small = 0;
	tune->ack_out_ms = now_ms;
	if (len == 0)
		return;
	tune->data_out_ms = now_ms;
	if (now_ms - tune->data_in_ms < tune->ato_ms)
		c.t->flags |= TF_PINGPONG;
}

bool tcp_delack_knows(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);

	return tune != NULL && tune->ato_ms != 0;
}

/* ---- what waits ------------------------------------------------------------------------------ */

uint32_t tcp_delack_ms(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);
	uint32_t srtt_ms = tcb_cold(s, c)->srtt_us / 1000;
	uint32_t most = TCP_DELACK_MAX_MS;

	if (tune == NULL || tune->ato_ms <= TCP_DELACK_MS)
		return TCP_DELACK_MS;
	if (srtt_ms != 0)
		most = min_u32(most, max_u32(srtt_ms, TCP_DELACK_MS));
	return min_u32(tune->ato_ms, most);
}

void tcp_delack_expired(struct stack *s, struct conn c)
{
	struct tcp_tune *tune = tcb_tune(s, c);

	if (tune == NULL)
		return;
	if (!tcb_has(c.t, TF_PINGPONG))
		tune->ato_ms = (uint16_t)min_u32(2 * (uint32_t)tune->ato_ms,
						 min_u32(tcp_rto_ms(s, c), UINT16_MAX));
	else
		tune->ato_ms = TCP_DELACK_MS;
	c.t->flags &= ~(uint32_t)TF_PINGPONG;
}

bool tcp_delack_read(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);
	const struct tcb *t = c.t;

	if (tune == NULL || !tcb_has(t, TF_ACK_OWED))
		return false;
	return t->rcv_nxt - t->rcv_acked > tune->rcv_mss ||
	       (t->rcvq.bytes == 0 &&
		(tune->small == 2 || (tune->small == 1 && !tcb_has(t, TF_PINGPONG))));
}
