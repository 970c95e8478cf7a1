// SPDX-License-Identifier: BSD-2-Clause
/*
 * ARP for IPv4 over Ethernet: RFC 826, RFC 5227 (probe and announcement). See eth.h for the rules.
 */
#ifndef VJ_WIRE_ARP_H
#define VJ_WIRE_ARP_H

#include "base/addr.h"
#include "base/types.h"
#include "wire/err.h"

#define ARP_OP_REQUEST 1
#define ARP_OP_REPLY 2

#define ARP_HW_ETHERNET 1
#define ARP_BYTES 28

struct arp_pkt {
	struct be16 hw_type;
	struct be16 proto_type;
	uint8_t hw_len;
	uint8_t proto_len;
	struct be16 op;
	struct mac_addr sender_mac;
	struct be32 sender_ip;
	struct mac_addr target_mac;
	struct be32 target_ip;
} VJ_PACKED;

_Static_assert(sizeof(struct arp_pkt) == ARP_BYTES, "RFC 826");
_Static_assert(offsetof(struct arp_pkt, sender_ip) == 14, "RFC 826");
_Static_assert(offsetof(struct arp_pkt, target_ip) == 24, "RFC 826");

/* Both what a packet said and what one is to say. */
struct arp_fields {
	uint16_t op;
	struct mac_addr sender_mac;
	struct mac_addr target_mac;
	struct be32 sender_ip; /* 0.0.0.0 in a probe */
	struct be32 target_ip;
};

/*
 * WIRE_SHORT; WIRE_BAD_TYPE for other hardware or protocol types; WIRE_BAD_LEN where the address
 * lengths contradict them. Any operation is let through. Padding after the packet is ignored.
 */
enum wire_err arp_parse(const void *p, size_t len, struct arp_fields *ret_fields);

size_t arp_build(void *p, const struct arp_fields *fields);

#endif
