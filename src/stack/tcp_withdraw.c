// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls that are withdrawn: whoever should answer stands still
 *
 * On the kernel all processes with one listening socket take from one queue, so one that is stopped (SIGSTOP, a debugger) keeps nobody waiting. Here
 * a call waits in one process (tcp_call.c). So whoever called may call another; but one who stands still may go on at any moment, and no two may
 * hear the same request.
 *
 * Each end of a link has a number there that the other one reads, next to the rings: how often it has withdrawn its calls, all that it had made over this link
 * and that had not been answered. It needs no frame, of which one who stands still may have all. A SYN says what the number was when it left (in the
 * field of its acknowledgement, which means nothing without ACK).
 *
 *	who called				who listens
 *
 *	   look: no answer			A  show the answer
 *	C  add 1				   ------ in this order for everybody ------
 *	   ------ in this order for everybody ------	B  load the number: another? then no program hears it
 *	D  look: no answer? then call another
 *
 * Either A is before D or C is before B. If both are, who called has the answer and his connection, and it is reset when that one sees what B says: a
 * process went on within the microsecond in which it was given up.
 *
 * One that is about to move (TF_HELD) is asked about, so whoever called says himself whether it is there still; if it stays after all, it ends then. From there
 * on it is the clock that is looked at instead of the number (lib/move.h): which link it arrives by, and in which process, nobody knows.
 */
#include "stack/tcp_withdraw.h"

#include "stack/tcp.h"
#include "stack/tcp_call.h"

#include <errno.h>

/* ---- who listens ----------------------------------------------------------------------------- */

void tcp_withdrawn_drop(struct stack *s, struct conn c)
{
	bufq_drop(&s->bufs, &c.t->rcvq);
	c.t->flags &= ~(uint32_t)TF_FIN_RCVD;
}

bool tcp_withdrawn_end(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if (tcb_has(t, TF_HELD)) {
		t->withdrawn = true;
		return true;
	}
	tcp_listen_unready(s, c);
	tcp_withdrawn_drop(s, c);
	t->flags &= ~(uint32_t)TF_CALLED;
	return tcp_conn_reset(s, c, ECONNRESET);
}

bool tcp_withdrawn_heed(struct stack *s, struct link *link)
{
	uint32_t end = min_u32(s->conns.fresh, s->cfg.conns_max + 1), id;
	uint32_t now = link->ops->withdrawn != NULL ? link->ops->withdrawn(link->drv, false) : 0;

	if (likely(now == link->withdrawn))
		return false;
	link->withdrawn = now;
	for (id = bitmap_find_set(s->tcp->used, end, 0); id != BITMAP_NONE; id = bitmap_find_set(s->tcp->used, end, id + 1)) {
		struct conn c = conn_at(s, id);

		if (link_find(&s->links, c.t->link) == link && tcb_owes_answer(c.t))
			tcp_withdrawn_end(s, c);
	}
	return true;
}

/* ---- who calls ------------------------------------------------------------------------------- */

uint32_t tcp_withdrawn_stamp(const struct link *link)
{
	return link->ops->withdrawn != NULL ? link->ops->withdrawn(link->drv, true) : 0;
}

bool tcp_may_withdraw(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return tcb_no_loss(t) && !tcb_has(t, TF_HELD) && (tcb_is_called(t) || (t->state == TCP_SYN_SENT && tcb_has(t, TF_ASKS)));
}

void tcp_withdraw(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	VJ_ASSERT(tcp_may_withdraw(s, id));
	if (tcb_is_called(c.t))
		tcp_call_refused(s, c);
	else
		tcp_conn_done(s, c, ECONNREFUSED);
}
