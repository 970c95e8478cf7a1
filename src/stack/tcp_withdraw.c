// SPDX-License-Identifier: BSD-2-Clause
/*
 * Withdrawing calls (tcp_call.c) from a process that does not run
 *
 * On the kernel all processes that share a listening socket take from one queue, so one that is stopped (SIGSTOP, a debugger) delays nobody. Here
 * each call waits in one process. So the caller may withdraw it and call another process. The stopped one may run again at any moment, and no two
 * may serve the same request.
 *
 * Each end of a link has a counter, beside the rings, that the other end reads: how often it has withdrawn its calls, that is, all that it had made
 * over this link and that had not been answered. This takes no frame: all of them may be with the stopped process. A SYN carries the counter's value
 * as of when it left, in the acknowledgement field, which has no meaning without ACK.
 *
 *	caller						server
 *
 *	   look: no answer			A  publish the answer
 *	C  add 1 to the counter			   ------ sequentially consistent ------
 *	   ------ sequentially consistent ------	B  load the counter: changed? then no program gets this call
 *	D  look: no answer? then call another
 *
 * Either A is before D or C is before B. If both are, the caller has its answer and uses the connection, which the server resets because of B. That
 * takes a process that runs again within the microsecond in which it was given up.
 *
 * A call whose server's end is about to move (TF_HELD) is not ended but marked, since the move asks the caller about it anyway; if it stays after all,
 * it ends then. Once it moves, nobody knows by which link and in which process it arrives: from then on the clock decides, not the counter (lib/move.h).
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

	return tcb_no_loss(t) && !tcb_has(t, TF_HELD) && (tcb_is_called(t) || tcb_asks(t));
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
