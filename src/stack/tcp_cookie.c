// SPDX-License-Identifier: BSD-2-Clause
/*
 * SYN cookies (RFC 4987 3.6)
 *
 * When a listener has as many handshakes under way as it may, or there is no block for one more, a
 * SYN is answered and forgotten. What must be known later travels through the peer and back. Only
 * links that can lose have cookies: on the others a SYN is taken only if a place is kept for it.
 *
 * Our initial sequence number is the cookie:
 *
 *	 31  30   28 27                                              0
 *	+---+-------+-------------------------------------------------+
 *	| e |  mss  |                     mac                         |
 *	+---+-------+-------------------------------------------------+
 *
 *	e	which epoch of 64 s it was made in: even or odd
 *	mss	index in mss_table
 *	mac	28 bits of SipHash over endpoints, link, the peer's ISN, epoch and mss
 *
 * A cookie of this epoch or the last is good. The parity says which of the two, so one SipHash
 * tells, and a guess succeeds once in 2^28; and it is tried only while this listener has sent some
 * within two epochs, so on a quiet listener no stray ACK costs anything, or opens anything.
 *
 * If the peer has timestamps, ours carries in its low bits what else the SYN said:
 *
 *	 31                                        6 5      2   1    0
 *	+-------------------------------------------+--------+----+----+
 *	|              clock                        | wscale | ecn|sack|	wscale 15: none
 *	+-------------------------------------------+--------+----+----+
 *
 * It is at most 127 ms old, never new, so timestamps that follow are later (RFC 7323 4.3). A peer
 * without timestamps gets neither scaling nor SACK. These bits are not under the mac: who changes
 * them in its own answer lies to itself only.
 *
 * What cookies do not keep: the SYN-ACK is not repeated (the peer repeats its SYN), there is no
 * first measurement of the round trip, and numbers do not grow with the clock as RFC 6528 has it.
 */
#include "stack/tcp_cookie.h"

#include "stack/tcp.h"

#define COOKIE_MSS_SHIFT 28
#define COOKIE_MAC_MASK ((UINT32_C(1) << COOKIE_MSS_SHIFT) - 1)
#define TS_BITS 6
#define TS_MASK ((UINT32_C(1) << TS_BITS) - 1)
#define TS_SACK 1u
#define TS_ECN 2u
#define TS_WSCALE_SHIFT 2
#define TS_WSCALE_NONE 15u

/*
 * The largest that is not more than the peer's is what we send by: the least allowed, tiny,
 * RFC 9293's default, IPv6's, tunnels', Ethernet's over IPv6 and IPv4, jumbo frames'.
 */
static const uint16_t mss_table[] = { 48, 256, 536, 1220, 1360, 1440, 1460, 8940 };

_Static_assert(sizeof(mss_table) / sizeof(mss_table[0]) == 8, "three bits");

/* What the mac is taken of. Hashed as a whole, so without holes */
struct cookie_text {
	struct flow_key key;
	uint64_t epoch;
	uint32_t peer_isn;
	uint32_t mss_idx;
};

_Static_assert(sizeof(struct cookie_text) == sizeof(struct flow_key) + 16, "no holes");

static uint32_t cookie_of(const struct stack *s, const struct flow_key *key, uint32_t peer_isn,
			  uint64_t epoch, uint32_t mss_idx)
{
	struct cookie_text text = {
		.key = *key,
		.epoch = epoch,
		.peer_isn = peer_isn,
		.mss_idx = mss_idx,
	};
	uint32_t mac = (uint32_t)stack_siphash(s, &text, sizeof(text)) & COOKIE_MAC_MASK;

	return (uint32_t)(epoch & 1) << 31 | mss_idx << COOKIE_MSS_SHIFT | mac;
}

uint32_t tcp_cookie_make(const struct stack *s, const struct flow_key *key, uint32_t peer_isn,
			 uint32_t mss)
{
	uint32_t idx = (uint32_t)ARRAY_SIZE(mss_table) - 1;

	while (idx > 0 && mss_table[idx] > mss)
		idx--;
	return cookie_of(s, key, peer_isn, s->now_us / TCP_COOKIE_EPOCH_US, idx);
}

bool tcp_cookie_check(const struct stack *s, const struct flow_key *key, uint32_t peer_isn,
		      uint32_t cookie, uint16_t *ret_mss)
{
	uint64_t epoch = s->now_us / TCP_COOKIE_EPOCH_US;
	uint32_t idx = cookie >> COOKIE_MSS_SHIFT & 7;

	if ((epoch & 1) != cookie >> 31)
		epoch--; /* at the very begin: 2^64 - 1, which nothing was made in */
	if (cookie != cookie_of(s, key, peer_isn, epoch, idx))
		return false;
	*ret_mss = mss_table[idx];
	return true;
}

uint32_t tcp_cookie_ts_pack(uint32_t now, const struct tcp_opts *opts, bool ecn)
{
	uint32_t bits = TS_WSCALE_NONE << TS_WSCALE_SHIFT;
	uint32_t ts;

	if ((opts->present & TCP_HAS_WSCALE) != 0)
		bits = (uint32_t)opts->wscale << TS_WSCALE_SHIFT;
	if ((opts->present & TCP_HAS_SACK_PERMITTED) != 0)
		bits |= TS_SACK;
	if (ecn)
		bits |= TS_ECN;
	ts = (now & ~TS_MASK) | bits;
	return bits > (now & TS_MASK) ? ts - (TS_MASK + 1) : ts;
}

void tcp_cookie_ts_unpack(uint32_t ts, struct tcp_opts *opts, bool *ret_ecn)
{
	uint32_t wscale = (ts & TS_MASK) >> TS_WSCALE_SHIFT;

	if (wscale != TS_WSCALE_NONE) {
		opts->present |= TCP_HAS_WSCALE;
		opts->wscale = (uint8_t)wscale;
	}
	if ((ts & TS_SACK) != 0)
		opts->present |= TCP_HAS_SACK_PERMITTED;
	*ret_ecn = (ts & TS_ECN) != 0;
}

/* ---- the answer that is not remembered ------------------------------------------------------- */

/* What our SYN-ACK says: of what the peer offers, what will come back */
static void cookie_opts(const struct stack *s, const struct tcp_seg *seg, bool ecn,
			const struct tcp_ext *ext, struct tcp_opts *ret_opts)
{
	const struct tcp_settings *set = &s->cfg.tcp;
	struct tcp_opts kept = { .present = 0 };
	uint32_t mss = ip_l4_max(seg->pkt->link, seg->pkt->ip.version == 4) - TCP_HDR_BYTES;

	if (ext->maxseg != 0)
		mss = min_u32(mss, ext->maxseg);
	*ret_opts = (struct tcp_opts){ .present = TCP_HAS_MSS, .mss = (uint16_t)mss };
	if ((seg->opts.present & TCP_HAS_TS) == 0 || set->no_timestamps)
		return;
	if ((seg->opts.present & TCP_HAS_WSCALE) != 0 && !set->no_wscale) {
		kept.present |= TCP_HAS_WSCALE;
		kept.wscale = seg->opts.wscale;
	}
	if ((seg->opts.present & TCP_HAS_SACK_PERMITTED) != 0 && !set->no_sack)
		kept.present |= TCP_HAS_SACK_PERMITTED;
	ret_opts->present |= kept.present | TCP_HAS_TS;
	ret_opts->wscale = tcp_opt_wscale(s, ext->rcvbuf_bytes);
	ret_opts->ts_val =
		tcp_cookie_ts_pack(tcp_ts_at(s, seg->pkt->src.words[3]), &kept, ecn);
	ret_opts->ts_ecr = seg->opts.ts_val;
}

void tcp_cookie_answer(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
		       const struct tcp_ext *ext)
{
	bool v4 = seg->pkt->ip.version == 4;
	struct ip_path path = {
		.src = key->local,
		.dst = key->remote,
		.proto = IP_PROTO_TCP,
		.ttl = ext->ttl,
		.tos = ext->tos,
	};
	uint32_t mss = v4 ? TCP_MSS_DEFAULT : TCP_MSS_DEFAULT_V6;
	struct tcp_fields fields = {
		.ack = seg->seq + 1,
		.src_port = key->local_port,
		.dst_port = key->remote_port,
		.flags = TCP_SYN | TCP_ACK,
	};
	bool ecn = (seg->opts.present & TCP_HAS_TS) != 0 && !s->cfg.tcp.no_timestamps &&
		   tcp_ecn_asks(s, seg);
	struct tcp_opts opts;
	struct ip_tx tx;
	uint32_t hdr_len;

	if (ip_tx_get(s, key->link, v4, &tx) != 0) {
		stack_drop(s, STACK_DROP_NO_FRAME);
		return;
	}
	if ((seg->opts.present & TCP_HAS_MSS) != 0)
		mss = seg->opts.mss;
	fields.seq = tcp_cookie_make(s, key, seg->seq, mss);
	if (ecn)
		fields.flags |= TCP_ECE;
	cookie_opts(s, seg, ecn, ext, &opts);
	fields.window = tcp_syn_window_of(s, ext, opts.mss, (opts.present & TCP_HAS_TS) != 0);
	hdr_len = (uint32_t)tcp_build(tx.l4, &fields, &opts);
	if (ip_tx_has_csum(&tx))
		tcp_csum_fill(tx.l4, hdr_len, ip_tx_pseudo(&path, hdr_len));
	ip_tx_put(s, &tx, &path, hdr_len);
	s->stats.tcp_cookies_sent++;
}

bool tcp_cookie_accept(struct stack *s, const struct tcp_seg *seg, const struct flow_key *key,
		       struct tcp_opts *ret_opts, bool *ret_ecn)
{
	struct tcp_opts opts = { .present = TCP_HAS_MSS };
	bool ecn = false;

	if (!tcp_cookie_check(s, key, seg->seq - 1, seg->ack - 1, &opts.mss)) {
		s->stats.tcp_cookies_bad++;
		return false;
	}
	if ((seg->opts.present & TCP_HAS_TS) != 0 && !s->cfg.tcp.no_timestamps) {
		tcp_cookie_ts_unpack(seg->opts.ts_ecr, &opts, &ecn);
		opts.present |= TCP_HAS_TS;
		opts.ts_val = seg->opts.ts_val;
	}
	s->stats.tcp_cookies_ok++;
	*ret_opts = opts;
	*ret_ecn = ecn;
	return true;
}
