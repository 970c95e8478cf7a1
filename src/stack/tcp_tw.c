// SPDX-License-Identifier: BSD-2-Clause
/*
 * TIME_WAIT in 64 bytes
 *
 * A connection whose program has let it go stays in its block for the first second of TIME_WAIT, in which a lost
 * acknowledgement is mostly asked for again. Then what is needed of it for the rest of the minute is folded: addresses, the next numbers, the
 * timestamp. The flow table names it as before, by a number with TCP_TW_ID in it.
 *
 * A segment for it unfolds a block for as long as it takes to treat the segment as any in TIME_WAIT is treated. So
 * what TIME_WAIT does stands in one place, tcp_in.c. Meanwhile the folded one keeps its place in the queue, to which
 * nothing is added but at the end: all wait equally long, so the first is the first that is over.
 */
#include "stack/tcp.h"

#include <string.h>

enum { TW_RUN_BUDGET = 4096, TW_UNIT_MS = 64 };

struct tcp_tw {
	struct ref_list_node list; /* of tcp_global.tws */
	struct be32 raddr4, laddr4;
	uint16_t lport, rport, link;
	bool ts; /* timestamps were agreed on */
	uint8_t wscale;
	uint32_t rcv_nxt, snd_nxt, ts_recent;
	uint16_t wnd; /* offered last, scaled: its edge must not move back */
	uint16_t due; /* in TW_UNIT_MS; the half of all numbers behind now is past */
	uint8_t laddr[12], raddr[12];
};

_Static_assert(sizeof(struct tcp_tw) == 64, "one cache line");

static struct tcp_tw *tw_at(const struct stack *s, uint32_t tw_id)
{
	return pool_at_sized(&s->tcp->tw_pool, tw_id & ~TCP_TW_ID, sizeof(struct tcp_tw));
}

static struct ref ref_tw(uint32_t tw_id)
{
	return ref_of(REF_TW, tw_id & ~TCP_TW_ID);
}

/* Units from now until @tw is over; not more than 0: it is. */
static int tw_left(const struct stack *s, const struct tcp_tw *tw)
{
	return (int16_t)(uint16_t)(tw->due - tcp_now_ms(s) / TW_UNIT_MS);
}

static void tw_key(const struct tcp_tw *tw, struct flow_key *ret_key)
{
	*ret_key = (struct flow_key){ .link = tw->link, .local_port = tw->lport, .remote_port = tw->rport };
	memcpy(&ret_key->local, tw->laddr, sizeof(tw->laddr));
	memcpy(&ret_key->remote, tw->raddr, sizeof(tw->raddr));
	ret_key->local.words[3] = tw->laddr4;
	ret_key->remote.words[3] = tw->raddr4;
}

static uint32_t tw_tag(const struct stack *s, const struct tcp_tw *tw)
{
	struct flow_key key;

	tw_key(tw, &key);
	return flow_hash(&s->flows, &key);
}

int tcp_tw_init(struct stack *s)
{
	struct tcp_global *g = s->tcp;

	ref_space_set(&g->tw_nodes, REF_TW, &g->tw_pool, offsetof(struct tcp_tw, list));
	return pool_init(&g->tw_pool, &s->mem, sizeof(struct tcp_tw), 0, s->cfg.conns_max);
}

bool tcp_tw_match(const struct stack *s, uint32_t tw_id, const struct flow_key *key)
{
	struct flow_key own;

	tw_key(tw_at(s, tw_id), &own);
	return memcmp(&own, key, sizeof(own)) == 0;
}

uint32_t tcp_tw_snd_nxt(const struct stack *s, uint32_t tw_id)
{
	return tw_at(s, tw_id)->snd_nxt;
}

/* The flow table does not name it any more. */
static void tw_free(struct stack *s, uint32_t tw_id)
{
	ref_list_del(&s->tcp->tw_nodes, &s->tcp->tws, ref_tw(tw_id));
	pool_put_sized(&s->tcp->tw_pool, tw_id & ~TCP_TW_ID, sizeof(struct tcp_tw));
	s->tw_cnt--;
	tcp_run_settle(s);
}

void tcp_tw_drop(struct stack *s, uint32_t tw_id)
{
	flow_del(&s->flows, tw_tag(s, tw_at(s, tw_id)), tw_id);
	tw_free(s, tw_id);
}

/* ---- folding --------------------------------------------------------------------------------- */

void tcp_tw_begin(struct stack *s, struct conn c)
{
	c.t->flags &= ~(uint32_t)TF_TW_LAST;
	tcp_timer_linger(s, c, TCP_TW_BLOCK_MS);
}

/* The block has nothing to do any more. */
static void tw_release_block(struct stack *s, struct conn c)
{
	struct link *link = link_find(&s->links, c.t->link);

	if (link != NULL && link->last_conn == c.id)
		link->last_conn = 0;
	c.t->flags &= ~(uint32_t)TF_IN_FLOWS;
	tcp_conn_release(s, c);
}

static bool tw_is_at_rest(const struct tcb *t)
{
	return !tcb_has(t, TF_OWNED | TF_EMBRYO | TF_ACK_OWED | TF_RST_OWED) && !ref_list_has(&t->output) &&
	       t->rcvq.bytes == 0;
}

static void tw_fill(const struct stack *s, struct conn c, struct tcp_tw *tw)
{
	const struct tcb *t = c.t;
	uint32_t unit = 1u << tcb_rcv_wscale(t);
	struct flow_key key;

	tcp_conn_key(s, c, &key);
	*tw = (struct tcp_tw){
		.raddr4 = t->raddr4,
		.laddr4 = t->laddr4,
		.lport = t->lport,
		.rport = t->rport,
		.link = t->link,
		.ts = tcb_has(t, TF_TS),
		.wscale = t->wscale,
		.rcv_nxt = t->rcv_nxt,
		.snd_nxt = t->snd_nxt,
		.ts_recent = t->ts_recent,
		.wnd = (uint16_t)min_u32((tcb_rcv_wnd(t) + unit - 1) / unit, UINT16_MAX),
		.due = (uint16_t)((tcp_now_ms(s) + TCP_TIME_WAIT_MS - TCP_TW_BLOCK_MS) / TW_UNIT_MS + 1),
	};
	memcpy(tw->laddr, &key.local, sizeof(tw->laddr));
	memcpy(tw->raddr, &key.remote, sizeof(tw->raddr));
}

bool tcp_tw_fold(struct stack *s, struct conn c)
{
	uint32_t idx = tw_is_at_rest(c.t) ? pool_get_sized(&s->tcp->tw_pool, sizeof(struct tcp_tw)) : 0;
	uint32_t tw_id = idx | TCP_TW_ID;

	if (idx == 0) {
		c.t->flags |= TF_TW_LAST;
		tcp_timer_linger(s, c, TCP_TIME_WAIT_MS - TCP_TW_BLOCK_MS);
		return true;
	}
	tw_fill(s, c, tw_at(s, tw_id));
	ref_list_add(&s->tcp->tw_nodes, &s->tcp->tws, ref_tw(tw_id));
	s->tw_cnt++;
	flow_replace(&s->flows, tw_tag(s, tw_at(s, tw_id)), c.id, tw_id);
	tw_release_block(s, c);
	tcp_run_settle(s);
	return false;
}

/* ---- unfolding ------------------------------------------------------------------------------- */

bool tcp_tw_unfold(struct stack *s, uint32_t tw_id, struct conn *ret_c)
{
	const struct tcp_tw *tw = tw_at(s, tw_id);
	const struct link *link = link_at(&s->links, tw->link);
	int left = tw_left(s, tw);
	struct flow_key key;
	struct conn c;

	tw_key(tw, &key);
	c.id = tcp_conn_block(s, &key, link);
	if (c.id == 0)
		return false;
	c = conn_at(s, c.id);
	c.t->state = TCP_TIME_WAIT;
	c.t->flags = (c.t->flags & ~(uint32_t)TF_TS) | (tw->ts ? TF_TS : 0) | TF_TW_LAST |
		     TF_FIN_QUEUED | TF_FIN_SENT | TF_FIN_RCVD;
	c.t->mss = (uint16_t)tcp_opt_link_mss(s, c);
	tcb_cold(s, c)->cc.cwnd = c.t->mss;
	c.t->wscale = tw->wscale;
	c.t->rcv_nxt = c.t->rcv_acked = tw->rcv_nxt;
	c.t->rcv_adv = tw->rcv_nxt + ((uint32_t)tw->wnd << tcb_rcv_wscale(c.t));
	c.t->snd_una = c.t->snd_nxt = tw->snd_nxt;
	c.t->ts_recent = tw->ts_recent;
	flow_replace(&s->flows, flow_hash(&s->flows, &key), tw_id, c.id);
	ref_list_add(&s->event_nodes, &s->tcp->time_wait, ref_tcp(c.id));
	tcp_timer_linger(s, c, left > 0 ? (uint32_t)left * TW_UNIT_MS : 1);
	*ret_c = c;
	return true;
}

void tcp_tw_settle(struct stack *s, uint32_t tw_id, struct conn c)
{
	const struct tcb *t = c.t;

	if (bitmap_test(s->tcp->used, c.id) && t->state == TCP_TIME_WAIT && tcb_has(t, TF_TW_LAST) && tw_is_at_rest(t)) {
		flow_replace(&s->flows, tw_tag(s, tw_at(s, tw_id)), c.id, tw_id);
		tw_release_block(s, c);
	} else {
		/* It is over, waits anew, or has something to say that must wait. */
		tw_free(s, tw_id);
	}
}

/* ---- the end --------------------------------------------------------------------------------- */

uint64_t tcp_tw_next_us(const struct stack *s)
{
	int left;

	if (ref_list_empty(&s->tcp->tws))
		return TIME_NEVER;
	left = tw_left(s, tw_at(s, ref_id(s->tcp->tws.head)));
	if (left <= 0)
		return s->now_us;
	return (s->now_us / US_PER_MS - tcp_now_ms(s) % TW_UNIT_MS + (uint64_t)left * TW_UNIT_MS) * US_PER_MS;
}

void tcp_tw_run(struct stack *s)
{
	for (uint32_t budget = TW_RUN_BUDGET; budget > 0 && tcp_tw_next_us(s) <= s->now_us; budget--)
		tcp_tw_drop(s, ref_id(s->tcp->tws.head) | TCP_TW_ID);
}

void tcp_tw_link_gone(struct stack *s, uint32_t link_id)
{
	struct ref next;

	for (struct ref ref = s->tcp->tws.head; ref.v != 0; ref = next) {
		const struct tcp_tw *tw = tw_at(s, ref_id(ref));

		next = tw->list.next;
		if (tw->link == link_id)
			tcp_tw_drop(s, ref_id(ref) | TCP_TW_ID);
	}
}
