// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the program calls: the contracts are in stack.h, listeners in tcp_listen.c, options and
 * information in tcp_info.c
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"

#include <errno.h>
#include <string.h>

/* A connection that the program holds. Anything else is a bug of the caller. */
VJ_INLINE struct conn conn_owned(const struct stack *s, struct tcp_id id)
{
	struct conn c;

	VJ_ASSERT(id.v != 0 && id.v < s->conns.fresh);
	c = conn_at(s, id.v);
	VJ_ASSERT(tcb_has(c.t, TF_OWNED));
	return c;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Return: 0; what tcp_option_set() says of the first that cannot be had. */
static int connect_options(struct stack *s, struct conn c, const struct tcp_option_value *opts,
			   unsigned int cnt)
{
	int err = 0;

	for (unsigned int i = 0; i < cnt && err == 0; i++)
		err = tcp_option_set(s, (struct tcp_id){ c.id }, (enum tcp_option)opts[i].opt,
				     opts[i].value);
	return err;
}

int tcp_connect(struct stack *s, struct link_id link_id, const struct endpoint *local,
		const struct endpoint *remote, uint64_t cookie, struct tcp_id *ret_id)
{
	return tcp_connect_with(s, link_id, local, remote, NULL, 0, cookie, ret_id);
}

/* All but the SYN. Return: as tcp_connect_with(). */
static int connect_begin(struct stack *s, struct link_id link_id, const struct endpoint *local,
			 const struct endpoint *remote, const struct tcp_option_value *opts,
			 unsigned int cnt, uint64_t cookie, struct conn *ret_c)
{
	const struct link *link = link_find(&s->links, link_id.v);
	struct flow_key key = flow_key_of(local, remote, link_id.v);
	uint32_t old, old_end = 0;
	struct conn c;
	int err;

	if (link == NULL || link->going)
		return -ENETDOWN;
	old = tcp_conn_find(s, &key, flow_hash(&s->flows, &key));
	if ((old & TCP_TW_ID) != 0) {
		old_end = tcp_tw_snd_nxt(s, old);
		tcp_tw_drop(s, old);
	} else if (old != 0) {
		/* RFC 6191, Linux's tcp_tw_reuse: the new numbers lie beyond the old ones. */
		if (conn_at(s, old).t->state != TCP_TIME_WAIT)
			return -EADDRINUSE;
		old_end = conn_at(s, old).t->snd_nxt;
		tcp_conn_done(s, conn_at(s, old), 0);
	}
	c.id = tcp_conn_new(s, &key, link);
	if (c.id == 0)
		return -ENOMEM;
	c = conn_at(s, c.id);
	c.t->state = TCP_SYN_SENT;
	c.t->flags |= TF_OWNED | TF_ACTIVE;
	err = connect_options(s, c, opts, cnt);
	if (err != 0) {
		tcp_conn_release(s, c);
		return err;
	}
	event_cookie_set(&c.t->event, cookie);
	c.t->snd_una = tcp_isn(s, &key, old != 0 ? &old_end : NULL, tcb_no_loss(c.t));
	c.t->snd_nxt = c.t->snd_una;
	tcp_isn_ours(c.t);
	c.t->mss = (uint16_t)tcp_opt_link_mss(s, c);
	s->stats.tcp_opened++;
	*ret_c = c;
	return 0;
}

int tcp_connect_with(struct stack *s, struct link_id link, const struct endpoint *local,
		     const struct endpoint *remote, const struct tcp_option_value *opts,
		     unsigned int cnt, uint64_t cookie, struct tcp_id *ret_id)
{
	struct conn c;
	int err = connect_begin(s, link, local, remote, opts, cnt, cookie, &c);

	if (err != 0)
		return err;
	if (tcp_xmit_syn(s, c) != 0)
		tcp_output_later(s, c);
	ret_id->v = c.id;
	return 0;
}

int tcp_connect_early(struct stack *s, struct link_id link, const struct endpoint *local,
		      const struct endpoint *remote, const struct tcp_option_value *opts,
		      unsigned int cnt, bool anyway, uint64_t cookie, struct tcp_id *ret_id)
{
	struct conn c;
	int err = connect_begin(s, link, local, remote, opts, cnt, cookie, &c);

	if (err != 0)
		return err;
	ret_id->v = c.id;
	if (tcp_call(s, c, anyway))
		return 0;
	if (anyway) {
		tcp_conn_release(s, c);
		return -ENOBUFS;
	}
	if (tcb_no_loss(c.t))
		c.t->flags |= TF_ASKS;
	if (tcp_xmit_syn(s, c) != 0)
		tcp_output_later(s, c);
	return 0;
}

int tcp_connect_data(struct stack *s, struct link_id link, const struct endpoint *local,
		     const struct endpoint *remote, const struct tcp_option_value *opts,
		     unsigned int cnt, const void *buf, size_t len, uint64_t cookie,
		     size_t *ret_len, struct tcp_id *ret_id)
{
	struct conn c;
	int err = connect_begin(s, link, local, remote, opts, cnt, cookie, &c);

	if (err != 0)
		return err;
	if (tcp_fastopen_connect(s, c, buf, len, ret_len) != 0)
		tcp_output_later(s, c);
	ret_id->v = c.id;
	return 0;
}

void tcp_set_cookie(struct stack *s, struct tcp_id id, uint64_t cookie)
{
	event_cookie_set(&conn_owned(s, id).t->event, cookie);
}

void tcp_soon(const struct stack *s, struct tcp_id id)
{
	tcp_conn_prefetch(s, id.v);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The error of a connection that failed: once. */
static int conn_error_once(struct tcb *t)
{
	if (t->err == 0 || tcb_has(t, TF_ERR_TOLD))
		return 0;
	t->flags |= TF_ERR_TOLD;
	return -(int)t->err;
}

/* Return: 0: data may be queued; else what tcp_send() returns. */
static int send_check(struct tcb *t)
{
	int err;

	if (likely(tcb_can_send(t) && !tcb_has(t, TF_FIN_QUEUED)))
		return 0;
	if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED)
		return -ENOTCONN;
	if (t->state != TCP_CLOSED)
		return -EPIPE;
	err = conn_error_once(t);
	return err != 0 ? err : -EPIPE;
}

/*
 * One small segment on a link that cannot lose, with nothing before it: what a request or an answer
 * mostly is
 */
static inline bool send_is_simple(const struct tcb *t, size_t len)
{
	uint32_t flight = tcb_flight(t);

	return tcb_no_loss(t) && t->sndq.bytes == 0 && !tcb_has(t, TF_CORK | TF_CALLED) && len <= t->mss &&
	       len != 0 && t->snd_wnd >= flight && len <= t->snd_wnd - flight;
}

/*
 * Links that cannot lose: from the program's buffer straight into frames, without a copy kept.
 * Return: bytes; *@ret_err:
 * -EAGAIN: no frame.
 */
static size_t send_direct(struct stack *s, struct conn c, const uint8_t *buf, size_t len,
			  int *ret_err)
{
	struct tcb *t = c.t;
	size_t done = 0;

	*ret_err = 0;
	while (done < len) {
		uint32_t unsent = (uint32_t)min_size(len - done, UINT32_MAX);
		uint32_t seg = min_u32(min_u32(unsent, t->mss), tcp_out_usable(s, c));
		int sent;

		if (seg == 0 || !tcp_out_may_send(s, c, unsent, seg))
			break;
		sent = tcp_xmit(s, c, t->snd_nxt, seg == unsent ? TCP_ACK | TCP_PSH : TCP_ACK,
				buf + done, seg);
		if (sent < 0) {
			*ret_err = sent;
			break;
		}
		tcp_out_sent(s, c, (uint32_t)sent);
		done += (uint32_t)sent;
	}
	return done;
}

/* What is left of a write of @len bytes, of which *@ret_len have gone: into sndq as far as it may grow, and out as far as it may go. */
static int send_queued(struct stack *s, struct conn c, const uint8_t *buf, size_t len,
		       size_t *ret_len)
{
	struct tcb *t = c.t;
	uint32_t room = tcp_sndbuf_room(s, c, len);
	uint32_t want = tcp_is_notsent(s, t) && !tcb_is_called(t) ? 0 : (uint32_t)min_size(len - *ret_len, room);
	uint32_t took = want != 0 ? bufq_append_some(&s->bufs, &t->sndq, buf + *ret_len, want) : 0;

	if (took < len - *ret_len)
		t->flags |= TF_WANT_WRITE;
	*ret_len += took;
	if (took == 0)
		return want != 0 ? -ENOMEM : -EAGAIN;
	return 0;
}

/* All of tcp_send() after its checks; @done bytes have gone already. */
static int send_stream(struct stack *s, struct conn c, const uint8_t *buf, size_t len, size_t done,
		       size_t *ret_len)
{
	int err = 0, blocked = 0;

	if (tcb_no_loss(c.t) && c.t->sndq.bytes == 0 && !tcb_keeps_or_owes(c.t))
		done += send_direct(s, c, buf + done, len - done, &blocked);
	if (done < len) {
		err = send_queued(s, c, buf, len, &done);
		if (blocked != 0)
			tcp_output_later(s, c);
		else
			tcp_output(s, c, false);
		tcp_timer_sndbuf_full(s, c);
	}
	if (err != 0 && done == 0)
		return err;
	*ret_len = done;
	return 0;
}

int tcp_send(struct stack *s, struct tcp_id id, const void *buf, size_t len, unsigned int flags,
	     size_t *ret_len)
{
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;
	int sent = 0;
	int err = send_check(t);

	if (unlikely(err != 0))
		return err;
	t->flags &= ~(uint32_t)TF_MORE;
	if (unlikely((flags & TCP_SEND_MORE) != 0)) {
		t->flags |= TF_MORE;
	} else if (likely(send_is_simple(t, len))) {
		sent = tcp_xmit(s, c, t->snd_nxt, TCP_ACK | TCP_PSH, buf, (uint32_t)len);
		if (likely(sent > 0)) {
			tcp_out_sent(s, c, (uint32_t)sent);
			if (likely((uint32_t)sent == len)) {
				*ret_len = len;
				return 0;
			}
		}
	}
	return send_stream(s, c, buf, len, sent > 0 ? (size_t)sent : 0, ret_len);
}

int tcp_send_frame(struct stack *s, struct tcp_id id, uint8_t **ret_data, size_t *ret_room)
{
	struct tcp_global *g = s->tcp;
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;
	uint32_t hdr_len = tcp_hdr_len(t);
	uint32_t usable;
	int err = send_check(t);

	if (err != 0)
		return err;
	VJ_ASSERT_OP(g->frame_id, ==, 0u);
	usable = min_u32(tcp_out_usable(s, c), t->mss);
	if (tcb_unsent(t) != 0 || usable == 0 || tcb_keeps_or_owes(t))
		return -EAGAIN;
	if (!tcb_no_loss(t)) {
		/* A copy is kept for retransmission: it must find room. */
		uint32_t sndbuf = tcp_sndbuf(s, c);

		usable = min_u32(usable, sndbuf > t->sndq.bytes ? sndbuf - t->sndq.bytes : 0);
		if (usable == 0 || !tcp_out_prepare(s, c))
			return -EAGAIN;
	}
	err = ip_tx_get(s, t->link, tcb_v4(t), &g->frame);
	if (err != 0)
		return err;
	g->frame_id = c.id;
	g->frame_room = min_u32(usable, g->frame.l4_room - hdr_len);
	*ret_data = g->frame.l4 + hdr_len;
	*ret_room = g->frame_room;
	return 0;
}

int tcp_send_frame_done(struct stack *s, struct tcp_id id, size_t len)
{
	struct tcp_global *g = s->tcp;
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;

	VJ_ASSERT_OP(g->frame_id, ==, c.id);
	VJ_ASSERT_OP(len, <=, (size_t)g->frame_room);
	g->frame_id = 0;
	if (len == 0 ||
	    (!tcb_no_loss(t) &&
	     bufq_append(&s->bufs, &t->sndq, g->frame.l4 + tcp_hdr_len(t), (uint32_t)len) != 0)) {
		ip_tx_unget(s, &g->frame);
		if (t->snd_una == t->snd_nxt)
			tcp_rtx_free(s, t);
		return len == 0 ? 0 : -ENOMEM;
	}
	tcp_xmit_frame(s, c, &g->frame, (uint32_t)len);
	return 0;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* rcvq is empty. Return: 0: end of file; else what tcp_recv() returns. */
static int recv_nothing(struct tcb *t)
{
	if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED)
		return -ENOTCONN;
	/* The peer said that this was all, whatever has happened since (as Linux). */
	if (tcb_has(t, TF_FIN_RCVD))
		return 0;
	return t->state == TCP_CLOSED ? conn_error_once(t) : -EAGAIN;
}

int tcp_recv(struct stack *s, struct tcp_id id, void *buf, size_t len, bool peek, size_t *ret_len)
{
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;
	uint32_t want = (uint32_t)min_size(len, t->rcvq.bytes);
	int err;

	if (unlikely(tcb_is_unheard(t)))
		return -EAGAIN;
	if (t->rcvq.bytes == 0) {
		err = recv_nothing(t);
		if (err == 0)
			*ret_len = 0;
		return err;
	}
	*ret_len = want;
	if (likely(!peek) && likely(bufq_pull_only(&s->bufs, &t->rcvq, buf, len))) {
		/* What tcp_data_consumed() asks first */
		if (unlikely(!tcb_no_loss(t) ||
			     tcp_window_space(t, tcp_rcvbuf_set(s, t)) / 2 >= tcb_rcv_wnd(t)))
			tcp_data_consumed(s, c);
		return 0;
	}
	if (peek) {
		bufq_read_at(&s->bufs, &t->rcvq, 0, buf, want, NULL);
		return 0;
	}
	bufq_pull(&s->bufs, &t->rcvq, buf, want);
	tcp_data_consumed(s, c);
	return 0;
}

int tcp_recv_borrow(struct stack *s, struct tcp_id id, const uint8_t **ret_data, size_t *ret_len)
{
	struct tcb *t = conn_owned(s, id).t;

	if (unlikely(tcb_is_unheard(t)))
		return -EAGAIN;
	if (t->rcvq.bytes == 0) {
		int err = recv_nothing(t);

		if (err == 0)
			*ret_len = 0;
		return err;
	}
	*ret_len = bufq_peek_at(&s->bufs, &t->rcvq, 0, ret_data, NULL);
	return 0;
}

void tcp_recv_return(struct stack *s, struct tcp_id id, size_t len)
{
	struct conn c = conn_owned(s, id);

	VJ_ASSERT_OP(len, <=, (size_t)c.t->rcvq.bytes);
	bufq_consume(&s->bufs, &c.t->rcvq, (uint32_t)len);
	tcp_data_consumed(s, c);
}

/* ---- closing --------------------------------------------------------------------------------- */

int tcp_shutdown(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;

	if (tcb_outlives_link(t)) { /* both sides have ended now */
		t->flags |= TF_FIN_QUEUED;
		return 0;
	}
	if (!tcb_synchronized(t))
		return -ENOTCONN;
	if (!tcb_can_send(t) || tcb_has(t, TF_FIN_QUEUED))
		return 0;
	t->flags |= TF_FIN_QUEUED;
	t->flags &= ~(uint32_t)TF_MORE;
	tcp_output(s, c, false);
	return 0;
}

void tcp_shut_read(struct stack *s, struct tcp_id id)
{
	struct tcb *t = conn_owned(s, id).t;

	if (tcb_has(t, TF_FIN_QUEUED) && t->state != TCP_TIME_WAIT && t->state != TCP_CLOSED)
		t->flags |= TF_READ_SHUT;
}

/* From here on nobody holds the id. */
static struct conn conn_disown(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_owned(s, id);

	stack_event_del(s, ref_tcp(c.id));
	c.t->flags &= ~(uint32_t)(TF_OWNED | TF_WANT_WRITE | TF_KEEPALIVE);
	return c;
}

void tcp_abort(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_disown(s, id);

	if (c.t->state != TCP_CLOSED && c.t->state != TCP_TIME_WAIT)
		tcp_conn_reset(s, c, 0);
	else
		tcp_conn_release(s, c);
}

void tcp_close(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_owned(s, id);
	struct tcb *t = c.t;

	/* A duplicate that is to be reported is nothing unread. */
	if (t->rcvq.bytes != 0 || (tcb_has(t, TF_OOO) && tcb_ext(s, t)->ooo_head != 0)) {
		if (t->state != TCP_TIME_WAIT) {
			tcp_abort(s, id);
			return;
		}
		bufq_drop(&s->bufs, &t->rcvq);
	}
	conn_disown(s, id);
	switch ((enum tcp_state)t->state) {
	case TCP_CLOSED:
	case TCP_LISTEN:
		tcp_conn_release(s, c);
		return;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		/* The peer may keep our SYN for later; or both called, and it has taken our SYN-ACK for the end of it. */
		tcp_conn_reset(s, c, 0);
		return;
	case TCP_TIME_WAIT:
		if (!tcb_no_loss(t))
			ref_list_add(&s->event_nodes, &s->tcp->time_wait, ref_tcp(c.id));
		return;
	case TCP_FIN_WAIT_2:
		tcp_conn_linger2(s, c);
		return;
	default:
		break;
	}
	if (tcb_can_send(t) && !tcb_has(t, TF_FIN_QUEUED)) {
		t->flags |= TF_FIN_QUEUED;
		t->flags &= ~(uint32_t)TF_MORE;
		tcp_output(s, c, false);
	}
}
