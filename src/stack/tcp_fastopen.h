// SPDX-License-Identifier: BSD-2-Clause
/* Fast Open (RFC 7413), as the other files of TCP see it. See tcp_fastopen.c. */
#ifndef VJ_STACK_TCP_FASTOPEN_H
#define VJ_STACK_TCP_FASTOPEN_H

#include "stack/tcp.h"

/* The SYN of a client that has @len bytes. Return: as tcp_xmit_syn(); *@ret_len: bytes taken */
int tcp_fastopen_connect(struct stack *s, struct conn c, const void *buf, size_t len,
			 size_t *ret_len);
/* SYN_SENT, and the SYN-ACK is here: remember what it says. @retries of our SYN before */
void tcp_fastopen_synack(struct stack *s, struct conn c, const struct tcp_seg *seg,
			 uint32_t retries);
/* May what comes with this SYN be taken? *@ret_more: what the SYN-ACK is to say */
bool tcp_fastopen_syn(struct stack *s, struct tcp_listener *l, const struct tcp_seg *seg,
		      const struct flow_key *key, struct tcp_syn_more *ret_more);
/*
 * Take it: the SYN-ACK leaves, the connection is the listener's to accept. Return: false: it cannot
 * be, and nothing has changed.
 */
bool tcp_fastopen_accept(struct stack *s, struct conn c, struct tcp_seg *seg, uint32_t listener_id,
			 const struct tcp_syn_more *more);
/* TF_FASTOPEN, as all below: before the steps. Return: false: the segment is done with. */
bool tcp_fastopen_input(struct stack *s, struct conn c, const struct tcp_seg *seg);
/* The SYN-ACK is acknowledged. */
void tcp_fastopen_acked(struct stack *s, struct conn c);
/* The connection ends before. @reset: by the peer */
void tcp_fastopen_gone(struct stack *s, struct tcb *t, bool reset);
/* The SYN-ACK was not answered. Return: false: the connection is gone. */
bool tcp_fastopen_timeout(struct stack *s, struct conn c);
/* Forget what clients know. */
void tcp_fastopen_fini(struct stack *s);

#endif
