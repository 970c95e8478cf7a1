// SPDX-License-Identifier: BSD-2-Clause
/*
 * Acknowledgements owed on links that cannot lose
 *
 * They wait for data to ride on, all of them equally long, so the order in which they come to be owed is that in which they are
 * due: a queue, and no timer. With messages on random ones of a million connections each acknowledgement waits in vain, and its
 * connection has left the caches by then. So paying a run of them asks for the blocks of those that follow, and nothing is
 * touched of a connection between.
 *
 * A connection is in the queue once (TF_ACK_QUEUED says so and stays until its turn, whether data carry the acknowledgement
 * or not). Its entry remembers rcv_nxt. When its turn comes, what was owed then has been acknowledged, or not: then it is
 * paid. If since then more came, and that is owed, it waits once more: at most twice. RFC 9293 3.8.6.3: MUST be
 * less than 0.5 s.
 *
 * On these links nobody waits for one: nothing is sent again, there is no Nagle, and that of a FIN goes at once. And who pays wakes his peer, and is woken for it himself if
 * he sleeps. So they wait for OWED_LONGER_MS more, as long as Linux' longest (TCP_DELACK_MAX), in which the next question may carry them. That of the answer to a call isn't
 * put off, nor what is in the queue before it: it says what our SYN could not, the window.
 *
 * The queue has an end. When it is full, the oldest is paid before its time.
 *
 * Entries whose connection ended stay. The number may be another connection's by then, which acknowledges early
 * at worst.
 */
#include "stack/tcp.h"

enum { OWED_AHEAD = 8, OWED_BUDGET = 4096, OWED_LONGER_MS = 160 };

static struct tcp_owed *owed_at(const struct tcp_global *g, uint32_t pos)
{
	return &g->owed[pos % TCP_OWED_MAX];
}

static uint64_t owed_next_us(const struct tcp_global *g)
{
	uint64_t due_us;

	if (g->owed_head == g->owed_tail)
		return TIME_NEVER;
	due_us = owed_at(g, g->owed_head)->due_us;
	return due_us <= g->owed_soon_us ? due_us : due_us + OWED_LONGER_MS * US_PER_MS;
}

void tcp_run_settle(struct stack *s)
{
	s->run_due_us = min_u64(owed_next_us(s->tcp), tcp_tw_next_us(s));
}

static void owed_put(struct stack *s, struct conn c)
{
	*owed_at(s->tcp, s->tcp->owed_tail++) = (struct tcp_owed){
		.due_us = s->now_us + TCP_DELACK_MS * US_PER_MS, .id = c.id, .rcv_nxt = c.t->rcv_nxt
	};
}

/* The first in the queue. @early: it has to go before its time. */
static void owed_take(struct stack *s, bool early)
{
	struct tcp_global *g = s->tcp;
	struct tcp_owed owed = *owed_at(g, g->owed_head++);
	struct conn c = { .id = owed.id };

	if (!bitmap_test(g->used, c.id))
		return;
	c = conn_at(s, c.id);
	if (!tcb_no_loss(c.t) || !tcb_has(c.t, TF_ACK_QUEUED))
		return;
	if (!early && tcb_has(c.t, TF_ACK_OWED) && seq_geq(c.t->rcv_acked, owed.rcv_nxt)) {
		owed_put(s, c);
		return;
	}
	c.t->flags &= ~(uint32_t)TF_ACK_QUEUED;
	if (tcb_has(c.t, TF_ACK_OWED))
		tcp_send_ack(s, c);
}

/* Data have carried what was owed then, or its connection has ended. */
static bool owed_is_paid(struct stack *s, const struct tcp_owed *owed)
{
	const struct tcb *t = bitmap_test(s->tcp->used, owed->id) ? conn_at(s, owed->id).t : NULL;

	return !t || !tcb_has(t, TF_ACK_OWED) || seq_geq(t->rcv_acked, owed->rcv_nxt);
}

/* So that nobody wakes for the turn of what is paid. In a long queue it is one of many turns. */
static void owed_forget_paid(struct stack *s)
{
	struct tcp_global *g = s->tcp;

	for (uint32_t left = g->owed_tail - g->owed_head; left > 0 && left <= OWED_AHEAD && owed_is_paid(s, owed_at(g, g->owed_head)); left--)
		owed_take(s, false);
}

void tcp_owed_add(struct stack *s, struct conn c)
{
	struct tcp_global *g = s->tcp;

	owed_forget_paid(s);
	if (!tcb_has(c.t, TF_ACK_QUEUED)) {
		c.t->flags |= TF_ACK_QUEUED;
		if (g->owed_tail - g->owed_head == TCP_OWED_MAX) {
			tcp_conn_prefetch(s, owed_at(g, g->owed_head + OWED_AHEAD)->id);
			owed_take(s, true);
		}
		owed_put(s, c);
	}
	if (c.t->rcv_nxt - c.t->rcv_acked == 1) /* the SYN; or one byte, which may as well */
		g->owed_soon_us = s->now_us + TCP_DELACK_MS * US_PER_MS;
	tcp_run_settle(s);
}

static void owed_run(struct stack *s)
{
	struct tcp_global *g = s->tcp;

	for (uint32_t budget = OWED_BUDGET; budget > 0 && owed_next_us(g) <= s->now_us; budget--) {
		if (g->owed_tail - g->owed_head > OWED_AHEAD)
			tcp_conn_prefetch(s, owed_at(g, g->owed_head + OWED_AHEAD)->id);
		owed_take(s, false);
	}
}

void tcp_run(struct stack *s)
{
	if (s->owing_cnt != 0)
		tcp_timer_owing(s);
	if (s->run_due_us <= s->now_us) {
		owed_run(s);
		tcp_tw_run(s);
		tcp_run_settle(s);
	}
}
