// SPDX-License-Identifier: BSD-2-Clause
/*
 * Records of the segments in flight: theory in tcp_rtx.h
 *
 * The search tree is a treap over the list's records: in order by sequence number, a heap by a hash
 * of the record's index, which no peer can choose. So it stays shallow whatever is added and
 * removed, without being told. Sequence numbers of records change (a part is acknowledged, two
 * become one), but never their order.
 */
#include "stack/tcp.h"

#include <errno.h>

/* ---- search tree ----------------------------------------------------------------------------- */

static uint32_t tree_rank(uint32_t idx)
{
	idx = (idx ^ idx >> 16) * 0x7feb352du;
	idx = (idx ^ idx >> 15) * 0x846ca68bu;
	return idx ^ idx >> 16;
}

static void tree_add(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx), *at;
	uint32_t *link = &rtx->root, *left = &rec->left, *right = &rec->right;
	uint32_t rest;

	while (*link != 0 && tree_rank(*link) > tree_rank(idx)) {
		at = tcp_sent_at(s, *link);
		link = seq_lt(rec->seq, at->seq) ? &at->left : &at->right;
	}
	/* What hung there is parted into what is before and what is behind. */
	rest = *link;
	*link = idx;
	while (rest != 0) {
		at = tcp_sent_at(s, rest);
		if (seq_lt(at->seq, rec->seq)) {
			*left = rest;
			left = &at->right;
			rest = at->right;
		} else {
			*right = rest;
			right = &at->left;
			rest = at->left;
		}
	}
	*left = 0;
	*right = 0;
}

static void tree_del(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	const struct tcp_sent *rec = tcp_sent_at(s, idx);
	uint32_t *link = &rtx->root;
	uint32_t left = rec->left, right = rec->right;

	while (*link != idx) {
		struct tcp_sent *at = tcp_sent_at(s, *link);

		link = seq_lt(rec->seq, at->seq) ? &at->left : &at->right;
	}
	while (left != 0 && right != 0) {
		if (tree_rank(left) > tree_rank(right)) {
			*link = left;
			link = &tcp_sent_at(s, left)->right;
			left = *link;
		} else {
			*link = right;
			link = &tcp_sent_at(s, right)->left;
			right = *link;
		}
	}
	*link = left != 0 ? left : right;
}

uint32_t tcp_sent_find(struct stack *s, struct tcp_rtx *rtx, uint32_t seq)
{
	uint32_t idx, best = 0;

	if (!rtx->indexed) {
		rtx->root = 0;
		for (idx = rtx->head; idx != 0; idx = tcp_sent_at(s, idx)->next)
			tree_add(s, rtx, idx);
		rtx->indexed = true;
	}
	for (idx = rtx->root; idx != 0;) {
		const struct tcp_sent *rec = tcp_sent_at(s, idx);

		if (seq_leq(rec->seq, seq)) {
			best = idx;
			idx = rec->right;
		} else {
			idx = rec->left;
		}
	}
	return best;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* @after: 0: at the front */
static void list_add(struct stack *s, struct sent_list *list, uint32_t idx, uint32_t after)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	rec->earlier = after;
	rec->later = after != 0 ? tcp_sent_at(s, after)->later : list->head;
	if (rec->later != 0)
		tcp_sent_at(s, rec->later)->earlier = idx;
	else
		list->tail = idx;
	if (after != 0)
		tcp_sent_at(s, after)->later = idx;
	else
		list->head = idx;
}

static void list_del(struct stack *s, struct sent_list *list, uint32_t idx)
{
	const struct tcp_sent *rec = tcp_sent_at(s, idx);

	if (rec->earlier != 0)
		tcp_sent_at(s, rec->earlier)->later = rec->later;
	else
		list->head = rec->later;
	if (rec->later != 0)
		tcp_sent_at(s, rec->later)->earlier = rec->earlier;
	else
		list->tail = rec->earlier;
}

/*
 * Where a lost record belongs, by sequence number: at an end, or behind the one that came last.
 * Else at the end, and it is sent again later than it could have been.
 */
static uint32_t lost_place(const struct stack *s, const struct tcp_rtx *rtx, uint32_t seq)
{
	const struct tcp_sent *last;

	if (rtx->lost.head == 0 || seq_lt(seq, tcp_sent_at(s, rtx->lost.head)->seq))
		return 0;
	if (rtx->lost_last != 0) {
		last = tcp_sent_at(s, rtx->lost_last);
		if (seq_gt(seq, last->seq) &&
		    (last->later == 0 || seq_lt(seq, tcp_sent_at(s, last->later)->seq)))
			return rtx->lost_last;
	}
	return rtx->lost.tail;
}

static bool sent_is_lost(const struct tcp_sent *rec)
{
	return (rec->flags & (SENT_SACKED | SENT_LOST | SENT_RETRANS)) == SENT_LOST;
}

/* In the sums, or out of them (@sign -1) */
static void sent_count(struct tcp_rtx *rtx, const struct tcp_sent *rec, int sign)
{
	uint32_t len = (rec->end - rec->seq) * (uint32_t)sign;

	if ((rec->flags & SENT_SACKED) != 0) {
		rtx->sacked_bytes += len;
		rtx->sacked_segs += rec->segs * (uint32_t)sign;
	}
	if ((rec->flags & SENT_LOST) != 0)
		rtx->lost_bytes += len;
	if ((rec->flags & SENT_RETRANS) != 0)
		rtx->resent_bytes += len;
}

static void sent_unlist(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	const struct tcp_sent *rec = tcp_sent_at(s, idx);

	if (sent_is_lost(rec)) {
		if (rtx->lost_last == idx)
			rtx->lost_last = rec->earlier;
		list_del(s, &rtx->lost, idx);
	} else if ((rec->flags & SENT_SACKED) == 0) {
		list_del(s, &rtx->flying, idx);
	}
}

/* Change flags; sums and lists follow. */
static void sent_flag(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t set,
		      uint32_t clear)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	sent_count(rtx, rec, -1);
	sent_unlist(s, rtx, idx);
	rec->flags = (rec->flags & ~clear) | set;
	sent_count(rtx, rec, 1);
	if (sent_is_lost(rec)) {
		list_add(s, &rtx->lost, idx, lost_place(s, rtx, rec->seq));
		rtx->lost_last = idx;
	} else if ((rec->flags & SENT_SACKED) == 0) {
		list_add(s, &rtx->flying, idx, rtx->flying.tail);
	}
}

/* Behind @prev by sequence number; 0: the first */
static void sent_link(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t prev)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	rec->prev = prev;
	rec->next = prev != 0 ? tcp_sent_at(s, prev)->next : rtx->head;
	if (rec->next != 0)
		tcp_sent_at(s, rec->next)->prev = idx;
	else
		rtx->tail = idx;
	if (prev != 0)
		tcp_sent_at(s, prev)->next = idx;
	else
		rtx->head = idx;
	if (rtx->indexed)
		tree_add(s, rtx, idx);
}

/* Out of everything, and free */
static void sent_del(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	const struct tcp_sent *rec = tcp_sent_at(s, idx);

	sent_count(rtx, rec, -1);
	sent_unlist(s, rtx, idx);
	if (rtx->indexed)
		tree_del(s, rtx, idx);
	if (rec->prev != 0)
		tcp_sent_at(s, rec->prev)->next = rec->next;
	else
		rtx->head = rec->next;
	if (rec->next != 0)
		tcp_sent_at(s, rec->next)->prev = rec->prev;
	else
		rtx->tail = rec->prev;
	pool_put(&s->tcp->sent, idx);
	if (rtx->head == 0)
		rtx->indexed = false;
}

/* ---- made and freed -------------------------------------------------------------------------- */

struct tcp_rtx *tcp_rtx_need(struct stack *s, struct conn c)
{
	const struct tcp_tally *tally = tcb_tally(s, c);
	struct tcb *t = c.t;
	struct tcp_rtx *rtx;

	if (t->rtx != 0)
		return tcb_rtx(s, t);
	t->rtx = pool_get(&s->tcp->rtx);
	if (t->rtx == 0)
		return NULL;
	rtx = tcb_rtx(s, t);
	*rtx = (struct tcp_rtx){
		.recover = t->snd_una,
		.fack = t->snd_una,
		.small_end = t->snd_una,
		.rtt_seq = t->snd_una,
		.usage.seq = t->snd_una,
		.min_rtt_us = tcp_rtt_min_us(s, c),
		/* Nothing is in flight: the two are the same. */
		.delivered = tally != NULL ? tally->bytes_acked : 0,
	};
	return rtx;
}

void tcp_rtx_free(struct stack *s, struct tcb *t)
{
	struct tcp_rtx *rtx = tcb_rtx(s, t);

	if (rtx == NULL)
		return;
	rtx->indexed = false;
	while (rtx->head != 0)
		sent_del(s, rtx, rtx->head);
	if (rtx->spare != 0)
		pool_put(&s->tcp->sent, rtx->spare);
	pool_put(&s->tcp->rtx, t->rtx);
	t->rtx = 0;
}

uint32_t tcp_rtx_pipe_of(const struct tcb *t, const struct tcp_rtx *rtx, uint32_t flight)
{
	uint64_t left = (uint64_t)rtx->dups * t->mss;

	flight = flight - rtx->sacked_bytes - rtx->lost_bytes + rtx->resent_bytes;
	return left < flight ? flight - (uint32_t)left : 0;
}

uint32_t tcp_rtx_pipe(const struct stack *s, const struct tcb *t)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, t);

	return rtx != NULL ? tcp_rtx_pipe_of(t, rtx, tcb_flight(t)) : tcb_flight(t);
}

bool tcp_sent_reserve(struct stack *s, struct conn c)
{
	struct tcp_rtx *rtx = tcp_rtx_need(s, c);

	if (rtx == NULL)
		return false;
	if (rtx->spare == 0)
		rtx->spare = pool_get(&s->tcp->sent);
	return rtx->spare != 0;
}

void tcp_sent_add(struct stack *s, struct conn c, uint32_t seq, uint32_t end, uint32_t flags)
{
	struct tcp_rtx *rtx = tcb_rtx(s, c.t);
	uint32_t idx = rtx->spare;
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	rtx->spare = 0;
	if (rtx->head == 0)
		rtx->app_limited = max_u64(rtx->delivered, 1);
	if (tcp_rtx_reducing(rtx))
		rtx->prr_out += end - seq;
	*rec = (struct tcp_sent){
		.seq = seq,
		.end = end,
		.segs = 1,
		.flags = flags,
		.sent_us = (uint32_t)s->now_us,
	};
	tcp_rate_sent(s, rtx, rec);
	sent_link(s, rtx, idx, rtx->tail);
	list_add(s, &rtx->flying, idx, rtx->flying.tail);
}

void tcp_sent_add_fin(struct stack *s, struct tcb *t)
{
	struct tcp_rtx *rtx = tcb_rtx(s, t);
	struct tcp_sent *rec = tcp_sent_at(s, rtx->tail);

	sent_count(rtx, rec, -1);
	rec->end++;
	sent_count(rtx, rec, 1);
}

/* ---- what becomes of them -------------------------------------------------------------------- */

void tcp_sent_again(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	if (tcp_rtx_reducing(rtx))
		rtx->prr_out += rec->end - rec->seq;
	rec->sent_us = (uint32_t)s->now_us;
	tcp_rate_sent(s, rtx, rec);
	sent_flag(s, rtx, idx, SENT_RETRANS | SENT_EVER, 0);
	rtx->resent = true;
}

void tcp_sent_mark_lost(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	sent_flag(s, rtx, idx, SENT_LOST, SENT_RETRANS);
}

/* Two SACKed neighbours become one. */
static uint32_t sent_join(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t next)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);
	uint32_t end, segs, flags;

	if ((rec->flags & tcp_sent_at(s, next)->flags & SENT_SACKED) == 0)
		return next;
	end = tcp_sent_at(s, next)->end;
	segs = tcp_sent_at(s, next)->segs;
	flags = tcp_sent_at(s, next)->flags;
	sent_del(s, rtx, next);
	sent_count(rtx, rec, -1);
	rec->end = end;
	rec->segs += segs;
	rec->flags |= flags & (SENT_EVER | SENT_PUSH);
	sent_count(rtx, rec, 1);
	return idx;
}

uint32_t tcp_sent_mark_sacked(struct stack *s, struct tcp_rtx *rtx, uint32_t idx)
{
	sent_flag(s, rtx, idx, SENT_SACKED, SENT_LOST | SENT_RETRANS);
	if (tcp_sent_at(s, idx)->prev != 0)
		idx = sent_join(s, rtx, tcp_sent_at(s, idx)->prev, idx);
	if (tcp_sent_at(s, idx)->next != 0)
		sent_join(s, rtx, idx, tcp_sent_at(s, idx)->next);
	return idx;
}

void tcp_sent_mark_all_lost(struct stack *s, struct tcp_rtx *rtx, uint32_t age_us)
{
	bool reneged = (tcp_sent_at(s, rtx->head)->flags & SENT_SACKED) != 0;

	for (uint32_t idx = rtx->head; idx != 0; idx = tcp_sent_at(s, idx)->next) {
		const struct tcp_sent *rec = tcp_sent_at(s, idx);
		bool young = idx != rtx->head && (uint32_t)s->now_us - rec->sent_us < age_us;

		if (reneged || ((rec->flags & SENT_SACKED) == 0 && !young))
			sent_flag(s, rtx, idx, SENT_LOST, SENT_SACKED | SENT_RETRANS);
	}
}

uint32_t tcp_sent_mark_large(struct stack *s, struct tcp_rtx *rtx, uint32_t mss)
{
	uint32_t cnt = 0;

	for (uint32_t idx = rtx->head; idx != 0; idx = tcp_sent_at(s, idx)->next) {
		const struct tcp_sent *rec = tcp_sent_at(s, idx);

		/* One more may be FIN. */
		if ((rec->flags & SENT_SACKED) == 0 && rec->end - rec->seq > mss) {
			sent_flag(s, rtx, idx, SENT_LOST, SENT_RETRANS);
			cnt++;
		}
	}
	return cnt;
}

/*
 * Records sent once left in sequence order, so they are merged into `flying` in one pass. For those
 * whose retransmission was lost, too, the order does not matter much: they go to the end.
 */
void tcp_sent_unmark_lost(struct stack *s, struct tcp_rtx *rtx)
{
	struct sent_list lost = rtx->lost;
	uint32_t place = 0, next;

	for (uint32_t idx = rtx->flying.head; idx != 0; idx = tcp_sent_at(s, idx)->later)
		tcp_sent_at(s, idx)->flags &= ~(uint32_t)SENT_LOST;
	rtx->lost = (struct sent_list){ 0 };
	rtx->lost_last = 0;
	rtx->lost_bytes = 0;
	for (uint32_t idx = lost.head; idx != 0; idx = next) {
		struct tcp_sent *rec = tcp_sent_at(s, idx);

		next = rec->later;
		rec->flags &= ~(uint32_t)SENT_LOST;
		if ((rec->flags & SENT_EVER) != 0) {
			list_add(s, &rtx->flying, idx, rtx->flying.tail);
			continue;
		}
		for (uint32_t ahead = place != 0 ? tcp_sent_at(s, place)->later : rtx->flying.head;
		     ahead != 0 && !time_after32(tcp_sent_at(s, ahead)->sent_us, rec->sent_us);
		     ahead = tcp_sent_at(s, ahead)->later)
			place = ahead;
		list_add(s, &rtx->flying, idx, place);
		place = idx;
	}
}

/* The rest of @idx from @end on becomes a record of its own. */
static int sent_split(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t end)
{
	uint32_t rest_idx = pool_get(&s->tcp->sent);
	struct tcp_sent *rec = tcp_sent_at(s, idx), *rest;

	if (rest_idx == 0)
		return -ENOMEM;
	rest = tcp_sent_at(s, rest_idx);
	sent_count(rtx, rec, -1);
	*rest = *rec;
	rest->seq = end;
	rest->segs = max_u32(rec->segs - 1, 1);
	rec->end = end;
	rec->flags &= ~(uint32_t)SENT_PUSH; /* it stands at the end */
	rec->segs = 1;
	sent_count(rtx, rec, 1);
	sent_count(rtx, rest, 1);
	sent_link(s, rtx, rest_idx, idx);
	list_add(s, sent_is_lost(rec) ? &rtx->lost : &rtx->flying, rest_idx, idx);
	return 0;
}

/* [seq, end) gets what is lost behind it, up to @end. */
static void sent_extend(struct stack *s, struct tcp_rtx *rtx, struct tcp_sent *rec, uint32_t end)
{
	while (rec->next != 0 && seq_lt(rec->end, end)) {
		struct tcp_sent *next = tcp_sent_at(s, rec->next);
		uint32_t stop = seq_min(next->end, end);

		if (!sent_is_lost(rec) || !sent_is_lost(next))
			return;
		rec->flags |= next->flags & SENT_EVER;
		sent_count(rtx, rec, -1);
		if (stop == next->end) {
			rec->flags |= next->flags & SENT_PUSH;
			sent_del(s, rtx, rec->next);
		} else {
			sent_count(rtx, next, -1);
			next->seq = stop;
			sent_count(rtx, next, 1);
		}
		rec->end = stop;
		sent_count(rtx, rec, 1);
	}
}

int tcp_sent_resize(struct stack *s, struct tcp_rtx *rtx, uint32_t idx, uint32_t end)
{
	struct tcp_sent *rec = tcp_sent_at(s, idx);

	if (seq_lt(end, rec->end))
		return sent_split(s, rtx, idx, end);
	sent_extend(s, rtx, rec, end);
	return 0;
}

/* ---- acknowledged ---------------------------------------------------------------------------- */

void tcp_sent_delivered(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
			uint32_t bytes, struct tcp_news *news)
{
	news->delivered_segs += rec->segs;
	tcp_rate_delivered(s, rtx, rec, bytes, news);
	tcp_rack_delivered(s, rtx, rec, news);
	if ((rec->flags & SENT_EVER) == 0 && seq_leq(rec->end, rtx->recover))
		news->flags |= NEWS_ORIG;
}

/* The first record, or @bytes of it, acknowledged by number and not SACKed before */
static void acked_one(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
		      uint32_t bytes, struct tcp_news *news)
{
	uint32_t rtt_us = max_u32((uint32_t)s->now_us - rec->sent_us, 1);

	if (bytes != rec->end - rec->seq) {
		tcp_rate_delivered(s, rtx, rec, bytes, news);
		return;
	}
	tcp_sent_delivered(s, rtx, rec, bytes, news);
	if ((rec->flags & SENT_EVER) != 0) {
		news->flags |= NEWS_RETRANS;
		return;
	}
	if (seq_lt(rec->seq, news->prior_fack))
		tcp_news_reordered(news, rec->seq);
	news->rtt_us = rtt_us;
	if (news->rtt_old_us == 0)
		news->rtt_old_us = rtt_us;
}

void tcp_sent_acked(struct stack *s, struct conn c, struct tcp_rtx *rtx, struct tcp_news *news)
{
	uint32_t una = c.t->snd_una;

	while (rtx->head != 0) {
		struct tcp_sent *rec = tcp_sent_at(s, rtx->head);
		uint32_t bytes = seq_min(rec->end, una) - rec->seq;

		if (seq_geq(rec->seq, una))
			break;
		if ((rec->flags & SENT_SACKED) == 0)
			acked_one(s, rtx, rec, bytes, news);
		if (seq_gt(rec->end, una)) {
			sent_count(rtx, rec, -1);
			rec->seq = una;
			sent_count(rtx, rec, 1);
			break;
		}
		sent_del(s, rtx, rtx->head);
	}
	if (rtx->head != 0 && (tcp_sent_at(s, rtx->head)->flags & SENT_SACKED) != 0)
		news->flags |= NEWS_RENEGED;
}
