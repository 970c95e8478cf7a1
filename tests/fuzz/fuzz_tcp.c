// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_tcp.c - hostile segments into a connection in every state
 *
 * The input is a program: its first bytes choose the state, what else is the case (enum
 * circumstance), the family and the kind of link, the rest are segments whose numbers lie near what
 * the connection expects, and calls of the program between them. After each step everything that must hold of the connections is checked
 * (tcp_sanity_all()); at the end all must have come back.
 */
#include "stack/tcp.h"
#include "stack/tcp_cookie.h"
#include "tests/sim/fake_link.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <errno.h>

enum { MTU = 1500, PAYLOAD_MAX = 1600, STEPS_MAX = 400 };

/* Top three bits of the first byte: what an open connection is in the middle of */
enum circumstance {
	CALM,
	HOLES,	     /* two ranges have come ahead of a hole */
	FIN_AHEAD,   /* the peer's FIN, too */
	ZERO_WINDOW, /* data waits for the peer's window */
	RECOVERY,    /* data in flight, its first segment is missing: SACK or duplicates say so */
	LOSS,	     /* data in flight was given up by the timer */
	TAIL,	     /* all in flight, and silence since for a round trip or two */
	COOKIE,	     /* the backlog is full: the next SYN is answered with a cookie, or dropped */
};

struct reader {
	const uint8_t *p;
	size_t len;
};

struct run {
	struct reader in;
	struct stack *s;
	struct fake_mem mem;
	struct fake_link drv;
	struct link_id link;
	struct listener_id listener;
	struct endpoint local, peer;
	struct tcp_id id; /* 0: the program holds none */
	enum circumstance circumstance;
	uint8_t congestion;
	uint64_t now_us;
	bool v6;
	bool no_loss;
};

/* The numbers of one segment */
struct forged {
	uint32_t seq, ack, len;
	uint16_t window;
	uint16_t urgent;
	uint8_t flags;
	uint8_t tos;
	struct tcp_opts opts;
	uint8_t garbage[12]; /* instead of options, if garbage_len */
	uint8_t garbage_len;
};

static uint8_t next_u8(struct run *r)
{
	if (r->in.len == 0)
		return 0;
	r->in.len--;
	return *r->in.p++;
}

static uint32_t next_u16(struct run *r)
{
	return (uint32_t)next_u8(r) << 8 | next_u8(r);
}
static uint32_t next_u32(struct run *r)
{
	return next_u16(r) << 16 | next_u16(r);
}

/* A small step in either direction, sometimes a large one */
static uint32_t next_delta(struct run *r)
{
	uint8_t v = next_u8(r);

	switch (v & 3) {
	case 0:
		return 0;
	case 1:
		return (uint32_t)((v >> 2) - 32);
	case 2:
		return (uint32_t)(((v >> 2) - 32) * 97);
	default:
		return (uint32_t)(((v >> 2) - 32) * 65521);
	}
}

static struct flow_key target_key(const struct run *r)
{
	return (struct flow_key){
		.local = r->local.addr,
		.remote = r->peer.addr,
		.link = r->link.v,
		.local_port = r->local.port,
		.remote_port = r->peer.port,
	};
}

/* The connection under attack, if there is one: the program's, or the one that is in the table */
static struct tcb *target(struct run *r)
{
	struct flow_key key = target_key(r);
	uint32_t id = tcp_conn_find(r->s, &key, flow_hash(&r->s->flows, &key));

	return id != 0 && (id & TCP_TW_ID) == 0 ? conn_at(r->s, id).t : NULL;
}

/* ---- segments -------------------------------------------------------------------------------- */

static uint32_t put_ip(const struct run *r, uint8_t *p, uint32_t l4_len, uint8_t tos)
{
	struct eth_fields eth = { .type = r->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	uint32_t len;

	memcpy(eth.dst.bytes, r->drv.mac, 6);
	memcpy(eth.src.bytes, r->drv.peer_mac, 6);
	len = (uint32_t)eth_build(p, &eth);
	if (r->v6) {
		struct ip6_fields ip = {
			.src = r->peer.addr,
			.dst = r->local.addr,
			.payload_len = (uint16_t)l4_len,
			.proto = IP_PROTO_TCP,
			.hop_limit = 64,
			.tclass = tos,
		};

		return len + (uint32_t)ip6_build(p + len, &ip);
	}
	struct ip4_fields ip = {
		.src = ip_addr_v4(&r->peer.addr),
		.dst = ip_addr_v4(&r->local.addr),
		.payload_len = (uint16_t)l4_len,
		.ttl = 64,
		.proto = IP_PROTO_TCP,
		.tos = tos,
	};

	ip4_build(p + len, &ip);
	ip4_csum_fill(p + len);
	return len + IP4_HDR_BYTES;
}

static void inject(struct run *r, const struct forged *f)
{
	static uint8_t frame[ETH_HDR_BYTES + 40 + TCP_HDR_MAX + PAYLOAD_MAX];
	struct tcp_fields fields = {
		.seq = f->seq,
		.urgent = f->urgent,
		.ack = f->ack,
		.src_port = r->peer.port,
		.dst_port = r->local.port,
		.window = f->window,
		.flags = f->flags,
	};
	uint32_t hdr_len = TCP_HDR_BYTES + (f->garbage_len != 0 ? f->garbage_len
								: (uint32_t)tcp_opts_len(&f->opts));
	uint32_t off = put_ip(r, frame, hdr_len + f->len, f->tos);
	uint8_t *tcp = frame + off;
	struct csum sum =
		csum_pseudo_addr(&r->peer.addr, &r->local.addr, IP_PROTO_TCP, hdr_len + f->len);

	if (f->garbage_len != 0) {
		memcpy(tcp + TCP_HDR_BYTES, f->garbage, f->garbage_len);
		tcp_build_hdr(tcp, &fields, f->garbage_len);
	} else {
		tcp_build(tcp, &fields, &f->opts);
	}
	memset(tcp + hdr_len, 'x', f->len);
	tcp_csum_fill(tcp, hdr_len, csum_add(sum, csum_bytes(tcp + hdr_len, f->len)));
	fake_link_rx(r->s, r->link, &r->drv, frame, off + hdr_len + f->len);
}

/* Blocks of what is in flight, on and off the edges of segments, in any order, above and below */
static void forge_sack(struct run *r, struct forged *f, const struct tcb *t)
{
	uint32_t una = t != NULL ? t->snd_una : 0, mss = t != NULL ? t->mss : 1000;
	uint8_t shape = next_u8(r);

	f->opts.present |= TCP_HAS_SACK;
	f->opts.sack_cnt = 1 + shape % 3;
	for (unsigned int i = 0; i < f->opts.sack_cnt; i++) {
		uint8_t where = next_u8(r);
		uint32_t left = una + (where & 15) * mss + ((shape & 4) != 0 ? next_delta(r) : 0);

		f->opts.sack[i].left = left - ((shape & 8) != 0 ? 2 * mss : 0);
		f->opts.sack[i].right = left + (1u + (where >> 4)) * mss +
					((shape & 16) != 0 ? next_delta(r) : 0);
	}
}

static void forge_fastopen(struct run *r, struct forged *f)
{
	f->opts.present |= TCP_HAS_FASTOPEN | TCP_HAS_MSS | TCP_HAS_SACK_PERMITTED;
	f->opts.mss = 1460;
	f->opts.fastopen_len = (uint8_t)(next_u8(r) % 9 * 2);
	if (f->opts.fastopen_len == 2)
		f->opts.fastopen_len = 0;
	for (unsigned int i = 0; i < f->opts.fastopen_len; i++)
		f->opts.fastopen[i] = next_u8(r);
}

static void forge_opts(struct run *r, struct forged *f, const struct tcb *t)
{
	uint8_t kind = next_u8(r) % 8;

	switch (kind) {
	case 0:
	case 1:
	case 2:
		f->opts.present = TCP_HAS_TS;
		f->opts.ts_val = (t != NULL ? t->ts_recent : 0) + (kind == 0 ? 0 : next_delta(r));
		f->opts.ts_ecr = t != NULL ? tcp_ts_now(r->s, t) + (kind == 2 ? next_delta(r) : 0)
					   : 0;
		break;
	case 3:
		f->opts.present = next_u8(r) & (TCP_HAS_MSS | TCP_HAS_WSCALE |
						TCP_HAS_SACK_PERMITTED | TCP_HAS_TS);
		f->opts.mss = (uint16_t)next_u16(r);
		f->opts.wscale = next_u8(r) & 15;
		f->opts.ts_val = next_u32(r);
		break;
	case 7:
		f->opts.present = next_u8(r) & (TCP_HAS_MSS | TCP_HAS_TS | TCP_HAS_FASTOPEN |
						TCP_HAS_UTO);
		f->opts.mss = (uint16_t)next_u16(r);
		f->opts.uto = (uint16_t)next_u16(r);
		f->opts.ts_val = next_u8(r);
		f->opts.fastopen_len = (next_u8(r) & 1) != 0 ? 8 : 0;
		break;
	case 4:
		f->garbage_len = sizeof(f->garbage);
		for (unsigned int i = 0; i < sizeof(f->garbage); i++)
			f->garbage[i] = next_u8(r);
		break;
	case 5:
		forge_sack(r, f, t);
		if (t != NULL && tcb_has(t, TF_TS)) {
			f->opts.present |= TCP_HAS_TS;
			f->opts.ts_val = t->ts_recent;
			f->opts.ts_ecr = tcp_ts_now(r->s, t);
		}
		break;
	case 6:
		forge_fastopen(r, f);
		break;
	default:
		break;
	}
}

/* @tos: the ECN bits of the packet */
static void step_segment(struct run *r, uint8_t tos)
{
	static const uint8_t usual[] = { TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN,
					 TCP_RST, TCP_SYN, TCP_SYN | TCP_ACK, TCP_RST | TCP_ACK };
	const struct tcb *t = target(r);
	uint8_t how = next_u8(r), anchors = next_u8(r);
	struct forged f = { .flags = how < 224 ? usual[how % 8] : next_u8(r), .tos = tos };

	if (t == NULL && f.flags == TCP_ACK) {
		/* a SYN cookie comes back */
		struct flow_key key = target_key(r);

		f.seq = 1001 + next_delta(r);
		f.ack = tcp_cookie_make(r->s, &key, 1000, 1460) + 1;
	} else if (t == NULL) {
		f.seq = next_u32(r);
		f.ack = next_u32(r);
	} else {
		const uint32_t seqs[] = { t->rcv_nxt, t->rcv_nxt, t->rcv_adv, t->rcv_acked };
		const uint32_t acks[] = { t->snd_una, t->snd_nxt, t->snd_una + t->snd_wnd,
					  t->snd_una };

		f.seq = seqs[anchors & 3] + ((anchors & 4) != 0 ? next_delta(r) : 0);
		f.ack = acks[anchors >> 3 & 3] + ((anchors & 32) != 0 ? next_delta(r) : 0);
	}
	if (r->no_loss && (f.flags & TCP_SYN) != 0) {
		f.urgent = next_u8(r);
		f.seq -= anchors & 1; /* where the answer to a call has it */
	}
	f.len = (anchors & 64) == 0    ? 0
		: (anchors & 128) == 0 ? next_u8(r)
				       : next_u16(r) % PAYLOAD_MAX;
	f.window = (uint16_t)((how & 16) != 0 ? next_u16(r) : (how & 8) != 0 ? next_u8(r) : 65535);
	forge_opts(r, &f, t);
	inject(r, &f);
}

/* ---- the program ----------------------------------------------------------------------------- */

static void step_accept(struct run *r)
{
	struct tcp_id id;

	if (tcp_accept(r->s, r->listener, 1, &id) != 0)
		return;
	if (r->id.v != 0)
		tcp_abort(r->s, r->id);
	r->id = id;
}

/* Over a link that cannot lose, on a promise or without; one that nobody took is called again. */
static void step_call(struct run *r)
{
	uint8_t how = next_u8(r);
	struct tcp_id id;

	if ((how & 2) != 0)
		r->drv.taken_back[0] = how >> 2;
	if (tcp_connect_early(r->s, r->link, &r->local, &r->peer, NULL, 0, how & 1, 2, &id) != 0)
		return;
	if (r->id.v != 0 && (how & 1) != 0 && tcp_is_refused(r->s, r->id))
		tcp_call_again(r->s, r->id, id);
	if (r->id.v != 0)
		tcp_abort(r->s, r->id);
	r->id = id;
}

static void step_connect(struct run *r)
{
	const struct tcp_option_value opt = { TCP_OPT_UTO_S, 100 };
	struct tcp_id id;
	size_t taken;

	if (r->no_loss) {
		step_call(r);
		return;
	}
	if (tcp_connect_data(r->s, r->link, &r->local, &r->peer, &opt, next_u8(r) & 1, "hello", 5,
			     2, &taken, &id) != 0)
		return;
	if (r->id.v != 0)
		tcp_abort(r->s, r->id);
	r->id = id;
}

static void step_program(struct run *r, uint8_t what)
{
	static uint8_t buf[20000];
	size_t n;
	uint8_t *data;
	const uint8_t *borrowed;

	if (r->id.v == 0) {
		step_connect(r);
		step_accept(r);
		return;
	}
	switch (what % 10) {
	case 0:
	case 1:
		(void)tcp_send(r->s, r->id, buf, next_u16(r) % sizeof(buf),
			       next_u8(r) & TCP_SEND_MORE, &n);
		break;
	case 2:
	case 3:
		(void)tcp_recv(r->s, r->id, buf, next_u16(r) % sizeof(buf), false, &n);
		break;
	case 4:
		if (tcp_recv_borrow(r->s, r->id, &borrowed, &n) == 0)
			tcp_recv_return(r->s, r->id, n);
		break;
	case 5:
		if (tcp_send_frame(r->s, r->id, &data, &n) == 0)
			(void)tcp_send_frame_done(r->s, r->id, next_u16(r) % (n + 1));
		break;
	case 6:
		(void)tcp_shutdown(r->s, r->id);
		break;
	case 7:
		tcp_close(r->s, r->id);
		r->id.v = 0;
		break;
	case 8:
		(void)tcp_option_set(r->s, r->id, (enum tcp_option)(next_u8(r) % 32), next_u16(r));
		break;
	default:
		if (next_u8(r) % 4 == 0) {
			tcp_abort(r->s, r->id);
			r->id.v = 0;
		}
		break;
	}
}

static void pass(struct run *r, uint64_t us)
{
	r->now_us += us;
	stack_now(r->s, r->now_us);
	stack_run(r->s);
	fake_link_drain(&r->drv);
}

/* Another peer, and sometimes another way to search for the path's MTU */
static void step_peer(struct run *r)
{
	uint8_t v = next_u8(r);
	struct tcp_settings set = r->s->cfg.tcp;

	r->peer.port = (uint16_t)(4000 + v % 8);
	if (v < 0xe0)
		return;
	set.mtu_probing = (uint8_t)((v >> 3 & 3) % (STACK_MTU_PROBE_OFF + 1));
	tcp_settings_set(r->s, &set);
}

static void step_world(struct run *r, uint8_t what)
{
	const struct tcb *t = target(r);
	struct icmp_error error = {
		.link = r->link.v, .local = r->local, .remote = r->peer, .mtu = next_u16(r)
	};

	switch (what % 7) {
	case 6:
		step_peer(r);
		break;
	case 0:
	case 1:
		pass(r, (uint64_t)next_u8(r) * 1000);
		break;
	case 2:
		pass(r, (uint64_t)next_u16(r) * 10000);
		break;
	case 3:
		r->drv.tx_max = r->drv.tx_max == 0 ? 64 : next_u8(r) % 3;
		if (r->drv.tx_max != 0)
			stack_link_writable(r->s, r->link);
		break;
	case 4:
		r->mem.bytes_max = r->mem.bytes_max == 0 ? r->mem.bytes : 0;
		break;
	default:
		error.err = (next_u8(r) & 1) != 0 ? EMSGSIZE : EHOSTUNREACH;
		error.tcp_seq = (t != NULL ? t->snd_una : 0) + next_delta(r);
		error.quoted_len = error.mtu == 0 ? next_u16(r) : MTU;
		tcp_icmp_error(r->s, &error);
		break;
	}
}

/* ---- into a state ---------------------------------------------------------------------------- */

/* A segment that fits: @ack_all or just what is acknowledged already */
static void inject_good(struct run *r, uint8_t flags, bool ack_all)
{
	const struct tcb *t = target(r);
	struct forged f = { .flags = flags, .window = 60000 };

	if (t == NULL)
		return;
	f.seq = t->rcv_nxt;
	f.ack = ack_all ? t->snd_nxt : t->snd_una;
	if (tcb_has(t, TF_TS) && t->state != TCP_SYN_SENT) {
		f.opts.present = TCP_HAS_TS;
		f.opts.ts_val = t->ts_recent;
		f.opts.ts_ecr = tcp_ts_now(r->s, t);
	}
	inject(r, &f);
	pass(r, 0);
}

static void open_passive(struct run *r, bool finish)
{
	struct forged syn = { .flags = TCP_SYN, .seq = 1000, .window = 60000 };

	syn.opts = (struct tcp_opts){
		.present = TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_TS,
		.mss = 1460,
		.wscale = 3,
		.ts_val = 5,
	};
	if (r->circumstance != CALM)
		syn.opts.present |= TCP_HAS_SACK_PERMITTED;
	if (r->circumstance == RECOVERY || r->circumstance == TAIL)
		syn.flags |= TCP_ECE | TCP_CWR;
	inject(r, &syn);
	if (finish) {
		inject_good(r, TCP_ACK, true);
		step_accept(r);
	}
}

static void enter_state(struct run *r, enum tcp_state state)
{
	struct forged syn = { .flags = TCP_SYN, .seq = 1000, .window = 60000 };

	switch (state) {
	case TCP_CLOSED:
	case TCP_LISTEN:
		return;
	case TCP_SYN_SENT:
		step_connect(r);
		return;
	case TCP_SYN_RECEIVED:
		if (next_u8(r) % 2 == 0) {
			open_passive(r, false);
			return;
		}
		step_connect(r);
		inject(r, &syn);
		return;
	default:
		open_passive(r, true);
		break;
	}
	if (r->id.v == 0 || state == TCP_ESTABLISHED)
		return;
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK)
		inject_good(r, TCP_ACK | TCP_FIN, true);
	if (state != TCP_CLOSE_WAIT)
		(void)tcp_shutdown(r->s, r->id);
	pass(r, 0);
	if (state == TCP_FIN_WAIT_2 || state == TCP_TIME_WAIT)
		inject_good(r, TCP_ACK, true);
	if (state == TCP_CLOSING || state == TCP_TIME_WAIT)
		inject_good(r, TCP_ACK | TCP_FIN, false);
}

/* @len bytes @ahead of what comes next; @tos as in forged */
static void inject_ahead(struct run *r, uint32_t ahead, uint32_t len, uint8_t flags)
{
	const struct tcb *t = target(r);
	struct forged f = { .flags = flags, .window = 60000, .len = len };

	if (t == NULL)
		return;
	f.seq = t->rcv_nxt + ahead;
	f.ack = t->snd_una;
	f.opts.present = TCP_HAS_TS;
	f.opts.ts_val = t->ts_recent;
	f.opts.ts_ecr = tcp_ts_now(r->s, t);
	inject(r, &f);
	pass(r, 0);
}

/* An acknowledgement of nothing new: three segments behind the first have come. */
static void inject_sack(struct run *r, uint16_t window, uint32_t blocks)
{
	const struct tcb *t = target(r);
	struct forged f = { .flags = TCP_ACK, .window = window };

	if (t == NULL)
		return;
	f.seq = t->rcv_nxt;
	f.ack = t->snd_una;
	f.opts.present = TCP_HAS_TS | (blocks != 0 ? TCP_HAS_SACK : 0);
	f.opts.ts_val = t->ts_recent;
	f.opts.ts_ecr = tcp_ts_now(r->s, t);
	f.opts.sack_cnt = 1;
	f.opts.sack[0].left = t->snd_una + t->mss;
	f.opts.sack[0].right = f.opts.sack[0].left + blocks * t->mss;
	inject(r, &f);
	pass(r, 0);
}

static void enter_circumstance(struct run *r)
{
	static uint8_t buf[20000];
	size_t n;

	/* Not known, or not possible on this link: CUBIC stays. */
	if (r->id.v != 0)
		(void)tcp_option_set(r->s, r->id, TCP_OPT_CONGESTION, r->congestion);
	if (r->circumstance == ZERO_WINDOW)
		inject_sack(r, 0, 0);
	if (r->id.v != 0 && r->circumstance >= ZERO_WINDOW && r->circumstance <= TAIL)
		(void)tcp_send(r->s, r->id, buf, sizeof(buf), 0, &n);
	pass(r, 20000);
	switch (r->circumstance) {
	case CALM:
	case ZERO_WINDOW:
		break;
	case FIN_AHEAD:
		inject_ahead(r, 2000, 100, TCP_ACK | TCP_FIN);
		/* fall through */
	case HOLES:
		inject_ahead(r, 500, 100, TCP_ACK);
		inject_ahead(r, 1000, 300, TCP_ACK);
		break;
	case RECOVERY:
		for (uint32_t i = 1; i <= 4; i++)
			inject_sack(r, 60000, i);
		break;
	case LOSS:
		pass(r, 3 * US_PER_SEC);
		break;
	case TAIL:
		pass(r, 60000);
		break;
	case COOKIE:
		for (uint16_t port = 5000; port < 5004; port++) {
			r->peer.port = port;
			open_passive(r, false);
		}
		break;
	}
}

static void run_init(struct run *r)
{
	struct stack_config cfg = fake_stack_config(&r->mem);
	uint8_t kind = next_u8(r);
	struct link_config link_cfg;

	r->v6 = (kind & 1) != 0;
	r->no_loss = (kind & 24) == 0;
	r->circumstance = (enum circumstance)(kind >> 5);
	r->congestion = (uint8_t)((kind >> 3 & 3) - ((kind & 24) != 0 ? 1 : 0));
	r->now_us = US_PER_SEC;
	cfg.conns_max = 4;
	cfg.mem_bytes_max = 6 << 20; /* so that chunks are small, and a run is fast */
	cfg.rcvbuf_bytes = (kind & 2) != 0 ? 5000 : 0;
	cfg.sndbuf_bytes = (kind & 4) != 0 ? 5000 : 0;
	VJ_ASSERT(stack_create(&cfg, r->now_us, &r->s) == 0);
	fake_link_init(&r->drv, MTU);
	r->drv.tx_max = 64;
	link_cfg =
		fake_link_config(&r->drv, MTU, r->no_loss ? LINK_NO_LOSS | LINK_NO_CSUM : 0);
	link_cfg.rx_hold_max = 4;
	VJ_ASSERT(stack_link_add(r->s, &link_cfg, &r->link) == 0);
	VJ_ASSERT(endpoint_parse(r->v6 ? "[2001:db8::1]:80" : "10.0.0.1:80", &r->local) == 0);
	VJ_ASSERT(endpoint_parse(r->v6 ? "[2001:db8::2]:4000" : "10.0.0.2:4000", &r->peer) == 0);
	VJ_ASSERT(tcp_listen(r->s, &r->local, false, 2, 0, &r->listener) == 0);
	VJ_ASSERT(tcp_listener_option_set(r->s, r->listener, TCP_OPT_FASTOPEN_MAX, 4) == 0);
	if ((kind & 32) != 0) {
		tcp_settings_set(r->s, &(struct tcp_settings){ .fastopen_no_cookie_rx = true,
							       .fastopen_no_cookie_tx = true });
		VJ_ASSERT(tcp_listener_option_set(r->s, r->listener, TCP_OPT_FASTOPEN_MAX, 2) == 0);
		VJ_ASSERT(tcp_listener_option_set(r->s, r->listener, TCP_OPT_UTO_S, 200) == 0);
	}
	if ((kind & 64) != 0)
		VJ_ASSERT(tcp_listener_option_set(r->s, r->listener, TCP_OPT_DEFER_ACCEPT_S, 3) ==
			  0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct run r;
	struct stack_event ev;

	memset(&r, 0, sizeof(r));
	r.in = (struct reader){ data, len };
	run_init(&r);
	enter_state(&r, (enum tcp_state)(next_u8(&r) % (TCP_TIME_WAIT + 1)));
	enter_circumstance(&r);
	tcp_sanity_all(r.s);
	if (next_u8(&r) % 4 == 0 && r.id.v != 0) {
		tcp_close(r.s, r.id);
		r.id.v = 0;
	}
	for (unsigned int i = 0; i < STEPS_MAX && r.in.len != 0; i++) {
		uint8_t op = next_u8(&r);

		if (op < 160)
			step_segment(&r, op >> 5 & 3);
		else if (op < 208)
			step_program(&r, op);
		else
			step_world(&r, op);
		tcp_sanity_all(r.s);
		if ((op & 1) != 0)
			pass(&r, 0);
		tcp_sanity_all(r.s);
		while (stack_events(r.s, &ev, 1) != 0)
			;
		fake_link_drain(&r.drv);
	}
	stack_destroy(r.s);
	fake_link_drain(&r.drv);
	VJ_ASSERT_OP(r.drv.rx_out, ==, 0u);
	VJ_ASSERT_OP(r.drv.tx_open, ==, 0u);
	VJ_ASSERT_OP(r.mem.bytes, ==, (size_t)0);
	return 0;
}
