// SPDX-License-Identifier: BSD-2-Clause
/*
 * SYN cookies (RFC 4987 3.6): a handshake that needs no memory. See tcp_cookie.c.
 */
#ifndef VJ_STACK_TCP_COOKIE_H
#define VJ_STACK_TCP_COOKIE_H

#include "stack/stack_priv.h"
#include "wire/tcp.h"

/* A cookie holds for this long at least, and less than twice as long. */
#define TCP_COOKIE_EPOCH_US (64 * US_PER_SEC)

/*
 * The cookie for a SYN: our initial sequence number. @mss: of the SYN; what can be remembered is at
 * most that.
 */
uint32_t tcp_cookie_make(const struct stack *s, const struct flow_key *key, uint32_t peer_isn,
			 uint32_t mss);

/* Is @cookie ours, for this peer, and not too old? Return: true, and the MSS remembered. */
bool tcp_cookie_check(const struct stack *s, const struct flow_key *key, uint32_t peer_isn,
		      uint32_t cookie, uint16_t *ret_mss);

/*
 * A timestamp at or before @now, and less than 128 before it, that remembers window scale, SACK
 * permitted and @ecn.
 */
uint32_t tcp_cookie_ts_pack(uint32_t now, const struct tcp_opts *opts, bool ecn);

/* What it remembers: in opts->present, opts->wscale and *@ret_ecn. */
void tcp_cookie_ts_unpack(uint32_t ts, struct tcp_opts *opts, bool *ret_ecn);

#endif
