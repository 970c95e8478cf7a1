// SPDX-License-Identifier: BSD-2-Clause
/*
 * LISTEN: RFC 9293 3.10.7.1 and 3.10.7.2, and the two queues of a listener
 *
 * Each SYN takes a block (struct tcb): an embryo, counted in embryo_cnt until its handshake is done; then it waits in `ready` for
 * tcp_accept(). When there are as many embryos as allowed, or no blocks, a SYN is answered with a
 * cookie and forgotten (tcp_cookie.c). As in Linux a SYN is dropped while `ready` is full, so that
 * the peer repeats it; and so is the ACK that would complete a handshake then.
 *
 * On a link that cannot lose, a SYN-ACK makes the client's connection at once, and the client never repeats what it sends. So there a SYN-ACK is sent only when
 * there is a place in the backlog (for a call the answer follows in tcp_accept(): tcp_call.c). Until then the SYN waits in `parked`, and is answered
 * as soon as a connection is accepted, not when the client would repeat it a second later. On the kernel's loopback the listener has run before the backlog
 * is full; here hundreds of SYNs may come before the program runs. A parked SYN counts as an embryo. Its client may be gone when it is answered, and
 * rejects the SYN-ACK then. A call on a promise (tcp_call.c) has a place in any case.
 *
 * An embryo is one block and nothing else. When its SYN-ACK left, and whether more than once, is kept in the cold half, in words that congestion control
 * does not use yet; the record of what was sent (struct tcp_sent) is made when the acknowledgement comes. So an incomplete handshake takes some
 * 200 bytes (Linux's request_sock: 300). Only if the listener has options of its own its embryos have an extension from the start.
 *
 * An embryo knows its listener by number (in event.cookie, which it does not need yet).
 * tcp_unlisten() does not look for them: the listener's block stays until the last has found out.
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"
#include "stack/tcp_cookie.h"
#include "stack/tcp_move.h"
#include "stack/tcp_withdraw.h"

#include <errno.h>

/*
 * There may be many more handshakes under way than the backlog allows connections, since a handshake
 * takes a round trip, and an accepting program much less.
 */
#define EMBRYOS_MIN 256

struct tcp_listener *tcp_listener_at(const struct stack *s, uint32_t id)
{
	return pool_at_sized(&s->tcp->listeners, id, sizeof(struct tcp_listener));
}

/* Is there no place for one more connection that waits for tcp_accept()? */
static bool listener_full(const struct tcp_listener *l)
{
	return l->ready_cnt + l->reserved_cnt >= l->backlog;
}

bool tcp_listen_is_parked(const struct tcb *t)
{
	return t->state == TCP_SYN_RECEIVED && tcb_has(t, TF_EMBRYO) && ref_list_has(&t->event.list);
}

/*
 * On a link that cannot lose the SYN-ACK is certain to arrive, before all that is sent later: so the connection is established without the client's ACK, unless
 * the program wants to wait for data (DEFER_ACCEPT). @called: a call on a promise, which needs no SYN-ACK to know that it has a place.
 */
void tcp_listen_answer(struct stack *s, struct conn c, bool called)
{
	struct tcb *t = c.t;
	const struct link *link = link_at(&s->links, t->link);
	const struct tcp_syn_more more = { .urgent = tcp_promise_of(s, tcp_listener_at(s, t->event.cookie[0]), link) };
	bool defers = t->ext != 0 && tcb_ext(s, t)->defer != 0;

	if (called && !defers) {
		t->snd_nxt = t->snd_una + 1;
	} else if (tcp_xmit_syn_more(s, c, &more) != 0) {
		if (called) /* its data follows at once, and can't wait until there is a frame */
			tcp_conn_reset(s, c, 0);
		else
			tcp_output_later(s, c);
		return;
	}
	if (defers && tcb_owes_answer(t))
		tcb_ext(s, t)->deferred = true; /* the SYN-ACK has gone */
	if (!tcb_no_loss(t) || defers)
		return;
	tcp_timer_stop(s, c);
	t->snd_una = t->snd_nxt;
	tcp_conn_established(s, c);
}

/* There may be places again: answer the SYNs that have waited longest. */
static void listen_unpark(struct stack *s, struct tcp_listener *l)
{
	while (!ref_list_empty(&l->parked) && !listener_full(l)) {
		struct conn c = conn_at(s, ref_id(l->parked.head));

		ref_list_del(&s->event_nodes, &l->parked, ref_tcp(c.id));
		l->reserved_cnt++;
		tcp_listen_answer(s, c, false);
	}
}

static void embryo_uncount(struct stack *s, struct tcp_listener *l, struct conn c)
{
	l->embryo_cnt--;
	if (tcp_listen_is_parked(c.t))
		ref_list_del(&s->event_nodes, &l->parked, ref_tcp(c.id));
	else if (tcb_no_loss(c.t))
		l->reserved_cnt--;
}

void tcp_listen_enqueue(struct stack *s, struct conn c)
{
	struct tcp_listener *l = tcp_listener_at(s, c.t->event.cookie[0]);

	l->ready_cnt++;
	ref_list_add(&s->event_nodes, &l->ready, ref_tcp(c.id));
	stack_event_add(s, ref_listener(c.t->event.cookie[0]), STACK_EV_ACCEPT);
}

void tcp_listen_adopt(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	embryo_uncount(s, tcp_listener_at(s, t->event.cookie[0]), c);
	event_cookie_set(&t->event, 0);
	t->flags = (t->flags & ~(uint32_t)TF_EMBRYO) | TF_OWNED;
	t->snd_una = t->snd_nxt;
	t->state = TCP_ESTABLISHED;
}

void tcp_listen_unready(struct stack *s, struct conn c)
{
	struct tcp_listener *l;

	if (!tcb_has(c.t, TF_EMBRYO) || !tcb_synchronized(c.t))
		return;
	l = tcp_listener_at(s, c.t->event.cookie[0]);
	ref_list_del(&s->event_nodes, &l->ready, ref_tcp(c.id));
	l->ready_cnt--;
	c.t->flags &= ~(uint32_t)TF_EMBRYO;
	listen_unpark(s, l);
}

int tcp_listen_ready(struct stack *s, struct conn c)
{
	struct tcp_listener *l = tcp_listener_at(s, c.t->event.cookie[0]);

	if (!l->in_use)
		return -ENOTCONN;
	if (!tcb_no_loss(c.t) && listener_full(l))
		return -EAGAIN;
	embryo_uncount(s, l, c);
	tcp_listen_enqueue(s, c);
	return 0;
}

void tcp_listen_embryo_gone(struct stack *s, struct conn c)
{
	uint32_t id = c.t->event.cookie[0];
	struct tcp_listener *l = tcp_listener_at(s, id);

	embryo_uncount(s, l, c);
	if (l->in_use)
		listen_unpark(s, l);
	tcp_listener_free(s, id);
}

void tcp_listener_free(struct stack *s, uint32_t id)
{
	const struct tcp_listener *l = tcp_listener_at(s, id);

	if (!l->in_use && l->embryo_cnt == 0 && l->fastopen_cnt == 0)
		pool_put(&s->tcp->listeners, id);
}

/* Indexes into cc_priv.words, which tcp_cc_start() has zeroed. Not the first, which may become a number in a pool. */
enum { SYNACK_SENT_US = 2, SYNACK_HOW = 3 };
enum { SYNACK_ONCE = 1, SYNACK_AGAIN = 2 }; /* words[SYNACK_HOW]; 0: nothing is noted */

bool tcp_listen_synack_sent(struct stack *s, struct conn c, bool again)
{
	uint32_t *words = tcb_cold(s, c)->cc_priv.words;

	if (!tcb_has(c.t, TF_EMBRYO) || (c.t->ext != 0 && words[SYNACK_HOW] == 0))
		return false;
	words[SYNACK_SENT_US] = (uint32_t)s->now_us;
	words[SYNACK_HOW] = again ? SYNACK_AGAIN : SYNACK_ONCE;
	return true;
}

void tcp_listen_synack_acked(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_sent *rec;
	struct tcp_rtx *rtx;
	uint32_t sent_us, how, *words;

	if (tcb_no_loss(t) || !tcb_has(t, TF_EMBRYO))
		return;
	words = tcb_cold(s, c)->cc_priv.words;
	sent_us = words[SYNACK_SENT_US];
	how = words[SYNACK_HOW];
	words[SYNACK_SENT_US] = words[SYNACK_HOW] = 0;
	/* Nothing was noted for a cookie, nor where there is a record. Without memory for one the first RTT sample is missing, and nothing else. */
	if (how == 0 || !tcp_sent_reserve(s, c))
		return;
	rtx = tcb_rtx(s, t);
	tcp_sent_add(s, c, t->snd_una, t->snd_una + 1, 0);
	if (how == SYNACK_AGAIN)
		tcp_sent_again(s, rtx, rtx->head);
	rec = tcp_sent_at(s, rtx->head);
	rec->sent_us = rec->first_sent_us = rec->delivered_us = sent_us;
	rtx->first_sent_us = rtx->delivered_us = sent_us;
}

/* The options that connections of a listener with options of its own begin with */
static void listen_ext(const struct tcp_listener *l, bool v4, struct tcp_ext *ret_ext)
{
	*ret_ext = l->ext;
	if (l->marked[v4]) {
		ret_ext->tos = l->tos[v4];
		ret_ext->ttl = l->ttl[v4];
	}
}

/*
 * A block for a handshake, with key, listener's options and link set. Return: false: no memory.
 */
static bool listen_embryo(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
			  uint32_t listener_id, bool called, struct conn *ret_c)
{
	struct tcp_listener *l = tcp_listener_at(s, listener_id);
	uint32_t id = tcp_conn_new(s, key, seg->pkt->link);
	struct tcp_ext *ext;
	struct conn c;

	if (id == 0)
		return false;
	c = conn_at(s, id);
	c.t->state = TCP_SYN_RECEIVED;
	c.t->flags = (l->has_cc ? c.t->flags & ~TF_CC_MASK : c.t->flags) | l->flags | TF_EMBRYO;
	if (tcb_no_loss(c.t) && seg->view.urgent != 0)
		c.t->flags |= TF_CALLED;
	c.t->event.cookie[0] = listener_id;
	l->embryo_cnt++;
	if (tcb_no_loss(c.t) && listener_full(l) && !called)
		ref_list_add(&s->event_nodes, &l->parked, ref_tcp(id));
	else if (tcb_no_loss(c.t))
		l->reserved_cnt++;
	if (l->has_ext) {
		ext = tcp_conn_ext(s, c.t);
		if (ext == NULL) {
			tcp_conn_done(s, c, 0);
			return false;
		}
		listen_ext(l, seg->pkt->ip.version == 4, ext);
	}
	*ret_c = c;
	return true;
}

/* There is no block for this SYN: answer it with a cookie. Return: false: not allowed, and the SYN is to be dropped. */
static bool listen_cookie(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
			  struct tcp_listener *l)
{
	struct tcp_ext ext;

	if ((seg->pkt->link->flags & LINK_NO_LOSS) != 0 || s->cfg.tcp.no_syncookies)
		return false;
	if (l->has_ext)
		listen_ext(l, seg->pkt->ip.version == 4, &ext);
	else
		tcp_ext_defaults(s, &ext);
	tcp_cookie_answer(s, seg, key, &ext);
	l->has_cookies = true;
	l->cookie_ms = tcp_now_ms(s);
	return true;
}

/* Third step of 3.10.7.2 */
static void listen_syn(struct stack *s, struct tcp_seg *seg, const struct flow_key *key,
		       uint32_t listener_id, const uint32_t *old_end)
{
	struct tcp_listener *l = tcp_listener_at(s, listener_id);
	bool called = (seg->pkt->link->flags & LINK_NO_LOSS) != 0 && seg->view.urgent > TCP_CALL_ASKS, full;
	struct tcp_syn_more more;
	struct conn c;
	struct tcb *t;
	bool fast;

	tcp_withdrawn_heed(s, seg->pkt->link);
	if (tcp_withdrawn_syn(seg))
		return;
	full = l->embryo_cnt >= max_u32(l->backlog, EMBRYOS_MIN);
	if (called && (full || l->ready_cnt + l->reserved_cnt >= 2 * l->backlog)) {
		stack_drop(s, STACK_DROP_TCP_BACKLOG);
		tcp_reply_rst(s, seg->pkt, &seg->view);
		return;
	}
	/* No cookie with @old_end: it would not keep clear of the old connection's sequence numbers. */
	if ((listener_full(l) && (seg->pkt->link->flags & LINK_NO_LOSS) == 0) ||
	    (full && (old_end != NULL || !listen_cookie(s, seg, key, l)))) {
		stack_drop(s, STACK_DROP_TCP_BACKLOG);
		return;
	}
	if (full)
		return;
	if (!listen_embryo(s, seg, key, listener_id, called, &c)) {
		if (!listen_cookie(s, seg, key, l))
			stack_drop(s, STACK_DROP_NO_MEMORY);
		if (called)
			tcp_reply_rst(s, seg->pkt, &seg->view);
		return;
	}
	t = c.t;
	t->rcv_nxt = seg->seq + 1;
	t->rcv_adv = t->rcv_nxt;
	t->rcv_acked = t->rcv_nxt;
	t->snd_una = tcb_no_loss(t) ? tcp_promise_isn(seg->seq) : tcp_isn(s, key, old_end, false);
	t->snd_nxt = t->snd_una;
	tcp_isn_ours(t);
	tcp_isn_theirs(s, t, seg->seq);
	t->snd_wnd = seg->view.window;
	tcp_opt_agree(s, c, &seg->opts);
	tcp_ecn_syn(s, t, seg);
	if (tcp_listen_is_parked(t))
		return;
	if (called)
		t->rcv_adv = t->rcv_nxt + seg->view.urgent; /* the window that was promised, whatever it would be now */
	if (tcb_no_loss(t)) {
		tcp_listen_answer(s, c, called);
		return;
	}
	fast = tcp_fastopen_syn(s, l, seg, key, &more);
	if (fast && tcp_fastopen_accept(s, c, seg, listener_id, &more))
		return;
	if (tcp_xmit_syn_more(s, c, &more) != 0)
		tcp_output_later(s, c);
}

/*
 * First step of 3.10.7.2: an ACK belongs to no handshake that we remember. If it brings a cookie
 * back, it goes on as if we had. Return: false: it is answered by RST.
 */
static bool listen_ack(struct stack *s, struct pkt *pkt, const struct tcp_view *view,
		       const struct flow_key *key, uint32_t listener_id)
{
	struct tcp_listener *l = tcp_listener_at(s, listener_id);
	struct tcp_opts opts;
	struct tcp_seg seg;
	struct conn c;
	struct tcb *t;
	bool ecn;

	if ((view->flags & (TCP_SYN | TCP_RST)) != 0 || (pkt->link->flags & LINK_NO_LOSS) != 0 ||
	    !l->has_cookies || tcp_now_ms(s) - l->cookie_ms > 2 * TCP_COOKIE_EPOCH_US / US_PER_MS)
		return false;
	if (!tcp_seg_init(&seg, pkt, view)) {
		stack_drop(s, STACK_DROP_TCP_BAD);
		return true;
	}
	if (!tcp_cookie_accept(s, &seg, key, &opts, &ecn))
		return false;
	if (listener_full(l)) {
		stack_drop(s, STACK_DROP_TCP_BACKLOG);
		return true;
	}
	if (!listen_embryo(s, &seg, key, listener_id, false, &c)) {
		stack_drop(s, STACK_DROP_NO_MEMORY);
		return true;
	}
	t = c.t;
	t->rcv_nxt = seg.seq;
	t->rcv_acked = seg.seq;
	t->snd_una = seg.ack - 1;
	t->snd_nxt = seg.ack;
	tcp_opt_agree(s, c, &opts);
	t->rcv_adv = seg.seq + tcp_syn_window(s, c); /* as the SYN-ACK said */
	if (ecn)
		t->flags |= TF_ECN;
	tcp_steps_input(s, c, &seg);
	return true;
}

/*
 * Answer by RST, but after all that connections of this link still have to send, since one that has ended here may owe its caller the answer: without it the caller
 * would take the RST for a refusal, and call another server. No output of this link is under construction here. If there are not enough frames no RST is sent:
 * the sender repeats its segment, or receives what was owed.
 */
static VJ_COLD void reply_unknown(struct stack *s, const struct pkt *pkt, const struct tcp_view *view)
{
	if (pkt->link->blocked)
		stack_link_writable(s, (struct link_id){ pkt->link_id });
	if (pkt->link->blocked)
		stack_drop(s, STACK_DROP_NO_FRAME);
	else
		tcp_reply_rst(s, pkt, view);
}

void tcp_listen_input(struct stack *s, struct pkt *pkt, const struct tcp_view *view,
		      const uint32_t *old_end)
{
	struct flow_key key = tcp_pkt_key(pkt, view);
	uint32_t id = ports_pick(&s->ports, PORT_TCP, &pkt->dst, view->dst_port, s->tcp->listen_turn);
	struct tcp_seg seg;

	if ((view->flags & TCP_ACK) != 0 && id != 0 && listen_ack(s, pkt, view, &key, id))
		return;
	if (id == 0 || (view->flags & TCP_ACK) != 0) {
		stack_drop(s, STACK_DROP_TCP_NO_SOCKET);
		if ((view->flags & TCP_RST) == 0)
			reply_unknown(s, pkt, view);
		return;
	}
	if ((view->flags & (TCP_SYN | TCP_RST)) != TCP_SYN || view->src_port == 0) {
		stack_drop(s, STACK_DROP_TCP_NO_SOCKET);
		return;
	}
	/* SYN with FIN: no host means it (RFC 1644 is history), only scanners send it. */
	if ((view->flags & TCP_FIN) != 0 || !tcp_seg_init(&seg, pkt, view)) {
		stack_drop(s, STACK_DROP_TCP_BAD);
		return;
	}
	s->tcp->listen_turn++;
	listen_syn(s, &seg, &key, id, old_end);
}

/* ---- what the program calls ------------------------------------------------------------------ */

int tcp_listen(struct stack *s, const struct endpoint *local, unsigned flags, uint32_t backlog,
	       uint64_t cookie, struct listener_id *ret_l)
{
	uint32_t id = pool_get(&s->tcp->listeners);
	struct tcp_listener *l;
	struct port_id place;
	int err;

	if (id == 0)
		return -ENOMEM;
	err = ports_add(&s->ports, PORT_TCP, local, flags, id, &place);
	if (err != 0) {
		pool_put(&s->tcp->listeners, id);
		return err;
	}
	l = tcp_listener_at(s, id);
	*l = (struct tcp_listener){
		.backlog = max_u32(backlog, 1),
		.place = place,
		.in_use = true,
	};
	event_cookie_set(&l->event, cookie);
	ret_l->v = id;
	return 0;
}

void tcp_listener_backlog(struct stack *s, struct listener_id l, uint32_t backlog)
{
	struct tcp_listener *listener = tcp_listener_at(s, l.v);

	if (backlog < listener->backlog)
		tcp_promises_take_back(s);
	listener->backlog = max_u32(backlog, 1);
	listen_unpark(s, listener);
}

void tcp_unlisten(struct stack *s, struct listener_id id)
{
	struct tcp_listener *l = tcp_listener_at(s, id.v);

	VJ_ASSERT(l->in_use);
	tcp_promises_take_back(s);
	l->backlog = 0; /* no parked SYN is answered for a place that becomes free below: its connection would be reset a moment later */
	while (!ref_list_empty(&l->ready)) {
		struct conn c = conn_at(s, ref_id(l->ready.head));

		ref_list_del(&s->event_nodes, &l->ready, ref_tcp(c.id));
		if (tcb_owes_answer(c.t)) /* so that the caller is reset without an answer, and may call another server */
			c.t->flags &= ~(uint32_t)(TF_CALLED | TF_HELD);
		c.t->flags &= ~(uint32_t)TF_EMBRYO;
		if (c.t->state != TCP_CLOSED && c.t->state != TCP_TIME_WAIT)
			tcp_conn_reset(s, c, 0);
		else
			tcp_conn_release(s, c);
	}
	/* Parked: the client repeats its SYN, and reaches whatever listens then. */
	while (!ref_list_empty(&l->parked))
		tcp_conn_done(s, conn_at(s, ref_id(l->parked.head)), 0);
	stack_event_del(s, ref_listener(id.v));
	ports_del(&s->ports, l->place);
	l->in_use = false;
	tcp_listener_free(s, id.v);
}

/* Ends withdrawn calls (tcp_withdraw.c) at the head of the queue. One that is HELD stays: that is checked when it is released. */
static bool listen_has_ready(struct stack *s, struct tcp_listener *l)
{
	while (!ref_list_empty(&l->ready)) {
		const struct tcb *t = conn_at(s, ref_id(l->ready.head)).t;

		if (!tcb_owes_answer(t) || tcb_has(t, TF_HELD) || !tcp_withdrawn_heed(s, link_at(&s->links, t->link)))
			return true;
	}
	return false;
}

int tcp_dequeue(struct stack *s, struct listener_id id, uint64_t cookie, struct tcp_id *ret_id)
{
	struct tcp_listener *l = tcp_listener_at(s, id.v);
	struct conn c;

	VJ_ASSERT(l->in_use);
	if (!listen_has_ready(s, l))
		return -EAGAIN;
	c = conn_at(s, ref_id(l->ready.head));
	ref_list_del(&s->event_nodes, &l->ready, ref_tcp(c.id));
	l->ready_cnt--;
	c.t->flags = (c.t->flags & ~(uint32_t)TF_EMBRYO) | TF_OWNED;
	event_cookie_set(&c.t->event, cookie);
	ret_id->v = c.id;
	listen_unpark(s, l);
	return 0;
}

int tcp_accept(struct stack *s, struct listener_id id, uint64_t cookie, struct tcp_id *ret_id)
{
	struct conn c;
	uint32_t ready;
	int err;

	for (;;) {
		err = tcp_dequeue(s, id, cookie, ret_id);
		if (err != 0)
			return err;
		c = conn_at(s, ret_id->v);
		if (!tcb_owes_answer(c.t) || tcb_has(c.t, TF_HELD) || likely(tcp_call_answer(s, c, tcp_listener_at(s, id.v))))
			break;
		c.t->flags &= ~(uint32_t)TF_OWNED;
		tcp_withdrawn_end(s, c);
	}
	s->stats.tcp_accepted++;
	/* Events from before the program had the connection */
	ready = tcp_ready(s, *ret_id) & (STACK_EV_READABLE | STACK_EV_EOF | STACK_EV_ERROR);
	if (ready != 0)
		tcp_event(s, c, ready);
	return 0;
}

uint32_t tcp_listener_ready(const struct stack *s, struct listener_id l)
{
	return tcp_listener_at(s, l.v)->ready_cnt;
}
