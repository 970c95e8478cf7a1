// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pacing: data leave at a rate, not as acknowledgements come
 *
 * Who is paced
 *
 *	BBR, always: it has a rate, and no window that would do instead.
 *	CUBIC and Reno if the program says how fast at most (TCP_OPT_PACING, Linux's
 *	SO_MAX_PACING_RATE); then at Linux's rate, 120 % of a window per round trip, 200 % in early
 *	slow start, or what the program says if that is less. Not by default: Linux does not either
 *	without the fq queue, and acknowledgements clock them well enough.
 *
 * A paced connection has a `struct tcp_pace`; others do not pay for any of this. `next_ns` is when
 * the next burst may begin: each segment moves it by the time that it takes at the rate. A burst is
 * 1 ms of the rate, at least two segments and at most 64 KiB, as Linux sizes its TSO packets
 * (tcp_tso_autosize()); that is fine enough for any queue, and a timer per millisecond at most. A
 * burst that begins late gets back up to half of itself. The first ten segments of a connection
 * leave at once, as in fq(8).
 *
 * The timers are on a wheel of their own with ticks of 64 us, which is told time in sixteenths of a
 * microsecond: the stack's other wheel ticks in milliseconds, and that is what its many timers want.
 * Nothing turns it while nobody is held.
 *
 * What is paced is data, new ones and those sent again, and FIN; not acknowledgements and probes.
 */
#include "stack/tcp_pace.h"

#include <errno.h>

#define BURST_MAX 65536u
#define BURST_PER_S 1024u
#define BURST_SEGS_MIN 2u
#define FIRST_SEGS 10u
#define SCALE_SHIFT 4 /* pace_wheel's units in a us, log2 */

static struct tcp_pace *pace_at(const struct stack *s, uint32_t idx)
{
	return pool_at_sized(&s->tcp->pace, idx, sizeof(struct tcp_pace));
}

static struct ref pace_ref(uint32_t idx)
{
	return ref_of(REF_PACE, idx);
}

/* ---- who is paced ---------------------------------------------------------------------------- */

int tcp_pace_update(struct stack *s, struct conn c)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);
	bool want = tcp_cc_ops(c.t)->pacing != NULL || (ext != NULL && ext->pace_max_Bps != 0);

	if (!want || tcb_no_loss(c.t) || !tcb_synchronized(c.t) || c.t->state == TCP_TIME_WAIT) {
		tcp_pace_stop(s, c);
		return 0;
	}
	ext = tcp_conn_ext(s, c.t);
	if (ext == NULL)
		return -ENOMEM;
	if (ext->pace != 0)
		return 0;
	ext->pace = pool_get(&s->tcp->pace);
	if (ext->pace == 0)
		return -ENOMEM;
	*pace_at(s, ext->pace) = (struct tcp_pace){
		.conn = c.id,
		.burst_bytes = FIRST_SEGS * c.t->mss,
	};
	return 0;
}

void tcp_pace_stop(struct stack *s, struct conn c)
{
	struct tcp_ext *ext = tcb_ext(s, c.t);

	if (ext == NULL || ext->pace == 0)
		return;
	if (wheel_armed(&pace_at(s, ext->pace)->wheel)) {
		wheel_disarm(&s->pace_wheel, pace_ref(ext->pace));
		tcp_output_later(s, c);
	}
	pool_put(&s->tcp->pace, ext->pace);
	ext->pace = 0;
}

uint64_t tcp_pace_rate(const struct stack *s, struct conn c)
{
	const struct tcb_cold *cold = tcb_cold(s, c);
	const struct tcp_ext *ext = tcb_ext(s, c.t);
	uint64_t Bps = tcp_cc_pacing(s, c);
	uint32_t percent = cold->cc.cwnd < cold->cc.ssthresh / 2 ? 200 : 120;

	if (Bps == 0)
		Bps = (uint64_t)max_u32(cold->cc.cwnd, tcb_flight(c.t)) * US_PER_SEC /
		      max_u32(cold->srtt_us, 1) * percent / 100;
	if (ext != NULL && ext->pace_max_Bps != 0)
		Bps = min_u64(Bps, ext->pace_max_Bps);
	return max_u64(Bps, 1);
}

/* ---- sending --------------------------------------------------------------------------------- */

static uint32_t pace_burst(const struct tcb *t, uint64_t Bps)
{
	uint32_t burst = (uint32_t)min_u64(Bps / BURST_PER_S, BURST_MAX);

	return max_u32(burst, BURST_SEGS_MIN * t->mss);
}

bool tcp_pace_held(const struct stack *s, const struct tcb *t)
{
	const struct tcp_ext *ext = tcb_ext(s, t);

	return ext != NULL && ext->pace != 0 && wheel_armed(&pace_at(s, ext->pace)->wheel);
}

bool tcp_pace_hold(struct stack *s, struct conn c)
{
	uint32_t idx = tcb_ext(s, c.t)->pace;
	struct tcp_pace *pace;
	uint64_t now_ns = s->now_us * 1000, Bps, early_ns;
	uint32_t burst;

	if (idx == 0)
		return false;
	pace = pace_at(s, idx);
	if (pace->burst_bytes != 0)
		return false;
	if (s->pace_wheel.armed_cnt == 0)
		tcp_pace_run(s); /* it did not turn */
	if (pace->next_ns > now_ns) {
		if (!wheel_armed(&pace->wheel))
			wheel_arm(&s->pace_wheel, pace_ref(idx), pace->next_ns * 2 / 125);
		return true;
	}
	Bps = tcp_pace_rate(s, c);
	burst = pace_burst(c.t, Bps);
	early_ns = burst * UINT64_C(500000000) / Bps;
	pace->next_ns = max_u64(pace->next_ns, now_ns - min_u64(early_ns, now_ns));
	pace->burst_bytes = burst;
	return false;
}

void tcp_pace_sent(struct stack *s, struct conn c, uint32_t len)
{
	uint32_t idx = tcb_ext(s, c.t)->pace;
	struct tcp_pace *pace;

	if (idx == 0)
		return;
	pace = pace_at(s, idx);
	pace->burst_bytes -= min_u32(pace->burst_bytes, len);
	pace->next_ns += len * UINT64_C(1000000000) / tcp_pace_rate(s, c);
}

/* ---- time ------------------------------------------------------------------------------------ */

void tcp_pace_init(struct stack *s)
{
	wheel_init(&s->pace_wheel, s->now_us << SCALE_SHIFT);
	ref_space_set(&s->pace_wheel.nodes, REF_PACE, &s->tcp->pace,
		      offsetof(struct tcp_pace, wheel));
}

static void pace_fire(void *arg, struct ref ref)
{
	struct stack *s = arg;
	uint32_t id = pace_at(s, ref_id(ref))->conn;

	tcp_output_later(s, conn_at(s, id));
}

void tcp_pace_run(struct stack *s)
{
	wheel_run(&s->pace_wheel, s->now_us << SCALE_SHIFT, UINT32_MAX, pace_fire, s);
}

uint64_t tcp_pace_next_us(const struct stack *s)
{
	return s->pace_wheel.armed_cnt != 0 ? wheel_next_us(&s->pace_wheel) >> SCALE_SHIFT
					    : TIME_NEVER;
}
