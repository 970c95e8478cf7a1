// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fast Open (RFC 7413): data in the SYN, for peers that have shown once that they are where they say
 *
 * Client. A cookie is asked for by the first connection that would have used it, kept with the MSS
 * by pair of addresses and link, and sent with data by the next. SYN data wait in sndq: in SYN_SENT
 * snd_nxt counts them, so that the SYN-ACK may acknowledge them. Only the first SYN carries them
 * and the option; what the peer does not take is sent like any data once the handshake is over.
 * Who lost such SYNs twice in a row does without for a while, as something on the way dislikes them.
 *
 *	snd_una = ISS      snd_una + 1                     snd_nxt
 *	------+------------------+----------------------------+--------
 *	      |       SYN        |    data, first in sndq     |
 *
 * The cache is a table of FO_SETS sets of FO_WAYS, the one used last staying longest; it is made
 * when it is needed first, and never grows.
 *
 * Server. The cookie is SipHash over both addresses, with the link and a number of FO_EPOCH_US
 * under the stack's secret: it is good in its epoch and the next, in which a new one is given with
 * the SYN-ACK. With settings.fastopen_key it is what Linux computes with tcp_fastopen_key, so that
 * several servers behind one address know each other's; it then changes when the key does.
 *
 * A SYN with a good cookie makes a connection that is ESTABLISHED but for TF_FASTOPEN: nobody has
 * acknowledged our SYN-ACK. Its data are there to be read, and the program may answer, a round trip
 * early. snd_una is behind our SYN already. While TF_FASTOPEN is set
 *
 *	- the timer repeats the SYN-ACK, not data; data in flight get a timer when it is cleared
 *	- a SYN again is answered by SYN-ACK again
 *	- an ACK must be of what was sent, exactly, or it is reset; the first that fits clears it
 *	- it counts in its listener's fastopen_cnt (RFC 7413 5.1: bounded by TCP_OPT_FASTOPEN_MAX)
 *
 * A reset in that time means that the cookie was stolen: it goes on counting for a minute, so that
 * a thief cannot turn many over.
 *
 * No Fast Open on links that cannot lose: their round trip is shorter than a system call.
 */
#include "stack/tcp_fastopen.h"

#include "stack/ip_pmtu.h"
#include "stack/tcp.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include <errno.h>
#include <string.h>

#define FO_COOKIE_BYTES 8
#define FO_EPOCH_US (6 * 3600 * US_PER_SEC)
#define FO_RESET_MS 60000u
#define FO_SETS 256u
#define FO_WAYS 4u
#define FO_OPTS_MAX 40u /* room that SYN data leave for options (as Linux) */
#define FO_LOST_MAX 8u

/* What a client knows about a server */
struct fo_entry {
	struct ip_addr local, remote;
	uint32_t link; /* 0: empty, or of link 0 with nothing known */
	uint32_t used_ms;
	uint32_t lost_ms; /* when a SYN with data was lost last */
	uint16_t mss;	  /* 0: not known */
	uint8_t lost;	  /* such SYNs in a row */
	uint8_t len;	  /* 0: no cookie */
	uint8_t cookie[TCP_FASTOPEN_MAX];
};

_Static_assert(sizeof(struct fo_entry) == 64, "one cache line");

struct tcp_fastopen {
	struct fo_entry entry[FO_SETS][FO_WAYS];
};

/* ---- client: what is known ------------------------------------------------------------------- */

static bool fo_is(const struct fo_entry *e, const struct flow_key *key)
{
	return e->link == key->link && ip_addr_eq(&e->local, &key->local) &&
	       ip_addr_eq(&e->remote, &key->remote);
}

/* The set for these addresses. Ports do not count. */
static struct fo_entry *fo_set(const struct stack *s, const struct flow_key *key)
{
	struct flow_key hosts = *key;

	hosts.local_port = 0;
	hosts.remote_port = 0;
	return s->tcp->fastopen->entry[stack_siphash(s, &hosts, sizeof(hosts)) % FO_SETS];
}

/* NULL: nothing is known */
static struct fo_entry *fo_find(const struct stack *s, const struct flow_key *key)
{
	struct fo_entry *set;

	if (s->tcp->fastopen == NULL)
		return NULL;
	set = fo_set(s, key);
	for (unsigned int i = 0; i < FO_WAYS; i++)
		if (fo_is(&set[i], key))
			return &set[i];
	return NULL;
}

/* The same, in place of the one used longest ago. NULL: no memory */
static struct fo_entry *fo_need(struct stack *s, const struct flow_key *key)
{
	struct fo_entry *e, *oldest;

	if (s->tcp->fastopen == NULL)
		s->tcp->fastopen = mem_get(&s->mem, sizeof(struct tcp_fastopen));
	if (s->tcp->fastopen == NULL)
		return NULL;
	e = fo_find(s, key);
	if (e != NULL)
		return e;
	oldest = fo_set(s, key);
	for (unsigned int i = 1; i < FO_WAYS; i++)
		if (time_before32(fo_set(s, key)[i].used_ms, oldest->used_ms))
			oldest = &fo_set(s, key)[i];
	*oldest = (struct fo_entry){
		.local = key->local,
		.remote = key->remote,
		.link = key->link,
		.used_ms = tcp_now_ms(s),
	};
	return oldest;
}

/* RFC 7413 4.1.3.1: twice in a row is no accident; each time more, twice as long */
static bool fo_is_bad(const struct stack *s, const struct fo_entry *e)
{
	return e->lost > 1 && tcp_now_ms(s) - e->lost_ms < 60000u << min_u32(e->lost, FO_LOST_MAX);
}

bool tcp_fastopen_known(const struct stack *s, struct link_id link, const struct endpoint *local,
			const struct endpoint *remote)
{
	const struct link *l = link_find(&s->links, link.v);
	struct flow_key key = { .local = local->addr, .remote = remote->addr, .link = link.v };
	const struct fo_entry *e = fo_find(s, &key);

	if (l == NULL || (l->flags & LINK_NO_LOSS) != 0 || s->cfg.tcp.no_fastopen)
		return false;
	return s->cfg.tcp.fastopen_no_cookie_tx || (e != NULL && e->len != 0 && !fo_is_bad(s, e));
}

/* ---- client: asking -------------------------------------------------------------------------- */

/* A SYN with @len bytes, which are in sndq. Return: as tcp_xmit_syn(). */
static int fo_xmit(struct stack *s, struct conn c, const struct fo_entry *e, uint32_t len)
{
	struct tcp_syn_more more = { .len = len };
	int err;

	if (e != NULL) {
		more.cookie = e->cookie;
		more.cookie_len = e->len;
	}
	more.fastopen = e != NULL || len == 0; /* without a cookie: it is asked for */
	err = tcp_xmit_syn_more(s, c, &more);
	if (err == 0)
		c.t->snd_nxt += len;
	return err;
}

int tcp_fastopen_connect(struct stack *s, struct conn c, const void *buf, size_t len,
			 size_t *ret_len)
{
	struct tcb *t = c.t;
	const struct fo_entry *e;
	uint32_t mss, take;
	struct flow_key key;

	tcp_conn_key(s, c, &key);
	mss = min_u32(t->mss, pmtu_get(s, key.link, &key.remote).mtu - (tcb_v4(t) ? 40 : 60));
	e = fo_find(s, &key);
	*ret_len = 0;
	if (tcb_no_loss(t) || s->cfg.tcp.no_fastopen || (e != NULL && fo_is_bad(s, e)))
		return tcp_xmit_syn(s, c);
	if ((e == NULL || e->len == 0) && !s->cfg.tcp.fastopen_no_cookie_tx) {
		/* A place for the answer; without one, it is forgotten. */
		(void)fo_need(s, &key);
		return fo_xmit(s, c, NULL, 0);
	}
	if (e != NULL && e->len == 0)
		e = NULL;
	if (e != NULL && e->mss != 0)
		mss = min_u32(mss, e->mss);
	take = (uint32_t)min_size(len, mss - min_u32(mss, FO_OPTS_MAX));
	take = take != 0 ? bufq_append_some(&s->bufs, &t->sndq, buf, take) : 0;
	*ret_len = take;
	return fo_xmit(s, c, e, take);
}

void tcp_fastopen_synack(struct stack *s, struct conn c, const struct tcp_seg *seg,
			 uint32_t retries)
{
	struct tcb *t = c.t;
	uint32_t sent = t->snd_nxt - t->snd_una - 1;
	bool has_cookie =
		(seg->opts.present & TCP_HAS_FASTOPEN) != 0 && seg->opts.fastopen_len != 0;
	struct flow_key key;
	struct fo_entry *e;

	if (tcb_no_loss(t) || (sent == 0 && !has_cookie))
		return;
	if (sent != 0)
		s->stats.tcp_fastopen_tx++;
	tcp_conn_key(s, c, &key);
	e = fo_find(s, &key);
	if (e == NULL) /* nobody has asked */
		return;
	e->used_ms = tcp_now_ms(s);
	e->mss = (seg->opts.present & TCP_HAS_MSS) != 0 ? seg->opts.mss : TCP_MSS_DEFAULT;
	if (has_cookie) {
		e->len = seg->opts.fastopen_len;
		memcpy(e->cookie, seg->opts.fastopen, e->len);
	}
	/* Only the SYN without anything has arrived. */
	if (sent != 0 && retries != 0 && !has_cookie && seg->ack == t->snd_una + 1) {
		e->lost = (uint8_t)min_u32(e->lost + 1u, FO_LOST_MAX);
		e->lost_ms = tcp_now_ms(s);
	} else {
		e->lost = 0;
	}
}

/* ---- server: cookies ------------------------------------------------------------------------- */

static void fo_cookie_linux(const struct stack *s, const struct flow_key *key,
			    uint8_t cookie[FO_COOKIE_BYTES])
{
	uint8_t text[32];
	size_t len = ip_addr_is_v4(&key->remote) ? 4 : 16;

	_Static_assert(crypto_shorthash_siphash24_BYTES == FO_COOKIE_BYTES, "SipHash");
	memcpy(text, (const uint8_t *)&key->remote + 16 - len, len);
	memcpy(text + len, (const uint8_t *)&key->local + 16 - len, len);
	crypto_shorthash_siphash24(cookie, text, 2 * len, s->cfg.tcp.fastopen_key);
}

static void fo_cookie(const struct stack *s, const struct flow_key *key, uint64_t epoch,
		      uint8_t cookie[FO_COOKIE_BYTES])
{
	struct {
		struct flow_key hosts;
		uint64_t epoch;
	} text = { .hosts = *key, .epoch = epoch };

	text.hosts.local_port = 0;
	text.hosts.remote_port = 0;
	store_u64(cookie, stack_siphash(s, &text, sizeof(text)));
}

/* The cookie that is given out now */
static void fo_cookie_now(const struct stack *s, const struct flow_key *key,
			  uint8_t cookie[FO_COOKIE_BYTES])
{
	if (s->cfg.tcp.has_fastopen_key)
		fo_cookie_linux(s, key, cookie);
	else
		fo_cookie(s, key, s->now_us / FO_EPOCH_US, cookie);
}

/* Is the SYN's cookie good? @now: the one that is given out now. *@ret_old: it is of the last epoch */
static bool fo_cookie_ok(const struct stack *s, const struct flow_key *key,
			 const struct tcp_opts *opts, const uint8_t now[FO_COOKIE_BYTES],
			 bool *ret_old)
{
	uint8_t last[FO_COOKIE_BYTES];

	*ret_old = false;
	if (opts->fastopen_len != FO_COOKIE_BYTES)
		return false;
	if (memcmp(opts->fastopen, now, FO_COOKIE_BYTES) == 0)
		return true;
	if (s->cfg.tcp.has_fastopen_key || s->now_us < FO_EPOCH_US)
		return false;
	fo_cookie(s, key, s->now_us / FO_EPOCH_US - 1, last);
	*ret_old = memcmp(opts->fastopen, last, FO_COOKIE_BYTES) == 0;
	return *ret_old;
}

/* ---- server: SYN ----------------------------------------------------------------------------- */

/* May this listener have one more whose address nobody has confirmed? */
static bool fo_has_place(const struct stack *s, struct tcp_listener *l)
{
	if (tcp_now_ms(s) - l->fastopen_reset_ms >= FO_RESET_MS)
		l->fastopen_reset_cnt = 0;
	return l->fastopen_cnt + l->fastopen_reset_cnt < l->ext.fastopen_max;
}

bool tcp_fastopen_syn(struct stack *s, struct tcp_listener *l, const struct tcp_seg *seg,
		      const struct flow_key *key, struct tcp_syn_more *ret_more)
{
	bool asks = (seg->opts.present & TCP_HAS_FASTOPEN) != 0;
	bool old;

	*ret_more = (struct tcp_syn_more){ .len = 0 };
	if (!l->has_ext || l->ext.fastopen_max == 0 ||
	    (seg->pkt->link->flags & LINK_NO_LOSS) != 0 || !fo_has_place(s, l))
		return false;
	if (s->cfg.tcp.fastopen_no_cookie_rx && (asks || seg->len != 0))
		return true;
	if (!asks)
		return false;
	fo_cookie_now(s, key, l->fastopen_cookie);
	ret_more->fastopen = true;
	/* Answered in kind: old clients know only the one that they use. */
	ret_more->fastopen_exp = (seg->opts.present & TCP_FASTOPEN_IS_EXP) != 0;
	ret_more->cookie_len = FO_COOKIE_BYTES;
	ret_more->cookie = l->fastopen_cookie;
	if (!fo_cookie_ok(s, key, &seg->opts, l->fastopen_cookie, &old)) {
		if (seg->opts.fastopen_len != 0)
			s->stats.tcp_fastopen_bad++;
		return false;
	}
	ret_more->fastopen = old; /* RFC 7413 4.1.2: a new one before this ends */
	return true;
}

bool tcp_fastopen_accept(struct stack *s, struct conn c, struct tcp_seg *seg, uint32_t listener_id,
			 const struct tcp_syn_more *more)
{
	struct tcb *t = c.t;
	struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t len = min_u32(seg->len, tcp_syn_window(s, c));

	if (len != 0 && bufq_append_pkt(&s->bufs, &t->rcvq, seg->pkt, seg->off, len) != 0)
		return false;
	t->rcv_nxt += len;
	if (tcp_xmit_syn_more(s, c, more) != 0) {
		/* No frame: an ordinary handshake, when there is one */
		bufq_drop(&s->bufs, &t->rcvq);
		t->rcv_nxt -= len;
		return false;
	}
	tcp_rtx_free(s, t);
	t->snd_una = t->snd_nxt;
	t->flags |= TF_FASTOPEN;
	ext->fastopen_sent_us = (uint32_t)s->now_us;
	ext->fastopen_listener = listener_id;
	tcp_listener_at(s, listener_id)->fastopen_cnt++;
	s->stats.tcp_fastopen_rx++;
	tcp_conn_established(s, c);
	return true;
}

/* ---- server: until it is acknowledged -------------------------------------------------------- */

bool tcp_fastopen_input(struct stack *s, struct conn c, const struct tcp_seg *seg)
{
	const struct tcb *t = c.t;

	if ((seg->flags & TCP_RST) != 0)
		return true;
	if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && seq_lt(seg->seq, t->rcv_nxt) &&
	    t->rcv_nxt - seg->seq <= UINT16_MAX + 1u) {
		if (!tcp_answered_lately(s, c.id))
			(void)tcp_xmit_synack_again(s, c);
		return false;
	}
	if ((seg->flags & TCP_ACK) != 0 &&
	    (seq_lt(seg->ack, t->snd_una) || seq_gt(seg->ack, t->snd_nxt))) {
		tcp_drop(s, c, STACK_DROP_TCP_ACK);
		tcp_reply_rst(s, seg->pkt, &seg->view);
		return false;
	}
	return true;
}

void tcp_fastopen_gone(struct stack *s, struct tcb *t, bool reset)
{
	uint32_t id = tcb_ext(s, t)->fastopen_listener;
	struct tcp_listener *l = tcp_listener_at(s, id);

	t->flags &= ~(uint32_t)TF_FASTOPEN;
	if (reset) {
		l->fastopen_reset_cnt++;
		l->fastopen_reset_ms = tcp_now_ms(s);
	}
	l->fastopen_cnt--;
	tcp_listener_free(s, id);
}

void tcp_fastopen_acked(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	uint32_t retries = t->backoff;

	tcp_fastopen_gone(s, t, false);
	t->flags &= ~(uint32_t)TF_RTX_TIMER;
	t->backoff = 0;
	if (retries == 0)
		tcp_rtt_sample(tcb_cold(s, c),
			       (uint32_t)s->now_us - tcb_ext(s, t)->fastopen_sent_us);
	tcp_conn_syn_lost(s, c, retries);
	if (t->snd_una != t->snd_nxt)
		tcp_timer_data_sent(s, c);
	else if (tcb_unsent(t) != 0)
		tcp_output_later(s, c);
}

bool tcp_fastopen_timeout(struct stack *s, struct conn c)
{
	uint32_t retries = tcp_setting(s->cfg.tcp.synack_retries, TCP_SYNACK_RETRIES) + 1;

	s->stats.tcp_timeouts++;
	if (c.t->backoff >= retries)
		return tcp_conn_reset(s, c, ETIMEDOUT);
	c.t->backoff++;
	s->stats.tcp_retransmits++;
	(void)tcp_xmit_synack_again(s, c); /* no frame: the timer comes again */
	tcp_timer_synack(s, c);
	return true;
}

void tcp_fastopen_fini(struct stack *s)
{
	mem_put(&s->mem, s->tcp->fastopen, sizeof(struct tcp_fastopen));
	s->tcp->fastopen = NULL;
}
