// SPDX-License-Identifier: BSD-2-Clause
/*
 * User timeout option (RFC 5482): each side says how long data may stay unacknowledged before it
 * gives up, so that the other does not give up earlier.
 *
 * RFC 5482 3's variables: ENABLED and ADV_UTO are TCP_OPT_UTO_S (0: not enabled). CHANGEABLE ends
 * when the program sets TCP_OPT_USER_TIMEOUT_MS, which is USER_TIMEOUT. While it is changeable
 *
 *	USER_TIMEOUT = min(UTO_MAX_S, max(ADV_UTO, the peer's, UTO_MIN_S))
 *
 * The option is in SYN and SYN-ACK, and in an acknowledgement when ADV_UTO changes later. It may get
 * lost there, as the RFC accepts: each side keeps to what it has heard. A segment is listened to
 * only after its sequence and acknowledgement numbers were found good, since who can lengthen
 * timeouts can make us keep memory (RFC 5482 5); UTO_MAX_S bounds that.
 */
#include "stack/tcp.h"

#define UTO_MIN_S 100u /* RFC 5482 3.1: L_LIMIT; RFC 1122 4.2.3.5's R2 */
#define UTO_MAX_S 3600u
#define UTO_MINUTES 0x8000u
#define UTO_FIELD_MAX 0x7fffu

uint16_t tcp_uto_field(uint32_t seconds)
{
	if (seconds <= UTO_FIELD_MAX)
		return (uint16_t)seconds;
	return (uint16_t)(UTO_MINUTES | min_u32(seconds / 60, UTO_FIELD_MAX));
}

uint32_t tcp_uto_seconds(uint16_t field)
{
	uint32_t value = field & UTO_FIELD_MAX;

	return (field & UTO_MINUTES) != 0 ? value * 60 : value;
}

void tcp_uto_input(const struct stack *s, struct tcb *t, const struct tcp_opts *opts)
{
	struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t peer_s;

	if (likely((opts->present & TCP_HAS_UTO) == 0) || ext == NULL || ext->uto_s == 0 ||
	    ext->user_timeout_set)
		return;
	peer_s = tcp_uto_seconds(opts->uto);
	if (peer_s == 0) /* reserved */
		return;
	ext->user_timeout_ms =
		1000 * min_u32(UTO_MAX_S, max_u32(max_u32(ext->uto_s, peer_s), UTO_MIN_S));
}
