/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that do not wait, on links that cannot lose: theory in tcp_call.c
 */
#ifndef VJ_STACK_TCP_CALL_H
#define VJ_STACK_TCP_CALL_H

#include "stack/tcp_block.h"

/*
 * What the urgent pointer of SYN says, if it isn't 0: whoever calls keeps what he says until he is answered. TCP_CALL_ASKS: he waits to hear that he
 * has a place, else he was promised one, and counts on this window. Of SYN-ACK: how many places are promised to that link, and, above that, the low
 * bits of how often promises to it were taken back. SYN-ACK with PSH: a place, and no answer yet. An empty ACK with PSH
 * (he moves), or URG (his process ends): he can wait no longer.
 */
enum { TCP_CALL_ASKS = 1, TCP_PROMISE_MAX = 64, TCP_ROUND_SHIFT = 7 };

/* ---- who listens ----------------------------------------------------------------------------- */

/* What a SYN-ACK that leaves over @link says of @l */
uint16_t tcp_promise_of(const struct stack *s, const struct tcp_listener *l, const struct link *link);
/* From here on nobody counts on a place: a listener stops, or has fewer. */
void tcp_promises_take_back(struct stack *s);
/* Where an answer's numbers begin: a caller on a promise knows it */
uint32_t tcp_promise_isn(uint32_t caller_isn);

/* tcb_owes_answer(): the program has it now, or whoever called can wait no longer. Without a frame it is owed on. @l: NULL: no promises.
 * Return: false: nobody may hear it, tcp_withdrawn_end(), which the caller has to call or tcp_output() does */
bool tcp_call_answer(struct stack *s, struct conn c, const struct tcp_listener *l);
/* The same: a segment from whoever called. Return: false: it is done with. */
bool tcp_call_heard(struct stack *s, struct conn c, const struct tcp_seg *seg);

/* ---- who calls ------------------------------------------------------------------------------- */

/* A SYN-ACK is here, on a link that cannot lose: keep what it promises. */
void tcp_promise_keep(struct stack *s, struct conn c, const struct tcp_seg *seg);
/* Is it a place, and no answer yet? */
static inline bool tcp_seg_is_place(const struct tcp_seg *seg)
{
	return (seg->view.flags & TCP_PSH) != 0;
}
/*
 * SYN_SENT, and nothing sent: calls and is connected, if there is a promise, or for want of one if @anyway. Return: false: it is as it was.
 */
bool tcp_call(struct stack *s, struct conn c, bool anyway);
/* TF_CALLED: of sndq, what has not been sent yet */
uint32_t tcp_call_unsaid(const struct tcb *t);
/* TF_CALLED: what the program has said, and its FIN. Return: 0; -EAGAIN: no frame */
int tcp_call_output(struct stack *s, struct conn c, bool force);
/* TF_CALLED: the answer, or a refusal. */
void tcp_call_input(struct stack *s, struct conn c, struct tcp_seg *seg);
/* TF_CALLED: it is to move, or to end with something unsaid: the peer is asked to answer now. */
void tcp_call_hurry(struct stack *s, struct conn c);
/* TF_CALLED: nobody is there, and whose the id is may call another, tcp_call_again(). Closed: it is held again, without a cookie. Return: true */
bool tcp_call_refused(struct stack *s, struct conn c);
/* TF_CALLED: nothing has come for long. Return: false: it is gone. */
bool tcp_call_timeout(struct stack *s, struct conn c);

#endif
