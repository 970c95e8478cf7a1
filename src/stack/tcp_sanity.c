// SPDX-License-Identifier: BSD-2-Clause
/*
 * What must hold of every connection between two calls into the stack. Tests and fuzzers ask after
 * each segment; it walks queues, so nothing else does.
 */
#include "stack/tcp_call.h"
#include "stack/tcp_mtu.h"
#include "stack/tcp_pace.h"

static void sanity_seq(const struct tcb *t)
{
	uint32_t flight = tcb_flight(t);

	VJ_ASSERT_OP(flight, <, UINT32_C(1) << 31);
	if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED) {
		VJ_ASSERT_OP(flight, <=, 1 + t->sndq.bytes);
		VJ_ASSERT(t->sndq.bytes == 0 || tcb_has(t, TF_ACTIVE)); /* Fast Open */
	}
	if (!tcb_synchronized(t))
		return;
	VJ_ASSERT(seq_leq(t->rcv_acked, t->rcv_nxt));
	VJ_ASSERT(seq_leq(t->rcv_nxt, t->rcv_adv));
	VJ_ASSERT_OP(t->mss, !=, 0u);
	if (!tcb_no_loss(t)) {
		uint32_t fin = tcb_has(t, TF_FIN_SENT) && flight != 0 ? 1 : 0;

		VJ_ASSERT_OP(flight - fin, <=, t->sndq.bytes);
		if (tcb_has(t, TF_FIN_SENT))
			VJ_ASSERT_OP(flight - fin, ==, t->sndq.bytes);
	}
}

static void sanity_state(const struct tcb *t)
{
	bool fin_sent = tcb_has(t, TF_FIN_SENT);
	bool fin_rcvd = tcb_has(t, TF_FIN_RCVD);

	VJ_ASSERT(!fin_sent || tcb_has(t, TF_FIN_QUEUED));
	switch ((enum tcp_state)t->state) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
		VJ_ASSERT(!fin_sent && !fin_rcvd);
		break;
	case TCP_CLOSE_WAIT:
		VJ_ASSERT(!fin_sent && fin_rcvd);
		break;
	case TCP_FIN_WAIT_1:
		VJ_ASSERT(fin_sent && !fin_rcvd && tcb_flight(t) != 0);
		break;
	case TCP_FIN_WAIT_2:
		VJ_ASSERT(fin_sent && !fin_rcvd && tcb_flight(t) == 0);
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		VJ_ASSERT(fin_sent && fin_rcvd && tcb_flight(t) != 0);
		break;
	case TCP_TIME_WAIT:
		VJ_ASSERT(fin_sent && fin_rcvd && tcb_flight(t) == 0);
		VJ_ASSERT_OP(t->rtx, ==, 0u);
		break;
	case TCP_CLOSED:
		VJ_ASSERT(!tcb_has(t, TF_IN_FLOWS | TF_RTX_TIMER | TF_ACK_TIMER | TF_ACK_OWED |
					      TF_PERSIST | TF_OOO));
		VJ_ASSERT(!wheel_armed(&t->wheel) &&
			  ref_list_has(&t->output) == tcb_has(t, TF_RST_OWED));
		VJ_ASSERT(t->rtx == 0 && (t->sndq.bytes == 0 || (tcb_has(t, TF_REFUSED) && tcb_no_loss(t))));
		VJ_ASSERT(tcb_has(t, TF_OWNED | TF_EMBRYO | TF_RST_OWED));
		break;
	case TCP_LISTEN:
		VJ_UNREACHABLE();
	}
}

static bool sanity_is_owing(const struct stack *s, uint32_t id)
{
	for (uint32_t i = 0; i < s->owing_cnt; i++)
		if (s->tcp->owing[i] == id)
			return true;
	return false;
}

/* What only connections in use on links that can lose have */
static void sanity_tune(const struct stack *s, struct conn c)
{
	const struct tcb_cold *cold = tcb_cold(s, c);
	const struct tcp_tune *tune = tcb_tune(s, c);

	if (tcb_no_loss(c.t))
		VJ_ASSERT(cold->tune == 0 && cold->tally == 0);
	if (!tcb_synchronized(c.t) || c.t->state == TCP_TIME_WAIT)
		VJ_ASSERT_OP(cold->tune, ==, 0u);
	if (tune != NULL) {
		VJ_ASSERT_OP(tune->rcv_mss, !=, 0u);
		VJ_ASSERT(wheel_armed(&c.t->wheel));
	}
}

/* Its acknowledgement has a place in the queue, and will not be taken there for one that was paid. */
static bool sanity_is_owed(const struct stack *s, struct conn c)
{
	const struct tcp_global *g = s->tcp;

	VJ_ASSERT_OP(g->owed_tail - g->owed_head, <=, TCP_OWED_MAX);
	VJ_ASSERT((g->owed_head == g->owed_tail) == (s->run_due_us == TIME_NEVER) || s->tw_cnt != 0);
	for (uint32_t pos = g->owed_head; pos != g->owed_tail; pos++)
		if (g->owed[pos % TCP_OWED_MAX].id == c.id)
			return tcb_has(c.t, TF_ACK_QUEUED);
	return false;
}

/* Nothing waits without a timer, a place in the output queue, or the peer's word. */
static void sanity_progress(const struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	bool queued = ref_list_has(&t->output);
	bool armed = wheel_armed(&t->wheel);

	if (t->state == TCP_CLOSED || tcb_has(t, TF_HELD) || (tcb_owes_answer(t) && tcb_has(t, TF_EMBRYO)))
		return;
	if (tcb_has(t, TF_RTX_TIMER | TF_ACK_TIMER))
		VJ_ASSERT(armed);
	if (tcb_has(t, TF_ACK_NOW))
		VJ_ASSERT(queued);
	if (tcb_has(t, TF_ACK_OWED))
		VJ_ASSERT(queued || sanity_is_owing(s, c.id) ||
			  (tcb_no_loss(t) ? sanity_is_owed(s, c) : tcb_has(t, TF_ACK_TIMER)));
	if (tcb_is_fastopen(t))
		VJ_ASSERT(tcb_has(t, TF_RTX_TIMER) && t->ext != 0);
	if (tcb_owes_answer(t))
		VJ_ASSERT(queued);
	if (tcb_is_called(t)) { /* sndq has what was said, too */
		VJ_ASSERT(queued || tcb_has(t, TF_RTX_TIMER) || tcp_call_unsaid(t) == 0 || tcp_out_usable(s, c) == 0);
		return;
	}
	if (tcb_has(t, TF_PERSIST))
		VJ_ASSERT(tcb_has(t, TF_RTX_TIMER));
	if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED ||
	    (!tcb_no_loss(t) && tcb_flight(t) != 0))
		VJ_ASSERT(queued || tcb_has(t, TF_RTX_TIMER) || tcp_listen_is_parked(t));
	if (tcb_can_send(t) && tcb_unsent(t) != 0)
		VJ_ASSERT(queued || tcb_has(t, TF_RTX_TIMER) || tcp_pace_held(s, t));
	if (t->state == TCP_TIME_WAIT ||
	    (t->state == TCP_FIN_WAIT_2 && !tcb_has(t, TF_OWNED | TF_EMBRYO)))
		VJ_ASSERT(queued || tcb_has(t, TF_RTX_TIMER));
}

/* Sums of a connection's records, to be compared with what tcp_rtx says */
struct sent_sums {
	uint32_t sacked, lost, resent, segs, flying, to_send;
};

static void sanity_record(const struct tcp_sent *rec, struct sent_sums *sums)
{
	uint32_t len = rec->end - rec->seq;

	VJ_ASSERT(seq_lt(rec->seq, rec->end));
	if ((rec->flags & SENT_SACKED) != 0) {
		VJ_ASSERT_OP(rec->flags & (SENT_LOST | SENT_RETRANS), ==, 0u);
		sums->sacked += len;
		sums->segs += rec->segs;
		return;
	}
	if ((rec->flags & SENT_LOST) != 0)
		sums->lost += len;
	if ((rec->flags & SENT_RETRANS) != 0)
		sums->resent += len;
	if ((rec->flags & (SENT_LOST | SENT_RETRANS)) == SENT_LOST)
		sums->to_send++;
	else
		sums->flying++;
}

static uint32_t sanity_list(const struct stack *s, const struct sent_list *list)
{
	uint32_t cnt = 0, last = 0;

	for (uint32_t idx = list->head; idx != 0; idx = tcp_sent_at(s, idx)->later) {
		VJ_ASSERT_OP(tcp_sent_at(s, idx)->earlier, ==, last);
		last = idx;
		cnt++;
	}
	VJ_ASSERT_OP(list->tail, ==, last);
	return cnt;
}

static uint32_t sanity_tree(const struct stack *s, uint32_t root, uint32_t from, uint32_t to)
{
	const struct tcp_sent *rec;

	if (root == 0)
		return 0;
	rec = tcp_sent_at(s, root);
	VJ_ASSERT(seq_geq(rec->seq, from) && seq_lt(rec->seq, to));
	return 1 + sanity_tree(s, rec->left, from, rec->seq) +
	       sanity_tree(s, rec->right, rec->end, to);
}

/* The records are what is in flight, without gaps, and the sums are theirs. */
static void sanity_sent(const struct stack *s, const struct tcb *t, const struct tcp_rtx *rtx)
{
	struct sent_sums sums = { 0 };
	uint32_t seq = t->snd_una, last = 0, cnt = 0;

	for (uint32_t idx = rtx->head; idx != 0; idx = tcp_sent_at(s, idx)->next) {
		const struct tcp_sent *rec = tcp_sent_at(s, idx);

		VJ_ASSERT_OP(rec->seq, ==, seq);
		VJ_ASSERT_OP(rec->prev, ==, last);
		sanity_record(rec, &sums);
		seq = rec->end;
		last = idx;
		cnt++;
	}
	VJ_ASSERT_OP(rtx->tail, ==, last);
	if (tcb_synchronized(t))
		VJ_ASSERT_OP(seq, ==, t->snd_nxt);
	VJ_ASSERT_OP(sums.sacked, ==, rtx->sacked_bytes);
	VJ_ASSERT_OP(sums.segs, ==, rtx->sacked_segs);
	VJ_ASSERT_OP(sums.lost, ==, rtx->lost_bytes);
	VJ_ASSERT_OP(sums.resent, ==, rtx->resent_bytes);
	VJ_ASSERT_OP(sums.flying, ==, sanity_list(s, &rtx->flying));
	VJ_ASSERT_OP(sums.to_send, ==, sanity_list(s, &rtx->lost));
	if (rtx->indexed)
		VJ_ASSERT_OP(cnt, ==, sanity_tree(s, rtx->root, t->snd_una, t->snd_nxt));
}

static void sanity_rtx(const struct stack *s, struct conn c)
{
	const struct tcb *t = c.t;
	const struct tcp_rtx *rtx = tcb_rtx(s, t);
	const struct tcb_cold *cold = tcb_cold(s, c);

	if (tcb_synchronized(t) && !tcb_no_loss(t))
		VJ_ASSERT(cold->cc.cwnd >= 1);
	if (rtx == NULL) {
		if (tcb_synchronized(t) && !tcb_no_loss(t))
			VJ_ASSERT_OP(tcb_flight(t), ==, 0u);
		return;
	}
	VJ_ASSERT(!tcb_no_loss(t));
	/* A peer that reneges is waited for, whatever it has acknowledged. */
	if (rtx->mode == RTX_CWR)
		VJ_ASSERT(seq_geq(rtx->recover, t->snd_una) && seq_leq(rtx->recover, t->snd_nxt));
	else if (rtx->mode != RTX_OPEN && rtx->due != DUE_RENEGED)
		VJ_ASSERT(seq_gt(rtx->recover, t->snd_una) && seq_leq(rtx->recover, t->snd_nxt));
	sanity_sent(s, t, rtx);
	VJ_ASSERT_OP(tcp_rtx_pipe(s, t), <=, tcb_flight(t) + rtx->resent_bytes);
	VJ_ASSERT_OP(rtx->pos.off, <=, t->sndq.bytes);
}

static void sanity_mtu(const struct stack *s, const struct tcb *t)
{
	const struct tcp_mtu *m = tcb_mtu(s, t);

	if (m == NULL)
		return;
	VJ_ASSERT(!tcb_no_loss(t) && t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT);
	VJ_ASSERT_OP(t->mss, <=, m->mss_max);
	VJ_ASSERT_OP(m->path, <=, link_at(&s->links, t->link)->mtu_most);
	if (m->probe != 0) {
		VJ_ASSERT(m->probing && m->probe > m->low && m->probe <= m->high);
		VJ_ASSERT(seq_geq(m->probe_end, t->snd_una) && seq_leq(m->probe_end, t->snd_nxt));
	}
}

static void sanity_ooo(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t cnt = 0, bytes = 0;
	uint32_t last_end = t->rcv_nxt;
	bool last_found = ext == NULL || ext->ooo_recent[0] == 0;

	VJ_ASSERT(tcb_has(t, TF_OOO) ==
		  (ext != NULL && (ext->ooo_head != 0 || tcp_ext_dsack(ext))));
	if (!tcb_has(t, TF_OOO))
		return;
	for (uint32_t idx = ext->ooo_head; idx != 0;) {
		const struct tcp_ooo *ooo = pool_at_sized(&s->tcp->ooo, idx, sizeof(*ooo));

		VJ_ASSERT(seq_gt(ooo->seq, last_end));
		VJ_ASSERT_OP(ooo->data.bytes, >, 0u);
		last_end = ooo->seq + ooo->data.bytes;
		last_found |= idx == ext->ooo_recent[0];
		bytes += ooo->data.bytes;
		cnt++;
		idx = ooo->next;
	}
	VJ_ASSERT(seq_leq(last_end, t->rcv_adv));
	VJ_ASSERT_OP(cnt, ==, (uint32_t)ext->ooo_cnt);
	VJ_ASSERT_OP(bytes, ==, ext->ooo_bytes);
	VJ_ASSERT(last_found);
}

void tcp_sanity(struct stack *s, uint32_t id)
{
	struct conn c = conn_at(s, id);
	struct flow_key key;

	VJ_ASSERT(bitmap_test(s->tcp->used, id));
	sanity_seq(c.t);
	sanity_state(c.t);
	sanity_progress(s, c);
	sanity_tune(s, c);
	sanity_rtx(s, c);
	sanity_ooo(s, c.t);
	sanity_mtu(s, c.t);
	if (tcb_has(c.t, TF_IN_FLOWS)) {
		tcp_conn_key(s, c, &key);
		VJ_ASSERT_OP(tcp_conn_find(s, &key, flow_hash(&s->flows, &key)), ==, id);
	}
}

void tcp_sanity_all(struct stack *s)
{
	uint32_t end = min_u32(s->conns.fresh, s->cfg.conns_max + 1);
	uint32_t conns = 0, in_flows = 0, rtx = 0, ext = 0, mtu = 0;

	for (uint32_t id = bitmap_find_set(s->tcp->used, end, 0); id != BITMAP_NONE;
	     id = bitmap_find_set(s->tcp->used, end, id + 1)) {
		const struct tcb *t = conn_at(s, id).t;

		tcp_sanity(s, id);
		conns++;
		in_flows += tcb_has(t, TF_IN_FLOWS) ? 1 : 0;
		rtx += t->rtx != 0 ? 1 : 0;
		ext += t->ext != 0 ? 1 : 0;
		mtu += tcb_mtu(s, t) != NULL ? 1 : 0;
	}
	VJ_ASSERT_OP(conns, ==, s->conns.used);
	VJ_ASSERT_OP((uint64_t)in_flows + s->tw_cnt, ==, s->flows.used);
	VJ_ASSERT_OP(s->tw_cnt, ==, s->tcp->tw_pool.used);
	VJ_ASSERT_OP(rtx, ==, s->tcp->rtx.used);
	VJ_ASSERT_OP(ext, ==, s->tcp->ext.used);
	VJ_ASSERT_OP(mtu, ==, s->tcp->mtus.used);
}
