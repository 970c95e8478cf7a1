// SPDX-License-Identifier: BSD-2-Clause
/*
 * How large segments may be, as the other files of TCP see it; on links that can lose. See tcp_mtu.c.
 */
#ifndef VJ_STACK_TCP_MTU_H
#define VJ_STACK_TCP_MTU_H

#include "stack/tcp.h"

/* A connection whose segments are not simply as large as link and peer allow. Sizes are bytes of IP. */
struct tcp_mtu {
	uint64_t again_us; /* when the cache is to be asked again: ip_pmtu.h */
	uint32_t path;	   /* what ICMP and the cache allow */
	uint32_t low;	   /* probing: what is known to arrive */
	uint32_t high;	   /* probing: what may, and is not to be tried beyond */
	uint32_t probe;	   /* in flight; 0: none */
	uint32_t probe_seq, probe_end;
	uint32_t since_ms; /* probing: when the search began */
	uint16_t mss_max;  /* payload, by link, peer and program */
	bool probing;	   /* low and high are valid, and low is what we send */
	bool frag_ok;	   /* IPv4: routers may fragment */
};

/* NULL: none */
static inline struct tcp_mtu *tcb_mtu(const struct stack *s, const struct tcb *t)
{
	uint32_t idx = t->ext != 0 ? tcb_ext(s, t)->mtu : 0;

	return idx != 0 ? pool_at_sized(&s->tcp->mtus, idx, sizeof(struct tcp_mtu)) : NULL;
}

/* Both SYNs are known; mss is what they allow, and becomes what the path is known to carry. */
void tcp_mtu_start(struct stack *s, struct conn c);
/* A router says that something in flight was too large. */
void tcp_mtu_icmp(struct stack *s, struct conn c, const struct icmp_error *error);
/* The retransmission timer fired; rtx->expiries does not count it yet. */
void tcp_mtu_timeout(struct stack *s, struct conn c);
/*
 * New data may go: first what is due here, perhaps a probe. ext is there. Return: false: nothing is
 * to follow before something is acknowledged, so that a probe fits.
 */
bool tcp_mtu_output(struct stack *s, struct conn c);
/* snd_una moved. ext is there. */
void tcp_mtu_acked(struct stack *s, struct conn c);
/* Something is sent again: that a probe arrived would not be seen any more. ext is there. */
void tcp_mtu_resent(struct stack *s, const struct tcb *t);
/*
 * Something was found lost while nothing else was. Return: true: it was a probe, which is no
 * congestion (RFC 4821 7.6.1), and all is done.
 */
bool tcp_mtu_lost(struct stack *s, struct conn c);
/* The MTU that segments are made for; IP bytes */
uint32_t tcp_mtu_path(const struct stack *s, struct conn c);
/* The connection ends. A second time: nothing happens. */
void tcp_mtu_stop(struct stack *s, const struct tcb *t);

#endif
