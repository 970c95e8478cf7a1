/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that are withdrawn, as whoever should answer stands still: theory in tcp_withdraw.c
 */
#ifndef VJ_STACK_TCP_WITHDRAW_H
#define VJ_STACK_TCP_WITHDRAW_H

#include "stack/tcp_block.h"

/* ---- who listens ----------------------------------------------------------------------------- */

/* After the answer was put: the far end sees it from here on. Return: false: it has withdrawn its calls before it could, and nobody may hear this one. */
static inline bool tcp_answer_stands(const struct link *link)
{
	return link->ops->show == NULL || link->ops->show(link->drv) == link->withdrawn;
}
/* What the far end has withdrawn ends. Return: true: something may have ended */
bool tcp_withdrawn_heed(struct stack *s, struct link *link);
/* By what was heeded last: has the far end withdrawn this SYN? */
static inline bool tcp_withdrawn_syn(const struct tcp_seg *seg)
{
	const struct link *link = seg->pkt->link;

	return (link->flags & LINK_NO_LOSS) != 0 && seg->view.urgent != 0 && link->ops->withdrawn != NULL && seg->view.ack != link->withdrawn;
}
/* tcb_owes_answer(), and it is withdrawn: nobody hears it. Return: false: it is gone. */
bool tcp_withdrawn_end(struct stack *s, struct conn c);
/* What was said, and the end of it: whoever has it from us is not to hear that. */
void tcp_withdrawn_drop(struct stack *s, struct conn c);
/* It was HELD when it was withdrawn, and has not moved. */
static inline bool tcb_is_withdrawn(const struct tcb *t)
{
	return tcb_has(t, TF_HELD) && tcb_owes_answer(t) && t->withdrawn;
}

/* ---- who calls ------------------------------------------------------------------------------- */

/* What a SYN says of it */
uint32_t tcp_withdrawn_stamp(const struct link *link);

#endif
