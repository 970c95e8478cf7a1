// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls: connections that the client uses before the server's process has answered, on links that cannot lose
 *
 * Terms: the client is the caller; a call is its connection until the SYN-ACK is here (TF_CALLED); the SYN-ACK is the answer; a promise is a place in
 * a listener's backlog that an earlier SYN-ACK announced.
 *
 * Why: on the kernel's loopback connect() succeeds whenever the backlog has room, whether or not the server's process runs meanwhile. On a channel
 * only that process knows its backlog, and connect() would have to wait for it.
 *
 * Promises: each SYN-ACK says how many more connections over the same link will find a place for certain (in the urgent pointer, which has no meaning
 * without URG). The next connect() over that link takes one of these places and is ESTABLISHED at once. A promise holds for PROMISE_MS, since
 * others fill the backlog meanwhile; until the listener stops, which the link shows at once (link_ops.take_back); and until its process ends. It is
 * kept: if the backlog is full by then the call gets a place beyond it. Not more than twice the backlog in all, since a peer may mark any SYN as
 * promised. So connect() fails when it does on the kernel: when nobody listens any more.
 *
 * Before the answer: what the caller needs of it, it knows. The server's sequence numbers follow from those of the SYN (tcp_promise_isn()), and
 * window and MSS are those of the SYN-ACK that made the promise. So data, up to that window, and FIN go right behind the SYN; the server finds all of
 * it in one look, and nobody sleeps for the handshake. The SYN is marked by its urgent pointer, which is the window that the caller counts on. Without a
 * promise it is TCP_CALL_ASKS: the caller waits for a SYN-ACK with PSH, which says that it has a place, but no answer yet. That is a promise to this
 * one call, which goes on as one on a promise. Who runs says so within TCP_ASKS_MS; else that is reported (STACK_EV_UNANSWERED), and the caller, who has
 * said nothing yet, may go elsewhere.
 *
 * The answer leaves in tcp_accept(), before the server's program can read anything; while there is no frame for it, nothing is readable. It rings
 * the caller's doorbell only if that waits for room. Until it arrives the caller keeps the data, to be able to call elsewhere: sndq begins at snd_una,
 * not at snd_nxt as otherwise on such links, and may be longer than the send buffer by that.
 *
 * No answer: if the port has become another application's, or its process has ended, no program has read any of the data. The connection fails with
 * ECONNREFUSED, but keeps its data, so that whoever owns it can call again, there or elsewhere (tcp_call_again()). If the program has closed it
 * before, it is owned again from then on, with cookie 0, by whoever takes the event of its failure.
 *
 * The server's end is an ordinary connection meanwhile, except that it sends nothing (tcb_owes_answer()). It can move from one listening process to
 * the next, while the caller keeps the data; the answer acknowledges all that has arrived. The caller's end cannot move before that. So the caller
 * may ask to be answered at once, and keeps nothing from then on.
 */
#include "stack/tcp_call.h"

#include "stack/tcp.h"
#include "stack/tcp_withdraw.h"

#include <errno.h>

enum { PROMISE_MS = 1000, CORK_MS = 200 };

/* ---- who listens ----------------------------------------------------------------------------- */

uint16_t tcp_promise_of(const struct stack *s, const struct tcp_listener *l, const struct link *link)
{
	uint32_t taken = l->ready_cnt + l->reserved_cnt, places;

	if (taken >= l->backlog || (l->has_ext && l->ext.defer != 0) || link->ops->taken_back == NULL)
		return 0;
	places = min_u32((l->backlog - taken) / max_u32(s->links.direct_cnt, 1), TCP_PROMISE_MAX);
	return (uint16_t)(places | link->ops->taken_back(link->drv, true) << TCP_ROUND_SHIFT);
}

void tcp_promises_take_back(struct stack *s)
{
	for (uint32_t id = 1; id < s->links.pool.fresh; id++) {
		const struct link *link = link_find(&s->links, id);

		if (link != NULL && link->ops->take_back != NULL)
			link->ops->take_back(link->drv);
	}
}

uint32_t tcp_promise_isn(uint32_t caller_isn)
{
	return caller_isn & ~UINT32_C(0xffff);
}

/* Does nobody sleep until it is answered? Who has no more to say than fits does not: he has used a quarter at most of what he was offered. */
static bool answer_is_unawaited(const struct tcb *t)
{
	return tcb_has(t, TF_FIN_RCVD) || t->rcvq.bytes <= tcb_rcv_wnd(t) / 3;
}

bool tcp_call_answer(struct stack *s, struct conn c, const struct tcp_listener *l)
{
	struct tcb *t = c.t;
	const struct link *link = link_at(&s->links, t->link);
	bool unawaited = l != NULL && answer_is_unawaited(t);

	if (tcp_xmit_answer(s, c, l != NULL ? tcp_promise_of(s, l, link) : 0, false) != 0) {
		tcp_output_later(s, c);
		return true;
	}
	if (unawaited)
		link_unawaited(link);
	if (unlikely(!tcp_answer_stands(link))) {
		tcp_output_later(s, c);
		return false;
	}
	t->flags &= ~(uint32_t)(TF_CALLED | TF_HURRIED);
	if (l == NULL) /* it may be read from here on; accept() says so itself */
		tcp_event(s, c, tcp_ready(s, (struct tcp_id){ c.id }) & (STACK_EV_READABLE | STACK_EV_EOF));
	return true;
}

bool tcp_call_heard(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	bool opening = c.t->state == TCP_SYN_RECEIVED, syn = (seg->flags & TCP_SYN) != 0;

	/* It may be gone. He asks once more, and finds nothing before him then. */
	if (syn && (tcp_withdrawn_heed(s, seg->pkt->link) || tcp_withdrawn_syn(seg)))
		return false;
	if ((seg->flags & (TCP_RST | TCP_FIN)) != 0 || seg->len != 0 || (opening && (syn || c.t->snd_nxt == c.t->snd_una)))
		return true;
	if (tcb_has(c.t, TF_HELD))
		return !syn; /* He asks again, and finds who has it then. */
	if (!syn && (seg->flags & (TCP_PSH | TCP_URG)) != 0) {
		(void)tcp_call_answer(s, c, NULL);
		if (tcb_owes_answer(c.t) && tcb_has(c.t, TF_EMBRYO))
			c.t->flags |= TF_HURRIED;
	} else if (!opening && !tcp_answered_lately(s, c.id)) {
		(void)tcp_xmit_answer(s, c, 0, true); /* Without a frame he asks again. */
	}
	return !syn;
}

/* ---- promises -------------------------------------------------------------------------------- */

static struct tcp_promise *promise_find(struct link *link, const struct endpoint *remote)
{
	for (unsigned int i = 0; i < LINK_PROMISES; i++) {
		struct tcp_promise *p = &link->promises[i];

		if (p->port == remote->port && ip_addr_eq(&p->addr, &remote->addr))
			return p;
	}
	return NULL;
}

static struct endpoint remote_of(const struct stack *s, struct conn c)
{
	struct flow_key key;

	tcp_conn_key(s, c, &key);
	return (struct endpoint){ .addr = key.remote, .port = key.remote_port };
}

void tcp_promise_keep(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct link *link = link_at(&s->links, c.t->link);
	struct endpoint remote = remote_of(s, c);
	struct tcp_promise *p = promise_find(link, &remote);
	uint32_t places = seg->view.urgent & ((1u << TCP_ROUND_SHIFT) - 1);

	if (p == NULL) {
		if (places == 0)
			return;
		p = &link->promises[link->promise_next++ % LINK_PROMISES];
	}
	*p = (struct tcp_promise){
		.addr = remote.addr,
		.port = remote.port,
		.left = (uint8_t)min_u32(places, TCP_PROMISE_MAX),
		.round = (uint16_t)(seg->view.urgent >> TCP_ROUND_SHIFT),
		.window = seg->view.window,
		.mss = c.t->mss,
		.until_ms = tcp_now_ms(s) + PROMISE_MS,
	};
}

static bool promise_is_taken_back(const struct link *link, const struct tcp_promise *p)
{
	uint32_t now = link->ops->taken_back != NULL ? link->ops->taken_back(link->drv, false) : LINK_PEER_ENDED;

	return now == LINK_PEER_ENDED || (uint16_t)(now << TCP_ROUND_SHIFT) >> TCP_ROUND_SHIFT != p->round;
}

/* Return: NULL: there is none, or none any more. */
static struct tcp_promise *promise_for(struct stack *s, struct conn c)
{
	struct link *link = link_at(&s->links, c.t->link);
	struct endpoint remote = remote_of(s, c);
	struct tcp_promise *p = promise_find(link, &remote);

	if (p == NULL || p->left == 0 || p->window <= TCP_CALL_ASKS || !time_before32(tcp_now_ms(s), p->until_ms) || promise_is_taken_back(link, p))
		return NULL;
	return p;
}

static void promise_break(struct stack *s, struct conn c)
{
	struct link *link = link_find(&s->links, c.t->link);
	struct endpoint remote = remote_of(s, c);
	struct tcp_promise *p = link != NULL ? promise_find(link, &remote) : NULL;

	if (p != NULL)
		p->left = 0;
}

/* ---- calling --------------------------------------------------------------------------------- */

bool tcp_call(struct stack *s, struct conn c, bool anyway)
{
	struct tcb *t = c.t;
	struct tcp_promise *p = tcb_no_loss(t) ? promise_for(s, c) : NULL;
	const struct tcp_syn_more more = { .urgent = p != NULL ? p->window : TCP_CALL_ASKS };

	if ((p == NULL && !anyway) || !tcb_no_loss(t) || tcp_xmit_syn_more(s, c, &more) != 0)
		return false;
	if (p != NULL) {
		p->left--;
		t->mss = (uint16_t)min_u32(t->mss, p->mss);
	}
	t->snd_una = t->snd_nxt;
	t->snd_wnd = p != NULL ? p->window : 0;
	t->rcv_nxt = tcp_promise_isn(t->snd_una - 1) + 1;
	t->rcv_acked = t->rcv_nxt;
	t->rcv_adv += t->rcv_nxt; /* what our SYN said */
	tcp_isn_theirs(s, t, t->rcv_nxt - 1);
	if (!s->cfg.tcp.no_wscale)
		t->wscale = (uint8_t)(tcp_opt_wscale(s, tcp_rcvbuf_set(s, t)) << 4);
	tcp_conn_established(s, c);
	t->flags |= TF_CALLED;
	tcp_timer_synack(s, c);
	return true;
}

uint32_t tcp_call_unsaid(const struct tcb *t)
{
	return tcb_has(t, TF_FIN_SENT) ? 0 : t->sndq.bytes - tcb_flight(t);
}

int tcp_call_output(struct stack *s, struct conn c, bool force)
{
	struct tcb *t = c.t;
	uint32_t unsaid, len;
	int sent;

	for (;;) {
		unsaid = tcp_call_unsaid(t);
		len = min_u32(min_u32(unsaid, t->mss), tcp_out_usable(s, c));
		if (len == 0)
			break;
		if (!force && !tcp_out_may_send(s, c, unsaid, len)) {
			tcp_timer_linger(s, c, CORK_MS); /* corked: the answer, which would let it go, wakes nobody */
			return 0;
		}
		sent = tcp_xmit(s, c, t->snd_nxt, len == unsaid ? TCP_ACK | TCP_PSH : TCP_ACK, NULL, len);
		if (sent < 0)
			return sent;
		tcp_out_sent(s, c, (uint32_t)sent);
	}
	if (unsaid != 0 || (t->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) != TF_FIN_QUEUED || t->snd_wnd == 0)
		return 0;
	return tcp_out_fin(s, c);
}

void tcp_call_hurry(struct stack *s, struct conn c)
{
	/* Who has no place yet would be refused. */
	if (c.t->snd_wnd != 0 && !tcp_answered_lately(s, c.id) && tcp_xmit(s, c, c.t->snd_nxt, TCP_ACK | TCP_PSH, NULL, 0) < 0)
		tcp_answered_forget(s, c.id);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* It has a place, by which the window is known, unless that was promised. It is said again to who asked again, or to hear whether he lives (DEFER_ACCEPT). */
static void call_placed(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	struct tcb *t = c.t;

	if (t->snd_wnd == 0) {
		t->snd_wnd = seg->view.window; /* never scaled in SYN (RFC 7323 2.2) */
		tcp_opt_agree(s, c, &seg->opts);
		tcp_promise_keep(s, c, seg);
		tcp_writable(s, c);
	} else if (!tcb_has(t, TF_RTX_TIMER)) {
		t->flags |= TF_ACK_OWED | TF_ACK_NOW;
	}
	t->flags &= ~(uint32_t)TF_RTX_TIMER;
	t->backoff = 0;
	tcp_timer_sndbuf_full(s, c);
	tcp_output_later(s, c);
}

static void call_answered(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	struct tcb *t = c.t;
	bool said = t->snd_nxt != t->snd_una;

	bufq_consume(&s->bufs, &t->sndq, tcb_flight(t) - (tcb_has(t, TF_FIN_SENT) ? 1 : 0));
	t->flags &= ~(uint32_t)(TF_CALLED | TF_RTX_TIMER | TF_STUCK);
	t->backoff = 0;
	tcp_opt_agree(s, c, &seg->opts);
	tcp_promise_keep(s, c, seg);
	tcp_timer_data_sent(s, c);
	seg->wnd = seg->view.window; /* never scaled in SYN (RFC 7323 2.2) */
	if (!tcp_ack_input(s, c, seg))
		return;
	tcp_writable(s, c);
	if (t->sndq.bytes != 0 || tcb_has(t, TF_FIN_QUEUED))
		tcp_output_later(s, c);
	if (said)
		return;
	t->rcv_acked = seg->seq; /* the peer knows no more of our window than what the SYN says */
	t->flags |= TF_ACK_OWED;
	tcp_ack_owing(s, c);
}

static bool call_acks(const struct tcb *t, uint32_t ack)
{
	return seq_geq(ack, t->snd_una) && seq_leq(ack, t->snd_nxt);
}

/* For the SYN, or for what followed it (RFC 9293 3.10.7.1) */
static bool call_is_refusal(const struct tcb *t, const struct tcp_seg *seg)
{
	if ((seg->flags & TCP_ACK) != 0)
		return call_acks(t, seg->ack);
	return seg->seq == t->rcv_nxt;
}

void tcp_call_input(struct stack *s, struct conn c, struct tcp_seg *seg)
{
	const struct tcb *t = c.t;

	if ((seg->flags & TCP_RST) != 0) {
		if (!call_is_refusal(t, seg)) {
			tcp_drop(s, c, STACK_DROP_TCP_RST);
			return;
		}
		s->stats.tcp_resets_rx++;
		tcp_call_refused(s, c);
	} else if ((seg->flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK) || !call_acks(t, seg->ack)) {
		/* about one that had these endpoints before (RFC 9293 3.10.7.3, first step) */
		tcp_drop(s, c, STACK_DROP_TCP_ACK);
		if ((seg->flags & TCP_ACK) != 0)
			tcp_reply_rst(s, seg->pkt, &seg->view);
	} else if (seg->seq + 1 == t->rcv_nxt) {
		if (tcp_seg_is_place(seg))
			call_placed(s, c, seg);
		else
			call_answered(s, c, seg);
	} else { /* by somebody who does not know how this is played */
		tcp_drop(s, c, STACK_DROP_TCP_SYN);
		promise_break(s, c);
		tcp_conn_reset(s, c, ECONNRESET);
	}
}

bool tcp_call_refused(struct stack *s, struct conn c)
{
	struct bufq said = c.t->sndq;

	promise_break(s, c);
	if (!tcb_has(c.t, TF_OWNED)) {
		c.t->flags |= TF_OWNED;
		event_cookie_set(&c.t->event, 0);
	}
	c.t->sndq = (struct bufq){ 0 };
	tcp_conn_done(s, c, ECONNREFUSED);
	c.t->sndq = said;
	c.t->flags |= TF_REFUSED;
	return true;
}

/*
 * The link says when the peer's process ends, so one who stands still is waited for, as on the kernel. But he may have dropped the SYN: it is
 * repeated; or, if something followed it, he is made to say that he knows nothing of it. One that is no call on a promise goes elsewhere in the end.
 */
bool tcp_call_timeout(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	uint32_t retries = tcp_setting(s->cfg.tcp.syn_retries, TCP_SYN_RETRIES);

	s->stats.tcp_timeouts++;
	if (tcp_sndbuf_grow(s, c)) {
		tcp_timer_synack(s, c);
		return true;
	}
	if (tcp_call_unsaid(t) != 0 && tcp_out_usable(s, c) != 0) {
		tcp_timer_synack(s, c);
		if (tcp_call_output(s, c, true) != 0)
			tcp_output_later(s, c);
		return true;
	}
	if (t->backoff >= retries && t->snd_wnd == 0)
		return tcp_call_refused(s, c);
	t->backoff = (uint8_t)min_u32(t->backoff + 1u, retries);
	if (t->snd_nxt == t->snd_una)
		(void)tcp_xmit_call_again(s, c, t->snd_wnd != 0 ? (uint16_t)t->snd_wnd : TCP_CALL_ASKS);
	else
		(void)tcp_xmit(s, c, t->snd_nxt, TCP_ACK, NULL, 0);
	tcp_timer_synack(s, c);
	return true;
}

/* ---- what the program calls ------------------------------------------------------------------ */

bool tcp_is_refused(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return t->state == TCP_CLOSED && t->err == ECONNREFUSED && (t->flags & (TF_ACTIVE | TF_REFUSED)) == (TF_ACTIVE | TF_REFUSED);
}

/* What the program has set since */
#define CALL_FLAGS ((uint32_t)(TF_NODELAY | TF_CORK | TF_KEEPALIVE | TF_CC_MASK))

static void call_ext(struct stack *s, struct tcb *to, const struct tcb *from)
{
	struct tcp_ext *ext = from->ext != 0 ? tcp_conn_ext(s, to) : NULL;

	if (ext == NULL)
		return;
	*ext = *tcb_ext(s, from);
	ext->drops = ext->pace = ext->mtu = 0; /* what it had in other places */
	ext->irs_rest = 0;
	ext->snd_rounds = ext->rcv_rounds = 0;
}

void tcp_call_again(struct stack *s, struct tcp_id from_id, struct tcp_id to_id)
{
	struct tcb *from = conn_at(s, from_id.v).t;
	struct conn to = conn_at(s, to_id.v);

	VJ_ASSERT(tcp_is_refused(s, from_id) && tcb_is_called(to.t) && to.t->sndq.bytes == 0);
	to.t->sndq = from->sndq;
	from->sndq = (struct bufq){ 0 };
	to.t->flags = (to.t->flags & ~CALL_FLAGS) | (from->flags & (CALL_FLAGS | TF_FIN_QUEUED));
	call_ext(s, to.t, from);
	tcp_output(s, to, false);
}
