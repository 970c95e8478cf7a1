// SPDX-License-Identifier: BSD-2-Clause
/*
 * Initial sequence numbers: RFC 6528, ISN = M + F(addresses, ports, secret), M counting 4 us. F is
 * SipHash under the stack's secret, and the link is part of it: a peer of one link learns nothing
 * about another's.
 *
 * A connection that sent more than M counted has used numbers ahead of the clock. One that takes
 * its place out of TIME_WAIT begins beyond them, so that no segment of the old one fits the new one
 * (RFC 1122 4.2.2.13, RFC 6191).
 *
 * On a link that cannot lose they are multiples of 64 KiB: half of a number is kept for each end, and says how many bytes have passed
 * (tcp_info.c), without a count that each segment would have to touch. Nobody but the peer can send there, and nothing old arrives.
 */
#include "stack/tcp.h"

uint32_t tcp_isn(const struct stack *s, const struct flow_key *key, const uint32_t *old_end, bool no_loss)
{
	uint32_t hash = (uint32_t)stack_siphash(s, key, sizeof(*key)), isn;

	if (no_loss)
		return ((uint32_t)s->now_us + hash) << 16;
	isn = (uint32_t)(s->now_us / 4) + hash;
	if (old_end != NULL && seq_lt(isn, *old_end + TCP_ISN_GAP))
		isn = *old_end + TCP_ISN_GAP;
	return isn;
}

void tcp_isn_ours(struct tcb *t)
{
	if (tcb_no_loss(t))
		t->began.iss = (uint16_t)(t->snd_una >> 16);
}

void tcp_isn_theirs(struct stack *s, struct tcb *t, uint32_t irs)
{
	struct tcp_ext *ext;

	if (!tcb_no_loss(t))
		return;
	t->began.irs = (uint16_t)(irs >> 16);
	if (likely((uint16_t)irs == 0))
		return;
	ext = tcp_conn_ext(s, t); /* a peer that begins anywhere */
	if (ext == NULL)
		return;
	ext->irs_rest = (uint16_t)irs;
	ext->rcv_rounds = irs == UINT32_MAX; /* by its SYN */
}

VJ_COLD void tcp_isn_round(struct stack *s, struct tcb *t, bool rcv)
{
	struct tcp_ext *ext = tcp_conn_ext(s, t);

	if (ext != NULL)
		++*(rcv ? &ext->rcv_rounds : &ext->snd_rounds);
}
