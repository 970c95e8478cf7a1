// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every parser of wire, over bytes of anybody's making. What must hold:
 *
 *  - nothing is read outside the input (AddressSanitizer watches), and no more than `avail` of it;
 *  - a parser that says WIRE_OK has lengths that add up and lie inside the packet;
 *  - one that does not leaves its result alone;
 *  - what is parsed, built again and parsed again, is the same.
 *
 * The first byte chooses the parser to start with, the second how much of the rest may be read.
 */
#include "base/addr.h"
#include "base/assert.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/nd.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* `avail` bytes in a block of their own, of a message of `len`. */
struct input {
	const uint8_t *p;
	size_t avail;
	size_t len;
};

static struct input input_from(const struct input *in, size_t off, size_t len)
{
	VJ_ASSERT_OP(off, <=, in->avail);
	VJ_ASSERT_OP(off + len, <=, in->len);
	return (struct input){ in->p + off, min_size(in->avail - off, len), len };
}

static void check_err(enum wire_err err, const struct input *in)
{
	VJ_ASSERT_OP((int)err, >=, 0);
	VJ_ASSERT_OP((int)err, <, WIRE_ERR_CNT);
	VJ_ASSERT(err != WIRE_TOO_DEEP || in->avail < in->len);
}

static void check_tcp_opts(const struct tcp_opts *opts)
{
	const struct tcp_fields fields = { .flags = TCP_SYN };
	uint8_t buf[TCP_HDR_MAX];
	struct tcp_opts back;
	struct tcp_view tcp;
	size_t len;

	if ((opts->present & TCP_HAS_SACK) != 0)
		VJ_ASSERT(opts->sack_cnt >= 1 && opts->sack_cnt <= TCP_SACK_MAX);
	if ((opts->present & TCP_HAS_WSCALE) != 0)
		VJ_ASSERT_OP(opts->wscale, <=, TCP_WSCALE_MAX);
	if ((opts->present & TCP_HAS_FASTOPEN) != 0)
		VJ_ASSERT_OP(opts->fastopen_len, <=, TCP_FASTOPEN_MAX);
	VJ_ASSERT_OP(tcp_opts_len(opts), <=, TCP_OPTS_MAX);
	len = tcp_build(buf, &fields, opts);
	VJ_ASSERT_OP(len, ==, TCP_HDR_BYTES + tcp_opts_len(opts));
	VJ_ASSERT(tcp_parse(buf, len, &tcp) == WIRE_OK);
	VJ_ASSERT(tcp_opts_parse(&tcp, &back) == WIRE_OK);
	/* All of it, but SACK blocks, which may find no room in canonical order. */
	VJ_ASSERT((opts->present & ~TCP_HAS_SACK) == (back.present & ~TCP_HAS_SACK));
	if ((opts->present & TCP_HAS_TS) != 0)
		VJ_ASSERT(opts->ts_val == back.ts_val && opts->ts_ecr == back.ts_ecr);
	if ((opts->present & TCP_HAS_MSS) != 0)
		VJ_ASSERT_OP(opts->mss, ==, back.mss);
}

static void fuzz_tcp(const struct input *in)
{
	struct tcp_view tcp = { .hdr = NULL };
	struct tcp_opts opts = { .present = 0xee };
	enum wire_err err = tcp_parse_part(in->p, in->avail, in->len, &tcp);

	check_err(err, in);
	VJ_ASSERT((err == WIRE_OK) == (tcp.hdr != NULL));
	if (err != WIRE_OK)
		return;
	VJ_ASSERT_OP(tcp.hdr_len + (size_t)tcp.payload_len, ==, in->len);
	VJ_ASSERT_OP(tcp.hdr_len, <=, in->avail);
	err = tcp_opts_parse(&tcp, &opts);
	if (err == WIRE_OK)
		check_tcp_opts(&opts);
	else
		VJ_ASSERT(err == WIRE_BAD_OPTION && opts.present == 0xee);
}

static void fuzz_udp(const struct input *in)
{
	struct udp_view udp = { .hdr = NULL };
	enum wire_err err = udp_parse_part(in->p, in->avail, in->len, &udp);

	check_err(err, in);
	VJ_ASSERT((err == WIRE_OK) == (udp.hdr != NULL));
	if (err == WIRE_OK)
		VJ_ASSERT_OP(UDP_HDR_BYTES + (size_t)udp.payload_len, <=, in->len);
}

static void fuzz_icmp(const struct input *in, uint8_t version)
{
	struct icmp_quote quote = { .ip = { .hdr = NULL } };
	struct icmp_view icmp = { .hdr = NULL };
	enum wire_err err = icmp_parse_part(in->p, in->avail, in->len, version, &icmp);
	size_t body_avail;

	check_err(err, in);
	VJ_ASSERT((err == WIRE_OK) == (icmp.hdr != NULL));
	if (err != WIRE_OK)
		return;
	VJ_ASSERT_OP(ICMP_HDR_BYTES + (size_t)icmp.body_len, ==, in->len);
	(void)icmp_mtu(&icmp);
	body_avail = min_size(icmp.body_len, in->avail - ICMP_HDR_BYTES);
	err = icmp_parse_quote(&icmp, in->p + ICMP_HDR_BYTES, body_avail, &quote);
	VJ_ASSERT(err == WIRE_OK || (err == WIRE_BAD_QUOTE && quote.ip.hdr == NULL));
	if (err == WIRE_OK) {
		VJ_ASSERT_OP(quote.ip.version, ==, version);
		VJ_ASSERT_OP(quote.ip.hdr_len + (size_t)quote.ip.payload_len, <=, body_avail);
	}
}

static void fuzz_upper(const struct input *in, uint8_t proto, uint8_t version)
{
	switch (proto) {
	case IP_PROTO_TCP:
		fuzz_tcp(in);
		break;
	case IP_PROTO_UDP:
		fuzz_udp(in);
		break;
	case IP_PROTO_ICMP:
	case IP_PROTO_ICMP6:
		fuzz_icmp(in, version);
		break;
	default:
		break;
	}
}

static void check_ip(const struct input *in, const struct ip_view *ip)
{
	size_t total = (size_t)ip->hdr_len + ip->payload_len;
	struct ip_addr src = ip_src(ip), dst = ip_dst(ip);
	char text[IP_ADDR_TEXT_BYTES];
	struct ip_addr back;

	VJ_ASSERT_OP(total, <=, in->len);
	VJ_ASSERT_OP(ip->hdr_len, <=, in->avail);
	VJ_ASSERT_OP(ip->proto_off, <, ip->hdr_len);
	VJ_ASSERT_OP(ip->frag_off % 8, ==, 0);
	VJ_ASSERT_OP(ip->frag_off + (size_t)ip->payload_len, <=, IP_PKT_MAX);
	VJ_ASSERT(ip->version != 6 || in->p[ip->proto_off] == ip->proto);
	VJ_ASSERT(ip_addr_parse(ip_addr_format(&src, text), &back) == 0 && ip_addr_eq(&src, &back));
	VJ_ASSERT(ip_addr_parse(ip_addr_format(&dst, text), &back) == 0 && ip_addr_eq(&dst, &back));
	if (ip->version == 4)
		(void)ip4_csum_ok(ip);
	if (total <= in->avail)
		(void)ip_csum_ok(ip, ip_payload(ip), ip->payload_len, NULL, 0);
}

static void fuzz_ip(const struct input *in)
{
	struct ip_view ip = { .hdr = NULL };
	enum wire_err err = ip_parse_part(in->p, in->avail, in->len, &ip);

	check_err(err, in);
	VJ_ASSERT((err == WIRE_OK) == (ip.hdr != NULL));
	if (err == WIRE_OK) {
		struct input upper = input_from(in, ip.hdr_len, ip.payload_len);

		check_ip(in, &ip);
		if (ip.frag_off == 0)
			fuzz_upper(&upper, ip.proto, ip.version);
	}
	ip.hdr = NULL;
	err = ip_parse_quoted(in->p, in->avail, &ip);
	VJ_ASSERT(err != WIRE_TOO_DEEP);
	VJ_ASSERT((err == WIRE_OK) == (ip.hdr != NULL));
	if (err == WIRE_OK)
		VJ_ASSERT_OP(ip.hdr_len + (size_t)ip.payload_len, <=, in->avail);
}

static void fuzz_arp(const struct input *in)
{
	struct arp_fields fields;
	uint8_t buf[ARP_BYTES];

	if (arp_parse(in->p, in->avail, &fields) != WIRE_OK)
		return;
	VJ_ASSERT_OP(in->avail, >=, ARP_BYTES);
	VJ_ASSERT_OP(arp_build(buf, &fields), ==, ARP_BYTES);
	VJ_ASSERT(memcmp(buf, in->p, ARP_BYTES) == 0);
}

static void fuzz_eth(const struct input *in)
{
	struct eth_view eth = { .hdr = NULL };
	enum wire_err err = eth_parse(in->p, in->avail, &eth);
	struct input rest;

	check_err(err, in);
	VJ_ASSERT((err == WIRE_OK) == (eth.hdr != NULL));
	if (err != WIRE_OK)
		return;
	VJ_ASSERT_OP(eth.hdr_len, ==, ETH_HDR_BYTES + eth.vlan_cnt * ETH_VLAN_BYTES);
	VJ_ASSERT_OP(eth.vlan_cnt, <=, ETH_VLAN_MAX);
	VJ_ASSERT_OP(eth.type, >=, ETH_TYPE_MIN);
	rest = input_from(in, eth.hdr_len, in->len - eth.hdr_len);
	if (eth.type == ETH_TYPE_ARP)
		fuzz_arp(&rest);
	else if (eth.type == ETH_TYPE_IP4 || eth.type == ETH_TYPE_IP6)
		fuzz_ip(&rest);
}

/* As it should be: what is behind it would hardly be reached else. */
static void nd_sum(uint8_t *frame, size_t len)
{
	const size_t at = ETH_HDR_BYTES + IP6_HDR_BYTES;
	struct be16 csum = { 0 };
	struct ip6_hdr ip;
	size_t payload;

	if (len < at + ND_FIXED_BYTES)
		return;
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	payload = min_size(be16_get(ip.payload_len), len - at);
	memcpy(frame + at + offsetof(struct nd_hdr, csum), &csum, sizeof(csum));
	csum = csum_finish(csum_add(csum_pseudo_v6(&ip.src, &ip.dst, IP_PROTO_ICMP6, (uint32_t)payload), csum_bytes(frame + at, payload)));
	memcpy(frame + at + offsetof(struct nd_hdr, csum), &csum, sizeof(csum));
}

static void fuzz_nd_frame(const uint8_t *frame, size_t len)
{
	uint8_t buf[ND_FRAME_MAX];
	struct nd_msg msg, back;

	if (!nd_parse(frame, len, &msg))
		return;
	len = nd_build(buf, &msg);
	VJ_ASSERT_OP(len, <=, sizeof(buf));
	VJ_ASSERT(nd_parse(buf, len, &back));
	VJ_ASSERT(memcmp(&back, &msg, sizeof(msg)) == 0);
}

static void fuzz_nd(const struct input *in)
{
	uint8_t *frame = malloc(in->avail + 1); /* in a block of its own, too; the byte is for none */

	VJ_ASSERT(frame != NULL);
	fuzz_nd_frame(in->p, in->avail);
	memcpy(frame + 1, in->p, in->avail);
	nd_sum(frame + 1, in->avail);
	fuzz_nd_frame(frame + 1, in->avail);
	free(frame);
}

static void fuzz_one(unsigned int choice, const struct input *in)
{
	switch (choice % 8) {
	case 0:
		fuzz_tcp(in);
		break;
	case 1:
		fuzz_udp(in);
		break;
	case 2:
		fuzz_icmp(in, 4);
		break;
	case 3:
		fuzz_icmp(in, 6);
		break;
	case 4:
		fuzz_arp(in);
		break;
	case 5:
		fuzz_ip(in);
		break;
	case 6:
		fuzz_nd(in);
		break;
	default:
		fuzz_eth(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in;
	uint8_t *copy;

	if (len < 2 || len > IP_PKT_MAX)
		return 0;
	in.len = len - 2;
	/* 255 and the zero of a fresh corpus: all of it. */
	in.avail = data[1] == 0 || data[1] == 255 ? in.len : min_size(in.len, data[1]);
	copy = malloc(in.avail + (in.avail == 0));
	VJ_ASSERT(copy != NULL);
	memcpy(copy, data + 2, in.avail);
	in.p = copy;
	fuzz_one(data[0], &in);
	free(copy);
	return 0;
}
