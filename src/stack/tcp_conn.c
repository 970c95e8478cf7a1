// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connection blocks: made, found, ended
 *
 * A block leaves the flow table when the connection ends (tcp_conn_done()), and is freed when,
 * besides, nobody holds its id: neither the program (TF_OWNED) nor a listener's queue (TF_EMBRYO
 * after the handshake); and nothing is owed to the peer (TF_RST_OWED).
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"
#include "stack/tcp_fastopen.h"
#include "stack/tcp_move.h"
#include "stack/tcp_mtu.h"
#include "stack/tcp_pace.h"
#include "stack/tcp_withdraw.h"

#include <errno.h>
#include <string.h>

static bool conn_match(const void *arg, uint32_t id)
{
	const void *const *args = arg;
	const struct stack *s = args[0];
	const struct flow_key *key = args[1];
	const struct tcb *t;
	const struct tcb_cold *cold;

	if (unlikely((id & TCP_TW_ID) != 0))
		return tcp_tw_match(s, id, key);
	t = conn_at(s, id).t;
	if (t->raddr4.raw != key->remote.words[3].raw || t->laddr4.raw != key->local.words[3].raw ||
	    t->rport != key->remote_port || t->lport != key->local_port || t->link != key->link)
		return false;
	if (tcb_v4(t))
		return ip_addr_is_v4(&key->remote);
	cold = tcb_cold(s, conn_at(s, id));
	return memcmp(cold->raddr, &key->remote, sizeof(cold->raddr)) == 0 &&
	       memcmp(cold->laddr, &key->local, sizeof(cold->laddr)) == 0;
}

uint32_t tcp_conn_find(const struct stack *s, const struct flow_key *key, uint32_t hash)
{
	const void *args[2] = { s, key };

	return flow_find(&s->flows, hash, conn_match, args);
}

static struct ip_addr conn_addr(const uint8_t first[static 12], struct be32 last)
{
	struct ip_addr addr;

	memcpy(&addr, first, 12);
	addr.words[3] = last;
	return addr;
}

void tcp_conn_key(const struct stack *s, struct conn c, struct flow_key *ret_key)
{
	const struct tcb *t = c.t;
	const struct tcb_cold *cold;

	if (likely(tcb_v4(t))) {
		flow_key_set_v4(ret_key, t->laddr4, t->raddr4, flow_key_word(t->link, t->lport, t->rport));
		return;
	}
	cold = tcb_cold(s, c);
	*ret_key = (struct flow_key){ .local = conn_addr(cold->laddr, t->laddr4),
				      .remote = conn_addr(cold->raddr, t->raddr4),
				      .link = t->link,
				      .local_port = t->lport,
				      .remote_port = t->rport };
}

void tcp_conn_path(const struct stack *s, struct conn c, struct ip_path *ret_path)
{
	const struct tcb *t = c.t;
	const struct tcp_ext *ext = tcb_ext(s, t);

	ret_path->proto = IP_PROTO_TCP;
	ret_path->ttl = IP_TTL_DEFAULT;
	ret_path->tos = 0;
	ret_path->frag_ok = false;
	if (likely(tcb_v4(t))) {
		ret_path->src = ip_addr_from_v4(t->laddr4);
		ret_path->dst = ip_addr_from_v4(t->raddr4);
	} else {
		const struct tcb_cold *cold = tcb_cold(s, c);

		ret_path->src = conn_addr(cold->laddr, t->laddr4);
		ret_path->dst = conn_addr(cold->raddr, t->raddr4);
	}
	if (unlikely(ext != NULL)) {
		ret_path->ttl = ext->ttl;
		ret_path->tos = ext->tos;
		ret_path->frag_ok = ext->mtu != 0 && tcb_mtu(s, t)->frag_ok;
	}
}

/* The oldest connection in TIME_WAIT makes room for a new one. */
static bool conn_recycle(struct stack *s)
{
	if (ref_list_empty(&s->tcp->time_wait))
		return false;
	tcp_conn_done(s, conn_at(s, ref_id(s->tcp->time_wait.head)), 0);
	return true;
}

/* What a SYN over a link that can lose offers */
static uint32_t conn_offers(const struct tcp_settings *set)
{
	return (set->no_timestamps ? 0u : TF_TS) | (set->no_sack ? 0u : TF_SACK);
}

const struct tcb_cold tcb_cold_none = { .cc.ssthresh = UINT32_MAX };

/* Its cold half, if it needs one or has one anyway. Return: false: no memory. */
static bool conn_cold(struct stack *s, struct conn c, const struct flow_key *key)
{
	struct tcb_cold *cold;

	if (tcb_has(c.t, TF_V6) || !tcb_no_loss(c.t)) {
		if (unlikely(!pool_cold_need(&s->conns, c.id)))
			return false;
	}
	cold = pool_cold_sized(&s->conns, c.id, sizeof(*cold));
	if (cold == NULL)
		return true;
	*cold = tcb_cold_none;
	memcpy(cold->laddr, &key->local, sizeof(cold->laddr));
	memcpy(cold->raddr, &key->remote, sizeof(cold->raddr));
	return true;
}

uint32_t tcp_conn_block(struct stack *s, const struct flow_key *key, const struct link *link)
{
	uint32_t id = pool_get(&s->conns);
	struct conn c;

	if (unlikely(id == 0 && conn_recycle(s)))
		id = pool_get(&s->conns);
	if (unlikely(id == 0))
		return 0;
	c = conn_at(s, id);
	*c.t = (struct tcb){
		.laddr4 = key->local.words[3],
		.raddr4 = key->remote.words[3],
		.lport = key->local_port,
		.rport = key->remote_port,
		.link = (uint16_t)key->link,
		.state = TCP_CLOSED,
		.flags = TF_IN_FLOWS | (uint32_t)s->cfg.tcp.congestion << TF_CC_SHIFT,
	};
	if (!ip_addr_is_v4(&key->remote))
		c.t->flags |= TF_V6;
	if ((link->flags & LINK_NO_LOSS) != 0)
		c.t->flags |= TF_NO_LOSS | TF_SACK;
	else
		c.t->flags |= conn_offers(&s->cfg.tcp);
	if (unlikely(!conn_cold(s, c, key))) {
		pool_put(&s->conns, id);
		return 0;
	}
	bitmap_set(s->tcp->used, id);
	return id;
}

uint32_t tcp_conn_new(struct stack *s, const struct flow_key *key, const struct link *link)
{
	uint32_t id = tcp_conn_block(s, key, link);

	if (unlikely(id == 0))
		return 0;
	if (unlikely(flow_add(&s->flows, flow_hash(&s->flows, key), id) != 0)) {
		bitmap_clear(s->tcp->used, id);
		pool_put(&s->conns, id);
		return 0;
	}
	return id;
}

void tcp_ext_defaults(const struct stack *s, struct tcp_ext *ext)
{
	const struct tcp_settings *set = &s->cfg.tcp;

	*ext = (struct tcp_ext){
		.sndbuf_bytes = s->cfg.sndbuf_bytes,
		.rcvbuf_bytes = s->cfg.rcvbuf_bytes,
		.sndbuf_set = s->sndbuf_set,
		.rcvbuf_set = s->rcvbuf_set,
		.keepidle_s = (uint16_t)tcp_setting(set->keepidle_s, TCP_KEEPIDLE_S),
		.keepintvl_s = (uint16_t)tcp_setting(set->keepintvl_s, TCP_KEEPINTVL_S),
		.keepcnt = (uint8_t)tcp_setting(set->keepcnt, TCP_KEEPCNT),
		.ttl = IP_TTL_DEFAULT,
	};
}

struct tcp_ext *tcp_conn_ext(struct stack *s, struct tcb *t)
{
	if (t->ext == 0) {
		t->ext = pool_get(&s->tcp->ext);
		if (t->ext == 0)
			return NULL;
		tcp_ext_defaults(s, tcb_ext(s, t));
	}
	return tcb_ext(s, t);
}

void tcp_conn_strip(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	tcp_timer_stop(s, c);
	if (tcb_is_fastopen(t))
		tcp_fastopen_gone(s, t, false);
	else if (tcb_no_loss(t) && t->state != TCP_CLOSED)
		t->flags &= ~(uint32_t)TF_CALLED;
	t->flags &= ~(uint32_t)(TF_ACK_OWED | TF_ACK_NOW);
	tcp_rtx_free(s, t);
	tcp_cc_release(s, c);
	tcp_tune_free(s, c);
	tcp_pace_stop(s, c);
	tcp_mtu_stop(s, t);
	tcp_ooo_drop(s, t);
	bufq_drop(&s->bufs, &t->sndq);
	tcp_meter_stop(s, c);
	if (ref_list_has(&t->output))
		stack_output_done(s, t->link, ref_tcp(c.id));
	if (t->state == TCP_TIME_WAIT && !tcb_has(t, TF_OWNED | TF_EMBRYO) &&
	    ref_list_has(&t->event.list))
		ref_list_del(&s->event_nodes, &s->tcp->time_wait, ref_tcp(c.id));
}

/* Out of everything that could still find it, without freeing */
static void conn_unlink(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	tcp_conn_strip(s, c);
	if (tcb_has(t, TF_IN_FLOWS)) {
		struct link *link = link_find(&s->links, t->link);
		struct flow_key key;

		if (link != NULL && link->last_conn == c.id)
			link->last_conn = 0;
		tcp_conn_key(s, c, &key);
		flow_del(&s->flows, flow_hash(&s->flows, &key), c.id);
		t->flags &= ~(uint32_t)TF_IN_FLOWS;
	}
}

static void conn_free(struct stack *s, struct conn c)
{
	conn_unlink(s, c);
	if (tcb_has(c.t, TF_OWNED))
		stack_event_del(s, ref_tcp(c.id));
	bufq_drop(&s->bufs, &c.t->rcvq);
	tcp_answered_forget(s, c.id);
	tcp_meter_free(s, c);
	if (c.t->ext != 0)
		pool_put(&s->tcp->ext, c.t->ext);
	bitmap_clear(s->tcp->used, c.id);
	pool_put(&s->conns, c.id);
}

void tcp_conn_release(struct stack *s, struct conn c)
{
	if (!tcb_has(c.t, TF_RST_OWED)) {
		conn_free(s, c);
		return;
	}
	conn_unlink(s, c);
	bufq_drop(&s->bufs, &c.t->rcvq);
	c.t->state = TCP_CLOSED;
	tcp_output_later(s, c);
}

bool tcp_conn_done(struct stack *s, struct conn c, int err)
{
	struct tcb *t = c.t;

	if (tcb_has(t, TF_EMBRYO) && !tcb_synchronized(t)) {
		tcp_listen_embryo_gone(s, c);
		t->flags &= ~(uint32_t)TF_EMBRYO;
	}
	if (!tcb_has(t, TF_OWNED | TF_EMBRYO)) {
		tcp_conn_release(s, c);
		return false;
	}
	conn_unlink(s, c);
	t->state = TCP_CLOSED;
	t->err = (uint8_t)err;
	if (tcb_has(t, TF_RST_OWED))
		tcp_output_later(s, c);
	if (err != 0)
		tcp_event(s, c, STACK_EV_ERROR | STACK_EV_READABLE | STACK_EV_WRITABLE);
	return true;
}

bool tcp_conn_reset(struct stack *s, struct conn c, int err)
{
	struct tcb *t = c.t;
	uint32_t owed = 0;

	/* Whoever called is to know that it was accepted, and not to call another; and if it wasn't, and he does, he is not to be heard here, too. */
	if (unlikely(tcb_owes_answer(t))) {
		if (tcb_has(t, TF_EMBRYO))
			bufq_drop(&s->bufs, &t->rcvq);
		else if (!tcb_has(t, TF_HELD))
			(void)tcp_call_answer(s, c, NULL);
		if (tcb_owes_answer(t) && !tcb_has(t, TF_EMBRYO | TF_HELD))
			owed = TF_RST_OWED | TF_ANSWER_OWED;
	}
	if (owed == 0 && !tcb_has(t, TF_HELD) && tcp_xmit_rst(s, c) == -EAGAIN && tcb_no_loss(t))
		owed = TF_RST_OWED;
	if (owed != 0)
		t->flags = (t->flags & ~(uint32_t)TF_ANSWER_OWED) | owed;
	return tcp_conn_done(s, c, err);
}

bool tcp_conn_time_wait(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	t->state = TCP_TIME_WAIT;
	tcp_rtx_free(s, t);
	tcp_cc_release(s, c);
	tcp_tune_free(s, c);
	tcp_pace_stop(s, c);
	tcp_mtu_stop(s, t);
	t->flags &= ~(uint32_t)(TF_KEEPALIVE | TF_PERSIST | TF_RTX_TIMER | TF_READ_SHUT);
	if (tcb_no_loss(t)) {
		/* Over, once the last acknowledgement is out */
		if (!tcb_has(t, TF_ACK_OWED))
			return tcp_conn_done(s, c, 0);
		t->flags |= TF_ACK_NOW;
		tcp_output_later(s, c);
		return true;
	}
	tcp_tw_begin(s, c);
	if (!tcb_has(t, TF_OWNED | TF_EMBRYO) && !ref_list_has(&t->event.list))
		ref_list_add(&s->event_nodes, &s->tcp->time_wait, ref_tcp(c.id));
	return true;
}

bool tcp_conn_established(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;

	if (tcb_has(t, TF_EMBRYO)) {
		int err = tcp_listen_ready(s, c);

		if (err == -EAGAIN) {
			tcp_drop(s, c, STACK_DROP_TCP_BACKLOG);
			return true;
		}
		if (err != 0)
			return tcp_conn_reset(s, c, 0);
	} else {
		tcp_event(s, c, STACK_EV_CONNECTED | STACK_EV_WRITABLE);
	}
	t->state = TCP_ESTABLISHED;
	t->backoff = 0;
	if (!tcb_no_loss(t)) {
		tcp_cc_start(s, c);
		tcp_tally_begin(s, c);
	}
	if (tcb_has(t, TF_KEEPALIVE))
		tcp_timer_keepalive(s, c);
	return true;
}

/* As Linux: not less than it takes to send again what may have been lost */
bool tcp_conn_linger2(struct stack *s, struct conn c)
{
	const struct tcp_ext *ext = tcb_ext(s, c.t);
	uint32_t ms = tcp_setting(s->cfg.tcp.fin_timeout_ms, TCP_FIN_WAIT_2_MS);

	if (ext != NULL && ext->linger2_s == TCP_LINGER2_NONE)
		return tcp_conn_reset(s, c, 0);
	if (ext != NULL && ext->linger2_s != 0)
		ms = ext->linger2_s * 1000u;
	tcp_timer_linger(s, c, max_u32(ms, tcp_rto_ms(s, c) * 7 / 2));
	return true;
}

/*
 * RFC 6298 5.7: a handshake that measured nothing, because something was sent twice, was too
 * impatient. RFC 6928 2: more than one loss in it is taken for congestion.
 */
void tcp_conn_syn_lost(struct stack *s, struct conn c, uint32_t retries)
{
	struct tcb_cold *cold = tcb_cold(s, c);

	if (tcb_no_loss(c.t))
		return;
	if (cold->srtt_us == 0)
		cold->rttvar_us = TCP_RTO_FALLBACK_MS * 1000;
	if (retries > 1)
		cold->cc.cwnd = c.t->mss;
}

/* ---- once per stack -------------------------------------------------------------------------- */

size_t tcp_global_bytes(void)
{
	return sizeof(struct tcp_global);
}

int tcp_init(struct stack *s)
{
	struct tcp_global *g = s->tcp;
	uint32_t conns = s->cfg.conns_max;

	g->used_bytes = BITMAP_WORDS((size_t)conns + 1) * sizeof(uint64_t);
	g->used = mem_get(&s->mem, g->used_bytes);
	g->owed = mem_get(&s->mem, TCP_OWED_MAX * sizeof(*g->owed));
	if (g->used == NULL || g->owed == NULL || tcp_tw_init(s) != 0 ||
	    pool_init(&s->conns, &s->mem, sizeof(struct tcb), sizeof(struct tcb_cold), conns) !=
		    0 ||
	    pool_init(&g->rtx, &s->mem, sizeof(struct tcp_rtx), 0, conns) != 0 ||
	    pool_init(&g->sent, &s->mem, sizeof(struct tcp_sent), 0, 1u << 24) != 0 ||
	    pool_init(&g->ext, &s->mem, sizeof(struct tcp_ext), 0, conns) != 0 ||
	    pool_init(&g->cc, &s->mem, CC_STATE_MAX, 0, conns) != 0 ||
	    pool_init(&g->pace, &s->mem, sizeof(struct tcp_pace), 0, conns) != 0 ||
	    pool_init(&g->mtus, &s->mem, sizeof(struct tcp_mtu), 0, conns) != 0 ||
	    pool_init(&g->ooo, &s->mem, sizeof(struct tcp_ooo), 0, 1u << 20) != 0 ||
	    pool_init(&g->tunes, &s->mem, sizeof(struct tcp_tune), 0, conns) != 0 ||
	    pool_init(&g->tallies, &s->mem, sizeof(struct tcp_tally), 0, conns) != 0 ||
	    pool_init(&g->meters, &s->mem, sizeof(struct tcp_meter), 0, conns) != 0 ||
	    pool_init(&g->drops, &s->mem, sizeof(struct tcp_drops), 0, conns) != 0 ||
	    pool_init(&g->listeners, &s->mem, sizeof(struct tcp_listener), 0, 1u << 16) != 0)
		return -ENOMEM;

	for (uint64_t i = 0; i < ARRAY_SIZE(g->ts_key); i++)
		g->ts_key[i] = stack_siphash(s, &i, sizeof(i));
	tcp_pace_init(s);
	ref_space_set(&s->wheel.nodes, REF_TCP, &s->conns, offsetof(struct tcb, wheel));
	ref_space_set(&s->event_nodes, REF_TCP, &s->conns, offsetof(struct tcb, event));
	ref_space_set(&s->output_nodes, REF_TCP, &s->conns, offsetof(struct tcb, output));
	ref_space_set(&s->event_nodes, REF_LISTENER, &g->listeners,
		      offsetof(struct tcp_listener, event));
	return 0;
}

static uint32_t conn_next(const struct stack *s, uint32_t from)
{
	return bitmap_find_set(s->tcp->used, min_u32(s->conns.fresh, s->cfg.conns_max + 1), from);
}

bool tcp_next(const struct stack *s, struct tcp_id *id)
{
	uint32_t next = s->conns.chunk_cnt != 0 ? conn_next(s, id->v + 1) : BITMAP_NONE;

	if (next == BITMAP_NONE)
		return false;
	id->v = next;
	return true;
}

void tcp_fini(struct stack *s)
{
	struct tcp_global *g = s->tcp;

	if (g->used != NULL && s->conns.chunk_cnt != 0)
		for (uint32_t id = conn_next(s, 0); id != BITMAP_NONE; id = conn_next(s, id + 1)) {
			struct tcb *t = conn_at(s, id).t;

			tcp_ooo_drop(s, t);
			bufq_drop(&s->bufs, &t->sndq);
			bufq_drop(&s->bufs, &t->rcvq);
		}
	tcp_fastopen_fini(s);
	pool_fini(&g->tw_pool);
	pool_fini(&g->listeners);
	pool_fini(&g->drops);
	pool_fini(&g->meters);
	pool_fini(&g->tallies);
	pool_fini(&g->tunes);
	pool_fini(&g->ooo);
	pool_fini(&g->mtus);
	pool_fini(&g->pace);
	pool_fini(&g->cc);
	pool_fini(&g->ext);
	pool_fini(&g->sent);
	pool_fini(&g->rtx);
	pool_fini(&s->conns);
	mem_put(&s->mem, g->owed, TCP_OWED_MAX * sizeof(*g->owed));
	mem_put(&s->mem, g->used, g->used_bytes);
}

/*
 * How a connection ends whose link is gone. On one that loses nothing, a peer that had said its FIN owes nothing more, and what we
 * said had arrived: its process may end when it likes, as on the kernel. The end of file stays, and no error comes after it.
 */
static int link_gone_error(const struct tcb *t, int err)
{
	if (t->state == TCP_TIME_WAIT || (tcb_no_loss(t) && tcb_has(t, TF_FIN_RCVD) && t->sndq.bytes == 0))
		return 0;
	return err;
}

/* Nobody is there any more; not CLOSED */
static void conn_peer_gone(struct stack *s, struct conn c, int err)
{
	if (tcb_is_called(c.t)) {
		tcp_call_refused(s, c);
		return;
	}
	if (unlikely(tcb_is_withdrawn(c.t)))
		tcp_withdrawn_drop(s, c);
	tcp_conn_done(s, c, link_gone_error(c.t, err));
}

void tcp_peer_gone(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	if (c.t->state != TCP_CLOSED)
		conn_peer_gone(s, c, ECONNRESET);
}

void tcp_link_gone(struct stack *s, uint32_t link_id, int err)
{
	tcp_withdrawn_heed(s, link_at(&s->links, link_id)); /* what others have heard by now is not heard here */
	tcp_tw_link_gone(s, link_id);
	for (uint32_t id = conn_next(s, 0); id != BITMAP_NONE; id = conn_next(s, id + 1)) {
		struct conn c = conn_at(s, id);

		if (c.t->link != link_id)
			continue;
		if (bufq_own(&s->bufs, &c.t->rcvq) != 0)
			bufq_drop(&s->bufs, &c.t->rcvq);
		c.t->flags &= ~(uint32_t)TF_RST_OWED;
		if (c.t->state != TCP_CLOSED)
			conn_peer_gone(s, c, err);
		else if (!tcb_has(c.t, TF_OWNED | TF_EMBRYO))
			tcp_conn_release(s, c);
	}
}

/* ---- ICMP errors ----------------------------------------------------------------------------- */

void tcp_icmp_error(struct stack *s, const struct icmp_error *error)
{
	struct flow_key key = flow_key_of(&error->local, &error->remote, error->link);
	uint32_t id = tcp_conn_find(s, &key, flow_hash(&s->flows, &key));
	struct tcp_rtx *rtx;
	struct conn c;

	if (id == 0 || (id & TCP_TW_ID) != 0) /* that has nothing in flight */
		return;
	c = conn_at(s, id);
	/* RFC 5927 4.1: only about what is in flight */
	if (seq_lt(error->tcp_seq, c.t->snd_una) || seq_geq(error->tcp_seq, c.t->snd_nxt))
		return;
	if (error->err == EMSGSIZE) {
		tcp_mtu_icmp(s, c, error);
		return;
	}
	/*
	 * RFC 1122 4.2.3.9: before the connection stands any of them ends it (as Linux); later all
	 * are soft (RFC 5927 6).
	 */
	if (!tcb_synchronized(c.t)) {
		tcp_conn_done(s, c, error->err);
		return;
	}
	rtx = tcb_rtx(s, c.t);
	if (rtx != NULL)
		rtx->soft_err = (uint8_t)error->err;
}

void stack_leaving(struct stack *s)
{
	for (uint32_t id = conn_next(s, 0); id != BITMAP_NONE; id = conn_next(s, id + 1)) {
		struct conn c = conn_at(s, id);

		/* Also where there is a little window left, which waits for an acknowledgement (tcp_out_may_send()). No frame: then it is told later. */
		if (tcb_no_loss(c.t) && tcb_synchronized(c.t) && !tcb_has(c.t, TF_HELD) && tcb_can_send(c.t) &&
		    !(tcb_is_called(c.t) && c.t->snd_wnd == 0) && /* has no place yet, and would be refused */
		    (tcb_is_called(c.t) ? tcp_call_unsaid(c.t) : tcb_unsent(c.t)) > tcp_out_usable(s, c))
			(void)tcp_xmit(s, c, c.t->snd_nxt, TCP_ACK | TCP_URG, NULL, 0);
	}
}

/* A FIN that waits counts as one byte, as it does in sequence space. */
uint64_t stack_unsent(const struct stack *s)
{
	uint64_t bytes = 0;

	for (uint32_t id = conn_next(s, 0); id != BITMAP_NONE; id = conn_next(s, id + 1)) {
		const struct tcb *t = conn_at(s, id).t;

		if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED)
			bytes += t->sndq.bytes;
		else if (tcb_is_called(t))
			bytes += tcp_call_unsaid(t) + ((t->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) == TF_FIN_QUEUED);
		else if (t->state != TCP_CLOSED)
			bytes += tcb_unsent(t) +
				 ((t->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) == TF_FIN_QUEUED);
	}
	return bytes;
}
