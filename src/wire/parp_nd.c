// SPDX-License-Identifier: BSD-2-Clause
/*
 * parp_nd.c - a message about an IPv6 endpoint, in an option of a neighbour solicitation or advertisement (RFC 4861)
 *
 * A receiver that doesn't know the option ignores it (4.6) and sees a solicitation without source address, or an
 * advertisement without target address and with the Override flag clear: nothing to learn a MAC from.
 */
#include "wire/parp_wire.h"

#include "wire/nd.h"

#include <string.h>

enum {
	ND_UNIT_BYTES = 8, /* of an option's length */
	ND_OPTION_AT = ETH_HDR_BYTES + IP6_HDR_BYTES + ND_FIXED_BYTES,
	ND_OPTION_MAX = 255 * ND_UNIT_BYTES,
};

struct nd_option {
	uint8_t type, units, version, msg_type;
	struct be32 magic;
	struct mac_addr mac;
	uint8_t proto, zero;
	struct be16 port_lo, port_hi, flags, tlv_len;
	struct be32 gen, zero2;
} VJ_PACKED;

_Static_assert(sizeof(struct nd_option) == 32, "docs/parp.md");
_Static_assert(offsetof(struct nd_option, port_lo) == 16, "docs/parp.md");

static bool is_nd(const struct ip6_hdr *ip, const struct nd_hdr *nd)
{
	return be32_get(ip->version_class_flow) >> 28 == 6 && ip->next == IP_PROTO_ICMP6 &&
	       (nd->type == ND_SOLICIT || nd->type == ND_ADVERT);
}

/* Return: our option, @ret_len bytes of it; NULL: there is none. RFC 4861 4.6: length 0 makes the whole packet void */
static const uint8_t *find_option(const uint8_t *p, size_t len, size_t *ret_len)
{
	while (len >= ND_UNIT_BYTES) {
		size_t bytes = p[1] * (size_t)ND_UNIT_BYTES;

		if (bytes == 0 || bytes > len)
			return NULL;
		if (p[0] == PARP_ND_OPTION && bytes >= sizeof(struct nd_option) && load_be32(p + 4) == PARP_MAGIC) {
			*ret_len = bytes;
			return p;
		}
		p += bytes;
		len -= bytes;
	}
	return NULL;
}

static struct parp_covered covered_by_auth(const struct mac_addr *eth_src, struct ip_addr target, const void *option)
{
	struct parp_covered c = { .head_len = sizeof(*eth_src) + 2 + sizeof(target), .from = option };

	memcpy(c.head, eth_src, sizeof(*eth_src));
	store_be16(c.head + sizeof(*eth_src), ETH_TYPE_IP6);
	memcpy(c.head + sizeof(*eth_src) + 2, &target, sizeof(target));
	return c;
}

static bool nd_is_sound(const struct ip6_hdr *ip, const struct nd_hdr *nd, const uint8_t *p, size_t len)
{
	struct csum sum = csum_add(csum_pseudo_v6(&ip->src, &ip->dst, IP_PROTO_ICMP6, (uint32_t)len), csum_bytes(p, len));

	return ip->hop_limit == ND_HOP_LIMIT && nd->code == 0 && csum_is_ok(sum);
}

/* A solicitation asks; all else is advertised. */
static enum parp_err option_parse(const struct nd_option *o, const struct nd_hdr *nd, struct parp_msg *msg)
{
	bool solicit = nd->type == ND_SOLICIT;
	struct parp_endpoint ep = {
		.addr = nd->target,
		.port_lo = be16_get(o->port_lo),
		.port_hi = be16_get(o->port_hi),
		.proto = o->proto,
		.gen = be32_get(o->gen),
	};

	if (o->version != PARP_VERSION)
		return PARP_ERR_BAD_VERSION;
	if (o->msg_type < PARP_QUERY || o->msg_type > PARP_RELEASE)
		return PARP_ERR_BAD_TYPE;
	if (solicit != (o->msg_type == PARP_QUERY) || (!solicit && (be32_get(nd->flags) & ND_FLAG_OVERRIDE) != 0))
		return PARP_ERR_BAD_OP;
	if (ip_addr_is_v4(&ep.addr))
		return PARP_ERR_BAD_ENDPOINT;
	msg->encoding = PARP_ND;
	msg->type = o->msg_type;
	msg->sender_mac = o->mac;
	if (solicit)
		msg->target = ep;
	else
		msg->sender = ep;
	/* what was asked is not repeated: the nonce says which question it was */
	if (msg->type == PARP_REPLY || msg->type == PARP_NEG)
		msg->target = (struct parp_endpoint){ ep.addr, ep.port_lo, ep.port_lo, ep.proto, 0 };
	return PARP_ERR_OK;
}

enum parp_err parp_nd_parse(const uint8_t *frame, size_t len, const struct parp_config *cfg, struct parp_msg *msg)
{
	const struct ip6_hdr *ip = (const struct ip6_hdr *)(frame + ETH_HDR_BYTES);
	const struct nd_hdr *nd = (const struct nd_hdr *)(ip + 1);
	const uint8_t *option;
	struct nd_option o;
	struct parp_covered covered;
	size_t payload, room;
	enum parp_err err;

	if (len < ND_OPTION_AT || !is_nd(ip, nd))
		return PARP_ERR_NOT_PARP;
	payload = be16_get(ip->payload_len);
	if (payload < ND_FIXED_BYTES || payload > len - ETH_HDR_BYTES - IP6_HDR_BYTES)
		return PARP_ERR_NOT_PARP;
	option = find_option(frame + ND_OPTION_AT, payload - ND_FIXED_BYTES, &room);
	if (option == NULL)
		return PARP_ERR_NOT_PARP;
	if (!nd_is_sound(ip, nd, (const uint8_t *)nd, payload))
		return PARP_ERR_BAD_CSUM;
	memcpy(&o, option, sizeof(o));
	if (be16_get(o.tlv_len) > room - sizeof(o))
		return PARP_ERR_SHORT;
	err = option_parse(&o, nd, msg);
	if (err != PARP_ERR_OK)
		return err;
	msg->ip6_src = ip->src;
	msg->ip6_dst = ip->dst;
	covered = covered_by_auth(&msg->eth_src, nd->target, option);
	err = parp_tlvs_parse(&covered, option + sizeof(o), be16_get(o.tlv_len), cfg, msg);
	return err == PARP_ERR_OK ? parp_check(msg) : err;
}

static struct nd_option option_wire(const struct parp_msg *msg, const struct parp_endpoint *ep, size_t units,
				    size_t tlv_len)
{
	return (struct nd_option){
		.type = PARP_ND_OPTION,
		.units = (uint8_t)units,
		.version = PARP_VERSION,
		.msg_type = msg->type,
		.magic = be32(PARP_MAGIC),
		.mac = msg->sender_mac,
		.proto = ep->proto,
		.port_lo = be16(ep->port_lo),
		.port_hi = be16(ep->port_hi),
		.tlv_len = be16((uint16_t)tlv_len),
		.gen = be32(ep->gen),
	};
}

static void headers_build(uint8_t *buf, const struct parp_msg *msg, const struct ip_addr *target, size_t payload)
{
	const struct eth_hdr eth = { msg->eth_dst, msg->eth_src, be16(ETH_TYPE_IP6) };
	const struct ip6_fields ip = {
		.src = msg->ip6_src,
		.dst = msg->ip6_dst,
		.payload_len = (uint16_t)payload,
		.proto = IP_PROTO_ICMP6,
		.hop_limit = ND_HOP_LIMIT,
	};
	struct nd_hdr nd = { .type = ND_ADVERT, .target = *target };

	if (msg->type == PARP_QUERY)
		nd.type = ND_SOLICIT;
	else if (parp_is_answer(msg->type))
		nd.flags = be32(ND_FLAG_SOLICITED);
	memcpy(buf, &eth, sizeof(eth));
	ip6_build(buf + ETH_HDR_BYTES, &ip);
	memcpy(buf + ETH_HDR_BYTES + IP6_HDR_BYTES, &nd, sizeof(nd));
}

size_t parp_nd_build(uint8_t *buf, const struct parp_config *cfg, const struct parp_msg *msg)
{
	const struct parp_endpoint *ep = msg->type == PARP_QUERY ? &msg->target : &msg->sender;
	size_t tlv_len = parp_tlvs_bytes(cfg, msg);
	size_t units = (sizeof(struct nd_option) + tlv_len + ND_UNIT_BYTES - 1) / ND_UNIT_BYTES;
	size_t payload = ND_FIXED_BYTES + units * ND_UNIT_BYTES;
	uint8_t *nd = buf + ETH_HDR_BYTES + IP6_HDR_BYTES, *option = buf + ND_OPTION_AT;
	struct nd_option o = option_wire(msg, ep, units, tlv_len);
	struct parp_covered covered;
	struct be16 csum;

	if (msg->type < PARP_QUERY || msg->type > PARP_RELEASE || ip_addr_is_v4(&ep->addr) ||
	    ND_OPTION_AT + units * ND_UNIT_BYTES > PARP_FRAME_MAX)
		return 0;
	headers_build(buf, msg, &ep->addr, payload);
	memset(option, 0, units * ND_UNIT_BYTES);
	memcpy(option, &o, sizeof(o));
	covered = covered_by_auth(&msg->eth_src, ep->addr, option);
	parp_tlvs_build(&covered, option + sizeof(o), cfg, msg);
	csum = csum_finish(csum_add(csum_pseudo_v6(&msg->ip6_src, &msg->ip6_dst, IP_PROTO_ICMP6, (uint32_t)payload),
				    csum_bytes(nd, payload)));
	memcpy(nd + 2, &csum, sizeof(csum));
	return ETH_HDR_BYTES + IP6_HDR_BYTES + payload;
}
