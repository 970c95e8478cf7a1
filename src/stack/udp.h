// SPDX-License-Identifier: BSD-2-Clause
/* UDP, from the inside of the stack; stack.h has what programs call. */
#ifndef VJ_STACK_UDP_H
#define VJ_STACK_UDP_H

#include "stack/icmp.h"
#include "stack/pkt.h"
#include "stack/stack.h"

/* Size of struct udp_global */
size_t udp_global_bytes(void);

/* s->udp is zeroed. After a failed udp_init(), too, udp_fini() gives back what was made. */
int udp_init(struct stack *s);
void udp_fini(struct stack *s);

/* A UDP packet. IP header checked; it is whole. */
void udp_input(struct stack *s, struct pkt *pkt);

/* An ICMP error that quotes a datagram, from the link that the last one went to: a stranger on another
 * does not end what he has no part in. Kept for a connected socket only (RFC 1122
 * section 4.1.3.3); an unconnected one gets the event alone: what it knew of routes may be wrong. */
void udp_icmp_error(struct stack *s, const struct icmp_error *error);

/* There may be frames again on the link where the socket found none: its program hears of it. */
void udp_output_resume(struct stack *s, uint32_t id);

/* Copy what waits in frames of the link, or drop it. */
void udp_link_gone(struct stack *s, uint32_t link_id);

#endif
