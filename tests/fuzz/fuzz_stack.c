// SPDX-License-Identifier: BSD-2-Clause
/*
 * A stack between a hostile peer and a program that does anything stack.h allows, in any order
 *
 * The input is a list of steps, one byte each with its arguments: frames (raw, made up, or answers
 * to what the stack sent last, so that connections get somewhere; any byte of them may be changed),
 * calls of the program, time, shortage of memory or of frames to send, links that come and go. What
 * must hold:
 *
 *  - nothing is read or written outside a frame, a buffer, or an object in use (AddressSanitizer;
 * pools are poisoned);
 *  - no assertion of the stack fails, and tcp_sanity_all() holds between steps;
 *  - each frame handed in is freed once, each frame taken is sent or given back, all memory comes
 * back in the end;
 *  - a link that was deleted is not used any more; time is never asked for in the past for long.
 */
#include "stack/stack.h"
#include "stack/tcp.h"
#include "tests/sim/fake_link.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LINKS = 3, CONNS = 8, LISTENERS = 2, SOCKS = 2, FRAME_MAX = 4096, SPINS_MAX = 100 };

struct fuzz {
	const uint8_t *p; /* input not used yet */
	size_t left;

	struct fake_mem mem;
	struct stack *s;
	uint64_t now_us;
	struct fake_link drv[LINKS];
	struct link_id link[LINKS];
	struct tcp_id conn[CONNS]; /* 0: none */
	struct listener_id listener[LISTENERS];
	struct udp_id sock[SOCKS];
	uint8_t sent[LINKS][FRAME_MAX]; /* the frame sent last */
	uint32_t sent_len[LINKS];
	uint8_t frame[FRAME_MAX]; /* the one in the making */
	uint32_t frame_len;
};

static const uint32_t link_flags[LINKS] = { 0, LINK_NO_CSUM | LINK_NO_LOSS | LINK_TRAINS, LINK_NO_CSUM };

/* ---- input ------------------------------------------------------------------------------------
 */

static uint32_t take(struct fuzz *f, unsigned int bytes)
{
	uint32_t v = 0;

	for (; bytes > 0 && f->left > 0; bytes--, f->left--)
		v = v << 8 | *f->p++;
	return v;
}

/* Mostly small, sometimes any */
static uint32_t take_len(struct fuzz *f)
{
	uint32_t v = take(f, 1);

	return v < 200 ? v : (v - 199) * 128;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static struct endpoint ep_of(bool v6, unsigned int host, uint16_t port)
{
	static const uint8_t net6[15] = { 0x20, 0x01, 0x0d, 0xb8 };
	struct endpoint ep = { .port = port };

	if (v6) {
		memcpy(ep.addr.bytes, net6, sizeof(net6));
		ep.addr.bytes[15] = (uint8_t)host;
	} else {
		ep.addr = ip_addr_from_v4(be32(0x0a000000 + host));
	}
	return ep;
}

/* Return: false: no memory for it. */
static bool begin(struct fuzz *f)
{
	struct stack_config cfg = fake_stack_config(&f->mem);
	uint32_t how = take(f, 1);

	cfg.conns_max = 1 + how % 16;
	cfg.mem_bytes_max = 6 << 20; /* so that chunks are small, and a run is fast */
	cfg.rcvbuf_bytes = (how & 16) != 0 ? 4096 : 0;
	cfg.sndbuf_bytes = (how & 32) != 0 ? 4096 : 0;
	f->now_us = 1000000;
	if ((how & 64) != 0)
		f->mem.bytes_max = (size_t)take(f, 1) << 16;
	if (stack_create(&cfg, f->now_us, &f->s) == 0)
		return true;
	VJ_ASSERT_OP(f->mem.bytes_max, !=, 0u);
	VJ_ASSERT_OP(f->mem.bytes, ==, 0u);
	return false;
}

static void link_up(struct fuzz *f, unsigned int i)
{
	struct link_config cfg;

	if (f->link[i].v != 0)
		return;
	fake_link_init(&f->drv[i], 1500);
	cfg = fake_link_config(&f->drv[i], 1500, link_flags[i]);
	cfg.rx_hold_max = 4;
	f->sent_len[i] = 0;
	if (stack_link_add(f->s, &cfg, &f->link[i]) != 0)
		f->link[i].v = 0;
}

static void link_down(struct fuzz *f, unsigned int i)
{
	if (f->link[i].v == 0)
		return;
	stack_link_del(f->s, f->link[i], ECONNRESET);
	f->link[i].v = 0;
	fake_link_drain(&f->drv[i]);
	VJ_ASSERT_OP(f->drv[i].rx_out, ==, 0u);
	VJ_ASSERT_OP(f->drv[i].tx_open, ==, 0u);
}

static void end(struct fuzz *f)
{
	stack_destroy(f->s);
	for (unsigned int i = 0; i < LINKS; i++) {
		fake_link_drain(&f->drv[i]);
		VJ_ASSERT_OP(f->drv[i].rx_out, ==, 0u);
		VJ_ASSERT_OP(f->drv[i].tx_open, ==, 0u);
	}
	VJ_ASSERT_OP(f->mem.bytes, ==, 0u);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void take_sent(struct fuzz *f, unsigned int i)
{
	struct link_frame frame;

	while (fake_link_next(&f->drv[i], &frame)) {
		VJ_ASSERT_OP(frame.len, <=, 1514u);
		memcpy(f->sent[i], frame.data, frame.len);
		f->sent_len[i] = frame.len;
		free(frame.data);
	}
}

/* Headers before @l4_len bytes that are to stand where the result points. */
static uint8_t *put_headers(struct fuzz *f, unsigned int i, bool v6, const struct endpoint *from,
			    const struct endpoint *to, uint8_t proto, uint32_t l4_len)
{
	struct eth_fields eth = { .type = v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	struct ip4_fields ip4 = {
		.src = ip_addr_v4(&from->addr),
		.dst = ip_addr_v4(&to->addr),
		.payload_len = (uint16_t)l4_len,
		.ttl = 64,
		.proto = proto,
	};
	struct ip6_fields ip6 = {
		.src = from->addr,
		.dst = to->addr,
		.payload_len = (uint16_t)l4_len,
		.proto = proto,
		.hop_limit = 64,
	};
	uint8_t *p = f->frame;

	memcpy(eth.dst.bytes, f->drv[i].mac, 6);
	memcpy(eth.src.bytes, f->drv[i].peer_mac, 6);
	p += eth_build(p, &eth);
	if (v6) {
		p += ip6_build(p, &ip6);
	} else {
		ip4_build(p, &ip4);
		ip4_csum_fill(p);
		p += IP4_HDR_BYTES;
	}
	f->frame_len = (uint32_t)(p - f->frame) + l4_len;
	return p;
}

/* [off, off + len) of the made-up packet's payload, as a fragment */
static void rx_piece(struct fuzz *f, unsigned int i, uint32_t id, uint32_t off, uint32_t len, bool more)
{
	const uint8_t *ip = f->frame + ETH_HDR_BYTES;
	bool v6 = ip[0] >> 4 == 6;
	uint32_t hdr_len = v6 ? IP6_HDR_BYTES : IP4_HDR_BYTES;
	struct ip6_fields ip6 = {
		.payload_len = (uint16_t)len,
		.proto = ip[6],
		.hop_limit = 64,
		.has_frag_hdr = true,
		.more_frags = more,
		.frag_off = (uint16_t)off,
		.frag_id = id,
	};
	struct ip4_fields ip4 = {
		.payload_len = (uint16_t)len,
		.ttl = 64,
		.proto = ip[9],
		.id = (uint16_t)id,
		.more_frags = more,
		.frag_off = (uint16_t)off,
	};
	uint8_t piece[FRAME_MAX], *p = piece + ETH_HDR_BYTES;

	memcpy(piece, f->frame, ETH_HDR_BYTES);
	if (v6) {
		memcpy(&ip6.src, ip + 8, 16);
		memcpy(&ip6.dst, ip + 24, 16);
		p += ip6_build(p, &ip6);
	} else {
		memcpy(&ip4.src, ip + 12, 4);
		memcpy(&ip4.dst, ip + 16, 4);
		ip4_build(p, &ip4);
		ip4_csum_fill(p);
		p += IP4_HDR_BYTES;
	}
	memcpy(p, ip + hdr_len + off, len);
	fake_link_rx(f->s, f->link[i], &f->drv[i], piece, (uint32_t)(p - piece) + len);
}

/* In fragments: one after the other, but for what the input says else: gaps, overlaps, twice, ends in the middle */
static void rx_pieces(struct fuzz *f, unsigned int i)
{
	uint32_t hdrs = ETH_HDR_BYTES + (f->frame[ETH_HDR_BYTES] >> 4 == 6 ? IP6_HDR_BYTES : IP4_HDR_BYTES);
	uint32_t id = take(f, 1) & 3, cnt = 1 + take(f, 1) % 6, off = 0;
	uint32_t payload = f->frame_len > hdrs ? f->frame_len - hdrs : 0;

	for (; cnt > 0 && off < payload; cnt--) {
		uint32_t len = min_u32(8 * (1 + take(f, 1) % 100), payload - off), twist = take(f, 1);
		bool more = (off + len < payload) != (twist >= 0xf0);

		rx_piece(f, i, id, off, len, more);
		off += len;
		if (twist < 0x40)
			off = min_u32(8 * twist, payload) / 8 * 8;
	}
}

/* Change some bytes, perhaps cut or pad, or send it in fragments, and hand it in. */
static void rx(struct fuzz *f, unsigned int i)
{
	uint32_t changes = take(f, 1);

	if (changes >= 0xc0 && changes < 0xd0 && f->frame_len >= ETH_HDR_BYTES + IP4_HDR_BYTES && f->link[i].v != 0) {
		rx_pieces(f, i);
		return;
	}
	if (changes >= 0xe0)
		for (changes &= 7; changes > 0; changes--) {
			uint32_t at = take(f, 1);

			if (at < f->frame_len)
				f->frame[at] = (uint8_t)take(f, 1);
		}
	else if (changes >= 0xd8)
		f->frame_len = min_u32(f->frame_len, take(f, 1));
	else if (changes >= 0xd0)
		f->frame_len = min_u32(f->frame_len + take(f, 1), FRAME_MAX);
	if (f->link[i].v == 0)
		return;
	fake_link_rx(f->s, f->link[i], &f->drv[i], f->frame, f->frame_len);
}

static void rx_tcp(struct fuzz *f, unsigned int i, bool v6, const struct endpoint *from,
		   const struct endpoint *to, const struct tcp_fields *fields,
		   struct tcp_opts *opts)
{
	uint32_t len = min_u32(take_len(f), 1400);
	uint32_t hdr_len = TCP_HDR_BYTES + (uint32_t)tcp_opts_len(opts);
	uint8_t *tcp = put_headers(f, i, v6, from, to, IP_PROTO_TCP, hdr_len + len);

	tcp_build(tcp, fields, opts);
	memset(tcp + hdr_len, 0x33, len);
	tcp_csum_fill(
		tcp, hdr_len,
		csum_add(csum_pseudo_addr(&from->addr, &to->addr, IP_PROTO_TCP, hdr_len + len),
			 csum_bytes(tcp + hdr_len, len)));
	rx(f, i);
}

static void take_opts(struct fuzz *f, struct tcp_opts *opts, const struct tcp_opts *theirs,
		      uint32_t base)
{
	uint32_t what = take(f, 1);

	*opts = (struct tcp_opts){
		.present = (uint8_t)(what & (TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED |
					     TCP_HAS_TS | TCP_HAS_SACK)),
		.mss = 1460,
		.wscale = 7,
		.ts_val = 1000,
		.ts_ecr = theirs != NULL ? theirs->ts_val : 0,
	};
	/* One statement each: the order in which arguments are evaluated is the compiler's affair.
	 */
	if ((what & 64) != 0)
		opts->mss = (uint16_t)take(f, 2);
	if ((what & 64) != 0)
		opts->wscale = (uint8_t)(take(f, 1) % 16);
	if ((what & 128) != 0)
		opts->ts_val += take(f, 4);
	if ((what & TCP_HAS_SACK) == 0)
		return;
	opts->sack_cnt = (uint8_t)(1 + take(f, 1) % 3);
	for (unsigned int i = 0; i < opts->sack_cnt; i++) {
		opts->sack[i].left = base + take(f, 1) * 16;
		opts->sack[i].right = opts->sack[i].left + take(f, 1) * 16;
	}
}

/* An answer to the segment sent last, right but for what the input says */
static void rx_answer(struct fuzz *f, unsigned int i)
{
	struct tcp_opts theirs, opts;
	struct endpoint from, to;
	struct tcp_view tcp;
	struct ip_view ip;

	take_sent(f, i);
	if (f->sent_len[i] < 14 || ip_parse(f->sent[i] + 14, f->sent_len[i] - 14, &ip) != WIRE_OK ||
	    ip.proto != IP_PROTO_TCP ||
	    tcp_parse(ip_payload(&ip), ip.payload_len, &tcp) != WIRE_OK ||
	    tcp_opts_parse(&tcp, &theirs) != WIRE_OK)
		return;
	from = (struct endpoint){ .addr = ip_dst(&ip), .port = tcp.dst_port };
	to = (struct endpoint){ .addr = ip_src(&ip), .port = tcp.src_port };

	struct tcp_fields fields = {
		.src_port = from.port,
		.dst_port = to.port,
		.seq = tcp.ack,
		.ack = tcp.seq + tcp_seg_len(&tcp),
		.window = 65535,
		.flags = (uint8_t)(TCP_ACK | (tcp.flags & TCP_SYN)),
	};
	uint32_t how = take(f, 1);

	if ((how & 1) != 0)
		fields.flags = (uint8_t)take(f, 1);
	if ((how & 2) != 0)
		fields.seq += (uint32_t)((int32_t)(take(f, 2) << 16) >> 17);
	if ((how & 4) != 0)
		fields.ack += (uint32_t)((int32_t)(take(f, 2) << 16) >> 17);
	if ((how & 8) != 0)
		fields.window = (uint16_t)take(f, 2);
	if ((tcp.flags & TCP_SYN) != 0 && (tcp.flags & TCP_ACK) == 0)
		fields.seq = 5000;
	take_opts(f, &opts, &theirs, tcp.seq);
	rx_tcp(f, i, ip.version == 6, &from, &to, &fields, &opts);
}

static void rx_syn(struct fuzz *f, unsigned int i)
{
	bool v6 = take(f, 1) & 1;
	struct endpoint from = ep_of(v6, 2, (uint16_t)(4000 + take(f, 1) % 8));
	struct endpoint to = ep_of(v6, 1, (uint16_t)(80 + take(f, 1) % 3));
	struct tcp_fields fields = {
		.src_port = from.port,
		.dst_port = to.port,
		.seq = 1000 + take(f, 1),
		.window = 65535,
		.flags = TCP_SYN,
	};
	struct tcp_opts opts;

	take_opts(f, &opts, NULL, 0);
	rx_tcp(f, i, v6, &from, &to, &fields, &opts);
}

static void rx_udp(struct fuzz *f, unsigned int i)
{
	bool v6 = take(f, 1) & 1;
	uint32_t len = min_u32(take_len(f), 1400);
	struct endpoint from = ep_of(v6, 2, 4000),
			to = ep_of(v6, 1, (uint16_t)(80 + take(f, 1) % 3));
	struct udp_fields fields = { .src_port = 4000,
				     .dst_port = to.port,
				     .payload_len = (uint16_t)len };
	uint8_t *udp = put_headers(f, i, v6, &from, &to, IP_PROTO_UDP, UDP_HDR_BYTES + len);

	udp_build(udp, &fields);
	memset(udp + UDP_HDR_BYTES, 0x44, len);
	udp_csum_fill(udp, csum_add(csum_pseudo_addr(&from.addr, &to.addr, IP_PROTO_UDP,
						     UDP_HDR_BYTES + len),
				    csum_bytes(udp + UDP_HDR_BYTES, len)));
	rx(f, i);
}

/* An echo request, or an error that quotes what was sent last */
static void rx_icmp(struct fuzz *f, unsigned int i)
{
	uint8_t type = (uint8_t)take(f, 1), code = (uint8_t)take(f, 1);
	uint32_t rest = take(f, 2), len;
	bool v6;

	take_sent(f, i);
	v6 = f->sent_len[i] > 14 ? f->sent[i][14] >> 4 == 6 : (type & 1) != 0;

	struct endpoint from = ep_of(v6, 2, 0), to = ep_of(v6, 1, 0);
	uint8_t proto = v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP;
	uint32_t quoted = f->sent_len[i] > 14 ? min_u32(f->sent_len[i] - 14, 500) : 0;
	uint8_t *icmp;

	len = ICMP_HDR_BYTES + quoted;
	icmp = put_headers(f, i, v6, &from, &to, proto, len);
	icmp_build(icmp, type, code, rest);
	memcpy(icmp + ICMP_HDR_BYTES, f->sent[i] + 14, quoted);
	icmp_csum_fill(icmp, len,
		       v6 ? csum_pseudo_addr(&from.addr, &to.addr, proto, len) : CSUM_ZERO);
	rx(f, i);
}

static void rx_raw(struct fuzz *f, unsigned int i)
{
	uint32_t len = take(f, 1);

	f->frame_len = (uint32_t)min_size(len, f->left);
	memcpy(f->frame, f->p, f->frame_len);
	f->p += f->frame_len;
	f->left -= f->frame_len;
	if (f->frame_len >= 6)
		memcpy(f->frame, f->drv[i].mac, 6);
	rx(f, i);
}

static void step_frame(struct fuzz *f)
{
	uint32_t v = take(f, 1);
	unsigned int i = v % LINKS;

	switch (v / LINKS % 8) {
	case 0:
		rx_raw(f, i);
		return;
	case 1:
		rx_udp(f, i);
		return;
	case 2:
		rx_icmp(f, i);
		return;
	case 3:
		rx_syn(f, i);
		return;
	default:
		rx_answer(f, i);
	}
}

/* ---- the program ------------------------------------------------------------------------------
 */

static void step_open(struct fuzz *f)
{
	uint32_t v = take(f, 1);
	struct endpoint local = ep_of(v & 1, 1, (uint16_t)(80 + (v >> 1) % 3));
	struct listener_id *l = &f->listener[v % LISTENERS];
	struct udp_id *u = &f->sock[v % SOCKS];

	if ((v & 8) != 0)
		local.addr = (v & 1) != 0 ? ip_addr_any_v6() : ip_addr_any_v4();
	if ((v & 16) != 0) {
		if (u->v != 0)
			udp_close(f->s, *u);
		if (udp_open(f->s, &local, v >> 5, 3, u) != 0)
			u->v = 0;
	} else {
		if (l->v != 0)
			tcp_unlisten(f->s, *l);
		if (tcp_listen(f->s, &local, v & 32, 1 + (v >> 6), 2, l) != 0)
			l->v = 0;
	}
}

static void step_conn_new(struct fuzz *f)
{
	uint32_t v = take(f, 1);
	struct tcp_id *id = &f->conn[v % CONNS];
	struct endpoint local = ep_of(v & 8, 1, (uint16_t)(6000 + v % 4)),
			remote = ep_of(v & 8, 2, 80);
	struct listener_id l = f->listener[v % LISTENERS];

	if (id->v != 0)
		return;
	if ((v & 16) != 0 && l.v != 0) {
		if (tcp_accept(f->s, l, v, id) != 0)
			id->v = 0;
	} else if (tcp_connect(f->s, f->link[v % LINKS], &local, &remote, v, id) != 0) {
		id->v = 0;
	}
}

static void conn_data(struct fuzz *f, struct tcp_id id, uint32_t what)
{
	static uint8_t buf[16384];
	uint32_t len = take_len(f), flag = take(f, 1) & 1;
	const uint8_t *data;
	uint8_t *room;
	size_t n = 0;

	_Static_assert(TCP_SEND_MORE == 1, "flag");
	switch (what % 5) {
	case 0:
		(void)tcp_send(f->s, id, buf, len, flag, &n);
		return;
	case 1:
		(void)tcp_recv(f->s, id, buf, len, flag != 0, &n);
		return;
	case 2:
		if (tcp_recv_borrow(f->s, id, &data, &n) == 0 && n > 0) {
			VJ_ASSERT(data != NULL);
			tcp_recv_return(f->s, id, min_size(n, len));
		}
		return;
	case 3:
		if (tcp_send_frame(f->s, id, &room, &n) == 0) {
			memset(room, 0x77, n);
			tcp_send_frame_done(f->s, id, min_size(n, len));
		}
		return;
	default:
		tcp_shutdown(f->s, id);
	}
}

static void step_conn(struct fuzz *f)
{
	uint32_t v = take(f, 1);
	struct tcp_id *id = &f->conn[v % CONNS];
	struct endpoint local, remote;
	enum tcp_option opt;
	struct tcp_info info;

	if (id->v == 0)
		return;
	switch (v / CONNS % 16) {
	case 0:
		tcp_close(f->s, *id);
		id->v = 0;
		return;
	case 1:
		tcp_abort(f->s, *id);
		id->v = 0;
		return;
	case 2:
		opt = (enum tcp_option)(take(f, 1) % 14);
		(void)tcp_option_set(f->s, *id, opt, take(f, 2));
		return;
	case 3:
		tcp_endpoints(f->s, *id, &local, &remote);
		tcp_info(f->s, *id, &info);
		(void)tcp_ready(f->s, *id);
		(void)tcp_error(f->s, *id, v & 128);
		return;
	default:
		conn_data(f, *id, v / CONNS);
	}
}

static void step_udp(struct fuzz *f)
{
	static uint8_t buf[65536];
	uint32_t v = take(f, 1);
	struct udp_id u = f->sock[v % SOCKS];
	struct endpoint ep = ep_of(v & 4, 2, 4000), local = ep_of(v & 4, 1, 0);
	const struct udp_piece pieces[] = { { buf, 64 }, { buf, 0 }, { buf, 1400 }, { buf, 9 }, { buf, 4000 }, { buf, 1 } };
	struct ip_addr to;
	struct link_id link;
	unsigned int sent;
	size_t n;

	if (u.v == 0)
		return;
	if ((v & 8) != 0)
		(void)udp_recv(f->s, u, buf, take_len(f) % sizeof(buf), v & 16, &n, &ep, &to,
			       &link);
	else if ((v & 16) != 0 && (v & 32) != 0)
		(void)udp_send_burst(f->s, u, f->link[v % LINKS], &local.addr, &ep, pieces, ARRAY_SIZE(pieces), &sent);
	else if ((v & 16) != 0)
		(void)udp_send(f->s, u, f->link[v % LINKS], &local.addr, &ep, buf,
			       take_len(f) % sizeof(buf));
	else if ((v & 64) != 0)
		udp_mtu_mode_set(f->s, u, (v & 4) == 0,
				 (enum udp_mtu_mode)(take(f, 1) % (UDP_MTU_OMIT + 1)));
	else
		(void)udp_connect(f->s, u, (v & 32) != 0 ? &ep : NULL);
}

/* ---- time and shortage ------------------------------------------------------------------------
 */

static void step_events(struct fuzz *f)
{
	struct stack_event ev[4];
	unsigned int n = stack_events(f->s, ev, 4);

	for (unsigned int i = 0; i < n; i++)
		VJ_ASSERT(ev[i].events != 0);
}

/* To the next deadlines, as a host program does; they must come to an end or lie ahead. */
static void step_time(struct fuzz *f)
{
	uint64_t until_us = f->now_us + (UINT64_C(1) << take(f, 1) % 40);

	for (unsigned int i = 0; i < SPINS_MAX; i++) {
		uint64_t deadline_us;

		stack_now(f->s, f->now_us);
		stack_run(f->s);
		for (unsigned int l = 0; l < LINKS; l++)
			if (f->link[l].v != 0)
				take_sent(f, l);
		deadline_us = stack_deadline(f->s);
		if (deadline_us > until_us)
			break;
		if (deadline_us > f->now_us)
			f->now_us = deadline_us;
	}
	f->now_us = max_u64(f->now_us, until_us);
	stack_now(f->s, f->now_us);
	stack_run(f->s);
}

static void step_world(struct fuzz *f)
{
	uint32_t v = take(f, 1);
	unsigned int i = v % LINKS;

	switch (v / LINKS % 8) {
	case 0:
		link_down(f, i);
		return;
	case 1:
		f->drv[i].tx_max = take(f, 1) % 8;
		return;
	case 2:
		f->drv[i].tx_max = FAKE_SENT_MAX;
		if (f->link[i].v != 0)
			stack_link_writable(f->s, f->link[i]);
		return;
	case 3:
		f->mem.bytes_max = f->mem.bytes + take(f, 1) * 4096;
		return;
	case 4:
		f->mem.bytes_max = 0;
		return;
	default:
		link_up(f, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fuzz fuzz;
	struct fuzz *f = &fuzz;

	memset(f, 0, sizeof(*f));
	f->p = data;
	f->left = len;
	if (!begin(f))
		return 0;
	for (unsigned int i = 0; i < LINKS; i++)
		link_up(f, i);
	while (f->left > 0) {
		uint32_t v = take(f, 1);

		switch (v % 16) {
		case 0:
		case 1:
			step_open(f);
			break;
		case 2:
		case 3:
			step_conn_new(f);
			break;
		case 4:
		case 5:
			step_conn(f);
			break;
		case 6:
			step_udp(f);
			break;
		case 7:
			step_events(f);
			break;
		case 8:
		case 9:
			stack_run(f->s);
			break;
		case 10:
			step_time(f);
			break;
		case 11:
			step_world(f);
			break;
		default:
			step_frame(f);
		}
		tcp_sanity_all(f->s);
		for (unsigned int i = 0; i < LINKS; i++)
			if (f->drv[i].sent_cnt > FAKE_SENT_MAX / 2)
				take_sent(f, i);
	}
	end(f);
	return 0;
}
