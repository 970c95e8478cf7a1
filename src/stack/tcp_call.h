/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that do not wait, on links that cannot lose: theory in tcp_call.c
 */
#ifndef VJ_STACK_TCP_CALL_H
#define VJ_STACK_TCP_CALL_H

#include "stack/tcp_block.h"

/*
 * What the urgent pointer of SYN says, if it isn't 0: whoever calls does not sleep until he is answered, and counts on this window. Of SYN-ACK: how
 * many places are promised to that link, and, above that, the low bits of how often promises to it were taken back.
 */
enum { TCP_PROMISE_MAX = 64, TCP_ROUND_SHIFT = 7 };

/* ---- who listens ----------------------------------------------------------------------------- */

/* What a SYN-ACK that leaves over @link says of @l */
uint16_t tcp_promise_of(const struct stack *s, const struct tcp_listener *l, const struct link *link);
/* From here on nobody counts on a place: a listener stops, or has fewer. */
void tcp_promises_take_back(struct stack *s);
/* Where an answer's numbers begin: a caller on a promise knows it */
uint32_t tcp_promise_isn(uint32_t caller_isn);

/* ---- who calls ------------------------------------------------------------------------------- */

/* A SYN-ACK is here, on a link that cannot lose: keep what it promises. */
void tcp_promise_keep(struct stack *s, struct conn c, const struct tcp_seg *seg);
/*
 * SYN_SENT, and nothing sent: calls and is connected, if there is a promise, or for want of one if @anyway. Return: false: it is as it was.
 */
bool tcp_call(struct stack *s, struct conn c, bool anyway);
/* TF_CALLED: of sndq, what has not been sent yet */
uint32_t tcp_call_unsaid(const struct tcb *t);
/* TF_CALLED: what the program has said, and its FIN. Return: 0; -EAGAIN: no frame */
int tcp_call_output(struct stack *s, struct conn c, bool force);
/* TF_CALLED: the answer, or a refusal. */
void tcp_call_input(struct stack *s, struct conn c, const struct tcp_seg *seg);
/* TF_CALLED: nobody is there, and whose the id is may call another, tcp_call_again(). Return: false: it is gone. */
bool tcp_call_refused(struct stack *s, struct conn c);
/* TF_CALLED: nothing has come for long. Return: false: it is gone. */
bool tcp_call_timeout(struct stack *s, struct conn c);

static inline bool tcb_is_called(const struct tcb *t)
{
	return (t->flags & (TF_NO_LOSS | TF_CALLED)) == (TF_NO_LOSS | TF_CALLED) && t->state != TCP_CLOSED;
}

#endif
