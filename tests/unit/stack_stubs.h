// SPDX-License-Identifier: BSD-2-Clause
/*
 * What tests of the stack below TCP have in common: hooks in place of TCP that note what they were
 * called with, and a stack with one link.
 */
#ifndef VJ_TESTS_UNIT_STACK_STUBS_H
#define VJ_TESTS_UNIT_STACK_STUBS_H

#include "base/prng.h"
#include "stack/ip_out.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/udp.h"
#include "tests/sim/fake_link.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- TCP, as far as the stack sees it ---------------------------------------------------------
 */

struct stub_conn {
	struct wheel_node timer;
	struct event_node event;
	struct ref_list_node output;
};

static struct {
	unsigned int inputs, timers, resumes, links_gone, errors;
	uint32_t payload_len, seq, hdr_len;
	struct icmp_error error;
	uint32_t resumed[64];
	void (*on_input)(struct stack *s, struct pkt *pkt);
	void (*on_resume)(struct stack *s, uint32_t id);
} stub;

size_t tcp_global_bytes(void)
{
	return 64;
}

int tcp_init(struct stack *s)
{
	ref_space_set(&s->wheel.nodes, REF_TCP, &s->conns, offsetof(struct stub_conn, timer));
	ref_space_set(&s->event_nodes, REF_TCP, &s->conns, offsetof(struct stub_conn, event));
	ref_space_set(&s->output_nodes, REF_TCP, &s->conns, offsetof(struct stub_conn, output));
	return pool_init(&s->conns, &s->mem, sizeof(struct stub_conn), 0, s->cfg.conns_max);
}

void tcp_fini(struct stack *s)
{
	pool_fini(&s->conns);
}

void tcp_input(struct stack *s, struct pkt *pkt)
{
	struct tcp_view tcp;

	stub.inputs++;
	if (stub.on_input != NULL)
		stub.on_input(s, pkt);
	if (tcp_parse_part(pkt_l4(pkt), pkt_l4_avail(pkt), pkt_l4_len(pkt), &tcp) != WIRE_OK)
		return;
	stub.payload_len = tcp.payload_len;
	stub.hdr_len = tcp.hdr_len;
	stub.seq = tcp.seq;
}

/* What comes the short way is to look as what comes the long way. */
void tcp_input_plain(struct stack *s, struct pkt *pkt)
{
	pkt_plain_fill(pkt);
	tcp_input(s, pkt);
}

bool tcp_input_last(struct stack *s, struct pkt *pkt)
{
	(void)s;
	(void)pkt;
	return false;
}

void tcp_timer(struct stack *s, uint32_t id)
{
	(void)s;
	(void)id;
	stub.timers++;
}

void tcp_output_resume(struct stack *s, uint32_t id)
{
	if (stub.resumes < ARRAY_SIZE(stub.resumed))
		stub.resumed[stub.resumes] = id;
	stub.resumes++;
	if (stub.on_resume != NULL)
		stub.on_resume(s, id);
}

void tcp_run(struct stack *s)
{
	s->owing_cnt = 0;
}

void tcp_pace_run(struct stack *s)
{
	(void)s;
}

uint64_t tcp_pace_next_us(const struct stack *s)
{
	(void)s;
	return TIME_NEVER;
}

void tcp_link_gone(struct stack *s, uint32_t link_id, int err)
{
	(void)s;
	(void)link_id;
	(void)err;
	stub.links_gone++;
}

void tcp_icmp_error(struct stack *s, const struct icmp_error *error)
{
	(void)s;
	stub.errors++;
	stub.error = *error;
}

/* ---- a stack with a link ----------------------------------------------------------------------
 */

struct fix {
	struct fake_mem mem;
	struct fake_link drv;
	struct stack *s;
	struct link_id link;
	bool v6;
};

static inline void fix_begin(struct fix *f, bool v6, uint32_t link_flags)
{
	struct stack_config cfg;
	struct link_config link_cfg;

	memset(&stub, 0, sizeof(stub));
	memset(f, 0, sizeof(*f));
	f->v6 = v6;
	cfg = fake_stack_config(&f->mem);
	assert_int_equal(stack_create(&cfg, 1000000, &f->s), 0);
	fake_link_init(&f->drv, 1500);
	link_cfg = fake_link_config(&f->drv, 1500, link_flags);
	assert_int_equal(stack_link_add(f->s, &link_cfg, &f->link), 0);
}

static inline void fix_end(struct fix *f)
{
	fake_link_drain(&f->drv);
	stack_destroy(f->s);
	assert_int_equal(f->drv.rx_out, 0);
	assert_int_equal(f->drv.tx_open, 0);
	assert_int_equal(f->mem.bytes, 0);
}

/* Two stacks, each with the other at the far end of its link: frames that @a sends are for @b. */
static inline void fix_pair_begin(struct fix *a, struct fix *b, bool v6, uint32_t link_flags)
{
	struct link_config cfg;
	uint8_t mac[6];

	fix_begin(a, v6, link_flags);
	fix_begin(b, v6, link_flags);
	stack_link_del(b->s, b->link, ENETDOWN);
	memcpy(mac, b->drv.mac, 6);
	memcpy(b->drv.mac, b->drv.peer_mac, 6);
	memcpy(b->drv.peer_mac, mac, 6);
	cfg = fake_link_config(&b->drv, 1500, link_flags);
	assert_int_equal(stack_link_add(b->s, &cfg, &b->link), 0);
}

static inline uint64_t fix_drops(const struct fix *f, enum stack_drop why)
{
	struct stack_stats stats;

	stack_stats(f->s, &stats);
	return stats.drops[why];
}

static inline struct endpoint fix_ep(const struct fix *f, unsigned int host, uint16_t port)
{
	struct endpoint ep = { .port = port };

	if (f->v6)
		assert_int_equal(ip_addr_parse(host == 1 ? "2001:db8::1" : "2001:db8::2", &ep.addr),
				 0);
	else
		assert_int_equal(ip_addr_parse(host == 1 ? "10.0.0.1" : "10.0.0.2", &ep.addr), 0);
	return ep;
}

/* Ethernet and IP headers from host 2 to host 1; returns their length. */
static inline uint32_t fix_headers(const struct fix *f, uint8_t *p, uint8_t proto, uint32_t l4_len)
{
	struct endpoint to = fix_ep(f, 1, 0), from = fix_ep(f, 2, 0);
	struct eth_fields eth = { .type = f->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	struct ip4_fields ip4 = {
		.src = ip_addr_v4(&from.addr),
		.dst = ip_addr_v4(&to.addr),
		.payload_len = (uint16_t)l4_len,
		.ttl = 64,
		.proto = proto,
	};
	struct ip6_fields ip6 = {
		.src = from.addr,
		.dst = to.addr,
		.payload_len = (uint16_t)l4_len,
		.hop_limit = 64,
		.proto = proto,
	};
	size_t len;

	memcpy(eth.dst.bytes, f->drv.mac, 6);
	memcpy(eth.src.bytes, f->drv.peer_mac, 6);
	len = eth_build(p, &eth);
	if (f->v6)
		return (uint32_t)(len + ip6_build(p + len, &ip6));
	ip4_build(p + len, &ip4);
	ip4_csum_fill(p + len);
	return (uint32_t)len + IP4_HDR_BYTES;
}

static inline struct csum fix_pseudo(const struct fix *f, uint8_t proto, uint32_t l4_len)
{
	struct endpoint to = fix_ep(f, 1, 0), from = fix_ep(f, 2, 0);

	return csum_pseudo_addr(&from.addr, &to.addr, proto, l4_len);
}

/* A UDP datagram from port 4000 to @port, its payload bytes @fill, @fill + 1, ...; returns its
 * length. */
static inline uint32_t fix_udp(const struct fix *f, uint8_t *p, uint16_t port, uint32_t len,
			       uint8_t fill)
{
	uint32_t off = fix_headers(f, p, IP_PROTO_UDP, UDP_HDR_BYTES + len);
	struct udp_fields udp = { .src_port = 4000,
				  .dst_port = port,
				  .payload_len = (uint16_t)len };
	uint8_t *data = p + off + UDP_HDR_BYTES;

	udp_build(p + off, &udp);
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(fill + i);
	udp_csum_fill(p + off, csum_add(fix_pseudo(f, IP_PROTO_UDP, UDP_HDR_BYTES + len),
					csum_bytes(data, len)));
	return off + UDP_HDR_BYTES + len;
}

/* A TCP segment with @opts_len bytes of NOP options */
static inline uint32_t fix_tcp(const struct fix *f, uint8_t *p, uint32_t opts_len, uint32_t len)
{
	uint32_t l4_len = TCP_HDR_BYTES + opts_len + len;
	uint32_t off = fix_headers(f, p, IP_PROTO_TCP, l4_len);
	struct tcp_fields tcp = { .src_port = 4000, .dst_port = 80, .seq = 77, .flags = TCP_ACK };

	tcp_build_hdr(p + off, &tcp, opts_len);
	memset(p + off + TCP_HDR_BYTES, TCP_OPT_NOP, opts_len);
	memset(p + off + TCP_HDR_BYTES + opts_len, 0x42, len);
	tcp_csum_fill(p + off, TCP_HDR_BYTES + opts_len,
		      csum_add(fix_pseudo(f, IP_PROTO_TCP, l4_len),
			       csum_bytes(p + off + TCP_HDR_BYTES + opts_len, len)));
	return off + l4_len;
}

static inline void fix_rx(struct fix *f, const uint8_t *frame, uint32_t len)
{
	fake_link_rx(f->s, f->link, &f->drv, frame, len);
}

static inline double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#endif
