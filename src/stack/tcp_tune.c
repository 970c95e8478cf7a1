// SPDX-License-Identifier: BSD-2-Clause
/*
 * Buffers and windows: how much the peer may send, and how much the program may queue
 *
 * On links that cannot lose both are fixed, and the window follows what is read in steps worth
 * telling of. Small as they are they stay in the caches, and a peer that reads asks for no more. But
 * two programs that both write before they read, which Linux carries up to the size of its largest
 * buffers, would wait for each other for ever. So where the window stays shut for TCP_STUCK_MS, with
 * the send buffer full, that has cfg.wmem.max more until bytes leave it again. It is the sender's that
 * grows, not the window: who does not read holds no more of what others send.
 *
 * On links that can lose they follow the path, as administrators know it from Linux
 * (dynamic right-sizing, Fisk and Feng 2001), within cfg.rmem and cfg.wmem:
 *
 *	window_max	what the receive buffer allows. The program is watched: what it reads in one
 *			round trip, times two, is what must fit so that the sender never waits for
 *			the window; more while that still grows
 *	ssthresh	what is offered of it, at most. It begins with all of the first buffer, of
 *			which SYN could not tell more than 64 KiB, and grows by two segments for
 *			each that arrives, so that a sender is not promised more than it shows to
 *			need
 *	send buffer	twice the congestion window: one half in flight, one to follow it
 *
 * A round trip as the receiver sees it is measured by the echo of its timestamps, or, without
 * them, as the time in which a window's worth arrives, which is never less than one.
 *
 * Where frames come from a pool that does not hold senders back, no window is offered that the pool
 * could not take while the program waits for its CPU, whatever the buffer would allow: what does not
 * fit is lost. On a long path most of a window is under way, so there it may be larger. Each
 * connection counts as if it were alone.
 *
 * Half of the numbers in cfg.rmem is window, as in Linux, where the other half pays for what buffers
 * cost besides data; here it pays for frames that are held with little in them. What the program
 * sets (TCP_OPT_RCVBUF, _SNDBUF) is meant as it is, and stays. Memory is used only where data is:
 * these are promises.
 *
 * Idle connections keep none of this but rcv_adv: what has been offered stays offered, and the next
 * segment begins with that.
 */
#include "stack/tcp.h"
#include "stack/tcp_call.h"

#define TUNE_GROW_LEN_MIN 128 /* smaller segments do not show that a larger window would be used */
#define TUNE_AWAY_US 10000    /* so long may a program wait for its CPU: a few of the scheduler's slices */

/* ---- buffers --------------------------------------------------------------------------------- */

static bool rcvbuf_is_auto(const struct stack *s, const struct tcb *t)
{
	return t->ext != 0 ? !tcb_ext(s, t)->rcvbuf_set : !s->rcvbuf_set;
}

static bool sndbuf_is_auto(const struct stack *s, const struct tcb *t)
{
	return t->ext != 0 ? !tcb_ext(s, t)->sndbuf_set : !s->sndbuf_set;
}

/* So much of all memory is taken that no more is promised; what Linux does from tcp_mem's second number on, at about as much. */
static bool memory_short(const struct stack *s)
{
	return s->mem.bytes > s->mem.bytes_max / 8;
}

uint32_t tcp_sndbuf(const struct stack *s, struct conn c)
{
	/* what may follow the SYN stays in sndq, and is in flight as well */
	uint32_t said = unlikely(tcb_is_called(c.t)) ? c.t->snd_wnd + tcb_flight(c.t) : 0;

	if (!sndbuf_is_auto(s, c.t))
		return tcp_sndbuf_set(s, c.t) + said;
	if (tcb_no_loss(c.t))
		return tcp_sndbuf_set(s, c.t) + said +
		       (tcb_has(c.t, TF_STUCK) && !memory_short(s) ? s->cfg.wmem.max : 0);
	return (uint32_t)min_u64(max_u64(2 * (uint64_t)tcb_cold(s, c)->cc.cwnd, s->cfg.wmem.start),
				 s->cfg.wmem.max);
}

uint32_t tcp_sndbuf_room(const struct stack *s, struct conn c, size_t len)
{
	uint32_t sndbuf = tcp_sndbuf(s, c), unacked = tcb_unacked(c.t);

	if (len > sndbuf && len <= s->cfg.wmem.max && c.t->sndq.bytes == 0 && tcb_no_loss(c.t) && !tcb_is_called(c.t) && sndbuf_is_auto(s, c.t) &&
	    !memory_short(s))
		return s->cfg.wmem.max;
	return sndbuf > unacked ? sndbuf - unacked : 0;
}

static bool sndbuf_is_full(const struct stack *s, struct conn c)
{
	return (uint64_t)tcb_unacked(c.t) * 3 > (uint64_t)tcp_sndbuf(s, c) * 2;
}

bool tcp_is_writable(const struct stack *s, struct conn c)
{
	return (!tcp_is_notsent(s, c.t) || tcb_is_called(c.t)) && !sndbuf_is_full(s, c);
}

void tcp_writable(struct stack *s, struct conn c)
{
	if (!tcb_has(c.t, TF_WANT_WRITE) || !tcp_is_writable(s, c))
		return;
	c.t->flags &= ~(uint32_t)TF_WANT_WRITE;
	tcp_event(s, c, STACK_EV_WRITABLE);
}

bool tcp_sndbuf_may_grow(const struct stack *s, struct conn c)
{
	return tcb_no_loss(c.t) && !tcb_has(c.t, TF_STUCK) && sndbuf_is_auto(s, c.t) &&
	       sndbuf_is_full(s, c) && !memory_short(s);
}

bool tcp_sndbuf_grow(struct stack *s, struct conn c)
{
	bool grows = tcp_sndbuf_may_grow(s, c);

	if (grows)
		c.t->flags |= TF_STUCK;
	tcp_writable(s, c); /* or there is memory again */
	return grows;
}

/*
 * The peer is about to leave and can't keep what we have no room for: all that its buffer may hold, beside what is here.
 * The program reads it when it likes. Also beyond what that has set: on the kernel it would be beyond the peer's end in the peer's buffer.
 */
void tcp_rcvbuf_take_all(struct stack *s, struct conn c)
{
	struct tcp_ext *ext;

	if (tcb_has(c.t, TF_FIN_RCVD) || memory_short(s))
		return;
	ext = tcp_conn_ext(s, c.t);
	if (ext == NULL)
		return;
	ext->take_bytes = s->cfg.rcvbuf_bytes + s->cfg.sndbuf_bytes + s->cfg.wmem.max;
	c.t->flags |= TF_ACK_OWED | TF_ACK_NOW;
}

/* The window that the buffer allows at the beginning */
static uint32_t rcvbuf_start(const struct stack *s, const struct tcb *t)
{
	return tcb_no_loss(t) || !rcvbuf_is_auto(s, t) ? tcp_rcvbuf_set(s, t)
						       : s->cfg.rmem.start / 2;
}

uint32_t tcp_rcvbuf(const struct stack *s, struct conn c)
{
	const struct tcp_tune *tune = tcb_tune(s, c);

	if (tcb_no_loss(c.t) || !rcvbuf_is_auto(s, c.t))
		return tcp_rcvbuf_set(s, c.t);
	if (tune != NULL)
		return tune->window_max;
	return max_u32(rcvbuf_start(s, c.t), tcb_synchronized(c.t) ? tcb_rcv_wnd(c.t) : 0);
}

/* tune, or what it would be, in @tmp */
static const struct tcp_tune *tune_or(const struct stack *s, struct conn c, struct tcp_tune *tmp)
{
	const struct tcp_tune *tune = tcb_tune(s, c);

	if (likely(tune != NULL))
		return tune;
	tcp_tune_get(s, c, tmp);
	return tmp;
}

/* ---- windows --------------------------------------------------------------------------------- */

static uint32_t whole_segments(uint32_t space, uint32_t mss)
{
	return space > mss ? space - space % mss : space;
}

/* What the frames of the link can hold, in full segments; @rtt_us: 0: not known, the path holds nothing */
static uint32_t window_link(const struct stack *s, struct conn c, uint32_t rtt_us)
{
	const struct link *link = link_find(&s->links, c.t->link);
	uint32_t mss = tcp_opt_link_mss(s, c) - (tcb_has(c.t, TF_TS) ? TCP_TS_BYTES : 0);
	uint64_t frames;

	if (link == NULL || link->rx_frames == 0)
		return UINT32_MAX;
	frames = link->rx_frames - link->hold_max;
	return (uint32_t)min_u64(frames * mss * max_u32(rtt_us / TUNE_AWAY_US, 1), UINT32_MAX);
}

/* What Linux begins with: whole segments */
static uint32_t window_start(const struct stack *s, struct conn c)
{
	uint32_t mss = tcp_opt_link_mss(s, c);

	if (c.t->state == TCP_SYN_RECEIVED && tcb_has(c.t, TF_TS))
		mss -= TCP_TS_BYTES;
	return whole_segments(min_u32(rcvbuf_start(s, c.t), window_link(s, c, 0)), mss);
}

uint16_t tcp_syn_window(const struct stack *s, struct conn c)
{
	uint32_t window = tcb_no_loss(c.t) ? tcp_rcvbuf_set(s, c.t) : window_start(s, c);

	return (uint16_t)min_u32(window, UINT16_MAX);
}

uint16_t tcp_syn_window_of(const struct stack *s, const struct tcp_ext *ext, uint32_t mss,
			   bool timestamps)
{
	uint32_t space = ext->rcvbuf_set ? ext->rcvbuf_bytes : s->cfg.rmem.start / 2;

	return (uint16_t)min_u32(whole_segments(space, timestamps ? mss - TCP_TS_BYTES : mss),
				 UINT16_MAX);
}

static uint32_t window_room(const struct tcb *t, uint32_t rcvbuf)
{
	return rcvbuf > t->rcvq.bytes ? rcvbuf - t->rcvq.bytes : 0;
}

/*
 * What would be offered by the state of the buffer alone; 0: less than is worth telling of
 * (3.8.6.2.2). Without scaling whole segments, and the old value while it is about right; with it,
 * rounded up, so that little room is not rounded to none.
 */
static uint32_t window_wanted(const struct stack *s, struct conn c, const struct tcp_tune *tune)
{
	const struct tcb *t = c.t;
	uint32_t shift = tcb_rcv_wscale(t);
	uint32_t full = tcp_rcvbuf(s, c);
	uint32_t mss = min_u32(tune->rcv_mss, full);
	uint32_t room = window_room(t, full);
	uint32_t last = seq_gt(t->rcv_adv, t->rcv_acked) ? t->rcv_adv - t->rcv_acked : 0;

	if (room < full / 2) {
		room = room >> shift << shift;
		if (room < full / 16 || room < mss)
			return 0;
	}
	room = min_u32(room, tune->ssthresh);
	if (shift != 0)
		return (uint32_t)bits_align_up(room, UINT64_C(1) << shift);
	if (last > room || last + mss <= room)
		return room - room % max_u32(mss, 1);
	if (mss == full && room > last + full / 2)
		return room;
	return last;
}

uint16_t tcp_window_lossy(struct stack *s, struct conn c)
{
	struct tcb *t = c.t;
	struct tcp_tune *tune = tcb_tune(s, c);
	uint32_t full = tcp_rcvbuf(s, c);
	struct tcp_tune tmp;

	if (tune != NULL && window_room(t, full) < full / 2)
		tune->quick = 0; /* who does not read need not hurry the sender */
	return tcp_window_offer(
		t, max_u32(window_wanted(s, c, tune_or(s, c, &tmp)), tcb_rcv_wnd(t)), full);
}

bool tcp_window_opens(const struct stack *s, struct conn c)
{
	struct tcp_tune tmp;
	uint32_t room = window_wanted(s, c, tune_or(s, c, &tmp));

	return room != 0 && room >= 2 * (uint64_t)tcb_rcv_wnd(c.t);
}

/* ---- what is learned ------------------------------------------------------------------------- */

void tcp_tune_get(const struct stack *s, struct conn c, struct tcp_tune *ret_tune)
{
	const struct tcp_tune *tune = tcb_tune(s, c);
	const struct tcb *t = c.t;
	uint32_t window, mss;

	if (tune != NULL) {
		*ret_tune = *tune;
		return;
	}
	mss = tcp_opt_link_mss(s, c);
	window = max_u32(window_start(s, c), tcb_rcv_wnd(t));
	*ret_tune = (struct tcp_tune){
		.snd_wnd_max = t->snd_wnd,
		.window_max = max_u32(rcvbuf_start(s, t), tcb_rcv_wnd(t)),
		.ssthresh = window,
		.read_seq = t->rcv_nxt - t->rcvq.bytes,
		.read_at_us = (uint32_t)s->now_us,
		.read_bytes = min_u32(window, 10 * mss),
		.data_in_ms = tcp_now_ms(s),
		.data_out_ms = tcp_now_ms(s),
		.ack_in_ms = tcp_now_ms(s),
		.ack_out_ms = tcp_now_ms(s),
		/* Until one was seen: small, so that acknowledgements are many at first */
		.rcv_mss = (uint16_t)max_u32(min_u32(min_u32(min_u32(mss, t->mss), window / 2),
						     TCP_MSS_DEFAULT),
					     88),
	};
}

struct tcp_tune *tcp_tune_need(struct stack *s, struct conn c)
{
	struct tcb_cold *cold = tcb_cold(s, c);
	struct tcp_tune fresh;

	if (likely(cold->tune != 0))
		return tcb_tune(s, c);
	if (!tcb_synchronized(c.t) || c.t->state == TCP_TIME_WAIT)
		return NULL;
	tcp_tune_get(s, c, &fresh);
	cold->tune = pool_get(&s->tcp->tunes);
	if (cold->tune == 0)
		return NULL;
	*tcb_tune(s, c) = fresh;
	tcp_timer_tune(s, c);
	return tcb_tune(s, c);
}

void tcp_tune_free(struct stack *s, struct conn c)
{
	struct tcb_cold *cold = tcb_cold(s, c);

	if (cold->tune == 0)
		return;
	pool_put(&s->tcp->tunes, cold->tune);
	cold->tune = 0;
}

/* By a window's worth it is too long rather than too short: the least counts. */
static void tune_rtt(struct tcp_tune *tune, uint32_t rtt_us, bool by_window)
{
	rtt_us = min_u32(max_u32(rtt_us, 1), TCP_RTO_MAX_MS * 1000);
	if (tune->rtt_us == 0)
		tune->rtt_us = rtt_us;
	else if (by_window)
		tune->rtt_us = min_u32(tune->rtt_us, rtt_us);
	else
		tune->rtt_us = max_u32(tune->rtt_us - tune->rtt_us / 8 + rtt_us / 8, 1);
}

static void tune_measure_window(const struct stack *s, const struct tcb *t, struct tcp_tune *tune)
{
	uint32_t now_us = (uint32_t)s->now_us | 1; /* 0 means that none has begun */

	if (tune->rtt_at_us != 0) {
		if (seq_lt(t->rcv_nxt, tune->rtt_seq))
			return;
		tune_rtt(tune, now_us - tune->rtt_at_us, true);
	}
	tune->rtt_seq = t->rcv_adv;
	tune->rtt_at_us = now_us;
}

/* By the echo of a timestamp in a full segment, which is sent when our acknowledgement comes */
static void tune_measure_ts(const struct stack *s, const struct tcb *t, struct tcp_tune *tune,
			    uint32_t len, uint32_t ts_ecr)
{
	uint32_t rtt_ms = tcp_ts_now(s, t) - ts_ecr;

	if (ts_ecr == 0 || ts_ecr == tune->ts_ecr)
		return;
	tune->ts_ecr = ts_ecr;
	if (len >= tune->rcv_mss && rtt_ms <= TCP_RTO_MAX_MS)
		tune_rtt(tune, max_u32(rtt_ms, 1) * 1000, false);
}

/* Three quarters of all memory are taken: windows do not grow any more. */
static bool tune_memory_short(const struct stack *s)
{
	return s->mem.bytes > s->mem.bytes_max / 4 * 3;
}

void tcp_tune_arrived(struct stack *s, struct conn c, struct tcp_tune *tune, uint32_t len,
		      uint32_t ts_ecr)
{
	struct tcb *t = c.t;
	uint32_t most, grow;

	if (tcb_has(t, TF_TS))
		tune_measure_ts(s, t, tune, len, ts_ecr);
	else
		tune_measure_window(s, t, tune);
	if (len < TUNE_GROW_LEN_MIN || tune_memory_short(s))
		return;
	most = window_room(t, tcp_rcvbuf(s, c));
	if (most <= tune->ssthresh)
		return;
	most = min_u32(most, window_link(s, c, tune->rtt_us));
	if (most <= tune->ssthresh)
		return;
	grow = max_u32(2 * tcp_opt_link_mss(s, c), 2 * len);
	tune->ssthresh += min_u32(most - tune->ssthresh, grow);
	tune->quick |= 1; /* the sender is to hear of it soon */
}

/* @bytes were read in one round trip, more than ever before. */
static void tune_grow(struct stack *s, struct conn c, struct tcp_tune *tune, uint32_t bytes)
{
	uint64_t want = 2 * (uint64_t)bytes + 16 * tcp_opt_link_mss(s, c);

	/* It still grows by some part: by the time our offer counts it will have, twice. */
	if (tune->read_bytes != 0)
		want += 2 * (want * (bytes - tune->read_bytes) / tune->read_bytes);
	want = min_u64(want, s->cfg.rmem.max / 2);
	if (want > tune->window_max)
		tune->window_max = (uint32_t)want;
}

void tcp_tune_read(struct stack *s, struct conn c)
{
	struct tcp_tune *tune = tcb_tune(s, c);
	uint32_t read_seq = c.t->rcv_nxt - c.t->rcvq.bytes;
	uint32_t now_us = (uint32_t)s->now_us;
	uint32_t bytes;

	if (tune == NULL || tune->rtt_us == 0 || now_us - tune->read_at_us < tune->rtt_us)
		return;
	bytes = read_seq - tune->read_seq;
	if (bytes > tune->read_bytes) {
		if (rcvbuf_is_auto(s, c.t) && !tune_memory_short(s))
			tune_grow(s, c, tune, bytes);
		tune->read_bytes = bytes;
	}
	tune->read_seq = read_seq;
	tune->read_at_us = now_us;
}
