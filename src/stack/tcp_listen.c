// SPDX-License-Identifier: BSD-2-Clause
/*
 * LISTEN: RFC 9293 3.10.7.1 and 3.10.7.2, and the two queues of a listener
 *
 * A SYN makes a block at once (SYN cookies are for when the backlog is full, and not there yet). It
 * counts in embryo_cnt until its handshake is done, then waits in `ready` for tcp_accept(). As in
 * Linux a SYN is dropped while the backlog is full, so that the peer repeats it; and so is the ACK
 * that would complete a handshake then. But on a link that cannot lose that ACK may carry data
 * which are never repeated: there a SYN is taken only if a place is kept for it.
 *
 * An embryo knows its listener by number (in event.cookie, which it does not need yet).
 * tcp_unlisten() does not look for them: the listener's block stays until the last has found out.
 */
#include "stack/tcp.h"

#include <errno.h>

/*
 * Handshakes under way may be many more than the backlog, since most of a backlog's time is the
 * round trip.
 */
#define EMBRYOS_MIN 256

static struct tcp_listener *listener_at(const struct stack *s, uint32_t id)
{
	return pool_at_sized(&s->tcp->listeners, id, sizeof(struct tcp_listener));
}

/* No room for one more that waits for tcp_accept() */
static bool listener_full(const struct tcp_listener *l)
{
	return l->ready_cnt + l->reserved_cnt >= l->backlog;
}

static void embryo_uncount(struct tcp_listener *l, const struct tcb *t)
{
	l->embryo_cnt--;
	if (tcb_no_loss(t))
		l->reserved_cnt--;
}

int tcp_listen_ready(struct stack *s, struct conn c)
{
	struct tcp_listener *l = listener_at(s, c.t->event.cookie[0]);

	if (!l->in_use)
		return -ENOTCONN;
	if (!tcb_no_loss(c.t) && listener_full(l))
		return -EAGAIN;
	embryo_uncount(l, c.t);
	l->ready_cnt++;
	ref_list_add(&s->event_nodes, &l->ready, ref_tcp(c.id));
	stack_event_add(s, ref_listener(c.t->event.cookie[0]), STACK_EV_ACCEPT);
	return 0;
}

void tcp_listen_embryo_gone(struct stack *s, struct conn c)
{
	uint32_t id = c.t->event.cookie[0];
	struct tcp_listener *l = listener_at(s, id);

	embryo_uncount(l, c.t);
	if (!l->in_use && l->embryo_cnt == 0)
		pool_put(&s->tcp->listeners, id);
}

/* Third step of 3.10.7.2 */
static void listen_syn(struct stack *s, struct tcp_seg *seg, const struct flow_key *key,
		       uint32_t listener_id, const uint32_t *old_end)
{
	struct tcp_listener *l = listener_at(s, listener_id);
	struct tcp_ext *ext;
	struct conn c;
	struct tcb *t;

	if (listener_full(l) || l->embryo_cnt >= max_u32(l->backlog, EMBRYOS_MIN)) {
		stack_drop(s, STACK_DROP_TCP_BACKLOG);
		return;
	}
	c.id = tcp_conn_new(s, key, seg->pkt->link);
	if (c.id == 0) {
		stack_drop(s, STACK_DROP_NO_MEMORY);
		return;
	}
	c = conn_at(s, c.id);
	t = c.t;
	t->state = TCP_SYN_RECEIVED;
	t->flags = (t->flags & ~TF_CC_MASK) | l->flags | TF_EMBRYO;
	t->event.cookie[0] = listener_id;
	l->embryo_cnt++;
	if (tcb_no_loss(t))
		l->reserved_cnt++;
	if (l->has_ext) {
		ext = tcp_conn_ext(s, t);
		if (ext == NULL) {
			stack_drop(s, STACK_DROP_NO_MEMORY);
			tcp_conn_done(s, c, 0);
			return;
		}
		*ext = l->ext;
	}
	t->rcv_nxt = seg->seq + 1;
	t->rcv_adv = t->rcv_nxt;
	t->rcv_acked = t->rcv_nxt;
	t->snd_una = tcp_isn(s, key, old_end);
	t->snd_nxt = t->snd_una;
	t->snd_wnd = seg->view.window;
	tcp_opt_agree(s, c, &seg->opts);
	tcp_ecn_syn(s, t, seg);
	if (tcp_xmit_syn(s, c) != 0)
		tcp_output_later(s, c);
}

void tcp_listen_input(struct stack *s, struct pkt *pkt, const struct tcp_view *view,
		      const uint32_t *old_end)
{
	struct flow_key key = {
		.local = pkt->dst,
		.remote = pkt->src,
		.link = pkt->link_id,
		.local_port = view->dst_port,
		.remote_port = view->src_port,
	};
	uint32_t id = ports_find(&s->ports, PORT_TCP, &pkt->dst, view->dst_port);
	struct tcp_seg seg;

	if (id == 0 || (view->flags & TCP_ACK) != 0) {
		stack_drop(s, STACK_DROP_TCP_NO_SOCKET);
		if ((view->flags & TCP_RST) == 0)
			tcp_reply_rst(s, pkt, view);
		return;
	}
	if ((view->flags & (TCP_SYN | TCP_RST)) != TCP_SYN || view->src_port == 0) {
		stack_drop(s, STACK_DROP_TCP_NO_SOCKET);
		return;
	}
	/* Nobody means it (RFC 1644 is history); scanners send it. */
	if ((view->flags & TCP_FIN) != 0) {
		stack_drop(s, STACK_DROP_TCP_BAD);
		return;
	}
	if (tcp_seg_init(s, &seg, pkt, view))
		listen_syn(s, &seg, &key, id, old_end);
}

/* ---- what the program calls ------------------------------------------------------------------ */

int tcp_listen(struct stack *s, const struct endpoint *local, bool v6only, uint32_t backlog,
	       uint64_t cookie, struct listener_id *ret_l)
{
	uint32_t id = pool_get(&s->tcp->listeners);
	struct tcp_listener *l;
	int err;

	if (id == 0)
		return -ENOMEM;
	err = ports_add(&s->ports, PORT_TCP, local, v6only, id);
	if (err != 0) {
		pool_put(&s->tcp->listeners, id);
		return err;
	}
	l = listener_at(s, id);
	*l = (struct tcp_listener){
		.backlog = max_u32(backlog, 1),
		.flags = (uint32_t)s->cfg.tcp.congestion << TF_CC_SHIFT,
		.port = local->port,
		.in_use = true,
	};
	event_cookie_set(&l->event, cookie);
	ret_l->v = id;
	return 0;
}

void tcp_listener_backlog(struct stack *s, struct listener_id l, uint32_t backlog)
{
	listener_at(s, l.v)->backlog = max_u32(backlog, 1);
}

void tcp_unlisten(struct stack *s, struct listener_id id)
{
	struct tcp_listener *l = listener_at(s, id.v);

	VJ_ASSERT(l->in_use);
	while (!ref_list_empty(&l->ready)) {
		struct conn c = conn_at(s, ref_id(l->ready.head));

		ref_list_del(&s->event_nodes, &l->ready, ref_tcp(c.id));
		c.t->flags &= ~(uint32_t)TF_EMBRYO;
		if (c.t->state != TCP_CLOSED && c.t->state != TCP_TIME_WAIT)
			tcp_conn_reset(s, c, 0);
		else
			tcp_conn_release(s, c);
	}
	stack_event_del(s, ref_listener(id.v));
	ports_del(&s->ports, PORT_TCP, l->port, id.v);
	l->in_use = false;
	if (l->embryo_cnt == 0)
		pool_put(&s->tcp->listeners, id.v);
}

int tcp_accept(struct stack *s, struct listener_id id, uint64_t cookie, struct tcp_id *ret_id)
{
	struct tcp_listener *l = listener_at(s, id.v);
	struct conn c;
	uint32_t ready;

	VJ_ASSERT(l->in_use);
	if (ref_list_empty(&l->ready))
		return -EAGAIN;
	c = conn_at(s, ref_id(l->ready.head));
	ref_list_del(&s->event_nodes, &l->ready, ref_tcp(c.id));
	l->ready_cnt--;
	c.t->flags = (c.t->flags & ~(uint32_t)TF_EMBRYO) | TF_OWNED;
	event_cookie_set(&c.t->event, cookie);
	ret_id->v = c.id;
	s->stats.tcp_accepted++;
	/* What came before there was anybody to tell */
	ready = tcp_ready(s, *ret_id) & (STACK_EV_READABLE | STACK_EV_EOF | STACK_EV_ERROR);
	if (ready != 0)
		tcp_event(s, c, ready);
	return 0;
}

uint32_t tcp_listener_ready(const struct stack *s, struct listener_id l)
{
	return listener_at(s, l.v)->ready_cnt;
}
