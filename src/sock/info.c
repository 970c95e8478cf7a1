// SPDX-License-Identifier: BSD-2-Clause
/* info.c - what getsockopt() tells of a connection on a channel: TCP_INFO, IP_MTU */
#include "sock/file.h"
#include "sock/info.h"
#include "sock/info_linux.h"
#include "sock/kernel.h"
#include "sock/layer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss ? (bytes + mss - 1) / mss : 0;
}

static uint8_t options(const struct vj_conn_info *in)
{
	return (uint8_t)((in->timestamps ? LINUX_TS : 0) | (in->sack ? LINUX_SACK : 0) |
			 (in->snd_wscale || in->rcv_wscale ? LINUX_WSCALE : 0) | (in->ecn ? LINUX_ECN : 0));
}

static void fill(const struct vj_conn_info *in, struct info_linux *out)
{
	uint32_t mss = in->mss ? in->mss : 1;
	/* Where nothing is lost the window alone bounds the sender; programs want to see a number. */
	uint32_t cwnd_bytes = in->cwnd_bytes == UINT32_MAX ? in->snd_wnd : in->cwnd_bytes;

	*out = (struct info_linux){
		.state = in->state == TCP_TIME_WAIT ? TCP_CLOSE : (uint8_t)in->state, /* which is no socket's there */
		.ca_state = (uint8_t)in->ca_state,
		.retransmits = in->expiries,
		.probes = (uint8_t)in->probes,
		.backoff = (uint8_t)in->backoff,
		.options = options(in),
		.wscale = (uint8_t)(in->snd_wscale | in->rcv_wscale << 4),
		.app_limited = in->delivery_app_limited,
		.rto = in->rto_us,
		.ato = in->ato_ms * 1000,
		.snd_mss = in->mss,
		.rcv_mss = in->rcv_mss ? in->rcv_mss : in->mss,
		.unacked = segments(in->in_flight_bytes, mss),
		.sacked = in->sacked_segs,
		.lost = in->lost_segs,
		.retrans = in->resent_segs,
		.last_data_sent = in->last_data_sent_ms,
		.last_data_recv = in->last_data_rcvd_ms,
		.last_ack_recv = in->last_ack_rcvd_ms,
		.pmtu = in->path_mtu,
		.rcv_ssthresh = in->rcv_ssthresh_bytes ? in->rcv_ssthresh_bytes : in->rcv_wnd,
		.rtt = in->srtt_us,
		.rttvar = in->rttvar_us,
		.snd_ssthresh = in->ssthresh_bytes == UINT32_MAX ? SSTHRESH_INFINITE : in->ssthresh_bytes / mss,
		.snd_cwnd = cwnd_bytes / mss,
		.advmss = in->mss,
		.reordering = in->reordering,
		.rcv_rtt = in->rcv_rtt_us,
		.rcv_space = in->rcv_space_bytes ? in->rcv_space_bytes : in->rcv_wnd,
		.total_retrans = in->retransmits,
		.pacing_rate = in->pacing_Bps ? in->pacing_Bps : UINT64_MAX,
		.max_pacing_rate = UINT64_MAX,
		.bytes_acked = in->bytes_acked,
		.bytes_received = in->bytes_rcvd,
		.segs_out = in->segs_out,
		.segs_in = in->segs_in,
		.notsent_bytes = in->unsent_bytes,
		.min_rtt = in->min_rtt_us,
		.data_segs_in = in->data_segs_in,
		.data_segs_out = in->data_segs_out,
		.delivery_rate = in->delivery_rate_Bps,
		.busy_time = in->busy_us,
		.rwnd_limited = in->rwnd_limited_us,
		.sndbuf_limited = in->sndbuf_limited_us,
		.delivered = in->delivered,
		.delivered_ce = in->delivered_ce,
		.bytes_sent = in->bytes_sent,
		.bytes_retrans = in->bytes_retrans,
		.dsack_dups = in->dsack_dups,
		.reord_seen = in->reord_seen,
		.rcv_ooopack = in->out_of_order,
		.snd_wnd = in->snd_wnd,
		.rcv_wnd = in->rcv_wnd,
	};
}

int info_get(int fd, const struct sock *s, void *val, socklen_t *len)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	struct info_linux out;
	socklen_t kernel_len;
	uint64_t max_Bps = 0, rcvbuf_bytes = 0;
	int err;

	/* The kernel knows how much of it this system has. */
	err = fd < 0 ? fd : sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, val, len);
	if (!err)
		err = vj_conn_info(sock.vj, s->conn, &info);
	if (err)
		return err;
	fill(&info, &out);
	vj_conn_option_get(sock.vj, s->conn, VJ_OPT_PACING, &max_Bps);
	vj_conn_option_get(sock.vj, s->conn, VJ_OPT_RCVBUF, &rcvbuf_bytes);
	if (max_Bps)
		out.max_pacing_rate = max_Bps;
	if (!out.rcv_space) /* it is over: as large as it was */
		out.rcv_space = out.rcv_ssthresh = (uint32_t)rcvbuf_bytes;
	kernel_len = *len;
	memset(val, 0, kernel_len);
	memcpy(val, &out, min_size(kernel_len, sizeof(out)));
	return 0;
}

int info_path_mtu(const struct sock *s, uint32_t *ret_mtu)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	int err = vj_conn_info(sock.vj, s->conn, &info);

	if (err)
		return err;
	if (!info.path_mtu)
		return -ENOTCONN; /* its link is gone */
	*ret_mtu = info.path_mtu;
	return 0;
}

bool info_has_ended(const struct sock *s)
{
	struct vj_conn_info info = { .sz = sizeof(info) };

	return s->failed || (vj_ready(sock.vj, s->conn) & VJ_EV_ERROR) || vj_conn_info(sock.vj, s->conn, &info) || info.state == TCP_CLOSE ||
	       info.state == TCP_TIME_WAIT;
}
