// SPDX-License-Identifier: BSD-2-Clause
#include "wire/parp_wire.h"

#include "wire/arp.h"
#include "wire/ip.h"

#include <string.h>

enum {
	OP_ASK = 24,	/* OP_EXP1 (RFC 5494): questions and claims */
	OP_ANSWER = 25, /* OP_EXP2: answers and objections */
	HW_LEN = 6,
	PROTO_LEN = sizeof(struct parp_wire_endpoint),
	PROTO_SCTP = 132,
};

/* ---- names */

const char *parp_err_name(enum parp_err err)
{
	static const char *const names[] = {
#define PARP_ERR_NAME(name, word, text) [PARP_ERR_##name] = (word),
		PARP_ERRS(PARP_ERR_NAME)
#undef PARP_ERR_NAME
	};

	return (unsigned int)err < PARP_ERR_CNT ? names[err] : "unknown";
}

const char *parp_err_text(enum parp_err err)
{
	static const char *const texts[] = {
#define PARP_ERR_TEXT(name, word, text) [PARP_ERR_##name] = (text),
		PARP_ERRS(PARP_ERR_TEXT)
#undef PARP_ERR_TEXT
	};

	return (unsigned int)err < PARP_ERR_CNT ? texts[err] : "unknown";
}

const char *parp_type_name(uint8_t type)
{
	static const char *const names[] = {
		"unknown",
#define PARP_TYPE_NAME(nr, name, word) [PARP_##name] = (word),
		PARP_TYPES(PARP_TYPE_NAME)
#undef PARP_TYPE_NAME
	};

	return type < PARP_TYPE_END ? names[type] : "unknown";
}

/* ---- what must hold in every encoding */

/* TLVs without which a message says nothing. */
static uint32_t must_have(uint8_t type)
{
	static const uint32_t must[PARP_TYPE_END] = {
		[PARP_QUERY] = PARP_HAS_NONCE,
		[PARP_REPLY] = PARP_HAS_NONCE | PARP_HAS_LIFETIME,
		[PARP_NEG] = PARP_HAS_NONCE | PARP_HAS_LIFETIME,
		[PARP_ANNOUNCE] = PARP_HAS_LIFETIME | PARP_HAS_HOST,
		[PARP_RELEASE] = PARP_HAS_HOST,
		[PARP_MAC_PROBE] = PARP_HAS_HOST | PARP_HAS_NONCE,
		[PARP_MAC_DEFEND] = PARP_HAS_HOST,
		[PARP_MAC_CLAIM] = PARP_HAS_HOST,
	};

	return must[type];
}

/* @whole: RELEASE may name all of an address: any protocol, all ports */
static bool endpoint_ok(const struct parp_endpoint *ep, bool whole)
{
	if (ip_addr_is_any(&ep->addr) || ip_addr_is_multicast(&ep->addr) || ip_addr_is_broadcast(&ep->addr) ||
	    ip_addr_is_loopback(&ep->addr))
		return false;
	if (whole && ep->proto == 0)
		return ep->port_lo == 0 && ep->port_hi == UINT16_MAX;
	return (ep->proto == IP_PROTO_TCP || ep->proto == IP_PROTO_UDP || ep->proto == PROTO_SCTP) &&
	       ep->port_lo >= 1 && ep->port_lo <= ep->port_hi;
}

/* The answer is about what was asked. */
static bool range_answers(const struct parp_msg *msg)
{
	return msg->sender.proto == msg->target.proto && ip_addr_eq(&msg->sender.addr, &msg->target.addr) &&
	       msg->sender.port_lo <= msg->target.port_lo && msg->target.port_lo <= msg->sender.port_hi;
}

static enum parp_err check_endpoints(const struct parp_msg *msg)
{
	bool asked = msg->type == PARP_QUERY || msg->type == PARP_REPLY || msg->type == PARP_NEG;

	if (parp_is_about_macs(msg->type))
		return PARP_ERR_OK;
	if (asked && (!endpoint_ok(&msg->target, false) || msg->target.port_lo != msg->target.port_hi))
		return PARP_ERR_BAD_ENDPOINT;
	if (msg->type == PARP_QUERY)
		return PARP_ERR_OK;
	if (!endpoint_ok(&msg->sender, msg->type == PARP_RELEASE) || (asked && !range_answers(msg)))
		return PARP_ERR_BAD_ENDPOINT;
	return PARP_ERR_OK;
}

static enum parp_err check_macs(const struct parp_msg *msg)
{
	bool application = msg->type == PARP_REPLY || msg->type == PARP_ANNOUNCE || msg->type == PARP_RELEASE;

	if (mac_addr_is_multicast(&msg->eth_src) || mac_addr_is_zero(&msg->eth_src))
		return PARP_ERR_BAD_SOURCE;
	if ((msg->has & PARP_HAS_CANON_MAC) != 0 && !mac_addr_eq(&msg->canon_mac, &msg->eth_src))
		return PARP_ERR_BAD_SOURCE;
	if (application && !parp_mac_is_application(&msg->sender_mac))
		return PARP_ERR_BAD_MAC;
	for (unsigned i = 0; i < msg->mac_cnt; i++)
		if (!parp_mac_is_application(&msg->macs[i]))
			return PARP_ERR_BAD_MAC;
	return PARP_ERR_OK;
}

enum parp_err parp_check(const struct parp_msg *msg)
{
	uint32_t must = must_have(msg->type);
	enum parp_err err;

	if ((msg->has & must) != must)
		return PARP_ERR_MISSING;
	err = check_macs(msg);
	return err == PARP_ERR_OK ? check_endpoints(msg) : err;
}

/* ---- E1 and E2 */

static bool endpoint_parse_wire(const struct parp_wire_endpoint *from, struct parp_endpoint *to)
{
	*to = (struct parp_endpoint){
		.addr = ip_addr_from_v4(from->ip4),
		.port_lo = be16_get(from->port_lo),
		.port_hi = be16_get(from->port_hi),
		.proto = from->proto,
		.gen = be32_get(from->gen),
	};
	return from->version == PARP_VERSION;
}

static enum parp_err fixed_parse(const struct parp_wire *w, struct parp_msg *msg)
{
	if (be32_get(w->magic) != PARP_MAGIC || w->version != PARP_VERSION ||
	    !endpoint_parse_wire(&w->sender, &msg->sender) || !endpoint_parse_wire(&w->target, &msg->target))
		return PARP_ERR_BAD_VERSION;
	if (w->type == 0 || w->type >= PARP_TYPE_END)
		return PARP_ERR_BAD_TYPE;
	if (be16_get(w->op) != (parp_is_answer(w->type) ? OP_ANSWER : OP_ASK))
		return PARP_ERR_BAD_OP;
	msg->type = w->type;
	msg->sender_mac = w->sender_mac;
	msg->target_mac = w->target_mac;
	if (parp_is_about_macs(msg->type)) {
		msg->macs[0] = msg->type == PARP_MAC_PROBE ? msg->target_mac : msg->sender_mac;
		msg->mac_cnt = 1;
	}
	return PARP_ERR_OK;
}

static struct parp_covered covered_by_auth(const struct eth_hdr *eth, const void *from)
{
	struct parp_covered c = { .head_len = sizeof(eth->src) + sizeof(eth->type), .from = from };

	memcpy(c.head, &eth->src, sizeof(eth->src));
	memcpy(c.head + sizeof(eth->src), &eth->type, sizeof(eth->type));
	return c;
}

static enum parp_err message_parse(const struct eth_hdr *eth, const uint8_t *p, size_t len,
				   const struct parp_config *cfg, struct parp_msg *msg)
{
	struct parp_covered covered = covered_by_auth(eth, p);
	struct parp_wire w;
	enum parp_err err;

	if (len < sizeof(w))
		return PARP_ERR_SHORT;
	memcpy(&w, p, sizeof(w));
	if (be16_get(w.tlv_len) > len - sizeof(w))
		return PARP_ERR_SHORT;
	err = fixed_parse(&w, msg);
	if (err == PARP_ERR_OK)
		err = parp_tlvs_parse(&covered, p + sizeof(w), be16_get(w.tlv_len), cfg, msg);
	return err == PARP_ERR_OK ? parp_check(msg) : err;
}

/* The first 6 bytes: is it ours at all, and has it the lengths that it must have? */
static enum parp_err head_parse(uint16_t type, const uint8_t *p, size_t len, const struct parp_config *cfg,
				struct parp_msg *msg)
{
	static const uint8_t zero[5];

	if (type == ETH_TYPE_ARP) {
		if (len < 6 || load_be16(p) != ARP_HW_ETHERNET || load_be16(p + 2) != PARP_PROTO_TYPE)
			return PARP_ERR_NOT_PARP;
		msg->encoding = PARP_E1;
		return p[4] == HW_LEN && p[5] == PROTO_LEN ? PARP_ERR_OK : PARP_ERR_BAD_LEN;
	}
	if (type != cfg->e2_type || len < 6 || p[0] != cfg->e2_subtype)
		return PARP_ERR_NOT_PARP;
	msg->encoding = PARP_E2;
	return memcmp(p + 1, zero, sizeof(zero)) == 0 ? PARP_ERR_OK : PARP_ERR_BAD_LEN;
}

enum parp_err parp_parse(const void *frame, size_t len, const struct parp_config *cfg, struct parp_msg *ret_msg)
{
	const struct eth_hdr *eth = frame;
	const uint8_t *p = (const uint8_t *)frame + ETH_HDR_BYTES;
	struct parp_msg msg = { .type = 0 };
	enum parp_err err;

	if (len < ETH_HDR_BYTES)
		return PARP_ERR_NOT_PARP;
	msg.eth_dst = eth->dst;
	msg.eth_src = eth->src;
	if (be16_get(eth->type) == ETH_TYPE_IP6) {
		err = parp_nd_parse(frame, len, cfg, &msg);
	} else {
		err = head_parse(be16_get(eth->type), p, len - ETH_HDR_BYTES, cfg, &msg);
		if (err == PARP_ERR_OK)
			err = message_parse(eth, p, len - ETH_HDR_BYTES, cfg, &msg);
	}
	if (err == PARP_ERR_OK)
		*ret_msg = msg;
	return err;
}

static struct parp_wire_endpoint endpoint_wire(const struct parp_endpoint *from)
{
	return (struct parp_wire_endpoint){
		.version = PARP_VERSION,
		.proto = from->proto,
		.port_lo = be16(from->port_lo),
		.port_hi = be16(from->port_hi),
		.gen = be32(from->gen),
		.ip4 = ip_addr_is_v4(&from->addr) ? ip_addr_v4(&from->addr) : be32(0),
	};
}

static void head_build(struct parp_wire *w, const struct parp_config *cfg, uint8_t encoding)
{
	if (encoding == PARP_E1) {
		w->hw_type = be16(ARP_HW_ETHERNET);
		w->proto_type = be16(PARP_PROTO_TYPE);
		w->hw_len = HW_LEN;
		w->proto_len = PROTO_LEN;
	} else {
		w->hw_type = be16((uint16_t)(cfg->e2_subtype << 8));
	}
}

static bool can_be_said(const struct parp_msg *msg)
{
	bool v6 = (!ip_addr_is_v4(&msg->sender.addr) && !ip_addr_is_any(&msg->sender.addr)) ||
		  (!ip_addr_is_v4(&msg->target.addr) && !ip_addr_is_any(&msg->target.addr));

	return !v6 && msg->mac_cnt <= PARP_MACS_MAX && (msg->mac_cnt > 0 || !parp_is_about_macs(msg->type));
}

size_t parp_build(void *buf, const struct parp_config *cfg, const struct parp_msg *msg)
{
	size_t tlv_len = parp_tlvs_bytes(cfg, msg);
	struct eth_hdr eth = { msg->eth_dst, msg->eth_src, be16(ETH_TYPE_ARP) };
	struct parp_wire w = {
		.op = be16(parp_is_answer(msg->type) ? OP_ANSWER : OP_ASK),
		.sender_mac = msg->sender_mac,
		.sender = endpoint_wire(&msg->sender),
		.target_mac = msg->target_mac,
		.target = endpoint_wire(&msg->target),
		.magic = be32(PARP_MAGIC),
		.version = PARP_VERSION,
		.type = msg->type,
		.tlv_len = be16((uint16_t)tlv_len),
	};
	uint8_t *p = (uint8_t *)buf + sizeof(eth);
	struct parp_covered covered;

	if (msg->encoding == PARP_ND)
		return parp_nd_build(buf, cfg, msg);
	if (!can_be_said(msg) || tlv_len > PARP_TLVS_MAX)
		return 0;
	if (msg->encoding == PARP_E2)
		eth.type = be16(cfg->e2_type);
	head_build(&w, cfg, msg->encoding);
	if (msg->type == PARP_MAC_PROBE)
		w.target_mac = msg->macs[0];
	else if (parp_is_about_macs(msg->type))
		w.sender_mac = msg->macs[0];
	memcpy(buf, &eth, sizeof(eth));
	memcpy(p, &w, sizeof(w));
	covered = covered_by_auth(&eth, p);
	parp_tlvs_build(&covered, p + sizeof(w), cfg, msg);
	return sizeof(eth) + sizeof(w) + tlv_len;
}
