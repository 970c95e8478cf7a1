/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP_INFO in Linux's layout: include/uapi/linux/tcp.h up to 6.15, longer than the headers of this system may be. A kernel gives as much of it
 * as it knows; a program takes as much as it asks for.
 */
#ifndef SOCK_INFO_LINUX_H
#define SOCK_INFO_LINUX_H

#include <stddef.h>
#include <stdint.h>

struct info_linux {
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscale, app_limited;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
	uint16_t total_rto, total_rto_recoveries;
	uint32_t total_rto_time;
	uint32_t received_ce, delivered_bytes[3], received_bytes[3], ecn;
};

_Static_assert(offsetof(struct info_linux, rto) == 8 && offsetof(struct info_linux, pmtu) == 60 &&
		       offsetof(struct info_linux, pacing_rate) == 104 && offsetof(struct info_linux, segs_out) == 136 &&
		       offsetof(struct info_linux, delivery_rate) == 160 && offsetof(struct info_linux, bytes_sent) == 200 &&
		       offsetof(struct info_linux, total_rto) == 240,
	       "as the kernel has it");

/* info_linux.options */
enum { LINUX_TS = 1, LINUX_SACK = 2, LINUX_WSCALE = 4, LINUX_ECN = 8, LINUX_ECN_SEEN = 16, LINUX_SYN_DATA = 32 };

/* info_linux.snd_ssthresh: none */
#define SSTHRESH_INFINITE 0x7fffffffu

#endif
