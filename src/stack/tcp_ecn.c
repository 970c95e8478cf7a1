// SPDX-License-Identifier: BSD-2-Clause
/*
 * Explicit congestion notification: RFC 3168, as Linux does it
 *
 *	SYN with ECE and CWR	asks (STACK_ECN_ASK); SYN again without, in case a box on the way
 *				drops what it does not know (6.1.1.1)
 *	SYN-ACK with ECE	agrees, unless the SYN itself came ECN-capable: then somebody sets
 *				these bits who means something else
 *	data			leave as ECT(0): new ones only. Not acknowledgements, probes, and what
 *				is sent again, whose marks would be lost or could be forged (6.1.4 to
 *				6.1.6; RFC 8311 would allow experiments)
 *	CE arrives		all that we send says ECE, until CWR arrives
 *	ECE arrives		as if something had been lost (RTX_CWR: tcp_recovery.c), but once for
 *				the data under way: what has left before CWR did is marked by the same
 *				queue. The first new data say CWR, after any other reduction too, so
 *				that the peer stops
 *
 *	data sent:    ...|- in flight, ECE ignored -|- CWR ------|- ECE counts -->
 *						    rtx->cwr_seq
 *
 * A smaller reduction for a mark than for a loss (RFC 8511) is an experiment that Linux does not
 * take part in; cc_ops.ecn is where it would go.
 */
#include "stack/tcp.h"

/* ---- agreeing -------------------------------------------------------------------------------- */

bool tcp_ecn_asks(const struct stack *s, const struct tcp_seg *seg)
{
	const uint8_t both = TCP_ECE | TCP_CWR;

	return s->cfg.tcp.ecn != STACK_ECN_OFF && (seg->view.flags & both) == both &&
	       ip_ecn(&seg->pkt->ip) == IP_ECN_NOT_ECT;
}

void tcp_ecn_syn(const struct stack *s, struct tcb *t, const struct tcp_seg *seg)
{
	bool ack = (seg->view.flags & TCP_ACK) != 0;
	bool agreed;

	if (tcb_no_loss(t))
		return;
	if (ack) /* to ours; some reflect all flags of a SYN */
		agreed = tcb_has(t, TF_ECN) && (seg->view.flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
	else
		agreed = tcp_ecn_asks(s, seg) && (!tcb_has(t, TF_ACTIVE) || tcb_has(t, TF_ECN));
	t->flags &= ~(uint32_t)TF_ECN;
	if (agreed)
		t->flags |= TF_ECN;
}

uint8_t tcp_ecn_syn_flags(const struct stack *s, struct tcb *t, bool again)
{
	if (tcb_no_loss(t))
		return 0;
	if (t->state == TCP_SYN_RECEIVED)
		return tcb_has(t, TF_ECN) ? TCP_ECE : 0;
	if (s->cfg.tcp.ecn != STACK_ECN_ASK || again)
		return 0;
	t->flags |= TF_ECN; /* asked for, until the SYN-ACK says */
	return TCP_ECE | TCP_CWR;
}

/* ---- sending --------------------------------------------------------------------------------- */

uint8_t tcp_ecn_xmit(const struct stack *s, struct tcb *t, uint32_t seq, uint32_t len,
		     uint8_t *flags)
{
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (tcb_has(t, TF_ECN_ECHO))
		*flags |= TCP_ECE;
	if (len == 0 || seq != t->snd_nxt)
		return IP_ECN_NOT_ECT;
	if (tcb_has(t, TF_ECN_CWR) && rtx != NULL) {
		t->flags &= ~(uint32_t)TF_ECN_CWR;
		*flags |= TCP_CWR;
		rtx->cwr = true;
		rtx->cwr_seq = seq;
	}
	return IP_ECN_ECT0;
}

void tcp_ecn_reduced(struct tcb *t)
{
	if (tcb_has(t, TF_ECN))
		t->flags |= TF_ECN_CWR;
}

/* ---- receiving ------------------------------------------------------------------------------- */

void tcp_ecn_ack(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (rtx == NULL)
		return;
	if (rtx->cwr && seq_gt(seg->ack, rtx->cwr_seq))
		rtx->cwr = false;
	if ((seg->view.flags & TCP_ECE) == 0)
		return;
	/* Lost or not, the network is full: what is being reduced is not to be given back. */
	rtx->restore = false;
	if (rtx->cwr || tcb_has(t, TF_ECN_CWR))
		return;
	if (rtx->mode == RTX_OPEN || (rtx->mode == RTX_CWR && seq_gt(seg->ack, rtx->recover)))
		tcp_recovery_ecn(s, c, rtx);
}

void tcp_ecn_data(struct tcb *t, const struct tcp_seg *seg)
{
	if (seg->view.payload_len == 0)
		return;
	/* The peer's window may be a single segment now: it should not wait for us. */
	if ((seg->view.flags & TCP_CWR) != 0) {
		t->flags &= ~(uint32_t)TF_ECN_ECHO;
		t->flags |= TF_ACK_OWED | TF_ACK_NOW;
	}
	if (seg->len != 0 && ip_ecn(&seg->pkt->ip) == IP_ECN_CE) {
		if (!tcb_has(t, TF_ECN_ECHO))
			t->flags |= TF_ACK_OWED | TF_ACK_NOW;
		t->flags |= TF_ECN_ECHO;
	}
}
