// SPDX-License-Identifier: BSD-2-Clause
/*
 * Selective acknowledgements (RFC 2018), and of duplicates (RFC 2883), both ways
 *
 * The peer's blocks are hints that it may take back (RFC 2018 8) and may lie about. A block counts
 * if it lies wholly in what is in flight; a record is SACKed if a block covers it whole. DSACK is
 * the first block, when it lies below the acknowledgement or inside the second: it says what was
 * received twice, which shows that a retransmission was for nothing.
 *
 * Our blocks: the duplicate, if there is one to report; then the range that grew last, then those
 * before it, so that a lost acknowledgement takes no news with it (RFC 2018 4).
 */
#include "stack/tcp.h"

/* ---- the peer's blocks ----------------------------------------------------------------------- */

/* RFC 2883 4 */
static bool sack_is_dup(const struct tcp_opts *opts, uint32_t ack)
{
	const struct tcp_sack *b = opts->sack;

	return seq_lt(b[0].left, ack) || (opts->sack_cnt > 1 && seq_geq(b[0].left, b[1].left) &&
					  seq_leq(b[0].right, b[1].right));
}

/* In (snd_una, snd_nxt]: what the acknowledgement covers itself is not SACKed. */
static bool sack_is_valid(const struct tcb *t, const struct tcp_sack *b)
{
	return seq_lt(b->left, b->right) && seq_leq(b->right, t->snd_nxt) &&
	       seq_gt(b->left, t->snd_una);
}

static bool dsack_is_valid(const struct stack *s, struct conn c, const struct tcp_sack *b)
{
	const struct tcb *t = c.t;
	uint32_t max_wnd = tcp_snd_wnd_max(s, c);

	return seq_lt(b->left, b->right) && seq_leq(b->right, t->snd_nxt) &&
	       b->right - b->left <= max_wnd && seq_geq(b->left, t->snd_una - max_wnd);
}

/*
 * More duplicates than were sent: the network makes them, or the peer makes them up. Then they say
 * nothing about our retransmissions (as Linux).
 */
static bool dsack_is_credible(struct stack *s, struct tcb *t, const struct tcp_sack *b)
{
	struct tcp_ext *ext = tcp_conn_ext(s, t);

	if (ext == NULL)
		return false;
	ext->dsack_dups += max_u32((b->right - b->left + t->mss - 1) / t->mss, 1);
	return ext->dsack_dups <= ext->retransmits;
}

static void dsack_take(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		       const struct tcp_sack *b, struct tcp_news *news)
{
	if (!dsack_is_valid(s, c, b)) {
		tcp_drop(s, c, STACK_DROP_TCP_SACK);
		return;
	}
	if (!dsack_is_credible(s, c.t, b))
		return;
	news->flags |= NEWS_DSACK;
	/* They have left the network like the others. */
	news->rate.acked_sacked += b->right - b->left;
	if (rtx->probe == PROBE_AGAIN && b->right == rtx->probe_end)
		news->flags |= NEWS_DSACK_PROBE;
	tcp_undo_dsack(rtx, b->left, b->right);
}

static void sack_one(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sent *rec,
		     struct tcp_news *news)
{
	tcp_sent_delivered(s, rtx, rec, rec->end - rec->seq, news);
	news->flags |= NEWS_SACKED;
	if ((rec->flags & SENT_EVER) != 0)
		return;
	if (seq_lt(rec->seq, rtx->fack))
		tcp_news_reordered(news, rec->seq);
	if (news->rtt_sack_us == 0)
		news->rtt_sack_us = max_u32((uint32_t)s->now_us - rec->sent_us, 1);
}

/* Every record that @b covers whole */
static void sack_take(struct stack *s, struct tcp_rtx *rtx, const struct tcp_sack *b,
		      struct tcp_news *news)
{
	uint32_t idx = tcp_sent_find(s, rtx, b->left);
	const struct tcp_sent *rec;

	if (idx != 0) {
		rec = tcp_sent_at(s, idx);
		if (rec->seq != b->left && (rec->flags & SENT_SACKED) == 0)
			idx = rec->next;
	}
	for (; idx != 0; idx = tcp_sent_at(s, idx)->next) {
		rec = tcp_sent_at(s, idx);
		if (seq_gt(rec->end, b->right))
			break;
		if ((rec->flags & SENT_SACKED) == 0) {
			sack_one(s, rtx, rec, news);
			rtx->fack = seq_max(rtx->fack, rec->end);
			idx = tcp_sent_mark_sacked(s, rtx, idx);
		}
	}
}

void tcp_sack_input(struct stack *s, struct conn c, struct tcp_rtx *rtx,
		    const struct tcp_opts *opts, struct tcp_news *news)
{
	struct tcp_sack blocks[TCP_SACK_MAX];
	unsigned int cnt = 0;

	for (unsigned int i = 0; i < opts->sack_cnt; i++) {
		struct tcp_sack b = opts->sack[i];
		unsigned int place = cnt;

		if (i == 0 && sack_is_dup(opts, news->ack)) {
			dsack_take(s, c, rtx, &b, news);
			continue;
		}
		if (!sack_is_valid(c.t, &b)) {
			/* One of before this acknowledgement is merely late. */
			if (seq_gt(b.right, c.t->snd_una) || seq_geq(b.left, b.right))
				tcp_drop(s, c, STACK_DROP_TCP_SACK);
			continue;
		}
		/* By sequence number, so that only what was late looks late. */
		for (; place > 0 && seq_lt(b.left, blocks[place - 1].left); place--)
			blocks[place] = blocks[place - 1];
		blocks[place] = b;
		cnt++;
	}
	for (unsigned int i = 0; i < cnt; i++)
		sack_take(s, rtx, &blocks[i], news);
}

/* ---- ours ------------------------------------------------------------------------------------ */

void tcp_sack_duplicate(struct stack *s, struct tcb *t, uint32_t seq, uint32_t end)
{
	struct tcp_ext *ext;

	if (!tcb_has(t, TF_SACK) || tcb_no_loss(t) || seq_geq(seq, end))
		return;
	ext = tcp_conn_ext(s, t);
	if (ext == NULL)
		return;
	ext->dsack = (struct tcp_sack){ seq, end };
	t->flags |= TF_OOO;
}

void tcp_sack_told(const struct stack *s, struct tcb *t)
{
	struct tcp_ext *ext = tcb_ext(s, t);

	ext->dsack = (struct tcp_sack){ 0 };
	if (ext->ooo_head == 0)
		t->flags &= ~(uint32_t)TF_OOO;
}

/* Is a FIN ahead that no range ends with? It takes a number, so it is told like text. */
static bool sack_fin_apart(const struct stack *s, const struct tcb *t, const struct tcp_ext *ext)
{
	if (!tcb_has(t, TF_FIN_AHEAD))
		return false;
	for (uint32_t idx = ext->ooo_head; idx != 0;) {
		const struct tcp_ooo *ooo = pool_at_sized(&s->tcp->ooo, idx, sizeof(*ooo));

		if (ooo->seq + ooo->data.bytes == ext->fin_seq)
			return false;
		idx = ooo->next;
	}
	return true;
}

uint32_t tcp_sack_cnt(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t cnt;

	if (!tcb_has(t, TF_SACK) || !tcb_has(t, TF_OOO | TF_FIN_AHEAD))
		return 0;
	cnt = (tcp_ext_dsack(ext) ? 1u : 0u) + (sack_fin_apart(s, t, ext) ? 1u : 0u);
	for (unsigned int i = 0; i < TCP_SACK_MAX && ext->ooo_recent[i] != 0; i++)
		cnt++;
	return min_u32(cnt, TCP_SACK_MAX);
}

void tcp_sack_blocks(const struct stack *s, const struct tcb *t, uint32_t cnt,
		     struct tcp_opts *ret_opts)
{
	const struct tcp_ext *ext = tcb_ext(s, t);
	uint8_t n = 0;

	if (tcp_ext_dsack(ext))
		ret_opts->sack[n++] = ext->dsack;
	for (unsigned int i = 0; i < TCP_SACK_MAX && n < cnt && ext->ooo_recent[i] != 0; i++) {
		const struct tcp_ooo *ooo =
			pool_at_sized(&s->tcp->ooo, ext->ooo_recent[i], sizeof(struct tcp_ooo));

		uint32_t end = ooo->seq + ooo->data.bytes;

		if (tcb_has(t, TF_FIN_AHEAD) && end == ext->fin_seq)
			end++;
		ret_opts->sack[n++] = (struct tcp_sack){ ooo->seq, end };
	}
	if (n < cnt && sack_fin_apart(s, t, ext))
		ret_opts->sack[n++] = (struct tcp_sack){ ext->fin_seq, ext->fin_seq + 1 };
	ret_opts->sack_cnt = n;
	if (n != 0)
		ret_opts->present |= TCP_HAS_SACK;
}
