// SPDX-License-Identifier: BSD-2-Clause
/*
 * How large segments may be: path MTU discovery with ICMP (RFC 1191, RFC 8201) and without (RFC 4821)
 *
 * Nearly every connection sends what link and peer allow, and has nothing here. A `struct tcp_mtu` is
 * made by the first that says otherwise:
 *
 *	ICMP		A router cannot pass it on. What is larger than it says is sent again, smaller;
 *			that is no congestion. After ten minutes the full size is tried again.
 *	the cache	Another connection has found out before (ip_pmtu.h).
 *	silence		Full segments are not acknowledged, TCP_MTU_RETRIES timeouts in a row: a
 *			black hole, where routers drop and say nothing. From there on segments are
 *			small, half as large with each further timeout, and the search begins.
 *
 * The search (RFC 4821 7). Between `low`, which is what is sent, and `high` a probe is sent, one
 * segment with new data and of the size in the middle:
 *
 *	         low        probe        high
 *	----------+-----------+------------+-----
 *	  arrive                             do not, or link and peer do not allow it
 *
 * It arrives: that is `low`. It alone is lost: `high` is below it; its data go again in segments of
 * the old size, and the congestion window stays. Anything else says nothing. When the two have met
 * the search is over, and the cache learns it; ten minutes after its begin it goes on upwards, as the
 * path may be another. A probe waits for its time, so that its loss is found without a timeout: enough
 * data behind it, windows open, nothing lost (Linux's conditions and numbers).
 *
 * Nothing here is on the path of a connection without `struct tcp_ext`.
 */
#include "stack/tcp_mtu.h"

#include "base/time.h"
#include "stack/ip_pmtu.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

/* Linux's tcp_retries1, tcp_base_mss, tcp_probe_threshold, tcp_probe_interval */
#define TCP_MTU_RETRIES 3u
#define TCP_MTU_BASE_MSS 1024u
#define TCP_MTU_CLOSE 8u
#define TCP_MTU_AGAIN_MS 600000u
#define TCP_MTU_CWND_SEGS 11u
#define TCP_MTU_BEHIND_SEGS 4u /* full segments that must follow a probe */

/* ---- sizes ----------------------------------------------------------------------------------- */

static uint32_t mtu_hdrs(const struct tcb *t)
{
	return (tcb_v4(t) ? IP4_HDR_BYTES : IP6_HDR_BYTES) + tcp_hdr_len(t);
}

/* The most that a probe could find */
static uint32_t mtu_top(const struct tcb *t, const struct tcp_mtu *m)
{
	return min_u32(m->path, m->mss_max + mtu_hdrs(t));
}

static uint32_t mtu_now(const struct tcp_mtu *m)
{
	return m->probing ? min_u32(m->low, m->path) : m->path;
}

/* mss by what is known. Return: it is smaller than it was. */
static bool mtu_apply(struct tcb *t, const struct tcp_mtu *m)
{
	uint32_t mss = min_u32(m->mss_max, mtu_now(m) - mtu_hdrs(t)), old = t->mss;

	t->mss = (uint16_t)mss;
	return mss < old;
}

static struct pmtu mtu_ask(const struct stack *s, struct conn c)
{
	struct flow_key key;

	tcp_conn_key(s, c, &key);
	return pmtu_get(s, c.t->link, &key.remote);
}

/* The cache says this. */
static void mtu_know(const struct tcb *t, struct tcp_mtu *m, const struct pmtu *pmtu)
{
	m->path = pmtu->mtu;
	m->frag_ok = pmtu->frag_ok;
	m->again_us = pmtu->until_us;
	m->low = min_u32(m->low, m->path);
	m->high = min_u32(m->high, mtu_top(t, m));
}

/* Made if it isn't there, when mss is what link and peer allow. NULL: no memory */
static struct tcp_mtu *mtu_need(struct stack *s, struct conn c)
{
	struct tcp_ext *ext = tcp_conn_ext(s, c.t);
	struct pmtu pmtu;
	struct tcp_mtu *m;

	if (ext == NULL || ext->mtu != 0)
		return ext != NULL ? tcb_mtu(s, c.t) : NULL;
	ext->mtu = pool_get(&s->tcp->mtus);
	m = tcb_mtu(s, c.t);
	if (m == NULL)
		return NULL;
	*m = (struct tcp_mtu){ .mss_max = c.t->mss };
	pmtu = mtu_ask(s, c);
	mtu_know(c.t, m, &pmtu);
	return m;
}

/* Segments are of @low bytes from here on, until larger ones are known to arrive. */
static void mtu_search(const struct stack *s, const struct tcb *t, struct tcp_mtu *m, uint32_t low)
{
	m->probing = true;
	m->probe = 0;
	m->low = min_u32(low, mtu_top(t, m));
	m->high = mtu_top(t, m);
	m->since_ms = tcp_now_ms(s);
}

static bool mtu_found(const struct tcp_mtu *m)
{
	return m->high < m->low + TCP_MTU_CLOSE;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void tcp_mtu_start(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	bool search = s->cfg.tcp.mtu_probing == STACK_MTU_PROBE_ALWAYS;
	struct tcp_mtu *m;
	struct pmtu pmtu;

	if (tcb_no_loss(t) || (!search && s->pmtu == NULL))
		return;
	pmtu = mtu_ask(s, c);
	if (!search && pmtu.until_us == TIME_NEVER)
		return;
	m = mtu_need(s, c);
	if (m == NULL) {
		t->mss = (uint16_t)min_u32(t->mss, pmtu.mtu - mtu_hdrs(t));
		return;
	}
	if (search)
		mtu_search(s, t, m, max_u32(TCP_MTU_BASE_MSS + mtu_hdrs(t), pmtu_min(tcb_v4(t))));
	mtu_apply(t, m);
}

void tcp_mtu_stop(struct stack *s, const struct tcb *t)
{
	if (tcb_mtu(s, t) == NULL)
		return;
	pool_put(&s->tcp->mtus, tcb_ext(s, t)->mtu);
	tcb_ext(s, t)->mtu = 0;
}

uint32_t tcp_mtu_path(const struct stack *s, struct conn c)
{
	const struct tcp_mtu *m = tcb_mtu(s, c.t);
	const struct link *link = link_find(&s->links, c.t->link);

	if (m != NULL)
		return m->path;
	return link != NULL ? link->mtu : 0;
}

/* ---- by ICMP --------------------------------------------------------------------------------- */

void tcp_mtu_icmp(struct stack *s, struct conn c, const struct icmp_error *error)
{
	struct tcb *t = c.t;
	struct tcp_mtu *m;
	struct pmtu pmtu;
	bool probe;

	/* A channel has no routers. SYN is small, and what follows it will look into the cache. */
	if (tcb_no_loss(t) || !pmtu_learn(s, error, &pmtu) || !tcb_synchronized(t))
		return;
	m = mtu_need(s, c);
	if (m == NULL) {
		t->mss = (uint16_t)min_u32(t->mss, pmtu.mtu - mtu_hdrs(t));
		tcp_recovery_mtu(s, c);
		return;
	}
	mtu_know(t, m, &pmtu);
	probe = m->probe > m->path;
	if (probe) {
		m->probe = 0;
		s->stats.tcp_mtu_failed++;
	}
	if (mtu_apply(t, m) || probe)
		tcp_recovery_mtu(s, c);
}

/* The cache has forgotten, or knows better by now. */
static void mtu_refresh(const struct stack *s, struct conn c, struct tcp_mtu *m)
{
	struct pmtu pmtu = mtu_ask(s, c);

	mtu_know(c.t, m, &pmtu);
	mtu_apply(c.t, m);
}

/* ---- by silence ------------------------------------------------------------------------------ */

/* Does a timeout look like a black hole? Full segments are not heard of, again and again. */
static bool mtu_is_silent(const struct stack *s, const struct tcb *t)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, t);
	const struct tcp_sent *rec;

	if (s->cfg.tcp.mtu_probing == STACK_MTU_PROBE_OFF || rtx->expiries < TCP_MTU_RETRIES ||
	    t->snd_wnd == 0)
		return false;
	rec = tcp_sent_at(s, rtx->head);
	return rec->end - rec->seq >= t->mss;
}

static void mtu_black_hole(struct stack *s, struct conn c)
{
	struct tcp_mtu *m = mtu_need(s, c);
	struct tcb *t = c.t;
	uint32_t mss = t->mss / 2u, least = pmtu_min(tcb_v4(t));

	if (m == NULL)
		return;
	if (t->mss > TCP_MTU_BASE_MSS)
		mss = TCP_MTU_BASE_MSS;
	if (t->mss + mtu_hdrs(t) > least) {
		mtu_search(s, t, m, max_u32(mss + mtu_hdrs(t), least));
		s->stats.tcp_mtu_black_holes++;
	} else {
		m->frag_ok = tcb_v4(t); /* nothing else is left to try */
	}
	mtu_apply(t, m);
}

void tcp_mtu_timeout(struct stack *s, struct conn c)
{
	struct tcp_mtu *m = tcb_mtu(s, c.t);

	if (m != NULL && m->probe != 0) {
		/* It was the probe that did not arrive, perhaps with all behind it (RFC 4821 7.6.4). */
		if (m->probe_seq == c.t->snd_una) {
			m->high = m->probe - 1;
			s->stats.tcp_mtu_failed++;
		}
		m->probe = 0;
	}
	if (mtu_is_silent(s, c.t))
		mtu_black_hole(s, c);
}

/* ---- probes ---------------------------------------------------------------------------------- */

/* The search is over: others need not go through it. */
static void mtu_share(struct stack *s, struct conn c, const struct tcp_mtu *m)
{
	struct flow_key key;

	if (!mtu_found(m))
		return;
	tcp_conn_key(s, c, &key);
	pmtu_found(s, c.t->link, &key.remote, m->low);
}

/* Nothing lost or reordered, and no SACK blocks of ours, which would take room. */
static bool mtu_is_calm(const struct stack *s, struct conn c)
{
	const struct tcp_rtx *rtx = tcb_rtx(s, c.t);

	return tcb_can_send(c.t) && !tcb_has(c.t, TF_OOO | TF_FIN_AHEAD) &&
	       (rtx == NULL ||
		(rtx->mode == RTX_OPEN && (rtx->sacked_bytes | rtx->lost_bytes | rtx->dups) == 0));
}

/* ... and its loss would be found. *@ret_wait: it would, if less were in flight */
static bool mtu_is_time(const struct stack *s, struct conn c, uint32_t len, bool *ret_wait)
{
	const struct tcb *t = c.t;
	uint32_t need = len + TCP_MTU_BEHIND_SEGS * t->mss, pipe = tcp_rtx_pipe(s, t);
	uint32_t cwnd = tcb_cold(s, c)->cc.cwnd, flight = tcb_flight(t);

	*ret_wait = false;
	if (!mtu_is_calm(s, c) || cwnd < TCP_MTU_CWND_SEGS * t->mss || tcb_unsent(t) < need ||
	    t->snd_wnd < need)
		return false;
	if (flight + need > t->snd_wnd || pipe + len + t->mss > cwnd) {
		*ret_wait = flight != 0;
		return false;
	}
	return true;
}

static bool mtu_probe(struct stack *s, struct conn c, struct tcp_mtu *m)
{
	struct tcb *t = c.t;
	uint32_t size = (m->low + m->high) / 2, len = size - mtu_hdrs(t), seq = t->snd_nxt;
	bool wait;

	if (!mtu_is_time(s, c, len, &wait))
		return !wait;
	if (!tcp_out_probe(s, c, len))
		return true;
	s->stats.tcp_mtu_probes++;
	if (t->snd_nxt - seq == len) {
		m->probe = size;
		m->probe_seq = seq;
		m->probe_end = t->snd_nxt;
	} else {
		m->high = m->low; /* frames are not larger */
	}
	return true;
}

bool tcp_mtu_output(struct stack *s, struct conn c)
{
	struct tcp_mtu *m = tcb_mtu(s, c.t);

	if (m == NULL)
		return true;
	if (s->now_us >= m->again_us)
		mtu_refresh(s, c, m);
	if (!m->probing || m->probe != 0)
		return true;
	if (!mtu_found(m))
		return mtu_probe(s, c, m);
	if (tcp_now_ms(s) - m->since_ms >= TCP_MTU_AGAIN_MS)
		mtu_search(s, c.t, m, m->low);
	return true;
}

void tcp_mtu_acked(struct stack *s, struct conn c)
{
	struct tcp_mtu *m = tcb_mtu(s, c.t);

	if (m == NULL || m->probe == 0 || seq_lt(c.t->snd_una, m->probe_end))
		return;
	m->low = m->probe;
	m->probe = 0;
	s->stats.tcp_mtu_raised++;
	mtu_apply(c.t, m);
	mtu_share(s, c, m);
}

void tcp_mtu_resent(struct stack *s, const struct tcb *t)
{
	struct tcp_mtu *m = tcb_mtu(s, t);

	if (m != NULL)
		m->probe = 0;
}

bool tcp_mtu_lost(struct stack *s, struct conn c)
{
	struct tcp_mtu *m = tcb_mtu(s, c.t);

	if (m == NULL || m->probe == 0 || m->probe_seq != c.t->snd_una)
		return false;
	m->high = m->probe - 1;
	m->probe = 0;
	s->stats.tcp_mtu_failed++;
	mtu_share(s, c, m);
	tcp_recovery_mtu(s, c);
	return true;
}
