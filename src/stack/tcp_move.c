// SPDX-License-Identifier: BSD-2-Clause
#include "stack/tcp_move.h"

#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_withdraw.h"

#include <errno.h>
#include <string.h>

/* What is true of a connection wherever it is */
#define MOVE_FLAGS                                                                                          \
	((uint32_t)(TF_NODELAY | TF_CORK | TF_MORE | TF_PINGPONG | TF_KEEPALIVE | TF_ACK_OWED | TF_ACK_NOW | \
		    TF_FIN_QUEUED | TF_FIN_SENT | TF_FIN_RCVD | TF_WANT_WRITE | TF_ACTIVE | TF_CC_MASK))
enum { SET_SNDBUF = 1, SET_RCVBUF = 2 };

int tcp_find(const struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
	     struct tcp_id *ret_id)
{
	struct flow_key key = flow_key_of(local, remote, link.v);

	ret_id->v = tcp_conn_find(s, &key, flow_hash(&s->flows, &key));
	/* one that is folded is over for every program */
	return ret_id->v != 0 && (ret_id->v & TCP_TW_ID) == 0 ? 0 : -ENOENT;
}

struct link_id tcp_link(const struct stack *s, struct tcp_id id)
{
	return (struct link_id){ conn_at(s, id.v).t->link };
}

bool tcp_can_move(const struct stack *s, struct tcp_id id)
{
	return tcb_no_loss(conn_at(s, id.v).t);
}

int tcp_hold(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	if (tcb_is_called(c.t)) {
		tcp_call_hurry(s, c);
		return -EAGAIN;
	}
	if (tcb_owes_answer(c.t) && !tcb_has(c.t, TF_HELD))
		return -EAGAIN;
	return tcp_hold_here(s, id);
}

int tcp_hold_here(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	if (c.t->state == TCP_CLOSED)
		return 0;
	if (!tcb_no_loss(c.t))
		return -EOPNOTSUPP;
	if (!tcb_synchronized(c.t))
		return -EAGAIN;
	tcp_timer_stop(s, c);
	c.t->flags |= TF_HELD;
	return 0;
}

void tcp_release(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);
	bool ends = tcb_is_withdrawn(c.t);

	c.t->flags &= ~(uint32_t)TF_HELD;
	if (unlikely(ends)) {
		tcp_withdrawn_end(s, c);
		return;
	}
	if (tcb_is_called(c.t))
		tcp_timer_synack(s, c);
	if (c.t->state != TCP_CLOSED)
		tcp_output_later(s, c);
}

void tcp_withdrawn_meanwhile(struct stack *s, struct tcp_id id)
{
	struct tcb *t = conn_at(s, id.v).t;

	if (tcb_has(t, TF_HELD) && tcb_owes_answer(t))
		t->withdrawn = true;
}

bool tcp_is_withdrawn(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return t->state == TCP_CLOSED && tcb_no_loss(t) && t->withdrawn;
}

void tcp_fail(struct stack *s, struct tcp_id id, int err)
{
	struct conn c = conn_at(s, id.v);

	if (tcb_owes_answer(c.t)) /* whoever called says it to another */
		tcp_withdrawn_drop(s, c);
	tcp_conn_done(s, c, err);
}

bool tcp_is_over(const struct stack *s, struct tcp_id id)
{
	return conn_at(s, id.v).t->state == TCP_CLOSED;
}

bool tcp_is_owned(const struct stack *s, struct tcp_id id)
{
	return tcb_has(conn_at(s, id.v).t, TF_OWNED);
}

uint64_t tcp_cookie(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return tcb_has(t, TF_OWNED) ? event_cookie(&t->event) : 0;
}

bool tcp_is_unanswered(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return tcb_has(t, TF_ACTIVE) && !tcb_has(t, TF_FIN_RCVD) && t->rcvq.bytes == 0;
}

bool tcp_is_opener(const struct stack *s, struct tcp_id id)
{
	return tcb_has(conn_at(s, id.v).t, TF_ACTIVE);
}

bool tcp_sends_no_more(const struct stack *s, struct tcp_id id)
{
	return tcb_has(conn_at(s, id.v).t, TF_FIN_QUEUED);
}

uint32_t tcp_unread_bytes(const struct stack *s, struct tcp_id id)
{
	return conn_at(s, id.v).t->rcvq.bytes;
}

bool tcp_has_more_to_say(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return t->state != TCP_ESTABLISHED || tcb_has(t, TF_FIN_QUEUED) ||
	       (tcb_is_called(t) ? tcp_call_unsaid(t) != 0 : tcb_unsent(t) != 0 || tcb_flight(t) != 0);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* One that was refused has what it said, for another call, which whoever takes it can't make. */
static uint32_t export_snd_bytes(const struct tcb *t)
{
	return t->state == TCP_CLOSED ? 0 : t->sndq.bytes;
}

uint64_t tcp_export_bytes(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	return sizeof(struct tcp_parcel) + (uint64_t)t->rcvq.bytes + export_snd_bytes(t);
}

static void export_ext(const struct tcp_ext *ext, struct tcp_parcel *p)
{
	p->has_ext = 1;
	p->sndbuf_bytes = ext->sndbuf_bytes;
	p->rcvbuf_bytes = ext->rcvbuf_bytes;
	p->notsent_lowat = ext->notsent_lowat;
	p->user_timeout_ms = ext->user_timeout_ms;
	p->keepidle_s = ext->keepidle_s;
	p->keepintvl_s = ext->keepintvl_s;
	p->keepcnt = ext->keepcnt;
	p->tos = ext->tos;
	p->ttl = ext->ttl;
	p->snd_rounds = ext->snd_rounds;
	p->rcv_rounds = ext->rcv_rounds;
	p->irs_rest = ext->irs_rest;
	p->set = (uint8_t)((ext->sndbuf_set ? SET_SNDBUF : 0) | (ext->rcvbuf_set ? SET_RCVBUF : 0));
}

void tcp_export(const struct stack *s, struct tcp_id id, void *buf)
{
	struct conn c = conn_at(s, id.v);
	const struct tcb *t = c.t;
	struct tcp_parcel p = {
		.bytes = sizeof(p),
		.state = t->state,
		.local_port = t->lport,
		.remote_port = t->rport,
		.flags = tcb_owes_answer(t) ? (t->flags & MOVE_FLAGS) | (uint32_t)TF_CALLED : t->flags & MOVE_FLAGS,
		.rcv_nxt = t->rcv_nxt,
		.rcv_adv = t->rcv_adv,
		.rcv_acked = t->rcv_acked,
		.snd_una = t->snd_una,
		.snd_nxt = t->snd_nxt,
		.snd_wnd = t->snd_wnd,
		.mss = t->mss,
		.wscale = t->wscale,
		.err = t->state == TCP_CLOSED && !tcb_has(t, TF_ERR_TOLD) ? t->err : 0,
		.rcv_bytes = t->rcvq.bytes,
		.snd_bytes = export_snd_bytes(t),
		.iss = t->began.iss,
		.irs = t->began.irs,
	};
	struct flow_key key;
	uint8_t *data = (uint8_t *)buf + sizeof(p);

	VJ_ASSERT(t->state == TCP_CLOSED || tcb_has(t, TF_HELD));
	tcp_conn_key(s, c, &key);
	memcpy(p.local, key.local.bytes, sizeof(p.local));
	memcpy(p.remote, key.remote.bytes, sizeof(p.remote));
	if (t->ext != 0)
		export_ext(tcb_ext(s, t), &p);
	memcpy(buf, &p, sizeof(p));
	bufq_read_at(&s->bufs, &t->rcvq, 0, data, t->rcvq.bytes, NULL);
	bufq_read_at(&s->bufs, &t->sndq, 0, data + t->rcvq.bytes, export_snd_bytes(t), NULL);
}

uint32_t tcp_unsent_read(const struct stack *s, struct tcp_id id, uint64_t at, void *buf, uint32_t len)
{
	const struct bufq *q = &conn_at(s, id.v).t->sndq;
	uint32_t n = at < q->bytes ? min_u32(q->bytes - (uint32_t)at, len) : 0;

	if (n)
		bufq_read_at(&s->bufs, q, (uint32_t)at, buf, n, NULL);
	return n;
}

void tcp_forget(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	if (tcb_has(c.t, TF_OWNED))
		stack_event_del(s, ref_tcp(c.id));
	c.t->flags &= ~(uint32_t)(TF_OWNED | TF_RST_OWED);
	tcp_conn_release(s, c);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* The flags that a state is made of */
static bool import_state_ok(const struct tcp_parcel *p)
{
	bool fin_sent = (p->flags & TF_FIN_SENT) != 0, fin_rcvd = (p->flags & TF_FIN_RCVD) != 0;
	bool in_flight = p->snd_una != p->snd_nxt;

	if (fin_sent && ((p->flags & TF_FIN_QUEUED) == 0 || p->snd_bytes != 0))
		return false;
	switch (p->state) {
	case TCP_CLOSED:
		return p->snd_bytes == 0;
	case TCP_ESTABLISHED:
		return !fin_sent && !fin_rcvd;
	case TCP_CLOSE_WAIT:
		return !fin_sent && fin_rcvd;
	case TCP_FIN_WAIT_1:
		return fin_sent && !fin_rcvd && in_flight;
	case TCP_FIN_WAIT_2:
		return fin_sent && !fin_rcvd && !in_flight;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return fin_sent && fin_rcvd && in_flight;
	case TCP_TIME_WAIT:
		return fin_sent && fin_rcvd && !in_flight;
	default:
		return false;
	}
}

static bool import_buf_ok(uint32_t bytes)
{
	return bytes >= TCP_BUF_MIN && bytes <= TCP_BUF_MAX;
}

/* What the program can set is as it could have set it. */
static bool import_options_ok(const struct tcp_parcel *p)
{
	const struct tcp_option_value opts[] = {
		{ TCP_OPT_CONGESTION, (p->flags & TF_CC_MASK) >> TF_CC_SHIFT },
		{ TCP_OPT_USER_TIMEOUT_MS, p->user_timeout_ms },
		{ TCP_OPT_KEEPIDLE_S, p->keepidle_s },
		{ TCP_OPT_KEEPINTVL_S, p->keepintvl_s },
		{ TCP_OPT_KEEPCNT, p->keepcnt },
		{ TCP_OPT_TTL, p->ttl },
	};

	/* The first is in the flags. */
	for (unsigned int i = 0; i < (p->has_ext != 0 ? ARRAY_SIZE(opts) : 1); i++)
		if (tcp_option_check((enum tcp_option)opts[i].opt, opts[i].value) != 0)
			return false;
	if (p->has_ext == 0)
		return (p->flags & TF_KEEPALIVE) == 0;
	return p->has_ext == 1 && import_buf_ok(p->sndbuf_bytes) && import_buf_ok(p->rcvbuf_bytes);
}

static bool import_addrs_ok(const struct tcp_parcel *p)
{
	struct ip_addr local = ip_addr_from_v6(p->local), remote = ip_addr_from_v6(p->remote);

	return ip_addr_is_v4(&local) == ip_addr_is_v4(&remote) && !ip_addr_is_any(&local) && !ip_addr_is_any(&remote) &&
	       p->local_port != 0 && p->remote_port != 0;
}

/* Whoever was called, and has not answered, has said nothing. */
static bool import_called_ok(const struct tcp_parcel *p)
{
	return (p->flags & TF_CALLED) == 0 || ((p->flags & (TF_ACTIVE | TF_FIN_QUEUED)) == 0 && p->snd_bytes == 0 && p->snd_una == p->snd_nxt &&
					       (p->state == TCP_ESTABLISHED || p->state == TCP_CLOSE_WAIT));
}

/* Could a connection be like this? */
static bool import_ok(const struct tcp_parcel *p, uint64_t bytes)
{
	return p->bytes == sizeof(*p) && bytes == sizeof(*p) + (uint64_t)p->rcv_bytes + p->snd_bytes &&
	       (p->flags & ~(MOVE_FLAGS | TF_CALLED)) == 0 && import_called_ok(p) && import_addrs_ok(p) && import_options_ok(p) && import_state_ok(p) &&
	       p->rcv_bytes <= TCP_BUF_MAX && p->snd_bytes <= TCP_BUF_MAX && p->err < 134 &&
	       (p->err == 0 || p->state == TCP_CLOSED) && p->snd_nxt - p->snd_una <= TCP_BUF_MAX &&
	       p->snd_wnd <= TCP_BUF_MAX && p->rcv_nxt - p->rcv_acked <= TCP_BUF_MAX &&
	       p->rcv_adv - p->rcv_nxt <= TCP_BUF_MAX && p->mss >= TCP_MSS_MIN && (p->wscale & 15) <= TCP_WSCALE_MAX &&
	       p->wscale >> 4 <= TCP_WSCALE_MAX;
}

static int import_ext(struct stack *s, struct tcb *t, const struct tcp_parcel *p)
{
	struct tcp_ext *ext;

	if (p->has_ext == 0)
		return 0;
	ext = tcp_conn_ext(s, t);
	if (ext == NULL)
		return -ENOMEM;
	ext->sndbuf_bytes = p->sndbuf_bytes;
	ext->rcvbuf_bytes = p->rcvbuf_bytes;
	ext->notsent_lowat = p->notsent_lowat;
	ext->user_timeout_ms = p->user_timeout_ms;
	ext->user_timeout_set = p->user_timeout_ms != 0;
	ext->keepidle_s = p->keepidle_s;
	ext->keepintvl_s = p->keepintvl_s;
	ext->keepcnt = p->keepcnt;
	ext->tos = p->tos;
	ext->ttl = p->ttl;
	ext->sndbuf_set = (p->set & SET_SNDBUF) != 0;
	ext->rcvbuf_set = (p->set & SET_RCVBUF) != 0;
	ext->snd_rounds = p->snd_rounds;
	ext->rcv_rounds = p->rcv_rounds;
	ext->irs_rest = (uint16_t)p->irs_rest;
	return 0;
}

/* Queues and numbers. Return: 0; -ENOMEM. */
static int import_fill(struct stack *s, struct conn c, const struct tcp_parcel *p, const uint8_t *data)
{
	struct tcb *t = c.t;

	if (import_ext(s, t, p) != 0 || bufq_append(&s->bufs, &t->rcvq, data, p->rcv_bytes) != 0 ||
	    bufq_append(&s->bufs, &t->sndq, data + p->rcv_bytes, p->snd_bytes) != 0)
		return -ENOMEM;
	t->began.iss = p->iss;
	t->began.irs = p->irs;
	t->rcv_nxt = p->rcv_nxt;
	t->rcv_adv = p->rcv_adv;
	t->rcv_acked = p->rcv_acked;
	t->snd_una = p->snd_una;
	t->snd_nxt = p->snd_nxt;
	t->snd_wnd = p->snd_wnd;
	t->wscale = p->wscale;
	t->mss = (uint16_t)min_u32(p->mss, tcp_opt_link_mss(s, c));
	t->flags = (t->flags & ~(uint32_t)TF_CC_MASK) | p->flags;
	return 0;
}

/* What its program could have been told, it is told again: events are hints. */
static void import_events(struct stack *s, struct conn c, const struct tcp_parcel *p)
{
	uint32_t bits = STACK_EV_WRITABLE;

	if (p->rcv_bytes != 0)
		bits |= STACK_EV_READABLE;
	if ((p->flags & TF_FIN_RCVD) != 0)
		bits |= STACK_EV_READABLE | STACK_EV_EOF;
	if (p->err != 0)
		bits |= STACK_EV_READABLE | STACK_EV_ERROR;
	tcp_event(s, c, bits);
}

int tcp_import(struct stack *s, struct link_id link_id, const void *buf, uint64_t bytes, uint64_t cookie,
	       struct tcp_id *ret_id)
{
	struct link *link = link_find(&s->links, link_id.v);
	struct tcp_parcel p;
	struct flow_key key;
	struct conn c;

	if (bytes < sizeof(p))
		return -EINVAL;
	memcpy(&p, buf, sizeof(p));
	if (!import_ok(&p, bytes))
		return -EINVAL;
	if (link == NULL || link->going || (link->flags & LINK_NO_LOSS) == 0)
		return -ENETDOWN;
	tcp_withdrawn_heed(s, link); /* so that this one isn't taken for a call of before */
	key = flow_key_of(&(struct endpoint){ .addr = ip_addr_from_v6(p.local), .port = p.local_port },
			  &(struct endpoint){ .addr = ip_addr_from_v6(p.remote), .port = p.remote_port }, link_id.v);
	if (p.state != TCP_CLOSED && tcp_conn_find(s, &key, flow_hash(&s->flows, &key)) != 0)
		return -EADDRINUSE;
	c.id = tcp_conn_new(s, &key, link);
	if (c.id == 0)
		return -ENOMEM;
	c = conn_at(s, c.id);
	c.t->flags |= TF_OWNED;
	event_cookie_set(&c.t->event, cookie);
	if (import_fill(s, c, &p, (const uint8_t *)buf + sizeof(p)) != 0) {
		tcp_forget(s, (struct tcp_id){ c.id });
		return -ENOMEM;
	}
	if (p.state == TCP_CLOSED) {
		tcp_conn_done(s, c, p.err);
	} else {
		c.t->state = (uint8_t)p.state;
		tcp_output_later(s, c);
	}
	import_events(s, c, &p);
	ret_id->v = c.id;
	return 0;
}

void tcp_refuse(struct stack *s, struct tcp_id id)
{
	struct tcb *t = conn_at(s, id.v).t;

	if (t->state != TCP_CLOSED)
		t->flags &= ~(uint32_t)(TF_CALLED | TF_HELD);
	tcp_abort(s, id);
}

bool tcp_keeps_said(const struct stack *s, struct tcp_id id)
{
	return tcb_is_called(conn_at(s, id.v).t);
}

int tcp_accept_early(struct stack *s, struct listener_id l, struct tcp_id *ret_id)
{
	uint32_t end = min_u32(s->conns.fresh, s->cfg.conns_max + 1), id;

	if (tcp_listener_at(s, l.v)->reserved_cnt == 0)
		return -EAGAIN;
	for (id = bitmap_find_set(s->tcp->used, end, 0); id != BITMAP_NONE;
	     id = bitmap_find_set(s->tcp->used, end, id + 1)) {
		struct tcb *t = conn_at(s, id).t;

		if (t->state == TCP_SYN_RECEIVED && tcb_has(t, TF_EMBRYO) && tcb_no_loss(t) &&
		    t->event.cookie[0] == l.v && t->snd_nxt != t->snd_una)
			break;
	}
	if (id == BITMAP_NONE)
		return -EAGAIN;
	tcp_timer_stop(s, conn_at(s, id));
	tcp_listen_adopt(s, conn_at(s, id));
	ret_id->v = id;
	return 0;
}

int tcp_enqueue(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);
	struct flow_key key;
	uint32_t listener;

	tcp_conn_key(s, c, &key);
	listener = ports_find(&s->ports, PORT_TCP, &key.local, key.local_port);
	if (listener == 0)
		return -ENOENT;
	stack_event_del(s, ref_tcp(c.id));
	c.t->flags = (c.t->flags & ~(uint32_t)TF_OWNED) | TF_EMBRYO;
	event_cookie_set(&c.t->event, 0);
	c.t->event.cookie[0] = listener;
	tcp_listen_enqueue(s, c);
	return 0;
}

/* ---- to another link ------------------------------------------------------------------------- */

int tcp_move(struct stack *s, struct tcp_id id, struct link_id to)
{
	struct conn c = conn_at(s, id.v);
	struct tcb *t = c.t;
	struct link *from = link_find(&s->links, t->link);
	const struct link *link = link_find(&s->links, to.v);
	struct flow_key key;
	uint32_t hash;

	VJ_ASSERT(tcb_has(t, TF_IN_FLOWS) && tcb_no_loss(t));
	if (link == NULL || link->going || (link->flags & LINK_NO_LOSS) == 0)
		return -ENETDOWN;
	tcp_conn_key(s, c, &key);
	key.link = to.v;
	hash = flow_hash(&s->flows, &key);
	if (tcp_conn_find(s, &key, hash) != 0)
		return -EADDRINUSE;
	if (bufq_own(&s->bufs, &t->rcvq) != 0 || flow_add(&s->flows, hash, c.id) != 0)
		return -ENOMEM;
	stack_output_done(s, t->link, ref_tcp(c.id));
	if (from != NULL && from->last_conn == c.id)
		from->last_conn = 0;
	key.link = t->link;
	flow_del(&s->flows, flow_hash(&s->flows, &key), c.id);
	t->link = (uint16_t)to.v;
	t->mss = (uint16_t)min_u32(t->mss, tcp_opt_link_mss(s, c));
	tcp_output_later(s, c);
	return 0;
}
