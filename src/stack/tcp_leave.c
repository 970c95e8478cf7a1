// SPDX-License-Identifier: BSD-2-Clause
#include "stack/tcp_leave.h"

#include "stack/tcp.h"

#include <errno.h>

enum { DEAF_MS = 2000 }; /* longer than frames wait anywhere on their way here, spilled ones included */

int tcp_place(const struct stack *s, struct tcp_id id, struct tcp_place *ret_place)
{
	struct conn c = conn_at(s, id.v);
	const struct tcb *t = c.t;
	bool fin_sent = tcb_has(t, TF_FIN_SENT), fin_acked = fin_sent && t->snd_una == t->snd_nxt;
	uint32_t rcv_end = t->rcv_nxt - (tcb_has(t, TF_FIN_RCVD) ? 1 : 0);
	uint32_t rcv_acked = seq_min(t->rcv_acked, rcv_end);
	struct flow_key key;

	if (t->state == TCP_CLOSED)
		return -ENOTCONN;
	if (tcb_no_loss(t))
		return -EOPNOTSUPP;
	/* nobody else would send the SYN-ACK again */
	if (!tcb_synchronized(t) || tcb_has(t, TF_FASTOPEN))
		return -EAGAIN;
	tcp_conn_key(s, c, &key);
	*ret_place = (struct tcp_place){
		.local = { key.local, t->lport },
		.remote = { key.remote, t->rport },
		.rcv_seq = rcv_end - t->rcvq.bytes,
		.rcv_bytes = t->rcvq.bytes,
		.snd_seq = t->snd_una - (fin_acked ? 1 : 0),
		.snd_bytes = t->sndq.bytes,
		.sent_bytes = min_u32(t->snd_nxt - t->snd_una, t->sndq.bytes),
		.rcv_acked = rcv_acked,
		.rcv_wnd = t->rcv_adv - rcv_acked,
		.snd_wnd = t->snd_wnd,
		.ts = tcp_ts_now(s, t),
		.mss = (uint16_t)(t->mss + (tcb_has(t, TF_TS) ? TCP_TS_BYTES : 0)),
		.snd_wscale = (uint8_t)tcb_snd_wscale(t),
		.rcv_wscale = (uint8_t)tcb_rcv_wscale(t),
		.sack = tcb_has(t, TF_SACK),
		.timestamps = tcb_has(t, TF_TS),
		.fin = tcb_has(t, TF_FIN_QUEUED),
		.fin_sent = fin_sent,
		.fin_acked = fin_acked,
		.fin_rcvd = tcb_has(t, TF_FIN_RCVD),
	};
	return 0;
}

void tcp_place_queues(const struct stack *s, struct tcp_id id, uint8_t *buf)
{
	const struct tcb *t = conn_at(s, id.v).t;

	bufq_read_at(&s->bufs, &t->rcvq, 0, buf, t->rcvq.bytes, NULL);
	bufq_read_at(&s->bufs, &t->sndq, 0, buf + t->rcvq.bytes, t->sndq.bytes, NULL);
}

enum tcp_stay tcp_stay(const struct stack *s, struct tcp_id id)
{
	const struct tcb *t = conn_at(s, id.v).t;

	/* what is unread then can be read without the link */
	if (t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT)
		return TCP_STAY_NONE;
	if (tcb_has(t, TF_EMBRYO))
		return TCP_STAY_EARLY;
	return tcb_has(t, TF_OWNED) ? TCP_STAY_HELD : TCP_STAY_ALONE;
}

void tcp_leave(struct stack *s, struct tcp_id id)
{
	struct conn c = conn_at(s, id.v);

	stack_event_del(s, ref_tcp(c.id));
	c.t->flags &= ~(uint32_t)TF_OWNED;
	tcp_conn_strip(s, c);
	bufq_drop(&s->bufs, &c.t->rcvq);
	/* in this state nothing waits any more */
	c.t->snd_una = c.t->snd_nxt;
	c.t->state = TCP_TIME_WAIT;
	c.t->flags = (c.t->flags & ~(uint32_t)TF_WANT_WRITE) | TF_FIN_QUEUED | TF_FIN_SENT | TF_FIN_RCVD | TF_HELD | TF_TW_LAST;
	tcp_timer_linger(s, c, DEAF_MS);
}
