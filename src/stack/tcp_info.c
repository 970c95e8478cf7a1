// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a connection knows about itself, and what can be set about it
 */
#include "stack/tcp_call.h"
#include "stack/tcp_mtu.h"
#include "stack/tcp_pace.h"

#include <errno.h>

#define MAXSEG_MIN 88u /* Linux's TCP_MIN_MSS */

uint32_t tcp_ready(const struct stack *s, struct tcp_id id)
{
	struct tcb *t = conn_at(s, id.v).t;
	uint32_t ready = 0;

	if (t->rcvq.bytes != 0 || tcb_has(t, TF_FIN_RCVD))
		ready |= STACK_EV_READABLE;
	if (tcb_has(t, TF_FIN_RCVD))
		ready |= STACK_EV_EOF;
	if (ready != 0 && unlikely(tcb_is_unheard(t)))
		ready = 0;
	if (t->state == TCP_CLOSED) {
		ready |= STACK_EV_READABLE | STACK_EV_WRITABLE;
		if (t->err != 0 && !tcb_has(t, TF_ERR_TOLD))
			ready |= STACK_EV_ERROR;
		if (tcb_outlives_link(t))
			ready |= STACK_EV_CONNECTED;
		return ready;
	}
	if (!tcb_synchronized(t))
		return ready;
	if (t->state == TCP_TIME_WAIT) /* to the program as over as CLOSED */
		return ready | STACK_EV_WRITABLE;
	ready |= STACK_EV_CONNECTED;
	/* A side that is shut answers at once, too: with EPIPE. */
	if (!tcb_can_send(t) || tcb_has(t, TF_FIN_QUEUED) || tcp_is_writable(s, conn_at(s, id.v)))
		ready |= STACK_EV_WRITABLE;
	else /* who asks may wait for it, though no send fell short */
		t->flags |= TF_WANT_WRITE;
	return ready;
}

int tcp_error(struct stack *s, struct tcp_id id, bool clear)
{
	struct tcb *t = conn_at(s, id.v).t;

	if (t->state != TCP_CLOSED || tcb_has(t, TF_ERR_TOLD))
		return 0;
	if (clear && t->err != 0)
		t->flags |= TF_ERR_TOLD;
	return t->err;
}

int tcp_soft_error(struct stack *s, struct tcp_id id)
{
	struct tcp_rtx *rtx = tcb_rtx(s, conn_at(s, id.v).t);
	int err = rtx != NULL ? rtx->soft_err : 0;

	if (err != 0)
		rtx->soft_err = 0;
	return err;
}

void tcp_endpoints(const struct stack *s, struct tcp_id id, struct endpoint *ret_local,
		   struct endpoint *ret_remote)
{
	struct flow_key key;

	tcp_conn_key(s, conn_at(s, id.v), &key);
	*ret_local = (struct endpoint){ .addr = key.local, .port = key.local_port };
	*ret_remote = (struct endpoint){ .addr = key.remote, .port = key.remote_port };
}

/* ---- options --------------------------------------------------------------------------------- */

enum { TOS_OF_PROGRAM = 0xfc }; /* the ECN bits are TCP's */

/* Options that are a flag, or 0 */
static uint32_t option_flag(enum tcp_option opt)
{
	switch (opt) {
	case TCP_OPT_NODELAY:
		return TF_NODELAY;
	case TCP_OPT_CORK:
		return TF_CORK;
	case TCP_OPT_QUICKACK:
		return TF_PINGPONG; /* its opposite */
	case TCP_OPT_KEEPALIVE:
		return TF_KEEPALIVE;
	default:
		return 0;
	}
}

/* Range of the others. Return: false: no such option. */
static bool option_range(enum tcp_option opt, uint64_t *ret_min, uint64_t *ret_max)
{
	static const struct {
		uint64_t min, max;
	} ranges[] = {
		[TCP_OPT_KEEPIDLE_S] = { 1, 32767 },  [TCP_OPT_KEEPINTVL_S] = { 1, 32767 },
		[TCP_OPT_KEEPCNT] = { 1, 127 },	      [TCP_OPT_USER_TIMEOUT_MS] = { 0, INT32_MAX },
		[TCP_OPT_SNDBUF] = { 0, UINT32_MAX }, [TCP_OPT_RCVBUF] = { 0, UINT32_MAX },
		[TCP_OPT_MAXSEG] = { 0, 32767 },      [TCP_OPT_CONGESTION] = { 0, 3 },
		[TCP_OPT_TOS] = { 0, 255 },	      [TCP_OPT_TTL] = { 0, 255 },
		[TCP_OPT_UTO_S] = { 0, 32767 * 60 },
		[TCP_OPT_SYNCNT] = { 1, 127 },	      [TCP_OPT_LINGER2_S] = { 0, 255 },
		[TCP_OPT_FASTOPEN_MAX] = { 0, 65535 },
		[TCP_OPT_DEFER_ACCEPT_S] = { 0, INT32_MAX },
		[TCP_OPT_PACING] = { 0, UINT64_MAX }, [TCP_OPT_NOTSENT_LOWAT] = { 0, UINT32_MAX },
	};

	if ((unsigned int)opt >= ARRAY_SIZE(ranges) || ranges[opt].max == 0)
		return false;
	*ret_min = ranges[opt].min;
	*ret_max = ranges[opt].max;
	return true;
}

/*
 * DEFER_ACCEPT is kept as the number of SYN-ACKs that fit into it, with their back-off (as Linux).
 */
static uint8_t defer_cnt(uint32_t seconds)
{
	uint32_t step_ms = TCP_RTO_INIT_MS;
	uint64_t sum_ms = 0;
	uint8_t cnt = 0;

	for (; sum_ms < seconds * UINT64_C(1000) && cnt < UINT8_MAX; cnt++) {
		sum_ms += step_ms;
		step_ms = min_u32(2 * step_ms, TCP_RTO_MAX_MS);
	}
	return cnt;
}

static uint32_t defer_s(uint8_t cnt)
{
	uint32_t step_ms = TCP_RTO_INIT_MS;
	uint64_t sum_ms = 0;

	for (; cnt > 0; cnt--) {
		sum_ms += step_ms;
		step_ms = min_u32(2 * step_ms, TCP_RTO_MAX_MS);
	}
	return (uint32_t)(sum_ms / 1000);
}

/* @value is in range. */
static void ext_set(struct tcp_ext *ext, enum tcp_option opt, uint64_t value64)
{
	uint32_t value = (uint32_t)value64;

	switch (opt) {
	case TCP_OPT_KEEPIDLE_S:
		ext->keepidle_s = (uint16_t)value;
		break;
	case TCP_OPT_KEEPINTVL_S:
		ext->keepintvl_s = (uint16_t)value;
		break;
	case TCP_OPT_KEEPCNT:
		ext->keepcnt = (uint8_t)value;
		break;
	case TCP_OPT_USER_TIMEOUT_MS:
		ext->user_timeout_ms = value;
		ext->user_timeout_set = value != 0;
		break;
	case TCP_OPT_UTO_S:
		ext->uto_s = value;
		break;
	case TCP_OPT_SNDBUF:
		ext->sndbuf_bytes = min_u32(max_u32(value, TCP_BUF_MIN), TCP_BUF_MAX);
		ext->sndbuf_set = true;
		break;
	case TCP_OPT_RCVBUF:
		ext->rcvbuf_bytes = min_u32(max_u32(value, TCP_BUF_MIN), TCP_BUF_MAX);
		ext->rcvbuf_set = true;
		break;
	case TCP_OPT_MAXSEG:
		ext->maxseg = (uint16_t)value;
		break;
	case TCP_OPT_TOS:
		ext->tos = (uint8_t)(value & TOS_OF_PROGRAM);
		break;
	case TCP_OPT_TTL:
		ext->ttl = (uint8_t)value;
		break;
	case TCP_OPT_SYNCNT:
		ext->syncnt = (uint8_t)value;
		break;
	case TCP_OPT_LINGER2_S:
		ext->linger2_s = (uint8_t)(value == TCP_LINGER2_NONE ? value : min_u32(value, 120));
		break;
	case TCP_OPT_FASTOPEN_MAX:
		ext->fastopen_max = (uint16_t)value;
		break;
	case TCP_OPT_DEFER_ACCEPT_S:
		ext->defer = defer_cnt(value);
		break;
	case TCP_OPT_PACING:
		ext->pace_max_Bps = value64 != UINT64_MAX ? value64 : 0;
		break;
	case TCP_OPT_NOTSENT_LOWAT:
		ext->notsent_lowat = value;
		break;
	default:
		VJ_UNREACHABLE();
	}
}

static int ext_get(const struct tcp_ext *ext, enum tcp_option opt, uint64_t *ret_value)
{
	switch (opt) {
	case TCP_OPT_KEEPIDLE_S:
		*ret_value = ext->keepidle_s;
		return 0;
	case TCP_OPT_KEEPINTVL_S:
		*ret_value = ext->keepintvl_s;
		return 0;
	case TCP_OPT_KEEPCNT:
		*ret_value = ext->keepcnt;
		return 0;
	case TCP_OPT_USER_TIMEOUT_MS:
		*ret_value = ext->user_timeout_ms;
		return 0;
	case TCP_OPT_UTO_S:
		*ret_value = ext->uto_s;
		return 0;
	case TCP_OPT_SNDBUF:
		*ret_value = ext->sndbuf_bytes;
		return 0;
	case TCP_OPT_RCVBUF:
		*ret_value = ext->rcvbuf_bytes;
		return 0;
	case TCP_OPT_MAXSEG:
		*ret_value = ext->maxseg;
		return 0;
	case TCP_OPT_TOS:
		*ret_value = ext->tos;
		return 0;
	case TCP_OPT_TTL:
		*ret_value = ext->ttl;
		return 0;
	case TCP_OPT_SYNCNT:
		*ret_value = ext->syncnt;
		return 0;
	case TCP_OPT_LINGER2_S:
		*ret_value = ext->linger2_s;
		return 0;
	case TCP_OPT_FASTOPEN_MAX:
		*ret_value = ext->fastopen_max;
		return 0;
	case TCP_OPT_DEFER_ACCEPT_S:
		*ret_value = defer_s(ext->defer);
		return 0;
	case TCP_OPT_PACING:
		*ret_value = ext->pace_max_Bps;
		return 0;
	case TCP_OPT_NOTSENT_LOWAT:
		*ret_value = ext->notsent_lowat;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* What a change means for a connection that is running */
static void option_applied(struct stack *s, struct conn c, enum tcp_option opt)
{
	struct tcb *t = c.t;

	if (t->state == TCP_CLOSED || !tcb_synchronized(t))
		return;
	switch (opt) {
	case TCP_OPT_NODELAY:
		/* What is there goes at once, from under a cork, too (as Linux). */
		if (tcb_unsent(t) != 0 && tcb_has(t, TF_NODELAY))
			(void)tcp_output(s, c, true);
		break;
	case TCP_OPT_CORK:
		if (tcb_unsent(t) != 0)
			tcp_output_later(s, c);
		break;
	case TCP_OPT_KEEPALIVE:
	case TCP_OPT_KEEPIDLE_S:
	case TCP_OPT_KEEPINTVL_S:
		if (tcb_has(t, TF_KEEPALIVE))
			tcp_timer_keepalive(s, c);
		break;
	case TCP_OPT_QUICKACK:
		if (!tcb_no_loss(t) && !tcb_has(t, TF_PINGPONG) && tcb_has(t, TF_ACK_OWED)) {
			t->flags |= TF_ACK_NOW;
			tcp_output_later(s, c);
		}
		break;
	case TCP_OPT_RCVBUF:
		tcp_data_consumed(s, c);
		break;
	case TCP_OPT_UTO_S:
		if (tcb_ext(s, t)->uto_s != 0 && t->state != TCP_TIME_WAIT)
			tcp_send_uto(s, c);
		break;
	case TCP_OPT_SNDBUF:
	case TCP_OPT_NOTSENT_LOWAT:
		tcp_writable(s, c);
		break;
	default:
		break;
	}
}

int tcp_option_check(enum tcp_option opt, uint64_t value)
{
	uint64_t min, max;

	if (option_flag(opt) != 0)
		return 0;
	if (!option_range(opt, &min, &max))
		return -ENOPROTOOPT;
	if (value < min || value > max ||
	    (opt == TCP_OPT_CONGESTION && cc_find((unsigned int)value) == NULL) ||
	    (opt == TCP_OPT_MAXSEG && value != 0 && value < MAXSEG_MIN))
		return -EINVAL;
	return 0;
}

/* Options that live in the flags. Return: false: this one does not. */
static bool option_set_flags(uint32_t *flags, enum tcp_option opt, uint64_t value)
{
	uint32_t flag = option_flag(opt);

	if (opt == TCP_OPT_QUICKACK)
		value = value == 0;
	if (opt == TCP_OPT_CONGESTION)
		*flags = (*flags & ~TF_CC_MASK) | (uint32_t)value << TF_CC_SHIFT;
	else if (flag != 0)
		*flags = value != 0 ? *flags | flag : *flags & ~flag;
	else
		return false;
	return true;
}

int tcp_option_set(struct stack *s, struct tcp_id id, enum tcp_option opt, uint64_t value)
{
	struct conn c = conn_at(s, id.v);
	int err = tcp_option_check(opt, value);

	if (err != 0)
		return err;
	if (opt == TCP_OPT_CONGESTION)
		return tcp_cc_set(s, c, (unsigned int)value);
	/* What the SYNs said holds (as Linux). */
	if (opt == TCP_OPT_MAXSEG && tcb_synchronized(c.t))
		return 0;
	/* Keep-alive needs its times, everything that is not a flag needs a place. */
	if ((option_flag(opt) == 0 || opt == TCP_OPT_KEEPALIVE) &&
	    tcp_conn_ext(s, c.t) == NULL)
		return -ENOMEM;
	if (!option_set_flags(&c.t->flags, opt, value))
		ext_set(tcb_ext(s, c.t), opt, value);
	option_applied(s, c, opt);
	return opt == TCP_OPT_PACING ? tcp_pace_update(s, c) : 0;
}

void tcp_settings_set(struct stack *s, const struct tcp_settings *settings)
{
	VJ_ASSERT(cc_find(settings->congestion) != NULL);
	s->cfg.tcp = *settings;
}

static void listener_ext_need(struct stack *s, struct tcp_listener *l)
{
	if (l->has_ext)
		return;
	tcp_ext_defaults(s, &l->ext);
	l->has_ext = true;
}

void tcp_listener_mark(struct stack *s, struct listener_id id, bool v4, uint8_t tos, uint8_t ttl)
{
	struct tcp_listener *l = pool_at_sized(&s->tcp->listeners, id.v, sizeof(*l));

	listener_ext_need(s, l);
	l->marked[v4] = true;
	l->tos[v4] = (uint8_t)(tos & TOS_OF_PROGRAM);
	l->ttl[v4] = ttl;
}

int tcp_listener_option_set(struct stack *s, struct listener_id id, enum tcp_option opt,
			    uint64_t value)
{
	struct tcp_listener *l = pool_at_sized(&s->tcp->listeners, id.v, sizeof(*l));
	int err = tcp_option_check(opt, value);

	if (err != 0)
		return err;
	if (opt != TCP_OPT_CONGESTION && (option_flag(opt) == 0 || opt == TCP_OPT_KEEPALIVE))
		listener_ext_need(s, l);
	l->has_cc |= opt == TCP_OPT_CONGESTION;
	if (!option_set_flags(&l->flags, opt, value))
		ext_set(&l->ext, opt, value);
	return 0;
}

int tcp_option_get(const struct stack *s, struct tcp_id id, enum tcp_option opt,
		   uint64_t *ret_value)
{
	const struct tcb *t = conn_at(s, id.v).t;
	uint32_t flag = option_flag(opt);
	struct tcp_ext ext;

	if (flag != 0) {
		*ret_value = ((t->flags & flag) != 0) != (opt == TCP_OPT_QUICKACK);
		return 0;
	}
	if (opt == TCP_OPT_SNDBUF || (opt == TCP_OPT_RCVBUF && !tcb_no_loss(t))) {
		*ret_value = opt == TCP_OPT_SNDBUF ? tcp_sndbuf(s, conn_at(s, id.v))
						   : tcp_rcvbuf(s, conn_at(s, id.v));
		return 0;
	}
	if (opt == TCP_OPT_CONGESTION) {
		*ret_value = tcp_cc_idx(t);
		return 0;
	}
	if (opt == TCP_OPT_MAXSEG) {
		*ret_value = t->mss;
		return 0;
	}
	if (t->ext != 0)
		ext = *tcb_ext(s, t);
	else
		tcp_ext_defaults(s, &ext);
	return ext_get(&ext, opt, ret_value);
}

/* ---- information ----------------------------------------------------------------------------- */

/* As Linux: SYN_RECEIVED until the SYN-ACK is acknowledged */
static enum tcp_state info_state(const struct tcb *t)
{
	return t->state == TCP_ESTABLISHED && tcb_is_fastopen(t) ? TCP_SYN_RECEIVED
								      : (enum tcp_state)t->state;
}

static uint8_t info_ca(const struct tcp_rtx *rtx)
{
	switch ((enum tcp_rtx_mode)rtx->mode) {
	case RTX_CWR:
		return TCP_CA_CWR;
	case RTX_RECOVERY:
		return TCP_CA_RECOVERY;
	case RTX_LOSS:
		return TCP_CA_LOSS;
	case RTX_OPEN:
	default:
		return rtx->sacked_bytes != 0 || rtx->dups != 0 ? TCP_CA_DISORDER : TCP_CA_OPEN;
	}
}

/* What is known while something is in flight */
static const struct tcp_rtx *info_rtx(const struct stack *s, const struct tcb *t)
{
	static const struct tcp_rtx nothing;
	const struct tcp_rtx *rtx = tcb_rtx(s, t);

	return rtx != NULL ? rtx : &nothing;
}

static uint32_t info_segs(const struct tcb *t, uint32_t bytes)
{
	uint32_t mss = max_u32(t->mss, 1);

	return (bytes + mss - 1) / mss;
}

static uint32_t info_rto_us(const struct stack *s, struct conn c)
{
	bool plain = c.t->state == TCP_CLOSED || tcb_has(c.t, TF_PERSIST);

	return (plain ? tcp_rto_ms(s, c) : tcp_rto_backed_off_ms(s, c)) * 1000;
}

static void info_tune(const struct stack *s, const struct tcp_tune *tune, struct tcp_info *info)
{
	uint32_t now_ms = tcp_now_ms(s);

	info->rcv_rtt_us = tune->rtt_us;
	info->rcv_mss = tune->rcv_mss;
	info->rcv_space_bytes = tune->read_bytes;
	info->rcv_ssthresh_bytes = tune->ssthresh;
	info->ato_ms = tune->ato_ms;
	info->last_data_sent_ms = now_ms - tune->data_out_ms;
	info->last_data_rcvd_ms = now_ms - tune->data_in_ms;
	info->last_ack_sent_ms = now_ms - tune->ack_out_ms;
	info->last_ack_rcvd_ms = now_ms - tune->ack_in_ms;
}

/*
 * On a link that cannot lose nothing is counted: where the numbers began, and how often they have come round, says it. The rounds are the
 * bytes': a FIN is taken off first.
 */
static void info_passed(const struct stack *s, const struct tcb *t, struct tcp_info *info)
{
	const struct tcp_ext *ext = tcb_ext(s, t);
	uint32_t iss = (uint32_t)t->began.iss << 16, irs = (uint32_t)t->began.irs << 16;
	uint32_t fin_sent = tcb_has(t, TF_FIN_SENT), fin_rcvd = tcb_has(t, TF_FIN_RCVD);
	uint64_t snd_rounds = ext != NULL ? ext->snd_rounds : 0, rcv_rounds = ext != NULL ? ext->rcv_rounds : 0;

	if ((t->state != TCP_CLOSED && !tcb_synchronized(t)) || (t->snd_nxt == iss && snd_rounds == 0) ||
	    (t->rcv_nxt == irs && rcv_rounds == 0)) /* there was no hand-shake */
		return;
	if (ext != NULL)
		irs += ext->irs_rest;
	info->bytes_sent = (snd_rounds << 32) + (t->snd_nxt - fin_sent) - iss - 1;
	info->bytes_acked = info->bytes_sent + fin_sent - tcb_flight(t) + tcb_has(t, TF_ACTIVE);
	info->bytes_rcvd = (rcv_rounds << 32) + (t->rcv_nxt - fin_rcvd) - irs - 1 + fin_rcvd;
}

static void info_tally(const struct tcb *t, const struct tcp_tally *tally, struct tcp_info *info)
{
	info->out_of_order = tally->ooo_segs;
	info->bytes_acked = tally->bytes_acked;
	info->bytes_rcvd = tally->bytes_rcvd + tcb_has(t, TF_FIN_RCVD);
	info->bytes_retrans = tally->bytes_retrans;
	info->bytes_sent = tally->bytes_acked + tcb_flight(t) + tally->bytes_retrans;
	if (tcb_has(t, TF_ACTIVE) && info->bytes_sent != 0)
		info->bytes_sent--; /* the SYN */
	if (tcb_has(t, TF_FIN_SENT) && info->bytes_sent != 0)
		info->bytes_sent--;
	info->segs_in = tally->segs_in;
	info->segs_out = tally->segs_out;
	info->data_segs_in = tally->data_segs_in;
	info->data_segs_out = tally->data_segs_out;
}

void tcp_info(const struct stack *s, struct tcp_id id, struct tcp_info *ret_info)
{
	struct conn c = conn_at(s, id.v);
	const struct tcb *t = c.t;
	const struct tcb_cold *cold = tcb_cold(s, c);
	const struct tcp_ext *ext = tcb_ext(s, t);
	const struct tcp_tally *tally = tcb_tally(s, c);
	const struct tcp_tune *tune = tcb_tune(s, c);
	bool open = tcb_synchronized(t);

	*ret_info = (struct tcp_info){
		.state = info_state(t),
		.srtt_us = cold->srtt_us,
		.rttvar_us = cold->rttvar_us,
		.rto_us = info_rto_us(s, c),
		.backoff = t->state != TCP_CLOSED ? t->backoff : 0,
		.expiries = open ? info_rtx(s, t)->expiries : t->state != TCP_CLOSED ? t->backoff : 0,
		.cwnd_bytes = tcb_no_loss(t) ? UINT32_MAX : cold->cc.cwnd,
		.ssthresh_bytes = cold->cc.ssthresh,
		.mss = t->mss,
		.path_mtu = tcp_mtu_path(s, c),
		.ca_state = info_ca(info_rtx(s, t)),
		/* without SACK: what duplicates stand for */
		.sacked_segs = info_rtx(s, t)->sacked_segs + info_rtx(s, t)->dups,
		.lost_segs = info_segs(t, info_rtx(s, t)->lost_bytes),
		.resent_segs = info_segs(t, info_rtx(s, t)->resent_bytes),
		.min_rtt_us = tcp_rtt_min_us(s, c),
		.snd_wnd = t->snd_wnd,
		.rcv_wnd = open ? tcb_rcv_wnd(t) : 0,
		.in_flight_bytes = tcb_is_called(t) ? 0 : tcb_flight(t), /* it has arrived, and as in the kernel that is all */
		.unsent_bytes = !open ? 0 : tcb_is_called(t) ? tcp_call_unsaid(t) : tcb_unsent(t),
		.unread_bytes = t->rcvq.bytes,
		.snd_wscale = (uint8_t)tcb_snd_wscale(t),
		.rcv_wscale = (uint8_t)tcb_rcv_wscale(t),
		.timestamps = tcb_has(t, TF_TS),
		.sack = tcb_has(t, TF_SACK),
		.ecn = tcb_has(t, TF_ECN),
		.pacing_Bps = tcb_no_loss(t) ? 0 : tcp_cc_pacing(s, c),
		.congestion = tcp_cc_name(tcp_cc_idx(t)),
	};
	if (ext != NULL)
		ret_info->retransmits = ext->retransmits;
	if (tcb_has(t, TF_PERSIST))
		ret_info->probes = info_rtx(s, t)->probes;
	else if (ext != NULL)
		ret_info->probes = ext->keep_probes;
	if (tune != NULL)
		info_tune(s, tune, ret_info);
	if (tally != NULL)
		info_tally(t, tally, ret_info);
	else if (tcb_no_loss(t))
		info_passed(s, t, ret_info);
	tcp_meter_info(s, c, ret_info);
}
