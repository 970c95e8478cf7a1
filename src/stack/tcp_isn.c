// SPDX-License-Identifier: BSD-2-Clause
/*
 * Initial sequence numbers: RFC 6528, ISN = M + F(addresses, ports, secret), M counting 4 us. F is
 * SipHash under the stack's secret, and the link is part of it: a peer of one link learns nothing
 * about another's.
 *
 * A connection that sent more than M counted has used numbers ahead of the clock. One that takes
 * its place out of TIME_WAIT begins beyond them, so that no segment of the old one fits the new one
 * (RFC 1122 4.2.2.13, RFC 6191).
 */
#include "stack/tcp.h"

uint32_t tcp_isn(const struct stack *s, const struct flow_key *key, const uint32_t *old_end)
{
	uint32_t isn = (uint32_t)(s->now_us / 4) + (uint32_t)stack_siphash(s, key, sizeof(*key));

	if (old_end != NULL && seq_lt(isn, *old_end + TCP_ISN_GAP))
		isn = *old_end + TCP_ISN_GAP;
	return isn;
}
