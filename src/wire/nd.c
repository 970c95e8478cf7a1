// SPDX-License-Identifier: BSD-2-Clause
#include "wire/nd.h"

#include "wire/checksum.h"

#include <string.h>

enum {
	OPTION_SOURCE_MAC = 1,
	OPTION_TARGET_MAC = 2,
	OPTION_NONCE = 14, /* RFC 3971 5.3.2 */
	UNIT_BYTES = 8,
	ND_AT = ETH_HDR_BYTES + IP6_HDR_BYTES,
};

static bool is_group(const struct ip_addr *addr)
{
	return addr->bytes[0] == 0xff;
}

/* Return: false: an option without length, or beyond the end, makes the whole message void (RFC 4861 4.6) */
static bool options_parse(const uint8_t *p, size_t len, struct nd_msg *msg)
{
	uint8_t wanted = msg->type == ND_SOLICIT ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC;

	while (len > 0) {
		size_t bytes = len >= 2 ? p[1] * (size_t)UNIT_BYTES : 0;

		if (bytes == 0 || bytes > len)
			return false;
		if (p[0] == wanted && bytes == UNIT_BYTES) {
			msg->has_mac = true;
			memcpy(msg->mac.bytes, p + 2, sizeof(msg->mac.bytes));
		} else if (p[0] == OPTION_NONCE) {
			msg->has_nonce = true;
			memcpy(msg->nonce, p + 2, sizeof(msg->nonce));
		}
		p += bytes;
		len -= bytes;
	}
	return true;
}

/* What is said to whom: RFC 4861 7.1.1, 7.1.2. */
static bool is_sound(const struct nd_msg *msg)
{
	if (is_group(&msg->src) || is_group(&msg->target) || ip_addr_is_any(&msg->target))
		return false;
	if (msg->type == ND_ADVERT)
		return !ip_addr_is_any(&msg->src) && !(is_group(&msg->dst) && (msg->flags & ND_FLAG_SOLICITED) != 0);
	if (ip_addr_is_any(&msg->src)) {
		struct ip_addr group = nd_group(&msg->target);

		return ip_addr_eq(&msg->dst, &group) && !msg->has_mac;
	}
	return true;
}

bool nd_parse(const uint8_t *frame, size_t len, struct nd_msg *ret_msg)
{
	struct nd_msg msg = { .has_mac = false };
	struct eth_hdr eth;
	struct ip6_hdr ip;
	struct nd_hdr nd;
	struct csum sum;
	size_t payload;

	if (len < ND_AT + sizeof(nd))
		return false;
	memcpy(&eth, frame, sizeof(eth));
	memcpy(&ip, frame + ETH_HDR_BYTES, sizeof(ip));
	memcpy(&nd, frame + ND_AT, sizeof(nd));
	payload = be16_get(ip.payload_len);
	if (be16_get(eth.type) != ETH_TYPE_IP6 || be32_get(ip.version_class_flow) >> 28 != 6 || ip.next != IP_PROTO_ICMP6 ||
	    ip.hop_limit != ND_HOP_LIMIT || payload < sizeof(nd) || payload > len - ND_AT)
		return false;
	if ((nd.type != ND_SOLICIT && nd.type != ND_ADVERT) || nd.code != 0)
		return false;
	sum = csum_add(csum_pseudo_v6(&ip.src, &ip.dst, IP_PROTO_ICMP6, (uint32_t)payload), csum_bytes(frame + ND_AT, payload));
	if (!csum_is_ok(sum))
		return false;
	msg = (struct nd_msg){ .eth_dst = eth.dst, .eth_src = eth.src, .src = ip.src, .dst = ip.dst, .target = nd.target,
			       .type = nd.type, .flags = nd.type == ND_ADVERT ? be32_get(nd.flags) : 0 };
	if (!options_parse(frame + ND_AT + sizeof(nd), payload - sizeof(nd), &msg) || !is_sound(&msg))
		return false;
	*ret_msg = msg;
	return true;
}

static size_t option_build(uint8_t *p, uint8_t type, const uint8_t bytes[static UNIT_BYTES - 2])
{
	p[0] = type;
	p[1] = 1;
	memcpy(p + 2, bytes, UNIT_BYTES - 2);
	return UNIT_BYTES;
}

size_t nd_build(uint8_t *buf, const struct nd_msg *msg)
{
	const struct eth_hdr eth = { msg->eth_dst, msg->eth_src, be16(ETH_TYPE_IP6) };
	const struct nd_hdr nd = { .type = msg->type, .flags = be32(msg->flags), .target = msg->target };
	struct ip6_fields ip = { .src = msg->src, .dst = msg->dst, .proto = IP_PROTO_ICMP6, .hop_limit = ND_HOP_LIMIT };
	size_t payload = sizeof(nd);
	struct be16 csum;

	memcpy(buf, &eth, sizeof(eth));
	memcpy(buf + ND_AT, &nd, sizeof(nd));
	if (msg->has_mac)
		payload += option_build(buf + ND_AT + payload, msg->type == ND_SOLICIT ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC,
					msg->mac.bytes);
	if (msg->has_nonce)
		payload += option_build(buf + ND_AT + payload, OPTION_NONCE, msg->nonce);
	ip.payload_len = (uint16_t)payload;
	ip6_build(buf + ETH_HDR_BYTES, &ip);
	csum = csum_finish(csum_add(csum_pseudo_v6(&msg->src, &msg->dst, IP_PROTO_ICMP6, (uint32_t)payload),
				    csum_bytes(buf + ND_AT, payload)));
	memcpy(buf + ND_AT + offsetof(struct nd_hdr, csum), &csum, sizeof(csum));
	return ND_AT + payload;
}
