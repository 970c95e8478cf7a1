// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nothing was lost: finding out that a recovery or a timeout was a mistake, and undoing it
 *
 *	DSACK	(RFC 3708) every retransmission since `undo_seq` has been reported a duplicate
 *	Eifel	(RFC 3522, 4015) the echoed timestamp is of before the first retransmission: it is
 *		the original that was acknowledged
 *	F-RTO	(RFC 5682, the version for SACK) after a timeout something is acknowledged that was
 *		never sent again. For that new data is sent between the first retransmission and the
 *		others, if there is any.
 *
 * Then the window becomes what it was, and what was marked lost is in flight again.
 */
#include "stack/tcp.h"

void tcp_undo_begin(struct tcp_rtx *rtx, uint32_t una)
{
	rtx->undo = true;
	rtx->undo_seq = una;
	rtx->undo_bytes = rtx->resent_bytes;
	rtx->undo_any = rtx->resent_bytes != 0;
}

void tcp_undo_resent(const struct stack *s, const struct tcb *t, struct tcp_rtx *rtx,
		     uint32_t bytes)
{
	if (rtx->mode < RTX_RECOVERY)
		return; /* a probe: nobody believes in a loss yet */
	if (!rtx->stuck) {
		rtx->stuck = true;
		rtx->stuck_ms = tcp_now_ms(s);
	}
	if (!rtx->first_ts_valid) {
		rtx->first_ts = tcp_ts_now(s, t);
		rtx->first_ts_valid = true;
	}
	rtx->undo_any = true;
	rtx->undo_bytes += bytes;
}

void tcp_undo_dsack(struct tcp_rtx *rtx, uint32_t left, uint32_t right)
{
	if (rtx->undo && seq_gt(right, rtx->undo_seq))
		rtx->undo_bytes -= min_u32(rtx->undo_bytes, right - left);
}

/* Is what this acknowledges an original, and not a retransmission? */
static bool undo_is_late(const struct tcp_rtx *rtx, const struct tcp_news *news)
{
	if (!rtx->first_ts_valid)
		return true; /* nothing has been sent again yet */
	return news->ts_ecr != NULL && *news->ts_ecr != 0 &&
	       time_before32(*news->ts_ecr, rtx->first_ts);
}

bool tcp_undo_may(const struct tcp_rtx *rtx, const struct tcp_news *news)
{
	return rtx->undo &&
	       ((rtx->undo_any && rtx->undo_bytes == 0) || undo_is_late(rtx, news));
}

bool tcp_undo_partial_may(const struct tcp_rtx *rtx, const struct tcp_news *news)
{
	return rtx->undo && undo_is_late(rtx, news);
}

void tcp_undo(struct stack *s, struct conn c, struct tcp_rtx *rtx, bool unmark)
{
	if (unmark)
		tcp_sent_unmark_lost(s, rtx);
	if (rtx->restore) {
		tcp_cc_undo(s, c, &rtx->saved);
		c.t->flags &= ~TF_ECN_CWR;
	}
	rtx->undo = false;
	rtx->rack_advanced = true; /* what is lost will be found again */
	s->stats.tcp_undos++;
}

bool tcp_undo_by_dsack(struct stack *s, struct conn c, struct tcp_rtx *rtx)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);

	if (!rtx->undo || !rtx->undo_any || rtx->undo_bytes != 0)
		return false;
	if (ext != NULL)
		ext->rack_persist = (uint8_t)min_u32(ext->rack_persist + 1u, TCP_RACK_PERSIST);
	tcp_undo(s, c, rtx, false);
	return true;
}

/* ---- F-RTO ----------------------------------------------------------------------------------- */

/* Step 3, or step 2b. Return: true: the timeout was a mistake. */
bool tcp_frto_acked(struct tcb *t, struct tcp_rtx *rtx, const struct tcp_news *news)
{
	if (rtx->frto == FRTO_OFF)
		return false;
	if ((news->flags & NEWS_ORIG) != 0)
		return true;
	if (seq_gt(t->snd_nxt, rtx->recover)) {
		if ((news->flags & (NEWS_SACKED | NEWS_DUP)) != 0)
			rtx->frto = FRTO_OFF; /* 3a: a hole remains */
	} else if ((news->flags & NEWS_ADVANCED) != 0 && seq_lt(t->snd_una, rtx->recover)) {
		rtx->recover = t->snd_nxt;
		rtx->frto = tcb_unsent(t) != 0 && t->snd_wnd > tcb_flight(t) ? FRTO_NEW_DATA
									     : FRTO_OFF;
	}
	return false;
}

bool tcp_frto_holds(const struct tcp_rtx *rtx)
{
	return rtx->mode == RTX_LOSS && rtx->frto == FRTO_NEW_DATA;
}

void tcp_frto_sent(const struct tcb *t, struct tcp_rtx *rtx)
{
	if (rtx->frto == FRTO_NEW_DATA)
		rtx->frto = seq_gt(t->snd_nxt, rtx->recover) ? FRTO_WAIT : FRTO_OFF;
}
