// SPDX-License-Identifier: BSD-2-Clause
#include "wire/arp.h"

#include "wire/eth.h"

#include <string.h>

#define ARP_MAC_LEN 6
#define ARP_IP4_LEN 4

enum wire_err arp_parse(const void *p, size_t len, struct arp_fields *ret_fields)
{
	const struct arp_pkt *pkt = p;

	if (len < ARP_BYTES)
		return WIRE_SHORT;
	if (be16_get(pkt->hw_type) != ARP_HW_ETHERNET || be16_get(pkt->proto_type) != ETH_TYPE_IP4)
		return WIRE_BAD_TYPE;
	if (pkt->hw_len != ARP_MAC_LEN || pkt->proto_len != ARP_IP4_LEN)
		return WIRE_BAD_LEN;
	*ret_fields = (struct arp_fields){
		.op = be16_get(pkt->op),
		.sender_mac = pkt->sender_mac,
		.target_mac = pkt->target_mac,
		.sender_ip = pkt->sender_ip,
		.target_ip = pkt->target_ip,
	};
	return WIRE_OK;
}

size_t arp_build(void *p, const struct arp_fields *fields)
{
	struct arp_pkt pkt = {
		.hw_type = be16(ARP_HW_ETHERNET),
		.proto_type = be16(ETH_TYPE_IP4),
		.hw_len = ARP_MAC_LEN,
		.proto_len = ARP_IP4_LEN,
		.op = be16(fields->op),
		.sender_mac = fields->sender_mac,
		.sender_ip = fields->sender_ip,
		.target_mac = fields->target_mac,
		.target_ip = fields->target_ip,
	};

	memcpy(p, &pkt, sizeof(pkt));
	return ARP_BYTES;
}
