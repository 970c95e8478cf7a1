// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP_INFO in Linux's layout. Linux counts in segments and in the units that each member names; the stack counts bytes. What is in
 * flight is counted in segments of the connection's MSS, rounded up.
 */
#include "sock/info_linux.h"
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <string.h>

/* Linux's numbers of the states. In TIME_WAIT it has parted from the socket, which is closed. */
static uint8_t info_state(enum tcp_state state)
{
	static const uint8_t linux_state[] = {
		[TCP_CLOSED] = 7,      [TCP_LISTEN] = 10,    [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3,
		[TCP_ESTABLISHED] = 1, [TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,
		[TCP_CLOSING] = 11,    [TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 7,
	};

	return linux_state[state];
}

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss != 0 ? (bytes + mss - 1) / mss : 0;
}

static void info_fill(const struct pd_world *w, const struct pd_file *f, const struct tcp_info *in,
		      struct info_linux *out)
{
	*out = (struct info_linux){
		.state = info_state(in->state),
		.ca_state = in->ca_state,
		.retransmits = in->expiries,
		.backoff = in->backoff,
		.options = (uint8_t)((in->timestamps ? LINUX_TS : 0) | (in->sack ? LINUX_SACK : 0) |
				     (in->snd_wscale != 0 || in->rcv_wscale != 0 ? LINUX_WSCALE : 0) |
				     (in->ecn ? LINUX_ECN : 0)),
		.probes = in->probes,
		.ato = in->ato_ms * 1000,
		.rcv_mss = in->rcv_mss != 0 ? in->rcv_mss : 88,
		.last_data_sent = in->last_data_sent_ms,
		.last_data_recv = in->last_data_rcvd_ms,
		.last_ack_recv = in->last_ack_rcvd_ms,
		.rcv_ssthresh = in->rcv_ssthresh_bytes,
		.rcv_rtt = in->rcv_rtt_us,
		.rcv_space = in->rcv_space_bytes,
		.pacing_rate = in->pacing_Bps != 0 ? in->pacing_Bps : UINT64_MAX,
		.bytes_acked = in->bytes_acked,
		.bytes_received = in->bytes_rcvd,
		.segs_out = in->segs_out,
		.segs_in = in->segs_in,
		.data_segs_in = in->data_segs_in,
		.data_segs_out = in->data_segs_out,
		.app_limited = in->delivery_app_limited,
		.delivery_rate = in->delivery_rate_Bps,
		.busy_time = in->busy_us,
		.rwnd_limited = in->rwnd_limited_us,
		.sndbuf_limited = in->sndbuf_limited_us,
		.delivered = in->delivered,
		.delivered_ce = in->delivered_ce,
		.dsack_dups = in->dsack_dups,
		.reord_seen = in->reord_seen,
		.bytes_sent = in->bytes_sent,
		.bytes_retrans = in->bytes_retrans,
		.wscale = (uint8_t)(in->snd_wscale | in->rcv_wscale << 4),
		.rto = in->rto_us,
		.snd_mss = in->mss,
		.unacked = segments(in->in_flight_bytes, in->mss),
		.sacked = in->sacked_segs,
		.lost = in->lost_segs,
		.retrans = in->resent_segs,
		.min_rtt = in->min_rtt_us,
		.pmtu = in->path_mtu,
		.rtt = in->srtt_us,
		.rttvar = in->rttvar_us,
		.snd_ssthresh = in->ssthresh_bytes == UINT32_MAX ? SSTHRESH_INFINITE : in->ssthresh_bytes / in->mss,
		.snd_cwnd = in->cwnd_bytes / in->mss,
		.advmss = w->set.mtu - (ip_addr_is_v4(&f->remote.addr) ? 40 : 60),
		.reordering = in->reordering,
		.total_retrans = in->retransmits,
		.max_pacing_rate = f->max_pacing,
		.notsent_bytes = in->unsent_bytes,
		.rcv_ooopack = in->out_of_order,
		.snd_wnd = in->snd_wnd,
		.rcv_wnd = in->rcv_wnd,
	};
}

static void info_listener(const struct pd_world *w, const struct pd_file *f, struct info_linux *out)
{
	*out = (struct info_linux){
		.state = info_state(f->state == PD_LISTEN ? TCP_LISTEN : TCP_CLOSED),
		.rto = 1000000,
		.snd_mss = 536,
		.rcv_mss = 88,
		.rttvar = 250000,
		.snd_ssthresh = SSTHRESH_INFINITE,
		.snd_cwnd = 10,
		.reordering = 3,
		.max_pacing_rate = f->max_pacing,
	};
	if (f->state == PD_LISTEN)
		out->unacked = tcp_listener_ready(w->stack, f->listener);
}

int pd_tcp_info(struct pd_world *w, struct pd_file *f, void *value, socklen_t *len)
{
	struct info_linux out;
	struct tcp_info in;

	if (f->kind != PD_TCP)
		return -EOPNOTSUPP;
	if (f->tcp.v == 0) {
		info_listener(w, f, &out);
	} else {
		tcp_info(w->stack, f->tcp, &in);
		info_fill(w, f, &in, &out);
	}
	*len = (socklen_t)min_size(*len, sizeof(out));
	memcpy(value, &out, *len);
	return 0;
}
