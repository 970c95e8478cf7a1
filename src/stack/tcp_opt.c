// SPDX-License-Identifier: BSD-2-Clause
/*
 * Options in SYN and SYN-ACK: MSS (RFC 9293 3.7.1, RFC 6691), window scale and timestamps (RFC
 * 7323), SACK permitted (RFC 2018). Each holds only if both sides sent it.
 */
#include "stack/tcp_mtu.h"

uint32_t tcp_opt_link_mss(const struct stack *s, struct conn c)
{
	const struct tcp_ext *ext = tcb_ext(s, c.t);
	uint32_t mss = ip_l4_max(link_at(&s->links, c.t->link), tcb_v4(c.t)) - TCP_HDR_BYTES;

	if (ext != NULL && ext->maxseg != 0)
		mss = min_u32(mss, ext->maxseg);
	return mss;
}

/*
 * The shift that lets the window grow to what the buffer may become (Linux: from tcp_rmem[2], not
 * from the present size).
 */
uint8_t tcp_opt_wscale(const struct stack *s, uint32_t rcvbuf)
{
	uint32_t space = max_u32(rcvbuf, s->cfg.rmem.max);
	uint8_t shift = 0;

	while (shift < TCP_WSCALE_MAX && space >> shift > UINT16_MAX)
		shift++;
	return shift;
}

void tcp_opt_syn(const struct stack *s, struct conn c, struct tcp_opts *ret_opts)
{
	const struct tcb *t = c.t;
	bool offer = t->state == TCP_SYN_SENT;

	ret_opts->present = TCP_HAS_MSS;
	ret_opts->mss = (uint16_t)tcp_opt_link_mss(s, c);
	if (offer ? !s->cfg.tcp.no_wscale : t->wscale != 0) {
		ret_opts->present |= TCP_HAS_WSCALE;
		ret_opts->wscale = offer ? tcp_opt_wscale(s, tcp_rcvbuf_set(s, t))
					 : (uint8_t)tcb_rcv_wscale(t);
	}
	if (tcb_has(t, TF_SACK))
		ret_opts->present |= TCP_HAS_SACK_PERMITTED;
	if (t->ext != 0 && tcb_ext(s, t)->uto_s != 0) {
		ret_opts->present |= TCP_HAS_UTO;
		ret_opts->uto = tcp_uto_field(tcb_ext(s, t)->uto_s);
	}
	if (tcb_has(t, TF_TS)) {
		ret_opts->present |= TCP_HAS_TS;
		ret_opts->ts_val = tcp_ts_now(s, t);
		ret_opts->ts_ecr = offer ? 0 : t->ts_recent;
	}
}

void tcp_opt_agree(struct stack *s, struct conn c, const struct tcp_opts *opts)
{
	struct tcb *t = c.t;
	uint32_t mss = tcb_v4(t) ? TCP_MSS_DEFAULT : TCP_MSS_DEFAULT_V6;

	if ((opts->present & TCP_HAS_MSS) != 0)
		mss = max_u32(opts->mss, TCP_MSS_MIN);
	mss = min_u32(mss, tcp_opt_link_mss(s, c));

	tcp_uto_input(s, t, opts);
	t->wscale = 0;
	if ((opts->present & TCP_HAS_WSCALE) != 0 && !s->cfg.tcp.no_wscale)
		t->wscale = (uint8_t)(opts->wscale |
				      tcp_opt_wscale(s, tcp_rcvbuf_set(s, t)) << 4);
	if ((opts->present & TCP_HAS_SACK_PERMITTED) == 0)
		t->flags &= ~(uint32_t)TF_SACK;
	if ((opts->present & TCP_HAS_TS) == 0)
		t->flags &= ~(uint32_t)TF_TS;
	if (tcb_has(t, TF_TS)) {
		t->ts_recent = opts->ts_val;
		mss -= TCP_TS_BYTES;
	}
	t->mss = (uint16_t)mss;
	tcp_mtu_start(s, c);
	if (!tcb_no_loss(t)) {
		struct tcb_cold *cold = tcb_cold(s, c);

		cold->cc.cwnd = cc_initial_window(t->mss);
	}
}
