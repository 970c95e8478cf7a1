// SPDX-License-Identifier: BSD-2-Clause
/*
 * Initial sequence numbers: RFC 6528, ISN = M + F(addresses, ports, secret), M counting 4 us. F is
 * SipHash under the stack's secret, and the link is part of it: a peer of one link learns nothing
 * about another's.
 */
#include "stack/tcp.h"

uint32_t tcp_isn(const struct stack *s, const struct flow_key *key)
{
	return (uint32_t)(s->now_us / 4) + (uint32_t)stack_siphash(s, key, sizeof(*key));
}
