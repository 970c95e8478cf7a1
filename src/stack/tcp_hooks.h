// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the stack calls in TCP. tcp_*.c implement these; nothing else of TCP is known outside them
 * but stack.h.
 */
#ifndef VJ_STACK_TCP_HOOKS_H
#define VJ_STACK_TCP_HOOKS_H

#include "stack/icmp.h"
#include "stack/pkt.h"
#include "stack/stack.h"

/* Size of struct tcp_global, which TCP defines: what it needs once per stack. At most 32 KiB. */
size_t tcp_global_bytes(void);

/*
 * At the end of stack_create(): s->tcp is zeroed. Makes pools (s->conns among them: it is
 * prefetched from), and tells s->wheel.nodes, s->event_nodes and s->output_nodes where its objects
 * have their nodes. Return: 0; -ENOMEM: what was made is for tcp_fini() to undo.
 */
int tcp_init(struct stack *s);

/*
 * Drop all queues, then give pools back (s->conns too). Nothing is sent. Called after a failed
 * tcp_init(), and without one, too; UDP has no event in s->events any more.
 */
void tcp_fini(struct stack *s);

/*
 * A TCP segment. IP header and, on links that have them, checksums are right; it is whole (no fragment).
 * The TCP header was not parsed, but is in pkt->hdr whole, options included, if its data offset is valid:
 *
 *	tcp_parse_part(pkt_l4(pkt), pkt_l4_avail(pkt), pkt_l4_len(pkt), &view)	  is never WIRE_TOO_DEEP
 *	tcp_opts_parse(&view, &opts)
 *	bufq_append_pkt(&s->bufs, q, pkt, pkt->l4_off + view.hdr_len, view.payload_len)
 *
 * pkt->hash is the tag for flow_find() in s->flows; slot and connection have been prefetched.
 * Neither source nor destination is multicast or broadcast; ports are not looked at.
 */
void tcp_input(struct stack *s, struct pkt *pkt);

/*
 * The same for a plain packet (pkt.h), of which the copied headers are known to be in order, and no
 * more than pkt->hash was written down.
 */
void tcp_input_plain(struct stack *s, struct pkt *pkt);

/*
 * The same without pkt->hash: if the segment is for the connection that the last plain one was for,
 * and the next in order. Return: false: it is not; nothing was done.
 */
bool tcp_input_last(struct stack *s, struct pkt *pkt);

/* First thing in stack_run(): acknowledgements that no answer of the program has carried. */
void tcp_run(struct stack *s);

/* Paced connections whose time has come: to the output queue */
void tcp_pace_run(struct stack *s);

/* When that has to be called again; TIME_NEVER: nobody waits. */
uint64_t tcp_pace_next_us(const struct stack *s);

/* The connection's wheel_node fired, and is disarmed. */
void tcp_timer(struct stack *s, uint32_t id);

/*
 * The connection was in the output queue (stack_output_later()), and has been taken out: send what
 * is owed. If a frame is lacking, stack_output_later() again: it waits until the link is writable.
 */
void tcp_output_resume(struct stack *s, uint32_t id);

/*
 * The link goes: fail each of its connections with @err (positive errno). What was received in
 * order stays readable: bufq_own(), and if that fails drop. Nothing can be sent over it any more,
 * and after return nothing may refer to it.
 */
void tcp_link_gone(struct stack *s, uint32_t link_id, int err);

/* An ICMP error that quotes a TCP segment; the connection need not exist. */
void tcp_icmp_error(struct stack *s, const struct icmp_error *error);

#endif
