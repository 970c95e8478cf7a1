// SPDX-License-Identifier: BSD-2-Clause
/*
 * What comes from a wire, and what an application sends: decided by src/policy over the tables of tests/policy.
 *
 * No byte behind the end is read (the sanitizer sees it); a decision is one of its side's; and where src/wire, which is
 * written apart, understands a packet, policy understands the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "policy/dispatch.h"
#include "policy/gate.h"
#include "policy/gateway.h"
#include "tests/policy/steps.h"
#include "tests/policy/tables.h"
#include "wire/eth.h"
#include "wire/ip.h"

static void check_vlan(const struct eth_view *wire, const struct policy_eth *eth)
{
	uint32_t vlan = 0;

	for (unsigned i = 0; i < wire->vlan_cnt; i++)
		if (wire->vlan_tci[i] & 0xfff)
			vlan = vlan << 16 | (wire->vlan_tci[i] & 0xfffu);
	VJ_ASSERT_OP(eth->vlan, ==, vlan);
	VJ_ASSERT_OP(eth->type, ==, wire->type);
	VJ_ASSERT_OP(eth->ip_off, ==, wire->hdr_len);
}

/* How many extension headers, and do the headers end where policy still looks? */
static bool within_limits(const struct ip_view *ip, uint32_t ip_off)
{
	unsigned exts = 0;
	uint8_t next;

	if (ip_off + ip->hdr_len + 14u > POLICY_OFF_MAX)
		return false;
	if (ip->version == 4)
		return true;
	next = ip->hdr[6];
	for (uint32_t off = IP6_HDR_BYTES; ip6_is_ext(next) && off < ip->hdr_len; exts++) {
		uint32_t len = next == IP6_EXT_FRAGMENT ? 8 : (ip->hdr[off + 1] + 1u) * 8;

		next = ip->hdr[off];
		off += len;
	}
	return exts <= POLICY_EXT_MAX;
}

static void check_ip(const struct policy_frame *f, const struct policy_eth *eth, const struct ip_view *ip)
{
	struct ip_addr src = ip_src(ip), dst = ip_dst(ip);
	enum policy_ip parsed;
	struct policy_view v;

	if (!within_limits(ip, eth->ip_off) || ip->version != (eth->type == ETH_TYPE_IP4 ? 4 : 6))
		return;
	parsed = policy_ip(f, eth, false, &v);
	if (ip->frag_off != 0) {
		VJ_ASSERT_OP(parsed, ==, POLICY_IP_OK);
		VJ_ASSERT_OP(v.frag, ==, POLICY_FRAG_LATER);
	} else if (policy_has_ports(ip->proto)) {
		const uint8_t *l4 = ip->hdr + ip->hdr_len;

		/* What is shorter than a header has none. */
		if (f->end - l4 < 14)
			return;
		VJ_ASSERT_OP(parsed, ==, POLICY_IP_OK);
		VJ_ASSERT_OP(v.frag == POLICY_FRAG_FIRST, ==, ip->more_frags);
		VJ_ASSERT_OP(be16_get(v.flow.remote_port), ==, load_be16(l4));
		VJ_ASSERT_OP(be16_get(v.flow.local_port), ==, load_be16(l4 + 2));
	} else {
		return;
	}
	VJ_ASSERT_OP(v.flow.proto, ==, ip->proto);
	VJ_ASSERT(ip_addr_eq(&v.flow.remote, &src) && ip_addr_eq(&v.flow.local, &dst));
}

/* src/wire refuses more than policy: lengths that contradict each other, options that order a drop. */
static void compare(const struct policy_frame *f)
{
	size_t len = (size_t)(f->end - f->data);
	struct eth_view wire_eth;
	struct policy_eth eth;
	struct ip_view ip;

	if (eth_parse(f->data, len, &wire_eth) != WIRE_OK)
		return;
	VJ_ASSERT(policy_eth(f, &eth));
	check_vlan(&wire_eth, &eth);
	if (eth.type != ETH_TYPE_IP4 && eth.type != ETH_TYPE_IP6)
		return;
	if (ip_parse(f->data + wire_eth.hdr_len, len - wire_eth.hdr_len, &ip) == WIRE_OK)
		check_ip(f, &eth, &ip);
}

/* The short way of the gateway says what the long one says, or nothing. */
static void check_gateway(const struct policy_frame *f)
{
	_Alignas(8) struct policy_learned_key usual, key;

	if (!policy_gateway_usual(f, &usual))
		return;
	VJ_ASSERT_OP(policy_gateway_key(f, false, &key), ==, POLICY_HOP_APP);
	VJ_ASSERT_OP(memcmp(&usual, &key, sizeof(key)), ==, 0);
	VJ_ASSERT_OP(policy_gateway_key(f, true, &key), ==, POLICY_HOP_VLAN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	struct policy_gate_cfg gate = { .app = 1, .mtu = STEP_MTU, .mac = step_mac(MAC_HOST) };
	static struct tables tables;
	struct policy_maps maps = tables_maps(&tables);
	enum policy_reason reason;
	struct policy_frame frame;
	uint8_t *copy;
	struct policy_learned_key ask;
	uint32_t app;

	if (len == 0 || len > STEP_FRAME_MAX)
		return 0;
	copy = malloc(len);
	VJ_ASSERT(copy != NULL);
	memcpy(copy, data, len);
	frame = (struct policy_frame){ .data = copy, .end = copy + len };
	tables_init(&tables);
	compare(&frame);
	check_gateway(&frame);
	for (unsigned i = 0; i < 4; i++) {
		cfg.ways = i >= 2;
		reason = policy_dispatch(&maps, &frame, 0, &cfg, &app);
		VJ_ASSERT_OP(reason, <=, POLICY_PASS_BAD);
		VJ_ASSERT_OP(app != 0, ==, policy_reason_fate(reason) == POLICY_FATE_TAKE);
	}
	reason = policy_gate(&maps, &frame, &gate, &app, &ask);
	VJ_ASSERT(reason >= POLICY_SENT && reason <= POLICY_GATE_LOCAL);
	VJ_ASSERT_OP(app != 0, ==, reason == POLICY_SENT_LOCAL);
	free(copy);
	return 0;
}
